//! The one door to the database. Every statement passes [`Store::run`] or [`Store::one`] under the name of
//! its act, which is the metric label.
//!
//! Owns connections, transactions and retries. Knows no table.

use std::future::Future;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use futures_util::TryStreamExt;
use postgres_types::{FromSqlOwned, ToSql, Type};
use ring::rand::SecureRandom;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;

use super::batch::Batches;
use super::bucket::Buckets;
use super::error::lost_race;
use super::keys::Keys;
use super::link::Link;
use super::migration::{MigrationError, migrate};
use super::seal::{Lookup, Rng, Sealer};

pub use super::error::StoreError;

/// How often an act is done again after losing to another one (40001, 40P01).
const RETRIES: u32 = 5;

/// A parameter of a statement.
pub type Param<'a> = &'a (dyn ToSql + Sync);

/// Parameters of a statement.
pub type Params<'a> = &'a [Param<'a>];

/// The values of a row to copy.
pub type CopiedRow = Vec<Box<dyn ToSql + Sync + Send>>;

/// What the closure of [`Store::run`] returns: `Box::pin(async move { … })`.
pub type Work<'t, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 't>>;

/// How the store uses its database.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Connections at most.
    pub connections: usize,
    /// How long an act waits for a free connection before it is [`StoreError::Overloaded`].
    pub wait: Duration,
    /// How long one statement may take before the database ends it.
    pub statement: Duration,
    /// Authorities of the database's certificate, PEM; those of the system when left out.
    pub ca: Option<PathBuf>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        let (wait, statement) = (Duration::from_secs(5), Duration::from_secs(15));
        Self { connections: connections_default(), wait, statement, ca: None }
    }
}

/// A plan is made once for each statement and connection, perhaps while a table is still empty, and stays when it has
/// grown. So every statement finds its rows by key, no plan reads, hashes or keeps a whole table or index because it was
/// small, and none is compiled because it seems to cost much. Where an index of one row would be read as a whole all the
/// same, statements look up each row in a subquery of its own (`LATERAL`, with a `LIMIT` or `OFFSET 0` that keeps it one).
const PLANS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
                     -c enable_mergejoin=off -c enable_material=off -c jit=off";

/// Six for each processor: as many as a database on the same processors works on at once or waits for with its disk. Each
/// more is a process that the others make room for, with plans of its own.
pub fn connections_default() -> usize {
    6 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8)
}

/// The database with its keys. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    batches: Arc<Batches>,
    sealer: Sealer,
    lookup: Lookup,
    buckets: Buckets,
    rng: Rng,
}

impl Store {
    /// Opens the database at `config` (of a private cluster, or a `database_url` parsed), migrates it, and
    /// proves that the key list belongs to it.
    ///
    /// # Errors
    /// [`MigrationError`], which also carries a [`StoreError`].
    pub async fn open(
        config: tokio_postgres::Config,
        options: &StoreOptions,
        keys: &Keys,
        rng: Rng,
    ) -> Result<Self, MigrationError> {
        let link = Link::new(config, options.ca.as_deref())?;
        migrate(&link).await?;
        let proof = keys.proof();
        let store = Self::connect(link, options, keys, rng)?;
        store.keys_prove(proof).await?;
        Ok(store)
    }

    /// The first program to open a database leaves the proof of its keys; every later one must have the same.
    /// With other keys everything would seem absent, and new rows would be lost to the old keys.
    async fn keys_prove(&self, proof: [u8; 32]) -> Result<(), StoreError> {
        const ACT: &str = "keys-prove";
        self.one_execute(
            ACT,
            "-- deployment_insert
             INSERT INTO deployment (key_proof, updated_by) VALUES ($1 /* proof */, $2 /* act */)
             ON CONFLICT (id) DO NOTHING",
            &[&proof.as_slice(), &ACT],
        )
        .await?;
        let kept = self
            .one(
                ACT,
                "-- deployment_get
             SELECT key_proof FROM deployment",
                &[],
            )
            .await?;
        match kept.first().map(|row| column::<Vec<u8>>(row, "deployment", "key_proof")) {
            Some(Ok(kept)) if kept == proof => Ok(()),
            _ => Err(StoreError::WrongKeys),
        }
    }

    /// The store over a database that is migrated already. Connects when first used.
    fn connect(link: Link, options: &StoreOptions, keys: &Keys, rng: Rng) -> Result<Self, StoreError> {
        let settings = format!(
            "-c statement_timeout={} -c idle_in_transaction_session_timeout=30000 -c synchronous_commit=on \
             -c TimeZone=UTC {PLANS}",
            options.statement.as_millis()
        );
        let (mut config, tls) = link.parts();
        let options_text = match config.get_options() {
            Some(given) => format!("{settings} {given}"),
            None => settings,
        };
        config.options(options_text).application_name("hikikae").connect_timeout(Duration::from_secs(5));
        let manager =
            Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        // The connection that was used last is used next: its process has the plans and the pages at hand.
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.wait))
            .recycle_timeout(Some(options.wait))
            .build()
            .map_err(|_| StoreError::Unavailable(None))?;
        Ok(Self {
            pool,
            batches: Arc::default(),
            sealer: Sealer::new(keys, Arc::clone(&rng)),
            lookup: Lookup::new(keys),
            buckets: Buckets::new(keys),
            rng,
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.one("ready", "-- ready\nSELECT 1", &[]).await.map(drop)
    }

    /// The same store with one statement for each act, however many are asked for at once.
    #[must_use]
    pub fn apart(self) -> Self {
        Self { batches: Arc::new(Batches::apart()), ..self }
    }

    pub(super) fn batches(&self) -> &Batches {
        &self.batches
    }

    /// Seals and opens personal values.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Hashes values to look up by.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Finds buckets and mints identifiers.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The random generator.
    pub fn rng(&self) -> &dyn SecureRandom {
        &*self.rng
    }

    /// Does an act in one transaction: what the closure did is durable when this answers `Ok`, and left no
    /// trace when it answers `Err` (but see [`StoreError::Unavailable`]). When the act loses a race
    /// (serialisation failure, deadlock) the closure runs again on a new transaction, so it must only change
    /// what it is given.
    ///
    /// ```ignore
    /// store.run("register", |tx| Box::pin(async move { tx.execute(SQL, &[&bucket]).await })).await
    /// ```
    ///
    /// # Errors
    /// The closure's own, and [`StoreError`].
    pub async fn run<'s, T, E, F>(&self, act: &'static str, work: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: for<'t> Fn(&'t Tx<'s>) -> Work<'t, T, E>,
    {
        let watch = Watch::start(act);
        for attempt in 0..=RETRIES {
            pause_before(act, attempt).await;
            let mut tx = Tx::begin(self, act).await?;
            let outcome = work(&tx).await;
            let outcome = match outcome {
                Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            };
            if outcome.is_ok() || !tx.lost.load(Ordering::Relaxed) {
                watch.end(outcome.is_ok());
                return outcome;
            }
        }
        watch.end(false);
        Err(StoreError::Contended.into())
    }

    /// Does an act that is one statement, and answers its rows.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn one(
        &self,
        act: &'static str,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.single(act, sql, params).await?.0)
    }

    /// Does an act that is one statement of at most one row.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn one_opt(
        &self,
        act: &'static str,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Option<Row>, StoreError> {
        at_most_one(self.one(act, sql, params).await?)
    }

    /// Does an act that is one statement, and answers how many rows it changed.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn one_execute(
        &self,
        act: &'static str,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<u64, StoreError> {
        Ok(self.single(act, sql, params).await?.1)
    }

    /// Runs a statement that can be in no transaction and may take long. Takes no parameters.
    pub(super) async fn vacuum(&self, sql: &'static str) -> Result<(), StoreError> {
        const ACT: &str = "vacuum";
        let client = self.pool.get().await.map_err(StoreError::from_pool)?;
        for statement in ["SET statement_timeout = 0", sql, "RESET statement_timeout"] {
            client.batch_execute(statement).await.map_err(|error| StoreError::from_postgres(ACT, error))?;
        }
        Ok(())
    }

    async fn single(
        &self,
        act: &'static str,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<(Vec<Row>, u64), StoreError> {
        let watch = Watch::start(act);
        for attempt in 0..=RETRIES {
            pause_before(act, attempt).await;
            let client = self.pool.get().await.map_err(StoreError::from_pool)?;
            match statement_run(&client, sql, params).await {
                Err(error) if lost_race(&error) => {}
                outcome => {
                    watch.end(outcome.is_ok());
                    return outcome.map_err(|error| StoreError::from_postgres(act, error));
                }
            }
        }
        watch.end(false);
        Err(StoreError::Contended)
    }
}

/// The rows of a statement and how many it changed.
async fn statement_run(
    client: &Object,
    sql: &'static str,
    params: Params<'_>,
) -> Result<(Vec<Row>, u64), tokio_postgres::Error> {
    debug_assert!(sql.starts_with("-- "), "a statement opens with its name");
    let statement = client.prepare_cached(sql).await?;
    let mut stream = std::pin::pin!(client.query_raw(&statement, params.iter().copied()).await?);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(row);
    }
    Ok((rows, stream.rows_affected().unwrap_or(0)))
}

async fn pause_before(act: &'static str, attempt: u32) {
    if attempt > 0 {
        metrics::counter!("hikikae_store_retries_total", "act" => act).increment(1);
        tokio::time::sleep(Duration::from_millis(1 << attempt)).await;
    }
}

/// One transaction of an act. Ends by [`Store::run`]; when its future is dropped half-way, the connection is
/// closed and the database rolls back.
pub struct Tx<'s> {
    client: Option<Object>,
    act: &'static str,
    lost: AtomicBool,
    /// What the closure borrows outlives the transaction: `&'t Tx<'s>` implies `'s: 't`.
    scope: PhantomData<&'s ()>,
}

impl Tx<'_> {
    async fn begin(store: &Store, act: &'static str) -> Result<Self, StoreError> {
        let client = store.pool.get().await.map_err(StoreError::from_pool)?;
        let tx = Self { client: Some(client), act, lost: AtomicBool::new(false), scope: PhantomData };
        tx.batch("BEGIN").await?;
        Ok(tx)
    }

    /// Rows of a statement.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        Ok(self.single(sql, params).await?.0)
    }

    /// The row of a statement, if there is one; more than one is refused.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn query_opt(&self, sql: &'static str, params: Params<'_>) -> Result<Option<Row>, StoreError> {
        at_most_one(self.query(sql, params).await?)
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn query_one(&self, sql: &'static str, params: Params<'_>) -> Result<Row, StoreError> {
        self.query_opt(sql, params).await?.ok_or(StoreError::RowCount { rows: 0 })
    }

    /// How many rows a statement changed.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn execute(&self, sql: &'static str, params: Params<'_>) -> Result<u64, StoreError> {
        Ok(self.single(sql, params).await?.1)
    }

    /// Copies rows into a table: `sql` is a binary `COPY … FROM STDIN` of columns of these types.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn copy(
        &self,
        sql: &'static str,
        types: &[Type],
        rows: &[CopiedRow],
    ) -> Result<u64, StoreError> {
        let copied = async {
            let sink = self.client()?.copy_in(sql).await.map_err(|error| self.refused(error))?;
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, types));
            for row in rows {
                writer.as_mut().write(&borrowed(row)).await.map_err(|error| self.refused(error))?;
            }
            writer.finish().await.map_err(|error| self.refused(error))
        };
        copied.await
    }

    async fn single(&self, sql: &'static str, params: Params<'_>) -> Result<(Vec<Row>, u64), StoreError> {
        statement_run(self.client()?, sql, params).await.map_err(|error| self.refused(error))
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.batch("COMMIT").await?;
        self.client = None;
        Ok(())
    }

    /// A connection that cannot even roll back is closed by the drop.
    async fn rollback(&mut self) {
        if self.batch("ROLLBACK").await.is_ok() {
            self.client = None;
        }
    }

    async fn batch(&self, sql: &'static str) -> Result<(), StoreError> {
        self.client()?.batch_execute(sql).await.map_err(|error| self.refused(error))
    }

    fn client(&self) -> Result<&Object, StoreError> {
        self.client.as_ref().ok_or(StoreError::Unavailable(None))
    }

    fn refused(&self, error: tokio_postgres::Error) -> StoreError {
        if lost_race(&error) {
            self.lost.store(true, Ordering::Relaxed);
        }
        StoreError::from_postgres(self.act, error)
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        // Not ended: nobody may use this connection again, so it leaves the pool and closes.
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

/// Reads a column by name.
///
/// # Errors
/// [`StoreError::Corrupt`] when the column is missing or not of that type.
pub fn column<T: FromSqlOwned>(row: &Row, table: &'static str, name: &'static str) -> Result<T, StoreError> {
    row.try_get(name).map_err(|_| StoreError::corrupt(table, name, "?"))
}

fn borrowed(row: &CopiedRow) -> Vec<&(dyn ToSql + Sync)> {
    row.iter().map(|value| -> &(dyn ToSql + Sync) { value.as_ref() }).collect()
}

fn at_most_one(mut rows: Vec<Row>) -> Result<Option<Row>, StoreError> {
    match rows.len() {
        0 | 1 => Ok(rows.pop()),
        more => Err(StoreError::RowCount { rows: more as u64 }),
    }
}

/// Times an act for the metrics.
struct Watch {
    act: &'static str,
    since: Instant,
}

impl Watch {
    fn start(act: &'static str) -> Self {
        Self { act, since: Instant::now() }
    }

    fn end(&self, done: bool) {
        let outcome = if done { "done" } else { "refused" };
        metrics::histogram!("hikikae_store_act_seconds", "act" => self.act, "outcome" => outcome)
            .record(self.since.elapsed());
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    async fn borrowing_act(store: Store) -> Result<u64, StoreError> {
        let owned = String::from("value");
        let borrowed = &owned;
        store.run("test", |tx| Box::pin(async move { tx.execute("-- never run", &[borrowed]).await })).await
    }

    fn is_send<T: Send>(_: &T) {}

    /// Handlers need `Send` futures from acts that borrow from their caller. This compiles or it does not.
    #[expect(dead_code, reason = "compiling it is the test")]
    fn acts_are_send(store: &Store) {
        is_send(&borrowing_act(store.clone()));
        is_send(&store.one("test", "-- never run", &[]));
    }
}

//! Statements that are asked for while their like are under way, and then travel together: one statement for all of them
//! answers each its own rows. Alone nobody waits; under load a round trip, a plan's start and a commit are shared, so the
//! database does more a second the more is asked of it.
//!
//! Each is one transaction with those it travels with, which is as good as its own: what a statement reads and what it
//! records still stand and fall as one (invariant 7).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use postgres_types::private::BytesMut;
use postgres_types::{IsNull, ToSql, Type};
use tokio::sync::oneshot;
use tokio_postgres::Row;

use super::pool::{Param, Store, StoreError};

/// A parameter that outlives its asker.
pub(super) type Owned = Box<dyn ToSql + Sync + Send>;

/// Asked for at once at most by one statement.
const TOGETHER: usize = 64;

/// A statement that can be asked for alone and for several. Made by [`batched!`].
#[derive(Debug)]
pub(super) struct Batched {
    /// Its name.
    pub name: &'static str,
    /// For one: `q` is one row of parameters.
    pub one: &'static str,
    /// For several: every parameter is an array, `q` a row for each asker.
    pub many: &'static str,
}

/// `batched!("name", (1 first type, 2 second type, …), "body")`: the body goes on after the CTE `q`, whose columns are the
/// parameters and `n`, which tells the askers apart and must be a column of every row it answers.
macro_rules! batched {
    ($name:literal, ($first:literal $column:ident $type:ident $(, $n:literal $more:ident $types:ident)* $(,)?), $($body:tt)*) => {
        $crate::store::batch::Batched {
            name: $name,
            one: concat!(
                "-- ", $name, "\nWITH q AS NOT MATERIALIZED (SELECT 1::bigint AS n, $", $first, "::", stringify!($type), " AS ",
                stringify!($column), $(", $", $n, "::", stringify!($types), " AS ", stringify!($more),)* ")", $($body)*
            ),
            many: concat!(
                "-- ", $name, "-together\nWITH q AS NOT MATERIALIZED (SELECT * FROM unnest($", $first, "::", stringify!($type), "[]",
                $(", $", $n, "::", stringify!($types), "[]",)* ") WITH ORDINALITY AS q (", stringify!($column),
                $(", ", stringify!($more),)* ", n))", $($body)*
            ),
        }
    };
}
pub(super) use batched;

/// `owned![a, b, …]`: the parameters of a batched statement.
macro_rules! owned {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as $crate::store::batch::Owned),*] };
}
pub(super) use owned;

/// Who waits for which statement.
pub(super) struct Batches {
    /// As many of one statement as the database works on at once: half of the processors, for the other half works on
    /// what comes and goes. More would only take turns, and fewer would travel together.
    at_once: usize,
    queues: Mutex<HashMap<&'static str, Queue>>,
}

#[derive(Default)]
struct Queue {
    running: usize,
    waiting: Vec<Waiting>,
}

struct Waiting {
    params: Arc<Vec<Owned>>,
    answer: oneshot::Sender<Result<Vec<Row>, StoreError>>,
}

/// A statement under way. When it ends, those that came meanwhile go together.
struct Turn<'s> {
    store: &'s Store,
    statement: &'static Batched,
}

/// One asker's value in an array of parameters.
#[derive(Debug)]
struct Element<'a>(&'a Owned);

impl ToSql for Element<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql_checked(ty, out)
    }

    fn accepts(_: &Type) -> bool {
        // Each value is asked when it is written.
        true
    }

    postgres_types::to_sql_checked!();
}

impl Default for Batches {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { at_once: processors.div_ceil(2), queues: Mutex::default() }
    }
}

impl Batches {
    /// Where nobody ever waits to travel together.
    pub(super) fn apart() -> Self {
        Self { at_once: usize::MAX, queues: Mutex::default() }
    }

    fn queue<T>(&self, statement: &'static Batched, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        change(queues.entry(statement.name).or_default())
    }
}

impl Queue {
    /// Those who go next. When there are none, one statement less runs.
    fn next(&mut self) -> Vec<Waiting> {
        if self.waiting.is_empty() {
            self.running -= 1;
        }
        let count = self.waiting.len().min(TOGETHER);
        self.waiting.drain(..count).collect()
    }
}

impl Store {
    /// Does an act that is one batched statement, and answers this asker's rows.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(super) async fn batched(
        &self,
        act: &'static str,
        statement: &'static Batched,
        params: Vec<Owned>,
    ) -> Result<Vec<Row>, StoreError> {
        let params = Arc::new(params);
        let waits = self.batches().queue(statement, |queue| {
            if queue.running < self.batches().at_once {
                queue.running += 1;
                return None;
            }
            let (answer, answered) = oneshot::channel();
            queue.waiting.push(Waiting { params: Arc::clone(&params), answer });
            Some(answered)
        });
        let Some(answered) = waits else {
            let _turn = Turn { store: self, statement };
            return self.alone(act, statement, &params).await;
        };
        match answered.await {
            // What the database refuses of several may be the fault of one.
            Ok(Err(
                StoreError::Statement { .. } | StoreError::Constraint(_) | StoreError::Mismatch { .. },
            )) => self.alone(act, statement, &params).await,
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable(None)),
        }
    }

    async fn alone(
        &self,
        act: &'static str,
        statement: &'static Batched,
        params: &[Owned],
    ) -> Result<Vec<Row>, StoreError> {
        let params: Vec<Param<'_>> = params.iter().map(|value| -> Param<'_> { value.as_ref() }).collect();
        self.one(act, statement.one, &params).await
    }

    /// Asks for all of them, and passes the turn on.
    async fn batch_run(self, statement: &'static Batched, askers: Vec<Waiting>) {
        let _turn = Turn { store: &self, statement };
        let outcome = self.together(statement, &askers).await;
        let answers: Vec<_> = match outcome {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => askers.iter().map(|_| Err(error.clone())).collect(),
        };
        for (asker, answer) in askers.into_iter().zip(answers) {
            // Who has gone does not hear it.
            _ = asker.answer.send(answer);
        }
    }

    /// The rows of each asker.
    async fn together(
        &self,
        statement: &'static Batched,
        askers: &[Waiting],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let width = askers.first().map_or(0, |asker| asker.params.len());
        let columns: Vec<Vec<Element<'_>>> = (0..width)
            .map(|column| askers.iter().map(|asker| Element(&asker.params[column])).collect())
            .collect();
        let params: Vec<Param<'_>> = columns.iter().map(|column| -> Param<'_> { column }).collect();
        let mut answers: Vec<Vec<Row>> = askers.iter().map(|_| Vec::new()).collect();
        for row in self.one(statement.name, statement.many, &params).await? {
            let n: i64 = row.get("n");
            let place = usize::try_from(n - 1).ok().and_then(|n| answers.get_mut(n));
            place.ok_or(StoreError::Mismatch { act: statement.name })?.push(row);
        }
        Ok(answers)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let next = self.store.batches().queue(self.statement, Queue::next);
        if !next.is_empty() {
            tokio::spawn(self.store.clone().batch_run(self.statement, next));
        }
    }
}

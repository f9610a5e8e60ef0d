//! What an act asks beside its subject: the kept answer of an earlier request with its key (invariant 3), and whether the
//! facility has guessed wrong too often (invariant 5). Both are joined to the statement that reads the subject, so that
//! they cost no statement of their own.

use tokio_postgres::Row;

use super::batch::{Batched, Owned, owned};
use super::bucket::Bucket;
use super::directory::attempt::{AttemptError, Guesses};
use super::idempotency::{IdempotencyKey, Replay};
use super::pool::{Store, StoreError};

/// What is asked; each may be left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    /// Whether the facility may guess at all.
    pub guesses: Option<Guesses<'a>>,
    /// What is known of a key.
    pub key: Option<&'a IdempotencyKey>,
}

/// What was answered.
#[derive(Debug)]
pub struct Asked {
    /// Whether the facility may guess.
    pub allowed: Result<(), AttemptError>,
    /// What is known of the key.
    pub replay: Replay,
}

/// `asked!("name", (7 first type, …), (CTEs), FROM, [SELECT …])`: the statement of that name that reads a subject and
/// answers what is asked beside it; to be run by [`Store::ask`] with the subject's parameters, which begin with 7 and are
/// columns of `q`. FROM is `q`, or has all of its rows and columns and more, as `q`.
macro_rules! asked {
    ($name:literal, ($($params:tt)*), ($($before:expr),*), $of:literal, [$($subject:expr),*]) => {
        $crate::store::batch::batched!(
            $name,
            (1 facility text, 2 kind text, 3 window_after timestamptz, 4 at timestamptz, 5 key_bucket smallint, 6 key bytea, $($params)*),
            $($before,)*
            " SELECT q.n, t.window_start, t.failures, i.request_hash, i.sealed AS answer, s.* FROM ",
            $of,
            " LEFT JOIN LATERAL (
                SELECT window_start, failures FROM identity_attempt
                WHERE facility_code = q.facility AND kind = q.kind AND window_start > q.window_after AND window_start <= q.at
                LIMIT 1
            ) t ON true
            LEFT JOIN LATERAL (
                SELECT request_hash, sealed FROM idempotency WHERE bucket = q.key_bucket AND key_hash = q.key LIMIT 1
            ) i ON true
            LEFT JOIN LATERAL (SELECT true AS found, subject.* FROM (", $($subject,)* ") subject) s ON true"
        )
    };
}
pub(super) use asked;

impl Store {
    /// What an act asks, without a subject.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(super) async fn asked(&self, act: &'static str, asking: &Asking<'_>) -> Result<Asked, StoreError> {
        static NOTHING: Batched = asked!("asked", (), (), "q", ["SELECT"]);
        Ok(self.ask(act, &NOTHING, asking, Vec::new()).await?.0)
    }

    /// Runs a statement made by [`asked!`] with its subject's parameters; answers the rows of the subject.
    pub(super) async fn ask(
        &self,
        act: &'static str,
        statement: &'static Batched,
        asking: &Asking<'_>,
        subject: Vec<Owned>,
    ) -> Result<(Asked, Vec<Row>), StoreError> {
        let guesses = asking.guesses.as_ref();
        let hash = asking.key.map(|key| self.key_hash(key));
        let mut params = owned![
            guesses.map(|guesses| guesses.facility.as_str().to_owned()),
            guesses.map(|guesses| guesses.kind.as_str()),
            guesses.map(Guesses::began_after),
            guesses.map(|guesses| guesses.at),
            hash.as_ref().map(Bucket::of_hash),
            hash.map(Vec::from),
        ];
        params.extend(subject);
        let mut rows = self.batched(act, statement, params).await?;
        // There is one at least, whose columns are NULL where nothing was found.
        let first = rows.first().ok_or(StoreError::RowCount { rows: 0 })?;
        let allowed = guesses.map_or(Ok(()), |guesses| guesses.judge(first));
        let replay = match asking.key {
            Some(key) => self.replay_read(key, first)?,
            None => Replay::New,
        };
        rows.retain(|row| row.get::<_, Option<bool>>("found").is_some());
        Ok((Asked { allowed, replay }, rows))
    }
}

//! What an act asks beside its subject: the kept answer of an earlier request with its key (invariant 3), and whether the
//! facility has guessed wrong too often (invariant 5). Both are joined to the statement that reads the subject, so that
//! they cost no statement of their own.

use tokio_postgres::Row;

use super::bucket::Bucket;
use super::directory::attempt::{AttemptError, Guesses};
use super::idempotency::{IdempotencyKey, Replay};
use super::pool::{Param, Params, Store, StoreError};

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

/// `asked!("name", SELECT …, ORDER BY …)`: the statement of that name that reads a subject and answers what is asked
/// beside it; to be run by [`Store::ask`]. The subject's parameters begin with `$7`; in the order it is `s`.
macro_rules! asked {
    ($name:literal, [$($subject:tt)*], $order:literal) => {
        concat!(
            "-- ", $name, "
            SELECT t.window_start, t.failures, i.request_hash, i.sealed AS answer, s.*
            FROM (SELECT) AS act
            LEFT JOIN identity_attempt t ON t.facility_code = $1 /* facility */ AND t.kind = $2 /* kind */
                AND t.window_start > $3 /* window began after */ AND t.window_start <= $4 /* now */
            LEFT JOIN idempotency i ON i.bucket = $5 /* bucket of the key */ AND i.key_hash = $6 /* key */
            LEFT JOIN (SELECT true AS found, subject.* FROM (", $($subject)*, ") subject) s ON true ", $order
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
        Ok(self.ask(act, asked!("asked", ["SELECT"], ""), asking, &[]).await?.0)
    }

    /// Runs a statement made by [`asked!`] with its subject's parameters; answers the rows of the subject.
    pub(super) async fn ask(
        &self,
        act: &'static str,
        sql: &'static str,
        asking: &Asking<'_>,
        subject: Params<'_>,
    ) -> Result<(Asked, Vec<Row>), StoreError> {
        let guesses = asking.guesses.as_ref();
        let (facility, kind) =
            (guesses.map(|guesses| guesses.facility.as_str()), guesses.map(|guesses| guesses.kind.as_str()));
        let (began, at) = (guesses.map(Guesses::began_after), guesses.map(|guesses| guesses.at));
        let hash = asking.key.map(|key| self.key_hash(key));
        let bucket = hash.as_ref().map(Bucket::of_hash);
        let hash = hash.as_ref().map(<[u8; 32]>::as_slice);
        let beside: [Param<'_>; 6] = [&facility, &kind, &began, &at, &bucket, &hash];
        let params: Vec<Param<'_>> = beside.into_iter().chain(subject.iter().copied()).collect();
        let mut rows = self.one(act, sql, &params).await?;
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

//! First answers by `Idempotency-Key`, written in the statement of the act they answer (invariant 3).

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Row;
use zeroize::Zeroizing;

use super::asked::Asking;
use super::bucket::Bucket;
use super::pool::{Store, StoreError};
use super::seal::SealContext;
use crate::prescription::identifier::InstitutionCode;

/// How long an answer is kept for retries.
pub const KEPT: TimeDelta = TimeDelta::hours(48);

/// A key as the caller sent it, with the request it came with.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// Whose key.
    pub caller: InstitutionCode,
    /// The key, at most 128 characters.
    pub key: String,
    /// SHA-256 over method, path, media type and body.
    pub request: [u8; 32],
}

/// An answer to keep.
#[derive(Clone, Debug)]
pub struct StoredAnswer {
    /// Its key.
    pub key: IdempotencyKey,
    /// From here on the key is free again.
    pub expires_at: DateTime<Utc>,
    /// The outcome of the act, JSON.
    pub outcome: Vec<u8>,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Replay {
    /// Nothing: the request is new.
    New,
    /// The same request was answered with this outcome, JSON.
    Same(Zeroizing<Vec<u8>>),
    /// The key came with another request.
    Reused,
}

/// A kept answer as columns; all of them NULL when there is no key.
#[derive(Default)]
pub(super) struct AnswerColumns {
    pub(super) bucket: Option<Bucket>,
    pub(super) key_hash: Option<Vec<u8>>,
    pub(super) request_hash: Option<Vec<u8>>,
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Where an answer is sealed for.
fn place(key_hash: &[u8; 32]) -> SealContext<'_> {
    SealContext { table: "idempotency", row: key_hash, column: "sealed" }
}

impl Store {
    pub(super) fn key_hash(&self, key: &IdempotencyKey) -> [u8; 32] {
        self.lookup().hash("idempotency-key", &[key.caller.as_str(), &key.key])
    }

    pub(super) fn answer_columns(&self, answer: Option<&StoredAnswer>) -> Result<AnswerColumns, StoreError> {
        let Some(answer) = answer else { return Ok(AnswerColumns::default()) };
        let key_hash = self.key_hash(&answer.key);
        Ok(AnswerColumns {
            bucket: Some(Bucket::of_hash(&key_hash)),
            key_hash: Some(key_hash.to_vec()),
            request_hash: Some(answer.key.request.to_vec()),
            sealed: Some(self.sealer().seal(&place(&key_hash), &answer.outcome)?),
            expires_at: Some(answer.expires_at),
        })
    }

    /// What is known of a key.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn idempotency_find(&self, key: &IdempotencyKey) -> Result<Replay, StoreError> {
        Ok(self.asked("idempotency-find", &Asking { guesses: None, key: Some(key) }).await?.replay)
    }

    /// The same of a row that has what was kept, or neither column.
    pub(super) fn replay_read(&self, key: &IdempotencyKey, row: &Row) -> Result<Replay, StoreError> {
        match row.get::<_, Option<&[u8]>>("request_hash") {
            None => Ok(Replay::New),
            Some(request) if request != key.request => Ok(Replay::Reused),
            Some(_) => {
                let outcome = self.sealer().open(&place(&self.key_hash(key)), row.get("answer"))?;
                Ok(Replay::Same(Zeroizing::new(outcome)))
            }
        }
    }
}

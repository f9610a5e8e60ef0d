//! Limits on guessing (invariant 5): failures are counted per facility and kind, so that one facility's guesses
//! never refuse another facility or the patient elsewhere.
//!
//! A window begins with its first failure. Knows not what was guessed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::prescription::identifier::InstitutionCode;
use crate::store::error::StoreError;
use crate::store::pool::{Params, Store, column};

/// What a facility may guess wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// Insurance data or a card.
    Identity,
    /// 引換番号 of a verified patient.
    ExchangeNumber,
    /// A person in an emergency. Counted apart: mistakes at the front desk must not stand in its way.
    BreakGlass,
}

impl AttemptKind {
    pub(in crate::store) fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::ExchangeNumber => "exchange-number",
            Self::BreakGlass => "break-glass",
        }
    }
}

/// What a facility is about to guess.
#[derive(Clone, Copy, Debug)]
pub struct Guesses<'a> {
    /// The facility.
    pub facility: &'a InstitutionCode,
    /// What it guesses.
    pub kind: AttemptKind,
    /// When.
    pub at: DateTime<Utc>,
    /// What it may guess wrong.
    pub limit: &'a AttemptLimit,
}

impl Guesses<'_> {
    pub(in crate::store) fn began_after(&self) -> DateTime<Utc> {
        began_after(self.at, self.limit)
    }

    /// Whether one more may be made, by a row that has a window's start and failures, or neither.
    pub(in crate::store) fn judge(&self, row: &tokio_postgres::Row) -> Result<(), AttemptError> {
        match row.try_get::<_, Option<i32>>("failures") {
            Ok(None) => Ok(()),
            _ => judge(row, self.at, self.limit, self.limit.failures.saturating_sub(1)),
        }
    }
}

/// So many failures in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimit {
    /// Failures that are answered; the next is refused.
    pub failures: u32,
    /// Length of the window.
    pub window: Duration,
}

/// An attempt is refused, or could not be counted and is therefore refused too.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The facility guessed wrong too often.
    #[error("too many attempts")]
    TooMany {
        /// When the window ends.
        retry_after: Duration,
    },
    /// The count could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const REGISTER: &str = "-- identity_attempt_register
    INSERT INTO identity_attempt AS a (facility_code, kind, window_start, failures, updated_by)
    VALUES ($1 /* facility */, $2 /* kind */, $3 /* now */, 1, $5 /* act */)
    ON CONFLICT (facility_code, kind) DO UPDATE SET
        window_start = CASE WHEN a.window_start > $4 /* window began after */ AND a.window_start <= $3
            THEN a.window_start ELSE $3 END,
        failures = CASE WHEN a.window_start > $4 AND a.window_start <= $3
            THEN least(a.failures, 1000000000) + 1 ELSE 1 END,
        updated_at = now(), updated_by = excluded.updated_by
    RETURNING window_start, failures";

const FIND: &str = "-- identity_attempt_find
    SELECT window_start, failures FROM identity_attempt
    WHERE facility_code = $1 /* facility */ AND kind = $2 /* kind */
      AND window_start > $4 /* window began after */ AND window_start <= $3 /* now */";

impl Store {
    /// Whether the facility may attempt at all. Asked before what is guessed is looked up.
    ///
    /// # Errors
    /// [`AttemptError`]
    pub async fn attempt_check(&self, guesses: &Guesses<'_>) -> Result<(), AttemptError> {
        let (facility, kind) = (guesses.facility.as_str(), guesses.kind.as_str());
        let params: Params<'_> = &[&facility, &kind, &guesses.at, &guesses.began_after()];
        match self.one_opt("attempt-check", FIND, params).await? {
            Some(row) => guesses.judge(&row),
            None => Ok(()),
        }
    }

    /// Counts a failure, in one statement, and answers whether it may still be answered as such. To be done
    /// before the answer goes out, apart from any transaction that the failure rolls back.
    ///
    /// # Errors
    /// [`AttemptError`]
    pub async fn attempt_register(
        &self,
        facility: &InstitutionCode,
        kind: AttemptKind,
        at: DateTime<Utc>,
        limit: &AttemptLimit,
    ) -> Result<(), AttemptError> {
        const ACT: &str = "attempt-register";
        let (facility, kind, began) = (facility.as_str(), kind.as_str(), began_after(at, limit));
        match self.one_opt(ACT, REGISTER, &[&facility, &kind, &at, &began, &ACT]).await? {
            Some(row) => judge(&row, at, limit, limit.failures),
            None => Err(StoreError::RowCount { rows: 0 }.into()),
        }
    }
}

fn window(limit: &AttemptLimit) -> TimeDelta {
    TimeDelta::from_std(limit.window).unwrap_or(TimeDelta::MAX)
}

fn began_after(at: DateTime<Utc>, limit: &AttemptLimit) -> DateTime<Utc> {
    at.checked_sub_signed(window(limit)).unwrap_or(DateTime::UNIX_EPOCH)
}

fn judge(
    row: &tokio_postgres::Row,
    at: DateTime<Utc>,
    limit: &AttemptLimit,
    allowed: u32,
) -> Result<(), AttemptError> {
    let failures: i32 = column(row, "identity_attempt", "failures")?;
    if i64::from(failures) <= i64::from(allowed) {
        return Ok(());
    }
    let since: DateTime<Utc> = column(row, "identity_attempt", "window_start")?;
    let end = since.checked_add_signed(window(limit)).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let left = (end - at).to_std().unwrap_or(Duration::ZERO);
    Err(AttemptError::TooMany { retry_after: left.max(Duration::from_secs(1)) })
}

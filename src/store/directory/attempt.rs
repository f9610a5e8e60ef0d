//! Limits on guessing (invariant 5): failures are counted per facility and kind, so that one facility's guesses
//! never refuse another facility or the patient elsewhere.
//!
//! A window begins with its first failure. Knows not what was guessed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::Row;

use crate::prescription::identifier::InstitutionCode;
use crate::store::asked::Asking;
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
    fn window(&self) -> TimeDelta {
        TimeDelta::from_std(self.limit.window).unwrap_or(TimeDelta::MAX)
    }

    pub(in crate::store) fn began_after(&self) -> DateTime<Utc> {
        self.at.checked_sub_signed(self.window()).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// So many failures in the window are too many for another guess.
    pub(in crate::store) fn refused_from(&self) -> i32 {
        i32::try_from(self.limit.failures.max(1)).unwrap_or(i32::MAX)
    }

    /// Whether one more may be made, by a row that has a window's start and failures, or neither.
    pub(in crate::store) fn judge(&self, row: &Row) -> Result<(), AttemptError> {
        self.within(row, self.refused_from().unsigned_abs() - 1)
    }

    fn within(&self, row: &Row, allowed: u32) -> Result<(), AttemptError> {
        const TABLE: &str = "identity_attempt";
        let Some(failures) = column::<Option<i32>>(row, TABLE, "failures")? else { return Ok(()) };
        if i64::from(failures) <= i64::from(allowed) {
            return Ok(());
        }
        let since: DateTime<Utc> = column(row, TABLE, "window_start")?;
        let end = since.checked_add_signed(self.window()).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let left = (end - self.at).to_std().unwrap_or(Duration::ZERO);
        Err(AttemptError::TooMany { retry_after: left.max(Duration::from_secs(1)) })
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

impl Store {
    /// Whether the facility may attempt at all. Asked before what is guessed is looked up.
    ///
    /// # Errors
    /// [`AttemptError`]
    pub async fn attempt_check(&self, guesses: &Guesses<'_>) -> Result<(), AttemptError> {
        self.asked("attempt-check", &Asking { guesses: Some(*guesses), key: None }).await?.allowed
    }

    /// Counts a failure, in one statement, and answers whether it may still be answered as such. To be done
    /// before the answer goes out, apart from any transaction that the failure rolls back.
    ///
    /// # Errors
    /// [`AttemptError`]
    pub async fn attempt_register(&self, guesses: &Guesses<'_>) -> Result<(), AttemptError> {
        const ACT: &str = "attempt-register";
        let (facility, kind) = (guesses.facility.as_str(), guesses.kind.as_str());
        let params: Params<'_> = &[&facility, &kind, &guesses.at, &guesses.began_after(), &ACT];
        match self.one_opt(ACT, REGISTER, params).await? {
            Some(row) => guesses.within(&row, guesses.limit.failures),
            None => Err(StoreError::RowCount { rows: 0 }.into()),
        }
    }
}

//! What a database error means to an act. Knows no table.

use std::sync::Arc;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::{DbError, SqlState};

use super::seal::SealError;

/// What went wrong between an act and the database. No variant carries a value of a row.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or the connection broke. Whether a commit that was under way took
    /// place is unknown; the same request with the same key may be sent again.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Option<Arc<tokio_postgres::Error>>),
    /// No connection became free in time.
    #[error("no database connection became free in time")]
    Overloaded,
    /// The act lost against others more often than it is repeated. It left no trace.
    #[error("the act lost against concurrent acts repeatedly")]
    Contended,
    /// A named constraint refused the rows. The act that knows the constraint says what it means.
    #[error("constraint {0} refused the rows")]
    Constraint(String),
    /// A guarded statement was to change one row and changed another number.
    #[error("{rows} rows changed where one was meant")]
    RowCount {
        /// Rows changed.
        rows: u64,
    },
    /// A row cannot be what the program writes.
    #[error("{table}.{column} of row {key} cannot be read")]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// The row's id (never a personal value).
        key: String,
    },
    /// A value could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
    /// The key list is not the one this database was written with.
    #[error("the key list does not belong to this database")]
    WrongKeys,
    /// The database refused a statement; a fault of this program or of the database's state.
    #[error("the database refused a statement of act {act}: SQLSTATE {sqlstate}")]
    Statement {
        /// The act.
        act: &'static str,
        /// The five characters of PostgreSQL's error code.
        sqlstate: String,
    },
    /// A statement does not fit its parameters or its decoder; a fault of this program.
    #[error("a statement of act {act} does not fit its parameters")]
    Mismatch {
        /// The act.
        act: &'static str,
    },
}

impl StoreError {
    /// A row that cannot be what the program writes. `key` is the row's id, never a personal value.
    pub fn corrupt(table: &'static str, column: &'static str, key: impl std::fmt::Display) -> Self {
        Self::Corrupt { table, column, key: key.to_string() }
    }

    /// Whether the named constraint refused the rows.
    pub fn is_constraint(&self, name: &str) -> bool {
        matches!(self, Self::Constraint(refused) if refused == name)
    }

    pub(super) fn from_postgres(act: &'static str, error: tokio_postgres::Error) -> Self {
        // The server's message and detail may quote values; only the code and the constraint's name go on.
        match error.as_db_error() {
            Some(refusal) if unreachable_state(refusal) => Self::Unavailable(None),
            Some(refusal) => match refusal.constraint() {
                Some(name) => Self::Constraint(name.to_owned()),
                None => Self::Statement { act, sqlstate: refusal.code().code().to_owned() },
            },
            None if error.is_closed() || error_is_io(&error) => Self::Unavailable(Some(Arc::new(error))),
            None => Self::Mismatch { act },
        }
    }

    pub(super) fn from_pool(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Overloaded,
            PoolError::Backend(error) if error.as_db_error().is_none() => {
                Self::Unavailable(Some(Arc::new(error)))
            }
            _ => Self::Unavailable(None),
        }
    }
}

impl From<ring::error::Unspecified> for StoreError {
    fn from(_: ring::error::Unspecified) -> Self {
        Self::Random
    }
}

/// PostgreSQL Appendix A: class 57P (shutting down, starting up), 08 (connection), 53300 (too many), 25006
/// (a standby that cannot write).
fn unreachable_state(refusal: &DbError) -> bool {
    let code = refusal.code().code();
    code.starts_with("57P") || code.starts_with("08") || code == "53300" || code == "25006"
}

fn error_is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// Whether the statement lost against another act and may be done again.
pub(super) fn lost_race(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
    })
}

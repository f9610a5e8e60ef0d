//! The one clock. Nothing else in the program asks the machine for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use chrono_tz::Asia::Tokyo;

/// The source of time, cheap to clone. The sandbox and the tests move it; production never does.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// The present instant, in whole microseconds: what the database keeps reads back equal.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> DateTime<Utc> {
        let now = Utc::now() + TimeDelta::milliseconds(self.offset_ms.load(Ordering::Relaxed));
        now.trunc_subsecs(6)
    }

    /// Moves this clock and all its clones forwards (or, with a negative step, backwards).
    pub fn advance(&self, step: TimeDelta) {
        self.offset_ms.fetch_add(step.num_milliseconds(), Ordering::Relaxed);
    }
}

/// The Japanese date of an instant. Every date in a document and in the contract is one.
pub fn japanese_date(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&Tokyo).date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_japanese_day_begins_at_15_00_utc() {
        let before = "2026-04-01T14:59:59Z".parse().unwrap();
        let after = "2026-04-01T15:00:00Z".parse().unwrap();
        assert_eq!(japanese_date(before).to_string(), "2026-04-01");
        assert_eq!(japanese_date(after).to_string(), "2026-04-02");
    }
}

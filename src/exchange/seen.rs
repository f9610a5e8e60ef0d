//! Callers seen a moment ago: a facility sends many requests under one token, and who it is does not change between them.
//! Kept for a few seconds only, and never for patients or their apps, whose leave ends at once when it is withdrawn.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};

use super::caller::{Actor, Caller};

/// How long a caller is taken for the same without asking the store.
const FRESH: TimeDelta = TimeDelta::seconds(3);
/// Callers kept; beyond it all are forgotten.
const KEPT: usize = 16 * 1024;

/// Facilities by the keyed hash of their token.
#[derive(Debug, Default)]
pub(super) struct Seen(RwLock<HashMap<[u8; 32], Entry>>);

#[derive(Debug)]
struct Entry {
    caller: Caller,
    expires_at: DateTime<Utc>,
    read_at: DateTime<Utc>,
}

impl Seen {
    /// The caller of a token that was asked for a moment ago and has not ended.
    pub(super) fn get(&self, token: &[u8; 32], now: DateTime<Utc>) -> Option<Caller> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(token)?;
        // The sandbox's clock may go backwards: what was read later is not fresh either.
        let fresh = entry.read_at <= now && now < entry.read_at + FRESH && now < entry.expires_at;
        fresh.then(|| entry.caller.clone())
    }

    /// Keeps a caller just read, when it is one that may be kept.
    pub(super) fn put(
        &self,
        token: [u8; 32],
        caller: &Caller,
        expires_at: DateTime<Utc>,
        read_at: DateTime<Utc>,
    ) {
        if !matches!(caller.actor, Actor::Facility(_)) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(token, Entry { caller: caller.clone(), expires_at, read_at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory::{Facility, FacilityKind};

    fn facility() -> Caller {
        Caller::of(Actor::Facility(Facility {
            code: "1311234567".parse().unwrap(),
            kind: FacilityKind::Clinic,
            name: "clinic".to_owned(),
            active: true,
        }))
    }

    #[test]
    fn a_facility_is_known_for_a_moment_and_never_beyond_its_token() {
        let (seen, at) = (Seen::default(), DateTime::UNIX_EPOCH);
        seen.put([1; 32], &facility(), at + TimeDelta::hours(1), at);
        seen.put([2; 32], &facility(), at + TimeDelta::seconds(1), at);
        let known = |token, seconds| seen.get(&[token; 32], at + TimeDelta::seconds(seconds)).is_some();
        assert!(known(1, 0) && known(1, 2) && known(2, 0));
        assert!(!known(1, 3), "asked again after a moment");
        assert!(!known(2, 1), "the token has ended");
        assert!(!known(1, -1), "the clock was set back");
        assert!(!known(3, 0));
    }

    #[test]
    fn patients_are_asked_for_each_time() {
        let (seen, at) = (Seen::default(), DateTime::UNIX_EPOCH);
        let patient = Actor::Patient { id: uuid::Uuid::nil(), name: String::new() };
        seen.put([1; 32], &Caller::of(patient), at + TimeDelta::hours(1), at);
        assert!(seen.get(&[1; 32], at).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (seen, at) = (Seen::default(), DateTime::UNIX_EPOCH);
        for number in 0..=u32::try_from(KEPT).unwrap() {
            let mut token = [0; 32];
            token[..4].copy_from_slice(&number.to_be_bytes());
            seen.put(token, &facility(), at + TimeDelta::hours(1), at);
        }
        assert!(seen.0.read().unwrap().len() <= KEPT);
    }
}

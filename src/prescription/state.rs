//! The life of a prescription: one transition table decides every change and every displayed state
//! (invariant 2). Pure: the time is an argument, and nothing here knows how a state is stored or shown.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::identifier::InstitutionCode;
use crate::clock::japanese_date;

/// Each later use of a refill prescription (リフィル) happens within this many days before or after its due date.
pub const REFILL_WINDOW: Days = Days::new(7);

/// Everything that decides what may happen to a prescription next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// 使用期間, first day to last day, both inclusive. Governs the first use only.
    pub valid_until: NaiveDate,
    /// 総使用回数 and how many uses are complete.
    pub uses: Uses,
    /// Where it stands.
    pub state: State,
}

/// Uses of a prescription. An ordinary one allows a single use, a refill prescription up to three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses {
    /// How often the prescription may be dispensed in full.
    pub allowed: u8,
    /// How often it has been.
    pub done: u8,
}

/// A state with its facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// 未受付: waiting for a pharmacy. `due` is 次回調剤予定日 once a refill has been dispensed before.
    Issued {
        /// The next due date of a refill prescription.
        due: Option<NaiveDate>,
    },
    /// 調剤中: one pharmacy holds it.
    Accepted {
        /// The pharmacy.
        holder: InstitutionCode,
        /// When the lease falls back unless it is renewed or something has been dispensed.
        lease_end: DateTime<Utc>,
        /// The due date this use answers to, kept for a return.
        due: Option<NaiveDate>,
        /// Whether part of this use has been dispensed.
        partly: bool,
    },
    /// 調剤済.
    Dispensed {
        /// The pharmacy that dispensed last.
        by: InstitutionCode,
    },
    /// 取消.
    Cancelled,
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// 取消 by the issuing clinic.
    Cancel,
    /// 受付 by a pharmacy, with the lease it gets.
    Accept {
        /// The pharmacy.
        by: InstitutionCode,
        /// How long it may hold the prescription.
        lease: TimeDelta,
    },
    /// A longer lease for the holder.
    Renew {
        /// The pharmacy.
        by: InstitutionCode,
        /// How long from now.
        lease: TimeDelta,
    },
    /// 受付取消 by the holder.
    Return {
        /// The pharmacy.
        by: InstitutionCode,
    },
    /// 調剤結果登録 by the holder.
    Dispense {
        /// The pharmacy.
        by: InstitutionCode,
        /// 調剤日.
        on: NaiveDate,
        /// 調剤日数, the longest of the document; decides the next due date of a refill.
        days_supplied: u16,
        /// Whether this use is now complete.
        complete: bool,
    },
}

/// Why an act is refused. Each variant is one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Another pharmacy holds the prescription, or the clinic wants to cancel what a pharmacy holds.
    #[error("a pharmacy holds this prescription")]
    HeldByPharmacy,
    /// Something has been dispensed.
    #[error("this prescription has been dispensed")]
    AlreadyDispensed,
    /// The clinic has cancelled it.
    #[error("this prescription has been cancelled")]
    Cancelled,
    /// The use period, or the window of a refill, has passed.
    #[error("the use period of this prescription has passed")]
    Expired,
    /// The window of the next refill has not opened.
    #[error("the next use of this refill prescription is not yet due")]
    NotYetDue,
    /// The caller does not hold the prescription now: its lease has ended, or it never had one.
    #[error("you do not hold this prescription now; accept it again")]
    NotHeld,
}

/// What a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Waiting for its first use.
    Issued,
    /// Waiting for the next use of a refill.
    AwaitingNextUse,
    /// Held, nothing dispensed in this use.
    Accepted,
    /// Held, part of this use dispensed.
    PartlyDispensed,
    /// Complete.
    Dispensed,
    /// Cancelled by the clinic.
    Cancelled,
    /// Its time has passed unused; computed, never stored.
    Expired,
}

impl Life {
    /// A newly registered prescription.
    pub fn issued(valid_until: NaiveDate, uses_allowed: u8) -> Self {
        Self {
            valid_until,
            uses: Uses { allowed: uses_allowed, done: 0 },
            state: State::Issued { due: None },
        }
    }

    /// The life as it is at `now`: a lease that has ended with nothing dispensed has fallen back.
    fn at(mut self, now: DateTime<Utc>) -> Self {
        if let State::Accepted { lease_end, due, partly: false, .. } = self.state
            && lease_end <= now
        {
            self.state = State::Issued { due };
        }
        self
    }

    /// What a reader is shown at `now`.
    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        let life = self.clone().at(now);
        match life.state {
            State::Issued { .. } if life.has_expired(now) => Shown::Expired,
            State::Issued { due: None } => Shown::Issued,
            State::Issued { due: Some(_) } => Shown::AwaitingNextUse,
            State::Accepted { partly: false, .. } => Shown::Accepted,
            State::Accepted { partly: true, .. } => Shown::PartlyDispensed,
            State::Dispensed { .. } => Shown::Dispensed,
            State::Cancelled => Shown::Cancelled,
        }
    }

    /// The pharmacy that may act on the prescription at `now`: the holder, or who dispensed it.
    pub fn pharmacy(&self, now: DateTime<Utc>) -> Option<InstitutionCode> {
        match self.clone().at(now).state {
            State::Accepted { holder, .. } => Some(holder),
            State::Dispensed { by } => Some(by),
            State::Issued { .. } | State::Cancelled => None,
        }
    }

    /// The end of the present lease.
    pub fn lease_end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.clone().at(now).state {
            State::Accepted { lease_end, .. } => Some(lease_end),
            _ => None,
        }
    }

    /// The last day on which a pharmacy may accept it.
    pub fn acceptable_until(&self) -> NaiveDate {
        match self.state {
            State::Issued { due: Some(due) } | State::Accepted { due: Some(due), .. } => due + REFILL_WINDOW,
            _ => self.valid_until,
        }
    }

    fn has_expired(&self, now: DateTime<Utc>) -> bool {
        japanese_date(now) > self.acceptable_until()
    }

    /// The transition table.
    ///
    /// # Errors
    ///
    /// The rule that refuses the act; the life is then unchanged.
    #[expect(clippy::match_same_arms, reason = "the table is read by state, then by act")]
    pub fn after(&self, act: &Act, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let life = self.clone().at(now);
        let state = match (life.state.clone(), act) {
            (
                State::Dispensed { .. },
                Act::Renew { by, .. } | Act::Return { by } | Act::Dispense { by, .. },
            ) if self.pharmacy(now).as_ref() != Some(by) => {
                return Err(Refusal::NotHeld);
            }
            (State::Dispensed { .. }, _) => return Err(Refusal::AlreadyDispensed),
            (State::Cancelled, _) => return Err(Refusal::Cancelled),

            (State::Issued { .. }, Act::Renew { .. } | Act::Return { .. } | Act::Dispense { .. }) => {
                return Err(Refusal::NotHeld);
            }
            (State::Issued { .. }, Act::Cancel) if life.uses.done > 0 => {
                return Err(Refusal::AlreadyDispensed);
            }
            (State::Issued { .. }, _) if life.has_expired(now) => return Err(Refusal::Expired),
            (State::Issued { due: Some(due) }, Act::Accept { .. })
                if japanese_date(now) < due - REFILL_WINDOW =>
            {
                return Err(Refusal::NotYetDue);
            }
            (State::Issued { .. }, Act::Cancel) => State::Cancelled,
            (State::Issued { due }, Act::Accept { by, lease }) => {
                State::Accepted { holder: by.clone(), lease_end: now + *lease, due, partly: false }
            }

            (State::Accepted { partly: true, .. }, Act::Cancel) => return Err(Refusal::AlreadyDispensed),
            (State::Accepted { .. }, Act::Cancel) => return Err(Refusal::HeldByPharmacy),
            // The holder accepting again is told the same as the first time; nothing changes.
            (State::Accepted { holder, .. }, Act::Accept { by, .. }) if holder == *by => life.state.clone(),
            (State::Accepted { .. }, Act::Accept { .. }) => return Err(Refusal::HeldByPharmacy),
            (
                State::Accepted { holder, .. },
                Act::Renew { by, .. } | Act::Return { by } | Act::Dispense { by, .. },
            ) if holder != *by => return Err(Refusal::NotHeld),
            (State::Accepted { holder, due, partly, lease_end }, Act::Renew { lease, .. }) => {
                State::Accepted { holder, due, partly, lease_end: lease_end.max(now + *lease) }
            }
            (State::Accepted { partly: true, .. }, Act::Return { .. }) => {
                return Err(Refusal::AlreadyDispensed);
            }
            (State::Accepted { due, .. }, Act::Return { .. }) => State::Issued { due },
            (State::Accepted { holder, due, lease_end, .. }, Act::Dispense { complete: false, .. }) => {
                State::Accepted { holder, due, lease_end, partly: true }
            }
            (State::Accepted { holder, .. }, Act::Dispense { on, days_supplied, .. }) => {
                let uses = Uses { done: life.uses.done + 1, ..life.uses };
                let state = if uses.done < uses.allowed {
                    State::Issued { due: Some(*on + Days::new(u64::from(*days_supplied))) }
                } else {
                    State::Dispensed { by: holder }
                };
                return Ok(Self { uses, state, ..life });
            }
        };
        Ok(Self { state, ..life })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pharmacy(n: u8) -> InstitutionCode {
        format!("13412345{n:02}").parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const LEASE: TimeDelta = TimeDelta::days(7);

    fn accept(n: u8) -> Act {
        Act::Accept { by: pharmacy(n), lease: LEASE }
    }

    fn dispense(n: u8, on: &str) -> Act {
        Act::Dispense { by: pharmacy(n), on: on.parse().unwrap(), days_supplied: 28, complete: true }
    }

    fn ordinary() -> Life {
        Life::issued("2026-04-04".parse().unwrap(), 1)
    }

    #[test]
    fn the_main_job() {
        let now = at("2026-04-01T03:00:00Z");
        let accepted = ordinary().after(&accept(1), now).unwrap();
        assert_eq!(accepted.shown(now), Shown::Accepted);
        assert_eq!(accepted.after(&accept(2), now), Err(Refusal::HeldByPharmacy));
        assert_eq!(accepted.after(&Act::Cancel, now), Err(Refusal::HeldByPharmacy));
        let dispensed = accepted.after(&dispense(1, "2026-04-01"), now).unwrap();
        assert_eq!(dispensed.shown(now), Shown::Dispensed);
        assert_eq!(dispensed.after(&Act::Cancel, now), Err(Refusal::AlreadyDispensed));
        assert_eq!(dispensed.after(&Act::Return { by: pharmacy(1) }, now), Err(Refusal::AlreadyDispensed));
    }

    #[test]
    fn the_use_period_ends_with_its_last_japanese_day() {
        let last = at("2026-04-04T14:59:59Z");
        let passed = at("2026-04-04T15:00:00Z");
        assert_eq!(ordinary().shown(last), Shown::Issued);
        assert!(ordinary().after(&accept(1), last).is_ok());
        assert_eq!(ordinary().shown(passed), Shown::Expired);
        assert_eq!(ordinary().after(&accept(1), passed), Err(Refusal::Expired));
        assert_eq!(ordinary().after(&Act::Cancel, passed), Err(Refusal::Expired));
    }

    #[test]
    fn a_lease_falls_back_unless_something_was_dispensed() {
        let now = at("2026-04-01T03:00:00Z");
        let held = ordinary().after(&accept(1), now).unwrap();
        let later = now + LEASE;
        assert_eq!(held.shown(later), Shown::Expired);
        assert_eq!(held.after(&dispense(1, "2026-04-08"), later), Err(Refusal::NotHeld));
        let renewed =
            held.after(&Act::Renew { by: pharmacy(1), lease: LEASE }, now + TimeDelta::days(6)).unwrap();
        assert_eq!(renewed.shown(later), Shown::Accepted);
        let part = Act::Dispense {
            by: pharmacy(1),
            on: "2026-04-01".parse().unwrap(),
            days_supplied: 14,
            complete: false,
        };
        let partly = held.after(&part, now).unwrap();
        assert_eq!(partly.shown(later), Shown::PartlyDispensed);
        assert_eq!(partly.after(&Act::Return { by: pharmacy(1) }, now), Err(Refusal::AlreadyDispensed));
    }

    #[test]
    fn a_refill_is_due_within_seven_days_of_its_date() {
        let now = at("2026-04-01T03:00:00Z");
        let refill = Life::issued("2026-04-04".parse().unwrap(), 3);
        let first = refill.after(&accept(1), now).unwrap().after(&dispense(1, "2026-04-01"), now).unwrap();
        assert_eq!(first.state, State::Issued { due: Some("2026-04-29".parse().unwrap()) });
        assert_eq!(first.shown(now), Shown::AwaitingNextUse);
        assert_eq!(first.after(&accept(2), at("2026-04-21T03:00:00Z")), Err(Refusal::NotYetDue));
        assert!(first.after(&accept(2), at("2026-04-22T03:00:00Z")).is_ok());
        assert!(first.after(&accept(2), at("2026-05-06T03:00:00Z")).is_ok());
        assert_eq!(first.after(&accept(2), at("2026-05-07T03:00:00Z")), Err(Refusal::Expired));
        assert_eq!(first.after(&Act::Cancel, now), Err(Refusal::AlreadyDispensed));
    }

    fn any_act() -> impl Strategy<Value = Act> {
        let who = 1u8..4;
        prop_oneof![
            Just(Act::Cancel),
            who.clone().prop_map(accept),
            who.clone().prop_map(|n| Act::Renew { by: pharmacy(n), lease: LEASE }),
            who.clone().prop_map(|n| Act::Return { by: pharmacy(n) }),
            (who, 0u16..90, any::<bool>(), 0u64..60).prop_map(|(n, days_supplied, complete, day)| {
                Act::Dispense {
                    by: pharmacy(n),
                    on: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap() + Days::new(day),
                    days_supplied,
                    complete,
                }
            }),
        ]
    }

    proptest! {
        /// Whatever happens: finished stays finished, uses never exceed what is allowed, only the holder changes
        /// what is held, and what is shown agrees with what the next accept meets.
        #[test]
        fn the_table_keeps_its_promises(
            uses in 1u8..=3,
            steps in prop::collection::vec((any_act(), 0i64..400), 1..40),
        ) {
            let mut now = at("2026-04-01T00:00:00Z");
            let mut life = Life::issued("2026-04-04".parse().unwrap(), uses);
            for (act, hours) in steps {
                now += TimeDelta::hours(hours);
                let before = life.clone();
                let shown = before.shown(now);
                if let Ok(after) = before.after(&act, now) {
                    prop_assert!(!matches!(shown, Shown::Dispensed | Shown::Cancelled | Shown::Expired));
                    prop_assert!(after.uses.done <= after.uses.allowed);
                    prop_assert!(after.uses.done >= before.uses.done);
                    life = after;
                }
                let outsider = life.after(&accept(9), now);
                let expected = match life.shown(now) {
                    Shown::AwaitingNextUse if outsider == Err(Refusal::NotYetDue) => Err(Refusal::NotYetDue),
                    Shown::Issued | Shown::AwaitingNextUse => Ok(()),
                    Shown::Accepted | Shown::PartlyDispensed => Err(Refusal::HeldByPharmacy),
                    Shown::Dispensed => Err(Refusal::AlreadyDispensed),
                    Shown::Cancelled => Err(Refusal::Cancelled),
                    Shown::Expired => Err(Refusal::Expired),
                };
                prop_assert_eq!(outsider.map(drop), expected);
            }
        }
    }
}

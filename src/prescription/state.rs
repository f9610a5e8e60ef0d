//! The life of a prescription: one transition table decides every change and every displayed state
//! (invariant 2). Pure: the time is an argument, and nothing here knows how a state is stored or shown.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::identifier::InstitutionCode;
use super::result::{DispensingEntry, Results, Standing};
use crate::clock::japanese_date;

#[cfg(test)]
mod tests;

/// Each later use of a refill prescription (リフィル), and each later part of a split one (分割), is accepted within
/// this many days before or after its due date.
pub const DUE_WINDOW: Days = Days::new(7);

/// Everything that decides what may happen to a prescription next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// How it was issued.
    pub kind: Kind,
    /// For how long and how often it may be used.
    pub terms: Terms,
    /// Where it stands.
    pub state: State,
    /// What was dispensed on it.
    pub results: Results,
}

/// 発行形態.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 電子: the signed document is the original.
    Electronic,
    /// 紙, 登録あり: the original is on paper; what is registered is its unsigned copy.
    Paper,
    /// 院内: prescribed and given out by the same clinic or hospital; unsigned.
    InHouse,
}

/// What the document allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Last day of 使用期間. Governs the first use only.
    pub valid_until: NaiveDate,
    /// When the first use falls due: of a later part of a split prescription only.
    pub first_due: Option<NaiveDate>,
    /// 総使用回数: 1, of a refill prescription up to 3.
    pub uses_allowed: u8,
}

/// A state with its facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// 未受付: waiting for a pharmacy.
    Issued,
    /// 調剤中: one pharmacy holds it.
    Accepted {
        /// The pharmacy.
        holder: InstitutionCode,
        /// When the lease falls back unless it is renewed or something has been dispensed.
        lease_end: DateTime<Utc>,
    },
    /// 調剤済.
    Dispensed {
        /// The pharmacy that dispensed last; of an in-house prescription its clinic.
        by: InstitutionCode,
    },
    /// 取消.
    Cancelled,
    /// 回収.
    Collected {
        /// The pharmacy.
        by: InstitutionCode,
    },
}

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// 処方箋取消 by the issuing clinic.
    Cancel,
    /// 処方箋変更 by the issuing clinic, to what the new document allows.
    Amend(Terms),
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
    /// 回収 by the holder: nothing more will be dispensed on it.
    Collect {
        /// The pharmacy.
        by: InstitutionCode,
    },
    /// 調剤結果登録 by the holder.
    Dispense {
        /// The pharmacy.
        by: InstitutionCode,
        /// What the document says.
        supply: Dispensed,
        /// Whether this use is now complete.
        complete: bool,
    },
    /// 調剤結果変更 by the pharmacy of that result.
    AmendDispense {
        /// The pharmacy.
        by: InstitutionCode,
        /// Number of the document it replaces.
        result: i16,
        /// What the new document says.
        supply: Dispensed,
    },
    /// 調剤結果取消 by the pharmacy of that result.
    WithdrawDispense {
        /// The pharmacy.
        by: InstitutionCode,
        /// Number of the document.
        result: i16,
        /// How long it then holds the prescription at least.
        lease: TimeDelta,
    },
}

/// What is known of a dispensing document where the prescription stands; day and days decide the next due date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispensed {
    /// 調剤日.
    pub on: NaiveDate,
    /// 調剤日数, the longest of the document.
    pub days: u16,
    /// 重要情報: the pharmacist asks the physician to read it.
    pub important: bool,
}

/// Why an act is refused. Each variant is one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A pharmacy holds the prescription, and it is not the caller, or not for this use.
    #[error("a pharmacy holds this prescription")]
    HeldByPharmacy,
    /// Something has been dispensed.
    #[error("this prescription has been dispensed")]
    AlreadyDispensed,
    /// The clinic has cancelled it.
    #[error("this prescription has been cancelled")]
    Cancelled,
    /// The pharmacy that held it has collected it.
    #[error("this prescription has been collected")]
    Collected,
    /// The use period, or the window of a refill, has passed.
    #[error("the use period of this prescription has passed")]
    Expired,
    /// The window of the next refill or part has not opened.
    #[error("the next use of this prescription is not yet due")]
    NotYetDue,
    /// The caller does not hold the prescription now: its lease has ended, or it never had one.
    #[error("you do not hold this prescription now; accept it again")]
    NotHeld,
    /// The dispensing result is not the caller's, or no longer stands.
    #[error("you have no such dispensing result in force")]
    NoSuchResult,
    /// A later dispensing result stands.
    #[error("a later dispensing result stands; withdraw that one first")]
    LaterResult,
    /// It has as many dispensing documents as are kept.
    #[error("this prescription has too many dispensing results")]
    TooManyResults,
}

/// What a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Waiting for its first use.
    Issued,
    /// Waiting for the next use of a refill, or a later part of a split.
    AwaitingNextUse,
    /// Held, nothing dispensed in this use.
    Accepted,
    /// Held, part of this use dispensed.
    PartlyDispensed,
    /// Complete.
    Dispensed,
    /// Cancelled by the clinic.
    Cancelled,
    /// Collected by the pharmacy that held it.
    Collected,
    /// Its time has passed unused; computed, never stored.
    Expired,
}

/// How far the present use has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing was dispensed.
    Nothing,
    /// All that was dispensed was withdrawn: the holder keeps it, for there is no telling who has the medicine.
    Withdrawn,
    /// Part of it was dispensed.
    Part,
}

impl Life {
    /// A newly registered prescription for pharmacies.
    pub fn issued(kind: Kind, terms: Terms) -> Self {
        Self { kind, terms, state: State::Issued, results: Results::default() }
    }

    /// A newly registered in-house prescription, given out by its clinic.
    pub fn given_in_house(by: InstitutionCode, terms: Terms) -> Self {
        Self { state: State::Dispensed { by }, ..Self::issued(Kind::InHouse, terms) }
    }

    /// The life as it is at `now`: a lease that has ended with nothing dispensed has fallen back.
    fn at(mut self, now: DateTime<Utc>) -> Self {
        if let State::Accepted { lease_end, .. } = self.state
            && lease_end <= now
            && self.progress() == Progress::Nothing
        {
            self.state = State::Issued;
        }
        self
    }

    fn present_use(&self) -> u8 {
        self.results.uses_done().saturating_add(1)
    }

    fn progress(&self) -> Progress {
        if self.results.parts(self.present_use()) > 0 {
            Progress::Part
        } else if self.results.withdrawn(self.present_use()) {
            Progress::Withdrawn
        } else {
            Progress::Nothing
        }
    }

    /// What a reader is shown at `now`.
    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        let life = self.clone().at(now);
        match life.state {
            State::Issued if life.has_expired(now) => Shown::Expired,
            State::Issued if life.due().is_some() => Shown::AwaitingNextUse,
            State::Issued => Shown::Issued,
            State::Accepted { .. } if life.progress() == Progress::Part => Shown::PartlyDispensed,
            State::Accepted { .. } => Shown::Accepted,
            State::Dispensed { .. } => Shown::Dispensed,
            State::Cancelled => Shown::Cancelled,
            State::Collected { .. } => Shown::Collected,
        }
    }

    /// The pharmacy that may act on the prescription at `now`: the holder, or who dispensed or collected it.
    pub fn pharmacy(&self, now: DateTime<Utc>) -> Option<InstitutionCode> {
        self.clone().at(now).last_pharmacy().cloned()
    }

    /// The pharmacy that held it last, whether or not its lease has ended since.
    pub fn last_pharmacy(&self) -> Option<&InstitutionCode> {
        match &self.state {
            State::Accepted { holder, .. } => Some(holder),
            State::Dispensed { by } | State::Collected { by } => Some(by),
            State::Issued | State::Cancelled => None,
        }
    }

    /// The end of the present lease.
    pub fn lease_end(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.clone().at(now).state {
            State::Accepted { lease_end, .. } => Some(lease_end),
            _ => None,
        }
    }

    /// 次回調剤予定日: when the present use falls due, where it has such a day.
    pub fn due(&self) -> Option<NaiveDate> {
        match self.results.uses_done() {
            0 => self.terms.first_due,
            done => self.results.due_after(done),
        }
    }

    /// The last day on which a pharmacy may accept it.
    pub fn acceptable_until(&self) -> NaiveDate {
        match (&self.state, self.results.uses_done(), self.due()) {
            (State::Issued | State::Accepted { .. }, 1.., Some(due)) => due + DUE_WINDOW,
            _ => self.terms.valid_until,
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
    pub fn after(&self, act: &Act, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let life = self.clone().at(now);
        if let Act::AmendDispense { by, result, supply } = act {
            return life.result_amended(by, *result, *supply);
        }
        match life.state.clone() {
            State::Issued => life.issued_after(act, now),
            State::Accepted { holder, lease_end } => life.accepted_after(&holder, lease_end, act, now),
            State::Dispensed { by } => life.dispensed_after(&by, act, now),
            State::Cancelled => Err(Refusal::Cancelled),
            State::Collected { .. } => Err(Refusal::Collected),
        }
    }

    fn issued_after(self, act: &Act, now: DateTime<Utc>) -> Result<Self, Refusal> {
        match act {
            Act::Renew { .. } | Act::Return { .. } | Act::Collect { .. } | Act::Dispense { .. } => {
                Err(Refusal::NotHeld)
            }
            Act::AmendDispense { .. } => Err(Refusal::NoSuchResult),
            Act::Cancel | Act::Amend(_) if self.results.uses_done() > 0 => Err(Refusal::AlreadyDispensed),
            _ if self.has_expired(now) => Err(Refusal::Expired),
            Act::Cancel => Ok(self.become_state(State::Cancelled)),
            Act::Amend(terms) => Ok(Self { terms: *terms, ..self }),
            Act::Accept { .. } if self.due().is_some_and(|due| japanese_date(now) < due - DUE_WINDOW) => {
                Err(Refusal::NotYetDue)
            }
            Act::Accept { by, lease } => {
                Ok(self.become_state(State::Accepted { holder: by.clone(), lease_end: now + *lease }))
            }
            Act::WithdrawDispense { by, result, lease } => self.withdrawn(by, *result, now + *lease),
        }
    }

    #[expect(clippy::match_same_arms, reason = "the table is read by act, then by rule")]
    fn accepted_after(
        self,
        holder: &InstitutionCode,
        lease_end: DateTime<Utc>,
        act: &Act,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let progress = self.progress();
        match act {
            Act::Cancel | Act::Amend(_) if progress == Progress::Part => Err(Refusal::AlreadyDispensed),
            Act::Cancel | Act::Amend(_) => Err(Refusal::HeldByPharmacy),
            // The holder accepting again is told the same as the first time; nothing changes.
            Act::Accept { by, .. } if by == holder => Ok(self),
            Act::Accept { .. } => Err(Refusal::HeldByPharmacy),
            Act::Renew { by, .. } | Act::Return { by } | Act::Collect { by } | Act::Dispense { by, .. }
                if by != holder =>
            {
                Err(Refusal::NotHeld)
            }
            Act::Renew { lease, .. } => Ok(self.held_by(holder, lease_end.max(now + *lease))),
            Act::Return { .. } if progress != Progress::Nothing => Err(Refusal::AlreadyDispensed),
            Act::Return { .. } => Ok(self.become_state(State::Issued)),
            Act::Collect { by } => Ok(self.become_state(State::Collected { by: by.clone() })),
            Act::Dispense { by, supply, complete } => self.dispensed(by, *supply, *complete),
            Act::AmendDispense { .. } => Err(Refusal::NoSuchResult),
            // A result of an earlier use cannot be withdrawn under the feet of the present one.
            Act::WithdrawDispense { .. } if progress != Progress::Part => Err(Refusal::HeldByPharmacy),
            Act::WithdrawDispense { by, result, lease } => {
                self.withdrawn(by, *result, lease_end.max(now + *lease))
            }
        }
    }

    fn dispensed_after(self, by: &InstitutionCode, act: &Act, now: DateTime<Utc>) -> Result<Self, Refusal> {
        match act {
            Act::Cancel if self.kind == Kind::InHouse => Ok(self.become_state(State::Cancelled)),
            Act::Amend(terms) if self.kind == Kind::InHouse => Ok(Self { terms: *terms, ..self }),
            Act::Renew { by: caller, .. }
            | Act::Return { by: caller }
            | Act::Collect { by: caller }
            | Act::Dispense { by: caller, .. }
                if caller != by =>
            {
                Err(Refusal::NotHeld)
            }
            Act::WithdrawDispense { by, result, lease } => self.withdrawn(by, *result, now + *lease),
            _ => Err(Refusal::AlreadyDispensed),
        }
    }

    fn become_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    fn held_by(self, holder: &InstitutionCode, lease_end: DateTime<Utc>) -> Self {
        self.become_state(State::Accepted { holder: holder.clone(), lease_end })
    }

    fn dispensed(mut self, by: &InstitutionCode, supply: Dispensed, complete: bool) -> Result<Self, Refusal> {
        if self.results.is_full() {
            return Err(Refusal::TooManyResults);
        }
        let use_number = self.present_use();
        self.results.add(DispensingEntry {
            by: by.clone(),
            on: supply.on,
            days_supplied: supply.days,
            use_number,
            part: self.results.parts(use_number).saturating_add(1),
            complete,
            important: supply.important,
            standing: Standing::Valid,
        });
        if complete {
            let last = use_number >= self.terms.uses_allowed;
            self.state = if last { State::Dispensed { by: by.clone() } } else { State::Issued };
        }
        Ok(self)
    }

    /// A correction of what was dispensed is possible as long as the result stands, wherever the prescription is.
    fn result_amended(
        mut self,
        by: &InstitutionCode,
        result: i16,
        supply: Dispensed,
    ) -> Result<Self, Refusal> {
        let entry = self.results.own(result, by).ok_or(Refusal::NoSuchResult)?.clone();
        if self.results.is_full() {
            return Err(Refusal::TooManyResults);
        }
        self.results.mark(result, Standing::Replaced);
        let Dispensed { on, days, important } = supply;
        self.results.add(DispensingEntry { on, days_supplied: days, important, ..entry });
        Ok(self)
    }

    fn withdrawn(
        mut self,
        by: &InstitutionCode,
        result: i16,
        lease_end: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        self.results.own(result, by).ok_or(Refusal::NoSuchResult)?;
        if self.results.last().is_some_and(|(last, _)| last != result) {
            return Err(Refusal::LaterResult);
        }
        self.results.mark(result, Standing::Withdrawn);
        Ok(self.held_by(by, lease_end))
    }
}

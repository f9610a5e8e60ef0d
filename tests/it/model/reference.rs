//! The reference model: the life of one prescription in other terms than the exchange's table.

use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use hikikae::clock::japanese_date;
use hikikae::prescription::registered::ExchangeNumber;
use hikikae::prescription::state::{Kind, Refusal, Shown};
use hikikae::store::PrescriptionId;

use super::{CLINICS, What};
use crate::world::Rx;

pub const LEASE: TimeDelta = TimeDelta::days(7);
const WINDOW: Days = Days::new(7);

/// Why the model says an act does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    Refused(Refusal),
    NotFound,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Where a prescription is; a pharmacy is its place in the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Waiting,
    With(usize, DateTime<Utc>),
    Done(usize),
    InHouse,
    Cancelled,
    Collected(usize),
}

/// A result, with what undoing it brings back.
#[derive(Clone, Debug)]
pub struct Given {
    pub by: usize,
    pub live: bool,
    pub complete: bool,
    pub important: bool,
    pub of_use: u8,
    pub part: u8,
    pub due_before: Option<NaiveDate>,
}

/// What the model keeps of one prescription.
#[derive(Clone, Debug)]
pub struct Ref {
    pub id: PrescriptionId,
    pub number: Option<ExchangeNumber>,
    pub clinic: usize,
    pub patient: u32,
    pub kind: Kind,
    pub rx: Rx,
    pub version: i64,
    pub originals: Vec<Bytes>,
    pub last_day: NaiveDate,
    pub due: Option<NaiveDate>,
    pub uses: u8,
    pub used: u8,
    pub place: Place,
    /// Something of the present use was given out, whether or not it was taken back.
    pub touched: bool,
    pub results: Vec<Given>,
    pub result_documents: Vec<Bytes>,
    /// Media type and bytes.
    pub delivered: (String, Vec<u8>),
}

impl Ref {
    /// The numbers of the results that stand and that the physician is asked to read.
    pub fn important(&self) -> Vec<i16> {
        let numbered = (1..).zip(&self.results);
        numbered.filter(|(_, given)| given.live && given.important).map(|(number, _)| number).collect()
    }

    fn live_parts(&self, of_use: u8) -> u8 {
        let count = self.results.iter().filter(|given| given.live && given.of_use == of_use).count();
        u8::try_from(count).unwrap()
    }

    pub fn place(&self, now: DateTime<Utc>) -> Place {
        match &self.place {
            Place::With(_, end) if !self.touched && *end <= now => Place::Waiting,
            place => place.clone(),
        }
    }

    /// The last day of the present use.
    pub fn ends(&self) -> NaiveDate {
        if self.used == 0 { self.last_day } else { self.due.unwrap() + WINDOW }
    }

    pub fn shown(&self, now: DateTime<Utc>) -> Shown {
        match self.place(now) {
            Place::Waiting if japanese_date(now) > self.ends() => Shown::Expired,
            Place::Waiting if self.due.is_some() => Shown::AwaitingNextUse,
            Place::Waiting => Shown::Issued,
            Place::With(..) if self.live_parts(self.used + 1) > 0 => Shown::PartlyDispensed,
            Place::With(..) => Shown::Accepted,
            Place::Done(_) | Place::InHouse => Shown::Dispensed,
            Place::Cancelled => Shown::Cancelled,
            Place::Collected(_) => Shown::Collected,
        }
    }

    fn known_to(&self, pharmacy: usize) -> bool {
        let last = match self.place {
            Place::With(by, _) | Place::Done(by) | Place::Collected(by) => Some(by),
            Place::Waiting | Place::InHouse | Place::Cancelled => None,
        };
        last == Some(pharmacy) || self.results.iter().any(|given| given.by == pharmacy)
    }

    /// The terms of a document issued on a day.
    pub fn put(&mut self, rx: &Rx, original: Bytes) {
        let ordinary = rx.issued_on + Days::new(3);
        let due =
            rx.part.filter(|part| *part > 1).map(|part| rx.issued_on + Days::new(14 * (u64::from(part) - 1)));
        (self.last_day, self.due) = match (rx.usable_until, due) {
            (Some(end), Some(due)) if end + WINDOW >= due => (end, Some(due)),
            (Some(end), _) => (end, None),
            (None, Some(due)) => (due + WINDOW, Some(due)),
            (None, None) => (ordinary, None),
        };
        self.uses = rx.refill.unwrap_or(1);
        self.rx = rx.clone();
        self.originals.push(original);
    }

    /// The result an act names: the pharmacy's last one, in the order of uses and parts, unless it gives a number.
    fn named(&self, result: Option<i16>, by: usize) -> Option<usize> {
        let own = |index: &usize| self.results[*index].live && self.results[*index].by == by;
        let order = |index: &usize| (self.results[*index].of_use, self.results[*index].part);
        match result {
            Some(number) => (0..self.results.len())
                .filter(own)
                .find(|index| *index + 1 == usize::try_from(number).unwrap()),
            None => (0..self.results.len()).filter(own).max_by_key(order),
        }
    }

    fn issuers_act(&self, clinic: usize, now: DateTime<Utc>) -> Result<(), No> {
        if clinic != self.clinic {
            return Err(No::NotFound);
        }
        match (self.place(now), self.shown(now)) {
            (Place::InHouse, _) => Ok(()),
            (Place::Done(_), _) | (_, Shown::PartlyDispensed) => Err(Refusal::AlreadyDispensed.into()),
            (Place::Waiting, _) if self.used > 0 => Err(Refusal::AlreadyDispensed.into()),
            (Place::Waiting, Shown::Expired) => Err(Refusal::Expired.into()),
            (Place::Waiting, _) => Ok(()),
            (Place::With(..), _) => Err(Refusal::HeldByPharmacy.into()),
            (Place::Cancelled, _) => Err(Refusal::Cancelled.into()),
            (Place::Collected(_), _) => Err(Refusal::Collected.into()),
        }
    }

    fn holders_act(&self, by: usize, now: DateTime<Utc>) -> Result<DateTime<Utc>, No> {
        if !self.known_to(by) {
            return Err(No::NotFound);
        }
        match self.place(now) {
            Place::With(holder, end) if holder == by => Ok(end),
            Place::Done(dispenser) if dispenser == by => Err(Refusal::AlreadyDispensed.into()),
            Place::Cancelled => Err(Refusal::Cancelled.into()),
            Place::Collected(_) => Err(Refusal::Collected.into()),
            Place::Waiting | Place::With(..) | Place::Done(_) | Place::InHouse => {
                Err(Refusal::NotHeld.into())
            }
        }
    }

    /// The prescription after an act; `rx` is what an amendment says.
    #[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
    pub fn after(&self, what: What, by: usize, rx: Option<&Rx>, now: DateTime<Utc>) -> Result<Self, No> {
        let mut next = self.clone();
        next.version += 1;
        next.place = self.place(now);
        let today = japanese_date(now);
        match what {
            What::Cancel => {
                self.issuers_act(by % CLINICS.len(), now)?;
                next.place = Place::Cancelled;
            }
            What::Amend(_) => {
                self.issuers_act(by % CLINICS.len(), now)?;
                next.put(rx.unwrap(), Bytes::new());
            }
            What::Accept => match (self.place(now), self.shown(now)) {
                (Place::InHouse, _) => return Err(No::NotFound),
                _ if self.number.is_none() => return Err(No::NotFound),
                (Place::With(holder, _), _) if holder == by => return Ok(self.clone()),
                (Place::With(..), _) => return Err(Refusal::HeldByPharmacy.into()),
                (Place::Done(_), _) => return Err(Refusal::AlreadyDispensed.into()),
                (Place::Cancelled, _) => return Err(Refusal::Cancelled.into()),
                (Place::Collected(_), _) => return Err(Refusal::Collected.into()),
                (Place::Waiting, Shown::Expired) => return Err(Refusal::Expired.into()),
                (Place::Waiting, _) if self.due.is_some_and(|due| today + WINDOW < due) => {
                    return Err(Refusal::NotYetDue.into());
                }
                (Place::Waiting, _) => (next.place, next.touched) = (Place::With(by, now + LEASE), false),
            },
            What::Renew => next.place = Place::With(by, self.holders_act(by, now)?.max(now + LEASE)),
            What::Return => {
                self.holders_act(by, now)?;
                if self.touched {
                    return Err(Refusal::AlreadyDispensed.into());
                }
                next.place = Place::Waiting;
            }
            What::Collect => {
                self.holders_act(by, now)?;
                next.place = Place::Collected(by);
            }
            What::Dispense { complete, important, form: _ } => {
                self.holders_act(by, now)?;
                let of_use = self.used + 1;
                let (part, due_before) = (self.live_parts(of_use) + 1, self.due);
                next.results.push(Given { by, live: true, complete, important, of_use, part, due_before });
                next.touched = true;
                if complete {
                    next.used += 1;
                    next.due = Some(today + Days::new(u64::from(self.rx.days)));
                    next.place = if next.used < self.uses { Place::Waiting } else { Place::Done(by) };
                }
            }
            What::AmendDispense { result, important, form: _ } => {
                if !self.known_to(by) {
                    return Err(No::NotFound);
                }
                let named = self.named(result, by).ok_or(Refusal::NoSuchResult)?;
                next.results[named].live = false;
                let given = Given { live: true, important, ..self.results[named].clone() };
                let due = Some(today + Days::new(u64::from(self.rx.days)));
                if given.complete {
                    for later in next.results.iter_mut().filter(|later| later.of_use == given.of_use + 1) {
                        later.due_before = due;
                    }
                    if given.of_use == self.used {
                        next.due = due;
                    }
                }
                next.results.push(given);
            }
            What::Withdraw { result } => {
                if !self.known_to(by) {
                    return Err(No::NotFound);
                }
                if result.is_none() && self.named(None, by).is_none() {
                    return Err(Refusal::NoSuchResult.into());
                }
                let end = match (self.place(now), self.shown(now)) {
                    (Place::Cancelled, _) => return Err(Refusal::Cancelled.into()),
                    (Place::Collected(_), _) => return Err(Refusal::Collected.into()),
                    (_, Shown::Expired) => return Err(Refusal::Expired.into()),
                    (Place::With(..), Shown::Accepted) => return Err(Refusal::HeldByPharmacy.into()),
                    (Place::With(_, end), _) => end.max(now + LEASE),
                    (Place::Waiting | Place::Done(_) | Place::InHouse, _) => now + LEASE,
                };
                let named = self.named(result, by).ok_or(Refusal::NoSuchResult)?;
                let order = |given: &Given| (given.of_use, given.part);
                let given = &self.results[named];
                if self.results.iter().any(|later| later.live && order(later) > order(given)) {
                    return Err(Refusal::LaterResult.into());
                }
                next.results[named].live = false;
                if given.complete {
                    (next.used, next.due) = (self.used - 1, given.due_before);
                }
                (next.place, next.touched) = (Place::With(by, end), true);
            }
            What::Look { result } => {
                if by % CLINICS.len() != self.clinic || usize::try_from(result).unwrap() > self.results.len()
                {
                    return Err(No::NotFound);
                }
                return Ok(self.clone());
            }
        }
        Ok(next)
    }
}

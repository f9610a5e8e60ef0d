//! Random lives of prescriptions, acted out on the real exchange and on a reference model of the state table that is
//! written here, in other terms than the table itself: it keeps what the table derives. They never disagree, and what
//! is displayed before an act is what the act meets.
//!
//! `HIKIKAE_MODEL_CASES` asks for more cases than the few of an ordinary run.

#![expect(clippy::unwrap_used, reason = "a world that cannot be acted in fails its tests")]

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use hikikae::check::{Policy, Severity, Source};
use hikikae::clock::japanese_date;
use hikikae::codec::eps_xml::EpsPrescription;
use hikikae::exchange::TaskOutcome;
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::exchange::register::Sent;
use hikikae::prescription::identifier::InstitutionCode;
use hikikae::prescription::registered::{ExchangeNumber, Registered};
use hikikae::prescription::state::{Kind, Refusal, Shown};
use hikikae::store::PrescriptionId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{
    CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, Rx, World, caller, dispensing_signed, request,
};

const CLINICS: [&str; 2] = [CLINIC, OTHER_CLINIC];
const PHARMACIES: [&str; 2] = [PHARMACY, OTHER_PHARMACY];
const LEASE: TimeDelta = TimeDelta::days(7);
const WINDOW: Days = Days::new(7);
/// The lists of revoked certificates last thirty days.
const LONGEST: TimeDelta = TimeDelta::days(28);

#[derive(Clone, Debug)]
enum Step {
    Register { clinic: usize, patient: u32, kind: Kind, contents: Contents },
    Act { on: usize, by: usize, what: What },
    Pass { hours: i64 },
}

/// What a document says, as far as its life depends on it.
#[derive(Clone, Copy, Debug)]
struct Contents {
    days: u16,
    uses: u8,
    part: Option<u8>,
    usable_days: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Amend(Contents),
    Cancel,
    Accept,
    Renew,
    Return,
    Collect,
    Dispense { complete: bool, important: bool },
    AmendDispense { result: Option<i16>, important: bool },
    Withdraw { result: Option<i16> },
    Look { result: i16 },
}

/// Why the model says an act does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum No {
    Refused(Refusal),
    NotFound,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    Waiting,
    With(usize, DateTime<Utc>),
    Done(usize),
    InHouse,
    Cancelled,
    Collected(usize),
}

/// A result, with what undoing it brings back.
#[derive(Clone, Debug)]
struct Given {
    by: usize,
    live: bool,
    complete: bool,
    important: bool,
    of_use: u8,
    part: u8,
    due_before: Option<NaiveDate>,
}

/// What the model keeps of one prescription.
#[derive(Clone, Debug)]
struct Ref {
    id: PrescriptionId,
    number: Option<ExchangeNumber>,
    clinic: usize,
    patient: u32,
    kind: Kind,
    rx: Rx,
    version: i64,
    originals: Vec<Bytes>,
    last_day: NaiveDate,
    due: Option<NaiveDate>,
    uses: u8,
    used: u8,
    place: Place,
    /// Something of the present use was given out, whether or not it was taken back.
    touched: bool,
    results: Vec<Given>,
    result_documents: Vec<Bytes>,
    delivered: Vec<u8>,
}

impl Ref {
    /// The numbers of the results that stand and that the physician is asked to read.
    fn important(&self) -> Vec<i16> {
        let numbered = (1..).zip(&self.results);
        numbered.filter(|(_, given)| given.live && given.important).map(|(number, _)| number).collect()
    }

    fn live_parts(&self, of_use: u8) -> u8 {
        let count = self.results.iter().filter(|given| given.live && given.of_use == of_use).count();
        u8::try_from(count).unwrap()
    }

    fn place(&self, now: DateTime<Utc>) -> Place {
        match &self.place {
            Place::With(_, end) if !self.touched && *end <= now => Place::Waiting,
            place => place.clone(),
        }
    }

    /// The last day of the present use.
    fn ends(&self) -> NaiveDate {
        if self.used == 0 { self.last_day } else { self.due.unwrap() + WINDOW }
    }

    fn shown(&self, now: DateTime<Utc>) -> Shown {
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
    fn put(&mut self, rx: &Rx, original: Bytes) {
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
    fn after(&self, what: What, by: usize, rx: Option<&Rx>, now: DateTime<Utc>) -> Result<Self, No> {
        let mut next = self.clone();
        next.version += 1;
        next.place = self.place(now);
        let today = japanese_date(now);
        match what {
            What::Cancel => {
                self.issuers_act(by, now)?;
                next.place = Place::Cancelled;
            }
            What::Amend(_) => {
                self.issuers_act(by, now)?;
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
            What::Dispense { complete, important } => {
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
            What::AmendDispense { result, important } => {
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
                if by != self.clinic || usize::try_from(result).unwrap() > self.results.len() {
                    return Err(No::NotFound);
                }
                return Ok(self.clone());
            }
        }
        Ok(next)
    }
}

/// The exchange and the model side by side.
struct Both {
    world: World,
    began: DateTime<Utc>,
    charts: u32,
    refs: Vec<Ref>,
}

impl Both {
    async fn new() -> Self {
        // Only what is graver than a duplicate waits for a reason: this is about states.
        let world = World::with(Policy { mitigation_from: Severity::High, ..Policy::default() }).await;
        let began = world.now();
        Self { world, began, charts: 0, refs: Vec::new() }
    }

    fn rx(&mut self, clinic: usize, patient: u32, kind: Kind, contents: Contents) -> Rx {
        self.charts += 1;
        let Contents { days, uses, part, usable_days } = contents;
        let part = part.filter(|_| kind != Kind::InHouse);
        let refill = (uses > 1 && part.is_none() && kind != Kind::InHouse).then_some(uses);
        let rx = self.world.rx(patient);
        Rx {
            clinic: CLINICS[clinic],
            days: if part.is_some() { 42 } else { days },
            refill,
            part,
            usable_until: usable_days.map(|days| rx.issued_on + Days::new(days)),
            chart: self.charts,
            ..rx
        }
    }

    fn prescription(&self, rx: &Rx, kind: Kind) -> (DocumentForm, Bytes) {
        match kind {
            Kind::Electronic => (DocumentForm::EpsXml, self.world.sign(rx)),
            Kind::Paper | Kind::InHouse => (DocumentForm::Csv, rx.sj1().into()),
        }
    }

    fn dispensing(&self, of: &Ref, by: usize) -> (DocumentForm, Bytes) {
        let cj1 = of.rx.cj1(PHARMACIES[by], *of.id.as_uuid(), japanese_date(self.world.now()));
        match of.kind {
            Kind::Electronic => {
                let delivered = EpsPrescription::read(&of.delivered).unwrap();
                (DocumentForm::EpsXml, dispensing_signed(&delivered, &cj1, self.world.now()))
            }
            Kind::Paper | Kind::InHouse => (DocumentForm::Csv, cj1.into()),
        }
    }

    async fn register(&mut self, clinic: usize, patient: u32, kind: Kind, contents: Contents) {
        let rx = self.rx(clinic, patient, kind, contents);
        let (form, original) = self.prescription(&rx, kind);
        let sent = Sent { kind, form, original: original.clone() };
        let outcome = self.world.exchange.register(&caller(rx.clinic), &sent, &request()).await;
        let task = outcome.unwrap().outcome.task;
        let mut new = Ref {
            id: PrescriptionId::from_uuid(task.id),
            number: task.exchange_number.clone(),
            clinic,
            patient,
            kind,
            rx: rx.clone(),
            version: 1,
            originals: Vec::new(),
            last_day: rx.issued_on,
            due: None,
            uses: 1,
            used: 0,
            place: if kind == Kind::InHouse { Place::InHouse } else { Place::Waiting },
            touched: false,
            results: Vec::new(),
            result_documents: Vec::new(),
            delivered: Vec::new(),
        };
        new.put(&rx, original);
        self.agree(&new, &task);
        self.refs.push(new);
    }

    async fn act(&mut self, index: usize, by: usize, what: What) {
        let of = self.refs[index].clone();
        let now = self.world.now();
        let rx = match what {
            What::Amend(contents) => Some(self.rx(of.clinic, of.patient, of.kind, contents)),
            _ => None,
        };
        let displayed = self.read(&of).await.life.shown(now);
        let expected = of.after(what, by, rx.as_ref(), now);
        let (document, got) = self.tried(&of, by, what, rx.as_ref(), expected.is_ok()).await;
        let got = got.map_err(|error| match error {
            ExchangeError::Refused(refusal) => No::Refused(refusal),
            ExchangeError::NotFound => No::NotFound,
            other => panic!("{what:?} by {by} on {of:?}: {other}"),
        });
        match (expected, got) {
            (Ok(mut next), Ok((task, delivered))) => {
                match what {
                    What::Amend(_) => *next.originals.last_mut().unwrap() = document,
                    What::Dispense { .. } | What::AmendDispense { .. } => {
                        next.result_documents.push(document);
                    }
                    _ => {}
                }
                if let Some(delivered) = delivered {
                    next.delivered = delivered;
                }
                if let Some(task) = task {
                    self.agree(&next, &task);
                }
                let read = self.read(&next).await;
                self.agree(&next, &read);
                meets(displayed, what, &of, by, None);
                self.refs[index] = next;
            }
            (Err(expected), Err(got)) => {
                assert_eq!(expected, got, "{what:?} by {by} on {of:?}");
                meets(displayed, what, &of, by, Some(got));
            }
            (expected, got) => panic!(
                "{what:?} by {by}: the model says {:?}, the exchange {:?}; {of:?}",
                expected.map(drop),
                got.map(drop)
            ),
        }
    }

    /// Does it; when the model expects a refusal, the document is none: it is refused before anybody looks.
    async fn tried(
        &self,
        of: &Ref,
        by: usize,
        what: What,
        rx: Option<&Rx>,
        fits: bool,
    ) -> (Bytes, Result<(Option<Registered>, Option<Vec<u8>>), ExchangeError>) {
        let (exchange, id) = (&self.world.exchange, of.id);
        let (clinic, pharmacy) = (caller(CLINICS[by]), caller(PHARMACIES[by]));
        let form = if of.kind == Kind::Electronic { DocumentForm::EpsXml } else { DocumentForm::Csv };
        let nothing = (form, Bytes::from_static(b"nothing"));
        let reason = || "chosen by lot".to_owned();
        let request = request();
        let mut document = Bytes::new();
        let answered = match what {
            What::Cancel => exchange.cancel(&clinic, id, reason(), &request).await,
            What::Amend(_) => {
                let (form, original) = if fits { self.prescription(rx.unwrap(), of.kind) } else { nothing };
                document = original.clone();
                exchange.amend(&clinic, id, form, original, &request).await
            }
            What::Accept => {
                let Some(number) = &of.number else {
                    return (document, Err(ExchangeError::NotFound));
                };
                let accepted = self.world.accept_number(PHARMACIES[by], of.patient, number).await;
                let outcome = accepted.map(|answered| answered.outcome);
                return (document, outcome.map(|outcome| (Some(outcome.task.task), Some(outcome.delivered))));
            }
            What::Renew => exchange.renew(&pharmacy, id, &request).await,
            What::Return => exchange.give_back(&pharmacy, id, reason(), &request).await,
            What::Collect => exchange.collect(&pharmacy, id, reason(), &request).await,
            What::Dispense { .. } | What::AmendDispense { .. } => {
                let (form, original) = if fits { self.dispensing(of, by) } else { nothing };
                document = original.clone();
                let (purpose, important) = match what {
                    What::AmendDispense { result, important } => (Purpose::Amend { result }, important),
                    What::Dispense { complete, important } => (Purpose::Dispense { complete }, important),
                    _ => unreachable!(),
                };
                let sent = SentResult { purpose, important, form, original };
                exchange.dispense(&pharmacy, id, &sent, &request).await
            }
            What::Withdraw { result } => {
                exchange.withdraw_dispense(&pharmacy, id, result, reason(), &request).await
            }
            What::Look { result } => {
                let read = exchange.document(&clinic, id, Which::Dispensing(Some(result)), &request).await;
                return (document, read.map(|_| (None, None)));
            }
        };
        (document, answered.map(|answered| (Some(answered.outcome.task), None)))
    }

    async fn read(&self, of: &Ref) -> Registered {
        let clinic = caller(CLINICS[of.clinic]);
        let outcome: TaskOutcome = self.world.exchange.task_read(&clinic, of.id, &request()).await.unwrap();
        outcome.task
    }

    fn agree(&self, model: &Ref, task: &Registered) {
        let now = self.world.now();
        let owner = match model.place(now) {
            Place::With(by, _) | Place::Done(by) | Place::Collected(by) => Some(PHARMACIES[by]),
            Place::InHouse => Some(CLINICS[model.clinic]),
            Place::Waiting | Place::Cancelled => None,
        };
        let lease_end = match model.place(now) {
            Place::With(_, end) => Some(end),
            _ => None,
        };
        assert_eq!(task.life.shown(now), model.shown(now), "{model:?}");
        assert_eq!(task.version, model.version, "{model:?}");
        assert_eq!(task.life.pharmacy(now).as_ref().map(InstitutionCode::as_str), owner, "{model:?}");
        // The clock runs on between the two.
        let apart = task.life.lease_end(now).zip(lease_end).map(|(one, other)| (one - other).abs());
        assert_eq!(task.life.lease_end(now).is_some(), lease_end.is_some(), "{model:?}");
        assert!(apart.is_none_or(|apart| apart < TimeDelta::minutes(1)), "{apart:?} {model:?}");
        assert_eq!(usize::try_from(task.document.number).unwrap(), model.originals.len(), "{model:?}");
        assert_eq!(task.life.results.important().collect::<Vec<_>>(), model.important(), "{model:?}");
        if matches!(model.shown(now), Shown::AwaitingNextUse) {
            assert_eq!(
                (task.life.due(), task.life.acceptable_until()),
                (model.due, model.ends()),
                "{model:?}"
            );
        }
    }

    /// At the end: every version and document is still there, and what counts as taken is what still stands.
    async fn settle(&self) {
        let (exchange, now) = (&self.world.exchange, self.world.now());
        let mut counted: BTreeMap<u32, Vec<(String, String)>> = BTreeMap::new();
        for of in &self.refs {
            let versions = exchange.store().prescription_version_list(of.id).await.unwrap();
            let numbers: Vec<i64> = versions.iter().map(|row| row.registered.version).collect();
            assert_eq!(numbers, (1..=of.version).collect::<Vec<_>>());
            assert_eq!(versions.last().unwrap().registered, self.read(of).await);
            let documents =
                of.originals.iter().zip(1..).map(|(sent, n)| (Which::Prescription(Some(n)), sent));
            let results =
                of.result_documents.iter().zip(1..).map(|(sent, n)| (Which::Dispensing(Some(n)), sent));
            for (which, sent) in documents.chain(results) {
                let clinic = caller(CLINICS[of.clinic]);
                let kept = exchange.document(&clinic, of.id, which, &request()).await.unwrap();
                assert_eq!(kept.bytes, *sent);
            }
            let mut counts = |source: Source, times: usize| {
                let entry = (format!("{source:?}"), of.id.to_string());
                counted.entry(of.patient).or_default().extend(std::iter::repeat_n(entry, times));
            };
            match of.shown(now) {
                _ if of.place == Place::InHouse => counts(Source::InHouse, 1),
                Shown::Issued | Shown::AwaitingNextUse | Shown::Accepted | Shown::PartlyDispensed => {
                    counts(Source::Prescribed, 1);
                }
                Shown::Dispensed | Shown::Cancelled | Shown::Collected | Shown::Expired => {}
            }
            counts(Source::Dispensed, of.results.iter().filter(|given| given.live).count());
        }
        for (patient, mut counted) in counted {
            let patient = self.world.patient(patient).await;
            let history = exchange
                .store()
                .history_read(patient, self.began.date_naive() - Days::new(365), now)
                .await
                .unwrap();
            let mut kept: Vec<(String, String)> =
                history.periods.iter().map(|p| (format!("{:?}", p.source), p.document.clone())).collect();
            kept.sort();
            counted.sort();
            assert_eq!(kept, counted);
        }
    }
}

/// What a pharmacy meets that wants to accept, by the state that was displayed to it.
fn meets(displayed: Shown, what: What, of: &Ref, by: usize, refused: Option<No>) {
    if !matches!(what, What::Accept) || of.number.is_none() {
        return;
    }
    let holds = matches!(of.place, Place::With(holder, _) if holder == by);
    let met: &[Option<No>] = match displayed {
        Shown::Issued => &[None],
        Shown::AwaitingNextUse => &[None, Some(No::Refused(Refusal::NotYetDue))],
        Shown::Accepted | Shown::PartlyDispensed if holds => &[None],
        Shown::Accepted | Shown::PartlyDispensed => &[Some(No::Refused(Refusal::HeldByPharmacy))],
        Shown::Dispensed => &[Some(No::Refused(Refusal::AlreadyDispensed))],
        Shown::Cancelled => &[Some(No::Refused(Refusal::Cancelled))],
        Shown::Collected => &[Some(No::Refused(Refusal::Collected))],
        Shown::Expired => &[Some(No::Refused(Refusal::Expired))],
    };
    assert!(met.contains(&refused), "displayed {displayed:?}, met {refused:?}");
}

fn any_contents() -> impl Strategy<Value = Contents> {
    (5u16..11, 1u8..4, prop::option::weighted(0.2, 1u8..4), prop::option::weighted(0.3, 0u64..16))
        .prop_map(|(days, uses, part, usable_days)| Contents { days, uses, part, usable_days })
}

fn any_what() -> impl Strategy<Value = What> {
    let result = || prop::option::of(1i16..5);
    prop_oneof![
        2 => any_contents().prop_map(What::Amend),
        1 => Just(What::Cancel),
        6 => Just(What::Accept),
        1 => Just(What::Renew),
        1 => Just(What::Return),
        1 => Just(What::Collect),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(complete, important)| What::Dispense { complete, important }),
        3 => (result(), any::<bool>())
            .prop_map(|(result, important)| What::AmendDispense { result, important }),
        3 => result().prop_map(|result| What::Withdraw { result }),
        1 => (1i16..5).prop_map(|result| What::Look { result }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![2 => Just(Kind::Electronic), 3 => Just(Kind::Paper), 1 => Just(Kind::InHouse)];
    prop_oneof![
        1 => (0usize..2, 1u32..4, kind, any_contents())
            .prop_map(|(clinic, patient, kind, contents)| Step::Register { clinic, patient, kind, contents }),
        12 => (any::<prop::sample::Index>(), prop_oneof![4 => Just(0usize), 1 => Just(1usize)], any_what())
            .prop_map(|(on, by, what)| Step::Act { on: on.index(64), by, what }),
        2 => prop_oneof![3 => 1i64..30, 1 => 30i64..200].prop_map(|hours| Step::Pass { hours }),
    ]
}

#[test]
fn the_exchange_and_the_model_never_disagree() {
    let cases = std::env::var("HIKIKAE_MODEL_CASES").map_or(4, |cases| cases.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let first = (0usize..2, 1u32..4, any_contents()).prop_map(|(clinic, patient, contents)| Step::Register {
        clinic,
        patient,
        kind: Kind::Paper,
        contents: Contents { part: None, ..contents },
    });
    let steps = (first, prop::collection::vec(any_step(), 60..120));
    let outcome = runner.run(&steps, |(first, steps)| {
        runtime.block_on(async {
            let mut both = Both::new().await;
            for step in std::iter::once(first).chain(steps) {
                match step {
                    Step::Register { clinic, patient, kind, contents } => {
                        both.register(clinic, patient, kind, contents).await;
                    }
                    Step::Act { on, by, what } => {
                        let index = on % both.refs.len();
                        both.act(index, by, what).await;
                    }
                    Step::Pass { hours } => {
                        let by = TimeDelta::hours(hours);
                        if both.world.now() + by < both.began + LONGEST {
                            both.world.clock.advance(by);
                        }
                        for of in &both.refs {
                            let read = both.read(of).await;
                            both.agree(of, &read);
                        }
                    }
                }
            }
            both.settle().await;
        });
        Ok(())
    });
    outcome.unwrap();
}

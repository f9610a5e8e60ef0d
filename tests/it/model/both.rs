//! The exchange and the model side by side: every act is done in both, and whatever is displayed is compared.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Days, TimeDelta, Utc};
use hikikae::check::{Policy, Severity, Source};
use hikikae::exchange::caller::Caller;
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::{Search, Which};
use hikikae::exchange::register::Sent;
use hikikae::prescription::identifier::InstitutionCode;
use hikikae::prescription::registered::Registered;
use hikikae::prescription::state::{Kind, Shown};
use hikikae::store::PrescriptionId;
use hikikae::store::prescription::Filter;
use hikikae::trust::Algorithm;

use super::contract::meets;
use super::reference::{No, Place, Ref};
use super::{CLINICS, Contents, Form, PATIENTS, PHARMACIES, What};
use crate::documents::{self, Answering};
use crate::world::{Rx, World, caller, request};

/// The exchange and the model side by side.
pub struct Both {
    pub world: World,
    pub began: DateTime<Utc>,
    charts: u32,
    patients: BTreeMap<u32, Caller>,
    pub refs: Vec<Ref>,
}

impl Both {
    pub async fn new() -> Self {
        // Only what is graver than a duplicate waits for a reason: this is about states.
        let world = World::with(Policy { mitigation_from: Severity::High, ..Policy::default() }).await;
        let began = world.now();
        let mut patients = BTreeMap::new();
        for patient in PATIENTS {
            patients.insert(patient, world.patient_caller(patient).await);
        }
        Self { world, began, charts: 0, patients, refs: Vec::new() }
    }

    fn rx(&mut self, clinic: usize, patient: u32, kind: Kind, contents: Contents) -> Rx {
        self.charts += 1;
        let Contents { form: _, days, uses, part, usable_days } = contents;
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

    fn prescription(&self, rx: &Rx, kind: Kind, form: Form) -> (DocumentForm, Bytes) {
        let form = form.of(kind);
        // A P-256 key, which signs in no time.
        (form, documents::prescription(&self.world, form, Algorithm::Es256, rx))
    }

    fn dispensing(&self, of: &Ref, by: usize, form: Form) -> (DocumentForm, Bytes) {
        let form = form.of(of.kind);
        let (media_type, delivered) = &of.delivered;
        let answering = Answering { id: *of.id.as_uuid(), media_type, delivered };
        let result =
            documents::result(&self.world, form, Algorithm::Es256, &of.rx, PHARMACIES[by], answering);
        (form, result)
    }

    pub async fn register(&mut self, clinic: usize, patient: u32, kind: Kind, contents: Contents) {
        let rx = self.rx(clinic, patient, kind, contents);
        let (form, original) = self.prescription(&rx, kind, contents.form);
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
            delivered: Default::default(),
        };
        new.put(&rx, original);
        self.agree(&new, &task);
        self.refs.push(new);
    }

    pub async fn act(&mut self, index: usize, by: usize, what: What) {
        let of = self.refs[index].clone();
        let now = self.world.now();
        let rx = match what {
            What::Amend(contents) => Some(self.rx(of.clinic, of.patient, of.kind, contents)),
            _ => None,
        };
        let displayed = self.displayed(&of).await.life.shown(now);
        let holds = matches!(of.place(now), Place::With(holder, _) if holder == by);
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
                meets(displayed, what, &of, (by, holds), None);
                self.refs[index] = next;
            }
            (Err(expected), Err(got)) => {
                assert_eq!(expected, got, "{what:?} by {by} on {of:?}");
                meets(displayed, what, &of, (by, holds), Some(got));
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
    ) -> (Bytes, Result<(Option<Registered>, Option<(String, Vec<u8>)>), ExchangeError>) {
        let (exchange, id) = (&self.world.exchange, of.id);
        let (clinic, pharmacy) = (caller(CLINICS[by % CLINICS.len()]), caller(PHARMACIES[by]));
        let nothing = |form: Form| (form.of(of.kind), Bytes::from_static(b"nothing"));
        let reason = || "chosen by lot".to_owned();
        let request = request();
        let mut document = Bytes::new();
        let answered = match what {
            What::Cancel => exchange.cancel(&clinic, id, reason(), &request).await,
            What::Amend(Contents { form, .. }) => {
                let (form, original) =
                    if fits { self.prescription(rx.unwrap(), of.kind, form) } else { nothing(form) };
                document = original.clone();
                exchange.amend(&clinic, id, form, original, &request).await
            }
            What::Accept => {
                let Some(number) = &of.number else {
                    return (document, Err(ExchangeError::NotFound));
                };
                let accepted = self.world.accept_number(PHARMACIES[by], of.patient, number).await;
                let outcome = accepted.map(|answered| answered.outcome);
                let told = outcome
                    .map(|outcome| (Some(outcome.task.task), Some((outcome.media_type, outcome.delivered))));
                return (document, told);
            }
            What::Renew => exchange.renew(&pharmacy, id, &request).await,
            What::Return => exchange.give_back(&pharmacy, id, reason(), &request).await,
            What::Collect => exchange.collect(&pharmacy, id, reason(), &request).await,
            What::Dispense { important, form, .. } | What::AmendDispense { important, form, .. } => {
                let (form, original) = if fits { self.dispensing(of, by, form) } else { nothing(form) };
                document = original.clone();
                let purpose = match what {
                    What::AmendDispense { result, .. } => Purpose::Amend { result },
                    What::Dispense { complete, .. } => Purpose::Dispense { complete },
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

    pub async fn read(&self, of: &Ref) -> Registered {
        let clinic = caller(CLINICS[of.clinic]);
        self.world.exchange.task_read(&clinic, of.id, &request()).await.unwrap().task
    }

    /// What is displayed: the Task as its clinic reads it, found by its state and by no other, with its last version.
    async fn displayed(&self, of: &Ref) -> Registered {
        let task = self.read(of).await;
        let shown = task.life.shown(self.world.now());
        let clinic = caller(CLINICS[of.clinic]);
        for (who, states, found) in
            [(&clinic, vec![shown], 1), (&self.patients[&of.patient], others(shown), 0)]
        {
            let filter = Filter { id: Some(of.id), ..Filter::default() };
            let search = Search { shown: states, filter, count: 10, ..Search::default() };
            let page = self.world.exchange.task_search(who, &search, &request()).await.unwrap();
            assert_eq!(page.tasks.len(), found, "searched as {shown:?}: {of:?}");
            assert!(page.tasks.iter().all(|searched| searched.task == task), "{of:?}");
        }
        let versions = self.world.exchange.task_history(&clinic, of.id, &request()).await.unwrap();
        assert_eq!(versions.first(), Some(&task), "{of:?}");
        task
    }

    pub fn agree(&self, model: &Ref, task: &Registered) {
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
    pub async fn settle(&self) {
        let (exchange, now) = (&self.world.exchange, self.world.now());
        let mut counted: BTreeMap<u32, Vec<(String, String)>> = BTreeMap::new();
        for of in &self.refs {
            let versions = exchange.store().prescription_version_list(of.id).await.unwrap();
            let numbers: Vec<i64> = versions.iter().map(|row| row.registered.version).collect();
            assert_eq!(numbers, (1..=of.version).collect::<Vec<_>>());
            assert_eq!(versions.last().unwrap().registered, self.displayed(of).await);
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

/// Every state but one.
fn others(shown: Shown) -> Vec<Shown> {
    use Shown::{
        Accepted, AwaitingNextUse, Cancelled, Collected, Dispensed, Expired, Issued, PartlyDispensed,
    };
    let all = [Issued, AwaitingNextUse, Accepted, PartlyDispensed, Dispensed, Cancelled, Collected, Expired];
    all.into_iter().filter(|other| *other != shown).collect()
}

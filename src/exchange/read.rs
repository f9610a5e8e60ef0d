//! Looking at prescriptions: one Task, a search, the signed originals. Every look leaves its trace in the same
//! statement (invariant 7).

use chrono::{DateTime, Utc};

use super::caller::{Actor, Caller};
use super::error::ExchangeError;
use super::{Exchange, IdentityHeader, Request, TaskOutcome, trace};
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{ConsentKind, Opening};
use crate::prescription::registered::Registered;
use crate::prescription::state::Shown;
use crate::store::document::{Document, Part};
use crate::store::prescription::{BATCH, Cursor, Filter, Looker, PrescriptionRow, Whose};
use crate::store::{PatientId, PrescriptionId};

/// What a search asks for. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Shown states; empty means any.
    pub shown: Vec<Shown>,
    /// What the stored columns decide.
    pub filter: Filter,
    /// Not registered between any of these, from an instant to before another.
    pub registered_without: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Not last changed between any of these.
    pub changed_without: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Page size.
    pub count: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The prescriptions, oldest change first.
    pub tasks: Vec<TaskOutcome>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Which original; without a number the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// A version of the prescription.
    Prescription(Option<i16>),
    /// A dispensing document.
    Dispensing(Option<i16>),
}

/// A search that only counts counts no further.
const COUNTED: usize = 10_000;

fn outside(spans: &[(DateTime<Utc>, DateTime<Utc>)], at: DateTime<Utc>) -> bool {
    !spans.iter().any(|(from, to)| *from <= at && at < *to)
}

impl Exchange {
    /// One prescription.
    ///
    /// # Errors
    ///
    /// `not-found`, also for what is not the caller's to see.
    pub async fn task_read(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        request: &Request,
    ) -> Result<TaskOutcome, ExchangeError> {
        let looker = match &caller.actor {
            Actor::Facility(facility) => Looker::Facility(&facility.code),
            Actor::Patient { id, .. } => Looker::Patient(PatientId::from_uuid(*id)),
            Actor::Practitioner(_) => return Err(ExchangeError::NotFound),
        };
        let (at, trace) = (self.clock.now(), trace(caller, request, "done"));
        let found = self.store.prescription_look(AccessAct::Read, id, &looker, at, &trace).await?;
        let (row, recorded) = found.ok_or(ExchangeError::NotFound)?;
        caller.met.prescription(row.patient, id);
        if recorded && caller.may_see(&row) {
            Ok(TaskOutcome::of(row.registered, at))
        } else {
            Err(ExchangeError::NotFound)
        }
    }

    /// The caller's prescriptions: those it issued, those it holds or dispensed, or the patient's own. For a pharmacy with
    /// an identity token: those of that patient that wait to be accepted (処方箋一覧).
    ///
    /// # Errors
    ///
    /// `not-permitted` for practitioners on their own; `consent-required` when the patient has not consented to the list.
    pub async fn task_search(
        &self,
        caller: &Caller,
        search: &Search,
        request: &Request,
    ) -> Result<Page, ExchangeError> {
        let whose = match &caller.actor {
            Actor::Facility(facility) if caller.clinic().is_ok() => Whose::Clinic(facility.code.clone()),
            Actor::Facility(facility) => Whose::Pharmacy(facility.code.clone()),
            Actor::Patient { .. } => {
                let patient = caller.patient().ok_or(ExchangeError::Internal("a patient has an id"))?;
                Whose::Patient(self.store.person_records(patient).await?)
            }
            Actor::Practitioner(_) => {
                return Err(ExchangeError::NotPermitted("search with a facility's or a patient's token"));
            }
        };
        let listed = match &request.identity {
            Some(IdentityHeader(token)) if caller.patient().is_none() => {
                caller.pharmacy()?;
                Some(self.consented(caller, Some(token), ConsentKind::PrescriptionList).await?)
            }
            _ => None,
        };
        let whose = match listed {
            Some(permitted) => Whose::Patient(self.store.person_records(permitted.patient).await?),
            None => whose,
        };
        let opening = listed.map(|permitted| permitted.opening);
        let at = self.clock.now();
        let fits = |task: &Registered| {
            let shown = task.life.shown(at);
            let waits = matches!(shown, Shown::Issued | Shown::AwaitingNextUse);
            (search.shown.is_empty() || search.shown.contains(&shown))
                && (listed.is_none() || waits)
                && outside(&search.registered_without, task.registered_at)
                && outside(&search.changed_without, task.changed_at)
        };
        let mut tasks = Vec::new();
        let mut after = search.after;
        // The shown state depends on the clock, so it is decided here, by the one state function, and the store is
        // asked until the page is full.
        loop {
            let batch = self.store.prescription_list(&whose, &search.filter, after).await?;
            let ended = batch.len() < BATCH;
            let mut shown: Vec<PrescriptionRow> = Vec::new();
            for row in batch {
                if tasks.len() + shown.len() == search.count {
                    self.looked_at(caller, &shown, at, opening, request).await?;
                    tasks.extend(shown.into_iter().map(|row| TaskOutcome::of(row.registered, at)));
                    return Ok(Page { tasks, next: after });
                }
                after = Some(Cursor { changed_at: row.registered.changed_at, id: row.registered.id });
                if fits(&row.registered) {
                    shown.push(row);
                }
            }
            self.looked_at(caller, &shown, at, opening, request).await?;
            tasks.extend(shown.into_iter().map(|row| TaskOutcome::of(row.registered, at)));
            if ended {
                return Ok(Page { tasks, next: None });
            }
        }
    }

    /// How many prescriptions a search finds on all its pages; `None` when there are too many to be counted at once.
    ///
    /// # Errors
    ///
    /// Those of [`Self::task_search`].
    pub async fn task_count(
        &self,
        caller: &Caller,
        search: &Search,
        request: &Request,
    ) -> Result<Option<usize>, ExchangeError> {
        let mut search = Search { count: BATCH, after: None, ..search.clone() };
        let mut total = 0;
        while total <= COUNTED {
            let page = self.task_search(caller, &search, request).await?;
            total += page.tasks.len();
            match page.next {
                Some(next) => search.after = Some(next),
                None => return Ok(Some(total)),
            }
        }
        Ok(None)
    }

    async fn looked_at(
        &self,
        caller: &Caller,
        rows: &[PrescriptionRow],
        at: DateTime<Utc>,
        opening: Option<Opening>,
        request: &Request,
    ) -> Result<(), ExchangeError> {
        if rows.is_empty() {
            return Ok(());
        }
        let trace = trace(caller, request, "done").under(opening);
        let patients: Vec<_> = rows.iter().map(|row| (row.bucket, row.patient)).collect();
        Ok(self.store.access_record_insert_many(AccessAct::Search, &patients, at, &trace).await?)
    }

    /// An original: of the prescription or of what answers it, of the given number or the last.
    ///
    /// # Errors
    ///
    /// `not-found`, also for what is not the caller's to see and for a document that is not there.
    pub async fn document(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        which: Which,
        request: &Request,
    ) -> Result<Document, ExchangeError> {
        let row = self.own(caller, id).await?;
        if caller.patient().is_none() && !caller.may_read(&row, self.clock.now()) {
            return Err(ExchangeError::NotFound);
        }
        let task = &row.registered;
        let part = match which {
            Which::Prescription(number) => Part::Prescription(number.unwrap_or(task.document.number)),
            Which::Dispensing(number) => Part::Dispensing(number.unwrap_or(task.life.results.count())),
        };
        let trace = trace(caller, request, "done");
        self.store
            .document_read(AccessAct::Document, (row.patient, id), part, self.clock.now(), &trace)
            .await?
            .ok_or(ExchangeError::NotFound)
    }
}

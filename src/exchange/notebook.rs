//! 電子版お薬手帳: what was dispensed, for the patient's own notebook.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Asia::Tokyo;

use super::caller::{Actor, Caller};
use super::error::ExchangeError;
use super::intake::{blocking, dispensing_kept};
use super::{Exchange, Request, trace};
use crate::codec::notebook::{Dispensed, Notebook, export, split};
use crate::store::PrescriptionId;
use crate::store::access::Trace;
use crate::store::document::{Document, Part};
use crate::store::prescription::{BATCH, Cursor, Filter, PrescriptionRow, Whose};

/// The most dispensings looked through for one notebook.
const MOST: usize = 500;

/// Which dispensings a notebook is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One: of a prescription, by its number from 1, the last when none is given.
    Dispensing(PrescriptionId, Option<i16>),
    /// All dispensed from one day to another, both included.
    Period(NaiveDate, NaiveDate),
}

impl Exchange {
    /// A notebook for the patient: of one dispensing for the patient and the pharmacy that dispensed, of a period for
    /// the patient. Every reading leaves its trace.
    ///
    /// # Errors
    ///
    /// `not-found` when there is nothing, also for what is not the caller's to see; `not-permitted` for clinics, and
    /// for a period asked by a pharmacy.
    pub async fn notebook(
        &self,
        caller: &Caller,
        asked: Asked,
        request: &Request,
    ) -> Result<Notebook, ExchangeError> {
        if !matches!(caller.actor, Actor::Patient { .. }) {
            caller.pharmacy()?;
        }
        let now = self.clock.now();
        let trace = trace(caller, request, "done");
        let documents = match asked {
            Asked::Dispensing(id, sequence) => {
                let row = self.own(caller, id).await?;
                let last = i16::try_from(row.registered.dispensers.len()).unwrap_or(i16::MAX);
                self.dispensings(
                    caller,
                    &row,
                    sequence.unwrap_or(last)..=sequence.unwrap_or(last),
                    now,
                    &trace,
                )
                .await?
            }
            Asked::Period(from, _) => self.every_dispensing(caller, from, now, &trace).await?,
        };
        blocking(move || {
            let mut kept = Vec::new();
            for document in &documents {
                let (dispensing, prescription) = dispensing_kept(document)?;
                let within = match asked {
                    Asked::Dispensing(..) => true,
                    Asked::Period(from, until) => (from..=until).contains(&dispensing.dispensed_on),
                };
                if within {
                    kept.push((dispensing, prescription));
                }
            }
            let dispensed: Vec<_> = kept
                .iter()
                .map(|(dispensing, prescription)| Dispensed { dispensing, prescription })
                .collect();
            export(&dispensed).ok_or(ExchangeError::NotFound)
        })
        .await
    }

    /// The notebook in parts of at most `limit` bytes each, for as many symbols.
    ///
    /// # Errors
    ///
    /// `not-acceptable` when a piece of it is too long for one.
    pub fn notebook_parts(&self, notebook: &Notebook, limit: usize) -> Result<Vec<Notebook>, ExchangeError> {
        let id = self.clock.now().with_timezone(&Tokyo).format("%Y%m%d%H%M%S").to_string();
        split(notebook, &id, limit).map_err(|_| {
            ExchangeError::NotAvailable("this notebook does not fit into QR codes; read it as text/csv")
        })
    }

    /// The dispensing documents of one prescription that are the caller's to read.
    async fn dispensings(
        &self,
        caller: &Caller,
        row: &PrescriptionRow,
        sequences: std::ops::RangeInclusive<i16>,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Vec<Document>, ExchangeError> {
        let id = PrescriptionId::from_uuid(row.registered.id);
        let mut documents = Vec::new();
        for sequence in sequences {
            let dispenser =
                usize::try_from(sequence - 1).ok().and_then(|index| row.registered.dispensers.get(index));
            let own = match &caller.actor {
                Actor::Patient { .. } => dispenser.is_some(),
                Actor::Facility(facility) => dispenser == Some(&facility.code),
                Actor::Practitioner(_) => false,
            };
            if own {
                let part = Part::Dispensing(sequence);
                documents
                    .extend(self.store.document_read("notebook", row.patient, id, part, now, trace).await?);
            }
        }
        Ok(documents)
    }

    /// All dispensing documents of the patient that may be of `from` or later.
    async fn every_dispensing(
        &self,
        caller: &Caller,
        from: NaiveDate,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Vec<Document>, ExchangeError> {
        let patient = caller.patient().ok_or(ExchangeError::NotPermitted(
            "a notebook of a period is for the patient; name a dispensing",
        ))?;
        // A prescription changes when it is dispensed, so one that has not changed since holds nothing of the period.
        let since = from.and_time(NaiveTime::MIN).and_local_timezone(Tokyo).earliest();
        let changed = (since.map(|since| since.with_timezone(&Utc)), None);
        let (whose, filter) = (Whose::Patient(patient), Filter { changed, ..Filter::default() });
        let mut documents = Vec::new();
        let mut after = None;
        loop {
            let batch = self.store.prescription_list(&whose, &filter, after).await?;
            for row in &batch {
                let last = i16::try_from(row.registered.dispensers.len()).unwrap_or(i16::MAX);
                documents.extend(self.dispensings(caller, row, 1..=last, now, trace).await?);
                after = Some(Cursor { changed_at: row.registered.changed_at, id: row.registered.id });
            }
            if documents.len() > MOST {
                return Err(ExchangeError::NotAvailable(
                    "that is too much for one notebook; ask for a shorter period",
                ));
            }
            if batch.len() < BATCH {
                return Ok(documents);
            }
        }
    }
}

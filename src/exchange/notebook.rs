//! 電子版お薬手帳: what was dispensed, for the patient's own notebook.

use std::ops::RangeInclusive;

use bytes::Bytes;
use chrono::NaiveDate;
use chrono_tz::Asia::Tokyo;

use super::caller::{Actor, Caller};
use super::error::ExchangeError;
use super::intake::{blocking, dispensing_kept, prescription_kept};
use super::{Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::codec::notebook::{self, Dispensed, Notebook, Version, export, split};
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::reported::{Content, Reported, Reporter};
use crate::prescription::result::Standing;
use crate::store::PrescriptionId;
use crate::store::access::Trace;
use crate::store::document::{Document, Part};
use crate::store::prescription::{BATCH, Cursor, Filter, PrescriptionRow, Whose};
use crate::store::reported::ReportedKind;

/// The most dispensings in one notebook.
const MOST: usize = 500;

/// What became of an imported notebook's entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Kept now.
    pub new: usize,
    /// Kept before.
    pub known: usize,
}

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
        version: Version,
        request: &Request,
    ) -> Result<Notebook, ExchangeError> {
        if !matches!(caller.actor, Actor::Patient { .. }) {
            caller.pharmacy()?;
        }
        let trace = trace(caller, request, "done");
        let documents = match asked {
            Asked::Dispensing(id, number) => {
                let row = self.own(caller, id).await?;
                let own = own_results(caller, &row);
                let wanted = number.or_else(|| own.last().map(|(number, _)| *number));
                let chosen =
                    own.into_iter().map(|(number, _)| number).filter(|own| Some(*own) == wanted).collect();
                self.kept(&row, chosen, &trace).await?
            }
            Asked::Period(from, until) => self.every_dispensing(caller, from..=until, &trace).await?,
        };
        blocking(move || {
            let mut kept = Vec::new();
            for (dispensing, prescription) in &documents {
                kept.push((dispensing_kept(dispensing)?, prescription_kept(prescription)?));
            }
            let dispensed: Vec<_> = kept
                .iter()
                .map(|(dispensing, prescription)| Dispensed { dispensing, prescription })
                .collect();
            export(&dispensed, version).ok_or(ExchangeError::NotFound)
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

    /// Keeps what the patient wrote in a notebook, whole or all its parts: medicines and allergies by their own account.
    /// The same notebook again is known already.
    ///
    /// # Errors
    ///
    /// `not-permitted` for all but the patient; `document-invalid`; `document-mismatch` when the notebook is about
    /// somebody born on another day; `state-conflict` when there is no room for more.
    pub async fn notebook_import(
        &self,
        caller: &Caller,
        bytes: Bytes,
        request: &Request,
    ) -> Result<Taken, ExchangeError> {
        let patient =
            caller.patient().ok_or(ExchangeError::NotPermitted("patients import their own notebooks"))?;
        caller.may_manage()?;
        let notebook =
            blocking(move || notebook::read_parts(&bytes).map_err(ExchangeError::Document)).await?;
        let person = self
            .store
            .patient_find(patient, japanese_date(self.clock.now()))
            .await?
            .ok_or(ExchangeError::NotFound)?;
        if notebook.birth_date() != Some(person.patient.particulars.birth_date) {
            let message = "expected a notebook of the patient who is logged in".to_owned();
            return Err(ExchangeError::DocumentMismatch(vec![Fault { place: "TC.1.3".to_owned(), message }]));
        }
        let (now, trace) = (self.clock.now(), trace(caller, request, "done"));
        let (mut allergies, mut medicines) = (Vec::new(), Vec::new());
        for content in notebook.reported() {
            let kept = if matches!(content, Content::Allergy(_)) { &mut allergies } else { &mut medicines };
            let (id, by) = (self.request_id()?, Reporter::Patient);
            kept.push(Reported { id, recorded_on: japanese_date(now), by, content });
        }
        let mut taken = Taken::default();
        for (kind, entries) in [(ReportedKind::Allergy, allergies), (ReportedKind::Medicine, medicines)] {
            let kept =
                self.reported_keep(AccessAct::NotebookImport, patient, kind, &entries, now, &trace).await?;
            let kept = kept.ok_or(ExchangeError::ReportedFull)?;
            let new = kept.iter().filter(|entry| entry.new).count();
            taken.new += new;
            taken.known += kept.len() - new;
        }
        Ok(taken)
    }

    /// Some dispensing documents of one prescription, each with the prescription.
    async fn kept(
        &self,
        row: &PrescriptionRow,
        numbers: Vec<i16>,
        trace: &Trace,
    ) -> Result<Vec<(Document, Document)>, ExchangeError> {
        let of = (row.patient, PrescriptionId::from_uuid(row.registered.id));
        let read = |part| self.store.document_read(AccessAct::Notebook, of, part, self.clock.now(), trace);
        let mut documents = Vec::new();
        for number in numbers {
            let prescription = read(Part::Prescription(row.registered.document.number)).await?;
            documents.extend(read(Part::Dispensing(number)).await?.zip(prescription));
        }
        Ok(documents)
    }

    /// Everything dispensed to the patient in a period that still stands.
    async fn every_dispensing(
        &self,
        caller: &Caller,
        period: RangeInclusive<NaiveDate>,
        trace: &Trace,
    ) -> Result<Vec<(Document, Document)>, ExchangeError> {
        let patient = caller.patient().ok_or(ExchangeError::NotPermitted(
            "a notebook of a period is for the patient; name a dispensing",
        ))?;
        let (whose, filter) = (Whose::Patient(self.store.person_records(patient).await?), Filter::default());
        let mut documents = Vec::new();
        let mut after = None;
        loop {
            let batch = self.store.prescription_list(&whose, &filter, after).await?;
            for row in &batch {
                let within = own_results(caller, row).into_iter().filter(|(_, on)| period.contains(on));
                documents.extend(self.kept(row, within.map(|(number, _)| number).collect(), trace).await?);
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

/// The dispensing documents that stand and are the caller's to read: number and day (調剤日).
fn own_results(caller: &Caller, row: &PrescriptionRow) -> Vec<(i16, NaiveDate)> {
    let own = |by: &InstitutionCode| match &caller.actor {
        Actor::Patient { .. } => true,
        Actor::Facility(facility) => facility.code == *by,
        Actor::Practitioner(_) => false,
    };
    (1..)
        .zip(row.registered.life.results.entries())
        .filter(|(_, entry)| entry.standing == Standing::Valid && own(&entry.by))
        .map(|(number, entry)| (number, entry.on))
        .collect()
}

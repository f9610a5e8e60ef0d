//! The whole record of a patient, for the patient to take along: every original byte for byte, every state, and
//! whatever else is kept. One look, recorded as such.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::mandate::NamedMandate;
use super::{Exchange, Request, trace};
use crate::check::{HistoryEntry, Source};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::prescription::consent::Provision;
use crate::prescription::registered::Registered;
use crate::prescription::reported::Reported;
use crate::store::access::{AccessRow, Trace, Written};
use crate::store::app::Grant;
use crate::store::consent::ConsentRow;
use crate::store::directory::{Coverage, Particulars};
use crate::store::document::{Document, Part};
use crate::store::mandate::Mandate;
use crate::store::prescription::{BATCH, Cursor, Filter, PrescriptionRow, Whose};
use crate::store::reported::ReportedKind;
use crate::store::whole::{KeptFinding, MergeNote};
use crate::store::{PatientId, PrescriptionId};

const ACT: AccessAct = AccessAct::Export;
/// The most bytes of originals in one export; they are held in memory.
const MOST_BYTES: usize = 64 << 20;
/// The most lines of the access record in one export, the newest.
pub const MOST_LINES: usize = 50_000;

/// Everything of one prescription.
#[derive(Debug)]
pub struct ExportedPrescription {
    /// Where it stood after each change, the first first.
    pub versions: Vec<Registered>,
    /// Every version of the prescription, then every dispensing document.
    pub documents: Vec<(Part, Document)>,
    /// What the checker said that it was registered or dispensed in spite of, with the reasons given.
    pub findings: Vec<KeptFinding>,
}

/// Something decided, and whether it holds: neither ended nor of a record that another stands for.
#[derive(Debug)]
pub struct Decided<T> {
    /// What.
    pub what: T,
    /// Whether it holds now.
    pub in_force: bool,
}

/// Everything that is kept of a patient, under all records of the person.
#[derive(Debug)]
pub struct WholeRecord {
    /// Whose.
    pub patient: PatientId,
    /// When it was taken, the day in Japan.
    pub taken_on: NaiveDate,
    /// The person, as each record says; the one that goes on first.
    pub persons: Vec<Particulars>,
    /// Every insurance there ever was, the first first.
    pub insurances: Vec<Coverage>,
    /// Since when each card leads to the person.
    pub cards: Vec<DateTime<Utc>>,
    /// Merges of records.
    pub merges: Vec<MergeNote>,
    /// The prescriptions, oldest change first.
    pub prescriptions: Vec<ExportedPrescription>,
    /// Findings of the checker that belong to no prescription as it stands.
    pub findings: Vec<KeptFinding>,
    /// What the checker compares with.
    pub history: Vec<HistoryEntry>,
    /// Consents and refusals.
    pub consents: Vec<Decided<ConsentRow>>,
    /// Mandates given and held; to the patient in person.
    pub mandates: Vec<Decided<NamedMandate>>,
    /// Allergies, self-reported medicines and claims.
    pub reported: Vec<Reported>,
    /// Apps that were let read.
    pub apps: Vec<Decided<Grant>>,
    /// Who looked and acted, the newest first.
    pub accesses: Vec<AccessRow>,
}

impl Exchange {
    /// Everything that is kept of the patient.
    ///
    /// # Errors
    ///
    /// `not-permitted` for anybody but the patient and a representative; `not-acceptable` when it is too large.
    pub async fn export(&self, caller: &Caller, request: &Request) -> Result<WholeRecord, ExchangeError> {
        let patient =
            caller.patient().ok_or(ExchangeError::NotPermitted("the whole record is for its patient"))?;
        let now = self.clock.now();
        let records = self.store.person_records(patient).await?;
        let trace = trace(caller, request, "done");
        let bucket = self.store.buckets().of_patient(patient);
        self.store.access_record_insert(ACT, bucket, patient, None, now, &trace).await?;
        let mut persons = Vec::new();
        for record in &records {
            let entry = self.store.patient_find(*record, japanese_date(now)).await?;
            persons.push(entry.ok_or(ExchangeError::NotFound)?.patient.particulars);
        }
        let whole = self.store.whole_read(&records).await?;
        let (mut by_prescription, mut findings) = (HashMap::<Uuid, Vec<KeptFinding>>::new(), Vec::new());
        for finding in whole.findings {
            match finding.prescription {
                Some(prescription) => by_prescription.entry(prescription).or_default().push(finding),
                None => findings.push(finding),
            }
        }
        let prescriptions = self.prescriptions_export(&records, by_prescription, &trace).await?;
        let sources = [Source::Prescribed, Source::Dispensed, Source::InHouse];
        let mut history = Vec::new();
        for record in &records {
            let since = DateTime::UNIX_EPOCH.date_naive();
            history.extend(self.store.history_list(ACT, *record, &sources, since, now, &trace).await?);
        }
        // A consent or an app's access was given to one record; a refusal holds for all (decision 52).
        let consents = whole.consents.into_iter().map(|(record, what)| {
            let Provision { permit, until, .. } = what.provision;
            Decided {
                in_force: until.is_none_or(|until| until > now) && (record == patient || !permit),
                what,
            }
        });
        let apps = whole
            .grants
            .into_iter()
            .map(|what| Decided { in_force: what.until > now && what.patient == patient, what });
        let mandates = match caller.representative {
            None => self.mandates_export(whole.mandates).await?,
            Some(_) => Vec::new(),
        };
        let kinds = [ReportedKind::Allergy, ReportedKind::Medicine, ReportedKind::Claim];
        let reported = self.store.reported_read(ACT, patient, &kinds, None, now, &trace).await?;
        Ok(WholeRecord {
            patient,
            taken_on: japanese_date(now),
            persons,
            insurances: whole.insurances,
            cards: whole.cards,
            merges: whole.merges,
            prescriptions,
            findings,
            history,
            consents: consents.collect(),
            mandates,
            reported,
            apps: apps.collect(),
            accesses: self.accesses_export(caller, &records, request).await?,
        })
    }

    /// With the names of both, of those who are here and alive.
    async fn mandates_export(
        &self,
        mandates: Vec<Mandate>,
    ) -> Result<Vec<Decided<NamedMandate>>, ExchangeError> {
        let now = self.clock.now();
        let mut named = Vec::new();
        for mandate in mandates {
            // A mandate for a record holds while that record goes on.
            let goes_on = self.store.person_of(mandate.patient).await? == mandate.patient;
            let patient_name = self.name_of(mandate.patient).await?.unwrap_or_default();
            let representative_name = self.name_of(mandate.representative).await?.unwrap_or_default();
            let in_force = mandate.until > now && goes_on;
            named.push(Decided {
                what: NamedMandate { mandate, patient_name, representative_name },
                in_force,
            });
        }
        Ok(named)
    }

    async fn accesses_export(
        &self,
        caller: &Caller,
        records: &[PatientId],
        request: &Request,
    ) -> Result<Vec<AccessRow>, ExchangeError> {
        let (now, written) = (self.clock.now(), Written::default());
        let mut accesses = Vec::new();
        for record in records {
            let part = trace(caller, &self.part_of(request)?, "done");
            let rows = self.store.access_record_list(*record, &written, None, MOST_LINES, now, &part).await?;
            accesses.extend(rows);
        }
        accesses.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
        Ok(accesses)
    }

    /// A part of the request that leaves a record of its own.
    fn part_of(&self, request: &Request) -> Result<Request, ExchangeError> {
        Ok(Request { id: self.request_id()?, ..request.clone() })
    }

    async fn prescriptions_export(
        &self,
        records: &[PatientId],
        mut findings: HashMap<Uuid, Vec<KeptFinding>>,
        trace: &Trace,
    ) -> Result<Vec<ExportedPrescription>, ExchangeError> {
        let (whose, filter) = (Whose::Patient(records.to_vec()), Filter::default());
        let (mut exported, mut bytes, mut after) = (Vec::new(), 0, None);
        loop {
            let batch = self.store.prescription_list(&whose, &filter, after).await?;
            for row in &batch {
                after = Some(Cursor { changed_at: row.registered.changed_at, id: row.registered.id });
                let findings = findings.remove(&row.registered.id).unwrap_or_default();
                let prescription = self.prescription_export(row, findings, trace).await?;
                let documents = &prescription.documents;
                bytes += documents.iter().map(|(_, document)| document.bytes.len()).sum::<usize>();
                if bytes > MOST_BYTES {
                    return Err(ExchangeError::NotAvailable(
                        "the record is too large for one archive; read its prescriptions one by one",
                    ));
                }
                exported.push(prescription);
            }
            if batch.len() < BATCH {
                return Ok(exported);
            }
        }
    }

    async fn prescription_export(
        &self,
        row: &PrescriptionRow,
        findings: Vec<KeptFinding>,
        trace: &Trace,
    ) -> Result<ExportedPrescription, ExchangeError> {
        let id = PrescriptionId::from_uuid(row.registered.id);
        let versions = self.store.prescription_version_list(id).await?;
        let parts = (1..=row.registered.document.number)
            .map(Part::Prescription)
            .chain((1..=row.registered.life.results.count()).map(Part::Dispensing));
        let mut documents = Vec::new();
        for part in parts {
            let read = self.store.document_read(ACT, (row.patient, id), part, self.clock.now(), trace);
            documents.extend(read.await?.map(|document| (part, document)));
        }
        Ok(ExportedPrescription {
            versions: versions.into_iter().map(|version| version.registered).collect(),
            documents,
            findings,
        })
    }
}

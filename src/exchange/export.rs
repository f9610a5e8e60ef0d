//! The whole record of a patient, for the patient to take along: every original byte for byte, every state, and
//! whatever else is kept. One look, recorded as such.

use super::caller::Caller;
use super::error::ExchangeError;
use super::mandate::NamedMandate;
use super::{Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::prescription::registered::Registered;
use crate::prescription::reported::Reported;
use crate::store::acceptance::Sought;
use crate::store::access::{AccessRow, Trace, Written};
use crate::store::app::Grant;
use crate::store::consent::ConsentRow;
use crate::store::directory::DirectoryEntry;
use crate::store::document::{Document, Part};
use crate::store::finding::FindingRow;
use crate::store::prescription::{BATCH, Cursor, Filter, PrescriptionRow, Whose};
use crate::store::reported::ReportedKind;
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
    /// What the checker said, with the reasons given.
    pub findings: Vec<FindingRow>,
}

/// Everything that is kept of a patient.
#[derive(Debug)]
pub struct WholeRecord {
    /// Whose.
    pub patient: PatientId,
    /// The person and the insurance of the day.
    pub entry: DirectoryEntry,
    /// The prescriptions, oldest change first.
    pub prescriptions: Vec<ExportedPrescription>,
    /// Consents and refusals in force.
    pub consents: Vec<ConsentRow>,
    /// Mandates in force; to the patient in person.
    pub mandates: Vec<NamedMandate>,
    /// Allergies, self-reported medicines and claims.
    pub reported: Vec<Reported>,
    /// Apps that may read.
    pub apps: Vec<Grant>,
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
        let whole = trace(caller, request, "done");
        let bucket = self.store.buckets().of_patient(patient);
        self.store.access_record_insert(ACT, bucket, patient, None, now, &whole).await?;
        let entry = self.store.patient_find(patient, japanese_date(now)).await?;
        let entry = entry.ok_or(ExchangeError::NotFound)?;
        let prescriptions = self.prescriptions_export(&records, &whole).await?;
        let mandates = match caller.representative {
            None => self.mandates(caller, &self.part_of(request)?).await?,
            Some(_) => Vec::new(),
        };
        let kinds = [ReportedKind::Allergy, ReportedKind::Medicine, ReportedKind::Claim];
        let reported = self.store.reported_read(ACT, patient, &kinds, None, now, &whole).await?;
        let consents = self.consent_list(caller, &self.part_of(request)?).await?;
        let apps = self.store.app_grant_list(patient, now).await?;
        let mut accesses = Vec::new();
        for record in records {
            let part = trace(caller, &self.part_of(request)?, "done");
            let written = Written::default();
            accesses
                .extend(self.store.access_record_list(record, &written, None, MOST_LINES, now, &part).await?);
        }
        accesses.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
        Ok(WholeRecord { patient, entry, prescriptions, consents, mandates, reported, apps, accesses })
    }

    /// A part of the request that leaves a record of its own.
    fn part_of(&self, request: &Request) -> Result<Request, ExchangeError> {
        Ok(Request { id: self.request_id()?, ..request.clone() })
    }

    async fn prescriptions_export(
        &self,
        records: &[PatientId],
        trace: &Trace,
    ) -> Result<Vec<ExportedPrescription>, ExchangeError> {
        let (whose, filter) = (Whose::Patient(records.to_vec()), Filter::default());
        let (mut exported, mut bytes, mut after) = (Vec::new(), 0, None);
        loop {
            let batch = self.store.prescription_list(&whose, &filter, after).await?;
            for row in &batch {
                after = Some(Cursor { changed_at: row.registered.changed_at, id: row.registered.id });
                let prescription = self.prescription_export(row, trace).await?;
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
        trace: &Trace,
    ) -> Result<ExportedPrescription, ExchangeError> {
        let id = PrescriptionId::from_uuid(row.registered.id);
        let versions = self.store.prescription_version_list(id).await?;
        let found = self.store.acceptance_find(Sought::Id(id)).await?;
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
            findings: found.map(|(_, findings)| findings).unwrap_or_default(),
        })
    }
}

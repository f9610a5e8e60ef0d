//! Registering and amending a prescription: one statement each, guarded by the version of the history that was
//! checked.

use uuid::Uuid;

use super::bucket::{PatientId, PrescriptionId};
use super::document::Part;
use super::pool::{Store, StoreError};
use super::prescription::{Details, Doing, Flat, PrescriptionRow, Written, flat, tail};
use crate::check::{Period, Source};
use crate::prescription::registered::Registered;
use crate::prescription::state::Kind;

/// Everything a registration or amendment writes.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The patient.
    pub patient: PatientId,
    /// The record that stands for the patient, whose history was checked.
    pub person: PatientId,
    /// The version of the history the check saw.
    pub history_version: i64,
    /// The prescription as it will be answered.
    pub registered: &'a Registered,
    /// What is sealed beside it.
    pub details: &'a Details,
    /// Media type of the original.
    pub media_type: &'a str,
    /// The original.
    pub original: &'a [u8],
    /// Its medication periods.
    pub periods: &'a [Period],
    /// The findings it is registered in spite of.
    pub findings: &'a [Uuid],
    /// The act and its request.
    pub doing: Doing<'a>,
}

/// The source of the medication row a registration writes, and how its column says it.
fn source(kind: Kind) -> (Source, &'static str) {
    match Source::registered(kind) {
        Source::InHouse => (Source::InHouse, "in-house"),
        source => (source, "prescribed"),
    }
}

impl Store {
    /// Writes the registration, or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the constraints `prescription_exchange_number` (draw another) and `document_hash`
    /// (registered before).
    pub async fn registration_insert(&self, registration: &Registration<'_>) -> Result<Written, StoreError> {
        macro_rules! sql {
            ($findings:literal) => {
                concat!(
                    "-- register
            WITH guard AS (
                UPDATE patient
                SET history_version = history_version + 1, updated_at = now(), updated_by = $1
                WHERE bucket = $10 AND id = $11 AND history_version = $12
                RETURNING id
            ), changed AS (
                INSERT INTO prescription
                    (bucket, id, patient_id, version, clinic, kind, state, pharmacy, valid_until, first_due,
                     uses_allowed, issued_on, registered_at, changed_at, document_at, number_hash, sealed,
                     updated_by)
                SELECT $10, $13, id, 1, $14, $15, $16, $17, $18, $19, $20, $21, $22, $22, $22, $23, $24, $1
                FROM guard
                RETURNING *
            ), original AS (
                INSERT INTO document
                    (bucket, prescription_id, part, sequence, media_type, sealed, hash, updated_by)
                SELECT $10, id, 'prescription', 1, $25, $26, $27, $1 FROM changed
            ), medicines AS (
                INSERT INTO medication
                    (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                SELECT $10, $11, id, $28, 1, $29, $30, $1 FROM changed
            )",
                    $findings,
                    tail!()
                )
            };
        }
        // Most meet nothing, and what is not in a statement is not set up for it.
        const MET: &str = sql!(
            ", answered AS (
                UPDATE finding SET prescription_id = changed.id, updated_at = now(), updated_by = $1
                FROM changed WHERE finding.bucket = $10 AND finding.id = ANY ($31) AND finding.facility = $14
            )"
        );
        let Registration { patient, registered, doing, .. } = registration;
        let id = PrescriptionId::from_uuid(registered.id);
        let number_hash =
            registered.exchange_number.as_ref().map(|number| self.number_hash(*patient, number));
        let sealed = self.seal_json("prescription", id.as_bytes(), "sealed", registration.details)?;
        let original = self.seal_document(id, Part::Prescription(1), registration.original)?;
        let (source, source_column) = source(registered.life.kind);
        let periods = self.seal_periods(id, source, 1, registration.periods)?;
        let Flat { kind, state, pharmacy, uses_allowed, .. } = flat(&registered.life);
        let (tail, bucket, hash) = (
            self.tail(doing)?,
            self.buckets().of_patient(*patient),
            self.document_hash(registration.original),
        );
        let (number_hash, hash) = (number_hash.as_ref().map(<[u8; 32]>::as_slice), hash.as_slice());
        let clinic = registered.clinic.as_str();
        let mut params = tail.before(&[
            &bucket,
            patient,
            &registration.history_version,
            &id,
            &clinic,
            &kind,
            &state,
            &pharmacy,
            &registered.life.terms.valid_until,
            &registered.life.terms.first_due,
            &uses_allowed,
            &registered.issued_on,
            &doing.now,
            &number_hash,
            &sealed,
            &registration.media_type,
            &original,
            &hash,
            &source_column,
            &periods.until,
            &periods.sealed,
        ]);
        let sql = if registration.findings.is_empty() {
            sql!("")
        } else {
            params.push(&registration.findings);
            MET
        };
        Written::of(self.one_opt(doing.act.as_str(), sql, &params).await)
    }

    /// Writes the amendment of the prescription as read in `row`, or nothing. Its findings are then those of the
    /// new document.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the constraint `document_hash` (registered before).
    pub async fn registration_amend(
        &self,
        row: &PrescriptionRow,
        amended: &Registration<'_>,
    ) -> Result<Written, StoreError> {
        const SQL: &str = concat!(
            "-- amend
            WITH guard AS (
                UPDATE patient
                SET history_version = history_version + 1, updated_at = now(), updated_by = $1
                WHERE bucket = $31 AND id = $32 AND history_version = $12
                RETURNING id
            ), changed AS (
                UPDATE prescription
                SET version = version + 1, state = $15, pharmacy = $16, lease_end = NULL, valid_until = $17,
                    first_due = $18, uses_allowed = $19, issued_on = $20, changed_at = $21, document_at = $21,
                    document_version = $22, sealed = $23, updated_at = now(), updated_by = $1
                FROM guard
                WHERE prescription.bucket = $10 AND prescription.id = $13 AND prescription.version = $14
                RETURNING prescription.*
            ), original AS (
                INSERT INTO document
                    (bucket, prescription_id, part, sequence, media_type, sealed, hash, updated_by)
                SELECT $10, id, 'prescription', $22, $24, $25, $26, $1 FROM changed
            ), medicines AS (
                UPDATE medication SET until = $27, sealed = $28, updated_at = now(), updated_by = $1
                FROM changed
                WHERE medication.bucket = $10 AND medication.patient_id = $11
                  AND medication.prescription_id = changed.id AND medication.source = $29
                  AND medication.sequence = 1
            ), answered AS (
                UPDATE finding
                SET prescription_id = CASE WHEN finding.id = ANY ($30) THEN changed.id END,
                    updated_at = now(), updated_by = $1
                FROM changed
                WHERE finding.bucket = $10 AND finding.facility = changed.clinic
                  AND (finding.id = ANY ($30) OR finding.prescription_id = changed.id)
            )",
            tail!()
        );
        let Registration { patient, registered, doing, .. } = amended;
        let id = PrescriptionId::from_uuid(registered.id);
        let sealed = self.seal_json("prescription", id.as_bytes(), "sealed", amended.details)?;
        let version = registered.document.number;
        let original = self.seal_document(id, Part::Prescription(version), amended.original)?;
        let (source, source_column) = source(registered.life.kind);
        let periods = self.seal_periods(id, source, 1, amended.periods)?;
        let Flat { state, pharmacy, uses_allowed, .. } = flat(&registered.life);
        let tail = self.tail(doing)?;
        let written = self
            .one_opt(
                doing.act.as_str(),
                SQL,
                &tail.before(&[
                    &row.bucket,
                    patient,
                    &amended.history_version,
                    &id,
                    &row.registered.version,
                    &state,
                    &pharmacy,
                    &registered.life.terms.valid_until,
                    &registered.life.terms.first_due,
                    &uses_allowed,
                    &registered.issued_on,
                    &doing.now,
                    &version,
                    &sealed,
                    &amended.media_type,
                    &original,
                    &self.document_hash(amended.original).as_slice(),
                    &periods.until,
                    &periods.sealed,
                    &source_column,
                    &amended.findings,
                    &self.buckets().of_patient(amended.person),
                    &amended.person,
                ]),
            )
            .await;
        Written::of(written)
    }

    fn document_hash(&self, original: &[u8]) -> [u8; 32] {
        self.lookup().hash("document", &[original])
    }
}

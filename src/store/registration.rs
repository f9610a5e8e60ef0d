//! Registering a prescription: one statement, guarded by the version of the history that was checked.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::access::Trace;
use super::bucket::{PatientId, PrescriptionId};
use super::document::Part;
use super::idempotency::StoredAnswer;
use super::pool::{Store, StoreError};
use super::prescription::{Details, Written};
use crate::check::{Period, Source};
use crate::prescription::registered::Registered;

/// Everything a registration writes.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The patient.
    pub patient: PatientId,
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
    /// The trace.
    pub trace: &'a Trace,
    /// The answer to keep.
    pub answer: Option<&'a StoredAnswer>,
}

impl Store {
    /// Writes the registration, or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the constraints `prescription_exchange_number` (draw another) and
    /// `prescription_document` (registered before).
    pub async fn registration_insert(&self, registration: &Registration<'_>) -> Result<Written, StoreError> {
        const SQL: &str = "-- register
            WITH guard AS (
                UPDATE patient
                SET history_version = history_version + 1, updated_at = now(), updated_by = 'register'
                WHERE bucket = $1 AND id = $2 AND history_version = $3
                RETURNING id
            ), added AS (
                INSERT INTO prescription
                    (bucket, id, patient_id, version, clinic, state, uses_allowed, issued_on, valid_until,
                     registered_at, changed_at, number_hash, document_hash, sealed, updated_by)
                SELECT $1, $4, id, 1, $5, 'issued', $6, $7, $8, $9, $9, $10, $11, $12, 'register' FROM guard
                RETURNING id
            ), original AS (
                INSERT INTO document (bucket, prescription_id, part, sequence, media_type, sealed, updated_by)
                SELECT $1, id, 'prescription', 1, $13, $14, 'register' FROM added
            ), medicines AS (
                INSERT INTO medication
                    (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                SELECT $1, $2, id, 'prescribed', 1, $15, $16, 'register' FROM added
            ), answered AS (
                UPDATE finding SET prescription_id = added.id, updated_at = now(), updated_by = 'register'
                FROM added WHERE finding.bucket = $1 AND finding.id = ANY ($17) AND finding.facility = $5
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
                SELECT $1, $2, $18, $9, 'register', id, $19, 'register' FROM added
            ), answer AS (
                INSERT INTO idempotency (bucket, key_hash, request_hash, sealed, expires_at, updated_by)
                SELECT $20, $21, $22, $23, $24, 'register' FROM added WHERE $21::bytea IS NOT NULL
            )
            SELECT FROM added";
        let Registration { patient, registered, details, trace, .. } = *registration;
        let id = PrescriptionId::from_uuid(registered.id);
        let now: DateTime<Utc> = registered.registered_at;
        let valid_until: NaiveDate = registered.life.valid_until;
        let number_hash = self.number_hash(patient, &registered.exchange_number);
        let document_hash = self.lookup().hash("document", &[registration.original]);
        let sealed = self.seal_json("prescription", id.as_bytes(), "sealed", details)?;
        let original = self.seal_document(id, Part::Prescription, registration.original)?;
        let periods = self.seal_periods(id, Source::Prescribed, 1, registration.periods)?;
        let trace_sealed = self.seal_trace(trace)?;
        let answer = self.answer_columns(registration.answer)?;
        let added = self
            .one_opt(
                "register",
                SQL,
                &[
                    &self.buckets().of_patient(patient),
                    &patient,
                    &registration.history_version,
                    &id,
                    &registered.clinic.as_str(),
                    &i16::from(registered.life.uses.allowed),
                    &registered.issued_on,
                    &valid_until,
                    &now,
                    &number_hash.as_slice(),
                    &document_hash.as_slice(),
                    &sealed,
                    &registration.media_type,
                    &original,
                    &periods.until,
                    &periods.sealed,
                    &registration.findings,
                    &trace.request,
                    &trace_sealed,
                    &answer.bucket,
                    &answer.key_hash,
                    &answer.request_hash,
                    &answer.sealed,
                    &answer.expires_at,
                ],
            )
            .await;
        Written::of(added)
    }
}

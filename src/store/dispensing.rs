//! Writing a dispensing result back: one statement, guarded by the versions of the prescription and of the
//! history that were read.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::access::Trace;
use super::bucket::PrescriptionId;
use super::document::Part;
use super::idempotency::StoredAnswer;
use super::pool::{Store, StoreError};
use super::prescription::{PrescriptionRow, Written, flat};
use crate::check::{Period, Source};
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::state::Life;

/// Everything a dispensing writes.
#[derive(Debug)]
pub struct DispensingResult<'a> {
    /// The prescription as read.
    pub row: &'a PrescriptionRow,
    /// Its life afterwards.
    pub next: &'a Life,
    /// The version of the history the check saw.
    pub history_version: i64,
    /// The pharmacy.
    pub pharmacy: &'a InstitutionCode,
    /// Media type of the original.
    pub media_type: &'a str,
    /// The original.
    pub original: &'a [u8],
    /// What was dispensed.
    pub periods: &'a [Period],
    /// The findings it is dispensed in spite of.
    pub findings: &'a [Uuid],
    /// When.
    pub now: DateTime<Utc>,
    /// The trace.
    pub trace: &'a Trace,
    /// The answer to keep.
    pub answer: Option<&'a StoredAnswer>,
}

impl Store {
    /// Writes the result, or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn dispensing_insert(&self, result: &DispensingResult<'_>) -> Result<Written, StoreError> {
        // When the prescription has changed, the history version may be raised for nothing: checks under way
        // read again, and that is all.
        const SQL: &str = "-- dispense
            WITH guard AS (
                UPDATE patient
                SET history_version = history_version + 1, updated_at = now(), updated_by = 'dispense'
                WHERE bucket = $1 AND id = $2 AND history_version = $3
                RETURNING id
            ), changed AS (
                UPDATE prescription
                SET version = version + 1, state = $7, pharmacy = $8, lease_end = $9, due_on = $10,
                    partly = $11, uses_done = $12, dispensers = array_append(dispensers, $19::text), changed_at = $6, updated_at = now(),
                    updated_by = 'dispense'
                FROM guard
                WHERE prescription.bucket = $1 AND prescription.id = $4 AND prescription.version = $5
                RETURNING prescription.id
            ), original AS (
                INSERT INTO document (bucket, prescription_id, part, sequence, media_type, sealed, updated_by)
                SELECT $1, id, 'dispensing', $13, $14, $15, 'dispense' FROM changed
            ), medicines AS (
                INSERT INTO medication
                    (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                SELECT $1, $2, id, 'dispensed', $13, $16, $17, 'dispense' FROM changed
            ), answered AS (
                UPDATE finding SET prescription_id = changed.id, updated_at = now(), updated_by = 'dispense'
                FROM changed WHERE finding.bucket = $1 AND finding.id = ANY ($18) AND finding.facility = $19
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
                SELECT $1, $2, $20, $6, 'dispense', id, $21, 'dispense' FROM changed
            ), answer AS (
                INSERT INTO idempotency (bucket, key_hash, request_hash, sealed, expires_at, updated_by)
                SELECT $22, $23, $24, $25, $26, 'dispense' FROM changed WHERE $23::bytea IS NOT NULL
            )
            SELECT FROM changed";
        let DispensingResult { row, next, trace, .. } = *result;
        let id = PrescriptionId::from_uuid(row.registered.id);
        let sequence = i16::try_from(row.registered.dispensers.len() + 1)
            .map_err(|_| StoreError::corrupt("prescription", "dispensers", id))?;
        let original = self.seal_document(id, Part::Dispensing(sequence), result.original)?;
        let periods = self.seal_periods(id, Source::Dispensed, sequence, result.periods)?;
        let trace_sealed = self.seal_trace(trace)?;
        let answer = self.answer_columns(result.answer)?;
        let (state, pharmacy, lease_end, due_on, partly) = flat(&next.state);
        let changed = self
            .one_opt(
                "dispense",
                SQL,
                &[
                    &row.bucket,
                    &row.patient,
                    &result.history_version,
                    &id,
                    &row.registered.version,
                    &result.now,
                    &state,
                    &pharmacy,
                    &lease_end,
                    &due_on,
                    &partly,
                    &i16::from(next.uses.done),
                    &sequence,
                    &result.media_type,
                    &original,
                    &periods.until,
                    &periods.sealed,
                    &result.findings,
                    &result.pharmacy.as_str(),
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
        Written::of(changed)
    }
}

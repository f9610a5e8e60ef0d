//! Writing, amending and withdrawing a dispensing result: one statement each, guarded by the versions of the
//! prescription and of the history that were read.

use uuid::Uuid;

use super::bucket::{PatientId, PrescriptionId};
use super::document::Part;
use super::pool::{Param, Store, StoreError};
use super::prescription::{Doing, Flat, PrescriptionRow, Written, flat, tail};
use crate::check::{Period, Source};
use crate::prescription::state::Life;

/// Everything a dispensing writes.
#[derive(Debug)]
pub struct DispensingResult<'a> {
    /// The prescription as read.
    pub row: &'a PrescriptionRow,
    /// Its life afterwards; its last result is this one.
    pub next: &'a Life,
    /// The result it takes the place of.
    pub replaced: Option<i16>,
    /// The record that stands for the patient, whose history was checked.
    pub person: PatientId,
    /// The version of the history the check saw.
    pub history_version: i64,
    /// Media type of the original.
    pub media_type: &'a str,
    /// The original.
    pub original: &'a [u8],
    /// What was dispensed.
    pub periods: &'a [Period],
    /// The findings it is dispensed in spite of.
    pub findings: &'a [Uuid],
    /// The act and its request.
    pub doing: Doing<'a>,
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
        macro_rules! sql {
            ($more:literal) => {
                concat!(
                    "-- dispense
            WITH guard AS (
                UPDATE patient
                SET history_version = history_version + 1, updated_at = now(), updated_by = $1
                WHERE bucket = $26 AND id = $27 AND history_version = $12
                RETURNING id
            ), changed AS (
                UPDATE prescription
                SET version = version + 1, state = $15, pharmacy = $16, lease_end = $17, results = $18,
                    dispensers = $19, changed_at = $20, updated_at = now(), updated_by = $1
                FROM guard
                WHERE prescription.bucket = $10 AND prescription.id = $13 AND prescription.version = $14
                RETURNING prescription.*
            ), original AS (
                INSERT INTO document (bucket, prescription_id, part, sequence, media_type, sealed, updated_by)
                SELECT $10, id, 'dispensing', $21, $22, $23, $1 FROM changed
            ), medicines AS (
                INSERT INTO medication
                    (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                SELECT $10, $11, id, 'dispensed', $21, $24, $25, $1 FROM changed
            )",
                    $more,
                    tail!()
                )
            };
        }
        // Few replace or meet anything, and what is not in a statement is not set up for it.
        const MORE: &str = sql!(
            ", replaced AS (
                DELETE FROM medication USING changed
                WHERE medication.bucket = $10 AND medication.patient_id = $11
                  AND medication.prescription_id = changed.id AND medication.source = 'dispensed'
                  AND medication.sequence = $28
            ), answered AS (
                UPDATE finding SET prescription_id = changed.id, updated_at = now(), updated_by = $1
                FROM changed WHERE finding.bucket = $10 AND finding.id = ANY ($29) AND finding.facility = $2
            )"
        );
        let DispensingResult { row, next, doing, .. } = result;
        let id = PrescriptionId::from_uuid(row.registered.id);
        let sequence = next.results.count();
        let original = self.seal_document(id, Part::Dispensing(sequence), result.original)?;
        let periods = self.seal_periods(id, Source::Dispensed, sequence, result.periods)?;
        let Flat { state, pharmacy, lease_end, results, dispensers, .. } = flat(next);
        let (tail, person_bucket) = (self.tail(doing)?, self.buckets().of_patient(result.person));
        let mut params = tail.before(&[
            &row.bucket,
            &row.patient,
            &result.history_version,
            &id,
            &row.registered.version,
            &state,
            &pharmacy,
            &lease_end,
            &results,
            &dispensers,
            &doing.now,
            &sequence,
            &result.media_type,
            &original,
            &periods.until,
            &periods.sealed,
            &person_bucket,
            &result.person,
        ]);
        let sql = if result.replaced.is_none() && result.findings.is_empty() {
            sql!("")
        } else {
            params.extend([&result.replaced as Param<'_>, &result.findings]);
            MORE
        };
        Written::of(self.one_opt(doing.act.as_str(), sql, &params).await)
    }

    /// Withdraws a result: it no longer counts as taken. Its document stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn dispensing_withdraw(
        &self,
        row: &PrescriptionRow,
        next: &Life,
        withdrawn: i16,
        doing: &Doing<'_>,
    ) -> Result<Written, StoreError> {
        const SQL: &str = concat!(
            "-- withdraw-dispense
            WITH guard AS (
                UPDATE patient
                SET history_version = history_version + 1, updated_at = now(), updated_by = $1
                WHERE bucket = $20 AND id = $21
                RETURNING id
            ), changed AS (
                UPDATE prescription
                SET version = version + 1, state = $14, pharmacy = $15, lease_end = $16, results = $17,
                    changed_at = $19, updated_at = now(), updated_by = $1
                FROM guard
                WHERE prescription.bucket = $10 AND prescription.id = $12 AND prescription.version = $13
                RETURNING prescription.*
            ), medicines AS (
                DELETE FROM medication USING changed
                WHERE medication.bucket = $10 AND medication.patient_id = $11
                  AND medication.prescription_id = changed.id AND medication.source = 'dispensed'
                  AND medication.sequence = $18
            )",
            tail!()
        );
        let id = PrescriptionId::from_uuid(row.registered.id);
        let person = self.person_of(row.patient).await?;
        let Flat { state, pharmacy, lease_end, results, .. } = flat(next);
        let tail = self.tail(doing)?;
        let written = self
            .one_opt(
                doing.act.as_str(),
                SQL,
                &tail.before(&[
                    &row.bucket,
                    &row.patient,
                    &id,
                    &row.registered.version,
                    &state,
                    &pharmacy,
                    &lease_end,
                    &results,
                    &withdrawn,
                    &doing.now,
                    &self.buckets().of_patient(person),
                    &person,
                ]),
            )
            .await;
        Written::of(written)
    }
}

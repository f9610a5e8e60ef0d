//! Accepting a prescription: one statement that changes its state and hands over its document and the findings it was
//! registered in spite of.

use super::bucket::PrescriptionId;
use super::document::{Document, Part};
use super::finding::FindingRow;
use super::pool::{Store, StoreError};
use super::prescription::{Doing, Flat, PrescriptionRow, besides, flat};
use crate::prescription::state::Life;

/// What a pharmacy is handed with a prescription.
#[derive(Debug)]
pub struct Handed {
    /// The original in force.
    pub document: Document,
    /// What the checker said of it, with the clinic's reasons.
    pub findings: Vec<FindingRow>,
}

impl Store {
    /// Changes the state of the prescription as read in `row` to that of `next`, with its version, trace and answer, and
    /// answers what is handed over. `None` when the guard had changed: read again and decide anew.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn acceptance_insert(
        &self,
        row: &PrescriptionRow,
        next: &Life,
        doing: &Doing<'_>,
    ) -> Result<Option<Handed>, StoreError> {
        const SQL: &str = concat!(
            "-- accept
            WITH changed AS (
                UPDATE prescription
                SET version = version + 1, state = $13, pharmacy = $14, lease_end = $15, changed_at = $16,
                    updated_at = now(), updated_by = $1
                WHERE bucket = $10 AND id = $11 AND version = $12
                RETURNING *
            )",
            besides!(),
            "SELECT d.media_type, d.sealed AS original, f.id, f.patient_id, f.sealed, f.mitigation
            FROM changed
            LEFT JOIN document d ON d.bucket = $10 AND d.prescription_id = changed.id
                AND d.part = 'prescription' AND d.sequence = changed.document_version
            LEFT JOIN finding f ON f.bucket = $10 AND f.prescription_id = changed.id
            ORDER BY f.id, f.facility"
        );
        let id = PrescriptionId::from_uuid(row.registered.id);
        let Flat { state, pharmacy, lease_end, .. } = flat(next);
        let tail = self.tail(doing)?;
        let rows = self
            .one(
                doing.act,
                SQL,
                &tail.before(&[
                    &row.bucket,
                    &id,
                    &row.registered.version,
                    &state,
                    &pharmacy,
                    &lease_end,
                    &doing.now,
                ]),
            )
            .await;
        let rows = match rows {
            // A key that has just been used is a lost race too: reading again meets its answer.
            Err(error) if error.is_constraint("idempotency_pkey") => return Ok(None),
            rows => rows?,
        };
        let Some(first) = rows.first() else { return Ok(None) };
        let part = Part::Prescription(row.registered.document.number);
        let document = self.document_open(id, part, first.get("media_type"), first.get("original"))?;
        let found = rows.iter().filter(|row| row.get::<_, Option<&[u8]>>("sealed").is_some());
        let findings = found.map(|row| self.finding_read(row)).collect::<Result<_, _>>()?;
        Ok(Some(Handed { document, findings }))
    }
}

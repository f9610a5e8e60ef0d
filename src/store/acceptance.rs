//! Accepting a prescription: what stands when it is asked for, and one statement that changes its state and hands over
//! its document.

use tokio_postgres::Row;
use uuid::Uuid;

use super::asked::{Asked, Asking, asked};
use super::batch::{Batched, owned};
use super::bucket::{PatientId, PrescriptionId};
use super::document::{Document, Part};
use super::finding::FindingRow;
use super::pool::{Store, StoreError};
use super::prescription::{Doing, PrescriptionRow, columns, state_changing, state_to};
use crate::prescription::registered::ExchangeNumber;
use crate::prescription::state::Life;

/// How one prescription is named.
#[derive(Clone, Copy, Debug)]
pub enum Sought<'a> {
    /// By 引換番号, within a patient.
    Number(PatientId, &'a ExchangeNumber),
    /// By its id, whosever it is.
    Id(PrescriptionId),
}

impl Store {
    /// A prescription, with the findings it was registered or dispensed in spite of, and what is asked beside it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn acceptance_find(
        &self,
        sought: Sought<'_>,
        asking: &Asking<'_>,
    ) -> Result<(Asked, Option<(PrescriptionRow, Vec<FindingRow>)>), StoreError> {
        macro_rules! sql {
            ($name:literal, $params:tt, $which:literal) => {
                asked!(
                    $name,
                    $params,
                    [
                        "SELECT ",
                        columns!("p"),
                        ", f.id AS finding, f.facility, f.sealed AS finding_sealed, f.mitigation
                        FROM prescription p
                        LEFT JOIN finding f ON f.bucket = p.bucket AND f.prescription_id = p.id
                        WHERE p.bucket = q.bucket AND ",
                        $which
                    ],
                    "ORDER BY s.finding, s.facility"
                )
            };
        }
        let (statement, subject) = match sought {
            Sought::Number(patient, number) => {
                static BY_NUMBER: Batched = sql!(
                    "acceptance-find-number",
                    (7 bucket smallint, 8 patient uuid, 9 number bytea),
                    "p.patient_id = q.patient AND p.number_hash = q.number"
                );
                let hash = self.number_hash(patient, number).to_vec();
                (&BY_NUMBER, owned![self.buckets().of_patient(patient), patient, hash])
            }
            Sought::Id(id) => {
                static BY_ID: Batched =
                    sql!("acceptance-find", (7 bucket smallint, 8 id uuid), "p.id = q.id");
                (&BY_ID, owned![self.buckets().of_prescription(id), id])
            }
        };
        let (asked, rows) = self.ask("acceptance-find", statement, asking, subject).await?;
        let Some(first) = rows.first() else { return Ok((asked, None)) };
        let found = self.prescription_read(first)?;
        let finding = |row: &Row| {
            let id = row.get::<_, Option<Uuid>>("finding")?;
            Some(self.finding_open(id, found.patient, row.get("finding_sealed"), row.get("mitigation")))
        };
        let findings = rows.iter().filter_map(finding).collect::<Result<_, _>>()?;
        Ok((asked, Some((found, findings))))
    }

    /// Changes the state of the prescription as read in `row` to that of `next`, with its version, trace and answer, and
    /// hands over its document. `None` when the guard had changed: read again and decide anew.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn acceptance_insert(
        &self,
        row: &PrescriptionRow,
        next: &Life,
        doing: &Doing<'_>,
    ) -> Result<Option<Document>, StoreError> {
        static ACCEPT: Batched = state_changing!(
            "accept",
            "SELECT c.n, d.media_type, d.sealed
             FROM changed c
             LEFT JOIN document d ON d.bucket = c.bucket AND d.prescription_id = c.id AND d.part = 'prescription'
                AND d.sequence = c.document_version"
        );
        let id = PrescriptionId::from_uuid(row.registered.id);
        let mut params = self.doing(doing)?;
        params.extend(state_to(row, next, doing));
        let written = match self.batched(doing.act.as_str(), &ACCEPT, params).await {
            // A key that has just been used is a lost race too: reading again meets its answer.
            Err(error) if error.is_constraint("idempotency_pkey") => return Ok(None),
            written => written?,
        };
        let part = Part::Prescription(row.registered.document.number);
        written
            .first()
            .map(|row| self.document_open(id, part, row.get("media_type"), row.get("sealed")))
            .transpose()
    }
}

//! Accepting a prescription: what stands when it is asked for, and one statement that changes its state and hands over
//! its document.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::asked::{Asked, Asking, asked};
use super::batch::{Batched, owned};
use super::bucket::{IdentityToken, PatientId, PrescriptionId};
use super::document::{Document, Part, original};
use super::finding::FindingRow;
use super::identity::{in_force, permissions, token_used};
use super::pool::{Store, StoreError};
use super::prescription::{Doing, PrescriptionRow, columns, state_changing, state_to};
use crate::prescription::consent::Permissions;
use crate::prescription::identifier::InstitutionCode;
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

/// Who asks for a prescription, and in whose name.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// What stands for the patient.
    pub token: &'a IdentityToken,
    /// The pharmacy.
    pub pharmacy: &'a InstitutionCode,
    /// When.
    pub at: DateTime<Utc>,
}

/// What stands when a prescription is asked for.
#[derive(Debug)]
pub struct Standing {
    /// What was asked beside it.
    pub asked: Asked,
    /// The patient the token stands for and what is in force for it; `None` when it serves nobody here.
    pub identified: Option<(PatientId, Permissions)>,
    /// The prescription, with the findings it was registered or dispensed in spite of. Nothing of it is to be told before
    /// the identity is sure.
    pub found: Option<(PrescriptionRow, Vec<FindingRow>)>,
}

impl Store {
    /// A prescription, and whether the bearer of an identity token may be told of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn acceptance_find(
        &self,
        sought: Sought<'_>,
        bearer: &Bearer<'_>,
        asking: &Asking<'_>,
    ) -> Result<Standing, StoreError> {
        macro_rules! sql {
            ($name:literal, ($($params:tt)*), $which:literal) => {
                asked!(
                    $name,
                    (7 bucket smallint, 8 patient uuid, 9 token bytea, 10 pharmacy text, 11 now timestamptz,
                     12 sought_bucket smallint, $($params)*),
                    (),
                    "q",
                    [
                        "SELECT ",
                        in_force!(columns "q.now"),
                        ", ",
                        columns!("p"),
                        ", f.id AS finding, f.facility, f.sealed AS finding_sealed, f.mitigation
                        FROM (SELECT) AS one",
                        in_force!(of token_used!("q.pharmacy", "q.now"), "q.now"),
                        " LEFT JOIN LATERAL (SELECT * FROM prescription WHERE bucket = q.sought_bucket AND ",
                        $which,
                        " LIMIT 1) p ON true
                        LEFT JOIN LATERAL (
                            SELECT id, facility, sealed, mitigation FROM finding
                            WHERE bucket = p.bucket AND prescription_id = p.id
                            OFFSET 0
                        ) f ON true"
                    ]
                )
            };
        }
        let patient = self.buckets().of_token(bearer.token);
        let mut subject = owned![
            self.buckets().of_patient(patient),
            patient,
            self.identity_token_hash(bearer.token).to_vec(),
            bearer.pharmacy.as_str().to_owned(),
            bearer.at,
        ];
        let statement = match sought {
            Sought::Number(patient, number) => {
                static BY_NUMBER: Batched = sql!(
                    "acceptance-find-number",
                    (13 sought_patient uuid, 14 number bytea),
                    "patient_id = q.sought_patient AND number_hash = q.number"
                );
                let hash = self.number_hash(patient, number).to_vec();
                subject.extend(owned![self.buckets().of_patient(patient), patient, hash]);
                &BY_NUMBER
            }
            Sought::Id(id) => {
                static BY_ID: Batched = sql!("acceptance-find", (13 id uuid), "id = q.id");
                subject.extend(owned![self.buckets().of_prescription(id), id]);
                &BY_ID
            }
        };
        let (asked, rows) = self.ask("acceptance-find", statement, asking, subject).await?;
        let identified = permissions(&rows)?;
        let found = match rows.first() {
            Some(first) if first.get::<_, Option<Uuid>>("id").is_some() => {
                let found = self.prescription_read(first)?;
                let findings = self.findings_beside(found.patient, &rows)?;
                Some((found, findings))
            }
            _ => None,
        };
        Ok(Standing { asked, identified, found })
    }

    /// The findings in rows that consents may repeat, in the order of their ids and facilities.
    fn findings_beside(&self, patient: PatientId, rows: &[Row]) -> Result<Vec<FindingRow>, StoreError> {
        let mut findings = BTreeMap::new();
        for row in rows {
            if let Some(id) = row.get::<_, Option<Uuid>>("finding") {
                let finding =
                    self.finding_open(id, patient, row.get("finding_sealed"), row.get("mitigation"))?;
                findings.insert((id, row.get::<_, &str>("facility")), finding);
            }
        }
        Ok(findings.into_values().collect())
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
            concat!("SELECT c.n, d.media_type, d.sealed FROM changed c", original!(of "c"))
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

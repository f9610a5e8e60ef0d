//! Findings of the checker as shown to a facility, and the reasons given for going on.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::Trace;
use super::batch::{Batched, batched, owned};
use super::bucket::PatientId;
use super::pool::{Store, StoreError};
use crate::check::Finding;
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::mitigation::Mitigation;

const TABLE: &str = "finding";

/// `in_spite!("facility")`: the findings that `changed c` lists become those of the prescription that was written in spite
/// of them. Each is found by its whole key: of several at once the planner may read all of a bucket.
macro_rules! in_spite {
    ($facility:literal) => {
        concat!(
            ", in_spite AS (
                UPDATE finding f SET prescription_id = c.id, updated_at = now(), updated_by = c.act
                FROM changed c, unnest(string_to_array(c.findings, ',')::uuid[]) AS i (id)
                WHERE f.bucket = c.bucket AND f.id = i.id AND f.facility = ",
            $facility,
            ")"
        )
    };
}
pub(super) use in_spite;

/// A finding as a facility met it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindingRow {
    /// Id of the `DetectedIssue`.
    pub id: Uuid,
    /// The patient.
    pub patient: PatientId,
    /// The finding.
    pub finding: Finding,
    /// The reason for going on, when one was given.
    pub mitigation: Option<Mitigation>,
}

impl Store {
    /// The id a finding has on the wire: the same finding of the same patient has the same id.
    pub fn finding_id(&self, patient: PatientId, finding: &Finding) -> Uuid {
        let hash = self.lookup().hash("finding", &[patient.to_string(), finding.id.clone()]);
        self.buckets().finding_id(&hash, self.buckets().of_patient(patient))
    }

    /// Keeps findings as shown to a facility, and fills in the reasons it has given for any of them before.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn finding_show(
        &self,
        act: AccessAct,
        patient: PatientId,
        facility: &InstitutionCode,
        at: DateTime<Utc>,
        findings: &mut [FindingRow],
    ) -> Result<(), StoreError> {
        static SHOW: Batched = batched!(
            "finding-show",
            (1 bucket smallint, 2 patient uuid, 3 facility text, 4 at timestamptz, 5 act text, 6 findings json),
            ", met AS (
                SELECT q.*, f.*, k.mitigation,
                    k.id IS NULL AND row_number() OVER (PARTITION BY q.bucket, f.id, q.facility) = 1 AS new
                FROM q, json_to_recordset(q.findings)
                    AS f (id uuid, sealed text, kind text, rule_hash text, severity text)
                LEFT JOIN LATERAL (
                    SELECT id, mitigation FROM finding
                    WHERE bucket = q.bucket AND id = f.id AND facility = q.facility LIMIT 1
                ) k ON true
            ), shown AS (
                INSERT INTO finding
                    (bucket, id, facility, patient_id, found_at, sealed, kind, rule_hash, severity, updated_by)
                SELECT bucket, id, facility, patient, at, decode(sealed, 'base64'), kind,
                    decode(rule_hash, 'base64'), severity, act
                FROM met WHERE new ORDER BY bucket, id, facility
                ON CONFLICT ON CONSTRAINT finding_pkey DO NOTHING
                RETURNING bucket, id, facility
            )
            SELECT m.n, m.id, m.mitigation, s.id IS NOT NULL AS first
            FROM met m
            LEFT JOIN shown s ON m.new AND s.bucket = m.bucket AND s.id = m.id AND s.facility = m.facility"
        );
        let rows = findings.iter().map(|row| self.finding_json(row)).collect::<Result<Vec<_>, _>>()?;
        let facility = facility.as_str().to_owned();
        let params =
            owned![self.buckets().of_patient(patient), patient, facility, at, act, Value::from(rows)];
        for known in self.batched(act.as_str(), &SHOW, params).await? {
            let id: Uuid = known.get("id");
            let Some(row) = findings.iter_mut().find(|row| row.id == id) else { continue };
            row.mitigation = self.mitigation_open(id, known.get("mitigation"))?;
            if known.get("first") {
                let (kind, severity) = (row.finding.kind.as_str(), row.finding.severity.as_str());
                metrics::counter!("hikikae_finding_shown_total", "kind" => kind, "severity" => severity)
                    .increment(1);
            }
        }
        Ok(())
    }

    /// A finding as a statement takes several.
    fn finding_json(&self, row: &FindingRow) -> Result<Value, StoreError> {
        let FindingRow { id, finding, .. } = row;
        Ok(json!({
            "id": id,
            "sealed": BASE64_STANDARD.encode(self.seal_json(TABLE, id.as_bytes(), "sealed", finding)?),
            "kind": finding.kind.as_str(),
            "rule_hash": BASE64_STANDARD.encode(self.rule_hash(&finding.rule)),
            "severity": finding.severity.as_str(),
        }))
    }

    /// The finding shown to a facility.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn finding_find(
        &self,
        id: Uuid,
        facility: &InstitutionCode,
    ) -> Result<Option<FindingRow>, StoreError> {
        const SQL: &str = "-- finding-find
            SELECT id, patient_id, sealed, mitigation FROM finding
            WHERE bucket = $1 AND id = $2 AND facility = $3";
        let bucket = self.buckets().of_finding(&id);
        let row = self.one_opt("finding-find", SQL, &[&bucket, &id, &facility.as_str()]).await?;
        row.map(|row| self.finding_read(&row)).transpose()
    }

    pub(super) fn finding_read(&self, row: &tokio_postgres::Row) -> Result<FindingRow, StoreError> {
        self.finding_open(row.get("id"), row.get("patient_id"), row.get("sealed"), row.get("mitigation"))
    }

    pub(super) fn finding_open(
        &self,
        id: Uuid,
        patient: PatientId,
        sealed: &[u8],
        mitigation: Option<&[u8]>,
    ) -> Result<FindingRow, StoreError> {
        Ok(FindingRow {
            id,
            patient,
            finding: self.open_json(TABLE, id.as_bytes(), "sealed", sealed)?,
            mitigation: self.mitigation_open(id, mitigation)?,
        })
    }

    fn mitigation_open(&self, id: Uuid, sealed: Option<&[u8]>) -> Result<Option<Mitigation>, StoreError> {
        sealed.map(|sealed| self.open_json(TABLE, id.as_bytes(), "mitigation", sealed)).transpose()
    }

    /// Keeps a facility's reason, with its trace. A second reason replaces the first until the document is
    /// registered; after that the reason stands.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn finding_mitigate(
        &self,
        row: &FindingRow,
        mitigation: &Mitigation,
        trace: &Trace,
    ) -> Result<bool, StoreError> {
        const ACT: AccessAct = AccessAct::Mitigate;
        const SQL: &str = "-- finding-mitigate
            WITH changed AS (
                UPDATE finding
                SET mitigation = $4, mitigated_at = $5, management_code = $8, updated_at = now(), updated_by = 'mitigate'
                WHERE bucket = $1 AND id = $2 AND facility = $3 AND prescription_id IS NULL
                RETURNING patient_id
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $1, patient_id, $6, $5, $9, $7, $9 FROM changed
            )
            SELECT FROM changed";
        let bucket = self.buckets().of_finding(&row.id);
        let sealed = self.seal_json(TABLE, row.id.as_bytes(), "mitigation", mitigation)?;
        let trace_sealed = self.seal_trace(trace)?;
        let changed = self
            .one_opt(
                ACT.as_str(),
                SQL,
                &[
                    &bucket,
                    &row.id,
                    &mitigation.facility.as_str(),
                    &sealed,
                    &mitigation.at,
                    &trace.request,
                    &trace_sealed,
                    &mitigation.code.as_str(),
                    &ACT,
                ],
            )
            .await?;
        if changed.is_some() {
            let (kind, severity) = (row.finding.kind.as_str(), row.finding.severity.as_str());
            let code = mitigation.code.as_str();
            metrics::counter!(
                "hikikae_finding_mitigated_total", "kind" => kind, "severity" => severity, "code" => code
            )
            .increment(1);
        }
        Ok(changed.is_some())
    }
}

//! Findings of the checker as shown to a facility, and the reasons given for going on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::Trace;
use super::bucket::PatientId;
use super::pool::{Store, StoreError};
use crate::check::Finding;
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::mitigation::Mitigation;

const TABLE: &str = "finding";

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

    /// Keeps findings shown to a facility, with the trace of the refused act that met them; an act that goes on
    /// leaves its own.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn finding_insert(
        &self,
        act: AccessAct,
        patient: PatientId,
        facility: &InstitutionCode,
        findings: &[FindingRow],
        at: DateTime<Utc>,
        trace: Option<&Trace>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "-- finding-insert
            WITH trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $1, $2, $3, $4, $5, $6, $5 WHERE $3::uuid IS NOT NULL
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )
            INSERT INTO finding
                (bucket, id, facility, patient_id, found_at, sealed, kind, rule_hash, severity, updated_by)
            SELECT $1, f.id, $7, $2, $4, f.sealed, f.kind, f.rule_hash, f.severity, $5
            FROM unnest($8::uuid[], $9::bytea[], $10::text[], $11::bytea[], $12::text[])
                AS f (id, sealed, kind, rule_hash, severity)
            ON CONFLICT ON CONSTRAINT finding_pkey DO NOTHING
            RETURNING kind, severity";
        let bucket = self.buckets().of_patient(patient);
        let ids: Vec<Uuid> = findings.iter().map(|row| row.id).collect();
        let sealed = findings
            .iter()
            .map(|row| self.seal_json(TABLE, row.id.as_bytes(), "sealed", &row.finding))
            .collect::<Result<Vec<_>, _>>()?;
        let kinds: Vec<&str> = findings.iter().map(|row| row.finding.kind.as_str()).collect();
        let rules: Vec<Vec<u8>> = findings.iter().map(|row| self.rule_hash(&row.finding.rule)).collect();
        let severities: Vec<&str> = findings.iter().map(|row| row.finding.severity.as_str()).collect();
        let trace_sealed = trace.map(|trace| self.seal_trace(trace)).transpose()?;
        let shown = self
            .one(
                act.as_str(),
                SQL,
                &[
                    &bucket,
                    &patient,
                    &trace.map(|trace| trace.request),
                    &at,
                    &act,
                    &trace_sealed,
                    &facility.as_str(),
                    &ids,
                    &sealed,
                    &kinds,
                    &rules,
                    &severities,
                ],
            )
            .await?;
        for row in shown {
            let (kind, severity): (String, String) = (row.get("kind"), row.get("severity"));
            metrics::counter!("hikikae_finding_shown_total", "kind" => kind, "severity" => severity)
                .increment(1);
        }
        Ok(())
    }

    /// The reasons the facility has given for any of these findings.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn finding_mitigated(
        &self,
        patient: PatientId,
        facility: &InstitutionCode,
        ids: &[Uuid],
    ) -> Result<Vec<FindingRow>, StoreError> {
        const SQL: &str = "-- finding-mitigated
            SELECT id, patient_id, sealed, mitigation FROM finding
            WHERE bucket = $1 AND id = ANY ($2) AND facility = $3 AND mitigated_at IS NOT NULL";
        let bucket = self.buckets().of_patient(patient);
        let rows = self.one("finding-mitigated", SQL, &[&bucket, &ids, &facility.as_str()]).await?;
        rows.iter().map(|row| self.finding_read(row)).collect()
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
            mitigation: mitigation
                .map(|sealed| self.open_json(TABLE, id.as_bytes(), "mitigation", sealed))
                .transpose()?,
        })
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

//! Whose data is here: how much is kept of a person, by kind and year. Reads no content.

use serde::Serialize;

use super::bucket::PatientId;
use super::pool::{Store, StoreError};

/// How many rows of a kind are kept of a record, and of which years.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// What is kept: the name of its table.
    pub kind: String,
    /// How many rows.
    pub rows: i64,
    /// Year of the oldest.
    pub oldest: Option<i32>,
    /// Year of the newest.
    pub newest: Option<i32>,
}

const SQL: &str = "-- holding-count
    SELECT kind, count(*) AS rows, extract(year FROM min(at))::integer AS oldest,
           extract(year FROM max(at))::integer AS newest
    FROM (
        SELECT 'patient' AS kind, created_at AS at FROM patient WHERE bucket = $1 AND id = $2
        UNION ALL SELECT 'coverage', created_at FROM coverage WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'insured_identity', created_at FROM insured_identity WHERE patient_id = $2
        UNION ALL SELECT 'card', created_at FROM card WHERE patient_id = $2
        UNION ALL SELECT 'person_name', created_at FROM person_name WHERE patient_id = $2
        UNION ALL SELECT 'prescription', registered_at FROM prescription WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'prescription_version', changed_at FROM prescription_version v
            WHERE bucket = $1 AND EXISTS (SELECT FROM prescription p
                                          WHERE p.bucket = $1 AND p.patient_id = $2 AND p.id = v.prescription_id)
        UNION ALL SELECT 'document', d.created_at FROM document d
            JOIN prescription p ON p.bucket = d.bucket AND p.id = d.prescription_id
            WHERE p.bucket = $1 AND p.patient_id = $2
        UNION ALL SELECT 'medication', m.created_at FROM medication m WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'finding', found_at FROM finding WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'reported', recorded_at FROM reported WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'consent', granted_at FROM consent WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'app_grant', granted_at FROM app_grant WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'mandate', granted_at FROM mandate
            WHERE bucket = $1 AND patient_id = $2 OR representative_id = $2
        UNION ALL SELECT 'access_record', at FROM access_record WHERE bucket = $1 AND patient_id = $2
        UNION ALL SELECT 'patient_merge', merged_at FROM patient_merge WHERE bucket = $1 AND patient_id = $2
    ) AS kept
    GROUP BY kind ORDER BY kind";

impl Store {
    /// What is kept under one record, by kind.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn holdings(&self, patient: PatientId) -> Result<Vec<Holding>, StoreError> {
        let bucket = self.buckets().of_patient(patient);
        let rows = self.one("holding-count", SQL, &[&bucket, &patient]).await?;
        Ok(rows
            .iter()
            .map(|row| Holding {
                kind: row.get("kind"),
                rows: row.get("rows"),
                oldest: row.get("oldest"),
                newest: row.get("newest"),
            })
            .collect())
    }

    /// Prescriptions registered under the record that goes on since a merge, that have not ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescriptions_since_merge(
        &self,
        kept: PatientId,
        merged: PatientId,
    ) -> Result<i64, StoreError> {
        const SQL: &str = "-- prescriptions-since-merge
            SELECT count(*) AS open FROM prescription p
            JOIN patient_merge m ON m.bucket = p.bucket AND m.patient_id = p.patient_id
            WHERE p.bucket = $1 AND p.patient_id = $2 AND m.merged_id = $3 AND m.undone_at IS NULL
              AND p.registered_at >= m.merged_at AND p.state IN ('issued', 'accepted')";
        let bucket = self.buckets().of_patient(kept);
        let row = self.one_opt("prescriptions-since-merge", SQL, &[&bucket, &kept, &merged]).await?;
        Ok(row.map_or(0, |row| row.get("open")))
    }
}

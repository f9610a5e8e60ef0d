//! The access record: who looked or acted. Written in the statement of the look or act itself (invariant 7).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bucket::{Bucket, PatientId, PrescriptionId};
use super::pool::{Store, StoreError};
use crate::prescription::identifier::InstitutionCode;

/// One look or act, before it is sealed.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Id of the request. A request leaves at most one record a patient.
    pub request: Uuid,
    /// What the patient will read.
    pub content: TraceContent,
}

/// Who, why, and how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceContent {
    /// The facility, when it was one.
    pub facility: Option<InstitutionCode>,
    /// Its name.
    pub facility_name: Option<String>,
    /// The person at the terminal or the patient's own login.
    pub person: Option<String>,
    /// The app that acted for the patient.
    #[serde(default)]
    pub app: Option<String>,
    /// The document's signer, for signed acts.
    pub signer: Option<String>,
    /// The stated reason, where the contract asks for one.
    pub reason: Option<String>,
    /// `done`, or the code of the refusal.
    pub outcome: String,
}

impl Store {
    pub(super) fn seal_trace(&self, trace: &Trace) -> Result<Vec<u8>, StoreError> {
        self.seal_json("access_record", trace.request.as_bytes(), "sealed", &trace.content)
    }

    /// Records a look or an act that changed nothing else, such as a refused one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_record_insert(
        &self,
        act: &'static str,
        bucket: Bucket,
        patient: PatientId,
        prescription: Option<PrescriptionId>,
        at: chrono::DateTime<chrono::Utc>,
        trace: &Trace,
    ) -> Result<(), StoreError> {
        const SQL: &str = "-- access-record-insert
            INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $5)
            ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING";
        let sealed = self.seal_trace(trace)?;
        self.one_execute(
            "access-record-insert",
            SQL,
            &[&bucket, &patient, &trace.request, &at, &act, &prescription, &sealed],
        )
        .await?;
        Ok(())
    }

    /// Records one look at several patients' data.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_record_insert_many(
        &self,
        act: &'static str,
        patients: &[(Bucket, PatientId)],
        at: chrono::DateTime<chrono::Utc>,
        trace: &Trace,
    ) -> Result<(), StoreError> {
        const SQL: &str = "-- access-record-insert-many
            INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
            SELECT DISTINCT p.bucket, p.id, $3::uuid, $4::timestamptz, $5, $6::bytea, $5
            FROM unnest($1::smallint[], $2::uuid[]) AS p (bucket, id)
            ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING";
        let (buckets, ids): (Vec<Bucket>, Vec<PatientId>) = patients.iter().copied().unzip();
        let sealed = self.seal_trace(trace)?;
        self.one_execute("access-record-insert", SQL, &[&buckets, &ids, &trace.request, &at, &act, &sealed])
            .await?;
        Ok(())
    }
}

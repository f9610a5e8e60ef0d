//! The access record: who looked or acted. Written in the statement of the look or act itself (invariant 7).

use chrono::{DateTime, Utc};
use postgres_types::{IsNull, ToSql, Type, private::BytesMut};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::bucket::{Bucket, PatientId, PrescriptionId};
use super::pool::{Store, StoreError};
use crate::prescription::access::{AccessAct, Who};
use crate::prescription::consent::Opening;
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
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TraceContent {
    /// Which kind of caller.
    pub who: Who,
    /// The facility, when it was one.
    pub facility: Option<InstitutionCode>,
    /// Its name.
    pub facility_name: Option<String>,
    /// The person at the terminal or the patient's own login.
    pub person: Option<String>,
    /// The app that acted for the patient.
    #[serde(default)]
    pub app: Option<String>,
    /// The person who acted for the patient, or whose mandate was given or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub representative: Option<String>,
    /// The mandate by which somebody acted, or that was given or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandate: Option<Uuid>,
    /// The document's signer, for signed acts.
    pub signer: Option<String>,
    /// The stated reason, where the contract asks for one.
    pub reason: Option<String>,
    /// `done`, or the code of the refusal.
    pub outcome: String,
    /// What opened data that are closed without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<Opening>,
}

/// A look or act as it was recorded.
#[derive(Clone, Debug)]
pub struct AccessRow {
    /// Id of the request.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// The act.
    pub act: String,
    /// The prescription, when it was one.
    pub prescription: Option<PrescriptionId>,
    /// Who, why, how it ended.
    pub content: TraceContent,
}

impl ToSql for AccessAct {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.as_str().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    postgres_types::to_sql_checked!();
}

impl TraceContent {
    /// What the operator does to a record, with the reason or evidence where one is asked for.
    pub fn of_operator(reason: Option<String>) -> Self {
        Self { who: Who::Operator, reason, outcome: "done".to_owned(), ..Self::default() }
    }
}

impl Trace {
    /// The trace of a look under a consent.
    #[must_use]
    pub fn under(mut self, opening: impl IntoIterator<Item = Opening>) -> Self {
        self.content.opened.extend(opening);
        self
    }
}

/// When records were written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// From an instant.
    pub from: Option<DateTime<Utc>>,
    /// To before another.
    pub until: Option<DateTime<Utc>>,
    /// Outside of each of these, from an instant to before another.
    pub without: Vec<(DateTime<Utc>, DateTime<Utc>)>,
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
        act: AccessAct,
        bucket: Bucket,
        patient: PatientId,
        prescription: Option<PrescriptionId>,
        at: DateTime<Utc>,
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
        act: AccessAct,
        patients: &[(Bucket, PatientId)],
        at: DateTime<Utc>,
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

    /// What was recorded of a patient in a time, the newest first, from before `before` on; with the trace of this look
    /// itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_record_list(
        &self,
        patient: PatientId,
        Written { from, until, without }: &Written,
        before: Option<(DateTime<Utc>, Uuid)>,
        limit: usize,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Vec<AccessRow>, StoreError> {
        const SQL: &str = "-- access-record-list
            WITH trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                VALUES ($1, $2, $6, $7, $13, $8, $13)
            )
            SELECT id, at, act, prescription_id, sealed FROM access_record
            WHERE bucket = $1 AND patient_id = $2 AND ($3::timestamptz IS NULL OR (at, id) < ($3, $4::uuid))
              AND ($9::timestamptz IS NULL OR at >= $9) AND ($10::timestamptz IS NULL OR at < $10)
              AND NOT EXISTS (
                SELECT FROM unnest($11::timestamptz[], $12::timestamptz[]) AS without (start_at, end_at)
                WHERE at >= without.start_at AND at < without.end_at)
            ORDER BY at DESC, id DESC LIMIT $5";
        const ACT: AccessAct = AccessAct::AccessRecord;
        let bucket = self.buckets().of_patient(patient);
        let (at, id) = before.unzip();
        let (starts, ends): (Vec<_>, Vec<_>) = without.iter().copied().unzip();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sealed = self.seal_trace(trace)?;
        let rows = self
            .one(
                ACT.as_str(),
                SQL,
                &[
                    &bucket,
                    &patient,
                    &at,
                    &id,
                    &limit,
                    &trace.request,
                    &now,
                    &sealed,
                    from,
                    until,
                    &starts,
                    &ends,
                    &ACT,
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let id: Uuid = row.get("id");
                Ok(AccessRow {
                    id,
                    at: row.get("at"),
                    act: row.get("act"),
                    prescription: row.get("prescription_id"),
                    content: self.open_json("access_record", id.as_bytes(), "sealed", row.get("sealed"))?,
                })
            })
            .collect()
    }
}

//! What is reported of a patient: allergies, self-reported medicines, claims. A look and its trace are one statement
//! (invariant 7); what the checker reads raises the version of the history.

use chrono::{DateTime, NaiveDate, Utc};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use super::access::Trace;
use super::bucket::{Bucket, PatientId};
use super::pool::{Store, StoreError};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::reported::{Content, Reported, Reporter};

pub(super) const TABLE: &str = "reported";

/// The most entries of one kind a patient can have; claims are not counted.
pub const MOST: i64 = 1000;

/// The kinds of entry, which are kept and read apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedKind {
    /// アレルギー.
    Allergy,
    /// 自己申告.
    Medicine,
    /// レセプト由来.
    Claim,
}

/// What became of entries that were to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Each entry, in their order.
    Yes(Vec<KeptEntry>),
    /// The patient has too many.
    Full,
    /// The same was being kept at this moment: ask again.
    Lost,
}

/// An entry that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its id.
    pub id: Uuid,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Whether it was not there before.
    pub new: bool,
}

/// What became of an entry that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Yes,
    /// Somebody else recorded it.
    AnothersEntry,
    /// There is no such entry.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    by: std::borrow::Cow<'a, Reporter>,
    content: std::borrow::Cow<'a, Content>,
}

/// Entries as columns.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) ids: Vec<Uuid>,
    pub(super) facilities: Vec<Option<String>>,
    pub(super) since: Vec<NaiveDate>,
    pub(super) until: Vec<Option<NaiveDate>>,
    pub(super) hashes: Vec<Vec<u8>>,
    pub(super) sealed: Vec<Vec<u8>>,
}

impl ReportedKind {
    /// The value of the column.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Allergy => "allergy",
            Self::Medicine => "medicine",
            Self::Claim => "claim",
        }
    }
}

/// What is said, bound to whom it is said of: equal reports of two persons do not look equal. The keyed hash within is
/// what entries had before `schema/0017_reported_bound.sql`, so that the database could bind those without the key.
fn content_hash(patient: PatientId, said: &[u8; 32]) -> Vec<u8> {
    digest(&SHA256, &[patient.as_uuid().as_bytes(), said.as_slice()].concat()).as_ref().to_vec()
}

impl Store {
    pub(super) fn reported_columns<'e>(
        &self,
        entries: impl IntoIterator<Item = (PatientId, &'e Reported)>,
    ) -> Result<Columns, StoreError> {
        let mut columns = Columns::default();
        for (patient, entry) in entries {
            let facility = entry.by.facility().map(|code| code.as_str().to_owned());
            let content = serde_json::to_vec(&entry.content)
                .map_err(|_| StoreError::corrupt(TABLE, "content", entry.id))?;
            let who = facility.clone().unwrap_or_default();
            let (since, until) = entry.days();
            let sealed = Sealed {
                by: std::borrow::Cow::Borrowed(&entry.by),
                content: std::borrow::Cow::Borrowed(&entry.content),
            };
            columns.ids.push(entry.id);
            columns.facilities.push(facility);
            columns.since.push(since);
            columns.until.push(until);
            columns
                .hashes
                .push(content_hash(patient, &self.lookup().hash(TABLE, &[who.as_bytes(), &content])));
            columns.sealed.push(self.seal_json(TABLE, entry.id.as_bytes(), "sealed", &sealed)?);
        }
        Ok(columns)
    }

    pub(super) fn reported_open(
        &self,
        id: Uuid,
        recorded_at: DateTime<Utc>,
        sealed: &[u8],
    ) -> Result<Reported, StoreError> {
        let Sealed { by, content } = self.open_json(TABLE, id.as_bytes(), "sealed", sealed)?;
        Ok(Reported {
            id,
            recorded_on: japanese_date(recorded_at),
            by: by.into_owned(),
            content: content.into_owned(),
        })
    }

    fn reported_row(&self, row: &Row) -> Result<Reported, StoreError> {
        self.reported_open(row.get("id"), row.get("recorded_at"), row.get("sealed"))
    }

    /// Keeps entries of one kind that the checker reads; one that says what an earlier one says is that one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn reported_insert(
        &self,
        act: AccessAct,
        patient: PatientId,
        kind: ReportedKind,
        entries: &[Reported],
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Kept, StoreError> {
        const SQL: &str = "-- reported-insert
            WITH given AS (
                SELECT * FROM unnest($4::uuid[], $5::text[], $6::date[], $7::date[], $8::bytea[], $9::bytea[])
                    WITH ORDINALITY AS g (id, facility, since, until, content_hash, sealed, place)
            ), guard AS (
                UPDATE patient SET history_version = history_version + 1, updated_at = now(), updated_by = $1
                WHERE bucket = $2 AND id = $3
                  AND (SELECT count(*) FROM reported r WHERE r.bucket = $2 AND r.patient_id = $3 AND r.kind = $10)
                      + (SELECT count(*) FROM given) <= $11
                RETURNING id
            ), added AS (
                INSERT INTO reported
                    (bucket, patient_id, id, kind, facility, since, until, recorded_at, content_hash, sealed, updated_by)
                SELECT $2, $3, g.id, $10, g.facility, g.since, g.until, $12, g.content_hash, g.sealed, $1
                FROM guard, given g ORDER BY g.place
                ON CONFLICT ON CONSTRAINT reported_content DO NOTHING
                RETURNING id, content_hash
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $2, $3, $13, $12, $1, $14, $1 FROM guard
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )
            SELECT (SELECT count(*) FROM guard) AS room, coalesce(r.id, a.id) AS id,
                   coalesce(r.recorded_at, $12) AS recorded_at, r.id IS NULL AS new
            FROM given g
            LEFT JOIN added a ON a.content_hash = g.content_hash
            LEFT JOIN reported r ON r.bucket = $2 AND r.patient_id = $3 AND r.content_hash = g.content_hash
            ORDER BY g.place";
        let columns = self.reported_columns(entries.iter().map(|entry| (patient, entry)))?;
        let sealed = self.seal_trace(trace)?;
        let rows = self
            .one(
                act.as_str(),
                SQL,
                &[
                    &act,
                    &self.buckets().of_patient(patient),
                    &patient,
                    &columns.ids,
                    &columns.facilities,
                    &columns.since,
                    &columns.until,
                    &columns.hashes,
                    &columns.sealed,
                    &kind.as_str(),
                    &MOST,
                    &at,
                    &trace.request,
                    &sealed,
                ],
            )
            .await?;
        if rows.iter().any(|row| row.get::<_, i64>("room") == 0) {
            return Ok(Kept::Full);
        }
        let known = |row: &Row| {
            let id: Option<Uuid> = row.get("id");
            id.map(|id| KeptEntry { id, recorded_at: row.get("recorded_at"), new: row.get("new") })
        };
        Ok(rows.iter().map(known).collect::<Option<Vec<_>>>().map_or(Kept::Lost, Kept::Yes))
    }

    /// Keeps claims of any patients, with the trace of each patient whose history they add to; those that are there
    /// already stay. Answers how many are new. The checker does not read them: no version is raised.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) async fn claims_insert(
        &self,
        claims: &[(PatientId, Reported)],
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<u64, StoreError> {
        const SQL: &str = "-- claims-insert
            WITH added AS (
                INSERT INTO reported
                    (bucket, patient_id, id, kind, facility, since, until, recorded_at, content_hash, sealed, updated_by)
                SELECT g.bucket, g.patient_id, g.id, 'claim', g.facility, g.since, g.until, $9, g.content_hash, g.sealed,
                       'import-claims'
                FROM unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::date[], $6::date[], $7::bytea[],
                            $8::bytea[])
                    AS g (bucket, patient_id, id, facility, since, until, content_hash, sealed)
                ON CONFLICT ON CONSTRAINT reported_content DO NOTHING
                RETURNING bucket, patient_id
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT DISTINCT bucket, patient_id, $10::uuid, $9::timestamptz, $12::text, $11::bytea,
                       $12::text
                FROM added
            )
            SELECT count(*) AS added FROM added";
        const ACT: AccessAct = AccessAct::ImportClaims;
        let patients: Vec<PatientId> = claims.iter().map(|(patient, _)| *patient).collect();
        let buckets: Vec<Bucket> =
            patients.iter().map(|patient| self.buckets().of_patient(*patient)).collect();
        let columns = self.reported_columns(claims.iter().map(|(patient, entry)| (*patient, entry)))?;
        let sealed = self.seal_trace(trace)?;
        let row = self
            .one_opt(
                ACT.as_str(),
                SQL,
                &[
                    &buckets,
                    &patients,
                    &columns.ids,
                    &columns.facilities,
                    &columns.since,
                    &columns.until,
                    &columns.hashes,
                    &columns.sealed,
                    &at,
                    &trace.request,
                    &sealed,
                    &ACT,
                ],
            )
            .await?;
        Ok(row.map_or(0, |row| row.get::<_, i64>("added").unsigned_abs()))
    }

    /// The entries of these kinds, the oldest first, with the trace of the look; of a `recorder`, only its own.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn reported_read(
        &self,
        act: AccessAct,
        patient: PatientId,
        kinds: &[ReportedKind],
        recorder: Option<&InstitutionCode>,
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Vec<Reported>, StoreError> {
        const SQL: &str = "-- reported-read
            WITH trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                VALUES ($1, $2, $3, $4, $5, $6, $5)
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )
            SELECT id, recorded_at, sealed FROM reported
            WHERE bucket = $1 AND patient_id = $2 AND kind = ANY ($7) AND ($8::text IS NULL OR facility = $8)
            ORDER BY recorded_at, id";
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let sealed = self.seal_trace(trace)?;
        let rows = self
            .one(
                act.as_str(),
                SQL,
                &[
                    &self.buckets().of_patient(patient),
                    &patient,
                    &trace.request,
                    &at,
                    &act,
                    &sealed,
                    &kinds,
                    &recorder.map(InstitutionCode::as_str),
                ],
            )
            .await?;
        rows.iter().map(|row| self.reported_row(row)).collect()
    }

    /// Removes an entry that this recorder made, `None` being the patient, with its trace.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn reported_delete(
        &self,
        act: AccessAct,
        patient: PatientId,
        (kind, id): (ReportedKind, Uuid),
        recorder: Option<&InstitutionCode>,
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Removed, StoreError> {
        const SQL: &str = "-- reported-delete
            WITH gone AS (
                DELETE FROM reported
                WHERE bucket = $1 AND patient_id = $2 AND id = $3 AND kind = $4 AND facility IS NOT DISTINCT FROM $5
                RETURNING id
            ), guard AS (
                UPDATE patient SET history_version = history_version + 1, updated_at = now(), updated_by = $6
                FROM gone WHERE patient.bucket = $1 AND patient.id = $2
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $1, $2, $7, $8, $6, $9, $6 FROM gone
            )
            SELECT (SELECT count(*) FROM gone) AS gone
            FROM reported WHERE bucket = $1 AND patient_id = $2 AND id = $3 AND kind = $4";
        let sealed = self.seal_trace(trace)?;
        let row = self
            .one_opt(
                act.as_str(),
                SQL,
                &[
                    &self.buckets().of_patient(patient),
                    &patient,
                    &id,
                    &kind.as_str(),
                    &recorder.map(InstitutionCode::as_str),
                    &act,
                    &trace.request,
                    &at,
                    &sealed,
                ],
            )
            .await?;
        Ok(match row.map(|row| row.get::<_, i64>("gone")) {
            None => Removed::Unknown,
            Some(0) => Removed::AnothersEntry,
            Some(_) => Removed::Yes,
        })
    }
}

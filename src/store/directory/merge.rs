//! Merging (名寄せ) two records of one person, and undoing a wrong merge. Rows sealed under a record's id cannot be
//! moved, so look-ups are turned to the record that goes on and it reads the other along.
//!
//! Knows no reason why two records are one person: that is the operator's evidence.

use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::InsuredIdentity;
use super::coverage_row;
use super::import::LOCK;
use crate::prescription::access::AccessAct;
use crate::prescription::reported::Reported;
use crate::store::access::{Trace, TraceContent};
use crate::store::bucket::{Bucket, PatientId};
use crate::store::error::StoreError;
use crate::store::pool::{Store, Tx, column};
use crate::store::seal::SealContext;

/// Two records of one person.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The record that goes on.
    pub kept: PatientId,
    /// The record whose place it takes.
    pub merged: PatientId,
    /// What shows that they are one person, or of an undo that they are not. Personal.
    pub evidence: String,
}

/// Nothing was merged or undone.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// No record has this id.
    #[error("no person has the id {0}")]
    Unknown(PatientId),
    /// A record is one person with itself.
    #[error("these are one record")]
    Same,
    /// One merge at a time, so that each can be undone by itself.
    #[error("{0} is part of another merge; undo that first, or merge into the record that goes on")]
    Merged(PatientId),
    /// There is no such merge to undo.
    #[error("{0} is not merged into {1}")]
    NotMerged(PatientId, PatientId),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const MERGE: AccessAct = AccessAct::MergePatients;
const UNMERGE: AccessAct = AccessAct::UnmergePatients;

const FIND: &str = "-- patient-merge-find
    SELECT merged_into, merged FROM patient WHERE bucket = $1 AND id = $2 FOR UPDATE";

// Both versions are raised: an act under way on either record reads again.
const MERGED: &str = "-- patient-merged
    UPDATE patient SET merged_into = $3, history_version = history_version + 1, updated_at = now(), updated_by = $4
    WHERE bucket = $1 AND id = $2";

const KEPT: &str = "-- patient-kept
    UPDATE patient SET merged = $3, history_version = history_version + 1, updated_at = now(), updated_by = $4
    WHERE bucket = $1 AND id = $2";

const FOUND_BY: [&str; 3] = [
    "-- insured-identity-merged
    UPDATE insured_identity SET merged_into = $2, updated_at = now(), updated_by = $3 WHERE patient_id = $1",
    "-- card-merged
    UPDATE card SET merged_into = $2, updated_at = now(), updated_by = $3 WHERE patient_id = $1",
    "-- person-name-merged
    UPDATE person_name SET merged_into = $2, updated_at = now(), updated_by = $3 WHERE patient_id = $1",
];

const TOKENS: [&str; 2] = [
    "-- identity-token-end
    DELETE FROM identity_token WHERE bucket = $1 AND patient_id = $2",
    "-- access-token-end
    DELETE FROM access_token WHERE patient_bucket = $1 AND patient_id = $2",
];

const REPORTED: &str = "-- reported-merge-read
    SELECT id, kind, recorded_at, sealed FROM reported
    WHERE bucket = $1 AND patient_id = $2";

const REPORTED_COPY: &str = "-- reported-merge-copy
    INSERT INTO reported (bucket, patient_id, id, kind, facility, since, until, recorded_at, content_hash, sealed,
                          merged_from, updated_by)
    SELECT $1, $2, c.id, c.kind, c.facility, c.since, c.until, c.recorded_at, c.content_hash, c.sealed, $11, $12
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::date[], $7::date[], $8::timestamptz[], $9::bytea[], $10::bytea[])
        AS c (id, kind, facility, since, until, recorded_at, content_hash, sealed)
    ON CONFLICT ON CONSTRAINT reported_content DO NOTHING";

const REFUSALS: &str = "-- consent-merge-read
    SELECT facility, kind, granted_at, valid_until FROM consent
    WHERE bucket = $1 AND patient_id = $2 AND NOT permit AND withdrawn_at IS NULL
      AND (valid_until IS NULL OR valid_until > $3)";

const REFUSAL_COPY: &str = "-- consent-merge-copy
    INSERT INTO consent (bucket, patient_id, id, facility, kind, permit, channel, granted_at, valid_until, merged_from,
                         updated_by)
    VALUES ($1, $2, $3, $4, $5, false, 'patient-app', $6, $7, $8, $9)";

const NOTE: &str = "-- patient-merge-insert
    INSERT INTO patient_merge (bucket, patient_id, merged_id, merged_at, sealed, updated_by)
    VALUES ($1, $2, $3, $4, $5, $6)";

const NOTE_UNDONE: &str = "-- patient-merge-undo
    UPDATE patient_merge SET undone_at = $4, undone_sealed = $5, updated_at = now(), updated_by = $6
    WHERE bucket = $1 AND patient_id = $2 AND merged_id = $3 AND undone_at IS NULL
    RETURNING merged_at, created_at";

const TRACE: &str = "-- access-record-merge
    INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
    VALUES ($1, $2, $3, $4, $5, $6, $5)";

const COPIES: [&str; 2] = [
    "-- reported-merge-remove
    DELETE FROM reported WHERE bucket = $1 AND patient_id = $2 AND merged_from = $3",
    "-- consent-merge-remove
    DELETE FROM consent WHERE bucket = $1 AND patient_id = $2 AND merged_from = $3",
];

// Whoever opened something since the merge may have been the other person.
const OPENED: [&str; 3] = [
    "-- consent-merge-end
    UPDATE consent SET withdrawn_at = $4, updated_at = now(), updated_by = $5
    WHERE bucket = $1 AND patient_id = $2 AND permit AND granted_at >= $3 AND withdrawn_at IS NULL",
    "-- app-grant-merge-end
    UPDATE app_grant SET revoked_at = $4, updated_at = now(), updated_by = $5
    WHERE bucket = $1 AND patient_id = $2 AND granted_at >= $3 AND revoked_at IS NULL",
    "-- mandate-merge-end
    UPDATE mandate SET ended_at = $4, updated_at = now(), updated_by = $5
    WHERE bucket = $1 AND patient_id = $2 AND granted_at >= $3 AND ended_at IS NULL",
];

const INSURED_SINCE: &str = "-- insured-identity-since
    DELETE FROM insured_identity k USING insured_identity m
    WHERE m.patient_id = $1 AND k.bucket = m.bucket AND k.identity_hash = m.identity_hash AND k.patient_id = $2
      AND k.created_at >= $3
    RETURNING k.bucket, k.identity_hash, k.valid_from, k.valid_until, k.branch_hash";

const INSURED_BACK: &str = "-- insured-identity-back
    INSERT INTO insured_identity
        (bucket, identity_hash, patient_id, valid_from, valid_until, branch_hash, updated_by, patient_bucket)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (bucket, identity_hash, patient_id, valid_from) DO UPDATE SET
        valid_until = excluded.valid_until, branch_hash = excluded.branch_hash, updated_at = now(),
        updated_by = excluded.updated_by";

const COVERAGE_TAKE: &str = "-- coverage-take
    DELETE FROM coverage WHERE bucket = $1 AND patient_id = $2 AND identity_hash = $3 AND valid_from = $4
    RETURNING content_sealed";

const COVERAGE_BACK: &str = "-- coverage-back
    INSERT INTO coverage (bucket, patient_id, identity_hash, valid_from, valid_until, content_sealed, updated_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (bucket, patient_id, identity_hash, valid_from) DO UPDATE SET
        valid_until = excluded.valid_until, content_sealed = excluded.content_sealed, updated_at = now(),
        updated_by = excluded.updated_by";

impl Store {
    /// The record that stands for this person now: itself, or the one that has taken its place.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn person_of(&self, patient: PatientId) -> Result<PatientId, StoreError> {
        const SQL: &str = "-- person-of
            SELECT coalesce(merged_into, id) AS id FROM patient WHERE bucket = $1 AND id = $2";
        let bucket = self.buckets().of_patient(patient);
        let row = self.one_opt("person-of", SQL, &[&bucket, &patient]).await?;
        Ok(row.map_or(patient, |row| row.get("id")))
    }

    /// Every record of this person that is read: itself, then those whose place it has taken.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn person_records(&self, patient: PatientId) -> Result<Vec<PatientId>, StoreError> {
        const SQL: &str = "-- person-records
            SELECT id || merged AS records FROM patient WHERE bucket = $1 AND id = $2";
        let bucket = self.buckets().of_patient(patient);
        let row = self.one_opt("person-records", SQL, &[&bucket, &patient]).await?;
        Ok(row.map_or_else(|| vec![patient], |row| row.get("records")))
    }

    /// Lets one record stand for another of the same person, from now on.
    ///
    /// # Errors
    /// [`MergeError`]; then nothing is changed.
    pub async fn patients_merge(&self, merge: &Merge, at: DateTime<Utc>) -> Result<(), MergeError> {
        self.run(MERGE.as_str(), |tx| Box::pin(Merging { store: self, tx, act: MERGE, merge, at }.merge()))
            .await
    }

    /// Undoes a merge. What the merged record was is as it was; what came to the other since stays there, but for
    /// insurances of the merged one, which go back, and whatever opens the record, which ends.
    ///
    /// # Errors
    /// [`MergeError`]; then nothing is changed.
    pub async fn patients_unmerge(&self, merge: &Merge, at: DateTime<Utc>) -> Result<(), MergeError> {
        self.run(UNMERGE.as_str(), |tx| Box::pin(Merging { store: self, tx, act: UNMERGE, merge, at }.undo()))
            .await
    }
}

struct Merging<'t, 's> {
    store: &'t Store,
    tx: &'t Tx<'s>,
    act: AccessAct,
    merge: &'t Merge,
    at: DateTime<Utc>,
}

/// What a record says of merges.
struct Links {
    merged_into: Option<PatientId>,
    merged: Vec<PatientId>,
}

impl Merging<'_, '_> {
    async fn merge(self) -> Result<(), MergeError> {
        let Merge { kept, merged, .. } = *self.merge;
        if kept == merged {
            return Err(MergeError::Same);
        }
        self.tx.execute(LOCK, &[]).await?;
        let (going_on, ending) = (self.links(kept).await?, self.links(merged).await?);
        if going_on.merged_into.is_some() {
            return Err(MergeError::Merged(kept));
        }
        if ending.merged_into.is_some() || !ending.merged.is_empty() {
            return Err(MergeError::Merged(merged));
        }
        let records = [going_on.merged, vec![merged]].concat();
        self.link(Some(kept), &records).await?;
        self.reports_copy().await?;
        self.refusals_copy().await?;
        self.tokens_end(merged).await?;
        let sealed = self.evidence_seal("sealed")?;
        self.tx.execute(NOTE, &[&self.bucket(kept), &kept, &merged, &self.at, &sealed, &MERGE]).await?;
        Ok(self.trace().await?)
    }

    async fn undo(self) -> Result<(), MergeError> {
        let Merge { kept, merged, .. } = *self.merge;
        self.tx.execute(LOCK, &[]).await?;
        let (going_on, ending) = (self.links(kept).await?, self.links(merged).await?);
        let not_merged = || MergeError::NotMerged(merged, kept);
        if ending.merged_into != Some(kept) {
            return Err(not_merged());
        }
        let bucket = self.bucket(kept);
        let sealed = self.evidence_seal("undone_sealed")?;
        let note = self
            .tx
            .query_opt(NOTE_UNDONE, &[&bucket, &kept, &merged, &self.at, &sealed, &UNMERGE])
            .await?
            .ok_or_else(not_merged)?;
        let merged_at: DateTime<Utc> = column(&note, "patient_merge", "merged_at")?;
        let since: DateTime<Utc> = column(&note, "patient_merge", "created_at")?;
        let records: Vec<PatientId> =
            going_on.merged.into_iter().filter(|record| *record != merged).collect();
        self.link(None, &records).await?;
        for sql in COPIES {
            self.tx.execute(sql, &[&bucket, &kept, &merged]).await?;
        }
        for sql in OPENED {
            self.tx.execute(sql, &[&bucket, &kept, &merged_at, &self.at, &UNMERGE]).await?;
        }
        self.insurances_back(since).await?;
        self.tokens_end(kept).await?;
        Ok(self.trace().await?)
    }

    fn bucket(&self, patient: PatientId) -> Bucket {
        self.store.buckets().of_patient(patient)
    }

    async fn links(&self, patient: PatientId) -> Result<Links, MergeError> {
        let row = self.tx.query_opt(FIND, &[&self.bucket(patient), &patient]).await?;
        let row = row.ok_or(MergeError::Unknown(patient))?;
        Ok(Links {
            merged_into: column(&row, "patient", "merged_into")?,
            merged: column(&row, "patient", "merged")?,
        })
    }

    /// Turns what the merged record is found by, and both records.
    async fn link(&self, into: Option<PatientId>, records: &[PatientId]) -> Result<(), StoreError> {
        let Merge { kept, merged, .. } = *self.merge;
        for sql in FOUND_BY {
            self.tx.execute(sql, &[&merged, &into, &self.act]).await?;
        }
        self.tx.execute(MERGED, &[&self.bucket(merged), &merged, &into, &self.act]).await?;
        self.tx.execute(KEPT, &[&self.bucket(kept), &kept, &records, &self.act]).await?;
        Ok(())
    }

    /// Allergies, medicines and claims are sealed by ids of their own, and their hashes bound to whose they are: the
    /// record that goes on gets copies.
    async fn reports_copy(&self) -> Result<(), StoreError> {
        const TABLE: &str = "reported";
        let Merge { kept, merged, .. } = *self.merge;
        let rows = self.tx.query(REPORTED, &[&self.bucket(merged), &merged]).await?;
        let (mut kinds, mut recorded, mut copies) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let (former, at): (Uuid, DateTime<Utc>) =
                (column(row, TABLE, "id")?, column(row, TABLE, "recorded_at")?);
            let entry = self.store.reported_open(former, at, &column::<Vec<u8>>(row, TABLE, "sealed")?)?;
            copies.push(Reported { id: self.store.uuid_draw()?, ..entry });
            kinds.push(column::<String>(row, TABLE, "kind")?);
            recorded.push(at);
        }
        let columns = self.store.reported_columns(copies.iter().map(|entry| (kept, entry)))?;
        self.tx
            .execute(
                REPORTED_COPY,
                &[
                    &self.bucket(kept),
                    &kept,
                    &columns.ids,
                    &kinds,
                    &columns.facilities,
                    &columns.since,
                    &columns.until,
                    &recorded,
                    &columns.hashes,
                    &columns.sealed,
                    &merged,
                    &MERGE,
                ],
            )
            .await?;
        Ok(())
    }

    /// A refusal of either record holds for both. A consent to one was not given for what the other holds.
    async fn refusals_copy(&self) -> Result<(), StoreError> {
        const TABLE: &str = "consent";
        let Merge { kept, merged, .. } = *self.merge;
        let rows = self.tx.query(REFUSALS, &[&self.bucket(merged), &merged, &self.at]).await?;
        for row in &rows {
            self.tx
                .execute(
                    REFUSAL_COPY,
                    &[
                        &self.bucket(kept),
                        &kept,
                        &self.store.uuid_draw()?,
                        &column::<Option<String>>(row, TABLE, "facility")?,
                        &column::<String>(row, TABLE, "kind")?,
                        &column::<DateTime<Utc>>(row, TABLE, "granted_at")?,
                        &column::<Option<DateTime<Utc>>>(row, TABLE, "valid_until")?,
                        &merged,
                        &MERGE,
                    ],
                )
                .await?;
        }
        Ok(())
    }

    async fn tokens_end(&self, patient: PatientId) -> Result<(), StoreError> {
        for sql in TOKENS {
            self.tx.execute(sql, &[&self.bucket(patient), &patient]).await?;
        }
        Ok(())
    }

    /// What files brought since the merge for an insurance of the merged record belongs to that record.
    async fn insurances_back(&self, since: DateTime<Utc>) -> Result<(), StoreError> {
        let Merge { kept, merged, .. } = *self.merge;
        for row in self.tx.query(INSURED_SINCE, &[&merged, &kept, &since]).await? {
            self.insurance_back(&row).await?;
        }
        Ok(())
    }

    async fn insurance_back(&self, row: &Row) -> Result<(), StoreError> {
        const TABLE: &str = "insured_identity";
        let Merge { kept, merged, .. } = *self.merge;
        let hash: Vec<u8> = column(row, TABLE, "identity_hash")?;
        let valid_from: NaiveDate = column(row, TABLE, "valid_from")?;
        let valid_until: Option<NaiveDate> = column(row, TABLE, "valid_until")?;
        let branch: Option<Vec<u8>> = column(row, TABLE, "branch_hash")?;
        let by_hash: Bucket = column(row, TABLE, "bucket")?;
        self.tx
            .execute(
                INSURED_BACK,
                &[
                    &by_hash,
                    &hash,
                    &merged,
                    &valid_from,
                    &valid_until,
                    &branch,
                    &UNMERGE,
                    &self.bucket(merged),
                ],
            )
            .await?;
        let corrupt = || StoreError::corrupt("coverage", "content_sealed", kept);
        let taken =
            self.tx.query_opt(COVERAGE_TAKE, &[&self.bucket(kept), &kept, &hash, &valid_from]).await?;
        let Some(taken) = taken else { return Ok(()) };
        let sealed: Vec<u8> = column(&taken, "coverage", "content_sealed")?;
        let id = coverage_row(kept, &hash, valid_from);
        let place = SealContext { table: "coverage", row: &id, column: "content_sealed" };
        let content = self.store.sealer().open(&place, &sealed).map_err(|_| corrupt())?;
        let identity: InsuredIdentity = serde_json::from_slice(&content).map_err(|_| corrupt())?;
        let key: [u8; 32] = hash.as_slice().try_into().map_err(|_| corrupt())?;
        let sealed = self.store.coverage_seal(merged, &key, valid_from, &identity)?;
        self.tx
            .execute(
                COVERAGE_BACK,
                &[&self.bucket(merged), &merged, &hash, &valid_from, &valid_until, &sealed, &UNMERGE],
            )
            .await?;
        Ok(())
    }

    fn evidence_seal(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        let Merge { kept, merged, evidence } = self.merge;
        let row = [kept.as_bytes().as_slice(), merged.as_bytes()].concat();
        self.store.seal_json("patient_merge", &row, column, evidence)
    }

    /// Both records tell of it.
    async fn trace(&self) -> Result<(), StoreError> {
        let content = TraceContent::of_operator(Some(self.merge.evidence.clone()));
        let trace = Trace { request: self.store.uuid_draw()?, content };
        let sealed = self.store.seal_trace(&trace)?;
        for patient in [self.merge.kept, self.merge.merged] {
            let bucket = self.bucket(patient);
            self.tx
                .execute(TRACE, &[&bucket, &patient, &trace.request, &self.at, &self.act, &sealed])
                .await?;
        }
        Ok(())
    }
}

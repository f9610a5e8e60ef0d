//! The end of what is kept (保存期間): deletes by kind and age, in bounded pieces, and at last the person with
//! everything a look-up could find. Opens nothing sealed.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::bucket::{Bucket, PatientId};
use super::pool::{Param, Store, StoreError, Tx};
use crate::clock::japanese_date;

const ACT: &str = "retention";
/// Buckets a transaction goes through.
const STRIDE: u16 = 64;
/// Rows of a kind a transaction deletes at most.
const BATCH: i64 = 1000;
/// The pieces the job is done in.
pub const PIECES: u16 = Bucket::COUNT / STRIDE;

/// How many days each kind is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Prescriptions with their documents, versions and findings, from the last change.
    pub documents: u16,
    /// Medication periods, from their last day.
    pub history: u16,
    /// Findings, from the day they were shown.
    pub findings: u16,
    /// Claims, from the end of their month.
    pub claims: u16,
    /// The access record; also consents, mandates, app grants and merges that have ended.
    pub access: u16,
    /// Persons who have left or died, from the last day of insurance or the death; and what they reported.
    pub persons: u16,
}

/// How many rows went, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Removed(pub BTreeMap<&'static str, u64>);

/// Why a piece ends without an error of the database.
enum Piece {
    /// What would be deleted; nothing is.
    Dry(Removed),
    Store(StoreError),
}

impl From<StoreError> for Piece {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A deletion by age; $1 and $2 are the buckets, $3 the instant or day, $4 the limit.
struct ByAge {
    kind: &'static str,
    term: fn(&Terms) -> u16,
    sql: &'static str,
}

/// Whose insurances all ended before the day $5, or who died before it.
macro_rules! left {
    ($person:literal, $day:literal) => {
        concat!(
            "(",
            $person,
            ".deceased_on < ",
            $day,
            " OR NOT EXISTS (
                SELECT FROM coverage c WHERE c.bucket = ",
            $person,
            ".bucket AND c.patient_id = ",
            $person,
            ".id
                  AND (c.valid_until IS NULL OR c.valid_until >= ",
            $day,
            ")))"
        )
    };
}

const PRESCRIPTIONS: &str = "-- retention-prescription
    WITH old AS (
        SELECT bucket, id, patient_id FROM prescription
        WHERE bucket BETWEEN $1::integer AND $2::integer AND changed_at < $3 AND valid_until < $4
          AND (lease_end IS NULL OR lease_end < $3)
        LIMIT $5 FOR UPDATE
    ), documents AS (
        DELETE FROM document d USING old WHERE d.bucket = old.bucket AND d.prescription_id = old.id RETURNING 1
    ), versions AS (
        DELETE FROM prescription_version v USING old WHERE v.bucket = old.bucket AND v.prescription_id = old.id
        RETURNING 1
    ), periods AS (
        DELETE FROM medication m USING old
        WHERE m.bucket = old.bucket AND m.patient_id = old.patient_id AND m.prescription_id = old.id RETURNING 1
    ), findings AS (
        DELETE FROM finding f USING old WHERE f.bucket = old.bucket AND f.prescription_id = old.id RETURNING 1
    ), prescriptions AS (
        DELETE FROM prescription p USING old WHERE p.bucket = old.bucket AND p.id = old.id RETURNING 1
    )
    SELECT (SELECT count(*) FROM prescriptions) AS prescription, (SELECT count(*) FROM documents) AS document,
           (SELECT count(*) FROM versions) AS prescription_version, (SELECT count(*) FROM periods) AS medication,
           (SELECT count(*) FROM findings) AS finding";

const BY_AGE: [ByAge; 9] = [
    ByAge {
        kind: "medication",
        term: |terms| terms.history,
        sql: "-- retention-medication
            DELETE FROM medication WHERE (bucket, patient_id, prescription_id, source, sequence) IN (
                SELECT bucket, patient_id, prescription_id, source, sequence FROM medication
                WHERE bucket BETWEEN $1::integer AND $2::integer AND until < $3::timestamptz::date LIMIT $4)",
    },
    ByAge {
        kind: "finding",
        term: |terms| terms.findings,
        sql: "-- retention-finding
            DELETE FROM finding WHERE (bucket, id, facility) IN (
                SELECT bucket, id, facility FROM finding
                WHERE bucket BETWEEN $1::integer AND $2::integer AND found_at < $3 AND prescription_id IS NULL LIMIT $4)",
    },
    ByAge {
        kind: "claim",
        term: |terms| terms.claims,
        sql: "-- retention-claim
            DELETE FROM reported WHERE (bucket, patient_id, id) IN (
                SELECT bucket, patient_id, id FROM reported
                WHERE bucket BETWEEN $1::integer AND $2::integer AND kind = 'claim' AND until < $3::timestamptz::date LIMIT $4)",
    },
    ByAge {
        kind: "reported",
        term: |terms| terms.persons,
        sql: concat!(
            "-- retention-reported
            DELETE FROM reported WHERE (bucket, patient_id, id) IN (
                SELECT r.bucket, r.patient_id, r.id FROM reported r
                JOIN patient p ON p.bucket = r.bucket AND p.id = r.patient_id
                WHERE r.bucket BETWEEN $1::integer AND $2::integer AND r.recorded_at < $3 AND ",
            left!("p", "$3::timestamptz::date"),
            " LIMIT $4)"
        ),
    },
    ByAge {
        kind: "access_record",
        term: |terms| terms.access,
        sql: "-- retention-access-record
            DELETE FROM access_record WHERE (bucket, patient_id, id) IN (
                SELECT bucket, patient_id, id FROM access_record
                WHERE bucket BETWEEN $1::integer AND $2::integer AND at < $3 LIMIT $4)",
    },
    ByAge {
        kind: "consent",
        term: |terms| terms.access,
        sql: "-- retention-consent
            DELETE FROM consent WHERE (bucket, patient_id, id) IN (
                SELECT bucket, patient_id, id FROM consent
                WHERE bucket BETWEEN $1::integer AND $2::integer AND (withdrawn_at < $3 OR valid_until < $3) LIMIT $4)",
    },
    ByAge {
        kind: "mandate",
        term: |terms| terms.access,
        sql: "-- retention-mandate
            DELETE FROM mandate WHERE (bucket, id) IN (
                SELECT bucket, id FROM mandate
                WHERE bucket BETWEEN $1::integer AND $2::integer AND (ended_at < $3 OR until < $3) LIMIT $4)",
    },
    ByAge {
        kind: "app_grant",
        term: |terms| terms.access,
        sql: "-- retention-app-grant
            DELETE FROM app_grant WHERE (bucket, id) IN (
                SELECT bucket, id FROM app_grant
                WHERE bucket BETWEEN $1::integer AND $2::integer AND (revoked_at < $3 OR until < $3) LIMIT $4)",
    },
    ByAge {
        kind: "patient_merge",
        term: |terms| terms.access,
        sql: "-- retention-patient-merge
            DELETE FROM patient_merge WHERE (bucket, patient_id, merged_id, merged_at) IN (
                SELECT bucket, patient_id, merged_id, merged_at FROM patient_merge
                WHERE bucket BETWEEN $1::integer AND $2::integer AND undone_at < $3 LIMIT $4)",
    },
];

/// Persons of whom nothing but the directory is left. One who comes into use again meanwhile has another version.
const PERSONS: &str = concat!(
    "-- retention-person
    WITH old AS (
        SELECT p.bucket, p.id, p.history_version FROM patient p
        WHERE p.bucket BETWEEN $1::integer AND $2::integer AND p.merged = '{}' AND p.created_at < $3 AND ",
    left!("p", "$4"),
    " AND NOT EXISTS (SELECT FROM prescription x WHERE x.bucket = p.bucket AND x.patient_id = p.id)
          AND NOT EXISTS (SELECT FROM medication x WHERE x.bucket = p.bucket AND x.patient_id = p.id)
          AND NOT EXISTS (SELECT FROM finding x WHERE x.bucket = p.bucket AND x.patient_id = p.id)
          AND NOT EXISTS (SELECT FROM reported x WHERE x.bucket = p.bucket AND x.patient_id = p.id)
          AND NOT EXISTS (SELECT FROM access_record x WHERE x.bucket = p.bucket AND x.patient_id = p.id)
        LIMIT $5
    )
    DELETE FROM patient p USING old
    WHERE p.bucket = old.bucket AND p.id = old.id AND p.history_version = old.history_version
    RETURNING p.id, p.merged_into"
);

/// What goes with persons: $1 are their buckets, $2 their ids.
const WITH_PERSONS: [(&str, &str); 10] = [
    (
        "coverage",
        "-- retention-coverage
        DELETE FROM coverage WHERE bucket = ANY ($1) AND patient_id = ANY ($2)",
    ),
    (
        "insured_identity",
        "-- retention-insured-identity
        DELETE FROM insured_identity WHERE $1::smallint[] IS NOT NULL AND patient_id = ANY ($2)",
    ),
    (
        "card",
        "-- retention-card
        DELETE FROM card WHERE $1::smallint[] IS NOT NULL AND patient_id = ANY ($2)",
    ),
    (
        "person_name",
        "-- retention-person-name
        DELETE FROM person_name WHERE $1::smallint[] IS NOT NULL AND patient_id = ANY ($2)",
    ),
    (
        "consent",
        "-- retention-person-consent
        DELETE FROM consent WHERE bucket = ANY ($1) AND patient_id = ANY ($2)",
    ),
    (
        "mandate",
        "-- retention-person-mandate
        DELETE FROM mandate
        WHERE bucket = ANY ($1) AND patient_id = ANY ($2) OR representative_id = ANY ($2)",
    ),
    (
        "app_grant",
        "-- retention-person-app-grant
        DELETE FROM app_grant WHERE bucket = ANY ($1) AND patient_id = ANY ($2)",
    ),
    (
        "patient_merge",
        "-- retention-person-merge
        DELETE FROM patient_merge
        WHERE bucket = ANY ($1) AND patient_id = ANY ($2) OR merged_id = ANY ($2)",
    ),
    (
        "identity_token",
        "-- retention-identity-token
        DELETE FROM identity_token WHERE bucket = ANY ($1) AND patient_id = ANY ($2)",
    ),
    (
        "access_token",
        "-- retention-access-token
        DELETE FROM access_token WHERE $1::smallint[] IS NOT NULL AND patient_id = ANY ($2)",
    ),
];

const UNLINK: &str = "-- retention-unlink
    UPDATE patient SET merged = array_remove(merged, $3), updated_at = now(), updated_by = 'retention'
    WHERE bucket = $1 AND id = $2";

/// Waits, a minute at most, for whoever may still see what was deleted, in whatever database of the cluster: rewriting
/// keeps it for them.
const UNSEEN: &str = "DO $$ BEGIN
    FOR i IN 1..600 LOOP
        EXIT WHEN NOT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND xact_start < now()
              AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL));
        PERFORM pg_sleep(0.1);
        PERFORM pg_stat_clear_snapshot();
    END LOOP;
END $$";

/// Rewrites every table the job deletes from, and what the planner remembers of their values.
const SCRUB: [&str; 20] = [
    UNSEEN,
    // An empty table keeps the samples it had.
    "DELETE FROM pg_statistic s USING pg_class c
     WHERE c.oid = s.starelid AND c.relnamespace = 'public'::regnamespace",
    "VACUUM (FULL, ANALYZE) prescription",
    "VACUUM (FULL, ANALYZE) prescription_version",
    "VACUUM (FULL, ANALYZE) document",
    "VACUUM (FULL, ANALYZE) medication",
    "VACUUM (FULL, ANALYZE) finding",
    "VACUUM (FULL, ANALYZE) reported",
    "VACUUM (FULL, ANALYZE) access_record",
    "VACUUM (FULL, ANALYZE) consent",
    "VACUUM (FULL, ANALYZE) mandate",
    "VACUUM (FULL, ANALYZE) app_grant",
    "VACUUM (FULL, ANALYZE) patient_merge",
    "VACUUM (FULL, ANALYZE) patient, coverage",
    "VACUUM (FULL, ANALYZE) insured_identity, card, person_name",
    "VACUUM (FULL, ANALYZE) identity_token, access_token, client_assertion, card_challenge",
    "VACUUM (FULL, ANALYZE) idempotency",
    UNSEEN,
    "VACUUM (FULL) pg_statistic",
    "CHECKPOINT",
];

impl Removed {
    fn add(&mut self, kind: &'static str, rows: u64) {
        if rows > 0 {
            *self.0.entry(kind).or_default() += rows;
        }
    }

    fn join(&mut self, other: &Self) {
        for (kind, rows) in &other.0 {
            self.add(kind, *rows);
        }
    }
}

impl Store {
    /// Deletes what is older than its term, or with `dry` only counts it, by deleting and taking back. Told after
    /// every piece how many of [`PIECES`] are done.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the pieces before stay deleted.
    pub async fn retention(
        &self,
        terms: &Terms,
        now: DateTime<Utc>,
        dry: bool,
        progress: &(dyn Fn(u16) + Sync),
    ) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        if !dry {
            removed.add("ended tokens and kept answers", self.session_sweep(now).await?);
        }
        let limit = if dry { i64::MAX } else { BATCH };
        for piece in 0..PIECES {
            let first = i32::from(piece * STRIDE);
            loop {
                let done = self
                    .run(ACT, |tx| {
                        let sweep = Sweep { store: self, tx, terms, now, first, limit };
                        Box::pin(async move {
                            let done = sweep.piece().await?;
                            if dry { Err(Piece::Dry(done)) } else { Ok(done) }
                        })
                    })
                    .await;
                let done = match done {
                    Ok(done) | Err(Piece::Dry(done)) => done,
                    Err(Piece::Store(error)) => return Err(error),
                };
                removed.join(&done);
                // A full batch may have left some.
                if dry || done.0.values().all(|rows| i64::try_from(*rows).is_ok_and(|rows| rows < limit)) {
                    break;
                }
            }
            progress(piece + 1);
        }
        Ok(removed)
    }

    /// Rewrites the files of the tables, so that nothing of deleted rows is left in them. Locks one table after
    /// another for as long as that takes. Needs a superuser, as the role of a private cluster is.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn retention_scrub(&self, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<(), StoreError> {
        for (place, sql) in SCRUB.into_iter().enumerate() {
            self.vacuum(sql).await?;
            progress(place + 1, SCRUB.len());
        }
        Ok(())
    }
}

/// One piece: some buckets, at most so many rows of a kind.
struct Sweep<'t, 's> {
    store: &'t Store,
    tx: &'t Tx<'s>,
    terms: &'t Terms,
    now: DateTime<Utc>,
    first: i32,
    limit: i64,
}

impl Sweep<'_, '_> {
    async fn piece(&self) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let last = self.first + i32::from(STRIDE) - 1;
        let (before, day) = self.term(self.terms.documents);
        let row = self.tx.query_one(PRESCRIPTIONS, &[&self.first, &last, &before, &day, &self.limit]).await?;
        for kind in ["prescription", "document", "prescription_version", "medication", "finding"] {
            removed.add(kind, row.get::<_, i64>(kind).unsigned_abs());
        }
        for ByAge { kind, term, sql } in &BY_AGE {
            let (before, _) = self.term(term(self.terms));
            let params: [Param<'_>; 4] = [&self.first, &last, &before, &self.limit];
            removed.add(kind, self.tx.execute(sql, &params).await?);
        }
        let (before, day) = self.term(self.terms.persons);
        let gone = self.tx.query(PERSONS, &[&self.first, &last, &before, &day, &self.limit]).await?;
        removed.add("patient", gone.len() as u64);
        let ids: Vec<PatientId> = gone.iter().map(|row| row.get("id")).collect();
        if !ids.is_empty() {
            let buckets: Vec<Bucket> = ids.iter().map(|id| self.store.buckets().of_patient(*id)).collect();
            for (kind, sql) in WITH_PERSONS {
                removed.add(kind, self.tx.execute(sql, &[&buckets, &ids]).await?);
            }
        }
        for row in &gone {
            if let Some(into) = row.get::<_, Option<PatientId>>("merged_into") {
                let bucket = self.store.buckets().of_patient(into);
                self.tx.execute(UNLINK, &[&bucket, &into, &row.get::<_, PatientId>("id")]).await?;
            }
        }
        Ok(removed)
    }

    /// The instant and the day a term ago.
    fn term(&self, days: u16) -> (DateTime<Utc>, NaiveDate) {
        (self.now - TimeDelta::days(days.into()), japanese_date(self.now) - Days::new(days.into()))
    }
}

//! Who an insurance (被保険者資格) names on a day, with the history of that person where an act goes on with it: both in one
//! statement, because whoever prescribes or dispenses asks for both.

use chrono::{DateTime, NaiveDate, Utc};
use tokio_postgres::Row;

use super::{DirectoryEntry, IdentityRow, InsuredIdentity, only, patients_of_branch};
use crate::prescription::access::AccessAct;
use crate::store::access::Trace;
use crate::store::asked::{Asked, Asking, asked};
use crate::store::batch::{Batched, owned};
use crate::store::bucket::{Bucket, PatientId};
use crate::store::directory::Guesses;
use crate::store::error::StoreError;
use crate::store::medication::{History, taken};
use crate::store::pool::Store;

/// The history that is wanted of whom an insurance names.
#[derive(Clone, Copy, Debug)]
pub struct HistoryWanted<'a> {
    /// What ended before is not wanted.
    pub since: NaiveDate,
    /// The moment.
    pub at: DateTime<Utc>,
    /// The act and the trace of the look, of an act that writes nothing else.
    pub look: Option<(AccessAct, &'a Trace)>,
}

/// Whom an insurance names.
#[derive(Clone, Debug)]
pub struct NamedPerson {
    /// The person; may be deceased, which is the caller's to refuse.
    pub entry: DirectoryEntry,
    /// The history, when it was wanted, the person lives and the facility may ask.
    pub history: Option<History>,
}

/// Everybody of an insurance and birth date, and what the directory keeps of each; one row without a person where nobody
/// has it. First whom, then what is kept beside them: each half has one bucket.
macro_rules! persons {
    ($more:expr) => {
        concat!(
            ", known AS MATERIALIZED (
                SELECT q.*, i.*
                FROM q
                LEFT JOIN LATERAL (
                    SELECT patient_bucket, patient_id, merged_into, branch_hash, count(*) OVER () AS namesakes
                    FROM insured_identity
                    WHERE bucket = q.bucket AND identity_hash = q.hash
                      AND valid_from <= q.day AND (valid_until IS NULL OR valid_until >= q.day)
                ) i ON true
            ), person AS (
                SELECT k.*, p.history_version, p.particulars_sealed, p.merged",
            $more,
            " FROM known k
                LEFT JOIN LATERAL (
                    SELECT * FROM patient WHERE bucket = k.patient_bucket AND id = k.patient_id LIMIT 1
                ) p ON true
            )"
        )
    };
}

/// Whether the person is the only one it can be, and lives: the common case, in which what is read can be decided here.
macro_rules! sure {
    ($further:literal) => {
        concat!(
            ", p.id IS NOT NULL AND k.namesakes = 1 AND (k.branch IS NULL OR k.branch IS NOT DISTINCT FROM k.branch_hash)
                AND p.merged_into IS NULL AND p.deceased_on IS NULL",
            $further,
            " AS sure"
        )
    };
}

/// Each person with the insurance they are found by, the latest of those valid on the day.
macro_rules! entry {
    ($columns:expr, $joins:expr) => {
        concat!(
            "SELECT coalesce(q.merged_into, q.patient_id) AS patient_id, q.patient_id AS record_id, q.merged_into,
                q.branch_hash, q.history_version, q.particulars_sealed, c.identity_hash, c.valid_from AS covered_from,
                c.valid_until AS covered_until, c.content_sealed",
            $columns,
            " FROM (SELECT WHERE q.history_version IS NOT NULL) AS one
            LEFT JOIN LATERAL (
                SELECT identity_hash, valid_from, valid_until, content_sealed FROM coverage
                WHERE bucket = q.patient_bucket AND patient_id = q.patient_id AND identity_hash = q.hash
                  AND valid_from <= q.day AND (valid_until IS NULL OR valid_until >= q.day)
                ORDER BY valid_from DESC LIMIT 1
            ) c ON true",
            $joins
        )
    };
}

static FIND: Batched = asked!(
    "insured_identity_find",
    (7 bucket smallint, 8 hash bytea, 9 day date),
    (persons!("")),
    "person q",
    [entry!("", "")]
);

/// The same with the history of whoever is sure.
macro_rules! with_history {
    ($name:literal, ($($params:tt)*), $further:literal, $before:literal) => {
        asked!(
            $name,
            (7 bucket smallint, 8 hash bytea, 9 day date, 10 branch bytea, 11 since date $($params)*),
            (persons!(sure!($further)), $before),
            "person q",
            [entry!(
                concat!(", q.sure, q.merged, ", taken!(columns)),
                taken!(of "q.patient_bucket", "CASE WHEN q.sure THEN q.patient_id END", "q.since")
            )]
        )
    };
}

static WITH_HISTORY: Batched = with_history!("insured_identity_history", (), "", "");

/// The same as a look that is recorded, of a facility that may ask.
static LOOK: Batched = with_history!(
    "insured_identity_look",
    (, 12 refused_from integer, 13 request uuid, 14 looked_at timestamptz, 15 act text, 16 trace bytea),
    " AND NOT EXISTS (
        SELECT FROM identity_attempt t
        WHERE t.facility_code = k.facility AND t.kind = k.kind AND t.window_start > k.window_after
          AND t.window_start <= k.at AND t.failures >= k.refused_from)",
    ", trace AS (
        INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
        SELECT patient_bucket, patient_id, request, looked_at, act, trace, act FROM person WHERE sure
        ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
    )"
);

impl Store {
    /// The person who had this insurance on that day. `None` when nobody had, and when it cannot be said who:
    ///
    /// * with a branch number: the person with that branch number; for `00` else the only person whose branch number
    ///   the directory does not know;
    /// * without: the only person of that insurance and birth date.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn identity_find(
        &self,
        identity: &InsuredIdentity,
        birth_date: NaiveDate,
        on: NaiveDate,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let (_, named) =
            self.identity_asked(Some(identity), birth_date, on, &Asking::default(), None).await?;
        Ok(named.map(|named| named.entry))
    }

    /// The same, with what an act asks beside it and the history when it is wanted. Without an insurance nobody is found,
    /// and the rest is answered.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn identity_asked(
        &self,
        identity: Option<&InsuredIdentity>,
        birth_date: NaiveDate,
        on: NaiveDate,
        asking: &Asking<'_>,
        wanted: Option<&HistoryWanted<'_>>,
    ) -> Result<(Asked, Option<NamedPerson>), StoreError> {
        let hash = identity.map(|identity| identity.hash(self.lookup(), birth_date));
        let branch = identity.and_then(|identity| identity.branch_hash(self.lookup(), birth_date));
        let mut subject = owned![hash.as_ref().map(Bucket::of_hash), hash.map(Vec::from), on];
        let statement = match wanted {
            None => &FIND,
            Some(HistoryWanted { since, at, look }) => {
                subject.extend(owned![branch.map(Vec::from), *since]);
                match look {
                    None => &WITH_HISTORY,
                    Some((act, trace)) => {
                        let refused_from = asking.guesses.as_ref().map(Guesses::refused_from);
                        subject.extend(owned![
                            refused_from,
                            trace.request,
                            *at,
                            *act,
                            self.seal_trace(trace)?
                        ]);
                        &LOOK
                    }
                }
            }
        };
        let (asked, rows) = self.ask("identity-find", statement, asking, subject).await?;
        let entry = match identity {
            Some(identity) => self.identity_only(identity, branch, on, &rows).await?,
            None => None,
        };
        let Some(entry) = entry else { return Ok((asked, None)) };
        let history = match wanted {
            Some(wanted) if asked.allowed.is_ok() && entry.patient.particulars.deceased_on.is_none() => {
                Some(self.history_wanted(entry.patient.id, wanted, &rows).await?)
            }
            _ => None,
        };
        Ok((asked, Some(NamedPerson { entry, history })))
    }

    /// The history in the rows, else asked for by itself: who it was could not be decided where they were read.
    async fn history_wanted(
        &self,
        patient: PatientId,
        wanted: &HistoryWanted<'_>,
        rows: &[Row],
    ) -> Result<History, StoreError> {
        let HistoryWanted { since, at, look } = *wanted;
        if rows.first().is_some_and(|row| row.get("sure")) {
            let held = self.history_open(patient, rows, at)?;
            return self.history_whole(held, patient, since, at).await;
        }
        match look {
            Some((act, trace)) => self.history_look(act, patient, since, at, trace).await,
            None => self.history_read(patient, since, at).await,
        }
    }

    /// Whom the rows name, when it is one.
    async fn identity_only(
        &self,
        identity: &InsuredIdentity,
        branch: Option<[u8; 32]>,
        on: NaiveDate,
        rows: &[Row],
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let known = rows.iter().map(IdentityRow::try_from).collect::<Result<Vec<_>, _>>()?;
        let patients = match branch {
            None => known.iter().map(|row| row.patient).collect(),
            Some(branch) => match patients_of_branch(&known, Some(branch)) {
                // 枝番 00 is what systems write where the insurer gives none.
                exact if exact.is_empty() && identity.branch_number() == Some("00") => {
                    patients_of_branch(&known, None)
                }
                exact => exact,
            },
        };
        let Some(patient) = only(patients) else { return Ok(None) };
        let Some((row, _)) = rows.iter().zip(&known).find(|(_, known)| known.patient == patient) else {
            return Ok(None);
        };
        if row.get::<_, Option<PatientId>>("merged_into").is_none() {
            return self.entry_read(patient, row).map(Some);
        }
        // The insurance stays with the record it was entered for; whom it is of says the record that goes on.
        let coverage = self.coverage_open(row.get("record_id"), row)?;
        Ok(self.patient_find(patient, on).await?.map(|entry| DirectoryEntry { coverage, ..entry }))
    }
}

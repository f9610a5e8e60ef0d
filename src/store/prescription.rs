//! Prescriptions: where they stand. Every change is one statement guarded by the version read before; whoever
//! changes no row has lost the race and reads again (invariant 4).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::access::Trace;
use super::asked::{Asked, Asking, asked};
use super::batch::{Batched, Owned, batched, owned};
use super::bucket::{Bucket, PatientId, PrescriptionId};
use super::document::{Document, Part, original};
use super::idempotency::StoredAnswer;
use super::pool::{Store, StoreError};
use crate::codec::eps_xml::Conversion;
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::registered::{DocumentVersion, ExchangeNumber, Registered};
use crate::prescription::result::Results;
use crate::prescription::state::{Kind, Life, State, Terms};

const TABLE: &str = "prescription";

/// A prescription with the patient it belongs to and what is sealed of it.
#[derive(Clone, Debug)]
pub struct PrescriptionRow {
    /// The patient's bucket.
    pub bucket: Bucket,
    /// The patient.
    pub patient: PatientId,
    /// What the exchange answers with.
    pub registered: Registered,
    /// The sealed rest.
    pub details: Details,
}

/// What is sealed in the row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// 引換番号; an in-house prescription has none.
    pub exchange_number: Option<ExchangeNumber>,
    /// The clinic's name as the prescription writes it.
    pub clinic_name: Option<String>,
    /// Receipt and YJ code of every drug line, for the delivered form.
    pub conversions: Vec<Conversion>,
}

/// Whose prescriptions a search is about.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Issued by a clinic.
    Clinic(InstitutionCode),
    /// Held or dispensed by a pharmacy.
    Pharmacy(InstitutionCode),
    /// A patient's own, of all records of the person.
    Patient(Vec<PatientId>),
}

/// Who looks at one prescription.
#[derive(Clone, Copy, Debug)]
pub enum Looker<'a> {
    /// A facility.
    Facility(&'a InstitutionCode),
    /// A patient.
    Patient(PatientId),
}

/// What of a search the stored columns decide. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Registered at or after, and before.
    pub registered: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Changed at or after, and before.
    pub changed: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// One prescription.
    pub id: Option<PrescriptionId>,
}

/// Where a page ended: order is by last change, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Last change of the last prescription.
    pub changed_at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

/// Rows a search reads at a time.
pub const BATCH: usize = 100;

/// Whether a guarded write happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It did.
    Yes,
    /// The guard had changed: read again and decide anew.
    Lost,
}

/// The columns [`Store::prescription_read`] decodes, of the tables as `p` (prescription, for what never changes or is
/// sealed) and as the argument: `p` too, or `v` for one of its versions.
macro_rules! columns {
    ($of:literal) => {
        concat!(
            "p.bucket, p.id, p.patient_id, p.clinic, p.registered_at, p.sealed, ",
            $of,
            ".version, ",
            $of,
            ".kind, ",
            $of,
            ".state, ",
            $of,
            ".pharmacy, ",
            $of,
            ".lease_end, ",
            $of,
            ".results, ",
            $of,
            ".valid_until, ",
            $of,
            ".first_due, ",
            $of,
            ".uses_allowed, ",
            $of,
            ".issued_on, ",
            $of,
            ".document_version, ",
            $of,
            ".document_at, ",
            $of,
            ".changed_at"
        )
    };
}
pub(super) use columns;

/// `prescription!(of "v")`: the join that finds the prescription of a row `v` that is kept for it, as `p`.
macro_rules! prescription {
    (of $of:literal) => {
        concat!(
            " CROSS JOIN LATERAL (
                SELECT * FROM prescription WHERE bucket = ",
            $of,
            ".bucket AND id = ",
            $of,
            ".prescription_id LIMIT 1
            ) p"
        )
    };
}
pub(super) use prescription;

/// The columns of `q` that [`changing!`] writes with what was changed.
macro_rules! carried {
    () => {
        "q.n, q.act, q.concerned, q.request, q.trace, q.key_bucket, q.key, q.request_hash, q.answer, q.answer_until"
    };
}
pub(super) use carried;

/// `changing!("name", (10 first type, …), [CTEs], SELECT …)`: a statement that changes prescriptions, with what every
/// change writes besides: the version, the trace, the answer to keep. The CTEs end in `changed`, the rows as changed with
/// [`carried!`]; the parameters before 10 are those of [`Store::doing`].
macro_rules! changing {
    ($name:literal, ($($params:tt)*), [$($ctes:tt)*], $select:expr) => {
        $crate::store::batch::batched!(
            $name,
            (1 act text, 2 concerned text, 3 request uuid, 4 trace bytea, 5 key_bucket smallint, 6 key bytea,
             7 request_hash bytea, 8 answer bytea, 9 answer_until timestamptz, $($params)*),
            $($ctes)*,
            ", version AS (
                INSERT INTO prescription_version
                    (bucket, prescription_id, version, patient_id, act, clinic, concerned, kind, state, pharmacy,
                     lease_end, results, valid_until, first_due, uses_allowed, issued_on, document_version,
                     document_at, changed_at, updated_by)
                SELECT bucket, id, version, patient_id, act, clinic, concerned, kind, state, pharmacy,
                       lease_end, results, valid_until, first_due, uses_allowed, issued_on, document_version,
                       document_at, changed_at, act
                FROM changed
            ), access AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
                SELECT bucket, patient_id, request, changed_at, act, id, trace, act FROM changed
            ), kept AS (
                INSERT INTO idempotency (bucket, key_hash, request_hash, sealed, expires_at, updated_by)
                SELECT key_bucket, key, request_hash, answer, answer_until, act FROM changed WHERE key IS NOT NULL
            ) ",
            $select
        )
    };
}
pub(super) use changing;

/// `state_changing!("name", SELECT …)`: [`changing!`] of the state alone, whose parameters from 10 on are those of
/// [`state_to`].
macro_rules! state_changing {
    ($name:literal, $select:expr) => {
        $crate::store::prescription::changing!(
            $name,
            (10 bucket smallint, 11 id uuid, 12 version bigint, 13 state text, 14 pharmacy text,
             15 lease_end timestamptz, 16 now timestamptz),
            [
                ", changed AS (
                    UPDATE prescription p
                    SET version = p.version + 1, state = q.state, pharmacy = q.pharmacy, lease_end = q.lease_end,
                        changed_at = q.now, updated_at = now(), updated_by = q.act
                    FROM q
                    WHERE p.bucket = q.bucket AND p.id = q.id AND p.version = q.version
                    RETURNING ",
                $crate::store::prescription::carried!(),
                ", p.*
                )"
            ],
            $select
        )
    };
}
pub(super) use state_changing;

/// Who changes a prescription, and what is to be kept of the request.
#[derive(Clone, Copy, Debug)]
pub struct Doing<'a> {
    /// The act.
    pub act: AccessAct,
    /// The pharmacy that acts, or that holds the prescription.
    pub concerned: Option<&'a InstitutionCode>,
    /// When.
    pub now: DateTime<Utc>,
    /// The trace.
    pub trace: &'a Trace,
    /// The answer to keep.
    pub answer: Option<&'a StoredAnswer>,
}

fn corrupt(id: PrescriptionId, column: &'static str) -> StoreError {
    StoreError::corrupt(TABLE, column, id)
}

fn code(id: PrescriptionId, column: &'static str, text: &str) -> Result<InstitutionCode, StoreError> {
    text.parse().map_err(|_| corrupt(id, column))
}

/// The life as the flat columns say it; a row whose facts do not fit its state is refused.
pub(super) fn life(row: &Row, id: PrescriptionId) -> Result<Life, StoreError> {
    let pharmacy: Option<&str> = row.get("pharmacy");
    let lease_end: Option<DateTime<Utc>> = row.get("lease_end");
    let state = match (row.get::<_, &str>("state"), pharmacy, lease_end) {
        ("issued", None, None) => State::Issued,
        ("accepted", Some(holder), Some(lease_end)) => {
            State::Accepted { holder: code(id, "pharmacy", holder)?, lease_end }
        }
        ("dispensed", Some(by), None) => State::Dispensed { by: code(id, "pharmacy", by)? },
        ("collected", Some(by), None) => State::Collected { by: code(id, "pharmacy", by)? },
        ("cancelled", None, None) => State::Cancelled,
        _ => return Err(corrupt(id, "state")),
    };
    let kind = match row.get("kind") {
        "electronic" => Kind::Electronic,
        "paper" => Kind::Paper,
        "in-house" => Kind::InHouse,
        _ => return Err(corrupt(id, "kind")),
    };
    let Json(results) = row.try_get("results").map_err(|_| corrupt(id, "results"))?;
    let terms = Terms {
        valid_until: row.get("valid_until"),
        first_due: row.get("first_due"),
        uses_allowed: u8::try_from(row.get::<_, i16>("uses_allowed"))
            .map_err(|_| corrupt(id, "uses_allowed"))?,
    };
    Ok(Life { kind, terms, state, results })
}

/// The life as flat columns.
pub(super) struct Flat<'a> {
    pub(super) kind: &'static str,
    pub(super) state: &'static str,
    pub(super) pharmacy: Option<&'a str>,
    pub(super) lease_end: Option<DateTime<Utc>>,
    pub(super) results: Json<Results>,
    /// The pharmacies of the results, for the search, with commas between them.
    pub(super) dispensers: String,
    pub(super) uses_allowed: i16,
}

pub(super) fn flat(life: &Life) -> Flat<'_> {
    let (state, lease_end) = match &life.state {
        State::Issued => ("issued", None),
        State::Accepted { lease_end, .. } => ("accepted", Some(*lease_end)),
        State::Dispensed { .. } => ("dispensed", None),
        State::Collected { .. } => ("collected", None),
        State::Cancelled => ("cancelled", None),
    };
    let kind = match life.kind {
        Kind::Electronic => "electronic",
        Kind::Paper => "paper",
        Kind::InHouse => "in-house",
    };
    Flat {
        kind,
        state,
        pharmacy: life.last_pharmacy().map(InstitutionCode::as_str),
        lease_end,
        results: Json(life.results.clone()),
        dispensers: life
            .results
            .entries()
            .iter()
            .map(|entry| entry.by.as_str())
            .collect::<Vec<_>>()
            .join(","),
        uses_allowed: i16::from(life.terms.uses_allowed),
    }
}

impl Written {
    /// What became of a guarded statement that answers a row when it has written. A key that has just been used is
    /// a lost race too: reading again meets its answer.
    pub(super) fn of(answer: Result<Vec<Row>, StoreError>) -> Result<Self, StoreError> {
        match answer {
            Ok(rows) if rows.is_empty() => Ok(Self::Lost),
            Ok(_) => Ok(Self::Yes),
            Err(error) if error.is_constraint("idempotency_pkey") => Ok(Self::Lost),
            Err(error) => Err(error),
        }
    }
}

impl Store {
    pub(super) fn prescription_read(&self, row: &Row) -> Result<PrescriptionRow, StoreError> {
        let id: PrescriptionId = row.get("id");
        let details: Details = self.open_json(TABLE, id.as_bytes(), "sealed", row.get("sealed"))?;
        let patient: PatientId = row.get("patient_id");
        Ok(PrescriptionRow {
            bucket: row.get("bucket"),
            patient,
            registered: Registered {
                id: *id.as_uuid(),
                version: row.get("version"),
                clinic: code(id, "clinic", row.get("clinic"))?,
                clinic_name: details.clinic_name.clone(),
                exchange_number: details.exchange_number.clone(),
                issued_on: row.get("issued_on"),
                registered_at: row.get("registered_at"),
                changed_at: row.get("changed_at"),
                life: life(row, id)?,
                document: DocumentVersion { number: row.get("document_version"), at: row.get("document_at") },
            },
            details,
        })
    }

    /// The prescription with this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_find(&self, id: PrescriptionId) -> Result<Option<PrescriptionRow>, StoreError> {
        const SQL: &str = concat!(
            "-- prescription-find\nSELECT ",
            columns!("p"),
            " FROM prescription p WHERE bucket = $1 AND id = $2"
        );
        let bucket = self.buckets().of_prescription(id);
        self.one_opt("prescription-find", SQL, &[&bucket, &id])
            .await?
            .map(|row| self.prescription_read(&row))
            .transpose()
    }

    /// The prescription with this id for somebody to look at, with the trace of the look: for the patient, or for a
    /// facility that issued it, held it last or dispensed any of it. With whether the look was recorded; one that was
    /// not is not to be had.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_look(
        &self,
        act: AccessAct,
        id: PrescriptionId,
        by: &Looker<'_>,
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Option<(PrescriptionRow, bool)>, StoreError> {
        static LOOK: Batched = batched!(
            "prescription-look",
            (1 bucket smallint, 2 id uuid, 3 facility text, 4 patient uuid, 5 request uuid, 6 at timestamptz, 7 act text,
             8 trace bytea),
            ", found AS (
                SELECT q.n, ",
            columns!("p"),
            ", q.request, q.at, q.act, q.trace,
                    coalesce(q.facility IN (p.clinic, p.pharmacy) OR q.facility = ANY (p.dispensers)
                        OR p.patient_id = q.patient, false) AS recorded
                FROM q, LATERAL (SELECT * FROM prescription WHERE bucket = q.bucket AND id = q.id LIMIT 1) p
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
                SELECT bucket, patient_id, request, at, act, id, trace, act FROM found WHERE recorded
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )
            SELECT * FROM found"
        );
        let bucket = self.buckets().of_prescription(id);
        let (facility, patient) = match by {
            Looker::Facility(code) => (Some(code.as_str().to_owned()), None),
            Looker::Patient(patient) => (None, Some(*patient)),
        };
        let sealed = self.seal_trace(trace)?;
        let params = owned![bucket, id, facility, patient, trace.request, at, act, sealed];
        let rows = self.batched(act.as_str(), &LOOK, params).await?;
        rows.first().map(|row| Ok((self.prescription_read(row)?, row.get("recorded")))).transpose()
    }

    /// The prescription with this id and its original in force, for the exchange itself to compare with, and what is
    /// asked beside it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_with_original(
        &self,
        id: PrescriptionId,
        asking: &Asking<'_>,
    ) -> Result<(Asked, Option<(PrescriptionRow, Document)>), StoreError> {
        static WITH_ORIGINAL: Batched = asked!(
            "prescription-with-original",
            (7 bucket smallint, 8 id uuid),
            (),
            "q",
            [
                "SELECT d.media_type, d.sealed AS original, ",
                columns!("p"),
                " FROM prescription p",
                original!(of "p"),
                " WHERE p.bucket = q.bucket AND p.id = q.id LIMIT 1"
            ]
        );
        let subject = owned![self.buckets().of_prescription(id), id];
        let (asked, rows) = self.ask("prescription-with-original", &WITH_ORIGINAL, asking, subject).await?;
        let Some(row) = rows.first() else { return Ok((asked, None)) };
        let found = self.prescription_read(row)?;
        let part = Part::Prescription(found.registered.document.number);
        let original = self.document_open(id, part, row.get("media_type"), row.get("original"))?;
        Ok((asked, Some((found, original))))
    }

    /// The next rows of a search, oldest change first, at most [`BATCH`].
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_list(
        &self,
        whose: &Whose,
        filter: &Filter,
        after: Option<Cursor>,
    ) -> Result<Vec<PrescriptionRow>, StoreError> {
        macro_rules! sql {
            ($whose:literal) => {
                concat!(
                    "-- prescription-list\nSELECT ",
                    columns!("p"),
                    " FROM prescription p WHERE ",
                    $whose,
                    " AND ($3::timestamptz IS NULL OR p.registered_at >= $3)
                      AND ($4::timestamptz IS NULL OR p.registered_at < $4)
                      AND ($5::timestamptz IS NULL OR p.changed_at >= $5)
                      AND ($6::timestamptz IS NULL OR p.changed_at < $6)
                      AND ($7::uuid IS NULL OR p.id = $7)
                      AND ($8::timestamptz IS NULL OR (p.changed_at, p.id) > ($8, $9::uuid))
                      ORDER BY p.changed_at, p.id LIMIT $10"
                )
            };
        }
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let buckets: Vec<Bucket> = match whose {
            Whose::Patient(records) => {
                records.iter().map(|record| self.buckets().of_patient(*record)).collect()
            }
            Whose::Clinic(_) | Whose::Pharmacy(_) => Vec::new(),
        };
        let (changed_at, id) = after.map(|cursor| (cursor.changed_at, cursor.id)).unzip();
        let (sql, who): (_, &(dyn postgres_types::ToSql + Sync)) = match whose {
            Whose::Clinic(code) => (sql!("$1::smallint[] IS NOT NULL AND p.clinic = $2"), &code.as_str()),
            Whose::Pharmacy(code) => (
                sql!("$1::smallint[] IS NOT NULL AND (p.pharmacy = $2 OR p.dispensers @> ARRAY[$2])"),
                &code.as_str(),
            ),
            Whose::Patient(records) => (sql!("p.bucket = ANY ($1) AND p.patient_id = ANY ($2)"), records),
        };
        let rows = self
            .one(
                "prescription-list",
                sql,
                &[
                    &buckets,
                    who,
                    &filter.registered.0,
                    &filter.registered.1,
                    &filter.changed.0,
                    &filter.changed.1,
                    &filter.id,
                    &changed_at,
                    &id,
                    &limit,
                ],
            )
            .await?;
        rows.iter().map(|row| self.prescription_read(row)).collect()
    }

    pub(super) fn number_hash(&self, patient: PatientId, number: &ExchangeNumber) -> [u8; 32] {
        self.lookup().hash("exchange-number", &[patient.to_string().as_str(), number.as_str()])
    }

    /// Every version of a prescription, the first first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_version_list(
        &self,
        id: PrescriptionId,
    ) -> Result<Vec<PrescriptionRow>, StoreError> {
        const SQL: &str = concat!(
            "-- prescription-version-list\nSELECT ",
            columns!("v"),
            " FROM prescription_version v",
            prescription!(of "v"),
            " WHERE v.bucket = $1 AND v.prescription_id = $2 ORDER BY v.version"
        );
        let bucket = self.buckets().of_prescription(id);
        let rows = self.one("prescription-version-list", SQL, &[&bucket, &id]).await?;
        rows.iter().map(|row| self.prescription_read(row)).collect()
    }

    /// The parameters that every [`changing!`] statement begins with.
    pub(super) fn doing(&self, doing: &Doing<'_>) -> Result<Vec<Owned>, StoreError> {
        let answer = self.answer_columns(doing.answer)?;
        Ok(owned![
            doing.act,
            doing.concerned.map(|code| code.as_str().to_owned()),
            doing.trace.request,
            self.seal_trace(doing.trace)?,
            answer.bucket,
            answer.key_hash,
            answer.request_hash,
            answer.sealed,
            answer.expires_at,
        ])
    }

    /// Changes the state of the prescription as read in `row` to that of `next`, with its version, trace and answer.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_change(
        &self,
        row: &PrescriptionRow,
        next: &Life,
        doing: &Doing<'_>,
    ) -> Result<Written, StoreError> {
        static CHANGE: Batched = state_changing!("prescription-change", "SELECT n FROM changed");
        let mut params = self.doing(doing)?;
        params.extend(state_to(row, next, doing));
        Written::of(self.batched(doing.act.as_str(), &CHANGE, params).await)
    }
}

/// The parameters of a [`state_changing!`] statement for the prescription as read in `row`.
pub(super) fn state_to(row: &PrescriptionRow, next: &Life, doing: &Doing<'_>) -> Vec<Owned> {
    let Flat { state, pharmacy, lease_end, .. } = flat(next);
    let pharmacy = pharmacy.map(str::to_owned);
    owned![row.bucket, row.registered.id, row.registered.version, state, pharmacy, lease_end, doing.now]
}

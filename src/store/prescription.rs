//! Prescriptions: where they stand. Every change is one statement guarded by the version read before; whoever
//! changes no row has lost the race and reads again (invariant 4).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use super::access::Trace;
use super::bucket::{Bucket, PatientId, PrescriptionId};
use super::idempotency::StoredAnswer;
use super::pool::{Store, StoreError};
use crate::codec::eps_xml::Conversion;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::registered::{ExchangeNumber, Registered};
use crate::prescription::state::{Life, State, Uses};

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
    /// 引換番号.
    pub exchange_number: ExchangeNumber,
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
    /// A patient's own.
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

/// The columns [`Store::prescription_read`] decodes, of the table as `p`.
macro_rules! columns {
    () => {
        "p.bucket, p.id, p.patient_id, p.version, p.clinic, p.state, p.pharmacy, p.lease_end, p.due_on, \
         p.partly, p.uses_allowed, p.uses_done, p.dispensers, p.issued_on, p.valid_until, p.registered_at, \
         p.changed_at, p.sealed"
    };
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
    let due: Option<NaiveDate> = row.get("due_on");
    let state = match (row.get::<_, &str>("state"), pharmacy, lease_end) {
        ("issued", None, None) => State::Issued { due },
        ("accepted", Some(holder), Some(lease_end)) => State::Accepted {
            holder: code(id, "pharmacy", holder)?,
            lease_end,
            due,
            partly: row.get("partly"),
        },
        ("dispensed", Some(by), None) => State::Dispensed { by: code(id, "pharmacy", by)? },
        ("cancelled", None, None) => State::Cancelled,
        _ => return Err(corrupt(id, "state")),
    };
    let uses = |column| u8::try_from(row.get::<_, i16>(column)).map_err(|_| corrupt(id, column));
    Ok(Life {
        valid_until: row.get("valid_until"),
        uses: Uses { allowed: uses("uses_allowed")?, done: uses("uses_done")? },
        state,
    })
}

/// The life as flat columns: state, pharmacy, lease_end, due_on, partly.
type Flat<'a> = (&'static str, Option<&'a str>, Option<DateTime<Utc>>, Option<NaiveDate>, bool);

pub(super) fn flat(state: &State) -> Flat<'_> {
    match state {
        State::Issued { due } => ("issued", None, None, *due, false),
        State::Accepted { holder, lease_end, due, partly } => {
            ("accepted", Some(holder.as_str()), Some(*lease_end), *due, *partly)
        }
        State::Dispensed { by } => ("dispensed", Some(by.as_str()), None, None, false),
        State::Cancelled => ("cancelled", None, None, None, false),
    }
}

impl Written {
    /// What became of a guarded statement that answers a row when it has written. A key that has just been used is
    /// a lost race too: reading again meets its answer.
    pub(super) fn of(answer: Result<Option<Row>, StoreError>) -> Result<Self, StoreError> {
        match answer {
            Ok(Some(_)) => Ok(Self::Yes),
            Ok(None) => Ok(Self::Lost),
            Err(error) if error.is_constraint("idempotency_pkey") => Ok(Self::Lost),
            Err(error) => Err(error),
        }
    }
}

impl Store {
    fn prescription_read(&self, row: &Row) -> Result<PrescriptionRow, StoreError> {
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
                dispensers: row
                    .get::<_, Vec<&str>>("dispensers")
                    .into_iter()
                    .map(|text| code(id, "dispensers", text))
                    .collect::<Result<_, _>>()?,
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
            columns!(),
            " FROM prescription p WHERE bucket = $1 AND id = $2"
        );
        let bucket = self.buckets().of_prescription(id);
        self.one_opt("prescription-find", SQL, &[&bucket, &id])
            .await?
            .map(|row| self.prescription_read(&row))
            .transpose()
    }

    /// The verified patient's prescription with this exchange number.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_find_by_number(
        &self,
        patient: PatientId,
        number: &ExchangeNumber,
    ) -> Result<Option<PrescriptionRow>, StoreError> {
        const SQL: &str = concat!(
            "-- prescription-find-by-number\nSELECT ",
            columns!(),
            " FROM prescription p WHERE bucket = $1 AND patient_id = $2 AND number_hash = $3"
        );
        let bucket = self.buckets().of_patient(patient);
        let hash = self.number_hash(patient, number);
        self.one_opt("prescription-find-by-number", SQL, &[&bucket, &patient, &hash.as_slice()])
            .await?
            .map(|row| self.prescription_read(&row))
            .transpose()
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
                    columns!(),
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
        let bucket = match whose {
            Whose::Patient(patient) => Some(self.buckets().of_patient(*patient)),
            Whose::Clinic(_) | Whose::Pharmacy(_) => None,
        };
        let (changed_at, id) = after.map(|cursor| (cursor.changed_at, cursor.id)).unzip();
        let (sql, who): (_, &(dyn postgres_types::ToSql + Sync)) = match whose {
            Whose::Clinic(code) => (sql!("$1::smallint IS NULL AND p.clinic = $2"), &code.as_str()),
            Whose::Pharmacy(code) => (
                sql!("$1::smallint IS NULL AND (p.pharmacy = $2 OR p.dispensers @> ARRAY[$2])"),
                &code.as_str(),
            ),
            Whose::Patient(patient) => (sql!("p.bucket = $1 AND p.patient_id = $2"), patient),
        };
        let rows = self
            .one(
                "prescription-list",
                sql,
                &[
                    &bucket,
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

    /// Changes the state of the prescription as read in `row` to `next`, with its trace and its answer.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prescription_change(
        &self,
        act: &'static str,
        row: &PrescriptionRow,
        next: &Life,
        now: DateTime<Utc>,
        trace: &Trace,
        answer: Option<&StoredAnswer>,
    ) -> Result<Written, StoreError> {
        const SQL: &str = "-- prescription-change
            WITH changed AS (
                UPDATE prescription
                SET version = version + 1, state = $5, pharmacy = $6, lease_end = $7, due_on = $8, partly = $9,
                    uses_done = $10, changed_at = $4, updated_at = now(), updated_by = $11
                WHERE bucket = $1 AND id = $2 AND version = $3
                RETURNING patient_id
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
                SELECT $1, patient_id, $12, $4, $11, $2, $13, $11 FROM changed
            ), answer AS (
                INSERT INTO idempotency (bucket, key_hash, request_hash, sealed, expires_at, updated_by)
                SELECT $14, $15, $16, $17, $18, $11 FROM changed WHERE $15::bytea IS NOT NULL
            )
            SELECT FROM changed";
        let id = PrescriptionId::from_uuid(row.registered.id);
        let (state, pharmacy, lease_end, due_on, partly) = flat(&next.state);
        let sealed = self.seal_trace(trace)?;
        let answer = self.answer_columns(answer)?;
        let changed = self
            .one_opt(
                act,
                SQL,
                &[
                    &row.bucket,
                    &id,
                    &row.registered.version,
                    &now,
                    &state,
                    &pharmacy,
                    &lease_end,
                    &due_on,
                    &partly,
                    &i16::from(next.uses.done),
                    &act,
                    &trace.request,
                    &sealed,
                    &answer.bucket,
                    &answer.key_hash,
                    &answer.request_hash,
                    &answer.sealed,
                    &answer.expires_at,
                ],
            )
            .await;
        Written::of(changed)
    }
}

//! Medication history: what the checker compares with, read together with the version that guards the write. What is
//! reported of the patient comes in the same statement.

use chrono::{DateTime, NaiveDate, Utc};

use super::access::Trace;
use super::batch::{Batched, batched, owned};
use super::bucket::{PatientId, PrescriptionId};
use super::pool::{Store, StoreError};
use super::prescription::{life, prescription};
use crate::check::{HistoryEntry, Period, Source, reported};
use crate::prescription::access::AccessAct;
use crate::prescription::state::Shown;
use tokio_postgres::Row;

const TABLE: &str = "medication";

/// A patient's history at one moment.
#[derive(Clone, Debug)]
pub struct History {
    /// The record that stands for the person, whose version guards: another than was asked for once two are merged.
    pub person: PatientId,
    /// Raised by every registration, dispensing and report: the guard of check-and-register (invariant 6).
    pub version: i64,
    /// What the patient takes or is to take.
    pub periods: Vec<Period>,
}

/// What one record holds.
pub(super) struct Held {
    merged_into: Option<PatientId>,
    merged: Vec<PatientId>,
    version: i64,
    documents: Vec<Period>,
    reports: Vec<Period>,
}

pub(super) struct SealedPeriods {
    pub(super) until: NaiveDate,
    pub(super) sealed: Vec<u8>,
}

/// The row's own bytes to seal with: prescription, source and sequence.
fn place(prescription: PrescriptionId, source: Source, sequence: i16) -> [u8; 19] {
    let mut place = [0; 19];
    place[..16].copy_from_slice(prescription.as_bytes());
    place[16] = match source {
        Source::Prescribed => 0,
        Source::Dispensed => 1,
        Source::InHouse => 2,
        Source::Allergy => 3,
        Source::SelfReported => 4,
    };
    place[17..].copy_from_slice(&sequence.to_be_bytes());
    place
}

/// The columns that [`life`] reads, with the id, of the table as `p`.
macro_rules! life_columns {
    () => {
        "p.id, p.kind, p.state, p.pharmacy, p.lease_end, p.results, p.valid_until, p.first_due, p.uses_allowed"
    };
}

/// `taken!(columns)` and `taken!(of bucket, patient, since)`: what a check may compare with of a patient, one row for each
/// document or report that has not ended before the day, and the join that finds it. Of what was dispensed the
/// prescription does not matter any more. Each prescription is looked up by its whole key: joined plainly, the planner may
/// read all of a bucket for it.
macro_rules! taken {
    (columns) => {
        "m.prescription_id, m.source, m.sequence, m.sealed, m.entry, m.recorded_at, p.*"
    };
    (of $bucket:literal, $patient:literal, $since:literal) => {
        concat!(
            " LEFT JOIN LATERAL (
                SELECT prescription_id, source, sequence, sealed, NULL::uuid AS entry, NULL::timestamptz AS recorded_at
                FROM medication WHERE bucket = ",
            $bucket,
            " AND patient_id = ",
            $patient,
            " AND until >= ",
            $since,
            " UNION ALL
                SELECT NULL, kind, NULL, sealed, id, recorded_at
                FROM reported WHERE bucket = ",
            $bucket,
            " AND patient_id = ",
            $patient,
            " AND kind <> 'claim' AND (until IS NULL OR until >= ",
            $since,
            ")
            ) m ON true
            LEFT JOIN LATERAL (
                SELECT ",
            $crate::store::medication::life_columns!(),
            " FROM prescription p
                WHERE p.bucket = ",
            $bucket,
            " AND p.id = m.prescription_id AND m.source <> 'dispensed' LIMIT 1
            ) p ON true"
        )
    };
}
pub(super) use {life_columns, taken};

/// A patient's version and everything a check may compare with, of `q` with bucket, patient and first day (`since`).
macro_rules! history {
    () => {
        concat!(
            " SELECT q.n, a.history_version, a.merged_into, a.merged, ",
            taken!(columns),
            " FROM q, LATERAL (SELECT * FROM patient WHERE bucket = q.bucket AND id = q.patient LIMIT 1) a",
            taken!(of "a.bucket", "a.id", "q.since")
        )
    };
}

/// The value of the column, of a source that is kept here.
fn source_column(source: Source) -> Option<&'static str> {
    match source {
        Source::Prescribed => Some("prescribed"),
        Source::Dispensed => Some("dispensed"),
        Source::InHouse => Some("in-house"),
        Source::Allergy | Source::SelfReported => None,
    }
}

/// The source a column names.
fn source_read(text: &str, id: PrescriptionId) -> Result<Source, StoreError> {
    match text {
        "prescribed" => Ok(Source::Prescribed),
        "dispensed" => Ok(Source::Dispensed),
        "in-house" => Ok(Source::InHouse),
        _ => Err(StoreError::corrupt(TABLE, "source", id)),
    }
}

impl Store {
    pub(super) fn seal_periods(
        &self,
        prescription: PrescriptionId,
        source: Source,
        sequence: i16,
        periods: &[Period],
    ) -> Result<SealedPeriods, StoreError> {
        let until = periods.iter().map(|period| period.interval.end).max().unwrap_or(NaiveDate::MIN);
        let sealed = self.seal_json(TABLE, &place(prescription, source, sequence), "sealed", &periods)?;
        Ok(SealedPeriods { until, sealed })
    }

    /// The history that has not ended before `since`, of all records of the person. What was prescribed counts while
    /// it waits or is held; once dispensed, what was dispensed counts instead.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn history_read(
        &self,
        patient: PatientId,
        since: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<History, StoreError> {
        let held = self.history_held(patient, since, now).await?;
        self.history_whole(held, patient, since, now).await
    }

    /// The same for an act that writes nothing else, with the trace of the look.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn history_look(
        &self,
        act: AccessAct,
        patient: PatientId,
        since: NaiveDate,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<History, StoreError> {
        static LOOK: Batched = batched!(
            "history-look",
            (1 bucket smallint, 2 patient uuid, 3 since date, 4 request uuid, 5 at timestamptz, 6 act text, 7 trace bytea),
            ", trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT bucket, patient, request, at, act, trace, act FROM q
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )",
            history!()
        );
        let (bucket, sealed) = (self.buckets().of_patient(patient), self.seal_trace(trace)?);
        let params = owned![bucket, patient, since, trace.request, now, act, sealed];
        let rows = self.batched(act.as_str(), &LOOK, params).await?;
        let held = self.history_open(patient, &rows, now)?;
        self.history_whole(held, patient, since, now).await
    }

    /// What one record holds, with what the other records of the person do: of most there are none.
    pub(super) async fn history_whole(
        &self,
        held: Held,
        patient: PatientId,
        since: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<History, StoreError> {
        let (person, held) = match held.merged_into {
            Some(into) => (into, self.history_held(into, since, now).await?),
            None => (patient, held),
        };
        let Held { version, merged, mut documents, reports, .. } = held;
        documents.extend(reports);
        // Read after the version that guards: what is written meanwhile raises it. What is reported was copied.
        for record in merged {
            documents.extend(self.history_held(record, since, now).await?.documents);
        }
        Ok(History { person, version, periods: documents })
    }

    async fn history_held(
        &self,
        patient: PatientId,
        since: NaiveDate,
        now: DateTime<Utc>,
    ) -> Result<Held, StoreError> {
        static READ: Batched =
            batched!("history-read", (1 bucket smallint, 2 patient uuid, 3 since date), history!());
        let params = owned![self.buckets().of_patient(patient), patient, since];
        let rows = self.batched("history-read", &READ, params).await?;
        self.history_open(patient, &rows, now)
    }

    /// What the rows of [`taken!`] hold, each with the patient's version and merges.
    pub(super) fn history_open(
        &self,
        patient: PatientId,
        rows: &[Row],
        now: DateTime<Utc>,
    ) -> Result<Held, StoreError> {
        let mut held = rows
            .first()
            .map(|row| Held {
                merged_into: row.get("merged_into"),
                merged: row.get("merged"),
                version: row.get("history_version"),
                documents: Vec::new(),
                reports: Vec::new(),
            })
            .ok_or_else(|| StoreError::corrupt("patient", "id", patient))?;
        for row in rows {
            if let Some(entry) = row.get("entry") {
                let entry = self.reported_open(entry, row.get("recorded_at"), row.get("sealed"))?;
                held.reports.extend(reported::periods(&entry));
                continue;
            }
            let Some(id) = row.get::<_, Option<PrescriptionId>>("prescription_id") else { continue };
            let source = source_read(row.get("source"), id)?;
            let counts = match source {
                Source::Dispensed | Source::Allergy | Source::SelfReported => true,
                Source::InHouse => life(row, id)?.shown(now) == Shown::Dispensed,
                Source::Prescribed => match life(row, id)?.shown(now) {
                    Shown::Issued | Shown::AwaitingNextUse | Shown::Accepted | Shown::PartlyDispensed => true,
                    Shown::Dispensed | Shown::Cancelled | Shown::Collected | Shown::Expired => false,
                },
            };
            if counts {
                let place = place(id, source, row.get("sequence"));
                held.documents.extend(self.open_json::<Vec<Period>>(
                    TABLE,
                    &place,
                    "sealed",
                    row.get("sealed"),
                )?);
            }
        }
        Ok(held)
    }

    /// The documents whose medicines were taken on or after `since`, with the trace of the look.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn history_list(
        &self,
        act: AccessAct,
        patient: PatientId,
        sources: &[Source],
        since: NaiveDate,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        const SQL: &str = concat!(
            "-- history-list
            WITH trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                VALUES ($1, $2, $5, $6, $7, $8, $7)
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )
            SELECT m.source, m.sequence, m.sealed, p.issued_on, p.dispensers[m.sequence] AS dispenser, ",
            life_columns!(),
            " FROM medication m",
            prescription!(of "m"),
            " WHERE m.bucket = $1 AND m.patient_id = $2 AND m.source = ANY ($3) AND m.until >= $4"
        );
        let sources: Vec<&str> = sources.iter().filter_map(|source| source_column(*source)).collect();
        let sealed = self.seal_trace(trace)?;
        let bucket = self.buckets().of_patient(patient);
        let rows = self
            .one(
                act.as_str(),
                SQL,
                &[&bucket, &patient, &sources, &since, &trace.request, &now, &act, &sealed],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let id: PrescriptionId = row.get("id");
                let (source, sequence) = (source_read(row.get("source"), id)?, row.get("sequence"));
                let dispenser = row
                    .get::<_, Option<&str>>("dispenser")
                    .filter(|_| source == Source::Dispensed)
                    .map(|code| {
                        code.parse().map_err(|_| StoreError::corrupt("prescription", "dispensers", id))
                    })
                    .transpose()?;
                Ok(HistoryEntry {
                    prescription: *id.as_uuid(),
                    source,
                    sequence,
                    shown: life(row, id)?.shown(now),
                    issued_on: row.get("issued_on"),
                    dispenser,
                    periods: self.open_json(
                        TABLE,
                        &place(id, source, sequence),
                        "sealed",
                        row.get("sealed"),
                    )?,
                })
            })
            .collect()
    }
}

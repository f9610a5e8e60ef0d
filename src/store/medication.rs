//! Medication history: what the checker compares with, read together with the version that guards the write. What is
//! reported of the patient comes in the same statement.

use chrono::{DateTime, NaiveDate, Utc};

use super::bucket::{Bucket, PatientId, PrescriptionId};
use super::pool::{Store, StoreError};
use super::prescription::life;
use crate::check::{Period, Source, reported};
use crate::prescription::state::Shown;

const TABLE: &str = "medication";

/// A patient's history at one moment.
#[derive(Clone, Debug)]
pub struct History {
    /// Raised by every registration, dispensing and report: the guard of check-and-register (invariant 6).
    pub version: i64,
    /// What the patient takes or is to take.
    pub periods: Vec<Period>,
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

    /// The history that has not ended before `since`. What was prescribed counts while it waits or is held; once
    /// dispensed, what was dispensed counts instead.
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
        const SQL: &str = "-- history-read
            SELECT a.history_version, m.source, m.sequence, m.sealed, m.entry, m.recorded_at, p.id, p.state, p.pharmacy, p.lease_end,
                   p.due_on, p.partly, p.uses_allowed, p.uses_done, p.valid_until
            FROM patient a
            LEFT JOIN LATERAL (
                SELECT prescription_id, source, sequence, sealed, NULL::uuid AS entry, NULL::timestamptz AS recorded_at
                FROM medication WHERE bucket = a.bucket AND patient_id = a.id AND until >= $3
                UNION ALL
                SELECT NULL, kind, NULL, sealed, id, recorded_at
                FROM reported WHERE bucket = a.bucket AND patient_id = a.id AND kind <> 'claim'
                  AND (until IS NULL OR until >= $3)
            ) m ON true
            LEFT JOIN prescription p ON p.bucket = a.bucket AND p.id = m.prescription_id
            WHERE a.bucket = $1 AND a.id = $2";
        let bucket: Bucket = self.buckets().of_patient(patient);
        let rows = self.one("history-read", SQL, &[&bucket, &patient, &since]).await?;
        let version = rows
            .first()
            .map(|row| row.get("history_version"))
            .ok_or_else(|| StoreError::corrupt("patient", "id", patient))?;
        let mut periods = Vec::new();
        for row in &rows {
            if let Some(entry) = row.get("entry") {
                let entry = self.reported_open(entry, row.get("recorded_at"), row.get("sealed"))?;
                periods.extend(reported::periods(&entry));
                continue;
            }
            let Some(id) = row.get::<_, Option<PrescriptionId>>("id") else { continue };
            let source = match row.get("source") {
                "prescribed" => Source::Prescribed,
                "dispensed" => Source::Dispensed,
                _ => return Err(StoreError::corrupt(TABLE, "source", id)),
            };
            let counts = match source {
                Source::Dispensed | Source::InHouse | Source::Allergy | Source::SelfReported => true,
                Source::Prescribed => match life(row, id)?.shown(now) {
                    Shown::Issued | Shown::AwaitingNextUse | Shown::Accepted | Shown::PartlyDispensed => true,
                    Shown::Dispensed | Shown::Cancelled | Shown::Expired => false,
                },
            };
            if counts {
                let place = place(id, source, row.get("sequence"));
                periods.extend(self.open_json::<Vec<Period>>(TABLE, &place, "sealed", row.get("sealed"))?);
            }
        }
        Ok(History { version, periods })
    }
}

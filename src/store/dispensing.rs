//! Writing, amending and withdrawing a dispensing result: one statement each, guarded by the versions of the
//! prescription and of the history that were read.

use uuid::Uuid;

use super::batch::{Batched, owned};
use super::bucket::{PatientId, PrescriptionId};
use super::document::Part;
use super::finding::in_spite;
use super::pool::{Store, StoreError};
use super::prescription::{Doing, Flat, PrescriptionRow, Written, carried, changing, flat};
use super::registration::listed;
use crate::check::{Period, Source};
use crate::prescription::state::Life;

/// Everything a dispensing writes.
#[derive(Debug)]
pub struct DispensingResult<'a> {
    /// The prescription as read.
    pub row: &'a PrescriptionRow,
    /// Its life afterwards; its last result is this one.
    pub next: &'a Life,
    /// The result it takes the place of.
    pub replaced: Option<i16>,
    /// The record that stands for the patient, whose history was checked.
    pub person: PatientId,
    /// The version of the history the check saw.
    pub history_version: i64,
    /// Media type of the original.
    pub media_type: &'a str,
    /// The original.
    pub original: &'a [u8],
    /// What was dispensed.
    pub periods: &'a [Period],
    /// The findings it is dispensed in spite of.
    pub findings: &'a [Uuid],
    /// The act and its request.
    pub doing: Doing<'a>,
}

impl Store {
    /// Writes the result, or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn dispensing_insert(&self, result: &DispensingResult<'_>) -> Result<Written, StoreError> {
        // When the prescription has changed, the history version may be raised for nothing: checks under way
        // read again, and that is all.
        macro_rules! sql {
            ($name:literal, ($($params:tt)*), [$($carried:literal)?], [$($more:expr),*]) => {
                changing!(
                    $name,
                    (10 bucket smallint, 11 person_bucket smallint, 12 person uuid, 13 history_version bigint, 14 id uuid,
                     15 version bigint, 16 state text, 17 pharmacy text, 18 lease_end timestamptz, 19 results jsonb,
                     20 dispensers text, 21 now timestamptz, 22 sequence smallint, 23 media_type text,
                     24 original bytea, 25 until date, 26 periods bytea $($params)*),
                    [
                        ", guard AS (
                            UPDATE patient a
                            SET history_version = a.history_version + 1, updated_at = now(), updated_by = q.act
                            FROM (SELECT * FROM q ORDER BY person_bucket, person) q
                            WHERE a.bucket = q.person_bucket AND a.id = q.person
                              AND a.history_version = q.history_version
                            RETURNING q.n
                        ), changed AS (
                            UPDATE prescription p
                            SET version = p.version + 1, state = q.state, pharmacy = q.pharmacy,
                                lease_end = q.lease_end, results = q.results,
                                dispensers = string_to_array(q.dispensers, ','), changed_at = q.now,
                                updated_at = now(), updated_by = q.act
                            FROM guard JOIN q ON q.n = guard.n
                            WHERE p.bucket = q.bucket AND p.id = q.id AND p.version = q.version
                            RETURNING ",
                        carried!(),
                        ", q.sequence, q.media_type, q.original, q.until, q.periods, ", $($carried,)? "p.*
                        ), original AS (
                            INSERT INTO document
                                (bucket, prescription_id, part, sequence, media_type, sealed, updated_by)
                            SELECT bucket, id, 'dispensing', sequence, media_type, original, act FROM changed
                        ), medicines AS (
                            INSERT INTO medication
                                (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                            SELECT bucket, patient_id, id, 'dispensed', sequence, until, periods, act FROM changed
                        )" $(, $more)*
                    ],
                    "SELECT n FROM changed"
                )
            };
        }
        // Few replace or meet anything, and what is not in a statement is not set up for it.
        static PLAIN: Batched = sql!("dispense", (), [], []);
        static MORE: Batched = sql!(
            "dispense-more",
            (, 27 replaced smallint, 28 findings text),
            ["q.replaced, q.findings, "],
            [", replaced AS (
                DELETE FROM medication m USING changed c
                WHERE m.bucket = c.bucket AND m.patient_id = c.patient_id AND m.prescription_id = c.id
                  AND m.source = 'dispensed' AND m.sequence = c.replaced
            )", in_spite!("c.concerned")]
        );
        let DispensingResult { row, next, doing, .. } = result;
        let id = PrescriptionId::from_uuid(row.registered.id);
        let sequence = next.results.count();
        let periods = self.seal_periods(id, Source::Dispensed, sequence, result.periods)?;
        let Flat { state, pharmacy, lease_end, results, dispensers, .. } = flat(next);
        let mut params = self.doing(doing)?;
        params.extend(owned![
            row.bucket,
            self.buckets().of_patient(result.person),
            result.person,
            result.history_version,
            id,
            row.registered.version,
            state,
            pharmacy.map(str::to_owned),
            lease_end,
            results,
            dispensers,
            doing.now,
            sequence,
            result.media_type.to_owned(),
            self.seal_document(id, Part::Dispensing(sequence), result.original)?,
            periods.until,
            periods.sealed,
        ]);
        let statement = if result.replaced.is_none() && result.findings.is_empty() {
            &PLAIN
        } else {
            params.extend(owned![result.replaced, listed(result.findings)]);
            &MORE
        };
        Written::of(self.batched(doing.act.as_str(), statement, params).await)
    }

    /// Withdraws a result: it no longer counts as taken. Its document stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn dispensing_withdraw(
        &self,
        row: &PrescriptionRow,
        next: &Life,
        withdrawn: i16,
        doing: &Doing<'_>,
    ) -> Result<Written, StoreError> {
        static WITHDRAW: Batched = changing!(
            "withdraw-dispense",
            (10 bucket smallint, 11 person_bucket smallint, 12 person uuid, 13 id uuid, 14 version bigint,
             15 state text, 16 pharmacy text, 17 lease_end timestamptz, 18 results jsonb, 19 withdrawn smallint,
             20 now timestamptz),
            [
                ", guard AS (
                    UPDATE patient a
                    SET history_version = a.history_version + 1, updated_at = now(), updated_by = q.act
                    FROM (SELECT * FROM q ORDER BY person_bucket, person) q
                    WHERE a.bucket = q.person_bucket AND a.id = q.person
                    RETURNING q.n
                ), changed AS (
                    UPDATE prescription p
                    SET version = p.version + 1, state = q.state, pharmacy = q.pharmacy, lease_end = q.lease_end,
                        results = q.results, changed_at = q.now, updated_at = now(), updated_by = q.act
                    FROM guard JOIN q ON q.n = guard.n
                    WHERE p.bucket = q.bucket AND p.id = q.id AND p.version = q.version
                    RETURNING ",
                carried!(),
                ", q.withdrawn, p.*
                ), medicines AS (
                    DELETE FROM medication m USING changed c
                    WHERE m.bucket = c.bucket AND m.patient_id = c.patient_id AND m.prescription_id = c.id
                      AND m.source = 'dispensed' AND m.sequence = c.withdrawn
                )"
            ],
            "SELECT n FROM changed"
        );
        let person = self.person_of(row.patient).await?;
        let Flat { state, pharmacy, lease_end, results, .. } = flat(next);
        let mut params = self.doing(doing)?;
        params.extend(owned![
            row.bucket,
            self.buckets().of_patient(person),
            person,
            row.registered.id,
            row.registered.version,
            state,
            pharmacy.map(str::to_owned),
            lease_end,
            results,
            withdrawn,
            doing.now,
        ]);
        Written::of(self.batched(doing.act.as_str(), &WITHDRAW, params).await)
    }
}

//! Registering and amending a prescription: one statement each, guarded by the version of the history that was
//! checked.

use uuid::Uuid;

use super::batch::{Batched, owned};
use super::bucket::{PatientId, PrescriptionId};
use super::document::Part;
use super::finding::in_spite;
use super::pool::{Store, StoreError};
use super::prescription::{Details, Doing, Flat, PrescriptionRow, Written, carried, changing, flat};
use crate::check::{Period, Source};
use crate::prescription::registered::Registered;
use crate::prescription::state::Kind;

/// Everything a registration or amendment writes.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The patient.
    pub patient: PatientId,
    /// The record that stands for the patient, whose history was checked.
    pub person: PatientId,
    /// The version of the history the check saw.
    pub history_version: i64,
    /// The prescription as it will be answered.
    pub registered: &'a Registered,
    /// What is sealed beside it.
    pub details: &'a Details,
    /// Media type of the original.
    pub media_type: &'a str,
    /// The original.
    pub original: &'a [u8],
    /// Its medication periods.
    pub periods: &'a [Period],
    /// The findings it is registered in spite of.
    pub findings: &'a [Uuid],
    /// The act and its request.
    pub doing: Doing<'a>,
}

/// The source of the medication row a registration writes, and how its column says it.
fn source(kind: Kind) -> (Source, &'static str) {
    match Source::registered(kind) {
        Source::InHouse => (Source::InHouse, "in-house"),
        source => (source, "prescribed"),
    }
}

impl Store {
    /// Writes the registration, or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the constraints `prescription_exchange_number` (draw another) and `document_hash`
    /// (registered before).
    pub async fn registration_insert(&self, registration: &Registration<'_>) -> Result<Written, StoreError> {
        macro_rules! sql {
            ($name:literal, ($($params:tt)*), [$($carried:literal)?], [$($in_spite:expr)?]) => {
                changing!(
                    $name,
                    (10 bucket smallint, 11 patient uuid, 12 history_version bigint, 13 id uuid, 14 clinic text,
                     15 kind text, 16 state text, 17 pharmacy text, 18 valid_until date, 19 first_due date,
                     20 uses_allowed smallint, 21 issued_on date, 22 now timestamptz, 23 number_hash bytea,
                     24 details bytea, 25 media_type text, 26 original bytea, 27 hash bytea, 28 source text,
                     29 until date, 30 periods bytea $($params)*),
                    [
                        ", guard AS (
                            UPDATE patient a
                            SET history_version = a.history_version + 1, updated_at = now(), updated_by = q.act
                            FROM (SELECT * FROM q ORDER BY bucket, patient) q
                            WHERE a.bucket = q.bucket AND a.id = q.patient AND a.history_version = q.history_version
                            RETURNING q.n
                        ), inserted AS (
                            INSERT INTO prescription
                                (bucket, id, patient_id, version, clinic, kind, state, pharmacy, valid_until, first_due,
                                 uses_allowed, issued_on, registered_at, changed_at, document_at, number_hash, sealed,
                                 updated_by)
                            SELECT q.bucket, q.id, q.patient, 1, q.clinic, q.kind, q.state, q.pharmacy, q.valid_until,
                                q.first_due, q.uses_allowed, q.issued_on, q.now, q.now, q.now, q.number_hash, q.details,
                                q.act
                            FROM guard JOIN q ON q.n = guard.n
                            RETURNING *
                        ), changed AS (
                            SELECT ",
                        carried!(),
                        ", q.media_type, q.original, q.hash, q.source, q.until, q.periods, ", $($carried,)? "i.*
                            FROM inserted i JOIN q ON q.id = i.id
                        ), original AS (
                            INSERT INTO document
                                (bucket, prescription_id, part, sequence, media_type, sealed, hash, updated_by)
                            SELECT bucket, id, 'prescription', 1, media_type, original, hash, act FROM changed
                        ), medicines AS (
                            INSERT INTO medication
                                (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                            SELECT bucket, patient_id, id, source, 1, until, periods, act FROM changed
                        )" $(, $in_spite)?
                    ],
                    "SELECT n FROM changed"
                )
            };
        }
        // Most meet nothing, and what is not in a statement is not set up for it.
        static MET_NOTHING: Batched = sql!("register", (), [], []);
        static MET: Batched = sql!(
            "register-in-spite",
            (, 31 findings text),
            ["q.findings, "],
            [in_spite!("c.clinic")]
        );
        let Registration { patient, registered, doing, .. } = registration;
        let id = PrescriptionId::from_uuid(registered.id);
        let number_hash =
            registered.exchange_number.as_ref().map(|number| self.number_hash(*patient, number).to_vec());
        let (source, source_column) = source(registered.life.kind);
        let periods = self.seal_periods(id, source, 1, registration.periods)?;
        let Flat { kind, state, pharmacy, uses_allowed, .. } = flat(&registered.life);
        let mut params = self.doing(doing)?;
        params.extend(owned![
            self.buckets().of_patient(*patient),
            *patient,
            registration.history_version,
            id,
            registered.clinic.as_str().to_owned(),
            kind,
            state,
            pharmacy.map(str::to_owned),
            registered.life.terms.valid_until,
            registered.life.terms.first_due,
            uses_allowed,
            registered.issued_on,
            doing.now,
            number_hash,
            self.seal_json("prescription", id.as_bytes(), "sealed", registration.details)?,
            registration.media_type.to_owned(),
            self.seal_document(id, Part::Prescription(1), registration.original)?,
            self.document_hash(registration.original).to_vec(),
            source_column,
            periods.until,
            periods.sealed,
        ]);
        let statement = if registration.findings.is_empty() {
            &MET_NOTHING
        } else {
            params.extend(owned![listed(registration.findings)]);
            &MET
        };
        Written::of(self.batched(doing.act.as_str(), statement, params).await)
    }

    /// Writes the amendment of the prescription as read in `row`, or nothing. Its findings are then those of the
    /// new document.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the constraint `document_hash` (registered before).
    pub async fn registration_amend(
        &self,
        row: &PrescriptionRow,
        amended: &Registration<'_>,
    ) -> Result<Written, StoreError> {
        static AMEND: Batched = changing!(
            "amend",
            (10 bucket smallint, 11 person_bucket smallint, 12 person uuid, 13 history_version bigint, 14 id uuid,
             15 version bigint, 16 state text, 17 pharmacy text, 18 valid_until date, 19 first_due date,
             20 uses_allowed smallint, 21 issued_on date, 22 now timestamptz, 23 document_version smallint,
             24 details bytea, 25 media_type text, 26 original bytea, 27 hash bytea, 28 source text, 29 until date,
             30 periods bytea, 31 findings text),
            [
                ", guard AS (
                    UPDATE patient a
                    SET history_version = a.history_version + 1, updated_at = now(), updated_by = q.act
                    FROM (SELECT * FROM q ORDER BY person_bucket, person) q
                    WHERE a.bucket = q.person_bucket AND a.id = q.person AND a.history_version = q.history_version
                    RETURNING q.n
                ), changed AS (
                    UPDATE prescription p
                    SET version = p.version + 1, state = q.state, pharmacy = q.pharmacy, lease_end = NULL,
                        valid_until = q.valid_until, first_due = q.first_due, uses_allowed = q.uses_allowed,
                        issued_on = q.issued_on, changed_at = q.now, document_at = q.now,
                        document_version = q.document_version, sealed = q.details, updated_at = now(),
                        updated_by = q.act
                    FROM guard JOIN q ON q.n = guard.n
                    WHERE p.bucket = q.bucket AND p.id = q.id AND p.version = q.version
                    RETURNING ",
                carried!(),
                ", q.media_type, q.original, q.hash, q.source, q.until, q.periods, q.findings, p.*
                ), original AS (
                    INSERT INTO document
                        (bucket, prescription_id, part, sequence, media_type, sealed, hash, updated_by)
                    SELECT bucket, id, 'prescription', document_version, media_type, original, hash, act FROM changed
                ), medicines AS (
                    -- The row is there: put in, it is found by its key and no other way.
                    INSERT INTO medication
                        (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
                    SELECT bucket, patient_id, id, source, 1, until, periods, act FROM changed
                    ON CONFLICT ON CONSTRAINT medication_pkey DO UPDATE
                    SET until = EXCLUDED.until, sealed = EXCLUDED.sealed, updated_at = now(),
                        updated_by = EXCLUDED.updated_by
                ), no_longer AS (
                    UPDATE finding f SET prescription_id = NULL, updated_at = now(), updated_by = c.act
                    FROM changed c
                    WHERE f.bucket = c.bucket AND f.prescription_id = c.id AND f.facility = c.clinic
                      AND f.id <> ALL (string_to_array(c.findings, ',')::uuid[])
                )",
                in_spite!("c.clinic")
            ],
            "SELECT n FROM changed"
        );
        let Registration { registered, doing, .. } = amended;
        let id = PrescriptionId::from_uuid(registered.id);
        let version = registered.document.number;
        let (source, source_column) = source(registered.life.kind);
        let periods = self.seal_periods(id, source, 1, amended.periods)?;
        let Flat { state, pharmacy, uses_allowed, .. } = flat(&registered.life);
        let mut params = self.doing(doing)?;
        params.extend(owned![
            row.bucket,
            self.buckets().of_patient(amended.person),
            amended.person,
            amended.history_version,
            id,
            row.registered.version,
            state,
            pharmacy.map(str::to_owned),
            registered.life.terms.valid_until,
            registered.life.terms.first_due,
            uses_allowed,
            registered.issued_on,
            doing.now,
            version,
            self.seal_json("prescription", id.as_bytes(), "sealed", amended.details)?,
            amended.media_type.to_owned(),
            self.seal_document(id, Part::Prescription(version), amended.original)?,
            self.document_hash(amended.original).to_vec(),
            source_column,
            periods.until,
            periods.sealed,
            listed(amended.findings),
        ]);
        Written::of(self.batched(doing.act.as_str(), &AMEND, params).await)
    }

    fn document_hash(&self, original: &[u8]) -> [u8; 32] {
        self.lookup().hash("document", &[original])
    }
}

/// Ids with commas between them.
pub(super) fn listed(ids: &[Uuid]) -> String {
    ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",")
}

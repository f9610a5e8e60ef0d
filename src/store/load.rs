//! Loading persons with their past in bulk, by COPY, each row sealed as the acts seal it: for measuring on a database of
//! a real size. Originals are not among what is loaded.

use chrono::NaiveDate;
use postgres_types::{Json, ToSql, Type};

use super::bucket::{Bucket, PatientId, PrescriptionId};
use super::directory::{InsuredIdentity, Particulars};
use super::pool::{CopiedRow, Store, StoreError};
use super::prescription::{Details, Flat, flat};
use crate::check::{Period, Source};
use crate::prescription::registered::Registered;
use crate::prescription::state::Life;

const ACT: &str = "load";

/// A person to load.
#[derive(Debug)]
pub struct LoadedPerson {
    /// Our own id.
    pub id: PatientId,
    /// What is known of the person.
    pub particulars: Particulars,
    /// The insurance.
    pub identity: InsuredIdentity,
    /// Its first day.
    pub valid_from: NaiveDate,
    /// The past.
    pub prescriptions: Vec<LoadedPrescription>,
}

/// A prescription to load.
#[derive(Debug)]
pub struct LoadedPrescription {
    /// Where it stands.
    pub registered: Registered,
    /// What it went through to stand there: each act with the life after it, one a version.
    pub past: Vec<(&'static str, Life)>,
    /// What is sealed beside it.
    pub details: Details,
    /// Its periods as prescribed.
    pub prescribed: Vec<Period>,
    /// Its periods as dispensed; none while it waits.
    pub dispensed: Vec<Period>,
}

/// Sealed rows of some persons, ready to be copied.
#[derive(Default)]
pub struct Load {
    patients: Vec<CopiedRow>,
    identities: Vec<CopiedRow>,
    coverages: Vec<CopiedRow>,
    prescriptions: Vec<CopiedRow>,
    versions: Vec<CopiedRow>,
    medications: Vec<CopiedRow>,
}

/// One row, each value in its own box.
macro_rules! row {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as Box<dyn ToSql + Sync + Send>),*]
    };
}

impl Load {
    /// How many rows of medication history there are.
    pub fn medications(&self) -> usize {
        self.medications.len()
    }

    /// Seals a person. Work for a thread of its own: this is where the time goes.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub fn add(&mut self, store: &Store, person: &LoadedPerson) -> Result<(), StoreError> {
        let LoadedPerson { id, particulars, identity, valid_from, .. } = person;
        let bucket = store.buckets().of_patient(*id);
        self.patients.push(row![bucket, *id, store.particulars_seal(*id, particulars)?, ACT]);
        let hash = identity.hash(store.lookup(), particulars.birth_date);
        let branch = identity.branch_hash(store.lookup(), particulars.birth_date).map(|hash| hash.to_vec());
        self.identities.push(row![
            Bucket::of_hash(&hash),
            hash.to_vec(),
            *valid_from,
            branch,
            bucket,
            *id,
            ACT
        ]);
        let sealed = store.coverage_seal(*id, &hash, *valid_from, identity)?;
        self.coverages.push(row![bucket, *id, hash.to_vec(), *valid_from, sealed, ACT]);
        person
            .prescriptions
            .iter()
            .try_for_each(|prescription| self.prescription(store, bucket, *id, prescription))
    }

    fn prescription(
        &mut self,
        store: &Store,
        bucket: Bucket,
        patient: PatientId,
        prescription: &LoadedPrescription,
    ) -> Result<(), StoreError> {
        let LoadedPrescription { registered, past, details, prescribed, dispensed } = prescription;
        let id = PrescriptionId::from_uuid(registered.id);
        let clinic = registered.clinic.as_str();
        let number_hash =
            registered.exchange_number.as_ref().map(|it| store.number_hash(patient, it).to_vec());
        let results = registered.life.results.entries();
        let dispensers: Vec<String> = results.iter().map(|entry| entry.by.as_str().to_owned()).collect();
        let mut row = row![
            bucket,
            id,
            patient,
            registered.version,
            clinic.to_owned(),
            dispensers,
            registered.registered_at,
            number_hash,
            store.seal_json("prescription", id.as_bytes(), "sealed", details)?,
            ACT,
        ];
        row.extend(standing(registered, &registered.life));
        self.prescriptions.push(row);
        for (version, (act, life)) in (1_i64..).zip(past) {
            let concerned = life.last_pharmacy().map(|pharmacy| pharmacy.as_str().to_owned());
            let mut row = row![bucket, id, patient, version, clinic.to_owned(), *act, concerned, ACT];
            row.extend(standing(registered, life));
            self.versions.push(row);
        }
        for (source, name, periods) in
            [(Source::Prescribed, "prescribed", prescribed), (Source::Dispensed, "dispensed", dispensed)]
        {
            if !periods.is_empty() {
                let sealed = store.seal_periods(id, source, 1, periods)?;
                self.medications.push(row![
                    bucket,
                    patient,
                    id,
                    name,
                    1_i16,
                    sealed.until,
                    sealed.sealed,
                    ACT
                ]);
            }
        }
        Ok(())
    }
}

/// The columns a prescription has in common with its versions.
macro_rules! standing {
    () => {
        "kind, state, pharmacy, lease_end, results, valid_until, first_due, uses_allowed, issued_on, changed_at,
        document_version, document_at"
    };
}

const STANDING: [Type; 12] = [
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::JSONB,
    Type::DATE,
    Type::DATE,
    Type::INT2,
    Type::DATE,
    Type::TIMESTAMPTZ,
    Type::INT2,
    Type::TIMESTAMPTZ,
];

/// Their values.
fn standing(registered: &Registered, life: &Life) -> CopiedRow {
    let Flat { kind, state, pharmacy, lease_end, uses_allowed, .. } = flat(life);
    row![
        kind,
        state,
        pharmacy.map(str::to_owned),
        lease_end,
        Json(life.results.clone()),
        life.terms.valid_until,
        life.terms.first_due,
        uses_allowed,
        registered.issued_on,
        registered.changed_at,
        registered.document.number,
        registered.document.at,
    ]
}

const PATIENTS: &str = "-- load-patient
    COPY patient (bucket, id, particulars_sealed, updated_by) FROM STDIN (FORMAT binary)";
const IDENTITIES: &str = "-- load-insured-identity
    COPY insured_identity (bucket, identity_hash, valid_from, branch_hash, patient_bucket, patient_id, updated_by)
    FROM STDIN (FORMAT binary)";
const COVERAGES: &str = "-- load-coverage
    COPY coverage (bucket, patient_id, identity_hash, valid_from, content_sealed, updated_by)
    FROM STDIN (FORMAT binary)";
const PRESCRIPTIONS: &str = concat!(
    "-- load-prescription
    COPY prescription (bucket, id, patient_id, version, clinic, dispensers, registered_at, number_hash, sealed,
        updated_by, ",
    standing!(),
    ") FROM STDIN (FORMAT binary)"
);
const VERSIONS: &str = concat!(
    "-- load-prescription-version
    COPY prescription_version (bucket, prescription_id, patient_id, version, clinic, act, concerned, updated_by, ",
    standing!(),
    ") FROM STDIN (FORMAT binary)"
);
const MEDICATIONS: &str = "-- load-medication
    COPY medication (bucket, patient_id, prescription_id, source, sequence, until, sealed, updated_by)
    FROM STDIN (FORMAT binary)";

impl Store {
    /// Copies sealed rows, all or none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn load(&self, load: &Load) -> Result<(), StoreError> {
        use Type as T;
        let prescription = [
            &[
                T::INT2,
                T::UUID,
                T::UUID,
                T::INT8,
                T::TEXT,
                T::TEXT_ARRAY,
                T::TIMESTAMPTZ,
                T::BYTEA,
                T::BYTEA,
                T::TEXT,
            ],
            &STANDING[..],
        ]
        .concat();
        let version =
            [&[T::INT2, T::UUID, T::UUID, T::INT8, T::TEXT, T::TEXT, T::TEXT, T::TEXT], &STANDING[..]]
                .concat();
        let tables: [(&str, &[Type], &[CopiedRow]); 6] = [
            (PATIENTS, &[T::INT2, T::UUID, T::BYTEA, T::TEXT], &load.patients),
            (
                IDENTITIES,
                &[T::INT2, T::BYTEA, T::DATE, T::BYTEA, T::INT2, T::UUID, T::TEXT],
                &load.identities,
            ),
            (COVERAGES, &[T::INT2, T::UUID, T::BYTEA, T::DATE, T::BYTEA, T::TEXT], &load.coverages),
            (PRESCRIPTIONS, &prescription, &load.prescriptions),
            (VERSIONS, &version, &load.versions),
            (
                MEDICATIONS,
                &[T::INT2, T::UUID, T::UUID, T::TEXT, T::INT2, T::DATE, T::BYTEA, T::TEXT],
                &load.medications,
            ),
        ];
        let tables = &tables;
        self.run(ACT, |tx| {
            Box::pin(async move {
                for (sql, types, rows) in tables {
                    tx.copy(sql, types, rows).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Tells PostgreSQL how large the tables have become, and marks their pages visible.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn load_finish(&self) -> Result<(), StoreError> {
        self.vacuum(
            "VACUUM (ANALYZE) patient, insured_identity, coverage, prescription, prescription_version, medication",
        ).await
    }
}

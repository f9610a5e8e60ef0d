//! Brings an eligibility file into the directory: whole or not at all, and a second time without a change.
//!
//! A person of the file is a known person when any of its insurances (with the birth date) or cards is known;
//! else a new one. A corrected birth date is therefore another person, unless a card ties the two.
//! Persons, insurances and cards are added and changed, never removed: an insurance ends by `valid_until`.

use std::collections::BTreeMap;

use super::eligibility::{Eligibility, EligibilityFault, EligiblePerson, Insurance};
use super::{CARD_FIND, IdentityRow, only, patients_of_branch};
use crate::store::bucket::{Bucket, PatientId};
use crate::store::error::StoreError;
use crate::store::pool::{Store, Tx, column};

const ACT: &str = "eligibility-import";

/// Told how many persons of how many are done.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What an import changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Persons in the file.
    pub persons: usize,
    /// New persons.
    pub persons_added: usize,
    /// Known persons whose particulars changed.
    pub persons_changed: usize,
    /// Insurances added or changed.
    pub insurances_written: u64,
    /// Cards added.
    pub cards_added: u64,
}

/// Nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file contradicts the directory.
    #[error("{} faults", .0.len())]
    Faults(Vec<EligibilityFault>),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Imports one after another, so that two cannot both take a person for new. Readers are not held up.
pub(super) const LOCK: &str = "-- insured_identity_lock
    LOCK TABLE insured_identity IN SHARE ROW EXCLUSIVE MODE";

const IDENTITY_KNOWN: &str = "-- insured_identity_known
    SELECT coalesce(merged_into, patient_id) AS patient_id, branch_hash FROM insured_identity
    WHERE bucket = $1 /* bucket of the hash */ AND identity_hash = $2 /* hash */";

const PATIENT_SEALED: &str = "-- patient_sealed
    SELECT particulars_sealed FROM patient WHERE bucket = $1 /* bucket */ AND id = $2 /* id */";

const PATIENT_WRITE: &str = "-- patient_write
    INSERT INTO patient (bucket, id, particulars_sealed, updated_by, deceased_on)
    VALUES ($1 /* bucket */, $2 /* id */, $3 /* sealed */, $4 /* act */, $5 /* died on */)
    ON CONFLICT (bucket, id) DO UPDATE SET particulars_sealed = excluded.particulars_sealed,
        deceased_on = excluded.deceased_on, updated_at = now(), updated_by = excluded.updated_by";

/// Of persons who were known to be dead before the column was there.
const DECEASED: &str = "-- patient_deceased
    UPDATE patient SET deceased_on = $3 /* died on */, updated_at = now(), updated_by = $4 /* act */
    WHERE bucket = $1 /* bucket */ AND id = $2 /* id */ AND deceased_on IS NULL";

const IDENTITY_WRITE: &str = "-- insured_identity_write
    INSERT INTO insured_identity AS i
        (bucket, identity_hash, patient_id, valid_from, valid_until, branch_hash, updated_by, patient_bucket)
    VALUES ($1 /* bucket of the hash */, $2 /* hash */, $3 /* patient */, $4 /* from */, $5 /* until */,
        $6 /* branch hash */, $7 /* act */, $8 /* bucket of the patient */)
    ON CONFLICT (bucket, identity_hash, patient_id, valid_from) DO UPDATE SET
        valid_until = excluded.valid_until, branch_hash = excluded.branch_hash,
        updated_at = now(), updated_by = excluded.updated_by
    WHERE (i.valid_until, i.branch_hash) IS DISTINCT FROM (excluded.valid_until, excluded.branch_hash)";

const COVERAGE_WRITE: &str = "-- coverage_write
    INSERT INTO coverage (bucket, patient_id, identity_hash, valid_from, valid_until, content_sealed, updated_by)
    VALUES ($1 /* bucket */, $2 /* patient */, $3 /* hash */, $4 /* from */, $5 /* until */, $6 /* sealed */,
        $7 /* act */)
    ON CONFLICT (bucket, patient_id, identity_hash, valid_from) DO UPDATE SET
        valid_until = excluded.valid_until, content_sealed = excluded.content_sealed,
        updated_at = now(), updated_by = excluded.updated_by";

const CARD_WRITE: &str = "-- card_write
    INSERT INTO card (bucket, card_hash, patient_id, updated_by)
    VALUES ($1 /* bucket of the hash */, $2 /* hash */, $3 /* patient */, $4 /* act */)
    ON CONFLICT (bucket, card_hash) DO NOTHING";

/// What a death ends: whatever opens the record, and who is logged in on it. Refusals stand.
const END: [&str; 5] = [
    "-- consent-end
    UPDATE consent SET withdrawn_at = now(), updated_at = now(), updated_by = $3
    WHERE bucket = $1 AND patient_id = $2 AND permit AND withdrawn_at IS NULL",
    "-- app-grant-end
    UPDATE app_grant SET revoked_at = now(), updated_at = now(), updated_by = $3
    WHERE bucket = $1 AND patient_id = $2 AND revoked_at IS NULL",
    "-- mandate-person-end
    UPDATE mandate SET ended_at = now(), updated_at = now(), updated_by = $3
    WHERE (bucket = $1 AND patient_id = $2 OR representative_id = $2) AND ended_at IS NULL",
    "-- identity-token-end
    DELETE FROM identity_token WHERE bucket = $1 AND patient_id = $2 AND $3::text IS NOT NULL",
    "-- access-token-end
    DELETE FROM access_token WHERE patient_bucket = $1 AND patient_id = $2 AND $3::text IS NOT NULL",
];

impl Store {
    /// Imports a file in one transaction. `progress` is told after every person, from the start again when the
    /// transaction is done again.
    ///
    /// # Errors
    /// [`ImportError`]; then nothing is changed.
    pub async fn eligibility_import(
        &self,
        file: &Eligibility,
        progress: Progress<'_>,
    ) -> Result<Imported, ImportError> {
        self.run(ACT, |tx| {
            Box::pin(async move {
                tx.execute(LOCK, &[]).await?;
                let mut import =
                    Import { store: self, tx, done: Imported::default(), matched: BTreeMap::new() };
                let mut faults = Vec::new();
                for person in &file.persons {
                    if let Err(fault) = import.person(person).await? {
                        faults.push(fault);
                    }
                    import.done.persons += 1;
                    progress(import.done.persons, file.persons.len());
                }
                if faults.is_empty() { Ok(import.done) } else { Err(ImportError::Faults(faults)) }
            })
        })
        .await
    }
}

struct Import<'t, 's> {
    store: &'t Store,
    tx: &'t Tx<'s>,
    done: Imported,
    /// Persons met in the directory and the line that met them.
    matched: BTreeMap<PatientId, u64>,
}

impl Import<'_, '_> {
    async fn person(&mut self, person: &EligiblePerson) -> Result<Result<(), EligibilityFault>, StoreError> {
        let id = match self.known(person).await? {
            Err(fault) => return Ok(Err(fault)),
            Ok(Some(known)) => {
                if let Some(other) = self.matched.insert(known, person.line) {
                    let fault = format!("known to the directory as the same person as line {other}");
                    return Ok(Err(EligibilityFault::new(person.line, "person", fault)));
                }
                self.change(known, person).await?;
                known
            }
            Ok(None) => {
                let new = self.store.buckets().patient_mint(self.store.rng())?;
                self.matched.insert(new, person.line);
                self.write(new, person).await?;
                self.done.persons_added += 1;
                new
            }
        };
        self.store.person_name_write(self.tx, id, &person.particulars, ACT).await?;
        for insurance in &person.insurances {
            self.insurance(id, person, insurance).await?;
        }
        for (_, card) in &person.cards {
            let hash = self.store.card_hash(card);
            let bucket = Bucket::of_hash(&hash);
            self.done.cards_added +=
                self.tx.execute(CARD_WRITE, &[&bucket, &hash.as_slice(), &id, &ACT]).await?;
        }
        Ok(Ok(()))
    }

    /// The person of the directory that any insurance or card of the file's person belongs to.
    async fn known(
        &self,
        person: &EligiblePerson,
    ) -> Result<Result<Option<PatientId>, EligibilityFault>, StoreError> {
        let mut known: Option<(PatientId, u64)> = None;
        let mut found = Vec::new();
        for insurance in &person.insurances {
            match self.known_by(person, insurance).await? {
                Err(fault) => return Ok(Err(fault)),
                Ok(patient) => found.extend(patient.map(|patient| (patient, insurance.line, "number"))),
            }
        }
        for (line, card) in &person.cards {
            let hash = self.store.card_hash(card);
            let row = self.tx.query_opt(CARD_FIND, &[&Bucket::of_hash(&hash), &hash.as_slice()]).await?;
            if let Some(row) = row {
                found.push((column(&row, "card", "patient_id")?, *line, "card_sha256"));
            }
        }
        for (patient, line, place) in found {
            match known {
                Some((other, first)) if other != patient => {
                    let fault = format!("known to the directory as another person than line {first}");
                    return Ok(Err(EligibilityFault::new(line, place, fault)));
                }
                _ => known = Some((patient, line)),
            }
        }
        Ok(Ok(known.map(|(patient, _)| patient)))
    }

    /// Twins share all but the branch number: a row with the same branch number is the person; a row or a line
    /// without one is, if only one person can be meant.
    async fn known_by(
        &self,
        person: &EligiblePerson,
        insurance: &Insurance,
    ) -> Result<Result<Option<PatientId>, EligibilityFault>, StoreError> {
        let birth_date = person.particulars.birth_date;
        let hash = insurance.identity.hash(self.store.lookup(), birth_date);
        let branch = insurance.identity.branch_hash(self.store.lookup(), birth_date);
        let rows = self.tx.query(IDENTITY_KNOWN, &[&Bucket::of_hash(&hash), &hash.as_slice()]).await?;
        let rows = rows.iter().map(IdentityRow::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut candidates = patients_of_branch(&rows, branch);
        if candidates.is_empty() {
            candidates = match branch {
                Some(_) => patients_of_branch(&rows, None),
                None => rows.iter().map(|row| row.patient).collect(),
            };
        }
        if candidates.is_empty() {
            return Ok(Ok(None));
        }
        Ok(only(candidates).map(Some).ok_or_else(|| {
            let fault =
                "several persons of the directory have this insurance; the branch number must tell which";
            EligibilityFault::new(insurance.line, "branch_number", fault)
        }))
    }

    async fn change(&mut self, known: PatientId, person: &EligiblePerson) -> Result<(), StoreError> {
        let bucket = self.store.buckets().of_patient(known);
        let row = self.tx.query_one(PATIENT_SEALED, &[&bucket, &known]).await?;
        let sealed: Vec<u8> = column(&row, "patient", "particulars_sealed")?;
        let former = self.store.particulars_open(known, &sealed)?;
        if former.deceased_on.is_none() && person.particulars.deceased_on.is_some() {
            for sql in END {
                self.tx.execute(sql, &[&bucket, &known, &ACT]).await?;
            }
        }
        if person.particulars.deceased_on.is_some() {
            self.tx.execute(DECEASED, &[&bucket, &known, &person.particulars.deceased_on, &ACT]).await?;
        }
        if former != person.particulars {
            self.store.person_name_remove(self.tx, known, &former).await?;
            self.write(known, person).await?;
            self.done.persons_changed += 1;
        }
        Ok(())
    }

    async fn write(&self, id: PatientId, person: &EligiblePerson) -> Result<(), StoreError> {
        let bucket = self.store.buckets().of_patient(id);
        let sealed = self.store.particulars_seal(id, &person.particulars)?;
        let died = person.particulars.deceased_on;
        self.tx.execute(PATIENT_WRITE, &[&bucket, &id, &sealed, &ACT, &died]).await?;
        Ok(())
    }

    async fn insurance(
        &mut self,
        id: PatientId,
        person: &EligiblePerson,
        insurance: &Insurance,
    ) -> Result<(), StoreError> {
        let Insurance { identity, valid_from, valid_until, .. } = insurance;
        let birth_date = person.particulars.birth_date;
        let hash = identity.hash(self.store.lookup(), birth_date);
        let branch = identity.branch_hash(self.store.lookup(), birth_date);
        let branch = branch.as_ref().map(<[u8; 32]>::as_slice);
        let by_hash = Bucket::of_hash(&hash);
        let bucket = self.store.buckets().of_patient(id);
        let written = self
            .tx
            .execute(
                IDENTITY_WRITE,
                &[&by_hash, &hash.as_slice(), &id, valid_from, valid_until, &branch, &ACT, &bucket],
            )
            .await?;
        if written > 0 {
            let sealed = self.store.coverage_seal(id, &hash, *valid_from, identity)?;
            self.tx
                .execute(
                    COVERAGE_WRITE,
                    &[&bucket, &id, &hash.as_slice(), valid_from, valid_until, &sealed, &ACT],
                )
                .await?;
            self.done.insurances_written += 1;
        }
        Ok(())
    }
}

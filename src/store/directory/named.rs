//! Finding a person by name, birth date and sex, in an emergency. Knows no reason and grants nothing.

use chrono::NaiveDate;

use super::insured::fold;
use super::{DirectoryEntry, Particulars, Sex, only};
use crate::store::bucket::{Bucket, PatientId};
use crate::store::error::StoreError;
use crate::store::pool::{Store, Tx, column};

const FIND: &str = "-- person_name_find
    SELECT coalesce(merged_into, patient_id) AS patient_id FROM person_name WHERE bucket = $1 /* bucket of the hash */ AND name_hash = $2 /* hash */";

const WRITE: &str = "-- person_name_write
    INSERT INTO person_name (bucket, name_hash, patient_id, updated_by)
    SELECT n.bucket, n.hash, $3 /* patient */, $4 /* act */
    FROM unnest($1::smallint[] /* buckets of the hashes */, $2::bytea[] /* hashes */) AS n (bucket, hash)
    ON CONFLICT ON CONSTRAINT person_name_pkey DO NOTHING";

const REMOVE: &str = "-- person_name_remove
    DELETE FROM person_name p USING unnest($1::smallint[], $2::bytea[]) AS n (bucket, hash)
    WHERE p.bucket = n.bucket AND p.name_hash = n.hash AND p.patient_id = $3 /* patient */";

impl Store {
    /// The only person of this name (in kanji or kana), birth date and sex. `None` when there is none or several.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn person_find(
        &self,
        name: &str,
        birth_date: NaiveDate,
        sex: Sex,
        on: NaiveDate,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let hash = self.name_hash(name, birth_date, sex);
        let rows = self.one("person-find", FIND, &[&Bucket::of_hash(&hash), &hash.as_slice()]).await?;
        let found = rows
            .iter()
            .map(|row| column::<PatientId>(row, "person_name", "patient_id"))
            .collect::<Result<Vec<_>, _>>()?;
        match only(found) {
            Some(patient) => self.patient_find(patient, on).await,
            None => Ok(None),
        }
    }

    /// Makes a person findable by the names it has.
    pub(super) async fn person_name_write(
        &self,
        tx: &Tx<'_>,
        patient: PatientId,
        particulars: &Particulars,
        act: &str,
    ) -> Result<(), StoreError> {
        let (buckets, hashes) = self.name_hashes(particulars);
        tx.execute(WRITE, &[&buckets, &hashes, &patient, &act]).await?;
        Ok(())
    }

    /// A person is no longer found by the names it had.
    pub(super) async fn person_name_remove(
        &self,
        tx: &Tx<'_>,
        patient: PatientId,
        former: &Particulars,
    ) -> Result<(), StoreError> {
        let (buckets, hashes) = self.name_hashes(former);
        tx.execute(REMOVE, &[&buckets, &hashes, &patient]).await?;
        Ok(())
    }

    fn name_hashes(&self, particulars: &Particulars) -> (Vec<Bucket>, Vec<Vec<u8>>) {
        let Particulars { name, kana, birth_date, sex, .. } = particulars;
        std::iter::once(name)
            .chain(kana)
            .map(|name| self.name_hash(name, *birth_date, *sex))
            .map(|hash| (Bucket::of_hash(&hash), hash.to_vec()))
            .unzip()
    }

    fn name_hash(&self, name: &str, birth_date: NaiveDate, sex: Sex) -> [u8; 32] {
        let sex = match sex {
            Sex::Male => "male",
            Sex::Female => "female",
            Sex::Unknown => "unknown",
        };
        self.lookup().hash("person-name", &[fold(name).as_str(), &birth_date.to_string(), sex])
    }
}

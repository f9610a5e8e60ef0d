//! The directory (資格・医療機関の台帳): facilities, persons, and what a person is found by.
//!
//! Owns the tables of `schema/0001_directory.sql`. Knows no token and decides no consent; that a person found
//! here may be read about is for the exchange to say.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::bucket::{Bucket, PatientId};
use super::error::StoreError;
use super::pool::{Store, column};
use super::seal::SealContext;
use crate::prescription::identifier::InstitutionCode;

pub mod attempt;
mod by_insurance;
pub mod claim;
pub mod eligibility;
pub mod import;
mod insured;
pub mod merge;
mod named;

pub use attempt::{AttemptError, AttemptKind, AttemptLimit, Guesses};
pub use by_insurance::{HistoryWanted, NamedPerson};
pub use claim::Claims;
pub use eligibility::{Eligibility, EligibilityFault};
pub use import::{ImportError, Imported};
pub use insured::{InsuredFault, InsuredIdentity};
pub use merge::{Merge, MergeError};

/// What kind of institution a facility is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FacilityKind {
    /// 診療所
    Clinic,
    /// 病院
    Hospital,
    /// 薬局
    Pharmacy,
}

impl FacilityKind {
    /// The name of the kind in the database and in `personas.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clinic => "clinic",
            Self::Hospital => "hospital",
            Self::Pharmacy => "pharmacy",
        }
    }
}

/// The text is no kind of facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected clinic, hospital or pharmacy")]
pub struct FacilityKindError;

impl FromStr for FacilityKind {
    type Err = FacilityKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "clinic" => Ok(Self::Clinic),
            "hospital" => Ok(Self::Hospital),
            "pharmacy" => Ok(Self::Pharmacy),
            _ => Err(FacilityKindError),
        }
    }
}

/// An institution that may call the exchange. Public data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facility {
    /// 医療機関コード
    pub code: InstitutionCode,
    /// 診療所, 病院, 薬局.
    pub kind: FacilityKind,
    /// Name as registered.
    pub name: String,
    /// `false`: gets no new tokens.
    pub active: bool,
}

/// 性別, as the insurer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// 男
    Male,
    /// 女
    Female,
    /// 未設定
    Unknown,
}

/// What is known of a person. Personal; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    /// 氏名
    pub name: String,
    /// 氏名カナ, when the directory has it.
    pub kana: Option<String>,
    /// 生年月日
    pub birth_date: NaiveDate,
    /// 性別
    pub sex: Sex,
    /// 死亡年月日
    pub deceased_on: Option<NaiveDate>,
}

impl fmt::Debug for Particulars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Particulars(…)")
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patient {
    /// Our own id.
    pub id: PatientId,
    /// Its bucket.
    pub bucket: Bucket,
    /// Guards check-and-register: raised by every write to the medication history.
    pub history_version: i64,
    /// What is known of the person.
    pub particulars: Particulars,
}

/// 被保険者資格, an insurance and its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Insurer, symbol, number, branch number as the directory has them.
    pub identity: InsuredIdentity,
    /// First day.
    pub valid_from: NaiveDate,
    /// Last day; `None` while open.
    pub valid_until: Option<NaiveDate>,
}

/// A person and the insurance valid on the day asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The person; may be deceased, which is the caller's to refuse.
    pub patient: Patient,
    /// The insurance: that which the person was found by, else the latest valid on the day.
    pub coverage: Option<Coverage>,
}

const FACILITY_ADD: &str = "-- facility_add
    INSERT INTO facility (code, kind, name, active, updated_by)
    VALUES ($1 /* code */, $2::text::facility_kind /* kind */, $3 /* name */, $4 /* active */, $5 /* act */)
    ON CONFLICT (code) DO UPDATE SET kind = excluded.kind, name = excluded.name, active = excluded.active,
        updated_at = now(), updated_by = excluded.updated_by";

const FACILITY_FIND: &str = "-- facility_find
    SELECT kind::text AS kind, name, active FROM facility WHERE code = $1 /* code */";

const CARD_FIND: &str = "-- card_find
    SELECT coalesce(merged_into, patient_id) AS patient_id FROM card WHERE bucket = $1 /* bucket of the hash */ AND card_hash = $2 /* hash */";

const PATIENT_FIND: &str = "-- patient_find
    SELECT p.history_version, p.particulars_sealed, p.merged, c.identity_hash, c.valid_from AS covered_from,
        c.valid_until AS covered_until, c.content_sealed
    FROM patient p
    LEFT JOIN LATERAL (
        SELECT * FROM coverage
        WHERE bucket = p.bucket AND patient_id = p.id
          AND valid_from <= $3 /* day */ AND (valid_until IS NULL OR valid_until >= $3)
        ORDER BY valid_from DESC LIMIT 1
    ) c ON true
    WHERE p.bucket = $1 /* bucket */ AND p.id = $2 /* id */";

impl Store {
    /// Adds a facility, or changes the one of that code.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn facility_add(&self, facility: &Facility) -> Result<(), StoreError> {
        const ACT: &str = "facility-add";
        let (code, kind) = (facility.code.as_str(), facility.kind.as_str());
        self.one_execute(ACT, FACILITY_ADD, &[&code, &kind, &facility.name, &facility.active, &ACT]).await?;
        Ok(())
    }

    /// The facility of a code.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn facility_find(&self, code: &InstitutionCode) -> Result<Option<Facility>, StoreError> {
        let Some(row) = self.one_opt("facility-find", FACILITY_FIND, &[&code.as_str()]).await? else {
            return Ok(None);
        };
        let kind: String = column(&row, "facility", "kind")?;
        Ok(Some(Facility {
            code: code.clone(),
            kind: kind.parse().map_err(|_| StoreError::corrupt("facility", "kind", code))?,
            name: column(&row, "facility", "name")?,
            active: column(&row, "facility", "active")?,
        }))
    }

    /// The person whose card bears the certificate with this SHA-256 fingerprint.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn card_find(
        &self,
        fingerprint: &[u8; 32],
        on: NaiveDate,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let hash = self.card_hash(fingerprint);
        let found =
            self.one_opt("card-find", CARD_FIND, &[&Bucket::of_hash(&hash), &hash.as_slice()]).await?;
        match found {
            Some(row) => self.patient_find(column(&row, "card", "patient_id")?, on).await,
            None => Ok(None),
        }
    }

    /// A person by our own id, with the insurance of the day, which may be kept with a record whose place this one has
    /// taken.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn patient_find(
        &self,
        id: PatientId,
        on: NaiveDate,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let bucket = self.buckets().of_patient(id);
        let Some(row) = self.one_opt("patient-find", PATIENT_FIND, &[&bucket, &id, &on]).await? else {
            return Ok(None);
        };
        let mut entry = self.entry_read(id, &row)?;
        for merged in column::<Vec<PatientId>>(&row, "patient", "merged")? {
            if entry.coverage.is_none() {
                let bucket = self.buckets().of_patient(merged);
                let row = self.one_opt("patient-find", PATIENT_FIND, &[&bucket, &merged, &on]).await?;
                entry.coverage = row.map_or(Ok(None), |row| self.coverage_open(merged, &row))?;
            }
        }
        Ok(Some(entry))
    }

    fn entry_read(&self, id: PatientId, row: &Row) -> Result<DirectoryEntry, StoreError> {
        let sealed: &[u8] = row.get("particulars_sealed");
        let patient = Patient {
            id,
            bucket: self.buckets().of_patient(id),
            history_version: column(row, "patient", "history_version")?,
            particulars: self.particulars_open(id, sealed)?,
        };
        Ok(DirectoryEntry { patient, coverage: self.coverage_open(id, row)? })
    }

    pub(in crate::store) fn coverage_open(
        &self,
        patient: PatientId,
        row: &Row,
    ) -> Result<Option<Coverage>, StoreError> {
        const TABLE: &str = "coverage";
        let Some(sealed) = column::<Option<Vec<u8>>>(row, TABLE, "content_sealed")? else { return Ok(None) };
        let hash: Vec<u8> = column(row, TABLE, "identity_hash")?;
        let valid_from = column(row, TABLE, "covered_from")?;
        let id = coverage_row(patient, &hash, valid_from);
        let corrupt = || StoreError::corrupt(TABLE, "content_sealed", patient);
        let place = SealContext { table: TABLE, row: &id, column: "content_sealed" };
        let content = self.sealer().open(&place, &sealed).map_err(|_| corrupt())?;
        Ok(Some(Coverage {
            identity: serde_json::from_slice(&content).map_err(|_| corrupt())?,
            valid_from,
            valid_until: column(row, TABLE, "covered_until")?,
        }))
    }

    pub(super) fn coverage_seal(
        &self,
        patient: PatientId,
        hash: &[u8; 32],
        valid_from: NaiveDate,
        identity: &InsuredIdentity,
    ) -> Result<Vec<u8>, StoreError> {
        let id = coverage_row(patient, hash, valid_from);
        let place = SealContext { table: "coverage", row: &id, column: "content_sealed" };
        let content = serde_json::to_vec(identity)
            .map_err(|_| StoreError::corrupt("coverage", "content_sealed", patient))?;
        Ok(self.sealer().seal(&place, &content)?)
    }

    fn particulars_open(&self, patient: PatientId, sealed: &[u8]) -> Result<Particulars, StoreError> {
        let corrupt = || StoreError::corrupt("patient", "particulars_sealed", patient);
        let content = self.sealer().open(&particulars_place(&patient), sealed).map_err(|_| corrupt())?;
        serde_json::from_slice(&content).map_err(|_| corrupt())
    }

    pub(super) fn particulars_seal(
        &self,
        patient: PatientId,
        particulars: &Particulars,
    ) -> Result<Vec<u8>, StoreError> {
        let content = serde_json::to_vec(particulars)
            .map_err(|_| StoreError::corrupt("patient", "particulars_sealed", patient))?;
        Ok(self.sealer().seal(&particulars_place(&patient), &content)?)
    }

    fn card_hash(&self, fingerprint: &[u8; 32]) -> [u8; 32] {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(fingerprint);
        self.lookup().hash("card", &[&text])
    }
}

fn particulars_place(patient: &PatientId) -> SealContext<'_> {
    SealContext { table: "patient", row: patient.as_bytes(), column: "particulars_sealed" }
}

fn coverage_row(patient: PatientId, hash: &[u8], valid_from: NaiveDate) -> Vec<u8> {
    [patient.as_bytes(), hash, valid_from.to_string().as_bytes()].concat()
}

/// A row of `insured_identity`, as far as it tells persons apart.
struct IdentityRow {
    patient: PatientId,
    branch: Option<Vec<u8>>,
}

impl TryFrom<&Row> for IdentityRow {
    type Error = StoreError;

    fn try_from(row: &Row) -> Result<Self, Self::Error> {
        Ok(Self {
            patient: column(row, "insured_identity", "patient_id")?,
            branch: column(row, "insured_identity", "branch_hash")?,
        })
    }
}

fn patients_of_branch(rows: &[IdentityRow], branch: Option<[u8; 32]>) -> Vec<PatientId> {
    let branch = branch.as_ref().map(<[u8; 32]>::as_slice);
    rows.iter().filter(|row| row.branch.as_deref() == branch).map(|row| row.patient).collect()
}

/// The patient that all of them are.
fn only(mut patients: Vec<PatientId>) -> Option<PatientId> {
    patients.sort_unstable();
    patients.dedup();
    match patients[..] {
        [patient] => Some(patient),
        _ => None,
    }
}

//! The sandbox's people and places (登場人物), as `fixtures/personas.toml` says, and the eligibility file an
//! insurer would send about them. Holds no key.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::pki::{Credential, FacilitySpec, PatientSpec, PersonSpec, Pki};
use crate::prescription::identifier::InstitutionCode;
use crate::store::directory::eligibility::COLUMNS;
use crate::store::directory::{Facility, FacilityKind};
use crate::trust::HcRole;

const FIXTURE: &str = include_str!("../../fixtures/personas.toml");

/// Everybody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personas {
    /// Clinics, hospitals, pharmacies.
    #[serde(rename = "facility")]
    pub facilities: Vec<FacilityPersona>,
    /// お薬手帳 and the like.
    #[serde(rename = "app")]
    pub apps: Vec<AppPersona>,
    /// Physicians, dentists, pharmacists.
    #[serde(rename = "practitioner")]
    pub practitioners: Vec<PractitionerPersona>,
    /// 患者
    #[serde(rename = "patient")]
    pub patients: Vec<PatientPersona>,
}

/// A clinic, hospital or pharmacy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FacilityPersona {
    /// What it is.
    pub kind: FacilityKind,
    /// 医療機関コード
    pub code: InstitutionCode,
    /// Its name.
    pub name: String,
}

/// An app of patients.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AppPersona {
    /// `client_id`
    pub client_id: String,
    /// The name patients read.
    pub name: String,
    /// Where its codes are sent.
    pub redirect_uri: String,
}

/// A healthcare professional with an HPKI card.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PractitionerPersona {
    /// Names the files.
    pub id: String,
    /// `hcRole`, as the certificate writes it.
    pub role: String,
    /// 登録番号
    pub registration_number: String,
    /// 漢字氏名
    pub name: String,
    /// The name in Latin letters.
    pub romaji: String,
    /// The institution code of the place of work.
    pub facility: InstitutionCode,
}

/// A patient.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientPersona {
    /// Names the files.
    pub id: String,
    /// 氏名
    pub name: String,
    /// カナ氏名
    pub kana: String,
    /// 生年月日
    pub birth_date: NaiveDate,
    /// `male` or `female`.
    pub sex: Gender,
    /// Whether there is a マイナンバーカード.
    pub card: bool,
    /// 死亡日
    pub deceased_on: Option<NaiveDate>,
    /// What the patient is there for.
    pub note: Note,
    /// Insurances, the present one last.
    #[serde(rename = "insurance")]
    pub insurances: Vec<InsurancePersona>,
}

/// Administrative gender, of those a prescription can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gender {
    /// 男
    Male,
    /// 女
    Female,
}

/// A remark in both languages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Japanese.
    pub ja: String,
    /// English.
    pub en: String,
}

/// An insurance of a patient.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InsurancePersona {
    /// 保険者番号
    pub insurer_number: String,
    /// 記号; empty when the insurer gives none.
    #[serde(default)]
    pub symbol: String,
    /// 番号
    pub number: String,
    /// 枝番; empty when the insurer gives none.
    #[serde(default)]
    pub branch_number: String,
    /// 資格取得日
    pub valid_from: NaiveDate,
    /// 資格喪失日, the last day; open when absent.
    pub valid_until: Option<NaiveDate>,
}

/// The personas cannot be read, which the tests exclude.
#[derive(Debug, thiserror::Error)]
pub enum PersonaError {
    /// The file the program was built with is faulty.
    #[error("fixtures/personas.toml: {0}")]
    Fixture(#[from] toml::de::Error),
    /// A patient has no insurance.
    #[error("fixtures/personas.toml: a patient without an insurance")]
    NoInsurance,
    /// The eligibility file cannot be written.
    #[error("the eligibility file: {0}")]
    Eligibility(#[from] csv::Error),
}

impl Personas {
    /// The personas the program was built with.
    ///
    /// # Errors
    ///
    /// [`PersonaError`]
    pub fn fixture() -> Result<Self, PersonaError> {
        let personas: Self = toml::from_str(FIXTURE)?;
        let insured = personas.patients.iter().all(|patient| !patient.insurances.is_empty());
        if insured { Ok(personas) } else { Err(PersonaError::NoInsurance) }
    }

    /// Who is to have an HPKI certificate, in order.
    pub fn person_specs(&self) -> Vec<PersonSpec> {
        let spec = |person: &PractitionerPersona| PersonSpec {
            id: person.id.clone(),
            romaji: person.romaji.clone(),
            kanji: person.name.clone(),
            registration_number: person.registration_number.clone(),
            roles: vec![HcRole::from(person.role.as_str())],
        };
        self.practitioners.iter().map(spec).collect()
    }

    /// Who is to have a facility certificate, in order.
    pub fn facility_specs(&self) -> Vec<FacilitySpec> {
        let spec = |facility: &FacilityPersona| FacilitySpec {
            code: facility.code.clone(),
            name: facility.name.clone(),
        };
        self.facilities.iter().map(spec).collect()
    }

    /// Who is to have a JPKI certificate, in order: the patients with a card.
    pub fn patient_specs(&self) -> Vec<PatientSpec> {
        let spec = |patient: &PatientPersona| PatientSpec {
            id: patient.id.clone(),
            card_number: format!("SANDBOX-{}", patient.id),
        };
        self.patients.iter().filter(|patient| patient.card).map(spec).collect()
    }

    /// The facilities as the exchange keeps them.
    pub fn directory(&self) -> impl Iterator<Item = Facility> + '_ {
        self.facilities.iter().map(|facility| Facility {
            code: facility.code.clone(),
            kind: facility.kind,
            name: facility.name.clone(),
            active: true,
        })
    }

    /// Each patient with the card, if there is one.
    pub fn patients_with_cards<'a>(
        &'a self,
        pki: &'a Pki,
    ) -> impl Iterator<Item = (&'a PatientPersona, Option<&'a Credential>)> {
        let mut cards = pki.patients.iter();
        self.patients.iter().map(move |patient| (patient, if patient.card { cards.next() } else { None }))
    }

    /// The eligibility file an insurer would send.
    ///
    /// # Errors
    ///
    /// [`PersonaError::Eligibility`]
    pub fn eligibility(&self, pki: &Pki) -> Result<Vec<u8>, PersonaError> {
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record(COLUMNS)?;
        for (patient, card) in self.patients_with_cards(pki) {
            let card = card.map_or_else(String::new, |card| hexadecimal(&card.certificate.sha256()));
            for insurance in &patient.insurances {
                file.write_record([
                    &*patient.id,
                    &patient.name,
                    &patient.kana,
                    &patient.birth_date.to_string(),
                    patient.sex.as_str(),
                    &insurance.insurer_number,
                    &insurance.symbol,
                    &insurance.number,
                    &insurance.branch_number,
                    &insurance.valid_from.to_string(),
                    &insurance.valid_until.map_or_else(String::new, |date| date.to_string()),
                    &card,
                    &patient.deceased_on.map_or_else(String::new, |date| date.to_string()),
                ])?;
            }
        }
        file.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
    }
}

impl Gender {
    /// As FHIR and the eligibility file write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::prescription::identifier::payer_number_checks;

    #[test]
    fn there_is_everybody_the_contract_promises() {
        let personas = Personas::fixture().unwrap();
        let kinds = |kind| personas.facilities.iter().filter(|f| f.kind == kind).count();
        assert!(kinds(FacilityKind::Clinic) >= 2 && kinds(FacilityKind::Hospital) >= 1);
        assert!(kinds(FacilityKind::Pharmacy) >= 3);
        let roles = |role| personas.practitioners.iter().filter(|p| p.role == role).count();
        assert!(roles("Medical Doctor") >= 3 && roles("Dentist") >= 1 && roles("Pharmacist") >= 3);
        let patients = &personas.patients;
        assert!(patients.len() >= 12);
        assert!(patients.iter().any(|p| p.insurances.len() == 2));
        assert!(patients.iter().any(|p| !p.card));
        assert!(patients.iter().any(|p| p.deceased_on.is_some()));
        let shift_jis = |name: &str| !encoding_rs::SHIFT_JIS.encode(name).2;
        assert!(patients.iter().any(|p| !shift_jis(&p.name)));
        let works = |p: &PractitionerPersona| personas.facilities.iter().any(|f| f.code == p.facility);
        assert!(personas.practitioners.iter().all(works));
    }

    #[test]
    fn check_digits_hold() {
        let personas = Personas::fixture().unwrap();
        for facility in &personas.facilities {
            // The first is the contract's example.
            assert!(
                facility.code.check_digit_holds() || facility.code.as_str() == "1311234567",
                "{}",
                facility.code.as_str()
            );
        }
        for insurance in personas.patients.iter().flat_map(|patient| &patient.insurances) {
            assert!(payer_number_checks(&insurance.insurer_number), "{}", insurance.insurer_number);
        }
    }

    #[test]
    fn nobody_is_there_twice() {
        let personas = Personas::fixture().unwrap();
        let ids = personas.patients.iter().map(|p| &p.id).chain(personas.practitioners.iter().map(|p| &p.id));
        let mut seen = HashSet::new();
        assert!(ids.into_iter().all(|id| seen.insert(id)));
        let mut seen = HashSet::new();
        assert!(personas.facilities.iter().all(|facility| seen.insert(facility.code.as_str())));
    }
}

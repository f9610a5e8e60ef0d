//! What the sandbox's clinics and pharmacies write: small prescriptions and the dispensing results that answer them,
//! fresh on the day of the clock. Signs nothing.

use chrono::NaiveDate;
use uuid::Uuid;

use super::persona::{FacilityPersona, Gender, InsurancePersona, PatientPersona, PractitionerPersona};
use crate::codec::fault::Form;
use crate::codec::{cj1, sj1};
use crate::prescription::amount::{Amount, AmountError};
use crate::prescription::dispensing::{
    DispensedForm, DispensedGroup, DispensedLine, Dispensing, DispensingPatient, DispensingPrescriber,
    Pharmacist, Pharmacy, PrescribingInstitution, SupplyUnit,
};
use crate::prescription::document::{
    Department, Institution, Insurance, InsuranceKind, InsuredIdentity, PatientParticulars, Prescriber,
    Prescription, Rates, Relation, Remark, Sex,
};
use crate::prescription::identifier::{DrugCode, IdentifierError};
use crate::prescription::line::{DosageKind, InformationClass, Line, Potency, RpGroup, Usage, UsageCoding};
use crate::prescription::usage::UsageCode;

/// A tablet a day: what the sandbox prescribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tablet<'a> {
    /// レセプト電算コード
    pub receipt_code: &'a str,
    /// 品名
    pub name: &'a str,
}

/// アムロジピン, the drug of the story.
pub const AMLODIPINE: Tablet<'_> = Tablet { receipt_code: "612170710", name: "ノルバスク錠５ｍｇ" };
/// アムロジピン under another name.
pub const AMLODIPINE_GENERIC: Tablet<'_> =
    Tablet { receipt_code: "620007818", name: "アムロジピンＯＤ錠５ｍｇ「トーワ」" };
/// レバミピド, which meets nothing.
pub const REBAMIPIDE: Tablet<'_> =
    Tablet { receipt_code: "622533701", name: "レバミピド錠１００ｍｇ「オーツカ」" };
/// アスピリン
pub const ASPIRIN: Tablet<'_> =
    Tablet { receipt_code: "610443053", name: "バイアスピリン錠１００ｍｇ" };
/// シンバスタチン, which must not meet itraconazole.
pub const SIMVASTATIN: Tablet<'_> =
    Tablet { receipt_code: "612180263", name: "リポバス錠５　５ｍｇ" };

const USAGE_CODE: &str = "1011000400000000";
const USAGE_NAME: &str = "１日１回朝食後　服用";

/// A prescription about to be written.
#[derive(Clone)]
pub struct Draft<'a> {
    /// The prescribing institution.
    pub clinic: &'a FacilityPersona,
    /// Who prescribes.
    pub prescriber: &'a PractitionerPersona,
    /// For whom.
    pub patient: &'a PatientPersona,
    /// Under which insurance.
    pub insurance: &'a InsurancePersona,
    /// One tablet a day of each.
    pub tablets: &'a [Tablet<'a>],
    /// For how many days.
    pub days: u16,
    /// 交付年月日
    pub issued_on: NaiveDate,
    /// Makes this document differ from all others.
    pub mark: String,
}

/// A code or amount of this module is none, which the tests exclude.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// A code.
    #[error("a code of the sandbox: {0}")]
    Code(#[from] IdentifierError),
    /// An amount.
    #[error("an amount of the sandbox: {0}")]
    Amount(#[from] AmountError),
}

impl Draft<'_> {
    /// The prescription as SJ1.
    ///
    /// # Errors
    ///
    /// [`DraftError`]
    pub fn sj1(&self) -> Result<Vec<u8>, DraftError> {
        Ok(sj1::write(&self.prescription()?, &Form::default()))
    }

    /// A result that gives what is prescribed, as CJ1.
    ///
    /// # Errors
    ///
    /// [`DraftError`]
    pub fn cj1(
        &self,
        prescription: Uuid,
        pharmacy: &FacilityPersona,
        pharmacist: &PractitionerPersona,
    ) -> Result<Vec<u8>, DraftError> {
        Ok(cj1::write(&self.dispensing(prescription, pharmacy, pharmacist)?, &Form::default()))
    }

    fn prescription(&self) -> Result<Prescription, DraftError> {
        let groups = (1..)
            .zip(self.tablets)
            .map(|(number, tablet)| {
                Ok(RpGroup {
                    number,
                    kind: DosageKind::Internal,
                    kind_name: None,
                    quantity: self.days,
                    split_quantity: None,
                    usage: Usage {
                        code: UsageCoding::Master(usage_code()?),
                        name: USAGE_NAME.to_owned(),
                        times_per_day: Some(1),
                    },
                    supplements: Vec::new(),
                    lines: vec![line(*tablet)?],
                })
            })
            .collect::<Result<_, DraftError>>()?;
        Ok(Prescription {
            institution: Institution {
                code: self.clinic.code.clone(),
                name: Some(self.clinic.name.clone()),
                postal_code: Some("100-0001".to_owned()),
                address: Some("東京都千代田区見本町１丁目１番".to_owned()),
                phone: Some("03-0000-0001".to_owned()),
                fax: None,
                other_contact: None,
            },
            department: Some(Department { code: Some("01".to_owned()), name: Some("内科".to_owned()) }),
            prescriber: Prescriber { code: None, kana: None, name: self.prescriber.name.clone() },
            patient: PatientParticulars {
                code: None,
                name: Some(self.patient.name.clone()),
                kana: None,
                sex: sex(self.patient.sex),
                birth_date: self.patient.birth_date,
            },
            copayment: None,
            insurance: Insurance {
                kind: Some(insurance_kind(self.insurance)),
                identity: identity(self.insurance),
                relation: Relation::Insured,
                rates: Some(Rates { burden: 30, benefit: 70 }),
                duty_reason: None,
                public_payers: [None, None, None],
                special_payer: None,
                receipt_kind: None,
            },
            issued_on: self.issued_on,
            usable_until: None,
            narcotics: None,
            remaining_medicine: None,
            split: None,
            refill: None,
            remarks: vec![Remark { number: 1, kind: None, text: format!("見本 {}", self.mark) }],
            exchange_number: None,
            groups,
            clinical_notes: Vec::new(),
            laboratory_values: Vec::new(),
        })
    }

    fn dispensing(
        &self,
        prescription: Uuid,
        pharmacy: &FacilityPersona,
        pharmacist: &PractitionerPersona,
    ) -> Result<Dispensing, DraftError> {
        let groups = (1..)
            .zip(self.tablets)
            .map(|(number, tablet)| {
                Ok(DispensedGroup {
                    number,
                    lines: vec![DispensedLine {
                        name: tablet.name.to_owned(),
                        amount: "1".parse()?,
                        unit: "錠".to_owned(),
                        code: Some(DrugCode::receipt(tablet.receipt_code)?),
                        notes: Vec::new(),
                    }],
                    usage_name: Some(USAGE_NAME.to_owned()),
                    usage_code: UsageCoding::Master(usage_code()?),
                    quantity: self.days,
                    unit: SupplyUnit::Days,
                    form: DispensedForm::Internal,
                    usage_supplements: Vec::new(),
                    usage_cautions: Vec::new(),
                })
            })
            .collect::<Result<_, DraftError>>()?;
        Ok(Dispensing {
            patient: DispensingPatient {
                name: self.patient.name.clone(),
                sex: sex(self.patient.sex),
                birth_date: self.patient.birth_date,
                postal_code: None,
                address: None,
                phone: None,
                emergency_contact: None,
                blood_type: None,
                weight: None,
                kana: None,
            },
            patient_remarks: Vec::new(),
            memos: Vec::new(),
            dispensed_on: self.issued_on,
            identity: identity(self.insurance),
            prescription_id: Some(prescription),
            pharmacy: Pharmacy {
                name: pharmacy.name.clone(),
                code: pharmacy.code.clone(),
                postal_code: Some("100-0002".to_owned()),
                address: Some("東京都千代田区見本町２丁目２番".to_owned()),
                phone: Some("03-0000-0002".to_owned()),
            },
            pharmacist: Pharmacist { name: pharmacist.name.clone(), contact: None },
            institution: Some(PrescribingInstitution {
                name: self.clinic.name.clone(),
                code: self.clinic.code.clone(),
            }),
            prescriber: Some(DispensingPrescriber {
                name: self.prescriber.name.clone(),
                department: Some("内科".to_owned()),
            }),
            groups,
            cautions: Vec::new(),
            provided_information: Vec::new(),
            remaining_medicine: Vec::new(),
            remarks: Vec::new(),
            inquiries: Vec::new(),
        })
    }
}

fn line(tablet: Tablet<'_>) -> Result<Line, DraftError> {
    Ok(Line {
        number: 1,
        class: Some(InformationClass::Drug),
        code: Some(DrugCode::receipt(tablet.receipt_code)?),
        uncoded_generic: false,
        name: Some(tablet.name.to_owned()),
        amount: "1".parse::<Amount>()?,
        potency: Potency::Product,
        unit: "錠".to_owned(),
        conversion: None,
        uneven_doses: Vec::new(),
        burden: None,
        single_dose: None,
        supplements: Vec::new(),
    })
}

fn usage_code() -> Result<UsageCode, IdentifierError> {
    USAGE_CODE.parse()
}

fn sex(gender: Gender) -> Sex {
    match gender {
        Gender::Male => Sex::Male,
        Gender::Female => Sex::Female,
    }
}

/// 39 begins the insurer numbers of the late elderly; those of 6 digits are national.
fn insurance_kind(insurance: &InsurancePersona) -> InsuranceKind {
    match insurance.insurer_number.as_str() {
        number if number.len() == 6 => InsuranceKind::National,
        number if number.starts_with("39") => InsuranceKind::LateElderly,
        _ => InsuranceKind::Employee,
    }
}

fn identity(insurance: &InsurancePersona) -> InsuredIdentity {
    let part = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    InsuredIdentity {
        insurer_number: part(&insurance.insurer_number),
        symbol: part(&insurance.symbol),
        number: part(&insurance.number),
        branch_number: part(&insurance.branch_number),
    }
}

#[cfg(test)]
mod tests {
    use super::super::persona::Personas;
    use super::*;
    use crate::formulary::Formulary;

    const TABLETS: [Tablet<'_>; 5] = [AMLODIPINE, AMLODIPINE_GENERIC, REBAMIPIDE, ASPIRIN, SIMVASTATIN];

    #[test]
    fn every_patients_documents_read_back() {
        let personas = Personas::fixture().unwrap();
        for patient in &personas.patients {
            for insurance in &patient.insurances {
                let draft = Draft {
                    clinic: &personas.facilities[0],
                    prescriber: &personas.practitioners[0],
                    patient,
                    insurance,
                    tablets: &TABLETS,
                    days: 28,
                    issued_on: "2026-04-01".parse().unwrap(),
                    mark: "1".to_owned(),
                };
                let read = sj1::read(&draft.sj1().unwrap()).unwrap();
                assert_eq!(read.value, draft.prescription().unwrap());
                let (pharmacy, pharmacist) = (&personas.facilities[4], &personas.practitioners[4]);
                let cj1 = draft.cj1(Uuid::nil(), pharmacy, pharmacist).unwrap();
                assert_eq!(cj1::read(&cj1).unwrap().value.days_supplied(), 28);
            }
        }
    }

    #[test]
    fn the_fixture_formulary_knows_the_tablets() {
        let formulary = Formulary::fixture().unwrap();
        for tablet in TABLETS {
            let product = formulary.product(&DrugCode::receipt(tablet.receipt_code).unwrap()).unwrap();
            assert_eq!(product.name, tablet.name);
        }
        assert!(formulary.usage(USAGE_CODE, "2026-04-01".parse().unwrap()).is_some());
    }
}

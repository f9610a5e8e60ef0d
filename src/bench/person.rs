//! Synthetic persons and what they were given before: everything follows from a person's number, so that a later run
//! knows it again without asking the database.

use chrono::{Days, NaiveDate};

use super::BenchError;
use super::draw::Draws;
use super::drug::{Drug, Drugs};
use crate::prescription::identifier::{IdentifierError, InstitutionCode};
use crate::sandbox::persona::{Gender, InsurancePersona, Note, PatientPersona};
use crate::store::directory::InsuredIdentity;

/// Kinds of draws.
const LIFE: u64 = 1;
const HISTORY: u64 = 2;

/// Institutions that histories come from.
const CLINICS: u64 = 1000;
const PHARMACIES: u64 = 1500;

/// One earlier prescription, dispensed as prescribed.
#[derive(Clone, Debug)]
pub struct Visit<'d> {
    /// The day of issue and of dispensing.
    pub day: NaiveDate,
    /// For so many days.
    pub days: u16,
    /// What was given.
    pub drugs: Vec<&'d Drug>,
    /// The clinic, which exists in histories only.
    pub clinic: InstitutionCode,
    /// The pharmacy, likewise.
    pub pharmacy: InstitutionCode,
}

/// The person of a number, as a persona of the sandbox.
pub fn person(number: u64) -> PatientPersona {
    let mut draws = Draws::of(LIFE, number);
    // Most who are prescribed for are old.
    let age = draws.between(1, 95).max(draws.between(20, 90));
    let born = NaiveDate::from_ymd_opt(2025, 12, 31).unwrap_or_default();
    let nothing = || Note { ja: String::new(), en: String::new() };
    PatientPersona {
        id: format!("bench-{number}"),
        name: format!("計測　第{number}"),
        kana: "ケイソク ダイ".to_owned(),
        birth_date: born - Days::new(age * 365 + draws.below(365)),
        sex: if draws.below(2) == 0 { Gender::Female } else { Gender::Male },
        card: false,
        deceased_on: None,
        note: nothing(),
        insurances: vec![InsurancePersona {
            insurer_number: "06138762".to_owned(),
            symbol: "９９９".to_owned(),
            number: format!("{number:09}"),
            branch_number: "00".to_owned(),
            valid_from: NaiveDate::from_ymd_opt(2020, 4, 1).unwrap_or_default(),
            valid_until: None,
        }],
    }
}

/// The person's insurance as the directory keys it.
///
/// # Errors
///
/// [`BenchError::Insured`], which the tests exclude.
pub fn insured(person: &PatientPersona) -> Result<InsuredIdentity, BenchError> {
    let insurance = person.insurances.last().ok_or(BenchError::Insured)?;
    let InsurancePersona { insurer_number, symbol, number, branch_number, .. } = insurance;
    InsuredIdentity::parse(insurer_number, symbol, number, branch_number).map_err(|_| BenchError::Insured)
}

/// The person's `count` latest visits before `today`, the latest first: a few medicines that stay, now and then one
/// more for some days.
///
/// # Errors
///
/// When an institution code is none, which the tests exclude.
pub fn visits(
    number: u64,
    count: u64,
    today: NaiveDate,
    drugs: &Drugs,
) -> Result<Vec<Visit<'_>>, IdentifierError> {
    let mut draws = Draws::of(HISTORY, number);
    let mut staying: Vec<&Drug> = Vec::new();
    for _ in 0..draws.between(1, 6) {
        let drug = drugs.draw(&mut draws);
        if !staying.contains(&drug) {
            staying.push(drug);
        }
    }
    let days = u16::try_from(7 * draws.between(2, 8)).unwrap_or(14);
    let clinic = institution(1, draws.below(CLINICS))?;
    let pharmacy = institution(4, draws.below(PHARMACIES))?;
    let mut day = today - Days::new(draws.between(1, u64::from(days)));
    let mut visits = Vec::new();
    for _ in 0..count {
        let mut given = staying.clone();
        if draws.below(5) == 0 {
            let more = drugs.draw(&mut draws);
            if !given.contains(&more) {
                given.push(more);
            }
        }
        visits.push(Visit { day, days, drugs: given, clinic: clinic.clone(), pharmacy: pharmacy.clone() });
        day = day - Days::new(u64::from(days) + draws.below(5));
    }
    Ok(visits)
}

/// A code of Tokyo that no sandbox facility has.
fn institution(fee_table: u64, number: u64) -> Result<InstitutionCode, IdentifierError> {
    format!("13{fee_table}{:07}", 9_000_000 + number).parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formulary::Formulary;

    #[test]
    fn a_number_is_one_person_with_one_past() {
        let drugs = Drugs::load(&Formulary::fixture().unwrap(), None).unwrap();
        let today = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        for number in 0..200 {
            let (one, again) = (person(number), person(number));
            assert_eq!((one.birth_date, &one.name), (again.birth_date, &again.name));
            assert!(one.birth_date < today && insured(&one).is_ok());
            let visits = visits(number, 4, today, &drugs).unwrap();
            assert_eq!(visits.len(), 4);
            assert!(visits.windows(2).all(|pair| pair[1].day < pair[0].day) && visits[0].day < today);
            assert!(visits.iter().all(|visit| !visit.drugs.is_empty()));
            let more = super::visits(number, 6, today, &drugs).unwrap();
            assert!(more.iter().zip(&visits).all(|(a, b)| a.day == b.day && a.drugs == b.drugs));
        }
    }
}

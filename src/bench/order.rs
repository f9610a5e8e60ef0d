//! What is prescribed in a drawn prescription: tablets that meet nothing of the patient's past nor of the prescriptions
//! drawn before, so that registering them is not held up by findings.

use chrono::NaiveDate;

use super::BenchError;
use super::draw::Draws;
use super::drug::{Drug, Drugs};
use super::population::{Drawn, Population};
use crate::check::{Candidate, LineContent, Period, Policy, Proposal, Source, Supply, check};
use crate::formulary::Formulary;
use crate::prescription::identifier::InstitutionCode;

/// Lines of a prescription.
pub const LINES: usize = 4;
/// Days of supply.
pub const DAYS: u16 = 28;

const CHOICE: u64 = 3;

/// The tablets of a drawn prescription, the same whenever they are asked for.
///
/// # Errors
///
/// [`BenchError::Exhausted`] when nothing is left that meets nothing.
pub fn order<'d>(
    population: &Population,
    drawn: Drawn,
    drugs: &'d Drugs,
    formulary: &Formulary,
) -> Result<Vec<&'d Drug>, BenchError> {
    let institution: InstitutionCode = "1319999999".parse()?;
    let day = NaiveDate::default();
    // Whatever was ever given counts as taken on the one day of the comparison.
    let taken = |drug: &Drug| Period {
        source: Source::Dispensed,
        document: "past".to_owned(),
        content: LineContent::Drug,
        code: Some(drug.code()),
        name: String::new(),
        substance: None,
        interval: Supply::Days(1).interval_from(day),
        institution: Some(institution.clone()),
        institution_name: String::new(),
        split: None,
    };
    let visits = population.visits(drawn.person, drugs)?;
    let mut past: Vec<Period> =
        visits.iter().flat_map(|visit| &visit.drugs).map(|drug| taken(drug)).collect();
    let mut chosen = Vec::new();
    let wanted = LINES * (usize::try_from(drawn.round).unwrap_or(usize::MAX).saturating_add(1));
    for drug in drugs.all_from(&mut Draws::of(CHOICE, drawn.person)) {
        let proposal = Proposal {
            institution: institution.clone(),
            documents: Vec::new(),
            split: None,
            lines: vec![Candidate {
                place: String::new(),
                rp: 1,
                line: 1,
                content: LineContent::Drug,
                code: Some(drug.code()),
                name: String::new(),
                start: day,
                supply: Supply::Days(1),
            }],
        };
        if check(&proposal, &past, formulary, &Policy::default()).findings.is_empty() {
            past.push(taken(drug));
            chosen.push(drug);
            if chosen.len() == wanted {
                return Ok(chosen.split_off(wanted - LINES));
            }
        }
    }
    Err(BenchError::Exhausted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_of_a_person_meet_neither_the_past_nor_each_other() {
        let formulary = Formulary::fixture().unwrap();
        let drugs = Drugs::load(&formulary, None).unwrap();
        let mut population = Population::default();
        population.cohorts.push(population.cohort(20, 60, NaiveDate::from_ymd_opt(2026, 4, 1).unwrap()));
        for person in 0..20 {
            let round = |round| order(&population, Drawn { person, round }, &drugs, &formulary).unwrap();
            let (first, second) = (round(0), round(1));
            assert_eq!((first.len(), second.len()), (LINES, LINES));
            assert!(first.iter().all(|drug| !second.contains(drug)));
            let visits = population.visits(person, &drugs).unwrap();
            assert!(visits.iter().flat_map(|visit| &visit.drugs).all(|drug| !first.contains(drug)));
        }
        let late = order(&population, Drawn { person: 0, round: 1000 }, &drugs, &formulary);
        assert!(matches!(late, Err(BenchError::Exhausted)));
    }
}

//! Short ways to write lines, periods and products of the fixture formulary in the checker's tests.

use std::sync::LazyLock;

use chrono::{Days, NaiveDate};

use super::{
    Candidate, Formulary, LineContent, Outcome, Period, Policy, Proposal, Source, Substance, Supply, check,
};
use crate::formulary::{Product, RouteClass};
use crate::prescription::identifier::DrugCode;

pub(super) static FORMULARY: LazyLock<Formulary> = LazyLock::new(|| Formulary::fixture().unwrap());

pub(super) const HERE: &str = "1311234567";
pub(super) const THERE: &str = "1319876543";

pub(super) fn day(offset: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 4, 1).unwrap() + Days::new(offset)
}

pub(super) fn product(name: &str) -> &'static Product {
    FORMULARY.products().find(|product| product.name.starts_with(name)).unwrap_or_else(|| panic!("{name}"))
}

pub(super) fn receipt(name: &str) -> Option<DrugCode> {
    product(name).receipt_code.clone().map(DrugCode::Receipt)
}

pub(super) fn line(number: u16, code: Option<DrugCode>, start: NaiveDate, supply: Supply) -> Candidate {
    Candidate {
        place: format!("SJ1[line {}]", 20 + number),
        rp: number,
        line: 1,
        content: LineContent::Drug,
        code,
        name: "a drug".to_owned(),
        start,
        supply,
    }
}

pub(super) fn period(document: &str, code: Option<DrugCode>, start: NaiveDate, supply: Supply) -> Period {
    Period {
        source: Source::Dispensed,
        document: document.to_owned(),
        content: LineContent::Drug,
        code,
        name: "an earlier drug".to_owned(),
        substance: None,
        interval: supply.interval_from(start),
        institution: THERE.parse().ok(),
        institution_name: "another clinic".to_owned(),
        split: None,
    }
}

/// An entry that names an ingredient and no product, for two weeks.
pub(super) fn ingredient(document: &str, name: &str, route: Option<RouteClass>, start: NaiveDate) -> Period {
    let substance = Some(Substance { ingredient: name.to_owned(), route });
    Period { substance, ..period(document, None, start, Supply::Days(14)) }
}

pub(super) fn proposal(lines: Vec<Candidate>) -> Proposal {
    Proposal { institution: HERE.parse().unwrap(), documents: vec!["own".to_owned()], split: None, lines }
}

pub(super) fn run(lines: Vec<Candidate>, history: &[Period]) -> Outcome {
    check(&proposal(lines), history, &FORMULARY, &Policy::default())
}

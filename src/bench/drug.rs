//! How often which tablet is prescribed: weights beside the formulary that knows the tablets.

use std::path::{Path, PathBuf};

use super::BenchError;
use super::draw::Draws;
use crate::formulary::{Formulary, RouteClass};
use crate::prescription::identifier::DrugCode;

/// Our own rough weights of the tablets of the fixture formulary.
const FIXTURE: &str = include_str!("../../fixtures/frequencies.csv");

/// A tablet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drug {
    /// レセプト電算コード
    pub receipt_code: String,
    /// 品名
    pub name: String,
}

impl Drug {
    /// Its code as documents and histories carry it.
    pub fn code(&self) -> DrugCode {
        DrugCode::Receipt(self.receipt_code.clone())
    }
}

/// The tablets that are drawn from.
#[derive(Clone, Debug)]
pub struct Drugs {
    list: Vec<Drug>,
    /// The weights added up.
    sums: Vec<u64>,
}

impl Drugs {
    /// The tablets that the formulary knows, with the weights of `file`, else with our own. A file has a header with
    /// `receipt_code` and either `weight` or columns `qty_…`, which are added up.
    ///
    /// # Errors
    ///
    /// [`BenchError`], when the file cannot be read or names no tablet of the formulary.
    pub fn load(formulary: &Formulary, file: Option<&Path>) -> Result<Self, BenchError> {
        let Some(path) = file else {
            return Self::of("fixtures/frequencies.csv".as_ref(), FIXTURE, formulary);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| BenchError::File { path: path.to_owned(), source })?;
        Self::of(path, &text, formulary)
    }

    fn of(path: &Path, text: &str, formulary: &Formulary) -> Result<Self, BenchError> {
        let content =
            |fault: &str| BenchError::Content { path: PathBuf::from(path), fault: fault.to_owned() };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|_| content("not CSV"))?.clone();
        let code_at = header
            .iter()
            .position(|name| name == "receipt_code")
            .ok_or_else(|| content("no receipt_code"))?;
        let counts = |name: &str| name == "weight" || name.starts_with("qty_");
        let mut drugs = Self { list: Vec::new(), sums: Vec::new() };
        let mut sum = 0;
        for record in reader.records() {
            let record = record.map_err(|_| content("not CSV"))?;
            let code = DrugCode::Receipt(record.get(code_at).unwrap_or_default().to_owned());
            let weight: u64 = header
                .iter()
                .zip(&record)
                .filter(|(name, _)| counts(name))
                .filter_map(|(_, field)| field.parse::<u64>().ok())
                .sum();
            let (Some(product), DrugCode::Receipt(receipt_code)) = (formulary.product(&code), code) else {
                continue;
            };
            if product.route == RouteClass::Internal && product.unit == "錠" && weight > 0 {
                sum += weight;
                drugs.sums.push(sum);
                drugs.list.push(Drug { receipt_code, name: product.name.clone() });
            }
        }
        if drugs.list.is_empty() { Err(content("names no tablet of the formulary")) } else { Ok(drugs) }
    }

    /// A tablet, as often as its weight says.
    pub fn draw(&self, draws: &mut Draws) -> &Drug {
        let at = draws.below(self.sums.last().copied().unwrap_or(0));
        &self.list[self.sums.partition_point(|sum| *sum <= at)]
    }

    /// Every tablet once, beginning anywhere.
    pub fn all_from(&self, draws: &mut Draws) -> impl Iterator<Item = &Drug> {
        let length = self.list.len();
        let start = usize::try_from(draws.below(length as u64)).unwrap_or(0);
        self.list.iter().cycle().skip(start).take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixture_weighs_tablets_of_the_fixture_formulary() {
        let formulary = Formulary::fixture().unwrap();
        let drugs = Drugs::load(&formulary, None).unwrap();
        assert_eq!(drugs.list.len(), FIXTURE.lines().count() - 1);
        let mut draws = Draws::of(0, 0);
        let first = &drugs.list[0];
        let times = (0..2000).filter(|_| drugs.draw(&mut draws) == first).count();
        assert!((40..200).contains(&times), "the heaviest came {times} times in 2000");
        assert_eq!(drugs.all_from(&mut draws).count(), drugs.list.len());
    }

    #[test]
    fn quantities_of_a_public_table_are_added_up() {
        let formulary = Formulary::fixture().unwrap();
        let text = "receipt_code,name,qty_out,qty_in\n612170710,x,3,4\n999999999,y,5,5\n620004902,z,0,-\n";
        let drugs = Drugs::of("table".as_ref(), text, &formulary).unwrap();
        assert_eq!((drugs.list.len(), drugs.sums.as_slice()), (1, [7].as_slice()));
        assert!(Drugs::of("table".as_ref(), "code,weight\n1,1\n", &formulary).is_err());
    }
}

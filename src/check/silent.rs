//! A thousand patients who take nothing twice: a duplicate told of one of them is one too many. Drawn by how often
//! outpatients get each product where the figures are beside the project, else evenly; from the official masters
//! where these can be read, else from the fixture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sample::*;
use super::*;
use crate::formulary::Product;
use crate::prescription::identifier::DrugCode;

const PATIENTS: usize = 1_000;

/// SplitMix64 from a fixed seed: the same patients on every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// One of the draws, as often as its weight says. `sums` are the weights added up.
    fn draw<'a>(&mut self, draws: &'a [Draw], sums: &[u64]) -> &'a Draw {
        let at = self.next() % sums.last().unwrap();
        &draws[sums.partition_point(|sum| *sum <= at)]
    }

    fn supply(&mut self) -> Supply {
        Supply::Days(u16::try_from(self.between(7, 90)).unwrap())
    }
}

/// A product to draw: what it holds, named by a source other than the formulary where there is one.
struct Draw {
    code: DrugCode,
    name: String,
    ingredients: BTreeSet<String>,
    weight: u64,
}

fn masters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
}

/// The official masters, else the fixture.
fn formulary() -> Formulary {
    Formulary::from_dir("masters", &masters()).unwrap_or_else(|_| {
        eprintln!("the official masters are not beside the project, or cannot be read: the fixture is used");
        Formulary::fixture().unwrap()
    })
}

/// The products of the formulary with their frequencies in the open data of receipts.
fn weighted(formulary: &Formulary) -> Option<Vec<Draw>> {
    let Ok(bytes) = std::fs::read(masters().join("ndb09_outpatient_frequency.csv")) else {
        eprintln!("the frequencies are not beside the project: patients are drawn evenly from the fixture");
        return None;
    };
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let draws = rows.filter_map(|row| {
        let code = DrugCode::Receipt(row["receipt_code"].clone());
        formulary.product(&code)?;
        let columns = ["qty_oral_out_external", "qty_oral_out_internal", "qty_topical_out_external"];
        let weight = columns.iter().filter_map(|column| row[*column].parse::<u64>().ok()).sum();
        let ingredients = row["components_base"].split('|').map(str::to_owned).collect();
        Some(Draw { code, name: row["name"].clone(), ingredients, weight })
    });
    Some(draws.filter(|draw| draw.weight > 0).collect())
}

fn even(formulary: &Formulary) -> Vec<Draw> {
    let draw = |product: &Product| {
        let names = product.components.iter().map(|id| formulary.ingredient_name(*id).to_owned());
        Some(Draw {
            code: DrugCode::Receipt(product.receipt_code.clone()?),
            name: product.name.clone(),
            ingredients: names.collect(),
            weight: 1,
        })
    };
    formulary.products().filter_map(draw).collect()
}

#[test]
fn patients_who_take_nothing_twice_are_left_alone() {
    let formulary = formulary();
    let draws = weighted(&formulary).unwrap_or_else(|| even(&formulary));
    let sums: Vec<u64> = draws
        .iter()
        .scan(0, |sum, draw| {
            *sum += draw.weight;
            Some(*sum)
        })
        .collect();
    let mut chance = Chance(20_260_401);
    let mut told = BTreeSet::new();
    let mut medicines = 0;
    for _ in 0..PATIENTS {
        let mut taken: Vec<&Draw> = Vec::new();
        for _ in 0..chance.between(2, 15) {
            let draw = chance.draw(&draws, &sums);
            if taken.iter().all(|other| other.ingredients.is_disjoint(&draw.ingredients)) {
                taken.push(draw);
            }
        }
        medicines += taken.len();
        let new = chance.between(1, taken.len().min(5) as u64);
        let (candidates, earlier) = taken.split_at(usize::try_from(new).unwrap());
        let lines = (1..)
            .zip(candidates)
            .map(|(n, draw)| line(n, Some(draw.code.clone()), day(60), chance.supply()))
            .collect();
        let history: Vec<Period> = (1..)
            .zip(earlier)
            .map(|(n, draw): (u32, _)| {
                let start = day(chance.between(0, 60));
                period(&format!("d{n}"), Some(draw.code.clone()), start, chance.supply())
            })
            .collect();
        let outcome = check(&proposal(lines), &history, &formulary, &Policy::default());
        assert!(outcome.coverage.is_complete());
        let name = |code: &Option<DrugCode>| {
            let draw = draws.iter().find(|draw| Some(&draw.code) == code.as_ref());
            draw.map(|draw| draw.name.clone()).unwrap_or_default()
        };
        for finding in outcome.findings.iter().filter(|f| f.kind == FindingKind::DuplicateIngredient) {
            told.insert((
                name(&finding.candidate.code),
                name(&finding.other.code),
                finding.ingredients.clone(),
            ));
        }
    }
    eprintln!("{PATIENTS} patients, {medicines} medicines out of {} products", draws.len());
    assert_eq!(told, BTreeSet::new());
}

//! A thousand patients who take nothing twice: a duplicate told of one of them is one too many. Drawn by how often
//! outpatients get each product where the figures are beside the project, else evenly; from the official masters
//! where these can be read, else from the fixture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::distributions::{Distribution, WeightedIndex};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::sample::*;
use super::*;
use crate::formulary::Product;
use crate::prescription::identifier::DrugCode;

const PATIENTS: usize = 1_000;

/// A product to draw: what it holds, named by a source other than the formulary where there is one.
struct Draw {
    code: DrugCode,
    name: String,
    ingredients: BTreeSet<String>,
    weight: f64,
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
        let weight = columns.iter().filter_map(|column| row[*column].parse::<f64>().ok()).sum();
        let ingredients = row["components_base"].split('|').map(str::to_owned).collect();
        Some(Draw { code, name: row["name"].clone(), ingredients, weight })
    });
    Some(draws.filter(|draw| draw.weight > 0.0).collect())
}

fn even(formulary: &Formulary) -> Vec<Draw> {
    let draw = |product: &Product| {
        let names = product.components.iter().map(|id| formulary.ingredient_name(*id).to_owned());
        Some(Draw {
            code: DrugCode::Receipt(product.receipt_code.clone()?),
            name: product.name.clone(),
            ingredients: names.collect(),
            weight: 1.0,
        })
    };
    formulary.products().filter_map(draw).collect()
}

#[test]
fn patients_who_take_nothing_twice_are_left_alone() {
    let formulary = formulary();
    let draws = weighted(&formulary).unwrap_or_else(|| even(&formulary));
    let weights = WeightedIndex::new(draws.iter().map(|draw| draw.weight)).unwrap();
    let mut random = StdRng::seed_from_u64(20_260_401);
    let mut told = BTreeSet::new();
    let mut medicines = 0;
    for _ in 0..PATIENTS {
        let mut taken: Vec<&Draw> = Vec::new();
        for _ in 0..random.gen_range(2..16) {
            let draw = &draws[weights.sample(&mut random)];
            if taken.iter().all(|other| other.ingredients.is_disjoint(&draw.ingredients)) {
                taken.push(draw);
            }
        }
        medicines += taken.len();
        let new = random.gen_range(1..=taken.len().min(5));
        let (candidates, earlier) = taken.split_at(new);
        let supply = |random: &mut StdRng| Supply::Days(random.gen_range(7..=90));
        let lines = (1..)
            .zip(candidates)
            .map(|(n, draw)| line(n, Some(draw.code.clone()), day(60), supply(&mut random)))
            .collect();
        let history: Vec<Period> = (1..)
            .zip(earlier)
            .map(|(n, draw): (u32, _)| {
                let start = day(random.gen_range(0..=60));
                period(&format!("d{n}"), Some(draw.code.clone()), start, supply(&mut random))
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

//! The official masters, where a machine has them beside the project, loaded whole and held against derived tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::LazyLock;

use super::master::Master;
use super::*;

/// The masters, loaded once; `None`, said plainly, where they are not here.
static OFFICIAL: LazyLock<Option<Formulary>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !directory.join("ssk_y_20250813.csv").exists() {
        eprintln!("skipped: the official masters are not here");
        return None;
    }
    Some(Formulary::from_dir("official", &directory).unwrap_or_else(|error| panic!("{error}")))
});

#[test]
fn explore() {
    let start = std::time::Instant::now();
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    eprintln!("{:?}", start.elapsed());
    let mut report = formulary.report().clone();
    let faults = std::mem::take(&mut report.faults);
    eprintln!("{report:#?}");
    for fault in faults.iter().take(40) { eprintln!("{fault}"); }
    for u in formulary.unresolved() { eprintln!("U {} {} {}", u.code, u.name, u.reason); }
    let oracle = Master::read("prefix7_ingredients.csv").unwrap();
    let mut by: HashMap<&str, BTreeSet<String>> = HashMap::new();
    for p in formulary.products() {
        let names: BTreeSet<&str> = p.components.iter().map(|id| formulary.ingredient_name(*id)).collect();
        by.entry(&p.price_code.as_deref().unwrap()[..7]).or_default().insert(names.into_iter().collect::<Vec<_>>().join("|"));
    }
    let (mut ok, mut bad) = (0, 0);
    for row in oracle.rows() {
        let mut want: Vec<&str> = row.cell("components_base").split('|').collect();
        want.sort(); want.dedup();
        let want = want.join("|");
        let have = by.get(row.cell("prefix7"));
        if have.is_some_and(|h| h.contains(&want)) { ok += 1 } else { bad += 1; eprintln!("D {} {} {} want {} have {:?}", row.cell("method"), row.cell("prefix7"), row.cell("example"), want, have); }
    }
    eprintln!("agree {ok} differ {bad}");
    let fixture = Formulary::fixture().unwrap();
    for p in fixture.products() {
        let code = DrugCode::Receipt(p.receipt_code.clone().unwrap());
        let Some(o) = formulary.product(&code) else { eprintln!("F missing {}", p.name); continue };
        let n = |f: &Formulary, p: &Product| -> BTreeSet<String> { p.components.iter().map(|id| f.ingredient_name(*id).to_owned()).collect() };
        if n(&fixture, p) != n(formulary, o) || p.route != o.route || p.systemic != o.systemic || p.price_code != o.price_code || p.generic_code != o.generic_code || (p.yj_code.is_some() && p.yj_code != o.yj_code) || p.unit != o.unit {
            eprintln!("F {} {:?} {:?} | {:?} {} {:?} {:?} | {:?} {} {:?} {:?}", p.name, n(&fixture, p), n(formulary, o), p.route, p.systemic, p.price_code, p.yj_code, o.route, o.systemic, o.price_code, o.yj_code);
        }
        if let Some(g) = &p.generic_code { let g = DrugCode::Generic(g.clone()); let (a, b) = (fixture.product(&g).unwrap(), formulary.product(&g)); 
          if b.is_none_or(|b| b.name != a.name || n(formulary, b) != n(&fixture, a) || a.route != b.route) { eprintln!("G {:?} {:?}", a.name, b.map(|b| (&b.name, n(formulary, b), b.route))); } }
    }
    let mut routes: BTreeMap<(RouteClass, bool), BTreeSet<String>> = BTreeMap::new();
    for p in formulary.products() {
        if !matches!(p.route, RouteClass::Internal | RouteClass::Injection) { routes.entry((p.route, p.systemic)).or_default().insert(format!("{} {}", p.price_code.as_deref().unwrap().get(..8).unwrap(), p.name)); }
        if let Some(g) = &p.generic_code { match formulary.product(&DrugCode::Generic(g.clone())) { Some(o) if o.components == p.components && o.route == p.route && o.systemic == p.systemic => {}, o => eprintln!("X {} {} {:?} {:?}", p.name, g, p.route, o.map(|o| (&o.name, o.route, o.systemic))) } }
    }
    for (k, v) in routes { let mut seen = BTreeSet::new(); eprintln!("R {k:?} {}", v.len()); for n in v { if seen.insert(n[..7].to_owned()) { eprintln!("R    {n}"); } } }
}

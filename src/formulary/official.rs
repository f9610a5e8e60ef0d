//! The official masters, where a machine has them beside the project, loaded whole and held against the fixture, the
//! derived tables and the checker.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::LazyLock;

use super::master::Master;
use super::*;
use crate::check::{
    Candidate, Finding, FindingKind, LineContent, Period, Policy, Proposal, Source, Supply, check,
};

/// The masters, loaded once; `None`, said plainly, where they are not here.
static OFFICIAL: LazyLock<Option<Formulary>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !directory.join("ssk_y_20250813.csv").exists() {
        eprintln!("skipped: the official masters are not here");
        return None;
    }
    Some(Formulary::from_dir("official", &directory).unwrap_or_else(|error| panic!("{error}")))
});

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 9, 1).unwrap()
}

/// The findings of one drug against another, both for two weeks from the same day.
fn findings(formulary: &Formulary, candidate: &DrugCode, other: &DrugCode) -> Vec<Finding> {
    let supply = Supply::Days(14);
    let proposal = Proposal {
        institution: "1311234567".parse().unwrap(),
        documents: Vec::new(),
        split: None,
        lines: vec![Candidate {
            place: "line 1".to_owned(),
            rp: 1,
            line: 1,
            content: LineContent::Drug,
            code: Some(candidate.clone()),
            name: String::new(),
            start: day(),
            supply,
        }],
    };
    let period = Period {
        source: Source::Dispensed,
        document: "d".to_owned(),
        content: LineContent::Drug,
        code: Some(other.clone()),
        name: String::new(),
        interval: supply.interval_from(day()),
        institution: "1319876543".parse().ok(),
        institution_name: String::new(),
        split: None,
        substance: None,
    };
    let outcome = check(&proposal, &[period], formulary, &Policy::default());
    assert!(
        outcome.coverage.lines.is_empty() && outcome.coverage.history.is_empty(),
        "{candidate:?} {other:?}"
    );
    outcome.findings
}

fn is_duplicate(formulary: &Formulary, a: &DrugCode, b: &DrugCode) -> bool {
    let found = |a, b| {
        findings(formulary, a, b).iter().any(|finding| finding.kind == FindingKind::DuplicateIngredient)
    };
    let hit = found(a, b);
    assert_eq!(hit, found(b, a), "{a:?} {b:?}");
    hit
}

/// A code of a product: that of its receipt where it has one.
fn code_of(product: &Product) -> DrugCode {
    match (&product.receipt_code, &product.price_code) {
        (Some(code), _) => DrugCode::Receipt(code.clone()),
        (None, Some(code)) => DrugCode::Price(code.clone()),
        (None, None) => panic!("{}", product.name),
    }
}

fn names(formulary: &Formulary, product: &Product) -> BTreeSet<String> {
    product.components.iter().map(|id| formulary.ingredient_name(*id).to_owned()).collect()
}

/// One product with a receipt code for each beginning of price codes of seven characters: of those that differ the
/// one with most ingredients.
fn by_prefix(formulary: &Formulary) -> BTreeMap<&str, &Product> {
    let mut products: BTreeMap<&str, &Product> = BTreeMap::new();
    for product in formulary.products().filter(|product| product.receipt_code.is_some()) {
        if let Some(prefix) = product.price_code.as_deref().and_then(|code| code.get(..7)) {
            let known = products.entry(prefix).or_insert(product);
            if known.components.len() < product.components.len() {
                *known = product;
            }
        }
    }
    products
}

fn by_name<'a>(formulary: &'a Formulary, name: &str) -> &'a Product {
    formulary.products().find(|product| product.name.starts_with(name)).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn nearly_every_receipt_code_leads_to_ingredients() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let report = formulary.report();
    assert_eq!(report.faults, []);
    assert_eq!(report.active_receipt_codes, 20_523);
    assert!(report.resolved_receipt_codes * 1000 >= report.active_receipt_codes * 997, "{report:?}");
    assert!(report.products > 21_000 && report.generic_names > 1_400);
    let rows: BTreeMap<&str, usize> = report
        .files
        .iter()
        .filter(|file| file.layout.is_some())
        .map(|file| (file.file.as_str(), file.rows))
        .collect();
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert_eq!((rows["ssk_y_20250813.csv"], rows["mhlw_price_20250814.csv"]), (21_182, 12_417));
    assert!(report.files.iter().any(|file| file.file == "prefectures.csv" && file.layout.is_none()));
    let medicines: BTreeSet<&str> = formulary
        .unresolved()
        .iter()
        .filter(|unresolved| !unresolved.reason.contains("billing"))
        .map(|unresolved| unresolved.name.as_str())
        .collect();
    assert_eq!(medicines, BTreeSet::from(["キャベジンＵコーワ配合散", "ボルビサール注　２ｍＬ"]));
    // Discontinued products stay, with their last day; so do the second entries for 選定療養.
    assert!(formulary.products().any(|product| !product.valid_on(day())));
    assert!(formulary.product(&DrugCode::receipt("670000000").unwrap()).is_none());
    assert!(formulary.products().any(|product| product.identity().starts_with("67")));
    assert!(formulary.usage("1013044400000000", NaiveDate::from_ymd_opt(2026, 4, 1).unwrap()).is_some());
}

#[test]
fn fixture_and_masters_name_the_same_identity() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let fixture = Formulary::fixture().unwrap();
    for product in fixture.products() {
        let listed = formulary.product(&code_of(product)).unwrap_or_else(|| panic!("{}", product.name));
        assert_eq!(names(&fixture, product), names(formulary, listed), "{}", product.name);
        assert_eq!((product.route, product.systemic), (listed.route, listed.systemic), "{}", product.name);
        assert_eq!(
            (&product.price_code, &product.unit),
            (&listed.price_code, &listed.unit),
            "{}",
            product.name
        );
        assert_eq!((&product.name, &product.generic_code), (&listed.name, &listed.generic_code));
        if let Some(code) = product.generic_code.clone().map(DrugCode::Generic) {
            let (own, other) = (fixture.product(&code).unwrap(), formulary.product(&code).unwrap());
            assert_eq!((&own.name, own.route), (&other.name, other.route));
            assert_eq!(names(&fixture, own), names(formulary, other), "{}", own.name);
        }
    }
}

#[test]
fn every_code_of_a_product_leads_to_the_same_identity() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let mut generics = 0;
    for product in formulary.products() {
        let codes = [
            product.yj_code.clone().map(DrugCode::Yj),
            product.price_code.clone().map(DrugCode::Price),
            product.generic_code.clone().map(DrugCode::Generic),
        ];
        generics += usize::from(codes[2].is_some());
        for code in codes.into_iter().flatten() {
            let other = formulary.product(&code).unwrap_or_else(|| panic!("{code:?} {}", product.name));
            assert_eq!(product.components, other.components, "{code:?} {}", product.name);
            assert_eq!(
                (product.route, product.systemic),
                (other.route, other.systemic),
                "{code:?} {}",
                product.name
            );
        }
    }
    assert!(generics > 10_000);
}

/// Prefixes whose ingredients are named otherwise than in the derived table, decided one by one: see
/// `docs/ingredients.md`. Prefixes the derived table leaves unresolved are not among them.
const DECIDED: [&str; 47] = [
    "1139103", "1139104", "1139105", "1171005", "2115003", "2115403", "2139403", "2190041", "2190417",
    "2316003", "2316017", "2329107", "2343005", "2399020", "2399700", "2459100", "2482800", "2614701",
    "2649701", "2649803", "2649843", "2649895", "3131002", "3131401", "3214001", "3229005", "3229102",
    "3229401", "3229402", "3229500", "3279104", "3999409", "4291047", "4419002", "5200120", "6141001",
    "6222005", "6290007", "6415001", "7111001", "7131700", "7211001", "7211402", "7214400", "7219403",
    "7290411", "7319002",
];

#[test]
fn ingredients_agree_with_the_derived_table() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let Some(derived) = Master::read("prefix7_ingredients.csv") else { return };
    let mut own: HashMap<&str, BTreeSet<BTreeSet<String>>> = HashMap::new();
    for product in formulary.products() {
        let prefix = &product.price_code.as_deref().unwrap()[..7];
        own.entry(prefix).or_default().insert(names(formulary, product));
    }
    let mut agreed = 0;
    let mut otherwise = BTreeSet::new();
    for row in derived.rows() {
        let found = own.get(row.cell("prefix7")).unwrap_or_else(|| panic!("{}", row.cell("example")));
        let expected = row.cell("components_base").split('|').map(str::to_owned).collect();
        if found.contains(&expected) {
            agreed += 1;
        } else if row.cell("method") != "unresolved-composite" {
            otherwise.insert(row.cell("prefix7"));
        }
    }
    eprintln!("ingredients: {agreed} prefixes agree, {} decided otherwise", otherwise.len());
    assert_eq!(otherwise, BTreeSet::from(DECIDED));
}

/// ロイシン・イソロイシン・バリン除去ミルク: the derived table takes for ingredients what the milk is free of.
const WITHOUT_AMINO_ACIDS: &str = "3279104";

#[test]
fn every_single_product_duplicates_its_combinations() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let Some(components) = Master::read("combination_components.csv") else { return };
    let products = by_prefix(formulary);
    let mut found = 0;
    let mut missed = BTreeSet::new();
    for row in components.rows() {
        let Some(combination) = products.get(row.cell("combo_prefix7")) else { continue };
        let others = [row.cell("component_prefix7_same_route"), row.cell("other_combos_with_component")];
        for prefix in others.iter().flat_map(|prefixes| prefixes.split('|')) {
            let Some(other) = products.get(prefix).filter(|other| combination.shares_route(other)) else {
                continue;
            };
            if [row.cell("combo_prefix7"), prefix].contains(&WITHOUT_AMINO_ACIDS) {
                continue;
            }
            if is_duplicate(formulary, &code_of(combination), &code_of(other)) {
                found += 1;
            } else {
                missed.insert(format!(
                    "{} {} {prefix}",
                    row.cell("component_base"),
                    row.cell("combo_prefix7")
                ));
            }
        }
    }
    eprintln!("combinations: {found} pairs found");
    assert!(found > 1000, "{found}");
    assert_eq!(missed, BTreeSet::new());
}

#[test]
fn strengths_brands_and_salts_are_one_and_routes_are_apart() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let one = [
        ("ノルバスク錠２．５ｍｇ", "アムロジピンＯＤ錠１０ｍｇ"),
        ("ボルタレン錠２５ｍｇ", "ボルタレンサポ２５ｍｇ"),
        ("ピレチア錠（２５ｍｇ）", "ＰＬ配合顆粒"),
        ("エリスロシン錠１００ｍｇ", "エリスロシンドライシロップ"),
        ("ツロブテロールテープ１ｍｇ「久光」", "ホクナリン錠１ｍｇ"),
        ("ポララミン錠２ｍｇ", "セレスタミン配合錠"),
        ("ツムラ八味地黄丸", "ウチダの八味丸Ｍ"),
        ("カロナール錠５００", "トラムセット配合錠"),
    ];
    for (a, b) in one {
        let (a, b) = (by_name(formulary, a), by_name(formulary, b));
        assert!(is_duplicate(formulary, &code_of(a), &code_of(b)), "{} {}", a.name, b.name);
    }
    // Every ingredient that comes both as eye drops and as something swallowed.
    let mut sides: HashMap<IngredientId, [Option<&Product>; 2]> = HashMap::new();
    for product in formulary.products() {
        let side = match product.route {
            RouteClass::Eye => 0,
            RouteClass::Internal => 1,
            _ => continue,
        };
        for id in &product.components {
            sides.entry(*id).or_default()[side].get_or_insert(product);
        }
    }
    let both: Vec<(&Product, &Product)> =
        sides.values().filter_map(|[eye, oral]| (*eye).zip(*oral)).collect();
    assert!(both.len() > 30, "{}", both.len());
    for (eye, oral) in both {
        assert!(!is_duplicate(formulary, &code_of(eye), &code_of(oral)), "{} {}", eye.name, oral.name);
    }
}

/// The derived table names the salts of aspartic acid alike; the calcium salt is not meant.
const NOT_MEANT: [&str; 2] = ["CI0440 2149049 3214001", "CI0444 2149045 3214001"];

#[test]
fn every_sure_contraindication_is_found_by_every_code() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let Some(pairs) = Master::read("contraindications.csv") else { return };
    let products = by_prefix(formulary);
    let codes = |product: &Product| -> Vec<DrugCode> {
        let codes = [
            product.receipt_code.clone().map(DrugCode::Receipt),
            product.price_code.clone().map(DrugCode::Price),
            product.yj_code.clone().map(DrugCode::Yj),
            product.generic_code.clone().map(DrugCode::Generic),
        ];
        codes.into_iter().flatten().collect()
    };
    let mut missed = BTreeSet::new();
    let mut found = 0;
    for pair in
        pairs.rows().filter(|pair| pair.cell("confidence") == "A" && pair.cell("both_in_master_2025") == "1")
    {
        let id = pair.cell("pair_id");
        let side = |column| {
            pair.cell(column).split('|').filter_map(|prefix| products.get(prefix)).collect::<Vec<_>>()
        };
        for a in side("a_prefixes") {
            for b in side("b_prefixes") {
                for (first, second) in
                    codes(a).iter().flat_map(|a| codes(b).into_iter().map(move |b| (a.clone(), b)))
                {
                    let hit = |x, y| findings(formulary, x, y).iter().any(|finding| finding.rule == id);
                    if hit(&first, &second) && hit(&second, &first) {
                        found += 1;
                    } else {
                        let prefix =
                            |product: &Product| product.price_code.as_deref().unwrap()[..7].to_owned();
                        missed.insert(format!("{id} {} {}", prefix(a), prefix(b)));
                    }
                }
            }
        }
    }
    eprintln!("contraindications: {found} pairs of codes found");
    assert!(found > 4000, "{found}");
    assert_eq!(missed, BTreeSet::from(NOT_MEANT.map(str::to_owned)));
}

/// Products that a near miss means: of this ingredient alone, as its remark in brackets limits them.
fn meant<'a>(formulary: &'a Formulary, side: &str) -> Vec<&'a Product> {
    let (name, remark) = side.trim_end_matches('〉').split_once('〈').unwrap_or((side, ""));
    let fits = |product: &Product| {
        let code = product.price_code.as_deref().unwrap();
        match remark {
            "" => matches!(product.route, RouteClass::Internal | RouteClass::Injection),
            "ED/不妊" => !code.starts_with("2190028"),
            "シアリス・ザルティア" | "シアリス" => !code.starts_with("2190030"),
            "ミニリンメルト60/120/240μg" => {
                ["６０μｇ", "１２０μｇ", "２４０μｇ"].iter().any(|strength| product.name.contains(strength))
            }
            "外用" => product.route == RouteClass::Skin,
            "皮膚外用・腟" => matches!(product.route, RouteClass::Skin | RouteClass::Vaginal),
            "エピペン" => product.name.contains("エピペン"),
            other => panic!("{other}"),
        }
    };
    let mut strengths = BTreeSet::new();
    formulary
        .products()
        .filter(|product| {
            product.components.len() == 1
                && formulary.ingredient_name(product.components[0]) == name
                && fits(product)
                && strengths.insert(product.price_code.as_deref().unwrap()[..9].to_owned())
        })
        .collect()
}

#[test]
fn near_misses_stay_silent() {
    let Some(formulary) = OFFICIAL.as_ref() else { return };
    let Some(controls) = Master::read("not_contraindicated_controls.csv") else { return };
    let mut checked = 0;
    for row in controls.rows() {
        let (a, b) = (meant(formulary, row.cell("a_ja")), meant(formulary, row.cell("b_ja")));
        checked += usize::from(!a.is_empty() && !b.is_empty());
        for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            let rules: Vec<String> = findings(formulary, &code_of(a), &code_of(b))
                .into_iter()
                .map(|finding| finding.rule)
                .collect();
            assert_eq!(rules, [""; 0], "{} {}", a.name, b.name);
        }
    }
    // グレープフルーツジュース is no product.
    assert_eq!(checked, 29);
}

//! The official masters together: receipt master, price list and generic names become products with ingredients and
//! routes. Each master is optional; what one does not say the next may. Rows with a fault are left out and reported.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::layout::{Layout, Table};
use super::listing::{Generic, Price, Receipt, generic_read, is_billing, prices_read, receipts_read};
use super::product::{Product, Products, RouteClass};
use super::report::{Faults, Unresolved};
use super::resolver::Resolver;
use super::route::route;
use crate::prescription::identifier::DrugCode;

/// The masters found, each with its file name.
#[derive(Clone, Copy, Default)]
pub(super) struct Masters<'a> {
    prices: Option<(&'a str, &'a Table)>,
    receipts: Option<(&'a str, &'a Table)>,
    generics: Option<(&'a str, &'a Table)>,
    exceptions: Option<(&'a str, &'a Table)>,
}

/// What became of the receipt codes.
#[derive(Default)]
pub(super) struct Listed {
    /// Receipt codes in force.
    pub(super) active: usize,
    /// Of these, with ingredients.
    pub(super) resolved: usize,
    pub(super) unresolved: Vec<Unresolved>,
}

impl<'a> Masters<'a> {
    /// The official masters of products among the tables; `None` when there is none.
    pub(super) fn among(tables: &'a [(String, Table)]) -> Option<Self> {
        let mut masters = Self::default();
        for (file, table) in tables {
            let place = match table.layout {
                Layout::PriceList => &mut masters.prices,
                Layout::ReceiptMaster => &mut masters.receipts,
                Layout::GenericNames => &mut masters.generics,
                Layout::GenericExceptions => &mut masters.exceptions,
                Layout::Products
                | Layout::Usages
                | Layout::UsageMaster
                | Layout::Contraindications
                | Layout::HotMaster => continue,
            };
            *place = Some((file.as_str(), table));
        }
        let found = [masters.prices, masters.receipts, masters.generics, masters.exceptions];
        found.iter().any(Option::is_some).then_some(masters)
    }

    /// Makes products of all rows and adds them, brands first.
    pub(super) fn products_fill(self, products: &mut Products, faults: &mut Faults) -> Listed {
        let mut resolver = Resolver::new();
        resolver.curated_add(products);
        let prices = self.prices.map_or_else(BTreeMap::new, |(file, table)| prices_read(file, table, faults));
        for price in prices.values() {
            resolver.name_add(price.code, price.ingredients, products);
        }
        let mut generics = Vec::new();
        // The exceptions name products that belong under another generic code than their first nine characters say.
        let mut excepted: HashMap<&str, &str> = HashMap::new();
        for (file, table) in [self.generics, self.exceptions].into_iter().flatten() {
            let exception = table.layout == Layout::GenericExceptions;
            for (line, row) in &table.rows {
                let Some(generic) = generic_read(file, *line, row, exception, faults) else { continue };
                resolver.name_add(generic.code, &row[2], products);
                if exception {
                    excepted.insert(generic.price_code, generic.code);
                }
                generics.push(generic);
            }
        }
        let mut listed = Listed::default();
        let mut seen = HashSet::new();
        if let Some((file, table)) = self.receipts {
            let mut receipts = receipts_read(file, table, faults);
            // The product in force stands for a shared price code, not the discontinued one and not its second entry
            // for 選定療養 (67…).
            receipts.sort_by_key(|receipt| (receipt.abolished.is_some(), receipt.code.starts_with("67")));
            for receipt in &receipts {
                let brand = brand(receipt, &prices, &excepted, &resolver);
                listed.active += usize::from(receipt.abolished.is_none());
                match brand {
                    Ok(brand) => {
                        seen.extend([&brand.price_code, &brand.yj_code].into_iter().flatten().cloned());
                        match products.listed_insert(brand) {
                            Ok(()) => listed.resolved += usize::from(receipt.abolished.is_none()),
                            Err(problem) => faults.row(file, receipt.line, problem),
                        }
                    }
                    Err(reason) => listed.unresolved.push(unresolved(receipt.code, receipt.name, reason)),
                }
                if let Some(code) = receipt.generic_code.filter(|_| !receipt.generic_name.is_empty()) {
                    generics.push(Generic {
                        code,
                        name: receipt.generic_name,
                        specification: receipt.unit,
                        price_code: receipt.price_code,
                    });
                }
            }
        }
        for price in prices.values().filter(|price| !seen.contains(price.code)) {
            match priced(price, &excepted, &resolver) {
                // Without a receipt code nothing can be taken twice: the price codes are distinct.
                Ok(product) => drop(products.listed_insert(product)),
                Err(reason) => listed.unresolved.push(unresolved(price.code, price.name, reason)),
            }
        }
        for generic in generics {
            if let Ok(entry) = generic_entry(&generic, &resolver) {
                products.generic_listed_insert(generic.code, entry);
            }
        }
        listed
    }
}

fn unresolved(code: &str, name: &str, reason: &str) -> Unresolved {
    Unresolved { code: code.to_owned(), name: name.to_owned(), reason: reason.to_owned() }
}

/// The product of a receipt code, or why it cannot be one.
fn brand(
    receipt: &Receipt<'_>,
    prices: &BTreeMap<&str, Price<'_>>,
    excepted: &HashMap<&str, &str>,
    resolver: &Resolver,
) -> Result<Product, &'static str> {
    if is_billing(receipt.code) {
        return Err("an entry for billing, not a medicine");
    }
    let code = receipt.price_code;
    if code.is_empty() {
        return Err("the master gives no price code");
    }
    let own = prices.get(code);
    // A maker's product listed under a common name (統一名収載): its own code is not in the price list.
    let common = own
        .is_none()
        .then(|| common_code(code))
        .flatten()
        .filter(|common| prices.contains_key(common.as_str()));
    let price = own.or_else(|| prices.get(common.as_deref()?));
    let (route, systemic) = route_of(code, receipt.name, price)?;
    let ends = [receipt.abolished, receipt.transition_to, price.and_then(|price| price.valid_to)];
    Ok(Product {
        name: receipt.name.to_owned(),
        receipt_code: Some(receipt.code.to_owned()),
        yj_code: (!is_common(code)).then(|| code.to_owned()),
        generic_code: receipt.generic_code.or(excepted.get(code).copied()).map(str::to_owned),
        unit: receipt.unit.to_owned(),
        route,
        components: resolver.components(code)?,
        systemic,
        therapeutic_class: code.get(..4).unwrap_or_default().to_owned(),
        valid_to: ends.into_iter().flatten().min(),
        price_code: Some(common.unwrap_or_else(|| code.to_owned())),
    })
}

fn route_of(code: &str, name: &str, price: Option<&Price<'_>>) -> Result<(RouteClass, bool), &'static str> {
    route(code, &[name, price.map_or("", |price| price.name)]).ok_or("the price code tells no route")
}

/// The product of a price that no receipt code leads to.
fn priced(
    price: &Price<'_>,
    excepted: &HashMap<&str, &str>,
    resolver: &Resolver,
) -> Result<Product, &'static str> {
    let (route, systemic) = route_of(price.code, "", Some(price))?;
    Ok(Product {
        name: price.name.to_owned(),
        receipt_code: None,
        yj_code: (!is_common(price.code)).then(|| price.code.to_owned()),
        price_code: Some(price.code.to_owned()),
        generic_code: excepted.get(price.code).copied().map(str::to_owned),
        unit: unit_of(price.specification),
        route,
        components: resolver.components(price.code)?,
        systemic,
        therapeutic_class: price.code.get(..4).unwrap_or_default().to_owned(),
        valid_to: price.valid_to,
    })
}

fn generic_entry(generic: &Generic<'_>, resolver: &Resolver) -> Result<Product, &'static str> {
    let (route, systemic) = route_of(generic.code, generic.name, None)?;
    Ok(Product {
        name: generic.name.to_owned(),
        receipt_code: None,
        yj_code: None,
        price_code: None,
        generic_code: Some(generic.code.to_owned()),
        unit: unit_of(generic.specification),
        route,
        components: resolver.components(generic.code).or_else(|_| resolver.components(generic.price_code))?,
        systemic,
        therapeutic_class: generic.code.get(..4).unwrap_or_default().to_owned(),
        valid_to: None,
    })
}

/// Characters 10 and 11 are the brand; 01 is kept for the common name.
fn is_common(code: &str) -> bool {
    code.get(9..11) == Some("01")
}

/// The code of the common name under which a product of this code is listed.
fn common_code(code: &str) -> Option<String> {
    let stem = format!("{}01", code.get(..9)?);
    (0..10).map(|digit| format!("{stem}{digit}")).find(|code| DrugCode::price(code).is_ok())
}

/// What follows the last number of a specification: １０ｍｇ１錠 is counted in 錠.
fn unit_of(specification: &str) -> String {
    specification
        .rsplit(|letter: char| letter.is_ascii_digit() || ('０'..='９').contains(&letter))
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use encoding_rs::SHIFT_JIS;

    use super::*;
    use crate::formulary::{Encoding, Fault, File, Formulary, LoadError};

    const PRICES: &str = "\
区分,薬価基準収載医薬品コード,成分名,規格,品名,経過措置による使用期限
内用薬,2171022F2025,アムロジピンベシル酸塩,５ｍｇ１錠,ノルバスク錠５ｍｇ,
内用薬,2171022F2017,アムロジピンベシル酸塩,５ｍｇ１錠,アムロジピン５ｍｇ錠,R8.3.31まで
内用薬,2149114F1021,バルサルタン・アムロジピンベシル酸塩,１錠,エックスフォージ配合錠,
外用薬,1319742Q1039,レボフロキサシン水和物,０．５％１ｍＬ,クラビット点眼液０．５％,
";

    const RECEIPTS: &str = "\
変更区分,医薬品コード,医薬品名・規格名漢字名称,単位漢字名称,廃止年月日,薬価基準収載医薬品コード,経過措置年月日又は商品名医薬品コード使用期限,一般名コード,一般名処方の標準的な記載
0,612170710,ノルバスク錠５ｍｇ,錠,99999999,2171022F2025,0,2171022F2ZZZ,【般】アムロジピン錠５ｍｇ
0,671000001,ノルバスク錠５ｍｇ（選）,錠,99999999,2171022F2025,0,2171022F2ZZZ,【般】アムロジピン錠５ｍｇ
0,622000001,アムロジピン錠５ｍｇ「某」,錠,20240331,2171022F2190,0,2171022F2ZZZ,【般】アムロジピン錠５ｍｇ
0,610000001,ＰＬ配合顆粒,ｇ,99999999,1180107D1131,0,0,
0,630010011,薬評（内用薬）,回,99999999,,0,0,
0,610000002,何々錠,錠,99999999,9990001F1010,0,0,
";

    fn load(files: &[(&str, &[u8])]) -> Result<Formulary, Vec<String>> {
        let files: Vec<File<'_>> = files.iter().map(|(name, bytes)| File { name, bytes }).collect();
        Formulary::from_files("t", &files).map_err(|error| match error {
            LoadError::Faulty(faults) => faults.iter().map(Fault::to_string).collect(),
            LoadError::Unreadable { .. } => vec![error.to_string()],
        })
    }

    fn loaded(prices: &str, receipts: &str) -> Formulary {
        load(&[("p.csv", prices.as_bytes()), ("r.csv", receipts.as_bytes())]).unwrap()
    }

    fn names(formulary: &Formulary, code: &DrugCode) -> Vec<String> {
        let product = formulary.product(code).unwrap_or_else(|| panic!("{code:?}"));
        let mut names: Vec<String> =
            product.components.iter().map(|id| formulary.ingredient_name(*id).to_owned()).collect();
        names.sort();
        names
    }

    fn told(formulary: &Formulary) -> Vec<String> {
        formulary.report().faults.iter().map(Fault::to_string).collect()
    }

    fn receipt(code: &str) -> DrugCode {
        DrugCode::Receipt(code.to_owned())
    }

    #[test]
    fn masters_become_products() {
        let formulary = loaded(PRICES, RECEIPTS);
        assert_eq!(told(&formulary), [""; 0]);
        for code in [
            receipt("612170710"),
            receipt("671000001"),
            receipt("622000001"),
            DrugCode::Yj("2171022F2190".to_owned()),
            DrugCode::Price("2171022F2017".to_owned()),
            DrugCode::Generic("2171022F2ZZZ".to_owned()),
        ] {
            assert_eq!(names(&formulary, &code), ["アムロジピン"], "{code:?}");
        }
        assert_eq!(names(&formulary, &receipt("610000001")).len(), 4);
        assert_eq!(
            names(&formulary, &DrugCode::Price("2149114F1021".to_owned())),
            ["アムロジピン", "バルサルタン"]
        );
        // The product in force stands for the shared code.
        let brand = formulary.product(&DrugCode::Yj("2171022F2025".to_owned())).unwrap();
        assert_eq!((brand.identity(), brand.valid_to), ("612170710", None));
        // A maker's product under the common name ends with its own abolition, or the transition of the listing.
        let maker = formulary.product(&receipt("622000001")).unwrap();
        assert_eq!(maker.price_code.as_deref(), Some("2171022F2017"));
        assert_eq!(maker.valid_to, chrono::NaiveDate::from_ymd_opt(2024, 3, 31));
        // Listed, without a receipt code.
        let drops = formulary.product(&DrugCode::Price("1319742Q1039".to_owned())).unwrap();
        assert_eq!((drops.route, drops.unit.as_str()), (RouteClass::Eye, "ｍＬ"));
        let unresolved: Vec<(&str, bool)> = formulary
            .unresolved()
            .iter()
            .map(|unresolved| (unresolved.code.as_str(), unresolved.reason.contains("billing")))
            .collect();
        assert_eq!(unresolved, [("630010011", true), ("610000002", false)]);
        let report = formulary.report();
        assert_eq!((report.active_receipt_codes, report.resolved_receipt_codes), (5, 3));
    }

    #[test]
    fn shift_jis_says_the_same() {
        let sjis = |text: &str| SHIFT_JIS.encode(text).0.into_owned();
        let formulary = load(&[("p.csv", &sjis(PRICES)), ("r.csv", &sjis(RECEIPTS))]).unwrap();
        let expected = loaded(PRICES, RECEIPTS);
        assert!(formulary.report().files.iter().all(|file| file.encoding == Encoding::ShiftJis));
        assert!(formulary.products().eq(expected.products()));
        assert_eq!(formulary.unresolved(), expected.unresolved());
    }

    #[test]
    fn odd_rows_are_left_out_and_told() {
        let prices = format!(
            "{PRICES}\
            内用薬,2171022F2025,アムロジピンベシル酸塩,５ｍｇ１錠,ノルバスク錠５ｍｇ,\n\
            内用薬,2171022F2026,アムロジピンベシル酸塩,５ｍｇ１錠,誤り,\n\
            内用薬,1149019F1013,,６０ｍｇ１錠,ロキソプロフェン錠,\n\
            内用薬,2149114F1021\n"
        );
        let receipts = format!(
            "{RECEIPTS}\
            0,612170710,二度,錠,99999999,2171022F2025,0,0,\n\
            0,652170711,番号,錠,99999999,2171022F2025,0,0,\n\
            0,612170712,日付,錠,20240230,2171022F2025,20251301,0,\n\
            0,612170713,検査,錠,99999999,2171022F2020,0,2171022F2,\n"
        );
        let formulary = loaded(&prices, &receipts);
        assert_eq!(
            told(&formulary),
            [
                "p.csv[line 6]: 薬価基準収載医薬品コード: appears twice",
                "p.csv[line 7]: 薬価基準収載医薬品コード: expected 12 characters with a right check digit",
                "p.csv[line 8]: 成分名: no ingredient",
                "p.csv[line 9]: 2 cells where the header has 6",
                "r.csv[line 8]: 医薬品コード: appears twice",
                "r.csv[line 9]: 医薬品コード: expected 9 digits beginning with 61 to 64 or 66 to 68",
                "r.csv[line 10]: 廃止年月日: expected a date YYYYMMDD that exists, or 99999999",
                "r.csv[line 10]: 経過措置年月日: expected a date YYYYMMDD that exists, or 0",
                "r.csv[line 11]: 薬価基準収載医薬品コード: expected 12 characters with a right check digit",
                "r.csv[line 11]: 一般名コード: expected 12 characters ending in ZZZ, or 0",
            ]
        );
        let refused: Vec<usize> = formulary.report().files.iter().map(|file| file.refused).collect();
        assert_eq!(refused, [4, 4]);
        assert_eq!(formulary.products().count(), loaded(PRICES, RECEIPTS).products().count());
    }

    #[test]
    fn broken_files_refuse_the_whole() {
        let refused = |prices: &[u8]| load(&[("p.csv", prices), ("r.csv", RECEIPTS.as_bytes())]).unwrap_err();
        assert_eq!(
            refused(PRICES.replace("成分名", "成分").as_bytes()),
            ["p.csv[line 1]: header of the price list (薬価基準) without 成分名"]
        );
        assert_eq!(
            refused(&[PRICES.as_bytes(), b"\xff\xff\n"].concat()),
            ["p.csv[line 6]: neither UTF-8 nor Shift_JIS"]
        );
        let many = format!("{PRICES}{}", "x,y,z,,,\n".repeat(30));
        let told = refused(many.as_bytes());
        assert_eq!((told.len(), told[0].as_str()), (31, "p.csv: 30 of 34 rows are faulty"));
        let twice = load(&[("p.csv", PRICES.as_bytes()), ("q.csv", PRICES.as_bytes())]).unwrap_err();
        assert_eq!(twice, ["q.csv: has the same content as p.csv"]);
        let fixture = include_bytes!("../../fixtures/formulary/products.csv");
        let both = load(&[("p.csv", PRICES.as_bytes()), ("f.csv", fixture)]).unwrap_err();
        assert_eq!(both, ["f.csv: has the same content as p.csv"]);
    }

    #[test]
    fn each_master_may_stand_alone() {
        let prices = load(&[("p.csv", PRICES.as_bytes())]).unwrap();
        assert_eq!(prices.products().count(), 4);
        let receipts = load(&[("r.csv", RECEIPTS.as_bytes())]).unwrap();
        // Only what the curated table knows.
        assert_eq!(receipts.products().count(), 1);
        assert_eq!(receipts.unresolved().len(), 5);
    }

    #[test]
    fn codes_of_common_names_are_made() {
        assert_eq!(common_code("1147700J3084").as_deref(), Some("1147700J3017"));
        assert!(is_common("1147700J3017") && !is_common("1147700J3084"));
        assert_eq!(common_code("114770"), None);
    }

    #[test]
    fn units_follow_the_last_number() {
        assert_eq!(unit_of("５ｍｇ１錠"), "錠");
        assert_eq!(unit_of("１％１ｇ"), "ｇ");
        assert_eq!(unit_of(""), "");
    }
}

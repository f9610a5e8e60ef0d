//! 医薬品マスター: which product a code names, which ingredients it holds and by which route it reaches the
//! patient; usage codes with their dates; pairs that must not be given together. Owns identity, knows nothing of
//! patients, documents or findings, and does no input or output once loaded.

mod contraindication;
mod encoding;
mod hot;
mod layout;
mod listing;
mod load;
#[cfg(test)]
mod master;
mod masters;
mod naming;
#[cfg(test)]
mod official;
mod product;
mod report;
mod resolver;
mod route;
pub mod shelf;
mod table;
mod usage;

pub use contraindication::{CONTRAINDICATION_NOTICE, ContraindicatedPair, Contraindication};
pub use encoding::Encoding;
pub use load::{File, LoadError};
pub use product::{IngredientId, Product, RouteClass};
pub use report::{Fault, FileReport, Progress, Report, Unresolved};
pub use usage::{SiteSupplement, UsageEntry};

use std::path::Path;

use chrono::NaiveDate;

use crate::prescription::identifier::DrugCode;
use contraindication::Contraindications;
use product::Products;
use usage::Usages;

/// The fixture files the program carries: small, curated, enough for the sandbox and the tests.
const FIXTURE: [File<'static>; 2] = [
    File { name: "products.csv", bytes: include_bytes!("../../fixtures/formulary/products.csv") },
    File { name: "usages.csv", bytes: include_bytes!("../../fixtures/formulary/usages.csv") },
];

/// The table of forbidden pairs, used where the files loaded bring none.
const CONTRAINDICATIONS: File<'static> =
    File { name: "contraindications.csv", bytes: include_bytes!("contraindications.csv") };

/// One loaded set of masters. Immutable: share it behind an `Arc`, and switch by replacing the `Arc`.
#[derive(Debug)]
pub struct Formulary {
    report: Report,
    products: Products,
    usages: Usages,
    contraindications: Contraindications,
    unresolved: Vec<Unresolved>,
}

impl Formulary {
    /// The fixture formulary inside the program.
    ///
    /// # Errors
    /// [`LoadError`] if the files the program was built with are faulty, which the tests exclude.
    pub fn fixture() -> Result<Self, LoadError> {
        Self::from_files("fixture", &FIXTURE)
    }

    /// Loads every `*.csv` and `*.txt` of `directory`; each is recognised by its header, none by its name: the project's own
    /// tables (see `fixtures/formulary`), or the official price list, receipt master, generic-name master with its
    /// exceptions, usage master and HOT master, in UTF-8 or Shift_JIS. `label` begins the version.
    ///
    /// # Errors
    /// [`LoadError`] with every fault of every file that stands in the way; faulty rows of official files do not, and
    /// are in the [`Report`].
    pub fn from_dir(label: &str, directory: &Path) -> Result<Self, LoadError> {
        Self::from_dir_with(label, directory, &mut |_| ())
    }

    /// [`Formulary::from_dir`], telling how far it has come.
    ///
    /// # Errors
    /// As there.
    pub fn from_dir_with(
        label: &str,
        directory: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Self, LoadError> {
        load::load_dir(label, directory, progress)
    }

    /// Loads files held in memory. The table of forbidden pairs is the program's own unless one is among them.
    ///
    /// # Errors
    /// As [`Formulary::from_dir`].
    pub fn from_files(label: &str, files: &[File<'_>]) -> Result<Self, LoadError> {
        load::load(label, files)
    }

    /// The label given at loading and twelve hexadecimal digits of the SHA-256 of the files' contents: the same
    /// files give the same version, in whatever order or under whatever name they came.
    pub fn version(&self) -> &str {
        &self.report.version
    }

    /// What was loaded, what was left out and why.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The receipt codes of the masters that lead to no ingredients, with the reason. The checker does not know them.
    pub fn unresolved(&self) -> &[Unresolved] {
        &self.unresolved
    }

    /// The product `code` names. Receipt, price, YJ and generic-name codes lead to the same identity; a
    /// generic-name code leads to an entry that stands for all its brands. `None` when the code is unknown.
    pub fn product(&self, code: &DrugCode) -> Option<&Product> {
        self.products.get(code)
    }

    /// Every entry that can be dispensed (brands, not generic names), in the order of the file.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.iter()
    }

    /// The base name (成分名, without salt or hydrate) of an ingredient.
    pub fn ingredient_name(&self, ingredient: IngredientId) -> &str {
        self.products.ingredient_name(ingredient)
    }

    /// The base ingredient that `name` means, written with or without its salt: アムロジピンベシル酸塩 is アムロジピン.
    /// `None` when no product holds it.
    pub fn ingredient(&self, name: &str) -> Option<IngredientId> {
        self.products.ingredient_known(name).or_else(|| self.products.ingredient_known(&naming::base(name)))
    }

    /// The rules that forbid (併用禁忌) these two products together, found from either side.
    pub fn contraindications<'a>(
        &'a self,
        first: &'a Product,
        second: &'a Product,
    ) -> impl Iterator<Item = ContraindicatedPair<'a>> {
        self.contraindications.between(first, second)
    }

    /// The usage (用法) that `code` meant on the day `on`, normally the issue date. `None` when the code is
    /// unknown or was not valid that day.
    pub fn usage(&self, code: &str, on: NaiveDate) -> Option<&UsageEntry> {
        self.usages.get(code, on)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::master::{Master, Row};
    use super::*;

    fn fixture() -> Formulary {
        match Formulary::fixture() {
            Ok(formulary) => formulary,
            Err(LoadError::Faulty(faults)) => {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                panic!("{}", lines.join("\n"));
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn fixture_has_every_route_and_common_products() {
        let formulary = fixture();
        assert!(formulary.products().count() >= 300);
        for route in RouteClass::ALL {
            assert!(formulary.products().any(|product| product.route == route), "{route:?}");
        }
        let on = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        assert!(formulary.usage("1013044400000000", on).is_some_and(|usage| !usage.supplement_needed()));
        assert!(formulary.usage("1050W20000000000", on).is_some_and(|usage| usage.condition_needed));
        let amlodipine = formulary.ingredient("アムロジピンベシル酸塩").unwrap();
        assert_eq!(formulary.ingredient_name(amlodipine), "アムロジピン");
        assert_eq!(formulary.ingredient("グレープフルーツジュース"), None);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formulary");
        assert_eq!(Formulary::from_dir("fixture", &directory).unwrap().version(), formulary.version());
    }

    #[test]
    fn fixture_codes_agree_with_the_masters() {
        let (Some(receipts), Some(prices), Some(generics)) = (
            Master::read("ssk_y_20250813.csv"),
            Master::read("mhlw_price_20250814.csv"),
            Master::read("mhlw_ippanmei_20250814.csv"),
        ) else {
            return;
        };
        let (receipts, prices) = (receipts.by("医薬品コード"), prices.by("薬価基準収載医薬品コード"));
        let generics = generics.by("一般名コード");
        let formulary = fixture();
        for product in formulary.products() {
            let name = &product.name;
            let receipt = receipts[product.receipt_code.as_deref().unwrap()];
            assert_eq!(receipt.cell("医薬品名・規格名漢字名称"), *name);
            assert_eq!(receipt.cell("廃止年月日"), "99999999", "{name}");
            assert_eq!(receipt.cell("単位漢字名称"), product.unit, "{name}");
            let price = product.price_code.as_deref().unwrap();
            let listed = receipt.cell("薬価基準収載医薬品コード");
            assert!(listed == price || Some(listed) == product.yj_code.as_deref(), "{name}");
            assert!(prices.contains_key(price), "{name}");
            assert!(price.starts_with(&product.therapeutic_class), "{name}");
            if let Some(yj) = &product.yj_code {
                // Equal unless the product is listed under a common name; the strength is the same in any case.
                assert!(yj == price || (&price[9..11] == "01" && yj[..9] == price[..9]), "{name}");
            }
            let generic = product.generic_code.as_deref().unwrap_or_default();
            assert_eq!(receipt.cell("一般名コード").trim_start_matches('0'), generic, "{name}");
            if let Some(listed) = generics.get(generic) {
                let entry = &formulary.product(&DrugCode::Generic(generic.to_owned())).unwrap().name;
                assert_eq!(listed.cell("一般名処方の標準的な記載"), *entry);
            }
            let route = match price[4..7].parse::<u16>().unwrap() {
                ..400 => product.route == RouteClass::Internal,
                400..700 => product.route == RouteClass::Injection,
                _ => !matches!(product.route, RouteClass::Internal | RouteClass::Injection),
            };
            assert!(route, "{name}: {:?}", product.route);
        }
    }

    #[test]
    fn fixture_usages_agree_with_the_master() {
        let Some(rows) = Master::read("ep_usage_master_20251101.csv") else { return };
        let rows = rows.by("usage_code");
        let formulary = fixture();
        let mut reader = csv::Reader::from_reader(FIXTURE[1].bytes);
        for record in reader.records().map(Result::unwrap) {
            let row = rows[&record[0]];
            let start = NaiveDate::parse_from_str(row.cell("start"), "%Y%m%d").unwrap();
            let usage = formulary.usage(&record[0], start).unwrap();
            assert_eq!((usage.name.as_str(), usage.valid_from), (row.cell("name"), start));
            assert_eq!((row.cell("end"), usage.valid_to), ("99999999", None));
            let flag = |column: &str| row.cell(column) == "1";
            assert_eq!(usage.guide, flag("code_kind"));
            assert_eq!(usage.condition_needed, flag("sup_asneeded_condition"));
            assert_eq!(usage.timing_needed, flag("sup_timing"));
            assert_eq!(usage.time_needed, flag("sup_time"));
            assert_eq!(usage.interval_needed, flag("sup_interval"));
            let site = [
                SiteSupplement::NotNeeded,
                SiteSupplement::Optional,
                SiteSupplement::Side,
                SiteSupplement::Required,
            ];
            assert_eq!(usage.site, site[row.cell("sup_site").parse::<usize>().unwrap()]);
        }
    }

    #[test]
    fn fixture_has_the_products_dispensed_most() {
        let (Some(rows), Some(receipts), Some(prices)) = (
            Master::read("ndb09_outpatient_frequency.csv"),
            Master::read("ssk_y_20250813.csv"),
            Master::read("mhlw_price_20250814.csv"),
        ) else {
            return;
        };
        let receipts = receipts.by("医薬品コード");
        // Nine characters: the receipt master gives a product's own code where the price list has a common name.
        let listed_codes: BTreeSet<&str> =
            prices.rows().map(|row| &row.cell("薬価基準収載医薬品コード")[..9]).collect();
        let columns = ["qty_oral_out_external", "qty_oral_out_internal", "qty_topical_out_external"];
        let amount = |row: &Row| -> u64 {
            columns.iter().filter_map(|column| row.cell(column).parse::<u64>().ok()).sum()
        };
        let mut listed: Vec<Row<'_>> = rows
            .rows()
            .filter(|row| {
                receipts.get(row.cell("receipt_code")).is_some_and(|receipt| {
                    receipt.cell("廃止年月日") == "99999999"
                        && receipt.cell("経過措置年月日又は商品名医薬品コード使用期限") == "0"
                        && listed_codes.contains(&receipt.cell("薬価基準収載医薬品コード")[..9])
                })
            })
            .collect();
        listed.sort_by_key(|row| std::cmp::Reverse(amount(row)));
        let formulary = fixture();
        for row in listed.iter().take(150) {
            let code = DrugCode::Receipt(row.cell("receipt_code").to_owned());
            assert!(formulary.product(&code).is_some(), "{} {}", row.cell("receipt_code"), row.cell("name"));
        }
    }

    /// Seven-digit prefixes whose ingredients the fixture names otherwise than the derived table; the reasons
    /// stand in the fixture's README.
    const NAMED_OTHERWISE: [&str; 18] = [
        "1139105", "2190041", "2316017", "2459100", "2482800", "2649843", "2649895", "3229005", "3259103",
        "3259108", "3259109", "3259114", "3259117", "3259118", "3259119", "3259120", "5200120", "7131700",
    ];

    #[test]
    fn fixture_ingredients_agree_with_the_derived_table() {
        let Some(rows) = Master::read("prefix7_ingredients.csv") else { return };
        let mut derived: HashMap<&str, Vec<BTreeSet<&str>>> = HashMap::new();
        for row in rows.rows() {
            let names = row.cell("components_base").split('|').collect();
            derived.entry(row.cell("prefix7")).or_default().push(names);
        }
        let formulary = fixture();
        let mut otherwise = BTreeSet::new();
        for product in formulary.products() {
            let prefix = &product.price_code.as_deref().unwrap()[..7];
            let own: BTreeSet<&str> =
                product.components.iter().map(|id| formulary.ingredient_name(*id)).collect();
            if !derived.get(prefix).is_some_and(|sets| sets.contains(&own)) {
                otherwise.insert(prefix.to_owned());
            }
        }
        assert_eq!(otherwise, BTreeSet::from(NAMED_OTHERWISE.map(str::to_owned)));
    }
}

//! The layouts that are known, told apart by their headers, and the reading of the project's own ones into products,
//! usages and forbidden pairs. A cell is taken as it stands: nothing is trimmed or guessed.

use chrono::NaiveDate;

use super::contraindication::{Contraindication, Contraindications, Side};
use super::naming;
use super::product::{IngredientId, Product, Products, RouteClass};
use super::report::Faults;
use super::usage::{SiteSupplement, UsageEntry, Usages};
use crate::prescription::identifier::DrugCode;

/// The kinds of file that are known, told apart by header. The order is that of loading: usages and forbidden pairs
/// after the products they refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    Products,
    PriceList,
    ReceiptMaster,
    GenericExceptions,
    GenericNames,
    Usages,
    UsageMaster,
    Contraindications,
}

const PRODUCTS: [&str; 11] = [
    "receipt_code",
    "yj_code",
    "price_code",
    "generic_code",
    "generic_name",
    "name",
    "unit",
    "route",
    "systemic",
    "ingredients",
    "class",
];

const USAGES: [&str; 10] = [
    "usage_code",
    "name",
    "valid_from",
    "valid_to",
    "guide",
    "condition",
    "timing",
    "time",
    "interval",
    "site",
];

const CONTRAINDICATIONS: [&str; 14] = [
    "rule",
    "a",
    "a_routes",
    "a_codes",
    "a_washout_days",
    "b",
    "b_routes",
    "b_codes",
    "b_washout_days",
    "consequence",
    "condition",
    "washout",
    "confidence",
    "basis",
];

const PRICE_LIST: [&str; 5] =
    ["薬価基準収載医薬品コード", "成分名", "規格", "品名", "経過措置による使用期限"];

const RECEIPT_MASTER: [&str; 8] = [
    "医薬品コード",
    "医薬品名・規格名漢字名称",
    "単位漢字名称",
    "廃止年月日",
    "薬価基準収載医薬品コード",
    "経過措置年月日又は商品名医薬品コード使用期限",
    "一般名コード",
    "一般名処方の標準的な記載",
];

const GENERIC_EXCEPTIONS: [&str; 5] =
    ["一般名コード", "一般名処方の標準的な記載", "成分名", "規格", "薬価基準収載医薬品コード"];

const GENERIC_NAMES: [&str; 5] = ["一般名コード", "一般名処方の標準的な記載", "成分名", "規格", "例外コード"];

const USAGE_MASTER: [&str; 10] = [
    "usage_code",
    "name",
    "start",
    "end",
    "code_kind",
    "sup_asneeded_condition",
    "sup_timing",
    "sup_time",
    "sup_interval",
    "sup_site",
];

impl Layout {
    /// Where one header holds the columns of two layouts, the first of these is meant.
    const ALL: [Self; 8] = [
        Self::Products,
        Self::Usages,
        Self::Contraindications,
        Self::UsageMaster,
        Self::ReceiptMaster,
        Self::GenericExceptions,
        Self::GenericNames,
        Self::PriceList,
    ];

    /// The columns that are read, and that a header must have.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Products => &PRODUCTS,
            Self::PriceList => &PRICE_LIST,
            Self::ReceiptMaster => &RECEIPT_MASTER,
            Self::GenericExceptions => &GENERIC_EXCEPTIONS,
            Self::GenericNames => &GENERIC_NAMES,
            Self::Usages => &USAGES,
            Self::UsageMaster => &USAGE_MASTER,
            Self::Contraindications => &CONTRAINDICATIONS,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Products => "product table",
            Self::PriceList => "price list (薬価基準)",
            Self::ReceiptMaster => "receipt master (医薬品マスター)",
            Self::GenericExceptions => "generic-name exceptions (一般名処方マスタ 例外コード品目)",
            Self::GenericNames => "generic-name master (一般名処方マスタ)",
            Self::Usages => "usage table",
            Self::UsageMaster => "usage master (電子処方箋用法マスタ)",
            Self::Contraindications => "contraindication table",
        }
    }

    /// Whether the file comes from an authority: then a row with a fault is left out and reported. In the project's
    /// own layouts, which someone wrote for this program, a fault refuses the whole.
    pub(super) fn is_official(self) -> bool {
        !matches!(self, Self::Products | Self::Usages | Self::Contraindications)
    }
}

/// What a header says.
enum Header {
    /// The layout and where its columns stand.
    Known(Layout, Vec<usize>),
    /// At least half the columns of a layout, and not these.
    Wrong(Layout, Vec<&'static str>),
    Other,
}

fn header_read(header: &csv::StringRecord) -> Header {
    let mut wrong: Option<(Layout, Vec<&'static str>)> = None;
    for layout in Layout::ALL {
        let columns = layout.columns();
        // Of columns with one name the first.
        let places: Vec<Option<usize>> =
            columns.iter().map(|column| header.iter().position(|cell| cell.trim() == *column)).collect();
        let missing: Vec<&str> = columns
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(column, _)| *column)
            .collect();
        if missing.is_empty() && (layout.is_official() || header.len() == columns.len()) {
            return Header::Known(layout, places.into_iter().flatten().collect());
        }
        let nearer = wrong.as_ref().is_none_or(|(_, other)| missing.len() < other.len());
        if missing.len() * 2 <= columns.len() && nearer {
            wrong = Some((layout, missing));
        }
    }
    wrong.map_or(Header::Other, |(layout, missing)| Header::Wrong(layout, missing))
}

/// A file cut into rows, each with the cells its layout reads, in its order.
pub(super) struct Table {
    pub(super) layout: Layout,
    pub(super) rows: Vec<(u64, csv::StringRecord)>,
    /// Rows in the file, those without the right number of cells included.
    pub(super) count: usize,
}

impl Table {
    /// Cuts a file into rows. `fatal` takes what refuses the whole load, `left_out` the rows of official files that
    /// are left out. `None` for a file of another kind, or one whose header is wrong.
    pub(super) fn read(name: &str, text: &str, fatal: &mut Faults, left_out: &mut Faults) -> Option<Self> {
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).has_headers(true).from_reader(text.as_bytes());
        let header = reader.headers().ok()?;
        let cells = header.len();
        let (layout, places) = match header_read(header) {
            Header::Known(layout, places) => (layout, places),
            Header::Wrong(layout, missing) => {
                let problem = if missing.is_empty() {
                    format!("header of the {} with further columns", layout.as_str())
                } else {
                    format!("header of the {} without {}", layout.as_str(), missing.join(", "))
                };
                fatal.row(name, 1, problem);
                return None;
            }
            Header::Other => return None,
        };
        let faults = if layout.is_official() { left_out } else { fatal };
        let mut rows = Vec::new();
        let mut count = 0;
        for row in reader.records() {
            count += 1;
            match row {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    if record.len() == cells {
                        let picked = places.iter().filter_map(|place| record.get(*place)).collect();
                        rows.push((line, picked));
                    } else {
                        faults.row(
                            name,
                            line,
                            format!("{} cells where the header has {cells}", record.len()),
                        );
                    }
                }
                Err(error) => {
                    faults.row(name, error.position().map_or(0, csv::Position::line), "not readable")
                }
            }
        }
        Some(Self { layout, rows, count })
    }
}

/// Reads product rows. Faults name the line and the column, several per line where there are several.
pub(super) fn products_fill(file: &str, table: &Table, products: &mut Products, faults: &mut Faults) {
    let mut generics = Vec::new();
    for (line, row) in &table.rows {
        let mut problems = Vec::new();
        let read = product_read(row, products, &mut problems);
        if problems.is_empty() {
            if let Some(code) = &read.generic_code {
                generics.push((*line, code.clone(), generic_of(&read, &row[4])));
            }
            problems.extend(products.brand_insert(read).err().map(str::to_owned));
        }
        push_all(file, *line, problems, faults);
    }
    for (line, code, generic) in generics {
        push_all(file, line, products.generic_insert(&code, generic).err().map(str::to_owned), faults);
    }
}

fn push_all(file: &str, line: u64, problems: impl IntoIterator<Item = String>, faults: &mut Faults) {
    for problem in problems {
        faults.row(file, line, problem);
    }
}

/// The entry of a generic name, made from one of its brands.
fn generic_of(brand: &Product, name: &str) -> Product {
    Product { name: name.to_owned(), receipt_code: None, yj_code: None, price_code: None, ..brand.clone() }
}

fn product_read(row: &csv::StringRecord, products: &mut Products, problems: &mut Vec<String>) -> Product {
    let mut check = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    check(
        row[0].starts_with('6') && DrugCode::receipt(&row[0]).is_ok(),
        "receipt_code: expected 9 digits beginning with 61, 62, 64, 66, 67 or 68",
    );
    check(
        row[1].is_empty() || DrugCode::yj(&row[1]).is_ok(),
        "yj_code: expected 12 characters with a right check digit",
    );
    check(DrugCode::price(&row[2]).is_ok(), "price_code: expected 12 characters with a right check digit");
    check(
        row[3].is_empty() || DrugCode::generic(&row[3]).is_ok(),
        "generic_code: expected 12 characters ending in ZZZ",
    );
    check(
        row[3].is_empty() == row[4].is_empty(),
        "generic_name: expected beside generic_code and only there",
    );
    check(!row[5].is_empty(), "name: expected a name");
    check(!row[6].is_empty(), "unit: expected a unit");
    let route = RouteClass::from_name(&row[7]);
    check(route.is_some(), "route: unknown route class");
    check(matches!(&row[8], "0" | "1"), "systemic: expected 0 or 1");
    let names: Vec<&str> = row[9].split(" + ").collect();
    check(
        names.iter().all(|name| !name.is_empty() && name.trim() == *name),
        "ingredients: expected names joined by ' + '",
    );
    check(row[10].len() == 4 && row[10].bytes().all(|b| b.is_ascii_digit()), "class: expected four digits");
    let mut components: Vec<_> = names.iter().map(|name| products.ingredient(name)).collect();
    components.sort_unstable();
    let count = components.len();
    components.dedup();
    check(components.len() == count, "ingredients: one ingredient appears twice");
    Product {
        name: row[5].to_owned(),
        receipt_code: Some(row[0].to_owned()),
        yj_code: (!row[1].is_empty()).then(|| row[1].to_owned()),
        price_code: Some(row[2].to_owned()),
        generic_code: (!row[3].is_empty()).then(|| row[3].to_owned()),
        unit: row[6].to_owned(),
        route: route.unwrap_or(RouteClass::Internal),
        components: components.into_boxed_slice(),
        systemic: &row[8] == "1",
        therapeutic_class: row[10].to_owned(),
        valid_to: None,
    }
}

/// Reads usage rows.
pub(super) fn usages_fill(file: &str, table: &Table, usages: &mut Usages, faults: &mut Faults) {
    for (line, row) in &table.rows {
        let mut problems = Vec::new();
        let read = usage_read(row, table.layout, &mut problems);
        if problems.is_empty() {
            problems.extend(read.and_then(|entry| usages.insert(entry).err()).map(str::to_owned));
        }
        push_all(file, *line, problems, faults);
    }
}

fn usage_read(row: &csv::StringRecord, layout: Layout, problems: &mut Vec<String>) -> Option<UsageEntry> {
    let mut check = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    let code = &row[0];
    check(
        code.len() == 16 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()),
        "usage_code: expected 16 digits or capital letters",
    );
    check(!row[1].is_empty(), "name: expected a name");
    let from = date(&row[2]);
    check(from.is_some(), "valid_from: expected a date YYYYMMDD that exists");
    // The master writes "no end" as a day far away.
    let endless = row[3].is_empty() || layout == Layout::UsageMaster && &row[3] == "99999999";
    let to = date(&row[3]);
    check(endless || to.is_some(), "valid_to: expected a date YYYYMMDD that exists, or nothing");
    check(to.is_none() || from <= to, "valid_to: before valid_from");
    for (column, index) in [("guide", 4), ("condition", 5), ("timing", 6), ("time", 7), ("interval", 8)] {
        check(matches!(&row[index], "0" | "1"), &format!("{column}: expected 0 or 1"));
    }
    let site = match &row[9] {
        "0" => Some(SiteSupplement::NotNeeded),
        "1" => Some(SiteSupplement::Optional),
        "2" => Some(SiteSupplement::Side),
        "3" => Some(SiteSupplement::Required),
        _ => None,
    };
    check(site.is_some(), "site: expected 0, 1, 2 or 3");
    Some(UsageEntry {
        code: code.to_owned(),
        name: row[1].to_owned(),
        valid_from: from?,
        valid_to: to,
        guide: &row[4] == "1",
        condition_needed: &row[5] == "1",
        timing_needed: &row[6] == "1",
        time_needed: &row[7] == "1",
        interval_needed: &row[8] == "1",
        site: site?,
    })
}

/// Reads forbidden pairs. A pair whose one side no product holds is sound and left out: it can never be met.
pub(super) fn contraindications_fill(
    file: &str,
    table: &Table,
    products: &Products,
    contraindications: &mut Contraindications,
    faults: &mut Faults,
) {
    for (line, row) in &table.rows {
        let mut problems = Vec::new();
        let sides = [side_read(row, 1, products, &mut problems), side_read(row, 5, products, &mut problems)];
        for column in [0, 9] {
            if row[column].is_empty() {
                problems.push(format!("{}: expected a text", CONTRAINDICATIONS[column]));
            }
        }
        if !matches!(&row[12], "A" | "B" | "C") {
            problems.push("confidence: expected A, B or C".to_owned());
        }
        if problems.is_empty() && sides.iter().all(|side| !side.ingredients.is_empty()) {
            let rule = Contraindication {
                rule: row[0].to_owned(),
                consequence: row[9].to_owned(),
                condition: row[10].to_owned(),
                washout: row[11].to_owned(),
                confidence: row[12].to_owned(),
                sides,
            };
            problems.extend(contraindications.insert(rule).err().map(str::to_owned));
        }
        push_all(file, *line, problems, faults);
    }
}

/// Four cells from `first`: ingredients joined by ` / `, routes and code prefixes joined by spaces, days.
fn side_read(row: &csv::StringRecord, first: usize, products: &Products, problems: &mut Vec<String>) -> Side {
    let mut fault = |column: usize, problem: &str| {
        problems.push(format!("{}: {problem}", CONTRAINDICATIONS[column]));
    };
    let names: Vec<&str> = row[first].split(" / ").collect();
    if names.iter().any(|name| name.is_empty() || name.trim() != *name) {
        fault(first, "expected ingredients joined by ' / '");
    }
    let routes: Vec<Option<RouteClass>> =
        row[first + 1].split_terminator(' ').map(RouteClass::from_name).collect();
    if routes.contains(&None) {
        fault(first + 1, "unknown route class");
    }
    let codes: Vec<Box<str>> = row[first + 2].split_terminator(' ').map(Into::into).collect();
    if codes
        .iter()
        .any(|code| !(4..=12).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        fault(first + 2, "expected beginnings of codes, 4 to 12 characters each");
    }
    let washout_days = row[first + 3].parse();
    if washout_days.is_err() {
        fault(first + 3, "expected a number of days");
    }
    Side {
        ingredients: side_ingredients(&names, products),
        routes: routes.into_iter().flatten().collect(),
        code_prefixes: codes.into_boxed_slice(),
        washout_days: washout_days.unwrap_or(0),
    }
}

/// The ingredients some product holds, under the name given or its base.
fn side_ingredients(names: &[&str], products: &Products) -> Box<[IngredientId]> {
    let mut ids: Vec<IngredientId> = names
        .iter()
        .flat_map(|name| [products.ingredient_known(name), products.ingredient_known(&naming::base(name))])
        .flatten()
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_boxed_slice()
}

/// A day written `YYYYMMDD`.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    NaiveDate::parse_from_str(text, "%Y%m%d").ok()
}

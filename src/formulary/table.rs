//! The project's own layouts read into products, usages and forbidden pairs, and the usage master with them. A cell is taken as it stands: nothing is trimmed or guessed.

use chrono::NaiveDate;

use super::contraindication::{Contraindication, Contraindications, Side};
use super::layout::{CONTRAINDICATIONS, Layout, Table};
use super::naming;
use super::product::{IngredientId, Product, Products, RouteClass};
use super::report::Faults;
use super::usage::{SiteSupplement, UsageEntry, Usages};
use crate::prescription::identifier::DrugCode;

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
            let insert = if table.layout.is_official() { Usages::listed_insert } else { Usages::insert };
            problems.extend(read.and_then(|entry| insert(usages, entry).err()).map(str::to_owned));
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
        let [valid_from, valid_to] = [14, 15].map(|column| date(&row[column]));
        for (column, day) in [(14, valid_from), (15, valid_to)] {
            if day.is_none() && !row[column].is_empty() {
                problems.push(format!("{}: expected a date YYYYMMDD that exists", CONTRAINDICATIONS[column]));
            }
        }
        if valid_to.is_some_and(|end| valid_from.is_some_and(|begin| end < begin)) {
            problems.push("valid_to: before valid_from".to_owned());
        }
        if problems.is_empty() && sides.iter().all(|side| !side.ingredients.is_empty()) {
            let rule = Contraindication {
                rule: row[0].to_owned(),
                consequence: row[9].to_owned(),
                condition: row[10].to_owned(),
                washout: row[11].to_owned(),
                confidence: row[12].to_owned(),
                valid_from,
                valid_to,
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

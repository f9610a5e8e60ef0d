//! The official masters together: receipt master, price list and generic names become products with ingredients and
//! routes. Each master is optional; what one does not say the next may. Rows with a fault are left out and reported.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use super::load::File;
use super::product::{Product, Products, RouteClass};
use super::report::{Faults, Unresolved};
use super::resolver::Resolver;
use super::route::route;
use super::table::{Layout, Table, date};
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

/// A row of the price list (薬価基準収載品目リスト).
struct Price<'a> {
    code: &'a str,
    specification: &'a str,
    name: &'a str,
    valid_to: Option<NaiveDate>,
}

/// A row of the receipt master (レセプト電算処理システム 医薬品マスター).
struct Receipt<'a> {
    line: u64,
    code: &'a str,
    name: &'a str,
    unit: &'a str,
    /// 廃止年月日.
    abolished: Option<NaiveDate>,
    /// Empty for billing entries.
    price_code: &'a str,
    /// 経過措置年月日.
    transition_to: Option<NaiveDate>,
    generic_code: Option<&'a str>,
    generic_name: &'a str,
}

/// A row of the generic-name master or its exceptions.
struct Generic<'a> {
    code: &'a str,
    name: &'a str,
    specification: &'a str,
}

impl<'a> Masters<'a> {
    /// The official masters of products among the tables; `None` when there is none.
    pub(super) fn among(tables: &'a [(File<'_>, Table)]) -> Option<Self> {
        let mut masters = Self::default();
        for (file, table) in tables {
            let place = match table.layout {
                Layout::PriceList => &mut masters.prices,
                Layout::ReceiptMaster => &mut masters.receipts,
                Layout::GenericNames => &mut masters.generics,
                Layout::GenericExceptions => &mut masters.exceptions,
                Layout::Products | Layout::Usages | Layout::UsageMaster | Layout::Contraindications => continue,
            };
            *place = Some((file.name, table));
        }
        let found = [masters.prices, masters.receipts, masters.generics, masters.exceptions];
        found.iter().any(Option::is_some).then_some(masters)
    }

    /// Makes products of all rows and adds them, brands first.
    pub(super) fn products_fill(self, products: &mut Products, faults: &mut Faults) -> Listed {
        let mut resolver = Resolver::new();
        resolver.curated_add(products);
        let prices = self.prices_read(&mut resolver, products, faults);
        let mut generics = Vec::new();
        // The exceptions name products that belong under another generic code than their first nine characters say.
        let mut excepted: HashMap<&str, &str> = HashMap::new();
        for (file, table) in [self.generics, self.exceptions].into_iter().flatten() {
            for (line, row) in &table.rows {
                let Some(generic) = generic_read(file, *line, row, faults) else { continue };
                resolver.name_add(generic.code, &row[2], products);
                if table.layout == Layout::GenericExceptions {
                    excepted.insert(&row[4], generic.code);
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
                    generics.push(Generic { code, name: receipt.generic_name, specification: receipt.unit });
                }
            }
        }
        let mut unlisted: Vec<&Price> = prices.values().filter(|price| !seen.contains(price.code)).collect();
        unlisted.sort_by_key(|price| price.code);
        for price in unlisted {
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

    /// The price list by code; its listed names go into the resolver.
    fn prices_read(
        self,
        resolver: &mut Resolver,
        products: &mut Products,
        faults: &mut Faults,
    ) -> HashMap<&'a str, Price<'a>> {
        let mut prices = HashMap::new();
        let Some((file, table)) = self.prices else { return prices };
        for (line, row) in &table.rows {
            let code = &row[0];
            let end = transition_end(&row[4]);
            let problem = if DrugCode::price(code).is_err() {
                Some("薬価基準収載医薬品コード: expected 12 characters with a right check digit")
            } else if row[1].trim().is_empty() {
                Some("成分名: no ingredient")
            } else if row[3].trim().is_empty() {
                Some("品名: no name")
            } else if end.is_err() {
                Some("経過措置による使用期限: expected a date such as R8.3.31まで that exists")
            } else if prices.contains_key(code) {
                Some("price code appears twice")
            } else {
                None
            };
            if let Some(problem) = problem {
                faults.row(file, *line, problem);
                continue;
            }
            resolver.name_add(code, &row[1], products);
            prices.insert(
                code,
                Price { code, specification: &row[2], name: &row[3], valid_to: end.unwrap_or_default() },
            );
        }
        prices
    }
}

fn unresolved(code: &str, name: &str, reason: &str) -> Unresolved {
    Unresolved { code: code.to_owned(), name: name.to_owned(), reason: reason.to_owned() }
}

fn receipts_read<'a>(file: &str, table: &'a Table, faults: &mut Faults) -> Vec<Receipt<'a>> {
    let mut codes = HashSet::new();
    let mut receipts = Vec::with_capacity(table.rows.len());
    for (line, row) in &table.rows {
        let mut problems = Vec::new();
        let mut check = |holds: bool, problem: &'static str| {
            if !holds {
                problems.push(problem);
            }
        };
        let code = &row[0];
        // 63… are entries for billing, which no prescription names.
        check(
            code.starts_with("6") && (DrugCode::receipt(code).is_ok() || is_billing(code)),
            "医薬品コード: expected 9 digits beginning with 61 to 64 or 66 to 68",
        );
        check(!row[1].is_empty(), "医薬品名・規格名漢字名称: no name");
        let abolished = end_date(&row[3], "99999999");
        check(abolished.is_ok(), "廃止年月日: expected a date YYYYMMDD that exists, or 99999999");
        check(
            row[4].is_empty() || DrugCode::price(&row[4]).is_ok(),
            "薬価基準収載医薬品コード: expected 12 characters with a right check digit",
        );
        let transition_to = end_date(&row[5], "0");
        check(transition_to.is_ok(), "経過措置年月日: expected a date YYYYMMDD that exists, or 0");
        let generic_code = (!matches!(&row[6], "" | "0")).then_some(&row[6]);
        check(
            generic_code.is_none_or(|code| DrugCode::generic(code).is_ok()),
            "一般名コード: expected 12 characters ending in ZZZ, or 0",
        );
        check(codes.insert(code), "医薬品コード: appears twice");
        if problems.is_empty() {
            receipts.push(Receipt {
                line: *line,
                code,
                name: &row[1],
                unit: &row[2],
                abolished: abolished.unwrap_or_default(),
                price_code: &row[4],
                transition_to: transition_to.unwrap_or_default(),
                generic_code,
                generic_name: &row[7],
            });
        }
        for problem in problems {
            faults.row(file, *line, problem);
        }
    }
    receipts
}

fn is_billing(code: &str) -> bool {
    code.len() == 9 && code.starts_with("63") && code.bytes().all(|byte| byte.is_ascii_digit())
}

fn generic_read<'a>(
    file: &str,
    line: u64,
    row: &'a csv::StringRecord,
    faults: &mut Faults,
) -> Option<Generic<'a>> {
    let problem = if DrugCode::generic(&row[0]).is_err() {
        "一般名コード: expected 12 characters ending in ZZZ"
    } else if row[1].is_empty() {
        "一般名処方の標準的な記載: no name"
    } else if row[2].trim().is_empty() {
        "成分名: no ingredient"
    } else {
        return Some(Generic { code: &row[0], name: &row[1], specification: &row[3] });
    };
    faults.row(file, line, problem);
    None
}

/// The product of a receipt code, or why it cannot be one.
fn brand(
    receipt: &Receipt<'_>,
    prices: &HashMap<&str, Price<'_>>,
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
    let common = own.is_none().then(|| common_code(code)).flatten().filter(|common| prices.contains_key(common.as_str()));
    let price = own.or_else(|| prices.get(common.as_deref()?));
    let (route, systemic) = route_of(code, receipt.name, price)?;
    let ends = [receipt.abolished, receipt.transition_to, price.and_then(|price| price.valid_to)];
    Ok(Product {
        name: receipt.name.to_owned(),
        receipt_code: Some(receipt.code.to_owned()),
        yj_code: (!is_common(code)).then(|| code.to_owned()),
        generic_code: excepted.get(code).copied().or(receipt.generic_code).map(str::to_owned),
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
        components: resolver.components(generic.code)?,
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

/// `endless` or a day `YYYYMMDD`.
fn end_date(text: &str, endless: &str) -> Result<Option<NaiveDate>, ()> {
    if text.is_empty() || text == endless {
        return Ok(None);
    }
    date(text).map(Some).ok_or(())
}

/// 経過措置による使用期限, such as `R8.3.31まで`: the last day, in 令和.
fn transition_end(text: &str) -> Result<Option<NaiveDate>, ()> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let day = text.strip_prefix('R').and_then(|rest| rest.strip_suffix("まで")).ok_or(())?;
    let numbers: Vec<u32> =
        day.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| ())?;
    match numbers[..] {
        [year @ 1..=99, month, day] => {
            let year = 2018 + i32::try_from(year).map_err(|_| ())?;
            NaiveDate::from_ymd_opt(year, month, day).map(Some).ok_or(())
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_common_names_are_made() {
        assert_eq!(common_code("1147700J3084").as_deref(), Some("1147700J3017"));
        assert!(is_common("1147700J3017") && !is_common("1147700J3084"));
        assert_eq!(common_code("114770"), None);
    }

    #[test]
    fn days_are_read_or_refused() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 31);
        assert_eq!(transition_end("R8.3.31まで"), Ok(day));
        assert_eq!(transition_end(""), Ok(None));
        assert!(["R8.2.30まで", "R8.3", "8.3.31まで", "R0.3.31まで"].iter().all(|text| transition_end(text).is_err()));
        assert_eq!(end_date("20260331", "0"), Ok(day));
        assert_eq!(end_date("0", "0"), Ok(None));
        assert_eq!(end_date("20260231", "0"), Err(()));
    }

    #[test]
    fn units_follow_the_last_number() {
        assert_eq!(unit_of("５ｍｇ１錠"), "錠");
        assert_eq!(unit_of("１％１ｇ"), "ｇ");
        assert_eq!(unit_of(""), "");
    }
}

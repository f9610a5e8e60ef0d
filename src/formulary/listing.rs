//! The rows of the official masters of products, read cell by cell: 薬価基準収載品目リスト, 医薬品マスター and 一般名処方
//! マスタ. A row with a fault is reported with its line and left out. Knows nothing of ingredients.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;

use super::layout::Table;
use super::report::Faults;
use super::table::date;
use crate::prescription::identifier::DrugCode;

/// A row of the price list (薬価基準収載品目リスト).
pub(super) struct Price<'a> {
    pub(super) code: &'a str,
    /// 成分名.
    pub(super) ingredients: &'a str,
    /// 規格.
    pub(super) specification: &'a str,
    /// 品名.
    pub(super) name: &'a str,
    /// The last day of 経過措置.
    pub(super) valid_to: Option<NaiveDate>,
}

/// A row of the receipt master (レセプト電算処理システム 医薬品マスター).
pub(super) struct Receipt<'a> {
    pub(super) line: u64,
    pub(super) code: &'a str,
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    /// 廃止年月日.
    pub(super) abolished: Option<NaiveDate>,
    /// Empty for billing entries.
    pub(super) price_code: &'a str,
    /// 経過措置年月日.
    pub(super) transition_to: Option<NaiveDate>,
    pub(super) generic_code: Option<&'a str>,
    pub(super) generic_name: &'a str,
}

/// A row of the generic-name master or its exceptions.
pub(super) struct Generic<'a> {
    pub(super) code: &'a str,
    pub(super) name: &'a str,
    pub(super) specification: &'a str,
    /// A product under it, where the row names one; empty otherwise.
    pub(super) price_code: &'a str,
}

/// The rows of the price list by code, and their names for the resolver.
pub(super) fn prices_read<'a>(
    file: &str,
    table: &'a Table,
    faults: &mut Faults,
) -> BTreeMap<&'a str, Price<'a>> {
    let mut prices = BTreeMap::new();
    for (line, row) in &table.rows {
        let code = &row[0];
        let end = transition_end(&row[4]);
        let problem = if DrugCode::price(code).is_err() {
            "薬価基準収載医薬品コード: expected 12 characters with a right check digit"
        } else if row[1].trim().is_empty() {
            "成分名: no ingredient"
        } else if row[3].trim().is_empty() {
            "品名: no name"
        } else if end.is_err() {
            "経過措置による使用期限: expected a date such as R8.3.31まで that exists"
        } else if prices.contains_key(code) {
            "薬価基準収載医薬品コード: appears twice"
        } else {
            let price = Price {
                code,
                ingredients: &row[1],
                specification: &row[2],
                name: &row[3],
                valid_to: end.unwrap_or_default(),
            };
            prices.insert(code, price);
            continue;
        };
        faults.row(file, *line, problem);
    }
    prices
}

pub(super) fn receipts_read<'a>(file: &str, table: &'a Table, faults: &mut Faults) -> Vec<Receipt<'a>> {
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
            code.starts_with('6') && (DrugCode::receipt(code).is_ok() || is_billing(code)),
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

pub(super) fn is_billing(code: &str) -> bool {
    code.len() == 9 && code.starts_with("63") && code.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn generic_read<'a>(
    file: &str,
    line: u64,
    row: &'a csv::StringRecord,
    exception: bool,
    faults: &mut Faults,
) -> Option<Generic<'a>> {
    let problem = if DrugCode::generic(&row[0]).is_err() {
        "一般名コード: expected 12 characters ending in ZZZ"
    } else if row[1].is_empty() {
        "一般名処方の標準的な記載: no name"
    } else if row[2].trim().is_empty() {
        "成分名: no ingredient"
    } else if exception && DrugCode::price(&row[4]).is_err() {
        "薬価基準収載医薬品コード: expected 12 characters with a right check digit"
    } else {
        let price_code = if exception { &row[4] } else { "" };
        return Some(Generic { code: &row[0], name: &row[1], specification: &row[3], price_code });
    };
    faults.row(file, line, problem);
    None
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
    let numbers: Vec<u32> = day.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| ())?;
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
    fn days_are_read_or_refused() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 31);
        assert_eq!(transition_end("R8.3.31まで"), Ok(day));
        assert_eq!(transition_end(""), Ok(None));
        assert!(
            ["R8.2.30まで", "R8.3", "8.3.31まで", "R0.3.31まで"]
                .iter()
                .all(|text| transition_end(text).is_err())
        );
        assert_eq!(end_date("20260331", "0"), Ok(day));
        assert_eq!(end_date("0", "0"), Ok(None));
        assert_eq!(end_date("20260231", "0"), Err(()));
    }
}

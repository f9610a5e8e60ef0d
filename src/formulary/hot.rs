//! 医薬品HOTコードマスター (MEDIS): further codes for products that the other masters brought. HOT9 is one product of one
//! company, HOT13 one package of it, HOT7 what may be prescribed by one name. A row whose own codes contradict each
//! other or an earlier row is left out and reported; one whose product is not known is only counted.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::Table;
use super::product::Products;
use super::report::Faults;
use crate::prescription::identifier::{DrugCode, hot7_checks};

/// What became of the HOT9 codes.
#[derive(Default)]
pub(super) struct Linked {
    /// HOT9 codes that lead to a product.
    pub(super) codes: usize,
    /// HOT9 codes whose other codes no product has.
    pub(super) unlinked: usize,
}

/// Lets the HOT9 code of each row lead to the product of its other codes, and a HOT7 code where all its HOT9 codes
/// agree.
pub(super) fn codes_fill(file: &str, table: &Table, products: &mut Products, faults: &mut Faults) -> Linked {
    let mut linked: BTreeMap<&str, DrugCode> = BTreeMap::new();
    let mut unlinked = BTreeSet::new();
    for (line, row) in &table.rows {
        let (codes, mut problems) = row_read(row);
        let hot9 = row[0].get(..9).unwrap_or_default();
        if problems.is_empty() {
            match known_insert(hot9, codes, products) {
                Ok(Some(known)) => drop(linked.insert(hot9, known)),
                Ok(None) => drop(unlinked.insert(hot9)),
                Err(problem) => problems.push(problem),
            }
        }
        for problem in problems {
            faults.row(file, *line, problem);
        }
    }
    let mut by_name: BTreeMap<&str, Vec<&DrugCode>> = BTreeMap::new();
    for (hot9, known) in &linked {
        by_name.entry(&hot9[..7]).or_default().push(known);
    }
    for (hot7, known) in by_name {
        let mut found = known.iter().filter_map(|code| products.get(code));
        let Some(first) = found.next() else { continue };
        if found.all(|other| other.same_substance(first)) {
            // Rows have codes of nine digits: a code of seven is still free.
            products.code_insert(DrugCode::Hot(hot7.to_owned()), known[0]).ok();
        }
    }
    unlinked.retain(|hot9| !linked.contains_key(hot9));
    Linked { codes: linked.len(), unlinked: unlinked.len() }
}

/// The codes beside the HOT code, receipt codes first, and what is wrong with the row.
fn row_read(row: &csv::StringRecord) -> (Vec<DrugCode>, Vec<&'static str>) {
    let mut problems = Vec::new();
    let hot = &row[0];
    if !matches!(hot.len(), 9 | 13) || DrugCode::hot(hot).is_err() {
        problems.push("基準番号（ＨＯＴコード）: expected 13 or 9 digits");
    } else if hot.get(..7) != Some(&row[1]) || hot.get(7..9) != Some(&row[2]) {
        problems.push("基準番号（ＨＯＴコード）: expected to begin with 処方用番号 and 会社識別用番号");
    } else if !hot7_checks(&row[1]) {
        problems.push("処方用番号（ＨＯＴ７）: wrong check digit");
    }
    let mut codes = Vec::new();
    let mut read = |cell: &str, code: fn(&str) -> Result<DrugCode, _>, problem| {
        if !cell.is_empty() {
            match code(cell) {
                Ok(code) => codes.push(code),
                Err(_) => problems.push(problem),
            }
        }
    };
    read(&row[5], DrugCode::receipt, "レセプト電算処理システムコード（１）: expected a receipt code");
    read(&row[6], DrugCode::receipt, "レセプト電算処理システムコード（２）: expected a receipt code");
    read(&row[4], DrugCode::yj, "個別医薬品コード: expected 12 characters with a right check digit");
    read(
        &row[3],
        DrugCode::price,
        "薬価基準収載医薬品コード: expected 12 characters with a right check digit",
    );
    (codes, problems)
}

/// Lets a HOT9 code lead to the product of the first known of `codes`, which is answered; `None` when none is known.
fn known_insert(
    hot9: &str,
    codes: Vec<DrugCode>,
    products: &mut Products,
) -> Result<Option<DrugCode>, &'static str> {
    let known: Vec<DrugCode> = codes.into_iter().filter(|code| products.get(code).is_some()).collect();
    let mut found = known.iter().filter_map(|code| products.get(code));
    let Some(first) = found.next() else { return Ok(None) };
    if !found.all(|other| other.same_substance(first)) {
        return Err("its codes lead to products of other ingredients or route");
    }
    products.code_insert(DrugCode::Hot(hot9.to_owned()), &known[0])?;
    Ok(known.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::super::{File, Formulary};
    use super::*;

    const PRODUCTS: &str = "receipt_code,yj_code,price_code,generic_code,generic_name,name,unit,route,systemic,ingredients,class\n\
        612170709,2171022F1029,2171022F1029,2171022F1ZZZ,【般】アムロジピン錠２．５ｍｇ,ノルバスク錠２．５ｍｇ,錠,internal,1,アムロジピン,2171\n\
        612170710,2171022F2025,2171022F2025,2171022F2ZZZ,【般】アムロジピン錠５ｍｇ,ノルバスク錠５ｍｇ,錠,internal,1,アムロジピン,2171\n\
        610407447,2233002F2022,2233002F2022,2233002F2ZZZ,【般】カルボシステイン錠５００ｍｇ,ムコダイン錠５００ｍｇ,錠,internal,1,L-カルボシステイン,2233\n";

    /// The whole published header.
    const HEADER: &str = "基準番号（ＨＯＴコード）,処方用番号（ＨＯＴ７）,会社識別用番号,調剤用番号,物流用番号,ＪＡＮコード,薬価基準収載医薬品コード,個別医薬品コード,レセプト電算処理システムコード（１）,レセプト電算処理システムコード（２）,告示名称,販売名,レセプト電算処理システム医薬品名,規格単位,包装形態,包装単位数,包装単位単位,包装総量数,包装総量単位,区分,製造会社,販売会社,更新区分,更新年月日\n";

    /// A row of a made-up HOT13 code with these codes beside it.
    fn row(hot: &str, price: &str, yj: &str, receipt: &str) -> String {
        let cell = |from, to| hot.get(from..to).unwrap_or_default();
        let cells = [cell(0, 7), cell(7, 9), cell(9, 11), cell(11, 13)].join(",");
        format!(
            "{hot},{cells},4900000000000,{price},{yj},{receipt},,,品,,,ＰＴＰ,10,錠,100,錠,内,製,販,1,20250401\n"
        )
    }

    fn load(master: &[u8]) -> Formulary {
        let products = File { name: "p.csv", bytes: PRODUCTS.as_bytes() };
        let files = [File { name: "MEDIS20250831.TXT", bytes: master }, products];
        Formulary::from_files("t", &files).unwrap_or_else(|error| panic!("{error}"))
    }

    fn name<'a>(formulary: &'a Formulary, hot: &str) -> Option<&'a str> {
        formulary.product(&DrugCode::hot(hot).unwrap()).map(|product| product.name.as_str())
    }

    #[test]
    fn every_kind_of_code_leads_to_one_identity() {
        let master = [
            HEADER.to_owned(),
            row("1032994010101", "2171022F2025", "2171022F2025", "612170710"),
            row("1032994010201", "2171022F2025", "2171022F2025", "612170710"),
            row("1032994020101", "2171022F2025", "", ""),
            row("104000501", "", "2233002F2022", ""),
        ];
        let master = master.concat();
        let (shift_jis, ..) = encoding_rs::SHIFT_JIS.encode(&master);
        for bytes in [master.as_bytes(), &shift_jis] {
            let formulary = load(bytes);
            let report = formulary.report();
            assert_eq!((report.hot_codes, report.unlinked_hot_codes, &report.faults), (3, 0, &vec![]));
            let codes = [
                DrugCode::receipt("612170710"),
                DrugCode::yj("2171022F2025"),
                DrugCode::price("2171022F2025"),
                DrugCode::hot("103299401"),
                DrugCode::hot("103299402"),
                DrugCode::hot("1032994010201"),
                DrugCode::hot("1032994"),
            ];
            for code in codes.map(Result::unwrap) {
                assert_eq!(formulary.product(&code).unwrap().identity(), "612170710", "{code:?}");
            }
            assert_eq!(name(&formulary, "104000501"), Some("ムコダイン錠５００ｍｇ"));
            assert_eq!(name(&formulary, "103299403"), None);
        }
    }

    #[test]
    fn faulty_rows_are_told_by_line_and_left_out() {
        let master = [
            HEADER.to_owned(),
            row("1032994010101", "", "", "612170710"),
            row("1032994010201", "", "", "610407447"),
            row("1032995010101", "", "", "612170710"),
            row("104000501", "2171022F2025", "2233002F2022", ""),
            row("104001201", "2171022F2024", "", "99"),
            row("10400120", "", "", ""),
            row("1040029010101", "", "", "622999999"),
            "1040007,1\n".to_owned(),
            row("1032994010301", "", "", "612170710").replacen("1032994,01", "1032994,02", 1),
        ];
        let formulary = load(master.concat().as_bytes());
        let faults: Vec<String> = formulary.report().faults.iter().map(ToString::to_string).collect();
        let told = [
            "[line 3]: the code already leads to a product of other ingredients or route",
            "[line 4]: 処方用番号（ＨＯＴ７）: wrong check digit",
            "[line 5]: its codes lead to products of other ingredients or route",
            "[line 6]: レセプト電算処理システムコード（１）: expected a receipt code",
            "[line 6]: 薬価基準収載医薬品コード: expected 12 characters with a right check digit",
            "[line 7]: 基準番号（ＨＯＴコード）: expected 13 or 9 digits",
            "[line 9]: 2 cells where the header has 24",
            "[line 10]: 基準番号（ＨＯＴコード）: expected to begin with 処方用番号 and 会社識別用番号",
        ];
        assert_eq!(faults, told.map(|fault| format!("MEDIS20250831.TXT{fault}")));
        let report = formulary.report();
        assert_eq!((report.hot_codes, report.unlinked_hot_codes), (1, 1));
        assert_eq!(name(&formulary, "103299401"), Some("ノルバスク錠５ｍｇ"));
        assert_eq!(name(&formulary, "104000501"), None);
    }

    #[test]
    fn a_hot7_code_whose_products_differ_leads_nowhere() {
        let master =
            [HEADER.to_owned(), row("103299401", "", "", "612170710"), row("103299402", "", "", "610407447")];
        let formulary = load(master.concat().as_bytes());
        assert_eq!(name(&formulary, "103299402"), Some("ムコダイン錠５００ｍｇ"));
        assert_eq!(name(&formulary, "1032994"), None);
    }
}

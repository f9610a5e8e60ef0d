//! HOT codes through `check`: with the HOT master beside the other tables they are codes like any other.

#![expect(clippy::unwrap_used, reason = "a file that cannot be written fails its test")]

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{hikikae, project};

/// Made-up codes of ノルバスク錠５ｍｇ by two companies, in the published layout.
const MASTER: &str = "\
基準番号（ＨＯＴコード）,処方用番号（ＨＯＴ７）,会社識別用番号,調剤用番号,物流用番号,ＪＡＮコード,薬価基準収載医薬品コード,個別医薬品コード,レセプト電算処理システムコード（１）,レセプト電算処理システムコード（２）
1032994010101,1032994,01,01,01,4900000000000,2171022F2025,2171022F2025,612170710,
1032994020101,1032994,02,01,01,4900000000000,2171022F2025,2171022F2025,,
";

/// What `check --json` finds in the refill document, its ノルバスク錠 written with this code, against a history.
fn kinds(formulary: &Path, code: &str, history: &str) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    let (document, file) = (directory.path().join("d.csv"), directory.path().join("h.csv"));
    let text = fs::read_to_string(project("fixtures/documents/refill.sj1.csv")).unwrap();
    assert!(text.contains("2,612170710"));
    fs::write(&document, text.replace("2,612170710", code)).unwrap();
    fs::write(&file, format!("kind,code_type,code,start,days,route,institution\n{history}\n")).unwrap();
    let arguments = ["check", "--json", "--formulary"].map(AsRef::as_ref);
    let files = [formulary.as_os_str(), "--history".as_ref(), file.as_os_str(), document.as_os_str()];
    let told = hikikae(arguments.into_iter().chain(files));
    assert_eq!(told.code, 1, "{told:?}");
    let told = told.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    told["findings"].as_array().unwrap().iter().map(|it| (text(&it["kind"]), text(&it["id"]))).collect()
}

#[test]
fn every_code_of_a_product_gives_the_same_finding() {
    let formulary = tempfile::tempdir().unwrap();
    for table in ["products.csv", "usages.csv"] {
        fs::copy(project("fixtures/formulary").join(table), formulary.path().join(table)).unwrap();
    }
    let (master, ..) = encoding_rs::SHIFT_JIS.encode(MASTER);
    fs::write(formulary.path().join("MEDIS20250831.TXT"), &master).unwrap();

    let day = "2026-11-20,14,,1319876543";
    let expected = kinds(formulary.path(), "2,612170710", &format!("dispensed,receipt,612170710,{day}"));
    assert_eq!(expected.len(), 1, "{expected:?}");
    assert_eq!(expected[0].0, "duplicate-ingredient");
    for code in ["2,612170710", "4,2171022F2025", "6,103299401", "6,103299402"] {
        for history in ["hot9,103299401", "hot9,103299402", "yj,2171022F2025", "receipt,612170710"] {
            let found = kinds(formulary.path(), code, &format!("dispensed,{history},{day}"));
            assert_eq!(found, expected, "{code} against {history}");
        }
    }

    let pairs = formulary.path().join("pairs.csv");
    fs::write(&pairs, "a,b\n103299401,612170710\n2171022F2ZZZ,1032994020101\n").unwrap();
    let arguments = ["check", "--formulary"].map(AsRef::as_ref);
    let files = [formulary.path().as_os_str(), "--pairs".as_ref(), pairs.as_os_str()];
    let told = hikikae(arguments.into_iter().chain(files)).done();
    for line in told.text().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["findings"][0]["kind"], "duplicate-ingredient", "{row}");
    }
}

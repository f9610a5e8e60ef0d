//! Drug codes as FHIR codings. Both families of systems are read, the OIDs are written.

use serde_json::{Value, json};

use crate::prescription::identifier::DrugCode;

/// レセプト電算処理マスター.
const RECEIPT: &str = "urn:oid:1.2.392.100495.20.1.71";
/// 薬価基準収載医薬品コード.
const PRICE: &str = "urn:oid:1.2.392.100495.20.1.72";
/// YJ コード. The second form stands in profiles beside the first.
const YJ: [&str; 3] = [
    "urn:oid:1.2.392.100495.20.1.73",
    "urn:oid:1.2.392.100495.20.2.73",
    "http://capstandard.jp/iyaku.info/CodeSystem/YJ-code",
];
/// 一般名処方マスタ.
const GENERIC: [&str; 3] = [
    "urn:oid:1.2.392.100495.20.1.81",
    "urn:oid:1.2.392.100495.20.2.81",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationGeneralOrderCode",
];
/// HOT コード of 9, 7 and 13 digits. The last is a second OID that profiles know for HOT9.
const HOT: [&str; 7] = [
    "urn:oid:1.2.392.200119.4.403.1",
    "urn:oid:1.2.392.200119.4.403.2",
    "urn:oid:1.2.392.200119.4.402.1",
    "http://medis.or.jp/CodeSystem/master-HOT9",
    "http://medis.or.jp/CodeSystem/master-HOT7",
    "http://medis.or.jp/CodeSystem/master-HOT13",
    "urn:oid:1.2.392.100495.20.2.74",
];

/// Whether a system is one of drug codes.
pub fn is_system(system: &str) -> bool {
    [RECEIPT, PRICE].contains(&system)
        || YJ.contains(&system)
        || GENERIC.contains(&system)
        || HOT.contains(&system)
}

/// The drug code a coding holds; `None` for other systems and for codes that cannot be of theirs.
pub fn drug_code(system: &str, code: &str) -> Option<DrugCode> {
    match system {
        RECEIPT => DrugCode::receipt(code).ok(),
        PRICE => DrugCode::price(code).ok(),
        system if YJ.contains(&system) => DrugCode::yj(code).ok(),
        system if GENERIC.contains(&system) => DrugCode::generic(code).ok(),
        system if HOT.contains(&system) => DrugCode::hot(code).ok(),
        _ => None,
    }
}

/// The `CodeableConcept` of a drug: its code, when there is one, and its name as written.
pub fn concept(code: Option<&DrugCode>, name: &str) -> Value {
    let Some(code) = code else { return json!({ "text": name }) };
    let system = match code {
        DrugCode::Receipt(_) => RECEIPT,
        DrugCode::Price(_) => PRICE,
        DrugCode::Yj(_) => YJ[0],
        DrugCode::Generic(_) => GENERIC[0],
        DrugCode::Hot(code) => match code.len() {
            7 => HOT[1],
            13 => HOT[2],
            _ => HOT[0],
        },
    };
    json!({ "coding": [{ "system": system, "code": code.as_str(), "display": name }], "text": name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for code in [
            DrugCode::receipt("612170709"),
            DrugCode::price("2171022F1029"),
            DrugCode::yj("2171022F1029"),
            DrugCode::generic("2171022F1ZZZ"),
            DrugCode::hot("103297001"),
        ] {
            let code = code.unwrap();
            let written = concept(Some(&code), "x");
            let coding = &written["coding"][0];
            let read = drug_code(coding["system"].as_str().unwrap(), coding["code"].as_str().unwrap());
            assert_eq!(read, Some(code));
        }
        for system in &YJ[1..] {
            assert!(drug_code(system, "2171022F1029").is_some());
        }
        for system in HOT {
            assert!(drug_code(system, "103299401").is_some());
        }
        assert_eq!(drug_code(GENERIC[2], "2171022F1029"), None);
        assert_eq!(drug_code("http://example.org", "612170709"), None);
    }
}

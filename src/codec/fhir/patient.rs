//! `Patient` and `Coverage` as the identity check answers them.

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::prescription::document::Sex;

/// JP Core identifier systems of insurance data.
const INSURER_NUMBER: &str = "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsurerNumber";
const COVERAGE_EXTENSION: &str =
    "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_InsuredPerson";

/// What is told of a person.
#[derive(Clone, Copy, Debug)]
pub struct Particulars<'a> {
    /// 氏名.
    pub name: &'a str,
    /// カナ.
    pub kana: Option<&'a str>,
    /// 生年月日.
    pub birth_date: NaiveDate,
    /// 性別; `None` is 未設定.
    pub sex: Option<Sex>,
    /// 死亡日, when it is known.
    pub deceased_on: Option<NaiveDate>,
}

/// What is told of an insurance.
#[derive(Clone, Copy, Debug)]
pub struct Insurance<'a> {
    /// 保険者番号.
    pub insurer_number: &'a str,
    /// 記号; may be empty.
    pub symbol: &'a str,
    /// 番号.
    pub number: &'a str,
    /// 枝番.
    pub branch_number: Option<&'a str>,
    /// First day.
    pub valid_from: NaiveDate,
    /// Last day, when it is known.
    pub valid_until: Option<NaiveDate>,
    /// Whether that day is over.
    pub ended: bool,
}

/// The person.
pub fn patient(person: Particulars<'_>) -> Value {
    let representation = |code: &str, text: &str| {
        json!({
            "extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": code
            }],
            "use": "official",
            "text": text,
        })
    };
    let mut name = vec![representation("IDE", person.name)];
    name.extend(person.kana.map(|kana| representation("SYL", kana)));
    let mut resource = json!({
        "resourceType": "Patient",
        "name": name,
        "gender": match person.sex {
            Some(Sex::Male) => "male",
            Some(Sex::Female) => "female",
            None => "unknown",
        },
        "birthDate": person.birth_date,
    });
    if let Some(day) = person.deceased_on {
        resource["deceasedDateTime"] = json!(day);
    }
    resource
}

/// An insurance.
pub fn coverage(insurance: Insurance<'_>) -> Value {
    let mut extension = Vec::new();
    let mut extend = |name: &str, value: &str| {
        if !value.is_empty() {
            extension.push(json!({ "url": format!("{COVERAGE_EXTENSION}{name}"), "valueString": value }));
        }
    };
    extend("Symbol", insurance.symbol);
    extend("Number", insurance.number);
    extend("SubNumber", insurance.branch_number.unwrap_or_default());
    let mut period = json!({ "start": insurance.valid_from });
    if let Some(end) = insurance.valid_until {
        period["end"] = json!(end);
    }
    json!({
        "resourceType": "Coverage",
        "extension": extension,
        "status": if insurance.ended { "cancelled" } else { "active" },
        "beneficiary": { "type": "Patient", "display": "verified patient" },
        "period": period,
        "payor": [{ "identifier": { "system": INSURER_NUMBER, "value": insurance.insurer_number } }],
    })
}

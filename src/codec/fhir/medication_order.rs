//! Draft `MedicationRequest`s of another system, as far as a check needs them. Lenient: what is not understood is an
//! order without a code, which the check then says it has not seen.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate};
use serde_json::Value;

use super::drug::drug_code;
use crate::clock::japanese_date;
use crate::prescription::identifier::DrugCode;

/// The most orders a Bundle may bring.
pub const ORDERS: usize = 200;

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MedicationOrder {
    /// Where it stands: `draftOrders.entry[2]`.
    pub place: String,
    /// The first of its codings that can be a drug code here.
    pub code: Option<DrugCode>,
    /// Its name as written; may be empty.
    pub name: String,
    /// The first day, when it is said.
    pub start: Option<NaiveDate>,
    /// 日数, when it is said in days or weeks.
    pub days: Option<u16>,
    /// 用法コード of 16 characters.
    pub usage: Option<String>,
    /// 頓服.
    pub as_needed: bool,
}

/// The medication orders of a Bundle; other resources are not looked at.
///
/// # Errors
///
/// What was expected, when it is no Bundle or has more than [`ORDERS`] entries.
pub fn medication_orders(bundle: &Value) -> Result<Vec<MedicationOrder>, &'static str> {
    if bundle["resourceType"] != "Bundle" {
        return Err("expected a Bundle");
    }
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.len() > ORDERS {
        return Err("expected at most 200 entries");
    }
    let medications: HashMap<String, &Value> = entries
        .iter()
        .filter(|entry| entry["resource"]["resourceType"] == "Medication")
        .flat_map(|entry| {
            let id = entry["resource"]["id"].as_str().map(|id| format!("Medication/{id}"));
            let url = entry["fullUrl"].as_str().map(str::to_owned);
            id.into_iter().chain(url).map(|name| (name, &entry["resource"]))
        })
        .collect();
    Ok(entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry["resource"]["resourceType"] == "MedicationRequest")
        .map(|(index, entry)| order(format!("draftOrders.entry[{index}]"), &entry["resource"], &medications))
        .collect())
}

fn order(place: String, request: &Value, medications: &HashMap<String, &Value>) -> MedicationOrder {
    let concept = concept(request, medications);
    let code = coding(concept).find_map(|(system, code)| drug_code(system, code));
    let name = concept["text"]
        .as_str()
        .or_else(|| concept["coding"].as_array()?.iter().find_map(|coding| coding["display"].as_str()))
        .unwrap_or_default();
    let (dosage, supply) = (&request["dosageInstruction"][0], &request["dispenseRequest"]);
    let repeat = &dosage["timing"]["repeat"];
    let start =
        [&supply["validityPeriod"]["start"], &repeat["boundsPeriod"]["start"], &request["authoredOn"]];
    MedicationOrder {
        place,
        code,
        name: name.to_owned(),
        start: start.into_iter().find_map(day),
        days: duration(&supply["expectedSupplyDuration"])
            .or_else(|| duration(&repeat["boundsDuration"]))
            .or_else(|| period(&repeat["boundsPeriod"])),
        usage: coding(&dosage["timing"]["code"])
            .map(|(_, code)| code)
            .find(|code| code.len() == 16 && code.bytes().all(|b| b.is_ascii_alphanumeric()))
            .map(str::to_owned),
        as_needed: dosage["asNeededBoolean"] == true || dosage["asNeededCodeableConcept"].is_object(),
    }
}

/// The medicine itself: written in the order, contained in it, or beside it in the Bundle.
fn concept<'v>(request: &'v Value, medications: &HashMap<String, &'v Value>) -> &'v Value {
    let Some(reference) = request["medicationReference"]["reference"].as_str() else {
        return &request["medicationCodeableConcept"];
    };
    let contained = reference
        .strip_prefix('#')
        .and_then(|id| request["contained"].as_array()?.iter().find(|resource| resource["id"] == id));
    match contained.or_else(|| medications.get(reference).copied()) {
        Some(medication) => &medication["code"],
        None => &Value::Null,
    }
}

fn coding(concept: &Value) -> impl Iterator<Item = (&str, &str)> {
    let codings = concept["coding"].as_array().map(Vec::as_slice).unwrap_or_default();
    codings.iter().filter_map(|coding| Some((coding["system"].as_str()?, coding["code"].as_str()?)))
}

/// A date, or the Japanese day of an instant.
fn day(value: &Value) -> Option<NaiveDate> {
    let text = value.as_str()?;
    text.parse().ok().or_else(|| Some(japanese_date(DateTime::parse_from_rfc3339(text).ok()?.into())))
}

/// Whole days of a Duration in days or weeks (UCUM, or written in Japanese).
fn duration(value: &Value) -> Option<u16> {
    let number = value["value"].as_u64().and_then(|number| u16::try_from(number).ok())?;
    let unit = value["code"].as_str().or_else(|| value["unit"].as_str())?;
    let days = match unit {
        "d" | "日" | "日分" => number,
        "wk" | "週" => number.checked_mul(7)?,
        _ => return None,
    };
    (days > 0).then_some(days)
}

fn period(value: &Value) -> Option<u16> {
    let (start, end) = (day(&value["start"])?, day(&value["end"])?);
    u16::try_from((end - start).num_days() + 1).ok().filter(|days| *days > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn orders_are_read_in_every_form() {
        let bundle = json!({ "resourceType": "Bundle", "entry": [
            { "resource": { "resourceType": "ServiceRequest" } },
            { "resource": {
                "resourceType": "MedicationRequest",
                "medicationCodeableConcept": { "coding": [
                    { "system": "http://example.org", "code": "1" },
                    { "system": "urn:oid:1.2.392.100495.20.1.71", "code": "612170710", "display": "x" },
                ]},
                "authoredOn": "2026-04-01T23:30:00Z",
                "dosageInstruction": [{ "timing": { "code": { "coding": [
                    { "system": "urn:oid:1.2.392.200250.2.2.20.20", "code": "1011000400000000" }
                ]}}}],
                "dispenseRequest": { "expectedSupplyDuration": { "value": 2, "unit": "週", "code": "wk" } },
            }},
            { "fullUrl": "urn:uuid:1", "resource": {
                "resourceType": "Medication",
                "code": { "text": "y", "coding": [
                    { "system": "http://capstandard.jp/iyaku.info/CodeSystem/YJ-code", "code": "2171022F2025" }
                ]},
            }},
            { "resource": {
                "resourceType": "MedicationRequest",
                "medicationReference": { "reference": "urn:uuid:1" },
                "dosageInstruction": [{ "asNeededBoolean": true, "timing": { "repeat": {
                    "boundsPeriod": { "start": "2026-04-03", "end": "2026-04-09" }
                }}}],
            }},
            { "resource": { "resourceType": "MedicationRequest", "medicationReference": { "reference": "#no" } } },
        ]});
        let orders = medication_orders(&bundle).unwrap();
        let [first, second, third] = orders.as_slice() else { panic!("{orders:?}") };
        assert_eq!((first.place.as_str(), first.name.as_str()), ("draftOrders.entry[1]", "x"));
        assert_eq!(first.code, Some(DrugCode::Receipt("612170710".to_owned())));
        assert_eq!((first.start, first.days), (Some("2026-04-02".parse().unwrap()), Some(14)));
        assert_eq!(first.usage.as_deref(), Some("1011000400000000"));
        assert_eq!(second.code, Some(DrugCode::Yj("2171022F2025".to_owned())));
        assert!(second.as_needed && second.name == "y" && second.days == Some(7));
        assert_eq!((&third.code, third.days, third.start), (&None, None, None));
        assert!(medication_orders(&json!({ "resourceType": "Patient" })).is_err());
        assert!(medication_orders(&json!({ "resourceType": "Bundle", "entry": vec![1; 201] })).is_err());
    }

    #[test]
    fn impossible_values_are_no_values() {
        for value in [
            json!({"value": 0, "code": "d"}),
            json!({"value": 1.5, "code": "d"}),
            json!({"value": 99_999, "code": "wk"}),
            json!({"value": 3, "code": "mo"}),
            json!([]),
        ] {
            assert_eq!(duration(&value), None, "{value}");
        }
        let late = json!({ "start": "2026-04-09", "end": "2026-04-01" });
        assert_eq!(period(&late), None);
    }
}

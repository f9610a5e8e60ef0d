//! The same result in both forms, and every rule of the document broken once.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::prescription::strategy;

const FIXTURES: [&[u8]; 5] = [
    include_bytes!("../../../../fixtures/documents/general-internal-as-prescribed.cj1.csv"),
    include_bytes!("../../../../fixtures/documents/generic-name-substituted.cj1.csv"),
    include_bytes!("../../../../fixtures/documents/as-needed-external-after-inquiry.cj1.csv"),
    include_bytes!("../../../../fixtures/documents/refill-first-use.cj1.csv"),
    include_bytes!("../../../../fixtures/documents/narcotic-as-prescribed.cj1.csv"),
];
const JWS: (&str, &[u8]) = ("application/jose", b"eyJhbGciOiJSUzI1NiJ9.e30.AA");

fn at() -> DateTime<Utc> {
    "2026-11-20T03:04:05.678Z".parse().unwrap()
}

fn fixture(index: usize) -> Dispensing {
    cj1::read(FIXTURES[index]).unwrap().value
}

#[test]
fn fixtures_come_back_the_same_bytes() {
    for bytes in FIXTURES {
        let csv = cj1::read(bytes).unwrap();
        let written = write(&csv.value, Some(JWS), at());
        let document = read(&written).unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert_eq!(cj1::write(&document.dispensing, &csv.form), bytes);
        let embedded = document.prescription.unwrap();
        assert_eq!((embedded.media_type.as_str(), embedded.bytes.as_slice()), JWS);
        assert_eq!(
            document.places.len(),
            csv.value.groups.iter().map(|group| group.lines.len()).sum::<usize>()
        );
        assert_eq!(written, write(&csv.value, Some(JWS), at()), "the same again");
        assert!(is_one(&written) && !is_one(bytes) && !is_one(b"{}"));
        assert!(read(&write(&csv.value, None, at())).unwrap().prescription.is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn csv_to_fhir_and_back_gives_the_same_bytes(value in strategy::dispensing()) {
        let bytes = cj1::write(&value, &Form::default());
        let csv = cj1::read(&bytes).unwrap();
        let document = read(&write(&csv.value, Some(JWS), at()));
        let document = document.map_err(|faults| TestCaseError::fail(format!("{faults:#?}")))?;
        prop_assert_eq!(&document.dispensing, &csv.value);
        prop_assert_eq!(cj1::write(&document.dispensing, &csv.form), bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(read(&bytes).is_err());
    }
}

/// The document of a fixture; its entries are Composition, Patient, Organization, Practitioner, Coverage, one
/// MedicationDispense a line, Binary.
fn sample(index: usize) -> Value {
    serde_json::from_slice(&write(&fixture(index), Some(JWS), at())).unwrap()
}

fn places(document: &Value) -> Vec<String> {
    let faults = read(document.to_string().as_bytes()).expect_err("a fault");
    faults.into_iter().map(|fault| fault.place).collect()
}

/// What is done to one place of a good document.
enum Change {
    Set(&'static str, Value),
    Remove(&'static str),
    Push(&'static str, Value),
}

fn changed(mut document: Value, change: &Change) -> Value {
    match change {
        Change::Set(pointer, value) => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match document.pointer_mut(parent).unwrap() {
                Value::Array(elements) => elements[name.parse::<usize>().unwrap()] = value.clone(),
                object => object[name] = value.clone(),
            }
        }
        Change::Push(pointer, value) => {
            document.pointer_mut(pointer).unwrap().as_array_mut().unwrap().push(value.clone());
        }
        Change::Remove(pointer) => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match document.pointer_mut(parent).unwrap() {
                Value::Array(elements) => drop(elements.remove(name.parse().unwrap())),
                object => drop(object.as_object_mut().unwrap().remove(name).unwrap()),
            }
        }
    }
    document
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_deliberate_fault_is_refused_at_its_place() {
    use Change::{Push, Remove, Set};
    let other = json!({ "url": "https://example.org/unknown", "valueString": "x" });
    let cases: Vec<(Change, &[&str])> = vec![
        // The Bundle.
        (Set("/type", json!("collection")), &["type"]),
        (Remove("/timestamp"), &["timestamp"]),
        (Remove("/identifier"), &["identifier"]),
        (Set("/signature", json!({ "type": [] })), &["signature.type", "signature"]),
        (
            Set("/entry/1/fullUrl", json!("Patient/1")),
            &["entry[1].fullUrl", "entry[0].resource.subject.reference"],
        ),
        (
            Push(
                "/entry",
                json!({ "fullUrl": "urn:uuid:0d9e0f00-0000-4000-8000-000000000000",
            "resource": { "resourceType": "Device" } }),
            ),
            &["entry[9].resource"],
        ),
        (Set("/entry/1/search", json!({ "mode": "match" })), &["entry[1].search"]),
        // The Composition.
        (Set("/entry/0/resource/status", json!("preliminary")), &["entry[0].resource.status"]),
        (
            Set("/entry/0/resource/type/coding/0/code", json!("01")),
            &["entry[0].resource.type.coding[0].code"],
        ),
        (
            Set("/entry/0/resource/type/coding/0/system", json!("urn:oid:1.2.3")),
            &["entry[0].resource.type.coding[0].system"],
        ),
        (Remove("/entry/0/resource/author/0"), &["entry[0].resource.author"]),
        (Remove("/entry/0/resource/custodian"), &["entry[0].resource.custodian"]),
        (Remove("/entry/0/resource/event/0/period/start"), &["entry[0].resource.event[0].period"]),
        (
            Set("/entry/0/resource/event/0/period/start", json!("2026-02-30")),
            &["entry[0].resource.event[0].period.start"],
        ),
        (
            Set("/entry/0/resource/section/0/code/coding/0/code", json!("other")),
            &["entry[0].resource.section[0].code.coding[0].code", "entry[0].resource.section"],
        ),
        (
            Set(
                "/entry/0/resource/section/0/entry/0/reference",
                json!("urn:uuid:0d9e0f00-0000-4000-8000-000000000000"),
            ),
            &["entry[0].resource.section[0].entry[0].reference", "entry[5].resource"],
        ),
        (Push("/entry/0/resource/extension", other.clone()), &["entry[0].resource.extension[5]"]),
        (
            Set("/entry/0/resource/extension/3/extension/0/valueCode", json!("９９９")),
            &["entry[0].resource.extension[3].extension[0].value"],
        ),
        (Remove("/entry/0/resource/extension/2/extension/1"), &["entry[0].resource.extension[2].extension"]),
        // The Patient.
        (Remove("/entry/1/resource/gender"), &["entry[1].resource.gender"]),
        (Set("/entry/1/resource/gender", json!("unknown")), &["entry[1].resource.gender"]),
        (Set("/entry/1/resource/birthDate", json!("1978-09")), &["entry[1].resource.birthDate"]),
        (Set("/entry/1/resource/birthDate", json!("2026-11-21")), &["entry[1].resource.birthDate"]),
        (Remove("/entry/1/resource/name/0"), &["entry[1].resource.name"]),
        (
            Set("/entry/1/resource/name/1/extension/0/valueCode", json!("ABC")),
            &["entry[1].resource.name[1].extension[0].value"],
        ),
        (
            Set("/entry/1/resource/modifierExtension", json!([other.clone()])),
            &["entry[1].resource.modifierExtension"],
        ),
        (Set("/entry/1/resource/deceasedBoolean", json!(true)), &["entry[1].resource.deceasedBoolean"]),
        // The pharmacy, the pharmacist, the insurance, the prescription.
        (
            Set("/entry/2/resource/identifier/0/value", json!("134123456")),
            &["entry[2].resource.identifier[0].value"],
        ),
        (Remove("/entry/2/resource/name"), &["entry[2].resource.name"]),
        (Set("/entry/2/resource/name", json!("")), &["entry[2].resource.name"]),
        (Set("/entry/3/resource/name", json!([])), &["entry[3].resource.name"]),
        (
            Set("/entry/4/resource/payor/0/identifier/system", json!("urn:oid:1.2.3")),
            &["entry[4].resource.payor[0].identifier.system"],
        ),
        (Set("/entry/4/resource/status", json!("cancelled")), &["entry[4].resource.status"]),
        (Set("/entry/8/resource/contentType", json!("text/plain")), &["entry[8].resource.contentType"]),
        (Set("/entry/8/resource/data", json!("e30")), &["entry[8].resource.data"]),
        // A line.
        (Remove("/entry/5/resource/identifier/0"), &["entry[5].resource.identifier"]),
        (Set("/entry/5/resource/identifier/0/value", json!("0")), &["entry[5].resource.identifier[0].value"]),
        (
            Set("/entry/5/resource/identifier/2/value", json!("0190B6F0-0000-8000-8000-000000000003")),
            &["entry[5].resource.identifier[2].value"],
        ),
        (
            Set("/entry/6/resource/identifier/2/value", json!("0190b6f0-0000-8000-8000-000000000009")),
            &["entry[6].resource"],
        ),
        (Set("/entry/6/resource/identifier/1/value", json!("2")), &["entry[6].resource"]),
        (Set("/entry/7/resource/identifier/0/value", json!("1")), &["entry[7].resource"]),
        (Set("/entry/5/resource/status", json!("on-hold")), &["entry[5].resource.status"]),
        (Remove("/entry/5/resource/medicationCodeableConcept/text"), &["entry[5].resource.medication.text"]),
        (
            Set(
                "/entry/5/resource/medicationReference",
                json!({ "reference": "urn:uuid:0d9e0f00-0000-4000-8000-000000000000" }),
            ),
            &["entry[5].resource.medication"],
        ),
        (
            Set("/entry/5/resource/medicationCodeableConcept/coding/0/code", json!("62009880")),
            &["entry[5].resource.medication.coding[0].code"],
        ),
        (
            Set(
                "/entry/5/resource/medicationCodeableConcept/coding/0",
                json!({ "system": "urn:oid:1.2.392.100495.20.1.81", "code": "2233002F1ZZZ" }),
            ),
            &["entry[5].resource.medication.coding[0].code"],
        ),
        (Set("/entry/5/resource/whenHandedOver", json!("2026-11-19")), &["entry[5].resource.whenHandedOver"]),
        (Set("/entry/5/resource/quantity/value", json!("10")), &["entry[5].resource.quantity.value"]),
        (Set("/entry/5/resource/quantity/value", json!(-10)), &["entry[5].resource.quantity.value"]),
        (
            Set("/entry/5/resource/quantity/value", json!(20)),
            &["entry[5].resource.dosageInstruction[0].doseAndRate[0]"],
        ),
        (Set("/entry/6/resource/quantity/value", json!(0.000_001)), &["entry[6].resource.quantity.value"]),
        (Remove("/entry/5/resource/quantity/unit"), &["entry[5].resource.quantity.unit"]),
        (
            Remove("/entry/5/resource/dosageInstruction/0/asNeededBoolean"),
            &["entry[5].resource.dosageInstruction[0].asNeeded"],
        ),
        (
            Remove("/entry/5/resource/dosageInstruction/0/text"),
            &["entry[5].resource.dosageInstruction[0].text"],
        ),
        (
            Set("/entry/5/resource/dosageInstruction/0/timing/code/coding/0/code", json!("1012100000000000")),
            &["entry[5].resource.dosageInstruction[0].timing.code.coding[0].code"],
        ),
        (
            Set(
                "/entry/5/resource/daysSupply",
                json!({ "value": 10, "system": "http://unitsofmeasure.org", "code": "d" }),
            ),
            &["entry[5].resource.daysSupply"],
        ),
        (
            Remove("/entry/5/resource/extension"),
            &["entry[5].resource.extension", "entry[5].resource.daysSupply"],
        ),
        (
            Set("/entry/5/resource/extension/0/valueCoding/code", json!("8")),
            &["entry[5].resource.extension[0].value.code"],
        ),
        (
            Set("/entry/5/resource/substitution", json!({ "wasSubstituted": true })),
            &["entry[5].resource.substitution"],
        ),
        (
            Set("/entry/5/resource/subject/reference", json!("Patient/1")),
            &["entry[5].resource.subject.reference"],
        ),
        (
            Push("/entry/5/resource/performer", json!({ "actor": { "display": "x" } })),
            &["entry[5].resource.performer", "entry[5].resource.performer[1].actor.reference"],
        ),
        // What no form can say.
        (Set("/entry/1/resource/telecom", json!([{ "system": "phone", "value": "0".repeat(20) }])), &[""]),
    ];
    let good = sample(2);
    read(good.to_string().as_bytes()).unwrap();
    assert!(cases.len() > 50, "{}", cases.len());
    let mut wrong = Vec::new();
    for (change, expected) in cases {
        let found = places(&changed(good.clone(), &change));
        let mut expected: Vec<String> = expected
            .iter()
            .map(|place| if place.is_empty() { "Bundle".to_owned() } else { format!("Bundle.{place}") })
            .collect();
        let mut sorted = found.clone();
        sorted.sort();
        expected.sort();
        if sorted != expected {
            let pointer = match change {
                Set(pointer, _) | Remove(pointer) | Push(pointer, _) => pointer,
            };
            wrong.push((pointer, expected, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn both_families_of_systems_are_read() {
    let text = sample(2)
        .to_string()
        .replace(
            "urn:oid:1.2.392.100495.20.3.81",
            "http://jpfhir.jp/fhir/core/mhlw/IdSystem/Medication-RPGroupNumber",
        )
        .replace("urn:oid:1.2.392.100495.20.3.61", "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsurerNumber");
    assert_eq!(read(text.as_bytes()).unwrap().dispensing, fixture(2));
}

#[test]
fn decimals_say_the_same_with_other_digits() {
    let mut document = sample(2).to_string();
    assert!(document.contains("\"value\":14,"));
    document = document.replace("\"value\":14,", "\"value\":14.000,");
    assert_eq!(read(document.as_bytes()).unwrap().dispensing, fixture(2));
}

#[test]
fn materials_may_go_without_a_usage() {
    let mut value = fixture(2);
    let group = value.groups.last_mut().unwrap();
    group.usage_name = None;
    group.usage_code = crate::prescription::line::UsageCoding::Uncoded;
    group.form = crate::prescription::dispensing::DispensedForm::Material;
    let written = write(&value, None, at());
    assert_eq!(read(&written).unwrap().dispensing, value);
}

//! The prescription there and back, every rule of the profile broken once in a good document, and whatever bytes may
//! come.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::codec::fault::Form;
use crate::codec::sj1;
use crate::prescription::line::{DosageKind, DrugSupplementKind, UsageSupplementKind};
use crate::prescription::strategy;

const GENERAL: &str = include_str!("../../../../fixtures/documents/general.fhir.json");
const SPLIT: &str = include_str!("../../../../fixtures/documents/split.sj1.csv");
const NARCOTIC: &str = include_str!("../../../../fixtures/documents/narcotic.sj1.csv");
const REFILL: &str = include_str!("../../../../fixtures/documents/refill.sj1.csv");

fn header() -> Header {
    Header { number: "2026-00000001".to_owned(), date: "2026-11-20T09:00:00+09:00".parse().unwrap() }
}

fn of_sj1(text: &str) -> Value {
    let value = sj1::read(text.as_bytes()).unwrap().value;
    serde_json::from_slice(&write(&value, &header())).unwrap()
}

fn general() -> Value {
    serde_json::from_str(GENERAL).unwrap()
}

fn places(document: &Value) -> Vec<String> {
    match read(document.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.place).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// SJ1, the domain, FHIR, the domain, SJ1: the same bytes.
    #[test]
    fn nothing_is_lost_between_the_forms(value in strategy::prescription()) {
        let first = sj1::write(&value, &Form::default());
        let value = sj1::read(&first).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?.value;
        let bundle = write(&value, &header());
        let read = read(&bundle).map_err(|faults| TestCaseError::fail(format!("{faults:#?}")))?;
        prop_assert_eq!(&read.value, &value);
        prop_assert_eq!(sj1::write(&read.value, &Form::default()), first);
        prop_assert_eq!(read.lines.len(), value.groups.iter().map(|group| group.lines.len()).sum::<usize>());
    }
}

#[test]
fn what_the_profile_says_natively_is_read() {
    let read = read(GENERAL.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let value = read.value;
    assert_eq!((value.valid_until().to_string(), value.uses_allowed()), ("2026-11-23".to_owned(), 1));
    assert_eq!(value.insurance.identity.insurer_number.as_deref(), Some("06138762"));
    assert_eq!(value.insurance.rates.map(|rates| (rates.burden, rates.benefit)), Some((30, 70)));
    assert_eq!(value.insurance.public_payers[0].as_ref().unwrap().payer_number, "54136023");
    assert_eq!(value.remarks.len(), 2);
    let groups: Vec<_> =
        value.groups.iter().map(|group| (group.kind, group.quantity, group.lines.len())).collect();
    assert_eq!(
        groups,
        [
            (DosageKind::Internal, 28, 2),
            (DosageKind::AsNeeded, 10, 1),
            (DosageKind::External, 1, 1),
            (DosageKind::Internal, 7, 1)
        ]
    );
    let (first, second) = (&value.groups[0].lines[0], &value.groups[0].lines[1]);
    assert_eq!(first.code.as_ref().unwrap().as_str(), "620002477");
    let kinds: Vec<_> = first.supplements.iter().map(|supplement| supplement.kind).collect();
    assert_eq!(kinds, [Some(DrugSupplementKind::NoGeneric), None]);
    assert_eq!(second.amount.as_str(), "0.5");
    assert_eq!(second.supplements[0].kind, Some(DrugSupplementKind::Crushing));
    let sites: Vec<_> =
        value.groups[2].supplements.iter().map(|site| (site.kind, site.site.as_deref())).collect();
    let coded = Some(UsageSupplementKind::CodedSite);
    assert_eq!(sites, [(coded, Some("950")), (coded, Some("970"))]);
    let uneven: Vec<_> =
        value.groups[3].lines[0].uneven_doses.iter().map(|dose| dose.amount.as_str()).collect();
    assert_eq!(uneven, ["2", "1", "1"]);
    assert_eq!(read.lines[0], "Bundle.entry[9].resource");
    let warned: Vec<_> = read.warnings.into_iter().map(|warning| warning.place).collect();
    assert_eq!(
        warned,
        ["Bundle.entry[9].resource.medication.coding[1]", "Bundle.entry[3].resource.identifier[0].value"]
    );
}

/// What is done to a document: a place by JSON pointer and its new value, or none to take it away. A pointer to what is
/// not there adds it.
type Edit = (&'static str, Option<&'static str>);

fn edited(mut document: Value, (pointer, value): Edit) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    let value = value.map(|text| serde_json::from_str::<Value>(text).unwrap());
    match (parent, value) {
        (Value::Object(members), Some(value)) => {
            members.insert(name.to_owned(), value);
        }
        (Value::Object(members), None) => assert!(members.shift_remove(name).is_some(), "{pointer}"),
        (Value::Array(elements), Some(value)) if name == "-" => elements.push(value),
        (Value::Array(elements), Some(value)) => elements[name.parse::<usize>().unwrap()] = value,
        (Value::Array(elements), None) => {
            elements.remove(name.parse().unwrap());
        }
        _ => panic!("{pointer}"),
    }
    document
}

/// Edits of the general document and the places that must be refused, without `Bundle.`; `#n` stands for
/// `entry[n].resource`.
const BROKEN: &[(Edit, &[&str])] = &[
    // Bundle.
    (("/type", Some(r#""collection""#)), &["type"]),
    (("/timestamp", None), &["timestamp"]),
    (("/timestamp", Some(r#""2026-11-20""#)), &["timestamp"]),
    (("/signature", Some(r#"{"data":"YQ=="}"#)), &["signature"]),
    (("/modifierExtension", Some(r#"[{"url":"http://example.org"}]"#)), &["modifierExtension"]),
    (
        ("/entry/2/fullUrl", Some(r#""http://example.org/2""#)),
        &["entry[2].fullUrl", "#0.encounter.reference", "#2"],
    ),
    (("/entry/2/search", Some(r#"{"mode":"match"}"#)), &["entry[2].search"]),
    (("/entry/2/resource/resourceType", Some(r#""Basic""#)), &["#0.encounter.reference"]),
    // Composition.
    (("/entry/0/resource/extension", None), &["#0.extension"]),
    (("/entry/0/resource/identifier/value", Some(r#""34875506""#)), &["#0.identifier.value"]),
    (("/entry/0/resource/identifier/value", Some(r#""1311234568-2026-00000001""#)), &["#0.identifier.value"]),
    (("/entry/0/resource/status", Some(r#""preliminary""#)), &["#0.status"]),
    (("/entry/0/resource/type/coding/0/code", Some(r#""34133-9""#)), &["#0.type.coding[0].code"]),
    (("/entry/0/resource/category/0/coding/0/code", Some(r#""04""#)), &["#0.category[0].coding[0].code"]),
    (("/entry/0/resource/category", None), &["#0.category"]),
    (("/entry/0/resource/date", Some(r#""2026-11-20""#)), &["#0.date"]),
    (("/entry/0/resource/author/1", None), &["#0.author"]),
    (
        ("/entry/0/resource/author/1/reference", Some(r#""urn:uuid:00000000-0000-4000-8000-000000000001""#)),
        &["#0.author[1].reference"],
    ),
    (("/entry/0/resource/title", None), &["#0.title"]),
    (("/entry/0/resource/custodian", None), &["#0.custodian"]),
    (("/entry/0/resource/event/0/code/0/text", Some(r#""交付""#)), &["#0.event[0].code[0].text"]),
    (("/entry/0/resource/event/0/period/start", None), &["#0.event[0].period.start"]),
    (("/entry/0/resource/event/0/period/start", Some(r#""2026-11-31""#)), &["#0.event[0].period.start"]),
    (("/entry/0/resource/event/0/period/end", Some(r#""2026-11-19""#)), &["#0.event[0].period.end"]),
    (
        ("/entry/0/resource/section/0/code/coding/0/code", Some(r#""02""#)),
        &["#0.section[0].code.coding[0].code"],
    ),
    (
        (
            "/entry/0/resource/section/0/entry/-",
            Some(r#"{"reference":"urn:uuid:00000000-0000-4000-8000-000000000099"}"#),
        ),
        &["#0.section[0].entry[12].reference"],
    ),
    (
        (
            "/entry/0/resource/section/0/entry/-",
            Some(r#"{"reference":"urn:uuid:00000000-0000-4000-8000-000000000009"}"#),
        ),
        &["#0.section[0].entry[12]"],
    ),
    (("/entry/0/resource/section/0/entry/2", None), &["#9"]),
    (("/entry/0/resource/relatesTo", Some(r#"[{"code":"replaces"}]"#)), &["#0.relatesTo"]),
    (("/entry/0/resource/subject/reference", Some(r#""Patient/1""#)), &["#0.subject.reference"]),
    // Patient, institution, prescriber.
    (("/entry/1/resource/gender", Some(r#""other""#)), &["#1.gender"]),
    (("/entry/1/resource/birthDate", Some(r#""1956-04""#)), &["#1.birthDate"]),
    (("/entry/1/resource/birthDate", Some(r#""2026-11-21""#)), &["#1.birthDate"]),
    (("/entry/1/resource/name/0/extension", None), &["#1.name[0].extension"]),
    (("/entry/1/resource/name/1/extension/0/valueCode", Some(r#""IDE""#)), &["#1.name[1]"]),
    (
        ("/entry/1/resource/identifier/0/system", Some(r#""urn:oid:1.2.392.100495.20.3.51.11311234568""#)),
        &["#1.identifier[0].system"],
    ),
    (("/entry/1/resource/deceasedBoolean", Some("true")), &["#1.deceasedBoolean"]),
    (("/entry/3/resource/extension/2/valueIdentifier/value", Some(r#""1234568""#)), &["#3.identifier"]),
    (("/entry/3/resource/extension/1", None), &["#3.extension"]),
    (("/entry/3/resource/identifier/0/value", Some(r#""131123456""#)), &["#3.identifier[0].value"]),
    (("/entry/3/resource/telecom/0/system", Some(r#""email""#)), &["#3.telecom[0].system", "#3.telecom"]),
    (("/entry/3/resource/address/0/postalCode", Some(r#""100""#)), &["#3.address[0].postalCode"]),
    (
        ("/entry/4/resource/partOf/reference", Some(r#""urn:uuid:00000000-0000-4000-8000-000000000004""#)),
        &["#4.partOf"],
    ),
    (("/entry/5/resource/code/0/coding/0/code", Some(r#""nurse""#)), &["#5.code[0].coding[0].code"]),
    (("/entry/6/resource/name/0", None), &["#6.name"]),
    // Insurance.
    (("/entry/7/resource/status", Some(r#""cancelled""#)), &["#7.status"]),
    (("/entry/7/resource/type/coding/0/code", Some(r#""9""#)), &["#7.type.coding[0].code"]),
    (
        ("/entry/7/resource/extension/2/valueString", Some(r#""0""#)),
        &["#7.extension[2].value", "#7.dependent"],
    ),
    (("/entry/7/resource/dependent", Some(r#""01""#)), &["#7.dependent"]),
    (("/entry/7/resource/relationship", None), &["#7.relationship"]),
    (
        ("/entry/7/resource/costToBeneficiary/0/valueQuantity/value", Some("101")),
        &["#7.costToBeneficiary[0].value.value"],
    ),
    (("/entry/7/resource/extension/0/valueCode", Some(r#""x""#)), &["#7.extension[0].value"]),
    (
        (
            "/entry/7/resource/beneficiary/reference",
            Some(r#""urn:uuid:00000000-0000-4000-8000-000000000006""#),
        ),
        &["#7.beneficiary.reference"],
    ),
    (("/entry/17/resource/identifier/0/value", Some(r#""061387621""#)), &["#17.identifier[0].value"]),
    (
        ("/entry/17/resource/identifier/0/system", Some(r#""urn:oid:1.2.392.100495.20.3.71""#)),
        &["#17.identifier[0].system"],
    ),
    (("/entry/18/resource/identifier/0/value", Some(r#""94733""#)), &["#18.identifier[0].value"]),
    (("/entry/8/resource/subscriberId", Some(r#""12345678""#)), &["#8.subscriberId"]),
    (("/entry/8/resource/order", Some("4")), &["#8.order"]),
    // Requests.
    (("/entry/9/resource/identifier/0/value", Some(r#""01""#)), &["#9.identifier[0].value"]),
    (("/entry/9/resource/identifier/1", None), &["#9.identifier"]),
    (
        ("/entry/9/resource/identifier/1/system", Some(r#""urn:oid:1.2.392.100495.20.3.81""#)),
        &["#9.identifier[1].system"],
    ),
    (("/entry/10/resource/identifier/1/value", Some(r#""1""#)), &["#10.identifier"]),
    (("/entry/9/resource/status", Some(r#""draft""#)), &["#9.status"]),
    (("/entry/9/resource/intent", Some(r#""plan""#)), &["#9.intent"]),
    (("/entry/9/resource/doNotPerform", Some("true")), &["#9.doNotPerform"]),
    (("/entry/9/resource/medicationReference", Some(r##"{"reference":"#m"}"##)), &["#9.medication"]),
    (("/entry/9/resource/medicationCodeableConcept", None), &["#9.medication"]),
    (
        ("/entry/9/resource/medicationCodeableConcept/coding/0/code", Some(r#""51000""#)),
        &["#9.medication.coding[0].code"],
    ),
    (
        ("/entry/9/resource/medicationCodeableConcept/coding/1/system", Some(r#""http://example.org""#)),
        &["#9.medication.coding[1].system"],
    ),
    (
        ("/entry/9/resource/medicationCodeableConcept/coding/1/code", Some(r#""2189017F1023""#)),
        &["#9.medication.coding[1].code"],
    ),
    (("/entry/9/resource/medicationCodeableConcept/text", Some(r#""""#)), &["#9.medication.text"]),
    (("/entry/9/resource/authoredOn", None), &["#9.authoredOn"]),
    (
        ("/entry/9/resource/subject/reference", Some(r#""urn:uuid:00000000-0000-4000-8000-000000000003""#)),
        &["#9.subject.reference"],
    ),
    (
        (
            "/entry/9/resource/extension",
            Some(r#"[{"url":"http://example.org/x","valueString":"半量にすること"}]"#),
        ),
        &["#9.extension[0]"],
    ),
    (("/entry/9/resource/dosageInstruction", None), &["#9.dosageInstruction"]),
    (("/entry/9/resource/dosageInstruction/0/text", None), &["#9.dosageInstruction[0].text"]),
    (("/entry/9/resource/dosageInstruction/0/timing/code", None), &["#9.dosageInstruction[0].timing.code"]),
    (
        ("/entry/9/resource/dosageInstruction/0/timing/code/coding/0/code", Some(r#""1012000400000000""#)),
        &["#9.dosageInstruction[0].timing.code.coding[0].code"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/timing/repeat/boundsDuration/value", Some("14")),
        &["#9.dosageInstruction[0].timing.repeat.bounds"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/timing/repeat/dayOfWeek", Some(r#"["mon"]"#)),
        &["#9.dosageInstruction[0].timing.repeat.dayOfWeek"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/maxDosePerPeriod", Some(r#"{"numerator":{"value":1}}"#)),
        &["#9.dosageInstruction[0].maxDosePerPeriod"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/method/coding/0/code", Some(r#""2""#)),
        &["#9.dosageInstruction[0].method"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/route/coding/0/code", Some(r#""AP""#)),
        &["#9.dosageInstruction[0].route"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/asNeededBoolean", Some("true")),
        &["#9.dispenseRequest.extension", "#9.dispenseRequest.expectedSupplyDuration"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/doseAndRate/0/rateRatio/numerator/value", Some("2")),
        &["#9.dispenseRequest.quantity.value"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/doseAndRate/0/rateRatio/numerator/value", Some(r#""1""#)),
        &["#9.dosageInstruction[0].doseAndRate[0].rate.numerator.value"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/doseAndRate/0/rateRatio/numerator/unit", Some(r#""包""#)),
        &[
            "#9.dosageInstruction[0].doseAndRate[0].rate.numerator.unit",
            "#9.dosageInstruction[0].doseAndRate[0].rate",
        ],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/doseAndRate/0/rateRatio/denominator/code", Some(r#""h""#)),
        &["#9.dosageInstruction[0].doseAndRate[0].rate.denominator.code"],
    ),
    (
        ("/entry/9/resource/dosageInstruction/0/doseAndRate/0/rateQuantity", Some(r#"{"value":1}"#)),
        &["#9.dosageInstruction[0].doseAndRate[0].rate"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/quantity/value", Some("28.5")),
        &["#9.dispenseRequest.quantity.value"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/quantity/comparator", Some(r#""<""#)),
        &["#9.dispenseRequest.quantity.comparator"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/expectedSupplyDuration/code", Some(r#""wk""#)),
        &["#9.dispenseRequest.expectedSupplyDuration.code"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/expectedSupplyDuration/value", Some("1000")),
        &["#9.dispenseRequest.expectedSupplyDuration.value"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/numberOfRepeatsAllowed", Some("3")),
        &["#9.dispenseRequest.numberOfRepeatsAllowed"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/numberOfRepeatsAllowed", Some("-1")),
        &["#9.dispenseRequest.numberOfRepeatsAllowed"],
    ),
    (
        ("/entry/10/resource/dispenseRequest/numberOfRepeatsAllowed", Some("2")),
        &["#10.dispenseRequest.numberOfRepeatsAllowed"],
    ),
    (
        ("/entry/9/resource/dispenseRequest/validityPeriod", Some(r#"{"start":"2026-11-20"}"#)),
        &["#9.dispenseRequest.validityPeriod"],
    ),
    (("/entry/9/resource/substitution/allowedBoolean", Some("false")), &["#9.substitution.allowed"]),
    (
        ("/entry/9/resource/substitution/allowedCodeableConcept/coding/0/code", Some(r#""4""#)),
        &["#9.substitution.allowed.coding[0].code"],
    ),
    (("/entry/10/resource/substitution/reason", Some(r#"{"text":"x"}"#)), &["#10.substitution.reason"]),
    (
        (
            "/entry/10/resource/dispenseRequest/extension/0/valueCodeableConcept/coding/0/code",
            Some(r#""XX""#),
        ),
        &["#10.dispenseRequest.extension[0].value.coding[0].code"],
    ),
    (
        ("/entry/10/resource/dosageInstruction/0/timing/code/coding/0/code", Some(r#""1011100000000000""#)),
        &["#10.dosageInstruction"],
    ),
    (
        ("/entry/11/resource/dosageInstruction/0/asNeededBoolean", Some("false")),
        &["#11.dispenseRequest.expectedSupplyDuration", "#11.dispenseRequest.extension"],
    ),
    (("/entry/11/resource/dispenseRequest/extension", None), &["#11.dispenseRequest.extension"]),
    (
        (
            "/entry/12/resource/dispenseRequest/expectedSupplyDuration",
            Some(r#"{"value":14,"system":"http://unitsofmeasure.org","code":"d"}"#),
        ),
        &["#12.dispenseRequest.expectedSupplyDuration"],
    ),
    (
        ("/entry/12/resource/dosageInstruction/1/timing/code/coding/0/code", Some(r#""2A72000000000000""#)),
        &["#12.dosageInstruction[1]"],
    ),
    (
        ("/entry/12/resource/dosageInstruction/0/site/coding/0/code", Some(r#""9500""#)),
        &["#12.dosageInstruction[0].site.coding[0].code"],
    ),
    (
        (
            "/entry/13/resource/dosageInstruction/0/additionalInstruction/1/coding/0/code",
            Some(r#""V31.0NNN""#),
        ),
        &["#13.dosageInstruction[0].additionalInstruction[1].coding"],
    ),
    (
        ("/entry/13/resource/dosageInstruction/0/additionalInstruction/3/coding/0/code", Some(r#""I11""#)),
        &[
            "#13.dosageInstruction[0].additionalInstruction[3].coding[0].code",
            "#13.dosageInstruction[0].timing.repeat.bounds",
        ],
    ),
    (
        ("/entry/13/resource/dosageInstruction/0/additionalInstruction/3", None),
        &["#13.dosageInstruction[0].timing.repeat.bounds"],
    ),
    (
        ("/entry/13/resource/dosageInstruction/0/extension/0/valueDuration/value", Some("13")),
        &["#13.dosageInstruction[0].extension[0].value"],
    ),
    // Communications.
    (("/entry/14/resource/extension/0/valueString", None), &["#14.extension[0].value"]),
    (("/entry/14/resource/category/0/coding/0/code", Some(r#""9""#)), &["#14.category[0].coding[0].code"]),
    (("/entry/14/resource/status", Some(r#""preparation""#)), &["#14.status"]),
    (
        ("/entry/16/resource/extension/0/valueCodeableConcept/coding/0/code", Some(r#""3""#)),
        &["#16.extension[0].value.coding[0].code"],
    ),
];

#[test]
fn each_broken_rule_names_its_place() {
    assert_eq!(places(&general()), [""; 0]);
    assert!(BROKEN.len() >= 60, "{}", BROKEN.len());
    let mut wrong = Vec::new();
    for (edit, expected) in BROKEN {
        let expected: Vec<String> = expected.iter().map(|place| place_of(place)).collect();
        let found = places(&edited(general(), *edit));
        if found != expected {
            wrong.push(format!("{edit:?}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `#9.status` as `Bundle.entry[9].resource.status`.
fn place_of(short: &str) -> String {
    match short.strip_prefix('#') {
        None => format!("Bundle.{short}"),
        Some(rest) => {
            let (index, rest) =
                rest.split_once('.').map_or((rest, ""), |(index, _)| (index, &rest[index.len()..]));
            format!("Bundle.entry[{index}].resource{rest}")
        }
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let mut document = edited(general(), ("/entry/1/resource/gender", Some(r#""other""#)));
    document = edited(document, ("/entry/9/resource/status", Some(r#""draft""#)));
    document = edited(document, ("/entry/14/resource/other", Some("1")));
    let expected: Vec<String> = ["#1.gender", "#14.other", "#9.status"].into_iter().map(place_of).collect();
    assert_eq!(places(&document), expected);
}

#[test]
fn narcotics_refills_and_parts_have_their_rules() {
    let narcotic = of_sj1(NARCOTIC);
    assert_eq!(places(&narcotic), [""; 0]);
    for (edit, expected) in [
        (("/entry/1/resource/address", None), "Bundle.entry[1].resource.address"),
        (("/entry/1/resource/telecom", None), "Bundle.entry[1].resource.telecom"),
    ] {
        assert_eq!(places(&edited(narcotic.clone(), edit)), [expected]);
    }
    let request = |document: &Value| {
        let entries = document["entry"].as_array().unwrap();
        entries.iter().position(|entry| entry["resource"]["resourceType"] == "MedicationRequest").unwrap()
    };
    let at = request(&narcotic);
    let mut refilled = narcotic;
    refilled["entry"][at]["resource"]["dispenseRequest"]["numberOfRepeatsAllowed"] = json!(1);
    let expected = format!("Bundle.entry[{at}].resource.dispenseRequest.numberOfRepeatsAllowed");
    assert_eq!(places(&refilled), [expected]);
    assert_eq!(
        of_sj1(REFILL)["entry"][request(&of_sj1(REFILL))]["resource"]["dispenseRequest"]["numberOfRepeatsAllowed"],
        2
    );

    let split = of_sj1(SPLIT);
    let read = read(split.to_string().as_bytes()).unwrap();
    assert_eq!(read.value.split.map(|split| (split.parts, split.part)), Some((3, 1)));
    let part = split["entry"]
        .as_array()
        .unwrap()
        .iter()
        .position(|entry| entry["resource"]["resourceType"] == "Bundle")
        .unwrap();
    assert!(read.lines[0].starts_with(&format!("Bundle.entry[{part}].resource.entry[")));
    let mut other = split.clone();
    other["entry"][1]["resource"]["birthDate"] = json!("1956-04-13");
    assert_eq!(places(&other), [format!("Bundle.entry[{part}].resource")]);
    let unsaid = edited(split.clone(), ("/entry/0/resource/extension/1", None));
    assert_eq!(places(&unsaid), ["Bundle.entry[0].resource.extension"]);
    let alone = split["entry"][part]["resource"].clone();
    assert!(places(&alone).iter().all(|place| place.ends_with("dispenseRequest.extension")));
    assert!(!places(&alone).is_empty());
}

#[test]
fn both_families_of_systems_are_read() {
    let mut text = GENERAL.to_owned();
    for (oid, url) in [
        (r#""urn:oid:1.2.392.100495.20.3.81""#, system::RP_NUMBER.0[1]),
        (r#""urn:oid:1.2.392.100495.20.3.82""#, system::LINE_NUMBER.0[1]),
        (r#""urn:oid:1.2.392.200250.2.2.20.20""#, system::USAGE_JAMI.0[1]),
        (r#""urn:oid:1.2.392.100495.20.2.61""#, system::INSURANCE_KIND_SYSTEM.0[1]),
    ] {
        assert!(text.contains(oid));
        text = text.replace(oid, &format!("\"{url}\""));
    }
    assert_eq!(read(text.as_bytes()).unwrap().value, read(GENERAL.as_bytes()).unwrap().value);
}

#[test]
fn faults_never_repeat_what_an_element_contained() {
    for fault in read(GENERAL.replace("official", "秘密").replace("active", "秘密").as_bytes()).unwrap_err()
    {
        assert!(!fault.to_string().contains("秘密") && !fault.to_string().contains("花子"), "{fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes).is_err());
    }

    /// Whatever is accepted says something, and is written and read again as the same.
    #[test]
    fn a_changed_byte_is_refused_or_understood(place in any::<prop::sample::Index>(), byte in prop_oneof![
        any::<u8>(),
        prop::sample::select(b"\",[]{}:0123456789".to_vec()),
    ]) {
        let mut bytes = GENERAL.as_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(first) = read(&bytes) {
            let again = read(&write(&first.value, &header())).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
            prop_assert_eq!(again.value, first.value);
        }
    }

    #[test]
    fn a_lost_line_is_refused_or_understood(line in any::<prop::sample::Index>(), lost in 1..4_usize) {
        let mut lines: Vec<&str> = GENERAL.lines().collect();
        let first = line.index(lines.len() - lost);
        lines.drain(first..first + lost);
        match read(lines.join("\n").as_bytes()) {
            Err(faults) => prop_assert!(!faults.is_empty()),
            Ok(read) => prop_assert!(!read.lines.is_empty()),
        }
    }
}

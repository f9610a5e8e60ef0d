//! `AllergyIntolerance` and `MedicationStatement`: what is reported of a patient, read strictly and written. Whose it is
//! the caller's token says; a reference to a patient is not looked at.

use serde_json::{Value, json};

use super::drug::{concept, drug_code};
use super::strict::primitive::{Moment, date_time, exactly, one_of, string, uri};
use super::strict::{self, Element, System, choice};
use super::task::INSTITUTION;
use super::{HIKIKAE, drug};
use crate::codec::fault::Fault;
use crate::prescription::identifier::DrugCode;
use crate::prescription::reported::{Allergy, AllergyCategory, Content, Medicine, Reported, Reporter};

const CLINICAL: System = System(&["http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"]);
const VERIFICATION: System =
    System(&["http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"]);

/// The longest text an entry may hold, in characters.
const LONGEST: usize = 300;
/// The most ingredients of a medicine.
const INGREDIENTS: usize = 20;

/// Reads an allergy that is active. Only a practitioner's may be `confirmed`.
///
/// # Errors
/// Every fault with its FHIRPath.
pub fn allergy_read(bytes: &[u8], by_patient: bool) -> Result<Allergy, Vec<Fault>> {
    strict::read(bytes, "AllergyIntolerance", |entry| {
        entry.one("clinicalStatus", |status| strict::concept(status, CLINICAL, one_of(&[("active", ())])));
        let confirmed = entry.maybe("verificationStatus", |status| {
            strict::concept(status, VERIFICATION, one_of(&[("unconfirmed", false), ("confirmed", true)]))
        });
        if confirmed == Some(true) && by_patient {
            entry.fault_of("verificationStatus", "expected unconfirmed: practitioners confirm");
        }
        let categories = AllergyCategory::ALL.map(|category| (category.as_str(), category));
        let category = entry.many("category", 0..=1, one_of(&categories)).pop();
        let named = entry.one("code", named);
        subject(entry, "patient");
        let noticed_on = entry.optional(choice("onset", "DateTime"), date_time).map(Moment::date);
        let reaction = entry.each("reaction", 0..=1, |reaction| {
            reaction.sole("manifestation", |manifestation| text(manifestation, "text"))
        });
        let (code, name) = named?;
        let reaction = reaction.into_iter().next();
        Some(Allergy { code, name, category, reaction, noticed_on, confirmed: confirmed == Some(true) })
    })
}

/// Reads a medicine the patient takes or took: named by a concept, or by a contained `Medication` with its ingredients.
///
/// # Errors
/// Every fault with its FHIRPath.
pub fn medicine_read(bytes: &[u8]) -> Result<Medicine, Vec<Fault>> {
    strict::read(bytes, "MedicationStatement", |entry| {
        let ended = entry.required("status", one_of(&[("active", false), ("completed", true)]));
        let contained = entry.each("contained", 0..=1, |medication| {
            medication.required("resourceType", exactly("Medication"));
            let ingredients = medication.each("ingredient", 0..=INGREDIENTS, |ingredient| {
                ingredient.one(choice("item", "CodeableConcept"), |item| text(item, "text"))
            });
            Some((medication.one("code", named)?, ingredients))
        });
        let medicine = if entry.has("contained") {
            entry.one(choice("medication", "Reference"), |reference| reference.required("reference", string));
            contained.into_iter().next()
        } else {
            entry.one(choice("medication", "CodeableConcept"), named).map(|named| (named, Vec::new()))
        };
        subject(entry, "subject");
        let period = entry.maybe(choice("effective", "Period"), |period| {
            let day = |period: &mut Element<'_, '_>, name| period.optional(name, date_time).map(Moment::date);
            Some((day(period, "start"), day(period, "end")))
        });
        let (from, until) = period.unwrap_or_default();
        if from.zip(until).is_some_and(|(from, until)| until < from) {
            entry.fault_of(choice("effective", "Period"), "expected an end that is not before the start");
        }
        if ended == Some(true) && until.is_none() {
            entry.fault_of(choice("effective", "Period"), "expected the last day of what is completed");
        }
        let note = entry.each("note", 0..=1, |note| text(note, "text")).pop();
        let ((code, name), ingredients) = medicine?;
        Some(Medicine { name, code, ingredients, from, until, note })
    })
}

/// A concept by a code that is known here, by words, or both.
fn named(concept: &mut Element<'_, '_>) -> Option<(Option<DrugCode>, String)> {
    let words = if concept.has("text") { text(concept, "text") } else { None };
    let codings = concept.each("coding", 0..=5, |coding| {
        let (system, code) = (coding.required("system", uri), coding.required("code", string));
        coding.optional("version", string);
        let display = if coding.has("display") { text(coding, "display") } else { None };
        let known = drug_code(&system?, &code?);
        if known.is_none() {
            coding.fault("expected a drug code of a system that is read here; name other things by text");
        }
        Some((known?, display))
    });
    let display = codings.iter().find_map(|(_, display)| display.clone());
    let Some(name) = words.or(display) else {
        concept.fault_of("text", "expected a name, here or as display of the code");
        return None;
    };
    Some((codings.into_iter().next().map(|(code, _)| code), name))
}

fn text(element: &mut Element<'_, '_>, name: &'static str) -> Option<String> {
    let text = element.required(name, string)?;
    if text.chars().count() > LONGEST {
        element.fault_of(name, "expected at most 300 characters");
    }
    Some(text)
}

/// A reference that is not looked at.
fn subject(entry: &mut Element<'_, '_>, name: &'static str) {
    entry.one(name, |reference| {
        reference.optional("reference", string);
        reference.optional("type", exactly("Patient"));
        reference.optional("display", string);
        Some(())
    });
}

/// Where a record comes from, as a tag of every resource that no signed document stands for.
pub fn source_tag(code: &str, display: &str) -> Value {
    json!({ "tag": [{ "system": format!("{HIKIKAE}/CodeSystem/record-source"), "code": code, "display": display }] })
}

/// The verified patient, whose id is nobody's business.
pub fn patient_reference() -> Value {
    json!({ "type": "Patient", "display": "verified patient" })
}

fn tag(by: &Reporter) -> Value {
    match by {
        Reporter::Patient => source_tag("self-reported", "患者の申告 reported by the patient"),
        Reporter::Facility { .. } => source_tag("facility-reported", "医療機関の記録 recorded by a facility"),
    }
}

/// The resource of an allergy.
pub fn allergy(entry: &Reported, allergy: &Allergy) -> Value {
    let verification = if allergy.confirmed { "confirmed" } else { "unconfirmed" };
    let coded =
        |system: System, code: &str| json!({ "coding": [{ "system": system.written(), "code": code }] });
    let mut resource = json!({
        "resourceType": "AllergyIntolerance",
        "id": entry.id,
        "meta": tag(&entry.by),
        "clinicalStatus": coded(CLINICAL, "active"),
        "verificationStatus": coded(VERIFICATION, verification),
        "code": concept(allergy.code.as_ref(), &allergy.name),
        "patient": patient_reference(),
        "recordedDate": entry.recorded_on,
    });
    if let Some(category) = allergy.category {
        resource["category"] = json!([category.as_str()]);
    }
    if let Some(day) = allergy.noticed_on {
        resource["onsetDateTime"] = json!(day);
    }
    if let Some(reaction) = &allergy.reaction {
        resource["reaction"] = json!([{ "manifestation": [{ "text": reaction }] }]);
    }
    resource["recorder"] = match &entry.by {
        Reporter::Patient => patient_reference(),
        Reporter::Facility { code, name, person } => json!({
            "type": "PractitionerRole",
            "identifier": { "system": INSTITUTION, "value": code },
            "display": format!("{name} {}", person.as_deref().unwrap_or_default()).trim(),
        }),
    };
    resource
}

/// The resource of a self-reported medicine.
pub fn medicine(entry: &Reported, medicine: &Medicine) -> Value {
    let mut period = json!({ "start": medicine.from.unwrap_or(entry.recorded_on) });
    if let Some(end) = medicine.until {
        period["end"] = json!(end);
    }
    let mut resource = json!({
        "resourceType": "MedicationStatement",
        "id": entry.id,
        "meta": tag(&entry.by),
        "status": if medicine.until.is_some() { "completed" } else { "active" },
        "subject": patient_reference(),
        "effectivePeriod": period,
        "dateAsserted": entry.recorded_on,
        "informationSource": patient_reference(),
    });
    let named = drug::concept(medicine.code.as_ref(), &medicine.name);
    if medicine.ingredients.is_empty() {
        resource["medicationCodeableConcept"] = named;
    } else {
        let item = |name: &String| json!({ "itemCodeableConcept": { "text": name } });
        resource["contained"] = json!([{
            "resourceType": "Medication",
            "id": "medication",
            "code": named,
            "ingredient": medicine.ingredients.iter().map(item).collect::<Vec<_>>(),
        }]);
        resource["medicationReference"] = json!({ "reference": "#medication" });
    }
    if let Some(note) = &medicine.note {
        resource["note"] = json!([{ "text": note }]);
    }
    resource
}

/// The resource of an entry; a claim is part of the shared history and has none of its own.
pub fn reported(entry: &Reported) -> Option<Value> {
    match &entry.content {
        Content::Allergy(it) => Some(allergy(entry, it)),
        Content::Medicine(it) => Some(medicine(entry, it)),
        Content::Claim(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: Content) -> Reported {
        let recorded_on = chrono::NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        Reported { id: uuid::Uuid::nil(), recorded_on, by: Reporter::Patient, content }
    }

    fn allergy_json() -> Value {
        json!({
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": { "coding": [{ "system": CLINICAL.written(), "code": "active" }] },
            "category": ["medication"],
            "code": { "text": "ロキソニン", "coding": [
                { "system": "urn:oid:1.2.392.100495.20.1.71", "code": "620098801" }
            ] },
            "patient": { "type": "Patient" },
            "onsetDateTime": "2020-02-29",
            "reaction": [{ "manifestation": [{ "text": "蕁麻疹" }] }],
        })
    }

    #[test]
    fn what_is_read_is_written() {
        let read = allergy_read(allergy_json().to_string().as_bytes(), true).unwrap();
        assert_eq!((read.name.as_str(), read.confirmed), ("ロキソニン", false));
        let written = reported(&entry(Content::Allergy(read.clone()))).unwrap();
        for member in ["code", "category", "onsetDateTime", "reaction"] {
            assert!(!written[member].is_null(), "{written}");
        }
        assert_eq!(written["meta"]["tag"][0]["code"], "self-reported");

        let statement = json!({
            "resourceType": "MedicationStatement",
            "status": "completed",
            "contained": [{ "resourceType": "Medication", "id": "m", "code": { "text": "頭痛薬" },
                "ingredient": [{ "itemCodeableConcept": { "text": "イブプロフェン" } }] }],
            "medicationReference": { "reference": "#m" },
            "subject": { "type": "Patient" },
            "effectivePeriod": { "start": "2026-03-01", "end": "2026-03-05" },
        });
        let read = medicine_read(statement.to_string().as_bytes()).unwrap();
        assert_eq!(
            (read.name.as_str(), read.ingredients.as_slice()),
            ("頭痛薬", &["イブプロフェン".to_owned()][..])
        );
        let written = reported(&entry(Content::Medicine(read.clone()))).unwrap();
        assert_eq!(
            (&written["status"], &written["effectivePeriod"]),
            (&json!("completed"), &statement["effectivePeriod"])
        );
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let mut wrong = allergy_json();
        wrong["clinicalStatus"]["coding"][0]["code"] = "resolved".into();
        wrong["verificationStatus"] =
            json!({ "coding": [{ "system": VERIFICATION.written(), "code": "confirmed" }] });
        wrong["code"]["coding"][0]["system"] = "http://example.org".into();
        wrong["onsetDateTime"] = "2021-02-29".into();
        wrong["criticality"] = "high".into();
        wrong["reaction"][0]["manifestation"][0]["text"] = "あ".repeat(301).into();
        let faults = allergy_read(wrong.to_string().as_bytes(), true).unwrap_err();
        let mut places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "AllergyIntolerance.clinicalStatus.coding[0].code",
                "AllergyIntolerance.code.coding[0]",
                "AllergyIntolerance.criticality",
                "AllergyIntolerance.onset",
                "AllergyIntolerance.reaction[0].manifestation[0].text",
                "AllergyIntolerance.verificationStatus",
            ]
        );
        let statement = json!({ "resourceType": "MedicationStatement", "status": "completed",
            "medicationCodeableConcept": { "text": "x" }, "subject": { "type": "Patient" } });
        assert_eq!(
            medicine_read(statement.to_string().as_bytes()).unwrap_err().len(),
            1,
            "its last day is missing"
        );
    }
}

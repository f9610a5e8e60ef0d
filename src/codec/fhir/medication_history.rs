//! `MedicationRequest` and `MedicationDispense` of the shared history: each medicine of a document as the exchange keeps
//! it for comparing, and medicines of claims. Each stands alone, names its source by a tag, and is never a signed
//! original: the prescription's id leads to that.

use serde_json::{Value, json};

use super::drug::concept;
use super::reported::{patient_reference, source_tag};
use super::task::{INSTITUTION, status};
use crate::check::{HistoryEntry, Period, Source};
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::reported::{Claim, Reported};
use crate::prescription::state::Shown;

/// The id of one medicine of an entry.
pub fn medicine_id(entry: &HistoryEntry, index: usize) -> String {
    let source = match entry.source {
        Source::Prescribed => "p",
        Source::Dispensed => "d",
        Source::InHouse | Source::Allergy | Source::SelfReported => "h",
    };
    format!("{}-{source}{}-{}", entry.prescription, entry.sequence, index + 1)
}

fn tag(source: Source) -> Value {
    match source {
        Source::InHouse => source_tag("in-house", "院内処方 given out by the clinic itself"),
        Source::Dispensed => source_tag("dispensing-result", "調剤結果 dispensing result"),
        Source::Prescribed | Source::Allergy | Source::SelfReported => {
            source_tag("prescription", "処方箋 prescription")
        }
    }
}

fn prescription(entry: &HistoryEntry) -> Value {
    json!({ "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", entry.prescription) })
}

fn institution(code: Option<&str>, name: &str) -> Value {
    let mut organization = json!({ "type": "Organization" });
    if let Some(code) = code {
        organization["identifier"] = json!({ "system": INSTITUTION, "value": code });
    }
    if !name.is_empty() {
        organization["display"] = name.into();
    }
    organization
}

/// A medicine as it was prescribed.
pub fn medication_request(entry: &HistoryEntry, period: &Period, id: &str) -> Value {
    let state = match status(entry.shown).0 {
        "requested" | "in-progress" => "active",
        "completed" => "completed",
        "cancelled" => "cancelled",
        _ => "stopped",
    };
    let code = period.institution.as_ref().map(InstitutionCode::as_str);
    json!({
        "resourceType": "MedicationRequest",
        "id": id,
        "meta": tag(entry.source),
        "status": state,
        "intent": "order",
        "groupIdentifier": prescription(entry),
        "medicationCodeableConcept": concept(period.code.as_ref(), &period.name),
        "subject": patient_reference(),
        "authoredOn": entry.issued_on,
        "requester": institution(code, &period.institution_name),
        "dispenseRequest": { "validityPeriod": { "start": period.interval.start, "end": period.interval.end } },
    })
}

/// A medicine as it was given out; an in-house one whose prescription was cancelled was not.
pub fn medication_dispense(entry: &HistoryEntry, period: &Period, id: &str) -> Value {
    let state = if entry.shown == Shown::Cancelled { "cancelled" } else { "completed" };
    let mut resource = json!({
        "resourceType": "MedicationDispense",
        "id": id,
        "meta": tag(entry.source),
        "status": state,
        "medicationCodeableConcept": concept(period.code.as_ref(), &period.name),
        "subject": patient_reference(),
        "authorizingPrescription": [{ "type": "MedicationRequest", "identifier": prescription(entry) }],
        "daysSupply": { "value": period.interval.days(), "unit": "日", "system": "http://unitsofmeasure.org", "code": "d" },
        "whenHandedOver": period.interval.start,
    });
    let by = entry.dispenser.as_ref().or(period.institution.as_ref());
    if let Some(code) = by {
        let name = if entry.dispenser.is_some() { "" } else { period.institution_name.as_str() };
        resource["performer"] = json!([{ "actor": institution(Some(code.as_str()), name) }]);
    }
    resource
}

/// A medicine an institution claimed for (レセプト由来): the month is all that is known of when.
pub fn claimed(entry: &Reported, claim: &Claim) -> Value {
    let name = if claim.name.is_empty() { claim.code.as_str() } else { &claim.name };
    let mut resource = json!({
        "resourceType": "MedicationDispense",
        "id": entry.id,
        "meta": source_tag("claims", "レセプト由来 from claims"),
        "status": "unknown",
        "medicationCodeableConcept": concept(Some(&claim.code), name),
        "subject": patient_reference(),
        "whenHandedOver": claim.month.format("%Y-%m").to_string(),
    });
    if let Ok(value) = claim.quantity.parse::<serde_json::Number>() {
        resource["quantity"] = json!({ "value": value });
    }
    if let Some(code) = entry.by.facility() {
        resource["performer"] = json!([{ "actor": institution(Some(code.as_str()), "") }]);
    }
    resource
}

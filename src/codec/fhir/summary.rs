//! A resource with the elements of its summary alone (R4 search.html#summary): those that R4 marks, and those that
//! must be there. Knows the resources that searches find.

use serde_json::{Map, Value, json};

/// In the summary of every resource.
const ALWAYS: &[&str] = &["resourceType", "id", "meta", "implicitRules", "modifierExtension"];

/// What R4's definitions of the resources mark.
const MARKED: &[(&str, &[&str])] = &[
    (
        "AllergyIntolerance",
        &[
            "identifier",
            "clinicalStatus",
            "verificationStatus",
            "type",
            "category",
            "criticality",
            "code",
            "patient",
            "asserter",
        ],
    ),
    (
        "AuditEvent",
        &[
            "type",
            "subtype",
            "action",
            "recorded",
            "outcome",
            "outcomeDesc",
            "purposeOfEvent",
            "agent",
            "source",
        ],
    ),
    (
        "Consent",
        &[
            "identifier",
            "status",
            "scope",
            "category",
            "patient",
            "dateTime",
            "performer",
            "organization",
            "policyRule",
            "provision",
        ],
    ),
    ("MedicationDispense", &["status", "medicationCodeableConcept", "medicationReference", "subject"]),
    (
        "MedicationRequest",
        &[
            "status",
            "intent",
            "priority",
            "doNotPerform",
            "reportedBoolean",
            "reportedReference",
            "medicationCodeableConcept",
            "medicationReference",
            "subject",
            "authoredOn",
            "requester",
            "performerType",
            "basedOn",
            "groupIdentifier",
        ],
    ),
    (
        "MedicationStatement",
        &[
            "identifier",
            "basedOn",
            "partOf",
            "status",
            "category",
            "medicationCodeableConcept",
            "medicationReference",
            "subject",
            "context",
            "effectiveDateTime",
            "effectivePeriod",
            "dateAsserted",
        ],
    ),
    (
        "Task",
        &[
            "identifier",
            "basedOn",
            "groupIdentifier",
            "partOf",
            "status",
            "statusReason",
            "businessStatus",
            "intent",
            "code",
            "description",
            "focus",
            "for",
            "encounter",
            "executionPeriod",
            "lastModified",
            "requester",
            "owner",
            "location",
        ],
    ),
];

/// The summary of a resource, tagged as not the whole. A resource that is not in the table is answered whole.
pub fn summary(resource: &Value) -> Value {
    let marked = MARKED.iter().find(|(kind, _)| resource["resourceType"] == **kind);
    let (Some((_, marked)), Some(elements)) = (marked, resource.as_object()) else { return resource.clone() };
    let mut kept: Map<String, Value> = elements
        .iter()
        .filter(|(name, _)| ALWAYS.contains(&name.as_str()) || marked.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // A reference to what the resource contains leads nowhere without it.
    if kept.values().any(refers_inside)
        && let Some(contained) = elements.get("contained")
    {
        kept.insert("contained".to_owned(), contained.clone());
    }
    let mut kept = Value::Object(kept);
    tag(&mut kept);
    kept
}

/// Takes the narrative out of a resource that has one, and tags what is left.
pub fn without_narrative(resource: &mut Value) {
    if resource.as_object_mut().is_some_and(|elements| elements.shift_remove("text").is_some()) {
        tag(resource);
    }
}

fn tag(resource: &mut Value) {
    let tag = json!({
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
        "code": "SUBSETTED",
    });
    match resource["meta"]["tag"].as_array_mut() {
        Some(tags) => tags.push(tag),
        None => resource["meta"]["tag"] = json!([tag]),
    }
}

fn refers_inside(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            name == "reference" && value.as_str().is_some_and(|to| to.starts_with('#'))
                || refers_inside(value)
        }),
        Value::Array(items) => items.iter().any(refers_inside),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_what_is_marked_and_says_that_it_is_one() {
        let task = json!({
            "resourceType": "Task", "id": "1", "meta": { "versionId": "2" }, "extension": [{ "url": "x" }],
            "status": "requested", "intent": "order", "authoredOn": "2026-04-01T00:00:00Z",
            "restriction": { "repetitions": 1 },
        });
        let summary = summary(&task);
        let names: Vec<&str> = summary.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["resourceType", "id", "meta", "status", "intent"]);
        assert_eq!(
            (&summary["meta"]["versionId"], &summary["meta"]["tag"][0]["code"]),
            (&"2".into(), &"SUBSETTED".into())
        );
    }

    #[test]
    fn what_a_summary_refers_to_stays_in_it() {
        let statement = |medicine: Value| {
            let mut resource = json!({
                "resourceType": "MedicationStatement", "meta": { "tag": [{ "code": "self-reported" }] },
                "contained": [{ "resourceType": "Medication", "id": "m" }], "note": [{ "text": "x" }],
            });
            resource.as_object_mut().unwrap().extend(medicine.as_object().unwrap().clone());
            summary(&resource)
        };
        let inside = statement(json!({ "medicationReference": { "reference": "#m" } }));
        assert_eq!((inside["contained"][0]["id"].as_str(), inside.get("note")), (Some("m"), None));
        assert_eq!(inside["meta"]["tag"].as_array().unwrap().len(), 2);
        let coded = statement(json!({ "medicationCodeableConcept": { "text": "x" } }));
        assert_eq!(coded.get("contained"), None);
    }
}

//! `Task`: one prescription as its life goes on.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::HIKIKAE;
use super::coverage::coverage;
use crate::check::Coverage;
use crate::prescription::registered::{Registered, Viewer};
use crate::prescription::state::{Kind, Shown};

/// System of the exchange number (引換番号).
pub const EXCHANGE_NUMBER: &str = "https://hikikae.dev/fhir/exchange-number";
/// System of an institution code (医療機関コード, 10 digits).
pub const INSTITUTION: &str = "http://jpfhir.jp/fhir/Common/IdSystem/insurance-medical-institution-no";

/// `Task.status` and `Task.businessStatus` code of a shown state.
pub fn status(shown: Shown) -> (&'static str, &'static str) {
    match shown {
        Shown::Issued => ("requested", "issued"),
        Shown::AwaitingNextUse => ("requested", "awaiting-next-use"),
        Shown::Accepted => ("in-progress", "accepted"),
        Shown::PartlyDispensed => ("in-progress", "partly-dispensed"),
        Shown::Dispensed => ("completed", "dispensed"),
        Shown::Cancelled => ("cancelled", "cancelled"),
        Shown::Collected => ("rejected", "collected"),
        Shown::Expired => ("failed", "expired"),
    }
}

/// An instant as FHIR writes it.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The resource as `viewer` may see it.
pub fn task(prescription: &Registered, viewer: Viewer, now: DateTime<Utc>) -> Value {
    let life = &prescription.life;
    let (status, business) = status(life.shown(now));
    let mut identifier =
        vec![json!({ "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", prescription.id) })];
    if let Some(number) = &prescription.exchange_number
        && matches!(viewer, Viewer::Clinic | Viewer::Patient)
    {
        identifier.push(json!({ "system": EXCHANGE_NUMBER, "value": number.as_str() }));
    }
    let mut requester =
        json!({ "identifier": { "system": INSTITUTION, "value": prescription.clinic.as_str() } });
    if let Some(name) = &prescription.clinic_name {
        requester["display"] = json!(name);
    }
    let mut resource = json!({
        "resourceType": "Task",
        "id": prescription.id,
        "meta": { "versionId": prescription.version.to_string(), "lastUpdated": instant(prescription.changed_at) },
        "extension": extensions(prescription, viewer, now),
        "identifier": identifier,
        "status": status,
        "businessStatus": {
            "coding": [{ "system": format!("{HIKIKAE}/CodeSystem/prescription-state"), "code": business }]
        },
        "intent": "order",
        "code": { "coding": [{ "system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill" }] },
        "authoredOn": instant(prescription.registered_at),
        "lastModified": instant(prescription.changed_at),
        "requester": requester,
        "restriction": {
            "repetitions": life.terms.uses_allowed,
            "period": {
                "start": prescription.issued_on,
                "end": life.acceptable_until(),
            },
        },
    });
    if let Some(pharmacy) = life.pharmacy(now) {
        resource["owner"] = json!({ "identifier": { "system": INSTITUTION, "value": pharmacy } });
    }
    resource
}

/// What FHIR has no element for: how it was issued, the lease, the due date, the document in force, and for the
/// clinic what the pharmacist wants the physician to read.
fn extensions(prescription: &Registered, viewer: Viewer, now: DateTime<Utc>) -> Vec<Value> {
    let life = &prescription.life;
    let kind = match life.kind {
        Kind::Electronic => "electronic",
        Kind::Paper => "paper",
        Kind::InHouse => "in-house",
    };
    let mut extensions = vec![
        extension("issue-kind", "valueCode", &json!(kind)),
        extension("document-version", "valuePositiveInt", &json!(prescription.document.number)),
    ];
    if let Some(end) = life.lease_end(now) {
        extensions.push(extension("lease-end", "valueInstant", &json!(instant(end))));
    }
    if let Some(due) = life.due().filter(|_| life.shown(now) == Shown::AwaitingNextUse) {
        extensions.push(extension("due-date", "valueDate", &json!(due)));
    }
    if viewer == Viewer::Clinic {
        let important = life.results.important();
        extensions.extend(
            important.map(|number| extension("important-information", "valuePositiveInt", &json!(number))),
        );
    }
    extensions
}

fn extension(name: &str, choice: &str, value: &Value) -> Value {
    json!({ "url": format!("{HIKIKAE}/StructureDefinition/{name}"), choice: value })
}

/// Puts what the medication check of an act could not see into the Task that answers it.
pub fn with_coverage(mut task: Value, unseen: &Coverage) -> Value {
    if !unseen.is_complete() {
        let mut contained = coverage(unseen);
        contained["id"] = json!("coverage");
        task["contained"] = json!([contained]);
        if let Some(extensions) = task["extension"].as_array_mut() {
            extensions.push(extension(
                "check-coverage",
                "valueReference",
                &json!({ "reference": "#coverage" }),
            ));
        }
    }
    task
}

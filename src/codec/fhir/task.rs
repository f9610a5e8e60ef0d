//! `Task`: one prescription as its life goes on.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::HIKIKAE;
use crate::prescription::registered::Registered;
use crate::prescription::state::Shown;

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
        Shown::Expired => ("failed", "expired"),
    }
}

/// An instant as FHIR writes it.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The resource. Only the issuing clinic and the patient are shown the exchange number.
pub fn task(prescription: &Registered, show_number: bool, now: DateTime<Utc>) -> Value {
    let (status, business) = status(prescription.life.shown(now));
    let mut identifier =
        vec![json!({ "system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{}", prescription.id) })];
    if show_number {
        identifier.push(json!({ "system": EXCHANGE_NUMBER, "value": prescription.exchange_number.as_str() }));
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
            "repetitions": prescription.life.uses.allowed,
            "period": {
                "start": prescription.issued_on,
                "end": prescription.life.acceptable_until(),
            },
        },
    });
    if let Some(pharmacy) = prescription.life.pharmacy(now) {
        resource["owner"] = json!({ "identifier": { "system": INSTITUTION, "value": pharmacy } });
    }
    if let Some(end) = prescription.life.lease_end(now) {
        resource["extension"] = json!([
            { "url": format!("{HIKIKAE}/StructureDefinition/lease-end"), "valueInstant": instant(end) }
        ]);
    }
    resource
}

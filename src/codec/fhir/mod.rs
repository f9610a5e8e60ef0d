//! FHIR R4: strict reading of signed documents ([`strict`]), and renderings of the exchange's answers, which are
//! never signed.

pub mod audit_event;
pub mod consent;
pub mod coverage;
pub mod detected_issue;
pub mod dispensing;
pub mod drug;
pub mod medication_history;
pub mod medication_order;
pub mod outcome;
pub mod parameters;
pub mod patient;
pub mod prescription;
pub mod related_person;
pub mod reported;
pub mod strict;
pub mod summary;
pub mod task;
pub mod verdict;

/// Base of the code systems and extensions the contract defines.
pub const HIKIKAE: &str = "https://hikikae.dev/fhir";

/// A `collection` Bundle of resources.
pub fn collection(resources: impl IntoIterator<Item = serde_json::Value>) -> serde_json::Value {
    let entry: Vec<_> = resources.into_iter().map(|r| serde_json::json!({ "resource": r })).collect();
    let mut bundle = serde_json::json!({ "resourceType": "Bundle", "type": "collection" });
    // FHIR JSON has no empty arrays.
    if !entry.is_empty() {
        bundle["entry"] = entry.into();
    }
    bundle
}

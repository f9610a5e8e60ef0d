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

use serde_json::Value;

/// Base of the code systems and extensions the contract defines.
pub const HIKIKAE: &str = "https://hikikae.dev/fhir";

/// An object of these members. They are moved into it, where `json!` copies every value it is given.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A `collection` Bundle of resources.
pub fn collection(resources: impl IntoIterator<Item = Value>) -> Value {
    let entry: Vec<_> = resources.into_iter().map(|resource| object([("resource", resource)])).collect();
    let mut bundle = object([("resourceType", "Bundle".into()), ("type", "collection".into())]);
    // FHIR JSON has no empty arrays.
    if !entry.is_empty() {
        bundle["entry"] = entry.into();
    }
    bundle
}

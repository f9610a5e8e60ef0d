//! 調剤結果 as a FHIR document: a Bundle of Composition, Patient, Coverage, Organization, Practitioner, one
//! `MedicationDispense` a drug line, and a Binary that holds the prescription as it was delivered. No profile of it is
//! published; where JP Core has an element it is used, where not, an extension of ours (docs/mapping.md). Strict in,
//! exact out; knows no signature.

mod amount;
mod code;
mod line;
mod reading;
#[cfg(test)]
mod tests;
mod writing;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::strict;
use crate::codec::cj1;
use crate::codec::fault::{Fault, Form};
use crate::prescription::dispensing::Dispensing;

/// A dispensing document that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispensingDocument {
    /// What it says.
    pub dispensing: Dispensing,
    /// Where each drug line stands, in order: `Bundle.entry[5].resource`.
    pub places: Vec<String>,
    /// The prescription it answers; a result on paper may have none.
    pub prescription: Option<Embedded>,
}

/// The prescription within a dispensing document, byte for byte as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Its media type: `application/jose` or `application/xml`.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it stands: `Bundle.entry[7].resource`.
    pub place: String,
}

/// Reads a dispensing document.
///
/// # Errors
/// Every fault, with its FHIRPath.
pub fn read(bytes: &[u8]) -> Result<DispensingDocument, Vec<Fault>> {
    let document = strict::read(bytes, "Bundle", reading::document)?;
    // The rules that hold for a dispensing result in any form stand in the other form: what it would not take, this
    // one does not either.
    cj1::read(&cj1::write(&document.dispensing, &Form::default())).map_err(|faults| {
        let told = faults.into_iter().map(|fault| Fault {
            place: "Bundle".to_owned(),
            message: format!("{} ({})", fault.message, fault.place),
        });
        told.collect::<Vec<_>>()
    })?;
    Ok(document)
}

/// Whether a document says of itself that it is a dispensing result. Nothing else of it is read.
pub fn is_one(bytes: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let codings = document["entry"][0]["resource"]["type"]["coding"].as_array();
    codings.into_iter().flatten().any(|coding| {
        coding["system"].as_str().is_some_and(|system| code::DOCUMENT_KIND.is(system))
            && coding["code"] == code::DOCUMENT_KIND_DISPENSING
    })
}

/// Writes a dispensing document, made at an instant, with the prescription it answers: its media type and bytes.
pub fn write(
    dispensing: &Dispensing,
    prescription: Option<(&str, &[u8])>,
    made_at: DateTime<Utc>,
) -> Vec<u8> {
    writing::document(dispensing, prescription, made_at).to_string().into_bytes()
}

//! The prescription (処方箋) as a FHIR document: the Bundle of the JP ePrescription profile, read strictly and written
//! with one of the names each system has. What the profile has no element for stands in our own extensions
//! (docs/mapping.md). Knows no signature: a Bundle comes out of a JWS or unsigned.

mod communication;
mod composition;
mod dosage;
mod insurance;
mod party;
mod quantity;
mod request;
mod request_writing;
mod sequence;
mod supplement;
mod system;
#[cfg(test)]
mod tests;
mod writing;

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde_json::Value;

use super::strict;
use super::strict::primitive::Moment;
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::prescription::document::Prescription;

/// A prescription that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub value: Prescription,
    /// Where the request of each drug line stands, in the order of the lines of `value`:
    /// `Bundle.entry[7].resource`.
    pub lines: Vec<String>,
    /// What is odd about it, or said in the document and not kept here, but no reason to refuse it.
    pub warnings: Vec<Fault>,
}

/// What a document says of itself, which the domain does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last two parts of the document's number: year and eight digits, `2026-00000001`.
    pub number: String,
    /// When it was written; at least to the second.
    pub date: DateTime<FixedOffset>,
}

/// Reads a prescription.
///
/// # Errors
/// Everything wrong with it, with FHIRPaths; at most 200, then one that says how many were left out.
pub fn read(bytes: &[u8]) -> Result<Read, Vec<Fault>> {
    strict::read(bytes, "Bundle", composition::bundle)
}

/// Writes a prescription. The same prescription and header give the same bytes.
pub fn write(prescription: &Prescription, header: &Header) -> Vec<u8> {
    writing::document(prescription, header).to_string().into_bytes()
}

/// The Japanese day of a moment.
fn japanese_day(moment: Moment) -> NaiveDate {
    match moment {
        Moment::Date(date) => date,
        Moment::Time(time) => japanese_date(time.into()),
    }
}

/// Adds extensions to an element; FHIR has no empty arrays.
fn extend(element: &mut Value, extensions: Vec<Value>) {
    if extensions.is_empty() {
        return;
    }
    match element["extension"].as_array_mut() {
        Some(there) => there.extend(extensions),
        None => element["extension"] = Value::Array(extensions),
    }
}

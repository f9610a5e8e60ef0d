//! SJ1: the prescription as CSV (UTF-8, LF), the records of JAHIS 院外処方箋2次元シンボル with those the national
//! service adds. Strict in, exact out; knows no envelope and no signature.

mod body;
mod code;
mod head;
mod outline;
#[cfg(test)]
mod tests;
mod writing;

use super::fault::{Fault, Form, Read};
use super::log::Log;
use super::row::Source;
use crate::prescription::document::Prescription;

const NAME: &str = "SJ1";

/// Reads a prescription. For everything accepted, [`write()`] with the value and form gives back `bytes`.
///
/// # Errors
/// Every fault of the document, in its order; at most 200, then one that says how many were left out.
pub fn read(bytes: &[u8]) -> Result<Read<Prescription>, Vec<Fault>> {
    let mut log = Log::new(NAME);
    let Some(source) = Source::split(bytes, &mut log) else {
        return Err(log.into_faults());
    };
    let outline = outline::Outline::of(&source.rows, &mut log);
    let head = head::read(&outline, &mut log);
    let groups = body::groups(&outline, &mut log);
    let clinical_notes = body::clinical_notes(&outline, &mut log);
    let laboratory_values = body::laboratory_values(&outline, &mut log);
    let value = head.map(|head| Prescription { groups, clinical_notes, laboratory_values, ..head });
    log.into_read(value, &source, writing::rows)
}

/// Writes a prescription as `form` says; the default form is the canonical writing. Of a value that was not
/// read, commas in texts become full-width ones and control characters spaces.
pub fn write(prescription: &Prescription, form: &Form) -> Vec<u8> {
    writing::rows(prescription).into_bytes(form)
}

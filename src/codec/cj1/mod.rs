//! CJ1: the dispensing result as CSV (UTF-8, LF), the layout of the medicine notebook (お薬手帳) with the records
//! 6, 7 and 511 of the national service. Strict in, exact out; knows no envelope and no signature.

pub(super) mod code;
mod outline;
mod reading;
#[cfg(test)]
mod tests;
pub(super) mod writing;

use super::fault::{Fault, Form, Read};
use super::log::Log;
use super::row::Source;
use super::text::{self, TextForm};
use crate::prescription::dispensing::Dispensing;

const NAME: &str = "CJ1";

/// Reads a dispensing result. For everything accepted, [`write()`] with the value and form gives back `bytes`.
///
/// # Errors
/// Every fault of the document, in its order; at most 200, then one that says how many were left out.
pub fn read(bytes: &[u8]) -> Result<Read<Dispensing>, Vec<Fault>> {
    let mut log = Log::new(NAME);
    let Some(source) = text::national(bytes, &mut log).and_then(|text| Source::split(text, &mut log)) else {
        return Err(log.into_faults());
    };
    let outline = outline::Outline::of(&source.rows, &mut log);
    let value = reading::dispensing(&outline, &mut log);
    log.into_read(value, &source, writing::rows)
}

/// Writes a dispensing result as `form` says; the default form is the canonical writing. Of a value that was
/// not read, commas in texts become full-width ones and control characters spaces.
pub fn write(dispensing: &Dispensing, form: &Form) -> Vec<u8> {
    writing::rows(dispensing).into_bytes(form, TextForm::NATIONAL)
}

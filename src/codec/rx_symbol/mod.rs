//! 院外処方箋2次元シンボル (JAHIS10): a prescription as the two-dimensional symbol on paper carries it. The records are
//! those of SJ1, read and written by the same tables; here are its header, its text form and its dates by era.
//!
//! A paper prescription shows what the symbol cannot say: 提供診療情報 and 検査値 are left out, and a usage code of the
//! national service's own master is left to its name.

#[cfg(test)]
mod tests;

use super::era::EraName;
use super::fault::{Fault, Form, Read};
use super::log::Log;
use super::sj1::{self, Dialect};
use super::text::{self, TextForm};
use crate::prescription::document::Prescription;

const TEXT: TextForm = TextForm { end_of_file: true, ..TextForm::DOS };

/// Reads a symbol's content. For everything accepted, [`write()`] with the value and form gives back `bytes`.
///
/// # Errors
/// Every fault of the document, in its order; at most 200, then one that says how many were left out.
pub fn read(bytes: &[u8]) -> Result<Read<Prescription>, Vec<Fault>> {
    let mut log = Log::new(Dialect::Symbol.name()).with_eras(EraName::Digit);
    match text::dos(bytes, &mut log) {
        Some((text, form)) => sj1::read_text((&text, form), Dialect::Symbol, log),
        None => Err(log.into_faults()),
    }
}

/// Writes a symbol's content as `form` says; the default form is the canonical writing: Shift_JIS, CR LF, EOF. Of a
/// value that was not read, commas become full-width ones, control characters spaces, and what Shift_JIS has not ■.
pub fn write(prescription: &Prescription, form: &Form) -> Vec<u8> {
    sj1::rows(prescription, Dialect::Symbol).into_bytes(form, TEXT)
}

//! SJ1: the prescription as CSV (UTF-8, LF), the records of JAHIS 院外処方箋2次元シンボル with those the national
//! service adds. Strict in, exact out; knows no envelope and no signature. The symbol itself is written by the same
//! tables, as another `Dialect`.

mod body;
mod code;
mod head;
mod outline;
#[cfg(test)]
mod tests;
mod writing;

use chrono::NaiveDate;

use super::era::{self, EraName};
use super::fault::{Fault, Form, Read};
use super::log::Log;
use super::row::Source;
use super::spelling::Rows;
use super::text::{self, TextForm};
use crate::prescription::document::Prescription;

/// The forms that the records of 院外処方箋2次元シンボル are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// SJ1 of the national service.
    National,
    /// The symbol itself (JAHIS10): without what the national service adds, dates by era.
    Symbol,
}

impl Dialect {
    /// The header, which also opens every place.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::National => "SJ1",
            Self::Symbol => "JAHIS10",
        }
    }

    fn date(self, date: NaiveDate) -> String {
        match self {
            Self::National => date.format("%Y%m%d").to_string(),
            Self::Symbol => era::write(date, EraName::Digit),
        }
    }
}

/// Reads a prescription. For everything accepted, [`write()`] with the value and form gives back `bytes`.
///
/// # Errors
/// Every fault of the document, in its order; at most 200, then one that says how many were left out.
pub fn read(bytes: &[u8]) -> Result<Read<Prescription>, Vec<Fault>> {
    let mut log = Log::new(Dialect::National.name());
    match text::national(bytes, &mut log) {
        Some(text) => read_text(text, Dialect::National, log),
        None => Err(log.into_faults()),
    }
}

/// Reads the text of a prescription in either form.
pub(super) fn read_text(
    text: (&str, TextForm),
    dialect: Dialect,
    mut log: Log,
) -> Result<Read<Prescription>, Vec<Fault>> {
    let Some(source) = Source::split(text, &mut log) else {
        return Err(log.into_faults());
    };
    let outline = outline::Outline::of(&source.rows, dialect, &mut log);
    let head = head::read(&outline, &mut log);
    let groups = body::groups(&outline, dialect, &mut log);
    let clinical_notes = body::clinical_notes(&outline, &mut log);
    let laboratory_values = body::laboratory_values(&outline, &mut log);
    let value = head.map(|head| Prescription { groups, clinical_notes, laboratory_values, ..head });
    log.into_read(value, &source, |prescription| rows(prescription, dialect))
}

/// The canonical rows of a prescription.
pub(super) fn rows(prescription: &Prescription, dialect: Dialect) -> Rows {
    writing::rows(prescription, dialect)
}

/// Writes a prescription as `form` says; the default form is the canonical writing. Of a value that was not
/// read, commas in texts become full-width ones and control characters spaces.
pub fn write(prescription: &Prescription, form: &Form) -> Vec<u8> {
    rows(prescription, Dialect::National).into_bytes(form, TextForm::NATIONAL)
}

//! Rows of comma-separated cells: what all CSV forms have in common. Splits hostile text into rows within bounds;
//! knows no record of any form.

use super::log::Log;
use super::text::TextForm;

/// The most rows read.
const MAX_ROWS: usize = 2_000;

/// One row of a document.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Line number from 1.
    pub line: usize,
    /// The cells; the first is the record number.
    pub cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// An item by its number in the record tables: 1 is the first after the record number. Cells that were not
    /// written are empty.
    pub fn item(&self, item: usize) -> &'a str {
        self.cells.get(item).copied().unwrap_or("")
    }

    /// The record number as written.
    pub fn record(&self) -> &'a str {
        self.item(0)
    }

    /// The record number, if it is one as the standards write it: without zeros before it.
    pub fn record_number(&self) -> Option<u16> {
        record_number(self.record())
    }

    /// The number in an item, if it is one of at most `digits` digits.
    pub fn number(&self, item: usize, digits: usize) -> Option<u16> {
        parse_number(self.item(item), digits)
    }
}

/// The number of a record as it is written.
pub(super) fn record_number(written: &str) -> Option<u16> {
    parse_number(written, 3).filter(|_| !written.starts_with('0'))
}

/// A number of at most so many digits, and nothing but digits.
pub(super) fn parse_number(text: &str, digits: usize) -> Option<u16> {
    let shaped = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if shaped { text.parse().ok() } else { None }
}

/// A document as rows.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The rows, the header first.
    pub rows: Vec<Row<'a>>,
    /// How the text they are in was written.
    pub form: TextForm,
}

impl<'a> Source<'a> {
    /// Splits a text into rows. `None` when it cannot be read as rows at all; then a fault says why.
    pub fn split((text, form): (&'a str, TextForm), log: &mut Log) -> Option<Self> {
        if text.split('\n').nth(MAX_ROWS).is_some() {
            log.fault_at(None, None, format!("expected at most {MAX_ROWS} lines"));
            return None;
        }
        let mut rows = Vec::new();
        let mut carriage_return_seen = false;
        for (index, written) in text.split('\n').enumerate() {
            let line = index + 1;
            let content = written.strip_suffix('\r').unwrap_or(written);
            if content.len() < written.len() && !carriage_return_seen {
                carriage_return_seen = true;
                log.fault_at(Some(line), None, "expected lines ending in LF: write LF, not CR LF");
            }
            if content.is_empty() {
                log.fault_at(Some(line), None, "expected a record, found an empty line");
                continue;
            }
            if content.chars().any(is_refused) {
                log.fault_at(Some(line), None, "expected no control or direction-changing characters");
            }
            let cells: Vec<&str> = content.split(',').collect();
            if cells.iter().any(|cell| cell.starts_with('"')) {
                log.fault_at(Some(line), None, "expected fields without quotation marks around them");
            }
            rows.push(Row { line, cells });
        }
        Some(Self { rows, form })
    }
}

/// Characters no field may hold: controls, and those that change how the text around them is shown.
pub(super) fn is_refused(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{feff}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

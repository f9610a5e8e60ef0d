//! What reading a document answers: the value with the form it was written in, or every fault at once.
//! Places and expectations only; a fault never repeats what a field contained.

use std::fmt;

use super::text::TextForm;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `SJ1[line 12].201.6` is item 6 of the 201 record on line 12 (item 1 is the first field after the
    /// record number). A record that is missing altogether has no line: `SJ1.51`.
    pub place: String,
    /// What was expected, for people. Never the content of a field.
    pub message: String,
}

/// Every drug line (record 201) of a payload that reads, in order, with its place: `SJ1[line 12]`.
pub fn drug_lines<'a>(form: &'a str, payload: &'a str) -> impl Iterator<Item = (String, &'a str)> {
    payload
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("201,"))
        .map(move |(index, line)| (format!("{form}[line {}]", index + 1), line))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A document that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What it says.
    pub value: T,
    /// How it was written.
    pub form: Form,
    /// What is odd about it but no reason to refuse it.
    pub warnings: Vec<Fault>,
}

/// How a document was written, as far as the domain does not carry it: with the value it gives back the bytes.
/// The default is the canonical writing: every column of every record, in the text form of the document's kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub(super) rows: Vec<RowForm>,
    /// How the text was written; `None` as documents of the kind are.
    pub(super) text: Option<TextForm>,
}

/// How one row was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowForm {
    /// Columns written, the record number included.
    pub columns: usize,
    /// Cells whose text differs from the canonical text of the same meaning.
    pub spellings: Vec<Spelling>,
}

/// A cell written otherwise than canonically, such as record 60 for 61 or `30` for `030`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spelling {
    pub column: usize,
    pub canonical: String,
    pub written: String,
}

//! 電子版お薬手帳 (JAHISTC): the medicine notebook as pharmacies hand it to patients and patients show it to others.
//! Strict in, exact out. A notebook is kept as its records say it, cell by cell, because it is passed on whole: by era
//! or not, with or without the commas at the end of a row. What it means is taken from it by `import` and put into it
//! by [`export`].

mod export;
mod import;
mod outline;
mod parts;
mod record;
mod split;
#[cfg(test)]
mod tests;

pub use export::{Dispensed, export};
pub use parts::read_parts;
pub use split::{JoinError, SplitError, join, split};

use super::era::EraName;
use super::fault::{Fault, Form, Read};
use super::log::Log;
use super::row::{Row, Source, parse_number};
use super::spelling::Rows;
use super::text::{self, TextForm};
use record::Record;

const NAME: &str = "TC";
const HEADER: &str = "JAHISTC";
/// What a header that cannot be read is taken for.
const CURRENT: u8 = Version::Tc08.number();
/// The oldest whose own records are known.
const BEFORE: u8 = Version::Tc07.number();

/// The versions that are written: the current one and the one before, which older programs still read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// JAHISTC07, Ver.2.4.
    Tc07,
    /// JAHISTC08, Ver.2.5 and 2.6.
    #[default]
    Tc08,
}

impl Version {
    /// The headers, the current first.
    pub const NAMES: [&str; 2] = ["JAHISTC08", "JAHISTC07"];

    /// The version of a header.
    pub fn parse(header: &str) -> Option<Self> {
        let [current, before] = Self::NAMES;
        match header {
            _ if header == current => Some(Self::Tc08),
            _ if header == before => Some(Self::Tc07),
            _ => None,
        }
    }

    /// The number in the header.
    const fn number(self) -> u8 {
        match self {
            Self::Tc07 => 7,
            Self::Tc08 => 8,
        }
    }
}

/// A notebook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notebook {
    /// The number in its header.
    version: u8,
    /// 出力区分.
    class: Class,
    records: Vec<Cells>,
}

/// A record: its cells as they were written, the record number first.
type Cells = Vec<String>;

/// 出力区分: who gives the notebook to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1 医療機関・薬局から患者等.
    ToPatient,
    /// 2 患者等から医療機関・薬局.
    FromPatient,
}

impl Class {
    const fn code(self) -> &'static str {
        match self {
            Self::ToPatient => "1",
            Self::FromPatient => "2",
        }
    }
}

impl Notebook {
    /// 出力区分.
    pub fn class(&self) -> Class {
        self.class
    }

    fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        rows.push([format!("{HEADER}{:02}", self.version).as_str(), self.class.code()]);
        for cells in &self.records {
            rows.push(cells.iter().map(String::as_str));
        }
        rows
    }
}

/// Reads a notebook, or one part of one. For everything accepted, [`write()`] with the value and form gives back
/// `bytes`.
///
/// # Errors
/// Every fault of the document, in its order; at most 200, then one that says how many were left out.
pub fn read(bytes: &[u8]) -> Result<Read<Notebook>, Vec<Fault>> {
    let mut log = Log::new(NAME).with_eras(EraName::Letter);
    let Some((text, form)) = text::dos(bytes, &mut log) else {
        return Err(log.into_faults());
    };
    let Some(source) = Source::split((&text, form), &mut log) else {
        return Err(log.into_faults());
    };
    let (header, rows) = header(&source.rows, &mut log);
    let (version, class) = header.unwrap_or((CURRENT, Class::FromPatient));
    let known: Vec<(&Row<'_>, &Record)> = rows
        .iter()
        .filter_map(|row| {
            let record = Record::of(row);
            match record {
                Some(record) => record.check(row, version, class, &mut log),
                None => log.fault_at(Some(row.line), None, "expected a record number of JAHISTC"),
            }
            record.map(|record| (row, record))
        })
        .collect();
    outline::check(known.into_iter(), class, &mut log);
    let cells = |row: &Row<'_>| row.cells.iter().map(|cell| (*cell).to_owned()).collect();
    let value =
        header.map(|(version, class)| Notebook { version, class, records: rows.iter().map(cells).collect() });
    log.into_read(value, &source, Notebook::rows)
}

/// Writes a notebook as `form` says; the default form is the canonical writing: Shift_JIS, CR LF. What Shift_JIS has
/// not becomes ■.
pub fn write(notebook: &Notebook, form: &Form) -> Vec<u8> {
    notebook.rows().into_bytes(form, TextForm::DOS)
}

/// Version and class, and the rows after the header. Older headers than the one before the current are read by the
/// records of today, and said so.
fn header<'r, 'a>(rows: &'r [Row<'a>], log: &mut Log) -> (Option<(u8, Class)>, &'r [Row<'a>]) {
    let Some((first, rest)) = rows.split_first().filter(|(first, _)| first.line == 1) else {
        log.fault_at(Some(1), None, "expected a header JAHISTC08 or JAHISTC07");
        return (None, rows);
    };
    let version = first
        .record()
        .strip_prefix(HEADER)
        .filter(|digits| digits.len() == 2)
        .and_then(|digits| parse_number(digits, 2)?.try_into().ok())
        .filter(|version| (1..=CURRENT).contains(version));
    let class = match first.item(1) {
        "1" => Some(Class::ToPatient),
        "2" => Some(Class::FromPatient),
        _ => None,
    };
    if version.is_none() {
        log.fault_at(Some(1), None, "expected a header JAHISTC08 or JAHISTC07");
    } else if class.is_none() {
        log.fault_at(Some(1), None, "expected the class (出力区分) 1 or 2 in the header");
    } else if first.cells.len() > 3 || !first.item(2).is_empty() {
        log.fault_at(Some(1), None, "expected nothing after the class (出力区分) in the header");
    } else if version.is_some_and(|version| version < BEFORE) {
        log.warn_at(1, None, "this version is read by the records of JAHISTC08");
    }
    let rest = if version.is_none() && Record::of(first).is_some() { rows } else { rest };
    (version.zip(class), rest)
}

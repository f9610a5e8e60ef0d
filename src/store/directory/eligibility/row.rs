//! One line of the eligibility file: its fields and their faults.

use chrono::{Datelike, NaiveDate};

use super::{COLUMNS, EligibilityFault, Insurance};
use crate::store::directory::insured::InsuredIdentity;
use crate::store::directory::{Particulars, Sex};

/// More faults than anyone reads; the rest is counted only.
const FAULT_LIMIT: usize = 1000;
const TEXT_LIMIT: usize = 100;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults {
    pub list: Vec<EligibilityFault>,
}

impl Faults {
    pub fn add(&mut self, line: u64, column: &'static str, fault: impl Into<String>) {
        if self.list.len() < FAULT_LIMIT {
            self.list.push(EligibilityFault::new(line, column, fault));
        }
    }
}

/// A line, read.
pub(super) struct ReadRow {
    pub person: String,
    pub particulars: Particulars,
    pub insurance: Insurance,
    pub card: Option<[u8; 32]>,
}

/// Reads the fields of a line.
pub(super) struct RowReader<'a> {
    pub line: u64,
    pub record: &'a csv::StringRecord,
}

impl RowReader<'_> {
    pub fn read(&self, faults: &mut Faults) -> Option<ReadRow> {
        let before = faults.list.len();
        let person = self.text(faults, "person", true);
        let name = self.text(faults, "name", true);
        let kana = self.text(faults, "kana", false);
        let birth_date = self.date(faults, "birth_date", true);
        let sex = match self.field("sex") {
            "male" | "1" => Some(Sex::Male),
            "female" | "2" => Some(Sex::Female),
            "unknown" | "3" => Some(Sex::Unknown),
            _ => None,
        };
        if sex.is_none() {
            faults.add(self.line, "sex", "expected male, female, unknown, 1, 2 or 3");
        }
        let identity = InsuredIdentity::parse(
            self.field("insurer_number"),
            self.field("symbol"),
            self.field("number"),
            self.field("branch_number"),
        );
        let valid_from = self.date(faults, "valid_from", true);
        let valid_until = self.date(faults, "valid_until", false);
        let card = self.card(faults);
        let deceased_on = self.date(faults, "deceased_on", false);
        for fault in identity.as_ref().err().into_iter().flatten() {
            faults.add(self.line, fault.column(), fault.to_string());
        }
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until < from
        {
            faults.add(self.line, "valid_until", "before valid_from");
        }
        if let (Some(birth), Some(death)) = (birth_date, deceased_on)
            && death < birth
        {
            faults.add(self.line, "deceased_on", "before birth_date");
        }
        if faults.list.len() > before || before == FAULT_LIMIT {
            return None;
        }
        Some(ReadRow {
            person,
            particulars: Particulars {
                name,
                kana: Some(kana).filter(|kana| !kana.is_empty()),
                birth_date: birth_date?,
                sex: sex?,
                deceased_on,
            },
            insurance: Insurance {
                line: self.line,
                identity: identity.ok()?,
                valid_from: valid_from?,
                valid_until,
            },
            card,
        })
    }

    fn field(&self, column: &'static str) -> &str {
        let at = COLUMNS.iter().position(|known| *known == column);
        at.and_then(|at| self.record.get(at)).unwrap_or_default().trim()
    }

    fn text(&self, faults: &mut Faults, column: &'static str, required: bool) -> String {
        let text = self.field(column);
        if required && text.is_empty() {
            faults.add(self.line, column, "missing");
        }
        if text.chars().count() > TEXT_LIMIT || text.chars().any(char::is_control) {
            faults.add(self.line, column, "expected up to 100 characters on one line");
        }
        text.to_owned()
    }

    fn date(&self, faults: &mut Faults, column: &'static str, required: bool) -> Option<NaiveDate> {
        let text = self.field(column);
        if text.is_empty() {
            if required {
                faults.add(self.line, column, "missing");
            }
            return None;
        }
        let date = parse_date(text);
        if date.is_none() {
            faults.add(self.line, column, "expected a date that exists, YYYY-MM-DD or YYYYMMDD");
        }
        date
    }

    fn card(&self, faults: &mut Faults) -> Option<[u8; 32]> {
        let text = self.field("card_sha256");
        if text.is_empty() {
            return None;
        }
        let fingerprint = parse_fingerprint(text);
        if fingerprint.is_none() {
            faults.add(self.line, "card_sha256", "expected 64 hexadecimal digits");
        }
        fingerprint
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let form = match shape.as_str() {
        "0000-00-00" => "%Y-%m-%d",
        "00000000" => "%Y%m%d",
        _ => return None,
    };
    NaiveDate::parse_from_str(text, form).ok().filter(|date| (1850..=2999).contains(&date.year()))
}

fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

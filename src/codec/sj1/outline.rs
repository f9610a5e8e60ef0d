//! The order of an SJ1 document (JAHIS10 3.2.5, 3.2.6): which rows there are and which belong together. Sorts
//! rows into head, RP groups and tail, and reports every record that is missing, repeated, unknown or out of
//! place; does not look into their items beyond the RP and line numbers that tie rows together.

use std::collections::BTreeMap;

use super::Dialect;
use crate::codec::log::Log;
use crate::codec::row::Row;

/// A record of SJ1.
struct Record {
    number: u16,
    /// Items after the record number.
    items: usize,
    mandatory: bool,
    repeats: bool,
}

const fn record(number: u16, items: usize) -> Record {
    Record { number, items, mandatory: false, repeats: false }
}

const fn mandatory(number: u16, items: usize) -> Record {
    Record { mandatory: true, ..record(number, items) }
}

const fn repeating(number: u16, items: usize) -> Record {
    Record { repeats: true, ..record(number, items) }
}

impl Record {
    /// 提供診療情報 and 検査値 are the national service's own.
    fn belongs_to(&self, dialect: Dialect) -> bool {
        dialect == Dialect::National || !matches!(self.number, 301 | 302)
    }
}

/// 麻薬施用: JAHIS10 says 61, clinics write 60 as well.
const NARCOTICS: u16 = 61;
const NARCOTICS_ALTERNATIVE: u16 = 60;
/// The last record of the head.
const LAST_OF_HEAD: u16 = 82;

static RECORDS: [Record; 39] = [
    mandatory(1, 4),
    record(2, 2),
    record(3, 3),
    record(4, 3),
    mandatory(5, 3),
    mandatory(11, 3),
    mandatory(12, 1),
    mandatory(13, 1),
    record(14, 1),
    record(21, 1),
    mandatory(22, 1),
    mandatory(23, 4),
    record(24, 2),
    record(25, 1),
    record(27, 2),
    record(28, 2),
    record(29, 2),
    record(30, 2),
    record(31, 1),
    mandatory(51, 1),
    record(52, 1),
    record(NARCOTICS, 3),
    record(62, 1),
    record(63, 2),
    record(64, 1),
    repeating(81, 3),
    record(LAST_OF_HEAD, 2),
    mandatory(101, 4),
    record(102, 3),
    mandatory(111, 5),
    repeating(181, 6),
    repeating(201, 9),
    record(211, 3),
    record(221, 12),
    record(231, 6),
    record(241, 4),
    repeating(281, 6),
    repeating(301, 3),
    repeating(302, 2),
];

/// Items of RP number and line number.
const RP: usize = 1;
const LINE: usize = 2;
const RP_DIGITS: usize = 3;
const LINE_DIGITS: usize = 2;

/// The rows of a document in their places.
#[derive(Debug, Default)]
pub(super) struct Outline<'r, 'a> {
    head: BTreeMap<u16, &'r Row<'a>>,
    /// 81.
    pub remarks: Vec<&'r Row<'a>>,
    pub groups: Vec<GroupRows<'r, 'a>>,
    /// 301.
    pub clinical_notes: Vec<&'r Row<'a>>,
    /// 302.
    pub laboratory_values: Vec<&'r Row<'a>>,
}

/// The rows of one RP.
#[derive(Debug)]
pub(super) struct GroupRows<'r, 'a> {
    /// 101.
    pub head: &'r Row<'a>,
    /// RP番号, when it is a number.
    pub number: Option<u16>,
    /// 102.
    pub split: Option<&'r Row<'a>>,
    /// 111.
    pub usage: Option<&'r Row<'a>>,
    /// 181.
    pub supplements: Vec<&'r Row<'a>>,
    pub lines: Vec<LineRows<'r, 'a>>,
    last: u16,
}

/// The rows of one drug.
#[derive(Debug)]
pub(super) struct LineRows<'r, 'a> {
    /// 201.
    pub head: &'r Row<'a>,
    /// RP内連番, when it is a number.
    pub number: Option<u16>,
    /// 211, 221, 231, 241.
    details: BTreeMap<u16, &'r Row<'a>>,
    /// 281.
    pub supplements: Vec<&'r Row<'a>>,
    last: u16,
}

impl<'r, 'a> LineRows<'r, 'a> {
    /// The row of a record that belongs to the drug.
    pub fn detail(&self, number: u16) -> Option<&'r Row<'a>> {
        self.details.get(&number).copied()
    }
}

impl<'r, 'a> Outline<'r, 'a> {
    /// Sorts the rows, reporting what is out of order.
    pub fn of(rows: &'r [Row<'a>], dialect: Dialect, log: &mut Log) -> Self {
        let mut outline = Self::default();
        let mut last_of_head = 0;
        for row in without_header(rows, dialect, log) {
            let Some(record) = record_of(row).filter(|record| record.belongs_to(dialect)) else {
                log.fault_at(Some(row.line), None, format!("expected a record number of {}", dialect.name()));
                continue;
            };
            check_width(row, record, log);
            match record.number {
                ..=LAST_OF_HEAD => outline.take_head(row, record, &mut last_of_head, log),
                301 | 302 => outline.take_tail(row, record, log),
                _ => outline.take_body(row, record, log),
            }
        }
        outline.check_complete(log);
        outline
    }

    /// The row of a head record that appears once.
    pub fn head(&self, number: u16) -> Option<&'r Row<'a>> {
        self.head.get(&number).copied()
    }

    fn take_head(&mut self, row: &'r Row<'a>, record: &Record, last: &mut u16, log: &mut Log) {
        if record.repeats {
            self.remarks.push(row);
        } else if !place_once(&mut self.head, record.number, row) {
            log.row_fault(row, "expected this record only once");
            return;
        }
        if !self.groups.is_empty() || self.has_tail() {
            log.row_fault(row, "expected records 1 to 82 before the first record 101");
        } else if record.number < *last {
            log.row_fault(row, "expected record numbers in ascending order");
        }
        *last = record.number.max(*last);
    }

    fn take_tail(&mut self, row: &'r Row<'a>, record: &Record, log: &mut Log) {
        if record.number == 302 {
            self.laboratory_values.push(row);
        } else {
            if !self.laboratory_values.is_empty() {
                log.row_fault(row, "expected record numbers in ascending order");
            }
            self.clinical_notes.push(row);
        }
    }

    fn has_tail(&self) -> bool {
        !self.clinical_notes.is_empty() || !self.laboratory_values.is_empty()
    }

    fn take_body(&mut self, row: &'r Row<'a>, record: &Record, log: &mut Log) {
        if self.has_tail() {
            log.row_fault(row, "expected records 101 to 281 before the records 301 and 302");
        }
        if record.number == 101 {
            let number = row.number(RP, RP_DIGITS);
            let before = self.groups.last().and_then(|group| group.number);
            if number.is_some() && number <= before {
                log.fault(row, RP, "expected an RP number above the one before");
            }
            self.groups.push(GroupRows {
                head: row,
                number,
                split: None,
                usage: None,
                supplements: Vec::new(),
                lines: Vec::new(),
                last: 101,
            });
            return;
        }
        let Some(group) = self.groups.last_mut() else {
            log.row_fault(row, "expected a record 101 before this record");
            return;
        };
        if group.number.is_some() && row.number(RP, RP_DIGITS) != group.number {
            log.fault(row, RP, "expected the RP number of the record 101 before");
        }
        if record.number < 201 { group.take(row, record, log) } else { group.take_line(row, record, log) }
    }

    fn check_complete(&self, log: &mut Log) {
        for record in RECORDS.iter().filter(|record| record.mandatory && record.number <= LAST_OF_HEAD) {
            if self.head(record.number).is_none() {
                log.fault_at(None, Some(&record.number.to_string()), "expected this record, it is missing");
            }
        }
        if self.groups.is_empty() {
            log.fault_at(None, Some("101"), "expected this record, it is missing");
        }
        let burdens_written =
            self.groups.iter().flat_map(|group| &group.lines).any(|line| line.detail(231).is_some());
        for group in &self.groups {
            let line = Some(group.head.line);
            if group.usage.is_none() {
                log.fault_at(line, Some("111"), "expected a record 111 for this RP, it is missing");
            }
            if group.lines.is_empty() {
                log.fault_at(line, Some("201"), "expected a record 201 for this RP, it is missing");
            }
            for drug in group.lines.iter().filter(|drug| burdens_written && drug.detail(231).is_none()) {
                let message = "expected a record 231 for every drug or for none, it is missing";
                log.fault_at(Some(drug.head.line), Some("231"), message);
            }
        }
    }
}

impl<'r, 'a> GroupRows<'r, 'a> {
    fn take(&mut self, row: &'r Row<'a>, record: &Record, log: &mut Log) {
        let repeated = match record.number {
            102 if self.split.is_none() => self.split.replace(row).is_some(),
            111 if self.usage.is_none() => self.usage.replace(row).is_some(),
            181 => {
                self.supplements.push(row);
                false
            }
            _ => true,
        };
        if repeated {
            log.row_fault(row, "expected this record only once for an RP");
            return;
        }
        if !self.lines.is_empty() || record.number < self.last {
            log.row_fault(
                row,
                "expected the records of an RP in the order 101, 102, 111, 181, then its drugs",
            );
        }
        self.last = self.last.max(record.number);
    }

    fn take_line(&mut self, row: &'r Row<'a>, record: &Record, log: &mut Log) {
        let number = row.number(LINE, LINE_DIGITS);
        if record.number == 201 {
            let before = self.lines.last().and_then(|line| line.number);
            if number.is_some() && number <= before {
                log.fault(row, LINE, "expected a line number above the one before");
            }
            let details = BTreeMap::new();
            self.lines.push(LineRows { head: row, number, details, supplements: Vec::new(), last: 201 });
            return;
        }
        let Some(line) = self.lines.last_mut() else {
            log.row_fault(row, "expected a record 201 of this RP before this record");
            return;
        };
        if line.number.is_some() && number != line.number {
            log.fault(row, LINE, "expected the line number of the record 201 before");
        }
        if record.repeats {
            line.supplements.push(row);
        } else if !place_once(&mut line.details, record.number, row) {
            log.row_fault(row, "expected this record only once for a drug");
            return;
        }
        if record.number < line.last {
            log.row_fault(row, "expected the records of a drug in ascending order");
        }
        line.last = line.last.max(record.number);
    }
}

/// Puts a row in its place unless there is one already.
fn place_once<'r, 'a>(places: &mut BTreeMap<u16, &'r Row<'a>>, number: u16, row: &'r Row<'a>) -> bool {
    let free = !places.contains_key(&number);
    places.entry(number).or_insert(row);
    free
}

fn record_of(row: &Row<'_>) -> Option<&'static Record> {
    let number = match row.record_number()? {
        NARCOTICS_ALTERNATIVE => NARCOTICS,
        number => number,
    };
    RECORDS.iter().find(|record| record.number == number)
}

/// One empty item too many is let pass: rows ending in a comma are common.
fn check_width(row: &Row<'_>, record: &Record, log: &mut Log) {
    let surplus = record.items + 1;
    if row.cells.len() > surplus + 1 || !row.item(surplus).is_empty() {
        log.fault(row, surplus, format!("expected at most {} items", record.items));
    }
}

/// The rows after the header; a missing header is reported.
fn without_header<'r, 'a>(rows: &'r [Row<'a>], dialect: Dialect, log: &mut Log) -> &'r [Row<'a>] {
    match rows.split_first() {
        Some((first, rest)) if first.line == 1 && first.cells == [dialect.name()] => rest,
        Some((first, rest)) => {
            log.fault_at(Some(1), None, format!("expected the header {}", dialect.name()));
            if record_of(first).is_some() { rows } else { rest }
        }
        None => rows,
    }
}

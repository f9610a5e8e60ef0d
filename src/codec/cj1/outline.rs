//! The order of a CJ1 document: which rows there are and which belong together. Reports every record that is
//! missing, repeated, unknown or out of place; does not look into their items beyond the RP number that ties
//! the rows of a group together.

use std::collections::BTreeMap;

use super::code;
use crate::codec::items::Items;
use crate::codec::log::Log;
use crate::codec::row::Row;

/// A record of CJ1.
struct Record {
    number: u16,
    /// Items after the record number, the creator (作成者) included.
    items: usize,
    /// Whether the last item is the creator.
    creator: bool,
    mandatory: bool,
    repeats: bool,
}

const fn record(number: u16, items: usize) -> Record {
    Record { number, items, creator: true, mandatory: false, repeats: false }
}

const fn mandatory(number: u16, items: usize) -> Record {
    Record { mandatory: true, ..record(number, items) }
}

const fn repeating(number: u16, items: usize) -> Record {
    Record { repeats: true, ..record(number, items) }
}

static RECORDS: [Record; 21] = [
    Record { creator: false, ..mandatory(1, 10) },
    repeating(2, 3),
    repeating(4, 3),
    mandatory(5, 2),
    Record { creator: false, ..mandatory(6, 5) },
    mandatory(7, 2),
    mandatory(11, 8),
    mandatory(15, 3),
    record(51, 5),
    record(55, 3),
    repeating(201, 7),
    repeating(281, 3),
    repeating(291, 3),
    record(301, 8),
    repeating(311, 3),
    repeating(391, 3),
    repeating(401, 2),
    repeating(411, 3),
    repeating(421, 2),
    repeating(501, 2),
    Record { creator: false, ..repeating(511, 2) },
];

const RP: usize = 1;
const RP_DIGITS: usize = 3;

/// The rows of a document in their places.
#[derive(Debug, Default)]
pub(super) struct Outline<'r, 'a> {
    /// Records that appear once, and the repeated ones of head and tail.
    plain: BTreeMap<u16, Vec<&'r Row<'a>>>,
    pub groups: Vec<GroupRows<'r, 'a>>,
}

/// The rows of one RP.
#[derive(Debug)]
pub(super) struct GroupRows<'r, 'a> {
    /// RP番号 as the first row has it, when it is a number.
    number: Option<u16>,
    pub lines: Vec<LineRows<'r, 'a>>,
    /// 301.
    pub usage: Option<&'r Row<'a>>,
    /// 311.
    pub supplements: Vec<&'r Row<'a>>,
    /// 391.
    pub cautions: Vec<&'r Row<'a>>,
}

/// The rows of one drug: 201 and what follows it up to the next.
#[derive(Debug)]
pub(super) struct LineRows<'r, 'a> {
    /// 201.
    pub head: &'r Row<'a>,
    /// 281 and 291.
    pub notes: Vec<&'r Row<'a>>,
}

impl<'r, 'a> Outline<'r, 'a> {
    /// Sorts the rows, reporting what is out of order.
    pub fn of(rows: &'r [Row<'a>], log: &mut Log) -> Self {
        let mut outline = Self::default();
        let mut last = 0;
        for row in without_header(rows, log) {
            let Some(record) = record_of(row) else {
                log.fault_at(Some(row.line), None, "expected a record number of CJ1");
                continue;
            };
            check_width(row, record, log);
            match record.number {
                201..=391 => outline.take_group_row(row, record.number, last, log),
                _ => outline.take_plain(row, record, last, log),
            }
            last = match record.number {
                201..=391 => last.max(201),
                number => last.max(number),
            };
        }
        outline.check_complete(rows, log);
        outline
    }

    /// The rows of a record outside the groups.
    pub fn rows(&self, number: u16) -> &[&'r Row<'a>] {
        self.plain.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The row of a record that appears once.
    pub fn row(&self, number: u16) -> Option<&'r Row<'a>> {
        self.rows(number).first().copied()
    }

    fn take_plain(&mut self, row: &'r Row<'a>, record: &Record, last: u16, log: &mut Log) {
        let rows = self.plain.entry(record.number).or_default();
        if !record.repeats && !rows.is_empty() {
            let message = if record.number == 5 {
                "expected one dispensing in a document"
            } else {
                "expected this record only once"
            };
            log.row_fault(row, message);
            return;
        }
        rows.push(row);
        if record.number < last {
            log.row_fault(row, "expected record numbers in ascending order");
        }
    }

    fn take_group_row(&mut self, row: &'r Row<'a>, number: u16, last: u16, log: &mut Log) {
        if last > 391 {
            log.row_fault(row, "expected record numbers in ascending order");
        }
        let rp = row.number(RP, RP_DIGITS);
        if number == 201 && self.groups.last().is_none_or(|group| group.usage.is_some() || rp != group.number)
        {
            let before = self.groups.last().and_then(|group| group.number);
            if rp.is_some() && rp <= before {
                log.fault(row, RP, "expected an RP number above the one before");
            }
            self.groups.push(GroupRows {
                number: rp,
                lines: Vec::new(),
                usage: None,
                supplements: Vec::new(),
                cautions: Vec::new(),
            });
        }
        let Some(group) = self.groups.last_mut() else {
            log.row_fault(row, "expected a record 201 before this record");
            return;
        };
        if group.number.is_some() && rp != group.number {
            log.fault(row, RP, "expected the RP number of the record 201 before");
        }
        group.take(row, number, log);
    }

    fn check_complete(&self, rows: &[Row<'_>], log: &mut Log) {
        for record in RECORDS.iter().filter(|record| record.mandatory && self.row(record.number).is_none()) {
            log.fault_at(None, Some(&record.number.to_string()), "expected this record, it is missing");
        }
        let has = |record: &str| rows.iter().any(|row| row.record() == record);
        for record in ["201", "301"] {
            if self.groups.is_empty() && !has(record) {
                log.fault_at(None, Some(record), "expected this record, it is missing");
            }
        }
        for group in self.groups.iter().filter(|group| group.usage.is_none()) {
            let line = group.lines.first().map(|line| line.head.line);
            log.fault_at(line, Some("301"), "expected a record 301 for this RP, it is missing");
        }
    }
}

impl<'r, 'a> GroupRows<'r, 'a> {
    fn take(&mut self, row: &'r Row<'a>, number: u16, log: &mut Log) {
        let in_order = match number {
            201 => {
                self.lines.push(LineRows { head: row, notes: Vec::new() });
                true
            }
            281 | 291 => {
                if let Some(line) = self.lines.last_mut() {
                    line.notes.push(row);
                }
                self.usage.is_none()
            }
            301 => {
                if self.usage.is_some() {
                    log.row_fault(row, "expected this record only once for an RP");
                    return;
                }
                self.usage = Some(row);
                self.supplements.is_empty() && self.cautions.is_empty()
            }
            311 => {
                self.supplements.push(row);
                self.usage.is_some() && self.cautions.is_empty()
            }
            _ => {
                self.cautions.push(row);
                self.usage.is_some()
            }
        };
        if !in_order {
            let message = "expected the records of an RP in the order 201 with 281 and 291, 301, 311, 391";
            log.row_fault(row, message);
        }
    }
}

fn record_of(row: &Row<'_>) -> Option<&'static Record> {
    let number = row.record_number()?;
    RECORDS.iter().find(|record| record.number == number)
}

/// One empty item too many is let pass: rows ending in a comma are common.
fn check_width(row: &Row<'_>, record: &Record, log: &mut Log) {
    let surplus = record.items + 1;
    if row.cells.len() > surplus + 1 || !row.item(surplus).is_empty() {
        log.fault(row, surplus, format!("expected at most {} items", record.items));
    }
    if record.creator {
        Items::of(row, log).code(record.items, 1, code::CREATOR);
    }
}

/// The rows after the header, `CJ1,` or `CJ1`; a missing header is reported.
fn without_header<'r, 'a>(rows: &'r [Row<'a>], log: &mut Log) -> &'r [Row<'a>] {
    match rows.split_first() {
        Some((first, rest))
            if first.line == 1 && (first.cells == [super::NAME] || first.cells == [super::NAME, ""]) =>
        {
            rest
        }
        Some((first, rest)) => {
            log.fault_at(Some(1), None, "expected the header CJ1");
            if record_of(first).is_some() { rows } else { rest }
        }
        None => rows,
    }
}

//! The order of a notebook: which records there must be, which may repeat, and which belong to the dispensing, the
//! prescription and the RP before them. Does not look into items beyond the numbers that tie rows together.

use std::collections::BTreeSet;

use super::Class;
use super::record::{DISPENSED_ON, DRUG, INGREDIENT, OVER_THE_COUNTER, PATIENT, Record, SPLIT, USAGE};
use crate::codec::log::Log;
use crate::codec::row::Row;

/// Where a record stands in the order of output (JAHIS 24-104 表3-6). The records of one prescription share a place.
fn place(number: u16) -> u16 {
    match number {
        INGREDIENT => OVER_THE_COUNTER,
        51..=391 => 51,
        number => number,
    }
}

/// What has been seen of the document.
#[derive(Default)]
struct Seen<'r> {
    last: u16,
    patient: bool,
    split: bool,
    /// 通番 of the records 3.
    medicines: BTreeSet<&'r str>,
    dispensing: Option<Dispensing<'r>>,
}

/// What has been seen of the dispensing under way.
struct Dispensing<'r> {
    line: usize,
    pharmacy: bool,
    institution: bool,
    /// RP番号 with the line of their first record 201, and those that have a 301.
    drugs: Vec<(&'r str, usize)>,
    usages: BTreeSet<&'r str>,
}

/// Reports every record that is missing, repeated or out of place.
pub(super) fn check<'r>(
    rows: impl Iterator<Item = (&'r Row<'r>, &'static Record)>,
    class: Class,
    log: &mut Log,
) {
    let mut seen = Seen::default();
    for (row, record) in rows {
        seen.take(row, record.number, class, log);
    }
    let expected_once = |record: u16, log: &mut Log| {
        log.fault_at(None, Some(&record.to_string()), "expected this record, it is missing");
    };
    if !seen.patient {
        expected_once(PATIENT, log);
    }
    match seen.dispensing.take() {
        Some(dispensing) => dispensing.end(class, log),
        // A part of a notebook may hold none.
        None if class == Class::ToPatient && !seen.split => expected_once(DISPENSED_ON, log),
        None => {}
    }
}

impl<'r> Seen<'r> {
    fn take(&mut self, row: &'r Row<'r>, number: u16, class: Class, log: &mut Log) {
        let order = "expected the records of a notebook in the order 1, 2, 3 with 31, 4, then of each dispensing 5, 11, \
                     15, its prescriptions, 401, 411, 421, 501, 601, and last 701, 911";
        let begins = number == DISPENSED_ON && (DISPENSED_ON..=601).contains(&self.last);
        if place(number) < self.last && !begins {
            log.row_fault(row, order);
        }
        self.last = if begins { DISPENSED_ON } else { place(number).max(self.last) };
        match number {
            PATIENT if std::mem::replace(&mut self.patient, true) => {
                log.row_fault(row, "expected this record only once");
            }
            SPLIT if std::mem::replace(&mut self.split, true) => {
                log.row_fault(row, "expected this record only once");
            }
            SPLIT => {
                if let (Some(total), Some(part)) = (row.number(2, 3), row.number(3, 3))
                    && part > total
                {
                    log.fault(row, 3, "expected at most the number of parts");
                }
            }
            OVER_THE_COUNTER => drop(self.medicines.insert(row.item(5))),
            INGREDIENT if !self.medicines.contains(row.item(1)) => {
                log.fault(row, 1, "expected the sequence number of a record 3 before");
            }
            DISPENSED_ON => {
                let next = Dispensing {
                    line: row.line,
                    pharmacy: false,
                    institution: false,
                    drugs: Vec::new(),
                    usages: BTreeSet::new(),
                };
                if let Some(ended) = self.dispensing.replace(next) {
                    ended.end(class, log);
                }
            }
            11..=601 if number != INGREDIENT => match &mut self.dispensing {
                Some(dispensing) => dispensing.take(row, number, log),
                None => log.row_fault(row, "expected a record 5 before this record"),
            },
            _ => {}
        }
    }
}

impl<'r> Dispensing<'r> {
    fn take(&mut self, row: &'r Row<'r>, number: u16, log: &mut Log) {
        let rp = row.item(1);
        let has_drug = self.drugs.iter().any(|(number, _)| *number == rp);
        match number {
            11 if std::mem::replace(&mut self.pharmacy, true) => {
                log.row_fault(row, "expected this record only once for a dispensing");
            }
            51 => {
                // Another prescription: its RP numbers are its own.
                self.end_prescription(log);
                self.institution = true;
            }
            DRUG if self.usages.contains(rp) => {
                log.row_fault(row, "expected the drugs of an RP before its record 301");
            }
            DRUG if !has_drug => self.drugs.push((rp, row.line)),
            281..=391 if !has_drug => log.fault(row, 1, "expected the RP number of a record 201 before"),
            USAGE if !self.usages.insert(rp) => {
                log.row_fault(row, "expected this record only once for an RP");
            }
            311 if !self.usages.contains(rp) => {
                log.fault(row, 1, "expected the RP number of a record 301 before");
            }
            _ => {}
        }
        if number == DRUG && !self.institution {
            log.fault_at(Some(row.line), Some("51"), "expected a record 51 before the drugs, it is missing");
            self.institution = true;
        }
    }

    /// Every RP needs its usage.
    fn end_prescription(&mut self, log: &mut Log) {
        for (_, line) in self.drugs.drain(..).filter(|(rp, _)| !self.usages.contains(rp)) {
            log.fault_at(Some(line), Some("301"), "expected a record 301 for this RP, it is missing");
        }
        self.usages.clear();
    }

    fn end(mut self, class: Class, log: &mut Log) {
        self.end_prescription(log);
        if class == Class::ToPatient && !self.pharmacy {
            log.fault_at(
                Some(self.line),
                Some("11"),
                "expected a record 11 for this dispensing, it is missing",
            );
        }
    }
}

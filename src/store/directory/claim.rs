//! The claims file (レセプト由来の薬剤): a CSV of medicines that institutions claimed for, brought into the history of the
//! insured. Whole or not at all, and a second time without a change.
//!
//! UTF-8 (with or without byte order mark) or Shift_JIS, first line exactly
//!
//! ```text
//! month,code,name,quantity,institution,insurer_number,symbol,number,branch_number,birth_date
//! ```
//!
//! One line is one product of one person in one month, `YYYY-MM`. `code` is a receipt, YJ or HOT code; `institution` the
//! ten digits of who claimed. The person is found by insurance and birth date as on the last day of the month. May be
//! empty: name, symbol, branch_number.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::eligibility::{EligibilityFault, decode};
use super::import::Progress;
use super::{ImportError, InsuredIdentity};
use crate::clock::japanese_date;
use crate::prescription::identifier::{DrugCode, InstitutionCode};
use crate::prescription::reported::{Claim, Content, Reported, Reporter};
use crate::store::access::{Trace, TraceContent};
use crate::store::bucket::PatientId;
use crate::store::pool::Store;

/// The columns, in order.
pub const CLAIM_COLUMNS: [&str; 10] = [
    "month",
    "code",
    "name",
    "quantity",
    "institution",
    "insurer_number",
    "symbol",
    "number",
    "branch_number",
    "birth_date",
];

/// More faults than anyone reads.
const FAULT_LIMIT: usize = 1000;

/// A file without faults of form.
pub struct Claims(Vec<ClaimRow>);

struct ClaimRow {
    line: u64,
    claim: Claim,
    institution: InstitutionCode,
    identity: InsuredIdentity,
    birth_date: NaiveDate,
}

impl Claims {
    /// Reads a file.
    ///
    /// # Errors
    /// All faults of the file (the first thousand), in the order of its lines.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<EligibilityFault>> {
        let text = decode(bytes).map_err(|fault| vec![EligibilityFault::new(0, "", fault)])?;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let (mut faults, mut rows) = (Vec::new(), Vec::new());
        let mut records = reader.records();
        if !records.next().is_some_and(|header| header.is_ok_and(|header| header.iter().eq(CLAIM_COLUMNS))) {
            let fault = format!("expected the header {}", CLAIM_COLUMNS.join(","));
            return Err(vec![EligibilityFault::new(1, "", fault)]);
        }
        for record in records {
            let Ok(record) = record else {
                faults.push(EligibilityFault::new(0, "", "not CSV"));
                break;
            };
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() == CLAIM_COLUMNS.len() {
                rows.extend(row_read(line, &record, &mut faults));
            } else {
                let fault = format!("expected {} fields, found {}", CLAIM_COLUMNS.len(), record.len());
                faults.push(EligibilityFault::new(line, "", fault));
            }
            if faults.len() >= FAULT_LIMIT {
                break;
            }
        }
        if faults.is_empty() { Ok(Self(rows)) } else { Err(faults) }
    }

    /// How many claims the file has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn row_read(line: u64, record: &csv::StringRecord, faults: &mut Vec<EligibilityFault>) -> Option<ClaimRow> {
    let mut fault = |column: usize, expected: &str| {
        faults.push(EligibilityFault::new(line, CLAIM_COLUMNS[column], expected));
    };
    let month = format!("{}-01", &record[0]).parse::<NaiveDate>().ok().filter(|_| record[0].len() == 7);
    if month.is_none() {
        fault(0, "expected a month YYYY-MM");
    }
    let kinds = [DrugCode::receipt, DrugCode::yj, DrugCode::hot];
    let code = kinds.into_iter().find_map(|kind| kind(&record[1]).ok());
    if code.is_none() {
        fault(1, "expected a receipt, YJ or HOT code");
    }
    let digits =
        record[3].split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !digits || record[3].parse::<f64>().is_err() {
        fault(3, "expected a decimal number");
    }
    let institution = record[4].parse().ok();
    if institution.is_none() {
        fault(4, "expected an institution code of 10 digits");
    }
    let birth_date = record[9].parse().ok().filter(|_| record[9].len() == 10);
    if birth_date.is_none() {
        fault(9, "expected a date YYYY-MM-DD");
    }
    let identity = InsuredIdentity::parse(&record[5], &record[6], &record[7], &record[8]);
    for problem in identity.as_ref().err().into_iter().flatten() {
        faults.push(EligibilityFault::new(line, problem.column(), problem.to_string()));
    }
    let claim =
        Claim { month: month?, code: code?, name: record[2].to_owned(), quantity: record[3].to_owned() };
    Some(ClaimRow {
        line,
        claim,
        institution: institution?,
        identity: identity.ok()?,
        birth_date: birth_date?,
    })
}

impl Store {
    /// Imports a file in one statement once every person is found; answers how many claims are new.
    ///
    /// # Errors
    /// [`ImportError`]; then nothing is changed.
    pub async fn claims_import(
        &self,
        file: &Claims,
        at: DateTime<Utc>,
        progress: Progress<'_>,
    ) -> Result<u64, ImportError> {
        let (mut faults, mut entries): (_, Vec<(PatientId, Reported)>) = (Vec::new(), Vec::new());
        for (place, row) in file.0.iter().enumerate() {
            match self.identity_find(&row.identity, row.birth_date, row.claim.last_day()).await? {
                Some(entry) => entries.push((entry.patient.id, row.entry(self.uuid_draw()?, at))),
                None => {
                    faults.push(EligibilityFault::new(
                        row.line,
                        "number",
                        "nobody was insured so that month",
                    ));
                }
            }
            progress(place + 1, file.len());
        }
        if !faults.is_empty() {
            return Err(ImportError::Faults(faults));
        }
        let content = TraceContent::of_operator(None);
        // One import is one request in the access records of the persons concerned.
        Ok(self.claims_insert(&entries, at, &Trace { request: self.uuid_draw()?, content }).await?)
    }
}

impl ClaimRow {
    fn entry(&self, id: Uuid, at: DateTime<Utc>) -> Reported {
        let by = Reporter::Facility { code: self.institution.clone(), name: String::new(), person: None };
        Reported { id, recorded_on: japanese_date(at), by, content: Content::Claim(self.claim.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_with_line_and_column() {
        let header = CLAIM_COLUMNS.join(",");
        let good = "2026-03,612170710,ノルバスク錠５ｍｇ,28,1311234567,06138762,１２３,4567,00,1956-04-12";
        assert_eq!(Claims::parse(format!("{header}\n{good}\n").as_bytes()).map(|file| file.len()), Ok(1));
        let bad = "2026-13,612170,x,.5,131123456,,,,,1956-04-31";
        let faults = Claims::parse(format!("{header}\n{good}\n{bad}\nx\n").as_bytes()).err().unwrap();
        let told: Vec<(u64, &str)> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        for column in ["month", "code", "quantity", "institution", "birth_date", "insurer_number", "number"] {
            assert!(told.contains(&(3, column)), "{column} in {told:?}");
        }
        assert!(told.contains(&(4, "")));
        assert_eq!(Claims::parse(b"month,code\n").err().unwrap().len(), 1);
        assert_eq!(Claims::parse(&[0xff, 0xff]).err().unwrap().len(), 1);
    }
}

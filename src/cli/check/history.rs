//! A patient's history in a CSV file: read whole, every fault told with its line.

use std::path::Path;

use anyhow::bail;
use chrono::NaiveDate;
use hikikae::check::period::FLAT_DAYS;
use hikikae::check::{Interval, LineContent, Period, Source, Substance, Supply};
use hikikae::formulary::{Formulary, RouteClass};
use hikikae::prescription::identifier::{DrugCode, IdentifierError, InstitutionCode};

use crate::cli::document::{self, counted};

const HEADER: [&str; 7] = ["kind", "code_type", "code", "start", "days", "route", "institution"];

/// Reads a history; `-` is standard input.
///
/// # Errors
/// When it cannot be read or has faults, which are told one a line on standard error.
pub fn read(path: &Path, formulary: &Formulary) -> anyhow::Result<Vec<Period>> {
    let bytes = document::read(path)?;
    parse(&bytes, formulary).or_else(|faults| {
        for fault in &faults {
            eprintln!("{}{fault}", path.display());
        }
        bail!("the history has {}", counted(faults.len()))
    })
}

/// The periods, or all faults: `[line 3].start: expected …`.
fn parse(bytes: &[u8], formulary: &Formulary) -> Result<Vec<Period>, Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    if !reader.headers().is_ok_and(|header| header.iter().eq(HEADER)) {
        return Err(vec![format!("[line 1]: expected the header {}", HEADER.join(","))]);
    }
    let (mut periods, mut faults) = (Vec::new(), Vec::new());
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                faults.push(format!("[line {line}]: expected UTF-8"));
                continue;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        if row.len() != HEADER.len() {
            faults.push(format!("[line {line}]: expected {} cells, not {}", HEADER.len(), row.len()));
            continue;
        }
        let mut entry = Entry { row: &row, line, faults: Vec::new() };
        let period = entry.period(formulary);
        match period {
            Some(period) if entry.faults.is_empty() => periods.push(period),
            _ => faults.extend(entry.faults),
        }
    }
    if faults.is_empty() { Ok(periods) } else { Err(faults) }
}

/// One row and what is wrong with it.
struct Entry<'a> {
    row: &'a csv::StringRecord,
    line: u64,
    faults: Vec<String>,
}

impl Entry<'_> {
    fn fault(&mut self, column: usize, expected: &str) {
        self.faults.push(format!("[line {}].{}: expected {expected}", self.line, HEADER[column]));
    }

    /// The period; with any fault it is not to be used.
    fn period(&mut self, formulary: &Formulary) -> Option<Period> {
        let source = self.source();
        let (code, substance) = self.drug();
        let start = self.start(source);
        let days = self.days();
        let (institution, institution_name) = self.institution();
        let product = code.as_ref().and_then(|code| formulary.product(code));
        let swallowed = match (product, substance.as_ref().and_then(|substance| substance.route)) {
            (Some(product), _) => product.route == RouteClass::Internal,
            (None, Some(route)) => route == RouteClass::Internal,
            (None, None) => true,
        };
        let name = product.map(|product| product.name.clone());
        Some(Period {
            source: source?,
            document: format!("history[line {}]", self.line),
            content: LineContent::Drug,
            name: name.unwrap_or_else(|| self.row[2].to_owned()),
            code,
            substance,
            interval: interval(source?, start?, days, swallowed),
            institution,
            institution_name,
            split: None,
        })
    }

    fn source(&mut self) -> Option<Source> {
        let source = match &self.row[0] {
            "prescribed" => Some(Source::Prescribed),
            "dispensed" => Some(Source::Dispensed),
            "in-house" => Some(Source::InHouse),
            "allergy" => Some(Source::Allergy),
            _ => None,
        };
        if source.is_none() {
            self.fault(0, "prescribed, dispensed, in-house or allergy");
        }
        source
    }

    fn drug(&mut self) -> (Option<DrugCode>, Option<Substance>) {
        let text = &self.row[2];
        let route = RouteClass::from_name(&self.row[5]);
        if route.is_none() && !self.row[5].is_empty() {
            self.fault(5, "a route class, such as internal or eye, or nothing");
        }
        let code = match &self.row[1] {
            "receipt" => DrugCode::receipt(text),
            "yj" => DrugCode::yj(text),
            "generic" => DrugCode::generic(text),
            "hot9" if text.len() == 9 => DrugCode::hot(text),
            "hot9" => Err(IdentifierError("a HOT9 code of 9 digits")),
            "ingredient" => {
                if text.is_empty() {
                    self.fault(2, "the name of an ingredient");
                }
                return (None, Some(Substance { ingredient: text.to_owned(), route }));
            }
            _ => {
                self.fault(1, "receipt, yj, generic, hot9 or ingredient");
                return (None, None);
            }
        };
        match code {
            Ok(code) => (Some(code), None),
            Err(error) => {
                self.fault(2, error.0);
                (None, None)
            }
        }
    }

    fn start(&mut self, source: Option<Source>) -> Option<NaiveDate> {
        let text = &self.row[3];
        if text.is_empty() && source == Some(Source::Allergy) {
            return Some(NaiveDate::MIN);
        }
        let start = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        let start = start.filter(|_| text.len() == "2026-04-01".len());
        if start.is_none() {
            self.fault(3, "a date YYYY-MM-DD");
        }
        start
    }

    fn days(&mut self) -> Option<u16> {
        let text = &self.row[4];
        let days = text.parse().ok().filter(|days| (1..=9999).contains(days));
        if days.is_none() && !text.is_empty() {
            self.fault(4, "a number of days from 1 to 9999, or nothing");
        }
        days
    }

    /// Its code or its name.
    fn institution(&mut self) -> (Option<InstitutionCode>, String) {
        let text = &self.row[6];
        if let Ok(code) = text.parse() {
            return (Some(code), String::new());
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            self.fault(6, "an institution code of 10 digits, a name or nothing");
        }
        (None, text.to_owned())
    }
}

/// The days an entry counts.
fn interval(source: Source, start: NaiveDate, days: Option<u16>, swallowed: bool) -> Interval {
    if source == Source::Allergy {
        return Interval { start, end: NaiveDate::MAX };
    }
    let days = match days {
        Some(days) if swallowed => days,
        // 外用 counts two weeks whatever was supplied; where more is written, that: it warns rather than misses.
        Some(days) => days.max(FLAT_DAYS),
        None => FLAT_DAYS,
    };
    Supply::Days(days).interval_from(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(rows: &str) -> Result<Vec<Period>, Vec<String>> {
        let text = format!("{}\n{rows}", HEADER.join(","));
        parse(text.as_bytes(), &Formulary::fixture().unwrap())
    }

    #[test]
    fn rows_become_periods() {
        let periods = parsed(
            "dispensed,receipt,612170710,2026-04-01,28,,1311234567\n\
             prescribed,yj,2171022F2025,2026-04-01,,,\n\
             in-house,ingredient,レボフロキサシン,2026-04-01,3,eye,見本医院\n\
             allergy,ingredient,アスピリン,,,,\n",
        )
        .unwrap();
        let days: Vec<u32> = periods.iter().take(3).map(|period| period.interval.days()).collect();
        assert_eq!(days, [28, 14, 14]);
        let sources: Vec<Source> = periods.iter().map(|period| period.source).collect();
        assert_eq!(sources, [Source::Dispensed, Source::Prescribed, Source::InHouse, Source::Allergy]);
        assert_eq!(periods[0].institution, "1311234567".parse().ok());
        assert_eq!(periods[0].document, "history[line 2]");
        assert_eq!(periods[2].institution_name, "見本医院");
        assert_eq!(periods[2].substance.as_ref().unwrap().route, Some(RouteClass::Eye));
        assert_eq!(parsed("").unwrap(), []);
    }

    #[test]
    fn all_faults_are_told_with_their_lines() {
        let told = parsed(
            "taken,yj,2171022F2026,2026-02-30,0,mouth,131\n\
             allergy,ingredient,,,x,,\n\
             dispensed,hot,1,20260401,1,,\n\
             short\n",
        )
        .unwrap_err();
        let places: Vec<&str> = told.iter().map(|fault| fault.split_once(": ").unwrap().0).collect();
        let expected = [
            "[line 2].kind",
            "[line 2].route",
            "[line 2].code",
            "[line 2].start",
            "[line 2].days",
            "[line 2].institution",
            "[line 3].code",
            "[line 3].days",
            "[line 4].code_type",
            "[line 4].start",
            "[line 5]",
        ];
        assert_eq!(places, expected, "{told:#?}");
        let other = parse(b"a,b\n", &Formulary::fixture().unwrap()).unwrap_err();
        assert!(other[0].starts_with("[line 1]: expected the header kind,"), "{other:?}");
    }
}

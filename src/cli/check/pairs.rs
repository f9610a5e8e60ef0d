//! A table of pairs of drug codes, reviewed row by row: what a check finds when both are taken on the same days.

use std::fs::File;
use std::io::{BufWriter, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use chrono::NaiveDate;
use hikikae::check::{
    Candidate, LineContent, Outcome, Period, Policy, Proposal, Source, Supply, UncheckedReason, check,
};
use hikikae::formulary::Formulary;
use hikikae::prescription::identifier::{DrugCode, InstitutionCode};
use serde_json::{Value, json};

use super::report::detail;
use crate::cli::Answer;
use crate::cli::document::counted;

const HEADER: [&str; 2] = ["a", "b"];

/// Reviews a file, `-` for standard input, writing a line for every row as it goes.
///
/// # Errors
/// When it cannot be read or rows are faulty; these are told on standard error, and the others reviewed.
pub fn review(path: &Path, formulary: &Formulary) -> anyhow::Result<Answer> {
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).with_context(|| path.display().to_string())?)
    };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    if !reader.headers().is_ok_and(|header| header.iter().eq(HEADER)) {
        bail!("{}[line 1]: expected the header {}", path.display(), HEADER.join(","));
    }
    let pair = Pair::new(formulary)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut faults = 0;
    for row in reader.records() {
        let fault = match row {
            Ok(row) if row.len() == HEADER.len() => {
                writeln!(out, "{}", pair.review(&row[0], &row[1]))?;
                continue;
            }
            Ok(row) => {
                let line = row.position().map_or(0, csv::Position::line);
                format!("[line {line}]: expected {} cells, not {}", HEADER.len(), row.len())
            }
            Err(error) if error.is_io_error() => return Err(error.into()),
            Err(error) => {
                format!("[line {}]: expected UTF-8", error.position().map_or(0, csv::Position::line))
            }
        };
        eprintln!("{}{fault}", path.display());
        faults += 1;
    }
    out.flush()?;
    if faults > 0 {
        bail!("the pairs have {}", counted(faults));
    }
    Ok(Answer::Yes)
}

/// A code by its shape: 9 digits are a receipt code or HOT9, 12 characters a YJ or price code, or a generic-name
/// code when they end in ZZZ.
fn code_read(text: &str) -> Option<DrugCode> {
    [DrugCode::receipt, DrugCode::generic, DrugCode::yj, DrugCode::hot]
        .into_iter()
        .find_map(|kind| kind(text).ok())
}

/// Two medicines of two institutions on the same days.
struct Pair<'a> {
    formulary: &'a Formulary,
    here: InstitutionCode,
    there: InstitutionCode,
}

impl<'a> Pair<'a> {
    fn new(formulary: &'a Formulary) -> anyhow::Result<Self> {
        Ok(Self { formulary, here: "0000000000".parse()?, there: "9999999999".parse()? })
    }

    fn review(&self, a: &str, b: &str) -> Value {
        let codes = [a, b].map(|text| code_read(text.trim()));
        let outcome = self.check(codes.clone());
        let kind_and_detail = |finding| {
            let detail = detail(finding);
            json!({ "kind": finding.kind.as_str(), "rule": finding.rule, "detail": detail })
        };
        let findings: Vec<Value> = outcome.findings.iter().map(kind_and_detail).collect();
        let sides = [("a", a, &outcome.coverage.lines), ("b", b, &outcome.coverage.history)];
        let unchecked: Vec<Value> = sides
            .into_iter()
            .zip(&codes)
            .filter_map(|((side, text, unchecked), code)| {
                let reason = unchecked.first()?.reason;
                // A text that has the shape of no code is a code nobody knows, not none.
                let unreadable = code.is_none() && !text.trim().is_empty();
                let reason = if unreadable { UncheckedReason::UnknownCode } else { reason };
                Some(json!({ "side": side, "code": text, "reason": reason.as_str() }))
            })
            .collect();
        json!({ "a": a, "b": b, "findings": findings, "unchecked": unchecked })
    }

    fn check(&self, [a, b]: [Option<DrugCode>; 2]) -> Outcome {
        let (start, supply) = (NaiveDate::default(), Supply::Days(1));
        let candidate = Candidate {
            place: "a".to_owned(),
            rp: 1,
            line: 1,
            content: LineContent::Drug,
            code: a,
            name: String::new(),
            start,
            supply,
        };
        let period = Period {
            source: Source::Dispensed,
            document: "b".to_owned(),
            content: LineContent::Drug,
            code: b,
            name: String::new(),
            substance: None,
            interval: supply.interval_from(start),
            institution: Some(self.there.clone()),
            institution_name: String::new(),
            split: None,
        };
        let proposal = Proposal {
            institution: self.here.clone(),
            documents: Vec::new(),
            split: None,
            lines: vec![candidate],
        };
        check(&proposal, &[period], self.formulary, &Policy::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_known_by_their_shape() {
        assert!(matches!(code_read("612170710"), Some(DrugCode::Receipt(_))));
        assert!(matches!(code_read("2171022F2025"), Some(DrugCode::Yj(_))));
        assert!(matches!(code_read("2171022F2ZZZ"), Some(DrugCode::Generic(_))));
        assert!(matches!(code_read("103297001"), Some(DrugCode::Hot(_))));
        assert_eq!(code_read("ノルバスク"), None);
    }

    #[test]
    fn rows_are_told_in_the_order_of_their_sides() {
        let formulary = Formulary::fixture().unwrap();
        let pair = Pair::new(&formulary).unwrap();
        for (a, b) in [("612170710", "2171022F2ZZZ"), ("2171022F2025", "612170710")] {
            let told = pair.review(a, b);
            let rule = "duplicate-ingredient";
            let finding = json!({ "kind": rule, "rule": rule, "detail": "アムロジピン" });
            assert_eq!(told, json!({ "a": a, "b": b, "findings": [finding], "unchecked": [] }));
        }
        let told = pair.review("699999999", "612170710");
        assert_eq!(
            told["unchecked"],
            json!([{ "side": "a", "code": "699999999", "reason": "unknown-code" }])
        );
        let told = pair.review("612170710", "x");
        assert_eq!(told["unchecked"], json!([{ "side": "b", "code": "x", "reason": "unknown-code" }]));
        assert_eq!(pair.review("", "612170710")["unchecked"][0]["reason"], "no-code");
    }
}

//! `hikikae check`: the medication check of one document against a history in a file, without a server.

mod history;
mod pairs;
mod report;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use chrono::NaiveDate;
use clap::Args;
use hikikae::check::{Policy, Proposal, UncheckedReason, check, proposal};
use hikikae::formulary::{Formulary, LoadError};
use hikikae::prescription::dispensing::Dispensing;
use hikikae::prescription::identifier::InstitutionCode;

use super::document::{Content, counted, read};
use super::{Answer, print};
use report::Report;

/// Check a prescription or a dispensing result for duplicates, contraindicated pairs and allergies
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae check --history history.csv prescription.sj1.csv
  hikikae check --formulary masters --on 2026-04-01 --json signed.xml
  hikikae check --pairs pairs.csv > reviewed.jsonl

DOCUMENT is SJ1 or CJ1 CSV, a FHIR Bundle, or a signed document (EPS XML, compact JWS); its signature
is not verified.

A history is CSV (UTF-8) with the header
  kind,code_type,code,start,days,route,institution
kind is prescribed, dispensed, in-house or allergy; code_type receipt, yj, generic, hot9 or
ingredient (code is then the ingredient's name, without salt or hydrate). start is the first day,
YYYY-MM-DD; without days it counts 14 days, and what is not swallowed counts 14 days at least. An
allergy needs neither. route is that of an ingredient (internal, injection, eye, ear, nose, inhaled,
oral-cavity, rectal, vaginal, skin, systemic-patch), any when empty. institution is the code of 10
digits, or a name; entries of the document's own institution are told as information.

Pairs are CSV with the header a,b: two drug codes a row, of any type. One JSON line a row tells
what is found when both are taken on the same days.

Exit codes of a document: 0 nothing found, and every medicine on both sides was seen; 1 something
was found; 2 nothing was found but a medicine could not be checked, or the check could not be made.
Materials (needles, gauze) are not medicines and are not counted. Of pairs: 0 every row was
reviewed, whatever was found; 2 not.")]
pub struct Check {
    /// Directory of formulary files; without it the small formulary inside the program
    #[arg(long, value_name = "DIR")]
    formulary: Option<PathBuf>,
    /// The patient's history; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "pairs")]
    history: Option<PathBuf>,
    /// The day the document's medicines begin; its own date when left out
    #[arg(long, value_name = "DATE", conflicts_with = "pairs")]
    on: Option<NaiveDate>,
    /// Review a table of pairs instead of a document; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "document")]
    pairs: Option<PathBuf>,
    /// Answer in JSON, as --pairs always does
    #[arg(long)]
    json: bool,
    /// The document; - for standard input
    #[arg(required_unless_present = "pairs")]
    document: Option<PathBuf>,
}

impl Check {
    pub fn run(self) -> anyhow::Result<Answer> {
        let formulary = self.formulary()?;
        match (&self.pairs, &self.document) {
            (Some(pairs), _) => pairs::review(pairs, &formulary),
            (None, Some(document)) => {
                let bytes = read(document)?;
                let checked = Checked::of(&bytes).with_context(|| document.display().to_string())?;
                self.document_check(checked, &formulary)
            }
            (None, None) => bail!("name a document, or pairs with --pairs"),
        }
    }

    fn formulary(&self) -> anyhow::Result<Formulary> {
        let loaded = match &self.formulary {
            Some(directory) => Formulary::from_dir("formulary", directory),
            None => Formulary::fixture(),
        };
        loaded.map_err(|error| {
            if let LoadError::Faulty(faults) = &error {
                for fault in faults {
                    eprintln!("{fault}");
                }
                return anyhow!("the formulary has {}", counted(faults.len()));
            }
            error.into()
        })
    }

    fn document_check(&self, mut checked: Checked, formulary: &Formulary) -> anyhow::Result<Answer> {
        let history = match &self.history {
            Some(path) => history::read(path, formulary)?,
            None => Vec::new(),
        };
        if let Some(on) = self.on {
            checked.begin_on(on);
        }
        let outcome = check(&checked.proposal, &history, formulary, &Policy::default());
        let report = Report { checked: &checked, entries: history.len(), outcome: &outcome };
        if self.json {
            print(format!("{:#}\n", report.to_json()))?;
        } else {
            print(report.to_text())?;
        }
        if !outcome.findings.is_empty() {
            return Ok(Answer::No);
        }
        let unseen = outcome.coverage.lines.iter().chain(&outcome.coverage.history);
        match unseen.filter(|unseen| unseen.reason != UncheckedReason::Material).count() {
            0 => Ok(Answer::Yes),
            1 => bail!("nothing was found, but one medicine could not be checked"),
            unseen => bail!("nothing was found, but {unseen} medicines could not be checked"),
        }
    }
}

/// A document as it is checked.
struct Checked {
    /// `prescription` or `dispensing`.
    document: &'static str,
    /// The day its medicines begin.
    on: NaiveDate,
    proposal: Proposal,
}

impl Checked {
    fn of(bytes: &[u8]) -> anyhow::Result<Self> {
        let content = Content::of(bytes)?;
        let Content::Dispensing(_, inside) = &content else {
            let said = content.prescription()?;
            let proposal = proposal::of_prescription(&said.value, &said.places);
            return Ok(Self { document: "prescription", on: said.value.issued_on, proposal });
        };
        let said = content.dispensing()?;
        let mut proposal = proposal::of_dispensing(&said.value, prescriber(&said.value), &said.places);
        if inside.is_some() {
            let prescription = content.prescription()?.value;
            proposal.split = proposal::split_part(&prescription);
            proposal.institution = prescription.institution.code;
        }
        Ok(Self { document: "dispensing", on: said.value.dispensed_on, proposal })
    }

    fn begin_on(&mut self, on: NaiveDate) {
        let later = on - self.on;
        for line in &mut self.proposal.lines {
            line.start = line.start.checked_add_signed(later).unwrap_or(on);
        }
        self.on = on;
    }
}

/// The institution a dispensing belongs to; the pharmacy's own code when the document names no other, as no history
/// has that.
fn prescriber(dispensing: &Dispensing) -> &InstitutionCode {
    dispensing.institution.as_ref().map_or(&dispensing.pharmacy.code, |institution| &institution.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &str = "kind,code_type,code,start,days,route,institution\n\
         dispensed,yj,2171022F2025,2026-11-10,14,,1319876543\n\
         allergy,ingredient,メトホルミン,,,,\n";

    /// The report on a fixture document against the history.
    fn report(document: &str, on: Option<NaiveDate>) -> (serde_json::Value, String) {
        let path = format!("{}/fixtures/documents/{document}", env!("CARGO_MANIFEST_DIR"));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("history.csv");
        std::fs::write(&file, HISTORY).unwrap();
        let formulary = Formulary::fixture().unwrap();
        let history = history::read(&file, &formulary).unwrap();
        let mut checked = Checked::of(&std::fs::read(path).unwrap()).unwrap();
        if let Some(on) = on {
            checked.begin_on(on);
        }
        let outcome = check(&checked.proposal, &history, &formulary, &Policy::default());
        let report = Report { checked: &checked, entries: history.len(), outcome: &outcome };
        (report.to_json(), report.to_text())
    }

    #[test]
    fn documents_are_checked_against_a_history() {
        let (json, text) = report("general-internal.sj1.csv", None);
        let kinds: Vec<&str> =
            json["findings"].as_array().unwrap().iter().filter_map(|f| f["kind"].as_str()).collect();
        assert_eq!(kinds, ["allergy", "duplicate-ingredient"]);
        assert_eq!(json["findings"][1]["line"]["places"][0], "SJ1[line 19]");
        assert_eq!(json["findings"][1]["other"]["place"], "history[line 2]");
        assert_eq!(json["findings"][1]["overlap"]["end"], "2026-11-23");
        assert_eq!(json["coverage"]["complete"], true);
        assert!(text.ends_with("\n2 findings\n"), "{text}");
        let (json, _) = report("general-internal-as-prescribed.cj1.csv", None);
        assert_eq!((&json["document"], &json["institution"]), (&"dispensing".into(), &"1311234567".into()));
        assert_eq!(json["findings"][0]["line"]["places"][0], "CJ1[line 13]");
    }

    #[test]
    fn medicines_begin_on_the_day_that_is_named() {
        let (json, text) = report("general-internal.sj1.csv", "2026-11-24".parse().ok());
        assert_eq!(json["on"], "2026-11-24");
        assert_eq!(json["findings"].as_array().map(Vec::len), Some(1), "the allergy alone: {json:#}");
        assert!(text.ends_with("\n1 finding\n"), "{text}");
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "JAHISTC08,1", "<Document/>", "{}", "SJ1\n1"] {
            assert!(Checked::of(text.as_bytes()).is_err(), "{text}");
        }
    }
}

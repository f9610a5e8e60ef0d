//! What a check found, for people and for programs. The history came from the caller: nothing is withheld.

use std::fmt::Write as _;

use hikikae::check::{Finding, FindingKind, Interval, Outcome, Unchecked};
use hikikae::formulary::CONTRAINDICATION_NOTICE;
use hikikae::prescription::identifier::{DrugCode, InstitutionCode};
use serde_json::{Value, json};

use super::Checked;

/// The outcome of one check with what was checked.
pub struct Report<'a> {
    pub checked: &'a Checked,
    /// Entries of the history.
    pub entries: usize,
    pub outcome: &'a Outcome,
}

/// What is found, in one line: the ingredients, and what the rule's table says of them.
pub fn detail(finding: &Finding) -> String {
    let mut detail = finding.ingredients.join(", ");
    if let Some(text) = &finding.text {
        let _ = write!(detail, ": {}", text.consequence);
        for (label, text) in [("条件", &text.condition), ("休薬", &text.washout)] {
            if !text.is_empty() {
                let _ = write!(detail, "; {label}: {text}");
            }
        }
        let _ = write!(detail, " (confidence {}; {CONTRAINDICATION_NOTICE})", text.confidence);
    }
    detail
}

impl Report<'_> {
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.outcome.findings.iter().map(finding_json).collect();
        let unchecked = |unchecked: &[Unchecked]| -> Vec<Value> {
            let one = |unchecked: &Unchecked| json!({ "place": unchecked.place, "reason": unchecked.reason });
            unchecked.iter().map(one).collect()
        };
        let coverage = &self.outcome.coverage;
        json!({
            "document": self.checked.document,
            "institution": self.checked.proposal.institution.as_str(),
            "on": self.checked.on,
            "lines": self.checked.proposal.lines.len(),
            "history": self.entries,
            "formulary_version": self.outcome.formulary_version,
            "findings": findings,
            "coverage": {
                "complete": coverage.is_complete(),
                "lines": unchecked(&coverage.lines),
                "history": unchecked(&coverage.history),
            },
        })
    }

    pub fn to_text(&self) -> String {
        let outcome = self.outcome;
        let mut text = format!(
            "document        {} of institution {}, from {}\nchecked         {} lines against {} entries of history\nformulary       {}\n",
            self.checked.document,
            self.checked.proposal.institution,
            self.checked.on,
            self.checked.proposal.lines.len(),
            self.entries,
            outcome.formulary_version,
        );
        for finding in &outcome.findings {
            finding_text(&mut text, finding);
        }
        let coverage = &outcome.coverage;
        let unseen: Vec<&Unchecked> = coverage.lines.iter().chain(&coverage.history).collect();
        if !unseen.is_empty() {
            text.push_str("\nnot checked\n");
        }
        for unchecked in &unseen {
            let _ = writeln!(text, "  {}  {}", unchecked.place, unchecked.reason.as_str());
        }
        text.push_str(match (outcome.findings.len(), unseen.is_empty()) {
            (0, true) => "\nnothing found\n",
            (0, false) => "\nnothing found in what was checked\n",
            (1, _) => "\n1 finding\n",
            _ => "",
        });
        if outcome.findings.len() > 1 {
            let _ = writeln!(text, "\n{} findings", outcome.findings.len());
        }
        text
    }
}

fn finding_text(text: &mut String, finding: &Finding) {
    let (own, other) = (&finding.candidate, &finding.other);
    let own_institution = if finding.same_institution { ", same institution" } else { "" };
    let days = |interval: Interval| format!("{} to {}", interval.start, interval.end);
    let _ = writeln!(
        text,
        "\n{}  {}  {}{own_institution}",
        finding.severity.as_str(),
        finding.kind.as_str(),
        finding.rule
    );
    let places = own.places.join(", ");
    let _ = writeln!(text, "  RP{} {}  {}  {}  {places}", own.rp, own.line, own.name, days(own.interval));
    let _ = match finding.kind {
        FindingKind::Allergy => writeln!(text, "  allergy  {}  {}", other.name, other.document),
        FindingKind::DuplicateIngredient | FindingKind::Contraindication | FindingKind::DuplicateClass => {
            writeln!(text, "  and   {}  {}  {}", other.name, days(other.interval), other.document)
        }
    };
    let _ = writeln!(text, "  {}", detail(finding));
}

fn finding_json(finding: &Finding) -> Value {
    let (own, other) = (&finding.candidate, &finding.other);
    let code = |code: &Option<DrugCode>| code.as_ref().map(|code| code.as_str().to_owned());
    // The dates of an allergy mean nothing.
    let period = (finding.kind != FindingKind::Allergy).then_some(other.interval);
    json!({
        "id": finding.id,
        "kind": finding.kind,
        "severity": finding.severity,
        "rule": finding.rule,
        "detail": detail(finding),
        "ingredients": finding.ingredients,
        "overlap": finding.overlap,
        "same_institution": finding.same_institution,
        "line": {
            "places": own.places, "rp": own.rp, "number": own.line,
            "code": code(&own.code), "name": own.name, "period": own.interval,
        },
        "other": {
            "source": other.source, "place": other.document, "code": code(&other.code), "name": other.name,
            "period": period, "institution": other.institution.as_ref().map(InstitutionCode::as_str),
        },
    })
}

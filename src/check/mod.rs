//! 重複投薬等チェック: compares the lines of one document with the medication periods of one patient. Owns the
//! rules, what a finding is and what stands for coverage. Pure: no input or output, no clock, no consent, no wire
//! format; the same arguments give the same outcome in any order of lines or history.

pub mod finding;
pub mod period;
pub mod policy;
mod rules;
pub mod subject;

pub use finding::{
    Coverage, Finding, FindingKind, LineSide, OtherSide, Outcome, Severity, Unchecked, UncheckedReason,
};
pub use period::{Interval, Supply, SupplyForm};
pub use policy::{Policy, SameInstitution};
pub use subject::{Candidate, LineContent, Period, Proposal, Source};

use crate::formulary::Formulary;
use subject::{Resolved, resolve};

/// Checks a proposal against the patient's history.
///
/// `history` holds the periods the caller looked back to: prescriptions not yet dispensed and dispensed results,
/// the former replaced by the latter. Lines of one document are never compared with each other.
pub fn check(proposal: &Proposal, history: &[Period], formulary: &Formulary, policy: &Policy) -> Outcome {
    let mut coverage = Coverage::default();
    let mut lines = Vec::new();
    for candidate in &proposal.lines {
        match resolve(candidate.content, candidate.code.as_ref(), formulary) {
            Ok(product) => lines.push(Resolved { subject: candidate, product }),
            Err(reason) => coverage.lines.push(Unchecked { place: candidate.place.clone(), reason }),
        }
    }
    let mut periods = Vec::new();
    for period in history.iter().filter(|period| !proposal.documents.contains(&period.document)) {
        match resolve(period.content, period.code.as_ref(), formulary) {
            Ok(product) => periods.push(Resolved { subject: period, product }),
            Err(reason) => coverage.history.push(Unchecked { place: period.document.clone(), reason }),
        }
    }
    coverage.sort();
    let findings = rules::apply(&proposal.institution, &lines, &periods, formulary, policy);
    Outcome { findings, coverage, formulary_version: formulary.version().to_owned() }
}

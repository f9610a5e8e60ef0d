//! The verdict on a signature, check by check, as a parameter with parts.

use super::parameters::Part;
use crate::trust::verdict::{Check, Outcome, Verdict};

/// The parameter `verification`. A document without a signature says so, and is not valid as a signed one.
pub fn verification(verdict: Option<&Verdict>) -> Part<'_> {
    let mut parts = vec![
        Part::boolean("signed", verdict.is_some()),
        Part::boolean("valid", verdict.is_some_and(Verdict::is_valid)),
    ];
    if let Some(verdict) = verdict {
        parts.push(Part::instant("baseTime", verdict.base_time));
        parts.extend(verdict.level.map(|level| Part::code("level", level.as_str())));
        if let Some(signer) = &verdict.signer {
            let (certificate, subject) = (&signer.0, signer.0.subject());
            let name = certificate.kanji_name().or(subject.common_name());
            let texts = [("signer", name), ("registrationNumber", subject.serial_number())];
            let roles = certificate.hc_roles().iter().map(|role| ("role", Some(role.as_str())));
            parts.extend(
                texts.into_iter().chain(roles).filter_map(|(name, text)| {
                    Some(Part::string(name, text.filter(|text| !text.is_empty())?))
                }),
            );
        }
        parts.extend(verdict.checks.iter().map(check));
    }
    Part::parts("verification", parts)
}

fn check(check: &Check) -> Part<'_> {
    let (outcome, reason) = match &check.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed { reason, .. } => ("failed", Some(reason)),
        Outcome::NotApplicable { reason } => ("not-applicable", Some(reason)),
    };
    let mut parts = vec![Part::code("name", check.check), Part::code("outcome", outcome)];
    parts.extend(check.subject.as_ref().map(|subject| Part::string("subject", subject)));
    parts.extend(reason.map(|reason| Part::string("reason", reason)));
    Part::parts("check", parts)
}

//! The verdict on a signature, check by check, as a parameter with parts.

use serde_json::{Value, json};

use super::parameters::part;
use super::task::instant;
use crate::trust::verdict::{Outcome, Verdict};

/// The parameter `verification`. A document without a signature says so, and is not valid as a signed one.
pub fn verification(verdict: Option<&Verdict>) -> Value {
    let Some(verdict) = verdict else {
        let parts = vec![
            json!({ "name": "signed", "valueBoolean": false }),
            json!({ "name": "valid", "valueBoolean": false }),
        ];
        return part("verification", parts);
    };
    let mut parts = vec![
        json!({ "name": "signed", "valueBoolean": true }),
        json!({ "name": "valid", "valueBoolean": verdict.is_valid() }),
        json!({ "name": "baseTime", "valueInstant": instant(verdict.base_time) }),
    ];
    if let Some(level) = verdict.level {
        parts.push(json!({ "name": "level", "valueCode": level.as_str() }));
    }
    if let Some(signer) = &verdict.signer {
        let certificate = &signer.0;
        let mut text = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                parts.push(json!({ "name": name, "valueString": value }));
            }
        };
        text("signer", certificate.kanji_name().or(certificate.subject().common_name()));
        text("registrationNumber", certificate.subject().serial_number());
        for role in certificate.hc_roles() {
            text("role", Some(role.as_str()));
        }
    }
    for check in &verdict.checks {
        let name = serde_json::to_value(check.check).unwrap_or_default();
        let (outcome, reason) = match &check.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed { reason, .. } => ("failed", Some(reason)),
            Outcome::NotApplicable { reason } => ("not-applicable", Some(reason)),
        };
        let mut about = vec![
            json!({ "name": "name", "valueCode": name }),
            json!({ "name": "outcome", "valueCode": outcome }),
        ];
        about.extend(check.subject.as_ref().map(|s| json!({ "name": "subject", "valueString": s })));
        about.extend(reason.map(|reason| json!({ "name": "reason", "valueString": reason })));
        parts.push(part("check", about));
    }
    part("verification", parts)
}

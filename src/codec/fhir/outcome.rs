//! `OperationOutcome`: every error the exchange answers with.

use serde_json::{Value, json};

use super::HIKIKAE;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// `error`, `warning` or `information`.
    pub severity: &'static str,
    /// FHIR's own coarse code (value set `issue-type`).
    pub kind: &'static str,
    /// The contract's stable code.
    pub code: &'static str,
    /// FHIRPath, XPath of the envelope, or `SJ1[line 12].201.6`.
    pub expression: Option<String>,
    /// What is wrong and what to do next, for people; no personal data.
    pub diagnostics: String,
}

/// The resource. `contained` holds resources the issues speak of.
pub fn outcome(issues: &[Issue], contained: Vec<Value>) -> Value {
    let issue: Vec<_> = issues
        .iter()
        .map(|issue| {
            let mut value = json!({
                "severity": issue.severity,
                "code": issue.kind,
                "details": { "coding": [{ "system": format!("{HIKIKAE}/CodeSystem/error"), "code": issue.code }] },
                "diagnostics": issue.diagnostics,
            });
            if let Some(expression) = &issue.expression {
                value["expression"] = json!([expression]);
            }
            value
        })
        .collect();
    let mut resource = json!({ "resourceType": "OperationOutcome", "issue": issue });
    if !contained.is_empty() {
        resource["contained"] = contained.into();
    }
    resource
}

//! CDS Hooks 2.0: the service's description, what it is asked, the cards it answers, and the feedback on them.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fhir::coverage::words;
use super::fhir::detected_issue::{MANAGEMENT_CODES, text};
use super::fhir::medication_order::{MedicationOrder, medication_orders};
use crate::check::{Coverage, Finding, FindingKind, Severity};
use crate::prescription::disclosure::Disclosure;
use crate::prescription::mitigation::{COMMENT_LENGTH, ManagementCode};

/// The id of the one service.
pub const SERVICE: &str = "hikikae-order-sign";
const HOOK: &str = "order-sign";
/// The longest summary, in characters.
const SUMMARY: usize = 140;
/// The most cards one feedback may be on.
const FEEDBACKS: usize = 500;
/// The reasons a prescriber is offered. Every code of the value set is taken in feedback.
const OFFERED: [&str; 11] = ["1", "2", "3", "4", "7", "9", "10", "12", "13", "22", "23"];

/// What `GET /cds-services` answers.
pub fn services() -> Value {
    json!({ "services": [{
        "hook": HOOK,
        "id": SERVICE,
        "title": "重複投薬・併用禁忌チェック Duplicate and contraindicated medication",
        "description": "Compares the draft orders with what the patient takes from anywhere else.",
        "usageRequirements": "A clinic's bearer token of /oauth2/token, and header Identity-Token of \
            /fhir/Patient/$verify-identity for the patient.",
    }]})
}

/// The body is not what the service takes: where and what was expected.
pub type Fault = (&'static str, &'static str);

#[derive(Deserialize)]
struct Asked {
    hook: String,
    #[serde(rename = "hookInstance")]
    _hook_instance: Uuid,
    context: Value,
}

/// The draft orders of a call of the service.
///
/// # Errors
///
/// [`Fault`]
pub fn orders(body: &[u8]) -> Result<Vec<MedicationOrder>, Fault> {
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|_| ("", "expected JSON with hook, hookInstance (a UUID) and context"))?;
    if asked.hook != HOOK {
        return Err(("hook", "expected order-sign"));
    }
    medication_orders(&asked.context["draftOrders"]).map_err(|expected| ("context.draftOrders", expected))
}

/// The card of a finding. Nothing of the other side is on it.
pub fn finding_card(id: Uuid, finding: &Finding, disclosure: Disclosure, base_url: &str) -> Value {
    let kind = match finding.kind {
        FindingKind::DuplicateIngredient => "重複投薬 Duplicate",
        FindingKind::Contraindication => "併用禁忌 Contraindicated",
        FindingKind::Allergy => "アレルギー Allergy",
        FindingKind::DuplicateClass => "同効薬 Same class",
    };
    let indicator = match finding.severity {
        Severity::Low => "info",
        Severity::Moderate => "warning",
        Severity::High => "critical",
    };
    let reasons: Vec<Value> = ManagementCode::all()
        .filter(|code| OFFERED.contains(&code.as_str()))
        .map(|code| json!({ "system": MANAGEMENT_CODES, "code": code.as_str(), "display": code.display() }))
        .collect();
    let line = &finding.candidate;
    json!({
        "uuid": id,
        "summary": shortened(&format!("{kind}: {}", line.name)),
        "indicator": indicator,
        "detail": format!("{} ({})\n{}", line.name, line.places.join(", "), text(finding, disclosure)),
        "source": source(base_url),
        "overrideReasons": reasons,
    })
}

/// The card that says what was not checked; none when everything was.
pub fn coverage_card(id: Uuid, coverage: &Coverage, base_url: &str) -> Option<Value> {
    let lines = coverage.lines.iter().map(|line| format!("* {}: {}", line.place, words(line.reason)));
    let history = coverage
        .history
        .iter()
        .map(|line| format!("* 患者の履歴 the patient's history: {}", words(line.reason)));
    let detail: Vec<String> = lines.chain(history).collect();
    (!detail.is_empty()).then(|| {
        json!({
            "uuid": id,
            "summary": format!("確認できない薬があります。{} medicines were not checked", detail.len()),
            "indicator": "info",
            "detail": detail.join("\n"),
            "source": source(base_url),
        })
    })
}

fn source(base_url: &str) -> Value {
    json!({ "label": "Hikikae 引換", "url": base_url })
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SUMMARY {
        return text.to_owned();
    }
    text.chars().take(SUMMARY - 1).chain(['…']).collect()
}

#[derive(Deserialize)]
struct Feedbacks {
    feedback: Vec<Feedback>,
}

/// What was done about one card.
#[derive(Debug, Deserialize)]
struct Feedback {
    card: Uuid,
    outcome: Outcome,
    #[serde(rename = "overrideReason")]
    override_reason: Option<OverrideReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Accepted,
    Overridden,
}

#[derive(Debug, Deserialize)]
struct OverrideReason {
    reason: Option<Reason>,
    #[serde(rename = "userComment")]
    comment: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    code: String,
}

/// What was done about one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardOutcome {
    /// The card.
    pub card: Uuid,
    /// Whether it was overridden, not followed.
    pub overridden: bool,
    /// The reason and comment of an override, when one was given.
    pub reason: Option<(ManagementCode, Option<String>)>,
}

/// Reads feedback: all of it or nothing.
///
/// # Errors
///
/// [`Fault`]
pub fn feedback(body: &[u8]) -> Result<Vec<CardOutcome>, Fault> {
    let feedbacks: Feedbacks = serde_json::from_slice(body).map_err(|_| {
        ("feedback", "expected a list, each with card (a UUID) and outcome accepted or overridden")
    })?;
    if feedbacks.feedback.len() > FEEDBACKS {
        return Err(("feedback", "expected at most 500 entries"));
    }
    feedbacks.feedback.into_iter().map(card_outcome).collect()
}

fn card_outcome(feedback: Feedback) -> Result<CardOutcome, Fault> {
    let overridden = feedback.outcome == Outcome::Overridden;
    let (code, comment) = match feedback.override_reason {
        Some(given) if overridden => (given.reason.map(|reason| reason.code), given.comment),
        _ => (None, None),
    };
    if comment.as_ref().is_some_and(|text| text.chars().count() > COMMENT_LENGTH) {
        return Err(("feedback.overrideReason.userComment", "expected at most 300 characters"));
    }
    let code = code.map(ManagementCode::try_from).transpose().map_err(|_| {
        ("feedback.overrideReason.reason.code", "expected a code of ActDetectedIssueManagementCode, 1 to 23")
    })?;
    Ok(CardOutcome { card: feedback.card, overridden, reason: code.map(|code| (code, comment)) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CARD: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

    #[test]
    fn feedback_is_read_whole_or_refused() {
        let read = |entries: Value| feedback(json!({ "feedback": entries }).to_string().as_bytes());
        let given = read(json!([
            { "card": CARD, "outcome": "accepted", "outcomeTimestamp": "2026-04-01T00:00:00Z" },
            { "card": CARD, "outcome": "overridden",
              "overrideReason": { "reason": { "code": "2", "system": "x" }, "userComment": "seen" } },
            { "card": CARD, "outcome": "overridden" },
        ]))
        .unwrap();
        assert_eq!(given.iter().map(|card| card.overridden).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(given[1].reason, Some(("2".to_owned().try_into().unwrap(), Some("seen".to_owned()))));
        assert_eq!((&given[0].reason, &given[2].reason), (&None, &None));
        for bad in [
            json!([{ "card": "x", "outcome": "accepted" }]),
            json!([{ "card": CARD, "outcome": "ignored" }]),
            json!([{ "card": CARD, "outcome": "overridden", "overrideReason": { "reason": { "code": "24" } } }]),
            json!([{ "card": CARD, "outcome": "overridden", "overrideReason": { "userComment": "あ".repeat(301) } }]),
            json!({}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn summaries_are_short() {
        assert_eq!(shortened(&"薬".repeat(140)).chars().count(), 140);
        let long = shortened(&"薬".repeat(141));
        assert!(long.chars().count() == 140 && long.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(body in "[\\[\\]{}\":,a-z0-9]{0,80}") {
            let _ = (orders(body.as_bytes()), feedback(body.as_bytes()));
        }
    }
}

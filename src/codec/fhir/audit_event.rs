//! `AuditEvent` (FHIR R4 6.4): one line of a patient's access record, with words for people in Japanese and English.

use std::fmt::Write as _;

use chrono_tz::Asia::Tokyo;
use serde_json::{Value, json};

use super::HIKIKAE;
use super::task::{INSTITUTION, instant};
use crate::prescription::access::{AccessAct, Action, Told, Who, Words, refusal};
use crate::prescription::consent::Basis;
use crate::store::PatientId;
use crate::store::access::{AccessRow, TraceContent};

const TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const ENTITY: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const PURPOSE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// The resource.
pub fn audit_event(row: &AccessRow, patient: PatientId) -> Value {
    let content = &row.content;
    // Reading the prescription on the way to dispensing it is the look.
    let act = AccessAct::parse(&row.act);
    let told = if content.outcome == "read" { Some(AccessAct::Document) } else { act };
    let told = told.map_or(Told::OTHER, AccessAct::told);
    let refused = !matches!(content.outcome.as_str(), "done" | "read");
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": row.id,
        "text": { "status": "generated", "div": narrative(row, &told, refused) },
        "type": { "system": TYPE, "code": "rest", "display": "RESTful Operation" },
        "subtype": [{ "system": format!("{HIKIKAE}/CodeSystem/act"), "code": row.act }],
        "action": action(told.action),
        "recorded": instant(row.at),
        "outcome": if refused { "4" } else { "0" },
        "purposeOfEvent": [purpose(content)],
        "agent": agents(content, act),
        "source": { "site": "Hikikae", "observer": { "display": "Hikikae (引換)" } },
        "entity": entities(row, patient),
    });
    if refused {
        let Words { ja, en } = refusal(&content.outcome);
        event["outcomeDesc"] = json!(format!("{}: {ja} / {en}", content.outcome));
    }
    event
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Create => "C",
        Action::Read => "R",
        Action::Update => "U",
        Action::Delete => "D",
        Action::Execute => "E",
    }
}

/// Why: an emergency or disaster, the patient's own wish, the running of the exchange, or treatment; and the reason
/// that was stated.
fn purpose(content: &TraceContent) -> Value {
    let emergency = |basis| matches!(basis, Basis::BreakGlass | Basis::Disaster);
    let (code, display) = match content.who {
        _ if content.opened.iter().any(|opening| emergency(opening.basis)) => {
            ("ETREAT", "Emergency Treatment")
        }
        Who::Patient | Who::AnotherPatient => ("PATRQT", "patient requested"),
        Who::Operator => ("HOPERAT", "healthcare operations"),
        Who::Facility | Who::Practitioner => ("TREAT", "treatment"),
    };
    let mut purpose = json!({ "coding": [{ "system": PURPOSE, "code": code, "display": display }] });
    if let Some(reason) = &content.reason {
        purpose["text"] = json!(reason);
    }
    purpose
}

/// Whether a representative acted; of a mandate given or ended by the patient or the operator, the representative is
/// whom it names.
fn represented(content: &TraceContent, act: Option<AccessAct>) -> bool {
    let of_mandates = matches!(act, Some(AccessAct::MandateAdd | AccessAct::MandateEnd));
    content.representative.is_some()
        && content.who == Who::Patient
        && !(of_mandates && content.person.is_some())
}

/// Who took part: the app, the facility, the person at its terminal or the patient, the representative, the signer. The
/// first is the one that asked.
fn agents(content: &TraceContent, act: Option<AccessAct>) -> Vec<Value> {
    let named = |kind: &str, role: Words, name: &str| {
        json!({
            "type": { "text": format!("{} / {}", role.ja, role.en) },
            "who": { "type": kind, "display": name },
            "requestor": false,
        })
    };
    let mut agents = Vec::new();
    if let Some(app) = &content.app {
        agents.push(named("Device", Words { ja: "アプリ", en: "app" }, app));
    }
    if let Some(code) = &content.facility {
        let name = content.facility_name.as_deref().unwrap_or(code.as_str());
        let mut agent = named("Organization", Words { ja: "医療機関または薬局", en: "facility" }, name);
        agent["who"]["identifier"] = json!({ "system": INSTITUTION, "value": code.as_str() });
        agents.push(agent);
    }
    let (kind, role) = match content.who {
        Who::Patient => ("Patient", Words { ja: "本人", en: "the patient" }),
        Who::Facility | Who::Practitioner => ("Practitioner", Words { ja: "医療従事者", en: "practitioner" }),
        Who::AnotherPatient => ("Patient", Words { ja: "ほかの利用者", en: "another user" }),
        Who::Operator => ("Organization", Words { ja: "運営者", en: "the operator" }),
    };
    let mut representative = content.representative.as_ref().map(|person| {
        let mut agent = named("RelatedPerson", Words { ja: "代理人", en: "representative" }, person);
        if let Some(mandate) = content.mandate {
            agent["who"]["reference"] = json!(format!("RelatedPerson/{mandate}"));
        }
        agent
    });
    if represented(content, act) {
        agents.extend(representative.take());
    }
    if let Some(person) = &content.person {
        agents.push(named(kind, role, person));
    }
    if agents.is_empty() {
        agents.push(named(kind, role, &format!("{} / {}", role.ja, role.en)));
    }
    agents.extend(representative);
    if let Some(signer) = content.signer.as_ref().filter(|signer| content.person.as_ref() != Some(signer)) {
        agents.push(named("Practitioner", Words { ja: "署名者", en: "signer" }, signer));
    }
    agents[0]["requestor"] = json!(true);
    agents
}

/// Whose data, which prescription, and what opened them.
fn entities(row: &AccessRow, patient: PatientId) -> Vec<Value> {
    let entity = |reference: String, kind: (&str, &str), role: (&str, &str)| {
        json!({
            "what": { "reference": reference },
            "type": { "system": ENTITY, "code": kind.0, "display": kind.1 },
            "role": { "system": ROLE, "code": role.0, "display": role.1 },
        })
    };
    let object = ("2", "System Object");
    let mut entities = vec![entity(format!("Patient/{patient}"), ("1", "Person"), ("1", "Patient"))];
    if let Some(prescription) = &row.prescription {
        entities.push(entity(format!("Task/{prescription}"), object, ("4", "Domain Resource")));
    }
    if let Some(mandate) = &row.content.mandate {
        let mut by = entity(format!("RelatedPerson/{mandate}"), object, ("13", "Security Resource"));
        by["description"] = json!("代理 / mandate");
        entities.push(by);
    }
    for opening in &row.content.opened {
        let Words { ja, en } = opening.basis.words();
        let mut by = json!({
            "type": { "system": ENTITY, "code": object.0, "display": object.1 },
            "role": { "system": ROLE, "code": "13", "display": "Security Resource" },
            "description": format!("{ja} / {en}"),
            "detail": [
                { "type": "basis", "valueString": opening.basis.as_str() },
                { "type": "kind", "valueString": opening.kind.as_str() },
            ],
        });
        if let Some(consent) = opening.consent {
            by["what"] = json!({ "reference": format!("Consent/{consent}") });
        }
        entities.push(by);
    }
    entities
}

/// What a person reads, in Japanese and English.
fn narrative(row: &AccessRow, told: &Told, refused: bool) -> String {
    let content = &row.content;
    let at = row.at.with_timezone(&Tokyo).format("%Y-%m-%d %H:%M");
    let act = AccessAct::parse(&row.act);
    let (who_ja, who_en) = subject(content, act);
    let acted = represented(content, act);
    let (for_ja, for_en) = if acted && content.person.is_some() {
        ("あなたに代わって、", ", in your place,")
    } else {
        ("", "")
    };
    let (mut ja, mut en) = if refused {
        let (tried, why) = (told.tried, refusal(&content.outcome));
        (
            format!("{at} {who_ja}が、{for_ja}{}が、断られました（{}）。", tried.ja, why.ja),
            format!("{at} {who_en}{for_en} {} and was refused: {}.", tried.en, why.en),
        )
    } else {
        (
            format!("{at} {who_ja}が、{for_ja}{}。", told.done.ja),
            format!("{at} {who_en}{for_en} {}.", told.done.en),
        )
    };
    if let Some(person) = content.representative.as_ref().filter(|_| !acted) {
        let _ = write!(ja, "代理人は{person}さん。");
        let _ = write!(en, " The representative is {person}.");
    }
    for opening in &content.opened {
        let words = opening.basis.words();
        let _ = write!(ja, "根拠は{}。", words.ja);
        let _ = write!(en, " By {}.", words.en);
    }
    if let Some(reason) = content.reason.as_ref().filter(|_| act != Some(AccessAct::Mitigate)) {
        let _ = write!(ja, "述べられた理由は「{reason}」。");
        let _ = write!(en, " The reason stated: \"{reason}\".");
    }
    format!(
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p lang=\"ja\" xml:lang=\"ja\">{}</p>\
         <p lang=\"en\" xml:lang=\"en\">{}</p></div>",
        escaped(&ja),
        escaped(&en)
    )
}

/// Who, as the subject of a sentence.
fn subject(content: &TraceContent, act: Option<AccessAct>) -> (String, String) {
    if let Some(app) = &content.app {
        return (format!("アプリ「{app}」"), format!("The app {app}"));
    }
    if let Some(name) = &content.facility_name {
        return match content.person.as_ref().or(content.signer.as_ref()) {
            Some(person) => (format!("{name}（{person}）"), format!("{name} ({person})")),
            None => (name.clone(), name.clone()),
        };
    }
    if let Some(person) = content.representative.as_ref().filter(|_| represented(content, act)) {
        return (format!("代理人の{person}さん"), format!("Your representative {person}"));
    }
    match (content.who, &content.person) {
        (Who::Patient, _) => ("あなた".to_owned(), "You".to_owned()),
        (Who::Facility | Who::Practitioner, Some(person)) => (person.clone(), person.clone()),
        (Who::Facility | Who::Practitioner, None) => ("医療従事者".to_owned(), "A practitioner".to_owned()),
        (Who::AnotherPatient, _) => ("ほかの利用者".to_owned(), "Another user".to_owned()),
        (Who::Operator, _) => ("このサービスの運営者".to_owned(), "The operator of this service".to_owned()),
    }
}

/// Text inside XHTML. Characters that XML cannot hold (XML 1.0 2.2) are replaced visibly.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::prescription::consent::{ConsentKind, Opening};

    fn row(act: &str, content: TraceContent) -> AccessRow {
        let at = "2026-11-21T01:15:00Z".parse().unwrap();
        AccessRow { id: Uuid::nil(), at, act: act.to_owned(), prescription: None, content }
    }

    fn by_pharmacy(outcome: &str) -> TraceContent {
        TraceContent {
            who: Who::Facility,
            facility: Some("1340000001".parse().unwrap()),
            facility_name: Some("さくら薬局".to_owned()),
            outcome: outcome.to_owned(),
            ..TraceContent::default()
        }
    }

    fn patient() -> PatientId {
        PatientId::from_uuid(Uuid::nil())
    }

    #[test]
    fn an_act_reads_as_a_sentence_in_both_languages() {
        let event = audit_event(&row("accept", by_pharmacy("done")), patient());
        let text = event["text"]["div"].as_str().unwrap();
        assert!(text.contains("2026-11-21 10:15 さくら薬局が、処方箋を受け付けました。"), "{text}");
        assert!(text.contains("2026-11-21 10:15 さくら薬局 accepted your prescription."), "{text}");
        assert_eq!((&event["action"], &event["outcome"]), (&json!("U"), &json!("0")));
        assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "1340000001");
    }

    #[test]
    fn a_refusal_says_why() {
        let event = audit_event(&row("accept", by_pharmacy("consent-required")), patient());
        let text = event["text"]["div"].as_str().unwrap();
        assert!(
            text.contains("処方箋を受け付けようとしましたが、断られました（あなたの同意がないため）。"),
            "{text}"
        );
        assert!(text.contains("tried to accept your prescription and was refused: you have not consented."));
        assert_eq!(event["outcome"], "4");
        assert!(event["outcomeDesc"].as_str().unwrap().starts_with("consent-required: "));
    }

    #[test]
    fn an_emergency_names_its_reason_and_its_right() {
        let opening =
            Opening { kind: ConsentKind::MedicationHistory, basis: Basis::BreakGlass, consent: None };
        let content = TraceContent {
            person: Some("引換　花子".to_owned()),
            reason: Some("意識なし <&>\u{7}".to_owned()),
            opened: vec![opening],
            ..by_pharmacy("done")
        };
        let event = audit_event(&row("break-glass", content), patient());
        let text = event["text"]["div"].as_str().unwrap();
        assert!(text.contains("さくら薬局（引換　花子）が、"), "{text}");
        assert!(text.contains("「意識なし &lt;&amp;&gt;\u{fffd}」"), "{text}");
        assert_eq!(event["purposeOfEvent"][0]["coding"][0]["code"], "ETREAT");
        assert_eq!(event["entity"][1]["detail"][0]["valueString"], "break-glass");
        assert_eq!(event["agent"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn another_patient_has_no_name() {
        let content = TraceContent {
            who: Who::AnotherPatient,
            outcome: "not-found".to_owned(),
            ..TraceContent::default()
        };
        let event = audit_event(&row("read", content), patient());
        assert_eq!(event["agent"][0]["who"]["display"], "ほかの利用者 / another user");
        assert!(event["text"]["div"].as_str().unwrap().contains("Another user tried to look"));
    }
}

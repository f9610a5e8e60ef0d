//! `DetectedIssue`: a finding of the checker, showing of its other side what the patient's consent opens.

use serde_json::{Value, json};
use uuid::Uuid;

use super::HIKIKAE;
use super::drug::concept;
use super::task::{INSTITUTION, instant};
use crate::check::{Finding, FindingKind, OtherSide, Source};
use crate::formulary::CONTRAINDICATION_NOTICE;
use crate::prescription::disclosure::Disclosure;
use crate::prescription::mitigation::Mitigation;

/// System of `ActDetectedIssueManagementCode`.
pub const MANAGEMENT_CODES: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

fn code(kind: FindingKind) -> Value {
    let (code, display) = match kind {
        FindingKind::DuplicateIngredient => ("DUPTHPY", "重複投薬 Duplicate therapy"),
        FindingKind::Contraindication => ("DRG", "併用禁忌 Contraindicated combination"),
        FindingKind::Allergy => ("ALGY", "アレルギー Allergy"),
        FindingKind::DuplicateClass => ("DUPTHPCLS", "同効薬 Duplicate therapeutic class"),
    };
    json!({
        "coding": [
            { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code, "display": display },
            { "system": format!("{HIKIKAE}/CodeSystem/finding-kind"), "code": kind.as_str() },
        ]
    })
}

fn lead(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::DuplicateIngredient => {
            "他の医療機関等で同一成分・同一経路の薬が処方または調剤されています。\n\
             The patient is on the same ingredient by the same route from elsewhere."
        }
        FindingKind::Contraindication => {
            "併用禁忌の薬が処方または調剤されています。\n\
             The patient is on a medicine that must not be combined with this one."
        }
        FindingKind::Allergy => {
            "この薬の成分に対する患者のアレルギーが記録されています。\n\
             The patient is recorded as allergic to an ingredient of this medicine."
        }
        FindingKind::DuplicateClass => {
            "他の医療機関等で同じ薬効分類・同一経路の薬が処方または調剤されています（参考情報）。\n\
             The patient is on another medicine of the same therapeutic class by the same route (for information)."
        }
    }
}

const WITHHELD: &str = "\n相手の薬や記録と施設は、患者の同意がないため表示しません。\n\
     The other medicine or record and its place are withheld without the patient's consent.";

/// The resource. Without consent it says that there is a finding, of what kind, and which of the reader's own lines
/// is concerned; with consent also what is on the other side, and nothing else of the history.
pub fn detected_issue(
    id: Uuid,
    finding: &Finding,
    mitigation: Option<&Mitigation>,
    disclosure: Disclosure,
) -> Value {
    let line = &finding.candidate;
    let mut implicated = vec![json!({ "type": "MedicationRequest", "display": line.name })];
    let mut contained = Vec::new();
    if disclosure.opens() {
        let other = other_side(&finding.other);
        implicated.push(json!({
            "reference": "#other", "type": other["resourceType"], "display": finding.other.name
        }));
        contained.push(other);
    }
    let mut resource = json!({
        "resourceType": "DetectedIssue",
        "id": id,
        "status": if mitigation.is_some() { "mitigated" } else { "preliminary" },
        "code": code(finding.kind),
        "severity": finding.severity.as_str(),
        "identifier": [{ "system": format!("{HIKIKAE}/finding-id"), "value": finding.id }],
        "identifiedPeriod": { "start": finding.overlap.start, "end": finding.overlap.end },
        "implicated": implicated,
        "evidence": [{
            "code": [{ "text": format!("RP{} {} ({})", line.rp, line.line, line.places.join(", ")) }]
        }],
        "detail": text(finding, disclosure),
    });
    if !contained.is_empty() {
        resource["contained"] = contained.into();
    }
    if let Some(mitigation) = mitigation {
        resource["mitigation"] = json!([{
            "action": { "coding": [{
                "system": MANAGEMENT_CODES, "code": mitigation.code.as_str(), "display": mitigation.code.display()
            }] },
            "date": instant(mitigation.at),
            "author": { "identifier": { "system": INSTITUTION, "value": mitigation.facility } },
        }]);
        if let Some(comment) = &mitigation.comment {
            resource["mitigation"][0]["extension"] = json!([{ "url": format!("{HIKIKAE}/StructureDefinition/mitigation-comment"), "valueString": comment }]);
        }
    }
    resource
}

/// What the finding says in words, for people.
pub fn text(finding: &Finding, disclosure: Disclosure) -> String {
    let mut text = lead(finding.kind).to_owned();
    if disclosure.opens() {
        text.push_str(&told(&finding.other));
    } else {
        text.push_str(WITHHELD);
    }
    if let Some(rule) = &finding.text {
        let parts = [("結果", &rule.consequence), ("条件", &rule.condition), ("休薬期間", &rule.washout)];
        for (name, part) in parts {
            if !part.is_empty() && (disclosure.opens() || names_no_medicine(part)) {
                text.extend(["\n", name, ": ", part]);
            }
        }
        text.extend(["\n", CONTRAINDICATION_NOTICE]);
    }
    text
}

/// Whether a text of the pair table can stand without consent. Medicines and their classes are written in katakana,
/// in Latin letters, or end in 剤 or 薬: whatever looks like one is kept back.
fn names_no_medicine(text: &str) -> bool {
    let mut run = 0;
    let foreign = text.chars().any(|c| {
        let named = matches!(c, '\u{30a1}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}')
            || c.is_ascii_alphabetic()
            || matches!(c, '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}');
        run = if named { run + 1 } else { 0 };
        run > 2
    });
    !foreign && !text.contains(['剤', '薬', '麦'])
}

/// The other side in words.
fn told(other: &OtherSide) -> String {
    let what = match other.source {
        Source::Prescribed => "処方 prescribed",
        Source::Dispensed => "調剤 dispensed",
        Source::InHouse => "院内処方 given in-house",
        Source::Allergy => "アレルギー記録 allergy",
        Source::SelfReported => "患者の申告 reported by the patient",
    };
    let code = other.code.as_ref().map(|code| format!(" ({})", code.as_str())).unwrap_or_default();
    let days = if other.source == Source::Allergy {
        String::new()
    } else {
        let last = other.interval.last().map(|day| format!(" {day}")).unwrap_or_default();
        format!(" {} –{last}", other.interval.start)
    };
    format!("\n{what}: {}{code}{days} {}", other.name, other.institution_name)
}

fn other_side(other: &OtherSide) -> Value {
    let concept = concept(other.code.as_ref(), &other.name);
    let subject = json!({ "type": "Patient", "display": "verified patient" });
    let source = match &other.institution {
        Some(code) => json!({
            "type": "Organization",
            "identifier": { "system": INSTITUTION, "value": code },
            "display": other.institution_name,
        }),
        None => json!({ "type": "Patient", "display": other.institution_name }),
    };
    if other.source == Source::Allergy {
        return json!({
            "resourceType": "AllergyIntolerance",
            "id": "other",
            "code": concept,
            "patient": subject,
            "note": [{ "authorReference": source, "text": other.institution_name }],
        });
    }
    let mut period = json!({ "start": other.interval.start });
    if let Some(last) = other.interval.last() {
        period["end"] = json!(last);
    }
    json!({
        "resourceType": "MedicationStatement",
        "id": "other",
        "status": if other.source == Source::Prescribed { "intended" } else { "active" },
        "medicationCodeableConcept": concept,
        "subject": subject,
        "effectivePeriod": period,
        "informationSource": source,
    })
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;
    use crate::check::{Interval, LineSide, RuleText, Severity};
    use crate::prescription::consent::{Basis, ConsentKind, Opening};
    use crate::prescription::identifier::DrugCode;

    fn finding(kind: FindingKind, source: Source, other: &str, rule: [&str; 3]) -> Finding {
        let day = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        let interval = Interval { start: day, end: day };
        let [consequence, condition, washout] = rule.map(str::to_owned);
        Finding {
            id: "0".repeat(32),
            kind,
            severity: Severity::High,
            rule: "CI9999".to_owned(),
            candidate: LineSide {
                places: vec!["SJ1[line 12]".to_owned()],
                rp: 1,
                line: 1,
                code: Some(DrugCode::Receipt("612170709".to_owned())),
                name: "own".to_owned(),
                interval,
            },
            other: OtherSide {
                source,
                document: format!("document-{other}"),
                code: Some(DrugCode::Receipt("620002477".to_owned())),
                name: other.to_owned(),
                interval: Interval { start: day - chrono::Days::new(9), end: day + chrono::Days::new(99) },
                institution: "1319876543".parse().ok(),
                institution_name: format!("{other}医院"),
            },
            same_institution: false,
            ingredients: vec![other.to_owned()],
            overlap: interval,
            text: (kind == FindingKind::Contraindication).then(|| RuleText {
                consequence,
                condition,
                washout,
                confidence: "A".to_owned(),
            }),
            formulary_version: "v".to_owned(),
        }
    }

    fn opened() -> Disclosure {
        let kind = ConsentKind::MedicationHistory;
        Disclosure::Opened(Opening { kind, basis: Basis::Oral, consent: None })
    }

    const KINDS: [FindingKind; 4] = [
        FindingKind::DuplicateIngredient,
        FindingKind::Contraindication,
        FindingKind::Allergy,
        FindingKind::DuplicateClass,
    ];
    const SOURCES: [Source; 5] =
        [Source::Prescribed, Source::Dispensed, Source::InHouse, Source::Allergy, Source::SelfReported];

    proptest! {
        #[test]
        fn without_consent_the_other_side_never_shows(
            kind in 0..4_usize, source in 0..5_usize, other in "[ァ-ヴー]{4,12}錠[０-９]{2}", place in 0..3_usize
        ) {
            let mut rule = ["血圧上昇", "", "前後14日"].map(str::to_owned);
            rule[place] = format!("{}による作用の増強", &other);
            let rule = rule.each_ref().map(String::as_str);
            let finding = finding(KINDS[kind], SOURCES[source], &other, rule);
            let shown = detected_issue(Uuid::nil(), &finding, None, Disclosure::Withheld).to_string();
            for secret in [other.as_str(), "620002477", "1319876543", "2026-03-23", "2026-07-09", "CI9999"] {
                prop_assert!(!shown.contains(secret), "{secret} in {shown}");
            }
            let shown = detected_issue(Uuid::nil(), &finding, None, opened()).to_string();
            for told in [other.as_str(), "620002477", "1319876543"] {
                prop_assert!(shown.contains(told), "{told} not in {shown}");
            }
            prop_assert!(!shown.contains("document-"), "not even with consent");
        }
    }

    #[test]
    fn rules_are_told_as_far_as_they_name_no_medicine() {
        let rule = ["過度の血圧低下", "アドシルカのみ", "MAO-B中止後14日"];
        let finding = finding(FindingKind::Contraindication, Source::Prescribed, "相手", rule);
        let withheld = text(&finding, Disclosure::Withheld);
        assert!(withheld.contains("過度の血圧低下") && withheld.contains(CONTRAINDICATION_NOTICE));
        assert!(!withheld.contains("アドシルカ") && !withheld.contains("MAO"));
        let shown = text(&finding, opened());
        assert!(rule.iter().all(|part| shown.contains(part)) && shown.contains(CONTRAINDICATION_NOTICE));
        for kept in ["硝酸薬との併用", "利尿剤", "麦角中毒", "ＣＹＰ阻害", "QTc延長"] {
            assert!(!names_no_medicine(kept), "{kept}");
        }
        assert!(names_no_medicine("QT延長・心室性不整脈"));
    }
}

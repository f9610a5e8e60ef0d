//! `DetectedIssue`: a finding of the checker, without what needs consent.

use serde_json::{Value, json};
use uuid::Uuid;

use super::HIKIKAE;
use super::task::instant;
use crate::check::{Finding, FindingKind};
use crate::prescription::mitigation::Mitigation;

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

fn detail(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::DuplicateIngredient => {
            "他の医療機関等で同一成分・同一経路の薬が処方または調剤されています。相手の薬と施設は、患者の同意がないため表示しません。\n\
             The patient is on the same ingredient by the same route from elsewhere. The other medicine and place \
             are withheld without the patient's consent."
        }
        FindingKind::Contraindication => {
            "併用禁忌の薬が処方または調剤されています。相手の薬と施設は、患者の同意がないため表示しません。\n\
             The patient is on a medicine that must not be combined with this one. The other medicine and place \
             are withheld without the patient's consent."
        }
        FindingKind::Allergy => {
            "この薬の成分に対する患者のアレルギーが記録されています。記録の詳細は、患者の同意がないため表示しません。\n\
             The patient is recorded as allergic to an ingredient of this medicine. The record is withheld without \
             the patient's consent."
        }
        FindingKind::DuplicateClass => {
            "他の医療機関等で同じ薬効分類・同一経路の薬が処方または調剤されています（参考情報）。相手の薬と施設は、患者の同意がないため表示しません。\n\
             The patient is on another medicine of the same therapeutic class by the same route (for information). \
             The other medicine and place are withheld without the patient's consent."
        }
    }
}

/// The resource as a facility without the patient's consent sees it: that there is a finding, of what kind, and
/// which of its own lines is concerned. The other drug and place are withheld.
pub fn detected_issue(id: Uuid, finding: &Finding, mitigation: Option<&Mitigation>) -> Value {
    let line = &finding.candidate;
    let mut resource = json!({
        "resourceType": "DetectedIssue",
        "id": id,
        "status": if mitigation.is_some() { "mitigated" } else { "preliminary" },
        "code": code(finding.kind),
        "severity": finding.severity.as_str(),
        "identifier": [{ "system": format!("{HIKIKAE}/finding-id"), "value": finding.id }],
        "identifiedPeriod": { "start": finding.overlap.start, "end": finding.overlap.end },
        "implicated": [{ "type": "MedicationRequest", "display": line.name }],
        "evidence": [{
            "code": [{ "text": format!("RP{} {} ({})", line.rp, line.line, line.places.join(", ")) }]
        }],
        "detail": detail(finding.kind),
    });
    if let Some(mitigation) = mitigation {
        resource["mitigation"] = json!([{
            "action": { "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": mitigation.code.as_str()
            }] },
            "date": instant(mitigation.at),
            "author": { "identifier": { "system": super::task::INSTITUTION, "value": mitigation.facility } },
        }]);
        if let Some(comment) = &mitigation.comment {
            resource["mitigation"][0]["extension"] = json!([{ "url": format!("{HIKIKAE}/StructureDefinition/mitigation-comment"), "valueString": comment }]);
        }
    }
    resource
}

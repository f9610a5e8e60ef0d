//! `Consent` (FHIR R4 6.2): a patient's standing consent or refusal, as it is sent and as it is told.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::HIKIKAE;
use super::strict::primitive::{code, exactly, instant, one_of, parsed};
use super::strict::{self, Element, System};
use super::task::{self, INSTITUTION};
use crate::codec::fault::Fault;
use crate::prescription::consent::{Channel, ConsentKind, Decision, Provision};
use crate::prescription::identifier::InstitutionCode;

/// System of [`ConsentKind`].
const KIND: &str = "https://hikikae.dev/fhir/CodeSystem/consent-kind";
const SCOPE: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const RULE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// A decision as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What it says.
    pub provision: &'a Provision,
    /// For which facility.
    pub facility: Option<&'a InstitutionCode>,
    /// Its name.
    pub facility_name: Option<&'a str>,
    /// From when.
    pub granted_at: DateTime<Utc>,
    /// Whether it holds: neither withdrawn nor past its end.
    pub in_force: bool,
}

/// Reads the resource.
///
/// # Errors
///
/// Every fault, with its FHIRPath.
pub fn read(bytes: &[u8]) -> Result<Decision, Vec<Fault>> {
    strict::read(bytes, "Consent", |consent| {
        consent.required("status", exactly("active"));
        consent.one("scope", |scope| strict::concept(scope, System(&[SCOPE]), exactly("patient-privacy")));
        let kind = consent.sole("category", |category| {
            let kinds = ConsentKind::ALL.map(|kind| (kind.as_str(), kind));
            strict::concept(category, System(&[KIND]), one_of(&kinds))
        });
        consent.optional("dateTime", instant);
        let rule = consent.maybe("policyRule", |rule| strict::concept(rule, System(&[RULE]), code));
        let decided = consent.one("provision", provision);
        let (permit, facility, until) = decided?;
        if rule.is_some_and(|rule| rule != policy(permit)) {
            consent.fault_of("policyRule", "expected OPTIN with permit, OPTOUT with deny");
        }
        Some(Decision { kind: kind?, permit, facility, until })
    })
}

type Decided = (bool, Option<InstitutionCode>, Option<DateTime<Utc>>);

fn provision(provision: &mut Element<'_, '_>) -> Option<Decided> {
    let permit = strict::code_in(provision, "type", &[("permit", true), ("deny", false)]);
    let until = provision.maybe("period", |period| {
        period.optional("start", instant);
        period.required("end", instant).map(|end| end.to_utc())
    });
    let actors = provision.each("actor", 0..=1, |actor| {
        actor.one("role", |role| strict::concept(role, System(&[ROLE]), exactly("IRCP")));
        actor.one("reference", |reference| {
            reference.optional("type", exactly("Organization"));
            reference.optional("display", strict::primitive::string);
            reference.one("identifier", |identifier| {
                let institution = parsed(str::parse::<InstitutionCode>);
                strict::identifier(identifier, System(&[INSTITUTION]), institution)
            })
        })
    });
    if permit? && actors.is_empty() {
        provision.fault_of("actor", "a consent names its facility; only a refusal may be for all");
    }
    Some((permit?, actors.into_iter().next(), until))
}

fn policy(permit: bool) -> &'static str {
    if permit { "OPTIN" } else { "OPTOUT" }
}

fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

/// The resource.
pub fn consent(told: Told<'_>) -> Value {
    let Provision { id, kind, permit, channel, until } = told.provision;
    let mut period = json!({ "start": task::instant(told.granted_at) });
    if let Some(until) = until {
        period["end"] = json!(task::instant(*until));
    }
    let mut provision = json!({ "type": if *permit { "permit" } else { "deny" }, "period": period });
    if let Some(facility) = told.facility {
        let mut reference = json!({
            "type": "Organization", "identifier": { "system": INSTITUTION, "value": facility.as_str() }
        });
        if let Some(name) = told.facility_name {
            reference["display"] = json!(name);
        }
        provision["actor"] = json!([{ "role": concept(ROLE, "IRCP"), "reference": reference }]);
    }
    let source = match channel {
        Channel::CardReader => "カードリーダーでの同意 / given at the facility's card reader",
        Channel::PatientApp => "本人の設定 / set by the patient",
    };
    json!({
        "resourceType": "Consent",
        "id": id,
        "extension": [{ "url": format!("{HIKIKAE}/StructureDefinition/consent-channel"), "valueCode": channel.as_str() }],
        "status": if told.in_force { "active" } else { "inactive" },
        "scope": concept(SCOPE, "patient-privacy"),
        "category": [concept(KIND, kind.as_str())],
        "dateTime": task::instant(told.granted_at),
        "policyRule": { "coding": [{ "system": RULE, "code": policy(*permit) }], "text": source },
        "provision": provision,
    })
}

/// A `searchset` of what is in force.
pub fn searchset<'a>(consents: impl IntoIterator<Item = Told<'a>>, base_url: &str) -> Value {
    let entry: Vec<Value> = consents
        .into_iter()
        .map(|told| {
            let id: Uuid = told.provision.id;
            let (url, search) = (format!("{base_url}/fhir/Consent/{id}"), json!({ "mode": "match" }));
            json!({ "fullUrl": url, "resource": consent(told), "search": search })
        })
        .collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entry.len() });
    if !entry.is_empty() {
        bundle["entry"] = entry.into();
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(permit: bool, facility: Option<&str>) -> Value {
        let actor = facility.map(|code| {
            json!([{ "role": concept(ROLE, "IRCP"),
                     "reference": { "identifier": { "system": INSTITUTION, "value": code } } }])
        });
        let mut provision = json!({ "type": if permit { "permit" } else { "deny" } });
        if let Some(actor) = actor {
            provision["actor"] = actor;
        }
        json!({
            "resourceType": "Consent", "status": "active", "scope": concept(SCOPE, "patient-privacy"),
            "category": [concept(KIND, "medication-history")], "provision": provision,
        })
    }

    #[test]
    fn what_is_sent_is_read_strictly() {
        let read = |value: &Value| read(value.to_string().as_bytes());
        let consent = read(&sent(true, Some("1311234567"))).unwrap();
        assert_eq!((consent.kind, consent.permit), (ConsentKind::MedicationHistory, true));
        assert!(!read(&sent(false, None)).unwrap().permit);

        let places = |value: Value| -> Vec<String> {
            read(&value).unwrap_err().into_iter().map(|fault| fault.place).collect()
        };
        assert_eq!(places(sent(true, None)), ["Consent.provision.actor"]);
        let mut inactive = sent(true, Some("1311234567"));
        inactive["status"] = json!("inactive");
        inactive["verification"] = json!([{ "verified": true }]);
        inactive["policyRule"] = concept(RULE, "OPTOUT");
        let found = places(inactive);
        for place in ["Consent.status", "Consent.verification", "Consent.policyRule"] {
            assert!(found.iter().any(|found| found == place), "{place} not in {found:?}");
        }
    }

    #[test]
    fn what_is_told_reads_back() {
        let now: DateTime<Utc> = "2026-04-01T00:00:00Z".parse().unwrap();
        let code: InstitutionCode = "1311234567".parse().unwrap();
        let provision = Provision {
            id: Uuid::nil(),
            kind: ConsentKind::PrescriptionList,
            permit: true,
            channel: Channel::PatientApp,
            until: Some(now + chrono::TimeDelta::days(1)),
        };
        let (facility, facility_name) = (Some(&code), None);
        let told = Told { provision: &provision, facility, facility_name, granted_at: now, in_force: true };
        let mut told = consent(told);
        // What the exchange adds is not what an app sends.
        for added in ["id", "extension"] {
            told.as_object_mut().unwrap().remove(added);
        }
        let read = read(told.to_string().as_bytes()).unwrap();
        let sent =
            Decision { kind: provision.kind, permit: true, facility: Some(code), until: provision.until };
        assert_eq!(read, sent);
    }
}

//! `RelatedPerson` (FHIR R4 8.3): a mandate, as it is sent and as it is told.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::strict::primitive::{instant, parsed};
use super::strict::{self, System};
use super::task;
use crate::codec::fault::Fault;
use crate::prescription::mandate::{MandateScope, Relationship};

/// Our own id of a person, as `/oauth2/token` tells it (`actor.id`).
const PATIENT_ID: &str = "https://hikikae.dev/fhir/patient-id";
const SCOPE: &str = "https://hikikae.dev/fhir/StructureDefinition/mandate-scope";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";

/// The codes of [`Relationship`].
const CODES: [(&str, Relationship); 4] = [
    ("PRN", Relationship::Parent),
    ("GUARD", Relationship::Guardian),
    ("FAMMEMB", Relationship::Family),
    ("HPOWATT", Relationship::Carer),
];

/// A mandate as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Who is to act.
    pub representative: Uuid,
    /// What the one is to the other.
    pub relationship: Relationship,
    /// How far.
    pub scope: MandateScope,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// A mandate as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Names it.
    pub id: Uuid,
    /// Who is represented.
    pub patient: (Uuid, &'a str),
    /// Who acts.
    pub representative: (Uuid, &'a str),
    /// What the one is to the other.
    pub relationship: Relationship,
    /// How far.
    pub scope: MandateScope,
    /// From and until when.
    pub period: (DateTime<Utc>, DateTime<Utc>),
    /// Whether it holds.
    pub in_force: bool,
}

/// Reads the resource: `identifier`, `relationship`, `period.end` and the scope.
///
/// # Errors
///
/// Every fault, with its FHIRPath.
pub fn read(bytes: &[u8]) -> Result<Sent, Vec<Fault>> {
    strict::read(bytes, "RelatedPerson", |person| {
        let scope = person.extension(SCOPE, |extension| {
            strict::code_in(extension, "valueCode", &MandateScope::ALL.map(|scope| (scope.as_str(), scope)))
        });
        if scope.is_none() {
            person
                .fault_of("extension", format!("expected the scope, {SCOPE}, with valueCode read or manage"));
        }
        let representative = person.sole("identifier", |identifier| {
            strict::identifier(identifier, System(&[PATIENT_ID]), parsed(str::parse::<Uuid>))
        });
        person.optional("active", strict::primitive::boolean);
        let relationship = person.sole("relationship", |relationship| {
            strict::concept(relationship, System(&[ROLE]), strict::primitive::one_of(&CODES))
        });
        let until = person.one("period", |period| {
            period.optional("start", instant);
            period.required("end", instant).map(|end| end.to_utc())
        });
        Some(Sent {
            representative: representative?,
            relationship: relationship?,
            scope: scope?,
            until: until?,
        })
    })
}

/// The resource.
pub fn related_person(told: Told<'_>) -> Value {
    let Told { patient, representative, relationship, scope, period, in_force, .. } = told;
    let code = CODES.iter().find(|(_, known)| *known == relationship).map_or("FAMMEMB", |(code, _)| code);
    json!({
        "resourceType": "RelatedPerson",
        "id": told.id,
        "extension": [{ "url": SCOPE, "valueCode": scope.as_str() }],
        "identifier": [{ "system": PATIENT_ID, "value": representative.0 }],
        "active": in_force,
        "patient": { "reference": format!("Patient/{}", patient.0), "display": patient.1 },
        "relationship": [{ "coding": [{ "system": ROLE, "code": code }] }],
        "name": [{ "text": representative.1 }],
        "period": { "start": task::instant(period.0), "end": task::instant(period.1) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_sent_and_faults_are_told_at_once() {
        let (id, until) = (Uuid::from_u128(7), "2030-04-01T00:00:00Z".parse().unwrap());
        let told = Told {
            id: Uuid::from_u128(1),
            patient: (Uuid::from_u128(2), "引換 花"),
            representative: (id, "引換 花子"),
            relationship: Relationship::Parent,
            scope: MandateScope::Manage,
            period: ("2026-04-01T00:00:00Z".parse().unwrap(), until),
            in_force: true,
        };
        let mut resource = related_person(told);
        for answered in ["id", "patient", "name"] {
            resource.as_object_mut().unwrap().remove(answered);
        }
        let sent = read(resource.to_string().as_bytes()).unwrap();
        let wanted = Sent {
            representative: id,
            relationship: Relationship::Parent,
            scope: MandateScope::Manage,
            until,
        };
        assert_eq!(sent, wanted);

        let faults = read(br#"{"resourceType":"RelatedPerson","period":{"start":"2026-04-01T00:00:00Z"}}"#)
            .unwrap_err();
        let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        for place in ["extension", "identifier", "relationship", "period.end"] {
            assert!(places.iter().any(|told| told.contains(place)), "{place} in {places:?}");
        }
    }
}

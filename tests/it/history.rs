//! What is known of a patient beside the prescription at hand: allergies, self-reported medicines, the shared history.

#![expect(clippy::unwrap_used, reason = "a history that cannot be read fails its tests")]

use chrono::TimeDelta;
use hikikae::exchange::caller::{Actor, Caller, Person};
use hikikae::prescription::consent::Method;
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::directory::Claims;
use hikikae::store::identity::IdentityGrant;
use reqwest::Method as Http;
use serde_json::{Value, json};

use crate::check::{Door, answer, code};
use crate::world::{CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, born, caller, name, number, request};

const FHIR: &str = "application/fhir+json";

/// Somebody with an access token, and what they hold of a patient.
struct Somebody {
    token: String,
    identity: Option<String>,
}

impl Door {
    async fn log_in(&self, caller: &Caller) -> String {
        let token = format!("token-{}", request().id);
        let until = self.world.now() + TimeDelta::hours(1);
        assert!(self.world.exchange.store().access_token_insert(&[], &token, caller, until).await.unwrap());
        token
    }

    async fn patient(&self, patient: u32) -> Somebody {
        let id = *self.world.patient(patient).await.as_uuid();
        let actor = Actor::Patient { id, name: name(patient) };
        let token = self.log_in(&Caller { actor, practitioner: None, bound_to: None }).await;
        Somebody { token, identity: None }
    }

    /// A physician at a facility that has verified a patient in this way.
    async fn physician(&self, facility: &str, patient: u32, method: Method) -> Somebody {
        let practitioner = Person {
            id: "900001".to_owned(),
            name: "試験　医師".to_owned(),
            roles: vec!["Medical Doctor".to_owned()],
        };
        let caller = Caller { practitioner: Some(practitioner), ..caller(facility) };
        let (store, patient) = (self.world.exchange.store(), self.world.patient(patient).await);
        let identity = store.buckets().token_mint(store.rng(), store.buckets().of_patient(patient)).unwrap();
        let content = TraceContent {
            facility: None,
            facility_name: None,
            person: None,
            signer: None,
            reason: None,
            outcome: "done".to_owned(),
            opened: Vec::new(),
        };
        let grant = IdentityGrant {
            token: &identity,
            patient,
            facility: &facility.parse().unwrap(),
            method,
            at: self.world.now(),
            expires_at: self.world.now() + TimeDelta::hours(1),
            card: None,
            trace: &Trace { request: request().id, content },
        };
        store.identity_token_insert(&grant).await.unwrap().unwrap();
        Somebody { token: self.log_in(&caller).await, identity: Some(identity.encode().to_string()) }
    }

    async fn ask(&self, who: &Somebody, method: Http, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut call =
            self.client.request(method, format!("{}{path}", self.base_url)).bearer_auth(&who.token);
        if let Some(identity) = &who.identity {
            call = call.header("Identity-Token", identity);
        }
        if let Some(body) = body {
            call = call.header("Content-Type", FHIR).body(body.to_string());
        }
        let (status, body) = answer(call).await;
        (status.as_u16(), body)
    }

    async fn listed(&self, who: &Somebody, path: &str) -> Vec<Value> {
        let (status, bundle) = self.ask(who, Http::GET, path, None).await;
        assert_eq!((status, &bundle["type"]), (200, &json!("searchset")), "{bundle}");
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|mut entry| entry["resource"].take()).collect()
    }
}

fn allergy(name: &str) -> Value {
    json!({
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": { "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"
        }] },
        "code": { "text": name },
        "patient": { "type": "Patient" },
    })
}

#[tokio::test]
async fn an_allergy_the_patient_reports_is_found_at_the_next_check_and_can_be_taken_back() {
    let door = Door::open().await;
    let (patient, path) = (door.patient(1).await, "/fhir/AllergyIntolerance");
    let (status, kept) = door.ask(&patient, Http::POST, path, Some(&allergy("アムロジピンベシル酸塩"))).await;
    assert_eq!(status, 201, "{kept}");
    assert_eq!(kept["meta"]["tag"][0]["code"], "self-reported");
    let (status, again) =
        door.ask(&patient, Http::POST, path, Some(&allergy("アムロジピンベシル酸塩"))).await;
    assert_eq!((status, &again["id"]), (200, &kept["id"]), "the same again is the same entry");

    let rx = door.world.rx(1);
    let claimed =
        Rx { clinic: OTHER_CLINIC, drug: "620098801,ロキソニン錠６０ｍｇ", ..world.rx(1) };
    let (_, found) = door.check(OTHER_CLINIC, claimed.sj1(), false).await;
    assert!(!found.to_string().contains("DetectedIssue"), "no check reads claims: {found}");

    let before = door.acts(1).await.len();
    let clinic = door.physician(OTHER_CLINIC, 1, Method::Insurance).await;
    let (status, refused) = door.ask(&clinic, Http::GET, dispenses, None).await;
    assert_eq!((status, code(&refused)), (403, "consent-required"));
    let emergency = door.physician(OTHER_CLINIC, 1, Method::BreakGlass).await;
    assert_eq!(door.listed(&emergency, dispenses).await.len(), 2);
    let nobody = Somebody { token: door.log_in(&caller(OTHER_CLINIC)).await, identity: emergency.identity };
    let (status, refused) = door.ask(&nobody, Http::GET, dispenses, None).await;
    assert_eq!((status, code(&refused)), (403, "not-permitted"), "a practitioner has to be there");
    let looks = world.recorded(1).await;
    let look = looks.iter().rev().find(|look| look.act == "history-given-out").unwrap();
    assert_eq!(look.content.person.as_deref(), Some("試験　医師"));
    assert_eq!(look.content.opened.len(), 1, "by what it was opened");
    assert!(door.acts(1).await.len() > before);

    let day = hikikae::clock::japanese_date(world.now());
    world.clock.advance(TimeDelta::days(140));
    let patient = door.patient(1).await;
    assert_eq!(door.listed(&patient, requests).await.len(), 0, "a hundred days unless more is asked for");
    assert_eq!(door.listed(&patient, &format!("{requests}?date=ge{day}")).await.len(), 2);
    assert_eq!(door.listed(&patient, &format!("{requests}?date=lt{day}")).await.len(), 0);
}

//! Representatives: a mandate given, used, seen in the access record, withdrawn, and what it does not reach.

#![expect(clippy::unwrap_used, reason = "a mandate that fails fails its tests")]

use chrono::{DateTime, TimeDelta, Utc};
use hikikae::prescription::access::Who;
use hikikae::prescription::mandate::{MandateScope, Relationship};
use hikikae::sandbox::pki::Credential;
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::mandate::Mandate;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::{Door, FHIR, answer, card, code, decision};
use crate::world::{CLINIC, PHARMACY, name};

/// Who gives, and who acts. Both have a card.
const PATIENT: u32 = 1;
const CARER: u32 = 2;

impl Door {
    async fn acting(&self, holder: &Credential, patient: Uuid) -> (u16, Value) {
        let claims = serde_json::Map::new();
        let said = self.caller.assertion("card", holder, &self.base_url, claims).unwrap();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &said),
            ("acting_for", &patient.to_string()),
        ];
        let (status, body) =
            answer(self.client.post(format!("{}/oauth2/token", self.base_url)).form(&form)).await;
        (status.as_u16(), body)
    }

    async fn mandated(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut call =
            self.client.request(method, format!("{}/fhir/{path}", self.base_url)).bearer_auth(token);
        if let Some(body) = body {
            call = call.header("Content-Type", FHIR).body(body.to_string());
        }
        let (status, body) = answer(call).await;
        (status.as_u16(), body)
    }

    /// What the patient reads of an act, the newest first.
    async fn told(&self, token: &str, act: &str) -> Vec<Told> {
        let (status, record) = self.mandated(token, Method::GET, "AuditEvent", None).await;
        assert_eq!(status, 200, "{record}");
        let events = record["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
        let of_act = events.filter(|event| event["subtype"][0]["code"] == act);
        of_act.map(Told::of).collect()
    }

    async fn give(&self, token: &str, to: Uuid, scope: &str) -> (u16, Value) {
        let body = related_person(&to.to_string(), self.world.now(), scope);
        self.mandated(token, Method::POST, "RelatedPerson", Some(body)).await
    }
}

/// An AuditEvent: its words, who took part with the one who asked first, and what it refers to.
struct Told {
    words: String,
    agents: Vec<(String, String)>,
    about: Vec<String>,
}

impl Told {
    fn of(event: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = |list: &Value| list.as_array().unwrap().clone();
        let agents = all(&event["agent"]);
        assert!(agents.iter().enumerate().all(|(place, agent)| agent["requestor"] == (place == 0)));
        Self {
            words: text(&event["text"]["div"]),
            agents: agents.iter().map(|a| (text(&a["who"]["type"]), text(&a["who"]["display"]))).collect(),
            about: all(&event["entity"]).iter().map(|entity| text(&entity["what"]["reference"])).collect(),
        }
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        for words in words {
            assert!(self.words.contains(words), "{words} is not in {}", self.words);
        }
    }
}

/// A mandate for the person of an id, for a year.
pub fn related_person(to: &str, now: DateTime<Utc>, scope: &str) -> Value {
    json!({
        "resourceType": "RelatedPerson",
        "extension": [{ "url": "https://hikikae.dev/fhir/StructureDefinition/mandate-scope", "valueCode": scope }],
        "identifier": [{ "system": "https://hikikae.dev/fhir/patient-id", "value": to }],
        "relationship": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "HPOWATT" }] }],
        "period": { "end": now + TimeDelta::days(365) },
    })
}

#[tokio::test]
async fn a_carer_reads_by_mandate_until_it_is_withdrawn() {
    let door = Door::open().await;
    let patient = *door.world.patient(PATIENT).await.as_uuid();
    let carer = *door.world.patient(CARER).await.as_uuid();
    let task = door.world.register(&door.world.rx(PATIENT)).await.unwrap().outcome.task;
    let own = door.patient_token(PATIENT).await;

    let (status, refused) = door.acting(card(CARER), patient).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")), "no mandate");

    let (status, mandate) = door.give(&own, carer, "read").await;
    assert_eq!(status, 201, "{mandate}");
    assert_eq!(mandate["name"][0]["text"], name(CARER), "the patient sees who it is");
    for who in [PATIENT, CARER] {
        let (status, listed) =
            door.mandated(&door.patient_token(who).await, Method::GET, "RelatedPerson", None).await;
        assert_eq!((status, &listed["entry"][0]["resource"]["id"]), (200, &mandate["id"]));
        assert_eq!(listed["entry"][0]["resource"]["patient"]["reference"], format!("Patient/{patient}"));
    }

    let (status, issued) = door.acting(card(CARER), patient).await;
    assert_eq!((status, &issued["actor"]["id"]), (200, &json!(patient)), "{issued}");
    assert_eq!(issued["representative"]["scope"], "read");
    let token = issued["access_token"].as_str().unwrap();
    let (status, found) = door.mandated(token, Method::GET, &format!("Task/{}", task.id), None).await;
    assert_eq!((status, &found["id"]), (200, &json!(task.id)));

    // To read is not to act, and nobody passes a mandate on.
    let refusal = decision("medication-history", false, Some(CLINIC));
    let (status, body) = door.mandated(token, Method::POST, "Consent", Some(refusal)).await;
    assert_eq!((status, code(&body)), (403, "not-permitted"));
    let third = *door.world.patient(3).await.as_uuid();
    let (status, body) = door.give(token, third, "read").await;
    assert_eq!((status, code(&body)), (403, "not-permitted"));

    // Withdrawn: a token given before is worth nothing, and there is no other.
    let path = format!("RelatedPerson/{}", mandate["id"].as_str().unwrap());
    assert_eq!(door.mandated(&own, Method::DELETE, &path, None).await.0, 204);
    assert_eq!(door.mandated(token, Method::GET, "Task", None).await.0, 401);
    assert_eq!(door.acting(card(CARER), patient).await.0, 400);
    assert_eq!(door.mandated(&own, Method::DELETE, &path, None).await.0, 404, "once");
}

#[tokio::test]
async fn a_mandate_to_manage_acts_and_ends_with_its_day() {
    let door = Door::open().await;
    let world = &door.world;
    let (patient, carer) = (world.patient(PATIENT).await, world.patient(CARER).await);
    // By the operator, on evidence, for a day.
    let mandate = Mandate {
        id: world.exchange.store().uuid_draw().unwrap(),
        patient,
        representative: carer,
        relationship: Relationship::Parent,
        scope: MandateScope::Manage,
        granted_at: world.now(),
        until: world.now() + TimeDelta::minutes(10),
    };
    let content = TraceContent::of_operator(Some("戸籍謄本".to_owned()));
    let trace = Trace { request: world.exchange.store().uuid_draw().unwrap(), content };
    world.exchange.store().mandate_insert(&mandate, Some("戸籍謄本"), &trace).await.unwrap();

    let (_, issued) = door.acting(card(CARER), *patient.as_uuid()).await;
    let token = issued["access_token"].as_str().unwrap();
    let refusal = decision("medication-history", false, Some(PHARMACY));
    let (status, body) = door.mandated(token, Method::POST, "Consent", Some(refusal)).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(door.consents(PATIENT).await.len(), 1, "the patient sees it");
    let listed = door.mandated(token, Method::GET, "RelatedPerson", None).await;
    assert_eq!((listed.0, code(&listed.1)), (403, "not-permitted"));

    world.clock.advance(TimeDelta::minutes(11));
    assert_eq!(
        door.mandated(token, Method::GET, "Task", None).await.0,
        401,
        "its day is over before the token's"
    );

    let given = world.recorded(PATIENT).await.into_iter().find(|row| row.act == "mandate-add").unwrap();
    assert_eq!(given.content.reason.as_deref(), Some("戸籍謄本"));
}

#[tokio::test]
async fn mandates_are_for_others_who_are_there_and_a_holder_gives_one_back() {
    let door = Door::open().await;
    let own = door.patient_token(PATIENT).await;
    let patient = *door.world.patient(PATIENT).await.as_uuid();
    for nobody in [patient, Uuid::nil(), *door.world.patient(3).await.as_uuid()] {
        let (status, body) = door.give(&own, nobody, "manage").await;
        let expected =
            if nobody == patient || nobody.is_nil() { (422, "document-invalid") } else { (201, "") };
        assert_eq!(status, expected.0, "{body}");
        if status == 422 {
            assert_eq!(code(&body), expected.1);
        }
    }
    let (_, mandate) = door.give(&own, *door.world.patient(CARER).await.as_uuid(), "read").await;
    let path = format!("RelatedPerson/{}", mandate["id"].as_str().unwrap());
    assert_eq!(door.mandated(&door.patient_token(CARER).await, Method::DELETE, &path, None).await.0, 204);
    for facility in [door.token(CLINIC).await, door.staffed(PHARMACY).await] {
        let (status, body) = door.mandated(&facility, Method::GET, "RelatedPerson", None).await;
        assert_eq!((status, code(&body)), (403, "not-permitted"));
    }
}

#[tokio::test]
async fn the_access_record_says_who_acted_for_whom_by_which_mandate() {
    let door = Door::open().await;
    let (patient, carer) = (name(PATIENT), name(CARER));
    let own = door.patient_token(PATIENT).await;
    let task = door.world.register(&door.world.rx(PATIENT)).await.unwrap().outcome.task;
    let strange = door.world.register(&door.world.rx(3)).await.unwrap().outcome.task;

    let (_, mandate) = door.give(&own, *door.world.patient(CARER).await.as_uuid(), "read").await;
    let by_mandate = format!("RelatedPerson/{}", mandate["id"].as_str().unwrap());
    let of = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    let given = &door.told(&own, "mandate-add").await[0];
    given.says(&[
        &format!("あなたが、代理人を定めました。代理人は{carer}さん。"),
        &format!("You named a representative for you. The representative is {carer}."),
    ]);
    assert_eq!(given.agents, [of("Patient", &patient), of("RelatedPerson", &carer)]);
    assert!(given.about.contains(&by_mandate), "{:?}", given.about);

    // A look in the patient's place, an act the mandate does not reach, and a look at what is a stranger's.
    let (_, issued) = door.acting(card(CARER), *door.world.patient(PATIENT).await.as_uuid()).await;
    let token = issued["access_token"].as_str().unwrap();
    assert_eq!(door.mandated(token, Method::GET, &format!("Task/{}", task.id), None).await.0, 200);
    let refusal = decision("medication-history", false, Some(CLINIC));
    assert_eq!(door.mandated(token, Method::POST, "Consent", Some(refusal)).await.0, 403);
    assert_eq!(door.mandated(token, Method::GET, &format!("Task/{}", strange.id), None).await.0, 404);

    let looked = &door.told(&own, "read").await[0];
    looked.says(&[
        &format!("代理人の{carer}さんが、あなたに代わって、処方箋の状況を見ました。"),
        &format!("Your representative {carer}, in your place, looked where your prescription stands."),
    ]);
    let tried = &door.told(&own, "consent-put").await[0];
    tried.says(&[
        &format!(
            "代理人の{carer}さんが、あなたに代わって、同意または拒否を設定しようとしましたが、断られました"
        ),
        &format!(
            "Your representative {carer}, in your place, tried to set a consent or refusal and was refused"
        ),
    ]);
    for told in [looked, tried] {
        assert_eq!(told.agents, [of("RelatedPerson", &carer), of("Patient", &patient)]);
        assert!(told.about.contains(&by_mandate), "{:?}", told.about);
    }
    let stranger = door.world.recorded(3).await.into_iter().find(|row| row.act == "read").unwrap().content;
    assert_eq!(stranger.who, Who::AnotherPatient);
    assert_eq!((stranger.person, stranger.representative, stranger.mandate), (None, None, None));

    // Given back by who holds it, and ended by who gave it.
    let path = by_mandate.clone();
    assert_eq!(door.mandated(&door.patient_token(CARER).await, Method::DELETE, &path, None).await.0, 204);
    let back = &door.told(&own, "mandate-end").await[0];
    back.says(&[
        &format!("代理人の{carer}さんが、代理を終わらせました。"),
        &format!("Your representative {carer} ended a representative's mandate."),
    ]);
    assert_eq!(back.agents, [of("RelatedPerson", &carer)]);
    let (_, again) = door.give(&own, *door.world.patient(CARER).await.as_uuid(), "read").await;
    let path = format!("RelatedPerson/{}", again["id"].as_str().unwrap());
    assert_eq!(door.mandated(&own, Method::DELETE, &path, None).await.0, 204);
    let ended = &door.told(&own, "mandate-end").await[0];
    ended.says(&[&format!("あなたが、代理を終わらせました。代理人は{carer}さん。")]);
    assert_eq!(ended.agents, [of("Patient", &patient), of("RelatedPerson", &carer)]);
    assert!(ended.about.contains(&path), "{:?}", ended.about);
}

//! What is known of a patient beside the prescription at hand: allergies, self-reported medicines, the shared history.

#![expect(clippy::unwrap_used, reason = "a history that cannot be read fails its tests")]

use chrono::TimeDelta;
use hikikae::store::directory::Claims;
use reqwest::Method as Http;
use serde_json::{Value, json};

use crate::door::{Door, FHIR, answer, code};
use crate::world::{CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, born, number};

/// Somebody with an access token, and what they hold of a patient.
struct Somebody {
    token: String,
    identity: Option<String>,
}

impl Door {
    async fn patient(&self, patient: u32) -> Somebody {
        Somebody { token: self.patient_token(patient).await, identity: None }
    }

    /// The person at a facility's terminal, for a patient who shows an insurance card.
    async fn insured(&self, facility: &str, patient: u32) -> Somebody {
        let identity = self.identity_token(facility, patient).await;
        Somebody { token: self.staffed(facility).await, identity: Some(identity) }
    }

    /// The person at a facility's terminal, for a patient whose card consents to the history.
    async fn consented(&self, facility: &str, patient: u32) -> Somebody {
        let identity = self.by_card(facility, patient, &["medication-history"]).await;
        Somebody { token: self.staffed(facility).await, identity: Some(identity) }
    }

    /// The patient, at a time that no card's revocation list reaches.
    async fn later(&self, patient: u32) -> Somebody {
        let caller = self.world.patient_caller(patient).await;
        let (token, until) = ("later".to_owned(), self.world.now() + TimeDelta::hours(1));
        assert!(
            self.world
                .exchange
                .store()
                .access_token_insert(&[], &token, &caller, (caller.patient(), None), until)
                .await
                .unwrap()
        );
        Somebody { token, identity: None }
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
    let (_, found) = door.check(CLINIC, rx.sj1(), true).await;
    let issue = &found["entry"][0]["resource"];
    assert_eq!(issue["code"]["coding"][0]["code"], "ALGY", "{found}");
    assert!(issue["detail"].as_str().unwrap().contains("reported by the patient"), "{issue}");
    assert!(door.world.register(&rx).await.is_err(), "it has to be answered for");

    // A pharmacy that has not the patient's consent sees what it recorded itself, and only that.
    let pharmacist = door.insured(PHARMACY, 1).await;
    assert_eq!(door.listed(&pharmacist, path).await, Vec::<Value>::new());
    let (status, own) = door.ask(&pharmacist, Http::POST, path, Some(&allergy("ロキソプロフェン"))).await;
    assert_eq!((status, &own["meta"]["tag"][0]["code"]), (201, &json!("facility-reported")));
    assert_eq!(door.listed(&pharmacist, path).await.len(), 1);
    let consented = door.consented(CLINIC, 1).await;
    assert_eq!(door.listed(&consented, path).await.len(), 2);

    let entry = |resource: &Value| format!("{path}/{}", resource["id"].as_str().unwrap());
    let (status, refused) = door.ask(&patient, Http::DELETE, &entry(&own), None).await;
    assert_eq!((status, code(&refused)), (403, "not-permitted"), "whoever recorded it takes it back");
    assert_eq!(door.ask(&pharmacist, Http::DELETE, &entry(&kept), None).await.0, 404);
    assert_eq!(door.ask(&patient, Http::DELETE, &entry(&kept), None).await.0, 204);
    assert_eq!(door.ask(&patient, Http::DELETE, &entry(&kept), None).await.0, 404);
    door.world.register(&rx).await.unwrap();
    assert_eq!(door.listed(&patient, path).await.len(), 1);

    let acts = door.acts(1).await;
    for act in ["allergy-record", "allergy-read", "allergy-remove"] {
        assert!(acts.iter().any(|recorded| recorded == act), "{act} in {acts:?}");
    }
    let other = door.patient(2).await;
    assert_eq!(door.listed(&other, path).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_medicine_the_patient_reports_is_told_for_information() {
    let door = Door::open().await;
    let (patient, path) = (door.patient(1).await, "/fhir/MedicationStatement");
    let statement = json!({
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": { "text": "アムロジピン" },
        "subject": { "type": "Patient" },
    });
    let (status, kept) = door.ask(&patient, Http::POST, path, Some(&statement)).await;
    assert_eq!(status, 201, "{kept}");
    let (_, found) = door.check(CLINIC, door.world.rx(1).sj1(), true).await;
    let issue = &found["entry"][0]["resource"];
    assert_eq!((&issue["code"]["coding"][0]["code"], &issue["severity"]), (&json!("DUPTHPY"), &json!("low")));
    assert!(issue["contained"][0]["effectivePeriod"].get("end").is_none(), "it goes on: {issue}");
    door.world.register(&door.world.rx(1)).await.unwrap();

    let clinic = door.insured(CLINIC, 1).await;
    let (status, refused) = door.ask(&clinic, Http::GET, path, None).await;
    assert_eq!((status, code(&refused)), (403, "consent-required"));
    let (status, refused) = door.ask(&clinic, Http::POST, path, Some(&statement)).await;
    assert_eq!((status, code(&refused)), (403, "not-permitted"));
    let consented = door.consented(CLINIC, 1).await;
    let told = door.listed(&consented, path).await;
    assert_eq!((told.len(), &told[0]["meta"]["tag"][0]["code"]), (1, &json!("self-reported")));

    let mut faulty = statement.clone();
    faulty["status"] = "completed".into();
    faulty["dosage"] = json!([{ "text": "x" }]);
    let (status, refused) = door.ask(&patient, Http::POST, path, Some(&faulty)).await;
    assert_eq!((status, code(&refused)), (422, "document-invalid"));
    assert_eq!(refused["issue"].as_array().unwrap().len(), 2, "all at once: {refused}");
    let entry = format!("{path}/{}", kept["id"].as_str().unwrap());
    assert_eq!(door.ask(&patient, Http::DELETE, &entry, None).await.0, 204);
}

#[tokio::test]
async fn the_shared_history_opens_to_the_patient_and_under_consent_and_every_page_is_a_look() {
    let door = Door::open().await;
    let world = &door.world;
    let rx = world.rx(1);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let result = world.dispensing(PHARMACY, &rx, &accepted);
    world.dispense(PHARMACY, &accepted, result).await.unwrap();
    let waiting = world.register(&Rx { drug: ROSUVASTATIN, ..world.rx(1) }).await.unwrap().outcome.task;

    let (requests, dispenses) = ("/fhir/MedicationRequest", "/fhir/MedicationDispense");
    let patient = door.patient(1).await;
    let prescribed = door.listed(&patient, requests).await;
    let shown: Vec<&Value> = prescribed.iter().map(|resource| &resource["status"]).collect();
    assert!(shown.contains(&&json!("completed")) && shown.contains(&&json!("active")), "{prescribed:?}");
    assert!(prescribed.iter().any(|resource| {
        resource["groupIdentifier"]["value"] == format!("urn:uuid:{}", waiting.id)
            && resource["requester"]["identifier"]["value"] == CLINIC
    }));
    let given = door.listed(&patient, dispenses).await;
    assert_eq!(
        (given.len(), &given[0]["performer"][0]["actor"]["identifier"]["value"]),
        (1, &json!(PHARMACY))
    );
    assert_eq!(given[0]["daysSupply"]["value"], 28);
    assert_eq!(given[0]["meta"]["tag"][0]["code"], "dispensing-result");

    // Page by page, as the next link says.
    let (_, first) = door.ask(&patient, Http::GET, &format!("{requests}?_count=1"), None).await;
    assert_eq!((&first["total"], first["entry"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    let next = first["link"][1]["url"].as_str().unwrap().strip_prefix(&door.base_url).unwrap();
    let second = door.listed(&patient, next).await;
    assert_ne!(first["entry"][0]["resource"]["id"], second[0]["id"]);
    let own = format!("{requests}?patient={}", world.patient(1).await);
    assert_eq!(door.listed(&patient, &own).await.len(), 2);
    let others = format!("{requests}?patient={}", world.patient(2).await);
    assert_eq!(door.ask(&patient, Http::GET, &others, None).await.0, 404);
    for faulty in ["?date=yesterday", "?_count=0", "?cursor=x", "?status=active"] {
        assert_eq!(
            door.ask(&patient, Http::GET, &format!("{requests}{faulty}"), None).await.0,
            400,
            "{faulty}"
        );
    }

    // What was claimed for shows beside it and says what it is.
    let month = hikikae::clock::japanese_date(world.now()).format("%Y-%m");
    let file = format!(
        "month,code,name,quantity,institution,insurer_number,symbol,number,branch_number,birth_date\n\
         {month},620098801,ロキソニン錠６０ｍｇ,28,{OTHER_CLINIC},06138762,１２３,{},00,{}\n",
        number(1),
        born()
    );
    let claims = Claims::parse(file.as_bytes()).unwrap();
    let import = || world.exchange.store().claims_import(&claims, world.now(), &|_, _| ());
    assert_eq!((import().await.unwrap(), import().await.unwrap()), (1, 0), "a second time changes nothing");
    let nobody = Claims::parse(file.replace(&number(1), "999").as_bytes()).unwrap();
    assert!(world.exchange.store().claims_import(&nobody, world.now(), &|_, _| ()).await.is_err());
    let given = door.listed(&patient, dispenses).await;
    let claimed = given.iter().find(|resource| resource["meta"]["tag"][0]["code"] == "claims").unwrap();
    assert_eq!((given.len(), &claimed["quantity"]["value"]), (2, &json!(28)));
    let claimed =
        Rx { clinic: OTHER_CLINIC, drug: "620098801,ロキソニン錠６０ｍｇ", ..world.rx(1) };
    let (_, found) = door.check(OTHER_CLINIC, claimed.sj1(), false).await;
    assert!(!found.to_string().contains("DetectedIssue"), "no check reads claims: {found}");

    let before = door.acts(1).await.len();
    let clinic = door.insured(OTHER_CLINIC, 1).await;
    let (status, refused) = door.ask(&clinic, Http::GET, dispenses, None).await;
    assert_eq!((status, code(&refused)), (403, "consent-required"));
    let consented = door.consented(OTHER_CLINIC, 1).await;
    assert_eq!(door.listed(&consented, dispenses).await.len(), 2);
    let nobody = Somebody { token: door.token(OTHER_CLINIC).await, identity: consented.identity };
    let (status, refused) = door.ask(&nobody, Http::GET, dispenses, None).await;
    assert_eq!((status, code(&refused)), (403, "not-permitted"), "a practitioner has to be there");
    let looks = world.recorded(1).await;
    let look = looks.iter().rev().find(|look| look.act == "history-given-out").unwrap();
    assert!(look.content.person.is_some(), "{look:?}");
    assert_eq!(look.content.opened.len(), 1, "by what it was opened");
    assert!(door.acts(1).await.len() > before);

    let day = hikikae::clock::japanese_date(world.now());
    world.clock.advance(TimeDelta::days(140));
    let patient = door.later(1).await;
    assert_eq!(door.listed(&patient, requests).await.len(), 0, "a hundred days unless more is asked for");
    assert_eq!(door.listed(&patient, &format!("{requests}?date=ge{day}")).await.len(), 2);
    assert_eq!(door.listed(&patient, &format!("{requests}?date=lt{day}")).await.len(), 0);
}

//! Who may do what under which consent: the tables of `docs/access.md` are the input.

#![expect(clippy::unwrap_used, reason = "a table that cannot be read fails its test")]

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::TimeDelta;
use hikikae::exchange::accept::Accepted;
use hikikae::exchange::app::{AppAccess, Asked};
use hikikae::exchange::caller::{Actor, Caller};
use hikikae::prescription::access::AccessAct;
use hikikae::store::app::App;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::door::{Door, FHIR, JSON, answer, card, code, decision, parameters};
use crate::harness::connect;
use crate::mandate::related_person;
use crate::world::{
    AMLODIPINE, CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, PKI, ROSUVASTATIN, Rx, born, name, request,
};

/// A brand that only the other clinic prescribes.
const OTHER_DRUG: &str = "612170709,アムロジン錠５ｍｇ";
const OTHER_NAME: &str = "アムロジン";
/// The columns of consent where a caller's own column says all.
const ALONE: &str = "no identity";

/// One cell: a call by a caller in a state of consent, and what is answered.
#[derive(Clone, Debug)]
struct Row {
    call: String,
    caller: String,
    state: String,
    said: String,
}

impl Row {
    /// The endpoint, as its description names it.
    fn endpoint(&self) -> (Method, String) {
        let call = self.call.split(" by ").next().unwrap();
        let (method, path) = call.split_once(' ').unwrap();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/fhir/{path}") };
        (method.parse().unwrap(), path)
    }
}

/// The cells of every table. One whose first column is `call` has a caller in the second and states in the others; one
/// whose first is `by` has callers in the others.
fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md")).unwrap();
    let mut rows = Vec::new();
    let mut head: Vec<String> = Vec::new();
    for line in page.lines() {
        let Some(line) = line.strip_prefix('|') else {
            head.clear();
            continue;
        };
        let cells: Vec<String> = line
            .trim_end()
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect();
        if ["call", "by"].contains(&cells[0].as_str()) {
            head = cells;
        } else if !head.is_empty() && !cells[0].starts_with("---") {
            assert_eq!(cells.len(), head.len(), "{line}");
            let by_state = head[0] == "call";
            for (place, said) in cells.iter().enumerate().skip(if by_state { 2 } else { 1 }) {
                if said == "–" {
                    continue;
                }
                let (caller, state) =
                    if by_state { (&cells[1], &*head[place]) } else { (&head[place], ALONE) };
                rows.push(Row {
                    call: cells[0].clone(),
                    caller: caller.clone(),
                    state: state.to_owned(),
                    said: said.clone(),
                });
            }
        }
    }
    rows
}

/// A door where one state of consent is in force for patient 1 at every facility that asks.
struct Scene {
    door: Door,
    state: String,
}

/// What a call is about.
#[derive(Default)]
struct Thing {
    /// What `{id}` stands for.
    id: String,
    /// 引換番号, or the id of who is to be a representative.
    number: String,
    accepted: Option<Accepted>,
}

/// A call as it is sent.
struct Sent {
    media_type: &'static str,
    body: Bytes,
    query: String,
}

impl Scene {
    async fn of(state: &str) -> Self {
        let door = Door::open().await;
        let world = &door.world;
        world.register(&Rx { clinic: OTHER_CLINIC, drug: OTHER_DRUG, ..world.rx(1) }).await.unwrap();
        match state {
            "standing" | "refused" => {
                for facility in [CLINIC, OTHER_CLINIC, PHARMACY] {
                    for kind in ["medication-history", "prescription-list"] {
                        door.decide(1, kind, state == "standing", facility).await;
                    }
                }
            }
            "disaster" => {
                let now = world.now();
                let where_ = ["13".to_owned()];
                let store = world.exchange.store();
                store.disaster_open(&where_, "test", now, now + TimeDelta::hours(1)).await.unwrap();
            }
            _ => {}
        }
        Self { door, state: state.to_owned() }
    }

    /// The access token of a caller of the table; empty for nobody.
    async fn token(&self, caller: &str) -> String {
        let door = &self.door;
        match caller {
            "nobody" => String::new(),
            "patient" => door.patient_token(1).await,
            "other patient" => door.patient_token(2).await,
            "app" => self.app_token().await,
            "practitioner" => door.log_in("physician", &PKI.people[0], None).await,
            "clinic" => door.token(CLINIC).await,
            "other clinic" => door.token(OTHER_CLINIC).await,
            "pharmacy" | "holder" => door.token(PHARMACY).await,
            "clinic with physician" => door.staffed(CLINIC).await,
            "pharmacy with pharmacist" => door.staffed(PHARMACY).await,
            _ => panic!("no caller {caller}"),
        }
    }

    /// A token of an app that the patient lets read what was prescribed.
    async fn app_token(&self) -> String {
        let world = &self.door.world;
        let app = AppAccess {
            client_id: "app".to_owned(),
            name: "見本アプリ".to_owned(),
            scope: "patient/MedicationRequest.read".parse().unwrap(),
        };
        let actor = Actor::Patient { id: *world.patient(1).await.as_uuid(), name: name(1) };
        let caller = Caller { app: Some(app), ..Caller::of(actor) };
        let (token, until) = (request().id.to_string(), world.now() + TimeDelta::hours(1));
        assert!(
            world
                .exchange
                .store()
                .access_token_insert(&[], &token, &caller, (caller.patient(), None), until)
                .await
                .unwrap()
        );
        token
    }

    /// The identity token the caller's facility has in this state; `None` without a facility or an identity check.
    async fn identity(&self, caller: &str) -> Option<String> {
        let door = &self.door;
        let facility = match caller {
            "clinic" | "clinic with physician" => CLINIC,
            "other clinic" => OTHER_CLINIC,
            "pharmacy" | "holder" | "pharmacy with pharmacist" => PHARMACY,
            _ => return None,
        };
        let both = ["medication-history", "prescription-list"];
        Some(match self.state.as_str() {
            ALONE => return None,
            "insurance" | "standing" | "disaster" => door.identity_token(facility, 1).await,
            "card" => door.by_card(facility, 1, &[]).await,
            "card: history" => door.by_card(facility, 1, &both[..1]).await,
            "card: list" => door.by_card(facility, 1, &both[1..]).await,
            "refused" => door.by_card(facility, 1, &both).await,
            "withdrawn" => {
                let token = door.by_card(facility, 1, &both).await;
                for consent in door.consents(1).await {
                    assert_eq!(door.withdraw(1, &consent).await, StatusCode::NO_CONTENT);
                }
                token
            }
            "break-glass" => self.break_glass(facility).await,
            state => panic!("no state {state}"),
        })
    }

    async fn break_glass(&self, facility: &str) -> String {
        let token = self.door.staffed(facility).await;
        let call = self.door.post("/fhir/Patient/$break-glass", &token, FHIR, emergency());
        let (status, body) = answer(call).await;
        assert_eq!(status, 200, "{body}");
        crate::door::parameter(&body, "identityToken")["valueString"].as_str().unwrap().to_owned()
    }

    /// A prescription of patient 1 by the clinic; held, or dispensed where the call is about that, when the caller is
    /// to hold it.
    async fn prescription(&self, row: &Row) -> Thing {
        let world = &self.door.world;
        let rx = Rx { drug: ROSUVASTATIN, ..world.rx(1) };
        let task = world.register(&rx).await.unwrap().outcome.task;
        let number = task.exchange_number.as_ref().unwrap().as_str().to_owned();
        let mut thing = Thing { id: task.id.to_string(), number, accepted: None };
        let about_dispensed =
            ["amend-dispense", "withdraw-dispense", "notebook"].iter().any(|act| row.call.ends_with(act));
        if row.caller == "holder" || row.call.ends_with("notebook") {
            let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
            if about_dispensed {
                let document = world.dispensing(PHARMACY, &rx, &accepted);
                world.dispense(PHARMACY, &accepted, document).await.unwrap();
            }
            thing.accepted = Some(accepted);
        }
        thing
    }

    /// What the call is about, made for this call.
    async fn thing(&self, row: &Row) -> Thing {
        let (_, path) = row.endpoint();
        let of = |id: String| Thing { id, ..Thing::default() };
        match path.as_str() {
            path if path.starts_with("/fhir/Task/{id}") || path == "/fhir/Task/$accept" => {
                self.prescription(row).await
            }
            "/fhir/Patient/$notebook" => {
                // Dispensed at the pharmacy; another pharmacy asks in vain.
                self.prescription(row).await
            }
            "/fhir/DetectedIssue/{id}/$mitigate" => {
                let (_, found) = self.door.check(CLINIC, self.door.world.rx(1).sj1(), false).await;
                of(found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned())
            }
            "/fhir/AllergyIntolerance/{id}" | "/fhir/MedicationStatement/{id}" => {
                of(self.entry(row, path.strip_suffix("/{id}").unwrap()).await)
            }
            "/fhir/Consent/{id}" => {
                let consent = self.door.decide(1, "prescription-list", false, OTHER_PHARMACY).await;
                of(consent["id"].as_str().unwrap().to_owned())
            }
            "/fhir/RelatedPerson/{id}" => of(self.mandate().await),
            "/fhir/RelatedPerson" => {
                let number = self.door.world.patient(3).await.to_string();
                Thing { number, ..Thing::default() }
            }
            "/oauth2/apps/{id}" => of(self.grant().await.to_string()),
            _ => Thing::default(),
        }
    }

    /// A mandate of the patient's for somebody who is none of the callers.
    async fn mandate(&self) -> String {
        let world = &self.door.world;
        let body = related_person(&world.patient(3).await.to_string(), world.now(), "read").to_string();
        let token = self.door.patient_token(1).await;
        let (status, body) = answer(self.door.post("/fhir/RelatedPerson", &token, FHIR, body)).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// An entry that the caller has made, or else the patient.
    async fn entry(&self, row: &Row, path: &str) -> String {
        let body = reported(path).to_string();
        for caller in [row.caller.as_str(), "patient"] {
            let mut call = self.door.post(path, &self.token(caller).await, FHIR, body.clone());
            if let Some(identity) = self.identity(caller).await {
                call = call.header("Identity-Token", identity);
            }
            let (status, kept) = answer(call).await;
            if status.is_success() && caller != "other patient" {
                return kept["id"].as_str().unwrap().to_owned();
            }
        }
        panic!("nobody may make an entry at {path}")
    }

    /// An app that the patient has let in.
    async fn grant(&self) -> Uuid {
        let door = &self.door;
        let exchange = &door.world.exchange;
        let redirect_uri = "https://app.example/".to_owned();
        let app = App {
            client_id: "app".to_owned(),
            name: "見本アプリ".to_owned(),
            redirect_uris: vec![redirect_uri.clone()],
            active: true,
        };
        exchange.store().app_put(&app).await.unwrap();
        let scope = "patient/*.read".parse().unwrap();
        let asked = Asked { app, redirect_uri, scope, code_challenge: String::new() };
        let said = door.caller.assertion("card", card(1), &door.base_url, Map::new()).unwrap();
        let request = request();
        exchange.app_authorize(&asked, &said, &request).await.unwrap();
        request.id
    }

    /// The body and the query of a call.
    fn sent(&self, row: &Row, thing: &Thing) -> Sent {
        let world = &self.door.world;
        let (_, path) = row.endpoint();
        let sent = |media_type, body: String| Sent { media_type, body: body.into(), query: String::new() };
        let document = |body| Sent { media_type: "application/xml", body, query: String::new() };
        match path.as_str() {
            "/fhir/Patient/$verify-identity" => sent(FHIR, {
                let born = born().to_string();
                parameters(&[
                    ("insurerNumber", "06138762"),
                    ("symbol", "１２３"),
                    ("number", &crate::world::number(1)),
                    ("birthDate", &born),
                ])
            }),
            "/fhir/Patient/$break-glass" => sent(FHIR, emergency()),
            "/fhir/$medication-check" => sent("text/csv", world.rx(1).sj1()),
            "/fhir/DetectedIssue/{id}/$mitigate" => sent(FHIR, parameters(&[("code", "1")])),
            "/fhir/Task/$accept" if row.call.ends_with("number") => {
                sent(FHIR, parameters(&[("exchangeNumber", &thing.number)]))
            }
            "/fhir/Task/$accept" => sent(FHIR, parameters(&[("prescription", &thing.id)])),
            "/fhir/Task/$register" | "/fhir/Task/{id}/$amend" => {
                document(world.sign(&Rx { drug: ROSUVASTATIN, ..world.rx(1) }))
            }
            "/fhir/Task/{id}/$dispense" | "/fhir/Task/{id}/$amend-dispense" => {
                let rx = Rx { drug: ROSUVASTATIN, ..world.rx(1) };
                // Who holds nothing has nothing to answer.
                document(match &thing.accepted {
                    Some(accepted) => world.dispensing(PHARMACY, &rx, accepted),
                    None => world.sign(&rx),
                })
            }
            "/fhir/Patient/$notebook" => {
                Sent { query: format!("?dispense={}", thing.id), ..sent(FHIR, String::new()) }
            }
            "/fhir/Patient/$notebook-import" => sent("text/csv", crate::paper::SHOWN.to_owned()),
            "/fhir/AllergyIntolerance" | "/fhir/MedicationStatement" => {
                sent(FHIR, reported(&path).to_string())
            }
            "/fhir/RelatedPerson" => {
                sent(FHIR, related_person(&thing.number, world.now(), "read").to_string())
            }
            "/fhir/Consent" => {
                sent(FHIR, decision("prescription-list", true, Some(OTHER_PHARMACY)).to_string())
            }
            "/cds-services/hikikae-order-sign" => sent(JSON, order_sign().to_string()),
            "/cds-services/hikikae-order-sign/feedback" => {
                let card = json!({ "card": Uuid::nil(), "outcome": "accepted" });
                sent(JSON, json!({ "feedback": [card] }).to_string())
            }
            path if path.ends_with("$return")
                || path.ends_with("$cancel")
                || path.ends_with("$collect")
                || path.ends_with("$withdraw-dispense") =>
            {
                sent(FHIR, parameters(&[("reason", "test")]))
            }
            _ => sent(FHIR, String::new()),
        }
    }

    async fn call(&self, row: &Row) -> RequestBuilder {
        let door = &self.door;
        let thing = self.thing(row).await;
        let (method, path) = row.endpoint();
        let Sent { media_type, body, query } = self.sent(row, &thing);
        let body = if method == Method::GET { Bytes::new() } else { body };
        let path = path.replace("{id}", &thing.id).replace("{version}", "1");
        let url = format!("{}{path}{query}", door.base_url);
        let mut call = door.client.request(method, url).header("Content-Type", media_type).body(body);
        // A pharmacy that has nothing to do with what was dispensed, or shown, is another.
        let apart =
            row.caller == "pharmacy" && ["notebook", "mitigate"].iter().any(|act| row.call.ends_with(act));
        let token = if apart { door.token(OTHER_PHARMACY).await } else { self.token(&row.caller).await };
        if !token.is_empty() {
            call = call.bearer_auth(token);
        }
        match self.identity(&row.caller).await {
            Some(identity) => call.header("Identity-Token", identity),
            None => call,
        }
    }
}

fn emergency() -> String {
    let (name, born) = (name(1), born().to_string());
    parameters(&[("name", &name), ("birthDate", &born), ("sex", "female"), ("reason", "test")])
}

/// An entry as it is sent to `path`.
fn reported(path: &str) -> Value {
    if path.ends_with("AllergyIntolerance") {
        json!({
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": { "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"
            }] },
            "code": { "text": "卵" },
            "patient": { "type": "Patient" },
        })
    } else {
        json!({
            "resourceType": "MedicationStatement",
            "status": "active",
            "medicationCodeableConcept": { "text": "見本鎮痛錠" },
            "subject": { "type": "Patient" },
        })
    }
}

/// A draft order of what the other clinic prescribes too.
fn order_sign() -> Value {
    let (receipt, display) = AMLODIPINE.split_once(',').unwrap();
    let coding = json!({ "system": "urn:oid:1.2.392.100495.20.1.71", "code": receipt, "display": display });
    let order = json!({
        "resourceType": "MedicationRequest", "status": "draft", "intent": "order",
        "medicationCodeableConcept": { "coding": [coding] },
    });
    let orders = json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": order }] });
    json!({
        "hook": "order-sign", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": { "userId": "Practitioner/1", "patientId": "1", "draftOrders": orders },
    })
}

/// What the table says of an answer: `ok`, of findings `fact` or `details`, else the code of the refusal.
async fn said(row: &Row, call: RequestBuilder) -> String {
    let response = call.send().await.unwrap();
    let status = response.status();
    if status.is_success() && row.call.ends_with("$events") {
        // It does not end.
        return "ok".to_owned();
    }
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
    if !status.is_success() {
        let code = code(&body).to_owned();
        if row.call.ends_with("$slip") && code == "not-acceptable" {
            eprintln!("no font of slips is installed: {} by {} is taken for ok", row.call, row.caller);
            return "ok".to_owned();
        }
        return code;
    }
    match row.call.as_str() {
        "POST $medication-check" | "POST /cds-services/hikikae-order-sign" => {
            if body.to_string().contains(OTHER_NAME) { "details" } else { "fact" }.to_owned()
        }
        _ => "ok".to_owned(),
    }
}

#[tokio::test]
async fn the_table_is_true() {
    let rows = rows();
    let states: BTreeSet<&String> = rows.iter().map(|row| &row.state).collect();
    assert_eq!(states.len(), 10, "{states:?}");
    let (mut wrong, mut acts) = (Vec::new(), BTreeSet::new());
    for state in states {
        let scene = Scene::of(state).await;
        for row in rows.iter().filter(|row| row.state == *state) {
            let said = said(row, scene.call(row).await).await;
            if said != row.said {
                let Row { call, caller, said: expected, .. } = row;
                wrong.push(format!("{call} by {caller}, {state}: {expected} expected, {said} said"));
            }
        }
        let database = connect(&scene.door.world.database.config).await;
        let recorded = database.query("SELECT DISTINCT act FROM access_record", &[]).await.unwrap();
        acts.extend(recorded.iter().map(|row| row.get::<_, String>(0)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Every endpoint has a row, so these are all acts there are, but for those of the operator.
    for act in acts {
        assert!(AccessAct::parse(&act).is_some(), "the access record has no words for {act}");
    }
}

#[tokio::test]
async fn every_endpoint_with_callers_is_in_the_table() {
    let door = Door::open().await;
    let (_, openapi) = answer(door.client.get(format!("{}/openapi.json", door.base_url))).await;
    let mut described = BTreeSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "head" && operation.get("x-callers").is_some() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let rows = rows();
    let named = |row: &Row| {
        let (method, path) = row.endpoint();
        format!("{method} {path}")
    };
    assert_eq!(rows.iter().map(named).collect::<BTreeSet<_>>(), described);
    for call in described {
        let of_call = || rows.iter().filter(|row| named(row) == call);
        assert!(of_call().any(|row| row.caller == "nobody"), "{call} by nobody");
        let opened = ["ok", "fact", "details"];
        assert!(of_call().any(|row| opened.contains(&row.said.as_str())), "{call} is for nobody");
    }
}

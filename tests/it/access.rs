//! Who may do what under which consent: the tables of `docs/access.md` are the input.

#![expect(clippy::unwrap_used, reason = "a table that cannot be read fails its test")]

use chrono::TimeDelta;
use hikikae::prescription::registered::Registered;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::door::{Door, FHIR, answer, code, decision, parameters};
use crate::world::{CLINIC, OTHER_CLINIC, PHARMACY, PKI, Rx, born, name};

/// A brand that only the other clinic prescribes.
const OTHER_DRUG: &str = "612170709,アムロジン錠５ｍｇ";
const OTHER_NAME: &str = "アムロジン";

/// One row: a call by a caller, and what is answered in each state of consent.
struct Row {
    call: String,
    caller: String,
    cells: Vec<(String, String)>,
}

/// The rows of every table whose first column is `call`.
fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md")).unwrap();
    let mut rows = Vec::new();
    let mut states: Vec<String> = Vec::new();
    for line in page.lines() {
        let Some(line) = line.strip_prefix('|') else {
            states.clear();
            continue;
        };
        let cells: Vec<String> = line
            .trim_end()
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect();
        if cells[0] == "call" {
            states = cells[2..].to_vec();
        } else if !states.is_empty() && !cells[0].starts_with("---") {
            assert_eq!(cells.len(), states.len() + 2, "{line}");
            let (call, caller) = (cells[0].clone(), cells[1].clone());
            rows.push(Row { call, caller, cells: states.iter().cloned().zip(cells[2..].to_vec()).collect() });
        }
    }
    rows
}

/// A door where one state of consent is in force for patient 1 at every facility that asks.
struct Scene {
    door: Door,
    state: String,
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
            "practitioner" => door.log_in("physician", &PKI.people[0], None).await,
            "clinic" => door.token(CLINIC).await,
            "other clinic" => door.token(OTHER_CLINIC).await,
            "pharmacy" | "holder" => door.token(PHARMACY).await,
            "clinic with physician" => door.staffed(CLINIC).await,
            "pharmacy with pharmacist" => door.staffed(PHARMACY).await,
            _ => panic!("no caller {caller}"),
        }
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
            "no identity" => return None,
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

    /// A prescription of patient 1 by the clinic, held when the caller is to hold it.
    async fn prescription(&self, caller: &str) -> Registered {
        let world = &self.door.world;
        let drug = crate::world::ROSUVASTATIN;
        let task = world.register(&Rx { drug, ..world.rx(1) }).await.unwrap().outcome.task;
        if caller == "holder" {
            world.accept(PHARMACY, 1, &task).await.unwrap();
        }
        task
    }

    async fn call(&self, row: &Row) -> RequestBuilder {
        let door = &self.door;
        let task = self.prescription(&row.caller).await;
        let id = task.id.to_string();
        let (method, path, media_type, body) = match row.call.as_str() {
            "POST Patient/$card-challenge" => {
                (Method::POST, "Patient/$card-challenge".to_owned(), FHIR, String::new())
            }
            "POST Patient/$verify-identity" => {
                let given = [
                    ("insurerNumber", "06138762".to_owned()),
                    ("symbol", "１２３".to_owned()),
                    ("number", crate::world::number(1)),
                    ("birthDate", born().to_string()),
                ];
                let given = given.each_ref().map(|(name, value)| (*name, value.as_str()));
                (Method::POST, "Patient/$verify-identity".to_owned(), FHIR, parameters(&given))
            }
            "POST Patient/$break-glass" => {
                (Method::POST, "Patient/$break-glass".to_owned(), FHIR, emergency())
            }
            "POST $medication-check" => {
                let clinic = if row.caller.starts_with("other") { OTHER_CLINIC } else { CLINIC };
                let draft = Rx { clinic, ..door.world.rx(1) }.sj1();
                (Method::POST, "$medication-check".to_owned(), "text/csv", draft)
            }
            "POST Task/$accept by number" => {
                let given = [("exchangeNumber", task.exchange_number.as_ref().unwrap().as_str())];
                (Method::POST, "Task/$accept".to_owned(), FHIR, parameters(&given))
            }
            "POST Task/$accept by id" => {
                (Method::POST, "Task/$accept".to_owned(), FHIR, parameters(&[("prescription", &id)]))
            }
            "POST Task/{id}/$renew" => (Method::POST, format!("Task/{id}/$renew"), FHIR, String::new()),
            "POST Task/{id}/$return" => {
                (Method::POST, format!("Task/{id}/$return"), FHIR, parameters(&[("reason", "test")]))
            }
            "POST Task/{id}/$cancel" => {
                (Method::POST, format!("Task/{id}/$cancel"), FHIR, parameters(&[("reason", "test")]))
            }
            "GET Task/{id}" => (Method::GET, format!("Task/{id}"), FHIR, String::new()),
            "GET Task" => (Method::GET, "Task".to_owned(), FHIR, String::new()),
            "GET Task/{id}/$document" => (Method::GET, format!("Task/{id}/$document"), FHIR, String::new()),
            "GET Consent" => (Method::GET, "Consent".to_owned(), FHIR, String::new()),
            "POST Consent" => {
                let sent = decision("medication-history", true, Some(CLINIC)).to_string();
                (Method::POST, "Consent".to_owned(), FHIR, sent)
            }
            call => panic!("no call {call}"),
        };
        let url = format!("{}/fhir/{path}", door.base_url);
        let mut call = door.client.request(method, url).header("Content-Type", media_type).body(body);
        let token = self.token(&row.caller).await;
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

/// What the table says of an answer: `ok`, of findings `fact` or `details`, else the code of the refusal.
fn said(call: &str, status: StatusCode, body: &Value) -> String {
    if !status.is_success() {
        return code(body).to_owned();
    }
    match call {
        "POST $medication-check" if body.to_string().contains(OTHER_NAME) => "details".to_owned(),
        "POST $medication-check" => "fact".to_owned(),
        _ => "ok".to_owned(),
    }
}

#[tokio::test]
async fn the_table_is_true() {
    let rows = rows();
    assert!(rows.len() > 40, "{}", rows.len());
    let mut states: Vec<&String> =
        rows.iter().flat_map(|row| row.cells.iter().map(|(state, _)| state)).collect();
    states.sort();
    states.dedup();
    let mut wrong = Vec::new();
    for state in states {
        let scene = Scene::of(state).await;
        for row in &rows {
            let expected = row.cells.iter().find(|(known, _)| known == state);
            let Some((_, expected)) = expected.filter(|(_, expected)| expected != "–") else { continue };
            let (answered, body) = answer(scene.call(row).await).await;
            let said = said(&row.call, answered, &body);
            if said != *expected {
                wrong.push(format!(
                    "{} by {}, {state}: {expected} expected, {said} said",
                    row.call, row.caller
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

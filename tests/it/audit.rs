//! The access record (アクセス記録): refused acts are in it too, and its patient reads it.

#![expect(clippy::unwrap_used, reason = "a record that cannot be read fails its tests")]

use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::Value;

use crate::door::{Door, FHIR, answer, code, parameters};
use crate::harness::connect;
use crate::world::{CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY};

/// Whatever was refused in the access record of patient 1: act, outcome, and whether it says who, in their order.
async fn refused(door: &Door) -> Vec<(String, String, bool)> {
    let mut rows = door.world.recorded(1).await;
    rows.retain(|row| row.content.outcome != "done");
    let told = rows.into_iter().map(|row| {
        let named = row.content.facility_name.is_some() || row.content.person.is_some();
        (row.act, row.content.outcome, named)
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[tokio::test]
async fn refused_looks_and_acts_are_recorded() {
    let door = Door::open().await;
    let task = door.world.register(&door.world.rx(1)).await.unwrap().outcome.task;
    let get = async |path: &str, token: String| {
        let call = door.client.get(format!("{}/fhir/{path}", door.base_url)).bearer_auth(token);
        answer(call).await.0
    };
    let id = task.id.to_string();

    // A look at what is not theirs, by a facility, a person and another patient. The caller is told nothing of it.
    for path in [format!("Task/{id}"), format!("Task/{id}/_history"), format!("Task/{id}/$document")] {
        assert_eq!(get(&path, door.token(OTHER_CLINIC).await).await, StatusCode::NOT_FOUND);
    }
    assert_eq!(get(&format!("Task/{id}"), door.patient_token(2).await).await, StatusCode::NOT_FOUND);
    let row = |act: &str, outcome: &str, named| (act.to_owned(), outcome.to_owned(), named);
    let looks = [
        row("document", "not-found", true),
        row("history", "not-found", true),
        // One patient is not named to another.
        row("read", "not-found", false),
        row("read", "not-found", true),
    ];
    assert_eq!(refused(&door).await, looks);

    // Acts that the state or a missing consent refuses.
    let token = door.token(PHARMACY).await;
    let identity = door.identity_token(PHARMACY, 1).await;
    let accept = async |name: &str, value: &str, token: &str, identity: &str| {
        let call = door.post("/fhir/Task/$accept", token, FHIR, parameters(&[(name, value)]));
        let (_, body) = answer(call.header("Identity-Token", identity)).await;
        code(&body).to_owned()
    };
    assert_eq!(accept("prescription", &id, &token, &identity).await, "consent-required");
    let number = task.exchange_number.as_ref().unwrap().as_str();
    assert_eq!(accept("exchangeNumber", number, &token, &identity).await, "");
    let (other, other_identity) =
        (door.token(OTHER_PHARMACY).await, door.identity_token(OTHER_PHARMACY, 1).await);
    assert_eq!(accept("exchangeNumber", number, &other, &other_identity).await, "held-by-pharmacy");
    // With the identity of somebody else it is not found, and recorded where it lies.
    let stranger = door.by_card(OTHER_PHARMACY, 2, &["prescription-list"]).await;
    assert_eq!(accept("prescription", &id, &other, &stranger).await, "not-found");
    let reason = parameters(&[("reason", "test")]);
    let cancel = door.post(&format!("/fhir/Task/{id}/$cancel"), &door.token(CLINIC).await, FHIR, reason);
    assert_eq!(code(&answer(cancel).await.1), "held-by-pharmacy");
    let acts = [
        row("accept", "consent-required", true),
        row("accept", "held-by-pharmacy", true),
        row("accept", "not-found", true),
        row("cancel", "held-by-pharmacy", true),
    ];
    assert_eq!(refused(&door).await, [&acts[..], &looks[..]].concat());
}

#[tokio::test]
async fn a_storm_of_refusals_is_one_record_a_minute() {
    let door = Door::open().await;
    let task = door.world.register(&door.world.rx(1)).await.unwrap().outcome.task;
    let url = format!("{}/fhir/Task/{}", door.base_url, task.id);
    let storm = async || {
        let token = door.token(OTHER_CLINIC).await;
        let calls = (0..20).map(|_| answer(door.client.get(&url).bearer_auth(&token)));
        for (status, _) in futures_util::future::join_all(calls).await {
            assert_eq!(status, StatusCode::NOT_FOUND);
        }
    };
    storm().await;
    assert_eq!(refused(&door).await.len(), 1);
    door.world.clock.advance(TimeDelta::minutes(1));
    storm().await;
    assert_eq!(refused(&door).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered() {
    let door = Door::open().await;
    let task = door.world.register(&door.world.rx(1)).await.unwrap().outcome.task;
    let database = connect(&door.world.database.config).await;
    database.batch_execute("ALTER TABLE access_record RENAME TO gone").await.unwrap();
    let call = door.client.get(format!("{}/fhir/Task/{}", door.base_url, task.id));
    let (status, body) = answer(call.bearer_auth(door.token(OTHER_CLINIC).await)).await;
    assert_eq!((status, code(&body)), (StatusCode::SERVICE_UNAVAILABLE, "database-unavailable"));
}

/// The patient's access record from `url` on, page by page.
async fn read(door: &Door, url: String) -> Vec<Value> {
    let token = door.patient_token(1).await;
    let (mut next, mut events) = (Some(url), Vec::new());
    while let Some(url) = next {
        let (status, body) = answer(door.client.get(url).bearer_auth(&token)).await;
        assert_eq!(status, 200, "{body}");
        let entries = body["entry"].as_array().cloned().unwrap_or_default();
        events.extend(entries.into_iter().map(|entry| entry["resource"].clone()));
        let links = body["link"].as_array().unwrap();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link.map(|link| link["url"].as_str().unwrap().to_owned());
    }
    events
}

#[tokio::test]
async fn the_patient_reads_who_looked_and_acted_and_was_refused() {
    let door = Door::open().await;
    let task = door.world.register(&door.world.rx(1)).await.unwrap().outcome.task;
    let number = parameters(&[("exchangeNumber", task.exchange_number.as_ref().unwrap().as_str())]);
    for pharmacy in [PHARMACY, OTHER_PHARMACY] {
        let token = door.token(pharmacy).await;
        let identity = door.by_card(pharmacy, 1, &["medication-history"]).await;
        let call = door.post("/fhir/Task/$accept", &token, FHIR, number.clone());
        answer(call.header("Identity-Token", identity)).await;
    }
    let url = format!("{}/fhir/AuditEvent", door.base_url);
    let events = read(&door, url.clone()).await;
    let acts: Vec<&str> = events.iter().map(|event| event["subtype"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(acts, ["accept", "verify-identity", "accept", "verify-identity", "register"]);

    let [refused, _, accepted, ..] = &events[..] else { panic!("{events:?}") };
    let text = |event: &Value| event["text"]["div"].as_str().unwrap().to_owned();
    assert_eq!(refused["outcome"], "4");
    assert!(text(refused).contains("ほかの薬局が受け付けているため"), "{}", text(refused));
    assert_eq!(accepted["outcome"], "0");
    assert!(text(accepted).contains("処方箋を受け付けました。根拠はカードでのあなたの同意。"));
    assert!(text(accepted).contains("accepted your prescription. By your consent by card."));
    assert_eq!(accepted["agent"][0]["who"]["identifier"]["value"], PHARMACY);
    assert_eq!(accepted["entity"][1]["what"]["reference"], format!("Task/{}", task.id));
    assert!(accepted["entity"][2]["what"]["reference"].as_str().unwrap().starts_with("Consent/"));

    // Page by page it is the same, but for the looks at it that come meanwhile.
    let paged = read(&door, format!("{url}?_count=2")).await;
    assert_eq!(paged[0]["subtype"][0]["code"], "access-record");
    assert_eq!(paged[1..], events);
    // By day, as people count days here.
    let tomorrow = hikikae::clock::japanese_date(door.world.now()).succ_opt().unwrap();
    assert!(read(&door, format!("{url}?date=ge{tomorrow}")).await.is_empty());
    assert!(read(&door, format!("{url}?date=lt{tomorrow}")).await.len() > events.len());

    // It is the patient's, and of one patient.
    let others = answer(door.client.get(&url).bearer_auth(door.patient_token(2).await)).await.1;
    assert!(others.get("entry").is_none(), "{others}");
    for token in [door.token(CLINIC).await, door.staffed(PHARMACY).await] {
        let (status, body) = answer(door.client.get(&url).bearer_auth(token)).await;
        assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "not-permitted"));
    }
}

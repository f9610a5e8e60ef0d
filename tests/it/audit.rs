//! The access record (アクセス記録): refused acts are in it too.

use chrono::TimeDelta;
use reqwest::StatusCode;

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

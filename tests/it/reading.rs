//! How Tasks are read over HTTP: what the caller prefers, what it holds already, what it searches for.

#![expect(clippy::unwrap_used, reason = "an answer that cannot be read fails its tests")]

use chrono::TimeDelta;
use hikikae::clock::japanese_date;
use reqwest::Response;
use serde_json::{Value, json};

use crate::door::{Door, FHIR, answer, parameters};
use crate::world::{CLINIC, PHARMACY, caller};

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_write_answers_as_the_caller_prefers() {
    let door = Door::open().await;
    let token = door.staffed(CLINIC).await;
    let document = String::from_utf8(door.world.sign(&door.world.rx(1)).to_vec()).unwrap();
    let register = |prefer: &'static str| {
        let call = door.post("/fhir/Task/$register", &token, "application/xml", document.clone());
        call.header("Idempotency-Key", "once").header("Prefer", prefer).send()
    };
    let minimal = register("respond-async, return=minimal").await.unwrap();
    assert_eq!(minimal.status(), 201);
    assert_eq!(header(&minimal, "preference-applied"), "return=minimal");
    assert_eq!(header(&minimal, "etag"), "W/\"1\"");
    let location = header(&minimal, "location").to_owned();
    assert!(minimal.bytes().await.unwrap().is_empty());

    let whole = register("return=representation").await.unwrap();
    assert_eq!((whole.status().as_u16(), header(&whole, "location")), (201, &*location));
    assert_eq!(header(&whole, "preference-applied"), "return=representation");
    assert_eq!(header(&whole, "idempotent-replay"), "true", "another preference is the same request");
    let task: Value = whole.json().await.unwrap();
    assert!(location.ends_with(task["id"].as_str().unwrap()), "{task}");

    let path = format!("{}/$cancel", location.strip_prefix(&door.base_url).unwrap());
    let cancel = |prefer: &'static str| {
        let call = door.post(&path, &token, FHIR, parameters(&[("reason", "test")]));
        call.header("Idempotency-Key", "twice").header("Prefer", prefer).send()
    };
    let minimal = cancel("return=minimal").await.unwrap();
    assert_eq!((minimal.status().as_u16(), header(&minimal, "etag")), (204, "W/\"2\""));
    assert!(minimal.bytes().await.unwrap().is_empty());
    let other = cancel("return=OperationOutcome").await.unwrap();
    assert_eq!((other.status().as_u16(), header(&other, "preference-applied")), (200, ""));
    assert!(!other.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn whoever_holds_a_task_is_not_sent_it_again_unless_the_clock_has_changed_it() {
    let door = Door::open().await;
    let world = &door.world;
    let registered = world.register(&world.rx(1)).await.unwrap().outcome.task;
    let task = world.accept(PHARMACY, 1, &registered).await.unwrap().outcome.task.task;
    let pharmacy = "pharmacy of this test";
    let until = world.now() + TimeDelta::days(30);
    let kept = world
        .exchange
        .store()
        .access_token_insert(&[], pharmacy, &caller(PHARMACY), (None, None), until)
        .await;
    assert!(kept.unwrap());
    let read = |held: String| {
        let call = door.client.get(format!("{}/fhir/Task/{}", door.base_url, task.id));
        call.bearer_auth(pharmacy).header("If-None-Match", held).send()
    };
    let tag = format!("W/\"{}\"", task.version);
    let looks = door.acts(1).await.len();
    for held in [tag.clone(), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = read(held).await.unwrap();
        assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, &*tag));
        assert!(same.bytes().await.unwrap().is_empty());
    }
    assert_eq!(door.acts(1).await.len(), looks + 3, "each is a look");
    assert_eq!(read(format!("W/\"{}\"", registered.version)).await.unwrap().status(), 200);

    world.clock.advance(TimeDelta::days(13));
    let later = read(tag.clone()).await.unwrap();
    assert_eq!((later.status().as_u16(), header(&later, "etag")), (200, &*tag));
    let shown: Value = later.json().await.unwrap();
    assert_ne!(shown["businessStatus"]["coding"][0]["code"], "accepted");
}

#[tokio::test]
async fn a_search_tells_its_total_when_one_page_holds_it_all() {
    let door = Door::open().await;
    let world = &door.world;
    world.register(&world.rx(1)).await.unwrap();
    world.register(&world.rx(2)).await.unwrap();
    let token = door.token(CLINIC).await;
    let search = async |url: &str| -> (u16, Value) {
        let call = door.client.get(url).bearer_auth(&token);
        let (status, body) = answer(call).await;
        (status.as_u16(), body)
    };
    let year = japanese_date(world.now()).format("%Y").to_string();
    let base = format!("{}/fhir/Task", door.base_url);
    for (query, total) in [
        (format!("authored-on={year}&status=requested"), 2),
        (format!("_lastUpdated=sa{year}"), 0),
        (format!("_lastUpdated=ap{year}&authored-on=ge{year}-01"), 2),
        ("status=completed".to_owned(), 0),
    ] {
        let url = format!("{base}?{query}");
        let (status, bundle) = search(&url).await;
        assert_eq!((status, &bundle["total"]), (200, &json!(total)), "{query}: {bundle}");
        assert_eq!(bundle["link"][0], json!({ "relation": "self", "url": url }));
    }
    let (_, first) = search(&format!("{base}?_count=1")).await;
    assert_eq!((first["entry"].as_array().map(Vec::len), first.get("total")), (Some(1), None));
    let (_, second) = search(first["link"][1]["url"].as_str().unwrap()).await;
    assert_eq!((second["entry"].as_array().map(Vec::len), second.get("total")), (Some(1), None));
    assert_eq!(search(&format!("{base}?authored-on=ne{year}")).await.0, 400);
}

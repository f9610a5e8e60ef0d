//! How Tasks are read over HTTP: what the caller prefers, what it holds already, what it searches for.

#![expect(clippy::unwrap_used, reason = "an answer that cannot be read fails its tests")]

use std::io::{Seek as _, Write as _};
use std::process::Command;

use chrono::TimeDelta;
use hikikae::clock::japanese_date;
use reqwest::Response;
use serde_json::{Value, json};

use crate::door::{Door, FHIR, answer, code, parameters};
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
    for (query, total) in [
        (format!("authored-on=ne{year}"), 0),
        ("authored-on=ne2020&_lastUpdated=ne2020-02".to_owned(), 2),
        (format!("_summary=count&_lastUpdated=ge{year}"), 2),
        ("_summary=count&status=completed".to_owned(), 0),
    ] {
        let (status, bundle) = search(&format!("{base}?{query}")).await;
        assert_eq!((status, &bundle["total"]), (200, &json!(total)), "{query}: {bundle}");
        assert_eq!(bundle.get("entry").is_some(), total > 0 && !query.contains("count"), "{query}: {bundle}");
    }
    for refused in ["_summary=text", "_summary=", "_summary=true&_summary=true", "authored-on=ne"] {
        assert_eq!(search(&format!("{base}?{refused}")).await.0, 400, "{refused}");
    }
}

#[tokio::test]
async fn a_summary_is_less_and_says_so_and_pages_go_on_as_they_began() {
    let door = Door::open().await;
    door.world.register(&door.world.rx(1)).await.unwrap();
    door.world.register(&door.world.rx(2)).await.unwrap();
    let token = door.token(CLINIC).await;
    let url = format!("{}/fhir/Task?_count=1&_summary=true&_format=json", door.base_url);
    // Somebody who cannot set headers.
    let ask = |url: String| answer(door.client.get(url).header("Accept", "text/html").bearer_auth(&token));
    let (status, first) = ask(url).await;
    assert_eq!(status, 200, "{first}");
    let task = &first["entry"][0]["resource"];
    let names: Vec<&String> = task.as_object().unwrap().keys().collect();
    let expected = ["resourceType", "id", "meta", "identifier", "status", "businessStatus", "intent", "code"];
    assert_eq!(names, [&expected[..], &["lastModified", "requester"]].concat());
    assert_eq!(task["meta"]["tag"][0]["code"], "SUBSETTED");
    let next = first["link"][1]["url"].as_str().unwrap();
    let (status, second) = ask(next.to_owned()).await;
    assert_eq!(
        (status.as_u16(), &second["entry"][0]["resource"]["meta"]["tag"]),
        (200, &task["meta"]["tag"])
    );
    assert_ne!(second["entry"][0]["resource"]["id"], task["id"]);
}

#[tokio::test]
async fn history_and_reports_are_summed_up_too() {
    let door = Door::open().await;
    door.world.register(&door.world.rx(1)).await.unwrap();
    let patient = door.patient_token(1).await;
    door.decide(1, "medication-history", true, CLINIC).await;
    let allergy = json!({
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active" }] },
        "code": { "text": "ペニシリン" },
        "patient": { "display": "self" },
        "reaction": [{ "manifestation": [{ "text": "発疹" }] }],
    });
    let (status, told) =
        answer(door.post("/fhir/AllergyIntolerance", &patient, FHIR, allergy.to_string())).await;
    assert_eq!(status, 201, "{told}");
    let ask =
        |path: String| answer(door.client.get(format!("{}{path}", door.base_url)).bearer_auth(&patient));
    for (kind, gone) in [
        ("MedicationRequest", "dispenseRequest"),
        ("AllergyIntolerance", "reaction"),
        ("Consent", "extension"),
    ] {
        let (_, whole) = ask(format!("/fhir/{kind}")).await;
        assert!(whole["entry"][0]["resource"].get(gone).is_some(), "{whole}");
        let (status, summary) = ask(format!("/fhir/{kind}?_summary=true")).await;
        let resource = &summary["entry"][0]["resource"];
        assert_eq!((status.as_u16(), resource.get(gone)), (200, None), "{summary}");
        let tags = resource["meta"]["tag"].as_array().unwrap();
        assert_eq!(tags.last().unwrap()["code"], "SUBSETTED");
        let (_, count) = ask(format!("/fhir/{kind}?_summary=count")).await;
        assert_eq!((&count["total"], count.get("entry")), (&json!(1), None), "{count}");
    }
    let today = japanese_date(door.world.now());
    let (_, told) = ask("/fhir/AuditEvent?_summary=data".to_owned()).await;
    let event = &told["entry"][0]["resource"];
    assert_eq!(
        (event.get("text"), event["meta"]["tag"][0]["code"].as_str()),
        (None, Some("SUBSETTED")),
        "{told}"
    );
    assert!(event["agent"].is_array());
    let (_, none) = ask(format!("/fhir/AuditEvent?date=ne{today}")).await;
    assert_eq!((none["resourceType"].as_str(), none.get("entry")), (Some("Bundle"), None), "{none}");
    assert_eq!(ask("/fhir/AuditEvent?_summary=count".to_owned()).await.0, 400);
    for (query, total) in [(format!("date=ne{today}"), 0), (format!("date=ne{today}T12:00:00%2B09:00"), 1)] {
        let (status, bundle) = ask(format!("/fhir/MedicationRequest?{query}")).await;
        assert_eq!((status.as_u16(), &bundle["total"]), (200, &json!(total)), "{query}");
    }
}

#[tokio::test]
async fn every_fhir_answer_takes_a_format_and_no_other() {
    let door = Door::open().await;
    let (_, described) = answer(door.client.get(format!("{}/openapi.json", door.base_url))).await;
    let token = door.patient_token(1).await;
    let mut asked = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        if !parameters.iter().any(|parameter| parameter["name"] == "_format") || path.contains('{') {
            continue;
        }
        let ask = async |format: &str| {
            let call = door.client.get(format!("{}{path}?_format={format}", door.base_url));
            answer(call.bearer_auth(&token).header("Accept", "text/html")).await
        };
        // The feed is for facilities.
        let expected = if path == "/fhir/Task/_history" { "not-permitted" } else { "" };
        for format in ["json", "application/json", "application/fhir%2Bjson", "application/fhir+json"] {
            let (status, body) = ask(format).await;
            assert_eq!(code(&body), expected, "{path} {format}: {status} {body}");
        }
        for format in ["xml", "application/fhir%2Bxml", ""] {
            let (status, body) = ask(format).await;
            assert_eq!((status.as_u16(), code(&body)), (406, "not-acceptable"), "{path} {format}: {body}");
        }
        asked += 1;
    }
    assert!(asked >= 8, "{asked}");
}

/// What another program unpacks.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut packed = tempfile::tempfile().unwrap();
    packed.write_all(bytes).unwrap();
    packed.rewind().unwrap();
    let output = Command::new("gzip").arg("-dc").stdin(packed).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn what_holds_no_secret_comes_compressed_and_nothing_else() {
    let door = Door::open().await;
    let task = door.world.register(&door.world.rx(1)).await.unwrap().outcome.task;
    let token = door.token(CLINIC).await;
    let ask = async |path: &str, coding: &'static str| {
        let call = door.client.get(format!("{}{path}", door.base_url)).bearer_auth(&token);
        call.header("Accept-Encoding", coding).send().await.unwrap()
    };
    let document = format!("/fhir/Task/{}/$document", task.id);
    for path in ["/openapi.json", "/fhir/metadata", &document] {
        let (plain, packed) = (ask(path, "identity").await, ask(path, "br, gzip").await);
        assert_eq!(header(&plain, "content-encoding"), "");
        assert_eq!(header(&packed, "content-encoding"), "gzip", "{path}");
        for response in [&plain, &packed] {
            assert_eq!((header(response, "vary"), response.status().as_u16()), ("Accept-Encoding", 200));
        }
        assert_eq!(header(&plain, "content-type"), header(&packed, "content-type"));
        let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
        assert!(packed.len() < plain.len(), "{path}");
        assert_eq!(unpacked(&packed), plain, "{path}");
    }
    let number = format!("/fhir/Task/{}", task.id);
    for path in ["/fhir/Task", &number, "/fhir/Task/_history", "/healthz"] {
        let response = ask(path, "gzip").await;
        assert_eq!((response.status().as_u16(), header(&response, "content-encoding")), (200, ""), "{path}");
    }
    let head = door.client.head(format!("{}/openapi.json", door.base_url)).header("Accept-Encoding", "gzip");
    let head = head.send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-encoding")), (200, "gzip"));
}

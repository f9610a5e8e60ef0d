//! The checker over HTTP: before signing, with consent, from any system with CDS Hooks, and the figures kept of it.

#![expect(clippy::unwrap_used, reason = "a door that does not open fails its tests")]

use chrono::{Days, TimeDelta};
use hikikae::clock::japanese_date;
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::Payload;
use hikikae::formulary::CONTRAINDICATION_NOTICE;
use hikikae::prescription::access::AccessAct;
use hikikae::prescription::consent::Basis;
use hikikae::store::finding::FindingRow;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::{Door, FHIR, JSON, answer, code};
use crate::world::{CLINIC, OTHER_CLINIC, PHARMACY, Rx, World, caller, number, request};

const COMBINATION: &str = "ミカムロ配合錠ＡＰ";

fn resources<'b>(bundle: &'b Value, kind: &str) -> Vec<&'b Value> {
    let entries = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    entries.filter(|resource| resource["resourceType"] == kind).collect()
}

fn elsewhere(world: &World) -> Rx {
    Rx { clinic: OTHER_CLINIC, ..world.rx(1) }
}

#[tokio::test]
async fn what_is_answered_before_signing_holds_at_registration() {
    let door = Door::open().await;
    let world = &door.world;
    world.register(&elsewhere(world)).await.unwrap();
    let rx = world.rx(1);

    let (status, bundle) = door.check(CLINIC, rx.sj1(), false).await;
    assert_eq!(status, 200, "{bundle}");
    let [issue] = resources(&bundle, "DetectedIssue")[..] else { panic!("{bundle}") };
    let [coverage] = resources(&bundle, "OperationOutcome")[..] else { panic!("{bundle}") };
    assert_eq!(coverage["issue"][0]["severity"], "information");
    assert_eq!(code(coverage), "complete");
    assert_eq!(issue["evidence"][0]["code"][0]["text"], "RP1 1 (SJ1[line 12])");

    let Err(ExchangeError::CheckUnresolved(found, _)) = world.register(&rx).await else {
        panic!("not found")
    };
    assert_eq!(issue["id"], found[0].id.to_string(), "the same id");
    let parameters =
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "code", "valueCode": "2" }]});
    let path = format!("/fhir/DetectedIssue/{}/$mitigate", issue["id"].as_str().unwrap());
    let (status, mitigated) =
        answer(door.post(&path, &door.token(CLINIC).await, FHIR, parameters.to_string())).await;
    assert_eq!((status, &mitigated["status"]), (StatusCode::OK, &json!("mitigated")));
    world.register(&rx).await.unwrap();

    let acts = door.acts(1).await;
    assert_eq!(acts, ["register", "check", "register", "mitigate", "register"]);
}

#[tokio::test]
async fn a_reason_given_to_the_check_is_enough() {
    let door = Door::open().await;
    let world = &door.world;
    world.register(&elsewhere(world)).await.unwrap();
    let (_, bundle) = door.check(CLINIC, world.rx(1).sj1(), false).await;
    let id = resources(&bundle, "DetectedIssue")[0]["id"].as_str().unwrap().parse().unwrap();
    let reason = "1".to_owned().try_into().unwrap();
    world.exchange.mitigate(&caller(CLINIC), id, reason, None, &request()).await.unwrap();
    world.register(&world.rx(1)).await.unwrap();
}

#[tokio::test]
async fn consent_opens_the_hit_and_is_recorded() {
    let door = Door::open().await;
    let world = &door.world;
    // Another brand, so that its name can be told from one's own.
    world.register(&Rx { drug: "612170709,アムロジン錠５ｍｇ", ..elsewhere(world) }).await.unwrap();
    let own_name = world.rx(1).drug.split_once(',').unwrap().1;

    let (_, withheld) = door.check(CLINIC, world.rx(1).sj1(), false).await;
    let (_, opened) = door.check(CLINIC, world.rx(1).sj1(), true).await;
    let (withheld, opened) = (withheld.to_string(), opened.to_string());
    assert!(withheld.contains(own_name));
    for secret in ["アムロジン", "612170709", OTHER_CLINIC, &format!("施設{OTHER_CLINIC}")] {
        assert!(!withheld.contains(secret), "{secret} in {withheld}");
        assert!(opened.contains(secret), "{secret} not in {opened}");
    }
    assert_eq!(door.acts(1).await, ["register", "check", "check"]);
    let recorded = world.recorded(1).await;
    let opened: Vec<_> = recorded.iter().map(|row| row.content.opened.iter().map(|o| o.basis)).collect();
    let opened: Vec<Vec<_>> = opened.into_iter().map(Iterator::collect).collect();
    assert_eq!(opened, [vec![], vec![], vec![Basis::Oral]]);
    // Opened once is not opened for good.
    let Err(ExchangeError::CheckUnresolved(_, _)) = world.register(&world.rx(1)).await else { panic!() };
}

#[tokio::test]
async fn what_is_dispensed_is_checked_as_dispensed() {
    let door = Door::open().await;
    let world = &door.world;
    world.register(&elsewhere(world)).await.unwrap();
    let telmisartan = product(world, "ミカルディス錠");
    let rx = Rx { drug: telmisartan, ..world.rx(1) };
    let task = world.register(&rx).await.unwrap().outcome.task;
    world.accept(PHARMACY, 1, &task).await.unwrap();

    let today = japanese_date(world.now());
    let (_, as_prescribed) = door.check(PHARMACY, rx.cj1(PHARMACY, task.id, today), false).await;
    assert!(resources(&as_prescribed, "DetectedIssue").is_empty(), "{as_prescribed}");
    let changed = Rx { drug: product(world, COMBINATION), ..rx.clone() };
    let (_, as_changed) = door.check(PHARMACY, changed.cj1(PHARMACY, task.id, today), false).await;
    assert_eq!(resources(&as_changed, "DetectedIssue").len(), 1, "{as_changed}");

    // An id that is not this patient's, another pharmacy's paper, a clinic's.
    let other = world.register(&Rx { patient: 2, ..world.rx(2) }).await.unwrap().outcome.task;
    let (status, body) = door.check(PHARMACY, rx.cj1(PHARMACY, other.id, today), false).await;
    assert_eq!((status.as_u16(), code(&body)), (422, "document-mismatch"));
    let (status, body) = door.check(CLINIC, rx.cj1(PHARMACY, task.id, today), false).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "not-permitted"));
    let held = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    assert!(held.findings.is_empty(), "a check for the asking alone is no part of the prescription");
}

#[tokio::test]
async fn parts_of_a_split_are_not_held_against_each_other() {
    let door = Door::open().await;
    let world = &door.world;
    // To be used within days, whatever the earlier parts supply.
    let usable_until = Some(japanese_date(world.now()) + Days::new(3));
    let part = |part| Rx { days: 42, part: Some(part), usable_until, ..world.rx(1) };
    world.register(&part(1)).await.unwrap();
    let task = world.register(&part(2)).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    // Given out early, its days are those of the first part, which still waits.
    let given = Rx { days: 14, ..part(2) };
    let draft = given.cj1(PHARMACY, task.id, japanese_date(world.now()));
    let (_, bundle) = door.check(PHARMACY, draft, false).await;
    assert!(resources(&bundle, "DetectedIssue").is_empty(), "{bundle}");
    assert_eq!(door.acts(1).await.iter().filter(|act| *act == "check").count(), 1);
    let document = world.dispensing(PHARMACY, &given, &accepted);
    world.dispense(PHARMACY, &accepted, document).await.unwrap();
    // What was dispensed is still known as a part.
    world.register(&part(3)).await.unwrap();
}

fn product(world: &World, name: &str) -> &'static str {
    let formulary = world.exchange.formulary();
    let product = formulary.products().find(|product| product.name.starts_with(name)).unwrap();
    format!("{},{}", product.receipt_code.as_deref().unwrap(), product.name).leak()
}

#[tokio::test]
async fn refusals_and_unseen_lines_are_told() {
    let door = Door::open().await;
    let world = &door.world;
    let rx = world.rx(1);
    let unknown = Rx { drug: "679999999,見本錠", ..rx.clone() };
    let (status, bundle) = door.check(CLINIC, unknown.sj1(), false).await;
    assert_eq!(status, 200, "{bundle}");
    let [coverage] = resources(&bundle, "OperationOutcome")[..] else { panic!("{bundle}") };
    assert_eq!(code(coverage), "unknown-code");
    assert_eq!(coverage["issue"][0]["expression"][0], "SJ1[line 12]");

    let faulty = rx.sj1().replace("12,2", "12,9").replace("101,1,1,,28", "101,1,x,,28");
    let (status, body) = door.check(CLINIC, faulty, false).await;
    assert_eq!((status.as_u16(), code(&body)), (422, "document-invalid"));
    assert!(body["issue"].as_array().unwrap().len() >= 2, "{body}");
    let stranger = rx.sj1().replace(&number(1), "0000000");
    for _ in 0..5 {
        let (status, body) = door.check(CLINIC, stranger.clone(), false).await;
        assert_eq!((status.as_u16(), code(&body)), (422, "identity-not-verified"));
    }
    assert_eq!(door.check(CLINIC, stranger, false).await.0, 429);
    let (status, body) = door.check(OTHER_CLINIC, rx.sj1(), false).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "not-permitted"));
    let token = door.token(CLINIC).await;
    for (media_type, status) in [(FHIR, 422), ("application/xml", 415)] {
        let body = door.post("/fhir/$medication-check", &token, media_type, "{}".to_owned());
        assert_eq!(answer(body).await.0, status, "{media_type}");
    }

    // With an identity token the patient is the one it stands for, if the document says nothing else.
    let identity = door.identity_token(OTHER_CLINIC, 3).await;
    let door = &door;
    let checked = |document: String, identity: String| async move {
        let token = door.token(OTHER_CLINIC).await;
        let call = door.post("/fhir/$medication-check", &token, "text/csv", document);
        answer(call.header("Identity-Token", identity)).await
    };
    let own = Rx { clinic: OTHER_CLINIC, patient: 3, ..rx };
    assert_eq!(checked(own.sj1(), identity.clone()).await.0, 200);
    let other = own.sj1().replace("13,19560412", "13,19560413");
    let (status, body) = checked(other, identity).await;
    assert_eq!((status.as_u16(), code(&body)), (422, "identity-not-verified"));
    assert_eq!(door.acts(3).await.last().map(String::as_str), Some("check"));
}

#[tokio::test]
async fn any_system_with_cds_hooks_can_ask() {
    let door = Door::open().await;
    let world = &door.world;
    let services: Value = door
        .client
        .get(format!("{}/cds-services", door.base_url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(services["services"][0]["id"], "hikikae-order-sign");
    assert_eq!(services["services"][0]["hook"], "order-sign");

    world.register(&elsewhere(world)).await.unwrap();
    let order = |code: &str| {
        json!({ "resource": {
            "resourceType": "MedicationRequest", "status": "draft", "intent": "order",
            "medicationCodeableConcept": { "coding": [
                { "system": "urn:oid:1.2.392.100495.20.1.73", "code": code, "display": "ノルバスク錠" }
            ]},
            "dispenseRequest": { "expectedSupplyDuration": {
                "value": 14, "unit": "日", "system": "http://unitsofmeasure.org", "code": "d"
            }},
        }})
    };
    let asked = |hook: &str| {
        json!({
            "hook": hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": { "userId": "Practitioner/1", "patientId": "1", "draftOrders": {
                "resourceType": "Bundle", "type": "collection",
                "entry": [order("2171022F2025"), order("house code")],
            }},
        })
        .to_string()
    };
    let (token, identity) = (door.token(CLINIC).await, door.identity_token(CLINIC, 1).await);
    let path = "/cds-services/hikikae-order-sign";
    let ask = |body: String| door.post(path, &token, JSON, body).header("Identity-Token", &identity);

    let (status, body) = answer(ask(asked("order-sign"))).await;
    assert_eq!(status, 200, "{body}");
    let [hit, unseen] = body["cards"].as_array().unwrap().as_slice() else { panic!("{body}") };
    assert_eq!((&hit["indicator"], &unseen["indicator"]), (&json!("warning"), &json!("info")));
    assert!(unseen["detail"].as_str().unwrap().contains("draftOrders.entry[1]"), "{unseen}");
    assert!(hit["summary"].as_str().unwrap().chars().count() <= 140);
    assert!(hit["source"]["label"].is_string() && hit["overrideReasons"].as_array().unwrap().len() > 5);
    assert!(!body.to_string().contains(OTHER_CLINIC), "the place is withheld");
    assert_eq!(door.acts(1).await.last().map(String::as_str), Some("check-order-sign"));

    // The reason of an override is kept, with its own trace, and the card does not come again.
    let feedback = json!({ "feedback": [
        { "card": hit["uuid"], "outcome": "overridden",
          "overrideReason": { "reason": { "code": "2", "system": "x" }, "userComment": "seen" } },
        { "card": unseen["uuid"], "outcome": "accepted" },
        { "card": unseen["uuid"], "outcome": "overridden", "overrideReason": { "reason": { "code": "1" } } },
    ]});
    let path = format!("{path}/feedback");
    assert_eq!(answer(door.post(&path, &token, JSON, feedback.to_string())).await.0, 200);
    let id = hit["uuid"].as_str().unwrap().parse().unwrap();
    let kept = world.exchange.store().finding_find(id, &CLINIC.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.mitigation.unwrap().code.as_str(), "2");
    let (_, again) = answer(ask(asked("order-sign"))).await;
    assert_eq!(again["cards"].as_array().unwrap().len(), 1, "{again}");

    let (status, body) = answer(ask(asked("patient-view"))).await;
    assert_eq!((status.as_u16(), code(&body)), (400, "malformed"));
    assert_eq!(answer(door.post(&path, &token, JSON, "[]".to_owned())).await.0, 400);
    let path = "/cds-services/hikikae-order-sign";
    let nobody = door.post(path, &token, JSON, asked("order-sign"));
    assert_eq!(code(&answer(nobody).await.1), "identity-not-verified");
    let pharmacy = door.post(path, &door.token(PHARMACY).await, JSON, asked("order-sign"));
    assert_eq!(code(&answer(pharmacy).await.1), "not-permitted");
    assert_eq!(door.client.post(format!("{}{path}", door.base_url)).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn figures_tell_how_rules_fare() {
    let door = Door::open().await;
    let world = &door.world;
    let mitigated = |patient: u32, code: &'static str| async move {
        world.register(&Rx { patient, ..elsewhere(world) }).await.unwrap();
        let rx = world.rx(patient);
        let Err(ExchangeError::CheckUnresolved(found, _)) = world.register(&rx).await else {
            panic!("silent")
        };
        let reason = code.to_owned().try_into().unwrap();
        world.exchange.mitigate(&caller(CLINIC), found[0].id, reason, None, &request()).await.unwrap();
        rx
    };
    for (patient, code) in [(1, "1"), (2, "2"), (3, "2")] {
        let rx = mitigated(patient, code).await;
        if patient != 3 {
            world.register(&rx).await.unwrap();
        }
    }
    let store = world.exchange.store();
    let [rule] = &store.figures_read(world.now()).await.unwrap()[..] else { panic!("one rule") };
    assert_eq!((rule.kind.as_str(), rule.rule.as_str()), ("duplicate-ingredient", "duplicate-ingredient"));
    assert_eq!(rule.severity, "moderate");
    assert_eq!(
        rule.mitigated.iter().map(|(code, n)| (code.as_str(), *n)).collect::<Vec<_>>(),
        [("1", 1), ("2", 2)]
    );
    assert_eq!((rule.shown, rule.registered, rule.changed, rule.pending), (3, 2, 0, 1));
    let later = store.figures_read(world.now() + TimeDelta::days(8)).await.unwrap();
    assert_eq!((later[0].changed, later[0].pending), (1, 0));
}

#[tokio::test]
async fn a_contraindication_is_counted_without_naming_its_medicines() {
    let recorder = PrometheusBuilder::new().build_recorder();
    // The test runs on one thread, so that the thread's recorder sees all of it.
    let _guard = metrics::set_default_local_recorder(&recorder);
    let door = Door::open().await;
    let world = &door.world;
    let [first, second] = ["イトラコナゾール錠", "ハルシオン"].map(|name| product(world, name));
    world.register(&Rx { drug: first, ..elsewhere(world) }).await.unwrap();
    let rx = Rx { drug: second, ..world.rx(1) };
    let (_, withheld) = door.check(CLINIC, rx.sj1(), false).await;
    let (_, opened) = door.check(CLINIC, rx.sj1(), true).await;
    let [withheld, opened] =
        [&withheld, &opened].map(|bundle| resources(bundle, "DetectedIssue")[0]["detail"].as_str().unwrap());
    for detail in [withheld, opened] {
        assert!(detail.contains("作用の増強") && detail.contains(CONTRAINDICATION_NOTICE), "{detail}");
    }
    assert!(opened.contains("イトラコナゾール") && !withheld.contains("イトラコナゾール"));

    let [rule] = &world.exchange.store().figures_read(world.now()).await.unwrap()[..] else { panic!() };
    assert!(rule.rule.starts_with("CI") && rule.severity == "high" && rule.shown == 1, "{rule:?}");
    assert!(!world.database.dump().contains(&rule.rule), "the rule names two medicines");
    let told = recorder.handle().render();
    let shown = r#"hikikae_finding_shown_total{kind="contraindication",severity="high"} 1"#;
    assert!(told.contains(shown) && !told.contains(&rule.rule), "{told}");
}

/// Those that ask while one is under way are answered by one statement, in which the same finding is new once.
#[tokio::test]
async fn what_two_are_shown_at_once_is_shown_for_the_first_time_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = World::new().await;
    world.register(&world.rx(1)).await.unwrap();
    let draft = (Payload::Csv, elsewhere(&world).sj1().into_bytes().into());
    let checked =
        world.exchange.medication_check(&caller(OTHER_CLINIC), None, draft, false, &request()).await.unwrap();
    let other = |id: u128| FindingRow { id: Uuid::from_u128(id), ..checked.findings[0].clone() };
    let (store, patient, clinic) =
        (world.exchange.store(), world.patient(1).await, OTHER_CLINIC.parse().unwrap());
    let show = async |id| {
        let mut rows = [other(id), other(id + 1)];
        store.finding_show(AccessAct::Check, patient, &clinic, world.now(), &mut rows).await.unwrap();
    };
    tokio::join!(show(1), show(3), show(3), show(4));
    let told = recorder.handle().render();
    let counts = told.lines().filter(|line| line.starts_with("hikikae_finding_shown_total"));
    let shown: u32 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).sum();
    assert_eq!(shown, 1 + 5, "{told}");
}

/// Invariant 7: the look is recorded in the statement that finds the person, so that statement decides who may look.
#[tokio::test]
async fn a_check_leaves_its_trace_with_whom_it_is_about_and_with_nobody_else() {
    let world = World::new().await;
    let clinic = caller(CLINIC);
    let check = async |patient| {
        let draft = (Payload::Csv, world.rx(patient).sj1().into_bytes().into());
        world.exchange.medication_check(&clinic, None, draft, false, &request()).await
    };
    let recorded =
        async |patient| world.recorded(patient).await.into_iter().map(|row| row.act).collect::<Vec<_>>();

    check(1).await.unwrap();
    assert_eq!(recorded(1).await, ["check"]);
    // The nineteenth has died, and nobody has the number of the hundredth.
    for nobody in [19, 100, 100, 100, 100] {
        assert!(matches!(check(nobody).await, Err(ExchangeError::IdentityNotVerified)), "{nobody}");
    }
    assert_eq!(recorded(19).await, Vec::<String>::new());
    assert!(matches!(check(2).await, Err(ExchangeError::TooManyAttempts(_))));
    assert_eq!(recorded(2).await, Vec::<String>::new());
}

//! The patient in command: cards, consents and their withdrawal, emergencies, disasters, and what each leaves behind.

use chrono::{DateTime, TimeDelta, Utc};
use hikikae::exchange::error::ExchangeError;
use hikikae::prescription::consent::{Basis, ConsentKind};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::door::{Door, FHIR, answer, card, code, decision, parameter, parameters};
use crate::world::{CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, PKI, Rx, born, caller, name};

const BOTH: [&str; 2] = ["medication-history", "prescription-list"];
/// Another brand of what the own prescription holds, so that its name can be told from one's own.
const OTHER_DRUG: &str = "612170709,アムロジン錠５ｍｇ";
/// What of the other side only consent shows.
const SECRETS: [&str; 3] = ["アムロジン", "612170709", OTHER_CLINIC];

#[tokio::test]
async fn a_card_says_who_and_what_is_consented_to() {
    let door = Door::open().await;
    let claims =
        |nonce: &str, consent: &[&str]| json!({ "nonce": nonce, "facility": PHARMACY, "consent": consent });
    let said = door.said(card(1), claims(&door.nonce(PHARMACY).await, &["prescription-list"]));
    let (status, body) = door.answer_card(PHARMACY, &said).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(parameter(&body, "method")["valueCode"], "card");
    assert_eq!(parameter(&body, "patient")["resource"]["name"][0]["text"], name(1));
    let granted = &parameter(&body, "consent")["part"];
    assert_eq!(granted[0]["valueCode"], "prescription-list");
    let until: DateTime<Utc> = granted[2]["valueInstant"].as_str().unwrap().parse().unwrap();
    assert!(until <= door.world.now() + TimeDelta::minutes(30));

    // The list, and acceptance without the number, for this facility and this consent only.
    let task = door.world.register(&door.world.rx(1)).await.unwrap().outcome.task;
    let token = door.token(PHARMACY).await;
    let listed = |identity: &str| {
        let call = door.client.get(format!("{}/fhir/Task", door.base_url)).bearer_auth(&token);
        answer(call.header("Identity-Token", identity))
    };
    let accept = |identity: &str| {
        let body = parameters(&[("prescription", &task.id.to_string())]);
        answer(door.post("/fhir/Task/$accept", &token, FHIR, body).header("Identity-Token", identity))
    };
    let by_list = parameter(&body, "identityToken")["valueString"].as_str().unwrap().to_owned();
    let by_history = door.by_card(PHARMACY, 1, &["medication-history"]).await;
    let by_nothing = door.by_card(PHARMACY, 1, &[]).await;
    let by_other = door.by_card(PHARMACY, 2, &BOTH).await;
    let by_insurance = door.identity_token(PHARMACY, 1).await;
    for identity in [&by_history, &by_nothing, &by_insurance] {
        let ((status, list), (refused, body)) = (listed(identity).await, accept(identity).await);
        assert_eq!((status.as_u16(), code(&list)), (403, "consent-required"));
        assert_eq!((refused.as_u16(), code(&body)), (403, "consent-required"));
    }
    assert_eq!(accept(&by_other).await.0, 404, "another patient's");
    let (status, list) = listed(&by_list).await;
    assert_eq!(status, 200);
    assert_eq!(list["entry"][0]["resource"]["id"], task.id.to_string());
    assert!(
        !list.to_string().contains(task.exchange_number.as_ref().unwrap().as_str()),
        "the number is the patient's"
    );
    let (status, body) = accept(&by_list).await;
    assert_eq!(status, 200, "{body}");
    let recorded = door.world.recorded(1).await;
    let accepted = recorded.iter().find(|row| row.act == "accept" && row.content.outcome == "done").unwrap();
    assert_eq!(accepted.content.opened[0].kind, ConsentKind::PrescriptionList);
    assert_eq!(accepted.content.opened[0].basis, Basis::Card);
    assert!(listed(&by_list).await.1.get("entry").is_none(), "what waits no longer is not listed");
}

/// Whatever does not hold is the same refusal.
#[tokio::test]
async fn a_card_that_does_not_hold_is_nobody() {
    let door = Door::open().await;
    let claims =
        |nonce: &str, facility: &str| json!({ "nonce": nonce, "facility": facility, "consent": BOTH });
    let good = door.said(card(1), claims(&door.nonce(CLINIC).await, CLINIC));
    assert_eq!(door.answer_card(CLINIC, &good).await.0, 200);
    let stale = door.nonce(OTHER_CLINIC).await;
    let mut refused: Vec<(&str, &str, String)> = vec![("replayed", CLINIC, good)];
    let said = |credential, claims| door.said(credential, claims);
    let spent = door.nonce(CLINIC).await;
    let first = said(card(1), claims(&spent, CLINIC));
    assert_eq!(door.answer_card(CLINIC, &first).await.0, 200);
    refused.push(("nonce used before", CLINIC, said(card(1), claims(&spent, CLINIC))));
    let nonce = door.nonce(CLINIC).await;
    refused.push(("another facility's nonce", OTHER_CLINIC, said(card(1), claims(&nonce, OTHER_CLINIC))));
    refused.push(("made for another facility", CLINIC, said(card(1), claims(&nonce, OTHER_CLINIC))));
    refused.push(("revoked", CLINIC, said(&PKI.faulty.card_revoked, claims(&nonce, CLINIC))));
    refused.push((
        "expired",
        PHARMACY,
        said(&PKI.faulty.card_expired, claims(&door.nonce(PHARMACY).await, PHARMACY)),
    ));
    refused.push((
        "linked to nobody",
        PHARMACY,
        said(card(0), claims(&door.nonce(PHARMACY).await, PHARMACY)),
    ));
    refused.push(("dead", PHARMACY, said(card(3), claims(&door.nonce(PHARMACY).await, PHARMACY))));
    let nonce = door.nonce(PHARMACY).await;
    refused.push(("no card", PHARMACY, said(&PKI.people[1], claims(&nonce, PHARMACY))));
    refused.push(("no nonce", OTHER_PHARMACY, said(card(1), json!({ "facility": OTHER_PHARMACY }))));
    let nonce = door.nonce(OTHER_PHARMACY).await;
    let unknown = json!({ "nonce": nonce, "facility": OTHER_PHARMACY, "consent": ["everything"] });
    refused.push(("unknown consent", OTHER_PHARMACY, said(card(1), unknown)));
    let text = json!({ "nonce": nonce, "facility": OTHER_PHARMACY, "consent": "medication-history" });
    refused.push(("consent is no list", OTHER_PHARMACY, said(card(1), text)));
    let login = format!("{}/oauth2/token", door.base_url);
    let Value::Object(given) = claims(&nonce, OTHER_PHARMACY) else { panic!() };
    let addressed = door.caller.assertion("card", card(1), &login, given).unwrap();
    refused.push(("addressed to the token endpoint", OTHER_PHARMACY, addressed));
    door.world.clock.advance(TimeDelta::minutes(6));
    refused.push(("late", OTHER_CLINIC, said(card(1), claims(&stale, OTHER_CLINIC))));
    let mut answers = Vec::new();
    for (what, facility, assertion) in &refused {
        let (status, body) = door.answer_card(facility, assertion).await;
        assert_eq!((status.as_u16(), code(&body)), (422, "identity-not-verified"), "{what}");
        answers.push(body);
        // Five failures are answered; this is not about the sixth.
        door.world.clock.advance(TimeDelta::minutes(if *what == "late" { 0 } else { 11 }));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "one refusal for all");
    assert!(door.world.recorded(1).await.iter().filter(|row| row.act == "verify-identity").count() == 2);
}

/// The facility holds what the card has said, and must not become the patient by it.
#[tokio::test]
async fn what_a_card_said_logs_nobody_in() {
    let door = Door::open().await;
    let claims = json!({ "nonce": door.nonce(PHARMACY).await, "facility": PHARMACY, "consent": [] });
    let said = door.said(card(1), claims);
    let session = door.world.exchange.session_open(&said, None, None, None).await;
    assert!(session.is_err_and(|error| error.to_string().contains("identity check")));
    assert_eq!(door.answer_card(PHARMACY, &said).await.0, 200);
    // And what logs in proves nothing at a counter.
    let login = door.said(card(1), json!({ "facility": PHARMACY }));
    assert_eq!(code(&door.answer_card(PHARMACY, &login).await.1), "identity-not-verified");
}

#[tokio::test]
async fn what_is_withdrawn_is_closed_to_tokens_given_before() {
    let door = Door::open().await;
    let pharmacy = caller(PHARMACY);
    let open = |identity: String, kind| {
        let (exchange, pharmacy) = (&door.world.exchange, &pharmacy);
        async move { exchange.consented(pharmacy, Some(&identity), kind).await.map(|p| p.opening.basis) }
    };
    let list = ConsentKind::PrescriptionList;
    let closed =
        |outcome: Result<Basis, ExchangeError>| matches!(outcome, Err(ExchangeError::ConsentRequired));

    // Given by card, seen and withdrawn in the patient's own app.
    let by_card = door.by_card(PHARMACY, 1, &BOTH).await;
    assert_eq!(open(by_card.clone(), list).await.unwrap(), Basis::Card);
    let shown = door.consents(1).await;
    assert_eq!(shown.len(), 2);
    let given =
        shown.iter().find(|consent| consent["category"][0]["coding"][0]["code"] == "prescription-list");
    let given = given.unwrap();
    assert_eq!(given["provision"]["actor"][0]["reference"]["display"], format!("施設{PHARMACY}"));
    assert_eq!(given["extension"][0]["valueCode"], "card-reader");
    assert_eq!(door.withdraw(2, given).await, 404, "another patient's");
    assert_eq!(door.withdraw(1, given).await, 204);
    assert!(closed(open(by_card.clone(), list).await));
    assert_eq!(door.withdraw(1, given).await, 404, "once");

    // A standing consent opens tokens by insurance, for its facility only, until it is withdrawn.
    let by_insurance = door.identity_token(PHARMACY, 1).await;
    let elsewhere = door.identity_token(OTHER_PHARMACY, 1).await;
    assert!(closed(open(by_insurance.clone(), list).await));
    let standing = door.decide(1, "prescription-list", true, PHARMACY).await;
    assert_eq!(open(by_insurance.clone(), list).await.unwrap(), Basis::Standing);
    let other = caller(OTHER_PHARMACY);
    assert!(matches!(
        door.world.exchange.consented(&other, Some(&elsewhere), list).await,
        Err(ExchangeError::ConsentRequired)
    ));
    assert_eq!(door.withdraw(1, &standing).await, 204);
    assert!(closed(open(by_insurance.clone(), list).await));

    // A refusal closes what a card opens, until it is replaced.
    let fresh = door.by_card(PHARMACY, 1, &BOTH).await;
    door.decide(1, "prescription-list", false, PHARMACY).await;
    assert!(closed(open(fresh.clone(), list).await));
    door.decide(1, "prescription-list", true, PHARMACY).await;
    assert_eq!(open(fresh.clone(), list).await.unwrap(), Basis::Card);
    // For everybody, a refusal only.
    let everywhere = |permit| decision("prescription-list", permit, None).to_string();
    let token = door.patient_token(1).await;
    let (status, body) = answer(door.post("/fhir/Consent", &token, FHIR, everywhere(true))).await;
    assert_eq!((status.as_u16(), code(&body)), (422, "document-invalid"));
    assert_eq!(answer(door.post("/fhir/Consent", &token, FHIR, everywhere(false))).await.0, 201);
    assert!(closed(open(fresh, list).await));
    let unknown = decision("prescription-list", true, Some("1399999999")).to_string();
    let (status, body) = answer(door.post("/fhir/Consent", &token, FHIR, unknown)).await;
    assert_eq!((status.as_u16(), code(&body)), (422, "document-invalid"));

    // The clock ends what has an end.
    let ending = door.by_card(OTHER_PHARMACY, 2, &BOTH).await;
    assert_eq!(door.consents(2).await.len(), 2);
    door.world.clock.advance(TimeDelta::minutes(31));
    assert_eq!(door.consents(2).await.len(), 0);
    let ended = door.world.exchange.consented(&other, Some(&ending), list).await;
    assert!(matches!(ended, Err(ExchangeError::IdentityTokenInvalid)));
    let acts: Vec<String> = door.world.recorded(1).await.into_iter().map(|row| row.act).collect();
    for act in ["consent-put", "consent-withdraw", "consent-list"] {
        assert!(acts.iter().any(|known| known == act), "{act} in {acts:?}");
    }
}

/// Issue of every answer that shows findings: the other drug and place by the consent in force, and its record.
#[tokio::test]
async fn findings_show_what_the_consent_in_force_opens() {
    let door = Door::open().await;
    let world = &door.world;
    world.register(&Rx { clinic: OTHER_CLINIC, drug: OTHER_DRUG, ..world.rx(1) }).await.unwrap();
    let shows = |body: &Value| {
        let (body, told) = (body.to_string(), SECRETS);
        let shown = told.iter().filter(|secret| body.contains(**secret)).count();
        assert!(shown == 0 || shown == told.len(), "{body}");
        shown > 0
    };
    let token = door.token(CLINIC).await;
    let with = |call: reqwest::RequestBuilder, identity: Option<&String>| match identity {
        Some(identity) => call.header("Identity-Token", identity),
        None => call,
    };
    let check = |oral: bool, identity: Option<&String>| {
        let path = format!("/fhir/$medication-check?oral-consent={oral}");
        answer(with(door.post(&path, &token, "text/csv", world.rx(1).sj1()), identity))
    };
    let document = world.sign(&world.rx(1));
    let register = |identity: Option<&String>| {
        let body = String::from_utf8(document.to_vec()).unwrap();
        answer(with(door.post("/fhir/Task/$register", &token, "application/xml", body), identity))
    };
    let by_insurance = door.identity_token(CLINIC, 1).await;
    let by_card = door.by_card(CLINIC, 1, &["medication-history"]).await;
    for identity in [None, Some(&by_insurance)] {
        let (status, body) = check(false, identity).await;
        assert!(status == 200 && !shows(&body));
        assert!(shows(&check(true, identity).await.1), "a word at the counter opens the hit");
        let (status, body) = register(identity).await;
        assert!(status == 409 && !shows(&body), "but not at registration");
    }
    assert!(shows(&check(false, Some(&by_card)).await.1));
    let (status, body) = register(Some(&by_card)).await;
    assert!(status == 409 && shows(&body));
    let path = format!(
        "/fhir/DetectedIssue/{}/$mitigate",
        body["contained"][0]["id"].as_str().unwrap().trim_start_matches('#')
    );
    let mitigate = |identity: Option<&String>| {
        answer(with(door.post(&path, &token, FHIR, parameters(&[("code", "1")])), identity))
    };
    assert!(!shows(&mitigate(Some(&by_insurance)).await.1));
    assert!(shows(&mitigate(Some(&by_card)).await.1));
    let foreign = door.by_card(CLINIC, 2, &BOTH).await;
    assert_eq!(code(&mitigate(Some(&foreign)).await.1), "identity-not-verified", "another patient's consent");

    // What the patient refuses in the app is opened neither by card nor by a word.
    door.decide(1, "medication-history", false, CLINIC).await;
    for (oral, identity) in [(false, Some(&by_card)), (true, Some(&by_card)), (true, None)] {
        assert!(!shows(&check(oral, identity).await.1));
    }

    // At the pharmacy, in what is accepted.
    let task = world.register(&world.rx(1)).await.unwrap().outcome.task;
    let token = door.token(PHARMACY).await;
    let number = [("exchangeNumber", task.exchange_number.as_ref().unwrap().as_str())];
    for (consents, open) in [(&[][..], false), (&["medication-history"][..], true)] {
        let identity = door.by_card(PHARMACY, 1, consents).await;
        let call = door.post("/fhir/Task/$accept", &token, FHIR, parameters(&number));
        let (status, body) = answer(call.header("Identity-Token", identity)).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(shows(&parameter(&body, "findings")["resource"]), open);
    }

    let opened: Vec<(String, Vec<Basis>)> = world
        .recorded(1)
        .await
        .into_iter()
        .filter(|row| ["check", "register", "mitigate", "accept"].contains(&row.act.as_str()))
        .map(|row| (row.act, row.content.opened.iter().map(|opening| opening.basis).collect()))
        .collect();
    let expected: [(&str, &[Basis]); 18] = [
        ("register", &[]),
        ("check", &[]),
        ("check", &[Basis::Oral]),
        ("register", &[]),
        ("check", &[]),
        ("check", &[Basis::Oral]),
        ("register", &[]),
        ("check", &[Basis::Card]),
        ("register", &[Basis::Card]),
        ("mitigate", &[]),
        ("mitigate", &[Basis::Card]),
        // Refused: the identity token is another patient's.
        ("mitigate", &[]),
        ("check", &[]),
        ("check", &[]),
        ("check", &[]),
        ("register", &[]),
        ("accept", &[]),
        ("accept", &[Basis::Card]),
    ];
    let opened: Vec<(&str, &[Basis])> =
        opened.iter().map(|(act, bases)| (act.as_str(), &bases[..])).collect();
    assert_eq!(opened, expected);
}

#[tokio::test]
async fn an_emergency_opens_the_record_and_says_so() {
    let door = Door::open().await;
    let history = ConsentKind::MedicationHistory;
    let path = "/fhir/Patient/$break-glass";
    let found = [
        ("name", name(1)),
        ("birthDate", born().to_string()),
        ("sex", "female".to_owned()),
        ("reason", "意識不明で搬送".to_owned()),
    ];
    let given = |changed: &[(&'static str, &str)]| {
        let mut given = found.clone();
        for (name, value) in changed {
            given.iter_mut().find(|(known, _)| known == name).unwrap().1 = (*value).to_owned();
        }
        let given: Vec<(&str, &str)> = given
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        parameters(&given)
    };
    let (alone, staffed) = (door.token(OTHER_CLINIC).await, door.staffed(OTHER_CLINIC).await);
    let practitioner = door.log_in("physician", &PKI.people[0], None).await;
    let patient = door.patient_token(1).await;
    for token in [&alone, &practitioner, &patient] {
        let (status, body) = answer(door.post(path, token, FHIR, given(&[]))).await;
        assert_eq!((status.as_u16(), code(&body)), (403, "not-permitted"));
    }
    let (status, body) = answer(door.post(path, &staffed, FHIR, given(&[("reason", "")]))).await;
    assert_eq!((status.as_u16(), code(&body)), (400, "malformed"));
    // Nobody, somebody dead, and two of one name, birth date and sex are one refusal.
    let (twin, dead) = (name(0), name(19));
    for changed in [("sex", "male"), ("name", "無名　者"), ("name", twin.as_str()), ("name", dead.as_str())]
    {
        if changed.1 == twin {
            let twins = "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,card_sha256,deceased_on\n".to_owned()
                + &format!("t,{twin},,{},female,06138762,１２３,9900000,00,2020-01-01,,,\n", born());
            let file = hikikae::store::directory::Eligibility::parse(twins.as_bytes()).unwrap();
            door.world.exchange.store().eligibility_import(&file, &|_, _| {}).await.unwrap();
        }
        let (status, body) = answer(door.post(path, &staffed, FHIR, given(&[changed]))).await;
        assert_eq!((status.as_u16(), code(&body)), (422, "identity-not-verified"), "{changed:?}");
    }
    // Kana leads to the same person where it is hers alone; here twenty share it.
    let (_, body) = answer(door.post(path, &staffed, FHIR, given(&[("name", "ｾｶｲ ｶﾝｼﾞｬ")]))).await;
    assert_eq!(code(&body), "identity-not-verified");
    assert_eq!(answer(door.post(path, &staffed, FHIR, given(&[]))).await.0, 429, "guessing ends");
    let (status, body) = answer(door.post(path, &door.staffed(CLINIC).await, FHIR, given(&[]))).await;
    assert_eq!(status, 200, "and not for another: {body}");
    assert_eq!(parameter(&body, "method")["valueCode"], "break-glass");
    let identity = parameter(&body, "identityToken")["valueString"].as_str().unwrap().to_owned();

    // It opens the history, whatever was refused, to whoever has proved to be there; and nothing else.
    door.decide(1, "medication-history", false, CLINIC).await;
    let exchange = &door.world.exchange;
    let session = |token: String| async move { exchange.session_find(&token, None).await.unwrap().unwrap() };
    let physician = session(door.staffed(CLINIC).await).await;
    let nobody = session(door.token(CLINIC).await).await;
    let opened = exchange.consented(&physician, Some(&identity), history).await.unwrap();
    assert_eq!(opened.opening.basis, Basis::BreakGlass);
    let unseen = exchange.consented(&nobody, Some(&identity), history).await;
    assert!(matches!(unseen, Err(ExchangeError::NotPermitted(_))));
    let list = exchange.consented(&physician, Some(&identity), ConsentKind::PrescriptionList).await;
    assert!(matches!(list, Err(ExchangeError::ConsentRequired)));
    door.world.clock.advance(TimeDelta::minutes(16));
    let ended = exchange.consented(&physician, Some(&identity), history).await;
    assert!(matches!(ended, Err(ExchangeError::IdentityTokenInvalid)));

    let recorded = door.world.recorded(1).await;
    let row = recorded.iter().find(|row| row.act == "break-glass" && row.content.outcome == "done").unwrap();
    assert_eq!(row.content.reason.as_deref(), Some("意識不明で搬送"));
    assert_eq!(row.content.person.as_deref(), Some("試験　physician"));
    assert_eq!(row.content.opened[0].basis, Basis::BreakGlass);
}

#[tokio::test]
async fn a_disaster_opens_histories_where_it_is_while_it_lasts() {
    let door = Door::open().await;
    let (store, exchange) = (door.world.exchange.store(), &door.world.exchange);
    let history = ConsentKind::MedicationHistory;
    let identity = door.identity_token(CLINIC, 1).await;
    let token = door.staffed(CLINIC).await;
    let physician = exchange.session_find(&token, None).await.unwrap().unwrap();
    let basis = || async {
        exchange
            .consented(&physician, Some(&identity), history)
            .await
            .map(|permitted| permitted.opening.basis)
    };
    assert!(basis().await.is_err());
    let (now, day) = (door.world.now(), TimeDelta::minutes(20));
    store.disaster_open(&["27".to_owned()], "elsewhere", now, now + day).await.unwrap();
    assert!(basis().await.is_err(), "in another prefecture");
    store.disaster_open(&["13".to_owned()], "地震", now, now + day).await.unwrap();
    assert_eq!(basis().await.unwrap(), Basis::Disaster);
    let list = exchange.consented(&physician, Some(&identity), ConsentKind::PrescriptionList).await;
    assert!(list.is_err(), "histories only");
    let refusal = door.decide(1, "medication-history", false, CLINIC).await;
    assert!(basis().await.is_err(), "a refusal stands");
    assert_eq!(door.withdraw(1, &refusal).await, StatusCode::NO_CONTENT);
    assert_eq!(store.disaster_close(door.world.now()).await.unwrap().len(), 2);
    assert!(basis().await.is_err(), "closed");
    let again = door.world.now();
    store.disaster_open(&["13".to_owned()], "余震", again, again + TimeDelta::minutes(5)).await.unwrap();
    assert_eq!(basis().await.unwrap(), Basis::Disaster);
    door.world.clock.advance(TimeDelta::minutes(6));
    assert!(basis().await.is_err(), "it ends by the clock");
    assert_eq!(store.disaster_list().await.unwrap().len(), 3, "every one is kept");
}

//! What a patient takes along: the slip and the medicine notebook, who may have them, and what is recorded.

#![expect(clippy::unwrap_used, reason = "a document that is not made fails its test")]

use bytes::Bytes;
use chrono::Days;
use hikikae::clock::japanese_date;
use hikikae::codec::fault::Form;
use hikikae::codec::notebook::{self, Class, Notebook, Version};
use hikikae::exchange::caller::Caller;
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::notebook::{Asked, Taken};
use hikikae::http::server::Answers;
use hikikae::http::{App, routes};
use hikikae::store::PrescriptionId;
use hikikae::trust::Assertion;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::PrometheusBuilder;
use ring::rand::SystemRandom;

use crate::world::{CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, PKI, World, caller, request};

const CURRENT: Version = Version::Tc08;

/// Registers, accepts and dispenses as prescribed.
async fn dispensed(world: &World, patient: u32) -> PrescriptionId {
    let rx = world.rx(patient);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, patient, &task).await.unwrap().outcome;
    let document = world.dispensing(PHARMACY, &rx, &accepted);
    world.dispense(PHARMACY, &accepted, document).await.unwrap();
    PrescriptionId::from_uuid(task.id)
}

async fn acts(world: &World, patient: u32) -> Vec<String> {
    world.recorded(patient).await.into_iter().map(|row| row.act).collect()
}

fn text(notebook: &Notebook) -> String {
    let bytes = notebook::write(notebook, &Form::default());
    assert_eq!(notebook::read(&bytes).unwrap().value, *notebook);
    encoding_rs::SHIFT_JIS.decode(&bytes).0.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slip_is_for_the_clinic_and_the_patient() {
    let world = World::new().await;
    let task = world.register(&world.rx(1)).await.unwrap().outcome.task;
    world.accept(PHARMACY, 1, &task).await.unwrap();
    let id = PrescriptionId::from_uuid(task.id);
    let exchange = &world.exchange;
    let at_the_pharmacy = exchange.slip(&caller(PHARMACY), id, &request()).await;
    assert!(matches!(at_the_pharmacy, Err(ExchangeError::NotPermitted(_))));
    for outsider in [caller(OTHER_CLINIC), caller(OTHER_PHARMACY), world.patient_caller(2).await] {
        let refused = exchange.slip(&outsider, id, &request()).await;
        assert!(matches!(refused, Err(ExchangeError::NotFound)));
    }
    for entitled in [caller(CLINIC), world.patient_caller(1).await] {
        match exchange.slip(&entitled, id, &request()).await {
            Ok(pdf) => assert!(pdf.starts_with(b"%PDF-")),
            Err(ExchangeError::NotAvailable(_)) => {
                eprintln!("skipped: no font of slips is installed");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(acts(&world, 1).await.iter().filter(|act| *act == "slip").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_is_for_the_patient_and_of_one_dispensing_for_its_pharmacy() {
    let world = World::new().await;
    let id = dispensed(&world, 3).await;
    let exchange = &world.exchange;
    let own = world.patient_caller(3).await;
    let one = Asked::Dispensing(id, None);
    let at_the_pharmacy = exchange.notebook(&caller(PHARMACY), one, CURRENT, &request()).await.unwrap();
    assert_eq!(at_the_pharmacy.class(), Class::ToPatient);
    assert!(text(&at_the_pharmacy).contains("51,見本クリニック,"), "the prescription says who prescribed");
    assert_eq!(exchange.notebook(&own, one, CURRENT, &request()).await.unwrap(), at_the_pharmacy);
    assert_eq!(
        exchange.notebook(&own, Asked::Dispensing(id, Some(1)), CURRENT, &request()).await.unwrap(),
        at_the_pharmacy
    );
    let before = exchange.notebook(&own, one, Version::Tc07, &request()).await.unwrap();
    assert_eq!(text(&before), text(&at_the_pharmacy).replacen("JAHISTC08", "JAHISTC07", 1));
    let today = japanese_date(world.now());
    let period = Asked::Period(today - Days::new(1), today);
    assert_eq!(exchange.notebook(&own, period, CURRENT, &request()).await.unwrap(), at_the_pharmacy);
    let before = Asked::Period(today - Days::new(9), today - Days::new(1));
    for (who, asked) in [
        (world.patient_caller(4).await, one),
        (world.patient_caller(4).await, period),
        (caller(OTHER_PHARMACY), one),
        (caller(PHARMACY), Asked::Dispensing(id, Some(2))),
        (own, before),
    ] {
        let refused = exchange.notebook(&who, asked, CURRENT, &request()).await;
        assert!(matches!(refused, Err(ExchangeError::NotFound)), "{who:?} {asked:?}");
    }
    for (who, asked) in [(CLINIC, one), (PHARMACY, period)] {
        let refused = exchange.notebook(&caller(who), asked, CURRENT, &request()).await;
        assert!(matches!(refused, Err(ExchangeError::NotPermitted(_))));
    }
    assert_eq!(acts(&world, 3).await.iter().filter(|act| *act == "notebook").count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn paper_over_http_has_its_media_types() {
    let world = World::new().await;
    let id = dispensed(&world, 5).await;
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let routes =
        routes(&App { exchange: world.exchange.clone(), base_url: "http://127.0.0.1".into(), metrics });
    let token = |code: &'static str, place: usize| {
        let world = &world;
        async move {
            let facility = &PKI.facilities[place];
            let assertion = Assertion {
                chain: std::slice::from_ref(&facility.certificate),
                issuer: code,
                audience: "http://127.0.0.1",
                jti: code,
                issued_at: world.now(),
                claims: serde_json::Map::new(),
            };
            let jwt = assertion.sign(&facility.key, &SystemRandom::new()).unwrap();
            world.exchange.session_open(&jwt, None, None, None).await.unwrap().token.as_str().to_owned()
        }
    };
    let (clinic, pharmacy) = (token(CLINIC, 0).await, token(PHARMACY, 2).await);
    let get = |token: &str, path: String, accept: &'static str| {
        let request =
            Request::get(path).header("authorization", format!("Bearer {token}")).header("accept", accept);
        let (routes, request) = (routes.clone(), request.body(Full::<Bytes>::default()).unwrap());
        async move {
            let response = routes.answer(request).await;
            let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
            (response.status(), media_type, response.into_body().collect().await.unwrap().to_bytes())
        }
    };
    let of_one = format!("/fhir/Patient/$notebook?dispense={id}");
    let (status, media_type, body) = get(&pharmacy, of_one.clone(), "*/*").await;
    assert_eq!((status, media_type.as_str()), (StatusCode::OK, "text/csv; charset=Shift_JIS"));
    assert!(body.starts_with(b"JAHISTC08,1\r\n"));
    for (version, header) in [("JAHISTC08", b"JAHISTC08,1\r\n"), ("JAHISTC07", b"JAHISTC07,1\r\n")] {
        let (status, _, body) = get(&pharmacy, format!("{of_one}&version={version}"), "*/*").await;
        assert!(status == StatusCode::OK && body.starts_with(header), "{version}");
    }
    let (status, media_type, body) = get(&pharmacy, of_one.clone(), "image/svg+xml").await;
    assert_eq!((status, media_type.as_str()), (StatusCode::OK, "image/svg+xml"));
    assert!(body.starts_with(b"<svg "));
    let (status, ..) = get(&pharmacy, of_one.clone(), "application/json").await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    for query in [
        "?dispense=x",
        "?from=2026",
        "?from=2026-02-02&until=2026-02-01",
        "?since=2026-01-01",
        "?version=JAHISTC06",
        "?version=7",
    ] {
        let (status, ..) = get(&pharmacy, format!("/fhir/Patient/$notebook{query}"), "*/*").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
    let (status, media_type, _) = get(&clinic, format!("/fhir/Task/{id}/$slip"), "application/pdf").await;
    let printed = (StatusCode::OK, "application/pdf");
    let without_fonts = (StatusCode::NOT_ACCEPTABLE, "application/fhir+json; charset=utf-8");
    assert!([printed, without_fonts].contains(&(status, media_type.as_str())), "{status}");
}

pub const SHOWN: &str = "JAHISTC08,2\n1,世界　患者,2,S310412,,,,,,,\n2,1,卵,2\n3,見本鎮痛錠,20260301,20260307,2,1,\n\
                     31,1,見本成分,,,2\n4,健康診断,20260301,2";

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_imports_what_they_wrote_and_the_same_again_is_known() {
    let world = World::new().await;
    let own = world.patient_caller(6).await;
    let import = |who: Caller, text: String| {
        let exchange = world.exchange.clone();
        async move { exchange.notebook_import(&who, Bytes::from(text), &request()).await }
    };
    let taken = import(own.clone(), SHOWN.to_owned()).await.unwrap();
    assert_eq!(taken, Taken { new: 2, known: 0 });
    let again = import(own.clone(), SHOWN.to_owned()).await.unwrap();
    assert_eq!(again, Taken { new: 0, known: 2 });
    let other = import(own.clone(), SHOWN.replace("S310412", "S310413")).await;
    assert!(matches!(other, Err(ExchangeError::DocumentMismatch(_))));
    let broken = import(own, SHOWN.replace("31,1,", "31,2,")).await;
    assert!(matches!(broken, Err(ExchangeError::Document(faults)) if faults[0].place == "TC[line 5].31.1"));
    assert!(matches!(import(caller(CLINIC), SHOWN.to_owned()).await, Err(ExchangeError::NotPermitted(_))));
    assert_eq!(acts(&world, 6).await.iter().filter(|act| *act == "notebook-import").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_notebook_are_imported_as_the_whole_in_any_order() {
    let world = World::new().await;
    let own = world.patient_caller(6).await;
    let import = |text: String| {
        let (exchange, own) = (world.exchange.clone(), own.clone());
        async move { exchange.notebook_import(&own, Bytes::from(text), &request()).await }
    };
    let head = "JAHISTC08,2\r\n1,世界　患者,2,S310412,,,,,,,\r\n";
    let one = format!("{head}2,1,卵,2\r\n911,20260311120000,2,1\r\n");
    let two = format!(
        "{head}3,見本鎮痛錠,20260301,20260307,2,1,\r\n31,1,見本成分,,,2\r\n911,20260311120000,2,2\r\n"
    );
    let other = two.replace("911,20260311120000", "911,20260311120001");
    let faults = |refused| match refused {
        Err(ExchangeError::Document(faults)) => faults.first().map(|fault| fault.place.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        faults(import(format!("{one}{other}")).await).as_deref(),
        Some("TC.911"),
        "of another notebook"
    );
    assert_eq!(faults(import(format!("{one}{two}{two}")).await).as_deref(), Some("TC.911"), "twice");
    let broken = two.replace("31,1,", "31,2,");
    let place = faults(import(format!("{one}{broken}")).await).unwrap();
    assert!(place.starts_with("part 2: TC[line 4]"), "{place}");
    assert_eq!(import(format!("{two}{one}")).await.unwrap(), Taken { new: 2, known: 0 });
    assert_eq!(import(one).await.unwrap(), Taken { new: 0, known: 1 }, "a part alone is what it holds");
}

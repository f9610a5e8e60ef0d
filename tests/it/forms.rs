//! Both forms of every document, alone and mixed: FHIR documents in a JWS, EPS XML, and paper in FHIR.

#![expect(clippy::unwrap_used, reason = "documents that cannot be made fail their tests")]

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hikikae::clock::japanese_date;
use hikikae::codec::eps_xml::{EpsPrescription, Signatory, dispensing_over_jws_sign, dispensing_sign};
use hikikae::codec::fault::Fault;
use hikikae::codec::jose::{JosePrescription, sign};
use hikikae::codec::{cj1, fhir, sj1};
use hikikae::exchange::accept::Accepted;
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::exchange::register::Sent;
use hikikae::exchange::{Answered, TaskOutcome};
use hikikae::prescription::registered::Registered;
use hikikae::prescription::state::{Kind, Shown};
use hikikae::sandbox::pki::Credential;
use hikikae::store::PrescriptionId;
use hikikae::trust::Algorithm;
use hikikae::trust::jws::JwsSignatory;
use ring::rand::SystemRandom;
use serde_json::Value;
use uuid::Uuid;

use crate::world::{CLINIC, PHARMACY, PKI, Rx, World, caller, request};

fn jws(document: &[u8], by: &Credential, algorithm: Algorithm, time: DateTime<Utc>) -> Bytes {
    let chain: Vec<_> = [&by.certificate].into_iter().chain(&by.chain).cloned().collect();
    let random = SystemRandom::new();
    let signatory = JwsSignatory { chain: &chain, key: &by.key, algorithm, time, random: &random };
    sign(document, &signatory).unwrap().into()
}

/// The prescription as a FHIR document.
fn bundle(rx: &Rx, world: &World) -> Vec<u8> {
    let value = sj1::read(rx.sj1().as_bytes()).unwrap().value;
    let header =
        fhir::prescription::Header { number: "2026-00000001".to_owned(), date: world.now().fixed_offset() };
    fhir::prescription::write(&value, &header)
}

fn signed(rx: &Rx, world: &World) -> Bytes {
    jws(&bundle(rx, world), &PKI.people[0], Algorithm::Ps256, world.now())
}

async fn register(
    world: &World,
    form: DocumentForm,
    original: Bytes,
) -> Result<Answered<TaskOutcome>, ExchangeError> {
    let kind = if form.is_signed() { Kind::Electronic } else { Kind::Paper };
    world.exchange.register(&caller(CLINIC), &Sent { kind, form, original }, &request()).await
}

async fn registered(world: &World, form: DocumentForm, rx: &Rx) -> Registered {
    let document = match form {
        DocumentForm::EpsXml => world.sign(rx),
        DocumentForm::Jose => signed(rx, world),
        DocumentForm::Csv => rx.sj1().into(),
        DocumentForm::Fhir => bundle(rx, world).into(),
    };
    register(world, form, document).await.unwrap().outcome.task
}

/// The result as the pharmacist sends it in a form, over what was delivered.
fn result(world: &World, form: DocumentForm, rx: &Rx, accepted: &Accepted) -> Bytes {
    result_over(world, form, rx, accepted.task.task.id, (&accepted.media_type, &accepted.delivered))
}

/// The same over any prescription, which is embedded as it is.
fn result_over(
    world: &World,
    form: DocumentForm,
    rx: &Rx,
    id: Uuid,
    (media_type, delivered): (&str, &[u8]),
) -> Bytes {
    let by = &PKI.people[1];
    let text = rx.cj1(PHARMACY, id, japanese_date(world.now()));
    let random = SystemRandom::new();
    let signatory =
        Signatory { certificate: &by.certificate, key: &by.key, time: world.now(), random: &random };
    let value = || cj1::read(text.as_bytes()).unwrap().value;
    match (form, media_type) {
        (DocumentForm::EpsXml, "application/jose") => {
            let delivered = JosePrescription::read(delivered).unwrap();
            dispensing_over_jws_sign(&delivered, text.as_bytes(), &signatory).unwrap().into()
        }
        (DocumentForm::EpsXml, _) => {
            let delivered = EpsPrescription::read(delivered).unwrap();
            dispensing_sign(&delivered, text.as_bytes(), &signatory).unwrap().into()
        }
        (DocumentForm::Jose, _) => {
            let document = fhir::dispensing::write(&value(), Some((media_type, delivered)), world.now());
            jws(&document, by, Algorithm::Rs256, world.now())
        }
        (DocumentForm::Csv, _) => text.into(),
        (DocumentForm::Fhir, _) => fhir::dispensing::write(&value(), None, world.now()).into(),
    }
}

async fn dispense(
    world: &World,
    form: DocumentForm,
    accepted: &Accepted,
    original: Bytes,
) -> Result<Answered<TaskOutcome>, ExchangeError> {
    let id = PrescriptionId::from_uuid(accepted.task.task.id);
    let purpose = Purpose::Dispense { complete: true };
    let sent = SentResult { purpose, important: false, form, original };
    world.exchange.dispense(&caller(PHARMACY), id, &sent, &request()).await
}

#[tokio::test]
async fn each_form_is_dispensed_in_each() {
    use DocumentForm::{Csv, EpsXml, Fhir, Jose};
    let world = World::new().await;
    let pairs = [
        (Jose, Jose),
        (Jose, EpsXml),
        (EpsXml, Jose),
        (EpsXml, EpsXml),
        (Fhir, Fhir),
        (Fhir, Csv),
        (Csv, Fhir),
    ];
    for (patient, (prescribed, dispensed)) in (1..).zip(pairs) {
        let rx = world.rx(patient);
        let task = registered(&world, prescribed, &rx).await;
        let accepted = world.accept(PHARMACY, patient, &task).await.unwrap().outcome;
        assert_eq!(accepted.media_type, prescribed.media_type());
        let verdict = accepted.verification.as_ref().map(hikikae::trust::verdict::Verdict::is_valid);
        assert_eq!(verdict, prescribed.is_signed().then_some(true));
        let document = result(&world, dispensed, &rx, &accepted);
        let done = dispense(&world, dispensed, &accepted, document.clone()).await;
        let done = done.unwrap_or_else(|error| panic!("{prescribed:?} by {dispensed:?}: {error:?}"));
        assert_eq!(done.outcome.task.life.shown(world.now()), Shown::Dispensed);
        // Invariant 1: what was delivered of a JWS is what was sent, and so is every original.
        let id = PrescriptionId::from_uuid(task.id);
        let original = world
            .exchange
            .document(&caller(CLINIC), id, Which::Prescription(None), &request())
            .await
            .unwrap();
        assert_eq!(original.media_type, prescribed.media_type());
        if prescribed == Jose {
            assert_eq!(original.bytes, accepted.delivered);
        }
    }
}

/// The places of a refusal that names some.
fn places<T>(result: Result<T, ExchangeError>) -> (&'static str, Vec<String>) {
    let told = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.place).collect();
    match result {
        Err(ExchangeError::Document(faults)) => ("document-invalid", told(faults)),
        Err(ExchangeError::DocumentMismatch(faults)) => ("document-mismatch", told(faults)),
        Err(ExchangeError::Signature { place, failure }) => (failure.code.as_str(), vec![place]),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_jws_is_told_by_its_code() {
    let world = World::new().await;
    let rx = world.rx(1);
    let good = signed(&rx, &world);
    let send = |document: Bytes| register(&world, DocumentForm::Jose, document);
    let none = format!("eyJhbGciOiJub25lIn0.{}.", String::from_utf8_lossy(&good).split('.').nth(1).unwrap());
    let (code, told) = places(send(none.into()).await);
    assert_eq!((code, told.contains(&"JWS.header.alg".to_owned())), ("document-invalid", true));
    assert_eq!(places(send([&good[..], b"="].concat().into()).await).1, ["JWS"]);
    let mut changed = good.to_vec();
    let middle = good.iter().position(|byte| *byte == b'.').unwrap() + 100;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    assert_eq!(places(send(changed.into()).await), ("signature-invalid", vec!["JWS".to_owned()]));
    let by_pharmacist = jws(&bundle(&rx, &world), &PKI.people[1], Algorithm::Rs256, world.now());
    assert_eq!(places(send(by_pharmacist).await).0, "signer-role");
    let by_clinic = jws(&bundle(&rx, &world), &PKI.facilities[0], Algorithm::Es256, world.now());
    assert_eq!(places(send(by_clinic).await).0, "certificate-untrusted");
    // Signed well, over a document that is not.
    let mut document: Value = serde_json::from_slice(&bundle(&rx, &world)).unwrap();
    document["entry"][0]["resource"]["status"] = "preliminary".into();
    let document = jws(document.to_string().as_bytes(), &PKI.people[0], Algorithm::Rs256, world.now());
    let expected = vec!["Bundle.entry[0].resource.status".to_owned()];
    assert_eq!(places(send(document).await), ("document-invalid", expected));
    send(good).await.unwrap();
}

#[tokio::test]
async fn a_result_embeds_what_was_delivered_and_answers_it() {
    let world = World::new().await;
    let rx = world.rx(1);
    let task = registered(&world, DocumentForm::Jose, &rx).await;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    // Another signature over the same document is another document.
    let twin = jws(&bundle(&rx, &world), &PKI.people[0], Algorithm::Rs256, world.now());
    for form in [DocumentForm::Jose, DocumentForm::EpsXml] {
        let document = result_over(&world, form, &rx, task.id, ("application/jose", &twin));
        assert_eq!(places(dispense(&world, form, &accepted, document).await).0, "document-mismatch");
    }
    // The pharmacist's result for another Task, and one on paper.
    let delivered = (accepted.media_type.as_str(), accepted.delivered.as_slice());
    let document = result_over(&world, DocumentForm::Jose, &rx, Uuid::from_u128(7), delivered);
    let (code, told) = places(dispense(&world, DocumentForm::Jose, &accepted, document).await);
    assert_eq!(code, "document-mismatch");
    assert_eq!(told, ["Bundle.entry.resource.ofType(MedicationDispense).identifier"]);
    let unsigned = result(&world, DocumentForm::Fhir, &rx, &accepted);
    let (code, told) = places(dispense(&world, DocumentForm::Fhir, &accepted, unsigned).await);
    assert_eq!((code, told), ("document-mismatch", vec!["Content-Type".to_owned()]));
}

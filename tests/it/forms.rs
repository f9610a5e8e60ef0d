//! Both forms of every document, alone and mixed: FHIR documents in a JWS, EPS XML, and paper in FHIR.

#![expect(clippy::unwrap_used, reason = "documents that cannot be made fail their tests")]

use bytes::Bytes;
use hikikae::codec::fault::Fault;
use hikikae::exchange::accept::Accepted;
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::exchange::register::Sent;
use hikikae::exchange::{Answered, TaskOutcome};
use hikikae::prescription::registered::Registered;
use hikikae::prescription::state::{Kind, Shown};
use hikikae::store::PrescriptionId;
use hikikae::trust::Algorithm;
use serde_json::Value;
use uuid::Uuid;

use crate::documents::{self, Answering, bundle, jws, prescription};
use crate::world::{CLINIC, PHARMACY, PKI, Rx, World, caller, request};

/// Signed by the physician with RSASSA-PSS.
fn signed(rx: &Rx, world: &World) -> Bytes {
    prescription(world, DocumentForm::Jose, Algorithm::Ps256, rx)
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
    let document = prescription(world, form, Algorithm::Ps256, rx);
    register(world, form, document).await.unwrap().outcome.task
}

/// The result as the pharmacist sends it in a form, over what was delivered.
fn result(world: &World, form: DocumentForm, rx: &Rx, accepted: &Accepted) -> Bytes {
    let answering = Answering::accepted(accepted);
    documents::result(world, form, Algorithm::Rs256, rx, PHARMACY, answering)
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
    let by_pharmacist = jws(&world, &bundle(&world, &rx), &PKI.people[1], Algorithm::Rs256);
    assert_eq!(places(send(by_pharmacist).await).0, "signer-role");
    let by_clinic = jws(&world, &bundle(&world, &rx), &PKI.facilities[0], Algorithm::Es256);
    assert_eq!(places(send(by_clinic).await).0, "certificate-untrusted");
    // Signed well, over a document that is not.
    let mut document: Value = serde_json::from_slice(&bundle(&world, &rx)).unwrap();
    document["entry"][0]["resource"]["status"] = "preliminary".into();
    let document = jws(&world, document.to_string().as_bytes(), &PKI.people[0], Algorithm::Rs256);
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
    let twin = jws(&world, &bundle(&world, &rx), &PKI.people[0], Algorithm::Rs256);
    for form in [DocumentForm::Jose, DocumentForm::EpsXml] {
        let answering = Answering { delivered: &twin, ..Answering::accepted(&accepted) };
        let document = documents::result(&world, form, Algorithm::Rs256, &rx, PHARMACY, answering);
        assert_eq!(places(dispense(&world, form, &accepted, document).await).0, "document-mismatch");
    }
    // The pharmacist's result for another Task, and one on paper.
    let answering = Answering { id: Uuid::from_u128(7), ..Answering::accepted(&accepted) };
    let document = documents::result(&world, DocumentForm::Jose, Algorithm::Rs256, &rx, PHARMACY, answering);
    let (code, told) = places(dispense(&world, DocumentForm::Jose, &accepted, document).await);
    assert_eq!(code, "document-mismatch");
    assert_eq!(told, ["Bundle.entry.resource.ofType(MedicationDispense).identifier"]);
    let unsigned = result(&world, DocumentForm::Fhir, &rx, &accepted);
    let (code, told) = places(dispense(&world, DocumentForm::Fhir, &accepted, unsigned).await);
    assert_eq!((code, told), ("document-mismatch", vec!["Content-Type".to_owned()]));
}

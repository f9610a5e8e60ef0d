//! The acts after the first ones, in the forms of FHIR: amending, parts, correcting, withdrawing, collecting; what each
//! tells of its check, and what a retry is told.

#![expect(clippy::unwrap_used, reason = "an act that should be done and is not fails its test")]

use bytes::Bytes;
use hikikae::exchange::accept::{Accepted, Wanted};
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::prescription::mitigation::ManagementCode;
use hikikae::store::PrescriptionId;
use hikikae::trust::Algorithm;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::documents::{Answering, prescription, result};
use crate::door::{Door, FHIR, answer, code, parameters};
use crate::world::{
    CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, World, caller, request, request_with_key,
};

/// Invariant 3: whatever has become of the prescription since.
#[tokio::test]
async fn a_retried_accept_is_answered_as_the_first_time() {
    let world = World::new().await;
    world.register(&world.rx(1)).await.unwrap();
    let rx = Rx { clinic: OTHER_CLINIC, ..world.rx(1) };
    let document = world.sign(&rx);
    let Err(ExchangeError::CheckUnresolved(findings, _)) =
        world.register_as(&rx, document.clone(), &request()).await
    else {
        panic!("the duplicate was not found");
    };
    let code = ManagementCode::try_from("1".to_owned()).unwrap();
    world.exchange.mitigate(&caller(OTHER_CLINIC), findings[0].id, code, None, &request()).await.unwrap();
    let task = world.register_as(&rx, document, &request()).await.unwrap().outcome.task;
    let (id, wanted) =
        (PrescriptionId::from_uuid(task.id), Wanted::Number(task.exchange_number.clone().unwrap()));
    let accept = async || {
        let identified = world.identified(1).await;
        world
            .exchange
            .accept(&caller(PHARMACY), &identified, &wanted, &request_with_key("k", 1))
            .await
            .unwrap()
    };
    let first = accept().await;
    world.exchange.give_back(&caller(PHARMACY), id, "out of stock".to_owned(), &request()).await.unwrap();
    let amended = world.sign(&Rx { drug: ROSUVASTATIN, ..rx.clone() });
    world.exchange.amend(&caller(OTHER_CLINIC), id, DocumentForm::EpsXml, amended, &request()).await.unwrap();
    let again = accept().await;
    assert!(!first.replayed && again.replayed);
    let said = |answer: &Accepted| {
        let findings: Vec<_> = answer.findings.iter().map(|row| (row.id, row.mitigation.clone())).collect();
        (answer.task.task.clone(), answer.delivered.clone(), answer.verification.clone(), findings)
    };
    assert_eq!(first.outcome.findings.len(), 1);
    assert_eq!(said(&again.outcome), said(&first.outcome));
    // Who accepts anew gets what is in force.
    let anew = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    assert_eq!(anew.task.task.document.number, 2);
    assert_ne!(anew.delivered, first.outcome.delivered);
}

/// 重要情報 is in every version that has it, and reading the result changes none.
#[tokio::test]
async fn an_important_result_stays_marked_as_long_as_it_stands() {
    let world = World::new().await;
    let rx = world.rx(1);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let held = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let (id, clinic, pharmacy) = (PrescriptionId::from_uuid(task.id), caller(CLINIC), caller(PHARMACY));
    let send = async |purpose, important| {
        let original = world.dispensing(PHARMACY, &rx, &held);
        let sent = SentResult { purpose, important, form: DocumentForm::EpsXml, original };
        world.exchange.dispense(&pharmacy, id, &sent, &request()).await.unwrap().outcome.task
    };
    let marked = send(Purpose::Dispense { complete: true }, true).await;
    assert_eq!(marked.life.results.important().collect::<Vec<_>>(), [1]);
    world.exchange.document(&clinic, id, Which::Dispensing(Some(1)), &request()).await.unwrap();
    assert_eq!(world.exchange.task_read(&clinic, id, &request()).await.unwrap().task, marked);
    let told = world.followed(CLINIC, &marked).await;
    assert_eq!(told, [task.clone(), held.task.task.clone(), marked.clone()]);
    let corrected = send(Purpose::Amend { result: None }, false).await;
    assert_eq!(corrected.life.results.important().count(), 0);
    let versions = world.exchange.task_history(&clinic, id, &request()).await.unwrap();
    assert_eq!(versions, [corrected, marked, held.task.task, task]);
}

/// A facility's call over HTTP, with a document or Parameters.
struct Desk<'d> {
    door: &'d Door,
    token: String,
}

impl<'d> Desk<'d> {
    async fn open(door: &'d Door, code: &str) -> Self {
        Self { door, token: door.token(code).await }
    }

    async fn send(&self, path: &str, form: DocumentForm, document: &Bytes) -> (u16, Value) {
        let text = String::from_utf8(document.to_vec()).unwrap();
        let path = format!("/fhir/Task/{path}");
        let (status, body) = answer(self.door.post(&path, &self.token, form.media_type(), text)).await;
        (status.as_u16(), body)
    }

    async fn act(&self, path: &str) -> (u16, Value) {
        let body = parameters(&[("reason", "asked for")]);
        let (status, body) =
            answer(self.door.post(&format!("/fhir/Task/{path}"), &self.token, FHIR, body)).await;
        (status.as_u16(), body)
    }

    async fn task(&self, id: Uuid) -> Value {
        let call = self.door.client.get(format!("{}/fhir/Task/{id}", self.door.base_url));
        answer(call.bearer_auth(&self.token)).await.1
    }

    async fn document(&self, id: Uuid, query: &str) -> (String, Vec<u8>) {
        let call = self.door.client.get(format!("{}/fhir/Task/{id}/$document?{query}", self.door.base_url));
        let answer = call.bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (media_type, answer.bytes().await.unwrap().to_vec())
    }
}

/// The state a Task shows, and its version.
fn stands(task: &Value) -> (&str, &str) {
    let state = task["businessStatus"]["coding"][0]["code"].as_str().unwrap_or_default();
    (state, task["meta"]["versionId"].as_str().unwrap_or_default())
}

fn id_of(task: &Value) -> Uuid {
    task["id"].as_str().unwrap().parse().unwrap()
}

/// The values of an extension of ours.
fn extensions(task: &Value, name: &str) -> Vec<Value> {
    let url = format!("https://hikikae.dev/fhir/StructureDefinition/{name}");
    let all = task["extension"].as_array().unwrap();
    let found = all.iter().filter(|extension| extension["url"] == *url);
    found
        .map(|extension| {
            extension.as_object().unwrap().iter().find(|(key, _)| *key != "url").unwrap().1.clone()
        })
        .collect()
}

/// A physician and a pharmacist with P-256 keys write everything, and everything they can do is done.
#[tokio::test]
async fn a_prescription_signed_by_es256_is_amended_dispensed_in_parts_corrected_and_collected() {
    let door = Door::open().await;
    let world = &door.world;
    let (clinic, pharmacy) = (Desk::open(&door, CLINIC).await, Desk::open(&door, PHARMACY).await);
    let (form, rx) = (DocumentForm::Jose, world.rx(1));
    let first = prescription(world, DocumentForm::EpsXml, Algorithm::Es256, &rx);
    let (status, task) = clinic.send("$register", DocumentForm::EpsXml, &first).await;
    assert_eq!((status, stands(&task)), (201, ("issued", "1")), "{task}");
    let (id, number) = (id_of(&task), task["identifier"][1].clone());
    // The second version is a JWS, though the first was XML.
    let rx = Rx { drug: ROSUVASTATIN, ..rx };
    let second = prescription(world, form, Algorithm::Es256, &rx);
    let (status, task) = clinic.send(&format!("{id}/$amend"), form, &second).await;
    assert_eq!((status, stands(&task)), (200, ("issued", "2")), "{task}");
    assert_eq!((&task["identifier"][1], extensions(&task, "document-version")), (&number, vec![json!(2)]));
    let (status, refused) = clinic.send(&format!("{id}/$amend"), form, &second).await;
    assert_eq!((status, code(&refused)), (409, "duplicate-document"));

    let number = number["value"].as_str().unwrap().parse().unwrap();
    let held = world.accept_number(PHARMACY, 1, &number).await.unwrap().outcome;
    assert_eq!((&*held.media_type, &*held.delivered), (form.media_type(), &*second));
    assert!(held.verification.as_ref().unwrap().is_valid());
    let (status, refused) = clinic.send(&format!("{id}/$amend"), form, &second).await;
    assert_eq!((status, code(&refused)), (409, "held-by-pharmacy"));

    let made = || result(world, form, Algorithm::Es256, &rx, PHARMACY, Answering::accepted(&held));
    let part = made();
    let (status, task) =
        pharmacy.send(&format!("{id}/$dispense?final=false&important=true"), form, &part).await;
    assert_eq!((status, stands(&task)), (200, ("partly-dispensed", "4")), "{task}");
    assert_eq!(extensions(&task, "important-information"), Vec::<Value>::new(), "it is for the physician");
    assert_eq!(extensions(&clinic.task(id).await, "important-information"), [json!(1)]);
    let rest = made();
    let (status, task) = pharmacy.send(&format!("{id}/$dispense"), form, &rest).await;
    assert_eq!((status, stands(&task)), (200, ("dispensed", "5")), "{task}");
    // In the place of the part, and a pharmacist's XML in the place of that.
    let corrected = made();
    let (status, task) = pharmacy.send(&format!("{id}/$amend-dispense?version=1"), form, &corrected).await;
    assert_eq!((status, stands(&task)), (200, ("dispensed", "6")), "{task}");
    assert_eq!(extensions(&clinic.task(id).await, "important-information"), Vec::<Value>::new());
    let (status, refused) = pharmacy.send(&format!("{id}/$amend-dispense?version=1"), form, &made()).await;
    assert_eq!((status, code(&refused)), (409, "state-conflict"), "it was replaced");
    let (status, refused) = pharmacy.act(&format!("{id}/$withdraw-dispense?version=3")).await;
    assert_eq!((status, code(&refused)), (409, "state-conflict"), "a later part stands");
    for (state, version) in [("partly-dispensed", "7"), ("accepted", "8")] {
        let (status, task) = pharmacy.act(&format!("{id}/$withdraw-dispense")).await;
        assert_eq!((status, stands(&task)), (200, (state, version)), "{task}");
    }
    let (status, refused) = pharmacy.act(&format!("{id}/$return")).await;
    assert_eq!((status, code(&refused)), (409, "already-dispensed"), "the medicine may be with the patient");
    let (status, task) = pharmacy.act(&format!("{id}/$collect")).await;
    assert_eq!((status, stands(&task)), (200, ("collected", "9")), "{task}");
    assert_eq!(task["status"], "rejected");
    let (status, refused) = pharmacy.send(&format!("{id}/$dispense"), form, &made()).await;
    assert_eq!((status, code(&refused)), (409, "state-conflict"));

    // Whatever became of them, all documents are kept as they were sent.
    for (query, form, sent) in [
        ("version=1", DocumentForm::EpsXml, first),
        ("version=2", form, second),
        ("part=dispensing&version=1", form, part),
        ("part=dispensing&version=2", form, rest),
        ("part=dispensing&version=3", form, corrected),
    ] {
        let kept = clinic.document(id, query).await;
        assert_eq!(kept, (form.media_type().to_owned(), sent.to_vec()), "{query}");
    }
}

/// What the check could not see is contained in the answer of each act that makes one.
#[tokio::test]
async fn what_was_not_checked_is_told_by_every_act_that_checks() {
    let door = Door::open().await;
    let world = &door.world;
    let (clinic, pharmacy) = (Desk::open(&door, CLINIC).await, Desk::open(&door, PHARMACY).await);
    let form = DocumentForm::Jose;
    let told = |(status, task): (u16, Value)| {
        assert!(matches!(status, 200 | 201), "{task}");
        assert_eq!(extensions(&task, "check-coverage"), [json!({ "reference": "#coverage" })]);
        let coverage = &task["contained"][0];
        assert_eq!(
            (&coverage["resourceType"], &coverage["id"]),
            (&json!("OperationOutcome"), &json!("coverage"))
        );
        let [place] = coverage["issue"].as_array().unwrap().as_slice() else { panic!("{coverage}") };
        assert!(place["expression"][0].as_str().unwrap().starts_with("Bundle.entry["), "{place}");
        task
    };
    let rx = Rx { drug: "619999999,知られざる錠", ..world.rx(1) };
    let signed = |rx: &Rx| prescription(world, form, Algorithm::Es256, rx);
    let task = told(clinic.send("$register", form, &signed(&rx)).await);
    let (id, number) = (id_of(&task), task["identifier"][1]["value"].as_str().unwrap().parse().unwrap());
    told(clinic.send(&format!("{id}/$amend"), form, &signed(&Rx { days: 14, ..rx.clone() })).await);
    assert_eq!(clinic.task(id).await.get("contained"), None, "the answer of an act, not of the Task");
    let held = world.accept_number(PHARMACY, 1, &number).await.unwrap().outcome;
    let made = || result(world, form, Algorithm::Es256, &rx, PHARMACY, Answering::accepted(&held));
    told(pharmacy.send(&format!("{id}/$dispense"), form, &made()).await);
    told(pharmacy.send(&format!("{id}/$amend-dispense"), form, &made()).await);
    let known = Rx { chart: 2, ..world.rx(2) };
    let (status, task) = clinic.send("$register", form, &signed(&known)).await;
    assert_eq!((status, task.get("contained")), (201, None));
}

/// The states of what patient 1 was given, as the patient sees them.
async fn given(door: &Door) -> Vec<Value> {
    let call = door.client.get(format!("{}/fhir/MedicationDispense", door.base_url));
    let (_, bundle) = answer(call.bearer_auth(door.patient_token(1).await)).await;
    bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"]["status"].clone()).collect()
}

/// 院内 and 紙 as Bundles: each is amended in the other unsigned form, and by nothing signed.
#[tokio::test]
async fn unsigned_bundles_are_amended_in_either_unsigned_form() {
    let door = Door::open().await;
    let world = &door.world;
    let clinic = Desk::open(&door, CLINIC).await;
    let (fhir, csv) = (DocumentForm::Fhir, DocumentForm::Csv);
    let unsigned = |form, rx: &Rx| prescription(world, form, Algorithm::Es256, rx);
    for (patient, path, kind, state) in
        [(1, "$register?kind=in-house", "in-house", "dispensed"), (2, "$register", "paper", "issued")]
    {
        let rx = world.rx(patient);
        let (status, task) = clinic.send(path, fhir, &unsigned(fhir, &rx)).await;
        assert_eq!((status, stands(&task)), (201, (state, "1")), "{task}");
        assert_eq!(extensions(&task, "issue-kind"), [json!(kind)]);
        let (id, in_house) = (id_of(&task), kind == "in-house");
        assert_eq!(task["identifier"].as_array().unwrap().len(), if in_house { 1 } else { 2 });
        let owner = &task["owner"]["identifier"]["value"];
        assert_eq!(*owner, if in_house { json!(CLINIC) } else { Value::Null });
        let amend = format!("{id}/$amend");
        let (status, task) = clinic.send(&amend, csv, &unsigned(csv, &Rx { days: 14, ..rx.clone() })).await;
        assert_eq!((status, stands(&task)), (200, (state, "2")), "{task}");
        let signed = unsigned(DocumentForm::Jose, &Rx { days: 7, ..rx.clone() });
        let (status, refused) = clinic.send(&amend, DocumentForm::Jose, &signed).await;
        assert_eq!((status, code(&refused)), (422, "document-mismatch"), "{refused}");
        assert_eq!(refused["issue"][0]["expression"], json!(["Content-Type"]));
        let (status, task) = clinic.send(&amend, fhir, &unsigned(fhir, &Rx { days: 7, ..rx })).await;
        assert_eq!((status, stands(&task)), (200, (state, "3")), "{task}");
        if in_house {
            assert_eq!(given(&door).await, ["completed"]);
        }
        let (status, task) = clinic.act(&format!("{id}/$cancel")).await;
        assert_eq!((status, stands(&task)), (200, ("cancelled", "4")), "{task}");
        if in_house {
            assert_eq!(given(&door).await, ["cancelled"], "it was not given after all");
        }
        let (status, refused) = clinic.send(&amend, csv, &unsigned(csv, &world.rx(patient))).await;
        assert_eq!((status, code(&refused)), (409, "cancelled"));
    }
    let refill = unsigned(fhir, &Rx { refill: Some(2), ..world.rx(3) });
    let (status, refused) = clinic.send("$register?kind=in-house", fhir, &refill).await;
    assert_eq!((status, code(&refused)), (422, "document-invalid"));
}

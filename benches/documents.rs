//! What the processor does for a document beside the database: reading SJ1, canonicalising and verifying a signed
//! prescription, sealing and opening it, rendering its Task.

#![expect(clippy::expect_used, reason = "nothing is measured when something is missing")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hikikae::codec::eps_xml::{EpsPrescription, Signatory, prescription_sign};
use hikikae::codec::fhir;
use hikikae::codec::sj1;
use hikikae::prescription::registered::{DocumentVersion, ExchangeNumber, Registered, Viewer};
use hikikae::prescription::state::{Kind, Life, Terms};
use hikikae::sandbox::pki::{PersonSpec, Pki};
use hikikae::store::{Keys, SealContext, Sealer};
use hikikae::trust::c14n::{Method, canonicalise};
use hikikae::trust::xml::Xml;
use hikikae::trust::{HcRole, TrustPolicy, TrustStore};
use ring::rand::SystemRandom;
use uuid::Uuid;

/// The longest of the fixture documents.
const SJ1: &str = "fixtures/documents/general-internal.sj1.csv";

fn now() -> DateTime<Utc> {
    "2026-04-01T01:00:00Z".parse().expect("an instant")
}

fn payload() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(SJ1)).expect("the fixture is there")
}

/// A prescription as a clinic signs it, and the trust it verifies under.
fn signed() -> (Vec<u8>, TrustStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let physician = PersonSpec {
        id: "physician".to_owned(),
        romaji: "Ichiro Mihon".to_owned(),
        kanji: "見本　一郎".to_owned(),
        registration_number: "Test000001".to_owned(),
        roles: vec![HcRole::MedicalDoctor],
    };
    let random = SystemRandom::new();
    let pki = Pki::open_or_create(directory.path(), &[physician], &[], &[], now(), &random, &|_, _| ())
        .expect("keys are made");
    let signatory = Signatory {
        certificate: &pki.people[0].certificate,
        key: &pki.people[0].key,
        time: now(),
        random: &random,
    };
    let document = prescription_sign(&payload(), &signatory).expect("it is signed");
    let trust = TrustStore::load(&pki.trust_directory(), TrustPolicy::default()).expect("it loads");
    (document, trust)
}

fn documents(criterion: &mut Criterion) {
    let payload = payload();
    let mut group = criterion.benchmark_group("document");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("SJ1, parsed", |bencher| {
        bencher.iter(|| sj1::read(black_box(&payload)).expect("it reads"));
    });
    let bundle = include_bytes!("../fixtures/documents/general.fhir.json");
    group.throughput(Throughput::Bytes(bundle.len() as u64));
    group.bench_function("FHIR Bundle, parsed", |bencher| {
        bencher.iter(|| fhir::prescription::read(black_box(bundle)).expect("it reads"));
    });
    let (document, trust) = signed();
    let at = now() + TimeDelta::minutes(1);
    let verdict = EpsPrescription::read_original(&document).expect("it reads").verify(&trust, at);
    assert!(verdict.outcome().is_ok(), "what is measured must be a valid signature");
    eprintln!("signed prescription: {} bytes", document.len());
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("XML, parsed", |bencher| {
        bencher.iter(|| Xml::parse(black_box(&document)).expect("it reads"));
    });
    let xml = Xml::parse(&document).expect("it reads");
    let method = Method::Inclusive;
    group.bench_function("XML, canonicalised", |bencher| {
        bencher.iter(|| canonicalise(black_box(&xml), xml.root(), &method));
    });
    group.bench_function("envelope, read", |bencher| {
        bencher.iter(|| EpsPrescription::read_original(black_box(&document)).expect("it reads"));
    });
    let envelope = EpsPrescription::read_original(&document).expect("it reads");
    group
        .bench_function("XAdES, verified", |bencher| bencher.iter(|| envelope.verify(black_box(&trust), at)));
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let random = SystemRandom::new();
    let sealer = Sealer::new(&Keys::generate(&random).expect("keys"), Arc::new(random));
    let place = SealContext { table: "document", row: &[7; 19], column: "sealed" };
    let mut group = criterion.benchmark_group("sealing");
    for size in [1, 12] {
        let plain = vec![b'x'; size * 1024];
        let ciphertext = sealer.seal(&place, &plain).expect("it seals");
        group.throughput(Throughput::Bytes(plain.len() as u64));
        group.bench_function(format!("{size} KiB, sealed"), |bencher| {
            bencher.iter(|| sealer.seal(&place, black_box(&plain)).expect("it seals"));
        });
        group.bench_function(format!("{size} KiB, opened"), |bencher| {
            bencher.iter(|| sealer.open(&place, black_box(&ciphertext)).expect("it opens"));
        });
    }
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    let number = ExchangeNumber::draw(&SystemRandom::new()).expect("a number");
    let registered = Registered {
        id: Uuid::from_u128(1),
        version: 1,
        clinic: "1311234567".parse().expect("ten digits"),
        clinic_name: Some("見本クリニック".to_owned()),
        exchange_number: Some(number),
        issued_on: NaiveDate::default(),
        registered_at: now(),
        changed_at: now(),
        life: Life::issued(
            Kind::Electronic,
            Terms { valid_until: NaiveDate::MAX, first_due: None, uses_allowed: 1 },
        ),
        document: DocumentVersion { number: 1, at: now() },
    };
    criterion.bench_function("Task, rendered", |bencher| {
        bencher.iter(|| serde_json::to_vec(&fhir::task::task(black_box(&registered), Viewer::Clinic, now())));
    });
}

criterion_group!(benches, documents, sealing, rendering);
criterion_main!(benches);

//! The documents of a prescription's life in each of their forms, made by the test world's people.

#![expect(clippy::unwrap_used, reason = "documents that cannot be made fail their tests")]

use bytes::Bytes;
use hikikae::clock::japanese_date;
use hikikae::codec::eps_xml::{EpsPrescription, dispensing_over_jws_sign, dispensing_sign};
use hikikae::codec::jose::{JosePrescription, sign};
use hikikae::codec::{cj1, fhir, sj1};
use hikikae::exchange::accept::Accepted;
use hikikae::exchange::form::DocumentForm;
use hikikae::sandbox::pki::Credential;
use hikikae::trust::Algorithm;
use hikikae::trust::jws::JwsSignatory;
use ring::rand::SystemRandom;
use uuid::Uuid;

use crate::world::{PKI, Rx, World, signatory};

/// A JWS by anybody.
pub fn jws(world: &World, document: &[u8], by: &Credential, algorithm: Algorithm) -> Bytes {
    let chain: Vec<_> = [&by.certificate].into_iter().chain(&by.chain).cloned().collect();
    let random = SystemRandom::new();
    let signatory =
        JwsSignatory { chain: &chain, key: &by.key, algorithm, time: world.now(), random: &random };
    sign(document, &signatory).unwrap().into()
}

/// The physician and the pharmacist whose keys sign a JWS by this algorithm.
fn people(algorithm: Algorithm) -> [&'static Credential; 2] {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 => [&PKI.people[0], &PKI.people[1]],
        Algorithm::Es256 => [&PKI.people[2], &PKI.people[3]],
    }
}

/// The prescription as a FHIR document.
pub fn bundle(world: &World, rx: &Rx) -> Vec<u8> {
    let value = sj1::read(rx.sj1().as_bytes()).unwrap().value;
    let header =
        fhir::prescription::Header { number: "2026-00000001".to_owned(), date: world.now().fixed_offset() };
    fhir::prescription::write(&value, &header)
}

/// The prescription in a form; a JWS by the physician whose key the algorithm is for.
pub fn prescription(world: &World, form: DocumentForm, algorithm: Algorithm, rx: &Rx) -> Bytes {
    match form {
        DocumentForm::EpsXml => world.sign(rx),
        DocumentForm::Jose => jws(world, &bundle(world, rx), people(algorithm)[0], algorithm),
        DocumentForm::Csv => rx.sj1().into(),
        DocumentForm::Fhir => bundle(world, rx).into(),
    }
}

/// What a result answers: the prescription, and what was delivered of it, with its media type.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'d> {
    pub id: Uuid,
    pub media_type: &'d str,
    pub delivered: &'d [u8],
}

impl<'d> Answering<'d> {
    pub fn accepted(accepted: &'d Accepted) -> Self {
        Self { id: accepted.task.task.id, media_type: &accepted.media_type, delivered: &accepted.delivered }
    }
}

/// What a pharmacy dispensed today, as prescribed, in a form.
pub fn result(
    world: &World,
    form: DocumentForm,
    algorithm: Algorithm,
    rx: &Rx,
    pharmacy: &str,
    answering: Answering<'_>,
) -> Bytes {
    let Answering { id, media_type, delivered } = answering;
    let text = rx.cj1(pharmacy, id, japanese_date(world.now()));
    let signatory = signatory(&PKI.people[1], world.now());
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
            jws(world, &document, people(algorithm)[1], algorithm)
        }
        (DocumentForm::Csv, _) => text.into(),
        (DocumentForm::Fhir, _) => fhir::dispensing::write(&value(), None, world.now()).into(),
    }
}

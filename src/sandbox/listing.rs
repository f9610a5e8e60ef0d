//! `personas.json` (API §6): the sandbox's people and places for whoever builds a client, and where their keys are.

use std::path::PathBuf;

use chrono::NaiveDate;
use serde::Serialize;

use super::persona::{AppPersona, Gender, Personas};
use super::pki::{Credential, Pki};

impl Personas {
    /// `personas.json`. Paths in it are relative to the sandbox directory.
    pub fn listing<'a>(&'a self, pki: &'a Pki, base_url: &'a str) -> Listing<'a> {
        Listing {
            base_url,
            facilities: self
                .facilities
                .iter()
                .zip(&pki.facilities)
                .map(|(facility, credential)| ListedFacility {
                    kind: facility.kind.as_str(),
                    code: facility.code.as_str(),
                    name: &facility.name,
                    files: Files::of(credential),
                })
                .collect(),
            practitioners: self
                .practitioners
                .iter()
                .zip(&pki.people)
                .map(|(person, credential)| ListedPractitioner {
                    role: &person.role,
                    registration_number: &person.registration_number,
                    name: &person.name,
                    facility: person.facility.as_str(),
                    files: Files::of(credential),
                })
                .collect(),
            patients: self
                .patients_with_cards(pki)
                .filter_map(|(patient, card)| {
                    let insurance = patient.insurances.last()?;
                    Some(ListedPatient {
                        name: &patient.name,
                        kana: &patient.kana,
                        birth_date: patient.birth_date,
                        sex: patient.sex,
                        insurer_number: &insurance.insurer_number,
                        symbol: &insurance.symbol,
                        number: &insurance.number,
                        branch_number: &insurance.branch_number,
                        files: card.map(Files::of),
                    })
                })
                .collect(),
            apps: &self.apps,
        }
    }
}

/// `personas.json`, in the contract's layout.
#[derive(Debug, Serialize)]
pub struct Listing<'a> {
    base_url: &'a str,
    facilities: Vec<ListedFacility<'a>>,
    practitioners: Vec<ListedPractitioner<'a>>,
    patients: Vec<ListedPatient<'a>>,
    apps: &'a [AppPersona],
}

#[derive(Debug, Serialize)]
struct ListedFacility<'a> {
    kind: &'static str,
    code: &'a str,
    name: &'a str,
    #[serde(flatten)]
    files: Files,
}

#[derive(Debug, Serialize)]
struct ListedPractitioner<'a> {
    role: &'a str,
    registration_number: &'a str,
    name: &'a str,
    facility: &'a str,
    #[serde(flatten)]
    files: Files,
}

#[derive(Debug, Serialize)]
struct ListedPatient<'a> {
    name: &'a str,
    kana: &'a str,
    birth_date: NaiveDate,
    sex: Gender,
    insurer_number: &'a str,
    symbol: &'a str,
    number: &'a str,
    branch_number: &'a str,
    #[serde(flatten)]
    files: Option<Files>,
}

#[derive(Debug, Serialize)]
struct Files {
    cert: PathBuf,
    chain: Vec<PathBuf>,
    key: PathBuf,
}

impl Files {
    fn of(credential: &Credential) -> Self {
        Self {
            cert: credential.certificate_path.clone(),
            chain: credential.chain_paths.clone(),
            key: credential.key_path.clone(),
        }
    }
}

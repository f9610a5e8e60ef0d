//! A desk (窓口): one facility of the sandbox with its key, its token and the person who signs there, and the
//! documents and calls they make. Sends nothing itself.

use uuid::Uuid;

use super::client::{Answer, Call, CallError};
use super::document::{Draft, DraftError, Tablet};
use super::persona::{FacilityPersona, PatientPersona, PractitionerPersona};
use super::pki::Credential;
use super::world::World;
use crate::clock::japanese_date;
use crate::codec::eps_xml::{EpsPrescription, Signatory, dispensing_sign, prescription_sign};
use crate::codec::fhir::task::EXCHANGE_NUMBER;
use crate::store::directory::FacilityKind;
use crate::trust::xades::XadesSignError;

/// Why a desk cannot make what it wants to send.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A call cannot be made.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A document cannot be written.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A document cannot be signed.
    #[error(transparent)]
    Sign(#[from] XadesSignError),
    /// What was delivered cannot be read.
    #[error("the delivered prescription cannot be read: {0} faults")]
    Delivered(usize),
    /// The sandbox lacks one of the cast.
    #[error("the sandbox has no {0}")]
    Cast(&'static str),
}

/// A facility at work.
pub struct Desk<'w> {
    world: &'w World,
    facility: &'w FacilityPersona,
    credential: &'w Credential,
    person: &'w PractitionerPersona,
    signing: &'w Credential,
    token: String,
}

/// A registered prescription.
#[derive(Clone, Debug)]
pub struct Registered {
    /// `Task.id`
    pub id: Uuid,
    /// 引換番号
    pub number: String,
}

impl Registered {
    /// Reads the Task that the issuing clinic is answered.
    pub fn of(answer: &Answer) -> Option<Self> {
        Self::of_task(&answer.json())
    }

    /// Reads a Task as JSON.
    pub fn of_task(task: &serde_json::Value) -> Option<Self> {
        let mut identifiers = task["identifier"].as_array()?.iter();
        let number = identifiers.find(|identifier| identifier["system"] == EXCHANGE_NUMBER)?;
        Some(Self { id: task["id"].as_str()?.parse().ok()?, number: number["value"].as_str()?.to_owned() })
    }
}

impl<'w> Desk<'w> {
    /// The `nth` facility of a kind, not yet logged in.
    ///
    /// # Errors
    ///
    /// [`DeskError::Cast`]
    pub fn of(world: &'w World, kind: FacilityKind, nth: usize) -> Result<Self, DeskError> {
        let facilities = world.personas.facilities.iter().zip(&world.pki.facilities);
        let (facility, credential) = facilities
            .filter(|(facility, _)| facility.kind == kind)
            .nth(nth)
            .ok_or(DeskError::Cast("such facility"))?;
        let mut people = world.personas.practitioners.iter().zip(&world.pki.people);
        let (person, signing) = people
            .find(|(person, _)| person.facility == facility.code)
            .ok_or(DeskError::Cast("practitioner there"))?;
        Ok(Self { world, facility, credential, person, signing, token: String::new() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.facility.name
    }

    /// Asks for a token.
    ///
    /// # Errors
    ///
    /// [`DeskError::Call`]
    pub fn token_call(&self) -> Result<Call, DeskError> {
        Ok(self.world.client.token_call(self.facility.code.as_str(), self.credential, None)?)
    }

    /// Logs in with the token of an answer.
    pub fn token_take(&mut self, answer: &Answer) {
        answer.json()["access_token"].as_str().unwrap_or_default().clone_into(&mut self.token);
    }

    /// A prescription of today by the person of this desk.
    ///
    /// # Errors
    ///
    /// [`DeskError`]
    pub fn draft(
        &self,
        patient: &'w PatientPersona,
        tablets: &'w [Tablet<'w>],
        days: u16,
    ) -> Result<Draft<'w>, DeskError> {
        let client = &self.world.client;
        Ok(Draft {
            clinic: self.facility,
            prescriber: self.person,
            patient,
            insurance: patient.insurances.last().ok_or(DeskError::Cast("insurance of a patient"))?,
            tablets,
            days,
            issued_on: japanese_date(client.clock().now()),
            mark: client.nonce()?,
        })
    }

    /// Signs a prescription.
    ///
    /// # Errors
    ///
    /// [`DeskError`]
    pub fn prescription_sign(&self, draft: &Draft<'_>) -> Result<Vec<u8>, DeskError> {
        Ok(prescription_sign(&draft.sj1()?, &self.signatory())?)
    }

    /// Signs the result that gives what is prescribed, over the prescription as it was delivered.
    ///
    /// # Errors
    ///
    /// [`DeskError`]
    pub fn dispensing_sign(
        &self,
        draft: &Draft<'_>,
        prescription: Uuid,
        delivered: &[u8],
    ) -> Result<Vec<u8>, DeskError> {
        let delivered =
            EpsPrescription::read(delivered).map_err(|faults| DeskError::Delivered(faults.len()))?;
        let cj1 = draft.cj1(prescription, self.facility, self.person)?;
        Ok(dispensing_sign(&delivered, &cj1, &self.signatory())?)
    }

    fn signatory(&self) -> Signatory<'w> {
        let client = &self.world.client;
        Signatory {
            certificate: &self.signing.certificate,
            key: &self.signing.key,
            time: client.clock().now(),
            random: client.random(),
        }
    }

    /// Registers a signed prescription under a fresh key, so that it may be repeated safely.
    ///
    /// # Errors
    ///
    /// [`DeskError::Call`]
    pub fn register_call(&self, original: &[u8]) -> Result<Call, DeskError> {
        let key = self.world.client.nonce()?;
        let call = Call::document("/fhir/Task/$register", original.to_vec());
        Ok(call.bearer(&self.token).header("Idempotency-Key", key))
    }

    /// Gives a reason for going on in spite of a finding.
    pub fn mitigate_call(&self, finding: &str, code: &str, comment: &str) -> Call {
        let path = format!("/fhir/DetectedIssue/{finding}/$mitigate");
        Call::parameters(path, &[("code", code), ("comment", comment)]).bearer(&self.token)
    }

    /// Verifies a patient by the insurance data of the card.
    ///
    /// # Errors
    ///
    /// [`DeskError::Cast`]
    pub fn identity_call(&self, patient: &PatientPersona) -> Result<Call, DeskError> {
        let insurance = patient.insurances.last().ok_or(DeskError::Cast("insurance of a patient"))?;
        let given = [
            ("insurerNumber", insurance.insurer_number.as_str()),
            ("symbol", &insurance.symbol),
            ("number", &insurance.number),
            ("branchNumber", &insurance.branch_number),
            ("birthDate", &patient.birth_date.to_string()),
        ];
        Ok(Call::parameters("/fhir/Patient/$verify-identity", &given).bearer(&self.token))
    }

    /// Takes a prescription over by its number; `identity` is the identity token.
    pub fn accept_call(&self, number: &str, identity: Option<&str>) -> Call {
        let call = Call::parameters("/fhir/Task/$accept", &[("exchangeNumber", number)]).bearer(&self.token);
        match identity {
            Some(identity) => call.header("Identity-Token", identity),
            None => call,
        }
    }

    /// Writes a dispensing result back under a fresh key.
    ///
    /// # Errors
    ///
    /// [`DeskError::Call`]
    pub fn dispense_call(&self, prescription: Uuid, document: &[u8]) -> Result<Call, DeskError> {
        let key = self.world.client.nonce()?;
        let call = Call::document(format!("/fhir/Task/{prescription}/$dispense"), document.to_vec());
        Ok(call.bearer(&self.token).header("Idempotency-Key", key))
    }

    /// Cancels a prescription.
    pub fn cancel_call(&self, prescription: Uuid, reason: &str) -> Call {
        Call::parameters(format!("/fhir/Task/{prescription}/$cancel"), &[("reason", reason)])
            .bearer(&self.token)
    }

    /// Reads.
    pub fn get_call(&self, path: impl Into<String>) -> Call {
        Call::get(path).bearer(&self.token)
    }
}

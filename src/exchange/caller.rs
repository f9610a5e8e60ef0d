//! Who calls, and what is theirs to see.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::app::AppAccess;
use super::error::ExchangeError;
use super::mandate::Representative;
use super::met::Met;
use crate::prescription::access::Who;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::registered::Viewer;
use crate::store::PatientId;
use crate::store::directory::{Facility, FacilityKind};
use crate::store::prescription::PrescriptionRow;
use crate::trust::HcRole;

/// A logged-in caller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// Whose certificate got the token.
    pub actor: Actor,
    /// The person at a facility's terminal, when one proved to be there.
    pub practitioner: Option<Person>,
    /// SHA-256 of the client certificate the token is bound to (RFC 8705 3).
    pub bound_to: Option<[u8; 32]>,
    /// The app that acts for the patient, when one does.
    #[serde(default)]
    pub app: Option<AppAccess>,
    /// The person who acts for the patient, when one does.
    #[serde(default)]
    pub representative: Option<Representative>,
    /// Whose data this request has come to. Of the request alone, and never kept with the token.
    #[serde(skip)]
    pub met: Met,
}

/// The three kinds of actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "actor", rename_all = "lowercase")]
pub enum Actor {
    /// A clinic, hospital or pharmacy system.
    Facility(Facility),
    /// A physician, dentist or pharmacist.
    Practitioner(Person),
    /// A patient.
    Patient {
        /// Our own id.
        id: Uuid,
        /// The name in the directory.
        name: String,
    },
}

/// A practitioner by HPKI certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Registration number (subject serialNumber).
    pub id: String,
    /// Name, in kanji when the certificate has it.
    pub name: String,
    /// `hcRole` texts.
    pub roles: Vec<String>,
}

impl Caller {
    /// Somebody by the own certificate, with nobody beside.
    pub fn of(actor: Actor) -> Self {
        Self {
            actor,
            practitioner: None,
            bound_to: None,
            app: None,
            representative: None,
            met: Met::default(),
        }
    }

    /// The facility.
    ///
    /// # Errors
    ///
    /// `not-permitted` for practitioners and patients on their own.
    pub fn facility(&self) -> Result<&Facility, ExchangeError> {
        match &self.actor {
            Actor::Facility(facility) => Ok(facility),
            Actor::Practitioner(_) | Actor::Patient { .. } => {
                Err(ExchangeError::NotPermitted("this act is for facilities; use a facility's token"))
            }
        }
    }

    /// The facility, when it may issue prescriptions.
    ///
    /// # Errors
    ///
    /// `not-permitted`.
    pub fn clinic(&self) -> Result<&Facility, ExchangeError> {
        let facility = self.facility()?;
        match facility.kind {
            FacilityKind::Clinic | FacilityKind::Hospital => Ok(facility),
            FacilityKind::Pharmacy => {
                Err(ExchangeError::NotPermitted("this act is for clinics and hospitals"))
            }
        }
    }

    /// The facility, when it may dispense.
    ///
    /// # Errors
    ///
    /// `not-permitted`.
    pub fn pharmacy(&self) -> Result<&Facility, ExchangeError> {
        let facility = self.facility()?;
        match facility.kind {
            FacilityKind::Pharmacy => Ok(facility),
            FacilityKind::Clinic | FacilityKind::Hospital => {
                Err(ExchangeError::NotPermitted("this act is for pharmacies"))
            }
        }
    }

    /// The facility, and the physician, dentist or pharmacist who has proved to be at its terminal.
    ///
    /// # Errors
    ///
    /// `not-permitted` when nobody has; `role-mismatch` for another profession.
    pub fn clinician(&self) -> Result<(&Facility, &Person), ExchangeError> {
        let facility = self.facility()?;
        let person = self.practitioner.as_ref().ok_or(ExchangeError::NotPermitted(
            "this act needs the person at the terminal: get a token with practitioner_assertion",
        ))?;
        let known = |role: &String| !matches!(HcRole::from(role.as_str()), HcRole::Other(_));
        if person.roles.iter().any(known) { Ok((facility, person)) } else { Err(ExchangeError::RoleMismatch) }
    }

    /// The patient, when it is one.
    pub fn patient(&self) -> Option<PatientId> {
        match &self.actor {
            Actor::Patient { id, .. } => Some(PatientId::from_uuid(*id)),
            Actor::Facility(_) | Actor::Practitioner(_) => None,
        }
    }

    /// Which kind of caller the access record names.
    pub fn who(&self) -> Who {
        match &self.actor {
            Actor::Facility(_) => Who::Facility,
            Actor::Practitioner(_) => Who::Practitioner,
            Actor::Patient { .. } => Who::Patient,
        }
    }

    /// The person the access record names.
    pub fn person_name(&self) -> Option<&str> {
        match &self.actor {
            Actor::Facility(_) => self.practitioner.as_ref().map(|person| person.name.as_str()),
            Actor::Practitioner(person) => Some(&person.name),
            Actor::Patient { name, .. } => Some(name),
        }
    }

    /// Whether the caller may know of this prescription: its clinic, its patient, and the pharmacy that holds it,
    /// held it last or dispensed any of it.
    pub fn may_see(&self, row: &PrescriptionRow) -> bool {
        match &self.actor {
            Actor::Facility(facility) => {
                row.registered.clinic == facility.code
                    || row.registered.life.results.has(&facility.code)
                    || row.registered.life.last_pharmacy() == Some(&facility.code)
            }
            Actor::Practitioner(_) => false,
            Actor::Patient { id, .. } => row.patient.as_uuid() == id,
        }
    }

    /// Whether the caller may read its documents: not a pharmacy whose lease has ended with nothing dispensed.
    pub fn may_read(&self, row: &PrescriptionRow, now: DateTime<Utc>) -> bool {
        match &self.actor {
            Actor::Facility(facility) => {
                row.registered.clinic == facility.code
                    || row.registered.life.results.has(&facility.code)
                    || row.registered.life.pharmacy(now).as_ref() == Some(&facility.code)
            }
            Actor::Practitioner(_) | Actor::Patient { .. } => self.may_see(row),
        }
    }

    /// As whom the caller is shown a prescription of this clinic.
    pub fn viewer(&self, clinic: &InstitutionCode) -> Viewer {
        match &self.actor {
            Actor::Facility(facility) if facility.code == *clinic => Viewer::Clinic,
            Actor::Patient { .. } => Viewer::Patient,
            Actor::Facility(_) | Actor::Practitioner(_) => Viewer::Pharmacy,
        }
    }
}

//! A prescription as the exchange knows it: identity, parties and life, without its contents.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::identifier::InstitutionCode;
use super::state::Life;

/// A registered prescription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// 処方箋ID.
    pub id: Uuid,
    /// Raised by every change; starts at 1.
    pub version: i64,
    /// The issuing clinic or hospital.
    pub clinic: InstitutionCode,
    /// Its name as written in the prescription.
    pub clinic_name: Option<String>,
    /// 引換番号, the number the patient shows; an in-house prescription has none.
    pub exchange_number: Option<ExchangeNumber>,
    /// 交付年月日.
    pub issued_on: NaiveDate,
    /// When it was registered.
    pub registered_at: DateTime<Utc>,
    /// When it last changed.
    pub changed_at: DateTime<Utc>,
    /// Its life.
    pub life: Life,
    /// The document in force.
    pub document: DocumentVersion,
}

/// Which of a prescription's documents is in force: 1 is the one it was registered with, each amendment adds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentVersion {
    /// Its number.
    pub number: i16,
    /// When it was taken in; signatures are judged as at that moment.
    pub at: DateTime<Utc>,
}

/// For whom a prescription is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// The issuing clinic: sees the exchange number and what the pharmacist marked as important.
    Clinic,
    /// The patient: sees the exchange number.
    Patient,
    /// A pharmacy: sees neither.
    Pharmacy,
}

/// 引換番号: six digits, unique among one patient's prescriptions, never used again for that patient.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExchangeNumber(String);

impl ExchangeNumber {
    /// Draws a number. 2^32 is no multiple of 10^6; the bias (one in four thousand) is no help in guessing.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness.
    pub fn draw(rng: &dyn ring::rand::SecureRandom) -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; 4];
        rng.fill(&mut bytes)?;
        Ok(Self(format!("{:06}", u32::from_le_bytes(bytes) % 1_000_000)))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ExchangeNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExchangeNumber(……)")
    }
}

impl std::str::FromStr for ExchangeNumber {
    type Err = super::identifier::IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(super::identifier::IdentifierError("an exchange number of 6 digits"))
        }
    }
}

//! Proving who the patient is, by insurance data against the eligibility directory. Every mismatch is the same
//! refusal, and failures are counted per facility (invariant 5).

use chrono::{DateTime, NaiveDate, Utc};

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::prescription::document;
use crate::store::directory::{AttemptError, AttemptKind, DirectoryEntry, Facility, InsuredIdentity};
use crate::store::{IdentityToken, PatientId, StoreError};

/// A verified identity.
#[derive(Debug)]
pub struct VerifiedIdentity {
    /// The secret the facility sends as `Identity-Token`.
    pub token: IdentityToken,
    /// Its end.
    pub expires_at: DateTime<Utc>,
    /// The patient and the coverage of the day.
    pub entry: DirectoryEntry,
}

impl Exchange {
    /// Verifies a patient's identity by insurance data.
    ///
    /// # Errors
    ///
    /// `identity-not-verified`, whatever did not match; `too-many-attempts` after too many failures.
    pub async fn identity_verify(
        &self,
        caller: &Caller,
        identity: Option<InsuredIdentity>,
        birth_date: NaiveDate,
        request: &Request,
    ) -> Result<VerifiedIdentity, ExchangeError> {
        let facility = caller.facility()?;
        let now = self.clock.now();
        let entry = self.identity_look_up(facility, identity, birth_date, japanese_date(now)).await?;
        let patient = entry.patient.id;
        let token = self
            .store
            .buckets()
            .token_mint(self.store.rng(), self.store.buckets().of_patient(patient))
            .map_err(StoreError::from)?;
        let expires_at = now + self.settings.identity_token;
        let trace = trace(caller, request, "done");
        self.store.identity_token_insert(&token, patient, &facility.code, now, expires_at, &trace).await?;
        Ok(VerifiedIdentity { token, expires_at, entry })
    }

    /// The patient a document names by its insurance data.
    pub(super) async fn person_find(
        &self,
        facility: &Facility,
        identity: &document::InsuredIdentity,
        birth_date: NaiveDate,
        on: NaiveDate,
    ) -> Result<PatientId, ExchangeError> {
        let entry = self.identity_look_up(facility, insured(identity), birth_date, on).await?;
        Ok(entry.patient.id)
    }

    async fn identity_look_up(
        &self,
        facility: &Facility,
        identity: Option<InsuredIdentity>,
        birth_date: NaiveDate,
        on: NaiveDate,
    ) -> Result<DirectoryEntry, ExchangeError> {
        let now = self.clock.now();
        let limit = &self.settings.identity_attempts;
        self.store.attempt_check(&facility.code, AttemptKind::Identity, now, limit).await?;
        let found = match identity {
            Some(identity) => self.store.identity_find(&identity, birth_date, on).await?,
            None => None,
        };
        match found {
            Some(entry) if entry.patient.particulars.deceased_on.is_none() => Ok(entry),
            // Nobody, several, or dead: the same answer.
            _ => {
                self.store.attempt_register(&facility.code, AttemptKind::Identity, now, limit).await?;
                Err(ExchangeError::IdentityNotVerified)
            }
        }
    }

    /// Counts a wrong exchange number against the facility that tried it.
    pub(super) async fn number_attempt_failed(&self, facility: &Facility) -> Result<(), ExchangeError> {
        let limit = &self.settings.number_attempts;
        self.store
            .attempt_register(&facility.code, AttemptKind::ExchangeNumber, self.clock.now(), limit)
            .await?;
        Ok(())
    }

    /// Whether the facility may try an exchange number at all.
    pub(super) async fn number_attempt_check(&self, facility: &Facility) -> Result<(), ExchangeError> {
        let limit = &self.settings.number_attempts;
        self.store
            .attempt_check(&facility.code, AttemptKind::ExchangeNumber, self.clock.now(), limit)
            .await?;
        Ok(())
    }

    /// The patient an `Identity-Token` of this facility stands for.
    ///
    /// # Errors
    ///
    /// `identity-not-verified` when there is none, it has ended, or it is another facility's.
    pub async fn identity_of(
        &self,
        caller: &Caller,
        token: Option<&str>,
    ) -> Result<PatientId, ExchangeError> {
        let facility = caller.facility()?;
        let token = token.and_then(IdentityToken::decode).ok_or(ExchangeError::IdentityTokenInvalid)?;
        self.store
            .identity_token_find(&token, &facility.code, self.clock.now())
            .await?
            .ok_or(ExchangeError::IdentityTokenInvalid)
    }
}

/// A document's insurance data as the directory keys it; `None` when no card can bear them.
pub(super) fn insured(identity: &document::InsuredIdentity) -> Option<InsuredIdentity> {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    InsuredIdentity::parse(
        &part(&identity.insurer_number),
        &part(&identity.symbol),
        &part(&identity.number),
        &part(&identity.branch_number),
    )
    .ok()
}

impl From<AttemptError> for ExchangeError {
    fn from(error: AttemptError) -> Self {
        match error {
            AttemptError::TooMany { retry_after } => Self::TooManyAttempts(retry_after),
            AttemptError::Store(error) => Self::Store(error),
        }
    }
}

//! Proving who the patient is, by insurance data against the eligibility directory or by the patient's card, and
//! what is open to whom has proved it. Every mismatch is the same refusal, and failures are counted per facility
//! (invariant 5).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use zeroize::Zeroizing;

use super::caller::Caller;
use super::card::CardSaid;
use super::error::ExchangeError;
use super::{Exchange, IdentityHeader, Request, trace};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{Basis, ConsentKind, Method, Opening, Permissions};
use crate::prescription::disclosure::Disclosure;
use crate::prescription::document;
use crate::store::asked::{Asked, Asking};
use crate::store::directory::{
    AttemptError, AttemptKind, DirectoryEntry, Facility, Guesses, HistoryWanted, InsuredIdentity, NamedPerson,
};
use crate::store::idempotency::IdempotencyKey;
use crate::store::identity::IdentityGrant;
use crate::store::medication::History;
use crate::store::{IdentityToken, PatientId, StoreError};

/// How long a card has to answer its challenge.
const CHALLENGE: TimeDelta = TimeDelta::minutes(5);

/// What the facility gives to prove who the patient is.
#[derive(Debug)]
pub enum Evidence {
    /// Insurance data and birth date; `None` when no card can bear them.
    Insurance(Option<InsuredIdentity>, NaiveDate),
    /// An assertion by the patient's card.
    Card(String),
}

/// What a token is given for.
pub(super) enum Proof {
    /// Insurance data that match.
    Insurance,
    /// A card that answered.
    Card(CardSaid),
    /// An emergency, and its reason.
    Emergency(String),
}

/// A verified identity.
#[derive(Debug)]
pub struct VerifiedIdentity {
    /// The secret the facility sends as `Identity-Token`.
    pub token: IdentityToken,
    /// Its end.
    pub expires_at: DateTime<Utc>,
    /// The patient and the coverage of the day.
    pub entry: DirectoryEntry,
    /// How it was verified, and what is in force for it.
    pub permissions: Permissions,
}

/// A patient whose identity a facility has proved, and what is open to it at this moment.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The patient.
    pub patient: PatientId,
    /// What decides about the patient's data now.
    pub permissions: Permissions,
}

impl Identified {
    /// What the facility sees of a finding's other side.
    pub fn disclosure(&self) -> Disclosure {
        self.permissions.opening(ConsentKind::MedicationHistory).into()
    }
}

/// A patient whose data of one kind are open to the caller now.
#[derive(Clone, Copy, Debug)]
pub struct Permitted {
    /// The patient.
    pub patient: PatientId,
    /// What opened them; belongs into the access record ([`crate::store::access::Trace::under`]).
    pub opening: Opening,
}

impl Exchange {
    /// A challenge for a patient's card at this facility, and its end.
    ///
    /// # Errors
    ///
    /// `not-permitted` for other callers than facilities.
    pub async fn card_challenge(
        &self,
        caller: &Caller,
    ) -> Result<(Zeroizing<String>, DateTime<Utc>), ExchangeError> {
        let facility = caller.facility()?;
        let nonce = self.secret_draw()?;
        let expires_at = self.clock.now() + CHALLENGE;
        self.store.card_challenge_insert(&nonce, &facility.code, expires_at).await?;
        Ok((nonce, expires_at))
    }

    /// Verifies a patient's identity by insurance data or card.
    ///
    /// # Errors
    ///
    /// `identity-not-verified`, whatever did not match; `too-many-attempts` after too many failures;
    /// `revocation-unavailable` when nobody can say whether the card is revoked.
    pub async fn identity_verify(
        &self,
        caller: &Caller,
        evidence: Evidence,
        request: &Request,
    ) -> Result<VerifiedIdentity, ExchangeError> {
        let facility = caller.facility()?;
        let now = self.clock.now();
        let card = match evidence {
            Evidence::Insurance(identity, born) => {
                let entry = self.identity_look_up(facility, identity, born, japanese_date(now)).await?;
                let granted = self.identity_grant(caller, entry, &Proof::Insurance, request).await?;
                return granted.ok_or(NO_TOKEN);
            }
            Evidence::Card(assertion) => assertion,
        };
        self.store.attempt_check(&self.guesses(facility, AttemptKind::Identity)).await?;
        let verified = match self.card_verify(&card, facility, now).await? {
            Some((entry, said)) => self.identity_grant(caller, entry, &Proof::Card(said), request).await?,
            None => None,
        };
        match verified {
            Some(verified) => Ok(verified),
            None => Err(self.identity_attempt_failed(facility).await?),
        }
    }

    /// Gives the token. `None` when the card's challenge cannot be answered (any more).
    pub(super) async fn identity_grant(
        &self,
        caller: &Caller,
        entry: DirectoryEntry,
        proof: &Proof,
        request: &Request,
    ) -> Result<Option<VerifiedIdentity>, ExchangeError> {
        let facility = caller.facility()?;
        let now = self.clock.now();
        let patient = entry.patient.id;
        let token = self.store.buckets().token_mint(self.store.rng(), patient).map_err(StoreError::from)?;
        let mut trace = trace(caller, request, "done");
        let (method, lifetime, card) = match proof {
            Proof::Insurance => (Method::Insurance, self.settings.identity_token, None),
            Proof::Card(said) => (Method::Card, self.settings.identity_token, Some(said.answer())),
            Proof::Emergency(reason) => {
                trace.content.reason = Some(reason.clone());
                let kind = ConsentKind::MedicationHistory;
                trace = trace.under([Opening { kind, basis: Basis::BreakGlass, consent: None }]);
                (Method::BreakGlass, self.settings.break_glass, None)
            }
        };
        let expires_at = now + lifetime;
        let grant = IdentityGrant {
            token: &token,
            patient,
            facility: &facility.code,
            method,
            at: now,
            expires_at,
            card,
            trace: &trace,
        };
        let permissions = self.store.identity_token_insert(&grant).await?;
        Ok(permissions.map(|permissions| VerifiedIdentity { token, expires_at, entry, permissions }))
    }

    /// The patient a document names by its insurance data.
    pub(super) async fn person_find(
        &self,
        caller: &Caller,
        identity: &document::InsuredIdentity,
        birth_date: NaiveDate,
        on: NaiveDate,
    ) -> Result<PatientId, ExchangeError> {
        let facility = caller.facility()?;
        let entry = self.identity_look_up(facility, insured(identity), birth_date, on).await?;
        caller.met.patient(entry.patient.id);
        Ok(entry.patient.id)
    }

    async fn identity_look_up(
        &self,
        facility: &Facility,
        identity: Option<InsuredIdentity>,
        birth_date: NaiveDate,
        on: NaiveDate,
    ) -> Result<DirectoryEntry, ExchangeError> {
        let (asked, found) =
            self.identity_asked(facility, identity.as_ref(), (birth_date, on), None, None).await?;
        asked.allowed?;
        Ok(self.identity_sure(facility, found).await?.entry)
    }

    /// The same with the history of whom they name, as a look that is recorded.
    pub(super) async fn person_look(
        &self,
        caller: &Caller,
        act: AccessAct,
        (identity, born, on): (&document::InsuredIdentity, NaiveDate, NaiveDate),
        request: &Request,
    ) -> Result<(PatientId, History), ExchangeError> {
        let facility = caller.facility()?;
        let trace = trace(caller, request, "done");
        let wanted = HistoryWanted { look: Some((act, &trace)), ..self.history_wanted() };
        let (asked, found) = self
            .identity_asked(facility, insured(identity).as_ref(), (born, on), None, Some(&wanted))
            .await?;
        asked.allowed?;
        let NamedPerson { entry, history } = self.identity_sure(facility, found).await?;
        caller.met.patient(entry.patient.id);
        Ok((entry.patient.id, history.ok_or(WITH_HISTORY)?))
    }

    /// The history an act needs that writes more than its look.
    pub(super) fn history_wanted(&self) -> HistoryWanted<'static> {
        let at = self.clock.now();
        HistoryWanted { since: self.history_since(at), at, look: None }
    }

    /// The person of this insurance and birth date on a day, when it is one who lives, with what is asked beside it and the
    /// history when it is wanted; nothing is counted yet.
    pub(super) async fn identity_asked(
        &self,
        facility: &Facility,
        identity: Option<&InsuredIdentity>,
        (born, on): (NaiveDate, NaiveDate),
        key: Option<&IdempotencyKey>,
        wanted: Option<&HistoryWanted<'_>>,
    ) -> Result<(Asked, Option<NamedPerson>), ExchangeError> {
        let asking = Asking { guesses: Some(self.guesses(facility, AttemptKind::Identity)), key };
        let (asked, found) = self.store.identity_asked(identity, born, on, &asking, wanted).await?;
        Ok((asked, found.filter(|named| named.entry.patient.particulars.deceased_on.is_none())))
    }

    /// The person found. Nobody, several, or dead: the same answer, and a failed attempt.
    pub(super) async fn identity_sure(
        &self,
        facility: &Facility,
        found: Option<NamedPerson>,
    ) -> Result<NamedPerson, ExchangeError> {
        match found {
            Some(named) => Ok(named),
            None => Err(self.identity_attempt_failed(facility).await?),
        }
    }

    /// What the facility is about to guess.
    pub(super) fn guesses<'a>(&'a self, facility: &'a Facility, kind: AttemptKind) -> Guesses<'a> {
        let limit = match kind {
            AttemptKind::Identity | AttemptKind::BreakGlass => &self.settings.identity_attempts,
            AttemptKind::ExchangeNumber => &self.settings.number_attempts,
        };
        Guesses { facility: &facility.code, kind, at: self.clock.now(), limit }
    }

    /// Counts an identity that did not match, and answers the one refusal there is for it.
    async fn identity_attempt_failed(&self, facility: &Facility) -> Result<ExchangeError, ExchangeError> {
        self.store.attempt_register(&self.guesses(facility, AttemptKind::Identity)).await?;
        Ok(ExchangeError::IdentityNotVerified)
    }

    /// The patient an `Identity-Token` of this facility stands for, and what is open to it at this moment.
    ///
    /// # Errors
    ///
    /// `identity-not-verified` when there is none, it has ended, or it is another facility's.
    pub async fn identity_of(
        &self,
        caller: &Caller,
        token: Option<&str>,
    ) -> Result<Identified, ExchangeError> {
        let facility = caller.facility()?;
        let token = token.and_then(IdentityToken::decode).ok_or(ExchangeError::IdentityTokenInvalid)?;
        let found = self.store.identity_token_find(&token, &facility.code, self.clock.now()).await?;
        let (patient, permissions) = found.ok_or(ExchangeError::IdentityTokenInvalid)?;
        caller.met.patient(patient);
        Ok(Identified { patient, permissions })
    }

    /// What the facility may see of the other side of findings about this patient, by the identity token the request
    /// carries; nothing without one.
    ///
    /// # Errors
    ///
    /// `identity-not-verified` when the token is none of this patient's.
    pub(super) async fn disclosure_of(
        &self,
        caller: &Caller,
        patient: PatientId,
        request: &Request,
    ) -> Result<Disclosure, ExchangeError> {
        let Some(IdentityHeader(token)) = &request.identity else { return Ok(Disclosure::Withheld) };
        let identified = self.identity_of(caller, Some(token)).await?;
        if !self.one_person(patient, identified.patient).await? {
            return Err(ExchangeError::IdentityTokenInvalid);
        }
        Ok(identified.disclosure())
    }

    /// Whether a record is one of this person's, whom a look-up has found: its own, or merged into it.
    pub(super) async fn one_person(
        &self,
        record: PatientId,
        person: PatientId,
    ) -> Result<bool, ExchangeError> {
        Ok(record == person || self.store.person_of(record).await? == person)
    }

    /// The patient whose data of this kind are open to the caller by its `Identity-Token` at this moment. Whole
    /// histories are for a physician, dentist or pharmacist who has proved to be at the facility's terminal.
    ///
    /// # Errors
    ///
    /// `consent-required` when nothing opens them; `identity-not-verified`; `not-permitted` or `role-mismatch` when
    /// nobody who may see a history is at the terminal.
    pub async fn consented(
        &self,
        caller: &Caller,
        token: Option<&str>,
        kind: ConsentKind,
    ) -> Result<Permitted, ExchangeError> {
        if kind == ConsentKind::MedicationHistory {
            caller.clinician()?;
        }
        let Identified { patient, permissions } = self.identity_of(caller, token).await?;
        let opening = permissions.opening(kind).ok_or(ExchangeError::ConsentRequired)?;
        Ok(Permitted { patient, opening })
    }
}

/// A token that waits for no card is always kept.
pub(super) const NO_TOKEN: ExchangeError = ExchangeError::Internal("an identity token is kept");

/// Of a person who lives, named for a facility that may ask.
pub(super) const WITH_HISTORY: ExchangeError = ExchangeError::Internal("a history that is wanted is read");

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

//! Logging in: whoever holds the key of a certificate that chains to the anchors of its kind gets a token.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Exchange;
use super::caller::{Actor, Caller, Person};
use super::card::NONCE;
use super::mandate::Representative;
use crate::clock::japanese_date;
use crate::prescription::identifier::InstitutionCode;
use crate::store::session::SpentAssertion;
use crate::store::{PatientId, StoreError};
use crate::trust::{
    AnchorKind, Assertion, AssertionError, Certificate, PathError, Purpose, VerifiedAssertion,
};

/// An issued token.
#[derive(Debug)]
pub struct Issued {
    /// The secret.
    pub token: Zeroizing<String>,
    /// How long it lasts.
    pub lifetime: TimeDelta,
    /// For whom.
    pub caller: Caller,
}

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The assertion itself does not hold.
    #[error("{0}")]
    Assertion(#[from] AssertionError),
    /// Its certificate does not.
    #[error("{0}")]
    Path(#[from] PathError),
    /// No anchor knows the certificate.
    #[error("the certificate chains to no trust anchor of this server")]
    Unknown,
    /// The certificate is sound but nobody the exchange knows.
    #[error("{0}")]
    Nobody(&'static str),
    /// The assertion's `iss` is not the certificate's subject.
    #[error("iss and sub name another institution than the certificate")]
    Issuer,
    /// The assertion answers a challenge for a card. The facility that holds it must not become the patient.
    #[error("the assertion was made for an identity check")]
    Challenged,
    /// The card's holder holds no mandate of the patient to act for.
    #[error("no mandate of this patient for the holder of this card is in force")]
    NoMandate,
    /// The assertion was used before.
    #[error("the jti of an assertion has been used before")]
    Replayed,
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Exchange {
    /// Issues a token to the holder of the assertion's key, naming the person at the terminal when a second
    /// assertion proves one. `bound_to` is the client certificate of the connection, when there is one. With
    /// `acting_for` the holder of a patient's card acts for that patient, by a mandate.
    ///
    /// # Errors
    ///
    /// [`SessionError`], naming the check that failed.
    pub async fn session_open(
        &self,
        client: &str,
        practitioner: Option<&str>,
        acting_for: Option<Uuid>,
        bound_to: Option<[u8; 32]>,
    ) -> Result<Issued, SessionError> {
        let now = self.clock.now();
        let (mut actor, used_client) = self.actor_prove(client, now).await?;
        let mut spent = vec![used_client];
        let practitioner = match practitioner {
            None => None,
            Some(jwt) => {
                let assertion = self.assertion_verify(jwt, now)?;
                self.trust().validate(
                    AnchorKind::Hpki,
                    Purpose::Authenticate,
                    &assertion.leaf,
                    &assertion.chain,
                    &[],
                    now,
                )?;
                spent.push(used(&assertion));
                Some(person(&assertion.leaf)?)
            }
        };
        let mut representative = None;
        if let Some(patient) = acting_for {
            let (represented, by) = self.represent(&actor, PatientId::from_uuid(patient), now).await?;
            (actor, representative) = (represented, Some(by));
        }
        let mandate = representative.as_ref().map(|by| by.mandate);
        let caller = Caller { practitioner, bound_to, representative, ..Caller::of(actor) };
        let token = self.secret_draw()?;
        let lifetime = self.settings.access_token;
        if self
            .store
            .access_token_insert(&spent, &token, &caller, (caller.patient(), mandate), now + lifetime)
            .await?
        {
            Ok(Issued { token, lifetime, caller })
        } else {
            Err(SessionError::Replayed)
        }
    }

    /// The patient for whom the holder of a card acts, and the holder with the mandate.
    async fn represent(
        &self,
        holder: &Actor,
        patient: PatientId,
        now: DateTime<Utc>,
    ) -> Result<(Actor, Representative), SessionError> {
        let Actor::Patient { id: holder, name } = holder else { return Err(SessionError::NoMandate) };
        let records = self.store.person_records(PatientId::from_uuid(*holder)).await?;
        let mandate =
            self.store.mandate_find(patient, &records, now).await?.ok_or(SessionError::NoMandate)?;
        let entry = self.store.patient_find(patient, japanese_date(now)).await?;
        let represented = entry
            .map(|entry| entry.patient.particulars)
            .filter(|person| person.deceased_on.is_none())
            .ok_or(SessionError::NoMandate)?;
        let (id, name, scope) = (*holder, name.clone(), mandate.scope);
        let representative = Representative { id, name, mandate: mandate.id, scope };
        Ok((Actor::Patient { id: *patient.as_uuid(), name: represented.name }, representative))
    }

    /// Who made the assertion, and the assertion to be spent on what it is used for.
    pub(super) async fn actor_prove(
        &self,
        jwt: &str,
        now: DateTime<Utc>,
    ) -> Result<(Actor, SpentAssertion), SessionError> {
        let assertion = self.assertion_verify(jwt, now)?;
        if assertion.claims.contains_key(NONCE) {
            return Err(SessionError::Challenged);
        }
        let kind = self.trust().kind_of(&assertion.leaf, &assertion.chain).ok_or(SessionError::Unknown)?;
        self.trust().validate(kind, Purpose::Authenticate, &assertion.leaf, &assertion.chain, &[], now)?;
        Ok((self.actor(kind, &assertion, now).await?, used(&assertion)))
    }

    fn assertion_verify(&self, jwt: &str, now: DateTime<Utc>) -> Result<VerifiedAssertion, SessionError> {
        let audiences: Vec<&str> = self.settings.audiences.iter().map(String::as_str).collect();
        Ok(Assertion::verify(jwt, &audiences, now)?)
    }

    async fn actor(
        &self,
        kind: AnchorKind,
        assertion: &VerifiedAssertion,
        now: DateTime<Utc>,
    ) -> Result<Actor, SessionError> {
        match kind {
            AnchorKind::Facility => {
                let code = assertion
                    .leaf
                    .institution_code()
                    .and_then(|code| code.parse().ok())
                    .ok_or(SessionError::Nobody("the certificate names no institution code"))?;
                // `iss` may be any name of the client, but not another institution's.
                if assertion.issuer.parse::<InstitutionCode>().is_ok_and(|issuer| issuer != code) {
                    return Err(SessionError::Issuer);
                }
                match self.store.facility_find(&code).await? {
                    Some(facility) if facility.active => Ok(Actor::Facility(facility)),
                    _ => Err(SessionError::Nobody("the facility is not registered here, or not active")),
                }
            }
            AnchorKind::Hpki => Ok(Actor::Practitioner(person(&assertion.leaf)?)),
            AnchorKind::Jpki => {
                match self.store.card_find(&assertion.leaf.sha256(), japanese_date(now)).await? {
                    Some(entry) if entry.patient.particulars.deceased_on.is_none() => Ok(Actor::Patient {
                        id: *entry.patient.id.as_uuid(),
                        name: entry.patient.particulars.name,
                    }),
                    _ => Err(SessionError::Nobody("the card is linked to nobody in the directory")),
                }
            }
            AnchorKind::Tsa => Err(SessionError::Nobody("a timestamping certificate cannot log in")),
        }
    }

    /// The caller of an access token; `None` when it is unknown, has ended, or is bound to another certificate.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn session_find(
        &self,
        token: &str,
        certificate: Option<[u8; 32]>,
    ) -> Result<Option<Caller>, StoreError> {
        let (now, hash) = (self.clock.now(), self.store.token_hash(token));
        let found = match self.seen.get(&hash, now) {
            Some(caller) => Some(caller),
            None => self.store.access_token_find::<Caller>(&hash, now).await?.map(|(caller, expires_at)| {
                self.seen.put(hash, &caller, expires_at, now);
                caller
            }),
        };
        Ok(found.filter(|caller| {
            // RFC 8705 3: a bound token is worth nothing without its certificate.
            caller.bound_to.is_none() || caller.bound_to == certificate
        }))
    }

    /// 32 unguessable bytes as text.
    pub(super) fn secret_draw(&self) -> Result<Zeroizing<String>, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.store.rng().fill(bytes.as_mut_slice()).map_err(StoreError::from)?;
        Ok(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }
}

/// What makes an assertion single use.
pub(super) fn used(assertion: &VerifiedAssertion) -> SpentAssertion {
    SpentAssertion {
        issuer: BASE64_URL_SAFE_NO_PAD.encode(assertion.leaf.sha256()),
        jti: assertion.jti.clone(),
        until: assertion.expires_at + TimeDelta::minutes(1),
    }
}

fn person(leaf: &Certificate) -> Result<Person, SessionError> {
    let id = leaf
        .subject()
        .serial_number()
        .ok_or(SessionError::Nobody("the certificate names no registration number"))?;
    let roles: Vec<String> = leaf.hc_roles().iter().map(|role| role.as_str().to_owned()).collect();
    if roles.is_empty() {
        return Err(SessionError::Nobody("the certificate names no healthcare role"));
    }
    Ok(Person {
        id: id.to_owned(),
        name: leaf.kanji_name().or(leaf.subject().common_name()).unwrap_or_default().to_owned(),
        roles,
    })
}

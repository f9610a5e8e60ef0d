//! The patient's card (マイナンバーカード, JPKI 利用者証明用): what an assertion by its key says, and whether it may be believed.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Exchange;
use super::error::ExchangeError;
use super::session::used;
use crate::clock::japanese_date;
use crate::prescription::consent::ConsentKind;
use crate::store::directory::{DirectoryEntry, Facility};
use crate::store::identity::CardAnswer;
use crate::store::session::SpentAssertion;
use crate::trust::{AnchorKind, Assertion, PathError, Purpose, VerifiedAssertion};

/// The claim that holds the challenge. An assertion with it is for an identity check and never logs anybody in.
pub(super) const NONCE: &str = "nonce";

/// What a card said.
#[derive(Debug)]
pub(super) struct CardSaid {
    nonce: String,
    assertion: SpentAssertion,
    consents: Vec<ConsentKind>,
}

impl CardSaid {
    pub(super) fn answer(&self) -> CardAnswer<'_> {
        CardAnswer { nonce: &self.nonce, assertion: &self.assertion, consents: &self.consents }
    }

    /// The claims of an assertion made for this facility; `None` when it was made for another or says something
    /// that is not known.
    fn read(assertion: &VerifiedAssertion, facility: &Facility) -> Option<Self> {
        let claims = &assertion.claims;
        if claims.get("facility")?.as_str()? != facility.code.as_str() {
            return None;
        }
        let mut consents = match claims.get("consent") {
            None => Vec::new(),
            Some(Value::Array(kinds)) => kinds
                .iter()
                .map(|kind| kind.as_str().and_then(ConsentKind::parse))
                .collect::<Option<Vec<_>>>()?,
            Some(_) => return None,
        };
        consents.sort_unstable();
        consents.dedup();
        let nonce = claims.get(NONCE)?.as_str()?.to_owned();
        Some(Self { nonce, assertion: used(assertion), consents })
    }
}

impl Exchange {
    /// The living person the card belongs to, and what the card says; `None` for whatever does not hold.
    pub(super) async fn card_verify(
        &self,
        jwt: &str,
        facility: &Facility,
        now: DateTime<Utc>,
    ) -> Result<Option<(DirectoryEntry, CardSaid)>, ExchangeError> {
        // Only the base URL: what is addressed to the token endpoint is for logging in.
        let audiences = self.settings.audiences.iter().map(String::as_str);
        let audiences: Vec<&str> =
            audiences.filter(|audience| !audience.ends_with("/oauth2/token")).collect();
        let Ok(assertion) = Assertion::verify(jwt, &audiences, now) else { return Ok(None) };
        let Some(said) = CardSaid::read(&assertion, facility) else { return Ok(None) };
        let (leaf, chain) = (&assertion.leaf, &assertion.chain);
        match self.trust().validate(AnchorKind::Jpki, Purpose::Authenticate, leaf, chain, &[], now) {
            Ok(_) => {}
            Err(PathError::RevocationUnavailable) => return Err(ExchangeError::RevocationUnavailable),
            Err(_) => return Ok(None),
        }
        let entry = self.store.card_find(&leaf.sha256(), japanese_date(now)).await?;
        Ok(entry.filter(|entry| entry.patient.particulars.deceased_on.is_none()).map(|entry| (entry, said)))
    }
}

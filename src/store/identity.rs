//! Verified identities (本人確認): the challenges cards answer, identity tokens, and what is in force for a token at the
//! moment it is used. Tokens and nonces are kept as hashes only.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::access::Trace;
use super::bucket::{IdentityToken, PatientId};
use super::consent::provision;
use super::pool::{Store, StoreError};
use super::session::SpentAssertion;
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{Channel, ConsentKind, Method, Permissions, Provision};
use crate::prescription::identifier::InstitutionCode;

/// What a card said, as far as it can be said once only.
#[derive(Clone, Debug)]
pub struct CardAnswer<'a> {
    /// The challenge it answers.
    pub nonce: &'a str,
    /// Its assertion: an assertion is used once, here or to log in.
    pub assertion: &'a SpentAssertion,
    /// What the patient consented to.
    pub consents: &'a [ConsentKind],
}

/// An identity token to be kept.
#[derive(Clone, Debug)]
pub struct IdentityGrant<'a> {
    /// The token.
    pub token: &'a IdentityToken,
    /// Whose identity was verified.
    pub patient: PatientId,
    /// The only facility it serves.
    pub facility: &'a InstitutionCode,
    /// How it was verified.
    pub method: Method,
    /// When.
    pub at: DateTime<Utc>,
    /// Until when it serves.
    pub expires_at: DateTime<Utc>,
    /// What the card said, when it was by card.
    pub card: Option<CardAnswer<'a>>,
    /// The trace.
    pub trace: &'a Trace,
}

/// What decides about a token `t` at the instant `$4`: one row for each consent or refusal in force, at least one.
macro_rules! in_force {
    () => {
        "t.patient_id, t.method, c.id, c.kind, c.permit, c.channel, c.valid_until,
             EXISTS (SELECT FROM disaster d
                     WHERE d.opened_at <= $4 AND d.valid_until > $4 AND d.closed_at IS NULL
                       AND left(t.facility, 2) = ANY (d.prefectures)) AS disaster
            FROM identity_token_used t
            LEFT JOIN consent c ON c.bucket = $1 AND c.patient_id = t.patient_id
                AND (c.facility IS NULL OR c.facility = t.facility)
                AND (c.token_hash IS NULL OR c.token_hash = t.token_hash)
                AND c.granted_at <= $4 AND (c.valid_until IS NULL OR c.valid_until > $4)
                AND c.withdrawn_at IS NULL"
    };
}

impl Store {
    fn identity_token_hash(&self, token: &IdentityToken) -> [u8; 32] {
        self.lookup().hash("identity-token", &[token.encode().as_bytes()])
    }

    fn nonce_hash(&self, nonce: &str) -> [u8; 32] {
        self.lookup().hash("card-challenge", &[nonce])
    }

    /// Keeps a challenge for a card at a facility.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn card_challenge_insert(
        &self,
        nonce: &str,
        facility: &InstitutionCode,
        expires_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "-- card-challenge-insert
            INSERT INTO card_challenge (nonce_hash, facility, expires_at, updated_by)
            VALUES ($1, $2, $3, 'card-challenge')";
        let hash = self.nonce_hash(nonce);
        self.one_execute("card-challenge", SQL, &[&hash.as_slice(), &facility.as_str(), &expires_at]).await?;
        Ok(())
    }

    /// Keeps the proof that a facility has verified a patient's identity, with its trace and the consents of the
    /// card, and answers what is in force for it. `None`, and nothing is kept, when the card's challenge is none of
    /// this facility's, has ended or was answered before, or its assertion was used before.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn identity_token_insert(
        &self,
        grant: &IdentityGrant<'_>,
    ) -> Result<Option<Permissions>, StoreError> {
        const SQL: &str = concat!(
            "-- identity-token-insert
            WITH challenge AS (
                DELETE FROM card_challenge WHERE nonce_hash = $9 AND facility = $5 AND expires_at > $4 RETURNING 1
            ), spent AS (
                INSERT INTO client_assertion (jti_hash, expires_at, updated_by)
                SELECT $10, $11::timestamptz, 'verify-identity' FROM challenge
            ), identity_token_used AS (
                INSERT INTO identity_token
                    (bucket, token_hash, patient_id, facility, method, expires_at, updated_by)
                SELECT $1, $2, $3, $5, $6, $7, $12 WHERE $9::bytea IS NULL OR EXISTS (SELECT FROM challenge)
                RETURNING token_hash, patient_id, facility, method
            ), given AS (
                INSERT INTO consent (bucket, patient_id, id, facility, kind, permit, channel, token_hash, granted_at,
                                     valid_until, updated_by)
                SELECT $1, patient_id, g.id, facility, g.kind, true, 'card-reader', token_hash, $4, $7, $12
                FROM identity_token_used, unnest($13::uuid[], $14::text[]) AS g (id, kind)
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $1, patient_id, $8, $4, $12, $15, $12 FROM identity_token_used
            )
            SELECT ",
            in_force!()
        );
        let emergency = grant.method == Method::BreakGlass;
        let act = if emergency { AccessAct::BreakGlass } else { AccessAct::VerifyIdentity };
        let bucket = self.buckets().of_patient(grant.patient);
        let hash = self.identity_token_hash(grant.token);
        let sealed = self.seal_trace(grant.trace)?;
        let card = grant.card.as_ref();
        let nonce = card.map(|card| self.nonce_hash(card.nonce).to_vec());
        let jti = card.map(|card| self.assertion_hash(card.assertion).to_vec());
        let kinds: Vec<ConsentKind> = card.map(|card| card.consents.to_vec()).unwrap_or_default();
        let ids = kinds.iter().map(|_| self.uuid_draw()).collect::<Result<Vec<_>, _>>()?;
        let codes: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let rows = self
            .one(
                act.as_str(),
                SQL,
                &[
                    &bucket,
                    &hash.as_slice(),
                    &grant.patient,
                    &grant.at,
                    &grant.facility.as_str(),
                    &grant.method.as_str(),
                    &grant.expires_at,
                    &grant.trace.request,
                    &nonce,
                    &jti,
                    &card.map(|card| card.assertion.until),
                    &act,
                    &ids,
                    &codes,
                    &sealed,
                ],
            )
            .await;
        let rows = match rows {
            Err(error) if error.is_constraint("client_assertion_pkey") => return Ok(None),
            rows => rows?,
        };
        let Some((_, mut permissions)) = permissions(&rows)? else { return Ok(None) };
        // The statement reads what stood before it.
        permissions.provisions.extend(kinds.iter().zip(ids).map(|(kind, id)| Provision {
            id,
            kind: *kind,
            permit: true,
            channel: Channel::CardReader,
            until: Some(grant.expires_at),
        }));
        Ok(Some(permissions))
    }

    /// The patient whose identity this facility proved with this token, and what is in force for it now: a consent
    /// that has just been withdrawn is none, whenever the token was given.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn identity_token_find(
        &self,
        token: &IdentityToken,
        facility: &InstitutionCode,
        now: DateTime<Utc>,
    ) -> Result<Option<(PatientId, Permissions)>, StoreError> {
        const SQL: &str = concat!(
            "-- identity-token-find
            WITH identity_token_used AS (
                SELECT token_hash, patient_id, facility, method FROM identity_token
                WHERE bucket = $1 AND token_hash = $2 AND facility = $3 AND expires_at > $4 AND patient_id = $5
                  AND NOT EXISTS (SELECT FROM patient p
                                  WHERE p.bucket = $1 AND p.id = $5 AND p.merged_into IS NOT NULL)
            )
            SELECT ",
            in_force!()
        );
        let patient = self.buckets().of_token(token);
        let bucket = self.buckets().of_patient(patient);
        let hash = self.identity_token_hash(token);
        let rows = self
            .one("identity-token-find", SQL, &[&bucket, &hash.as_slice(), &facility.as_str(), &now, &patient])
            .await?;
        permissions(&rows)
    }

    /// A random id that says nothing.
    ///
    /// # Errors
    ///
    /// When the random generator fails.
    pub fn uuid_draw(&self) -> Result<Uuid, StoreError> {
        let mut bytes = [0; 16];
        self.rng().fill(&mut bytes)?;
        Ok(Uuid::new_v8(bytes))
    }
}

fn permissions(rows: &[tokio_postgres::Row]) -> Result<Option<(PatientId, Permissions)>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let patient: PatientId = first.get("patient_id");
    let method = Method::parse(first.get("method"))
        .ok_or_else(|| StoreError::corrupt("identity_token", "method", patient))?;
    let provisions = rows
        .iter()
        .filter(|row| row.get::<_, Option<Uuid>>("id").is_some())
        .map(provision)
        .collect::<Result<_, _>>()?;
    Ok(Some((patient, Permissions { method, provisions, disaster: first.get("disaster") })))
}

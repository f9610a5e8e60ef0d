//! Verified identities (本人確認): the challenges cards answer, identity tokens, and what is in force for a token at the
//! moment it is used. Tokens and nonces are kept as hashes only.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::access::Trace;
use super::batch::{Batched, batched, owned};
use super::bucket::{IdentityToken, PatientId};
use super::consent::provision;
use super::pool::{Param, Store, StoreError};
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

/// `in_force!(columns at)` and `in_force!(of t, at)`: what decides about a token `t`, joined to `q`, at an instant, one row
/// for each consent or refusal in force, at least one, and the join that finds it.
macro_rules! in_force {
    (columns $at:literal) => {
        concat!(
            "t.patient_id AS identified, t.method, c.id AS consent_id, c.kind AS consent_kind, c.permit, c.channel,
             c.valid_until AS consent_until,
             EXISTS (SELECT FROM disaster d
                     WHERE d.opened_at <= ",
            $at,
            " AND d.valid_until > ",
            $at,
            " AND d.closed_at IS NULL AND left(t.facility, 2) = ANY (d.prefectures)) AS disaster"
        )
    };
    (of $of:expr, $at:literal) => {
        concat!(
            $of,
            " LEFT JOIN LATERAL (
                SELECT id, kind, permit, channel, valid_until FROM consent
                WHERE bucket = q.bucket AND patient_id = t.patient_id AND (facility IS NULL OR facility = t.facility)
                  AND (token_hash IS NULL OR token_hash = t.token_hash) AND granted_at <= ",
            $at,
            " AND (valid_until IS NULL OR valid_until > ",
            $at,
            ") AND withdrawn_at IS NULL
                OFFSET 0
            ) c ON true"
        )
    };
    ($of:expr) => {
        concat!(
            " SELECT q.n, ",
            in_force!(columns "q.at"),
            " FROM q",
            in_force!(of $of, "q.at")
        )
    };
}

/// The token `t` of `q` (bucket, token, patient), when it serves this facility at this instant and its patient's record
/// goes on.
macro_rules! token_used {
    ($facility:literal, $at:literal) => {
        concat!(
            " JOIN LATERAL (
                SELECT token_hash, patient_id, facility, method FROM identity_token
                WHERE bucket = q.bucket AND token_hash = q.token AND facility = ",
            $facility,
            " AND expires_at > ",
            $at,
            " AND patient_id = q.patient
                  AND (SELECT merged_into IS NULL FROM patient WHERE bucket = q.bucket AND id = q.patient)
                LIMIT 1
            ) t ON true"
        )
    };
}

/// The token `t` that has just been inserted for `q`.
macro_rules! token_inserted {
    () => {
        " JOIN identity_token_used t ON t.token_hash = q.token"
    };
}
pub(super) use {in_force, token_used};

/// Keeps a token for each of `q`, or for those of them that are `allowed`, with its trace; answers what is in force.
macro_rules! token_insert {
    ($allowed:literal) => {
        concat!(
            ", identity_token_used AS (
                INSERT INTO identity_token
                    (bucket, token_hash, patient_id, facility, method, expires_at, updated_by)
                SELECT bucket, token, patient, facility, method, expires_at, act FROM q ",
            $allowed,
            " RETURNING token_hash, patient_id, facility, method
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT q.bucket, q.patient, q.request, q.at, q.act, q.trace, q.act
                FROM q JOIN identity_token_used t ON t.token_hash = q.token
            )"
        )
    };
}

impl Store {
    pub(super) fn identity_token_hash(&self, token: &IdentityToken) -> [u8; 32] {
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
        static INSERT: Batched = batched!(
            "identity-token-insert",
            (1 bucket smallint, 2 token bytea, 3 patient uuid, 4 at timestamptz, 5 facility text, 6 method text,
             7 expires_at timestamptz, 8 request uuid, 9 act text, 10 trace bytea),
            token_insert!(""),
            in_force!(token_inserted!())
        );
        const BY_CARD: &str = concat!(
            "-- identity-token-insert-card
            WITH q AS (
                SELECT 1::bigint AS n, $1::smallint AS bucket, $2::bytea AS token, $3::uuid AS patient,
                    $4::timestamptz AS at, $5::text AS facility, $6::text AS method, $7::timestamptz AS expires_at,
                    $8::uuid AS request, $9::text AS act, $10::bytea AS trace
            ), challenge AS (
                DELETE FROM card_challenge WHERE nonce_hash = $11 AND facility = $5 AND expires_at > $4 RETURNING 1
            ), spent AS (
                INSERT INTO client_assertion (jti_hash, expires_at, updated_by)
                SELECT $12, $13::timestamptz, 'verify-identity' FROM challenge
            )",
            token_insert!("WHERE EXISTS (SELECT FROM challenge)"),
            ", given AS (
                INSERT INTO consent (bucket, patient_id, id, facility, kind, permit, channel, token_hash, granted_at,
                                     valid_until, updated_by)
                SELECT $1, patient_id, g.id, facility, g.kind, true, 'card-reader', token_hash, $4, $7, $9
                FROM identity_token_used, unnest($14::uuid[], $15::text[]) AS g (id, kind)
            )",
            in_force!(token_inserted!())
        );
        let emergency = grant.method == Method::BreakGlass;
        let act = if emergency { AccessAct::BreakGlass } else { AccessAct::VerifyIdentity };
        let bucket = self.buckets().of_patient(grant.patient);
        let params = owned![
            bucket,
            self.identity_token_hash(grant.token).to_vec(),
            grant.patient,
            grant.at,
            grant.facility.as_str().to_owned(),
            grant.method.as_str(),
            grant.expires_at,
            grant.trace.request,
            act,
            self.seal_trace(grant.trace)?,
        ];
        let Some(card) = &grant.card else {
            let rows = self.batched(act.as_str(), &INSERT, params).await?;
            return Ok(permissions(&rows)?.map(|(_, permissions)| permissions));
        };
        let (nonce, jti) = (self.nonce_hash(card.nonce), self.assertion_hash(card.assertion));
        let ids = card.consents.iter().map(|_| self.uuid_draw()).collect::<Result<Vec<_>, _>>()?;
        let codes: Vec<&str> = card.consents.iter().map(|kind| kind.as_str()).collect();
        let mut params: Vec<Param<'_>> = params.iter().map(|value| -> Param<'_> { value.as_ref() }).collect();
        let (nonce, jti) = (nonce.as_slice(), jti.as_slice());
        params.extend([&nonce as Param<'_>, &jti, &card.assertion.until, &ids, &codes]);
        let rows = self.one(act.as_str(), BY_CARD, &params).await;
        let rows = match rows {
            Err(error) if error.is_constraint("client_assertion_pkey") => return Ok(None),
            rows => rows?,
        };
        let Some((_, mut permissions)) = permissions(&rows)? else { return Ok(None) };
        // The statement reads what stood before it.
        permissions.provisions.extend(card.consents.iter().zip(ids).map(|(kind, id)| Provision {
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
        static FIND: Batched = batched!(
            "identity-token-find",
            (1 bucket smallint, 2 token bytea, 3 facility text, 4 at timestamptz, 5 patient uuid),
            in_force!(token_used!("q.facility", "q.at"))
        );
        let patient = self.buckets().of_token(token);
        let params = owned![
            self.buckets().of_patient(patient),
            self.identity_token_hash(token).to_vec(),
            facility.as_str().to_owned(),
            now,
            patient
        ];
        let rows = self.batched("identity-token-find", &FIND, params).await?;
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

/// The patient and the permissions in the rows of [`in_force!`], which may stand beside other rows.
pub(super) fn permissions(rows: &[Row]) -> Result<Option<(PatientId, Permissions)>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let patient: PatientId = first.get("identified");
    let method = Method::parse(first.get("method"))
        .ok_or_else(|| StoreError::corrupt("identity_token", "method", patient))?;
    let mut provisions = BTreeMap::new();
    for row in rows {
        if let Some(id) = row.get::<_, Option<Uuid>>("consent_id") {
            provisions.insert(id, provision(row)?);
        }
    }
    let provisions = provisions.into_values().collect();
    Ok(Some((patient, Permissions { method, provisions, disaster: first.get("disaster") })))
}

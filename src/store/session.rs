//! Who is logged in. Tokens are kept as hashes only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::bucket::PatientId;
use super::pool::{Param, Store, StoreError};

/// An assertion that is used up (RFC 7523 3): whose it is, its `jti`, and until when it would hold by itself.
#[derive(Clone, Debug)]
pub struct SpentAssertion {
    /// Names the certificate whose key signed it.
    pub issuer: String,
    /// Its `jti`.
    pub jti: String,
    /// The end of its own validity.
    pub until: DateTime<Utc>,
}

impl Store {
    /// What an access token is found by.
    pub fn token_hash(&self, token: &str) -> [u8; 32] {
        self.lookup().hash("access-token", &[token])
    }

    pub(super) fn assertion_hash(&self, assertion: &SpentAssertion) -> [u8; 32] {
        self.lookup().hash("client-assertion", &[&assertion.issuer, &assertion.jti])
    }

    pub(super) fn seal_session(
        &self,
        token_hash: &[u8; 32],
        session: &impl Serialize,
    ) -> Result<Vec<u8>, StoreError> {
        self.seal_json("access_token", token_hash, "sealed", session)
    }

    /// Issues an access token unless one of the assertions has been used before (RFC 7523 3, `jti`): then `false`
    /// and nothing is issued. A token that reads a patient's record names the patient, a
    /// representative's the mandate.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_token_insert(
        &self,
        assertions: &[SpentAssertion],
        token: &str,
        session: &(impl Serialize + Sync),
        (patient, mandate): (Option<PatientId>, Option<Uuid>),
        expires_at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "-- access-token-insert
            WITH used AS (
                INSERT INTO client_assertion (jti_hash, expires_at, updated_by)
                SELECT hash, until, 'token' FROM unnest($1::bytea[], $2::timestamptz[]) AS a (hash, until)
            )
            INSERT INTO access_token (token_hash, sealed, expires_at, patient_bucket, patient_id, mandate_id,
                                      updated_by)
            VALUES ($3, $4, $5, $6, $7, $8, 'token')";
        let hashes: Vec<Vec<u8>> =
            assertions.iter().map(|assertion| self.assertion_hash(assertion).to_vec()).collect();
        let ends: Vec<DateTime<Utc>> = assertions.iter().map(|assertion| assertion.until).collect();
        let hash = self.token_hash(token);
        let sealed = self.seal_session(&hash, session)?;
        let bucket = patient.map(|patient| self.buckets().of_patient(patient));
        let params: [Param<'_>; 8] =
            [&hashes, &ends, &hash.as_slice(), &sealed, &expires_at, &bucket, &patient, &mandate];
        match self.one_execute("token", SQL, &params).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_constraint("client_assertion_pkey") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The session of the access token with this hash, and its end. An app's token is worth what its grant is worth now, a
    /// representative's what the mandate is, a patient's nothing once the record is merged into another.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn access_token_find<T: DeserializeOwned>(
        &self,
        hash: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Option<(T, DateTime<Utc>)>, StoreError> {
        const SQL: &str = "-- access-token-find
            SELECT t.sealed, t.expires_at
            FROM access_token t
            LEFT JOIN LATERAL (SELECT * FROM app_grant WHERE bucket = t.grant_bucket AND id = t.grant_id LIMIT 1) g ON true
            LEFT JOIN app a ON a.client_id = g.client_id
            LEFT JOIN LATERAL (SELECT * FROM patient WHERE bucket = t.patient_bucket AND id = t.patient_id LIMIT 1) p ON true
            LEFT JOIN LATERAL (SELECT * FROM mandate WHERE bucket = t.patient_bucket AND id = t.mandate_id LIMIT 1) m ON true
            WHERE t.token_hash = $1 AND t.expires_at > $2
              AND (t.grant_id IS NULL OR g.revoked_at IS NULL AND g.until > $2 AND a.active)
              AND p.merged_into IS NULL
              AND (t.mandate_id IS NULL OR m.ended_at IS NULL AND m.until > $2)";
        let row = self.one_opt("access-token-find", SQL, &[&hash.as_slice(), &now]).await?;
        row.map(|row| {
            let session = self.open_json("access_token", hash, "sealed", row.get("sealed"))?;
            Ok((session, row.get("expires_at")))
        })
        .transpose()
    }

    /// Removes what has ended: assertions, tokens, challenges and kept answers.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn session_sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        const SQL: &str = "-- session-sweep
            WITH a AS (DELETE FROM client_assertion WHERE expires_at < $1 RETURNING 1),
                 t AS (DELETE FROM access_token WHERE expires_at < $1 RETURNING 1),
                 i AS (DELETE FROM identity_token WHERE expires_at < $1 RETURNING 1),
                 c AS (DELETE FROM card_challenge WHERE expires_at < $1 RETURNING 1),
                 k AS (DELETE FROM idempotency WHERE expires_at < $1 RETURNING 1)
            SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM t) + (SELECT count(*) FROM i)
                 + (SELECT count(*) FROM c) + (SELECT count(*) FROM k) AS removed";
        let row = self.one_opt("session-sweep", SQL, &[&now]).await?;
        let removed: i64 = row.map_or(0, |row| row.get("removed"));
        Ok(removed.unsigned_abs())
    }
}

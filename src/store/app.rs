//! Apps of patients (PHR) and what each patient lets them read. Knows no OAuth: a grant has one secret at a time, and
//! a secret that is shown again after it was spent ends the grant.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::access::Trace;
use super::bucket::{Bucket, IdentityToken, PatientId};
use super::pool::{Store, StoreError};
use super::session::SpentAssertion;
use crate::prescription::access::AccessAct;

/// A program that may ask patients for their data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct App {
    /// `client_id` (RFC 6749 2.2).
    pub client_id: String,
    /// The name the patient reads.
    pub name: String,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// Whether it may be used at all.
    pub active: bool,
}

/// What a patient lets an app read.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Names the grant to the patient.
    pub id: Uuid,
    /// The patient.
    pub patient: PatientId,
    /// The app.
    pub client_id: String,
    /// The app's name.
    pub app_name: String,
    /// Scopes separated by spaces.
    pub scope: String,
    /// When the patient agreed.
    pub granted_at: DateTime<Utc>,
    /// End of the grant.
    pub until: DateTime<Utc>,
}

/// What a secret of a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The authorization code.
    Code,
    /// A refresh token.
    Refresh,
}

/// A grant found by one of its secrets.
#[derive(Clone, Debug)]
pub struct GrantBySecret {
    /// The grant.
    pub grant: Grant,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// SHA-256 of the code verifier, base64url.
    pub code_challenge: String,
    /// What the secret is for; `None` when it has been spent before.
    pub kind: Option<SecretKind>,
}

/// A grant to be written, with the first secret.
#[derive(Debug)]
pub struct NewGrant<'a> {
    /// The grant.
    pub grant: &'a Grant,
    /// Where the code is sent.
    pub redirect_uri: &'a str,
    /// SHA-256 of the code verifier, base64url.
    pub code_challenge: &'a str,
    /// The code.
    pub code: &'a IdentityToken,
    /// End of the code.
    pub code_until: DateTime<Utc>,
    /// The patient's login.
    pub login: &'a SpentAssertion,
    /// The trace.
    pub trace: &'a Trace,
}

/// A token to be issued on a grant.
#[derive(Debug)]
pub struct NewAppToken<'a, S> {
    /// The grant.
    pub grant: &'a Grant,
    /// The secret that is spent for it.
    pub spent: &'a IdentityToken,
    /// The next secret, a refresh token, when the app gets one.
    pub refresh: Option<&'a IdentityToken>,
    /// The token.
    pub token: &'a str,
    /// Its session.
    pub session: &'a S,
    /// End of the token.
    pub expires_at: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
}

/// The columns id, patient_id, client_id, name, scope, granted_at and until.
pub(super) fn grant(row: &Row) -> Grant {
    Grant {
        id: row.get("id"),
        patient: row.get("patient_id"),
        client_id: row.get("client_id"),
        app_name: row.get("name"),
        scope: row.get("scope"),
        granted_at: row.get("granted_at"),
        until: row.get("until"),
    }
}

impl Store {
    fn app_secret_hash(&self, secret: &IdentityToken) -> [u8; 32] {
        self.lookup().hash("app-secret", &[secret.encode().as_bytes()])
    }

    /// Adds an app, or changes the one of that id.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_put(&self, app: &App) -> Result<(), StoreError> {
        const SQL: &str = "-- app-put
            INSERT INTO app (client_id, name, redirect_uris, active, updated_by)
            VALUES ($1, $2, $3, $4, 'app-add')
            ON CONFLICT (client_id) DO UPDATE
            SET name = excluded.name, redirect_uris = excluded.redirect_uris, active = excluded.active,
                updated_at = now(), updated_by = excluded.updated_by";
        self.one_execute("app-add", SQL, &[&app.client_id, &app.name, &app.redirect_uris, &app.active])
            .await?;
        Ok(())
    }

    /// The app of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_find(&self, client_id: &str) -> Result<Option<App>, StoreError> {
        const SQL: &str = "-- app-find
            SELECT client_id, name, redirect_uris, active FROM app WHERE client_id = $1";
        let row = self.one_opt("app-find", SQL, &[&client_id]).await?;
        Ok(row.map(|row| App {
            client_id: row.get("client_id"),
            name: row.get("name"),
            redirect_uris: row.get("redirect_uris"),
            active: row.get("active"),
        }))
    }

    /// Writes a grant, unless the login has been used before: then `false`, and nothing is written.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_grant_insert(&self, new: &NewGrant<'_>) -> Result<bool, StoreError> {
        const SQL: &str = "-- app-grant-insert
            WITH used AS (
                INSERT INTO client_assertion (jti_hash, expires_at, updated_by) VALUES ($1, $2, 'app-authorize')
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                VALUES ($3, $5, $6, $7, $16, $8, $16)
            )
            INSERT INTO app_grant
                (bucket, id, patient_id, client_id, scope, redirect_uri, code_challenge, secret_hash, secret_kind,
                 secret_until, granted_at, until, updated_by)
            VALUES ($3, $4, $5, $9, $10, $11, $12, $13, 'code', $14, $7, $15, 'app-authorize')";
        const ACT: AccessAct = AccessAct::AppAuthorize;
        let NewGrant { grant, trace, login, .. } = *new;
        let login_hash = self.assertion_hash(login);
        let code = self.app_secret_hash(new.code);
        let written = self
            .one_execute(
                ACT.as_str(),
                SQL,
                &[
                    &login_hash.as_slice(),
                    &login.until,
                    &self.buckets().of_patient(grant.patient),
                    &grant.id,
                    &grant.patient,
                    &trace.request,
                    &grant.granted_at,
                    &self.seal_trace(trace)?,
                    &grant.client_id,
                    &grant.scope,
                    &new.redirect_uri,
                    &new.code_challenge,
                    &code.as_slice(),
                    &new.code_until,
                    &grant.until,
                    &ACT,
                ],
            )
            .await;
        match written {
            Ok(_) => Ok(true),
            Err(error) if error.is_constraint("client_assertion_pkey") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The grant in force that has, or had just before, this secret, of an active app.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_grant_find(
        &self,
        secret: &IdentityToken,
        now: DateTime<Utc>,
    ) -> Result<Option<GrantBySecret>, StoreError> {
        const SQL: &str = "-- app-grant-find
            SELECT g.id, g.patient_id, g.client_id, a.name, g.scope, g.granted_at, g.until, g.redirect_uri,
                   g.code_challenge, g.secret_kind, coalesce(g.secret_hash = $2, false) AS live
            FROM app_grant g JOIN app a ON a.client_id = g.client_id AND a.active
            WHERE g.bucket = $1 AND (g.secret_hash = $2 AND g.secret_until > $3 OR g.spent_hash = $2)
              AND g.revoked_at IS NULL AND g.until > $3";
        let bucket = self.buckets().of_patient(self.buckets().of_token(secret));
        let hash = self.app_secret_hash(secret);
        let row = self.one_opt("app-grant-find", SQL, &[&bucket, &hash.as_slice(), &now]).await?;
        row.map(|row| {
            let kind = match (row.get("live"), row.get::<_, &str>("secret_kind")) {
                (false, _) => None,
                (true, "code") => Some(SecretKind::Code),
                (true, "refresh") => Some(SecretKind::Refresh),
                _ => return Err(StoreError::corrupt("app_grant", "secret_kind", row.get::<_, Uuid>("id"))),
            };
            Ok(GrantBySecret {
                grant: grant(&row),
                redirect_uri: row.get("redirect_uri"),
                code_challenge: row.get("code_challenge"),
                kind,
            })
        })
        .transpose()
    }

    /// Spends a secret of the grant for an access token; `false` when somebody else has spent it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_token_insert<S: Serialize>(&self, new: &NewAppToken<'_, S>) -> Result<bool, StoreError> {
        const SQL: &str = "-- app-token-insert
            WITH spent AS (
                UPDATE app_grant
                SET spent_hash = secret_hash, secret_hash = $4, secret_kind = 'refresh', secret_until = until,
                    updated_at = now(), updated_by = 'app-token'
                WHERE bucket = $1 AND id = $2 AND secret_hash = $3 AND secret_until > $5 AND revoked_at IS NULL
                RETURNING id, patient_id
            )
            INSERT INTO access_token (token_hash, sealed, expires_at, grant_bucket, grant_id, patient_bucket,
                                      patient_id, updated_by)
            SELECT $6, $7, $8, $1, id, $1, patient_id, 'app-token' FROM spent";
        let hash = self.token_hash(new.token);
        let sealed = self.seal_session(&hash, new.session)?;
        let refresh = new.refresh.map(|secret| self.app_secret_hash(secret));
        let written = self
            .one_execute(
                "app-token",
                SQL,
                &[
                    &self.buckets().of_patient(new.grant.patient),
                    &new.grant.id,
                    &self.app_secret_hash(new.spent).as_slice(),
                    &refresh.as_ref().map(<[u8; 32]>::as_slice),
                    &new.now,
                    &hash.as_slice(),
                    &sealed,
                    &new.expires_at,
                ],
            )
            .await?;
        Ok(written == 1)
    }

    /// The patient's grants in force, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_grant_list(
        &self,
        patient: PatientId,
        now: DateTime<Utc>,
    ) -> Result<Vec<Grant>, StoreError> {
        const SQL: &str = "-- app-grant-list
            SELECT g.id, g.patient_id, g.client_id, a.name, g.scope, g.granted_at, g.until
            FROM app_grant g JOIN app a ON a.client_id = g.client_id
            WHERE g.bucket = $1 AND g.patient_id = $2 AND g.revoked_at IS NULL AND g.until > $3
            ORDER BY g.granted_at DESC, g.id";
        let bucket = self.buckets().of_patient(patient);
        Ok(self.one("app-grant-list", SQL, &[&bucket, &patient, &now]).await?.iter().map(grant).collect())
    }

    /// Ends a grant of the patient; `false` when there is none in force.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn app_grant_revoke(
        &self,
        patient: PatientId,
        id: Uuid,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "-- app-grant-revoke
            WITH revoked AS (
                UPDATE app_grant SET revoked_at = $4, updated_at = now(), updated_by = 'app-revoke'
                WHERE bucket = $1 AND patient_id = $2 AND id = $3 AND revoked_at IS NULL
                RETURNING id
            )
            INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
            SELECT $1, $2, $5, $4, $7, $6, $7 FROM revoked";
        const ACT: AccessAct = AccessAct::AppRevoke;
        let bucket: Bucket = self.buckets().of_patient(patient);
        let sealed = self.seal_trace(trace)?;
        let written = self
            .one_execute(ACT.as_str(), SQL, &[&bucket, &patient, &id, &now, &trace.request, &sealed, &ACT])
            .await?;
        Ok(written == 1)
    }
}

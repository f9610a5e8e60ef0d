//! Apps of patients (PHR): the patient agrees with the card, the app gets a code and for it a token that reads what
//! was agreed to and nothing else (SMART App Launch 2.2; RFC 6749 4.1 with RFC 7636).

pub mod scope;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::caller::{Actor, Caller};
use super::error::ExchangeError;
use super::session::SessionError;
use super::{Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::store::app::{App, Grant, GrantBySecret, NewAppToken, NewGrant, SecretKind};
use crate::store::{IdentityToken, StoreError};
use scope::{Readable, Scope};

/// How long a code may be exchanged.
const CODE: TimeDelta = TimeDelta::seconds(60);
/// How long a grant lasts at most before the patient is asked again.
const GRANT: TimeDelta = TimeDelta::days(180);

/// The app behind a token, and what it may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppAccess {
    /// The app.
    pub client_id: String,
    /// Its name, for the access record.
    pub name: String,
    /// What the patient granted.
    pub scope: Scope,
}

/// What an app asks the patient for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The app.
    pub app: App,
    /// Where the code is to be sent, one of the app's.
    pub redirect_uri: String,
    /// What it wants to read.
    pub scope: Scope,
    /// SHA-256 of its code verifier, base64url.
    pub code_challenge: String,
}

/// A token issued to an app.
#[derive(Debug)]
pub struct AppToken {
    /// The secret.
    pub token: Zeroizing<String>,
    /// How long it lasts.
    pub lifetime: TimeDelta,
    /// The next refresh token, when the patient allowed access while away.
    pub refresh: Option<IdentityToken>,
    /// What was granted.
    pub scope: Scope,
    /// Whose record it is.
    pub patient: Uuid,
}

/// Why an app gets nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No active app has this id.
    #[error("no app of this client_id may be used here")]
    Client,
    /// The address is not one that the operator entered for the app.
    #[error("redirect_uri is not one of this app's")]
    RedirectUri,
    /// The code or refresh token is unknown, spent or ended, or its other half does not fit.
    #[error(
        "the code or refresh token is unknown, has ended or was used, or does not belong to this request"
    )]
    Grant,
    /// The patient's login.
    #[error(transparent)]
    Login(#[from] SessionError),
    /// The card is a practitioner's or a facility's.
    #[error("only a patient can agree, with the patient's own card")]
    NotAPatient,
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Exchange {
    /// The app of an authorization request, when the code may be sent to `redirect_uri`.
    ///
    /// # Errors
    ///
    /// [`AppError::Client`] and [`AppError::RedirectUri`]: nothing may be sent to that address then.
    pub async fn app_find(&self, client_id: &str, redirect_uri: &str) -> Result<App, AppError> {
        let app = self.store.app_find(client_id).await?.filter(|app| app.active).ok_or(AppError::Client)?;
        if app.redirect_uris.iter().any(|uri| uri == redirect_uri) {
            Ok(app)
        } else {
            Err(AppError::RedirectUri)
        }
    }

    /// The patient agrees, proving by card to be there. Answers the code.
    ///
    /// # Errors
    ///
    /// [`AppError::Login`] when the card's assertion does not hold or was used before.
    pub async fn app_authorize(
        &self,
        asked: &Asked,
        card_assertion: &str,
        request: &Request,
    ) -> Result<IdentityToken, AppError> {
        let now = self.clock.now();
        let (actor, login) = self.actor_prove(card_assertion, now).await?;
        let caller = Caller { app: Some(access(asked)), ..Caller::of(actor) };
        let patient = caller.patient().ok_or(AppError::NotAPatient)?;
        let grant = Grant {
            id: request.id,
            patient,
            client_id: asked.app.client_id.clone(),
            app_name: asked.app.name.clone(),
            scope: asked.scope.to_string(),
            granted_at: now,
            until: now + GRANT,
        };
        let code = self.app_secret(&grant)?;
        let written = self
            .store
            .app_grant_insert(&NewGrant {
                grant: &grant,
                redirect_uri: &asked.redirect_uri,
                code_challenge: &asked.code_challenge,
                code: &code,
                code_until: now + CODE,
                login: &login,
                trace: &trace(&caller, request, "done"),
            })
            .await?;
        if written { Ok(code) } else { Err(SessionError::Replayed.into()) }
    }

    /// A token for a code (RFC 6749 4.1.3, RFC 7636 4.6). A code that is shown twice ends the grant.
    ///
    /// # Errors
    ///
    /// [`AppError::Grant`], whatever did not fit.
    pub async fn app_redeem(
        &self,
        client_id: &str,
        code: &str,
        redirect_uri: &str,
        code_verifier: &str,
        request: &Request,
    ) -> Result<AppToken, AppError> {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, code_verifier.as_bytes()));
        self.app_token(client_id, code, SecretKind::Code, request, |found| {
            found.redirect_uri == redirect_uri && found.code_challenge == challenge
        })
        .await
    }

    /// A token for a refresh token, which is spent for it (RFC 6749 6, RFC 9700 4.14).
    ///
    /// # Errors
    ///
    /// [`AppError::Grant`], whatever did not fit.
    pub async fn app_refresh(
        &self,
        client_id: &str,
        refresh: &str,
        request: &Request,
    ) -> Result<AppToken, AppError> {
        self.app_token(client_id, refresh, SecretKind::Refresh, request, |_| true).await
    }

    async fn app_token(
        &self,
        client_id: &str,
        secret: &str,
        kind: SecretKind,
        request: &Request,
        fits: impl Fn(&GrantBySecret) -> bool,
    ) -> Result<AppToken, AppError> {
        let now = self.clock.now();
        let secret = IdentityToken::decode(secret).ok_or(AppError::Grant)?;
        let found = self.store.app_grant_find(&secret, now).await?.ok_or(AppError::Grant)?;
        let grant = &found.grant;
        if grant.client_id != client_id || found.kind.is_some_and(|found| found != kind) || !fits(&found) {
            return Err(AppError::Grant);
        }
        let scope: Scope = grant
            .scope
            .parse()
            .map_err(|_| AppError::Store(StoreError::corrupt("app_grant", "scope", grant.id)))?;
        let entry =
            self.store.patient_find(grant.patient, japanese_date(now)).await?.ok_or(AppError::Grant)?;
        let access = AppAccess {
            client_id: grant.client_id.clone(),
            name: grant.app_name.clone(),
            scope: scope.clone(),
        };
        let actor = Actor::Patient { id: *grant.patient.as_uuid(), name: entry.patient.particulars.name };
        let caller = Caller { app: Some(access), ..Caller::of(actor) };
        let spent = found.kind.is_none();
        let lifetime = self.settings.access_token.min(grant.until - now);
        let token = self.secret_draw()?;
        let refresh = scope.offline.then(|| self.app_secret(grant)).transpose()?;
        let issued = !spent
            && self
                .store
                .app_token_insert(&NewAppToken {
                    grant,
                    spent: &secret,
                    refresh: refresh.as_ref(),
                    token: &token,
                    session: &caller,
                    expires_at: now + lifetime,
                    now,
                })
                .await?;
        if issued {
            return Ok(AppToken { token, lifetime, refresh, scope, patient: *grant.patient.as_uuid() });
        }
        // Shown a second time: either side of the theft loses (RFC 6749 4.1.2, RFC 9700 4.14.2).
        let trace = trace(&caller, request, "secret-reused");
        self.store.app_grant_revoke(grant.patient, grant.id, now, &trace).await?;
        Err(AppError::Grant)
    }

    /// The apps that may read the patient's record now.
    ///
    /// # Errors
    ///
    /// `not-permitted` for anybody but the patient.
    pub async fn app_list(&self, caller: &Caller, request: &Request) -> Result<Vec<Grant>, ExchangeError> {
        let patient = caller
            .patient()
            .ok_or(ExchangeError::NotPermitted("only the patient sees the patient's apps"))?;
        let (now, trace) = (self.clock.now(), trace(caller, request, "done"));
        let bucket = self.store.buckets().of_patient(patient);
        self.store.access_record_insert(AccessAct::AppList, bucket, patient, None, now, &trace).await?;
        Ok(self.store.app_grant_list(patient, now).await?)
    }

    /// The patient takes an app's access back, at once.
    ///
    /// # Errors
    ///
    /// `not-found` when the patient has no such grant in force.
    pub async fn app_revoke(
        &self,
        caller: &Caller,
        id: Uuid,
        request: &Request,
    ) -> Result<(), ExchangeError> {
        caller.may_manage()?;
        let patient =
            caller.patient().ok_or(ExchangeError::NotPermitted("only the patient ends an app's access"))?;
        let trace = trace(caller, request, "done");
        if self.store.app_grant_revoke(patient, id, self.clock.now(), &trace).await? {
            Ok(())
        } else {
            Err(ExchangeError::NotFound)
        }
    }

    fn app_secret(&self, grant: &Grant) -> Result<IdentityToken, StoreError> {
        let buckets = self.store.buckets();
        Ok(buckets.token_mint(self.store.rng(), grant.patient)?)
    }
}

fn access(asked: &Asked) -> AppAccess {
    AppAccess {
        client_id: asked.app.client_id.clone(),
        name: asked.app.name.clone(),
        scope: asked.scope.clone(),
    }
}

impl Caller {
    /// Refuses an app that was not granted this kind of record. Patients and professionals pass: what is theirs is
    /// decided elsewhere.
    ///
    /// # Errors
    ///
    /// `not-permitted`.
    pub fn app_may_read(&self, readable: Readable) -> Result<(), ExchangeError> {
        match &self.app {
            Some(app) if !app.scope.reads.contains(&readable) => {
                Err(ExchangeError::NotPermitted("the patient has not let this app read that"))
            }
            _ => Ok(()),
        }
    }
}

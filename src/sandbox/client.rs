//! A small client of the exchange: what a clinic's or pharmacy's system has to do, over HTTP. Uses nothing of the
//! server but its address.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use ring::rand::SecureRandom;
use serde_json::{Map, Value, json};

use super::pki::Credential;
use crate::clock::Clock;
use crate::trust::{Assertion, SigningKeyError};

const FHIR_JSON: &str = "application/fhir+json";
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a call got no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server did not answer.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// The assertion cannot be signed.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// The system gives no randomness.
    #[error("no randomness")]
    Random,
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers that the contract gives a meaning.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The headers of an answer that the contract gives a meaning.
const TOLD: [&str; 6] =
    ["content-type", "location", "etag", "idempotent-replay", "retry-after", "www-authenticate"];

impl Call {
    /// A call without a body.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A signed document.
    pub fn document(path: impl Into<String>, document: Vec<u8>) -> Self {
        let headers = vec![("Content-Type", "application/xml".to_owned())];
        Self { method: Method::POST, path: path.into(), headers, body: document }
    }

    /// FHIR `Parameters`.
    pub fn parameters(path: impl Into<String>, parameters: &[(&str, &str)]) -> Self {
        let parameter: Vec<Value> = parameters
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| {
                let kind = match *name {
                    "birthDate" => "valueDate",
                    "code" => "valueCode",
                    _ => "valueString",
                };
                json!({ "name": name, kind: value })
            })
            .collect();
        let body = json!({ "resourceType": "Parameters", "parameter": parameter });
        let headers = vec![("Content-Type", FHIR_JSON.to_owned())];
        Self { method: Method::POST, path: path.into(), headers, body: body.to_string().into_bytes() }
    }

    /// With a further header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With an access token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }
}

impl Answer {
    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The contract's error code of a refusal.
    pub fn code(&self) -> Option<String> {
        let code = self.json().pointer("/issue/0/details/coding/0/code")?.as_str()?.to_owned();
        Some(code)
    }

    /// A parameter of a `Parameters` answer.
    pub fn parameter(&self, name: &str) -> Option<Value> {
        let body = self.json();
        body["parameter"].as_array()?.iter().find(|parameter| parameter["name"] == name).cloned()
    }

    /// The ids of the findings a refusal contains.
    pub fn findings(&self) -> Vec<String> {
        let body = self.json();
        let contained = body["contained"].as_array().cloned().unwrap_or_default();
        let ids = contained.iter().filter(|resource| resource["resourceType"] == "DetectedIssue");
        ids.filter_map(|issue| issue["id"].as_str().map(|id| id.trim_start_matches('#').to_owned())).collect()
    }
}

/// The client.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    clock: Clock,
    random: Arc<dyn SecureRandom + Send + Sync>,
}

impl Client {
    /// A client of the exchange at `base_url`, by the server's clock.
    ///
    /// # Errors
    ///
    /// [`CallError::Http`]
    pub fn new(
        base_url: &str,
        clock: Clock,
        random: Arc<dyn SecureRandom + Send + Sync>,
    ) -> Result<Self, CallError> {
        // The sandbox is on this machine: no proxy stands between.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { http, base_url: base_url.to_owned(), clock, random })
    }

    /// Where the exchange is.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Its randomness.
    pub fn random(&self) -> &dyn SecureRandom {
        &*self.random
    }

    /// A fresh unguessable text, for `jti` and `Idempotency-Key`.
    ///
    /// # Errors
    ///
    /// [`CallError::Random`]
    pub fn nonce(&self) -> Result<String, CallError> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes).map_err(|_| CallError::Random)?;
        Ok(uuid::Uuid::new_v8(bytes).to_string())
    }

    /// An assertion by a key, addressed to `audience`, with further claims.
    ///
    /// # Errors
    ///
    /// [`CallError`], when it cannot be signed.
    pub fn assertion(
        &self,
        issuer: &str,
        credential: &Credential,
        audience: &str,
        claims: Map<String, Value>,
    ) -> Result<String, CallError> {
        let mut chain = vec![credential.certificate.clone()];
        chain.extend(credential.chain.iter().cloned());
        let (jti, issued_at) = (self.nonce()?, self.clock.now());
        let assertion = Assertion { chain: &chain, issuer, audience, jti: &jti, issued_at, claims };
        Ok(assertion.sign(&credential.key, self.random())?)
    }

    /// The request for a token by a certificate's key (contract §1), naming the person at the terminal when there is one.
    ///
    /// # Errors
    ///
    /// [`CallError`], when an assertion cannot be signed.
    pub fn token_call(
        &self,
        issuer: &str,
        credential: &Credential,
        person: Option<&Credential>,
    ) -> Result<Call, CallError> {
        let audience = format!("{}/oauth2/token", self.base_url);
        let mut form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
            ("client_assertion", self.assertion(issuer, credential, &audience, Map::new())?),
        ];
        if let Some(person) = person {
            form.push(("practitioner_assertion", self.assertion("person", person, &audience, Map::new())?));
        }
        let body = serde_urlencoded::to_string(form).unwrap_or_default().into_bytes();
        let headers = vec![("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        Ok(Call { method: Method::POST, path: "/oauth2/token".to_owned(), headers, body })
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// [`CallError::Http`] when there is no answer; a refusal is an answer.
    pub async fn send(&self, call: &Call) -> Result<Answer, CallError> {
        let url = format!("{}{}", self.base_url, call.path);
        let mut request = self.http.request(call.method.clone(), url).body(call.body.clone());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await?;
        let status = response.status();
        let headers = TOLD
            .into_iter()
            .filter_map(|name| {
                let value = response.headers().get(name)?.to_str().ok()?;
                Some((name, value.to_owned()))
            })
            .collect();
        let body = response.bytes().await?.to_vec();
        Ok(Answer { status, headers, body })
    }
}

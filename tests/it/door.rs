//! A world behind its HTTP door, with everybody's keys at hand.

#![expect(clippy::unwrap_used, reason = "a door that does not open fails its tests")]

use std::sync::Arc;

use hikikae::http::server::{Limits, serve};
use hikikae::http::{App, routes};
use hikikae::sandbox::client::Client as Caller;
use hikikae::sandbox::pki::Credential;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Client, RequestBuilder, StatusCode};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::world::{CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, PKI, World, born, number};

/// A world behind its HTTP door.
pub struct Door {
    pub world: World,
    pub base_url: String,
    pub client: Client,
    /// A caller's own means: keys, assertions.
    pub caller: Caller,
    _stop: oneshot::Sender<()>,
}

impl Door {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let world = World::at(&base_url).await;
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let app = App { exchange: world.exchange.clone(), base_url: base_url.clone().into(), metrics };
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            serve(listener, None, routes(&app), Limits::default(), stopped).await;
        });
        let client = Client::builder().no_proxy().build().unwrap();
        let random = Arc::new(SystemRandom::new());
        let caller = Caller::new(&base_url, world.clock.clone(), random).unwrap();
        Self { world, base_url, client, caller, _stop: stop }
    }

    pub fn post(&self, path: &str, token: &str, media_type: &str, body: String) -> RequestBuilder {
        let call = self.client.post(format!("{}{path}", self.base_url)).body(body);
        call.header("Content-Type", media_type).bearer_auth(token)
    }

    pub async fn check(&self, code: &str, document: String, consent: bool) -> (StatusCode, Value) {
        let path = format!("/fhir/$medication-check?oral-consent={consent}");
        answer(self.post(&path, &self.token(code).await, "text/csv", document)).await
    }

    /// A facility's token.
    pub async fn token(&self, code: &str) -> String {
        self.log_in(code, facility(code), None).await
    }

    /// A facility's token with a person at its terminal: the physician, or the pharmacist of a pharmacy.
    pub async fn staffed(&self, code: &str) -> String {
        self.log_in(code, facility(code), Some(&PKI.people[usize::from(&code[2..3] == "4")])).await
    }

    /// The token a patient gets by card.
    pub async fn patient_token(&self, patient: u32) -> String {
        self.log_in("patient", card(patient), None).await
    }

    pub async fn log_in(&self, issuer: &str, who: &Credential, person: Option<&Credential>) -> String {
        let answer = self.caller.send(&self.caller.token_call(issuer, who, person).unwrap()).await.unwrap();
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A challenge for a card at a facility.
    pub async fn nonce(&self, code: &str) -> String {
        let call = self.post("/fhir/Patient/$card-challenge", &self.token(code).await, FHIR, String::new());
        let (status, body) = answer(call).await;
        assert_eq!(status, 200, "{body}");
        parameter(&body, "nonce")["valueString"].as_str().unwrap().to_owned()
    }

    /// What a card says.
    pub fn said(&self, card: &Credential, claims: Value) -> String {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        self.caller.assertion("card", card, &self.base_url, claims).unwrap()
    }

    /// What the exchange answers to a card.
    pub async fn answer_card(&self, code: &str, assertion: &str) -> (StatusCode, Value) {
        let body = parameters(&[("cardAssertion", assertion)]);
        answer(self.post("/fhir/Patient/$verify-identity", &self.token(code).await, FHIR, body)).await
    }

    /// The identity token a patient's card gets for a facility, with these consents.
    pub async fn by_card(&self, code: &str, patient: u32, consents: &[&str]) -> String {
        let claims = json!({ "nonce": self.nonce(code).await, "facility": code, "consent": consents });
        let (status, body) = self.answer_card(code, &self.said(card(patient), claims)).await;
        assert_eq!(status, 200, "{body}");
        parameter(&body, "identityToken")["valueString"].as_str().unwrap().to_owned()
    }

    /// A standing decision of a patient's about a facility.
    pub async fn decide(&self, patient: u32, kind: &str, permit: bool, code: &str) -> Value {
        let body = decision(kind, permit, Some(code)).to_string();
        let call = self.post("/fhir/Consent", &self.patient_token(patient).await, FHIR, body);
        let (status, body) = answer(call).await;
        assert_eq!(status, 201, "{body}");
        body
    }

    /// What a patient has in force.
    pub async fn consents(&self, patient: u32) -> Vec<Value> {
        let call = self.client.get(format!("{}/fhir/Consent", self.base_url));
        let (status, body) = answer(call.bearer_auth(self.patient_token(patient).await)).await;
        assert_eq!(status, 200, "{body}");
        let entries = body["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| entry["resource"].clone()).collect()
    }

    pub async fn withdraw(&self, patient: u32, consent: &Value) -> StatusCode {
        let path = format!("{}/fhir/Consent/{}", self.base_url, consent["id"].as_str().unwrap());
        let call = self.client.delete(path).bearer_auth(self.patient_token(patient).await);
        answer(call).await.0
    }

    pub async fn identity_token(&self, code: &str, patient: u32) -> String {
        let parameters = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "insurerNumber", "valueString": "06138762" },
            { "name": "symbol", "valueString": "１２３" },
            { "name": "number", "valueString": number(patient) },
            { "name": "birthDate", "valueDate": born() },
        ]});
        let token = self.token(code).await;
        let path = "/fhir/Patient/$verify-identity";
        let (status, body) = answer(self.post(path, &token, FHIR, parameters.to_string())).await;
        assert_eq!(status, 200, "{body}");
        body["parameter"][0]["valueString"].as_str().unwrap().to_owned()
    }

    pub async fn acts(&self, patient: u32) -> Vec<String> {
        let patient = *self.world.patient(patient).await.as_uuid();
        let database = crate::harness::connect(&self.world.database.config).await;
        let sql = "SELECT act FROM access_record WHERE patient_id = $1 ORDER BY at, created_at";
        database.query(sql, &[&patient]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

pub const FHIR: &str = "application/fhir+json";
pub const JSON: &str = "application/json";

pub async fn answer(call: RequestBuilder) -> (StatusCode, Value) {
    let response = call.send().await.unwrap();
    (response.status(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

pub fn code(body: &Value) -> &str {
    body["issue"][0]["details"]["coding"][0]["code"].as_str().unwrap_or_default()
}

/// What a facility proves itself with.
pub fn facility(code: &str) -> &'static Credential {
    let codes = [CLINIC, OTHER_CLINIC, PHARMACY, OTHER_PHARMACY];
    &PKI.facilities[codes.iter().position(|known| *known == code).unwrap()]
}

/// The card of patient 1 or 2; that of "patient 0" is linked to nobody.
pub fn card(patient: u32) -> &'static Credential {
    &PKI.patients[usize::try_from(patient).unwrap()]
}

/// FHIR `Parameters` of texts.
pub fn parameters(given: &[(&str, &str)]) -> String {
    let parameter: Vec<Value> =
        given.iter().map(|(name, value)| json!({ "name": name, "valueString": value })).collect();
    json!({ "resourceType": "Parameters", "parameter": parameter }).to_string()
}

/// A parameter of an answer.
pub fn parameter<'b>(body: &'b Value, name: &str) -> &'b Value {
    body["parameter"].as_array().unwrap().iter().find(|parameter| parameter["name"] == name).unwrap()
}

/// A `Consent` as a patient's app sends it.
pub fn decision(kind: &str, permit: bool, facility: Option<&str>) -> Value {
    let concept = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    let mut provision = json!({ "type": if permit { "permit" } else { "deny" } });
    if let Some(code) = facility {
        let system = hikikae::codec::fhir::task::INSTITUTION;
        provision["actor"] = json!([{
            "role": concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP"),
            "reference": { "identifier": { "system": system, "value": code } },
        }]);
    }
    json!({
        "resourceType": "Consent",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("https://hikikae.dev/fhir/CodeSystem/consent-kind", kind)],
        "provision": provision,
    })
}

//! Preparing a run: whatever an act needs to have happened before it, done over HTTP beforehand, so that each act can be
//! sent at its time and in any order.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::BenchError;
use super::crew::{Answer, Prepared, Target, send_all};
use super::document::{Delivered, Desk, make_all};
use super::draw::Draws;
use super::mix::Act;
use super::order::LINES;
use super::person::person;
use super::population::Drawn;
use super::stock::{Signed, Stock};
use crate::clock::Clock;
use crate::sandbox::client::Client;
use crate::sandbox::desk::Registered;

const FHIR_JSON: &str = "application/fhir+json";
const CHECKED: u64 = 4;

/// Told what is prepared, and how many of how many.
pub type Progress = Arc<dyn Fn(&'static str, usize, usize) + Send + Sync>;

/// A registered prescription of a drawn one.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What it was drawn as.
    pub drawn: Drawn,
    /// Id and number.
    pub registered: Registered,
}

/// Connections that prepare at most: what comes before the measuring must not be refused.
const PREPARING: usize = 32;

/// Everything preparing needs.
#[derive(Clone)]
pub struct Stage {
    /// Who sends what.
    pub desk: Arc<Desk>,
    /// Where to.
    pub target: Arc<Target>,
    /// Over how many connections.
    pub senders: usize,
    /// The server's clock, as good as ours.
    pub clock: Clock,
    /// Who watches.
    pub progress: Progress,
}

impl Stage {
    /// Logs every place in.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn log_in(&self, client: &Client) -> Result<(), BenchError> {
        let mut tokens = Vec::new();
        for place in &self.desk.cast.places {
            let call = client.token_call(place.facility.code.as_str(), &place.credential, None)?;
            let answer = client.send(&call).await?;
            let token = answer.json()["access_token"].as_str().map(|token| format!("Bearer {token}"));
            let token = token.and_then(|token| HeaderValue::from_str(&token).ok());
            tokens.push(token.ok_or(BenchError::Refused { act: "log-in", got: answer.status.to_string() })?);
        }
        self.target.tokens_replace(tokens);
        Ok(())
    }

    /// Signs what the stock lacks for `count` prescriptions, adds it, and takes them.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn sign(
        &self,
        stock: &mut Stock,
        drawn: Vec<Drawn>,
        count: usize,
    ) -> Result<Vec<Signed>, BenchError> {
        let (desk, now, progress) = (Arc::clone(&self.desk), self.clock.now(), Arc::clone(&self.progress));
        let signed = tokio::task::spawn_blocking(move || {
            let sign =
                |drawn: &Drawn| Ok(Signed { drawn: *drawn, document: desk.prescription(*drawn, now)? });
            make_all(&drawn, sign, &|done, of| progress("signing prescriptions", done, of))
        });
        stock.add(signed.await.map_err(|_| BenchError::Worker)??)?;
        stock.take(count)
    }

    /// The registration of a signed prescription.
    pub fn register(&self, signed: &Signed) -> Prepared {
        let Drawn { person, round } = signed.drawn;
        Prepared {
            place: self.desk.cast.clinic(person, round),
            content_type: Some(self.desk.form.media_type()),
            keyed: true,
            ..post("/fhir/Task/$register", signed.document.clone())
        }
    }

    /// The identity check of a person at the pharmacy of that person.
    pub fn identify(&self, number: u64) -> Prepared {
        let persona = person(number);
        let insurance = persona.insurances.last();
        let text = |name, value: &str| json!({ "name": name, "valueString": value });
        let mut parameter = vec![json!({ "name": "birthDate", "valueDate": persona.birth_date })];
        if let Some(insurance) = insurance {
            parameter.extend([
                text("insurerNumber", &insurance.insurer_number),
                text("symbol", &insurance.symbol),
                text("number", &insurance.number),
                text("branchNumber", &insurance.branch_number),
            ]);
        }
        self.parameters("/fhir/Patient/$verify-identity", number, &parameter)
    }

    /// The acceptance of a waiting prescription.
    pub fn accept(&self, waiting: &Waiting, identity: &str) -> Prepared {
        let number = json!({ "name": "exchangeNumber", "valueString": waiting.registered.number });
        let prepared = self.parameters("/fhir/Task/$accept", waiting.drawn.person, &[number]);
        Prepared { identity: Some(identity.to_owned()), ..prepared }
    }

    /// The result of a delivered prescription.
    pub fn dispense(&self, delivered: &Delivered, document: Bytes) -> Prepared {
        Prepared {
            place: self.desk.cast.pharmacy(delivered.drawn.person),
            content_type: Some(self.desk.form.media_type()),
            keyed: true,
            ..post(&format!("/fhir/Task/{}/$dispense", delivered.id), document)
        }
    }

    /// A look at a prescription by the clinic that issued it.
    pub fn read(&self, waiting: &Waiting) -> Prepared {
        let Drawn { person, round } = waiting.drawn;
        Prepared {
            place: self.desk.cast.clinic(person, round),
            method: Method::GET,
            ..post(&format!("/fhir/Task/{}", waiting.registered.id), Bytes::new())
        }
    }

    /// Checks before signing, of `count` persons spread over the population, each for tablets drawn by their weights:
    /// some meet what the person takes.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub fn checks(&self, count: usize) -> Result<Vec<Prepared>, BenchError> {
        let now = self.clock.now();
        let check = |person: u64| -> Result<Prepared, BenchError> {
            let mut draws = Draws::of(CHECKED, person);
            let drugs: Vec<_> = (0..LINES).map(|_| self.desk.drugs.draw(&mut draws)).collect();
            let sj1 = self.desk.sj1(Drawn { person, round: 0 }, &drugs, now)?;
            Ok(Prepared {
                place: self.desk.cast.clinic(person, 0),
                content_type: Some("text/csv"),
                ..post("/fhir/$medication-check", sj1.into())
            })
        };
        self.spread(count).map(check).collect()
    }

    /// `count` persons, spread over the population.
    pub fn spread(&self, count: usize) -> impl Iterator<Item = u64> + use<> {
        let all = self.desk.population.len();
        let count = (count as u64).clamp(1, all.max(1));
        (0..count).map(move |n| n * all / count)
    }

    /// Registers signed prescriptions.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn registered(&self, signed: &[Signed]) -> Result<Vec<Waiting>, BenchError> {
        let requests = signed.iter().map(|signed| self.register(signed)).collect();
        let answers = self.send("registering", Act::Register.as_str(), requests).await?;
        let waiting = signed.iter().zip(&answers).map(|(signed, answer)| {
            let registered = registered(answer)?;
            Ok(Waiting { drawn: signed.drawn, registered })
        });
        waiting.collect()
    }

    /// Verifies identities, and answers the acceptances that can now be sent.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn acceptances(&self, waiting: &[Waiting]) -> Result<Vec<Prepared>, BenchError> {
        let requests = waiting.iter().map(|waiting| self.identify(waiting.drawn.person)).collect();
        let answers = self.send("verifying identities", Act::Identify.as_str(), requests).await?;
        let accept =
            |(waiting, answer): (&Waiting, &Answer)| Ok(self.accept(waiting, &identity_token(answer)?));
        waiting.iter().zip(&answers).map(accept).collect()
    }

    /// Accepts, signs the results, and answers the dispensings that can now be sent.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn dispensings(&self, waiting: &[Waiting]) -> Result<Vec<Prepared>, BenchError> {
        let acceptances = self.acceptances(waiting).await?;
        let answers = self.send("accepting", Act::Accept.as_str(), acceptances).await?;
        let delivered = waiting.iter().zip(&answers).map(|(waiting, answer)| delivered(waiting, answer));
        let delivered = delivered.collect::<Result<Vec<_>, _>>()?;
        let (stage, now) = (self.clone(), self.clock.now());
        let signing = tokio::task::spawn_blocking(move || {
            let sign = |one: &Delivered| Ok(stage.dispense(one, stage.desk.dispensing(one, now)?));
            make_all(&delivered, sign, &|done, of| (stage.progress)("signing results", done, of))
        });
        signing.await.map_err(|_| BenchError::Worker)?
    }

    async fn send(
        &self,
        what: &'static str,
        act: &'static str,
        requests: Vec<Prepared>,
    ) -> Result<Vec<Answer>, BenchError> {
        let progress = Arc::clone(&self.progress);
        send_all(&self.target, self.senders.min(PREPARING), act, requests, move |done, of| {
            progress(what, done, of);
        })
        .await
    }

    fn parameters(&self, path: &str, person: u64, parameter: &[Value]) -> Prepared {
        let body = json!({ "resourceType": "Parameters", "parameter": parameter });
        Prepared {
            place: self.desk.cast.pharmacy(person),
            content_type: Some(FHIR_JSON),
            ..post(path, body.to_string().into())
        }
    }
}

fn post(path: &str, body: Bytes) -> Prepared {
    Prepared {
        place: 0,
        method: Method::POST,
        path: path.to_owned(),
        content_type: None,
        identity: None,
        keyed: false,
        body,
    }
}

/// Id and number of an answered Task.
///
/// # Errors
///
/// [`BenchError::Refused`]
pub fn registered(answer: &Answer) -> Result<Registered, BenchError> {
    Registered::of_task(&answer.json())
        .ok_or_else(|| BenchError::Refused { act: "register", got: "no Task with a number".to_owned() })
}

/// The token of an answered identity check.
///
/// # Errors
///
/// [`BenchError::Refused`]
pub fn identity_token(answer: &Answer) -> Result<String, BenchError> {
    let token = parameter(&answer.json(), "identityToken")
        .and_then(|it| Some(it["valueString"].as_str()?.to_owned()));
    token.ok_or_else(|| BenchError::Refused { act: "identify", got: "no identity token".to_owned() })
}

/// The delivered form of an answered acceptance.
///
/// # Errors
///
/// [`BenchError::Refused`]
pub fn delivered(waiting: &Waiting, answer: &Answer) -> Result<Delivered, BenchError> {
    use base64::Engine as _;
    let data = parameter(&answer.json(), "document")
        .and_then(|it| base64::prelude::BASE64_STANDARD.decode(it["resource"]["data"].as_str()?).ok());
    let document =
        data.ok_or_else(|| BenchError::Refused { act: "accept", got: "no document".to_owned() })?;
    Ok(Delivered { drawn: waiting.drawn, id: waiting.registered.id, document })
}

fn parameter(body: &Value, name: &str) -> Option<Value> {
    body["parameter"].as_array()?.iter().find(|parameter| parameter["name"] == name).cloned()
}

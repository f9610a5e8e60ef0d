//! The acts of the exchange. Each is one transaction: read, decide by a pure function, write guarded by what was
//! read; whoever loses the race reads and decides anew. Knows no HTTP.

pub mod accept;
pub mod amend;
pub mod app;
pub mod audit;
pub mod break_glass;
pub mod caller;
mod card;
pub mod change;
pub mod check;
pub mod consent;
pub mod dispense;
pub mod error;
pub mod export;
pub mod follow;
pub mod form;
pub mod history;
pub mod identity;
pub mod intake;
pub mod mandate;
pub mod met;
pub mod mitigate;
pub mod notebook;
pub mod order;
pub mod read;
pub mod register;
pub mod reported;
mod seen;
pub mod session;
pub mod slip;
pub mod withdraw;

use std::sync::{Arc, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{Coverage, Policy};
use crate::clock::{Clock, japanese_date};
use crate::codec::slip::Fonts;
use crate::formulary::Formulary;
use crate::formulary::shelf::Editions;
use crate::prescription::registered::Registered;
use crate::store::Store;
use crate::store::access::{Trace, TraceContent};
use crate::store::directory::AttemptLimit;
use crate::store::idempotency::{IdempotencyKey, KEPT, Replay, StoredAnswer};
use crate::trust::TrustStore;
use caller::Caller;
use error::ExchangeError;

/// How often an act that loses a race reads and decides anew before it says `overloaded`.
const ATTEMPTS: usize = 50;

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a pharmacy holds what it accepted.
    pub lease: TimeDelta,
    /// Validity of an access token.
    pub access_token: TimeDelta,
    /// Validity of an identity token.
    pub identity_token: TimeDelta,
    /// Validity of an identity token got in an emergency.
    pub break_glass: TimeDelta,
    /// Failed identity checks a facility has before it must wait.
    pub identity_attempts: AttemptLimit,
    /// Unknown exchange numbers a facility has before it must wait.
    pub number_attempts: AttemptLimit,
    /// Rules of the medication check.
    pub check: Policy,
    /// What slips are printed with; `None` when no font could be read.
    pub slip_fonts: Option<Fonts>,
    /// How far back the shared history goes.
    pub history: HistoryTerm,
    /// What an assertion's `aud` may name.
    pub audiences: Vec<String>,
}

/// How far back the shared history (薬剤情報) goes.
#[derive(Clone, Copy, Debug)]
pub struct HistoryTerm {
    /// Days shown unless more are asked for.
    pub days: u16,
    /// Days shown at most.
    pub most_days: u16,
}

/// The exchange: its store, its trust, its formulary and its clock. Cheap to clone.
#[derive(Clone)]
pub struct Exchange {
    store: Store,
    trust: Arc<RwLock<Arc<TrustStore>>>,
    formulary: Arc<RwLock<Editions>>,
    clock: Clock,
    settings: Arc<Settings>,
    followers: Arc<follow::Followers>,
    seen: Arc<seen::Seen>,
}

/// What every act is told of the request it answers.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names the request in the access record and in the log.
    pub id: Uuid,
    /// `Idempotency-Key`, with the SHA-256 of method, path, media type and body.
    pub idempotency: Option<(String, [u8; 32])>,
    /// The version `If-Match` names.
    pub if_match: Option<i64>,
    /// `Identity-Token`, as it was sent.
    pub identity: Option<IdentityHeader>,
}

/// An `Identity-Token` as it was sent. A secret: its `Debug` shows nothing.
#[derive(Clone)]
pub struct IdentityHeader(pub String);

impl std::fmt::Debug for IdentityHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityHeader(…)")
    }
}

/// An outcome, and whether it is the kept one of an earlier request.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// What was done.
    pub outcome: T,
    /// Whether it was done by an earlier request with the same key.
    pub replayed: bool,
}

/// A prescription as an act left it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// The prescription.
    pub task: Registered,
    /// When; what is shown depends on it.
    pub at: DateTime<Utc>,
    /// What the act's medication check could not see; nothing when the act makes none.
    pub coverage: Coverage,
}

impl TaskOutcome {
    /// The outcome of an act without a medication check.
    pub fn of(task: Registered, at: DateTime<Utc>) -> Self {
        Self { task, at, coverage: Coverage::default() }
    }
}

impl Exchange {
    /// An exchange over its parts.
    pub fn new(
        store: Store,
        trust: TrustStore,
        formulary: Editions,
        clock: Clock,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            trust: Arc::new(RwLock::new(Arc::new(trust))),
            formulary: Arc::new(RwLock::new(formulary)),
            clock,
            settings: Arc::new(settings),
            followers: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// The store, for the operator's endpoints and jobs.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The trust in force.
    pub fn trust(&self) -> Arc<TrustStore> {
        Arc::clone(&self.trust.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Puts newly read anchors and revocation lists in force.
    pub fn trust_replace(&self, trust: TrustStore) {
        *self.trust.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(trust);
    }

    /// A name for a request in the access record and the log.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness.
    pub fn request_id(&self) -> Result<Uuid, ExchangeError> {
        let mut bytes = [0; 16];
        self.store.rng().fill(&mut bytes).map_err(crate::store::StoreError::from)?;
        Ok(Uuid::new_v8(bytes))
    }

    /// The editions of the formulary.
    pub fn editions(&self) -> Editions {
        self.formulary.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The formulary of today.
    pub fn formulary(&self) -> Arc<Formulary> {
        self.editions().on(japanese_date(self.clock.now()))
    }

    /// Puts newly imported editions in force.
    pub fn formulary_replace(&self, editions: Editions) {
        *self.formulary.write().unwrap_or_else(std::sync::PoisonError::into_inner) = editions;
    }

    /// The kept answer of an earlier request with the same key, when there is one.
    async fn replayed<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Option<Answered<T>>, ExchangeError> {
        let Some(key) = idempotency_key(caller, request)? else { return Ok(None) };
        kept(self.store.idempotency_find(&key).await?)
    }

    /// The answer to keep for retries of this request.
    fn answer(
        caller: &Caller,
        request: &Request,
        outcome: &impl Serialize,
        now: DateTime<Utc>,
    ) -> Result<Option<StoredAnswer>, ExchangeError> {
        idempotency_key(caller, request)?
            .map(|key| {
                serde_json::to_vec(outcome)
                    .map(|outcome| StoredAnswer { key, expires_at: now + KEPT, outcome })
                    .map_err(|_| ExchangeError::Internal("an answer cannot be kept"))
            })
            .transpose()
    }
}

/// The kept answer a look-up found.
fn kept<T: DeserializeOwned>(replay: Replay) -> Result<Option<Answered<T>>, ExchangeError> {
    match replay {
        Replay::New => Ok(None),
        Replay::Reused => Err(ExchangeError::IdempotencyKeyReused),
        Replay::Same(outcome) => serde_json::from_slice(&outcome)
            .map(|outcome| Some(Answered { outcome, replayed: true }))
            .map_err(|_| ExchangeError::Internal("a kept answer cannot be read")),
    }
}

fn idempotency_key(caller: &Caller, request: &Request) -> Result<Option<IdempotencyKey>, ExchangeError> {
    request
        .idempotency
        .as_ref()
        .map(|(key, hash)| {
            Ok(IdempotencyKey { caller: caller.facility()?.code.clone(), key: key.clone(), request: *hash })
        })
        .transpose()
}

/// What the patient will read of an act.
fn trace(caller: &Caller, request: &Request, outcome: &str) -> Trace {
    Trace { request: request.id, content: content(caller, outcome) }
}

/// Who called, and how it ended.
fn content(caller: &Caller, outcome: &str) -> TraceContent {
    let facility = caller.facility().ok();
    TraceContent {
        who: caller.who(),
        facility: facility.map(|facility| facility.code.clone()),
        facility_name: facility.map(|facility| facility.name.clone()),
        person: caller.person_name().map(str::to_owned),
        app: caller.app.as_ref().map(|app| app.name.clone()),
        representative: caller.representative.as_ref().map(|person| person.name.clone()),
        mandate: caller.representative.as_ref().map(|person| person.mandate),
        signer: None,
        reason: None,
        outcome: outcome.to_owned(),
        opened: Vec::new(),
    }
}

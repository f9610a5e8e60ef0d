//! The limit: what the database alone does on the same machine with the same settings. Runs the statement an act cannot
//! do without, through the very functions of the store that the server calls, with everything prepared: no HTTP, no
//! signature, no check, no look-up before it. Sealing is part of those functions and of what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::BenchError;
use super::document::Desk;
use super::mix::Act;
use super::order::{DAYS, order};
use super::person::{insured, person};
use super::population::{Drawn, LEASE};
use super::tally::Tally;
use crate::check::{LineContent, Period, Source, Supply};
use crate::clock::{Clock, japanese_date};
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::registered::{DocumentVersion, ExchangeNumber, Registered};
use crate::prescription::state::{self, Dispensed, Kind, Life, Terms};
use crate::store::access::{Trace, TraceContent};
use crate::store::dispensing::DispensingResult;
use crate::store::idempotency::{IdempotencyKey, KEPT, StoredAnswer};
use crate::store::prescription::{Details, Doing, PrescriptionRow, Written};
use crate::store::registration::Registration;
use crate::store::{PatientId, PrescriptionId, Store, StoreError};

const MEDIA_TYPE: &str = "application/xml";

/// One prepared act of one patient.
#[derive(Clone)]
pub struct Case {
    patient: PatientId,
    history_version: i64,
    registered: Registered,
    details: Details,
    periods: Vec<Period>,
    document: Arc<Vec<u8>>,
    /// The prescription as it stands, for the acts after registration.
    row: Option<PrescriptionRow>,
    pharmacy: InstitutionCode,
}

/// The bare database.
#[derive(Clone)]
pub struct Limit {
    /// The database of the server.
    pub store: Store,
    /// Who is prescribed what.
    pub desk: Arc<Desk>,
    /// The time.
    pub clock: Clock,
}

impl Limit {
    /// Prepares `drawn` for an act. `document` is one as large as those the server gets.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn prepare(
        &self,
        act: Act,
        drawn: &[Drawn],
        document: &[u8],
        senders: usize,
    ) -> Result<Vec<Case>, BenchError> {
        let document = Arc::new(document.to_vec());
        let mut crew = JoinSet::new();
        for part in drawn.chunks(drawn.len().div_ceil(senders.max(1)).max(1)) {
            let (limit, part, document) = (self.clone(), part.to_vec(), Arc::clone(&document));
            crew.spawn(async move {
                let mut cases = Vec::with_capacity(part.len());
                for one in part {
                    cases.push(limit.prepared(act, one, &document).await?);
                }
                Ok::<_, BenchError>(cases)
            });
        }
        let mut all = Vec::with_capacity(drawn.len());
        while let Some(cases) = crew.join_next().await {
            all.extend(cases.map_err(|_| BenchError::Worker)??);
        }
        Ok(all)
    }

    /// A case with everything behind it that has to come before the act.
    async fn prepared(&self, act: Act, drawn: Drawn, document: &[u8]) -> Result<Case, BenchError> {
        let mut case = self.case(drawn, document).await?;
        let before: &[Act] = match act {
            Act::Accept => &[Act::Register],
            Act::Dispense => &[Act::Register, Act::Accept],
            Act::Register | Act::Check | Act::Identify | Act::Read => &[],
        };
        for step in before {
            self.act(*step, &case).await?;
            if *step == Act::Register {
                case.history_version += 1;
            }
            case.row = self.store.prescription_find(PrescriptionId::from_uuid(case.registered.id)).await?;
        }
        Ok(case)
    }

    /// Runs the act of all cases over `senders` connections until they or the time end.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn run(
        &self,
        act: Act,
        cases: Vec<Case>,
        senders: usize,
        length: Duration,
    ) -> Result<(Tally, Duration), BenchError> {
        let (cases, next, start) = (Arc::new(cases), Arc::new(AtomicUsize::new(0)), Instant::now());
        let mut crew = JoinSet::new();
        for _ in 0..senders {
            let (limit, cases, next) = (self.clone(), Arc::clone(&cases), Arc::clone(&next));
            crew.spawn(async move {
                let mut tally = Tally::new()?;
                while start.elapsed() < length
                    && let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let began = Instant::now();
                    limit.act(act, case).await?;
                    tally.count(began.elapsed(), None);
                }
                Ok::<_, BenchError>(tally)
            });
        }
        let mut all = Tally::new()?;
        while let Some(tally) = crew.join_next().await {
            all.add(&tally.map_err(|_| BenchError::Worker)??);
        }
        Ok((all, start.elapsed()))
    }

    async fn case(&self, drawn: Drawn, document: &[u8]) -> Result<Case, BenchError> {
        let (store, now) = (&self.store, self.clock.now());
        let persona = person(drawn.person);
        let found = store.identity_find(&insured(&persona)?, persona.birth_date, japanese_date(now)).await?;
        let entry = found.ok_or(BenchError::NoPopulation)?.patient;
        let place = &self.desk.cast.places[self.desk.cast.clinic(drawn.person, drawn.round)];
        let id = store.buckets().prescription_mint(store.rng(), entry.bucket).map_err(StoreError::from)?;
        let number = Some(ExchangeNumber::draw(store.rng()).map_err(StoreError::from)?);
        let today = japanese_date(now);
        let drugs = order(&self.desk.population, drawn, &self.desk.drugs, &self.desk.formulary)?;
        let period = |drug: &&super::drug::Drug| Period {
            source: Source::Prescribed,
            document: id.to_string(),
            content: LineContent::Drug,
            code: Some(drug.code()),
            name: drug.name.clone(),
            substance: None,
            interval: Supply::Days(DAYS).interval_from(today),
            institution: Some(place.facility.code.clone()),
            institution_name: place.facility.name.clone(),
            split: None,
        };
        let clinic_name = Some(place.facility.name.clone());
        let mut document = document.to_vec();
        // The same document twice would be refused.
        document.extend_from_slice(id.as_bytes());
        Ok(Case {
            patient: entry.id,
            history_version: entry.history_version,
            registered: Registered {
                id: *id.as_uuid(),
                version: 1,
                clinic: place.facility.code.clone(),
                clinic_name: clinic_name.clone(),
                exchange_number: number.clone(),
                issued_on: today,
                registered_at: now,
                changed_at: now,
                life: Life::issued(
                    Kind::Electronic,
                    Terms { valid_until: today + chrono::Days::new(3), first_due: None, uses_allowed: 1 },
                ),
                document: DocumentVersion { number: 1, at: now },
            },
            details: Details { exchange_number: number, clinic_name, conversions: Vec::new() },
            periods: drugs.iter().map(period).collect(),
            document: Arc::new(document),
            row: None,
            pharmacy: self.desk.cast.places[self.desk.cast.pharmacy(drawn.person)].facility.code.clone(),
        })
    }

    /// The statement of an act. Only acts that write have one that cannot be left out.
    async fn act(&self, act: Act, case: &Case) -> Result<(), BenchError> {
        let (store, now) = (&self.store, self.clock.now());
        let trace = self.trace(case)?;
        let doing = |act, answer| Doing { act, concerned: Some(&case.pharmacy), now, trace: &trace, answer };
        let written = match act {
            Act::Register => {
                let answer = self.answer(&case.registered.clinic, case, now)?;
                let written = store
                    .registration_insert(&Registration {
                        patient: case.patient,
                        person: case.patient,
                        history_version: case.history_version,
                        registered: &case.registered,
                        details: &case.details,
                        media_type: MEDIA_TYPE,
                        original: &case.document,
                        periods: &case.periods,
                        findings: &[],
                        doing: Doing { concerned: None, ..doing(AccessAct::Register, Some(&answer)) },
                    })
                    .await;
                match written {
                    // The patient has a prescription with this number: another is drawn, as the server does.
                    Err(error) if error.is_constraint("prescription_exchange_number") => {
                        let mut other = case.clone();
                        let number = Some(ExchangeNumber::draw(store.rng()).map_err(StoreError::from)?);
                        other.details.exchange_number.clone_from(&number);
                        other.registered.exchange_number = number;
                        return Box::pin(self.act(act, &other)).await;
                    }
                    written => written?,
                }
            }
            Act::Accept => {
                let row = case.row.as_ref().ok_or(BenchError::NoPopulation)?;
                let accept = state::Act::Accept { by: case.pharmacy.clone(), lease: LEASE };
                let next = row.registered.life.after(&accept, now)?;
                match store.acceptance_insert(row, &next, &doing(AccessAct::Accept, None)).await? {
                    Some(_) => Written::Yes,
                    None => Written::Lost,
                }
            }
            Act::Dispense => {
                let row = case.row.as_ref().ok_or(BenchError::NoPopulation)?;
                let dispense = state::Act::Dispense {
                    by: case.pharmacy.clone(),
                    supply: Dispensed { on: japanese_date(now), days: DAYS, important: false },
                    complete: true,
                };
                let answer = self.answer(&case.pharmacy, case, now)?;
                store
                    .dispensing_insert(&DispensingResult {
                        row,
                        next: &row.registered.life.after(&dispense, now)?,
                        replaced: None,
                        person: case.patient,
                        history_version: case.history_version,
                        media_type: MEDIA_TYPE,
                        original: &case.document,
                        periods: &case.periods,
                        findings: &[],
                        doing: doing(AccessAct::Dispense, Some(&answer)),
                    })
                    .await?
            }
            Act::Check | Act::Identify | Act::Read => {
                // A check reads the history of one patient; the rest is the checker's.
                store.history_read(case.patient, japanese_date(now), now).await?;
                Written::Yes
            }
        };
        match written {
            Written::Yes => Ok(()),
            Written::Lost => Err(BenchError::Refused {
                act: act.as_str(),
                got: "a lost race; is somebody else at work?".to_owned(),
            }),
        }
    }

    fn trace(&self, case: &Case) -> Result<Trace, BenchError> {
        Ok(Trace {
            request: self.uuid()?,
            content: TraceContent {
                facility: Some(case.registered.clinic.clone()),
                facility_name: case.registered.clinic_name.clone(),
                signer: case.registered.clinic_name.clone(),
                outcome: "done".to_owned(),
                ..TraceContent::default()
            },
        })
    }

    fn answer(
        &self,
        caller: &InstitutionCode,
        case: &Case,
        now: DateTime<Utc>,
    ) -> Result<StoredAnswer, BenchError> {
        let key = IdempotencyKey { caller: caller.clone(), key: self.uuid()?.to_string(), request: [0; 32] };
        let outcome = serde_json::json!({ "task": case.registered, "at": now }).to_string().into_bytes();
        Ok(StoredAnswer { key, expires_at: now + KEPT, outcome })
    }

    fn uuid(&self) -> Result<Uuid, BenchError> {
        let mut bytes = [0; 16];
        self.store.rng().fill(&mut bytes).map_err(StoreError::from)?;
        Ok(Uuid::new_v8(bytes))
    }
}

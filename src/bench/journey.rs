//! Whole lives, one after another: register, verify identity, accept, dispense, read. The result is signed between the
//! requests; the time of a journey is that of its answers alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::BenchError;
use super::crew::{Answer, Connection, Prepared};
use super::drive::{Counts, NO_ANSWER, Outcome, Watched};
use super::mix::Act;
use super::pace::Pace;
use super::stage::{Stage, Waiting, delivered, identity_token, registered};
use super::stock::Signed;
use super::tally::Tally;

/// What journeys have counted.
pub struct Journeys {
    /// By act.
    pub acts: Outcome,
    /// Whole journeys; a refusal ends its journey.
    pub whole: Tally,
}

/// Takes every signed prescription through its life until the run or the prescriptions end.
///
/// # Errors
///
/// [`BenchError`], never for what the server answers.
pub async fn journeys(
    stage: &Stage,
    signed: Vec<Signed>,
    pace: Arc<Pace>,
    watched: Arc<Watched>,
) -> Result<Journeys, BenchError> {
    let (signed, next) = (Arc::new(signed), Arc::new(AtomicUsize::new(0)));
    let (counts, whole) = (Arc::new(Counts::default()), Arc::new(Mutex::new(Tally::new()?)));
    let mut crew = JoinSet::new();
    for _ in 0..stage.senders {
        let mut traveller = Traveller {
            stage: stage.clone(),
            connection: Connection::of(&stage.target),
            counts: Arc::clone(&counts),
            time: Duration::ZERO,
        };
        let (signed, next, pace, watched) =
            (Arc::clone(&signed), Arc::clone(&next), Arc::clone(&pace), Arc::clone(&watched));
        let whole = Arc::clone(&whole);
        crew.spawn(async move {
            while pace.turn().await.is_some() {
                let Some(one) = signed.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    pace.stop();
                    return Ok(Some(Act::Register));
                };
                traveller.time = Duration::ZERO;
                let refusal = traveller.journey(one).await?;
                let counter = if refusal.is_none() { &watched.done } else { &watched.refused };
                counter.fetch_add(1, Ordering::Relaxed);
                whole.lock().unwrap_or_else(PoisonError::into_inner).count(traveller.time, refusal);
            }
            Ok::<_, BenchError>(None)
        });
    }
    let acts = Outcome::of(crew, &counts, &pace).await?;
    let whole = whole.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Journeys { acts, whole })
}

struct Traveller {
    stage: Stage,
    connection: Connection,
    counts: Arc<Counts>,
    /// What the answers of this journey took so far.
    time: Duration,
}

impl Traveller {
    /// One life; the code of the refusal that ended it, if one did.
    async fn journey(&mut self, signed: &Signed) -> Result<Option<String>, BenchError> {
        macro_rules! step {
            ($act:expr, $prepared:expr) => {
                match self.step($act, &$prepared).await? {
                    Ok(answer) => answer,
                    Err(refusal) => return Ok(Some(refusal)),
                }
            };
        }
        let stage = self.stage.clone();
        let answer = step!(Act::Register, stage.register(signed));
        let waiting = Waiting { drawn: signed.drawn, registered: registered(&answer)? };
        let answer = step!(Act::Identify, stage.identify(signed.drawn.person));
        let answer = step!(Act::Accept, stage.accept(&waiting, &identity_token(&answer)?));
        let delivered = delivered(&waiting, &answer)?;
        let (pharmacy, now) = (stage.clone(), stage.clock.now());
        let signing = tokio::task::spawn_blocking(move || {
            let document = pharmacy.desk.dispensing(&delivered, now)?;
            Ok::<_, BenchError>(pharmacy.dispense(&delivered, document))
        });
        let prepared = signing.await.map_err(|_| BenchError::Worker)??;
        step!(Act::Dispense, prepared);
        step!(Act::Read, stage.read(&waiting));
        Ok(None)
    }

    async fn step(&mut self, act: Act, prepared: &Prepared) -> Result<Result<Answer, String>, BenchError> {
        let began = Instant::now();
        let answer = self.connection.send(prepared).await;
        let took = began.elapsed();
        self.time += took;
        let refusal = answer.as_ref().map_or_else(|| Some(NO_ANSWER.to_owned()), Answer::refusal);
        self.counts.count(act, took, refusal.clone())?;
        Ok(answer.filter(|_| refusal.is_none()).ok_or_else(|| refusal.unwrap_or_default()))
    }
}

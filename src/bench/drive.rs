//! A run: senders take turns by the timetable, send what was prepared for the act of the turn, and count.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::BenchError;
use super::crew::{Connection, Prepared};
use super::mix::{Act, Mix};
use super::pace::Pace;
use super::tally::Tally;

/// What is counted as refused when there was no answer at all.
pub const NO_ANSWER: &str = "no-answer";

/// The requests prepared for an act.
pub struct Supply {
    requests: Vec<Prepared>,
    next: AtomicUsize,
    /// Whether the same request may be sent again and again.
    again: bool,
}

impl Supply {
    /// Requests that can be sent once each.
    pub fn once(requests: Vec<Prepared>) -> Self {
        Self { requests, next: AtomicUsize::new(0), again: false }
    }

    /// Requests that can be sent any number of times.
    pub fn again(requests: Vec<Prepared>) -> Self {
        Self { again: true, ..Self::once(requests) }
    }

    fn take(&self) -> Option<&Prepared> {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        match self.requests.len() {
            0 => None,
            length if self.again => self.requests.get(at % length),
            _ => self.requests.get(at),
        }
    }
}

/// Requests by act.
pub type Supplies = BTreeMap<Act, Supply>;

/// How far a run is, for whoever watches.
#[derive(Default)]
pub struct Watched {
    /// Answers that were what was asked for.
    pub done: AtomicU64,
    /// Others.
    pub refused: AtomicU64,
}

/// What a run has counted.
#[derive(Default)]
pub struct Outcome {
    /// By act.
    pub tallies: BTreeMap<Act, Tally>,
    /// How long it took.
    pub took: Duration,
    /// Whether it ended early because an act had nothing more to send.
    pub exhausted: Option<Act>,
    /// How many requests of an open loop were due before a sender was free for them.
    pub waited: usize,
}

/// Sends by the timetable over these connections until it ends.
///
/// # Errors
///
/// [`BenchError`], never for what the server answers.
pub async fn drive(
    connections: Vec<Connection>,
    supplies: Arc<Supplies>,
    mix: Arc<Mix>,
    pace: Arc<Pace>,
    watched: Arc<Watched>,
) -> Result<Outcome, BenchError> {
    let (counts, mut crew) = (Arc::new(Counts::default()), JoinSet::new());
    for mut connection in connections {
        let (supplies, mix, pace, watched) =
            (Arc::clone(&supplies), Arc::clone(&mix), Arc::clone(&pace), Arc::clone(&watched));
        let counts = Arc::clone(&counts);
        crew.spawn(async move {
            while let Some((turn, due)) = pace.turn().await {
                let act = mix.turn(turn);
                let Some(prepared) = supplies.get(&act).and_then(Supply::take) else {
                    pace.stop();
                    return Ok(Some(act));
                };
                let refusal = send(&mut connection, prepared, &watched).await;
                counts.count(act, due.elapsed(), refusal)?;
            }
            Ok::<_, BenchError>(None)
        });
    }
    Outcome::of(crew, &counts, &pace).await
}

impl Outcome {
    /// What the crew of a run has counted when the last of it is done; each tells the act it had nothing to send for.
    pub(super) async fn of(
        mut crew: JoinSet<Result<Option<Act>, BenchError>>,
        counts: &Counts,
        pace: &Pace,
    ) -> Result<Self, BenchError> {
        let mut exhausted = None;
        while let Some(joined) = crew.join_next().await {
            exhausted = exhausted.or(joined.map_err(|_| BenchError::Worker)??);
        }
        Ok(Self { tallies: counts.taken(), took: pace.elapsed(), exhausted, waited: pace.waited() })
    }
}

/// What the senders of a run count together: a histogram takes more memory than a sender, and making one for each would
/// hold up the first second.
#[derive(Default)]
pub(super) struct Counts(Mutex<BTreeMap<Act, Tally>>);

impl Counts {
    pub(super) fn count(&self, act: Act, took: Duration, refusal: Option<String>) -> Result<(), BenchError> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = match tallies.entry(act) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(Tally::new()?),
        };
        tally.count(took, refusal);
        Ok(())
    }

    /// Everything counted so far.
    pub(super) fn taken(&self) -> BTreeMap<Act, Tally> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn send(connection: &mut Connection, prepared: &Prepared, watched: &Watched) -> Option<String> {
    let refusal = match connection.send(prepared).await {
        Some(answer) => answer.refusal(),
        None => Some(NO_ANSWER.to_owned()),
    };
    let counter = if refusal.is_none() { &watched.done } else { &watched.refused };
    counter.fetch_add(1, Ordering::Relaxed);
    refusal
}

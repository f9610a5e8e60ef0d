//! A run: senders take turns by the timetable, send what was prepared for the act of the turn, and count.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::BenchError;
use super::crew::{Connection, Prepared, Target};
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
}

/// Sends by the timetable over `senders` connections until it ends.
///
/// # Errors
///
/// [`BenchError`], never for what the server answers.
pub async fn drive(
    target: &Arc<Target>,
    supplies: Arc<Supplies>,
    mix: Arc<Mix>,
    pace: Arc<Pace>,
    senders: usize,
    watched: Arc<Watched>,
) -> Result<Outcome, BenchError> {
    let mut crew = JoinSet::new();
    for _ in 0..senders {
        let mut connection = Connection::of(target);
        let (supplies, mix, pace, watched) =
            (Arc::clone(&supplies), Arc::clone(&mix), Arc::clone(&pace), Arc::clone(&watched));
        crew.spawn(async move {
            let mut tallies: BTreeMap<Act, Tally> = BTreeMap::new();
            while let Some((turn, due)) = pace.turn().await {
                let act = mix.turn(turn);
                let Some(prepared) = supplies.get(&act).and_then(Supply::take) else {
                    pace.stop();
                    return Ok((tallies, Some(act)));
                };
                let refusal = send(&mut connection, prepared, &watched).await;
                tally(&mut tallies, act)?.count(due.elapsed(), refusal);
            }
            Ok::<_, BenchError>((tallies, None))
        });
    }
    let mut outcome = Outcome::default();
    while let Some(joined) = crew.join_next().await {
        let (tallies, exhausted) = joined.map_err(|_| BenchError::Worker)??;
        outcome.add(&Outcome { tallies, exhausted, took: Duration::ZERO })?;
    }
    outcome.took = pace.elapsed();
    Ok(outcome)
}

impl Outcome {
    /// Adds what another sender has counted.
    pub(super) fn add(&mut self, other: &Self) -> Result<(), BenchError> {
        self.exhausted = self.exhausted.or(other.exhausted);
        for (act, counted) in &other.tallies {
            tally(&mut self.tallies, *act)?.add(counted);
        }
        Ok(())
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

/// The tally of an act.
pub(super) fn tally(tallies: &mut BTreeMap<Act, Tally>, act: Act) -> Result<&mut Tally, BenchError> {
    Ok(match tallies.entry(act) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(free) => free.insert(Tally::new()?),
    })
}

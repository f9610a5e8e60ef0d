//! When requests are due. An open loop has a timetable: a request is late from its place in it, however long the ones
//! before it held the sender up (no coordinated omission). A closed loop sends when the answer before is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Longer than any wait for the next request, so that a run that is broken off ends soon.
const NAP: Duration = Duration::from_millis(20);

/// The timetable of a run, shared by its senders.
pub struct Pace {
    start: Instant,
    /// The time between two requests of an open loop.
    gap: Option<Duration>,
    length: Duration,
    turns: usize,
    next: AtomicUsize,
    waited: AtomicUsize,
    due: Arc<Semaphore>,
    over: Arc<AtomicBool>,
}

impl Pace {
    /// As fast as the answers come.
    pub fn closed(length: Duration) -> Self {
        Self::new(None, length, usize::MAX)
    }

    /// So many a second, come what may, by `senders` senders. The timetable is kept by a thread of its own, because
    /// the timers of the asynchronous ones tell milliseconds only.
    pub fn open(rate: f64, length: Duration, senders: usize) -> Self {
        let turns = turns(rate, length);
        let pace = Self::new(Some(Duration::from_secs_f64(1.0 / rate)), length, turns);
        let (due, over, start) = (Arc::clone(&pace.due), Arc::clone(&pace.over), pace.start);
        thread::spawn(move || {
            let mut told = 0;
            while told < turns && !over.load(Ordering::Relaxed) {
                let now = start.elapsed();
                let until = (turns_by(rate, now)).min(turns);
                due.add_permits(until.saturating_sub(told));
                told = told.max(until);
                let next = Duration::from_secs_f64(float(told) / rate);
                thread::sleep(next.saturating_sub(start.elapsed()).min(NAP));
            }
            // Whoever still waits is told that there is nothing more to do.
            due.add_permits(senders);
        });
        pace
    }

    fn new(gap: Option<Duration>, length: Duration, turns: usize) -> Self {
        Self {
            start: Instant::now(),
            gap,
            length,
            turns,
            next: AtomicUsize::new(0),
            waited: AtomicUsize::new(0),
            due: Arc::new(Semaphore::new(0)),
            over: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The next turn and when it was due; `None` when the run is over.
    pub async fn turn(&self) -> Option<(usize, Instant)> {
        if self.over.load(Ordering::Relaxed) {
            return None;
        }
        let Some(gap) = self.gap else {
            let now = Instant::now();
            let open = now.duration_since(self.start) < self.length;
            return open.then(|| (self.next.fetch_add(1, Ordering::Relaxed), now));
        };
        let waited = self.due.available_permits() > 0;
        self.due.acquire().await.ok()?.forget();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.start + gap.mul_f64(float(turn));
        if turn >= self.turns || self.over.load(Ordering::Relaxed) {
            return None;
        }
        self.waited.fetch_add(usize::from(waited), Ordering::Relaxed);
        Some((turn, due))
    }

    /// How many turns of an open loop were due before a sender was free for them.
    pub fn waited(&self) -> usize {
        self.waited.load(Ordering::Relaxed)
    }

    /// Ends the run early.
    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// How long it has gone on.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// How many requests an open loop sends.
pub fn turns(rate: f64, length: Duration) -> usize {
    turns_by(rate, length)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate and a time are positive and small"
)]
fn turns_by(rate: f64, time: Duration) -> usize {
    (rate * time.as_secs_f64()).ceil() as usize
}

#[expect(clippy::cast_precision_loss, reason = "turns stay far below 2^52")]
fn float(turns: usize) -> f64 {
    turns as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_loop_is_late_from_its_timetable() {
        let pace = Pace::open(1000.0, Duration::from_millis(50), 1);
        // The only sender is held up; every request it then sends was due meanwhile.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut due = Vec::new();
        while let Some((turn, at)) = pace.turn().await {
            assert_eq!(turn, due.len());
            due.push(at.duration_since(pace.start));
        }
        assert_eq!(due.len(), 50);
        assert_eq!(pace.waited(), 50);
        assert!(
            due.iter().enumerate().all(|(turn, at)| *at == Duration::from_millis(1).mul_f64(float(turn)))
        );
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_has_no_further_turn() {
        for pace in [Pace::closed(Duration::from_mins(1)), Pace::open(100.0, Duration::from_mins(1), 1)] {
            assert!(pace.turn().await.is_some());
            pace.stop();
            assert!(pace.turn().await.is_none());
        }
    }
}

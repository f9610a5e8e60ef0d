//! Who gets in: so many requests in work, so many waiting for their turn, and so many bytes of bodies in memory.
//! Whoever finds no place is told at once, and what is let in stays quick, because what waits before it is bounded.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// What may be in a server at once.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Requests in work.
    pub working: usize,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// How long one waits before it is sent away, while the server keeps up: a burst or a stall of the disk no longer
    /// than this refuses nobody while there are places.
    pub burst: Duration,
    /// The same while the server is behind, when waiting longer would only answer everybody late: from when somebody had
    /// to wait all through such a burst, or found no place, until nobody had to.
    pub patience: Duration,
    /// Bytes of all bodies together.
    pub memory: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        let patience = Duration::from_secs(2);
        Self { working: 64, waiting: 64, burst: patience, patience, memory: 64 << 20 }
    }
}

/// The door.
pub(super) struct Admission {
    places: Semaphore,
    work: Semaphore,
    memory: Arc<Semaphore>,
    burst: Duration,
    patience: Duration,
    pace: Mutex<Pace>,
}

/// Whether the server is behind what it is asked for.
struct Pace {
    behind: bool,
    /// When a request last met what `behind` says: a turn to wait for, or none.
    met: Instant,
}

impl Pace {
    /// One came and had to wait, or had not. What is met all through so long a time is what is said from then on.
    fn meets(&mut self, waiting: bool, long: Duration) -> bool {
        let now = Instant::now();
        if waiting == self.behind || now - self.met > long {
            *self = Self { behind: waiting, met: now };
        }
        self.behind
    }

    /// One came and found no place: so many do not come in a burst.
    fn overrun(&mut self) {
        *self = Self { behind: true, met: Instant::now() };
    }
}

/// A request that was let in, until it is answered.
pub(super) struct Admitted<'a> {
    _place: SemaphorePermit<'a>,
    _work: SemaphorePermit<'a>,
}

impl Admission {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            places: Semaphore::new(capacity.working + capacity.waiting),
            work: Semaphore::new(capacity.working),
            memory: Arc::new(Semaphore::new(capacity.memory)),
            burst: capacity.burst,
            patience: capacity.patience,
            pace: Mutex::new(Pace { behind: false, met: Instant::now() }),
        }
    }

    /// Lets a request in when its turn has come, first come, first served; `None` when all places are taken or
    /// it has waited for too long.
    pub(super) async fn enter(&self) -> Option<Admitted<'_>> {
        let Ok(place) = self.places.try_acquire() else {
            self.pace().overrun();
            return None;
        };
        let work = match self.work.try_acquire() {
            Ok(work) => {
                self.pace().meets(false, self.burst);
                work
            }
            Err(_) => self.turn().await?,
        };
        Some(Admitted { _place: place, _work: work })
    }

    /// Waits for a turn; `None` when it has not come after so long as the pace allows, which may change meanwhile.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let came = Instant::now();
        let mut turn = pin!(self.work.acquire());
        loop {
            let behind = self.pace().meets(true, self.burst);
            let left = if behind { self.patience } else { self.burst }.saturating_sub(came.elapsed());
            if left.is_zero() {
                return None;
            }
            if let Ok(work) = tokio::time::timeout(left.min(self.patience), &mut turn).await {
                return work.ok();
            }
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for so many more bytes of a body; `None` when the bodies that are there take it all.
    pub(super) fn memory(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.memory).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Capacity = Capacity {
        working: 1,
        waiting: 1,
        burst: Duration::from_mins(1),
        patience: Duration::from_mins(1),
        memory: 10,
    };

    #[tokio::test]
    async fn one_works_one_waits_and_the_third_is_sent_away() {
        let admission = Admission::new(SMALL);
        let first = admission.enter().await.unwrap();
        let second = admission.enter();
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("there is work for one"),
            () = std::future::ready(()) => {}
        }
        assert!(admission.enter().await.is_none());
        drop(first);
        let second = second.await;
        assert!(second.is_some());
        drop(second);
        assert!(admission.enter().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_stall_is_waited_for_and_a_long_one_is_not() {
        let (burst, patience) = (Duration::from_millis(100), Duration::from_millis(10));
        let admission = Admission::new(Capacity { burst, patience, ..SMALL });
        let waited = async || {
            let since = Instant::now();
            assert!(admission.enter().await.is_none());
            since.elapsed()
        };
        let first = admission.enter().await.unwrap();
        assert_eq!(waited().await, burst);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(waited().await, patience);
        assert_eq!(waited().await, patience);
        assert_eq!(admission.places.available_permits(), 1);
        drop(first);
        let again = admission.enter().await.unwrap();
        assert_eq!(waited().await, patience);
        drop(again);
        tokio::time::advance(burst + Duration::from_millis(1)).await;
        let _kept_up = admission.enter().await.unwrap();
        assert_eq!(waited().await, burst);
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_place_is_left_those_before_wait_no_longer_either() {
        let patience = Duration::from_millis(10);
        let admission = Admission::new(Capacity { patience, ..SMALL });
        let _first = admission.enter().await.unwrap();
        let since = Instant::now();
        let (second, third) = tokio::join!(admission.enter(), admission.enter());
        assert!(second.is_none() && third.is_none());
        assert_eq!(since.elapsed(), patience);
    }

    #[test]
    fn bodies_share_their_memory() {
        let admission = Admission::new(SMALL);
        let first = admission.memory(7).unwrap();
        assert!(admission.memory(4).is_none());
        assert!(admission.memory(3).is_some());
        drop(first);
        assert!(admission.memory(10).is_some());
        assert!(admission.memory(11).is_none());
    }
}

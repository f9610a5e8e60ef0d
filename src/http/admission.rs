//! Who gets in: so many requests in work, so many waiting for their turn, and so many bytes of bodies in memory.
//! Whoever finds no place is told at once, and what is let in stays quick, because what waits before it is bounded.

use std::sync::{Arc, Mutex, PoisonError};
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
    /// than this refuses nobody.
    pub burst: Duration,
    /// The same once somebody has been waiting all through such a time: waiting longer would only answer everybody late.
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
    /// When one last got in without waiting, which nobody does while others wait.
    kept_up: Mutex<Instant>,
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
            kept_up: Mutex::new(Instant::now()),
        }
    }

    /// Lets a request in when its turn has come, first come, first served; `None` when all places are taken.
    pub(super) async fn enter(&self) -> Option<Admitted<'_>> {
        let place = self.places.try_acquire().ok()?;
        let now = Instant::now();
        let work = if let Ok(work) = self.work.try_acquire() {
            *self.kept_up.lock().unwrap_or_else(PoisonError::into_inner) = now;
            work
        } else {
            let behind = now - *self.kept_up.lock().unwrap_or_else(PoisonError::into_inner) > self.burst;
            let patience = if behind { self.patience } else { self.burst };
            tokio::time::timeout(patience, self.work.acquire()).await.ok()?.ok()?
        };
        Some(Admitted { _place: place, _work: work })
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
        let _again = admission.enter().await.unwrap();
        assert_eq!(waited().await, burst);
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

//! Following one's prescriptions: their changes in order, each once, from a place that only the exchange can write;
//! and waking whoever waits for the next. Knows no transport.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::prescription::access::AccessAct;
use crate::prescription::registered::Registered;
use crate::store::feed::Place;
use crate::store::{PrescriptionId, StoreError};

/// Streams a facility may have open at once.
pub const SEATS: usize = 4;
/// Wakings a slow listener may fall behind by before it is woken for all of them at once.
const WAKINGS: usize = 64;
/// Bytes of a place, and of the keyed hash before it.
const PLACE: usize = 32;
const TAG: usize = 16;

/// One change, and where it stands.
#[derive(Debug)]
pub struct Change {
    /// The prescription as the change left it.
    pub task: Registered,
    /// Its place.
    pub place: Place,
}

/// Whoever waits for changes. One query wakes them all.
#[derive(Debug)]
pub(super) struct Followers {
    /// Codes of the facilities that can be told something; `None` wakes everybody.
    wake: broadcast::Sender<Option<Arc<BTreeSet<String>>>>,
    seats: Mutex<HashMap<String, usize>>,
    ended: watch::Sender<bool>,
}

impl Default for Followers {
    fn default() -> Self {
        Self { wake: broadcast::channel(WAKINGS).0, seats: Mutex::default(), ended: watch::channel(false).0 }
    }
}

/// A facility's right to wait. Given back when dropped.
#[derive(Debug)]
pub struct Seat {
    facility: String,
    followers: Arc<Followers>,
    wake: broadcast::Receiver<Option<Arc<BTreeSet<String>>>>,
    ended: watch::Receiver<bool>,
}

impl Seat {
    /// Waits until there may be something new for this facility.
    pub async fn woken(&mut self) {
        loop {
            match self.wake.recv().await {
                Ok(Some(concerned)) if !concerned.contains(&self.facility) => {}
                // Who has fallen behind may have missed its own waking.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    /// A watch on the end of the exchange's service.
    pub fn ended(&self) -> watch::Receiver<bool> {
        self.ended.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.followers.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.facility) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.facility);
            }
        }
    }
}

impl Exchange {
    /// The next changes of the caller's prescriptions, oldest first, at most `count`.
    ///
    /// # Errors
    ///
    /// `not-permitted` for who is no facility.
    pub async fn task_changes(
        &self,
        caller: &Caller,
        after: Place,
        count: u32,
        request: &Request,
    ) -> Result<Vec<Change>, ExchangeError> {
        let facility = caller.facility()?;
        let rows = self.store.feed_list(&facility.code, caller.pharmacy().is_ok(), after, count).await?;
        let patients: Vec<_> = rows.iter().map(|(_, row)| (row.bucket, row.patient)).collect();
        if !patients.is_empty() {
            let trace = trace(caller, request, "done");
            self.store
                .access_record_insert_many(AccessAct::Follow, &patients, self.clock.now(), &trace)
                .await?;
        }
        Ok(rows.into_iter().map(|(place, row)| Change { task: row.registered, place }).collect())
    }

    /// Every version of a prescription, the last first.
    ///
    /// # Errors
    ///
    /// `not-found`, also for what is not the caller's to see.
    pub async fn task_history(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        request: &Request,
    ) -> Result<Vec<Registered>, ExchangeError> {
        let row = self.own(caller, id).await?;
        let versions = self.store.prescription_version_list(id).await?;
        let trace = trace(caller, request, "done");
        let at = self.clock.now();
        self.store
            .access_record_insert(AccessAct::History, row.bucket, row.patient, Some(id), at, &trace)
            .await?;
        Ok(versions.into_iter().rev().map(|version| version.registered).collect())
    }

    /// The place after everything that has happened.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn feed_end(&self) -> Result<Place, StoreError> {
        self.store.feed_end().await
    }

    /// A place in words that nobody else can write and no other facility can use.
    ///
    /// # Errors
    ///
    /// `not-permitted` for who is no facility.
    pub fn place_write(&self, caller: &Caller, place: Place) -> Result<String, ExchangeError> {
        let mut bytes = [0; PLACE];
        bytes[..8].copy_from_slice(&place.transaction.to_be_bytes());
        bytes[8..24].copy_from_slice(place.prescription.as_bytes());
        bytes[24..].copy_from_slice(&place.version.to_be_bytes());
        let tag = self.place_tag(caller, &bytes)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&tag[..], &bytes].concat()))
    }

    /// The place that [`Exchange::place_write`] wrote for the same facility; `None` for any other text.
    ///
    /// # Errors
    ///
    /// `not-permitted` for who is no facility.
    pub fn place_read(&self, caller: &Caller, text: &str) -> Result<Option<Place>, ExchangeError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let Some((tag, place)) = bytes.split_at_checked(TAG) else { return Ok(None) };
        let Ok(place) = <[u8; PLACE]>::try_from(place) else { return Ok(None) };
        // Every byte is looked at, whichever differs.
        let wanted = self.place_tag(caller, &place)?;
        if tag.iter().zip(wanted).fold(0, |differs, (given, wanted)| differs | (given ^ wanted)) != 0 {
            return Ok(None);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&place[at..at + 8]);
            bytes
        };
        Ok(Some(Place {
            transaction: u64::from_be_bytes(number(0)),
            prescription: Uuid::from_slice(&place[8..24]).unwrap_or_default(),
            version: i64::from_be_bytes(number(24)),
        }))
    }

    fn place_tag(&self, caller: &Caller, place: &[u8]) -> Result<[u8; TAG], ExchangeError> {
        let code = caller.facility()?.code.as_str().as_bytes();
        let mut tag = [0; TAG];
        tag.copy_from_slice(&self.store.lookup().hash("feed-place", &[code, place])[..TAG]);
        Ok(tag)
    }

    /// A seat among those who wait; `None` when the facility has taken all of its own.
    ///
    /// # Errors
    ///
    /// `not-permitted` for who is no facility.
    pub fn feed_seat(&self, caller: &Caller) -> Result<Option<Seat>, ExchangeError> {
        let facility = caller.facility()?.code.as_str().to_owned();
        let followers = &self.followers;
        let mut seats = followers.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(facility.clone()).or_default();
        if *taken == SEATS {
            return Ok(None);
        }
        *taken += 1;
        Ok(Some(Seat {
            facility,
            followers: Arc::clone(followers),
            wake: followers.wake.subscribe(),
            ended: followers.ended.subscribe(),
        }))
    }

    /// Wakes whoever can be told something since the transaction `seen`, which it moves on. Without anybody waiting
    /// nothing is asked; the first who waits again wakes everybody once, for what nobody asked about.
    pub async fn feed_wake(&self, seen: &mut Option<u64>) {
        if self.followers.wake.receiver_count() == 0 {
            *seen = None;
            return;
        }
        let concerned = match self.store.feed_concerned(seen.unwrap_or(u64::MAX >> 1)).await {
            Ok((horizon, concerned)) => {
                let everybody = seen.replace(horizon).is_none();
                if everybody { None } else { Some(Arc::new(concerned)) }
            }
            Err(error) => {
                tracing::warn!(%error, "followers could not be woken");
                return;
            }
        };
        if concerned.as_ref().is_none_or(|concerned| !concerned.is_empty()) {
            // Nobody may be waiting any more.
            let _ = self.followers.wake.send(concerned);
        }
    }

    /// Ends every wait, for good: the server stops.
    pub fn feed_end_all(&self) {
        self.followers.ended.send_replace(true);
    }
}

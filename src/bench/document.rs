//! The documents of a drawn prescription: what the clinic signs, what the pharmacy answers with. Signing is spread over
//! every processor and never measured.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::BenchError;
use super::cast::Cast;
use super::drug::{Drug, Drugs};
use super::form::Form;
use super::order::{DAYS, order};
use super::person::person;
use super::population::{Drawn, Population};
use crate::clock::japanese_date;
use crate::formulary::Formulary;
use crate::sandbox::document::{Draft, Tablet};
use crate::sandbox::persona::PatientPersona;

/// Told how many of how many are done.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Everything documents are made of.
pub struct Desk {
    /// Who signs.
    pub cast: Cast,
    /// For whom.
    pub population: Population,
    /// In which form they are signed.
    pub form: Form,
    /// What is prescribed.
    pub drugs: Drugs,
    /// What the server knows of it.
    pub formulary: std::sync::Arc<Formulary>,
}

/// A delivered prescription that waits for its result.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// What it was drawn as.
    pub drawn: Drawn,
    /// `Task.id`
    pub id: Uuid,
    /// The delivered form.
    pub document: Vec<u8>,
}

impl Desk {
    /// A clinic's draft as SJ1, unsigned.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub fn sj1(&self, drawn: Drawn, drugs: &[&Drug], now: DateTime<Utc>) -> Result<Vec<u8>, BenchError> {
        self.with_draft(drawn, drugs, now, |draft| Ok(draft.sj1()?))
    }

    /// A clinic's signed prescription.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub fn prescription(&self, drawn: Drawn, now: DateTime<Utc>) -> Result<Bytes, BenchError> {
        let drugs = order(&self.population, drawn, &self.drugs, &self.formulary)?;
        let sj1 = self.sj1(drawn, &drugs, now)?;
        let place = &self.cast.places[self.cast.clinic(drawn.person, drawn.round)];
        self.form.prescription(drawn, &sj1, place, now)
    }

    /// A pharmacy's signed result that gives what was prescribed.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub fn dispensing(&self, delivered: &Delivered, now: DateTime<Utc>) -> Result<Bytes, BenchError> {
        let drawn = delivered.drawn;
        let drugs = order(&self.population, drawn, &self.drugs, &self.formulary)?;
        let pharmacy = &self.cast.places[self.cast.pharmacy(drawn.person)];
        let cj1 = self.with_draft(drawn, &drugs, now, |draft| {
            Ok(draft.cj1(delivered.id, &pharmacy.facility, &pharmacy.person)?)
        })?;
        self.form.dispensing(&delivered.document, &cj1, pharmacy, now)
    }

    fn with_draft<T>(
        &self,
        drawn: Drawn,
        drugs: &[&Drug],
        now: DateTime<Utc>,
        write: impl FnOnce(&Draft<'_>) -> Result<T, BenchError>,
    ) -> Result<T, BenchError> {
        let patient: PatientPersona = person(drawn.person);
        let clinic = &self.cast.places[self.cast.clinic(drawn.person, drawn.round)];
        let tablets: Vec<Tablet<'_>> =
            drugs.iter().map(|drug| Tablet { receipt_code: &drug.receipt_code, name: &drug.name }).collect();
        write(&Draft {
            clinic: &clinic.facility,
            prescriber: &clinic.person,
            insurance: patient.insurances.last().ok_or(BenchError::Insured)?,
            patient: &patient,
            tablets: &tablets,
            days: DAYS,
            issued_on: japanese_date(now),
            mark: format!("{}-{}", drawn.person, drawn.round),
        })
    }
}

/// Makes one thing of each on every processor at once, in order.
///
/// # Errors
///
/// The first that failed.
pub fn make_all<T: Sync, U: Send>(
    from: &[T],
    make: impl Fn(&T) -> Result<U, BenchError> + Sync,
    progress: Progress<'_>,
) -> Result<Vec<U>, BenchError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut part = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = from.get(at) else { return Ok(part) };
            part.push((at, make(one)?));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, from.len());
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().map_err(|_| BenchError::Worker)?);
        joined.collect::<Result<Vec<Vec<(usize, U)>>, BenchError>>()
    })?;
    let mut all: Vec<(usize, U)> = parts.into_iter().flatten().collect();
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_at_once_comes_in_order() {
        let numbers: Vec<usize> = (0..1000).collect();
        let made = make_all(&numbers, |n| Ok(n * 2), &|_, of| assert_eq!(of, 1000)).unwrap();
        assert!(made.iter().enumerate().all(|(at, made)| *made == at * 2));
        let failed =
            make_all(&numbers, |n| if *n == 7 { Err(BenchError::Exhausted) } else { Ok(()) }, &|_, _| ());
        assert!(matches!(failed, Err(BenchError::Exhausted)));
    }
}

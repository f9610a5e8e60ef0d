//! The synthetic population of a sandbox: who is in it, what each was given before, and which prescriptions were drawn
//! for them since. Writes the persons into the database in bulk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::BenchError;
use super::drug::Drugs;
use super::person::{Visit, insured, person, visits};
use crate::check::{LineContent, Period, Source, Supply};
use crate::prescription::registered::{DocumentVersion, ExchangeNumber, Registered};
use crate::prescription::state::{Act, Dispensed, Kind, Life, Terms};
use crate::sandbox::persona::Gender;
use crate::store::directory::{Particulars, Sex};
use crate::store::load::{Load, LoadedPerson, LoadedPrescription};
use crate::store::prescription::Details;
use crate::store::{PatientId, Store, StoreError};

/// Persons written in one transaction.
const TOGETHER: usize = 250;

/// How long a pharmacy may hold a prescription.
pub(super) const LEASE: TimeDelta = TimeDelta::days(7);

/// Told how many rows of medication history are written.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// Everybody, in the order they came: person 0 is the first of the first cohort.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// The table of weights the histories were drawn by; none: our own.
    pub frequencies: Option<PathBuf>,
    /// Those who were populated together.
    pub cohorts: Vec<Cohort>,
}

/// Those who were populated together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cohort {
    /// The number of the first person.
    pub first: u64,
    /// How many.
    pub persons: u64,
    /// Earlier visits of all of them.
    pub visits: u64,
    /// The day the visits lead up to.
    pub day: NaiveDate,
    /// Prescriptions drawn for them since.
    pub drawn: u64,
}

/// A prescription to be written: the `round`th one drawn for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The person's number.
    pub person: u64,
    /// How many were drawn for the same person before.
    pub round: u64,
}

impl Population {
    fn path(directory: &Path) -> PathBuf {
        directory.join("population.json")
    }

    /// The population of a bench directory; nobody when there is none yet.
    ///
    /// # Errors
    ///
    /// [`BenchError`], when the file is there and cannot be read.
    pub fn open(directory: &Path) -> Result<Self, BenchError> {
        let path = Self::path(directory);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text.map_err(|source| BenchError::File { path: path.clone(), source })?,
        };
        serde_json::from_str(&text).map_err(|error| BenchError::Content { path, fault: error.to_string() })
    }

    /// Keeps it.
    ///
    /// # Errors
    ///
    /// [`BenchError::File`]
    pub fn save(&self, directory: &Path) -> Result<(), BenchError> {
        let path = Self::path(directory);
        let write = || {
            fs::create_dir_all(directory)?;
            let draft = path.with_extension("draft");
            fs::write(&draft, serde_json::to_string_pretty(self)?)?;
            fs::rename(&draft, &path)
        };
        write().map_err(|source| BenchError::File { path: path.clone(), source })
    }

    /// How many persons.
    pub fn len(&self) -> u64 {
        self.cohorts.iter().map(|cohort| cohort.persons).sum()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A further cohort, not yet written: so many persons with so many earlier visits among them.
    #[must_use]
    pub fn cohort(&self, persons: u64, visits: u64, day: NaiveDate) -> Cohort {
        Cohort { first: self.len(), persons, visits, day, drawn: 0 }
    }

    /// The earlier visits of a person.
    ///
    /// # Errors
    ///
    /// [`BenchError::NoPopulation`] for a number nobody has.
    pub fn visits<'d>(&self, number: u64, drugs: &'d Drugs) -> Result<Vec<Visit<'d>>, BenchError> {
        let cohort =
            self.cohorts.iter().rfind(|cohort| cohort.first <= number).ok_or(BenchError::NoPopulation)?;
        Ok(visits(number, cohort.visits_of(number), cohort.day, drugs)?)
    }

    /// The next `count` prescriptions: everybody gets one before anybody gets a second.
    ///
    /// # Errors
    ///
    /// [`BenchError::NoPopulation`]
    pub fn draw(&mut self, count: usize) -> Result<Vec<Drawn>, BenchError> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            let least = self.cohorts.iter_mut().filter(|cohort| cohort.persons > 0);
            let cohort =
                least.min_by_key(|cohort| cohort.drawn / cohort.persons).ok_or(BenchError::NoPopulation)?;
            all.push(Drawn {
                person: cohort.first + cohort.drawn % cohort.persons,
                round: cohort.drawn / cohort.persons,
            });
            cohort.drawn += 1;
        }
        Ok(all)
    }
}

impl Cohort {
    /// Visits are shared out evenly, the rest among the first.
    fn visits_of(&self, number: u64) -> u64 {
        let (each, rest) = (self.visits / self.persons, self.visits % self.persons);
        each + u64::from(number - self.first < rest)
    }

    /// Writes the cohort into the database, sealing on every processor, and answers how many rows of medication
    /// history it has. What was written stays when this is broken off.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn write(
        &self,
        store: &Store,
        drugs: &Arc<Drugs>,
        progress: Progress,
    ) -> Result<u64, BenchError> {
        let ids = Arc::new(self.ids(store)?);
        let next = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        let workers = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        for _ in 0..workers {
            let (cohort, store, drugs, ids, next, progress) = (
                self.clone(),
                store.clone(),
                Arc::clone(drugs),
                Arc::clone(&ids),
                Arc::clone(&next),
                Arc::clone(&progress),
            );
            writers.spawn(async move {
                let mut rows = 0;
                loop {
                    let from = next.fetch_add(TOGETHER, Ordering::Relaxed);
                    if from >= ids.len() {
                        return Ok::<u64, BenchError>(rows);
                    }
                    let (cohort, sealing, drugs, ids) =
                        (cohort.clone(), store.clone(), Arc::clone(&drugs), Arc::clone(&ids));
                    let load = tokio::task::spawn_blocking(move || cohort.seal(&sealing, &drugs, &ids, from))
                        .await
                        .map_err(|_| BenchError::Worker)??;
                    store.load(&load).await?;
                    rows += load.medications() as u64;
                    progress(load.medications() as u64);
                }
            });
        }
        let mut rows = 0;
        while let Some(written) = writers.join_next().await {
            rows += written.map_err(|_| BenchError::Worker)??;
        }
        store.load_finish().await?;
        Ok(rows)
    }

    /// Ids in the order of their buckets, so that rows that lie together in an index are written together.
    fn ids(&self, store: &Store) -> Result<Vec<PatientId>, BenchError> {
        let buckets = store.buckets();
        let mint = || buckets.patient_mint(store.rng()).map_err(StoreError::from);
        let mut ids = (0..self.persons).map(|_| mint()).collect::<Result<Vec<_>, _>>()?;
        ids.sort_by_cached_key(|id| (buckets.of_patient(*id), *id));
        Ok(ids)
    }

    fn seal(&self, store: &Store, drugs: &Drugs, ids: &[PatientId], from: usize) -> Result<Load, BenchError> {
        let mut load = Load::default();
        for (id, number) in ids.iter().skip(from).take(TOGETHER).zip(self.first + from as u64..) {
            load.add(store, &self.loaded(store, drugs, *id, number)?)?;
        }
        Ok(load)
    }

    fn loaded(
        &self,
        store: &Store,
        drugs: &Drugs,
        id: PatientId,
        number: u64,
    ) -> Result<LoadedPerson, BenchError> {
        let persona = person(number);
        let insurance = persona.insurances.last().ok_or(BenchError::Insured)?;
        let visits = visits(number, self.visits_of(number), self.day, drugs)?;
        let mut numbers = Vec::with_capacity(visits.len());
        let prescriptions = visits
            .iter()
            .map(|visit| prescription(store, id, visit, number_draw(store, &mut numbers)?))
            .collect::<Result<Vec<_>, BenchError>>()?;
        Ok(LoadedPerson {
            id,
            particulars: Particulars {
                name: persona.name.clone(),
                kana: Some(persona.kana.clone()),
                birth_date: persona.birth_date,
                sex: match persona.sex {
                    Gender::Male => Sex::Male,
                    Gender::Female => Sex::Female,
                },
                deceased_on: None,
            },
            identity: insured(&persona)?,
            valid_from: insurance.valid_from,
            prescriptions,
        })
    }
}

/// A number that the patient has not had.
fn number_draw(store: &Store, had: &mut Vec<ExchangeNumber>) -> Result<ExchangeNumber, BenchError> {
    loop {
        let number = ExchangeNumber::draw(store.rng()).map_err(StoreError::from)?;
        if !had.contains(&number) {
            had.push(number.clone());
            return Ok(number);
        }
    }
}

/// A visit as the exchange would keep it.
fn prescription(
    store: &Store,
    patient: PatientId,
    visit: &Visit<'_>,
    number: ExchangeNumber,
) -> Result<LoadedPrescription, BenchError> {
    let bucket = store.buckets().of_patient(patient);
    let id = store.buckets().prescription_mint(store.rng(), bucket).map_err(StoreError::from)?;
    let at: DateTime<Utc> = visit.day.and_time(chrono::NaiveTime::MIN).and_utc();
    let terms = Terms { valid_until: visit.day + Days::new(3), first_due: None, uses_allowed: 1 };
    let by = visit.pharmacy.clone();
    let issued = Life::issued(Kind::Electronic, terms);
    let accepted = issued.after(&Act::Accept { by: by.clone(), lease: LEASE }, at)?;
    let supply = Dispensed { on: visit.day, days: visit.days, important: false };
    let dispensed = accepted.after(&Act::Dispense { by, supply, complete: true }, at)?;
    let periods = |source| -> Vec<Period> {
        let interval = Supply::Days(visit.days).interval_from(visit.day);
        let period = |drug: &&super::drug::Drug| Period {
            source,
            document: id.to_string(),
            content: LineContent::Drug,
            code: Some(drug.code()),
            name: drug.name.clone(),
            substance: None,
            interval,
            institution: Some(visit.clinic.clone()),
            institution_name: "履歴クリニック".to_owned(),
            split: None,
        };
        visit.drugs.iter().map(period).collect()
    };
    let clinic_name = Some("履歴クリニック".to_owned());
    Ok(LoadedPrescription {
        registered: Registered {
            id: *id.as_uuid(),
            version: 3,
            clinic: visit.clinic.clone(),
            clinic_name: clinic_name.clone(),
            exchange_number: Some(number.clone()),
            issued_on: visit.day,
            registered_at: at,
            changed_at: at,
            life: dispensed.clone(),
            document: DocumentVersion { number: 1, at },
        },
        past: vec![("register", issued), ("accept", accepted), ("dispense", dispensed)],
        details: Details { exchange_number: Some(number), clinic_name, conversions: Vec::new() },
        prescribed: periods(Source::Prescribed),
        dispensed: periods(Source::Dispensed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_gets_one_before_anybody_gets_a_second() {
        let day = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        let mut population = Population::default();
        assert!(matches!(population.draw(1), Err(BenchError::NoPopulation)));
        population.cohorts.push(population.cohort(2, 5, day));
        assert_eq!(population.draw(3).unwrap().last(), Some(&Drawn { person: 0, round: 1 }));
        population.cohorts.push(population.cohort(3, 0, day));
        let drawn = population.draw(6).unwrap();
        assert!([2, 3, 4].iter().all(|person| drawn.contains(&Drawn { person: *person, round: 0 })));
        let mut told = drawn.clone();
        told.dedup();
        assert!(told == drawn && !drawn.contains(&Drawn { person: 0, round: 1 }), "{drawn:?}");
        assert_eq!((0..2).map(|n| population.cohorts[0].visits_of(n)).collect::<Vec<_>>(), [3, 2]);
    }
}

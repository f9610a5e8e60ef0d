//! Whose data a request has come to, so that a refusal is recorded too (invariant 7): acts say it where they find it
//! out, and the door records it when the answer is a refusal. Knows no transport.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::caller::{Actor, Caller};
use super::{Exchange, content};
use crate::prescription::access::{AccessAct, Who};
use crate::store::access::Trace;
use crate::store::{PatientId, PrescriptionId, StoreError};

/// Seconds in which a repeated refusal is one record.
const REPEATED: i64 = 60;

/// A patient, and the prescription when it was one.
type Meeting = (PatientId, Option<PrescriptionId>);

/// The patients a request has come to. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Met(Arc<Mutex<Vec<Meeting>>>);

impl Met {
    /// The request has come to this patient's data, whatever becomes of it.
    pub fn patient(&self, patient: PatientId) {
        self.note(patient, None);
    }

    /// The request has come to this prescription of the patient's.
    pub fn prescription(&self, patient: PatientId, prescription: PrescriptionId) {
        self.note(patient, Some(prescription));
    }

    fn note(&self, patient: PatientId, prescription: Option<PrescriptionId>) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match met.iter_mut().find(|(known, _)| *known == patient) {
            Some((_, known)) => *known = known.or(prescription),
            None => met.push((patient, prescription)),
        }
    }

    fn all(&self) -> Vec<Meeting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Exchange {
    /// Records a refusal in the record of every patient the request has come to; a patient's own request that came to
    /// nobody is the patient's. The same refusal within a minute is one record, so that a storm of them is not one of
    /// records.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the refusal must not be answered then.
    pub async fn refusal_record(
        &self,
        act: AccessAct,
        caller: &Caller,
        code: &'static str,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut met = caller.met.all();
        if met.is_empty() {
            met.extend(caller.patient().map(|patient| (patient, None)));
        }
        for (patient, prescription) in met {
            let mut content = content(caller, code);
            if caller.patient().is_some_and(|own| own != patient) {
                // One patient is not named to another.
                content.who = Who::AnotherPatient;
                (content.person, content.app, content.representative, content.mandate) =
                    (None, None, None, None);
            }
            let request = self.refusal_id(act, caller, code, (patient, prescription), now);
            let bucket = self.store.buckets().of_patient(patient);
            let trace = Trace { request, content };
            self.store.access_record_insert(act, bucket, patient, prescription, now, &trace).await?;
        }
        Ok(())
    }

    /// The id of a refusal: the same for the same refusal within the same minute.
    fn refusal_id(
        &self,
        act: AccessAct,
        caller: &Caller,
        code: &str,
        (patient, prescription): Meeting,
        at: DateTime<Utc>,
    ) -> Uuid {
        let who = match &caller.actor {
            Actor::Facility(facility) => facility.code.as_str().to_owned(),
            Actor::Practitioner(person) => person.id.clone(),
            Actor::Patient { id, .. } => id.to_string(),
        };
        let person = caller.practitioner.as_ref().map_or("", |person| &person.id);
        let app = caller.app.as_ref().map_or("", |app| &app.client_id);
        let (patient, prescription) =
            (patient.to_string(), prescription.map(|id| id.to_string()).unwrap_or_default());
        let minute = at.timestamp().div_euclid(REPEATED).to_string();
        let parts = [&who, person, app, act.as_str(), code, &patient, &prescription, &minute];
        let hash = self.store.lookup().hash("refusal", &parts);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Uuid::new_v8(id)
    }
}

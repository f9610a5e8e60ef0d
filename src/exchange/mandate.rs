//! Representatives (代理人): a patient lets a parent, guardian, relative or carer act for them. A mandate is asked for at
//! every use of a token got with it, and gives nobody the right to give another.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::prescription::access::AccessAct;
use crate::prescription::mandate::{MandateScope, Relationship};
use crate::store::PatientId;
use crate::store::mandate::Mandate;

/// Who acts for the patient behind a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Representative {
    /// The person's own id.
    pub id: Uuid,
    /// The name in the directory.
    pub name: String,
    /// The mandate.
    pub mandate: Uuid,
    /// How far it goes.
    pub scope: MandateScope,
}

/// A mandate a patient gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Who is to act.
    pub representative: PatientId,
    /// What the one is to the other.
    pub relationship: Relationship,
    /// How far.
    pub scope: MandateScope,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// A mandate with the names of both.
#[derive(Clone, Debug)]
pub struct NamedMandate {
    /// The mandate.
    pub mandate: Mandate,
    /// Who is represented.
    pub patient_name: String,
    /// Who acts.
    pub representative_name: String,
}

impl Exchange {
    /// The patient gives a mandate.
    ///
    /// # Errors
    ///
    /// `not-permitted` for all but the patient in person; `document-invalid` when there is no such person, it is the
    /// patient's own id, or the end has passed.
    pub async fn mandate_give(
        &self,
        caller: &Caller,
        given: &Given,
        request: &Request,
    ) -> Result<NamedMandate, ExchangeError> {
        let patient = in_person(caller)?;
        let now = self.clock.now();
        let fault = |place: &str, message: &str| {
            ExchangeError::Document(vec![Fault { place: place.to_owned(), message: message.to_owned() }])
        };
        if given.until <= now {
            return Err(fault("RelatedPerson.period.end", "expected a time to come"));
        }
        let representative = self.store.person_of(given.representative).await?;
        let known = self.name_of(representative).await?;
        let Some(representative_name) = known.filter(|_| representative != patient) else {
            return Err(fault(
                "RelatedPerson.identifier[0].value",
                "expected the id of another patient here",
            ));
        };
        let mandate = Mandate {
            id: self.request_id()?,
            patient,
            representative,
            relationship: given.relationship,
            scope: given.scope,
            granted_at: now,
            until: given.until,
        };
        let mut trace = trace(caller, request, "done");
        trace.content.representative = Some(representative_name.clone());
        trace.content.mandate = Some(mandate.id);
        self.store.mandate_insert(&mandate, None, &trace).await?;
        let patient_name = caller.person_name().unwrap_or_default().to_owned();
        Ok(NamedMandate { mandate, patient_name, representative_name })
    }

    /// The mandates in force that the person has given or holds.
    ///
    /// # Errors
    ///
    /// `not-permitted` for all but a patient in person.
    pub async fn mandates(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Vec<NamedMandate>, ExchangeError> {
        let patient = in_person(caller)?;
        let records = self.store.person_records(patient).await?;
        let now = self.clock.now();
        let bucket = self.store.buckets().of_patient(patient);
        let trace = trace(caller, request, "done");
        self.store.access_record_insert(AccessAct::MandateList, bucket, patient, None, now, &trace).await?;
        let mut named = Vec::new();
        for mandate in self.store.mandate_list(&records, now).await? {
            let patient_name = self.name_of(mandate.patient).await?.unwrap_or_default();
            let representative_name = self.name_of(mandate.representative).await?.unwrap_or_default();
            named.push(NamedMandate { mandate, patient_name, representative_name });
        }
        Ok(named)
    }

    /// The patient withdraws a mandate, or the representative gives it back. Tokens got with it end at once.
    ///
    /// # Errors
    ///
    /// `not-permitted` for all but a patient in person; `not-found` when neither gave nor holds it.
    pub async fn mandate_end(
        &self,
        caller: &Caller,
        id: Uuid,
        request: &Request,
    ) -> Result<(), ExchangeError> {
        let records = self.store.person_records(in_person(caller)?).await?;
        let now = self.clock.now();
        let held = self.store.mandate_list(&records, now).await?.into_iter().find(|held| held.id == id);
        let held = held.ok_or(ExchangeError::NotFound)?;
        let mut trace = trace(caller, request, "done");
        trace.content.representative = self.name_of(held.representative).await?;
        trace.content.mandate = Some(id);
        if records.contains(&held.representative) {
            // In the patient's record it is the representative who did it.
            trace.content.person = None;
        }
        let ended = self.store.mandate_end(id, &records, now, &trace).await?;
        ended.map(|_| ()).ok_or(ExchangeError::NotFound)
    }

    /// The name of a living person.
    pub(super) async fn name_of(&self, patient: PatientId) -> Result<Option<String>, ExchangeError> {
        let entry = self.store.patient_find(patient, japanese_date(self.clock.now())).await?;
        let particulars = entry.map(|entry| entry.patient.particulars);
        Ok(particulars.filter(|person| person.deceased_on.is_none()).map(|person| person.name))
    }
}

/// The patient, by the patient's own card: nobody in the patient's place.
fn in_person(caller: &Caller) -> Result<PatientId, ExchangeError> {
    match (caller.patient(), &caller.representative) {
        (Some(patient), None) => Ok(patient),
        (Some(_), Some(_)) => Err(ExchangeError::NotPermitted("a representative gives no mandates")),
        (None, _) => Err(ExchangeError::NotPermitted("this is for the patient; use the patient's own token")),
    }
}

impl Caller {
    /// The patient, or a representative whose mandate is to act and not only to read.
    ///
    /// # Errors
    ///
    /// `not-permitted`. Professionals pass: what they may do is decided elsewhere.
    pub fn may_manage(&self) -> Result<(), ExchangeError> {
        match &self.representative {
            Some(representative) if representative.scope == MandateScope::Read => {
                Err(ExchangeError::NotPermitted("this mandate is to read only"))
            }
            _ => Ok(()),
        }
    }
}

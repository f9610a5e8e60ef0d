//! Standing consents and refusals: the patient gives, sees and withdraws them, and nobody else.

use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::codec::fault::Fault;
use crate::prescription::consent::{Channel, Decision, Provision};
use crate::store::PatientId;
use crate::store::consent::ConsentRow;

impl Exchange {
    /// Keeps a decision in the place of the standing one for the same facility and kind. It holds from now on, for
    /// identity tokens already given too.
    ///
    /// # Errors
    ///
    /// `not-permitted` for others than patients; `document-invalid` when the facility is not registered here or the
    /// end has passed.
    pub async fn consent_put(
        &self,
        caller: &Caller,
        decision: &Decision,
        request: &Request,
    ) -> Result<ConsentRow, ExchangeError> {
        let patient = own(caller)?;
        caller.may_manage()?;
        let now = self.clock.now();
        let fault = |place: &str, message: &str| {
            ExchangeError::Document(vec![Fault { place: place.to_owned(), message: message.to_owned() }])
        };
        if decision.until.is_some_and(|until| until <= now) {
            return Err(fault("Consent.provision.period.end", "expected a time to come"));
        }
        let provision = Provision {
            id: self.request_id()?,
            kind: decision.kind,
            permit: decision.permit,
            channel: Channel::PatientApp,
            until: decision.until,
        };
        let trace = trace(caller, request, "done");
        self.store
            .consent_put(patient, &provision, decision.facility.as_ref(), now, &trace)
            .await?
            .ok_or_else(|| {
                fault("Consent.provision.actor[0].reference", "expected a facility registered here")
            })
    }

    /// What is in force: standing decisions, and consents given at card readers that have not ended.
    ///
    /// # Errors
    ///
    /// `not-permitted` for others than patients.
    pub async fn consent_list(
        &self,
        caller: &Caller,
        request: &Request,
    ) -> Result<Vec<ConsentRow>, ExchangeError> {
        let patient = own(caller)?;
        let trace = trace(caller, request, "done");
        Ok(self.store.consent_list(patient, self.clock.now(), &trace).await?)
    }

    /// Withdraws a consent or refusal. From now on it opens or closes nothing.
    ///
    /// # Errors
    ///
    /// `not-permitted` for others than patients; `not-found` when none of the patient's with this id is in force.
    pub async fn consent_withdraw(
        &self,
        caller: &Caller,
        id: Uuid,
        request: &Request,
    ) -> Result<(), ExchangeError> {
        let patient = own(caller)?;
        caller.may_manage()?;
        let trace = trace(caller, request, "done");
        if self.store.consent_withdraw(patient, id, self.clock.now(), &trace).await? {
            Ok(())
        } else {
            Err(ExchangeError::NotFound)
        }
    }
}

fn own(caller: &Caller) -> Result<PatientId, ExchangeError> {
    caller
        .patient()
        .ok_or(ExchangeError::NotPermitted("this is for the patient; use the patient's own token"))
}

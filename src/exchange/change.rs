//! Cancel, renew, return and collect: acts that change nothing but the state.

use super::caller::Caller;
use super::error::ExchangeError;
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, trace};
use crate::prescription::access::AccessAct;
use crate::prescription::registered::Registered;
use crate::prescription::state::{Act, Life};
use crate::store::PrescriptionId;
use crate::store::prescription::{Doing, PrescriptionRow, Written};

impl Exchange {
    /// 処方箋取消: the issuing clinic takes a prescription back.
    ///
    /// # Errors
    ///
    /// `held-by-pharmacy`, `already-dispensed`, `cancelled` or `expired` when it cannot be; `not-found` for any
    /// other facility.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        reason: String,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        caller.clinic()?;
        self.change(AccessAct::Cancel, caller, id, &Act::Cancel, Some(reason), request).await
    }

    /// The holder's lease begins anew.
    ///
    /// # Errors
    ///
    /// `state-conflict` when the lease has ended; `not-found` for any other facility.
    pub async fn renew(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let by = caller.pharmacy()?.code.clone();
        let act = Act::Renew { by, lease: self.settings.lease };
        self.change(AccessAct::Renew, caller, id, &act, None, request).await
    }

    /// 受付取消: the holder gives the prescription back.
    ///
    /// # Errors
    ///
    /// `already-dispensed` once anything was dispensed; `not-found` for any other facility.
    pub async fn give_back(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        reason: String,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let by = caller.pharmacy()?.code.clone();
        self.change(AccessAct::Return, caller, id, &Act::Return { by }, Some(reason), request).await
    }

    /// 回収: the holder keeps the prescription for good; nothing more is dispensed on it.
    ///
    /// # Errors
    ///
    /// `state-conflict` when the lease has ended; `not-found` for any other facility.
    pub async fn collect(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        reason: String,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let by = caller.pharmacy()?.code.clone();
        self.change(AccessAct::Collect, caller, id, &Act::Collect { by }, Some(reason), request).await
    }

    async fn change(
        &self,
        recorded: AccessAct,
        caller: &Caller,
        id: PrescriptionId,
        act: &Act,
        reason: Option<String>,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        for _ in 0..ATTEMPTS {
            if let Some(answered) = self.replayed(caller, request).await? {
                return Ok(answered);
            }
            let now = self.clock.now();
            let row = self.own(caller, id).await?;
            if_match(request, &row.registered)?;
            let next = row.registered.life.after(act, now)?;
            let outcome = TaskOutcome::of(changed(&row, next, now), now);
            let answer = Self::answer(caller, request, &outcome, now)?;
            let mut trace = trace(caller, request, "done");
            trace.content.reason.clone_from(&reason);
            let concerned = caller.pharmacy().ok().map(|pharmacy| &pharmacy.code);
            let doing = Doing { act: recorded, concerned, now, trace: &trace, answer: answer.as_ref() };
            match self.store.prescription_change(&row, &outcome.task.life, &doing).await? {
                Written::Yes => return Ok(Answered { outcome, replayed: false }),
                Written::Lost => {}
            }
        }
        Err(crate::store::StoreError::Overloaded.into())
    }

    /// The prescription, when this facility may know of it: it issued, holds, held last or dispensed it.
    pub(super) async fn own(
        &self,
        caller: &Caller,
        id: PrescriptionId,
    ) -> Result<PrescriptionRow, ExchangeError> {
        let row = self.store.prescription_find(id).await?.ok_or(ExchangeError::NotFound)?;
        caller.met.prescription(row.patient, id);
        if caller.may_see(&row) {
            return Ok(row);
        }
        match caller.patient() {
            Some(patient) if self.one_person(row.patient, patient).await? => Ok(row),
            _ => Err(ExchangeError::NotFound),
        }
    }
}

pub(super) fn if_match(request: &Request, task: &Registered) -> Result<(), ExchangeError> {
    match request.if_match {
        Some(version) if version != task.version => Err(ExchangeError::VersionMismatch),
        _ => Ok(()),
    }
}

/// The prescription after a change.
pub(super) fn changed(row: &PrescriptionRow, next: Life, now: chrono::DateTime<chrono::Utc>) -> Registered {
    Registered { version: row.registered.version + 1, life: next, changed_at: now, ..row.registered.clone() }
}

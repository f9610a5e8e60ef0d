//! 調剤結果取消: a pharmacy withdraws a dispensing result of its own. The use is open again and stays with it, for the
//! medicine may have left the shelf; it cannot be returned any more.

use super::caller::Caller;
use super::change::{changed, if_match};
use super::error::ExchangeError;
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, trace};
use crate::prescription::access::AccessAct;
use crate::prescription::state::{Act, Refusal};
use crate::store::prescription::{Doing, Written};
use crate::store::{PrescriptionId, StoreError};

impl Exchange {
    /// Withdraws the pharmacy's result of this number, or its last one that stands.
    ///
    /// # Errors
    ///
    /// `state-conflict` when there is none or a later one stands; `held-by-pharmacy` when the next use is held;
    /// `not-found` for any other facility.
    pub async fn withdraw_dispense(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        result: Option<i16>,
        reason: String,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let mut trace = trace(caller, request, "done");
        trace.content.reason = Some(reason);
        for _ in 0..ATTEMPTS {
            if let Some(answered) = self.replayed(caller, request).await? {
                return Ok(answered);
            }
            let now = self.clock.now();
            let row = self.own(caller, id).await?;
            if_match(request, &row.registered)?;
            let life = &row.registered.life;
            let result =
                result.or_else(|| life.results.last_of(&pharmacy.code)).ok_or(Refusal::NoSuchResult)?;
            let by = pharmacy.code.clone();
            let next = life.after(&Act::WithdrawDispense { by, result, lease: self.settings.lease }, now)?;
            let outcome = TaskOutcome::of(changed(&row, next, now), now);
            let answer = Self::answer(caller, request, &outcome, now)?;
            let doing = Doing {
                act: AccessAct::WithdrawDispense,
                concerned: Some(&pharmacy.code),
                now,
                trace: &trace,
                answer: answer.as_ref(),
            };
            match self.store.dispensing_withdraw(&row, &outcome.task.life, result, &doing).await? {
                Written::Yes => return Ok(Answered { outcome, replayed: false }),
                Written::Lost => {}
            }
        }
        Err(StoreError::Overloaded.into())
    }
}

//! Going on in spite of a finding, with a reason that is kept.

use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::prescription::mitigation::{ManagementCode, Mitigation};
use crate::prescription::state::Refusal;
use crate::store::finding::FindingRow;

impl Exchange {
    /// Keeps the facility's reason for a finding it was shown.
    ///
    /// # Errors
    ///
    /// `not-found` when it was not shown to this facility; `state-conflict` when its document is registered
    /// already.
    pub async fn mitigate(
        &self,
        caller: &Caller,
        id: Uuid,
        code: ManagementCode,
        comment: Option<String>,
        request: &Request,
    ) -> Result<FindingRow, ExchangeError> {
        let facility = caller.facility()?;
        let row = self.store.finding_find(id, &facility.code).await?.ok_or(ExchangeError::NotFound)?;
        let mitigation = Mitigation { code, comment, facility: facility.code.clone(), at: self.clock.now() };
        let trace = trace(caller, request, "done");
        if self.store.finding_mitigate(&row, &mitigation, &trace).await? {
            Ok(FindingRow { mitigation: Some(mitigation), ..row })
        } else {
            Err(Refusal::NotHeld.into())
        }
    }
}

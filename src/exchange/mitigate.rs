//! Going on in spite of a finding, with a reason that is kept.

use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::prescription::disclosure::Disclosure;
use crate::prescription::mitigation::{ManagementCode, Mitigation};
use crate::store::finding::FindingRow;

impl Exchange {
    /// Keeps the facility's reason for a finding it was shown, and answers what may be shown of its other side.
    ///
    /// # Errors
    ///
    /// `not-found` when it was not shown to this facility; `state-conflict` when its document is registered
    /// already for another reason.
    pub async fn mitigate(
        &self,
        caller: &Caller,
        id: Uuid,
        code: ManagementCode,
        comment: Option<String>,
        request: &Request,
    ) -> Result<(FindingRow, Disclosure), ExchangeError> {
        let facility = caller.facility()?;
        let row = self.store.finding_find(id, &facility.code).await?.ok_or(ExchangeError::NotFound)?;
        caller.met.patient(row.patient);
        let mitigation = Mitigation { code, comment, facility: facility.code.clone(), at: self.clock.now() };
        let disclosure = self.disclosure_of(caller, row.patient, request).await?;
        let mut trace = trace(caller, request, "done").under(disclosure.opening());
        trace.content.reason = Some(mitigation.code.as_str().to_owned());
        if self.store.finding_mitigate(&row, &mitigation, &trace).await? {
            return Ok((FindingRow { mitigation: Some(mitigation), ..row }, disclosure));
        }
        match &row.mitigation {
            Some(given) if given.code == mitigation.code => Ok((row, disclosure)),
            _ => Err(ExchangeError::FindingAnswered),
        }
    }
}

//! 処方内容（控え）: the paper that a patient carries to a pharmacy.

use super::caller::Caller;
use super::error::ExchangeError;
use super::intake::{blocking, prescription_kept};
use super::{Exchange, Request, trace};
use crate::codec::slip::Slip;
use crate::prescription::access::AccessAct;
use crate::prescription::registered::Viewer;
use crate::store::PrescriptionId;
use crate::store::document::Part;

impl Exchange {
    /// The slip of a prescription as PDF, for the issuing clinic and the patient: it shows the exchange number.
    ///
    /// # Errors
    ///
    /// `not-found`, also for what is not the caller's to see and for what has no number, being in-house; `not-permitted` for pharmacies; `not-acceptable` when the
    /// server has no font to print with.
    pub async fn slip(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        request: &Request,
    ) -> Result<Vec<u8>, ExchangeError> {
        let row = self.own(caller, id).await?;
        if caller.viewer(&row.registered.clinic) == Viewer::Pharmacy {
            return Err(ExchangeError::NotPermitted("the slip is for the issuing clinic and the patient"));
        }
        let number = row.registered.exchange_number.clone().ok_or(ExchangeError::NotFound)?;
        let fonts = self.settings.slip_fonts.clone().ok_or(NO_FONT)?;
        let now = self.clock.now();
        let trace = trace(caller, request, "done");
        let part = Part::Prescription(row.registered.document.number);
        let document = self
            .store
            .document_read(AccessAct::Slip, (row.patient, id), part, now, &trace)
            .await?
            .ok_or(ExchangeError::NotFound)?;
        blocking(move || {
            if !fonts.usable() {
                return Err(NO_FONT);
            }
            let prescription = prescription_kept(&document)?;
            let shown = row.registered.life.shown(now);
            let slip =
                Slip { prescription: &prescription, registered: &row.registered, number: &number, shown };
            slip.pdf(&fonts)
                .map_err(|_| ExchangeError::NotAvailable("what this prescription says does not fit a slip"))
        })
        .await
    }
}

const NO_FONT: ExchangeError = ExchangeError::NotAvailable(
    "this server has no font to print slips with; its operator can name one in slip_fonts",
);

//! 調剤結果登録: the signed dispensing result is written back by the pharmacy that holds the prescription.

use super::caller::Caller;
use super::change::{changed, if_match};
use super::error::ExchangeError;
use super::identity::insured;
use super::intake::{SignedDispensing, blocking, dispensing_read};
use super::register::{EPS_XML, Shown, signer_name};
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, trace};
use crate::check::{Source, proposal};
use crate::clock::japanese_date;
use crate::codec::eps_xml::EpsPrescription;
use crate::codec::fault::Fault;
use crate::prescription::state::Act;
use crate::store::dispensing::DispensingResult;
use crate::store::document::Part;
use crate::store::prescription::{PrescriptionRow, Written};
use crate::store::{PrescriptionId, StoreError};

impl Exchange {
    /// Writes a dispensing result back. `complete` says whether this use of the prescription is now finished.
    ///
    /// # Errors
    ///
    /// Everything the contract names for `$dispense`; nothing is stored then but findings and the trace.
    pub async fn dispense(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        complete: bool,
        original: bytes::Bytes,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        if let Some(answered) = self.replayed(caller, request).await? {
            return Ok(answered);
        }
        let row = self.own(caller, id).await?;
        if_match(request, &row.registered)?;
        // Whether this pharmacy may dispense now at all, before its document is looked at.
        let now = self.clock.now();
        let probe =
            Act::Dispense { by: pharmacy.code.clone(), on: japanese_date(now), days_supplied: 0, complete };
        row.registered.life.after(&probe, now)?;

        let trace = trace(caller, request, "read");
        let stored = self
            .store
            .document_read("dispense", row.patient, id, Part::Prescription, now, &trace)
            .await?
            .ok_or(ExchangeError::Internal("a prescription has its document"))?;
        let (trust, bytes, conversions) = (self.trust(), original.clone(), row.details.conversions.clone());
        let registered_at = row.registered.registered_at;
        let signed = blocking(move || {
            let delivered = EpsPrescription::read_original(&stored.bytes)
                .and_then(|prescription| prescription.delivered(*id.as_uuid(), &conversions))
                .map_err(|_| ExchangeError::Internal("a registered document reads back"))?;
            dispensing_read(&bytes, &delivered, &trust, registered_at, now)
        })
        .await?;
        self.belongs(caller, &row, &signed).await?;
        self.dispense_checked(caller, id, complete, &signed, &original, request).await
    }

    /// Whether the document answers this prescription, for this patient, by this pharmacy, on a possible day.
    async fn belongs(
        &self,
        caller: &Caller,
        row: &PrescriptionRow,
        signed: &SignedDispensing,
    ) -> Result<(), ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let dispensing = &signed.dispensing;
        let today = japanese_date(self.clock.now());
        if dispensing.dispensed_on > today || dispensing.dispensed_on < row.registered.issued_on {
            return Err(ExchangeError::Document(vec![Fault {
                place: "CJ1.5.1".to_owned(),
                message: "the dispensing date must lie between the issue date and today".to_owned(),
            }]));
        }
        let mut faults = Vec::new();
        let mut mismatch = |place: &str, message: &str| {
            faults.push(Fault { place: place.to_owned(), message: message.to_owned() });
        };
        if dispensing.prescription_id != Some(row.registered.id) {
            mismatch("CJ1.7.1", "the prescription id is not that of this Task");
        }
        if dispensing.pharmacy.code != pharmacy.code {
            mismatch("CJ1.11", "the pharmacy is not the one that sends the document");
        }
        let person = match insured(&dispensing.identity) {
            None => None,
            Some(identity) => {
                let (born, on) = (dispensing.patient.birth_date, dispensing.dispensed_on);
                self.store.identity_find(&identity, born, on).await?
            }
        };
        if person.is_none_or(|person| person.patient.id != row.patient) {
            mismatch("CJ1.6", "the insurance data and birth date are not the patient's");
        }
        if faults.is_empty() { Ok(()) } else { Err(ExchangeError::DocumentMismatch(faults)) }
    }

    async fn dispense_checked(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        complete: bool,
        signed: &SignedDispensing,
        original: &[u8],
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let dispensing = &signed.dispensing;
        let mut trace = trace(caller, request, "done");
        // The look at the prescription above has left its own record.
        trace.request = self.request_id()?;
        trace.content.signer = Some(signer_name(&signed.signer));
        let act = Act::Dispense {
            by: pharmacy.code.clone(),
            on: dispensing.dispensed_on,
            days_supplied: dispensing.days_supplied(),
            complete,
        };
        for attempt in 0..ATTEMPTS {
            if attempt > 0
                && let Some(answered) = self.replayed(caller, request).await?
            {
                return Ok(answered);
            }
            let now = self.clock.now();
            let row = self.own(caller, id).await?;
            let history = self.history(row.patient).await?;
            if_match(request, &row.registered)?;
            let next = row.registered.life.after(&act, now)?;
            let mut proposal = signed.proposal(&row.registered.clinic);
            proposal.documents.push(id.to_string());
            let shown = Shown { patient: row.patient, request };
            let findings =
                self.findings_answered("dispense", caller, &shown, &proposal, &history, &trace).await?;
            let mut task = changed(&row, next, now);
            task.dispensers.push(pharmacy.code.clone());
            let outcome = TaskOutcome { task, at: now };
            let answer = Self::answer(caller, request, &outcome, now)?;
            let name = row.registered.clinic_name.as_deref().unwrap_or_default();
            let periods = proposal::periods(&proposal, Source::Dispensed, &id.to_string(), name);
            let written = self
                .store
                .dispensing_insert(&DispensingResult {
                    row: &row,
                    next: &outcome.task.life,
                    history_version: history.version,
                    pharmacy: &pharmacy.code,
                    media_type: EPS_XML,
                    original,
                    periods: &periods,
                    findings: &findings,
                    now,
                    trace: &trace,
                    answer: answer.as_ref(),
                })
                .await?;
            match written {
                Written::Yes => return Ok(Answered { outcome, replayed: false }),
                Written::Lost => {}
            }
        }
        Err(StoreError::Overloaded.into())
    }
}

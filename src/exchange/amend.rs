//! 処方箋変更: the issuing clinic puts another document in the place of one that nobody has used.

use super::caller::Caller;
use super::change::if_match;
use super::error::ExchangeError;
use super::form::{DocumentForm, Item};
use super::intake::{PrescriptionTaken, terms};
use super::register::{Sent, Shown, signer_name};
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, trace};
use crate::check::{Source, proposal};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::prescription::access::AccessAct;
use crate::prescription::registered::{DocumentVersion, Registered};
use crate::prescription::state::Act;
use crate::store::prescription::{Details, Doing, PrescriptionRow, Written};
use crate::store::registration::Registration;
use crate::store::{PrescriptionId, StoreError};

impl Exchange {
    /// Amends a prescription: checked like a new one, but not compared with what it replaces. It keeps its exchange
    /// number; its earlier documents are kept too.
    ///
    /// # Errors
    ///
    /// Everything the contract names for `$amend`; nothing is stored then but findings and the trace.
    pub async fn amend(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        form: DocumentForm,
        original: bytes::Bytes,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        caller.clinic()?;
        if let Some(answered) = self.replayed(caller, request).await? {
            return Ok(answered);
        }
        let row = self.own(caller, id).await?;
        if_match(request, &row.registered)?;
        // Whether it can be amended now at all, before the document is looked at.
        let probe = Act::Amend(row.registered.life.terms);
        row.registered.life.after(&probe, self.clock.now())?;
        let sent = Sent { kind: row.registered.life.kind, form, original };
        let taken = self.prescription_take(caller, &sent).await?;
        let today = japanese_date(self.clock.now());
        let (named, born) = (&taken.prescription.insurance.identity, taken.prescription.patient.birth_date);
        let patient = self.person_find(caller, named, born, today).await?;
        if !self.one_person(row.patient, patient).await? {
            return Err(ExchangeError::DocumentMismatch(vec![Fault {
                place: form.payload().place(Item::Insured).to_owned(),
                message: "the prescription to be amended is another patient's".to_owned(),
            }]));
        }
        self.amend_checked(caller, row, &sent, &taken, request).await
    }

    async fn amend_checked(
        &self,
        caller: &Caller,
        mut row: PrescriptionRow,
        sent: &Sent,
        taken: &PrescriptionTaken,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let clinic = caller.clinic()?;
        let (id, prescription) = (PrescriptionId::from_uuid(row.registered.id), &taken.prescription);
        let mut proposal = taken.proposal();
        proposal.documents.push(id.to_string());
        let mut trace = trace(caller, request, "done");
        trace.content.signer = taken.signer.as_ref().map(signer_name);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                if let Some(answered) = self.replayed(caller, request).await? {
                    return Ok(answered);
                }
                row = self.own(caller, id).await?;
                if_match(request, &row.registered)?;
            }
            let now = self.clock.now();
            let next = row.registered.life.after(&Act::Amend(terms(prescription)), now)?;
            let history = self.history(row.patient).await?;
            let shown = Shown { patient: row.patient, request };
            let checked =
                self.findings_answered(AccessAct::Amend, caller, &shown, &proposal, &history, &trace).await?;
            let number = row.registered.document.number.checked_add(1);
            let number = number.ok_or(ExchangeError::Internal("a document has too many versions"))?;
            let task = Registered {
                version: row.registered.version + 1,
                clinic_name: prescription.institution.name.clone(),
                issued_on: prescription.issued_on,
                changed_at: now,
                life: next,
                document: DocumentVersion { number, at: now },
                ..row.registered.clone()
            };
            let details = Details {
                exchange_number: task.exchange_number.clone(),
                clinic_name: task.clinic_name.clone(),
                conversions: taken.conversions.clone(),
            };
            let outcome = TaskOutcome { task, at: now, coverage: checked.coverage };
            let answer = Self::answer(caller, request, &outcome, now)?;
            let source = Source::registered(sent.kind);
            let written = self
                .store
                .registration_amend(
                    &row,
                    &Registration {
                        patient: row.patient,
                        person: history.person,
                        history_version: history.version,
                        registered: &outcome.task,
                        details: &details,
                        media_type: sent.form.media_type(),
                        original: &sent.original,
                        periods: &proposal::periods(&proposal, source, &id.to_string(), &clinic.name),
                        findings: &checked.findings,
                        doing: Doing {
                            act: AccessAct::Amend,
                            concerned: None,
                            now,
                            trace: &trace,
                            answer: answer.as_ref(),
                        },
                    },
                )
                .await;
            match written {
                Ok(Written::Yes) => return Ok(Answered { outcome, replayed: false }),
                Ok(Written::Lost) => {}
                Err(error) => return self.sent_before(caller, request, error).await,
            }
        }
        Err(StoreError::Overloaded.into())
    }
}

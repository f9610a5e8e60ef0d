//! 受付: a pharmacy takes a prescription for the patient whose identity it has verified.

use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::change::{changed, if_match};
use super::error::ExchangeError;
use super::identity::Identified;
use super::intake::{Original, blocking};
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, trace};
use crate::codec::eps_xml::Conversion;
use crate::prescription::consent::{ConsentKind, Opening};
use crate::prescription::disclosure::Disclosure;
use crate::prescription::registered::ExchangeNumber;
use crate::prescription::state::Act;
use crate::store::access::Trace;
use crate::store::document::Part;
use crate::store::finding::FindingRow;
use crate::store::prescription::{Doing, PrescriptionRow, Written};
use crate::store::{PatientId, PrescriptionId, StoreError};
use crate::trust::verdict::Verdict;

/// How the pharmacy names the prescription.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// By 引換番号.
    Number(ExchangeNumber),
    /// By id, which needs the patient's consent by card.
    Id(PrescriptionId),
}

/// What the pharmacy gets.
#[derive(Debug)]
pub struct Accepted {
    /// The prescription as it stands.
    pub task: TaskOutcome,
    /// Media type of the delivered form.
    pub media_type: String,
    /// The delivered form.
    pub delivered: Vec<u8>,
    /// The clinic's signature as the exchange saw it when it took the document in; a paper prescription has none.
    pub verification: Option<Verdict>,
    /// What the checker said at registration, with the clinic's reasons.
    pub findings: Vec<FindingRow>,
    /// What may be shown of the other side of the findings.
    pub disclosure: Disclosure,
}

/// What is kept of an answer: all that a later change of the prescription would change in it. Documents never do.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    task: TaskOutcome,
    conversions: Vec<Conversion>,
    findings: Vec<FindingRow>,
}

/// What the patient's consent lets the pharmacy see here.
struct Look {
    disclosure: Disclosure,
    /// What let it name the prescription without its number.
    listed: Option<Opening>,
}

impl Look {
    fn trace(&self, caller: &Caller, request: &Request) -> Trace {
        trace(caller, request, "done").under(self.listed).under(self.disclosure.opening())
    }
}

impl Exchange {
    /// Accepts a prescription. The holder accepting again gets the same answer.
    ///
    /// # Errors
    ///
    /// `exchange-number-unknown`, `consent-required`, `not-found` (an id that is none of this patient's),
    /// `held-by-pharmacy`, `already-dispensed`, `cancelled`, `expired`, `not-yet-due`.
    pub async fn accept(
        &self,
        caller: &Caller,
        identified: &Identified,
        wanted: &Wanted,
        request: &Request,
    ) -> Result<Answered<Accepted>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let patient = identified.patient;
        let mut look = Look { disclosure: identified.disclosure(), listed: None };
        match wanted {
            Wanted::Number(_) => self.number_attempt_check(pharmacy).await?,
            Wanted::Id(_) => {
                let listed = identified.permissions.opening(ConsentKind::PrescriptionList);
                look.listed = Some(listed.ok_or(ExchangeError::ConsentRequired)?);
            }
        }
        let act = Act::Accept { by: pharmacy.code.clone(), lease: self.settings.lease };
        for _ in 0..ATTEMPTS {
            let row = match wanted {
                Wanted::Number(number) => {
                    let Some(row) = self.numbered(patient, number).await? else {
                        self.number_attempt_failed(pharmacy).await?;
                        return Err(ExchangeError::ExchangeNumberUnknown);
                    };
                    row
                }
                Wanted::Id(id) => {
                    let row = self.store.prescription_find(*id).await?.ok_or(ExchangeError::NotFound)?;
                    if !self.one_person(row.patient, patient).await? {
                        caller.met.prescription(row.patient, *id);
                        return Err(ExchangeError::NotFound);
                    }
                    row
                }
            };
            let id = PrescriptionId::from_uuid(row.registered.id);
            caller.met.prescription(patient, id);
            let (answered, findings) = tokio::try_join!(self.replayed::<Kept>(caller, request), async {
                Ok(self.store.finding_list(id).await?)
            },)?;
            if let Some(Answered { outcome: kept, replayed }) = answered {
                if kept.task.task.id != row.registered.id {
                    // The same number, of another patient.
                    return Err(ExchangeError::IdempotencyKeyReused);
                }
                let outcome = self.accepted(caller, patient, kept, &look, request).await?;
                return Ok(Answered { outcome, replayed });
            }
            let now = self.clock.now();
            if_match(request, &row.registered)?;
            let next = row.registered.life.after(&act, now)?;
            let repeated = next == row.registered.life;
            let task = if repeated { row.registered.clone() } else { changed(&row, next, now) };
            let task = TaskOutcome::of(task, now);
            let kept = Kept { task, conversions: row.details.conversions.clone(), findings };
            if repeated {
                let outcome = self.accepted(caller, patient, kept, &look, request).await?;
                return Ok(Answered { outcome, replayed: false });
            }
            let answer = Self::answer(caller, request, &kept, now)?;
            let trace = look.trace(caller, request);
            let doing = Doing {
                act: "accept",
                concerned: Some(&pharmacy.code),
                now,
                trace: &trace,
                answer: answer.as_ref(),
            };
            match self.store.prescription_change(&row, &kept.task.task.life, &doing).await? {
                Written::Yes => {
                    let outcome = self.accepted(caller, patient, kept, &look, request).await?;
                    return Ok(Answered { outcome, replayed: false });
                }
                Written::Lost => {}
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// The prescription with this number, of any record of the patient.
    async fn numbered(
        &self,
        patient: PatientId,
        number: &ExchangeNumber,
    ) -> Result<Option<PrescriptionRow>, ExchangeError> {
        if let Some(row) = self.store.prescription_find_by_number(patient, number).await? {
            return Ok(Some(row));
        }
        for record in self.store.person_records(patient).await?.into_iter().skip(1) {
            if let Some(row) = self.store.prescription_find_by_number(record, number).await? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The document and its verification with what is kept of the answer, recorded as a look.
    async fn accepted(
        &self,
        caller: &Caller,
        patient: PatientId,
        Kept { task, conversions, findings }: Kept,
        look: &Look,
        request: &Request,
    ) -> Result<Accepted, ExchangeError> {
        let id = PrescriptionId::from_uuid(task.task.id);
        let trace = look.trace(caller, request);
        let part = Part::Prescription(task.task.document.number);
        let document = self.store.document_read("accept", (patient, id), part, task.at, &trace).await?;
        let document = document.ok_or(ExchangeError::Internal("a prescription has its document"))?;
        let media_type = document.media_type.clone();
        let original = Original::of(&task.task, conversions, document)?;
        let trust = self.trust();
        let (delivered, verification) =
            blocking(move || Ok((original.delivered()?, original.verify(&trust)?))).await?;
        let disclosure = look.disclosure;
        Ok(Accepted { task, media_type, delivered, verification, findings, disclosure })
    }
}

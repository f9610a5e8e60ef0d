//! 受付: a pharmacy takes a prescription for the patient whose identity it has verified.

use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::change::{changed, if_match};
use super::error::ExchangeError;
use super::identity::Identified;
use super::intake::{Original, worked};
use super::{
    ATTEMPTS, Answered, Exchange, IdentityHeader, Request, TaskOutcome, idempotency_key, kept, trace,
};
use crate::codec::eps_xml::Conversion;
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{ConsentKind, Opening};
use crate::prescription::disclosure::Disclosure;
use crate::prescription::registered::ExchangeNumber;
use crate::prescription::state::Act;
use crate::store::acceptance::{Bearer, Sought, Standing};
use crate::store::access::Trace;
use crate::store::asked::Asking;
use crate::store::directory::AttemptKind;
use crate::store::document::{Document, Part};
use crate::store::finding::FindingRow;
use crate::store::prescription::{Doing, PrescriptionRow};
use crate::store::{IdentityToken, PatientId, PrescriptionId, StoreError};
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

/// What stands when a prescription is asked for.
struct Found {
    look: Look,
    row: PrescriptionRow,
    findings: Vec<FindingRow>,
    /// The kept answer of an earlier request with the same key.
    answered: Option<Answered<Kept>>,
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
        wanted: &Wanted,
        request: &Request,
    ) -> Result<Answered<Accepted>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let act = Act::Accept { by: pharmacy.code.clone(), lease: self.settings.lease };
        for _ in 0..ATTEMPTS {
            let Found { look, row, findings, answered } = self.found(caller, wanted, request).await?;
            let patient = row.patient;
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
                act: AccessAct::Accept,
                concerned: Some(&pharmacy.code),
                now,
                trace: &trace,
                answer: answer.as_ref(),
            };
            let written = self.store.acceptance_insert(&row, &kept.task.task.life, &doing).await?;
            if let Some(document) = written {
                let outcome = self.handed(kept, document, &look).await?;
                return Ok(Answered { outcome, replayed: false });
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// Reads all at once what the request names, and says so only to who has proved the patient's identity and has not
    /// guessed too often.
    async fn found(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        request: &Request,
    ) -> Result<Found, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let token = request.identity.as_ref().map(|IdentityHeader(token)| token.as_str());
        let meant = token.and_then(IdentityToken::decode).ok_or(ExchangeError::IdentityTokenInvalid)?;
        let key = idempotency_key(caller, request)?;
        let (sought, guesses) = match wanted {
            Wanted::Number(number) => (
                Sought::Number(self.store.buckets().of_token(&meant), number),
                Some(self.guesses(pharmacy, AttemptKind::ExchangeNumber)),
            ),
            Wanted::Id(id) => (Sought::Id(*id), None),
        };
        let asking = Asking { guesses, key: key.as_ref() };
        let bearer = Bearer { token: &meant, pharmacy: &pharmacy.code, at: self.clock.now() };
        let Standing { asked, identified, found } =
            self.store.acceptance_find(sought, &bearer, &asking).await?;
        let (patient, permissions) = identified.ok_or(ExchangeError::IdentityTokenInvalid)?;
        caller.met.patient(patient);
        let identified = Identified { patient, permissions };
        asked.allowed?;
        let mut look = Look { disclosure: identified.disclosure(), listed: None };
        if let Wanted::Id(_) = wanted {
            let listed = identified.permissions.opening(ConsentKind::PrescriptionList);
            look.listed = Some(listed.ok_or(ExchangeError::ConsentRequired)?);
        }
        let found = match (found, wanted) {
            (None, Wanted::Number(number)) => self.numbered_before(patient, number, &bearer).await?,
            (found, _) => found,
        };
        match (found, wanted) {
            (Some((row, findings)), _) => {
                caller.met.prescription(row.patient, PrescriptionId::from_uuid(row.registered.id));
                // An id may be another patient's; a number is looked up within this one.
                if !self.one_person(row.patient, patient).await? {
                    return Err(ExchangeError::NotFound);
                }
                Ok(Found { look, row, findings, answered: kept(asked.replay)? })
            }
            (None, Wanted::Id(_)) => Err(ExchangeError::NotFound),
            (None, Wanted::Number(_)) => {
                let guesses = self.guesses(pharmacy, AttemptKind::ExchangeNumber);
                self.store.attempt_register(&guesses).await?;
                Err(ExchangeError::ExchangeNumberUnknown)
            }
        }
    }

    /// The prescription with this number of a record whose place the patient's has taken.
    async fn numbered_before(
        &self,
        patient: PatientId,
        number: &ExchangeNumber,
        bearer: &Bearer<'_>,
    ) -> Result<Option<(PrescriptionRow, Vec<FindingRow>)>, ExchangeError> {
        for record in self.store.person_records(patient).await?.into_iter().skip(1) {
            let sought = Sought::Number(record, number);
            let found = self.store.acceptance_find(sought, bearer, &Asking::default()).await?.found;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The document again with what is kept of the answer, recorded as a look.
    async fn accepted(
        &self,
        caller: &Caller,
        patient: PatientId,
        kept: Kept,
        look: &Look,
        request: &Request,
    ) -> Result<Accepted, ExchangeError> {
        let TaskOutcome { task, at, .. } = &kept.task;
        let (of, part) =
            ((patient, PrescriptionId::from_uuid(task.id)), Part::Prescription(task.document.number));
        let trace = look.trace(caller, request);
        let document = self.store.document_read(AccessAct::Accept, of, part, *at, &trace).await?;
        let document = document.ok_or(ExchangeError::Internal("a prescription has its document"))?;
        self.handed(kept, document, look).await
    }

    /// What the pharmacy gets, with the verification of the document.
    async fn handed(
        &self,
        Kept { task, conversions, findings }: Kept,
        document: Document,
        look: &Look,
    ) -> Result<Accepted, ExchangeError> {
        let (media_type, size) = (document.media_type.clone(), document.bytes.len());
        let original = Original::of(&task.task, conversions, document)?;
        let trust = self.trust();
        let (delivered, verification) = worked(size, move || {
            let opened = original.open()?;
            Ok((opened.delivered()?, opened.verify(&trust)))
        })
        .await?;
        let disclosure = look.disclosure;
        Ok(Accepted { task, media_type, delivered, verification, findings, disclosure })
    }
}

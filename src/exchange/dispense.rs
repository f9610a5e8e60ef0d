//! 調剤結果登録 and 調剤結果変更: the dispensing result is written back by the pharmacy that holds the prescription, or
//! takes the place of one of its own.

use super::caller::Caller;
use super::change::{changed, if_match};
use super::error::ExchangeError;
use super::form::{DocumentForm, Item};
use super::identity::insured;
use super::intake::{DispensingTaken, Original, dispensing_read, worked};
use super::register::{Shown, signer_name};
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, idempotency_key, kept, trace};
use crate::check::{Source, proposal};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::state::{Act, Dispensed, Life, Refusal};
use crate::store::asked::Asking;
use crate::store::dispensing::DispensingResult;
use crate::store::document::Document;
use crate::store::medication::History;
use crate::store::prescription::{Doing, PrescriptionRow, Written};
use crate::store::{PrescriptionId, StoreError};

/// A dispensing result as a pharmacy sends it.
#[derive(Clone, Debug)]
pub struct SentResult {
    /// What it is to be.
    pub purpose: Purpose,
    /// 重要情報: whether the physician is to read it.
    pub important: bool,
    /// The form of its bytes.
    pub form: DocumentForm,
    /// The bytes.
    pub original: bytes::Bytes,
}

/// What a dispensing result is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The next part of this use.
    Dispense {
        /// Whether the use is complete with it.
        complete: bool,
    },
    /// In the place of an earlier one.
    Amend {
        /// Its number; the pharmacy's last one that stands unless given.
        result: Option<i16>,
    },
}

impl Purpose {
    fn recorded(self) -> AccessAct {
        match self {
            Self::Dispense { .. } => AccessAct::Dispense,
            Self::Amend { .. } => AccessAct::AmendDispense,
        }
    }

    /// The result whose place it takes.
    fn replaced(self, life: &Life, by: &InstitutionCode) -> Result<Option<i16>, Refusal> {
        match self {
            Self::Dispense { .. } => Ok(None),
            Self::Amend { result: Some(result) } => Ok(Some(result)),
            Self::Amend { result: None } => life.results.last_of(by).map(Some).ok_or(Refusal::NoSuchResult),
        }
    }

    fn act(self, by: &InstitutionCode, replaced: Option<i16>, supply: Dispensed) -> Act {
        let by = by.clone();
        match (self, replaced) {
            (Self::Dispense { complete }, None) => Act::Dispense { by, supply, complete },
            (Self::Dispense { .. } | Self::Amend { .. }, result) => {
                Act::AmendDispense { by, result: result.unwrap_or_default(), supply }
            }
        }
    }
}

impl Exchange {
    /// Writes a dispensing result back.
    ///
    /// # Errors
    ///
    /// Everything the contract names for `$dispense` and `$amend-dispense`; nothing is stored then but findings and
    /// the trace.
    pub async fn dispense(
        &self,
        caller: &Caller,
        id: PrescriptionId,
        sent: &SentResult,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let key = idempotency_key(caller, request)?;
        let asking = Asking { key: key.as_ref(), guesses: None };
        let (asked, found) = self.store.prescription_with_original(id, &asking).await?;
        if let Some(answered) = kept(asked.replay)? {
            return Ok(answered);
        }
        let (row, stored) = found.ok_or(ExchangeError::NotFound)?;
        caller.met.prescription(row.patient, id);
        if !caller.may_see(&row) {
            return Err(ExchangeError::NotFound);
        }
        if_match(request, &row.registered)?;
        // Whether this pharmacy may do it now at all, before its document is looked at.
        let now = self.clock.now();
        let life = &row.registered.life;
        let replaced = sent.purpose.replaced(life, &pharmacy.code)?;
        let probe = Dispensed { on: japanese_date(now), days: 0, important: false };
        life.after(&sent.purpose.act(&pharmacy.code, replaced, probe), now)?;

        let (taken, history) = self.dispensing_take(caller, &row, stored, sent).await?;
        self.dispense_checked(caller, row, history, sent, &taken, request).await
    }

    /// Reads the document and verifies it over the original it answers; with the history it is to be checked against.
    async fn dispensing_take(
        &self,
        caller: &Caller,
        row: &PrescriptionRow,
        stored: Document,
        sent: &SentResult,
    ) -> Result<(DispensingTaken, History), ExchangeError> {
        let size = stored.bytes.len().max(sent.original.len());
        let original = Original::of(&row.registered, row.details.conversions.clone(), stored)?;
        let (trust, form, document, now) = (self.trust(), sent.form, sent.original.clone(), self.clock.now());
        let taken = worked(size, move || dispensing_read(form, &document, &original, &trust, now)).await?;
        let history = match self.belongs(caller, row, form, &taken).await? {
            Some(history) => history,
            None => self.history(row.patient).await?,
        };
        Ok((taken, history))
    }

    /// Whether the document answers this prescription, for this patient, by this pharmacy, on a possible day; with the
    /// history of the patient, unless the directory says that the patient has died.
    async fn belongs(
        &self,
        caller: &Caller,
        row: &PrescriptionRow,
        form: DocumentForm,
        taken: &DispensingTaken,
    ) -> Result<Option<History>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let place = |item| form.payload().place(item);
        let dispensing = &taken.dispensing;
        let today = japanese_date(self.clock.now());
        if dispensing.dispensed_on > today || dispensing.dispensed_on < row.registered.issued_on {
            return Err(ExchangeError::Document(vec![Fault {
                place: place(Item::DispensingDate).to_owned(),
                message: "the dispensing date must lie between the issue date and today".to_owned(),
            }]));
        }
        let mut faults = Vec::new();
        let mut mismatch = |item: Item, message: &str| {
            faults.push(Fault { place: place(item).to_owned(), message: message.to_owned() });
        };
        if dispensing.prescription_id != Some(row.registered.id) {
            mismatch(Item::PrescriptionId, "the prescription id is not that of this Task");
        }
        if dispensing.pharmacy.code != pharmacy.code {
            mismatch(Item::Pharmacy, "the pharmacy is not the one that sends the document");
        }
        let (identity, wanted) = (insured(&dispensing.identity), self.history_wanted());
        let (born, on) = (dispensing.patient.birth_date, dispensing.dispensed_on);
        let (_, named) =
            self.store.identity_asked(identity.as_ref(), born, on, &Asking::default(), Some(&wanted)).await?;
        let theirs = match &named {
            Some(named) => self.one_person(row.patient, named.entry.patient.id).await?,
            None => false,
        };
        if !theirs {
            mismatch(Item::DispensedTo, "the insurance data and birth date are not the patient's");
        }
        if !faults.is_empty() {
            return Err(ExchangeError::DocumentMismatch(faults));
        }
        Ok(named.and_then(|named| named.history))
    }

    async fn dispense_checked(
        &self,
        caller: &Caller,
        mut row: PrescriptionRow,
        mut history: History,
        sent: &SentResult,
        taken: &DispensingTaken,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let id = PrescriptionId::from_uuid(row.registered.id);
        let answered_document = row.registered.document;
        let dispensing = &taken.dispensing;
        let supply = Dispensed {
            on: dispensing.dispensed_on,
            days: dispensing.days_supplied(),
            important: sent.important,
        };
        let mut trace = trace(caller, request, "done");
        trace.content.signer = taken.signer.as_ref().map(signer_name);
        let mut proposal = taken.proposal(&row.registered.clinic);
        proposal.documents.push(id.to_string());
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                if let Some(answered) = self.replayed(caller, request).await? {
                    return Ok(answered);
                }
                row = self.own(caller, id).await?;
                history = self.history(row.patient).await?;
                if_match(request, &row.registered)?;
                if row.registered.document != answered_document {
                    // Returned, amended and accepted again meanwhile: the document answers what is no more.
                    return Err(ExchangeError::VersionMismatch);
                }
            }
            let now = self.clock.now();
            let life = &row.registered.life;
            let replaced = sent.purpose.replaced(life, &pharmacy.code)?;
            let next = life.after(&sent.purpose.act(&pharmacy.code, replaced, supply), now)?;
            let recorded = sent.purpose.recorded();
            let shown = Shown { patient: row.patient, request };
            let checked =
                self.findings_answered(recorded, caller, &shown, &proposal, &history, &trace).await?;
            let task = changed(&row, next, now);
            let outcome = TaskOutcome { task, at: now, coverage: checked.coverage };
            let answer = Self::answer(caller, request, &outcome, now)?;
            let clinic_name = row.registered.clinic_name.as_deref().unwrap_or_default();
            let written = self
                .store
                .dispensing_insert(&DispensingResult {
                    row: &row,
                    next: &outcome.task.life,
                    replaced,
                    person: history.person,
                    history_version: history.version,
                    media_type: sent.form.media_type(),
                    original: &sent.original,
                    periods: &proposal::periods(&proposal, Source::Dispensed, &id.to_string(), clinic_name),
                    findings: &checked.findings,
                    doing: Doing {
                        act: recorded,
                        concerned: Some(&pharmacy.code),
                        now,
                        trace: &trace,
                        answer: answer.as_ref(),
                    },
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

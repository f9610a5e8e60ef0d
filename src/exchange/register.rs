//! 処方箋登録: check and register are one act (invariant 6).

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::caller::Caller;
use super::error::ExchangeError;
use super::form::{DocumentForm, Item, Payload};
use super::identity::{WITH_HISTORY, insured};
use super::intake::{PrescriptionTaken, prescription_read, terms, worked};
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, idempotency_key, kept, trace};
use crate::check::{Coverage, Proposal, Source, proposal};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::prescription::access::AccessAct;
use crate::prescription::document::Prescription;
use crate::prescription::registered::{DocumentVersion, ExchangeNumber, Registered};
use crate::prescription::state::{Kind, Life, Refusal};
use crate::store::access::Trace;
use crate::store::directory::{Facility, NamedPerson};
use crate::store::medication::History;
use crate::store::prescription::{Details, Doing, Written};
use crate::store::registration::Registration;
use crate::store::{PatientId, StoreError};
use crate::trust::verdict::Verified;
use uuid::Uuid;

/// How far a checked document's first day may lie in the past.
const LOOK_BACK: Days = Days::new(100);

/// A prescription as a clinic sends it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// How it is issued.
    pub kind: Kind,
    /// The form of its bytes.
    pub form: DocumentForm,
    /// The bytes.
    pub original: bytes::Bytes,
}

/// A check that found nothing, or nothing without a reason.
pub(super) struct Checked {
    /// The ids of all findings.
    pub(super) findings: Vec<Uuid>,
    /// What was not checked.
    pub(super) coverage: Coverage,
}

/// To whom findings are shown: the patient they are about, and the request that may carry the patient's consent.
#[derive(Clone, Copy)]
pub(super) struct Shown<'r> {
    pub patient: PatientId,
    pub request: &'r Request,
}

impl Exchange {
    /// Registers a prescription. For pharmacies it draws an exchange number; an in-house one (院内) is given out with
    /// its registration.
    ///
    /// # Errors
    ///
    /// Everything the contract names for `$register`; nothing is stored then but findings and the trace.
    pub async fn register(
        &self,
        caller: &Caller,
        sent: &Sent,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let clinic = caller.clinic()?;
        let taken = match self.prescription_take(caller, sent).await {
            Ok(taken) => taken,
            // What was answered before is answered again, whatever the document is worth by now.
            Err(refusal) => return self.replayed(caller, request).await?.ok_or(refusal),
        };
        let prescription = &taken.prescription;
        let (identity, born) = (insured(&prescription.insurance.identity), prescription.patient.birth_date);
        let today = japanese_date(self.clock.now());
        let key = idempotency_key(caller, request)?;
        let wanted = self.history_wanted();
        let (asked, found) = self
            .identity_asked(clinic, identity.as_ref(), (born, today), key.as_ref(), Some(&wanted))
            .await?;
        if let Some(answered) = kept(asked.replay)? {
            return Ok(answered);
        }
        asked.allowed?;
        let NamedPerson { entry, history } = self.identity_sure(clinic, found).await?;
        caller.met.patient(entry.patient.id);
        let history = history.ok_or(WITH_HISTORY)?;
        self.register_checked(caller, request, sent, &taken, entry.patient.id, history).await
    }

    /// Reads what a clinic sends, up to whose it is.
    pub(super) async fn prescription_take(
        &self,
        caller: &Caller,
        sent: &Sent,
    ) -> Result<PrescriptionTaken, ExchangeError> {
        let clinic = caller.clinic()?;
        if !sent.form.fits(sent.kind) {
            return Err(ExchangeError::DocumentMismatch(vec![Fault {
                place: "Content-Type".to_owned(),
                message: "an electronic prescription is signed; one on paper or in-house is not".to_owned(),
            }]));
        }
        let now = self.clock.now();
        let (trust, editions, Sent { form, original, .. }) = (self.trust(), self.editions(), sent.clone());
        let taken =
            worked(original.len(), move || prescription_read(form, &original, &trust, &editions, now))
                .await?;
        let prescription = &taken.prescription;
        named_institution(prescription, clinic)?;
        if sent.kind == Kind::InHouse {
            given_at_once(prescription, sent.form.payload())?;
        }
        issued_in_time(prescription, sent.form.payload(), japanese_date(now))?;
        Ok(taken)
    }

    async fn register_checked(
        &self,
        caller: &Caller,
        request: &Request,
        sent: &Sent,
        taken: &PrescriptionTaken,
        patient: PatientId,
        mut history: History,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let prescription = &taken.prescription;
        let clinic = caller.clinic()?;
        let bucket = self.store.buckets().of_patient(patient);
        let proposal = taken.proposal();
        let shown = Shown { patient, request };
        let mut trace = trace(caller, request, "done");
        trace.content.signer = taken.signer.as_ref().map(signer_name);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                if let Some(answered) = self.replayed(caller, request).await? {
                    return Ok(answered);
                }
                history = self.history(patient).await?;
            }
            let now = self.clock.now();
            if history.person != patient {
                // Merged since the patient was looked up: the same request finds the record that goes on.
                return Err(StoreError::Contended.into());
            }
            let checked = self
                .findings_answered(AccessAct::Register, caller, &shown, &proposal, &history, &trace)
                .await?;
            let id =
                self.store.buckets().prescription_mint(self.store.rng(), bucket).map_err(StoreError::from)?;
            let (life, exchange_number) = match sent.kind {
                Kind::InHouse => (Life::given_in_house(clinic.code.clone(), terms(prescription)), None),
                kind => {
                    let number = ExchangeNumber::draw(self.store.rng()).map_err(StoreError::from)?;
                    (Life::issued(kind, terms(prescription)), Some(number))
                }
            };
            let registered = Registered {
                id: *id.as_uuid(),
                version: 1,
                clinic: clinic.code.clone(),
                clinic_name: prescription.institution.name.clone(),
                exchange_number,
                issued_on: prescription.issued_on,
                registered_at: now,
                changed_at: now,
                life,
                document: DocumentVersion { number: 1, at: now },
            };
            let details = Details {
                exchange_number: registered.exchange_number.clone(),
                clinic_name: registered.clinic_name.clone(),
                conversions: taken.conversions.clone(),
            };
            let outcome = TaskOutcome { task: registered, at: now, coverage: checked.coverage };
            let answer = Self::answer(caller, request, &outcome, now)?;
            let source = Source::registered(sent.kind);
            let written = self
                .store
                .registration_insert(&Registration {
                    patient,
                    person: history.person,
                    history_version: history.version,
                    registered: &outcome.task,
                    details: &details,
                    media_type: sent.form.media_type(),
                    original: &sent.original,
                    periods: &proposal::periods(&proposal, source, &id.to_string(), &clinic.name),
                    findings: &checked.findings,
                    doing: Doing {
                        act: AccessAct::Register,
                        concerned: None,
                        now,
                        trace: &trace,
                        answer: answer.as_ref(),
                    },
                })
                .await;
            match written {
                Ok(Written::Yes) => return Ok(Answered { outcome, replayed: false }),
                // Another history, a number already taken, or a twin of this request: read and decide anew.
                Ok(Written::Lost) => {}
                Err(error) if error.is_constraint("prescription_exchange_number") => {}
                Err(error) => return self.sent_before(caller, request, error).await,
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// What a refused write of a prescription means: `duplicate-document` when its bytes are registered, unless it
    /// was a twin of this request that has registered them.
    pub(super) async fn sent_before(
        &self,
        caller: &Caller,
        request: &Request,
        error: StoreError,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        if !error.is_constraint("document_hash") {
            return Err(error.into());
        }
        // A twin with the same key has both: its answer is the one to give.
        self.replayed(caller, request).await?.ok_or(ExchangeError::DuplicateDocument)
    }

    /// The history a check needs.
    pub(super) async fn history(&self, patient: PatientId) -> Result<History, ExchangeError> {
        let now = self.clock.now();
        Ok(self.store.history_read(patient, self.history_since(now), now).await?)
    }

    /// The first day a check compares with. That of a document is at most a use period back; the policy looks back from
    /// there.
    pub(super) fn history_since(&self, now: DateTime<Utc>) -> NaiveDate {
        japanese_date(now) - LOOK_BACK - Days::new(u64::from(self.settings.check.look_back_days))
    }

    /// Checks, and answers the ids of all findings when each that needs a reason has one by this facility.
    ///
    /// # Errors
    ///
    /// `medication-check-unresolved`; the findings are then kept, so that reasons can be given.
    pub(super) async fn findings_answered(
        &self,
        act: AccessAct,
        caller: &Caller,
        shown: &Shown<'_>,
        proposal: &Proposal,
        history: &History,
        trace: &Trace,
    ) -> Result<Checked, ExchangeError> {
        let facility = caller.facility()?;
        let Shown { patient, request } = *shown;
        let checked = self.findings(act, facility, patient, proposal, history).await?;
        let (findings, coverage) = (checked.findings, checked.coverage);
        let unresolved = findings.iter().any(|row| {
            self.settings.check.needs_mitigation(row.finding.severity) && row.mitigation.is_none()
        });
        if !unresolved {
            return Ok(Checked { findings: findings.iter().map(|row| row.id).collect(), coverage });
        }
        let disclosure = self.disclosure_of(caller, patient, request).await?;
        let mut trace = trace.clone().under(disclosure.opening());
        "medication-check-unresolved".clone_into(&mut trace.content.outcome);
        let (bucket, now) = (self.store.buckets().of_patient(patient), self.clock.now());
        self.store.access_record_insert(act, bucket, patient, None, now, &trace).await?;
        Err(ExchangeError::CheckUnresolved(findings, disclosure))
    }
}

/// The institution a prescription names is the one that sends it.
pub(super) fn named_institution(prescription: &Prescription, clinic: &Facility) -> Result<(), ExchangeError> {
    if prescription.institution.code == clinic.code {
        return Ok(());
    }
    Err(ExchangeError::NotPermitted("the prescription names another institution than the one that sends it"))
}

/// What is given out with its registration is given out once and whole.
fn given_at_once(prescription: &Prescription, of: Payload) -> Result<(), ExchangeError> {
    let fault = |item, message: &str| Fault { place: of.place(item).to_owned(), message: message.to_owned() };
    let refill = prescription.refill.map(|_| fault(Item::Refill, "an in-house prescription has no refills"));
    let split = prescription.split.map(|_| fault(Item::Split, "an in-house prescription is not split"));
    let faults: Vec<Fault> = refill.into_iter().chain(split).collect();
    if faults.is_empty() { Ok(()) } else { Err(ExchangeError::Document(faults)) }
}

/// The issue date has come, and the use period (使用期間) has not passed.
pub(super) fn issued_in_time(
    prescription: &Prescription,
    of: Payload,
    today: NaiveDate,
) -> Result<(), ExchangeError> {
    if prescription.issued_on > today {
        return Err(ExchangeError::Document(vec![Fault {
            place: of.place(Item::IssueDate).to_owned(),
            message: "the issue date is in the future".to_owned(),
        }]));
    }
    if terms(prescription).valid_until < today {
        return Err(Refusal::Expired.into());
    }
    Ok(())
}

/// The name the access record shows for a signer.
pub(super) fn signer_name(signer: &Verified) -> String {
    let certificate = &signer.certificate;
    certificate.kanji_name().or(certificate.subject().common_name()).unwrap_or_default().to_owned()
}

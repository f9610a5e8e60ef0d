//! 処方箋登録: check and register are one act (invariant 6).

use chrono::{Days, NaiveDate};

use super::caller::Caller;
use super::error::ExchangeError;
use super::intake::{SignedPrescription, blocking, prescription_read};
use super::{ATTEMPTS, Answered, Exchange, Request, TaskOutcome, trace};
use crate::check::{Proposal, Source, proposal};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::prescription::disclosure::Disclosure;
use crate::prescription::document::Prescription;
use crate::prescription::registered::{ExchangeNumber, Registered};
use crate::prescription::state::{Life, Refusal};
use crate::store::access::Trace;
use crate::store::directory::Facility;
use crate::store::medication::History;
use crate::store::prescription::{Details, Written};
use crate::store::registration::Registration;
use crate::store::{PatientId, StoreError};
use crate::trust::verdict::Verified;
use uuid::Uuid;

/// How far a checked document's first day may lie in the past.
const LOOK_BACK: Days = Days::new(100);

/// The media type of the EPS envelope.
pub const EPS_XML: &str = "application/xml";

/// To whom findings are shown: the patient they are about, and the request that may carry the patient's consent.
#[derive(Clone, Copy)]
pub(super) struct Shown<'r> {
    pub patient: PatientId,
    pub request: &'r Request,
}

impl Exchange {
    /// Registers a signed prescription and draws its exchange number.
    ///
    /// # Errors
    ///
    /// Everything the contract names for `$register`; nothing is stored then but findings and the trace.
    pub async fn register(
        &self,
        caller: &Caller,
        original: bytes::Bytes,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let clinic = caller.clinic()?;
        if let Some(answered) = self.replayed(caller, request).await? {
            return Ok(answered);
        }
        let now = self.clock.now();
        let (trust, editions, bytes) = (self.trust(), self.editions(), original.clone());
        let signed = blocking(move || prescription_read(&bytes, &trust, &editions, now)).await?;
        let prescription = &signed.prescription;
        named_institution(prescription, clinic)?;
        let today = japanese_date(now);
        issued_in_time(prescription, today)?;
        let identity = &prescription.insurance.identity;
        let patient = self.person_find(clinic, identity, prescription.patient.birth_date, today).await?;
        self.register_checked(caller, request, &signed, patient, &original).await
    }

    async fn register_checked(
        &self,
        caller: &Caller,
        request: &Request,
        signed: &SignedPrescription,
        patient: PatientId,
        original: &[u8],
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let prescription = &signed.prescription;
        let clinic = caller.clinic()?;
        let bucket = self.store.buckets().of_patient(patient);
        let proposal = signed.proposal();
        let shown = Shown { patient, request };
        let mut trace = trace(caller, request, "done");
        trace.content.signer = Some(signer_name(&signed.signer));
        for attempt in 0..ATTEMPTS {
            if attempt > 0
                && let Some(answered) = self.replayed(caller, request).await?
            {
                return Ok(answered);
            }
            let now = self.clock.now();
            let history = self.history(patient).await?;
            let findings =
                self.findings_answered("register", caller, &shown, &proposal, &history, &trace).await?;
            let id =
                self.store.buckets().prescription_mint(self.store.rng(), bucket).map_err(StoreError::from)?;
            let registered = Registered {
                id: *id.as_uuid(),
                version: 1,
                clinic: clinic.code.clone(),
                clinic_name: prescription.institution.name.clone(),
                exchange_number: ExchangeNumber::draw(self.store.rng()).map_err(StoreError::from)?,
                issued_on: prescription.issued_on,
                registered_at: now,
                changed_at: now,
                life: Life::issued(prescription.valid_until(), prescription.uses_allowed()),
                dispensers: Vec::new(),
            };
            let details = Details {
                exchange_number: registered.exchange_number.clone(),
                clinic_name: registered.clinic_name.clone(),
                conversions: signed.conversions.clone(),
            };
            let outcome = TaskOutcome { task: registered, at: now };
            let answer = Self::answer(caller, request, &outcome, now)?;
            let periods = proposal::periods(&proposal, Source::Prescribed, &id.to_string(), &clinic.name);
            let written = self
                .store
                .registration_insert(&Registration {
                    patient,
                    history_version: history.version,
                    registered: &outcome.task,
                    details: &details,
                    media_type: EPS_XML,
                    original,
                    periods: &periods,
                    findings: &findings,
                    trace: &trace,
                    answer: answer.as_ref(),
                })
                .await;
            match written {
                Ok(Written::Yes) => return Ok(Answered { outcome, replayed: false }),
                // Another history, a number already taken, or a twin of this request: read and decide anew.
                Ok(Written::Lost) => {}
                Err(error) if error.is_constraint("prescription_exchange_number") => {}
                Err(error) if error.is_constraint("prescription_document") => {
                    // A twin with the same key has both: its answer is the one to give.
                    if let Some(answered) = self.replayed(caller, request).await? {
                        return Ok(answered);
                    }
                    return Err(ExchangeError::DuplicateDocument);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// The history a check needs.
    pub(super) async fn history(&self, patient: PatientId) -> Result<History, ExchangeError> {
        let now = self.clock.now();
        // The first day of a document is at most a use period back; the policy looks back from there.
        let since = japanese_date(now) - LOOK_BACK - Days::new(u64::from(self.settings.check.look_back_days));
        Ok(self.store.history_read(patient, since, now).await?)
    }

    /// Checks, and answers the ids of all findings when each that needs a reason has one by this facility.
    ///
    /// # Errors
    ///
    /// `medication-check-unresolved`; the findings are then kept, so that reasons can be given.
    pub(super) async fn findings_answered(
        &self,
        act: &'static str,
        caller: &Caller,
        shown: &Shown<'_>,
        proposal: &Proposal,
        history: &History,
        trace: &Trace,
    ) -> Result<Vec<Uuid>, ExchangeError> {
        let facility = caller.facility()?;
        let Shown { patient, request } = *shown;
        let findings = self.findings(facility, patient, proposal, history).await?.findings;
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = findings.iter().map(|row| row.id).collect();
        let answered = findings.iter().filter(|row| row.mitigation.is_some()).count();
        let unresolved = findings.iter().any(|row| {
            self.settings.check.needs_mitigation(row.finding.severity) && row.mitigation.is_none()
        });
        let mut trace = trace.clone();
        let mut disclosure = Disclosure::Withheld;
        if unresolved {
            "medication-check-unresolved".clone_into(&mut trace.content.outcome);
            disclosure = self.disclosure_of(caller, patient, request).await?;
            trace = trace.under(disclosure.opening());
        }
        if unresolved || answered < ids.len() {
            // Kept before the act, so that what was shown for information is counted too.
            let (at, trace) = (self.clock.now(), unresolved.then_some(&trace));
            self.store.finding_insert(act, patient, &facility.code, &findings, at, trace).await?;
        }
        if unresolved { Err(ExchangeError::CheckUnresolved(findings, disclosure)) } else { Ok(ids) }
    }
}

/// The institution a prescription names is the one that sends it.
pub(super) fn named_institution(prescription: &Prescription, clinic: &Facility) -> Result<(), ExchangeError> {
    if prescription.institution.code == clinic.code {
        return Ok(());
    }
    Err(ExchangeError::NotPermitted("the prescription names another institution than the one that sends it"))
}

/// The issue date has come, and the use period (使用期間) has not passed.
pub(super) fn issued_in_time(prescription: &Prescription, today: NaiveDate) -> Result<(), ExchangeError> {
    if prescription.issued_on > today {
        return Err(ExchangeError::Document(vec![Fault {
            place: "SJ1.51.1".to_owned(),
            message: "the issue date is in the future".to_owned(),
        }]));
    }
    if prescription.valid_until() < today {
        return Err(Refusal::Expired.into());
    }
    Ok(())
}

/// The name the access record shows for a signer.
pub(super) fn signer_name(signer: &Verified) -> String {
    let certificate = &signer.certificate;
    certificate.kanji_name().or(certificate.subject().common_name()).unwrap_or_default().to_owned()
}

//! 重複投薬等チェック on its own, before anything is signed: the same findings, by the same ids, as the act that will
//! count, so that a reason given now holds then.

use bytes::Bytes;
use chrono::NaiveDate;

use super::caller::Caller;
use super::error::ExchangeError;
use super::form::{Item, Payload};
use super::intake::{Original, dispensing_parse, prescription_parse, worked};
use super::register::{issued_in_time, named_institution};
use super::{Exchange, Request, trace};
use crate::check::{self, Coverage, Proposal, proposal};
use crate::clock::japanese_date;
use crate::codec::fault::Fault;
use crate::codec::fhir;
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{Basis, ConsentKind, Opening};
use crate::prescription::disclosure::Disclosure;
use crate::prescription::dispensing::Dispensing;
use crate::prescription::document::{self, Prescription};
use crate::store::directory::Facility;
use crate::store::document::Part;
use crate::store::finding::FindingRow;
use crate::store::medication::History;
use crate::store::{PatientId, PrescriptionId};

/// What a check found, and what it could not see.
#[derive(Debug)]
pub struct Checked {
    /// The findings, the gravest first, with the reasons this facility has given.
    pub findings: Vec<FindingRow>,
    /// The lines that were not checked.
    pub coverage: Coverage,
    /// What may be shown of the other side of the findings.
    pub disclosure: Disclosure,
}

/// Whom a check is about, and what the facility may see of the other side of a hit.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub patient: PatientId,
    pub disclosure: Disclosure,
    /// The history, when the look at it is already recorded.
    pub looked: Option<History>,
}

/// The act as the access record names it.
const ACT: AccessAct = AccessAct::Check;

/// An unsigned document.
enum Draft {
    /// A prescription, with the places of its drug lines.
    Prescription(Box<Prescription>, Vec<String>),
    /// A dispensing result.
    Dispensing(Box<DispensingDraft>),
}

/// A dispensing result, and where its drug lines stand.
struct DispensingDraft {
    of: Payload,
    dispensing: Dispensing,
    places: Vec<String>,
}

/// Whom a document names.
struct Named<'d> {
    identity: &'d document::InsuredIdentity,
    born: NaiveDate,
    on: NaiveDate,
}

impl Exchange {
    /// Checks an unsigned prescription or dispensing result, CSV or FHIR, of the patient `token` stands for, else of
    /// the one its insurance data name. Keeps the findings and the trace of the look. `oral`: the facility says that
    /// the patient agreed at the counter to details of the hits being shown (口頭同意).
    ///
    /// # Errors
    ///
    /// As `$register` and `$dispense`, but for signatures.
    pub async fn medication_check(
        &self,
        caller: &Caller,
        token: Option<&str>,
        (of, document): (Payload, Bytes),
        oral: bool,
        request: &Request,
    ) -> Result<Checked, ExchangeError> {
        let facility = caller.facility()?;
        let editions = self.editions();
        let draft = worked(document.len(), move || {
            let dispensed = match of {
                Payload::Csv => document.starts_with(b"CJ1"),
                Payload::Fhir => fhir::dispensing::is_one(&document),
            };
            if dispensed {
                let (dispensing, places) = dispensing_parse(of, &document)?;
                return Ok(Draft::Dispensing(Box::new(DispensingDraft { of, dispensing, places })));
            }
            let (prescription, places) = prescription_parse(of, &document, &editions)?;
            Ok(Draft::Prescription(Box::new(prescription), places))
        })
        .await?;
        let today = japanese_date(self.clock.now());
        let (about, proposal) = match &draft {
            Draft::Prescription(prescription, places) => {
                if caller.pharmacy().is_err() {
                    named_institution(prescription, facility)?;
                }
                issued_in_time(prescription, of, today)?;
                let named = Named {
                    identity: &prescription.insurance.identity,
                    born: prescription.patient.birth_date,
                    on: today,
                };
                // Nothing but the name is between the document and the history.
                let about = if token.is_none() && !oral {
                    let named = (named.identity, named.born, named.on);
                    let (patient, history) = self.person_look(caller, ACT, named, request).await?;
                    About { patient, disclosure: Disclosure::Withheld, looked: Some(history) }
                } else {
                    self.about(caller, token, oral, &named).await?
                };
                (about, proposal::of_prescription(prescription, places))
            }
            Draft::Dispensing(draft) => self.dispensing_proposal(caller, token, oral, draft, request).await?,
        };
        self.proposal_check(ACT, caller, about, &proposal, request).await
    }

    /// The patient of a dispensing draft, and what it gives out: as dispensed, and not compared with the
    /// prescription it answers (record 7), which must be one this pharmacy may know of.
    async fn dispensing_proposal(
        &self,
        caller: &Caller,
        token: Option<&str>,
        oral: bool,
        DispensingDraft { of, dispensing, places }: &DispensingDraft,
        request: &Request,
    ) -> Result<(About, Proposal), ExchangeError> {
        let pharmacy = caller.pharmacy()?;
        let mismatch = |item: Item, message: &str| {
            let fault = Fault { place: of.place(item).to_owned(), message: message.to_owned() };
            ExchangeError::DocumentMismatch(vec![fault])
        };
        if dispensing.pharmacy.code != pharmacy.code {
            return Err(mismatch(Item::Pharmacy, "the pharmacy is not the one that sends the document"));
        }
        if dispensing.dispensed_on > japanese_date(self.clock.now()) {
            return Err(ExchangeError::Document(vec![Fault {
                place: of.place(Item::DispensingDate).to_owned(),
                message: "the dispensing date is in the future".to_owned(),
            }]));
        }
        let named = Named {
            identity: &dispensing.identity,
            born: dispensing.patient.birth_date,
            on: dispensing.dispensed_on,
        };
        let about = self.about(caller, token, oral, &named).await?;
        let Some(id) = dispensing.prescription_id else {
            let institution = dispensing.institution.as_ref().ok_or_else(|| {
                ExchangeError::Document(vec![Fault {
                    place: of.place(Item::PrescribingInstitution).to_owned(),
                    message: "expected the prescribing institution, or the prescription id".to_owned(),
                }])
            })?;
            return Ok((about, proposal::of_dispensing(dispensing, &institution.code, places)));
        };
        let unknown = || {
            mismatch(Item::PrescriptionId, "the prescription id is none of this patient's that you may see")
        };
        let row = match self.own(caller, PrescriptionId::from_uuid(id)).await {
            Ok(row) => row,
            Err(ExchangeError::NotFound) => return Err(unknown()),
            Err(error) => return Err(error),
        };
        if !self.one_person(row.patient, about.patient).await? {
            return Err(unknown());
        }
        let trace = trace(caller, request, "done");
        let (now, id) = (self.clock.now(), PrescriptionId::from_uuid(id));
        let part = Part::Prescription(row.registered.document.number);
        let registered = self
            .store
            .document_read(ACT, (row.patient, id), part, now, &trace)
            .await?
            .ok_or(ExchangeError::Internal("a prescription has its document"))?;
        let size = registered.bytes.len();
        let original = Original::of(&row.registered, row.details.conversions.clone(), registered)?;
        let split = worked(size, move || original.open()?.split()).await?;
        let mut proposal = proposal::of_dispensing(dispensing, &row.registered.clinic, places);
        proposal.split = split;
        proposal.documents.push(id.to_string());
        Ok((about, proposal))
    }

    /// Whom a draft is about. With an identity token it must be of one born on the patient's day: a draft laid to the
    /// wrong patient is refused.
    async fn about(
        &self,
        caller: &Caller,
        token: Option<&str>,
        oral: bool,
        named: &Named<'_>,
    ) -> Result<About, ExchangeError> {
        let facility = caller.facility()?;
        let now = self.clock.now();
        let history = ConsentKind::MedicationHistory;
        let (patient, mut disclosure, refused) = if token.is_some() {
            let identified = self.identity_of(caller, token).await?;
            let entry = self.store.patient_find(identified.patient, japanese_date(now)).await?;
            if entry.is_none_or(|entry| entry.patient.particulars.birth_date != named.born) {
                return Err(ExchangeError::IdentityNotVerified);
            }
            (identified.patient, identified.disclosure(), identified.permissions.refused(history))
        } else {
            let patient = self.person_find(caller, named.identity, named.born, named.on).await?;
            let refused = oral && self.store.consent_refused(patient, &facility.code, history, now).await?;
            (patient, Disclosure::Withheld, refused)
        };
        // What the patient refuses in writing is not opened by a word at the counter.
        if oral && !refused && !disclosure.opens() {
            disclosure = Some(Opening { kind: history, basis: Basis::Oral, consent: None }).into();
        }
        Ok(About { patient, disclosure, looked: None })
    }

    /// Checks for the asking alone: the look at the history is recorded, findings are kept, nothing waits for a reason.
    pub(super) async fn proposal_check(
        &self,
        act: AccessAct,
        caller: &Caller,
        about: About,
        proposal: &Proposal,
        request: &Request,
    ) -> Result<Checked, ExchangeError> {
        let facility = caller.facility()?;
        let About { patient, disclosure, looked } = about;
        let at = self.clock.now();
        let history = if let Some(history) = looked {
            history
        } else {
            let trace = trace(caller, request, "done").under(disclosure.opening());
            self.store.history_look(act, patient, self.history_since(at), at, &trace).await?
        };
        let checked = self.findings(act, facility, patient, proposal, &history).await?;
        Ok(Checked { disclosure, ..checked })
    }

    /// The findings of a proposal, kept as shown to the facility, with the reasons it has given for them.
    pub(super) async fn findings(
        &self,
        act: AccessAct,
        facility: &Facility,
        patient: PatientId,
        proposal: &Proposal,
        history: &History,
    ) -> Result<Checked, ExchangeError> {
        // The formulary of the document's day; all its lines begin on it or later.
        let day = proposal.lines.iter().map(|line| line.start).min();
        let formulary = self.editions().on(day.unwrap_or_else(|| japanese_date(self.clock.now())));
        let outcome = check::check(proposal, &history.periods, &formulary, &self.settings.check);
        let mut findings: Vec<FindingRow> = outcome
            .findings
            .into_iter()
            .map(|finding| FindingRow {
                id: self.store.finding_id(patient, &finding),
                patient,
                finding,
                mitigation: None,
            })
            .collect();
        if !findings.is_empty() {
            let at = self.clock.now();
            self.store.finding_show(act, patient, &facility.code, at, &mut findings).await?;
        }
        Ok(Checked { findings, coverage: outcome.coverage, disclosure: Disclosure::Withheld })
    }
}

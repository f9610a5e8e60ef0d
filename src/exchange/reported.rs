//! What is reported of a patient: allergies by the patient and by practitioners, medicines by the patient. Whoever made
//! an entry takes it back; nobody changes one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::caller::{Actor, Caller};
use super::error::ExchangeError;
use super::{ATTEMPTS, Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{ConsentKind, Opening};
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::reported::{Content, Reported, Reporter};
use crate::store::access::Trace;
use crate::store::reported::{Kept, KeptEntry, Removed, ReportedKind};
use crate::store::{PatientId, StoreError};

/// A patient, and what of the reports the caller may see.
pub(super) struct Reach {
    pub(super) patient: PatientId,
    /// The facility that calls; `None` is the patient.
    facility: Option<InstitutionCode>,
    /// What opens the patient's data to the facility.
    pub(super) opening: Option<Opening>,
}

impl Exchange {
    /// The patient's own data, or those of the patient an `Identity-Token` stands for at a practitioner's terminal.
    pub(super) async fn reach(&self, caller: &Caller, token: Option<&str>) -> Result<Reach, ExchangeError> {
        if let Some(patient) = caller.patient() {
            return Ok(Reach { patient, facility: None, opening: None });
        }
        let (facility, _) = caller.clinician()?;
        let identified = self.identity_of(caller, token).await?;
        let opening = identified.permissions.opening(ConsentKind::MedicationHistory);
        Ok(Reach { patient: identified.patient, facility: Some(facility.code.clone()), opening })
    }

    /// The entries of a kind: all to the patient and under consent; without it a facility sees its own.
    ///
    /// # Errors
    ///
    /// `consent-required` for what only patients report; those of the identity check.
    pub async fn reported_list(
        &self,
        caller: &Caller,
        token: Option<&str>,
        kind: ReportedKind,
        request: &Request,
    ) -> Result<Vec<Reported>, ExchangeError> {
        let reach = self.reach(caller, token).await?;
        let own = reach.facility.as_ref().filter(|_| reach.opening.is_none());
        if own.is_some() && kind != ReportedKind::Allergy {
            return Err(ExchangeError::ConsentRequired);
        }
        let trace = trace(caller, request, "done").under(reach.opening);
        let act = acts(kind).read;
        Ok(self.store.reported_read(act, reach.patient, &[kind], own, self.clock.now(), &trace).await?)
    }

    /// Keeps entries of one kind. What was already there stays as it is.
    ///
    /// # Errors
    ///
    /// `not-permitted` for a facility that reports medicines; `state-conflict` when there are too many.
    pub async fn reported_record(
        &self,
        caller: &Caller,
        token: Option<&str>,
        kind: ReportedKind,
        contents: Vec<Content>,
        request: &Request,
    ) -> Result<Vec<(Reported, bool)>, ExchangeError> {
        caller.may_manage()?;
        let reach = self.reach(caller, token).await?;
        by_its_reporter(kind, &reach)?;
        let at = self.clock.now();
        let by = reporter(caller);
        let entry = |content| {
            Ok(Reported { id: self.request_id()?, recorded_on: japanese_date(at), by: by.clone(), content })
        };
        let mut entries = contents.into_iter().map(entry).collect::<Result<Vec<_>, ExchangeError>>()?;
        let trace = trace(caller, request, "done");
        let kept = self
            .reported_keep(acts(kind).record, reach.patient, kind, &entries, at, &trace)
            .await?
            .ok_or(ExchangeError::ReportedFull)?;
        for (entry, kept) in entries.iter_mut().zip(&kept) {
            (entry.id, entry.recorded_on) = (kept.id, japanese_date(kept.recorded_at));
        }
        Ok(entries.into_iter().zip(kept).map(|(entry, kept)| (entry, kept.new)).collect())
    }

    /// Keeps entries; `None` when the patient has too many. Whoever loses the race against the same entries asks again
    /// and finds them.
    pub(super) async fn reported_keep(
        &self,
        act: AccessAct,
        patient: PatientId,
        kind: ReportedKind,
        entries: &[Reported],
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Option<Vec<KeptEntry>>, ExchangeError> {
        for _ in 0..ATTEMPTS {
            match self.store.reported_insert(act, patient, kind, entries, at, trace).await? {
                Kept::Yes(kept) => return Ok(Some(kept)),
                Kept::Full => return Ok(None),
                Kept::Lost => {}
            }
        }
        Err(StoreError::Overloaded.into())
    }

    /// Takes an entry back.
    ///
    /// # Errors
    ///
    /// `not-found`; `not-permitted` for a patient whose entry it is not.
    pub async fn reported_remove(
        &self,
        caller: &Caller,
        token: Option<&str>,
        kind: ReportedKind,
        id: Uuid,
        request: &Request,
    ) -> Result<(), ExchangeError> {
        caller.may_manage()?;
        let reach = self.reach(caller, token).await?;
        by_its_reporter(kind, &reach)?;
        let (act, facility) = (acts(kind).remove, reach.facility.as_ref());
        let (at, trace) = (self.clock.now(), trace(caller, request, "done"));
        match self.store.reported_delete(act, reach.patient, (kind, id), facility, at, &trace).await? {
            Removed::Yes => Ok(()),
            Removed::AnothersEntry if facility.is_none() => {
                Err(ExchangeError::NotPermitted("a facility recorded it; ask there to take it back"))
            }
            Removed::AnothersEntry | Removed::Unknown => Err(ExchangeError::NotFound),
        }
    }
}

fn by_its_reporter(kind: ReportedKind, reach: &Reach) -> Result<(), ExchangeError> {
    if kind == ReportedKind::Medicine && reach.facility.is_some() {
        return Err(ExchangeError::NotPermitted("only patients report what they take"));
    }
    Ok(())
}

fn reporter(caller: &Caller) -> Reporter {
    match &caller.actor {
        Actor::Facility(facility) => Reporter::Facility {
            code: facility.code.clone(),
            name: facility.name.clone(),
            person: caller.person_name().map(str::to_owned),
        },
        Actor::Practitioner(_) | Actor::Patient { .. } => Reporter::Patient,
    }
}

/// What is done to entries of a kind.
struct Acts {
    read: AccessAct,
    record: AccessAct,
    remove: AccessAct,
}

fn acts(kind: ReportedKind) -> Acts {
    match kind {
        ReportedKind::Allergy => Acts {
            read: AccessAct::AllergyRead,
            record: AccessAct::AllergyRecord,
            remove: AccessAct::AllergyRemove,
        },
        ReportedKind::Medicine | ReportedKind::Claim => Acts {
            read: AccessAct::SelfReportedRead,
            record: AccessAct::SelfReportedRecord,
            remove: AccessAct::SelfReportedRemove,
        },
    }
}

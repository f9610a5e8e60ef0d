//! Draft orders of a clinic's own system (CDS Hooks): the same check, before there is a document.

use chrono::NaiveDate;
use uuid::Uuid;

use super::caller::Caller;
use super::check::{About, Checked};
use super::error::ExchangeError;
use super::identity::Identified;
use super::{Exchange, Request};
use crate::check::{Candidate, LineContent, Proposal, Supply, SupplyForm};
use crate::clock::japanese_date;
use crate::codec::fhir::medication_order::MedicationOrder;
use crate::formulary::{Formulary, RouteClass};
use crate::prescription::access::AccessAct;
use crate::prescription::mitigation::ManagementCode;

/// The act as the access record names it.
const ACT: AccessAct = AccessAct::CheckOrderSign;

/// What the person at the terminal did about one card.
#[derive(Clone, Debug)]
pub struct CardFeedback {
    /// The card: the id of its finding.
    pub card: Uuid,
    /// The reason of an override, when one was given; a card that was followed has none.
    pub overridden: Option<(ManagementCode, Option<String>)>,
}

impl Exchange {
    /// Checks draft orders of the patient an identity token stands for. Keeps the findings and the trace.
    ///
    /// # Errors
    ///
    /// `not-permitted` for other callers than clinics; what the store cannot do.
    pub async fn orders_check(
        &self,
        caller: &Caller,
        identified: &Identified,
        orders: &[MedicationOrder],
        request: &Request,
    ) -> Result<Checked, ExchangeError> {
        let clinic = caller.clinic()?;
        let (formulary, today) = (self.formulary(), japanese_date(self.clock.now()));
        let lines = orders.iter().zip(1..).map(|(order, number)| candidate(order, number, &formulary, today));
        let proposal = Proposal {
            institution: clinic.code.clone(),
            documents: Vec::new(),
            split: None,
            lines: lines.collect(),
        };
        let about = About { patient: identified.patient, disclosure: identified.disclosure(), looked: None };
        self.proposal_check(ACT, caller, about, &proposal, request).await
    }

    /// Keeps the reasons given for cards that were overridden. Cards of findings that were not shown to this
    /// facility, such as those that tell what was not checked, are passed over.
    ///
    /// # Errors
    ///
    /// `not-permitted` for other callers than clinics; what the store cannot do.
    pub async fn order_feedback(
        &self,
        caller: &Caller,
        feedback: Vec<CardFeedback>,
        request: &Request,
    ) -> Result<(), ExchangeError> {
        caller.clinic()?;
        for CardFeedback { card, overridden } in feedback {
            let Some((code, comment)) = overridden else { continue };
            // One request leaves one record a patient, and here every reason is an act.
            let request = Request { id: self.request_id()?, ..request.clone() };
            match self.mitigate(caller, card, code, comment, &request).await {
                // What is answered for and registered stands; feedback comes late by its nature.
                Ok(_) | Err(ExchangeError::NotFound | ExchangeError::FindingAnswered) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An order without a day begins today, one without a duration counts as long as one that is not counted in days.
fn candidate(order: &MedicationOrder, number: u16, formulary: &Formulary, today: NaiveDate) -> Candidate {
    let product = order.code.as_ref().and_then(|code| formulary.product(code));
    let internal = product.is_none_or(|product| product.route == RouteClass::Internal);
    let supply = match order.days {
        _ if order.as_needed => Supply::AsNeeded,
        Some(days) if internal => Supply::of(SupplyForm::Internal, order.usage.as_deref(), days),
        _ => Supply::External,
    };
    Candidate {
        place: order.place.clone(),
        rp: number,
        line: 1,
        content: LineContent::Drug,
        code: order.code.clone(),
        name: order.name.clone(),
        start: order.start.unwrap_or(today),
        supply,
    }
}

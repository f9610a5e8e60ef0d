//! The table of states of the contract: what an act may meet, by what was displayed before it.

use hikikae::prescription::state::{Kind, Refusal, Shown};

use super::reference::{No, Ref};
use super::{CLINICS, What};

/// Checks that what an act met is what the state displayed before it says. `holds` tells whether who acts holds the
/// prescription.
pub fn meets(displayed: Shown, what: What, of: &Ref, (by, holds): (usize, bool), refused: Option<No>) {
    let issuer = by % CLINICS.len() == of.clinic;
    let (told, stranger): (&[Option<Refusal>], bool) = match what {
        What::Accept if of.number.is_some() => (accept(displayed, holds), false),
        What::Cancel | What::Amend(_) if issuer => (take_back(displayed, of), false),
        What::Renew | What::Collect | What::Dispense { .. } => (hold(displayed, holds, &[None]), !holds),
        What::Return if displayed == Shown::PartlyDispensed => {
            (hold(displayed, holds, &[Some(Refusal::AlreadyDispensed)]), !holds)
        }
        // What was withdrawn may be with the patient all the same.
        What::Return => (hold(displayed, holds, &[None, Some(Refusal::AlreadyDispensed)]), !holds),
        // Corrections go by the results, wherever the prescription stands; others find nothing.
        What::Accept
        | What::Cancel
        | What::Amend(_)
        | What::AmendDispense { .. }
        | What::Withdraw { .. }
        | What::Look { .. } => return,
    };
    let met = match refused {
        None => told.contains(&None),
        Some(No::Refused(refusal)) => told.contains(&Some(refusal)),
        Some(No::NotFound) => stranger,
    };
    assert!(met, "displayed {displayed:?}, {what:?} met {refused:?}");
}

fn accept(displayed: Shown, holds: bool) -> &'static [Option<Refusal>] {
    match displayed {
        Shown::Issued => &[None],
        Shown::AwaitingNextUse => &[None, Some(Refusal::NotYetDue)],
        Shown::Accepted | Shown::PartlyDispensed if holds => &[None],
        Shown::Accepted | Shown::PartlyDispensed => &[Some(Refusal::HeldByPharmacy)],
        Shown::Dispensed => &[Some(Refusal::AlreadyDispensed)],
        Shown::Cancelled => &[Some(Refusal::Cancelled)],
        Shown::Collected => &[Some(Refusal::Collected)],
        Shown::Expired => &[Some(Refusal::Expired)],
    }
}

fn take_back(displayed: Shown, of: &Ref) -> &'static [Option<Refusal>] {
    match displayed {
        Shown::Issued => &[None],
        Shown::Dispensed if of.kind == Kind::InHouse => &[None],
        // A later part of a split waits for its only use.
        Shown::AwaitingNextUse if of.used == 0 => &[None],
        Shown::AwaitingNextUse | Shown::PartlyDispensed | Shown::Dispensed => {
            &[Some(Refusal::AlreadyDispensed)]
        }
        Shown::Accepted => &[Some(Refusal::HeldByPharmacy)],
        Shown::Cancelled => &[Some(Refusal::Cancelled)],
        Shown::Collected => &[Some(Refusal::Collected)],
        Shown::Expired if of.used == 0 => &[Some(Refusal::Expired)],
        Shown::Expired => &[Some(Refusal::AlreadyDispensed)],
    }
}

/// What the holder's acts meet, where `may` is what the holder meets.
fn hold(displayed: Shown, holds: bool, may: &'static [Option<Refusal>]) -> &'static [Option<Refusal>] {
    match displayed {
        Shown::Accepted | Shown::PartlyDispensed if holds => may,
        Shown::Issued
        | Shown::AwaitingNextUse
        | Shown::Accepted
        | Shown::PartlyDispensed
        | Shown::Expired => &[Some(Refusal::NotHeld)],
        // It tells the pharmacy that dispensed last from one that dispensed before.
        Shown::Dispensed => &[Some(Refusal::AlreadyDispensed), Some(Refusal::NotHeld)],
        Shown::Cancelled => &[Some(Refusal::Cancelled)],
        Shown::Collected => &[Some(Refusal::Collected)],
    }
}

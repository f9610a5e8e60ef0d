//! From documents to what is compared: the lines of a prescription or dispensing with their periods.

use chrono::NaiveDate;

use super::{Candidate, LineContent, Period, Proposal, Source, Supply, SupplyForm};
use crate::prescription::dispensing::{DispensedForm, Dispensing};
use crate::prescription::document::Prescription;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::line::{DosageKind, InformationClass};
use crate::prescription::usage::UsageCode;

/// The lines of a prescription. `places` says where each drug line stands, in order.
pub fn of_prescription(prescription: &Prescription, places: &[String]) -> Proposal {
    let lines = prescription.groups.iter().flat_map(|group| {
        let usage = group.usage.code.code().map(UsageCode::as_str);
        let supply = match group.kind {
            DosageKind::Internal => Supply::of(SupplyForm::Internal, usage, group.quantity),
            DosageKind::AsNeeded => Supply::AsNeeded,
            DosageKind::External
            | DosageKind::InternalDrops
            | DosageKind::Injection
            | DosageKind::Material => Supply::External,
            DosageKind::Unknown => longer(group.quantity),
        };
        group.lines.iter().map(move |line| (group.number, line, supply))
    });
    Proposal {
        institution: prescription.institution.code.clone(),
        documents: Vec::new(),
        lines: lines
            .enumerate()
            .map(|(index, (rp, line, supply))| Candidate {
                place: places.get(index).cloned().unwrap_or_default(),
                rp,
                line: line.number,
                content: match line.class {
                    None | Some(InformationClass::Drug) => LineContent::Drug,
                    Some(InformationClass::Material) => LineContent::Material,
                    Some(InformationClass::Uninsured) => LineContent::NonInsured,
                },
                code: line.code.clone(),
                name: line.name.clone().unwrap_or_default(),
                start: prescription.issued_on,
                supply,
            })
            .collect(),
    }
}

/// The lines of a dispensing, as dispensed. It belongs to the institution that prescribed it.
pub fn of_dispensing(
    dispensing: &Dispensing,
    prescribed_by: &InstitutionCode,
    places: &[String],
) -> Proposal {
    let lines = dispensing.groups.iter().flat_map(|group| {
        let usage = group.usage_code.code().map(UsageCode::as_str);
        let supply = match group.form {
            DispensedForm::Internal | DispensedForm::Infusion | DispensedForm::Decoction => {
                Supply::of(SupplyForm::Internal, usage, group.quantity)
            }
            DispensedForm::AsNeeded => Supply::AsNeeded,
            DispensedForm::InternalDrops
            | DispensedForm::Injection
            | DispensedForm::External
            | DispensedForm::Material => Supply::External,
            DispensedForm::Other => longer(group.quantity),
        };
        let content =
            if group.form == DispensedForm::Material { LineContent::Material } else { LineContent::Drug };
        group.lines.iter().zip(1..).map(move |(line, number)| (group.number, number, line, content, supply))
    });
    Proposal {
        institution: prescribed_by.clone(),
        documents: Vec::new(),
        lines: lines
            .enumerate()
            .map(|(index, (rp, number, line, content, supply))| Candidate {
                place: places.get(index).cloned().unwrap_or_default(),
                rp,
                line: number,
                content,
                code: line.code.clone(),
                name: line.name.clone(),
                start: dispensing.dispensed_on,
                supply,
            })
            .collect(),
    }
}

/// Of a form that is not known the quantity may be days or not: the longer reading warns rather than misses.
fn longer(quantity: u16) -> Supply {
    [Supply::External, Supply::Days(quantity)]
        .into_iter()
        .max_by_key(|supply| supply.interval_from(NaiveDate::default()).end)
        .unwrap_or(Supply::External)
}

/// What a document adds to the patient's history once it is registered.
pub fn periods(proposal: &Proposal, source: Source, document: &str, institution_name: &str) -> Vec<Period> {
    proposal
        .lines
        .iter()
        .map(|line| Period {
            source,
            document: document.to_owned(),
            content: line.content,
            code: line.code.clone(),
            name: line.name.clone(),
            interval: line.supply.interval_from(line.start),
            institution: proposal.institution.clone(),
            institution_name: institution_name.to_owned(),
        })
        .collect()
}

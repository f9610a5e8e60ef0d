//! From documents to what is compared: the lines of a prescription or dispensing with their periods.

use chrono::{Days, NaiveDate};

use super::{Candidate, LineContent, Period, Proposal, Rhythm, Source, SplitPart, Supply, SupplyForm};
use crate::prescription::dispensing::{DispensedForm, DispensedGroup, Dispensing};
use crate::prescription::document::Prescription;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::line::{DosageKind, InformationClass, RpGroup, UsageSupplementKind};
use crate::prescription::usage::UsageCode;

/// The lines of a prescription. `places` says where each drug line stands, in order.
///
/// All uses of a refill (リフィル) count from the issue date on: the medicine is prescribed for that long, though it
/// is given out in turns. A part of a split prescription (分割) begins when the parts before it have run out.
pub fn of_prescription(prescription: &Prescription, places: &[String]) -> Proposal {
    let split = split_part(prescription);
    let lines = prescription.groups.iter().flat_map(|group| {
        let (start, supply) = prescribed(prescription, group, split);
        group.lines.iter().map(move |line| (group.number, line, start, supply))
    });
    Proposal {
        institution: prescription.institution.code.clone(),
        documents: Vec::new(),
        split,
        lines: lines
            .enumerate()
            .map(|(index, (rp, line, start, supply))| Candidate {
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
                start,
                supply,
            })
            .collect(),
    }
}

/// 分割: which part of a split a prescription is.
pub fn split_part(prescription: &Prescription) -> Option<SplitPart> {
    let issued_on = prescription.issued_on;
    prescription.split.map(|split| SplitPart { issued_on, parts: split.parts, part: split.part })
}

/// The first day and the supply of a group.
fn prescribed(prescription: &Prescription, group: &RpGroup, split: Option<SplitPart>) -> (NaiveDate, Supply) {
    let usage = group.usage.code.code().map(UsageCode::as_str);
    let whole = match group.kind {
        DosageKind::Internal => Supply::of(SupplyForm::Internal, usage, group.quantity),
        DosageKind::AsNeeded => Supply::AsNeeded,
        DosageKind::External | DosageKind::InternalDrops | DosageKind::Injection | DosageKind::Material => {
            Supply::External
        }
        DosageKind::Unknown => longer(group.quantity),
    }
    .taken_on(rhythm(group));
    let issued_on = prescription.issued_on;
    let Some(total) = whole.days() else { return (issued_on, whole) };
    let Some((split, own)) = split.zip(group.split_quantity) else {
        let uses = u16::from(prescription.uses_allowed());
        return (issued_on, whole.with_days(total.saturating_mul(uses)));
    };
    let others = total.saturating_sub(own);
    // Parts may differ in length; how long the ones before the last are, only the last one knows.
    let earlier = if split.part >= split.parts {
        others
    } else {
        own.saturating_mul(u16::from(split.part.saturating_sub(1))).min(others)
    };
    let start = if earlier == 0 {
        issued_on
    } else {
        let end = whole.with_days(earlier).interval_from(issued_on).end;
        end.checked_add_days(Days::new(1)).unwrap_or(end)
    };
    (start, whole.with_days(own))
}

/// 隔日 and days of the week, from whichever of its places says it.
fn rhythm(group: &RpGroup) -> Option<Rhythm> {
    let supplements = &group.supplements;
    supplements
        .iter()
        .find_map(|supplement| match supplement.kind {
            Some(UsageSupplementKind::AlternateDays) => Some(Rhythm::AlternateDays),
            _ => supplement.code.as_deref().and_then(Rhythm::of_code),
        })
        .or_else(|| supplements.iter().find_map(|supplement| Rhythm::of_text(&supplement.text)))
        .or_else(|| Rhythm::of_text(&group.usage.name))
}

/// The lines of a dispensing, as dispensed. It belongs to the institution that prescribed it; which part of a split
/// it gives out is for the caller to add.
pub fn of_dispensing(
    dispensing: &Dispensing,
    prescribed_by: &InstitutionCode,
    places: &[String],
) -> Proposal {
    let lines = dispensing.groups.iter().flat_map(|group| {
        let supply = dispensed(group);
        let content =
            if group.form == DispensedForm::Material { LineContent::Material } else { LineContent::Drug };
        group.lines.iter().zip(1..).map(move |(line, number)| (group.number, number, line, content, supply))
    });
    Proposal {
        institution: prescribed_by.clone(),
        documents: Vec::new(),
        split: None,
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

fn dispensed(group: &DispensedGroup) -> Supply {
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
    // The dispensing layout has no code for it.
    let mut texts = group.usage_supplements.iter().chain(&group.usage_name);
    supply.taken_on(texts.find_map(|text| Rhythm::of_text(text)))
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
            substance: None,
            interval: line.supply.interval_from(line.start),
            institution: Some(proposal.institution.clone()),
            institution_name: institution_name.to_owned(),
            split: proposal.split,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{cj1, sj1};

    const REFILL: &str = include_str!("../../fixtures/documents/refill.sj1.csv");
    const SPLIT: &str = include_str!("../../fixtures/documents/split.sj1.csv");
    const USED: &str = include_str!("../../fixtures/documents/refill-first-use.cj1.csv");

    fn proposed(sj1: &str) -> Proposal {
        of_prescription(&sj1::read(sj1.as_bytes()).unwrap().value, &[])
    }

    /// First and last day of the first line.
    fn days(proposal: &Proposal) -> [String; 2] {
        let line = &proposal.lines[0];
        let interval = line.supply.interval_from(line.start);
        [interval.start.to_string(), interval.end.to_string()]
    }

    #[test]
    fn all_uses_of_a_refill_count() {
        assert_eq!(days(&proposed(REFILL)), ["2026-11-20", "2027-02-17"]);
        let used = cj1::read(USED.as_bytes()).unwrap().value;
        let institution = "1311234567".parse().unwrap();
        let dispensed = of_dispensing(&used, &institution, &[]);
        assert_eq!(days(&dispensed), ["2026-11-20", "2026-12-19"], "as dispensed, one use");
    }

    #[test]
    fn parts_of_a_split_follow_each_other() {
        let part = |part: &str, own: &str| {
            let text =
                SPLIT.replace("63,3,1", &format!("63,3,{part}")).replace(",14,42", &format!(",{own},42"));
            proposed(&text)
        };
        assert_eq!(days(&part("1", "14")), ["2026-11-20", "2026-12-03"]);
        assert_eq!(days(&part("2", "14")), ["2026-12-04", "2026-12-17"]);
        assert_eq!(days(&part("3", "14")), ["2026-12-18", "2026-12-31"]);
        assert_eq!(days(&part("3", "12")), ["2026-12-20", "2026-12-31"], "the last part ends with the whole");
        let split = part("2", "14").split.unwrap();
        assert_eq!((split.issued_on.to_string(), split.parts, split.part), ("2026-11-20".to_owned(), 3, 2));
        let kept = periods(&part("2", "14"), Source::Prescribed, "d1", "");
        assert_eq!(kept[0].split, Some(split));
    }

    #[test]
    fn rhythm_is_found_wherever_it_is_written() {
        let refill_less = REFILL.replace("64,3\n", "");
        assert_eq!(days(&proposed(&refill_less))[1], "2026-12-19");
        let with = |supplement: &str| {
            days(&proposed(&refill_less.replace("服用,1\n201", &format!("服用,1\n{supplement}\n201"))))[1]
                .clone()
        };
        for supplement in ["181,1,1,3,隔日,,", "181,1,1,8,隔日投与,I1100000,", "181,1,1,,隔日に服用,,"]
        {
            assert_eq!(with(supplement), "2027-01-17", "{supplement}");
        }
        assert_eq!(with("181,1,1,8,月曜日　木曜日,W0100100,"), "2027-03-04");
        assert_eq!(with("181,1,1,2,一包化,,"), "2026-12-19");
        let used = cj1::read(USED.replace("\n501", "\n311,1,隔日投与,\n501").as_bytes()).unwrap().value;
        let dispensed = of_dispensing(&used, &"1311234567".parse().unwrap(), &[]);
        assert_eq!(days(&dispensed)[1], "2027-01-17");
    }
}

//! Records 101 to 302: the RP groups with their usage and drugs, clinical notes and laboratory values.

use super::outline::{GroupRows, LineRows, Outline};
use super::{Dialect, code};
use crate::codec::coding::{self, DrugCodeKind, drug_code, usage_code};
use crate::codec::items::Items;
use crate::codec::log::Log;
use crate::codec::row::Row;
use crate::prescription::amount::Amount;
use crate::prescription::document::{ClinicalNote, LaboratoryValue};
use crate::prescription::identifier::DrugCode;
use crate::prescription::line::{
    Burden, DosageKind, DrugSupplement, DrugSupplementKind, Line, RpGroup, SingleDose, UnevenDose, Usage,
    UsageSupplement, UsageSupplementKind,
};

/// Receipt codes that stand for a drug or material without one; only the name says what it is.
const NAMELESS_DUMMIES: [&str; 2] = ["666660000", "777770000"];
/// The most doses an uneven day can have.
const DOSES: usize = 5;

/// The RP groups; a group that was refused is left out, its faults are in the log.
pub(super) fn groups(outline: &Outline<'_, '_>, dialect: Dialect, log: &mut Log) -> Vec<RpGroup> {
    let is_split = outline.head(63).is_some();
    outline.groups.iter().filter_map(|rows| group(rows, is_split, dialect, log)).collect()
}

fn group(rows: &GroupRows<'_, '_>, is_split: bool, dialect: Dialect, log: &mut Log) -> Option<RpGroup> {
    let mut items = Items::of(rows.head, log);
    let number = items.required_number(1, 3, 1..=999);
    let kind = items.required_code(2, 1, code::DOSAGE_KIND);
    if kind.is_some_and(|kind| kind != DosageKind::Unknown) {
        items.refuse(3, "a name of the form is for form 9 only");
    }
    let kind_name = items.text(3, 4);
    let quantity = items.required_number(4, 3, 1..=999);
    let split_quantity = split_quantity(rows, quantity, is_split, log);
    let usage = rows.usage.and_then(|row| usage(&mut Items::of(row, log), dialect));
    let mut last = 0;
    let supplements =
        rows.supplements.iter().filter_map(|row| usage_supplement(row, &mut last, log)).collect();
    let lines = rows.lines.iter().filter_map(|rows| line(rows, log)).collect();
    Some(RpGroup {
        number: number?,
        kind: kind?,
        kind_name,
        quantity: quantity?,
        split_quantity,
        usage: usage?,
        supplements,
        lines,
    })
}

/// 102: present exactly when the prescription is split (63).
fn split_quantity(
    rows: &GroupRows<'_, '_>,
    total: Option<u16>,
    is_split: bool,
    log: &mut Log,
) -> Option<u16> {
    let Some(row) = rows.split else {
        if is_split {
            let message = "expected a record 102 for every RP of a split prescription, it is missing";
            log.fault_at(Some(rows.head.line), Some("102"), message);
        }
        return None;
    };
    let mut items = Items::of(row, log);
    if !is_split {
        items.fault(2, "expected no split quantity without a record 63");
    }
    let part = items.required_number(2, 3, 1..=999);
    let written_total = items.required_number(3, 3, 1..=999);
    if total.is_some() && written_total.is_some() && total != written_total {
        items.fault(3, "expected the quantity of the record 101");
    }
    if total.is_some() && part > total {
        items.fault(2, "expected at most the quantity of the record 101");
    }
    part
}

fn usage(items: &mut Items<'_, '_, '_>, dialect: Dialect) -> Option<Usage> {
    let kinds = match dialect {
        Dialect::National => coding::USAGE_CODE_KIND,
        Dialect::Symbol => coding::STANDARD_USAGE_CODE_KIND,
    };
    let kind = items.required_code(2, 1, kinds);
    let code = kind.and_then(|kind| usage_code(items, kind, 3));
    let name = items.required_text(4, 100);
    let times_per_day = items.small(5, 2, 1, 99);
    Some(Usage { code: code?, name: name?, times_per_day })
}

fn usage_supplement(row: &Row<'_>, last: &mut u16, log: &mut Log) -> Option<UsageSupplement> {
    let mut items = Items::of(row, log);
    let number = items.ascending(2, 3, last);
    let kind = items.code(3, 2, code::USAGE_SUPPLEMENT_KIND);
    match kind {
        Some(UsageSupplementKind::CodedUsage) => items.require(5),
        Some(UsageSupplementKind::CodedSite) => items.require(6),
        _ => true,
    };
    let text = items.required_text(4, 100);
    let code = items.supplement_code(5);
    let site = items.code_text(6, 3);
    Some(UsageSupplement { number: number?, kind, text: text?, code, site })
}

fn line(rows: &LineRows<'_, '_>, log: &mut Log) -> Option<Line> {
    let mut items = Items::of(rows.head, log);
    let number = items.required_number(2, 2, 1..=99);
    let class = items.code(3, 1, code::INFORMATION_CLASS);
    let code_kind = items.required_code(4, 1, coding::PRESCRIBED_CODE_KIND);
    let code = code_kind.and_then(|kind| drug_code(&mut items, kind, 5));
    let named_by_code = code_kind == Some(DrugCodeKind::Receipt)
        && !code.as_ref().is_some_and(|code| NAMELESS_DUMMIES.contains(&DrugCode::as_str(code)));
    if !named_by_code {
        items.require(6);
    }
    let name = items.text(6, 80);
    let amount = items.required_parsed(7, str::parse::<Amount>);
    let potency = items.required_code(8, 1, code::POTENCY);
    let unit = items.required_text(9, 12);
    let conversion =
        rows.detail(211).and_then(|row| Items::of(row, log).required_parsed(3, str::parse::<Amount>));
    let uneven_doses = rows.detail(221).map(|row| uneven_doses(&mut Items::of(row, log))).unwrap_or_default();
    let burden = rows.detail(231).map(|row| burden(&mut Items::of(row, log)));
    let single_dose = rows.detail(241).and_then(|row| {
        let mut items = Items::of(row, log);
        items.require(3);
        let amount = items.ascii(3, 12);
        let times_per_day = items.small(4, 2, 1, 99);
        Some(SingleDose { amount: amount?, times_per_day })
    });
    let mut last = 0;
    let supplements =
        rows.supplements.iter().filter_map(|row| drug_supplement(row, &mut last, log)).collect();
    let uncoded_generic = code.is_none() && code_kind == Some(DrugCodeKind::Generic);
    Some(Line {
        number: number?,
        class,
        code,
        uncoded_generic,
        name,
        amount: amount?,
        potency: potency?,
        unit: unit?,
        conversion,
        uneven_doses,
        burden,
        single_dose,
        supplements,
    })
}

/// 221: two to five doses in items 3 to 7 without a gap, their codes in items 8 to 12.
fn uneven_doses(items: &mut Items<'_, '_, '_>) -> Vec<UnevenDose> {
    let written = (0..DOSES).rev().find(|dose| !items.is_empty(3 + dose)).map_or(0, |last| last + 1);
    let mut doses = Vec::new();
    for dose in 0..DOSES {
        let amount = if dose < written.max(2) {
            items.required_parsed(3 + dose, str::parse::<Amount>)
        } else {
            items.refuse(8 + dose, "there is no dose that the code could belong to");
            continue;
        };
        let code = items.supplement_code(8 + dose);
        if let Some(amount) = amount {
            doses.push(UnevenDose { amount, code });
        }
    }
    doses
}

fn burden(items: &mut Items<'_, '_, '_>) -> Burden {
    // 表3-42: omitted means not borne.
    let mut borne = |item: usize| items.code(item, 1, code::BORNE).unwrap_or(false);
    Burden { public: [borne(3), borne(4), borne(5)], special: borne(6) }
}

fn drug_supplement(row: &Row<'_>, last: &mut u16, log: &mut Log) -> Option<DrugSupplement> {
    let mut items = Items::of(row, log);
    let number = items.ascending(3, 3, last);
    let kind = items.code(4, 2, code::DRUG_SUPPLEMENT_KIND);
    let text = items.required_text(5, 100);
    if kind == Some(DrugSupplementKind::CodedUsage) {
        items.require(6);
    }
    let code = items.supplement_code(6);
    Some(DrugSupplement { number: number?, kind, text: text?, code })
}

/// The widest comment or finding taken; the standard's own limit is not public.
const REMARK_WIDTH: usize = 2_000;

/// 301.
pub(super) fn clinical_notes(outline: &Outline<'_, '_>, log: &mut Log) -> Vec<ClinicalNote> {
    let mut last = 0;
    let rows = outline.clinical_notes.iter();
    rows.filter_map(|row| {
        let mut items = Items::of(row, log);
        let number = items.ascending(1, 3, &mut last);
        let drug_name = items.text(2, 80);
        let comment = items.required_text(3, REMARK_WIDTH);
        Some(ClinicalNote { number: number?, drug_name, comment: comment? })
    })
    .collect()
}

/// 302.
pub(super) fn laboratory_values(outline: &Outline<'_, '_>, log: &mut Log) -> Vec<LaboratoryValue> {
    let mut last = 0;
    let rows = outline.laboratory_values.iter();
    rows.filter_map(|row| {
        let mut items = Items::of(row, log);
        let number = items.ascending(1, 3, &mut last);
        let text = items.required_text(2, REMARK_WIDTH);
        Some(LaboratoryValue { number: number?, text: text? })
    })
    .collect()
}

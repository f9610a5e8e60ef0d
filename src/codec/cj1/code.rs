//! What the items of a dispensing's records hold, in CJ1 and in the notebook (電子版お薬手帳) alike. Code tables are used
//! both ways: reading looks the value up by its code, writing the code by its value.

use crate::prescription::dispensing::{
    DispensedForm, PatientRemarkKind, ProvidedInformationKind, SupplyUnit,
};

/// 作成者: who wrote a record; CJ1 leaves it empty, and the domain does not keep it.
pub(in crate::codec) const CREATOR: &[(u16, ())] = &[(1, ()), (2, ()), (8, ()), (9, ())];
/// Record 2 item 1.
pub(in crate::codec) const PATIENT_REMARK_KIND: &[(u16, PatientRemarkKind)] = &[
    (1, PatientRemarkKind::Allergy),
    (2, PatientRemarkKind::AdverseReaction),
    (3, PatientRemarkKind::History),
    (9, PatientRemarkKind::Other),
];
/// Record 6 item 1: the only identity there is is the insured person's.
pub(in crate::codec) const IDENTITY_KIND: &[(u16, ())] = &[(1, ())];
/// 点数表 of who dispensed: 1 医科, 3 歯科, 4 調剤.
pub(in crate::codec) const DISPENSER_FEE_TABLE: &[(u16, &str)] = &[(1, "1"), (3, "3"), (4, "4")];
/// 点数表 of who prescribed: 1 医科, 3 歯科, 6 訪問看護.
pub(in crate::codec) const PRESCRIBER_FEE_TABLE: &[(u16, &str)] = &[(1, "1"), (3, "3"), (6, "6")];
/// Record 301 item 4.
pub(in crate::codec) const SUPPLY_UNIT: [(&str, SupplyUnit); 3] =
    [("日分", SupplyUnit::Days), ("回分", SupplyUnit::Times), ("調剤", SupplyUnit::Preparations)];
/// Record 301 item 5.
pub(in crate::codec) const FORM: &[(u16, DispensedForm)] = &[
    (1, DispensedForm::Internal),
    (2, DispensedForm::InternalDrops),
    (3, DispensedForm::AsNeeded),
    (4, DispensedForm::Injection),
    (5, DispensedForm::External),
    (6, DispensedForm::Infusion),
    (7, DispensedForm::Decoction),
    (9, DispensedForm::Material),
    (10, DispensedForm::Other),
];
/// Record 411 item 2.
pub(in crate::codec) const PROVIDED_INFORMATION_KIND: &[(u16, ProvidedInformationKind)] = &[
    (30, ProvidedInformationKind::AdverseReactionInHospital),
    (31, ProvidedInformationKind::NeededAfterDischarge),
    (99, ProvidedInformationKind::Other),
];

/// The widest name, address or contact taken, in half-width characters; the standard's limits are not public,
/// so these are wide enough for every one seen.
pub(in crate::codec) const NAME_WIDTH: usize = 240;
/// The widest free text taken.
pub(in crate::codec) const TEXT_WIDTH: usize = 2_000;

/// 体重: at most three digits before and three after the point.
pub(in crate::codec) fn weight(text: &str) -> Result<String, &'static str> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(integer) && digits(fraction) {
        Ok(text.to_owned())
    } else {
        Err("expected a weight in kilograms: at most 3 digits, and after a point at most 3")
    }
}

/// 調剤単位 by its name.
pub(in crate::codec) fn supply_unit(text: &str) -> Result<SupplyUnit, &'static str> {
    let found = SUPPLY_UNIT.iter().find(|(name, _)| *name == text);
    found.map(|(_, unit)| *unit).ok_or("expected 日分, 回分 or 調剤")
}

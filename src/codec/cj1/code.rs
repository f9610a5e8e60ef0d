//! The code tables of CJ1, used both ways: reading looks the value up by its code, writing the code by its value.

use crate::prescription::dispensing::{
    DispensedForm, PatientRemarkKind, ProvidedInformationKind, SupplyUnit,
};

/// 作成者: who wrote a record; CJ1 leaves it empty, and the domain does not keep it.
pub(super) const CREATOR: &[(u16, ())] = &[(1, ()), (2, ()), (8, ()), (9, ())];
/// Record 2 item 1.
pub(super) const PATIENT_REMARK_KIND: &[(u16, PatientRemarkKind)] = &[
    (1, PatientRemarkKind::Allergy),
    (2, PatientRemarkKind::AdverseReaction),
    (3, PatientRemarkKind::History),
    (9, PatientRemarkKind::Other),
];
/// Record 6 item 1: the only identity there is is the insured person's.
pub(super) const IDENTITY_KIND: &[(u16, ())] = &[(1, ())];
/// 点数表 of who dispensed: 1 医科, 3 歯科, 4 調剤.
pub(super) const DISPENSER_FEE_TABLE: &[(u16, &str)] = &[(1, "1"), (3, "3"), (4, "4")];
/// 点数表 of who prescribed: 1 医科, 3 歯科, 6 訪問看護.
pub(super) const PRESCRIBER_FEE_TABLE: &[(u16, &str)] = &[(1, "1"), (3, "3"), (6, "6")];
/// Record 301 item 4.
pub(super) const SUPPLY_UNIT: [(&str, SupplyUnit); 3] =
    [("日分", SupplyUnit::Days), ("回分", SupplyUnit::Times), ("調剤", SupplyUnit::Preparations)];
/// Record 301 item 5.
pub(super) const FORM: &[(u16, DispensedForm)] = &[
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
pub(super) const PROVIDED_INFORMATION_KIND: &[(u16, ProvidedInformationKind)] = &[
    (30, ProvidedInformationKind::AdverseReactionInHospital),
    (31, ProvidedInformationKind::NeededAfterDischarge),
    (99, ProvidedInformationKind::Other),
];

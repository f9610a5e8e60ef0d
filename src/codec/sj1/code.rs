//! The code tables of SJ1, used both ways: reading looks the value up by its code, writing the code by its value.

use crate::prescription::document::{
    Copayment, DutyReason, InsuranceKind, Relation, RemainingMedicine, RemarkKind,
};
use crate::prescription::line::{
    DosageKind, DrugSupplementKind, InformationClass, Potency, UsageSupplementKind,
};

pub(super) type Codes<T> = &'static [(u16, T)];

/// JAHIS10 表3-8 item 1; the code is also the fee table (点数表) of the ten-digit code.
pub(super) const FEE_TABLE: Codes<&str> = &[(1, "1"), (3, "3"), (6, "6")];
/// JAHIS10 表3-11 item 1: whether a department has a code.
pub(super) const DEPARTMENT_CODED: Codes<bool> = &[(1, false), (2, true)];
/// JAHIS10 表3-16.
pub(super) const COPAYMENT: Codes<Copayment> = &[
    (1, Copayment::ElderlyOrdinary),
    (2, Copayment::ElderlySeventyPercent),
    (3, Copayment::UnderSix),
    (4, Copayment::ElderlyOrdinaryAlternative),
    (5, Copayment::ElderlyEightyPercent),
];
/// JAHIS10 表3-17.
pub(super) const INSURANCE_KIND: Codes<InsuranceKind> = &[
    (1, InsuranceKind::Employee),
    (2, InsuranceKind::National),
    (3, InsuranceKind::WorkAccident),
    (4, InsuranceKind::Automobile),
    (5, InsuranceKind::Pollution),
    (6, InsuranceKind::SelfPaid),
    (7, InsuranceKind::LateElderly),
];
/// JAHIS10 表3-19 item 3.
pub(super) const RELATION: Codes<Relation> = &[(1, Relation::Insured), (2, Relation::Dependant)];
/// JAHIS10 表3-21.
pub(super) const DUTY_REASON: Codes<DutyReason> =
    &[(1, DutyReason::OnDuty), (2, DutyReason::WithinThreeMonthsAshore), (3, DutyReason::Commuting)];
/// JAHIS10 表3-30.
pub(super) const REMAINING_MEDICINE: Codes<RemainingMedicine> =
    &[(1, RemainingMedicine::InquireBeforeDispensing), (2, RemainingMedicine::InformAfterwards)];
/// JAHIS10 表3-33 item 2; 4 to 99 are reserved.
pub(super) const REMARK_KIND: Codes<RemarkKind> =
    &[(1, RemarkKind::OneDosePackage), (2, RemarkKind::Crushing), (3, RemarkKind::Split)];
/// JAHIS10 表3-34 item 1; the only number there is is the 引換番号.
pub(super) const NUMBER_KIND: Codes<()> = &[(1, ())];
/// JAHIS10 表3-35 item 2.
pub(super) const DOSAGE_KIND: Codes<DosageKind> = &[
    (1, DosageKind::Internal),
    (2, DosageKind::AsNeeded),
    (3, DosageKind::External),
    (4, DosageKind::InternalDrops),
    (5, DosageKind::Injection),
    (6, DosageKind::Material),
    (9, DosageKind::Unknown),
];
/// JAHIS10 表3-38 item 3; 10 to 99 are reserved.
pub(super) const USAGE_SUPPLEMENT_KIND: Codes<UsageSupplementKind> = &[
    (1, UsageSupplementKind::Tapering),
    (2, UsageSupplementKind::OneDosePackage),
    (3, UsageSupplementKind::AlternateDays),
    (4, UsageSupplementKind::Crushing),
    (5, UsageSupplementKind::Continued),
    (6, UsageSupplementKind::Site),
    (7, UsageSupplementKind::SingleDose),
    (8, UsageSupplementKind::CodedUsage),
    (9, UsageSupplementKind::CodedSite),
];
/// JAHIS10 表3-39 item 3.
pub(super) const INFORMATION_CLASS: Codes<InformationClass> =
    &[(1, InformationClass::Drug), (2, InformationClass::Material), (3, InformationClass::Uninsured)];
/// JAHIS10 表3-39 item 8.
pub(super) const POTENCY: Codes<Potency> = &[(1, Potency::Product), (2, Potency::Ingredient)];
/// JAHIS10 表3-42.
pub(super) const BORNE: Codes<bool> = &[(0, false), (1, true)];
/// JAHIS10 表3-44 item 4; 9 to 99 are reserved.
pub(super) const DRUG_SUPPLEMENT_KIND: Codes<DrugSupplementKind> = &[
    (1, DrugSupplementKind::OneDosePackage),
    (2, DrugSupplementKind::Crushing),
    (3, DrugSupplementKind::NoGeneric),
    (4, DrugSupplementKind::NoOtherForm),
    (5, DrugSupplementKind::NoOtherStrength),
    (6, DrugSupplementKind::NoOtherFormOrStrength),
    (7, DrugSupplementKind::CodedUsage),
    (8, DrugSupplementKind::PatientWantsBrand),
];

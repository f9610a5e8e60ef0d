//! The systems, extensions and code tables of a dispensing document, used both ways: reading looks the value up by its
//! code, writing the code by its value.

use crate::codec::fhir::strict::System;
use crate::prescription::dispensing::{
    DispensedForm, PatientRemarkKind, ProvidedInformationKind, SupplyUnit,
};
use crate::prescription::document::Sex;

/// 医療機関コード, ten digits.
pub(super) const INSTITUTION: System = System(&[
    "http://jpfhir.jp/fhir/Common/IdSystem/insurance-medical-institution-no",
    "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no",
]);
/// 保険者番号.
pub(super) const INSURER: System =
    System(&["urn:oid:1.2.392.100495.20.3.61", "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsurerNumber"]);
/// 処方箋ID, the order that a dispensing answers (JP Core `requestIdentifier`).
pub(super) const PRESCRIPTION_ID: System = System(&["urn:oid:1.2.392.100495.20.3.11"]);
/// RP番号.
pub(super) const RP_NUMBER: System = System(&[
    "urn:oid:1.2.392.100495.20.3.81",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/Medication-RPGroupNumber",
]);
/// RP内連番.
pub(super) const ORDER_IN_RP: System = System(&[
    "urn:oid:1.2.392.100495.20.3.82",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/MedicationAdministrationIndex",
]);
/// 文書区分.
pub(super) const DOCUMENT_KIND: System = System(&["urn:oid:1.2.392.100495.20.2.11"]);
/// 02 調剤結果.
pub(super) const DOCUMENT_KIND_DISPENSING: &str = "02";
/// 用法コード: the JAMI standard first, the master of the national service second.
pub(super) const USAGE: [System; 2] = [
    System(&["urn:oid:1.2.392.200250.2.2.20.20", "http://jami.jp/CodeSystem/MedicationUsage"]),
    System(&["http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationUsage_ePrescription"]),
];
/// UCUM.
pub(super) const UCUM: System = System(&["http://unitsofmeasure.org"]);

/// The sections of the Composition.
pub(super) const SECTION: System = System(&["https://hikikae.dev/fhir/CodeSystem/dispensing-section"]);
/// 剤形 of the medicine notebook.
pub(super) const FORM_SYSTEM: System = System(&["https://hikikae.dev/fhir/CodeSystem/dispensed-form"]);

/// Whether a name is in characters (IDE) or in kana (SYL).
pub(super) const NAME_REPRESENTATION: &str =
    "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation";
/// 記号, 番号 and 枝番 of an insured person (JP Core).
pub(super) const INSURED_SYMBOL: &str =
    "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_InsuredPersonSymbol";
pub(super) const INSURED_NUMBER: &str =
    "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_InsuredPersonNumber";
pub(super) const INSURED_BRANCH: &str =
    "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Coverage_InsuredPersonSubNumber";

/// 血液型.
pub(super) const BLOOD_TYPE: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-blood-type";
/// 体重.
pub(super) const WEIGHT: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-weight";
/// 患者特記.
pub(super) const PATIENT_REMARK: &str =
    "https://hikikae.dev/fhir/StructureDefinition/dispensing-patient-remark";
/// 手帳メモ.
pub(super) const MEMO: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-memo";
/// 処方医療機関.
pub(super) const INSTITUTION_EXTENSION: &str =
    "https://hikikae.dev/fhir/StructureDefinition/dispensing-prescribing-institution";
/// 処方医師.
pub(super) const PRESCRIBER: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-prescriber";
/// 服用注意.
pub(super) const CAUTION: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-caution";
/// 医療機関等提供情報.
pub(super) const PROVIDED: &str =
    "https://hikikae.dev/fhir/StructureDefinition/dispensing-provided-information";
/// 残薬確認.
pub(super) const REMAINING: &str =
    "https://hikikae.dev/fhir/StructureDefinition/dispensing-remaining-medicine";
/// 備考.
pub(super) const REMARK: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-remark";
/// 疑義照会結果 and the like.
pub(super) const INQUIRY: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-inquiry";
/// 剤形.
pub(super) const FORM_EXTENSION: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-form";
/// 調剤数量 in 回分 or 調剤, where there are no days.
pub(super) const SUPPLY: &str = "https://hikikae.dev/fhir/StructureDefinition/dispensing-supply";
/// 処方服用注意.
pub(super) const USAGE_CAUTION: &str =
    "https://hikikae.dev/fhir/StructureDefinition/dispensing-usage-caution";
/// On a note: 薬品服用注意, where without it the note is 薬品補足.
pub(super) const NOTE_CAUTION: &str =
    "https://hikikae.dev/fhir/StructureDefinition/dispensing-note-is-caution";

/// The code of a value; every value of a table's type has one.
pub(super) fn code_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, entry)| entry == value).map_or("", |(code, _)| code)
}

pub(super) const GENDER: &[(&str, Sex)] = &[("male", Sex::Male), ("female", Sex::Female)];
pub(super) const PATIENT_REMARK_KIND: &[(&str, PatientRemarkKind)] = &[
    ("allergy", PatientRemarkKind::Allergy),
    ("adverse-reaction", PatientRemarkKind::AdverseReaction),
    ("history", PatientRemarkKind::History),
    ("other", PatientRemarkKind::Other),
];
pub(super) const PROVIDED_KIND: &[(&str, ProvidedInformationKind)] = &[
    ("adverse-reaction-in-hospital", ProvidedInformationKind::AdverseReactionInHospital),
    ("needed-after-discharge", ProvidedInformationKind::NeededAfterDischarge),
    ("other", ProvidedInformationKind::Other),
];
/// The codes of the medicine notebook.
pub(super) const FORM: &[(&str, DispensedForm)] = &[
    ("1", DispensedForm::Internal),
    ("2", DispensedForm::InternalDrops),
    ("3", DispensedForm::AsNeeded),
    ("4", DispensedForm::Injection),
    ("5", DispensedForm::External),
    ("6", DispensedForm::Infusion),
    ("7", DispensedForm::Decoction),
    ("9", DispensedForm::Material),
    ("10", DispensedForm::Other),
];
/// 調剤単位 other than days, which `daysSupply` says.
pub(super) const SUPPLY_UNIT: &[(&str, SupplyUnit)] =
    &[("times", SupplyUnit::Times), ("preparations", SupplyUnit::Preparations)];

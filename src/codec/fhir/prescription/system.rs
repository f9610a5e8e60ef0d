//! Names the JP ePrescription profile and this exchange give to systems, extensions and codes. The first name of a
//! system is written, all are read.

use crate::codec::fhir::strict::System;
use crate::prescription::document::{
    Copayment, DutyReason, InsuranceKind, Relation, RemainingMedicine, RemarkKind,
};
use crate::prescription::line::{
    DosageKind, DrugSupplementKind, InformationClass, Potency, UsageSupplementKind,
};

macro_rules! ours {
    ($name:literal) => {
        concat!("https://hikikae.dev/fhir/StructureDefinition/", $name)
    };
}

macro_rules! jp_core {
    ($name:literal) => {
        concat!("http://jpfhir.jp/fhir/core/Extension/StructureDefinition/", $name)
    };
}

pub(super) const PROFILE: &str = "http://jpfhir.jp/fhir/ePrescription/StructureDefinition/";

// Systems (JP ePrescription tables 1 to 25; JP Core for the URLs).
pub(super) const DOCUMENT_NUMBER: System = System(&[
    "http://jpfhir.jp/fhir/Common/IdSystem/resourceInstance-identifier",
    "http://jpfhir.jp/fhir/core/IdSystem/resourceInstance-identifier",
]);
pub(super) const DOCUMENT_TYPE: System = System(&[
    "http://jpfhir.jp/fhir/Common/CodeSystem/doc-typecodes",
    "http://jpfhir.jp/fhir/core/CodeSystem/doc-typecodes",
    "http://loinc.org",
]);
pub(super) const CATEGORY: System =
    System(&["http://jpfhir.jp/fhir/ePrescription/CodeSystem/prescription-category"]);
pub(super) const SECTION: System =
    System(&["http://jpfhir.jp/fhir/ePrescription/CodeSystem/prescription-section"]);
pub(super) const COMMUNICATION: System =
    System(&["http://jpfhir.jp/fhir/ePrescription/CodeSystem/communication-category"]);
pub(super) const ACT_CODE: System = System(&["http://terminology.hl7.org/CodeSystem/v3-ActCode"]);
pub(super) const ORGANIZATION_TYPE: System =
    System(&["http://terminology.hl7.org/CodeSystem/organization-type"]);
pub(super) const COPAY_TYPE: System = System(&["http://terminology.hl7.org/CodeSystem/coverage-copay-type"]);
pub(super) const UCUM: System = System(&["http://unitsofmeasure.org"]);
pub(super) const ROLE: System = System(&[
    "http://jpfhir.jp/fhir/Common/CodeSystem/practitioner-role-category",
    "http://jpfhir.jp/fhir/core/CodeSystem/practitioner-role-category",
]);
pub(super) const CERTIFICATE: System = System(&[
    "http://jpfhir.jp/fhir/core/CodeSystem/practitioner-certificate-category",
    "http://jpfhir.jp/fhir/core/CodeSystem/Practitioner-certificate-category",
]);
pub(super) const INSTITUTION: System = System(&[
    "http://jpfhir.jp/fhir/Common/IdSystem/insurance-medical-institution-no",
    "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no",
]);
pub(super) const PREFECTURE: System = System(&[
    "urn:oid:1.2.392.100495.20.3.21",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/PrefectureNo-2digits",
]);
pub(super) const FEE_TABLE: System = System(&[
    "urn:oid:1.2.392.100495.20.3.22",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationFeeScoreType",
]);
pub(super) const INSTITUTION_7: System = System(&[
    "urn:oid:1.2.392.100495.20.3.23",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/MedicalOrganizationID",
]);
pub(super) const DEPARTMENT: System = System(&[
    "urn:oid:1.2.392.100495.20.2.51",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationRequestDepartment",
]);
pub(super) const DOCTOR_REGISTRATION: System = System(&[
    "urn:oid:1.2.392.100495.20.3.31",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/medicalRegistrationNumber",
]);
/// 麻薬施用者免許; the prefecture's two digits follow.
pub(super) const NARCOTICS_LICENCE: &str = "urn:oid:1.2.392.100495.20.3.32.1";
/// 医師ID, 歯科医師ID, 患者ID; the institution's ten digits follow.
pub(super) const DOCTOR: &str = "urn:oid:1.2.392.100495.20.3.41.1";
pub(super) const DENTIST: &str = "urn:oid:1.2.392.100495.20.3.42.1";
pub(super) const PATIENT: &str = "urn:oid:1.2.392.100495.20.3.51.1";
pub(super) const INSURER: System =
    System(&["urn:oid:1.2.392.100495.20.3.61", "http://jpfhir.jp/fhir/core/mhlw/IdSystem/InsurerNumber"]);
pub(super) const PUBLIC_PAYER: System =
    System(&["urn:oid:1.2.392.100495.20.3.71", "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber"]);
pub(super) const INSURANCE_KIND_SYSTEM: System = System(&[
    "urn:oid:1.2.392.100495.20.2.61",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/InsuranceMajorCategory",
]);
pub(super) const RELATION_SYSTEM: System = System(&[
    "urn:oid:1.2.392.100495.20.2.62",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/InsuredPersonCategory",
]);
pub(super) const RP_NUMBER: System = System(&[
    "urn:oid:1.2.392.100495.20.3.81",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/Medication-RPGroupNumber",
]);
pub(super) const LINE_NUMBER: System = System(&[
    "urn:oid:1.2.392.100495.20.3.82",
    "http://jpfhir.jp/fhir/core/mhlw/IdSystem/MedicationAdministrationIndex",
]);
pub(super) const USAGE_JAMI: System =
    System(&["urn:oid:1.2.392.200250.2.2.20.20", "http://jami.jp/CodeSystem/MedicationUsage"]);
pub(super) const USAGE_MASTER: System =
    System(&["http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationUsage_ePrescription"]);
/// 補足用法コード of JAMI. The last is the number the ministry's CDA table 6 has for it, as the guide's example of alternate
/// days writes it.
pub(super) const USAGE_ADDITIONAL: System = System(&[
    "urn:oid:1.2.392.200250.2.2.20.22",
    "http://jami.jp/CodeSystem/MedicationUsageAdditional",
    "urn:oid:1.2.392.100495.20.2.32",
]);
pub(super) const SITE: System =
    System(&["urn:oid:1.2.392.200250.2.2.20.32", "http://jami.jp/CodeSystem/MedicationBodySiteExternal"]);
pub(super) const METHOD_BASIC: System =
    System(&["urn:oid:1.2.392.200250.2.2.20.30", "http://jami.jp/CodeSystem/MedicationMethodBasicUsage"]);
pub(super) const METHOD_DETAIL: System =
    System(&["urn:oid:1.2.392.200250.2.2.20.40", "http://jami.jp/CodeSystem/MedicationMethodDetailUsage"]);
pub(super) const ROUTE: System = System(&[
    "http://jpfhir.jp/fhir/ePrescription/CodeSystem/route-codes",
    "http://jpfhir.jp/fhir/core/CodeSystem/route-codes",
]);
pub(super) const POTENCY_SYSTEM: System = System(&[
    "urn:oid:1.2.392.100495.20.2.22",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationIngredientStrengthStrengthType",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationIngredientStrengthType",
]);
pub(super) const UNIT: System = System(&[
    "urn:oid:1.2.392.100495.20.2.101",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationUnitMERIT9Code",
]);
pub(super) const FORM_SYSTEM: System =
    System(&["urn:oid:1.2.392.100495.20.2.21", "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationForm"]);
pub(super) const SUBSTITUTION_SYSTEM: System = System(&[
    "urn:oid:1.2.392.100495.20.2.41",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationSubstitutionProhibittedCategory",
]);
pub(super) const REMAINING_SYSTEM: System = System(&[
    "urn:oid:1.2.392.100495.20.2.42",
    "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/RequestCheckRemainingMedicine",
]);
pub(super) const PREPARATION_SYSTEM: System =
    System(&["urn:oid:1.2.392.200250.2.2.30.10", "http://jami.jp/CodeSystem/DrugDispensePreparationMethod"]);

// Extensions of FHIR and of the JP profiles.
pub(super) const VERSION_NUMBER: &str =
    "http://hl7.org/fhir/StructureDefinition/composition-clinicaldocument-versionNumber";
pub(super) const NAME_REPRESENTATION: &str =
    "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation";
pub(super) const PREFECTURE_NO: &str = jp_core!("JP_Organization_PrefectureNo");
pub(super) const ORGANIZATION_CATEGORY: &str = jp_core!("JP_Organization_InsuranceOrganizationCategory");
pub(super) const ORGANIZATION_NO: &str = jp_core!("JP_Organization_InsuranceOrganizationNo");
pub(super) const INSURED_SYMBOL: &str = jp_core!("JP_Coverage_InsuredPersonSymbol");
pub(super) const INSURED_NUMBER: &str = jp_core!("JP_Coverage_InsuredPersonNumber");
pub(super) const INSURED_SUB_NUMBER: &str = jp_core!("JP_Coverage_InsuredPersonSubNumber");
pub(super) const PERIOD_OF_USE: &str = jp_core!("JP_MedicationRequest_DosageInstruction_PeriodOfUse");
pub(super) const USAGE_DURATION: &str = jp_core!("JP_MedicationRequest_DosageInstruction_UsageDuration");
pub(super) const INSTRUCTION_FOR_DISPENSE: &str =
    jp_core!("JP_MedicationRequest_DispenseRequest_InstructionForDispense");
pub(super) const EXPECTED_REPEAT_COUNT: &str =
    jp_core!("JP_MedicationRequest_DispenseRequest_ExpectedRepeatCount");
pub(super) const COMMUNICATION_CONTENT: &str =
    "http://jpfhir.jp/fhir/ePrescription/Extension/StructureDefinition/JP_Communication_CommunicationContent";

// Our own, for what SJ1 can say and the profile has no element for (docs/mapping.md).
pub(super) const SEQUENCE: &str = ours!("sequence");
pub(super) const EXCHANGE_NUMBER: &str = ours!("exchange-number");
pub(super) const SPLIT_PART: &str = ours!("split-part");
pub(super) const SPLIT_TOTAL: &str = ours!("split-total");
pub(super) const COPAYMENT_CLASS: &str = ours!("copayment-class");
pub(super) const DUTY: &str = ours!("duty-reason");
pub(super) const RECEIPT_KIND: &str = ours!("receipt-kind");
pub(super) const SPECIAL_PAYER: &str = ours!("special-payer");
pub(super) const BENEFIT_RATE: &str = ours!("benefit-rate");
pub(super) const REMARK_KIND: &str = ours!("remark-kind");
pub(super) const NOTE_KIND: &str = ours!("note-kind");
pub(super) const DRUG_NAME: &str = ours!("drug-name");
pub(super) const NAMED_BY_CODE: &str = ours!("named-by-code");
pub(super) const GENERIC_NAME: &str = ours!("generic-name");
pub(super) const INFORMATION_CLASS: &str = ours!("information-class");
pub(super) const DOSAGE_FORM: &str = ours!("dosage-form");
pub(super) const DISPENSE_COUNT: &str = ours!("dispense-count");
pub(super) const USAGE_SUPPLEMENT: &str = ours!("usage-supplement");
pub(super) const UNEVEN_DOSE: &str = ours!("uneven-dose");
pub(super) const UNIT_CONVERSION: &str = ours!("unit-conversion");
pub(super) const PAYER_BURDEN: &str = ours!("payer-burden");
pub(super) const SINGLE_DOSE: &str = ours!("single-dose");
pub(super) const DRUG_SUPPLEMENT: &str = ours!("drug-supplement");

/// The parts of [`PAYER_BURDEN`].
pub(super) const BURDENS: [&str; 4] = ["first", "second", "third", "special"];

/// The word of a value in a table; every value of a table's type has one.
pub(super) fn word<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, entry)| entry == value).map_or("", |(word, _)| word)
}

pub(super) type Words<T> = &'static [(&'static str, T)];

/// 保険種別 of table 11; 8, 公費, is that of a public payer.
pub(super) const INSURANCE_KINDS: Words<Option<InsuranceKind>> = &[
    ("1", Some(InsuranceKind::Employee)),
    ("2", Some(InsuranceKind::National)),
    ("3", Some(InsuranceKind::WorkAccident)),
    ("4", Some(InsuranceKind::Automobile)),
    ("5", Some(InsuranceKind::Pollution)),
    ("6", Some(InsuranceKind::SelfPaid)),
    ("7", Some(InsuranceKind::LateElderly)),
    ("8", None),
];
/// 被保険者区分 of table 12.
pub(super) const RELATIONS: Words<Relation> = &[("1", Relation::Insured), ("2", Relation::Dependant)];
/// 残薬確認指示 of table 9.
pub(super) const REMAINING: Words<Option<RemainingMedicine>> = &[
    ("0", None),
    ("1", Some(RemainingMedicine::InquireBeforeDispensing)),
    ("2", Some(RemainingMedicine::InformAfterwards)),
];
/// 剤形区分 of table 3.
pub(super) const FORMS: Words<DosageKind> = &[
    ("1", DosageKind::Internal),
    ("2", DosageKind::AsNeeded),
    ("3", DosageKind::External),
    ("4", DosageKind::InternalDrops),
    ("5", DosageKind::Injection),
    ("6", DosageKind::Material),
    ("9", DosageKind::Unknown),
];
/// 力価区分 of table 4.
pub(super) const POTENCIES: Words<Potency> = &[("1", Potency::Product), ("2", Potency::Ingredient)];
/// 後発品変更不可 of table 8. It has no code for both 剤形 and 規格.
pub(super) const SUBSTITUTIONS: Words<Option<DrugSupplementKind>> = &[
    ("0", None),
    ("1", Some(DrugSupplementKind::NoGeneric)),
    ("2", Some(DrugSupplementKind::NoOtherForm)),
    ("3", Some(DrugSupplementKind::NoOtherStrength)),
];
/// 調剤指示 of JAMI; what SJ1 has no code for is a supplement without one.
pub(super) const PREPARATIONS: Words<Option<DrugSupplementKind>> = &[
    ("OP", Some(DrugSupplementKind::OneDosePackage)),
    ("C", Some(DrugSupplementKind::Crushing)),
    ("SP", None),
    ("MX", None),
];
/// Codes of [`COPAYMENT_CLASS`], those of SJ1 record 14.
pub(super) const COPAYMENTS: Words<Copayment> = &[
    ("1", Copayment::ElderlyOrdinary),
    ("2", Copayment::ElderlySeventyPercent),
    ("3", Copayment::UnderSix),
    ("4", Copayment::ElderlyOrdinaryAlternative),
    ("5", Copayment::ElderlyEightyPercent),
];
/// Codes of [`DUTY`], those of SJ1 record 25.
pub(super) const DUTY_REASONS: Words<DutyReason> =
    &[("1", DutyReason::OnDuty), ("2", DutyReason::WithinThreeMonthsAshore), ("3", DutyReason::Commuting)];
/// Codes of [`REMARK_KIND`].
pub(super) const REMARK_KINDS: Words<RemarkKind> = &[
    ("one-dose-package", RemarkKind::OneDosePackage),
    ("crushing", RemarkKind::Crushing),
    ("split", RemarkKind::Split),
];
/// Codes of [`INFORMATION_CLASS`].
pub(super) const CLASSES: Words<InformationClass> = &[
    ("drug", InformationClass::Drug),
    ("material", InformationClass::Material),
    ("uninsured", InformationClass::Uninsured),
];
/// Kinds of [`USAGE_SUPPLEMENT`].
pub(super) const USAGE_SUPPLEMENTS: Words<UsageSupplementKind> = &[
    ("tapering", UsageSupplementKind::Tapering),
    ("one-dose-package", UsageSupplementKind::OneDosePackage),
    ("alternate-days", UsageSupplementKind::AlternateDays),
    ("crushing", UsageSupplementKind::Crushing),
    ("continued", UsageSupplementKind::Continued),
    ("site", UsageSupplementKind::Site),
    ("single-dose", UsageSupplementKind::SingleDose),
    ("coded-usage", UsageSupplementKind::CodedUsage),
    ("coded-site", UsageSupplementKind::CodedSite),
];
/// Kinds of [`DRUG_SUPPLEMENT`].
pub(super) const DRUG_SUPPLEMENTS: Words<DrugSupplementKind> = &[
    ("one-dose-package", DrugSupplementKind::OneDosePackage),
    ("crushing", DrugSupplementKind::Crushing),
    ("no-generic", DrugSupplementKind::NoGeneric),
    ("no-other-form", DrugSupplementKind::NoOtherForm),
    ("no-other-strength", DrugSupplementKind::NoOtherStrength),
    ("no-other-form-or-strength", DrugSupplementKind::NoOtherFormOrStrength),
    ("coded-usage", DrugSupplementKind::CodedUsage),
    ("patient-wants-brand", DrugSupplementKind::PatientWantsBrand),
];

//! Generated prescriptions and dispensing results for property tests. Each is valid: everything the standards ask of
//! a document holds.

use chrono::NaiveDate;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::amount::Amount;
use super::dispensing::{
    DispensedForm, DispensedGroup, DispensedLine, Dispensing, DispensingPatient, DispensingPrescriber,
    Inquiry, LineNote, Memo, PatientRemark, PatientRemarkKind, Pharmacist, Pharmacy, PrescribingInstitution,
    ProvidedInformation, ProvidedInformationKind, SupplyUnit,
};
use super::document::{
    ClinicalNote, Copayment, Department, DutyReason, Institution, Insurance, InsuranceKind, InsuredIdentity,
    LaboratoryValue, Narcotics, PatientParticulars, Prescriber, Prescription, PublicPayer, Rates, Refill,
    Relation, RemainingMedicine, Remark, RemarkKind, Sex, SpecialPayer, Split,
};
use super::identifier::{DrugCode, InstitutionCode};
use super::line::{
    Burden, DosageKind, DrugSupplement, DrugSupplementKind, InformationClass, Line, Potency, RpGroup,
    SingleDose, UnevenDose, Usage, UsageCoding, UsageSupplement, UsageSupplementKind,
};
use super::usage::UsageCode;

const TEXT: &str = "[ぁ-んァ-ヶ一-龠Ａ-Ｚ０-９a-zA-Z0-9【】（）「」．％]{1,20}";
const SHORT_TEXT: &str = "[ぁ-ん錠包ｇmL]{1,6}";
const KANA: &str = "[ｱ-ﾝ]{1,10} [ｱ-ﾝ]{1,10}";
const PHONE: &str = "0[0-9]{1,2}-[0-9]{4}-[0-9]{4}";
const POSTAL_CODE: &str = "[0-9]{3}-[0-9]{4}";
const ASCII: &str = "[0-9A-Za-z.-]{1,15}";
const SUPPLEMENT_CODE: &str = "[A-Z][0-9.A-Z]{7}";

/// A date in the years that documents name.
pub(crate) fn date() -> impl Strategy<Value = NaiveDate> {
    (1900i32..2090, 1u32..=12, 1u32..=28)
        .prop_map(|(year, month, day)| NaiveDate::from_ymd_opt(year, month, day).unwrap())
}

/// Any amount.
pub(crate) fn amount() -> impl Strategy<Value = Amount> {
    (0u32..=999_999, 0u32..=99_999).prop_filter_map("above zero", |(integer, fraction)| {
        let text = format!("{integer}.{fraction:05}");
        text.trim_end_matches('0').trim_end_matches('.').parse().ok()
    })
}

/// A code of a product, of any kind.
pub(crate) fn product_code() -> impl Strategy<Value = DrugCode> {
    let stem = "[0-9]{7}[A-Z][0-9]{3}";
    let checked = |parse: fn(&str) -> Result<DrugCode, _>| {
        move |stem: String| (0..10).find_map(|check| parse(&format!("{stem}{check}")).ok())
    };
    prop_oneof![
        "6[124678][0-9]{7}|7[0-9]{8}".prop_map(|code| DrugCode::receipt(&code).unwrap()),
        stem.prop_filter_map("check digit", checked(DrugCode::price)),
        stem.prop_filter_map("check digit", checked(DrugCode::yj)),
        "[0-9]{7}|[0-9]{9}|[0-9]{13}".prop_map(|code| DrugCode::hot(&code).unwrap()),
    ]
}

fn generic_code() -> impl Strategy<Value = DrugCode> {
    "[0-9]{7}[A-Z][0-9A-Z]ZZZ".prop_map(|code| DrugCode::generic(&code).unwrap())
}

fn usage_coding() -> impl Strategy<Value = UsageCoding> {
    let codes =
        ["1011100000000000", "1013044400000000", "1050W20000000000", "2A71000000000000", "0X0XXXXXXXXX0000"];
    let code = select(codes.to_vec()).prop_map(|code| code.parse::<UsageCode>().unwrap());
    prop_oneof![
        Just(UsageCoding::Uncoded),
        code.clone().prop_map(UsageCoding::Jami),
        code.prop_map(UsageCoding::Master),
    ]
}

fn institution_code(fee_tables: &'static str) -> impl Strategy<Value = InstitutionCode> {
    (1u8..=47, select(fee_tables.chars().collect::<Vec<_>>()), "[0-9]{7}")
        .prop_map(|(prefecture, table, own)| format!("{prefecture:02}{table}{own}").parse().unwrap())
}

fn sex() -> impl Strategy<Value = Sex> {
    select(vec![Sex::Male, Sex::Female])
}

/// Gives the elements numbers from 1 upwards.
fn numbered<T, N>(elements: Vec<T>, mut number: impl FnMut(u16, T) -> N) -> Vec<N> {
    (1..).zip(elements).map(|(index, element)| number(index, element)).collect()
}

fn institution() -> impl Strategy<Value = Institution> {
    let contacts = (PHONE, of(PHONE), of(TEXT));
    (institution_code("136"), of(TEXT), of(POSTAL_CODE), of(TEXT), of(contacts)).prop_map(
        |(code, name, postal_code, address, contacts)| {
            let (phone, fax, other_contact) =
                contacts.map(|(phone, fax, other)| (Some(phone), fax, other)).unwrap_or_default();
            Institution { code, name, postal_code, address, phone, fax, other_contact }
        },
    )
}

fn department() -> impl Strategy<Value = Department> {
    prop_oneof![
        TEXT.prop_map(|name| Department { code: None, name: Some(name) }),
        ("[0-9]{2}", of(TEXT)).prop_map(|(code, name)| Department { code: Some(code), name }),
    ]
}

fn patient() -> impl Strategy<Value = PatientParticulars> {
    let born = (1900i32..=2020, 1u32..=12, 1u32..=28)
        .prop_map(|(year, month, day)| NaiveDate::from_ymd_opt(year, month, day).unwrap());
    let names = prop_oneof![
        (TEXT, of(KANA)).prop_map(|(name, kana)| (Some(name), kana)),
        KANA.prop_map(|kana| (None, Some(kana))),
    ];
    (of(ASCII), names, sex(), born).prop_map(|(code, (name, kana), sex, birth_date)| PatientParticulars {
        code,
        name,
        kana,
        sex,
        birth_date,
    })
}

fn insured_identity() -> impl Strategy<Value = InsuredIdentity> {
    (of("[0-9]{8}|[0-9]{6}"), of(TEXT), of(TEXT), of("[0-9]{2}")).prop_map(
        |(insurer_number, symbol, number, branch_number)| InsuredIdentity {
            insurer_number,
            symbol,
            number,
            branch_number,
        },
    )
}

fn insurance() -> impl Strategy<Value = Insurance> {
    let kind = select(vec![
        InsuranceKind::Employee,
        InsuranceKind::National,
        InsuranceKind::WorkAccident,
        InsuranceKind::Automobile,
        InsuranceKind::Pollution,
        InsuranceKind::SelfPaid,
        InsuranceKind::LateElderly,
    ]);
    let rates = (0u8..=100, 0u8..=100).prop_map(|(burden, benefit)| Rates { burden, benefit });
    let reasons = [DutyReason::OnDuty, DutyReason::WithinThreeMonthsAshore, DutyReason::Commuting];
    let payer = || {
        of(("[0-9]{8}", of("[0-9]{7}"))
            .prop_map(|(payer_number, recipient_number)| PublicPayer { payer_number, recipient_number }))
    };
    let special = (TEXT, of(TEXT))
        .prop_map(|(payer_number, recipient_number)| SpecialPayer { payer_number, recipient_number });
    (
        of(kind),
        insured_identity(),
        select(vec![Relation::Insured, Relation::Dependant]),
        of(rates),
        of(select(reasons.to_vec())),
        [payer(), payer(), payer()],
        of(special),
        of("[0-9]{4}"),
    )
        .prop_map(
            |(kind, identity, relation, rates, duty_reason, public_payers, special_payer, receipt_kind)| {
                Insurance {
                    kind,
                    identity,
                    relation,
                    rates,
                    duty_reason,
                    public_payers,
                    special_payer,
                    receipt_kind,
                }
            },
        )
}

fn usage_supplement() -> impl Strategy<Value = UsageSupplement> {
    use UsageSupplementKind as Kind;
    let plain = [
        None,
        Some(Kind::Tapering),
        Some(Kind::OneDosePackage),
        Some(Kind::AlternateDays),
        Some(Kind::Crushing),
        Some(Kind::Continued),
        Some(Kind::Site),
        Some(Kind::SingleDose),
    ];
    let supplement = |kind, text, code, site| UsageSupplement { number: 0, kind, text, code, site };
    prop_oneof![
        (select(plain.to_vec()), TEXT).prop_map(move |(kind, text)| supplement(kind, text, None, None)),
        (TEXT, SUPPLEMENT_CODE).prop_map(move |(text, code)| supplement(
            Some(Kind::CodedUsage),
            text,
            Some(code),
            None
        )),
        (TEXT, "[0-9]{2}[A-Z]").prop_map(move |(text, site)| supplement(
            Some(Kind::CodedSite),
            text,
            None,
            Some(site)
        )),
    ]
}

fn drug_supplement() -> impl Strategy<Value = DrugSupplement> {
    use DrugSupplementKind as Kind;
    let plain = [
        None,
        Some(Kind::OneDosePackage),
        Some(Kind::Crushing),
        Some(Kind::NoGeneric),
        Some(Kind::NoOtherForm),
        Some(Kind::NoOtherStrength),
        Some(Kind::NoOtherFormOrStrength),
        Some(Kind::PatientWantsBrand),
    ];
    prop_oneof![
        (select(plain.to_vec()), TEXT).prop_map(|(kind, text)| DrugSupplement {
            number: 0,
            kind,
            text,
            code: None
        }),
        (TEXT, SUPPLEMENT_CODE).prop_map(|(text, code)| DrugSupplement {
            number: 0,
            kind: Some(Kind::CodedUsage),
            text,
            code: Some(code)
        }),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    let naming = prop_oneof![
        (of(product_code()), TEXT).prop_map(|(code, name)| (code, false, Some(name))),
        (of(generic_code()), TEXT).prop_map(|(code, name)| {
            let uncoded_generic = code.is_none();
            (code, uncoded_generic, Some(name))
        }),
        "62[0-9]{7}".prop_map(|code| (DrugCode::receipt(&code).ok(), false, None)),
    ];
    let class = [InformationClass::Drug, InformationClass::Material, InformationClass::Uninsured];
    let dose = (amount(), of(SUPPLEMENT_CODE)).prop_map(|(amount, code)| UnevenDose { amount, code });
    let single = ("[1-9]|[1-9]/[1-9]", of(1u8..=99))
        .prop_map(|(amount, times_per_day)| SingleDose { amount, times_per_day });
    (
        naming,
        of(select(class.to_vec())),
        amount(),
        select(vec![Potency::Product, Potency::Ingredient]),
        SHORT_TEXT,
        of(amount()),
        prop_oneof![Just(Vec::new()), vec(dose, 2..=5)],
        of(single),
        vec(drug_supplement(), 0..3),
    )
        .prop_map(
            |(naming, class, amount, potency, unit, conversion, uneven_doses, single_dose, supplements)| {
                let (code, uncoded_generic, name) = naming;
                Line {
                    number: 0,
                    class,
                    code,
                    uncoded_generic,
                    name,
                    amount,
                    potency,
                    unit,
                    conversion,
                    uneven_doses,
                    burden: None,
                    single_dose,
                    supplements: numbered(supplements, |number, of| DrugSupplement { number, ..of }),
                }
            },
        )
}

fn group() -> impl Strategy<Value = RpGroup> {
    let kinds = [
        DosageKind::Internal,
        DosageKind::AsNeeded,
        DosageKind::External,
        DosageKind::InternalDrops,
        DosageKind::Injection,
        DosageKind::Material,
        DosageKind::Unknown,
    ];
    let usage = (usage_coding(), TEXT, of(1u8..=99)).prop_map(|(code, name, times_per_day)| Usage {
        code,
        name,
        times_per_day,
    });
    (
        select(kinds.to_vec()),
        of("[ぁ-ん]{1,2}"),
        1u16..=999,
        usage,
        vec(usage_supplement(), 0..3),
        vec(line(), 1..4),
    )
        .prop_map(|(kind, kind_name, quantity, usage, supplements, lines)| RpGroup {
            number: 0,
            kind,
            kind_name: kind_name.filter(|_| kind == DosageKind::Unknown),
            quantity,
            split_quantity: None,
            usage,
            supplements: numbered(supplements, |number, of| UsageSupplement { number, ..of }),
            lines: numbered(lines, |number, of| Line { number, ..of }),
        })
}

/// What makes a prescription special: narcotics, a split or a refill, or none of them.
fn conditions() -> impl Strategy<Value = (Option<Narcotics>, Option<Split>, Option<Refill>)> {
    let narcotics =
        of((of(ASCII), TEXT, PHONE).prop_map(|(licence_number, patient_address, patient_phone)| Narcotics {
            licence_number,
            patient_address,
            patient_phone,
        }));
    prop_oneof![
        narcotics.prop_map(|narcotics| (narcotics, None, None)),
        (2u8..=3, 1u8..=2).prop_map(|(parts, part)| (None, Some(Split { parts, part }), None)),
        (2u8..=3).prop_map(|uses| (None, None, Some(Refill { uses }))),
    ]
}

/// Any valid prescription.
pub(crate) fn prescription() -> impl Strategy<Value = Prescription> {
    let copayments = [
        Copayment::ElderlyOrdinary,
        Copayment::ElderlySeventyPercent,
        Copayment::UnderSix,
        Copayment::ElderlyOrdinaryAlternative,
        Copayment::ElderlyEightyPercent,
    ];
    let prescriber =
        (of(ASCII), of(KANA), TEXT).prop_map(|(code, kana, name)| Prescriber { code, kana, name });
    let parties = (institution(), of(department()), prescriber, patient());
    let requests = [RemainingMedicine::InquireBeforeDispensing, RemainingMedicine::InformAfterwards];
    let remark_kinds = [RemarkKind::OneDosePackage, RemarkKind::Crushing, RemarkKind::Split];
    let remark =
        (of(select(remark_kinds.to_vec())), TEXT).prop_map(|(kind, text)| Remark { number: 0, kind, text });
    let notes = (vec((of(TEXT), TEXT), 0..3), vec(TEXT, 0..3));
    let burdens = of(vec(any::<[bool; 4]>(), 16));
    let dates = (2021i32..2090, 1u32..=12, 1u32..=28, of(0u64..60));
    (
        parties,
        of(select(copayments.to_vec())),
        insurance(),
        dates,
        conditions(),
        of(select(requests.to_vec())),
        vec(remark, 0..3),
        of("[0-9]{6}|[0-9]{16}"),
        vec(group(), 1..4),
        burdens,
        notes,
    )
        .prop_map(
            |(
                parties,
                copayment,
                insurance,
                dates,
                conditions,
                remaining,
                remarks,
                exchange_number,
                groups,
                burdens,
                notes,
            )| {
                let (institution, department, prescriber, patient) = parties;
                let (narcotics, split, refill) = conditions;
                let issued_on = NaiveDate::from_ymd_opt(dates.0, dates.1, dates.2).unwrap();
                let mut burdens = burdens.map(Vec::into_iter);
                let groups = numbered(groups, |number, mut group| {
                    for line in &mut group.lines {
                        line.burden = burdens.as_mut().and_then(Iterator::next).map(
                            |[first, second, third, special]| Burden {
                                public: [first, second, third],
                                special,
                            },
                        );
                    }
                    let split_quantity = split.map(|split| (group.quantity / u16::from(split.parts)).max(1));
                    RpGroup { number, split_quantity, ..group }
                });
                Prescription {
                    institution,
                    department,
                    prescriber,
                    patient,
                    copayment,
                    insurance,
                    issued_on,
                    usable_until: dates.3.map(|days| issued_on + chrono::Days::new(days)),
                    narcotics,
                    remaining_medicine: remaining,
                    split,
                    refill,
                    remarks: numbered(remarks, |number, of| Remark { number, ..of }),
                    exchange_number,
                    groups,
                    clinical_notes: numbered(notes.0, |number, (drug_name, comment)| ClinicalNote {
                        number,
                        drug_name,
                        comment,
                    }),
                    laboratory_values: numbered(notes.1, |number, text| LaboratoryValue { number, text }),
                }
            },
        )
}

fn dispensed_group() -> impl Strategy<Value = DispensedGroup> {
    let forms = [
        DispensedForm::Internal,
        DispensedForm::InternalDrops,
        DispensedForm::AsNeeded,
        DispensedForm::Injection,
        DispensedForm::External,
        DispensedForm::Infusion,
        DispensedForm::Decoction,
        DispensedForm::Material,
        DispensedForm::Other,
    ];
    let note = prop_oneof![TEXT.prop_map(LineNote::Supplement), TEXT.prop_map(LineNote::Caution)];
    let line = (TEXT, amount(), SHORT_TEXT, of(product_code()), vec(note, 0..3))
        .prop_map(|(name, amount, unit, code, notes)| DispensedLine { name, amount, unit, code, notes });
    (
        vec(line, 1..4),
        TEXT,
        usage_coding(),
        1u16..=999,
        select(vec![SupplyUnit::Days, SupplyUnit::Times, SupplyUnit::Preparations]),
        select(forms.to_vec()),
        vec(TEXT, 0..2),
        vec(TEXT, 0..2),
    )
        .prop_map(
            |(lines, usage_name, usage_code, quantity, unit, form, usage_supplements, usage_cautions)| {
                DispensedGroup {
                    number: 0,
                    lines,
                    usage_name: Some(usage_name),
                    usage_code,
                    quantity,
                    unit,
                    form,
                    usage_supplements,
                    usage_cautions,
                }
            },
        )
}

fn dispensing_patient() -> impl Strategy<Value = DispensingPatient> {
    let contacts = (of(POSTAL_CODE), of(TEXT), of(PHONE), of(TEXT));
    let body = (of("[ABO]{1,2}[+]"), of("[1-9][0-9]{0,2}([.][0-9]{1,3})?"), of(KANA));
    (TEXT, sex(), patient(), contacts, body).prop_map(|(name, sex, born, contacts, body)| DispensingPatient {
        name,
        sex,
        birth_date: born.birth_date,
        postal_code: contacts.0,
        address: contacts.1,
        phone: contacts.2,
        emergency_contact: contacts.3,
        blood_type: body.0,
        weight: body.1,
        kana: body.2,
    })
}

/// Any valid dispensing result.
pub(crate) fn dispensing() -> impl Strategy<Value = Dispensing> {
    use PatientRemarkKind as Kind;
    let remark_kinds = [Kind::Allergy, Kind::AdverseReaction, Kind::History, Kind::Other];
    let patient_remark =
        (select(remark_kinds.to_vec()), TEXT).prop_map(|(kind, text)| PatientRemark { kind, text });
    let memo = (TEXT, of(date())).prop_map(|(text, entered_on)| Memo { text, entered_on });
    let pharmacy = (TEXT, institution_code("134"), of(POSTAL_CODE), of(TEXT), of(PHONE)).prop_map(
        |(name, code, postal_code, address, phone)| Pharmacy { name, code, postal_code, address, phone },
    );
    let pharmacist = (TEXT, of(PHONE)).prop_map(|(name, contact)| Pharmacist { name, contact });
    let institution =
        (TEXT, institution_code("136")).prop_map(|(name, code)| PrescribingInstitution { name, code });
    let prescriber =
        (TEXT, of(TEXT)).prop_map(|(name, department)| DispensingPrescriber { name, department });
    let information_kinds = [
        ProvidedInformationKind::AdverseReactionInHospital,
        ProvidedInformationKind::NeededAfterDischarge,
        ProvidedInformationKind::Other,
    ];
    let information = (TEXT, select(information_kinds.to_vec()))
        .prop_map(|(text, kind)| ProvidedInformation { text, kind });
    let inquiry = ("[0-9]{1,3}", TEXT).prop_map(|(class, text)| Inquiry { class, text });
    let about = (dispensing_patient(), vec(patient_remark, 0..3), vec(memo, 0..3));
    let by = (pharmacy, pharmacist, of(institution), of(prescriber));
    let texts =
        (vec(TEXT, 0..2), vec(information, 0..2), vec(TEXT, 0..2), vec(TEXT, 0..2), vec(inquiry, 0..2));
    let dispensed_on = (2021i32..2090, 1u32..=12, 1u32..=28)
        .prop_map(|(year, month, day)| NaiveDate::from_ymd_opt(year, month, day).unwrap());
    let id = of(any::<[u8; 16]>().prop_map(Uuid::from_bytes));
    (about, dispensed_on, insured_identity(), id, by, vec(dispensed_group(), 1..4), texts).prop_map(
        |(about, dispensed_on, identity, prescription_id, by, groups, texts)| Dispensing {
            patient: about.0,
            patient_remarks: about.1,
            memos: about.2,
            dispensed_on,
            identity,
            prescription_id,
            pharmacy: by.0,
            pharmacist: by.1,
            institution: by.2,
            prescriber: by.3,
            groups: numbered(groups, |number, of| DispensedGroup { number, ..of }),
            cautions: texts.0,
            provided_information: texts.1,
            remaining_medicine: texts.2,
            remarks: texts.3,
            inquiries: texts.4,
        },
    )
}

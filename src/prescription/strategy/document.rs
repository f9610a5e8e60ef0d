//! Generated prescriptions.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    ASCII, KANA, PHONE, POSTAL_CODE, SHORT_TEXT, SUPPLEMENT_CODE, TEXT, amount, birth_date, document_date,
    generic_code, institution_code, insured_identity, numbered, product_code, sex, usage_coding,
};
use crate::prescription::document::{
    ClinicalNote, Copayment, Department, DutyReason, Institution, Insurance, InsuranceKind, LaboratoryValue,
    Narcotics, PatientParticulars, Prescriber, Prescription, PublicPayer, Rates, Refill, Relation,
    RemainingMedicine, Remark, RemarkKind, SpecialPayer, Split,
};
use crate::prescription::identifier::DrugCode;
use crate::prescription::line::{
    Burden, DosageKind, DrugSupplement, DrugSupplementKind, InformationClass, Line, Potency, RpGroup,
    SingleDose, UnevenDose, Usage, UsageSupplement, UsageSupplementKind,
};

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
    let names = prop_oneof![
        (TEXT, of(KANA)).prop_map(|(name, kana)| (Some(name), kana)),
        KANA.prop_map(|kana| (None, Some(kana))),
    ];
    (of(ASCII), names, sex(), birth_date()).prop_map(|(code, (name, kana), sex, birth_date)| {
        PatientParticulars { code, name, kana, sex, birth_date }
    })
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
    let dates = (document_date(), of(0u64..60));
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
                let (issued_on, days) = dates;
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
                    usable_until: days.map(|days| issued_on + chrono::Days::new(days)),
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

//! Generated dispensing results.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::{
    KANA, PHONE, POSTAL_CODE, SHORT_TEXT, TEXT, amount, birth_date, document_date, institution_code,
    insured_identity, numbered, product_code, sex, usage_coding,
};
use crate::prescription::dispensing::{
    DispensedForm, DispensedGroup, DispensedLine, Dispensing, DispensingPatient, DispensingPrescriber,
    Inquiry, LineNote, Memo, PatientRemark, PatientRemarkKind, Pharmacist, Pharmacy, PrescribingInstitution,
    ProvidedInformation, ProvidedInformationKind, SupplyUnit,
};

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
    (TEXT, sex(), birth_date(), contacts, body).prop_map(|(name, sex, birth_date, contacts, body)| {
        DispensingPatient {
            name,
            sex,
            birth_date,
            postal_code: contacts.0,
            address: contacts.1,
            phone: contacts.2,
            emergency_contact: contacts.3,
            blood_type: body.0,
            weight: body.1,
            kana: body.2,
        }
    })
}

/// Any valid dispensing result.
pub(crate) fn dispensing() -> impl Strategy<Value = Dispensing> {
    use PatientRemarkKind as Kind;
    let remark_kinds = [Kind::Allergy, Kind::AdverseReaction, Kind::History, Kind::Other];
    let patient_remark =
        (select(remark_kinds.to_vec()), TEXT).prop_map(|(kind, text)| PatientRemark { kind, text });
    let memo = (TEXT, of(document_date())).prop_map(|(text, entered_on)| Memo { text, entered_on });
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
    let id = of(any::<[u8; 16]>().prop_map(Uuid::from_bytes));
    (about, document_date(), insured_identity(), id, by, vec(dispensed_group(), 1..4), texts).prop_map(
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

//! The items of CJ1 records into a dispensing result.

use uuid::Uuid;

use super::code::{self, NAME_WIDTH, TEXT_WIDTH, supply_unit, weight};
use super::outline::{GroupRows, LineRows, Outline};
use crate::codec::coding::{
    DISPENSED_CODE_KIND, InstitutionItems, SEX, USAGE_CODE_KIND, drug_code, institution_code, usage_code,
};
use crate::codec::items::Items;
use crate::codec::log::Log;
use crate::codec::row::Row;
use crate::prescription::amount::Amount;
use crate::prescription::dispensing::{
    DispensedForm, DispensedGroup, DispensedLine, Dispensing, DispensingPatient, DispensingPrescriber,
    Inquiry, LineNote, Memo, PatientRemark, Pharmacist, Pharmacy, PrescribingInstitution,
    ProvidedInformation,
};
use crate::prescription::document::InsuredIdentity;
use crate::prescription::identifier::payer_number_checks;

/// The dispensing result; `None` when a mandatory part is missing or was refused.
pub(super) fn dispensing(outline: &Outline<'_, '_>, log: &mut Log) -> Option<Dispensing> {
    let patient = outline.row(1).and_then(|row| patient(&mut Items::of(row, log)));
    let patient_remarks = each(outline.rows(2), log, |items| {
        let kind = items.required_code(1, 1, code::PATIENT_REMARK_KIND);
        let text = items.required_text(2, TEXT_WIDTH);
        Some(PatientRemark { kind: kind?, text: text? })
    });
    let memos = each(outline.rows(4), log, |items| {
        let text = items.required_text(1, TEXT_WIDTH);
        let entered_on = items.date(2);
        Some(Memo { text: text?, entered_on })
    });
    let dispensed_on = outline.row(5).and_then(|row| Items::of(row, log).required_date(1));
    let identity = outline.row(6).map(|row| identity(&mut Items::of(row, log)));
    let prescription_id = outline.row(7).and_then(|row| Items::of(row, log).parsed(1, prescription_id));
    let pharmacy = outline.row(11).and_then(|row| pharmacy(&mut Items::of(row, log)));
    let pharmacist = outline.row(15).and_then(|row| {
        let mut items = Items::of(row, log);
        let name = items.required_text(1, NAME_WIDTH);
        let contact = items.text(2, NAME_WIDTH);
        Some(Pharmacist { name: name?, contact })
    });
    let institution = outline.row(51).and_then(|row| institution(&mut Items::of(row, log)));
    let prescriber = outline.row(55).and_then(|row| {
        let mut items = Items::of(row, log);
        let name = items.required_text(1, NAME_WIDTH);
        let department = items.text(2, NAME_WIDTH);
        Some(DispensingPrescriber { name: name?, department })
    });
    let groups = outline.groups.iter().filter_map(|rows| group(rows, log)).collect();
    let cautions = texts(outline.rows(401), 1, log);
    let provided_information = each(outline.rows(411), log, |items| {
        let text = items.required_text(1, TEXT_WIDTH);
        let kind = items.required_code(2, 2, code::PROVIDED_INFORMATION_KIND);
        Some(ProvidedInformation { text: text?, kind: kind? })
    });
    let remaining_medicine = texts(outline.rows(421), 1, log);
    let remarks = texts(outline.rows(501), 1, log);
    let inquiries = each(outline.rows(511), log, |items| {
        items.require(1);
        let class = items.digits(1, 1..=3);
        let text = items.required_text(2, TEXT_WIDTH);
        Some(Inquiry { class: class?, text: text? })
    });
    if let (Some(dispensed), Some(patient), Some(row)) = (dispensed_on, &patient, outline.row(1))
        && patient.birth_date > dispensed
    {
        log.fault(row, 3, "expected a date not after the dispensing date");
    }
    Some(Dispensing {
        patient: patient?,
        patient_remarks,
        memos,
        dispensed_on: dispensed_on?,
        identity: identity?,
        prescription_id,
        pharmacy: pharmacy?,
        pharmacist: pharmacist?,
        institution,
        prescriber,
        groups,
        cautions,
        provided_information,
        remaining_medicine,
        remarks,
        inquiries,
    })
}

/// Reads each row; one that was refused is left out, its faults are in the log.
fn each<T>(
    rows: &[&Row<'_>],
    log: &mut Log,
    mut read: impl FnMut(&mut Items<'_, '_, '_>) -> Option<T>,
) -> Vec<T> {
    rows.iter().filter_map(|row| read(&mut Items::of(row, log))).collect()
}

fn texts(rows: &[&Row<'_>], item: usize, log: &mut Log) -> Vec<String> {
    each(rows, log, |items| items.required_text(item, TEXT_WIDTH))
}

fn patient(items: &mut Items<'_, '_, '_>) -> Option<DispensingPatient> {
    let name = items.required_text(1, NAME_WIDTH);
    let sex = items.required_code(2, 1, SEX);
    let birth_date = items.required_date(3);
    let postal_code = items.postal_code(4);
    let address = items.text(5, NAME_WIDTH);
    let phone = items.phone(6);
    let emergency_contact = items.text(7, NAME_WIDTH);
    let blood_type = items.text(8, 20);
    let weight = items.parsed(9, weight);
    let kana = items.kana(10, NAME_WIDTH);
    Some(DispensingPatient {
        name: name?,
        sex: sex?,
        birth_date: birth_date?,
        postal_code,
        address,
        phone,
        emergency_contact,
        blood_type,
        weight,
        kana,
    })
}

fn identity(items: &mut Items<'_, '_, '_>) -> InsuredIdentity {
    items.required_code(1, 1, code::IDENTITY_KIND);
    if !payer_number_checks(items.raw(2)) {
        items.warn(2, "the check digit of the insurer number does not hold");
    }
    InsuredIdentity {
        insurer_number: items.digits(2, 1..=8),
        symbol: items.text(3, 40),
        number: items.text(4, 40),
        branch_number: items.code_text(5, 2),
    }
}

/// 処方箋ID: a UUID in lower case with hyphens.
fn prescription_id(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text)
        .ok()
        .filter(|id| id.hyphenated().to_string() == text)
        .ok_or("expected a prescription id: a UUID in lower case with hyphens")
}

fn pharmacy(items: &mut Items<'_, '_, '_>) -> Option<Pharmacy> {
    let name = items.required_text(1, NAME_WIDTH);
    let fee_table = items.required_code(3, 1, code::DISPENSER_FEE_TABLE);
    let code = institution_code(items, fee_table, &InstitutionItems { prefecture: 2, institution: 4 });
    let postal_code = items.postal_code(5);
    let address = items.text(6, NAME_WIDTH);
    let phone = items.phone(7);
    Some(Pharmacy { name: name?, code: code?, postal_code, address, phone })
}

fn institution(items: &mut Items<'_, '_, '_>) -> Option<PrescribingInstitution> {
    let name = items.required_text(1, NAME_WIDTH);
    let fee_table = items.required_code(3, 1, code::PRESCRIBER_FEE_TABLE);
    let code = institution_code(items, fee_table, &InstitutionItems { prefecture: 2, institution: 4 });
    Some(PrescribingInstitution { name: name?, code: code? })
}

fn group(rows: &GroupRows<'_, '_>, log: &mut Log) -> Option<DispensedGroup> {
    let lines = rows.lines.iter().filter_map(|rows| line(rows, log)).collect();
    let usage_supplements = texts(&rows.supplements, 2, log);
    let usage_cautions = texts(&rows.cautions, 2, log);
    let mut items = Items::of(rows.usage?, log);
    let number = items.required_number(1, 3, 1..=999);
    let form = items.required_code(5, 2, code::FORM);
    if !matches!(form, Some(DispensedForm::Material | DispensedForm::Other)) {
        items.require(2);
    }
    let usage_name = items.text(2, NAME_WIDTH);
    let quantity = items.required_number(3, 3, 1..=999);
    let unit = items.required_parsed(4, supply_unit);
    let kind = items.required_code(6, 1, USAGE_CODE_KIND);
    let usage_code = kind.and_then(|kind| usage_code(&mut items, kind, 7));
    Some(DispensedGroup {
        number: number?,
        lines,
        usage_name,
        usage_code: usage_code?,
        quantity: quantity?,
        unit: unit?,
        form: form?,
        usage_supplements,
        usage_cautions,
    })
}

fn line(rows: &LineRows<'_, '_>, log: &mut Log) -> Option<DispensedLine> {
    let mut items = Items::of(rows.head, log);
    items.required_number(1, 3, 1..=999);
    let name = items.required_text(2, NAME_WIDTH);
    let amount = items.required_parsed(3, str::parse::<Amount>);
    let unit = items.required_text(4, 20);
    let kind = items.required_code(5, 1, DISPENSED_CODE_KIND);
    let code = kind.and_then(|kind| drug_code(&mut items, kind, 6));
    let notes = rows.notes.iter().filter_map(|row| {
        let text = Items::of(row, log).required_text(2, TEXT_WIDTH)?;
        Some(if row.record() == "281" { LineNote::Supplement(text) } else { LineNote::Caution(text) })
    });
    let notes = notes.collect();
    Some(DispensedLine { name: name?, amount: amount?, unit: unit?, code, notes })
}

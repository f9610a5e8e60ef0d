//! Records 1 to 82: the institution, the prescriber, the patient, the insurance and what holds for the whole
//! prescription.

use super::code;
use super::outline::Outline;
use crate::codec::coding::{InstitutionItems, SEX, institution_code};
use crate::codec::items::Items;
use crate::codec::log::Log;
use crate::codec::row::Row;
use crate::prescription::document::{
    Department, Institution, Insurance, InsuredIdentity, Narcotics, PatientParticulars, Prescriber,
    Prescription, PublicPayer, Rates, Refill, Remark, SpecialPayer, Split,
};
use crate::prescription::identifier::payer_number_checks;

/// A prescription without its groups, notes and laboratory values; `None` when a mandatory part is missing or
/// was refused.
pub(super) fn read(outline: &Outline<'_, '_>, log: &mut Log) -> Option<Prescription> {
    let institution = institution(outline, log);
    let department = outline.head(4).map(|row| department(&mut Items::of(row, log)));
    let prescriber = outline.head(5).and_then(|row| prescriber(&mut Items::of(row, log)));
    let patient = patient(outline, log);
    let copayment = single(outline, 14, log, |items| items.required_code(1, 1, code::COPAYMENT));
    let insurance = insurance(outline, log);
    let issued_on = single(outline, 51, log, |items| items.required_date(1));
    let usable_until = single(outline, 52, log, |items| items.required_date(1));
    let narcotics = outline.head(61).and_then(|row| narcotics(&mut Items::of(row, log)));
    let remaining_medicine =
        single(outline, 62, log, |items| items.required_code(1, 1, code::REMAINING_MEDICINE));
    let split = outline.head(63).and_then(|row| split(&mut Items::of(row, log)));
    let refill =
        single(outline, 64, log, |items| items.required_small(1, 1, 2, 3)).map(|uses| Refill { uses });
    let remarks = remarks(&outline.remarks, log);
    let exchange_number = single(outline, 82, log, |items| {
        items.required_code(1, 1, code::NUMBER_KIND);
        items.require(2);
        items.digits(2, 1..=16)
    });
    if let (Some(issued), Some(until), Some(row)) = (issued_on, usable_until, outline.head(52))
        && until < issued
    {
        log.fault(row, 1, "expected a date not before the issue date");
    }
    if let (Some(issued), Some(patient), Some(row)) = (issued_on, &patient, outline.head(13))
        && patient.birth_date > issued
    {
        log.fault(row, 1, "expected a date not after the issue date");
    }
    if let Some(row) = outline.head(64) {
        if outline.head(63).is_some() {
            log.fault(row, 1, "expected no refill of a split prescription (record 63)");
        }
        if outline.head(61).is_some() {
            log.fault(row, 1, "expected no refill of a narcotics prescription (record 61)");
        }
    }
    Some(Prescription {
        institution: institution?,
        department,
        prescriber: prescriber?,
        patient: patient?,
        copayment,
        insurance: insurance?,
        issued_on: issued_on?,
        usable_until,
        narcotics,
        remaining_medicine,
        split,
        refill,
        remarks,
        exchange_number,
        groups: Vec::new(),
        clinical_notes: Vec::new(),
        laboratory_values: Vec::new(),
    })
}

/// Reads a record of which one item matters.
fn single<T>(
    outline: &Outline<'_, '_>,
    record: u16,
    log: &mut Log,
    read: impl FnOnce(&mut Items<'_, '_, '_>) -> Option<T>,
) -> Option<T> {
    outline.head(record).and_then(|row| read(&mut Items::of(row, log)))
}

fn institution(outline: &Outline<'_, '_>, log: &mut Log) -> Option<Institution> {
    let (code, name) = outline
        .head(1)
        .map(|row| {
            let mut items = Items::of(row, log);
            // 表3-8 item 1: omitted means 医科.
            let fee_table = if items.is_empty(1) { Some("1") } else { items.code(1, 1, code::FEE_TABLE) };
            let at = InstitutionItems { prefecture: 3, institution: 2 };
            (institution_code(&mut items, fee_table, &at), items.text(4, 120))
        })
        .unwrap_or_default();
    let (postal_code, address) = outline
        .head(2)
        .map(|row| {
            let mut items = Items::of(row, log);
            if items.is_empty(1) && items.is_empty(2) {
                items.fault(1, "expected a postal code or an address");
            }
            (items.postal_code(1), items.text(2, 100))
        })
        .unwrap_or_default();
    let (phone, fax, other_contact) = outline
        .head(3)
        .map(|row| {
            let mut items = Items::of(row, log);
            items.require(1);
            (items.phone(1), items.phone(2), items.text(3, 100))
        })
        .unwrap_or_default();
    Some(Institution { code: code?, name, postal_code, address, phone, fax, other_contact })
}

fn department(items: &mut Items<'_, '_, '_>) -> Department {
    // 表3-11 item 1: omitted means without a code.
    let coded = if items.is_empty(1) { Some(false) } else { items.code(1, 1, code::DEPARTMENT_CODED) };
    match coded {
        Some(true) => {
            items.require(2);
        }
        Some(false) => {
            items.refuse(2, "the code kind says that there is no code");
            items.require(3);
        }
        None => {}
    }
    Department { code: items.ascii(2, 6), name: items.text(3, 80) }
}

fn prescriber(items: &mut Items<'_, '_, '_>) -> Option<Prescriber> {
    let code = items.ascii(1, 15);
    let kana = items.kana(2, 40);
    Some(Prescriber { code, kana, name: items.required_text(3, 40)? })
}

fn patient(outline: &Outline<'_, '_>, log: &mut Log) -> Option<PatientParticulars> {
    let names = outline.head(11).map(|row| {
        let mut items = Items::of(row, log);
        if items.is_empty(2) && items.is_empty(3) {
            items.fault(2, "expected a name here or in kana in item 3");
        }
        (items.ascii(1, 15), items.text(2, 40), items.kana(3, 40))
    });
    let sex = single(outline, 12, log, |items| items.required_code(1, 1, SEX));
    let birth_date = single(outline, 13, log, |items| items.required_date(1));
    let (code, name, kana) = names?;
    Some(PatientParticulars { code, name, kana, sex: sex?, birth_date: birth_date? })
}

fn insurance(outline: &Outline<'_, '_>, log: &mut Log) -> Option<Insurance> {
    let kind = single(outline, 21, log, |items| items.required_code(1, 1, code::INSURANCE_KIND));
    let insurer_number = single(outline, 22, log, |items| {
        if !payer_number_checks(items.raw(1)) {
            items.warn(1, "the check digit of the insurer number does not hold");
        }
        items.digits(1, 1..=8)
    });
    let insured = outline.head(23).map(|row| {
        let mut items = Items::of(row, log);
        let symbol = items.text(1, 40);
        let number = items.text(2, 40);
        let relation = items.required_code(3, 1, code::RELATION);
        (symbol, number, relation, items.code_text(4, 2))
    });
    let rates = outline.head(24).and_then(|row| {
        let mut items = Items::of(row, log);
        let burden = items.required_small(1, 3, 0, 100);
        let benefit = items.required_small(2, 3, 0, 100);
        Some(Rates { burden: burden?, benefit: benefit? })
    });
    let duty_reason = single(outline, 25, log, |items| items.required_code(1, 1, code::DUTY_REASON));
    let public_payers = [27, 28, 29].map(|record| single(outline, record, log, public_payer));
    let special_payer = outline.head(30).and_then(|row| {
        let mut items = Items::of(row, log);
        let payer_number = items.required_text(1, 40);
        let recipient_number = items.text(2, 40);
        Some(SpecialPayer { payer_number: payer_number?, recipient_number })
    });
    let receipt_kind = single(outline, 31, log, |items| {
        items.require(1);
        items.digits(1, 4..=4)
    });
    let (symbol, number, relation, branch_number) = insured?;
    Some(Insurance {
        kind,
        identity: InsuredIdentity { insurer_number, symbol, number, branch_number },
        relation: relation?,
        rates,
        duty_reason,
        public_payers,
        special_payer,
        receipt_kind,
    })
}

fn public_payer(items: &mut Items<'_, '_, '_>) -> Option<PublicPayer> {
    for item in [1, 2] {
        if !payer_number_checks(items.raw(item)) {
            items.warn(item, "the check digit of the number does not hold");
        }
    }
    items.require(1);
    let payer_number = items.digits(1, 8..=8);
    let recipient_number = items.digits(2, 7..=7);
    Some(PublicPayer { payer_number: payer_number?, recipient_number })
}

fn narcotics(items: &mut Items<'_, '_, '_>) -> Option<Narcotics> {
    let licence_number = items.text(1, 30);
    if licence_number.is_none() {
        items.warn(1, "the licence number of the narcotics practitioner is expected");
    }
    let patient_address = items.required_text(2, 100);
    items.require(3);
    let patient_phone = items.phone(3);
    Some(Narcotics { licence_number, patient_address: patient_address?, patient_phone: patient_phone? })
}

fn split(items: &mut Items<'_, '_, '_>) -> Option<Split> {
    let parts = items.required_small(1, 2, 2, 3);
    let part = items.required_small(2, 2, 1, parts.unwrap_or(3));
    Some(Split { parts: parts?, part: part? })
}

fn remarks(rows: &[&Row<'_>], log: &mut Log) -> Vec<Remark> {
    let mut last = 0;
    rows.iter()
        .filter_map(|row| {
            let mut items = Items::of(row, log);
            let number = items.ascending(1, 3, &mut last);
            let kind = items.code(2, 2, code::REMARK_KIND);
            let text = items.required_text(3, 100);
            Some(Remark { number: number?, kind, text: text? })
        })
        .collect()
}

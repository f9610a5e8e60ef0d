//! The canonical rows of a dispensing result: every column of every record, the creator left empty.

use super::code;
use crate::codec::coding::{DISPENSED_CODE_KIND, SEX, USAGE_CODE_KIND, drug_code_kind, usage_code_kind};
use crate::codec::spelling::{Rows, code_of};
use crate::prescription::dispensing::{
    DispensedGroup, DispensedLine, Dispensing, DispensingPatient, LineNote,
};
use crate::prescription::identifier::{DrugCode, InstitutionCode};

const DATE: &str = "%Y%m%d";

/// The rows, the header first.
pub(super) fn rows(dispensing: &Dispensing) -> Rows {
    let mut rows = Rows::default();
    rows.push([super::NAME, ""]);
    person(&mut rows, dispensing);
    dispensed_on(&mut rows, dispensing);
    let identity = &dispensing.identity;
    let numbers = [&identity.insurer_number, &identity.symbol, &identity.number, &identity.branch_number];
    let kind = code_of(code::IDENTITY_KIND, &());
    rows.push(["6", &kind].into_iter().chain(numbers.map(|number| text(number.as_ref()))));
    let id = dispensing.prescription_id.map(|id| id.hyphenated().to_string()).unwrap_or_default();
    rows.push(["7", &id, ""]);
    pharmacy(&mut rows, dispensing);
    if let Some(given) = &dispensing.institution {
        institution(&mut rows, &given.name, &given.code);
    }
    if let Some(given) = &dispensing.prescriber {
        prescriber(&mut rows, &given.name, given.department.as_deref());
    }
    medicines(&mut rows, dispensing);
    for inquiry in &dispensing.inquiries {
        rows.push(["511", &inquiry.class, &inquiry.text]);
    }
    rows
}

/// Records 1 to 4: who the patient is.
pub(in crate::codec) fn person(rows: &mut Rows, dispensing: &Dispensing) {
    patient(rows, &dispensing.patient);
    for remark in &dispensing.patient_remarks {
        rows.push(["2", &code_of(code::PATIENT_REMARK_KIND, &remark.kind), &remark.text, ""]);
    }
    for memo in &dispensing.memos {
        let date = memo.entered_on.map(|date| date.format(DATE).to_string()).unwrap_or_default();
        rows.push(["4", &memo.text, &date, ""]);
    }
}

/// Record 5.
pub(in crate::codec) fn dispensed_on(rows: &mut Rows, dispensing: &Dispensing) {
    rows.push(["5", &dispensing.dispensed_on.format(DATE).to_string(), ""]);
}

/// Record 51.
pub(in crate::codec) fn institution(rows: &mut Rows, name: &str, code: &InstitutionCode) {
    rows.push(["51", name, code.prefecture(), code.fee_table(), code.institution(), ""]);
}

/// Record 55.
pub(in crate::codec) fn prescriber(rows: &mut Rows, name: &str, department: Option<&str>) {
    rows.push(["55", name, department.unwrap_or_default(), ""]);
}

/// Records 201 to 501: what was dispensed.
pub(in crate::codec) fn medicines(rows: &mut Rows, dispensing: &Dispensing) {
    for rp in &dispensing.groups {
        group(rows, rp);
    }
    notes(rows, dispensing);
}

fn text(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

fn patient(rows: &mut Rows, patient: &DispensingPatient) {
    let birth_date = patient.birth_date.format(DATE).to_string();
    let optional = [
        &patient.postal_code,
        &patient.address,
        &patient.phone,
        &patient.emergency_contact,
        &patient.blood_type,
        &patient.weight,
        &patient.kana,
    ];
    let sex = code_of(SEX, &patient.sex);
    let known = ["1", &patient.name, &sex, &birth_date];
    rows.push(known.into_iter().chain(optional.map(|cell| text(cell.as_ref()))));
}

/// Records 11 and 15: who dispensed.
pub(in crate::codec) fn pharmacy(rows: &mut Rows, dispensing: &Dispensing) {
    let pharmacy = &dispensing.pharmacy;
    let code = &pharmacy.code;
    rows.push([
        "11",
        &pharmacy.name,
        code.prefecture(),
        code.fee_table(),
        code.institution(),
        text(pharmacy.postal_code.as_ref()),
        text(pharmacy.address.as_ref()),
        text(pharmacy.phone.as_ref()),
        "",
    ]);
    rows.push(["15", &dispensing.pharmacist.name, text(dispensing.pharmacist.contact.as_ref()), ""]);
}

fn group(rows: &mut Rows, group: &DispensedGroup) {
    let rp = &group.number.to_string();
    for drug in &group.lines {
        line(rows, rp, drug);
    }
    let unit = code::SUPPLY_UNIT.iter().find(|(_, unit)| *unit == group.unit).map_or("", |(name, _)| name);
    rows.push([
        "301",
        rp,
        text(group.usage_name.as_ref()),
        &group.quantity.to_string(),
        unit,
        &code_of(code::FORM, &group.form),
        &code_of(USAGE_CODE_KIND, &usage_code_kind(&group.usage_code)),
        group.usage_code.code().map_or("", |code| code.as_str()),
        "",
    ]);
    for supplement in &group.usage_supplements {
        rows.push(["311", rp, supplement, ""]);
    }
    for caution in &group.usage_cautions {
        rows.push(["391", rp, caution, ""]);
    }
}

fn line(rows: &mut Rows, rp: &str, line: &DispensedLine) {
    rows.push([
        "201",
        rp,
        &line.name,
        line.amount.as_str(),
        &line.unit,
        &code_of(DISPENSED_CODE_KIND, &drug_code_kind(line.code.as_ref(), false)),
        line.code.as_ref().map_or("", DrugCode::as_str),
        "",
    ]);
    for note in &line.notes {
        match note {
            LineNote::Supplement(text) => rows.push(["281", rp, text, ""]),
            LineNote::Caution(text) => rows.push(["291", rp, text, ""]),
        }
    }
}

/// Records 401 to 501.
fn notes(rows: &mut Rows, dispensing: &Dispensing) {
    for caution in &dispensing.cautions {
        rows.push(["401", caution, ""]);
    }
    for information in &dispensing.provided_information {
        let kind = code_of(code::PROVIDED_INFORMATION_KIND, &information.kind);
        rows.push(["411", &information.text, &kind, ""]);
    }
    for remaining in &dispensing.remaining_medicine {
        rows.push(["421", remaining, ""]);
    }
    for remark in &dispensing.remarks {
        rows.push(["501", remark, ""]);
    }
}

//! The canonical rows of a prescription: every record it needs, every column of each, in the order of the standard.

use super::{Dialect, code};
use crate::codec::coding::{PRESCRIBED_CODE_KIND, SEX, USAGE_CODE_KIND, drug_code_kind, usage_code_kind};
use crate::codec::spelling::{Rows, code_of};
use crate::prescription::document::{Institution, Insurance, PatientParticulars, Prescription};
use crate::prescription::identifier::DrugCode;
use crate::prescription::line::{Line, RpGroup, UnevenDose, UsageCoding};

/// The rows, the header first.
pub(super) fn rows(prescription: &Prescription, dialect: Dialect) -> Rows {
    let mut rows = Rows::default();
    rows.push([dialect.name()]);
    institution(&mut rows, &prescription.institution);
    if let Some(department) = &prescription.department {
        let code = department.code.as_ref();
        let kind = code_of(code::DEPARTMENT_CODED, &code.is_some());
        rows.push(["4", &kind, text(code), text(department.name.as_ref())]);
    }
    let prescriber = &prescription.prescriber;
    rows.push(["5", text(prescriber.code.as_ref()), text(prescriber.kana.as_ref()), &prescriber.name]);
    patient(&mut rows, &prescription.patient, dialect);
    if let Some(copayment) = &prescription.copayment {
        rows.push(["14", &code_of(code::COPAYMENT, copayment)]);
    }
    insurance(&mut rows, &prescription.insurance);
    conditions(&mut rows, prescription, dialect);
    for rp in &prescription.groups {
        group(&mut rows, rp, dialect);
    }
    if dialect == Dialect::Symbol {
        return rows;
    }
    for note in &prescription.clinical_notes {
        rows.push(["301", &note.number.to_string(), text(note.drug_name.as_ref()), &note.comment]);
    }
    for value in &prescription.laboratory_values {
        rows.push(["302", &value.number.to_string(), &value.text]);
    }
    rows
}

fn text(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

fn number<T: ToString>(number: Option<T>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn institution(rows: &mut Rows, institution: &Institution) {
    let code = &institution.code;
    rows.push([
        "1",
        code.fee_table(),
        code.institution(),
        code.prefecture(),
        text(institution.name.as_ref()),
    ]);
    let (postal_code, address) = (institution.postal_code.as_ref(), institution.address.as_ref());
    if postal_code.is_some() || address.is_some() {
        rows.push(["2", text(postal_code), text(address)]);
    }
    let contacts = [&institution.phone, &institution.fax, &institution.other_contact].map(Option::as_ref);
    if contacts.iter().any(Option::is_some) {
        rows.push(std::iter::once("3").chain(contacts.map(text)));
    }
}

fn patient(rows: &mut Rows, patient: &PatientParticulars, dialect: Dialect) {
    let names = [&patient.code, &patient.name, &patient.kana].map(Option::as_ref);
    rows.push(std::iter::once("11").chain(names.map(text)));
    rows.push(["12", &code_of(SEX, &patient.sex)]);
    rows.push(["13", &dialect.date(patient.birth_date)]);
}

fn insurance(rows: &mut Rows, insurance: &Insurance) {
    if let Some(kind) = &insurance.kind {
        rows.push(["21", &code_of(code::INSURANCE_KIND, kind)]);
    }
    let identity = &insurance.identity;
    rows.push(["22", text(identity.insurer_number.as_ref())]);
    let (symbol, insured_number) = (text(identity.symbol.as_ref()), text(identity.number.as_ref()));
    let relation = code_of(code::RELATION, &insurance.relation);
    rows.push(["23", symbol, insured_number, &relation, text(identity.branch_number.as_ref())]);
    if let Some(rates) = &insurance.rates {
        rows.push(["24", &format!("{:03}", rates.burden), &format!("{:03}", rates.benefit)]);
    }
    if let Some(reason) = &insurance.duty_reason {
        rows.push(["25", &code_of(code::DUTY_REASON, reason)]);
    }
    for (record, payer) in ["27", "28", "29"].into_iter().zip(&insurance.public_payers) {
        if let Some(payer) = payer {
            rows.push([record, &payer.payer_number, text(payer.recipient_number.as_ref())]);
        }
    }
    if let Some(payer) = &insurance.special_payer {
        rows.push(["30", &payer.payer_number, text(payer.recipient_number.as_ref())]);
    }
    if let Some(kind) = &insurance.receipt_kind {
        rows.push(["31", kind]);
    }
}

/// Records 51 to 82.
fn conditions(rows: &mut Rows, prescription: &Prescription, dialect: Dialect) {
    rows.push(["51", &dialect.date(prescription.issued_on)]);
    if let Some(date) = prescription.usable_until {
        rows.push(["52", &dialect.date(date)]);
    }
    if let Some(narcotics) = &prescription.narcotics {
        let licence = text(narcotics.licence_number.as_ref());
        rows.push(["61", licence, &narcotics.patient_address, &narcotics.patient_phone]);
    }
    if let Some(request) = &prescription.remaining_medicine {
        rows.push(["62", &code_of(code::REMAINING_MEDICINE, request)]);
    }
    if let Some(split) = prescription.split {
        rows.push(["63", &split.parts.to_string(), &split.part.to_string()]);
    }
    if let Some(refill) = prescription.refill {
        rows.push(["64", &refill.uses.to_string()]);
    }
    for remark in &prescription.remarks {
        let kind = remark.kind.map(|kind| code_of(code::REMARK_KIND, &kind)).unwrap_or_default();
        rows.push(["81", &remark.number.to_string(), &kind, &remark.text]);
    }
    if let Some(exchange_number) = &prescription.exchange_number {
        rows.push(["82", &code_of(code::NUMBER_KIND, &()), exchange_number]);
    }
}

fn group(rows: &mut Rows, group: &RpGroup, dialect: Dialect) {
    let rp = &group.number.to_string();
    let quantity = &group.quantity.to_string();
    let kind = code_of(code::DOSAGE_KIND, &group.kind);
    rows.push(["101", rp, &kind, text(group.kind_name.as_ref()), quantity]);
    if let Some(part) = group.split_quantity {
        rows.push(["102", rp, &part.to_string(), quantity]);
    }
    let usage = &group.usage;
    let code = match (&usage.code, dialect) {
        // 表3-37 has no code kind for the master of the national service.
        (UsageCoding::Master(_), Dialect::Symbol) => &UsageCoding::Uncoded,
        (code, _) => code,
    };
    let usage_kind = code_of(USAGE_CODE_KIND, &usage_code_kind(code));
    let usage_code = code.code().map_or("", |code| code.as_str());
    rows.push(["111", rp, &usage_kind, usage_code, &usage.name, &number(usage.times_per_day)]);
    for supplement in &group.supplements {
        let kind =
            supplement.kind.map(|kind| code_of(code::USAGE_SUPPLEMENT_KIND, &kind)).unwrap_or_default();
        let (code, site) = (text(supplement.code.as_ref()), text(supplement.site.as_ref()));
        rows.push(["181", rp, &supplement.number.to_string(), &kind, &supplement.text, code, site]);
    }
    for drug in &group.lines {
        line(rows, rp, drug);
    }
}

fn line(rows: &mut Rows, rp: &str, line: &Line) {
    let line_number = &line.number.to_string();
    let class = line.class.map(|class| code_of(code::INFORMATION_CLASS, &class)).unwrap_or_default();
    let code_kind = code_of(PRESCRIBED_CODE_KIND, &drug_code_kind(line.code.as_ref(), line.uncoded_generic));
    rows.push([
        "201",
        rp,
        line_number,
        &class,
        &code_kind,
        line.code.as_ref().map_or("", DrugCode::as_str),
        text(line.name.as_ref()),
        line.amount.as_str(),
        &code_of(code::POTENCY, &line.potency),
        &line.unit,
    ]);
    if let Some(conversion) = &line.conversion {
        rows.push(["211", rp, line_number, conversion.as_str()]);
    }
    if !line.uneven_doses.is_empty() {
        rows.push(["221", rp, line_number].into_iter().chain(uneven_cells(&line.uneven_doses)));
    }
    if let Some(burden) = line.burden {
        let [first, second, third] = burden.public.map(|borne| code_of(code::BORNE, &borne));
        rows.push(["231", rp, line_number, &first, &second, &third, &code_of(code::BORNE, &burden.special)]);
    }
    if let Some(dose) = &line.single_dose {
        rows.push(["241", rp, line_number, &dose.amount, &number(dose.times_per_day)]);
    }
    for supplement in &line.supplements {
        let kind = supplement.kind.map(|kind| code_of(code::DRUG_SUPPLEMENT_KIND, &kind)).unwrap_or_default();
        let code = text(supplement.code.as_ref());
        rows.push(["281", rp, line_number, &supplement.number.to_string(), &kind, &supplement.text, code]);
    }
}

/// Five amounts, then five codes.
fn uneven_cells(doses: &[UnevenDose]) -> impl Iterator<Item = &str> {
    let amounts = (0..5).map(|dose| doses.get(dose).map_or("", |dose| dose.amount.as_str()));
    let codes = (0..5).map(|dose| text(doses.get(dose).and_then(|dose| dose.code.as_ref())));
    amounts.chain(codes)
}

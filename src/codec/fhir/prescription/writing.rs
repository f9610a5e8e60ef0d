//! The document around the resources, writing: entries with their URLs, Composition, and the outer document of a
//! split prescription.

use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Header, communication, extend, insurance, party, request_writing, system};
use crate::prescription::document::Prescription;

/// The entries of one Bundle. Their URLs follow from the document's number, so that the same prescription is the
/// same bytes.
struct Bundle {
    seed: String,
    next: u32,
    entries: Vec<Value>,
}

impl Bundle {
    fn new(seed: String) -> Self {
        Self { seed, next: 0, entries: Vec::new() }
    }

    /// A URL no other entry has.
    fn url(&mut self) -> String {
        self.next += 1;
        let digest = Sha256::digest(format!("{}#{}", self.seed, self.next));
        let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
        format!("urn:uuid:{}", Uuid::new_v8(bytes))
    }

    fn add(&mut self, url: &str, resource: &Value) {
        self.entries.push(json!({ "fullUrl": url, "resource": resource }));
    }

    /// The Bundle, its Composition first.
    fn finish(self, composition: &Value, profile: &str, date: DateTime<FixedOffset>) -> Value {
        let mut entries = self.entries;
        let url = Self { seed: self.seed, next: 0, entries: Vec::new() }.url();
        entries.insert(0, json!({ "fullUrl": url, "resource": composition }));
        json!({
            "resourceType": "Bundle",
            "meta": { "profile": [format!("{}{profile}", system::PROFILE)] },
            "type": "document",
            "timestamp": date.to_rfc3339_opts(SecondsFormat::Millis, false),
            "entry": entries,
        })
    }
}

/// Who a document is about, by URL.
struct Parties {
    patient: String,
    issuer: String,
    author: String,
    role: String,
}

/// The document of a prescription.
pub(super) fn document(prescription: &Prescription, header: &Header) -> Value {
    let number = format!("{}-{}", prescription.institution.code, header.number);
    if prescription.split.is_none() {
        return one(prescription, header, &number, number.clone());
    }
    let part = one(prescription, header, &number, format!("{number}#part"));
    let mut bundle = Bundle::new(number.clone());
    bundle.next = 1;
    let parties = write_parties(&mut bundle, prescription);
    let url = bundle.url();
    bundle.add(&url, &part);
    let sections = json!([
        section("11", "分割処方箋", std::slice::from_ref(&url)),
        section("12", "別紙", std::slice::from_ref(&parties.issuer)),
    ]);
    let mut composition = composition(prescription, header, &number, &parties, "03", &sections);
    if let Some(split) = prescription.split {
        extend(
            &mut composition,
            vec![json!({ "url": system::SPLIT_PART, "extension": [
                { "url": "parts", "valuePositiveInt": split.parts },
                { "url": "part", "valuePositiveInt": split.part },
            ]})],
        );
    }
    bundle.finish(&composition, "JP_Bundle_ePrescriptionData", header.date)
}

/// A document that is not split, or the part within one that is.
fn one(prescription: &Prescription, header: &Header, number: &str, seed: String) -> Value {
    let mut bundle = Bundle::new(seed);
    bundle.next = 1;
    let parties = write_parties(&mut bundle, prescription);
    let mut listed = Vec::new();
    let payers =
        insurance::write(prescription.copayment, &prescription.insurance, &parties.patient, || bundle.url());
    for (url, resource) in payers {
        listed.push(url.clone());
        bundle.add(&url, &resource);
    }
    let authored_on = time(header.date);
    for group in &prescription.groups {
        for line in &group.lines {
            let url = bundle.url();
            let request =
                request_writing::write(group, line, prescription.refill, &parties.patient, &authored_on);
            bundle.add(&url, &request);
            listed.push(url);
        }
    }
    for resource in communication::write(prescription, &parties.patient) {
        let url = bundle.url();
        bundle.add(&url, &resource);
        listed.push(url);
    }
    let category = if prescription.narcotics.is_some() { "02" } else { "01" };
    let sections = json!([section("01", "処方情報", &listed)]);
    let mut composition = composition(prescription, header, number, &parties, category, &sections);
    if let Some(exchange_number) = &prescription.exchange_number {
        let extension = json!({ "url": system::EXCHANGE_NUMBER, "valueString": exchange_number });
        extend(&mut composition, vec![extension]);
    }
    bundle.finish(&composition, "JP_Bundle_ePrescriptionData", header.date)
}

fn write_parties(bundle: &mut Bundle, prescription: &Prescription) -> Parties {
    let code = &prescription.institution.code;
    let narcotics = prescription.narcotics.as_ref();
    let patient = party::Patient {
        particulars: prescription.patient.clone(),
        address: narcotics.map(|narcotics| narcotics.patient_address.clone()),
        phone: narcotics.map(|narcotics| narcotics.patient_phone.clone()),
    };
    let author = party::Author {
        prescriber: prescription.prescriber.clone(),
        narcotics_licence: narcotics.and_then(|narcotics| narcotics.licence_number.clone()),
    };
    let (patient_url, issuer) = (bundle.url(), bundle.url());
    bundle.add(&patient_url, &party::write_patient(&patient, code));
    bundle.add(&issuer, &party::write_issuer(&prescription.institution));
    let department = prescription.department.as_ref().map(|department| {
        let url = bundle.url();
        bundle.add(&url, &party::write_department(department, &issuer));
        url
    });
    let (role, practitioner) = (bundle.url(), bundle.url());
    bundle.add(&role, &party::write_role(&practitioner, &issuer, code));
    bundle.add(&practitioner, &party::write_practitioner(&author, code));
    let author = department.unwrap_or_else(|| issuer.clone());
    Parties { patient: patient_url, issuer, author, role }
}

fn section(code: &str, title: &str, entries: &[String]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|url| json!({ "reference": url })).collect();
    json!({
        "title": title,
        "code": { "coding": [{ "system": system::SECTION.written(), "code": code }] },
        "entry": entries,
    })
}

fn composition(
    prescription: &Prescription,
    header: &Header,
    number: &str,
    parties: &Parties,
    category: &str,
    sections: &Value,
) -> Value {
    let mut period = json!({ "start": prescription.issued_on });
    if let Some(end) = prescription.usable_until {
        period["end"] = json!(end);
    }
    json!({
        "resourceType": "Composition",
        "extension": [{ "url": system::VERSION_NUMBER, "valueString": "1" }],
        "identifier": { "system": system::DOCUMENT_NUMBER.written(), "value": number },
        "status": "final",
        "type": { "coding": [{ "system": system::DOCUMENT_TYPE.written(), "code": "57833-6" }] },
        "category": [{ "coding": [{ "system": system::CATEGORY.written(), "code": category }] }],
        "subject": { "reference": parties.patient },
        "date": time(header.date),
        "author": [{ "reference": parties.role }, { "reference": parties.author }],
        "title": "処方箋",
        "custodian": { "reference": parties.issuer },
        "event": [{ "code": [{ "text": "処方箋交付" }], "period": period }],
        "section": sections,
    })
}

/// A time to the second.
fn time(date: DateTime<FixedOffset>) -> String {
    date.to_rfc3339_opts(SecondsFormat::Secs, false)
}

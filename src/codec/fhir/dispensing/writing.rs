//! A dispensing result as a Bundle. Everything is written that CJ1 can say; the names of the entries follow from the
//! content, so that the same result made at the same instant is the same bytes.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::{Asia::Tokyo, Tz};
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use uuid::Uuid;

use super::amount;
use super::code::{
    BLOOD_TYPE, CAUTION, DOCUMENT_KIND, DOCUMENT_KIND_DISPENSING, FORM, FORM_EXTENSION, FORM_SYSTEM, GENDER,
    INQUIRY, INSTITUTION, INSTITUTION_EXTENSION, INSURED_BRANCH, INSURED_NUMBER, INSURED_SYMBOL, INSURER,
    MEMO, NAME_REPRESENTATION, NOTE_CAUTION, ORDER_IN_RP, PATIENT_REMARK, PATIENT_REMARK_KIND, PRESCRIBER,
    PRESCRIPTION_ID, PROVIDED, PROVIDED_KIND, REMAINING, REMARK, RP_NUMBER, SECTION, SUPPLY, SUPPLY_UNIT,
    UCUM, USAGE, USAGE_CAUTION, WEIGHT, code_of,
};
use crate::codec::fhir::drug::concept;
use crate::prescription::dispensing::{
    DispensedForm, DispensedGroup, DispensedLine, Dispensing, DispensingPatient, LineNote, Pharmacist,
    Pharmacy, SupplyUnit,
};
use crate::prescription::document::InsuredIdentity;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::line::UsageCoding;

/// The profile of one line.
const LINE_PROFILE: &str = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_MedicationDispense";

pub(super) fn document(
    dispensing: &Dispensing,
    prescription: Option<(&str, &[u8])>,
    made_at: DateTime<Utc>,
) -> Value {
    let made_at = made_at.with_timezone(&Tokyo);
    let names = Names::of(dispensing, prescription, made_at);
    let [patient, pharmacy, pharmacist, coverage, binary] = [1, 2, 3, 4, 5].map(|number| names.url(number));
    let mut entries = vec![
        (patient.clone(), self::patient(&dispensing.patient)),
        (pharmacy.clone(), self::pharmacy(&dispensing.pharmacy)),
        (pharmacist.clone(), self::pharmacist(&dispensing.pharmacist)),
    ];
    let insured = dispensing.identity != InsuredIdentity::default();
    if insured {
        entries.push((coverage.clone(), self::coverage(&dispensing.identity, &patient)));
    }
    let lines = dispensing
        .groups
        .iter()
        .flat_map(|group| group.lines.iter().enumerate().map(move |(index, line)| (group, index + 1, line)));
    let mut line_urls = Vec::new();
    for (number, (group, order, line)) in lines.enumerate() {
        let url = names.url(6 + number);
        line_urls.push(url.clone());
        entries.push((url, self::line(dispensing, group, order, line, &patient, &pharmacist)));
    }
    if let Some((media_type, bytes)) = prescription {
        let data = BASE64_STANDARD.encode(bytes);
        let resource = json!({ "resourceType": "Binary", "contentType": media_type, "data": data });
        entries.push((binary.clone(), resource));
    }
    let mut sections = vec![section("dispensing", "調剤", &line_urls)];
    if insured {
        sections.push(section("insurance", "保険", &[coverage]));
    }
    if prescription.is_some() {
        sections.push(section("prescription", "処方箋", &[binary]));
    }
    let composition = json!({
        "resourceType": "Composition",
        "status": "final",
        "type": { "coding": [{
            "system": DOCUMENT_KIND.written(), "code": DOCUMENT_KIND_DISPENSING, "display": "調剤結果"
        }]},
        "subject": reference(&patient),
        "date": made_at.to_rfc3339_opts(SecondsFormat::Secs, false),
        "author": [reference(&pharmacist), reference(&pharmacy)],
        "title": "調剤結果",
        "custodian": reference(&pharmacy),
        "event": [{
            "code": [{ "text": "調剤" }], "period": { "start": dispensing.dispensed_on }
        }],
        "section": sections,
    });
    let composition = with_extensions(composition, remarks(dispensing));
    entries.insert(0, (names.url(0), composition));
    let entries: Vec<_> =
        entries.into_iter().map(|(url, resource)| json!({ "fullUrl": url, "resource": resource })).collect();
    json!({
        "resourceType": "Bundle",
        "identifier": { "system": "urn:ietf:rfc:3986", "value": names.url(usize::MAX) },
        "type": "document",
        "timestamp": made_at.to_rfc3339_opts(SecondsFormat::Millis, false),
        "entry": entries,
    })
}

/// Names of the document and its entries.
struct Names(Context);

impl Names {
    fn of(dispensing: &Dispensing, prescription: Option<(&str, &[u8])>, made_at: DateTime<Tz>) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&crate::codec::cj1::write(dispensing, &crate::codec::fault::Form::default()));
        context.update(made_at.to_rfc3339().as_bytes());
        context.update(prescription.map_or(&[], |(_, bytes)| bytes));
        Self(context)
    }

    fn url(&self, number: usize) -> String {
        let mut context = self.0.clone();
        context.update(&number.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&context.finish().as_ref()[..16]);
        Uuid::new_v8(bytes).urn().to_string()
    }
}

fn reference(url: &str) -> Value {
    json!({ "reference": url })
}

fn section(code: &str, title: &str, entries: &[String]) -> Value {
    json!({
        "title": title,
        "code": { "coding": [{ "system": SECTION.written(), "code": code }] },
        "entry": entries.iter().map(|url| reference(url)).collect::<Value>(),
    })
}

fn extension(url: &str, value: &str, of: impl Into<Value>) -> Value {
    let mut extension = json!({ "url": url });
    extension[value] = of.into();
    extension
}

fn texts<'t>(url: &'t str, texts: &'t [String]) -> impl Iterator<Item = Value> + 't {
    texts.iter().map(move |text| extension(url, "valueString", text.as_str()))
}

/// FHIR JSON has no empty arrays.
fn with_extensions(mut element: Value, extensions: Vec<Value>) -> Value {
    if !extensions.is_empty() {
        element["extension"] = extensions.into();
    }
    element
}

/// What the document says beside the lines and has no element for.
fn remarks(dispensing: &Dispensing) -> Vec<Value> {
    let nested = |url: &str, parts: Vec<Value>| json!({ "url": url, "extension": parts });
    let text = |text: &str| extension("text", "valueString", text);
    let mut all = Vec::new();
    all.extend(dispensing.institution.as_ref().map(|institution| {
        let code = extension("code", "valueIdentifier", institution_code(&institution.code));
        let name = extension("name", "valueString", institution.name.as_str());
        nested(INSTITUTION_EXTENSION, vec![name, code])
    }));
    all.extend(dispensing.prescriber.as_ref().map(|prescriber| {
        let name = extension("name", "valueString", prescriber.name.as_str());
        let department = prescriber.department.as_deref();
        let department = department.map(|name| extension("department", "valueString", name));
        nested(PRESCRIBER, [name].into_iter().chain(department).collect())
    }));
    all.extend(dispensing.patient_remarks.iter().map(|remark| {
        let kind = extension("kind", "valueCode", code_of(PATIENT_REMARK_KIND, &remark.kind));
        nested(PATIENT_REMARK, vec![kind, text(&remark.text)])
    }));
    all.extend(dispensing.memos.iter().map(|memo| {
        let day = memo.entered_on.map(|day| extension("enteredOn", "valueDate", day.to_string()));
        nested(MEMO, [text(&memo.text)].into_iter().chain(day).collect())
    }));
    all.extend(texts(CAUTION, &dispensing.cautions));
    all.extend(dispensing.provided_information.iter().map(|provided| {
        let kind = extension("kind", "valueCode", code_of(PROVIDED_KIND, &provided.kind));
        nested(PROVIDED, vec![kind, text(&provided.text)])
    }));
    all.extend(texts(REMAINING, &dispensing.remaining_medicine));
    all.extend(texts(REMARK, &dispensing.remarks));
    all.extend(dispensing.inquiries.iter().map(|inquiry| {
        nested(INQUIRY, vec![extension("class", "valueCode", inquiry.class.as_str()), text(&inquiry.text)])
    }));
    all
}

fn institution_code(code: &InstitutionCode) -> Value {
    json!({ "system": INSTITUTION.written(), "value": code.as_str() })
}

fn name(representation: &str, text: &str) -> Value {
    json!({
        "extension": [extension(NAME_REPRESENTATION, "valueCode", representation)],
        "use": "official",
        "text": text,
    })
}

fn telecom(system: &str, value: &str) -> Value {
    json!([{ "system": system, "value": value }])
}

fn address(resource: &mut Value, postal_code: Option<&String>, text: Option<&String>) {
    let mut address = json!({});
    if let Some(text) = text {
        address["text"] = json!(text);
    }
    if let Some(postal_code) = postal_code {
        address["postalCode"] = json!(postal_code);
    }
    if address.as_object().is_some_and(|address| !address.is_empty()) {
        resource["address"] = json!([address]);
    }
}

fn patient(patient: &DispensingPatient) -> Value {
    let names = [Some(name("IDE", &patient.name)), patient.kana.as_ref().map(|kana| name("SYL", kana))];
    let mut resource = json!({
        "resourceType": "Patient",
        "name": names.into_iter().flatten().collect::<Value>(),
        "gender": code_of(GENDER, &patient.sex),
        "birthDate": patient.birth_date,
    });
    if let Some(phone) = &patient.phone {
        resource["telecom"] = telecom("phone", phone);
    }
    if let Some(contact) = &patient.emergency_contact {
        resource["contact"] = json!([{ "telecom": telecom("other", contact) }]);
    }
    address(&mut resource, patient.postal_code.as_ref(), patient.address.as_ref());
    let more = [(BLOOD_TYPE, &patient.blood_type), (WEIGHT, &patient.weight)];
    let more =
        more.into_iter().filter_map(|(url, text)| Some(extension(url, "valueString", text.as_deref()?)));
    with_extensions(resource, more.collect())
}

fn pharmacy(pharmacy: &Pharmacy) -> Value {
    let mut resource = json!({
        "resourceType": "Organization",
        "identifier": [institution_code(&pharmacy.code)],
        "name": pharmacy.name,
    });
    if let Some(phone) = &pharmacy.phone {
        resource["telecom"] = telecom("phone", phone);
    }
    address(&mut resource, pharmacy.postal_code.as_ref(), pharmacy.address.as_ref());
    resource
}

fn pharmacist(pharmacist: &Pharmacist) -> Value {
    let mut resource = json!({ "resourceType": "Practitioner", "name": [name("IDE", &pharmacist.name)] });
    if let Some(contact) = &pharmacist.contact {
        resource["telecom"] = telecom("other", contact);
    }
    resource
}

fn coverage(identity: &InsuredIdentity, patient: &str) -> Value {
    let payor = match &identity.insurer_number {
        Some(number) => json!({ "identifier": { "system": INSURER.written(), "value": number } }),
        None => reference(patient),
    };
    let resource = json!({
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": reference(patient),
        "payor": [payor],
    });
    let numbers = [
        (INSURED_SYMBOL, &identity.symbol),
        (INSURED_NUMBER, &identity.number),
        (INSURED_BRANCH, &identity.branch_number),
    ];
    let numbers =
        numbers.into_iter().filter_map(|(url, text)| Some(extension(url, "valueString", text.as_deref()?)));
    with_extensions(resource, numbers.collect())
}

fn line(
    dispensing: &Dispensing,
    group: &DispensedGroup,
    order: usize,
    line: &DispensedLine,
    patient: &str,
    pharmacist: &str,
) -> Value {
    let identifier = |system: &str, value: String| json!({ "system": system, "value": value });
    let mut identifiers = vec![
        identifier(RP_NUMBER.written(), group.number.to_string()),
        identifier(ORDER_IN_RP.written(), order.to_string()),
    ];
    identifiers.extend(
        dispensing
            .prescription_id
            .map(|id| identifier(PRESCRIPTION_ID.written(), id.hyphenated().to_string())),
    );
    let each = line.amount.hundred_thousandths();
    let total = each * u64::from(group.quantity);
    let mut resource = json!({
        "resourceType": "MedicationDispense",
        "meta": { "profile": [LINE_PROFILE] },
        "identifier": identifiers,
        "status": "completed",
        "medicationCodeableConcept": concept(line.code.as_ref(), &line.name),
        "subject": reference(patient),
        "performer": [{ "actor": reference(pharmacist) }],
        "quantity": { "value": amount::number(total), "unit": line.unit },
        "whenHandedOver": dispensing.dispensed_on,
    });
    let dosage = dosage(group, line);
    if dosage.as_object().is_some_and(|dosage| !dosage.is_empty()) {
        resource["dosageInstruction"] = json!([dosage]);
    }
    let form = json!({ "system": FORM_SYSTEM.written(), "code": code_of(FORM, &group.form) });
    let mut extensions = vec![extension(FORM_EXTENSION, "valueCoding", form)];
    if group.unit == SupplyUnit::Days {
        resource["daysSupply"] =
            json!({ "value": group.quantity, "unit": "日", "system": UCUM.written(), "code": "d" });
    } else {
        let unit = extension("unit", "valueCode", code_of(SUPPLY_UNIT, &group.unit));
        let quantity = extension("quantity", "valuePositiveInt", group.quantity);
        extensions.push(json!({ "url": SUPPLY, "extension": [quantity, unit] }));
    }
    if !line.notes.is_empty() {
        resource["note"] = line.notes.iter().map(note).collect();
    }
    with_extensions(resource, extensions)
}

fn note(note: &LineNote) -> Value {
    match note {
        LineNote::Supplement(text) => json!({ "text": text }),
        LineNote::Caution(text) => {
            json!({ "extension": [extension(NOTE_CAUTION, "valueBoolean", true)], "text": text })
        }
    }
}

fn dosage(group: &DispensedGroup, line: &DispensedLine) -> Value {
    let amount = json!({ "value": amount::number(line.amount.hundred_thousandths()), "unit": line.unit });
    let mut dosage = json!({});
    if let Some(name) = &group.usage_name {
        dosage["text"] = json!(name);
    }
    let coded = match &group.usage_code {
        UsageCoding::Uncoded => None,
        UsageCoding::Jami(code) => Some((USAGE[0], code)),
        UsageCoding::Master(code) => Some((USAGE[1], code)),
    };
    if let Some((system, code)) = coded {
        let coding = json!({ "system": system.written(), "code": code.as_str() });
        dosage["timing"] = json!({ "code": { "coding": [coding] } });
    }
    if group.form == DispensedForm::AsNeeded {
        dosage["asNeededBoolean"] = json!(true);
    }
    if !group.usage_supplements.is_empty() {
        dosage["additionalInstruction"] =
            group.usage_supplements.iter().map(|text| json!({ "text": text })).collect();
    }
    match group.unit {
        SupplyUnit::Days => {
            let day = json!({ "value": 1, "unit": "日", "system": UCUM.written(), "code": "d" });
            dosage["doseAndRate"] = json!([{ "rateRatio": { "numerator": amount, "denominator": day } }]);
        }
        SupplyUnit::Times => dosage["doseAndRate"] = json!([{ "doseQuantity": amount }]),
        // What one preparation holds is no dose.
        SupplyUnit::Preparations => {}
    }
    let cautions = texts(USAGE_CAUTION, &group.usage_cautions).collect();
    with_extensions(dosage, cautions)
}

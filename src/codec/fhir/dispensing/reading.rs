//! The Bundle and everything in it but the drug lines, into a dispensing result.

use chrono::NaiveDate;

use super::code::{
    BLOOD_TYPE, CAUTION, DOCUMENT_KIND, DOCUMENT_KIND_DISPENSING, GENDER, INQUIRY, INSTITUTION,
    INSTITUTION_EXTENSION, INSURED_BRANCH, INSURED_NUMBER, INSURED_SYMBOL, INSURER, MEMO,
    NAME_REPRESENTATION, PATIENT_REMARK, PATIENT_REMARK_KIND, PRESCRIBER, PROVIDED, PROVIDED_KIND, REMAINING,
    REMARK, SECTION, WEIGHT,
};
use super::line::{Lines, line, lines};
use super::{DispensingDocument, Embedded};
use crate::codec::fhir::strict::{
    Element, Entries, Json, Target, choice, code_in, concept, identifier, primitive,
};
use crate::codec::row::is_refused;
use crate::prescription::dispensing::{
    Dispensing, DispensingPatient, DispensingPrescriber, Inquiry, Memo, PatientRemark, Pharmacist, Pharmacy,
    PrescribingInstitution, ProvidedInformation,
};
use crate::prescription::document::InsuredIdentity;
use crate::prescription::identifier::InstitutionCode;

/// The most drug lines, and the most remarks of one kind.
pub(super) const MANY: usize = 400;

/// A text in one line.
pub(super) fn text(json: &Json<'_>) -> primitive::Primitive<String> {
    let text = primitive::string(json)?;
    if text.chars().any(is_refused) { Err("expected a text in one line".to_owned()) } else { Ok(text) }
}

/// An extension that must be there.
fn required_extension<'d, 's, T>(
    element: &mut Element<'d, 's>,
    url: &'static str,
    read: impl FnMut(&mut Element<'d, 's>) -> Option<T>,
) -> Option<T> {
    if !element.has_extension(url) {
        element.fault_of("extension", format!("expected the extension {url}, it is missing"));
    }
    element.extension(url, read)
}

/// The text of an extension with a `valueString`.
pub(super) fn value_text(extension: &mut Element<'_, '_>) -> Option<String> {
    extension.required(choice("value", "String"), text)
}

/// What the Composition says, and what it leads to.
struct Head {
    patient: Target,
    pharmacist: Target,
    pharmacy: Target,
    dispensed_on: NaiveDate,
    lines: Vec<Target>,
    coverage: Option<Target>,
    prescription: Option<Target>,
    institution: Option<PrescribingInstitution>,
    prescriber: Option<DispensingPrescriber>,
    patient_remarks: Vec<PatientRemark>,
    memos: Vec<Memo>,
    cautions: Vec<String>,
    provided_information: Vec<ProvidedInformation>,
    remaining_medicine: Vec<String>,
    remarks: Vec<String>,
    inquiries: Vec<Inquiry>,
}

pub(super) fn document(bundle: &mut Element<'_, '_>) -> Option<DispensingDocument> {
    bundle.required("type", primitive::exactly("document"));
    bundle.required("timestamp", primitive::instant);
    bundle.one("identifier", |identifier| {
        identifier.required("system", primitive::uri);
        identifier.required("value", primitive::string)
    });
    let entries = Entries::of(bundle);
    let head = entries.first("Composition").and_then(|composition| {
        entries.read(composition, "Composition", |element| self::composition(element, &entries))
    });
    let head = head?;
    let patient = entries.read(head.patient, "Patient", patient);
    let identity = match head.coverage {
        None => Some(InsuredIdentity::default()),
        Some(target) => entries.read(target, "Coverage", |element| coverage(element, &entries, head.patient)),
    };
    let pharmacy = entries.read(head.pharmacy, "Organization", pharmacy);
    let pharmacist = entries.read(head.pharmacist, "Practitioner", pharmacist);
    let prescription = head.prescription.map(|target| {
        let place = entries.place(target).to_owned();
        entries.read(target, "Binary", |element| binary(element, place))
    });
    let read = head.lines.iter().map(|target| {
        entries.read(*target, "MedicationDispense", |element| {
            line(element, &entries, head.patient, head.pharmacist, head.dispensed_on)
        })
    });
    let read: Vec<_> = read.collect();
    let places = head.lines.iter().map(|target| entries.place(*target).to_owned()).collect();
    let Lines { groups, prescription_id } = lines(read, &head.lines, &entries)?;
    entries.finish();
    let patient = patient?;
    if patient.birth_date > head.dispensed_on {
        let place = format!("{}.birthDate", entries.place(head.patient));
        bundle.fault_at(&place, "expected a date not after the dispensing date");
    }
    Some(DispensingDocument {
        dispensing: Dispensing {
            patient,
            patient_remarks: head.patient_remarks,
            memos: head.memos,
            dispensed_on: head.dispensed_on,
            identity: identity?,
            prescription_id,
            pharmacy: pharmacy?,
            pharmacist: pharmacist?,
            institution: head.institution,
            prescriber: head.prescriber,
            groups,
            cautions: head.cautions,
            provided_information: head.provided_information,
            remaining_medicine: head.remaining_medicine,
            remarks: head.remarks,
            inquiries: head.inquiries,
        },
        places,
        prescription: match prescription {
            None => None,
            Some(embedded) => Some(embedded?),
        },
    })
}

fn composition<'d, 's>(element: &mut Element<'d, 's>, entries: &Entries<'d, 's>) -> Option<Head> {
    element.required("status", primitive::exactly("final"));
    element.one("type", |kind| concept(kind, DOCUMENT_KIND, primitive::exactly(DOCUMENT_KIND_DISPENSING)));
    element.required("title", primitive::exactly("調剤結果"));
    element.required("date", primitive::date_time);
    let patient = entries.reference(element, "subject", &["Patient"]);
    let mut pharmacists = Vec::new();
    let mut pharmacies = Vec::new();
    element.each("author", 2..=2, |author| {
        let target = entries.resolve(author, &["Practitioner", "Organization"])?;
        if entries.kind(target) == "Practitioner" { &mut pharmacists } else { &mut pharmacies }.push(target);
        Some(())
    });
    if pharmacists.len() != 1 || pharmacies.len() != 1 {
        element.fault_of("author", "expected one Practitioner and one Organization");
    }
    let custodian = entries.reference(element, "custodian", &["Organization"]);
    if custodian != pharmacies.first().copied() {
        element.fault_of("custodian", "expected the Organization that is author");
    }
    let dispensed_on = element.sole("event", |event| {
        event.each("code", 0..=1, |code| code.required("text", primitive::exactly("調剤")));
        event.one("period", |period| period.required("start", primitive::date))
    });
    let sections = sections(element, entries);
    let (institution, prescriber) = (institution(element), prescriber(element));
    let patient_remarks = element.extensions(PATIENT_REMARK, |remark| {
        let kind = kind(remark, PATIENT_REMARK_KIND);
        let text = required_extension(remark, "text", value_text);
        Some(PatientRemark { kind: kind?, text: text? })
    });
    let memos = element.extensions(MEMO, |memo| {
        let text = required_extension(memo, "text", value_text);
        let entered_on =
            memo.extension("enteredOn", |day| day.required(choice("value", "Date"), primitive::date));
        Some(Memo { text: text?, entered_on })
    });
    let provided_information = element.extensions(PROVIDED, |provided| {
        let kind = kind(provided, PROVIDED_KIND);
        let text = required_extension(provided, "text", value_text);
        Some(ProvidedInformation { text: text?, kind: kind? })
    });
    let inquiries = element.extensions(INQUIRY, |inquiry| {
        let class = required_extension(inquiry, "class", |class| {
            class.required(choice("value", "Code"), primitive::parsed(inquiry_class))
        });
        let text = required_extension(inquiry, "text", value_text);
        Some(Inquiry { class: class?, text: text? })
    });
    let cautions = element.extensions(CAUTION, value_text);
    let remaining_medicine = element.extensions(REMAINING, value_text);
    let remarks = element.extensions(REMARK, value_text);
    let sections = sections?;
    Some(Head {
        patient: patient?,
        pharmacist: *pharmacists.first()?,
        pharmacy: *pharmacies.first()?,
        dispensed_on: dispensed_on?,
        lines: sections.lines,
        coverage: sections.coverage,
        prescription: sections.prescription,
        institution,
        prescriber,
        patient_remarks,
        memos,
        cautions,
        provided_information,
        remaining_medicine,
        remarks,
        inquiries,
    })
}

fn kind<T: Copy>(element: &mut Element<'_, '_>, table: &'static [(&'static str, T)]) -> Option<T> {
    required_extension(element, "kind", |kind| {
        kind.required(choice("value", "Code"), primitive::one_of(table))
    })
}

/// 区分: up to three digits.
fn inquiry_class(text: &str) -> Result<String, &'static str> {
    let shaped = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if shaped { Ok(text.to_owned()) } else { Err("expected 1 to 3 digits") }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Dispensing,
    Insurance,
    Prescription,
}

struct Sections {
    lines: Vec<Target>,
    coverage: Option<Target>,
    prescription: Option<Target>,
}

/// The sections, each at most once: what was dispensed, the insurance, the prescription.
fn sections<'d, 's>(element: &mut Element<'d, 's>, entries: &Entries<'d, 's>) -> Option<Sections> {
    const SECTIONS: &[(&str, Section)] = &[
        ("dispensing", Section::Dispensing),
        ("insurance", Section::Insurance),
        ("prescription", Section::Prescription),
    ];
    let mut seen = Vec::new();
    let mut found = Sections { lines: Vec::new(), coverage: None, prescription: None };
    element.each("section", 1..=SECTIONS.len(), |section| {
        section.optional("title", primitive::string);
        let kind = section.one("code", |code| concept(code, SECTION, primitive::one_of(SECTIONS)));
        let (most, of_type) = match kind {
            Some(Section::Insurance) => (1, "Coverage"),
            Some(Section::Prescription) => (1, "Binary"),
            Some(Section::Dispensing) | None => (MANY, "MedicationDispense"),
        };
        let targets = section.each("entry", 1..=most, |entry| entries.resolve(entry, &[of_type]));
        let kind = kind?;
        if seen.contains(&kind) {
            section.fault_of("code", "expected each section once");
        }
        seen.push(kind);
        match kind {
            Section::Dispensing => found.lines = targets,
            Section::Insurance => found.coverage = targets.first().copied(),
            Section::Prescription => found.prescription = targets.first().copied(),
        }
        Some(())
    });
    if !seen.contains(&Section::Dispensing) {
        element.fault_of("section", "expected the section dispensing");
        return None;
    }
    Some(found)
}

fn institution(composition: &mut Element<'_, '_>) -> Option<PrescribingInstitution> {
    composition.extension(INSTITUTION_EXTENSION, |institution| {
        let name = required_extension(institution, "name", value_text);
        let code = required_extension(institution, "code", |code| {
            code.one(choice("value", "Identifier"), institution_code)
        });
        Some(PrescribingInstitution { name: name?, code: code? })
    })
}

fn prescriber(composition: &mut Element<'_, '_>) -> Option<DispensingPrescriber> {
    composition.extension(PRESCRIBER, |prescriber| {
        let name = required_extension(prescriber, "name", value_text);
        let department = prescriber.extension("department", value_text);
        Some(DispensingPrescriber { name: name?, department })
    })
}

fn institution_code(element: &mut Element<'_, '_>) -> Option<InstitutionCode> {
    identifier(element, INSTITUTION, primitive::parsed(str::parse::<InstitutionCode>))
}

/// 漢字 and カナ, each at most once.
fn names(element: &mut Element<'_, '_>, most: usize) -> (Option<String>, Option<String>) {
    let mut found = (None, None);
    element.each("name", 1..=most, |name| {
        name.optional("use", primitive::exactly("official"));
        let kana = required_extension(name, NAME_REPRESENTATION, |extension| {
            let table: &[(&str, bool)] =
                if most == 1 { &[("IDE", false)] } else { &[("IDE", false), ("SYL", true)] };
            extension.required(choice("value", "Code"), primitive::one_of(table))
        });
        let written = name.required("text", text);
        let place = if kana? { &mut found.1 } else { &mut found.0 };
        if place.is_some() {
            name.fault("expected one name in each representation");
        }
        *place = written;
        Some(())
    });
    if found.0.is_none() && element.has("name") {
        element.fault_of("name", "expected a name in the representation IDE");
    }
    found
}

/// A ContactPoint of one system.
fn contact(element: &mut Element<'_, '_>, system: &'static str) -> Option<String> {
    let mut found = element.each("telecom", 0..=1, |telecom| {
        telecom.required("system", primitive::exactly(system));
        telecom.required("value", text)
    });
    found.pop()
}

/// 郵便番号 and 住所.
fn address(element: &mut Element<'_, '_>, name: &'static str) -> (Option<String>, Option<String>) {
    let read = element.each(name, 0..=1, |address| {
        let postal_code = address.optional("postalCode", text);
        Some((postal_code, address.optional("text", text)))
    });
    read.into_iter().next().unwrap_or_default()
}

fn patient(element: &mut Element<'_, '_>) -> Option<DispensingPatient> {
    let (name, kana) = names(element, 2);
    let sex = code_in(element, "gender", GENDER);
    let birth_date = element.required("birthDate", primitive::date);
    let (postal_code, address) = address(element, "address");
    let phone = contact(element, "phone");
    let mut emergency_contact = element.each("contact", 0..=1, |person| contact(person, "other"));
    let blood_type = element.extension(BLOOD_TYPE, value_text);
    let weight = element.extension(WEIGHT, value_text);
    Some(DispensingPatient {
        name: name?,
        sex: sex?,
        birth_date: birth_date?,
        postal_code,
        address,
        phone,
        emergency_contact: emergency_contact.pop(),
        blood_type,
        weight,
        kana,
    })
}

/// 記号・番号・枝番, and who pays: an insurer by its number, or the patient where none is named.
fn coverage<'d, 's>(
    element: &mut Element<'d, 's>,
    entries: &Entries<'d, 's>,
    patient: Target,
) -> Option<InsuredIdentity> {
    element.required("status", primitive::exactly("active"));
    let symbol = element.extension(INSURED_SYMBOL, value_text);
    let number = element.extension(INSURED_NUMBER, value_text);
    let branch_number = element.extension(INSURED_BRANCH, value_text);
    if entries.reference(element, "beneficiary", &["Patient"]).is_some_and(|target| target != patient) {
        element.fault_of("beneficiary", "expected the patient of the Composition");
    }
    let payor = element.sole("payor", |payor| {
        if !payor.has("identifier") {
            if entries.resolve(payor, &["Patient"]).is_some_and(|target| target != patient) {
                payor.fault_of("reference", "expected the patient of the Composition");
            }
            return Some(None);
        }
        payor.optional("type", primitive::exactly("Organization"));
        payor.optional("display", primitive::string);
        payor.one("identifier", |id| identifier(id, INSURER, text)).map(Some)
    });
    Some(InsuredIdentity { insurer_number: payor?, symbol, number, branch_number })
}

fn pharmacy(element: &mut Element<'_, '_>) -> Option<Pharmacy> {
    let code = element.sole("identifier", institution_code);
    let name = element.required("name", text);
    let (postal_code, address) = address(element, "address");
    let phone = contact(element, "phone");
    Some(Pharmacy { name: name?, code: code?, postal_code, address, phone })
}

fn pharmacist(element: &mut Element<'_, '_>) -> Option<Pharmacist> {
    let (name, _) = names(element, 1);
    let contact = contact(element, "other");
    Some(Pharmacist { name: name?, contact })
}

fn binary(element: &mut Element<'_, '_>, place: String) -> Option<Embedded> {
    const TYPES: &[(&str, &str)] =
        &[("application/jose", "application/jose"), ("application/xml", "application/xml")];
    let media_type = element.required("contentType", primitive::one_of(TYPES));
    let bytes = element.required("data", primitive::base64_binary);
    Some(Embedded { media_type: media_type?.to_owned(), bytes: bytes?, place })
}

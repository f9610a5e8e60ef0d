//! The document itself: Bundle and Composition, what they lead to, and what must agree across the resources. Tables 1
//! to 4 and 16 of the profile.

use chrono::NaiveDate;

use super::communication;
use super::request::{self, Request, Whole};
use super::{Read, insurance, japanese_day, party, system};
use crate::codec::fault::Fault;
use crate::codec::fhir::strict::primitive::{self, Primitive};
use crate::codec::fhir::strict::{
    Element, Entries, Json, Place, Target, choice, code_in, concept, identifier,
};
use crate::prescription::document::{Narcotics, Prescription, Split};
use crate::prescription::line::RpGroup;

/// 処方箋区分.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Category {
    /// 01 一般.
    Ordinary,
    /// 02 麻薬.
    Narcotics,
    /// 03 分割.
    Split,
}

const CATEGORIES: &[(&str, Category)] =
    &[("01", Category::Ordinary), ("02", Category::Narcotics), ("03", Category::Split)];

/// 処方情報 of an ordinary document; 分割処方箋 and 別紙 around that of a split one.
const SECTION: &str = "01";
const SPLIT_SECTION: &str = "11";
const SHEET_SECTION: &str = "12";

/// What a Composition says.
struct Composition {
    category: Category,
    patient: Target,
    role: Target,
    author: Target,
    issuer: Target,
    number: Option<(String, String)>,
    issued_on: NaiveDate,
    usable_until: Option<NaiveDate>,
    exchange_number: Option<String>,
    split: Option<Split>,
    sections: Vec<Section>,
}

struct Section {
    code: &'static str,
    place: Place,
    entries: Vec<Target>,
}

const SECTION_CODES: &[(&str, &str)] =
    &[(SECTION, SECTION), (SPLIT_SECTION, SPLIT_SECTION), (SHEET_SECTION, SHEET_SECTION)];

/// Reads the whole document.
pub(super) fn bundle(bundle: &mut Element<'_, '_>) -> Option<Read> {
    let entries = entries(bundle);
    let composition = composition(&entries)?;
    if composition.category == Category::Split {
        split(&entries, &composition)
    } else {
        if composition.split.is_some() {
            entries.fault_first(
                "extension",
                "expected a part number only in the document of a split prescription",
            );
        }
        let read = prescription(&entries, &composition, None);
        entries.finish();
        read
    }
}

/// `Bundle` beside its entries.
fn entries<'d, 's>(bundle: &mut Element<'d, 's>) -> Entries<'d, 's> {
    bundle.maybe("identifier", |element| {
        element.optional("system", primitive::exactly("urn:ietf:rfc:3986"));
        element.required("value", primitive::uuid)
    });
    bundle.required("type", primitive::exactly("document"));
    bundle.required("timestamp", primitive::instant);
    Entries::of(bundle)
}

/// A split prescription (分割): around one part of it, the document says which part it is and who is concerned.
fn split(entries: &Entries<'_, '_>, outer: &Composition) -> Option<Read> {
    let Some(split) = outer.split else {
        entries.fault_first("extension", format!("expected which part it is ({})", system::SPLIT_PART));
        return None;
    };
    let parties = parties(entries, outer);
    let of = |code: &str| -> Vec<Target> {
        let sections = outer.sections.iter().filter(|section| section.code == code);
        sections.flat_map(|section| &section.entries).copied().collect()
    };
    for target in of(SHEET_SECTION) {
        if target != outer.issuer {
            entries.fault(target, "expected only the issuing institution on the extra sheet");
        }
    }
    let parts = of(SPLIT_SECTION);
    let [part] = parts.as_slice() else {
        let place = entries.place_of_first("section");
        entries.fault_at(&place, "expected exactly one part: each part is a document of its own");
        return None;
    };
    let read = entries.read(*part, "Bundle", |bundle| {
        let inner = self::entries(bundle);
        let composition = composition(&inner)?;
        if composition.category == Category::Split {
            inner.fault_first("category", "expected an ordinary prescription as the part");
        }
        let same_days =
            (composition.issued_on, composition.usable_until) == (outer.issued_on, outer.usable_until);
        if !same_days {
            inner.fault_first("event[0].period", "expected the period of the whole document");
        }
        let read = prescription(&inner, &composition, Some(split));
        inner.finish();
        read
    });
    entries.finish();
    let (read, parties) = (read?, parties?);
    let value = &read.value;
    let same = parties.institution == value.institution
        && parties.patient.particulars == value.patient
        && parties.author.prescriber == value.prescriber;
    if !same {
        entries.fault(*part, "expected the patient, institution and prescriber of the whole document");
        return None;
    }
    Some(read)
}

/// 文書番号: institution, year and eight digits.
fn document_number(json: &Json<'_>) -> Primitive<(String, String)> {
    let text = primitive::string(json)?;
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(institution), Some(year), Some(number), None)
            if digits(institution, 10) && digits(year, 4) && digits(number, 8) =>
        {
            Ok((institution.to_owned(), format!("{year}-{number}")))
        }
        _ => {
            Err("expected the ten digits of the institution, a year and eight digits, with hyphens"
                .to_owned())
        }
    }
}

fn composition(entries: &Entries<'_, '_>) -> Option<Composition> {
    entries.read(entries.first("Composition")?, "Composition", |composition| {
        if !composition.has_extension(system::VERSION_NUMBER) {
            composition.fault_of("extension", format!("expected the extension {}", system::VERSION_NUMBER));
        }
        composition.extension(system::VERSION_NUMBER, |extension| {
            extension.required(choice("value", "String"), primitive::string)
        });
        let exchange_number = composition.extension(system::EXCHANGE_NUMBER, |extension| {
            extension.required(choice("value", "String"), |json| {
                let text = primitive::string(json)?;
                let shaped = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                if shaped { Ok(text) } else { Err("expected 1 to 16 digits".to_owned()) }
            })
        });
        let split = composition.extension(system::SPLIT_PART, split_part);
        let number = composition
            .one("identifier", |element| identifier(element, system::DOCUMENT_NUMBER, document_number));
        composition.required("status", primitive::exactly("final"));
        composition.one("type", |kind| concept(kind, system::DOCUMENT_TYPE, primitive::exactly("57833-6")));
        let category = composition
            .sole("category", |category| concept(category, system::CATEGORY, primitive::one_of(CATEGORIES)));
        let patient = entries.reference(composition, "subject", &["Patient"]);
        let encounter = entries.maybe_reference(composition, "encounter", &["Encounter"]);
        if let Some(encounter) = encounter {
            party::encounter(entries, encounter);
        }
        composition.required("date", primitive::instant);
        let authors = composition
            .each("author", 2..=2, |author| entries.resolve(author, &["PractitionerRole", "Organization"]));
        composition.required("title", primitive::string);
        let issuer = entries.reference(composition, "custodian", &["Organization"]);
        let event = composition.sole("event", event);
        let sections = composition.each("section", 1..=2, |element| section(element, entries));
        let codes: Vec<&str> = sections.iter().map(|section| section.code).collect();
        let expected: &[&[&str]] = match category {
            Some(Category::Split) => &[&[SPLIT_SECTION], &[SPLIT_SECTION, SHEET_SECTION]],
            _ => &[&[SECTION]],
        };
        if category.is_some() && !sections.is_empty() && !expected.contains(&codes.as_slice()) {
            composition
                .fault_of("section", "expected the sections of the category: 01, or 11 and 12 of a split");
        }
        let of_kind = |kind| authors.iter().copied().find(|author| entries.kind(*author) == kind);
        let (role, author) = (of_kind("PractitionerRole"), of_kind("Organization"));
        if authors.len() == 2 && (role.is_none() || author.is_none()) {
            composition
                .fault_of("author", "expected the prescriber's role and the institution or its department");
        }
        let (issued_on, usable_until) = event?;
        Some(Composition {
            category: category?,
            patient: patient?,
            role: role?,
            author: author?,
            issuer: issuer?,
            number,
            issued_on,
            usable_until,
            exchange_number,
            split,
            sections,
        })
    })
}

fn split_part(extension: &mut Element<'_, '_>) -> Option<Split> {
    let mut number = |url: &'static str, least: u32| {
        let found = extension.extension(url, |part| {
            part.required(choice("value", "PositiveInt"), |json| {
                let number = primitive::positive_int(json).ok().filter(|number| (least..=3).contains(number));
                number.and_then(|number| u8::try_from(number).ok()).ok_or("expected at most three parts")
            })
        });
        if found.is_none() {
            extension.fault_of("extension", "expected the number of parts and which part it is");
        }
        found
    };
    let (parts, part) = (number("parts", 2), number("part", 1));
    if part > parts {
        extension.fault_of("extension", "expected a part of the parts there are");
    }
    Some(Split { parts: parts?, part: part? })
}

/// 交付: issue date, and the last day of use where it is said.
fn event(event: &mut Element<'_, '_>) -> Option<(NaiveDate, Option<NaiveDate>)> {
    event.sole("code", |code| code.required("text", primitive::exactly("処方箋交付")));
    event.one("period", |period| {
        let start = period.required("start", primitive::date_time).map(japanese_day);
        let end = period.optional("end", primitive::date_time).map(japanese_day);
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            period.fault_of("end", "expected a day not before the issue date");
        }
        Some((start?, end))
    })
}

fn section(section: &mut Element<'_, '_>, entries: &Entries<'_, '_>) -> Option<Section> {
    section.optional("title", primitive::string);
    section.maybe("text", |narrative| {
        code_in(narrative, "status", &[("generated", ()), ("empty", ())]);
        narrative.required("div", primitive::string)
    });
    let code = section.one("code", |code| concept(code, system::SECTION, primitive::one_of(SECTION_CODES)));
    let kinds: &[&str] = match code {
        Some(SPLIT_SECTION) => &["Bundle"],
        Some(SHEET_SECTION) => &["Organization"],
        _ => &["MedicationRequest", "Communication", "Coverage", "Organization"],
    };
    let mut targets: Vec<Target> = Vec::new();
    section.each("entry", 1..=500, |reference| {
        let target = entries.resolve(reference, kinds)?;
        if targets.contains(&target) {
            reference.fault("expected each resource once");
            return None;
        }
        targets.push(target);
        Some(())
    });
    Some(Section { code: code?, place: section.place().clone(), entries: targets })
}

/// Who a document is about.
struct Parties {
    institution: crate::prescription::document::Institution,
    department: Option<crate::prescription::document::Department>,
    patient: party::Patient,
    author: party::Author,
}

fn parties(entries: &Entries<'_, '_>, composition: &Composition) -> Option<Parties> {
    let institution = party::issuer(entries, composition.issuer);
    let department = (composition.author != composition.issuer)
        .then(|| party::department(entries, composition.author, composition.issuer));
    let practitioner = party::role(entries, composition.role, &[composition.issuer, composition.author]);
    // What the institution calls people is checked against its code; without that nothing more can be said.
    let code = institution.as_ref().map(|institution| &institution.code)?;
    if let Some((of, _)) = &composition.number
        && of != code.as_str()
    {
        entries.fault_first("identifier.value", "expected the ten digits of the issuing institution");
    }
    let patient = party::patient(entries, composition.patient, code);
    let author = practitioner.and_then(|target| party::practitioner(entries, target, code));
    if let Some(patient) = &patient
        && patient.particulars.birth_date > composition.issued_on
    {
        let place = format!("{}.birthDate", entries.place(composition.patient));
        entries.fault_at(&place, "expected a date not after the issue date");
    }
    let department = match department {
        None => None,
        Some(department) => Some(department?),
    };
    Some(Parties { institution: institution?, department, patient: patient?, author: author? })
}

/// A prescription that is not split, or the one part of a split one.
fn prescription(entries: &Entries<'_, '_>, composition: &Composition, split: Option<Split>) -> Option<Read> {
    let parties = parties(entries, composition);
    let section = composition.sections.first();
    let of_kind = |kind: &str| -> Vec<Target> {
        let targets = section.into_iter().flat_map(|section| &section.entries).copied();
        targets.filter(|target| entries.kind(*target) == kind).collect()
    };
    let coverages = of_kind("Coverage");
    if coverages.is_empty()
        && let Some(section) = section
    {
        entries.fault_at(&format!("{}.entry", section.place), "expected a Coverage: who pays");
    }
    let insurance = insurance::read(entries, &coverages, &of_kind("Organization"), composition.patient);
    let said = communication::read(entries, &of_kind("Communication"), composition.patient);
    let whole = Whole {
        patient: composition.patient,
        is_split: split.is_some(),
        issued_on: Some(composition.issued_on),
    };
    let targets = of_kind("MedicationRequest");
    if targets.is_empty()
        && let Some(section) = section
    {
        entries.fault_at(
            &format!("{}.entry", section.place),
            "expected a MedicationRequest: what is prescribed",
        );
    }
    let requests: Vec<Request> =
        targets.into_iter().filter_map(|target| request::read(entries, target, &whole)).collect();
    let is_narcotic = composition.category == Category::Narcotics;
    let refill = agreed_refill(entries, &requests, is_narcotic);
    let mut warnings: Vec<Fault> = requests
        .iter()
        .flat_map(|request| &request.other_codes)
        .map(|place| warning(place, "this code stands beside another one and was not compared with it"))
        .collect();
    let (groups, lines) = groups(entries, requests);
    let parties = parties?;
    let narcotics = narcotics(entries, composition, &parties, is_narcotic, &mut warnings);
    if !parties.institution.code.check_digit_holds() {
        let place = format!("{}.identifier[0].value", entries.place(composition.issuer));
        warnings.push(warning(&place, "the check digit of the institution code does not hold"));
    }
    let (copayment, insurance) = insurance?;
    let Parties { institution, department, patient, author } = parties;
    let value = Prescription {
        institution,
        department,
        prescriber: author.prescriber,
        patient: patient.particulars,
        copayment,
        insurance,
        issued_on: composition.issued_on,
        usable_until: composition.usable_until,
        narcotics: if is_narcotic { Some(narcotics?) } else { None },
        remaining_medicine: said.remaining_medicine,
        split,
        refill,
        remarks: said.remarks,
        exchange_number: composition.exchange_number.clone(),
        groups,
        clinical_notes: said.clinical_notes,
        laboratory_values: said.laboratory_values,
    };
    Some(Read { value, lines, warnings })
}

fn warning(place: &str, message: &str) -> Fault {
    Fault { place: place.to_owned(), message: message.to_owned() }
}

/// 麻薬施用: the licence, and the patient's address and telephone (麻薬及び向精神薬取締法27条).
fn narcotics(
    entries: &Entries<'_, '_>,
    composition: &Composition,
    parties: &Parties,
    is_narcotic: bool,
    warnings: &mut Vec<Fault>,
) -> Option<Narcotics> {
    let place = entries.place(composition.patient);
    let licence_number = parties.author.narcotics_licence.clone();
    if !is_narcotic {
        if parties.patient.address.is_some() || parties.patient.phone.is_some() {
            warnings
                .push(warning(place, "the address and telephone of the patient are kept for narcotics only"));
        }
        return None;
    }
    for (name, value) in [("address", &parties.patient.address), ("telecom", &parties.patient.phone)] {
        if value.is_none() {
            entries.fault_at(&format!("{place}.{name}"), "expected it on a narcotics prescription");
        }
    }
    if licence_number.is_none() {
        warnings.push(warning(
            entries.place(composition.role),
            "the licence number of the narcotics practitioner is expected",
        ));
    }
    Some(Narcotics {
        licence_number,
        patient_address: parties.patient.address.clone()?,
        patient_phone: parties.patient.phone.clone()?,
    })
}

/// リフィル is said by every request alike, and not of narcotics.
fn agreed_refill(
    entries: &Entries<'_, '_>,
    requests: &[Request],
    is_narcotic: bool,
) -> Option<crate::prescription::document::Refill> {
    let refill = requests.first().and_then(|request| request.refill);
    for request in requests {
        let place = format!("{}.dispenseRequest.numberOfRepeatsAllowed", request.place);
        if request.refill != refill {
            entries.fault_at(&place, "expected the repeats of the other requests");
        } else if refill.is_some() && is_narcotic {
            entries.fault_at(&place, "expected no refill of a narcotics prescription");
        }
    }
    refill
}

/// The RP groups in the order of their numbers, and the places of their lines.
fn groups(entries: &Entries<'_, '_>, mut requests: Vec<Request>) -> (Vec<RpGroup>, Vec<String>) {
    requests.sort_by_key(|request| (request.rp, request.line.number));
    let burdens = requests.iter().filter(|request| request.line.burden.is_some()).count();
    for request in requests.iter().filter(|request| request.line.burden.is_none() && burdens > 0) {
        entries.fault_at(
            &format!("{}.extension", request.place),
            format!("expected {} of every request or of none", system::PAYER_BURDEN),
        );
    }
    let mut groups: Vec<RpGroup> = Vec::new();
    let mut lines = Vec::new();
    let mut shared = None;
    for request in requests {
        lines.push(request.place.clone());
        if let Some(group) = groups.last_mut().filter(|group| group.number == request.rp) {
            if group.lines.last().is_some_and(|line| line.number == request.line.number) {
                let place = format!("{}.identifier", request.place);
                entries.fault_at(&place, "expected a number within the RP that no other request has");
            }
            if shared.as_ref() != Some(&request.shared) {
                let place = format!("{}.dosageInstruction", request.place);
                entries.fault_at(&place, "expected the form, usage and days of the other requests of the RP");
            }
            group.lines.push(request.line);
            continue;
        }
        shared = Some(request.shared.clone());
        let own = request.shared;
        groups.push(RpGroup {
            number: request.rp,
            kind: own.kind,
            kind_name: own.kind_name,
            quantity: own.quantity,
            split_quantity: own.split_quantity,
            usage: own.usage,
            supplements: own.supplements,
            lines: vec![request.line],
        });
    }
    (groups, lines)
}

//! Who: the patient, the institution and its department, the prescriber.

use serde_json::{Value, json};

use super::system;
use crate::codec::fhir::strict::primitive::{self, Primitive};
use crate::codec::fhir::strict::{
    Element, Entries, Json, Target, choice, code_in, coding, concept, identifier, identifier_system,
};
use crate::prescription::document::{Department, Institution, PatientParticulars, Prescriber, Sex};
use crate::prescription::identifier::InstitutionCode;

/// A patient, and what only a narcotics prescription keeps of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patient {
    pub particulars: PatientParticulars,
    pub address: Option<String>,
    pub phone: Option<String>,
}

/// A prescriber with the 麻薬施用者免許 there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Author {
    pub prescriber: Prescriber,
    pub narcotics_licence: Option<String>,
}

const GENDERS: &[(&str, Sex)] = &[("male", Sex::Male), ("female", Sex::Female)];

/// Kanji and kana of a `name`, each at most once.
fn names(element: &mut Element<'_, '_>) -> (Option<String>, Option<String>) {
    let (mut kanji, mut kana) = (None, None);
    element.each("name", 1..=2, |name| {
        let syllabic = name.extension(system::NAME_REPRESENTATION, |extension| {
            extension.required(choice("value", "Code"), primitive::one_of(&[("IDE", false), ("SYL", true)]))
        });
        let text = name.required("text", primitive::string);
        name.optional("use", primitive::one_of(&[("official", ()), ("usual", ())]));
        name.optional("family", primitive::string);
        name.many("given", 0..=5, primitive::string);
        let Some(syllabic) = syllabic else {
            name.fault_of("extension", "expected the representation of the name, IDE or SYL");
            return None;
        };
        let known = if syllabic { &mut kana } else { &mut kanji };
        if known.is_some() {
            name.fault("expected one name of each representation");
        }
        *known = text;
        Some(())
    });
    (kanji, kana)
}

fn write_names(kanji: Option<&String>, kana: Option<&String>) -> Value {
    let name = |code: &str, text: &String| {
        let url = system::NAME_REPRESENTATION;
        json!({ "extension": [{ "url": url, "valueCode": code }], "use": "official", "text": text })
    };
    let names = kanji.map(|text| name("IDE", text)).into_iter().chain(kana.map(|text| name("SYL", text)));
    names.collect()
}

/// The text and postal code of the only `address`. Its parts may stand beside the text, which says them all.
fn address(element: &mut Element<'_, '_>) -> Option<(Option<String>, Option<String>)> {
    element
        .each("address", 0..=1, |address| {
            let postal_code = address.optional("postalCode", postal_code);
            for part in ["state", "city", "district"] {
                address.optional(part, primitive::string);
            }
            address.many("line", 0..=5, primitive::string);
            address.optional("use", primitive::code);
            address.optional("country", primitive::exactly("JP"));
            let text = address.optional("text", primitive::string);
            if text.is_none() && (postal_code.is_none() || address.has("line") || address.has("city")) {
                address.fault_of("text", "expected the whole address as one text");
            }
            Some((text, postal_code))
        })
        .pop()
}

/// 郵便番号: `nnn-nnnn` or seven digits.
fn postal_code(json: &Json<'_>) -> Primitive<String> {
    let text = primitive::string(json)?;
    let digits =
        text.split_once('-').map_or(text.len() == 7, |(area, local)| area.len() == 3 && local.len() == 4);
    if digits && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        Ok(text)
    } else {
        Err("expected a postal code nnn-nnnn".to_owned())
    }
}

/// The telephone, fax and other contact of `telecom`, each at most once.
fn contacts(element: &mut Element<'_, '_>) -> [Option<String>; 3] {
    let mut contacts = [None, None, None];
    element.each("telecom", 0..=3, |telecom| {
        let kind = code_in(telecom, "system", &[("phone", 0_usize), ("fax", 1), ("other", 2)]);
        let value = telecom.required("value", primitive::string);
        telecom.optional("use", primitive::code);
        let contact = contacts.get_mut(kind?)?;
        if contact.is_some() {
            telecom.fault_of("system", "expected one contact of each kind");
        }
        *contact = value;
        Some(())
    });
    contacts
}

fn write_contacts(contacts: [Option<&String>; 3]) -> Value {
    let kinds = ["phone", "fax", "other"].into_iter().zip(contacts);
    kinds.filter_map(|(kind, value)| Some(json!({ "system": kind, "value": value? }))).collect()
}

/// A system that ends in the code of the institution.
fn local_system(
    prefixes: &'static [&'static str],
    code: &InstitutionCode,
) -> impl Fn(&Json<'_>) -> Primitive<()> {
    move |json| {
        let uri = primitive::uri(json)?;
        if prefixes.iter().any(|prefix| uri.strip_prefix(prefix) == Some(code.as_str())) {
            Ok(())
        } else {
            Err(format!("expected {} and the ten digits of the institution", prefixes.join(" or ")))
        }
    }
}

/// What the institution itself knows a person by.
fn local_code(
    element: &mut Element<'_, '_>,
    prefixes: &'static [&'static str],
    code: &InstitutionCode,
) -> Option<String> {
    let mut found = element.each("identifier", 0..=1, |identifier| {
        identifier.optional("use", primitive::code);
        identifier.required("system", local_system(prefixes, code));
        identifier.required("value", ascii)
    });
    found.pop()
}

/// 患者コード, 医師コード: up to 15 visible ASCII characters.
fn ascii(json: &Json<'_>) -> Primitive<String> {
    let text = primitive::string(json)?;
    if text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err("expected at most 15 ASCII characters without spaces".to_owned())
    }
}

/// Table 5, Patient.
pub(super) fn patient(entries: &Entries<'_, '_>, target: Target, code: &InstitutionCode) -> Option<Patient> {
    entries.read(target, "Patient", |patient| {
        let local = local_code(patient, &[system::PATIENT], code);
        let (name, kana) = names(patient);
        let sex = code_in(patient, "gender", GENDERS);
        let birth_date = patient.required("birthDate", primitive::date);
        let address = address(patient).and_then(|(text, _)| text);
        let [phone, _, _] = contacts(patient);
        if name.is_none() && kana.is_none() {
            patient.fault_of("name", "expected a name");
        }
        let particulars = PatientParticulars { code: local, name, kana, sex: sex?, birth_date: birth_date? };
        Some(Patient { particulars, address, phone })
    })
}

pub(super) fn write_patient(patient: &Patient, code: &InstitutionCode) -> Value {
    let particulars = &patient.particulars;
    let mut resource = json!({
        "resourceType": "Patient",
        "name": write_names(particulars.name.as_ref(), particulars.kana.as_ref()),
        "gender": system::word(GENDERS, &particulars.sex),
        "birthDate": particulars.birth_date,
    });
    if let Some(local) = &particulars.code {
        resource["identifier"] = json!([{ "system": format!("{}{code}", system::PATIENT), "value": local }]);
    }
    if let Some(address) = &patient.address {
        resource["address"] = json!([{ "text": address, "country": "JP" }]);
    }
    if patient.phone.is_some() {
        resource["telecom"] = write_contacts([patient.phone.as_ref(), None, None]);
    }
    resource
}

/// An Identifier of one system as the value of an extension.
fn identifier_of(
    element: &mut Element<'_, '_>,
    url: &'static str,
    of: crate::codec::fhir::strict::System,
) -> Option<String> {
    if !element.has_extension(url) {
        element.fault_of("extension", format!("expected the extension {url}"));
    }
    element.extension(url, |extension| {
        extension.one(choice("value", "Identifier"), |value| identifier(value, of, primitive::string))
    })
}

/// Table 11, the issuing institution.
pub(super) fn issuer(entries: &Entries<'_, '_>, target: Target) -> Option<Institution> {
    entries.read(target, "Organization", |organization| {
        let code = organization.sole("identifier", |element| {
            identifier(element, system::INSTITUTION, primitive::parsed(str::parse::<InstitutionCode>))
        });
        let parts = [
            identifier_of(organization, system::PREFECTURE_NO, system::PREFECTURE),
            identifier_of(organization, system::ORGANIZATION_CATEGORY, system::FEE_TABLE),
            identifier_of(organization, system::ORGANIZATION_NO, system::INSTITUTION_7),
        ];
        let together: Option<String> = parts.into_iter().collect();
        if let (Some(code), Some(together)) = (&code, together)
            && code.as_str() != together
        {
            organization.fault_of("identifier", "expected the ten digits that the extensions say in parts");
        }
        if let Some(code) = &code
            && !matches!(code.fee_table(), "1" | "3" | "6")
        {
            organization
                .fault_of("identifier", "expected an institution that prescribes: fee table 1, 3 or 6");
        }
        organization
            .sole("type", |kind| concept(kind, system::ORGANIZATION_TYPE, primitive::exactly("prov")));
        let name = organization.optional("name", primitive::string);
        let [phone, fax, other_contact] = contacts(organization);
        if phone.is_none() && (fax.is_some() || other_contact.is_some()) {
            organization.fault_of("telecom", "expected a telephone beside other contacts");
        }
        let (address, postal_code) = address(organization).unwrap_or_default();
        Some(Institution { code: code?, name, postal_code, address, phone, fax, other_contact })
    })
}

pub(super) fn write_issuer(institution: &Institution) -> Value {
    let code = &institution.code;
    let part = |url: &str, of: &crate::codec::fhir::strict::System, value: &str| json!({ "url": url, "valueIdentifier": { "system": of.written(), "value": value } });
    let mut resource = json!({
        "resourceType": "Organization",
        "extension": [
            part(system::PREFECTURE_NO, &system::PREFECTURE, code.prefecture()),
            part(system::ORGANIZATION_CATEGORY, &system::FEE_TABLE, code.fee_table()),
            part(system::ORGANIZATION_NO, &system::INSTITUTION_7, code.institution()),
        ],
        "identifier": [{ "system": system::INSTITUTION.written(), "value": code }],
        "type": [{ "coding": [{ "system": system::ORGANIZATION_TYPE.written(), "code": "prov" }] }],
    });
    if let Some(name) = &institution.name {
        resource["name"] = json!(name);
    }
    let contacts = [&institution.phone, &institution.fax, &institution.other_contact].map(Option::as_ref);
    if contacts.iter().any(Option::is_some) {
        resource["telecom"] = write_contacts(contacts);
    }
    if institution.address.is_some() || institution.postal_code.is_some() {
        let mut address = json!({ "country": "JP" });
        if let Some(text) = &institution.address {
            address["text"] = json!(text);
        }
        if let Some(postal_code) = &institution.postal_code {
            address["postalCode"] = json!(postal_code);
        }
        resource["address"] = json!([address]);
    }
    resource
}

/// Table 12, the department: its code stands as an identifier or as a second type.
pub(super) fn department(entries: &Entries<'_, '_>, target: Target, issuer: Target) -> Option<Department> {
    entries.read(target, "Organization", |organization| {
        let mut codes = organization
            .each("identifier", 0..=1, |element| identifier(element, system::DEPARTMENT, department_code));
        let mut departments = 0;
        organization.each("type", 1..=2, |kind| {
            let systems = [system::ORGANIZATION_TYPE, system::DEPARTMENT];
            kind.optional("text", primitive::string);
            kind.sole("coding", |element| {
                crate::codec::fhir::strict::coding_in(element, &systems, |which, json| match which {
                    0 => primitive::exactly("dept")(json).map(|()| departments += 1),
                    _ => department_code(json).map(|code| codes.push(code)),
                })
            })
        });
        if departments != 1 {
            organization.fault_of("type", "expected the type dept once");
        }
        codes.dedup();
        if codes.len() > 1 {
            organization.fault_of("type", "expected one code of the department");
        }
        let name = organization.optional("name", primitive::string);
        let part_of = entries.reference(organization, "partOf", &["Organization"]);
        if part_of.is_some_and(|target| target != issuer) {
            organization.fault_of("partOf", "expected the issuing institution");
        }
        let code = codes.pop();
        if code.is_none() && name.is_none() {
            organization.fault_of("name", "expected a name or a code");
        }
        Some(Department { code, name })
    })
}

fn department_code(json: &Json<'_>) -> Primitive<String> {
    primitive::code(json).and_then(|code| {
        let shaped = code.len() <= 6 && code.bytes().all(|byte| byte.is_ascii_graphic());
        if shaped { Ok(code) } else { Err("expected a department code of at most 6 characters".to_owned()) }
    })
}

pub(super) fn write_department(department: &Department, issuer: &str) -> Value {
    let mut resource = json!({
        "resourceType": "Organization",
        "type": [{ "coding": [{ "system": system::ORGANIZATION_TYPE.written(), "code": "dept" }] }],
        "partOf": { "reference": issuer },
    });
    if let Some(code) = &department.code {
        resource["identifier"] = json!([{ "system": system::DEPARTMENT.written(), "value": code }]);
    }
    if let Some(name) = &department.name {
        resource["name"] = json!(name);
    }
    resource
}

/// Table 13, PractitionerRole: whose role it is and where.
pub(super) fn role(entries: &Entries<'_, '_>, target: Target, organizations: &[Target]) -> Option<Target> {
    entries.read(target, "PractitionerRole", |role| {
        role.each("identifier", 0..=5, |element| {
            element.optional("use", primitive::code);
            element.optional("system", primitive::uri);
            element.required("value", primitive::string)
        });
        role.sole("code", |code| {
            concept(code, system::ROLE, primitive::one_of(&[("doctor", ()), ("dentist", ())]))
        });
        let organization = entries.reference(role, "organization", &["Organization"]);
        if organization.is_some_and(|organization| !organizations.contains(&organization)) {
            role.fault_of("organization", "expected the issuing institution or its department");
        }
        entries.reference(role, "practitioner", &["Practitioner"])
    })
}

pub(super) fn write_role(practitioner: &str, organization: &str, code: &InstitutionCode) -> Value {
    let role = if code.fee_table() == "3" { "dentist" } else { "doctor" };
    json!({
        "resourceType": "PractitionerRole",
        "practitioner": { "reference": practitioner },
        "organization": { "reference": organization },
        "code": [{ "coding": [{ "system": system::ROLE.written(), "code": role }] }],
    })
}

/// Table 14, Practitioner.
pub(super) fn practitioner(
    entries: &Entries<'_, '_>,
    target: Target,
    code: &InstitutionCode,
) -> Option<Author> {
    entries.read(target, "Practitioner", |practitioner| {
        let local = local_code(practitioner, &[system::DOCTOR, system::DENTIST], code);
        let (name, kana) = names(practitioner);
        let mut licences = practitioner.each("qualification", 0..=3, narcotics_licence);
        if name.is_none() {
            practitioner.fault_of("name", "expected the name in kanji (IDE)");
        }
        if licences.len() > 1 {
            practitioner.fault_of("qualification", "expected one narcotics licence");
        }
        let prescriber = Prescriber { code: local, kana, name: name? };
        Some(Author { prescriber, narcotics_licence: licences.pop() })
    })
}

/// 医籍登録番号 is not kept; the number of a 麻薬施用者免許 is.
fn narcotics_licence(element: &mut Element<'_, '_>) -> Option<String> {
    let narcotics = element.one("code", |code| {
        let certificates = [
            ("MedicalDoctorLicense", false),
            ("MedicalDentistLicense", false),
            ("DentistLicense", false),
            ("NarcoticsPractitioner", true),
        ];
        concept(code, system::CERTIFICATE, primitive::one_of(&certificates))
    });
    let number = element.sole("identifier", |element| {
        element.optional("use", primitive::code);
        if narcotics == Some(true) {
            element.required("system", |json| {
                let uri = primitive::uri(json)?;
                let prefecture = uri.strip_prefix(system::NARCOTICS_LICENCE).filter(|rest| rest.len() == 2);
                prefecture
                    .map(|_| ())
                    .ok_or_else(|| format!("expected {} and a prefecture", system::NARCOTICS_LICENCE))
            });
        } else {
            element.required("system", identifier_system(system::DOCTOR_REGISTRATION));
        }
        element.required("value", primitive::string)
    });
    number.filter(|_| narcotics == Some(true))
}

pub(super) fn write_practitioner(author: &Author, code: &InstitutionCode) -> Value {
    let prescriber = &author.prescriber;
    let mut resource = json!({
        "resourceType": "Practitioner",
        "name": write_names(Some(&prescriber.name), prescriber.kana.as_ref()),
    });
    if let Some(local) = &prescriber.code {
        let prefix = if code.fee_table() == "3" { system::DENTIST } else { system::DOCTOR };
        resource["identifier"] = json!([{ "system": format!("{prefix}{code}"), "value": local }]);
    }
    if let Some(licence) = &author.narcotics_licence {
        let licence_system = format!("{}{}", system::NARCOTICS_LICENCE, code.prefecture());
        resource["qualification"] = json!([{
            "identifier": [{ "system": licence_system, "value": licence }],
            "code": { "coding": [{ "system": system::CERTIFICATE.written(), "code": "NarcoticsPractitioner" }] },
        }]);
    }
    resource
}

/// Table 6, Encounter: nothing of it is kept.
pub(super) fn encounter(entries: &Entries<'_, '_>, target: Target) {
    entries.read(target, "Encounter", |encounter| {
        encounter.required("status", primitive::code);
        encounter.one("class", |class| coding(class, system::ACT_CODE, primitive::code));
        encounter.maybe("period", |period| {
            period.optional("start", primitive::date_time);
            period.optional("end", primitive::date_time)
        });
        Some(())
    });
}

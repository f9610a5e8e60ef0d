//! Who pays: the insurance and the public payers (公費), one Coverage each.

use serde_json::{Value, json};

use super::system;
use crate::codec::fhir::strict::primitive::{self, Primitive};
use crate::codec::fhir::strict::{
    Element, Entries, Json, Target, choice, code_in, concept, concept_in, identifier, identifier_system,
};
use crate::prescription::document::{
    Copayment, Insurance, InsuranceKind, InsuredIdentity, PublicPayer, Rates, Relation, SpecialPayer,
};

/// What one Coverage says.
enum Coverage {
    /// 保険.
    Insurance(Box<Insured>),
    /// 公費, with its number among them (`order`).
    Public(Option<u32>, PublicPayer),
}

struct Insured {
    copayment: Option<Copayment>,
    insurance: Insurance,
}

/// Reads the Coverages of a prescription. Without an insurance a public payer alone pays, and the patient is the
/// one entitled (本人).
pub(super) fn read(
    entries: &Entries<'_, '_>,
    coverages: &[Target],
    payers: &[Target],
    patient: Target,
) -> Option<(Option<Copayment>, Insurance)> {
    let mut used = Vec::new();
    let mut insured: Option<Insured> = None;
    let mut public: [Option<PublicPayer>; 3] = [None, None, None];
    let mut faulty = false;
    for &target in coverages {
        match coverage(entries, target, patient, &mut used) {
            None => faulty = true,
            Some(Coverage::Insurance(read)) => {
                if insured.is_some() {
                    entries.fault(target, "expected one insurance");
                }
                insured = Some(*read);
            }
            Some(Coverage::Public(order, payer)) => {
                let free = public.iter().position(Option::is_none).unwrap_or(public.len());
                let place = order.map_or(free, |order| order as usize - 1);
                match public.get_mut(place) {
                    Some(slot @ None) => *slot = Some(payer),
                    _ => {
                        entries
                            .fault(target, "expected at most three public payers, each with its own order");
                    }
                }
            }
        }
    }
    for payer in payers.iter().filter(|payer| !used.contains(payer)) {
        entries.fault(*payer, "expected only payers that a Coverage names");
    }
    if faulty {
        return None;
    }
    let Insured { copayment, mut insurance } = insured.unwrap_or_else(|| Insured {
        copayment: None,
        insurance: Insurance {
            kind: None,
            identity: InsuredIdentity::default(),
            relation: Relation::Insured,
            rates: None,
            duty_reason: None,
            public_payers: [None, None, None],
            special_payer: None,
            receipt_kind: None,
        },
    });
    insurance.public_payers = public;
    Some((copayment, insurance))
}

/// Tables 7 and 8.
fn coverage(
    entries: &Entries<'_, '_>,
    target: Target,
    patient: Target,
    used: &mut Vec<Target>,
) -> Option<Coverage> {
    entries.read(target, "Coverage", |coverage| {
        coverage.required("status", primitive::exactly("active"));
        let kind = coverage.maybe("type", |kind| {
            concept(kind, system::INSURANCE_KIND_SYSTEM, primitive::one_of(system::INSURANCE_KINDS))
        });
        let beneficiary = entries.reference(coverage, "beneficiary", &["Patient"]);
        if beneficiary.is_some_and(|beneficiary| beneficiary != patient) {
            coverage.fault_of("beneficiary", "expected the patient of the document");
        }
        coverage.maybe("period", |period| {
            period.optional("start", primitive::date_time);
            period.optional("end", primitive::date_time)
        });
        let payor = coverage.sole("payor", |payor| entries.resolve(payor, &["Organization", "Patient"]));
        if let Some(payor) = payor {
            used.push(payor);
        }
        if kind == Some(None) {
            public(entries, coverage, payor)
        } else {
            insurance(entries, coverage, kind.flatten(), payor)
        }
    })
}

/// 負担率 in percent, and 給付率 where it is not the rest.
fn rates(coverage: &mut Element<'_, '_>) -> Option<Rates> {
    let mut rates = coverage.each("costToBeneficiary", 0..=1, |cost| {
        cost.one("type", |kind| concept(kind, system::COPAY_TYPE, primitive::exactly("copaypct")));
        let benefit = cost.extension(system::BENEFIT_RATE, |extension| {
            extension.required(choice("value", "UnsignedInt"), percent)
        });
        let burden = cost.one(choice("value", "Quantity"), |quantity| {
            quantity.optional("unit", primitive::string);
            quantity.required("system", identifier_system(system::UCUM));
            code_in(quantity, "code", &[("%", ())]);
            quantity.required("value", percent)
        })?;
        Some(Rates { burden, benefit: benefit.unwrap_or(100 - burden) })
    });
    rates.pop()
}

fn percent(json: &Json<'_>) -> Primitive<u8> {
    match primitive::unsigned_int(json).map(u8::try_from) {
        Ok(Ok(percent @ ..=100)) => Ok(percent),
        _ => Err("expected a whole number from 0 to 100".to_owned()),
    }
}

fn insurance(
    entries: &Entries<'_, '_>,
    coverage: &mut Element<'_, '_>,
    kind: Option<InsuranceKind>,
    payor: Option<Target>,
) -> Option<Coverage> {
    let mut text = |url: &'static str, value: &'static str, parse: fn(&Json<'_>) -> Primitive<String>| {
        coverage.extension(url, |extension| extension.required(choice("value", value), parse))
    };
    let symbol = text(system::INSURED_SYMBOL, "String", primitive::string);
    let number = text(system::INSURED_NUMBER, "String", primitive::string);
    let branch_number = text(system::INSURED_SUB_NUMBER, "String", branch_number);
    let receipt_kind = text(system::RECEIPT_KIND, "String", |json| digits(json, 4..=4));
    let copayment = coverage.extension(system::COPAYMENT_CLASS, |extension| {
        extension.required(choice("value", "Code"), primitive::one_of(system::COPAYMENTS))
    });
    let duty_reason = coverage.extension(system::DUTY, |extension| {
        extension.required(choice("value", "Code"), primitive::one_of(system::DUTY_REASONS))
    });
    let special_payer = coverage.extension(system::SPECIAL_PAYER, |extension| {
        let mut part = |url: &'static str| {
            extension.extension(url, |part| part.required(choice("value", "String"), primitive::string))
        };
        let (payer_number, recipient_number) = (part("payer"), part("recipient"));
        if payer_number.is_none() {
            extension.fault_of("extension", "expected the number of the payer");
        }
        Some(SpecialPayer { payer_number: payer_number?, recipient_number })
    });
    let dependent = coverage.optional("dependent", primitive::string);
    if dependent.is_some() && dependent != branch_number {
        coverage.fault_of("dependent", "expected the branch number of the extension");
    }
    let relation = coverage.one("relationship", |relation| {
        concept(relation, system::RELATION_SYSTEM, primitive::one_of(system::RELATIONS))
    });
    let rates = rates(coverage);
    let insurer_number = payor
        .filter(|payor| entries.kind(*payor) == "Organization")
        .and_then(|payor| payer(entries, payor, system::INSURER, "ins", 1..=8));
    Some(Coverage::Insurance(Box::new(Insured {
        copayment,
        insurance: Insurance {
            kind,
            identity: InsuredIdentity { insurer_number, symbol, number, branch_number },
            relation: relation?,
            rates,
            duty_reason,
            public_payers: [None, None, None],
            special_payer,
            receipt_kind,
        },
    })))
}

fn public(
    entries: &Entries<'_, '_>,
    coverage: &mut Element<'_, '_>,
    payor: Option<Target>,
) -> Option<Coverage> {
    let order = coverage.optional("order", |json| match primitive::positive_int(json) {
        Ok(order @ 1..=3) => Ok(order),
        _ => Err("expected the number of the public payer, 1 to 3".to_owned()),
    });
    let recipient_number = coverage.optional("subscriberId", |json| digits(json, 7..=7));
    rates(coverage);
    let payor = payor?;
    if entries.kind(payor) != "Organization" {
        coverage.fault_of("payor", "expected an Organization");
        return None;
    }
    let payer_number = payer(entries, payor, system::PUBLIC_PAYER, "other", 8..=8)?;
    Some(Coverage::Public(order, PublicPayer { payer_number, recipient_number }))
}

/// Table 9: the number of a payer.
fn payer(
    entries: &Entries<'_, '_>,
    target: Target,
    of: crate::codec::fhir::strict::System,
    kind: &'static str,
    lengths: std::ops::RangeInclusive<usize>,
) -> Option<String> {
    entries.read(target, "Organization", |organization| {
        organization.optional("name", primitive::string);
        organization.sole("type", |element| {
            let kinds = [(kind, ()), ("pay", ()), ("govt", ())];
            concept_in(element, &[system::ORGANIZATION_TYPE], |_, json| primitive::one_of(&kinds)(json))
        });
        organization
            .sole("identifier", |element| identifier(element, of, |json| digits(json, lengths.clone())))
    })
}

fn digits(json: &Json<'_>, lengths: std::ops::RangeInclusive<usize>) -> Primitive<String> {
    let text = primitive::string(json)?;
    if lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    match (lengths.start(), lengths.end()) {
        (least, most) if least == most => Err(format!("expected {most} digits")),
        (least, most) => Err(format!("expected {least} to {most} digits")),
    }
}

/// 枝番.
fn branch_number(json: &Json<'_>) -> Primitive<String> {
    let text = primitive::string(json)?;
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text)
    } else {
        Err("expected two digits or letters".to_owned())
    }
}

/// The resources of the insurance: each Coverage and after it its payer. `url` gives the next resource's URL.
pub(super) fn write(
    copayment: Option<Copayment>,
    insurance: &Insurance,
    patient: &str,
    mut url: impl FnMut() -> String,
) -> Vec<(String, Value)> {
    let mut resources = Vec::new();
    let coverage_url = url();
    let mut coverage = write_insurance(copayment, insurance, patient);
    let mut add = |coverage_url: String, mut coverage: Value, payer: Option<(String, Value)>| {
        let payor = payer.as_ref().map_or(patient, |(url, _)| url.as_str());
        coverage["payor"] = json!([{ "reference": payor }]);
        resources.push((coverage_url, coverage));
        resources.extend(payer);
    };
    let organization = |of: crate::codec::fhir::strict::System, kind: &str, number: &String| {
        json!({
            "resourceType": "Organization",
            "identifier": [{ "system": of.written(), "value": number }],
            "type": [{ "coding": [{ "system": system::ORGANIZATION_TYPE.written(), "code": kind }] }],
        })
    };
    let insurer = insurance.identity.insurer_number.as_ref();
    let insurer = insurer.map(|number| (url(), organization(system::INSURER, "ins", number)));
    add(coverage_url, coverage.take(), insurer);
    for (order, payer) in (1..).zip(&insurance.public_payers) {
        let Some(payer) = payer else { continue };
        let coverage_url = url();
        let mut coverage = json!({
            "resourceType": "Coverage",
            "status": "active",
            "type": { "coding": [{ "system": system::INSURANCE_KIND_SYSTEM.written(), "code": "8" }] },
            "beneficiary": { "reference": patient },
            "order": order,
        });
        if let Some(recipient) = &payer.recipient_number {
            coverage["subscriberId"] = json!(recipient);
        }
        let payer = (url(), organization(system::PUBLIC_PAYER, "other", &payer.payer_number));
        add(coverage_url, coverage, Some(payer));
    }
    resources
}

fn write_insurance(copayment: Option<Copayment>, insurance: &Insurance, patient: &str) -> Value {
    let identity = &insurance.identity;
    let mut extensions = Vec::new();
    let mut extend = |url: &str, kind: &str, value: Option<&str>| {
        if let Some(value) = value {
            extensions.push(json!({ "url": url, kind: value }));
        }
    };
    extend(system::INSURED_SYMBOL, "valueString", identity.symbol.as_deref());
    extend(system::INSURED_NUMBER, "valueString", identity.number.as_deref());
    extend(system::INSURED_SUB_NUMBER, "valueString", identity.branch_number.as_deref());
    extend(system::RECEIPT_KIND, "valueString", insurance.receipt_kind.as_deref());
    let copayment = copayment.map(|copayment| system::word(system::COPAYMENTS, &copayment));
    extend(system::COPAYMENT_CLASS, "valueCode", copayment);
    let duty = insurance.duty_reason.map(|reason| system::word(system::DUTY_REASONS, &reason));
    extend(system::DUTY, "valueCode", duty);
    if let Some(special) = &insurance.special_payer {
        let mut parts = vec![json!({ "url": "payer", "valueString": special.payer_number })];
        if let Some(recipient) = &special.recipient_number {
            parts.push(json!({ "url": "recipient", "valueString": recipient }));
        }
        extensions.push(json!({ "url": system::SPECIAL_PAYER, "extension": parts }));
    }
    let relation = system::word(system::RELATIONS, &insurance.relation);
    let mut coverage = json!({
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": { "reference": patient },
        "relationship": { "coding": [{ "system": system::RELATION_SYSTEM.written(), "code": relation }] },
    });
    if !extensions.is_empty() {
        coverage["extension"] = Value::Array(extensions);
    }
    if insurance.kind.is_some() {
        let code = system::word(system::INSURANCE_KINDS, &insurance.kind);
        coverage["type"] =
            json!({ "coding": [{ "system": system::INSURANCE_KIND_SYSTEM.written(), "code": code }] });
    }
    if let Some(rates) = insurance.rates {
        let mut cost = json!({
            "type": { "coding": [{ "system": system::COPAY_TYPE.written(), "code": "copaypct" }] },
            "valueQuantity": { "value": rates.burden, "unit": "%", "system": system::UCUM.written(), "code": "%" },
        });
        if u16::from(rates.benefit) + u16::from(rates.burden) != 100 {
            cost["extension"] = json!([{ "url": system::BENEFIT_RATE, "valueUnsignedInt": rates.benefit }]);
        }
        coverage["costToBeneficiary"] = json!([cost]);
    }
    coverage
}

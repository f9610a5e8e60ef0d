//! 薬品補足: substitution, preparation and notes of one drug, each where FHIR has a place for it.

use serde_json::{Value, json};

use super::sequence::{self, Numbered};
use super::system;
use crate::codec::fhir::strict::primitive::{self};
use crate::codec::fhir::strict::{Element, choice, concept};
use crate::prescription::line::{DrugSupplement, DrugSupplementKind};

/// Kind, text and code.
pub(super) type Said = (Option<DrugSupplementKind>, String, Option<String>);

/// What is said of a kind that came without words.
fn words(kind: DrugSupplementKind) -> &'static str {
    match kind {
        DrugSupplementKind::OneDosePackage => "一包化",
        DrugSupplementKind::Crushing => "粉砕",
        DrugSupplementKind::NoGeneric => "後発品変更不可",
        DrugSupplementKind::NoOtherForm => "剤形変更不可",
        DrugSupplementKind::NoOtherStrength => "含量規格変更不可",
        DrugSupplementKind::NoOtherFormOrStrength => "剤形変更不可及び含量規格変更不可",
        DrugSupplementKind::CodedUsage => "補足用法",
        DrugSupplementKind::PatientWantsBrand => "先発医薬品患者希望",
    }
}

/// `substitution`, `note` and our extension of a request.
pub(super) fn read(request: &mut Element<'_, '_>, said: &mut Numbered<Said>) {
    request.maybe("substitution", |substitution| {
        let kind = substitution.one(choice("allowed", "CodeableConcept"), |allowed| {
            concept(allowed, system::SUBSTITUTION_SYSTEM, primitive::one_of(system::SUBSTITUTIONS))
        });
        let number = sequence::read(substitution);
        let reason = substitution.maybe("reason", |reason| reason.required("text", primitive::string));
        match kind? {
            Some(kind) => {
                let text = reason.unwrap_or_else(|| words(kind).to_owned());
                said.push(substitution, number, (Some(kind), text, None));
            }
            None if reason.is_some() => {
                substitution.fault_of("reason", "expected no reason where substitution is allowed");
            }
            None => {}
        }
        Some(())
    });
    request.each("note", 0..=99, |note| {
        let number = sequence::read(note);
        note.optional("time", primitive::date_time);
        let text = note.required("text", primitive::string)?;
        said.push(note, number, (None, text, None));
        Some(())
    });
    request.extensions(system::DRUG_SUPPLEMENT, |extension| {
        let number = sequence::read(extension);
        let kind = extension.extension("kind", |part| {
            part.required(choice("value", "Code"), primitive::one_of(system::DRUG_SUPPLEMENTS))
        });
        let text =
            extension.extension("text", |part| part.required(choice("value", "String"), primitive::string));
        let code = extension
            .extension("code", |part| part.required(choice("value", "Code"), super::dosage::additional_code));
        if text.is_none() {
            extension.fault_of("extension", "expected the supplement in words");
        }
        if kind == Some(DrugSupplementKind::CodedUsage) && code.is_none() {
            extension.fault_of("extension", "expected the code that the kind of the supplement promises");
        }
        said.push(extension, number, (kind, text?, code));
        Some(())
    });
}

/// `InstructionForDispense` of a `dispenseRequest`.
pub(super) fn read_instructions(supply: &mut Element<'_, '_>, said: &mut Numbered<Said>) {
    supply.extensions(system::INSTRUCTION_FOR_DISPENSE, |extension| {
        if extension.has(choice("value", "String")) {
            let text = extension.required(choice("value", "String"), primitive::string)?;
            said.push(extension, None, (None, text, None));
            return Some(());
        }
        extension.one(choice("value", "CodeableConcept"), |instruction| {
            let number = sequence::read(instruction);
            let text = instruction.optional("text", primitive::string);
            let (kind, display) = instruction.sole("coding", |coding| {
                let display = coding.optional("display", primitive::string);
                let kind = crate::codec::fhir::strict::coding(
                    coding,
                    system::PREPARATION_SYSTEM,
                    primitive::one_of(system::PREPARATIONS),
                )?;
                Some((kind, display))
            })?;
            let Some(text) = text.or(display).or_else(|| kind.map(|kind| words(kind).to_owned())) else {
                instruction.fault_of("text", "expected the instruction in words");
                return None;
            };
            said.push(instruction, number, (kind, text, None));
            Some(())
        })
    });
}

/// Writes the supplements of a drug into its request: each to its own place, and to our extension what has none.
pub(super) fn write(supplements: &[DrugSupplement], request: &mut Value) {
    let mut substitution = None;
    let (mut notes, mut instructions, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for supplement in supplements {
        let sequence = sequence::write(supplement.number);
        let DrugSupplement { kind, text, code, .. } = supplement;
        let substituted = kind.and_then(|kind| code_of(system::SUBSTITUTIONS, kind));
        let prepared = kind.and_then(|kind| code_of(system::PREPARATIONS, kind));
        match (substituted, prepared) {
            (Some(allowed), _) if substitution.is_none() && code.is_none() => {
                substitution = Some(json!({
                    "extension": [sequence],
                    "allowedCodeableConcept": {
                        "coding": [{ "system": system::SUBSTITUTION_SYSTEM.written(), "code": allowed }],
                    },
                    "reason": { "text": text },
                }));
            }
            (_, Some(prepared)) if code.is_none() => instructions.push(json!({
                "url": system::INSTRUCTION_FOR_DISPENSE,
                "valueCodeableConcept": {
                    "extension": [sequence],
                    "coding": [{ "system": system::PREPARATION_SYSTEM.written(), "code": prepared }],
                    "text": text,
                },
            })),
            _ if kind.is_none() && code.is_none() => {
                notes.push(json!({ "extension": [sequence], "text": text }));
            }
            _ => {
                let mut parts = vec![sequence];
                parts.extend(kind.map(|kind| {
                    json!({ "url": "kind", "valueCode": system::word(system::DRUG_SUPPLEMENTS, &kind) })
                }));
                parts.push(json!({ "url": "text", "valueString": text }));
                parts.extend(code.as_ref().map(|code| json!({ "url": "code", "valueCode": code })));
                others.push(json!({ "url": system::DRUG_SUPPLEMENT, "extension": parts }));
            }
        }
    }
    request["substitution"] = substitution.unwrap_or_else(|| {
        json!({ "allowedCodeableConcept": {
            "coding": [{ "system": system::SUBSTITUTION_SYSTEM.written(), "code": "0" }],
        }})
    });
    if !notes.is_empty() {
        request["note"] = Value::Array(notes);
    }
    super::extend(&mut request["dispenseRequest"], instructions);
    super::extend(request, others);
}

/// The code of a kind in a table that has some kinds only.
fn code_of(
    table: system::Words<Option<DrugSupplementKind>>,
    kind: DrugSupplementKind,
) -> Option<&'static str> {
    table.iter().find(|(_, entry)| *entry == Some(kind)).map(|(code, _)| *code)
}

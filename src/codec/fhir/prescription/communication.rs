//! What is said to the pharmacist beside the drugs, one Communication each: remarks, the leftover-medicine request,
//! clinical information and laboratory values.

use serde_json::{Value, json};

use super::sequence::{self, Numbered};
use super::system;
use crate::codec::fhir::strict::primitive::{self};
use crate::codec::fhir::strict::{Entries, Target, choice, concept};
use crate::prescription::document::{
    ClinicalNote, LaboratoryValue, Prescription, RemainingMedicine, Remark, RemarkKind,
};

/// All that the Communications of a prescription say.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub remarks: Vec<Remark>,
    pub remaining_medicine: Option<RemainingMedicine>,
    pub clinical_notes: Vec<ClinicalNote>,
    pub laboratory_values: Vec<LaboratoryValue>,
}

/// 処方箋備考区分.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    /// 1 処方箋備考, 2 調剤者への指示.
    Remark,
    /// 3 残薬確認指示.
    RemainingMedicine,
}

/// What a remark is that SJ1 keeps in records of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoteKind {
    ClinicalInformation,
    LaboratoryValue,
}

const CATEGORIES: &[(&str, Category)] =
    &[("1", Category::Remark), ("2", Category::Remark), ("3", Category::RemainingMedicine)];
const NOTE_KINDS: &[(&str, NoteKind)] = &[
    ("clinical-information", NoteKind::ClinicalInformation),
    ("laboratory-value", NoteKind::LaboratoryValue),
];

/// Reads the Communications in the order of the section.
pub(super) fn read(entries: &Entries<'_, '_>, targets: &[Target], patient: Target) -> Said {
    let mut said = Said::default();
    let mut remarks: Numbered<(Option<RemarkKind>, String)> = Numbered::default();
    let mut notes: Numbered<(Option<String>, String)> = Numbered::default();
    let mut values: Numbered<String> = Numbered::default();
    let mut requested = false;
    for &target in targets {
        entries.read(target, "Communication", |communication| {
            communication.required("status", primitive::exactly("completed"));
            let subject = entries.maybe_reference(communication, "subject", &["Patient"]);
            if subject.is_some_and(|subject| subject != patient) {
                communication.fault_of("subject", "expected the patient of the document");
            }
            let category = communication.sole("category", |category| {
                concept(category, system::COMMUNICATION, primitive::one_of(CATEGORIES))
            });
            if !communication.has_extension(system::COMMUNICATION_CONTENT) {
                communication.fault_of("extension", "expected the content of the communication");
            }
            if category == Some(Category::RemainingMedicine) {
                let request = communication.extension(system::COMMUNICATION_CONTENT, |content| {
                    content.one(choice("value", "CodeableConcept"), |request| {
                        concept(request, system::REMAINING_SYSTEM, primitive::one_of(system::REMAINING))
                    })
                });
                if requested {
                    communication.fault("expected one request about leftover medicine");
                }
                requested = true;
                said.remaining_medicine = request.flatten();
                return Some(());
            }
            let text = communication.extension(system::COMMUNICATION_CONTENT, |content| {
                content.required(choice("value", "String"), primitive::string)
            });
            let number = sequence::read(communication);
            let note = communication.extension(system::NOTE_KIND, |extension| {
                extension.required(choice("value", "Code"), primitive::one_of(NOTE_KINDS))
            });
            match note {
                None => {
                    let kind = communication.extension(system::REMARK_KIND, |extension| {
                        extension.required(choice("value", "Code"), primitive::one_of(system::REMARK_KINDS))
                    });
                    remarks.push(communication, number, (kind, text?));
                }
                Some(NoteKind::ClinicalInformation) => {
                    let drug = communication.extension(system::DRUG_NAME, |extension| {
                        extension.required(choice("value", "String"), primitive::string)
                    });
                    notes.push(communication, number, (drug, text?));
                }
                Some(NoteKind::LaboratoryValue) => values.push(communication, number, text?),
            }
            Some(())
        });
    }
    said.remarks = remarks.numbered(|number, (kind, text)| Remark { number, kind, text });
    said.clinical_notes =
        notes.numbered(|number, (drug_name, comment)| ClinicalNote { number, drug_name, comment });
    said.laboratory_values = values.numbered(|number, text| LaboratoryValue { number, text });
    said
}

fn write_one(category: &str, patient: &str, mut extensions: Vec<Value>, content: (&str, Value)) -> Value {
    let (kind, content) = content;
    extensions.insert(0, json!({ "url": system::COMMUNICATION_CONTENT, kind: content }));
    json!({
        "resourceType": "Communication",
        "extension": extensions,
        "status": "completed",
        "category": [{ "coding": [{ "system": system::COMMUNICATION.written(), "code": category }] }],
        "subject": { "reference": patient },
    })
}

/// The Communications of a prescription.
pub(super) fn write(prescription: &Prescription, patient: &str) -> Vec<Value> {
    let text = |text: &String| ("valueString", json!(text));
    let code = |url: &str, code: &str| json!({ "url": url, "valueCode": code });
    let mut written = Vec::new();
    if prescription.remaining_medicine.is_some() {
        let request = system::word(system::REMAINING, &prescription.remaining_medicine);
        let concept =
            json!({ "coding": [{ "system": system::REMAINING_SYSTEM.written(), "code": request }] });
        written.push(write_one("3", patient, Vec::new(), ("valueCodeableConcept", concept)));
    }
    for remark in &prescription.remarks {
        let mut extensions = vec![sequence::write(remark.number)];
        extensions.extend(
            remark.kind.map(|kind| code(system::REMARK_KIND, system::word(system::REMARK_KINDS, &kind))),
        );
        written.push(write_one("1", patient, extensions, text(&remark.text)));
    }
    let note = |number, kind| {
        vec![sequence::write(number), code(system::NOTE_KIND, system::word(NOTE_KINDS, &kind))]
    };
    for information in &prescription.clinical_notes {
        let mut extensions = note(information.number, NoteKind::ClinicalInformation);
        extensions.extend(
            information
                .drug_name
                .as_ref()
                .map(|name| json!({ "url": system::DRUG_NAME, "valueString": name })),
        );
        written.push(write_one("1", patient, extensions, text(&information.comment)));
    }
    for value in &prescription.laboratory_values {
        let extensions = note(value.number, NoteKind::LaboratoryValue);
        written.push(write_one("1", patient, extensions, text(&value.text)));
    }
    written
}

//! MedicationRequest, writing: one drug line with what its RP group says.

use serde_json::{Value, json};

use super::dosage::{self, Written};
use super::request::by_day;
use super::{extend, quantity, supplement, system};
use crate::codec::fhir::drug;
use crate::prescription::document::Refill;
use crate::prescription::identifier::DrugCode;
use crate::prescription::line::{DosageKind, Line, RpGroup};

/// The request of a line.
pub(super) fn write(
    group: &RpGroup,
    line: &Line,
    refill: Option<Refill>,
    patient: &str,
    authored_on: &str,
) -> Value {
    let mut request = json!({
        "resourceType": "MedicationRequest",
        "identifier": [
            { "system": system::RP_NUMBER.written(), "value": group.number.to_string() },
            { "system": system::LINE_NUMBER.written(), "value": line.number.to_string() },
        ],
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": medication(line),
        "subject": { "reference": patient },
        "authoredOn": authored_on,
        "dosageInstruction": [dosage::write(&instruction(group, line))],
        "dispenseRequest": supply(group, line, refill),
    });
    extend(&mut request, extensions(group, line));
    supplement::write(&line.supplements, &mut request);
    request
}

fn medication(line: &Line) -> Value {
    let code = line.code.as_ref();
    let name = line.name.as_deref().or_else(|| code.map(DrugCode::as_str)).unwrap_or_default();
    let mut concept = drug::concept(code, name);
    let mut extensions = Vec::new();
    if line.name.is_none() {
        extensions.push(json!({ "url": system::NAMED_BY_CODE, "valueBoolean": true }));
    }
    if line.uncoded_generic {
        extensions.push(json!({ "url": system::GENERIC_NAME, "valueBoolean": true }));
    }
    extend(&mut concept, extensions);
    concept
}

fn extensions(group: &RpGroup, line: &Line) -> Vec<Value> {
    let mut form = json!({ "coding": [{
        "system": system::FORM_SYSTEM.written(),
        "code": system::word(system::FORMS, &group.kind),
    }]});
    if let Some(name) = &group.kind_name {
        form["text"] = json!(name);
    }
    let mut extensions = vec![json!({ "url": system::DOSAGE_FORM, "valueCodeableConcept": form })];
    extensions.extend(line.class.map(|class| {
        json!({ "url": system::INFORMATION_CLASS, "valueCode": system::word(system::CLASSES, &class) })
    }));
    extensions.extend(line.conversion.as_ref().map(|factor| {
        json!({ "url": system::UNIT_CONVERSION, "valueDecimal": quantity::number(factor.hundred_thousandths()) })
    }));
    extensions.extend(line.burden.map(|burden| {
        let [first, second, third] = burden.public;
        let borne = system::BURDENS.into_iter().zip([first, second, third, burden.special]);
        let parts: Vec<Value> =
            borne.map(|(url, borne)| json!({ "url": url, "valueBoolean": borne })).collect();
        json!({ "url": system::PAYER_BURDEN, "extension": parts })
    }));
    extensions
}

fn instruction<'p>(group: &'p RpGroup, line: &'p Line) -> Written<'p> {
    let scaled = line.amount.hundred_thousandths();
    let amount = if by_day(group.kind) {
        Some((dosage::PER_DAY, dosage::write_per_day(scaled, &line.unit)))
    } else if group.kind == DosageKind::AsNeeded {
        Some((dosage::PER_DOSE, quantity::write(scaled, &line.unit)))
    } else {
        None
    };
    Written {
        usage: &group.usage,
        supplements: &group.supplements,
        as_needed: group.kind == DosageKind::AsNeeded,
        potency: line.potency,
        amount,
        single_dose: line.single_dose.as_ref(),
        uneven_doses: &line.uneven_doses,
    }
}

fn supply(group: &RpGroup, line: &Line, refill: Option<Refill>) -> Value {
    let count = group.split_quantity.unwrap_or(group.quantity);
    let total = line.amount.hundred_thousandths() * u64::from(count);
    let mut supply = json!({ "quantity": quantity::write(total, &line.unit) });
    let mut extensions = Vec::new();
    match group.kind {
        kind if by_day(kind) => supply["expectedSupplyDuration"] = quantity::write_days(count),
        DosageKind::AsNeeded => {
            extensions.push(json!({ "url": system::EXPECTED_REPEAT_COUNT, "valueInteger": count }));
        }
        _ => extensions.push(json!({ "url": system::DISPENSE_COUNT, "valuePositiveInt": count })),
    }
    if group.split_quantity.is_some() {
        extensions.push(json!({ "url": system::SPLIT_TOTAL, "valuePositiveInt": group.quantity }));
    }
    if let Some(refill) = refill {
        supply["numberOfRepeatsAllowed"] = json!(refill.uses.saturating_sub(1));
    }
    extend(&mut supply, extensions);
    supply
}

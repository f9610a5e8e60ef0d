//! One `MedicationDispense` a drug line (JP Core), and the lines put together into groups again. What a group says once
//! each of its lines says.

use chrono::NaiveDate;
use uuid::Uuid;

use super::amount;
use super::code::{
    FORM, FORM_EXTENSION, FORM_SYSTEM, NOTE_CAUTION, ORDER_IN_RP, PRESCRIPTION_ID, RP_NUMBER, SUPPLY,
    SUPPLY_UNIT, UCUM, USAGE, USAGE_CAUTION,
};
use super::reading::{MANY, text, value_text};
use crate::codec::fhir::drug::drug_code;
use crate::codec::fhir::strict::{
    Element, Entries, Json, Place, Target, choice, coding, concept_in, primitive,
};
use crate::prescription::amount::Amount;
use crate::prescription::dispensing::{DispensedForm, DispensedGroup, DispensedLine, LineNote, SupplyUnit};
use crate::prescription::identifier::DrugCode;
use crate::prescription::line::UsageCoding;
use crate::prescription::usage::UsageCode;

/// What one line says.
pub(super) struct ReadLine {
    /// RP内連番.
    order: u16,
    prescription_id: Option<Uuid>,
    /// The group it says to be of, with this line alone.
    group: DispensedGroup,
}

/// What the lines say together.
pub(super) struct Lines {
    pub groups: Vec<DispensedGroup>,
    pub prescription_id: Option<Uuid>,
}

pub(super) fn line<'d, 's>(
    element: &mut Element<'d, 's>,
    entries: &Entries<'d, 's>,
    patient: Target,
    pharmacist: Target,
    dispensed_on: NaiveDate,
) -> Option<ReadLine> {
    let identifiers = identifiers(element);
    element.required("status", primitive::exactly("completed"));
    let medicine = element.one(choice("medication", "CodeableConcept"), medicine);
    if entries.reference(element, "subject", &["Patient"]).is_some_and(|target| target != patient) {
        element.fault_of("subject", "expected the patient of the Composition");
    }
    element.sole("performer", |performer| {
        if entries.reference(performer, "actor", &["Practitioner"]).is_some_and(|target| target != pharmacist)
        {
            performer.fault_of("actor", "expected the Practitioner that is author of the Composition");
        }
        Some(())
    });
    if element.required("whenHandedOver", primitive::date).is_some_and(|day| day != dispensed_on) {
        element.fault_of("whenHandedOver", "expected the day of the dispensing, event.period.start");
    }
    let form = element.extension(FORM_EXTENSION, |form| {
        form.one(choice("value", "Coding"), |form| coding(form, FORM_SYSTEM, primitive::one_of(FORM)))
    });
    if !element.has_extension(FORM_EXTENSION) {
        element.fault_of("extension", format!("expected the extension {FORM_EXTENSION}, it is missing"));
    }
    let supply = supply(element);
    let dosage = if element.has("dosageInstruction") || needs_usage(form) {
        element.sole("dosageInstruction", |dosage| self::dosage(dosage, form, supply))
    } else {
        Some(Dosage::default())
    };
    let (total, unit) = element.one("quantity", quantity).unzip();
    let notes = element.each("note", 0..=MANY, |note| {
        let caution = note
            .extension(NOTE_CAUTION, |flag| flag.required(choice("value", "Boolean"), primitive::boolean));
        let text = note.required("text", text)?;
        Some(if caution == Some(true) { LineNote::Caution(text) } else { LineNote::Supplement(text) })
    });
    let (supply_quantity, supply_unit) = supply?;
    let dosage = dosage?;
    let (total, unit) = (total?, unit?);
    let amount = amount_of(element, total, supply_quantity, dosage.dose.as_ref(), &unit)?;
    let (code, name) = medicine?;
    let Identifiers { number, order, prescription_id } = identifiers?;
    Some(ReadLine {
        order,
        prescription_id,
        group: DispensedGroup {
            number,
            lines: vec![DispensedLine { name, amount, unit, code, notes }],
            usage_name: dosage.name,
            usage_code: dosage.code,
            quantity: supply_quantity,
            unit: supply_unit,
            form: form?,
            usage_supplements: dosage.supplements,
            usage_cautions: dosage.cautions,
        },
    })
}

/// RP番号, RP内連番 and 処方箋ID (JP Core `rpNumber`, `orderInRp`, `requestIdentifier`).
struct Identifiers {
    number: u16,
    order: u16,
    prescription_id: Option<Uuid>,
}

fn identifiers(element: &mut Element<'_, '_>) -> Option<Identifiers> {
    let (mut numbers, mut orders, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    element.each("identifier", 2..=3, |identifier| {
        let system = identifier.required("system", primitive::uri)?;
        let taken = if RP_NUMBER.is(&system) {
            numbers.push(identifier.required("value", primitive::parsed(|text| small(text, 999))));
            numbers.len()
        } else if ORDER_IN_RP.is(&system) {
            orders.push(identifier.required("value", primitive::parsed(|text| small(text, 99))));
            orders.len()
        } else if PRESCRIPTION_ID.is(&system) {
            ids.push(identifier.required("value", primitive::parsed(prescription_id)));
            ids.len()
        } else {
            identifier.optional("value", primitive::string);
            identifier
                .fault_of("system", "expected the RP number, the order within it, or the prescription id");
            0
        };
        if taken > 1 {
            identifier.fault_of("system", "expected each identifier once");
        }
        Some(())
    });
    if element.has("identifier") && (numbers.is_empty() || orders.is_empty()) {
        element.fault_of("identifier", "expected the RP number and the order within it");
    }
    let prescription_id = match ids.pop() {
        None => None,
        Some(id) => Some(id?),
    };
    Some(Identifiers { number: numbers.pop()??, order: orders.pop()??, prescription_id })
}

fn small(text: &str, most: u16) -> Result<u16, String> {
    let shaped = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let number = text.parse().ok().filter(|number| shaped && *number <= most);
    number.ok_or_else(|| format!("expected a number from 1 to {most}"))
}

fn prescription_id(text: &str) -> Result<Uuid, &'static str> {
    let id = Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text);
    id.ok_or("expected a prescription id, 36 characters in lower case")
}

/// The product that was given, never a generic name.
fn medicine(concept: &mut Element<'_, '_>) -> Option<(Option<DrugCode>, String)> {
    let mut codes = concept.each("coding", 0..=1, |coding| {
        let system = coding.required("system", primitive::uri);
        coding.optional("version", primitive::string);
        coding.optional("display", primitive::string);
        coding.required(
            "code",
            primitive::parsed(|code| {
                let read = drug_code(system.as_deref().unwrap_or_default(), code);
                read.filter(|code| !matches!(code, DrugCode::Generic(_)))
                    .ok_or("expected a product's code in a system of receipt, price, YJ or HOT codes")
            }),
        )
    });
    let name = concept.required("text", text);
    Some((codes.pop(), name?))
}

/// 調剤数量 with its unit: `daysSupply`, or the extension where there are no days.
fn supply(element: &mut Element<'_, '_>) -> Option<(u16, SupplyUnit)> {
    let count = |json: &Json<'_>| {
        let count = primitive::positive_int(json)?;
        u16::try_from(count)
            .ok()
            .filter(|count| *count <= 999)
            .ok_or("expected a number from 1 to 999".to_owned())
    };
    let days = element.maybe("daysSupply", |days| {
        days.optional("unit", primitive::exactly("日"));
        days.required("system", primitive::exactly(UCUM.written()));
        days.required("code", primitive::exactly("d"));
        days.required("value", count)
    });
    let other = element.extension(SUPPLY, |supply| {
        let unit = supply
            .extension("unit", |unit| unit.required(choice("value", "Code"), primitive::one_of(SUPPLY_UNIT)));
        let quantity =
            supply.extension("quantity", |quantity| quantity.required(choice("value", "PositiveInt"), count));
        if unit.is_none() || quantity.is_none() {
            supply.fault("expected a quantity and its unit");
        }
        Some((quantity?, unit?))
    });
    match (element.has("daysSupply"), element.has_extension(SUPPLY)) {
        (true, true) => {
            element.fault_of("daysSupply", "expected days, or times or preparations, not both");
            return None;
        }
        (false, false) => element.fault_of("daysSupply", "expected daysSupply, it is missing"),
        _ => {}
    }
    days.map(|days| (days, SupplyUnit::Days)).or(other)
}

/// What a `dosageInstruction` says; the default is what none says.
struct Dosage {
    name: Option<String>,
    code: UsageCoding,
    supplements: Vec<String>,
    cautions: Vec<String>,
    /// 用量 of a day or of one time, in hundred-thousandths, with its unit and its place.
    dose: Option<(u64, String, Place)>,
}

impl Default for Dosage {
    fn default() -> Self {
        Self {
            name: None,
            code: UsageCoding::Uncoded,
            supplements: Vec::new(),
            cautions: Vec::new(),
            dose: None,
        }
    }
}

/// Only materials and others go without a usage.
fn needs_usage(form: Option<DispensedForm>) -> bool {
    !matches!(form, Some(DispensedForm::Material | DispensedForm::Other) | None)
}

fn dosage(
    dosage: &mut Element<'_, '_>,
    form: Option<DispensedForm>,
    supply: Option<(u16, SupplyUnit)>,
) -> Option<Dosage> {
    let name = dosage.optional("text", text);
    if needs_usage(form) && !dosage.has("text") {
        dosage.fault_of("text", "expected text, it is missing");
    }
    let code = dosage.maybe("timing", |timing| {
        timing.one("code", |code| {
            concept_in(code, &USAGE, |system, json| {
                let code = primitive::parsed(str::parse::<UsageCode>)(json)?;
                Ok(if system == 0 { UsageCoding::Jami(code) } else { UsageCoding::Master(code) })
            })
        })
    });
    let code = if dosage.has("timing") { code } else { Some(UsageCoding::Uncoded) };
    let as_needed = dosage.optional(choice("asNeeded", "Boolean"), primitive::boolean);
    if form.is_some_and(|form| (form == DispensedForm::AsNeeded) != (as_needed == Some(true))) {
        dosage.fault_of("asNeeded", "expected it to be true for the form 3 (as needed) and for no other");
    }
    let supplements = dosage.each("additionalInstruction", 0..=MANY, |more| more.required("text", text));
    let cautions = dosage.extensions(USAGE_CAUTION, value_text);
    let mut dose = dosage.each("doseAndRate", 0..=1, |dose| {
        let place = dose.place().clone();
        let (amount, unit) = match supply.map(|(_, unit)| unit) {
            Some(SupplyUnit::Days) => dose.one(choice("rate", "Ratio"), daily)?,
            Some(SupplyUnit::Times | SupplyUnit::Preparations) => {
                dose.one(choice("dose", "Quantity"), quantity)?
            }
            // Which of the two it must be is not known; what it says can be read all the same.
            None => {
                let dose_quantity = dose.maybe(choice("dose", "Quantity"), quantity);
                dose.maybe(choice("rate", "Ratio"), daily).or(dose_quantity)?
            }
        };
        Some((amount, unit, place))
    });
    Some(Dosage { name, code: code?, supplements, cautions, dose: dose.pop() })
}

/// So much a day.
fn daily(ratio: &mut Element<'_, '_>) -> Option<(u64, String)> {
    let amount = ratio.one("numerator", quantity);
    ratio.one("denominator", |day| {
        day.required("value", |json| match primitive::positive_int(json) {
            Ok(1) => Ok(()),
            _ => Err("expected 1"),
        });
        day.optional("unit", primitive::exactly("日"));
        day.required("system", primitive::exactly(UCUM.written()));
        day.required("code", primitive::exactly("d"))
    });
    amount
}

/// An amount in hundred-thousandths and its unit as written.
fn quantity(element: &mut Element<'_, '_>) -> Option<(u64, String)> {
    let value = element.required("value", amount::hundred_thousandths);
    let unit = element.required("unit", text);
    Some((value?, unit?))
}

/// 用量: what was given in all, over the days, times or preparations; the dose, where it is said, must agree.
fn amount_of(
    element: &Element<'_, '_>,
    total: u64,
    supply: u16,
    dose: Option<&(u64, String, Place)>,
    unit: &str,
) -> Option<Amount> {
    let each = total.is_multiple_of(u64::from(supply)).then(|| total / u64::from(supply));
    let amount = each.and_then(amount::amount);
    if amount.is_none() {
        element.fault_of("quantity", "expected the amount times the days, times or preparations supplied");
    }
    if let Some((dose, dose_unit, place)) = dose
        && (Some(*dose) != each || dose_unit != unit)
    {
        element.fault_at(place, "expected the quantity divided by the days, times or preparations supplied");
    }
    amount
}

/// Puts lines together into groups: RP numbers ascend, the order within each runs from 1.
pub(super) fn lines(
    read: Vec<Option<ReadLine>>,
    targets: &[Target],
    entries: &Entries<'_, '_>,
) -> Option<Lines> {
    let mut groups: Vec<DispensedGroup> = Vec::new();
    let mut ids = Vec::new();
    let mut complete = true;
    for (line, target) in read.into_iter().zip(targets) {
        let Some(ReadLine { order, prescription_id, mut group }) = line else {
            complete = false;
            continue;
        };
        let fault = |message: &str| {
            if complete {
                entries.fault(*target, message);
            }
        };
        ids.push(prescription_id);
        if ids[0] != prescription_id {
            fault("expected the same prescription id on every line, or on none");
        }
        if let Some(last) = groups.last_mut().filter(|last| last.number == group.number) {
            if usize::from(order) != last.lines.len() + 1 {
                fault("expected the order within the RP to run from 1");
            }
            let line = group.lines.pop();
            let others = std::mem::take(&mut last.lines);
            if group != *last {
                fault("expected every line of an RP to say the same of usage, form and supply");
            }
            last.lines = others.into_iter().chain(line).collect();
        } else {
            if order != 1 {
                fault("expected the order within the RP to run from 1");
            }
            if groups.last().is_some_and(|last| last.number > group.number) {
                fault("expected an RP number above the one before");
            }
            groups.push(group);
        }
    }
    complete.then(|| Lines { groups, prescription_id: ids.first().copied().flatten() })
}

//! One drug line (薬品) with the RP group it is of: MedicationRequest, reading. Table 15 of the profile.

use super::dosage::{self, Dosage};
use super::quantity::{self, Dose, amount_of};
use super::sequence::Numbered;
use super::supplement;
use super::system;
use crate::codec::fhir::drug;
use crate::codec::fhir::strict::primitive::{self, Primitive};
use crate::codec::fhir::strict::{Element, Entries, Json, Place, Target, choice, concept, identifier_system};
use crate::prescription::amount::Amount;
use crate::prescription::document::Refill;
use crate::prescription::identifier::DrugCode;
use crate::prescription::line::{Burden, DosageKind, DrugSupplement, Line, Usage, UsageSupplement};
use crate::prescription::usage::{BasicUsage, UsageCode};

/// What a request says of its RP group; the same in every request of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub kind: DosageKind,
    pub kind_name: Option<String>,
    pub quantity: u16,
    pub split_quantity: Option<u16>,
    pub usage: Usage,
    pub supplements: Vec<UsageSupplement>,
}

/// One MedicationRequest.
#[derive(Debug)]
pub(super) struct Request {
    pub rp: u16,
    pub place: String,
    pub shared: Shared,
    pub line: Line,
    pub refill: Option<Refill>,
    /// Places of codes that were not compared with the one that counts.
    pub other_codes: Vec<String>,
}

/// What the whole document knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub patient: Target,
    pub is_split: bool,
    pub issued_on: Option<chrono::NaiveDate>,
}

/// Reads a MedicationRequest.
pub(super) fn read(entries: &Entries<'_, '_>, target: Target, whole: &Whole) -> Option<Request> {
    entries.read(target, "MedicationRequest", |request| {
        let numbers = numbers(request);
        request.required("status", primitive::exactly("active"));
        request.required("intent", primitive::exactly("order"));
        let (drug, other_codes) = medication(request).unzip();
        let subject = entries.reference(request, "subject", &["Patient"]);
        if subject.is_some_and(|subject| subject != whole.patient) {
            request.fault_of("subject", "expected the patient of the document");
        }
        entries.maybe_reference(request, "encounter", &["Encounter"]);
        entries.maybe_reference(request, "requester", &["Practitioner", "PractitionerRole"]);
        request.required("authoredOn", primitive::instant);
        let class = request.extension(system::INFORMATION_CLASS, |extension| {
            extension.required(choice("value", "Code"), primitive::one_of(system::CLASSES))
        });
        let conversion = request.extension(system::UNIT_CONVERSION, |extension| {
            extension.required(choice("value", "Decimal"), quantity::amount)
        });
        let burden = request.extension(system::PAYER_BURDEN, |extension| Some(burden(extension)));
        let form = request.extension(system::DOSAGE_FORM, |extension| {
            extension.one(choice("value", "CodeableConcept"), |form| {
                let name = form.optional("text", primitive::string);
                let kind = concept(form, system::FORM_SYSTEM, primitive::one_of(system::FORMS))?;
                if name.is_some() && kind != DosageKind::Unknown {
                    form.fault_of("text", "expected a name of the form for form 9 only");
                }
                Some((kind, name))
            })
        });
        let dosage = dosage::read(request);
        let mut supplements: Numbered<supplement::Said> = Numbered::default();
        let supply = request.one("dispenseRequest", |supply| Some(supply_of(supply, &mut supplements)));
        supplement::read(request, &mut supplements);
        let (dosage, supply) = (dosage?, supply?);
        let (kind, kind_name) = form.or_else(|| kind_of(request, &dosage).map(|kind| (kind, None)))?;
        if dosage.as_needed != (kind == DosageKind::AsNeeded) {
            request
                .fault_of("dosageInstruction", "expected asNeededBoolean true for as-needed medicines only");
        }
        let count = count(request, &supply, kind);
        durations(request, &dosage, &supply, whole);
        let amount = count.and_then(|count| amount(request, &dosage, &supply, kind, count));
        let split_quantity = supply.total.is_some().then_some(()).and(count);
        split_rules(request, &supply, whole, count);
        let refill = refill(request, &supply, whole);
        for text in dosage.texts {
            supplements.push(request, None, (None, text, None));
        }
        let (rp, number) = numbers?;
        let (drug, unit) = (drug?, supply.quantity.map(|quantity| quantity.unit)?);
        let shared = Shared {
            kind,
            kind_name,
            quantity: supply.total.or(count)?,
            split_quantity,
            usage: dosage.usage,
            supplements: dosage.supplements,
        };
        let line = Line {
            number,
            class,
            code: drug.code,
            uncoded_generic: drug.uncoded_generic,
            name: drug.name,
            amount: amount?,
            potency: dosage.potency,
            unit,
            conversion,
            uneven_doses: dosage.uneven_doses,
            burden,
            single_dose: dosage.single_dose,
            supplements: supplements.numbered(|number, (kind, text, code)| DrugSupplement {
                number,
                kind,
                text,
                code,
            }),
        };
        let place = request.place().to_string();
        let other_codes = other_codes.unwrap_or_default();
        Some(Request { rp, place, shared, line, refill, other_codes })
    })
}

/// RP番号 and RP内連番, one identifier each.
fn numbers(request: &mut Element<'_, '_>) -> Option<(u16, u16)> {
    let (mut rp, mut line) = (None, None);
    request.each("identifier", 2..=2, |element| {
        element.optional("use", primitive::code);
        let is_line = element.required("system", |json| {
            identifier_system(system::RP_NUMBER)(json)
                .map(|()| false)
                .or_else(|_| identifier_system(system::LINE_NUMBER)(json).map(|()| true))
                .map_err(|_| {
                    let (rp, line) = (system::RP_NUMBER.written(), system::LINE_NUMBER.written());
                    format!("expected {rp} or {line}")
                })
        });
        let most = if is_line == Some(true) { 99 } else { 999 };
        let value = element.required("value", |json| ordinal(json, most));
        let slot = if is_line? { &mut line } else { &mut rp };
        if slot.is_some() {
            element.fault_of("system", "expected one RP number and one number within it");
        }
        *slot = value;
        Some(())
    });
    rp.zip(line)
}

/// A number from 1 written as a string, without leading zeros.
fn ordinal(json: &Json<'_>, most: u16) -> Primitive<u16> {
    let text = primitive::string(json)?;
    let number: Option<u16> = text.parse().ok().filter(|_| !text.starts_with(['0', '+']));
    number.filter(|number| *number <= most).ok_or_else(|| format!("expected a number from 1 to {most}"))
}

/// What is prescribed.
struct Drug {
    code: Option<DrugCode>,
    uncoded_generic: bool,
    name: Option<String>,
}

/// Which code counts when several name the drug: the more exact one.
fn rank(code: &DrugCode) -> u8 {
    match code {
        DrugCode::Receipt(_) => 0,
        DrugCode::Yj(_) => 1,
        DrugCode::Price(_) => 2,
        DrugCode::Generic(_) => 3,
        DrugCode::Hot(_) => 4,
    }
}

/// `medicationCodeableConcept`: the drug, and the places of the codes beside the one that counts.
fn medication(request: &mut Element<'_, '_>) -> Option<(Drug, Vec<String>)> {
    request.one(choice("medication", "CodeableConcept"), |concept| {
        let mut codes: Vec<(DrugCode, Place, Option<String>)> = Vec::new();
        concept.each("coding", 0..=5, |coding| {
            let display = coding.optional("display", primitive::string);
            coding.optional("version", primitive::string);
            let system = coding.required("system", |json| {
                let uri = primitive::uri(json)?;
                if drug::is_system(&uri) {
                    Ok(uri)
                } else {
                    Err("expected a system of drug codes".to_owned())
                }
            });
            let code = coding.required("code", |json| {
                let code = primitive::code(json)?;
                // Without its system nothing can be said of a code.
                let Some(system) = &system else { return Ok(None) };
                let expected = "expected a code of the shape of its system";
                drug::drug_code(system, &code).map(Some).ok_or_else(|| expected.to_owned())
            })??;
            if codes.iter().any(|(other, _, _)| rank(other) == rank(&code)) {
                coding.fault_of("system", "expected one code of each kind");
            }
            codes.push((code, coding.place().clone(), display));
            Some(())
        });
        let uncoded_generic = concept.extension(system::GENERIC_NAME, |extension| {
            extension.required(choice("value", "Boolean"), primitive::boolean)
        });
        let by_code = concept.extension(system::NAMED_BY_CODE, |extension| {
            extension.required(choice("value", "Boolean"), primitive::boolean)
        });
        let text = concept.optional("text", primitive::string);
        contradictory_codes(concept, &codes);
        codes.sort_by_key(|(code, _, _)| rank(code));
        let display = codes.iter().find_map(|(_, _, display)| display.clone());
        let name = text.or(display);
        if name.is_none() {
            concept.fault_of("text", "expected the name of the drug");
        }
        let mut codes = codes.into_iter();
        let code = codes.next().map(|(code, _, _)| code);
        if code.is_some() && uncoded_generic == Some(true) {
            concept.fault_of("coding", "expected no code of a generic name without one");
        }
        let name = if by_code == Some(true) {
            if !matches!(&code, Some(DrugCode::Receipt(code)) if Some(code) == name.as_ref()) {
                concept.fault_of("text", "expected the receipt code that names the drug");
            }
            None
        } else {
            name
        };
        let others = codes.map(|(_, place, _)| place.to_string()).collect();
        Some((Drug { code, uncoded_generic: uncoded_generic == Some(true), name }, others))
    })
}

/// The first nine characters of YJ, price and generic codes name the same medicine.
fn contradictory_codes(concept: &Element<'_, '_>, codes: &[(DrugCode, Place, Option<String>)]) {
    let mut stems = codes.iter().filter_map(|(code, _, _)| match code {
        DrugCode::Yj(code) | DrugCode::Price(code) | DrugCode::Generic(code) => code.get(..9),
        _ => None,
    });
    if let Some(first) = stems.next()
        && stems.any(|stem| stem != first)
    {
        concept.fault_of("coding", "expected codes of one medicine");
    }
}

fn burden(extension: &mut Element<'_, '_>) -> Burden {
    let borne = system::BURDENS.map(|url| {
        extension
            .extension(url, |part| part.required(choice("value", "Boolean"), primitive::boolean))
            .unwrap_or_default()
    });
    let [first, second, third, special] = borne;
    Burden { public: [first, second, third], special }
}

/// `dispenseRequest`.
struct Supply {
    quantity: Option<Dose>,
    days: Option<u16>,
    /// Whether days were written, well or not.
    days_written: bool,
    times: Option<u16>,
    count: Option<u16>,
    /// 調剤数量 of all parts of a split prescription.
    total: Option<u16>,
    repeats: u32,
}

fn supply_of(supply: &mut Element<'_, '_>, supplements: &mut Numbered<supplement::Said>) -> Supply {
    let quantity = supply.one("quantity", quantity::dose);
    let days_written = supply.has("expectedSupplyDuration");
    let days = quantity::days(supply, "expectedSupplyDuration");
    let mut number = |url: &'static str, kind: &'static str| {
        supply.extension(url, |extension| {
            extension.required(choice("value", kind), |json| {
                let number = primitive::positive_int(json).ok().and_then(|number| u16::try_from(number).ok());
                number.filter(|number| *number <= 999).ok_or("expected a number from 1 to 999")
            })
        })
    };
    let times = number(system::EXPECTED_REPEAT_COUNT, "Integer");
    let count = number(system::DISPENSE_COUNT, "PositiveInt");
    let total = number(system::SPLIT_TOTAL, "PositiveInt");
    let repeats = supply.optional("numberOfRepeatsAllowed", primitive::unsigned_int).unwrap_or_default();
    supplement::read_instructions(supply, supplements);
    Supply { quantity, days, days_written, times, count, total, repeats }
}

/// 剤形区分 where the document does not say it: as needed, or what the usage code says.
fn kind_of(request: &Element<'_, '_>, dosage: &Dosage) -> Option<DosageKind> {
    if dosage.as_needed {
        return Some(DosageKind::AsNeeded);
    }
    let kind = match dosage.usage.code.code().and_then(UsageCode::basic) {
        Some(BasicUsage::Internal) => Some(DosageKind::Internal),
        Some(BasicUsage::External) => Some(DosageKind::External),
        Some(BasicUsage::Injection | BasicUsage::Infusion) => Some(DosageKind::Injection),
        None => None,
    };
    if kind.is_none() {
        request.fault_of(
            "extension",
            format!("expected {} or a usage code that says the form", system::DOSAGE_FORM),
        );
    }
    kind
}

/// Whether the quantity of a kind counts days.
pub(super) fn by_day(kind: DosageKind) -> bool {
    matches!(kind, DosageKind::Internal | DosageKind::InternalDrops)
}

/// 調剤数量: days, times, or how often the amount is given.
fn count(request: &Element<'_, '_>, supply: &Supply, kind: DosageKind) -> Option<u16> {
    let place = |name: &str| format!("{}.dispenseRequest.{name}", request.place());
    let (wanted, unwanted): (_, [(&str, bool); 2]) = match kind {
        DosageKind::Internal | DosageKind::InternalDrops => {
            if !supply.days_written {
                request
                    .fault_at(&place("expectedSupplyDuration"), "expected the days of an internal medicine");
            }
            (supply.days, [("extension", supply.times.is_some()), ("extension", supply.count.is_some())])
        }
        DosageKind::AsNeeded => {
            if supply.times.is_none() {
                request.fault_at(
                    &place("extension"),
                    "expected the times of an as-needed medicine (ExpectedRepeatCount)",
                );
            }
            (
                supply.times,
                [("expectedSupplyDuration", supply.days.is_some()), ("extension", supply.count.is_some())],
            )
        }
        _ => (
            Some(supply.count.unwrap_or(1)),
            [("expectedSupplyDuration", supply.days.is_some()), ("extension", supply.times.is_some())],
        ),
    };
    for (name, found) in unwanted {
        if found {
            request.fault_at(&place(name), "expected the quantity of this form as its form counts it");
        }
    }
    wanted
}

/// 用量, and that dose, count and total say the same.
fn amount(
    request: &Element<'_, '_>,
    dosage: &Dosage,
    supply: &Supply,
    kind: DosageKind,
    count: u16,
) -> Option<Amount> {
    let total = supply.quantity.as_ref()?;
    let place = |name: &str| format!("{}.{name}", request.place());
    let rate_place = place("dosageInstruction[0].doseAndRate[0].rate");
    let dose_place = place("dosageInstruction[0].doseAndRate[0].dose");
    let total_place = place("dispenseRequest.quantity.value");
    for (dose, place) in [(&dosage.per_day, &rate_place), (&dosage.per_dose, &dose_place)] {
        if dose.as_ref().is_some_and(|dose| dose.unit != total.unit) {
            request.fault_at(place, "expected the unit of the quantity to be dispensed");
        }
    }
    let times = dosage.usage.code.code().and_then(UsageCode::times_per_day).or(dosage.usage.times_per_day);
    let daily = dosage
        .per_dose
        .as_ref()
        .zip(times)
        .and_then(|(dose, times)| dose.scaled.checked_mul(u64::from(times)));
    let scaled = match kind {
        DosageKind::Internal | DosageKind::InternalDrops => {
            if let (Some(day), Some(daily)) = (&dosage.per_day, daily)
                && dosage.uneven_doses.is_empty()
                && day.scaled != daily
            {
                request.fault_at(&rate_place, "expected the dose times the times a day");
            }
            let scaled = dosage.per_day.as_ref().map(|day| day.scaled).or(daily);
            if scaled.is_none() && !dosage.dose_written {
                request.fault_at(&rate_place, "expected the amount a day");
            }
            scaled?
        }
        DosageKind::AsNeeded => {
            if dosage.per_dose.is_none() && !dosage.dose_written {
                request.fault_at(&dose_place, "expected the amount of a dose");
            }
            if dosage.per_day.is_some() {
                request.fault_at(&rate_place, "expected no amount a day of an as-needed medicine");
            }
            dosage.per_dose.as_ref()?.scaled
        }
        _ => {
            if dosage.per_day.is_some() {
                request.fault_at(&rate_place, "expected no amount a day of this form");
            }
            total.scaled / u64::from(count)
        }
    };
    if scaled.checked_mul(u64::from(count)) != Some(total.scaled) {
        request.fault_at(&total_place, "expected the amount times days, times or count");
        return None;
    }
    let amount = amount_of(scaled);
    if amount.is_none() {
        request.fault_at(
            &total_place,
            "expected an amount above 0 of at most 6 digits before and 5 after the point",
        );
    }
    amount
}

/// Durations beside the days of supply must say the same; only alternate days take longer.
fn durations(request: &Element<'_, '_>, dosage: &Dosage, supply: &Supply, whole: &Whole) {
    if supply.days_written && supply.days.is_none() {
        return;
    }
    if let Some((place, days)) = &dosage.duration
        && supply.days != Some(*days)
    {
        request.fault_at(place, "expected the days of supply");
    }
    if let Some((place, bounds)) = &dosage.bounds {
        let days = supply.days.unwrap_or_default();
        let spread = dosage::alternate_days(&dosage.supplements)
            && (days.saturating_mul(2).saturating_sub(1)..=days.saturating_mul(2)).contains(bounds);
        if *bounds != days && !spread {
            request.fault_at(place, "expected the days of supply, or of alternate days twice as many");
        }
    }
    if let Some((place, start)) = &dosage.start
        && whole.issued_on.is_some_and(|issued| super::japanese_day(*start) != issued)
    {
        request.fault_at(place, "expected no start other than the issue date: the exchange cannot keep it");
    }
}

fn split_rules(request: &Element<'_, '_>, supply: &Supply, whole: &Whole, count: Option<u16>) {
    let place = format!("{}.dispenseRequest.extension", request.place());
    match supply.total {
        None if whole.is_split => {
            request.fault_at(&place, format!("expected the quantity of all parts ({})", system::SPLIT_TOTAL));
        }
        Some(_) if !whole.is_split => {
            request.fault_at(&place, "expected no quantity of parts: the prescription is not split");
        }
        Some(total) if count.is_some_and(|part| part > total) => {
            request.fault_at(&place, "expected all parts to be no less than this one");
        }
        _ => {}
    }
}

fn refill(request: &Element<'_, '_>, supply: &Supply, whole: &Whole) -> Option<Refill> {
    let place = format!("{}.dispenseRequest.numberOfRepeatsAllowed", request.place());
    match supply.repeats {
        0 => None,
        1 | 2 if whole.is_split => {
            request.fault_at(&place, "expected no refill of a split prescription");
            None
        }
        repeats @ 1..=2 => u8::try_from(repeats + 1).ok().map(|uses| Refill { uses }),
        _ => {
            request.fault_at(&place, "expected 0 to 2 repeats: at most three uses");
            None
        }
    }
}

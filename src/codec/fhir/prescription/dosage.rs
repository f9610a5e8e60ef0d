//! How the medicine is taken: `dosageInstruction`. Several instructions with one usage code are one usage with
//! several sites.

use serde_json::{Value, json};

use super::quantity::{self, Dose};
use super::sequence::{self, Numbered};
use super::system;
use crate::codec::fhir::strict::primitive::{self, Moment, Primitive};
use crate::codec::fhir::strict::{
    Element, Json, Place, choice, code_in, coding_in, concept, concept_in, identifier_system,
};
use crate::prescription::amount::Amount;
use crate::prescription::line::{
    Potency, SingleDose, UnevenDose, Usage, UsageCoding, UsageSupplement, UsageSupplementKind,
};
use crate::prescription::usage::{BasicUsage, UsageCode};

/// What the instructions of one request say together.
#[derive(Debug)]
pub(super) struct Dosage {
    pub usage: Usage,
    pub supplements: Vec<UsageSupplement>,
    pub as_needed: bool,
    pub potency: Potency,
    /// 1日量.
    pub per_day: Option<Dose>,
    /// 1回量.
    pub per_dose: Option<Dose>,
    /// Whether either was written, well or not.
    pub dose_written: bool,
    pub single_dose: Option<SingleDose>,
    pub uneven_doses: Vec<UnevenDose>,
    /// The texts that say more than the usage itself, with their places.
    pub texts: Vec<String>,
    /// 服用開始日, and where it stands.
    pub start: Option<(Place, Moment)>,
    /// 実投与日数 and the days from the first to the last, with their places.
    pub duration: Option<(Place, u16)>,
    pub bounds: Option<(Place, u16)>,
}

type Supplement = (Option<UsageSupplementKind>, String, Option<String>, Option<String>);

/// The days a supplement of alternate days has in JAMI's codes (隔日).
const ALTERNATE_DAYS: &str = "I1";
/// The most doses an uneven day can have.
const DOSES: usize = 5;

/// One instruction while it is read.
#[derive(Default)]
struct Instruction {
    usage: Option<(UsageCoding, Option<String>)>,
    times: Option<u8>,
    site: Option<(String, String)>,
    bounds: Option<(Place, u16)>,
}

/// Reads the instructions of a MedicationRequest.
pub(super) fn read(request: &mut Element<'_, '_>) -> Option<Dosage> {
    let mut supplements: Numbered<Supplement> = Numbered::default();
    let mut sites: Vec<String> = Vec::new();
    let mut given: Option<Dosage> = None;
    let mut texts = Vec::new();
    let place = request.place_of("dosageInstruction");
    let read = request.each("dosageInstruction", 1..=10, |dosage| {
        let mut instruction = Instruction::default();
        dosage.optional("sequence", primitive::integer);
        let text = dosage.required("text", primitive::string);
        timing(dosage, &mut instruction);
        let mut uneven_doses = Vec::new();
        dosage.each("additionalInstruction", 0..=99, |element| {
            additional(element, &mut supplements, &mut sites, &mut uneven_doses)
        });
        site(dosage, &mut instruction);
        let method = dosage.maybe("method", method_code);
        let route = dosage.maybe("route", |route| concept(route, system::ROUTE, primitive::code));
        let as_needed = dosage.optional(choice("asNeeded", "Boolean"), primitive::boolean);
        let start = dosage.extension(system::PERIOD_OF_USE, |extension| {
            let place = extension.place_of("value");
            extension
                .one(choice("value", "Period"), |period| period.required("start", primitive::date_time))
                .map(|start| (place, start))
        });
        let duration = dosage.extension(system::USAGE_DURATION, |extension| {
            let place = extension.place_of("value");
            quantity::days(extension, choice("value", "Duration")).map(|days| (place, days))
        });
        let doses = doses(dosage);
        let (code, display) = instruction.usage?;
        contradictions(dosage, &code, method.as_deref(), route.as_deref());
        if let Some((code, text)) = instruction.site
            && !sites.contains(&code)
        {
            sites.push(code.clone());
            let kind = Some(UsageSupplementKind::CodedSite);
            supplements.push(dosage, None, (kind, text, None, Some(code)));
        }
        let text = text?;
        let name = display.unwrap_or_else(|| text.clone());
        if let Some(first) = &given {
            let same = first.usage.code == code
                && first.usage.times_per_day == instruction.times
                && first.as_needed == as_needed.unwrap_or_default()
                && (first.per_day.as_ref(), first.per_dose.as_ref())
                    == (doses.per_day.as_ref(), doses.per_dose.as_ref())
                && uneven_doses.is_empty();
            if !same {
                dosage.fault("expected the usage and doses of the first instruction, or another RP number");
            }
            texts.push(text);
            return Some(());
        }
        if text != name {
            texts.push(text);
        }
        given = Some(Dosage {
            usage: Usage { code, name, times_per_day: instruction.times },
            supplements: Vec::new(),
            as_needed: as_needed.unwrap_or_default(),
            potency: doses.potency.unwrap_or(Potency::Product),
            per_day: doses.per_day,
            per_dose: doses.per_dose,
            dose_written: doses.written,
            single_dose: doses.single_dose,
            uneven_doses,
            texts: Vec::new(),
            start,
            duration,
            bounds: instruction.bounds,
        });
        Some(())
    });
    let mut dosage = given.filter(|_| !read.is_empty())?;
    if !(dosage.uneven_doses.is_empty() || (2..=DOSES).contains(&dosage.uneven_doses.len())) {
        request.fault_at(&format!("{place}[0].additionalInstruction"), "expected two to five uneven doses");
    }
    dosage.supplements = supplements.numbered(|number, (kind, text, code, site)| UsageSupplement {
        number,
        kind,
        text,
        code,
        site,
    });
    dosage.texts = texts;
    Some(dosage)
}

/// `timing`: the usage code, how often a day, and how long.
fn timing(dosage: &mut Element<'_, '_>, instruction: &mut Instruction) {
    dosage.one("timing", |timing| {
        instruction.usage = timing.one("code", |code| {
            let text = code.optional("text", primitive::string);
            let mut found = code.each("coding", 0..=1, |coding| {
                let display = coding.optional("display", primitive::string);
                let systems = [system::USAGE_JAMI, system::USAGE_MASTER];
                let parsed = coding_in(coding, &systems, |which, json| {
                    let code = primitive::parsed(str::parse::<UsageCode>)(json)?;
                    Ok(if which == 0 { UsageCoding::Jami(code) } else { UsageCoding::Master(code) })
                })?;
                Some((parsed, display))
            });
            if !code.has("coding") && text.is_none() {
                code.fault_of("coding", "expected a usage code, or a text where there is none");
                return None;
            }
            match found.pop() {
                Some((code, display)) => Some((code, text.or(display))),
                None if code.has("coding") => None,
                None => Some((UsageCoding::Uncoded, text)),
            }
        });
        timing.maybe("repeat", |repeat| {
            let place = repeat.place_of(choice("bounds", "Duration"));
            instruction.bounds =
                quantity::days(repeat, choice("bounds", "Duration")).map(|days| (place, days));
            if repeat.has("frequency") || repeat.has("period") || repeat.has("periodUnit") {
                instruction.times = repeat.required("frequency", |json| {
                    let times = primitive::positive_int(json).ok().and_then(|times| u8::try_from(times).ok());
                    times.filter(|times| *times <= 99).ok_or("expected how often a day, 1 to 99")
                });
                repeat.required("period", |json| match quantity::scaled(json) {
                    Ok(100_000) => Ok(()),
                    _ => Err("expected 1, a day"),
                });
                code_in(repeat, "periodUnit", &[("d", ())]);
            }
            Some(())
        })
    });
}

/// A code of the supplementary usages, eight digits, capital letters or points.
pub(super) fn additional_code(json: &Json<'_>) -> Primitive<String> {
    let code = primitive::code(json)?;
    let shaped = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'.';
    if code.len() == 8 && code.bytes().all(shaped) {
        Ok(code)
    } else {
        Err("expected 8 digits, capital letters or points".to_owned())
    }
}

fn site_code(json: &Json<'_>) -> Primitive<String> {
    let code = primitive::code(json)?;
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(code)
    } else {
        Err("expected a site code of three digits or letters".to_owned())
    }
}

/// One `additionalInstruction`: a supplement of the usage, or one dose of an uneven day.
fn additional(
    element: &mut Element<'_, '_>,
    supplements: &mut Numbered<Supplement>,
    sites: &mut Vec<String>,
    doses: &mut Vec<UnevenDose>,
) -> Option<()> {
    let amount = element.extension(system::UNEVEN_DOSE, |extension| {
        extension.required(choice("value", "Decimal"), quantity::amount)
    });
    let number = sequence::read(element);
    let kind = element.extension(system::USAGE_SUPPLEMENT, |extension| {
        extension.required(choice("value", "Code"), primitive::one_of(system::USAGE_SUPPLEMENTS))
    });
    let text = element.optional("text", primitive::string);
    let (mut code, mut site, mut display) = (None, None, None);
    element.each("coding", 0..=2, |coding| {
        let shown = coding.optional("display", primitive::string);
        display = display.take().or(shown);
        let read = coding_in(coding, &[system::USAGE_ADDITIONAL, system::SITE], |which, json| {
            Ok(if which == 0 { (Some(additional_code(json)?), None) } else { (None, Some(site_code(json)?)) })
        })?;
        if (read.0.is_some() && code.is_some()) || (read.1.is_some() && site.is_some()) {
            coding.fault_of("system", "expected one code of each system");
        }
        code = read.0.or_else(|| code.take());
        site = read.1.or_else(|| site.take());
        Some(())
    });
    let uneven_code = code.as_deref().filter(|code| code.starts_with('V'));
    if amount.is_some() || (uneven_code.is_some() && kind.is_none()) {
        let index = doses.len() + 1;
        let written = if amount.is_none() { uneven_code.and_then(uneven) } else { None };
        if written.as_ref().is_some_and(|(number, _)| *number != index)
            || (amount.is_none() && written.is_none())
        {
            element.fault_of("coding", "expected the uneven doses in order, V and the number of the dose");
        }
        doses.extend(amount.or(written.map(|(_, amount)| amount)).map(|amount| UnevenDose { amount, code }));
        return Some(());
    }
    let Some(text) = text.or(display) else {
        element.fault_of("text", "expected the instruction in words");
        return None;
    };
    let kind = kind.or_else(|| {
        code.as_ref()
            .map(|_| UsageSupplementKind::CodedUsage)
            .or_else(|| site.as_ref().map(|_| UsageSupplementKind::CodedSite))
    });
    let needed = match kind {
        Some(UsageSupplementKind::CodedUsage) => code.is_some(),
        Some(UsageSupplementKind::CodedSite) => site.is_some(),
        _ => true,
    };
    if !needed {
        element.fault_of("coding", "expected the code that the kind of the supplement promises");
    }
    sites.extend(site.clone());
    supplements.push(element, number, (kind, text, code, site));
    Some(())
}

/// The number and amount of a dose in JAMI's code (`V12.0NNN`: the first, 2).
fn uneven(code: &str) -> Option<(usize, Amount)> {
    let number = code.get(1..2)?.parse().ok()?;
    let amount = code.get(2..)?.trim_end_matches('N');
    let amount = quantity::amount(&Json::Number(amount)).ok()?;
    Some((number, amount))
}

fn site(dosage: &mut Element<'_, '_>, instruction: &mut Instruction) {
    instruction.site = dosage.maybe("site", |site| {
        let text = site.optional("text", primitive::string);
        let (code, display) = site.sole("coding", |coding| {
            let display = coding.optional("display", primitive::string);
            let code = crate::codec::fhir::strict::coding(coding, system::SITE, site_code)?;
            Some((code, display))
        })?;
        let Some(text) = text.or(display) else {
            site.fault_of("text", "expected the name of the site");
            return None;
        };
        Some((code, text))
    });
}

fn method_code(method: &mut Element<'_, '_>) -> Option<String> {
    concept_in(method, &[system::METHOD_BASIC, system::METHOD_DETAIL], |_, json| primitive::code(json))
}

/// Routes of what is taken by mouth or given to its mucosa.
const ORAL: [&str; 4] = ["PO", "SL", "BU", "MM"];

/// The usage code says method and route itself; written beside it, they must not say otherwise.
fn contradictions(dosage: &Element<'_, '_>, code: &UsageCoding, method: Option<&str>, route: Option<&str>) {
    let Some(code) = code.code().filter(|code| code.basic().is_some()) else { return };
    if method.is_some_and(|method| !code.as_str().starts_with(method)) {
        dosage.fault_of("method", "expected the method that the usage code says");
    }
    let internal = code.basic() == Some(BasicUsage::Internal);
    if route.is_some_and(|route| ORAL.contains(&route) != internal) {
        dosage.fault_of("route", "expected a route of the method that the usage code says");
    }
}

#[derive(Default)]
struct Doses {
    potency: Option<Potency>,
    per_day: Option<Dose>,
    per_dose: Option<Dose>,
    written: bool,
    single_dose: Option<SingleDose>,
}

fn doses(dosage: &mut Element<'_, '_>) -> Doses {
    let mut doses = dosage.each("doseAndRate", 0..=1, |rate| {
        let potency = rate.maybe("type", |kind| {
            concept(kind, system::POTENCY_SYSTEM, primitive::one_of(system::POTENCIES))
        });
        let written = rate.has(choice("dose", "Quantity")) || rate.has(choice("rate", "Ratio"));
        let per_dose = rate.maybe(choice("dose", "Quantity"), quantity::dose);
        let per_day = rate.maybe(choice("rate", "Ratio"), |ratio| {
            ratio.one("denominator", |day| {
                day.optional("unit", primitive::string);
                day.required("system", identifier_system(system::UCUM));
                code_in(day, "code", &[("d", ())]);
                day.required("value", |json| match quantity::scaled(json) {
                    Ok(100_000) => Ok(()),
                    _ => Err("expected 1, a day"),
                })
            });
            ratio.one("numerator", quantity::dose)
        });
        let single_dose = rate.extension(system::SINGLE_DOSE, |extension| {
            let amount = extension.extension("amount", |part| {
                part.required(choice("value", "String"), |json| {
                    let text = primitive::string(json)?;
                    let shaped = text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_graphic());
                    if shaped { Ok(text) } else { Err("expected at most 12 ASCII characters".to_owned()) }
                })
            });
            let times_per_day = extension.extension("times", |part| {
                part.required(choice("value", "PositiveInt"), |json| {
                    let times = primitive::positive_int(json).ok().and_then(|times| u8::try_from(times).ok());
                    times.filter(|times| *times <= 99).ok_or("expected 1 to 99")
                })
            });
            if amount.is_none() {
                extension.fault_of("extension", "expected the amount of a single dose");
            }
            Some(SingleDose { amount: amount?, times_per_day })
        });
        Some(Doses { potency, per_day, per_dose, written, single_dose })
    });
    doses.pop().unwrap_or_default()
}

/// Whether the usage is for alternate days (隔日).
pub(super) fn alternate_days(supplements: &[UsageSupplement]) -> bool {
    supplements.iter().any(|supplement| {
        supplement.kind == Some(UsageSupplementKind::AlternateDays)
            || supplement.code.as_deref().is_some_and(|code| code.starts_with(ALTERNATE_DAYS))
    })
}

/// What a request needs to write its instruction.
pub(super) struct Written<'p> {
    pub usage: &'p Usage,
    pub supplements: &'p [UsageSupplement],
    pub as_needed: bool,
    pub potency: Potency,
    /// The one quantity that says the amount: its member and value.
    pub amount: Option<(&'static str, Value)>,
    pub single_dose: Option<&'p SingleDose>,
    pub uneven_doses: &'p [UnevenDose],
}

/// The instruction of one request.
pub(super) fn write(written: &Written<'_>) -> Value {
    let usage = written.usage;
    let mut code = json!({ "text": usage.name });
    if let Some(coded) = usage.code.code() {
        let system = match usage.code {
            UsageCoding::Master(_) => system::USAGE_MASTER,
            _ => system::USAGE_JAMI,
        };
        code["coding"] =
            json!([{ "system": system.written(), "code": coded.as_str(), "display": usage.name }]);
    }
    let mut dosage = json!({ "text": usage.name, "timing": { "code": code } });
    if let Some(times) = usage.times_per_day {
        dosage["timing"]["repeat"] = json!({ "frequency": times, "period": 1, "periodUnit": "d" });
    }
    let additional: Vec<Value> = written
        .uneven_doses
        .iter()
        .map(write_uneven)
        .chain(written.supplements.iter().map(write_supplement))
        .collect();
    if !additional.is_empty() {
        dosage["additionalInstruction"] = Value::Array(additional);
    }
    if written.as_needed {
        dosage["asNeededBoolean"] = json!(true);
    }
    let mut sites = written.supplements.iter().filter_map(|supplement| {
        let site = supplement.site.as_ref()?;
        Some(json!({ "coding": [{ "system": system::SITE.written(), "code": site, "display": supplement.text }] }))
    });
    if let (Some(site), None) = (sites.next(), sites.next()) {
        dosage["site"] = site;
    }
    let potency = system::word(system::POTENCIES, &written.potency);
    let mut rate =
        json!({ "type": { "coding": [{ "system": system::POTENCY_SYSTEM.written(), "code": potency }] } });
    if let Some((member, value)) = &written.amount {
        rate[*member] = value.clone();
    }
    if let Some(dose) = written.single_dose {
        let mut parts = vec![json!({ "url": "amount", "valueString": dose.amount })];
        parts.extend(dose.times_per_day.map(|times| json!({ "url": "times", "valuePositiveInt": times })));
        rate["extension"] = json!([{ "url": system::SINGLE_DOSE, "extension": parts }]);
    }
    dosage["doseAndRate"] = json!([rate]);
    dosage
}

fn write_uneven(dose: &UnevenDose) -> Value {
    let amount = quantity::number(dose.amount.hundred_thousandths());
    let mut concept = json!({
        "extension": [{ "url": system::UNEVEN_DOSE, "valueDecimal": amount }],
        "text": format!("不均等　{}", dose.amount),
    });
    if let Some(code) = &dose.code {
        concept["coding"] = json!([{ "system": system::USAGE_ADDITIONAL.written(), "code": code }]);
    }
    concept
}

fn write_supplement(supplement: &UsageSupplement) -> Value {
    let mut extensions = vec![sequence::write(supplement.number)];
    extensions.extend(supplement.kind.map(|kind| {
        json!({ "url": system::USAGE_SUPPLEMENT, "valueCode": system::word(system::USAGE_SUPPLEMENTS, &kind) })
    }));
    let coding = |of: crate::codec::fhir::strict::System, code: &Option<String>| {
        code.as_ref().map(|code| json!({ "system": of.written(), "code": code }))
    };
    let codings =
        [coding(system::USAGE_ADDITIONAL, &supplement.code), coding(system::SITE, &supplement.site)];
    let codings: Vec<Value> = codings.into_iter().flatten().collect();
    let mut concept = json!({ "extension": extensions, "text": supplement.text });
    if !codings.is_empty() {
        concept["coding"] = Value::Array(codings);
    }
    concept
}

/// The name of the choice a dose per day stands in.
pub(super) const PER_DAY: &str = "rateRatio";
/// The name of the choice a dose stands in.
pub(super) const PER_DOSE: &str = "doseQuantity";

/// The ratio of an amount to a day.
pub(super) fn write_per_day(scaled: u64, unit: &str) -> Value {
    json!({ "numerator": quantity::write(scaled, unit), "denominator": quantity::write_days(1) })
}

//! Amounts as FHIR writes them: exact decimals with a unit, of the same unit throughout one request.

use serde_json::{Number, Value, json};

use super::system::{UCUM, UNIT};
use crate::codec::fhir::strict::primitive::{self, Primitive};
use crate::codec::fhir::strict::{Element, Json, Name, code_in, identifier_system};
use crate::prescription::amount::Amount;

/// Places after the point an amount can have.
const PLACES: usize = 5;

/// A decimal in hundred-thousandths; exact, or refused.
pub(super) fn scaled(json: &Json<'_>) -> Primitive<u64> {
    let text = primitive::decimal(json)?;
    scale(&text).ok_or_else(|| "expected a number from 0 with at most 5 digits after the point".to_owned())
}

fn scale(text: &str) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() <= 20)?;
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if integer.starts_with('-') || fraction.len() > 20 {
        return None;
    }
    let digits = format!("{integer}{fraction}");
    let shift = i32::try_from(PLACES).ok()? + exponent - i32::try_from(fraction.len()).ok()?;
    let value: u128 = digits.parse().ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs())?;
    let exact = if shift >= 0 {
        value.checked_mul(power)?
    } else {
        Some(value / power).filter(|_| value.is_multiple_of(power))?
    };
    u64::try_from(exact).ok()
}

/// The amount of some hundred-thousandths.
pub(super) fn amount_of(scaled: u64) -> Option<Amount> {
    let text = format!("{}.{:05}", scaled / 100_000, scaled % 100_000);
    text.trim_end_matches('0').trim_end_matches('.').parse().ok()
}

/// A decimal that is an amount.
pub(super) fn amount(json: &Json<'_>) -> Primitive<Amount> {
    let expected = "expected a number above 0 of at most 6 digits before and 5 after the point";
    scaled(json).ok().and_then(amount_of).ok_or_else(|| expected.to_owned())
}

/// A quantity of medicine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dose {
    pub scaled: u64,
    pub unit: String,
}

/// Units whose code and name must agree; of other codes the name is taken as it is.
const UNITS: [(&str, &[&str]); 14] = [
    ("TAB", &["錠"]),
    ("CAP", &["カプセル", "Ｃ", "C"]),
    ("PCK", &["包"]),
    ("G", &["g", "ｇ", "グラム"]),
    ("MG", &["mg", "ｍｇ"]),
    ("UG", &["μg", "μｇ", "µg", "ug"]),
    ("ML", &["mL", "ｍＬ", "ml", "ｍｌ"]),
    ("TUBE", &["管", "チューブ"]),
    ("HON", &["本"]),
    ("SHT", &["枚"]),
    ("UNT", &["単位"]),
    ("KO", &["個"]),
    ("DROP", &["滴"]),
    ("CAN", &["缶"]),
];

/// A Quantity: value, unit, and the code of the unit.
pub(super) fn dose(quantity: &mut Element<'_, '_>) -> Option<Dose> {
    let scaled = quantity.required("value", scaled);
    let unit = quantity.required("unit", primitive::string);
    if quantity.has("system") || quantity.has("code") {
        quantity.required("system", identifier_system(UNIT));
        let code = quantity.required("code", primitive::code);
        let names = UNITS.iter().find(|(known, _)| code.as_deref() == Some(known)).map(|(_, names)| *names);
        if let (Some(names), Some(unit)) = (names, &unit)
            && !names.contains(&unit.as_str())
        {
            quantity.fault_of("unit", format!("expected the unit of the code: {}", names.join(", ")));
        }
    }
    Some(Dose { scaled: scaled?, unit: unit? })
}

/// A Duration in whole days, from 1 to 999.
pub(super) fn days(element: &mut Element<'_, '_>, name: impl Into<Name>) -> Option<u16> {
    element.maybe(name, |duration| {
        duration.optional("unit", primitive::string);
        duration.required("system", identifier_system(UCUM));
        code_in(duration, "code", &[("d", ())]);
        duration.required("value", whole)
    })
}

/// A decimal that is a whole number from 1 to 999.
fn whole(json: &Json<'_>) -> Primitive<u16> {
    let number = scaled(json).ok().filter(|scaled| scaled % 100_000 == 0).map(|scaled| scaled / 100_000);
    let number = number.and_then(|number| u16::try_from(number).ok());
    number
        .filter(|number| (1..=999).contains(number))
        .ok_or_else(|| "expected a whole number from 1 to 999".to_owned())
}

/// A number as JSON. Fifteen digits at most, so that the nearest double is written with the same digits.
pub(super) fn number(scaled: u64) -> Value {
    if scaled.is_multiple_of(100_000) {
        return json!(scaled / 100_000);
    }
    let text = format!("{}.{:05}", scaled / 100_000, scaled % 100_000);
    text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// A Quantity of some hundred-thousandths.
pub(super) fn write(scaled: u64, unit: &str) -> Value {
    let code = UNITS.iter().find(|(_, names)| names.contains(&unit)).map(|(code, _)| *code);
    match code {
        Some(code) => {
            json!({ "value": number(scaled), "unit": unit, "system": UNIT.written(), "code": code })
        }
        None => json!({ "value": number(scaled), "unit": unit }),
    }
}

/// A Duration in days.
pub(super) fn write_days(days: u16) -> Value {
    json!({ "value": days, "unit": "日", "system": UCUM.written(), "code": "d" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prescription::strategy;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, expected) in [
            ("1", Some(100_000)),
            ("1.50", Some(150_000)),
            ("0.00001", Some(1)),
            ("1e-5", Some(1)),
            ("2.5E1", Some(2_500_000)),
            ("0.1000000", Some(10_000)),
            ("0.000001", None),
            ("-1", None),
            ("1e30", None),
        ] {
            assert_eq!(scaled(&Json::Number(text)).ok(), expected, "{text}");
        }
        assert!(amount(&Json::Number("0")).is_err() && amount(&Json::Number("1000000")).is_err());
    }

    proptest! {
        #[test]
        fn amounts_and_totals_keep_their_digits(amount in strategy::amount(), times in 1u64..=999) {
            for scaled_amount in [amount.hundred_thousandths(), amount.hundred_thousandths() * times] {
                let text = number(scaled_amount).to_string();
                prop_assert_eq!(scaled(&Json::Number(&text)), Ok(scaled_amount));
            }
            prop_assert_eq!(amount_of(amount.hundred_thousandths()), Some(amount));
        }
    }
}

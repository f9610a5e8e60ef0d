//! Exact decimals in JSON: an amount and what it comes to over days, times or preparations, in hundred-thousandths, so
//! that no binary fraction comes between.

use serde_json::{Value, json};

use crate::codec::fhir::strict::{Json, primitive};
use crate::prescription::amount::Amount;

/// Hundred-thousandths in one.
const ONE: u64 = 100_000;

/// The amount as a JSON number with the digits it has. At most 15 of them, which a double keeps.
pub(super) fn number(hundred_thousandths: u64) -> Value {
    if hundred_thousandths.is_multiple_of(ONE) {
        return json!(hundred_thousandths / ONE);
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 15 digits, which a double keeps")]
    let value = hundred_thousandths as f64 / ONE as f64;
    json!(value)
}

/// A positive decimal with at most five digits that say something after the point.
pub(super) fn hundred_thousandths(json: &Json<'_>) -> Result<u64, String> {
    let text = primitive::decimal(json)?;
    read(&text).filter(|value| *value > 0).ok_or_else(|| {
        "expected a number above 0 with at most 5 digits after the point that say something".to_owned()
    })
}

fn read(text: &str) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    let digits = digits.trim_end_matches('0');
    let zeros = integer.len() + fraction.len() - digits.len();
    // The value is `digits` times ten to the power of `places`.
    let places =
        exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()? + i32::try_from(zeros).ok()?;
    if digits.is_empty() {
        return Some(0);
    }
    let power = u32::try_from(places.checked_add(5)?).ok()?;
    digits.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(power)?)
}

/// The amount that is so many hundred-thousandths, if an amount can be.
pub(super) fn amount(hundred_thousandths: u64) -> Option<Amount> {
    let (integer, fraction) = (hundred_thousandths / ONE, hundred_thousandths % ONE);
    let text = format!("{integer}.{fraction:05}");
    text.trim_end_matches('0').trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_read_however_they_are_written() {
        for (text, value) in [
            ("1", Some(100_000)),
            ("1.50", Some(150_000)),
            ("0.00001", Some(1)),
            ("1e-5", Some(1)),
            ("1E+2", Some(10_000_000)),
            ("100", Some(10_000_000)),
            ("0.0", Some(0)),
            ("1.000001", None),
            ("-1", None),
            ("1e99", None),
            ("1e-99999999999", None),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
        assert_eq!(amount(150_000).unwrap().as_str(), "1.5");
        assert!(amount(0).is_none() && amount(u64::MAX).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(amount_read in crate::prescription::strategy::amount(), times in 1u64..=999) {
            let total = amount_read.hundred_thousandths() * times;
            prop_assert_eq!(read(&number(total).to_string()), Some(total));
            prop_assert_eq!(amount(amount_read.hundred_thousandths()), Some(amount_read));
        }
    }
}

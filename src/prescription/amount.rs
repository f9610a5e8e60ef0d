//! Amount (用量): a positive decimal that keeps its digits. Knows no unit and does no arithmetic beyond
//! comparing, because what was signed says `0.5`, not a binary fraction near it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an amount above 0: at most 6 digits, and after a point at most 5, without leading or trailing zeros"
)]
pub struct AmountError;

const INTEGER_DIGITS: usize = 6;
const FRACTION_DIGITS: usize = 5;

/// 用量: at most six digits before and five after the point, no leading or trailing zeros, above zero
/// (JAHIS10 表3-39 item 7). Two amounts are equal exactly when they are written alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Amount(String);

impl Amount {
    /// The digits as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The amount in hundred-thousandths of the unit; at most 11 digits, so always exact.
    pub fn hundred_thousandths(&self) -> u64 {
        let (integer, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
        integer
            .bytes()
            .chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(FRACTION_DIGITS))
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (integer, fraction) = match text.split_once('.') {
            Some((integer, fraction)) => (integer, Some(fraction)),
            None => (text, None),
        };
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let integer_ok = (1..=INTEGER_DIGITS).contains(&integer.len())
            && all_digits(integer)
            && (integer == "0" || !integer.starts_with('0'));
        let fraction_ok = fraction.is_none_or(|part| {
            (1..=FRACTION_DIGITS).contains(&part.len()) && all_digits(part) && !part.ends_with('0')
        });
        if integer_ok && fraction_ok && text != "0" { Ok(Self(text.to_owned())) } else { Err(AmountError) }
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.hundred_thousandths().cmp(&other.hundred_thousandths())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn amounts_keep_their_digits_and_compare_by_value() {
        for text in ["1", "0.25", "1.5", "100", "123456.78901", "0.00001"] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        assert!(amount("9") < amount("10"));
        assert!(amount("0.5") < amount("0.51"));
        assert_eq!(amount("123456.78901").hundred_thousandths(), 12_345_678_901);
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["", "0", "0.0", "01", "1.", ".5", "1.50", "-1", "+1", "1e3", "1234567", "1.123456", "１"]
        {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }
}

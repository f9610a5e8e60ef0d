//! Identifiers of institutions and drugs, parsed at the edge. A value of one of these types has the right
//! shape; whether the thing exists is for the directory or the formulary to say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text is not an identifier of the kind asked for. Carries what was expected, never the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct IdentifierError(pub &'static str);

fn digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether the last of some digits is the check digit of those before it: from the right weights 2, 1, 2, 1 …,
/// the decimal digits of the products summed, and the sum's complement to the next ten (検証番号).
fn last_digit_checks(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let product = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a 保険者番号 or 公費負担者番号 (8 digits, 国保 6) or 公費受給者番号 (7 digits) ends in its check
/// digit. A number of another length has none to check.
pub fn payer_number_checks(number: &str) -> bool {
    !(6..=8).any(|length| digits(number, length)) || last_digit_checks(number.bytes())
}

/// Whether a 処方用番号 (HOT7) ends in its check digit: from the right of those before it weights 3, 1, 3 …, and the
/// sum's complement to the next ten, as in a JAN code.
pub fn hot7_checks(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit.wrapping_sub(b'0')) * if place % 2 == 1 { 3 } else { 1 })
        .sum();
    digits(number, 7) && sum.is_multiple_of(10)
}

/// 医療機関コード, 10 digits: prefecture (2), fee table (1: 1 医科, 3 歯科, 4 調剤, 6 訪問看護), institution (7).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstitutionCode(String);

impl InstitutionCode {
    /// The ten digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 都道府県コード, two digits.
    pub fn prefecture(&self) -> &str {
        &self.0[..2]
    }

    /// 点数表, one digit.
    pub fn fee_table(&self) -> &str {
        &self.0[2..3]
    }

    /// The seven digits an institution writes of itself.
    pub fn institution(&self) -> &str {
        &self.0[3..]
    }

    /// Whether the last digit is the check digit. Prefecture and fee table are part of the sum, except in
    /// 埼玉, 千葉, 東京 and 神奈川.
    pub fn check_digit_holds(&self) -> bool {
        let summed =
            if matches!(self.prefecture(), "11" | "12" | "13" | "14") { self.institution() } else { &self.0 };
        last_digit_checks(summed.bytes())
    }
}

impl FromStr for InstitutionCode {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if digits(text, 10) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentifierError("an institution code of 10 digits"))
        }
    }
}

/// A drug code of one of the kinds a document may name a product by (薬品コード種別).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DrugCode {
    /// レセプト電算コード, 9 digits.
    Receipt(String),
    /// 薬価基準収載医薬品コード (厚労省コード), 12 characters.
    Price(String),
    /// YJ コード, 12 characters.
    Yj(String),
    /// HOT コード, 7, 9 or 13 digits.
    Hot(String),
    /// 一般名コード, 12 characters ending in `ZZZ`.
    Generic(String),
}

/// What the レセプト電算コード of a drug starts with; 63 are adjustments of a bill.
const RECEIPT_PREFIXES: [&str; 6] = ["61", "62", "64", "66", "67", "68"];

/// 薬価基準収載医薬品コード where no code exists.
const PRICE_DUMMY: &str = "2000000X0000";

impl DrugCode {
    /// レセプト電算コード: a drug (61, 62, 64, 66 to 68) or a material (7).
    ///
    /// # Errors
    /// Another shape.
    pub fn receipt(text: &str) -> Result<Self, IdentifierError> {
        let known = text.starts_with('7') || RECEIPT_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
        if digits(text, 9) && known {
            Ok(Self::Receipt(text.to_owned()))
        } else {
            Err(IdentifierError("a receipt code of 9 digits starting with 61, 62, 64, 66, 67, 68 or 7"))
        }
    }

    /// 薬価基準収載医薬品コード.
    ///
    /// # Errors
    /// Another shape, or a wrong check digit.
    pub fn price(text: &str) -> Result<Self, IdentifierError> {
        check_price_shape(text).map(|()| Self::Price(text.to_owned()))
    }

    /// YJ コード.
    ///
    /// # Errors
    /// Another shape, or a wrong check digit.
    pub fn yj(text: &str) -> Result<Self, IdentifierError> {
        check_price_shape(text).map(|()| Self::Yj(text.to_owned()))
    }

    /// HOT コード.
    ///
    /// # Errors
    /// Another shape.
    pub fn hot(text: &str) -> Result<Self, IdentifierError> {
        if [7, 9, 13].into_iter().any(|length| digits(text, length)) {
            Ok(Self::Hot(text.to_owned()))
        } else {
            Err(IdentifierError("a HOT code of 7, 9 or 13 digits"))
        }
    }

    /// 一般名コード.
    ///
    /// # Errors
    /// Another shape.
    pub fn generic(text: &str) -> Result<Self, IdentifierError> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 12
            && bytes[..7].iter().all(u8::is_ascii_digit)
            && bytes[7].is_ascii_uppercase()
            && (bytes[8].is_ascii_digit() || bytes[8].is_ascii_uppercase())
            && text.ends_with("ZZZ");
        if shaped {
            Ok(Self::Generic(text.to_owned()))
        } else {
            Err(IdentifierError(
                "a generic-name code: 7 digits, a capital letter, a digit or capital letter, ZZZ",
            ))
        }
    }

    /// The code itself, without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Receipt(code)
            | Self::Price(code)
            | Self::Yj(code)
            | Self::Hot(code)
            | Self::Generic(code) => code,
        }
    }
}

/// Shape and check digit of 薬価基準収載医薬品コード and YJ コード: class (4), route and ingredient (3), form (a
/// letter), strength (1), brand (2), check digit (1).
fn check_price_shape(text: &str) -> Result<(), IdentifierError> {
    const WEIGHTS: [u32; 11] = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 12
        && bytes[..7].iter().all(u8::is_ascii_digit)
        && bytes[7].is_ascii_uppercase()
        && (bytes[8].is_ascii_digit() || bytes[8].is_ascii_uppercase())
        && bytes[9..].iter().all(u8::is_ascii_digit);
    if !shaped {
        return Err(IdentifierError("a drug code of 12 characters: 7 digits, a capital letter, 4 digits"));
    }
    let sum: u32 = bytes.iter().zip(WEIGHTS).map(|(byte, weight)| place_value(*byte) * weight).sum();
    let check = match 11 - sum % 11 {
        10 | 11 => 0,
        digit => digit,
    };
    if text == PRICE_DUMMY || check == place_value(bytes[11]) {
        Ok(())
    } else {
        Err(IdentifierError("a drug code whose last digit is its check digit"))
    }
}

/// What a character counts in the check sum: A to I and J to R are 1 to 9, S to Z are 2 to 9.
fn place_value(byte: u8) -> u32 {
    u32::from(match byte {
        b'A'..=b'I' => byte - b'A' + 1,
        b'J'..=b'R' => byte - b'J' + 1,
        b'S'..=b'Z' => byte - b'S' + 2,
        digit => digit - b'0',
    })
}

macro_rules! text_identifier {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdentifierError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }
    };
}

text_identifier!(InstitutionCode);

#[cfg(test)]
mod tests {
    use super::{DrugCode, InstitutionCode, hot7_checks, payer_number_checks};

    #[test]
    fn codes_have_the_shape_of_their_kind() {
        for code in ["622688101", "612170709", "666660000", "777770000", "670000001"] {
            assert!(DrugCode::receipt(code).is_ok(), "{code}");
        }
        for code in ["630010001", "62268810", "6226881010", "62268810A", ""] {
            assert!(DrugCode::receipt(code).is_err(), "{code}");
        }
        for code in ["2419001F4022", "2646727M1022", "2171022F1029", "2000000X0000"] {
            assert!(DrugCode::yj(code).is_ok() && DrugCode::price(code).is_ok(), "{code}");
        }
        for code in ["2419001F4023", "2419001f4022", "241900144022", "2419001F402", "２419001F40"] {
            assert!(DrugCode::yj(code).is_err(), "{code}");
        }
        assert!(DrugCode::generic("2171014M2ZZZ").is_ok() && DrugCode::generic("1139004GAZZZ").is_ok());
        assert!(DrugCode::generic("2171014M2ZZ1").is_err());
        assert!(DrugCode::hot("103297001").is_ok() && DrugCode::hot("10329700").is_err());
    }

    #[test]
    fn published_numbers_check() {
        for number in ["01130012", "138016", "31130842", "06000004"] {
            assert!(payer_number_checks(number), "{number}");
        }
        assert!(!payer_number_checks("01130013"));
        assert!(payer_number_checks("0123"), "nothing to check");
        let holds = |code: &str| code.parse::<InstitutionCode>().unwrap().check_digit_holds();
        assert!(holds("9918000010") && holds("9948000014") && holds("2619700012"));
        assert!(!holds("1311234567"));
    }

    #[test]
    fn every_listed_product_has_a_price_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/mhlw_price_20250814.csv");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: the price list is not beside the project");
            return;
        };
        for code in text.lines().skip(1).filter_map(|row| row.split(',').nth(1)) {
            assert!(DrugCode::price(code).is_ok(), "{code}");
        }
    }

    #[test]
    fn every_vector_is_judged_rightly() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/check_digit_vectors.csv");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: the check digit vectors are not beside the project");
            return;
        };
        for row in text.lines().skip(1) {
            let cells: Vec<&str> = row.split(',').collect();
            let (kind, number, valid) = (cells[0], cells[1], cells[2] == "1");
            let judged = match kind {
                "price12/YJ12" => DrugCode::yj(number).is_ok(),
                "medical_institution10" => number.parse::<InstitutionCode>().unwrap().check_digit_holds(),
                "HOT7" => hot7_checks(number),
                _ => payer_number_checks(number),
            };
            assert_eq!(judged, valid, "{row}");
        }
    }
}

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

impl DrugCode {
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

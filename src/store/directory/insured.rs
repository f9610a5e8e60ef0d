//! Insurance data of a person in one normal form, so that a card and a document that write it differently name
//! the same person. Pure; knows no SQL.
//!
//! Normal form: width folded (full-width letters, digits and hyphens to ASCII, half-width kana to full-width),
//! white space removed, Latin letters in upper case; insurer number padded with zeros to 8 digits, branch
//! number to 2. Symbol and number are texts of the card: no zeros are added or removed and a hyphen is kept.

use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::store::seal::Lookup;

/// 記号 and 番号 are printed in far fewer characters.
const TEXT_LIMIT: usize = 40;

/// 保険者番号, 記号, 番号, 枝番 in normal form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsuredIdentity {
    insurer_number: String,
    symbol: String,
    number: String,
    branch_number: Option<String>,
}

/// Insurance data that no card can bear. Carries which part, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsuredFault {
    /// 保険者番号
    #[error("expected up to 8 digits")]
    InsurerNumber,
    /// 記号
    #[error("expected up to 40 characters")]
    Symbol,
    /// 番号
    #[error("expected 1 to 40 characters")]
    Number,
    /// 枝番
    #[error("expected up to 2 digits")]
    BranchNumber,
}

impl InsuredFault {
    /// The part, by its name in the eligibility file.
    pub fn column(self) -> &'static str {
        match self {
            Self::InsurerNumber => "insurer_number",
            Self::Symbol => "symbol",
            Self::Number => "number",
            Self::BranchNumber => "branch_number",
        }
    }
}

impl InsuredIdentity {
    /// Brings insurance data into normal form. An absent and an empty symbol (国保, 後期高齢者) are the same, and
    /// so are an absent and an empty branch number (older cards have none).
    ///
    /// # Errors
    /// Every part that is wrong.
    pub fn parse(
        insurer_number: &str,
        symbol: &str,
        number: &str,
        branch_number: &str,
    ) -> Result<Self, Vec<InsuredFault>> {
        let insurer = digits(insurer_number, 8).filter(|digits| digits.bytes().any(|b| b != b'0'));
        let symbol = fold(symbol);
        let number = fold(number);
        let branch_number = fold(branch_number);
        let branch = digits(&branch_number, 2);
        let wrong = [
            (insurer.is_none(), InsuredFault::InsurerNumber),
            (symbol.chars().count() > TEXT_LIMIT, InsuredFault::Symbol),
            (number.is_empty() || number.chars().count() > TEXT_LIMIT, InsuredFault::Number),
            (branch.is_none() && !branch_number.is_empty(), InsuredFault::BranchNumber),
        ];
        let faults: Vec<_> = wrong.into_iter().filter_map(|(wrong, fault)| wrong.then_some(fault)).collect();
        match insurer {
            Some(insurer_number) if faults.is_empty() => {
                Ok(Self { insurer_number, symbol, number, branch_number: branch })
            }
            _ => Err(faults),
        }
    }

    /// 保険者番号, 8 digits.
    pub fn insurer_number(&self) -> &str {
        &self.insurer_number
    }

    /// 記号; empty when the insurer gives none.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// 番号
    pub fn number(&self) -> &str {
        &self.number
    }

    /// 枝番, 2 digits; absent on older cards.
    pub fn branch_number(&self) -> Option<&str> {
        self.branch_number.as_deref()
    }

    /// What the directory finds it by. Without the branch number, which is compared apart because it may be
    /// absent on either side.
    pub(in crate::store) fn hash(&self, lookup: &Lookup, birth_date: NaiveDate) -> [u8; 32] {
        let birth_date = birth_date.to_string();
        lookup.hash("insured-identity", &[&self.insurer_number, &self.symbol, &self.number, &birth_date])
    }

    /// The branch number's own hash; differs from person to person.
    pub(in crate::store) fn branch_hash(&self, lookup: &Lookup, birth_date: NaiveDate) -> Option<[u8; 32]> {
        let branch = self.branch_number.as_deref()?;
        let birth_date = birth_date.to_string();
        let parts = [&self.insurer_number, &self.symbol, &self.number, &birth_date, branch];
        Some(lookup.hash("insured-branch", &parts))
    }
}

/// Says that there is one, not which.
impl fmt::Debug for InsuredIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InsuredIdentity(…)")
    }
}

fn digits(text: &str, length: usize) -> Option<String> {
    let text = fold(text);
    let fits = !text.is_empty() && text.len() <= length && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| format!("{text:0>length$}"))
}

/// Half-width katakana in code order from U+FF66, as full-width.
const KATAKANA: &str = "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";

/// Kana that take ゛ and not ゜.
const VOICEABLE: &str = "カキクケコサシスセソタチツテトかきくけこさしすせそたちつてと";

/// Folds width and case and removes white space and control characters.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() || c.is_control() => {}
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => folded.push('-'),
            '\u{ff01}'..='\u{ff5e}' => {
                // The full-width forms lie 0xFEE0 above ASCII.
                let ascii = char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c);
                folded.push(ascii.to_ascii_uppercase());
            }
            '\u{ff66}'..='\u{ff9d}' => {
                let at = u32::from(c) - 0xff66;
                folded.extend(KATAKANA.chars().nth(at as usize));
            }
            '\u{ff9e}' | '\u{3099}' => voice(&mut folded, 1),
            '\u{ff9f}' | '\u{309a}' => voice(&mut folded, 2),
            c => folded.push(c.to_ascii_uppercase()),
        }
    }
    folded
}

/// Puts a mark (1 ゛, 2 ゜) on the last kana: it lies one or two code points above the plain one.
fn voice(text: &mut String, mark: u32) {
    let Some(plain) = text.pop() else { return };
    let marked = match (plain, mark) {
        ('ウ', 1) => Some('ヴ'),
        (plain, _) if "ハヒフヘホはひふへほ".contains(plain) => {
            char::from_u32(u32::from(plain) + mark)
        }
        (plain, 1) if VOICEABLE.contains(plain) => char::from_u32(u32::from(plain) + 1),
        _ => None,
    };
    text.push(marked.unwrap_or(plain));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn different_writings_of_one_card_are_one_identity() {
        let plain = InsuredIdentity::parse("138016", "ガ-12A", "0034", "1").unwrap();
        let wide = InsuredIdentity::parse("１３８０２４", " ｶﾞ－１２ａ", "００ ３４", "０１").unwrap();
        assert_eq!((plain.insurer_number(), plain.branch_number()), ("00138016", Some("01")));
        assert!(plain != wide, "another insurer number");
        let wide = InsuredIdentity::parse("００１３８０１６", " ｶﾞ－１２ａ", "００ ３４", "０１").unwrap();
        assert!(plain == wide);
    }

    #[test]
    fn zeros_of_a_number_and_its_hyphens_tell_cards_apart() {
        let one = InsuredIdentity::parse("06000004", "1-2", "12", "").unwrap();
        assert!(one != InsuredIdentity::parse("06000004", "1-2", "012", "").unwrap());
        assert!(one != InsuredIdentity::parse("06000004", "12", "12", "").unwrap());
        assert_eq!(one.branch_number(), None);
    }

    #[test]
    fn half_width_kana_become_full_width() {
        assert_eq!(fold("ｱｲｳﾞｶﾞﾊﾟﾝｰ"), "アイヴガパンー");
        assert_eq!(fold("ﾎﾟｯﾄﾞ"), "ポッド");
    }

    #[test]
    fn impossible_parts_are_named() {
        use InsuredFault::{BranchNumber, InsurerNumber, Number, Symbol};
        let parse = InsuredIdentity::parse;
        for insurer in ["", "123456789", "00000000", "0600000x"] {
            assert_eq!(parse(insurer, "", "1", ""), Err(vec![InsurerNumber]), "{insurer}");
        }
        let long = "あ".repeat(41);
        assert_eq!(parse("x", &long, " ", "123"), Err(vec![InsurerNumber, Symbol, Number, BranchNumber]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,20}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}

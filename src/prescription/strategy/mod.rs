//! Generated prescriptions and dispensing results for property tests. Each is valid: everything the standards ask of
//! a document holds. Here is what both are made of.

mod dispensing;
mod document;

use chrono::NaiveDate;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) use self::dispensing::dispensing;
pub(crate) use self::document::prescription;
use super::amount::Amount;
use super::document::{InsuredIdentity, Sex};
use super::identifier::{DrugCode, InstitutionCode};
use super::line::UsageCoding;
use super::usage::UsageCode;

const TEXT: &str = "[ぁ-んァ-ヶ一-龠Ａ-Ｚ０-９a-zA-Z0-9【】（）「」．％]{1,20}";
const SHORT_TEXT: &str = "[ぁ-ん錠包ｇmL]{1,6}";
const KANA: &str = "[ｱ-ﾝ]{1,10} [ｱ-ﾝ]{1,10}";
const PHONE: &str = "0[0-9]{1,2}-[0-9]{4}-[0-9]{4}";
const POSTAL_CODE: &str = "[0-9]{3}-[0-9]{4}";
const ASCII: &str = "[0-9A-Za-z.-]{1,15}";
const SUPPLEMENT_CODE: &str = "[A-Z][0-9.A-Z]{7}";

/// A date of birth before any generated document.
fn birth_date() -> impl Strategy<Value = NaiveDate> {
    date_in(1900..2021)
}

/// A date on which a generated document was written.
fn document_date() -> impl Strategy<Value = NaiveDate> {
    date_in(2021..2090)
}

fn date_in(years: std::ops::Range<i32>) -> impl Strategy<Value = NaiveDate> {
    (years, 1u32..=12, 1u32..=28)
        .prop_map(|(year, month, day)| NaiveDate::from_ymd_opt(year, month, day).unwrap())
}

/// Any amount.
pub(crate) fn amount() -> impl Strategy<Value = Amount> {
    (0u32..=999_999, 0u32..=99_999).prop_filter_map("above zero", |(integer, fraction)| {
        let text = format!("{integer}.{fraction:05}");
        text.trim_end_matches('0').trim_end_matches('.').parse().ok()
    })
}

/// A code of a product, of any kind.
pub(crate) fn product_code() -> impl Strategy<Value = DrugCode> {
    let stem = "[0-9]{7}[A-Z][0-9]{3}";
    let checked = |parse: fn(&str) -> Result<DrugCode, _>| {
        move |stem: String| (0..10).find_map(|check| parse(&format!("{stem}{check}")).ok())
    };
    prop_oneof![
        "6[124678][0-9]{7}|7[0-9]{8}".prop_map(|code| DrugCode::receipt(&code).unwrap()),
        stem.prop_filter_map("check digit", checked(DrugCode::price)),
        stem.prop_filter_map("check digit", checked(DrugCode::yj)),
        "[0-9]{7}|[0-9]{9}|[0-9]{13}".prop_map(|code| DrugCode::hot(&code).unwrap()),
    ]
}

fn generic_code() -> impl Strategy<Value = DrugCode> {
    "[0-9]{7}[A-Z][0-9A-Z]ZZZ".prop_map(|code| DrugCode::generic(&code).unwrap())
}

fn usage_coding() -> impl Strategy<Value = UsageCoding> {
    let codes =
        ["1011100000000000", "1013044400000000", "1050W20000000000", "2A71000000000000", "0X0XXXXXXXXX0000"];
    let code = select(codes.to_vec()).prop_map(|code| code.parse::<UsageCode>().unwrap());
    prop_oneof![
        Just(UsageCoding::Uncoded),
        code.clone().prop_map(UsageCoding::Jami),
        code.prop_map(UsageCoding::Master),
    ]
}

fn institution_code(fee_tables: &'static str) -> impl Strategy<Value = InstitutionCode> {
    (1u8..=47, select(fee_tables.chars().collect::<Vec<_>>()), "[0-9]{7}")
        .prop_map(|(prefecture, table, own)| format!("{prefecture:02}{table}{own}").parse().unwrap())
}

fn sex() -> impl Strategy<Value = Sex> {
    select(vec![Sex::Male, Sex::Female])
}

/// Gives the elements numbers from 1 upwards.
fn numbered<T, N>(elements: Vec<T>, mut number: impl FnMut(u16, T) -> N) -> Vec<N> {
    (1..).zip(elements).map(|(index, element)| number(index, element)).collect()
}

fn insured_identity() -> impl Strategy<Value = InsuredIdentity> {
    (of("[0-9]{8}|[0-9]{6}"), of(TEXT), of(TEXT), of("[0-9]{2}")).prop_map(
        |(insurer_number, symbol, number, branch_number)| InsuredIdentity {
            insurer_number,
            symbol,
            number,
            branch_number,
        },
    )
}

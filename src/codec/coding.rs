//! The codes SJ1 and CJ1 write alike: sex, and drug, usage and institution codes of a kind named beside them.

use super::items::Items;
use crate::prescription::document::Sex;
use crate::prescription::identifier::{DrugCode, InstitutionCode};
use crate::prescription::line::UsageCoding;
use crate::prescription::usage::UsageCode;

/// 性別.
pub(super) const SEX: &[(u16, Sex)] = &[(1, Sex::Male), (2, Sex::Female)];

/// 薬品コード種別.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrugCodeKind {
    /// 1 コードなし.
    Uncoded,
    /// 2 レセプト電算コード.
    Receipt,
    /// 3 厚労省コード.
    Price,
    /// 4 YJ コード.
    Yj,
    /// 6 HOT コード.
    Hot,
    /// 7 一般名コード, in prescriptions only.
    Generic,
}

/// 薬品コード種別 of a prescription (JAHIS10 表3-39 item 4).
pub(super) const PRESCRIBED_CODE_KIND: &[(u16, DrugCodeKind)] = &[
    (1, DrugCodeKind::Uncoded),
    (2, DrugCodeKind::Receipt),
    (3, DrugCodeKind::Price),
    (4, DrugCodeKind::Yj),
    (6, DrugCodeKind::Hot),
    (7, DrugCodeKind::Generic),
];

/// 薬品コード種別 of a dispensing: a product was given, never a generic name.
pub(super) const DISPENSED_CODE_KIND: &[(u16, DrugCodeKind)] = &[
    (1, DrugCodeKind::Uncoded),
    (2, DrugCodeKind::Receipt),
    (3, DrugCodeKind::Price),
    (4, DrugCodeKind::Yj),
    (6, DrugCodeKind::Hot),
];

/// 用法コード種別.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageCodeKind {
    /// 1 コードなし.
    Uncoded,
    /// 2 JAMI標準用法コード.
    Jami,
    /// 3 電子処方箋用法マスタ.
    Master,
}

/// 用法コード種別 of the forms of the national service.
pub(super) const USAGE_CODE_KIND: &[(u16, UsageCodeKind)] =
    &[(1, UsageCodeKind::Uncoded), (2, UsageCodeKind::Jami), (3, UsageCodeKind::Master)];

/// 用法コード種別 of JAHIS (JAHIS10 表3-37 item 2): without the master of the national service.
pub(super) const STANDARD_USAGE_CODE_KIND: &[(u16, UsageCodeKind)] =
    &[(1, UsageCodeKind::Uncoded), (2, UsageCodeKind::Jami)];

/// The kind of a drug code, and with `uncoded_generic` of its absence.
pub(super) fn drug_code_kind(code: Option<&DrugCode>, uncoded_generic: bool) -> DrugCodeKind {
    match code {
        None if uncoded_generic => DrugCodeKind::Generic,
        None => DrugCodeKind::Uncoded,
        Some(DrugCode::Receipt(_)) => DrugCodeKind::Receipt,
        Some(DrugCode::Price(_)) => DrugCodeKind::Price,
        Some(DrugCode::Yj(_)) => DrugCodeKind::Yj,
        Some(DrugCode::Hot(_)) => DrugCodeKind::Hot,
        Some(DrugCode::Generic(_)) => DrugCodeKind::Generic,
    }
}

/// The kind of a usage code.
pub(super) fn usage_code_kind(code: &UsageCoding) -> UsageCodeKind {
    match code {
        UsageCoding::Uncoded => UsageCodeKind::Uncoded,
        UsageCoding::Jami(_) => UsageCodeKind::Jami,
        UsageCoding::Master(_) => UsageCodeKind::Master,
    }
}

/// Reads the drug code in `item`, of the kind read before it. Only a generic name may go without its code.
pub(super) fn drug_code(items: &mut Items<'_, '_, '_>, kind: DrugCodeKind, item: usize) -> Option<DrugCode> {
    let parse = match kind {
        DrugCodeKind::Uncoded => {
            items.refuse(item, "the code kind says that there is no code");
            return None;
        }
        DrugCodeKind::Generic => return items.parsed(item, DrugCode::generic),
        DrugCodeKind::Receipt => DrugCode::receipt,
        DrugCodeKind::Price => DrugCode::price,
        DrugCodeKind::Yj => DrugCode::yj,
        DrugCodeKind::Hot => DrugCode::hot,
    };
    items.required_parsed(item, parse)
}

/// Reads the usage code in `item`, of the kind read before it.
pub(super) fn usage_code(
    items: &mut Items<'_, '_, '_>,
    kind: UsageCodeKind,
    item: usize,
) -> Option<UsageCoding> {
    match kind {
        UsageCodeKind::Uncoded => {
            items.refuse(item, "the code kind says that there is no code");
            Some(UsageCoding::Uncoded)
        }
        UsageCodeKind::Jami => items.required_parsed(item, str::parse::<UsageCode>).map(UsageCoding::Jami),
        UsageCodeKind::Master => {
            items.required_parsed(item, str::parse::<UsageCode>).map(UsageCoding::Master)
        }
    }
}

/// Where an institution's code stands in a row: prefecture, fee table, and its own seven digits.
pub(super) struct InstitutionItems {
    pub prefecture: usize,
    pub institution: usize,
}

/// 都道府県コード: 01 to 47, and 99 for the institutions the national service tests with.
fn is_prefecture(text: &str) -> bool {
    text.len() == 2
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|code: u8| (1..=47).contains(&code) || code == 99)
}

/// Puts an institution's ten-digit code together from its parts. A wrong check digit is only odd: the field has
/// codes of that kind, among them every test institution.
pub(super) fn institution_code(
    items: &mut Items<'_, '_, '_>,
    fee_table: Option<&str>,
    at: &InstitutionItems,
) -> Option<InstitutionCode> {
    if items.require(at.prefecture) && !is_prefecture(items.raw(at.prefecture)) {
        items.fault(at.prefecture, "expected a prefecture code from 01 to 47, or 99");
    }
    items.require(at.institution);
    let institution = items.digits(at.institution, 7..=7)?;
    let code = format!("{}{}{institution}", items.raw(at.prefecture), fee_table?);
    let code: InstitutionCode = code.parse().ok()?;
    if !code.check_digit_holds() {
        items.warn(at.institution, "the check digit of the institution code does not hold");
    }
    Some(code)
}

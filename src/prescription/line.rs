//! What is prescribed: the RP groups (剤) of a prescription, their usage (用法) and their lines (薬品).
//! Says nothing about what was dispensed and does not know how a line is written.

use super::amount::Amount;
use super::identifier::DrugCode;
use super::usage::UsageCode;

/// 剤 (RP): lines taken the same way for the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpGroup {
    /// RP番号, 1 to 999, ascending within the document.
    pub number: u16,
    /// 剤形区分.
    pub kind: DosageKind,
    /// 剤形名称, only with [`DosageKind::Unknown`].
    pub kind_name: Option<String>,
    /// 調剤数量: days of an internal medicine, times of an as-needed one, days or times of others. With a
    /// split (分割) the total of all parts.
    pub quantity: u16,
    /// 分割回ごと調剤数量, present in every group of a split prescription and in no other.
    pub split_quantity: Option<u16>,
    /// 用法.
    pub usage: Usage,
    /// 用法補足.
    pub supplements: Vec<UsageSupplement>,
    /// 薬品, at least one.
    pub lines: Vec<Line>,
}

/// 剤形区分 of a prescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DosageKind {
    /// 1 内服.
    Internal,
    /// 2 頓服.
    AsNeeded,
    /// 3 外用.
    External,
    /// 4 内服滴剤.
    InternalDrops,
    /// 5 注射.
    Injection,
    /// 6 医療材料.
    Material,
    /// 9 不明.
    Unknown,
}

/// 用法.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// 用法コード.
    pub code: UsageCoding,
    /// 用法名称.
    pub name: String,
    /// 1日回数, 1 to 99.
    pub times_per_day: Option<u8>,
}

/// 用法コード with its kind (用法コード種別).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UsageCoding {
    /// 1 コードなし.
    Uncoded,
    /// 2 JAMI標準用法コード.
    Jami(UsageCode),
    /// 3 電子処方箋用法マスタ.
    Master(UsageCode),
}

impl UsageCoding {
    /// The code, whatever its kind.
    pub fn code(&self) -> Option<&UsageCode> {
        match self {
            Self::Uncoded => None,
            Self::Jami(code) | Self::Master(code) => Some(code),
        }
    }
}

/// 用法補足: more about how the whole group is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSupplement {
    /// 補足連番, 1 to 999.
    pub number: u16,
    /// 用法補足区分.
    pub kind: Option<UsageSupplementKind>,
    /// 用法補足情報.
    pub text: String,
    /// 補足用法コード, eight characters; required with [`UsageSupplementKind::CodedUsage`].
    pub code: Option<String>,
    /// 部位コード, three characters; required with [`UsageSupplementKind::CodedSite`].
    pub site: Option<String>,
}

/// 用法補足区分.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageSupplementKind {
    /// 1 漸減.
    Tapering,
    /// 2 一包化.
    OneDosePackage,
    /// 3 隔日.
    AlternateDays,
    /// 4 粉砕.
    Crushing,
    /// 5 用法の続き.
    Continued,
    /// 6 部位.
    Site,
    /// 7 1回使用量.
    SingleDose,
    /// 8 JAMI補足用法.
    CodedUsage,
    /// 9 JAMI部位.
    CodedSite,
}

/// 薬品: one product or generic name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// RP内連番, 1 to 99, ascending within the group.
    pub number: u16,
    /// 情報区分.
    pub class: Option<InformationClass>,
    /// 薬品コード.
    pub code: Option<DrugCode>,
    /// 一般名処方 without a code: the name is a generic name. Only when `code` is `None`.
    pub uncoded_generic: bool,
    /// 薬品名称; may be missing only beside a receipt code.
    pub name: Option<String>,
    /// 用量: per day for internal medicines, the total or per use for others.
    pub amount: Amount,
    /// 力価フラグ.
    pub potency: Potency,
    /// 単位名.
    pub unit: String,
    /// 単位変換係数: amount × this = amount in the unit of the price list.
    pub conversion: Option<Amount>,
    /// 不均等服用: the doses of a day in order, two to five; empty when every dose is the same.
    pub uneven_doses: Vec<UnevenDose>,
    /// 負担区分; on all lines of a document or on none.
    pub burden: Option<Burden>,
    /// 1回服用量.
    pub single_dose: Option<SingleDose>,
    /// 薬品補足.
    pub supplements: Vec<DrugSupplement>,
}

/// 情報区分.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InformationClass {
    /// 1 医薬品.
    Drug,
    /// 2 医療材料.
    Material,
    /// 3 非保険薬.
    Uninsured,
}

/// 力価フラグ: what the amount counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Potency {
    /// 1 薬価単位 (製剤量): the product.
    Product,
    /// 2 力価単位 (原薬量): the active ingredient.
    Ingredient,
}

/// One dose of an uneven day (不均等服用).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnevenDose {
    /// 服用量.
    pub amount: Amount,
    /// 補足用法コード of this dose, eight characters.
    pub code: Option<String>,
}

/// 負担区分: which of the public payers bears the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Burden {
    /// 第一, 第二, 第三公費.
    pub public: [bool; 3],
    /// 特殊公費.
    pub special: bool,
}

/// 1回服用量.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleDose {
    /// As written; need not be a number (`2/3`).
    pub amount: String,
    /// 1日服用回数.
    pub times_per_day: Option<u8>,
}

/// 薬品補足.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrugSupplement {
    /// 薬品補足連番, 1 to 999.
    pub number: u16,
    /// 薬品補足区分.
    pub kind: Option<DrugSupplementKind>,
    /// 薬品補足情報.
    pub text: String,
    /// 補足用法コード, eight characters; required with [`DrugSupplementKind::CodedUsage`].
    pub code: Option<String>,
}

/// 薬品補足区分.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrugSupplementKind {
    /// 1 一包化.
    OneDosePackage,
    /// 2 粉砕.
    Crushing,
    /// 3 後発品変更不可.
    NoGeneric,
    /// 4 剤形変更不可.
    NoOtherForm,
    /// 5 含量規格変更不可.
    NoOtherStrength,
    /// 6 剤形変更不可及び含量規格変更不可.
    NoOtherFormOrStrength,
    /// 7 JAMI補足用法.
    CodedUsage,
    /// 8 先発医薬品患者希望.
    PatientWantsBrand,
}

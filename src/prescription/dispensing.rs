//! The dispensing result (調剤結果): what the pharmacy gave, to whom, and how it came to differ from the
//! prescription. Knows no wire format.

use chrono::NaiveDate;
use uuid::Uuid;

use super::amount::Amount;
use super::document::{InsuredIdentity, Sex};
use super::identifier::{DrugCode, InstitutionCode};
use super::line::UsageCoding;

/// 調剤結果. Lists keep the order of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispensing {
    /// 患者.
    pub patient: DispensingPatient,
    /// 患者特記.
    pub patient_remarks: Vec<PatientRemark>,
    /// 手帳メモ.
    pub memos: Vec<Memo>,
    /// 調剤年月日.
    pub dispensed_on: NaiveDate,
    /// 保険者番号, 記号, 番号, 枝番.
    pub identity: InsuredIdentity,
    /// 処方箋ID; `None` when the paper prescription was never registered.
    pub prescription_id: Option<Uuid>,
    /// 薬局.
    pub pharmacy: Pharmacy,
    /// 薬剤師.
    pub pharmacist: Pharmacist,
    /// 処方医療機関.
    pub institution: Option<PrescribingInstitution>,
    /// 処方医師.
    pub prescriber: Option<DispensingPrescriber>,
    /// 剤 (RP), with the numbers of the prescription.
    pub groups: Vec<DispensedGroup>,
    /// 服用注意.
    pub cautions: Vec<String>,
    /// 医療機関等提供情報.
    pub provided_information: Vec<ProvidedInformation>,
    /// 残薬確認.
    pub remaining_medicine: Vec<String>,
    /// 備考.
    pub remarks: Vec<String>,
    /// 疑義照会結果 and other explanations of a difference from the prescription.
    pub inquiries: Vec<Inquiry>,
}

impl Dispensing {
    /// The longest supply in days among the medicines taken by mouth; 0 when there is none. The next use of a
    /// refill (リフィル) falls due that many days after this dispensing.
    pub fn days_supplied(&self) -> u16 {
        self.groups
            .iter()
            .filter(|group| group.form.is_internal() && group.unit == SupplyUnit::Days)
            .map(|group| group.quantity)
            .max()
            .unwrap_or(0)
    }
}

/// 患者 as the pharmacy's notebook record describes the patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispensingPatient {
    /// 氏名.
    pub name: String,
    /// 性別.
    pub sex: Sex,
    /// 生年月日.
    pub birth_date: NaiveDate,
    /// 郵便番号.
    pub postal_code: Option<String>,
    /// 住所.
    pub address: Option<String>,
    /// 電話番号.
    pub phone: Option<String>,
    /// 緊急連絡先.
    pub emergency_contact: Option<String>,
    /// 血液型.
    pub blood_type: Option<String>,
    /// 体重 in kilograms.
    pub weight: Option<String>,
    /// カナ氏名.
    pub kana: Option<String>,
}

/// 患者特記.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatientRemark {
    /// 種別.
    pub kind: PatientRemarkKind,
    /// 内容.
    pub text: String,
}

/// 患者特記種別.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatientRemarkKind {
    /// 1 アレルギー歴.
    Allergy,
    /// 2 副作用歴.
    AdverseReaction,
    /// 3 既往歴.
    History,
    /// 9 その他.
    Other,
}

/// 手帳メモ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memo {
    /// メモ.
    pub text: String,
    /// 入力日.
    pub entered_on: Option<NaiveDate>,
}

/// 薬局.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pharmacy {
    /// 名称.
    pub name: String,
    /// 医療機関コード, ten digits with fee table 4 (調剤).
    pub code: InstitutionCode,
    /// 郵便番号.
    pub postal_code: Option<String>,
    /// 住所.
    pub address: Option<String>,
    /// 電話番号.
    pub phone: Option<String>,
}

/// 薬剤師.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pharmacist {
    /// 氏名.
    pub name: String,
    /// 連絡先.
    pub contact: Option<String>,
}

/// 処方医療機関.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrescribingInstitution {
    /// 名称.
    pub name: String,
    /// 医療機関コード, ten digits.
    pub code: InstitutionCode,
}

/// 処方医師.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispensingPrescriber {
    /// 医師名.
    pub name: String,
    /// 診療科名.
    pub department: Option<String>,
}

/// 剤 (RP) as dispensed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispensedGroup {
    /// RP番号.
    pub number: u16,
    /// 薬品, at least one.
    pub lines: Vec<DispensedLine>,
    /// 用法名; may be missing only for materials and others.
    pub usage_name: Option<String>,
    /// 用法コード.
    pub usage_code: UsageCoding,
    /// 調剤数量.
    pub quantity: u16,
    /// 調剤単位.
    pub unit: SupplyUnit,
    /// 剤形.
    pub form: DispensedForm,
    /// 用法補足.
    pub usage_supplements: Vec<String>,
    /// 処方服用注意.
    pub usage_cautions: Vec<String>,
}

/// 薬品 as dispensed. Substitution has no code of its own: the line differs from the prescribed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispensedLine {
    /// 薬品名.
    pub name: String,
    /// 用量.
    pub amount: Amount,
    /// 単位名.
    pub unit: String,
    /// 薬品コード.
    pub code: Option<DrugCode>,
    /// 薬品補足 and 薬品服用注意 written after this line, in their order. The document ties them to the group, not to the line.
    pub notes: Vec<LineNote>,
}

/// What stands after a dispensed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineNote {
    /// 薬品補足.
    Supplement(String),
    /// 薬品服用注意.
    Caution(String),
}

/// 調剤単位.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SupplyUnit {
    /// 日分.
    Days,
    /// 回分.
    Times,
    /// 調剤.
    Preparations,
}

/// 剤形 of a dispensing (お薬手帳).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DispensedForm {
    /// 1 内服.
    Internal,
    /// 2 内滴.
    InternalDrops,
    /// 3 屯服.
    AsNeeded,
    /// 4 注射.
    Injection,
    /// 5 外用.
    External,
    /// 6 浸煎.
    Infusion,
    /// 7 湯.
    Decoction,
    /// 9 材料.
    Material,
    /// 10 その他.
    Other,
}

impl DispensedForm {
    /// Taken by mouth day after day.
    pub fn is_internal(self) -> bool {
        matches!(self, Self::Internal | Self::InternalDrops | Self::Infusion | Self::Decoction)
    }
}

/// 医療機関等提供情報.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvidedInformation {
    /// 内容.
    pub text: String,
    /// 種別.
    pub kind: ProvidedInformationKind,
}

/// 提供情報種別.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProvidedInformationKind {
    /// 30 入院中に副作用が発現した薬剤に関する情報.
    AdverseReactionInHospital,
    /// 31 退院後の療養に必要な服薬情報.
    NeededAfterDischarge,
    /// 99 その他.
    Other,
}

/// 疑義照会結果 and the like: why the dispensing differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// 区分, up to three digits; 999 is その他. The list of codes is not public.
    pub class: String,
    /// 内容.
    pub text: String,
}

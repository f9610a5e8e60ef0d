//! The prescription (処方箋) as a document says it: who issued it, for whom, under which insurance, for how long.
//! Owns no wire format and no state: what happened to a prescription is kept elsewhere.

use chrono::{Days, NaiveDate};

use super::identifier::InstitutionCode;
use super::line::RpGroup;

/// Days after the issue date on which a prescription can still be used when it names no other date: four days
/// counting the issue date (保険医療機関及び保険医療養担当規則 20条).
const DAYS_AFTER_ISSUE: Days = Days::new(3);

/// 処方箋. Everything the document says, in its order; lists keep the order of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prescription {
    /// 医療機関, the issuing institution.
    pub institution: Institution,
    /// 診療科.
    pub department: Option<Department>,
    /// 医師, the prescriber.
    pub prescriber: Prescriber,
    /// 患者.
    pub patient: PatientParticulars,
    /// 一部負担金区分.
    pub copayment: Option<Copayment>,
    /// 保険.
    pub insurance: Insurance,
    /// 処方箋交付年月日.
    pub issued_on: NaiveDate,
    /// 使用期限年月日, when it differs from the ordinary four days.
    pub usable_until: Option<NaiveDate>,
    /// 麻薬施用.
    pub narcotics: Option<Narcotics>,
    /// 残薬確認欄.
    pub remaining_medicine: Option<RemainingMedicine>,
    /// 分割指示.
    pub split: Option<Split>,
    /// リフィル.
    pub refill: Option<Refill>,
    /// 備考.
    pub remarks: Vec<Remark>,
    /// 引換番号 as the document carries it, up to 16 digits. A clinic cannot know it at the first registration.
    pub exchange_number: Option<String>,
    /// 剤 (RP).
    pub groups: Vec<RpGroup>,
    /// 提供診療情報.
    pub clinical_notes: Vec<ClinicalNote>,
    /// 検査値.
    pub laboratory_values: Vec<LaboratoryValue>,
}

impl Prescription {
    /// The last day on which the prescription can be accepted.
    pub fn valid_until(&self) -> NaiveDate {
        self.usable_until
            .unwrap_or_else(|| self.issued_on.checked_add_days(DAYS_AFTER_ISSUE).unwrap_or(NaiveDate::MAX))
    }

    /// 総使用回数: how many times it can be dispensed.
    pub fn uses_allowed(&self) -> u8 {
        self.refill.map_or(1, |refill| refill.uses)
    }

    /// Whether it is a 麻薬処方箋.
    pub fn is_narcotic(&self) -> bool {
        self.narcotics.is_some()
    }
}

/// 医療機関.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Institution {
    /// 医療機関コード, ten digits.
    pub code: InstitutionCode,
    /// 名称.
    pub name: Option<String>,
    /// 郵便番号, `nnn-nnnn`.
    pub postal_code: Option<String>,
    /// 所在地.
    pub address: Option<String>,
    /// 電話番号.
    pub phone: Option<String>,
    /// FAX番号. Only with a phone.
    pub fax: Option<String>,
    /// その他連絡先. Only with a phone.
    pub other_contact: Option<String>,
}

/// 診療科. At least one of the two is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Department {
    /// 診療科コード (JAHIS10 別表3).
    pub code: Option<String>,
    /// 診療科名; required when there is no code.
    pub name: Option<String>,
}

/// 医師.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prescriber {
    /// 医師コード of the institution.
    pub code: Option<String>,
    /// カナ氏名.
    pub kana: Option<String>,
    /// 漢字氏名.
    pub name: String,
}

/// 患者 as the document describes the patient. At least one of name and kana is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatientParticulars {
    /// 患者コード of the institution.
    pub code: Option<String>,
    /// 漢字氏名.
    pub name: Option<String>,
    /// カナ氏名.
    pub kana: Option<String>,
    /// 性別.
    pub sex: Sex,
    /// 生年月日.
    pub birth_date: NaiveDate,
}

/// 性別, as the insurance knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sex {
    /// 男.
    Male,
    /// 女.
    Female,
}

/// 一部負担金区分.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copayment {
    /// 1 高齢者一般.
    ElderlyOrdinary,
    /// 2 高齢者7割.
    ElderlySeventyPercent,
    /// 3 6歳未満.
    UnderSix,
    /// 4 高齢者一般, the other code for the same class.
    ElderlyOrdinaryAlternative,
    /// 5 高齢者8割 (後期高齢者).
    ElderlyEightyPercent,
}

/// 保険: who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insurance {
    /// 保険種別.
    pub kind: Option<InsuranceKind>,
    /// 保険者番号, 記号, 番号, 枝番.
    pub identity: InsuredIdentity,
    /// 被保険者/被扶養者.
    pub relation: Relation,
    /// 負担・給付率.
    pub rates: Option<Rates>,
    /// 職務上の事由.
    pub duty_reason: Option<DutyReason>,
    /// 第一, 第二, 第三公費.
    pub public_payers: [Option<PublicPayer>; 3],
    /// 特殊公費.
    pub special_payer: Option<SpecialPayer>,
    /// レセプト種別コード, four digits (JAHIS10 別表4).
    pub receipt_kind: Option<String>,
}

/// 保険種別.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InsuranceKind {
    /// 1 医保 or 公費.
    Employee,
    /// 2 国保.
    National,
    /// 3 労災.
    WorkAccident,
    /// 4 自賠責.
    Automobile,
    /// 5 公害.
    Pollution,
    /// 6 自費.
    SelfPaid,
    /// 7 後期高齢者.
    LateElderly,
}

/// What identifies the insured person. All empty when a public payer alone pays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct InsuredIdentity {
    /// 保険者番号.
    pub insurer_number: Option<String>,
    /// 記号.
    pub symbol: Option<String>,
    /// 番号.
    pub number: Option<String>,
    /// 枝番, two characters.
    pub branch_number: Option<String>,
}

/// 被保険者/被扶養者.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// 1 本人.
    Insured,
    /// 2 家族.
    Dependant,
}

/// 負担・給付率 in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rates {
    /// 患者負担率, 0 to 100.
    pub burden: u8,
    /// 保険給付率, 0 to 100.
    pub benefit: u8,
}

/// 職務上の事由.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DutyReason {
    /// 1 職務上.
    OnDuty,
    /// 2 下船後3ヶ月以内.
    WithinThreeMonthsAshore,
    /// 3 通勤災害.
    Commuting,
}

/// 公費.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPayer {
    /// 公費負担者番号, eight digits.
    pub payer_number: String,
    /// 公費受給者番号, seven digits.
    pub recipient_number: Option<String>,
}

/// 特殊公費: numbers that do not fit a public payer's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialPayer {
    /// 特殊公費負担者番号.
    pub payer_number: String,
    /// 特殊公費受給者番号.
    pub recipient_number: Option<String>,
}

/// 麻薬施用.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narcotics {
    /// 麻薬施用者免許番号.
    pub licence_number: Option<String>,
    /// 麻薬施用患者住所.
    pub patient_address: String,
    /// 麻薬施用患者電話番号.
    pub patient_phone: String,
}

/// 残薬確認欄: what the pharmacist does on finding leftover medicine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemainingMedicine {
    /// 1 疑義照会した上で調剤.
    InquireBeforeDispensing,
    /// 2 情報提供.
    InformAfterwards,
}

/// 分割指示: this document is part `part` of `parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// 分割回数, 2 or 3.
    pub parts: u8,
    /// 分割回, 1 to `parts`.
    pub part: u8,
}

/// リフィル.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refill {
    /// 総使用回数, 2 or 3.
    pub uses: u8,
}

/// 備考.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// 備考連番, 1 to 999.
    pub number: u16,
    /// 備考種別.
    pub kind: Option<RemarkKind>,
    /// 備考.
    pub text: String,
}

/// 備考種別.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemarkKind {
    /// 1 一包化.
    OneDosePackage,
    /// 2 粉砕.
    Crushing,
    /// 3 分割.
    Split,
}

/// 提供診療情報: clinical information for the pharmacist, about one drug or the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClinicalNote {
    /// 連番, 1 to 999.
    pub number: u16,
    /// 薬品名.
    pub drug_name: Option<String>,
    /// コメント.
    pub comment: String,
}

/// 検査値.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaboratoryValue {
    /// 連番, 1 to 999.
    pub number: u16,
    /// The finding in words and figures.
    pub text: String,
}

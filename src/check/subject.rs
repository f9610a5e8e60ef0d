//! What is compared: the lines of the document at hand on the one side, the periods of the patient's history on
//! the other. Callers convert documents into these; the rules see nothing else.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::finding::UncheckedReason;
use super::period::{Interval, Supply};
use crate::formulary::{Formulary, Product};
use crate::prescription::identifier::{DrugCode, InstitutionCode};

/// 情報区分: what a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineContent {
    /// 医薬品, a medicine under insurance.
    Drug,
    /// 医療材料, a material such as a needle.
    Material,
    /// 非保険薬, a medicine outside insurance.
    NonInsured,
}

/// One line of the document that is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where the line stands, for people and programs: `SJ1[line 12]`. No part of a finding's identity.
    pub place: String,
    /// RP番号, the number of the order group.
    pub rp: u16,
    /// The number of the line in its group.
    pub line: u16,
    /// What the line names.
    pub content: LineContent,
    /// The drug's code; `None` when the document gives none.
    pub code: Option<DrugCode>,
    /// The drug's name as the document writes it.
    pub name: String,
    /// The first day: issue date of a prescription, dispensing date of a result, unless the document says later.
    pub start: NaiveDate,
    /// How long it will last.
    pub supply: Supply,
}

/// The document that is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The prescribing institution; also when a pharmacy checks what it dispenses.
    pub institution: InstitutionCode,
    /// History under these document ids is the proposal itself (the version it amends, the prescription it
    /// dispenses, earlier parts of it) and is not compared.
    pub documents: Vec<String>,
    /// Its lines.
    pub lines: Vec<Candidate>,
}

/// What a period rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Prescribed and not yet dispensed.
    Prescribed,
    /// Dispensed, as the dispensing result says.
    Dispensed,
}

/// One medicine in the patient's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// What it rests on.
    pub source: Source,
    /// The id of the prescription or dispensing.
    pub document: String,
    /// What the line names.
    pub content: LineContent,
    /// The drug's code; `None` when the document gives none.
    pub code: Option<DrugCode>,
    /// The drug's name as the document writes it.
    pub name: String,
    /// 服用期間.
    pub interval: Interval,
    /// The prescribing institution.
    pub institution: InstitutionCode,
    /// Its name.
    pub institution_name: String,
}

/// A line or period together with the product its code leads to.
pub(super) struct Resolved<'a, T> {
    pub(super) subject: &'a T,
    pub(super) product: &'a Product,
}

/// Dummy codes (電子処方箋 ダミーコード) a document carries where no code exists.
const DUMMY_DRUGS: [&str; 2] = ["666660000", "2000000X0000"];
const DUMMY_MATERIAL: &str = "777770000";

/// Leads a line to its product, or says why it cannot be checked.
pub(super) fn resolve<'a>(
    content: LineContent,
    code: Option<&DrugCode>,
    formulary: &'a Formulary,
) -> Result<&'a Product, UncheckedReason> {
    match content {
        LineContent::Material => return Err(UncheckedReason::Material),
        LineContent::NonInsured => return Err(UncheckedReason::NonInsured),
        LineContent::Drug => {}
    }
    let code = code.ok_or(UncheckedReason::NoCode)?;
    if DUMMY_DRUGS.contains(&code.as_str()) {
        return Err(UncheckedReason::NoCode);
    }
    // レセプト電算コード of materials begin with 7.
    if code.as_str() == DUMMY_MATERIAL || matches!(code, DrugCode::Receipt(digits) if digits.starts_with('7'))
    {
        return Err(UncheckedReason::Material);
    }
    formulary.product(code).ok_or(UncheckedReason::UnknownCode)
}

//! What is told of a patient beside prescriptions: allergies, medicines by the patient's own account (自己申告), and
//! medicines that institutions claimed for (レセプト由来). Each is shown as what it is and nobody has signed it. Knows
//! neither a wire format nor where it is kept.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::identifier::{DrugCode, InstitutionCode};

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Names it.
    pub id: Uuid,
    /// The day it was recorded, in Japan.
    pub recorded_on: NaiveDate,
    /// By whom.
    pub by: Reporter,
    /// What.
    pub content: Content,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reporter", rename_all = "kebab-case")]
pub enum Reporter {
    /// The patient.
    Patient,
    /// A facility.
    Facility {
        /// Its code.
        code: InstitutionCode,
        /// Its name; empty when only the code is known.
        name: String,
        /// The person at its terminal.
        person: Option<String>,
    },
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Content {
    /// アレルギー.
    Allergy(Allergy),
    /// 自己申告.
    Medicine(Medicine),
    /// レセプト由来.
    Claim(Claim),
}

/// Something the patient does not tolerate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allergy {
    /// The medicine, where it was named by code.
    pub code: Option<DrugCode>,
    /// What it is, in words; of a medicine its name or that of an ingredient.
    pub name: String,
    /// What kind of thing it is, where that was said.
    pub category: Option<AllergyCategory>,
    /// 症状: what happened.
    pub reaction: Option<String>,
    /// When it was noticed.
    pub noticed_on: Option<NaiveDate>,
    /// Whether a practitioner has confirmed it.
    pub confirmed: bool,
}

/// The kinds of thing one may be allergic to, as FHIR tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllergyCategory {
    /// 食物.
    Food,
    /// 医薬品.
    Medication,
    /// 環境: pollen, latex.
    Environment,
    /// 生物学的製剤.
    Biologic,
}

/// A medicine the patient takes or took by their own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Medicine {
    /// Its name as told.
    pub name: String,
    /// Its code, where one was told.
    pub code: Option<DrugCode>,
    /// 成分 by name, of a medicine without a code (要指導医薬品・一般用医薬品).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingredients: Vec<String>,
    /// 服用開始日.
    pub from: Option<NaiveDate>,
    /// 服用終了日, the last day; `None` while it is taken.
    pub until: Option<NaiveDate>,
    /// What the patient adds.
    pub note: Option<String>,
}

/// A medicine an institution claimed for; the claim says the month only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The first day of the month (診療年月).
    pub month: NaiveDate,
    /// The product.
    pub code: DrugCode,
    /// Its name, where the claim has it.
    pub name: String,
    /// 使用量, a decimal number as written, in the product's unit.
    pub quantity: String,
}

impl Reported {
    /// The first and, when it has one, the last day the entry speaks of.
    pub fn days(&self) -> (NaiveDate, Option<NaiveDate>) {
        match &self.content {
            Content::Allergy(allergy) => (allergy.noticed_on.unwrap_or(self.recorded_on), None),
            Content::Medicine(medicine) => (medicine.from.unwrap_or(self.recorded_on), medicine.until),
            Content::Claim(claim) => (claim.month, Some(claim.last_day())),
        }
    }
}

impl Claim {
    /// The last day of the month.
    pub fn last_day(&self) -> NaiveDate {
        let next = self.month.checked_add_months(chrono::Months::new(1));
        next.and_then(|next| next.pred_opt()).unwrap_or(self.month)
    }
}

impl Reporter {
    /// The facility, when it was one.
    pub fn facility(&self) -> Option<&InstitutionCode> {
        match self {
            Self::Patient => None,
            Self::Facility { code, .. } => Some(code),
        }
    }
}

impl AllergyCategory {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Food, Self::Medication, Self::Environment, Self::Biologic];

    /// FHIR's code (allergy-intolerance-category).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Food => "food",
            Self::Medication => "medication",
            Self::Environment => "environment",
            Self::Biologic => "biologic",
        }
    }
}

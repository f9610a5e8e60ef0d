//! What patients say of themselves: medicines bought without a prescription, allergies, what they noted down. Knows
//! neither the notebook it was read from nor where it is kept.

use chrono::NaiveDate;

use super::dispensing::{Memo, PatientRemark};
use super::identifier::DrugCode;

/// Everything a patient has told at once, such as by one medicine notebook (お薬手帳).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelfReport {
    /// Medicines, in the order they were told.
    pub medicines: Vec<SelfReportedMedicine>,
    /// 患者特記: allergies, adverse reactions, past illness.
    pub remarks: Vec<PatientRemark>,
    /// 手帳メモ and 患者等記入.
    pub memos: Vec<Memo>,
}

/// A medicine the patient takes or took by their own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfReportedMedicine {
    /// Its name as told.
    pub name: String,
    /// Where it came from.
    pub origin: MedicineOrigin,
    /// 服用開始日.
    pub from: Option<NaiveDate>,
    /// 服用終了日, the last day.
    pub until: Option<NaiveDate>,
}

/// How the patient came by a medicine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MedicineOrigin {
    /// 要指導医薬品・一般用医薬品, bought without a prescription.
    OverTheCounter {
        /// JAN コード of the package.
        jan: Option<String>,
        /// 成分, by name; their codes are of no public list.
        ingredients: Vec<String>,
    },
    /// A prescribed medicine the patient wrote down.
    Prescribed {
        /// 薬品コード.
        code: Option<DrugCode>,
    },
}

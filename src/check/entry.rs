//! One document of the patient's history as it is shown: where it stands, and its medicines.

use chrono::NaiveDate;
use uuid::Uuid;

use super::{Period, Source};
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::state::Shown;

/// A document's medicines.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// 処方箋ID.
    pub prescription: Uuid,
    /// What the medicines rest on.
    pub source: Source,
    /// 1, or the number of the dispensing.
    pub sequence: i16,
    /// Where the prescription stands.
    pub shown: Shown,
    /// 交付年月日.
    pub issued_on: NaiveDate,
    /// The pharmacy, of a dispensing.
    pub dispenser: Option<InstitutionCode>,
    /// The medicines.
    pub periods: Vec<Period>,
}

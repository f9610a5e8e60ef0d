//! 調剤結果 as far as the life of a prescription depends on it: whose it is, which use it answers, whether it still
//! stands. Knows no contents and no storage.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::identifier::InstitutionCode;

/// More dispensing documents than this, corrections counted, no prescription has.
pub const RESULTS_MAX: usize = 60;

/// One dispensing document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispensingEntry {
    /// The pharmacy.
    pub by: InstitutionCode,
    /// 調剤日.
    pub on: NaiveDate,
    /// 調剤日数, the longest of the document.
    pub days_supplied: u16,
    /// Which use of the prescription it answers, from 1.
    pub use_number: u8,
    /// Which part of that use it is, from 1 (薬剤師による分割).
    pub part: u8,
    /// Whether it completed the use.
    pub complete: bool,
    /// 重要情報: whether the pharmacist asks the physician to read it.
    #[serde(default)]
    pub important: bool,
    /// Whether it still counts.
    pub standing: Standing,
}

/// Whether a dispensing document still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It does.
    Valid,
    /// 調剤結果変更: a later document stands in its place.
    Replaced,
    /// 調剤結果取消.
    Withdrawn,
}

/// Every dispensing document of a prescription in the order they came, numbered from 1. None is ever taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Results(Vec<DispensingEntry>);

impl Results {
    /// All of them.
    pub fn entries(&self) -> &[DispensingEntry] {
        &self.0
    }

    /// Uses that were dispensed in full.
    pub fn uses_done(&self) -> u8 {
        self.valid().filter(|(_, entry)| entry.complete).map(|(_, entry)| entry.use_number).max().unwrap_or(0)
    }

    /// Whether the pharmacy sent any of them, whatever became of it.
    pub fn has(&self, pharmacy: &InstitutionCode) -> bool {
        self.0.iter().any(|entry| entry.by == *pharmacy)
    }

    /// The number of the pharmacy's last result that stands.
    pub fn last_of(&self, pharmacy: &InstitutionCode) -> Option<i16> {
        last(self.valid().filter(|(_, entry)| entry.by == *pharmacy)).map(|(number, _)| number)
    }

    /// The number of the last document.
    pub fn count(&self) -> i16 {
        i16::try_from(self.0.len()).unwrap_or(i16::MAX)
    }

    /// The numbers of the results that stand and that the physician is asked to read (重要情報).
    pub fn important(&self) -> impl Iterator<Item = i16> {
        self.valid().filter(|(_, entry)| entry.important).map(|(number, _)| number)
    }

    /// 次回調剤予定日: when the use after `use_number` falls due.
    pub(super) fn due_after(&self, use_number: u8) -> Option<NaiveDate> {
        self.valid()
            .find(|(_, entry)| entry.complete && entry.use_number == use_number)
            .and_then(|(_, entry)| entry.on.checked_add_days(Days::new(u64::from(entry.days_supplied))))
    }

    /// Parts of a use that stand.
    pub(super) fn parts(&self, use_number: u8) -> u8 {
        self.valid().filter(|(_, entry)| entry.use_number == use_number).fold(0, |n, _| n.saturating_add(1))
    }

    /// Whether any part of a use was dispensed and withdrawn.
    pub(super) fn withdrawn(&self, use_number: u8) -> bool {
        self.0.iter().any(|entry| entry.standing == Standing::Withdrawn && entry.use_number == use_number)
    }

    /// The last part of the last use that stands, with its number.
    pub(super) fn last(&self) -> Option<(i16, &DispensingEntry)> {
        last(self.valid())
    }

    /// A result that stands, when it is the pharmacy's.
    pub(super) fn own(&self, number: i16, pharmacy: &InstitutionCode) -> Option<&DispensingEntry> {
        self.valid().find(|(n, entry)| *n == number && entry.by == *pharmacy).map(|(_, entry)| entry)
    }

    pub(super) fn add(&mut self, entry: DispensingEntry) {
        self.0.push(entry);
    }

    pub(super) fn mark(&mut self, number: i16, standing: Standing) {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        if let Some(entry) = index.and_then(|index| self.0.get_mut(index)) {
            entry.standing = standing;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= RESULTS_MAX
    }

    fn valid(&self) -> impl Iterator<Item = (i16, &DispensingEntry)> {
        (1..).zip(&self.0).filter(|(_, entry)| entry.standing == Standing::Valid)
    }
}

/// The last in the order of uses and parts, which is not the order of documents once one was amended.
fn last<'e>(entries: impl Iterator<Item = (i16, &'e DispensingEntry)>) -> Option<(i16, &'e DispensingEntry)> {
    entries.max_by_key(|(_, entry)| (entry.use_number, entry.part))
}

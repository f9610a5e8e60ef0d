//! 服用期間: how long a medicine counts as taken. Days supplied for internal medicines, a flat 14 days for those
//! taken as needed and for all others.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// The length counted where days of supply say nothing: as needed, external, injected, drops.
pub const FLAT_DAYS: u16 = 14;

/// A span of days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Interval {
    /// The first day.
    pub start: NaiveDate,
    /// The last day.
    pub end: NaiveDate,
}

impl Interval {
    /// The days both intervals have, if any.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let shared = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (shared.start <= shared.end).then_some(shared)
    }

    /// This interval and the `days` after it.
    #[must_use]
    pub fn lengthened(self, days: u16) -> Self {
        let end = self.end.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX);
        Self { end, ..self }
    }

    /// The number of days; 0 for an interval that ends before it starts.
    pub fn days(self) -> u32 {
        u32::try_from((self.end - self.start).num_days() + 1).unwrap_or(0)
    }
}

/// How the length of supply of a line is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Supply {
    /// 日分, days of supply of an internal medicine.
    Days(u16),
    /// 頓服, taken as needed.
    AsNeeded,
    /// 外用 and whatever else is not counted in days: injections, drops by the bottle.
    External,
}

/// 剤形区分 as far as it decides the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupplyForm {
    /// 内服, 浸煎薬, 湯薬: the quantity is days.
    Internal,
    /// 頓服: the quantity is times.
    AsNeeded,
    /// 外用, 内滴, 注射, その他: the quantity is not time.
    External,
}

impl Supply {
    /// The supply of an order group from its form, its usage code (16 characters, where it has one) and its
    /// dispensing quantity (調剤数量). A usage code for as-needed or non-internal use overrules the form.
    pub fn of(form: SupplyForm, usage_code: Option<&str>, quantity: u16) -> Self {
        // Digit 1 is 基本用法区分 (1 内服), digit 3 タイミング指定区分 (5 頓用).
        let mut digits = usage_code.unwrap_or_default().bytes();
        let (basic, timing) = (digits.next(), digits.nth(1));
        match form {
            SupplyForm::External => Self::External,
            SupplyForm::AsNeeded => Self::AsNeeded,
            SupplyForm::Internal => match (basic, timing) {
                (Some(b'1'), Some(b'5')) => Self::AsNeeded,
                (Some(b'2'..=b'4'), _) => Self::External,
                _ => Self::Days(quantity),
            },
        }
    }

    /// The days a medicine of this supply counts as taken when it begins on `start`. At least the first day.
    pub fn interval_from(self, start: NaiveDate) -> Interval {
        let days = match self {
            Self::Days(days) => days.max(1),
            Self::AsNeeded | Self::External => FLAT_DAYS,
        };
        let end = start.checked_add_days(Days::new(u64::from(days) - 1)).unwrap_or(NaiveDate::MAX);
        Interval { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn lengths() {
        let start = day("2026-04-01");
        assert_eq!(Supply::Days(14).interval_from(start).end, day("2026-04-14"));
        assert_eq!(Supply::Days(0).interval_from(start).end, start);
        assert_eq!(Supply::AsNeeded.interval_from(start).end, day("2026-04-14"));
        assert_eq!(Supply::External.interval_from(start).days(), 14);
        assert_eq!(Supply::Days(9).interval_from(NaiveDate::MAX).end, NaiveDate::MAX);
    }

    #[test]
    fn usage_code_overrules_form() {
        assert_eq!(Supply::of(SupplyForm::Internal, Some("1013044400000000"), 14), Supply::Days(14));
        assert_eq!(Supply::of(SupplyForm::Internal, Some("1050W20000000000"), 5), Supply::AsNeeded);
        assert_eq!(Supply::of(SupplyForm::Internal, Some("2B74000000000000"), 1), Supply::External);
        assert_eq!(Supply::of(SupplyForm::Internal, Some("0X0XXXXXXXXX0000"), 7), Supply::Days(7));
        assert_eq!(Supply::of(SupplyForm::Internal, None, 7), Supply::Days(7));
        assert_eq!(Supply::of(SupplyForm::AsNeeded, None, 10), Supply::AsNeeded);
        assert_eq!(Supply::of(SupplyForm::External, Some("1013044400000000"), 1), Supply::External);
    }

    #[test]
    fn overlaps_include_both_ends() {
        let a = Interval { start: day("2026-04-01"), end: day("2026-04-10") };
        let b = Interval { start: day("2026-04-10"), end: day("2026-04-20") };
        let c = Interval { start: day("2026-04-11"), end: day("2026-04-20") };
        assert_eq!(a.overlap(b).map(Interval::days), Some(1));
        assert_eq!(a.overlap(c), None);
    }
}

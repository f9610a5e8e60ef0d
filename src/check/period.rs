//! 服用期間: how long a medicine counts as taken. Days supplied for internal medicines, spread out when they are not
//! taken daily; a flat 14 days for those taken as needed and for all others.

use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// The length counted where days of supply say nothing: as needed, external, injected, drops.
pub const FLAT_DAYS: u16 = 14;

/// A span of days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Interval {
    /// The first day.
    pub start: NaiveDate,
    /// The last day; [`NaiveDate::MAX`] when none is known.
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

    /// The last day; `None` of what goes on until somebody ends it.
    pub fn last(self) -> Option<NaiveDate> {
        (self.end != NaiveDate::MAX).then_some(self.end)
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
    /// 実投与日数, days of supply of an internal medicine that is not taken every day.
    DaysOn(u16, Rhythm),
    /// 頓服, taken as needed.
    AsNeeded,
    /// 外用 and whatever else is not counted in days: injections, drops by the bottle.
    External,
}

/// The days on which a medicine is taken that is not taken every day. The sixteen characters of a usage code never
/// say it; a usage supplement (用法補足) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rhythm {
    /// 隔日, every other day.
    AlternateDays,
    /// 曜日指定, on these days of the week.
    Weekdays(Weekdays),
}

/// Days of the week, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekdays(u8);

impl Rhythm {
    /// The rhythm a supplementary usage code (JAMI 補足用法コード, 8 characters) names: `I1100000`, or `W` and a 0
    /// or 1 for each day from Sunday to Saturday. `None` for codes that say something else.
    pub fn of_code(code: &str) -> Option<Self> {
        if code == "I1100000" {
            return Some(Self::AlternateDays);
        }
        let flags = code.strip_prefix('W').filter(|flags| flags.len() == 7)?;
        let days = flags.bytes().zip(0_u8..).try_fold(0, |days, (flag, index)| match flag {
            b'0' => Some(days),
            b'1' => Some(days | 1 << index),
            _ => None,
        })?;
        (days != 0).then_some(Self::Weekdays(Weekdays(days)))
    }

    /// The rhythm a text says, for documents that write it without a code.
    pub fn of_text(text: &str) -> Option<Self> {
        text.contains("隔日").then_some(Self::AlternateDays)
    }

    /// The day of the last of `doses` days of taking, counted from `start`.
    fn last_day(self, doses: u16, start: NaiveDate) -> Option<NaiveDate> {
        let further = u64::from(doses.saturating_sub(1));
        match self {
            Self::AlternateDays => start.checked_add_days(Days::new(2 * further)),
            Self::Weekdays(Weekdays(days)) => {
                let per_week = u64::from(days.count_ones()).max(1);
                let mut day = start.checked_add_days(Days::new(7 * (further / per_week)))?;
                let mut left = further % per_week;
                // Within a week of here every day of the rhythm comes once.
                for _ in 0..7 {
                    if days & (1 << day.weekday().num_days_from_sunday()) != 0 {
                        if left == 0 {
                            break;
                        }
                        left -= 1;
                    }
                    day = day.succ_opt()?;
                }
                Some(day)
            }
        }
    }
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

    /// The same days of supply taken in a rhythm. Says nothing of supplies that are not days.
    #[must_use]
    pub fn taken_on(self, rhythm: Option<Rhythm>) -> Self {
        match (self, rhythm) {
            (Self::Days(days), Some(rhythm)) => Self::DaysOn(days, rhythm),
            _ => self,
        }
    }

    /// Another number of days in the same rhythm. Says nothing of supplies that are not days.
    #[must_use]
    pub fn with_days(self, days: u16) -> Self {
        match self {
            Self::Days(_) => Self::Days(days),
            Self::DaysOn(_, rhythm) => Self::DaysOn(days, rhythm),
            Self::AsNeeded | Self::External => self,
        }
    }

    /// 日分, where the supply is counted in days.
    pub fn days(self) -> Option<u16> {
        match self {
            Self::Days(days) | Self::DaysOn(days, _) => Some(days),
            Self::AsNeeded | Self::External => None,
        }
    }

    /// The days a medicine of this supply counts as taken when it begins on `start`. At least the first day.
    pub fn interval_from(self, start: NaiveDate) -> Interval {
        let after = |days: u16| start.checked_add_days(Days::new(u64::from(days.saturating_sub(1))));
        let end = match self {
            Self::Days(days) => after(days),
            Self::DaysOn(days, rhythm) => rhythm.last_day(days, start),
            Self::AsNeeded | Self::External => after(FLAT_DAYS),
        };
        Interval { start, end: end.unwrap_or(NaiveDate::MAX) }
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
    fn days_are_spread_by_their_rhythm() {
        let end = |code: &str, days: u16, start: &str| {
            let supply = Supply::Days(days).taken_on(Rhythm::of_code(code));
            supply.interval_from(day(start)).end.to_string()
        };
        // Seven days of taking every other day are thirteen days.
        assert_eq!(end("I1100000", 7, "2026-04-01"), "2026-04-13");
        assert_eq!(end("I1100000", 0, "2026-04-01"), "2026-04-01");
        // Mondays and Thursdays; 2026-04-01 is a Wednesday.
        for (days, last) in [(1, "2026-04-02"), (2, "2026-04-06"), (3, "2026-04-09"), (7, "2026-04-23")] {
            assert_eq!(end("W0100100", days, "2026-04-01"), last, "{days}");
        }
        assert_eq!(end("W0100100", 2, "2026-04-06"), "2026-04-09");
        assert_eq!(end("W1000000", 4, "2026-04-05"), "2026-04-26");
        assert_eq!(end("W1111111", 9, "2026-04-01"), "2026-04-09");
        for other in ["", "W", "W0000000", "W01001001", "W010010X", "I1200000", "V14NNNNN", "Ｗ0100100"] {
            assert_eq!(Rhythm::of_code(other), None, "{other}");
        }
        let far = Supply::Days(u16::MAX).taken_on(Rhythm::of_code("W1000000"));
        assert!(far.interval_from(day("2026-04-01")).end > day("3000-01-01"));
        assert_eq!(far.interval_from(NaiveDate::MAX).end, NaiveDate::MAX);
        assert_eq!(Supply::External.taken_on(Some(Rhythm::AlternateDays)), Supply::External);
        assert_eq!(Rhythm::of_text("朝食後　隔日投与"), Some(Rhythm::AlternateDays));
        assert_eq!(Rhythm::of_text("朝食後"), None);
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

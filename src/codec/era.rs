//! Dates by era (元号), as JAHIS forms may write them: `GYYMMDD`, the era as a letter in the notebook (電子版お薬手帳)
//! and as a digit in the prescription symbol (院外処方箋2次元シンボル).

use chrono::{Datelike, NaiveDate};

/// How the era is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EraName {
    Letter,
    Digit,
}

struct Era {
    letter: char,
    digit: char,
    /// Year, month, day.
    first_day: (i32, u32, u32),
}

const fn era(letter: char, digit: char, first_day: (i32, u32, u32)) -> Era {
    Era { letter, digit, first_day }
}

/// 明治, 大正, 昭和, 平成, 令和 (年号区分コード).
static ERAS: [Era; 5] = [
    era('M', '1', (1868, 1, 25)),
    era('T', '2', (1912, 7, 30)),
    era('S', '3', (1926, 12, 25)),
    era('H', '4', (1989, 1, 8)),
    era('R', '5', (2019, 5, 1)),
];

impl EraName {
    fn of(self, era: &Era) -> char {
        match self {
            Self::Letter => era.letter,
            Self::Digit => era.digit,
        }
    }
}

/// The date `YYYYMMDD` names, or `GYYMMDD` where an era may be named; `None` for a day there is not.
pub(super) fn date(text: &str, eras: Option<EraName>) -> Option<NaiveDate> {
    if text.len() == 7 {
        return parse(text, eras?);
    }
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| text[range].parse::<u32>().ok();
    let year = i32::try_from(part(0..4)?).ok().filter(|year| *year >= 1800)?;
    NaiveDate::from_ymd_opt(year, part(4..6)?, part(6..8)?)
}

/// The date `GYYMMDD` names; `None` for a day that is not in that era.
fn parse(text: &str, name: EraName) -> Option<NaiveDate> {
    let letter = text.chars().next()?;
    let digits = text.get(letter.len_utf8()..)?;
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let era = ERAS.iter().find(|era| name.of(era) == letter)?;
    let part = |range: std::ops::Range<usize>| digits[range].parse::<u32>().ok();
    let year = era.first_day.0 - 1 + i32::try_from(part(0..2)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, part(2..4)?, part(4..6)?)?;
    (era_of(date).is_some_and(|of| of.letter == era.letter)).then_some(date)
}

/// The date as `GYYMMDD`; before 明治, and when the years of 令和 no longer fit two digits, as `YYYYMMDD`.
pub(super) fn write(date: NaiveDate, name: EraName) -> String {
    match era_of(date).map(|era| (era, date.year() - era.first_day.0 + 1)) {
        Some((era, year @ 1..=99)) => format!("{}{year:02}{}", name.of(era), date.format("%m%d")),
        _ => date.format("%Y%m%d").to_string(),
    }
}

fn era_of(date: NaiveDate) -> Option<&'static Era> {
    ERAS.iter().rev().find(|era| era.first_day <= (date.year(), date.month(), date.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eras_begin_and_end_on_their_days() {
        let date = |text| parse(text, EraName::Letter).map(|date| date.to_string());
        assert_eq!(date("S640107").as_deref(), Some("1989-01-07"));
        assert_eq!(date("H010108").as_deref(), Some("1989-01-08"));
        assert_eq!(date("R010501").as_deref(), Some("2019-05-01"));
        assert_eq!(date("M450729").as_deref(), Some("1912-07-29"));
        for other in [
            "S640108",
            "H010107",
            "H310501",
            "R010230",
            "X010101",
            "R0105",
            "5010501",
            "R0105０",
            "",
            "令010501",
        ] {
            assert_eq!(date(other), None, "{other}");
        }
        assert_eq!(parse("3350606", EraName::Digit), NaiveDate::from_ymd_opt(1960, 6, 6));
    }

    #[test]
    fn every_day_is_written_as_it_is_read() {
        let mut date = NaiveDate::from_ymd_opt(1868, 1, 25).unwrap();
        while date.year() < 2100 {
            for name in [EraName::Letter, EraName::Digit] {
                assert_eq!(parse(&write(date, name), name), Some(date));
            }
            date += chrono::TimeDelta::days(13);
        }
        assert_eq!(write(NaiveDate::from_ymd_opt(1867, 1, 1).unwrap(), EraName::Digit), "18670101");
    }
}

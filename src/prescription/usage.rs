//! The usage code (用法コード), sixteen characters whose places have meanings. Knows how a code is composed,
//! not which codes are in force: that is the formulary's.

use std::fmt;
use std::str::FromStr;

use super::identifier::IdentifierError;

const EXPECTED: IdentifierError =
    IdentifierError("a usage code of 16 digits or capital letters, composed as the usage standard says");

/// Written where no code fits the usage.
const DUMMY: &str = "0X0XXXXXXXXX0000";

/// 用法コード of the JAMI standard and of the 電子処方箋用法マスタ, 16 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageCode(String);

/// 基本用法区分, the first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BasicUsage {
    /// 1 内服.
    Internal,
    /// 2 外用.
    External,
    /// 3 注射.
    Injection,
    /// 4 注入.
    Infusion,
}

/// タイミング指定区分, the third place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timing {
    /// 1 食事.
    Meals,
    /// 2 等間隔.
    EqualIntervals,
    /// 3 時刻.
    ClockTime,
    /// 4 イベント.
    Event,
    /// 5 頓用.
    AsNeeded,
    /// 6 生活リズム.
    DailyRhythm,
    /// 7 回数のみ.
    TimesOnly,
    /// 8 時間間隔.
    HourInterval,
}

impl UsageCode {
    /// The sixteen characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the dummy that stands for a usage without a code.
    pub fn is_dummy(&self) -> bool {
        self.0 == DUMMY
    }

    fn place(&self, index: usize) -> u8 {
        self.0.as_bytes()[index]
    }

    /// 基本用法区分; `None` for the dummy and for old codes without one.
    pub fn basic(&self) -> Option<BasicUsage> {
        match self.place(0) {
            b'1' => Some(BasicUsage::Internal),
            b'2' => Some(BasicUsage::External),
            b'3' => Some(BasicUsage::Injection),
            b'4' => Some(BasicUsage::Infusion),
            _ => None,
        }
    }

    /// 用法詳細区分: the route within the basic usage, a digit or letter (internal: 0 by mouth, 1 under the
    /// tongue, 2 in the cheek, 3 on the oral mucosa); `None` for the dummy.
    pub fn detail(&self) -> Option<char> {
        (!self.is_dummy()).then(|| char::from(self.place(1)))
    }

    /// タイミング指定区分; `None` for the dummy.
    pub fn timing(&self) -> Option<Timing> {
        match self.place(2) {
            b'1' => Some(Timing::Meals),
            b'2' => Some(Timing::EqualIntervals),
            b'3' => Some(Timing::ClockTime),
            b'4' => Some(Timing::Event),
            b'5' => Some(Timing::AsNeeded),
            b'6' => Some(Timing::DailyRhythm),
            b'7' => Some(Timing::TimesOnly),
            b'8' => Some(Timing::HourInterval),
            _ => None,
        }
    }

    /// 頓用: taken when needed.
    pub fn as_needed(&self) -> bool {
        self.timing() == Some(Timing::AsNeeded)
    }

    /// 1日回数, 1 to 10; `None` when the code does not say it.
    pub fn times_per_day(&self) -> Option<u8> {
        match self.place(3) {
            digit @ b'1'..=b'9' => Some(digit - b'0'),
            b'A' => Some(10),
            _ => None,
        }
    }
}

impl FromStr for UsageCode {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != DUMMY.len()
            || !text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        {
            return Err(EXPECTED);
        }
        let code = Self(text.to_owned());
        if code.is_dummy() {
            return Ok(code);
        }
        // Until 2025-10 the master also had codes without a basic usage.
        if code.place(0) == b'X' {
            return Ok(code);
        }
        let (Some(basic), Some(timing)) = (code.basic(), code.timing()) else {
            return Err(EXPECTED);
        };
        // The five slots (bedtime, evening, noon, morning, rising) of an internal usage tied to meals or to the
        // day's rhythm say each dose, and letters after them a dose at that hour; there must be as many as the
        // times per day. The master has no exception.
        if basic == BasicUsage::Internal && matches!(timing, Timing::Meals | Timing::DailyRhythm) {
            let doses = text[4..9].bytes().filter(|slot| *slot != b'0').count()
                + text[9..14].bytes().filter(u8::is_ascii_uppercase).count();
            if code.times_per_day().map(usize::from) != Some(doses) {
                return Err(EXPECTED);
            }
        }
        Ok(code)
    }
}

impl fmt::Display for UsageCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BasicUsage, Timing, UsageCode};

    fn code(text: &str) -> UsageCode {
        text.parse().unwrap()
    }

    #[test]
    fn the_places_of_a_code_are_read() {
        let bedtime = code("1011100000000000");
        assert_eq!(bedtime.basic(), Some(BasicUsage::Internal));
        assert_eq!((bedtime.detail(), bedtime.timing()), (Some('0'), Some(Timing::Meals)));
        assert_eq!(bedtime.times_per_day(), Some(1));
        assert!(code("1050W20000000000").as_needed());
        assert_eq!(code("1013044400000000").times_per_day(), Some(3));
        let dummy = code("0X0XXXXXXXXX0000");
        assert!(dummy.is_dummy() && dummy.basic().is_none() && dummy.detail().is_none());
    }

    #[test]
    fn codes_that_contradict_themselves_are_refused() {
        assert!(code("X011100000000000").basic().is_none());
        for text in [
            "",
            "1011100000000",
            "1012100000000000",
            "5011100000000000",
            "1091100000000000",
            "101110000000000a",
        ] {
            assert!(text.parse::<UsageCode>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_code_of_the_master_is_accepted() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/ep_usage_master_20251101.csv");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: the usage master is not beside the project");
            return;
        };
        for row in text.lines().skip(1) {
            let first = row.split(',').next().unwrap_or_default();
            assert!(first.parse::<UsageCode>().is_ok(), "{first}");
        }
    }
}

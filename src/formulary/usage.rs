//! 電子処方箋用法マスタ: usage codes, the days they were valid, and the supplements that must follow them.

use std::collections::HashMap;

use chrono::NaiveDate;

/// 部位の用法補足: whether the place of application must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteSupplement {
    /// 不要.
    NotNeeded,
    /// 任意.
    Optional,
    /// 左右両: right, left or both.
    Side,
    /// 必須.
    Required,
}

/// One usage code in one span of validity.
#[expect(clippy::struct_excessive_bools, reason = "the master's flags, each independent of the others")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEntry {
    /// 用法コード, 16 characters.
    pub code: String,
    /// 用法名称.
    pub name: String,
    /// The first valid day.
    pub valid_from: NaiveDate,
    /// The last valid day; `None` while no end is known.
    pub valid_to: Option<NaiveDate>,
    /// 適用ガイドコード: the code says too little alone, a supplement record (181) must follow.
    pub guide: bool,
    /// 頓用条件: the condition for taking it must be told.
    pub condition_needed: bool,
    /// タイミング must be told.
    pub timing_needed: bool,
    /// 時刻 must be told.
    pub time_needed: bool,
    /// 間隔 must be told.
    pub interval_needed: bool,
    /// 部位.
    pub site: SiteSupplement,
}

impl UsageEntry {
    /// Whether any usage supplement (用法補足) must follow.
    pub fn supplement_needed(&self) -> bool {
        self.guide
            || self.condition_needed
            || self.timing_needed
            || self.time_needed
            || self.interval_needed
            || matches!(self.site, SiteSupplement::Side | SiteSupplement::Required)
    }

    fn valid_on(&self, day: NaiveDate) -> bool {
        self.valid_from <= day && self.valid_to.is_none_or(|end| day <= end)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.valid_to.is_none_or(|end| other.valid_from <= end)
            && other.valid_to.is_none_or(|end| self.valid_from <= end)
    }
}

/// All usage codes. A code may have had several meanings, one after the other.
#[derive(Debug, Default)]
pub(super) struct Usages(HashMap<Box<str>, Vec<UsageEntry>>);

impl Usages {
    pub(super) fn get(&self, code: &str, on: NaiveDate) -> Option<&UsageEntry> {
        self.0.get(code)?.iter().find(|entry| entry.valid_on(on))
    }

    /// Adds a span of validity.
    ///
    /// # Errors
    /// That the same code is already valid on one of its days.
    pub(super) fn insert(&mut self, entry: UsageEntry) -> Result<(), &'static str> {
        let spans = self.0.entry(entry.code.as_str().into()).or_default();
        if spans.iter().any(|known| known.overlaps(&entry)) {
            return Err("usage code appears twice for the same days");
        }
        spans.push(entry);
        Ok(())
    }
}

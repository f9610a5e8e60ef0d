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

    /// Adds a span of an official master, of which an older and a newer one may be loaded together. A span that
    /// begins later ends the one it overlaps; of two that differ only in their end the one with an end is newer.
    ///
    /// # Errors
    /// That the same code means something else from the same day.
    pub(super) fn listed_insert(&mut self, mut entry: UsageEntry) -> Result<(), &'static str> {
        let spans = self.0.entry(entry.code.as_str().into()).or_default();
        if let Some(known) = spans.iter_mut().find(|known| known.valid_from == entry.valid_from) {
            let end = known.valid_to.into_iter().chain(entry.valid_to).min();
            entry.valid_to = known.valid_to;
            if *known != entry {
                return Err("usage code appears twice for the same days");
            }
            known.valid_to = end;
            return Ok(());
        }
        for known in spans.iter_mut() {
            if !known.overlaps(&entry) {
                continue;
            }
            if known.valid_from < entry.valid_from {
                known.valid_to = entry.valid_from.pred_opt();
            } else {
                entry.valid_to = known.valid_from.pred_opt();
            }
        }
        spans.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn entry(name: &str, from: &str, to: Option<&str>) -> UsageEntry {
        UsageEntry {
            code: "1013044400000000".to_owned(),
            name: name.to_owned(),
            valid_from: day(from),
            valid_to: to.map(day),
            guide: false,
            condition_needed: false,
            timing_needed: false,
            time_needed: false,
            interval_needed: false,
            site: SiteSupplement::NotNeeded,
        }
    }

    #[test]
    fn older_and_newer_masters_join_in_any_order() {
        let spans = [
            entry("old", "2022-07-25", None),
            entry("new", "2025-11-01", None),
            entry("old", "2022-07-25", Some("2025-10-31")),
        ];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
            let mut usages = Usages::default();
            for index in order {
                usages.listed_insert(spans[index].clone()).unwrap();
            }
            let name = |on: &str| usages.get("1013044400000000", day(on)).map(|entry| entry.name.clone());
            assert_eq!(name("2025-10-31").as_deref(), Some("old"));
            assert_eq!(name("2025-11-01").as_deref(), Some("new"));
            assert_eq!(name("2022-07-24"), None);
            assert!(usages.listed_insert(entry("other", "2025-11-01", None)).is_err());
        }
    }
}

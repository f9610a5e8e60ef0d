//! Typed reading of one row's items. Knows the shapes a field can have, not which record has which field.

use chrono::NaiveDate;

use super::era;
use super::log::Log;
use super::row::Row;

/// Typed reading of one row's items. Every method reports what it refuses and goes on, so that all faults of a
/// document are found in one pass; `None` means empty or reported.
pub(super) struct Items<'r, 'a, 'l> {
    row: &'r Row<'a>,
    log: &'l mut Log,
}

impl<'r, 'a, 'l> Items<'r, 'a, 'l> {
    pub fn of(row: &'r Row<'a>, log: &'l mut Log) -> Self {
        Self { row, log }
    }

    pub fn raw(&self, item: usize) -> &'a str {
        self.row.item(item)
    }

    pub fn is_empty(&self, item: usize) -> bool {
        self.raw(item).is_empty()
    }

    pub fn fault(&mut self, item: usize, message: impl Into<String>) {
        self.log.fault(self.row, item, message);
    }

    /// Reports something odd in the row as a whole.
    pub fn row_warn(&mut self, message: impl Into<String>) {
        self.log.warn_at(self.row.line, Some(self.row.record()), message);
    }

    pub fn warn(&mut self, item: usize, message: impl Into<String>) {
        self.log.warn(self.row, item, message);
    }

    /// Reports an empty item.
    pub fn require(&mut self, item: usize) -> bool {
        let present = !self.is_empty(item);
        if !present {
            self.fault(item, "expected a value, found none");
        }
        present
    }

    /// Reports an item that is not empty. `why` completes "expected nothing: ".
    pub fn refuse(&mut self, item: usize, why: &str) {
        if !self.is_empty(item) {
            self.fault(item, format!("expected nothing: {why}"));
        }
    }

    /// Text of at most `width` columns, a full-width character counting two (項目の型 N).
    pub fn text(&mut self, item: usize, width: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        if text.chars().map(|character| if is_half_width(character) { 1 } else { 2 }).sum::<usize>() > width {
            self.fault(
                item,
                format!("expected at most {width} half-width or {} full-width characters", width / 2),
            );
        }
        if text.starts_with([' ', '\u{3000}']) || text.ends_with([' ', '\u{3000}']) {
            self.warn(item, "no space is expected at the beginning or end");
        }
        Some(text.to_owned())
    }

    pub fn required_text(&mut self, item: usize, width: usize) -> Option<String> {
        self.require(item).then(|| self.text(item, width)).flatten()
    }

    /// カナ氏名: half-width by the standard, though the field also writes full-width.
    pub fn kana(&mut self, item: usize, width: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        if text.chars().count() > width {
            self.fault(item, format!("expected at most {width} characters"));
        }
        if !text.chars().all(is_half_width) {
            self.warn(item, "half-width katakana are expected");
        }
        Some(text.to_owned())
    }

    /// Digits, letters and ASCII marks (項目の型 X), at most `length`.
    pub fn ascii(&mut self, item: usize, length: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        if text.len() > length || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.fault(item, format!("expected at most {length} ASCII characters without spaces"));
        }
        Some(text.to_owned())
    }

    /// Exactly `length` digits or letters.
    pub fn code_text(&mut self, item: usize, length: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        if text.len() != length || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            self.fault(item, format!("expected {length} digits or letters"));
        }
        Some(text.to_owned())
    }

    /// 補足用法コード: eight digits or capital letters; that of a dose has a point in it (`V11.5NNN`).
    pub fn supplement_code(&mut self, item: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        let shaped = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'.';
        if text.len() != 8 || !text.bytes().all(shaped) {
            self.fault(item, "expected 8 digits, capital letters or points");
        }
        Some(text.to_owned())
    }

    /// Digits only, as many as `lengths` allows.
    pub fn digits(&mut self, item: usize, lengths: std::ops::RangeInclusive<usize>) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        if !lengths.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let (least, most) = (lengths.start(), lengths.end());
            let expected = if least == most {
                format!("expected {most} digits")
            } else {
                format!("expected {least} to {most} digits")
            };
            self.fault(item, expected);
        }
        Some(text.to_owned())
    }

    /// 郵便番号: `nnn-nnnn` or seven digits.
    pub fn postal_code(&mut self, item: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        let digits = match text.split_once('-') {
            Some((area, local)) => area.len() == 3 && local.len() == 4,
            None => text.len() == 7,
        };
        if !digits || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            self.fault(item, "expected a postal code nnn-nnnn");
        }
        Some(text.to_owned())
    }

    /// 電話番号: digits, hyphens and brackets, at most 13.
    pub fn phone(&mut self, item: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        let shaped = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'(' | b')');
        if text.len() > 13 || !text.bytes().all(shaped) {
            self.fault(item, "expected a telephone number of at most 13 digits, hyphens and brackets");
        }
        Some(text.to_owned())
    }

    /// A number of at most `digits` digits within `range`.
    pub fn number(
        &mut self,
        item: usize,
        digits: usize,
        range: std::ops::RangeInclusive<u16>,
    ) -> Option<u16> {
        if self.is_empty(item) {
            return None;
        }
        let number = self.row.number(item, digits).filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(item, format!("expected a number from {} to {}", range.start(), range.end()));
        }
        number
    }

    pub fn required_number(
        &mut self,
        item: usize,
        digits: usize,
        range: std::ops::RangeInclusive<u16>,
    ) -> Option<u16> {
        self.require(item).then(|| self.number(item, digits, range)).flatten()
    }

    /// A sequence number (連番) from 1, above the `last` one, which it becomes.
    pub fn ascending(&mut self, item: usize, digits: usize, last: &mut u16) -> Option<u16> {
        let number = self.required_number(item, digits, 1..=999)?;
        if number <= *last {
            self.fault(item, "expected a sequence number above the one before");
        }
        *last = number.max(*last);
        Some(number)
    }

    /// A number that fits eight bits; `most` is at most 255.
    pub fn small(&mut self, item: usize, digits: usize, least: u8, most: u8) -> Option<u8> {
        self.number(item, digits, u16::from(least)..=u16::from(most))
            .and_then(|number| u8::try_from(number).ok())
    }

    pub fn required_small(&mut self, item: usize, digits: usize, least: u8, most: u8) -> Option<u8> {
        self.require(item).then(|| self.small(item, digits, least, most)).flatten()
    }

    /// One of the codes of a table; a code of several digits may be written with leading zeros up to `digits`.
    pub fn code<T: Copy>(&mut self, item: usize, digits: usize, table: &[(u16, T)]) -> Option<T> {
        if self.is_empty(item) {
            return None;
        }
        let found = self
            .row
            .number(item, digits)
            .and_then(|number| table.iter().find(|(code, _)| *code == number))
            .map(|(_, value)| *value);
        if found.is_none() {
            let codes: Vec<String> = table.iter().map(|(code, _)| code.to_string()).collect();
            self.fault(item, format!("expected one of the codes {}", codes.join(" ")));
        }
        found
    }

    pub fn required_code<T: Copy>(&mut self, item: usize, digits: usize, table: &[(u16, T)]) -> Option<T> {
        self.require(item).then(|| self.code(item, digits, table)).flatten()
    }

    /// A date that exists: `YYYYMMDD`, and where the form allows it `GYYMMDD` by era.
    pub fn date(&mut self, item: usize) -> Option<NaiveDate> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        let date = era::date(text, self.log.eras());
        if date.is_none() {
            let by_era = if self.log.eras().is_some() { " or by era GYYMMDD" } else { "" };
            self.fault(item, format!("expected a date YYYYMMDD{by_era}"));
        }
        date
    }

    pub fn required_date(&mut self, item: usize) -> Option<NaiveDate> {
        self.require(item).then(|| self.date(item)).flatten()
    }

    /// Anything that parses itself; its error says what was expected.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        item: usize,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if self.is_empty(item) {
            return None;
        }
        match parse(self.raw(item)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(item, error.to_string());
                None
            }
        }
    }

    pub fn required_parsed<T, E: std::fmt::Display>(
        &mut self,
        item: usize,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.require(item).then(|| self.parsed(item, parse)).flatten()
    }
}

fn is_half_width(character: char) -> bool {
    character.is_ascii() || ('\u{ff61}'..='\u{ff9f}').contains(&character)
}

//! Rows of comma-separated cells: what SJ1 and CJ1 have in common as text. Splits hostile bytes into rows,
//! reads typed cells while collecting faults, and writes rows back. Knows no record of either form.

use chrono::NaiveDate;

use super::fault::{Fault, Form, Read, RowForm, Spelling};

/// The longest document read, in bytes. Real ones are a few kilobytes.
const MAX_BYTES: usize = 512 * 1024;
/// The most rows read.
const MAX_ROWS: usize = 2_000;
/// The most faults (and warnings) reported one by one.
const MAX_FAULTS: usize = 200;

/// One row of a document.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Line number from 1.
    pub line: usize,
    /// The cells; the first is the record number.
    pub cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// An item by its number in the record tables: 1 is the first after the record number. Cells that were not
    /// written are empty.
    pub fn item(&self, item: usize) -> &'a str {
        self.cells.get(item).copied().unwrap_or("")
    }

    /// The record number as written.
    pub fn record(&self) -> &'a str {
        self.item(0)
    }

    /// The number in an item, if it is one of at most `digits` digits.
    pub fn number(&self, item: usize, digits: usize) -> Option<u16> {
        parse_number(self.item(item), digits)
    }
}

fn parse_number(text: &str, digits: usize) -> Option<u16> {
    let shaped = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if shaped { text.parse().ok() } else { None }
}

/// Everything noticed while a document is read.
#[derive(Debug)]
pub(super) struct Log {
    form: &'static str,
    faults: Vec<(usize, Fault)>,
    faults_left_out: usize,
    warnings: Vec<(usize, Fault)>,
}

impl Log {
    /// A log for one document; `form` opens every place.
    pub fn new(form: &'static str) -> Self {
        Self { form, faults: Vec::new(), faults_left_out: 0, warnings: Vec::new() }
    }

    /// A fault of the document as a whole, or of a line (from 1), or of a `record` that is missing from it.
    pub fn fault_at(&mut self, line: Option<usize>, record: Option<&str>, message: impl Into<String>) {
        let line_part = line.map(|line| format!("[line {line}]")).unwrap_or_default();
        let record_part = record.map(|record| format!(".{record}")).unwrap_or_default();
        let place = format!("{}{line_part}{record_part}", self.form);
        self.push(line.unwrap_or(0), Fault { place, message: message.into() });
    }

    /// A fault of one item of a row whose record number is known to be one.
    pub fn fault(&mut self, row: &Row<'_>, item: usize, message: impl Into<String>) {
        let place = self.item_place(row, item);
        self.push(row.line, Fault { place, message: message.into() });
    }

    /// A fault of a whole row whose record number is known to be one.
    pub fn row_fault(&mut self, row: &Row<'_>, message: impl Into<String>) {
        self.fault_at(Some(row.line), Some(row.record()), message);
    }

    /// Something odd in one item.
    pub fn warn(&mut self, row: &Row<'_>, item: usize, message: impl Into<String>) {
        if self.warnings.len() < MAX_FAULTS {
            let place = self.item_place(row, item);
            self.warnings.push((row.line, Fault { place, message: message.into() }));
        }
    }

    fn item_place(&self, row: &Row<'_>, item: usize) -> String {
        format!("{}[line {}].{}.{item}", self.form, row.line, row.record())
    }

    fn push(&mut self, line: usize, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push((line, fault));
        } else {
            self.faults_left_out += 1;
        }
    }

    /// The faults in the order of the document.
    pub fn into_faults(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|(line, _)| *line);
        let mut faults: Vec<Fault> = self.faults.into_iter().map(|(_, fault)| fault).collect();
        if self.faults_left_out > 0 {
            let message = format!("{} more faults were left out", self.faults_left_out);
            faults.push(Fault { place: self.form.to_owned(), message });
        }
        faults
    }

    /// The value with its form, if nothing was wrong and `canonical`, its canonical rows, differ from the rows
    /// read only in spelling.
    pub fn into_read<T>(
        mut self,
        value: Option<T>,
        source: &Source<'_>,
        canonical: impl FnOnce(&T) -> Rows,
    ) -> Result<Read<T>, Vec<Fault>> {
        if self.faults.is_empty()
            && let Some(value) = value
            && let Some(form) = form_of(source, &canonical(&value))
        {
            self.warnings.sort_by_key(|(line, _)| *line);
            let warnings = self.warnings.into_iter().map(|(_, warning)| warning).collect();
            return Ok(Read { value, form, warnings });
        }
        // Nothing is known to lead here without a fault of its own; an unreadable document is refused all the same.
        if self.faults.is_empty() {
            self.fault_at(None, None, "expected a document that can be written back as it was read");
        }
        Err(self.into_faults())
    }
}

/// A document as rows.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The rows, the header first.
    pub rows: Vec<Row<'a>>,
    final_line_feed: bool,
}

impl<'a> Source<'a> {
    /// Splits a document into rows. `None` when it cannot be read as rows at all; then a fault says why.
    pub fn split(bytes: &'a [u8], log: &mut Log) -> Option<Self> {
        if bytes.len() > MAX_BYTES {
            log.fault_at(None, None, format!("expected at most {MAX_BYTES} bytes"));
            return None;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                log.fault_at(Some(line), None, "expected UTF-8");
                return None;
            }
        };
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => {
                log.fault_at(Some(1), None, "expected no byte order mark");
                rest
            }
            None => text,
        };
        if text.is_empty() {
            log.fault_at(None, None, "expected a header and records, found nothing");
            return None;
        }
        let (text, final_line_feed) = text.strip_suffix('\n').map_or((text, false), |rest| (rest, true));
        if text.split('\n').nth(MAX_ROWS).is_some() {
            log.fault_at(None, None, format!("expected at most {MAX_ROWS} lines"));
            return None;
        }
        let mut rows = Vec::new();
        let mut carriage_return_seen = false;
        for (index, written) in text.split('\n').enumerate() {
            let line = index + 1;
            let content = written.strip_suffix('\r').unwrap_or(written);
            if content.len() < written.len() && !carriage_return_seen {
                carriage_return_seen = true;
                log.fault_at(Some(line), None, "expected lines ending in LF: write LF, not CR LF");
            }
            if content.is_empty() {
                log.fault_at(Some(line), None, "expected a record, found an empty line");
                continue;
            }
            if content.chars().any(is_refused) {
                log.fault_at(Some(line), None, "expected no control or direction-changing characters");
            }
            rows.push(Row { line, cells: content.split(',').collect() });
        }
        Some(Self { rows, final_line_feed })
    }
}

/// Characters no field may hold: controls, and those that change how the text around them is shown.
fn is_refused(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{feff}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

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

    /// Exactly `length` digits or capital letters.
    pub fn code_text(&mut self, item: usize, length: usize) -> Option<String> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        let shaped = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'.';
        if text.len() != length || !text.bytes().all(shaped) {
            self.fault(item, format!("expected {length} digits or capital letters"));
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

    /// A date `YYYYMMDD` that exists.
    pub fn date(&mut self, item: usize) -> Option<NaiveDate> {
        let text = self.raw(item);
        if text.is_empty() {
            return None;
        }
        let part = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
        let shaped = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        let date = match (shaped, part(0..4), part(4..6), part(6..8)) {
            (true, Some(year @ 1800..), Some(month), Some(day)) => {
                i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
            }
            _ => None,
        };
        if date.is_none() {
            self.fault(item, "expected a date YYYYMMDD");
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

/// The code of a value in a table; every value of a table's type has one.
pub(super) fn code_of<T: PartialEq>(table: &[(u16, T)], value: &T) -> String {
    table.iter().find(|(_, entry)| entry == value).map(|(code, _)| code.to_string()).unwrap_or_default()
}

/// Rows being written.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Vec<String>>);

impl Rows {
    /// Adds a row. Characters that would break the row are replaced: a comma by the full-width one (JAHIS10
    /// 3.2.4), anything that may not stand in a field by a space.
    pub fn push<'c>(&mut self, cells: impl IntoIterator<Item = &'c str>) {
        self.0.push(cells.into_iter().map(writable).collect());
    }

    /// The bytes of the rows as `form` says they were written.
    pub fn into_bytes(mut self, form: &Form) -> Vec<u8> {
        if form.rows.len() == self.0.len() {
            for (cells, row) in self.0.iter_mut().zip(&form.rows) {
                respell(cells, row);
            }
        }
        let mut text = self.0.iter().map(|cells| cells.join(",")).collect::<Vec<_>>().join("\n");
        if form.final_line_feed {
            text.push('\n');
        }
        text.into_bytes()
    }
}

fn writable(cell: &str) -> String {
    cell.chars()
        .map(|character| match character {
            ',' => '，',
            other if is_refused(other) => ' ',
            other => other,
        })
        .collect()
}

/// Writes a row's cells as the form has them; a cell whose value is no longer the one read keeps its value.
fn respell(cells: &mut Vec<String>, row: &RowForm) {
    for spelling in &row.spellings {
        if let Some(cell) = cells.get_mut(spelling.column).filter(|cell| **cell == spelling.canonical) {
            cell.clone_from(&spelling.written);
        }
    }
    while cells.len() > row.columns && cells.last().is_some_and(String::is_empty) {
        cells.pop();
    }
    while cells.len() < row.columns {
        cells.push(String::new());
    }
}

/// How `source` differs from the canonical rows of its value; `None` when it has other rows or more content.
fn form_of(source: &Source<'_>, canonical: &Rows) -> Option<Form> {
    if source.rows.len() != canonical.0.len() {
        return None;
    }
    let mut rows = Vec::with_capacity(source.rows.len());
    for (row, cells) in source.rows.iter().zip(&canonical.0) {
        let mut spellings = Vec::new();
        for (column, cell) in cells.iter().enumerate() {
            if row.item(column) != cell {
                let written = row.item(column).to_owned();
                spellings.push(Spelling { column, canonical: cell.clone(), written });
            }
        }
        if row.cells.iter().skip(cells.len()).any(|cell| !cell.is_empty()) {
            return None;
        }
        rows.push(RowForm { columns: row.cells.len(), spellings });
    }
    Some(Form { rows, final_line_feed: source.final_line_feed })
}

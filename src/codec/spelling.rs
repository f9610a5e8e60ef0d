//! Rows being written, and how a document's spelling of them differs from the canonical one. With the form, what was
//! read is written back byte for byte.

use super::fault::{Form, RowForm, Spelling};
use super::row::{Source, is_refused};
use super::text::{self, TextForm};

/// The code of a value in a table; every value of a table's type has one.
pub(super) fn code_of<T: PartialEq>(table: &[(u16, T)], value: &T) -> String {
    table.iter().find(|(_, entry)| entry == value).map(|(code, _)| code.to_string()).unwrap_or_default()
}

/// Rows being written, as one text: no cell holds a comma or the end of a line.
#[derive(Debug, Default)]
pub(super) struct Rows(String);

impl Rows {
    /// Adds a row. Characters that would break the row are replaced: a comma by the full-width one (JAHIS10
    /// 3.2.4), anything that may not stand in a field by a space.
    pub fn push<'c>(&mut self, cells: impl IntoIterator<Item = &'c str>) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        for (column, cell) in cells.into_iter().enumerate() {
            if column > 0 {
                self.0.push(',');
            }
            self.cell_push(cell);
        }
    }

    fn cell_push(&mut self, cell: &str) {
        let mut rest = cell;
        while let Some(at) = rest.find(|character| character == ',' || is_refused(character)) {
            let (writable, broken) = rest.split_at(at);
            let mut left = broken.chars();
            self.0.push_str(writable);
            self.0.push(if left.next() == Some(',') { '，' } else { ' ' });
            rest = left.as_str();
        }
        self.0.push_str(rest);
    }

    /// The cells of every row.
    pub fn cells(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        self.0.split('\n').map(|row| row.split(','))
    }

    /// The bytes of the rows as `form` says they were written, else in the text form of the document's kind.
    pub fn into_bytes(self, form: &Form, usual: TextForm) -> Vec<u8> {
        let text = if form.rows.len() == self.cells().count() {
            let rows =
                self.cells().zip(&form.rows).map(|(cells, row)| respelled(cells.collect(), row).join(","));
            rows.collect::<Vec<_>>().join("\n")
        } else {
            self.0
        };
        text::encode(&text, form.text.unwrap_or(usual))
    }
}

/// A row's cells as the form has them; a cell whose value is no longer the one read keeps its value.
fn respelled<'c>(mut cells: Vec<&'c str>, row: &'c RowForm) -> Vec<&'c str> {
    for spelling in &row.spellings {
        if let Some(cell) = cells.get_mut(spelling.column).filter(|cell| **cell == spelling.canonical) {
            *cell = &spelling.written;
        }
    }
    while cells.len() > row.columns && cells.last().is_some_and(|cell| cell.is_empty()) {
        cells.pop();
    }
    if cells.len() < row.columns {
        cells.resize(row.columns, "");
    }
    cells
}

/// How `source` differs from the canonical rows of its value; `None` when it has other rows or more content.
pub(super) fn form_of(source: &Source<'_>, canonical: &Rows) -> Option<Form> {
    let mut rows = Vec::with_capacity(source.rows.len());
    let mut read = source.rows.iter();
    for cells in canonical.cells() {
        let row = read.next()?;
        let (mut spellings, mut columns) = (Vec::new(), 0);
        for (column, cell) in cells.enumerate() {
            columns = column + 1;
            let written = row.item(column);
            if written != cell {
                spellings.push(Spelling { column, canonical: cell.to_owned(), written: written.to_owned() });
            }
        }
        if row.cells.iter().skip(columns).any(|cell| !cell.is_empty()) {
            return None;
        }
        rows.push(RowForm { columns: row.cells.len(), spellings });
    }
    read.next().is_none().then_some(Form { rows, text: Some(source.form) })
}

/// Whether every cell written otherwise than canonically says the same: a number with other leading zeros, a
/// default left out, record 60 for 61, a date by era and by the Western year, or a creator (作成者), which the domain does not keep.
#[cfg(test)]
pub(super) fn says_the_same(form: &Form) -> bool {
    use super::era::{self, EraName};
    let number = |text: &str| -> Option<u32> { text.parse().ok() };
    let date = |text| era::date(text, Some(EraName::Digit));
    form.rows.iter().flat_map(|row| &row.spellings).all(|spelling| {
        let (canonical, written) = (spelling.canonical.as_str(), spelling.written.as_str());
        match (canonical, written) {
            ("0" | "1", "") | ("61", "60") | ("", "1" | "2" | "8" | "9") => true,
            _ if canonical.len() == 7 && written.len() == 8 => {
                date(canonical).is_some() && date(canonical) == date(written)
            }
            _ => number(canonical).is_some() && number(canonical) == number(written),
        }
    })
}

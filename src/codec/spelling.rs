//! Rows being written, and how a document's spelling of them differs from the canonical one. With the form, what was
//! read is written back byte for byte.

use super::fault::{Form, RowForm, Spelling};
use super::row::{Source, is_refused};
use super::text::{self, TextForm};

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

    /// The cells of every row.
    pub fn into_cells(self) -> Vec<Vec<String>> {
        self.0
    }

    /// The bytes of the rows as `form` says they were written, else in the text form of the document's kind.
    pub fn into_bytes(mut self, form: &Form, usual: TextForm) -> Vec<u8> {
        if form.rows.len() == self.0.len() {
            for (cells, row) in self.0.iter_mut().zip(&form.rows) {
                respell(cells, row);
            }
        }
        let text = self.0.iter().map(|cells| cells.join(",")).collect::<Vec<_>>().join("\n");
        text::encode(&text, form.text.unwrap_or(usual))
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
pub(super) fn form_of(source: &Source<'_>, canonical: &Rows) -> Option<Form> {
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
    Some(Form { rows, text: Some(source.form) })
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

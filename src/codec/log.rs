//! What is noticed while a document is read: faults and warnings with their places, bounded in number, answered
//! all at once.

use super::era::EraName;
use super::fault::{Fault, Read};
use super::row::{Row, Source};
use super::spelling::{Rows, form_of};

/// The most faults (and warnings) reported one by one.
const MAX_FAULTS: usize = 200;

/// Everything noticed while a document is read.
#[derive(Debug)]
pub(super) struct Log {
    form: &'static str,
    eras: Option<EraName>,
    faults: Vec<(usize, Fault)>,
    faults_left_out: usize,
    warnings: Vec<(usize, Fault)>,
}

impl Log {
    /// A log for one document; `form` opens every place.
    pub fn new(form: &'static str) -> Self {
        Self { form, eras: None, faults: Vec::new(), faults_left_out: 0, warnings: Vec::new() }
    }

    /// Lets dates be written by era as well.
    pub fn with_eras(self, eras: EraName) -> Self {
        Self { eras: Some(eras), ..self }
    }

    /// How dates may name an era, if they may.
    pub fn eras(&self) -> Option<EraName> {
        self.eras
    }

    /// A fault of the document as a whole, or of a line (from 1), or of a `record` that is missing from it.
    pub fn fault_at(&mut self, line: Option<usize>, record: Option<&str>, message: impl Into<String>) {
        let place = self.place(line, record);
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
        let place = self.item_place(row, item);
        self.push_warning(row.line, Fault { place, message: message.into() });
    }

    /// Something odd in a line, or in a row of the `record` given.
    pub fn warn_at(&mut self, line: usize, record: Option<&str>, message: impl Into<String>) {
        let place = self.place(Some(line), record);
        self.push_warning(line, Fault { place, message: message.into() });
    }

    fn push_warning(&mut self, line: usize, warning: Fault) {
        if self.warnings.len() < MAX_FAULTS {
            self.warnings.push((line, warning));
        }
    }

    fn place(&self, line: Option<usize>, record: Option<&str>) -> String {
        let line = line.map(|line| format!("[line {line}]")).unwrap_or_default();
        let record = record.map(|record| format!(".{record}")).unwrap_or_default();
        format!("{}{line}{record}", self.form)
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

    /// Whether nothing was refused.
    #[cfg(test)]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
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

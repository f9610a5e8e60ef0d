//! The official masters, where a machine has them beside the project, for tests that hold the fixtures against
//! them.

use std::collections::HashMap;
use std::path::Path;

/// One file, held as it is.
pub(super) struct Master {
    columns: HashMap<String, usize>,
    records: Vec<csv::StringRecord>,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a HashMap<String, usize>,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    /// The cell of a column.
    pub(super) fn cell(self, column: &str) -> &'a str {
        &self.record[self.columns[column]]
    }
}

impl Master {
    /// Reads a master, or says that it is not here.
    pub(super) fn read(name: &str) -> Option<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
        let Ok(bytes) = std::fs::read(&path) else {
            eprintln!("skipped: {name} is not here");
            return None;
        };
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        // Of columns with one name the first.
        let mut columns = HashMap::new();
        for (index, name) in reader.headers().unwrap().iter().enumerate() {
            columns.entry(name.to_owned()).or_insert(index);
        }
        Some(Self { columns, records: reader.records().map(Result::unwrap).collect() })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|record| Row { columns: &self.columns, record })
    }

    /// The rows by the cells of one column.
    pub(super) fn by(&self, column: &str) -> HashMap<&str, Row<'_>> {
        self.rows().map(|row| (row.cell(column), row)).collect()
    }
}

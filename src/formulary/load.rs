//! Reads formulary files: recognises each by its header, gathers every fault with its line, and builds a
//! [`Formulary`] only when there is none. The only part of the formulary that touches the file system.

use std::fmt;
use std::path::Path;

use ring::digest;

use super::product::Products;
use super::table::{Layout, Table};
use super::usage::Usages;
use super::{Formulary, table};

/// A file as it came.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// The name used in faults.
    pub name: &'a str,
    /// The whole content.
    pub bytes: &'a [u8],
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name.
    pub file: String,
    /// The line, from 1; `None` when the whole file is meant.
    pub line: Option<u64>,
    /// The rule that was broken.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}[line {line}]: {}", self.file, self.problem),
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

/// Why no formulary was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory or a file in it cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// What could not be read.
        path: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The files are faulty; all faults, in the order of files and lines.
    #[error("{} fault(s) in the formulary, the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Faulty(Vec<Fault>),
}

/// The largest file accepted: the published masters are below 10 MB.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Every `*.csv` of `directory`, by name.
pub(super) fn read_dir(directory: &Path) -> Result<Vec<(String, Vec<u8>)>, LoadError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| LoadError::Unreadable { path, source }
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("csv")) {
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if std::fs::metadata(&path).map_err(unreadable(&path))?.len() > MAX_FILE_BYTES {
            return Err(LoadError::Faulty(vec![Fault {
                file: name,
                line: None,
                problem: format!("larger than {MAX_FILE_BYTES} bytes"),
            }]));
        }
        files.push((name, std::fs::read(&path).map_err(unreadable(&path))?));
    }
    files.sort();
    Ok(files)
}

pub(super) fn load(label: &str, files: &[File<'_>]) -> Result<Formulary, LoadError> {
    let mut faults = Vec::new();
    let mut tables: Vec<(&str, Table)> = Vec::new();
    for file in files {
        if let Some(table) = Table::read(*file, &mut faults) {
            if let Some((earlier, _)) = tables.iter().find(|(_, known)| known.layout == table.layout) {
                faults.push(Fault {
                    file: file.name.to_owned(),
                    line: None,
                    problem: format!("has the same layout as {earlier}"),
                });
                continue;
            }
            tables.push((file.name, table));
        }
    }
    if faults.is_empty() && !tables.iter().any(|(_, table)| table.layout == Layout::Products) {
        faults.push(Fault {
            file: label.to_owned(),
            line: None,
            problem: "no file with the header of the product table".to_owned(),
        });
    }
    let mut products = Products::default();
    let mut usages = Usages::default();
    for (file, table) in &tables {
        match table.layout {
            Layout::Products => table::products_fill(file, table, &mut products, &mut faults),
            Layout::Usages => table::usages_fill(file, table, &mut usages, &mut faults),
        }
    }
    if faults.is_empty() {
        Ok(Formulary { version: version(label, files), products, usages })
    } else {
        Err(LoadError::Faulty(faults))
    }
}

/// The digest of the sorted digests of the files, so that neither order nor name matters.
fn version(label: &str, files: &[File<'_>]) -> String {
    let mut digests: Vec<Vec<u8>> =
        files.iter().map(|file| digest::digest(&digest::SHA256, file.bytes).as_ref().to_vec()).collect();
    digests.sort();
    let whole = digest::digest(&digest::SHA256, &digests.concat());
    let mut first = [0; 8];
    first[2..].copy_from_slice(&whole.as_ref()[..6]);
    format!("{label}-{:012x}", u64::from_be_bytes(first))
}

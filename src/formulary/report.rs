//! What loading found: every file with what was taken from it, every row left out with its line, every code without
//! ingredients. Plain data to be shown or kept; decides nothing.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::encoding::Encoding;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// The faults listed at most; a file of another kind under a known header would otherwise fill the memory.
pub(super) const MAX_FAULTS: usize = 10_000;

/// Faults as they are found.
#[derive(Debug, Default)]
pub(super) struct Faults {
    listed: Vec<Fault>,
    unlisted: usize,
    /// Rows with a fault by file, with the last line counted: a row may have several.
    rows: HashMap<String, (u64, usize)>,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        if let Some(line) = fault.line {
            let (last, count) = self.rows.entry(fault.file.clone()).or_insert((0, 0));
            if *last != line {
                (*last, *count) = (line, *count + 1);
            }
        }
        if self.listed.len() < MAX_FAULTS {
            self.listed.push(fault);
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn row(&mut self, file: &str, line: u64, problem: impl Into<String>) {
        self.push(Fault { file: file.to_owned(), line: Some(line), problem: problem.into() });
    }

    pub(super) fn whole(&mut self, file: &str, problem: impl Into<String>) {
        self.push(Fault { file: file.to_owned(), line: None, problem: problem.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The rows of a file that have faults.
    pub(super) fn rows_of(&self, file: &str) -> usize {
        self.rows.get(file).map_or(0, |(_, count)| *count)
    }

    /// The faults listed and the number of those that are not.
    pub(super) fn into_parts(self) -> (Vec<Fault>, usize) {
        (self.listed, self.unlisted)
    }
}

/// One file of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file's name.
    pub file: String,
    /// The layout its header was recognised by; `None` for a file of another kind, which is left alone.
    pub layout: Option<&'static str>,
    /// The encoding it was read in.
    pub encoding: Encoding,
    /// Rows below the header; of a recognised layout only.
    pub rows: usize,
    /// Rows left out because of a fault.
    pub refused: usize,
}

/// A receipt code that no ingredients were found for, and that the checker therefore cannot check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unresolved {
    /// レセプト電算コード, or the price code of a product without one.
    pub code: String,
    /// The name in the master.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What was loaded and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The version of the formulary.
    pub version: String,
    /// Every file, in the order read.
    pub files: Vec<FileReport>,
    /// Products with ingredients.
    pub products: usize,
    /// Generic names (一般名コード) with ingredients.
    pub generic_names: usize,
    /// Distinct base ingredients.
    pub ingredients: usize,
    /// HOT9 codes that lead to a product.
    pub hot_codes: usize,
    /// HOT9 codes of the HOT master whose other codes no product has.
    pub unlinked_hot_codes: usize,
    /// Receipt codes in force (not 廃止).
    pub active_receipt_codes: usize,
    /// Of these, the ones that lead to ingredients.
    pub resolved_receipt_codes: usize,
    /// Rows left out, by file and line.
    pub faults: Vec<Fault>,
    /// Faults beyond those listed.
    pub unlisted_faults: usize,
}

/// How far loading has come. Told when a file begins and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file.
    pub file: &'a str,
    /// Bytes read of all files so far.
    pub bytes: u64,
    /// Bytes of all files.
    pub of: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formulary::{File, Formulary, LoadError};

    #[test]
    fn a_report_is_data_for_programs() {
        let fixture = Formulary::fixture().unwrap();
        let json = serde_json::to_value(fixture.report()).unwrap();
        assert_eq!(json["version"], fixture.version());
        assert_eq!(json["files"][0]["layout"], "product table");
        assert_eq!(json["files"][0]["encoding"], "UTF-8");
        assert_eq!(json["faults"], serde_json::json!([]));
        assert_eq!(json["products"], fixture.products().count());
    }

    #[test]
    fn rows_with_several_faults_count_once() {
        let mut faults = Faults::default();
        faults.row("f", 2, "a");
        faults.row("f", 2, "b");
        faults.row("f", 5, "a");
        faults.whole("f", "c");
        assert_eq!((faults.rows_of("f"), faults.rows_of("g")), (2, 0));
    }

    #[test]
    fn progress_reaches_the_end() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("a.csv", "x\n1\n"), ("b.csv", "y\n22\n")] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let mut told = Vec::new();
        let result = Formulary::from_dir_with("t", directory.path(), &mut |progress| {
            told.push((progress.file.to_owned(), progress.bytes, progress.of));
        });
        assert!(matches!(result, Err(LoadError::Faulty(_))));
        let expected = [("a.csv", 0), ("a.csv", 4), ("b.csv", 4), ("b.csv", 9)];
        assert_eq!(told, expected.map(|(file, bytes)| (file.to_owned(), bytes, 9)));
        assert!(Formulary::from_files("t", &[File { name: "a", bytes: b"" }]).is_err());
    }
}

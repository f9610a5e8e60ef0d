//! Reads formulary files: recognises each by its header, gathers every fault with its line, and builds a
//! [`Formulary`] only when there is none. The only part of the formulary that touches the file system.

use std::fmt;
use std::path::Path;

use ring::digest;

use super::contraindication::Contraindications;
use super::product::Products;
use super::table::{Layout, Table};
use super::usage::Usages;
use super::{CONTRAINDICATIONS, Formulary, table};

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

/// The faults listed at most; a file of another kind under a known header would otherwise fill the memory.
const MAX_FAULTS: usize = 10_000;

/// Faults as they are found.
#[derive(Default)]
pub(super) struct Faults {
    listed: Vec<Fault>,
    unlisted: usize,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        if self.listed.len() < MAX_FAULTS {
            self.listed.push(fault);
        } else {
            self.unlisted += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    fn into_error(mut self, label: &str) -> LoadError {
        if self.unlisted > 0 {
            let problem = format!("{} more faults are not listed", self.unlisted);
            self.listed.push(Fault { file: label.to_owned(), line: None, problem });
        }
        LoadError::Faulty(self.listed)
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
    let mut faults = Faults::default();
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
    let mut files = files.to_vec();
    if !tables.iter().any(|(_, table)| table.layout == Layout::Contraindications) {
        files.push(CONTRAINDICATIONS);
        tables
            .extend(Table::read(CONTRAINDICATIONS, &mut faults).map(|table| (CONTRAINDICATIONS.name, table)));
    }
    // Products first: the other tables refer to them.
    tables.sort_by_key(|(_, table)| table.layout);
    let mut products = Products::default();
    let mut usages = Usages::default();
    let mut contraindications = Contraindications::default();
    for (file, table) in &tables {
        match table.layout {
            Layout::Products => table::products_fill(file, table, &mut products, &mut faults),
            Layout::Usages => table::usages_fill(file, table, &mut usages, &mut faults),
            Layout::Contraindications => {
                table::contraindications_fill(file, table, &products, &mut contraindications, &mut faults);
            }
        }
    }
    if faults.is_empty() {
        Ok(Formulary { version: version(label, &files), products, usages, contraindications })
    } else {
        Err(faults.into_error(label))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formulary::SiteSupplement;
    use crate::prescription::identifier::DrugCode;
    use proptest::prelude::*;

    const HEADER: &str = "receipt_code,yj_code,price_code,generic_code,generic_name,name,unit,route,systemic,ingredients,class\n";
    const GOOD: &str = "612170710,2171022F2025,2171022F2025,2171022F2ZZZ,【般】アムロジピン錠５ｍｇ,ノルバスク錠５ｍｇ,錠,internal,1,アムロジピン,2171\n";
    const USAGES: &str = "usage_code,name,valid_from,valid_to,guide,condition,timing,time,interval,site\n";

    fn load_texts(texts: &[&str]) -> Result<Formulary, Vec<String>> {
        let files: Vec<File<'_>> =
            texts.iter().map(|text| File { name: "f.csv", bytes: text.as_bytes() }).collect();
        load("t", &files).map_err(|error| match error {
            LoadError::Faulty(faults) => faults.iter().map(ToString::to_string).collect(),
            LoadError::Unreadable { .. } => vec![error.to_string()],
        })
    }

    fn faults(texts: &[&str]) -> Vec<String> {
        load_texts(texts).err().unwrap_or_default()
    }

    #[test]
    fn good_rows_are_found_by_every_code() {
        let formulary = load_texts(&[&format!("{HEADER}{GOOD}")]).unwrap();
        for code in [
            DrugCode::Receipt("612170710".to_owned()),
            DrugCode::Yj("2171022F2025".to_owned()),
            DrugCode::Price("2171022F2025".to_owned()),
        ] {
            let product = formulary.product(&code).unwrap();
            assert_eq!(product.name, "ノルバスク錠５ｍｇ");
            assert_eq!(product.identity(), "612170710");
        }
        let generic = formulary.product(&DrugCode::Generic("2171022F2ZZZ".to_owned())).unwrap();
        assert_eq!(
            (generic.name.as_str(), generic.identity()),
            ("【般】アムロジピン錠５ｍｇ", "2171022F2ZZZ")
        );
        assert_eq!(formulary.ingredient_name(generic.components[0]), "アムロジピン");
        assert!(formulary.product(&DrugCode::Receipt("2171022F2025".to_owned())).is_none());
    }

    #[test]
    fn all_faults_are_told_with_their_lines() {
        let bad = "12,2171022F2026,x,2171022F2ZZZ,,,,mouth,2,A +  + B,21\n";
        let twice = GOOD.replace("2171022F2ZZZ,【般】アムロジピン錠５ｍｇ", ",");
        let told = faults(&[&format!("{HEADER}{GOOD}{bad}{twice}short,row\n")]);
        assert!(told.contains(&"f.csv[line 5]: 2 cells where the header has 11".to_owned()), "{told:#?}");
        assert!(told.contains(&"f.csv[line 4]: receipt code appears twice".to_owned()), "{told:#?}");
        let third: Vec<&String> = told.iter().filter(|fault| fault.starts_with("f.csv[line 3]")).collect();
        assert_eq!(third.len(), 10, "{third:#?}");
    }

    #[test]
    fn faults_are_listed_up_to_a_limit() {
        let told = faults(&[&format!("{HEADER}{}", "x\n".repeat(MAX_FAULTS + 5))]);
        assert_eq!(told.len(), MAX_FAULTS + 1);
        assert_eq!(told[MAX_FAULTS], "t: 5 more faults are not listed");
    }

    #[test]
    fn contradictions_are_faults() {
        let other =
            GOOD.replace("612170710", "612170711").replace("2171022F2025,2171022F2025", ",2171022F2025");
        let salt = other
            .replace("2171022F2ZZZ,【般】アムロジピン錠５ｍｇ", ",")
            .replace("internal,1,アムロジピン", "internal,1,ニフェジピン");
        let told = faults(&[&format!("{HEADER}{GOOD}{salt}")]);
        assert_eq!(
            told,
            ["f.csv[line 3]: price code is shared with a product of other ingredients or route"]
        );
        let brand = GOOD
            .replace("612170710", "612170711")
            .replace("2171022F2025", "2171022F1029")
            .replace("internal,1", "skin,0");
        let told = faults(&[&format!("{HEADER}{GOOD}{brand}")]);
        assert_eq!(told, ["f.csv[line 3]: products of one generic code differ in ingredients or route"]);
        assert_eq!(
            faults(&[&format!("{HEADER}{GOOD}{}", other.replace("錠５ｍｇ,ノル", "錠,ノル"))]).len(),
            1
        );
        assert_eq!(faults(&[&format!("{HEADER}{GOOD}{other}")]), [""; 0]);
    }

    #[test]
    fn files_are_recognised_by_header() {
        assert_eq!(faults(&["a,b\n1,2\n"]), ["f.csv[line 1]: unknown header"]);
        assert_eq!(faults(&[USAGES]), ["t: no file with the header of the product table"]);
        let products = format!("{HEADER}{GOOD}");
        assert_eq!(faults(&[&products, &products]), ["f.csv: has the same layout as f.csv"]);
        let shift_jis: &[u8] = &[b"receipt_code\n".as_slice(), &[0x83, 0x6d, 0x0a]].concat();
        assert!(load("t", &[File { name: "s.csv", bytes: shift_jis }]).is_err());
        let with_mark = format!("\u{feff}{products}");
        assert!(load_texts(&[&with_mark]).is_ok());
    }

    #[test]
    fn version_names_the_contents() {
        let products = format!("{HEADER}{GOOD}");
        let version = |texts: &[&str]| load_texts(texts).unwrap().version().to_owned();
        let both = version(&[&products, USAGES]);
        assert_eq!(both, version(&[USAGES, &products]));
        assert_ne!(both, version(&[&products]));
        assert!(both.starts_with("t-") && both.len() == 14, "{both}");
    }

    #[test]
    fn usages_follow_their_days() {
        let usages = format!(
            "{USAGES}1013044400000000,old,20220725,20251031,0,0,0,0,0,0\n1013044400000000,new,20251101,,1,0,0,0,0,3\n"
        );
        let products = format!("{HEADER}{GOOD}");
        let formulary = load_texts(&[&products, &usages]).unwrap();
        let on = |day: &str| formulary.usage("1013044400000000", day.parse().unwrap());
        assert_eq!(on("2022-07-24"), None);
        assert_eq!(on("2025-10-31").map(|usage| usage.name.as_str()), Some("old"));
        let new = on("2025-11-01").unwrap();
        assert!(new.supplement_needed() && new.site == SiteSupplement::Required);
        let told = faults(&[&products, &usages.replace("20251031", "")]);
        assert_eq!(told, ["f.csv[line 3]: usage code appears twice for the same days"]);
        let told = faults(&[&products, &format!("{USAGES}101304440000000,,20220732,20220701,2,0,0,0,0,4\n")]);
        assert_eq!(told.len(), 5, "{told:#?}");
        let told =
            faults(&[&products, &format!("{USAGES}1013044400000000,x,20250101,20241231,0,0,0,0,0,0\n")]);
        assert_eq!(told, ["f.csv[line 2]: valid_to: before valid_from"]);
    }

    #[test]
    fn directory_is_loaded_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("README.md", "not a table");
        write("p.csv", &format!("{HEADER}{GOOD}"));
        assert_eq!(Formulary::from_dir("dir", directory.path()).unwrap().products().count(), 1);
        write("other.csv", "a,b\n");
        assert!(matches!(Formulary::from_dir("dir", directory.path()), Err(LoadError::Faulty(_))));
        let missing = directory.path().join("missing");
        assert!(matches!(Formulary::from_dir("dir", &missing), Err(LoadError::Unreadable { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), header in any::<bool>()) {
            if header {
                bytes = [HEADER.as_bytes(), GOOD.as_bytes(), &bytes].concat();
            }
            let _ = load("t", &[File { name: "f.csv", bytes: &bytes }]);
        }
    }
}

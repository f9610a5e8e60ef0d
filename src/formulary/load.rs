//! Reads formulary files: recognises each by its header, gathers every fault with its line, and builds a
//! [`Formulary`] or nothing. The only part of the formulary that touches the file system.
//!
//! What refuses the whole: a file in no known encoding, a header that is nearly that of a layout, two files of one
//! content, any fault in the project's own layouts, and an official file of which more than one row in twenty is
//! faulty. A single faulty row of an official file is left out and reported. A file of another kind is left alone
//! and named in the report.

use std::ffi::OsStr;
use std::path::Path;

use ring::digest;

use super::contraindication::Contraindications;
use super::layout::{Layout, Table};
use super::product::Products;
use super::report::{Fault, Faults, FileReport, MAX_FAULTS, Progress, Report};
use super::usage::Usages;
use super::{CONTRAINDICATIONS, Formulary, encoding, hot, masters, table};

/// A file as it came.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// The name used in faults.
    pub name: &'a str,
    /// The whole content.
    pub bytes: &'a [u8],
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

/// Every `*.csv` and `*.txt` of `directory`, by name, with its length: MEDIS publishes its master as `.TXT`.
fn list_dir(directory: &Path) -> Result<Vec<(String, u64)>, LoadError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let is_table =
            |extension: &OsStr| ["csv", "txt"].iter().any(|known| extension.eq_ignore_ascii_case(known));
        if !path.extension().is_some_and(is_table) {
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let length = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
        if length > MAX_FILE_BYTES {
            return Err(LoadError::Faulty(vec![Fault {
                file: name,
                line: None,
                problem: format!("larger than {MAX_FILE_BYTES} bytes"),
            }]));
        }
        files.push((name, length));
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> LoadError {
    let path = path.display().to_string();
    move |source| LoadError::Unreadable { path, source }
}

/// Loads the tables of a directory, of which one at a time is held whole.
pub(super) fn load_dir(
    label: &str,
    directory: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Formulary, LoadError> {
    let files = list_dir(directory)?;
    let mut loading = Loading::of(files.iter().map(|(_, length)| length).sum(), progress);
    for (name, _) in &files {
        let path = directory.join(name);
        loading.take(File { name, bytes: &std::fs::read(&path).map_err(unreadable(&path))? });
    }
    loading.finish(label)
}

/// Loads files held in memory.
pub(super) fn load(label: &str, files: &[File<'_>]) -> Result<Formulary, LoadError> {
    let mut untold = |_: Progress<'_>| ();
    let mut loading = Loading::of(files.iter().map(|file| file.bytes.len() as u64).sum(), &mut untold);
    for file in files {
        loading.take(*file);
    }
    loading.finish(label)
}

/// Official rows that may be left out before the file counts as broken: a few, or one in twenty.
const FEW_ROWS: usize = 20;

/// What has been taken in so far.
struct Loading<'p> {
    progress: &'p mut dyn FnMut(Progress<'_>),
    bytes: u64,
    of: u64,
    fatal: Faults,
    left_out: Faults,
    /// The tables that are known, by the names of their files.
    tables: Vec<(String, Table)>,
    digests: Vec<digest::Digest>,
    reports: Vec<FileReport>,
}

impl<'p> Loading<'p> {
    fn of(bytes: u64, progress: &'p mut dyn FnMut(Progress<'_>)) -> Self {
        Self {
            progress,
            bytes: 0,
            of: bytes,
            fatal: Faults::default(),
            left_out: Faults::default(),
            tables: Vec::new(),
            digests: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Takes a file in, and tells so before and after.
    fn take(&mut self, file: File<'_>) {
        (self.progress)(Progress { file: file.name, bytes: self.bytes, of: self.of });
        self.bytes += file.bytes.len() as u64;
        if let Some((table, report)) = file_read(file, &mut self.fatal, &mut self.left_out) {
            if let Some(table) = table {
                self.table_take(file, table);
            }
            self.reports.push(report);
        }
        (self.progress)(Progress { file: file.name, bytes: self.bytes, of: self.of });
    }

    fn table_take(&mut self, file: File<'_>, table: Table) {
        if let Some(earlier) = conflicting(&self.tables, table.layout) {
            let problem = format!("has the same content as {earlier}");
            self.fatal.whole(file.name, problem);
        } else {
            self.digests.push(digest::digest(&digest::SHA256, file.bytes));
            self.tables.push((file.name.to_owned(), table));
        }
    }

    /// The formulary of all that was taken in.
    fn finish(mut self, label: &str) -> Result<Formulary, LoadError> {
        if !self.tables.iter().any(|(_, table)| table.layout == Layout::Contraindications) {
            let read = file_read(CONTRAINDICATIONS, &mut self.fatal, &mut self.left_out);
            if let Some(table) = read.and_then(|(table, _)| table) {
                self.table_take(CONTRAINDICATIONS, table);
            }
        }
        let Self { mut fatal, mut left_out, mut tables, digests, mut reports, .. } = self;
        tables.sort_by_key(|(_, table)| table.layout);
        let mut products = Products::default();
        let mut usages = Usages::default();
        let mut contraindications = Contraindications::default();
        let mut listed = masters::Listed::default();
        let mut linked = hot::Linked::default();
        if let Some(masters) = masters::Masters::among(&tables) {
            listed = masters.products_fill(&mut products, &mut left_out);
        }
        for (file, table) in &tables {
            match table.layout {
                Layout::Products => table::products_fill(file, table, &mut products, &mut fatal),
                Layout::Usages => table::usages_fill(file, table, &mut usages, &mut fatal),
                Layout::UsageMaster => table::usages_fill(file, table, &mut usages, &mut left_out),
                Layout::Contraindications => {
                    table::contraindications_fill(file, table, &products, &mut contraindications, &mut fatal);
                }
                Layout::HotMaster => linked = hot::codes_fill(file, table, &mut products, &mut left_out),
                // Read together above.
                Layout::PriceList
                | Layout::ReceiptMaster
                | Layout::GenericExceptions
                | Layout::GenericNames => {}
            }
        }
        for report in &mut reports {
            report.refused = left_out.rows_of(&report.file);
            if report.refused > FEW_ROWS.max(report.rows / 20)
                || report.rows > 0 && report.refused == report.rows
            {
                fatal.whole(&report.file, format!("{} of {} rows are faulty", report.refused, report.rows));
            }
        }
        let (brands, generic_names, ingredients) = products.counts();
        if fatal.is_empty() && brands + generic_names == 0 {
            fatal.whole(label, "no file brings products");
        }
        if !fatal.is_empty() {
            return Err(refusal(label, fatal, left_out));
        }
        let version = version(label, &digests);
        let active = if listed.active == 0 { brands } else { listed.active };
        let (mut faults, unlisted_faults) = left_out.into_parts();
        // Rows of the wrong length are found before the others.
        faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let report = Report {
            version,
            files: reports,
            products: brands,
            generic_names,
            ingredients,
            hot_codes: linked.codes,
            unlinked_hot_codes: linked.unlinked,
            active_receipt_codes: active,
            resolved_receipt_codes: if listed.active == 0 { brands } else { listed.resolved },
            faults,
            unlisted_faults,
        };
        Ok(Formulary { report, products, usages, contraindications, unresolved: listed.unresolved })
    }
}

/// Everything that was found, what refuses the load first.
fn refusal(label: &str, fatal: Faults, left_out: Faults) -> LoadError {
    let (mut faults, mut unlisted) = fatal.into_parts();
    let (mut rows, more) = left_out.into_parts();
    rows.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let room = MAX_FAULTS.saturating_sub(faults.len());
    unlisted += more + rows.len().saturating_sub(room);
    faults.extend(rows.into_iter().take(room));
    if unlisted > 0 {
        let problem = format!("{unlisted} more faults are not listed");
        faults.push(Fault { file: label.to_owned(), line: None, problem });
    }
    LoadError::Faulty(faults)
}

/// The name of a file that already brings what this layout would. An older usage master may stand beside the one in
/// force: prescriptions are read by the codes of their day.
fn conflicting(tables: &[(String, Table)], layout: Layout) -> Option<&str> {
    let subject = |layout| match layout {
        Layout::Usages | Layout::UsageMaster => Layout::Usages,
        other => other,
    };
    let products = |layout| {
        matches!(
            layout,
            Layout::PriceList | Layout::ReceiptMaster | Layout::GenericExceptions | Layout::GenericNames
        )
    };
    tables
        .iter()
        .find(|(_, known)| {
            subject(known.layout) == subject(layout)
                && (layout, known.layout) != (Layout::UsageMaster, Layout::UsageMaster)
                || layout == Layout::Products && products(known.layout)
                || known.layout == Layout::Products && products(layout)
        })
        .map(|(file, _)| file.as_str())
}

/// A file's table, when its layout is known, and what is to be said of it; nothing of a file that cannot be read.
fn file_read(
    file: File<'_>,
    fatal: &mut Faults,
    left_out: &mut Faults,
) -> Option<(Option<Table>, FileReport)> {
    let (text, encoding) = match encoding::decode(file.bytes) {
        Ok(decoded) => decoded,
        Err(line) => {
            fatal.row(file.name, line, "neither UTF-8 nor Shift_JIS");
            return None;
        }
    };
    let table = Table::read(file.name, &text, fatal, left_out);
    let report = FileReport {
        file: file.name.to_owned(),
        layout: table.as_ref().map(|table| table.layout.as_str()),
        encoding,
        rows: table.as_ref().map_or(0, |table| table.count),
        refused: 0,
    };
    Some((table, report))
}

/// The digest of the sorted digests of the files, so that neither order nor name matters.
fn version(label: &str, digests: &[digest::Digest]) -> String {
    let mut digests: Vec<&[u8]> = digests.iter().map(AsRef::as_ref).collect();
    digests.sort_unstable();
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
        assert_eq!(faults(&["a,b\n1,2\n"]), ["t: no file brings products"]);
        assert_eq!(faults(&[USAGES]), ["t: no file brings products"]);
        assert_eq!(
            faults(&[&HEADER.replace("unit,", "")]),
            ["f.csv[line 1]: header of the product table without unit"]
        );
        let products = format!("{HEADER}{GOOD}");
        assert_eq!(faults(&[&products, &products]), ["f.csv: has the same content as f.csv"]);
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
        let formulary = Formulary::from_dir("dir", directory.path()).unwrap();
        let layouts: Vec<_> = formulary.report().files.iter().map(|file| file.layout).collect();
        assert_eq!(layouts, [None, Some("product table")]);
        write("u.csv", "usage_code,name\n");
        write("v.csv", &format!("{USAGES}x\n"));
        assert!(matches!(Formulary::from_dir("dir", directory.path()), Err(LoadError::Faulty(_))));
        let missing = directory.path().join("missing");
        assert!(matches!(Formulary::from_dir("dir", &missing), Err(LoadError::Unreadable { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn no_bytes_make_it_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            cells in prop::collection::vec("[0-9A-Z.まで]{0,13}", 0..40),
            header in 0..4_usize,
        ) {
            let header = [
                "x\n",
                HEADER,
                "薬価基準収載医薬品コード,成分名,規格,品名,経過措置による使用期限\n",
                "一般名コード,一般名処方の標準的な記載,成分名,規格,例外コード\n",
            ][header];
            for row in cells.chunks(5) {
                bytes.extend(row.join(",").into_bytes());
                bytes.push(b'\n');
            }
            bytes = [header.as_bytes(), &bytes].concat();
            let _ = load("t", &[File { name: "f.csv", bytes: &bytes }]);
        }
    }
}

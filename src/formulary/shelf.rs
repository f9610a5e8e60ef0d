//! The shelf of imported editions (版): one directory an edition, named by the first day it is in force. A prescription
//! is checked by the formulary of its day. Owns the directory's form and the switch between editions.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::NaiveDate;

use super::{Formulary, LoadError, Progress};

/// Editions kept in memory: the one in force and the one before it, for prescriptions issued before the change.
const LOADED: usize = 2;

/// Why an edition cannot be put on the shelf or taken from it.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The files are not a formulary; nothing was changed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The files could not be copied or listed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
}

/// Formularies by the first day each is in force, the newest last; never empty.
#[derive(Clone, Debug)]
pub struct Editions(Vec<(NaiveDate, Arc<Formulary>)>);

impl Editions {
    /// One formulary for every day.
    pub fn always(formulary: Formulary) -> Self {
        Self(vec![(NaiveDate::MIN, Arc::new(formulary))])
    }

    /// The formulary of a day: the newest that was in force then, or the oldest there is.
    pub fn on(&self, day: NaiveDate) -> Arc<Formulary> {
        let index = self.0.partition_point(|(from, _)| *from <= day).saturating_sub(1);
        Arc::clone(&self.0[index].1)
    }
}

/// What tells a shelf from the same shelf changed: its editions and when each was last put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<(NaiveDate, PathBuf, SystemTime)>);

impl Stamp {
    /// Looks at the shelf; one that is not there is empty.
    ///
    /// # Errors
    /// [`ShelfError::Io`].
    pub fn of(shelf: &Path) -> Result<Self, ShelfError> {
        let entries = match fs::read_dir(shelf) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fault(shelf)(error)),
        };
        let mut editions = Vec::new();
        for entry in entries {
            let path = entry.map_err(fault(shelf))?.path();
            let day = path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
            if let Some(day) = day {
                let placed = fs::metadata(&path).and_then(|about| about.modified()).map_err(fault(&path))?;
                editions.push((day, path, placed));
            }
        }
        editions.sort();
        Ok(Self(editions))
    }

    /// Loads the newest editions; `None` when the shelf is empty.
    ///
    /// # Errors
    /// [`ShelfError`]; what was loaded before stays in force.
    pub fn load(&self) -> Result<Option<Editions>, ShelfError> {
        let newest = &self.0[self.0.len().saturating_sub(LOADED)..];
        let editions = newest
            .iter()
            .map(|(day, path, _)| Ok((*day, Arc::new(Formulary::from_dir(&day.to_string(), path)?))))
            .collect::<Result<Vec<_>, ShelfError>>()?;
        Ok((!editions.is_empty()).then_some(Editions(editions)))
    }
}

/// Puts the files of `source` on the shelf as the edition in force from `from`, after loading them once. Servers on
/// the shelf take it up by themselves. A directory that is no formulary changes nothing.
///
/// # Errors
/// [`ShelfError`].
pub fn edition_import(
    shelf: &Path,
    from: NaiveDate,
    source: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Formulary, ShelfError> {
    let formulary = Formulary::from_dir_with(&from.to_string(), source, progress)?;
    let (new, old) = (shelf.join(format!(".{from}.new")), shelf.join(format!(".{from}.old")));
    for leftover in [&new, &old] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(fault(leftover))?;
        }
    }
    fs::create_dir_all(&new).map_err(fault(&new))?;
    for file in formulary.report().files.iter().filter(|file| file.layout.is_some()) {
        let path = source.join(&file.file);
        fs::copy(&path, new.join(&file.file)).map_err(fault(&path))?;
    }
    let place = shelf.join(from.to_string());
    if place.exists() {
        fs::rename(&place, &old).map_err(fault(&place))?;
    }
    fs::rename(&new, &place).map_err(fault(&new))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(fault(&old))?;
    }
    Ok(formulary)
}

fn fault(path: &Path) -> impl FnOnce(io::Error) -> ShelfError {
    let path = path.to_owned();
    move |source| ShelfError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formulary")
    }

    #[test]
    fn an_empty_shelf_holds_nothing() {
        let shelf = tempfile::tempdir().unwrap();
        assert!(Stamp::of(&shelf.path().join("none")).unwrap().load().unwrap().is_none());
        assert!(Stamp::of(shelf.path()).unwrap().load().unwrap().is_none());
    }

    #[test]
    fn each_day_has_its_edition() {
        let shelf = tempfile::tempdir().unwrap();
        for from in ["2026-04-01", "2026-10-01"] {
            edition_import(shelf.path(), day(from), &fixture(), &mut |_| ()).unwrap();
        }
        let editions = Stamp::of(shelf.path()).unwrap().load().unwrap().unwrap();
        for (on, version) in [
            ("2025-01-01", "2026-04-01"),
            ("2026-09-30", "2026-04-01"),
            ("2026-10-01", "2026-10-01"),
            ("2027-01-01", "2026-10-01"),
        ] {
            assert!(editions.on(day(on)).version().starts_with(version), "{on}");
        }
    }

    #[test]
    fn a_bad_directory_changes_nothing_and_a_new_import_is_noticed() {
        let shelf = tempfile::tempdir().unwrap();
        let from = day("2026-04-01");
        edition_import(shelf.path(), from, &fixture(), &mut |_| ()).unwrap();
        let before = Stamp::of(shelf.path()).unwrap();
        let bad = tempfile::tempdir().unwrap();
        fs::write(bad.path().join("products.csv"), "receipt_code,name\n1,x\n").unwrap();
        assert!(matches!(
            edition_import(shelf.path(), from, bad.path(), &mut |_| ()),
            Err(ShelfError::Load(_))
        ));
        assert_eq!(Stamp::of(shelf.path()).unwrap(), before);
        edition_import(shelf.path(), from, &fixture(), &mut |_| ()).unwrap();
        assert_ne!(Stamp::of(shelf.path()).unwrap(), before);
        assert_eq!(fs::read_dir(shelf.path()).unwrap().count(), 1, "nothing is left lying about");
    }
}

//! Signed prescriptions on disk: signing is slow, and a document can be registered once only, so what one run did not
//! need is there for the next. One file a day and form, because a prescription is good for its days only.
//!
//! A record is person, round and length (little endian, 8, 8 and 4 bytes), then the document. Beside the file stands
//! how many of its records are taken.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::NaiveDate;

use super::BenchError;
use super::form::Form;
use super::population::Drawn;

const HEAD: usize = 20;

/// A signed prescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it was drawn as.
    pub drawn: Drawn,
    /// The document.
    pub document: Bytes,
}

/// The signed prescriptions of a day that nobody has sent yet.
pub struct Stock {
    path: PathBuf,
    taken: usize,
    left: std::vec::IntoIter<Signed>,
}

impl Stock {
    /// The stock of a day in a form. Those of other days are removed.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub fn open(directory: &Path, day: NaiveDate, form: Form) -> Result<Self, BenchError> {
        let path = directory.join(format!("prescriptions-{day}.{}", form.extension()));
        let read = || -> io::Result<(Vec<Signed>, usize)> {
            fs::create_dir_all(directory)?;
            for entry in fs::read_dir(directory)? {
                let other = entry?.path();
                let name = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with("prescriptions-") && !name.starts_with(&format!("prescriptions-{day}.")) {
                    fs::remove_file(other)?;
                }
            }
            let taken =
                or_absent(fs::read_to_string(mark(&path)))?.and_then(|text| text.parse().ok()).unwrap_or(0);
            let bytes = or_absent(fs::read(&path))?.unwrap_or_default();
            Ok((records(&Bytes::from(bytes)), taken))
        };
        let (mut all, taken) = read().map_err(|source| BenchError::File { path: path.clone(), source })?;
        let left = all.split_off(taken.min(all.len())).into_iter();
        Ok(Self { path, taken, left })
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds to the stock, and waits until it is on disk: written out by the kernel half a minute later, it would hold
    /// up the database that is being measured.
    ///
    /// # Errors
    ///
    /// [`BenchError::File`]
    pub fn add(&mut self, more: Vec<Signed>) -> Result<(), BenchError> {
        let append = || -> io::Result<()> {
            let mut file = io::BufWriter::new(OpenOptions::new().create(true).append(true).open(&self.path)?);
            for Signed { drawn, document } in &more {
                let length = u32::try_from(document.len()).map_err(io::Error::other)?;
                file.write_all(&drawn.person.to_le_bytes())?;
                file.write_all(&drawn.round.to_le_bytes())?;
                file.write_all(&length.to_le_bytes())?;
                file.write_all(document)?;
            }
            file.into_inner()?.sync_data()
        };
        append().map_err(|source| BenchError::File { path: self.path.clone(), source })?;
        let left = std::mem::take(&mut self.left);
        self.left = left.chain(more).collect::<Vec<_>>().into_iter();
        Ok(())
    }

    /// Takes the first `count`, or as many as there are, out of the stock for good.
    ///
    /// # Errors
    ///
    /// [`BenchError::File`]
    pub fn take(&mut self, count: usize) -> Result<Vec<Signed>, BenchError> {
        let taken: Vec<Signed> = self.left.by_ref().take(count).collect();
        self.taken += taken.len();
        let path = mark(&self.path);
        fs::write(&path, self.taken.to_string()).map_err(|source| BenchError::File { path, source })?;
        Ok(taken)
    }
}

fn mark(path: &Path) -> PathBuf {
    path.with_extension("taken")
}

fn or_absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The whole records of a file; one that broke off is left out.
fn records(bytes: &Bytes) -> Vec<Signed> {
    let (mut all, mut at) = (Vec::new(), 0);
    let number = |from: usize, length: usize| -> Option<u64> {
        let mut number = [0; 8];
        number[..length].copy_from_slice(bytes.get(from..from + length)?);
        Some(u64::from_le_bytes(number))
    };
    while let (Some(person), Some(round), Some(length)) =
        (number(at, 8), number(at + 8, 8), number(at + 16, 4))
    {
        let from = at + HEAD;
        at = from + usize::try_from(length).unwrap_or(usize::MAX);
        if at > bytes.len() {
            break;
        }
        all.push(Signed { drawn: Drawn { person, round }, document: bytes.slice(from..at) });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(person: u64) -> Signed {
        let document = Bytes::from(vec![b'x'; usize::try_from(person).unwrap()]);
        Signed { drawn: Drawn { person, round: person + 1 }, document }
    }

    #[test]
    fn what_was_taken_is_gone_for_good_and_the_rest_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
        let mut stock = Stock::open(directory.path(), day, Form::Xml).unwrap();
        stock.add((0..5).map(signed).collect()).unwrap();
        assert_eq!(stock.take(2).unwrap(), [signed(0), signed(1)]);
        stock.add(vec![signed(9)]).unwrap();
        let path = stock.path.clone();
        drop(stock);
        // A record that broke off, as after a full disk.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[1; HEAD + 3]).unwrap();
        assert!(Stock::open(directory.path(), day, Form::Jose).unwrap().is_empty());
        let mut again = Stock::open(directory.path(), day, Form::Xml).unwrap();
        assert_eq!(again.len(), 4);
        assert_eq!(again.take(9).unwrap(), [signed(2), signed(3), signed(4), signed(9)]);
        let next = Stock::open(directory.path(), day.succ_opt().unwrap(), Form::Xml).unwrap();
        assert!(next.is_empty() && !path.exists());
    }
}

//! A notebook whose parts (分割) come one after another in one body, as a reader of several symbols writes them down.

use super::{HEADER, Notebook, join, read};
use crate::codec::fault::Fault;

/// Reads a notebook, a single part of one, or all parts of one in any order; each begins with its own header line.
///
/// # Errors
/// Every fault of every part, the place naming the part; that parts are missing, repeated or of another notebook.
pub fn read_parts(bytes: &[u8]) -> Result<Notebook, Vec<Fault>> {
    let mut starts: Vec<usize> = std::iter::once(0)
        .chain(bytes.iter().zip(1..).filter(|(byte, _)| **byte == b'\n').map(|(_, next)| next))
        .filter(|start| bytes[*start..].starts_with(HEADER.as_bytes()))
        .collect();
    if starts.len() < 2 {
        return read(bytes).map(|read| read.value);
    }
    // What stands before the first header is the first part's fault to tell.
    starts[0] = 0;
    starts.push(bytes.len());
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    for (number, range) in (1..).zip(starts.windows(2)) {
        match read(&bytes[range[0]..range[1]]) {
            Ok(part) => parts.push(part.value),
            Err(told) => faults.extend(
                told.into_iter()
                    .map(|fault| Fault { place: format!("part {number}: {}", fault.place), ..fault }),
            ),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    join(&parts).map_err(|error| vec![Fault { place: "TC.911".to_owned(), message: error.to_string() }])
}

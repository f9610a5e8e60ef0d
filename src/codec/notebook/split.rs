//! A notebook over several symbols: each part a notebook of its own that names the patient, with a record 911 (分割制御)
//! that says which part of which whole it is. The parts are joined again in any order.

use super::record::{INGREDIENT, PATIENT, SPLIT};
use super::{Cells, Notebook};
use crate::codec::fault::Form;

/// Why a notebook cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// One piece alone is longer than a part may be, or there would be more parts than can be numbered.
    #[error("the notebook does not fit into parts of this size")]
    TooLarge,
    /// It is a part itself.
    #[error("the notebook is a part of another already")]
    IsPart,
}

/// Why notebooks cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// There is nothing to join, or one of them is whole.
    #[error("expected parts of a notebook, each with a record 911")]
    NotAPart,
    /// They differ in version, class, patient, id or number of parts.
    #[error("expected parts of the same notebook")]
    Mixed,
    /// A part is there twice.
    #[error("expected every part once")]
    Repeated,
    /// A part is not there.
    #[error("expected all parts")]
    Missing,
}

/// Room for `911,ID,TOTAL,NUMBER` and its end.
const CONTROL_BYTES: usize = 4 + 15 + 4 + 3 + 2;
const MAX_PARTS: usize = 999;

/// What has to stay together, and the records a part needs before it.
struct Piece<'a> {
    /// 5, 11, 15 of its dispensing.
    dispensing: &'a [Cells],
    /// 51, 55 of its prescription.
    prescription: &'a [Cells],
    records: &'a [Cells],
}

impl<'a> Piece<'a> {
    /// The records that a part ending like `last` needs for it.
    fn after(&self, last: Option<&Piece<'a>>) -> impl Iterator<Item = &'a Cells> + use<'a> {
        let same = |ours: &[Cells], theirs: fn(&Piece<'a>) -> &'a [Cells]| {
            last.is_some_and(|last| std::ptr::eq(ours, theirs(last)))
        };
        let goes_on = same(self.dispensing, |piece| piece.dispensing);
        let dispensing = if goes_on { &[] } else { self.dispensing };
        let within = goes_on && same(self.prescription, |piece| piece.prescription);
        let prescription = if within { &[] } else { self.prescription };
        dispensing.iter().chain(prescription).chain(self.records)
    }
}

/// The notebook in parts of at most `limit` bytes, or as it is when it fits. `id` names the whole, 14 digits.
///
/// # Errors
/// [`SplitError`]
pub fn split(notebook: &Notebook, id: &str, limit: usize) -> Result<Vec<Notebook>, SplitError> {
    if notebook.control().is_some() {
        return Err(SplitError::IsPart);
    }
    if notebook.length() <= limit {
        return Ok(vec![notebook.clone()]);
    }
    let start = || Notebook { records: notebook.patient().into_iter().cloned().collect(), ..*notebook };
    let mut parts = vec![start()];
    let mut last: Option<&Piece<'_>> = None;
    let pieces = notebook.pieces();
    for piece in &pieces {
        let fits = |part: &Notebook, last| {
            let longer: usize = piece.after(last).map(length).sum();
            part.length() + longer + CONTROL_BYTES <= limit
        };
        if parts.last().is_some_and(|part| !fits(part, last)) && last.is_some() {
            parts.push(start());
            last = None;
        }
        match parts.last_mut() {
            Some(part) if fits(part, last) => part.records.extend(piece.after(last).cloned()),
            _ => return Err(SplitError::TooLarge),
        }
        last = Some(piece);
    }
    let total = parts.len();
    if total > MAX_PARTS {
        return Err(SplitError::TooLarge);
    }
    for (number, part) in (1..).zip(&mut parts) {
        part.records.push(vec![SPLIT.to_string(), id.to_owned(), total.to_string(), format!("{number}")]);
    }
    Ok(parts)
}

/// The whole of all its parts, in whatever order they come.
///
/// # Errors
/// [`JoinError`]
pub fn join(parts: &[Notebook]) -> Result<Notebook, JoinError> {
    let mut ordered: Vec<(usize, &Notebook)> = Vec::new();
    let first = parts.first().ok_or(JoinError::NotAPart)?;
    let (id, total, _) = first.control().ok_or(JoinError::NotAPart)?;
    for part in parts {
        let (of, count, number) = part.control().ok_or(JoinError::NotAPart)?;
        let same = (part.version, part.class, part.patient(), of, count)
            == (first.version, first.class, first.patient(), id, total);
        if !same {
            return Err(JoinError::Mixed);
        }
        if ordered.iter().any(|(other, _)| *other == number) {
            return Err(JoinError::Repeated);
        }
        ordered.push((number, part));
    }
    ordered.sort_by_key(|(number, _)| *number);
    if ordered.len() != total {
        return Err(JoinError::Missing);
    }
    let mut whole = Notebook { records: first.patient().into_iter().cloned().collect(), ..*first };
    for (_, part) in ordered {
        whole.append(part);
    }
    Ok(whole)
}

fn is(cells: &Cells, numbers: std::ops::RangeInclusive<u16>) -> bool {
    cells.first().and_then(|number| number.parse().ok()).is_some_and(|number| numbers.contains(&number))
}

/// Of a record as it is written, its end included.
fn length(cells: &Cells) -> usize {
    let bytes = |cell: &String| encoding_rs::SHIFT_JIS.encode(cell).0.len();
    cells.iter().map(|cell| bytes(cell) + 1).sum::<usize>() + 1
}

impl Notebook {
    /// Id, number of parts and number of this one, if it is a part.
    fn control(&self) -> Option<(&str, usize, usize)> {
        let cells = self.records.last().filter(|cells| is(cells, SPLIT..=SPLIT))?;
        Some((cells.get(1)?, cells.get(2)?.parse().ok()?, cells.get(3)?.parse().ok()?))
    }

    fn patient(&self) -> Option<&Cells> {
        self.records.iter().find(|cells| is(cells, PATIENT..=PATIENT))
    }

    fn length(&self) -> usize {
        super::write(self, &Form::default()).len()
    }

    /// All but the patient, in order: the smallest runs of records that are not torn apart.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let (mut dispensing, mut prescription): (&[Cells], &[Cells]) = (&[], &[]);
        let mut rest = self.records.as_slice();
        while let Some(cells) = rest.first() {
            let run = |belongs: &dyn Fn(&Cells) -> bool| {
                1 + rest[1..].iter().take_while(|cells| belongs(cells)).count()
            };
            let rp = cells.get(1);
            let count = match () {
                () if is(cells, 3..=3) => run(&|next| is(next, INGREDIENT..=INGREDIENT)),
                () if is(cells, 5..=5) => run(&|next| is(next, 11..=15)),
                () if is(cells, 51..=51) => run(&|next| is(next, 55..=55)),
                () if is(cells, 201..=391) => run(&|next| is(next, 201..=391) && next.get(1) == rp),
                () => 1,
            };
            let (records, after) = rest.split_at(count);
            rest = after;
            // What stands before nothing of its own is a piece itself.
            let before =
                |content: std::ops::RangeInclusive<u16>| rest.first().is_some_and(|next| is(next, content));
            match () {
                () if is(cells, PATIENT..=PATIENT) => {}
                () if is(cells, 5..=5) => {
                    (dispensing, prescription) = (records, &[]);
                    if !before(51..=601) {
                        pieces.push(Piece { dispensing, prescription, records: &[] });
                    }
                }
                () if is(cells, 51..=51) => {
                    prescription = records;
                    if !before(201..=391) {
                        pieces.push(Piece { dispensing, prescription, records: &[] });
                    }
                }
                () if is(cells, 401..=601) => pieces.push(Piece { dispensing, prescription: &[], records }),
                () if is(cells, 201..=391) => pieces.push(Piece { dispensing, prescription, records }),
                () => pieces.push(Piece { dispensing: &[], prescription: &[], records }),
            }
        }
        pieces
    }

    /// Adds the records of the next part, without those it repeats.
    fn append(&mut self, part: &Notebook) {
        let added: Vec<&Cells> = part
            .records
            .iter()
            .filter(|cells| !is(cells, PATIENT..=PATIENT) && !is(cells, SPLIT..=SPLIT))
            .collect();
        let repeated = self.repeated(&added);
        self.records.extend(added[repeated..].iter().map(|cells| (*cells).clone()));
    }

    /// How many of the next part's first records only repeat which dispensing and prescription it goes on with.
    fn repeated(&self, added: &[&Cells]) -> usize {
        let Some(begin) = self.records.iter().rposition(|cells| is(cells, 5..=5)) else { return 0 };
        let heads = |cells: &Cells| is(cells, 5..=5) || is(cells, 11..=15);
        let head: Vec<&Cells> = self.records[begin..].iter().take_while(|cells| heads(cells)).collect();
        if !added.starts_with(&head) {
            return 0;
        }
        let (last, next) = (&self.records[self.records.len() - 1], added.get(head.len()));
        if next.is_some_and(|next| is(next, 401..=601)) {
            return head.len();
        }
        // After its last notes no dispensing goes on with medicines.
        if is(last, 401..=601) {
            return 0;
        }
        let Some(prescribed) = self.records.iter().rposition(|cells| is(cells, 51..=51)) else { return 0 };
        let prescription: Vec<&Cells> =
            self.records[prescribed..].iter().take_while(|cells| is(cells, 51..=55)).collect();
        let rp = |cells: &Cells| cells.get(1).and_then(|number| number.parse::<u16>().ok());
        let after = added.get(head.len()..).unwrap_or_default();
        let goes_on = after.starts_with(&prescription)
            && after.get(prescription.len()).is_some_and(|next| rp(next) > rp(last));
        head.len() + if goes_on { prescription.len() } else { 0 }
    }
}

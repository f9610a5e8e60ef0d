//! What was dispensed as a notebook for the patient (出力区分 1). A rendering: the signed result stays what it is.

use super::record::{Record, USAGE};
use super::{Cells, Class, Notebook, Version};
use crate::codec::cj1::writing;
use crate::codec::spelling::Rows;
use crate::codec::text::in_shift_jis;
use crate::prescription::dispensing::Dispensing;
use crate::prescription::document::Prescription;

/// レコード作成者 1 医療関係者.
const MEDICAL: &str = "1";
/// Stands where a prescription does not name its institution, which the notebook must.
const NAMELESS: &str = "名称なし";
/// 用法コード種別 3, which the notebook does not know, and 1 コードなし.
const MASTER: &str = "3";
const UNCODED: &str = "1";

/// A dispensing with the prescription it answers.
#[derive(Clone, Copy, Debug)]
pub struct Dispensed<'a> {
    /// 調剤結果.
    pub dispensing: &'a Dispensing,
    /// 処方箋.
    pub prescription: &'a Prescription,
}

/// The notebook of some dispensings of one patient, newest first; `None` of none. Who the patient is says the newest.
/// Characters that Shift_JIS has not become ■; the name in katakana stands beside. A dispensing result says nothing
/// that came only with JAHISTC08 (generic names, ingredients): the records of both versions are the same.
pub fn export(dispensed: &[Dispensed<'_>], version: Version) -> Option<Notebook> {
    let mut dispensed = dispensed.to_vec();
    dispensed.sort_by_key(|one| std::cmp::Reverse(one.dispensing.dispensed_on));
    let newest = dispensed.first()?;
    let mut person = newest.dispensing.clone();
    for older in &dispensed[1..] {
        let Dispensing { patient_remarks, memos, .. } = older.dispensing;
        person.patient_remarks.extend(patient_remarks.iter().cloned());
        person.memos.extend(memos.iter().cloned());
    }
    let mut rows = Rows::default();
    writing::person(&mut rows, &person);
    for Dispensed { dispensing, prescription } in &dispensed {
        writing::dispensed_on(&mut rows, dispensing);
        writing::pharmacy(&mut rows, dispensing);
        prescribed(&mut rows, dispensing, prescription);
        writing::medicines(&mut rows, dispensing);
    }
    let mut records: Vec<Cells> = Vec::new();
    for cells in rows.cells().map(|cells| of_the_notebook(cells.map(str::to_owned).collect())) {
        // The same remark or memo of several dispensings is said once.
        if !(matches!(cells[0].as_str(), "2" | "4") && records.contains(&cells)) {
            records.push(cells);
        }
    }
    Some(Notebook { version: version.number(), class: Class::ToPatient, records })
}

/// Who prescribed, as the pharmacy says it, else as the prescription does.
fn prescribed(rows: &mut Rows, dispensing: &Dispensing, prescription: &Prescription) {
    if let Some(given) = &dispensing.institution {
        writing::institution(rows, &given.name, &given.code);
    } else {
        let institution = &prescription.institution;
        writing::institution(rows, institution.name.as_deref().unwrap_or(NAMELESS), &institution.code);
    }
    if let Some(given) = &dispensing.prescriber {
        writing::prescriber(rows, &given.name, given.department.as_deref());
    } else {
        let department = prescription.department.as_ref().and_then(|department| department.name.as_deref());
        writing::prescriber(rows, &prescription.prescriber.name, department);
    }
}

/// A row of CJ1 as the notebook has it: with its creator, in Shift_JIS, and without codes it does not know.
fn of_the_notebook(mut cells: Cells) -> Cells {
    if cells[0] == USAGE.to_string() && cells.get(6).is_some_and(|kind| kind == MASTER) {
        UNCODED.clone_into(&mut cells[6]);
        cells[7].clear();
    }
    if let Some(creator) =
        Record::numbered(&cells[0]).and_then(Record::creator).and_then(|item| cells.get_mut(item))
    {
        MEDICAL.clone_into(creator);
    }
    cells.iter().map(|cell| in_shift_jis(cell)).collect()
}

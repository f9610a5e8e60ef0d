//! What a patient's notebook says of the patient that the exchange does not know itself: medicines bought without a
//! prescription, and medicines, allergies and adverse reactions the patient wrote down. What medical staff wrote is not
//! taken: it is somebody's record already. Past illness, memos and remarks are not kept.

use chrono::{Days, NaiveDate};

use super::record::{DISPENSED_ON, DRUG, INGREDIENT, OVER_THE_COUNTER, PATIENT, USAGE};
use super::{Cells, Notebook};
use crate::codec::cj1::code;
use crate::codec::era::{self, EraName};
use crate::prescription::dispensing::SupplyUnit;
use crate::prescription::identifier::DrugCode;
use crate::prescription::reported::{Allergy, AllergyCategory, Content, Medicine};

/// レコード作成者 1 医療関係者.
const MEDICAL: &str = "1";

impl Notebook {
    /// 生年月日 of whom it is about.
    pub fn birth_date(&self) -> Option<NaiveDate> {
        date(self.records.iter().find(|cells| cells[0] == PATIENT.to_string())?, 3)
    }

    /// What the patient reports in it, in its order.
    pub fn reported(&self) -> Vec<Content> {
        let mut allergies = Vec::new();
        let mut medicines: Vec<Medicine> = Vec::new();
        // Which medicines the ingredients of a sequence number, and the usage of an RP, are added to.
        let mut bought: Vec<(&str, usize)> = Vec::new();
        let mut written: Vec<(&str, usize)> = Vec::new();
        let mut dispensed_on = None;
        for cells in &self.records {
            let item = |item: usize| cells.get(item).map_or("", String::as_str);
            match item(0).parse().unwrap_or_default() {
                2 if item(3) != MEDICAL => allergies.extend(allergy(cells)),
                OVER_THE_COUNTER => {
                    bought.push((item(5), medicines.len()));
                    medicines.push(medicine(item(1), None, (date(cells, 2), date(cells, 3))));
                }
                INGREDIENT => {
                    let of = bought.iter().rev().find(|(number, _)| *number == item(1));
                    if let Some(medicine) = of.and_then(|(_, place)| medicines.get_mut(*place)) {
                        medicine.ingredients.push(item(2).to_owned());
                    }
                }
                DISPENSED_ON => dispensed_on = date(cells, 1),
                51 => written.clear(),
                DRUG if item(7) != MEDICAL => {
                    written.push((item(1), medicines.len()));
                    medicines.push(medicine(item(2), drug_code(cells), (dispensed_on, dispensed_on)));
                }
                USAGE if code::supply_unit(item(4)) == Ok(SupplyUnit::Days) => {
                    let last = dispensed_on.zip(item(3).parse().ok()).and_then(last_day);
                    for (_, place) in written.iter().filter(|(rp, _)| *rp == item(1)) {
                        if let Some(medicine) = medicines.get_mut(*place) {
                            medicine.until = last;
                        }
                    }
                }
                _ => {}
            }
        }
        let medicines = medicines.into_iter().map(Content::Medicine);
        allergies.into_iter().map(Content::Allergy).chain(medicines).collect()
    }
}

fn medicine(
    name: &str,
    code: Option<DrugCode>,
    (from, until): (Option<NaiveDate>, Option<NaiveDate>),
) -> Medicine {
    Medicine { name: name.to_owned(), code, ingredients: Vec::new(), from, until, note: None }
}

fn last_day((from, days): (NaiveDate, u64)) -> Option<NaiveDate> {
    from.checked_add_days(Days::new(days.checked_sub(1)?))
}

fn date(cells: &Cells, item: usize) -> Option<NaiveDate> {
    era::date(cells.get(item)?, Some(EraName::Letter))
}

/// アレルギー歴 and 副作用歴; 既往歴 and その他 are not about what one does not tolerate.
fn allergy(cells: &Cells) -> Option<Allergy> {
    let category = match cells.get(1)?.as_str() {
        "1" => None,
        "2" => Some(AllergyCategory::Medication),
        _ => return None,
    };
    let name = cells.get(2)?.clone();
    Some(Allergy { code: None, name, category, reaction: None, noticed_on: None, confirmed: false })
}

fn drug_code(cells: &Cells) -> Option<DrugCode> {
    let parse = match cells.get(5)?.as_str() {
        "2" => DrugCode::receipt,
        "3" => DrugCode::price,
        "4" => DrugCode::yj,
        "6" => DrugCode::hot,
        _ => return None,
    };
    parse(cells.get(6)?).ok()
}

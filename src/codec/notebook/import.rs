//! What a patient's notebook says of the patient that the exchange does not know itself: medicines bought without a
//! prescription, and whatever the patient wrote. What medical staff wrote is not taken: it is somebody's record
//! already.

use chrono::{Days, NaiveDate};

use super::record::{DISPENSED_ON, DRUG, INGREDIENT, OVER_THE_COUNTER, USAGE};
use super::{Cells, Notebook};
use crate::codec::cj1::code;
use crate::codec::era::{self, EraName};
use crate::prescription::dispensing::{Memo, PatientRemark, SupplyUnit};
use crate::prescription::identifier::DrugCode;
use crate::prescription::self_reported::{MedicineOrigin, SelfReport, SelfReportedMedicine};

/// レコード作成者 1 医療関係者.
const MEDICAL: &str = "1";

impl Notebook {
    /// What the patient says in it.
    pub fn self_report(&self) -> SelfReport {
        let mut report = SelfReport::default();
        // Where the ingredients of an over-the-counter medicine and the usage of a drug are to be added.
        let mut numbered: Vec<(&str, usize)> = Vec::new();
        let mut dispensed_on = None;
        for cells in &self.records {
            let item = |item: usize| cells.get(item).map_or("", String::as_str);
            match item(0).parse().unwrap_or_default() {
                2 if item(3) != MEDICAL => report.remarks.extend(remark(cells)),
                OVER_THE_COUNTER => {
                    numbered.push((item(5), report.medicines.len()));
                    report.medicines.push(SelfReportedMedicine {
                        name: item(1).to_owned(),
                        origin: MedicineOrigin::OverTheCounter {
                            jan: text(cells, 6),
                            ingredients: Vec::new(),
                        },
                        from: date(cells, 2),
                        until: date(cells, 3),
                    });
                }
                INGREDIENT => {
                    let of = numbered.iter().rev().find(|(number, _)| *number == item(1));
                    if let Some(MedicineOrigin::OverTheCounter { ingredients, .. }) = of
                        .and_then(|(_, place)| report.medicines.get_mut(*place))
                        .map(|medicine| &mut medicine.origin)
                    {
                        ingredients.push(item(2).to_owned());
                    }
                }
                4 if item(3) != MEDICAL => {
                    report.memos.push(Memo { text: item(1).to_owned(), entered_on: date(cells, 2) });
                }
                601 => report.memos.push(Memo { text: item(1).to_owned(), entered_on: date(cells, 2) }),
                DISPENSED_ON => dispensed_on = date(cells, 1),
                51 => numbered.clear(),
                DRUG if item(7) != MEDICAL => {
                    numbered.push((item(1), report.medicines.len()));
                    report.medicines.push(SelfReportedMedicine {
                        name: item(2).to_owned(),
                        origin: MedicineOrigin::Prescribed { code: drug_code(cells) },
                        from: dispensed_on,
                        until: None,
                    });
                }
                USAGE => {
                    let days =
                        (code::supply_unit(item(4)) == Ok(SupplyUnit::Days)).then(|| item(3).parse().ok());
                    for (_, place) in numbered.iter().filter(|(number, _)| *number == item(1)) {
                        if let Some(medicine) = report.medicines.get_mut(*place)
                            && matches!(medicine.origin, MedicineOrigin::Prescribed { .. })
                        {
                            medicine.until = dispensed_on.zip(days.flatten()).and_then(last_day);
                        }
                    }
                }
                _ => {}
            }
        }
        report
    }
}

fn last_day((from, days): (NaiveDate, u64)) -> Option<NaiveDate> {
    from.checked_add_days(Days::new(days.checked_sub(1)?))
}

fn text(cells: &Cells, item: usize) -> Option<String> {
    cells.get(item).filter(|cell| !cell.is_empty()).cloned()
}

fn date(cells: &Cells, item: usize) -> Option<NaiveDate> {
    era::date(cells.get(item)?, Some(EraName::Letter))
}

fn remark(cells: &Cells) -> Option<PatientRemark> {
    let number = cells.get(1)?.parse::<u16>().ok()?;
    let (_, kind) = code::PATIENT_REMARK_KIND.iter().find(|(code, _)| *code == number)?;
    Some(PatientRemark { kind: *kind, text: cells.get(2)?.clone() })
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

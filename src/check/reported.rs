//! From what is reported of a patient to what is compared. Claims are not: they come months late and say no days.

use chrono::NaiveDate;

use super::{Interval, LineContent, Period, Source, Substance};
use crate::prescription::identifier::DrugCode;
use crate::prescription::reported::{Allergy, AllergyCategory, Content, Medicine, Reported, Reporter};

/// The periods of an entry: one for its code, else one for each ingredient by its name, by whatever route.
///
/// What no product holds is then said to be unseen. An allergy to food or to what is in the air is no medicine's unless
/// a code says so, and leaves no gap.
pub fn periods(reported: &Reported) -> Vec<Period> {
    match &reported.content {
        Content::Allergy(allergy) => of_allergy(reported, allergy),
        Content::Medicine(medicine) => of_medicine(reported, medicine),
        Content::Claim(_) => Vec::new(),
    }
}

fn of_allergy(reported: &Reported, allergy: &Allergy) -> Vec<Period> {
    let elsewhere = matches!(allergy.category, Some(AllergyCategory::Food | AllergyCategory::Environment));
    if elsewhere && allergy.code.is_none() {
        return Vec::new();
    }
    let always = Interval { start: NaiveDate::MIN, end: NaiveDate::MAX };
    let by_name = std::slice::from_ref(&allergy.name);
    told(reported, Source::Allergy, &allergy.name, allergy.code.as_ref(), by_name, always)
}

fn of_medicine(reported: &Reported, medicine: &Medicine) -> Vec<Period> {
    let (start, end) = reported.days();
    // Until the patient says otherwise it is taken on.
    let interval = Interval { start, end: end.unwrap_or(NaiveDate::MAX) };
    let ingredients = match medicine.ingredients.as_slice() {
        [] => std::slice::from_ref(&medicine.name),
        ingredients => ingredients,
    };
    told(reported, Source::SelfReported, &medicine.name, medicine.code.as_ref(), ingredients, interval)
}

fn told(
    reported: &Reported,
    source: Source,
    name: &str,
    code: Option<&DrugCode>,
    ingredients: &[String],
    interval: Interval,
) -> Vec<Period> {
    let (institution, institution_name) = match &reported.by {
        Reporter::Patient => (None, "本人の申告 reported by the patient".to_owned()),
        Reporter::Facility { code, name, .. } => (Some(code.clone()), name.clone()),
    };
    let period = |code: Option<&DrugCode>, substance: Option<Substance>| Period {
        source,
        document: reported.id.to_string(),
        content: LineContent::Drug,
        code: code.cloned(),
        name: name.to_owned(),
        substance,
        interval,
        institution: institution.clone(),
        institution_name: institution_name.clone(),
        split: None,
    };
    if code.is_some() {
        return vec![period(code, None)];
    }
    let by_name = |ingredient: &String| Substance { ingredient: ingredient.clone(), route: None };
    ingredients.iter().map(|ingredient| period(None, Some(by_name(ingredient)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::sample::{day, line, receipt, run};
    use crate::check::{FindingKind, Supply, UncheckedReason};

    fn entry(content: Content) -> Reported {
        Reported { id: uuid::Uuid::nil(), recorded_on: day(3), by: Reporter::Patient, content }
    }

    fn allergy(name: &str, category: Option<AllergyCategory>) -> Reported {
        let (code, reaction, noticed_on) = (None, None, None);
        let name = name.to_owned();
        entry(Content::Allergy(Allergy { code, name, category, reaction, noticed_on, confirmed: false }))
    }

    fn medicine(name: &str, ingredients: &[&str], until: Option<NaiveDate>) -> Reported {
        let ingredients = ingredients.iter().map(|name| (*name).to_owned()).collect();
        let (name, code, from, note) = (name.to_owned(), None, None, None);
        entry(Content::Medicine(Medicine { name, code, ingredients, from, until, note }))
    }

    fn kinds(name: &str, start: u64, reported: &Reported) -> (Vec<FindingKind>, usize) {
        let lines = vec![line(1, receipt(name), day(start), Supply::Days(3))];
        let outcome = run(lines, &periods(reported));
        (outcome.findings.iter().map(|finding| finding.kind).collect(), outcome.coverage.history.len())
    }

    #[test]
    fn allergies_are_found_by_name_on_any_day() {
        let levofloxacin = allergy("レボフロキサシン水和物", None);
        assert_eq!(kinds("クラビット錠", 0, &levofloxacin), (vec![FindingKind::Allergy], 0));
        assert_eq!(kinds("ノルバスク錠５", 0, &levofloxacin), (vec![], 0));
        let unknown = periods(&allergy("何かの注射", Some(AllergyCategory::Medication)));
        let outcome = run(vec![line(1, receipt("ノルバスク錠５"), day(0), Supply::Days(3))], &unknown);
        assert_eq!(outcome.coverage.history[0].reason, UncheckedReason::UnknownIngredient);
        assert_eq!(kinds("ノルバスク錠５", 0, &allergy("そば", Some(AllergyCategory::Food))), (vec![], 0));
    }

    #[test]
    fn a_reported_medicine_counts_from_its_day_until_it_is_ended() {
        let bought = medicine("解熱鎮痛薬", &["アセトアミノフェン", "カフェイン"], None);
        assert_eq!(kinds("カロナール錠５００", 0, &bought), (vec![], 0), "it ends before");
        assert_eq!(kinds("カロナール錠５００", 1, &bought), (vec![FindingKind::DuplicateIngredient], 0));
        assert_eq!(kinds("カロナール錠５００", 9000, &bought), (vec![FindingKind::DuplicateIngredient], 0));
        let ended = medicine("解熱鎮痛薬", &["アセトアミノフェン"], Some(day(5)));
        assert_eq!(kinds("カロナール錠５００", 6, &ended), (vec![], 0));
        assert_eq!(
            kinds("ノルバスク錠５", 3, &medicine("青い薬", &[], None)),
            (vec![], 1),
            "nobody knows it"
        );
    }
}

//! アレルギー: an ingredient the patient is recorded not to tolerate. By any route: what an eye drop caused, a tablet
//! may cause. Relatives of an ingredient (交差反応) are not told.

use super::{Hit, Taken};
use crate::check::finding::{FindingKind, Severity};

/// The name of this rule.
const RULE: &str = "allergy";

/// `recorded` is the allergy; its period means nothing.
pub(super) fn apply(a: Taken<'_>, recorded: Taken<'_>) -> Option<Hit> {
    let ingredients = a.shared_ingredients(recorded);
    (!ingredients.is_empty()).then(|| Hit {
        kind: FindingKind::Allergy,
        rule: RULE.to_owned(),
        severity: Severity::High,
        ingredients,
        days: a.interval,
        text: None,
    })
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use crate::check::sample::{day, ingredient, line, period, receipt, run};
    use crate::check::{
        Coverage, Finding, FindingKind, Interval, Period, Severity, Source, Supply, Unchecked,
        UncheckedReason,
    };
    use crate::formulary::RouteClass;

    fn allergy(entry: Period) -> Period {
        Period { source: Source::Allergy, ..entry }
    }

    #[test]
    fn ingredients_are_told_by_any_route_on_any_day() {
        let recorded = allergy(ingredient("a1", "レボフロキサシン", Some(RouteClass::Internal), day(0)));
        for name in ["クラビット錠", "クラビット点眼液"] {
            for start in [day(0), day(3000), NaiveDate::from_ymd_opt(1999, 1, 1).unwrap()] {
                let outcome = run(
                    vec![line(1, receipt(name), start, Supply::Days(3))],
                    std::slice::from_ref(&recorded),
                );
                let [finding] = outcome.findings.as_slice() else { panic!("{outcome:?}") };
                assert_eq!((finding.kind, finding.severity), (FindingKind::Allergy, Severity::High));
                assert_eq!(finding.ingredients, ["レボフロキサシン"]);
                assert_eq!(finding.overlap, finding.candidate.interval);
                assert_eq!(finding.other.document, "a1");
            }
        }
        let outcome = run(
            vec![line(1, receipt("ノルバスク錠５"), day(0), Supply::Days(3))],
            std::slice::from_ref(&recorded),
        );
        assert_eq!(outcome.findings, []);
        assert!(outcome.coverage.is_complete());
    }

    #[test]
    fn findings_of_allergies_without_a_date_can_be_kept() {
        let mut recorded = allergy(ingredient("a1", "レボフロキサシン", None, day(0)));
        recorded.interval = Interval { start: NaiveDate::MIN, end: NaiveDate::MAX };
        let findings =
            run(vec![line(1, receipt("クラビット錠"), day(0), Supply::Days(3))], &[recorded]).findings;
        let kept = serde_json::to_string(&findings).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Finding>>(&kept).unwrap(), findings);
    }

    #[test]
    fn combinations_and_products_are_told_by_each_ingredient() {
        let line = |name| vec![line(1, receipt(name), day(0), Supply::Days(3))];
        let by_name = allergy(ingredient("a1", "アセトアミノフェン", None, day(0)));
        assert_eq!(run(line("ＰＬ配合顆粒"), std::slice::from_ref(&by_name)).findings.len(), 1);
        // An allergy recorded by product means each of its ingredients, and never a duplicate.
        let by_product = allergy(period("a2", receipt("ＰＬ配合顆粒"), day(0), Supply::Days(3)));
        let findings = run(line("カロナール錠５００"), &[by_product, by_name]).findings;
        assert_eq!(findings.len(), 2);
        assert!(findings.iter().all(|finding| finding.kind == FindingKind::Allergy));
    }

    #[test]
    fn unknown_ingredients_are_said_to_be_unseen() {
        let recorded = allergy(ingredient("a1", "卵白", None, day(0)));
        let outcome = run(vec![line(1, receipt("ノルバスク錠５"), day(0), Supply::Days(3))], &[recorded]);
        let unseen = Unchecked { place: "a1".to_owned(), reason: UncheckedReason::UnknownIngredient };
        assert_eq!(outcome.coverage, Coverage { lines: Vec::new(), history: vec![unseen] });
    }
}

//! What holds of every check, whatever is compared.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::sample::*;
use super::*;
use crate::formulary::RouteClass;
use crate::prescription::identifier::DrugCode;

fn any_code() -> impl Strategy<Value = Option<DrugCode>> {
    // A short list, so that hits are common.
    let known: Vec<Option<DrugCode>> = [
        "ノルバスク錠５",
        "アムロジピン錠５",
        "ミカムロ配合錠ＡＰ",
        "ザクラス配合錠ＨＤ",
        "カロナール錠５００",
        "アンヒバ坐剤小児用１００",
        "トラムセット配合錠",
        "ＰＬ配合顆粒",
        "クラビット点眼液",
        "クラビット錠",
        "エフピー",
        "サインバルタ",
        "フロリードゲル",
        "ワーファリン",
    ]
    .into_iter()
    .map(receipt)
    .chain([None, Some(DrugCode::Receipt("699999999".to_owned()))])
    .collect();
    prop::sample::select(known)
}

/// Any product of the formulary, more often one of the short list.
fn any_product() -> impl Strategy<Value = DrugCode> {
    let products: Vec<DrugCode> = FORMULARY
        .products()
        .filter_map(|product| product.receipt_code.clone())
        .map(DrugCode::Receipt)
        .collect();
    let listed =
        any_code().prop_filter_map("a product", |code| code.filter(|c| FORMULARY.product(c).is_some()));
    prop_oneof![prop::sample::select(products), listed]
}

fn any_substance() -> impl Strategy<Value = Substance> {
    let ingredient = prop::sample::select(vec!["アムロジピン", "レボフロキサシン", "セレギリン", "卵白"]);
    let route = prop::option::of(prop::sample::select(RouteClass::ALL.to_vec()));
    (ingredient, route).prop_map(|(name, route)| Substance { ingredient: name.to_owned(), route })
}

fn any_source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![
        Source::Prescribed,
        Source::Dispensed,
        Source::InHouse,
        Source::Allergy,
        Source::SelfReported,
    ])
}

fn any_policy() -> impl Strategy<Value = Policy> {
    use SameInstitution::{Information, Report, Silent};
    let same = prop::sample::select(vec![Report, Information, Silent]);
    (same, 0_u16..10, any::<bool>(), 0_u16..120).prop_map(
        |(same_institution, tolerance_days, therapeutic_class, look_back_days)| Policy {
            same_institution,
            tolerance_days,
            therapeutic_class,
            look_back_days,
            ..Policy::default()
        },
    )
}

fn any_supply() -> impl Strategy<Value = Supply> {
    prop_oneof![
        4 => (0_u16..40).prop_map(Supply::Days),
        1 => (0_u16..20).prop_map(|days| Supply::DaysOn(days, Rhythm::AlternateDays)),
        1 => Just(Supply::AsNeeded),
        1 => Just(Supply::External),
    ]
}

fn any_lines() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec((any_code(), 0_u64..60, any_supply()), 0..5).prop_map(|drafts| {
        (1..).zip(drafts).map(|(n, (code, start, supply))| line(n, code, day(start), supply)).collect()
    })
}

fn any_history() -> impl Strategy<Value = Vec<Period>> {
    let code = prop_oneof![6 => any_code().prop_map(Ok), 1 => any_substance().prop_map(Err)];
    prop::collection::vec((code, 0_u64..60, any_supply(), 0_u8..6, any::<bool>(), any_source()), 0..8)
        .prop_map(|drafts| {
            let one = |(code, start, supply, document, here, source)| {
                let (code, substance) = match code {
                    Ok(code) => (code, None),
                    Err(substance) => (None, Some(substance)),
                };
                // One document has one institution.
                let mut period = period(&format!("d{document}{here}{source:?}"), code, day(start), supply);
                period.institution = if here { HERE } else { THERE }.parse().ok();
                (period.source, period.substance) = (source, substance);
                period
            };
            drafts.into_iter().map(one).collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn order_does_not_matter(
        (lines, shuffled) in any_lines().prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        (history, mixed) in any_history().prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
    ) {
        prop_assert_eq!(run(lines, &history), run(shuffled, &mixed));
    }

    #[test]
    fn more_history_never_removes_a_finding(
        lines in any_lines(),
        history in any_history(),
        more in any_history(),
        policy in any_policy(),
    ) {
        let proposal = proposal(lines);
        let ids = |history: &[Period]| -> BTreeSet<(String, Severity)> {
            check(&proposal, history, &FORMULARY, &policy).findings.into_iter().map(|f| (f.id, f.severity)).collect()
        };
        let all: Vec<Period> = history.iter().chain(&more).cloned().collect();
        prop_assert!(ids(&history).is_subset(&ids(&all)));
    }

    #[test]
    fn disjoint_periods_never_duplicate(lines in any_lines(), mut history in any_history()) {
        for period in &mut history {
            let days = u64::from(period.interval.days()) - 1;
            period.interval = Interval { start: day(200), end: day(200 + days) };
        }
        let duplicates = |finding: &Finding| {
            matches!(finding.kind, FindingKind::DuplicateIngredient | FindingKind::DuplicateClass)
        };
        let policy = Policy { therapeutic_class: true, ..Policy::default() };
        let found = check(&proposal(lines), &history, &FORMULARY, &policy).findings;
        prop_assert!(!found.iter().any(duplicates));
    }

    #[test]
    fn order_of_a_pair_does_not_matter(
        (a, b) in (any_product(), any_product()),
        (from, to) in ((0_u64..40, any_supply()), (0_u64..40, any_supply())),
        policy in any_policy(),
    ) {
        let one_way = |(a, from): (&DrugCode, (u64, Supply)), (b, to): (&DrugCode, (u64, Supply))| {
            let lines = vec![line(1, Some(a.clone()), day(from.0), from.1)];
            let history = [period("d1", Some(b.clone()), day(to.0), to.1)];
            let policy = Policy { look_back_days: 100, ..policy.clone() };
            let what = |f: Finding| (f.kind, f.rule, f.severity, f.ingredients, f.overlap, f.text);
            let findings = check(&proposal(lines), &history, &FORMULARY, &policy).findings;
            let mut told: Vec<_> = findings.into_iter().map(what).collect();
            told.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            told
        };
        prop_assert_eq!(one_way((&a, from), (&b, to)), one_way((&b, to), (&a, from)));
    }

    #[test]
    fn ids_are_the_same_before_and_after_registering(lines in any_lines(), history in any_history()) {
        // Before signing no document has an id; the check that counts knows the ids of what it replaces.
        let ids = |documents| -> BTreeSet<String> {
            let proposal = Proposal { documents, ..proposal(lines.clone()) };
            let findings = check(&proposal, &history, &FORMULARY, &Policy::default()).findings;
            findings.into_iter().map(|finding| finding.id).collect()
        };
        prop_assert_eq!(ids(Vec::new()), ids(vec!["registered".to_owned()]));
    }

    #[test]
    fn ids_do_not_depend_on_places(lines in any_lines(), history in any_history()) {
        let moved = lines
            .iter()
            .map(|line| Candidate {
                place: format!("Bundle.entry[{}]", line.rp),
                rp: 90 - line.rp,
                line: 3,
                name: "otherwise written".to_owned(),
                ..line.clone()
            })
            .collect();
        let ids = |lines| -> BTreeSet<String> {
            run(lines, &history).findings.into_iter().map(|finding| finding.id).collect()
        };
        prop_assert_eq!(ids(lines.clone()), ids(moved));
    }

    #[test]
    fn every_line_is_checked_or_accounted_for(lines in any_lines(), history in any_history()) {
        let outcome = run(lines.clone(), &history);
        let unknown = |code: &Option<DrugCode>| code.as_ref().is_none_or(|c| FORMULARY.product(c).is_none());
        prop_assert_eq!(outcome.coverage.lines.len(), lines.iter().filter(|l| unknown(&l.code)).count());
        let unseen = |period: &&Period| match &period.substance {
            Some(substance) => substance.ingredient == "卵白",
            None => unknown(&period.code),
        };
        prop_assert_eq!(outcome.coverage.history.len(), history.iter().filter(unseen).count());
    }
}

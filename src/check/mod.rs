//! 重複投薬等チェック: compares the lines of one document with the medication periods of one patient. Owns the
//! rules, what a finding is and what stands for coverage. Pure: no input or output, no clock, no consent, no wire
//! format; the same arguments give the same outcome in any order of lines or history.

pub mod finding;
pub mod period;
pub mod policy;
pub mod proposal;
mod rules;
#[cfg(test)]
mod sample;
pub mod subject;

pub use finding::{
    Coverage, Finding, FindingKind, LineSide, OtherSide, Outcome, RuleText, Severity, Unchecked,
    UncheckedReason,
};
pub use period::{Interval, Supply, SupplyForm};
pub use policy::{Policy, SameInstitution};
pub use subject::{Candidate, LineContent, Period, Proposal, Source};

use crate::formulary::Formulary;
use subject::{Resolved, resolve};

/// Checks a proposal against the patient's history.
///
/// `history` holds the periods the caller looked back to: prescriptions not yet dispensed and dispensed results,
/// the former replaced by the latter. Lines of one document are never compared with each other.
pub fn check(proposal: &Proposal, history: &[Period], formulary: &Formulary, policy: &Policy) -> Outcome {
    let mut coverage = Coverage::default();
    let mut lines = Vec::new();
    for candidate in &proposal.lines {
        match resolve(candidate.content, candidate.code.as_ref(), formulary) {
            Ok(product) => lines.push(Resolved { subject: candidate, product }),
            Err(reason) => coverage.lines.push(Unchecked { place: candidate.place.clone(), reason }),
        }
    }
    let mut periods = Vec::new();
    for period in history.iter().filter(|period| !proposal.documents.contains(&period.document)) {
        match resolve(period.content, period.code.as_ref(), formulary) {
            Ok(product) => periods.push(Resolved { subject: period, product }),
            Err(reason) => coverage.history.push(Unchecked { place: period.document.clone(), reason }),
        }
    }
    coverage.sort();
    let findings = rules::apply(&proposal.institution, &lines, &periods, formulary, policy);
    Outcome { findings, coverage, formulary_version: formulary.version().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::sample::*;
    use super::*;
    use crate::prescription::identifier::DrugCode;

    /// The findings of one product against another, both for two weeks from the same day.
    fn pair(a: Option<DrugCode>, b: Option<DrugCode>) -> Vec<Finding> {
        let lines = vec![line(1, a, day(0), Supply::Days(14))];
        run(lines, &[period("d1", b, day(0), Supply::Days(14))]).findings
    }

    fn duplicates(a: &str, b: &str) -> bool {
        let found = !pair(receipt(a), receipt(b)).is_empty();
        assert_eq!(found, !pair(receipt(b), receipt(a)).is_empty(), "{a} and {b} in the other order");
        found
    }

    #[test]
    fn one_ingredient_is_one() {
        for (a, b) in [
            ("ノルバスク錠５", "アムロジピン錠５"),
            ("ノルバスク錠５", "ノルバスク錠２．５"),
            ("ノルバスク錠５", "アムロジピンＯＤ錠２．５"),
            ("ジクロフェナクＮａ錠", "ボルタレン錠"),
            ("セレニカＲ錠", "バルプロ酸ナトリウム徐放錠"),
            ("ノルバスク錠５", "ミカムロ配合錠ＡＰ"),
            ("ミカムロ配合錠ＡＰ", "ザクラス配合錠ＨＤ"),
            ("カロナール錠５００", "ＰＬ配合顆粒"),
            ("カロナール錠５００", "アンヒバ坐剤小児用１００"),
            ("ボルタレン錠", "ジクトルテープ"),
            ("メインテート錠", "ビソノテープ"),
            ("アルピニー坐剤", "アンヒバ坐剤小児用１００"),
            ("キサラタン点眼液", "ザラカム配合点眼液"),
            ("フルタイド１００", "アドエア２５０"),
            ("ロキソニンテープ", "ロキソニンゲル"),
            ("ランタス注", "インスリン　グラルギンＢＳ"),
        ] {
            assert!(duplicates(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn routes_and_ingredients_are_told_apart() {
        for (a, b) in [
            ("アレロックＯＤ錠", "パタノール点眼液"),
            ("ムコスタ錠", "ムコスタ点眼液"),
            ("クラビット錠", "クラビット点眼液"),
            ("ロキソニン錠", "ロキソニンテープ"),
            ("タリビッド眼軟膏", "タリビッド耳科用液"),
            ("フルタイド１００", "小児用フルナーゼ点鼻液"),
            ("ナゾネックス点鼻液", "アテキュラ吸入用"),
            ("フロリードゲル", "フロリード腟坐剤"),
            ("プログラフカプセル", "プロトピック軟膏"),
            ("ノルバスク錠５", "アダラートＣＲ錠"),
            ("アスパラカリウム", "塩化カリウム徐放錠"),
            ("リンデロン－Ｖ軟膏", "アンテベート軟膏"),
        ] {
            assert!(!duplicates(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn every_kind_of_code_leads_to_the_same_identity() {
        let brand = product("ノルバスク錠５");
        let codes = [
            brand.receipt_code.clone().map(DrugCode::Receipt),
            brand.yj_code.clone().map(DrugCode::Yj),
            brand.price_code.clone().map(DrugCode::Price),
            brand.generic_code.clone().map(DrugCode::Generic),
        ];
        for a in &codes {
            for b in &codes {
                let findings = pair(a.clone(), b.clone());
                assert_eq!(findings.len(), 1, "{a:?} and {b:?}");
                assert_eq!(findings[0].ingredients, ["アムロジピン"]);
            }
        }
        let ids: BTreeSet<String> = codes[..3]
            .iter()
            .flat_map(|code| pair(code.clone(), receipt("ミカムロ配合錠ＡＰ")))
            .map(|f| f.id)
            .collect();
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn finding_says_what_and_when() {
        let history = [period("d1", receipt("ミカムロ配合錠ＡＰ"), day(0), Supply::Days(28))];
        let outcome = run(vec![line(1, receipt("ザクラス配合錠ＨＤ"), day(20), Supply::Days(30))], &history);
        let [finding] = outcome.findings.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(finding.kind, FindingKind::DuplicateIngredient);
        assert_eq!(finding.severity, Severity::Moderate);
        assert_eq!(finding.ingredients, ["アムロジピン"]);
        assert_eq!(finding.overlap, Interval { start: day(20), end: day(27) });
        assert_eq!(finding.other.document, "d1");
        assert_eq!(finding.candidate.places, ["SJ1[line 21]"]);
        assert_eq!(finding.formulary_version, FORMULARY.version());
        assert!(finding.id.len() == 32 && finding.id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        assert!(outcome.coverage.is_complete());
    }

    #[test]
    fn periods_decide() {
        let tablets = || receipt("ノルバスク錠５");
        let history = [period("d1", tablets(), day(0), Supply::Days(14))];
        assert_eq!(run(vec![line(1, tablets(), day(13), Supply::Days(14))], &history).findings.len(), 1);
        assert_eq!(run(vec![line(1, tablets(), day(14), Supply::Days(14))], &history).findings.len(), 0);
        // As needed and external: two weeks, whatever was supplied.
        let patch = || receipt("ロキソニンテープ");
        let history = [period("d1", patch(), day(0), Supply::External)];
        assert_eq!(run(vec![line(1, patch(), day(13), Supply::AsNeeded)], &history).findings.len(), 1);
        assert_eq!(run(vec![line(1, patch(), day(14), Supply::External)], &history).findings.len(), 0);
    }

    #[test]
    fn own_document_is_not_compared() {
        let tablets = || receipt("ノルバスク錠５");
        let lines =
            vec![line(1, tablets(), day(0), Supply::Days(14)), line(2, tablets(), day(0), Supply::Days(14))];
        assert_eq!(run(lines.clone(), &[]).findings, []);
        assert_eq!(run(lines, &[period("own", tablets(), day(0), Supply::Days(14))]).findings, []);
    }

    #[test]
    fn lines_of_one_product_share_a_finding() {
        let tablets = || receipt("ノルバスク錠５");
        let lines =
            vec![line(2, tablets(), day(0), Supply::Days(14)), line(1, tablets(), day(0), Supply::Days(14))];
        let outcome = run(lines, &[period("d1", tablets(), day(0), Supply::Days(14))]);
        assert_eq!(outcome.findings.len(), 1);
        assert_eq!(outcome.findings[0].candidate.places, ["SJ1[line 21]", "SJ1[line 22]"]);
    }

    #[test]
    fn policy_decides_about_the_same_institution() {
        let tablets = || receipt("ノルバスク錠５");
        let mut earlier = period("d1", tablets(), day(0), Supply::Days(14));
        earlier.institution = HERE.parse().unwrap();
        let proposal = proposal(vec![line(1, tablets(), day(7), Supply::Days(14))]);
        let mut policy = Policy::default();
        let mut severities = |same_institution| {
            policy.same_institution = same_institution;
            let findings = check(&proposal, std::slice::from_ref(&earlier), &FORMULARY, &policy).findings;
            assert!(findings.iter().all(|finding| finding.same_institution));
            findings.into_iter().map(|finding| finding.severity).collect::<Vec<_>>()
        };
        assert_eq!(severities(SameInstitution::Report), [Severity::Moderate]);
        assert_eq!(severities(SameInstitution::Information), [Severity::Low]);
        assert_eq!(severities(SameInstitution::Silent), []);
    }

    #[test]
    fn early_refill_is_tolerated_within_days() {
        let tablets = || receipt("ノルバスク錠５");
        let history = [period("d1", tablets(), day(0), Supply::Days(28))];
        let proposal = proposal(vec![line(1, tablets(), day(25), Supply::Days(28))]);
        let found = |tolerance_days| {
            let policy = Policy { tolerance_days, ..Policy::default() };
            !check(&proposal, &history, &FORMULARY, &policy).findings.is_empty()
        };
        assert!(found(0) && found(2) && !found(3));
        // Three days inside a longer supply are no refill.
        let short = [period("d1", tablets(), day(26), Supply::Days(3))];
        let policy = Policy { tolerance_days: 3, ..Policy::default() };
        assert_eq!(check(&proposal, &short, &FORMULARY, &policy).findings.len(), 1);
    }

    #[test]
    fn what_was_not_seen_is_said() {
        let drug = |code| line(1, code, day(0), Supply::Days(3));
        let with = |content| Candidate { content, ..drug(receipt("ノルバスク錠５")) };
        let cases = [
            (drug(None), UncheckedReason::NoCode),
            (drug(Some(DrugCode::Receipt("666660000".to_owned()))), UncheckedReason::NoCode),
            (drug(Some(DrugCode::Yj("2000000X0000".to_owned()))), UncheckedReason::NoCode),
            (drug(Some(DrugCode::Receipt("777770000".to_owned()))), UncheckedReason::Material),
            (drug(Some(DrugCode::Receipt("710010000".to_owned()))), UncheckedReason::Material),
            (drug(Some(DrugCode::Receipt("699999999".to_owned()))), UncheckedReason::UnknownCode),
            (drug(Some(DrugCode::Hot("123456789".to_owned()))), UncheckedReason::UnknownCode),
            (with(LineContent::Material), UncheckedReason::Material),
            (with(LineContent::NonInsured), UncheckedReason::NonInsured),
        ];
        for (candidate, reason) in cases {
            let mut past = period("d9", candidate.code.clone(), day(0), Supply::Days(3));
            past.content = candidate.content;
            let coverage = run(vec![candidate], &[past]).coverage;
            assert_eq!(coverage.lines, [Unchecked { place: "SJ1[line 21]".to_owned(), reason }]);
            assert_eq!(coverage.history, [Unchecked { place: "d9".to_owned(), reason }]);
        }
    }

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
        ]
        .into_iter()
        .map(receipt)
        .chain([None, Some(DrugCode::Receipt("699999999".to_owned()))])
        .collect();
        prop::sample::select(known)
    }

    fn any_supply() -> impl Strategy<Value = Supply> {
        prop_oneof![(0_u16..40).prop_map(Supply::Days), Just(Supply::AsNeeded), Just(Supply::External)]
    }

    fn any_lines() -> impl Strategy<Value = Vec<Candidate>> {
        prop::collection::vec((any_code(), 0_u64..60, any_supply()), 0..5).prop_map(|drafts| {
            (1..).zip(drafts).map(|(n, (code, start, supply))| line(n, code, day(start), supply)).collect()
        })
    }

    fn any_history() -> impl Strategy<Value = Vec<Period>> {
        prop::collection::vec((any_code(), 0_u64..60, any_supply(), 0_u8..6, any::<bool>()), 0..8).prop_map(
            |drafts| {
                let one = |(code, start, supply, document, here)| {
                    // One document has one institution.
                    let mut period = period(&format!("d{document}{here}"), code, day(start), supply);
                    period.institution = if here { HERE } else { THERE }.parse().unwrap();
                    period
                };
                drafts.into_iter().map(one).collect()
            },
        )
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
        fn more_history_never_removes_a_finding(lines in any_lines(), history in any_history(), more in any_history()) {
            let ids = |history: &[Period]| -> BTreeSet<(String, Severity)> {
                run(lines.clone(), history).findings.into_iter().map(|f| (f.id, f.severity)).collect()
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
            prop_assert_eq!(run(lines, &history).findings, []);
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
            prop_assert_eq!(outcome.coverage.history.len(), history.iter().filter(|p| unknown(&p.code)).count());
        }
    }
}

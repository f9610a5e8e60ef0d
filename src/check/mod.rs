//! 重複投薬等チェック: compares the lines of one document with the medication periods of one patient. Owns the
//! rules, what a finding is and what stands for coverage. Pure: no input or output, no clock, no consent, no wire
//! format; the same arguments give the same outcome in any order of lines or history.

pub mod entry;
pub mod finding;
pub mod period;
pub mod policy;
#[cfg(test)]
mod properties;
pub mod proposal;
pub mod reported;
mod rules;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod silent;
pub mod subject;

pub use entry::HistoryEntry;
pub use finding::{
    Coverage, Finding, FindingKind, LineSide, OtherSide, Outcome, RuleText, Severity, Unchecked,
    UncheckedReason,
};
pub use period::{Interval, Rhythm, Supply, SupplyForm};
pub use policy::{Policy, SameInstitution};
pub use subject::{Candidate, LineContent, Period, Proposal, Source, SplitPart, Substance};

use crate::formulary::Formulary;
use std::borrow::Cow;

use subject::{Resolved, resolve, resolve_period};

/// Checks a proposal against the patient's history.
///
/// `history` holds the periods the caller looked back to: prescriptions not yet dispensed and dispensed results,
/// the former replaced by the latter, what an institution gave out itself, and what the patient reported: allergies
/// and medicines. Lines of one
/// document are never compared with each other, nor parts of one split prescription.
pub fn check(proposal: &Proposal, history: &[Period], formulary: &Formulary, policy: &Policy) -> Outcome {
    let mut coverage = Coverage::default();
    let mut lines = Vec::new();
    for candidate in &proposal.lines {
        match resolve(candidate.content, candidate.code.as_ref(), formulary) {
            Ok(product) => lines.push(Resolved { subject: candidate, product: Cow::Borrowed(product) }),
            Err(reason) => coverage.lines.push(Unchecked { place: candidate.place.clone(), reason }),
        }
    }
    let mut periods = Vec::new();
    for period in history.iter().filter(|period| proposal.is_compared(period)) {
        match resolve_period(period, formulary) {
            Ok(resolved) => periods.extend(resolved),
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

    use super::sample::*;
    use super::*;
    use crate::formulary::RouteClass;
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
        earlier.institution = HERE.parse().ok();
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

    #[test]
    fn what_ended_long_ago_is_not_looked_at() {
        let proposal = proposal(vec![line(1, receipt("サインバルタ"), day(20), Supply::Days(10))]);
        // Eleven days after the end, within the fortnight of washout.
        let history = [period("d1", receipt("エフピー"), day(0), Supply::Days(10))];
        let found = |look_back_days| {
            let policy = Policy { look_back_days, ..Policy::default() };
            check(&proposal, &history, &FORMULARY, &policy).findings.len()
        };
        assert_eq!((found(100), found(11), found(10), found(0)), (1, 1, 0, 0));
    }

    #[test]
    fn ingredients_count_by_the_route_that_is_known() {
        let found = |name: &str, route| {
            let lines = vec![line(1, receipt(name), day(0), Supply::Days(14))];
            run(lines, &[ingredient("d1", "レボフロキサシン", route, day(0))]).findings.len()
        };
        let route = |name| RouteClass::from_name(name);
        assert_eq!((found("クラビット錠", None), found("クラビット点眼液", None)), (1, 1));
        assert_eq!(found("クラビット錠", route("internal")), 1);
        assert_eq!(found("クラビット錠", route("eye")), 0);
        assert_eq!(found("クラビット点眼液", route("eye")), 1);
        // Of a forbidden pair one side may be an ingredient.
        let lines = vec![line(1, receipt("フェブリク"), day(0), Supply::Days(14))];
        let outcome = run(lines, &[ingredient("d1", "アザチオプリン", None, day(0))]);
        assert_eq!(
            outcome.findings.iter().map(|f| f.kind).collect::<Vec<_>>(),
            [FindingKind::Contraindication]
        );
        assert!(outcome.coverage.is_complete());
    }

    #[test]
    fn in_house_medicines_count() {
        let mut given = period("d1", receipt("ノルバスク錠５"), day(0), Supply::Days(14));
        given.source = Source::InHouse;
        let outcome = run(vec![line(1, receipt("アムロジピン錠５"), day(0), Supply::Days(14))], &[given]);
        assert_eq!(outcome.findings.len(), 1);
        assert_eq!(outcome.findings[0].other.source, Source::InHouse);
    }

    #[test]
    fn what_the_patient_reports_is_for_information_unless_it_is_forbidden() {
        let report = |code, substance| {
            let given = period("r1", code, day(0), Supply::Days(14));
            Period { source: Source::SelfReported, institution: None, substance, ..given }
        };
        let severities = |name: &str, reported: Period| {
            let lines = vec![line(1, receipt(name), day(0), Supply::Days(14))];
            let findings = run(lines, &[reported]).findings;
            findings.into_iter().map(|finding| (finding.kind, finding.severity)).collect::<Vec<_>>()
        };
        let duplicate = [(FindingKind::DuplicateIngredient, Severity::Low)];
        assert_eq!(severities("アムロジピン錠５", report(receipt("ノルバスク錠５"), None)), duplicate);
        // Bought without a prescription, named by an ingredient with its salt.
        let bought = Substance {
            ingredient: "ロキソプロフェンナトリウム水和物".to_owned(), route: None
        };
        assert_eq!(severities("ロキソニン錠", report(None, Some(bought))), duplicate);
        let forbidden = [(FindingKind::Contraindication, Severity::High)];
        let azathioprine = Substance { ingredient: "アザチオプリン".to_owned(), route: None };
        assert_eq!(severities("フェブリク", report(None, Some(azathioprine))), forbidden);
    }

    #[test]
    fn parts_of_one_split_are_not_compared() {
        let part = |part| Some(SplitPart { issued_on: day(0), parts: 3, part });
        let mut earlier = period("part1", receipt("ノルバスク錠５"), day(2), Supply::Days(14));
        earlier.institution = HERE.parse().ok();
        earlier.split = part(1);
        let mut proposal = proposal(vec![line(1, receipt("ノルバスク錠５"), day(14), Supply::Days(14))]);
        let found = |proposal: &Proposal, earlier: &Period| {
            check(proposal, std::slice::from_ref(earlier), &FORMULARY, &Policy::default()).findings.len()
        };
        assert_eq!(found(&proposal, &earlier), 1, "the proposal is no part of a split");
        proposal.split = part(2);
        assert_eq!(found(&proposal, &earlier), 0);
        proposal.split = part(1);
        assert_eq!(found(&proposal, &earlier), 1, "the same part twice is a duplicate");
        proposal.split = Some(SplitPart { issued_on: day(1), parts: 3, part: 2 });
        assert_eq!(found(&proposal, &earlier), 1, "another day's split");
        proposal.split = part(2);
        earlier.institution = THERE.parse().ok();
        assert_eq!(found(&proposal, &earlier), 1, "another institution's split");
    }

    #[test]
    fn history_kept_by_earlier_versions_is_read() {
        let period = period("d1", receipt("ノルバスク錠５"), day(0), Supply::Days(14));
        let kept = serde_json::to_value(&period).unwrap();
        assert!(kept.get("substance").is_none() && kept.get("split").is_none());
        assert_eq!(serde_json::from_value::<Period>(kept).unwrap(), period);
        let entry = ingredient("a1", "レボフロキサシン", RouteClass::from_name("eye"), day(0));
        let mut kept = serde_json::to_value(&entry).unwrap();
        assert_eq!(kept["substance"]["route"], "eye");
        assert_eq!(serde_json::from_value::<Period>(kept.clone()).unwrap(), entry);
        kept["substance"]["route"] = "mouth".into();
        assert!(serde_json::from_value::<Period>(kept).is_err());
    }
}

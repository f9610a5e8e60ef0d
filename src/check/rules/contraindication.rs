//! 併用禁忌: two medicines forbidden together while their periods meet, or while the washout of the one that ends
//! first lasts. Reported whoever prescribed them, whatever condition the table names.

use super::{Hit, Taken};
use crate::check::finding::{FindingKind, RuleText, Severity};
use crate::formulary::Formulary;

pub(super) fn apply<'a>(a: Taken<'a>, b: Taken<'a>, formulary: &'a Formulary) -> impl Iterator<Item = Hit> {
    formulary.contraindications(a.product, b.product).filter_map(move |pair| {
        let days = a
            .interval
            .lengthened(pair.first_washout_days)
            .overlap(b.interval.lengthened(pair.second_washout_days))
            .filter(|days| pair.rule.holds_within(days.start, days.end))?;
        let mut ingredients: Vec<_> =
            pair.ingredients_of(a.product).chain(pair.ingredients_of(b.product)).collect();
        ingredients.sort_unstable();
        ingredients.dedup();
        Some(Hit {
            kind: FindingKind::Contraindication,
            rule: pair.rule.rule.clone(),
            severity: Severity::High,
            ingredients,
            days,
            text: Some(RuleText {
                consequence: pair.rule.consequence.clone(),
                condition: pair.rule.condition.clone(),
                washout: pair.rule.washout.clone(),
                confidence: pair.rule.confidence.clone(),
            }),
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::check::sample::{FORMULARY, day, ingredient, line, period, product, proposal, receipt, run};
    use crate::check::{Finding, FindingKind, Policy, Severity, Supply, check};
    use crate::formulary::{File, Formulary, Product, RouteClass};
    use crate::prescription::identifier::DrugCode;

    /// The contraindications of one product against another, both for two weeks from the same day.
    fn pair(a: Option<DrugCode>, b: Option<DrugCode>) -> Vec<Finding> {
        let lines = vec![line(1, a, day(0), Supply::Days(14))];
        let findings = run(lines, &[period("d1", b, day(0), Supply::Days(14))]).findings;
        findings.into_iter().filter(|finding| finding.kind == FindingKind::Contraindication).collect()
    }

    fn forbidden(a: &str, b: &str) -> bool {
        let (there, back) = (pair(receipt(a), receipt(b)), pair(receipt(b), receipt(a)));
        let rules = |findings: &[Finding]| findings.iter().map(|f| f.rule.clone()).collect::<Vec<_>>();
        assert_eq!(rules(&there), rules(&back), "{a} and {b}");
        !there.is_empty()
    }

    #[test]
    fn forbidden_pairs_are_found_in_both_orders() {
        for (a, b) in [
            ("イトラコナゾール錠", "ハルシオン"),
            ("クラリス錠", "アドシルカ"),
            ("ルボックス", "テルネリン"),
            ("エフピー", "トラムセット配合錠"),
            ("フェブリク", "イムラン"),
            ("エンレスト", "ラジレス"),
            ("フロリードゲル", "ワーファリン"),
            ("ネオーラル", "プログラフ"),
            ("ニトロペン", "ザルティア"),
            ("フランドルテープ", "レバチオ"),
            ("パキロビッド", "ベルソムラ"),
            ("ボノサップパック", "ベルソムラ"),
            ("ミニリンメルトＯＤ錠５０", "リンデロン錠"),
            ("ティーエスワン", "ゼローダ"),
        ] {
            assert!(forbidden(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn near_misses_stay_silent() {
        for (a, b) in [
            ("クラリス錠", "ハルシオン"),
            ("クラリス錠", "シアリス錠"),
            ("クラリス錠", "ザルティア"),
            ("クラリス錠", "エレトリプタン"),
            ("クラリス錠", "セララ"),
            ("クラリス錠", "イグザレルト"),
            ("クラリス錠", "エリキュース"),
            ("クラリス錠", "リポバス"),
            ("クラリス錠", "リクシアナ"),
            ("エリスロシン", "ベルソムラ"),
            ("イトラコナゾール錠", "シアリス錠"),
            ("イトラコナゾール錠", "アデムパス"),
            ("イトラコナゾール錠", "エリキュース"),
            ("イトラコナゾール錠", "デエビゴ"),
            ("プロトピック軟膏", "ネオーラル"),
            ("フロリード腟坐剤", "ワーファリン"),
            ("ザイロリック", "イムラン"),
            ("リウマトレックス", "ロキソニン錠"),
            ("ワーファリン", "バイアスピリン"),
            ("リポバス", "ノルバスク錠５"),
            ("ミニリンメルトＯＤ錠５０", "リンデロン－Ｖ軟膏"),
            ("アンカロン", "クラビット錠"),
        ] {
            assert!(!forbidden(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn finding_names_rule_reason_and_both_ingredients() {
        let findings = pair(receipt("フェブリク"), receipt("イムラン"));
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert!(finding.rule.starts_with("CI") && finding.severity == Severity::High);
        assert_eq!(finding.ingredients, ["アザチオプリン", "フェブキソスタット"]);
        assert!(finding.text.as_ref().is_some_and(|text| !text.consequence.is_empty()));
        let back = pair(receipt("イムラン"), receipt("フェブリク"));
        assert_ne!(finding.id, back[0].id, "another document is on the other side");
    }

    #[test]
    fn every_kind_of_code_is_forbidden() {
        let (a, b) = (product("ルボックス"), product("テルネリン"));
        for a in [a.yj_code.clone().map(DrugCode::Yj), a.generic_code.clone().map(DrugCode::Generic)] {
            for b in
                [b.price_code.clone().map(DrugCode::Price), b.generic_code.clone().map(DrugCode::Generic)]
            {
                assert_eq!(pair(a.clone(), b).len(), 1);
            }
        }
    }

    #[test]
    fn washout_is_honoured_on_both_sides() {
        // Two weeks after the MAO-B inhibitor before duloxetine, five days after duloxetine before the inhibitor.
        let found = |first: &str, second: &str, gap: u64| {
            let history = [period("d1", receipt(first), day(0), Supply::Days(10))];
            let lines = vec![line(1, receipt(second), day(10 + gap), Supply::Days(10))];
            !run(lines, &history).findings.is_empty()
        };
        assert!(found("エフピー", "サインバルタ", 13) && !found("エフピー", "サインバルタ", 14));
        assert!(found("サインバルタ", "エフピー", 4) && !found("サインバルタ", "エフピー", 5));
        // The same when the one that comes first in time is the one being prescribed.
        let early = |first: &str, second: &str, gap: u64| {
            let history = [period("d1", receipt(second), day(10 + gap), Supply::Days(10))];
            !run(vec![line(1, receipt(first), day(0), Supply::Days(10))], &history).findings.is_empty()
        };
        assert!(early("エフピー", "サインバルタ", 13) && !early("エフピー", "サインバルタ", 14));
    }

    #[test]
    fn a_dated_rule_holds_on_its_days_only() {
        let products = include_bytes!("../../../fixtures/formulary/products.csv");
        let header = include_str!("../../formulary/contraindications.csv").lines().next().unwrap();
        let found = |dates: &str| {
            let row = format!("X1,イトラコナゾール,,,0,トリアゾラム,,,0,x,,,A,basis,{dates}");
            let table = format!("{header}\n{row}\n");
            let files = [
                File { name: "products.csv", bytes: products },
                File { name: "pairs.csv", bytes: table.as_bytes() },
            ];
            let formulary = Formulary::from_files("dated", &files).unwrap();
            let lines = vec![line(1, receipt("イトラコナゾール錠"), day(0), Supply::Days(14))];
            let history = [period("d1", receipt("ハルシオン"), day(0), Supply::Days(14))];
            !check(&proposal(lines), &history, &formulary, &Policy::default()).findings.is_empty()
        };
        // Both medicines from 2026-04-01 to 2026-04-14.
        assert!(found(","));
        assert!(found("20260414,") && !found("20260415,"));
        assert!(found(",20260401") && !found(",20260331"));
    }

    #[test]
    fn every_pair_of_the_table_has_the_same_washout_from_both_sides() {
        // One product for each set of ingredients and route.
        let mut kinds: Vec<&Product> = FORMULARY.products().collect();
        kinds.sort_by_key(|product| (&product.components, product.route));
        kinds.dedup_by_key(|product| (&product.components, product.route));
        let mut hits = 0;
        for a in &kinds {
            for b in &kinds {
                let one_way: Vec<_> = FORMULARY
                    .contraindications(a, b)
                    .map(|pair| (&pair.rule.rule, pair.first_washout_days, pair.second_washout_days))
                    .collect();
                let other_way: Vec<_> = FORMULARY
                    .contraindications(b, a)
                    .map(|pair| (&pair.rule.rule, pair.second_washout_days, pair.first_washout_days))
                    .collect();
                assert_eq!(one_way, other_way, "{} and {}", a.name, b.name);
                hits += one_way.len();
            }
        }
        assert!(hits > 100, "{hits}");
    }

    #[test]
    fn routes_limit_ingredients_as_they_limit_products() {
        let found = |route: Option<RouteClass>| {
            let lines = vec![line(1, receipt("ワーファリン"), day(0), Supply::Days(14))];
            run(lines, &[ingredient("d1", "ミコナゾール", route, day(0))]).findings.len()
        };
        assert_eq!(found(Some(RouteClass::OralCavity)), 1);
        assert_eq!(found(Some(RouteClass::Vaginal)), 0);
        assert_eq!(found(None), 1, "by some route it is forbidden");
    }

    #[test]
    fn own_institution_and_conditions_drop_nothing() {
        let mut earlier = period("d1", receipt("セララ"), day(0), Supply::Days(14));
        earlier.institution = "1311234567".parse().ok();
        let outcome = run(vec![line(1, receipt("塩化カリウム徐放錠"), day(0), Supply::Days(14))], &[earlier]);
        let [finding] = outcome.findings.as_slice() else { panic!("{outcome:?}") };
        assert!(finding.same_institution && finding.severity == Severity::High);
        assert!(finding.text.as_ref().is_some_and(|text| !text.condition.is_empty()));
    }
}

//! 同効薬: another medicine of the same therapeutic class (薬効分類, four digits) by the same route in overlapping
//! periods. For information, and only where the operator asks: classes are wide, and two of one are often meant.

use super::{Hit, Taken};
use crate::check::finding::{FindingKind, Severity};
use crate::check::policy::Policy;

/// The name of this rule.
const RULE: &str = "duplicate-class";

pub(super) fn apply(a: Taken<'_>, b: Taken<'_>, policy: &Policy) -> Option<Hit> {
    let class = a.product.therapeutic_class.as_str();
    // A stand-in for an ingredient has no class. What shares an ingredient is a duplicate already.
    if !policy.therapeutic_class
        || class.is_empty()
        || class != b.product.therapeutic_class
        || !a.shared_ingredients(b).is_empty()
    {
        return None;
    }
    let days = a.days_together(b, policy)?;
    let mut ingredients: Vec<_> = a.product.components.iter().chain(&b.product.components).copied().collect();
    ingredients.sort_unstable();
    Some(Hit {
        kind: FindingKind::DuplicateClass,
        rule: RULE.to_owned(),
        severity: Severity::Low,
        ingredients,
        days,
        text: None,
    })
}

#[cfg(test)]
mod tests {
    use crate::check::sample::{FORMULARY, day, line, period, proposal, receipt};
    use crate::check::{FindingKind, Policy, SameInstitution, Severity, Supply, check};

    #[test]
    fn told_only_when_asked_and_only_for_information() {
        let found = |policy: &Policy, a: &str, b: &str| {
            let proposal = proposal(vec![line(1, receipt(a), day(0), Supply::Days(14))]);
            let history = [period("d1", receipt(b), day(7), Supply::Days(14))];
            check(&proposal, &history, &FORMULARY, policy).findings
        };
        let asked = Policy { therapeutic_class: true, ..Policy::default() };
        let (a, b) = ("ノルバスク錠５", "アダラートＣＲ錠");
        assert_eq!(found(&Policy::default(), a, b), []);
        let findings = found(&asked, a, b);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.kind, finding.severity), (FindingKind::DuplicateClass, Severity::Low));
        assert_eq!(finding.ingredients, ["アムロジピン", "ニフェジピン"]);
        assert!(!asked.needs_mitigation(finding.severity));
        let same = found(&asked, a, "アムロジピン錠５");
        assert_eq!(same.iter().map(|f| f.kind).collect::<Vec<_>>(), [FindingKind::DuplicateIngredient]);
        assert_eq!(found(&asked, a, "クレストール錠２．５"), []);
        assert_eq!(found(&asked, "クラビット錠", "クラビット点眼液"), []);
    }

    #[test]
    fn own_institution_follows_policy() {
        let proposal = proposal(vec![line(1, receipt("ノルバスク錠５"), day(0), Supply::Days(14))]);
        let mut earlier = period("d1", receipt("アダラートＣＲ錠"), day(0), Supply::Days(14));
        earlier.institution = Some(proposal.institution.clone());
        let found = |same_institution| {
            let policy = Policy { therapeutic_class: true, same_institution, ..Policy::default() };
            check(&proposal, std::slice::from_ref(&earlier), &FORMULARY, &policy).findings.len()
        };
        assert_eq!(found(SameInstitution::Silent), 0);
        assert_eq!((found(SameInstitution::Information), found(SameInstitution::Report)), (1, 1));
    }
}

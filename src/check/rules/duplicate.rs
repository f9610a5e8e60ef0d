//! 重複投薬: the same ingredient by the same route in overlapping periods. Strengths, brands and salts of one
//! ingredient are one; a combination product counts for each of its ingredients.

use super::{Hit, Taken};
use crate::check::finding::{FindingKind, Severity};
use crate::check::policy::Policy;

/// The name of this rule.
const RULE: &str = "duplicate-ingredient";

pub(super) fn apply(a: Taken<'_>, b: Taken<'_>, policy: &Policy) -> Option<Hit> {
    let ingredients = a.shared_ingredients(b);
    if ingredients.is_empty() {
        return None;
    }
    Some(Hit {
        kind: FindingKind::DuplicateIngredient,
        rule: RULE.to_owned(),
        severity: Severity::Moderate,
        ingredients,
        days: a.days_together(b, policy)?,
        text: None,
    })
}

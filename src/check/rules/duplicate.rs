//! 重複投薬: the same ingredient by the same route in overlapping periods. Strengths, brands and salts of one
//! ingredient are one; a combination product counts for each of its ingredients.

use super::{Hit, Taken};
use crate::check::finding::{FindingKind, Severity};
use crate::check::period::Interval;
use crate::check::policy::Policy;

/// The name of this rule.
const RULE: &str = "duplicate-ingredient";

pub(super) fn apply(a: Taken<'_>, b: Taken<'_>, policy: &Policy) -> Option<Hit> {
    let days = a.interval.overlap(b.interval)?;
    if tolerated(a.interval, b.interval, days, policy.tolerance_days) || !a.product.shares_route(b.product) {
        return None;
    }
    let ingredients: Vec<_> =
        a.product.components.iter().copied().filter(|id| b.product.components.contains(id)).collect();
    if ingredients.is_empty() {
        return None;
    }
    Some(Hit {
        kind: FindingKind::DuplicateIngredient,
        rule: RULE.to_owned(),
        severity: Severity::Moderate,
        ingredients,
        days,
        text: None,
    })
}

/// An early refill: the later supply begins a few days before the earlier one runs out, and outlasts it.
fn tolerated(a: Interval, b: Interval, days: Interval, tolerance: u16) -> bool {
    let (earlier, later) = if a.start <= b.start { (a, b) } else { (b, a) };
    earlier.start < later.start && earlier.end <= later.end && days.days() <= u32::from(tolerance)
}

//! The rules, one file each. A rule looks at one pair of products with overlapping days; this module makes the
//! pairs and turns hits into findings. A new kind of finding is a new file here and a variant of
//! [`FindingKind`].

mod allergy;
mod class;
mod contraindication;
mod duplicate;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::finding::{Finding, FindingKind, LineSide, OtherSide, RuleText, Severity, finding_id};
use super::period::Interval;
use super::policy::{Policy, SameInstitution};
use super::subject::{Candidate, Period, Resolved, Source};
use crate::formulary::{Formulary, IngredientId, Product};
use crate::prescription::identifier::InstitutionCode;

/// A hit of one rule on one pair, before policy.
struct Hit {
    kind: FindingKind,
    rule: String,
    severity: Severity,
    ingredients: Vec<IngredientId>,
    days: Interval,
    text: Option<RuleText>,
}

/// A product with its days.
#[derive(Clone, Copy)]
struct Taken<'a> {
    product: &'a Product,
    interval: Interval,
}

impl Taken<'_> {
    /// The ingredients both hold.
    fn shared_ingredients(self, other: Self) -> Vec<IngredientId> {
        let other = &other.product.components;
        self.product.components.iter().copied().filter(|id| other.contains(id)).collect()
    }

    /// The days on which both are taken by the same route, unless the one is an early refill (残薬) of the other:
    /// the later supply begins a few days before the earlier one runs out, and outlasts it.
    fn days_together(self, other: Self, policy: &Policy) -> Option<Interval> {
        if !self.product.shares_route(other.product) {
            return None;
        }
        let (a, b) = (self.interval, other.interval);
        let days = a.overlap(b)?;
        let (earlier, later) = if a.start <= b.start { (a, b) } else { (b, a) };
        let refill = earlier.start < later.start && earlier.end <= later.end;
        (!refill || days.days() > u32::from(policy.tolerance_days)).then_some(days)
    }
}

/// Every pair through every rule; findings sorted, equal ones joined.
pub(super) fn apply(
    institution: &InstitutionCode,
    lines: &[Resolved<'_, Candidate>],
    periods: &[Resolved<'_, Period>],
    formulary: &Formulary,
    policy: &Policy,
) -> Vec<Finding> {
    // In the order of the document, whatever order the lines came in: the first of joined lines gives its name.
    let mut lines: Vec<_> = lines.iter().collect();
    lines.sort_by_key(|line| (line.subject.rp, line.subject.line, &line.subject.place));
    let mut periods: Vec<_> = periods.iter().collect();
    periods.sort_by_key(|period| {
        let subject = period.subject;
        (
            &subject.document,
            subject.interval,
            &subject.code,
            &subject.name,
            subject.source,
            period.product.route,
        )
    });
    let mut findings = BTreeMap::new();
    for line in lines {
        let interval = line.subject.supply.interval_from(line.subject.start);
        let candidate = Taken { product: &line.product, interval };
        for period in &periods {
            let other = Taken { product: &period.product, interval: period.subject.interval };
            let same_institution = period.subject.institution.as_ref() == Some(institution);
            let hits = hits(candidate, other, period.subject.source, formulary, policy);
            let source = period.subject.source;
            for hit in hits.into_iter().filter_map(|hit| govern(hit, source, same_institution, policy)) {
                let finding = describe(hit, line, candidate, period, same_institution, formulary);
                findings
                    .entry(finding.id.clone())
                    .and_modify(|known: &mut Finding| join(known, &line.subject.place))
                    .or_insert(finding);
            }
        }
    }
    let mut findings: Vec<Finding> = findings.into_values().collect();
    findings.sort_by_cached_key(|finding| {
        (Reverse(finding.severity), finding.candidate.rp, finding.candidate.line, finding.id.clone())
    });
    findings
}

fn hits(
    candidate: Taken<'_>,
    other: Taken<'_>,
    source: Source,
    formulary: &Formulary,
    policy: &Policy,
) -> Vec<Hit> {
    if source == Source::Allergy {
        return allergy::apply(candidate, other).into_iter().collect();
    }
    if other.interval.lengthened(policy.look_back_days).end < candidate.interval.start {
        return Vec::new();
    }
    let duplicate = duplicate::apply(candidate, other, policy);
    let class = class::apply(candidate, other, policy);
    duplicate.into_iter().chain(class).chain(contraindication::apply(candidate, other, formulary)).collect()
}

/// One's own earlier prescription is what policy says it is, for duplicates; and a duplicate with what only the
/// patient says is for information. What is forbidden or not tolerated counts whoever said so.
fn govern(mut hit: Hit, source: Source, same_institution: bool, policy: &Policy) -> Option<Hit> {
    match hit.kind {
        FindingKind::DuplicateIngredient | FindingKind::DuplicateClass if source == Source::SelfReported => {
            hit.severity = Severity::Low;
            Some(hit)
        }
        FindingKind::DuplicateIngredient | FindingKind::DuplicateClass if same_institution => {
            match policy.same_institution {
                SameInstitution::Report => Some(hit),
                SameInstitution::Information => {
                    hit.severity = Severity::Low;
                    Some(hit)
                }
                SameInstitution::Silent => None,
            }
        }
        FindingKind::DuplicateIngredient
        | FindingKind::DuplicateClass
        | FindingKind::Contraindication
        | FindingKind::Allergy => Some(hit),
    }
}

fn join(known: &mut Finding, place: &str) {
    if !known.candidate.places.iter().any(|there| there == place) {
        known.candidate.places.push(place.to_owned());
    }
}

fn describe(
    hit: Hit,
    line: &Resolved<'_, Candidate>,
    candidate: Taken<'_>,
    period: &Resolved<'_, Period>,
    same_institution: bool,
    formulary: &Formulary,
) -> Finding {
    let (own, past) = (line.subject, period.subject);
    // The candidate has no document id yet; its product and days are what it is before and after registering.
    let sides =
        [line.product.identity().to_owned(), format!("{}@{}", period.product.identity(), past.document)];
    let mut ingredients: Vec<String> =
        hit.ingredients.iter().map(|id| formulary.ingredient_name(*id).to_owned()).collect();
    ingredients.sort();
    Finding {
        id: finding_id(&hit.rule, sides, hit.days),
        kind: hit.kind,
        severity: hit.severity,
        rule: hit.rule,
        candidate: LineSide {
            places: vec![own.place.clone()],
            rp: own.rp,
            line: own.line,
            code: own.code.clone(),
            name: own.name.clone(),
            interval: candidate.interval,
        },
        other: OtherSide {
            source: past.source,
            document: past.document.clone(),
            code: past.code.clone(),
            name: past.name.clone(),
            interval: past.interval,
            institution: past.institution.clone(),
            institution_name: past.institution_name.clone(),
        },
        same_institution,
        ingredients,
        overlap: hit.days,
        text: hit.text,
        formulary_version: formulary.version().to_owned(),
    }
}

//! 併用禁忌: the table of pairs that a package insert forbids to give together, by ingredient, with what limits
//! them. Knows products, not patients: whether periods meet is for the checker.
//!
//! The table the program carries (`contraindications.csv`) is a draft reference compiled from package inserts and
//! not for clinical use until a pharmacist has reviewed it. Each row has a `basis` and a `confidence` (A, B, C) for
//! that review; a deployment may load its own table in the same layout instead.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use super::product::{IngredientId, Product, RouteClass};

/// What must be said wherever a finding of the carried table is shown.
pub const CONTRAINDICATION_NOTICE: &str =
    "draft reference, not for clinical use until a pharmacist has reviewed it";

/// Which products one side of a pair means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    /// Products holding any of these.
    pub(super) ingredients: Box<[IngredientId]>,
    /// By any of these routes; any route when empty.
    pub(super) routes: Box<[RouteClass]>,
    /// Whose price or generic-name code begins with any of these; any product when empty. Tells products of one
    /// ingredient apart that are approved for different uses.
    pub(super) code_prefixes: Box<[Box<str>]>,
    /// 休薬期間: days after its end in which the other must not begin.
    pub(super) washout_days: u16,
}

impl Side {
    fn means(&self, product: &Product) -> bool {
        let code = product.price_code.as_deref().or(product.generic_code.as_deref()).unwrap_or_default();
        product.components.iter().any(|id| self.ingredients.contains(id))
            && (self.routes.is_empty() || self.routes.contains(&product.route))
            && (self.code_prefixes.is_empty()
                || self.code_prefixes.iter().any(|prefix| code.starts_with(prefix.as_ref())))
    }
}

/// One forbidden pair. Which side is called first means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contraindication {
    /// The rule's id, such as `CI0001`.
    pub rule: String,
    /// 臨床症状: what is to be expected.
    pub consequence: String,
    /// 条件 under which the pair is forbidden, as text; empty when always. Never used to drop a pair silently.
    pub condition: String,
    /// 休薬期間 as text; empty when none.
    pub washout: String,
    /// How sure the row is: `A`, `B` or `C`.
    pub confidence: String,
    /// The first day the rule holds; always, when none is given.
    pub valid_from: Option<NaiveDate>,
    /// The last day the rule holds.
    pub valid_to: Option<NaiveDate>,
    pub(super) sides: [Side; 2],
}

impl Contraindication {
    /// Whether the rule holds on any day from `first` to `last`.
    pub fn holds_within(&self, first: NaiveDate, last: NaiveDate) -> bool {
        self.valid_from.is_none_or(|begin| begin <= last) && self.valid_to.is_none_or(|end| first <= end)
    }
}

/// A rule that forbids two given products, with the washout of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContraindicatedPair<'a> {
    /// The rule.
    pub rule: &'a Contraindication,
    /// Days after the end of the first product in which the second must not begin.
    pub first_washout_days: u16,
    /// Days after the end of the second product in which the first must not begin.
    pub second_washout_days: u16,
}

impl ContraindicatedPair<'_> {
    /// The ingredients of `product` that the rule names on either side.
    pub fn ingredients_of(&self, product: &Product) -> impl Iterator<Item = IngredientId> {
        let sides = &self.rule.sides;
        product.components.iter().copied().filter(|id| sides.iter().any(|side| side.ingredients.contains(id)))
    }
}

/// All forbidden pairs, found from either side.
#[derive(Debug, Default)]
pub(super) struct Contraindications {
    rules: Vec<Contraindication>,
    names: HashSet<String>,
    by_ingredient: HashMap<IngredientId, Vec<usize>>,
}

impl Contraindications {
    /// The rules that forbid `first` with `second`, in the order of the table.
    pub(super) fn between<'a>(
        &'a self,
        first: &'a Product,
        second: &'a Product,
    ) -> impl Iterator<Item = ContraindicatedPair<'a>> {
        let mut indices: Vec<usize> =
            first.components.iter().filter_map(|id| self.by_ingredient.get(id)).flatten().copied().collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().filter_map(move |index| {
            let rule = self.rules.get(index)?;
            let [a, b] = &rule.sides;
            let (own, other) = if a.means(first) && b.means(second) {
                (a, b)
            } else if b.means(first) && a.means(second) {
                (b, a)
            } else {
                return None;
            };
            Some(ContraindicatedPair {
                rule,
                first_washout_days: own.washout_days,
                second_washout_days: other.washout_days,
            })
        })
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// That its id is taken.
    pub(super) fn insert(&mut self, rule: Contraindication) -> Result<(), &'static str> {
        if !self.names.insert(rule.rule.clone()) {
            return Err("rule appears twice");
        }
        for id in rule.sides.iter().flat_map(|side| &side.ingredients) {
            self.by_ingredient.entry(*id).or_default().push(self.rules.len());
        }
        self.rules.push(rule);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use crate::formulary::master::Master;
    use crate::formulary::{File, Formulary};
    use crate::prescription::identifier::DrugCode;

    /// Every internal and injected price code of the list, with the
    /// ingredients of the derived table.
    fn formulary_of_all(prices: &Master, ingredients: &Master) -> (Formulary, Vec<String>) {
        let components: HashMap<&str, &str> =
            ingredients.rows().map(|row| (row.cell("prefix7"), row.cell("components_base"))).collect();
        let mut table = csv::Writer::from_writer(Vec::new());
        table
            .write_record([
                "receipt_code",
                "yj_code",
                "price_code",
                "generic_code",
                "generic_name",
                "name",
                "unit",
                "route",
                "systemic",
                "ingredients",
                "class",
            ])
            .unwrap();
        let mut codes = BTreeSet::new();
        for row in prices.rows() {
            let code = row.cell("薬価基準収載医薬品コード");
            let route = match &code[4..7].parse::<u16>().unwrap() {
                ..400 => "internal",
                400..700 => "injection",
                _ => continue,
            };
            let Some(names) = components.get(&code[..7]).filter(|names| !names.is_empty()) else { continue };
            let names: BTreeSet<&str> = names.split('|').collect();
            let names = names.into_iter().collect::<Vec<_>>().join(" + ");
            if !codes.insert(code.to_owned()) {
                continue;
            }
            let receipt = format!("62{:07}", codes.len());
            let class = &code[..4];
            table.write_record([&receipt, "", code, "", "", code, "x", route, "1", &names, class]).unwrap();
        }
        let bytes = table.into_inner().unwrap();
        let formulary = Formulary::from_files("all", &[File { name: "all.csv", bytes: &bytes }]).unwrap();
        (formulary, codes.into_iter().collect())
    }

    /// Pairs the derived table cannot show: it names the potassium salt (3229005) and the calcium salt (3214001) of
    /// aspartic acid alike, and 調剤用パンビタン末 (3179121) by its class. The calcium salt is not meant at all.
    const NOT_SHOWN: [&str; 8] = [
        "CI0440 2149049 3214001",
        "CI0440 2149049 3229005",
        "CI0444 2149045 3214001",
        "CI0444 2149045 3229005",
        "CI0589 3119001 3179121",
        "CI0590 4291006 3179121",
        "CI0591 4291014 3179121",
        "CI0592 4291042 3179121",
    ];

    #[test]
    fn every_sure_pair_is_found_from_both_sides() {
        let (Some(prices), Some(ingredients), Some(pairs)) = (
            Master::read("mhlw_price_20250814.csv"),
            Master::read("prefix7_ingredients.csv"),
            Master::read("contraindications.csv"),
        ) else {
            return;
        };
        let (formulary, codes) = formulary_of_all(&prices, &ingredients);
        let products = |prefixes: &str| -> Vec<&str> {
            // One product for each prefix will do.
            prefixes
                .split('|')
                .filter(|prefix| !prefix.is_empty())
                .filter_map(|prefix| codes.iter().find(|code| code.starts_with(prefix)).map(String::as_str))
                .collect()
        };
        let mut missed = BTreeSet::new();
        let mut found = 0;
        for pair in pairs
            .rows()
            .filter(|pair| pair.cell("confidence") == "A" && pair.cell("both_in_master_2025") == "1")
        {
            for a in products(pair.cell("a_prefixes")) {
                for b in products(pair.cell("b_prefixes")) {
                    let of = |code: &str| formulary.product(&DrugCode::Price(code.to_owned())).unwrap();
                    let hit = |first: &str, second: &str| {
                        formulary
                            .contraindications(of(first), of(second))
                            .any(|hit| hit.rule.rule == pair.cell("pair_id"))
                    };
                    assert_eq!(hit(a, b), hit(b, a), "{a} {b}");
                    if hit(a, b) {
                        found += 1;
                    } else {
                        missed.insert(format!("{} {} {}", pair.cell("pair_id"), &a[..7], &b[..7]));
                    }
                }
            }
        }
        assert!(found > 700, "{found}");
        assert_eq!(missed, BTreeSet::from(NOT_SHOWN.map(str::to_owned)));
    }
}

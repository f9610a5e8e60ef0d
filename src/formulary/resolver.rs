//! 成分 of a code: the curated table first, then the name listed for the code, for its first nine characters
//! (ingredient, route, form, strength) or its first seven (ingredient and route). Where products of one beginning
//! differ, nothing is guessed. Knows names and codes, not products.

use std::collections::HashMap;

use super::naming;
use super::product::{IngredientId, Products};

/// Products whose listed name is that of a class or leaves part of the formula unsaid, and products no longer listed,
/// by the beginning of their codes. Written from the formulas in the package inserts.
const CURATED: &str = include_str!("curated_products.csv");

/// The lengths of the beginnings that listed names are kept under: whole code, nine and seven characters.
const LENGTHS: [usize; 3] = [12, 9, 7];

/// What the codes with one beginning hold.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Ingredients(Box<[IngredientId]>),
    /// The listed name is that of a class.
    Class,
    /// The codes differ.
    Several,
}

/// From codes to ingredients.
pub(super) struct Resolver {
    curated: HashMap<&'static str, Box<[IngredientId]>>,
    listed: HashMap<Box<str>, Content>,
    /// Listed names repeat: each is taken apart once.
    names: HashMap<Box<str>, Content>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self { curated: HashMap::new(), listed: HashMap::new(), names: HashMap::new() }
    }

    /// Takes in the curated table.
    pub(super) fn curated_add(&mut self, products: &mut Products) {
        for line in CURATED.lines().skip(1) {
            let mut cells = line.split(',');
            if let (Some(prefix), Some(names)) = (cells.next(), cells.next()) {
                self.curated.insert(prefix, ids(names.split(" + "), products));
            }
        }
    }

    /// Takes in the name listed for a price or generic-name code.
    pub(super) fn name_add(&mut self, code: &str, listed: &str, products: &mut Products) {
        let content = if let Some(known) = self.names.get(listed) {
            known.clone()
        } else {
            let content = naming::bases(listed).map_or(Content::Class, |bases| {
                Content::Ingredients(ids(bases.iter().map(String::as_str), products))
            });
            self.names.insert(listed.into(), content.clone());
            content
        };
        for length in LENGTHS {
            let Some(prefix) = code.get(..length) else { continue };
            match self.listed.get_mut(prefix) {
                Some(known) if *known != content => *known = Content::Several,
                Some(_) => {}
                None => {
                    self.listed.insert(prefix.into(), content.clone());
                }
            }
        }
    }

    /// The ingredients of a code, sorted, never empty.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn components(&self, code: &str) -> Result<Box<[IngredientId]>, &'static str> {
        let mut curated = (7..=code.len()).rev().filter_map(|length| code.get(..length));
        if let Some(ids) = curated.find_map(|prefix| self.curated.get(prefix)) {
            return Ok(ids.clone());
        }
        let listed = LENGTHS.iter().find_map(|length| self.listed.get(code.get(..*length)?));
        match listed {
            Some(Content::Ingredients(ids)) => Ok(ids.clone()),
            Some(Content::Class) => {
                Err("listed under the name of a class that the curated table does not spell out")
            }
            Some(Content::Several) => Err("products with this beginning of the code differ in ingredients"),
            None => Err("in no price list and not in the curated table"),
        }
    }
}

fn ids<'a>(names: impl Iterator<Item = &'a str>, products: &mut Products) -> Box<[IngredientId]> {
    let mut ids: Vec<IngredientId> = names.map(|name| products.ingredient(name)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_longest_beginning_decides() {
        let mut products = Products::default();
        let mut resolver = Resolver::new();
        resolver.curated_add(&mut products);
        resolver.name_add("1214400A1011", "リドカイン塩酸塩", &mut products);
        resolver.name_add("1214400A2018", "リドカイン塩酸塩・アドレナリン", &mut products);
        resolver.name_add("9990001F1012", "何々配合剤", &mut products);
        let names = |code: &str| {
            resolver
                .components(code)
                .map(|ids| ids.iter().map(|id| products.ingredient_name(*id).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names("1214400A1011").unwrap(), ["リドカイン"]);
        assert_eq!(names("1214400A2999").unwrap(), ["リドカイン", "アドレナリン"]);
        assert!(names("1214400A3999").unwrap_err().contains("differ"));
        assert!(names("9990001F1012").unwrap_err().contains("class"));
        assert!(names("9990002F1012").unwrap_err().contains("no price list"));
        assert_eq!(names("1180107D1ZZZ").unwrap().len(), 4);
    }

    #[test]
    fn curated_table_is_well_formed() {
        let mut prefixes = HashSet::new();
        for line in CURATED.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let [prefix, names, basis] = cells[..] else { panic!("{line}") };
            assert!((7..=12).contains(&prefix.len()) && prefixes.insert(prefix), "{line}");
            assert!(!basis.is_empty(), "{line}");
            let names: Vec<&str> = names.split(" + ").collect();
            assert!(names.iter().all(|name| !name.is_empty() && name.trim() == *name), "{line}");
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{line}");
        }
    }
}

//! Products, their ingredients and routes, and the index from any drug code to a product. Must not know file
//! layouts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::NaiveDate;

use crate::prescription::identifier::DrugCode;

/// A base ingredient (有効成分, salts and hydrates folded) of one formulary. Means nothing outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IngredientId(pub(super) u32);

/// 投与経路: where a product acts or enters, as far apart as a duplicate check needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteClass {
    /// 内服, swallowed (and sublingual tablets, which the price list counts as internal).
    Internal,
    /// 注射, self-administered insulin included.
    Injection,
    /// 点眼・眼軟膏.
    Eye,
    /// 点耳.
    Ear,
    /// 点鼻.
    Nose,
    /// 吸入.
    Inhaled,
    /// 口腔内: gargles, troches, oral ointments.
    OralCavity,
    /// 直腸: suppositories, enemas.
    Rectal,
    /// 腟.
    Vaginal,
    /// 皮膚: ointments, creams, lotions, local patches.
    Skin,
    /// 全身作用の貼付剤, a patch whose drug is meant for the circulation.
    SystemicPatch,
}

impl RouteClass {
    /// Every route class.
    pub const ALL: [Self; 11] = [
        Self::Internal,
        Self::Injection,
        Self::Eye,
        Self::Ear,
        Self::Nose,
        Self::Inhaled,
        Self::OralCavity,
        Self::Rectal,
        Self::Vaginal,
        Self::Skin,
        Self::SystemicPatch,
    ];

    /// The name used in files and findings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Injection => "injection",
            Self::Eye => "eye",
            Self::Ear => "ear",
            Self::Nose => "nose",
            Self::Inhaled => "inhaled",
            Self::OralCavity => "oral-cavity",
            Self::Rectal => "rectal",
            Self::Vaginal => "vaginal",
            Self::Skin => "skin",
            Self::SystemicPatch => "systemic-patch",
        }
    }

    /// The route class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.as_str() == name)
    }
}

/// One product (銘柄) or one generic name (一般名) standing for its brands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The name as listed; for a generic name the standard wording of a generic prescription (【般】…).
    pub name: String,
    /// レセプト電算コード. `None` for a generic name.
    pub receipt_code: Option<String>,
    /// YJ コード. `None` for a generic name, and for a product listed under a common name (統一名収載) whose own
    /// code the source does not give.
    pub yj_code: Option<String>,
    /// 薬価基準収載医薬品コード. `None` for a generic name.
    pub price_code: Option<String>,
    /// 一般名コード, where the product may be prescribed by generic name.
    pub generic_code: Option<String>,
    /// The unit quantities are counted in, such as 錠 or ｇ.
    pub unit: String,
    /// 投与経路.
    pub route: RouteClass,
    /// The base ingredients, sorted, never empty.
    pub components: Box<[IngredientId]>,
    /// Whether the product acts through the circulation, whatever its route.
    pub systemic: bool,
    /// 薬効分類, four digits.
    pub therapeutic_class: String,
    /// The last day it may be prescribed (廃止, or the end of 経過措置), where a master gives one. A discontinued
    /// product stays resolvable: patients still take it.
    pub valid_to: Option<NaiveDate>,
}

impl Product {
    /// What makes this product this product, independent of the kind of code that led here: the receipt code, the
    /// price code of a product without one, or the generic-name code.
    pub fn identity(&self) -> &str {
        let codes = [&self.receipt_code, &self.price_code, &self.generic_code];
        codes.into_iter().find_map(Option::as_deref).unwrap_or(&self.name)
    }

    /// Whether it may still be prescribed on that day, as far as the masters say.
    pub fn valid_on(&self, day: NaiveDate) -> bool {
        self.valid_to.is_none_or(|end| day <= end)
    }

    /// 同一経路: whether a drug given by this product adds to the same drug given by the other. The same route
    /// class does; so does a patch or suppository for the circulation together with a swallowed medicine.
    pub fn shares_route(&self, other: &Self) -> bool {
        self.route == other.route || (self.reaches_circulation() && other.reaches_circulation())
    }

    /// Injections stand apart: the national rule compares them with injections only.
    fn reaches_circulation(&self) -> bool {
        self.systemic && self.route != RouteClass::Injection
    }
}

/// All products with the index from code to product.
#[derive(Debug, Default)]
pub(super) struct Products {
    ingredients: Vec<Box<str>>,
    ingredient_ids: HashMap<Box<str>, IngredientId>,
    /// Brands first, then generic names.
    entries: Vec<Product>,
    brands: usize,
    by_code: HashMap<DrugCode, u32>,
}

impl Products {
    pub(super) fn get(&self, code: &DrugCode) -> Option<&Product> {
        self.entries.get(usize::try_from(self.place(code)?).ok()?)
    }

    /// Where among the entries the product of a code stands.
    fn place(&self, code: &DrugCode) -> Option<u32> {
        let index = self.by_code.get(code).or_else(|| match code {
            // Price and YJ codes differ only for products listed under a common name (統一名収載), and systems
            // send the one where the other is declared.
            DrugCode::Yj(code) => self.by_code.get(&DrugCode::Price(code.clone())),
            DrugCode::Price(code) => self.by_code.get(&DrugCode::Yj(code.clone())),
            // HOT13 is HOT9 and four digits of the package.
            DrugCode::Hot(code) if code.len() == 13 => {
                self.by_code.get(&DrugCode::Hot(code.get(..9)?.to_owned()))
            }
            DrugCode::Receipt(_) | DrugCode::Hot(_) | DrugCode::Generic(_) => None,
        })?;
        Some(*index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Product> {
        self.entries.iter().take(self.brands)
    }

    pub(super) fn ingredient_name(&self, ingredient: IngredientId) -> &str {
        usize::try_from(ingredient.0)
            .ok()
            .and_then(|index| self.ingredients.get(index))
            .map_or("", AsRef::as_ref)
    }

    /// The id of a base ingredient that some product holds.
    pub(super) fn ingredient_known(&self, name: &str) -> Option<IngredientId> {
        self.ingredient_ids.get(name).copied()
    }

    /// The id of a base ingredient, made when it is new.
    pub(super) fn ingredient(&mut self, name: &str) -> IngredientId {
        if let Some(id) = self.ingredient_ids.get(name) {
            return *id;
        }
        let id = IngredientId(u32::try_from(self.ingredients.len()).unwrap_or(u32::MAX));
        self.ingredients.push(name.into());
        self.ingredient_ids.insert(name.into(), id);
        id
    }

    /// Adds a brand under its receipt, YJ and price codes.
    ///
    /// # Errors
    /// What stands in the way: a receipt or YJ code already taken, or a price code shared with a product of
    /// other ingredients.
    pub(super) fn brand_insert(&mut self, product: Product) -> Result<(), &'static str> {
        let receipt = product.receipt_code.clone().map(DrugCode::Receipt);
        let yj = product.yj_code.clone().map(DrugCode::Yj);
        let price = product.price_code.clone().map(DrugCode::Price);
        if receipt.as_ref().is_some_and(|code| self.by_code.contains_key(code)) {
            return Err("receipt code appears twice");
        }
        if yj.as_ref().is_some_and(|code| self.by_code.contains_key(code)) {
            return Err("YJ code appears twice");
        }
        if price.as_ref().and_then(|code| self.get(code)).is_some_and(|other| !other.same_substance(&product))
        {
            return Err("price code is shared with a product of other ingredients or route");
        }
        let index = u32::try_from(self.entries.len()).map_err(|_| "too many products")?;
        for code in [receipt, yj, price].into_iter().flatten() {
            self.by_code.entry(code).or_insert(index);
        }
        self.entries.push(product);
        self.brands = self.entries.len();
        Ok(())
    }

    /// Adds a product of the official masters under every code that is still free; of products that share a price
    /// code the first one stands for it.
    ///
    /// # Errors
    /// That its receipt code is taken.
    pub(super) fn listed_insert(&mut self, product: Product) -> Result<(), &'static str> {
        let receipt = product.receipt_code.clone().map(DrugCode::Receipt);
        if receipt.as_ref().is_some_and(|code| self.by_code.contains_key(code)) {
            return Err("receipt code appears twice");
        }
        let index = u32::try_from(self.entries.len()).map_err(|_| "too many products")?;
        let yj = product.yj_code.clone().map(DrugCode::Yj);
        let price = product.price_code.clone().map(DrugCode::Price);
        for code in [receipt, yj, price].into_iter().flatten() {
            self.by_code.entry(code).or_insert(index);
        }
        self.entries.push(product);
        self.brands = self.entries.len();
        Ok(())
    }

    /// Adds a generic name of the official masters once all brands are in; the first that is told stays.
    pub(super) fn generic_listed_insert(&mut self, code: &str, product: Product) {
        let Ok(index) = u32::try_from(self.entries.len()) else { return };
        if let Entry::Vacant(place) = self.by_code.entry(DrugCode::Generic(code.to_owned())) {
            place.insert(index);
            self.entries.push(product);
        }
    }

    /// Lets a further code lead to the product of a known one.
    ///
    /// # Errors
    /// That it already leads to other ingredients or another route.
    pub(super) fn code_insert(&mut self, code: DrugCode, known: &DrugCode) -> Result<(), &'static str> {
        let (Some(place), Some(product)) = (self.place(known), self.get(known)) else { return Ok(()) };
        match self.get(&code) {
            Some(other) if !other.same_substance(product) => {
                return Err("the code already leads to a product of other ingredients or route");
            }
            Some(_) => {}
            None => drop(self.by_code.insert(code, place)),
        }
        Ok(())
    }

    /// The number of brands, of generic names and of ingredients.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.brands, self.entries.len() - self.brands, self.ingredients.len())
    }

    /// Adds a generic name once all brands are in; a repetition is welcome when it agrees.
    ///
    /// # Errors
    /// That the brands under one generic name disagree.
    pub(super) fn generic_insert(&mut self, code: &str, product: Product) -> Result<(), &'static str> {
        let code = DrugCode::Generic(code.to_owned());
        if let Some(known) = self.get(&code) {
            if known.name != product.name {
                return Err("one generic code has two names");
            }
            if !known.same_substance(&product) {
                return Err("products of one generic code differ in ingredients or route");
            }
            return Ok(());
        }
        let index = u32::try_from(self.entries.len()).map_err(|_| "too many products")?;
        self.by_code.insert(code, index);
        self.entries.push(product);
        Ok(())
    }
}

impl Product {
    /// Whether both hold the same ingredients for the same route.
    pub(super) fn same_substance(&self, other: &Self) -> bool {
        self.components == other.components && self.route == other.route && self.systemic == other.systemic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(route: RouteClass, systemic: bool) -> Product {
        Product {
            name: "x".to_owned(),
            receipt_code: None,
            yj_code: None,
            price_code: None,
            generic_code: None,
            unit: "錠".to_owned(),
            route,
            components: Box::new([IngredientId(0)]),
            systemic,
            therapeutic_class: "1149".to_owned(),
            valid_to: None,
        }
    }

    #[test]
    fn route_names_are_read_back() {
        for route in RouteClass::ALL {
            assert_eq!(RouteClass::from_name(route.as_str()), Some(route));
        }
        assert_eq!(RouteClass::from_name("internal "), None);
    }

    #[test]
    fn routes_meet_where_the_drug_does() {
        let tablet = product(RouteClass::Internal, true);
        let suppository = product(RouteClass::Rectal, true);
        let patch = product(RouteClass::SystemicPatch, true);
        let plaster = product(RouteClass::Skin, false);
        let drops = product(RouteClass::Eye, false);
        let injection = product(RouteClass::Injection, true);
        assert!(
            tablet.shares_route(&tablet)
                && plaster.shares_route(&plaster)
                && injection.shares_route(&injection)
        );
        assert!(
            tablet.shares_route(&suppository)
                && patch.shares_route(&tablet)
                && patch.shares_route(&suppository)
        );
        for other in [&plaster, &drops, &injection] {
            assert!(!tablet.shares_route(other) && !other.shares_route(&tablet));
        }
    }
}

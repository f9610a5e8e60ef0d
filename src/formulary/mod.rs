//! 医薬品マスター: which product a code names, which ingredients it holds and by which route it reaches the
//! patient; usage codes with their dates. Owns identity, knows nothing of patients, documents or findings, and
//! does no input or output once loaded.

mod load;
mod product;
mod table;
mod usage;

pub use load::{Fault, File, LoadError};
pub use product::{IngredientId, Product, RouteClass};
pub use usage::{SiteSupplement, UsageEntry};

use std::path::Path;

use chrono::NaiveDate;

use crate::prescription::identifier::DrugCode;
use product::Products;
use usage::Usages;

/// The fixture files the program carries: small, curated, enough for the sandbox and the tests.
const FIXTURE: [File<'static>; 2] = [
    File { name: "products.csv", bytes: include_bytes!("../../fixtures/formulary/products.csv") },
    File { name: "usages.csv", bytes: include_bytes!("../../fixtures/formulary/usages.csv") },
];

/// One loaded set of masters. Immutable: share it behind an `Arc`, and switch by replacing the `Arc`.
#[derive(Debug)]
pub struct Formulary {
    version: String,
    products: Products,
    usages: Usages,
}

impl Formulary {
    /// The fixture formulary inside the program.
    ///
    /// # Errors
    /// [`LoadError`] if the files the program was built with are faulty, which the tests exclude.
    pub fn fixture() -> Result<Self, LoadError> {
        Self::from_files("fixture", &FIXTURE)
    }

    /// Loads every `*.csv` of `directory`; each is recognised by its header, none by its name. `label` begins
    /// the version.
    ///
    /// # Errors
    /// [`LoadError`] with every fault of every file. Nothing is loaded unless all of it is.
    pub fn from_dir(label: &str, directory: &Path) -> Result<Self, LoadError> {
        let contents = load::read_dir(directory)?;
        let files: Vec<File<'_>> =
            contents.iter().map(|(name, bytes)| File { name: name.as_str(), bytes }).collect();
        Self::from_files(label, &files)
    }

    /// Loads files held in memory.
    ///
    /// # Errors
    /// As [`Formulary::from_dir`].
    pub fn from_files(label: &str, files: &[File<'_>]) -> Result<Self, LoadError> {
        load::load(label, files)
    }

    /// The label given at loading and twelve hexadecimal digits of the SHA-256 of the files' contents: the same
    /// files give the same version, in whatever order or under whatever name they came.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The product `code` names. Receipt, price, YJ and generic-name codes lead to the same identity; a
    /// generic-name code leads to an entry that stands for all its brands. `None` when the code is unknown.
    pub fn product(&self, code: &DrugCode) -> Option<&Product> {
        self.products.get(code)
    }

    /// Every entry that can be dispensed (brands, not generic names), in the order of the file.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.iter()
    }

    /// The base name (成分名, without salt or hydrate) of an ingredient.
    pub fn ingredient_name(&self, ingredient: IngredientId) -> &str {
        self.products.ingredient_name(ingredient)
    }

    /// The usage (用法) that `code` meant on the day `on`, normally the issue date. `None` when the code is
    /// unknown or was not valid that day.
    pub fn usage(&self, code: &str, on: NaiveDate) -> Option<&UsageEntry> {
        self.usages.get(code, on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixture_loads() {
        match Formulary::fixture() {
            Ok(formulary) => assert!(formulary.products().count() >= 300),
            Err(LoadError::Faulty(faults)) => {
                let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
                panic!("{}", lines.join("\n"));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

//! Sealed columns that hold JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pool::{Store, StoreError};
use super::seal::SealContext;

impl Store {
    /// Seals a value for its place.
    pub(super) fn seal_json(
        &self,
        table: &'static str,
        row: &[u8],
        column: &'static str,
        value: &impl Serialize,
    ) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(value).map_err(|_| StoreError::corrupt(table, column, "new"))?;
        Ok(self.sealer().seal(&SealContext { table, row, column }, &plain)?)
    }

    /// Opens what [`Self::seal_json`] sealed for the same place.
    pub(super) fn open_json<T: DeserializeOwned>(
        &self,
        table: &'static str,
        row: &[u8],
        column: &'static str,
        sealed: &[u8],
    ) -> Result<T, StoreError> {
        let plain = self.sealer().open(&SealContext { table, row, column }, sealed)?;
        serde_json::from_slice(&plain).map_err(|_| StoreError::corrupt(table, column, "sealed"))
    }
}

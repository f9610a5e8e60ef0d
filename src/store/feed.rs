//! What followers are told: the rows of `prescription_version` in the order of their transactions.
//!
//! A row is told once every transaction before it is over (`pg_snapshot_xmin`), so that nothing can appear before a
//! place that has been passed: a follower who goes on from a place misses nothing and is told nothing twice.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use uuid::Uuid;

use super::pool::{Store, StoreError};
use super::prescription::{PrescriptionRow, columns, prescription};
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::registered::Registered;

/// Changes told at a time, at most.
pub const BATCH: u32 = 100;

/// A place in the order of all changes; the default is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The transaction (`xid8`).
    pub transaction: u64,
    /// The prescription changed.
    pub prescription: Uuid,
    /// Its version after the change.
    pub version: i64,
}

impl Store {
    /// The next changes a facility may be told, at most `limit`: of prescriptions it issued, or in which it was
    /// concerned as the pharmacy that acted or held.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn feed_list(
        &self,
        facility: &InstitutionCode,
        is_pharmacy: bool,
        after: Place,
        limit: u32,
    ) -> Result<Vec<(Place, PrescriptionRow)>, StoreError> {
        macro_rules! sql {
            ($whose:literal) => {
                concat!(
                    "-- feed-list\nSELECT v.changed_in::text AS changed_in, ",
                    columns!("v"),
                    " FROM prescription_version v",
                    prescription!(of "v"),
                    " WHERE ",
                    $whose,
                    " = $1
                      AND (v.changed_in, v.prescription_id, v.version) > ($2::text::xid8, $3::uuid, $4::bigint)
                      AND v.changed_in < pg_snapshot_xmin(pg_current_snapshot())
                      ORDER BY v.changed_in, v.prescription_id, v.version LIMIT $5"
                )
            };
        }
        let sql = if is_pharmacy { sql!("v.concerned") } else { sql!("v.clinic") };
        let Place { transaction, prescription, version } = after;
        let transaction = transaction.to_string();
        let limit = i64::from(limit);
        let rows = self
            .one("feed-list", sql, &[&facility.as_str(), &transaction, &prescription, &version, &limit])
            .await?;
        rows.iter()
            .map(|row| {
                let told = self.prescription_read(row)?;
                let transaction = transaction_of("prescription_version", row, "changed_in")?;
                let Registered { id, version, .. } = told.registered;
                Ok((Place { transaction, prescription: id, version }, told))
            })
            .collect()
    }

    /// The place after everything that can be told now.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn feed_end(&self) -> Result<Place, StoreError> {
        const SQL: &str = "-- feed-end
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon";
        let row = self.one_opt("feed-end", SQL, &[]).await?.ok_or(StoreError::RowCount { rows: 0 })?;
        Ok(Place {
            transaction: transaction_of("prescription_version", &row, "horizon")?,
            ..Place::default()
        })
    }

    /// The facilities that can be told something new since the transaction `from`, and the transaction to ask from
    /// the next time.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn feed_concerned(&self, from: u64) -> Result<(u64, BTreeSet<String>), StoreError> {
        const SQL: &str = "-- feed-concerned
            SELECT h.horizon::text AS horizon, array(
                SELECT DISTINCT code
                FROM prescription_version v, unnest(ARRAY[v.clinic, v.concerned]) AS code
                WHERE v.changed_in >= $1::text::xid8 AND v.changed_in < h.horizon AND code IS NOT NULL) AS codes
            FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon) AS h";
        let row = self
            .one_opt("feed-concerned", SQL, &[&from.to_string()])
            .await?
            .ok_or(StoreError::RowCount { rows: 0 })?;
        Ok((
            transaction_of("prescription_version", &row, "horizon")?,
            row.get::<_, Vec<String>>("codes").into_iter().collect(),
        ))
    }
}

/// A transaction (`xid8`), selected as text.
pub(super) fn transaction_of(
    table: &'static str,
    row: &Row,
    column: &'static str,
) -> Result<u64, StoreError> {
    let text: &str = row.get(column);
    text.parse().map_err(|_| StoreError::corrupt(table, column, text))
}

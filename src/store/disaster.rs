//! Declared disasters (災害時): where and how long facilities see medication histories without consent. What they open
//! is read with the identity token ([`super::identity`]). Nothing here is about a person.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::pool::{Store, StoreError};

/// A declared disaster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disaster {
    /// Names it.
    pub id: Uuid,
    /// 都道府県番号, the first two digits of the institution codes it concerns.
    pub prefectures: Vec<String>,
    /// Why, in the operator's words.
    pub reason: String,
    /// From when.
    pub opened_at: DateTime<Utc>,
    /// Until when at the latest.
    pub valid_until: DateTime<Utc>,
    /// When the operator ended it.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Disaster {
    /// Whether it lasts.
    pub fn lasts(&self, now: DateTime<Utc>) -> bool {
        self.closed_at.is_none() && self.opened_at <= now && now < self.valid_until
    }
}

impl Store {
    /// Declares a disaster.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn disaster_open(
        &self,
        prefectures: &[String],
        reason: &str,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Disaster, StoreError> {
        const SQL: &str = "-- disaster-open
            INSERT INTO disaster (id, prefectures, reason, opened_at, valid_until, updated_by)
            VALUES ($1, $2, $3, $4, $5, 'disaster-open')";
        let id = self.uuid_draw()?;
        self.one_execute("disaster-open", SQL, &[&id, &prefectures, &reason, &at, &until]).await?;
        Ok(Disaster {
            id,
            prefectures: prefectures.to_vec(),
            reason: reason.to_owned(),
            opened_at: at,
            valid_until: until,
            closed_at: None,
        })
    }

    /// Ends every disaster that lasts, and answers them.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn disaster_close(&self, at: DateTime<Utc>) -> Result<Vec<Disaster>, StoreError> {
        const SQL: &str = "-- disaster-close
            UPDATE disaster SET closed_at = $1, updated_at = now(), updated_by = 'disaster-close'
            WHERE closed_at IS NULL AND valid_until > $1
            RETURNING id, prefectures, reason, opened_at, valid_until, closed_at";
        Ok(self.one("disaster-close", SQL, &[&at]).await?.iter().map(disaster).collect())
    }

    /// Every disaster ever declared, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn disaster_list(&self) -> Result<Vec<Disaster>, StoreError> {
        const SQL: &str = "-- disaster-list
            SELECT id, prefectures, reason, opened_at, valid_until, closed_at FROM disaster
            ORDER BY opened_at DESC, id";
        Ok(self.one("disaster-list", SQL, &[]).await?.iter().map(disaster).collect())
    }
}

fn disaster(row: &tokio_postgres::Row) -> Disaster {
    Disaster {
        id: row.get("id"),
        prefectures: row.get("prefectures"),
        reason: row.get("reason"),
        opened_at: row.get("opened_at"),
        valid_until: row.get("valid_until"),
        closed_at: row.get("closed_at"),
    }
}

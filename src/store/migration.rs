//! Migrations: brings a database to the schema of this program, once, whoever starts first.
//!
//! Owns the list of `schema/*.sql` and the table `schema_migration`. Knows no other table.

use ring::digest::{SHA256, digest};
use tokio_postgres::Client;

use super::error::StoreError;
use super::link::{Link, LinkError};

/// One numbered file of `schema/`. Added, never edited: its checksum is compared on every start.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The file's number.
    pub version: i32,
    /// The file's name without number and ending.
    pub name: &'static str,
    /// The file.
    pub sql: &'static str,
}

/// Every migration, in order, numbered from 1 without gaps.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "directory", sql: include_str!("../../schema/0001_directory.sql") },
    Migration { version: 2, name: "exchange", sql: include_str!("../../schema/0002_exchange.sql") },
    Migration {
        version: 3,
        name: "finding_figures",
        sql: include_str!("../../schema/0003_finding_figures.sql"),
    },
    Migration { version: 4, name: "consent", sql: include_str!("../../schema/0004_consent.sql") },
    Migration { version: 5, name: "reported", sql: include_str!("../../schema/0005_reported.sql") },
    Migration { version: 6, name: "app", sql: include_str!("../../schema/0006_app.sql") },
    Migration { version: 7, name: "lifecycle", sql: include_str!("../../schema/0007_lifecycle.sql") },
    Migration { version: 8, name: "person_name", sql: include_str!("../../schema/0008_person_name.sql") },
    Migration { version: 9, name: "feed", sql: include_str!("../../schema/0009_feed.sql") },
    Migration { version: 10, name: "important", sql: include_str!("../../schema/0010_important.sql") },
    Migration { version: 11, name: "access_chain", sql: include_str!("../../schema/0011_access_chain.sql") },
    Migration {
        version: 12,
        name: "identity_bucket",
        sql: include_str!("../../schema/0012_identity_bucket.sql"),
    },
    Migration { version: 13, name: "merge", sql: include_str!("../../schema/0013_merge.sql") },
    Migration { version: 14, name: "mandate", sql: include_str!("../../schema/0014_mandate.sql") },
    Migration { version: 15, name: "retention", sql: include_str!("../../schema/0015_retention.sql") },
    Migration { version: 16, name: "hot", sql: include_str!("../../schema/0016_hot.sql") },
    Migration {
        version: 17,
        name: "reported_bound",
        sql: include_str!("../../schema/0017_reported_bound.sql"),
    },
];

/// "hikikae" in ASCII, the key of the advisory lock under which migrations run.
const LOCK: i64 = 0x0068_696b_696b_6165;

const TABLE: &str = "-- schema_migration
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL DEFAULT 'migrate'
);
COMMENT ON TABLE schema_migration IS 'Which files of schema/ this database has had.';
COMMENT ON COLUMN schema_migration.version IS 'Number of the file.';
COMMENT ON COLUMN schema_migration.name IS 'Name of the file without number and ending.';
COMMENT ON COLUMN schema_migration.checksum IS 'SHA-256 of the file; a changed file is refused.';
COMMENT ON COLUMN schema_migration.created_at IS 'When the file was applied.';
COMMENT ON COLUMN schema_migration.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN schema_migration.updated_by IS 'The act that last wrote the row.'";

/// Why a database cannot be brought to this program's schema.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database was written by a newer program.
    #[error("the database has migration {0}, which this program does not know; run the newer program")]
    Newer(i32),
    /// A migration that was applied is not the one this program carries.
    #[error("migration {0} was applied with another content than this program carries")]
    Changed(i32),
    /// The database is not spoken to.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A migration failed; the database is as it was before it.
    #[error("migration {version} failed: SQLSTATE {sqlstate}")]
    Failed {
        /// Its number.
        version: i32,
        /// The five characters of PostgreSQL's error code.
        sqlstate: String,
    },
    /// The database could not be asked.
    #[error("the database cannot be migrated: {0}")]
    Database(#[source] tokio_postgres::Error),
    /// The migrated database could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Brings the database to the last of [`MIGRATIONS`]. Each runs in a transaction of its own under a lock, so
/// that processes starting together do it once. Answers how many were applied.
///
/// # Errors
/// [`MigrationError`]
pub async fn migrate(link: &Link) -> Result<usize, MigrationError> {
    migrate_to(link, MIGRATIONS).await
}

async fn migrate_to(link: &Link, list: &[Migration]) -> Result<usize, MigrationError> {
    let (config, tls) = link.clone().parts();
    let (mut client, connection) = config.connect(tls).await.map_err(MigrationError::Database)?;
    // Ends by itself when `client` is dropped.
    let connection = tokio::spawn(connection);
    let mut applied = 0;
    while apply_next(&mut client, list).await? {
        applied += 1;
    }
    drop(client);
    // A connection that fails while closing has nothing left to tell.
    let _closed = connection.await;
    Ok(applied)
}

async fn apply_next(client: &mut Client, list: &[Migration]) -> Result<bool, MigrationError> {
    let transaction = client.transaction().await.map_err(MigrationError::Database)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(MigrationError::Database)?;
    transaction
        .batch_execute("SET LOCAL client_min_messages = warning; SET LOCAL statement_timeout = 0")
        .await
        .map_err(MigrationError::Database)?;
    transaction.batch_execute(TABLE).await.map_err(MigrationError::Database)?;
    let rows = transaction
        .query("SELECT version, checksum FROM schema_migration ORDER BY version", &[])
        .await
        .map_err(MigrationError::Database)?;
    for row in &rows {
        let version: i32 = row.try_get(0).map_err(MigrationError::Database)?;
        let checksum: Vec<u8> = row.try_get(1).map_err(MigrationError::Database)?;
        let known = list.iter().find(|m| m.version == version).ok_or(MigrationError::Newer(version))?;
        if checksum != digest(&SHA256, known.sql.as_bytes()).as_ref() {
            return Err(MigrationError::Changed(version));
        }
    }
    let Some(next) = list.get(rows.len()) else { return Ok(false) };
    transaction.batch_execute(next.sql).await.map_err(|error| failed(next.version, error))?;
    let checksum = digest(&SHA256, next.sql.as_bytes());
    transaction
        .execute(
            "INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)",
            &[&next.version, &next.name, &checksum.as_ref()],
        )
        .await
        .map_err(|error| failed(next.version, error))?;
    transaction.commit().await.map_err(MigrationError::Database)?;
    tracing::info!(version = next.version, name = next.name, "migration applied");
    Ok(true)
}

fn failed(version: i32, error: tokio_postgres::Error) -> MigrationError {
    match error.code() {
        Some(code) => MigrationError::Failed { version, sqlstate: code.code().to_owned() },
        None => MigrationError::Database(error),
    }
}

//! The store against a real PostgreSQL.

use std::time::Duration;

use hikikae::store::migration::{MIGRATIONS, MigrationError, migrate};
use hikikae::store::{Keys, Store, StoreError, StoreOptions};
use ring::rand::SystemRandom;

use crate::harness::{self, Database, connect, link};

#[tokio::test]
async fn migrations_run_once_though_several_start_together() {
    let link = link(&Database::empty().await.config);
    let runs = futures_util::future::join_all((0..6).map(|_| migrate(&link))).await;
    let applied: usize = runs.into_iter().map(Result::unwrap).sum();
    assert_eq!(applied, MIGRATIONS.len());
    assert_eq!(migrate(&link).await.unwrap(), 0);
}

#[tokio::test]
async fn a_database_of_a_newer_program_or_with_a_changed_migration_is_refused() {
    let database = Database::migrated().await;
    let (client, link) = (connect(&database.config).await, link(&database.config));
    client
        .batch_execute("INSERT INTO schema_migration (version, name, checksum) VALUES (9999, 'later', '')")
        .await
        .unwrap();
    assert!(matches!(migrate(&link).await, Err(MigrationError::Newer(9999))));
    client
        .batch_execute(
            "DELETE FROM schema_migration WHERE version = 9999; UPDATE schema_migration SET checksum = 'x'",
        )
        .await
        .unwrap();
    assert!(matches!(migrate(&link).await, Err(MigrationError::Changed(1))));
}

#[tokio::test]
async fn another_key_list_is_refused() {
    let database = Database::migrated().await;
    database.open().await;
    database.open().await;
    let others = Keys::generate(&SystemRandom::new()).unwrap();
    let opened = Store::open(database.config.clone(), &harness::options(), &others, harness::rng()).await;
    assert!(matches!(opened, Err(MigrationError::Store(StoreError::WrongKeys))));
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is_and_who_wrote_it_last() {
    let database = Database::migrated().await;
    let client = connect(&database.config).await;
    let silent = client
        .query(
            "SELECT c.relname || '.' || a.attname FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
               AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)",
            &[],
        )
        .await
        .unwrap();
    let silent: Vec<String> = silent.iter().map(|row| row.get(0)).collect();
    assert!(silent.is_empty(), "{silent:?}");
    let unsigned = client
        .query(
            "SELECT c.relname::text FROM pg_class c
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
               AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid
                    AND a.attname IN ('created_at', 'updated_at', 'updated_by') AND a.attnotnull) <> 3",
            &[],
        )
        .await
        .unwrap();
    let unsigned: Vec<String> = unsigned.iter().map(|row| row.get(0)).collect();
    assert!(unsigned.is_empty(), "{unsigned:?}");
}

/// Invariant 12, for every table of this schema and of later ones.
#[tokio::test]
async fn a_bucket_leads_every_key_of_its_table() {
    let database = Database::migrated().await;
    let client = connect(&database.config).await;
    let wrong = client
        .query(
            "SELECT i.indexrelid::regclass::text FROM pg_index i
             JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attname = 'bucket' AND NOT b.attisdropped
             WHERE i.indisunique AND i.indkey[0] <> b.attnum AND i.indrelid >= 16384",
            &[],
        )
        .await
        .unwrap();
    let wrong: Vec<String> = wrong.iter().map(|row| row.get(0)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

const INSERT: &str = "-- facility_insert
    INSERT INTO facility (code, kind, name, active, updated_by) VALUES ($1, 'clinic', 'A', true, 'test')";
const RAISE: &str = "-- facility_name_append
    UPDATE facility SET name = name || 'x' WHERE code = $1";
const NAME: &str = "-- facility_name_get
    SELECT name FROM facility WHERE code = $1";

#[tokio::test]
async fn an_act_is_whole_or_nothing() {
    let store = harness::store().await;
    let refused: Result<(), StoreError> = store
        .run("test", |tx| {
            Box::pin(async move {
                tx.execute(INSERT, &[&"1311234567"]).await?;
                tx.execute(INSERT, &[&"1311234567"]).await?;
                Ok(())
            })
        })
        .await;
    assert!(refused.unwrap_err().is_constraint("facility_pkey"));
    assert!(store.one("test", NAME, &[&"1311234567"]).await.unwrap().is_empty());
    let refused = store.one_execute("test", INSERT, &[&"not a code"]).await;
    assert!(refused.unwrap_err().is_constraint("facility_code_form"));
}

#[tokio::test]
async fn an_act_dropped_half_way_leaves_nothing_and_gives_its_connection_up() {
    let database = Database::migrated().await;
    let options = StoreOptions { connections: 1, ..harness::options() };
    let store = Store::open(database.config.clone(), &options, &database.keys, harness::rng()).await.unwrap();
    let hanging = store.run("test", |tx| {
        Box::pin(async move {
            tx.execute(INSERT, &[&"1311234567"]).await?;
            std::future::pending::<Result<(), StoreError>>().await
        })
    });
    assert!(tokio::time::timeout(Duration::from_millis(300), hanging).await.is_err());
    assert!(store.one("test", NAME, &[&"1311234567"]).await.unwrap().is_empty());
}

#[tokio::test]
async fn acts_in_a_deadlock_are_done_again_until_both_are_done() {
    let store = harness::store().await;
    for code in ["1311234567", "1311234575"] {
        store.one_execute("test", INSERT, &[&code]).await.unwrap();
    }
    let meet = tokio::sync::Barrier::new(2);
    let meet = &meet;
    let tries = std::sync::atomic::AtomicU32::new(0);
    let tries = &tries;
    let act = |first: &'static str, second: &'static str| {
        let store = &store;
        async move {
            store
                .run::<_, StoreError, _>("test", |tx| {
                    Box::pin(async move {
                        tx.execute(RAISE, &[&first]).await?;
                        if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
                            meet.wait().await;
                        }
                        tx.execute(RAISE, &[&second]).await
                    })
                })
                .await
        }
    };
    let (one, other) = tokio::join!(act("1311234567", "1311234575"), act("1311234575", "1311234567"));
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    let row = store.one_opt("test", NAME, &[&"1311234567"]).await.unwrap().unwrap();
    assert_eq!(row.get::<_, String>(0), "Axx");
}

#[tokio::test]
async fn without_a_free_connection_an_act_is_refused_in_time() {
    let database = Database::migrated().await;
    let options = StoreOptions { connections: 1, wait: Duration::from_millis(100), ..harness::options() };
    let store = Store::open(database.config.clone(), &options, &database.keys, harness::rng()).await.unwrap();
    let holder = store.run::<(), StoreError, _>("test", |_| Box::pin(std::future::pending()));
    let waiter = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.one("test", NAME, &[&"1311234567"]).await
    };
    tokio::select! {
        _ = holder => unreachable!("pending"),
        refused = waiter => assert!(matches!(refused, Err(StoreError::Overloaded))),
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_unavailable() {
    let mut config = tokio_postgres::Config::new();
    config.host_path("/nonexistent").user("nobody").dbname("none");
    let keys = Keys::generate(&SystemRandom::new()).unwrap();
    let opened = Store::open(config, &harness::options(), &keys, harness::rng()).await;
    assert!(matches!(opened, Err(MigrationError::Database(_))));
}

#[tokio::test]
async fn the_database_going_away_and_coming_back_is_survived() {
    let database = Database::migrated().await;
    let store = database.open().await;
    store.ready().await.unwrap();
    let client = connect(&database.config).await;
    client
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    // The first acts may meet a closed connection; they say so and no more.
    for _ in 0..8 {
        match store.ready().await {
            Ok(()) => return,
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
        }
    }
    panic!("the store did not recover");
}

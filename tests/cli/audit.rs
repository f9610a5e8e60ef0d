//! `admin audit-verify` beside the retention job: what went by its term is told, what went before it is found.

#![expect(clippy::unwrap_used, reason = "a record that cannot be read fails its tests")]

use chrono::TimeDelta;
use hikikae::clock::Clock;
use hikikae::config::Config;
use hikikae::prescription::access::AccessAct;
use hikikae::serve::store_open;
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::{Cluster, PatientId, Store};
use tokio_postgres::NoTls;

use crate::program::{Run, hikikae};

/// Records of two looks, this many days ago, closed into a block of their own.
async fn looks(store: &Store, days: i64) {
    let at = Clock::system().now() - TimeDelta::days(days);
    for _ in 0..2 {
        let patient = PatientId::from_uuid(store.uuid_draw().unwrap());
        let trace = Trace { request: store.uuid_draw().unwrap(), content: TraceContent::of_operator(None) };
        let bucket = store.buckets().of_patient(patient);
        store.access_record_insert(AccessAct::WhoseData, bucket, patient, None, at, &trace).await.unwrap();
    }
    assert!(store.access_block_close(at).await.unwrap().is_some(), "nothing else writes here");
}

async fn young_deleted(cluster: &Cluster) -> u64 {
    let (client, connection) = cluster.config().connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let gone = "DELETE FROM access_record WHERE id = (SELECT id FROM access_record ORDER BY at DESC LIMIT 1)";
    let gone = client.execute(gone, &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    gone
}

#[test]
fn what_went_by_its_term_is_no_fault_and_what_went_before_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hikikae.toml");
    let state = directory.path().join("state").display().to_string();
    // Other than the default, so that the configured term is the one that counts.
    std::fs::write(&file, format!("state_dir = {state:?}\n[retention]\naccess_days = 400\n")).unwrap();
    let config = Config::load(&file).unwrap();
    let admin = |command: &[&str]| -> Run {
        let place = file.display().to_string();
        hikikae(["admin"].iter().chain(command).copied().chain(["--config", &place]))
    };

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (store, cluster) = runtime.block_on(store_open(&config)).unwrap();
    runtime.block_on(async {
        looks(&store, 500).await;
        looks(&store, 100).await;
    });
    let deleted = admin(&["retention", "--json"]).done().json();
    assert_eq!(deleted["removed"], serde_json::json!({ "access_record": 2 }));

    let whole = admin(&["audit-verify"]).done();
    let told = "2 blocks, 2 records as they were closed, 2 deleted after their term, 0 not closed yet";
    assert!(whole.text().contains(told), "{whole:?}");

    let cluster = cluster.unwrap();
    assert_eq!(runtime.block_on(young_deleted(&cluster)), 1);
    let altered = admin(&["audit-verify"]);
    assert_eq!(altered.code, 1, "{altered:?}");
    assert!(altered.text().contains("altered: block 2: 1 records are gone"), "{altered:?}");
    drop(store);
    cluster.stop().unwrap();
}

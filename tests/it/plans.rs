//! How the statements of the acts find their rows.

use std::time::Duration;

use futures_util::future::join_all;
use hikikae::exchange::form::Payload;
use hikikae::exchange::read::Search;
use hikikae::store::PrescriptionId;

use crate::harness::connect;
use crate::world::{CLINIC, PHARMACY, World, caller, request, request_with_key};

/// A plan is made once for a connection: one that reads a whole table while it is small goes on reading it when it is not.
#[tokio::test]
async fn whatever_grows_with_patients_is_read_by_key() {
    let world = World::new().await;
    let database = connect(&world.database.config).await;
    // The planner knows that every table is small or empty.
    database.batch_execute("VACUUM ANALYZE").await.unwrap();
    database.batch_execute("SELECT pg_stat_reset()").await.unwrap();
    join_all((1..12).map(async |patient| {
        let rx = world.rx(patient);
        let document = world.sign(&rx);
        let keyed = request_with_key(&patient.to_string(), 1);
        let task = world.register_as(&rx, document, &keyed).await.unwrap().outcome.task;
        let accepted = world.accept(PHARMACY, patient, &task).await.unwrap().outcome;
        let result = world.dispensing(PHARMACY, &rx, &accepted);
        world.dispense(PHARMACY, &accepted, result).await.unwrap();
        let id = PrescriptionId::from_uuid(task.id);
        world.exchange.task_read(&caller(CLINIC), id, &request()).await.unwrap();
        let search = Search { count: 20, ..Search::default() };
        world.exchange.task_search(&caller(CLINIC), &search, &request()).await.unwrap();
        let draft = (Payload::Csv, rx.sj1().into_bytes().into());
        world.exchange.medication_check(&caller(CLINIC), None, draft, false, &request()).await.unwrap();
    }))
    .await;

    let World { exchange, .. } = world;
    drop(exchange);
    // What a connection has counted is told when it ends.
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while database.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let scanned = database
        .query(
            "SELECT relname::text, seq_scan, idx_scan FROM pg_stat_user_tables
             WHERE relid IN (SELECT attrelid FROM pg_attribute WHERE attname = 'bucket')",
            &[],
        )
        .await
        .unwrap();
    let of = |column: &str| -> Vec<String> {
        let used = scanned.iter().filter(|row| row.get::<_, Option<i64>>(column).unwrap_or(0) > 0);
        used.map(|row| row.get("relname")).collect()
    };
    assert_eq!(of("seq_scan"), Vec::<String>::new());
    let by_key = of("idx_scan");
    for table in ["patient", "prescription", "medication", "document", "idempotency", "insured_identity"] {
        assert!(by_key.iter().any(|used| used == table), "{table} is read");
    }
}

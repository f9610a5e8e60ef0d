//! How the statements of the acts find their rows.

use std::ops::Range;
use std::time::Duration;

use futures_util::future::join_all;
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::{DocumentForm, Payload};
use hikikae::exchange::read::Search;
use hikikae::prescription::mitigation::ManagementCode;
use hikikae::store::PrescriptionId;

use crate::harness::connect;
use crate::world::{
    CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, World, caller, request, request_with_key,
};

/// Tables that grow with patients, and what of them is read by key in the common acts.
const BY_KEY: [&str; 6] =
    ["patient", "prescription", "medication", "document", "idempotency", "insured_identity"];
/// Rows that each table grows by.
const GROWN: i64 = 5000;

/// As many rows more in every table that grows, of nobody: copies of one row under other keys.
const GROW: &str = "DO $$
    DECLARE t record;
    BEGIN
        FOR t IN
            SELECT c.oid::regclass AS name, string_agg(format('%L, ', a.attname) || CASE a.atttypid
                WHEN 'bytea'::regtype THEN 'sha256(n::text::bytea)'
                ELSE 'md5(n::text)' END, ', ') AS keys
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped
              AND EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = c.oid AND b.attname = 'bucket')
              AND (a.atttypid = 'uuid'::regtype AND a.attname <> 'merged_into' OR a.attname LIKE '%hash'
                   OR a.attname = 'clinic')
            GROUP BY c.oid
        LOOP
            EXECUTE format(
                'INSERT INTO %1$s SELECT g.* FROM (SELECT x FROM %1$s x LIMIT 1) o, generate_series(1, 5000) n,
                 LATERAL jsonb_populate_record(o.x, jsonb_build_object(%2$s)) g', t.name, t.keys);
        END LOOP;
        INSERT INTO identity_attempt (facility_code, kind, window_start, failures, updated_by)
        SELECT n, 'insurance', now(), 1, 'grow' FROM generate_series(1, 5000) n;
    END $$";

/// A plan is made once for a connection: one that reads a whole table or index while it is small goes on reading it when it
/// is not.
#[tokio::test]
async fn whatever_grows_with_patients_is_read_by_key() {
    let world = World::new().await;
    let database = connect(&world.database.config).await;
    // The planner knows that every table is small or empty.
    database.batch_execute("VACUUM ANALYZE").await.unwrap();
    every_act(&world, 1..9).await;
    database.batch_execute(GROW).await.unwrap();
    // What growing has read is told before it is forgotten.
    database.batch_execute("SELECT pg_stat_force_next_flush()").await.unwrap();
    database.batch_execute("SELECT pg_stat_reset()").await.unwrap();
    every_act(&world, 9..17).await;

    let World { exchange, .. } = world;
    drop(exchange);
    // What a connection has counted is told when it ends.
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while database.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = database
        .query(
            "SELECT relname::text AS name, seq_tup_read AS rows, idx_scan,
                seq_scan > 0 AND relid IN (SELECT attrelid FROM pg_attribute WHERE attname = 'bucket') AS scanned
             FROM pg_stat_user_tables
             UNION ALL SELECT indexrelname::text, idx_tup_read, NULL, false FROM pg_stat_user_indexes",
            &[],
        )
        .await
        .unwrap();
    let whole: Vec<(String, i64)> = read
        .iter()
        .filter(|row| row.get("scanned") || row.get::<_, i64>("rows") >= GROWN)
        .map(|row| (row.get("name"), row.get("rows")))
        .collect();
    assert_eq!(whole, []);
    for table in BY_KEY {
        let count = format!("SELECT count(*) FROM {table}");
        assert!(database.query_one(&count, &[]).await.unwrap().get::<_, i64>(0) > GROWN, "{table} has grown");
        let used = |row: &tokio_postgres::Row| {
            row.get::<_, &str>("name") == table && row.get::<_, Option<i64>>("idx_scan") > Some(0)
        };
        assert!(read.iter().any(used), "{table} is read");
    }
}

/// The acts of a prescription's life, of all of these patients at once.
#[expect(clippy::unwrap_used, reason = "an act that fails fails its test")]
async fn every_act(world: &World, patients: Range<u32>) {
    join_all(patients.map(async |patient| {
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
        // The same medicines again are a finding, of which nothing is written but in spite of it.
        let twice = Rx { clinic: OTHER_CLINIC, ..world.rx(patient) };
        let document = world.sign(&twice);
        let refused = world.register_as(&twice, document.clone(), &request()).await;
        let Err(ExchangeError::CheckUnresolved(findings, _)) = refused else { panic!("found nothing") };
        let other = caller(OTHER_CLINIC);
        for finding in findings {
            let reason = ManagementCode::try_from("1".to_owned()).unwrap();
            world.exchange.mitigate(&other, finding.id, reason, None, &request()).await.unwrap();
        }
        let twice = world.register_as(&twice, document, &request()).await.unwrap().outcome.task;
        let amended = world.sign(&Rx { clinic: OTHER_CLINIC, drug: ROSUVASTATIN, ..world.rx(patient) });
        let id = PrescriptionId::from_uuid(twice.id);
        world.exchange.amend(&other, id, DocumentForm::EpsXml, amended, &request()).await.unwrap();
        let draft = (Payload::Csv, rx.sj1().into_bytes().into());
        world.exchange.medication_check(&caller(CLINIC), None, draft, false, &request()).await.unwrap();
    }))
    .await;
}

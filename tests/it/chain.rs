//! The chain over the access record (decision 48): every record is in exactly one block whoever writes at once, and
//! whatever is done to the database behind the exchange's back shows.

#![expect(clippy::unwrap_used, reason = "a record that cannot be read fails its tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use hikikae::prescription::access::AccessAct;
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::access_chain::{Fault, Head, Verified};
use hikikae::store::{PatientId, Store};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::{Database, connect};
use crate::world::request;

fn now() -> DateTime<Utc> {
    "2026-11-21T01:15:00Z".parse().unwrap()
}

/// Writes a record of somebody and answers its id.
async fn write(store: &Store) -> Uuid {
    let patient = PatientId::from_uuid(request().id);
    let content = TraceContent { outcome: "done".to_owned(), ..TraceContent::default() };
    let trace = Trace { request: request().id, content };
    let bucket = store.buckets().of_patient(patient);
    store.access_record_insert(AccessAct::Read, bucket, patient, None, now(), &trace).await.unwrap();
    trace.request
}

/// Closes what waits, once no transaction of another test can be before it.
async fn close(database: &Database, store: &Store) -> Verified {
    let client = connect(&database.config).await;
    let over = "SELECT max(written_in) < pg_snapshot_xmin(pg_current_snapshot()) FROM access_record";
    for _ in 0..1200 {
        if client.query_one(over, &[]).await.unwrap().get(0) {
            while store.access_block_close(now()).await.unwrap().is_some() {}
            let verified = verify(store, None).await;
            assert_eq!(verified.open, 0);
            return verified;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a transaction holds the horizon");
}

async fn verify(store: &Store, noted: Option<Head>) -> Verified {
    store.access_verify(noted, None, now(), |_| {}).await.unwrap()
}

/// Three blocks of three records each.
async fn chained() -> (Database, Store, Client, Vec<Uuid>) {
    let database = Database::migrated().await;
    let store = database.open().await;
    let mut ids = Vec::new();
    for block in 1..=3 {
        for _ in 0..3 {
            ids.push(write(&store).await);
        }
        assert_eq!(close(&database, &store).await.blocks, block);
    }
    let client = connect(&database.config).await;
    (database, store, client, ids)
}

#[tokio::test]
async fn whoever_writes_at_once_every_record_is_in_one_block() {
    let database = Database::migrated().await;
    let store = database.open().await;
    let writers = (0..16).map(|_| async {
        let mut ids = Vec::new();
        for _ in 0..25 {
            ids.push(write(&store).await);
        }
        ids
    });
    // Two servers close at once, and some transactions stay open for a while.
    let closers = (0..2).map(|_| async {
        for _ in 0..40 {
            store.access_block_close(now()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    // As of a request that two patients are told of.
    let slow = async {
        let mut client = connect(&database.config).await;
        let tx = client.transaction().await.unwrap();
        tx.execute(
            "INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
             SELECT bucket, gen_random_uuid(), id, at, act, sealed, updated_by FROM access_record LIMIT 1",
            &[],
        )
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        tx.commit().await.unwrap();
    };
    write(&store).await;
    let (written, ..) = tokio::join!(join_all(writers), join_all(closers), slow);
    let ids: BTreeSet<Uuid> = written.into_iter().flatten().collect();
    let verified = close(&database, &store).await;
    assert_eq!(verified.faults, []);
    assert_eq!((ids.len(), verified.records), (400, 402));
    let client = connect(&database.config).await;
    let leaves = "SELECT (sum(octet_length(leaves)) / 32)::bigint FROM access_block";
    assert_eq!(client.query_one(leaves, &[]).await.unwrap().get::<_, i64>(0), 402);
}

#[tokio::test]
async fn whatever_is_done_behind_the_exchange_shows() {
    // `{0}` and `{1}` are records of blocks 1 and 2.
    type Shows = fn(Uuid, Uuid) -> Vec<Fault>;
    let cases: [(&str, &str, Shows); 11] = [
        (
            "sealed bytes altered",
            "UPDATE access_record SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE id = '{0}'",
            |a, _| vec![Fault::Record { number: 1, id: a }, Fault::Missing { number: 1, records: 1 }],
        ),
        (
            "time changed",
            "UPDATE access_record SET at = at - interval '1 day' WHERE id = '{1}'",
            |_, b| vec![Fault::Record { number: 2, id: b }, Fault::Missing { number: 2, records: 1 }],
        ),
        (
            "given to somebody else",
            "UPDATE access_record SET patient_id = gen_random_uuid() WHERE id = '{0}'",
            |a, _| vec![Fault::Record { number: 1, id: a }, Fault::Missing { number: 1, records: 1 }],
        ),
        ("deleted", "DELETE FROM access_record WHERE id = '{0}'", |_, _| {
            vec![Fault::Missing { number: 1, records: 1 }]
        }),
        (
            "put in",
            "INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by, written_in)
             SELECT bucket, patient_id, '00000000-0000-8000-8000-000000000000', at, act, sealed, updated_by, written_in
             FROM access_record WHERE id = '{0}'",
            |_, _| vec![Fault::Record { number: 1, id: Uuid::from_u128(0x8000_8000_0000_0000_0000) }],
        ),
        (
            "put in at the end, without the keys",
            "INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
             SELECT bucket, patient_id, '00000000-0000-8000-8000-000000000000', at, act, sealed, updated_by
             FROM access_record WHERE id = '{0}'",
            |_, _| vec![Fault::Unsealed { id: Uuid::from_u128(0x8000_8000_0000_0000_0000) }],
        ),
        (
            "what two say swapped",
            "UPDATE access_record a SET sealed = b.sealed FROM access_record b
             WHERE a.id IN ('{0}', '{1}') AND b.id IN ('{0}', '{1}') AND a.id <> b.id",
            |a, b| {
                let mut faults = Vec::new();
                for (number, id) in [(1, a), (2, b)] {
                    faults.push(Fault::Record { number, id });
                    faults.push(Fault::Missing { number, records: 1 });
                }
                faults
            },
        ),
        (
            "moved to another block",
            "UPDATE access_record SET written_in = (SELECT written_in FROM access_record WHERE id = '{1}')
             WHERE id = '{0}'",
            |a, _| vec![Fault::Missing { number: 1, records: 1 }, Fault::Record { number: 2, id: a }],
        ),
        ("a block altered", "UPDATE access_block SET closed_at = closed_at + interval '1s' WHERE number = 2", |_, _| {
            vec![Fault::Block { number: 2 }]
        }),
        (
            "the last block made anew, without the keys",
            "UPDATE access_block SET closed_at = closed_at + interval '1s' WHERE number = 3;
             UPDATE access_block SET hash = sha256(convert_to('hikikae access block 1', 'UTF8') || int8send(number)
                 || int8send(written_from::text::bigint) || int8send(written_until::text::bigint)
                 || int8send((extract(epoch FROM oldest_at) * 1000000)::bigint)
                 || int8send((extract(epoch FROM closed_at) * 1000000)::bigint) || previous || sha256(leaves))
             WHERE number = 3",
            |_, _| vec![Fault::Forged { number: 3 }],
        ),
        ("a block cut out", "DELETE FROM access_block WHERE number = 2", |_, _| vec![Fault::Block { number: 3 }]),
    ];
    for (name, sql, shows) in cases {
        let (_, store, client, ids) = chained().await;
        assert_eq!(verify(&store, None).await.faults, []);
        let sql = sql.replace("{0}", &ids[0].to_string()).replace("{1}", &ids[3].to_string());
        client.batch_execute(&sql).await.unwrap();
        assert_eq!(verify(&store, None).await.faults, shows(ids[0], ids[3]), "{name}");
    }
}

/// A tail that was cut off, with its records, is a chain like any other: only a head noted elsewhere tells.
#[tokio::test]
async fn a_noted_head_tells_of_a_tail_cut_off() {
    let (database, store, client, ids) = chained().await;
    let noted = verify(&store, None).await.head;
    write(&store).await;
    close(&database, &store).await;
    assert_eq!(verify(&store, noted).await.faults, [], "what came after changes nothing");

    let tail = ids[6..].iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    let cut =
        format!("DELETE FROM access_block WHERE number >= 3; DELETE FROM access_record WHERE id IN ({tail})");
    client.batch_execute(&cut).await.unwrap();
    assert_eq!(verify(&store, None).await.faults, []);
    assert_eq!(verify(&store, noted).await.faults, [Fault::Head]);
    // Not even whoever has the keys makes it good again.
    close(&database, &store).await;
    assert_eq!(verify(&store, noted).await.faults, [Fault::Head]);
}

#[tokio::test]
async fn what_was_deleted_after_its_term_leaves_the_chain_whole() {
    let (_, store, client, ids) = chained().await;
    client.execute("DELETE FROM access_record WHERE id = $1", &[&ids[0]]).await.unwrap();
    let kept = Some(TimeDelta::days(30));
    let at = async |now| store.access_verify(None, kept, now, |_| {}).await.unwrap();
    assert_eq!(at(now()).await.faults, [Fault::Missing { number: 1, records: 1 }]);
    let later = at(now() + TimeDelta::days(31)).await;
    assert_eq!((later.faults, later.records, later.deleted), (vec![], 8, 1));
}

/// Without the keys a record can be put in before it is closed. It shows all the same, and however old it says it is,
/// nothing else of its block may go for it.
#[tokio::test]
async fn what_was_put_in_before_it_was_closed_shows_and_lets_nothing_go() {
    let database = Database::migrated().await;
    let store = database.open().await;
    let id = write(&store).await;
    let client = connect(&database.config).await;
    let put_in = "INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
        SELECT bucket, patient_id, '00000000-0000-8000-8000-000000000000', at - interval '10 years', act, sealed,
               updated_by
        FROM access_record";
    client.batch_execute(put_in).await.unwrap();
    let shows = Fault::Unsealed { id: Uuid::from_u128(0x8000_8000_0000_0000_0000) };
    assert_eq!(close(&database, &store).await.faults, std::slice::from_ref(&shows));

    client.execute("DELETE FROM access_record WHERE id = $1", &[&id]).await.unwrap();
    let kept = Some(TimeDelta::days(30));
    let verified = store.access_verify(None, kept, now() + TimeDelta::days(1), |_| {}).await.unwrap();
    assert_eq!(verified.faults, [shows, Fault::Missing { number: 1, records: 1 }]);
}

/// More than a block holds is closed in several, and what one transaction wrote is never parted.
#[tokio::test]
async fn a_long_backlog_is_closed_in_several_blocks() {
    let database = Database::migrated().await;
    let store = database.open().await;
    write(&store).await;
    let client = connect(&database.config).await;
    for records in [9_999, 12_000, 1] {
        let copies = format!(
            "INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
             SELECT bucket, patient_id, gen_random_uuid(), at, act, sealed, updated_by
             FROM (SELECT * FROM access_record LIMIT 1) AS one, generate_series(1, {records})"
        );
        client.batch_execute(&copies).await.unwrap();
    }
    let verified = close(&database, &store).await;
    // The copies bear ids that their seals are not for.
    assert!(verified.faults.iter().all(|fault| matches!(fault, Fault::Unsealed { .. })));
    assert_eq!((verified.faults.len(), verified.records), (22_000, 22_001));
    assert!(verified.blocks >= 2, "{}", verified.blocks);
}

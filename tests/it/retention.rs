//! The end of what is kept: after the job nothing a deleted person could be found by is left, in no table and in no file.

#![expect(clippy::unwrap_used, reason = "a job that fails fails its tests")]

use std::fs;
use std::path::Path;

use chrono::{Days, TimeDelta};
use hikikae::clock::japanese_date;
use hikikae::config::Retention;
use hikikae::exchange::caller::{Actor, Caller};
use hikikae::prescription::consent::{ConsentKind, Decision};
use hikikae::prescription::reported::{Content, Medicine};
use hikikae::store::PatientId;
use hikikae::store::directory::Eligibility;
use hikikae::store::reported::ReportedKind;
use hikikae::store::retention::Removed;
use tokio_postgres::Client;

use crate::harness::connect;
use crate::world::{PHARMACY, World, born, name, number, request};

/// Who goes, with a card, and who stays, with another.
const GONE: u32 = 1;
const STAYS: u32 = 2;

fn patient(id: PatientId) -> Caller {
    let actor = Actor::Patient { id: *id.as_uuid(), name: String::new() };
    Caller::of(actor)
}

/// A prescription dispensed, a report, a refusal.
async fn fill(world: &World, who: u32) {
    let rx = world.rx(who);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, who, &task).await.unwrap().outcome;
    let document = world.dispensing(PHARMACY, &rx, &accepted);
    world.dispense(PHARMACY, &accepted, document).await.unwrap();
    let caller = patient(world.patient(who).await);
    let kind = ConsentKind::MedicationHistory;
    let decision = Decision { kind, permit: false, facility: None, until: None };
    world.exchange.consent_put(&caller, &decision, &request()).await.unwrap();
    let medicine = Content::Medicine(Medicine {
        name: format!("市販薬{who}"),
        code: None,
        ingredients: Vec::new(),
        from: None,
        until: None,
        note: None,
    });
    let kind = ReportedKind::Medicine;
    world.exchange.reported_record(&caller, None, kind, vec![medicine], &request()).await.unwrap();
}

/// The insurance of somebody ends today.
async fn leave(world: &World, who: u32) {
    let (name, born, number, today) = (name(who), born(), number(who), japanese_date(world.now()));
    let file = format!(
        "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,\
         card_sha256,deceased_on\n{who},{name},,{born},female,06138762,１２３,{number},00,2020-01-01,{today},,\n"
    );
    let file = Eligibility::parse(file.as_bytes()).unwrap();
    world.exchange.store().eligibility_import(&file, &|_, _| {}).await.unwrap();
}

/// What a record could be found by: every keyed hash and id of it, as the database has them now.
async fn marks(client: &Client, id: PatientId) -> Vec<(String, Vec<u8>)> {
    let rows = client
        .query(
            "SELECT 'patient id', uuid_send($1) UNION SELECT 'insurance', identity_hash FROM insured_identity WHERE patient_id = $1
             UNION SELECT 'branch', branch_hash FROM insured_identity WHERE patient_id = $1 AND branch_hash IS NOT NULL
             UNION SELECT 'card', card_hash FROM card WHERE patient_id = $1
             UNION SELECT 'name', name_hash FROM person_name WHERE patient_id = $1
             UNION SELECT 'exchange number', number_hash FROM prescription WHERE patient_id = $1
             UNION SELECT 'prescription id', uuid_send(id) FROM prescription WHERE patient_id = $1
             UNION SELECT 'document', d.hash FROM document d JOIN prescription p ON p.id = d.prescription_id
                 WHERE p.patient_id = $1 AND d.hash IS NOT NULL
             UNION SELECT 'report', content_hash FROM reported WHERE patient_id = $1",
            &[&id],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// The files of the database's tables and indexes, the catalogue included.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |file: fs::DirEntry| {
        (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap_or_default())
    };
    fs::read_dir(directory).unwrap().map(|file| read(file.unwrap())).collect()
}

/// The file that holds these bytes.
fn holds<'f>(files: &'f [(String, Vec<u8>)], wanted: &[u8]) -> Option<&'f str> {
    let found = files.iter().find(|(_, file)| memchr::memmem::find(file, wanted).is_some());
    found.map(|(name, _)| name.as_str())
}

/// Every row of every table as text.
async fn rows(client: &Client) -> String {
    let tables = client
        .query("SELECT format('%I', relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace", &[])
        .await
        .unwrap();
    let mut text = String::new();
    for table in tables {
        let table: String = table.get(0);
        for row in client.query(&format!("SELECT t::text FROM {table} t"), &[]).await.unwrap() {
            text += row.get(0);
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn after_the_job_no_byte_of_a_deleted_persons_hashes_is_left() {
    let world = World::new().await;
    let store = world.exchange.store();
    for who in [GONE, STAYS] {
        fill(&world, who).await;
    }
    let (gone, stays) = (world.patient(GONE).await, world.patient(STAYS).await);
    leave(&world, GONE).await;
    let client = connect(&world.database.config).await;
    let (of_gone, of_stays) = (marks(&client, gone).await, marks(&client, stays).await);
    let kinds: Vec<&str> = of_gone.iter().map(|(kind, _)| kind.as_str()).collect();
    for kind in [
        "patient id",
        "insurance",
        "branch",
        "card",
        "name",
        "exchange number",
        "prescription id",
        "document",
        "report",
    ] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }

    // Six years on. The one who stays was seen lately; the planner has looked at everybody.
    let later = world.now() + TimeDelta::days(6 * 366);
    client
        .execute("UPDATE prescription SET changed_at = $2 WHERE patient_id = $1", &[&stays, &later])
        .await
        .unwrap();
    client.batch_execute("ANALYZE; CHECKPOINT").await.unwrap();
    let directory = world.database.files(&client).await;
    let before = files(&directory);
    for (kind, bytes) in of_gone.iter().chain(&of_stays) {
        assert!(holds(&before, bytes).is_some(), "the search does not find {kind} before the job");
    }

    let terms = Retention::default().terms();
    let counted = store.retention(&terms, later, true, &|_| {}).await.unwrap();
    assert_eq!(marks(&client, gone).await.len(), of_gone.len(), "a dry run deletes nothing");
    let removed = store.retention(&terms, later, false, &|_| {}).await.unwrap();
    // Patient 19, who died long ago, goes too.
    let rows_of = |removed: &Removed, kind| removed.0.get(kind).copied();
    for (kind, rows) in
        [("patient", 2), ("prescription", 1), ("document", 2), ("card", 4), ("insured_identity", 2)]
    {
        assert_eq!((rows_of(&removed, kind), rows_of(&counted, kind)), (Some(rows), Some(rows)), "{kind}");
    }
    assert!(store.retention(&terms, later, true, &|_| {}).await.unwrap().0.is_empty(), "all at once");

    store.retention_scrub(&|_, _| {}).await.unwrap();
    let text = rows(&client).await;
    let after = files(&directory);
    for (kind, bytes) in &of_gone {
        let found = text.contains(&hex(bytes))
            || text.contains(&uuid::Uuid::from_slice(bytes).map_or_else(|_| hex(bytes), |id| id.to_string()));
        assert!(!found, "{kind} stands in a table");
        if let Some(file) = holds(&after, bytes) {
            let relation = "SELECT relname::text FROM pg_class WHERE pg_relation_filenode(oid)::text = $1";
            let relation = client.query(relation, &[&file.split(['.', '_']).next()]).await.unwrap();
            panic!("{kind} stands in {file}, {:?}", relation.first().map(|row| row.get::<_, String>(0)));
        }
    }
    for (kind, bytes) in &of_stays {
        assert!(holds(&after, bytes).is_some(), "{kind} of the other is gone too");
    }
    assert_eq!(world.patient(STAYS).await, stays);
}

#[tokio::test]
async fn what_is_young_stays_and_who_is_insured_stays() {
    let world = World::new().await;
    let store = world.exchange.store();
    fill(&world, GONE).await;
    let id = world.patient(GONE).await;
    let terms = Retention::default().terms();
    let held = store.holdings(id).await.unwrap();
    store.retention(&terms, world.now() + TimeDelta::days(1000), false, &|_| {}).await.unwrap();
    assert_eq!(store.holdings(id).await.unwrap(), held);

    // Everything of an insured person grows old but the person, and what the person says.
    let later = world.now() + TimeDelta::days(6 * 366);
    store.retention(&terms, later, false, &|_| {}).await.unwrap();
    let kept: Vec<String> = store.holdings(id).await.unwrap().into_iter().map(|held| held.kind).collect();
    let insured = ["card", "consent", "coverage", "insured_identity", "patient", "person_name", "reported"];
    assert_eq!(kept, insured);

    // Who has died goes, whatever the insurance says.
    let today = japanese_date(world.now()) - Days::new(1);
    let (name, born, number) = (crate::world::name(GONE), born(), number(GONE));
    let file = format!(
        "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,\
         card_sha256,deceased_on\n1,{name},,{born},female,06138762,１２３,{number},00,2020-01-01,,,{today}\n"
    );
    store.eligibility_import(&Eligibility::parse(file.as_bytes()).unwrap(), &|_, _| {}).await.unwrap();
    store.retention(&terms, later, false, &|_| {}).await.unwrap();
    assert_eq!(store.holdings(id).await.unwrap(), []);
}

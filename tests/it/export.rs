//! The patient's whole record as one archive: complete, byte for byte, recorded, and for nobody else.

#![expect(clippy::unwrap_used, reason = "an archive that cannot be read fails its tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};

use chrono::{Days, TimeDelta};
use hikikae::clock::japanese_date;
use hikikae::prescription::mandate::{MandateScope, Relationship};
use hikikae::prescription::reported::{Content, Medicine};
use hikikae::store::PatientId;
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::app::App;
use hikikae::store::directory::{Claims, Eligibility, Merge};
use hikikae::store::mandate::Mandate;
use hikikae::store::reported::ReportedKind;
use serde_json::Value;
use zip::ZipArchive;

use crate::door::{Door, answer, code};
use crate::harness::{Database, connect};
use crate::world::{CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, World, born, name, number, request};

async fn exported(door: &Door, token: &str) -> BTreeMap<String, Vec<u8>> {
    let call = door.client.get(format!("{}/fhir/Patient/$export", door.base_url)).bearer_auth(token);
    let response = call.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/zip");
    let bytes = response.bytes().await.unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = BTreeMap::new();
    for place in 0..archive.len() {
        let mut file = archive.by_index(place).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(file.name().unwrap().into_owned(), bytes).is_none());
    }
    files
}

fn json(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Value {
    serde_json::from_slice(&files[path]).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn the_archive_holds_the_whole_record_byte_for_byte() {
    let door = Door::open().await;
    let world = &door.world;
    let rx = world.rx(1);
    let document = world.sign(&rx);
    let request = crate::world::request();
    let task = world.register_as(&rx, document.clone(), &request).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let result = world.dispensing(PHARMACY, &rx, &accepted);
    world.dispense(PHARMACY, &accepted, result.clone()).await.unwrap();
    let waiting = world.register(&Rx { drug: ROSUVASTATIN, ..rx }).await.unwrap().outcome.task;
    world.register(&world.rx(2)).await.unwrap();
    door.decide(1, "medication-history", false, CLINIC).await;

    let token = door.patient_token(1).await;
    let files = exported(&door, &token).await;
    let folder = format!("prescriptions/{}", task.id);
    assert_eq!(files[&format!("{folder}/prescription-1.xml")], document);
    assert_eq!(files[&format!("{folder}/dispensing-1.xml")], result);
    let states = json(&files, &format!("{folder}/states.json"));
    let states: Vec<&str> = states["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["businessStatus"]["coding"][0]["code"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["issued", "accepted", "dispensed"]);
    assert!(files.contains_key(&format!("prescriptions/{}/prescription-1.xml", waiting.id)));
    let folders = files.keys().filter(|path| path.ends_with("states.json")).count();
    assert_eq!(folders, 2, "and nobody else's");
    assert_eq!(json(&files, "patient.json")["entry"][0]["resource"]["name"][0]["text"], name(1));
    assert_eq!(json(&files, "consents.json")["entry"][0]["resource"]["provision"]["type"], "deny");
    let accesses = json(&files, "accesses.json").to_string();
    for act in ["register", "accept", "dispense", "consent-put", "export"] {
        assert!(accesses.contains(&format!("\"code\":\"{act}\"")), "{act}");
    }
    let readme = String::from_utf8(files["README.txt"].clone()).unwrap();
    for path in files.keys().filter(|path| !path.contains('/') && *path != "README.txt") {
        assert!(readme.contains(path.as_str()), "{path} is not explained");
    }
    assert_eq!(world.recorded(1).await.iter().filter(|row| row.act == "export").count(), 1);
}

#[tokio::test]
async fn nobody_else_takes_the_archive() {
    let door = Door::open().await;
    for token in [door.token(CLINIC).await, door.staffed(PHARMACY).await] {
        let call = door.client.get(format!("{}/fhir/Patient/$export", door.base_url)).bearer_auth(token);
        let (status, body) = answer(call).await;
        assert_eq!((status.as_u16(), code(&body)), (403, "not-permitted"));
    }
}

/// Whose record it is, another record of the same person, and somebody it was merged with by mistake.
const PATIENT: u32 = 1;
const MERGED: u32 = 2;
const STRANGER: u32 = 3;

/// A patient's life here: two insurers, a check that led to nothing, everything decided once for good and once not.
async fn lived(door: &Door) -> Vec<PatientId> {
    let world = &door.world;
    let store = world.exchange.store();
    let ids = [world.patient(PATIENT).await, world.patient(MERGED).await, world.patient(STRANGER).await];
    let merge = |merged| Merge { kept: ids[0], merged, evidence: "見本".to_owned() };
    store.patients_merge(&merge(ids[2]), world.now()).await.unwrap();
    store.patients_unmerge(&merge(ids[2]), world.now()).await.unwrap();

    let rx = world.rx(PATIENT);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, PATIENT, &task).await.unwrap().outcome;
    world.dispense(PHARMACY, &accepted, world.dispensing(PHARMACY, &rx, &accepted)).await.unwrap();
    world.register(&Rx { drug: ROSUVASTATIN, ..world.rx(MERGED) }).await.unwrap();
    let checked = Rx { clinic: OTHER_CLINIC, ..rx }.sj1();
    assert_eq!(door.check(OTHER_CLINIC, checked, false).await.0, 200);

    let withdrawn = door.decide(PATIENT, "medication-history", true, CLINIC).await;
    assert_eq!(door.withdraw(PATIENT, &withdrawn).await, 204);
    door.decide(PATIENT, "medication-history", true, CLINIC).await;
    door.decide(MERGED, "medication-history", false, OTHER_CLINIC).await;
    door.decide(MERGED, "medication-history", true, CLINIC).await;
    mandates(world, ids[0], ids[2]).await;
    grants(world, ids[0]).await;
    reports(world, ids[1]).await;
    insurers(world).await;
    store.patients_merge(&merge(ids[1]), world.now()).await.unwrap();
    ids[..2].to_vec()
}

/// One given and ended, one held.
async fn mandates(world: &World, patient: PatientId, other: PatientId) {
    let store = world.exchange.store();
    let trace = || Trace { request: request().id, content: TraceContent::of_operator(None) };
    let mut ids = Vec::new();
    for (patient, representative) in [(patient, other), (other, patient)] {
        let mandate = Mandate {
            id: store.uuid_draw().unwrap(),
            patient,
            representative,
            relationship: Relationship::Family,
            scope: MandateScope::Read,
            granted_at: world.now(),
            until: world.now() + TimeDelta::days(30),
        };
        store.mandate_insert(&mandate, Some("見本"), &trace()).await.unwrap();
        ids.push(mandate.id);
    }
    let later = world.now() + TimeDelta::milliseconds(1);
    store.mandate_end(ids[0], &[patient], later, &trace()).await.unwrap().unwrap();
}

/// An app's access, and one that ended.
async fn grants(world: &World, patient: PatientId) {
    let store = world.exchange.store();
    let app = App {
        client_id: "app".to_owned(),
        name: "見本アプリ".to_owned(),
        redirect_uris: vec!["https://app.example/callback".to_owned()],
        active: true,
    };
    store.app_put(&app).await.unwrap();
    let bucket = store.buckets().of_patient(patient);
    let client = connect(&world.database.config).await;
    for revoked in [None, Some(world.now())] {
        let (id, now) = (store.uuid_draw().unwrap(), world.now());
        let until = now + TimeDelta::days(9);
        client
            .execute(
                "INSERT INTO app_grant (bucket, id, patient_id, client_id, scope, redirect_uri, code_challenge, secret_kind,
                                        secret_until, granted_at, until, revoked_at, updated_by)
                 VALUES ($1, $2, $3, 'app', 'patient/*.read', 'https://app.example/callback', '', 'code', $4, $4, $5, $6,
                         'test')",
                &[&bucket, &id, &patient, &now, &until, &revoked],
            )
            .await
            .unwrap();
    }
}

/// A medicine by the person's own account, and a claim.
async fn reports(world: &World, patient: PatientId) {
    let medicine = Medicine {
        name: "市販の風邪薬".to_owned(),
        code: None,
        ingredients: Vec::new(),
        from: None,
        until: None,
        note: None,
    };
    let contents = vec![Content::Medicine(medicine)];
    let own = world.patient_caller(MERGED).await;
    assert_eq!(own.patient(), Some(patient));
    world.exchange.reported_record(&own, None, ReportedKind::Medicine, contents, &request()).await.unwrap();
    let file = format!(
        "month,code,name,quantity,institution,insurer_number,symbol,number,branch_number,birth_date\n\
         {},612170710,,28,1311234567,06138762,１２３,{},00,{}\n",
        (japanese_date(world.now()) - Days::new(40)).format("%Y-%m"),
        number(MERGED),
        born()
    );
    let claims = Claims::parse(file.as_bytes()).unwrap();
    world.exchange.store().claims_import(&claims, world.now(), &|_, _| {}).await.unwrap();
}

/// The patient's insurance ended yesterday, another begins today.
async fn insurers(world: &World) {
    let (today, name, born, number) = (japanese_date(world.now()), name(PATIENT), born(), number(PATIENT));
    let yesterday = today - Days::new(1);
    let person = format!("{PATIENT},{name},,{born},female");
    let file = format!(
        "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,\
         card_sha256,deceased_on\n{person},06138762,１２３,{number},00,2020-01-01,{yesterday},,\n\
         {person},39131156,,00012345,,{today},,,\n"
    );
    let file = Eligibility::parse(file.as_bytes()).unwrap();
    world.exchange.store().eligibility_import(&file, &|_, _| {}).await.unwrap();
}

/// How many rows the archive has of each table.
fn told(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&'static str, usize> {
    let resources = |path: &str| -> Vec<Value> {
        let bundle = json(files, path);
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| entry["resource"].clone()).collect()
    };
    let rows = |path: &str| json(files, path).as_array().unwrap().len();
    let persons = resources("patient.json");
    let of_type = |wanted: &str| persons.iter().filter(|person| person["resourceType"] == wanted).count();
    let directory = json(files, "directory.json");
    let in_folders = |file: &str| {
        let path = move |path: &&String| path.starts_with("prescriptions/") && path.contains(file);
        files.keys().filter(path).collect::<Vec<_>>()
    };
    let of_checks: usize =
        files.keys().filter(|path| path.ends_with("findings.json")).map(|path| rows(path)).sum();
    let versions = in_folders("/states.json").into_iter().map(|path| resources(path).len()).sum();
    BTreeMap::from([
        ("patient", of_type("Patient")),
        ("coverage", of_type("Coverage")),
        ("card", directory["cards"].as_array().unwrap().len()),
        ("patient_merge", directory["merges"].as_array().unwrap().len()),
        ("prescription", in_folders("/states.json").len()),
        ("prescription_version", versions),
        ("document", in_folders("/prescription-").len() + in_folders("/dispensing-").len()),
        ("finding", of_checks),
        ("medication", rows("history.json")),
        ("reported", resources("reported.json").len() + rows("claims.json")),
        ("consent", resources("consents.json").len()),
        ("mandate", resources("mandates.json").len()),
        ("app_grant", rows("apps.json")),
        ("access_record", resources("accesses.json").len()),
    ])
}

#[tokio::test]
async fn every_row_of_a_person_is_in_the_archive() {
    let door = Door::open().await;
    let records = lived(&door).await;
    let files = exported(&door, &door.patient_token(PATIENT).await).await;
    let told = told(&files);
    let client = connect(&door.world.database.config).await;
    for (table, rows) in &told {
        let whose = match *table {
            "patient" => "id = ANY ($1)",
            "document" => "prescription_id IN (SELECT id FROM prescription WHERE patient_id = ANY ($1))",
            "mandate" => "patient_id = ANY ($1) OR representative_id = ANY ($1)",
            // What came with the merge is a copy.
            "reported" => "patient_id = ANY ($1) AND merged_from IS NULL",
            // The look at the access record itself comes after what it reads.
            "access_record" => "patient_id = ANY ($1) AND act <> 'access-record'",
            _ => "patient_id = ANY ($1)",
        };
        let sql = format!("SELECT count(*) FROM {table} WHERE {whose}");
        let kept: i64 = client.query_one(&sql, &[&records]).await.unwrap().get(0);
        assert!(kept > 0, "this life leaves something in {table}");
        assert_eq!(i64::try_from(*rows).unwrap(), kept, "{table}");
    }
    let paths: BTreeSet<_> = accounted().into_iter().filter(|(_, place)| !place.starts_with("no:")).collect();
    let named: BTreeSet<&str> = paths.iter().map(|(table, _)| table.as_str()).collect();
    assert_eq!(named, told.keys().copied().collect(), "what the contract says is there was counted");

    // What has ended says so, and what was given to the other record opens nothing.
    let of = |path: &str, member: &str| -> Vec<String> {
        let bundle = json(&files, path);
        bundle["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["resource"][member].to_string())
            .collect()
    };
    let mut consents = of("consents.json", "status");
    consents.sort();
    assert_eq!(consents.iter().filter(|status| *status == "\"active\"").count(), 3, "{consents:?}");
    assert_eq!(of("mandates.json", "active"), ["false", "true"]);
    let insurances = of("patient.json", "status");
    let ended = insurances.iter().filter(|status| *status == "\"cancelled\"").count();
    assert_eq!(ended, 1, "the one that ended: {insurances:?}");
    let apps = json(&files, "apps.json");
    let apps: Vec<&Value> = apps.as_array().unwrap().iter().map(|app| &app["in_force"]).collect();
    assert!(apps.contains(&&Value::Bool(true)) && apps.contains(&&Value::Bool(false)), "{apps:?}");
    let check = json(&files, "findings.json");
    assert_eq!(check[0]["facility"], OTHER_CLINIC, "{check}");
    let stranger = door.world.patient(STRANGER).await.to_string();
    assert!(!String::from_utf8(files["directory.json"].clone()).unwrap().contains(&stranger));
}

/// The tables that the contract accounts for, each with what it says of it.
fn accounted() -> Vec<(String, String)> {
    let contract = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/contract.md")).unwrap();
    let (_, section) = contract.split_once("### `$export`").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[1].split(", ").map(|name| name.trim_matches('`')).collect();
        names.into_iter().map(|name| (name.to_owned(), cells[2].to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

#[tokio::test]
async fn every_table_is_accounted_for() {
    let database = Database::migrated().await;
    let rows = connect(&database.config)
        .await
        .query(
            "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut named: Vec<String> = accounted().into_iter().map(|(table, _)| table).collect();
    named.sort();
    assert_eq!(named, tables, "each table once: in the archive, or why not");
}

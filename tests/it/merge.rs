//! Two records of one person: what a merge joins, what its undo parts again, and what ends with a person.

#![expect(clippy::unwrap_used, reason = "a merge that fails fails its tests")]

use chrono::{DateTime, Days, Utc};
use hikikae::clock::japanese_date;
use hikikae::exchange::caller::{Actor, Caller};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::read::Search;
use hikikae::prescription::consent::{ConsentKind, Decision};
use hikikae::prescription::mitigation::ManagementCode;
use hikikae::prescription::reported::{Content, Medicine};
use hikikae::store::PatientId;
use hikikae::store::directory::{Eligibility, Merge, MergeError};
use hikikae::store::holding::Holding;
use hikikae::store::migration::MIGRATIONS;
use hikikae::store::reported::ReportedKind;
use hikikae::store::seal::Lookup;
use uuid::Uuid;

use crate::door::{Door, answer};
use crate::harness::connect;
use crate::world::{
    CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, World, born, caller, name, number, request,
};

/// The record that goes on and the one whose place it takes. Both have a card.
const KEPT: u32 = 1;
const MERGED: u32 = 2;

async fn merge(world: &World) -> Merge {
    let (kept, merged) = (world.patient(KEPT).await, world.patient(MERGED).await);
    let merge = Merge { kept, merged, evidence: "住民票により同一人".to_owned() };
    world.exchange.store().patients_merge(&merge, world.now()).await.unwrap();
    merge
}

async fn unmerge(world: &World, merge: &Merge) {
    let evidence = "別人と判明".to_owned();
    let merge = Merge { evidence, ..merge.clone() };
    world.exchange.store().patients_unmerge(&merge, world.now()).await.unwrap();
}

fn patient(id: PatientId) -> Caller {
    let actor = Actor::Patient { id: *id.as_uuid(), name: name(KEPT) };
    Caller::of(actor)
}

async fn listed(world: &World, id: PatientId) -> Vec<Uuid> {
    let search = Search { count: 100, ..Search::default() };
    let page = world.exchange.task_search(&patient(id), &search, &request()).await.unwrap();
    page.tasks.into_iter().map(|task| task.task.id).collect()
}

async fn reported(world: &World, id: PatientId) -> Vec<String> {
    let kind = ReportedKind::Medicine;
    let entries = world.exchange.reported_list(&patient(id), None, kind, &request()).await.unwrap();
    entries
        .into_iter()
        .map(|entry| match entry.content {
            Content::Medicine(medicine) => medicine.name,
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn report(world: &World, id: PatientId, name: &str) {
    let contents = vec![medicine(name)];
    let kind = ReportedKind::Medicine;
    world.exchange.reported_record(&patient(id), None, kind, contents, &request()).await.unwrap();
}

fn medicine(name: &str) -> Content {
    Content::Medicine(Medicine {
        name: name.to_owned(),
        code: None,
        ingredients: Vec::new(),
        from: None,
        until: None,
        note: None,
    })
}

async fn decide(world: &World, id: PatientId, permit: bool) {
    let facility = Some(PHARMACY.parse().unwrap());
    let decision = Decision { kind: ConsentKind::MedicationHistory, permit, facility, until: None };
    world.exchange.consent_put(&patient(id), &decision, &request()).await.unwrap();
}

async fn in_force(world: &World, id: PatientId) -> Vec<bool> {
    let rows = world.exchange.consent_list(&patient(id), &request()).await.unwrap();
    rows.into_iter().map(|row| row.provision.permit).collect()
}

async fn version(world: &World, id: PatientId) -> i64 {
    let since = japanese_date(world.now()) - Days::new(100);
    world.exchange.store().history_read(id, since, world.now()).await.unwrap().version
}

#[tokio::test]
async fn a_merged_record_is_found_read_and_acted_on_as_the_persons_own() {
    let world = World::new().await;
    let own = world.register(&world.rx(KEPT)).await.unwrap().outcome.task;
    let theirs_rx = Rx { drug: ROSUVASTATIN, clinic: OTHER_CLINIC, ..world.rx(MERGED) };
    let theirs = world.register(&theirs_rx).await.unwrap().outcome.task;
    let Merge { kept, merged, .. } = merge(&world).await;

    assert_eq!(world.patient(MERGED).await, kept, "by the other number too");
    assert_eq!(listed(&world, kept).await, [own.id, theirs.id]);

    // Accepted by its number and dispensed by its insurance data; the person's version is raised (invariant 6).
    let accepted = world.accept(PHARMACY, MERGED, &theirs).await.unwrap().outcome;
    let before = version(&world, kept).await;
    let document = world.dispensing(PHARMACY, &theirs_rx, &accepted);
    world.dispense(PHARMACY, &accepted, document).await.unwrap();
    assert_eq!(version(&world, kept).await, before + 1);
    assert_eq!(version(&world, merged).await, before + 1, "one version for both records");

    // A third prescription of what either record holds is found to be a duplicate.
    let again = Rx { drug: ROSUVASTATIN, chart: 7, ..world.rx(KEPT) };
    let refused = world.register(&again).await.unwrap_err();
    let ExchangeError::CheckUnresolved(findings, _) = refused else { panic!("{refused}") };
    assert_eq!(findings.len(), 1);
    let again = Rx { chart: 8, clinic: OTHER_CLINIC, ..world.rx(MERGED) };
    let refused = world.register(&again).await.unwrap_err();
    let ExchangeError::CheckUnresolved(findings, _) = refused else { panic!("{refused}") };
    assert_eq!(findings.len(), 1);

    // What is registered by the other number now is the person's.
    let reason = ManagementCode::try_from("8".to_owned()).unwrap();
    for finding in &findings {
        let clinic = caller(OTHER_CLINIC);
        world.exchange.mitigate(&clinic, finding.id, reason.clone(), None, &request()).await.unwrap();
    }
    let new = world.register(&again).await.unwrap().outcome.task;
    assert!(listed(&world, kept).await.contains(&new.id));
}

#[tokio::test]
async fn registrations_by_both_numbers_in_the_same_moment_cannot_both_pass_unseen() {
    let world = World::new().await;
    let Merge { kept, .. } = merge(&world).await;
    let (one, other) = (world.rx(KEPT), Rx { clinic: OTHER_CLINIC, ..world.rx(MERGED) });
    let (one, other) = tokio::join!(world.register(&one), world.register(&other));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    let refused = one.err().or(other.err()).unwrap();
    assert!(matches!(refused, ExchangeError::CheckUnresolved(..)), "{refused}");
    assert_eq!(listed(&world, kept).await.len(), 1);
}

#[tokio::test]
async fn refusals_and_reports_of_either_hold_and_consents_to_one_open_nothing() {
    let world = World::new().await;
    let merged = world.patient(MERGED).await;
    report(&world, merged, "市販の風邪薬").await;
    decide(&world, merged, true).await;
    let Merge { kept, .. } = merge(&world).await;
    assert_eq!(in_force(&world, kept).await, [] as [bool; 0], "a consent was not given for both");
    assert_eq!(reported(&world, kept).await, ["市販の風邪薬"]);

    let world = World::new().await;
    let merged = world.patient(MERGED).await;
    decide(&world, merged, false).await;
    decide(&world, world.patient(KEPT).await, true).await;
    let Merge { kept, .. } = merge(&world).await;
    let mut held = in_force(&world, kept).await;
    held.sort_unstable();
    assert_eq!(held, [false, true], "the refusal stands before the consent");
}

/// What knows an entry again, of every entry.
async fn content_hashes(client: &tokio_postgres::Client) -> Vec<Vec<u8>> {
    let rows = client.query("SELECT content_hash FROM reported ORDER BY 1", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn equal_reports_of_two_persons_do_not_look_equal_and_one_after_a_merge() {
    let world = World::new().await;
    let client = connect(&world.database.config).await;
    for who in [KEPT, MERGED, KEPT] {
        report(&world, world.patient(who).await, "市販の風邪薬").await;
    }
    let hashes = content_hashes(&client).await;
    assert!(hashes.len() == 2 && hashes[0] != hashes[1], "one each, and not the same");
    report(&world, world.patient(MERGED).await, "整腸薬").await;
    let Merge { kept, .. } = merge(&world).await;
    let mut told = reported(&world, kept).await;
    told.sort();
    assert_eq!(told, ["市販の風邪薬", "整腸薬"], "what both said is said once");
    report(&world, kept, "整腸薬").await;
    assert_eq!(reported(&world, kept).await.len(), 2, "and what came with the merge is known");
}

#[tokio::test]
async fn reports_from_before_they_were_bound_to_their_patient_are_still_known() {
    let world = World::new().await;
    let client = connect(&world.database.config).await;
    let own = world.patient(KEPT).await;
    report(&world, own, "市販の風邪薬").await;
    let bound = content_hashes(&client).await;
    // As it was before migration 17: whose it is was not in it.
    let content = serde_json::to_vec(&medicine("市販の風邪薬")).unwrap();
    let unbound = Lookup::new(&world.database.keys).hash("reported", &[b"".as_slice(), &content]).to_vec();
    client.execute("UPDATE reported SET content_hash = $1", &[&unbound]).await.unwrap();
    let binding = MIGRATIONS.iter().find(|migration| migration.name == "reported_bound").unwrap();
    client.batch_execute(binding.sql).await.unwrap();
    assert_eq!(content_hashes(&client).await, bound);
    report(&world, own, "市販の風邪薬").await;
    assert_eq!(reported(&world, own).await, ["市販の風邪薬"]);
}

#[tokio::test]
async fn an_undo_parts_them_as_they_were() {
    let world = World::new().await;
    let store = world.exchange.store();
    let theirs = world.register(&world.rx(MERGED)).await.unwrap().outcome.task;
    let merged = world.patient(MERGED).await;
    report(&world, merged, "市販の風邪薬").await;
    decide(&world, merged, false).await;
    let shape = |holdings: Vec<Holding>| -> Vec<(String, i64)> {
        // Looking leaves records of its own.
        let kept = holdings.into_iter().filter(|holding| holding.kind != "access_record");
        kept.map(|holding| (holding.kind, holding.rows)).collect()
    };
    let before = shape(store.holdings(merged).await.unwrap());
    let merge = merge(&world).await;
    let kept = merge.kept;

    // In between: a file ends the other's insurance, the person reports and consents, a clinic registers.
    let today = japanese_date(world.now());
    let header = "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,\
                  valid_until,card_sha256,deceased_on";
    let (name, born, number) = (name(MERGED), born(), number(MERGED));
    let file =
        format!("{header}\n2,{name},,{born},female,06138762,１２３,{number},00,2020-01-01,{today},,\n");
    store.eligibility_import(&Eligibility::parse(file.as_bytes()).unwrap(), &|_, _| {}).await.unwrap();
    report(&world, kept, "整腸薬").await;
    decide(&world, kept, true).await;
    let registered = world.register(&Rx { drug: ROSUVASTATIN, ..world.rx(KEPT) }).await.unwrap().outcome.task;
    assert_eq!(store.prescriptions_since_merge(kept, merged).await.unwrap(), 1);

    unmerge(&world, &merge).await;
    assert_eq!(world.patient(MERGED).await, merged);
    assert_eq!(shape(store.holdings(merged).await.unwrap()), before, "nothing more and nothing less");
    let entry = store.patient_find(merged, today).await.unwrap().unwrap();
    assert_eq!(entry.coverage.unwrap().valid_until, Some(today), "what the file said of it came back");
    assert_eq!(listed(&world, merged).await, [theirs.id]);
    assert_eq!(reported(&world, merged).await, ["市販の風邪薬"]);
    assert_eq!(in_force(&world, merged).await, [false]);
    assert_eq!(listed(&world, kept).await, [registered.id], "what came since stays");
    assert_eq!(reported(&world, kept).await, ["整腸薬"]);
    assert_eq!(in_force(&world, kept).await, [] as [bool; 0], "the other may have given it");

    for (patient, acts) in
        [(KEPT, ["merge-patients", "unmerge-patients"]), (MERGED, ["merge-patients", "unmerge-patients"])]
    {
        let recorded = world.recorded(patient).await;
        let told: Vec<_> = recorded.iter().filter(|row| acts.contains(&row.act.as_str())).collect();
        assert_eq!(told.iter().map(|row| row.act.as_str()).collect::<Vec<_>>(), acts);
        assert_eq!(told[1].content.reason.as_deref(), Some("別人と判明"));
    }
}

#[tokio::test]
async fn one_merge_at_a_time_of_records_that_are_there() {
    let world = World::new().await;
    let store = world.exchange.store();
    let merged = merge(&world).await;
    let third = world.patient(3).await;
    let nobody = PatientId::from_uuid(Uuid::nil());
    let of = |kept, merged| Merge { kept, merged, evidence: "x".to_owned() };
    for (pair, fits) in [
        (
            of(merged.kept, merged.kept),
            (|error| matches!(error, MergeError::Same)) as fn(&MergeError) -> bool,
        ),
        (of(third, merged.merged), |error| matches!(error, MergeError::Merged(_))),
        (of(third, merged.kept), |error| matches!(error, MergeError::Merged(_))),
        (of(merged.merged, third), |error| matches!(error, MergeError::Merged(_))),
        (of(third, nobody), |error| matches!(error, MergeError::Unknown(_))),
    ] {
        let refused = store.patients_merge(&pair, world.now()).await.unwrap_err();
        assert!(fits(&refused), "{refused}");
    }
    let refused = store.patients_unmerge(&of(merged.kept, third), world.now()).await.unwrap_err();
    assert!(matches!(refused, MergeError::NotMerged(..)), "{refused}");
    store.patients_merge(&of(merged.kept, third), world.now()).await.unwrap();
    let records = store.person_records(merged.kept).await.unwrap();
    assert_eq!(records, [merged.kept, merged.merged, third]);
}

/// Whether an access token, and an identity token of the pharmacy's, still serve.
async fn serve(door: &Door, token: &str, identity: &str) -> (bool, bool) {
    let call = door.client.get(format!("{}/fhir/Task", door.base_url)).bearer_auth(token);
    let as_patient = answer(call).await.0 == 200;
    let call = door.client.get(format!("{}/fhir/AllergyIntolerance", door.base_url));
    let call = call.bearer_auth(door.staffed(PHARMACY).await).header("Identity-Token", identity);
    (as_patient, answer(call).await.0 == 200)
}

#[tokio::test]
async fn tokens_end_with_the_record_they_were_for() {
    let door = Door::open().await;
    let token = door.patient_token(MERGED).await;
    let identity = door.by_card(PHARMACY, MERGED, &["medication-history"]).await;
    assert_eq!(serve(&door, &token, &identity).await, (true, true));
    let merge = merge(&door.world).await;
    assert_eq!(serve(&door, &token, &identity).await, (false, false), "of the merged record, at once");

    // The other card is the person's now, until the merge turns out to be wrong.
    let token = door.patient_token(MERGED).await;
    let identity = door.by_card(PHARMACY, MERGED, &["medication-history"]).await;
    assert_eq!(serve(&door, &token, &identity).await, (true, true));
    unmerge(&door.world, &merge).await;
    assert_eq!(serve(&door, &token, &identity).await, (false, false), "the other person's, on this record");
}

#[tokio::test]
async fn a_death_ends_consents_and_tokens_and_what_is_under_way_goes_on() {
    let door = Door::open().await;
    let world = &door.world;
    let (rx, id) = (world.rx(1), world.patient(1).await);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let waiting = world.register(&Rx { drug: ROSUVASTATIN, ..rx.clone() }).await.unwrap().outcome.task;
    decide(world, id, true).await;
    let token = door.patient_token(1).await;
    let identity = door.by_card(PHARMACY, 1, &["medication-history"]).await;

    let died: DateTime<Utc> = world.now();
    let today = japanese_date(died);
    let header = "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,\
                  valid_until,card_sha256,deceased_on";
    let (name, born, number) = (name(1), born(), number(1));
    let file =
        format!("{header}\n1,{name},,{born},female,06138762,１２３,{number},00,2020-01-01,,,{today}\n");
    let file = Eligibility::parse(file.as_bytes()).unwrap();
    world.exchange.store().eligibility_import(&file, &|_, _| {}).await.unwrap();

    assert_eq!(serve(&door, &token, &identity).await, (false, false));
    assert_eq!(in_force(world, id).await, [] as [bool; 0]);
    let refused = world.register(&Rx { chart: 9, ..rx.clone() }).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::IdentityNotVerified), "{refused}");
    // What was accepted is dispensed, what waits is cancelled by its clinic.
    let document = world.dispensing(PHARMACY, &rx, &accepted);
    world.dispense(PHARMACY, &accepted, document).await.unwrap();
    let waiting = hikikae::store::PrescriptionId::from_uuid(waiting.id);
    world.exchange.cancel(&caller(CLINIC), waiting, "死亡".to_owned(), &request()).await.unwrap();
}

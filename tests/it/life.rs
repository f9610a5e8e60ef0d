//! The life of prescriptions: races, leases, periods, retries, and what is left at rest.

use chrono::{Days, TimeDelta};
use futures_util::future::join_all;
use hikikae::exchange::accept::Wanted;
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::{Search, Which};
use hikikae::exchange::register::Sent;
use hikikae::prescription::mitigation::ManagementCode;
use hikikae::prescription::state::{Kind, Refusal, Shown};
use hikikae::store::PrescriptionId;
use hikikae::store::finding::FindingRow;

use crate::harness;
use crate::world::{
    AMLODIPINE, CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, ROSUVASTATIN, World, caller, name, number,
    request, request_with_key,
};

fn refusal<T>(result: &Result<T, ExchangeError>) -> Option<Refusal> {
    match result {
        Err(ExchangeError::Refused(refusal)) => Some(*refusal),
        _ => None,
    }
}

#[tokio::test]
async fn the_main_job() {
    let world = World::new().await;
    let rx = world.rx(1);
    let document = world.sign(&rx);
    let task = world.register_as(&rx, document.clone(), &request()).await.unwrap().outcome.task;
    let id = PrescriptionId::from_uuid(task.id);

    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    assert!(accepted.verification.as_ref().unwrap().is_valid());
    let again = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    assert_eq!(again.delivered, accepted.delivered);
    assert_eq!(again.task.task, accepted.task.task);
    assert_eq!(refusal(&world.accept(OTHER_PHARMACY, 1, &task).await), Some(Refusal::HeldByPharmacy));

    let result = world.dispensing(PHARMACY, &rx, &accepted);
    let dispensed = world.dispense(PHARMACY, &accepted, result.clone()).await.unwrap().outcome;
    assert_eq!(dispensed.task.life.shown(world.now()), Shown::Dispensed);
    assert_eq!(
        refusal(&world.dispense(PHARMACY, &accepted, result.clone()).await),
        Some(Refusal::AlreadyDispensed)
    );

    // Invariant 1: both originals come back byte for byte, to both sides.
    for reader in [CLINIC, PHARMACY] {
        let prescription = world
            .exchange
            .document(&caller(reader), id, Which::Prescription(None), &request())
            .await
            .unwrap();
        assert_eq!(prescription.bytes, document);
        let dispensing = world
            .exchange
            .document(&caller(reader), id, Which::Dispensing(Some(1)), &request())
            .await
            .unwrap();
        assert_eq!(dispensing.bytes, result);
    }
    let stranger =
        world.exchange.document(&caller(OTHER_CLINIC), id, Which::Prescription(None), &request()).await;
    assert!(matches!(stranger, Err(ExchangeError::NotFound)));
}

/// Invariant 4.
#[tokio::test]
async fn of_two_dozen_pharmacies_one_wins() {
    let world = World::new().await;
    let task = world.register(&world.rx(1)).await.unwrap().outcome.task;
    let pharmacies = (0..24).map(|n| if n % 2 == 0 { PHARMACY } else { OTHER_PHARMACY });
    let outcomes = join_all(pharmacies.map(|pharmacy| {
        let (world, task) = (&world, &task);
        async move { (pharmacy, world.accept(pharmacy, 1, task).await) }
    }))
    .await;
    let winners: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(pharmacy, _)| *pharmacy).collect();
    assert_eq!(winners.len(), 12, "all calls of the winner are answered alike");
    assert!(winners.iter().all(|winner| *winner == winners[0]), "and one pharmacy wins");
    for (_, outcome) in outcomes {
        if let Err(error) = outcome {
            assert!(matches!(error, ExchangeError::Refused(Refusal::HeldByPharmacy)), "{error}");
        }
    }
}

#[tokio::test]
async fn cancel_racing_accept_has_one_outcome() {
    let world = World::new().await;
    for patient in 1..9 {
        let task = world.register(&world.rx(patient)).await.unwrap().outcome.task;
        let id = PrescriptionId::from_uuid(task.id);
        let (clinic, request) = (caller(CLINIC), request());
        let (cancelled, accepted) = tokio::join!(
            world.exchange.cancel(&clinic, id, "entered by mistake".to_owned(), &request),
            world.accept(PHARMACY, patient, &task),
        );
        match (cancelled, accepted) {
            (Ok(_), Err(ExchangeError::Refused(Refusal::Cancelled)))
            | (Err(ExchangeError::Refused(Refusal::HeldByPharmacy)), Ok(_)) => {}
            (cancelled, accepted) => panic!("{:?} {:?}", cancelled.map(drop), accepted.map(drop)),
        }
    }
}

/// Invariant 3.
#[tokio::test]
async fn twelve_retries_make_one_prescription() {
    let world = World::new().await;
    let rx = world.rx(1);
    let document = world.sign(&rx);
    let retries = join_all((0..12).map(|_| {
        let (world, rx, document) = (&world, &rx, document.clone());
        async move { world.register_as(rx, document, &request_with_key("one", 1)).await.unwrap() }
    }))
    .await;
    assert!(retries.iter().all(|answer| answer.outcome.task == retries[0].outcome.task));
    assert_eq!(retries.iter().filter(|answer| !answer.replayed).count(), 1);

    let other = world.register_as(&rx, document.clone(), &request_with_key("one", 2)).await;
    assert!(matches!(other, Err(ExchangeError::IdempotencyKeyReused)));
    let keyless = world.register_as(&rx, document, &request()).await;
    assert!(matches!(keyless, Err(ExchangeError::DuplicateDocument)));
}

/// Invariant 6.
#[tokio::test]
async fn two_clinics_in_the_same_moment_cannot_both_pass_unseen() {
    let world = World::new().await;
    for patient in 1..7 {
        let first = world.rx(patient);
        let second = crate::world::Rx { clinic: OTHER_CLINIC, ..first.clone() };
        let (one, two) = tokio::join!(world.register(&first), world.register(&second));
        let unresolved = [one, two]
            .into_iter()
            .filter(|outcome| matches!(outcome, Err(ExchangeError::CheckUnresolved(_, _))))
            .count();
        assert_eq!(unresolved, 1);
    }
}

#[tokio::test]
async fn a_reason_lets_a_finding_pass_and_is_shown_to_the_next_reader() {
    let world = World::new().await;
    world.register(&world.rx(1)).await.unwrap();
    let rx = crate::world::Rx { clinic: OTHER_CLINIC, ..world.rx(1) };
    let document = world.sign(&rx);
    let Err(ExchangeError::CheckUnresolved(findings, _)) =
        world.register_as(&rx, document.clone(), &request_with_key("k", 1)).await
    else {
        panic!("the duplicate was not found");
    };
    let [FindingRow { id: finding, .. }] = findings.as_slice() else { panic!("one finding") };
    let code = ManagementCode::try_from("1".to_owned()).unwrap();
    let mitigate = |by, code: &str| {
        let (world, code) = (&world, ManagementCode::try_from(code.to_owned()).unwrap());
        async move {
            let comment = Some("changed over slowly".to_owned());
            world.exchange.mitigate(&caller(by), *finding, code, comment, &request()).await
        }
    };
    assert!(
        matches!(mitigate(CLINIC, "1").await, Err(ExchangeError::NotFound)),
        "shown to the other clinic only"
    );
    mitigate(OTHER_CLINIC, "1").await.unwrap();
    let task = world.register_as(&rx, document, &request_with_key("k", 1)).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let [row] = accepted.findings.as_slice() else { panic!("one finding") };
    assert_eq!(row.mitigation.as_ref().unwrap().code, code);
    mitigate(OTHER_CLINIC, "1").await.unwrap();
    let other = mitigate(OTHER_CLINIC, "2").await;
    assert!(matches!(other, Err(ExchangeError::FindingAnswered)), "the reason stands once it is registered");

    let other = crate::world::Rx { drug: ROSUVASTATIN, ..rx };
    world.register(&other).await.unwrap();
}

#[tokio::test]
async fn a_lease_falls_back_and_the_use_period_ends() {
    let world = World::new().await;
    let task = world.register(&world.rx(1)).await.unwrap().outcome.task;
    let id = PrescriptionId::from_uuid(task.id);
    world.accept(PHARMACY, 1, &task).await.unwrap();
    world.clock.advance(TimeDelta::days(6));
    world.exchange.renew(&caller(PHARMACY), id, &request()).await.unwrap();
    world.clock.advance(TimeDelta::days(6));
    let held = world.exchange.task_read(&caller(CLINIC), id, &request()).await.unwrap();
    assert_eq!(held.task.life.shown(world.now()), Shown::Accepted);
    world.clock.advance(TimeDelta::days(1));
    let expired = world.exchange.task_read(&caller(CLINIC), id, &request()).await.unwrap();
    assert_eq!(expired.task.life.shown(world.now()), Shown::Expired);
    assert_eq!(refusal(&world.accept(OTHER_PHARMACY, 1, &task).await), Some(Refusal::Expired));
    assert_eq!(
        refusal(&world.exchange.renew(&caller(PHARMACY), id, &request()).await),
        Some(Refusal::NotHeld)
    );
    // Nobody holds it, so it is no longer compared with.
    world.register(&crate::world::Rx { clinic: OTHER_CLINIC, ..world.rx(1) }).await.unwrap();
}

#[tokio::test]
async fn a_returned_prescription_is_accepted_elsewhere() {
    let world = World::new().await;
    let rx = world.rx(1);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let id = PrescriptionId::from_uuid(task.id);
    let held = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    world.exchange.give_back(&caller(PHARMACY), id, "out of stock".to_owned(), &request()).await.unwrap();
    let result = world.dispensing(PHARMACY, &rx, &held);
    assert!(matches!(
        world.dispense(PHARMACY, &held, result).await,
        Err(ExchangeError::NotFound | ExchangeError::Refused(Refusal::NotHeld))
    ));
    let held = world.accept(OTHER_PHARMACY, 1, &task).await.unwrap().outcome;
    let result = world.dispensing(OTHER_PHARMACY, &rx, &held);
    world.dispense(OTHER_PHARMACY, &held, result).await.unwrap();
}

#[tokio::test]
async fn a_refill_waits_for_its_next_use() {
    let world = World::new().await;
    let rx = crate::world::Rx { refill: Some(2), ..world.rx(1) };
    let task = world.register(&rx).await.unwrap().outcome.task;
    let held = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let result = world.dispensing(PHARMACY, &rx, &held);
    let first = world.dispense(PHARMACY, &held, result).await.unwrap().outcome.task;
    assert_eq!(first.life.shown(world.now()), Shown::AwaitingNextUse);
    assert_eq!(refusal(&world.accept(OTHER_PHARMACY, 1, &task).await), Some(Refusal::NotYetDue));
    world.clock.advance(TimeDelta::days(24));
    let held = world.accept(OTHER_PHARMACY, 1, &task).await.unwrap().outcome;
    let result = world.dispensing(OTHER_PHARMACY, &rx, &held);
    let second = world.dispense(OTHER_PHARMACY, &held, result).await.unwrap().outcome.task;
    assert_eq!(second.life.shown(world.now()), Shown::Dispensed);
    assert_eq!(second.life.results.entries().len(), 2);
}

#[tokio::test]
async fn a_document_of_another_day_or_place_is_refused() {
    let world = World::new().await;
    let today = world.rx(1).issued_on;
    let tomorrow = crate::world::Rx { issued_on: today + Days::new(1), ..world.rx(1) };
    assert!(matches!(world.register(&tomorrow).await, Err(ExchangeError::Document(_))));
    let old = crate::world::Rx { issued_on: today - Days::new(4), ..world.rx(1) };
    assert_eq!(refusal(&world.register(&old).await), Some(Refusal::Expired));
    let unknown = crate::world::Rx { patient: 99, ..world.rx(1) };
    assert!(matches!(world.register(&unknown).await, Err(ExchangeError::IdentityNotVerified)));
    let original = world.sign(&world.rx(1));
    let sent = Sent { kind: Kind::Electronic, form: DocumentForm::EpsXml, original };
    let elsewhere = world.exchange.register(&caller(OTHER_CLINIC), &sent, &request()).await;
    assert!(matches!(elsewhere, Err(ExchangeError::NotPermitted(_))));

    // A result over another patient's prescription.
    let rx = world.rx(1);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let held = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let stranger = crate::world::Rx { patient: 2, ..rx };
    let result = world.dispensing(PHARMACY, &stranger, &held);
    assert!(matches!(world.dispense(PHARMACY, &held, result).await, Err(ExchangeError::DocumentMismatch(_))));
}

/// Invariant 5.
#[tokio::test]
async fn guessing_ends_for_one_pharmacy_and_not_for_another() {
    let world = World::new().await;
    let task = world.register(&world.rx(1)).await.unwrap().outcome.task;
    let wrong = |pharmacy| {
        let (world, task) = (&world, &task);
        // The right number with another patient's identity is as wrong as any.
        async move { world.accept(pharmacy, 2, task).await.map(drop) }
    };
    for _ in 0..5 {
        assert!(matches!(wrong(PHARMACY).await, Err(ExchangeError::ExchangeNumberUnknown)));
    }
    assert!(matches!(wrong(PHARMACY).await, Err(ExchangeError::TooManyAttempts(_))));
    assert!(matches!(world.accept(PHARMACY, 1, &task).await, Err(ExchangeError::TooManyAttempts(_))));
    world.accept(OTHER_PHARMACY, 1, &task).await.unwrap();
    world.clock.advance(TimeDelta::minutes(11));
    assert_eq!(refusal(&world.accept(PHARMACY, 1, &task).await), Some(Refusal::HeldByPharmacy));
}

/// Invariants 7 and 8.
#[tokio::test]
async fn every_act_leaves_a_trace_and_nothing_readable() {
    let world = World::new().await;
    let rx = world.rx(3);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let held = world.accept(PHARMACY, 3, &task).await.unwrap().outcome;
    let result = world.dispensing(PHARMACY, &rx, &held);
    world.dispense(PHARMACY, &held, result).await.unwrap();
    let second = crate::world::Rx { clinic: OTHER_CLINIC, ..rx };
    assert!(world.register(&second).await.is_err());

    let client = harness::connect(&world.database.config).await;
    let rows = client.query("SELECT act FROM access_record ORDER BY at, act", &[]).await.unwrap();
    let mut acts: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    acts.dedup();
    assert_eq!(acts, ["register", "verify-identity", "accept", "dispense", "register"]);

    let dump: String = world
        .database
        .dump()
        .lines()
        .filter(|line| !line.starts_with("COMMENT ON"))
        .collect::<Vec<_>>()
        .join("\n");
    let (code, drug) = AMLODIPINE.split_once(',').unwrap();
    let secrets = [
        name(3),
        number(3),
        code.to_owned(),
        drug.to_owned(),
        task.exchange_number.unwrap().as_str().to_owned(),
    ];
    for secret in secrets {
        assert!(!dump.contains(&secret), "the dump shows {secret}");
        let hex = secret.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert!(!dump.contains(&hex), "the dump shows {secret} in hexadecimal");
    }
}

#[tokio::test]
async fn each_side_finds_its_own_page_by_page() {
    let world = World::new().await;
    let mut tasks = Vec::new();
    for patient in 1..6 {
        tasks.push(world.register(&world.rx(patient)).await.unwrap().outcome.task);
    }
    world.accept(PHARMACY, 2, &tasks[1]).await.unwrap();
    let mut search = Search { count: 2, ..Search::default() };
    let mut found = Vec::new();
    loop {
        let page = world.exchange.task_search(&caller(CLINIC), &search, &request()).await.unwrap();
        found.extend(page.tasks.iter().map(|outcome| outcome.task.id));
        search.after = page.next;
        if search.after.is_none() {
            break;
        }
    }
    // Oldest change first: the accepted one has moved to the end.
    let order = [0, 2, 3, 4, 1].map(|index: usize| tasks[index].id);
    assert_eq!(found, order);
    let search = Search { count: 10, shown: vec![Shown::Accepted], ..Search::default() };
    for (who, expected) in [(CLINIC, 1), (PHARMACY, 1), (OTHER_CLINIC, 0), (OTHER_PHARMACY, 0)] {
        let page = world.exchange.task_search(&caller(who), &search, &request()).await.unwrap();
        assert_eq!(page.tasks.len(), expected, "{who}");
    }
}

#[tokio::test]
async fn one_key_never_answers_for_another_patient() {
    let world = World::new().await;
    let task = world.register(&world.rx(1)).await.unwrap().outcome.task;
    let wanted = Wanted::Number(task.exchange_number.clone().unwrap());
    let accept = |patient, key: &'static str| {
        let (world, wanted) = (&world, &wanted);
        async move {
            let request = world.identified(PHARMACY, patient, request_with_key(key, 1)).await;
            world.exchange.accept(&caller(PHARMACY), wanted, &request).await
        }
    };
    let first = accept(1, "k").await.unwrap();
    let again = accept(1, "k").await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(again.outcome.delivered, first.outcome.delivered);
    assert!(matches!(accept(2, "k").await, Err(ExchangeError::ExchangeNumberUnknown)));
}

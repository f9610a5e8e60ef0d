//! Sixteen at once: a clinic amends and cancels a prescription while pharmacies accept it. One consistent history comes
//! of it, in which everything that was acknowledged has its place, and whoever lost is told why.

#![expect(clippy::unwrap_used, reason = "what was acknowledged and is not there fails the test")]

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use hikikae::exchange::accept::Accepted;
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::prescription::registered::Registered;
use hikikae::prescription::state::{Refusal, Shown};
use hikikae::store::PrescriptionId;
use hikikae::trust::Algorithm;

use crate::documents::prescription;
use crate::world::{
    CLINIC, OTHER_PHARMACY, PHARMACY, ROSUVASTATIN, Rx, THIRD_PHARMACY, World, caller, request,
};

/// What one of the sixteen wanted, and what it got.
enum Ran {
    Amended(Bytes, Result<Registered, ExchangeError>),
    Accepted(&'static str, Result<Box<Accepted>, ExchangeError>),
    Cancelled(Result<Registered, ExchangeError>),
}

const PHARMACIES: [&str; 3] = [PHARMACY, OTHER_PHARMACY, THIRD_PHARMACY];

/// The n-th of the sixteen; whoever cancels or accepts first looks so many times.
fn runner<'w>(
    world: &'w World,
    task: &'w Registered,
    rx: &Rx,
    n: u32,
    wait: (u32, u32),
) -> BoxFuture<'w, Ran> {
    let id = PrescriptionId::from_uuid(task.id);
    let patient = rx.patient;
    match n % 3 {
        0 => {
            let form = if n.is_multiple_of(2) { DocumentForm::Jose } else { DocumentForm::EpsXml };
            let rx = Rx { drug: ROSUVASTATIN, chart: 100 + n, ..rx.clone() };
            let document = prescription(world, form, Algorithm::Es256, &rx);
            async move {
                let (clinic, request) = (caller(CLINIC), request());
                let amended = world.exchange.amend(&clinic, id, form, document.clone(), &request).await;
                Ran::Amended(document, amended.map(|answered| answered.outcome.task))
            }
            .boxed()
        }
        1 => {
            let pharmacy = PHARMACIES[n as usize % 4 % 3];
            async move {
                for _ in 0..wait.1 {
                    world.identified(patient).await;
                }
                let accepted = world.accept(pharmacy, patient, task).await;
                Ran::Accepted(pharmacy, accepted.map(|answered| Box::new(answered.outcome)))
            }
            .boxed()
        }
        _ => async move {
            for _ in 0..wait.0 {
                world.exchange.task_read(&caller(CLINIC), id, &request()).await.unwrap();
            }
            let (clinic, request) = (caller(CLINIC), request());
            let reason = "entered by mistake".to_owned();
            let cancelled = world.exchange.cancel(&clinic, id, reason, &request).await;
            Ran::Cancelled(cancelled.map(|answered| answered.outcome.task))
        }
        .boxed(),
    }
}

/// Why whoever came too late was refused.
fn too_late<T>(outcome: &Result<T, ExchangeError>) -> Option<Refusal> {
    match outcome {
        Ok(_) => None,
        Err(ExchangeError::Refused(refusal)) => Some(*refusal),
        Err(error) => panic!("not for who comes too late: {error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_amendments_acceptances_and_cancellations_one_history_comes() {
    let world = World::new().await;
    let (mut ends, mut amended) = (HashSet::new(), 0);
    for patient in 1..13 {
        let rx = world.rx(patient);
        let task = world.register(&rx).await.unwrap().outcome.task;
        // A cancellation is the quickest of the three: each round gives the others another start.
        let wait = (patient % 4 * 5, patient / 4 * 3);
        let ran = join_all((0..16).map(|n| runner(&world, &task, &rx, n, wait))).await;
        amended += ran.iter().filter(|ran| matches!(ran, Ran::Amended(_, Ok(_)))).count();
        ends.insert(explained(&world, &rx, &task, ran).await);
    }
    assert!(ends.len() > 1 && amended > 0, "{amended} amendments, ends {ends:?}: nothing raced");
}

/// Checks that what the sixteen were told is what happened. Returns what whoever came too late was told.
async fn explained(world: &World, rx: &Rx, task: &Registered, ran: Vec<Ran>) -> Refusal {
    let id = PrescriptionId::from_uuid(task.id);
    let mut acknowledged = vec![task.clone()];
    let mut documents = vec![(
        1,
        world
            .exchange
            .document(&caller(CLINIC), id, Which::Prescription(Some(1)), &request())
            .await
            .unwrap()
            .bytes,
    )];
    let (mut refused, mut holders, mut delivered, mut cancelled) =
        (Vec::new(), HashSet::new(), Vec::new(), 0);
    for ran in ran {
        match ran {
            Ran::Amended(document, outcome) => {
                refused.extend(too_late(&outcome));
                if let Ok(task) = outcome {
                    documents.push((task.document.number, document.to_vec()));
                    acknowledged.push(task);
                }
            }
            Ran::Accepted(pharmacy, outcome) => {
                refused.extend(too_late(&outcome));
                if let Ok(accepted) = outcome {
                    if holders.insert(pharmacy) {
                        acknowledged.push(accepted.task.task.clone());
                    }
                    delivered.push(accepted);
                }
            }
            Ran::Cancelled(outcome) => {
                refused.extend(too_late(&outcome));
                if let Ok(task) = outcome {
                    cancelled += 1;
                    acknowledged.push(task);
                }
            }
        }
    }
    // One of the two ends, and whoever came after it was told which.
    assert_eq!((holders.len(), cancelled), if cancelled == 0 { (1, 0) } else { (0, 1) });
    let (end, shown) = match cancelled {
        0 => (Refusal::HeldByPharmacy, Shown::Accepted),
        _ => (Refusal::Cancelled, Shown::Cancelled),
    };
    assert!(refused.iter().all(|refusal| *refusal == end), "{refused:?}");
    // What was acknowledged is the history, version by version, to whoever reads and to whoever follows.
    acknowledged.sort_by_key(|task| task.version);
    let mut versions = world.exchange.task_history(&caller(CLINIC), id, &request()).await.unwrap();
    versions.reverse();
    assert_eq!(versions, acknowledged);
    assert_eq!(versions.last().unwrap().life.shown(world.now()), shown);
    let told = world.followed(CLINIC, versions.last().unwrap()).await;
    assert_eq!(told, versions);
    // Every document lies at its number, and the last is what was delivered.
    documents.sort();
    let last = documents.last().unwrap().clone();
    for ((number, sent), expected) in documents.into_iter().zip(1..) {
        assert_eq!(number, expected);
        let which = Which::Prescription(Some(number));
        let kept = world.exchange.document(&caller(CLINIC), id, which, &request()).await.unwrap();
        assert_eq!(kept.bytes, sent);
    }
    assert_eq!(versions.last().unwrap().document.number, last.0);
    for accepted in &delivered {
        assert_eq!(accepted.task.task.document.number, last.0);
        assert!(accepted.verification.as_ref().unwrap().is_valid());
        if accepted.media_type == DocumentForm::Jose.media_type() {
            assert_eq!(accepted.delivered, last.1);
        }
    }
    // Each left its trace, and only what is still prescribed is compared with.
    let recorded = world.recorded(rx.patient).await;
    let of = |act| recorded.iter().filter(|row| row.act == act && row.content.outcome == "done").count();
    assert_eq!(of("amend") + 1, usize::try_from(last.0).unwrap());
    assert_eq!((of("accept"), of("cancel")), (delivered.len(), cancelled));
    let history =
        world.exchange.store().history_read(world.patient(rx.patient).await, rx.issued_on, world.now());
    let periods = history.await.unwrap().periods;
    assert_eq!(periods.len(), usize::from(cancelled == 0));
    end
}

//! Sixteen at once: a clinic amends and cancels a prescription while pharmacies accept it. One consistent history comes
//! of it, in which everything that was acknowledged has its place, and whoever lost is told why.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use hikikae::exchange::accept::Accepted;
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::prescription::registered::Registered;
use hikikae::prescription::state::{Refusal, Shown};
use hikikae::store::PrescriptionId;
use hikikae::store::feed::Place;
use hikikae::trust::Algorithm;

use crate::documents::prescription;
use crate::world::{
    CLINIC, OTHER_PHARMACY, PHARMACY, ROSUVASTATIN, Rx, THIRD_PHARMACY, World, caller, request,
};

/// What one of the sixteen wanted, and what it got.
enum Ran {
    Amended(Bytes, Result<Registered, ExchangeError>),
    Accepted(&'static str, Result<Accepted, ExchangeError>),
    Cancelled(Result<Registered, ExchangeError>),
}

const PHARMACIES: [&str; 3] = [PHARMACY, OTHER_PHARMACY, THIRD_PHARMACY];

fn runner<'w>(world: &'w World, task: &'w Registered, rx: &Rx, n: u32) -> BoxFuture<'w, Ran> {
    let id = PrescriptionId::from_uuid(task.id);
    let patient = rx.patient;
    match n % 3 {
        0 => {
            let form = if n % 2 == 0 { DocumentForm::Jose } else { DocumentForm::EpsXml };
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
                let accepted = world.accept(pharmacy, patient, task).await;
                Ran::Accepted(pharmacy, accepted.map(|answered| answered.outcome))
            }
            .boxed()
        }
        _ => async move {
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
    let mut ends = BTreeSet::new();
    for patient in 1..13 {
        let rx = world.rx(patient);
        let task = world.register(&rx).await.unwrap().outcome.task;
        // Another one begins each time, so that not always the same wins.
        let runners = (0..16).map(|n| runner(&world, &task, &rx, n + patient));
        let ran = join_all(runners).await;
        ends.insert(explained(&world, &rx, &task, ran).await);
    }
    assert!(ends.len() > 1, "every round ended in {ends:?}: nothing raced");
}

/// Checks that what the sixteen were told is what happened. Returns how the prescription stands.
async fn explained(world: &World, rx: &Rx, task: &Registered, ran: Vec<Ran>) -> &'static str {
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
        (BTreeSet::new(), BTreeSet::new(), Vec::new(), 0);
    for ran in ran {
        match ran {
            Ran::Amended(document, outcome) => {
                refused.extend(too_late(&outcome).map(|refusal| format!("{refusal:?}")));
                if let Ok(task) = outcome {
                    documents.push((task.document.number, document.to_vec()));
                    acknowledged.push(task);
                }
            }
            Ran::Accepted(pharmacy, outcome) => {
                refused.extend(too_late(&outcome).map(|refusal| format!("{refusal:?}")));
                if let Ok(accepted) = outcome {
                    if holders.insert(pharmacy) {
                        acknowledged.push(accepted.task.task.clone());
                    }
                    delivered.push(accepted);
                }
            }
            Ran::Cancelled(outcome) => {
                refused.extend(too_late(&outcome).map(|refusal| format!("{refusal:?}")));
                if let Ok(task) = outcome {
                    cancelled += 1;
                    acknowledged.push(task);
                }
            }
        }
    }
    // One of the two ends, and whoever came after it was told which.
    assert_eq!((holders.len(), cancelled), if cancelled == 0 { (1, 0) } else { (0, 1) });
    let (end, shown) =
        if cancelled == 0 { ("HeldByPharmacy", Shown::Accepted) } else { ("Cancelled", Shown::Cancelled) };
    assert!(refused.iter().all(|refusal| refusal == end), "{refused:?}");
    // What was acknowledged is the history, version by version, to whoever reads and to whoever follows.
    acknowledged.sort_by_key(|task| task.version);
    let mut versions = world.exchange.task_history(&caller(CLINIC), id, &request()).await.unwrap();
    versions.reverse();
    assert_eq!(versions, acknowledged);
    assert_eq!(versions.last().unwrap().life.shown(world.now()), shown);
    let told =
        world.exchange.task_changes(&caller(CLINIC), Place::default(), 1000, &request()).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|change| change.task).filter(|told| told.id == task.id).collect();
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

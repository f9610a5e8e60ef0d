//! The acts after the first ones: amending, correcting, withdrawing, collecting, parts, and what a retry of them is told.

use hikikae::exchange::accept::{Accepted, Wanted};
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::read::Which;
use hikikae::prescription::mitigation::ManagementCode;
use hikikae::store::PrescriptionId;
use hikikae::store::feed::Place;

use crate::world::{
    CLINIC, OTHER_CLINIC, PHARMACY, ROSUVASTATIN, Rx, World, caller, request, request_with_key,
};

/// Invariant 3: whatever has become of the prescription since.
#[tokio::test]
async fn a_retried_accept_is_answered_as_the_first_time() {
    let world = World::new().await;
    world.register(&world.rx(1)).await.unwrap();
    let rx = Rx { clinic: OTHER_CLINIC, ..world.rx(1) };
    let document = world.sign(&rx);
    let Err(ExchangeError::CheckUnresolved(findings, _)) =
        world.register_as(&rx, document.clone(), &request()).await
    else {
        panic!("the duplicate was not found");
    };
    let code = ManagementCode::try_from("1".to_owned()).unwrap();
    world.exchange.mitigate(&caller(OTHER_CLINIC), findings[0].id, code, None, &request()).await.unwrap();
    let task = world.register_as(&rx, document, &request()).await.unwrap().outcome.task;
    let (id, wanted) =
        (PrescriptionId::from_uuid(task.id), Wanted::Number(task.exchange_number.clone().unwrap()));
    let accept = async || {
        let identified = world.identified(1).await;
        world
            .exchange
            .accept(&caller(PHARMACY), &identified, &wanted, &request_with_key("k", 1))
            .await
            .unwrap()
    };
    let first = accept().await;
    world.exchange.give_back(&caller(PHARMACY), id, "out of stock".to_owned(), &request()).await.unwrap();
    let amended = world.sign(&Rx { drug: ROSUVASTATIN, ..rx.clone() });
    world.exchange.amend(&caller(OTHER_CLINIC), id, DocumentForm::EpsXml, amended, &request()).await.unwrap();
    let again = accept().await;
    assert!(!first.replayed && again.replayed);
    let said = |answer: &Accepted| {
        let findings: Vec<_> = answer.findings.iter().map(|row| (row.id, row.mitigation.clone())).collect();
        (answer.task.task.clone(), answer.delivered.clone(), answer.verification.clone(), findings)
    };
    assert_eq!(first.outcome.findings.len(), 1);
    assert_eq!(said(&again.outcome), said(&first.outcome));
    // Who accepts anew gets what is in force.
    let anew = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    assert_eq!(anew.task.task.document.number, 2);
    assert_ne!(anew.delivered, first.outcome.delivered);
}

/// 重要情報 is in every version that has it, and reading the result changes none.
#[tokio::test]
async fn an_important_result_stays_marked_as_long_as_it_stands() {
    let world = World::new().await;
    let rx = world.rx(1);
    let task = world.register(&rx).await.unwrap().outcome.task;
    let held = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let (id, clinic, pharmacy) = (PrescriptionId::from_uuid(task.id), caller(CLINIC), caller(PHARMACY));
    let send = async |purpose, important| {
        let original = world.dispensing(PHARMACY, &rx, &held);
        let sent = SentResult { purpose, important, form: DocumentForm::EpsXml, original };
        world.exchange.dispense(&pharmacy, id, &sent, &request()).await.unwrap().outcome.task
    };
    let marked = send(Purpose::Dispense { complete: true }, true).await;
    assert_eq!(marked.life.results.important().collect::<Vec<_>>(), [1]);
    world.exchange.document(&clinic, id, Which::Dispensing(Some(1)), &request()).await.unwrap();
    assert_eq!(world.exchange.task_read(&clinic, id, &request()).await.unwrap().task, marked);
    let changes = world.exchange.task_changes(&clinic, Place::default(), 10, &request()).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.task.version).collect::<Vec<_>>(), [1, 2, 3]);
    let corrected = send(Purpose::Amend { result: None }, false).await;
    assert_eq!(corrected.life.results.important().count(), 0);
    let versions = world.exchange.task_history(&clinic, id, &request()).await.unwrap();
    assert_eq!(versions, [corrected, marked, changes[1].task.clone(), task]);
}

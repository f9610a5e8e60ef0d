//! What has happened before the story: the history of the patient who has a rich one.

use reqwest::StatusCode;

use super::StoryError;
use super::stage::{Stage, delivered, expect};
use crate::sandbox::desk::Desk;
use crate::sandbox::document::{AMLODIPINE, ASPIRIN, SIMVASTATIN};
use crate::sandbox::telling::Teller;
use crate::sandbox::world::World;
use crate::store::directory::FacilityKind;

/// The patient's id.
const RICH: &str = "rich";

/// Prescriptions that the patient with the rich history had before: one dispensed, one open. Only once, when the
/// issuing hospital has none yet.
pub(super) async fn seed(world: &World) -> Result<(), StoryError> {
    let mut silent = Teller::new(Box::new(std::io::sink()), false);
    let mut stage = Stage { world, teller: &mut silent };
    let mut hospital = Desk::of(world, FacilityKind::Hospital, 0)?;
    stage.log_in(&mut hospital).await?;
    let answer = stage.send(&hospital.get_call("/fhir/Task?_count=1")).await?;
    expect("the hospital's list", &answer, StatusCode::OK, None)?;
    if answer.json().get("entry").is_some() {
        return Ok(());
    }
    let patient = stage.patient(RICH)?;
    let dispensed = hospital.draft(patient, &[AMLODIPINE, ASPIRIN], 28)?;
    let registered = stage.register(&hospital, &dispensed).await?;
    let open = hospital.draft(patient, &[SIMVASTATIN], 28)?;
    stage.register(&hospital, &open).await?;
    let mut pharmacy = Desk::of(world, FacilityKind::Pharmacy, 2)?;
    stage.log_in(&mut pharmacy).await?;
    let identity = stage.identify(&pharmacy, patient).await?;
    let accepted = stage.send(&pharmacy.accept_call(&registered.number, Some(&identity))).await?;
    expect("accepting", &accepted, StatusCode::OK, None)?;
    let document = pharmacy.dispensing_sign(&dispensed, registered.id, &delivered(&accepted))?;
    stage.dispense(&pharmacy, &registered, &document).await?;
    Ok(())
}

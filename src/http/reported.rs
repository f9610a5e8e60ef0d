//! `/fhir/AllergyIntolerance` and `/fhir/MedicationStatement`: what is reported of a patient.

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use warp::Filter;
use warp::reply::Response;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, FHIR_BODY, Form, OWNERS, route};
use super::problem::Problem;
use super::shape::{SUMMARY_ALONE, found};
use super::task::query;
use crate::codec::fhir::reported::{allergy_read, medicine_read, reported};
use crate::exchange::app::scope::Readable;
use crate::exchange::error::ExchangeError;
use crate::prescription::access::AccessAct;
use crate::prescription::reported::Content;
use crate::store::reported::ReportedKind;

/// `GET /fhir/AllergyIntolerance`
pub(super) fn allergies(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "AllergyIntolerance");
    let about = about
        .does("What the patient is recorded not to tolerate")
        .by(OWNERS, AccessAct::AllergyRead)
        .identity_token(false)
        .query(SUMMARY_ALONE)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["role-mismatch"]);
    path.and(call(app, &about))
        .then(|call: Call| respond(async move { list(&call, ReportedKind::Allergy).await }))
        .described(about)
}

/// `POST /fhir/AllergyIntolerance`
pub(super) fn allergy_record(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "AllergyIntolerance");
    let about = about
        .does("Records an allergy; the same again is the entry that is there")
        .by(OWNERS, AccessAct::AllergyRecord)
        .identity_token(false)
        .resource("AllergyIntolerance")
        .answers(StatusCode::CREATED, Form::Resource("AllergyIntolerance"))
        .answers(StatusCode::OK, Form::Resource("AllergyIntolerance"))
        .refuses(&["role-mismatch", "document-invalid", "state-conflict", "overloaded"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                record(&call, ReportedKind::Allergy, |body, by_patient| {
                    allergy_read(body, by_patient).map(Content::Allergy)
                })
                .await
            })
        })
        .described(about)
}

/// `DELETE /fhir/AllergyIntolerance/{id}`
pub(super) fn allergy_remove(app: &App) -> Endpoint {
    let (path, about) = route!(DELETE "fhir" / "AllergyIntolerance" / {id: Uuid});
    let about = about
        .does("Takes back an allergy the caller recorded")
        .by(OWNERS, AccessAct::AllergyRemove)
        .identity_token(false)
        .answers(StatusCode::NO_CONTENT, Form::Bytes(&[]))
        .refuses(&["role-mismatch", "not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| respond(async move { remove(&call, ReportedKind::Allergy, id).await }))
        .described(about)
}

/// `GET /fhir/MedicationStatement`
pub(super) fn medicines(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "MedicationStatement");
    let about = about
        .does("What the patient says to take (自己申告)")
        .by(OWNERS, AccessAct::SelfReportedRead)
        .identity_token(false)
        .query(SUMMARY_ALONE)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["role-mismatch", "consent-required"]);
    path.and(call(app, &about))
        .then(|call: Call| respond(async move { list(&call, ReportedKind::Medicine).await }))
        .described(about)
}

/// `POST /fhir/MedicationStatement`
pub(super) fn medicine_record(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "MedicationStatement");
    let about = about
        .does("Reports a medicine; the same again is the entry that is there")
        .by(&[By::Patient], AccessAct::SelfReportedRecord)
        .resource("MedicationStatement")
        .answers(StatusCode::CREATED, Form::Resource("MedicationStatement"))
        .answers(StatusCode::OK, Form::Resource("MedicationStatement"))
        .refuses(&["document-invalid", "state-conflict", "overloaded"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                patient_only(&call).await?;
                record(&call, ReportedKind::Medicine, |body, _| medicine_read(body).map(Content::Medicine))
                    .await
            })
        })
        .described(about)
}

/// `DELETE /fhir/MedicationStatement/{id}`
pub(super) fn medicine_remove(app: &App) -> Endpoint {
    let (path, about) = route!(DELETE "fhir" / "MedicationStatement" / {id: Uuid});
    let about = about
        .does("Takes back a medicine the patient reported")
        .by(&[By::Patient], AccessAct::SelfReportedRemove)
        .answers(StatusCode::NO_CONTENT, Form::Bytes(&[]))
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                patient_only(&call).await?;
                remove(&call, ReportedKind::Medicine, id).await
            })
        })
        .described(about)
}

async fn patient_only(call: &Call) -> Result<(), Problem> {
    match call.caller().await?.patient() {
        Some(_) => Ok(()),
        None => Err(ExchangeError::NotPermitted("only patients report what they take").into()),
    }
}

async fn list(call: &Call, kind: ReportedKind) -> Result<Response, Problem> {
    let readable = match kind {
        ReportedKind::Allergy => Readable::AllergyIntolerance,
        ReportedKind::Medicine => Readable::MedicationStatement,
        ReportedKind::Claim => return Err(ExchangeError::NotFound.into()),
    };
    let caller = call.reader(readable).await?;
    call.acceptable(FHIR)?;
    query(call, SUMMARY_ALONE)?;
    let token = call.header("identity-token");
    let entries = call.app().exchange.reported_list(&caller, token, kind, &call.request()?).await?;
    let resources: Vec<Value> = entries.iter().filter_map(reported).collect();
    found(call, searchset(&call.app().base_url, resources))
}

/// A Bundle of everything there is, on one page.
fn searchset(base_url: &str, resources: Vec<Value>) -> Value {
    let entry = |resource: Value| {
        let kind = resource["resourceType"].as_str().unwrap_or_default();
        let id = resource["id"].as_str().unwrap_or_default();
        json!({ "fullUrl": format!("{base_url}/fhir/{kind}/{id}"), "resource": resource, "search": { "mode": "match" } })
    };
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": resources.len() });
    if !resources.is_empty() {
        bundle["entry"] = resources.into_iter().map(entry).collect();
    }
    bundle
}

async fn record(
    call: &Call,
    kind: ReportedKind,
    read: impl Fn(&[u8], bool) -> Result<Content, Vec<crate::codec::fault::Fault>>,
) -> Result<Response, Problem> {
    let caller = call.caller().await?;
    call.acceptable(FHIR)?;
    call.content_type(FHIR_BODY)?;
    let by_patient = caller.patient().is_some();
    let content = read(&call.body, by_patient).map_err(ExchangeError::Document)?;
    let (exchange, token) = (&call.app().exchange, call.header("identity-token"));
    let kept = exchange.reported_record(&caller, token, kind, vec![content], &call.request()?).await?;
    let (entry, new) = kept.first().ok_or(ExchangeError::Internal("one entry was given"))?;
    let status = if *new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::fhir(status, &reported(entry).unwrap_or_default()))
}

async fn remove(call: &Call, kind: ReportedKind, id: Uuid) -> Result<Response, Problem> {
    let caller = call.caller().await?;
    let (exchange, token) = (&call.app().exchange, call.header("identity-token"));
    exchange.reported_remove(&caller, token, kind, id, &call.request()?).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

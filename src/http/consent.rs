//! `/fhir/Consent`: the patient's own consents and refusals.

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;
use warp::Filter;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, FHIR_BODY, Form, route};
use super::shape::{SUMMARY_ALONE, found};
use super::task::query;
use crate::codec::fhir::consent::{Told, consent, read, searchset};
use crate::exchange::error::ExchangeError;
use crate::prescription::access::AccessAct;
use crate::store::consent::ConsentRow;

/// `GET /fhir/Consent`
pub(super) fn list(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Consent");
    let about = about
        .does("Tells the patient's consents and refusals in force")
        .by(&[By::Patient], AccessAct::ConsentList)
        .query(SUMMARY_ALONE)
        .answers(StatusCode::OK, Form::Resource("Bundle"));
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                query(&call, SUMMARY_ALONE)?;
                let rows = call.app().exchange.consent_list(&caller, &call.request()?).await?;
                let bundle = searchset(rows.iter().map(|row| told(row, true)), &call.app().base_url);
                found(&call, bundle)
            })
        })
        .described(about)
}

/// `POST /fhir/Consent`
pub(super) fn put(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Consent");
    let about = about
        .does("Keeps the patient's standing consent or refusal for a facility and kind (包括同意・閲覧拒否)")
        .by(&[By::Patient], AccessAct::ConsentPut)
        .takes(FHIR_BODY)
        .answers(StatusCode::CREATED, Form::Resource("Consent"))
        .refuses(&["document-invalid"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                call.content_type(FHIR_BODY)?;
                let decision = read(&call.body).map_err(ExchangeError::Document)?;
                let row = call.app().exchange.consent_put(&caller, &decision, &call.request()?).await?;
                Ok(answer::fhir(StatusCode::CREATED, &resource(&row, true)))
            })
        })
        .described(about)
}

/// `DELETE /fhir/Consent/{id}`
pub(super) fn withdraw(app: &App) -> Endpoint {
    let (path, about) = route!(DELETE "fhir" / "Consent" / {id: Uuid});
    let about = about
        .does("Withdraws a consent or refusal, at once")
        .by(&[By::Patient], AccessAct::ConsentWithdraw)
        .answers(StatusCode::NO_CONTENT, Form::Bytes(&[]))
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.app().exchange.consent_withdraw(&caller, id, &call.request()?).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            })
        })
        .described(about)
}

/// A consent or refusal as a resource.
pub(super) fn resource(row: &ConsentRow, in_force: bool) -> Value {
    consent(told(row, in_force))
}

fn told(row: &ConsentRow, in_force: bool) -> Told<'_> {
    Told {
        provision: &row.provision,
        facility: row.facility.as_ref(),
        facility_name: row.facility_name.as_deref(),
        granted_at: row.granted_at,
        in_force,
    }
}

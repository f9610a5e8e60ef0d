//! `/fhir/Consent`: the patient's own consents and refusals.

use http::StatusCode;
use uuid::Uuid;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::task::query;
use crate::codec::fhir::consent::{Told, consent, read, searchset};
use crate::exchange::error::ExchangeError;
use crate::store::consent::ConsentRow;

/// `GET /fhir/Consent`
pub(super) fn list(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Consent")
        .and(warp::get())
        .and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                query(&call, &[])?;
                let rows = call.app().exchange.consent_list(&caller, &call.request()?).await?;
                let bundle = searchset(rows.iter().map(told), &call.app().base_url);
                Ok(answer::fhir(StatusCode::OK, &bundle))
            })
        })
        .boxed()
}

/// `POST /fhir/Consent`
pub(super) fn put(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Consent")
        .and(warp::post())
        .and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                call.content_type(&["application/fhir+json", "application/json"])?;
                let decision = read(&call.body).map_err(ExchangeError::Document)?;
                let row = call.app().exchange.consent_put(&caller, &decision, &call.request()?).await?;
                Ok(answer::fhir(StatusCode::CREATED, &consent(told(&row))))
            })
        })
        .boxed()
}

/// `DELETE /fhir/Consent/{id}`
pub(super) fn withdraw(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Consent" / Uuid)
        .and(warp::delete())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.app().exchange.consent_withdraw(&caller, id, &call.request()?).await?;
                Ok(answer::bytes(StatusCode::NO_CONTENT, FHIR, Vec::new()))
            })
        })
        .boxed()
}

fn told(row: &ConsentRow) -> Told<'_> {
    Told {
        provision: &row.provision,
        facility: row.facility.as_ref(),
        facility_name: row.facility_name.as_deref(),
        granted_at: row.granted_at,
    }
}

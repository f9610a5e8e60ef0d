//! `/fhir/RelatedPerson`: who may act for a patient (代理人).

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use warp::Filter;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, FHIR_BODY, Form, route};
use super::task::query;
use crate::codec::fhir::related_person::{Told, read, related_person};
use crate::exchange::error::ExchangeError;
use crate::exchange::mandate::{Given, NamedMandate};
use crate::prescription::access::AccessAct;
use crate::store::PatientId;

/// `GET /fhir/RelatedPerson`
pub(super) fn list(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "RelatedPerson");
    let about = about
        .does("Tells the mandates in force that the patient has given or holds")
        .by(&[By::Patient], AccessAct::MandateList)
        .answers(StatusCode::OK, Form::Resource("Bundle"));
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                query(&call, &[])?;
                let mandates = call.app().exchange.mandates(&caller, &call.request()?).await?;
                Ok(answer::fhir(StatusCode::OK, &searchset(&mandates, &call.app().base_url)))
            })
        })
        .described(about)
}

/// `POST /fhir/RelatedPerson`
pub(super) fn give(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "RelatedPerson");
    let about = about
        .does("Lets another person act for the patient (委任)")
        .by(&[By::Patient], AccessAct::MandateAdd)
        .resource("RelatedPerson")
        .answers(StatusCode::CREATED, Form::Resource("RelatedPerson"))
        .refuses(&["document-invalid"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                call.content_type(FHIR_BODY)?;
                let sent = read(&call.body).map_err(ExchangeError::Document)?;
                let given = Given {
                    representative: PatientId::from_uuid(sent.representative),
                    relationship: sent.relationship,
                    scope: sent.scope,
                    until: sent.until,
                };
                let named = call.app().exchange.mandate_give(&caller, &given, &call.request()?).await?;
                Ok(answer::fhir(StatusCode::CREATED, &resource(&named, true)))
            })
        })
        .described(about)
}

/// `DELETE /fhir/RelatedPerson/{id}`
pub(super) fn end(app: &App) -> Endpoint {
    let (path, about) = route!(DELETE "fhir" / "RelatedPerson" / {id: Uuid});
    let about = about
        .does("Withdraws a mandate, or gives it back, at once")
        .by(&[By::Patient], AccessAct::MandateEnd)
        .answers(StatusCode::NO_CONTENT, Form::Bytes(&[]))
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.app().exchange.mandate_end(&caller, id, &call.request()?).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            })
        })
        .described(about)
}

/// A mandate as a resource.
pub(super) fn resource(named: &NamedMandate, in_force: bool) -> Value {
    related_person(told(named, in_force))
}

fn told(named: &NamedMandate, in_force: bool) -> Told<'_> {
    let mandate = &named.mandate;
    Told {
        id: mandate.id,
        patient: (*mandate.patient.as_uuid(), &named.patient_name),
        representative: (*mandate.representative.as_uuid(), &named.representative_name),
        relationship: mandate.relationship,
        scope: mandate.scope,
        period: (mandate.granted_at, mandate.until),
        in_force,
    }
}

fn searchset(mandates: &[NamedMandate], base_url: &str) -> Value {
    let entry: Vec<Value> = mandates
        .iter()
        .map(|named| {
            let url = format!("{base_url}/fhir/RelatedPerson/{}", named.mandate.id);
            json!({ "fullUrl": url, "resource": resource(named, true), "search": { "mode": "match" } })
        })
        .collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entry.len() });
    if !entry.is_empty() {
        bundle["entry"] = entry.into();
    }
    bundle
}

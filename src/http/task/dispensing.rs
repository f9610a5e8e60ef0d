//! `$dispense`, `$amend-dispense`, `$withdraw-dispense`: what a pharmacy writes back.

use http::StatusCode;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::super::App;
use super::super::answer::FHIR;
use super::super::call::{Call, call, respond};
use super::super::problem::Problem;
use super::{bad_query, document_number, query, reason, task};
use crate::exchange::dispense::{Purpose, SentResult};
use crate::store::PrescriptionId;

/// `POST /fhir/Task/{id}/$dispense`
pub(in super::super) fn dispense(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$dispense")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let (mut complete, mut important) = (true, false);
                for (name, value) in query(&call, &["final", "important"])? {
                    match name.as_str() {
                        "final" => complete = truth("final", &value)?,
                        _ => important = truth("important", &value)?,
                    }
                }
                send(&call, id, Purpose::Dispense { complete }, important).await
            })
        })
        .boxed()
}

/// `POST /fhir/Task/{id}/$amend-dispense`
pub(in super::super) fn amend_dispense(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$amend-dispense")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let (mut result, mut important) = (None, false);
                for (name, value) in query(&call, &["version", "important"])? {
                    match name.as_str() {
                        "version" => result = Some(document_number(&value)?),
                        _ => important = truth("important", &value)?,
                    }
                }
                send(&call, id, Purpose::Amend { result }, important).await
            })
        })
        .boxed()
}

/// `POST /fhir/Task/{id}/$withdraw-dispense`
pub(in super::super) fn withdraw_dispense(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$withdraw-dispense")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let result = match query(&call, &["version"])?.first() {
                    None => None,
                    Some((_, number)) => Some(document_number(number)?),
                };
                let request = call.request()?;
                let exchange = &call.app().exchange;
                let answered = exchange.withdraw_dispense(&caller, id, result, reason, &request).await?;
                Ok(task(StatusCode::OK, &caller, &answered))
            })
        })
        .boxed()
}

async fn send(
    call: &Call,
    id: PrescriptionId,
    purpose: Purpose,
    important: bool,
) -> Result<Response, Problem> {
    let caller = call.caller().await?;
    call.acceptable(FHIR)?;
    let sent = SentResult { purpose, important, form: call.form(None)?, original: call.body.clone() };
    let answered = call.app().exchange.dispense(&caller, id, &sent, &call.request()?).await?;
    Ok(task(StatusCode::OK, &caller, &answered))
}

fn truth(name: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| bad_query(&format!("{name} is true or false")))
}

//! `/fhir/Task`: one prescription is one Task.

use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::problem::Problem;
use crate::codec::fhir;
use crate::codec::fhir::detected_issue::detected_issue;
use crate::codec::fhir::parameters::parameters;
use crate::codec::fhir::verdict::verification;
use crate::exchange::accept::{Accepted, Wanted};
use crate::exchange::caller::Caller;
use crate::exchange::error::ExchangeError;
use crate::exchange::{Answered, TaskOutcome};
use crate::store::PrescriptionId;

mod search;
pub(super) use search::search;

/// `POST /fhir/Task/$register`
pub(super) fn register(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / "$register")
        .and(warp::post())
        .and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                call.content_type(&["application/xml"])?;
                let request = call.request()?;
                let answered = call.app().exchange.register(&caller, call.body.clone(), &request).await?;
                let location = format!("{}/fhir/Task/{}", call.app().base_url, answered.outcome.task.id);
                let mut response = task(StatusCode::CREATED, &caller, &answered);
                if let Ok(value) = HeaderValue::from_str(&location) {
                    response.headers_mut().insert(header::LOCATION, value);
                }
                Ok(response)
            })
        })
        .boxed()
}

/// `POST /fhir/Task/$accept`
pub(super) fn accept(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / "$accept")
        .and(warp::post())
        .and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.pharmacy()?;
                call.acceptable(FHIR)?;
                let wanted = wanted(&call)?;
                let request = call.request()?;
                let exchange = &call.app().exchange;
                let identified = exchange.identity_of(&caller, call.header("identity-token")).await?;
                let answered = exchange.accept(&caller, &identified, &wanted, &request).await?;
                Ok(accepted(&caller, &answered))
            })
        })
        .boxed()
}

/// How the pharmacy names the prescription: by number or by id, one of them.
fn wanted(call: &Call) -> Result<Wanted, Problem> {
    let given = call.parameters(&["exchangeNumber", "prescription"])?;
    match (given.get("exchangeNumber"), given.get("prescription")) {
        (Some(number), None) => {
            Ok(Wanted::Number(number.parse().map_err(|_| ExchangeError::ExchangeNumberUnknown)?))
        }
        (None, Some(id)) => Ok(Wanted::Id(id.parse().map_err(|_| ExchangeError::NotFound)?)),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "give exchangeNumber or prescription, one of them",
        )),
    }
}

/// `POST /fhir/Task/{id}/$cancel`
pub(super) fn cancel(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$cancel")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let answered = call.app().exchange.cancel(&caller, id, reason, &call.request()?).await?;
                Ok(task(StatusCode::OK, &caller, &answered))
            })
        })
        .boxed()
}

/// `POST /fhir/Task/{id}/$renew`
pub(super) fn renew(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$renew")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let answered = call.app().exchange.renew(&caller, id, &call.request()?).await?;
                Ok(task(StatusCode::OK, &caller, &answered))
            })
        })
        .boxed()
}

/// `POST /fhir/Task/{id}/$return`
pub(super) fn give_back(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$return")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let answered = call.app().exchange.give_back(&caller, id, reason, &call.request()?).await?;
                Ok(task(StatusCode::OK, &caller, &answered))
            })
        })
        .boxed()
}

/// `POST /fhir/Task/{id}/$dispense`
pub(super) fn dispense(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$dispense")
        .and(warp::post())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                call.content_type(&["application/xml"])?;
                let complete = match query(&call, &["final"])?.first() {
                    None => true,
                    Some((_, value)) => value.parse().map_err(|_| bad_query("final is true or false"))?,
                };
                let request = call.request()?;
                let body = call.body.clone();
                let answered = call.app().exchange.dispense(&caller, id, complete, body, &request).await?;
                Ok(task(StatusCode::OK, &caller, &answered))
            })
        })
        .boxed()
}

/// `GET /fhir/Task/{id}`
pub(super) fn read(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId)
        .and(warp::get())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let outcome = call.app().exchange.task_read(&caller, id, &call.request()?).await?;
                Ok(task(StatusCode::OK, &caller, &Answered { outcome, replayed: false }))
            })
        })
        .boxed()
}

/// `GET /fhir/Task/{id}/$document`
pub(super) fn document(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$document")
        .and(warp::get())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let (mut version, mut dispensing) = (1, false);
                for (name, value) in query(&call, &["version", "part"])? {
                    match (name.as_str(), value.as_str()) {
                        ("part", "prescription") => dispensing = false,
                        ("part", "dispensing") => dispensing = true,
                        ("version", number) => {
                            version = number
                                .parse()
                                .ok()
                                .filter(|version| *version >= 1)
                                .ok_or_else(|| bad_query("version is a number from 1"))?;
                        }
                        _ => return Err(bad_query("part is prescription or dispensing")),
                    }
                }
                if !dispensing && version != 1 {
                    return Err(ExchangeError::NotFound.into());
                }
                let exchange = &call.app().exchange;
                let part = dispensing.then_some(version);
                let document = exchange.document(&caller, id, part, &call.request()?).await?;
                call.acceptable(&document.media_type)?;
                Ok(answer::bytes(StatusCode::OK, &document.media_type, document.bytes))
            })
        })
        .boxed()
}

/// The reason the contract asks for. A missing body is a missing reason.
fn reason(call: &Call) -> Result<String, Problem> {
    call.acceptable(FHIR)?;
    Ok(call.parameters(&["reason"])?.need("reason")?.to_owned())
}

/// The query as pairs; a name that is not known is refused.
pub(super) fn query(call: &Call, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(&call.query).map_err(|_| bad_query("the query cannot be read"))?;
    match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(pairs),
        Some(_) => Err(bad_query(&format!("known parameters: {}", known.join(", ")))),
    }
}

pub(super) fn bad_query(text: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", text)
}

fn task(status: StatusCode, caller: &Caller, answered: &Answered<TaskOutcome>) -> Response {
    let TaskOutcome { task, at } = &answered.outcome;
    let resource = fhir::task::task(task, caller.sees_number(&task.clinic), *at);
    finish(answer::fhir(status, &resource), task.version, answered.replayed)
}

fn finish(mut response: Response, version: i64, replayed: bool) -> Response {
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&format!("W/\"{version}\"")) {
        headers.insert(header::ETAG, etag);
    }
    if replayed {
        headers.insert("idempotent-replay", HeaderValue::from_static("true"));
    }
    response
}

fn accepted(caller: &Caller, answered: &Answered<Accepted>) -> Response {
    use base64::Engine;
    let Accepted { task, media_type, delivered, verification: verdict, findings, disclosure } =
        &answered.outcome;
    let resource = fhir::task::task(&task.task, caller.sees_number(&task.task.clinic), task.at);
    let findings = fhir::collection(
        findings.iter().map(|row| detected_issue(row.id, &row.finding, row.mitigation.as_ref(), *disclosure)),
    );
    let document = json!({
        "resourceType": "Binary",
        "contentType": media_type,
        "data": base64::prelude::BASE64_STANDARD.encode(delivered),
    });
    let body = parameters(&[
        json!({ "name": "task", "resource": resource }),
        json!({ "name": "document", "resource": document }),
        verification(verdict),
        json!({ "name": "findings", "resource": findings }),
    ]);
    finish(answer::fhir(StatusCode::OK, &body), task.task.version, answered.replayed)
}

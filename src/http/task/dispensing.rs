//! `$dispense`, `$amend-dispense`, `$withdraw-dispense`: what a pharmacy writes back.

use http::StatusCode;
use warp::Filter;
use warp::reply::Response;

use super::super::App;
use super::super::answer::FHIR;
use super::super::call::{Call, call, respond};
use super::super::endpoint::{By, Described, Endpoint, Kind, Query, SIGNED, route};
use super::super::problem::Problem;
use super::{HOLDER, REASON, VERSION, bad_query, document_number, query, reason, written};
use crate::exchange::dispense::{Purpose, SentResult};
use crate::exchange::form::MEDIA_TYPES;
use crate::prescription::access::AccessAct;
use crate::store::PrescriptionId;

const IMPORTANT: Query = Query {
    name: "important",
    kind: Kind::Boolean,
    about: "true when the physician is to read it (重要情報)",
};
const DISPENSE: [Query; 2] = [
    Query {
        name: "final",
        kind: Kind::Boolean,
        about: "false when the use goes on after this part; true unless given",
    },
    IMPORTANT,
];
const AMEND: [Query; 2] = [VERSION, IMPORTANT];
const WITHDRAW: [Query; 1] = [VERSION];

/// `POST /fhir/Task/{id}/$dispense`
pub(in super::super) fn dispense(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$dispense");
    let about = about
        .does("Records a dispensing result (調剤結果登録)")
        .by(&[By::Pharmacy], AccessAct::Dispense)
        .identity_token(false)
        .query(&DISPENSE)
        .takes(MEDIA_TYPES)
        .task_write()
        .refuses(HOLDER)
        .refuses(SIGNED)
        .refuses(&["document-mismatch", "medication-check-unresolved"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let (mut complete, mut important) = (true, false);
                for (name, value) in query(&call, &DISPENSE)? {
                    match name.as_str() {
                        "final" => complete = truth("final", &value)?,
                        _ => important = truth("important", &value)?,
                    }
                }
                send(&call, id, Purpose::Dispense { complete }, important).await
            })
        })
        .described(about)
}

/// `POST /fhir/Task/{id}/$amend-dispense`
pub(in super::super) fn amend_dispense(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$amend-dispense");
    let about = about
        .does("Puts another dispensing result in the place of one (調剤結果変更)")
        .by(&[By::Pharmacy], AccessAct::AmendDispense)
        .identity_token(false)
        .query(&AMEND)
        .takes(MEDIA_TYPES)
        .task_write()
        .refuses(HOLDER)
        .refuses(SIGNED)
        .refuses(&["document-mismatch", "medication-check-unresolved"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let (mut result, mut important) = (None, false);
                for (name, value) in query(&call, &AMEND)? {
                    match name.as_str() {
                        "version" => result = Some(document_number(&value)?),
                        _ => important = truth("important", &value)?,
                    }
                }
                send(&call, id, Purpose::Amend { result }, important).await
            })
        })
        .described(about)
}

/// `POST /fhir/Task/{id}/$withdraw-dispense`
pub(in super::super) fn withdraw_dispense(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$withdraw-dispense");
    let about = about
        .does("Withdraws a dispensing result (調剤結果取消)")
        .by(&[By::Pharmacy], AccessAct::WithdrawDispense)
        .query(&WITHDRAW)
        .parameters(&REASON)
        .task_write()
        .refuses(HOLDER)
        .refuses(&["held-by-pharmacy"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let result = match query(&call, &WITHDRAW)?.first() {
                    None => None,
                    Some((_, number)) => Some(document_number(number)?),
                };
                let request = call.request()?;
                let exchange = &call.app().exchange;
                let answered = exchange.withdraw_dispense(&caller, id, result, reason, &request).await?;
                Ok(written(&call, StatusCode::OK, &caller, &answered))
            })
        })
        .described(about)
}

async fn send(
    call: &Call,
    id: PrescriptionId,
    purpose: Purpose,
    important: bool,
) -> Result<Response, Problem> {
    let caller = call.caller().await?;
    call.acceptable(FHIR)?;
    let sent = SentResult { purpose, important, form: call.form()?, original: call.body.clone() };
    let answered = call.app().exchange.dispense(&caller, id, &sent, &call.request()?).await?;
    Ok(written(call, StatusCode::OK, &caller, &answered))
}

fn truth(name: &str, value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| bad_query(&format!("{name} is true or false")))
}

//! `/fhir/Task`: one prescription is one Task.

use http::{HeaderValue, StatusCode, header};
use warp::Filter;
use warp::reply::Response;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, Return, call, respond};
use super::endpoint::{By, Described, Endpoint, Form, Kind, OWNERS, Query, SIGNED, route};
use super::problem::Problem;
use super::shape::{FORMAT, is_shape};
use crate::codec::fhir;
use crate::codec::fhir::detected_issue::detected_issue;
use crate::codec::fhir::parameters::{Part, parameters};
use crate::codec::fhir::verdict::verification;
use crate::exchange::accept::{Accepted, Wanted};
use crate::exchange::caller::Caller;
use crate::exchange::error::ExchangeError;
use crate::exchange::form::MEDIA_TYPES;
use crate::exchange::read::Which;
use crate::exchange::register::Sent;
use crate::exchange::{Answered, TaskOutcome};
use crate::prescription::access::AccessAct;
use crate::prescription::state;
use crate::store::PrescriptionId;

mod dispensing;
mod history;
mod search;
pub(super) use dispensing::{amend_dispense, dispense, withdraw_dispense};
pub(super) use history::{events, feed, history, version};
pub(super) use search::search;

const ACCEPT: [&str; 2] = ["exchangeNumber", "prescription"];
const REASON: [&str; 1] = ["reason"];
/// Why an act of the holder is refused.
const HOLDER: &[&str] = &["already-dispensed", "cancelled", "expired", "state-conflict"];
const REGISTER: [Query; 1] = [Query {
    name: "kind",
    kind: Kind::Word(&["in-house"]),
    about: "in-house (院内) when the clinic gives the medicines out itself",
}];
const VERSION: Query = Query {
    name: "version",
    kind: Kind::Number(1, 32767),
    about: "which document, from 1; the last unless given",
};
const DOCUMENT: [Query; 2] = [
    VERSION,
    Query {
        name: "part",
        kind: Kind::Word(&["prescription", "dispensing"]),
        about: "prescription unless given",
    },
];

/// `POST /fhir/Task/$register`
pub(super) fn register(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / "$register");
    let about = about
        .does("Registers a prescription (処方箋登録): a signed one, the unsigned copy of one on paper, or one given out in-house")
        .by(&[By::Clinic], AccessAct::Register)
        .identity_token(false)
        .query(&REGISTER)
        .takes(MEDIA_TYPES)
        .repeatable()
        .prefer()
        .answers(StatusCode::CREATED, Form::Resource("Task"))
        .header("Location")
        .header("ETag")
        .refuses(SIGNED)
        .refuses(&["document-mismatch", "expired", "identity-not-verified", "too-many-attempts"])
        .refuses(&["medication-check-unresolved", "duplicate-document"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let sent = registration(&call)?;
                let answered = call.app().exchange.register(&caller, &sent, &call.request()?).await?;
                let location = format!("{}/fhir/Task/{}", call.app().base_url, answered.outcome.task.id);
                let mut response = written(&call, StatusCode::CREATED, &caller, &answered);
                if let Ok(value) = HeaderValue::from_str(&location) {
                    response.headers_mut().insert(header::LOCATION, value);
                }
                Ok(response)
            })
        })
        .described(about)
}

/// What a clinic registers: in-house by `kind`, else as the form says.
fn registration(call: &Call) -> Result<Sent, Problem> {
    let form = call.form()?;
    let kind = match query(call, &REGISTER)?.first() {
        Some((_, kind)) if kind == "in-house" => state::Kind::InHouse,
        Some(_) => return Err(bad_query("kind is in-house, or left out")),
        None if form.is_signed() => state::Kind::Electronic,
        None => state::Kind::Paper,
    };
    Ok(Sent { kind, form, original: call.body.clone() })
}

/// `POST /fhir/Task/{id}/$amend`
pub(super) fn amend(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$amend");
    let about = about
        .does("Puts another document in the place of one that nobody has used (処方箋変更)")
        .by(&[By::Clinic], AccessAct::Amend)
        .identity_token(false)
        .takes(MEDIA_TYPES)
        .task_write()
        .refuses(&["held-by-pharmacy", "already-dispensed", "cancelled", "expired", "state-conflict"])
        .refuses(SIGNED)
        .refuses(&["document-mismatch", "identity-not-verified", "too-many-attempts"])
        .refuses(&["medication-check-unresolved", "duplicate-document"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let (form, request) = (call.form()?, call.request()?);
                let body = call.body.clone();
                let answered = call.app().exchange.amend(&caller, id, form, body, &request).await?;
                Ok(written(&call, StatusCode::OK, &caller, &answered))
            })
        })
        .described(about)
}

/// `POST /fhir/Task/$accept`
pub(super) fn accept(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / "$accept");
    let about = about
        .does("Retrieves a prescription and holds it (処方箋受付)")
        .by(&[By::Pharmacy], AccessAct::Accept)
        .identity_token(true)
        .parameters(&ACCEPT)
        .repeatable()
        .if_match()
        .answers(StatusCode::OK, Form::Resource("Parameters"))
        .header("ETag")
        .refuses(&["not-found", "consent-required", "exchange-number-unknown", "too-many-attempts"])
        .refuses(&["held-by-pharmacy", "already-dispensed", "cancelled", "expired", "not-yet-due"])
        .refuses(&["state-conflict"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.pharmacy()?;
                call.acceptable(FHIR)?;
                let wanted = wanted(&call)?;
                let request = call.request()?;
                let answered = call.app().exchange.accept(&caller, &wanted, &request).await?;
                Ok(accepted(&caller, &answered))
            })
        })
        .described(about)
}

/// How the pharmacy names the prescription: by number or by id, one of them.
fn wanted(call: &Call) -> Result<Wanted, Problem> {
    let given = call.parameters(&ACCEPT)?;
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
pub(super) fn cancel(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$cancel");
    let about = about
        .does("Takes a prescription back (処方箋取消)")
        .by(&[By::Clinic], AccessAct::Cancel)
        .parameters(&REASON)
        .task_write()
        .refuses(&["held-by-pharmacy", "already-dispensed", "cancelled", "expired", "state-conflict"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let answered = call.app().exchange.cancel(&caller, id, reason, &call.request()?).await?;
                Ok(written(&call, StatusCode::OK, &caller, &answered))
            })
        })
        .described(about)
}

/// `POST /fhir/Task/{id}/$renew`
pub(super) fn renew(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$renew");
    let about = about
        .does("Starts the lease of the holder anew")
        .by(&[By::Pharmacy], AccessAct::Renew)
        .task_write()
        .refuses(HOLDER);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let answered = call.app().exchange.renew(&caller, id, &call.request()?).await?;
                Ok(written(&call, StatusCode::OK, &caller, &answered))
            })
        })
        .described(about)
}

/// `POST /fhir/Task/{id}/$return`
pub(super) fn give_back(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$return");
    let about = about
        .does("Gives a prescription back undispensed (受付取消)")
        .by(&[By::Pharmacy], AccessAct::Return)
        .parameters(&REASON)
        .task_write()
        .refuses(HOLDER);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let answered = call.app().exchange.give_back(&caller, id, reason, &call.request()?).await?;
                Ok(written(&call, StatusCode::OK, &caller, &answered))
            })
        })
        .described(about)
}

/// `POST /fhir/Task/{id}/$collect`
pub(super) fn collect(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$collect");
    let about = about
        .does("Keeps a prescription for good: nothing more is dispensed on it (処方箋回収)")
        .by(&[By::Pharmacy], AccessAct::Collect)
        .parameters(&REASON)
        .task_write()
        .refuses(HOLDER);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let reason = reason(&call)?;
                let answered = call.app().exchange.collect(&caller, id, reason, &call.request()?).await?;
                Ok(written(&call, StatusCode::OK, &caller, &answered))
            })
        })
        .described(about)
}

/// `GET /fhir/Task/{id}`
pub(super) fn read(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / {id: PrescriptionId});
    let about = about
        .does("Reads where a prescription stands")
        .by(OWNERS, AccessAct::Read)
        .if_none_match()
        .answers(StatusCode::OK, Form::Resource("Task"))
        .header("ETag")
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let outcome = call.app().exchange.task_read(&caller, id, &call.request()?).await?;
                if call.holds(outcome.task.version) && as_changed(&caller, &outcome) {
                    let unchanged = answer::empty(StatusCode::NOT_MODIFIED);
                    return Ok(finish(unchanged, outcome.task.version, false));
                }
                Ok(task(StatusCode::OK, &caller, &Answered { outcome, replayed: false }))
            })
        })
        .described(about)
}

/// `GET /fhir/Task/{id}/$document`
pub(super) fn document(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / {id: PrescriptionId} / "$document");
    let about = about
        .does("Reads an original, byte for byte")
        .by(OWNERS, AccessAct::Document)
        .query(&DOCUMENT)
        .answers(StatusCode::OK, Form::Bytes(MEDIA_TYPES))
        .compressed()
        .refuses(&["not-found", "not-acceptable"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let which = which(&call)?;
                let document = call.app().exchange.document(&caller, id, which, &call.request()?).await?;
                call.acceptable(&document.media_type)?;
                Ok(answer::bytes(StatusCode::OK, &document.media_type, document.bytes))
            })
        })
        .described(about)
}

/// Which document `part` and `version` name.
fn which(call: &Call) -> Result<Which, Problem> {
    let (mut version, mut dispensing) = (None, false);
    for (name, value) in query(call, &DOCUMENT)? {
        match (name.as_str(), value.as_str()) {
            ("part", "prescription") => dispensing = false,
            ("part", "dispensing") => dispensing = true,
            ("version", number) => version = Some(document_number(number)?),
            _ => return Err(bad_query("part is prescription or dispensing")),
        }
    }
    Ok(if dispensing { Which::Dispensing(version) } else { Which::Prescription(version) })
}

/// The number of a document, from 1.
fn document_number(text: &str) -> Result<i16, Problem> {
    let number = text.parse().ok().filter(|number| *number >= 1);
    number.ok_or_else(|| bad_query("version is a number from 1"))
}

/// The reason the contract asks for. A missing body is a missing reason.
fn reason(call: &Call) -> Result<String, Problem> {
    call.acceptable(FHIR)?;
    Ok(call.parameters(&REASON)?.need("reason")?.to_owned())
}

/// What a query asks for, as pairs; a name that is not known is refused. What only shapes the answer is left out: of
/// that `_format` is known everywhere, and [`Call::acceptable`] decides on it.
pub(super) fn query(call: &Call, known: &[Query]) -> Result<Vec<(String, String)>, Problem> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(&call.query).map_err(|_| bad_query("the query cannot be read"))?;
    for (place, (name, _)) in pairs.iter().enumerate() {
        let repeats = pairs[..place].iter().any(|(other, _)| other == name);
        match known.iter().chain([&FORMAT]).find(|query| query.name == name) {
            Some(query) if repeats && query.kind != Kind::Date => {
                return Err(bad_query(&format!("{} is given once", query.name)));
            }
            Some(_) => {}
            None => {
                let known: Vec<_> = known.iter().map(|query| query.name).collect();
                return Err(bad_query(&format!("known parameters: {}", known.join(", "))));
            }
        }
    }
    Ok(pairs.into_iter().filter(|(name, _)| !is_shape(name)).collect())
}

pub(super) fn bad_query(text: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", text)
}

fn task(status: StatusCode, caller: &Caller, answered: &Answered<TaskOutcome>) -> Response {
    let TaskOutcome { task, at, coverage } = &answered.outcome;
    let resource = fhir::task::task(task, caller.viewer(&task.clinic), *at).with_coverage(coverage);
    finish(answer::fhir(status, &resource), task.version, answered.replayed)
}

/// What a write of a Task answers, with or without the Task, as the caller prefers.
fn written(call: &Call, status: StatusCode, caller: &Caller, answered: &Answered<TaskOutcome>) -> Response {
    let (mut response, applied) = match call.preferred() {
        None => return task(status, caller, answered),
        Some(Return::Representation) => (task(status, caller, answered), "return=representation"),
        Some(Return::Minimal) => {
            let status = if status == StatusCode::OK { StatusCode::NO_CONTENT } else { status };
            let (version, replayed) = (answered.outcome.task.version, answered.replayed);
            (finish(answer::empty(status), version, replayed), "return=minimal")
        }
    };
    response.headers_mut().insert("preference-applied", HeaderValue::from_static(applied));
    response
}

/// Whether the Task shows what it has shown since its last change, so that its version says all there is to it: the
/// clock alone may show it otherwise.
fn as_changed(caller: &Caller, outcome: &TaskOutcome) -> bool {
    let TaskOutcome { task, at, .. } = outcome;
    let viewer = caller.viewer(&task.clinic);
    let shown = |at| fhir::task::task(task, viewer, at);
    shown(*at) == shown(task.changed_at)
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
    let rendered = fhir::task::task(&task.task, caller.viewer(&task.task.clinic), task.at);
    let findings = fhir::collection(
        findings.iter().map(|row| detected_issue(row.id, &row.finding, row.mitigation.as_ref(), *disclosure)),
    );
    let document = fhir::object([
        ("resourceType", "Binary".into()),
        ("contentType", media_type.as_str().into()),
        ("data", base64::prelude::BASE64_STANDARD.encode(delivered).into()),
    ]);
    let body = parameters(vec![
        Part::resource("task", rendered),
        Part::resource("document", document),
        verification(verdict.as_ref()),
        Part::resource("findings", findings),
    ]);
    finish(answer::fhir(StatusCode::OK, &body), task.task.version, answered.replayed)
}

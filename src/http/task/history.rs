//! `_history` and `$events`: what became of prescriptions, version by version.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use warp::Filter;
use warp::reply::{Reply, Response};
use warp::sse::Event;

use super::super::App;
use super::super::answer::{self, FHIR};
use super::super::call::{Call, call, respond};
use super::super::endpoint::{Described, Endpoint, FACILITIES, Form, Kind, OWNERS, Query, route};
use super::super::problem::Problem;
use super::{bad_query, finish, query};
use crate::codec::fhir;
use crate::codec::fhir::task::{Task, instant};
use crate::exchange::caller::Caller;
use crate::exchange::error::ExchangeError;
use crate::exchange::follow::{Change, Seat};
use crate::prescription::access::AccessAct;
use crate::prescription::registered::Registered;
use crate::store::PrescriptionId;
use crate::store::feed::{BATCH, Place};

const EVENT_STREAM: &str = "text/event-stream";
/// How often a stream says that it is alive, and asks whether its token still is.
const ALIVE: Duration = Duration::from_secs(15);
/// When to come again for a seat.
const SEAT_WAIT: Duration = Duration::from_secs(30);
const CURSOR: Query =
    Query { name: "_cursor", kind: Kind::Opaque, about: "go on from here: as an earlier answer gave it" };
const FEED: [Query; 2] = [
    CURSOR,
    Query { name: "_count", kind: Kind::Number(1, BATCH), about: "entries of a page; 100 unless given" },
];
const EVENTS: [Query; 1] = [CURSOR];

/// `GET /fhir/Task/{id}/_history`
pub(in super::super) fn history(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / {id: PrescriptionId} / "_history");
    let about = about
        .does("Every version of a prescription, the last first")
        .by(OWNERS, AccessAct::History)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                query(&call, &[])?;
                let versions = call.app().exchange.task_history(&caller, id, &call.request()?).await?;
                let entries = versions.iter().map(|version| entry(&call, &caller, version)).collect();
                let url = format!("{}/fhir/Task/{}/_history", call.app().base_url, id.as_uuid());
                let mut bundle = bundle(entries, &[json!({ "relation": "self", "url": url })]);
                bundle["total"] = json!(versions.len());
                Ok(answer::fhir(StatusCode::OK, &bundle))
            })
        })
        .described(about)
}

/// `GET /fhir/Task/{id}/_history/{version}`
pub(in super::super) fn version(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / {id: PrescriptionId} / "_history" / {version: u32});
    let about = about
        .does("A prescription as one change left it")
        .by(OWNERS, AccessAct::History)
        .answers(StatusCode::OK, Form::Resource("Task"))
        .header("ETag")
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, version: u32, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                query(&call, &[])?;
                let versions = call.app().exchange.task_history(&caller, id, &call.request()?).await?;
                let found = versions.iter().find(|found| found.version == i64::from(version));
                let found = found.ok_or(ExchangeError::NotFound)?;
                Ok(finish(answer::fhir(StatusCode::OK, &as_left(&caller, found)), found.version, false))
            })
        })
        .described(about)
}

/// `GET /fhir/Task/_history`
pub(in super::super) fn feed(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / "_history");
    let about = about
        .does("The changes of the caller's prescriptions in their order, each once")
        .by(FACILITIES, AccessAct::Follow)
        .query(&FEED)
        .answers(StatusCode::OK, Form::Resource("Bundle"));
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let (mut after, mut count) = (Place::default(), BATCH);
                for (name, value) in query(&call, &FEED)? {
                    match name.as_str() {
                        "_cursor" => after = place(&call, &caller, &value)?,
                        _ => count = count_read(&value)?,
                    }
                }
                let request = call.request()?;
                let changes = call.app().exchange.task_changes(&caller, after, count, &request).await?;
                let end = changes.last().map_or(after, |change| change.place);
                let mut links = vec![feed_link(&call, &caller, "self", after, count)?];
                links.push(feed_link(&call, &caller, "feed", end, count)?);
                if changes.len() == count as usize {
                    links.push(feed_link(&call, &caller, "next", end, count)?);
                }
                let entries = changes.iter().map(|change| entry(&call, &caller, &change.task)).collect();
                Ok(answer::fhir(StatusCode::OK, &bundle(entries, &links)))
            })
        })
        .described(about)
}

fn count_read(value: &str) -> Result<u32, Problem> {
    let count = value.parse().ok().filter(|count| (1..=BATCH).contains(count));
    count.ok_or_else(|| bad_query("_count is a number from 1 to 100"))
}

fn place(call: &Call, caller: &Caller, text: &str) -> Result<Place, Problem> {
    let place = call.app().exchange.place_read(caller, text)?;
    place.ok_or_else(|| bad_query("go on with a cursor as your facility was given it"))
}

/// A link to the feed from a place on.
pub(super) fn feed_link(
    call: &Call,
    caller: &Caller,
    relation: &str,
    place: Place,
    count: u32,
) -> Result<Value, Problem> {
    let cursor = call.app().exchange.place_write(caller, place)?;
    let url = format!("{}/fhir/Task/_history?_count={count}&_cursor={cursor}", call.app().base_url);
    Ok(json!({ "relation": relation, "url": url }))
}

fn bundle(entries: Vec<Value>, links: &[Value]) -> Value {
    let mut bundle = json!({ "resourceType": "Bundle", "type": "history", "link": links });
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    bundle
}

/// The Task as a change left it, shown as at that moment: later the clock alone may show it otherwise.
fn as_left<'a>(caller: &Caller, task: &'a Registered) -> Task<'a> {
    fhir::task::task(task, caller.viewer(&task.clinic), task.changed_at)
}

fn entry(call: &Call, caller: &Caller, task: &Registered) -> Value {
    let (method, url, status) = match task.version {
        1 => ("POST", "Task".to_owned(), "201"),
        _ => ("PUT", format!("Task/{}", task.id), "200"),
    };
    json!({
        "fullUrl": format!("{}/fhir/Task/{}", call.app().base_url, task.id),
        "resource": as_left(caller, task),
        "request": { "method": method, "url": url },
        "response": {
            "status": status,
            "etag": format!("W/\"{}\"", task.version),
            "lastModified": instant(task.changed_at),
        },
    })
}

/// `GET /fhir/Task/$events`
pub(in super::super) fn events(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / "$events");
    let about = about
        .does("The same changes as server-sent events, as they happen")
        .by(FACILITIES, AccessAct::Follow)
        .query(&EVENTS)
        .answers(StatusCode::OK, Form::Bytes(&[EVENT_STREAM]))
        .refuses(&["not-acceptable", "too-many-requests"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(EVENT_STREAM)?;
                let exchange = &call.app().exchange;
                let given = query(&call, &EVENTS)?;
                let seat = exchange.feed_seat(&caller)?.ok_or_else(no_seat)?;
                let last = call.header("last-event-id").or(given.first().map(|(_, value)| value.as_str()));
                let after = match last {
                    Some(text) => place(&call, &caller, text)?,
                    None => exchange.feed_end().await?,
                };
                Ok(event_stream(call, caller, seat, after))
            })
        })
        .described(about)
}

fn no_seat() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-requests",
        "your facility has its streams open already",
    )
    .retry_after(SEAT_WAIT)
}

fn event_stream(call: Call, caller: Caller, seat: Seat, after: Place) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(tell(call, caller, seat, after, sender));
    let events = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    let mut response =
        warp::sse::reply(warp::sse::keep_alive().interval(ALIVE).stream(events)).into_response();
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

/// Tells one follower until it goes, its token ends, or the server stops. Whoever is cut off comes again with the
/// last id it has.
async fn tell(call: Call, caller: Caller, mut seat: Seat, mut after: Place, sender: mpsc::Sender<Event>) {
    let mut ended = seat.ended();
    let told = async {
        let mut alive = tokio::time::interval(ALIVE);
        alive.tick().await;
        loop {
            let Ok(changes) = tell_next(&call, &caller, after).await else { return };
            let more = changes.len() == BATCH as usize;
            for change in changes {
                let Ok(event) = event(&call, &caller, &change) else { return };
                if sender.send(event).await.is_err() {
                    return;
                }
                after = change.place;
            }
            if more {
                continue;
            }
            loop {
                tokio::select! {
                    () = seat.woken() => break,
                    () = sender.closed() => return,
                    _ = alive.tick() => if call.caller().await.is_err() { return },
                }
            }
        }
    };
    tokio::select! {
        () = told => {}
        _ = ended.wait_for(|ended| *ended) => {}
    }
}

async fn tell_next(call: &Call, caller: &Caller, after: Place) -> Result<Vec<Change>, Problem> {
    Ok(call.app().exchange.task_changes(caller, after, BATCH, &call.request()?).await?)
}

fn event(call: &Call, caller: &Caller, change: &Change) -> Result<Event, Problem> {
    let id = call.app().exchange.place_write(caller, change.place)?;
    let event = Event::default().id(id).event("Task").json_data(as_left(caller, &change.task));
    Ok(event.map_err(|_| ExchangeError::Internal("a Task has JSON"))?)
}

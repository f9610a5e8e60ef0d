//! `GET /fhir/MedicationRequest` and `/fhir/MedicationDispense`: the shared history, page by page.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use http::StatusCode;
use serde_json::{Value, json};
use warp::Filter;
use warp::reply::Response;

use super::App;
use super::answer::FHIR;
use super::call::{Call, call, respond};
use super::date::{Range, narrow};
use super::endpoint::{Described, Endpoint, Form, Kind, OWNERS, Query, route};
use super::paging;
use super::problem::Problem;
use super::shape::{self, SUMMARY};
use super::task::{bad_query, query};
use crate::clock::japanese_date;
use crate::codec::fhir::medication_history::{claimed, medication_dispense, medication_request, medicine_id};
use crate::exchange::app::scope::Readable;
use crate::exchange::caller::Caller;
use crate::exchange::error::ExchangeError;
use crate::exchange::history::{HistoryCursor, HistoryPage, HistorySearch, Record, Side};
use crate::prescription::access::AccessAct;
use crate::prescription::reported::Content;

/// Records a page has unless `_count` says otherwise, and at most.
const PAGE: (u32, u32) = (50, 200);
const PARAMETERS: [Query; 5] = [
    Query {
        name: "patient",
        kind: Kind::Token,
        about: "the patient's own id; the tokens say whose history it is",
    },
    Query {
        name: "date",
        kind: Kind::Date,
        about: "first day of the medicine; the last 100 days unless given",
    },
    Query { name: "_count", kind: Kind::Number(1, PAGE.1), about: "entries of a page; 50 unless given" },
    Query { name: "cursor", kind: Kind::Opaque, about: "only as the next link gives it" },
    SUMMARY,
];

/// `GET /fhir/MedicationRequest`
pub(super) fn requests(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "MedicationRequest");
    let about = about
        .does("The shared history: what was prescribed")
        .by(OWNERS, AccessAct::HistoryPrescribed)
        .identity_token(false)
        .query(&PARAMETERS)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["role-mismatch", "consent-required", "not-found"]);
    path.and(call(app, &about))
        .then(|call: Call| respond(async move { search(&call, Side::Prescribed).await }))
        .described(about)
}

/// `GET /fhir/MedicationDispense`
pub(super) fn dispenses(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "MedicationDispense");
    let about = about
        .does("The shared history: what was given out, with what institutions claimed for")
        .by(OWNERS, AccessAct::HistoryGivenOut)
        .identity_token(false)
        .query(&PARAMETERS)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["role-mismatch", "consent-required", "not-found"]);
    path.and(call(app, &about))
        .then(|call: Call| respond(async move { search(&call, Side::GivenOut).await }))
        .described(about)
}

async fn search(call: &Call, side: Side) -> Result<Response, Problem> {
    let caller = call
        .reader(match side {
            Side::Prescribed => Readable::MedicationRequest,
            Side::GivenOut => Readable::MedicationDispense,
        })
        .await?;
    call.acceptable(FHIR)?;
    let given = query(call, &PARAMETERS)?;
    let search = read(&caller, &given, side, call.app().exchange.clock().now())?;
    let (exchange, token) = (&call.app().exchange, call.header("identity-token"));
    let page = exchange.history_search(&caller, token, &search, medicine_id, &call.request()?).await?;
    let given = [given, shape::pairs(&call.query)].concat();
    shape::found(call, bundle(call, &given, side, &page))
}

fn read(
    caller: &Caller,
    given: &[(String, String)],
    side: Side,
    now: DateTime<Utc>,
) -> Result<HistorySearch, Problem> {
    let mut search =
        HistorySearch { side, days: (None, None), without: Vec::new(), count: PAGE.0 as usize, after: None };
    let mut range = Range::default();
    for (name, value) in given {
        match name.as_str() {
            "patient" => {
                let id = value.strip_prefix("Patient/").unwrap_or(value);
                if caller.patient().is_none_or(|patient| patient.to_string() != id) {
                    return Err(ExchangeError::NotFound.into());
                }
            }
            "date" => narrow(&mut range, value, now)?,
            "_count" => {
                let count = value.parse().ok().filter(|count| (1..=PAGE.1).contains(count));
                search.count = count.ok_or_else(|| bad_query("_count is a number from 1 to 200"))? as usize;
            }
            _ => {
                let cursor = cursor_read(value).ok_or_else(|| bad_query("follow the next link as given"))?;
                search.after = Some(cursor);
            }
        }
    }
    // The range ends before its second instant.
    let last = |end: DateTime<Utc>| japanese_date(end - TimeDelta::microseconds(1));
    search.days = (range.bounds.0.map(japanese_date), range.bounds.1.map(last));
    search.without = range.without.into_iter().filter_map(whole_days).collect();
    Ok(search)
}

/// First and last of the days that lie wholly between two instants: a medicine has a day, and no instant is all of it.
fn whole_days((start, end): (DateTime<Utc>, DateTime<Utc>)) -> Option<(NaiveDate, NaiveDate)> {
    let first = japanese_date(start - TimeDelta::microseconds(1)).succ_opt()?;
    Some((first, japanese_date(end).pred_opt()?))
}

fn cursor_write(cursor: &HistoryCursor) -> String {
    paging::cursor_write(cursor.day, &cursor.id)
}

fn cursor_read(text: &str) -> Option<HistoryCursor> {
    let (day, id) = paging::cursor_read(text)?;
    Some(HistoryCursor { day: day.parse().ok()?, id })
}

fn resource(side: Side, id: &str, record: &Record) -> Option<Value> {
    match (record, side) {
        (Record::Medicine(entry, period), Side::Prescribed) => Some(medication_request(entry, period, id)),
        (Record::Medicine(entry, period), Side::GivenOut) => Some(medication_dispense(entry, period, id)),
        (Record::Claim(entry), _) => match &entry.content {
            Content::Claim(claim) => Some(claimed(entry, claim)),
            Content::Allergy(_) | Content::Medicine(_) => None,
        },
    }
}

fn bundle(call: &Call, given: &[(String, String)], side: Side, page: &HistoryPage) -> Value {
    let kind = match side {
        Side::Prescribed => "MedicationRequest",
        Side::GivenOut => "MedicationDispense",
    };
    let base = format!("{}/fhir/{kind}", call.app().base_url);
    let links = paging::links(&base, given, page.next.as_ref().map(cursor_write).as_deref());
    let entry = |(cursor, record): &(HistoryCursor, Record)| {
        let resource = resource(side, &cursor.id, record)?;
        Some(json!({
            "fullUrl": format!("{base}/{}", cursor.id), "resource": resource, "search": { "mode": "match" },
        }))
    };
    let entries: Vec<Value> = page.records.iter().filter_map(entry).collect();
    let mut bundle =
        json!({ "resourceType": "Bundle", "type": "searchset", "total": page.total, "link": links });
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    bundle
}

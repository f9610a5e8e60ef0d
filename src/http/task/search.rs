//! `GET /fhir/Task?…`: the caller's own prescriptions, page by page.

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::json;
use warp::Filter;

use super::super::App;
use super::super::answer::{self, FHIR};
use super::super::call::{Call, call, respond};
use super::super::date::{Range, narrow};
use super::super::endpoint::{Described, Endpoint, Form, Kind, OWNERS, Query, route};
use super::super::paging;
use super::super::problem::Problem;
use super::super::shape::{self, SUMMARY, Summary};
use super::history::feed_link;
use super::{bad_query, query};
use crate::codec::fhir;
use crate::codec::fhir::task::{EXCHANGE_NUMBER, status};
use crate::exchange::caller::Caller;
use crate::exchange::read::{Page, Search};
use crate::prescription::access::AccessAct;
use crate::prescription::registered::{Registered, Viewer};
use crate::prescription::state::Shown;
use crate::store::prescription::Cursor;

const SHOWN: [Shown; 8] = [
    Shown::Issued,
    Shown::AwaitingNextUse,
    Shown::Accepted,
    Shown::PartlyDispensed,
    Shown::Dispensed,
    Shown::Cancelled,
    Shown::Collected,
    Shown::Expired,
];
const PARAMETERS: [Query; 8] = [
    Query { name: "status", kind: Kind::Token, about: "Task.status, several joined by commas" },
    Query {
        name: "business-status",
        kind: Kind::Token,
        about: "Task.businessStatus, several joined by commas",
    },
    Query { name: "authored-on", kind: Kind::Date, about: "when it was registered" },
    Query { name: "_lastUpdated", kind: Kind::Date, about: "when it last changed" },
    Query { name: "identifier", kind: Kind::Token, about: "a prescription id" },
    Query { name: "_count", kind: Kind::Number(1, PAGE.1), about: "entries of a page; 20 unless given" },
    Query { name: "cursor", kind: Kind::Opaque, about: "only as the next link gives it" },
    SUMMARY,
];
/// Prescriptions a page has unless `_count` says otherwise, and at most.
const PAGE: (u32, u32) = (20, 100);

/// `GET /fhir/Task`
pub(in super::super) fn search(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task");
    let about = about
        .does("Searches the caller's prescriptions; with an identity token, those of that patient that wait (処方箋一覧)")
        .by(OWNERS, AccessAct::Search)
        .identity_token(false)
        .query(&PARAMETERS)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["consent-required"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let given = query(&call, &PARAMETERS)?;
                let search = read(&given, call.app().exchange.clock().now())?;
                let given = [given, shape::pairs(&call.query)].concat();
                if shape::wanted(&call)? == Summary::Count {
                    let total = call.app().exchange.task_count(&caller, &search, &call.request()?).await?;
                    let total = total.ok_or_else(|| bad_query("too many to count: narrow the search"))?;
                    let links = paging::links(&base(&call), &given, None);
                    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": total, "link": links });
                    return Ok(answer::fhir(StatusCode::OK, &bundle));
                }
                let feed = feed(&call, &caller, &search).await?;
                let page = call.app().exchange.task_search(&caller, &search, &call.request()?).await?;
                shape::found(&call, bundle(&call, &given, &page, feed, |task| caller.viewer(&task.clinic)))
            })
        })
        .described(about)
}

/// Where to go on after a search by change: taken before the search, so that nothing falls between the two.
async fn feed(call: &Call, caller: &Caller, search: &Search) -> Result<Option<serde_json::Value>, Problem> {
    let by_change = search.filter.changed != (None, None) && search.after.is_none();
    if !by_change || caller.facility().is_err() {
        return Ok(None);
    }
    let end = call.app().exchange.feed_end().await?;
    feed_link(call, caller, "feed", end, PAGE.1).map(Some)
}

fn read(given: &[(String, String)], now: DateTime<Utc>) -> Result<Search, Problem> {
    let mut search = Search { count: PAGE.0 as usize, ..Search::default() };
    let (mut registered, mut changed) = (Range::default(), Range::default());
    for (name, value) in given {
        match name.as_str() {
            "status" | "business-status" => {
                let wanted: Vec<&str> =
                    value.split(',').map(|code| code.rsplit('|').next().unwrap_or(code)).collect();
                let fits = |shown: &Shown| {
                    let (task, business) = status(*shown);
                    wanted.contains(if name == "status" { &task } else { &business })
                };
                let named: Vec<Shown> = SHOWN.into_iter().filter(fits).collect();
                if named.is_empty() {
                    return Err(bad_query("unknown status"));
                }
                if search.shown.is_empty() {
                    search.shown = named;
                } else {
                    search.shown.retain(|shown| named.contains(shown));
                    if search.shown.is_empty() {
                        return Err(bad_query("status and business-status exclude each other"));
                    }
                }
            }
            "authored-on" => narrow(&mut registered, value, now)?,
            "_lastUpdated" => narrow(&mut changed, value, now)?,
            "identifier" => {
                let id = value.rsplit('|').next().unwrap_or_default();
                if value.starts_with(EXCHANGE_NUMBER) {
                    return Err(bad_query("numbers never travel in a URL; search by prescription id"));
                }
                let id = id.strip_prefix("urn:uuid:").unwrap_or(id);
                search.filter.id =
                    Some(id.parse().map_err(|_| bad_query("identifier is a prescription id"))?);
            }
            "_count" => {
                search.count = value
                    .parse()
                    .ok()
                    .filter(|count| (1..=PAGE.1).contains(count))
                    .map(|count| count as usize)
                    .ok_or_else(|| bad_query("_count is a number from 1 to 100"))?;
            }
            _ => {
                let cursor = cursor_read(value).ok_or_else(|| bad_query("follow the next link as given"))?;
                search.after = Some(cursor);
            }
        }
    }
    (search.filter.registered, search.registered_without) = (registered.bounds, registered.without);
    (search.filter.changed, search.changed_without) = (changed.bounds, changed.without);
    Ok(search)
}

fn base(call: &Call) -> String {
    format!("{}/fhir/Task", call.app().base_url)
}

fn cursor_write(cursor: Cursor) -> String {
    paging::cursor_write(cursor.changed_at.timestamp_micros(), cursor.id)
}

fn cursor_read(text: &str) -> Option<Cursor> {
    let (micros, id) = paging::cursor_read(text)?;
    Some(Cursor { changed_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?, id: id.parse().ok()? })
}

fn bundle(
    call: &Call,
    given: &[(String, String)],
    page: &Page,
    feed: Option<serde_json::Value>,
    viewer: impl Fn(&Registered) -> Viewer,
) -> serde_json::Value {
    let base = base(call);
    let mut links = paging::links(&base, given, page.next.map(cursor_write).as_deref());
    links.extend(feed);
    let entry: Vec<_> = page
        .tasks
        .iter()
        .map(|outcome| {
            json!({
                "fullUrl": format!("{base}/{}", outcome.task.id),
                "resource": fhir::task::task(&outcome.task, viewer(&outcome.task), outcome.at),
                "search": { "mode": "match" },
            })
        })
        .collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": links });
    // Counting what other pages hold would be another pass over all of it.
    if page.next.is_none() && given.iter().all(|(name, _)| name != "cursor") {
        bundle["total"] = json!(entry.len());
    }
    if !entry.is_empty() {
        bundle["entry"] = entry.into();
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor =
            Cursor { changed_at: "2026-04-01T00:00:00.123456Z".parse().unwrap(), id: uuid::Uuid::nil() };
        assert_eq!(cursor_read(&cursor_write(cursor)), Some(cursor));
        assert_eq!(cursor_read("x"), None);
    }
}

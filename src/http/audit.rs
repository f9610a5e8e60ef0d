//! `GET /fhir/AuditEvent`: the patient reads who looked and acted.

use http::StatusCode;
use serde_json::{Value, json};
use warp::Filter;

use super::App;
use super::answer::FHIR;
use super::call::{Call, call, respond};
use super::date::{Range, narrow};
use super::endpoint::{By, Described, Endpoint, Form, Kind, Query, route};
use super::paging;
use super::problem::Problem;
use super::shape::{self, SUMMARY, Summary};
use super::task::{bad_query, query};
use crate::codec::fhir::audit_event::audit_event;
use crate::exchange::audit::{AccessCursor, AccessPage, AccessSearch};
use crate::prescription::access::AccessAct;
use crate::store::access::Written;

/// Records a page has unless `_count` says otherwise, and at most.
const PAGE: (u32, u32) = (50, 200);
const PARAMETERS: [Query; 4] = [
    Query { name: "date", kind: Kind::Date, about: "when it was recorded" },
    Query { name: "_count", kind: Kind::Number(1, PAGE.1), about: "entries of a page; 50 unless given" },
    Query { name: "cursor", kind: Kind::Opaque, about: "only as the next link gives it" },
    SUMMARY,
];

/// `GET /fhir/AuditEvent`
pub(super) fn list(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "AuditEvent");
    let about = about
        .does("Tells the patient of every look at the patient's data and every act, refused ones too (アクセス記録)")
        .by(&[By::Patient], AccessAct::AccessRecord)
        .query(&PARAMETERS)
        .answers(StatusCode::OK, Form::Resource("Bundle"));
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let given = query(&call, &PARAMETERS)?;
                let search = read(&given, call.app().exchange.clock().now())?;
                if shape::wanted(&call)? == Summary::Count {
                    return Err(bad_query("the access record is not counted: each count would add to it"));
                }
                let page = call.app().exchange.access_record(&caller, &search, &call.request()?).await?;
                let given = [given, shape::pairs(&call.query)].concat();
                shape::found(&call, bundle(&call, &given, &page))
            })
        })
        .described(about)
}

fn read(given: &[(String, String)], now: chrono::DateTime<chrono::Utc>) -> Result<AccessSearch, Problem> {
    let mut search = AccessSearch { written: Written::default(), count: PAGE.0 as usize, after: None };
    let mut range = Range::default();
    for (name, value) in given {
        match name.as_str() {
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
    let (from, until) = range.bounds;
    search.written = Written { from, until, without: range.without };
    Ok(search)
}

fn cursor_write(AccessCursor { at, id }: AccessCursor) -> String {
    paging::cursor_write(at.timestamp_micros(), id)
}

fn cursor_read(text: &str) -> Option<AccessCursor> {
    let (at, id) = paging::cursor_read(text)?;
    let at = chrono::DateTime::from_timestamp_micros(at.parse().ok()?)?;
    Some(AccessCursor { at, id: id.parse().ok()? })
}

fn bundle(call: &Call, given: &[(String, String)], page: &AccessPage) -> Value {
    let base = format!("{}/fhir/AuditEvent", call.app().base_url);
    let links = paging::links(&base, given, page.next.map(cursor_write).as_deref());
    let entry: Vec<Value> = page
        .records
        .iter()
        .map(|row| {
            json!({
                "fullUrl": format!("{base}/{}", row.id),
                "resource": audit_event(row, page.patient),
                "search": { "mode": "match" },
            })
        })
        .collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": links });
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
        let at = "2026-04-01T00:00:00.123456Z".parse().unwrap();
        let cursor = AccessCursor { at, id: uuid::Uuid::nil() };
        assert_eq!(cursor_read(&cursor_write(cursor)), Some(cursor));
        assert_eq!(cursor_read("x"), None);
    }
}

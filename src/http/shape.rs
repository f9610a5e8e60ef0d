//! What a query says of the shape of an answer: `_format`, which every FHIR answer takes (R4 http.html#parameters),
//! and `_summary`, which searches take (R4 search.html#summary). Knows nothing of what is searched for.

use http::StatusCode;
use serde_json::Value;
use warp::reply::Response;

use super::answer::{self, FHIR};
use super::call::Call;
use super::endpoint::{Kind, Query};
use super::problem::Problem;
use super::task::bad_query;
use crate::codec::fhir::summary::{summary, without_narrative};

/// Names of JSON, the only format there is.
const JSON: &[&str] = &["json", "application/json", FHIR, "text/json"];

/// Takes the place of `Accept`, for whoever cannot set a header.
pub(super) const FORMAT: Query =
    Query { name: "_format", kind: Kind::Shape(JSON), about: "takes the place of Accept" };
/// How much of what is found.
pub(super) const SUMMARY: Query = Query {
    name: "_summary",
    kind: Kind::Shape(&["true", "data", "count", "false"]),
    about: "true: the elements of R4's summary; count: the total alone; data: all but the narrative; false: everything",
};
/// What a search takes that asks for nothing.
pub(super) const SUMMARY_ALONE: &[Query] = &[SUMMARY];

/// What is answered of what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Summary {
    /// Everything.
    Whole,
    /// Everything but the narrative.
    Data,
    /// The elements of the summary.
    Elements,
    /// How many.
    Count,
}

/// The parameters of a query that shape the answer, as they were given: paging links repeat them.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    pairs.into_iter().filter(|(name, _)| is_shape(name)).collect()
}

/// Whether a parameter shapes the answer and asks for nothing.
pub(super) fn is_shape(name: &str) -> bool {
    [FORMAT, SUMMARY].iter().any(|query| query.name == name)
}

fn value(query: &str, name: &str) -> Option<String> {
    pairs(query).into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// Whether `_format` names a media type; `None` when it is not given.
pub(super) fn format_names(query: &str, media_type: &str) -> Option<bool> {
    let given = value(query, FORMAT.name)?;
    // A plus sign that was not escaped arrives as a space.
    let name = given.split(';').next().unwrap_or_default().trim().replace(' ', "+").to_ascii_lowercase();
    Some(media_type == FHIR && JSON.contains(&name.as_str()))
}

/// What `_summary` asks for.
pub(super) fn wanted(call: &Call) -> Result<Summary, Problem> {
    match value(&call.query, SUMMARY.name).as_deref() {
        None | Some("false") => Ok(Summary::Whole),
        Some("data") => Ok(Summary::Data),
        Some("true") => Ok(Summary::Elements),
        Some("count") => Ok(Summary::Count),
        Some(_) => Err(bad_query("_summary is true, data, count or false")),
    }
}

/// The answer of a search that has found `bundle`, which has its total when the total is asked for.
pub(super) fn found(call: &Call, mut bundle: Value) -> Result<Response, Problem> {
    match wanted(call)? {
        Summary::Whole => {}
        Summary::Elements => {
            for entry in bundle["entry"].as_array_mut().into_iter().flatten() {
                entry["resource"] = summary(&entry["resource"]);
            }
        }
        Summary::Data => {
            for entry in bundle["entry"].as_array_mut().into_iter().flatten() {
                without_narrative(&mut entry["resource"]);
            }
        }
        Summary::Count => {
            if let Some(bundle) = bundle.as_object_mut() {
                bundle.remove("entry");
            }
            if let Some(links) = bundle["link"].as_array_mut() {
                links.retain(|link| link["relation"] == "self");
            }
        }
    }
    Ok(answer::fhir(StatusCode::OK, &bundle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_in_many_ways() {
        for query in [
            "_format=json",
            "a=b&_format=application/fhir%2Bjson",
            "_format=application/fhir+json",
            "_format=Application/JSON;charset=utf-8",
            "_format=text/json",
        ] {
            assert_eq!(format_names(query, FHIR), Some(true), "{query}");
            assert_eq!(format_names(query, "application/pdf"), Some(false), "{query}");
        }
        for query in ["_format=xml", "_format=", "_format=application/fhir%2Bxml", "_format=ttl"] {
            assert_eq!(format_names(query, FHIR), Some(false), "{query}");
        }
        assert_eq!(format_names("format=xml", FHIR), None);
    }

    #[test]
    fn what_shapes_the_answer_is_told_from_what_is_asked_for() {
        let given = pairs("status=requested&_summary=true&_count=2&_format=json");
        let names: Vec<&str> = given.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["_summary", "_format"]);
    }
}

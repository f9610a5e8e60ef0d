//! `/fhir/metadata`: the endpoints' descriptions as a FHIR R4 `CapabilityStatement`.

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use warp::Filter;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{About, Book, Described, Endpoint, Form, Kind, route};
use crate::codec::fhir::HIKIKAE;
use crate::codec::fhir::task::instant;

/// `GET /fhir/metadata`
pub(super) fn metadata(book: &Book, app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "metadata");
    let about = about
        .does("What this server can do, as FHIR says it")
        .answers(StatusCode::OK, Form::Resource("CapabilityStatement"))
        .compressed();
    let (book, since) = (book.clone(), app.exchange.clock().now());
    path.and(call(app, &about))
        .then(move |call: Call| {
            let book = book.clone();
            respond(async move {
                call.acceptable(FHIR)?;
                let statement = statement(book.all(), &call.app().base_url, since);
                Ok(answer::fhir(StatusCode::OK, &statement))
            })
        })
        .described(about)
}

fn statement(book: &[About], base_url: &str, since: DateTime<Utc>) -> Value {
    let mut resources: Map<String, Value> = Map::new();
    let mut operations = Vec::new();
    for about in book {
        let segments: Vec<&str> = about.path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["fhir", operation] if operation.starts_with('$') => {
                operations.push(self::operation("", operation, about));
            }
            ["fhir", kind, rest @ ..] if kind.starts_with(char::is_uppercase) => {
                let resource = resources.entry((*kind).to_owned()).or_insert_with(|| json!({ "type": kind }));
                describe(resource, kind, rest, about);
            }
            _ => {}
        }
    }
    let mut rest = json!({
        "mode": "server",
        "security": {
            "service": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR",
            }] }],
            "description": "SMART Backend Services: a token of /oauth2/token for an assertion signed with the caller's certificate.",
        },
        "resource": resources.into_iter().map(|(_, resource)| resource).collect::<Vec<_>>(),
    });
    if !operations.is_empty() {
        rest["operation"] = operations.into();
    }
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(since),
        "kind": "instance",
        "software": { "name": "Hikikae", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "Hikikae (引換), an e-prescription exchange", "url": format!("{base_url}/fhir") },
        "fhirVersion": "4.0.1",
        "format": [FHIR, "json"],
        "rest": [rest],
    })
}

fn describe(resource: &mut Value, kind: &str, rest: &[&str], about: &About) {
    let interaction = match (&about.method, rest) {
        (_, [.., operation]) if operation.starts_with('$') => {
            push(resource, "operation", self::operation(&format!("{kind}-"), operation, about));
            return;
        }
        (&Method::GET, []) => "search-type",
        (&Method::POST, []) => "create",
        (&Method::GET, ["_history"]) => "history-type",
        (&Method::GET, [_]) => "read",
        (&Method::PUT, [_]) => "update",
        (&Method::DELETE, [_]) => "delete",
        (&Method::GET, [_, "_history"]) => "history-instance",
        (&Method::GET, [_, "_history", _]) => "vread",
        _ => return,
    };
    push(resource, "interaction", json!({ "code": interaction }));
    for query in about.query.iter().filter(|_| interaction == "search-type") {
        let kind = match query.kind {
            Kind::Token | Kind::Word(_) | Kind::Boolean => "token",
            Kind::Date | Kind::Day => "date",
            // `_count`, cursors and summaries shape the answer; they search nothing.
            Kind::Number(..) | Kind::Opaque | Kind::Shape(_) => continue,
        };
        push(
            resource,
            "searchParam",
            json!({ "name": query.name, "type": kind, "documentation": query.about }),
        );
    }
}

fn operation(prefix: &str, name: &str, about: &About) -> Value {
    let name = name.trim_start_matches('$');
    json!({
        "name": name,
        "definition": format!("{HIKIKAE}/OperationDefinition/{prefix}{name}"),
        "documentation": format!("{} {}: {}", about.method, about.path, about.summary),
    })
}

fn push(resource: &mut Value, list: &str, value: Value) {
    match resource[list].as_array_mut() {
        Some(list) => list.push(value),
        None => resource[list] = json!([value]),
    }
}

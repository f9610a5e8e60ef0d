//! `/openapi.json`: the endpoints' descriptions as OpenAPI 3.1. Knows no endpoint of its own but this one.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{self, FHIR};
use super::endpoint::{About, Book, By, Described, Endpoint, Form, Kind, Query, route};
use super::problem::status;
use warp::Filter;

/// `GET /openapi.json`
pub(super) fn openapi(book: &Book, base_url: &std::sync::Arc<str>) -> Endpoint {
    let (path, about) = route!(GET "openapi.json");
    let about = about.does("This description").answers(StatusCode::OK, Form::Json).compressed();
    let (book, base_url) = (book.clone(), base_url.clone());
    path.map(move || answer::json(StatusCode::OK, &document(book.all(), &base_url))).described(about)
}

fn document(book: &[About], base_url: &str) -> Value {
    let mut paths = Map::new();
    for about in book {
        let item = paths.entry(about.path).or_insert_with(|| json!({}));
        item[about.method.as_str().to_lowercase()] = operation(about, false);
        if about.method == Method::GET {
            item["head"] = operation(about, true);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hikikae (引換)",
            "summary": "An e-prescription exchange",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": base_url }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "oauth2",
                "flows": { "clientCredentials": { "tokenUrl": format!("{base_url}/oauth2/token"), "scopes": {} } },
            } },
            "schemas": schemas(book),
        },
    })
}

fn operation(about: &About, head: bool) -> Value {
    let method = if head { "head" } else { about.method.as_str() };
    let mut operation = json!({
        "operationId": format!("{} {}", method.to_lowercase(), about.path),
        "summary": about.summary,
        "security": if about.by.is_empty() { json!([]) } else { json!([{ "token": [] }]) },
        "responses": responses(about, head),
    });
    if !about.by.is_empty() {
        let by: Vec<&str> = about.by.iter().map(|by| caller(*by)).collect();
        operation["description"] = format!("With a token of: {}.", by.join(", ")).into();
        operation["x-callers"] = json!(by);
    }
    if let Some(act) = about.act {
        operation["x-act"] = act.as_str().into();
    }
    let parameters = parameters(about);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if !about.body.is_empty() {
        let content: Map<_, _> =
            about.body.iter().map(|media| ((*media).to_owned(), body(about, media))).collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn caller(by: By) -> &'static str {
    match by {
        By::Clinic => "clinic",
        By::Pharmacy => "pharmacy",
        By::Practitioner => "practitioner",
        By::Patient => "patient",
    }
}

fn parameters(about: &About) -> Vec<Value> {
    let path = about.path_parameters.iter().map(|parameter| {
        let schema = match parameter.kind {
            "PrescriptionId" | "Uuid" => json!({ "type": "string", "format": "uuid" }),
            "u8" | "u16" | "u32" | "u64" | "i64" => json!({ "type": "integer", "minimum": 1 }),
            _ => json!({ "type": "string" }),
        };
        json!({ "name": parameter.name, "in": "path", "required": true, "schema": schema })
    });
    let header = |name: &str, required: bool, schema: Value| json!({ "name": name, "in": "header", "required": required, "schema": schema });
    let headers = [
        about.identity.map(|needed| header("Identity-Token", needed, json!({ "type": "string" }))),
        about.reads.contains("Idempotency-Key").then(|| {
            header("Idempotency-Key", false, json!({ "type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$" }))
        }),
        about.reads.contains("If-Match").then(|| {
            header("If-Match", false, json!({ "type": "string", "pattern": "^(W/)?\"[1-9][0-9]{0,17}\"$" }))
        }),
        about
            .reads
            .contains("If-None-Match")
            .then(|| header("If-None-Match", false, json!({ "type": "string" }))),
        about.reads.contains("Prefer").then(|| {
            header(
                "Prefer",
                false,
                json!({ "type": "string", "enum": ["return=minimal", "return=representation"] }),
            )
        }),
    ];
    path.chain(about.queries().map(query)).chain(headers.into_iter().flatten()).collect()
}

fn query(query: &Query) -> Value {
    let schema = match query.kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Number(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Word(words) | Kind::Shape(words) => json!({ "type": "string", "enum": words }),
        Kind::Token | Kind::Opaque => json!({ "type": "string" }),
        Kind::Day => json!({ "type": "string", "format": "date" }),
        Kind::Date => json!({ "type": "array", "items": { "type": "string" } }),
    };
    json!({ "name": query.name, "in": "query", "description": query.about, "schema": schema })
}

fn body(about: &About, media: &str) -> Value {
    let named = about.parameters;
    let schema = match media {
        "application/x-www-form-urlencoded" => {
            let fields: Map<_, _> =
                named.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
            json!({ "type": "object", "properties": fields, "additionalProperties": false })
        }
        FHIR | "application/json" if !named.is_empty() => json!({
            "type": "object",
            "required": ["resourceType"],
            "properties": {
                "resourceType": { "const": "Parameters" },
                "parameter": { "type": "array", "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": { "enum": named },
                        "valueString": { "type": "string", "minLength": 1, "maxLength": 1000 },
                    },
                } },
            },
        }),
        FHIR => reference(about.resource),
        "application/json" => json!({ "type": "object" }),
        _ => json!({ "type": "string" }),
    };
    json!({ "schema": schema })
}

fn responses(about: &About, head: bool) -> Value {
    let mut responses = json!({});
    for (status, form) in &about.answers {
        let response = &mut responses[status.as_str()];
        response["description"] = status.canonical_reason().unwrap_or_default().into();
        if status.is_success() {
            for name in &about.headers {
                response["headers"][name] = json!({ "schema": { "type": "string" } });
            }
        }
        match form {
            Form::Resource(kind) => content(response, FHIR, &reference(kind), head),
            Form::Json => content(response, "application/json", &json!({ "type": "object" }), head),
            Form::Bytes(kinds) => {
                for media in *kinds {
                    let media = media.split(';').next().unwrap_or(media);
                    content(response, media, &json!({ "type": "string" }), head);
                }
            }
        }
    }
    for code in &about.refusals {
        let status = status(code);
        let response = &mut responses[status.as_str()];
        if response["x-codes"].is_null() {
            response["x-codes"] = json!([]);
            content(response, FHIR, &reference("OperationOutcome"), head);
        }
        if let Some(codes) = response["x-codes"].as_array_mut() {
            codes.push(json!(code));
        }
        let told: Vec<&str> =
            response["x-codes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        response["description"] = told.join(", ").into();
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                response["headers"]["Retry-After"] = json!({ "schema": { "type": "integer", "minimum": 1 } });
            }
            StatusCode::UNAUTHORIZED => {
                response["headers"]["WWW-Authenticate"] = json!({ "schema": { "type": "string" } });
            }
            _ => {}
        }
    }
    responses
}

fn content(response: &mut Value, media: &str, schema: &Value, head: bool) {
    if !head {
        response["content"][media] = json!({ "schema": schema });
    }
}

fn reference(kind: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{kind}") })
}

/// FHIR's own definitions say what is in a resource; here only what it is.
fn schemas(book: &[About]) -> Map<String, Value> {
    let answered = book.iter().flat_map(|about| &about.answers).filter_map(|(_, form)| match form {
        Form::Resource(kind) => Some(*kind),
        Form::Json | Form::Bytes(_) => None,
    });
    let kinds: std::collections::BTreeSet<&str> = answered.chain(["OperationOutcome", "Bundle"]).collect();
    let schema = |kind: &str| {
        json!({
            "type": "object",
            "externalDocs": { "url": format!("https://hl7.org/fhir/R4/{}.html", kind.to_lowercase()) },
            "required": ["resourceType"],
            "properties": { "resourceType": { "const": kind } },
        })
    };
    kinds.into_iter().map(|kind| (kind.to_owned(), schema(kind))).collect()
}

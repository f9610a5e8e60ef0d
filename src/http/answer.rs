//! Building answers.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::reply::Response;

/// What a caller has to accept for a FHIR answer.
pub const FHIR: &str = "application/fhir+json";
/// Media type of every FHIR answer.
pub const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// An answer with a body that must not be cached: everything here is somebody's data.
pub fn bytes(status: StatusCode, media_type: &str, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(media_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Vec::new().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A FHIR resource.
pub fn fhir(status: StatusCode, resource: &impl Serialize) -> Response {
    written(status, FHIR_JSON, resource)
}

/// Plain JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    written(status, "application/json", value)
}

/// What has no JSON is no answer; half of it would look like one.
fn written(status: StatusCode, media_type: &str, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => bytes(status, media_type, text),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

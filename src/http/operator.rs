//! `/healthz`, `/readyz`, `/metrics`: for the operator, without personal data.

use http::StatusCode;
use warp::Filter;

use super::App;
use super::answer;
use super::endpoint::{Described, Endpoint, Form, route};

/// What is answered however much work there is.
pub(super) const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4";

/// `GET /healthz`: the process answers.
pub(super) fn healthz() -> Endpoint {
    let (path, about) = route!(GET "healthz");
    let about = about.does("Whether the process answers").answers(StatusCode::OK, Form::Bytes(&[TEXT]));
    path.map(|| answer::bytes(StatusCode::OK, TEXT, b"ok\n".to_vec())).described(about)
}

/// `GET /readyz`: the database answers too.
pub(super) fn readyz(app: &App) -> Endpoint {
    let (path, about) = route!(GET "readyz");
    let about = about
        .does("Whether the database answers too")
        .answers(StatusCode::OK, Form::Bytes(&[TEXT]))
        .answers(StatusCode::SERVICE_UNAVAILABLE, Form::Bytes(&[TEXT]));
    let app = app.clone();
    path.map(move || app.clone())
        .then(|app: App| async move {
            match app.exchange.store().ready().await {
                Ok(()) => answer::bytes(StatusCode::OK, TEXT, b"ready\n".to_vec()),
                Err(_) => answer::bytes(
                    StatusCode::SERVICE_UNAVAILABLE,
                    TEXT,
                    b"the database does not answer\n".to_vec(),
                ),
            }
        })
        .described(about)
}

/// `GET /metrics`: Prometheus text.
pub(super) fn metrics(app: &App) -> Endpoint {
    let (path, about) = route!(GET "metrics");
    let about = about.does("Figures as Prometheus text").answers(StatusCode::OK, Form::Bytes(&[PROMETHEUS]));
    let handle = app.metrics.clone();
    path.map(move || answer::bytes(StatusCode::OK, PROMETHEUS, handle.render().into_bytes())).described(about)
}

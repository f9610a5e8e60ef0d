//! `/healthz`, `/readyz`, `/metrics`: for the operator, without personal data.

use http::StatusCode;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::App;
use super::answer;

const TEXT: &str = "text/plain; charset=utf-8";

/// `GET /healthz`: the process answers.
pub(super) fn healthz() -> BoxedFilter<(Response,)> {
    path!("healthz").and(warp::get()).map(|| answer::bytes(StatusCode::OK, TEXT, b"ok\n".to_vec())).boxed()
}

/// `GET /readyz`: the database answers too.
pub(super) fn readyz(app: &App) -> BoxedFilter<(Response,)> {
    let app = app.clone();
    path!("readyz")
        .and(warp::get())
        .map(move || app.clone())
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
        .boxed()
}

/// `GET /metrics`: Prometheus text.
pub(super) fn metrics(app: &App) -> BoxedFilter<(Response,)> {
    let handle = app.metrics.clone();
    path!("metrics")
        .and(warp::get())
        .map(move || answer::bytes(StatusCode::OK, "text/plain; version=0.0.4", handle.render().into_bytes()))
        .boxed()
}

//! HTTP: warp filters, tokens, errors, the accept loop. Only this room knows warp.

pub mod answer;
mod call;
mod cds;
mod check;
mod operator;
mod paper;
mod patient;
pub mod problem;
pub mod server;
mod task;
mod token;

use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::exchange::Exchange;
use problem::Problem;

/// What the endpoints work on.
#[derive(Clone)]
pub struct App {
    /// The exchange.
    pub exchange: Exchange,
    /// Where the server is reached, without a trailing slash; for `Location` and paging links.
    pub base_url: std::sync::Arc<str>,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
}

/// Everything the server answers.
pub fn routes(app: &App) -> BoxedFilter<(Response,)> {
    let endpoints = [
        token::issue(app),
        patient::verify_identity(app),
        patient::card_challenge(app),
        task::register(app),
        task::accept(app),
        task::cancel(app),
        task::renew(app),
        task::give_back(app),
        task::dispense(app),
        task::read(app),
        task::search(app),
        task::document(app),
        paper::slip(app),
        paper::notebook(app),
        check::medication_check(app),
        patient::mitigate(app),
        cds::services(),
        cds::order_sign(app),
        cds::feedback(app),
        operator::healthz(),
        operator::readyz(app),
        operator::metrics(app),
    ];
    let nothing: BoxedFilter<(Response,)> =
        warp::any().and_then(|| async { Err::<Response, Rejection>(warp::reject::not_found()) }).boxed();
    endpoints
        .into_iter()
        .fold(nothing, |routes, endpoint| routes.or(endpoint).unify().boxed())
        .recover(|rejection| async move { Ok::<_, std::convert::Infallible>(unmatched(&rejection)) })
        .unify()
        .boxed()
}

/// No route took the request: the path is unknown, or the method is another.
fn unmatched(rejection: &Rejection) -> Response {
    if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path knows another method")
            .response()
    } else {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path").response()
    }
}

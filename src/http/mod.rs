//! HTTP: warp filters, tokens, errors, the accept loop. Only this room knows warp.

pub mod admission;
pub mod answer;
mod audit;
mod authorize;
mod call;
mod cds;
mod check;
mod compress;
mod consent;
mod date;
mod endpoint;
mod export;
mod history;
mod mandate;
mod metadata;
mod openapi;
mod operator;
mod paging;
mod paper;
mod patient;
pub mod problem;
mod refusal;
mod reported;
pub mod server;
mod shape;
mod task;
mod token;

use http::{HeaderValue, StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::exchange::Exchange;
use endpoint::{Book, Endpoint};
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
    let book = Book::default();
    let endpoints = vec![
        openapi::openapi(&book, &app.base_url),
        metadata::metadata(&book, app),
        token::issue(app),
        authorize::screen(app),
        authorize::decide(app),
        authorize::configuration(app),
        authorize::list(app),
        authorize::revoke(app),
        patient::verify_identity(app),
        patient::card_challenge(app),
        patient::break_glass(app),
        audit::list(app),
        consent::list(app),
        consent::put(app),
        consent::withdraw(app),
        mandate::list(app),
        mandate::give(app),
        mandate::end(app),
        export::export(app),
        task::register(app),
        task::accept(app),
        task::cancel(app),
        task::renew(app),
        task::give_back(app),
        task::amend(app),
        task::collect(app),
        task::dispense(app),
        task::amend_dispense(app),
        task::withdraw_dispense(app),
        task::read(app),
        task::search(app),
        task::history(app),
        task::version(app),
        task::feed(app),
        task::events(app),
        task::document(app),
        paper::slip(app),
        paper::notebook(app),
        paper::import(app),
        check::medication_check(app),
        patient::mitigate(app),
        history::requests(app),
        history::dispenses(app),
        reported::allergies(app),
        reported::allergy_record(app),
        reported::allergy_remove(app),
        reported::medicines(app),
        reported::medicine_record(app),
        reported::medicine_remove(app),
        cds::services(),
        cds::order_sign(app),
        cds::feedback(app),
        operator::healthz(),
        operator::readyz(app),
        operator::metrics(app),
    ];
    book.write(&endpoints);
    tree(endpoints, book)
}

/// The first endpoint that takes a request answers it; what none takes, the book of them all explains.
fn tree(endpoints: Vec<Endpoint>, book: Book) -> BoxedFilter<(Response,)> {
    let nothing: BoxedFilter<(Response,)> =
        warp::any().and_then(|| async { Err::<Response, Rejection>(warp::reject::not_found()) }).boxed();
    endpoints
        .into_iter()
        .fold(nothing, |routes, endpoint| routes.or(endpoint.filter).unify().boxed())
        .or(warp::path::full().map(move |path: FullPath| unmatched(&book, path.as_str())))
        .unify()
        .boxed()
}

/// No route took the request: the path is unknown, or the method is another.
fn unmatched(book: &Book, path: &str) -> Response {
    let allowed: Vec<_> = book.allowed(path).into_iter().collect();
    if allowed.is_empty() {
        return Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path").response();
    }
    let mut response =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path knows other methods")
            .response();
    if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

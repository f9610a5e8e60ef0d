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

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusHandle;
use warp::reply::Response;

use crate::exchange::Exchange;
use endpoint::{Book, Endpoint};
use problem::Problem;
use server::Answers;

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

/// Everything the server answers. Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    endpoints: Arc<[Endpoint]>,
    book: Book,
}

impl Answers for Routes {
    /// The first endpoint that takes a request answers it; what none takes, the book of them all explains. The endpoint is
    /// found before any filter runs, so that a request is not tried on every endpoint before its own.
    async fn answer(&self, request: Request<Full<Bytes>>) -> Response {
        let (method, path) = (request.method(), request.uri().path());
        match self.endpoints.iter().find(|endpoint| endpoint.about.is_for(method, path)) {
            Some(endpoint) => endpoint.answer(request).await,
            None => unmatched(&self.book, path),
        }
    }
}

/// The routes of an exchange.
pub fn routes(app: &App) -> Routes {
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
    Routes { endpoints: endpoints.into(), book }
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

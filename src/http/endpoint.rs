//! An endpoint: a warp filter and, beside it, the one description of what it takes and answers. The route tree,
//! `/openapi.json`, `/fhir/metadata` and the tests are made of these; a filter without a description is no endpoint.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::answer::FHIR;
use super::compress::compressed;
use super::problem::{Refused, status};
use super::server::Answers;
use super::shape::FORMAT;
use crate::prescription::access::AccessAct;

/// What a signed document can be refused for.
pub(super) const SIGNED: &[&str] = &[
    "document-invalid",
    "signature-invalid",
    "signature-mismatch",
    "certificate-untrusted",
    "certificate-expired",
    "certificate-revoked",
    "signer-role",
    "revocation-unavailable",
];
/// Media types of a FHIR request body.
pub(super) const FHIR_BODY: &[&str] = &[FHIR, "application/json"];
/// Every facility.
pub(super) const FACILITIES: &[By] = &[By::Clinic, By::Pharmacy];
/// Everybody who can have prescriptions: practitioners act through their facility.
pub(super) const OWNERS: &[By] = &[By::Clinic, By::Pharmacy, By::Patient];

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A clinic or hospital.
    Clinic,
    /// A pharmacy.
    Pharmacy,
    /// A physician, dentist or pharmacist with a token of their own.
    #[expect(dead_code, reason = "no endpoint is for practitioners on their own yet")]
    Practitioner,
    /// A patient.
    Patient,
}

/// A parameter of the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathParameter {
    /// Its name.
    pub name: &'static str,
    /// The name of its type.
    pub kind: &'static str,
    /// Whether a text is one.
    pub reads: fn(&str) -> bool,
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it does.
    pub about: &'static str,
}

/// What the value of a query parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number from, to.
    Number(u32, u32),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A FHIR search parameter of type token.
    Token,
    /// A FHIR search parameter of type date; may be repeated.
    Date,
    /// A day, `YYYY-MM-DD`.
    Day,
    /// Only as an earlier answer gave it.
    Opaque,
    /// One of these words, which shapes the answer and asks for nothing.
    Shape(&'static [&'static str]),
}

/// The body of an answer, or of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A FHIR resource of this type.
    Resource(&'static str),
    /// JSON that is no FHIR.
    Json,
    /// Other media types.
    Bytes(&'static [&'static str]),
}

/// What an endpoint is. Made by [`route!`](super::route), told more by its methods.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) method: Method,
    /// `/fhir/Task/{id}`.
    pub(super) path: &'static str,
    /// Each parameter in the path, in order.
    pub(super) path_parameters: &'static [PathParameter],
    pub(super) summary: &'static str,
    /// The act of which the access record tells, done or refused. `None`: nothing is decided about a patient.
    pub(super) act: Option<AccessAct>,
    /// Empty: anybody, without a token.
    pub(super) by: &'static [By],
    /// Whether `Identity-Token` is read, and needed.
    pub(super) identity: Option<bool>,
    /// Headers that are read when they are there: `Idempotency-Key`, `If-Match`, `If-None-Match`, `Prefer`.
    pub(super) reads: BTreeSet<&'static str>,
    pub(super) query: &'static [Query],
    /// Media types of the body; empty: none is read.
    pub(super) body: &'static [&'static str],
    /// The FHIR resource in the body, when it is one.
    pub(super) resource: &'static str,
    /// Names of the `Parameters` in the body, when it is one.
    pub(super) parameters: &'static [&'static str],
    pub(super) answers: Vec<(StatusCode, Form)>,
    /// Whether a success may come as gzip: it holds no secret beside text that somebody else chose.
    pub(super) compressed: bool,
    pub(super) headers: BTreeSet<&'static str>,
    pub(super) refusals: BTreeSet<&'static str>,
}

impl About {
    pub(super) fn new(method: Method, path: &'static str, path_parameters: &'static [PathParameter]) -> Self {
        Self {
            method,
            path,
            path_parameters,
            summary: "",
            act: None,
            by: &[],
            identity: None,
            reads: BTreeSet::new(),
            query: &[],
            body: &[],
            resource: "Bundle",
            parameters: &[],
            answers: Vec::new(),
            compressed: false,
            headers: BTreeSet::new(),
            // The accept loop refuses these for every endpoint.
            refusals: BTreeSet::from(["malformed", "too-large", "overloaded"]),
        }
    }

    /// One line of what it does.
    pub(super) fn does(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// Who may call, with a token, and the act that it is in the access record.
    pub(super) fn by(self, by: &'static [By], act: impl Into<Option<AccessAct>>) -> Self {
        Self { by, act: act.into(), ..self }.refuses(&[
            "token-missing",
            "token-invalid",
            "not-permitted",
            "database-unavailable",
        ])
    }

    /// Reads the header `Identity-Token`, which must be there when `needed`.
    pub(super) fn identity_token(self, needed: bool) -> Self {
        Self { identity: Some(needed), ..self }.refuses(&["identity-not-verified"])
    }

    /// Known parameters of the query.
    pub(super) fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    /// Media types of the body.
    pub(super) fn takes(self, body: &'static [&'static str]) -> Self {
        Self { body, ..self }.refuses(&["unsupported-media-type"])
    }

    /// The body is a FHIR `Parameters` with these.
    pub(super) fn parameters(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }.takes(FHIR_BODY)
    }

    /// The body is a FHIR resource of this type.
    pub(super) fn resource(self, resource: &'static str) -> Self {
        Self { resource, ..self }.takes(FHIR_BODY)
    }

    fn reads(mut self, name: &'static str) -> Self {
        self.reads.insert(name);
        self
    }

    /// A write that may be repeated with its `Idempotency-Key`.
    pub(super) fn repeatable(self) -> Self {
        self.reads("Idempotency-Key").header("Idempotent-Replay").refuses(&["idempotency-key-reused"])
    }

    /// The body is a form with these fields.
    pub(super) fn form(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }
    }

    /// Does nothing when `If-Match` names another version.
    pub(super) fn if_match(self) -> Self {
        self.reads("If-Match").refuses(&["version-mismatch"])
    }

    /// Answers 304 to whoever holds what would be answered.
    pub(super) fn if_none_match(self) -> Self {
        self.reads("If-None-Match").answers(StatusCode::NOT_MODIFIED, Form::Bytes(&[]))
    }

    /// Leaves the body out on `Prefer: return=minimal`.
    pub(super) fn prefer(self) -> Self {
        self.reads("Prefer").header("Preference-Applied")
    }

    /// A write to a Task that is there: `Idempotency-Key`, `If-Match`, `Prefer`, answers the Task with its `ETag`.
    pub(super) fn task_write(self) -> Self {
        self.repeatable()
            .if_match()
            .prefer()
            .answers(StatusCode::NO_CONTENT, Form::Bytes(&[]))
            .header("ETag")
            .answers(StatusCode::OK, Form::Resource("Task"))
            .refuses(&["not-found"])
    }

    /// What success looks like.
    pub(super) fn answers(mut self, status: StatusCode, form: Form) -> Self {
        self.answers.push((status, form));
        if matches!(form, Form::Resource(_)) { self.refuses(&["not-acceptable"]) } else { self }
    }

    /// A success may come as gzip: it holds no secret beside text that somebody else chose.
    pub(super) fn compressed(self) -> Self {
        Self { compressed: true, ..self }.header("Content-Encoding").header("Vary")
    }

    /// Every parameter of the query: those of its own, and `_format` where the answer is FHIR.
    pub(super) fn queries(&self) -> impl Iterator<Item = &Query> {
        let fhir = self.answers.iter().any(|(_, form)| matches!(form, Form::Resource(_)));
        self.query.iter().chain(fhir.then_some(&FORMAT))
    }

    /// A header of a success.
    pub(super) fn header(mut self, name: &'static str) -> Self {
        self.headers.insert(name);
        self
    }

    /// Codes of the contract's errors it answers with.
    pub(super) fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.refusals.extend(codes);
        self
    }

    /// Whether a request is one for this endpoint. Who may GET may ask for the head alone (RFC 9110 9.3.2).
    pub(super) fn is_for(&self, method: &Method, path: &str) -> bool {
        (*method == self.method || (*method == Method::HEAD && self.method == Method::GET)) && self.fits(path)
    }

    /// Whether a request path is of this endpoint's shape.
    fn fits(&self, path: &str) -> bool {
        let (wanted, given) = (self.path.split('/'), path.split('/'));
        let mut parameters = self.path_parameters.iter();
        wanted.clone().count() == given.clone().count()
            && wanted.zip(given).all(|(wanted, given)| {
                if wanted.starts_with('{') {
                    parameters.next().is_some_and(|parameter| (parameter.reads)(given))
                } else {
                    wanted == given
                }
            })
    }

    /// Whether the description says that this can be answered. `internal` can happen everywhere and should nowhere.
    fn tells(&self, response: &Response) -> bool {
        match response.extensions().get::<Refused>() {
            Some(Refused(code)) => {
                *code == "internal" || self.refusals.contains(code) && status(code) == response.status()
            }
            None => self.answers.iter().any(|(status, _)| *status == response.status()),
        }
    }
}

/// What every endpoint is. The endpoints that tell of all the others hold it before it is written.
#[derive(Clone, Default)]
pub(super) struct Book(Arc<OnceLock<Vec<About>>>);

impl Book {
    /// Written once, when the route tree is made.
    pub(super) fn write(&self, endpoints: &[Endpoint]) {
        self.0.get_or_init(|| endpoints.iter().map(|endpoint| endpoint.about.clone()).collect());
    }

    /// Every endpoint, in the order of the routes.
    pub(super) fn all(&self) -> &[About] {
        self.0.get().map_or(&[], Vec::as_slice)
    }

    /// The methods known at a path, for `Allow`; empty when the path is unknown.
    pub(super) fn allowed(&self, path: &str) -> BTreeSet<&str> {
        let mut allowed = BTreeSet::new();
        for about in self.all().iter().filter(|about| about.fits(path)) {
            allowed.insert(about.method.as_str());
            if about.method == Method::GET {
                allowed.insert("HEAD");
            }
        }
        allowed
    }
}

/// A described filter.
pub(super) struct Endpoint {
    pub(super) about: About,
    pub(super) filter: BoxedFilter<(Response,)>,
}

impl Endpoint {
    /// Answers a request that is for it. Where debug assertions are on, an answer that the description does not tell of is
    /// a panic.
    pub(super) async fn answer(&self, request: Request<Full<Bytes>>) -> Response {
        let (response, about) = (self.filter.answer(request).await, &self.about);
        debug_assert!(
            about.tells(&response),
            "{} {} answered {} {:?}, which its description does not tell",
            about.method,
            about.path,
            response.status(),
            response.extensions().get::<Refused>(),
        );
        response
    }
}

/// How a filter becomes an endpoint.
pub(super) trait Described {
    /// The endpoint.
    fn described(self, about: About) -> Endpoint;
}

impl<F> Described for F
where
    F: Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static,
{
    fn described(self, about: About) -> Endpoint {
        let filter = self.boxed();
        let filter = if about.compressed { compressed(filter) } else { filter };
        Endpoint { about, filter }
    }
}

/// `route!(POST "fhir" / "Task" / {id: PrescriptionId} / "$cancel")`: the filter of the path, and the
/// [`About`] that says by which method and path a request is for it.
macro_rules! route {
    (@filter $literal:literal) => { warp::path($literal) };
    (@filter {$name:ident: $kind:ty}) => { warp::path::param::<$kind>() };
    (@text $literal:literal) => { $literal };
    (@text {$name:ident: $kind:ty}) => { concat!("{", stringify!($name), "}") };
    (@parameters [$($done:tt)*]) => { &[$($done)*] };
    (@parameters [$($done:tt)*] $literal:literal $($rest:tt)*) => {
        $crate::http::endpoint::route!(@parameters [$($done)*] $($rest)*)
    };
    (@parameters [$($done:tt)*] {$name:ident: $kind:ty} $($rest:tt)*) => {
        $crate::http::endpoint::route!(@parameters [
            $($done)*
            $crate::http::endpoint::PathParameter {
                name: stringify!($name),
                kind: stringify!($kind),
                reads: |text| text.parse::<$kind>().is_ok(),
            },
        ] $($rest)*)
    };
    ($method:ident $($segment:tt) / +) => {
        (
            warp::any()
                $(.and($crate::http::endpoint::route!(@filter $segment)))+
                .and(warp::path::end()),
            $crate::http::endpoint::About::new(
                http::Method::$method,
                concat!($("/", $crate::http::endpoint::route!(@text $segment)),+),
                $crate::http::endpoint::route!(@parameters [] $($segment)+),
            ),
        )
    };
}
pub(super) use route;

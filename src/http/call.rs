//! What every endpoint needs of a request: its headers, its body, who calls.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use ring::digest::{Context, SHA256, digest};
use warp::filters::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::App;
use super::endpoint::About;
use super::problem::Problem;
use super::refusal;
use super::server::ClientCertificate;
use super::shape;
use crate::codec::fhir::parameters::Parameters;
use crate::exchange::app::scope::Readable;
use crate::exchange::caller::Caller;
use crate::exchange::error::ExchangeError;
use crate::exchange::form::{DocumentForm, MEDIA_TYPES};
use crate::exchange::met::Met;
use crate::exchange::{IdentityHeader, Request};
use crate::prescription::access::AccessAct;

/// The longest `Idempotency-Key`, in characters.
const KEY_LENGTH: usize = 128;

/// A request that has matched a route.
#[derive(Debug)]
pub(super) struct Call {
    app: App,
    act: Option<AccessAct>,
    method: Method,
    path: FullPath,
    pub(super) query: String,
    headers: HeaderMap,
    certificate: Option<ClientCertificate>,
    pub(super) body: Bytes,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Takes the request of an endpoint apart. Comes after path and method.
pub(super) fn call(
    app: &App,
    about: &About,
) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone + use<> {
    let (app, act) = (app.clone(), about.act);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<ClientCertificate>())
        .and(warp::body::bytes())
        .map(move |method, path, query, headers, certificate, body| Call {
            app: app.clone(),
            act,
            method,
            path,
            query,
            headers,
            certificate,
            body,
        })
}

/// Runs an endpoint's work and turns its refusal into the answer.
pub(super) async fn respond(work: impl Future<Output = Result<Response, Problem>>) -> Response {
    refusal::recorded(work).await
}

impl Call {
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn certificate_hash(&self) -> Option<[u8; 32]> {
        let certificate = self.certificate.as_ref()?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &certificate.0).as_ref());
        Some(hash)
    }

    /// Who calls, by `Authorization: Bearer`. Apps of patients are refused: they read what [`Self::reader`] opens.
    pub(super) async fn caller(&self) -> Result<Caller, Problem> {
        let caller = self.bearer().await?;
        if caller.app.is_some() {
            return Err(ExchangeError::NotPermitted(
                "an app reads what the patient has let it read, no more",
            )
            .into());
        }
        Ok(caller)
    }

    /// Who reads records of this kind; an app when the patient has let it.
    pub(super) async fn reader(&self, readable: Readable) -> Result<Caller, Problem> {
        let caller = self.bearer().await?;
        caller.app_may_read(readable)?;
        Ok(caller)
    }

    async fn bearer(&self) -> Result<Caller, Problem> {
        let unauthorised = |code, text| Problem::new(StatusCode::UNAUTHORIZED, code, text);
        let value = self.headers.get(header::AUTHORIZATION).ok_or_else(|| {
            unauthorised("token-missing", "send Authorization: Bearer with a token of /oauth2/token")
        })?;
        let token = value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token.len() <= 256)
            .map(|(_, token)| token.trim());
        let found = match token {
            Some(token) => self.app.exchange.session_find(token, self.certificate_hash()).await?,
            None => None,
        };
        let caller = found.ok_or_else(|| {
            unauthorised(
                "token-invalid",
                "this token is unknown, has ended, or is bound to another certificate",
            )
        })?;
        let caller = Caller { met: Met::default(), ..caller };
        if let Some(act) = self.act {
            refusal::came_in(&self.app, &caller, act);
        }
        Ok(caller)
    }

    /// What the act is told of this request.
    pub(super) fn request(&self) -> Result<Request, Problem> {
        let malformed = |text: &str| Problem::new(StatusCode::BAD_REQUEST, "malformed", text);
        let idempotency = match self.headers.get("idempotency-key") {
            None => None,
            Some(value) => {
                let key = value
                    .to_str()
                    .ok()
                    .filter(|key| !key.is_empty() && key.chars().count() <= KEY_LENGTH)
                    .ok_or_else(|| malformed("Idempotency-Key must be 1 to 128 visible ASCII characters"))?;
                Some((key.to_owned(), self.fingerprint()))
            }
        };
        let if_match = match self.headers.get(header::IF_MATCH) {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(etag_version).ok_or_else(|| {
                malformed("If-Match must be the ETag of the Task as you read it, such as W/\"3\"")
            })?),
        };
        let identity = self.headers.get("identity-token").map(|value| {
            // What is no text is no token, and is refused as one.
            IdentityHeader(value.to_str().unwrap_or_default().to_owned())
        });
        Ok(Request { id: self.app.exchange.request_id()?, idempotency, if_match, identity })
    }

    /// SHA-256 over what makes two requests the same: method, path, query, media type and body.
    fn fingerprint(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let content_type = self.header(header::CONTENT_TYPE).unwrap_or_default();
        for part in [self.method.as_str(), self.path.as_str(), &self.query, content_type] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(&self.body);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    /// The media type of the body, parameters left out.
    fn media_type(&self) -> &str {
        self.header(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim()
    }

    /// Refuses a body of another media type.
    pub(super) fn content_type(&self, accepted: &[&str]) -> Result<(), Problem> {
        if accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(self.media_type())) {
            Ok(())
        } else {
            Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                format!("send Content-Type: {}", accepted.join(" or ")),
            ))
        }
    }

    /// The form of a document sent as body.
    pub(super) fn form(&self) -> Result<DocumentForm, Problem> {
        self.content_type(MEDIA_TYPES)?;
        DocumentForm::of_media_type(self.media_type())
            .ok_or_else(|| ExchangeError::Internal("an accepted media type has a form").into())
    }

    /// Refuses a caller who cannot read `media_type`, by `_format`, else by `Accept`.
    pub(super) fn acceptable(&self, media_type: &str) -> Result<(), Problem> {
        let accepted = || self.header(header::ACCEPT).is_none_or(|accept| accepts(accept, media_type));
        if shape::format_names(&self.query, media_type).unwrap_or_else(accepted) {
            Ok(())
        } else {
            Err(Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "not-acceptable",
                format!("this answer comes as {media_type}"),
            ))
        }
    }

    /// What the caller prefers to get back from a write (RFC 7240 4.2); other preferences are passed over.
    pub(super) fn preferred(&self) -> Option<Return> {
        let given = self.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        given.flat_map(|value| value.split(',')).find_map(preference)
    }

    /// Whether the caller says that it holds this version (`If-None-Match`).
    pub(super) fn holds(&self, version: i64) -> bool {
        let given =
            self.headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        given
            .flat_map(|value| value.split(','))
            .any(|tag| tag.trim() == "*" || etag_version(tag) == Some(version))
    }

    /// A FHIR `Parameters` body with these parameters and no others.
    pub(super) fn parameters(&self, accepted: &[&str]) -> Result<Parameters, Problem> {
        self.content_type(&["application/fhir+json", "application/json"])?;
        Ok(Parameters::read(&self.body, accepted)?)
    }
}

/// Whether `Accept` takes a media type: the range that names it most closely decides (RFC 9110 12.5.1).
fn accepts(accept: &str, media_type: &str) -> bool {
    let (major, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let closeness = match name.as_str() {
            name if name == media_type => 3,
            "application/json" if media_type == "application/fhir+json" => 2,
            "*/*" => 0,
            name => (name.strip_suffix("/*") == Some(major)).then_some(1)?,
        };
        let refused = parts.any(|parameter| {
            let parameter = parameter.replace(' ', "").to_ascii_lowercase();
            parameter.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        });
        Some((closeness, !refused))
    });
    ranges.max().is_some_and(|(_, taken)| taken)
}

/// What a write gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// Headers alone.
    Minimal,
    /// The resource.
    Representation,
}

/// One preference, its own parameters left out.
fn preference(text: &str) -> Option<Return> {
    let (name, value) = text.split(';').next()?.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("return") {
        return None;
    }
    match value.trim().trim_matches('"') {
        "minimal" => Some(Return::Minimal),
        "representation" => Some(Return::Representation),
        _ => None,
    }
}

/// The version an entity tag names; weak and strong are the same here.
fn etag_version(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    quoted.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_range_of_accept_decides() {
        let fhir = "application/fhir+json";
        for taken in [
            "*/*",
            "application/*",
            "Application/FHIR+JSON",
            "application/json; q=0.1",
            "text/html, */*;q=0.01",
        ] {
            assert!(accepts(taken, fhir), "{taken}");
        }
        for refused in [
            "",
            "text/html",
            "application/xml",
            "*/*; q=0.000",
            "*/*, application/fhir+json;q=0",
            "application/*;Q=0, */*",
        ] {
            assert!(!accepts(refused, fhir), "{refused}");
        }
        assert!(!accepts("application/json", "application/pdf"));
    }

    #[test]
    fn preferences() {
        assert_eq!(preference("return=minimal"), Some(Return::Minimal));
        assert_eq!(preference(" Return = \"representation\" ; x=1"), Some(Return::Representation));
        for other in ["", "return", "return=OperationOutcome", "respond-async", "x=minimal"] {
            assert_eq!(preference(other), None, "{other}");
        }
    }

    #[test]
    fn entity_tags() {
        assert_eq!(etag_version("W/\"3\""), Some(3));
        assert_eq!(etag_version("\"12\""), Some(12));
        for other in ["3", "*", "W/\"x\"", "", "\"1\", \"2\""] {
            assert_eq!(etag_version(other), None, "{other}");
        }
    }
}

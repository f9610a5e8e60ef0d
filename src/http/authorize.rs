//! Apps of patients: the consent screen, the patient's list of apps, and where apps learn all this (SMART App Launch
//! 2.2). The screen is plain HTML without scripts.

use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;
use warp::Filter;
use warp::reply::Response;

use super::App;
use super::answer;
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, Form, Kind, Query, route};
use super::problem::Problem;
use super::token::FORM;
use crate::exchange::app::scope::{Readable, Scope};
use crate::exchange::app::{AppError, Asked};
use crate::prescription::access::AccessAct;
use crate::store::app::Grant;

const HTML: Form = Form::Bytes(&["text/html"]);
/// The fields of the consent screen's form.
const FIELDS: [&str; 10] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "aud",
    "code_challenge",
    "code_challenge_method",
    "decision",
    "card_assertion",
];

/// What an app sends the patient with (RFC 6749 4.1.1, RFC 7636 4.3), and what the consent screen sends back.
#[derive(Deserialize)]
struct Fields {
    response_type: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    aud: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    decision: Option<String>,
    card_assertion: Option<String>,
}

/// `GET /oauth2/authorize`
pub(super) fn screen(app: &App) -> Endpoint {
    const QUERY: &[Query] = &[
        Query { name: "response_type", kind: Kind::Word(&["code"]), about: "the authorization code flow" },
        Query { name: "client_id", kind: Kind::Opaque, about: "the app" },
        Query { name: "redirect_uri", kind: Kind::Opaque, about: "one of the app's addresses" },
        Query { name: "scope", kind: Kind::Opaque, about: "what the app wants to read" },
        Query { name: "state", kind: Kind::Opaque, about: "sent back to the app as it is" },
        Query { name: "aud", kind: Kind::Opaque, about: "the FHIR base of this server" },
        Query { name: "code_challenge", kind: Kind::Opaque, about: "RFC 7636 4.2" },
        Query { name: "code_challenge_method", kind: Kind::Word(&["S256"]), about: "RFC 7636 4.3" },
    ];
    let (path, about) = route!(GET "oauth2" / "authorize");
    let about = about
        .does("The screen on which a patient lets an app read (RFC 6749 4.1.1)")
        .query(QUERY)
        .answers(StatusCode::OK, HTML)
        .answers(StatusCode::SEE_OTHER, Form::Bytes(&[]))
        .answers(StatusCode::BAD_REQUEST, HTML)
        .refuses(&["database-unavailable"]);
    path.and(call(app, &about))
        .then(|call: Call| async move {
            match serde_urlencoded::from_str::<Fields>(&call.query) {
                Ok(form) => match asked(&call, &form).await {
                    Ok(asked) => page(StatusCode::OK, Some(&asked), &consent(&asked, &form, None)),
                    Err(answer) => answer,
                },
                Err(_) => unusable("the request cannot be read"),
            }
        })
        .described(about)
}

/// `POST /oauth2/authorize`
pub(super) fn decide(app: &App) -> Endpoint {
    let (path, about) = route!(POST "oauth2" / "authorize");
    let about = about
        .does("The patient's decision, by card")
        .takes(&[FORM])
        .form(&FIELDS)
        .answers(StatusCode::SEE_OTHER, Form::Bytes(&[]))
        .answers(StatusCode::BAD_REQUEST, HTML)
        .answers(StatusCode::UNAUTHORIZED, HTML)
        .refuses(&["database-unavailable"]);
    path.and(call(app, &about))
        .then(|call: Call| async move {
            if let Err(problem) = call.content_type(&[FORM]) {
                return problem.response();
            }
            match serde_urlencoded::from_bytes::<Fields>(&call.body) {
                Ok(form) => match asked(&call, &form).await {
                    Ok(asked) => decided(&call, &asked, &form).await,
                    Err(answer) => answer,
                },
                Err(_) => unusable("the form cannot be read"),
            }
        })
        .described(about)
}

/// `GET /fhir/.well-known/smart-configuration`
pub(super) fn configuration(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / ".well-known" / "smart-configuration");
    let about = about
        .does("Where apps find what they need (SMART App Launch 2.2)")
        .answers(StatusCode::OK, Form::Json)
        .refuses(&["not-acceptable"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                call.acceptable("application/json")?;
                let base = &call.app().base_url;
                let scopes: Vec<String> = ["launch/patient", "offline_access", "patient/*.read"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain(Readable::ALL.map(|readable| format!("patient/{}.read", readable.resource())))
                    .collect();
                Ok(answer::json(
                    StatusCode::OK,
                    &json!({
                        "issuer": &**base,
                        "authorization_endpoint": format!("{base}/oauth2/authorize"),
                        "token_endpoint": format!("{base}/oauth2/token"),
                        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256"],
                        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
                        "response_types_supported": ["code"],
                        "code_challenge_methods_supported": ["S256"],
                        "authorization_response_iss_parameter_supported": true,
                        "scopes_supported": scopes,
                        "management_endpoint": format!("{base}/oauth2/apps"),
                        "capabilities": [
                            "launch-standalone", "client-public", "context-standalone-patient",
                            "permission-patient", "permission-offline", "permission-v1",
                        ],
                    }),
                ))
            })
        })
        .described(about)
}

/// `GET /oauth2/apps`
pub(super) fn list(app: &App) -> Endpoint {
    let (path, about) = route!(GET "oauth2" / "apps");
    let about = about
        .does("The apps that may read the patient's record")
        .by(&[By::Patient], AccessAct::AppList)
        .answers(StatusCode::OK, Form::Json)
        .refuses(&["not-acceptable"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable("application/json")?;
                let grants = call.app().exchange.app_list(&caller, &call.request()?).await?;
                let apps: Vec<_> = grants.iter().map(grant).collect();
                Ok(answer::json(StatusCode::OK, &json!({ "apps": apps })))
            })
        })
        .described(about)
}

/// `DELETE /oauth2/apps/{id}`
pub(super) fn revoke(app: &App) -> Endpoint {
    let (path, about) = route!(DELETE "oauth2" / "apps" / {id: Uuid});
    let about = about
        .does("Ends an app's access at once")
        .by(&[By::Patient], AccessAct::AppRevoke)
        .answers(StatusCode::NO_CONTENT, Form::Bytes(&[]))
        .refuses(&["not-found"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.app().exchange.app_revoke(&caller, id, &call.request()?).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            })
        })
        .described(about)
}

fn grant(grant: &Grant) -> serde_json::Value {
    json!({
        "id": grant.id,
        "client_id": grant.client_id,
        "name": grant.app_name,
        "scope": grant.scope,
        "granted_at": grant.granted_at,
        "until": grant.until,
    })
}

/// The request of the app, understood; or the answer that refuses it.
async fn asked(call: &Call, form: &Fields) -> Result<Asked, Response> {
    let (Some(client), Some(redirect_uri)) = (&form.client_id, &form.redirect_uri) else {
        return Err(unusable("client_id or redirect_uri is missing"));
    };
    let app = match call.app().exchange.app_find(client, redirect_uri).await {
        Ok(app) => app,
        // The address may be anybody's: nothing is sent there (RFC 6749 4.1.2.1).
        Err(AppError::Store(error)) => return Err(Problem::from(error).response()),
        Err(error) => return Err(unusable(&error.to_string())),
    };
    let refused = |error: &str, text: &str| {
        redirect(call, form, redirect_uri, &[("error", error), ("error_description", text)])
    };
    if form.response_type.as_deref() != Some("code") {
        return Err(refused("unsupported_response_type", "response_type must be code"));
    }
    // RFC 7636 4.4.1: without PKCE, or with the challenge in the clear, nothing is given.
    let challenge = form.code_challenge.as_deref().filter(|challenge| {
        challenge.len() == 43 && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    });
    let (Some(challenge), Some("S256")) = (challenge, form.code_challenge_method.as_deref()) else {
        return Err(refused("invalid_request", "send code_challenge with code_challenge_method S256"));
    };
    let base = &call.app().base_url;
    if form.aud.as_deref().is_some_and(|aud| aud.trim_end_matches('/') != format!("{base}/fhir")) {
        return Err(refused("invalid_request", "aud must be the FHIR base of this server"));
    }
    match form.scope.as_deref().unwrap_or_default().parse::<Scope>() {
        Ok(scope) => {
            Ok(Asked { app, redirect_uri: redirect_uri.clone(), scope, code_challenge: challenge.to_owned() })
        }
        Err(error) => Err(refused("invalid_scope", &error.to_string())),
    }
}

async fn decided(call: &Call, asked: &Asked, form: &Fields) -> Response {
    let to = &asked.redirect_uri;
    match (form.decision.as_deref(), form.card_assertion.as_deref()) {
        (Some("approve"), Some(card)) => {
            let request = match call.request() {
                Ok(request) => request,
                Err(problem) => return problem.response(),
            };
            match call.app().exchange.app_authorize(asked, card.trim(), &request).await {
                Ok(code) => redirect(call, form, to, &[("code", code.encode().as_str())]),
                Err(AppError::Store(error)) => Problem::from(error).response(),
                Err(error) => page(
                    StatusCode::UNAUTHORIZED,
                    Some(asked),
                    &consent(asked, form, Some(&error.to_string())),
                ),
            }
        }
        (Some("deny"), _) => redirect(call, form, to, &[("error", "access_denied")]),
        _ => page(
            StatusCode::BAD_REQUEST,
            Some(asked),
            &consent(asked, form, Some("decision is approve, with card_assertion, or deny")),
        ),
    }
}

/// Back to the app, with its `state` and who answers (RFC 9207).
fn redirect(call: &Call, form: &Fields, to: &str, answer: &[(&str, &str)]) -> Response {
    let issuer = ("iss", &*call.app().base_url);
    let state = form.state.as_deref().map(|state| ("state", state));
    let pairs: Vec<_> = answer.iter().copied().chain(state).chain([issuer]).collect();
    let Ok(query) = serde_urlencoded::to_string(pairs) else {
        return unusable("the answer cannot be written");
    };
    let joint = if to.contains('?') { '&' } else { '?' };
    let Ok(location) = HeaderValue::from_str(&format!("{to}{joint}{query}")) else {
        return unusable("redirect_uri cannot be written");
    };
    let mut response = answer::empty(StatusCode::SEE_OTHER);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// An answer for the patient's browser when nothing may be sent to the app.
fn unusable(text: &str) -> Response {
    let body = html! {
        h1 { "このアプリからの依頼は受け付けられません " span lang="en" { "This request cannot be taken" } }
        p lang="en" { (text) }
        p { "アプリの提供元にお知らせください。" span lang="en" { "Please tell the maker of the app." } }
    };
    page(StatusCode::BAD_REQUEST, None, &body)
}

fn consent(asked: &Asked, form: &Fields, fault: Option<&str>) -> Markup {
    let kept = [
        ("response_type", &form.response_type),
        ("client_id", &form.client_id),
        ("redirect_uri", &form.redirect_uri),
        ("scope", &form.scope),
        ("state", &form.state),
        ("aud", &form.aud),
        ("code_challenge", &form.code_challenge),
        ("code_challenge_method", &form.code_challenge_method),
    ];
    html! {
        h1 { "アプリへの提供の同意 " span lang="en" { "Consent to share with an app" } }
        p { strong { (asked.app.name) } " が次の記録の閲覧を求めています。"
            span lang="en" { " asks to read these of your records:" } }
        ul {
            @for readable in &asked.scope.reads {
                @let (japanese, english) = readable.spoken();
                li { (japanese) " " span lang="en" { (english) } }
            }
        }
        @if asked.scope.offline {
            p { "あなたが操作していない間も閲覧します(最長180日)。"
                span lang="en" { "It will also read while you are away, for 180 days at most." } }
        }
        p { "同意はいつでも取り消せます。閲覧はすべて記録され、あなたが確認できます。"
            span lang="en" { "You can withdraw at any time. Every reading is recorded for you to see." } }
        @if let Some(fault) = fault {
            p role="alert" { "受け付けられませんでした。" span lang="en" { (fault) } }
        }
        form method="post" action="/oauth2/authorize" {
            @for (name, value) in kept {
                @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
            }
            p {
                label for="card_assertion" { "マイナンバーカードによる証明 " span lang="en" { "Proof by your card" } }
                br;
                textarea id="card_assertion" name="card_assertion" rows="4" cols="60" autocomplete="off" {}
            }
            button type="submit" name="decision" value="approve" { "同意する / Allow" }
            " "
            button type="submit" name="decision" value="deny" { "同意しない / Refuse" }
        }
    }
}

/// A page of ours: no script, no frame, no referrer; its form goes here and the answer only to the app.
fn page(status: StatusCode, asked: Option<&Asked>, body: &Markup) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="ja" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "引換 Hikikae" }
            }
            body { (body) }
        }
    };
    let bytes = document.into_string().into_bytes();
    let mut response = answer::bytes(status, "text/html; charset=utf-8", bytes);
    let to = asked.map_or("", |asked| origin(&asked.redirect_uri));
    let policy =
        format!("default-src 'none'; form-action 'self' {to}; frame-ancestors 'none'; base-uri 'none'");
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Scheme and authority of a web address; of any other, the scheme.
fn origin(uri: &str) -> &str {
    match uri.find("://") {
        Some(at) => uri[at + 3..].find(['/', '?']).map_or(uri, |end| &uri[..at + 3 + end]),
        None => uri.find(':').map_or(uri, |end| &uri[..=end]),
    }
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn the_origin_of_a_redirect_address() {
        assert_eq!(origin("https://app.example/callback?x=1"), "https://app.example");
        assert_eq!(origin("http://127.0.0.1:9000/"), "http://127.0.0.1:9000");
        assert_eq!(origin("https://app.example"), "https://app.example");
        assert_eq!(origin("jp.example.notebook:/callback"), "jp.example.notebook:");
    }
}

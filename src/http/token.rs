//! `/oauth2/token`: RFC 6749 and 7523, SMART Backend Services style for whoever has a certificate, SMART App Launch
//! for the apps of patients.

use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use warp::Filter;
use warp::reply::Response;

use super::App;
use super::answer;
use super::call::{Call, call};
use super::endpoint::{Described, Endpoint, Form, route};
use super::problem::Problem;
use crate::exchange::app::AppError;
use crate::exchange::caller::{Actor, Caller};
use crate::exchange::mandate::Representative;
use crate::exchange::session::SessionError;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Media type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// The fields of [`Fields`].
const FIELDS: [&str; 10] = [
    "grant_type",
    "client_assertion_type",
    "client_assertion",
    "practitioner_assertion",
    "acting_for",
    "client_id",
    "code",
    "redirect_uri",
    "code_verifier",
    "refresh_token",
];

#[derive(Deserialize)]
struct Fields {
    grant_type: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    practitioner_assertion: Option<String>,
    acting_for: Option<String>,
    client_id: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    refresh_token: Option<String>,
}

/// `POST /oauth2/token`
pub(super) fn issue(app: &App) -> Endpoint {
    let (path, about) = route!(POST "oauth2" / "token");
    let about = about
        .does("Gives an access token for a signed assertion (RFC 7523), a code (RFC 7636) or a refresh token")
        .takes(&[FORM])
        .form(&FIELDS)
        .answers(StatusCode::OK, Form::Json)
        .answers(StatusCode::BAD_REQUEST, Form::Json)
        .answers(StatusCode::UNAUTHORIZED, Form::Json)
        .refuses(&["database-unavailable"]);
    path.and(call(app, &about)).then(handle).described(about)
}

async fn handle(call: Call) -> Response {
    if let Err(problem) = call.content_type(&[FORM]) {
        return problem.response();
    }
    let Ok(form) = serde_urlencoded::from_bytes::<Fields>(&call.body) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", "the form cannot be read");
    };
    match form.grant_type.as_deref() {
        Some("client_credentials") => certificate_holder(&call, form).await,
        Some("authorization_code" | "refresh_token") => app(&call, form).await,
        None => refusal(StatusCode::BAD_REQUEST, "invalid_request", "grant_type is missing"),
        Some(_) => refusal(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "use grant_type=client_credentials, or as a patient's app authorization_code or refresh_token",
        ),
    }
}

/// SMART Backend Services: whoever holds the key of a certificate.
async fn certificate_holder(call: &Call, form: Fields) -> Response {
    if form.client_assertion_type.as_deref() != Some(JWT_BEARER) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        );
    }
    let Some(assertion) = form.client_assertion else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", "client_assertion is missing");
    };
    let Ok(acting_for) = form.acting_for.as_deref().map(str::parse).transpose() else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", "acting_for is a patient's id");
    };
    let practitioner = form.practitioner_assertion.as_deref();
    let exchange = &call.app().exchange;
    match exchange.session_open(&assertion, practitioner, acting_for, call.certificate_hash()).await {
        Ok(issued) => {
            let mut body = json!({
                "access_token": issued.token.as_str(),
                "token_type": "Bearer",
                "expires_in": issued.lifetime.num_seconds(),
                "actor": actor(&issued.caller),
            });
            if let Some(Representative { id, name, scope, .. }) = &issued.caller.representative {
                body["representative"] = json!({ "id": id, "name": name, "scope": scope });
            }
            answer::json(StatusCode::OK, &body)
        }
        Err(SessionError::Store(error)) => Problem::from(error).response(),
        Err(error @ SessionError::NoMandate) => {
            refusal(StatusCode::BAD_REQUEST, "invalid_grant", &error.to_string())
        }
        Err(error) => refusal(StatusCode::UNAUTHORIZED, "invalid_client", &error.to_string()),
    }
}

/// An app of a patient, a public client that proves itself by PKCE (RFC 7636) or by its refresh token.
async fn app(call: &Call, form: Fields) -> Response {
    let request = match call.request() {
        Ok(request) => request,
        Err(problem) => return problem.response(),
    };
    let exchange = &call.app().exchange;
    let issued =
        match form {
            Fields {
                grant_type: Some(kind),
                client_id: Some(client),
                code: Some(code),
                redirect_uri: Some(redirect_uri),
                code_verifier: Some(verifier),
                ..
            } if kind == "authorization_code" => {
                exchange.app_redeem(&client, &code, &redirect_uri, &verifier, &request).await
            }
            Fields {
                grant_type: Some(kind), client_id: Some(client), refresh_token: Some(refresh), ..
            } if kind == "refresh_token" => exchange.app_refresh(&client, &refresh, &request).await,
            _ => {
                return refusal(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    "send client_id with code, redirect_uri and code_verifier, or with refresh_token",
                );
            }
        };
    match issued {
        Ok(issued) => {
            let mut body = json!({
                "access_token": issued.token.as_str(),
                "token_type": "Bearer",
                "expires_in": issued.lifetime.num_seconds(),
                "scope": issued.scope.to_string(),
                "patient": issued.patient,
            });
            if let Some(refresh) = issued.refresh {
                body["refresh_token"] = refresh.encode().as_str().into();
            }
            answer::json(StatusCode::OK, &body)
        }
        Err(AppError::Store(error)) => Problem::from(error).response(),
        Err(error) => refusal(StatusCode::BAD_REQUEST, "invalid_grant", &error.to_string()),
    }
}

fn actor(caller: &Caller) -> serde_json::Value {
    match &caller.actor {
        Actor::Facility(facility) => {
            json!({ "kind": "facility", "id": facility.code, "name": facility.name })
        }
        Actor::Practitioner(person) => {
            json!({ "kind": "practitioner", "id": person.id, "name": person.name })
        }
        Actor::Patient { id, name } => json!({ "kind": "patient", "id": id, "name": name }),
    }
}

/// RFC 6749 5.2.
fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    let mut response = answer::json(status, &json!({ "error": error, "error_description": description }));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

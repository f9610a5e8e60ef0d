//! `/fhir/$medication-check`: the check before signing.

use http::StatusCode;
use warp::Filter;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{Described, Endpoint, FACILITIES, Form, Kind, Query, route};
use super::task::{bad_query, query};
use crate::codec::fhir::collection;
use crate::codec::fhir::coverage::coverage;
use crate::codec::fhir::detected_issue::detected_issue;
use crate::exchange::form::UNSIGNED_MEDIA_TYPES;
use crate::prescription::access::AccessAct;

const CHECK: [Query; 1] = [Query {
    name: "oral-consent",
    kind: Kind::Boolean,
    about: "true when the patient agreed at the counter to details of the hits being shown (口頭同意)",
}];

/// `POST /fhir/$medication-check`
pub(super) fn medication_check(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "$medication-check");
    let about = about
        .does("Checks medicines before anything is signed (重複投薬等チェック)")
        .by(FACILITIES, AccessAct::Check)
        .identity_token(false)
        .query(&CHECK)
        .takes(UNSIGNED_MEDIA_TYPES)
        .answers(StatusCode::OK, Form::Resource("Bundle"))
        .refuses(&["document-invalid", "document-mismatch", "expired"])
        .refuses(&["identity-not-verified", "too-many-attempts"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.facility()?;
                call.acceptable(FHIR)?;
                call.content_type(UNSIGNED_MEDIA_TYPES)?;
                let of = call.form()?.payload();
                let oral_consent = match query(&call, &CHECK)?.first() {
                    None => false,
                    Some((_, value)) => {
                        value.parse().map_err(|_| bad_query("oral-consent is true or false"))?
                    }
                };
                let (token, request) = (call.header("identity-token"), call.request()?);
                let exchange = &call.app().exchange;
                let checked = exchange
                    .medication_check(&caller, token, (of, call.body.clone()), oral_consent, &request)
                    .await?;
                let findings = checked.findings.iter().map(|row| {
                    detected_issue(row.id, &row.finding, row.mitigation.as_ref(), checked.disclosure)
                });
                let bundle = collection(findings.chain([coverage(&checked.coverage)]));
                Ok(answer::fhir(StatusCode::OK, &bundle))
            })
        })
        .described(about)
}

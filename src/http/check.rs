//! `/fhir/$medication-check`: the check before signing.

use http::StatusCode;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::task::{bad_query, query};
use crate::codec::fhir::collection;
use crate::codec::fhir::coverage::coverage;
use crate::codec::fhir::detected_issue::detected_issue;

/// `POST /fhir/$medication-check`
pub(super) fn medication_check(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "$medication-check")
        .and(warp::post())
        .and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.facility()?;
                call.acceptable(FHIR)?;
                call.content_type(&["text/csv"])?;
                let oral_consent = match query(&call, &["oral-consent"])?.first() {
                    None => false,
                    Some((_, value)) => {
                        value.parse().map_err(|_| bad_query("oral-consent is true or false"))?
                    }
                };
                let (token, request) = (call.header("identity-token"), call.request()?);
                let exchange = &call.app().exchange;
                let checked = exchange
                    .medication_check(&caller, token, call.body.clone(), oral_consent, &request)
                    .await?;
                let findings = checked.findings.iter().map(|row| {
                    detected_issue(row.id, &row.finding, row.mitigation.as_ref(), checked.disclosure)
                });
                let bundle = collection(findings.chain([coverage(&checked.coverage)]));
                Ok(answer::fhir(StatusCode::OK, &bundle))
            })
        })
        .boxed()
}

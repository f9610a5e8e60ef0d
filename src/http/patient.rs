//! `/fhir/Patient/$verify-identity` and `/fhir/DetectedIssue`: who the patient is, and going on in spite of a finding.

use chrono::NaiveDate;
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;
use warp::Filter;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{Described, Endpoint, FACILITIES, Form, route};
use super::problem::Problem;
use crate::codec::fhir::detected_issue::detected_issue;
use crate::codec::fhir::parameters::parameters;
use crate::codec::fhir::patient::{Insurance, Particulars, coverage, patient};
use crate::codec::fhir::task::instant;
use crate::exchange::identity::VerifiedIdentity;
use crate::prescription::disclosure::Disclosure;
use crate::prescription::document;
use crate::prescription::mitigation::{COMMENT_LENGTH, ManagementCode};
use crate::store::directory::{InsuredIdentity, Sex};

const INSURANCE: [&str; 5] = ["insurerNumber", "symbol", "number", "branchNumber", "birthDate"];
const MITIGATION: [&str; 2] = ["code", "comment"];

/// `POST /fhir/Patient/$verify-identity`
pub(super) fn verify_identity(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Patient" / "$verify-identity");
    let about = about
        .does("Finds the patient by insurance data (資格確認)")
        .by(FACILITIES)
        .parameters(&INSURANCE)
        .answers(StatusCode::OK, Form::Resource("Parameters"))
        .refuses(&["identity-not-verified", "too-many-attempts"]);
    path.and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.facility()?;
                call.acceptable(FHIR)?;
                let given = call.parameters(&INSURANCE)?;
                let birth_date: NaiveDate = given.need("birthDate")?.parse().map_err(|_| {
                    Problem::new(StatusCode::BAD_REQUEST, "malformed", "birthDate is a date, YYYY-MM-DD")
                })?;
                // What no card can bear is nobody's: the same answer as for any other mismatch.
                let identity = InsuredIdentity::parse(
                    given.need("insurerNumber")?,
                    given.get("symbol").unwrap_or_default(),
                    given.need("number")?,
                    given.get("branchNumber").unwrap_or_default(),
                )
                .ok();
                let request = call.request()?;
                let exchange = &call.app().exchange;
                let verified = exchange.identity_verify(&caller, identity, birth_date, &request).await?;
                Ok(answer::fhir(StatusCode::OK, &identity_answer(&verified)))
            })
        })
        .described(about)
}

fn identity_answer(verified: &VerifiedIdentity) -> serde_json::Value {
    let person = &verified.entry.patient.particulars;
    let mut answer = vec![
        json!({ "name": "identityToken", "valueString": verified.token.encode().as_str() }),
        json!({ "name": "expiresAt", "valueInstant": instant(verified.expires_at) }),
        json!({ "name": "method", "valueCode": "insurance" }),
        json!({ "name": "patient", "resource": patient(Particulars {
            name: &person.name,
            kana: person.kana.as_deref(),
            birth_date: person.birth_date,
            sex: match person.sex {
                Sex::Male => Some(document::Sex::Male),
                Sex::Female => Some(document::Sex::Female),
                Sex::Unknown => None,
            },
        }) }),
    ];
    if let Some(insurance) = &verified.entry.coverage {
        answer.push(json!({ "name": "coverage", "resource": coverage(Insurance {
            insurer_number: insurance.identity.insurer_number(),
            symbol: insurance.identity.symbol(),
            number: insurance.identity.number(),
            branch_number: insurance.identity.branch_number(),
            valid_from: insurance.valid_from,
            valid_until: insurance.valid_until,
        }) }));
    }
    parameters(&answer)
}

/// `POST /fhir/DetectedIssue/{id}/$mitigate`
pub(super) fn mitigate(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "DetectedIssue" / {id: Uuid} / "$mitigate");
    let about = about
        .does("Gives the reason for going on in spite of a finding")
        .by(FACILITIES)
        .parameters(&MITIGATION)
        .answers(StatusCode::OK, Form::Resource("DetectedIssue"))
        .refuses(&["not-found", "state-conflict"]);
    path.and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let given = call.parameters(&MITIGATION)?;
                let malformed = |text: String| Problem::new(StatusCode::BAD_REQUEST, "malformed", text);
                let code = ManagementCode::try_from(given.need("code")?.to_owned())
                    .map_err(|error| malformed(format!("code: {error}")))?;
                let comment = given.get("comment").map(str::to_owned);
                if comment.as_ref().is_some_and(|text| text.chars().count() > COMMENT_LENGTH) {
                    return Err(malformed("comment has at most 300 characters".to_owned()));
                }
                let request = call.request()?;
                let row = call.app().exchange.mitigate(&caller, id, code, comment, &request).await?;
                Ok(answer::fhir(
                    StatusCode::OK,
                    &detected_issue(row.id, &row.finding, row.mitigation.as_ref(), Disclosure::Withheld),
                ))
            })
        })
        .described(about)
}

//! `/fhir/Patient/$…` and `/fhir/DetectedIssue`: who the patient is, and going on in spite of a finding.

use chrono::NaiveDate;
use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;
use warp::Filter;
use warp::reply::Response;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{Described, Endpoint, FACILITIES, Form, route};
use super::problem::Problem;
use crate::codec::fhir::detected_issue::detected_issue;
use crate::codec::fhir::parameters::{Parameters, Part, parameters};
use crate::codec::fhir::patient::{Insurance, Particulars, coverage, patient};
use crate::exchange::break_glass::Sought;
use crate::exchange::identity::{Evidence, VerifiedIdentity};
use crate::prescription::access::AccessAct;
use crate::prescription::document;
use crate::prescription::mitigation::{COMMENT_LENGTH, ManagementCode};
use crate::store::directory::{self, InsuredIdentity, Sex};

const VERIFY: [&str; 6] = ["insurerNumber", "symbol", "number", "branchNumber", "birthDate", "cardAssertion"];
const EMERGENCY: [&str; 8] =
    ["insurerNumber", "symbol", "number", "branchNumber", "birthDate", "name", "sex", "reason"];
const MITIGATION: [&str; 2] = ["code", "comment"];

/// `POST /fhir/Patient/$verify-identity`
pub(super) fn verify_identity(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Patient" / "$verify-identity");
    let about = about
        .does("Finds the patient by insurance data (資格確認)")
        .by(FACILITIES, AccessAct::VerifyIdentity)
        .parameters(&VERIFY)
        .answers(StatusCode::OK, Form::Resource("Parameters"))
        .refuses(&["identity-not-verified", "too-many-attempts", "revocation-unavailable"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.facility()?;
                call.acceptable(FHIR)?;
                let evidence = evidence(&call)?;
                let request = call.request()?;
                let verified = call.app().exchange.identity_verify(&caller, evidence, &request).await?;
                Ok(identity_answer(&verified))
            })
        })
        .described(about)
}

/// An assertion by the patient's card, or insurance data and birth date; one of them.
fn evidence(call: &Call) -> Result<Evidence, Problem> {
    let given = call.parameters(&VERIFY)?;
    match given.get("cardAssertion") {
        None => {
            let birth_date = birth_date(&given)?;
            Ok(Evidence::Insurance(insured(&given)?, birth_date))
        }
        Some(assertion) if VERIFY[..5].iter().all(|name| given.get(name).is_none()) => {
            Ok(Evidence::Card(assertion.to_owned()))
        }
        Some(_) => Err(malformed("give cardAssertion or insurance data, one of them")),
    }
}

fn birth_date(given: &Parameters) -> Result<NaiveDate, Problem> {
    given.need("birthDate")?.parse().map_err(|_| malformed("birthDate is a date, YYYY-MM-DD"))
}

/// What no card can bear is nobody's: `None`, and the same answer as for any other mismatch.
fn insured(given: &Parameters) -> Result<Option<InsuredIdentity>, Problem> {
    let identity = InsuredIdentity::parse(
        given.need("insurerNumber")?,
        given.get("symbol").unwrap_or_default(),
        given.need("number")?,
        given.get("branchNumber").unwrap_or_default(),
    );
    Ok(identity.ok())
}

fn malformed(text: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", text)
}

/// `POST /fhir/Patient/$card-challenge`
pub(super) fn card_challenge(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Patient" / "$card-challenge");
    let about = about
        .does("Gives a nonce for the patient's card to sign")
        .by(FACILITIES, None)
        .answers(StatusCode::OK, Form::Resource("Parameters"));
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let (nonce, expires_at) = call.app().exchange.card_challenge(&caller).await?;
                let answer =
                    vec![Part::string("nonce", nonce.as_str()), Part::instant("expiresAt", expires_at)];
                Ok(answer::fhir(StatusCode::OK, &parameters(answer)))
            })
        })
        .described(about)
}

/// A person.
pub(super) fn person(person: &directory::Particulars) -> Value {
    patient(Particulars {
        name: &person.name,
        kana: person.kana.as_deref(),
        birth_date: person.birth_date,
        sex: match person.sex {
            Sex::Male => Some(document::Sex::Male),
            Sex::Female => Some(document::Sex::Female),
            Sex::Unknown => None,
        },
        deceased_on: person.deceased_on,
    })
}

/// An insurance of the person, which may have ended.
pub(super) fn insurance(insurance: &directory::Coverage, ended: bool) -> Value {
    coverage(Insurance {
        insurer_number: insurance.identity.insurer_number(),
        symbol: insurance.identity.symbol(),
        number: insurance.identity.number(),
        branch_number: insurance.identity.branch_number(),
        valid_from: insurance.valid_from,
        valid_until: insurance.valid_until,
        ended,
    })
}

fn identity_answer(verified: &VerifiedIdentity) -> Response {
    let token = verified.token.encode();
    let patient = person(&verified.entry.patient.particulars);
    let coverage = verified.entry.coverage.as_ref().map(|valid| insurance(valid, false));
    let mut answer = vec![
        Part::string("identityToken", token.as_str()),
        Part::instant("expiresAt", verified.expires_at),
        Part::code("method", verified.permissions.method.as_str()),
        Part::resource("patient", patient),
    ];
    answer.extend(coverage.map(|coverage| Part::resource("coverage", coverage)));
    answer.extend(verified.permissions.granted().map(|(opening, until)| {
        let mut about =
            vec![Part::code("kind", opening.kind.as_str()), Part::code("basis", opening.basis.as_str())];
        about.extend(until.map(|until| Part::instant("until", until)));
        Part::parts("consent", about)
    }));
    answer::fhir(StatusCode::OK, &parameters(answer))
}

/// `POST /fhir/Patient/$break-glass`
pub(super) fn break_glass(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Patient" / "$break-glass");
    let about = about
        .does("Opens a patient's record in an emergency (救急時), with a reason the patient reads")
        .by(FACILITIES, AccessAct::BreakGlass)
        .parameters(&EMERGENCY)
        .answers(StatusCode::OK, Form::Resource("Parameters"))
        .refuses(&["identity-not-verified", "too-many-attempts", "role-mismatch"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.clinician()?;
                call.acceptable(FHIR)?;
                let (sought, reason) = sought(&call)?;
                let request = call.request()?;
                let verified = call.app().exchange.break_glass(&caller, &sought, reason, &request).await?;
                Ok(identity_answer(&verified))
            })
        })
        .described(about)
}

/// Whom an emergency is about, by name and sex or by insurance data, and the reason.
fn sought(call: &Call) -> Result<(Sought, String), Problem> {
    let given = call.parameters(&EMERGENCY)?;
    let reason = given.need("reason")?.to_owned();
    let birth_date = birth_date(&given)?;
    if given.get("name").is_none() && given.get("sex").is_none() {
        return Ok((Sought::Insured(insured(&given)?, birth_date), reason));
    }
    if EMERGENCY[..4].iter().any(|name| given.get(name).is_some()) {
        return Err(malformed("give name and sex or insurance data, one of them"));
    }
    let sex = match given.need("sex")? {
        "male" => Sex::Male,
        "female" => Sex::Female,
        "unknown" => Sex::Unknown,
        _ => return Err(malformed("sex is male, female or unknown")),
    };
    Ok((Sought::Named { name: given.need("name")?.to_owned(), birth_date, sex }, reason))
}

/// `POST /fhir/DetectedIssue/{id}/$mitigate`
pub(super) fn mitigate(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "DetectedIssue" / {id: Uuid} / "$mitigate");
    let about = about
        .does("Gives the reason for going on in spite of a finding")
        .by(FACILITIES, AccessAct::Mitigate)
        .identity_token(false)
        .parameters(&MITIGATION)
        .answers(StatusCode::OK, Form::Resource("DetectedIssue"))
        .refuses(&["not-found", "state-conflict"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                let given = call.parameters(&MITIGATION)?;
                let code = ManagementCode::try_from(given.need("code")?.to_owned())
                    .map_err(|error| malformed(format!("code: {error}")))?;
                let comment = given.get("comment").map(str::to_owned);
                if comment.as_ref().is_some_and(|text| text.chars().count() > COMMENT_LENGTH) {
                    return Err(malformed("comment has at most 300 characters"));
                }
                let request = call.request()?;
                let (row, disclosure) =
                    call.app().exchange.mitigate(&caller, id, code, comment, &request).await?;
                Ok(answer::fhir(
                    StatusCode::OK,
                    &detected_issue(row.id, &row.finding, row.mitigation.as_ref(), disclosure),
                ))
            })
        })
        .described(about)
}

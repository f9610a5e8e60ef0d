//! From a refusal to status, code and words: the one table of the contract's errors.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use warp::reply::Response;

use super::answer;
use crate::codec::fault::Fault;
use crate::codec::fhir::detected_issue::detected_issue;
use crate::codec::fhir::outcome::{Issue, outcome};
use crate::codec::fhir::parameters;
use crate::exchange::error::ExchangeError;
use crate::prescription::state::Refusal;
use crate::store::StoreError;
use crate::trust::verdict;

/// When a revocation list may have come.
const REVOCATION_WAIT: Duration = Duration::from_mins(1);

/// An error on its way out.
#[derive(Debug)]
pub struct Problem {
    code: &'static str,
    status: StatusCode,
    issues: Vec<Issue>,
    contained: Vec<Value>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// One issue without a place.
    pub fn new(status: StatusCode, code: &'static str, diagnostics: impl Into<String>) -> Self {
        Self::at_places(status, code, [(None, diagnostics.into())])
    }

    fn at_places(
        status: StatusCode,
        code: &'static str,
        places: impl IntoIterator<Item = (Option<String>, String)>,
    ) -> Self {
        let issues = places
            .into_iter()
            .map(|(expression, diagnostics)| Issue {
                severity: "error",
                kind: kind(code),
                code,
                expression,
                diagnostics,
            })
            .collect();
        debug_assert_eq!(status, self::status(code), "{code}");
        Self { code, status, issues, contained: Vec::new(), retry_after: None }
    }

    fn faults(code: &'static str, faults: Vec<Fault>) -> Self {
        Self::at_places(
            StatusCode::UNPROCESSABLE_ENTITY,
            code,
            faults.into_iter().map(|fault| (Some(fault.place), fault.message)),
        )
    }

    /// The caller may come again after this long.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The contract's code.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The answer.
    pub fn response(self) -> Response {
        let mut response = answer::fhir(self.status, &outcome(&self.issues, self.contained));
        response.extensions_mut().insert(Refused(self.code));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The code an answer refuses with, kept beside the answer for those who check it against its description.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub &'static str);

/// The status of each of the contract's codes.
pub(super) fn status(code: &str) -> StatusCode {
    use StatusCode as S;
    match code {
        "malformed" => S::BAD_REQUEST,
        "token-missing" | "token-invalid" => S::UNAUTHORIZED,
        "not-permitted" | "consent-required" | "role-mismatch" => S::FORBIDDEN,
        "not-found" => S::NOT_FOUND,
        "method-not-allowed" => S::METHOD_NOT_ALLOWED,
        "not-acceptable" => S::NOT_ACCEPTABLE,
        "held-by-pharmacy"
        | "already-dispensed"
        | "cancelled"
        | "expired"
        | "not-yet-due"
        | "medication-check-unresolved"
        | "duplicate-document"
        | "state-conflict" => S::CONFLICT,
        "version-mismatch" => S::PRECONDITION_FAILED,
        "too-large" => S::PAYLOAD_TOO_LARGE,
        "unsupported-media-type" => S::UNSUPPORTED_MEDIA_TYPE,
        "too-many-attempts" | "too-many-requests" => S::TOO_MANY_REQUESTS,
        "revocation-unavailable" | "overloaded" | "database-unavailable" => S::SERVICE_UNAVAILABLE,
        "internal" => S::INTERNAL_SERVER_ERROR,
        _ => S::UNPROCESSABLE_ENTITY,
    }
}

/// FHIR's coarse code for each of the contract's codes.
fn kind(code: &str) -> &'static str {
    match code {
        "malformed" => "structure",
        "token-missing" | "token-invalid" => "login",
        "not-permitted" | "consent-required" | "role-mismatch" | "signer-role" => "forbidden",
        "not-found" | "exchange-number-unknown" => "not-found",
        "duplicate-document" => "duplicate",
        "too-large" => "too-long",
        "method-not-allowed" | "not-acceptable" | "unsupported-media-type" => "not-supported",
        "too-many-requests" | "too-many-attempts" => "throttled",
        "overloaded" | "database-unavailable" | "revocation-unavailable" => "transient",
        "signature-invalid"
        | "signature-mismatch"
        | "certificate-untrusted"
        | "certificate-expired"
        | "certificate-revoked" => "security",
        "version-mismatch" => "conflict",
        "document-invalid" => "invalid",
        _ => "business-rule",
    }
}

impl From<parameters::Faults> for Problem {
    fn from(faults: parameters::Faults) -> Self {
        Self::at_places(
            StatusCode::BAD_REQUEST,
            "malformed",
            faults.into_iter().map(|(place, message)| (Some(place), message)),
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (code, wait) = if matches!(error, StoreError::Overloaded) {
            ("overloaded", Duration::from_secs(1))
        } else {
            tracing::error!(%error, "the database refused an act");
            ("database-unavailable", Duration::from_secs(2))
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "try again with the same Idempotency-Key")
            .retry_after(wait)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, advice) = match refusal {
            Refusal::HeldByPharmacy => ("held-by-pharmacy", "ask the pharmacy to return it first"),
            Refusal::AlreadyDispensed => ("already-dispensed", "nothing more can be done with it"),
            Refusal::Cancelled => ("cancelled", "ask the clinic for a new one"),
            Refusal::Expired => ("expired", "the patient needs a new one"),
            Refusal::NotYetDue => ("not-yet-due", "come back within 7 days of the due date"),
            Refusal::Collected
            | Refusal::NotHeld
            | Refusal::NoSuchResult
            | Refusal::LaterResult
            | Refusal::TooManyResults => ("state-conflict", "read the Task to see where it stands"),
        };
        Self::new(StatusCode::CONFLICT, code, format!("{refusal}; {advice}"))
    }
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        use StatusCode as S;
        match error {
            ExchangeError::Document(faults) => Self::faults("document-invalid", faults),
            ExchangeError::DocumentMismatch(faults) => Self::faults("document-mismatch", faults),
            ExchangeError::Signature { place, failure } => {
                let place = [(Some(place), failure.reason)];
                match failure.code {
                    verdict::Refusal::RevocationUnavailable => {
                        Self::at_places(S::SERVICE_UNAVAILABLE, failure.code.as_str(), place)
                            .retry_after(REVOCATION_WAIT)
                    }
                    code => Self::at_places(S::UNPROCESSABLE_ENTITY, code.as_str(), place),
                }
            }
            ExchangeError::DuplicateDocument => Self::new(
                S::CONFLICT,
                "duplicate-document",
                "this document is already registered; look for its Task, or sign a new document",
            ),
            ExchangeError::IdentityNotVerified => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "identity-not-verified",
                "the identity could not be verified; check insurer number, symbol, number, branch number and birth date",
            ),
            ExchangeError::IdentityTokenInvalid => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "identity-not-verified",
                "send the Identity-Token of a verification your facility made within the last 30 minutes",
            ),
            ExchangeError::ExchangeNumberUnknown => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "exchange-number-unknown",
                "the verified patient has no prescription with this exchange number",
            ),
            ExchangeError::NotPermitted(reason) => Self::new(S::FORBIDDEN, "not-permitted", reason),
            ExchangeError::ReportedFull => Self::new(
                S::CONFLICT,
                "state-conflict",
                "there is no room for more entries; remove some first",
            ),
            ExchangeError::NotAvailable(reason) => Self::new(S::NOT_ACCEPTABLE, "not-acceptable", reason),
            ExchangeError::RoleMismatch => Self::new(
                S::FORBIDDEN,
                "role-mismatch",
                "this act is for a physician, dentist or pharmacist at the terminal",
            ),
            ExchangeError::RevocationUnavailable => Self::new(
                S::SERVICE_UNAVAILABLE,
                "revocation-unavailable",
                "whether the card is revoked cannot be told now; verify the insurance data instead, or try again",
            )
            .retry_after(REVOCATION_WAIT),
            ExchangeError::ConsentRequired => Self::new(
                S::FORBIDDEN,
                "consent-required",
                "the patient's consent to this is not in force; it is given at the card reader or in the patient's app",
            ),
            ExchangeError::NotFound => Self::new(S::NOT_FOUND, "not-found", "there is nothing here for you"),
            ExchangeError::Refused(refusal) => refusal.into(),
            ExchangeError::VersionMismatch => Self::new(
                S::PRECONDITION_FAILED,
                "version-mismatch",
                "the Task has changed since you read it; read it again and decide anew",
            ),
            ExchangeError::IdempotencyKeyReused => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "this Idempotency-Key came with another request before; use a new key for a new request",
            ),
            ExchangeError::CheckUnresolved(findings, disclosure) => Self {
                contained: findings
                    .iter()
                    .map(|row| {
                        detected_issue(row.id, &row.finding, row.mitigation.as_ref(), disclosure)
                    })
                    .collect(),
                ..Self::new(
                    S::CONFLICT,
                    "medication-check-unresolved",
                    "the medication check found something; change the document, or give a reason with \
                     DetectedIssue/{id}/$mitigate and send it again",
                )
            },
            ExchangeError::FindingAnswered => Self::new(
                S::CONFLICT,
                "state-conflict",
                "your facility has given another reason for this finding, and it stands; send your document",
            ),
            ExchangeError::TooManyAttempts(wait) => Self::new(
                S::TOO_MANY_REQUESTS,
                "too-many-attempts",
                "too many attempts of your facility failed; wait as Retry-After says",
            )
            .retry_after(wait),
            ExchangeError::Store(error) => error.into(),
            ExchangeError::Internal(what) => {
                tracing::error!(what, "an act failed inside the server");
                Self::new(S::INTERNAL_SERVER_ERROR, "internal", "the operator has been told")
            }
        }
    }
}

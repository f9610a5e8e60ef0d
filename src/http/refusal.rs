//! The refused act in the access record: what a request was refused is recorded for the patients it had come to,
//! before it is answered. Knows which act each path is, and no more of any.

use std::sync::{Arc, OnceLock};

use http::Method;
use warp::reply::Response;

use super::App;
use super::problem::{Problem, status};
use crate::exchange::caller::Caller;

tokio::task_local! {
    /// Who has come in by the request that this task answers. Set while an endpoint works, and nowhere else.
    static VISIT: Arc<OnceLock<Visit>>;
}

/// A caller who has come in, and for what.
struct Visit {
    app: App,
    caller: Caller,
    act: &'static str,
}

/// Notes who has come in by this request. Only what the exchange decides on is an act; the rest names none.
pub(super) fn came_in(app: &App, caller: &Caller, method: &Method, path: &str) {
    let Some(act) = act(method, path) else { return };
    // Outside an endpoint's work there is nobody to be refused.
    let _ = VISIT.try_with(|visit| {
        visit.get_or_init(|| Visit { app: app.clone(), caller: caller.clone(), act });
    });
}

/// Runs an endpoint's work. What it refuses is recorded first; what cannot be recorded is not answered.
pub(super) async fn recorded(work: impl Future<Output = Result<Response, Problem>>) -> Response {
    let visit = Arc::<OnceLock<Visit>>::default();
    let problem = match VISIT.scope(Arc::clone(&visit), work).await {
        Ok(response) => return response,
        Err(problem) => problem,
    };
    let told = match visit.get().filter(|_| tells(problem.code())) {
        Some(Visit { app, caller, act }) => app.exchange.refusal_record(act, caller, problem.code()).await,
        None => Ok(()),
    };
    told.map_or_else(|error| Problem::from(error).response(), |()| problem.response())
}

/// Whether a refusal says something of an act: not of how the request was written, how many there were, or of what
/// the exchange could not do. Findings are recorded where they are kept.
fn tells(code: &str) -> bool {
    let told = matches!(status(code).as_u16(), 402..=404 | 407..=412 | 422);
    told && code != "medication-check-unresolved"
}

/// The act of a path, as the access record names it; `None` where the exchange decides nothing about a patient.
fn act(method: &Method, path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    Some(match (method, segments.as_slice()) {
        ("POST", ["fhir", "Patient", "$verify-identity"]) => "verify-identity",
        ("POST", ["fhir", "Patient", "$break-glass"]) => "break-glass",
        ("POST", ["fhir", "$medication-check"]) => "check",
        (
            "POST",
            ["fhir", "DetectedIssue", _, "$mitigate"] | ["cds-services", "hikikae-order-sign", "feedback"],
        ) => "mitigate",
        ("POST", ["fhir", "Task", "$register"]) => "register",
        ("POST", ["fhir", "Task", "$accept"]) => "accept",
        ("POST", ["fhir", "Task", _, act]) => match *act {
            "$amend" => "amend",
            "$cancel" => "cancel",
            "$renew" => "renew",
            "$return" => "return",
            "$collect" => "collect",
            "$dispense" => "dispense",
            "$amend-dispense" => "amend-dispense",
            "$withdraw-dispense" => "withdraw-dispense",
            _ => return None,
        },
        ("GET", ["fhir", "Task"]) => "search",
        ("GET", ["fhir", "Task", "_history" | "$events"]) => "follow",
        ("GET", ["fhir", "Task", _]) => "read",
        ("GET", ["fhir", "Task", _, "_history"] | ["fhir", "Task", _, "_history", _]) => "history",
        ("GET", ["fhir", "Task", _, "$document"]) => "document",
        ("GET", ["fhir", "Task", _, "$slip"]) => "slip",
        ("GET", ["fhir", "MedicationRequest"]) => "history-prescribed",
        ("GET", ["fhir", "MedicationDispense"]) => "history-given-out",
        ("GET", ["fhir", "Patient", "$notebook"]) => "notebook",
        ("POST", ["fhir", "Patient", "$notebook-import"]) => "notebook-import",
        ("GET", ["fhir", "Patient", "$export"]) => "export",
        ("GET", ["fhir", "RelatedPerson"]) => "mandate-list",
        ("POST", ["fhir", "RelatedPerson"]) => "mandate-add",
        ("DELETE", ["fhir", "RelatedPerson", _]) => "mandate-end",
        ("GET", ["fhir", "Consent"]) => "consent-list",
        ("POST", ["fhir", "Consent"]) => "consent-put",
        ("DELETE", ["fhir", "Consent", _]) => "consent-withdraw",
        ("GET", ["fhir", "AllergyIntolerance"]) => "allergy-read",
        ("POST", ["fhir", "AllergyIntolerance"]) => "allergy-record",
        ("DELETE", ["fhir", "AllergyIntolerance", _]) => "allergy-remove",
        ("GET", ["fhir", "MedicationStatement"]) => "self-reported-read",
        ("POST", ["fhir", "MedicationStatement"]) => "self-reported-record",
        ("DELETE", ["fhir", "MedicationStatement", _]) => "self-reported-remove",
        ("GET", ["fhir", "AuditEvent"]) => "access-record",
        ("GET", ["oauth2", "apps"]) => "app-list",
        ("DELETE", ["oauth2", "apps", _]) => "app-revoke",
        ("POST", ["cds-services", "hikikae-order-sign"]) => "check-order-sign",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_of_a_refusal() {
        for code in ["not-found", "consent-required", "expired", "version-mismatch", "document-invalid"] {
            assert!(tells(code), "{code}");
        }
        for code in
            ["malformed", "token-invalid", "not-acceptable", "too-many-attempts", "overloaded", "internal"]
        {
            assert!(!tells(code), "{code}");
        }
    }

    #[test]
    fn paths_name_their_acts() {
        assert_eq!(act(&Method::HEAD, "/fhir/Task/x"), Some("read"));
        assert_eq!(act(&Method::GET, "/fhir/Task/_history"), Some("follow"));
        assert_eq!(act(&Method::GET, "/fhir/Task/x/_history/2"), Some("history"));
        assert_eq!(act(&Method::GET, "/fhir/Task/x/$cancel"), None);
    }
}

//! The refused act in the access record: what a request was refused is recorded for the patients it had come to,
//! before it is answered. Knows of acts only the names that endpoints give themselves.

use std::sync::{Arc, OnceLock};

use warp::reply::Response;

use super::App;
use super::problem::{Problem, status};
use crate::exchange::caller::Caller;
use crate::prescription::access::AccessAct;

tokio::task_local! {
    /// Who has come in by the request that this task answers. Set while an endpoint works, and nowhere else.
    static VISIT: Arc<OnceLock<Visit>>;
}

/// A caller who has come in, and for what.
struct Visit {
    app: App,
    caller: Caller,
    act: AccessAct,
}

/// Notes who has come in by this request, and for what.
pub(super) fn came_in(app: &App, caller: &Caller, act: AccessAct) {
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
        Some(Visit { app, caller, act }) => app.exchange.refusal_record(*act, caller, problem.code()).await,
        None => Ok(()),
    };
    told.map_or_else(|error| Problem::from(error).response(), |()| problem.response())
}

/// Whether a refusal says something of an act: not of how the request was written, how many there were, or of what
/// the exchange could not do. Findings are recorded where an act
/// meets them, with what opens them.
fn tells(code: &str) -> bool {
    let told = matches!(status(code).as_u16(), 402..=404 | 407..=412 | 422);
    told && code != "medication-check-unresolved"
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
}

//! `/cds-services`: CDS Hooks 2.0, so that any system that knows the standard can ask before an order is signed.

use http::StatusCode;
use serde_json::json;
use warp::Filter;

use super::App;
use super::answer;
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, Form, route};
use super::problem::Problem;
use crate::codec::cds_hooks::{self, CardOutcome};
use crate::exchange::order::CardFeedback;
use crate::prescription::access::AccessAct;
use crate::store::finding::FindingRow;

/// `GET /cds-services`
pub(super) fn services() -> Endpoint {
    let (path, about) = route!(GET "cds-services");
    let about = about.does("CDS Hooks 2.0 discovery").answers(StatusCode::OK, Form::Json);
    path.map(|| answer::json(StatusCode::OK, &cds_hooks::services())).described(about)
}

/// `POST /cds-services/hikikae-order-sign`
pub(super) fn order_sign(app: &App) -> Endpoint {
    let (path, about) = route!(POST "cds-services" / "hikikae-order-sign");
    let about = about
        .does("CDS Hooks 2.0, hook order-sign: cards for draft orders")
        .by(&[By::Clinic], AccessAct::CheckOrderSign)
        .identity_token(true)
        .takes(&["application/json"])
        .answers(StatusCode::OK, Form::Json);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.clinic()?;
                call.content_type(&["application/json"])?;
                let orders = cds_hooks::orders(&call.body).map_err(malformed)?;
                let request = call.request()?;
                let App { exchange, base_url, .. } = call.app();
                let identified = exchange.identity_of(&caller, call.header("identity-token")).await?;
                let checked = exchange.orders_check(&caller, &identified, &orders, &request).await?;
                let found = checked.findings.iter().filter(|row| row.mitigation.is_none());
                let disclosure = checked.disclosure;
                let card =
                    |row: &FindingRow| cds_hooks::finding_card(row.id, &row.finding, disclosure, base_url);
                let cards = found.map(card);
                // Of a card that is no finding nothing is kept: the request's own name does for it.
                let unseen = cds_hooks::coverage_card(request.id, &checked.coverage, base_url);
                let cards: Vec<_> = cards.chain(unseen).collect();
                Ok(answer::json(StatusCode::OK, &json!({ "cards": cards })))
            })
        })
        .described(about)
}

/// `POST /cds-services/hikikae-order-sign/feedback`
pub(super) fn feedback(app: &App) -> Endpoint {
    let (path, about) = route!(POST "cds-services" / "hikikae-order-sign" / "feedback");
    let about = about
        .does("CDS Hooks 2.0: what was done about cards")
        .by(&[By::Clinic], AccessAct::Mitigate)
        .takes(&["application/json"])
        .answers(StatusCode::OK, Form::Json);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                caller.clinic()?;
                call.content_type(&["application/json"])?;
                let outcomes = cds_hooks::feedback(&call.body).map_err(malformed)?;
                let cards = outcomes.into_iter().map(counted).collect();
                call.app().exchange.order_feedback(&caller, cards, &call.request()?).await?;
                Ok(answer::json(StatusCode::OK, &json!({})))
            })
        })
        .described(about)
}

fn counted(card: CardOutcome) -> CardFeedback {
    let outcome = if card.overridden { "overridden" } else { "accepted" };
    let code = card.reason.as_ref().map_or("none", |(code, _)| code.as_str());
    metrics::counter!("hikikae_card_feedback_total", "outcome" => outcome, "code" => code).increment(1);
    CardFeedback { card: card.card, overridden: card.reason }
}

fn malformed((place, expected): cds_hooks::Fault) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("{place}: {expected}"))
}

//! What a patient takes along: the slip (処方内容（控え）) and the medicine notebook (電子版お薬手帳).

use chrono::{Days, NaiveDate};
use http::{StatusCode, header};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, path};

use super::App;
use super::answer;
use super::call::{Call, call, respond};
use super::problem::Problem;
use super::task::{bad_query, query};
use crate::clock::japanese_date;
use crate::codec::fault::Form;
use crate::codec::notebook;
use crate::codec::qr::{self, HANDY_BYTES, Symbol};
use crate::exchange::notebook::Asked;
use crate::store::PrescriptionId;

const PDF: &str = "application/pdf";
const NOTEBOOK: &str = "text/csv";
const NOTEBOOK_SHIFT_JIS: &str = "text/csv; charset=Shift_JIS";
const SVG: &str = "image/svg+xml";
/// How far back a notebook goes when no period is asked for.
const DAYS: Days = Days::new(100);

/// `GET /fhir/Task/{id}/$slip`
pub(super) fn slip(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Task" / PrescriptionId / "$slip")
        .and(warp::get())
        .and(call(app))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(PDF)?;
                query(&call, &[])?;
                let pdf = call.app().exchange.slip(&caller, id, &call.request()?).await?;
                Ok(answer::bytes(StatusCode::OK, PDF, pdf))
            })
        })
        .boxed()
}

/// `GET /fhir/Patient/$notebook`
pub(super) fn notebook(app: &App) -> BoxedFilter<(Response,)> {
    path!("fhir" / "Patient" / "$notebook")
        .and(warp::get())
        .and(call(app))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let drawn = call.header(header::ACCEPT).is_some_and(|accept| {
                    let names = |media_type| accept.to_ascii_lowercase().contains(media_type);
                    names(SVG) && !names(NOTEBOOK)
                });
                call.acceptable(if drawn { SVG } else { NOTEBOOK })?;
                let exchange = &call.app().exchange;
                let notebook = exchange.notebook(&caller, asked(&call)?, &call.request()?).await?;
                if !drawn {
                    let bytes = notebook::write(&notebook, &Form::default());
                    return Ok(answer::bytes(StatusCode::OK, NOTEBOOK_SHIFT_JIS, bytes));
                }
                let symbols = exchange
                    .notebook_parts(&notebook, HANDY_BYTES)?
                    .iter()
                    .map(|part| Symbol::of(&notebook::write(part, &Form::default())))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| {
                        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", error.to_string())
                    })?;
                Ok(answer::bytes(StatusCode::OK, SVG, qr::svg(&symbols).into_bytes()))
            })
        })
        .boxed()
}

/// `dispense=TASK` or `dispense=TASK.NUMBER`, else `from=DATE` and `until=DATE`.
fn asked(call: &Call) -> Result<Asked, Problem> {
    let (mut dispense, mut from, mut until) = (None, None, None);
    for (name, value) in query(call, &["dispense", "from", "until"])? {
        let date =
            || value.parse::<NaiveDate>().map_err(|_| bad_query("from and until are dates, YYYY-MM-DD"));
        match name.as_str() {
            "dispense" => dispense = Some(dispensing(&value)?),
            "from" => from = Some(date()?),
            _ => until = Some(date()?),
        }
    }
    if let Some(asked) = dispense {
        if from.is_some() || until.is_some() {
            return Err(bad_query("a dispensing has no period: give dispense, or from and until"));
        }
        return Ok(asked);
    }
    let until = until.unwrap_or_else(|| japanese_date(call.app().exchange.clock().now()));
    let from = from.or_else(|| until.checked_sub_days(DAYS)).unwrap_or(NaiveDate::MIN);
    if from > until {
        return Err(bad_query("from is not after until"));
    }
    Ok(Asked::Period(from, until))
}

fn dispensing(text: &str) -> Result<Asked, Problem> {
    let refused =
        || bad_query("dispense is the id of a Task, or of a Task and the number of a dispensing: ID.2");
    let (id, number) = text.split_once('.').map_or((text, None), |(id, number)| (id, Some(number)));
    let id = id.parse::<PrescriptionId>().map_err(|_| refused())?;
    let number = number.map(|number| number.parse().ok().filter(|number| *number >= 1).ok_or_else(refused));
    Ok(Asked::Dispensing(id, number.transpose()?))
}

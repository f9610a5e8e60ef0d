//! What a patient takes along: the slip (処方内容（控え）) and the medicine notebook (電子版お薬手帳).

use chrono::{Days, NaiveDate};
use http::{StatusCode, header};
use warp::Filter;

use super::App;
use super::answer::{self, FHIR};
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, Form, Kind, Query, route};
use super::problem::Problem;
use super::task::{bad_query, query};
use crate::clock::japanese_date;
use crate::codec::fault;
use crate::codec::fhir::parameters::{Part, parameters};
use crate::codec::notebook::{self, Version};
use crate::codec::qr::{self, HANDY_BYTES, Symbol};
use crate::exchange::notebook::Asked;
use crate::prescription::access::AccessAct;
use crate::store::PrescriptionId;

const PDF: &str = "application/pdf";
const NOTEBOOK: &str = "text/csv";
const NOTEBOOK_SHIFT_JIS: &str = "text/csv; charset=Shift_JIS";
const SVG: &str = "image/svg+xml";
const NOTEBOOK_QUERY: [Query; 4] = [
    Query { name: "dispense", kind: Kind::Token, about: "id of the Task, and `.n` for its n-th dispensing" },
    Query {
        name: "from",
        kind: Kind::Day,
        about: "first day of a period, by default 100 days before `until`",
    },
    Query { name: "until", kind: Kind::Day, about: "last day of a period, by default today" },
    Query {
        name: "version",
        kind: Kind::Word(&Version::NAMES),
        about: "header of the notebook: JAHISTC08, the default, or the version before",
    },
];
/// How far back a notebook goes when no period is asked for.
const DAYS: Days = Days::new(100);

/// `GET /fhir/Task/{id}/$slip`
pub(super) fn slip(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Task" / {id: PrescriptionId} / "$slip");
    let about = about
        .does("Prints the slip of a prescription (処方内容（控え）)")
        .by(&[By::Clinic, By::Patient], AccessAct::Slip)
        .answers(StatusCode::OK, Form::Bytes(&[PDF]))
        .refuses(&["not-found", "not-acceptable"]);
    path.and(call(app, &about))
        .then(|id, call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(PDF)?;
                query(&call, &[])?;
                let pdf = call.app().exchange.slip(&caller, id, &call.request()?).await?;
                Ok(answer::bytes(StatusCode::OK, PDF, pdf))
            })
        })
        .described(about)
}

/// `GET /fhir/Patient/$notebook`
pub(super) fn notebook(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Patient" / "$notebook");
    let about = about
        .does("Writes the medicine notebook (電子版お薬手帳) of what was dispensed")
        .by(&[By::Pharmacy, By::Patient], AccessAct::Notebook)
        .query(&NOTEBOOK_QUERY)
        .answers(StatusCode::OK, Form::Bytes(&[NOTEBOOK, SVG]))
        .compressed()
        .refuses(&["not-found", "not-acceptable"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                let drawn = call.header(header::ACCEPT).is_some_and(|accept| {
                    let names = |media_type| accept.to_ascii_lowercase().contains(media_type);
                    names(SVG) && !names(NOTEBOOK)
                });
                call.acceptable(if drawn { SVG } else { NOTEBOOK })?;
                let exchange = &call.app().exchange;
                let (asked, version) = asked(&call)?;
                let notebook = exchange.notebook(&caller, asked, version, &call.request()?).await?;
                if !drawn {
                    let bytes = notebook::write(&notebook, &fault::Form::default());
                    return Ok(answer::bytes(StatusCode::OK, NOTEBOOK_SHIFT_JIS, bytes));
                }
                let symbols = exchange
                    .notebook_parts(&notebook, HANDY_BYTES)?
                    .iter()
                    .map(|part| Symbol::of(&notebook::write(part, &fault::Form::default())))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| {
                        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", error.to_string())
                    })?;
                Ok(answer::bytes(StatusCode::OK, SVG, qr::svg(&symbols).into_bytes()))
            })
        })
        .described(about)
}

/// `POST /fhir/Patient/$notebook-import`
pub(super) fn import(app: &App) -> Endpoint {
    let (path, about) = route!(POST "fhir" / "Patient" / "$notebook-import");
    let about = about
        .does("Takes medicines and allergies the patient wrote down out of a medicine notebook (電子版お薬手帳)")
        .by(&[By::Patient], AccessAct::NotebookImport)
        .takes(&[NOTEBOOK])
        .answers(StatusCode::OK, Form::Resource("Parameters"))
        .refuses(&["document-invalid", "document-mismatch", "state-conflict", "overloaded"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(FHIR)?;
                call.content_type(&[NOTEBOOK])?;
                query(&call, &[])?;
                let body = call.body.clone();
                let taken = call.app().exchange.notebook_import(&caller, body, &call.request()?).await?;
                let counts = vec![Part::integer("new", taken.new), Part::integer("known", taken.known)];
                Ok(answer::fhir(StatusCode::OK, &parameters(counts)))
            })
        })
        .described(about)
}

/// `dispense=TASK` or `dispense=TASK.NUMBER`, else `from=DATE` and `until=DATE`; and the `version`.
fn asked(call: &Call) -> Result<(Asked, Version), Problem> {
    let (mut dispense, mut from, mut until, mut version) = (None, None, None, Version::default());
    for (name, value) in query(call, &NOTEBOOK_QUERY)? {
        let date =
            || value.parse::<NaiveDate>().map_err(|_| bad_query("from and until are dates, YYYY-MM-DD"));
        match name.as_str() {
            "dispense" => dispense = Some(dispensing(&value)?),
            "from" => from = Some(date()?),
            "version" => {
                version = Version::parse(&value)
                    .ok_or_else(|| bad_query(&format!("version is {}", Version::NAMES.join(" or "))))?;
            }
            _ => until = Some(date()?),
        }
    }
    if let Some(asked) = dispense {
        if from.is_some() || until.is_some() {
            return Err(bad_query("a dispensing has no period: give dispense, or from and until"));
        }
        return Ok((asked, version));
    }
    let until = until.unwrap_or_else(|| japanese_date(call.app().exchange.clock().now()));
    let from = from.or_else(|| until.checked_sub_days(DAYS)).unwrap_or(NaiveDate::MIN);
    if from > until {
        return Err(bad_query("from is not after until"));
    }
    Ok((Asked::Period(from, until), version))
}

fn dispensing(text: &str) -> Result<Asked, Problem> {
    let refused =
        || bad_query("dispense is the id of a Task, or of a Task and the number of a dispensing: ID.2");
    let (id, number) = text.split_once('.').map_or((text, None), |(id, number)| (id, Some(number)));
    let id = id.parse::<PrescriptionId>().map_err(|_| refused())?;
    let number = number.map(|number| number.parse().ok().filter(|number| *number >= 1).ok_or_else(refused));
    Ok(Asked::Dispensing(id, number.transpose()?))
}

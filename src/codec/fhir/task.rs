//! `Task`: one prescription as its life goes on.

use std::borrow::Cow;
use std::iter;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::HIKIKAE;
use super::coverage::coverage;
use crate::check::Coverage;
use crate::prescription::registered::{Registered, Viewer};
use crate::prescription::state::{Kind, Shown};

/// System of the exchange number (引換番号).
pub const EXCHANGE_NUMBER: &str = "https://hikikae.dev/fhir/exchange-number";
/// System of an institution code (医療機関コード, 10 digits).
pub const INSTITUTION: &str = "http://jpfhir.jp/fhir/Common/IdSystem/insurance-medical-institution-no";

/// `Task.status` and `Task.businessStatus` code of a shown state.
pub fn status(shown: Shown) -> (&'static str, &'static str) {
    match shown {
        Shown::Issued => ("requested", "issued"),
        Shown::AwaitingNextUse => ("requested", "awaiting-next-use"),
        Shown::Accepted => ("in-progress", "accepted"),
        Shown::PartlyDispensed => ("in-progress", "partly-dispensed"),
        Shown::Dispensed => ("completed", "dispensed"),
        Shown::Cancelled => ("cancelled", "cancelled"),
        Shown::Collected => ("rejected", "collected"),
        Shown::Expired => ("failed", "expired"),
    }
}

/// An instant as FHIR writes it.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The resource. Every act on a prescription answers it, so it is written as it is and not by way of a tree.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task<'a> {
    resource_type: &'static str,
    id: Uuid,
    meta: Meta,
    extension: Vec<Extension>,
    identifier: Vec<Identifier<'a>>,
    status: &'static str,
    business_status: Concept,
    intent: &'static str,
    code: Concept,
    authored_on: String,
    last_modified: String,
    requester: Organization<'a>,
    restriction: Restriction,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Organization<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contained: Vec<Value>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    version_id: String,
    last_updated: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Identifier<'a> {
    system: &'static str,
    value: Cow<'a, str>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Organization<'a> {
    identifier: Identifier<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'a str>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Concept {
    coding: [Coding; 1],
}

#[derive(Debug, PartialEq, Serialize)]
struct Coding {
    system: Cow<'static, str>,
    code: &'static str,
}

#[derive(Debug, PartialEq, Serialize)]
struct Restriction {
    repetitions: u8,
    period: Period,
}

#[derive(Debug, PartialEq, Serialize)]
struct Period {
    start: NaiveDate,
    end: NaiveDate,
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Extension {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_positive_int: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_instant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_date: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_reference: Option<Reference>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Reference {
    reference: &'static str,
}

impl Concept {
    fn new(system: impl Into<Cow<'static, str>>, code: &'static str) -> Self {
        Self { coding: [Coding { system: system.into(), code }] }
    }
}

impl<'a> Organization<'a> {
    fn new(code: impl Into<Cow<'a, str>>, display: Option<&'a str>) -> Self {
        Self { identifier: Identifier { system: INSTITUTION, value: code.into() }, display }
    }
}

impl Extension {
    fn new(name: &str) -> Self {
        Self { url: format!("{HIKIKAE}/StructureDefinition/{name}"), ..Self::default() }
    }
}

/// The resource as `viewer` may see it.
pub fn task(prescription: &Registered, viewer: Viewer, now: DateTime<Utc>) -> Task<'_> {
    let life = &prescription.life;
    let (status, business) = status(life.shown(now));
    let id =
        Identifier { system: "urn:ietf:rfc:3986", value: format!("urn:uuid:{}", prescription.id).into() };
    let number = prescription
        .exchange_number
        .as_ref()
        .filter(|_| matches!(viewer, Viewer::Clinic | Viewer::Patient))
        .map(|number| Identifier { system: EXCHANGE_NUMBER, value: number.as_str().into() });
    let changed_at = instant(prescription.changed_at);
    Task {
        resource_type: "Task",
        id: prescription.id,
        meta: Meta { version_id: prescription.version.to_string(), last_updated: changed_at.clone() },
        extension: extensions(prescription, viewer, now),
        identifier: iter::once(id).chain(number).collect(),
        status,
        business_status: Concept::new(format!("{HIKIKAE}/CodeSystem/prescription-state"), business),
        intent: "order",
        code: Concept::new("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
        authored_on: instant(prescription.registered_at),
        last_modified: changed_at,
        requester: Organization::new(prescription.clinic.as_str(), prescription.clinic_name.as_deref()),
        restriction: Restriction {
            repetitions: life.terms.uses_allowed,
            period: Period { start: prescription.issued_on, end: life.acceptable_until() },
        },
        owner: life.pharmacy(now).map(|pharmacy| Organization::new(pharmacy.as_str().to_owned(), None)),
        contained: Vec::new(),
    }
}

/// What FHIR has no element for: how it was issued, the lease, the due date, the document in force, and for the
/// clinic what the pharmacist wants the physician to read.
fn extensions(prescription: &Registered, viewer: Viewer, now: DateTime<Utc>) -> Vec<Extension> {
    let life = &prescription.life;
    let kind = match life.kind {
        Kind::Electronic => "electronic",
        Kind::Paper => "paper",
        Kind::InHouse => "in-house",
    };
    let number = prescription.document.number;
    let mut extensions = vec![
        Extension { value_code: Some(kind), ..Extension::new("issue-kind") },
        Extension { value_positive_int: Some(number), ..Extension::new("document-version") },
    ];
    if let Some(end) = life.lease_end(now) {
        extensions.push(Extension { value_instant: Some(instant(end)), ..Extension::new("lease-end") });
    }
    if let Some(due) = life.due().filter(|_| life.shown(now) == Shown::AwaitingNextUse) {
        extensions.push(Extension { value_date: Some(due), ..Extension::new("due-date") });
    }
    if viewer == Viewer::Clinic {
        extensions.extend(life.results.important().map(|number| Extension {
            value_positive_int: Some(number),
            ..Extension::new("important-information")
        }));
    }
    extensions
}

impl Task<'_> {
    /// Puts in what the medication check of an act could not see, for the Task that answers it.
    #[must_use]
    pub fn with_coverage(mut self, unseen: &Coverage) -> Self {
        if !unseen.is_complete() {
            let mut contained = coverage(unseen);
            contained["id"] = "coverage".into();
            self.contained.push(contained);
            let reference = Some(Reference { reference: "#coverage" });
            self.extension.push(Extension { value_reference: reference, ..Extension::new("check-coverage") });
        }
        self
    }
}

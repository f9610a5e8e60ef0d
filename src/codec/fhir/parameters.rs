//! `Parameters`: how operations take arguments and answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::{Task, instant};
use crate::trust::verdict::CheckName;

/// Input parameters of the flat kind the contract uses. Unknown fields are refused.
#[derive(Debug)]
pub struct Parameters(Vec<Parameter>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default)]
    parameter: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Parameter {
    name: String,
    #[serde(
        alias = "valueCode",
        alias = "valueDate",
        alias = "valueId",
        alias = "valueUuid",
        alias = "valueUri"
    )]
    value_string: Option<String>,
}

/// The body is not what the operation takes. Each entry: FHIRPath and what was expected.
pub type Faults = Vec<(String, String)>;

impl Parameters {
    /// Reads the resource; only the named parameters are accepted, each at most once and as text.
    ///
    /// # Errors
    ///
    /// Every fault, with its FHIRPath.
    pub fn read(body: &[u8], accepted: &[&str]) -> Result<Self, Faults> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| {
            // serde_json's own text may quote the input.
            vec![(
                "Parameters".to_owned(),
                format!(
                    "expected a FHIR Parameters resource in JSON; line {}, column {}",
                    error.line(),
                    error.column()
                ),
            )]
        })?;
        let mut faults = Vec::new();
        if wire.resource_type != "Parameters" {
            faults.push(("resourceType".to_owned(), "expected Parameters".to_owned()));
        }
        for (index, parameter) in wire.parameter.iter().enumerate() {
            let place = format!("Parameters.parameter[{index}]");
            if !accepted.contains(&parameter.name.as_str()) {
                faults.push((format!("{place}.name"), format!("expected one of: {}", accepted.join(", "))));
            } else if wire.parameter[..index].iter().any(|earlier| earlier.name == parameter.name) {
                faults.push((format!("{place}.name"), "given twice".to_owned()));
            } else {
                let longest = longest(&parameter.name);
                let fits = |value: &String| (1..=longest).contains(&value.chars().count());
                if !parameter.value_string.as_ref().is_some_and(fits) {
                    let expected = format!("expected a text of 1 to {longest} characters");
                    faults.push((format!("{place}.value[x]"), expected));
                }
            }
        }
        if faults.is_empty() { Ok(Self(wire.parameter)) } else { Err(faults) }
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|p| p.name == name).and_then(|p| p.value_string.as_deref())
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    ///
    /// Names the missing parameter.
    pub fn need(&self, name: &str) -> Result<&str, Faults> {
        self.get(name).ok_or_else(|| {
            vec![(
                format!("Parameters.parameter.where(name='{name}')"),
                "this parameter is required".to_owned(),
            )]
        })
    }
}

/// The longest value of a parameter, in characters. An assertion carries a certificate chain.
fn longest(name: &str) -> usize {
    if name == "cardAssertion" { 32 * 1024 } else { 1000 }
}

/// The resource as an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    resource_type: &'static str,
    parameter: Vec<Part<'a>>,
}

/// A parameter of an answer or a part of one.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_boolean: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_integer: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_instant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Resource<'a>>,
    #[serde(rename = "part", skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'a>>,
}

/// A code of ours.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Code {
    /// One of the checks of a signature.
    Check(CheckName),
    /// Another.
    Text(&'static str),
}

/// A resource as a parameter.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Resource<'a> {
    /// A prescription.
    Task(Box<Task<'a>>),
    /// Any other.
    Other(Value),
}

/// Answers with these parameters.
pub fn parameters(parameter: Vec<Part<'_>>) -> Answer<'_> {
    Answer { resource_type: "Parameters", parameter }
}

impl<'a> Part<'a> {
    /// `valueBoolean`
    pub fn boolean(name: &'static str, value: bool) -> Self {
        Self { name, value_boolean: Some(value), ..Self::default() }
    }

    /// `valueInteger`
    pub fn integer(name: &'static str, value: usize) -> Self {
        Self { name, value_integer: Some(value), ..Self::default() }
    }

    /// `valueInstant`
    pub fn instant(name: &'static str, value: DateTime<Utc>) -> Self {
        Self { name, value_instant: Some(instant(value)), ..Self::default() }
    }

    /// `valueCode`
    pub fn code(name: &'static str, value: impl Into<Code>) -> Self {
        Self { name, value_code: Some(value.into()), ..Self::default() }
    }

    /// `valueString`
    pub fn string(name: &'static str, value: &'a str) -> Self {
        Self { name, value_string: Some(value), ..Self::default() }
    }

    /// A resource.
    pub fn resource(name: &'static str, resource: impl Into<Resource<'a>>) -> Self {
        Self { name, resource: Some(resource.into()), ..Self::default() }
    }

    /// Parts.
    pub fn parts(name: &'static str, parts: Vec<Self>) -> Self {
        Self { name, parts, ..Self::default() }
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Self {
        Self::Text(code)
    }
}

impl From<CheckName> for Code {
    fn from(name: CheckName) -> Self {
        Self::Check(name)
    }
}

impl<'a> From<Task<'a>> for Resource<'a> {
    fn from(task: Task<'a>) -> Self {
        Self::Task(Box::new(task))
    }
}

impl From<Value> for Resource<'_> {
    fn from(resource: Value) -> Self {
        Self::Other(resource)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let body = br#"{"resourceType":"Parameters","parameter":[
            {"name":"reason","valueString":""},{"name":"reason","valueString":"x"},{"name":"other","valueString":"y"}]}"#;
        let places: Vec<_> =
            Parameters::read(body, &["reason"]).unwrap_err().into_iter().map(|(place, _)| place).collect();
        assert_eq!(
            places,
            [
                "Parameters.parameter[0].value[x]",
                "Parameters.parameter[1].name",
                "Parameters.parameter[2].name"
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Parameters::read(&body, &["reason"]);
        }
    }
}

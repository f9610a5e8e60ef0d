//! `Parameters`: how operations take arguments and answer.

use serde::Deserialize;
use serde_json::Value;

use super::object;

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

/// Writes the resource.
pub fn parameters(parameter: impl Into<Vec<Value>>) -> Value {
    object([("resourceType", "Parameters".into()), ("parameter", Value::Array(parameter.into()))])
}

/// A parameter that is a resource.
pub fn resource(name: &str, resource: Value) -> Value {
    object([("name", name.into()), ("resource", resource)])
}

/// A parameter with parts.
pub fn part(name: &str, part: Vec<Value>) -> Value {
    object([("name", name.into()), ("part", part.into())])
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

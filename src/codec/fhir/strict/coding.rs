//! Codes and identifiers with their systems. A concept may be named by several systems (an OID and a URL): all are
//! read, the first is written.

use super::element::Element;
use super::json::Json;
use super::primitive::{self, Primitive};

/// The names of one code system or identifier system: the one written first, then the others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System(pub &'static [&'static str]);

impl System {
    /// The name written.
    pub fn written(&self) -> &'static str {
        self.0[0]
    }

    /// Whether a name is one of the system's.
    pub fn is(&self, uri: &str) -> bool {
        self.0.contains(&uri)
    }
}

/// Reads a Coding: which of the systems it is of, and its code as `parse` reads it.
pub fn coding_in<T>(
    element: &mut Element<'_, '_>,
    systems: &[System],
    parse: impl FnOnce(usize, &Json<'_>) -> Primitive<T>,
) -> Option<T> {
    let system = element.required("system", |json| system_of(json, systems));
    element.optional("version", primitive::string);
    element.optional("display", primitive::string);
    let code = element.required("code", |json| match system {
        Some(system) => parse(system, json).map(Some),
        // Which code it may be is not known; that it is one can be told all the same.
        None => primitive::code(json).map(|_| None),
    });
    code.flatten()
}

fn system_of(json: &Json<'_>, systems: &[System]) -> Primitive<usize> {
    let uri = primitive::uri(json)?;
    systems.iter().position(|system| system.is(&uri)).ok_or_else(|| {
        let names: Vec<&str> = systems.iter().flat_map(|system| system.0).copied().collect();
        format!("expected one of: {}", names.join(", "))
    })
}

/// Reads a Coding of one system.
pub fn coding<T>(
    element: &mut Element<'_, '_>,
    system: System,
    parse: impl FnOnce(&Json<'_>) -> Primitive<T>,
) -> Option<T> {
    coding_in(element, &[system], |_, json| parse(json))
}

/// Reads a CodeableConcept with exactly one Coding of one system.
pub fn concept<T>(
    element: &mut Element<'_, '_>,
    system: System,
    parse: impl Fn(&Json<'_>) -> Primitive<T>,
) -> Option<T> {
    concept_in(element, &[system], |_, json| parse(json))
}

/// Reads a CodeableConcept with exactly one Coding of one of several systems.
pub fn concept_in<T>(
    element: &mut Element<'_, '_>,
    systems: &[System],
    parse: impl Fn(usize, &Json<'_>) -> Primitive<T>,
) -> Option<T> {
    element.optional("text", primitive::string);
    element.sole("coding", |coding| coding_in(coding, systems, &parse))
}

/// Reads a member that is a code of a table without a system.
pub fn code_in<T: Copy>(
    element: &mut Element<'_, '_>,
    name: &'static str,
    table: &[(&'static str, T)],
) -> Option<T> {
    element.required(name, primitive::one_of(table))
}

/// Reads a `system` that must be one system.
pub fn identifier_system(system: System) -> impl Fn(&Json<'_>) -> Primitive<()> {
    move |json| system_of(json, &[system]).map(|_| ())
}

/// Reads an Identifier of one system.
pub fn identifier<T>(
    element: &mut Element<'_, '_>,
    system: System,
    parse: impl FnOnce(&Json<'_>) -> Primitive<T>,
) -> Option<T> {
    element.optional("use", primitive::one_of(&[("official", ()), ("usual", ())]));
    element.required("system", identifier_system(system));
    element.required("value", parse)
}

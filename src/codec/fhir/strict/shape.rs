//! What FHIR asks of any JSON (R4 2.6.2), whatever the resource: no empty values, `null` only as a place holder, no
//! name twice. And what this exchange asks of any resource: no modifier extension, for none is understood here.

use std::fmt::{self, Display};

use super::Faults;
use super::json::Json;

/// Reports what breaks these rules anywhere in a document.
pub(super) fn check(json: &Json<'_>, resource: &str, faults: &Faults) {
    walk(json, &Path::Whole(resource), faults);
}

/// Where the walk stands; of what is behind it nothing is kept.
enum Path<'p> {
    Whole(&'p str),
    Member(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(resource) => f.write_str(resource),
            Self::Member(of, name) => write!(f, "{of}.{}", path_of(name)),
            Self::Item(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}

fn walk(json: &Json<'_>, place: &Path<'_>, faults: &Faults) {
    match json {
        Json::Null => faults.push(place, "expected a value, found null"),
        Json::String(text) if text.is_empty() => faults.push(place, "expected no empty string"),
        Json::Array(elements) => array(elements, None, place, faults),
        Json::Object(members) => {
            if members.is_empty() {
                faults.push(place, "expected no empty object");
            }
            for (index, (name, value)) in members.iter().enumerate() {
                let place = Path::Member(place, name);
                if members[..index].iter().any(|(earlier, _)| earlier == name) {
                    faults.push(&place, "expected this element once, it is given twice");
                }
                if name == "modifierExtension" {
                    faults.push(&place, "expected no modifier extension: none is understood here");
                }
                match value {
                    Json::Array(elements) => {
                        let sibling = members.iter().find(|(other, _)| are_siblings(name, other));
                        array(elements, sibling.map(|(_, value)| value), &place, faults);
                    }
                    other => walk(other, &place, faults),
                }
            }
        }
        _ => {}
    }
}

/// Whether one of two names is that of a primitive and the other that of its id and extensions.
fn are_siblings(one: &str, other: &str) -> bool {
    one.strip_prefix('_') == Some(other) || other.strip_prefix('_') == Some(one)
}

/// A name as it may stand in a place: whatever a sender writes, nothing long and nothing strange.
pub(super) fn name_of(name: &str) -> String {
    name.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '_').take(64).collect()
}

/// The choice elements of the resources read here, and the types their values have.
const CHOICES: [&str; 8] =
    ["value", "medication", "dose", "rate", "asNeeded", "allowed", "bounds", "product"];
const TYPES: [&str; 16] = [
    "Boolean",
    "Code",
    "CodeableConcept",
    "DateTime",
    "Decimal",
    "Duration",
    "Identifier",
    "Integer",
    "Period",
    "PositiveInt",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "String",
    "UnsignedInt",
];

/// A member's name in FHIRPath: that of a choice is without its type.
fn path_of(name: &str) -> String {
    let base = |base: &&&str| name.strip_prefix(**base).is_some_and(|of_type| TYPES.contains(&of_type));
    CHOICES.iter().find(base).map_or_else(|| name_of(name), |base| (*base).to_owned())
}

fn array(elements: &[Json<'_>], sibling: Option<&Json<'_>>, place: &Path<'_>, faults: &Faults) {
    if elements.is_empty() {
        faults.push(place, "expected no empty array");
    }
    for (index, element) in elements.iter().enumerate() {
        let held_open = match sibling {
            Some(Json::Array(others)) => others.get(index).is_some_and(|other| *other != Json::Null),
            _ => false,
        };
        if !(held_open && *element == Json::Null) {
            walk(element, &Path::Item(place, index), faults);
        }
    }
}

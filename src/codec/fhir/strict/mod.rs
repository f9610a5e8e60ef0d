//! Strict reading of FHIR R4 JSON: from bytes to an [`Element`] that knows its FHIRPath and what of it was read, so
//! that a reader of a resource is a list of what the resource may hold and everything else is a fault. Knows no
//! profile.
//!
//! What is refused, whatever the profile: names given twice; empty strings, arrays and objects; `null` outside an
//! array of primitives beside its `_name`; a `modifierExtension`, an extension or an element that no reader asks
//! for; both forms of a choice; references that do not lead to an entry of the same Bundle.
//!
//! Places are FHIRPath on the document, indexed, a choice without its type:
//! `Bundle.entry[3].resource.medication.coding[0].code`. A name FHIR does not know is written as it stands.

mod bundle;
mod coding;
mod element;
mod json;
mod place;
pub mod primitive;
mod shape;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

pub use bundle::{Entries, Target};
pub use coding::{System, code_in, coding, coding_in, concept, concept_in, identifier, identifier_system};
pub use element::{Element, Name, choice};
pub use json::{Json, MAX_BYTES};
pub use place::Place;

use crate::codec::fault::Fault;

/// The most faults told one by one.
const MAX_FAULTS: usize = 200;

/// Reads a document that is one resource of the type `resource`.
///
/// # Errors
/// Everything wrong with it, in the order it was noticed; at most 200, then one that says how many were left out.
pub fn read<T>(
    bytes: &[u8],
    resource: &'static str,
    reader: impl FnOnce(&mut Element<'_, '_>) -> Option<T>,
) -> Result<T, Vec<Fault>> {
    let json = json::parse(bytes)
        .map_err(|error| vec![Fault { place: resource.to_owned(), message: error.to_string() }])?;
    let faults = Faults::default();
    shape::check(&json, resource, &faults);
    let value = Element::resource(&json, Place::whole(resource), resource, &faults, reader);
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        _ => Err(faults.into_list(resource)),
    }
}

/// What is wrong with a document.
#[derive(Debug, Default)]
struct Faults {
    list: RefCell<(Vec<Fault>, usize)>,
}

impl Faults {
    /// Notes a fault, unless its place is known to be faulty already.
    fn push(&self, place: &impl ToString, message: impl Into<String>) {
        let place = place.to_string();
        let (list, left_out) = &mut *self.list.borrow_mut();
        if list.iter().any(|fault| fault.place == place) {
            return;
        }
        if list.len() < MAX_FAULTS {
            list.push(Fault { place, message: message.into() });
        } else {
            *left_out += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.list.borrow().0.is_empty()
    }

    fn into_list(self, root: &str) -> Vec<Fault> {
        let (mut list, left_out) = self.list.into_inner();
        if left_out > 0 {
            let message = format!("{left_out} more faults were left out");
            list.push(Fault { place: root.to_owned(), message });
        }
        // Nothing is known to lead here without a fault of its own; an unreadable document is refused all the same.
        if list.is_empty() {
            list.push(Fault { place: root.to_owned(), message: "expected a readable document".to_owned() });
        }
        list
    }
}

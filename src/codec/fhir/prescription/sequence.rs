//! Sequence numbers (連番): SJ1 numbers what FHIR only lists. A number written in our extension is kept, the others
//! follow the one before.

use serde_json::{Value, json};

use super::system::SEQUENCE;
use crate::codec::fhir::strict::{Element, choice, primitive};

/// The highest sequence number.
const MAX: u16 = 999;

/// The number of an element, if it has one.
pub(super) fn read(element: &mut Element<'_, '_>) -> Option<u16> {
    element.extension(SEQUENCE, |extension| {
        extension.required(choice("value", "PositiveInt"), |json| {
            let number = primitive::positive_int(json).ok().and_then(|number| u16::try_from(number).ok());
            number.filter(|number| *number <= MAX).ok_or("expected a number from 1 to 999")
        })
    })
}

/// The extension that keeps a number.
pub(super) fn write(number: u16) -> Value {
    json!({ "url": SEQUENCE, "valuePositiveInt": number })
}

/// Elements in the order of their numbers.
#[derive(Debug)]
pub(super) struct Numbered<T>(Vec<(Option<u16>, T)>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Numbered<T> {
    /// Adds what an element says; a number must not be given twice.
    pub fn push(&mut self, element: &Element<'_, '_>, number: Option<u16>, value: T) {
        if number.is_some() && self.0.iter().any(|(other, _)| *other == number) {
            element.fault("expected a sequence number of its own");
        }
        self.0.push((number, value));
    }

    /// The values with ascending numbers.
    pub fn numbered<N>(mut self, mut make: impl FnMut(u16, T) -> N) -> Vec<N> {
        self.0.sort_by_key(|(number, _)| number.unwrap_or(MAX + 1));
        let mut last = 0;
        let mut number = |written: Option<u16>| {
            last = written.unwrap_or(last + 1);
            last
        };
        self.0.into_iter().map(|(written, value)| make(number(written), value)).collect()
    }
}

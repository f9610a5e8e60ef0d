//! Checking elements against a fixed shape, collecting every fault. Knows no particular envelope.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use roxmltree::Node;

use crate::codec::fault::Fault;
use crate::trust::xml::{path_of, text_of};

/// Faults beyond which no more are told.
const FAULTS_MAX: usize = 100;

/// How often a child may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurs {
    Once,
    AtMostOnce,
    Often,
}

/// A child as its parent's shape names it: namespace, local name, how often.
pub(super) type Part = (Option<&'static str>, &'static str, Occurs);

/// Collects faults while elements are examined.
#[derive(Default)]
pub(super) struct Examiner {
    pub faults: Vec<Fault>,
}

impl Examiner {
    pub fn fault(&mut self, element: Node<'_, '_>, message: impl Into<String>) {
        self.fault_at(path_of(element), message);
    }

    pub fn fault_at(&mut self, place: String, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { place, message: message.into() });
        }
    }

    /// The children of an element, in the order of `parts`. Anything else, another order, text or a comment
    /// between them is a fault.
    pub fn children<'n, 'a>(&mut self, parent: Node<'n, 'a>, parts: &[Part]) -> Vec<Vec<Node<'n, 'a>>> {
        let mut found: Vec<Vec<Node<'n, 'a>>> = vec![Vec::new(); parts.len()];
        let mut last = 0;
        for child in parent.children() {
            if child.is_text() {
                if !child.text().unwrap_or_default().chars().all(|c| c.is_ascii_whitespace()) {
                    self.fault(parent, "text is not expected here");
                }
            } else if child.is_element() {
                let name = child.tag_name();
                let is_part = |part: &Part| (part.0, part.1) == (name.namespace(), name.name());
                match parts.iter().position(is_part) {
                    None => self.fault(parent, "contains an element that is not expected here"),
                    Some(index) if index < last => self.fault(child, "stands out of order"),
                    Some(index) if parts[index].2 != Occurs::Often && !found[index].is_empty() => {
                        self.fault(child, "stands more than once");
                    }
                    Some(index) => {
                        last = index;
                        found[index].push(child);
                    }
                }
            } else {
                self.fault(parent, "comments are not expected here");
            }
        }
        for (part, found) in parts.iter().zip(&found) {
            if part.2 == Occurs::Once && found.is_empty() {
                self.fault_at(format!("{}/{}", path_of(parent), part.1), "is missing");
            }
        }
        found
    }

    /// Requires exactly these attributes with these values.
    pub fn attributes(&mut self, element: Node<'_, '_>, expected: &[(&str, &str)]) {
        self.attribute_names(element, &expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, value) in expected {
            if element.attribute(*name).is_some_and(|written| written != *value) {
                self.fault_at(format!("{}/@{name}", path_of(element)), format!("expected {value}"));
            }
        }
    }

    /// Requires exactly these attributes, whatever they say.
    pub fn attribute_names(&mut self, element: Node<'_, '_>, expected: &[&str]) {
        for name in expected {
            if !element.has_attribute(*name) {
                self.fault_at(format!("{}/@{name}", path_of(element)), "is missing");
            }
        }
        if element.attributes().any(|a| a.namespace().is_some() || !expected.contains(&a.name())) {
            self.fault(element, "has an attribute that is not expected here");
        }
    }

    /// An element without attributes that holds one line of text.
    pub fn text(&mut self, element: Node<'_, '_>) -> String {
        self.attribute_names(element, &[]);
        self.children_none(element);
        text_of(element)
    }

    /// An element that holds Base64 (RFC 4648, canonical; white space between is allowed).
    pub fn base64(&mut self, element: Node<'_, '_>) -> Vec<u8> {
        self.children_none(element);
        let mut text = text_of(element);
        text.retain(|c| !c.is_ascii_whitespace());
        match BASE64_STANDARD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => bytes,
            _ => {
                self.fault(element, "expected canonical Base64");
                Vec::new()
            }
        }
    }

    fn children_none(&mut self, element: Node<'_, '_>) {
        if element.children().any(|child| !child.is_text()) {
            self.fault(element, "expected text only");
        }
    }
}

//! The entries of a Bundle: found by type or by reference, each read once, none left unread.

use std::cell::Cell;

use super::element::{Element, Name};
use super::json::Json;
use super::{Faults, Place, primitive};

/// The most entries of a Bundle.
const MAX_ENTRIES: usize = 500;

/// The entries of one Bundle.
#[derive(Debug)]
pub struct Entries<'d, 's> {
    entries: Vec<Entry<'d>>,
    faults: &'s Faults,
}

#[derive(Debug)]
struct Entry<'d> {
    full_url: Option<String>,
    kind: &'d str,
    place: String,
    resource: &'d Json<'d>,
    /// Whether something leads to it.
    led: Cell<bool>,
    read: Cell<bool>,
}

/// An entry of the Bundle, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(usize);

impl<'d, 's> Entries<'d, 's> {
    /// The entries of a Bundle: each a `urn:uuid:` of its own and a resource, nothing else.
    pub fn of(bundle: &mut Element<'d, 's>) -> Self {
        let faults = bundle.faults();
        let mut entries: Vec<Entry<'d>> = Vec::new();
        bundle.each("entry", 1..=MAX_ENTRIES, |element| {
            let full_url = element.required("fullUrl", primitive::uuid);
            if full_url.is_some() && entries.iter().any(|entry| entry.full_url == full_url) {
                element.fault_of("fullUrl", "expected a URI no other entry has");
            }
            let (place, resource) = element.raw("resource")?;
            let kind = match resource {
                Json::Object(members) => members.iter().find(|(name, _)| name == "resourceType"),
                _ => None,
            };
            let Some((_, Json::String(kind))) = kind else {
                element.fault_at(&format!("{place}.resourceType"), "expected the type of a resource");
                return None;
            };
            let kind = kind.as_ref();
            entries.push(Entry {
                full_url,
                kind,
                place: place.to_string(),
                resource,
                led: Cell::new(false),
                read: Cell::new(false),
            });
            Some(())
        });
        Self { entries, faults }
    }

    /// The entries of a type, in order.
    pub fn of_kind(&self, kind: &str) -> Vec<Target> {
        let entries = self.entries.iter().enumerate();
        entries.filter(|(_, entry)| entry.kind == kind).map(|(index, _)| Target(index)).collect()
    }

    /// The first entry, which must be of a type.
    pub fn first(&self, kind: &'static str) -> Option<Target> {
        let first = self.entries.first()?;
        if first.kind != kind {
            let place = format!("{}.resourceType", first.place);
            self.faults.push(&place, format!("expected {kind} as the first entry"));
            return None;
        }
        Some(Target(0))
    }

    /// The type of an entry.
    pub fn kind(&self, target: Target) -> &'d str {
        self.entries.get(target.0).map_or("", |entry| entry.kind)
    }

    /// Where the resource of an entry stands.
    pub fn place(&self, target: Target) -> &str {
        self.entries.get(target.0).map_or("", |entry| &entry.place)
    }

    /// Reports the resource of an entry.
    pub fn fault(&self, target: Target, message: impl Into<String>) {
        self.faults.push(&self.place(target), message);
    }

    /// Where an element of the first entry's resource stands.
    pub fn place_of_first(&self, element: &str) -> String {
        format!("{}.{element}", self.place(Target(0)))
    }

    /// Reports an element of the first entry's resource.
    pub fn fault_first(&self, element: &str, message: impl Into<String>) {
        self.faults.push(&self.place_of_first(element), message);
    }

    /// Reports a place found before.
    pub fn fault_at(&self, place: &impl ToString, message: impl Into<String>) {
        self.faults.push(place, message);
    }

    /// Reads the resource of an entry, a resource of the type `kind`.
    pub fn read<T>(
        &self,
        target: Target,
        kind: &'static str,
        read: impl FnOnce(&mut Element<'d, 's>) -> Option<T>,
    ) -> Option<T> {
        let entry = self.entries.get(target.0)?;
        entry.read.set(true);
        Element::resource(entry.resource, Place::whole(entry.place.as_str()), kind, self.faults, read)
    }

    /// A Reference that must be there and lead to an entry of one of the types.
    pub fn reference(
        &self,
        element: &mut Element<'_, '_>,
        name: impl Into<Name>,
        kinds: &[&str],
    ) -> Option<Target> {
        element.one(name, |reference| self.resolve(reference, kinds))
    }

    /// A Reference that may be there and then leads to an entry of one of the types.
    pub fn maybe_reference(
        &self,
        element: &mut Element<'_, '_>,
        name: impl Into<Name>,
        kinds: &[&str],
    ) -> Option<Target> {
        element.maybe(name, |reference| self.resolve(reference, kinds))
    }

    /// The entry that a Reference leads to.
    pub fn resolve(&self, reference: &mut Element<'_, '_>, kinds: &[&str]) -> Option<Target> {
        let url = reference.required("reference", primitive::uri);
        let kind = reference.optional("type", primitive::uri);
        reference.optional("display", primitive::string);
        let url = url?;
        let found = self.entries.iter().position(|entry| entry.full_url.as_deref() == Some(&url));
        let Some(index) = found else {
            reference.fault_of("reference", "expected the fullUrl of an entry of this Bundle");
            return None;
        };
        self.entries[index].led.set(true);
        let target = self.entries[index].kind;
        if !kinds.contains(&target) {
            reference.fault_of("reference", format!("expected a reference to: {}", kinds.join(", ")));
            return None;
        }
        if kind.is_some_and(|kind| kind != target) {
            reference.fault_of("type", "expected the type of the entry referred to");
        }
        Some(Target(index))
    }

    /// Reports the entries that nothing led to. One that something led to and that was not read is a consequence of
    /// another fault, or a fault of its own when there is none.
    pub fn finish(&self) {
        for entry in self.entries.iter().filter(|entry| !entry.read.get()) {
            if !entry.led.get() || self.faults.is_empty() {
                self.faults.push(&entry.place, "expected only resources that the document leads to");
            }
        }
    }
}

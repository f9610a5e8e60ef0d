//! A cursor on one JSON object: hands out members by name, knows its place, and reports what nobody asked for.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Faults;
use super::json::Json;
use super::place::Place;
use super::primitive::{self, Primitive};
use super::shape::name_of;

/// How often an element may stand.
type Cardinality = RangeInclusive<usize>;

/// The name of a member in JSON and in FHIRPath; they differ for a choice.
#[derive(Clone, Debug)]
pub struct Name {
    json: Cow<'static, str>,
    path: &'static str,
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self { json: name.into(), path: name }
    }
}

/// A choice element as one of its types: `choice("medication", "CodeableConcept")`.
pub fn choice(base: &'static str, of_type: &str) -> Name {
    Name { json: format!("{base}{of_type}").into(), path: base }
}

/// A resource, or an element with members.
///
/// A closure that reads one should read all of it before it gives up (`?` last): what was not asked for when it
/// returns is reported as unknown.
#[derive(Debug)]
pub struct Element<'d, 's> {
    members: &'d [(Cow<'d, str>, Json<'d>)],
    place: Place,
    taken: Vec<bool>,
    choices: Vec<&'static str>,
    /// Which of the extensions were asked for.
    extensions: Vec<bool>,
    faults: &'s Faults,
}

impl<'d, 's> Element<'d, 's> {
    /// Opens an object, lets `read` read it and reports what it left.
    pub(super) fn open<T>(
        json: &'d Json<'d>,
        place: Place,
        faults: &'s Faults,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let Json::Object(members) = json else {
            faults.push(&place, "expected an object");
            return None;
        };
        if members.is_empty() {
            return None;
        }
        let extensions = match members.iter().find(|(name, _)| name == "extension") {
            Some((_, Json::Array(extensions))) => vec![false; extensions.len()],
            _ => Vec::new(),
        };
        let taken = vec![false; members.len()];
        let mut element = Self { members, place, taken, choices: Vec::new(), extensions, faults };
        element.optional("id", primitive::id);
        let value = read(&mut element);
        element.close();
        value
    }

    /// Opens a resource of the type `kind`: beside what `read` asks for it may have an id, a language, profiles, a
    /// version and a narrative that says no more than the resource.
    pub(super) fn resource<T>(
        json: &'d Json<'d>,
        place: Place,
        kind: &'static str,
        faults: &'s Faults,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        Self::open(json, place, faults, |element| {
            element.required("resourceType", primitive::exactly(kind));
            element.optional("language", primitive::code);
            element.maybe("meta", |meta| {
                meta.optional("versionId", primitive::id);
                meta.optional("lastUpdated", primitive::instant);
                meta.many("profile", 0..=10, primitive::uri);
                Some(())
            });
            element.maybe("text", |narrative| {
                narrative.required("status", primitive::one_of(&[("generated", ()), ("empty", ())]));
                narrative.required("div", primitive::string)
            });
            read(element)
        })
    }

    /// Where the element stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where a member of the element stands.
    pub fn place_of(&self, name: impl Into<Name>) -> Place {
        self.place.member(name.into().path)
    }

    /// Reports the element itself.
    pub fn fault(&self, message: impl Into<String>) {
        self.faults.push(&self.place, message);
    }

    /// Reports a member, present or not.
    pub fn fault_of(&self, name: impl Into<Name>, message: impl Into<String>) {
        self.faults.push(&self.place_of(name), message);
    }

    /// Reports a place found before.
    pub fn fault_at(&self, place: &impl ToString, message: impl Into<String>) {
        self.faults.push(place, message);
    }

    /// Where the faults of the document are kept.
    pub(super) fn faults(&self) -> &'s Faults {
        self.faults
    }

    /// Whether a member is there.
    pub fn has(&self, name: impl Into<Name>) -> bool {
        let name = name.into();
        self.members.iter().any(|(member, _)| *member == name.json)
    }

    /// Whether an extension is there.
    pub fn has_extension(&self, url: &str) -> bool {
        self.extensions_of(url).next().is_some()
    }

    /// Takes a member.
    fn take(&mut self, name: &Name) -> Option<&'d Json<'d>> {
        if name.json != name.path && !self.choices.contains(&name.path) {
            self.choices.push(name.path);
        }
        let mut found = None;
        for (taken, (member, value)) in self.taken.iter_mut().zip(self.members) {
            if *member == name.json {
                *taken = true;
                found.get_or_insert(value);
            }
        }
        found
    }

    fn missing(&self, name: &Name) {
        self.faults.push(&self.place_of(name.clone()), format!("expected {}, it is missing", name.json));
    }

    /// A primitive that must be there.
    pub fn required<T, E: Display>(
        &mut self,
        name: impl Into<Name>,
        parse: impl FnOnce(&Json<'_>) -> Result<T, E>,
    ) -> Option<T> {
        let name = name.into();
        if !self.has(name.clone()) {
            self.missing(&name);
        }
        self.optional(name, parse)
    }

    /// A primitive that may be there.
    pub fn optional<T, E: Display>(
        &mut self,
        name: impl Into<Name>,
        parse: impl FnOnce(&Json<'_>) -> Result<T, E>,
    ) -> Option<T> {
        let name = name.into();
        let json = self.take(&name)?;
        parse(json).map_err(|error| self.faults.push(&self.place_of(name), error.to_string())).ok()
    }

    /// An array of primitives.
    pub fn many<T>(
        &mut self,
        name: impl Into<Name>,
        cardinality: Cardinality,
        mut parse: impl FnMut(&Json<'_>) -> Primitive<T>,
    ) -> Vec<T> {
        let faults = self.faults;
        let items = self.array(&name.into(), &cardinality);
        let values = items
            .into_iter()
            .filter_map(|(place, json)| parse(json).map_err(|message| faults.push(&place, message)).ok());
        values.collect()
    }

    /// An element that must be there.
    pub fn one<T>(&mut self, name: impl Into<Name>, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let name = name.into();
        if !self.has(name.clone()) {
            self.missing(&name);
        }
        self.maybe(name, read)
    }

    /// An element that may be there.
    pub fn maybe<T>(
        &mut self,
        name: impl Into<Name>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let name = name.into();
        let json = self.take(&name)?;
        Self::open(json, self.place_of(name), self.faults, read)
    }

    /// An array of elements.
    pub fn each<T>(
        &mut self,
        name: impl Into<Name>,
        cardinality: Cardinality,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Vec<T> {
        let faults = self.faults;
        let items = self.array(&name.into(), &cardinality);
        items.into_iter().filter_map(|(place, json)| Self::open(json, place, faults, &mut read)).collect()
    }

    /// An array of exactly one element.
    pub fn sole<T>(&mut self, name: impl Into<Name>, read: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        self.each(name, 1..=1, read).pop()
    }

    /// An array of values of any kind, with their places; for what is read elsewhere.
    pub(super) fn array(&mut self, name: &Name, cardinality: &Cardinality) -> Vec<(Place, &'d Json<'d>)> {
        let place = self.place_of(name.clone());
        let elements = match self.take(name) {
            None => &[],
            Some(Json::Array(elements)) => elements.as_slice(),
            Some(_) => {
                self.faults.push(&place, "expected an array");
                return Vec::new();
            }
        };
        if !cardinality.contains(&elements.len()) {
            self.faults.push(&place, format!("expected {}", counted(cardinality)));
        }
        elements.iter().enumerate().map(|(index, json)| (place.item(index), json)).collect()
    }

    /// A member whatever it is, with its place; for what is read elsewhere.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<(Place, &'d Json<'d>)> {
        let name = Name::from(name);
        if !self.has(name.clone()) {
            self.missing(&name);
        }
        self.take(&name).map(|json| (self.place_of(name), json))
    }

    fn extensions_of(&self, url: &str) -> impl Iterator<Item = (usize, &'d Json<'d>)> {
        let extensions = match self.members.iter().find(|(name, _)| name == "extension") {
            Some((_, Json::Array(extensions))) => extensions.as_slice(),
            _ => &[],
        };
        extensions.iter().enumerate().filter(move |(_, extension)| match extension {
            Json::Object(members) => {
                members.iter().any(|(name, value)| name == "url" && *value == Json::String(url.into()))
            }
            _ => false,
        })
    }

    fn extension_place(&self, index: usize) -> Place {
        self.place_of("extension").item(index)
    }

    /// The extension of a URL, if it is there, at most once. `read` finds its value or its own extensions.
    pub fn extension<T>(&mut self, url: &'static str, read: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let mut found = self.extensions(url, read);
        found.truncate(1);
        let mut indices = self.extensions_of(url).map(|(index, _)| index).skip(1);
        if let Some(second) = indices.next() {
            self.faults.push(&self.extension_place(second), "expected this extension once");
        }
        found.pop()
    }

    /// The extensions of a URL.
    pub fn extensions<T>(
        &mut self,
        url: &'static str,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Vec<T> {
        let found: Vec<_> = self.extensions_of(url).collect();
        let mut values = Vec::new();
        for (index, json) in found {
            if let Some(taken) = self.extensions.get_mut(index) {
                *taken = true;
            }
            let place = self.extension_place(index);
            values.extend(Self::open(json, place, self.faults, |extension| {
                extension.required("url", primitive::exactly(url));
                read(extension)
            }));
        }
        values
    }

    /// Reports what is left: extensions and members nobody asked for, and second forms of a choice.
    fn close(&mut self) {
        if let Some(json) = self.take(&"extension".into())
            && !matches!(json, Json::Array(_))
        {
            self.fault_of("extension", "expected an array");
        }
        for (index, _) in self.extensions.iter().enumerate().filter(|(_, taken)| !**taken) {
            let place = self.extension_place(index);
            self.faults.push(&place, "expected no extension that is not understood here");
        }
        for ((member, _), taken) in self.members.iter().zip(&self.taken) {
            // A modifier extension is reported wherever it stands.
            if *taken || member == "modifierExtension" {
                continue;
            }
            let typed = |base: &&&str| {
                member
                    .strip_prefix(**base)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            };
            if let Some(base) = self.choices.iter().find(typed) {
                self.faults
                    .push(&self.place.member(base), "expected one value of a type that can be read here");
            } else {
                let place = format!("{}.{}", self.place, name_of(member));
                self.faults.push(&place, "expected no such element");
            }
        }
    }
}

fn counted(cardinality: &Cardinality) -> String {
    match (cardinality.start(), cardinality.end()) {
        (least, most) if least == most => format!("exactly {least}"),
        (0, most) => format!("at most {most}"),
        (least, &usize::MAX) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    }
}

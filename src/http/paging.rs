//! Paging of searches: the links of a page, and where the next one begins as an opaque text.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// `self` and, when there is more, `next`: the search as it was given, from `next` on.
pub(super) fn links(base: &str, given: &[(String, String)], next: Option<&str>) -> Vec<Value> {
    let link = |relation: &str, cursor: Option<&str>| {
        let pairs: Vec<(&str, &str)> = given
            .iter()
            .filter(|(name, _)| cursor.is_none() || name != "cursor")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(cursor.map(|cursor| ("cursor", cursor)))
            .collect();
        let query = serde_urlencoded::to_string(&pairs).unwrap_or_default();
        let url = if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") };
        json!({ "relation": relation, "url": url })
    };
    let next = next.map(|cursor| link("next", Some(cursor)));
    std::iter::once(link("self", None)).chain(next).collect()
}

/// A place in an order by two columns.
pub(super) fn cursor_write(first: impl std::fmt::Display, second: impl std::fmt::Display) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{first} {second}"))
}

/// What [`cursor_write`] has written.
pub(super) fn cursor_read(text: &str) -> Option<(String, String)> {
    let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    plain.split_once(' ').map(|(first, second)| (first.to_owned(), second.to_owned()))
}

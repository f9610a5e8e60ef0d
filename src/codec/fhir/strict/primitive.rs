//! FHIR's primitive types (R4 2.24.0.1): each reads one JSON value or says what it expected, never what it found.
//! Stricter than FHIR in two things: dates are whole, and texts hold nothing that changes how they are shown.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate};

use super::json::Json;
use crate::codec::row::is_refused;

/// A value, or what was expected.
pub type Primitive<T> = Result<T, String>;

fn expected<T>(what: impl Display) -> Primitive<T> {
    Err(format!("expected {what}"))
}

/// `boolean`
///
/// # Errors
/// What was expected.
pub fn boolean(json: &Json<'_>) -> Primitive<bool> {
    match json {
        Json::Bool(value) => Ok(*value),
        _ => expected("true or false"),
    }
}

/// `integer`, 32 bits.
///
/// # Errors
/// What was expected.
pub fn integer(json: &Json<'_>) -> Primitive<i32> {
    match json {
        Json::Number(text) if *text != "-0" => text.parse().ok(),
        _ => None,
    }
    .map_or_else(|| expected("an integer"), Ok)
}

/// `unsignedInt`
///
/// # Errors
/// What was expected.
pub fn unsigned_int(json: &Json<'_>) -> Primitive<u32> {
    match integer(json).map(u32::try_from) {
        Ok(Ok(number)) => Ok(number),
        _ => expected("an integer from 0"),
    }
}

/// `positiveInt`
///
/// # Errors
/// What was expected.
pub fn positive_int(json: &Json<'_>) -> Primitive<u32> {
    match unsigned_int(json) {
        Ok(number @ 1..) => Ok(number),
        _ => expected("an integer from 1"),
    }
}

/// `decimal`, with the digits as written.
///
/// # Errors
/// What was expected.
pub fn decimal(json: &Json<'_>) -> Primitive<String> {
    match json {
        Json::Number(text) => Ok((*text).to_owned()),
        _ => expected("a decimal number"),
    }
}

fn text<'j>(json: &'j Json<'_>, what: &str) -> Primitive<&'j str> {
    match json {
        Json::String(text) => Ok(text),
        _ => expected(what),
    }
}

/// `string`, also `markdown`: not only white space; line breaks and tabs allowed, no other control characters.
///
/// # Errors
/// What was expected.
pub fn string(json: &Json<'_>) -> Primitive<String> {
    let text = text(json, "a string")?;
    if text.chars().any(|character| is_refused(character) && !matches!(character, '\n' | '\r' | '\t')) {
        return expected("no control or direction-changing characters");
    }
    if text.trim().is_empty() {
        return expected("a string that says something");
    }
    Ok(text.to_owned())
}

/// `code`: no white space but single spaces inside.
///
/// # Errors
/// What was expected.
pub fn code(json: &Json<'_>) -> Primitive<String> {
    let text = text(json, "a code")?;
    let shaped = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || is_refused(c));
    if text.split(' ').all(shaped) { Ok(text.to_owned()) } else { expected("a code") }
}

/// `id`: 1 to 64 letters, digits, hyphens and points.
///
/// # Errors
/// What was expected.
pub fn id(json: &Json<'_>) -> Primitive<String> {
    let text = text(json, "an id")?;
    let shaped = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if (1..=64).contains(&text.len()) && text.bytes().all(shaped) {
        Ok(text.to_owned())
    } else {
        expected("an id of 1 to 64 letters, digits, hyphens and points")
    }
}

/// `uri`, also `url` and `canonical`: no white space; a `urn:uuid:` and a `urn:oid:` must be one.
///
/// # Errors
/// What was expected.
pub fn uri(json: &Json<'_>) -> Primitive<String> {
    let text = text(json, "a URI")?;
    let shaped = !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || is_refused(c));
    let uuid = text.strip_prefix("urn:uuid:").is_none_or(is_uuid);
    let oid = text.strip_prefix("urn:oid:").is_none_or(is_oid);
    if shaped && uuid && oid { Ok(text.to_owned()) } else { expected("a URI") }
}

/// `urn:uuid:` and a UUID in lower case.
///
/// # Errors
/// What was expected.
pub fn uuid(json: &Json<'_>) -> Primitive<String> {
    let text = text(json, "a URI urn:uuid:")?;
    if text.strip_prefix("urn:uuid:").is_some_and(is_uuid) {
        Ok(text.to_owned())
    } else {
        expected("urn:uuid: and a UUID in lower case")
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn is_oid(text: &str) -> bool {
    let arc = |arc: &str| {
        !arc.is_empty()
            && arc.bytes().all(|byte| byte.is_ascii_digit())
            && (arc == "0" || !arc.starts_with('0'))
    };
    text.starts_with(['0', '1', '2']) && text.contains('.') && text.split('.').all(arc)
}

/// `base64Binary`, canonical, without white space.
///
/// # Errors
/// What was expected.
pub fn base64_binary(json: &Json<'_>) -> Primitive<Vec<u8>> {
    let text = text(json, "Base64")?;
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => expected("Base64"),
    }
}

/// `date`, a whole one that exists, from 1800.
///
/// # Errors
/// What was expected.
pub fn date(json: &Json<'_>) -> Primitive<NaiveDate> {
    match text(json, "a date YYYY-MM-DD").map(whole_date) {
        Ok(Some(date)) => Ok(date),
        _ => expected("a date YYYY-MM-DD"),
    }
}

fn whole_date(text: &str) -> Option<NaiveDate> {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let date = text.parse::<NaiveDate>().ok().filter(|_| shaped)?;
    (date.year() >= 1800).then_some(date)
}

/// A `dateTime` that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Date(NaiveDate),
    /// A second or less, with its time zone.
    Time(DateTime<FixedOffset>),
}

impl Moment {
    /// The day as the document writes it.
    pub fn date(self) -> NaiveDate {
        match self {
            Self::Date(date) => date,
            Self::Time(time) => time.date_naive(),
        }
    }
}

/// `dateTime`: a day, or a time with its zone.
///
/// # Errors
/// What was expected.
pub fn date_time(json: &Json<'_>) -> Primitive<Moment> {
    let text = text(json, "a date or time")?;
    let moment = whole_date(text).map(Moment::Date).or_else(|| time(text).map(Moment::Time));
    moment.map_or_else(|| expected("a date YYYY-MM-DD, or with a time and its zone"), Ok)
}

/// `instant`: to the second or below, with its zone.
///
/// # Errors
/// What was expected.
pub fn instant(json: &Json<'_>) -> Primitive<DateTime<FixedOffset>> {
    match text(json, "a time").map(time) {
        Ok(Some(time)) => Ok(time),
        _ => expected("a time YYYY-MM-DDThh:mm:ss and its zone"),
    }
}

/// RFC 3339 as FHIR narrows it: capital letters, at most 14 hours from Greenwich.
fn time(text: &str) -> Option<DateTime<FixedOffset>> {
    whole_date(text.get(..10)?)?;
    let bytes = text.as_bytes();
    let zoned = text.ends_with('Z') || matches!(bytes.get(bytes.len().checked_sub(6)?), Some(b'+' | b'-'));
    if bytes.get(10) != Some(&b'T') || !zoned {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    (time.offset().local_minus_utc().abs() <= 14 * 3600).then_some(time)
}

/// One text and no other.
pub fn exactly(only: &'static str) -> impl Fn(&Json<'_>) -> Primitive<()> {
    move |json| match json {
        Json::String(text) if text == only => Ok(()),
        _ => expected(only),
    }
}

/// One of the texts of a table, as its value.
pub fn one_of<T: Copy>(table: &[(&'static str, T)]) -> impl Fn(&Json<'_>) -> Primitive<T> {
    move |json| {
        let found = match json {
            Json::String(text) => table.iter().find(|(name, _)| name == text),
            _ => None,
        };
        found.map(|(_, value)| *value).map_or_else(
            || {
                let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
                expected(format!("one of: {}", names.join(", ")))
            },
            Ok,
        )
    }
}

/// A text that something of the domain parses; its error says what was expected.
pub fn parsed<T, E: Display>(parse: impl Fn(&str) -> Result<T, E>) -> impl Fn(&Json<'_>) -> Primitive<T> {
    move |json| parse(&string(json)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Json<'_> {
        Json::String(text.into())
    }

    #[test]
    fn every_type_refuses_what_is_not_of_it() {
        for (good, bad, read) in [
            (
                vec!["2026-11-20", "2024-02-29", "1800-01-01"],
                vec![
                    "2026-02-29",
                    "2026-11",
                    "2026",
                    "2026-11-20T",
                    "1799-12-31",
                    "+026-11-20",
                    "2026-1-20",
                    "",
                ],
                (|json| date(json).is_ok()) as fn(&Json<'_>) -> bool,
            ),
            (
                vec!["2026-11-20", "2026-11-20T09:00:00+09:00", "2026-11-20T09:00:00.123Z"],
                vec![
                    "2026-11-20T09:00:00",
                    "2026-11-20T09:00+09:00",
                    "2026-11-20T24:00:00Z",
                    "2026-11-31T00:00:00Z",
                    "2026-11-20 09:00:00Z",
                    "2026-11-20t09:00:00z",
                    "2026-11-20T09:00:00+15:00",
                    "2026-11",
                ],
                |json| date_time(json).is_ok(),
            ),
            (vec!["2026-11-20T09:00:00Z"], vec!["2026-11-20", "あ026-11-20T09:00:00Z"], |json| {
                instant(json).is_ok()
            }),
            (vec!["a", "a b", "内服"], vec!["", " a", "a ", "a  b", "a\tb", "a\u{202e}"], |json| {
                code(json).is_ok()
            }),
            (vec!["a-B.9"], vec!["", "a_b", "あ", "x".repeat(65).leak()], |json| id(json).is_ok()),
            (
                vec!["http://example.org", "urn:oid:1.2.0", "urn:uuid:0d9e0f00-0000-4000-8000-000000000000"],
                vec![
                    "",
                    "a b",
                    "urn:oid:1.02",
                    "urn:oid:",
                    "urn:oid:3.1",
                    "urn:uuid:0D9E0F00-0000-4000-8000-000000000000",
                ],
                |json| uri(json).is_ok(),
            ),
            (vec!["YQ=="], vec!["", "YQ", "YR==", "Y Q==", "_w=="], |json| base64_binary(json).is_ok()),
            (vec!["a\nb"], vec!["", " \n", "\u{0}", "a\u{200f}"], |json| string(json).is_ok()),
        ] {
            for value in good {
                assert!(read(&text(value)), "{value}");
            }
            for value in bad {
                assert!(!read(&text(value)), "{value}");
            }
            assert!(!read(&Json::Number("1")) && !read(&Json::Null) && !read(&Json::Array(Vec::new())));
        }
    }

    #[test]
    fn numbers_are_within_their_types() {
        let number = |text| Json::Number(text);
        assert_eq!(decimal(&number("1.50")).unwrap(), "1.50");
        assert_eq!((integer(&number("-1")), positive_int(&number("1"))), (Ok(-1), Ok(1)));
        for bad in ["1.0", "1e2", "-0", "2147483648"] {
            assert!(integer(&number(bad)).is_err(), "{bad}");
        }
        assert!(positive_int(&number("0")).is_err() && unsigned_int(&number("-1")).is_err());
        assert!(
            integer(&text("1")).is_err() && decimal(&text("1")).is_err() && boolean(&text("true")).is_err()
        );
    }
}

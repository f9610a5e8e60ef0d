//! JSON as a tree that loses nothing: numbers keep their digits, members keep their order, and a name given twice is
//! noticed. Reads hostile bytes within bounds; knows nothing of FHIR.
//!
//! Our own reader because those on offer keep one of two equal names without a word, and keep digits only at the
//! price of changing every other reader of the program (docs/decisions/0024-strict-fhir.md).

use std::borrow::Cow;

/// The longest document read, in bytes. Real ones are some ten kilobytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting read; a split prescription needs about twenty.
const MAX_DEPTH: usize = 40;
/// The most values read, counting every member and element.
const MAX_VALUES: usize = 100_000;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number as written.
    Number(&'a str),
    /// A string, its escapes resolved.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object, its members in order. A repeated name is here as often as it was written.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// Why bytes are not JSON as it is read here, and where; never what they contained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {expected}")]
pub struct JsonError {
    line: usize,
    column: usize,
    expected: &'static str,
}

/// Reads a whole document (RFC 8259).
///
/// # Errors
/// The first thing that is not JSON, or too large, too deep or too much of it.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, JsonError> {
    let at = |place: usize, expected: &'static str| error_at(&bytes[..place], expected);
    if bytes.len() > MAX_BYTES {
        return Err(at(0, "expected at most 1 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| at(error.valid_up_to(), "expected UTF-8"))?;
    let mut parser = Parser { text, place: 0, values: 0 };
    parser.document().map_err(|expected| at(parser.place, expected))
}

fn error_at(before: &[u8], expected: &'static str) -> JsonError {
    let mut lines = before.split(|byte| *byte == b'\n');
    let last = lines.next_back().map_or(0, <[u8]>::len);
    let line = 1 + lines.count();
    JsonError { line, column: 1 + last, expected }
}

/// What was expected where the parser stands.
type Expected = &'static str;

struct Parser<'a> {
    text: &'a str,
    place: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<Json<'a>, Expected> {
        let value = self.value(0)?;
        if self.peek().is_some() {
            return Err("expected nothing after the document");
        }
        Ok(value)
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.place..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.place += blank;
        rest.get(blank).copied()
    }

    /// Steps over `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.place += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Expected> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err("expected a document of at most 100,000 values");
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            _ => [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
                .into_iter()
                .find(|(word, _)| self.text[self.place..].starts_with(word))
                .map(|(word, value)| {
                    self.place += word.len();
                    value
                })
                .ok_or("expected a JSON value"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Expected> {
        let mut members = Vec::new();
        self.items(depth, b'}', |parser| {
            if parser.peek() != Some(b'"') {
                return Err("expected a member's name");
            }
            let name = parser.string()?;
            if !parser.take(b':') {
                return Err("expected a colon");
            }
            members.push((name, parser.value(depth + 1)?));
            Ok(())
        })?;
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, Expected> {
        let mut elements = Vec::new();
        self.items(depth, b']', |parser| {
            elements.push(parser.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Json::Array(elements))
    }

    /// What stands between the bracket the parser is at and the `close`ing one, separated by commas.
    fn items(
        &mut self,
        depth: usize,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Expected>,
    ) -> Result<(), Expected> {
        if depth == MAX_DEPTH {
            return Err("expected at most 40 levels of nesting");
        }
        self.place += 1;
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(close) {
                return Ok(());
            }
            if !self.take(b',') {
                return Err("expected a comma or a closing bracket");
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Expected> {
        let text = self.text;
        let start = self.place + 1;
        self.place = start;
        let mut resolved: Option<String> = None;
        let mut copied = start;
        loop {
            match text.as_bytes().get(self.place) {
                None => return Err("expected the end of a string"),
                Some(b'"') => break,
                Some(b'\\') => {
                    let owned = resolved.get_or_insert_default();
                    owned.push_str(&text[copied..self.place]);
                    owned.push(self.escape()?);
                    copied = self.place;
                }
                Some(..0x20) => return Err("expected no control characters in a string"),
                Some(_) => self.place += 1,
            }
        }
        let rest = &text[copied..self.place];
        self.place += 1;
        Ok(match resolved {
            None => Cow::Borrowed(rest),
            Some(owned) => Cow::Owned(owned + rest),
        })
    }

    /// The character an escape stands for.
    fn escape(&mut self) -> Result<char, Expected> {
        let kind = self.text.as_bytes().get(self.place + 1).copied();
        self.place += 2;
        Ok(match kind {
            Some(literal @ (b'"' | b'\\' | b'/')) => char::from(literal),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = self.code_unit()?;
                let mut units = vec![unit];
                if (0xd800..0xdc00).contains(&unit) && self.text[self.place..].starts_with("\\u") {
                    self.place += 2;
                    units.push(self.code_unit()?);
                }
                match char::decode_utf16(units).collect::<Result<Vec<_>, _>>().as_deref() {
                    Ok([character]) => *character,
                    _ => return Err("expected a character, found half of one"),
                }
            }
            _ => {
                self.place -= 2;
                return Err("expected an escape of JSON");
            }
        })
    }

    fn code_unit(&mut self) -> Result<u16, Expected> {
        let digits = self.text.get(self.place..self.place + 4);
        let unit = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or("expected four hexadecimal digits")?;
        self.place += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<&'a str, Expected> {
        let start = self.place;
        let rest = &self.text[start..];
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let written = &rest[..length];
        if !is_number(written) {
            return Err("expected a number of JSON");
        }
        self.place += length;
        Ok(written)
    }
}

/// Whether text is a JSON number (RFC 8259 6).
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (integer, fraction) = match unsigned.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (unsigned, None),
    };
    digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn same(ours: &Json<'_>, theirs: &Value) -> bool {
        match (ours, theirs) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(a), Value::Bool(b)) => a == b,
            (Json::Number(a), Value::Number(b)) => a.parse::<f64>().ok() == b.as_f64() || *a == b.to_string(),
            (Json::String(a), Value::String(b)) => a == b,
            (Json::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Json::Object(a), Value::Object(b)) => b.iter().all(|(name, value)| {
                a.iter().rfind(|(other, _)| other == name).is_some_and(|(_, ours)| same(ours, value))
            }),
            _ => false,
        }
    }

    #[test]
    fn nothing_is_lost() {
        let text = r#" {"a": [1.50, -0, 1E+2, "\u3042\ud83d\ude00\n"], "a": null, "": {}} "#;
        let expected = Json::Object(vec![
            (
                "a".into(),
                Json::Array(vec![
                    Json::Number("1.50"),
                    Json::Number("-0"),
                    Json::Number("1E+2"),
                    Json::String("あ😀\n".into()),
                ]),
            ),
            ("a".into(), Json::Null),
            ("".into(), Json::Object(Vec::new())),
        ]);
        assert_eq!(parse(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_begins() {
        for (text, place) in [
            ("", (1, 1)),
            ("{\n \"a\" 1}", (2, 6)),
            ("[1,]", (1, 4)),
            ("{\"a\":1,}", (1, 8)),
            ("[01]", (1, 2)),
            ("[.5]", (1, 2)),
            ("[1 2]", (1, 4)),
            ("\"\\x\"", (1, 2)),
            ("\"\\ud800\"", (1, 8)),
            ("\"\\u12\"", (1, 4)),
            ("\"a\nb\"", (1, 3)),
            ("\"a", (1, 3)),
            ("nul", (1, 1)),
            ("{} {}", (1, 4)),
            ("\u{feff}{}", (1, 1)),
            ("'a'", (1, 1)),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert_eq!((error.line, error.column), place, "{text}: {error}");
        }
        assert_eq!(parse(b"[\"\x83\"]").unwrap_err().expected, "expected UTF-8");
    }

    #[test]
    fn size_depth_and_number_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse(nested(MAX_BYTES / 2).as_bytes()).is_err());
        assert!(parse(format!("[{}0]", "0,".repeat(MAX_VALUES)).as_bytes()).is_err());
        assert!(parse(&vec![b' '; MAX_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn it_agrees_with_another_reader(text in r#"[\[\]{}:,"\\ue0-9.+\-a-f trln]{0,24}|\[("[ \\"/ubnあ0d8]{0,8}"|-?[0-9.eE+]{1,6}|null|\{"a":1\})(,[0-9]{1,3}){0,3}\]"#) {
            let ours = parse(text.as_bytes());
            // The other reader refuses numbers beyond the range of a double, which keep their digits here.
            match (ours, serde_json::from_str::<Value>(&text)) {
                (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{text}"),
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{text}"),
                (Err(error), Ok(_)) => prop_assert!(false, "{text}: {error}"),
            }
        }
    }
}

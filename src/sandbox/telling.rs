//! Telling what goes over the wire, for people: requests and answers shortened, secrets cut, every step in Japanese
//! and English. Decides nothing.

use std::io::{self, Write};

use serde_json::Value;

use super::client::{Answer, Call};

/// The widest line of a told body, in characters.
const WIDTH: usize = 104;
/// Lines of a body that are told.
const LINES: usize = 26;
/// Words longer than this are cut: tokens, signatures, Base64.
const WORD: usize = 40;
/// What is left of them.
const WORD_START: usize = 12;

/// Tells the story to `out`.
pub struct Teller {
    out: Box<dyn Write + Send>,
    colour: bool,
    step: usize,
}

#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Faint,
    Green,
    Yellow,
    Red,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
        }
    }
}

impl Teller {
    /// A teller; `colour` for terminals.
    pub fn new(out: Box<dyn Write + Send>, colour: bool) -> Self {
        Self { out, colour, step: 0 }
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code()) } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A line as it is.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn plain(&mut self, text: &str) -> io::Result<()> {
        self.line(text)?;
        self.out.flush()
    }

    /// A line that stands out.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn title(&mut self, text: &str) -> io::Result<()> {
        let text = self.ink(Ink::Bold, text);
        self.plain(&text)
    }

    /// A warning.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn warning(&mut self, text: &str) -> io::Result<()> {
        let text = self.ink(Ink::Yellow, text);
        self.plain(&text)
    }

    /// The next step begins.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn step(&mut self, ja: &str, en: &str) -> io::Result<()> {
        self.step += 1;
        let heading = self.ink(Ink::Bold, &format!("{}. {ja}", self.step));
        self.line("")?;
        self.line(&heading)?;
        let number = self.step.to_string().len();
        let english = self.ink(Ink::Bold, &format!("{}  {en}", " ".repeat(number)));
        self.line(&english)
    }

    /// A request.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn call(&mut self, call: &Call) -> io::Result<()> {
        self.line(&format!("   → {} {}", call.method, call.path))?;
        for (name, value) in &call.headers {
            let text = self.ink(Ink::Faint, &format!("     {name}: {}", words_cut(value)));
            self.line(&text)?;
        }
        self.body(&call.body)
    }

    /// An answer.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        let ink = if answer.status.is_success() { Ink::Green } else { Ink::Yellow };
        let status = self.ink(ink, &answer.status.to_string());
        self.line(&format!("   ← {status}"))?;
        for (name, value) in &answer.headers {
            let text = self.ink(Ink::Faint, &format!("     {name}: {value}"));
            self.line(&text)?;
        }
        self.body(&answer.body)
    }

    fn body(&mut self, body: &[u8]) -> io::Result<()> {
        let lines = body_lines(body);
        let left_out = lines.len().saturating_sub(LINES);
        for line in lines.into_iter().take(LINES) {
            let text = self.ink(Ink::Faint, &format!("     {line}"));
            self.line(&text)?;
        }
        if left_out > 0 {
            let text = self.ink(Ink::Faint, &format!("     … ({left_out} lines more)"));
            self.line(&text)?;
        }
        Ok(())
    }

    /// What the answer means.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn meaning(&mut self, ja: &str, en: &str) -> io::Result<()> {
        let mark = self.ink(Ink::Green, "✓");
        self.line(&format!("   {mark} {ja}"))?;
        self.line(&format!("     {en}"))?;
        self.out.flush()
    }

    /// What went wrong.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn failure(&mut self, text: &str) -> io::Result<()> {
        let mark = self.ink(Ink::Red, "✗");
        self.line(&format!("   {mark} {text}"))?;
        self.out.flush()
    }
}

fn body_lines(body: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(body) else {
        return vec![format!("({} bytes)", body.len())];
    };
    if text.is_empty() {
        return Vec::new();
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let mut lines = Vec::new();
        value_lines(&cut(value), "", "", &mut lines);
        return lines;
    }
    if text.starts_with('<') {
        // A signed document is one line; its elements are told one below the other.
        let lines = text.replace("><", ">\n<");
        let mut lines: Vec<String> = lines.lines().map(words_cut).collect();
        let left_out = lines.len().saturating_sub(9);
        if left_out > 0 {
            lines.truncate(9);
            lines.push(format!("… ({left_out} elements more, {} bytes)", body.len()));
        }
        return lines;
    }
    text.split('&').map(words_cut).collect()
}

/// An object or array on one line when it fits, else its members one below the other.
fn value_lines(value: &Value, indent: &str, prefix: &str, lines: &mut Vec<String>) {
    let flat = format!("{indent}{prefix}{value}");
    if flat.chars().count() <= WIDTH {
        lines.push(flat);
        return;
    }
    let deeper = format!("{indent}  ");
    match value {
        Value::Object(members) => {
            lines.push(format!("{indent}{prefix}{{"));
            for (name, member) in members {
                value_lines(member, &deeper, &format!("\"{name}\": "), lines);
            }
            lines.push(format!("{indent}}}"));
        }
        Value::Array(items) => {
            lines.push(format!("{indent}{prefix}["));
            for item in items {
                value_lines(item, &deeper, "", lines);
            }
            lines.push(format!("{indent}]"));
        }
        _ => lines.push(flat),
    }
}

fn cut(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(words_cut(&text)),
        Value::Array(items) => items.into_iter().map(cut).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, member)| (name, cut(member))).collect())
        }
        other => other,
    }
}

/// Cuts every long run of characters that only keys and codes are made of. Addresses stay.
fn words_cut(text: &str) -> String {
    let coded = |c: char| c.is_ascii_alphanumeric() || "+/=_-.%".contains(c);
    let mut cut = String::with_capacity(text.len().min(4096));
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !coded(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let address = cut.ends_with(':') && word.starts_with("//");
        if word.len() > WORD && !address {
            cut.push_str(&word[..WORD_START]);
            cut.push('…');
        } else {
            cut.push_str(word);
        }
        let plain = after.find(coded).unwrap_or(after.len());
        cut.push_str(&after[..plain]);
        rest = &after[plain..];
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_and_addresses_are_not() {
        let token = "a".repeat(64);
        assert_eq!(words_cut(&format!("Bearer {token}")), format!("Bearer {}…", "a".repeat(12)));
        let address = "https://hikikae.dev/fhir/CodeSystem/prescription-state";
        assert_eq!(words_cut(address), address);
        let uuid = "urn:uuid:0190b6f0-0000-8000-8000-000000000001";
        assert_eq!(words_cut(uuid), uuid);
        assert_eq!(
            words_cut("日本語のとても長い文がここにあります。"),
            "日本語のとても長い文がここにあります。"
        );
    }

    #[test]
    fn bodies_of_every_kind_are_told() {
        assert!(body_lines(b"").is_empty());
        assert_eq!(body_lines(b"\xff\xfe"), ["(2 bytes)"]);
        assert_eq!(body_lines(b"a=1&b=2"), ["a=1", "b=2"]);
        assert_eq!(body_lines(br#"{"a":1}"#), [r#"{"a":1}"#]);
        let long = format!("{{\"a\":[\"{0}\",\"{0}\"]}}", "x y ".repeat(20));
        assert_eq!(body_lines(long.as_bytes()).len(), 6);
        assert_eq!(body_lines(format!("<a>{}</a>", "<b/>".repeat(20)).as_bytes()).len(), 10);
    }
}

//! Examples in HTTP: a block that begins with a method is sent to a server of the page's own, one that begins with
//! `HTTP/1.1` is compared with the answer. `{{name}}` in an answer keeps what stands there, in a request says it
//! again; `…` is anything. Of JSON the members that are shown must be there; a list that ends in `"…"` may be longer.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hikikae::clock::japanese_date;
use hikikae::codec::eps_xml::EpsPrescription;
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};

use super::page::Block;
use crate::door::{Door, card, facility};
use crate::world::{CLINIC, PHARMACY, PKI, dispensing_signed};

/// Where the documentation says the server is.
const DOCUMENTED: &str = "http://127.0.0.1:8080";

type Kept = BTreeMap<String, String>;

/// The examples of a page, one after another.
pub struct Story {
    door: Door,
    kept: Kept,
    /// The answer that is not compared yet, and what asked for it.
    answer: Option<(String, Response)>,
}

impl Story {
    pub async fn open() -> Self {
        Self { door: Door::open().await, kept: Kept::new(), answer: None }
    }

    /// Sends the request of a block, or compares its answer.
    pub async fn go_on(&mut self, block: &Block) {
        let (head, body) = block.text.split_once("\n\n").unwrap_or((block.text.trim_end(), ""));
        let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
        let headers: Vec<(&str, &str)> = headers.lines().map(|line| line.split_once(": ").unwrap()).collect();
        if let Some(status) = first.strip_prefix("HTTP/1.1 ") {
            let (request, answer) =
                self.answer.take().unwrap_or_else(|| panic!("{block}: an answer to nothing"));
            let told = self.compare(status, &headers, body, answer).await;
            assert!(told.is_ok(), "{block}: {request}: {}", told.unwrap_err());
            return;
        }
        assert!(self.answer.is_none(), "{block}: the answer before it is not shown");
        let (method, path) = first.split_once(' ').unwrap();
        let url = format!("{}{}", self.door.base_url, self.said(path));
        let mut call = self.door.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        for (name, value) in headers {
            call = call.header(name, self.said(value));
        }
        let answer = call.body(self.said(body.trim_end())).send().await.unwrap();
        self.answer = Some((first.to_owned(), answer));
    }

    /// Whether all answers were shown.
    pub fn end(self) {
        assert!(self.answer.is_none(), "the last answer is not shown");
    }

    /// A text with every `{{name}}` in it replaced.
    fn said(&self, text: &str) -> String {
        let mut parts = text.split("{{");
        let mut said = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once("}}").unwrap();
            said += &self.kept.get(name).cloned().unwrap_or_else(|| self.made(name));
            said += rest;
        }
        said
    }

    /// What a client makes itself.
    fn made(&self, name: &str) -> String {
        let (door, world) = (&self.door, &self.door.world);
        let log_in = |issuer: &str, who| {
            let audience = format!("{}/oauth2/token", door.base_url);
            door.caller.assertion(issuer, who, &audience, Map::new()).unwrap()
        };
        match name {
            "clinic_assertion" => log_in(CLINIC, facility(CLINIC)),
            "pharmacy_assertion" => log_in(PHARMACY, facility(PHARMACY)),
            "pharmacist_assertion" => log_in("person", &PKI.people[1]),
            "card_assertion" => door.said(
                card(1),
                json!({ "nonce": self.kept["nonce"], "facility": PHARMACY, "consent": ["medication-history"] }),
            ),
            "signed_prescription" => String::from_utf8(world.sign(&world.rx(1)).to_vec()).unwrap(),
            "signed_result" => {
                let delivered = BASE64_STANDARD.decode(&self.kept["delivered"]).unwrap();
                let today = japanese_date(world.now());
                let cj1 = world.rx(1).cj1(PHARMACY, self.kept["task"].parse().unwrap(), today);
                let result =
                    dispensing_signed(&EpsPrescription::read(&delivered).unwrap(), &cj1, world.now());
                String::from_utf8(result.to_vec()).unwrap()
            }
            _ => panic!("{{{{{name}}}}}: no answer said it, and no client makes it"),
        }
    }

    async fn compare(
        &mut self,
        status: &str,
        headers: &[(&str, &str)],
        body: &str,
        answer: Response,
    ) -> Result<(), String> {
        let given = answer.status().to_string();
        let given_headers = answer.headers().clone();
        let bytes = answer.bytes().await.unwrap();
        if given != status {
            return Err(format!("{given}: {}", String::from_utf8_lossy(&bytes)));
        }
        for (name, wanted) in headers {
            let given = given_headers.get(*name).map_or("", |value| value.to_str().unwrap());
            if !fits(&wanted.replace(DOCUMENTED, &self.door.base_url), given, &mut self.kept) {
                return Err(format!("{name}: {given}"));
            }
        }
        if body.is_empty() {
            return if bytes.is_empty() { Ok(()) } else { Err("the answer has a body".to_owned()) };
        }
        let wanted = body.replace(DOCUMENTED, &self.door.base_url);
        let wanted = serde_json::from_str(&wanted).map_err(|error| format!("no JSON: {error}"))?;
        let given = serde_json::from_slice(&bytes).map_err(|error| format!("answers no JSON: {error}"))?;
        shows(&wanted, &given, "body", &mut self.kept)
    }
}

/// Whether an answer has what the example shows.
fn shows(wanted: &Value, given: &Value, place: &str, kept: &mut Kept) -> Result<(), String> {
    let fault = || Err(format!("{place} is {given}"));
    match (wanted, given) {
        (Value::Object(wanted), Value::Object(given)) => wanted.iter().try_for_each(|(name, wanted)| {
            let given = given.get(name).unwrap_or(&Value::Null);
            shows(wanted, given, &format!("{place}.{name}"), kept)
        }),
        (Value::Array(wanted), Value::Array(given)) => {
            let open = wanted.last().is_some_and(|last| last == "…");
            let shown = &wanted[..wanted.len() - usize::from(open)];
            if given.len() < shown.len() || !open && given.len() > shown.len() {
                return fault();
            }
            shown.iter().zip(given).enumerate().try_for_each(|(index, (wanted, given))| {
                shows(wanted, given, &format!("{place}[{index}]"), kept)
            })
        }
        (Value::String(wanted), Value::String(given)) if fits(wanted, given, kept) => Ok(()),
        _ if wanted == given => Ok(()),
        _ => fault(),
    }
}

/// Whether a text is of a pattern's shape; keeps what its names stand for.
fn fits(pattern: &str, given: &str, kept: &mut Kept) -> bool {
    let Some(at) = [pattern.find('…'), pattern.find("{{")].into_iter().flatten().min() else {
        return pattern == given;
    };
    let (literal, rest) = pattern.split_at(at);
    let Some(given) = given.strip_prefix(literal) else { return false };
    let (name, rest) = if let Some(rest) = rest.strip_prefix('…') {
        (None, rest)
    } else {
        let (name, rest) = rest[2..].split_once("}}").unwrap();
        (Some(name), rest)
    };
    let ends = given.char_indices().map(|(end, _)| end).chain([given.len()]);
    for end in ends {
        let (value, after) = given.split_at(end);
        let another = name.and_then(|name| kept.get(name)).is_some_and(|known| known != value);
        if !another && fits(rest, after, kept) {
            kept.extend(name.map(|name| (name.to_owned(), value.to_owned())));
            return true;
        }
    }
    false
}

#[test]
fn a_pattern_keeps_what_its_names_stand_for() {
    let mut kept = Kept::new();
    assert!(fits("W/\"{{version}}\"", "W/\"12\"", &mut kept));
    assert!(fits("a…/{{id}}", "abc/12/7", &mut kept));
    assert_eq!((kept["version"].as_str(), kept["id"].as_str()), ("12", "12/7"));
    assert!(fits("{{version}}!", "12!", &mut kept) && !fits("{{version}}!", "13!", &mut kept));
    assert!(!fits("a…b", "ac", &mut kept));
    let wanted = json!({ "a": [1, "…"], "b": { "c": "x…" } });
    let given = |b: &str| json!({ "a": [1, 2], "b": { "c": b, "d": 0 } });
    assert_eq!(shows(&wanted, &given("xy"), "body", &mut kept), Ok(()));
    assert_eq!(shows(&wanted, &given("y"), "body", &mut kept), Err("body.b.c is \"y\"".to_owned()));
}

//! A document signed as a compact JWS (RFC 7515) with the headers of JAdES (ETSI TS 119 182-1), level B-B: the document
//! is the payload, the signer's certificate and the time of signing stand in the protected header. Reads, verifies and
//! makes them; knows no document.
//!
//! Only header members named here are taken: one that is not understood might change what the signature means.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDateTime, Utc};
use ring::rand::SecureRandom;
use serde_json::{Map, Value, json};

use super::jose::{Algorithm, ChainError, Compact, CompactError, chain_read, chain_write, compact_sign};
use super::signer::SignerToCheck;
use super::verdict::{Check, CheckName, Level, Outcome, Refusal, Signer, Verdict};
use super::{Certificate, HcRole, SigningKey, SigningKeyError, TrustStore};

/// The longest JWS read, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// `cty`: what the payload is. The prefix `application/` may be left out (RFC 7515 4.1.10).
const CONTENT_TYPE: &str = "application/fhir+json";
/// `sigT` (TS 119 182-1 5.2.1): UTC, whole seconds.
const SIGNING_TIME: &str = "%Y-%m-%dT%H:%M:%SZ";

/// One thing wrong with how a JWS is built. Nothing of its content is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsFault {
    /// Longer than [`MAX_BYTES`], or not ASCII.
    #[error("expected at most {MAX_BYTES} bytes of ASCII")]
    Text,
    /// Not the compact serialization.
    #[error(transparent)]
    Compact(#[from] CompactError),
    /// `alg` is missing, `none`, a keyed hash, or any other than the three.
    #[error("expected RS256, PS256 or ES256")]
    Algorithm,
    /// `crit` is not a list of extensions that are there and understood; only `sigT` is (RFC 7515 4.1.11).
    #[error("marks something critical that is not understood or not there")]
    Critical,
    /// `b64` (RFC 7797): the payload is always Base64.
    #[error("unencoded payloads are not accepted")]
    Unencoded,
    /// The payload is detached or empty.
    #[error("the payload is detached or empty")]
    Payload,
    /// `x5c` gives no certificates.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// `x5t#S256` is missing or not a SHA-256 digest in base64url.
    #[error("expected the SHA-256 digest of the leaf certificate in base64url")]
    Thumbprint,
    /// `sigT` and `iat` are missing, not of their form, or say different times.
    #[error("expected the time of signing, such as 2026-04-01T00:00:00Z")]
    SigningTime,
    /// `cty` is missing or another.
    #[error("expected {CONTENT_TYPE}")]
    ContentType,
    /// `typ` is there and another.
    #[error("expected JOSE, or no typ at all")]
    Type,
    /// `jku`, `jwk` or `x5u`: a key from elsewhere than the certificate.
    #[error("keys come from x5c only")]
    KeyElsewhere(&'static str),
    /// `kid` that is not a text; it is a hint that nothing depends on.
    #[error("expected a text")]
    KeyId,
    /// A member that is not understood.
    #[error("has a member that is not understood here")]
    Unknown,
}

impl JwsFault {
    /// Where: `JWS.header.alg`, `JWS.payload`.
    pub fn place(&self) -> String {
        let member = match self {
            Self::Text | Self::Compact(_) => return "JWS".to_owned(),
            Self::Payload => return "JWS.payload".to_owned(),
            Self::Unknown => return "JWS.header".to_owned(),
            Self::Algorithm => "alg",
            Self::Critical => "crit",
            Self::Unencoded => "b64",
            Self::Chain(_) => "x5c",
            Self::Thumbprint => "x5t#S256",
            Self::SigningTime => "sigT",
            Self::ContentType => "cty",
            Self::Type => "typ",
            Self::KeyElsewhere(name) => name,
            Self::KeyId => "kid",
        };
        format!("JWS.header.{member}")
    }
}

/// A document in its signature. Read, and not yet believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Jws<'a> {
    compact: Compact<'a>,
    algorithm: Algorithm,
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    thumbprint: [u8; 32],
    signing_time: DateTime<Utc>,
}

impl<'a> Jws<'a> {
    /// Takes a JWS apart.
    ///
    /// # Errors
    /// Every fault of its form.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Vec<JwsFault>> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_BYTES && text.is_ascii());
        let text = text.ok_or_else(|| vec![JwsFault::Text])?;
        let compact = Compact::read(text).map_err(|error| vec![error.into()])?;
        let header = &compact.header;
        let mut faults = unexpected(header);
        if compact.payload.is_empty() {
            faults.push(JwsFault::Payload);
        }
        let algorithm = noted(&mut faults, Algorithm::of_header(header).ok_or(JwsFault::Algorithm));
        let chain = noted(&mut faults, chain_read(header).map_err(JwsFault::from));
        let thumbprint = noted(&mut faults, thumbprint(header).ok_or(JwsFault::Thumbprint));
        let signing_time = noted(&mut faults, signing_time(header).ok_or(JwsFault::SigningTime));
        match (algorithm, chain, thumbprint, signing_time) {
            (Some(algorithm), Some(mut chain), Some(thumbprint), Some(signing_time)) if faults.is_empty() => {
                let leaf = chain.remove(0);
                Ok(Self { compact, algorithm, leaf, intermediates: chain, thumbprint, signing_time })
            }
            _ => Err(faults),
        }
    }

    /// The document, byte for byte as it was signed.
    pub fn payload(&self) -> &[u8] {
        &self.compact.payload
    }

    /// Verifies the signature as one by an HPKI certificate with one of `roles`. A compact JWS has no place for a time
    /// stamp, so certificates are judged at `at`.
    pub fn verify(&self, roles: &[HcRole], trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
        let check = |check, outcome| Check { check, subject: None, outcome };
        let value = self.value_check();
        let certificate = if self.thumbprint == self.leaf.sha256() {
            Outcome::Passed
        } else {
            let reason = "x5t#S256 names another certificate than the leaf of x5c";
            Outcome::failed(Refusal::SignatureInvalid, reason)
        };
        let holds = value == Outcome::Passed && certificate == Outcome::Passed;
        let unstamped = || Outcome::not_applicable("a compact JWS carries no time stamp");
        let signer = SignerToCheck { leaf: &self.leaf, intermediates: &self.intermediates, crls: &[], at };
        let mut checks = vec![
            check(CheckName::Structure, Outcome::Passed),
            check(CheckName::SignatureValue, value),
            check(CheckName::SigningCertificate, certificate),
            check(CheckName::SignatureTimestamp, unstamped()),
        ];
        checks.extend(signer.checks(roles, trust));
        checks.push(check(CheckName::ArchiveTimestamp, unstamped()));
        Verdict {
            checks,
            level: holds.then_some(Level::Bes),
            signer: Some(Signer(self.leaf.clone())),
            signing_time: Some(self.signing_time),
            base_time: at,
        }
    }

    fn value_check(&self) -> Outcome {
        if !self.algorithm.fits(self.leaf.public_key().kind()) {
            return Outcome::failed(Refusal::SignatureInvalid, "alg does not fit the key of the certificate");
        }
        match self.compact.verify(self.algorithm, &self.leaf) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::failed(Refusal::SignatureInvalid, error.to_string()),
        }
    }
}

fn noted<T>(faults: &mut Vec<JwsFault>, result: Result<T, JwsFault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

/// What the header has that it must not have, or in a form it must not have.
fn unexpected(header: &Map<String, Value>) -> Vec<JwsFault> {
    let named = |value: Option<&Value>, names: &[&str]| {
        let text = value.and_then(Value::as_str);
        text.is_some_and(|text| names.iter().any(|name| name.eq_ignore_ascii_case(text)))
    };
    let mut faults: Vec<_> = header
        .iter()
        .filter_map(|(name, value)| match name.as_str() {
            "alg" | "x5c" | "x5t#S256" | "sigT" | "iat" | "cty" => None,
            "typ" => (!named(Some(value), &["JOSE", "application/jose"])).then_some(JwsFault::Type),
            "crit" => (!critical_understood(value, header)).then_some(JwsFault::Critical),
            "kid" => (!value.is_string()).then_some(JwsFault::KeyId),
            "b64" => Some(JwsFault::Unencoded),
            "jku" => Some(JwsFault::KeyElsewhere("jku")),
            "jwk" => Some(JwsFault::KeyElsewhere("jwk")),
            "x5u" => Some(JwsFault::KeyElsewhere("x5u")),
            _ => Some(JwsFault::Unknown),
        })
        .collect();
    if !named(header.get("cty"), &[CONTENT_TYPE, "fhir+json"]) {
        faults.push(JwsFault::ContentType);
    }
    faults
}

/// RFC 7515 4.1.11: not empty, no name twice, each the name of an extension that is there; `sigT` is the only one.
fn critical_understood(value: &Value, header: &Map<String, Value>) -> bool {
    matches!(value.as_array().map(Vec::as_slice), Some([Value::String(name)]) if name == "sigT")
        && header.contains_key("sigT")
}

/// RFC 7515 4.1.8.
fn thumbprint(header: &Map<String, Value>) -> Option<[u8; 32]> {
    let text = header.get("x5t#S256")?.as_str()?;
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The claimed time of signing: `sigT`, or `iat`, which takes its place in TS 119 182-1 V1.2.1 (5.1.11). Where both
/// stand they say the same second.
fn signing_time(header: &Map<String, Value>) -> Option<DateTime<Utc>> {
    let claimed = |value: &Value| {
        let text = value.as_str()?;
        let time = NaiveDateTime::parse_from_str(text, SIGNING_TIME).ok()?.and_utc();
        // Reading is lax about leading zeros and signs; the form is not.
        (time.format(SIGNING_TIME).to_string() == text).then_some(time)
    };
    let issued = |value: &Value| DateTime::from_timestamp(value.as_i64()?, 0);
    match (header.get("sigT").map(claimed), header.get("iat").map(issued)) {
        (Some(time), None) | (None, Some(time)) => time,
        (Some(time), Some(other)) => time.filter(|_| time == other),
        (None, None) => None,
    }
}

/// Why no signature was made.
#[derive(Debug, thiserror::Error)]
pub enum JwsSignError {
    /// The key is not that of the leaf, or there is no leaf.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// The whole would be too large to be read again.
    #[error("the signed document would be larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
}

/// Who signs, when and how.
#[derive(Clone, Copy)]
pub struct JwsSignatory<'s> {
    /// The signer's HPKI certificate first, then the authorities above it as far as a verifier may need them.
    pub chain: &'s [Certificate],
    /// The key of the first.
    pub key: &'s SigningKey,
    /// The algorithm, one of the key's.
    pub algorithm: Algorithm,
    /// The time of signing.
    pub time: DateTime<Utc>,
    /// Randomness.
    pub random: &'s dyn SecureRandom,
}

/// Signs a document.
///
/// # Errors
/// [`JwsSignError`].
pub fn jws_sign(payload: &[u8], signatory: &JwsSignatory<'_>) -> Result<String, JwsSignError> {
    let JwsSignatory { chain, key, algorithm, time, random } = *signatory;
    let leaf = chain.first().filter(|leaf| key.is_key_of(leaf)).ok_or(JwsSignError::KeyMismatch)?;
    let header = json!({
        "alg": algorithm.name(),
        "typ": "JOSE",
        "cty": CONTENT_TYPE,
        "x5c": chain_write(chain),
        "x5t#S256": URL_SAFE_NO_PAD.encode(leaf.sha256()),
        "sigT": time.format(SIGNING_TIME).to_string(),
        "crit": ["sigT"],
    });
    let signed = compact_sign(&header, payload, algorithm, key, random)?;
    if signed.len() > MAX_BYTES { Err(JwsSignError::TooLarge) } else { Ok(signed) }
}

#[cfg(test)]
mod tests;

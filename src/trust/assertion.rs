//! Assertions by certificate key (RFC 7523 JWT, compact JWS with `x5c`): made by whoever holds the key, verified
//! by the server. Says that the holder of the leaf's key wrote these claims for us just now; whether the leaf is
//! to be trusted is the next question, put to [`super::path`], and whether the `jti` is new is the caller's.

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SecureRandom;
use serde_json::{Map, Value};

use super::certificate::{Certificate, CertificateError};
use super::jose::{
    Algorithm, ChainError, Compact, CompactError, chain_read, chain_write, compact_sign, object,
};
use super::key::{SigningKey, SigningKeyError};

/// The longest assertion read, in bytes.
const LENGTH_MAX: usize = 32 * 1024;
/// How far clocks may disagree.
const SKEW: TimeDelta = TimeDelta::seconds(30);
/// The longest an assertion may live.
const LIFETIME_MAX: TimeDelta = TimeDelta::minutes(5);
/// The longest `jti`, in characters.
const JTI_MAX: usize = 128;

/// Which check an assertion failed. Nothing of its content is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Longer than 32 KiB.
    #[error("the assertion is too large")]
    TooLarge,
    /// Not three parts of strict base64url holding JSON objects, each member once.
    #[error("the assertion is not a compact JWS of JSON")]
    Malformed,
    /// `alg` is not RS256, PS256 or ES256, or not one of the leaf's key.
    #[error("the algorithm is not accepted or does not fit the key")]
    Algorithm,
    /// `crit` names header fields that must be understood; none is.
    #[error("the header marks fields critical that are not understood")]
    Critical,
    /// `x5c` is missing, empty, longer than any path, or not strings of Base64.
    #[error("the header carries no certificate chain")]
    Chain,
    /// A certificate of `x5c` cannot be read.
    #[error("a certificate of the chain cannot be read: {0}")]
    Certificate(#[from] CertificateError),
    /// The signature is not one by the leaf's key.
    #[error("the signature does not verify")]
    Signature,
    /// A claim is missing or of the wrong type.
    #[error("the claim {0} is missing or malformed")]
    Claim(&'static str),
    /// `iss` and `sub` differ.
    #[error("the claims iss and sub differ")]
    Subject,
    /// `aud` does not name us.
    #[error("the claim aud names another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the assertion has expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("the assertion is issued in the future")]
    Future,
    /// `exp` is not after `iat`, or more than five minutes after it.
    #[error("the assertion lives too long or not at all")]
    Lifetime,
}

impl From<CompactError> for AssertionError {
    fn from(error: CompactError) -> Self {
        match error {
            CompactError::JsonSerialization
            | CompactError::Parts
            | CompactError::Base64url
            | CompactError::Header
            | CompactError::Doubled => Self::Malformed,
        }
    }
}

impl From<ChainError> for AssertionError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Shape => Self::Chain,
            ChainError::Certificate(error) => Self::Certificate(error),
        }
    }
}

/// What a verified assertion says, and by whose key.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedAssertion {
    /// The certificate whose key signed it; not yet known to be trusted.
    pub leaf: Certificate,
    /// The other certificates of `x5c`, in its order.
    pub chain: Vec<Certificate>,
    /// `jti`: the caller refuses one it has seen, until [`Self::expires_at`] has passed by the skew of 30 s.
    pub jti: String,
    /// `iss`, which equals `sub`.
    pub issuer: String,
    /// `exp`.
    pub expires_at: DateTime<Utc>,
    /// Every claim, the standard ones included.
    pub claims: Map<String, Value>,
}

/// An assertion to be made.
#[derive(Clone, Debug)]
pub struct Assertion<'a> {
    /// Leaf first.
    pub chain: &'a [Certificate],
    /// Both `iss` and `sub`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `jti`, unique among this key's assertions.
    pub jti: &'a str,
    /// `iat`; it expires five minutes later.
    pub issued_at: DateTime<Utc>,
    /// Further claims, for example `nonce` and `facility`. A standard claim here replaces the one above.
    pub claims: Map<String, Value>,
}

impl Assertion<'_> {
    /// Signs it: RSA keys with RS256, P-256 keys with ES256.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn sign(&self, key: &SigningKey, random: &dyn SecureRandom) -> Result<String, SigningKeyError> {
        self.sign_with(Algorithm::of_key(key), key, random)
    }

    fn sign_with(
        &self,
        algorithm: Algorithm,
        key: &SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<String, SigningKeyError> {
        let header =
            serde_json::json!({ "alg": algorithm.name(), "typ": "JWT", "x5c": chain_write(self.chain) });
        let issued = self.issued_at.timestamp();
        let mut claims = serde_json::json!({
            "iss": self.issuer,
            "sub": self.issuer,
            "aud": self.audience,
            "jti": self.jti,
            "iat": issued,
            "exp": issued + LIFETIME_MAX.num_seconds(),
        });
        for (name, value) in &self.claims {
            claims[name] = value.clone();
        }
        compact_sign(&header, claims.to_string().as_bytes(), algorithm, key, random)
    }

    /// Verifies a compact JWS at the instant `at`, for any of `audiences`.
    ///
    /// # Errors
    /// [`AssertionError`], the first check that failed; the signature is checked before any claim is.
    pub fn verify(
        jwt: &str,
        audiences: &[&str],
        at: DateTime<Utc>,
    ) -> Result<VerifiedAssertion, AssertionError> {
        if jwt.len() > LENGTH_MAX {
            return Err(AssertionError::TooLarge);
        }
        let compact = Compact::read(jwt)?;
        let algorithm = Algorithm::of_header(&compact.header).ok_or(AssertionError::Algorithm)?;
        if compact.header.contains_key("crit") {
            return Err(AssertionError::Critical);
        }
        let mut chain = chain_read(&compact.header)?;
        let leaf = chain.remove(0);
        if !algorithm.fits(leaf.public_key().kind()) {
            return Err(AssertionError::Algorithm);
        }
        compact.verify(algorithm, &leaf).map_err(|_| AssertionError::Signature)?;

        let claims = object(&compact.payload)?;
        let issuer = text(&claims, "iss")?.to_owned();
        if text(&claims, "sub")? != issuer {
            return Err(AssertionError::Subject);
        }
        audience_check(&claims, audiences)?;
        let expires_at = lifetime_check(&claims, at)?;
        let jti = text(&claims, "jti")?.to_owned();
        if !(1..=JTI_MAX).contains(&jti.chars().count()) {
            return Err(AssertionError::Claim("jti"));
        }
        Ok(VerifiedAssertion { leaf, chain, jti, issuer, expires_at, claims })
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, AssertionError> {
    claims.get(name).and_then(Value::as_str).ok_or(AssertionError::Claim(name))
}

fn audience_check(claims: &Map<String, Value>, audiences: &[&str]) -> Result<(), AssertionError> {
    let ours = |value: &Value| value.as_str().is_some_and(|named| audiences.contains(&named));
    let named = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(ours),
        Some(one @ Value::String(_)) => ours(one),
        _ => return Err(AssertionError::Claim("aud")),
    };
    if named { Ok(()) } else { Err(AssertionError::Audience) }
}

fn lifetime_check(claims: &Map<String, Value>, at: DateTime<Utc>) -> Result<DateTime<Utc>, AssertionError> {
    let issued = instant(claims, "iat")?;
    let expires = instant(claims, "exp")?;
    if expires <= at - SKEW {
        return Err(AssertionError::Expired);
    }
    let begins = if claims.contains_key("nbf") { instant(claims, "nbf")?.max(issued) } else { issued };
    if begins > at + SKEW {
        return Err(AssertionError::Future);
    }
    if expires <= issued || expires - issued > LIFETIME_MAX {
        return Err(AssertionError::Lifetime);
    }
    Ok(expires)
}

/// RFC 7519 `NumericDate`; a fraction of a second is dropped.
fn instant(claims: &Map<String, Value>, name: &'static str) -> Result<DateTime<Utc>, AssertionError> {
    let value = claims.get(name).ok_or(AssertionError::Claim(name))?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates and chrono bounds the seconds")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(AssertionError::Claim(name))
}

#[cfg(test)]
mod tests;

//! Assertions by certificate key (RFC 7523 JWT, compact JWS with `x5c`): made by whoever holds the key, verified
//! by the server. Says that the holder of the leaf's key wrote these claims for us just now; whether the leaf is
//! to be trusted is the next question, put to [`super::path`], and whether the `jti` is new is the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SecureRandom;
use serde_json::{Map, Value};

use super::certificate::{Certificate, CertificateError};
use super::key::{SigningKey, SigningKeyError};
use super::path::DEPTH_MAX;
use super::public_key::{KeyKind, SignatureScheme};

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
    /// Not three parts of strict base64url holding JSON objects.
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
        let algorithm = match key.x509_scheme() {
            SignatureScheme::EcdsaSha256Asn1 => Algorithm::Es256,
            _ => Algorithm::Rs256,
        };
        self.sign_with(algorithm, key, random)
    }

    fn sign_with(
        &self,
        algorithm: Algorithm,
        key: &SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<String, SigningKeyError> {
        let x5c: Vec<_> = self.chain.iter().map(|c| STANDARD.encode(c.der())).collect();
        let header = serde_json::json!({ "alg": algorithm.name(), "typ": "JWT", "x5c": x5c });
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
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = key.sign(algorithm.scheme(), signed.as_bytes(), random)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
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
        let (signed, signature) = jwt.rsplit_once('.').ok_or(AssertionError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(AssertionError::Malformed)?;
        if payload.contains('.') {
            return Err(AssertionError::Malformed);
        }
        let header = object(header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
        let algorithm = algorithm.ok_or(AssertionError::Algorithm)?;
        if header.contains_key("crit") {
            return Err(AssertionError::Critical);
        }
        let mut chain = chain(header.get("x5c"))?;
        let leaf = chain.remove(0);
        if !algorithm.fits(leaf.public_key().kind()) {
            return Err(AssertionError::Algorithm);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| AssertionError::Malformed)?;
        leaf.public_key()
            .verify(algorithm.scheme(), signed.as_bytes(), &signature)
            .map_err(|_| AssertionError::Signature)?;

        let claims = object(payload)?;
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

impl Algorithm {
    fn from_name(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Ps256, Self::Es256].into_iter().find(|a| a.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    fn scheme(self) -> SignatureScheme {
        match self {
            Self::Rs256 => SignatureScheme::RsaPkcs1Sha256,
            Self::Ps256 => SignatureScheme::RsaPssSha256,
            Self::Es256 => SignatureScheme::EcdsaP256Sha256Fixed,
        }
    }

    fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Rs256 | Self::Ps256 => matches!(kind, KeyKind::Rsa(_)),
            Self::Es256 => kind == KeyKind::P256,
        }
    }
}

/// One part as a JSON object. A name that appears twice has its last value, after the signature is checked over
/// the text, so that nobody but the signer can choose between two readings.
fn object(part: &str) -> Result<Map<String, Value>, AssertionError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| AssertionError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| AssertionError::Malformed)
}

/// RFC 7515 4.1.6: an array of strings, each the Base64 (not base64url) of a certificate's DER. Never empty.
fn chain(x5c: Option<&Value>) -> Result<Vec<Certificate>, AssertionError> {
    let items = x5c.and_then(Value::as_array).ok_or(AssertionError::Chain)?;
    if !(1..=DEPTH_MAX).contains(&items.len()) {
        return Err(AssertionError::Chain);
    }
    let mut chain = Vec::with_capacity(items.len());
    for item in items {
        let text = item.as_str().ok_or(AssertionError::Chain)?;
        let der = STANDARD.decode(text).map_err(|_| AssertionError::Chain)?;
        chain.push(Certificate::from_der(&der)?);
    }
    Ok(chain)
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
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::trust::test_pki::{Identity, PKI};

    const US: &[&str] = &["https://example.test/oauth2/token", "https://example.test"];

    fn made(identity: &Identity, algorithm: Option<Algorithm>, changes: &Value) -> String {
        let chain = [identity.certificate.clone(), PKI.hpki.certificate.clone()];
        let assertion = Assertion {
            chain: &chain,
            issuer: "1311234567",
            audience: US[0],
            jti: "j-1",
            issued_at: PKI.now,
            claims: changes.as_object().unwrap().clone(),
        };
        match algorithm {
            None => assertion.sign(&identity.key, &PKI.random),
            Some(algorithm) => assertion.sign_with(algorithm, &identity.key, &PKI.random),
        }
        .unwrap()
    }

    fn refused(changes: &Value) -> AssertionError {
        Assertion::verify(&made(&PKI.clinic, None, changes), US, PKI.now).unwrap_err()
    }

    /// The same assertion under another header, with the signature made anew over it.
    fn with_header(identity: &Identity, header: &Value) -> String {
        let jwt = made(identity, None, &json!({}));
        let payload = jwt.split('.').nth(1).unwrap();
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
        let scheme = match identity.key.x509_scheme() {
            SignatureScheme::EcdsaSha256Asn1 => SignatureScheme::EcdsaP256Sha256Fixed,
            rsa => rsa,
        };
        let signature = identity.key.sign(scheme, signed.as_bytes(), &PKI.random).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn x5c(identity: &Identity) -> Value {
        json!([STANDARD.encode(identity.certificate.der())])
    }

    #[test]
    fn each_algorithm_verifies_with_its_key() {
        let cases = [(&PKI.clinic, None), (&PKI.physician, None), (&PKI.physician, Some(Algorithm::Ps256))];
        for (identity, algorithm) in cases {
            let jwt = made(identity, algorithm, &json!({ "nonce": "n" }));
            let verified = Assertion::verify(&jwt, US, PKI.now).unwrap();
            assert_eq!(verified.leaf, identity.certificate);
            assert_eq!(verified.chain, std::slice::from_ref(&PKI.hpki.certificate));
            assert_eq!((verified.jti.as_str(), verified.issuer.as_str()), ("j-1", "1311234567"));
            assert_eq!(verified.expires_at, PKI.now + LIFETIME_MAX);
            assert_eq!(verified.claims["nonce"], "n");
        }
    }

    #[test]
    fn only_the_three_algorithms_and_only_with_their_keys() {
        for name in ["none", "None", "HS256", "RS512", "ES384", "EdDSA", "rs256", ""] {
            let jwt = with_header(&PKI.physician, &json!({ "alg": name, "x5c": x5c(&PKI.physician) }));
            assert_eq!(Assertion::verify(&jwt, US, PKI.now), Err(AssertionError::Algorithm), "{name}");
        }
        for (identity, name) in [(&PKI.clinic, "RS256"), (&PKI.clinic, "PS256"), (&PKI.physician, "ES256")] {
            let jwt = with_header(identity, &json!({ "alg": name, "x5c": x5c(identity) }));
            assert_eq!(Assertion::verify(&jwt, US, PKI.now), Err(AssertionError::Algorithm), "{name}");
        }
        let jwt = with_header(&PKI.physician, &json!({ "alg": "PS256", "x5c": x5c(&PKI.physician) }));
        assert_eq!(Assertion::verify(&jwt, US, PKI.now), Err(AssertionError::Signature));
    }

    #[test]
    fn the_header_must_carry_the_chain_and_nothing_critical() {
        let of =
            |header: &Value| Assertion::verify(&with_header(&PKI.clinic, header), US, PKI.now).unwrap_err();
        assert_eq!(of(&json!({ "alg": "ES256" })), AssertionError::Chain);
        assert_eq!(of(&json!({ "alg": "ES256", "x5c": [] })), AssertionError::Chain);
        assert_eq!(of(&json!({ "alg": "ES256", "x5c": [1] })), AssertionError::Chain);
        assert_eq!(of(&json!({ "alg": "ES256", "x5c": "AAAA" })), AssertionError::Chain);
        let six = vec![STANDARD.encode(PKI.clinic.certificate.der()); 6];
        assert_eq!(of(&json!({ "alg": "ES256", "x5c": six })), AssertionError::Chain);
        assert!(matches!(of(&json!({ "alg": "ES256", "x5c": ["AAAA"] })), AssertionError::Certificate(_)));
        let critical = json!({ "alg": "ES256", "x5c": x5c(&PKI.clinic), "crit": ["b64"], "b64": true });
        assert_eq!(of(&critical), AssertionError::Critical);
        let other = json!({ "alg": "ES256", "x5c": x5c(&PKI.pharmacy) });
        assert_eq!(of(&other), AssertionError::Signature);
    }

    #[test]
    fn claims_are_checked_one_by_one() {
        let now = PKI.now.timestamp();
        assert_eq!(refused(&json!({ "sub": "other" })), AssertionError::Subject);
        assert_eq!(refused(&json!({ "iss": null })), AssertionError::Claim("iss"));
        assert_eq!(refused(&json!({ "aud": "https://example.test/" })), AssertionError::Audience);
        assert_eq!(refused(&json!({ "aud": ["https://other.test"] })), AssertionError::Audience);
        assert_eq!(refused(&json!({ "aud": [] })), AssertionError::Audience);
        assert_eq!(refused(&json!({ "aud": null })), AssertionError::Claim("aud"));
        assert_eq!(refused(&json!({ "exp": null })), AssertionError::Claim("exp"));
        assert_eq!(refused(&json!({ "exp": "soon" })), AssertionError::Claim("exp"));
        assert_eq!(refused(&json!({ "iat": null })), AssertionError::Claim("iat"));
        assert_eq!(refused(&json!({ "iat": 1e300 })), AssertionError::Claim("iat"));
        assert_eq!(refused(&json!({ "iat": now - 300, "exp": now - 30 })), AssertionError::Expired);
        assert_eq!(refused(&json!({ "iat": now + 31 })), AssertionError::Future);
        assert_eq!(refused(&json!({ "nbf": now + 31 })), AssertionError::Future);
        assert_eq!(refused(&json!({ "exp": now + 301 })), AssertionError::Lifetime);
        assert_eq!(refused(&json!({ "iat": now, "exp": now })), AssertionError::Lifetime);
        assert_eq!(refused(&json!({ "iat": i64::MIN, "exp": i64::MAX })), AssertionError::Claim("iat"));
        assert_eq!(refused(&json!({ "jti": "" })), AssertionError::Claim("jti"));
        assert_eq!(refused(&json!({ "jti": "x".repeat(129) })), AssertionError::Claim("jti"));
    }

    #[test]
    fn claims_at_their_limits_pass() {
        let now = PKI.now.timestamp();
        let limits = [
            json!({ "iat": now - 300, "exp": now - 29 }),
            json!({ "iat": now + 30, "exp": now + 330 }),
            json!({ "aud": ["https://other.test", US[1]] }),
            json!({ "jti": "あ".repeat(128) }),
        ];
        for changes in limits {
            Assertion::verify(&made(&PKI.clinic, None, &changes), US, PKI.now).unwrap();
        }
    }

    #[test]
    fn a_changed_payload_does_not_verify() {
        let jwt = made(&PKI.clinic, None, &json!({}));
        let mut parts: Vec<_> = jwt.split('.').map(str::to_owned).collect();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
        parts[1] = URL_SAFE_NO_PAD.encode(claims.replace("1311234567", "1311234568"));
        assert_eq!(Assertion::verify(&parts.join("."), US, PKI.now), Err(AssertionError::Signature));
    }

    #[test]
    fn the_form_is_strict() {
        let jwt = made(&PKI.clinic, None, &json!({}));
        let malformed = Err(AssertionError::Malformed);
        for text in ["", ".", "..", "a.b.c", &format!("{jwt}="), &format!("{jwt}."), &format!(" {jwt}")] {
            assert_eq!(Assertion::verify(text, US, PKI.now), malformed, "{text:.8}");
        }
        let large = "a".repeat(LENGTH_MAX + 1);
        assert_eq!(Assertion::verify(&large, US, PKI.now), Err(AssertionError::TooLarge));
        let deep = URL_SAFE_NO_PAD.encode("[".repeat(10_000));
        assert_eq!(Assertion::verify(&format!("{deep}.{deep}.AA"), US, PKI.now), malformed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z0-9_.=-]{0,200}|.{0,64}") {
            prop_assert!(Assertion::verify(&text, US, PKI.now).is_err());
        }

        #[test]
        fn a_changed_character_never_verifies(index in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
            let jwt = made(&PKI.clinic, None, &json!({}));
            let index = index.index(jwt.len());
            let changed = format!("{}{with}{}", &jwt[..index], &jwt[index + 1..]);
            prop_assume!(changed != jwt);
            prop_assert!(Assertion::verify(&changed, US, PKI.now).is_err());
        }
    }
}

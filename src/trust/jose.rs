//! What every JSON Web Signature here has in common (RFC 7515): the compact serialization, strict base64url, a header
//! without doubled members, the three algorithms and the chain in `x5c`. Knows no claims, no document and no trust.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SecureRandom;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::certificate::{Certificate, CertificateError};
use super::key::{SigningKey, SigningKeyError};
use super::path::DEPTH_MAX;
use super::public_key::{KeyKind, SignatureInvalid, SignatureScheme};

/// How a JSON Web Signature is made (RFC 7518 3.1). Every other `alg` is refused, `none` and the keyed hashes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Ps256, Self::Es256];

    /// The usual algorithm of a key: RS256 for RSA, ES256 for P-256.
    pub fn of_key(key: &SigningKey) -> Self {
        match key.x509_scheme() {
            SignatureScheme::EcdsaSha256Asn1 => Self::Es256,
            _ => Self::Rs256,
        }
    }

    /// The name `alg` has.
    pub fn name(self) -> &'static str {
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

    /// The algorithm of a header, if it is one of the three.
    pub(super) fn of_header(header: &Map<String, Value>) -> Option<Self> {
        let name = header.get("alg")?.as_str()?;
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether a key of this kind signs so.
    pub(super) fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Rs256 | Self::Ps256 => matches!(kind, KeyKind::Rsa(_)),
            Self::Es256 => kind == KeyKind::P256,
        }
    }
}

/// Why a text is not a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// JSON serialization (RFC 7515 7.2), which may carry unsigned headers and several signatures.
    #[error("the JSON serialization is not accepted, only the compact one")]
    JsonSerialization,
    /// Not three parts with two dots.
    #[error("expected three parts with two dots between them")]
    Parts,
    /// A part with padding, white space, another alphabet, or bits left over that are not zero.
    #[error("expected canonical base64url without padding or white space in every part")]
    Base64url,
    /// The header is not one JSON object.
    #[error("expected the header to be one JSON object")]
    Header,
    /// A member stands twice, so that two readers could read two documents (RFC 7515 4).
    #[error("expected every member of the header once")]
    Doubled,
}

/// The three parts, decoded. Nothing is verified yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compact<'a> {
    /// What is signed: header and payload as they are written.
    signed: &'a str,
    pub header: Map<String, Value>,
    pub payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    pub fn read(text: &'a str) -> Result<Self, CompactError> {
        if text.trim_ascii_start().starts_with('{') {
            return Err(CompactError::JsonSerialization);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(CompactError::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(CompactError::Parts)?;
        if payload.contains('.') {
            return Err(CompactError::Parts);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| CompactError::Base64url);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        Ok(Self { signed, header: object(&header)?, payload, signature })
    }

    /// Whether the leaf's key has signed header and payload by this algorithm.
    pub fn verify(&self, algorithm: Algorithm, leaf: &Certificate) -> Result<(), SignatureInvalid> {
        leaf.public_key().verify(algorithm.scheme(), self.signed.as_bytes(), &self.signature)
    }
}

/// Writes and signs a compact JWS.
pub(super) fn compact_sign(
    header: &Value,
    payload: &[u8],
    algorithm: Algorithm,
    key: &SigningKey,
    random: &dyn SecureRandom,
) -> Result<String, SigningKeyError> {
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(algorithm.scheme(), signed.as_bytes(), random)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// One JSON object, each member once.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, CompactError> {
    match serde_json::from_slice(bytes) {
        Ok(Members { doubled: false, all }) => Ok(all),
        Ok(Members { doubled: true, .. }) => Err(CompactError::Doubled),
        Err(_) => Err(CompactError::Header),
    }
}

/// The members of an object, and whether one stood twice, which a [`Map`] alone would not tell.
struct Members {
    all: Map<String, Value>,
    doubled: bool,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = Members { all: Map::new(), doubled: false };
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    members.doubled |= members.all.insert(name, value).is_some();
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// Why `x5c` gives no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Missing, empty, longer than any path, or not strings of Base64.
    #[error("expected a certificate chain, leaf first, each certificate in Base64")]
    Shape,
    /// A certificate cannot be read.
    #[error("a certificate of the chain cannot be read: {0}")]
    Certificate(#[from] CertificateError),
}

/// RFC 7515 4.1.6: an array of strings, each the Base64 (not base64url) of a certificate's DER. Never empty.
pub(super) fn chain_read(header: &Map<String, Value>) -> Result<Vec<Certificate>, ChainError> {
    let items = header.get("x5c").and_then(Value::as_array).ok_or(ChainError::Shape)?;
    if !(1..=DEPTH_MAX).contains(&items.len()) {
        return Err(ChainError::Shape);
    }
    let mut chain = Vec::with_capacity(items.len());
    for item in items {
        let text = item.as_str().ok_or(ChainError::Shape)?;
        let der = STANDARD.decode(text).map_err(|_| ChainError::Shape)?;
        chain.push(Certificate::from_der(&der)?);
    }
    Ok(chain)
}

/// The chain as `x5c` has it.
pub(super) fn chain_write(chain: &[Certificate]) -> Value {
    chain.iter().map(|certificate| STANDARD.encode(certificate.der())).collect()
}

#[cfg(test)]
mod tests;

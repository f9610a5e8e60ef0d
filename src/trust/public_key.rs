//! Public keys and the signature algorithms we verify, all by `ring`. Everything not named here is refused.

use const_oid::db::rfc5912 as oid;
use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use ring::signature as rs;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// The least RSA modulus taken, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// The greatest RSA modulus taken, in bits; verifying with a larger one is work an attacker could order.
pub const RSA_BITS_MAX: usize = 8192;

/// How a signature was made: padding or form, hash, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, salt of 32 bytes.
    RsaPssSha256,
    /// ECDSA with SHA-256 on the key's curve, DER form (X.509, CMS).
    EcdsaSha256Asn1,
    /// ECDSA with SHA-384 on the key's curve, DER form (X.509, CMS).
    EcdsaSha384Asn1,
    /// ECDSA with SHA-256 on P-256, `r ‖ s` (JOSE `ES256`, XML signatures).
    EcdsaP256Sha256Fixed,
}

impl SignatureScheme {
    /// The scheme an X.509 `AlgorithmIdentifier` names, if it is one we take.
    pub fn from_algorithm(algorithm: &AlgorithmIdentifierOwned) -> Option<Self> {
        let no_parameters = algorithm.parameters.is_none();
        let null_or_none = algorithm.parameters.as_ref().is_none_or(|p| p.tag() == Tag::Null);
        match algorithm.oid {
            oid::SHA_256_WITH_RSA_ENCRYPTION if null_or_none => Some(Self::RsaPkcs1Sha256),
            oid::SHA_384_WITH_RSA_ENCRYPTION if null_or_none => Some(Self::RsaPkcs1Sha384),
            oid::SHA_512_WITH_RSA_ENCRYPTION if null_or_none => Some(Self::RsaPkcs1Sha512),
            oid::ECDSA_WITH_SHA_256 if no_parameters => Some(Self::EcdsaSha256Asn1),
            oid::ECDSA_WITH_SHA_384 if no_parameters => Some(Self::EcdsaSha384Asn1),
            _ => None,
        }
    }
}

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of so many bits.
    Rsa(usize),
    /// Elliptic curve P-256.
    P256,
    /// Elliptic curve P-384.
    P384,
    /// Anything else; verifies nothing.
    Unsupported,
}

/// The signature is not one by this key over these bytes, or the key and the scheme do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureInvalid;

/// The public key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    bytes: Vec<u8>,
}

impl PublicKey {
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, der::Error> {
        let bytes = spki.subject_public_key.as_bytes().ok_or(der::ErrorKind::Failed)?.to_vec();
        let curve =
            || spki.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
        let kind = if spki.algorithm.oid == RSA {
            KeyKind::Rsa(modulus_bits(&bytes)?)
        } else if spki.algorithm.oid == EC && curve() == Some(P256) {
            KeyKind::P256
        } else if spki.algorithm.oid == EC && curve() == Some(P384) {
            KeyKind::P384
        } else {
            KeyKind::Unsupported
        };
        Ok(Self { kind, bytes })
    }

    /// The kind and size.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key as `ring` takes it: `RSAPublicKey` DER, or the uncompressed point.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the key is of a supported kind and long enough to be trusted.
    pub fn is_strong(&self) -> bool {
        match self.kind {
            KeyKind::Rsa(bits) => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits),
            KeyKind::P256 | KeyKind::P384 => true,
            KeyKind::Unsupported => false,
        }
    }

    /// Verifies `signature` over `message`.
    ///
    /// # Errors
    /// [`SignatureInvalid`], without saying which: the bytes, the key or the scheme.
    pub fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureInvalid> {
        use SignatureScheme as S;
        let algorithm: &dyn rs::VerificationAlgorithm = match (scheme, self.kind) {
            (S::RsaPkcs1Sha256, KeyKind::Rsa(_)) => &rs::RSA_PKCS1_2048_8192_SHA256,
            (S::RsaPkcs1Sha384, KeyKind::Rsa(_)) => &rs::RSA_PKCS1_2048_8192_SHA384,
            (S::RsaPkcs1Sha512, KeyKind::Rsa(_)) => &rs::RSA_PKCS1_2048_8192_SHA512,
            (S::RsaPssSha256, KeyKind::Rsa(_)) => &rs::RSA_PSS_2048_8192_SHA256,
            (S::EcdsaSha256Asn1, KeyKind::P256) => &rs::ECDSA_P256_SHA256_ASN1,
            (S::EcdsaSha384Asn1, KeyKind::P256) => &rs::ECDSA_P256_SHA384_ASN1,
            (S::EcdsaSha256Asn1, KeyKind::P384) => &rs::ECDSA_P384_SHA256_ASN1,
            (S::EcdsaSha384Asn1, KeyKind::P384) => &rs::ECDSA_P384_SHA384_ASN1,
            (S::EcdsaP256Sha256Fixed, KeyKind::P256) => &rs::ECDSA_P256_SHA256_FIXED,
            _ => return Err(SignatureInvalid),
        };
        rs::UnparsedPublicKey::new(algorithm, &self.bytes)
            .verify(message, signature)
            .map_err(|_| SignatureInvalid)
    }
}

fn modulus_bits(rsa_public_key: &[u8]) -> Result<usize, der::Error> {
    let sequence = AnyRef::from_der(rsa_public_key)?;
    sequence.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(sequence.value())?;
    let modulus = UintRef::decode(&mut reader)?;
    UintRef::decode(&mut reader)?;
    reader.finish(())?;
    let bytes = modulus.as_bytes();
    let leading = bytes.first().map_or(8, |b| b.leading_zeros() as usize);
    Ok((bytes.len() * 8).saturating_sub(leading))
}

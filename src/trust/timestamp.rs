//! Time stamp tokens (タイムスタンプ, RFC 3161): reading one, and verifying that it is over given bytes by an
//! authority we trust. Knows no XML.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::revocation::RevocationInfoChoice;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};

use super::path::PathError;
use super::revocation::Crl;
use super::verdict::Refusal;
use super::{AnchorKind, Certificate, Purpose, SignatureScheme, TrustStore};

/// RFC 3161 `id-ct-TSTInfo`.
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// How far the authority's clock and ours may disagree.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not a time stamp token as RFC 3161 2.4.2 describes it.
    #[error("the time stamp token is malformed")]
    Malformed,
    /// An algorithm that is not taken.
    #[error("the time stamp token uses an algorithm that is not accepted")]
    Algorithm,
    /// It is a time stamp of something else.
    #[error("the time stamp is over something else")]
    Imprint,
    /// The authority's signature does not verify.
    #[error("the signature of the time stamp does not verify")]
    Signature,
    /// It says to be made after the instant of verification.
    #[error("the time stamp is from the future")]
    Future,
    /// The authority's certificate is not trusted.
    #[error("time stamping authority: {0}")]
    Path(#[from] PathError),
}

impl From<&TimestampError> for Refusal {
    fn from(error: &TimestampError) -> Self {
        match error {
            TimestampError::Malformed => Self::DocumentInvalid,
            TimestampError::Algorithm | TimestampError::Signature | TimestampError::Future => {
                Self::SignatureInvalid
            }
            TimestampError::Imprint => Self::SignatureMismatch,
            TimestampError::Path(error) => error.into(),
        }
    }
}

impl From<der::Error> for TimestampError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// What a time stamp is verified with.
pub(super) struct TimestampContext<'t> {
    pub trust: &'t TrustStore,
    /// Certificates and lists that came with the document.
    pub certificates: &'t [Certificate],
    pub crls: &'t [Crl],
    /// The instant of verification.
    pub at: DateTime<Utc>,
}

/// Verifies that `token` (DER) is a time stamp over `message`, and answers its time. The authority's certificate is
/// judged at that time.
pub(super) fn timestamp_verify(
    token: &[u8],
    message: &[u8],
    context: &TimestampContext<'_>,
) -> Result<DateTime<Utc>, TimestampError> {
    let outer = ContentInfo::from_der(token)?;
    if outer.content_type != rfc5911::ID_SIGNED_DATA {
        return Err(TimestampError::Malformed);
    }
    let data: SignedData = outer.content.decode_as()?;
    let info = data.encap_content_info.econtent.as_ref().ok_or(TimestampError::Malformed)?;
    let info = info.decode_as::<OctetStringRef<'_>>()?.as_bytes();
    if data.encap_content_info.econtent_type != TST_INFO {
        return Err(TimestampError::Malformed);
    }
    let stamp = TstInfo::read(info)?;
    if digest(stamp.algorithm, message).as_ref() != stamp.imprint {
        return Err(TimestampError::Imprint);
    }
    let certificates = certificates(&data)?;
    let [signer] = data.signer_infos.0.as_slice() else { return Err(TimestampError::Malformed) };
    let authority = signer_verify(signer, info, &certificates, context.certificates)?;
    if stamp.time > context.at + CLOCK_SKEW {
        return Err(TimestampError::Future);
    }
    let intermediates = [certificates.as_slice(), context.certificates].concat();
    let lists = [crls(&data), context.crls.to_vec()].concat();
    context.trust.validate(
        AnchorKind::Tsa,
        Purpose::Timestamp,
        &authority,
        &intermediates,
        &lists,
        stamp.time,
    )?;
    Ok(stamp.time)
}

/// The parts of `TSTInfo` (RFC 3161 2.4.2) that are used. Read by hand because `genTime` may have fractions of a
/// second, which DER's profile for certificates does not allow.
struct TstInfo<'a> {
    algorithm: &'static Algorithm,
    imprint: &'a [u8],
    time: DateTime<Utc>,
}

impl<'a> TstInfo<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, TimestampError> {
        let sequence = AnyRef::from_der(bytes)?;
        sequence.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(sequence.value())?;
        if u8::decode(&mut reader)? != 1 {
            return Err(TimestampError::Malformed);
        }
        ObjectIdentifier::decode(&mut reader)?;
        let message = AnyRef::decode(&mut reader)?;
        message.tag().assert_eq(Tag::Sequence)?;
        let mut parts = SliceReader::new(message.value())?;
        let algorithm = x509_cert::spki::AlgorithmIdentifierRef::decode(&mut parts)?;
        let imprint = OctetStringRef::decode(&mut parts)?.as_bytes();
        parts.finish(())?;
        let serial = AnyRef::decode(&mut reader)?;
        serial.tag().assert_eq(Tag::Integer)?;
        let time = AnyRef::decode(&mut reader)?;
        time.tag().assert_eq(Tag::GeneralizedTime)?;
        Ok(Self { algorithm: hash(algorithm.oid)?, imprint, time: time_read(time.value())? })
    }
}

/// `YYYYMMDDhhmmss[.f…]Z`.
fn time_read(bytes: &[u8]) -> Result<DateTime<Utc>, TimestampError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TimestampError::Malformed)?;
    let text = text.strip_suffix('Z').ok_or(TimestampError::Malformed)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) {
        return Err(TimestampError::Malformed);
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().map_err(|_| TimestampError::Malformed)?;
    let time = NaiveDateTime::parse_from_str(whole, "%Y%m%d%H%M%S").map_err(|_| TimestampError::Malformed)?;
    Ok(time.and_utc() + TimeDelta::milliseconds(millis))
}

fn certificates(signed: &SignedData) -> Result<Vec<Certificate>, TimestampError> {
    let set = signed.certificates.as_ref().map_or(&[][..], |set| set.0.as_slice());
    let decoded = set.iter().filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate),
        CertificateChoices::Other(_) => None,
    });
    decoded
        .map(|certificate| {
            Certificate::from_der(&certificate.to_der()?).map_err(|_| TimestampError::Malformed)
        })
        .collect()
}

fn crls(signed: &SignedData) -> Vec<Crl> {
    let set = signed.crls.as_ref().map_or(&[][..], |set| set.0.as_slice());
    let lists = set.iter().filter_map(|choice| match choice {
        RevocationInfoChoice::Crl(list) => list.to_der().ok(),
        RevocationInfoChoice::Other(_) => None,
    });
    lists.filter_map(|der| Crl::from_der(&der).ok()).collect()
}

/// Verifies the authority's signature over its attributes (RFC 5652 5.4) and answers its certificate.
fn signer_verify(
    signer: &SignerInfo,
    content: &[u8],
    certificates: &[Certificate],
    more: &[Certificate],
) -> Result<Certificate, TimestampError> {
    let attributes = signer.signed_attrs.as_ref().ok_or(TimestampError::Malformed)?;
    let single = |oid: ObjectIdentifier| {
        let mut found = attributes.iter().filter(|a| a.oid == oid);
        match (found.next().map(|a| a.values.as_slice()), found.next()) {
            (Some([value]), None) => Some(value),
            _ => None,
        }
    };
    let content_type = single(rfc5911::ID_CONTENT_TYPE).ok_or(TimestampError::Malformed)?;
    if content_type.decode_as::<ObjectIdentifier>()? != TST_INFO {
        return Err(TimestampError::Malformed);
    }
    let hash_algorithm = hash(signer.digest_alg.oid)?;
    let message_digest = single(rfc5911::ID_MESSAGE_DIGEST).ok_or(TimestampError::Malformed)?;
    if digest(hash_algorithm, content).as_ref()
        != message_digest.decode_as::<OctetStringRef<'_>>()?.as_bytes()
    {
        return Err(TimestampError::Signature);
    }
    let mut all = certificates.iter().chain(more);
    let authority = all.find(|c| is_signer(&signer.sid, c)).ok_or(TimestampError::Signature)?;
    // RFC 3161 2.4.2 and RFC 5816: the attributes must name the certificate.
    let named =
        match (single(rfc5911::ID_AA_SIGNING_CERTIFICATE), single(rfc5911::ID_AA_SIGNING_CERTIFICATE_V_2)) {
            (_, Some(value)) => certificate_id_v2(value, authority)?,
            (Some(value), None) => certificate_id_v1(value, authority)?,
            (None, None) => false,
        };
    if !named {
        return Err(TimestampError::Signature);
    }
    let scheme = scheme(signer.signature_algorithm.oid, hash_algorithm)?;
    let message = attributes.to_der()?;
    authority
        .public_key()
        .verify(scheme, &message, signer.signature.as_bytes())
        .map_err(|_| TimestampError::Signature)?;
    Ok(authority.clone())
}

fn is_signer(sid: &SignerIdentifier, certificate: &Certificate) -> bool {
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.serial_number.as_bytes() == certificate.serial()
                && id.issuer.to_der().is_ok_and(|issuer| issuer == certificate.issuer().der())
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => certificate.subject_key_id() == Some(id.0.as_bytes()),
    }
}

/// `SigningCertificate ::= SEQUENCE { certs SEQUENCE OF ESSCertID { certHash (SHA-1), … }, … }` (RFC 5035 5).
fn certificate_id_v1(value: &der::Any, certificate: &Certificate) -> Result<bool, TimestampError> {
    let hash = OctetStringRef::decode(&mut SliceReader::new(first_id(value)?)?)?;
    Ok(hash.as_bytes() == digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der()).as_ref())
}

/// `ESSCertIDv2 ::= SEQUENCE { hashAlgorithm DEFAULT SHA-256, certHash, … }` (RFC 5035 4).
fn certificate_id_v2(value: &der::Any, certificate: &Certificate) -> Result<bool, TimestampError> {
    let mut id = SliceReader::new(first_id(value)?)?;
    let mut first = AnyRef::decode(&mut id)?;
    let mut algorithm = &SHA256;
    if first.tag() == Tag::Sequence {
        algorithm = hash(ObjectIdentifier::decode(&mut SliceReader::new(first.value())?)?)?;
        first = AnyRef::decode(&mut id)?;
    }
    first.tag().assert_eq(Tag::OctetString)?;
    Ok(first.value() == digest(algorithm, certificate.der()).as_ref())
}

/// The content of the first certificate identifier in either attribute.
fn first_id(value: &der::Any) -> Result<&[u8], TimestampError> {
    value.tag().assert_eq(Tag::Sequence)?;
    let certs = AnyRef::decode(&mut SliceReader::new(value.value())?)?;
    certs.tag().assert_eq(Tag::Sequence)?;
    let first = AnyRef::decode(&mut SliceReader::new(certs.value())?)?;
    first.tag().assert_eq(Tag::Sequence)?;
    Ok(first.value())
}

fn hash(oid: ObjectIdentifier) -> Result<&'static Algorithm, TimestampError> {
    match oid {
        rfc5912::ID_SHA_256 => Ok(&SHA256),
        rfc5912::ID_SHA_384 => Ok(&SHA384),
        rfc5912::ID_SHA_512 => Ok(&SHA512),
        _ => Err(TimestampError::Algorithm),
    }
}

fn scheme(oid: ObjectIdentifier, hash: &'static Algorithm) -> Result<SignatureScheme, TimestampError> {
    let by_hash = |algorithm: &Algorithm| {
        if algorithm == &SHA256 {
            SignatureScheme::RsaPkcs1Sha256
        } else if algorithm == &SHA384 {
            SignatureScheme::RsaPkcs1Sha384
        } else {
            SignatureScheme::RsaPkcs1Sha512
        }
    };
    match oid {
        RSA => Ok(by_hash(hash)),
        rfc5912::SHA_256_WITH_RSA_ENCRYPTION => Ok(SignatureScheme::RsaPkcs1Sha256),
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION => Ok(SignatureScheme::RsaPkcs1Sha384),
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION => Ok(SignatureScheme::RsaPkcs1Sha512),
        rfc5912::ECDSA_WITH_SHA_256 => Ok(SignatureScheme::EcdsaSha256Asn1),
        rfc5912::ECDSA_WITH_SHA_384 => Ok(SignatureScheme::EcdsaSha384Asn1),
        _ => Err(TimestampError::Algorithm),
    }
}

#[cfg(test)]
mod tests;

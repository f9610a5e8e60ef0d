//! Issuing certificates and revocation lists: for the sandbox and for tests, never for anybody's real trust.
//! Knows how they are built and signed; what they say is [`super::profile`]'s.

use chrono::{DateTime, Utc};
use const_oid::db::{rfc5280 as oid, rfc5912 as algorithm};
use der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, Uint, UtcTime};
use der::{Any, Encode, Tag};
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlReason, SubjectKeyIdentifier};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, Version};

use super::certificate::{Certificate, CertificateError};
use super::key::{SigningKey, SigningKeyError};
use super::name::{COUNTRY, SERIAL_NUMBER};
use super::public_key::SignatureScheme;
use super::revocation::{Crl, CrlError};

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// A value cannot be written as DER.
    #[error("cannot encode: {0}")]
    Encoding(#[from] der::Error),
    /// The authority's key does not sign.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// No randomness for a serial number.
    #[error("the random source failed")]
    Random,
    /// What was issued does not read back as a certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// What was issued does not read back as a revocation list.
    #[error(transparent)]
    Crl(#[from] CrlError),
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// Whose it is.
    pub subject: Name,
    /// First instant of validity.
    pub not_before: DateTime<Utc>,
    /// Last instant of validity.
    pub not_after: DateTime<Utc>,
    /// The holder's key.
    pub public_key: SubjectPublicKeyInfoOwned,
    /// Extensions besides the two key identifiers, which the authority adds.
    pub extensions: Vec<Extension>,
}

/// One certificate to revoke.
#[derive(Clone, Debug)]
pub struct RevocationRequest {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// From when on.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: CrlReason,
}

/// What a revocation list is to say.
#[derive(Clone, Debug)]
pub struct CrlRequest {
    /// When it is issued.
    pub this_update: DateTime<Utc>,
    /// When the next comes at the latest.
    pub next_update: DateTime<Utc>,
    /// What is revoked.
    pub revoked: Vec<RevocationRequest>,
    /// Extensions besides the key identifier and the number, which the authority adds.
    pub extensions: Vec<Extension>,
}

/// A certification authority: a certificate and its key.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its certificate.
    pub certificate: Certificate,
    /// Its key.
    pub key: SigningKey,
}

impl Authority {
    /// A root that signs its own certificate. The public key of `request` must be that of `key`.
    ///
    /// # Errors
    /// [`IssuanceError`].
    pub fn root(
        request: &CertificateRequest,
        key: SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<Self, IssuanceError> {
        let certificate = certificate_sign(&request.subject, &key, request, random)?;
        Ok(Self { certificate, key })
    }

    /// Issues a certificate.
    ///
    /// # Errors
    /// [`IssuanceError`].
    pub fn issue(
        &self,
        request: &CertificateRequest,
        random: &dyn SecureRandom,
    ) -> Result<Certificate, IssuanceError> {
        certificate_sign(&self.name()?, &self.key, request, random)
    }

    /// Issues a revocation list.
    ///
    /// # Errors
    /// [`IssuanceError`].
    pub fn crl_issue(&self, request: &CrlRequest, random: &dyn SecureRandom) -> Result<Crl, IssuanceError> {
        let number = request.this_update.timestamp().max(1).to_be_bytes();
        let mut extensions = vec![
            authority_key_id(self.key.spki())?,
            extension(oid::ID_CE_CRL_NUMBER, false, &Uint::new(&number)?)?,
        ];
        extensions.extend(request.extensions.iter().cloned());
        let revoked = request.revoked.iter().map(revoked_entry).collect::<Result<Vec<_>, _>>()?;
        let tbs_cert_list = TbsCertList {
            version: Version::V2,
            signature: algorithm_of(&self.key),
            issuer: self.name()?,
            this_update: time(request.this_update)?,
            next_update: Some(time(request.next_update)?),
            // RFC 5280 5.1.2.6: the field is absent when nothing is revoked.
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(extensions),
        };
        let signature = self.key.sign(self.key.x509_scheme(), &tbs_cert_list.to_der()?, random)?;
        let list = CertificateList {
            signature_algorithm: tbs_cert_list.signature.clone(),
            tbs_cert_list,
            signature: BitString::from_bytes(&signature)?,
        };
        Ok(Crl::from_der(&list.to_der()?)?)
    }

    fn name(&self) -> Result<Name, der::Error> {
        der::Decode::from_der(self.certificate.subject().der())
    }
}

/// A distinguished name of one attribute a level, outermost first. Country and serial number are written as
/// `PrintableString`, the rest as `UTF8String` (RFC 5280 4.1.2.4).
///
/// # Errors
/// A value that cannot be encoded.
pub fn name(attributes: &[(ObjectIdentifier, &str)]) -> Result<Name, der::Error> {
    let mut levels = Vec::with_capacity(attributes.len());
    for (attribute, text) in attributes {
        let printable = [COUNTRY, SERIAL_NUMBER].contains(attribute);
        let tag = if printable { Tag::PrintableString } else { Tag::Utf8String };
        let value = Any::new(tag, text.as_bytes())?;
        let pair = AttributeTypeAndValue { oid: *attribute, value };
        levels.push(RelativeDistinguishedName(SetOfVec::try_from(vec![pair])?));
    }
    Ok(RdnSequence(levels))
}

/// One extension.
///
/// # Errors
/// A value that cannot be encoded.
pub fn extension(
    extn_id: ObjectIdentifier,
    critical: bool,
    value: &impl Encode,
) -> Result<Extension, der::Error> {
    Ok(Extension { extn_id, critical, extn_value: OctetString::new(value.to_der()?)? })
}

fn certificate_sign(
    issuer: &Name,
    key: &SigningKey,
    request: &CertificateRequest,
    random: &dyn SecureRandom,
) -> Result<Certificate, IssuanceError> {
    let subject_key = SubjectKeyIdentifier(OctetString::new(key_id(&request.public_key))?);
    let mut extensions = vec![
        authority_key_id(key.spki())?,
        extension(oid::ID_CE_SUBJECT_KEY_IDENTIFIER, false, &subject_key)?,
    ];
    extensions.extend(request.extensions.iter().cloned());
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial_random(random)?)?,
        signature: algorithm_of(key),
        issuer: issuer.clone(),
        validity: Validity { not_before: time(request.not_before)?, not_after: time(request.not_after)? },
        subject: request.subject.clone(),
        subject_public_key_info: request.public_key.clone(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    let signature = key.sign(key.x509_scheme(), &tbs_certificate.to_der()?, random)?;
    let certificate = x509_cert::Certificate {
        signature_algorithm: tbs_certificate.signature.clone(),
        tbs_certificate,
        signature: BitString::from_bytes(&signature)?,
    };
    Ok(Certificate::from_der(&certificate.to_der()?)?)
}

/// Sixteen random bytes, positive and of constant length.
fn serial_random(random: &dyn SecureRandom) -> Result<[u8; 16], IssuanceError> {
    let mut serial = [0; 16];
    random.fill(&mut serial).map_err(|_| IssuanceError::Random)?;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    Ok(serial)
}

fn revoked_entry(request: &RevocationRequest) -> Result<RevokedCert, der::Error> {
    Ok(RevokedCert {
        serial_number: SerialNumber::new(&request.serial)?,
        revocation_date: time(request.at)?,
        crl_entry_extensions: Some(vec![extension(oid::ID_CE_CRL_REASONS, false, &request.reason)?]),
    })
}

fn algorithm_of(key: &SigningKey) -> AlgorithmIdentifierOwned {
    match key.x509_scheme() {
        SignatureScheme::EcdsaSha256Asn1 => {
            AlgorithmIdentifierOwned { oid: algorithm::ECDSA_WITH_SHA_256, parameters: None }
        }
        _ => AlgorithmIdentifierOwned {
            oid: algorithm::SHA_256_WITH_RSA_ENCRYPTION,
            parameters: Some(Any::null()),
        },
    }
}

/// RFC 7093 2 (1): the leftmost 160 bits of the SHA-256 of the public key.
fn key_id(key: &SubjectPublicKeyInfoOwned) -> Vec<u8> {
    digest(&SHA256, key.subject_public_key.raw_bytes()).as_ref()[..20].to_vec()
}

fn authority_key_id(key: &SubjectPublicKeyInfoOwned) -> Result<Extension, der::Error> {
    let value = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(key_id(key))?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    extension(oid::ID_CE_AUTHORITY_KEY_IDENTIFIER, false, &value)
}

/// RFC 5280 4.1.2.5: `UTCTime` through 2049, `GeneralizedTime` after.
fn time(at: DateTime<Utc>) -> Result<Time, der::Error> {
    let seconds = u64::try_from(at.timestamp()).map_err(|_| der::ErrorKind::DateTime)?;
    let since_epoch = std::time::Duration::from_secs(seconds);
    UtcTime::from_unix_duration(since_epoch)
        .map(Time::UtcTime)
        .or_else(|_| GeneralizedTime::from_unix_duration(since_epoch).map(Time::GeneralTime))
}

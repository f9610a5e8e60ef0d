//! X.509 certificates as we read them: strictly decoded once, then only asked. Judges nothing: whether a
//! certificate is to be trusted is [`super::path`]'s answer.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use der::asn1::ObjectIdentifier;
use der::{Decode, Reader, SliceReader};
use ring::digest::{SHA256, digest};
use x509_cert::ext::pkix::KeyUsage;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use super::bounds::decode;
use super::extension::{BasicConstraints, Extensions, Marked};
use super::name::DistinguishedName;
use super::pem::{self, PemError};
use super::public_key::{PublicKey, SignatureInvalid, SignatureScheme};
use super::role::HcRole;

/// Why bytes are not a certificate we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than [`Certificate::MAX_DER`], or with more extensions than any profile has.
    #[error("the certificate is too large")]
    TooLarge,
    /// Not DER, or not of the shape RFC 5280 4.1 gives.
    #[error("the certificate is malformed: {0}")]
    Malformed(der::ErrorKind),
    /// Not X.509 version 3.
    #[error("the certificate is not of version 3")]
    Version,
    /// The algorithm inside the signed part differs from the one outside (RFC 5280 4.1.1.2).
    #[error("the certificate names two different signature algorithms")]
    AlgorithmMismatch,
    /// An extension appears twice (RFC 5280 4.2).
    #[error("the extension {0} appears twice")]
    DuplicateExtension(ObjectIdentifier),
    /// An extension we read is malformed.
    #[error("the extension {0} is malformed")]
    Extension(ObjectIdentifier),
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
}

impl From<der::Error> for CertificateError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.kind())
    }
}

struct Inner {
    der: Vec<u8>,
    signed: std::ops::Range<usize>,
    sha256: [u8; 32],
    serial: Vec<u8>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    public_key: PublicKey,
    scheme: Option<SignatureScheme>,
    signature: Vec<u8>,
    extensions: Extensions,
}

/// A certificate, decoded. Cloning shares it. Equal when the bytes are.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

impl Certificate {
    /// The longest certificate taken, in bytes of DER.
    pub const MAX_DER: usize = 64 * 1024;

    /// Decodes one certificate.
    ///
    /// # Errors
    /// [`CertificateError`]; trailing bytes are an error too.
    pub fn from_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > Self::MAX_DER {
            return Err(CertificateError::TooLarge);
        }
        let parsed: x509_cert::Certificate = decode(bytes)?;
        let tbs = parsed.tbs_certificate;
        if tbs.version != x509_cert::Version::V3 {
            return Err(CertificateError::Version);
        }
        if tbs.signature != parsed.signature_algorithm {
            return Err(CertificateError::AlgorithmMismatch);
        }
        let signature = parsed.signature.as_bytes().ok_or(der::Error::from(der::ErrorKind::Failed))?;
        Ok(Self(Arc::new(Inner {
            signed: signed_range(bytes)?,
            sha256: sha256(bytes),
            serial: tbs.serial_number.as_bytes().to_vec(),
            subject: DistinguishedName::from_name(&tbs.subject)?,
            issuer: DistinguishedName::from_name(&tbs.issuer)?,
            not_before: instant(tbs.validity.not_before)?,
            not_after: instant(tbs.validity.not_after)?,
            public_key: PublicKey::from_spki(&tbs.subject_public_key_info)?,
            scheme: SignatureScheme::from_algorithm(&parsed.signature_algorithm),
            signature: signature.to_vec(),
            extensions: Extensions::read(tbs.extensions.as_deref().unwrap_or_default())?,
            der: bytes.to_vec(),
        })))
    }

    /// Decodes every `CERTIFICATE` block of a PEM text; at least one.
    ///
    /// # Errors
    /// [`CertificateError`] of the first block that fails.
    pub fn from_pem_many(text: &[u8]) -> Result<Vec<Self>, CertificateError> {
        pem::blocks(text, "CERTIFICATE")?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The certificate as one PEM block.
    pub fn to_pem(&self) -> String {
        pem::block("CERTIFICATE", &self.0.der)
    }

    /// The bytes it was read from.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// The serial number the issuer gave, big endian as encoded.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// Whose certificate it is.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// The directory name in `subjectAltName`, where HPKI repeats the subject in Japanese script.
    pub fn alternative_name(&self) -> Option<&DistinguishedName> {
        self.0.extensions.alternative_name.as_ref()
    }

    /// 漢字氏名, the name in Japanese script, when the certificate has one.
    pub fn kanji_name(&self) -> Option<&str> {
        self.alternative_name()?.common_name()
    }

    /// 医療機関コード of a facility certificate: by our own rule ten digits in the subject's `serialNumber`
    /// attribute (2.5.4.5). `None` when there are not ten digits there.
    pub fn institution_code(&self) -> Option<&str> {
        let code = self.0.subject.serial_number()?;
        (code.len() == 10 && code.bytes().all(|b| b.is_ascii_digit())).then_some(code)
    }

    /// First instant of validity.
    pub fn not_before(&self) -> DateTime<Utc> {
        self.0.not_before
    }

    /// Last instant of validity.
    pub fn not_after(&self) -> DateTime<Utc> {
        self.0.not_after
    }

    /// The holder's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// `basicConstraints`, when present.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.extensions.basic_constraints
    }

    /// `keyUsage`, when present.
    pub fn key_usage(&self) -> Option<&Marked<KeyUsage>> {
        self.0.extensions.key_usage.as_ref()
    }

    /// `extKeyUsage`, when present.
    pub fn extended_key_usage(&self) -> Option<&Marked<Vec<ObjectIdentifier>>> {
        self.0.extensions.extended_key_usage.as_ref()
    }

    /// The policies it was issued under.
    pub fn policies(&self) -> &[ObjectIdentifier] {
        &self.0.extensions.policies
    }

    /// `authorityKeyIdentifier`'s key identifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.authority_key_id.as_deref()
    }

    /// `subjectKeyIdentifier`.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// The full names of its CRL distribution points.
    pub fn crl_distribution_points(&self) -> &[GeneralName] {
        &self.0.extensions.distribution_points
    }

    /// The healthcare roles it attests, in its order; empty when it attests none.
    pub fn hc_roles(&self) -> &[HcRole] {
        &self.0.extensions.roles
    }

    /// Whether it carries `nameConstraints`, which we do not process.
    pub fn is_name_constrained(&self) -> bool {
        self.0.extensions.name_constrained
    }

    /// Critical extensions that this program does not understand.
    pub fn unknown_critical_extensions(&self) -> &[ObjectIdentifier] {
        &self.0.extensions.unknown_critical
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.0.subject == self.0.issuer
    }

    /// Verifies the issuer's signature on this certificate.
    ///
    /// # Errors
    /// [`SignatureInvalid`] also when the algorithm is not one we take.
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), SignatureInvalid> {
        let scheme = self.0.scheme.ok_or(SignatureInvalid)?;
        issuer.verify(scheme, &self.0.der[self.0.signed.clone()], &self.0.signature)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate(sha256 {:02x?}…)", &self.0.sha256[..4])
    }
}

/// The place of the signed part within the outer `SEQUENCE { tbs, algorithm, signature }`.
pub(crate) fn signed_range(bytes: &[u8]) -> Result<std::ops::Range<usize>, der::Error> {
    let mut reader = SliceReader::new(bytes)?;
    der::Header::decode(&mut reader)?;
    let start = usize::try_from(reader.position())?;
    let length = reader.tlv_bytes()?.len();
    Ok(start..start + length)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

pub(crate) fn instant(time: Time) -> Result<DateTime<Utc>, der::Error> {
    i64::try_from(time.to_unix_duration().as_secs())
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .ok_or_else(|| der::ErrorKind::DateTime.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust::issuance::{CertificateRequest, IssuanceError, extension};
    use crate::trust::profile;
    use crate::trust::test_pki::{PKI, person_request};
    use const_oid::db::rfc5280 as oid;

    #[test]
    fn what_the_authority_wrote_is_read() {
        let physician = &PKI.physician.certificate;
        assert_eq!(physician.subject().common_name(), Some("Hanako Ishi"));
        assert_eq!(physician.subject().serial_number(), Some("Test100001"));
        assert_eq!(physician.kanji_name(), Some("医師　花子"));
        assert_eq!(physician.hc_roles(), [HcRole::MedicalDoctor]);
        assert_eq!(physician.institution_code(), None);
        assert_eq!(physician.issuer(), PKI.hpki.certificate.subject());
        assert_eq!(physician.authority_key_id(), PKI.hpki.certificate.subject_key_id());
        assert!(physician.key_usage().unwrap().critical);
        assert_eq!(physician.basic_constraints(), None);
        assert_eq!(physician.unknown_critical_extensions(), []);
        assert_eq!(PKI.hpki.certificate.basic_constraints().unwrap().path_length, Some(0));
        assert_eq!(PKI.clinic.certificate.institution_code(), Some("1311234567"));
        assert_eq!(PKI.clinic.certificate.subject().organization(), Some("試験診療所"));
        assert_eq!(PKI.clinic.certificate.hc_roles(), []);
        assert_eq!(PKI.patient.certificate.kanji_name(), None);
    }

    #[test]
    fn several_roles_are_all_read() {
        let director = HcRole::Other("Director of Clinic".to_owned());
        for roles in [vec![], vec![HcRole::Dentist], vec![HcRole::MedicalDoctor, director]] {
            let request = person_request("A", "甲", "Test1", &roles, &PKI.physician.key, PKI.now);
            let certificate = PKI.hpki.issue(&request, &PKI.random).unwrap();
            assert_eq!(certificate.hc_roles().len(), roles.len());
            assert!(roles.iter().all(|role| certificate.hc_roles().contains(role)));
        }
    }

    #[test]
    fn pem_and_der_give_the_same() {
        let (one, other) = (&PKI.physician.certificate, &PKI.hpki.certificate);
        let text = one.to_pem() + &other.to_pem();
        let read = Certificate::from_pem_many(text.as_bytes()).unwrap();
        assert_eq!(read, [one.clone(), other.clone()]);
        assert_eq!(Certificate::from_pem_many(b""), Err(PemError::Missing.into()));
    }

    #[test]
    fn what_is_not_exactly_a_certificate_is_refused() {
        let der = PKI.physician.certificate.der();
        assert!(Certificate::from_der(&[der, &[0]].concat()).is_err());
        assert!(Certificate::from_der(&der[..der.len() - 1]).is_err());
        assert!(Certificate::from_der(&[]).is_err());
        assert_eq!(
            Certificate::from_der(&vec![0; Certificate::MAX_DER + 1]),
            Err(CertificateError::TooLarge)
        );
        let mut request = person_request("A", "甲", "Test1", &[], &PKI.physician.key, PKI.now);
        request.extensions.push(request.extensions[0].clone());
        let twice = PKI.hpki.issue(&request, &PKI.random).unwrap_err();
        assert!(twice.to_string().ends_with("appears twice"));
    }

    #[test]
    fn versions_and_algorithms_must_be_as_the_standard_has_them() {
        use der::Encode as _;
        let parsed = x509_cert::Certificate::from_der(PKI.physician.certificate.der()).unwrap();
        let mut older = parsed.clone();
        older.tbs_certificate.version = x509_cert::Version::V2;
        assert_eq!(Certificate::from_der(&older.to_der().unwrap()), Err(CertificateError::Version));
        let mut two = parsed.clone();
        two.signature_algorithm.oid = const_oid::db::rfc5912::SHA_384_WITH_RSA_ENCRYPTION;
        assert_eq!(Certificate::from_der(&two.to_der().unwrap()), Err(CertificateError::AlgorithmMismatch));
        let mut algorithm = parsed.signature_algorithm;
        assert_eq!(SignatureScheme::from_algorithm(&algorithm), Some(SignatureScheme::RsaPkcs1Sha256));
        algorithm.parameters = Some(der::Any::new(der::Tag::Integer, [1]).unwrap());
        assert_eq!(SignatureScheme::from_algorithm(&algorithm), None);
        algorithm.parameters = Some(der::Any::null());
        algorithm.oid = const_oid::db::rfc5912::SHA_1_WITH_RSA_ENCRYPTION;
        assert_eq!(SignatureScheme::from_algorithm(&algorithm), None);
    }

    #[test]
    fn names_and_extensions_of_hostile_size_are_refused() {
        let attribute = |n: u8| x509_cert::attr::AttributeTypeAndValue {
            oid: crate::trust::name::COMMON_NAME,
            value: der::Any::new(der::Tag::Utf8String, vec![n]).unwrap(),
        };
        let set = der::asn1::SetOfVec::try_from((0..65).map(attribute).collect::<Vec<_>>()).unwrap();
        let large = x509_cert::name::RdnSequence(vec![x509_cert::name::RelativeDistinguishedName(set)]);
        let refused = |change: &dyn Fn(&mut CertificateRequest)| {
            let mut request = person_request("A", "甲", "Test1", &[], &PKI.physician.key, PKI.now);
            change(&mut request);
            match PKI.facility_root.issue(&request, &PKI.random) {
                Err(IssuanceError::Certificate(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        let subject = refused(&|request| request.subject = large.clone());
        assert_eq!(subject, CertificateError::Malformed(der::ErrorKind::Overlength));
        let alternative = refused(&|request| {
            request.extensions.retain(|e| e.extn_id != oid::ID_CE_SUBJECT_ALT_NAME);
            request.extensions.push(profile::alternative_name(&large).unwrap());
        });
        assert_eq!(alternative, CertificateError::Extension(oid::ID_CE_SUBJECT_ALT_NAME));
        let many = refused(&|request| {
            let unknown = |n: u32| ObjectIdentifier::from_arcs([1, 2, 3, n]).unwrap();
            let unknown = (0..64).map(|n| extension(unknown(n), false, &der::asn1::Null).unwrap());
            request.extensions.extend(unknown);
        });
        assert_eq!(many, CertificateError::TooLarge);
    }

    #[test]
    fn nothing_personal_is_shown() {
        let shown = format!("{:?} {:?}", PKI.physician.certificate, PKI.physician.certificate.subject());
        assert!(!shown.contains("Ishi") && !shown.contains("Test100001"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(Certificate::from_der(&bytes).is_err());
            let _ = Certificate::from_pem_many(&bytes);
        }

        #[test]
        fn no_damage_makes_it_panic(cut in any::<prop::sample::Index>(), put in prop::collection::vec(any::<u8>(), 0..8)) {
            let mut bytes = PKI.physician.certificate.der().to_vec();
            let start = cut.index(bytes.len());
            let end = (start + put.len()).min(bytes.len());
            bytes.splice(start..end, put);
            let _ = Certificate::from_der(&bytes);
        }
    }
}

//! Certificate revocation lists (失効リスト, CRL): decoding, whose they are, what they cover, and what they say of
//! one certificate at one instant. Fetches nothing.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use const_oid::db::rfc5280 as oid;
use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::crl::{CertificateList, RevokedCert};
use x509_cert::ext::pkix::CrlReason;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use super::bounds::decode;
use super::certificate::{Certificate, instant, sha256, signed_range};
use super::name::DistinguishedName;
use super::pem::{self, PemError};
use super::public_key::SignatureScheme;

/// How far clocks may disagree about a list's issue.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Why bytes are not a revocation list we use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Longer than [`Crl::MAX_DER`].
    #[error("the revocation list is too large")]
    TooLarge,
    /// Not DER, or not of the shape RFC 5280 5.1 gives.
    #[error("the revocation list is malformed: {0}")]
    Malformed(der::ErrorKind),
    /// The algorithm inside the signed part differs from the one outside.
    #[error("the revocation list names two different signature algorithms")]
    AlgorithmMismatch,
    /// Without `nextUpdate` nobody can tell when it is stale (RFC 5280 5.1.2.5).
    #[error("the revocation list does not say when the next one comes")]
    NextUpdate,
    /// A delta list: it says nothing without its base, and we keep only full ones.
    #[error("the revocation list is a delta list")]
    Delta,
    /// A scope we do not process: indirect, by reason, or for attribute certificates.
    #[error("the revocation list has an unsupported scope")]
    Scope,
    /// A critical extension of the list or of an entry that we do not understand.
    #[error("the revocation list has the unknown critical extension {0}")]
    CriticalExtension(ObjectIdentifier),
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
}

impl From<der::Error> for CrlError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.kind())
    }
}

/// Why the authority revoked a certificate (RFC 5280 5.3.1).
pub type RevocationReason = CrlReason;

/// A revocation found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// From when on it holds.
    pub at: DateTime<Utc>,
    /// Why, when the authority says.
    pub reason: Option<RevocationReason>,
}

struct Entry {
    serial: Box<[u8]>,
    revocation: Revocation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holders {
    All,
    UsersOnly,
    AuthoritiesOnly,
}

struct Inner {
    der: Vec<u8>,
    signed: std::ops::Range<usize>,
    sha256: [u8; 32],
    issuer: DistinguishedName,
    this_update: DateTime<Utc>,
    next_update: DateTime<Utc>,
    holders: Holders,
    distribution_point: Option<Vec<GeneralName>>,
    /// Sorted by serial number, so that large lists are searched and not walked.
    entries: Vec<Entry>,
    scheme: Option<SignatureScheme>,
    signature: Vec<u8>,
}

/// A full revocation list, decoded. Cloning shares it. Its signature is checked when it is used.
#[derive(Clone)]
pub struct Crl(Arc<Inner>);

impl Crl {
    /// The longest list taken, in bytes of DER. National lists run to some megabytes.
    pub const MAX_DER: usize = 64 * 1024 * 1024;

    /// Decodes one list.
    ///
    /// # Errors
    /// [`CrlError`]; lists of a kind that we could misread are refused here, before anybody relies on them.
    pub fn from_der(bytes: &[u8]) -> Result<Self, CrlError> {
        if bytes.len() > Self::MAX_DER {
            return Err(CrlError::TooLarge);
        }
        let parsed: CertificateList = decode(bytes)?;
        let tbs = parsed.tbs_cert_list;
        if tbs.signature != parsed.signature_algorithm {
            return Err(CrlError::AlgorithmMismatch);
        }
        let (mut holders, mut distribution_point) = (Holders::All, None);
        for extension in tbs.crl_extensions.unwrap_or_default() {
            match extension.extn_id {
                oid::ID_CE_DELTA_CRL_INDICATOR => return Err(CrlError::Delta),
                oid::ID_CE_ISSUING_DISTRIBUTION_POINT => {
                    (holders, distribution_point) = scope(extension.extn_value.as_bytes())?;
                }
                oid::ID_CE_AUTHORITY_KEY_IDENTIFIER | oid::ID_CE_CRL_NUMBER => {}
                other if extension.critical => return Err(CrlError::CriticalExtension(other)),
                _ => {}
            }
        }
        let mut entries =
            tbs.revoked_certificates.unwrap_or_default().iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        entries.sort_unstable_by(|a, b| a.serial.cmp(&b.serial));
        let signature = parsed.signature.as_bytes().ok_or(der::Error::from(der::ErrorKind::Failed))?;
        Ok(Self(Arc::new(Inner {
            signed: signed_range(bytes)?,
            sha256: sha256(bytes),
            issuer: DistinguishedName::from_name(&tbs.issuer)?,
            this_update: instant(tbs.this_update)?,
            next_update: instant(tbs.next_update.ok_or(CrlError::NextUpdate)?)?,
            holders,
            distribution_point,
            entries,
            scheme: SignatureScheme::from_algorithm(&parsed.signature_algorithm),
            signature: signature.to_vec(),
            der: bytes.to_vec(),
        })))
    }

    /// Decodes every `X509 CRL` block of a PEM text; at least one.
    ///
    /// # Errors
    /// [`CrlError`] of the first block that fails.
    pub fn from_pem(text: &[u8]) -> Result<Vec<Self>, CrlError> {
        pem::blocks(text, "X509 CRL")?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The list as one PEM block.
    pub fn to_pem(&self) -> String {
        pem::block("X509 CRL", &self.0.der)
    }

    /// The bytes it was read from.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// The authority that issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }

    /// When it was issued.
    pub fn this_update(&self) -> DateTime<Utc> {
        self.0.this_update
    }

    /// When the next one comes at the latest.
    pub fn next_update(&self) -> DateTime<Utc> {
        self.0.next_update
    }

    /// Whether it is `authority`'s own word: its name, its key, and a key that may sign lists.
    pub fn is_signed_by(&self, authority: &Certificate) -> bool {
        let may_sign = authority.key_usage().is_none_or(|usage| usage.value.crl_sign());
        may_sign
            && self.0.issuer == *authority.subject()
            && self.0.scheme.is_some_and(|scheme| {
                let signed = &self.0.der[self.0.signed.clone()];
                authority.public_key().verify(scheme, signed, &self.0.signature).is_ok()
            })
    }

    /// Whether a certificate of this issuer would be on this list if it were revoked (RFC 5280 6.3.3 (b)).
    pub fn covers(&self, certificate: &Certificate) -> bool {
        let authority = certificate.basic_constraints().is_some_and(|c| c.authority);
        let holder = match self.0.holders {
            Holders::All => true,
            Holders::UsersOnly => !authority,
            Holders::AuthoritiesOnly => authority,
        };
        let point = self.0.distribution_point.as_ref().is_none_or(|names| {
            names.iter().any(|name| certificate.crl_distribution_points().contains(name))
        });
        self.0.issuer == *certificate.issuer() && holder && point
    }

    /// The entry of a certificate of this issuer, whatever its date.
    pub fn entry(&self, serial: &[u8]) -> Option<Revocation> {
        let first = self.0.entries.partition_point(|e| &*e.serial < serial);
        let same = self.0.entries[first..].iter().take_while(|e| &*e.serial == serial);
        same.map(|e| e.revocation).min_by_key(|r| r.at)
    }

    /// Whether the list says anything of the instant `at` about a certificate valid until `not_after`: issued
    /// by then and not stale by more than `grace`; or issued later, while the certificate was still to be kept
    /// on it. An authority may drop expired certificates from its lists (RFC 5280 3.3).
    pub(crate) fn speaks_of(&self, at: DateTime<Utc>, not_after: DateTime<Utc>, grace: TimeDelta) -> bool {
        if self.0.this_update <= at + CLOCK_SKEW {
            at <= self.0.next_update + grace
        } else {
            self.0.this_update <= not_after
        }
    }
}

impl std::fmt::Debug for Crl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crl({} entries, {} to {})", self.0.entries.len(), self.0.this_update, self.0.next_update)
    }
}

type Scope = (Holders, Option<Vec<GeneralName>>);

fn scope(bytes: &[u8]) -> Result<Scope, CrlError> {
    let point = decode::<IssuingDistributionPoint>(bytes)?;
    if point.indirect_crl || point.only_contains_attribute_certs || point.only_some_reasons.is_some() {
        return Err(CrlError::Scope);
    }
    let holders = match (point.only_contains_user_certs, point.only_contains_ca_certs) {
        (false, false) => Holders::All,
        (true, false) => Holders::UsersOnly,
        (false, true) => Holders::AuthoritiesOnly,
        (true, true) => return Err(CrlError::Scope),
    };
    match point.distribution_point {
        None => Ok((holders, None)),
        Some(DistributionPointName::FullName(names)) => Ok((holders, Some(names))),
        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => Err(CrlError::Scope),
    }
}

fn entry(revoked: &RevokedCert) -> Result<Entry, CrlError> {
    let mut reason = None;
    for extension in revoked.crl_entry_extensions.as_deref().unwrap_or_default() {
        match extension.extn_id {
            oid::ID_CE_CRL_REASONS => reason = Some(CrlReason::from_der(extension.extn_value.as_bytes())?),
            other if extension.critical => return Err(CrlError::CriticalExtension(other)),
            _ => {}
        }
    }
    // Only a delta list may take a certificate off again.
    if reason == Some(CrlReason::RemoveFromCRL) {
        return Err(CrlError::Delta);
    }
    let at = instant(revoked.revocation_date)?;
    let serial = revoked.serial_number.as_bytes().into();
    Ok(Entry { serial, revocation: Revocation { at, reason } })
}

#[cfg(test)]
mod tests {
    use der::Encode as _;
    use proptest::prelude::*;
    use x509_cert::ext::Extension;

    use super::*;
    use crate::trust::issuance::{CrlRequest, IssuanceError, RevocationRequest, extension};
    use crate::trust::test_pki::{PKI, crl_request};

    fn list(extensions: Vec<Extension>) -> Result<Crl, IssuanceError> {
        let request = CrlRequest { extensions, ..crl_request(PKI.now, Vec::new()) };
        PKI.facility_root.crl_issue(&request, &PKI.random)
    }

    fn hpki_list() -> &'static Crl {
        PKI.crls.iter().find(|list| list.issuer() == PKI.hpki.certificate.subject()).unwrap()
    }

    #[test]
    fn what_the_authority_wrote_is_read() {
        let list = hpki_list();
        let revocation = list.entry(PKI.revoked.certificate.serial()).unwrap();
        assert_eq!(revocation.at, PKI.now - TimeDelta::days(30));
        assert_eq!(revocation.reason, Some(CrlReason::CessationOfOperation));
        assert_eq!(list.entry(PKI.physician.certificate.serial()), None);
        assert_eq!(list.next_update(), PKI.now + TimeDelta::days(1));
        assert!(list.is_signed_by(&PKI.hpki.certificate));
        assert!(!list.is_signed_by(&PKI.hpki_root.certificate));
    }

    #[test]
    fn the_earliest_of_two_entries_of_one_serial_counts() {
        let entry = |days| RevocationRequest {
            serial: vec![7],
            at: PKI.now - TimeDelta::days(days),
            reason: CrlReason::Superseded,
        };
        let request = crl_request(PKI.now, vec![entry(2), entry(5), entry(3)]);
        let list = PKI.facility_root.crl_issue(&request, &PKI.random).unwrap();
        assert_eq!(list.entry(&[7]).unwrap().at, PKI.now - TimeDelta::days(5));
        assert_eq!(list.entry(&[6]), None);
        assert_eq!(list.entry(&[8]), None);
    }

    #[test]
    fn lists_we_could_misread_are_refused() {
        let number = der::asn1::Uint::new(&[1]).unwrap();
        let delta = list(vec![extension(oid::ID_CE_DELTA_CRL_INDICATOR, true, &number).unwrap()]);
        assert!(matches!(delta, Err(IssuanceError::Crl(CrlError::Delta))));
        let unknown = ObjectIdentifier::new_unwrap("1.2.3.4");
        let refused = list(vec![extension(unknown, true, &der::asn1::Null).unwrap()]);
        assert!(matches!(refused, Err(IssuanceError::Crl(CrlError::CriticalExtension(id))) if id == unknown));
        list(vec![extension(unknown, false, &der::asn1::Null).unwrap()]).unwrap();
        let removed = RevocationRequest { serial: vec![7], at: PKI.now, reason: CrlReason::RemoveFromCRL };
        let removed = PKI.facility_root.crl_issue(&crl_request(PKI.now, vec![removed]), &PKI.random);
        assert!(matches!(removed, Err(IssuanceError::Crl(CrlError::Delta))));
    }

    #[test]
    fn a_list_without_an_end_is_refused() {
        let mut parsed = CertificateList::from_der(hpki_list().der()).unwrap();
        parsed.tbs_cert_list.next_update = None;
        assert_eq!(Crl::from_der(&parsed.to_der().unwrap()).unwrap_err(), CrlError::NextUpdate);
    }

    #[test]
    fn a_changed_list_is_nobodys() {
        let der = hpki_list().der();
        for index in (0..der.len()).step_by(7) {
            let mut bytes = der.to_vec();
            bytes[index] ^= 1;
            assert!(
                !Crl::from_der(&bytes).is_ok_and(|list| list.is_signed_by(&PKI.hpki.certificate)),
                "{index}"
            );
        }
    }

    #[test]
    fn der_and_pem_give_the_same() {
        let text = hpki_list().to_pem();
        let read = Crl::from_pem(text.as_bytes()).unwrap();
        assert_eq!(read[0].der(), hpki_list().der());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(Crl::from_der(&bytes).is_err());
            let _ = Crl::from_pem(&bytes);
        }
    }
}

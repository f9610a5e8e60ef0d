//! What is found out once because it depends on bytes alone: what a certificate says, and whether an authority (認証局)
//! has signed it or a revocation list. Everything that depends on the moment, on policy or on revocation is asked each
//! time. Knows no path.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use super::certificate::{Certificate, CertificateError, sha256};

/// Signatures remembered; then all are forgotten. Each is 64 bytes.
const SIGNATURES: usize = 16 * 1024;
/// Certificates remembered; then all are forgotten. Each is some three kilobytes.
const CERTIFICATES: usize = 4 * 1024;
/// Longer certificates are decoded each time.
const LENGTH: usize = 4 * 1024;

/// Certificates that were decoded, by their SHA-256, and signatures that have verified, by the SHA-256 of what is signed
/// and of the signer's certificate. What fails is not remembered.
#[derive(Debug, Default)]
pub(super) struct Memo {
    certificates: RwLock<HashMap<[u8; 32], Certificate>>,
    signatures: RwLock<HashSet<([u8; 32], [u8; 32])>>,
}

impl Memo {
    /// Decodes a certificate, the first time.
    pub(super) fn certificate(&self, der: &[u8]) -> Result<Certificate, CertificateError> {
        if der.len() > LENGTH {
            return Certificate::from_der(der);
        }
        let hash = sha256(der);
        if let Some(known) = self.certificates.read().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(known.clone());
        }
        let certificate = Certificate::from_der(der)?;
        let mut known = self.certificates.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CERTIFICATES {
            known.clear();
        }
        known.insert(hash, certificate.clone());
        Ok(certificate)
    }

    /// Whether what has the hash `signed` is signed by `authority`, as `verify` finds out the first time.
    pub(super) fn is_signed(
        &self,
        signed: [u8; 32],
        authority: &Certificate,
        verify: impl FnOnce() -> bool,
    ) -> bool {
        let pair = (signed, authority.sha256());
        if self.signatures.read().unwrap_or_else(PoisonError::into_inner).contains(&pair) {
            return true;
        }
        let verified = verify();
        if verified {
            let mut known = self.signatures.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= SIGNATURES {
                known.clear();
            }
            known.insert(pair);
        }
        verified
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::test_pki::PKI;

    #[test]
    fn only_what_verified_is_remembered() {
        let memo = Memo::default();
        let (signed, authority) = (PKI.physician.certificate.sha256(), &PKI.hpki.certificate);
        assert!(!memo.is_signed(signed, authority, || false));
        assert!(memo.is_signed(signed, authority, || true), "a failure is found out again");
        assert!(memo.is_signed(signed, authority, || false), "a success is not");
        assert!(!memo.is_signed(signed, &PKI.hpki_root.certificate, || false), "another authority");
        assert!(!memo.is_signed(authority.sha256(), authority, || false), "another certificate");
    }

    #[test]
    fn a_certificate_is_decoded_once_and_a_changed_one_is_another() {
        let memo = Memo::default();
        let der = PKI.physician.certificate.der();
        let first = memo.certificate(der).unwrap();
        assert_eq!(
            (first.clone(), memo.certificate(der).unwrap()),
            (PKI.physician.certificate.clone(), first)
        );
        assert!(memo.certificate(&der[1..]).is_err());
        let other = memo.certificate(PKI.hpki.certificate.der()).unwrap();
        assert_eq!(other, PKI.hpki.certificate);
    }
}

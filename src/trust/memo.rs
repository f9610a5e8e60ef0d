//! Signatures of authorities (認証局の署名) on certificates and revocation lists that have verified before. Whether a
//! signature verifies depends on bytes alone, so it is found out once; everything that depends on the moment, on
//! policy or on revocation is asked each time. Knows no path.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use super::certificate::Certificate;

/// Signatures remembered; then all are forgotten. Each is 64 bytes.
const REMEMBERED: usize = 16 * 1024;

/// Signatures that have verified, by the SHA-256 of what is signed and of the signer's certificate. One that does not
/// verify is not remembered: nobody can fill the memory with noise.
#[derive(Debug, Default)]
pub(super) struct Memo(RwLock<HashSet<([u8; 32], [u8; 32])>>);

impl Memo {
    /// Whether what has the hash `signed` is signed by `authority`, as `verify` finds out the first time.
    pub(super) fn is_signed(
        &self,
        signed: [u8; 32],
        authority: &Certificate,
        verify: impl FnOnce() -> bool,
    ) -> bool {
        let pair = (signed, authority.sha256());
        if self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&pair) {
            return true;
        }
        let verified = verify();
        if verified {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= REMEMBERED {
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
}

//! Whether the holder of a certificate may sign a document: key usage, role, path and revocation, the same for every
//! form of signature. Knows no signature.

use chrono::{DateTime, Utc};

use super::verdict::{Check, CheckName, Outcome, Refusal};
use super::{AnchorKind, Certificate, Crl, HcRole, PathError, Purpose, TrustStore};

/// A signer's certificate and what came along with it.
pub(super) struct SignerToCheck<'s> {
    pub leaf: &'s Certificate,
    pub intermediates: &'s [Certificate],
    pub crls: &'s [Crl],
    /// The instant to judge at.
    pub at: DateTime<Utc>,
}

impl SignerToCheck<'_> {
    /// Key usage, role (one of `roles`), path and revocation, in this order.
    pub fn checks(&self, roles: &[HcRole], trust: &TrustStore) -> [Check; 4] {
        let leaf = self.leaf;
        let path = trust.validate(
            AnchorKind::Hpki,
            Purpose::SignDocument,
            leaf,
            self.intermediates,
            self.crls,
            self.at,
        );
        let failed = |error: &PathError| Outcome::failed(error.into(), error.to_string());
        let usage = match &path {
            Err(error @ PathError::KeyUsage) => failed(error),
            _ if leaf.key_usage().is_some_and(|usage| usage.critical && usage.value.non_repudiation()) => {
                Outcome::Passed
            }
            _ => failed(&PathError::KeyUsage),
        };
        let role = if leaf.hc_roles().iter().any(|role| roles.contains(role)) {
            Outcome::Passed
        } else {
            let names: Vec<_> = roles.iter().map(HcRole::as_str).collect();
            Outcome::failed(Refusal::SignerRole, format!("expected the role {}", names.join(" or ")))
        };
        let (path, revocation) = match &path {
            Ok(_) => (Outcome::Passed, Outcome::Passed),
            Err(error @ (PathError::Revoked(_) | PathError::RevocationUnavailable)) => {
                (Outcome::Passed, failed(error))
            }
            Err(PathError::KeyUsage) => {
                let skipped = || Outcome::not_applicable("the certificate may not sign documents");
                (skipped(), skipped())
            }
            Err(error) => (failed(error), Outcome::not_applicable("there is no path")),
        };
        [
            (CheckName::KeyUsage, usage),
            (CheckName::Role, role),
            (CheckName::Path, path),
            (CheckName::Revocation, revocation),
        ]
        .map(|(check, outcome)| Check { check, subject: None, outcome })
    }
}

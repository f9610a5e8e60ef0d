//! Certification paths (認証パス): from a certificate to an anchor of one kind, at one instant. Pure: no clock, no
//! network.
//!
//! The subset of RFC 5280 section 6 that is done, refusing whatever lies outside it:
//!
//! * names chain byte for byte, every signature verifies by an algorithm we pin, at most five certificates with
//!   the anchor; all paths the given intermediates allow are tried within a bound of work;
//! * the anchor is a name, a key and a time of validity; it need not be self-signed and is not looked up in
//!   revocation lists, but `basicConstraints` and `keyUsage` are obeyed when it has them;
//! * authorities below it must carry `basicConstraints` with `cA` and `keyUsage` with `keyCertSign`, and
//!   `pathLenConstraint` is obeyed;
//! * the end entity must not be an authority, and its key usages must fit the [`Purpose`];
//! * its policies are compared with the configured list; there is no policy tree, no mapping and no inhibition,
//!   and a certificate that marks such an extension critical is refused;
//! * `nameConstraints` is not processed: a path with one is refused, marked critical or not;
//! * each certificate below the anchor must be on no list of its issuer, and such a list must be current.

use chrono::{DateTime, Utc};
use const_oid::db::rfc5280 as oid;
use der::asn1::ObjectIdentifier;

use super::anchors::{AnchorKind, TrustStore};
use super::certificate::Certificate;
use super::revocation::{Crl, Revocation};

/// The most certificates on a path, end entity and anchor included.
pub const DEPTH_MAX: usize = 5;
/// The most signatures verified while looking for a path; same-named intermediates cannot order more work.
const SIGNATURES_MAX: usize = 32;
/// RFC 9336 `id-kp-documentSigning`.
const DOCUMENT_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.36");

/// What the end entity's key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing a document: `keyUsage` critical with `nonRepudiation` (JAHIS 検証要件, HPKI certificate policy).
    SignDocument,
    /// Proving who is calling: `keyUsage` with `digitalSignature` or `nonRepudiation`, the latter because a
    /// person's signing key is accepted for logging in too.
    Authenticate,
    /// Time stamping: `extKeyUsage` critical with `timeStamping` alone (RFC 3161 2.3).
    Timestamp,
}

/// Why no anchor vouches for the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UntrustedReason {
    /// No anchor of the kind has issued it, with the intermediates at hand.
    #[error("its issuer is not trusted")]
    UnknownIssuer,
    /// An issuer of the right name has not made the signature.
    #[error("the signature of its issuer does not verify")]
    Signature,
    /// A key on the path is too short or of an unsupported kind.
    #[error("a key on its path is too weak")]
    WeakKey,
    /// More intermediates of the same names than are tried.
    #[error("its path is too long or too ambiguous")]
    Limit,
}

/// Which constraint on authorities is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintViolation {
    /// An issuer on the path is not marked as an authority, or not allowed to sign certificates.
    #[error("an issuer on its path is no certification authority")]
    NotAuthority,
    /// An issuer allows fewer authorities below itself.
    #[error("its path is longer than an issuer allows")]
    PathLength,
    /// The end entity is itself an authority.
    #[error("it is the certificate of an authority")]
    EndEntityIsAuthority,
    /// An issuer constrains names, which is not processed.
    #[error("an issuer constrains names")]
    NameConstraints,
}

/// Why a path is refused. The first reason found; none of them carries anything personal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No anchor vouches for it (`certificate-untrusted`).
    #[error("certificate refused: {0}")]
    Untrusted(UntrustedReason),
    /// A certificate on the path is not valid yet (`certificate-expired`).
    #[error("a certificate on the path is valid only from {from}")]
    NotYetValid {
        /// Its first instant.
        from: DateTime<Utc>,
    },
    /// A certificate on the path is no longer valid (`certificate-expired`).
    #[error("a certificate on the path was valid until {until}")]
    Expired {
        /// Its last instant.
        until: DateTime<Utc>,
    },
    /// A certificate on the path is revoked (`certificate-revoked`).
    #[error("a certificate on the path was revoked at {}", .0.at)]
    Revoked(Revocation),
    /// No current revocation list of an issuer on the path is at hand (`revocation-unavailable`).
    #[error("no current revocation list is at hand")]
    RevocationUnavailable,
    /// `keyUsage` or `extKeyUsage` do not fit the purpose (`certificate-untrusted`).
    #[error("the key usages do not fit the purpose")]
    KeyUsage,
    /// Not issued under an accepted policy (`certificate-untrusted`).
    #[error("the certificate is not issued under an accepted policy")]
    Policy,
    /// A critical extension that is not understood (`certificate-untrusted`).
    #[error("the critical extension {0} is not understood")]
    CriticalExtension(ObjectIdentifier),
    /// A constraint on authorities is broken (`certificate-untrusted`).
    #[error("certificate refused: {0}")]
    Constraints(ConstraintViolation),
}

/// A path found good, with the kind of its anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidPath {
    kind: AnchorKind,
    certificates: Vec<Certificate>,
}

impl ValidPath {
    /// The kind of anchor it ends in.
    pub fn kind(&self) -> AnchorKind {
        self.kind
    }

    /// From the end entity to the anchor, both included.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

impl TrustStore {
    /// Validates `leaf` at the instant `at` for `purpose`, up to an anchor of `kind`. `intermediates` and
    /// `extra_crls` may come from anywhere: nothing in them is believed that an issuer has not signed.
    ///
    /// # Errors
    /// [`PathError`], of the path that came furthest.
    pub fn validate(
        &self,
        kind: AnchorKind,
        purpose: Purpose,
        leaf: &Certificate,
        intermediates: &[Certificate],
        extra_crls: &[Crl],
        at: DateTime<Utc>,
    ) -> Result<ValidPath, PathError> {
        let check = |path: &[&Certificate]| {
            path_check(path)?;
            usage_check(purpose, leaf)?;
            self.policy_check(kind, leaf)?;
            validity_check(path, at)?;
            path.windows(2).try_for_each(|pair| self.revocation_check(kind, pair[0], pair[1], extra_crls, at))
        };
        let certificates = Search::new(self, kind, intermediates, &check).run(leaf)?;
        Ok(ValidPath { kind, certificates })
    }

    /// The kind of anchor `leaf` chains to by name and signature alone. `None` when there is none, and also when
    /// there are two: then nobody can tell which actor it is. It says whom to ask about, not whom to trust:
    /// [`Self::validate`] with the kind comes next.
    pub fn kind_of(&self, leaf: &Certificate, intermediates: &[Certificate]) -> Option<AnchorKind> {
        let chains = |kind: &AnchorKind| {
            Search::new(self, *kind, intermediates, &|_: &[&Certificate]| Ok(())).run(leaf).is_ok()
        };
        let mut kinds = AnchorKind::ALL.into_iter().filter(chains);
        kinds.next().filter(|_| kinds.next().is_none())
    }

    fn policy_check(&self, kind: AnchorKind, leaf: &Certificate) -> Result<(), PathError> {
        let accepted = &self.policy().of(kind).accepted_policies;
        if accepted.is_empty() || leaf.policies().iter().any(|policy| accepted.contains(policy)) {
            Ok(())
        } else {
            Err(PathError::Policy)
        }
    }

    /// Any list of the issuer, however old, reveals a revocation; only a current one clears.
    fn revocation_check(
        &self,
        kind: AnchorKind,
        certificate: &Certificate,
        issuer: &Certificate,
        extra_crls: &[Crl],
        at: DateTime<Utc>,
    ) -> Result<(), PathError> {
        let mut current = false;
        let lists = self.crls(issuer.subject()).iter().chain(extra_crls);
        for list in lists.filter(|list| list.covers(certificate)) {
            let entry = list.entry(certificate.serial()).filter(|revocation| revocation.at <= at);
            let clears = !current && list.speaks_of(at, certificate.not_after(), self.policy().crl_grace);
            let signed = || self.memo().is_signed(list.sha256(), issuer, || list.is_signed_by(issuer));
            if (entry.is_some() || clears) && signed() {
                if let Some(revocation) = entry {
                    return Err(PathError::Revoked(revocation));
                }
                current = true;
            }
        }
        if current || !self.policy().of(kind).crl_required {
            Ok(())
        } else {
            Err(PathError::RevocationUnavailable)
        }
    }
}

/// A depth-first search for a path that `check` accepts.
struct Search<'a, C> {
    store: &'a TrustStore,
    kind: AnchorKind,
    intermediates: &'a [Certificate],
    check: &'a C,
    signatures_left: usize,
    failure: PathError,
}

impl<'a, C: Fn(&[&Certificate]) -> Result<(), PathError>> Search<'a, C> {
    fn new(store: &'a TrustStore, kind: AnchorKind, intermediates: &'a [Certificate], check: &'a C) -> Self {
        let failure = PathError::Untrusted(UntrustedReason::UnknownIssuer);
        Self { store, kind, intermediates, check, signatures_left: SIGNATURES_MAX, failure }
    }

    fn run(mut self, leaf: &'a Certificate) -> Result<Vec<Certificate>, PathError> {
        if !leaf.public_key().is_strong() {
            return Err(PathError::Untrusted(UntrustedReason::WeakKey));
        }
        let mut path = Vec::with_capacity(DEPTH_MAX);
        path.push(leaf);
        if self.extend(&mut path) { Ok(path.into_iter().cloned().collect()) } else { Err(self.failure) }
    }

    /// Completes `path` to an anchor; on `false` it is as it was and `failure` tells why.
    fn extend(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let last = path[path.len() - 1];
        let store = self.store;
        for anchor in store.anchors(self.kind).filter(|anchor| anchor.subject() == last.issuer()) {
            if self.signed(last, anchor) {
                path.push(anchor);
                match (self.check)(path) {
                    Ok(()) => return true,
                    Err(error) => self.note(error),
                }
                path.pop();
            }
        }
        // A self-issued certificate among the intermediates is a root, and roots come from the store.
        let issuers =
            self.intermediates.iter().filter(|c| c.subject() == last.issuer() && !c.is_self_issued());
        for issuer in issuers {
            if path.contains(&issuer) {
                continue;
            }
            if path.len() + 2 > DEPTH_MAX {
                self.note(PathError::Untrusted(UntrustedReason::Limit));
                continue;
            }
            if self.signed(last, issuer) {
                path.push(issuer);
                if self.extend(path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }

    fn signed(&mut self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let refused = if self.signatures_left == 0 {
            UntrustedReason::Limit
        } else if !issuer.public_key().is_strong() {
            UntrustedReason::WeakKey
        } else {
            self.signatures_left -= 1;
            let verify = || certificate.verify_signed_by(issuer.public_key()).is_ok();
            if self.store.memo().is_signed(certificate.sha256(), issuer, verify) {
                return true;
            }
            UntrustedReason::Signature
        };
        self.note(PathError::Untrusted(refused));
        false
    }

    /// Keeps the failure that came furthest: a whole path's over a broken chain's, the first of its rank.
    fn note(&mut self, error: PathError) {
        let rank = |error: &PathError| match error {
            PathError::Untrusted(UntrustedReason::UnknownIssuer) => 0,
            PathError::Untrusted(_) => 1,
            _ => 2,
        };
        if rank(&error) > rank(&self.failure) {
            self.failure = error;
        }
    }
}

/// Extensions and constraints along the path, which has at least an end entity and an anchor.
fn path_check(path: &[&Certificate]) -> Result<(), PathError> {
    let broken = |violation| Err(PathError::Constraints(violation));
    let authority = |c: &Certificate| c.basic_constraints().is_some_and(|b| b.authority);
    let (anchor, below) = (path[path.len() - 1], &path[..path.len() - 1]);
    if let Some(unknown) = below.iter().find_map(|c| c.unknown_critical_extensions().first()) {
        return Err(PathError::CriticalExtension(*unknown));
    }
    if path.iter().any(|c| c.is_name_constrained()) {
        return broken(ConstraintViolation::NameConstraints);
    }
    if authority(below[0]) {
        return broken(ConstraintViolation::EndEntityIsAuthority);
    }
    for issuer in &below[1..] {
        if !authority(issuer) || !issuer.key_usage().is_some_and(|usage| usage.value.key_cert_sign()) {
            return broken(ConstraintViolation::NotAuthority);
        }
    }
    if anchor.basic_constraints().is_some_and(|b| !b.authority)
        || anchor.key_usage().is_some_and(|usage| !usage.value.key_cert_sign())
    {
        return broken(ConstraintViolation::NotAuthority);
    }
    for (index, issuer) in path.iter().enumerate().skip(1) {
        // RFC 5280 4.2.1.9: the end entity is not counted, nor are self-issued authorities.
        let authorities_below = path[1..index].iter().filter(|c| !c.is_self_issued()).count();
        let allowed = issuer.basic_constraints().and_then(|b| b.path_length);
        if allowed.is_some_and(|allowed| authorities_below > usize::from(allowed)) {
            return broken(ConstraintViolation::PathLength);
        }
    }
    Ok(())
}

fn usage_check(purpose: Purpose, leaf: &Certificate) -> Result<(), PathError> {
    let usage = leaf.key_usage();
    let extended = leaf.extended_key_usage();
    let extended_allows = |accepted: &[ObjectIdentifier]| {
        extended.is_none_or(|e| e.value.iter().any(|id| accepted.contains(id)))
    };
    let fits = match purpose {
        Purpose::SignDocument => {
            usage.is_some_and(|u| u.critical && u.value.non_repudiation())
                && extended_allows(&[
                    oid::ANY_EXTENDED_KEY_USAGE,
                    oid::ID_KP_EMAIL_PROTECTION,
                    DOCUMENT_SIGNING,
                ])
        }
        Purpose::Authenticate => {
            usage.is_some_and(|u| u.value.digital_signature() || u.value.non_repudiation())
                && extended_allows(&[oid::ANY_EXTENDED_KEY_USAGE, oid::ID_KP_CLIENT_AUTH])
        }
        Purpose::Timestamp => {
            usage.is_none_or(|u| u.value.digital_signature() || u.value.non_repudiation())
                && extended.is_some_and(|e| e.critical && e.value == [oid::ID_KP_TIME_STAMPING])
        }
    };
    if fits { Ok(()) } else { Err(PathError::KeyUsage) }
}

fn validity_check(path: &[&Certificate], at: DateTime<Utc>) -> Result<(), PathError> {
    for certificate in path {
        if at < certificate.not_before() {
            return Err(PathError::NotYetValid { from: certificate.not_before() });
        }
        if at > certificate.not_after() {
            return Err(PathError::Expired { until: certificate.not_after() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

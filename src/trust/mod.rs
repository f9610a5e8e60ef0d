//! Certificates, their paths and revocation, and what their keys have signed. Knows no HTTP, no SQL and no
//! prescription: it answers whose key made a signature and whether that key was to be trusted at an instant.
//! XML signatures are read by [`xml`], canonicalised by [`c14n`], verified and made by [`xades`]; JSON Web
//! Signatures are read by [`jose`], those on documents verified and made by [`jws`]; a [`verdict`] says what was
//! found.
//!
//! Path validation is our own, because HPKI marks `certificatePolicies` critical, which validators made for the
//! web refuse. The subset of RFC 5280 section 6 that is done is stated in [`path`].

mod bounds;
mod memo;
mod pem;

pub mod anchors;
pub mod assertion;
pub mod c14n;
pub mod certificate;
pub mod extension;
pub mod issuance;
pub mod jose;
pub mod jws;
pub mod key;
pub mod name;
pub mod path;
pub mod profile;
pub mod public_key;
pub mod revocation;
pub mod role;
mod signer;
mod timestamp;
pub mod verdict;
pub mod xades;
pub mod xml;

#[cfg(test)]
pub(crate) mod test_pki;
#[cfg(test)]
pub(crate) mod test_stamp;

pub use anchors::{AnchorKind, TrustPolicy, TrustStore, TrustStoreError};
pub use assertion::{Assertion, AssertionError, VerifiedAssertion};
pub use certificate::{Certificate, CertificateError};
pub use jose::Algorithm;
pub use key::{SigningKey, SigningKeyError};
pub use path::{PathError, Purpose, ValidPath};
pub use public_key::{PublicKey, SignatureScheme};
pub use revocation::{Crl, CrlError, RevocationReason};
pub use role::HcRole;

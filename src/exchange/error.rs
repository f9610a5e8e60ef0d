//! Why an act did not happen. Free of transport: `http` turns each variant into status, code and words.

use std::time::Duration;

use crate::codec::fault::Fault;
use crate::prescription::disclosure::Disclosure;
use crate::prescription::state::Refusal;
use crate::store::StoreError;
use crate::store::finding::FindingRow;
use crate::trust::verdict::VerdictFailure;

/// The outcome of an act that was refused or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The document breaks rules of its format. All of them.
    #[error("the document is not valid")]
    Document(Vec<Fault>),
    /// The document's signature, certificate or signer is refused.
    #[error("the signature is refused")]
    Signature {
        /// Where the signature stands in the envelope.
        place: String,
        /// The first check that failed.
        failure: VerdictFailure,
    },
    /// The dispensing answers another prescription, patient or pharmacy.
    #[error("the dispensing document does not belong to this act")]
    DocumentMismatch(Vec<Fault>),
    /// The same document is already registered.
    #[error("this document is already registered")]
    DuplicateDocument,
    /// The identity data match nobody, or not one person only. Never says which.
    #[error("identity not verified")]
    IdentityNotVerified,
    /// No `Identity-Token`, or not one this facility may use now.
    #[error("no valid identity token")]
    IdentityTokenInvalid,
    /// The verified patient has no prescription of that number.
    #[error("no such exchange number for this patient")]
    ExchangeNumberUnknown,
    /// The act is not for this kind of caller.
    #[error("not permitted: {0}")]
    NotPermitted(&'static str),
    /// The person at the terminal has no profession that may do the act.
    #[error("the role of the person at the terminal does not fit the act")]
    RoleMismatch,
    /// Nobody can say whether a card is revoked.
    #[error("no current revocation list is at hand")]
    RevocationUnavailable,
    /// Needs a consent that was not given, or is none any more.
    #[error("consent required")]
    ConsentRequired,
    /// No such thing, or not for this caller to see.
    #[error("not found")]
    NotFound,
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// `If-Match` names another version.
    #[error("the version has changed")]
    VersionMismatch,
    /// The key was used with another request.
    #[error("idempotency key reused")]
    IdempotencyKeyReused,
    /// Findings wait for a reason; with what may be shown of their other side.
    #[error("findings are unresolved")]
    CheckUnresolved(Vec<FindingRow>, Disclosure),
    /// The finding has been answered for otherwise, and its document is registered.
    #[error("the finding is answered for")]
    FindingAnswered,
    /// Too many failed attempts by this facility.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The patient has too many entries of the kind.
    #[error("no room for more entries")]
    ReportedFull,
    /// The answer cannot be made in the form asked for.
    #[error("not available: {0}")]
    NotAvailable(&'static str),
    /// The server's own fault, already logged where it arose.
    #[error("internal: {0}")]
    Internal(&'static str),
}

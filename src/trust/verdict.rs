//! What verifying a signed document found: one check after another, passed, failed or not applicable, and why. Knows
//! no format; a reader of JSON and a reader of text get the same.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::path::PathError;
use super::{Certificate, HcRole};

/// The stable code of a refusal, as the contract's error table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The signature is not built as it must be.
    DocumentInvalid,
    /// The signature value does not verify, or does not belong to the certificate.
    SignatureInvalid,
    /// The signature verifies, but over something else.
    SignatureMismatch,
    /// No anchor vouches for the certificate, or not for this use.
    CertificateUntrusted,
    /// The certificate was not valid at the time.
    CertificateExpired,
    /// The certificate was revoked by then.
    CertificateRevoked,
    /// The signer's role does not allow this document.
    SignerRole,
    /// No current revocation list is at hand.
    RevocationUnavailable,
}

impl Refusal {
    /// The code as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DocumentInvalid => "document-invalid",
            Self::SignatureInvalid => "signature-invalid",
            Self::SignatureMismatch => "signature-mismatch",
            Self::CertificateUntrusted => "certificate-untrusted",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateRevoked => "certificate-revoked",
            Self::SignerRole => "signer-role",
            Self::RevocationUnavailable => "revocation-unavailable",
        }
    }
}

impl From<&PathError> for Refusal {
    fn from(error: &PathError) -> Self {
        match error {
            PathError::NotYetValid { .. } | PathError::Expired { .. } => Self::CertificateExpired,
            PathError::Revoked(_) => Self::CertificateRevoked,
            PathError::RevocationUnavailable => Self::RevocationUnavailable,
            PathError::Untrusted(_)
            | PathError::KeyUsage
            | PathError::Policy
            | PathError::CriticalExtension(_)
            | PathError::Constraints(_) => Self::CertificateUntrusted,
        }
    }
}

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// The signature has all its parts, in pinned algorithms, and stands at its place.
    Structure,
    /// The signature value, over the canonical `SignedInfo`.
    SignatureValue,
    /// One reference: the digest of what it names.
    Reference,
    /// The signed properties name the certificate in the key information.
    SigningCertificate,
    /// 署名タイムスタンプ, over the signature value.
    SignatureTimestamp,
    /// The certificate may sign documents (否認防止).
    KeyUsage,
    /// 保健医療福祉分野の資格, the signer's role.
    Role,
    /// 認証パス, from the certificate to an anchor.
    Path,
    /// 失効, of every certificate on the path.
    Revocation,
    /// アーカイブタイムスタンプ, over everything.
    ArchiveTimestamp,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Good.
    Passed,
    /// Not good.
    Failed {
        /// The code of the refusal.
        code: Refusal,
        /// Why, for people; nothing personal.
        reason: String,
    },
    /// There was nothing to check, or an earlier failure left nothing.
    NotApplicable {
        /// Why not.
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn failed(code: Refusal, reason: impl Into<String>) -> Self {
        Self::Failed { code, reason: reason.into() }
    }

    pub(crate) fn not_applicable(reason: impl Into<String>) -> Self {
        Self::NotApplicable { reason: reason.into() }
    }
}

/// One check and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which check.
    pub check: CheckName,
    /// What it was about, where there are several: the URI of a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How far a signature carries its own proof (署名レベル, ETSI TS 101 903).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// ES-BES: the signature alone.
    Bes,
    /// ES-T: with a time stamp on the signature.
    T,
    /// ES-XL: with the certificates and revocation lists to verify it.
    Xl,
    /// ES-A: with a time stamp on all of that.
    A,
}

impl Level {
    /// The level's usual name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bes => "BES",
            Self::T => "T",
            Self::Xl => "XL",
            Self::A => "A",
        }
    }
}

/// The signer's certificate, serialised as what a reader wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer(pub Certificate);

impl Serialize for Signer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let roles: Vec<_> = self.0.hc_roles().iter().map(HcRole::as_str).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.0.subject().common_name())?;
        map.serialize_entry("kanji_name", &self.0.kanji_name())?;
        map.serialize_entry("registration_number", &self.0.subject().serial_number())?;
        map.serialize_entry("roles", &roles)?;
        map.serialize_entry("issuer", &self.0.issuer().common_name())?;
        map.serialize_entry("serial", &hex(self.0.serial()))?;
        map.serialize_entry("not_before", &self.0.not_before())?;
        map.serialize_entry("not_after", &self.0.not_after())?;
        map.serialize_entry("sha256", &hex(&self.0.sha256()))?;
        map.end()
    }
}

/// Everything that verifying one signature found. Serialised with one more member, `valid`, before the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The checks in their order.
    pub checks: Vec<Check>,
    /// The level reached by what passed; `None` when the signature itself does not hold.
    pub level: Option<Level>,
    /// Whose certificate the signature came with, trusted or not.
    pub signer: Option<Signer>,
    /// When the signer says to have signed.
    pub signing_time: Option<DateTime<Utc>>,
    /// The instant at which certificates were judged: that of the signature's time stamp, else the one asked for.
    pub base_time: DateTime<Utc>,
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut object = serializer.serialize_struct("Verdict", 6)?;
        object.serialize_field("valid", &self.is_valid())?;
        object.serialize_field("level", &self.level)?;
        object.serialize_field("signer", &self.signer)?;
        object.serialize_field("signing_time", &self.signing_time)?;
        object.serialize_field("base_time", &self.base_time)?;
        object.serialize_field("checks", &self.checks)?;
        object.end()
    }
}

/// A signature that holds, with what the rest of the program needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The signer's certificate, with its roles.
    pub certificate: Certificate,
    /// When the signer says to have signed.
    pub signing_time: Option<DateTime<Utc>>,
    /// The level reached.
    pub level: Level,
    /// The instant at which certificates were judged.
    pub base_time: DateTime<Utc>,
}

/// A signature that does not hold: the first failure in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", code.as_str())]
pub struct VerdictFailure {
    /// The stable code.
    pub code: Refusal,
    /// Why, for people; nothing personal.
    pub reason: String,
}

impl Verdict {
    /// Whether no check failed.
    pub fn is_valid(&self) -> bool {
        self.outcome().is_ok()
    }

    /// The answer in one: who signed, or the one code that says why not.
    ///
    /// # Errors
    /// [`VerdictFailure`] when any check failed.
    pub fn outcome(&self) -> Result<Verified, VerdictFailure> {
        for check in &self.checks {
            if let Outcome::Failed { code, reason } = &check.outcome {
                return Err(VerdictFailure { code: *code, reason: reason.clone() });
            }
        }
        match (&self.signer, self.level) {
            (Some(signer), Some(level)) => Ok(Verified {
                certificate: signer.0.clone(),
                signing_time: self.signing_time,
                level,
                base_time: self.base_time,
            }),
            _ => Err(VerdictFailure {
                code: Refusal::DocumentInvalid,
                reason: "there is no signature".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.check {
            CheckName::Structure => "structure",
            CheckName::SignatureValue => "signature value",
            CheckName::Reference => "reference",
            CheckName::SigningCertificate => "signing certificate",
            CheckName::SignatureTimestamp => "signature time stamp",
            CheckName::KeyUsage => "key usage",
            CheckName::Role => "role",
            CheckName::Path => "path",
            CheckName::Revocation => "revocation",
            CheckName::ArchiveTimestamp => "archive time stamp",
        };
        let name = self.subject.as_ref().map_or(name.to_owned(), |subject| format!("{name} {subject}"));
        match &self.outcome {
            Outcome::Passed => write!(f, "passed          {name}"),
            Outcome::Failed { code, reason } => {
                write!(f, "FAILED          {name}: {} ({reason})", code.as_str())
            }
            Outcome::NotApplicable { reason } => write!(f, "not applicable  {name}: {reason}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        if let Some(signer) = &self.signer {
            let certificate = &signer.0;
            let name = certificate.kanji_name().or(certificate.subject().common_name()).unwrap_or("unnamed");
            let roles: Vec<_> = certificate.hc_roles().iter().map(HcRole::as_str).collect();
            writeln!(f, "signer          {name} ({})", roles.join(", "))?;
        }
        if let Some(time) = self.signing_time {
            writeln!(f, "signed          {time} (the signer's claim)")?;
        }
        writeln!(f, "judged at       {}", self.base_time)?;
        writeln!(f, "level           {}", self.level.map_or("none", Level::as_str))?;
        write!(f, "{}", if self.is_valid() { "valid" } else { "not valid" })
    }
}

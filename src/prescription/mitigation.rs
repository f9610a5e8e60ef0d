//! Going on in spite of a finding: a coded reason that is kept and shown to the next reader.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::identifier::{IdentifierError, InstitutionCode};

/// The longest comment, in characters (投与理由, 300).
pub const COMMENT_LENGTH: usize = 300;

/// HL7 v3 `ActDetectedIssueManagementCode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ManagementCode(u8);

/// The leaf and grouping codes of the value set with their names.
const CODES: [(&str, &str); 23] = [
    ("1", "Therapy Appropriate"),
    ("2", "Assessed Patient"),
    ("3", "Patient Explanation"),
    ("4", "Consulted Other Source"),
    ("5", "Consulted Prescriber"),
    ("6", "Prescriber Declined Change"),
    ("7", "Interacting Therapy No Longer Active/Planned"),
    ("8", "Other Action Taken"),
    ("9", "Instituted Ongoing Monitoring Program"),
    ("10", "Provided Patient Education"),
    ("11", "Added Concurrent Therapy"),
    ("12", "Temporarily Suspended Concurrent Therapy"),
    ("13", "Stopped Concurrent Therapy"),
    ("14", "Supply Appropriate"),
    ("15", "Replacement"),
    ("16", "Vacation Supply"),
    ("17", "Weekend Supply"),
    ("18", "Leave of Absence"),
    ("19", "Consulted Supplier"),
    ("20", "additional quantity on separate dispense"),
    ("21", "authorization confirmed"),
    ("22", "appropriate indication or diagnosis"),
    ("23", "prior therapy documented"),
];

impl ManagementCode {
    /// The code as the value set writes it.
    pub fn as_str(&self) -> &'static str {
        CODES[usize::from(self.0)].0
    }

    /// Its name in the value set.
    pub fn display(&self) -> &'static str {
        CODES[usize::from(self.0)].1
    }

    /// Every code.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(CODES.len())
    }
}

impl TryFrom<String> for ManagementCode {
    type Error = IdentifierError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        CODES
            .iter()
            .position(|(code, _)| *code == text)
            .and_then(|index| u8::try_from(index).ok())
            .map(Self)
            .ok_or(IdentifierError("a code of ActDetectedIssueManagementCode, 1 to 23"))
    }
}

impl From<ManagementCode> for String {
    fn from(code: ManagementCode) -> Self {
        code.as_str().to_owned()
    }
}

/// Who went on, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mitigation {
    /// The coded reason.
    pub code: ManagementCode,
    /// 投与理由, in words.
    pub comment: Option<String>,
    /// The facility that gave it.
    pub facility: InstitutionCode,
    /// When.
    pub at: DateTime<Utc>,
}

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

/// The leaf and grouping codes of the value set, 1 (therapy appropriate) to 23 (prior therapy documented).
const CODES: [&str; 23] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
    "20", "21", "22", "23",
];

impl ManagementCode {
    /// The code as the value set writes it.
    pub fn as_str(&self) -> &'static str {
        CODES[usize::from(self.0)]
    }
}

impl TryFrom<String> for ManagementCode {
    type Error = IdentifierError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        CODES
            .iter()
            .position(|code| *code == text)
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

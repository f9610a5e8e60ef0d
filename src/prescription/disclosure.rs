//! What of a finding's other side is shown. Knows neither who asks nor how the finding is rendered.

use super::consent::Opening;

/// How much of the other side of a finding (相手薬) is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Without consent: that there is a finding, of what kind, and which of one's own lines it concerns.
    Withheld,
    /// Also what is on the other side and where, by this consent.
    Opened(Opening),
}

impl Disclosure {
    /// Whether the other side is shown.
    pub const fn opens(self) -> bool {
        matches!(self, Self::Opened(_))
    }

    /// What opened it, for the access record.
    pub const fn opening(self) -> Option<Opening> {
        match self {
            Self::Withheld => None,
            Self::Opened(opening) => Some(opening),
        }
    }
}

impl From<Option<Opening>> for Disclosure {
    fn from(opening: Option<Opening>) -> Self {
        opening.map_or(Self::Withheld, Self::Opened)
    }
}

//! Mandates (委任): that one person may act for another, how far and until when. Knows no login and no wire format.

use serde::{Deserialize, Serialize};

/// What a representative (代理人) is to the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relationship {
    /// 親権者
    Parent,
    /// 後見人
    Guardian,
    /// 家族
    Family,
    /// 介護者, or anybody else the patient trusts.
    Carer,
}

/// How far a mandate goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MandateScope {
    /// To see what the patient sees.
    Read,
    /// Also to consent and refuse, to report allergies and medicines, and to end an app's access. Not to give mandates.
    Manage,
}

impl Relationship {
    /// Every relationship.
    pub const ALL: [Self; 4] = [Self::Parent, Self::Guardian, Self::Family, Self::Carer];

    /// Its word on the command line and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Guardian => "guardian",
            Self::Family => "family",
            Self::Carer => "carer",
        }
    }

    /// The relationship of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relationship| relationship.as_str() == text)
    }
}

impl MandateScope {
    /// Both scopes.
    pub const ALL: [Self; 2] = [Self::Read, Self::Manage];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }

    /// The scope of a word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

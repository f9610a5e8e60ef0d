//! What a patient can let an app read: scopes as SMART App Launch writes them (2.2 scopes-and-launch-context).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of record that apps can be allowed to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Readable {
    /// アレルギー.
    AllergyIntolerance,
    /// 調剤.
    MedicationDispense,
    /// 処方.
    MedicationRequest,
    /// 自己申告の服薬.
    MedicationStatement,
}

impl Readable {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::AllergyIntolerance,
        Self::MedicationDispense,
        Self::MedicationRequest,
        Self::MedicationStatement,
    ];

    /// The name of the FHIR resource.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::AllergyIntolerance => "AllergyIntolerance",
            Self::MedicationDispense => "MedicationDispense",
            Self::MedicationRequest => "MedicationRequest",
            Self::MedicationStatement => "MedicationStatement",
        }
    }

    /// What the consent screen calls it, in Japanese and English.
    pub const fn spoken(self) -> (&'static str, &'static str) {
        match self {
            Self::AllergyIntolerance => ("アレルギーの記録", "recorded allergies"),
            Self::MedicationDispense => ("薬局で受け取ったお薬", "medicines you were given by pharmacies"),
            Self::MedicationRequest => ("処方されたお薬", "medicines you were prescribed"),
            Self::MedicationStatement => ("ご自分で記録したお薬", "medicines you recorded yourself"),
        }
    }
}

/// A set of scopes, never wider than asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// What may be read.
    pub reads: BTreeSet<Readable>,
    /// `offline_access`: the app may renew its access while the patient is away.
    pub offline: bool,
}

/// The text asks for nothing, or for something no app can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ask for patient/*.read, patient/RESOURCE.read, launch/patient and offline_access, and at least one to read"
)]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut scope = Self { reads: BTreeSet::new(), offline: false };
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            match part {
                "offline_access" => scope.offline = true,
                "launch/patient" => {}
                _ => {
                    let rest = part.strip_prefix("patient/").and_then(|rest| rest.split_once('.'));
                    let Some((resource, "read" | "r" | "s" | "rs")) = rest else {
                        return Err(ScopeError);
                    };
                    let named: Vec<Readable> = Readable::ALL
                        .into_iter()
                        .filter(|readable| resource == "*" || resource == readable.resource())
                        .collect();
                    if named.is_empty() {
                        return Err(ScopeError);
                    }
                    scope.reads.extend(named);
                }
            }
        }
        if scope.reads.is_empty() { Err(ScopeError) } else { Ok(scope) }
    }
}

/// As it was granted: each resource by name.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("launch/patient")?;
        for readable in &self.reads {
            write!(f, " patient/{}.read", readable.resource())?;
        }
        if self.offline { f.write_str(" offline_access") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_read_and_written_as_granted() {
        let all: Scope = "launch/patient patient/*.read offline_access".parse().unwrap();
        assert_eq!(all.reads.len(), Readable::ALL.len());
        assert!(all.offline);
        assert_eq!(all.to_string().parse(), Ok(all));
        let one: Scope = "patient/MedicationRequest.rs".parse().unwrap();
        assert_eq!(one.reads, BTreeSet::from([Readable::MedicationRequest]));
        assert!(!one.offline);
    }

    #[test]
    fn what_no_app_can_have_is_refused() {
        for foreign in [
            "",
            "offline_access",
            "user/*.read",
            "system/*.read",
            "patient/*.write",
            "patient/*.*",
            "patient/*.cruds",
            "patient/Task.read",
            "patient/*.read openid",
            "patient/.read",
            "patient/MedicationRequest",
        ] {
            assert_eq!(foreign.parse::<Scope>(), Err(ScopeError), "{foreign}");
        }
    }
}

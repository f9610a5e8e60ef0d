//! チェックの方針: what an operator decides about findings. Decides nothing about what is a duplicate.

use serde::{Deserialize, Serialize};

use super::finding::Severity;

/// 自院分の扱い: what becomes of a duplicate with the prescribing institution's own earlier prescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SameInstitution {
    /// Reported like any other.
    Report,
    /// Reported with [`Severity::Low`].
    Information,
    /// Left out, as the national service does unless asked.
    Silent,
}

/// The operator's policy, a table of the configuration file; what is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Duplicates within one institution.
    pub same_institution: SameInstitution,
    /// 残日数の許容: a later supply may begin this many days before the earlier one ends.
    pub tolerance_days: u16,
    /// The lowest severity that must be mitigated before registering.
    pub mitigation_from: Severity,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            same_institution: SameInstitution::Information,
            tolerance_days: 0,
            mitigation_from: Severity::Moderate,
        }
    }
}

impl Policy {
    /// Whether a finding of this severity stands in the way until somebody answers for it.
    pub fn needs_mitigation(&self, severity: Severity) -> bool {
        severity >= self.mitigation_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_from_configuration() {
        let policy: Policy =
            toml::from_str("same_institution = \"report\"\nmitigation_from = \"high\"").unwrap();
        assert_eq!(policy.same_institution, SameInstitution::Report);
        assert_eq!(policy.tolerance_days, 0);
        assert!(policy.needs_mitigation(Severity::High) && !policy.needs_mitigation(Severity::Moderate));
        assert!(toml::from_str::<Policy>("tolerance = 3").is_err());
        assert!(toml::from_str::<Policy>("tolerance_days = -1").is_err());
    }
}

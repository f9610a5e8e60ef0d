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
    /// Duplicates within one institution. Default information.
    pub same_institution: SameInstitution,
    /// 残日数の許容: a later supply may begin this many days before the earlier one ends. Default 0. Concerns
    /// duplicates only.
    pub tolerance_days: u16,
    /// The lowest severity that must be mitigated before registering. Default moderate: duplicates with other
    /// institutions, contraindications and allergies; not what is for information.
    pub mitigation_from: Severity,
    /// 同効薬: whether another medicine of the same therapeutic class is told, with [`Severity::Low`]. Default no,
    /// as the national service does.
    pub therapeutic_class: bool,
    /// Days looked back: what ended earlier before the first day of a line is not compared with it, whatever
    /// washout a rule names. Default 100, as long as the national service shows a history. Allergies never end.
    pub look_back_days: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            same_institution: SameInstitution::Information,
            tolerance_days: 0,
            mitigation_from: Severity::Moderate,
            therapeutic_class: false,
            look_back_days: 100,
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
        let policy: Policy = toml::from_str(
            "same_institution = \"report\"\nmitigation_from = \"high\"\ntherapeutic_class = true\nlook_back_days = 30",
        )
        .unwrap();
        assert!(policy.therapeutic_class && policy.look_back_days == 30);
        assert_eq!(policy.same_institution, SameInstitution::Report);
        assert_eq!(policy.tolerance_days, 0);
        assert!(policy.needs_mitigation(Severity::High) && !policy.needs_mitigation(Severity::Moderate));
        assert!(toml::from_str::<Policy>("tolerance = 3").is_err());
        assert!(toml::from_str::<Policy>("tolerance_days = -1").is_err());
        let written = toml::to_string(&Policy::default()).unwrap();
        assert_eq!(toml::from_str::<Policy>(&written).unwrap(), Policy::default());
        assert_eq!(toml::from_str::<Policy>("").unwrap(), Policy::default());
    }
}

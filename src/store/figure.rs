//! Figures of the checker (アラート疲労の指標): per rule how often it spoke, was answered for, and led to a change. Counts only; no
//! patient, no medicine but what the rule itself names.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::pool::{Store, StoreError};

/// How long after it was first shown a finding without a document counts as pending.
pub const SETTLED: TimeDelta = TimeDelta::days(7);

/// What is known of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleFigures {
    /// Kind of finding.
    pub kind: String,
    /// The rule.
    pub rule: String,
    /// Its severity.
    pub severity: String,
    /// Findings shown; once for each facility.
    pub shown: i64,
    /// Of these, with a reason in force, by code of `ActDetectedIssueManagementCode`.
    pub mitigated: BTreeMap<String, i64>,
    /// Of those shown, a document was registered or dispensed in spite of them.
    pub registered: i64,
    /// Of those shown, led to a change: no document was registered or dispensed with them within [`SETTLED`].
    pub changed: i64,
    /// Of those shown, neither yet.
    pub pending: i64,
}

impl Store {
    /// The figures of every rule that ever spoke, the most frequent first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn figures_read(&self, now: DateTime<Utc>) -> Result<Vec<RuleFigures>, StoreError> {
        const SQL: &str = "-- figures-read
            SELECT kind, severity, rule_hash, management_code, count(*) AS shown,
                   count(prescription_id) AS registered,
                   count(*) FILTER (WHERE prescription_id IS NULL AND found_at <= $1) AS changed
            FROM finding WHERE kind IS NOT NULL
            GROUP BY kind, severity, rule_hash, management_code";
        let rows = self.one("figures-read", SQL, &[&(now - SETTLED)]).await?;
        let mut figures: BTreeMap<(String, String, Vec<u8>), RuleFigures> = BTreeMap::new();
        for row in &rows {
            let key: (String, String, Vec<u8>) = (row.get("kind"), row.get("severity"), row.get("rule_hash"));
            let known = figures.entry(key).or_insert_with_key(|(kind, severity, _)| RuleFigures {
                kind: kind.clone(),
                rule: String::new(),
                severity: severity.clone(),
                shown: 0,
                mitigated: BTreeMap::new(),
                registered: 0,
                changed: 0,
                pending: 0,
            });
            let (shown, registered, changed): (i64, i64, i64) =
                (row.get("shown"), row.get("registered"), row.get("changed"));
            known.shown += shown;
            known.registered += registered;
            known.changed += changed;
            known.pending += shown - registered - changed;
            if let Some(code) = row.get::<_, Option<String>>("management_code") {
                *known.mitigated.entry(code).or_default() += shown;
            }
        }
        let mut named = Vec::new();
        for ((_, _, hash), mut known) in figures {
            known.rule = self.rule_name(&hash).await?;
            named.push(known);
        }
        named.sort_by(|a, b| (b.shown, &a.kind, &a.rule).cmp(&(a.shown, &b.kind, &b.rule)));
        Ok(named)
    }

    /// The rule a hash stands for, as any finding of it says.
    async fn rule_name(&self, hash: &[u8]) -> Result<String, StoreError> {
        const SQL: &str = "-- rule-name
            SELECT id, patient_id, sealed, mitigation FROM finding WHERE rule_hash = $1 LIMIT 1";
        match self.one_opt("rule-name", SQL, &[&hash]).await? {
            Some(row) => Ok(self.finding_read(&row)?.finding.rule),
            None => Ok(String::new()),
        }
    }

    pub(super) fn rule_hash(&self, rule: &str) -> Vec<u8> {
        self.lookup().hash("rule", &[rule]).to_vec()
    }
}

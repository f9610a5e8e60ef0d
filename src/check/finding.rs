//! What a check says: findings with stable ids, and what it could not see. Findings hold personal data; who may
//! read which side is decided elsewhere.

use ring::digest;
use serde::{Deserialize, Serialize};

use super::period::Interval;
use super::subject::Source;
use crate::prescription::identifier::{DrugCode, InstitutionCode};

/// 種別 of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// 重複投薬: the same ingredient by the same route in overlapping periods.
    DuplicateIngredient,
    /// 併用禁忌: two medicines that a package insert forbids together.
    Contraindication,
    /// アレルギー: an ingredient the patient is recorded not to tolerate.
    Allergy,
    /// 同効薬: another medicine of the same therapeutic class (薬効分類) by the same route in overlapping periods.
    DuplicateClass,
}

impl FindingKind {
    /// The name used on the wire and in ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateIngredient => "duplicate-ingredient",
            Self::Contraindication => "contraindication",
            Self::Allergy => "allergy",
            Self::DuplicateClass => "duplicate-class",
        }
    }
}

/// 重大度, from low to high; the three of FHIR's `DetectedIssue.severity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For information.
    Low,
    /// To be answered for.
    Moderate,
    /// Harm is to be expected.
    High,
}

impl Severity {
    /// The FHIR code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
        }
    }
}

/// One's own side of a finding: the lines of the checked document that name the same product for the same days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSide {
    /// The places of the lines, in the order of the document; at least one.
    pub places: Vec<String>,
    /// RP番号 of the first.
    pub rp: u16,
    /// Its number in the group.
    pub line: u16,
    /// Its drug code.
    pub code: Option<DrugCode>,
    /// Its drug name as written.
    pub name: String,
    /// Its period.
    pub interval: Interval,
}

/// The other side of a finding, which is shown only with consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherSide {
    /// What it rests on.
    pub source: Source,
    /// The id of the prescription or dispensing.
    pub document: String,
    /// Its drug code.
    pub code: Option<DrugCode>,
    /// Its drug name as written.
    pub name: String,
    /// Its period.
    pub interval: Interval,
    /// The institution that prescribed or recorded it, where it was one that has a code.
    pub institution: Option<InstitutionCode>,
    /// Its name, or who else it was.
    pub institution_name: String,
}

/// What a rule's table says beside the pair; texts for people, empty where the table says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleText {
    /// 臨床症状: what is to be expected.
    pub consequence: String,
    /// 条件 under which the rule holds. Whether it holds is for the reader to judge.
    pub condition: String,
    /// 休薬期間.
    pub washout: String,
    /// How sure the row is: `A`, `B` or `C`.
    pub confidence: String,
}

/// One hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// 32 lower-case hexadecimal digits that depend on the rule, both products, the other document and the shared
    /// days only: the check before signing and the one that counts give the same.
    pub id: String,
    /// 種別.
    pub kind: FindingKind,
    /// 重大度.
    pub severity: Severity,
    /// The rule that spoke.
    pub rule: String,
    /// One's own side.
    pub candidate: LineSide,
    /// The other side.
    pub other: OtherSide,
    /// Whether both come from one institution (自院).
    pub same_institution: bool,
    /// Names of the ingredients concerned, sorted.
    pub ingredients: Vec<String>,
    /// The days concerned; days of washout included. Of an allergy, those of the candidate.
    pub overlap: Interval,
    /// What the table says of a contraindication; nothing for a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<RuleText>,
    /// The formulary that judged.
    pub formulary_version: String,
}

/// Why a line could not be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UncheckedReason {
    /// The document gives no code, or the dummy that stands for none.
    NoCode,
    /// The formulary does not know the code.
    UnknownCode,
    /// A material, not a medicine.
    Material,
    /// A medicine outside insurance.
    NonInsured,
    /// The formulary knows no product with the ingredient.
    UnknownIngredient,
}

impl UncheckedReason {
    /// The name used on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCode => "no-code",
            Self::UnknownCode => "unknown-code",
            Self::Material => "material",
            Self::NonInsured => "non-insured",
            Self::UnknownIngredient => "unknown-ingredient",
        }
    }
}

/// One line that was not checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unchecked {
    /// The place of a candidate line, or the document id of a history line.
    pub place: String,
    /// Why.
    pub reason: UncheckedReason,
}

/// What the check could not see. "Nothing found" means little while this is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Lines of the checked document, sorted by place.
    pub lines: Vec<Unchecked>,
    /// Lines of the history, sorted by document.
    pub history: Vec<Unchecked>,
}

impl Coverage {
    /// Whether every line on both sides was checked.
    pub fn is_complete(&self) -> bool {
        self.lines.is_empty() && self.history.is_empty()
    }

    pub(super) fn sort(&mut self) {
        self.lines.sort();
        self.history.sort();
    }
}

/// The answer of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The hits: the gravest first, then in the order of the document.
    pub findings: Vec<Finding>,
    /// What was not seen.
    pub coverage: Coverage,
    /// The formulary that judged, also when it found nothing.
    pub formulary_version: String,
}

/// The id of a finding. `sides` are taken in either order.
pub(super) fn finding_id(rule: &str, mut sides: [String; 2], overlap: Interval) -> String {
    sides.sort();
    let [a, b] = sides;
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [rule, &a, &b, &overlap.start.to_string(), &overlap.end.to_string()] {
        // Length first, so that no two lists of parts run together to the same bytes.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let digest = context.finish();
    let mut first = [0; 16];
    first.copy_from_slice(&digest.as_ref()[..16]);
    format!("{:032x}", u128::from_be_bytes(first))
}

//! What a check could not see (確認できなかった行), as an `OperationOutcome` of information. "Nothing found" with
//! unseen lines is said as such.

use serde_json::{Value, json};

use super::HIKIKAE;
use crate::check::{Coverage, UncheckedReason};

/// The resource. Lines of the checked document are named by their places; lines of the history are not named, for
/// they are of other documents.
pub fn coverage(coverage: &Coverage) -> Value {
    let lines = coverage.lines.iter().map(|line| {
        let text = format!("この行は確認できませんでした。This line was not checked: {}", words(line.reason));
        issue("incomplete", line.reason.as_str(), Some(&line.place), &text)
    });
    let history = coverage.history.iter().map(|line| {
        let text = format!(
            "患者の履歴に確認できない薬があります。A medicine of the patient's history was not compared: {}",
            words(line.reason)
        );
        issue("incomplete", &format!("history-{}", line.reason.as_str()), None, &text)
    });
    let mut issues: Vec<Value> = lines.chain(history).collect();
    if issues.is_empty() {
        let text = "すべての行を確認しました。Every line and every medicine of the history was checked.";
        issues.push(issue("informational", "complete", None, text));
    }
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}

/// Why, for people.
pub fn words(reason: UncheckedReason) -> &'static str {
    match reason {
        UncheckedReason::NoCode => "コードがありません / it has no drug code",
        UncheckedReason::UnknownCode => {
            "コードが医薬品マスターにありません / the formulary does not know its code"
        }
        UncheckedReason::Material => "医療材料です / it is a material, not a medicine",
        UncheckedReason::NonInsured => "保険外の薬です / it is a medicine outside insurance",
        UncheckedReason::UnknownIngredient => {
            "成分が医薬品マスターにありません / the formulary does not know its ingredient"
        }
    }
}

fn issue(kind: &str, code: &str, place: Option<&str>, text: &str) -> Value {
    let mut issue = json!({
        "severity": "information",
        "code": kind,
        "details": { "coding": [{ "system": format!("{HIKIKAE}/CodeSystem/check-coverage"), "code": code }] },
        "diagnostics": text,
    });
    if let Some(place) = place {
        issue["expression"] = json!([place]);
    }
    issue
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Unchecked;

    #[test]
    fn unseen_lines_are_told_and_documents_of_others_are_not() {
        let unseen = |place: &str, reason| vec![Unchecked { place: place.to_owned(), reason }];
        let partial = Coverage {
            lines: unseen("SJ1[line 12]", UncheckedReason::NoCode),
            history: unseen("0d9e-document", UncheckedReason::UnknownCode),
        };
        let outcome = coverage(&partial);
        assert_eq!(outcome["issue"][0]["expression"][0], "SJ1[line 12]");
        assert_eq!(outcome["issue"][0]["details"]["coding"][0]["code"], "no-code");
        assert_eq!(outcome["issue"][1]["details"]["coding"][0]["code"], "history-unknown-code");
        assert!(!outcome.to_string().contains("0d9e"));
        let complete = coverage(&Coverage::default());
        assert_eq!(complete["issue"][0]["details"]["coding"][0]["code"], "complete");
        assert_eq!(complete["issue"].as_array().map(Vec::len), Some(1));
    }
}

//! The documentation against the program: the error table has exactly the codes that the server answers with, and
//! every test that the design names exists.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read fails its test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The part of `text` from `start` on, up to `end`.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

/// The string literals of Rust code that are shaped like a code, each with what stands before it.
fn literals(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let shaped = |literal: &str| {
        !literal.is_empty() && literal.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let parts: Vec<&str> = code.split('"').collect();
    let pairs: Vec<(&str, &str)> = parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter().filter(move |(_, literal)| shaped(literal))
}

/// The codes of `src/http/problem.rs`, without the FHIR issue types that stand right of `kind`'s arrows.
fn codes_of_problems() -> BTreeSet<String> {
    let source = text("src/http/problem.rs");
    let is_other = |before: &str| before.ends_with("=> ") || before.ends_with("severity: ");
    literals(&source).filter(|(before, _)| !is_other(before)).map(|(_, literal)| literal.to_owned()).collect()
}

fn codes_of_verdicts() -> BTreeSet<String> {
    let source = text("src/trust/verdict.rs");
    let codes = between(&source, "impl Refusal {", "\n}");
    literals(codes).map(|(_, literal)| literal.to_owned()).collect()
}

/// The second column of the error table.
fn codes_of_the_contract() -> Vec<String> {
    let contract = text("docs/contract.md");
    between(&contract, "\n## 8. Errors", "\n## 9.")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1))
        .filter_map(|cell| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
        .collect()
}

#[test]
fn the_error_table_has_every_code_and_no_other() {
    let documented = codes_of_the_contract();
    let unique: BTreeSet<String> = documented.iter().cloned().collect();
    assert_eq!(unique.len(), documented.len(), "a code stands twice");
    let verdicts = codes_of_verdicts();
    assert_eq!(verdicts.len(), 8, "{verdicts:?}");
    let answered: BTreeSet<String> = codes_of_problems().union(&verdicts).cloned().collect();
    assert!(answered.len() > 30, "{answered:?}");
    assert_eq!(unique, answered);
}

#[test]
fn every_test_the_design_names_exists() {
    let design = text("docs/design.md");
    let named: Vec<(&str, &str)> =
        design.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let source = text(&format!("{file}.rs"));
        assert!(source.contains(&format!("fn {test}(")), "{file}.rs::{test}");
    }
}

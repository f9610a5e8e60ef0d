//! The example configuration, which must be the defaults and complete.

use std::fs;

use hikikae::config::Config;

use crate::program::project;

fn example() -> String {
    fs::read_to_string(project("hikikae.example.toml")).unwrap_or_default()
}

#[test]
fn the_example_configuration_is_the_default() {
    let written = Config::parse(&example()).unwrap();
    assert_eq!(format!("{written:#?}"), format!("{:#?}", Config::default()));
}

/// What has no default stands there behind `#` without a space after it.
#[test]
fn the_example_configuration_names_every_field() {
    let all: String = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(field) if !field.is_empty() && !field.starts_with(' ') => format!("{field}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = Config::parse(&all).unwrap();
    let debug = format!("{config:#?}");
    assert!(!debug.contains("None"), "a field without a default is not shown: {debug}");
    let fields = debug.lines().filter_map(|line| line.trim_start().split_once(": ")).map(|(field, _)| field);
    let missing: Vec<_> = fields
        .filter(|field| {
            let (value, section) = (format!("{field} ="), format!("[{field}]"));
            !all.lines().any(|line| line.starts_with(&value) || line == section)
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

//! The text as a picture, and the JSON against its description.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::fixture;

#[test]
fn a_snapshot_as_text() {
    insta::assert_snapshot!("warning", print_snapshot(&fixture::warning()));
    insta::assert_snapshot!("waiting", print_snapshot(&fixture::waiting()));
    insta::assert_snapshot!("odd", print_snapshot(&fixture::odd()));
}

#[test]
fn the_text_has_no_control_signs_and_no_trailing_blanks() {
    for shown in [fixture::warning(), fixture::calm(), fixture::waiting(), fixture::odd()] {
        let text = print_snapshot(&shown);
        assert!(text.chars().all(|sign| sign == '\n' || !sign.is_control()));
        assert!(text.lines().all(|line| line.trim_end() == line));
    }
}

/// Adds the paths of all values in a JSON value: `tiers[].p95_ms`.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                paths(value, &format!("{path}{dot}{name}"), found);
            }
        }
        Value::Array(values) => {
            assert!(!values.is_empty(), "the fixture has nothing in {path}");
            for value in values {
                paths(value, &format!("{path}[]"), found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_schema_names_every_field_of_the_json_and_no_other() {
    let mut full = fixture::warning();
    full.tiers.truncate(4);
    for tier in &mut full.tiers {
        tier.zones = vec!["eu-central-1a".to_owned()];
    }
    // An object where known, null where not: both are in the table.
    full.tiers[0].in_flight = None;
    full.signals.truncate(2);
    let mut written = BTreeSet::new();
    let json = serde_json::to_value(&full).unwrap();
    paths(&json, "", &mut written);
    let described: BTreeSet<String> = include_str!("../../schema.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(path, _)| path.to_owned())
        .collect();
    let missing: Vec<_> = written.difference(&described).collect();
    assert!(missing.is_empty(), "schema.md lacks {missing:#?}");
    let surplus: Vec<_> = described.difference(&written).collect();
    assert!(surplus.is_empty(), "schema.md has {surplus:#?}");
}

//! `tiertop analyze` from outside: what it prints of captured files, and how it refuses.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{printed, said, tiertop};

#[test]
fn captured_files_are_judged_and_the_verdict_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/captures/node-http-json");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let output = tiertop(&["analyze", "--json"]).args(&files).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_str(printed(&output)).unwrap();
    assert_eq!(report["summary"], "healthy: no verdict");
    assert_eq!(report["verdicts"], Value::Array(Vec::new()));
    let text = tiertop(&["analyze"]).args(&files).output().unwrap();
    assert!(printed(&text).starts_with("healthy: no verdict\n"), "{}", printed(&text));
}

#[test]
fn a_file_that_is_not_there_is_told_in_a_line() {
    let output = tiertop(&["analyze", "nowhere.json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nowhere.json") && said(&output).lines().count() == 1, "{}", said(&output));
    assert_eq!(tiertop(&["analyze"]).output().unwrap().status.code(), Some(2));
}

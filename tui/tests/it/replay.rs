//! `tiertop replay` from outside: a demo is recorded, and read back.

use serde_json::Value;

use crate::{printed, said, tiertop};

#[test]
fn what_the_demo_recorded_is_read_back_second_by_second() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.tiertop");
    let recorded = tiertop(&["demo", "--headless", "--json", "--duration", "16s", "--record"]).arg(&file).output();
    let recorded = recorded.unwrap();
    assert!(recorded.status.success(), "{}", said(&recorded));
    let shown: Value = serde_json::from_str(printed(&recorded)).unwrap();

    let replayed = tiertop(&["replay", "--once", "--json"]).arg(&file).output().unwrap();
    assert!(replayed.status.success(), "{}", said(&replayed));
    let last: Value = serde_json::from_str(printed(&replayed)).unwrap();
    let at = |second: &Value| second["at_unix_ms"].as_u64().unwrap();
    assert!(at(&last) >= at(&shown), "the last second is there: {} of {}", at(&last), at(&shown));
    assert_eq!(last["tiers"].as_array().unwrap().len(), shown["tiers"].as_array().unwrap().len());

    let early = tiertop(&["replay", "--once", "--json", "--from", "6s"]).arg(&file).output().unwrap();
    let early: Value = serde_json::from_str(printed(&early)).unwrap();
    assert!((at(&early)..at(&early) + 12_000).contains(&at(&last)) && at(&early) + 5_000 < at(&last));
    assert!(said(&replayed).contains("recorded by tiertop"), "{}", said(&replayed));
}

#[test]
fn what_is_no_recording_is_told_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.json");
    std::fs::write(&file, "{}").unwrap();
    let output = tiertop(&["replay", "--once"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is not a recording") && said(&output).lines().count() == 1, "{}", said(&output));
}

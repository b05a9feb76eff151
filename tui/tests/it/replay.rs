//! `tiertop replay` from outside: a demo is recorded, and read back.

#[cfg(feature = "demo")]
use crate::printed;
use crate::{said, tiertop};

#[cfg(feature = "demo")]
#[test]
fn what_the_demo_recorded_is_read_back_second_by_second() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.tiertop");
    let recorded = tiertop(&["demo", "--headless", "--json", "--duration", "16s", "--record"]).arg(&file).output();
    let recorded = recorded.unwrap();
    assert!(recorded.status.success(), "{}", said(&recorded));
    let shown: serde_json::Value = serde_json::from_str(printed(&recorded)).unwrap();

    let replayed = tiertop(&["replay", "--once", "--json"]).arg(&file).output().unwrap();
    assert!(replayed.status.success(), "{}", said(&replayed));
    let last: serde_json::Value = serde_json::from_str(printed(&replayed)).unwrap();
    let at = |second: &serde_json::Value| second["at_unix_ms"].as_u64().unwrap();
    assert!(at(&last) >= at(&shown), "the last second is there: {} of {}", at(&last), at(&shown));
    assert_eq!(last["tiers"].as_array().unwrap().len(), shown["tiers"].as_array().unwrap().len());

    let from = |after: &str| -> u64 {
        let second = tiertop(&["replay", "--once", "--json", "--from", after]).arg(&file).output().unwrap();
        at(&serde_json::from_str(printed(&second)).unwrap())
    };
    let first = from("0s");
    assert!((first + 4_000..=first + 6_000).contains(&from("6s")), "{first} and {}", from("6s"));
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

//! The configuration file, from outside: printed, checked, found, and nothing starts on a wrong one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{ANY_PORT, printed, said, tiertop};

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("tiertop.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_printed_file_is_right_and_differs_in_nothing() {
    let page = tiertop(&["config"]).output().unwrap();
    assert!(page.status.success() && printed(&page).contains("\n[listen]\n"), "{}", said(&page));
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), printed(&page));
    let check = tiertop(&["config", "check", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(printed(&check), format!("{}: right; all is as by default\n", path.display()), "{}", said(&check));
}

#[test]
fn what_differs_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "[limits]\nmemory_mib = 128\n");
    let check = tiertop(&["config", "check"]).env("TIERTOP_CONFIG", &path).output().unwrap();
    let told = printed(&check);
    assert!(check.status.success() && told.contains("right; one thing differs"), "{told}{}", said(&check));
    assert!(told.ends_with("  limits.memory_mib = 128 (default 64)\n"), "{told}");
}

#[test]
fn the_file_is_found_in_the_users_folder() {
    let folder = tempfile::tempdir().unwrap();
    let there = tiertop(&["config", "path"]).env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
    let path = folder.path().join("tiertop/config.toml");
    assert_eq!(printed(&there), format!("{}\n", path.display()));
    assert!(said(&there).contains("it is not there"), "{}", said(&there));
    fs::create_dir(folder.path().join("tiertop")).unwrap();
    fs::write(&path, "[time]\nwindow_s = 900\n").unwrap();
    let check = tiertop(&["config", "check"]).env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(said(&check).contains(&format!("{}:2:12: time.window_s: 900 is not from 1 to 60", path.display())));
}

#[test]
fn nothing_starts_on_a_file_that_is_wrong_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = file(folder.path(), "[listen]\notlp_grcp = \"127.0.0.1:0\"\n[time]\nwindow_s = 900\n");
    let missing = folder.path().join("missing.toml");
    let ports = ["--otlp-grpc", ANY_PORT, "--otlp-http", ANY_PORT];
    let mut commands: Vec<Vec<&str>> = vec![
        [&["--once"], &ports[..]].concat(),
        [&["agent", "--feed", ANY_PORT, "--admin", ANY_PORT], &ports[..]].concat(),
        vec!["analyze", "none.jsonl"],
    ];
    if cfg!(feature = "demo") {
        commands.push(vec!["demo", "--headless"]);
    }
    for command in commands {
        let refused = tiertop(&command).arg("--config").arg(&wrong).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{command:?}");
        let told = said(&refused);
        assert!(
            told.contains(
                "tiertop.toml:2:1: listen.otlp_grcp: there is no such key as `otlp_grcp`; did you mean `otlp_grpc`?"
            ),
            "{told}"
        );
        assert!(told.contains("tiertop.toml:4:12: time.window_s: 900"), "both are told: {told}");
        let refused = tiertop(&command).env("TIERTOP_CONFIG", &missing).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{command:?}");
        assert!(said(&refused).contains("missing.toml"), "{}", said(&refused));
    }
}

#[test]
fn an_agent_listens_where_the_file_says_unless_a_flag_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    // One that no process may have; the flag's port is free.
    let text = "[listen]\notlp_grpc = \"192.0.2.1:4317\"\notlp_http = \"127.0.0.1:0\"\n";
    let path = file(folder.path(), text);
    let watch = || {
        let mut watch = tiertop(&["--once", "--for", "1s"]);
        watch.env("TIERTOP_CONFIG", &path);
        watch
    };
    let refused = watch().output().unwrap();
    assert!(!refused.status.success() && said(&refused).contains("192.0.2.1"), "{}", said(&refused));
    let watched = watch().args(["--otlp-grpc", ANY_PORT]).output().unwrap();
    assert!(watched.status.success(), "{}", said(&watched));
}

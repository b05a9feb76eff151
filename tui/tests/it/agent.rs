//! `tiertop agent`, and `tiertop attach` on one that is there, gone, and there again.

use std::process::Output;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::agent_process::AgentProcess;
use crate::session::Session;
use crate::{PATIENCE, printed, said, tiertop};

fn attach(address: &str, more: &[&str]) -> Output {
    tiertop(&["attach", address, "--once"]).args(more).output().unwrap()
}

/// What `attach --once` prints once it shows the service: which kind of tier it is takes a look or two.
fn attach_until_shown(address: &str, more: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = attach(address, more);
        assert!(output.status.success(), "{}", said(&output));
        let page = printed(&output);
        if page.contains("checkout") && page.contains("db-primary") {
            return page.to_owned();
        }
        assert!(Instant::now() < deadline, "the service never showed: {page}");
    }
}

#[test]
fn what_an_agent_sees_is_printed_as_text_and_as_json() {
    let agent = AgentProcess::start();
    agent.send_requests(20);
    let text = attach_until_shown(&agent.feed, &[]);
    assert!(!text.contains('\x1b'), "{text}");

    let json = attach_until_shown(&agent.feed, &["--json"]);
    let snapshot: Value = serde_json::from_str(&json).unwrap();
    let tiers: Vec<&str> =
        snapshot["tiers"].as_array().unwrap().iter().filter_map(|tier| tier["id"].as_str()).collect();
    assert!(tiers.contains(&"app/checkout"), "{tiers:?}");
    assert_eq!(snapshot["pipeline"]["spans_accepted"], 40);
    agent.stop();
}

#[test]
fn where_no_agent_is_it_says_how_to_start_one() {
    let output = attach("127.0.0.1:1", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("start one with `tiertop agent`"), "{}", said(&output));
    assert!(!said(&output).contains("BACKTRACE") && printed(&output).is_empty());
}

#[test]
fn the_screen_outlives_its_agent_and_finds_the_next_one() {
    let agent = AgentProcess::start();
    agent.send_requests(20);
    let feed = agent.feed.clone();
    let mut session = Session::sized(120, 24, &["attach", &feed], &[]);
    session.until_text("checkout");
    session.until_text("LIVE");
    drop(agent);
    session.until_text("connecting, last data ");
    session.until_text("CONNECTING");
    // What was seen last is still there to read.
    assert!(session.screen().contents().contains("checkout"));
    let agent = AgentProcess::with_feed(&feed, &[]);
    agent.send_requests(20);
    session.until_instead("LIVE", "connecting, last data ");
    session.press("q");
    assert_eq!(session.ends(""), 0);
    agent.stop();
}

#[test]
fn a_screen_that_never_had_an_agent_says_so_and_signals_end_it() {
    let mut session = Session::start(&["attach", "127.0.0.1:1"], &[]);
    session.until_text("connection refused");
    session.until_text("tiertop agent");
    session.signal(Signal::TERM);
    assert_eq!(session.ends(""), 143);
}

#[test]
fn a_feed_for_others_wants_a_token_from_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hunter2-hunter2\n").unwrap();
    let file = file.to_str().unwrap();
    let agent = AgentProcess::with_feed("0.0.0.0:0", &["--feed-token-file", file]);
    assert!(!agent.said.contains("hunter2"));
    agent.send_requests(20);
    let address = agent.feed.replace("HOST", "127.0.0.1");

    let output = attach(&address, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--token-file"), "{}", said(&output));
    attach_until_shown(&address, &["--token-file", file]);
    agent.stop();
}

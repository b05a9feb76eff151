//! What cannot be done is told in a line or two, with what to do instead; and a watch that sees
//! nothing says what to switch on.

use std::process::Output;

use serde_json::Value;

use crate::agent_process::AgentProcess;
use crate::session::Session;
use crate::{ANY_PORT, printed, said, tiertop};

/// Asserts that it failed in a few words without colours or a backtrace, and returns them.
fn refusal(output: &Output) -> &str {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(printed(output).is_empty());
    assert!(said.lines().count() <= 2 && !said.contains('\x1b'), "{said}");
    said
}

#[test]
fn a_taken_port_is_told_with_its_flag_and_its_holder() {
    let holder = AgentProcess::start();
    let own = format!("`tiertop` (pid {})", holder.pid());
    let taken = [
        ("--otlp-grpc", &holder.grpc),
        ("--otlp-http", &holder.http),
        ("--feed", &holder.feed),
        ("--admin", &holder.admin),
    ];
    let free = |but: &str| -> Vec<&str> {
        let flags = taken.iter().filter(|(flag, _)| *flag != but);
        flags.flat_map(|(flag, _)| [*flag, ANY_PORT]).collect()
    };
    for (flag, address) in taken {
        for command in ["agent", "--once"] {
            let output = tiertop(&[command, flag, address]).args(free(flag)).output().unwrap();
            let said = refusal(&output);
            let port = address.rsplit(':').next().unwrap();
            let wanted = [&format!("port {port}"), &own, &format!("choose another with {flag} ADDR")];
            assert!(wanted.iter().all(|words| said.contains(*words)), "{command} {flag}: {said}");
        }
    }
    // The same on a terminal, which was not touched.
    let mut session =
        Session::start(&["--otlp-grpc", &holder.grpc, "--otlp-http", ANY_PORT], &[("RUST_BACKTRACE", "1")]);
    session.until_text("choose another with --otlp-grpc ADDR");
    assert!(!session.raw.contains(&0x1b));
    assert_eq!(session.ends("(pid"), 1);
    holder.stop();
}

#[test]
fn a_feed_for_others_without_a_token_is_refused() {
    for command in ["agent", "--once"] {
        let free = ["--otlp-grpc", ANY_PORT, "--otlp-http", ANY_PORT, "--admin", ANY_PORT];
        let output = tiertop(&[command, "--feed", "0.0.0.0:0"]).args(free).output().unwrap();
        assert!(refusal(&output).contains("it needs a token; give one with `--feed-token-file FILE`"));
    }
}

#[test]
fn without_a_terminal_it_names_the_flag_that_needs_none() {
    let commands: [(&[&str], &str); 2] = [(&[], "use --once "), (&["attach"], "use --once ")];
    for (command, instead) in commands {
        let output = tiertop(command).output().unwrap();
        assert!(refusal(&output).contains(instead), "{command:?}: {}", said(&output));
    }
    #[cfg(feature = "demo")]
    assert!(refusal(&tiertop(&["demo"]).output().unwrap()).contains("use --headless "));
}

#[test]
fn a_watch_without_telemetry_prints_what_is_unknown_and_why() {
    let ports = ["--otlp-grpc", ANY_PORT, "--otlp-http", ANY_PORT];
    let output = tiertop(&["--once", "--for", "3s", "--json"]).args(ports).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let snapshot: Value = serde_json::from_str(printed(&output)).unwrap();
    assert_eq!(snapshot["tiers"], Value::Array(Vec::new()));
    let signals = snapshot["signals"].as_array().unwrap();
    for kind in ["cache-hit-ratio", "replica-lag-seconds", "queue-depth", "queue-oldest-age-seconds"] {
        let signal = signals.iter().find(|signal| signal["kind"] == kind).unwrap();
        assert!(signal["value"].is_null(), "{signal}");
        assert!(signal["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{signal}");
    }
    assert_eq!(snapshot["pipeline"]["spans_accepted"], 0);
}

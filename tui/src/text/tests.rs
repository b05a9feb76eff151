//! The text as a picture, and the JSON against its description.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tiertop_core::diagnosis::{REPORT_VERSION, ReadCounts, Report, Stretch, TierCharge, TraceCounts};
use tiertop_core::phase::Phase;
use tiertop_core::snapshot::{IncidentView, StallView};
use tiertop_core::tier::TierKind;
use tiertop_core::verdict::{Alternative, TierRef, Verdict};

use super::*;
use crate::fixture;

#[test]
fn a_snapshot_as_text() {
    insta::assert_snapshot!("warning", print_snapshot(&fixture::warning()));
    insta::assert_snapshot!("stalled", print_snapshot(&fixture::stalled()));
    insta::assert_snapshot!("calm", print_snapshot(&fixture::calm()));
    insta::assert_snapshot!("waiting", print_snapshot(&fixture::waiting()));
    insta::assert_snapshot!("odd", print_snapshot(&fixture::odd()));
}

#[test]
fn a_run_without_an_incident_is_healthy_and_one_that_had_any_names_it() {
    let mut shown = fixture::calm();
    let named = print_snapshot(&shown);
    assert!(named.contains("healthy again: no verdict is open"), "{named}");
    assert!(named.contains("class pool-exhaustion, wall of phase 3 database reads"), "{named}");
    shown.diagnosis.incidents.clear();
    assert!(print_snapshot(&shown).contains("\nhealthy: no verdict\n"));
}

#[test]
fn the_text_has_no_control_signs_and_no_trailing_blanks() {
    for shown in [fixture::warning(), fixture::stalled(), fixture::calm(), fixture::waiting(), fixture::odd()] {
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
    for incident in &mut full.diagnosis.incidents {
        incident.new_versions = vec!["app/content 2.14.0".to_owned()];
    }
    full.pipeline.exporters = fixture::throttled().pipeline.exporters;
    full.traces.truncate(1);
    for trace in &mut full.traces {
        Arc::make_mut(trace).spans.retain(|span| !span.critical.is_empty());
    }
    let mut written = BTreeSet::new();
    let json = serde_json::to_value(&full).unwrap();
    paths(&json, "", &mut written);
    assert_described(&written, "# The JSON of a snapshot");
}

#[test]
fn the_schema_names_every_field_of_an_analysis_and_no_other() {
    let mut written = BTreeSet::new();
    paths(&serde_json::to_value(report()).unwrap(), "", &mut written);
    assert_described(&written, "# The JSON of an analysis");
}

/// Asserts that the part of the schema under a heading has these fields in its tables.
fn assert_described(written: &BTreeSet<String>, heading: &str) {
    let parts = include_str!("../../schema.md").split("\n# ");
    let heading = heading.trim_start_matches("# ");
    let part = parts.map(|part| part.trim_start_matches("# ")).find(|part| part.starts_with(heading)).unwrap();
    let described: BTreeSet<String> = part
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(path, _)| path.to_owned())
        .collect();
    let missing: Vec<_> = written.difference(&described).collect();
    assert!(missing.is_empty(), "schema.md lacks {missing:#?}");
    let surplus: Vec<_> = described.difference(written).collect();
    assert!(surplus.is_empty(), "schema.md has {surplus:#?}");
}

/// What is said of a shop whose database waits for locks.
fn report() -> Report {
    let tier =
        |kind: TierKind, member: &str| TierRef { id: format!("{kind}/{member}"), kind, member: member.to_owned() };
    let (primary, app) = (tier(TierKind::DbPrimary, "orders@db1:5432"), tier(TierKind::App, "checkout"));
    let charge = |tier: &TierRef, gap_ms| TierCharge {
        tier: tier.clone(),
        visits: 180,
        usual_ms: 8.4,
        now_ms: 205.0,
        path_share: 0.83,
        gap_ms,
        failed_ratio: 0.005,
    };
    let verdict = Verdict {
        tier: primary.clone(),
        class: Some("lock-contention".to_owned()),
        title: "writes wait, reads do not".to_owned(),
        phase: Some(Phase::Writes),
        confidence: 0.91,
        explained_share: Some(0.94),
        alternatives: vec![Alternative { tier: app.clone(), explained_share: 0.04 }],
        onset: Some(1_795_456_800_000),
        evidence: vec!["INSERT orders: 190 ms in each of 180 visits, usually 8.1 ms".to_owned()],
        remedy_now: Some("find the transaction that holds the lock, and end it".to_owned()),
        remedy_for_good: Some("short transactions".to_owned()),
    };
    let incident = IncidentView {
        id: 1,
        onset_unix_ms: 1_795_456_800_000,
        opened_unix_ms: 1_795_456_806_000,
        peak_unix_ms: 1_795_456_830_000,
        ended_unix_ms: Some(1_795_456_860_000),
        usual_ms: Some(40.0),
        excess_ms: Some(180.0),
        peak_excess_ms: Some(240.0),
        failed_ratio: Some(0.0),
        verdict: Some(verdict.clone()),
        unexplained: String::new(),
        changes: 0,
        victims: vec![app.id.clone()],
        new_versions: vec!["app/checkout 2".to_owned()],
    };
    Report {
        version: REPORT_VERSION,
        summary: "db-primary/orders@db1:5432: writes wait, reads do not".to_owned(),
        verdicts: vec![verdict],
        incidents: vec![incident],
        tiers: vec![charge(&primary, None), charge(&app, Some(1.2))],
        stalls: vec![StallView {
            start_unix_ms: 1_795_456_812_290,
            length_ms: 420,
            summary: "23 requests stood for 420 ms between app/checkout and app/stock".to_owned(),
            tier: Some("app/stock".to_owned()),
            edge: Some(("app/checkout".to_owned(), "app/stock".to_owned())),
            requests: 23,
            first_moved: Some("app/stock: GET /stock/{id}".to_owned()),
            traces: vec!["00000000000000000000000000000bba".to_owned()],
            ..StallView::default()
        }],
        window: Stretch { from_unix_ms: Some(1_795_456_800_000), to_unix_ms: Some(1_795_456_860_000), requests: 180 },
        baseline: Stretch { from_unix_ms: Some(1_795_453_200_000), to_unix_ms: Some(1_795_453_320_000), requests: 400 },
        usual_ms: Some(40.0),
        excess_ms: Some(208.0),
        traces: TraceCounts { traces: 200, incomplete: 3, orphans: 5, kept_one_in: 2 },
        read: ReadCounts { spans: 6_200, points: 80, refused: 1 },
    }
}

#[test]
fn an_analysis_as_text() {
    insta::assert_snapshot!("analysis", print_report(&report()));
    let nothing = Report { summary: "too few traces: 12, 30 are needed".to_owned(), ..Report::default() };
    insta::assert_snapshot!("analysis_of_nothing", print_report(&nothing));
}

//! What a user's rules say of made-up snapshots.

use super::*;
use crate::snapshot::SignalView;
use crate::tier::TierKind;
use crate::verdict::TierRef;

fn any(kind: TierKind, member: &str) -> TierPattern {
    TierPattern { kind: Some(kind), member: member.to_owned() }
}

fn condition(level: Level, name: &str, bound: Bound) -> Condition {
    Condition { tier: None, level, name: name.to_owned(), bound }
}

fn rule(basis: Basis) -> UserRule {
    UserRule {
        name: "fraud-check-slow".to_owned(),
        title: "the fraud check falls behind".to_owned(),
        tier: any(TierKind::External, "fraud-*"),
        basis,
        phase: Some(Phase::Writes),
        say: Some("orders wait for it".to_owned()),
        now: Some("runbook 12".to_owned()),
        for_good: None,
    }
}

/// A slow third party, a queue with messages, and another third party that is as slow.
fn snapshot(p99_ms: Option<f64>, depth: f64) -> Snapshot {
    let slow = |member: &str| TierView { p99_ms, ..TierView::named(TierKind::External, member) };
    let waiting = SignalView {
        kind: SignalKind::QueueDepth,
        tier: "queue/orders".to_owned(),
        part: "eu".to_owned(),
        value: Some(depth),
        inferred: false,
        source: String::new(),
        slope_per_second: None,
        age_s: None,
        trend: Vec::new(),
        hint: None,
    };
    Snapshot {
        tiers: vec![slow("fraud-eu"), slow("ratings"), TierView::named(TierKind::Queue, "orders")],
        signals: vec![waiting],
        ..Snapshot::default()
    }
}

fn slow_and_waiting() -> UserRule {
    let queue = Condition {
        tier: Some(any(TierKind::Queue, "*")),
        ..condition(Level::Signal(SignalKind::QueueDepth), "queue-depth", Bound::Above(500.0))
    };
    let all = vec![condition(Level::Figure(Figure::P99Ms), "p99_ms", Bound::Above(800.0)), queue];
    rule(Basis::When { all, lasting_ms: 3_000 })
}

/// Plays seconds, and tells of which tiers the rule holds in the last.
fn play(holding: &mut Holding, rules: &[UserRule], snapshot: &mut Snapshot, seconds: u64) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        snapshot.at_unix_ms += 1_000;
        told = holding.held(rules, snapshot).iter().map(|held| held.tier.id.clone()).collect();
    }
    told
}

#[test]
fn all_conditions_must_hold_for_long_enough_on_a_tier_of_the_rule() {
    let rules = [slow_and_waiting()];
    let mut holding = Holding::default();
    let mut bad = snapshot(Some(900.0), 600.0);
    assert_eq!(play(&mut holding, &rules, &mut bad, 3), Vec::<String>::new(), "not for long enough yet");
    assert_eq!(play(&mut holding, &rules, &mut bad, 1), ["external/fraud-eu"]);
    let held = &holding.held(&rules, &bad)[0];
    assert_eq!(held.since_ms, 1_000);
    assert_eq!(
        held.evidence,
        ["orders wait for it", "p99_ms 900, above 800", "queue/orders: queue-depth 600 at eu, above 500"]
    );
}

#[test]
fn one_condition_that_fails_ends_it_and_it_begins_anew() {
    let rules = [slow_and_waiting()];
    let mut holding = Holding::default();
    let mut seconds = snapshot(Some(900.0), 600.0);
    play(&mut holding, &rules, &mut seconds, 5);
    seconds.signals[0].value = Some(400.0);
    assert_eq!(play(&mut holding, &rules, &mut seconds, 1), Vec::<String>::new());
    seconds.signals[0].value = Some(600.0);
    assert_eq!(play(&mut holding, &rules, &mut seconds, 3), Vec::<String>::new());
    assert_eq!(play(&mut holding, &rules, &mut seconds, 1).len(), 1);
}

#[test]
fn what_is_unknown_is_neither_high_nor_low() {
    let low = condition(Level::Figure(Figure::P99Ms), "p99_ms", Bound::Below(1.0));
    let rules = [rule(Basis::When { all: vec![low], lasting_ms: 0 })];
    assert_eq!(play(&mut Holding::default(), &rules, &mut snapshot(None, 0.0), 1), Vec::<String>::new());
    assert_eq!(play(&mut Holding::default(), &rules, &mut snapshot(Some(0.5), 0.0), 1).len(), 1);
}

fn verdict(member: &str, class: &str) -> Verdict {
    Verdict {
        tier: TierRef { id: format!("external/{member}"), kind: TierKind::External, member: member.to_owned() },
        class: Some(class.to_owned()),
        title: "somebody else's service answers late or fails".to_owned(),
        phase: None,
        confidence: 0.9,
        explained_share: Some(0.9),
        alternatives: Vec::new(),
        onset: None,
        evidence: vec!["300 ms more".to_owned()],
        remedy_now: Some("a short time limit".to_owned()),
        remedy_for_good: Some("a circuit breaker".to_owned()),
    }
}

#[test]
fn a_rule_takes_the_place_of_a_class_on_its_tiers_alone() {
    let rules = [rule(Basis::Replaces("external-slow".to_owned()))];
    let mut report = Report {
        summary: "external/fraud-eu: somebody else's service answers late or fails".to_owned(),
        verdicts: vec![
            verdict("fraud-eu", "external-slow"),
            verdict("ratings", "external-slow"),
            verdict("fraud-eu", "network-delay"),
        ],
        ..Report::default()
    };
    tell_in(&mut report, &[], &rules);
    assert_eq!(report.summary, "external/fraud-eu: the fraud check falls behind");
    let [own, other_tier, other_class] = &report.verdicts[..] else { panic!("{report:#?}") };
    assert_eq!(own.class.as_deref(), Some("fraud-check-slow"));
    assert_eq!(own.phase, Some(Phase::Writes));
    assert_eq!(own.evidence, ["orders wait for it", "300 ms more"]);
    assert_eq!(own.remedy_now.as_deref(), Some("runbook 12"));
    assert_eq!(own.remedy_for_good.as_deref(), Some("a circuit breaker"), "where the user says nothing");
    assert_eq!(*other_tier, verdict("ratings", "external-slow"));
    assert_eq!(*other_class, verdict("fraud-eu", "network-delay"));
}

//! Made-up plays: a fault of the replica from second 120 to 300 of 420, told by when which incident says what.

use tiertop_core::phase::Phase;
use tiertop_core::snapshot::{BucketView, EdgeView, IncidentView, Snapshot, TierView};
use tiertop_core::tier::TierKind;
use tiertop_core::verdict::{Alternative, TierRef, Verdict};

use super::course::Course;
use super::print::{Style, print};
use super::score::{FaultScore, Recovery, fault, healthy};
use super::table::{Outcome, Played, Share, totals};
use super::truth::Truth;

const BEGIN_S: u64 = 1_700_000_000;
const ONSET_S: u64 = 120;
const END_S: u64 = 300;
const LAST_S: u64 = 420;

/// An incident says something from one second up to another.
#[derive(Clone, Copy)]
struct Says {
    incident: u64,
    seconds: (u64, u64),
    tier: TierKind,
    class: Option<&'static str>,
    confidence: f64,
    other: Option<TierKind>,
    doubt: &'static str,
}

fn says(incident: u64, seconds: (u64, u64), tier: TierKind, class: &'static str) -> Says {
    Says { incident, seconds, tier, class: Some(class), confidence: 0.9, other: None, doubt: "" }
}

fn right(seconds: (u64, u64)) -> Says {
    says(1, seconds, TierKind::DbReplica, "replica-lag")
}

fn truth() -> Truth {
    Truth {
        tiers: vec![TierKind::DbReplica],
        class: "replica-lag".to_owned(),
        phases: vec![3],
        began_ms: (BEGIN_S + ONSET_S) * 1000,
        ended_ms: (BEGIN_S + END_S) * 1000,
    }
}

fn tier_ref(kind: TierKind) -> TierRef {
    TierRef { id: format!("{kind}/it"), kind, member: "it".to_owned() }
}

fn view(says: &Says, second: u64) -> IncidentView {
    let ended = (second >= says.seconds.1).then_some((BEGIN_S + says.seconds.1) * 1000);
    IncidentView {
        id: says.incident,
        onset_unix_ms: (BEGIN_S + says.seconds.0) * 1000,
        opened_unix_ms: (BEGIN_S + says.seconds.0) * 1000,
        peak_unix_ms: 0,
        ended_unix_ms: ended,
        usual_ms: None,
        excess_ms: None,
        peak_excess_ms: None,
        failed_ratio: None,
        verdict: Some(Verdict {
            tier: tier_ref(says.tier),
            class: says.class.map(str::to_owned),
            title: String::new(),
            phase: Some(Phase::DatabaseReads),
            confidence: says.confidence,
            explained_share: None,
            alternatives: says
                .other
                .map(tier_ref)
                .map(|tier| Alternative { tier, explained_share: 0.2 })
                .into_iter()
                .collect(),
            onset: None,
            evidence: Vec::new(),
            remedy_now: None,
            remedy_for_good: None,
        }),
        unexplained: says.doubt.to_owned(),
        changes: 0,
        victims: Vec::new(),
        new_versions: Vec::new(),
    }
}

/// A play of snapshots a second apart. Of an incident that says several things in turn, the last begun counts.
fn course_with(story: &[Says], tiers: impl Fn(u64) -> (Vec<TierView>, Vec<EdgeView>)) -> Course {
    let mut course = Course::default();
    for second in 0..LAST_S {
        let mut snapshot = Snapshot { at_unix_ms: (BEGIN_S + second) * 1000 + 20, ..Snapshot::default() };
        (snapshot.tiers, snapshot.edges) = tiers(second);
        let mut changes = 0;
        for says in story.iter().filter(|says| says.seconds.0 <= second) {
            let incidents = &mut snapshot.diagnosis.incidents;
            let before = incidents.iter().position(|view| view.id == says.incident);
            if let Some(before) = before {
                changes += 1;
                incidents.remove(before);
            }
            incidents.push(IncidentView { changes, ..view(says, second) });
        }
        course.note(&snapshot);
    }
    course
}

fn course(story: &[Says]) -> Course {
    course_with(story, |_| (Vec::new(), Vec::new()))
}

fn score(story: &[Says]) -> FaultScore {
    fault(&course(story), &truth())
}

#[test]
fn the_right_verdict_counts_with_its_times() {
    let score = score(&[right((128, 310))]);
    assert!(
        score.right.tier
            && score.right.top_three
            && score.right.class
            && score.right.phase
            && !score.right.wrong_and_confident
    );
    assert_eq!(score.detected_after_s.map(f64::round), Some(8.0));
    assert_eq!(score.right_after_s.map(f64::round), Some(8.0));
    assert_eq!(
        (score.incidents.during, score.incidents.changes, score.incidents.before, score.incidents.after),
        (1, 0, 0, 0)
    );
    let Recovery::After(seconds) = score.recovery else { panic!("{:?}", score.recovery) };
    assert!((9.9..10.1).contains(&seconds), "{seconds}");
}

#[test]
fn silence_is_a_miss() {
    let score = score(&[]);
    assert!(
        !score.right.tier
            && !score.right.top_three
            && !score.right.class
            && !score.right.phase
            && !score.right.wrong_and_confident
    );
    assert_eq!((score.detected_after_s, score.verdict, score.recovery), (None, None, Recovery::NoneOpen));
}

#[test]
fn what_does_not_stay_ten_seconds_is_detection_but_no_verdict() {
    let short = score(&[right((130, 138))]);
    assert!(short.detected_after_s.is_some() && short.verdict.is_none() && !short.right.tier);
    let corrected = score(&[says(1, (130, 137), TierKind::App, "app-cpu"), right((137, 305))]);
    assert!(corrected.right.tier && corrected.right.class);
    assert_eq!(corrected.incidents.changes, 1);
    assert_eq!(corrected.right_after_s.map(f64::round), Some(17.0));
}

#[test]
fn the_first_that_stays_counts_though_a_better_one_follows() {
    let score = score(&[says(1, (130, 150), TierKind::App, "app-cpu"), right((150, 305))]);
    assert!(!score.right.tier && !score.right.class && score.right.wrong_and_confident);
    assert_eq!(score.verdict.unwrap().tier, "app/it");
    assert_eq!(score.right_after_s.map(f64::round), Some(30.0));
}

#[test]
fn a_wrong_verdict_may_be_unsure_or_have_the_right_alternative() {
    let wrong = Says { confidence: 0.4, ..says(1, (130, 300), TierKind::App, "replica-lag") };
    let unsure = score(&[wrong]);
    assert!(!unsure.right.tier && !unsure.right.top_three && !unsure.right.wrong_and_confident);
    assert!(!unsure.right.class, "the class is scored where the tier is right");
    let second = score(&[Says { other: Some(TierKind::DbReplica), ..wrong }]);
    assert!(!second.right.tier && second.right.top_three);
}

#[test]
fn a_verdict_that_is_doubted_is_none() {
    let score = score(&[Says { doubt: "unexplained: 41 % attributed", ..right((130, 300)) }]);
    assert!(!score.right.tier && score.verdict.is_none() && score.detected_after_s.is_some());
    assert!(score.right.doubted);
}

#[test]
fn an_incident_from_before_is_a_false_alarm_and_no_detection() {
    let score =
        score(&[says(1, (80, 330), TierKind::Cache, "cache-flush"), says(2, (350, 360), TierKind::App, "app-cpu")]);
    assert_eq!((score.incidents.before, score.incidents.during, score.incidents.after), (1, 0, 1));
    assert_eq!(score.detected_after_s, None);
    assert!(score.verdict.is_some() && !score.right.tier, "it hides the fault, so it is wrong");
}

#[test]
fn an_incident_that_does_not_end_never_recovers() {
    assert_eq!(score(&[right((130, LAST_S + 1))]).recovery, Recovery::Never);
    assert_eq!(score(&[right((130, 290))]).recovery, Recovery::NoneOpen);
}

#[test]
fn where_nothing_is_wrong_each_incident_is_a_false_alarm() {
    let course = course(&[right((60, 70)), says(2, (200, 210), TierKind::App, "app-cpu")]);
    let score = healthy(&course, (BEGIN_S + 100) * 1000);
    assert_eq!(score.incidents, ["app/it app-cpu"]);
    assert!((score.hours - 319.0 / 3600.0).abs() < 1e-4);
}

/// A tier whose requests all take the same time.
fn tier(kind: TierKind, per_second: f64, ms: f64) -> TierView {
    TierView {
        requests_per_second: Some(per_second),
        p95_ms: Some(ms),
        distribution: vec![BucketView { lower_ms: ms, upper_ms: ms, count: 100 }],
        ..TierView::named(kind, "it")
    }
}

fn call(from: TierKind, to: TierKind, per_second: f64) -> EdgeView {
    EdgeView {
        from: format!("{from}/it"),
        to: format!("{to}/it"),
        requests_per_second: per_second,
        ..EdgeView::default()
    }
}

#[test]
fn simple_ways_see_the_figures_alone() {
    // The application calls a replica that becomes three times slower, and both show it.
    let tiers = |second| {
        let slow = if (ONSET_S..END_S).contains(&second) { 20.0 } else { 0.0 };
        let tiers = vec![
            tier(TierKind::Web, 10.0, 62.0 + slow),
            tier(TierKind::App, 10.0, 60.0 + slow),
            tier(TierKind::DbReplica, 10.0, 10.0 + slow),
            tier(TierKind::External, 1.0, 400.0),
        ];
        let calls = [(TierKind::Web, TierKind::App), (TierKind::App, TierKind::DbReplica)];
        let mut edges: Vec<EdgeView> = calls.into_iter().map(|(from, to)| call(from, to, 10.0)).collect();
        edges.push(call(TierKind::App, TierKind::External, 1.0));
        (tiers, edges)
    };
    let guesses = fault(&course_with(&[], tiers), &truth()).guesses;
    let [random, largest_p95, largest_z, deepest, self_time] = guesses.all();
    assert!((random - 0.25).abs() < 1e-9);
    assert_eq!([largest_p95, largest_z, deepest, self_time].map(|share| share > 0.5), [false, true, true, true]);
}

fn played(name: &str, load: &str, outcome: Outcome) -> Played {
    Played {
        name: name.to_owned(),
        intensity: "low".to_owned(),
        seed: 3,
        load: load.to_owned(),
        apart: load.contains("clients"),
        outcome,
        incidents: Vec::new(),
        spans: 500_000,
        cpu_s: 2.0,
    }
}

fn some_plays() -> Vec<Played> {
    let of = |story: &[Says]| Outcome::Fault(Box::new(score(story)));
    vec![
        played("replica-lag", "20 req/s", of(&[])),
        played("replica-lag", "200 req/s", of(&[right((128, 310))])),
        played("replica-lag", "200 req/s", of(&[says(1, (140, 300), TierKind::App, "app-cpu")])),
        played("replica-lag", "200 clients", of(&[right((124, 302))])),
        played("healthy-noise", "20 req/s", Outcome::Healthy(healthy(&course(&[right((200, 220))]), BEGIN_S * 1000))),
    ]
}

#[test]
fn totals_are_over_every_fault() {
    let plays = some_plays();
    let scores: Vec<&FaultScore> = plays.iter().filter_map(Played::fault).collect();
    let totals = totals(&scores);
    assert_eq!(totals.tier, Share { part: 2, of: 4 });
    assert_eq!(totals.class, Share { part: 2, of: 2 });
    assert_eq!(totals.detected, Share { part: 3, of: 4 });
    assert_eq!(totals.phase_of_verdicts, Share { part: 3, of: 3 });
    assert_eq!(totals.wrong_and_confident.part, 1);
    let (median, p90) = totals.detected_after_s.unwrap();
    assert_eq!((median.round(), p90.round()), (8.0, 20.0));
}

#[test]
fn the_scorecard_is_tables() {
    insta::assert_snapshot!("text", print(&some_plays(), Style::Text));
    insta::assert_snapshot!("markdown", print(&some_plays(), Style::Markdown));
}

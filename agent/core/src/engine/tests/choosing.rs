//! Scenarios of traces that are chosen to be handed out whole.

use std::collections::BTreeSet;

use super::scenario::{Sent, System, call, db};
use crate::choice::{ChoiceRules, Chosen, ChosenTrace, Reason, UniformRule};
use crate::id::{SpanId, TraceId};
use crate::observation::{SpanKind, SpanShape, SpanStatus};

/// Rules with an ample budget, and without a uniform share.
fn ample() -> ChoiceRules {
    ChoiceRules { traces_per_second: 600.0, uniform: Vec::new(), ..ChoiceRules::default() }
}

fn share(rate: f64, reservoir_per_second: f64) -> Vec<UniformRule> {
    vec![UniformRule { reservoir_per_second, rate, ..UniformRule::default() }]
}

fn serve() -> SpanShape {
    SpanShape {
        kind: SpanKind::Server,
        http_method: Some("GET".into()),
        http_route: Some("/".into()),
        ..SpanShape::default()
    }
}

/// A request of lb, app and database that takes `ms`; the statement may fail, and the application make up for it.
fn request(system: &mut System, at: u64, ms: u64, fails: bool) -> Vec<Sent> {
    let lb = system.span("entry", None, serve(), at, at + ms);
    let out = system.span("entry", Some(&lb), call("app1", 80), at + 1, at + ms - 1);
    let app = system.span("shop", Some(&out), serve(), at + 2, at + ms - 2);
    let status = if fails { SpanStatus::Error } else { SpanStatus::Unset };
    let insert = system.span("shop", Some(&app), SpanShape { status, ..db("db1", "INSERT") }, at + 3, at + ms - 3);
    vec![insert, app, out, lb]
}

/// A second of so many usual requests.
fn second(system: &mut System, count: u64) {
    let all: Vec<Sent> = (0..count).flat_map(|place| request(system, place * 900 / count, 20, false)).collect();
    system.send(all);
    system.pass_second();
}

fn seconds(system: &mut System, seconds: u64, count: u64) {
    for _ in 0..seconds {
        second(system, count);
    }
}

fn ids(sent: &[Sent]) -> BTreeSet<SpanId> {
    sent.iter().map(|sent| sent.span.id).collect()
}

fn spans(trace: &ChosenTrace) -> BTreeSet<SpanId> {
    trace.spans.iter().map(|span| span.id).collect()
}

fn by_reason(chosen: &Chosen, reason: Reason) -> Vec<&ChosenTrace> {
    chosen.traces.iter().filter(|trace| trace.reason == reason).collect()
}

#[test]
fn a_trace_with_a_failed_span_is_chosen_whole() {
    let mut system = System::with_choice(ample());
    seconds(&mut system, 5, 10);
    let failed = request(&mut system, 100, 20, true);
    system.send(failed.clone());
    seconds(&mut system, 5, 10);
    let chosen = system.chosen();
    let [trace] = &chosen.traces[..] else { panic!("not one trace: {:#?}", chosen.traces) };
    assert_eq!((trace.reason, trace.trace, spans(trace)), (Reason::Failed, failed[0].span.trace, ids(&failed)));
    let tiers: BTreeSet<_> = trace.spans.iter().filter_map(|span| span.tier.as_deref()).collect();
    assert_eq!(tiers, ["app/shop", "db-primary/orders@db1:5432", "lb/entry"].into());
    for span in &trace.spans {
        let (body, offset) = span.detail.place().expect("bodies are kept");
        assert!(body > 1 && offset as u64 == span.id.0, "{span:?}");
    }
}

#[test]
fn a_trace_slower_than_nearly_all_of_its_operation_is_chosen() {
    let mut system = System::with_choice(ample());
    seconds(&mut system, 30, 10);
    let slow = request(&mut system, 100, 700, false);
    system.send(slow.clone());
    seconds(&mut system, 3, 10);
    let chosen = system.chosen();
    let found = by_reason(&chosen, Reason::Slow);
    assert_eq!(found.iter().filter(|trace| spans(trace) == ids(&slow)).count(), 1, "{:#?}", chosen.traces);
    assert!(found.len() <= 4, "what takes as long as usual is not slow: {}", found.len());
}

#[test]
fn requests_that_stood_in_a_stall_are_chosen_with_where_they_stood() {
    let mut system = System::with_choice(ample());
    seconds(&mut system, 15, 50);
    let all: Vec<Sent> = (0..45)
        .flat_map(|place| {
            let at = place * 20;
            let ends = if (300..700).contains(&at) { 702 + place % 7 } else { at + 20 };
            request(&mut system, at, ends - at, false)
        })
        .collect();
    system.send(all);
    system.pass_second();
    seconds(&mut system, 5, 50);
    let chosen = system.chosen();
    let stalled = by_reason(&chosen, Reason::Stalled);
    assert!((9..=22).contains(&stalled.len()), "{}", stalled.len());
    assert!(stalled.len() + by_reason(&chosen, Reason::Slow).len() >= 20, "who stood for a part of it was slow");
    for trace in stalled {
        assert_eq!((trace.stall.as_deref(), trace.spans.len()), (Some("db-primary/orders@db1:5432"), 4));
    }
}

#[test]
fn the_uniform_share_is_the_same_wherever_the_same_traces_are_seen() {
    let chosen_by = |backwards: bool| {
        let mut system = System::with_choice(ChoiceRules { uniform: share(0.1, 0.0), ..ample() });
        for _ in 0..20 {
            let mut all: Vec<Sent> = (0..50).flat_map(|place| request(&mut system, place * 10, 20, false)).collect();
            if backwards {
                all.reverse();
            }
            system.send(all);
            system.pass_second();
        }
        seconds(&mut system, 2, 0);
        let chosen = system.chosen();
        assert_eq!(chosen.by_rule[0].matched, 1000);
        chosen.traces.iter().map(|trace| trace.trace).collect::<BTreeSet<TraceId>>()
    };
    let chosen = chosen_by(false);
    assert!((70..130).contains(&chosen.len()), "{} of 1000", chosen.len());
    assert_eq!(chosen, chosen_by(true));
}

#[test]
fn a_reservoir_chooses_some_traces_each_second_whatever_the_rate() {
    let mut system = System::with_choice(ChoiceRules { uniform: share(0.0, 2.0), ..ample() });
    seconds(&mut system, 20, 30);
    seconds(&mut system, 3, 0);
    let chosen = system.chosen();
    assert!((39..=42).contains(&chosen.traces.len()), "{}", chosen.traces.len());
    assert_eq!(chosen.by_rule[0].chosen, chosen.traces.len() as u64);
}

#[test]
fn the_first_rule_that_is_about_a_request_says_its_share() {
    let nothing = UniformRule { service: "ent*".into(), method: "G?T".into(), rate: 0.0, ..share(1.0, 0.0).remove(0) };
    let mut system = System::with_choice(ChoiceRules { uniform: vec![nothing, share(1.0, 0.0).remove(0)], ..ample() });
    seconds(&mut system, 3, 10);
    let other = system.span("batch", None, serve(), 10, 20);
    system.send_alone(other.clone());
    seconds(&mut system, 3, 10);
    let chosen = system.chosen();
    let traces: Vec<TraceId> = chosen.traces.iter().map(|trace| trace.trace).collect();
    assert_eq!(traces, [other.span.trace]);
}

#[test]
fn a_burst_of_failures_is_kept_within_the_budget_counted_and_starves_nobody() {
    let rules = ChoiceRules { traces_per_second: 6.0, uniform: share(1.0, 0.0), ..ample() };
    let mut system = System::with_choice(rules);
    let mut failed = 0;
    for _ in 0..30 {
        let all: Vec<Sent> = (0..60).flat_map(|place| request(&mut system, place * 10, 20, place < 40)).collect();
        system.send(all);
        system.pass_second();
        failed += 40;
    }
    seconds(&mut system, 3, 0);
    let chosen = system.chosen();
    let count = |reason| by_reason(&chosen, reason).len() as u64;
    assert!(chosen.traces.len() <= 6 * (33 + 2) + 7, "{}", chosen.traces.len());
    assert!(count(Reason::Uniform) >= 28, "{}", count(Reason::Uniform));
    assert!(count(Reason::Failed) >= 100, "what others leave goes to it: {}", count(Reason::Failed));
    let over = chosen.over_budget[Reason::Failed as usize];
    let accounted = failed - count(Reason::Failed) - over;
    assert!(accounted <= count(Reason::Uniform), "what is not counted as over the budget was chosen: {accounted}");
}

#[test]
fn what_comes_after_its_trace_was_chosen_is_handed_out_too_and_nothing_twice() {
    let mut system = System::with_choice(ample());
    seconds(&mut system, 3, 5);
    let mut all = request(&mut system, 100, 20, true);
    let (late, root) = (all.remove(1), all.pop().expect("a root"));
    // The root and a span between are late: the statement and the call come first, apart from each other.
    system.send(all.clone());
    seconds(&mut system, 4, 5);
    let first = system.chosen();
    let handed_out: Vec<SpanId> =
        first.traces.iter().flat_map(|trace| trace.spans.iter().map(|span| span.id)).collect();
    assert_eq!(handed_out.len(), 2, "{first:#?}");
    assert_eq!(handed_out.into_iter().collect::<BTreeSet<_>>(), ids(&all));
    system.send(vec![late.clone(), root.clone()]);
    system.pass_second();
    let rest = system.chosen();
    let [trace] = &rest.traces[..] else { panic!("not one trace: {:#?}", rest.traces) };
    assert_eq!((trace.is_rest, spans(trace)), (true, ids(&[late, root])));
}

#[test]
fn a_request_that_waits_is_told_under_the_id_that_it_will_have_and_completed_later() {
    let rules = ChoiceRules { uniform: share(0.2, 1.0), ..ample() };
    let mut system = System::with_choice(rules);
    seconds(&mut system, 20, 10);
    let mut all = request(&mut system, 100, 20, false);
    let (app, root) = (all.remove(1), all.pop().expect("a root"));
    system.send(vec![all.remove(0)]);
    seconds(&mut system, 4, 10);
    assert!(system.chosen().waiting.is_empty(), "it does not wait for long yet");
    seconds(&mut system, 4, 10);
    let chosen = system.chosen();
    let [waiting] = &chosen.waiting[..] else { panic!("not one waits: {:#?}", chosen.waiting) };
    assert_eq!((waiting.id, waiting.trace, waiting.operation.as_str()), (app.span.id, app.span.trace, "GET /"));
    assert_eq!((waiting.tier.as_deref(), waiting.stall.as_deref()), (Some("app/shop"), None));
    assert_eq!(by_reason(&chosen, Reason::Waiting).len(), 1, "its part is handed out");
    let (app_id, root_id) = (app.span.id, root.span.id);
    system.send(vec![app, root]);
    seconds(&mut system, 2, 10);
    let chosen = system.chosen();
    let rest = by_reason(&chosen, Reason::Waiting);
    let [rest] = rest[..] else { panic!("not one trace: {rest:#?}") };
    assert_eq!((rest.is_rest, spans(rest)), (true, [app_id, root_id].into()));
    assert!(chosen.waiting.is_empty());
}

#[test]
fn traces_through_the_tier_at_fault_carry_the_verdict() {
    let mut system = System::with_choice(ample());
    seconds(&mut system, 120, 20);
    for _ in 0..30 {
        let all: Vec<Sent> = (0..20).flat_map(|place| request(&mut system, place * 10, 400, false)).collect();
        system.send(all);
        system.pass_second();
    }
    let verdict = system.snapshot().diagnosis.verdict().expect("a verdict").clone();
    let chosen = system.chosen();
    let of_incident = by_reason(&chosen, Reason::Incident);
    assert!(of_incident.len() > 20, "{}", of_incident.len());
    let wanted = format!("{}: {}", verdict.tier.id, verdict.title);
    assert!(of_incident.iter().any(|trace| trace.verdict.as_deref() == Some(&*wanted)), "{wanted}");
}

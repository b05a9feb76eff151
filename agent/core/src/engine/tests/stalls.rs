//! Scenarios in which requests stand still, and such that only look like it.

use super::scenario::{Sent, System, call, db};
use crate::observation::{SpanKind, SpanShape};
use crate::snapshot::{KeptFor, Snapshot, StallView};

fn serve() -> SpanShape {
    SpanShape { kind: SpanKind::Server, name: "GET /".into(), ..SpanShape::default() }
}

/// A request from `at` on through lb, app and database, which answers in 5 ms, but nothing from
/// `stands.0` to `stands.1`: what is asked there meanwhile ends just after.
fn request(system: &mut System, app: &str, at: u64, stands: (u64, u64)) -> Vec<Sent> {
    let asked = at + 4;
    let usual = asked + 5;
    let is_held_up = usual > stands.0 && asked < stands.1;
    let answered = if is_held_up { stands.1 + 1 + at % 7 } else { usual };
    let lb = system.span("entry", None, serve(), at, answered + 4);
    let out = system.span("entry", Some(&lb), call(app, 80), at + 1, answered + 3);
    let inside = system.span(app, Some(&out), serve(), at + 2, answered + 2);
    let select = system.span(app, Some(&inside), db("db1", "INSERT"), asked, answered);
    vec![select, inside, out, lb]
}

/// No standing still.
const NEVER: (u64, u64) = (u64::MAX, u64::MAX);

/// A second with a request every `every_ms`, during which the database stands.
fn second(system: &mut System, every_ms: usize, stands: (u64, u64)) {
    let starts = (0..970).step_by(every_ms);
    let all: Vec<Sent> = starts.flat_map(|at| request(system, "app-1", at, stands)).collect();
    system.send(all);
    system.pass_second();
}

fn seconds(system: &mut System, count: usize, every_ms: usize) {
    for _ in 0..count {
        second(system, every_ms, NEVER);
    }
}

fn only(snapshot: &Snapshot) -> &StallView {
    let [stall] = &snapshot.stalls[..] else { panic!("not one stall: {:#?}", snapshot.stalls) };
    stall
}

#[test]
fn a_database_that_stands_still_is_named_with_those_that_waited_for_it() {
    let mut system = System::new();
    seconds(&mut system, 15, 20);
    second(&mut system, 20, (300, 700));
    seconds(&mut system, 4, 20);
    let snapshot = system.snapshot();
    let stall = only(&snapshot);
    assert_eq!(stall.tier.as_deref(), Some("db-primary/orders@db1:5432"));
    assert!((390..=430).contains(&stall.length_ms), "{stall:?}");
    assert!((250..=310).contains(&(stall.start_unix_ms % 1000)), "{stall:?}");
    assert!((18..=22).contains(&stall.requests), "{stall:?}");
    assert_eq!(stall.first_moved.as_deref(), Some("db-primary/orders@db1:5432: INSERT orders"));
    assert_eq!((stall.ongoing, stall.instance.as_deref(), stall.traces.len()), (false, None, 5));
    for id in &stall.traces {
        let kept = snapshot.traces.iter().find(|trace| trace.id == *id).expect("its traces are kept");
        assert_eq!(kept.kept_for, KeptFor::Stalled);
    }
}

#[test]
fn a_stall_is_told_once_and_in_its_place_where_clocks_differ() {
    let mut system = System::new();
    for round in 0..20 {
        let stands = if round == 15 { (300, 700) } else { NEVER };
        let mut all: Vec<Sent> =
            (0..970).step_by(20).flat_map(|at| request(&mut system, "app-1", at, stands)).collect();
        for sent in all.iter_mut().filter(|sent| sent.is_of("app-1")) {
            sent.span.start = sent.span.start.minus_nanos(900_000_000);
            sent.span.end = sent.span.end.minus_nanos(900_000_000);
        }
        system.send(all);
        system.pass_second();
    }
    let snapshot = system.snapshot();
    let stall = only(&snapshot);
    assert_eq!(stall.tier.as_deref(), Some("db-primary/orders@db1:5432"));
}

#[test]
fn one_frozen_instance_among_three_is_named() {
    let mut system = System::new();
    let apps = ["app-1", "app-2", "app-3"];
    let frozen = |system: &mut System, stands: (u64, u64)| {
        let mut all = Vec::new();
        for (index, at) in (0..950).step_by(5).enumerate() {
            let app = apps[index % 3];
            let mut spans = request(system, app, at, if app == "app-2" { stands } else { NEVER });
            // The database is fine: it is the instance that stands, and takes no request until it goes on.
            spans[0].span.start = spans[0].span.end.minus_nanos(5_000_000);
            spans[1].span.start = spans[0].span.start.minus_nanos(2_000_000);
            all.extend(spans);
        }
        system.send(all);
        system.pass_second();
    };
    for _ in 0..15 {
        frozen(&mut system, NEVER);
    }
    frozen(&mut system, (300, 700));
    for _ in 0..4 {
        frozen(&mut system, NEVER);
    }
    let snapshot = system.snapshot();
    let stall = only(&snapshot);
    assert_eq!((stall.tier.as_deref(), stall.instance.as_deref()), (Some("app/app"), Some("app-2-a")));
    assert!((390..=430).contains(&stall.length_ms), "{stall:?}");
}

#[test]
fn a_lull_in_which_nobody_waits_is_no_stall() {
    let mut system = System::new();
    seconds(&mut system, 15, 20);
    for _ in 0..3 {
        system.gauge("node", "system.cpu.utilization", "1", &[], 0.1);
        system.pass_second();
        assert_eq!(system.snapshot().stalls, []);
    }
    seconds(&mut system, 5, 20);
    assert_eq!(system.snapshot().stalls, []);
}

#[test]
fn traffic_too_low_to_tell_has_no_stalls() {
    let mut system = System::new();
    for round in 0..40 {
        let at = round * 137 % 900;
        let all = request(&mut system, "app-1", at, NEVER);
        system.send(all);
        system.pass_second();
    }
    assert_eq!(system.snapshot().stalls, []);
}

#[test]
fn telemetry_that_comes_late_is_no_stall() {
    let mut system = System::new();
    seconds(&mut system, 15, 20);
    let held: Vec<Sent> = (0..970).step_by(20).flat_map(|at| request(&mut system, "app-1", at, NEVER)).collect();
    system.pass_second();
    seconds(&mut system, 3, 20);
    assert_eq!(system.snapshot().stalls, []);
    system.send(held);
    seconds(&mut system, 5, 20);
    assert_eq!(system.snapshot().stalls, []);
}

#[test]
fn a_stall_is_announced_while_it_lasts_and_named_when_it_is_over() {
    let mut system = System::new();
    seconds(&mut system, 15, 20);
    let mut waiting = Vec::new();
    for at in (0..970).step_by(20) {
        let mut spans = request(&mut system, "app-1", at, (200, 3300));
        if at >= 200 {
            // The application asks a cache first, which is done long before the rest.
            let lookup = system.span("app-1", Some(&spans[1]), db("db2", "SELECT"), at + 2, at + 3);
            system.send_alone(lookup);
            waiting.append(&mut spans);
        } else {
            system.send(spans);
        }
    }
    system.pass_second();
    let mut announced = Vec::new();
    for _ in 0..2 {
        system.gauge("node", "system.cpu.utilization", "1", &[], 0.1);
        system.pass_second();
        announced.extend(system.snapshot().stalls);
    }
    let last = announced.last().expect("it is announced");
    assert!(last.ongoing && last.tier.is_none() && last.requests >= 30, "{last:?}");
    assert!(last.summary.starts_with("no completions at lb for 2."), "{}", last.summary);
    assert!(last.summary.ends_with(" s, sources still report"), "{}", last.summary);
    system.pass_second();
    system.send(waiting);
    seconds(&mut system, 4, 20);
    let snapshot = system.snapshot();
    let stall = only(&snapshot);
    assert_eq!((stall.ongoing, stall.tier.as_deref()), (false, Some("db-primary/orders@db1:5432")));
    assert!((3000..=3500).contains(&stall.length_ms), "{stall:?}");
}

#[test]
fn eight_clients_that_wait_for_their_answers_show_a_stall_too() {
    let mut system = System::new();
    let second = |system: &mut System, stands: (u64, u64)| {
        let mut all = Vec::new();
        for client in 0..8 {
            let mut at = client * 2;
            while at < 960 {
                let spans = request(system, "app-1", at, stands);
                let ended = spans.last().map_or(0, |lb| lb.span.end.nanos_since(lb.span.start) / 1_000_000);
                at += ended + 1;
                all.extend(spans);
            }
        }
        system.send(all);
        system.pass_second();
    };
    for _ in 0..15 {
        second(&mut system, NEVER);
    }
    second(&mut system, (300, 700));
    for _ in 0..4 {
        second(&mut system, NEVER);
    }
    let snapshot = system.snapshot();
    let stall = only(&snapshot);
    assert_eq!((stall.requests, stall.tier.as_deref()), (8, Some("db-primary/orders@db1:5432")));
}

/// Seconds of few requests, in which processes tell of pauses; in the sixteenth these stood for a while.
fn with_pauses(paused: &[&str]) -> Snapshot {
    let mut system = System::new();
    for at in 0..20 {
        for service in ["entry", "app-1", "app-2"] {
            let long = u64::from(at >= 15 && paused.contains(&service));
            system.histogram(service, "process.scheduling.delay", "s", &[0.1, 0.2, 0.5], &[90 * (at + 1), 0, long, 0]);
        }
        let all: Vec<Sent> =
            ["app-1", "app-2"].into_iter().flat_map(|app| request(&mut system, app, 100, NEVER)).collect();
        system.send(all);
        system.pass_second();
    }
    system.snapshot()
}

#[test]
fn a_pause_that_a_process_tells_of_is_a_stall_of_it_however_few_requests_come() {
    let snapshot = with_pauses(&["app-1"]);
    let stall = only(&snapshot);
    assert_eq!((stall.tier.as_deref(), stall.instance.as_deref()), (Some("app/app"), Some("app-1-a")));
    assert_eq!((stall.length_ms, stall.requests), (200, 0));
    assert_eq!(stall.summary, "app-1-a stood still for at least 200 ms, as it says itself");
}

#[test]
fn a_pause_of_most_processes_at_once_is_the_machines() {
    assert_eq!(with_pauses(&["entry", "app-1"]).stalls, []);
}

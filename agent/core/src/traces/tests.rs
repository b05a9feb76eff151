//! Scenarios: the spans of one trace, and whom its time is charged to; and the law that charges sum to
//! the request's duration, whatever the spans are.

use std::hash::BuildHasher;

use proptest::prelude::*;

use super::*;
use crate::observation::{MessagingOperation, ParentPlace, Resource, Span, SpanKind, SpanShape};

/// A span to be: service, kind, what it calls or is asked, id, parent, start and end in milliseconds.
#[derive(Clone, Debug)]
struct Told(&'static str, SpanKind, &'static str, u64, u64, u64, u64);

fn shape(kind: SpanKind, of: &str) -> SpanShape {
    let shape = SpanShape { kind, name: of.into(), ..SpanShape::default() };
    let system = of.split('/').next().map(Into::into);
    match kind {
        SpanKind::Server => SpanShape { http_route: Some(of.into()), ..shape },
        SpanKind::Client if of.starts_with("postgresql") => {
            SpanShape { db_system: system, db_operation: Some("SELECT".into()), ..shape }
        }
        SpanKind::Client if !of.is_empty() => SpanShape { peer_address: Some(of.into()), ..shape },
        SpanKind::Producer | SpanKind::Consumer => SpanShape {
            messaging_system: Some("aws.sqs".into()),
            messaging_destination: Some(of.into()),
            messaging_operation: (kind == SpanKind::Consumer).then_some(MessagingOperation::Process),
            ..shape
        },
        _ => shape,
    }
}

fn traces(told: &[Told]) -> Traces {
    let hash = |of: &str| FixedState::default().hash_one(of);
    let mut batch = Batch::default();
    for (place, Told(service, kind, of, id, parent, start, end)) in told.iter().enumerate() {
        let (fingerprint, service_name) = (hash(service), (*service).into());
        batch.resources.push(Resource { fingerprint, service_name, ..Resource::default() });
        let fingerprint = hash(&format!("{service} {kind:?} {of}"));
        batch.shapes.push(SpanShape { fingerprint, resource: place as u32, ..shape(*kind, of) });
        batch.spans.push(Span {
            trace: TraceId(7),
            id: SpanId(*id),
            parent: SpanId(*parent),
            start: UnixNanos(1_000_000_000 + start * 1_000_000),
            end: UnixNanos(1_000_000_000 + end * 1_000_000),
            path_hash: 0,
            weight: 0.0,
            shape: place as u32,
            links_start: 0,
            links_len: 0,
            parent_place: ParentPlace::Unknown,
            offset: 0,
        });
    }
    let mut traces = Traces::new(1 << 20);
    traces.take(&batch, Capture::Subject);
    traces
}

/// The charges of a trace in milliseconds, as `place operation`, without what took none.
fn charges(told: &[Told]) -> Vec<(String, u64)> {
    let mut traces = traces(told);
    let requests = traces.requests(Capture::Subject);
    let name = |id| match traces.party(id) {
        Party::Service { name, .. } => name.to_string(),
        Party::Peer(peer) => format!("{}{}", peer.system, peer.address),
    };
    let words = |visit: &Visit| {
        let key = requests.keys[visit.key as usize];
        let place = match key.place {
            Place::At(party) => name(party),
            Place::Gap(from, to) => format!("{}->{}", name(from), name(to)),
        };
        (format!("{place} {}", traces.operation(key.operation)), visit.nanos / 1_000_000)
    };
    let mut charges: Vec<(String, u64)> = requests.visits.iter().map(words).filter(|(_, ms)| *ms > 0).collect();
    charges.sort();
    charges
}

fn assert_charges(told: &[Told], expected: &[(&str, u64)]) {
    let expected: Vec<(String, u64)> = expected.iter().map(|(place, ms)| ((*place).to_owned(), *ms)).collect();
    assert_eq!(charges(told), expected);
}

use SpanKind::{Client, Consumer, Internal, Producer, Server, Unspecified};

#[test]
fn work_calls_and_gaps_are_charged_apart() {
    assert_charges(
        &[
            Told("web", Server, "/", 1, 0, 0, 100),
            Told("web", Client, "app", 2, 1, 10, 90),
            Told("app", Server, "/a", 3, 2, 20, 80),
            Told("app", Internal, "render", 4, 3, 22, 30),
            Told("app", Client, "postgresql", 5, 3, 30, 70),
        ],
        &[("app /a", 20), ("postgresql SELECT", 40), ("web /", 20), ("web->app /a", 20)],
    );
}

#[test]
fn clocks_that_differ_change_no_charge() {
    assert_charges(
        &[
            Told("web", Server, "/", 1, 0, 500, 600),
            Told("web", Client, "app", 2, 1, 510, 590),
            Told("app", Server, "/a", 3, 2, 20, 80),
            Told("app", Client, "postgresql", 5, 3, 30, 70),
        ],
        &[("app /a", 20), ("postgresql SELECT", 40), ("web /", 20), ("web->app /a", 20)],
    );
}

#[test]
fn a_callee_that_took_longer_than_its_caller_measured_leaves_no_gap() {
    assert_charges(
        &[
            Told("web", Server, "/", 1, 0, 0, 100),
            Told("web", Client, "app", 2, 1, 10, 90),
            Told("app", Server, "/a", 3, 2, 10, 95),
        ],
        &[("app /a", 80), ("web /", 20)],
    );
}

#[test]
fn a_child_that_outlasts_its_parent_is_cut_and_counts_up_to_there() {
    assert_charges(
        &[Told("web", Server, "/", 1, 0, 0, 100), Told("web", Client, "postgresql", 2, 1, 60, 150)],
        &[("postgresql SELECT", 40), ("web /", 60)],
    );
}

#[test]
fn of_calls_side_by_side_the_one_that_was_waited_for_is_charged() {
    assert_charges(
        &[
            Told("web", Server, "/", 1, 0, 0, 100),
            Told("web", Client, "slow.example", 2, 1, 10, 90),
            Told("web", Client, "quick.example", 3, 1, 10, 40),
        ],
        &[("httpslow.example slow.example", 80), ("web /", 20)],
    );
}

#[test]
fn who_hands_a_message_over_does_not_wait_for_it() {
    let told = [
        Told("web", Server, "/", 1, 0, 0, 50),
        Told("web", Producer, "jobs", 2, 1, 10, 20),
        Told("mailer", Consumer, "jobs", 3, 2, 30, 900),
    ];
    let expected = [("aws_sqs send", 10), ("mailer process jobs", 870), ("web /", 40)];
    assert_charges(&told, &expected);
    let requests = traces(&told).requests(Capture::Subject);
    let flows: Vec<(Flow, u64)> = requests.list.iter().map(|one| (one.flow, one.nanos / 1_000_000)).collect();
    assert_eq!(flows, [(Flow::Front, 50), (Flow::Behind, 870)]);
}

#[test]
fn a_call_that_carries_another_counts_once() {
    let told = [
        Told("web", Server, "/", 1, 0, 0, 50),
        Told("web", Client, "postgresql", 2, 1, 10, 40),
        Told("web", Client, "postgresql", 3, 2, 12, 38),
    ];
    assert_charges(&told, &[("postgresql SELECT", 30), ("web /", 20)]);
    assert_eq!(traces(&told).requests(Capture::Subject).visits.len(), 2);
}

#[test]
fn a_gateways_childless_span_beside_the_callee_takes_it_in() {
    let expected = [("app /a", 70), ("gateway /", 10), ("gateway->app /a", 20)];
    for away_ms in [0, 60] {
        assert_charges(
            &[
                Told("gateway", Server, "/", 1, 0, 0, 100),
                Told("gateway", Client, "app", 2, 1, 5, 95),
                Told("app", Server, "/a", 3, 1, 15 + away_ms, 85 + away_ms),
            ],
            &expected,
        );
    }
}

#[test]
fn where_nobody_gives_kinds_structure_tells_calls() {
    assert_charges(
        &[
            Told("web", Unspecified, "page", 1, 0, 0, 100),
            Told("web", Unspecified, "call app", 2, 1, 10, 90),
            Told("app", Unspecified, "a", 3, 2, 20, 80),
        ],
        &[("app a", 60), ("web page", 20), ("web->app a", 20)],
    );
}

#[test]
fn a_call_whose_other_half_is_missing_is_a_gap_if_others_have_it() {
    let mut told = vec![
        Told("web", Server, "/", 1, 0, 0, 100),
        Told("web", Client, "app", 2, 1, 0, 40),
        Told("app", Server, "/a", 3, 2, 0, 40),
        Told("web", Client, "app", 4, 1, 40, 100),
    ];
    assert_charges(&told, &[("app /a", 40), ("web->app app", 60)]);
    told.remove(2);
    assert_charges(&told, &[("httpapp app", 40), ("httpapp app", 60)]);
}

#[test]
fn orphans_are_counted_and_are_no_requests() {
    let mut traces = traces(&[
        Told("web", Server, "/", 1, 0, 0, 100),
        Told("app", Server, "/a", 3, 2, 20, 80),
        Told("app", Client, "postgresql", 4, 3, 30, 40),
    ]);
    let requests = traces.requests(Capture::Subject);
    assert_eq!((requests.list.len(), requests.orphans, requests.incomplete, requests.traces), (1, 2, 1, 1));
}

#[test]
fn over_the_ceiling_whole_traces_go() {
    let one = traces(&[Told("web", Server, "/", 1, 0, 0, 100), Told("web", Client, "postgresql", 2, 1, 10, 20)]);
    let mut kept = Traces::new(200 * size_of::<Kept>());
    for trace in 1..=1_000 {
        for span in &one.spans {
            kept.keep(Kept { trace: TraceId(trace), ..*span });
        }
    }
    assert!(kept.spans.len() <= 200 && kept.spans.len() > 50, "{}", kept.spans.len());
    assert!(kept.kept_one_in() >= 8);
    assert!(kept.spans.chunk_by(|one, other| one.trace == other.trace).all(|trace| trace.len() == 2));
}

fn any_span(id: u64) -> impl Strategy<Value = Told> {
    let services = prop::sample::select(vec!["web", "app", "mailer"]);
    let kinds = prop::sample::select(vec![Unspecified, Internal, Server, Client, Producer, Consumer]);
    let names = prop::sample::select(vec!["", "app", "postgresql", "jobs"]);
    (services, kinds, names, 0..=id, 0..300_u64, 0..200_u64).prop_map(
        move |(service, kind, of, parent, start, took)| {
            Told(service, kind, of, id, if parent == id { id + 1 } else { parent }, start, start + took)
        },
    )
}

proptest! {
    #[test]
    fn the_charges_of_a_request_sum_to_its_duration(
        told in (1..24_u64).map(any_span).collect::<Vec<_>>()
    ) {
        let requests = traces(&told).requests(Capture::Subject);
        for (place, request) in requests.list.iter().enumerate() {
            let own = requests.visits.iter().filter(|visit| visit.request as usize == place);
            prop_assert_eq!(own.map(|visit| visit.nanos).sum::<u64>(), request.nanos);
        }
    }
}

//! The simulation as such: it repeats itself, keeps the order of time, and sends what real services send.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tiertop_demo::Phase;
use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::scenario::Scenario;
use tiertop_demo::sim::command::write_json;
use tiertop_demo::sim::shapes::Shapes;
use tiertop_demo::sim::{Export, Simulation};

use crate::{START, play, play_without, scenario, spans, text};

fn short(phase: u8) -> Scenario {
    let text = format!("name = \"short\"\nphase = {phase}\nduration = \"10s\"\n[load]\nreads_per_write = 5.0");
    Scenario::parse(&text).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_telemetry_and_another_one_does_not() {
    let mut usual = short(5);
    let (first, again) = (play(&usual).exports, play(&usual).exports);
    assert!(first == again);
    usual.seed = 2;
    assert!(first != play(&usual).exports);
}

#[tokio::test]
async fn inside_a_runtime_it_is_the_same() {
    let inside = play(&short(3)).report.counts;
    assert!(inside.sent > 100 && inside.ok == inside.sent, "{inside:?}");
}

#[test]
fn telemetry_comes_in_the_order_of_time_and_spans_leave_soon_after_they_end() {
    let exports = play(&short(5)).exports;
    assert!(exports.windows(2).all(|pair| pair[0].sent_unix_nanos() <= pair[1].sent_unix_nanos()));
    for export in &exports {
        let sent = export.sent_unix_nanos();
        for (_, span) in spans(std::slice::from_ref(export)) {
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano && span.end_time_unix_nano <= sent);
            // Half a second, and once more for a process that has just started.
            assert!(sent - span.end_time_unix_nano < 1_000_000_000, "{span:?}");
        }
    }
}

#[test]
fn a_trace_holds_together_from_the_edge_to_the_stores_and_the_worker_links_to_it() {
    let exports = play(&short(5)).exports;
    let by_id: BTreeMap<&[u8], _> = spans(&exports).map(|(of, span)| (&span.span_id[..], (of, span))).collect();
    let (_, producer) = spans(&exports).find(|(_, span)| span.name == "send content").unwrap();
    let mut way = Vec::new();
    let mut next = Some(producer);
    while let Some(span) = next {
        let (of, span) = by_id[&span.span_id[..]];
        assert_eq!(span.trace_id, producer.trace_id);
        way.push(text(&of.attributes, "service.name"));
        next = by_id.get(&span.parent_span_id[..]).map(|(_, parent)| *parent);
    }
    way.dedup();
    assert_eq!(way, ["content-app", "content-web", "content-lb", "content-edge"]);
    let links = |(_, span): &(_, &opentelemetry_proto::tonic::trace::v1::Span)| {
        span.links.iter().any(|link| link.span_id == producer.span_id && link.trace_id == producer.trace_id)
    };
    assert!(spans(&exports).any(|found| links(&found) && found.1.name == "process content"));
}

#[test]
fn every_phase_serves_without_a_failure() {
    for phase in Phase::ALL {
        let outcome = play(&short(phase.number()));
        let counts = outcome.report.counts;
        assert!(counts.sent > 100 && counts.ok == counts.sent, "phase {phase}: {counts:?}");
    }
}

#[test]
fn every_process_says_who_and_where_it_is() {
    let outcome = play(&short(5));
    let mut shapes = Shapes::default();
    outcome.exports.iter().for_each(|export| shapes.take(export));
    let services: BTreeSet<&str> = shapes.metrics.iter().map(|(service, ..)| service.as_str()).collect();
    assert_eq!(services.len(), 11, "{services:?}");
    let told =
        |service: &str, metric: &str| shapes.metrics.iter().any(|(of, name, ..)| of == service && name == metric);
    for service in services {
        assert!(told(service, "process.cpu.time") && told(service, "process.memory.usage"), "{service}");
    }
    assert!(told("content-db-replica", "db.replica.lag") && told("content-cache", "cache.hits"));
    let span = |name: &str| shapes.spans.iter().any(|(_, _, of, _)| of == name);
    for name in ["GET /api/v1/content/{content_id}", "POST /api/v1/upload", "S3.PutObject", "ack content", "SET"] {
        assert!(span(name), "{name}");
    }
}

#[test]
fn nothing_in_the_telemetry_names_the_fault() {
    let mut json = Vec::new();
    for export in play(&scenario(Fault::DeployRegression, Intensity::High)).exports {
        write_json(&mut json, &export).unwrap();
    }
    let json = String::from_utf8(json).unwrap();
    assert!(!json.contains("regression") && !json.contains("fault"));
}

#[test]
fn lines_are_otlp_in_json_as_the_collector_writes_it() {
    let mut json = Vec::new();
    for export in play_without(&short(1)).exports {
        write_json(&mut json, &export).unwrap();
    }
    let lines: Vec<serde_json::Value> =
        String::from_utf8(json).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let span = lines.iter().find_map(|line| line["resourceSpans"][0]["scopeSpans"][0]["spans"].get(0)).unwrap();
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    assert!(span["startTimeUnixNano"].as_str().unwrap().parse::<u64>().is_ok());
    assert!(lines.iter().any(|line| line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].is_array()));
}

#[test]
fn sampled_spans_say_so() {
    let mut noise = scenario(Fault::HealthyNoise, Intensity::Medium);
    noise.duration = Duration::from_secs(30);
    let exports = play(&noise).exports;
    assert!(spans(&exports).any(|(_, span)| span.trace_state == "ot=th:8"));
    assert!(spans(&exports).any(|(_, span)| span.trace_state.is_empty()));
}

#[test]
fn a_fault_that_does_not_fit_is_refused_with_where_it_does() {
    let mut wrong = scenario(Fault::CacheFlush, Intensity::Low);
    wrong.phase = Phase::WEB_TIER;
    let error = Simulation::new(&wrong, SystemTime::UNIX_EPOCH + START).err().unwrap();
    assert!(error.to_string().contains("try phase 3"), "{error}");
}

#[test]
fn the_truth_has_virtual_times() {
    let flush = scenario(Fault::CacheFlush, Intensity::Low);
    let mut simulation = Simulation::new(&flush, SystemTime::UNIX_EPOCH + START).unwrap();
    let exports: Vec<Export> = simulation.by_ref().collect();
    let [line] = &simulation.truth()[..] else { panic!("one line") };
    assert_eq!(line.began_unix_nanos, (START + crate::HEALTHY).as_nanos() as u64);
    assert_eq!(line.ended_unix_nanos, (START + crate::HEALTHY + crate::LASTING).as_nanos() as u64);
    assert!(exports.last().unwrap().sent_unix_nanos() >= line.ended_unix_nanos);
}

//! Bodies captured from an instrumented Python service, with the old attribute names and the new.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tiertop_agent::decode::Signal;
use tiertop_core::observation::{Batch, MessagingOperation, SpanKind, SpanShape};

use crate::{assert_metrics_agree, assert_traces_agree, walk};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/otlp/", $name, ".pb"))
    };
}

const TRACES: [&[u8]; 9] = [
    fixture!("old-gateway.traces"),
    fixture!("old-app.traces"),
    fixture!("old-celery-worker.traces"),
    fixture!("old-celery-broker.traces"),
    fixture!("old-sqs-worker.traces"),
    fixture!("new-gateway.traces"),
    fixture!("new-app.traces"),
    fixture!("new-celery-worker.traces"),
    fixture!("new-sqs-worker.traces"),
];

const METRICS: [&[u8]; 4] = [
    fixture!("old-gateway.metrics"),
    fixture!("old-celery-worker.metrics"),
    fixture!("new-gateway.metrics"),
    fixture!("new-app.metrics"),
];

#[test]
fn captured_traces_agree_with_the_tree() {
    for body in TRACES {
        assert_traces_agree(body);
    }
}

#[test]
fn captured_metrics_agree_with_the_tree() {
    for body in METRICS {
        assert_metrics_agree(body);
    }
}

#[test]
fn a_body_cut_short_is_refused_or_shorter_and_never_panics() {
    for body in TRACES {
        let whole = walk(Signal::Traces, body).batch.spans.len();
        for end in 0..body.len() {
            let limits = tiertop_agent::decode::Limits::default();
            match tiertop_agent::decode::protobuf(Signal::Traces, &body[..end], &limits) {
                Ok(decoded) => {
                    // Only where the tree, too, takes the shorter body for a whole one.
                    ExportTraceServiceRequest::decode(&body[..end]).unwrap();
                    assert!(decoded.batch.spans.len() < whole);
                }
                Err(error) => {
                    ExportTraceServiceRequest::decode(&body[..end]).expect_err(&error.to_string());
                }
            }
        }
    }
}

fn shapes(body: &[u8], wanted: impl Fn(&SpanShape) -> bool) -> Vec<SpanShape> {
    let batch: Batch = walk(Signal::Traces, body).batch;
    batch.shapes.into_iter().filter(|shape| wanted(shape)).collect()
}

#[test]
fn a_gateway_calls_its_apps_by_address_in_both_vocabularies() {
    for body in [TRACES[0], TRACES[5]] {
        let calls = shapes(body, |shape| shape.kind == SpanKind::Client);
        assert!(!calls.is_empty());
        for call in &calls {
            assert_eq!(call.peer_address.as_deref(), Some("127.0.0.1"));
            assert!([20101, 20102].contains(&call.peer_port), "{call:?}");
            assert!(call.path_template.as_deref().unwrap().starts_with("/api/v1/"));
            assert!(call.http_status >= 200);
        }
        let served = shapes(body, |shape| shape.kind == SpanKind::Server);
        assert_eq!(served[0].http_route.as_deref(), Some("/api/v1/{path:path}"));
        assert!(served.iter().all(|shape| shape.peer_address.is_none()));
    }
}

#[test]
fn a_gateways_onward_call_has_the_path_hash_of_the_request_it_serves() {
    let batch = walk(Signal::Traces, TRACES[0]).batch;
    let hashes = |kind| -> HashSet<u64> {
        let spans = batch.spans.iter();
        spans.filter(|span| batch.shapes[span.shape as usize].kind == kind).map(|span| span.path_hash).collect()
    };
    assert!(!hashes(SpanKind::Client).is_empty());
    assert!(hashes(SpanKind::Client).is_subset(&hashes(SpanKind::Server)));
}

#[test]
fn an_apps_stores_and_queues_are_told_in_both_vocabularies() {
    for body in [TRACES[1], TRACES[6]] {
        let inserts = shapes(body, |shape| shape.db_system.as_deref() == Some("postgresql"));
        assert!(!inserts.is_empty());
        for shape in &inserts {
            assert_eq!(shape.db_namespace.as_deref(), Some("content"));
            assert_eq!(shape.db_operation.as_deref(), Some("INSERT"));
            assert_eq!(shape.db_collection.as_deref(), Some("content_py"));
            assert!(shape.peer_port > 0);
        }
        let sends = shapes(body, |shape| shape.messaging_system.as_deref() == Some("aws.sqs"));
        assert!(sends.iter().any(|shape| shape.kind == SpanKind::Producer));
        for shape in &sends {
            assert_eq!(shape.messaging_destination.as_deref(), Some("tt-events"));
        }
        assert!(sends.iter().any(|shape| shape.rpc_service.as_deref() == Some("SQS")));
        assert!(shapes(body, |shape| shape.celery && shape.kind == SpanKind::Producer).len() == 1);
    }
}

#[test]
fn workers_poll_process_and_link_to_the_producers() {
    for body in [TRACES[4], TRACES[8]] {
        let batch = walk(Signal::Traces, body).batch;
        let operation = |operation| batch.shapes.iter().position(|shape| shape.messaging_operation == Some(operation));
        assert!(operation(MessagingOperation::Receive).is_some());
        let process = operation(MessagingOperation::Process).unwrap();
        let processed: Vec<_> = batch.spans.iter().filter(|span| span.shape as usize == process).collect();
        assert!(!processed.is_empty());
        assert!(processed.iter().all(|span| span.links_len == 1));
    }
    let puts = shapes(TRACES[2], |shape| shape.rpc_service.as_deref() == Some("S3"));
    assert_eq!(puts[0].rpc_method.as_deref(), Some("PutObject"));
}

#[test]
fn every_batch_gives_one_shape_the_same_fingerprint() {
    let first = walk(Signal::Traces, TRACES[1]).batch;
    let second = walk(Signal::Traces, TRACES[1]).batch;
    assert_eq!(first.shapes, second.shapes);
    assert_eq!(first.resources, second.resources);
    let distinct: HashSet<u64> = first.shapes.iter().map(|shape| shape.fingerprint).collect();
    assert_eq!(distinct.len(), first.shapes.len());
    assert!(first.resources.iter().all(|resource| resource.fingerprint != 0));
    assert_eq!(first.resources[0].zone.as_deref(), Some("eu-central-1a"));
    assert_eq!(first.resources[0].environment.as_deref(), Some("test"));
    assert_eq!(first.resources[0].sdk_language.as_deref(), Some("python"));
}

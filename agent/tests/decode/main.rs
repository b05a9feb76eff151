//! The walk over protobuf against a slow reading of the same request's tree.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod captured;
mod clients;
mod generated;
mod reference;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tiertop_agent::decode::{self, Decoded, Limits, Signal};

/// Decodes a request that must decode.
fn walk(signal: Signal, body: &[u8]) -> Decoded {
    decode::protobuf(signal, body, &Limits::default()).unwrap()
}

/// The walk and the tree say the same of the spans in `body`.
fn assert_traces_agree(body: &[u8]) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let expected = reference::read_traces(&request);
    let Decoded { batch, refused } = walk(Signal::Traces, body);
    let sent: usize =
        request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum();
    assert_eq!(batch.spans.len() as u64 + batch.spans_ignored + refused.spans, sent as u64);
    let read = reference::spans_of(&batch);
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected);
    }
}

/// The walk and the tree say the same of the points in `body`.
fn assert_metrics_agree(body: &[u8]) {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let (expected, unused) = reference::read_metrics(&request);
    let Decoded { batch, refused } = walk(Signal::Metrics, body);
    assert_eq!(refused.points, 0, "{}", refused.message());
    assert_eq!(batch.points_unused, unused);
    let read = reference::points_of(&batch);
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected);
    }
}

//! OTLP's JSON, which few clients send, turned into the protobuf that all others send.
//!
//! The types that read it take integers as numbers or as strings, ids in hexadecimal, and step
//! over fields they do not know. `serde_json` stops at a nesting of 128.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::{logs::v1::ResourceLogs, metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};
use prost::Message;
use serde::Deserialize;

use super::Signal;

/// A request of which nobody says which it is: what it holds tells.
#[derive(Debug, Deserialize)]
struct AnyRequest {
    #[serde(rename = "resourceSpans")]
    spans: Option<Vec<ResourceSpans>>,
    #[serde(rename = "resourceMetrics")]
    metrics: Option<Vec<ResourceMetrics>>,
    #[serde(rename = "resourceLogs")]
    logs: Option<Vec<ResourceLogs>>,
}

/// The requests that a JSON object is, as protobuf; none if it is not OTLP's.
pub(super) fn any_to_protobuf(body: &[u8]) -> Result<Vec<(Signal, Vec<u8>)>, serde_json::Error> {
    let any: AnyRequest = serde_json::from_slice(body)?;
    let spans =
        any.spans.map(|resource_spans| (Signal::Traces, ExportTraceServiceRequest { resource_spans }.encode_to_vec()));
    let metrics = any
        .metrics
        .map(|resource_metrics| (Signal::Metrics, ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()));
    let logs = any.logs.map(|resource_logs| (Signal::Logs, ExportLogsServiceRequest { resource_logs }.encode_to_vec()));
    Ok([spans, metrics, logs].into_iter().flatten().collect())
}

/// The same request as protobuf.
pub(super) fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    Ok(match signal {
        Signal::Traces => serde_json::from_slice::<ExportTraceServiceRequest>(body)?.encode_to_vec(),
        Signal::Metrics => serde_json::from_slice::<ExportMetricsServiceRequest>(body)?.encode_to_vec(),
        Signal::Logs => serde_json::from_slice::<ExportLogsServiceRequest>(body)?.encode_to_vec(),
    })
}

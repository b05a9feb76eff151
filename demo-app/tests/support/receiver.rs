//! A receiver of OTLP over gRPC that gives what arrives to whoever asked for it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tiertop_demo::sim::Export;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What has been received, in the order in which it arrived.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<Export>>>);

impl Received {
    /// Starts a receiver on loopback; returns what it receives and its endpoint. Called inside a runtime.
    pub(crate) fn listen() -> io::Result<(Self, String)> {
        let received = Self::default();
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?;
        let address = incoming.local_addr()?;
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(received.clone()))
            .add_service(MetricsServiceServer::new(received.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        Ok((received, format!("http://{address}")))
    }

    /// Returns what has been received since the last time.
    pub(crate) fn take(&self) -> Vec<Export> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, export: Export) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(export);
    }
}

/// The time by this machine's clock, in nanoseconds since the Unix epoch.
pub(crate) fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(Export::Traces { sent_unix_nanos: unix_nanos(), request: request.into_inner() });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Received {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.keep(Export::Metrics { sent_unix_nanos: unix_nanos(), request: request.into_inner() });
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

//! The metrics of services, by the current semantic conventions: durations in seconds, levels as
//! up-down counters.

use std::net::SocketAddr;
use std::time::Instant;

use http::Method;
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use opentelemetry::{KeyValue, global};

use crate::telemetry::attributes;
use crate::telemetry::spans::method_name;
use crate::telemetry::statements::Statement;

/// Bucket bounds that the conventions advise for HTTP and messaging, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bucket bounds that the conventions advise for databases, in seconds.
const DATABASE_SECONDS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// A histogram of durations in seconds.
pub(crate) fn duration(name: &'static str, description: &'static str) -> Histogram<f64> {
    histogram("content", name, description, &SECONDS)
}

/// A histogram of a database client's durations in seconds.
pub(crate) fn database_duration(name: &'static str, description: &'static str) -> Histogram<f64> {
    histogram("content", name, description, &DATABASE_SECONDS)
}

/// A histogram of seconds with bounds of its own.
pub(super) fn histogram(
    scope: &'static str,
    name: &'static str,
    description: &'static str,
    bounds: &[f64],
) -> Histogram<f64> {
    global::meter(scope)
        .f64_histogram(name)
        .with_description(description)
        .with_unit("s")
        .with_boundaries(bounds.to_vec())
        .build()
}

/// What an HTTP server measures.
pub(crate) struct HttpServer {
    address: Vec<KeyValue>,
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
}

impl HttpServer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address: attributes::server(address),
            duration: duration("http.server.request.duration", "Duration of requests served."),
            active: global::meter("content")
                .i64_up_down_counter("http.server.active_requests")
                .with_description("Requests that are being served.")
                .with_unit("{request}")
                .build(),
        }
    }

    /// Counts a request as active until the returned guard is dropped.
    pub(crate) fn enter(&self, method: &Method) -> ActiveRequest<'_> {
        let attributes = attributes::with(
            self.address.clone(),
            [KeyValue::new("http.request.method", method_name(method)), KeyValue::new("url.scheme", "http")],
        );
        self.active.add(1, &attributes);
        ActiveRequest { server: self, attributes, since: Instant::now() }
    }
}

/// A request that is being served.
pub(crate) struct ActiveRequest<'a> {
    server: &'a HttpServer,
    attributes: Vec<KeyValue>,
    since: Instant,
}

impl ActiveRequest<'_> {
    /// Records the duration of the request, now that it is answered.
    pub(crate) fn answered(&self, status: u16, route: Option<&'static str>) {
        let mut attributes = self.attributes.clone();
        attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
        attributes.extend(route.map(|route| KeyValue::new("http.route", route)));
        if status >= 500 {
            attributes.push(KeyValue::new("error.type", status.to_string()));
        }
        self.server.duration.record(self.since.elapsed().as_secs_f64(), &attributes);
    }
}

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.server.active.add(-1, &self.attributes);
    }
}

/// What a client of a database or a cache measures.
pub(crate) struct DatabaseClient(Histogram<f64>);

impl DatabaseClient {
    pub(crate) fn new() -> Self {
        Self(database_duration("db.client.operation.duration", "Duration of operations."))
    }

    /// Records a statement to a database.
    pub(crate) fn statement(
        &self,
        statement: Statement,
        address: SocketAddr,
        since: Instant,
        error: Option<&'static str>,
    ) {
        let attributes = attributes::with(
            attributes::database_node(address),
            [
                KeyValue::new("db.operation.name", statement.operation),
                KeyValue::new("db.collection.name", statement.table),
                KeyValue::new("db.query.summary", statement.summary),
            ],
        );
        self.record(attributes, since, error);
    }

    /// Records a command to the cache.
    pub(crate) fn command(
        &self,
        operation: &'static str,
        address: SocketAddr,
        since: Instant,
        error: Option<&'static str>,
    ) {
        let attributes =
            attributes::with(attributes::cache_node(address), [KeyValue::new("db.operation.name", operation)]);
        self.record(attributes, since, error);
    }

    fn record(&self, mut attributes: Vec<KeyValue>, since: Instant, error: Option<&'static str>) {
        attributes.extend(error.map(|kind| KeyValue::new("error.type", kind)));
        self.0.record(since.elapsed().as_secs_f64(), &attributes);
    }
}

/// What a sender of messages measures.
pub(crate) struct Sender {
    sent: Counter<u64>,
    duration: Histogram<f64>,
}

impl Sender {
    pub(crate) fn new() -> Self {
        Self {
            sent: global::meter("content")
                .u64_counter("messaging.client.sent.messages")
                .with_description("Messages sent.")
                .with_unit("{message}")
                .build(),
            duration: duration("messaging.client.operation.duration", "Duration of operations."),
        }
    }

    /// Records a send.
    pub(crate) fn sent(&self, address: SocketAddr, since: Instant, error: Option<&'static str>) {
        let mut attributes =
            attributes::with(attributes::queue_node(address), [KeyValue::new("messaging.operation.name", "send")]);
        attributes.extend(error.map(|kind| KeyValue::new("error.type", kind)));
        self.sent.add(1, &attributes);
        attributes.push(KeyValue::new("messaging.operation.type", "send"));
        self.duration.record(since.elapsed().as_secs_f64(), &attributes);
    }
}

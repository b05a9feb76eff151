//! One constructor for each kind of span, so that call sites read calmly.
//!
//! Names and attributes follow the semantic conventions. They are set through OpenTelemetry rather
//! than as `tracing` fields, since their sets are not known where a span is made.

use std::net::SocketAddr;

use http::{HeaderMap, Method};
use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::backends;
use crate::telemetry::statements::Statement;
use crate::telemetry::{attributes, context};

/// The SERVER span of a request that came in at `address`.
pub(crate) fn server(
    method: &Method,
    path: &str,
    route: Option<&'static str>,
    headers: &HeaderMap,
    address: SocketAddr,
) -> Span {
    let method = method_name(method);
    let span = match route {
        Some(route) => root(&format!("{method} {route}"), "server"),
        None => root(method, "server"),
    };
    // A span that was just made has not started, so its parent can still be set.
    let _ = span.set_parent(context::extract(headers));
    set(&span, attributes::server(address));
    set(
        &span,
        [
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("url.path", path.to_owned()),
            KeyValue::new("network.protocol.version", "1.1"),
        ],
    );
    set(&span, route.map(|route| KeyValue::new("http.route", route)));
    span
}

/// The CLIENT span of a request to the server at `address`.
pub(crate) fn http_client(method: &Method, path: &str, address: SocketAddr) -> Span {
    let span = child(method_name(method), "client");
    set(&span, http_request(method, path, address));
    span
}

/// The CLIENT span of a request to a peer that sends no telemetry, which is known by the name we have for it.
pub(crate) fn http_peer(
    method: &Method,
    path: &str,
    template: &'static str,
    peer: &'static str,
    address: SocketAddr,
) -> Span {
    let span = child(&format!("{} {template}", method_name(method)), "client");
    set(&span, http_request(method, path, address));
    set(&span, [KeyValue::new("url.template", template), KeyValue::new("peer.service", peer)]);
    span
}

/// The CLIENT span of a command to the cache.
pub(crate) fn cache(operation: &'static str, address: SocketAddr) -> Span {
    let span = child(operation, "client");
    set(&span, attributes::cache_node(address));
    set(&span, [KeyValue::new("db.operation.name", operation)]);
    span
}

/// The CLIENT span of a statement to a database.
pub(crate) fn database(statement: Statement, address: SocketAddr) -> Span {
    let span = child(statement.summary, "client");
    set(&span, attributes::database_node(address));
    set(
        &span,
        [
            KeyValue::new("db.operation.name", statement.operation),
            KeyValue::new("db.collection.name", statement.table),
            KeyValue::new("db.query.summary", statement.summary),
            KeyValue::new("db.query.text", backends::here().statement(statement.text)),
        ],
    );
    span
}

/// The CLIENT span of a call to the object store, as clients of S3-compatible stores send it.
pub(crate) fn object_store(method: &'static str, key: &str, address: SocketAddr) -> Span {
    let span = child(&format!("S3.{method}"), "client");
    set(&span, attributes::object_store_node(address));
    set(
        &span,
        [
            KeyValue::new("rpc.service", "S3"),
            KeyValue::new("rpc.method", method),
            KeyValue::new("aws.s3.key", key.to_owned()),
        ],
    );
    span
}

/// The PRODUCER span of a message that is sent.
pub(crate) fn send(address: SocketAddr) -> Span {
    messaging(child("send content", "producer"), "send", "send", address)
}

/// The CLIENT span of settling a message: its acknowledgement or its release.
pub(crate) fn settle(operation: &'static str, message: i64, address: SocketAddr) -> Span {
    let span = child(&format!("{operation} content"), "client");
    set(&span, [KeyValue::new("messaging.message.id", message.to_string())]);
    messaging(span, "settle", operation, address)
}

/// The CONSUMER span of a message that is processed: a trace of its own, linked to the producer.
pub(crate) fn process(message: i64, traceparent: Option<&str>, address: SocketAddr) -> Span {
    let span = root("process content", "consumer");
    if let Some(producer) = traceparent.and_then(context::linked) {
        span.add_link(producer);
    }
    set(&span, [KeyValue::new("messaging.message.id", message.to_string())]);
    messaging(span, "process", "process", address)
}

/// The INTERNAL span of waiting for a free connection; the pool's name goes with a database's.
pub(crate) fn pool_acquire(database_pool: Option<&str>) -> Span {
    let span = child("pool.acquire", "internal");
    set(&span, database_pool.map(|pool| KeyValue::new("db.client.connection.pool.name", pool.to_owned())));
    span
}

/// What both kinds of HTTP clients say of a request.
fn http_request(method: &Method, path: &str, address: SocketAddr) -> Vec<KeyValue> {
    attributes::with(
        attributes::server(address),
        [
            KeyValue::new("http.request.method", method_name(method)),
            KeyValue::new("url.full", format!("http://{address}{path}")),
            KeyValue::new("network.protocol.version", "1.1"),
        ],
    )
}

/// Sets attributes on a span.
pub(crate) fn set(span: &Span, attributes: impl IntoIterator<Item = KeyValue>) {
    for attribute in attributes {
        span.set_attribute(attribute.key, attribute.value);
    }
}

/// Marks a span as failed with a low-cardinality kind of error.
pub(crate) fn fail(span: &Span, kind: &str, description: String) {
    span.set_attribute("error.type", kind.to_owned());
    span.set_status(Status::error(description));
}

fn messaging(span: Span, kind: &'static str, operation: &'static str, address: SocketAddr) -> Span {
    set(&span, attributes::queue_node(address));
    set(&span, [KeyValue::new("messaging.operation.type", kind), KeyValue::new("messaging.operation.name", operation)]);
    span
}

fn child(name: &str, kind: &'static str) -> Span {
    info_span!("span", otel.name = name, otel.kind = kind)
}

fn root(name: &str, kind: &'static str) -> Span {
    info_span!(parent: None, "span", otel.name = name, otel.kind = kind)
}

/// Returns a method's name, or the conventions' stand-in for one that is not known.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "_OTHER",
    }
}

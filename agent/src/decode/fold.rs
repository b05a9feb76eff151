//! Folding a span's attributes, old names and new, into a [`SpanShape`].
//!
//! Of two names for one meaning the new one is read; the old one only when the new one is absent
//! or empty. What has no bound is reduced by [`tiertop_core::text`].

use std::borrow::Cow;
use std::hash::BuildHasher;

use tiertop_core::observation::{MessagingOperation, SpanKind, SpanShape, SpanStatus};
use tiertop_core::text::{STATEMENT_BYTES_READ, StatementSummary, path_template, statement_summary};

use super::address::{Url, path_only, queue_name, split_host_port, split_url};
use super::attributes::{Scalar, Slot, Slots, kept};
use super::fingerprint::HASHING;
use crate::wire::text;

/// Longest path or URL that is read.
const URL_BYTES: usize = 2048;

/// What the spans of one scope have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Index of the resource.
    pub(super) resource: u32,
    /// The resource's fingerprint.
    pub(super) resource_fingerprint: u64,
    /// The scope's name.
    pub(super) name: &'a [u8],
    /// Hash over both.
    pub(super) key: u64,
}

impl<'a> Scope<'a> {
    pub(super) fn new(resource: u32, resource_fingerprint: u64, name: &'a [u8]) -> Self {
        let key = HASHING.hash_one((resource_fingerprint, name));
        Self { resource, resource_fingerprint, name, key }
    }
}

/// A span's parts that its shape is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanParts<'a> {
    pub(super) kind: SpanKind,
    pub(super) status: SpanStatus,
    pub(super) name: &'a [u8],
    pub(super) slots: &'a Slots<'a>,
}

/// Makes the shape of a span; its fingerprint is left to be filled in.
pub(super) fn shape(scope: &Scope<'_>, span: &SpanParts<'_>) -> SpanShape {
    let slots = span.slots;
    let own = |names: &[Slot]| slots.text(names).map(|text| kept(&text));
    let path_and_url = path(slots);
    let (peer_address, peer_port) = match span.kind {
        SpanKind::Server => (None, 0),
        _ => peer(slots, path_and_url.and_then(|(_, url)| url)),
    };
    let database = database(slots, span.name);
    let (rpc_service, rpc_method) = rpc(slots);
    SpanShape {
        fingerprint: 0,
        resource: scope.resource,
        kind: span.kind,
        status: span.status,
        name: kept(without_query(&text(span.name))),
        scope: (!scope.name.is_empty()).then(|| kept(&text(scope.name))),
        http_method: own(&[Slot::HttpMethod, Slot::HttpMethodOld]),
        http_route: own(&[Slot::HttpRoute]),
        http_status: slots
            .integer(&[Slot::HttpStatus, Slot::HttpStatusOld])
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(0),
        path_template: path_and_url.map(|(path, _)| kept(&path_template(path))),
        peer_address,
        peer_port,
        peer_service: own(&[Slot::PeerService]),
        db_system: own(&[Slot::DbSystem, Slot::DbSystemOld]),
        db_namespace: own(&[Slot::DbNamespace, Slot::DbName, Slot::DbRedisIndex]),
        db_operation: database.operation.map(|word| kept(&word)),
        db_collection: database.collection.map(|name| kept(&name)),
        db_queue_work: database.queue_work,
        messaging_system: own(&[Slot::MessagingSystem]),
        messaging_destination: own(&[Slot::MessagingDestination, Slot::MessagingDestinationOld])
            .or_else(|| queue_of_url(slots).map(kept))
            .or_else(|| slots.text(&[Slot::SnsTopicArn]).map(|arn| kept(queue_name(&arn)))),
        messaging_operation: messaging_operation(slots),
        messaging_empty: is_empty_poll(slots),
        rpc_system: own(&[Slot::RpcSystem, Slot::RpcSystemOld]),
        rpc_service: rpc_service.map(|name| kept(&name)),
        rpc_method: rpc_method.map(|name| kept(&name)),
        s3_bucket: own(&[Slot::S3Bucket]),
        faas_trigger: own(&[Slot::FaasTrigger]),
        celery: slots.celery,
        error_type: own(&[Slot::ErrorType]),
        tier: own(&[Slot::Tier]),
        cache_status: own(&[Slot::CacheStatus]),
        cache_hit: cache_hit(slots),
        health_check: is_checker(slots) || path_and_url.is_some_and(|(path, _)| is_health_path(path)),
    }
}

/// A name without the query of a path in it: queries hold users' data.
fn without_query(name: &str) -> &str {
    match name.split_once('?') {
        Some((before, _)) if before.rsplit(' ').next().is_some_and(|word| word.contains('/')) => before,
        _ => name,
    }
}

/// The raw path and, if it came out of a full URL, that URL's parts.
///
/// The URL is looked at even when the path is sent by itself: it may be all there is of the host.
pub(super) fn path<'a>(slots: &Slots<'a>) -> Option<(&'a str, Option<Url<'a>>)> {
    let url = readable(slots, Slot::UrlFull).or_else(|| readable(slots, Slot::HttpUrl)).map(split_url);
    let path = readable(slots, Slot::UrlPath)
        .or_else(|| readable(slots, Slot::HttpTarget))
        .map(|path| if path.starts_with('/') { path_only(path) } else { split_url(path).path })
        .or_else(|| url.map(|url| url.path))?;
    Some((if path.is_empty() { "/" } else { path }, url))
}

/// The text of a slot as it lies on the wire, if it is valid and not empty; cut at [`URL_BYTES`].
fn readable<'a>(slots: &Slots<'a>, slot: Slot) -> Option<&'a str> {
    let Scalar::Text(bytes) = Scalar::read(slots.raw(slot)?)? else {
        return None;
    };
    let bytes = bytes.get(..URL_BYTES).unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    (!text.is_empty()).then_some(text)
}

fn peer(slots: &Slots<'_>, url: Option<Url<'_>>) -> (Option<Box<str>>, u16) {
    let port_of = |names: &[Slot]| slots.integer(names).and_then(|port| u16::try_from(port).ok());
    let told = port_of(&[Slot::ServerPort, Slot::NetPeerPort]).filter(|port| *port != 0);
    if let Some(address) = slots.text(&[Slot::ServerAddress, Slot::NetPeerName]) {
        let (host, port) = split_host_port(&address);
        let port = told.or(port).or_else(|| port_of(&[Slot::NetworkPeerPort]));
        return (Some(kept(host)), port.unwrap_or(0));
    }
    if let Some(url) = url.filter(|url| !url.host.is_empty()) {
        return (Some(kept(url.host)), told.unwrap_or(url.port));
    }
    if let Some(address) = slots.text(&[Slot::HttpHost]) {
        let (host, port) = split_host_port(&address);
        return (Some(kept(host)), told.or(port).unwrap_or(0));
    }
    let address =
        slots.text(&[Slot::NetworkPeerAddress, Slot::NetSockPeerName, Slot::NetSockPeerAddress, Slot::NetPeerIp]);
    let Some(address) = address else {
        return (None, 0);
    };
    let port = port_of(&[Slot::NetworkPeerPort, Slot::NetSockPeerPort]);
    (Some(kept(split_host_port(&address).0)), told.or(port).unwrap_or(0))
}

/// The database product, as sent.
pub(super) fn db_system<'a>(slots: &Slots<'a>) -> Option<Cow<'a, str>> {
    slots.text(&[Slot::DbSystem, Slot::DbSystemOld])
}

/// The start of the statement as it lies on the wire.
pub(super) fn statement<'a>(slots: &Slots<'a>) -> Option<&'a [u8]> {
    [Slot::DbQueryText, Slot::DbStatement].into_iter().find_map(|slot| match Scalar::read(slots.raw(slot)?)? {
        Scalar::Text(bytes) if !bytes.is_empty() => Some(bytes.get(..STATEMENT_BYTES_READ).unwrap_or(bytes)),
        _ => None,
    })
}

/// What a statement does.
pub(super) fn statement_summary_of(system: &str, statement: &[u8]) -> StatementSummary {
    statement_summary(system, &text(statement))
}

/// Operation and collection: the attributes, then the client's own summary, then the statement,
/// and for clients that send none of these the span's name (as Python's psycopg does).
fn database(slots: &Slots<'_>, name: &[u8]) -> StatementSummary {
    let Some(system) = db_system(slots) else {
        return StatementSummary::default();
    };
    let read = statement(slots).map(|statement| statement_summary_of(&system, statement));
    let from_statement = read.unwrap_or_default();
    let summary = slots.text(&[Slot::DbQuerySummary]).unwrap_or_default();
    let mut summary_words = summary.split_whitespace();
    let summary_verb = summary_words.next();
    let summary_target = summary_words.next();

    let told = slots
        .text(&[Slot::DbOperation, Slot::DbOperationOld])
        .and_then(|operation| operation.split_whitespace().next().map(upper_unless_mixed))
        .or_else(|| summary_verb.map(upper_unless_mixed));
    let operation = match (told, from_statement.operation) {
        // The statement knows more, as with SELECT FOR UPDATE.
        (Some(told), Some(read)) if read.starts_with(&told) => Some(read),
        (Some(told), _) => Some(told),
        (None, Some(read)) => Some(read),
        (None, None) => verb_of_name(name),
    };
    StatementSummary {
        operation,
        collection: slots
            .text(&[Slot::DbCollection, Slot::DbSqlTable, Slot::DbCollectionOther])
            .map(Cow::into_owned)
            .or_else(|| summary_target.map(str::to_owned))
            .or(from_statement.collection),
        queue_work: from_statement.queue_work,
    }
}

/// Commands are upper case whoever writes them; names of calls such as `findAndModify` stay.
fn upper_unless_mixed(word: &str) -> String {
    let mixed = word.contains(|c: char| c.is_ascii_lowercase()) && word.contains(|c: char| c.is_ascii_uppercase());
    if mixed { word.to_owned() } else { word.to_ascii_uppercase() }
}

fn verb_of_name(name: &[u8]) -> Option<String> {
    let word = name.split(|byte| *byte == b' ').next()?;
    let plain = (2..=24).contains(&word.len()) && word.iter().all(u8::is_ascii_alphabetic);
    plain.then(|| upper_unless_mixed(&text(word)))
}

/// The queue's name out of its URL.
pub(super) fn queue_of_url<'a>(slots: &Slots<'a>) -> Option<&'a str> {
    [Slot::SqsQueueUrl, Slot::MessagingUrl, Slot::AwsQueueUrl]
        .into_iter()
        .find_map(|slot| readable(slots, slot))
        .map(queue_name)
        .filter(|name| !name.is_empty())
}

fn messaging_operation(slots: &Slots<'_>) -> Option<MessagingOperation> {
    let read = |slot| {
        let word = slots.text(&[slot])?;
        Some(match word.to_ascii_lowercase().as_str() {
            "create" | "send" | "publish" => MessagingOperation::Send,
            "receive" | "poll" => MessagingOperation::Receive,
            "process" | "deliver" => MessagingOperation::Process,
            "settle" | "ack" | "nack" | "complete" | "delete" => MessagingOperation::Settle,
            _ => return None,
        })
    };
    [Slot::MessagingOperationType, Slot::MessagingOperationOld, Slot::MessagingOperationName].into_iter().find_map(read)
}

/// Whether a poll says that it found nothing.
pub(super) fn is_empty_poll(slots: &Slots<'_>) -> bool {
    slots.integer(&[Slot::MessagingBatchCount]) == Some(0)
}

/// Service and method: the pair, or both in `rpc.method`.
fn rpc<'a>(slots: &Slots<'a>) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let service = slots.text(&[Slot::RpcService]);
    let Some(method) = slots.text(&[Slot::RpcMethod]) else {
        return (service, None);
    };
    match method.trim_start_matches('/').rsplit_once('/') {
        Some((before, after)) => {
            let service = service.unwrap_or_else(|| Cow::Owned(before.to_owned()));
            (Some(service), Some(Cow::Owned(after.to_owned())))
        }
        None => (service, Some(method)),
    }
}

fn cache_hit(slots: &Slots<'_>) -> Option<bool> {
    match slots.scalar(&[Slot::CacheHit])? {
        Scalar::Flag(hit) => Some(hit),
        Scalar::Text(b"true" | b"hit" | b"HIT") => Some(true),
        Scalar::Text(b"false" | b"miss" | b"MISS") => Some(false),
        _ => None,
    }
}

/// Whether the user agent is that of a health checker.
pub(super) fn is_checker(slots: &Slots<'_>) -> bool {
    const CHECKERS: [&str; 9] = [
        "ELB-HealthChecker",
        "kube-probe",
        "GoogleHC",
        "Prometheus/",
        "Prometheus-probe",
        "Blackbox",
        "Amazon-Route53-Health-Check",
        "Consul Health Check",
        "HAProxy/healthcheck",
    ];
    let agent = readable(slots, Slot::UserAgent).or_else(|| readable(slots, Slot::UserAgentOld));
    agent.is_some_and(|agent| CHECKERS.iter().any(|checker| agent.starts_with(checker)))
}

fn is_health_path(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/livez" | "/health" | "/ping" | "/status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_queries_and_keep_placeholders() {
        assert_eq!(without_query("GET /a/b?token=secret"), "GET /a/b");
        assert_eq!(without_query("SELECT a WHERE b = ?"), "SELECT a WHERE b = ?");
        assert_eq!(without_query("GET"), "GET");
    }
}

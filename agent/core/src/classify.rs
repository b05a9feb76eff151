//! What a span is about: the rules by which a shape becomes work of a service or a call to a peer.
//!
//! First match wins:
//! 1. SERVER spans and spans of a function behind HTTP are the service's own requests;
//! 2. CONSUMER spans that process a message, and functions fed by a queue, are a worker's requests;
//! 3. calls: messaging attributes, SQS-like services, Celery, queue work on a key-value store: a queue;
//! 4. S3-like calls: an object store; `DynamoDB` and other stores without SQL: nosql; Redshift and
//!    the like: a warehouse; Redis, Valkey, Memcached: a cache;
//! 5. other database systems: a database, whose role is learned from traffic;
//! 6. other CLIENT spans: a service at an address, which is `external` while no SERVER span of it arrives;
//! 7. everything else is work inside a process.
//!
//! `tiertop.tier` on a span or resource, and the user's rules, override the *kind* of what was found
//! here; they are applied where kinds are looked up.

mod vocabulary;

use crate::observation::{MessagingOperation, SpanKind, SpanShape, SpanStatus};
use vocabulary::{SqlVerb, StoreClass};

/// What a span is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Work inside a process: no request of its own.
    Inside,
    /// A request that the service took.
    Serve {
        /// The span says that the service is itself a store: a cache that sends spans, for example.
        store: Option<PeerClass>,
    },
    /// A message that a worker took.
    Process,
    /// A call to a peer.
    Call {
        /// Whom.
        peer: Peer,
        /// What for.
        act: Act,
    },
}

/// What kind of thing a peer is, as far as one span tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PeerClass {
    /// Redis, Valkey, Memcached.
    Cache,
    /// A database with SQL, primary or replica.
    Database,
    /// A store without SQL.
    Nosql,
    /// S3 and the like.
    ObjectStore,
    /// A queue, topic or stream.
    Queue,
    /// A store for analysis.
    Warehouse,
    /// Another service, known or external.
    Service,
}

impl PeerClass {
    /// Whether a call of class `inner` within one of this class is how this one was carried.
    pub(crate) fn absorbs(self, inner: Self) -> bool {
        inner == Self::Service || self == inner || (self == Self::Queue && inner == Self::Cache)
    }
}

/// Somebody who is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// What kind of thing it is.
    pub class: PeerClass,
    /// The product, under one name for old and new values: `postgresql`, `redis`, `aws_sqs`, `http`.
    pub system: Box<str>,
    /// Database, queue, bucket or `peer.service`; may be empty.
    pub name: Box<str>,
    /// Host; may be empty.
    pub address: Box<str>,
    /// Port; 0 when unknown.
    pub port: u16,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// A request like any other.
    Request,
    /// A read from a store that may lag or miss.
    Read,
    /// A write to a store.
    Write,
    /// A message sent.
    Send,
    /// A poll for messages, which may wait long: not a request.
    Poll,
    /// A message acknowledged or deleted after it was done: not a request.
    Settle,
    /// A connection or other housekeeping: not a request.
    Housekeeping,
}

impl Act {
    /// Whether a span of this act counts as a request.
    pub fn counts(self) -> bool {
        !matches!(self, Self::Poll | Self::Settle | Self::Housekeeping)
    }
}

/// Tells what spans of this shape are about.
pub fn subject(shape: &SpanShape) -> Subject {
    match shape.kind {
        SpanKind::Server if is_fed_function(shape) => Subject::Process,
        SpanKind::Server => Subject::Serve { store: shape.db_system.as_deref().map(store_class) },
        SpanKind::Consumer if takes_message(shape) => Subject::Process,
        SpanKind::Client | SpanKind::Producer | SpanKind::Consumer => call(shape),
        SpanKind::Internal | SpanKind::Unspecified => Subject::Inside,
    }
}

/// A function fed by a queue, stream or timer is a worker, whatever kind its span has.
fn is_fed_function(shape: &SpanShape) -> bool {
    matches!(shape.faas_trigger.as_deref(), Some("pubsub" | "datasource" | "timer"))
}

fn takes_message(shape: &SpanShape) -> bool {
    matches!(shape.messaging_operation, None | Some(MessagingOperation::Process))
}

fn call(shape: &SpanShape) -> Subject {
    if let Some(found) = queue_call(shape).or_else(|| aws_call(shape)).or_else(|| store_call(shape)) {
        return found;
    }
    if shape.kind != SpanKind::Client {
        // A PRODUCER or CONSUMER that names no system still hands work to a queue of some kind.
        let act = if shape.kind == SpanKind::Producer { Act::Send } else { Act::Poll };
        return Subject::Call { peer: queue_peer(shape, "messaging"), act };
    }
    let system = if shape.rpc_system.is_some() { "rpc" } else { "http" };
    let peer = peer(shape, PeerClass::Service, system, shape.peer_service.as_deref());
    if peer.address.is_empty() && peer.name.is_empty() {
        return Subject::Inside;
    }
    Subject::Call { peer, act: if is_metadata_lookup(shape) { Act::Housekeeping } else { Act::Request } }
}

/// Resource detectors ask these at start-up, mostly in vain.
fn is_metadata_lookup(shape: &SpanShape) -> bool {
    matches!(
        shape.peer_address.as_deref(),
        Some("169.254.169.254" | "169.254.170.2" | "metadata.google.internal" | "fd00:ec2::254")
    )
}

fn queue_call(shape: &SpanShape) -> Option<Subject> {
    let by_aws = shape.rpc_service.as_deref().filter(|_| is_aws(shape)).and_then(vocabulary::aws_queue);
    let system = match (&shape.messaging_system, by_aws) {
        (Some(system), _) => vocabulary::messaging_system(system),
        (None, Some(system)) => system,
        (None, None) if shape.celery => "celery",
        (None, None) if shape.messaging_destination.is_some() => "messaging",
        (None, None) if shape.db_queue_work => {
            let system = shape.db_system.as_deref().map_or("redis", vocabulary::db_system);
            let name = shape.messaging_destination.as_deref().or(shape.db_collection.as_deref());
            return Some(Subject::Call {
                peer: peer(shape, PeerClass::Queue, system, name),
                act: key_value_act(shape),
            });
        }
        (None, None) => return None,
    };
    let act = match (shape.messaging_operation, shape.kind) {
        (Some(MessagingOperation::Send), _) | (None, SpanKind::Producer) => Act::Send,
        (Some(MessagingOperation::Receive), _) | (None, SpanKind::Consumer) => Act::Poll,
        (Some(MessagingOperation::Settle), _) => Act::Settle,
        (Some(MessagingOperation::Process), _) => Act::Housekeeping,
        (None, _) => shape.rpc_method.as_deref().map_or(Act::Housekeeping, vocabulary::aws_queue_act),
    };
    // boto3 tells "send" from "receive" by the call's name alone, on spans that also say messaging.system.
    let act = match shape.rpc_method.as_deref() {
        Some(method) if by_aws.is_some() => vocabulary::aws_queue_act(method),
        _ => act,
    };
    Some(Subject::Call { peer: queue_peer(shape, system), act })
}

/// Blocking reads of a list are polls; pushes are sends; the rest keeps the broker going.
fn key_value_act(shape: &SpanShape) -> Act {
    match operation_word(shape).as_str() {
        "LPUSH" | "RPUSH" | "XADD" | "EVALSHA" | "PUBLISH" => Act::Send,
        "BRPOP" | "BLPOP" | "BRPOPLPUSH" | "BLMOVE" | "BZPOPMIN" | "XREAD" | "XREADGROUP" | "RPOP" | "LPOP" => {
            Act::Poll
        }
        _ => Act::Housekeeping,
    }
}

fn queue_peer(shape: &SpanShape, system: &str) -> Peer {
    peer(shape, PeerClass::Queue, system, shape.messaging_destination.as_deref())
}

fn is_aws(shape: &SpanShape) -> bool {
    shape.rpc_system.as_deref().is_some_and(|system| system.starts_with("aws"))
}

fn aws_call(shape: &SpanShape) -> Option<Subject> {
    let service = shape.rpc_service.as_deref().filter(|_| is_aws(shape));
    let method = shape.rpc_method.as_deref().unwrap_or(&shape.name);
    if shape.s3_bucket.is_some() || service == Some("S3") || shape.peer_address.as_deref().is_some_and(is_s3_host) {
        let act = if vocabulary::reads_object(method) { Act::Read } else { Act::Write };
        let peer = peer(shape, PeerClass::ObjectStore, "s3", shape.s3_bucket.as_deref());
        return Some(Subject::Call { peer, act });
    }
    match service? {
        "DynamoDB" => {
            let peer = peer(shape, PeerClass::Nosql, "dynamodb", shape.db_collection.as_deref());
            Some(Subject::Call { peer, act: if vocabulary::reads_object(method) { Act::Read } else { Act::Write } })
        }
        service @ ("Redshift" | "RedshiftData" | "Redshift Data" | "Athena") => {
            Some(Subject::Call { peer: peer(shape, PeerClass::Warehouse, service, None), act: Act::Request })
        }
        service => {
            Some(Subject::Call { peer: peer(shape, PeerClass::Service, "aws", Some(service)), act: Act::Request })
        }
    }
}

fn is_s3_host(host: &str) -> bool {
    host.starts_with("s3.") || host.starts_with("s3-") || host.contains(".s3.") || host.contains(".s3-")
}

fn store_call(shape: &SpanShape) -> Option<Subject> {
    let sent = shape.db_system.as_deref()?;
    let system = vocabulary::db_system(sent);
    let class = store_class(sent);
    let act = match class {
        PeerClass::Cache if vocabulary::keeps_connection(&operation_word(shape)) => Act::Housekeeping,
        PeerClass::Cache if vocabulary::reads_cache(&operation_word(shape)) => Act::Read,
        PeerClass::Cache => Act::Write,
        _ => match sql_verb(shape) {
            SqlVerb::Read => Act::Read,
            SqlVerb::Write => Act::Write,
            SqlVerb::Connect => Act::Housekeeping,
            SqlVerb::Other => Act::Request,
        },
    };
    // A Redis "namespace" is a database number, which names nothing that people know.
    let name = shape.db_namespace.as_deref().filter(|_| class != PeerClass::Cache);
    Some(Subject::Call { peer: peer(shape, class, system, name), act })
}

fn store_class(sent: &str) -> PeerClass {
    match vocabulary::store_class(vocabulary::db_system(sent)) {
        StoreClass::Cache => PeerClass::Cache,
        StoreClass::Nosql => PeerClass::Nosql,
        StoreClass::Warehouse => PeerClass::Warehouse,
        StoreClass::Database => PeerClass::Database,
    }
}

fn sql_verb(shape: &SpanShape) -> SqlVerb {
    if let Some(operation) = &shape.db_operation {
        return vocabulary::sql_verb(operation);
    }
    // "SELECT content", "pg.query:SELECT content", "pg-pool.connect": the name is all there is.
    let words = shape.name.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.take(3).map(vocabulary::sql_verb).find(|verb| *verb != SqlVerb::Other).unwrap_or(SqlVerb::Other)
}

/// The command of a key-value store, upper case.
fn operation_word(shape: &SpanShape) -> String {
    let text = shape.db_operation.as_deref().unwrap_or(&shape.name);
    let word = text.split_whitespace().next().unwrap_or_default();
    // Node names Redis spans "redis-GET".
    word.rsplit_once('-').map_or(word, |(_, command)| command).to_ascii_uppercase()
}

fn peer(shape: &SpanShape, class: PeerClass, system: &str, name: Option<&str>) -> Peer {
    Peer {
        class,
        system: system.into(),
        name: name.unwrap_or_default().into(),
        address: shape.peer_address.as_deref().unwrap_or_default().into(),
        port: shape.peer_port,
    }
}

/// What was asked, in few and bounded words: a route, a statement's summary, a queue's name.
pub fn operation(shape: &SpanShape, subject: &Subject) -> String {
    let class = match subject {
        Subject::Inside => return shape.name.to_string(),
        Subject::Serve { .. } => PeerClass::Service,
        Subject::Process => {
            return shape
                .messaging_destination
                .as_deref()
                .map_or_else(|| shape.name.to_string(), |queue| format!("process {queue}"));
        }
        Subject::Call { peer, .. } => peer.class,
    };
    match class {
        PeerClass::Service => request_operation(shape),
        PeerClass::Cache => operation_word(shape),
        PeerClass::Queue => match subject {
            Subject::Call { act: Act::Send, .. } => "send".to_owned(),
            Subject::Call { act: Act::Poll, .. } => "receive".to_owned(),
            _ => shape.name.to_string(),
        },
        PeerClass::ObjectStore => shape.rpc_method.as_deref().unwrap_or(&shape.name).to_owned(),
        PeerClass::Database | PeerClass::Nosql | PeerClass::Warehouse => statement_operation(shape),
    }
}

fn request_operation(shape: &SpanShape) -> String {
    if let Some(place) = shape.http_route.as_deref().or(shape.path_template.as_deref()) {
        return shape.http_method.as_deref().map_or_else(|| place.to_owned(), |method| format!("{method} {place}"));
    }
    match (shape.rpc_service.as_deref(), shape.rpc_method.as_deref()) {
        (Some(service), Some(method)) => format!("{service}/{method}"),
        (None, Some(method)) => method.to_owned(),
        _ => shape.name.to_string(),
    }
}

fn statement_operation(shape: &SpanShape) -> String {
    match (shape.db_operation.as_deref().or(shape.rpc_method.as_deref()), shape.db_collection.as_deref()) {
        (Some(operation), Some(collection)) => format!("{operation} {collection}"),
        (Some(operation), None) => operation.to_owned(),
        (None, _) => shape.name.to_string(),
    }
}

/// Whether spans of this shape count as failed.
///
/// A client library marks every 4xx as an error, be it a cache miss or a bucket that is already
/// there; the server does not. So on both sides a 4xx counts only when it is throttling.
pub fn failed(shape: &SpanShape) -> bool {
    match shape.http_status {
        429 | 500..=599 => true,
        400..=499 => false,
        _ => shape.status == SpanStatus::Error && !is_expected_error(shape),
    }
}

/// Redis answers NOSCRIPT to make the client send the script: part of the protocol.
fn is_expected_error(shape: &SpanShape) -> bool {
    shape.error_type.as_deref().is_some_and(|kind| kind.contains("NOSCRIPT") || kind.contains("NoScript"))
}

#[cfg(test)]
mod tests;

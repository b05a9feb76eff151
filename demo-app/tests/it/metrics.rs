//! Every process sends the metrics of its role, and says who and where it is.

use std::collections::BTreeSet;

use crate::sink::{SeenPoint, Sink};
use crate::spans::{addressed, used};

#[tokio::test]
async fn every_process_says_who_and_where_it_is_and_sends_its_metrics() {
    let (sink, endpoint) = Sink::start();
    let demo = used(&endpoint).await;
    demo.stop().await.unwrap();
    let points = sink.points();

    let instances: BTreeSet<(String, String, String)> = points
        .iter()
        .map(|point| {
            let read = |key: &str| point.resource[key].trim_matches('"').to_owned();
            assert_eq!(read("service.namespace"), "content");
            assert_eq!(read("cloud.region"), "demo-1");
            assert_eq!(read("deployment.environment.name"), "demo");
            (read("service.name"), read("service.instance.id"), read("cloud.availability_zone"))
        })
        .collect();
    let expected = [
        ("content-app", "app-a", "demo-1a"),
        ("content-app", "app-b", "demo-1b"),
        ("content-cache", "cache-a", "demo-1a"),
        ("content-cache", "cache-b", "demo-1b"),
        ("content-db-primary", "db-primary-a", "demo-1a"),
        ("content-db-replica", "db-replica-a", "demo-1a"),
        ("content-db-replica", "db-replica-b", "demo-1b"),
        ("content-db-standby", "db-standby-b", "demo-1b"),
        ("content-edge", "edge-a", "demo-1a"),
        ("content-lb", "lb-a", "demo-1a"),
        ("content-object-store", "object-store-a", "demo-1a"),
        ("content-queue", "queue-a", "demo-1a"),
        ("content-web", "web-a", "demo-1a"),
        ("content-web", "web-b", "demo-1b"),
        ("content-worker", "worker-a", "demo-1a"),
        ("content-worker", "worker-b", "demo-1b"),
    ]
    .map(|(service, instance, zone)| (service.to_owned(), instance.to_owned(), zone.to_owned()));
    // The third party is not among them: it is somebody else's.
    assert_eq!(instances, BTreeSet::from(expected));

    for (metric, kind, unit) in PROCESS {
        let of: Vec<&SeenPoint> = points.iter().filter(|point| point.metric == *metric).collect();
        assert!(of.iter().all(|point| (point.kind, point.unit.as_str()) == (*kind, *unit)), "{metric}");
        let senders: BTreeSet<&str> = of.iter().map(|point| point.resource["service.instance.id"].as_str()).collect();
        assert_eq!(senders.len(), instances.len(), "{metric} comes from {senders:?}");
    }
    let resident = points.iter().filter(|point| point.metric == "process.memory.usage");
    assert!(resident.clone().all(|point| point.value > 1e6 && point.value < 512e6));
    let busy = points.iter().filter(|point| point.metric == "service.workers.busy");
    assert!(busy.clone().count() > 0 && busy.clone().all(|point| point.value <= 64.0));

    for (service, metric, kind, unit, labels) in METRICS {
        let found: Vec<&SeenPoint> =
            points.iter().filter(|point| point.service() == *service && point.metric == *metric).collect();
        let point = found.last().unwrap_or_else(|| panic!("{service} sends no {metric}"));
        assert_eq!((point.kind, point.unit.as_str()), (*kind, *unit), "{metric}");
        for label in *labels {
            assert!(point.attributes.contains_key(*label), "{metric} lacks {label}");
        }
        let server = labels.contains(&"server.port");
        assert!(!server || addressed(&point.attributes), "{point:?}");
    }
}

type ExpectedMetric = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const SERVER: [&str; 2] = ["server.address", "server.port"];
const HTTP: [&str; 4] = ["server.address", "server.port", "http.request.method", "http.response.status_code"];
const DB: [&str; 4] = ["server.address", "server.port", "db.system.name", "db.operation.name"];
const DATABASE: [&str; 3] = ["server.address", "server.port", "db.namespace"];
const POOL: [&str; 1] = ["db.client.connection.pool.name"];
const QUEUE: [&str; 3] = ["server.address", "server.port", "messaging.destination.name"];

const FILESYSTEM: [&str; 1] = ["system.filesystem.mountpoint"];
const FILESYSTEM_USAGE: [&str; 2] = ["system.filesystem.mountpoint", "system.filesystem.state"];

/// What every process tells of itself.
const PROCESS: &[(&str, &str, &str)] = &[
    ("process.cpu.time", "counter", "s"),
    ("process.cpu.utilization", "gauge", "1"),
    ("process.memory.usage", "level", "By"),
    ("process.memory.limit", "level", "By"),
    ("process.scheduling.delay", "histogram", "s"),
];

const METRICS: &[ExpectedMetric] = &[
    ("content-edge", "http.server.request.duration", "histogram", "s", &HTTP),
    ("content-edge", "http.client.request.duration", "histogram", "s", &HTTP),
    ("content-edge", "upstream.instances.healthy", "gauge", "{instance}", &["cloud.availability_zone"]),
    ("content-lb", "upstream.instances.healthy", "gauge", "{instance}", &["cloud.availability_zone"]),
    ("content-lb", "upstream.instances.unhealthy", "gauge", "{instance}", &["cloud.availability_zone"]),
    ("content-web", "upstream.instances.healthy", "gauge", "{instance}", &["cloud.availability_zone"]),
    ("content-app", "service.workers.max", "gauge", "{worker}", &[]),
    ("content-app", "service.workers.busy", "gauge", "{worker}", &[]),
    ("content-app", "service.workers.pending", "gauge", "{request}", &[]),
    ("content-db-primary", "service.workers.max", "gauge", "{worker}", &[]),
    ("content-lb", "http.server.request.duration", "histogram", "s", &HTTP),
    ("content-lb", "http.server.active_requests", "level", "{request}", &SERVER),
    ("content-lb", "http.client.request.duration", "histogram", "s", &HTTP),
    ("content-web", "http.server.request.duration", "histogram", "s", &HTTP),
    ("content-web", "http.client.request.duration", "histogram", "s", &HTTP),
    ("content-app", "http.server.request.duration", "histogram", "s", &["http.route"]),
    ("content-app", "db.client.operation.duration", "histogram", "s", &DB),
    (
        "content-app",
        "db.client.connection.count",
        "level",
        "{connection}",
        &["db.client.connection.pool.name", "db.client.connection.state"],
    ),
    ("content-app", "db.client.connection.max", "level", "{connection}", &POOL),
    ("content-app", "db.client.connection.pending_requests", "level", "{request}", &POOL),
    ("content-app", "db.client.connection.wait_time", "histogram", "s", &POOL),
    ("content-app", "messaging.client.sent.messages", "counter", "{message}", &QUEUE),
    ("content-worker", "messaging.process.duration", "histogram", "s", &QUEUE),
    ("content-cache", "cache.hits", "counter", "{hit}", &SERVER),
    ("content-cache", "cache.misses", "counter", "{miss}", &SERVER),
    ("content-cache", "cache.evictions", "counter", "{item}", &SERVER),
    ("content-cache", "cache.items", "gauge", "{item}", &SERVER),
    ("content-cache", "cache.memory.usage", "gauge", "By", &SERVER),
    ("content-cache", "cache.sent", "counter", "By", &SERVER),
    ("content-db-primary", "db.file.size", "gauge", "By", &DATABASE),
    ("content-db-primary", "db.lock.waiting", "gauge", "{session}", &DATABASE),
    ("content-db-primary", "db.lock.wait_time", "histogram", "s", &DATABASE),
    ("content-db-primary", "system.filesystem.usage", "level", "By", &FILESYSTEM_USAGE),
    ("content-db-primary", "system.filesystem.limit", "level", "By", &FILESYSTEM),
    ("content-db-standby", "db.replica.lag", "gauge", "s", &DATABASE),
    ("content-db-replica", "db.replica.lag", "gauge", "s", &DATABASE),
    ("content-queue", "queue.depth", "gauge", "{message}", &QUEUE),
    ("content-queue", "queue.in_flight", "gauge", "{message}", &QUEUE),
    ("content-queue", "queue.oldest_message.age", "gauge", "s", &QUEUE),
    ("content-queue", "queue.receives", "counter", "{message}", &QUEUE),
    ("content-queue", "queue.redeliveries", "counter", "{message}", &QUEUE),
    ("content-object-store", "object_store.objects.written", "counter", "{object}", &SERVER),
];

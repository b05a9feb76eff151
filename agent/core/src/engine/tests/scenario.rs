//! A system that sends telemetry, for scenarios: services by name, spans by their place in a request.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::choice::{ChoiceRules, Chosen};
use crate::config::{Config, Limits, TimeRules};
use crate::engine::Engine;
use crate::id::{SpanId, TraceId};
use crate::observation::{
    AttributeValue, Batch, MessagingOperation, Metric, MetricKind, ParentPlace, Point, PointValue, Resource, Span,
    SpanKind, SpanLink, SpanShape, Temporality,
};
use crate::snapshot::{IngestCounts, Snapshot, TierView};
use crate::time::UnixNanos;

/// When scenarios begin.
const BEGIN_S: u64 = 1_800_000_000;
/// How long after a second's end its telemetry arrives.
const DELAY_NANOS: u64 = 300_000_000;

pub(super) struct System {
    engine: Engine,
    second: u64,
    next_id: u64,
}

/// A span on its way.
#[derive(Clone)]
pub(super) struct Sent {
    service: String,
    shape: SpanShape,
    pub(super) span: Span,
    pub(super) link: Option<SpanLink>,
}

impl Sent {
    pub(super) fn is_of(&self, service: &str) -> bool {
        self.service == service
    }
}

impl System {
    pub(super) fn new() -> Self {
        Self::with_limits(|_| ())
    }

    pub(super) fn with_limits(set: impl Fn(&mut Limits)) -> Self {
        let mut config = Config::default();
        set(&mut config.limits);
        Self::configured(config)
    }

    /// A system of which traces are chosen.
    pub(super) fn with_choice(rules: ChoiceRules) -> Self {
        Self::configured(Config { choice: Some(rules), ..Config::default() })
    }

    /// The traces that were chosen since this was last asked.
    pub(super) fn chosen(&mut self) -> Chosen {
        self.engine.take_chosen()
    }

    pub(super) fn with_time(set: impl Fn(&mut TimeRules)) -> Self {
        let mut config = Config::default();
        set(&mut config.time);
        Self::configured(config)
    }

    pub(super) fn configured(config: Config) -> Self {
        let engine = Engine::new(config, UnixNanos::from_seconds(BEGIN_S - 1));
        Self { engine, second: BEGIN_S, next_id: 1 }
    }

    fn arrival(&self) -> UnixNanos {
        UnixNanos::from_seconds(self.second + 1).plus_nanos(DELAY_NANOS)
    }

    /// A span of the present second that starts and ends so many milliseconds into it.
    pub(super) fn span(
        &mut self,
        service: &str,
        parent: Option<&Sent>,
        shape: SpanShape,
        start_ms: u64,
        end_ms: u64,
    ) -> Sent {
        self.next_id += 1;
        let id = self.next_id;
        let begin = UnixNanos::from_seconds(self.second);
        let span = Span {
            trace: parent.map_or(TraceId(u128::from(id)), |parent| parent.span.trace),
            id: SpanId(id),
            parent: parent.map_or(SpanId::NONE, |parent| parent.span.id),
            start: begin.plus_nanos(start_ms * 1_000_000),
            end: begin.plus_nanos(end_ms * 1_000_000),
            path_hash: if matches!(shape.kind, SpanKind::Server) || shape.http_method.is_some() { 7 } else { 0 },
            weight: 0.0,
            shape: 0,
            links_start: 0,
            links_len: 0,
            parent_place: ParentPlace::Unknown,
            offset: id as u32,
        };
        Sent { service: service.to_owned(), shape, span, link: None }
    }

    /// Sends each span in a batch of its own.
    pub(super) fn send_alone(&mut self, sent: Sent) {
        self.send(vec![sent]);
    }

    /// Sends spans in one batch.
    pub(super) fn send(&mut self, all: Vec<Sent>) {
        let mut batch = Batch { body: self.second, ..Batch::default() };
        for sent in all {
            let resource = resource_in(&mut batch, &sent.service);
            let mut shape = sent.shape;
            shape.resource = resource;
            shape.fingerprint = fingerprint(&(sent.service, format!("{shape:?}")));
            batch.shapes.push(shape);
            let links_start = batch.links.len() as u32;
            batch.links.extend(sent.link);
            let links_len = (batch.links.len() as u32 - links_start) as u16;
            batch.spans.push(Span { shape: batch.shapes.len() as u32 - 1, links_start, links_len, ..sent.span });
        }
        let now = self.arrival();
        self.engine.handle(&batch, now);
    }

    /// A read: lb, web, app, cache, and on a miss the replica. Client spans last 2 ms longer than servers'.
    pub(super) fn read_request(&mut self, hit: bool) {
        let (spans, app) = self.reach_the_app("GET");
        let get = self.span("shop", Some(&app), cache("GET"), 10, 11);
        let mut all = spans;
        all.push(get);
        if !hit {
            all.push(self.span("shop", Some(&app), db("db2", "SELECT"), 12, 20));
            all.push(self.span("shop", Some(&app), cache("SETEX"), 21, 22));
        }
        self.send(all);
    }

    /// A write: lb, web, app, the primary and the queue; then the worker, which stores a picture.
    pub(super) fn write_request(&mut self) {
        let all = self.write_spans();
        self.send(all);
    }

    /// The spans of a write, with a PRODUCER whose transport is a span of its own.
    pub(super) fn write_spans(&mut self) -> Vec<Sent> {
        let (spans, app) = self.reach_the_app("POST");
        let insert = self.span("shop", Some(&app), db("db1", "INSERT"), 10, 18);
        let send = self.span("shop", Some(&app), queue(SpanKind::Producer, None), 19, 21);
        let mut work =
            self.span("jobs-worker", None, queue(SpanKind::Consumer, Some(MessagingOperation::Process)), 40, 80);
        work.link = Some(SpanLink { trace: send.span.trace, span: send.span.id });
        let store = self.span(
            "jobs-worker",
            Some(&work),
            SpanShape {
                kind: SpanKind::Client,
                name: "S3.PutObject".into(),
                s3_bucket: Some("pictures".into()),
                rpc_method: Some("PutObject".into()),
                ..SpanShape::default()
            },
            45,
            70,
        );
        let carried = self.span("shop", Some(&send), queue(SpanKind::Client, Some(MessagingOperation::Send)), 19, 20);
        let mut all = spans;
        all.extend([insert, carried, send, store, work]);
        all
    }

    fn reach_the_app(&mut self, method: &str) -> (Vec<Sent>, Sent) {
        let serve = || SpanShape {
            kind: SpanKind::Server,
            http_method: Some(method.into()),
            path_template: Some("/content/{id}".into()),
            ..SpanShape::default()
        };
        let lb = self.span("entry", None, serve(), 0, 100);
        let to_web = self.span("entry", Some(&lb), call("web1", 80), 1, 99);
        let web = self.span("front", Some(&to_web), serve(), 2, 98);
        let to_app = self.span("front", Some(&web), call("app1", 80), 3, 97);
        let app = self.span("shop", Some(&to_app), serve(), 4, 96);
        (vec![app.clone(), to_app, web, to_web, lb], app)
    }

    /// A gauge of the present second.
    pub(super) fn gauge(&mut self, service: &str, name: &str, unit: &str, at: &[(&str, AttributeValue)], value: f64) {
        self.metric(service, name, unit, MetricKind::Gauge, at, PointValue::Number(value));
    }

    /// A cumulative monotonic sum of the present second.
    pub(super) fn sum(&mut self, service: &str, name: &str, at: &[(&str, AttributeValue)], value: f64) {
        let kind = MetricKind::Sum { monotonic: true, temporality: Temporality::Cumulative };
        self.metric(service, name, "1", kind, at, PointValue::Number(value));
    }

    /// A cumulative histogram of the present second.
    pub(super) fn histogram(&mut self, service: &str, name: &str, unit: &str, bounds: &[f64], counts: &[u64]) {
        let count = counts.iter().sum();
        let value = PointValue::Histogram {
            count,
            sum: Some(count as f64 * 0.015),
            min: None,
            max: None,
            bounds: bounds.to_vec(),
            counts: counts.to_vec(),
        };
        self.metric(service, name, unit, MetricKind::Histogram(Temporality::Cumulative), &[], value);
    }

    /// A cumulative histogram's count and sum, without buckets.
    pub(super) fn durations(
        &mut self,
        service: &str,
        name: &str,
        at: &[(&str, AttributeValue)],
        count: u64,
        seconds: f64,
    ) {
        let value = PointValue::Histogram {
            count,
            sum: Some(seconds),
            min: None,
            max: None,
            bounds: Vec::new(),
            counts: Vec::new(),
        };
        self.metric(service, name, "s", MetricKind::Histogram(Temporality::Cumulative), at, value);
    }

    fn metric(
        &mut self,
        service: &str,
        name: &str,
        unit: &str,
        kind: MetricKind,
        at: &[(&str, AttributeValue)],
        value: PointValue,
    ) {
        self.metric_from(resource_of(service), name, unit, kind, at, value);
    }

    /// A level of the present second from a process of no service, whose resource says these things.
    pub(super) fn gauge_from(
        &mut self,
        says: &[(&str, AttributeValue)],
        name: &str,
        at: &[(&str, AttributeValue)],
        value: f64,
    ) {
        let attributes = says.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        let resource = Resource { fingerprint: fingerprint(&format!("{says:?}")), attributes, ..Resource::default() };
        self.metric_from(resource, name, "1", MetricKind::Gauge, at, PointValue::Number(value));
    }

    fn metric_from(
        &mut self,
        resource: Resource,
        name: &str,
        unit: &str,
        kind: MetricKind,
        at: &[(&str, AttributeValue)],
        value: PointValue,
    ) {
        let mut batch = Batch { resources: vec![resource], ..Batch::default() };
        let resource = 0;
        let attributes = at.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        let time = UnixNanos::from_seconds(self.second + 1);
        let start = UnixNanos::from_seconds(BEGIN_S - 100);
        let points = vec![Point { attributes, start, time, value }];
        batch.metrics.push(Metric { resource, name: name.into(), unit: unit.into(), kind, points });
        let now = self.arrival();
        self.engine.handle(&batch, now);
    }

    /// Lets the present second end; returns the snapshot of its end.
    pub(super) fn pass_second(&mut self) -> Snapshot {
        let now = self.arrival();
        self.second += 1;
        self.engine.tick(now, &IngestCounts::default())
    }

    /// The last snapshot: the agent stops.
    pub(super) fn finish(&mut self) -> Snapshot {
        let now = self.arrival();
        self.engine.finish(now, &IngestCounts::default())
    }

    /// Lets many seconds pass in which nothing arrives.
    pub(super) fn pass_quietly(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(30) {
            self.second += 30;
            self.pass_second();
        }
    }

    /// The snapshot half a second after the last second's telemetry arrived.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        let now = UnixNanos::from_seconds(self.second).plus_nanos(DELAY_NANOS + 500_000_000);
        self.engine.tick(now, &IngestCounts::default())
    }
}

fn resource_in(batch: &mut Batch, service: &str) -> u32 {
    if let Some(place) = batch.resources.iter().position(|resource| *resource.service_name == *service) {
        return place as u32;
    }
    batch.resources.push(resource_of(service));
    batch.resources.len() as u32 - 1
}

fn resource_of(service: &str) -> Resource {
    Resource {
        fingerprint: fingerprint(&service),
        service_name: service.into(),
        instance: Some(format!("{service}-a").into()),
        ..Resource::default()
    }
}

fn fingerprint(of: &impl Hash) -> u64 {
    FixedState::default().hash_one(of)
}

pub(super) fn call(address: &str, port: u16) -> SpanShape {
    SpanShape {
        kind: SpanKind::Client,
        name: "GET".into(),
        http_method: Some("GET".into()),
        peer_address: Some(address.into()),
        peer_port: port,
        ..SpanShape::default()
    }
}

pub(super) fn db(address: &str, statement: &str) -> SpanShape {
    SpanShape {
        kind: SpanKind::Client,
        name: statement.into(),
        db_system: Some("postgresql".into()),
        db_namespace: Some("orders".into()),
        db_operation: Some(statement.into()),
        db_collection: Some("orders".into()),
        peer_address: Some(address.into()),
        peer_port: 5432,
        ..SpanShape::default()
    }
}

fn cache(command: &str) -> SpanShape {
    SpanShape {
        kind: SpanKind::Client,
        name: command.into(),
        db_system: Some("redis".into()),
        db_operation: Some(command.into()),
        peer_address: Some("cache1".into()),
        peer_port: 6379,
        ..SpanShape::default()
    }
}

fn queue(kind: SpanKind, operation: Option<MessagingOperation>) -> SpanShape {
    SpanShape {
        kind,
        name: "jobs".into(),
        messaging_system: Some("aws.sqs".into()),
        messaging_destination: Some("jobs".into()),
        messaging_operation: operation,
        ..SpanShape::default()
    }
}

pub(super) fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.tiers.iter().map(|tier| tier.id.as_str()).collect()
}

pub(super) fn tier<'a>(snapshot: &'a Snapshot, id: &str) -> &'a TierView {
    snapshot.tiers.iter().find(|tier| tier.id == id).unwrap_or_else(|| panic!("no {id} in {:?}", ids(snapshot)))
}

//! A made-up shop: a gateway, an application on two instances in two zones, a cache before a replica, a
//! primary, an object store, a store without SQL, somebody else's payment service, a queue and a worker.
//!
//! [`Shop`] says how long everything takes and what fails; [`Shop::requests`] plays so many requests.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::diagnosis::{Question, Report, Signals, diagnose};
use crate::engine::naming::{Party, TierName};
use crate::id::{SpanId, TraceId};
use crate::observation::{Batch, MessagingOperation, ParentPlace, Resource, Span, SpanKind, SpanShape, SpanStatus};
use crate::tier::TierKind;
use crate::time::UnixNanos;
use crate::traces::{Capture, Traces};

/// How the shop works: milliseconds, and shares from 0 to 1.
#[derive(Clone)]
pub(in crate::diagnosis) struct Shop {
    /// Between the gateway's call and the application's work.
    pub(in crate::diagnosis) gap_ms: f64,
    /// Own work of the application's two instances.
    pub(in crate::diagnosis) app_ms: [f64; 2],
    /// One in so many requests of the second instance stands still for 400 ms; 0 for none.
    pub(in crate::diagnosis) stall_one_in: u64,
    /// Version of the second instance.
    pub(in crate::diagnosis) version: &'static str,
    /// Share of requests that the second instance takes.
    pub(in crate::diagnosis) second_share: f64,
    pub(in crate::diagnosis) cache_ms: f64,
    pub(in crate::diagnosis) miss_share: f64,
    pub(in crate::diagnosis) replica_ms: f64,
    pub(in crate::diagnosis) primary_read_ms: f64,
    pub(in crate::diagnosis) insert_ms: f64,
    pub(in crate::diagnosis) update_ms: f64,
    pub(in crate::diagnosis) object_ms: f64,
    pub(in crate::diagnosis) nosql_ms: f64,
    pub(in crate::diagnosis) payment_ms: f64,
    pub(in crate::diagnosis) worker_ms: f64,
    /// Share of calls to this tier that fail.
    pub(in crate::diagnosis) failing: Option<(TierKind, f64)>,
    /// Only writes to the primary fail.
    pub(in crate::diagnosis) reads_fail: bool,
    pub(in crate::diagnosis) between_ms: u64,
}

impl Default for Shop {
    fn default() -> Self {
        Self {
            gap_ms: 1.0,
            app_ms: [5.0, 5.0],
            stall_one_in: 0,
            version: "1",
            second_share: 0.5,
            cache_ms: 1.0,
            miss_share: 0.2,
            replica_ms: 6.0,
            primary_read_ms: 5.0,
            insert_ms: 8.0,
            update_ms: 8.0,
            object_ms: 15.0,
            nosql_ms: 5.0,
            payment_ms: 20.0,
            worker_ms: 30.0,
            failing: None,
            reads_fail: true,
            between_ms: 50,
        }
    }
}

/// Spans on their way, and a source of chance that gives the same each time.
struct Play<'s> {
    shop: &'s Shop,
    batch: Batch,
    trace: u128,
    next: u64,
    chance: u64,
}

impl Shop {
    /// The spans of so many requests, which begin at a second of the day.
    pub(in crate::diagnosis) fn requests(&self, count: u64, second: u64) -> Batch {
        let mut play = Play { shop: self, batch: Batch::default(), trace: 0, next: second << 32, chance: second | 1 };
        for request in 0..count {
            let start = second * 1_000_000_000 + request * self.between_ms * 1_000_000;
            play.request(request, start);
        }
        play.batch
    }
}

/// What is said of a shop after so many requests, against 200 of a healthy one.
pub(in crate::diagnosis) fn report(shop: &Shop, count: u64) -> Report {
    report_with(shop, count, &Signals::default())
}

/// The same with what metrics say.
pub(in crate::diagnosis) fn report_with(shop: &Shop, count: u64, signals: &Signals) -> Report {
    let mut traces = Traces::new(16 << 20);
    traces.take(&Shop::default().requests(250, 1_000), Capture::Baseline);
    traces.take(&shop.requests(count, 2_000), Capture::Subject);
    let (baseline, subject) = (traces.requests(Capture::Baseline), traces.requests(Capture::Subject));
    let replica = Party::Peer(crate::classify::Peer {
        class: crate::classify::PeerClass::Database,
        system: "postgresql".into(),
        name: "orders".into(),
        address: "db2".into(),
        port: 0,
    });
    let names = BTreeMap::from([(replica, TierName { kind: TierKind::DbReplica, member: "orders".to_owned() })]);
    diagnose(Question {
        traces: &traces,
        baseline: Some(&baseline),
        subject: &subject,
        names: &names,
        signals: (&Signals::default(), signals),
        incidents: &[],
    })
}

impl Play<'_> {
    /// Evenly from 0 to 1.
    fn roll(&mut self) -> f64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 40) as f64 / (1_u64 << 24) as f64
    }

    fn request(&mut self, request: u64, start: u64) {
        self.next += 1;
        self.trace = u128::from(self.next) << 64;
        let second = self.roll() < self.shop.second_share;
        let instance = usize::from(second);
        let route = ["GET /items", "GET /pictures", "POST /orders", "GET /orders"][(request % 4) as usize];
        let root = self.id();
        let client = self.id();
        let server = self.id();
        let gap = self.jitter(self.shop.gap_ms);
        let begin = start + gap / 2 + 200_000;
        let (mut at, mut failed) = (begin + self.jitter(self.shop.app_ms[instance]) / 2, false);
        for (kind, act, ms) in self.calls(route) {
            let (ended, fails) = self.call(server, instance, kind, act, ms, at);
            (at, failed) = (ended, failed || fails);
        }
        if second && self.shop.stall_one_in > 0 && self.roll() < 1.0 / self.shop.stall_one_in as f64 {
            at += 400_000_000;
        }
        let end = at + self.jitter(self.shop.app_ms[instance]) / 2;
        let status = if failed { SpanStatus::Error } else { SpanStatus::Unset };
        let serve = || SpanShape { http_route: Some(route.into()), status, ..shape(SpanKind::Server) };
        let upto = end + gap / 2;
        self.send("shop", instance, serve(), (server, client), (begin, end));
        let call = SpanShape { peer_address: Some("shop".into()), ..serve() };
        self.send("gateway", 0, SpanShape { kind: SpanKind::Client, ..call }, (client, root), (begin - gap / 2, upto));
        self.send("gateway", 0, serve(), (root, 0), (start, upto + 200_000));
    }

    fn calls(&mut self, route: &str) -> Vec<(TierKind, &'static str, f64)> {
        let shop = self.shop;
        match route {
            "GET /items" => {
                let mut calls = vec![(TierKind::Cache, "GET", shop.cache_ms)];
                if self.roll() < shop.miss_share {
                    calls.push((TierKind::DbReplica, "SELECT", shop.replica_ms));
                }
                calls
            }
            "GET /pictures" => {
                vec![(TierKind::ObjectStore, "GetObject", shop.object_ms), (TierKind::Nosql, "Query", shop.nosql_ms)]
            }
            "POST /orders" => vec![
                (TierKind::External, "pay", shop.payment_ms),
                (TierKind::DbPrimary, "INSERT", shop.insert_ms),
                (TierKind::DbPrimary, "UPDATE", shop.update_ms),
                (TierKind::Queue, "send", 1.0),
            ],
            _ => vec![(TierKind::DbPrimary, "SELECT", shop.primary_read_ms)],
        }
    }

    /// One call of the application; returns when it ended and whether it failed.
    fn call(&mut self, parent: u64, instance: usize, kind: TierKind, act: &str, ms: f64, at: u64) -> (u64, bool) {
        let share = self.shop.failing.filter(|(tier, _)| *tier == kind).map_or(0.0, |(_, share)| share);
        let spared = kind == TierKind::DbPrimary && act == "SELECT" && !self.shop.reads_fail;
        let failed = self.roll() < share && !spared;
        let own = self.id();
        let ended = at + self.jitter(ms);
        let db = |system: &str, address: &str| SpanShape {
            db_system: Some(system.into()),
            db_namespace: Some("orders".into()),
            db_operation: Some(act.into()),
            peer_address: Some(address.into()),
            ..shape(SpanKind::Client)
        };
        let called = match kind {
            TierKind::Cache => db("redis", "cache"),
            TierKind::DbReplica => db("postgresql", "db2"),
            TierKind::DbPrimary => db("postgresql", "db1"),
            TierKind::Nosql => db("mongodb", "mongo"),
            TierKind::ObjectStore => SpanShape {
                s3_bucket: Some("pictures".into()),
                rpc_method: Some(act.into()),
                ..shape(SpanKind::Client)
            },
            TierKind::Queue => SpanShape {
                messaging_system: Some("aws.sqs".into()),
                messaging_destination: Some("jobs".into()),
                ..shape(SpanKind::Producer)
            },
            _ => SpanShape { peer_address: Some("payments.example".into()), ..shape(SpanKind::Client) },
        };
        let status = if failed { SpanStatus::Error } else { SpanStatus::Unset };
        self.send("shop", instance, SpanShape { status, ..called }, (own, parent), (at, ended));
        if kind == TierKind::Queue {
            self.work(own, ended);
        }
        (ended, failed)
    }

    /// The worker's part, which nobody waits for.
    fn work(&mut self, sent: u64, at: u64) {
        let own = self.id();
        let ended = at + 1_000_000 + self.jitter(self.shop.worker_ms);
        let fails = self.shop.failing.is_some_and(|(kind, _)| kind == TierKind::Worker);
        let share = self.shop.failing.map_or(0.0, |(_, share)| share);
        let failed = fails && self.roll() < share;
        let process = SpanShape {
            messaging_system: Some("aws.sqs".into()),
            messaging_destination: Some("jobs".into()),
            messaging_operation: Some(MessagingOperation::Process),
            status: if failed { SpanStatus::Error } else { SpanStatus::Unset },
            ..shape(SpanKind::Consumer)
        };
        self.send("mailer", 0, process, (own, sent), (at + 1_000_000, ended));
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Nanoseconds around so many milliseconds.
    fn jitter(&mut self, ms: f64) -> u64 {
        (ms * (0.85 + 0.3 * self.roll()) * 1e6) as u64
    }

    fn send(&mut self, service: &str, instance: usize, shape: SpanShape, ids: (u64, u64), times: (u64, u64)) {
        let version = if service == "shop" && instance == 1 { self.shop.version } else { "1" };
        let zone = ["a", "b"][instance];
        let resource = Resource {
            fingerprint: hash(&(service, instance, version)),
            service_name: service.into(),
            instance: Some(format!("{service}-{instance}").into()),
            version: Some(version.into()),
            zone: Some(zone.into()),
            ..Resource::default()
        };
        let fingerprint = hash(&(resource.fingerprint, format!("{shape:?}")));
        let known = self.batch.resources.iter().position(|other| other.fingerprint == resource.fingerprint);
        let place = known.unwrap_or_else(|| {
            self.batch.resources.push(resource);
            self.batch.resources.len() - 1
        });
        let known = self.batch.shapes.iter().position(|other| other.fingerprint == fingerprint);
        let shape = known.unwrap_or_else(|| {
            self.batch.shapes.push(SpanShape { fingerprint, resource: place as u32, ..shape });
            self.batch.shapes.len() - 1
        });
        self.batch.spans.push(Span {
            trace: TraceId(self.trace),
            id: SpanId(ids.0),
            parent: SpanId(ids.1),
            start: UnixNanos(times.0),
            end: UnixNanos(times.1),
            path_hash: 0,
            weight: 0.0,
            shape: shape as u32,
            links_start: 0,
            links_len: 0,
            parent_place: ParentPlace::Unknown,
            offset: 0,
        });
    }
}

fn shape(kind: SpanKind) -> SpanShape {
    SpanShape { kind, name: "call".into(), ..SpanShape::default() }
}

fn hash(of: &impl std::hash::Hash) -> u64 {
    FixedState::default().hash_one(of)
}

//! How simulated applications and workers talk to the stores: pooled connections, one CLIENT span a call.

use std::rc::Rc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::sim::app;
use crate::sim::instance::Instance;
use crate::sim::measures::Labels;
use crate::sim::names::{self, number, text, with};
use crate::sim::part::Clients;
use crate::sim::pool::Pool;
use crate::sim::queue::{Job, Message};
use crate::sim::spans::{Context, OpenSpan};
use crate::sim::statements::{Reply, Work, serve};
use crate::sim::stores;
use crate::sim::wire::{CALL_TIMEOUT, CallError};
use crate::sim::world::World;
use crate::telemetry::statements::Statement;
use crate::topology::Role;

/// Longest wait for a cache node, and for a replica, as in the real clients.
const CACHE_PATIENCE: Duration = Duration::from_millis(500);
const REPLICA_PATIENCE: Duration = Duration::from_secs(1);

/// How long a cache node that did not answer in time is not asked.
const CACHE_REST: Duration = Duration::from_secs(1);

/// How many connections are open to one node at most, as in the real clients.
const CACHE_CONNECTIONS: usize = 16;
const QUEUE_CONNECTIONS: usize = 16;
const OBJECT_CONNECTIONS: usize = 32;

/// The names of pools, by the place of the instance among its role.
const CACHE_POOLS: [&str; 4] = ["content-cache-a", "content-cache-b", "content-cache-c", "content-cache-d"];
const REPLICA_POOLS: [&str; 4] = ["content-replica-a", "content-replica-b", "content-replica-c", "content-replica-d"];

/// A process that talks to stores, and the span in which it does.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) world: Rc<World>,
    pub(super) of: Rc<Instance>,
    pub(super) context: Option<Context>,
}

impl Caller {
    pub(super) fn clients(&self) -> &Clients {
        self.of.part.clients.as_ref().expect("only roles with clients call stores")
    }

    /// Returns the pool to an instance of a role; it is made when it is needed first.
    fn pool(&self, role: Role, to: &Instance) -> Rc<Pool> {
        let settings = &self.world.settings;
        let place = || self.world.all(role).iter().position(|there| there.seat.name == to.seat.name).unwrap_or(0);
        let (key, make): (&str, &dyn Fn() -> Pool) = match role {
            Role::Primary => ("primary", &|| Pool::new(Some("content-primary"), settings.primary_pool, CALL_TIMEOUT)),
            Role::Replica => (&to.seat.name, &|| {
                let name = REPLICA_POOLS[place() % REPLICA_POOLS.len()];
                Pool::new(Some(name), settings.replica_pool, REPLICA_PATIENCE)
            }),
            Role::Cache => (&to.seat.name, &|| {
                let name = CACHE_POOLS[place() % CACHE_POOLS.len()];
                Pool::new(Some(name), CACHE_CONNECTIONS, CACHE_PATIENCE)
            }),
            Role::ObjectStore => ("object-store", &|| Pool::new(None, OBJECT_CONNECTIONS, CALL_TIMEOUT)),
            _ => ("queue", &|| Pool::new(None, QUEUE_CONNECTIONS, CALL_TIMEOUT)),
        };
        let mut pools = self.clients().pools.borrow_mut();
        if let Some(pool) = pools.get(key) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(make());
        pools.insert(key.to_owned(), Rc::clone(&pool));
        pool
    }

    /// Opens all pools that the process will have, so that their sizes are known from the start.
    pub(super) fn open_pools(&self) {
        for role in [Role::Primary, Role::Replica, Role::Cache] {
            for to in self.world.all(role) {
                self.pool(role, &to);
            }
        }
    }

    /// Returns the value's size, where the shared cache has it; the error says why that is not known.
    pub(super) async fn cached(&self, key: i64) -> Result<Option<u64>, CallError> {
        let Some(node) = self.cache_node(key) else { return Ok(None) };
        let work = stores::cache_get(Rc::clone(&node), self.world.settings.cache_bytes_per_second, key);
        self.cache_command("GET", &node, work).await
    }

    /// Keeps a value in the shared cache.
    pub(super) async fn keep(&self, key: i64, bytes: u64, ttl: Duration) {
        if let Some(node) = self.cache_node(key) {
            let at = Rc::clone(&node);
            let work = async move { stores::cache_set(&at, key, bytes, ttl) };
            // What was not kept is looked up again.
            let _ = self.cache_command("SET", &node, work).await;
        }
    }

    /// The node that has a key; none while it rests.
    fn cache_node(&self, key: i64) -> Option<Rc<Instance>> {
        let node = self.world.shard(key)?;
        let now = self.of.clock().now();
        let rests = self.clients().cache_rests.borrow().get(&node.seat.name).is_some_and(|until| *until > now);
        (!rests).then_some(node)
    }

    async fn cache_command<T: Outcome + 'static>(
        &self,
        operation: &'static str,
        node: &Rc<Instance>,
        work: impl Future<Output = T> + 'static,
    ) -> Result<T, CallError> {
        let pool = self.pool(Role::Cache, node);
        let _lease = pool.acquire(&self.of, self.context).await?;
        let since = self.of.clock().now();
        let attributes = || with(&node.peer, [text("db.operation.name", operation)]);
        let result = self.traced(SpanKind::Client, operation, attributes, node, pool.patience, work).await;
        if result.as_ref().is_err_and(|error| *error == CallError::Timeout) {
            let until = self.of.clock().now() + CACHE_REST;
            self.clients().cache_rests.borrow_mut().insert(node.seat.name.clone(), until);
        }
        self.measure_operation(operation, "", node, since, result.as_ref().err().copied(), attributes);
        result
    }

    /// Lets a database node do something.
    pub(super) async fn statement(
        &self,
        role: Role,
        to: &Rc<Instance>,
        statement: &'static Statement,
        work: Work,
    ) -> Result<Reply, CallError> {
        let pool = self.pool(role, to);
        let _lease = pool.acquire(&self.of, self.context).await?;
        let since = self.of.clock().now();
        let node = names::node(Role::Primary, to.database_address());
        let labels = || {
            with(
                &node,
                [
                    text("db.operation.name", statement.operation),
                    text("db.collection.name", statement.table),
                    text("db.query.summary", statement.summary),
                ],
            )
        };
        let attributes = || with(&labels(), [text("db.query.text", statement.text)]);
        let serving = serve(Rc::clone(&self.world), Rc::clone(to), work);
        let result = self.traced(SpanKind::Client, statement.summary, attributes, to, pool.patience, serving).await;
        let result = result.and_then(|reply| reply.map_err(CallError::Refused));
        self.measure_operation(statement.summary, "", to, since, result.as_ref().err().copied(), labels);
        result
    }

    /// Lets the primary do something.
    pub(super) async fn at_primary(&self, statement: &'static Statement, work: Work) -> Result<Reply, CallError> {
        let primary = self.world.one(Role::Primary).ok_or(CallError::NoAddress)?;
        self.statement(Role::Primary, &primary, statement, work).await
    }

    fn measure_operation(
        &self,
        name: &'static str,
        detail: &'static str,
        to: &Instance,
        since: Duration,
        error: Option<CallError>,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) {
        let error = error.map(CallError::kind);
        let labels = Labels { name, detail, error: error.unwrap_or_default(), port: to.address.port(), status: 0 };
        let took = self.of.clock().since(since).as_secs_f64();
        self.of.series.borrow_mut().record(&names::STATEMENT_DURATION, labels, (took, 1), || {
            with(&attributes(), error.map(|kind| text("error.type", kind)))
        });
    }

    /// Gets or puts an object of the object store; on one box it lies on the disk, without a span.
    pub(super) async fn object(&self, method: &'static str, key: String) -> Result<(), CallError> {
        let Some(store) = self.world.one(Role::ObjectStore) else {
            self.of.clock().sleep(Duration::from_micros(100)).await;
            return Ok(());
        };
        let pool = self.pool(Role::ObjectStore, &store);
        let _lease = pool.acquire(&self.of, self.context).await?;
        let attributes =
            || with(&store.peer, [text("rpc.service", "S3"), text("rpc.method", method), text("aws.s3.key", key)]);
        let work = stores::object(Rc::clone(&store), method == "PutObject");
        let name = if method == "PutObject" { "S3.PutObject" } else { "S3.GetObject" };
        self.traced(SpanKind::Client, name, attributes, &store, CALL_TIMEOUT, work)
            .await
            .and_then(|done| done.map_err(CallError::Refused))
    }

    /// Sends a message; it carries the context of its PRODUCER span.
    pub(super) async fn send(&self, job: Job) -> Result<(), CallError> {
        let queue = self.world.one(Role::Queue).ok_or(CallError::NoAddress)?;
        let pool = self.pool(Role::Queue, &queue);
        let _lease = pool.acquire(&self.of, self.context).await?;
        let since = self.of.clock().now();
        let mut span = OpenSpan::new(&self.of, self.context, SpanKind::Producer, "send content", || {
            with(&queue.peer, operation("send", "send"))
        });
        let work = stores::send(Rc::clone(&self.world), job, Some(span.context()));
        let result = self.world.call(&self.of, &queue, work);
        let result = self.of.clock().timeout(CALL_TIMEOUT, result).await.unwrap_or(Err(CallError::Timeout));
        let error = result.err().map(CallError::kind);
        if let Err(error) = result {
            span.fail(error.kind(), error.message());
        }
        let labels = Labels { name: "send", error: error.unwrap_or_default(), ..Labels::default() };
        let mut series = self.of.series.borrow_mut();
        let attributes = || {
            let named = with(&queue.peer, [text("messaging.operation.name", "send")]);
            with(&named, error.map(|kind| text("error.type", kind)))
        };
        series.add(&names::MESSAGES_SENT, labels, 1.0, attributes);
        let took = self.of.clock().since(since).as_secs_f64();
        series.record(&names::SEND_DURATION, labels, (took, 1), || {
            with(&attributes(), [text("messaging.operation.type", "send")])
        });
        result
    }

    /// Acknowledges or releases a message.
    pub(super) async fn settle(&self, name: &'static str, message: &Message) -> Result<(), CallError> {
        let queue = self.world.one(Role::Queue).ok_or(CallError::NoAddress)?;
        let pool = self.pool(Role::Queue, &queue);
        let _lease = pool.acquire(&self.of, self.context).await?;
        let attributes = || {
            let id = text("messaging.message.id", message.id.to_string());
            let mut all = vec![id];
            all.extend(with(&queue.peer, operation("settle", name)));
            all
        };
        let work = stores::settle(Rc::clone(&self.world), name == "ack", message.id);
        let span = if name == "ack" { "ack content" } else { "nack content" };
        self.traced(SpanKind::Client, span, attributes, &queue, CALL_TIMEOUT, work).await
    }

    /// Asks the third party for the rating of a content; that it fails is no matter.
    pub(super) async fn rating(&self, content_id: i64) {
        let Some(external) = self.world.one(Role::External) else { return };
        let since = self.of.clock().now();
        let url = format!("http://{}/ratings/{content_id}", external.address);
        let mut span = OpenSpan::new(&self.of, self.context, SpanKind::Client, "GET /ratings/{content_id}", || {
            with(
                &external.peer,
                [
                    text("http.request.method", "GET"),
                    text("url.full", url),
                    text("network.protocol.version", "1.1"),
                    text("url.template", "/ratings/{content_id}"),
                    text("peer.service", Role::External.service_name()),
                ],
            )
        });
        let asked = self.world.call(&self.of, &external, stores::rate(Rc::clone(&external)));
        let result = self.of.clock().timeout(CALL_TIMEOUT, asked).await.unwrap_or(Err(CallError::Timeout));
        let status = result.unwrap_or(0);
        let error = match result {
            Ok(200) => String::new(),
            Ok(status) => status.to_string(),
            Err(error) => error.kind().to_owned(),
        };
        if status > 0 {
            span.set(|| number("http.response.status_code", i64::from(status)));
        }
        if !error.is_empty() {
            span.fail(&error, "");
        }
        let kind = result.err().map(CallError::kind).unwrap_or_default();
        let labels = Labels { name: "rating", detail: "", error: kind, port: external.address.port(), status };
        let took = self.of.clock().since(since).as_secs_f64();
        self.of.series.borrow_mut().record(&names::CLIENT_DURATION, labels, (took, 1), || {
            let mut all = with(&external.peer, [text("http.request.method", "GET")]);
            all.extend((status > 0).then(|| number("http.response.status_code", i64::from(status))));
            all.extend((!error.is_empty()).then(|| text("error.type", error)));
            all
        });
    }

    /// Makes a call inside its span, and marks the span when the call fails.
    async fn traced<T: Outcome + 'static>(
        &self,
        kind: SpanKind,
        name: &str,
        attributes: impl FnOnce() -> Vec<KeyValue>,
        to: &Rc<Instance>,
        patience: Duration,
        work: impl Future<Output = T> + 'static,
    ) -> Result<T, CallError> {
        let mut span = OpenSpan::new(&self.of, self.context, kind, name, attributes);
        let called = self.world.call(&self.of, to, work);
        let result = self.of.clock().timeout(patience, called).await.unwrap_or(Err(CallError::Timeout));
        let refused = result.as_ref().ok().and_then(Outcome::refusal).map(CallError::Refused);
        if let Some(error) = result.as_ref().err().copied().or(refused) {
            span.fail(error.kind(), error.message());
        }
        result
    }
}

impl World {
    /// The cache node whose hash with the key is the largest (rendezvous hashing).
    fn shard(&self, key: i64) -> Option<Rc<Instance>> {
        let hash = |node: &Instance| {
            let mixed = (u64::from(node.address.port()) << 40) ^ (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 29)
        };
        self.all(Role::Cache).into_iter().max_by_key(|node| hash(node))
    }

    /// Fills the cache as the load would have left it, so that the hit rate starts where it settles. Of a
    /// content that is read `x` times in an entry's lifetime, an entry is there with probability
    /// `x / (1 + x)`, and what is left of its lifetime is spread evenly.
    pub(super) fn warm(&self) {
        let ttl = self.settings.cache_ttl;
        for (id, share) in (1_i64..).zip(crate::load::shares(&self.load)) {
            let reads = share * self.load.rate * ttl.as_secs_f64();
            let present = names::spread(3 * id as u64 + 1) < reads / (1.0 + reads);
            if let Some(node) = self.shard(id).filter(|_| present)
                && let Some(cache) = &node.part.cache
            {
                let bytes = self.contents.payload(id) + app::ENVELOPE;
                cache.entries.borrow_mut().set(id, bytes, ttl.mul_f64(names::spread(id as u64)));
            }
        }
    }
}

/// What a store answers, which may be a refusal.
trait Outcome {
    fn refusal(&self) -> Option<&'static str>;
}

impl<T> Outcome for Result<T, &'static str> {
    fn refusal(&self) -> Option<&'static str> {
        self.as_ref().err().copied()
    }
}

impl Outcome for Option<u64> {
    fn refusal(&self) -> Option<&'static str> {
        None
    }
}

impl Outcome for () {
    fn refusal(&self) -> Option<&'static str> {
        None
    }
}

/// What an operation on the queue is called.
pub(super) fn operation(kind: &'static str, name: &'static str) -> [KeyValue; 2] {
    [text("messaging.operation.type", kind), text("messaging.operation.name", name)]
}

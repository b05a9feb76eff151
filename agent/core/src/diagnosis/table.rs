//! The table of fault classes: what each shows, which phase it is the wall of, and what to do.
//!
//! The first row of which every sign is seen names the class. A row to add is a row here and a scenario
//! in `diagnosis/tests.rs`, which fails when the row is taken away. The names are those of the faults
//! that the demo plays.

use crate::phase::Phase;
use crate::tier::TierKind;
use TierKind::{
    App, Cache, DbPrimary, DbReplica, Edge, External, Lb, Nosql, ObjectStore, Queue, Warehouse, Web, Worker,
};

/// Something that is seen or not of the tier that the time or the failures were charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// It takes longer than in the baseline.
    Slower,
    /// Failures begin there.
    Failing,
    /// The time is lost between caller and callee, not in either.
    InTheGap,
    /// The time is lost in its own work.
    OwnWork,
    /// All that it is asked for is slower.
    EveryOperation,
    /// One statement or route of several is slower.
    OneOperation,
    /// Writes are slower or fail, reads are not and do not.
    WritesOnly,
    /// One of several instances is slower, the others are not.
    OneInstance,
    /// Only instances of a version that the baseline does not have.
    NewVersion,
    /// Its processors are busy, and were less so before.
    CpuBusy,
    /// Its processors are known not to be busy.
    CpuFree,
    /// Writes are slower by far more than reads are.
    WritesMost,
    /// Few requests are much slower, most are not.
    NowAndThen,
    /// Several times the requests come in.
    MoreRequests,
    /// More reads reach the stores behind a cache for each read of the cache.
    CacheMisses,
    /// Requests wait for a connection of a pool.
    PoolWaits,
    /// A replica reports that it is behind, and further behind.
    Lags,
    /// Messages in a queue grow in number or age.
    QueueGrows,
    /// Memory rises steadily.
    MemoryFills,
    /// Several times the usual instances for no more than the usual requests.
    IdleFleet,
    /// A zone that had requests has none.
    ZoneGone,
    /// One instance takes nearly all requests that several took.
    OneCarriesAll,
}

/// One class of faults.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name, kebab-case.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Kinds of the tier that shows it.
    pub kinds: &'static [TierKind],
    /// What must be seen of it, all of it.
    pub signs: &'static [Sign],
    /// What must not be seen of it, none of it.
    pub unless: &'static [Sign],
    /// The kind of tier that is the cause, where that is not the one that shows it.
    pub cause: Option<TierKind>,
    /// The phase whose wall this is.
    pub phase: Option<Phase>,
    /// What to do now.
    pub now: &'static str,
    /// What to do for good.
    pub for_good: &'static str,
}

impl Class {
    /// Whether all is seen that must be, and nothing that must not.
    pub(super) fn fits(&self, is_seen: impl Fn(Sign) -> bool) -> bool {
        self.signs.iter().all(|sign| is_seen(*sign)) && !self.unless.iter().any(|sign| is_seen(*sign))
    }
}

const ANY: &[TierKind] = &TierKind::ALL;
const SERVICES: &[TierKind] = &[Edge, Lb, Web, App, Worker];

/// The classes, the more telling first.
pub const CLASSES: &[Class] = &[
    Class {
        name: "deploy-regression",
        title: "a new version is slower or fails",
        kinds: SERVICES,
        signs: &[Sign::NewVersion],
        unless: &[],
        cause: None,
        phase: None,
        now: "roll back the new version",
        for_good: "canary deployments that watch latency and errors (CodeDeploy with alarms)",
    },
    Class {
        name: "cache-flush",
        title: "the cache misses, its reads fall through",
        kinds: &[App, Cache, DbPrimary, DbReplica, Nosql, ObjectStore],
        signs: &[Sign::CacheMisses],
        unless: &[],
        cause: Some(Cache),
        phase: Some(Phase::DatabaseReads),
        now: "let it refill; limit concurrent reads of one key; serve stale where that is allowed",
        for_good: "warm-up, expiry with jitter, request coalescing; ElastiCache with a replica",
    },
    Class {
        name: "pool-exhaustion",
        title: "requests wait for a database connection",
        kinds: &[App, Worker, DbPrimary, DbReplica],
        signs: &[Sign::PoolWaits],
        unless: &[],
        cause: Some(App),
        phase: Some(Phase::DatabaseReads),
        now: "raise the pool to what Little's law asks for; find who holds connections",
        for_good: "RDS Proxy or pgbouncer; short transactions; time limits on waiting for a connection",
    },
    Class {
        name: "traffic-spike",
        title: "several times the requests come in",
        kinds: ANY,
        signs: &[Sign::Slower, Sign::MoreRequests],
        unless: &[],
        cause: None,
        phase: Some(Phase::Spikes),
        now: "add instances of this tier; shed load at the balancer; serve stale",
        for_good: "Auto Scaling on requests per target, scheduled or predictive; CloudFront in front",
    },
    Class {
        name: "memory-leak",
        title: "its memory fills",
        kinds: ANY,
        signs: &[Sign::MemoryFills],
        unless: &[],
        cause: None,
        phase: Some(Phase::SingleBox),
        now: "restart instances one by one before it is full; take a heap profile",
        for_good: "alarm on time to full; limits; tiers on machines of their own",
    },
    Class {
        name: "over-provisioned",
        title: "far more instances than the load needs",
        kinds: &[Web, App],
        signs: &[Sign::IdleFleet],
        unless: &[],
        cause: None,
        phase: Some(Phase::Spikes),
        now: "scale in, step by step, watching latency",
        for_good: "target tracking with scale-in; schedules; smaller instances",
    },
    Class {
        name: "replica-lag",
        title: "a replica falls behind",
        kinds: &[DbReplica],
        signs: &[Sign::Lags],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "route reads by lag; stop the long query that holds replay back",
        for_good: "another or a bigger replica; reports elsewhere; Aurora",
    },
    Class {
        name: "worker-loss",
        title: "messages wait and are not taken",
        kinds: &[Worker, Queue],
        signs: &[Sign::QueueGrows],
        unless: &[],
        cause: None,
        phase: Some(Phase::Writes),
        now: "start workers; see why they stopped",
        for_good: "Auto Scaling of workers on backlog per instance, in two or more zones",
    },
    Class {
        name: "poison-message",
        title: "messages fail again and again",
        kinds: &[Worker, Queue],
        signs: &[Sign::Failing],
        unless: &[],
        cause: None,
        phase: Some(Phase::Writes),
        now: "set the failing messages aside",
        for_good: "a dead-letter queue with maxReceiveCount; backoff with jitter; idempotent work",
    },
    Class {
        name: "replica-loss",
        title: "a replica refuses reads",
        kinds: &[DbReplica],
        signs: &[Sign::Failing],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "take it out of the rotation; watch the load of the others and of the primary",
        for_good: "two or more replicas in different zones behind the reader endpoint or RDS Proxy",
    },
    Class {
        name: "disk-full",
        title: "writes fail, reads do not",
        kinds: &[DbPrimary],
        signs: &[Sign::Failing, Sign::WritesOnly],
        unless: &[],
        cause: None,
        phase: Some(Phase::Writes),
        now: "look at the free space first; drop or archive old rows",
        for_good: "storage autoscaling; archive to S3 or Redshift; alarm on time to full",
    },
    Class {
        name: "primary-failover",
        title: "the primary refuses requests",
        kinds: &[DbPrimary],
        signs: &[Sign::Failing],
        unless: &[],
        cause: None,
        phase: Some(Phase::WebTier),
        now: "see whether a standby takes over; serve reads and stale content meanwhile",
        for_good: "Multi-AZ with a standby; retries with backoff; RDS Proxy",
    },
    Class {
        name: "lock-contention",
        title: "writes wait, reads do not",
        kinds: &[DbPrimary],
        signs: &[Sign::Slower, Sign::WritesOnly],
        unless: &[Sign::CpuBusy],
        cause: None,
        phase: Some(Phase::Writes),
        now: "find the transaction that holds the lock, and end it",
        for_good: "short transactions; split the hot row; put writes through a queue",
    },
    Class {
        name: "lock-contention",
        title: "writes wait, and reads behind them",
        kinds: &[DbPrimary],
        signs: &[Sign::Slower, Sign::WritesMost, Sign::CpuFree],
        unless: &[],
        cause: None,
        phase: Some(Phase::Writes),
        now: "find the transaction that holds the lock, and end it",
        for_good: "short transactions; split the hot row; put writes through a queue",
    },
    Class {
        name: "slow-query",
        title: "one statement is slower, the others are not",
        kinds: &[DbPrimary, DbReplica, Warehouse],
        signs: &[Sign::Slower, Sign::OneOperation],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "explain the statement; add the index that it lacks",
        for_good: "Performance Insights on statements; analysis on a replica of its own",
    },
    Class {
        name: "slow-query",
        title: "reads hold the replica, and all wait for one another",
        kinds: &[DbReplica],
        signs: &[Sign::Slower, Sign::EveryOperation],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "explain the statements that take longest; add the index that they lack",
        for_good: "Performance Insights on statements; analysis on a replica of its own",
    },
    Class {
        name: "primary-cpu",
        title: "the primary's processors are busy, and statements wait for them",
        kinds: &[DbPrimary],
        signs: &[Sign::Slower, Sign::CpuBusy],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "stop the heaviest sessions; move reads to replicas and the cache",
        for_good: "ElastiCache and read replicas for reads; a bigger instance; shards for writes",
    },
    Class {
        name: "primary-cpu",
        title: "every statement of the primary is slower",
        kinds: &[DbPrimary],
        signs: &[Sign::Slower, Sign::EveryOperation],
        unless: &[Sign::CpuFree],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "stop the heaviest sessions; move reads to replicas and the cache",
        for_good: "ElastiCache and read replicas for reads; a bigger instance; shards for writes",
    },
    Class {
        name: "cache-hot-key",
        title: "the cache answers late",
        kinds: &[Cache],
        signs: &[Sign::Slower],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "look for one key or node that is far busier than the others",
        for_good: "a near cache in the application; copies of hot keys; ElastiCache cluster mode",
    },
    Class {
        name: "object-store-slow",
        title: "the object store answers late or refuses",
        kinds: &[ObjectStore],
        signs: &[],
        unless: &[],
        cause: None,
        phase: Some(Phase::DatabaseReads),
        now: "retry with jitter and a time limit; serve from the CDN",
        for_good: "CloudFront in front of S3; spread prefixes; parallel ranges",
    },
    Class {
        name: "nosql-throttle",
        title: "the store refuses what is over its capacity",
        kinds: &[Nosql],
        signs: &[Sign::Failing],
        unless: &[],
        cause: None,
        phase: Some(Phase::Writes),
        now: "raise the capacity; retry with backoff",
        for_good: "DynamoDB on demand or auto scaling; keys that spread; batches",
    },
    Class {
        name: "external-slow",
        title: "somebody else's service answers late or fails",
        kinds: &[External],
        signs: &[],
        unless: &[],
        cause: None,
        phase: None,
        now: "a short time limit; go on without it",
        for_good: "a circuit breaker; asynchronous calls; a second provider",
    },
    Class {
        name: "zone-loss",
        title: "a zone takes no requests any more",
        kinds: SERVICES,
        signs: &[Sign::ZoneGone],
        unless: &[],
        cause: None,
        phase: Some(Phase::WebTier),
        now: "take the zone out of the balancer; add instances in the others",
        for_good: "two or more zones with spare capacity; health checks; cross-zone balancing",
    },
    Class {
        name: "uneven-balance",
        title: "one instance takes nearly all requests",
        kinds: SERVICES,
        signs: &[Sign::Slower, Sign::OneCarriesAll],
        unless: &[],
        cause: None,
        phase: Some(Phase::WebTier),
        now: "look at stickiness and weights of the balancer",
        for_good: "least outstanding requests; cross-zone balancing; sessions off the instances",
    },
    Class {
        name: "gc-stalls",
        title: "one instance stands still now and then",
        kinds: SERVICES,
        signs: &[Sign::Slower, Sign::OneInstance, Sign::NowAndThen],
        unless: &[],
        cause: None,
        phase: Some(Phase::WebTier),
        now: "take the instance out; look at its garbage collection and memory",
        for_good: "outlier ejection; a tuned heap; hedged requests",
    },
    Class {
        name: "app-cpu",
        title: "its processors are busy, and requests wait for them",
        kinds: &[Lb, Web, App, Worker],
        signs: &[Sign::Slower, Sign::CpuBusy],
        unless: &[],
        cause: None,
        phase: Some(Phase::Spikes),
        now: "add instances; look at what computes",
        for_good: "Auto Scaling on CPU at 50 to 60 %; stateless instances",
    },
    Class {
        name: "network-delay",
        title: "the time is lost between caller and callee",
        kinds: SERVICES,
        signs: &[Sign::Slower, Sign::InTheGap],
        unless: &[],
        cause: None,
        phase: Some(Phase::WebTier),
        now: "look at the network, the accept queue and connections between the two",
        for_good: "same zone for what talks much; keep-alive; fewer round trips",
    },
    Class {
        name: "app-cpu",
        title: "its own work takes longer on all routes",
        kinds: &[Lb, Web, App, Worker],
        signs: &[Sign::Slower, Sign::OwnWork, Sign::EveryOperation],
        unless: &[],
        cause: None,
        phase: Some(Phase::Spikes),
        now: "add instances; look at the processor's use",
        for_good: "Auto Scaling on CPU at 50 to 60 %; stateless instances",
    },
];

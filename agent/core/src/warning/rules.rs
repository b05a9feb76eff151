//! The rules, as data. To add one, add a row, and a scenario to the tests beside it.

use crate::phase::Phase;
use crate::snapshot::SignalKind;
use crate::thresholds::{Bounds, Errors, Latency};
use crate::tier::TierKind;

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, kebab-case.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// The kinds of tier it speaks of.
    pub kinds: &'static [TierKind],
    /// What it looks at, by the bounds of the tier.
    pub watch: fn(&Bounds) -> Watch,
    /// It opens when it held in so many of the last so many seconds (at most 64).
    pub raise: (u32, u32),
    /// The phase whose wall this is.
    pub phase: Option<Phase>,
    /// What to do now.
    pub now: &'static str,
    /// What to do for good.
    pub for_good: &'static str,
    /// Callers of the tier show it too: only the deepest tier is warned of.
    pub spreads: bool,
    /// While it is open, callers of the tier, and what else they call, may be slow because of it: their
    /// latency warnings are its evidence.
    pub slows_others: bool,
    /// Not shown while this other rule is open on the same tier.
    pub unless: Option<&'static str>,
}

/// What a rule looks at, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Watch {
    /// A ratio under a bound that is not on its way up.
    Low {
        /// The signal.
        signal: SignalKind,
        /// Bad below this.
        below: f64,
        /// Critical below this.
        critical: f64,
        /// Judged only with so many requests a second.
        at_least_per_second: f64,
    },
    /// A ratio so far under what is usual for it.
    Falling {
        /// The signal.
        signal: SignalKind,
        /// Bad when it fell by this.
        by: f64,
        /// Critical when it fell by this.
        critical: f64,
        /// Judged only with so many requests a second.
        at_least_per_second: f64,
    },
    /// A level over a bound, or growing so fast once it is over a lower one.
    HighOrGrowing {
        /// The signal.
        signal: SignalKind,
        /// Bad above this.
        above: f64,
        /// Critical above this.
        critical: f64,
        /// Bad above this when growing ...
        growing_above: f64,
        /// ... by so much a second.
        growing_per_second: f64,
    },
    /// Latency so many times what is usual: at the 90th and at the 95th percentile.
    SlowerThanUsual {
        /// Bad at so many times the usual.
        times: f64,
        /// Critical at so many times the usual.
        critical: f64,
        /// And by at least so many milliseconds.
        by_ms: f64,
        /// Critical only by at least so many milliseconds: less, nobody feels.
        critical_by_ms: f64,
        /// Judged only with so many requests in the window.
        at_least: f64,
    },
    /// A share of failures so far above what is usual.
    MoreErrorsThanUsual {
        /// Bad when the ratio rose by this.
        by: f64,
        /// Critical when the ratio rose by this.
        critical: f64,
        /// Judged only with so many failures in the window.
        at_least: f64,
    },
    /// One of several instances takes nearly all requests.
    OneInstance {
        /// Bad at this share.
        share: f64,
        /// Judged only with so many requests a second.
        at_least_per_second: f64,
    },
    /// One of several zones takes nearly all requests.
    OneZone {
        /// Bad at this share.
        share: f64,
        /// Judged only with so many requests a second.
        at_least_per_second: f64,
    },
}

use TierKind::{
    App, Cache, DbPrimary, DbReplica, Edge, External, Lb, Nosql, ObjectStore, Queue, Warehouse, Web, Worker,
};

fn slower_than_usual(bounds: &Bounds) -> Watch {
    let Latency { times, critical_times, by_ms, critical_by_ms } = bounds.latency;
    Watch::SlowerThanUsual { times, critical: critical_times, by_ms, critical_by_ms, at_least: 60.0 }
}

fn more_errors_than_usual(bounds: &Bounds) -> Watch {
    let Errors { by, critical } = bounds.errors;
    Watch::MoreErrorsThanUsual { by, critical, at_least: 5.0 }
}

/// A rule on latency for some kinds; the next rows differ in phase and remedy only.
const fn slower(kinds: &'static [TierKind], phase: Option<Phase>, now: &'static str, for_good: &'static str) -> Rule {
    Rule {
        name: "latency-above-usual",
        title: "slower than usual",
        kinds,
        watch: slower_than_usual,
        raise: (8, 12),
        phase,
        now,
        for_good,
        spreads: true,
        slows_others: false,
        unless: None,
    }
}

const fn failing(kinds: &'static [TierKind], phase: Option<Phase>, now: &'static str, for_good: &'static str) -> Rule {
    Rule {
        name: "errors-above-usual",
        title: "more errors than usual",
        kinds,
        watch: more_errors_than_usual,
        raise: (5, 8),
        phase,
        now,
        for_good,
        spreads: true,
        slows_others: false,
        unless: None,
    }
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        name: "replica-lag",
        title: "replica lag",
        kinds: &[DbReplica],
        watch: |bounds| Watch::HighOrGrowing {
            signal: SignalKind::ReplicaLagSeconds,
            above: bounds.replica_lag.above_s,
            critical: bounds.replica_lag.critical_s,
            growing_above: bounds.replica_lag.growing_above_s,
            growing_per_second: 0.3,
        },
        raise: (4, 6),
        phase: Some(Phase::DatabaseReads),
        now: "route reads by lag; stop the long query that holds replay back",
        for_good: "another or a bigger replica; reports elsewhere; Aurora",
        spreads: false,
        slows_others: true,
        unless: None,
    },
    Rule {
        name: "cache-hit-rate-falling",
        title: "cache hit rate falling",
        kinds: &[Cache, Edge],
        watch: |bounds| Watch::Falling {
            signal: SignalKind::CacheHitRatio,
            by: bounds.cache.fall,
            critical: bounds.cache.fall_critical,
            at_least_per_second: 2.0,
        },
        raise: (4, 6),
        phase: Some(Phase::DatabaseReads),
        now: "flushed or restarted? warm it up, coalesce misses, watch the db",
        for_good: "jitter on TTLs, write-through, memory against evictions",
        spreads: false,
        slows_others: true,
        unless: None,
    },
    Rule {
        name: "cache-hit-rate-low",
        title: "cache hit rate low",
        kinds: &[Cache, Edge],
        watch: |bounds| Watch::Low {
            signal: SignalKind::CacheHitRatio,
            below: bounds.cache.below,
            critical: bounds.cache.below_critical,
            at_least_per_second: 5.0,
        },
        raise: (25, 30),
        phase: Some(Phase::DatabaseReads),
        now: "TTLs, keys, evictions: what is read is not what is kept",
        for_good: "ElastiCache for hot reads; memory by the working set",
        spreads: false,
        slows_others: true,
        unless: Some("cache-hit-rate-falling"),
    },
    Rule {
        name: "queue-backlog",
        title: "queue backlog",
        kinds: &[Queue],
        watch: |bounds| Watch::HighOrGrowing {
            signal: SignalKind::QueueOldestAgeSeconds,
            above: bounds.queue.age_s,
            critical: bounds.queue.age_critical_s,
            growing_above: bounds.queue.age_growing_s,
            growing_per_second: 0.4,
        },
        raise: (5, 8),
        phase: Some(Phase::Writes),
        now: "workers alive? add some; park the message that keeps failing",
        for_good: "scale workers on backlog; dead-letter queue; idempotence",
        spreads: false,
        slows_others: false,
        unless: None,
    },
    Rule {
        name: "queue-growth",
        title: "queue growing",
        kinds: &[Queue],
        watch: |bounds| Watch::HighOrGrowing {
            signal: SignalKind::QueueDepth,
            above: bounds.queue.depth,
            critical: bounds.queue.depth_critical,
            growing_above: bounds.queue.depth_growing,
            growing_per_second: 0.5,
        },
        raise: (15, 20),
        phase: Some(Phase::Writes),
        now: "arrivals outrun workers: add some, or shed the least of value",
        for_good: "scale on backlog a worker = delay allowed / time a message",
        spreads: false,
        slows_others: false,
        unless: Some("queue-backlog"),
    },
    slower(
        &[Edge, Lb, Web, App],
        Some(Phase::WebTier),
        "find the slow operation or instance; drain it; add one",
        "stateless instances in two zones behind an ALB; Auto Scaling",
    ),
    slower(
        &[DbPrimary, DbReplica, Warehouse],
        Some(Phase::DatabaseReads),
        "find the one slow statement; reads to replicas; stop reports",
        "an index, ElastiCache for hot reads, replicas, RDS Proxy",
    ),
    slower(
        &[Cache],
        Some(Phase::DatabaseReads),
        "look for a hot key or a big value; is its memory full?",
        "near-cache in the app, replicas for hot keys, cluster mode",
    ),
    slower(
        &[ObjectStore],
        Some(Phase::DatabaseReads),
        "time out and retry with jitter; serve from cache meanwhile",
        "CloudFront in front, keys over prefixes, parallel ranges",
    ),
    slower(
        &[Nosql],
        Some(Phase::Writes),
        "throttled? raise its capacity; look for a hot partition",
        "on-demand capacity, keys that spread, batches",
    ),
    slower(
        &[Queue, Worker],
        Some(Phase::Writes),
        "look at what the worker calls; add workers while it lasts",
        "scale workers on backlog; split slow work off",
    ),
    slower(
        &[External],
        None,
        "shorten its timeout; open the breaker; answer without it",
        "call it outside the request; cache its answers",
    ),
    failing(
        &[Edge, Lb, Web, App],
        Some(Phase::WebTier),
        "an instance or zone gone, a new version? drain it, roll back",
        "ALB health checks over two or more zones; canary deploys",
    ),
    failing(
        &[DbPrimary, DbReplica, Warehouse],
        Some(Phase::WebTier),
        "up? full? out of connections? serve reads and stale meanwhile",
        "Multi-AZ standby; storage autoscaling; RDS Proxy",
    ),
    failing(
        &[Cache, ObjectStore, Nosql, Queue, Worker, External],
        None,
        "see which operation fails; retry with backoff; do without it",
        "timeouts, breakers, dead-letter queues; capacity by load",
    ),
    Rule {
        name: "one-instance-carries-all",
        title: "one instance carries all",
        kinds: &[Lb, Web, App, Worker],
        watch: |bounds| Watch::OneInstance { share: bounds.balance.carries_all, at_least_per_second: 2.0 },
        raise: (8, 10),
        phase: Some(Phase::WebTier),
        now: "why do others get nothing? health checks, pinning, lost zone",
        for_good: "least outstanding requests over healthy ones in two zones",
        spreads: false,
        slows_others: false,
        unless: Some("one-zone-carries-all"),
    },
    Rule {
        name: "one-zone-carries-all",
        title: "one zone carries all",
        kinds: &[Lb, Web, App, Worker],
        watch: |bounds| Watch::OneZone { share: bounds.balance.carries_all, at_least_per_second: 2.0 },
        raise: (8, 10),
        phase: Some(Phase::WebTier),
        now: "other zone lost or left out? look at its instances' health",
        for_good: "cross-zone balancing; capacity in each for another's loss",
        spreads: false,
        slows_others: false,
        unless: None,
    },
];

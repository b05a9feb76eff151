//! Members of tiers: services and peers, with their figures.
//!
//! Figures are kept by member. What *kind* of tier a member is may be learned late (see
//! [`super::roles`]) and is looked up when reading, so that a late discovery never splits a history.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::history::History;
use super::inferred::{Flow, Lookups};
use super::processes::{Delay, ProcessId, ServiceId};
use super::roles::{Evidence, Role, store_kind};
use super::signals::Track;
use crate::classify::Peer;
use crate::slots::{Count, Slot, Slots};
use crate::snapshot::SignalKind;
use crate::tier::TierKind;
use crate::time::{UnixNanos, UnixSecond};

/// Index of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MemberId(pub(crate) u32);

/// Which side of a service a member is: one process may both serve and consume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Facet {
    /// It takes requests.
    Serves,
    /// It takes messages.
    Processes,
    /// It works without being asked: only root INTERNAL or CLIENT spans.
    Background,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// A side of a service that sends spans of its own.
    Service(ServiceId, Facet),
    /// Somebody who is called, known from the callers' spans or from metrics.
    Peer(Peer),
    /// All of a kind that came after the table was full.
    Folded(TierKind),
}

impl Identity {
    /// The kind under which this is folded when the table is full.
    fn folded_kind(&self) -> TierKind {
        match self {
            Self::Service(_, Facet::Serves) => TierKind::App,
            Self::Service(_, Facet::Processes | Facet::Background) => TierKind::Worker,
            Self::Peer(peer) => store_kind(peer.class),
            Self::Folded(kind) => *kind,
        }
    }
}

/// One process of a member.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) process: ProcessId,
    pub(crate) seconds: Slots,
}

/// What a member was asked.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) name: Box<str>,
    pub(crate) seconds: Slots,
    /// What is older, for five minutes.
    pub(crate) tens: Slots,
}

/// What a service's own duration histogram said of one interval.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) process: ProcessId,
    pub(crate) from: UnixNanos,
    pub(crate) to: UnixNanos,
    pub(crate) slot: Slot,
    /// Relative error of quantiles read from it, or `None` if the buckets are too wide to read any.
    pub(crate) quantile_error: Option<f64>,
}

/// A report speaks for the present for so many of its own intervals after it ended ...
const FRESH_INTERVALS: f64 = 2.5;
/// ... but for this long at least, and at most.
const FRESH_S: std::ops::RangeInclusive<f64> = 5.0..=90.0;

impl Reported {
    /// Seconds that it covers.
    pub(crate) fn seconds(&self) -> f64 {
        self.to.seconds_since(self.from).max(0.001)
    }

    /// Whether it still speaks for the present.
    pub(crate) fn is_fresh(&self, now: UnixNanos) -> bool {
        let patience = (FRESH_INTERVALS * self.seconds()).clamp(*FRESH_S.start(), *FRESH_S.end());
        now.seconds_since(self.to) < patience
    }
}

impl Operation {
    fn new(name: &str) -> Self {
        let (seconds, tens) = (Slots::new(1, OPERATION_SECONDS), Slots::new(10, OPERATION_TENS));
        Self { name: name.into(), seconds, tens }
    }

    /// Whether it was not asked for in the last five minutes.
    pub(crate) fn is_idle(&self) -> bool {
        self.seconds.is_empty() && self.tens.is_empty()
    }
}

/// How long reports of duration histograms are kept.
const REPORTS_KEPT_S: u64 = 300;
/// Seconds kept of each instance.
const INSTANCE_SECONDS: usize = 60;
/// Seconds kept of each operation: what the screen shows, and as long as spans may be late.
const OPERATION_SECONDS: usize = 45;
/// Spans of 10 s kept of each operation: 5 minutes.
const OPERATION_TENS: usize = 30;
/// Seconds that an inferred hit rate covers.
const HIT_WINDOW_S: u64 = 10;
/// The operation into which the long tail falls.
const OTHER: &str = "other";

/// One member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// `None` once it is retired.
    identity: Option<Identity>,
    pub(crate) history: History,
    pub(crate) instances: Vec<Instance>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) reported: VecDeque<Reported>,
    pub(crate) evidence: Evidence,
    pub(crate) role: Role,
    pub(crate) delay: Delay,
    pub(crate) first_second: Option<UnixSecond>,
    /// The last closed second of it that was handed on; `None` while nobody knows which tier it is.
    pub(crate) handed_on: Option<UnixSecond>,
    pub(crate) last_seen: UnixNanos,
    /// Spans that carried a sampling weight above one, decaying.
    pub(crate) weighted: f32,
    /// What cache reads found, as inferred from what followed them.
    pub(crate) lookups: Lookups,
    /// What goes in and out of a queue.
    pub(crate) flow: Option<Box<Flow>>,
    /// Signals worked out from spans, in case no metric says them.
    pub(crate) inferred: Vec<(SignalKind, Track)>,
    by_operation: HashMap<Box<str>, u32, FixedState>,
}

/// All members.
#[derive(Debug, Default)]
pub(crate) struct Members {
    list: Vec<Member>,
    /// Places of members that were retired.
    free: Vec<MemberId>,
    by_identity: HashMap<Identity, MemberId, FixedState>,
    /// Members that came after the table was full and were folded into "other".
    pub(crate) folded: u64,
    /// Operations folded into "other".
    pub(crate) operations_folded: u64,
}

impl Members {
    /// The member with this identity, made if it is new; over `limit`, the one that new ones of its
    /// kind are folded into.
    pub(crate) fn resolve(&mut self, identity: Identity, limit: usize, now: UnixNanos) -> MemberId {
        if let Some(id) = self.by_identity.get(&identity) {
            return *id;
        }
        if self.len() < limit {
            return self.add(identity, now);
        }
        self.folded += 1;
        let kind = identity.folded_kind();
        let folded = Identity::Folded(kind);
        if let Some(id) = self.by_identity.get(&folded) {
            return *id;
        }
        let id = self.add(folded, now);
        self.get_mut(id).role.learn(Some((kind, "more members than the limit")));
        id
    }

    fn add(&mut self, identity: Identity, now: UnixNanos) -> MemberId {
        let member = Member {
            identity: Some(identity.clone()),
            history: History::default(),
            instances: Vec::new(),
            operations: Vec::new(),
            reported: VecDeque::new(),
            evidence: Evidence::default(),
            role: Role::default(),
            delay: Delay::default(),
            first_second: None,
            handed_on: None,
            last_seen: now,
            weighted: 0.0,
            lookups: Lookups::default(),
            flow: None,
            inferred: Vec::new(),
            by_operation: HashMap::default(),
        };
        let id = if let Some(id) = self.free.pop() {
            self.list[id.0 as usize] = member;
            id
        } else {
            self.list.push(member);
            MemberId(self.list.len() as u32 - 1)
        };
        self.by_identity.insert(identity, id);
        id
    }

    /// Members there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len() - self.free.len()
    }

    /// Forgets a member; its place is used again. Nothing may point to it any more.
    pub(crate) fn retire(&mut self, id: MemberId) {
        let member = &mut self.list[id.0 as usize];
        if let Some(identity) = member.identity.take() {
            self.by_identity.remove(&identity);
            member.history = History::default();
            member.instances = Vec::new();
            member.operations = Vec::new();
            member.reported = VecDeque::new();
            member.inferred = Vec::new();
            self.free.push(id);
        }
    }

    pub(crate) fn get(&self, id: MemberId) -> &Member {
        &self.list[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: MemberId) -> &mut Member {
        &mut self.list[id.0 as usize]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        let all = self.list.iter().enumerate().map(|(index, member)| (MemberId(index as u32), member));
        all.filter(|(_, member)| member.identity.is_some())
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = (MemberId, &mut Member)> {
        let all = self.list.iter_mut().enumerate().map(|(index, member)| (MemberId(index as u32), member));
        all.filter(|(_, member)| member.identity.is_some())
    }

    /// The operation of a member with this name, made if it is new; over the limit, "other".
    pub(crate) fn operation(&mut self, id: MemberId, name: &str, limit: usize) -> u32 {
        let member = &mut self.list[id.0 as usize];
        if let Some(index) = member.by_operation.get(name) {
            return *index;
        }
        let name = if member.operations.len() + 1 < limit {
            name
        } else {
            self.operations_folded += 1;
            OTHER
        };
        let operations = &mut member.operations;
        *member.by_operation.entry(name.into()).or_insert_with(|| {
            operations.push(Operation::new(name));
            operations.len() as u32 - 1
        })
    }

    /// The place of a process among a member's instances, or `None` over the limit.
    pub(crate) fn instance(&mut self, id: MemberId, process: ProcessId, limit: usize) -> Option<u32> {
        let instances = &mut self.list[id.0 as usize].instances;
        if let Some(index) = instances.iter().position(|instance| instance.process == process) {
            return Some(index as u32);
        }
        if instances.len() >= limit {
            return None;
        }
        instances.push(Instance { process, seconds: Slots::new(1, INSTANCE_SECONDS) });
        Some(instances.len() as u32 - 1)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.list.iter().map(Member::heap_bytes).sum()
    }
}

impl Member {
    /// What it is.
    pub(crate) fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("nothing points to a retired member")
    }

    /// Counts one request.
    pub(crate) fn record(&mut self, count: Count, instance: Option<u32>, operation: u32) {
        self.history.record(count);
        self.operations[operation as usize].seconds.record(count);
        if let Some(instance) = instance {
            self.instances[instance as usize].seconds.record(count);
        }
        if self.first_second.is_none_or(|first| count.second < first) {
            self.first_second = Some(count.second);
        }
    }

    /// Takes back one request that turned out to be detail of another.
    pub(crate) fn retract(&mut self, count: Count, instance: Option<u32>, operation: u32) {
        self.history.retract(count);
        self.operations[operation as usize].seconds.retract(count);
        if let Some(instance) = instance {
            self.instances[instance as usize].seconds.retract(count);
        }
    }

    /// Forgets operations that were not asked for in the last minutes. Nothing may point to them any more.
    pub(crate) fn forget_operations(&mut self) {
        self.operations.retain(|operation| !operation.is_idle());
        let names = self.operations.iter().enumerate();
        self.by_operation = names.map(|(index, operation)| (operation.name.clone(), index as u32)).collect();
    }

    /// Closes seconds and drops what is older than its retention; once a second.
    pub(crate) fn tick(&mut self, closed: UnixSecond, now: UnixSecond) {
        self.history.close(closed, now);
        for instance in &mut self.instances {
            instance.seconds.expire(now, |_, _| ());
        }
        for operation in &mut self.operations {
            let tens = &mut operation.tens;
            operation.seconds.expire(now, |second, slot| tens.at(second).merge(&slot));
            tens.expire(now, |_, _| ());
        }
        while self.reported.front().is_some_and(|report| report.to.second().plus(REPORTS_KEPT_S) < now) {
            self.reported.pop_front();
        }
        self.delay.decay();
        self.weighted *= 0.98;
    }

    /// Works out what spans say of its signals at the end of second `edge`.
    pub(crate) fn infer(&mut self, edge: UnixSecond) {
        let ratio = self.lookups.hit_ratio(edge.minus(HIT_WINDOW_S - 1), edge);
        let backlog = self.flow.as_ref().and_then(|flow| flow.backlog(edge));
        let found = [
            (SignalKind::CacheHitRatio, "inferred: a cache read that a store read follows is a miss", ratio),
            (SignalKind::QueueDepth, "inferred: sends less completions", backlog.map(|backlog| backlog.depth as f64)),
            (
                SignalKind::QueueOldestAgeSeconds,
                "inferred: sends less completions",
                backlog.map(|backlog| backlog.oldest_age_s),
            ),
        ];
        for (kind, how, value) in found {
            let Some(value) = value else { continue };
            let place = self.inferred.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
                self.inferred.push((kind, Track::new(how)));
                self.inferred.len() - 1
            });
            self.inferred[place].1.push(edge.plus(1).start(), value);
        }
    }

    /// What spans say of a signal, if anything.
    pub(crate) fn inferred(&self, kind: SignalKind) -> Option<&Track> {
        self.inferred.iter().find(|(known, _)| *known == kind).map(|(_, track)| track)
    }

    fn heap_bytes(&self) -> usize {
        let slots = |slots: &Slots| slots.heap_bytes() + size_of::<Slots>();
        size_of::<Self>()
            + self.history.heap_bytes()
            + self.instances.iter().map(|instance| slots(&instance.seconds)).sum::<usize>()
            + self
                .operations
                .iter()
                .map(|operation| slots(&operation.seconds) + slots(&operation.tens) + 2 * operation.name.len())
                .sum::<usize>()
            + self.inferred.iter().map(|(_, track)| track.heap_bytes()).sum::<usize>()
            + self.reported.iter().map(|report| report.slot.latency.heap_bytes() + size_of::<Reported>()).sum::<usize>()
    }
}

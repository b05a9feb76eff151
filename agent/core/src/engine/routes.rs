//! What is to be done with spans of one shape, worked out once and remembered by its fingerprint.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::edges::{Caller, Edges};
use super::members::{Facet, Identity, MemberId, Members};
use super::processes::{ProcessId, Processes};
use crate::classify::{self, Act, Peer, PeerClass, Subject};
use crate::config::Limits;
use crate::observation::{SpanKind, SpanShape};
use crate::tier::TierKind;
use crate::time::UnixNanos;

/// Where a request is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) member: MemberId,
    pub(super) instance: Option<u32>,
    pub(super) operation: u32,
}

/// What is done with a span.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    /// Work inside a process; counted only when it has no parent at all.
    Inside,
    /// A request or message that the service took.
    Entry {
        target: Target,
        /// A message came from here.
        queue: Option<MemberId>,
        /// Edge from that queue.
        edge: Option<u32>,
        health_check: bool,
    },
    /// A call to a peer.
    Call {
        target: Target,
        class: PeerClass,
        act: Act,
        edge: Option<u32>,
        /// What a client said of its cache read.
        cache_hit: Option<bool>,
    },
}

/// A shape's classification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) plan: Plan,
    pub(super) kind: SpanKind,
    pub(super) failed: bool,
    /// Hash of the instrumentation that made the span.
    pub(super) scope: u64,
}

/// All routes, by the shape's fingerprint.
#[derive(Debug, Default)]
pub(super) struct Routes {
    list: Vec<Route>,
    /// What spans of each route do, in words.
    operations: Vec<Box<str>>,
    by_fingerprint: HashMap<u64, u32, FixedState>,
}

/// The tables that a route points into.
pub(super) struct Tables<'a> {
    pub(super) processes: &'a mut Processes,
    pub(super) members: &'a mut Members,
    pub(super) edges: &'a mut Edges,
    pub(super) limits: &'a Limits,
    pub(super) now: UnixNanos,
}

impl Routes {
    pub(super) fn get(&self, index: u32) -> &Route {
        &self.list[index as usize]
    }

    /// What spans of a route do, in words.
    pub(super) fn operation(&self, index: u32) -> &str {
        &self.operations[index as usize]
    }

    /// Whether so many are remembered that the table should be emptied, with the ring that points into it.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.list.len() >= limits.routes
    }

    /// The route of a shape, worked out if it is new.
    pub(super) fn resolve(&mut self, shape: &SpanShape, process: ProcessId, tables: &mut Tables<'_>) -> u32 {
        if let Some(index) = self.by_fingerprint.get(&shape.fingerprint) {
            return *index;
        }
        let scope = FixedState::default().hash_one(&shape.scope);
        let subject = classify::subject(shape);
        let operation = classify::operation(shape, &subject);
        let plan = plan((shape, subject, &operation), process, tables);
        if let Plan::Call { edge: Some(edge), .. } = plan {
            tables.edges.get_mut(edge).seen_by(scope);
        }
        let route = Route { plan, kind: shape.kind, failed: classify::failed(shape), scope };
        let index = self.list.len() as u32;
        self.list.push(route);
        self.operations.push(operation.into());
        self.by_fingerprint.insert(shape.fingerprint, index);
        index
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let words: usize = self.operations.iter().map(|words| words.len() + size_of::<Box<str>>()).sum();
        words + self.list.capacity() * size_of::<Route>() + self.by_fingerprint.capacity() * 17
    }
}

fn plan((shape, subject, operation): (&SpanShape, Subject, &str), process: ProcessId, tables: &mut Tables<'_>) -> Plan {
    match subject {
        Subject::Inside => Plan::Inside,
        Subject::Serve { store } => {
            let target = tables.entry(process, Facet::Serves, operation);
            let evidence = &mut tables.members.get_mut(target.member).evidence;
            evidence.store = evidence.store.or(store);
            evidence.cache_status |= shape.cache_status.is_some();
            evidence.said = evidence.said.or(said(shape, process, tables.processes));
            Plan::Entry { target, queue: None, edge: None, health_check: shape.health_check }
        }
        Subject::Process => {
            let target = tables.entry(process, Facet::Processes, operation);
            let queue = tables.queue_of(shape);
            let edge =
                queue.and_then(|queue| tables.edges.resolve(Caller::Queue(queue), target.member, tables.limits.edges));
            let said = said(shape, process, tables.processes);
            let evidence = &mut tables.members.get_mut(target.member).evidence;
            evidence.said = evidence.said.or(said);
            Plan::Entry { target, queue, edge, health_check: false }
        }
        Subject::Call { peer, act } => {
            let class = peer.class;
            let member = tables.peer(peer);
            let operation = tables.members.operation(member, operation, tables.limits.operations);
            let caller = Caller::Service(tables.processes.get(process).service);
            let edge = if act.counts() { tables.edges.resolve(caller, member, tables.limits.edges) } else { None };
            let said = shape.tier.as_deref().and_then(TierKind::from_name);
            let evidence = &mut tables.members.get_mut(member).evidence;
            evidence.said = evidence.said.or(said);
            Plan::Call {
                target: Target { member, instance: None, operation },
                class,
                act,
                edge,
                cache_hit: shape.cache_hit,
            }
        }
    }
}

/// What `tiertop.tier` on the span or its resource says.
fn said(shape: &SpanShape, process: ProcessId, processes: &Processes) -> Option<TierKind> {
    let text = shape.tier.as_deref().or(processes.get(process).resource.tier.as_deref())?;
    TierKind::from_name(text)
}

impl Tables<'_> {
    /// The member for one side of a process's service, and the process's place in it.
    pub(super) fn entry(&mut self, process: ProcessId, facet: Facet, operation: &str) -> Target {
        let service = self.processes.get(process).service;
        let member = self.members.resolve(Identity::Service(service, facet), self.limits.members, self.now);
        let known = self.processes.service_of_mut(process);
        match facet {
            Facet::Serves => known.serves = Some(member),
            Facet::Processes => known.processes = Some(member),
            Facet::Background => known.background = Some(member),
        }
        Target {
            member,
            instance: self.members.instance(member, process, self.limits.instances),
            operation: self.members.operation(member, operation, self.limits.operations),
        }
    }

    pub(super) fn peer(&mut self, peer: Peer) -> MemberId {
        let is_queue = peer.class == PeerClass::Queue;
        let id = self.members.resolve(Identity::Peer(identity_of(peer)), self.limits.members, self.now);
        if is_queue {
            self.members.get_mut(id).flow.get_or_insert_default();
        }
        id
    }

    /// The queue that a consumer took its message from.
    fn queue_of(&mut self, shape: &SpanShape) -> Option<MemberId> {
        shape.messaging_destination.as_ref()?;
        let producer = SpanShape { kind: SpanKind::Producer, messaging_operation: None, ..shape.clone() };
        match classify::subject(&producer) {
            Subject::Call { peer, .. } => Some(self.peer(peer)),
            _ => None,
        }
    }
}

/// What tells one peer from another. A queue or bucket is itself wherever it is reached.
pub(super) fn identity_of(peer: Peer) -> Peer {
    let named = !peer.name.is_empty();
    match peer.class {
        PeerClass::Queue | PeerClass::ObjectStore | PeerClass::Nosql if named => {
            Peer { address: "".into(), port: 0, ..peer }
        }
        _ => peer,
    }
}

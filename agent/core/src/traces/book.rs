//! What spans refer to: parties, operations, processes, and what a shape is about.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::classify::{self, Act, PeerClass, Subject};
use crate::engine::naming::{Party, Side};
use crate::observation::{Batch, Resource, SpanKind, SpanShape};

/// Index of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyId(pub(super) u32);

/// Index of an operation's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub(super) u32);

/// Index of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShapeId(u32);

/// A process, as far as instances of a service are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its instance's name, or the service's.
    pub instance: Box<str>,
    /// `service.version`.
    pub version: Option<Box<str>>,
    /// `cloud.availability_zone`.
    pub zone: Option<Box<str>>,
}

/// What a span is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// Work inside a process.
    Inside,
    /// A request that was taken.
    Serve,
    /// A message that was taken.
    Process,
    /// A call.
    Call { peer: PartyId, class: PeerClass, act: Act },
}

/// What all spans of a shape have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) what: What,
    pub(super) kind: SpanKind,
    pub(super) operation: OperationId,
    pub(super) process: u32,
    pub(super) failed: bool,
    pub(super) health_check: bool,
    /// The sender's service, by what it does: serving, processing, working unasked.
    sides: [PartyId; 3],
}

impl Shape {
    /// It takes messages, which somebody else sent and does not wait for.
    pub(super) fn takes_messages(&self) -> bool {
        self.what == What::Process
    }

    /// The sender, on one of its sides.
    pub(super) fn side(&self, side: Side) -> PartyId {
        self.sides[side as usize]
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Book {
    parties: Names<Party>,
    operations: Names<Box<str>>,
    processes: Vec<(Process, [PartyId; 3])>,
    by_resource: HashMap<u64, u32, FixedState>,
    shapes: Vec<Shape>,
    by_shape: HashMap<u64, ShapeId, FixedState>,
    has_servers: bool,
}

impl Book {
    /// The shapes of a batch, by their place in it.
    pub(super) fn shapes(&mut self, batch: &Batch) -> Vec<ShapeId> {
        batch.shapes.iter().map(|shape| self.shape(shape, &batch.resources[shape.resource as usize])).collect()
    }

    fn shape(&mut self, shape: &SpanShape, resource: &Resource) -> ShapeId {
        if let Some(known) = self.by_shape.get(&shape.fingerprint) {
            return *known;
        }
        let subject = classify::subject(shape);
        let operation = OperationId(self.operations.id(classify::operation(shape, &subject).into()));
        let what = match subject {
            Subject::Inside => What::Inside,
            Subject::Serve { .. } => What::Serve,
            Subject::Process => What::Process,
            Subject::Call { peer, act } => {
                let class = peer.class;
                What::Call { peer: PartyId(self.parties.id(Party::peer(peer))), class, act }
            }
        };
        self.has_servers |= what == What::Serve;
        let process = self.process_of(resource);
        let id = ShapeId(self.shapes.len() as u32);
        self.shapes.push(Shape {
            what,
            kind: shape.kind,
            operation,
            process,
            failed: classify::failed(shape),
            health_check: shape.health_check,
            sides: self.processes[process as usize].1,
        });
        self.by_shape.insert(shape.fingerprint, id);
        id
    }

    fn process_of(&mut self, resource: &Resource) -> u32 {
        if let Some(known) = self.by_resource.get(&resource.fingerprint) {
            return *known;
        }
        let name: Box<str> =
            if resource.service_name.is_empty() { "unnamed".into() } else { resource.service_name.clone() };
        let namespace = resource.service_namespace.clone().unwrap_or_default();
        let sides = [Side::Serves, Side::Processes, Side::Background].map(|side| {
            PartyId(self.parties.id(Party::Service { namespace: namespace.clone(), name: name.clone(), side }))
        });
        let instance = resource.instance.clone().unwrap_or(name);
        let index = self.processes.len() as u32;
        let process = Process { instance, version: resource.version.clone(), zone: resource.zone.clone() };
        self.processes.push((process, sides));
        self.by_resource.insert(resource.fingerprint, index);
        index
    }

    /// Whether any span says that it serves.
    pub(super) fn has_servers(&self) -> bool {
        self.has_servers
    }

    pub(super) fn shape_count(&self) -> usize {
        self.shapes.len()
    }

    pub(super) fn get(&self, id: ShapeId) -> &Shape {
        &self.shapes[id.0 as usize]
    }

    pub(super) fn party(&self, id: PartyId) -> &Party {
        &self.parties.list[id.0 as usize]
    }

    pub(super) fn operation(&self, id: OperationId) -> &str {
        &self.operations.list[id.0 as usize]
    }

    pub(super) fn process(&self, index: u32) -> &Process {
        &self.processes[index as usize].0
    }
}

/// Values by number.
#[derive(Debug)]
struct Names<T> {
    list: Vec<T>,
    by_value: HashMap<T, u32, FixedState>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { list: Vec::new(), by_value: HashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    fn id(&mut self, value: T) -> u32 {
        let list = &mut self.list;
        *self.by_value.entry(value).or_insert_with_key(|value| {
            list.push(value.clone());
            list.len() as u32 - 1
        })
    }
}

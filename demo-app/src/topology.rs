//! Who is in the demo: the roles of the reference system, the seat of each instance, and the
//! addresses by which they find each other.
//!
//! A *role* is what a process does, a *seat* is one process to be started (role, name, zone), and
//! *peers* are the seats that have reported where they listen.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The region that every instance says it runs in.
pub const REGION: &str = "demo-1";

/// What a process of the demo does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes the requests from outside and spreads them over the web proxies.
    LoadBalancer,
    /// A reverse proxy in front of the application.
    Web,
    /// The application: it knows the routes and talks to the stores.
    App,
    /// Takes messages from the queue and finishes the writes.
    Worker,
    /// Key-value store with a time to live, in memory.
    Cache,
    /// The database that takes the writes.
    Primary,
    /// The copy of the database that takes the reads.
    Replica,
    /// Durable queue between application and worker.
    Queue,
    /// Holds the payloads.
    ObjectStore,
}

impl Role {
    /// The `service.name` that instances of this role send.
    pub fn service_name(self) -> &'static str {
        match self {
            Self::LoadBalancer => "content-lb",
            Self::Web => "content-web",
            Self::App => "content-app",
            Self::Worker => "content-worker",
            Self::Cache => "content-cache",
            Self::Primary => "content-db-primary",
            Self::Replica => "content-db-replica",
            Self::Queue => "content-queue",
            Self::ObjectStore => "content-object-store",
        }
    }

    /// Whether instances of this role accept connections; a worker only makes them.
    pub(crate) fn listens(self) -> bool {
        self != Self::Worker
    }
}

/// An availability zone of the demo's one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Zone {
    /// The first zone.
    A,
    /// The second zone.
    B,
}

impl Zone {
    /// The `cloud.availability_zone` that instances in this zone send.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "demo-1a",
            Self::B => "demo-1b",
        }
    }
}

/// One process to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// What it does.
    pub role: Role,
    /// The instance's name, unique in the demo; sent as `service.instance.id`.
    pub name: &'static str,
    /// Where it says it runs.
    pub zone: Zone,
}

/// Returns the seats of the reference system.
pub fn reference_system() -> Vec<Seat> {
    let seat = |role, name, zone| Seat { role, name, zone };
    vec![
        seat(Role::Cache, "cache-a", Zone::A),
        seat(Role::Primary, "db-primary-a", Zone::A),
        seat(Role::Replica, "db-replica-b", Zone::B),
        seat(Role::Queue, "queue-a", Zone::A),
        seat(Role::ObjectStore, "object-store-a", Zone::A),
        seat(Role::Worker, "worker-a", Zone::A),
        seat(Role::App, "app-a", Zone::A),
        seat(Role::App, "app-b", Zone::B),
        seat(Role::Web, "web-a", Zone::A),
        seat(Role::Web, "web-b", Zone::B),
        seat(Role::LoadBalancer, "lb-a", Zone::A),
    ]
}

/// An instance that has reported where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) role: Role,
    pub(crate) address: SocketAddr,
}

/// All instances that listen, as every node is told them; told again when one moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peers(pub(crate) Vec<Peer>);

impl Peers {
    /// Returns the addresses of a role's instances, in the order of their seats.
    pub(crate) fn all(&self, role: Role) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter(move |peer| peer.role == role).map(|peer| peer.address)
    }

    /// Returns the address of a role that has one instance.
    pub(crate) fn one(&self, role: Role) -> Option<SocketAddr> {
        self.all(role).next()
    }
}

//! Who is in the demo: the roles of the reference system, the phases of its growth, the seat of each
//! instance, and the addresses by which they find each other.
//!
//! A *role* is what a process does, a *seat* is one process to be started (role, name, zone), and
//! *peers* are the seats that have reported where they listen. What a phase does not have, its nodes
//! do without: an application without a queue does the heavy work in the request, one without a cache
//! asks the database each time.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The region that every instance says it runs in.
pub const REGION: &str = "demo-1";

/// What a process of the demo does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything on one machine: application, database and files in one process.
    Box,
    /// Answers cacheable requests itself and passes on the rest.
    Edge,
    /// Spreads requests over the web proxies.
    LoadBalancer,
    /// A reverse proxy in front of the application.
    Web,
    /// The application: it knows the routes and talks to the stores.
    App,
    /// Takes messages from the queue and finishes the writes.
    Worker,
    /// Key-value store with a time to live, in memory; several instances share the keys.
    Cache,
    /// The database that takes the writes.
    Primary,
    /// Follows the primary, takes no requests, and can be promoted to be the primary.
    Standby,
    /// A copy of the database that takes reads.
    Replica,
    /// Durable queue between application and worker.
    Queue,
    /// Holds the payloads.
    ObjectStore,
    /// A service of somebody else, which sends no telemetry.
    External,
}

impl Role {
    /// The `service.name` that instances of this role send.
    pub fn service_name(self) -> &'static str {
        match self {
            Self::Box => "content",
            Self::Edge => "content-edge",
            Self::LoadBalancer => "content-lb",
            Self::Web => "content-web",
            Self::App => "content-app",
            Self::Worker => "content-worker",
            Self::Cache => "content-cache",
            Self::Primary => "content-db-primary",
            Self::Standby => "content-db-standby",
            Self::Replica => "content-db-replica",
            Self::Queue => "content-queue",
            Self::ObjectStore => "content-object-store",
            Self::External => "ratings",
        }
    }

    /// How the names of instances begin.
    pub(crate) fn seat_name(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::Edge => "edge",
            Self::LoadBalancer => "lb",
            Self::Web => "web",
            Self::App => "app",
            Self::Worker => "worker",
            Self::Cache => "cache",
            Self::Primary => "db-primary",
            Self::Standby => "db-standby",
            Self::Replica => "db-replica",
            Self::Queue => "queue",
            Self::ObjectStore => "object-store",
            Self::External => "external",
        }
    }

    /// Whether instances of this role send no spans: others know them by their address.
    pub(crate) fn is_store(self) -> bool {
        matches!(self, Self::Cache | Self::Primary | Self::Standby | Self::Replica | Self::Queue | Self::ObjectStore)
    }

    /// Whether instances of this role accept connections; a worker only makes them.
    pub(crate) fn listens(self) -> bool {
        self != Self::Worker
    }
}

/// An availability zone of the demo's one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
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
    pub name: String,
    /// Where it says it runs.
    pub zone: Zone,
}

impl Seat {
    /// Returns the seat of the `number`th instance of a role, from 0 on: `app-a`, `app-b`, `app-c`. Zones
    /// take turns.
    pub fn numbered(role: Role, number: usize) -> Self {
        let letter = char::from(b'a' + (number % 26) as u8);
        let again = if number < 26 { String::new() } else { (number / 26).to_string() };
        let zone = if number.is_multiple_of(2) { Zone::A } else { Zone::B };
        Self { role, name: format!("{}-{letter}{again}", role.seat_name()), zone }
    }
}

/// A step of growth, as the demo can be started in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Phase(u8);

impl Phase {
    /// One box, one process, local disk.
    pub const SINGLE_BOX: Self = Self(1);
    /// A balancer, several instances in two zones, a standby.
    pub const WEB_TIER: Self = Self(2);
    /// An edge cache, a shared cache, replicas, stateless instances.
    pub const DATABASE_READS: Self = Self(3);
    /// Autoscaling with cold starts, shedding, stale answers while a store is down.
    pub const SPIKES: Self = Self(4);
    /// A queue and workers off the request path.
    pub const WRITES: Self = Self(5);

    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::SINGLE_BOX, Self::WEB_TIER, Self::DATABASE_READS, Self::SPIKES, Self::WRITES];

    /// Its number, 1 to 5.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Requests a second that the demo is under in this phase unless told otherwise: under half of the
    /// first wall.
    pub fn usual_rate(self) -> f64 {
        match self.0 {
            1 => 20.0,
            2 => 40.0,
            _ => 80.0,
        }
    }

    /// How many instances of each role there are at the start, stores first.
    fn fleet(self) -> Vec<(Role, usize)> {
        let mut fleet = Vec::new();
        if self == Self::SINGLE_BOX {
            return vec![(Role::Box, 1)];
        }
        if self >= Self::DATABASE_READS {
            fleet.push((Role::Cache, 2));
        }
        fleet.extend([(Role::Primary, 1), (Role::Standby, 1)]);
        if self >= Self::DATABASE_READS {
            fleet.push((Role::Replica, 2));
        }
        if self >= Self::WRITES {
            fleet.push((Role::Queue, 1));
        }
        fleet.extend([(Role::ObjectStore, 1), (Role::External, 1)]);
        if self >= Self::WRITES {
            fleet.push((Role::Worker, 2));
        }
        fleet.extend([(Role::App, 2), (Role::Web, 2), (Role::LoadBalancer, 1)]);
        if self >= Self::DATABASE_READS {
            fleet.push((Role::Edge, 1));
        }
        fleet
    }

    /// Returns the seats that are taken at the start.
    pub fn seats(self) -> Vec<Seat> {
        let mut seats: Vec<Seat> = self
            .fleet()
            .into_iter()
            .flat_map(|(role, count)| (0..count).map(move |number| Seat::numbered(role, number)))
            .collect();
        // What takes over for the primary does not stand beside it.
        for seat in seats.iter_mut().filter(|seat| seat.role == Role::Standby) {
            *seat = Seat::numbered(Role::Standby, 1);
        }
        seats
    }

    /// The role that takes the requests from outside.
    pub fn front(self) -> Role {
        match self {
            Self::SINGLE_BOX => Role::Box,
            Self::WEB_TIER => Role::LoadBalancer,
            _ => Role::Edge,
        }
    }

    /// Whether the system has instances of a role.
    pub fn has(self, role: Role) -> bool {
        self.fleet().iter().any(|(there, _)| *there == role)
    }
}

impl TryFrom<u8> for Phase {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.0 == number)
            .ok_or_else(|| format!("there is no phase {number} to start in; 1 to 5 are"))
    }
}

impl From<Phase> for u8 {
    fn from(phase: Phase) -> Self {
        phase.0
    }
}

impl std::str::FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: u8 = text.parse().map_err(|_| format!("{text:?} is no phase; 1 to 5 are"))?;
        Self::try_from(number)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An instance that has reported where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) role: Role,
    pub(crate) zone: Zone,
    pub(crate) address: SocketAddr,
}

/// All instances that listen, as every node is told them; told again when one moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peers(pub(crate) Vec<Peer>);

impl Peers {
    /// Returns the addresses of a role's instances, in the order of their seats.
    pub(crate) fn all(&self, role: Role) -> impl Iterator<Item = SocketAddr> {
        self.of(role).map(|peer| peer.address)
    }

    /// Returns a role's instances, in the order of their seats.
    pub(crate) fn of(&self, role: Role) -> impl Iterator<Item = &Peer> {
        self.0.iter().filter(move |peer| peer.role == role)
    }

    /// Returns the address of a role that has one instance.
    pub(crate) fn one(&self, role: Role) -> Option<SocketAddr> {
        self.all(role).next()
    }

    /// Whether there is an instance of a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.of(role).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_adds_what_the_ladder_says() {
        let count = |phase: Phase, role| phase.seats().iter().filter(|seat| seat.role == role).count();
        let [one, two, three, four, five] = Phase::ALL;
        assert_eq!(one.seats().len(), 1);
        assert_eq!((count(two, Role::App), count(two, Role::Standby), count(two, Role::Cache)), (2, 1, 0));
        assert_eq!((count(three, Role::Replica), count(three, Role::Edge), count(three, Role::Queue)), (2, 1, 0));
        assert_eq!(three.seats(), four.seats(), "phase 4 is how the same seats behave");
        assert_eq!((count(five, Role::Queue), count(five, Role::Worker)), (1, 2));
        for phase in Phase::ALL {
            assert!(phase.has(phase.front()), "{phase}");
        }
    }

    #[test]
    fn instances_stand_in_two_zones_and_the_standby_not_beside_the_primary() {
        for phase in &Phase::ALL[1..] {
            let zone = |name: &str| phase.seats().into_iter().find(|seat| seat.name == name).unwrap().zone;
            assert_eq!((zone("app-a"), zone("app-b")), (Zone::A, Zone::B));
            assert_eq!((zone("db-primary-a"), zone("db-standby-b")), (Zone::A, Zone::B));
        }
        assert_eq!(Seat::numbered(Role::App, 27).name, "app-b1");
    }
}

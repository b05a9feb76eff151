//! The simulated system: its processes, what outlives them, and who finds whom.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use crate::load::{Dial, LoadPlan};
use crate::scenario::Scenario;
use crate::settings::Settings;
use crate::sim::contents::Contents;
use crate::sim::instance::{Birth, Died, Ground, Instance};
use crate::sim::part::Part;
use crate::sim::queue::Messages;
use crate::sim::servers::Servers;
use crate::sim::{app, observe, proxy, worker};
use crate::topology::{Phase, Role, Seat, Zone};

/// The version that instances say they are of, unless a deploy says otherwise.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a process that ended unasked stays away: it is started again after half a second, and is ready
/// a quarter of a second later.
const RESTART: Duration = Duration::from_millis(750);

/// The first port that a process listens at; the others follow.
const FIRST_PORT: u16 = 40_001;

/// Everything that is there.
pub(super) struct World {
    pub(super) ground: Rc<Ground>,
    pub(super) phase: Phase,
    pub(super) settings: Settings,
    pub(super) load: LoadPlan,
    pub(super) contents: Contents,
    pub(super) queue: RefCell<Messages>,
    /// The users whose sessions lie in the database.
    pub(super) sessions: RefCell<BTreeSet<i64>>,
    /// Whoever waits for a message.
    pub(super) arrived: tokio::sync::Notify,
    /// What faults change in the load.
    pub(super) dial: Cell<Dial>,
    /// How much later what two roles exchange arrives.
    pub(super) wires: RefCell<BTreeMap<(Role, Role), Duration>>,
    /// Share of the requests that balancers send to their first instance.
    pub(super) uneven: Cell<f64>,
    /// Whether a fault decides how many applications there are.
    pub(super) fleet_fixed: Cell<bool>,
    /// Instances that a fault keeps down.
    pub(super) kept_down: RefCell<BTreeSet<String>>,
    instances: RefCell<Vec<Rc<Instance>>>,
    /// The port of each seat, also of those that are empty.
    ports: RefCell<BTreeMap<String, u16>>,
}

impl World {
    pub(super) fn new(scenario: &Scenario, ground: Rc<Ground>) -> Rc<Self> {
        let Scenario { phase, settings, load, .. } = scenario;
        let world = Rc::new(Self {
            phase: *phase,
            settings: settings.clone(),
            load: load.clone(),
            contents: Contents::new(load.items, load.payload_bytes as u64, settings.heartbeat),
            queue: RefCell::new(Messages::new(settings.visibility_timeout, settings.most_receives)),
            sessions: RefCell::default(),
            arrived: tokio::sync::Notify::new(),
            dial: Cell::default(),
            wires: RefCell::default(),
            uneven: Cell::new(0.0),
            fleet_fixed: Cell::new(false),
            kept_down: RefCell::default(),
            instances: RefCell::default(),
            ports: RefCell::default(),
            ground,
        });
        for seat in phase.seats() {
            world.start(seat, VERSION, Duration::ZERO);
        }
        world
    }

    /// Returns the instances of a role, in the order of their seats; dead ones too.
    pub(super) fn all(&self, role: Role) -> Vec<Rc<Instance>> {
        let is = |instance: &&Rc<Instance>| {
            let has = instance.role.get();
            // On one box the application and the database are the box.
            has == role || (has == Role::Box && matches!(role, Role::App | Role::Primary))
        };
        self.instances.borrow().iter().filter(is).cloned().collect()
    }

    /// Returns the instance of a role that has one.
    pub(super) fn one(&self, role: Role) -> Option<Rc<Instance>> {
        self.all(role).into_iter().next()
    }

    /// Returns the instances of a zone.
    pub(super) fn of_zone(&self, zone: Zone) -> Vec<Rc<Instance>> {
        self.instances.borrow().iter().filter(|instance| instance.seat.zone == zone).cloned().collect()
    }

    /// Whether the system has a role at all.
    pub(super) fn has(&self, role: Role) -> bool {
        self.instances.borrow().iter().any(|instance| instance.role.get() == role)
    }

    /// Starts a process in a seat, in place of the one that was there. It serves slower for `cold`.
    pub(super) fn start(self: &Rc<Self>, seat: Seat, version: &'static str, cold: Duration) -> Rc<Instance> {
        let role = seat.role;
        let address = self.address(&seat.name);
        let servers = Servers::new(Rc::clone(&self.ground), self.settings.service_time(role), cold);
        let part = Part::of(role, &self.settings);
        let birth = Birth { seat, address, version, servers, part };
        let instance = Rc::new(Instance::new(birth, Rc::clone(&self.ground)));
        let mut instances = self.instances.borrow_mut();
        match instances.iter_mut().find(|there| there.seat.name == instance.seat.name) {
            Some(there) => *there = Rc::clone(&instance),
            None => instances.push(Rc::clone(&instance)),
        }
        drop(instances);
        self.run(&instance);
        instance
    }

    fn address(&self, name: &str) -> SocketAddr {
        let mut ports = self.ports.borrow_mut();
        let next = FIRST_PORT + ports.len() as u16;
        let port = *ports.entry(name.to_owned()).or_insert(next);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Starts what a process does of its own accord.
    fn run(self: &Rc<Self>, instance: &Rc<Instance>) {
        let spawn = |work: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            let within = instance.within(work);
            self.ground.clock.spawn(async move {
                // A process that dies takes along what it did.
                let _: Result<(), Died> = within.await;
            });
        };
        let (world, of) = (Rc::clone(self), Rc::clone(instance));
        match instance.seat.role {
            Role::Edge | Role::LoadBalancer | Role::Web => spawn(Box::pin(proxy::check(world, of))),
            Role::App if self.has(Role::Replica) => spawn(Box::pin(app::watch_lag(world, of))),
            Role::Worker => {
                for _ in 0..self.settings.worker.concurrency {
                    spawn(Box::pin(worker::receive(Rc::clone(self), Rc::clone(instance))));
                }
            }
            _ => {}
        }
        let (world, of) = (Rc::clone(self), Rc::clone(instance));
        self.ground.clock.spawn(async move {
            // Processes start one after the other, so they do not send all at once.
            let stagger = Duration::from_millis(37 * u64::from(of.address.port() - FIRST_PORT) % 500);
            world.ground.clock.sleep(stagger).await;
            let watched = Rc::clone(&world);
            of.report(move |of| observe::all(&watched, of)).await;
        });
    }

    /// Kills an instance. Its seat stays empty for as long as a fault keeps it down.
    pub(super) fn kill(self: &Rc<Self>, instance: &Rc<Instance>) {
        self.kept_down.borrow_mut().insert(instance.seat.name.clone());
        self.lose(instance);
    }

    /// Ends an instance unasked; it comes back in its seat unless a fault keeps it down.
    pub(super) fn lose(self: &Rc<Self>, instance: &Rc<Instance>) {
        if !instance.alive() {
            return;
        }
        if instance.role.get() == Role::Primary {
            self.contents.reign(self.ground.clock.now(), false);
        }
        instance.die();
        self.bring_back(instance.seat.clone());
    }

    fn bring_back(self: &Rc<Self>, seat: Seat) {
        let world = Rc::clone(self);
        self.ground.clock.spawn(async move {
            world.ground.clock.sleep(RESTART).await;
            let there = world.seated(&seat.name);
            let empty = there.as_ref().is_some_and(|instance| !instance.alive());
            if empty && !world.kept_down.borrow().contains(&seat.name) {
                world.reseat(seat, VERSION);
            }
        });
    }

    /// Starts a seat anew. Where another one has become the primary meanwhile, it follows that one.
    pub(super) fn reseat(self: &Rc<Self>, seat: Seat, version: &'static str) {
        let promoted = self.all(Role::Primary).iter().any(|there| there.seat.name != seat.name);
        let was_primary = seat.role == Role::Primary;
        let instance = self.start(seat, version, Duration::ZERO);
        if was_primary && promoted {
            instance.role.set(Role::Standby);
        } else if was_primary {
            self.contents.reign(self.ground.clock.now(), true);
        }
    }

    /// Lets a fault's dead come back.
    pub(super) fn revive(self: &Rc<Self>, instance: &Instance) {
        if self.kept_down.borrow_mut().remove(&instance.seat.name) {
            self.bring_back(instance.seat.clone());
        }
    }

    /// Ends an instance in good order and takes its seat away.
    pub(super) fn retire(&self, instance: &Rc<Instance>) {
        self.instances.borrow_mut().retain(|there| !Rc::ptr_eq(there, instance));
        let instance = Rc::clone(instance);
        self.ground.clock.spawn(async move { instance.leave().await });
    }

    /// Returns who sits in a seat.
    pub(super) fn seated(&self, name: &str) -> Option<Rc<Instance>> {
        self.instances.borrow().iter().find(|instance| instance.seat.name == name).cloned()
    }

    /// Makes a standby the primary.
    pub(super) fn promote(&self, standby: &Instance) {
        for dead in self.all(Role::Primary) {
            // Its seat comes back as the standby of the new one.
            dead.role.set(Role::Standby);
        }
        standby.role.set(Role::Primary);
        self.contents.reign(self.ground.clock.now(), true);
    }
}

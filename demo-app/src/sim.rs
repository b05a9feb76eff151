//! A simulation of the demo in virtual time: the same topology, settings, load and faults, and the same
//! kind of telemetry, far faster than real time.
//!
//! It is a model, and says so: its resources carry `telemetry.sdk.name = tiertop-simulation`. Real time, with
//! a process for each instance, is the real thing. What is modelled:
//!
//! 1. Waiting: servers with their service times, pools, locks, caches with their lifetimes, queues, the
//!    replicas' lag, and who is asked when somebody does not answer, by the rules of the real services.
//! 2. Processes: they are frozen, die, come back, compute, and lose what they had not sent.
//! 3. Telemetry: spans and metrics by the names of the real ones, sent at the same pace, with virtual times.
//!
//! What is not: the processor that all processes of the real demo share, the kernel, and the garbage of real
//! networks. Travel and processor times are constants with a little noise.
//!
//! Everything happens on one thread by one clock (`clock`) and one seeded source of chance, so a scenario
//! gives the same telemetry in every run. [`Simulation`] is an iterator over what a receiver would get, in
//! the order in which it would arrive; only what is on its way is held in memory.

mod app;
mod client;
mod clients;
mod clock;
pub mod command;
mod contents;
mod effects;
mod expiring;
mod fleet;
mod http;
mod instance;
mod measures;
mod names;
mod observe;
mod part;
mod pool;
mod processing;
mod proxy;
mod queue;
mod servers;
pub mod shapes;
mod spans;
mod statements;
mod stores;
pub mod summary;
mod turns;
mod wire;
mod worker;
mod world;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::load::LoadReport;
use crate::scenario::{Scenario, ScenarioFault, TruthLine};
use client::Load;
use clock::{Clock, Time};
use instance::Ground;
use world::World;

/// How long the simulation goes on after its load has ended, for the last answers and exports.
const AFTERMATH: Duration = Duration::from_secs(2);

/// What one process sends at one time.
#[derive(Clone, Debug, PartialEq)]
pub enum Export {
    /// Spans that have ended.
    Traces {
        /// When they are sent, in nanoseconds since the Unix epoch.
        sent_unix_nanos: u64,
        /// What is sent.
        request: ExportTraceServiceRequest,
    },
    /// What all metrics are at.
    Metrics {
        /// When they are sent, in nanoseconds since the Unix epoch.
        sent_unix_nanos: u64,
        /// What is sent.
        request: ExportMetricsServiceRequest,
    },
}

impl Export {
    /// When it is sent, in nanoseconds since the Unix epoch.
    pub fn sent_unix_nanos(&self) -> u64 {
        match self {
            Self::Traces { sent_unix_nanos, .. } | Self::Metrics { sent_unix_nanos, .. } => *sent_unix_nanos,
        }
    }

    /// Returns the request as it travels over the wire.
    pub fn to_protobuf(&self) -> Vec<u8> {
        match self {
            Self::Traces { request, .. } => request.encode_to_vec(),
            Self::Metrics { request, .. } => request.encode_to_vec(),
        }
    }
}

/// Why a scenario cannot be simulated; reads well after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// The system lacks what a fault changes.
    #[error("play {fault}: a system of phase {phase} has nothing for it to go wrong in; try phase {usual}")]
    DoesNotFit {
        /// The fault.
        fault: String,
        /// The scenario's phase.
        phase: u8,
        /// A phase that it fits.
        usual: u8,
    },
}

/// A scenario that is being simulated: an iterator over what its processes send.
pub struct Simulation {
    world: Rc<World>,
    load: Rc<Load>,
    end: Time,
    truth: Rc<RefCell<Vec<TruthLine>>>,
}

impl Simulation {
    /// Sets up a scenario that begins at a time; nothing happens before the first export is asked for.
    pub fn new(scenario: &Scenario, start: SystemTime) -> Result<Self, SimulationError> {
        if let Some(fault) = scenario.faults.iter().find(|fault| !fault.plan.fault.fits(scenario.phase)) {
            return Err(SimulationError::DoesNotFit {
                fault: fault.plan.fault.name(),
                phase: scenario.phase.number(),
                usual: fault.plan.fault.usual_phase().number(),
            });
        }
        let ground = Rc::new(Ground {
            clock: Clock::default(),
            random: RefCell::new(StdRng::seed_from_u64(scenario.seed)),
            epoch: start.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
            exports: RefCell::default(),
            kept: Cell::new(1.0),
        });
        let world = World::new(scenario, Rc::clone(&ground));
        world.warm();
        let load = Load::new(Rc::clone(&world), scenario.seed);
        ground.clock.spawn(Rc::clone(&load).run(scenario.duration));
        if world.settings.autoscaled {
            ground.clock.spawn(fleet::follow(Rc::clone(&world)));
        }
        let truth = Rc::default();
        for fault in &scenario.faults {
            let play = play(Rc::clone(&world), scenario.name.clone(), fault.clone(), Rc::clone(&truth));
            ground.clock.spawn(play);
        }
        Ok(Self { world, load, end: scenario.duration, truth })
    }

    /// Keeps the spans of this share of the traces that begin from now on, 0 to 1.
    pub fn sample(&self, share: f64) {
        self.world.ground.kept.set(share);
    }

    /// Returns what came of the load so far.
    pub fn report(&self) -> LoadReport {
        let elapsed = self.world.ground.clock.now().min(self.end);
        LoadReport { elapsed, sending: elapsed, ..self.load.report.borrow().clone() }
    }

    /// Returns the truth of the faults that have ended.
    pub fn truth(&self) -> Vec<TruthLine> {
        self.truth.borrow().clone()
    }
}

impl Iterator for Simulation {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        let ground = &self.world.ground;
        loop {
            if let Some(export) = ground.exports.borrow_mut().pop_front() {
                return Some(export);
            }
            if !ground.clock.step(self.end + AFTERMATH) {
                return None;
            }
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // Tasks hold the world that holds their clock.
        self.world.ground.clock.clear();
    }
}

/// Plays one fault of a scenario, and notes its truth.
async fn play(world: Rc<World>, scenario: String, fault: ScenarioFault, truth: Rc<RefCell<Vec<TruthLine>>>) {
    let plan = fault.plan;
    world.ground.clock.sleep_until(plan.after).await;
    let began = world.ground.unix_nanos();
    let effects = plan.fault.effects(plan.intensity);
    let put_back: Vec<_> = effects.iter().map(|effect| effects::begin(&world, effect)).collect();
    world.ground.clock.sleep(plan.lasting).await;
    put_back.into_iter().rev().for_each(|put_back| put_back());
    truth.borrow_mut().extend(fault.line(&scenario, began, world.ground.unix_nanos()));
}

//! A play: load on a running demo and faults in it, until it is over. What is played comes from a
//! scenario file, or from flags that are the same for every program that hosts the demo.

mod words;

use std::ffi::OsString;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::demo::{Demo, DemoError, DemoOptions};
use crate::fault::{Fault, FaultPlan, Intensity};
use crate::load::{self, ClosedLoop, Curve, LoadOptions, LoadPlan, LoadReport};
use crate::scenario::{Scenario, ScenarioFault};
use crate::settings::Settings;
use crate::topology::Phase;

/// The flags of a play.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlayArgs {
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    system: SystemArgs,
    /// Answer the control API here, on loopback; it makes trouble while the demo runs.
    #[arg(long, value_name = "ADDRESS", value_parser = words::loopback)]
    pub control: Option<SocketAddr>,
}

/// What arrives, and for how long.
#[derive(Clone, Debug, Default, clap::Args)]
struct LoadArgs {
    /// Requests per second; 0 for no load [default: by the phase, 20 to 80].
    #[arg(long, value_parser = words::rate, allow_negative_numbers = true)]
    rate: Option<f64>,
    /// So many users' worth of requests: 0.004 reads of contents a second each, and the writes and static
    /// assets that go with them.
    #[arg(long, value_parser = words::positive, conflicts_with = "rate")]
    users: Option<f64>,
    /// With --users: one request of the demo stands for so many.
    #[arg(long, value_parser = words::positive, default_value = "100", requires = "users")]
    scale: Option<f64>,
    /// How the rate changes: constant, ramp:TO:OVER, step:TO:AT, spike:TO:AT:FOR or day:NIGHT:PERIOD. TO and
    /// NIGHT are times the rate, such as spike:6:30s:20s.
    #[arg(long, value_parser = words::curve)]
    curve: Option<Curve>,
    /// Instead of a rate: so many clients who each wait for their answer before they ask again.
    #[arg(long, value_name = "CLIENTS", conflicts_with_all = ["rate", "users", "curve"])]
    closed: Option<usize>,
    /// With --closed: how long each waits between an answer and its next request.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1s", requires = "closed")]
    think: Option<Duration>,
    /// Reads per write.
    #[arg(long, value_parser = words::positive)]
    reads_per_write: Option<f64>,
    /// How many bytes a payload has, 1 to 250000 [default: 1000].
    #[arg(long, value_name = "BYTES", value_parser = words::payload_bytes)]
    payload_bytes: Option<usize>,
    /// How long to run, such as 30s or 5m [default: until you stop it].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Seed of the load and of the service times [default: 1].
    #[arg(long)]
    seed: Option<u64>,
}

/// What is started, and what goes wrong in it.
#[derive(Clone, Debug, Default, clap::Args)]
struct SystemArgs {
    /// The phase of growth whose system is started: 1 is one box, 2 adds a balancer and a second zone, 3
    /// caches and read replicas, 4 autoscaling and shedding, 5 a queue and workers [default: 5, or where the
    /// fault is usually felt].
    #[arg(long)]
    phase: Option<Phase>,
    /// Answer as fast as this machine can: no tier holds requests for a stated service time.
    #[arg(long)]
    no_governor: bool,
    /// Let something go wrong after a healthy while.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// How bad the fault is [default: medium].
    #[arg(long, value_enum, requires = "fault")]
    intensity: Option<Intensity>,
    /// How long all is well before the fault.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, requires = "fault")]
    fault_after: Option<Duration>,
    /// How long the fault lasts.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, requires = "fault")]
    fault_for: Option<Duration>,
}

/// How long a fault lasts, and how long all is well before, unless told.
const USUAL_TIME: Duration = Duration::from_mins(1);

impl PlayArgs {
    /// The groups of flags that say what is played, for a host that can be told so in another way.
    pub const GROUPS: [&str; 2] = ["LoadArgs", "SystemArgs"];

    /// How long to run, if it was said.
    pub fn duration(&self) -> Option<Duration> {
        self.load.duration
    }

    /// Returns what the flags ask for.
    ///
    /// # Errors
    /// A fault that the phase has nothing for, or that would begin when all is over; the text says what to try.
    pub fn play(&self) -> Result<Play, String> {
        let SystemArgs { phase, no_governor, fault, intensity, fault_after, fault_for } = self.system;
        let phase = phase.or(fault.map(Fault::usual_phase)).unwrap_or(Phase::WRITES);
        if let Some(why) = fault.and_then(|fault| fault.misfit(phase, "try --phase ")) {
            return Err(why);
        }
        let (after, lasting) = (fault_after.unwrap_or(USUAL_TIME), fault_for.unwrap_or(USUAL_TIME));
        if let Some((fault, duration)) = fault.zip(self.load.duration).filter(|&(_, duration)| duration <= after) {
            let words = humantime::format_duration;
            return Err(format!(
                "{} would begin after {}, and all is over after {}; try a shorter --fault-after or a longer --duration",
                fault.name(),
                words(after),
                words(duration)
            ));
        }
        let faults = fault.map(|fault| ScenarioFault {
            plan: FaultPlan { fault, intensity: intensity.unwrap_or_default(), after, lasting },
            truth: fault.truth(phase),
        });
        let scenario = Scenario {
            name: fault.map_or_else(|| "live".to_owned(), Fault::name),
            phase,
            seed: self.load.seed.unwrap_or(1),
            duration: self.load.duration.unwrap_or(Duration::MAX),
            load: self.load.plan(phase),
            settings: Settings { governed: !no_governor, ..Settings::of(phase) },
            faults: faults.into_iter().collect(),
        };
        Ok(Play { scenario, duration: self.load.duration })
    }
}

impl LoadArgs {
    fn plan(&self, phase: Phase) -> LoadPlan {
        let mut plan = LoadPlan::of(phase);
        plan.reads_per_write = self.reads_per_write.unwrap_or(plan.reads_per_write);
        plan.payload_bytes = self.payload_bytes.unwrap_or(plan.payload_bytes);
        plan.curve = self.curve.unwrap_or(plan.curve);
        plan.rate = self.rate.unwrap_or(plan.rate);
        if let (Some(users), Some(scale)) = (self.users, self.scale) {
            plan.rate = plan.rate_of_users(users, scale);
        }
        plan.closed = self.closed.map(|clients| ClosedLoop { clients, think: self.think.unwrap_or_default() });
        plan
    }
}

/// What is played, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// The system, the load and the faults.
    pub scenario: Scenario,
    /// How long; without it until it is stopped.
    pub duration: Option<Duration>,
}

impl Play {
    /// Returns the play of a scenario.
    pub fn of(scenario: Scenario) -> Self {
        let duration = Some(scenario.duration);
        Self { scenario, duration }
    }

    /// Returns the options of the demo that it is played in, with nodes run by `node_command`.
    pub fn options(&self, node_command: Vec<OsString>) -> DemoOptions {
        let mut options = DemoOptions::new(node_command, self.scenario.phase);
        options.seed = self.scenario.seed;
        options.load = self.scenario.load.clone();
        options.settings = self.scenario.settings.clone();
        options.scenario.clone_from(&self.scenario.name);
        options
    }

    /// Plays until the duration is over or `shutdown` completes, puts back what was changed, and returns what
    /// came of the load, if there was any.
    ///
    /// # Errors
    /// A fault that cannot be played, and a node that cannot be kept running: such a demo should be stopped.
    pub async fn run(&self, demo: &Demo, shutdown: impl Future<Output = ()>) -> Result<Option<LoadReport>, DemoError> {
        let faults = async {
            demo.play(&self.scenario.faults).await?;
            std::future::pending().await
        };
        let outcome = tokio::select! {
            report = self.load(demo, shutdown) => Ok(report),
            failed = faults => failed,
            exit = demo.wait_any_exit() => Err(DemoError::Node { name: exit.name, why: exit.why }),
        };
        let ended = demo.end_all().await;
        let report = outcome?;
        ended.map(|()| report)
    }

    async fn load(&self, demo: &Demo, shutdown: impl Future<Output = ()>) -> Option<LoadReport> {
        let plan = self.scenario.load.clone();
        if plan.rate <= 0.0 && plan.closed.is_none() {
            // Without load there is nothing to report: the service is there to be looked at.
            let _ = tokio::time::timeout(self.duration.unwrap_or(Duration::MAX), shutdown).await;
            return None;
        }
        let mut options = LoadOptions::new(demo.front_address(), plan, demo.content_ids().to_vec());
        options.dial = demo.dial();
        options.duration = self.duration;
        options.seed = self.scenario.seed;
        Some(load::run(options, shutdown).await)
    }
}

/// The signals that end a play in good order: Ctrl-C and SIGTERM.
#[derive(Debug)]
pub struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// Takes the signals over, so that they no longer end the process. Called inside a runtime.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes when one of them arrives.
    pub async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

//! Plays in virtual time: what the simulated system sends goes straight into an engine, which is asked each
//! second, as a running agent asks it.

use std::time::{Duration, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use tiertop::scorecard::course::Course;
use tiertop::scorecard::score;
use tiertop::scorecard::table::{Outcome, Played};
use tiertop::scorecard::truth::Truth;
use tiertop_agent::decode::{self, Limits, Signal};
use tiertop_core::config::Config;
use tiertop_core::engine::Engine;
use tiertop_core::snapshot::{IngestCounts, Snapshot};
use tiertop_core::tier::TierKind;
use tiertop_core::time::UnixNanos;
use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::load::{ClosedLoop, LoadPlan};
use tiertop_demo::scenario::{Scenario, ScenarioFault, TruthLine};
use tiertop_demo::sim::{Export, Simulation, SimulationError};
use tiertop_demo::{Phase, Settings};

/// When plays begin: some time, the same for each, so that a play repeats itself.
const BEGIN: Duration = Duration::from_hours(498_738);
/// What a request needs on its way to the agent.
const TRAVEL: Duration = Duration::from_millis(2);
/// Share of traces that are kept where they are sampled.
const SAMPLED: f64 = 0.1;
/// How long clients of a closed loop think.
const THINK: Duration = Duration::from_secs(1);

/// What to play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// What goes wrong; [`Fault::HealthyNoise`] for nothing.
    pub(super) fault: Fault,
    /// How bad it is.
    pub(super) intensity: Intensity,
    /// The system's phase.
    pub(super) phase: Phase,
    /// Seed of all chance.
    pub(super) seed: u64,
    /// Requests a second.
    pub(super) rate: f64,
    /// How they come, and what is kept of them.
    pub(super) manner: Manner,
    /// Reads per write, if not those of the fault's scenario.
    pub(super) reads_per_write: Option<f64>,
    /// How long what lasts.
    pub(super) times: Times,
}

/// How requests come, and what is kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// By a schedule, however many wait; all spans are kept.
    Open,
    /// From clients who each wait for their answer.
    Closed,
    /// By a schedule; one trace in ten is kept.
    Sampled,
}

/// How long the parts of a play last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// All is well.
    pub(super) healthy: Duration,
    /// Something is wrong.
    pub(super) lasting: Duration,
    /// All is well again.
    pub(super) after: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let [healthy, lasting, after] = [120, 180, 120].map(Duration::from_secs);
        Self { healthy, lasting, after }
    }
}

impl Plan {
    /// What arrives and what is kept of it, in words.
    pub(super) fn load(&self) -> String {
        let rate = self.rate;
        match self.manner {
            Manner::Open => format!("{rate} req/s"),
            Manner::Closed => format!("{rate:.0} clients"),
            Manner::Sampled => format!("{rate} req/s, 10 % kept"),
        }
    }

    /// The fault's own scenario with this plan's load and times. Noise has none of its own in most phases.
    fn scenario(&self) -> Scenario {
        let Times { healthy, lasting, after } = self.times;
        let mut scenario = Scenario::stored(self.fault);
        if self.phase != scenario.phase {
            scenario.phase = self.phase;
            scenario.settings = Settings::of(self.phase);
            scenario.load = LoadPlan::of(self.phase);
        }
        scenario = scenario.at_rate(self.rate);
        scenario.seed = self.seed;
        scenario.duration = healthy + lasting + after;
        if let Some(reads_per_write) = self.reads_per_write {
            scenario.load.reads_per_write = reads_per_write;
        }
        if self.manner == Manner::Closed {
            scenario.load.closed = Some(ClosedLoop { clients: self.rate.round() as usize, think: THINK });
        }
        for ScenarioFault { plan, .. } in &mut scenario.faults {
            (plan.intensity, plan.after, plan.lasting) = (self.intensity, healthy, lasting);
        }
        scenario
    }
}

/// Plays and scores.
pub(super) fn play(plan: &Plan) -> Result<Played, SimulationError> {
    let began = clock_gettime(ClockId::ThreadCPUTime);
    let (mut course, mut spans) = (Course::default(), 0);
    let truth = watch(plan, |snapshot| {
        course.note(snapshot);
        spans = snapshot.pipeline.spans_accepted;
    })?;
    let outcome = match truth.iter().find_map(accepted) {
        Some(truth) => Outcome::Fault(Box::new(score::fault(&course, &truth))),
        None => Outcome::Healthy(score::healthy(&course, (BEGIN + plan.times.healthy).as_millis() as u64)),
    };
    let took = clock_gettime(ClockId::ThreadCPUTime) - began;
    Ok(Played {
        name: plan.fault.name(),
        intensity: format!("{:?}", plan.intensity).to_lowercase(),
        seed: plan.seed,
        load: plan.load(),
        apart: plan.manner != Manner::Open,
        outcome,
        incidents: course.told(BEGIN.as_millis() as u64),
        spans,
        cpu_s: took.tv_sec as f64 + took.tv_nsec as f64 / 1e9,
    })
}

/// Plays, and shows the snapshot of each second. Returns what was wrong.
fn watch(plan: &Plan, mut show: impl FnMut(&Snapshot)) -> Result<Vec<TruthLine>, SimulationError> {
    let scenario = plan.scenario();
    let mut simulation = Simulation::new(&scenario, UNIX_EPOCH + BEGIN)?;
    if plan.manner == Manner::Sampled {
        simulation.sample(SAMPLED);
    }
    let begin = UnixNanos(BEGIN.as_nanos() as u64);
    let mut engine = Engine::new(Config::default(), begin);
    let mut next = engine.next_tick(begin);
    let mut tick_until = |engine: &mut Engine, now: UnixNanos| {
        while next <= now {
            show(&engine.tick(next, &IngestCounts::default()));
            next = engine.next_tick(next);
        }
    };
    for export in &mut simulation {
        let now = UnixNanos(export.sent_unix_nanos() + TRAVEL.as_nanos() as u64);
        tick_until(&mut engine, now);
        let signal = match &export {
            Export::Traces { .. } => Signal::Traces,
            Export::Metrics { .. } => Signal::Metrics,
        };
        let decoded = decode::protobuf(signal, &export.to_protobuf(), &Limits::default());
        engine.handle(&decoded.expect("it was encoded just now").batch, now);
    }
    tick_until(&mut engine, UnixNanos((BEGIN + scenario.duration).as_nanos() as u64));
    Ok(simulation.truth())
}

/// What a verdict may say of a line of the truth; `None` where nothing was wrong.
fn accepted(line: &TruthLine) -> Option<Truth> {
    let class = line.class.clone()?;
    let mut tiers: Vec<TierKind> = line.tier.iter().filter_map(|name| TierKind::from_name(name)).collect();
    if class == Fault::PoisonMessage.name() {
        // The message is in the queue and fails in the worker: neither is the other's victim.
        tiers.push(TierKind::Queue);
    }
    let ms = |nanos: u64| nanos / 1_000_000;
    Some(Truth {
        tiers,
        class,
        phases: line.phase.clone(),
        began_ms: ms(line.began_unix_nanos),
        ended_ms: ms(line.ended_unix_nanos),
    })
}

#[cfg(test)]
mod tests {
    use tiertop::scorecard::score::Recovery;

    use super::*;

    fn plan(fault: Fault) -> Plan {
        let [healthy, lasting, after] = [80, 30, 20].map(Duration::from_secs);
        Plan {
            fault,
            intensity: Intensity::High,
            phase: Phase::DATABASE_READS,
            seed: 1,
            rate: 30.0,
            manner: Manner::Open,
            reads_per_write: None,
            times: Times { healthy, lasting, after },
        }
    }

    #[test]
    fn a_gross_fault_in_virtual_time_is_detected_named_and_scored() {
        let played = play(&plan(Fault::ExternalSlow)).unwrap();
        let score = played.fault().expect("a fault was injected");
        assert_eq!((&*played.name, &*played.intensity, &*played.load), ("external-slow", "high", "30 req/s"));
        assert!(played.spans > 10_000, "{}", played.spans);
        assert!(score.right.tier && score.right.class && score.incidents.before == 0, "{score:?}");
        assert!(score.detected_after_s.is_some_and(|seconds| seconds < 25.0), "{score:?}");
        assert!(matches!(score.recovery, Recovery::After(_)), "{score:?}");
    }

    #[test]
    fn noise_is_scored_as_healthy_time() {
        let times = Times { healthy: Duration::from_secs(10), lasting: Duration::from_secs(20), after: Duration::ZERO };
        let played = play(&Plan { times, ..plan(Fault::HealthyNoise) }).unwrap();
        let score = played.healthy().expect("nothing was wrong");
        assert!((score.hours - 20.0 / 3600.0).abs() < 2.0 / 3600.0, "{score:?}");
    }

    #[test]
    fn the_truth_of_every_fault_names_kinds_that_the_engine_knows() {
        for fault in Fault::all().filter(|fault| *fault != Fault::HealthyNoise) {
            let scenario = Scenario::stored(fault);
            let line = scenario.faults[0].line("", 1_000_000, 900_000_000_000);
            let truth = accepted(&line.expect("time enough to go wrong")).unwrap();
            assert!(!truth.tiers.is_empty(), "{}", fault.name());
            assert_eq!((truth.class, truth.ended_ms), (fault.name(), 900_000));
            assert!((1..900_000).contains(&truth.began_ms));
        }
    }
}

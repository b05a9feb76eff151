//! The simulation: what each fault does to the telemetry, and what its absence does not.

mod engine;
mod faults;

use std::time::{Duration, SystemTime};

use tiertop_demo::fault::{Fault, Intensity};
use tiertop_demo::load::LoadReport;
use tiertop_demo::scenario::Scenario;
use tiertop_demo::sim::summary::{Figures, Summary, Window};
use tiertop_demo::sim::{Export, Simulation};

/// All is well for so long, then it is not.
pub(crate) const HEALTHY: Duration = Duration::from_secs(15);
pub(crate) const LASTING: Duration = Duration::from_secs(15);

/// What the start and the end of a stretch are left out by: pools open, queues fill.
const EDGE: Duration = Duration::from_secs(3);

/// When simulations begin: the first second of 2026.
pub(crate) const START: Duration = Duration::from_secs(1_767_225_600);

/// What came of a simulated scenario.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    pub(crate) report: LoadReport,
    pub(crate) exports: Vec<Export>,
}

impl Outcome {
    pub(crate) fn healthy(&self) -> &Figures {
        self.summary.window("healthy").unwrap()
    }

    pub(crate) fn faulty(&self) -> &Figures {
        self.summary.window("faulty").unwrap()
    }

    /// How much a figure grew by the fault: 1 for not at all.
    pub(crate) fn ratio(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        figure(self.faulty()) / figure(self.healthy())
    }
}

/// Returns the usual scenario of a fault, short.
pub(crate) fn scenario(fault: Fault, intensity: Intensity) -> Scenario {
    Scenario::of(fault, intensity, HEALTHY, LASTING, Duration::ZERO)
}

/// Plays a scenario, and summarizes it as if its fault were there, also where it is left out.
pub(crate) fn play(scenario: &Scenario) -> Outcome {
    let at = |time: Duration| (START + time).as_nanos() as u64;
    let window = |name: &str, from, to| Window { name: name.to_owned(), from_unix_nanos: at(from), to_unix_nanos: at(to) };
    let mut summary = Summary::new([
        window("healthy", EDGE, HEALTHY),
        window("faulty", HEALTHY + EDGE, HEALTHY + LASTING),
    ]);
    let mut simulation = Simulation::new(scenario, SystemTime::UNIX_EPOCH + START).unwrap();
    let mut exports = Vec::new();
    for export in &mut simulation {
        summary.export(&export);
        exports.push(export);
    }
    let report = simulation.report();
    // Shown where the test fails.
    println!("{}\n{report}{summary}", scenario.name);
    Outcome { summary, report, exports }
}

/// Plays the same scenario without its faults.
pub(crate) fn play_without(scenario: &Scenario) -> Outcome {
    play(&Scenario { faults: Vec::new(), ..scenario.clone() })
}

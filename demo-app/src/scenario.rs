//! Scenario files: a topology, a load with its curve, faults with their times and intensities, a seed,
//! and what a diagnosis should say.
//!
//! ```toml
//! name = "cache-flush"
//! phase = 3
//! seed = 1
//! duration = "7m"
//!
//! [load]
//! rate = 80.0
//!
//! [settings]                      # what differs from the phase's own
//! app = { mean = "5ms", concurrency = 2 }
//!
//! [[fault]]
//! fault = "cache-flush"
//! intensity = "medium"
//! at = "2m"
//! for = "3m"
//! ```
//!
//! The truth of a fault is what [`Fault::truth`] says of its class, unless the file says otherwise under
//! the fault's `truth`.

mod stored;

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultPlan, Intensity, Truth};
use crate::human;
use crate::load::LoadPlan;
use crate::settings::Settings;
use crate::topology::Phase;

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// The phase whose topology it is played in.
    pub phase: Phase,
    /// Seed of the load and of the service times.
    pub seed: u64,
    /// How long it lasts, faults and recovery included.
    pub duration: Duration,
    /// What arrives.
    pub load: LoadPlan,
    /// Capacity and pace of the nodes.
    pub settings: Settings,
    /// What goes wrong, and when.
    pub faults: Vec<ScenarioFault>,
}

/// A fault of a scenario, and what a diagnosis should say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioFault {
    /// What goes wrong, and when.
    pub plan: FaultPlan,
    /// What a diagnosis should say; `None` where it should stay silent.
    pub truth: Option<Truth>,
}

/// Why a scenario could not be read; reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("read {path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The text is no scenario.
    #[error("understand {path}: {why}")]
    Nonsense {
        /// Which file.
        path: String,
        /// What is wrong, and where.
        why: String,
    },
}

/// A line of the truth: what was wrong, and from when to when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TruthLine {
    /// The scenario's name.
    pub scenario: String,
    /// The fault's class; `None` for a healthy stretch that looks like trouble.
    pub class: Option<String>,
    /// The kind of the tier at fault.
    pub tier: Option<String>,
    /// The phases whose wall it is.
    pub phase: Vec<u8>,
    /// How bad it was.
    pub intensity: Intensity,
    /// When it began, in nanoseconds since the Unix epoch.
    pub began_unix_nanos: u64,
    /// When it ended.
    pub ended_unix_nanos: u64,
}

impl fmt::Display for TruthLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |nanos| humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(nanos));
        let class = self.class.as_deref().unwrap_or("nothing");
        write!(f, "{class} was wrong from {} to {}", at(self.began_unix_nanos), at(self.ended_unix_nanos))
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    phase: Phase,
    #[serde(default = "one")]
    seed: u64,
    #[serde(with = "human")]
    duration: Duration,
    #[serde(default)]
    load: toml::Table,
    #[serde(default)]
    settings: toml::Table,
    #[serde(default)]
    fault: Vec<FileFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFault {
    fault: Fault,
    #[serde(default)]
    intensity: Intensity,
    #[serde(with = "human")]
    at: Duration,
    #[serde(rename = "for", with = "human")]
    lasting: Duration,
    truth: Option<Truth>,
}

fn one() -> u64 {
    1
}

impl Scenario {
    /// Reads a scenario from a file.
    pub fn read(path: &std::path::Path) -> Result<Self, ScenarioError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Io { path: shown.clone(), source })?;
        Self::parse(&text).map_err(|why| ScenarioError::Nonsense { path: shown, why })
    }

    /// Reads a scenario from text; the error says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let settings = over(&Settings::of(file.phase), file.settings, "settings")?;
        let load = over(&LoadPlan::of(file.phase), file.load, "load")?;
        let mut faults = Vec::new();
        for FileFault { fault, intensity, at, lasting, truth } in file.fault {
            if let Some(why) = fault.misfit(file.phase, "try phase = ") {
                return Err(why);
            }
            let over = at.saturating_add(lasting);
            if over > file.duration {
                return Err(format!(
                    "{} ends after the scenario does; make its duration at least {}",
                    fault.name(),
                    humantime::format_duration(over)
                ));
            }
            let plan = FaultPlan { fault, intensity, after: at, lasting };
            faults.push(ScenarioFault { plan, truth: truth.or_else(|| fault.truth(file.phase)) });
        }
        Ok(Self {
            name: file.name,
            phase: file.phase,
            seed: file.seed,
            duration: file.duration,
            load,
            settings,
            faults,
        })
    }

    /// Returns the usual scenario of a fault: all is well, then it is not, then all is well again.
    pub fn of(fault: Fault, intensity: Intensity, healthy: Duration, lasting: Duration, after: Duration) -> Self {
        let phase = fault.usual_phase();
        let plan = FaultPlan { fault, intensity, after: healthy, lasting };
        Self {
            name: fault.name(),
            phase,
            seed: 1,
            duration: healthy + lasting + after,
            load: LoadPlan::of(phase),
            settings: Settings::of(phase),
            faults: vec![ScenarioFault { plan, truth: fault.truth(phase) }],
        }
    }
}

/// Returns a value with some of its fields replaced.
fn over<T: Serialize + serde::de::DeserializeOwned>(usual: &T, changes: toml::Table, of: &str) -> Result<T, String> {
    let mut all = toml::Table::try_from(usual).map_err(|error| format!("[{of}]: {error}"))?;
    all.extend(changes);
    all.try_into().map_err(|error| format!("[{of}]: {error}"))
}

impl ScenarioFault {
    /// Returns the line of truth of a fault that was played from `began` to `ended`; `None` where it ended before
    /// what it says was true.
    pub fn line(&self, scenario: &str, began_unix_nanos: u64, ended_unix_nanos: u64) -> Option<TruthLine> {
        let true_after = self.plan.fault.true_after(self.plan.intensity);
        let began_unix_nanos = began_unix_nanos + true_after.as_nanos() as u64;
        (began_unix_nanos <= ended_unix_nanos).then(|| TruthLine {
            scenario: scenario.to_owned(),
            class: self.truth.as_ref().map(|truth| truth.class.clone()),
            tier: self.truth.as_ref().map(|truth| truth.tier.clone()),
            phase: self.truth.as_ref().map(|truth| truth.phase.clone()).unwrap_or_default(),
            intensity: self.plan.intensity,
            began_unix_nanos,
            ended_unix_nanos,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        name = "two things"
        phase = 5
        duration = "2m"
        [load]
        rate = 200.0
        reads_per_write = 10.0
        curve = { kind = "ramp", to = 3.0, over = "1m" }
        [settings]
        worker = { mean = "400ms", concurrency = 1 }
        [[fault]]
        fault = "worker-loss"
        intensity = "high"
        at = "20s"
        for = "30s"
        [[fault]]
        fault = "cache-flush"
        at = "1m"
        for = "30s"
        truth = { tier = "cache", class = "cache-flush", phase = [3] }
    "#;

    #[test]
    fn a_file_says_what_differs_from_the_phase() {
        let scenario = Scenario::parse(WHOLE).unwrap();
        assert_eq!((scenario.phase, scenario.seed), (Phase::WRITES, 1));
        assert!((scenario.load.rate - 200.0).abs() < 1e-9);
        assert_eq!(scenario.settings.worker.mean, Duration::from_millis(400));
        assert_eq!(scenario.settings.app, Settings::of(Phase::WRITES).app);
        let [loss, flush] = &scenario.faults[..] else { panic!("two faults") };
        assert_eq!((loss.plan.fault, loss.plan.intensity), (Fault::WorkerLoss, Intensity::High));
        assert_eq!(loss.truth.as_ref().unwrap().tier, "worker");
        assert_eq!(flush.plan.after, Duration::from_mins(1));
    }

    #[test]
    fn a_file_that_cannot_be_played_says_why() {
        let why = |from: &str, to: &str| Scenario::parse(&WHOLE.replace(from, to)).unwrap_err();
        assert!(why("phase = 5", "phase = 2").contains("try phase = 5"));
        assert!(why("phase = 5", "phase = 7").contains("no phase 7"));
        assert!(why("duration = \"2m\"", "duration = \"40s\"").contains("at least 50s"));
        assert!(why("worker-loss", "flood").contains("flood"));
        assert!(why("reads_per_write", "reads_per_wrote").contains("reads_per_wrote"));
        assert!(why("\"20s\"", "\"20\"").contains("no duration"));
    }

    #[test]
    fn the_truth_of_a_full_disk_begins_when_it_is_full() {
        let minute = Duration::from_mins(1);
        let lines = |fault: Fault, lasted: u64| {
            let scenario = Scenario::of(fault, Intensity::Medium, minute, minute, minute);
            scenario.faults[0].line("short", 1_000_000_000, 1_000_000_000 + lasted * 1_000_000_000)
        };
        let full = lines(Fault::DiskFull, 50).unwrap();
        assert_eq!((full.began_unix_nanos, full.ended_unix_nanos), (16_000_000_000, 51_000_000_000));
        assert_eq!(lines(Fault::DiskFull, 14), None, "it never was full");
        assert_eq!(lines(Fault::CacheFlush, 14).unwrap().began_unix_nanos, 1_000_000_000);
    }

    #[test]
    fn each_fault_has_a_file_in_which_it_is_played_alone_and_all_is_well_before_and_after() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for fault in Fault::all() {
            let name = fault.name();
            let scenario = Scenario::read(&folder.join(format!("{name}.toml"))).unwrap();
            assert_eq!((&scenario.name, scenario.phase), (&name, fault.usual_phase()));
            let [played] = &scenario.faults[..] else { panic!("{name} plays more than one fault") };
            assert_eq!((played.plan.fault, &played.truth), (fault, &fault.truth(scenario.phase)));
            assert!(played.plan.after >= Duration::from_secs(30), "{name}");
            assert!(scenario.duration >= played.plan.after + played.plan.lasting + Duration::from_secs(20), "{name}");
            assert!(scenario.load.rate > 0.0, "{name}");
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), Fault::all().count());
    }
}

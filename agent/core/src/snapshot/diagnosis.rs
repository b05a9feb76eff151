//! What a snapshot says of bottlenecks: the state of the diagnosis, and incidents past and present.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// What is known of bottlenecks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiagnosisView {
    /// How far the diagnosis is.
    pub state: DiagnosisState,
    /// The same in a line: the first verdict, "healthy: no verdict", or why there is none, such as
    /// "too few traces: 12 in 10 s" or "unexplained: 41 % attributed".
    pub summary: String,
    /// Whole traces that were looked at in the last seconds.
    pub traces: u64,
    /// Open incidents, the gravest first, then those that ended, the newest first.
    pub incidents: Vec<IncidentView>,
}

impl DiagnosisView {
    /// The incidents that are open.
    pub fn open(&self) -> impl Iterator<Item = &IncidentView> {
        self.incidents.iter().filter(|incident| incident.ended_unix_ms.is_none())
    }

    /// The verdict to act on: the first that an open incident has.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.open().find_map(|incident| incident.verdict.as_ref())
    }
}

/// How far the diagnosis is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosisState {
    /// What is usual is not known yet.
    #[default]
    Learning,
    /// Too few requests came lately to say anything.
    TooFew,
    /// Nothing is wrong.
    Healthy,
    /// Something is wrong, and no tier explains enough of it.
    Unexplained,
    /// A bottleneck is named.
    Named,
}

/// A time in which requests took longer or failed, or a signal went bad, with its one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentView {
    /// Its number, in the order of opening.
    pub id: u64,
    /// When it began, as far as telemetry shows; milliseconds since the Unix epoch, as all times here.
    pub onset_unix_ms: u64,
    /// When it was noticed.
    pub opened_unix_ms: u64,
    /// When it was worst.
    pub peak_unix_ms: u64,
    /// When it ended, if it did.
    pub ended_unix_ms: Option<u64>,
    /// What the average request usually takes, milliseconds; `None` where a signal alone speaks.
    pub usual_ms: Option<f64>,
    /// By how much requests take longer now.
    pub excess_ms: Option<f64>,
    /// By how much they took longer at the peak.
    pub peak_excess_ms: Option<f64>,
    /// Share of requests that fail, 0 to 1.
    pub failed_ratio: Option<f64>,
    /// The bottleneck, or `None` while no tier explains enough.
    pub verdict: Option<Verdict>,
    /// Why there is no verdict, in words; empty when there is one.
    pub unexplained: String,
    /// How often the verdict named another tier or class than before.
    pub changes: u64,
    /// Ids of the tiers that are slow or fail because of it.
    pub victims: Vec<String>,
    /// Versions that appeared shortly before the onset, such as `app/content-app 1.4.2`.
    pub new_versions: Vec<String>,
}

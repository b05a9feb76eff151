//! How the exporters are: what was shipped, what waits, what was lost and why.

use serde::{Deserialize, Serialize};

use super::ReasonCount;

/// One exporter. Counts are since the agent started, in the exporter's own pieces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExporterView {
    /// Its name, as `--ship` takes it.
    pub name: String,
    /// Where it ships to: a region, an endpoint, or "dry run".
    pub target: String,
    /// What it is doing.
    pub state: ExporterState,
    /// What a piece is: "datums", "documents".
    pub pieces: String,
    /// Pieces that wait to be sent.
    pub waiting: u64,
    /// The spool on disk, for an exporter that has one.
    pub spool: Option<SpoolView>,
    /// The series that are paid for, for an exporter of metrics.
    pub series: Option<SeriesView>,
    /// Pieces that the service took.
    pub sent: u64,
    /// Pieces that the service refused for good; they are not tried again.
    pub refused: u64,
    /// Pieces that were given up, by reason; the refused ones are among them.
    pub dropped: Vec<ReasonCount>,
    /// Pieces that were sent again because no answer came: the service may have counted them twice.
    pub maybe_twice: u64,
    /// When the service last took anything, milliseconds since the Unix epoch.
    pub last_success_unix_ms: Option<u64>,
    /// What is wrong now, if anything.
    pub trouble: Option<ExporterTrouble>,
    /// What shipping costs, where prices are known.
    pub cost: Option<ShippingCost>,
}

impl ExporterView {
    /// Pieces given up, for whatever reason.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().map(|reason| reason.count).sum()
    }
}

/// What an exporter is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExporterState {
    /// Nothing was sent yet.
    #[default]
    Starting,
    /// What was sent last was taken.
    Shipping,
    /// The last attempt failed; time alone may mend that.
    Retrying,
    /// The last attempt failed, and somebody must change something.
    Blocked,
}

/// A bounded spool on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolView {
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes that there may be; over it the oldest go.
    pub capacity_bytes: u64,
}

/// Series that an exporter of metrics makes: each name with each set of dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesView {
    /// How many there are.
    pub used: u64,
    /// How many there may be.
    pub ceiling: u64,
    /// Tiers over the ceiling, shipped together as "other".
    pub folded_tiers: u64,
}

/// Why an exporter does not ship, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExporterTrouble {
    /// What the last attempt met, in words.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// When it began, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Attempts in a row that failed.
    pub attempts: u64,
}

/// What shipping costs, in US dollars at list prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShippingCost {
    /// Since the agent started.
    pub so_far_usd: f64,
    /// A month of 730 hours at the present rate.
    pub month_usd: f64,
}

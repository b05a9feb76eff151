//! What arrives: how many requests a second, how that changes over time, and what they ask.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::human;
use crate::topology::Phase;

/// Reads a second that one user makes on average: forty thousand reads a second for ten million users.
pub const READS_PER_USER: f64 = 0.004;

/// How many bytes a payload may have: the service refuses an empty one, and a body of more than 256 KiB, of
/// which some are left for what stands around the payload.
pub const PAYLOAD_BYTES: RangeInclusive<usize> = 1..=250_000;

/// The load as a scenario or a command line asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadPlan {
    /// Requests per second before the curve; zero for no load.
    pub rate: f64,
    /// How the rate changes over time.
    pub curve: Curve,
    /// Clients that each wait for their answer before they ask again, instead of an open loop.
    pub closed: Option<ClosedLoop>,
    /// Reads per write.
    pub reads_per_write: f64,
    /// Exponent of the Zipf law of the contents' popularity.
    pub zipf_exponent: f64,
    /// Share of reads that are for a content written a moment ago, 0 to 1.
    pub recent_reads: f64,
    /// Share of reads that list a user's contents, 0 to 1.
    pub list_reads: f64,
    /// Share of all requests that are for static assets, 0 to 1.
    pub static_share: f64,
    /// Share of all requests that carry a session, 0 to 1.
    pub session_share: f64,
    /// Share of writes that are uploads, 0 to 1.
    pub uploads: f64,
    /// Number of users who write.
    pub users: i64,
    /// How many contents there are from the start.
    pub items: u32,
    /// How many bytes a payload has, within [`PAYLOAD_BYTES`].
    #[serde(deserialize_with = "payload_bytes")]
    pub payload_bytes: usize,
}

/// Clients that each wait for their answer before they ask again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosedLoop {
    /// How many clients there are.
    pub clients: usize,
    /// How long each waits between an answer and its next request.
    #[serde(with = "human")]
    pub think: Duration,
}

/// How a rate changes over time; factors are of the plan's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Curve {
    /// It does not.
    #[default]
    Constant,
    /// It goes evenly from 1 to `to`, and stays there.
    Ramp {
        /// Factor at the end.
        to: f64,
        /// How long it takes.
        #[serde(with = "human")]
        over: Duration,
    },
    /// It jumps to `to`, and stays there.
    Step {
        /// Factor after the jump.
        to: f64,
        /// When it jumps.
        #[serde(with = "human")]
        at: Duration,
    },
    /// It jumps to `to` and back.
    Spike {
        /// Factor meanwhile.
        to: f64,
        /// When it jumps.
        #[serde(with = "human")]
        at: Duration,
        /// How long it stays.
        #[serde(rename = "for", with = "human")]
        lasting: Duration,
    },
    /// It swings between 1 in the day and `night`, beginning at noon.
    Day {
        /// Factor at midnight.
        night: f64,
        /// From noon to noon.
        #[serde(with = "human")]
        period: Duration,
    },
}

impl Curve {
    /// Returns the factor at a time from the start.
    pub fn factor(&self, at: Duration) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Ramp { to, over } => {
                let done = if over.is_zero() { 1.0 } else { (at.as_secs_f64() / over.as_secs_f64()).min(1.0) };
                1.0 + (to - 1.0) * done
            }
            Self::Step { to, at: jump } => {
                if at < jump {
                    1.0
                } else {
                    to
                }
            }
            Self::Spike { to, at: jump, lasting } => {
                if at < jump || at >= jump + lasting {
                    1.0
                } else {
                    to
                }
            }
            Self::Day { night, period } => {
                let turn = if period.is_zero() { 0.0 } else { at.as_secs_f64() / period.as_secs_f64() };
                let daylight = 0.5 + 0.5 * (turn * TAU).cos();
                night + (1.0 - night) * daylight
            }
        }
    }
}

/// What faults change in a load while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dial {
    /// How many times the load is what it would be.
    pub factor: f64,
    /// Share of the reads that are for the most popular content, on top of its own.
    pub hot_share: f64,
    /// Share of all requests that become lists of a user's contents.
    pub list_share: f64,
}

impl Default for Dial {
    fn default() -> Self {
        Self { factor: 1.0, hot_share: 0.0, list_share: 0.0 }
    }
}

/// Returns a size of payloads that the service takes; the error says which it does.
pub(crate) fn taken_payload(bytes: usize) -> Result<usize, String> {
    let (least, most) = (PAYLOAD_BYTES.start(), PAYLOAD_BYTES.end());
    let refused = || format!("a payload of {bytes} bytes is none that the service takes; it takes {least} to {most}");
    PAYLOAD_BYTES.contains(&bytes).then_some(bytes).ok_or_else(refused)
}

fn payload_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    taken_payload(usize::deserialize(deserializer)?).map_err(D::Error::custom)
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self::of(Phase::WRITES)
    }
}

impl LoadPlan {
    /// Returns the usual load of a phase: constant, a hundred reads to a write.
    pub fn of(phase: Phase) -> Self {
        Self {
            rate: phase.usual_rate(),
            curve: Curve::Constant,
            closed: None,
            reads_per_write: 100.0,
            zipf_exponent: 1.1,
            recent_reads: 0.02,
            list_reads: 0.05,
            static_share: 0.1,
            session_share: 0.2,
            uploads: 0.1,
            users: 97,
            items: 500,
            payload_bytes: 1_000,
        }
    }

    /// Requests per second that so many users make, at a scale of one to `scale`: reads of contents by
    /// [`READS_PER_USER`], and the writes and the static assets that go with them.
    pub fn rate_of_users(&self, users: f64, scale: f64) -> f64 {
        let reads = users * READS_PER_USER / scale;
        reads * (1.0 + 1.0 / self.reads_per_write) / (1.0 - self.static_share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(curve: Curve, seconds: u64) -> f64 {
        curve.factor(Duration::from_secs(seconds))
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn curves_have_their_shapes() {
        let s = Duration::from_secs;
        let ramp = Curve::Ramp { to: 3.0, over: s(10) };
        assert!(close(at(ramp, 0), 1.0) && close(at(ramp, 5), 2.0) && close(at(ramp, 20), 3.0));
        let step = Curve::Step { to: 4.0, at: s(10) };
        assert!(close(at(step, 9), 1.0) && close(at(step, 10), 4.0));
        let spike = Curve::Spike { to: 6.0, at: s(10), lasting: s(5) };
        assert!(close(at(spike, 9), 1.0) && close(at(spike, 14), 6.0) && close(at(spike, 15), 1.0));
        let day = Curve::Day { night: 0.2, period: s(100) };
        assert!(close(at(day, 0), 1.0) && close(at(day, 50), 0.2) && close(at(day, 100), 1.0));
    }

    #[test]
    fn a_plan_whose_payloads_the_service_would_refuse_is_refused() {
        let read = |bytes: u32| serde_json::from_str::<LoadPlan>(&format!(r#"{{"payload_bytes": {bytes}}}"#));
        assert_eq!(read(100_000).unwrap().payload_bytes, 100_000);
        assert!(read(0).unwrap_err().to_string().contains("1 to 250000"));
        assert!(read(300_000).is_err());
    }

    #[test]
    fn users_make_the_reads_of_the_reference_system() {
        let plan = LoadPlan::of(Phase::WRITES);
        // Ten million users: forty thousand reads and four hundred writes a second, and assets.
        let rate = plan.rate_of_users(10e6, 1.0);
        assert!((rate * (1.0 - plan.static_share) - 40_400.0).abs() < 1e-6, "{rate}");
        assert!((plan.rate_of_users(2e6, 100.0) * 500.0 - rate).abs() < 1e-6);
    }
}

//! Metrics to CloudWatch: closed seconds become datums, which wait on disk until they are taken.
//!
//! [`encode`] makes datums, [`datum`] knows the service's limits, [`shipper`] owns the spool and decides
//! when to send, [`send`] is the call.

pub mod datum;
pub mod encode;
mod latency;
pub mod send;
pub mod shipper;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use aws_config::SdkConfig;
use serde::{Deserialize, Serialize};
use tiertop_core::snapshot::{ExporterState, SpoolView};
use tracing::warn;

use super::spool::Spool;
use super::status::Status;
use super::{Intake, ShipError, Shipping, aws};
use datum::Datum;
use encode::{Encoder, EncoderOptions};
use shipper::{Pace, Shipper};

/// How metrics are shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudwatchOptions {
    /// The namespace.
    pub namespace: String,
    /// The endpoint, instead of the region's.
    pub endpoint: Option<String>,
    /// How datums are made.
    pub encoder: EncoderOptions,
    /// The folder of the spool.
    pub spool: PathBuf,
    /// Bytes that the spool may take.
    pub spool_bytes: u64,
}

/// Bytes that the spool may take, unless told otherwise: a day and more of a dozen tiers by the second.
pub const SPOOL_BYTES: u64 = 256 << 20;

impl Default for CloudwatchOptions {
    fn default() -> Self {
        Self {
            namespace: super::metrics::NAMESPACE.to_owned(),
            endpoint: None,
            encoder: EncoderOptions::default(),
            spool: default_spool(),
            spool_bytes: SPOOL_BYTES,
        }
    }
}

/// `$XDG_STATE_HOME/tiertop/cloudwatch`, or what that is by default.
pub fn default_spool() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("tiertop").join(NAME)
}

/// The exporter's name.
pub const NAME: &str = "cloudwatch";
const PIECES: &str = "datums";

/// Datums on their way, as they are spooled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spooled {
    /// The namespace they are of.
    pub namespace: String,
    /// They, within the limits of one request.
    pub datums: Vec<Datum>,
}

/// Starts shipping over AWS.
pub(super) fn start(options: CloudwatchOptions, config: &SdkConfig, shipping: &mut Shipping) -> Result<(), ShipError> {
    let target = aws::target(config, options.endpoint.as_deref());
    let (status, reader) = Status::new(NAME, &target, PIECES);
    let (spool, found) = Spool::open(&options.spool, options.spool_bytes)?;
    status.maybe_twice(found.were_in_flight);
    if let Some(aside) = found.set_aside {
        warn!(file = %aside.display(), "the spool could not be read and is kept aside");
        status.dropped("in a spool that could not be read", 1);
    }
    let client = send::client(config, options.endpoint.as_deref());
    let pace = Pace::of(options.encoder.resolution_s);
    let shipper = Shipper::new(options, spool, client, status, pace, shipper::unix_now);
    let intake = shipping.tap.way();
    shipping.statuses.push(reader);
    shipping.exporters.run(NAME, move || shipper.run(intake))?;
    Ok(())
}

/// Prints what would be sent, a line of JSON a datum.
pub(super) fn start_dry(options: CloudwatchOptions, shipping: &mut Shipping) -> Result<(), ShipError> {
    let (status, reader) = Status::new(NAME, "dry run", PIECES);
    let intake = shipping.tap.way();
    shipping.statuses.push(reader);
    shipping.exporters.run(NAME, move || print(options, intake, status))?;
    Ok(())
}

/// A datum with its namespace, as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    namespace: &'a str,
    #[serde(flatten)]
    datum: &'a Datum,
}

async fn print(options: CloudwatchOptions, mut intake: Intake, status: Status) {
    let mut encoder = Encoder::new(options.encoder);
    let say = |datums: Vec<Datum>| {
        let mut out = std::io::stdout().lock();
        for datum in &datums {
            let line = Line { namespace: &options.namespace, datum };
            // Whoever reads may be gone, as `head` soon is.
            let _ = serde_json::to_writer(&mut out, &line).map(|()| out.write_all(b"\n"));
        }
        datums.len() as u64
    };
    while let Some(snapshot) = intake.snapshots.recv().await {
        for second in &snapshot.closed_seconds {
            let printed = say(encoder.take(&snapshot.environment, second));
            if printed > 0 {
                status.took(printed);
            }
        }
        status.update(|view| view.series = Some(encoder.series()));
    }
    say(encoder.finish());
    let missed = intake.missed_seconds.load(Ordering::Relaxed);
    status.dropped("seconds that found no room on the way to the printer", missed);
}

impl Spooled {
    /// As it is spooled: JSON, compressed.
    pub fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        zstd::encode_all(serde_json::to_vec(self)?.as_slice(), 1)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(&zstd::decode_all(bytes).ok()?).ok()
    }
}

/// What the spool holds, for the status.
fn spool_view(spool: &Spool) -> SpoolView {
    SpoolView { bytes: spool.bytes(), capacity_bytes: spool.capacity_bytes() }
}

/// The state of an exporter whose own disk fails.
fn disk_failed(status: &Status, error: &dyn std::fmt::Display) {
    warn!(%error, "the spool's disk failed");
    status.update(|view| view.state = ExporterState::Blocked);
}

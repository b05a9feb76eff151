//! `[limits]` and `[analyze]`: how much memory may be used, and for how much of what.

use serde::{Deserialize, Serialize};
use tiertop_core::config::Limits;

use super::ranges::whole;

/// `[limits]`: ceilings of what comes in and of the engine's tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ceilings {
    /// Largest OTLP message, inflated, MiB.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub message_mib: u16,
    /// Telemetry that waits for the engine, MiB.
    #[serde(deserialize_with = "whole::<1, 4096, _, _>")]
    pub queue_mib: u16,
    /// Figures and history, MiB.
    #[serde(deserialize_with = "whole::<8, 16384, _, _>")]
    pub memory_mib: u16,
    /// Spans that wait for their trace to settle, MiB.
    #[serde(deserialize_with = "whole::<1, 1024, _, _>")]
    pub traces_mib: u16,
    /// Services and peers.
    #[serde(deserialize_with = "whole::<8, 65536, _, _>")]
    pub services: u32,
    /// Instances of each.
    #[serde(deserialize_with = "whole::<1, 65536, _, _>")]
    pub instances: u32,
    /// Operations of each.
    #[serde(deserialize_with = "whole::<1, 65536, _, _>")]
    pub operations: u32,
    /// Pairs of caller and callee.
    #[serde(deserialize_with = "whole::<8, 1048576, _, _>")]
    pub calls: u32,
    /// Sending processes.
    #[serde(deserialize_with = "whole::<8, 1048576, _, _>")]
    pub processes: u32,
    /// Metric series.
    #[serde(deserialize_with = "whole::<8, 10000000, _, _>")]
    pub metric_series: u32,
    /// Signals.
    #[serde(deserialize_with = "whole::<8, 1048576, _, _>")]
    pub signals: u32,
    /// Distinct shapes of spans whose classification is remembered.
    #[serde(deserialize_with = "whole::<64, 1048576, _, _>")]
    pub shapes: u32,
    /// Recent spans by which calls are paired.
    #[serde(deserialize_with = "whole::<1024, 16777216, _, _>")]
    pub recent_spans: u32,
}

impl Default for Ceilings {
    fn default() -> Self {
        let engine = Limits::default();
        Self {
            message_mib: 16,
            queue_mib: 64,
            memory_mib: (engine.bytes >> 20) as u16,
            traces_mib: (engine.trace_bytes >> 20) as u16,
            services: engine.members as u32,
            instances: engine.instances as u32,
            operations: engine.operations as u32,
            calls: engine.edges as u32,
            processes: engine.processes as u32,
            metric_series: engine.series as u32,
            signals: engine.signals as u32,
            shapes: engine.routes as u32,
            recent_spans: engine.recent_spans as u32,
        }
    }
}

impl Ceilings {
    /// The engine's part of them.
    pub(super) fn engine(&self) -> Limits {
        Limits {
            members: self.services as usize,
            instances: self.instances as usize,
            operations: self.operations as usize,
            edges: self.calls as usize,
            processes: self.processes as usize,
            series: self.metric_series as usize,
            signals: self.signals as usize,
            routes: self.shapes as usize,
            recent_spans: self.recent_spans as usize,
            trace_bytes: mebibytes(self.traces_mib),
            bytes: mebibytes(self.memory_mib),
        }
    }
}

/// `[analyze]`: what `tiertop analyze` may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Analyze {
    /// Spans, MiB.
    #[serde(deserialize_with = "whole::<1, 16384, _, _>")]
    pub memory_mib: u16,
}

impl Default for Analyze {
    fn default() -> Self {
        Self { memory_mib: 256 }
    }
}

/// Bytes of so many MiB.
pub fn mebibytes(count: u16) -> usize {
    usize::from(count) << 20
}

/// `[limits]` as it is printed.
pub(super) const CEILINGS: &str = "\
# Ceilings. What goes over them is refused, or falls into \"other\", or the oldest goes; each is counted and shown.
[limits]
# Largest OTLP message, inflated, in MiB, 1 to 1024 (--max-message-size).
message_mib = 16
# Most memory for telemetry that waits to be looked at, in MiB, 1 to 4096 (--max-queue-size).
queue_mib = 64
# Most memory for figures and history, in MiB, 8 to 16384 (--max-memory).
memory_mib = 64
# Of that, for spans that wait for the rest of their trace, in MiB, 1 to 1024.
traces_mib = 8
# Services and peers.
services = 256
# Instances of each.
instances = 256
# Operations of each.
operations = 100
# Pairs of caller and callee.
calls = 1024
# Sending processes.
processes = 4096
# Metric series.
metric_series = 20000
# Signals, such as the lag of one replica.
signals = 2048
# Distinct shapes of spans; over it all are forgotten and learned anew.
shapes = 16384
# Recent spans by which calls are paired with what answered them. About 100 bytes each.
recent_spans = 131072
";

/// `[analyze]` as it is printed.
pub(super) const ANALYZE: &str = "\
# What `tiertop analyze` may use.
[analyze]
# Most memory for spans, in MiB, 1 to 16384 (--max-memory); over it whole traces are left out.
memory_mib = 256
";

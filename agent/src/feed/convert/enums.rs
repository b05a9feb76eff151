//! The named values: one list each, checked by the compiler from both sides.

use tiertop_core::phase::Phase;
use tiertop_core::snapshot::{DiagnosisState, ExporterState, FiguresFrom, KeptFor, Severity, SignalKind, TierState};
use tiertop_core::tier::TierKind;

use crate::feed::wire;

/// Writes both directions from one list of variants. From the wire, `None` is a value that this
/// code has no name for, the unspecified one among them.
macro_rules! both_ways {
    ($name:ident, $to:ident, $from:ident, [$($variant:ident),+ $(,)?]) => {
        pub(super) fn $to(value: $name) -> i32 {
            match value {
                $($name::$variant => wire::$name::$variant.into(),)+
            }
        }

        pub(super) fn $from(value: i32) -> Option<$name> {
            match wire::$name::try_from(value).ok()? {
                wire::$name::Unspecified => None,
                $(wire::$name::$variant => Some($name::$variant),)+
            }
        }
    };
}

both_ways!(
    TierKind,
    tier_kind_to_wire,
    tier_kind_from_wire,
    [Edge, Lb, Web, App, Cache, DbPrimary, DbReplica, Nosql, ObjectStore, Queue, Worker, Warehouse, External,]
);

both_ways!(ExporterState, exporter_state_to_wire, exporter_state_from_wire, [Starting, Shipping, Retrying, Blocked]);

both_ways!(TierState, tier_state_to_wire, tier_state_from_wire, [Fine, Warning, Critical]);

both_ways!(
    FiguresFrom,
    figures_from_to_wire,
    figures_from_from_wire,
    [OwnSpans, CallerSpans, Metrics, SpansAndMetrics]
);

both_ways!(
    SignalKind,
    signal_kind_to_wire,
    signal_kind_from_wire,
    [
        CacheHitRatio,
        ReplicaLagSeconds,
        QueueDepth,
        QueueOldestAgeSeconds,
        QueueInFlight,
        PoolUsed,
        PoolMax,
        PoolPending,
        PoolWaitSeconds,
        CpuRatio,
        MemoryBytes,
        EvictionsPerSecond,
        WorkersBusy,
        WorkersMax,
    ]
);

both_ways!(Severity, severity_to_wire, severity_from_wire, [Warning, Critical]);

both_ways!(Phase, phase_to_wire, phase_from_wire, [SingleBox, WebTier, DatabaseReads, Spikes, Writes, Regions]);

both_ways!(
    DiagnosisState,
    diagnosis_state_to_wire,
    diagnosis_state_from_wire,
    [Learning, TooFew, Healthy, Unexplained, Named]
);

both_ways!(KeptFor, kept_for_to_wire, kept_for_from_wire, [Slowest, Failed, Stalled, Sample]);

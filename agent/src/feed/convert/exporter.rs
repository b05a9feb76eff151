//! How the exporters are.

use tiertop_core::snapshot::{ExporterTrouble, ExporterView, SeriesView, ShippingCost, SpoolView};

use super::enums::{exporter_state_from_wire, exporter_state_to_wire};
use super::pipeline::{reason_from_wire, reason_to_wire};
use crate::feed::wire;

pub(super) fn to_wire(view: &ExporterView) -> wire::Exporter {
    let ExporterView {
        name,
        target,
        state,
        pieces,
        waiting,
        spool,
        series,
        sent,
        refused,
        dropped,
        maybe_twice,
        last_success_unix_ms,
        trouble,
        cost,
    } = view;
    wire::Exporter {
        name: name.clone(),
        target: target.clone(),
        state: exporter_state_to_wire(*state),
        pieces: pieces.clone(),
        waiting: *waiting,
        spool: spool.map(|SpoolView { bytes, capacity_bytes }| wire::Spool { bytes, capacity_bytes }),
        series: series.map(|SeriesView { used, ceiling, folded_tiers }| wire::Series { used, ceiling, folded_tiers }),
        sent: *sent,
        refused: *refused,
        dropped: dropped.iter().map(reason_to_wire).collect(),
        maybe_twice: *maybe_twice,
        last_success_unix_ms: *last_success_unix_ms,
        trouble: trouble.as_ref().map(trouble_to_wire),
        cost: cost.map(|ShippingCost { so_far_usd, month_usd }| wire::ShippingCost { so_far_usd, month_usd }),
    }
}

pub(super) fn from_wire(view: wire::Exporter) -> ExporterView {
    let wire::Exporter {
        name,
        target,
        state,
        pieces,
        waiting,
        spool,
        series,
        sent,
        refused,
        dropped,
        maybe_twice,
        last_success_unix_ms,
        trouble,
        cost,
    } = view;
    ExporterView {
        name,
        target,
        state: exporter_state_from_wire(state).unwrap_or_default(),
        pieces,
        waiting,
        spool: spool.map(|wire::Spool { bytes, capacity_bytes }| SpoolView { bytes, capacity_bytes }),
        series: series.map(|wire::Series { used, ceiling, folded_tiers }| SeriesView { used, ceiling, folded_tiers }),
        sent,
        refused,
        dropped: dropped.into_iter().map(reason_from_wire).collect(),
        maybe_twice,
        last_success_unix_ms,
        trouble: trouble.map(trouble_from_wire),
        cost: cost.map(|wire::ShippingCost { so_far_usd, month_usd }| ShippingCost { so_far_usd, month_usd }),
    }
}

fn trouble_to_wire(view: &ExporterTrouble) -> wire::ExporterTrouble {
    let ExporterTrouble { what, remedy, since_unix_ms, attempts } = view;
    let (what, remedy) = (what.clone(), remedy.clone());
    wire::ExporterTrouble { what, remedy, since_unix_ms: *since_unix_ms, attempts: *attempts }
}

fn trouble_from_wire(view: wire::ExporterTrouble) -> ExporterTrouble {
    let wire::ExporterTrouble { what, remedy, since_unix_ms, attempts } = view;
    ExporterTrouble { what, remedy, since_unix_ms, attempts }
}

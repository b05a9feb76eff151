//! Tiers, what they are made of, and the edges between them.

use tiertop_core::snapshot::{
    BucketView, EdgeView, FiguresFrom, Inferable, InstanceView, OperationView, TierState, TierView, TrendView,
};

use super::enums::{
    figures_from_from_wire, figures_from_to_wire, tier_kind_from_wire, tier_kind_to_wire, tier_state_from_wire,
    tier_state_to_wire,
};
use super::{listed, trend_from_wire, trend_to_wire};
use crate::feed::{Detail, wire};

pub(super) fn to_wire(view: &TierView, detail: Detail) -> wire::Tier {
    let TierView {
        id,
        kind,
        member,
        kind_reason,
        requests_per_second,
        error_ratio,
        p50_ms,
        p90_ms,
        p95_ms,
        p99_ms,
        max_ms,
        quantile_error,
        figures_from,
        sampled_ratio,
        sampling_unknown,
        in_flight,
        instances,
        zones,
        operations,
        distribution,
        trend,
        state,
        silent_for_s,
    } = view;
    wire::Tier {
        id: id.clone(),
        kind: tier_kind_to_wire(*kind),
        member: member.clone(),
        kind_reason: kind_reason.clone(),
        requests_per_second: *requests_per_second,
        error_ratio: *error_ratio,
        p50_ms: *p50_ms,
        p90_ms: *p90_ms,
        p95_ms: *p95_ms,
        p99_ms: *p99_ms,
        max_ms: *max_ms,
        quantile_error: *quantile_error,
        figures_from: figures_from_to_wire(*figures_from),
        sampled_ratio: *sampled_ratio,
        sampling_unknown: *sampling_unknown,
        in_flight: in_flight.map(inferable_to_wire),
        instances: listed(instances, detail, instance_to_wire),
        zones: zones.clone(),
        operations: listed(operations, detail, operation_to_wire),
        distribution: listed(distribution, detail, bucket_to_wire),
        trend: Some(trends_to_wire(trend)),
        state: tier_state_to_wire(*state),
        silent_for_s: *silent_for_s,
    }
}

/// The tier, or its id where its kind is unknown.
pub(super) fn from_wire(view: wire::Tier) -> Result<TierView, String> {
    let wire::Tier {
        id,
        kind,
        member,
        kind_reason,
        requests_per_second,
        error_ratio,
        p50_ms,
        p90_ms,
        p95_ms,
        p99_ms,
        max_ms,
        quantile_error,
        figures_from,
        sampled_ratio,
        sampling_unknown,
        in_flight,
        instances,
        zones,
        operations,
        distribution,
        trend,
        state,
        silent_for_s,
    } = view;
    let Some(kind) = tier_kind_from_wire(kind) else {
        return Err(id);
    };
    Ok(TierView {
        id,
        kind,
        member,
        kind_reason,
        requests_per_second,
        error_ratio,
        p50_ms,
        p90_ms,
        p95_ms,
        p99_ms,
        max_ms,
        quantile_error,
        figures_from: figures_from_from_wire(figures_from).unwrap_or(FiguresFrom::OwnSpans),
        sampled_ratio,
        sampling_unknown,
        in_flight: in_flight.map(inferable_from_wire),
        instances: instances.into_iter().map(instance_from_wire).collect(),
        zones,
        operations: operations.into_iter().map(operation_from_wire).collect(),
        distribution: distribution.into_iter().map(bucket_from_wire).collect(),
        trend: trends_from_wire(trend.unwrap_or_default()),
        state: tier_state_from_wire(state).unwrap_or(TierState::Warning),
        silent_for_s,
    })
}

pub(super) fn edge_to_wire(view: &EdgeView) -> wire::Edge {
    let EdgeView { from, to, requests_per_second, error_ratio, p95_ms, gap_mean_ms, gap_p95_ms } = view;
    wire::Edge {
        from: from.clone(),
        to: to.clone(),
        requests_per_second: *requests_per_second,
        error_ratio: *error_ratio,
        p95_ms: *p95_ms,
        gap_mean_ms: *gap_mean_ms,
        gap_p95_ms: *gap_p95_ms,
    }
}

pub(super) fn edge_from_wire(view: wire::Edge) -> EdgeView {
    let wire::Edge { from, to, requests_per_second, error_ratio, p95_ms, gap_mean_ms, gap_p95_ms } = view;
    EdgeView { from, to, requests_per_second, error_ratio, p95_ms, gap_mean_ms, gap_p95_ms }
}

fn inferable_to_wire(view: Inferable) -> wire::Inferable {
    let Inferable { value, inferred } = view;
    wire::Inferable { value, inferred }
}

fn inferable_from_wire(view: wire::Inferable) -> Inferable {
    let wire::Inferable { value, inferred } = view;
    Inferable { value, inferred }
}

fn instance_to_wire(view: &InstanceView) -> wire::Instance {
    let InstanceView { name, zone, region, version, requests_per_second, error_ratio, p95_ms, silent_for_s } = view;
    wire::Instance {
        name: name.clone(),
        zone: zone.clone(),
        region: region.clone(),
        version: version.clone(),
        requests_per_second: *requests_per_second,
        error_ratio: *error_ratio,
        p95_ms: *p95_ms,
        silent_for_s: *silent_for_s,
    }
}

fn instance_from_wire(view: wire::Instance) -> InstanceView {
    let wire::Instance { name, zone, region, version, requests_per_second, error_ratio, p95_ms, silent_for_s } = view;
    InstanceView { name, zone, region, version, requests_per_second, error_ratio, p95_ms, silent_for_s }
}

fn operation_to_wire(view: &OperationView) -> wire::Operation {
    let OperationView { name, requests_per_second, error_ratio, p50_ms, p95_ms, p99_ms, max_ms, time_share } = view;
    wire::Operation {
        name: name.clone(),
        requests_per_second: *requests_per_second,
        error_ratio: *error_ratio,
        p50_ms: *p50_ms,
        p95_ms: *p95_ms,
        p99_ms: *p99_ms,
        max_ms: *max_ms,
        time_share: *time_share,
    }
}

fn operation_from_wire(view: wire::Operation) -> OperationView {
    let wire::Operation { name, requests_per_second, error_ratio, p50_ms, p95_ms, p99_ms, max_ms, time_share } = view;
    OperationView { name, requests_per_second, error_ratio, p50_ms, p95_ms, p99_ms, max_ms, time_share }
}

pub(super) fn bucket_to_wire(view: &BucketView) -> wire::Bucket {
    let BucketView { lower_ms, upper_ms, count } = view;
    wire::Bucket { lower_ms: *lower_ms, upper_ms: *upper_ms, count: *count }
}

pub(super) fn bucket_from_wire(view: wire::Bucket) -> BucketView {
    let wire::Bucket { lower_ms, upper_ms, count } = view;
    BucketView { lower_ms, upper_ms, count }
}

fn trends_to_wire(view: &TrendView) -> wire::Trend {
    let TrendView { ends_unix_s, requests_per_second, p95_ms, error_ratio } = view;
    wire::Trend {
        ends_unix_s: *ends_unix_s,
        requests_per_second: trend_to_wire(requests_per_second),
        p95_ms: trend_to_wire(p95_ms),
        error_ratio: trend_to_wire(error_ratio),
    }
}

fn trends_from_wire(view: wire::Trend) -> TrendView {
    let wire::Trend { ends_unix_s, requests_per_second, p95_ms, error_ratio } = view;
    TrendView {
        ends_unix_s,
        requests_per_second: trend_from_wire(requests_per_second),
        p95_ms: trend_from_wire(p95_ms),
        error_ratio: trend_from_wire(error_ratio),
    }
}

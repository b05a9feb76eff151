//! One row's figures.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rows::{Row, address};
use super::sampling::Sampled;
use super::{Engine, covered_s};
use crate::distribution::{Distribution, QUANTILE_ERROR};
use crate::engine::history::Scalars;
use crate::engine::members::{Facet, Identity, Instance, Member, Reported};
use crate::engine::processes::ProcessId;
use crate::observation::SpanKind;
use crate::slots::Slot;
use crate::snapshot::{
    BucketView, FiguresFrom, Inferable, InstanceView, OperationView, TREND_SECONDS, TierState, TierView, TrendView,
};
use crate::time::UnixSecond;

/// Operations shown of one row.
const OPERATIONS_SHOWN: usize = 20;
/// Settled seconds that an operation's figures cover: longer than a tier's, for the rare ones.
const OPERATION_WINDOW_S: u64 = 30;
/// A report of requests in progress counts for so long.
const REPORT_FRESH_S: f64 = 90.0;
/// A request is known to be waiting when its child ended so long ago.
const WAITING_AFTER_S: f64 = 2.0;
/// A parent that did not come for so long was never sent.
const NEVER_SENT_AFTER_S: f64 = 30.0;

/// What the services' own histograms say of a row.
struct OwnReport {
    requests_per_second: f64,
    slot: Slot,
    quantile_error: Option<f64>,
}

impl Engine {
    pub(super) fn tier_view(&self, row: &Row, in_flight: &HashMap<ProcessId, u64>, sampled: &Sampled) -> TierView {
        let members: Vec<&Member> = row.members.iter().map(|id| self.members.get(*id)).collect();
        let mut slot = Slot::default();
        let mut rate = 0.0;
        for member in &members {
            let (from, to) = self.window(member);
            let own = member.history.sum(from, to);
            rate += own.count() as f64 / covered_s(member, from, to);
            slot.merge(&own);
        }
        let report = self.own_report(&members);
        let is_service = members.iter().any(|member| matches!(member.identity(), Identity::Service(..)));
        // Before a whole second has settled there is no rate, not a rate of zero.
        let has_spans =
            members.iter().any(|member| member.first_second.is_some_and(|first| first <= self.window(member).1));
        let mut figures_from = if is_service { FiguresFrom::OwnSpans } else { FiguresFrom::CallerSpans };
        let mut requests_per_second = has_spans.then_some(rate);
        let mut sampled_ratio = None;
        let mut quantile_error = QUANTILE_ERROR;
        let mut readable = true;
        if let Some(report) = report {
            let span_rate = self.rate_over_last_minute(&members);
            if slot.count() == 0 && span_rate == 0.0 {
                figures_from = FiguresFrom::Metrics;
                requests_per_second = Some(report.requests_per_second);
                readable = report.quantile_error.is_some();
                quantile_error = report.quantile_error.unwrap_or(QUANTILE_ERROR);
                slot = report.slot;
            } else if let Some(ratio) = self.sampled_ratio(&members) {
                figures_from = FiguresFrom::SpansAndMetrics;
                requests_per_second = Some(report.requests_per_second);
                sampled_ratio = Some(ratio);
            }
        }
        let quantile = |q| slot.latency.quantile_ms(q).filter(|_| readable);
        let instances = self.instance_views(&members, figures_from);
        TierView {
            id: row.id.clone(),
            kind: row.kind,
            member: row.name.clone(),
            kind_reason: row.reason.to_owned(),
            requests_per_second,
            error_ratio: slot.error_ratio(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: slot.latency.max_ms().filter(|_| readable),
            quantile_error,
            figures_from,
            sampled_ratio,
            sampling_unknown: sampled_ratio.is_none() && row.members.iter().any(|id| sampled.contains(id)),
            in_flight: self.in_flight(&members, in_flight),
            zones: instances
                .iter()
                .filter_map(|instance| instance.zone.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            silent_for_s: is_service.then(|| self.silent_for_s(&members)).flatten(),
            instances,
            operations: self.operation_views(&members),
            distribution: bucket_views(&slot.latency),
            trend: self.trend_view(&members, figures_from),
            state: TierState::Fine,
        }
    }

    /// The latest report of each process, added up.
    fn own_report(&self, members: &[&Member]) -> Option<OwnReport> {
        let mut latest: BTreeMap<ProcessId, &Reported> = BTreeMap::new();
        for report in members.iter().flat_map(|member| &member.reported) {
            if report.is_fresh(self.now) {
                latest.insert(report.process, report);
            }
        }
        let mut sum = OwnReport { requests_per_second: 0.0, slot: Slot::default(), quantile_error: Some(0.0) };
        for report in latest.values() {
            sum.requests_per_second += report.slot.count() as f64 / report.seconds();
            sum.slot.merge(&report.slot);
            sum.quantile_error = sum.quantile_error.zip(report.quantile_error).map(|(one, other)| one.max(other));
        }
        (!latest.is_empty()).then_some(sum)
    }

    fn rate_over_last_minute(&self, members: &[&Member]) -> f64 {
        let rate = |member: &&Member| {
            let (_, to) = self.window(member);
            let from = to.minus(59);
            member.history.sum(from, to).count() as f64 / covered_s(member, from, to)
        };
        members.iter().map(rate).sum()
    }

    fn instance_views(&self, members: &[&Member], figures_from: FiguresFrom) -> Vec<InstanceView> {
        let mut views = Vec::new();
        for member in members {
            if let Identity::Peer(peer) = member.identity()
                && !peer.address.is_empty()
            {
                let (from, to) = self.window(member);
                let slot = member.history.sum(from, to);
                let covered = covered_s(member, from, to);
                views.push(InstanceView { name: address(peer), ..figures(&slot, covered) });
            }
            for instance in &member.instances {
                views.extend(self.instance_view(member, instance, figures_from));
            }
        }
        views.sort_by(|one, other| (&one.zone, &one.name).cmp(&(&other.zone, &other.name)));
        views
    }

    fn instance_view(&self, member: &Member, instance: &Instance, figures_from: FiguresFrom) -> Option<InstanceView> {
        let process = self.processes.get(instance.process);
        if self.now.seconds_since(process.last_seen) > super::SHOWN_FOR_S as f64 {
            return None;
        }
        let (from, to) = self.window(member);
        let first = process.first_seen.second().max(from);
        let covered = (to.0 + 1).saturating_sub(first.0).max(1) as f64;
        let fresh = |report: &&Reported| report.process == instance.process && report.is_fresh(self.now);
        let spans = figures(&instance.seconds.sum(from, to), covered);
        let reported = member.reported.iter().rev().find(fresh).map(|report| {
            let view = figures(&report.slot, report.to.seconds_since(report.from).max(0.001));
            InstanceView { p95_ms: view.p95_ms.filter(|_| report.quantile_error.is_some()), ..view }
        });
        let own = match (figures_from, reported) {
            (FiguresFrom::Metrics, Some(reported)) => reported,
            (FiguresFrom::SpansAndMetrics, Some(reported)) => {
                InstanceView { requests_per_second: reported.requests_per_second, ..spans }
            }
            _ => spans,
        };
        let resource = &process.resource;
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Some(InstanceView {
            name: process.instance_name().to_owned(),
            zone: owned(&resource.zone),
            region: owned(&resource.region),
            version: owned(&resource.version),
            silent_for_s: process.silent_for_s(self.now),
            ..own
        })
    }

    fn silent_for_s(&self, members: &[&Member]) -> Option<u64> {
        let processes = members.iter().flat_map(|member| &member.instances).map(|instance| instance.process);
        let silences: Vec<Option<u64>> = processes.map(|id| self.processes.get(id).silent_for_s(self.now)).collect();
        if silences.iter().any(Option::is_none) { None } else { silences.into_iter().flatten().min() }
    }

    /// Requests in progress: as the processes report them, else as children without their parents show.
    fn in_flight(&self, members: &[&Member], awaited: &HashMap<ProcessId, u64>) -> Option<Inferable> {
        let serves = |member: &&&Member| matches!(member.identity(), Identity::Service(_, Facet::Serves));
        let processes: Vec<ProcessId> =
            members.iter().filter(serves).flat_map(|member| &member.instances).map(|one| one.process).collect();
        let reported: Vec<f64> = processes
            .iter()
            .flat_map(|id| &self.processes.get(*id).active_requests)
            .filter(|(_, time, _)| self.now.seconds_since(*time) < REPORT_FRESH_S)
            .map(|(.., value)| *value)
            .collect();
        if !reported.is_empty() {
            return Some(Inferable { value: reported.iter().sum(), inferred: false });
        }
        let waiting: u64 = processes.iter().filter_map(|id| awaited.get(id)).sum();
        (waiting > 0).then_some(Inferable { value: waiting as f64, inferred: true })
    }

    /// Requests whose children ended a while ago and which have not ended themselves, by process.
    pub(super) fn awaited_by_process(&self) -> HashMap<ProcessId, u64> {
        let mut waiting: HashMap<ProcessId, u64> = HashMap::new();
        for child in self.ring.awaited() {
            let is_local = matches!(child.kind, SpanKind::Internal | SpanKind::Client | SpanKind::Producer);
            let process = self.processes.get(ProcessId(child.process));
            let since = self.now.seconds_since(child.end) - process.delay.seconds().unwrap_or_default();
            if is_local && (WAITING_AFTER_S..NEVER_SENT_AFTER_S).contains(&since) {
                *waiting.entry(ProcessId(child.process)).or_default() += 1;
            }
        }
        // A process that always keeps parents to itself would seem to be waiting all the time.
        waiting.retain(|id, count| *count < 20 || *count < self.processes.get(*id).spans / 10);
        waiting
    }

    fn operation_views(&self, members: &[&Member]) -> Vec<OperationView> {
        let mut by_name: BTreeMap<&str, Slot> = BTreeMap::new();
        let mut covered = 1.0_f64;
        for member in members {
            let (_, to) = self.window(member);
            let from = to.minus(OPERATION_WINDOW_S - 1);
            covered = covered.max(covered_s(member, from, to));
            for operation in &member.operations {
                let slot = operation.seconds.sum(from, to);
                if slot.count() > 0 {
                    by_name.entry(&operation.name).or_default().merge(&slot);
                }
            }
        }
        let total: f64 = by_name.values().map(|slot| slot.latency.sum_seconds()).sum();
        let mut views: Vec<OperationView> = by_name
            .into_iter()
            .map(|(name, slot)| OperationView {
                name: name.to_owned(),
                requests_per_second: slot.count() as f64 / covered,
                error_ratio: slot.error_ratio().unwrap_or_default(),
                p50_ms: slot.latency.quantile_ms(0.5),
                p95_ms: slot.latency.quantile_ms(0.95),
                p99_ms: slot.latency.quantile_ms(0.99),
                max_ms: slot.latency.max_ms(),
                time_share: if total > 0.0 { slot.latency.sum_seconds() / total } else { 0.0 },
            })
            .collect();
        views.sort_by(|one, other| other.time_share.total_cmp(&one.time_share).then_with(|| one.name.cmp(&other.name)));
        views.truncate(OPERATIONS_SHOWN);
        views
    }

    fn trend_view(&self, members: &[&Member], figures_from: FiguresFrom) -> TrendView {
        let ends = self.now.second();
        let first = ends.minus(TREND_SECONDS as u64 - 1);
        let mut seconds = vec![Slot::default(); TREND_SECONDS];
        let mut known = vec![false; TREND_SECONDS];
        for member in members {
            let (_, settled) = self.window(member);
            for (second, slot) in member.history.seconds(first, ends) {
                seconds[(second.0 - first.0) as usize].merge(slot);
            }
            for (step, known) in known.iter_mut().enumerate() {
                let second = first.plus(step as u64);
                let there = member.first_second.is_some_and(|first| first <= second);
                *known |= there && (second <= settled || seconds[step].count() > 0);
            }
        }
        if figures_from == FiguresFrom::Metrics {
            return reported_trend(members, first, ends);
        }
        if let [only] = members {
            return self.trend_of_one(only, &known, &seconds);
        }
        let of_known = |value: fn(&Slot) -> Option<f32>| -> Vec<Option<f32>> {
            known.iter().zip(&seconds).map(|(known, slot)| value(slot).filter(|_| *known)).collect()
        };
        TrendView {
            ends_unix_s: ends.0,
            requests_per_second: of_known(|slot| Some(slot.count() as f32)),
            p95_ms: of_known(|slot| slot.latency.quantile_ms(0.95).map(|ms| ms as f32)),
            error_ratio: of_known(|slot| slot.error_ratio().map(|ratio| ratio as f32)),
        }
    }

    /// The trend of a single member: closed seconds are written down already.
    fn trend_of_one(&self, member: &Member, known: &[bool], seconds: &[Slot]) -> TrendView {
        let ends = self.now.second();
        let first = ends.minus(TREND_SECONDS as u64 - 1);
        let closed: HashMap<u64, &Scalars> =
            member.history.scalars(first, ends).map(|scalars| (scalars.second.0, scalars)).collect();
        let mut trend = TrendView { ends_unix_s: ends.0, ..TrendView::default() };
        for (step, (known, slot)) in known.iter().zip(seconds).enumerate() {
            let (rate, p95, errors) = match closed.get(&first.plus(step as u64).0) {
                Some(closed) => (
                    Some(closed.count as f32),
                    Some(closed.p95_ms),
                    Some(closed.errors as f32 / closed.count.max(1) as f32),
                ),
                None if *known => (
                    Some(slot.count() as f32),
                    slot.latency.quantile_ms(0.95).map(|ms| ms as f32),
                    slot.error_ratio().map(|ratio| ratio as f32),
                ),
                None => (None, None, None),
            };
            trend.requests_per_second.push(rate);
            trend.p95_ms.push(p95);
            trend.error_ratio.push(errors);
        }
        trend
    }
}

/// Reports cover intervals: each second of an interval gets what the interval says.
fn reported_trend(members: &[&Member], first: UnixSecond, ends: UnixSecond) -> TrendView {
    let mut trend = TrendView { ends_unix_s: ends.0, ..TrendView::default() };
    for step in 0..TREND_SECONDS as u64 {
        let second = first.plus(step);
        let covers = |report: &&Reported| report.from.second() < second && second <= report.to.second();
        let mut slot = Slot::default();
        let mut rate = None;
        for report in members.iter().flat_map(|member| &member.reported).filter(covers) {
            let seconds = report.to.seconds_since(report.from).max(0.001);
            *rate.get_or_insert(0.0) += report.slot.count() as f32 / seconds as f32;
            slot.merge(&report.slot);
        }
        trend.requests_per_second.push(rate);
        trend.p95_ms.push(slot.latency.quantile_ms(0.95).map(|ms| ms as f32));
        trend.error_ratio.push(slot.error_ratio().map(|ratio| ratio as f32));
    }
    trend
}

fn figures(slot: &Slot, covered_s: f64) -> InstanceView {
    InstanceView {
        requests_per_second: Some(slot.count() as f64 / covered_s),
        error_ratio: slot.error_ratio(),
        p95_ms: slot.latency.quantile_ms(0.95),
        ..InstanceView::default()
    }
}

pub(super) fn bucket_views(latency: &Distribution) -> Vec<BucketView> {
    let view = |(bucket, count): (crate::distribution::Bucket, u64)| BucketView {
        lower_ms: bucket.lower_seconds() * 1e3,
        upper_ms: bucket.upper_seconds() * 1e3,
        count,
    };
    latency.buckets().map(view).collect()
}

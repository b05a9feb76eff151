//! What shipping costs: one table of prices, and the sums made with it.
//!
//! Prices are list prices of one region at one date, without free tiers and discounts; they change, so the
//! price pages are named beside them. A month has 730 hours. What counts, in the order of its weight:
//!
//! 1. Series: each metric name with each set of dimension values. CloudWatch asks by the hour in which it was
//!    sent, so silent tiers cost nothing, and the resolution does not matter.
//! 2. Traces that X-Ray records, at most as many a second as the budget says.
//! 3. Calls of `PutMetricData`: here the resolution does matter.
//! 4. Alarms, by the series that they look at, and dashboards.

use serde::Serialize;
use tiertop_core::snapshot::ShippingCost;
use tiertop_core::tier::TierKind;

use super::cloudwatch::datum::MOST_DATUMS;
use super::metrics::{METRICS, Subject, metrics_of};
use crate::dashboards::alarms::{ALARMS, Watched};
use crate::dashboards::cloudwatch::BOARDS;

/// The prices and where they are from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// The region.
    pub region: &'static str,
    /// When they were written down.
    pub date: &'static str,
    /// Where to check them.
    pub pages: [&'static str; 2],
    /// A series a month: up to so many series in all, US dollars each. The last has no end.
    pub series: [(u64, f64); 4],
    /// A thousand calls.
    pub thousand_calls: f64,
    /// A dashboard a month.
    pub dashboard: f64,
    /// A series that an alarm looks at, a month. An alarm at high resolution costs three times as much.
    pub alarm_series: f64,
    /// A million traces recorded.
    pub million_traces: f64,
}

/// As they were known then, from memory: check the pages.
pub const PRICES: Prices = Prices {
    region: "us-east-1",
    date: "2026-11",
    pages: ["https://aws.amazon.com/cloudwatch/pricing/", "https://aws.amazon.com/xray/pricing/"],
    series: [(10_000, 0.30), (250_000, 0.10), (1_000_000, 0.05), (u64::MAX, 0.02)],
    thousand_calls: 0.01,
    dashboard: 3.0,
    alarm_series: 0.10,
    million_traces: 5.0,
};

/// Hours of a month, as AWS counts them.
pub const HOURS_OF_MONTH: f64 = 730.0;
const SECONDS_OF_HOUR: f64 = 3_600.0;
/// Seconds of data that share a call at high resolution: see the shipper's pace.
const SECONDS_OF_CALL: u64 = 10;

/// What is to be paid for.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// The kinds of the tiers.
    pub tiers: Vec<TierKind>,
    /// Metrics, if they are shipped.
    pub metrics: Option<MetricsUsage>,
    /// Traces a second, if they are shipped.
    pub traces_per_second: Option<f64>,
}

/// How metrics are shipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricsUsage {
    /// Seconds that a datum covers.
    pub resolution_s: u32,
    /// Most series.
    pub ceiling: u64,
    /// The series that an agent reports, instead of those that the tiers would have.
    pub reported: Option<u64>,
}

/// One reason to pay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostLine {
    /// What it is for.
    pub what: String,
    /// How the sum comes about.
    pub why: String,
    /// US dollars a month.
    pub month_usd: f64,
}

/// What a month costs, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// What shipping costs.
    pub shipping: Vec<CostLine>,
    /// What the dashboards and alarms under `dashboards/` cost besides, if they are put to use.
    pub looking: Vec<CostLine>,
    /// US dollars a month for shipping.
    pub shipping_month_usd: f64,
    /// US dollars a month for all.
    pub month_usd: f64,
    /// What was reckoned with.
    pub prices: Prices,
}

/// A month of so many series.
pub fn series_month_usd(series: u64) -> f64 {
    let mut from = 0;
    let mut sum = 0.0;
    for (to, each) in PRICES.series {
        sum += (series.min(to) - series.min(from)) as f64 * each;
        from = to;
    }
    sum
}

/// The series of tiers of these kinds and of the whole system.
pub fn series_of(tiers: &[TierKind]) -> u64 {
    let of_system = METRICS.iter().filter(|row| row.of == Subject::System).count();
    (of_system + tiers.iter().map(|kind| metrics_of(*kind).count()).sum::<usize>()) as u64
}

/// Calls a month for so many series.
pub fn calls_of_month(series: u64, resolution_s: u32) -> f64 {
    let (datums, seconds) = match resolution_s {
        1 => (series * SECONDS_OF_CALL, SECONDS_OF_CALL),
        longer => (series, u64::from(longer)),
    };
    datums.div_ceil(MOST_DATUMS as u64) as f64 * HOURS_OF_MONTH * SECONDS_OF_HOUR / seconds as f64
}

fn calls_usd(calls: f64) -> f64 {
    calls / 1_000.0 * PRICES.thousand_calls
}

/// Traces a month at so many a second.
pub fn traces_month_usd(per_second: f64) -> f64 {
    per_second * HOURS_OF_MONTH * SECONDS_OF_HOUR / 1e6 * PRICES.million_traces
}

/// What a month costs, and why.
pub fn estimate(usage: &Usage) -> Estimate {
    let mut shipping = Vec::new();
    if let Some(metrics) = usage.metrics {
        shipping.extend(of_metrics(&usage.tiers, metrics));
    }
    if let Some(per_second) = usage.traces_per_second {
        shipping.push(CostLine {
            what: "X-Ray traces".to_owned(),
            why: format!(
                "at most {per_second} a second: {:.2} million a month at ${:.2} a million; fewer while fewer are worth it",
                per_second * HOURS_OF_MONTH * SECONDS_OF_HOUR / 1e6,
                PRICES.million_traces
            ),
            month_usd: traces_month_usd(per_second),
        });
    }
    let looking = if usage.metrics.is_some() { of_looking(&usage.tiers) } else { Vec::new() };
    let sum = |lines: &[CostLine]| lines.iter().map(|line| line.month_usd).sum::<f64>();
    let shipping_month_usd = sum(&shipping);
    Estimate { month_usd: shipping_month_usd + sum(&looking), shipping_month_usd, shipping, looking, prices: PRICES }
}

fn of_metrics(tiers: &[TierKind], usage: MetricsUsage) -> [CostLine; 2] {
    let (wanted, whose) = match usage.reported {
        Some(reported) => (reported, "as the agent reports".to_owned()),
        None => (series_of(tiers), format!("{} tiers, 4 to 7 each by their kind, and 2 of the system", tiers.len())),
    };
    let series = wanted.min(usage.ceiling);
    let held = match wanted.checked_sub(usage.ceiling) {
        None | Some(0) => String::new(),
        Some(over) => format!("; {over} more are over the ceiling, and these tiers are shipped as \"other\""),
    };
    let calls = calls_of_month(series, usage.resolution_s);
    let pace = if usage.resolution_s == 1 {
        format!("every {SECONDS_OF_CALL} seconds")
    } else {
        format!("every {} seconds", usage.resolution_s)
    };
    [
        CostLine {
            what: "CloudWatch series".to_owned(),
            why: format!(
                "{series} of at most {} ({whose}) at ${:.2}, less above 10,000{held}",
                usage.ceiling, PRICES.series[0].1
            ),
            month_usd: series_month_usd(series),
        },
        CostLine {
            what: "PutMetricData calls".to_owned(),
            why: format!("{calls:.0} a month, {pace}, at ${:.2} a thousand", PRICES.thousand_calls),
            month_usd: calls_usd(calls),
        },
    ]
}

/// Dashboards and alarms. A query over all tiers costs as much as alarms on each of their series.
fn of_looking(tiers: &[TierKind]) -> Vec<CostLine> {
    let watched = |alarm: &Watched| match alarm {
        Watched::System(..) | Watched::Front(..) => 1,
        Watched::FrontErrorShare => 2,
        Watched::AnyTier(name) => tiers.iter().filter(|kind| metrics_of(**kind).any(|row| row.name == *name)).count(),
    };
    let alarm_series: usize = ALARMS.iter().map(|alarm| watched(&alarm.watched)).sum();
    vec![
        CostLine {
            what: "CloudWatch alarms".to_owned(),
            why: format!(
                "{} alarms look at {alarm_series} series, at ${:.2}; with one front",
                ALARMS.len(),
                PRICES.alarm_series
            ),
            month_usd: alarm_series as f64 * PRICES.alarm_series,
        },
        CostLine {
            what: "CloudWatch dashboards".to_owned(),
            why: format!("{} at ${:.2}; an account's first three are free", BOARDS.len(), PRICES.dashboard),
            month_usd: BOARDS.len() as f64 * PRICES.dashboard,
        },
    ]
}

/// What shipping metrics has cost since the agent started.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Dollars for series up to `since`.
    series_usd: f64,
    calls: u64,
    /// The last reading: when, in Unix seconds.
    since: Option<u64>,
}

impl Meter {
    /// A call was made, answered or not.
    pub fn called(&mut self) {
        self.calls += 1;
    }

    /// So many series are in use now. A clock that goes back adds nothing.
    pub fn read(&mut self, now_unix_s: u64, series: u64, resolution_s: u32) -> ShippingCost {
        let month = series_month_usd(series);
        let passed = now_unix_s.saturating_sub(self.since.unwrap_or(now_unix_s));
        self.since = Some(now_unix_s);
        self.series_usd += month * passed as f64 / (HOURS_OF_MONTH * SECONDS_OF_HOUR);
        ShippingCost {
            so_far_usd: self.series_usd + calls_usd(self.calls as f64),
            month_usd: month + calls_usd(calls_of_month(series, resolution_s)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) {
        assert!((one - other).abs() < 0.005, "{one} is not {other}");
    }

    fn usage(tiers: Vec<TierKind>, resolution_s: u32) -> Usage {
        let metrics = Some(MetricsUsage { resolution_s, ceiling: 500, reported: None });
        Usage { tiers, metrics, traces_per_second: None }
    }

    #[test]
    fn twelve_tiers_of_eight_metrics_cost_29_dollars() {
        near(series_month_usd(12 * 8), 28.80);
    }

    #[test]
    fn series_get_cheaper_by_steps() {
        near(series_month_usd(0), 0.0);
        near(series_month_usd(10_000), 3_000.0);
        near(series_month_usd(10_001), 3_000.10);
        near(series_month_usd(250_000), 3_000.0 + 24_000.0);
        near(series_month_usd(1_000_000), 27_000.0 + 37_500.0);
        near(series_month_usd(1_100_000), 64_500.0 + 2_000.0);
    }

    #[test]
    fn one_tier_of_each_kind_is_reckoned_from_the_table() {
        let of_table: usize = 2 + TierKind::ALL
            .iter()
            .map(|kind| METRICS.iter().filter(|row| row.of.includes(*kind)).count())
            .sum::<usize>();
        let estimate = estimate(&usage(TierKind::ALL.into(), 60));
        near(estimate.shipping[0].month_usd, of_table as f64 * 0.30);
        // A call a minute: 43,800 a month.
        near(estimate.shipping[1].month_usd, 0.44);
        near(estimate.shipping_month_usd, of_table as f64 * 0.30 + 0.44);
        near(
            estimate.month_usd - estimate.shipping_month_usd,
            estimate.looking.iter().map(|line| line.month_usd).sum(),
        );
    }

    #[test]
    fn high_resolution_costs_calls_and_not_series() {
        let (by_minute, by_second) = (usage(vec![TierKind::App; 10], 60), usage(vec![TierKind::App; 10], 1));
        let (by_minute, by_second) = (estimate(&by_minute), estimate(&by_second));
        near(by_minute.shipping[0].month_usd, by_second.shipping[0].month_usd);
        // A call every ten seconds: 262,800 a month.
        near(by_second.shipping[1].month_usd, 2.63);
        near(calls_usd(calls_of_month(101, 1)), 5.26);
    }

    #[test]
    fn the_ceiling_bounds_the_bill_and_says_what_is_over_it() {
        let estimate = estimate(&usage(vec![TierKind::App; 1_000], 60));
        near(estimate.shipping[0].month_usd, 150.0);
        assert!(estimate.shipping[0].why.contains("over the ceiling"), "{}", estimate.shipping[0].why);
    }

    #[test]
    fn what_an_agent_reports_wins_over_what_its_tiers_would_have() {
        let mut usage = usage(vec![TierKind::App; 3], 60);
        usage.metrics = Some(MetricsUsage { resolution_s: 60, ceiling: 500, reported: Some(96) });
        near(estimate(&usage).shipping[0].month_usd, 28.80);
    }

    #[test]
    fn traces_cost_by_the_budget() {
        // Five a second are 13.14 million a month.
        near(traces_month_usd(5.0), 65.70);
        let only_traces = Usage { tiers: Vec::new(), metrics: None, traces_per_second: Some(1.0) };
        near(estimate(&only_traces).month_usd, 13.14);
    }

    #[test]
    fn an_alarm_over_all_tiers_costs_as_many_alarms() {
        let looking = |tiers: &[TierKind]| of_looking(tiers)[0].month_usd;
        // `silent`, `incident`, `latency` and the two of `errors`; then one for each tier's "Bottleneck".
        near(looking(&[]), 0.50);
        near(looking(&[TierKind::Edge, TierKind::Lb]), 0.70);
        // With its lag.
        near(looking(&[TierKind::DbReplica]), 0.70);
    }

    #[test]
    fn the_meter_counts_the_hours_of_series_and_the_calls() {
        let mut meter = Meter::default();
        near(meter.read(1_000, 96, 60).so_far_usd, 0.0);
        for _ in 0..1_000 {
            meter.called();
        }
        let cost = meter.read(1_000 + 73 * 3_600, 96, 60);
        near(cost.so_far_usd, 2.88 + 0.01);
        near(cost.month_usd, 28.80 + 0.44);
        near(meter.read(0, 96, 60).so_far_usd, 2.89);
    }
}

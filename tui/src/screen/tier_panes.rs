//! The panes of a tier: operations, instances, latency, signals, calls.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Widget;
use tiertop_core::snapshot::{InstanceView, SignalView, Snapshot, TierView};

use crate::app::{Pane, first_shown};
use crate::format;
use crate::screen::{edges, headlines, tier_table, words};
use crate::theme::Theme;
use crate::widget::bars::{Bars, bar};
use crate::widget::columns;
use crate::widget::paint;
use crate::widget::trend::Trend;

/// Draws a pane, with its cursor if it has the keys.
pub fn draw(
    pane: Pane,
    under: Option<usize>,
    tier: &TierView,
    shown: &Snapshot,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let columns = usize::from(area.width);
    let table = match pane {
        Pane::Operations => operations(tier, theme, columns),
        Pane::Instances => instances(tier, shown, theme, columns),
        Pane::Signals => signals(tier, shown, theme, columns),
        Pane::Calls => {
            let edges: Vec<_> = shown.edges.iter().filter(|edge| edge.from == tier.id || edge.to == tier.id).collect();
            if edges.is_empty() {
                return nothing("no calls seen to or from it", theme, area, buffer);
            }
            return edges::draw(&edges, under, theme, area, buffer);
        }
        Pane::Latency => return latency(tier, theme, area, buffer),
    };
    match table {
        Ok((heading, rows)) => show(&heading, &rows, under, theme, area, buffer),
        Err(why) => nothing(why, theme, area, buffer),
    }
}

/// A heading and rows, or why there are none.
type Table = Result<(Line<'static>, Vec<Line<'static>>), &'static str>;

fn nothing(why: &'static str, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    paint::line(buffer, area, 0, &Line::styled(format!(" {why}"), theme.dim));
}

fn show(
    heading: &Line<'_>,
    rows: &[Line<'_>],
    under: Option<usize>,
    theme: &Theme,
    mut area: Rect,
    buffer: &mut Buffer,
) {
    paint::line(buffer, paint::take_top(&mut area, 1), 0, heading);
    let mut room = usize::from(area.height);
    let cut = rows.len() > room && room > 1;
    if cut {
        room -= 1;
    }
    let first = first_shown(under.unwrap_or(0), rows.len(), room);
    for (row, (number, line)) in rows.iter().enumerate().skip(first).take(room).enumerate() {
        paint::line(buffer, area, row as u16, line);
        if under == Some(number) {
            let row = Rect::new(area.x, area.y + row as u16, area.width, 1);
            buffer.set_style(row.intersection(area), theme.selected);
        }
    }
    if cut {
        let below = rows.len() - first - room;
        paint::line(buffer, area, room as u16, &tier_table::more(first, below, theme));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Name,
    Rate,
    Errors,
    P50,
    P95,
    P99,
    Max,
    Share,
}

fn operations(tier: &TierView, theme: &Theme, room: usize) -> Table {
    if tier.operations.is_empty() {
        return Err("no operations seen: they come with spans");
    }
    let mut columns = vec![
        columns::name(Operation::Name, "operation", 26),
        columns::number(Operation::Rate, "req/s", 7),
        columns::number(Operation::Errors, "err", 7),
        columns::number(Operation::P50, "p50", 7),
        columns::number(Operation::P95, "p95", 7),
        columns::number(Operation::P99, "p99", 7),
        columns::number(Operation::Max, "max", 7),
        columns::name(Operation::Share, "of its time", 15),
    ];
    let order = [Operation::Max, Operation::P50, Operation::P99, Operation::Share, Operation::Errors, Operation::Rate];
    columns::fit(&mut columns, &order, &Operation::Name, 60, room);
    let rows = tier.operations.iter().map(|operation| {
        columns::row(&columns, |column| {
            let latency = |ms| format::or_unknown(ms, format::duration_ms);
            let text = match column.kind {
                Operation::Name => operation.name.clone(),
                Operation::Rate => format::rate(operation.requests_per_second),
                Operation::Errors => {
                    return tier_table::errors(Some(operation.error_ratio), theme, theme.text);
                }
                Operation::P50 => latency(operation.p50_ms),
                Operation::P95 => latency(operation.p95_ms),
                Operation::P99 => latency(operation.p99_ms),
                Operation::Max => latency(operation.max_ms),
                Operation::Share => {
                    let share = format::ratio(operation.time_share);
                    format!("{share:>5} {}", bar(operation.time_share, 8))
                }
            };
            (text, theme.text)
        })
    });
    Ok((columns::heading(&columns, theme.dim), rows.collect()))
}

#[derive(Clone, Copy, PartialEq)]
enum Instance {
    Zone,
    Name,
    Version,
    Rate,
    Errors,
    P95,
    State,
}

fn instances(tier: &TierView, shown: &Snapshot, theme: &Theme, room: usize) -> Table {
    if tier.instances.is_empty() {
        return Err("no instances known: set service.instance.id and cloud.availability_zone");
    }
    let mut columns = vec![
        columns::name(Instance::Zone, "zone", 14),
        columns::name(Instance::Name, "instance", 14),
        columns::name(Instance::Version, "version", 11),
        columns::number(Instance::Rate, "req/s", 7),
        columns::number(Instance::Errors, "err", 7),
        columns::number(Instance::P95, "p95", 7),
        columns::name(Instance::State, "state", 15),
    ];
    let order = [Instance::Version, Instance::Errors, Instance::Zone, Instance::Rate];
    columns::fit(&mut columns, &order, &Instance::Name, 44, room);
    let mut by_zone: Vec<&InstanceView> = tier.instances.iter().collect();
    by_zone.sort_by_key(|instance| (instance.zone.is_none(), &instance.zone));
    let mut last_zone = None;
    let mut rows = Vec::new();
    for instance in by_zone {
        let zone = zone(instance, shown);
        let first_of_zone = last_zone.as_ref() != Some(&zone);
        let plain = if instance.silent_for_s.is_some() { theme.dim } else { theme.text };
        rows.push(columns::row(&columns, |column| match column.kind {
            // The zone is written once, over the instances in it.
            Instance::Zone if first_of_zone => (zone.clone(), theme.title),
            Instance::Zone => (String::new(), plain),
            Instance::Name => (instance.name.clone(), plain),
            Instance::Version => {
                let version = instance.version.as_deref().unwrap_or(format::UNKNOWN);
                (version.to_owned(), plain)
            }
            Instance::Rate => (format::or_unknown(instance.requests_per_second, format::rate), plain),
            Instance::Errors => tier_table::errors(instance.error_ratio, theme, plain),
            Instance::P95 => (format::or_unknown(instance.p95_ms, format::duration_ms), plain),
            Instance::State => match instance.silent_for_s {
                Some(silent) => (format!("○ silent {}", format::whole_seconds(silent)), theme.warn),
                None => ("● sends".to_owned(), theme.good),
            },
        }));
        last_zone = Some(zone);
    }
    Ok((columns::heading(&columns, theme.dim), rows))
}

/// The zone an instance is in, with its region only where that is another than the system's.
fn zone(instance: &InstanceView, shown: &Snapshot) -> String {
    match (&instance.zone, &instance.region) {
        (Some(zone), _) => words::short_zone(zone, &shown.region).to_owned(),
        (None, Some(region)) => region.clone(),
        (None, None) => format::UNKNOWN.to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Signal {
    Name,
    Part,
    Value,
    Slope,
    Trend,
    Source,
}

fn signals(tier: &TierView, shown: &Snapshot, theme: &Theme, room: usize) -> Table {
    let mine: Vec<&SignalView> = shown.signals.iter().filter(|signal| signal.tier == tier.id).collect();
    if mine.is_empty() {
        return Err("no signals: they come with OTEL_METRICS_EXPORTER=otlp");
    }
    let mut columns = vec![
        columns::name(Signal::Name, "signal", 17),
        columns::name(Signal::Part, "part", 11),
        columns::number(Signal::Value, "value", 10),
        columns::number(Signal::Slope, "change", 13),
        columns::name(Signal::Trend, "60 s", 13),
        columns::name(Signal::Source, "from", 14),
    ];
    let order = [Signal::Source, Signal::Part, Signal::Slope, Signal::Trend];
    columns::fit(&mut columns, &order, &Signal::Source, 44, room);
    let rows = mine.into_iter().map(|signal| {
        columns::row(&columns, |column| {
            let text = match column.kind {
                Signal::Name => format::signal_name(signal.kind).to_owned(),
                Signal::Part => signal.part.clone(),
                Signal::Value => {
                    let mark = if signal.inferred { "~" } else { "" };
                    let write = |value| format::signal_value(signal.kind, value);
                    format!("{mark}{}", format::or_unknown(signal.value, write))
                }
                Signal::Slope => {
                    let slope = signal.slope_per_second;
                    let write = |slope| format::signal_slope(signal.kind, slope);
                    slope.and_then(write).unwrap_or_default()
                }
                Signal::Trend => {
                    let trend = Trend {
                        values: &signal.trend,
                        ends_unix_s: shown.at_unix_ms / 1000,
                        top: None,
                        worst: headlines::worst_end(signal.kind),
                        style: theme.text,
                    };
                    trend.text(column.width - 1)
                }
                Signal::Source if signal.value.is_none() => {
                    return (signal.hint.clone().unwrap_or_default(), theme.dim);
                }
                Signal::Source => return (signal.source.clone(), theme.dim),
            };
            (text, theme.text)
        })
    });
    let rows = rows.collect();
    Ok((columns::heading(&columns, theme.dim), rows))
}

fn latency(tier: &TierView, theme: &Theme, mut area: Rect, buffer: &mut Buffer) {
    if tier.distribution.is_empty() {
        return nothing("no latencies known in the window", theme, area, buffer);
    }
    let bars = Bars {
        buckets: &tier.distribution,
        marks: &[("p50", tier.p50_ms), ("p95", tier.p95_ms), ("p99", tier.p99_ms)],
        theme,
    };
    area.x += 1.min(area.width);
    area.width = area.width.saturating_sub(1);
    bars.render(area, buffer);
}

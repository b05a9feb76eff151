//! Panels of Grafana, and how rows of them make a dashboard.

use serde_json::{Value, json};

use super::datasource;

/// The variable that names the source.
pub(super) const DATASOURCE: &str = "${datasource}";
/// Columns of a dashboard.
const COLUMNS: u64 = 24;

/// Panels side by side, each with its width.
pub(super) struct Row {
    /// Grid units.
    pub(super) height: u64,
    /// From left to right.
    pub(super) panels: Vec<(u64, Value)>,
}

/// Units, in Grafana's words.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Count,
    Seconds,
    Ratio,
    PerSecond,
    Bytes,
    UsDollars,
    /// A point in time that is shown as "so long ago".
    Ago,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Seconds => "s",
            Self::Ratio => "percentunit",
            Self::PerSecond => "reqps",
            Self::Bytes => "bytes",
            Self::UsDollars => "currencyUSD",
            Self::Ago => "dateTimeFromNow",
        }
    }
}

/// All panels with their places and numbers.
pub(super) fn placed(rows: Vec<Row>) -> Vec<Value> {
    let mut placed = Vec::new();
    let mut y = 0;
    for row in rows {
        let mut x = 0;
        for (width, mut panel) in row.panels {
            panel["id"] = json!(placed.len() + 1);
            panel["gridPos"] = json!({ "x": x, "y": y, "w": width, "h": row.height });
            placed.push(panel);
            x += width;
        }
        debug_assert!(x <= COLUMNS, "a row of {x} columns");
        y += row.height;
    }
    placed
}

/// What is drawn, and how its legend reads.
pub(super) type Line<'a> = (&'a str, &'a str);

/// Lines over time.
pub(super) fn graph(title: &str, unit: Unit, lines: &[Line<'_>]) -> Value {
    let mut panel = panel("timeseries", title, unit, lines);
    panel["fieldConfig"]["defaults"]["custom"] = json!({ "fillOpacity": 8, "lineWidth": 1, "showPoints": "auto" });
    panel["options"] = json!({
        "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
        "tooltip": { "mode": "multi", "sort": "desc" },
    });
    panel
}

/// The newest figure, large. With a limit it is red from there on.
pub(super) fn number(title: &str, unit: Unit, lines: &[Line<'_>], red_from: Option<f64>) -> Value {
    let mut panel = panel("stat", title, unit, lines);
    panel["options"] = json!({
        "colorMode": if red_from.is_some() { "background" } else { "value" },
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
    });
    let mut steps = vec![json!({ "color": "green", "value": null })];
    steps.extend(red_from.map(|from| json!({ "color": "red", "value": from })));
    panel["fieldConfig"]["defaults"]["thresholds"] = json!({ "mode": "absolute", "steps": steps });
    panel["fieldConfig"]["defaults"]["color"] = json!({ "mode": "thresholds" });
    // Unknown is not zero.
    panel["fieldConfig"]["defaults"]["noValue"] = json!("unknown");
    panel
}

/// A band for each line, there while it has a value: where, and since when.
pub(super) fn bands(title: &str, unit: Unit, lines: &[Line<'_>], empty: &str) -> Value {
    let mut panel = panel("state-timeline", title, unit, lines);
    panel["fieldConfig"]["defaults"]["custom"] = json!({ "fillOpacity": 80, "lineWidth": 0 });
    panel["fieldConfig"]["defaults"]["color"] = json!({ "mode": "fixed", "fixedColor": "red" });
    panel["fieldConfig"]["defaults"]["noValue"] = json!(empty);
    panel["options"] = json!({
        "mergeValues": true,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.9,
        "legend": { "displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": [] },
        "tooltip": { "mode": "single", "sort": "none" },
    });
    panel
}

fn panel(kind: &str, title: &str, unit: Unit, lines: &[Line<'_>]) -> Value {
    let targets: Vec<Value> = lines
        .iter()
        .zip('A'..='Z')
        .map(|((expression, legend), letter)| {
            json!({
                "refId": letter.to_string(),
                "expr": expression,
                "legendFormat": legend,
                "editorMode": "code",
                "range": true,
                "datasource": datasource(),
            })
        })
        .collect();
    json!({
        "type": kind,
        "title": title,
        "datasource": datasource(),
        "targets": targets,
        "fieldConfig": { "defaults": { "unit": unit.name(), "min": 0 }, "overrides": [] },
        "options": {},
    })
}

//! Widgets of CloudWatch dashboards, and how rows of them make a body.

use serde_json::{Value, json};
use tiertop_core::tier::TierKind;

use crate::dashboards::Placement;
use crate::ship::metrics::{ENVIRONMENT, MetricRow, SERVICE, TIER, Unit, metric};

/// What a body has where the console puts the environment.
pub(super) const ENVIRONMENT_PLACE: &str = "EnvironmentPlaceholder";
/// What a body has where the console puts the kind of tier.
pub(super) const TIER_PLACE: &str = "TierPlaceholder";
/// What a body has where the console puts the member of the tier.
pub(super) const SERVICE_PLACE: &str = "ServicePlaceholder";

/// Seconds that a point covers: metrics shipped by the second are put together by CloudWatch.
const PERIOD_S: u32 = 60;
/// Columns of a dashboard.
const COLUMNS: u64 = 24;
/// What names a tier in a legend.
const TIER_LABEL: &str = "${PROP('Dim.Tier')}/${PROP('Dim.Service')}";

/// Widgets side by side, each with its width.
pub(super) struct Row {
    /// Grid units.
    pub(super) height: u64,
    /// From left to right.
    pub(super) widgets: Vec<(u64, Value)>,
}

/// Rows from top to bottom, and the variables above them.
pub(super) fn body(rows: Vec<Row>, variables: &[Value]) -> Value {
    let mut widgets = Vec::new();
    let mut y = 0;
    for row in rows {
        let mut x = 0;
        for (width, mut widget) in row.widgets {
            widget["x"] = json!(x);
            widget["y"] = json!(y);
            widget["width"] = json!(width);
            widget["height"] = json!(row.height);
            widgets.push(widget);
            x += width;
        }
        debug_assert!(x <= COLUMNS, "a row of {x} columns");
        y += row.height;
    }
    json!({ "start": "-PT3H", "periodOverride": "inherit", "variables": variables, "widgets": widgets })
}

/// The row of the table that a dashboard shows.
pub(super) fn row(name: &str) -> &'static MetricRow {
    metric(name).expect("dashboards name metrics by the table's constants")
}

/// A line of the whole system's figure.
pub(super) fn of_system(at: &Placement, name: &str, label: &str) -> Value {
    let row = row(name);
    let options = json!({ "stat": row.statistic, "label": label });
    json!([at.namespace, name, ENVIRONMENT, ENVIRONMENT_PLACE, options])
}

/// A line of the chosen tier's figure.
pub(super) fn of_chosen(at: &Placement, name: &str, statistic: &str, label: &str) -> Value {
    of_chosen_with(at, name, &json!({ "stat": statistic, "label": label }))
}

/// The same with other options.
pub(super) fn of_chosen_with(at: &Placement, name: &str, options: &Value) -> Value {
    json!([at.namespace, name, ENVIRONMENT, ENVIRONMENT_PLACE, TIER, TIER_PLACE, SERVICE, SERVICE_PLACE, options])
}

/// A search for the series of a metric: of all tiers that have it, or of some kinds.
pub(super) fn search(at: &Placement, name: &str, statistic: &str, kinds: &[TierKind]) -> String {
    let which = match kinds {
        [] => String::new(),
        [one] => format!(r#" {TIER}="{one}""#),
        many => {
            let names: Vec<String> = many.iter().map(|kind| format!(r#""{kind}""#)).collect();
            format!(" {TIER}=({})", names.join(" OR "))
        }
    };
    let namespace = &at.namespace;
    format!(
        r#"SEARCH('{{{namespace},{ENVIRONMENT},{SERVICE},{TIER}}} MetricName="{name}" {ENVIRONMENT}="{ENVIRONMENT_PLACE}"{which}', '{statistic}', {PERIOD_S})"#
    )
}

/// A line for each tier.
pub(super) fn of_tiers(at: &Placement, name: &str, kinds: &[TierKind]) -> Value {
    let expression = search(at, name, row(name).statistic, kinds);
    json!([{ "expression": expression, "id": "tiers", "label": TIER_LABEL }])
}

/// One line computed of others.
pub(super) fn computed(expression: &str, label: &str) -> Value {
    json!([{ "expression": expression, "id": "computed", "label": label }])
}

/// A mark across a graph.
pub(super) struct Mark {
    /// Its height, in the graph's unit.
    pub(super) value: f64,
    /// What it means.
    pub(super) label: &'static str,
}

/// Lines over time. The axis begins at zero, so that a small change looks small.
pub(super) fn graph(at: &Placement, title: &str, unit: Unit, lines: &[Value], marks: &[Mark]) -> Value {
    let mut widget = metric_widget(at, title, "timeSeries", lines);
    widget["properties"]["yAxis"] = json!({ "left": { "min": 0, "label": axis(unit), "showUnits": false } });
    if !marks.is_empty() {
        let marks: Vec<Value> =
            marks.iter().map(|mark| json!({ "value": mark.value, "label": mark.label, "color": "#d62728" })).collect();
        widget["properties"]["annotations"] = json!({ "horizontal": marks });
    }
    widget
}

/// The newest figure, large, with its course beneath it.
pub(super) fn number(at: &Placement, title: &str, lines: &[Value]) -> Value {
    let mut widget = metric_widget(at, title, "singleValue", lines);
    widget["properties"]["sparkline"] = json!(true);
    widget
}

/// Words.
pub(super) fn text(markdown: &str) -> Value {
    json!({ "type": "text", "properties": { "markdown": markdown, "background": "transparent" } })
}

fn metric_widget(at: &Placement, title: &str, view: &str, lines: &[Value]) -> Value {
    json!({
        "type": "metric",
        "properties": {
            "title": title,
            "region": at.region,
            "view": view,
            "stacked": false,
            "period": PERIOD_S,
            "metrics": lines,
        },
    })
}

/// What stands beside an axis.
fn axis(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "count",
        Unit::Milliseconds => "milliseconds",
        Unit::Seconds => "seconds",
        Unit::Percent => "percent",
        Unit::None => "",
    }
}

/// The region, which every widget has.
pub(super) fn region_variable(at: &Placement) -> Value {
    json!({
        "type": "property",
        "property": "region",
        "inputType": "input",
        "id": "region",
        "label": "Region",
        "defaultValue": at.region,
        "visible": true,
    })
}

/// The environment.
pub(super) fn environment_variable(at: &Placement) -> Value {
    let search = format!(r#"{{{},{ENVIRONMENT}}} MetricName="{}""#, at.namespace, crate::ship::metrics::OPEN_INCIDENTS);
    chosen(ENVIRONMENT_PLACE, "environment", ENVIRONMENT, &search, &at.environment)
}

/// The kind of tier, or its member.
pub(super) fn tier_variable(at: &Placement, place: &str, id: &str, dimension: &str) -> Value {
    let name = crate::ship::metrics::REQUESTS;
    let search = format!(r#"{{{},{ENVIRONMENT},{SERVICE},{TIER}}} MetricName="{name}""#, at.namespace);
    // What the console writes for "the first that is found".
    chosen(place, id, dimension, &search, "__FIRST")
}

fn chosen(place: &str, id: &str, dimension: &str, search: &str, default: &str) -> Value {
    json!({
        "type": "pattern",
        "pattern": place,
        "inputType": "select",
        "id": id,
        "label": dimension,
        "search": search,
        "populateFrom": dimension,
        "defaultValue": default,
        "visible": true,
    })
}

//! What CloudWatch takes as the body of a dashboard, checked before it is sent.
//!
//! The service's own answer comes late and names one thing; this names all. Sources: the API reference's page
//! on the body's structure, and the service's quotas.

use serde_json::Value;

/// Most widgets.
const WIDGETS: usize = 500;
/// Most metrics of a widget, hidden ones and expressions counted.
const METRICS_OF_WIDGET: usize = 500;
/// Most metrics of a dashboard.
const METRICS: usize = 2_500;
/// Columns of a dashboard.
const COLUMNS: u64 = 24;
/// Greatest height of a widget.
const HEIGHT: u64 = 1_000;
/// Longest name of a dashboard.
const NAME: usize = 255;
const VIEWS: [&str; 6] = ["timeSeries", "singleValue", "gauge", "bar", "pie", "table"];
const WIDGET_TYPES: [&str; 5] = ["metric", "text", "log", "alarm", "explorer"];

/// Whether CloudWatch takes a dashboard's name.
pub fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// All that is wrong with a body, in words.
pub fn problems(body: &Value) -> Vec<String> {
    let Some(widgets) = body["widgets"].as_array() else { return vec!["there is no list `widgets`".to_owned()] };
    let mut problems = Vec::new();
    if widgets.len() > WIDGETS {
        problems.push(format!("{} widgets, over {WIDGETS}", widgets.len()));
    }
    let mut metrics = 0;
    for (place, widget) in widgets.iter().enumerate() {
        let mut tell = |what: String| problems.push(format!("widget {place}: {what}"));
        for problem in place_problems(widget) {
            tell(problem);
        }
        if widget["type"] == "metric" {
            let lines = widget["properties"]["metrics"].as_array().map_or(&[][..], Vec::as_slice);
            metrics += lines.len();
            for problem in metric_problems(&widget["properties"], lines) {
                tell(problem);
            }
        }
    }
    if metrics > METRICS {
        problems.push(format!("{metrics} metrics, over {METRICS}"));
    }
    problems.extend(overlaps(widgets));
    problems
}

fn place_problems(widget: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let number = |name: &str| widget[name].as_u64();
    let (x, width) = (number("x").unwrap_or(0), number("width").unwrap_or(6));
    if !(1..=COLUMNS).contains(&width) || x + width > COLUMNS {
        problems.push(format!("{width} columns from {x} on, of {COLUMNS}"));
    }
    let height = number("height").unwrap_or(6);
    if !(1..=HEIGHT).contains(&height) {
        problems.push(format!("height {height}"));
    }
    let kind = widget["type"].as_str().unwrap_or_default();
    if !WIDGET_TYPES.contains(&kind) {
        problems.push(format!("type \"{kind}\""));
    }
    problems
}

fn metric_problems(properties: &Value, lines: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    if properties["region"].as_str().is_none_or(str::is_empty) {
        problems.push("no region".to_owned());
    }
    if lines.is_empty() || lines.len() > METRICS_OF_WIDGET {
        problems.push(format!("{} metrics, of 1 to {METRICS_OF_WIDGET}", lines.len()));
    }
    let view = properties["view"].as_str().unwrap_or("timeSeries");
    if !VIEWS.contains(&view) {
        problems.push(format!("view \"{view}\""));
    }
    let mut ids: Vec<&str> = Vec::new();
    for line in lines {
        let Some(parts) = line.as_array() else {
            problems.push("a metric that is no list".to_owned());
            continue;
        };
        let (options, words) = match parts.split_last() {
            Some((last, words)) if last.is_object() => (Some(last), words),
            _ => (None, &parts[..]),
        };
        let is_expression = words.is_empty() && options.is_some_and(|options| options["expression"].is_string());
        let is_metric = words.len() >= 2 && words.len().is_multiple_of(2) && words.iter().all(Value::is_string);
        if !is_expression && !is_metric {
            problems.push(format!("neither a metric nor an expression: {line}"));
        }
        if let Some(id) = options.and_then(|options| options["id"].as_str()) {
            if ids.contains(&id) || !id.starts_with(|c: char| c.is_ascii_lowercase()) {
                problems.push(format!("id \"{id}\""));
            }
            ids.push(id);
        }
    }
    problems
}

/// Widgets that lie upon each other.
fn overlaps(widgets: &[Value]) -> Vec<String> {
    let corners = |widget: &Value| {
        let number = |name: &str, usual: u64| widget[name].as_u64().unwrap_or(usual);
        Some((number("x", 0), widget["y"].as_u64()?, number("width", 6), number("height", 6)))
    };
    let placed: Vec<_> = widgets.iter().enumerate().filter_map(|(at, widget)| Some((at, corners(widget)?))).collect();
    let mut problems = Vec::new();
    for (place, (one, (x, y, width, height))) in placed.iter().enumerate() {
        for (other, (left, top, wide, high)) in &placed[..place] {
            if *x < left + wide && *left < x + width && *y < top + high && *top < y + height {
                problems.push(format!("widgets {other} and {one} lie upon each other"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn widget() -> Value {
        json!({ "type": "metric", "x": 0, "y": 0, "width": 6, "height": 6, "properties": {
            "region": "eu-central-1", "metrics": [["Tiertop", "Phase", "Environment", "shop"]],
        }})
    }

    fn of(widgets: &Value) -> String {
        problems(&json!({ "widgets": widgets })).join("; ")
    }

    #[test]
    fn a_plain_widget_is_taken() {
        assert_eq!(of(&json!([widget()])), "");
    }

    #[test]
    fn each_limit_is_told() {
        let with = |pointer: &str, value: Value| {
            let mut widget = widget();
            *widget.pointer_mut(pointer).unwrap() = value;
            of(&json!([widget]))
        };
        assert!(with("/width", json!(25)).contains("columns"));
        assert!(with("/x", json!(20)).contains("columns"));
        assert!(with("/height", json!(0)).contains("height"));
        assert!(with("/type", json!("graph")).contains("type"));
        assert!(with("/properties/region", json!("")).contains("no region"));
        assert!(with("/properties/metrics", json!([])).contains("0 metrics"));
        assert!(with("/properties/metrics", json!([["Tiertop"]])).contains("neither"));
        let line = widget()["properties"]["metrics"][0].clone();
        assert!(with("/properties/metrics", json!(vec![line.clone(); 501])).contains("501 metrics"));
        let twice = json!([[{ "expression": "1", "id": "a" }], [{ "expression": "2", "id": "a" }]]);
        assert!(with("/properties/metrics", twice).contains("id \"a\""));
        let full = |at: u64| {
            let mut widget = widget();
            widget["y"] = json!(at * 6);
            widget["properties"]["metrics"] = json!(vec![line.clone(); 500]);
            widget
        };
        assert_eq!(of(&json!((0..5).map(full).collect::<Vec<_>>())), "");
        assert!(of(&json!((0..6).map(full).collect::<Vec<_>>())).contains("3000 metrics"));
        assert!(of(&json!([widget(), widget()])).contains("lie upon"));
        let text = json!({ "type": "text", "properties": { "markdown": "" } });
        assert!(of(&json!(vec![text; 501])).contains("501 widgets"));
        assert!(!problems(&json!({})).is_empty());
    }

    #[test]
    fn names_have_letters_digits_and_dashes() {
        assert!(is_name("tiertop-overview_2"));
        assert!(!is_name("") && !is_name("tiertop overview") && !is_name(&"a".repeat(256)));
    }
}

//! What is made holds against the tables, the services' limits, and what is checked in.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tiertop_core::tier::TierKind;

use super::cloudwatch::{BOARDS, Board};
use super::*;
use crate::admin::prometheus::families::{FAMILIES, family};
use crate::ship::metrics::{self, METRICS, MetricRow};

/// Bytes of a template that CloudFormation takes without a bucket.
const TEMPLATE_BYTES: usize = 51_200;
/// Characters of a managed policy, white space not counted.
const POLICY_CHARACTERS: usize = 6_144;

fn bodies() -> Vec<(&'static str, Value)> {
    let body = |board: Board| (board.name, board.body(&Placement::default()));
    BOARDS.map(body).into()
}

fn grafanas() -> [Value; 3] {
    [grafana::overview(), grafana::tier(), grafana::agent()]
}

/// Every text in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

/// The lines of all metric widgets.
fn lines(body: &Value) -> Vec<&Vec<Value>> {
    let widgets = body["widgets"].as_array().unwrap().iter();
    widgets
        .filter_map(|widget| widget["properties"]["metrics"].as_array())
        .flatten()
        .filter_map(Value::as_array)
        .collect()
}

fn assert_emitted(name: &str, dimensions: &[&str]) -> &'static MetricRow {
    let row = metrics::metric(name).unwrap_or_else(|| panic!("nothing emits {name}"));
    let named: BTreeSet<&str> = dimensions.iter().copied().collect();
    assert_eq!(named, row.of.dimensions().iter().copied().collect(), "the dimensions of {name}");
    row
}

/// Checks a search and returns the metric that it is for.
fn assert_finds(search: &str) -> &'static MetricRow {
    let schema = between(search, "{", "}")[0];
    let (namespace, dimensions) = schema.split_once(',').unwrap();
    assert_eq!(namespace, metrics::NAMESPACE);
    let name = between(search, "MetricName=\"", "\"")[0];
    let row = assert_emitted(name, &dimensions.split(',').collect::<Vec<_>>());
    if let Some(kinds) = search.split(" Tier=").nth(1) {
        let kinds = kinds.split('\'').next().unwrap();
        for kind in between(kinds, "\"", "\"").into_iter().step_by(2) {
            let kind = TierKind::from_name(kind).unwrap_or_else(|| panic!("{kind} is no tier"));
            assert!(row.of.includes(kind), "{kind} has no {name}");
        }
    }
    row
}

#[test]
fn what_is_checked_in_is_what_is_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    for made in ALL {
        let there = std::fs::read_to_string(folder.join(made.path)).unwrap_or_default();
        let text = made.text(&Placement::default());
        assert!(there == text, "`tiertop dashboards print {} > dashboards/{}`", made.name, made.path);
    }
}

#[test]
fn every_metric_and_dimension_on_a_dashboard_is_emitted() {
    let mut shown = BTreeSet::new();
    for (board, body) in bodies() {
        for line in lines(&body) {
            if let Some(namespace) = line[0].as_str() {
                assert_eq!(namespace, metrics::NAMESPACE);
                let words: Vec<&str> = line[1..].iter().filter_map(Value::as_str).collect();
                let dimensions: Vec<&str> = words[1..].iter().copied().step_by(2).collect();
                shown.insert(assert_emitted(words[0], &dimensions).name);
            } else {
                for search in between(line[0]["expression"].as_str().unwrap(), "SEARCH(", ")") {
                    // A list of kinds has a bracket of its own.
                    shown.insert(assert_finds(search).name);
                }
            }
        }
        assert!(lines(&body).len() > 5, "{board}");
    }
    assert_eq!(shown, METRICS.iter().map(|row| row.name).collect(), "every metric stands on some dashboard");
}

#[test]
fn percentiles_are_asked_of_latency_alone() {
    for (board, body) in bodies() {
        for text in texts(&body).into_iter().filter(|text| text.contains("', 'p")) {
            assert!(text.contains(r#"MetricName="Latency""#), "{board}: {text}");
        }
    }
}

#[test]
fn bodies_keep_the_services_limits() {
    for (board, body) in bodies() {
        assert_eq!(limits::problems(&body), Vec::<String>::new(), "{board}");
        assert!(limits::is_name(&format!("tiertop-default-{board}")));
    }
    let template = cloudformation::template();
    assert!(template.len() < TEMPLATE_BYTES, "the template has {} bytes", template.len());
    for policy in [policies::agent(&"n".repeat(255)), policies::viewer()] {
        assert!(policy.to_string().len() < POLICY_CHARACTERS);
    }
}

#[test]
fn the_first_row_says_what_is_wrong_where_and_since_when() {
    for (board, body) in bodies() {
        let widgets = body["widgets"].as_array().unwrap().iter();
        let first: Vec<&Value> = widgets.filter(|widget| widget["y"] == 0).collect();
        assert!(first.iter().any(|widget| widget["properties"]["view"] == "singleValue"), "{board}");
        let words = first.iter().flat_map(|widget| texts(widget)).collect::<Vec<_>>().join(" ");
        assert!(words.contains(metrics::BOTTLENECK), "{board}");
    }
    for dashboard in grafanas().iter().take(2) {
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let first: Vec<&Value> = panels.filter(|panel| panel["gridPos"]["y"] == 0).collect();
        let words = first.iter().flat_map(|panel| texts(panel)).collect::<Vec<_>>().join(" ");
        assert!(words.contains("tiertop_verdict_confidence") && words.contains("state-timeline"));
    }
}

#[test]
fn every_place_in_a_body_has_its_variable() {
    for (board, body) in bodies() {
        let variables = body["variables"].as_array().unwrap();
        let places: BTreeSet<&str> = variables.iter().filter_map(|variable| variable["pattern"].as_str()).collect();
        let widgets = body["widgets"].to_string();
        for place in ["EnvironmentPlaceholder", "TierPlaceholder", "ServicePlaceholder"] {
            assert_eq!(widgets.contains(place), places.contains(place), "{board}: {place}");
        }
    }
}

#[test]
fn the_placement_is_where_it_belongs() {
    let at = Placement { region: "eu-north-1".into(), environment: "shop".into(), namespace: "Mine".into() };
    for board in BOARDS {
        let body = board.body(&at);
        let text = body.to_string();
        assert!(!text.contains("us-east-1") && !text.contains("Tiertop"), "{}", board.name);
        assert_eq!(body["variables"][0]["defaultValue"], "shop");
    }
}

#[test]
fn alarms_are_such_as_cloudwatch_takes() {
    let alarms = alarms::with_usual_thresholds(&Placement::default());
    let alarms = alarms.as_array().unwrap();
    let names: BTreeSet<&str> = alarms.iter().map(|alarm| alarm["AlarmName"].as_str().unwrap()).collect();
    assert_eq!(names.len(), alarms.len());
    for alarm in alarms {
        let name = alarm["AlarmName"].as_str().unwrap();
        assert!(alarm["AlarmDescription"].as_str().unwrap().len() <= 1024, "{name}");
        let (datapoints, periods) =
            (alarm["DatapointsToAlarm"].as_u64().unwrap(), alarm["EvaluationPeriods"].as_u64().unwrap());
        assert!((1..=periods).contains(&datapoints) && periods * 60 <= 86_400, "{name}");
        let queries = alarm["Metrics"].as_array().unwrap();
        assert!(queries.len() <= 10, "{name}");
        assert_eq!(queries.iter().filter(|query| query["ReturnData"] == true).count(), 1, "{name}");
        for query in queries {
            if let Some(metric) = query["MetricStat"].get("Metric") {
                let dimensions = metric["Dimensions"].as_array().unwrap();
                let dimensions: Vec<&str> = dimensions.iter().filter_map(|it| it["Name"].as_str()).collect();
                assert_emitted(metric["MetricName"].as_str().unwrap(), &dimensions);
            } else if let Some(of_any) = query["Expression"].as_str().and_then(|text| text.strip_prefix("SELECT MAX("))
            {
                let metric = of_any.split(')').next().unwrap();
                let schema = between(of_any, "SCHEMA(", ")")[0];
                assert_emitted(metric, &schema.split(", ").skip(1).collect::<Vec<_>>());
                assert_eq!(query["Period"], 60, "{name}: a query needs its period");
            }
        }
    }
}

#[test]
fn silence_is_never_taken_for_all_is_well() {
    for alarm in alarms::ALARMS {
        assert!(["missing", "breaching"].contains(&alarm.treat_missing_data()), "{}", alarm.name);
    }
    assert_eq!(alarms::alarm("silent").unwrap().treat_missing_data(), "breaching");
}

#[test]
fn every_name_and_label_in_grafana_is_on_the_agents_page() {
    let mut shown = BTreeSet::new();
    for dashboard in grafanas() {
        for text in texts(&dashboard).into_iter().filter(|text| text.contains("tiertop_")) {
            for found in text.split("tiertop_").skip(1) {
                let end = found.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(found.len());
                let name = format!("tiertop_{}", &found[..end]);
                let family = family(&name).unwrap_or_else(|| panic!("the agent tells no {name}"));
                shown.insert(family.name);
                let Some(conditions) = found[end..].strip_prefix('{').and_then(|rest| rest.split('}').next()) else {
                    continue;
                };
                for label in conditions.split(", ").filter_map(|condition| condition.split(['=', '!']).next()) {
                    // Prometheus adds the instance itself.
                    assert!(label == "instance" || family.labels.contains(&label), "{name} has no label {label}");
                }
            }
        }
    }
    let all: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(shown, all, "every family stands on some dashboard");
}

#[test]
fn legends_in_grafana_name_labels_that_are_there() {
    for dashboard in grafanas() {
        for target in dashboard["panels"].as_array().unwrap().iter().flat_map(|it| it["targets"].as_array().unwrap()) {
            let expression = target["expr"].as_str().unwrap();
            let name = expression.split("tiertop_").nth(1).unwrap();
            let name = format!("tiertop_{}", name.split('{').next().unwrap());
            for label in between(target["legendFormat"].as_str().unwrap(), "{{", "}}") {
                let labels = family(&name).unwrap().labels;
                assert!(label == "instance" || labels.contains(&label), "{expression}: no {label}");
            }
        }
    }
}

#[test]
fn panels_have_numbers_of_their_own_and_places_side_by_side() {
    for dashboard in grafanas() {
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
        let ends = panels
            .iter()
            .map(|panel| panel["gridPos"]["x"].as_u64().unwrap() + panel["gridPos"]["w"].as_u64().unwrap());
        assert!(ends.max() <= Some(24));
    }
}

//! The dashboards for Grafana, on what a Prometheus scrapes from the agent's `/metrics`.
//!
//! `environment` picks agents by what they say of themselves, `agent` one of these; each panel shows what
//! they see. Units are Grafana's: seconds, ratios of one, bytes.

mod agent;
mod overview;
mod panel;
mod tier;

use serde_json::{Value, json};
use tiertop_core::snapshot::SignalKind;

pub(super) use agent::agent;
pub(super) use overview::overview;
pub(super) use tier::tier;

use crate::admin::prometheus::families::{Family, family, signal_name};
use panel::DATASOURCE;

/// Grafana's version of the format.
const SCHEMA_VERSION: u32 = 39;

/// A selector: the family with the chosen agents and more conditions, such as `kind="app"`.
fn of(name: &str, conditions: &[&str]) -> String {
    let Family { name, .. } = family(name).expect("dashboards name families of the table");
    let conditions: Vec<&str> = [r#"instance=~"$agent""#].iter().chain(conditions).copied().collect();
    format!("{name}{{{}}}", conditions.join(", "))
}

/// The selector of a signal.
fn signal(kind: SignalKind, conditions: &[&str]) -> String {
    let kind = format!(r#"kind="{}""#, signal_name(kind));
    let conditions: Vec<&str> = std::iter::once(kind.as_str()).chain(conditions.iter().copied()).collect();
    of("tiertop_signal", &conditions)
}

/// A dashboard of rows of panels.
fn dashboard(uid: &str, title: &str, rows: Vec<panel::Row>, more_variables: Vec<Value>) -> Value {
    let mut variables = vec![
        json!({
            "type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "hide": 0,
            "multi": false, "includeAll": false, "regex": "", "refresh": 1, "options": [], "current": {},
            "skipUrlSync": false,
        }),
        variable("environment", "Environment", "label_values(tiertop_build_info, environment)", true),
        variable("agent", "Agent", r#"label_values(tiertop_build_info{environment=~"$environment"}, instance)"#, true),
    ];
    variables.extend(more_variables);
    json!({
        "uid": uid,
        "title": title,
        "tags": ["tiertop"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "10s",
        "timezone": "browser",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": variables },
        "annotations": { "list": [verdicts()] },
        "links": [{
            "type": "dashboards", "title": "tiertop", "tags": ["tiertop"], "asDropdown": true, "icon": "external link",
            "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": "",
        }],
        "panels": panel::placed(rows),
    })
}

/// A variable that Prometheus fills; of "all" too, where many may be chosen.
fn variable(name: &str, label: &str, query: &str, many: bool) -> Value {
    let mut variable = json!({
        "type": "query", "name": name, "label": label, "hide": 0, "datasource": datasource(),
        "query": { "query": query, "refId": name }, "refresh": 2, "sort": 1, "regex": "",
        "multi": many, "includeAll": many, "options": [], "skipUrlSync": false,
    });
    if many {
        // An empty environment is one too.
        variable["allValue"] = json!(".*");
        variable["current"] = json!({ "text": ["All"], "value": ["$__all"], "selected": true });
    }
    variable
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": DATASOURCE })
}

/// Verdicts, drawn across every graph.
fn verdicts() -> Value {
    json!({
        "name": "Verdicts", "enable": true, "hide": false, "iconColor": "red", "datasource": datasource(),
        "expr": of("tiertop_verdict_confidence", &[]), "titleFormat": "{{tier}}: {{class}}", "step": "10s",
    })
}

//! The data of the Terraform module: templates that its `templatefile` fills in.
//!
//! The module itself is written by hand in `dashboards/terraform/*.tf`; it has no figures of its own.

use serde_json::{Value, json};

use super::alarms::{ALARMS, Words};
use super::cloudwatch::Board;
use super::{Placement, policies, pretty};

/// What stands for the placement.
fn placement() -> Placement {
    Placement {
        region: "${region}".to_owned(),
        environment: "${environment}".to_owned(),
        namespace: "${namespace}".to_owned(),
    }
}

/// The template of a dashboard's body, in which CloudWatch's own `${PROP(…)}` stays as it is.
pub(super) fn board(board: &Board) -> String {
    pretty(&board.body(&placement())).replace("${PROP(", "$${PROP(")
}

/// The template of the alarms, by name.
pub(super) fn alarms() -> String {
    let at = placement();
    let words = Words { at: &at, front: ("${front_tier}", "${front_service}") };
    let all: serde_json::Map<String, Value> = ALARMS
        .iter()
        .map(|alarm| {
            let told = json!({
                "description": alarm.meaning,
                "queries": alarm.queries(&words),
                "threshold": alarm.threshold.usual,
                "comparison": alarm.operator(),
                "datapoints": alarm.datapoints.0,
                "periods": alarm.datapoints.1,
                "missing": alarm.treat_missing_data(),
                "of_front": alarm.watched.is_of_front(),
            });
            (alarm.name.to_owned(), told)
        })
        .collect();
    pretty(&Value::Object(all))
}

/// The template of the policies.
pub(super) fn policies() -> String {
    pretty(&json!({ "agent": policies::agent("${namespace}"), "viewer": policies::viewer() }))
}

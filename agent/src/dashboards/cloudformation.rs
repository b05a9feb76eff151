//! All of it as a CloudFormation template: dashboards, alarms, a topic for them if asked for, policies.

use serde_json::{Map, Value, json};

use super::alarms::{ALARMS, Alarm, Threshold, Words};
use super::cloudwatch::{BOARDS, Board};
use super::{Placement, policies, yaml};
use crate::ship::metrics::{NAMESPACE, NO_ENVIRONMENT};

const HEAD: &str =
    "# Made by `tiertop dashboards print cloudformation`; a test keeps it so. Change the generator, not this file.\n";

/// The template.
pub(super) fn template() -> String {
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Dashboards, alarms and policies for metrics and traces that tiertop ships",
        "Parameters": parameters(),
        "Conditions": {
            "HasFront": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "FrontService" }, ""] }] },
            "HasEmail": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmEmail" }, ""] }] },
            "HasTopic": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmTopicArn" }, ""] }] },
        },
        "Resources": resources(),
        "Outputs": {
            "AgentPolicyArn": {
                "Description": "Attach to the role of the agent's task or instance",
                "Value": { "Ref": "AgentPolicy" },
            },
            "ViewerPolicyArn": {
                "Description": "Attach to whoever looks at dashboards and traces",
                "Value": { "Ref": "ViewerPolicy" },
            },
        },
    });
    format!("{HEAD}{}", yaml::document(&template))
}

/// What stands for the placement in texts that `Fn::Sub` fills in.
fn placement() -> Placement {
    Placement {
        region: "${AWS::Region}".to_owned(),
        environment: "${Environment}".to_owned(),
        namespace: "${Namespace}".to_owned(),
    }
}

fn parameters() -> Value {
    let text = |default: &str, what: &str| json!({ "Type": "String", "Default": default, "Description": what });
    let mut all = json!({
        "Environment": text(NO_ENVIRONMENT, "The dimension Environment of the metrics"),
        "Namespace": text(NAMESPACE, "The namespace of the metrics, as given to --cloudwatch-namespace"),
        "FrontTier": text("edge", "The kind of tier where users come in: edge, lb, web or app"),
        "FrontService": text("", "The member of that tier; without it there are no alarms on latency and errors"),
        "AlarmEmail": text("", "An address for alarms; a topic is made for it"),
        "AlarmTopicArn": text("", "A topic that exists already, instead"),
    });
    for Threshold { usual, parameter } in ALARMS.iter().map(|alarm| alarm.threshold) {
        if let Some((name, what)) = parameter {
            all[name] = json!({ "Type": "Number", "Default": usual, "Description": what });
        }
    }
    all
}

fn resources() -> Value {
    let mut all = Map::new();
    for board in BOARDS {
        all.insert(format!("{}Dashboard", camel(board.name)), dashboard(&board));
    }
    for alarm in &ALARMS {
        all.insert(format!("{}Alarm", camel(alarm.name)), of_alarm(alarm));
    }
    all.insert(
        "AlarmTopic".to_owned(),
        json!({
            "Type": "AWS::SNS::Topic",
            "Condition": "HasEmail",
            "Properties": { "Subscription": [{ "Protocol": "email", "Endpoint": { "Ref": "AlarmEmail" } }] },
        }),
    );
    all.insert("AgentPolicy".to_owned(), policy("What a tiertop agent may do", &policies::agent("${Namespace}")));
    all.insert("ViewerPolicy".to_owned(), policy("What a viewer of tiertop's data may do", &policies::viewer()));
    Value::Object(all)
}

fn dashboard(board: &Board) -> Value {
    let body = substituted(&by_widget(&board.body(&placement())));
    json!({
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {
            "DashboardName": { "Fn::Sub": format!("tiertop-${{Environment}}-{}", board.name) },
            "DashboardBody": { "Fn::Sub": body },
        },
    })
}

/// A body with each widget on a line: indented like other files, the template would be over the 51,200 bytes that
/// CloudFormation takes without a bucket.
fn by_widget(body: &Value) -> String {
    let members = body.as_object().into_iter().flatten();
    let member = |(name, value): (&String, &Value)| match value.as_array() {
        Some(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("\"{name}\": [\n{}\n]", items.join(",\n"))
        }
        None => format!("\"{name}\": {value}"),
    };
    format!("{{\n{}\n}}", members.map(member).collect::<Vec<_>>().join(",\n"))
}

/// A text for `Fn::Sub`, in which CloudWatch's own `${PROP(…)}` stays as it is.
fn substituted(text: &str) -> String {
    text.replace("${PROP(", "${!PROP(")
}

fn of_alarm(alarm: &Alarm) -> Value {
    let at = placement();
    let mut queries = alarm.queries(&Words { at: &at, front: ("${FrontTier}", "${FrontService}") });
    filled_in(&mut queries);
    let threshold = match alarm.threshold.parameter {
        Some((name, _)) => json!({ "Ref": name }),
        None => json!(alarm.threshold.usual),
    };
    let actions = json!({ "Fn::If": [
        "HasEmail",
        [{ "Ref": "AlarmTopic" }],
        { "Fn::If": ["HasTopic", [{ "Ref": "AlarmTopicArn" }], { "Ref": "AWS::NoValue" }] },
    ]});
    let mut resource = json!({
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": { "Fn::Sub": format!("tiertop-${{Environment}}-{}", alarm.name) },
            "AlarmDescription": alarm.meaning,
            "Metrics": queries,
            "Threshold": threshold,
            "ComparisonOperator": alarm.operator(),
            "DatapointsToAlarm": alarm.datapoints.0,
            "EvaluationPeriods": alarm.datapoints.1,
            "TreatMissingData": alarm.treat_missing_data(),
            "AlarmActions": actions,
            "OKActions": actions,
        },
    });
    if alarm.watched.is_of_front() {
        resource["Condition"] = json!("HasFront");
    }
    resource
}

/// Turns each text with a parameter in it into one that `Fn::Sub` fills in.
fn filled_in(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *value = json!({ "Fn::Sub": text }),
        Value::Array(items) => items.iter_mut().for_each(filled_in),
        Value::Object(members) => members.values_mut().for_each(filled_in),
        _ => {}
    }
}

fn policy(what: &str, document: &Value) -> Value {
    let mut document = document.clone();
    filled_in(&mut document);
    json!({
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": { "Description": what, "PolicyDocument": document },
    })
}

/// `queue-age` as `QueueAge`.
fn camel(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(word).collect()
}

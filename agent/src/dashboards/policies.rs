//! What the agent and a viewer may do in AWS, and no more.

use serde_json::{Value, json};

/// What an agent needs: metrics into one namespace, traces, and the sampling rules for them.
pub(super) fn agent(namespace: &str) -> Value {
    policy(&[
        json!({
            "Sid": "ShipMetrics",
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricData"],
            // The action knows no resources; the namespace is what limits it.
            "Resource": "*",
            "Condition": { "StringEquals": { "cloudwatch:namespace": namespace } },
        }),
        json!({
            "Sid": "ShipTraces",
            "Effect": "Allow",
            "Action": ["xray:PutTraceSegments", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
            "Resource": "*",
        }),
    ])
}

/// What somebody needs who looks at dashboards, alarms and traces.
pub(super) fn viewer() -> Value {
    policy(&[
        json!({
            "Sid": "SeeMetrics",
            "Effect": "Allow",
            "Action": [
                "cloudwatch:DescribeAlarmHistory",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:GetDashboard",
                "cloudwatch:GetMetricData",
                "cloudwatch:GetMetricStatistics",
                "cloudwatch:ListDashboards",
                "cloudwatch:ListMetrics",
            ],
            "Resource": "*",
        }),
        json!({
            "Sid": "SeeTraces",
            "Effect": "Allow",
            "Action": [
                "xray:BatchGetTraces",
                "xray:GetServiceGraph",
                "xray:GetTraceGraph",
                "xray:GetTraceSummaries",
            ],
            "Resource": "*",
        }),
    ])
}

fn policy(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

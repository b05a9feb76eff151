//! Dashboards, alarms and policies, made from the tables of what the agent emits.
//!
//! What is made is checked in under `dashboards/`, and tests hold it against what is made now: so no
//! dashboard names a metric or a dimension that nothing sends. Making is pure; [`deploy`] alone talks to the
//! service. For CloudWatch the source is the table [`metrics`](crate::ship::metrics), for Grafana that of
//! the families of `/metrics`.
//!
//! [`cloudwatch`] has the dashboards, [`limits`] holds a body against what the service takes, [`alarms`]
//! are data, [`policies`] say what agent and viewer may do; [`cloudformation`] and [`terraform`] carry all
//! four, and [`grafana`] is by itself.

pub mod alarms;
pub mod cloudformation;
pub mod cloudwatch;
pub mod deploy;
pub mod grafana;
pub mod limits;
pub mod policies;
pub mod terraform;
mod yaml;

use serde_json::Value;

use crate::ship::metrics::{NAMESPACE, NO_ENVIRONMENT};

/// What differs from one account to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The region whose metrics are shown.
    pub region: String,
    /// The value of the dimension "Environment".
    pub environment: String,
    /// The namespace of the metrics.
    pub namespace: String,
}

impl Default for Placement {
    fn default() -> Self {
        Self { region: "us-east-1".to_owned(), environment: NO_ENVIRONMENT.to_owned(), namespace: NAMESPACE.to_owned() }
    }
}

/// Something that is made, by the name under which `tiertop dashboards print` has it.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub what: &'static str,
    /// Its file under `dashboards/`.
    pub path: &'static str,
    make: fn(&Placement) -> String,
}

impl Made {
    /// Its text.
    pub fn text(&self, placement: &Placement) -> String {
        (self.make)(placement)
    }
}

/// All that is made.
pub const ALL: [Made; 17] = [
    Made {
        name: "overview",
        what: "CloudWatch: is something wrong, where, since when",
        path: "cloudwatch/overview.json",
        make: |placement| pretty(&cloudwatch::OVERVIEW.body(placement)),
    },
    Made {
        name: "tier",
        what: "CloudWatch: one tier in full",
        path: "cloudwatch/tier.json",
        make: |placement| pretty(&cloudwatch::TIER.body(placement)),
    },
    Made {
        name: "queue",
        what: "CloudWatch: queues and their workers",
        path: "cloudwatch/queue.json",
        make: |placement| pretty(&cloudwatch::QUEUE.body(placement)),
    },
    Made {
        name: "database",
        what: "CloudWatch: databases, replicas, and who waits for them",
        path: "cloudwatch/database.json",
        make: |placement| pretty(&cloudwatch::DATABASE.body(placement)),
    },
    Made {
        name: "alarms",
        what: "CloudWatch alarms, with their usual thresholds",
        path: "cloudwatch/alarms.json",
        make: |placement| pretty(&alarms::with_usual_thresholds(placement)),
    },
    Made {
        name: "agent-policy",
        what: "IAM policy of what the agent may do",
        path: "iam/agent.json",
        make: |placement| pretty(&policies::agent(&placement.namespace)),
    },
    Made {
        name: "viewer-policy",
        what: "IAM policy of what a viewer may do",
        path: "iam/viewer.json",
        make: |_| pretty(&policies::viewer()),
    },
    Made {
        name: "cloudformation",
        what: "all of the above as a CloudFormation template",
        path: "cloudformation/tiertop.yaml",
        make: |_| cloudformation::template(),
    },
    Made {
        name: "terraform-overview",
        what: "the Terraform module's template of the overview",
        path: "terraform/templates/overview.json",
        make: |_| terraform::board(&cloudwatch::OVERVIEW),
    },
    Made {
        name: "terraform-tier",
        what: "the Terraform module's template of the tier",
        path: "terraform/templates/tier.json",
        make: |_| terraform::board(&cloudwatch::TIER),
    },
    Made {
        name: "terraform-queue",
        what: "the Terraform module's template of queues",
        path: "terraform/templates/queue.json",
        make: |_| terraform::board(&cloudwatch::QUEUE),
    },
    Made {
        name: "terraform-database",
        what: "the Terraform module's template of databases",
        path: "terraform/templates/database.json",
        make: |_| terraform::board(&cloudwatch::DATABASE),
    },
    Made {
        name: "terraform-alarms",
        what: "the Terraform module's template of alarms",
        path: "terraform/templates/alarms.json",
        make: |_| terraform::alarms(),
    },
    Made {
        name: "terraform-policies",
        what: "the Terraform module's template of policies",
        path: "terraform/templates/policies.json",
        make: |_| terraform::policies(),
    },
    Made {
        name: "grafana-overview",
        what: "Grafana, on the agent's /metrics: is something wrong, where, since when",
        path: "grafana/overview.json",
        make: |_| pretty(&grafana::overview()),
    },
    Made {
        name: "grafana-tier",
        what: "Grafana, on the agent's /metrics: one tier in full",
        path: "grafana/tier.json",
        make: |_| pretty(&grafana::tier()),
    },
    Made {
        name: "grafana-agent",
        what: "Grafana, on the agent's /metrics: the agent itself, what it takes in and ships",
        path: "grafana/agent.json",
        make: |_| pretty(&grafana::agent()),
    },
];

/// What is made under a name.
pub fn made(name: &str) -> Option<&'static Made> {
    ALL.iter().find(|made| made.name == name)
}

/// JSON as it is checked in.
fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests;

//! Dashboards in an account: what is there, what would change, and putting them.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::get_dashboard::GetDashboardError;
use aws_sdk_cloudwatch::operation::put_dashboard::PutDashboardError;
use aws_sdk_cloudwatch::types::DashboardValidationMessage;
use serde_json::Value;

use super::limits;
use crate::ship::failure::{Failure, FailureKind};

/// What came of putting a dashboard: what CloudWatch remarks on it, which is nothing if all is right.
pub type Remarks = Vec<String>;

/// The dashboard of this name as it is deployed, if there is one.
pub async fn deployed(client: &Client, name: &str) -> Result<Option<Value>, Failure> {
    let answer = match client.get_dashboard().dashboard_name(name).send().await {
        Ok(answer) => answer,
        Err(error) if error.as_service_error().is_some_and(GetDashboardError::is_dashboard_not_found_error) => {
            return Ok(None);
        }
        Err(error) => return Err(Failure::of(&error, "cloudwatch:GetDashboard")),
    };
    // Whatever is there and is no JSON differs from what would be put.
    Ok(answer.dashboard_body.map(|body| serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

/// Puts a dashboard in the place of what has this name. A body that breaks a limit is not sent.
pub async fn put(client: &Client, name: &str, body: &Value) -> Result<Remarks, Failure> {
    let problems = limits::problems(body);
    if !limits::is_name(name) {
        return Err(refused(&format!("`{name}` is no name of a dashboard"), "give letters, digits, - and _ alone"));
    }
    if !problems.is_empty() {
        return Err(refused(&problems.join("; "), "change what it is made of"));
    }
    let answer = client.put_dashboard().dashboard_name(name).dashboard_body(body.to_string()).send().await;
    match answer {
        Ok(answer) => Ok(answer.dashboard_validation_messages().iter().map(remark).collect()),
        Err(error) => {
            let failure = Failure::of(&error, "cloudwatch:PutDashboard");
            let Some(PutDashboardError::DashboardInvalidInputError(invalid)) = error.as_service_error() else {
                return Err(failure);
            };
            let remarks: Vec<String> = invalid.dashboard_validation_messages().iter().map(remark).collect();
            Err(if remarks.is_empty() { failure } else { refused(&remarks.join("; "), &failure.remedy) })
        }
    }
}

fn refused(what: &str, remedy: &str) -> Failure {
    Failure::new(FailureKind::Refused, what, remedy)
}

fn remark(message: &DashboardValidationMessage) -> String {
    let what = message.message().unwrap_or("no reason given");
    message.data_path().map_or_else(|| what.to_owned(), |path| format!("{path}: {what}"))
}

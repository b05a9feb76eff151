//! How AWS is reached: the SDK's usual chain of credentials, with what flags say on top of it.
//!
//! Retries are the exporters' own business, so the SDK makes none: an attempt that brought no answer
//! is counted, since the service may have taken it.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};

/// What flags say of AWS. What is not said is looked for in the environment, in `~/.aws` and on the instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsOptions {
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// A role to assume.
    pub role_arn: Option<String>,
}

/// Why AWS cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// Nobody says which region.
    #[error(
        "no AWS region is known: give --aws-region, set AWS_REGION, or write `region` into the profile of ~/.aws/config"
    )]
    NoRegion,
}

/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for the answer to one call.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads environment, files and instance. Credentials are fetched later, when first needed, and again
/// when they expire.
pub async fn load(options: &AwsOptions) -> Result<SdkConfig, AwsError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ANSWER_TIMEOUT).build(),
        )
        .app_name(AppName::new("tiertop").expect("a plain word is a name"));
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(AwsError::NoRegion);
    }
    let Some(role) = &options.role_arn else { return Ok(config) };
    let assumed = AssumeRoleProvider::builder(role.as_str()).session_name("tiertop").configure(&config).build().await;
    let assumed = aws_sdk_cloudwatch::config::SharedCredentialsProvider::new(assumed);
    Ok(config.into_builder().credentials_provider(assumed).build())
}

/// Where a service is reached, in words: its endpoint if one is given, else the region.
pub fn target(config: &SdkConfig, endpoint: Option<&str>) -> String {
    let region = || config.region().map(ToString::to_string).unwrap_or_default();
    endpoint.or(config.endpoint_url()).map_or_else(region, str::to_owned)
}

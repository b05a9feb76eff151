//! The call: `PutMetricData`, once.

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types;

use super::datum::{Datum, Figures};
use crate::ship::failure::Failure;

/// What the call needs to be allowed.
pub const PERMISSION: &str = "cloudwatch:PutMetricData";

/// A client of CloudWatch at its own endpoint, or another.
pub fn client(config: &SdkConfig, endpoint: Option<&str>) -> Client {
    let mut own = aws_sdk_cloudwatch::config::Builder::from(config);
    if let Some(endpoint) = endpoint {
        own = own.endpoint_url(endpoint);
    }
    Client::from_conf(own.build())
}

/// Sends datums that keep the limits of one request.
pub(super) async fn put(client: Client, namespace: String, datums: Vec<Datum>) -> Result<(), Failure> {
    let datums = datums.into_iter().map(to_wire).collect();
    let sent = client.put_metric_data().namespace(namespace).set_metric_data(Some(datums)).send().await;
    sent.map(drop).map_err(|error| Failure::of(&error, PERMISSION))
}

fn to_wire(datum: Datum) -> types::MetricDatum {
    let Datum { metric_name, dimensions, timestamp, unit, storage_resolution, figures } = datum;
    let dimension = |it: super::datum::Dimension| types::Dimension::builder().name(it.name).value(it.value).build();
    let wire = types::MetricDatum::builder()
        .metric_name(metric_name)
        .set_dimensions(Some(dimensions.into_iter().map(dimension).collect()))
        .timestamp(DateTime::from_secs(timestamp as i64))
        .unit(types::StandardUnit::from(unit.as_str()))
        .storage_resolution(storage_resolution as i32);
    match figures {
        Figures::One { value } => wire.value(value),
        Figures::Distribution { values, counts } => wire.set_values(Some(values)).set_counts(Some(counts)),
        Figures::Statistics { statistic_values: all } => wire.statistic_values(
            types::StatisticSet::builder()
                .sample_count(all.sample_count)
                .sum(all.sum)
                .minimum(all.minimum)
                .maximum(all.maximum)
                .build(),
        ),
    }
    .build()
}

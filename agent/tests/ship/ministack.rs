//! Against `MiniStack`, a server that speaks CloudWatch: what was shipped is read back with the SDK and
//! compared with what the agent showed of the same seconds.
//!
//! The program is the one that `TIERTOP_MINISTACK` names; without it these tests fail.

mod dashboards;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::{Credentials, Region};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use tiertop_core::snapshot::ClosedTierView;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::program::{PATIENCE, Program, requests, snapshot};

struct MiniStack {
    /// Killed when this goes.
    _server: Child,
    url: String,
}

impl MiniStack {
    async fn start() -> Self {
        let program = std::env::var_os("TIERTOP_MINISTACK")
            .expect("TIERTOP_MINISTACK names no program: .ci/aws-servers installs it and says where it is");
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let server = Command::new(program)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("LOG_LEVEL", "WARNING")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("MiniStack starts");
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens).await.expect("MiniStack listens");
        Self { _server: server, url: format!("http://127.0.0.1:{port}") }
    }

    fn client(&self) -> Client {
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
            .endpoint_url(&self.url)
            .build();
        Client::from_conf(config)
    }
}

/// What CloudWatch has of one metric of the shop, by the second.
async fn read_back(client: &Client, metric: &str, from: u64, to: u64) -> BTreeMap<u64, Datapoint> {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let answer = client
        .get_metric_statistics()
        .namespace("Tiertop")
        .metric_name(metric)
        .dimensions(dimension("Environment", "test"))
        .dimensions(dimension("Tier", "app"))
        .dimensions(dimension("Service", "shop"))
        .start_time(DateTime::from_secs(from as i64))
        .end_time(DateTime::from_secs(to as i64 + 1))
        .period(1)
        .set_statistics(Some(vec![Statistic::SampleCount, Statistic::Sum, Statistic::Minimum, Statistic::Maximum]))
        .send()
        .await
        .unwrap();
    let points = answer.datapoints.unwrap_or_default().into_iter();
    points.map(|point| (point.timestamp.unwrap().secs() as u64, point)).collect()
}

fn alike(one: Option<f64>, other: f64) -> bool {
    one.is_some_and(|one| (one - other).abs() <= other.abs() * 1e-9)
}

#[tokio::test]
async fn what_is_read_back_is_what_was_shown() {
    let server = MiniStack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&server.url, &folder.path().join("spool")).await;
    let mut feed = program.watch();
    let mut sender = program.sender().await;
    let mut shown: BTreeMap<u64, ClosedTierView> = BTreeMap::new();
    let mut round = 0;
    snapshot(&mut feed, |_| true).await;
    while shown.len() < 8 {
        round += 1;
        // A few to hundreds of milliseconds, never the same twice.
        sender.export(requests((0..100).map(|number| 3 + (number * number * round) % 700))).await.unwrap();
        let next = snapshot(&mut feed, |_| true).await;
        for second in &next.closed_seconds {
            let busy = second.tiers.iter().find(|tier| tier.id == "app/shop" && tier.latency.is_some());
            shown.extend(busy.map(|tier| (second.unix_s, tier.clone())));
        }
    }
    program.stop().await;

    let client = server.client();
    let (from, to) = (*shown.keys().next().unwrap(), *shown.keys().last().unwrap());
    let latency = read_back(&client, "Latency", from, to).await;
    let counted = read_back(&client, "Requests", from, to).await;
    let failed = read_back(&client, "Errors", from, to).await;
    for (second, tier) in &shown {
        let view = tier.latency.as_ref().unwrap();
        let point = latency.get(second).unwrap_or_else(|| panic!("nothing of {second} in {latency:?}"));
        assert!(alike(point.sample_count, view.count as f64), "{second}: {point:?} {view:?}");
        assert!(alike(point.sum, view.sum_ms), "{second}: {point:?} {view:?}");
        assert!(alike(point.minimum, view.min_ms), "{second}: {point:?} {view:?}");
        assert!(alike(point.maximum, view.max_ms), "{second}: {point:?} {view:?}");
        assert!(alike(counted[second].sum, tier.requests.unwrap() as f64), "{second}");
        assert!(alike(failed[second].sum, tier.errors.unwrap() as f64), "{second}");
    }
}

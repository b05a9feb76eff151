//! Shipping through the real SDK to a strict fake of the service.

mod fake;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_xray::config::SharedCredentialsProvider;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tiertop_core::choice::RuleCount;
use tiertop_core::id::TraceId;
use tiertop_core::snapshot::{ExporterState, ExporterView};
use tokio::task::JoinHandle;

use super::*;
use crate::details::{DetailedTrace, SpanDetail};
use crate::ship::status::StatusReader;
use fake::{Answer, Fake};

const PATIENCE: Duration = Duration::from_mins(1);

/// An exporter that ships to a fake.
struct Stage {
    fake: Fake,
    traces: mpsc::Sender<DetailedTraces>,
    rules: watch::Receiver<ChoiceRules>,
    status: StatusReader,
    exporter: JoinHandle<()>,
}

impl Stage {
    async fn new(answers: &[Answer]) -> Self {
        let fake = Fake::start().await;
        fake.seen().answers.extend(answers.iter().cloned());
        Self::before(fake)
    }

    fn before(fake: Fake) -> Self {
        let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret-of-the-key", None, None, "test");
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(700)).build();
        let config = aws_sdk_xray::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .retry_config(aws_config::retry::RetryConfig::disabled())
            .timeout_config(timeouts)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .endpoint_url(format!("http://{}", fake.address))
            .build();
        let (traces, taken) = mpsc::channel(16);
        let (change, rules) = watch::channel(ChoiceRules::default());
        let (status, reader) = Status::new("xray", "fake", "documents");
        let client = Client::from_conf(config);
        let exporter = tokio::spawn(async move {
            ship(client, taken, (XrayOptions::default(), change), &status).await;
        });
        Self { fake, traces, rules, status: reader, exporter }
    }

    async fn send(&self, first: u64, count: u64) {
        let traces = (first..first + count).map(trace).collect();
        self.traces.send(DetailedTraces { traces, ..DetailedTraces::default() }).await.unwrap();
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&ExporterView) -> bool) -> ExporterView {
        let waiting = self.status.wait_for(|view| holds(view));
        let view = tokio::time::timeout(PATIENCE, waiting).await.map(|view| view.unwrap().clone());
        view.unwrap_or_else(|_| panic!("never {what}: {:#?}", *self.status.borrow()))
    }

    /// Lets the exporter end, and looks whether the service got exactly the documents of so many traces.
    async fn end(self, count: usize) -> ExporterView {
        drop(self.traces);
        tokio::time::timeout(PATIENCE, self.exporter).await.unwrap().unwrap();
        let seen = self.fake.seen();
        assert_eq!((seen.taken.len(), &seen.violations), (count, &Vec::new()));
        self.status.borrow().clone()
    }
}

fn trace(id: u64) -> DetailedTrace {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let span = Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        kind: 2,
        name: "GET /".to_owned(),
        start_time_unix_nano: now - 1_000_000,
        end_time_unix_nano: now,
        ..Span::default()
    };
    let detail = SpanDetail {
        span: span.encode_to_vec().into(),
        resource: [].as_slice().into(),
        scope: [].as_slice().into(),
        tier: None,
    };
    DetailedTrace {
        trace: TraceId(u128::from(id)),
        reason: Reason::Failed,
        is_rest: false,
        verdict: None,
        stall: None,
        spans: vec![detail],
    }
}

#[tokio::test]
async fn documents_are_sent_fifty_a_call_and_all_are_taken() {
    let mut stage = Stage::new(&[]).await;
    stage.send(1, 120).await;
    let view = stage.until("sent", |view| view.sent == 120).await;
    assert_eq!((view.state, view.waiting, view.dropped_in_all()), (ExporterState::Shipping, 0, 0));
    assert_eq!(stage.fake.seen().calls, [50, 50, 20]);
    stage.end(120).await;
}

#[tokio::test]
async fn of_unprocessed_documents_the_throttled_are_sent_again_and_only_they() {
    let mut stage =
        Stage::new(&[Answer::Unprocessed("ThrottlingException"), Answer::Unprocessed("InternalFailure")]).await;
    stage.send(1, 40).await;
    stage.until("sent", |view| view.sent == 40).await;
    assert_eq!(stage.fake.seen().calls, [40, 20, 10]);
    assert_eq!(stage.fake.seen().again, 0);
    stage.end(40).await;
}

#[tokio::test]
async fn what_the_service_finds_invalid_is_counted_with_its_reason_and_not_sent_again() {
    let mut stage = Stage::new(&[Answer::Unprocessed("InvalidSegment")]).await;
    stage.send(1, 10).await;
    let view = stage.until("refused", |view| view.refused == 5 && view.sent == 5).await;
    assert!(
        view.dropped.iter().any(|one| one.reason.contains("InvalidSegment: because") && one.count == 5),
        "{view:#?}"
    );
    let view = stage.end(5).await;
    assert_eq!(view.dropped_in_all(), 5);
}

#[tokio::test]
async fn a_service_that_throttles_and_is_at_fault_gets_everything_in_the_end() {
    let mut stage = Stage::new(&[Answer::Throttle, Answer::Fault]).await;
    stage.send(1, 60).await;
    let view = stage.until("in trouble", |view| view.trouble.is_some()).await;
    assert_eq!(view.state, ExporterState::Retrying);
    let view = stage.until("sent", |view| view.sent == 60).await;
    assert_eq!(view.trouble, None);
    let view = stage.end(60).await;
    assert_eq!(view.dropped_in_all(), 0);
}

#[tokio::test]
async fn a_lost_answer_and_none_at_all_lose_nothing_and_change_nothing() {
    let mut stage = Stage::new(&[Answer::Dropped, Answer::Never]).await;
    stage.send(1, 10).await;
    let view = stage.until("sent", |view| view.sent == 10).await;
    assert_eq!(view.maybe_twice, 0, "documents have ids of their own");
    assert_eq!(stage.fake.seen().again, 10);
    stage.end(10).await;
}

#[tokio::test]
async fn expired_credentials_are_told_with_what_to_do_and_no_secret() {
    let mut stage = Stage::new(&vec![Answer::Expired; 50]).await;
    stage.send(1, 10).await;
    let view = stage.until("blocked", |view| view.state == ExporterState::Blocked && view.waiting == 10).await;
    let trouble = view.trouble.expect("trouble");
    assert!(trouble.what.contains("ExpiredToken") && trouble.remedy.contains("aws sso login"), "{trouble:?}");
    assert!(!format!("{trouble:?}").contains("secret-of-the-key"));
    let view = stage.end(0).await;
    assert_eq!(view.dropped_in_all(), 10, "what could not be sent by the end is counted");
}

#[tokio::test]
async fn what_never_became_a_document_is_counted_by_reason() {
    let mut stage = Stage::new(&[]).await;
    let mut traces = DetailedTraces { spans_gone: 3, spans_not_taken: 4, ..DetailedTraces::default() };
    traces.over_budget[Reason::Failed as usize] = 7;
    stage.traces.send(traces).await.unwrap();
    let view = stage.until("counted", |view| view.dropped_in_all() == 14).await;
    let reasons: Vec<(&str, u64)> = view.dropped.iter().map(|one| (one.reason.as_str(), one.count)).collect();
    assert!(reasons.contains(&("failed traces over the budget", 7)), "{reasons:?}");
}

#[tokio::test]
async fn sampling_rules_that_are_offered_say_the_uniform_share() {
    let rule = json!({
        "RuleName": "shop", "ResourceARN": "*", "Priority": 1, "FixedRate": 0.2, "ReservoirSize": 1,
        "ServiceName": "shop", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Version": 1,
    });
    let fake = Fake::start().await;
    fake.seen().rules = Some(json!({"SamplingRuleRecords": [{"SamplingRule": rule}]}));
    let mut stage = Stage::before(fake);
    let changed = stage.rules.wait_for(|rules| rules.uniform[0].name == "shop");
    let rate = tokio::time::timeout(PATIENCE, changed).await.unwrap().unwrap().uniform[0].rate;
    assert!((rate - 0.2).abs() < 1e-9, "{rate}");
    let by_rule = vec![RuleCount { matched: 9, chosen: 2 }];
    stage.traces.send(DetailedTraces { by_rule, ..DetailedTraces::default() }).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while stage.fake.seen().told.is_empty() {
        assert!(Instant::now() < deadline, "its use is never told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = stage.fake.seen().told[0]["SamplingStatisticsDocuments"][0].clone();
    assert_eq!(
        (&told["RuleName"], &told["RequestCount"], &told["SampledCount"]),
        (&json!("shop"), &json!(9), &json!(2))
    );
}

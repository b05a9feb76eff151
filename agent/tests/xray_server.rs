//! The agent's program against a server that speaks as X-Ray does: moto, whose program `TIERTOP_MOTO` names.
//!
//! `TIERTOP_MOTO=$(.ci/aws-servers)/moto_server cargo test -p tiertop-agent --features moto --test xray_server`
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sdk_xray::Client;
use aws_sdk_xray::config::{BehaviorVersion, Region, SharedCredentialsProvider};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "never {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_listening(port: u16) -> Option<()> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(())
}

fn start_moto() -> (Process, u16) {
    let program = std::env::var_os("TIERTOP_MOTO").expect("TIERTOP_MOTO names moto's server");
    let port = free_port();
    let server = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("moto_server starts");
    let server = Process(server);
    until("a server", || is_listening(port));
    (server, port)
}

fn start_agent(otlp: u16, xray: u16) -> Process {
    let address = |port: u16| format!("127.0.0.1:{port}");
    let agent = Command::new(env!("CARGO_BIN_EXE_tiertop-agent"))
        .args([
            "--otlp-http",
            &address(otlp),
            "--otlp-grpc",
            "127.0.0.1:0",
            "--feed",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .args(["--ship", "xray", "--xray-share", "1", "--xray-budget", "100", "--aws-region", "eu-central-1"])
        .args(["--xray-annotations", "customer.tier"])
        .env("AWS_ENDPOINT_URL_XRAY", format!("http://{}", address(xray)))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdout(Stdio::null())
        .spawn()
        .expect("the agent starts");
    let agent = Process(agent);
    until("an agent", || is_listening(otlp));
    agent
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| Some(AnyValue { value: Some(AnyKind::StringValue(text.to_owned())) });
    pairs
        .iter()
        .map(|(key, text)| KeyValue { key: (*key).to_owned(), value: value(text), ..KeyValue::default() })
        .collect()
}

/// A request of two services and a database in each of so many traces; every third fails.
fn request(traces: u128, begin: u64) -> ExportTraceServiceRequest {
    let span = |trace: u128, id: u64, parent: u64, kind: i32, ms: (u64, u64), pairs: &[(&str, &str)]| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: (trace as u64 * 16 + id).to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { (trace as u64 * 16 + parent).to_be_bytes().to_vec() },
        kind,
        name: "GET /orders".to_owned(),
        start_time_unix_nano: begin + ms.0 * 1_000_000,
        end_time_unix_nano: begin + ms.1 * 1_000_000,
        attributes: attributes(pairs),
        status: Some(Status {
            code: if (trace as u64).is_multiple_of(3) { 2 } else { 0 },
            message: "no room".to_owned(),
        }),
        ..Span::default()
    };
    let http = [("http.request.method", "GET"), ("url.path", "/orders"), ("customer.tier", "gold")];
    let database = [("db.system.name", "postgresql"), ("db.namespace", "orders"), ("server.address", "db1")];
    let of = |name: &str, spans: Vec<Span>| ResourceSpans {
        resource: Some(Resource { attributes: attributes(&[("service.name", name)]), ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let ids = || (1..=traces).map(trace_id);
    let entry = ids().flat_map(|trace| {
        [span(trace, 1, 0, 2, (0, 100), &http), span(trace, 2, 1, 3, (5, 95), &[("server.address", "shop")])]
    });
    let shop =
        ids().flat_map(|trace| [span(trace, 3, 2, 2, (10, 90), &http), span(trace, 4, 3, 3, (20, 80), &database)]);
    ExportTraceServiceRequest { resource_spans: vec![of("entry", entry.collect()), of("shop", shop.collect())] }
}

fn trace_id(number: u128) -> u128 {
    (0x6a10_0000_u128 << 96) + number
}

fn send(port: u16, body: &[u8]) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_read_back_from_the_service_as_they_were_sent() {
    let (_moto, xray) = start_moto();
    let otlp = free_port();
    let _agent = start_agent(otlp, xray);
    let begin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 - 1_000_000_000;
    let count = 12;
    send(otlp, &request(count, begin).encode_to_vec());

    let keys = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let config = aws_sdk_xray::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(keys)
        .endpoint_url(format!("http://127.0.0.1:{xray}"))
        .build();
    let client = Client::from_conf(config);
    for number in 1..=count {
        let id = trace_id(number);
        let name = format!("1-{:08x}-{:024x}", id >> 96, id & ((1 << 96) - 1));
        let deadline = Instant::now() + PATIENCE;
        let mut segments: Vec<Value> = Vec::new();
        while segments.len() < 2 {
            assert!(Instant::now() < deadline, "{name}: only {segments:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = client.batch_get_traces().trace_ids(&name).send().await.expect("an answer");
            let documents = answer.traces().iter().flat_map(|trace| trace.segments().to_vec());
            segments = documents.filter_map(|one| serde_json::from_str(one.document()?).ok()).collect();
        }
        segments.sort_by_key(|segment| segment["id"].to_string());
        let [entry, shop] = &segments[..] else { panic!("not two segments: {segments:#?}") };
        let own = |id: u64| format!("{:016x}", (trace_id(number) as u64) * 16 + id);
        let names = |segment: &Value| (segment["name"].clone(), segment["subsegments"][0]["name"].clone());
        assert_eq!(names(entry), ("entry".into(), "shop".into()));
        assert_eq!(names(shop), ("shop".into(), "orders@db1".into()));
        assert_eq!((&entry["id"], &entry["parent_id"]), (&own(1).into(), &Value::Null));
        assert_eq!((&shop["id"], &shop["parent_id"]), (&own(3).into(), &own(2).into()));
        for (segment, ms) in [(entry, (0, 100)), (shop, (10, 90))] {
            assert_eq!(segment["annotations"]["customer.tier"], "gold");
            assert_eq!(segment["fault"] == true, number.is_multiple_of(3), "{segment}");
            for (key, ms) in [("start_time", ms.0), ("end_time", ms.1)] {
                let wanted = (begin + ms * 1_000_000) as f64 / 1e9;
                assert!((segment[key].as_f64().unwrap() - wanted).abs() < 1e-6, "{segment}");
            }
        }
    }
}

//! A single node, spoken to as its parent does: what is turned in a process is real.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Api;
use crate::sink::Sink;
use crate::{NOBODY, eventually};

struct Node {
    process: Child,
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
    address: Option<SocketAddr>,
    _folder: TempDir,
}

impl Node {
    /// Starts a node that has begun.
    fn start(role: &str, endpoint: &str, settings: &Value, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("tiertop-demo-").tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tiertop-demo"))
            .args(["node", "--role", role, "--name", "x", "--zone", "a", "--release", "9.9.9"])
            .args(["--otlp-endpoint", endpoint, "--folder"])
            .arg(folder.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, reports) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut node =
            Self { process, orders, reports: BufReader::new(reports).lines(), address: None, _folder: folder };
        node.address = node.hear()["listening"]["address"].as_str().and_then(|address| address.parse().ok());
        let begin = json!({ "begin": { "peers": [], "settings": settings, "siblings": [] } });
        assert_eq!(node.order(&begin), json!("ready"));
        node
    }

    fn order(&mut self, order: &Value) -> Value {
        writeln!(self.orders, "{order}").unwrap();
        self.hear()
    }

    fn turn(&mut self, control: &Value) -> Value {
        self.order(&json!({ "control": control }))
    }

    fn hear(&mut self) -> Value {
        serde_json::from_str(&self.reports.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_leaks_is_killed_at_its_limit() {
    let mut node = Node::start("web", NOBODY, &json!({ "memory_limit_bytes": 150 << 20 }), &[]);
    assert_eq!(node.turn(&json!({ "leak": { "bytes_per_second": 400 << 20 } })), "done");
    let status = eventually("the node to end", async || node.process.try_wait().unwrap()).await;
    assert_eq!(status.signal(), Some(9), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_over_its_limit_is_killed_whatever_took_the_memory() {
    let (_sink, endpoint) = Sink::start();
    let mut node = Node::start("web", &endpoint, &json!({ "memory_limit_bytes": 1 << 20 }), &[]);
    let status = eventually("the node to end", async || node.process.try_wait().unwrap()).await;
    assert_eq!(status.signal(), Some(9), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_takes_memory_and_gives_all_of_it_back() {
    let (sink, endpoint) = Sink::start();
    // Far from what is taken, also when the machine is busy and the reports come late.
    let mut node = Node::start("web", &endpoint, &json!({ "memory_limit_bytes": 4_u64 << 30 }), &[]);
    let used = "process.memory.usage";
    let before = eventually("the memory", async || sink.latest(used)).await;
    assert_eq!(node.turn(&json!({ "leak": { "bytes_per_second": 40 << 20 } })), "done");
    eventually("more memory", async || sink.latest(used).filter(|&bytes| bytes > before + 60e6)).await;
    assert_eq!(node.turn(&json!({ "leak": { "bytes_per_second": 0 } })), "done");
    eventually("the memory back", async || sink.latest(used).filter(|&bytes| bytes < before + 20e6)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_burns_uses_its_processor_and_says_so() {
    let (sink, endpoint) = Sink::start();
    let mut node = Node::start("web", &endpoint, &json!({}), &[]);
    let used = "process.cpu.utilization";
    eventually("an idle process", async || sink.latest(used).filter(|&share| share < 0.1)).await;
    assert_eq!(node.turn(&json!({ "burn_cpu": { "share": 0.9 } })), "done");
    // Where others compute too, it gets less of a core than it asks for.
    eventually("a busy process", async || sink.latest(used).filter(|&share| share > 0.1)).await;
    assert_eq!(node.turn(&json!({ "burn_cpu": { "share": 0.0 } })), "done");
    eventually("an idle process", async || sink.latest(used).filter(|&share| share < 0.1)).await;
    assert!(sink.points().iter().all(|point| point.resource["service.version"] == "\"9.9.9\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_says_in_its_span_where_an_answer_came_from_and_a_check_is_no_request() {
    let (sink, endpoint) = Sink::start();
    let node = Node::start("edge", &endpoint, &json!({}), &[]);
    let api = Api::new(node.address.unwrap());
    assert_eq!(api.call(Method::GET, "/healthz", "").await.0, StatusCode::OK);
    assert_eq!(api.call(Method::GET, "/static/a.css", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let spans = eventually("a span", async || Some(sink.spans()).filter(|spans| !spans.is_empty())).await;
    assert_eq!(spans.len(), 1, "{spans:?}");
    let said = &spans[0].attributes["http.response.header.cache-status"];
    assert!(said.contains("ArrayValue") && said.contains("edge; fwd=miss"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_share_of_traces_is_turned_unless_the_environment_sets_it() {
    let sample = json!({ "sample": { "share": 0.5 } });
    let mut node = Node::start("web", NOBODY, &json!({}), &[]);
    assert_eq!(node.turn(&sample), "done");
    let mut node = Node::start("web", NOBODY, &json!({}), &[("OTEL_TRACES_SAMPLER", "always_on")]);
    assert!(node.turn(&sample)["failed"]["why"].as_str().unwrap().contains("OTEL_TRACES_SAMPLER"));
}

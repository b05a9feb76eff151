//! A headless agent of its own process, on ports that the system chooses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{ANY_PORT, PATIENCE, processes, tiertop};

/// A running agent and where it said it listens.
pub(crate) struct AgentProcess {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
    pub(crate) feed: String,
    pub(crate) admin: String,
    /// What it said up to then.
    pub(crate) said: String,
}

impl AgentProcess {
    pub(crate) fn start() -> Self {
        Self::with_feed(ANY_PORT, &[])
    }

    /// Starts one with the feed there, and waits until it has said where all is.
    pub(crate) fn with_feed(feed: &str, more: &[&str]) -> Self {
        let free = ["--otlp-grpc", ANY_PORT, "--otlp-http", ANY_PORT, "--admin", ANY_PORT];
        let mut child =
            tiertop(&["agent", "--feed", feed]).args(free).args(more).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("/healthz") {
            let line = lines.next().unwrap_or_else(|| panic!("it ended:\n{said}"));
            said += &(line.unwrap() + "\n");
        }
        // Read on, so that it can go on writing.
        std::thread::spawn(move || lines.count());
        let after = |before: &str| {
            let (_, rest) = said.split_once(before).unwrap_or_else(|| panic!("no {before:?} in\n{said}"));
            rest.split([' ', ',', '`', '/', '\n']).next().unwrap().to_owned()
        };
        Self {
            grpc: after("OTLP gRPC on "),
            http: after("HTTP on "),
            feed: after("`tiertop attach "),
            admin: after("http://"),
            said,
            child,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end; it should do so in good order.
    pub(crate) fn stop(mut self) {
        processes::signal(self.pid(), Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }

    /// Sends it requests to a service, and the queries that they made, by OTLP over HTTP.
    pub(crate) fn send_requests(&self, many: u64) {
        let lately = (SystemTime::now() - Duration::from_secs(2)).duration_since(UNIX_EPOCH).unwrap();
        let spans: Vec<Value> = (1..=many).flat_map(|number| request(number, lately)).collect();
        let service = json!({ "key": "service.name", "value": { "stringValue": "checkout" } });
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": [service] },
            "scopeSpans": [{ "scope": { "name": "test" }, "spans": spans }],
        }]})
        .to_string();
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to the service and the query within, which ended at the given time.
fn request(number: u64, end: Duration) -> [Value; 2] {
    let trace = format!("{number:032x}");
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let times = |lasting: u64| (end.as_nanos() - u128::from(lasting) * 1_000_000, end.as_nanos());
    let span = |id: u64, parent: u64, kind: u32, name: &str, lasting: u64, attributes: Vec<Value>| {
        let (start, end) = times(lasting);
        let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
        json!({
            "traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent, "kind": kind, "name": name,
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(), "attributes": attributes,
        })
    };
    let route = vec![attribute("http.request.method", "GET"), attribute("http.route", "/orders/{id}")];
    let query = vec![attribute("db.system.name", "postgresql"), attribute("server.address", "db1")];
    [
        span(number * 2, 0, 2, "GET /orders/{id}", 20, route),
        span(number * 2 + 1, number * 2, 3, "INSERT orders", 10, query),
    ]
}

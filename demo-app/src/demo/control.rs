//! The control API: makes trouble in a running demo by HTTP, on loopback. Bodies are JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /nodes` | tells the instances and whether they run |
//! | `GET /faults` | tells the known faults, which of them fit the phase, and those that are active |
//! | `POST /faults` | begins `{"fault": "replica-lag", "intensity": "high", "for": "30s"}`; 202 with its `id` |
//! | `DELETE /faults/{id}` | ends a fault and puts back what it changed |
//! | `DELETE /faults` | ends all faults |
//! | `GET /truth` | tells the truth of the faults that have ended |
//! | `POST /load` | makes the load `{"rate": 200}` requests a second |
//!
//! A refusal is `{"error": why}` with 400 for what cannot be read, 404 for what is not there, 405 for
//! another method, 409 for what another fault has changed, and 422 for what this demo cannot do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::demo::DemoError;
use crate::demo::effects::Subject;
use crate::demo::troubles::{self, Troubles};
use crate::fault::{Fault, FaultPlan, Intensity};
use crate::human;
use crate::scenario::ScenarioFault;
use crate::service::http::{self, Answer, json as answer};
use crate::wire;

/// Largest body of a request: a few lines.
const MAX_BODY: usize = 4 << 10;

/// How long a fault lasts unless told.
const USUAL_TIME: Duration = Duration::from_mins(1);

/// Why a request is refused.
struct Refusal(StatusCode, String);

fn refusal(status: StatusCode, why: &str) -> Refusal {
    Refusal(status, why.to_owned())
}

/// Answers requests for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, troubles: Arc<Troubles>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = wire::accept(&listener) => {
                connections.spawn(serve_connection(stream, Arc::clone(&troubles)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, troubles: Arc<Troubles>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let troubles = Arc::clone(&troubles);
        async move {
            Ok::<_, Infallible>(
                respond(request, &troubles).await.unwrap_or_else(|Refusal(status, why)| http::refusal(status, &why)),
            )
        }
    });
    // A connection that breaks is the caller's to report.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, troubles: &Arc<Troubles>) -> Result<Answer, Refusal> {
    // Browsers name the page that asks: none has business here, while it could reach loopback.
    if request.headers().contains_key(header::ORIGIN) {
        return Err(refusal(StatusCode::FORBIDDEN, "web pages may not control the demo; use a client such as curl"));
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (&method, &parts[..]) {
        (&Method::GET, ["nodes"]) => Ok(answer(StatusCode::OK, &nodes(troubles))),
        (&Method::GET, ["faults"]) => Ok(answer(StatusCode::OK, &faults(troubles))),
        (&Method::GET, ["truth"]) => Ok(answer(StatusCode::OK, &json!(*troubles.truth().borrow()))),
        (&Method::POST, ["faults"]) => begin(troubles, &read(request).await?).await,
        (&Method::POST, ["load"]) => load(troubles, &read(request).await?),
        (&Method::DELETE, ["faults"]) => {
            troubles.end_all().await.map_err(|error| failed(&error))?;
            Ok(answer(StatusCode::OK, &json!({ "active": [] })))
        }
        (&Method::DELETE, ["faults", id]) => end(troubles, id).await,
        (_, ["nodes" | "faults" | "truth" | "load"] | ["faults", _]) => {
            Err(refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("{path} takes no {method}")))
        }
        _ => Err(refusal(StatusCode::NOT_FOUND, "there are /nodes, /faults, /truth and /load")),
    }
}

fn nodes(troubles: &Troubles) -> Value {
    let node = |node: crate::demo::NodeInfo| {
        json!({
            "name": node.name,
            "role": node.role,
            "zone": node.zone.name(),
            "pid": node.pid,
            "address": node.address,
            "state": node.state,
        })
    };
    troubles.subject().fleet.nodes().into_iter().map(node).collect()
}

fn faults(troubles: &Troubles) -> Value {
    let phase = troubles.subject().fleet.options.phase;
    let known = Fault::all().map(|fault| {
        json!({
            "fault": fault.name(),
            "description": fault.description(),
            "fits": fault.fits(phase),
            "usual_phase": fault.usual_phase(),
        })
    });
    json!({ "phase": phase, "known": known.collect::<Value>(), "active": troubles.active() })
}

/// What is asked for by `POST /faults`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    fault: Fault,
    #[serde(default)]
    intensity: Intensity,
    #[serde(rename = "for", with = "human", default = "usual_time")]
    lasting: Duration,
}

fn usual_time() -> Duration {
    USUAL_TIME
}

async fn begin(troubles: &Arc<Troubles>, body: &Bytes) -> Result<Answer, Refusal> {
    let Wanted { fault, intensity, lasting } = understand(body)?;
    let phase = troubles.subject().fleet.options.phase;
    if let Some(why) = fault.misfit(phase, "start the demo with --phase ") {
        return Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, &why));
    }
    let plan = FaultPlan { fault, intensity, after: Duration::ZERO, lasting };
    let fault = ScenarioFault { plan, truth: fault.truth(phase) };
    let id = troubles::begin_for_its_time(troubles, fault).await.map_err(|error| failed(&error))?;
    Ok(answer(StatusCode::ACCEPTED, &json!({ "id": id })))
}

async fn end(troubles: &Arc<Troubles>, id: &str) -> Result<Answer, Refusal> {
    let why = || format!("no fault {id} is active; GET /faults tells those that are");
    let known: u64 = id.parse().map_err(|_| refusal(StatusCode::NOT_FOUND, &why()))?;
    match troubles.end(known).await {
        Ok(true) => Ok(answer(StatusCode::OK, &json!({ "id": known }))),
        Ok(false) => Err(refusal(StatusCode::NOT_FOUND, &why())),
        Err(error) => Err(failed(&error)),
    }
}

/// What is asked for by `POST /load`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    rate: f64,
}

fn load(troubles: &Troubles, body: &Bytes) -> Result<Answer, Refusal> {
    let Load { rate } = understand(body)?;
    let refused = |why: &str| refusal(StatusCode::UNPROCESSABLE_ENTITY, why);
    if !rate.is_finite() || rate < 0.0 {
        return Err(refused("rate is a number of requests a second that is not negative, such as 200"));
    }
    let Subject { fleet, dials } = troubles.subject();
    let planned = fleet.options.load.rate;
    if planned <= 0.0 {
        return Err(refused("there is no load to change; start the demo with --rate over 0"));
    }
    if fleet.options.load.closed.is_some() {
        return Err(refused("a closed loop has no rate; start the demo without --closed"));
    }
    dials.turn(|parts| parts.asked = rate / planned);
    Ok(answer(StatusCode::OK, &json!({ "rate": rate })))
}

/// Reads the body of a request, up to the limit.
async fn read(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let why = format!("the body could not be read; it may have {MAX_BODY} bytes");
    body.map(http_body_util::Collected::to_bytes).map_err(|_| refusal(StatusCode::BAD_REQUEST, &why))
}

/// Reads JSON; the refusal says what is wrong with it.
fn understand<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn failed(error: &DemoError) -> Refusal {
    let status = match error {
        DemoError::Taken { .. } => StatusCode::CONFLICT,
        DemoError::Unfit { .. } | DemoError::NotOnRealServers { .. } | DemoError::Refused { .. } => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refusal(status, &format!("failed to {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::backends::{Backends, Servers};
    use crate::demo::DemoOptions;
    use crate::demo::dials::Dials;
    use crate::demo::fleet::Fleet;
    use crate::topology::Phase;

    /// Options of a demo on real servers, none of which is asked for anything.
    fn on_real_servers() -> DemoOptions {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let servers = Servers {
            primary: nowhere,
            standby: nowhere,
            replicas: vec![nowhere; 2],
            caches: vec![nowhere],
            database: "demo".to_owned(),
            user: "demo".to_owned(),
        };
        DemoOptions { backends: Backends::Real(servers), ..DemoOptions::new(Vec::new(), Phase::WRITES) }
    }

    #[tokio::test]
    async fn what_real_servers_cannot_have_is_refused_as_something_this_demo_cannot_do() {
        let (ended, _ends) = mpsc::channel(1);
        let fleet = Arc::new(Fleet::new(on_real_servers(), ended, watch::channel(None).0));
        let troubles = Arc::new(Troubles::new(Subject { fleet, dials: Arc::new(Dials::new()) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(serve(listener, troubles));

        let body = r#"{"fault": "disk-full"}"#;
        let head = format!(
            "POST /faults HTTP/1.1\r\nhost: demo\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.write_all((head + body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 422 ") && answer.contains("on real servers"), "{answer}");
    }
}

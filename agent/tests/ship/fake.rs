//! CloudWatch's `PutMetricData` as the SDK speaks it, Smithy RPC v2 in CBOR, with every documented limit
//! enforced. It can be told to throttle, fail, refuse credentials, or take data and lose the answer.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ciborium::Value;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Taken, if all limits are kept.
    Well,
    /// Told to come back.
    Throttling,
    /// The service's own fault.
    Faulty,
    /// The token expired.
    Expired,
    /// No permission.
    Denying,
    /// Taken, and then the connection is closed without an answer.
    LosingAnswers,
    /// Closed before anything is read.
    Gone,
    /// Taken, and never answered.
    Silent,
}

/// A datum that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) namespace: String,
    pub(crate) metric: String,
    pub(crate) dimensions: Vec<(String, String)>,
    pub(crate) unix_s: u64,
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    /// Requests that hold this word in a dimension are refused.
    hated: Option<String>,
    now: u64,
    taken: Vec<Taken>,
    refusals: Vec<String>,
    requests: usize,
}

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl Fake {
    /// Starts on a free port. `now` is its clock, by which it tells whether data is too old.
    pub(crate) async fn start(now: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { mood: Mood::Well, hated: None, now, taken: Vec::new(), refusals: Vec::new(), requests: 0 };
        let fake = Self { state: Arc::new(Mutex::new(state)), address };
        let service = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                if service.mood() == Mood::Gone {
                    continue;
                }
                tokio::spawn(async move {
                    let answer = service_fn(|request| service.clone().answer(request));
                    // A lost answer is an error here, and meant to be.
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn mood(&self) -> Mood {
        self.state.lock().unwrap().mood
    }

    pub(crate) fn turn(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub(crate) fn hate(&self, word: &str) {
        self.state.lock().unwrap().hated = Some(word.to_owned());
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    /// What was refused for breaking a limit, in words.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.state.lock().unwrap().refusals.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, String> {
        assert!(request.uri().path().ends_with("/operation/PutMetricData"), "{}", request.uri());
        assert_eq!(request.headers()["smithy-protocol"], "rpc-v2-cbor");
        assert!(request.headers().contains_key("authorization"), "it is signed");
        let is_compressed = request.headers().get("content-encoding").is_some_and(|it| it == "gzip");
        let body = request.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        let body = if is_compressed { inflate(&body) } else { body.to_vec() };
        let answer = self.judge(&body);
        if answer.is_ok() && self.mood() == Mood::Silent {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn judge(&self, body: &[u8]) -> Result<Response<Full<Bytes>>, String> {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        let refused = |code, status| Ok::<_, String>(failure(code, status));
        match state.mood {
            Mood::Throttling => return refused("Throttling", StatusCode::BAD_REQUEST),
            Mood::Faulty => return refused("InternalServiceFault", StatusCode::INTERNAL_SERVER_ERROR),
            Mood::Expired => return refused("ExpiredToken", StatusCode::FORBIDDEN),
            Mood::Denying => return refused("AccessDenied", StatusCode::FORBIDDEN),
            Mood::Gone => return Err("gone".to_owned()),
            Mood::Well | Mood::LosingAnswers | Mood::Silent => {}
        }
        match read(body, state.now) {
            Ok(taken) if taken.iter().any(|datum| is_hated(datum, state.hated.as_deref())) => {
                refused("InvalidParameterValue", StatusCode::BAD_REQUEST)
            }
            Ok(taken) => {
                state.taken.extend(taken);
                if state.mood == Mood::LosingAnswers {
                    return Err("the answer is lost".to_owned());
                }
                Ok(cbor(StatusCode::OK, &Value::Map(Vec::new())))
            }
            Err(why) => {
                state.refusals.push(why);
                refused("InvalidParameterValue", StatusCode::BAD_REQUEST)
            }
        }
    }
}

fn is_hated(datum: &Taken, hated: Option<&str>) -> bool {
    hated.is_some_and(|hated| datum.dimensions.iter().any(|(_, value)| value == hated))
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut all).unwrap();
    all
}

fn cbor(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut body = Vec::new();
    ciborium::into_writer(value, &mut body).unwrap();
    Response::builder()
        .status(status)
        .header("smithy-protocol", "rpc-v2-cbor")
        .header("content-type", "application/cbor")
        .body(Full::new(body.into()))
        .unwrap()
}

fn failure(code: &str, status: StatusCode) -> Response<Full<Bytes>> {
    let text = |text: &str| Value::Text(text.to_owned());
    let body = Value::Map(vec![
        (text("__type"), text(&format!("com.amazonaws.cloudwatch#{code}"))),
        (text("message"), text("as the test wants it")),
    ]);
    let mut response = cbor(status, &body);
    let code = format!("{code};Sender").parse().unwrap();
    response.headers_mut().insert("x-amzn-query-error", code);
    response
}

type Checked<T> = Result<T, String>;

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(members) = value else { return None };
    members.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn text(value: &Value, name: &str) -> Checked<String> {
    member(value, name).and_then(Value::as_text).map(str::to_owned).ok_or_else(|| format!("no {name}"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    member(value, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Checked<f64> {
    let number = match value {
        Value::Float(number) => *number,
        Value::Integer(number) => i128::from(*number) as f64,
        Value::Tag(_, inner) => number(inner)?,
        other => return Err(format!("{other:?} is no number")),
    };
    if number.is_finite() && number.abs() <= 2_f64.powi(360) { Ok(number) } else { Err(format!("{number}")) }
}

fn figure(value: &Value, name: &str) -> Checked<f64> {
    number(member(value, name).ok_or_else(|| format!("no {name}"))?)
}

/// Reads a request and holds it against every limit.
fn read(body: &[u8], now: u64) -> Checked<Vec<Taken>> {
    let all: Value = ciborium::from_reader(body).map_err(|error| error.to_string())?;
    let namespace = text(&all, "Namespace")?;
    let datums = list(&all, "MetricData");
    for (is_broken, limit) in [
        (body.len() > 1_000_000, "more than 1 MB"),
        (datums.is_empty(), "no datums"),
        (datums.len() > 1000, "more than 1,000 datums"),
        (namespace.starts_with("AWS/") || namespace.starts_with(':') || namespace.len() > 255, "namespace"),
    ] {
        if is_broken {
            return Err(format!("{limit}: {} bytes, {} datums", body.len(), datums.len()));
        }
    }
    datums.iter().map(|datum| datum_of(datum, &namespace, now)).collect()
}

fn datum_of(datum: &Value, namespace: &str, now: u64) -> Checked<Taken> {
    let metric = text(datum, "MetricName")?;
    let unix_s = figure(datum, "Timestamp")? as u64;
    let dimensions = list(datum, "Dimensions");
    let dimensions: Vec<(String, String)> =
        dimensions.iter().map(|it| Ok((text(it, "Name")?, text(it, "Value")?))).collect::<Checked<_>>()?;
    let is_value = |value: &String| {
        !value.trim().is_empty()
            && value.len() <= 1024
            && !value.starts_with(':')
            && value.chars().all(|c| (' '..='~').contains(&c))
    };
    let units = ["Count", "Milliseconds", "Seconds", "Percent", "None"];
    for (is_broken, limit) in [
        (metric.is_empty() || metric.len() > 255, "metric name"),
        (dimensions.len() > 30, "more than 30 dimensions"),
        (!dimensions.iter().all(|(name, value)| is_value(name) && is_value(value)), "dimension"),
        (unix_s + 14 * 86_400 < now, "older than two weeks"),
        (unix_s > now + 2 * 3_600, "more than two hours ahead"),
        (!units.contains(&&*text(datum, "Unit")?), "unit"),
        (![1.0, 60.0].contains(&figure(datum, "StorageResolution")?), "resolution"),
    ] {
        if is_broken {
            return Err(format!("{limit}: {metric} at {unix_s}"));
        }
    }
    let (count, sum, min, max) = figures(datum)?;
    Ok(Taken { namespace: namespace.to_owned(), metric, dimensions, unix_s, count, sum, min, max })
}

/// Count, sum, least and greatest, as CloudWatch computes them.
fn figures(datum: &Value) -> Checked<(f64, f64, f64, f64)> {
    let kinds = ["Value", "Values", "StatisticValues"];
    if kinds.iter().filter(|kind| member(datum, kind).is_some()).count() != 1 {
        return Err(format!("not one of {kinds:?}"));
    }
    if let Some(value) = member(datum, "Value") {
        let value = number(value)?;
        return Ok((1.0, value, value, value));
    }
    if let Some(set) = member(datum, "StatisticValues") {
        return Ok((
            figure(set, "SampleCount")?,
            figure(set, "Sum")?,
            figure(set, "Minimum")?,
            figure(set, "Maximum")?,
        ));
    }
    let numbers = |name| list(datum, name).iter().map(number).collect::<Checked<Vec<f64>>>();
    let (values, counts) = (numbers("Values")?, numbers("Counts")?);
    if values.is_empty() || values.len() > 150 || counts.len() != values.len() {
        return Err(format!("{} values, {} counts", values.len(), counts.len()));
    }
    let sum = values.iter().zip(&counts).map(|(value, count)| value * count).sum();
    let (min, max) = (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max));
    Ok((counts.iter().sum(), sum, min, max))
}

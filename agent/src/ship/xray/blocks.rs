//! The parts of a segment that X-Ray knows: the HTTP request, the statement, and what AWS it ran on or asked.

use std::borrow::Cow;

use serde::Serialize;
use tiertop_core::text::{statement_summary, statement_without_literals};

use super::cause::{cut, http_status};
use super::names::{host, is_aws_api};
use super::otlp::{Attributes, Span};

/// Longest URL and statement, in bytes.
const URL_BYTES: usize = 1_000;
const STATEMENT_BYTES: usize = 4_000;
const TEXT_BYTES: usize = 500;

/// Attributes that the blocks tell; they are not told again as metadata. The raw statement may hold what
/// nobody should see, and the URL a password.
pub(super) const TOLD: [&str; 26] = [
    "http.request.method",
    "http.method",
    "http.response.status_code",
    "http.status_code",
    "http.url",
    "http.target",
    "http.scheme",
    "http.host",
    "http.user_agent",
    "http.client_ip",
    "user_agent.original",
    "client.address",
    "url.full",
    "url.scheme",
    "url.path",
    "url.query",
    "db.query.text",
    "db.statement",
    "db.connection_string",
    "db.user",
    "aws.region",
    "aws.request_id",
    "aws.requestId",
    "aws.sqs.queue.url",
    "aws.queue.url",
    "rpc.method",
];

#[derive(Debug, Serialize)]
pub(super) struct Http<'a> {
    #[serde(skip_serializing_if = "Request::is_empty")]
    request: Request<'a>,
    #[serde(skip_serializing_if = "Response::is_empty")]
    response: Response,
}

#[derive(Debug, Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    x_forwarded_for: bool,
}

impl Request<'_> {
    fn is_empty(&self) -> bool {
        self.method.is_none() && self.url.is_none() && self.user_agent.is_none() && self.client_ip.is_none()
    }
}

#[derive(Debug, Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_length: Option<i64>,
}

impl Response {
    fn is_empty(&self) -> bool {
        self.status.is_none() && self.content_length.is_none()
    }
}

/// The HTTP request that a span took or made, if it did.
pub(super) fn http<'a>(span: &Span<'a>) -> Option<Http<'a>> {
    let at = &span.attributes;
    let is_ip = |text: &Cow<'a, str>| text.parse::<std::net::IpAddr>().is_ok();
    let method = at.text(&["http.request.method", "http.method"]);
    let status = http_status(at);
    if method.is_none() && status.is_none() {
        return None;
    }
    let forwarded = at.text(&["client.address", "http.client_ip"]).filter(is_ip);
    let peer = at.text(&["network.peer.address", "net.sock.peer.addr", "net.peer.ip"]).filter(is_ip);
    let client_ip = if span.is_call() { None } else { forwarded.clone().or_else(|| peer.clone()) };
    let request = Request {
        method: method.map(|method| cut(method, 50)),
        url: url(at).map(|url| cut(url, URL_BYTES)),
        user_agent: at.text(&["user_agent.original", "http.user_agent"]).map(|agent| cut(agent, TEXT_BYTES)),
        x_forwarded_for: client_ip.is_some() && forwarded.is_some() && forwarded != peer && peer.is_some(),
        client_ip,
    };
    let length = ["http.response.body.size", "http.response_content_length"];
    Some(Http { request, response: Response { status, content_length: at.integer(&length) } })
}

/// The URL, put together from its parts where it was not sent whole, without name and password.
fn url<'a>(at: &Attributes<'a>) -> Option<Cow<'a, str>> {
    if let Some(full) = at.text(&["url.full", "http.url"]) {
        return Some(without_user(full));
    }
    let path = at.text(&["url.path", "http.target"])?;
    let Some(host) = at.text(&["http.host"]).or_else(|| host(at)) else { return Some(path) };
    let scheme = at.text(&["url.scheme", "http.scheme"]).unwrap_or(Cow::Borrowed("http"));
    let port = at.integer(&["server.port", "net.host.port", "net.peer.port"]);
    let is_usual = matches!((&*scheme, port), (_, None) | ("http", Some(80)) | ("https", Some(443)));
    let port = port.filter(|_| !is_usual && !host.contains(':')).map(|port| format!(":{port}")).unwrap_or_default();
    let query = at.text(&["url.query"]).map(|query| format!("?{query}")).unwrap_or_default();
    Some(Cow::Owned(format!("{scheme}://{host}{port}{path}{query}")))
}

fn without_user(url: Cow<'_, str>) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{scheme}://{host}{}", &rest[end..])),
        None => url,
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Sql<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sanitized_query: Option<String>,
    database_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
}

/// The statement that a span had a database carry out, without the values in it.
pub(super) fn sql<'a>(at: &Attributes<'a>) -> Option<Sql<'a>> {
    let system = at.text(&["db.system.name", "db.system"])?;
    let text = at.text(&["db.query.text", "db.statement"]);
    let namespace = at.text(&["db.namespace", "db.name"]).unwrap_or_default();
    let url = host(at).map(|host| {
        let port = at.integer(&["server.port", "net.peer.port"]).map(|port| format!(":{port}")).unwrap_or_default();
        format!("{system}://{}{port}/{}", cut(host, TEXT_BYTES), cut(namespace, TEXT_BYTES))
    });
    let sanitized_query = text.map(|text| sanitised(&system, &text));
    let user = at.text(&["db.user"]).map(|user| cut(user, TEXT_BYTES));
    Some(Sql { url, sanitized_query, database_type: cut(system, TEXT_BYTES), user })
}

/// SQL without literals; of other languages, whose statements are data in large part, the verb and what it is
/// about.
fn sanitised(system: &str, text: &str) -> String {
    const OTHERS: [&str; 14] = [
        "redis",
        "valkey",
        "memcached",
        "keydb",
        "dragonfly",
        "mongodb",
        "elasticsearch",
        "opensearch",
        "neo4j",
        "couchdb",
        "influxdb",
        "dynamodb",
        "aws.dynamodb",
        "cosmosdb",
    ];
    if !OTHERS.contains(&system) && !text.trim_start().starts_with(['{', '[']) {
        return statement_without_literals(system, tiertop_core::text::cut(text, STATEMENT_BYTES));
    }
    let summary = statement_summary(system, text);
    let words = [summary.operation, summary.collection];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Aws<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    ec2: Named<'a>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    ecs: Named<'a>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    eks: Named<'a>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    xray: Named<'a>,
}

/// A few texts by name.
#[derive(Debug, Default)]
struct Named<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl Named<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Named<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text)))
    }
}

fn named<'a>(at: &Attributes<'a>, names: &[(&'static str, &[&str])]) -> Named<'a> {
    let known = names.iter().filter_map(|(name, keys)| Some((*name, cut(at.text(keys)?, TEXT_BYTES))));
    Named(known.collect())
}

/// What a call asked of AWS.
pub(super) fn aws_call<'a>(at: &Attributes<'a>) -> Option<Aws<'a>> {
    let text = |keys: &[&str]| at.text(keys).map(|text| cut(text, TEXT_BYTES));
    let is_known = is_aws_api(at)
        || ["aws.s3.bucket", "aws.sqs.queue.url", "aws.queue.url"].iter().any(|key| at.get(key).is_some());
    is_known.then(|| Aws {
        operation: text(&["rpc.method", "aws.operation"]),
        region: text(&["aws.region", "cloud.region"]),
        request_id: text(&["aws.request_id", "aws.requestId"]),
        queue_url: text(&["aws.sqs.queue.url", "aws.queue.url", "aws.queue_url"]),
        table_name: at.texts("aws.dynamodb.table_names").into_iter().next().map(|name| cut(name, TEXT_BYTES)),
        bucket_name: text(&["aws.s3.bucket"]),
        ..Aws::default()
    })
}

/// What of AWS a service runs on, and what it is instrumented with.
pub(super) fn aws_host<'a>(resource: &Attributes<'a>) -> Option<Aws<'a>> {
    let is_on_aws = resource.text(&["cloud.provider"]).is_some_and(|provider| provider == "aws");
    let on_aws = |names: &[(&'static str, &[&str])]| if is_on_aws { named(resource, names) } else { Named::default() };
    let platform = resource.text(&["cloud.platform"]).unwrap_or_default();
    let aws = Aws {
        account_id: resource.text(&["cloud.account.id"]).filter(|_| is_on_aws).map(|id| cut(id, TEXT_BYTES)),
        ec2: on_aws(&[
            ("availability_zone", &["cloud.availability_zone"]),
            ("instance_id", if platform.ends_with("ec2") { &["host.id"] } else { &[] }),
            ("instance_size", &["host.type"]),
            ("ami_id", &["host.image.id"]),
        ]),
        ecs: on_aws(&[
            ("container_arn", &["aws.ecs.container.arn"]),
            ("cluster_arn", &["aws.ecs.cluster.arn"]),
            ("task_arn", &["aws.ecs.task.arn"]),
            ("task_family", &["aws.ecs.task.family"]),
            ("launch_type", &["aws.ecs.launchtype"]),
        ]),
        eks: on_aws(&[
            ("cluster_name", &["k8s.cluster.name"]),
            ("pod", &["k8s.pod.name"]),
            ("container_id", if platform.ends_with("eks") { &["container.id"] } else { &[] }),
        ]),
        xray: named(resource, &[("sdk", &["telemetry.sdk.name"]), ("sdk_version", &["telemetry.sdk.version"])]),
        ..Aws::default()
    };
    (!aws.xray.is_empty() || is_on_aws).then_some(aws)
}

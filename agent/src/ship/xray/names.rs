//! What a span is called in the service map, so that a database, cache, queue or bucket is one node.
//!
//! A segment is called by its service. A call is called by whom it calls, never by the statement or the path,
//! by the first of these that is known, each by its current attribute and then by its older ones:
//! 1. `aws.remote.service`, `service.peer.name`, `peer.service`: somebody said so;
//! 2. a bucket, by its name;
//! 3. a queue or topic, by its destination, or the template of it;
//! 4. a service of AWS, by `rpc.service`, such as `DynamoDB`;
//! 5. a database, as `namespace@address`; where the namespace is a number, as those of Redis are, the
//!    system stands for it;
//! 6. the callee of an RPC, by its service;
//! 7. the host;
//! 8. the span's name.

use std::borrow::Cow;

use tiertop_core::observation::SpanKind;

use super::otlp::{Attributes, Span};

/// Longest name, in characters.
const NAME_CHARACTERS: usize = 200;

/// The name and the namespace of a call.
#[derive(Debug, PartialEq)]
pub(super) struct Called<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) namespace: Option<&'static str>,
}

/// What a service is called.
pub(super) fn service<'a>(resource: &Attributes<'a>, span: Option<&Span<'a>>) -> Cow<'a, str> {
    let local = span.and_then(|span| span.attributes.text(&["aws.local.service"]));
    let name = local.or_else(|| resource.text(&["service.name"]));
    cleaned(name.unwrap_or(Cow::Borrowed("unknown_service")))
}

/// What a subsegment is called: whom it calls, or for work inside the span's name.
pub(super) fn called<'a>(span: &Span<'a>) -> Called<'a> {
    if !span.is_call() {
        return Called { name: cleaned(span.name.clone()), namespace: None };
    }
    let at = &span.attributes;
    let is_aws = is_aws_api(at);
    let name = at
        .text(&["aws.remote.service", "service.peer.name", "peer.service"])
        .or_else(|| at.text(&["aws.s3.bucket"]))
        .or_else(|| destination(at))
        .or_else(|| is_aws.then(|| at.text(&["rpc.service", "aws.service"])).flatten())
        .or_else(|| is_aws.then(|| at.text(&["rpc.method"])).flatten().and_then(|method| service_of_method(&method)))
        .or_else(|| database(at))
        .or_else(|| at.text(&["rpc.service"]))
        .or_else(|| at.text(&["rpc.method"]).and_then(|method| service_of_method(&method)))
        .or_else(|| host(at))
        .unwrap_or_else(|| span.name.clone());
    let namespace = if is_aws { "aws" } else { "remote" };
    Called { name: cleaned(name), namespace: Some(namespace) }
}

/// Whether a call is one of AWS's API.
pub(super) fn is_aws_api(at: &Attributes<'_>) -> bool {
    let system = at.text(&["rpc.system.name", "rpc.system"]);
    system.is_some_and(|system| system == "aws-api") || at.get("aws.service").is_some()
}

fn destination<'a>(at: &Attributes<'a>) -> Option<Cow<'a, str>> {
    let system = at.text(&["messaging.system"])?;
    let name = at.text(&["messaging.destination.template", "messaging.destination.name", "messaging.destination"]);
    // Names that are made up for one client would be a node each.
    let is_passing = ["messaging.destination.temporary", "messaging.destination.anonymous"]
        .iter()
        .any(|key| at.get(key) == Some(super::otlp::Any::Flag(true)));
    name.filter(|_| !is_passing).or(Some(system))
}

fn database<'a>(at: &Attributes<'a>) -> Option<Cow<'a, str>> {
    let system = at.text(&["db.system.name", "db.system"])?;
    let namespace = at.text(&["db.namespace", "db.name"]);
    let named = namespace.filter(|name| name.parse::<u32>().is_err()).unwrap_or(system);
    Some(match host(at) {
        Some(host) => Cow::Owned(format!("{named}@{host}")),
        None => named,
    })
}

/// The host that is called, without the port.
pub(super) fn host<'a>(at: &Attributes<'a>) -> Option<Cow<'a, str>> {
    let said = at.text(&["server.address", "net.peer.name", "http.host", "network.peer.address", "net.peer.ip"]);
    let host = said.or_else(|| at.text(&["url.full", "http.url"]).and_then(|url| host_of_url(&url)))?;
    match host.rsplit_once(':') {
        // An address of IP version 6 has more than one colon.
        Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => Some(Cow::Owned(name.to_owned())),
        _ => Some(host),
    }
}

fn host_of_url(url: &str) -> Option<Cow<'static, str>> {
    let (_, after) = url.split_once("://")?;
    let authority = after.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then(|| Cow::Owned(host.to_owned()))
}

/// `package.Service/Method` without the method.
fn service_of_method(method: &str) -> Option<Cow<'static, str>> {
    let (service, _) = method.rsplit_once('/')?;
    (!service.is_empty()).then(|| Cow::Owned(service.to_owned()))
}

/// Letters, digits, blanks and `_ . : / % & # = + - @` are kept, at most 200 of them.
fn cleaned(name: Cow<'_, str>) -> Cow<'_, str> {
    let is_fine = |c: char| {
        c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '/' | '%' | '&' | '#' | '=' | '+' | '-' | '@')
    };
    if !name.is_empty() && name.len() <= NAME_CHARACTERS && name.chars().all(is_fine) {
        return name;
    }
    let kept: String = name.chars().filter(|c| is_fine(*c)).take(NAME_CHARACTERS).collect();
    Cow::Owned(if kept.trim().is_empty() { "span".to_owned() } else { kept })
}

/// Where a service runs, in X-Ray's words.
pub(super) fn origin(resource: &Attributes<'_>) -> Option<&'static str> {
    let platform = resource.text(&["cloud.platform"])?;
    let launched = resource.text(&["aws.ecs.launchtype"]).unwrap_or_default();
    Some(match &*platform {
        "aws_ec2" | "aws.ec2" => "AWS::EC2::Instance",
        "aws_ecs" | "aws.ecs" if launched.eq_ignore_ascii_case("ec2") => "AWS::ECS::EC2",
        "aws_ecs" | "aws.ecs" if launched.eq_ignore_ascii_case("fargate") => "AWS::ECS::Fargate",
        "aws_ecs" | "aws.ecs" => "AWS::ECS::Container",
        "aws_eks" | "aws.eks" => "AWS::EKS::Container",
        "aws_elastic_beanstalk" | "aws.elastic_beanstalk" => "AWS::ElasticBeanstalk::Environment",
        "aws_app_runner" | "aws.app_runner" => "AWS::AppRunner::Service",
        "aws_lambda" | "aws.lambda" => "AWS::Lambda::Function",
        _ => return None,
    })
}

/// Whether a span is a segment, the part of a trace that one service did: a request or message that it took,
/// or a root.
pub(super) fn is_segment(span: &Span<'_>) -> bool {
    matches!(span.kind, SpanKind::Server | SpanKind::Consumer) || !span.parent.is_some()
}

//! Resources: who sent something, and which server a receiver watches.

use std::hash::{BuildHasher, Hash, Hasher};

use tiertop_core::engine::naming::pod_stem;
use tiertop_core::observation::{AttributeValue, Resource};

use super::attributes::{Scalar, kept, split_key_value};
use super::fingerprint::HASHING;
use crate::wire::{Fields, Malformed, text};

/// Most attributes kept of a resource, beyond those with a field of their own.
const KEPT_ATTRIBUTES: usize = 32;

/// Whom a resource is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Who sends spans works itself: if it says no name, what runs it names it.
    OfSpans,
    /// Who sends metrics may watch another.
    OfMetrics,
}

/// Index of the resource in `resources`, where it is put unless an equal one is there.
///
/// `message` holds the `ResourceSpans` or `ResourceMetrics`: its field 1 is the resource, which
/// may come after what it describes.
pub(super) fn intern(message: &[u8], sender: Sender, resources: &mut Vec<Resource>) -> Result<u32, Malformed> {
    let resource = read(message, sender)?;
    let place = resources.iter().position(|known| known.fingerprint == resource.fingerprint);
    Ok(place.unwrap_or_else(|| {
        resources.push(resource);
        resources.len() - 1
    }) as u32)
}

/// The parts an instance is named by when nobody gives it an id.
#[derive(Default)]
struct Host {
    name: Option<Box<str>>,
    process: Option<Box<str>>,
    pod: Option<Box<str>>,
    /// What it is a part of, and the place of that in [`NAMED_BY`].
    workload: Option<(usize, Box<str>)>,
}

/// What a service is called that says no name: the first of these that is there, as the semantic conventions
/// for Kubernetes have it.
const NAMED_BY: [&[u8]; 5] =
    [b"k8s.deployment.name", b"k8s.statefulset.name", b"k8s.daemonset.name", b"k8s.cronjob.name", b"k8s.job.name"];

/// What SDKs call a service that nobody named.
const UNKNOWN: &str = "unknown_service";

fn read(message: &[u8], sender: Sender) -> Result<Resource, Malformed> {
    let mut resource = Resource::default();
    let mut host = Host::default();
    let mut environment_old = None;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        if field.number != 1 {
            continue;
        }
        let mut attributes = Fields::new(field.bytes()?);
        while let Some(attribute) = attributes.next()? {
            if attribute.number == 1 {
                let (key, value) = split_key_value(attribute.bytes()?)?;
                if let Some(scalar) = Scalar::read(value) {
                    put(&mut resource, &mut host, &mut environment_old, key, scalar);
                }
            }
        }
    }
    resource.environment = resource.environment.take().or(environment_old);
    let is_unnamed = resource.service_name.is_empty() || resource.service_name.starts_with(UNKNOWN);
    if is_unnamed && sender == Sender::OfSpans {
        let of_pod = || host.pod.as_deref().map(|pod| pod_stem(pod).unwrap_or(pod).into());
        if let Some(name) = host.workload.take().map(|(_, name)| name).or_else(of_pod) {
            resource.service_name = name;
        }
    }
    resource.instance = resource.instance.take().or_else(|| match (host.name, host.process) {
        (Some(name), Some(process)) => Some(format!("{name}/{process}").into()),
        (Some(name), None) => Some(name),
        (None, _) => host.pod,
    });
    resource.attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    resource.attributes.dedup_by(|(a, _), (b, _)| a == b);
    resource.attributes.truncate(KEPT_ATTRIBUTES);
    resource.fingerprint = fingerprint(&resource);
    Ok(resource)
}

fn put(
    resource: &mut Resource,
    host: &mut Host,
    environment_old: &mut Option<Box<str>>,
    key: &[u8],
    scalar: Scalar<'_>,
) {
    let words = || scalar.to_text().map(|text| kept(&text));
    match key {
        b"service.name" => resource.service_name = words().unwrap_or_default(),
        b"service.namespace" => resource.service_namespace = words(),
        b"service.instance.id" => resource.instance = words(),
        b"service.version" => resource.version = words(),
        b"deployment.environment.name" => resource.environment = words(),
        b"deployment.environment" => *environment_old = words(),
        b"cloud.availability_zone" => resource.zone = words(),
        b"cloud.region" => resource.region = words(),
        b"telemetry.sdk.language" => resource.sdk_language = words(),
        b"tiertop.tier" => resource.tier = words(),
        b"process.pid" => host.process = words(),
        b"host.name" => host.name = words(),
        b"k8s.pod.name" => host.pod = words(),
        _ => {
            let rank = NAMED_BY.iter().position(|name| *name == key);
            let known = host.workload.as_ref().map_or(NAMED_BY.len(), |(rank, _)| *rank);
            if let Some(rank) = rank.filter(|rank| *rank < known) {
                host.workload = words().map(|name| (rank, name));
            }
        }
    }
    if says_which_server(key)
        && let Some(value) = scalar.to_kept()
    {
        resource.attributes.push((kept(&text(key)), value));
    }
}

/// Whether the attribute says which server a receiver watches, or where it runs.
fn says_which_server(key: &[u8]) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"server.address",
        b"server.port",
        b"mysql.instance.endpoint",
        b"proxy_name",
        b"service_name",
        b"host.name",
        b"container.id",
        b"aws.exporter.arn",
        b"kafka.cluster.alias",
        b"memcached.instance.endpoint",
        b"mongodb.server.address",
        b"nginx.instance.endpoint",
    ];
    const FAMILIES: [&[u8]; 7] =
        [b"redis.", b"rabbitmq.", b"postgresql.", b"k8s.", b"cloud.", b"haproxy.", b"elasticsearch."];
    NAMES.contains(&key) || FAMILIES.iter().any(|family| key.starts_with(family))
}

/// Whether an attribute of a resource is kept, so that a rule can speak of it.
pub(crate) fn keeps(attribute: &str) -> bool {
    const FIELDS: [&str; 6] = [
        "service.name",
        "service.namespace",
        "service.instance.id",
        "service.version",
        "deployment.environment.name",
        "telemetry.sdk.language",
    ];
    FIELDS.contains(&attribute) || says_which_server(attribute.as_bytes())
}

fn fingerprint(resource: &Resource) -> u64 {
    let Resource {
        fingerprint: _,
        service_name,
        service_namespace,
        instance,
        version,
        environment,
        zone,
        region,
        sdk_language,
        tier,
        attributes,
    } = resource;
    let mut hasher = HASHING.build_hasher();
    (service_name, service_namespace, instance, version, environment).hash(&mut hasher);
    (zone, region, sdk_language, tier, attributes.len()).hash(&mut hasher);
    for (key, value) in attributes {
        key.hash(&mut hasher);
        match value {
            AttributeValue::Text(text) => (0_u8, text).hash(&mut hasher),
            AttributeValue::Integer(number) => (1_u8, number).hash(&mut hasher),
            AttributeValue::Number(number) => (2_u8, number.to_bits()).hash(&mut hasher),
            AttributeValue::Flag(flag) => (3_u8, flag).hash(&mut hasher),
        }
    }
    hasher.finish()
}

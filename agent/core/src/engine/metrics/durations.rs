//! Histograms of durations: what a service says of its requests, and of its calls to others.
//!
//! Of a process that sends no spans they are all that is known: its calls then make peers and their
//! figures, and the diagnosis hears of both (see [`crate::diagnosis::live`]).

use super::{Growth, Metric, SeriesKey, Total};
use crate::catalogue::CATALOGUE;
use crate::classify::{self, Act, PeerClass, Subject};
use crate::diagnosis::live::Heard;
use crate::engine::Engine;
use crate::engine::members::{Facet, MemberId, Reported};
use crate::engine::naming::{Party, Side};
use crate::engine::processes::ProcessId;
use crate::observation::{AttributeValue, MessagingOperation, Point, SpanKind, SpanShape};
use crate::slots::Slot;
use crate::time::UnixNanos;

/// Requests of a peer's report that count as evidence of who answers there, at most.
const PAIRS_COUNTED: u64 = 5;

/// A point with its series and metric.
type Sent<'a> = (SeriesKey, &'a Metric, &'a Point);

/// What a histogram said of one interval.
struct Told {
    from: UnixNanos,
    to: UnixNanos,
    slot: Slot,
    quantile_error: Option<f64>,
}

impl Engine {
    /// A service's own histogram of how long its requests took.
    pub(super) fn take_duration(&mut self, sent: Sent<'_>, factor: f64, facet: Facet) {
        let (key, _, point) = sent;
        let Some(told) = self.told(sent, factor) else { return };
        let target = self.tables().entry(key.process, facet, "reported");
        let kind = if facet == Facet::Serves { SpanKind::Server } else { SpanKind::Consumer };
        let shape = shape(point, kind);
        let subject = if facet == Facet::Serves { Subject::Serve { store: None } } else { Subject::Process };
        let side = if facet == Facet::Serves { Side::Serves } else { Side::Processes };
        let who = self.service_party(key.process, side);
        self.hear(who, None, (classify::operation(&shape, &subject), None), key.process, &told);
        self.report(target.member, key.process, told);
    }

    /// A service's histogram of how long its calls to others took. Where spans show these calls, they count.
    pub(super) fn take_calls(&mut self, sent: Sent<'_>, factor: f64) {
        let (key, _, point) = sent;
        let Some(told) = self.told(sent, factor).filter(|_| self.processes.get(key.process).spans == 0) else { return };
        let shape = shape(point, SpanKind::Client);
        let subject = classify::subject(&shape);
        let operation = classify::operation(&shape, &subject);
        let Subject::Call { peer, act } = subject else { return };
        if !act.counts() {
            return;
        }
        let service = self.processes.service_of(key.process);
        let serves = service.serves.is_some() || service.processes.is_none();
        let caller = self.service_party(key.process, if serves { Side::Serves } else { Side::Processes });
        let whom = Party::peer(peer.clone());
        self.hear(whom, Some(caller), (operation, Some(act)), key.process, &told);
        let answers = self.answers(&peer.name, &peer.address).filter(|_| peer.class == PeerClass::Service);
        let member = self.tables().peer(peer);
        let evidence = &mut self.members.get_mut(member).evidence;
        let count = told.slot.count();
        evidence.calls += count as f32;
        match act {
            Act::Write => evidence.writes += (count - told.slot.errors.min(count)) as f32,
            Act::Read => evidence.reads += count as f32,
            _ => {}
        }
        if let Some(service) = answers {
            (0..count.min(PAIRS_COUNTED)).for_each(|_| evidence.pair(service));
        }
        self.report(member, key.process, told);
    }

    /// What a point adds; `None` if another metric tells of the same calls.
    fn told(&mut self, (key, metric, point): Sent<'_>, factor: f64) -> Option<Told> {
        let (limit, began) = (self.config.limits.series, self.started);
        let Growth { from, to, total } = self.metrics.growth(key, metric.kind, point, limit, began)?;
        // A service may send the old and the new metric for the same requests: the first listed counts.
        let family = |row: usize| CATALOGUE[row].name.split(".duration").next().map(family_of);
        let known = &mut self.processes.get_mut(key.process).duration_rows;
        if known.iter().any(|row| *row < key.row && family(*row) == family(key.row)) {
            return None;
        }
        if !known.contains(&key.row) {
            known.push(key.row);
        }
        let Total::Histogram(buckets) = total else { return None };
        let mut slot = Slot::default();
        // An interval without requests is a report as well, of a rate of zero.
        let quantile_error = if buckets.count == 0 { Some(0.0) } else { buckets.read_into(&mut slot.latency, factor) };
        if is_failure(&point.attributes) {
            slot.errors = buckets.count;
        }
        Some(Told { from, to, slot, quantile_error })
    }

    fn report(&mut self, member: MemberId, process: ProcessId, told: Told) {
        let member = self.members.get_mut(member);
        member.last_seen = self.now;
        let Told { from, to, slot, quantile_error } = told;
        let same = |report: &&mut Reported| report.process == process && report.to == to;
        if let Some(report) = member.reported.iter_mut().rev().find(same) {
            report.slot.merge(&slot);
            report.quantile_error = report.quantile_error.zip(quantile_error).map(|(one, other)| one.max(other));
        } else {
            member.reported.push_back(Reported { process, from, to, slot, quantile_error });
        }
    }

    /// Lets the diagnosis hear of it, unless the process sends spans, which say more.
    fn hear(
        &mut self,
        who: Party,
        asked_by: Option<Party>,
        (operation, act): (String, Option<Act>),
        process: ProcessId,
        told: &Told,
    ) {
        if self.processes.get(process).spans > 0 {
            return;
        }
        self.diagnosis.hear(&Heard {
            who,
            asked_by,
            operation: operation.into(),
            act,
            process: process.0,
            from: told.from,
            to: told.to.min(self.now),
            count: told.slot.count(),
            seconds: told.slot.latency.sum_seconds(),
            failed: told.slot.errors,
        });
    }

    fn service_party(&self, process: ProcessId, side: Side) -> Party {
        let service = self.processes.service_of(process);
        Party::Service { namespace: service.namespace.clone(), name: service.name.clone(), side }
    }

    /// The service that answers to a name or at a host: the one called so.
    fn answers(&self, name: &str, address: &str) -> Option<MemberId> {
        let host = address.split('.').next().unwrap_or_default();
        let is_it = |process: &ProcessId| [name, host].contains(&&*self.processes.service_of(*process).name);
        let found = self.processes.all().map(|(id, _)| id).find(is_it)?;
        self.processes.service_of(found).serves
    }
}

/// `http.server` of `http.server.request`: what old and new metrics for the same calls share.
fn family_of(name: &str) -> &str {
    let end = name.match_indices('.').nth(1).map_or(name.len(), |(place, _)| place);
    &name[..end]
}

/// A point's attributes as the span would say them.
fn shape(point: &Point, kind: SpanKind) -> SpanShape {
    let mut shape = SpanShape { kind, ..SpanShape::default() };
    for (key, value) in &point.attributes {
        let text = || value.as_text().map(Into::into);
        match &**key {
            "http.request.method" | "http.method" => shape.http_method = text(),
            "http.route" | "url.template" | "http.target" => shape.http_route = text(),
            "server.address" | "net.peer.name" => shape.peer_address = text(),
            "server.port" | "net.peer.port" => {
                shape.peer_port = value.as_integer().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
            }
            "peer.service" | "service.peer.name" => shape.peer_service = text(),
            "db.system.name" | "db.system" => shape.db_system = text(),
            "db.namespace" | "db.name" => shape.db_namespace = text(),
            "db.operation.name" | "db.operation" => {
                shape.db_operation = value.as_text().map(|text| text.to_ascii_uppercase().into());
            }
            "db.collection.name" | "db.sql.table" => shape.db_collection = text(),
            "rpc.system.name" | "rpc.system" => shape.rpc_system = text(),
            "rpc.service" => shape.rpc_service = text(),
            "rpc.method" => shape.rpc_method = text(),
            "messaging.system" => shape.messaging_system = text(),
            "messaging.destination.name" => shape.messaging_destination = text(),
            "messaging.operation.type" => {
                shape.messaging_operation = match value.as_text() {
                    Some("send" | "publish" | "create") => Some(MessagingOperation::Send),
                    Some("receive") => Some(MessagingOperation::Receive),
                    Some("settle") => Some(MessagingOperation::Settle),
                    _ => None,
                };
            }
            "aws.s3.bucket" => shape.s3_bucket = text(),
            _ => {}
        }
    }
    if shape.name.is_empty() {
        let method = shape.http_method.as_deref().or(shape.rpc_method.as_deref());
        shape.name = method.unwrap_or("calls").into();
    }
    shape
}

/// Whether calls with these attributes failed. A callee's 4xx is the caller's doing.
fn is_failure(attributes: &[(Box<str>, AttributeValue)]) -> bool {
    let is_http = attributes.iter().any(|(key, _)| key.starts_with("http."));
    attributes.iter().any(|(key, value)| match &**key {
        "http.response.status_code" | "http.status_code" => value.as_integer().is_some_and(|status| status >= 500),
        // Beside a status it repeats the status; else it names what went wrong.
        "error.type" => {
            let said = value.as_text().unwrap_or_default();
            said.parse::<u16>().map_or(!said.is_empty(), |status| status >= 500 || !is_http)
        }
        _ => false,
    })
}

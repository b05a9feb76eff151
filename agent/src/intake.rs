//! The bounded way from the receivers to the engine, and the counts of what did not take it.
//!
//! Room is reserved in bytes before a client is told "accepted", and given back when the engine is
//! done with the batch. So what was acknowledged is in the engine's counts, and what there is no
//! room for is refused while its sender can still keep it.
//!
//! What is charged, in turn:
//! 1. while a body arrives: its bytes, compressed ones and inflated ones;
//! 2. from decoding until the engine has handled the batch: an estimate of the batch's memory, and the body that
//!    it was read from, where bodies are kept.
//!
//! The queue itself is an unbounded channel: every batch in it holds room, so it cannot be longer
//! than the room there is.

mod counters;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use tiertop_core::observation::{AttributeValue, Batch, PointValue, SpanShape};
use tiertop_core::time::UnixNanos;

pub use counters::Counters;

/// The receivers' end: cheap to clone, one for each connection.
#[derive(Clone, Debug)]
pub struct Intake {
    gauge: Arc<Gauge>,
    queue: mpsc::Sender<Received>,
    counters: Arc<Counters>,
}

/// The engine's end.
#[derive(Debug)]
pub struct Outlet {
    queue: mpsc::Receiver<Received>,
}

/// There is no room. Tell the client to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent is full; try again in {} s", retry_after.as_secs())]
pub struct Full {
    /// When to come back: a few seconds, not the same for all.
    pub retry_after: Duration,
}

/// Reserved bytes, given back when dropped.
#[derive(Debug)]
pub struct Room {
    gauge: Arc<Gauge>,
    bytes: u64,
}

/// A batch that has been acknowledged. Its room is given back when this is dropped, so keep it
/// until the batch has been handled.
#[derive(Debug)]
pub struct Received {
    /// What was observed.
    pub batch: Batch,
    /// The request that it was read from, as protobuf, if somebody keeps those.
    pub body: Option<Bytes>,
    /// When it arrived, by this machine's clock.
    pub received_at: UnixNanos,
    /// The room it takes.
    pub room: Room,
}

/// How many bytes are reserved, and how many may be.
#[derive(Debug)]
struct Gauge {
    capacity: u64,
    reserved: AtomicU64,
    refusals: AtomicU64,
}

/// Makes both ends, with room for `capacity_bytes`.
pub fn intake(capacity_bytes: u64) -> (Intake, Outlet) {
    let (sender, receiver) = mpsc::channel();
    let gauge = Arc::new(Gauge { capacity: capacity_bytes, reserved: AtomicU64::new(0), refusals: AtomicU64::new(0) });
    let intake = Intake { gauge, queue: sender, counters: Arc::default() };
    (intake, Outlet { queue: receiver })
}

impl Intake {
    /// Reserves `bytes`, or says when to come back.
    pub fn reserve(&self, bytes: u64) -> Result<Room, Full> {
        let mut room = Room { gauge: Arc::clone(&self.gauge), bytes: 0 };
        room.resize(bytes)?;
        Ok(room)
    }

    /// Hands a batch to the engine, with the body that it was read from if that is kept; its room is made to fit
    /// what both take in memory. Once this returns `Ok`, the batch will be counted; only then may its sender be
    /// told so.
    pub fn deliver(
        &self,
        mut room: Room,
        (batch, body): (Batch, Option<Bytes>),
        received_at: UnixNanos,
    ) -> Result<(), Full> {
        room.resize(batch_bytes(&batch) + body.as_ref().map_or(0, Bytes::len) as u64)?;
        let gone = |_| Full { retry_after: self.gauge.retry_after() };
        self.queue.send(Received { batch, body, received_at, room }).map_err(gone)
    }

    /// What is refused is counted here.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Bytes reserved now, and how many may be.
    pub fn level(&self) -> (u64, u64) {
        (self.gauge.reserved.load(Ordering::Relaxed), self.gauge.capacity)
    }

    /// The counts for the engine's next tick.
    pub fn counts(&self) -> tiertop_core::snapshot::IngestCounts {
        let (queued_bytes, queue_capacity_bytes) = self.level();
        tiertop_core::snapshot::IngestCounts { queued_bytes, queue_capacity_bytes, ..self.counters.snapshot() }
    }
}

impl Outlet {
    /// The next batch, or `None` when none came within `patience` or every [`Intake`] is gone.
    pub fn recv_timeout(&self, patience: Duration) -> Option<Received> {
        self.queue.recv_timeout(patience).ok()
    }

    /// The next batch if one is waiting.
    pub fn try_recv(&self) -> Option<Received> {
        self.queue.try_recv().ok()
    }
}

impl Room {
    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves more, or gives some back. When there is no room for more, nothing changes.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Full> {
        if bytes <= self.bytes {
            self.gauge.reserved.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        } else {
            self.gauge.add(bytes - self.bytes)?;
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.gauge.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Gauge {
    fn add(&self, bytes: u64) -> Result<(), Full> {
        self.reserved
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |reserved| {
                reserved.checked_add(bytes).filter(|sum| *sum <= self.capacity)
            })
            .map(drop)
            .map_err(|_| Full { retry_after: self.retry_after() })
    }

    /// One to three seconds, in turn, so that clients refused together do not return together.
    fn retry_after(&self) -> Duration {
        Duration::from_secs(1 + self.refusals.fetch_add(1, Ordering::Relaxed) % 3)
    }
}

/// What an allocation costs beyond its bytes, about.
const ALLOCATION_BYTES: usize = 16;

/// What the own fields of a resource take: a dozen short texts.
const RESOURCE_TEXT_BYTES: usize = 512;

/// About how much memory a batch takes: its vectors, and the texts they own with the allocator's
/// share of each.
pub fn batch_bytes(batch: &Batch) -> u64 {
    let attributes = |attributes: &[(Box<str>, AttributeValue)]| -> usize {
        let own = |(key, value): &(Box<str>, AttributeValue)| {
            let text = value.as_text().map_or(0, |text| text.len() + ALLOCATION_BYTES);
            size_of::<(Box<str>, AttributeValue)>() + key.len() + ALLOCATION_BYTES + text
        };
        attributes.iter().map(own).sum()
    };
    let shapes: usize = batch.shapes.iter().map(|shape| size_of_val(shape) + shape_text_bytes(shape)).sum();
    let resources: usize = batch
        .resources
        .iter()
        .map(|resource| size_of_val(resource) + RESOURCE_TEXT_BYTES + attributes(&resource.attributes))
        .sum();
    let points: usize = batch
        .metrics
        .iter()
        .map(|metric| {
            let points = metric
                .points
                .iter()
                .map(|point| size_of_val(point) + attributes(&point.attributes) + value_bytes(&point.value));
            size_of_val(metric) + metric.name.len() + metric.unit.len() + points.sum::<usize>()
        })
        .sum();
    let spans = size_of_val(&batch.spans[..]) + size_of_val(&batch.links[..]);
    (size_of::<Batch>() + shapes + resources + points + spans) as u64
}

fn shape_text_bytes(shape: &SpanShape) -> usize {
    [
        &shape.scope,
        &shape.http_method,
        &shape.http_route,
        &shape.path_template,
        &shape.peer_address,
        &shape.peer_service,
        &shape.db_system,
        &shape.db_namespace,
        &shape.db_operation,
        &shape.db_collection,
        &shape.messaging_system,
        &shape.messaging_destination,
        &shape.rpc_system,
        &shape.rpc_service,
        &shape.rpc_method,
        &shape.s3_bucket,
        &shape.faas_trigger,
        &shape.error_type,
        &shape.tier,
        &shape.cache_status,
    ]
    .into_iter()
    .flatten()
    .map(|text| text.len() + ALLOCATION_BYTES)
    .sum::<usize>()
        + shape.name.len()
        + ALLOCATION_BYTES
}

fn value_bytes(value: &PointValue) -> usize {
    match value {
        PointValue::Missing | PointValue::Number(_) => 0,
        PointValue::Histogram { bounds, counts, .. } => (bounds.len() + counts.len()) * 8,
        PointValue::Exponential { counts, .. } => counts.len() * 8,
        PointValue::Summary { quantiles, .. } => quantiles.len() * 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1);

    #[test]
    fn room_is_taken_until_the_batch_is_handled() {
        let (intake, outlet) = intake(10_000);
        let room = intake.reserve(9_000).unwrap();
        assert_eq!(intake.reserve(1_001).unwrap_err().retry_after, Duration::from_secs(1));
        intake.deliver(room, (Batch::default(), None), NOW).unwrap();
        let charged = batch_bytes(&Batch::default());
        assert_eq!(intake.level(), (charged, 10_000));
        let received = outlet.try_recv().unwrap();
        assert_eq!(intake.level().0, charged);
        drop(received);
        assert_eq!(intake.level().0, 0);
    }

    #[test]
    fn a_batch_that_outgrows_its_room_is_refused_and_leaves_none_taken() {
        let (intake, outlet) = intake(1_000);
        let room = intake.reserve(10).unwrap();
        let batch = Batch { resources: vec![tiertop_core::observation::Resource::default(); 100], ..Batch::default() };
        assert!(intake.deliver(room, (batch, None), NOW).is_err());
        assert_eq!(intake.level().0, 0);
        assert!(outlet.try_recv().is_none());
    }

    #[test]
    fn an_engine_that_is_gone_takes_nothing() {
        let (intake, outlet) = intake(10_000);
        drop(outlet);
        let room = intake.reserve(10).unwrap();
        assert!(intake.deliver(room, (Batch::default(), None), NOW).is_err());
        assert_eq!(intake.level().0, 0);
    }

    #[test]
    fn those_refused_together_are_told_to_come_back_apart() {
        let (intake, _outlet) = intake(0);
        let mut delays: Vec<_> = (0..3).map(|_| intake.reserve(1).unwrap_err().retry_after.as_secs()).collect();
        delays.sort_unstable();
        assert_eq!(delays, [1, 2, 3]);
        assert!(intake.reserve(u64::MAX).is_err());
    }
}

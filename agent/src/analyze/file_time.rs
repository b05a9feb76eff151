//! An engine that lives in the time of a file.
//!
//! Every second of the file reaches the engine in its turn, just after it ended, whatever the order in
//! the file: batches that span more than a few seconds are cut by the second, and so many are held back
//! that files which are out of order come into it. Where nothing happened for long, time jumps.

use std::collections::BTreeMap;

use tiertop_core::config::Config;
use tiertop_core::diagnosis::Signals;
use tiertop_core::engine::Engine;
use tiertop_core::engine::naming::{Party, TierName};
use tiertop_core::observation::{Batch, Metric};
use tiertop_core::snapshot::{IncidentView, IngestCounts, Snapshot, StallView};
use tiertop_core::time::{NANOS_PER_SECOND, UnixNanos, UnixSecond};

/// How long after its last second a batch arrives.
const DELAY_NANOS: u64 = 300_000_000;
/// A batch of more seconds than this is cut: less than what counts as late.
const TOGETHER_S: u64 = 5;
/// Spans and points that are held back until their turn. About 100 bytes each.
const HELD: usize = 2_000_000;
/// Seconds that pass at the end, and before a jump, so that roles are learned: what the engine takes
/// to be sure of an address with little traffic.
const SETTLING_S: u64 = 35;

/// Seconds after the last telemetry in which signals still speak of it.
const REPORTED_S: u64 = 2;

/// Stalls of one capture that are told, the first ones.
const MOST_STALLS: usize = 200;

/// Incidents of one capture that are told, the first ones.
const MOST_INCIDENTS: usize = 200;

/// What the engine said, second by second.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) signals: Signals,
    /// By their start.
    stalls: BTreeMap<u64, StallView>,
    /// By their number.
    incidents: BTreeMap<u64, IncidentView>,
}

impl Heard {
    /// The stalls that were named, in order of time.
    pub(super) fn stalls(&self) -> Vec<StallView> {
        self.stalls.values().cloned().collect()
    }

    /// The incidents that were opened.
    pub(super) fn incidents(&self) -> Vec<IncidentView> {
        self.incidents.values().cloned().collect()
    }

    /// What is said last of an incident counts: it knows its end.
    fn note_incidents(&mut self, snapshot: &Snapshot) {
        for incident in &snapshot.diagnosis.incidents {
            if self.incidents.len() < MOST_INCIDENTS || self.incidents.contains_key(&incident.id) {
                self.incidents.insert(incident.id, incident.clone());
            }
        }
    }

    /// Names may be learned late: what is said last of a stall counts.
    fn note_stalls(&mut self, snapshot: &Snapshot) {
        for stall in snapshot.stalls.iter().filter(|stall| !stall.ongoing) {
            if self.stalls.len() < MOST_STALLS || self.stalls.contains_key(&stall.start_unix_ms) {
                self.stalls.insert(stall.start_unix_ms, stall.clone());
            }
        }
    }
}

/// See the module's text.
pub(super) struct FileTime {
    config: Config,
    /// `None` before the first batch.
    engine: Option<(Engine, UnixNanos)>,
    held: BTreeMap<UnixSecond, Vec<Batch>>,
    held_items: usize,
    heard: Heard,
}

impl FileTime {
    pub(super) fn new(config: Config) -> Self {
        let heard = Heard { signals: Signals::judged_by(&config.thresholds), ..Heard::default() };
        Self { config, engine: None, held: BTreeMap::new(), held_items: 0, heard }
    }

    /// Takes in a batch of any time.
    pub(super) fn take(&mut self, batch: Batch) {
        self.held_items += items(&batch);
        match seconds(&batch) {
            None => {}
            Some((first, last)) if last.0 - first.0 <= TOGETHER_S => self.held.entry(last).or_default().push(batch),
            Some(_) => cut(&batch, &mut self.held),
        }
        while self.held_items > HELD {
            self.release();
        }
    }

    /// Lets all that is held pass, and tells what was learned: what parties are called, how signals went, and
    /// what stood still.
    pub(super) fn end(mut self) -> (BTreeMap<Party, TierName>, Heard) {
        while !self.held.is_empty() {
            self.release();
        }
        let Some((engine, now)) = &mut self.engine else { return (BTreeMap::new(), self.heard) };
        settle(engine, now, &mut self.heard);
        (engine.tier_names(), self.heard)
    }

    /// Gives the oldest second that is held to the engine.
    fn release(&mut self) {
        let Some((second, batches)) = self.held.pop_first() else { return };
        let arrival = second.plus(1).start().plus_nanos(DELAY_NANOS);
        let begin = || (Engine::new(self.config.clone(), arrival), arrival);
        let (engine, now) = self.engine.get_or_insert_with(begin);
        let ahead = arrival.nanos_since(*now) / NANOS_PER_SECOND;
        if ahead > 2 * SETTLING_S {
            settle(engine, now, &mut self.heard);
            *now = arrival;
        } else {
            pass(engine, now, ahead, &mut self.heard);
        }
        for batch in batches {
            self.held_items -= items(&batch);
            engine.handle(&batch, *now);
        }
    }
}

/// Lets the seconds pass that it takes to learn roles. What is worked out from silence is no signal.
fn settle(engine: &mut Engine, now: &mut UnixNanos, heard: &mut Heard) {
    pass(engine, now, REPORTED_S, heard);
    for _ in REPORTED_S..SETTLING_S {
        heard.note_stalls(&tick(engine, now));
    }
}

/// Lets seconds pass.
fn pass(engine: &mut Engine, now: &mut UnixNanos, seconds: u64, heard: &mut Heard) {
    for _ in 0..seconds {
        let snapshot = tick(engine, now);
        heard.signals.note(&snapshot);
        heard.note_stalls(&snapshot);
        heard.note_incidents(&snapshot);
    }
}

fn tick(engine: &mut Engine, now: &mut UnixNanos) -> Snapshot {
    *now = now.plus_nanos(NANOS_PER_SECOND);
    engine.tick(*now, &IngestCounts::default())
}

fn items(batch: &Batch) -> usize {
    batch.spans.len() + batch.metrics.iter().map(|metric| metric.points.len()).sum::<usize>()
}

/// The first and the last second that a batch tells of.
fn seconds(batch: &Batch) -> Option<(UnixSecond, UnixSecond)> {
    let spans = batch.spans.iter().map(|span| span.end);
    let points = batch.metrics.iter().flat_map(|metric| &metric.points).map(|point| point.time);
    let mut times = spans.chain(points).map(UnixNanos::second);
    let first = times.next()?;
    Some(times.fold((first, first), |(least, most), time| (least.min(time), most.max(time))))
}

/// Cuts a batch into one for each second.
fn cut(batch: &Batch, held: &mut BTreeMap<UnixSecond, Vec<Batch>>) {
    let mut pieces: BTreeMap<UnixSecond, Batch> = BTreeMap::new();
    let empty = || Batch { resources: batch.resources.clone(), shapes: batch.shapes.clone(), ..Batch::default() };
    for span in &batch.spans {
        let piece = pieces.entry(span.end.second()).or_insert_with(empty);
        let first = span.links_start as usize;
        let links = batch.links.get(first..first + usize::from(span.links_len)).unwrap_or_default();
        let links_start = piece.links.len() as u32;
        piece.links.extend_from_slice(links);
        piece.spans.push(tiertop_core::observation::Span { links_start, ..*span });
    }
    for metric in &batch.metrics {
        for point in &metric.points {
            let piece = pieces.entry(point.time.second()).or_insert_with(empty);
            piece.metrics.push(Metric { points: vec![point.clone()], ..heading(metric) });
        }
    }
    for (second, piece) in pieces {
        held.entry(second).or_default().push(piece);
    }
}

/// A metric without its points.
fn heading(metric: &Metric) -> Metric {
    Metric {
        resource: metric.resource,
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        kind: metric.kind,
        points: Vec::new(),
    }
}

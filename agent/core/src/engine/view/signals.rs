//! Signals as they are shown: reported ones, inferred ones, and what is unknown with what to switch on.

use super::Engine;
use super::place::Placed;
use super::rows::{Row, Rows};
use super::sampling::Sampled;
use crate::engine::signals::Track;
use crate::snapshot::{SignalKind, SignalView, TREND_SECONDS};
use crate::tier::TierKind;

impl Engine {
    pub(super) fn signal_views(&self, rows: &Rows, placed: &Placed, sampled: &Sampled) -> Vec<SignalView> {
        let mut views: Vec<SignalView> = placed
            .iter()
            .filter_map(|(key, member)| {
                let row = rows.of(*member)?;
                let (_, track) = self.signals.all().find(|(other, _)| *other == key)?;
                Some(self.view_of(key.kind, row, self.part_of(key, row), track, false))
            })
            .collect();
        for row in &rows.list {
            self.infer_for(row, sampled, &mut views);
        }
        for kind in SignalKind::HEADLINES {
            if !views.iter().any(|view| view.kind == kind) {
                views.push(unknown(kind, String::new(), nothing_of(kind)));
            }
        }
        let headline = |kind: SignalKind| SignalKind::HEADLINES.iter().position(|headline| *headline == kind);
        views.sort_by(|one, other| {
            let place = |view: &SignalView| headline(view.kind).unwrap_or(usize::MAX);
            (place(one), one.kind)
                .cmp(&(place(other), other.kind))
                .then_with(|| badness(other).total_cmp(&badness(one)))
                .then_with(|| (&one.tier, &one.part).cmp(&(&other.tier, &other.part)))
        });
        views
    }

    /// Names the part of a row that a signal is about, where the row has several.
    fn part_of(&self, key: &crate::engine::signals::SignalKey, row: &Row) -> String {
        if !key.part.is_empty() {
            return format!("{} {}", self.processes.get(key.subject.process).instance_name(), key.part);
        }
        match key.kind {
            SignalKind::CpuRatio | SignalKind::MemoryBytes | SignalKind::WorkersBusy | SignalKind::WorkersMax => {
                self.processes.get(key.subject.process).instance_name().to_owned()
            }
            _ if row.members.len() > 1 && !key.subject.address.is_empty() => {
                format!("{}:{}", key.subject.address, key.subject.port)
            }
            _ => String::new(),
        }
    }

    /// What spans show of a row's headlines, where no metric says them; else what to switch on.
    fn infer_for(&self, row: &Row, sampled: &Sampled, views: &mut Vec<SignalView>) {
        let headlines: &[(SignalKind, &str)] = match row.kind {
            TierKind::Cache => &[(SignalKind::CacheHitRatio, HITS_HINT)],
            TierKind::DbReplica => &[(SignalKind::ReplicaLagSeconds, LAG_HINT)],
            TierKind::Queue => &[(SignalKind::QueueDepth, QUEUE_HINT), (SignalKind::QueueOldestAgeSeconds, QUEUE_HINT)],
            _ => &[],
        };
        for &(kind, hint) in headlines {
            if views.iter().any(|view| view.kind == kind && view.tier == row.id) {
                continue;
            }
            // Of sampled sends and sampled completions the difference says nothing.
            if row.kind == TierKind::Queue && row.members.iter().any(|id| sampled.contains(id)) {
                views.push(unknown(kind, row.id.clone(), SAMPLED_QUEUE_HINT));
                continue;
            }
            let found = row.members.iter().find_map(|id| self.members.get(*id).inferred(kind));
            views.push(found.map_or_else(
                || unknown(kind, row.id.clone(), hint),
                |track| self.view_of(kind, row, String::new(), track, true),
            ));
        }
    }

    fn view_of(&self, kind: SignalKind, row: &Row, part: String, track: &Track, inferred: bool) -> SignalView {
        let age_s = track.age_s(self.now);
        let stale = age_s.is_some_and(|age| age > (3 * track.interval_s().max(5)) as f64);
        SignalView {
            kind,
            tier: row.id.clone(),
            part,
            value: track.value().filter(|_| !stale),
            inferred,
            source: track.source.to_owned(),
            slope_per_second: track.slope_per_second().filter(|_| !stale),
            age_s,
            trend: track.trend(self.now.second()),
            hint: stale.then(|| "reported no longer: see when its source was last heard of".to_owned()),
        }
    }
}

const HITS_HINT: &str = "send cache.hits and cache.misses, or run the collector's redis receiver";
const LAG_HINT: &str =
    "send db.replica.lag, or run the collector's postgresql or mysql receiver (postgresql.wal.delay)";
const QUEUE_HINT: &str = "send queue.depth and queue.oldest_message.age, or trace the consumers";

const SAMPLED_QUEUE_HINT: &str =
    "spans are sampled, so they cannot tell: send queue.depth and queue.oldest_message.age";

fn nothing_of(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::CacheHitRatio => "no cache was seen yet",
        SignalKind::ReplicaLagSeconds => "no replica was seen yet",
        _ => "no queue was seen yet",
    }
}

fn unknown(kind: SignalKind, tier: String, hint: &str) -> SignalView {
    SignalView {
        kind,
        tier,
        part: String::new(),
        value: None,
        inferred: false,
        source: String::new(),
        slope_per_second: None,
        age_s: None,
        trend: vec![None; TREND_SECONDS],
        hint: Some(hint.to_owned()),
    }
}

/// The greater, the worse: the order in which several signals of a kind are shown.
fn badness(view: &SignalView) -> f64 {
    let value = view.value.unwrap_or(f64::MIN);
    if view.kind == SignalKind::CacheHitRatio && view.value.is_some() { -value } else { value }
}

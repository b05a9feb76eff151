//! Versions of services, and when each was first seen: a new one is named beside an incident that began with it.

use crate::snapshot::Snapshot;

/// How long after a new version appeared it is named beside an incident.
const VERSION_MS: u64 = 120_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Versions {
    seen: Vec<(String, u64)>,
    first_ms: Option<u64>,
}

impl Versions {
    /// Takes note of the versions that a snapshot shows.
    pub(super) fn note(&mut self, snapshot: &Snapshot, now_ms: u64) {
        let first_ms = *self.first_ms.get_or_insert(now_ms);
        for tier in &snapshot.tiers {
            for version in tier.instances.iter().filter_map(|instance| instance.version.as_deref()) {
                let name = format!("{} {version}", tier.id);
                if self.seen.len() < 1_000 && !self.seen.iter().any(|(known, _)| *known == name) {
                    // What is there from the beginning is not new.
                    let at = if now_ms.saturating_sub(first_ms) < VERSION_MS / 4 { 0 } else { now_ms };
                    self.seen.push((name, at));
                }
            }
        }
    }

    /// Those that were new around a point in time.
    pub(super) fn around(&self, onset_ms: u64) -> Vec<String> {
        let near = self.seen.iter().filter(|(_, at)| *at > 0 && at.abs_diff(onset_ms) <= VERSION_MS);
        near.map(|(name, _)| name.clone()).collect()
    }
}

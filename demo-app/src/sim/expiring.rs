//! Entries that live for a while, the least recently used dropped first: what every cache keeps.

use std::collections::{BTreeMap, HashMap};

use crate::sim::clock::Time;

/// Entries by number, each with the size of its value.
#[derive(Debug, Default)]
pub(super) struct Expiring {
    capacity: usize,
    uses: u64,
    bytes: u64,
    by_key: HashMap<i64, Entry>,
    by_use: BTreeMap<u64, i64>,
}

#[derive(Debug)]
struct Entry {
    bytes: u64,
    expires: Time,
    used: u64,
}

/// What was found under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A value of so many bytes.
    Fresh(u64),
    /// One whose time is over.
    Expired,
    Nothing,
}

impl Expiring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Looks a key up; that counts as a use.
    pub(super) fn get(&mut self, key: i64, now: Time) -> Found {
        self.uses += 1;
        let Some(entry) = self.by_key.get_mut(&key) else { return Found::Nothing };
        if entry.expires <= now {
            return Found::Expired;
        }
        self.by_use.remove(&entry.used);
        entry.used = self.uses;
        self.by_use.insert(self.uses, key);
        Found::Fresh(entry.bytes)
    }

    /// Keeps a value, and returns how many others were dropped for it.
    pub(super) fn set(&mut self, key: i64, bytes: u64, expires: Time) -> u64 {
        if self.capacity == 0 {
            return 0;
        }
        self.remove(key);
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, key);
        self.by_key.insert(key, Entry { bytes, expires, used: self.uses });
        self.shrink(self.capacity)
    }

    /// Forgets one entry.
    pub(super) fn remove(&mut self, key: i64) {
        if let Some(entry) = self.by_key.remove(&key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    /// Forgets a share of the entries, the least recently used first.
    pub(super) fn forget(&mut self, share: f64) {
        let kept = (self.by_key.len() as f64 * (1.0 - share)).round() as usize;
        self.shrink(kept);
    }

    fn shrink(&mut self, most: usize) -> u64 {
        let mut dropped = 0;
        while self.by_key.len() > most {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.by_key.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
            dropped += 1;
        }
        dropped
    }

    /// Bytes of all values, also of those that have expired.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Drops what has expired, and returns how many entries and bytes are left.
    pub(super) fn sweep(&mut self, now: Time) -> (u64, u64) {
        let Self { by_key, by_use, bytes, .. } = self;
        by_key.retain(|_, entry| {
            let alive = entry.expires > now;
            if !alive {
                by_use.remove(&entry.used);
                *bytes -= entry.bytes;
            }
            alive
        });
        (by_key.len() as u64, *bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LATER: Time = Duration::from_secs(10);

    #[test]
    fn the_least_recently_used_goes_first_and_all_go_in_time() {
        let mut entries = Expiring::new(2);
        entries.set(1, 10, LATER);
        entries.set(2, 10, 2 * LATER);
        assert_eq!(entries.get(1, Duration::ZERO), Found::Fresh(10));
        assert_eq!(entries.set(3, 5, LATER), 1);
        assert_eq!(entries.get(2, Duration::ZERO), Found::Nothing);
        assert_eq!(entries.get(1, LATER), Found::Expired);
        assert_eq!(entries.sweep(Duration::ZERO), (2, 15));
        assert_eq!(entries.sweep(LATER), (0, 0));
    }
}

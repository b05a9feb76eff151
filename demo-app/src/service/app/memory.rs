//! What an instance keeps in its own memory: a few hot answers for a moment, and where stale answers are
//! better than none, the last ones it gave.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lru::LruCache;
use opentelemetry::global;
use opentelemetry::metrics::Counter;

use crate::settings::Settings;
use crate::store::lock;

/// Largest answer that is kept: 8 KiB.
const LARGEST: usize = 8 << 10;

/// How many answers are kept for when the stores are down.
const LAST: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");

pub(super) struct Memory {
    ttl: Duration,
    /// `None` where nothing is kept for a moment.
    fresh: Option<Mutex<LruCache<i64, (Bytes, Instant)>>>,
    /// `None` where no answer is better than a stale one.
    last: Option<Mutex<LruCache<i64, Bytes>>>,
    counts: Counts,
}

/// What this cache counts.
struct Counts {
    hits: Counter<u64>,
    misses: Counter<u64>,
    stale: Counter<u64>,
}

impl Memory {
    pub(super) fn new(settings: &Settings) -> Self {
        let count = |name, description| {
            global::meter("content").u64_counter(name).with_description(description).with_unit("{request}").build()
        };
        Self {
            ttl: settings.memory_cache_ttl,
            fresh: NonZeroUsize::new(settings.memory_cache_entries).map(|entries| Mutex::new(LruCache::new(entries))),
            last: settings.stale_while_down.then(|| Mutex::new(LruCache::new(LAST))),
            counts: Counts {
                hits: count("app.cache.hits", "Reads answered from the instance's own memory."),
                misses: count("app.cache.misses", "Reads that the instance's own memory could not answer."),
                stale: count("app.cache.stale", "Reads answered with what was last known, since the stores failed."),
            },
        }
    }

    /// Returns the answer for a content, if it is not too old at `now`.
    pub(super) fn get(&self, id: i64, now: Instant) -> Option<Bytes> {
        let mut fresh = lock(self.fresh.as_ref()?);
        let hit = fresh.get(&id).filter(|(_, until)| now < *until).map(|(body, _)| body.clone());
        let count = if hit.is_some() { &self.counts.hits } else { &self.counts.misses };
        count.add(1, &[]);
        hit
    }

    /// Keeps an answer that is known at `now`.
    pub(super) fn keep(&self, id: i64, body: &Bytes, now: Instant) {
        if body.len() > LARGEST {
            return;
        }
        if let Some(fresh) = &self.fresh {
            lock(fresh).put(id, (body.clone(), now + self.ttl));
        }
        if let Some(last) = &self.last {
            lock(last).put(id, body.clone());
        }
    }

    /// Returns the last answer for a content, however old.
    pub(super) fn stale(&self, id: i64) -> Option<Bytes> {
        let last = lock(self.last.as_ref()?).get(&id).cloned();
        if last.is_some() {
            self.counts.stale.add(1, &[]);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Phase;

    #[test]
    fn answers_are_fresh_for_a_moment_and_stale_ones_last() {
        let memory = Memory::new(&Settings::of(Phase::SPIKES));
        let (now, body) = (Instant::now(), Bytes::from_static(b"{}"));
        memory.keep(1, &body, now);
        assert_eq!(memory.get(1, now), Some(body.clone()));
        assert_eq!(memory.get(1, now + Duration::from_secs(1)), None);
        for id in 2..=257 {
            memory.keep(id, &body, now);
        }
        assert_eq!((memory.get(2, now), memory.stale(1)), (None, None), "both are bounded");
        assert_eq!(memory.stale(2), Some(body));
    }

    #[test]
    fn large_answers_are_not_kept_and_some_phases_keep_none() {
        let (now, large) = (Instant::now(), Bytes::from(vec![b' '; LARGEST + 1]));
        let memory = Memory::new(&Settings::of(Phase::SPIKES));
        memory.keep(1, &large, now);
        assert_eq!((memory.get(1, now), memory.stale(1)), (None, None));

        let none = Memory::new(&Settings::of(Phase::WEB_TIER));
        none.keep(1, &Bytes::from_static(b"{}"), now);
        assert_eq!((none.get(1, now), none.stale(1)), (None, None));
    }
}

//! The cache: values with a time to live, the least recently used evicted first.
//!
//! A node sends its replies one after the other, at a pace. A small value is gone before anybody notices;
//! a large one that everybody reads keeps the line busy, and what is behind it waits.

mod line;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::global;
use opentelemetry::metrics::AsyncInstrument;
use serde::{Deserialize, Serialize};

use crate::node::{Control, NodeContext, Started, unknown};
use crate::settings::Settings;
use crate::store::lock;
use crate::telemetry::attributes;
use crate::wire;
use line::Line;

/// What a cache is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Get { key: String },
    Set { key: String, value: String, ttl: Duration },
    SetMany { entries: Vec<(String, String, Duration)> },
}

/// What a cache answers: the value, if it was asked for one and has it.
pub(crate) type Reply = Option<String>;

/// A cache with its counts, shared between the server and the metrics.
pub(crate) struct Cache {
    entries: Mutex<Entries>,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) evictions: AtomicU64,
    /// Bytes of the values that were sent.
    sent: AtomicU64,
    /// `None` where values leave as fast as they can.
    line: Option<Mutex<Line>>,
}

impl Cache {
    /// Makes an empty cache that sends so many bytes a second, if that is bounded.
    pub(crate) fn new(capacity: usize, bytes_per_second: Option<u64>) -> Self {
        Self {
            line: bytes_per_second.map(|bytes| Mutex::new(Line::new(bytes))),
            sent: AtomicU64::new(0),
            entries: Mutex::new(Entries::new(capacity)),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Answers one request at `now`.
    pub(crate) fn answer(&self, request: Request, now: Instant) -> Reply {
        match request {
            Request::Get { key } => {
                let value = lock(&self.entries).get(&key, now);
                let count = if value.is_some() { &self.hits } else { &self.misses };
                count.fetch_add(1, Ordering::Relaxed);
                value
            }
            Request::Set { key, value, ttl } => {
                self.set(key, value, now + ttl);
                None
            }
            Request::SetMany { entries } => {
                for (key, value, ttl) in entries {
                    self.set(key, value, now + ttl);
                }
                None
            }
        }
    }

    /// Waits until a reply that is ready at `now` is sent.
    async fn send(&self, reply: &Reply, now: Instant) {
        let bytes = reply.as_ref().map_or(0, String::len);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        let gone = self.line.as_ref().and_then(|line| lock(line).send(bytes, now));
        if let Some(gone) = gone {
            tokio::time::sleep_until(gone.into()).await;
        }
    }

    /// Forgets a share of the entries, the least recently used first; the counts stay.
    pub(crate) fn forget(&self, share: f64) {
        let mut entries = lock(&self.entries);
        let kept = (entries.by_key.len() as f64 * (1.0 - share)).round() as usize;
        entries.shrink(kept);
    }

    /// Drops expired entries and returns how many are left.
    pub(crate) fn sweep(&self, now: Instant) -> u64 {
        let mut entries = lock(&self.entries);
        entries.sweep(now);
        entries.by_key.len() as u64
    }

    fn set(&self, key: String, value: String, expires: Instant) {
        let evicted = lock(&self.entries).set(key, value, expires);
        self.evictions.fetch_add(evicted, Ordering::Relaxed);
    }
}

/// Serves a cache.
pub(crate) fn start(context: NodeContext) -> Started {
    let Settings { governed, cache_capacity, cache_bytes_per_second, .. } = context.settings;
    let cache = Arc::new(Cache::new(cache_capacity, governed.then_some(cache_bytes_per_second)));
    measure(&cache, &context);
    let answering = Arc::clone(&cache);
    let serving = wire::serve(context.listener, move |request| {
        let cache = Arc::clone(&answering);
        async move {
            let now = Instant::now();
            let reply = cache.answer(request, now);
            cache.send(&reply, now).await;
            Ok::<_, String>(reply)
        }
    });
    Started::turned(serving, move |control| match control {
        Control::Forget { share } => {
            cache.forget(share);
            Ok(())
        }
        other => Err(unknown(&other)),
    })
}

fn measure(cache: &Arc<Cache>, context: &NodeContext) {
    let meter = global::meter("content-cache");
    let labels = attributes::cache_node(context.address);
    let observe = |read: fn(&Cache) -> u64| {
        let (cache, labels) = (Arc::clone(cache), labels.clone());
        move |observer: &dyn AsyncInstrument<u64>| observer.observe(read(&cache), &labels)
    };
    meter
        .u64_observable_counter("cache.hits")
        .with_description("Reads that found their key.")
        .with_unit("{hit}")
        .with_callback(observe(|cache| cache.hits.load(Ordering::Relaxed)))
        .build();
    meter
        .u64_observable_counter("cache.misses")
        .with_description("Reads that did not find their key.")
        .with_unit("{miss}")
        .with_callback(observe(|cache| cache.misses.load(Ordering::Relaxed)))
        .build();
    meter
        .u64_observable_counter("cache.evictions")
        .with_description("Entries dropped to make room.")
        .with_unit("{item}")
        .with_callback(observe(|cache| cache.evictions.load(Ordering::Relaxed)))
        .build();
    meter
        .u64_observable_gauge("cache.items")
        .with_description("Entries that have not expired.")
        .with_unit("{item}")
        .with_callback(observe(|cache| cache.sweep(Instant::now())))
        .build();
    meter
        .u64_observable_gauge("cache.memory.usage")
        .with_description("Bytes of the keys and values that are held.")
        .with_unit("By")
        .with_callback(observe(|cache| lock(&cache.entries).bytes))
        .build();
    meter
        .u64_observable_counter("cache.sent")
        .with_description("Bytes of the values that were sent.")
        .with_unit("By")
        .with_callback(observe(|cache| cache.sent.load(Ordering::Relaxed)))
        .build();
}

struct Entry {
    value: String,
    expires: Instant,
    used: u64,
}

/// Entries by key, and the keys by when they were last used.
struct Entries {
    capacity: usize,
    uses: u64,
    /// Size of all keys and values.
    bytes: u64,
    by_key: HashMap<String, Entry>,
    by_use: BTreeMap<u64, String>,
}

impl Entries {
    fn new(capacity: usize) -> Self {
        Self { capacity, uses: 0, bytes: 0, by_key: HashMap::new(), by_use: BTreeMap::new() }
    }

    fn get(&mut self, key: &str, now: Instant) -> Option<String> {
        let entry = self.by_key.get_mut(key)?;
        if entry.expires <= now {
            self.remove(key);
            return None;
        }
        self.uses += 1;
        if let Some(owned) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.uses, owned);
        }
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    fn set(&mut self, key: String, value: String, expires: Instant) -> u64 {
        self.remove(&key);
        self.uses += 1;
        self.bytes += size(&key, &value);
        self.by_use.insert(self.uses, key.clone());
        self.by_key.insert(key, Entry { value, expires, used: self.uses });
        self.shrink(self.capacity)
    }

    /// Drops the least recently used entries until no more than `most` are left; returns how many.
    fn shrink(&mut self, most: usize) -> u64 {
        let mut dropped = 0;
        while self.by_key.len() > most {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.remove(&oldest);
            dropped += 1;
        }
        dropped
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= size(key, &entry.value);
            self.by_use.remove(&entry.used);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let Self { by_key, by_use, bytes, .. } = self;
        by_key.retain(|key, entry| {
            let alive = entry.expires > now;
            if !alive {
                *bytes -= size(key, &entry.value);
                by_use.remove(&entry.used);
            }
            alive
        });
    }
}

fn size(key: &str, value: &str) -> u64 {
    (key.len() + value.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn get(cache: &Cache, key: &str, now: Instant) -> Option<String> {
        cache.answer(Request::Get { key: key.to_owned() }, now)
    }

    fn set(cache: &Cache, key: &str, now: Instant) {
        let value = format!("value of {key}");
        cache.answer(Request::Set { key: key.to_owned(), value, ttl: TTL }, now);
    }

    fn counts(cache: &Cache) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&cache.hits), read(&cache.misses), read(&cache.evictions))
    }

    #[test]
    fn an_entry_lives_as_long_as_its_ttl_and_reads_are_counted() {
        let (cache, start) = (Cache::new(8, None), Instant::now());
        assert_eq!(get(&cache, "a", start), None);
        set(&cache, "a", start);
        assert_eq!(get(&cache, "a", start + TTL / 2).as_deref(), Some("value of a"));
        assert_eq!(get(&cache, "a", start + TTL), None);
        assert_eq!(counts(&cache), (1, 2, 0));
    }

    #[test]
    fn the_least_recently_used_entry_is_evicted() {
        let (cache, start) = (Cache::new(2, None), Instant::now());
        set(&cache, "a", start);
        set(&cache, "b", start);
        get(&cache, "a", start);
        set(&cache, "c", start);
        assert!(get(&cache, "b", start).is_none());
        assert!(get(&cache, "a", start).is_some());
        assert_eq!(counts(&cache), (2, 1, 1));
    }

    #[test]
    fn a_sweep_drops_what_expired_and_all_can_be_forgotten() {
        let (cache, start) = (Cache::new(8, None), Instant::now());
        set(&cache, "a", start);
        set(&cache, "b", start + TTL);
        assert_eq!(cache.sweep(start + TTL), 1);
        cache.forget(1.0);
        assert_eq!(cache.sweep(start), 0);
        assert!(get(&cache, "b", start).is_none());
    }

    #[test]
    fn the_bytes_held_are_those_of_the_entries_that_are_left() {
        let (cache, start) = (Cache::new(2, None), Instant::now());
        let bytes = || lock(&cache.entries).bytes;
        set(&cache, "a", start);
        assert_eq!(bytes(), 11);
        set(&cache, "a", start);
        assert_eq!(bytes(), 11);
        set(&cache, "b", start);
        set(&cache, "c", start + TTL);
        assert_eq!(bytes(), 22, "one was evicted");
        cache.sweep(start + TTL);
        assert_eq!(bytes(), 11);
        cache.forget(1.0);
        assert_eq!(bytes(), 0);
    }

    #[tokio::test]
    async fn a_small_value_waits_behind_a_large_one() {
        let cache = Cache::new(2, Some(1_000_000));
        let now = Instant::now();
        let large = Some("x".repeat(30_000));
        let small = Some("x".to_owned());
        cache.send(&small, now).await;
        let alone = now.elapsed();
        tokio::join!(cache.send(&large, now), cache.send(&small, now));
        assert!(now.elapsed() >= Duration::from_millis(30), "{:?}", now.elapsed());
        assert!(alone < Duration::from_millis(30), "{alone:?}");
        assert_eq!(cache.sent.load(Ordering::Relaxed), 30_002);
    }
}

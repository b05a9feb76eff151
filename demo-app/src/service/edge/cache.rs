//! What the edge keeps: answers that may be shared, until they expire and for some time after.
//!
//! An answer is kept if
//! 1. its status is 200,
//! 2. `Cache-Control` gives it an age (`s-maxage`, else `max-age`) that it has not reached,
//! 3. and does not say `no-store`, `no-cache` or `private`,
//! 4. it sets no cookie, which is one caller's, and
//! 5. it does not vary by the request's headers, which are no part of the key.
//!
//! One that has expired stays until it must make room, for when there is nothing better.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use lru::LruCache;

use crate::service::http::Answer;

/// Answers by the path and query of their requests; the least recently used one makes room.
pub(super) struct Cache(LruCache<String, Arc<Kept>>);

/// An answer that is kept.
pub(super) struct Kept {
    answer: Answer,
    since: Instant,
    /// How old it was when it came.
    age: Duration,
    lifetime: Duration,
}

/// What the cache knows of a request.
pub(super) enum Known {
    Fresh(Arc<Kept>),
    Expired(Arc<Kept>),
    Nothing,
}

impl Kept {
    /// Returns the answer as it goes out now.
    pub(super) fn answer(&self, now: Instant) -> Answer {
        let mut answer = self.answer.clone();
        answer.headers_mut().insert(header::AGE, HeaderValue::from(self.age(now).as_secs()));
        answer
    }

    fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.since)
    }
}

impl Cache {
    /// Makes an empty cache.
    pub(super) fn new(entries: usize) -> Self {
        Self(LruCache::new(NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN)))
    }

    /// Looks for the answer to a request.
    pub(super) fn look(&mut self, key: &str, now: Instant) -> Known {
        match self.0.get(key) {
            Some(kept) if kept.age(now) < kept.lifetime => Known::Fresh(Arc::clone(kept)),
            Some(kept) => Known::Expired(Arc::clone(kept)),
            None => Known::Nothing,
        }
    }

    /// Keeps an answer if it may be kept, and returns whether it is; what was kept before is forgotten.
    pub(super) fn learn(&mut self, key: String, answer: &Answer, now: Instant) -> bool {
        let age = seconds(answer.headers().get(header::AGE).and_then(|age| age.to_str().ok())).unwrap_or_default();
        let Some(lifetime) = lifetime(answer).filter(|lifetime| age < *lifetime) else {
            self.0.pop(&key);
            return false;
        };
        self.0.put(key, Arc::new(Kept { answer: answer.clone(), since: now, age, lifetime }));
        true
    }
}

/// Until which age an answer may be handed out; `None` for one that may not be kept.
fn lifetime(answer: &Answer) -> Option<Duration> {
    let headers = answer.headers();
    if answer.status() != StatusCode::OK
        || headers.contains_key(header::SET_COOKIE)
        || headers.contains_key(header::VARY)
    {
        return None;
    }
    let directives = directives(headers);
    let says = |name: &str| directives.iter().any(|directive| directive.split('=').next() == Some(name));
    if says("no-store") || says("no-cache") || says("private") {
        return None;
    }
    let age = |name: &str| {
        let given = directives.iter().filter_map(|directive| directive.split_once('='));
        seconds(given.into_iter().find(|(given, _)| *given == name).map(|(_, age)| age.trim_matches('"')))
    };
    age("s-maxage").or_else(|| age("max-age"))
}

/// Returns what `Cache-Control` says, in lower case.
fn directives(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase()).collect()
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    text?.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &'static str)]) -> Answer {
        let mut answer = Answer::default();
        for (name, value) in headers {
            answer.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        answer
    }

    #[test]
    fn an_answer_is_kept_as_long_as_its_origin_allows() {
        let of = |headers: &[_]| lifetime(&answer(headers)).map(|lifetime| lifetime.as_secs());
        let control = |value| ("cache-control", value);
        assert_eq!(of(&[control("public, max-age=60")]), Some(60));
        assert_eq!(of(&[control("Max-Age=60, S-MaxAge=5")]), Some(5));
        assert_eq!(of(&[control("public"), control("max-age=\"7\"")]), Some(7));
        for refused in ["", "public", "max-age=x", "max-age=60, no-store", "private, max-age=60", "no-cache=\"a\""] {
            assert_eq!(of(&[control(refused)]), None, "{refused}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[control("max-age=60"), ("set-cookie", "session=1")]), None);
        assert_eq!(of(&[control("max-age=60"), ("vary", "accept")]), None);
        let mut gone = answer(&[control("max-age=60")]);
        *gone.status_mut() = StatusCode::NOT_FOUND;
        assert_eq!(lifetime(&gone), None);
    }

    #[test]
    fn an_answer_grows_old_and_expires_but_stays() {
        let (mut cache, now) = (Cache::new(10), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(cache.learn("/a".to_owned(), &answer(&[("cache-control", "max-age=60"), ("age", "20")]), now));
        let Known::Fresh(kept) = cache.look("/a", later(39)) else { panic!("it is fresh") };
        assert_eq!(kept.answer(later(39)).headers()[header::AGE], "59");
        let Known::Expired(kept) = cache.look("/a", later(40)) else { panic!("it has expired") };
        assert_eq!(kept.answer(later(100)).headers()[header::AGE], "120");
        assert!(matches!(cache.look("/b", now), Known::Nothing));
    }

    #[test]
    fn what_may_not_be_kept_any_more_is_forgotten_and_the_least_used_makes_room() {
        let (mut cache, now) = (Cache::new(2), Instant::now());
        let keep = answer(&[("cache-control", "max-age=60")]);
        cache.learn("/a".to_owned(), &keep, now);
        cache.learn("/b".to_owned(), &keep, now);
        assert!(matches!(cache.look("/a", now), Known::Fresh(_)));
        cache.learn("/c".to_owned(), &keep, now);
        assert!(matches!(cache.look("/b", now), Known::Nothing));
        assert!(!cache.learn("/a".to_owned(), &answer(&[]), now));
        assert!(matches!(cache.look("/a", now), Known::Nothing));
    }
}

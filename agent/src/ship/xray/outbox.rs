//! The documents that wait to be sent: in order, bounded in bytes, and what answers mean for them.
//!
//! 1. Over the ceiling the oldest go first, and are counted.
//! 2. A call takes at most 50, and there is one call at a time.
//! 3. What the service names as unprocessed waits again by itself if it was asked for patience or was at fault;
//!    what it finds invalid is counted and not sent again.
//! 4. A call that fails as a whole is made again. One that is refused as a whole is made again with half of its
//!    documents, down to the one that is at fault.
//!
//! Sending a document again changes nothing, since it bears its own id: so a call without an answer is made
//! again, too.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::encode::Document;
use crate::ship::backoff::Backoff;
use crate::ship::failure::Failure;

/// Documents that `PutTraceSegments` takes.
pub const MOST_PER_CALL: usize = 50;
/// What a document costs beyond its text.
const DOCUMENT_BYTES: usize = 64;

/// See the module's text.
#[derive(Debug)]
pub struct Outbox {
    ceiling: usize,
    bytes: usize,
    waiting: VecDeque<Document>,
    most: usize,
    failures: u64,
    not_before: Option<Instant>,
}

/// A document that the service did not process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprocessed {
    /// The id of its segment, where the service says it.
    pub id: Option<String>,
    /// The service's word for why.
    pub code: String,
    /// The same in a sentence.
    pub message: String,
}

impl Unprocessed {
    /// Whether time may mend it.
    fn is_passing(&self) -> bool {
        const PASSING: [&str; 6] = ["throttl", "internal", "fault", "unavailable", "timeout", "toomany"];
        let code = self.code.to_ascii_lowercase();
        PASSING.iter().any(|word| code.contains(word))
    }
}

/// What an answer meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Documents that were taken.
    pub taken: u64,
    /// Documents that are refused for good, with why.
    pub refused: Vec<(String, u64)>,
}

impl Outbox {
    /// Room for so many bytes.
    pub fn new(ceiling: usize) -> Self {
        Self { ceiling, bytes: 0, waiting: VecDeque::new(), most: MOST_PER_CALL, failures: 0, not_before: None }
    }

    /// Adds documents, and returns how many had to go.
    pub fn push(&mut self, documents: impl IntoIterator<Item = Document>) -> u64 {
        for document in documents {
            self.bytes += bytes(&document);
            self.waiting.push_back(document);
        }
        let mut dropped = 0;
        while self.bytes > self.ceiling
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= bytes(&oldest);
            dropped += 1;
        }
        dropped
    }

    /// Documents that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next call may be made, if there is something to send.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        (!self.is_empty()).then(|| self.not_before.map_or(now, |at| at.max(now)))
    }

    /// The documents of the next call.
    pub fn next_call(&mut self) -> Vec<Document> {
        let call: Vec<Document> = self.waiting.drain(..self.most.min(self.waiting.len())).collect();
        self.bytes -= call.iter().map(bytes).sum::<usize>();
        call
    }

    /// The service answered a call: all but the unprocessed were taken.
    pub fn answered(&mut self, call: Vec<Document>, unprocessed: &[Unprocessed], now: Instant) -> Settled {
        self.most = (self.most * 2).min(MOST_PER_CALL);
        let mut settled = Settled::default();
        let mut again: Vec<Document> = Vec::new();
        for document in call {
            let id = document.id.to_string();
            match unprocessed.iter().find(|one| one.id.as_deref() == Some(&id)) {
                None => settled.taken += 1,
                Some(one) if one.is_passing() => again.push(document),
                Some(one) => settled.refuse(format!("{}: {}", one.code, one.message), 1),
            }
        }
        // Which documents the nameless are of is not known; as many as there are were not taken.
        for one in unprocessed.iter().filter(|one| one.id.as_deref().is_none_or(str::is_empty)) {
            if settled.taken > 0 {
                settled.taken -= 1;
                settled.refuse(format!("{}: {}", one.code, one.message), 1);
            }
        }
        if again.is_empty() {
            self.failures = 0;
            self.not_before = None;
        } else {
            self.wait(Backoff::SOON, now, None);
        }
        self.put_back(again);
        settled
    }

    /// A call failed as a whole.
    pub fn failed(&mut self, call: Vec<Document>, failure: &Failure, now: Instant) -> Settled {
        let mut settled = Settled::default();
        if !failure.is_final() {
            let pace = if failure.is_blocked() { Backoff::SLOWLY } else { Backoff::SOON };
            self.wait(pace, now, failure.asked_for);
            self.put_back(call);
        } else if call.len() > 1 {
            self.most = call.len() / 2;
            self.put_back(call);
        } else {
            self.most = (self.most * 2).min(MOST_PER_CALL);
            settled.refuse(failure.what.clone(), call.len() as u64);
        }
        settled
    }

    fn wait(&mut self, pace: Backoff, now: Instant, asked_for: Option<Duration>) {
        self.failures += 1;
        self.not_before = Some(now + pace.wait(self.failures, asked_for));
    }

    fn put_back(&mut self, call: Vec<Document>) {
        self.bytes += call.iter().map(bytes).sum::<usize>();
        for document in call.into_iter().rev() {
            self.waiting.push_front(document);
        }
    }
}

impl Settled {
    fn refuse(&mut self, why: String, documents: u64) {
        match self.refused.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += documents,
            None => self.refused.push((why, documents)),
        }
    }
}

fn bytes(document: &Document) -> usize {
    document.json.len() + DOCUMENT_BYTES
}

#[cfg(test)]
mod tests {
    use tiertop_core::id::SpanId;

    use super::*;
    use crate::ship::failure::FailureKind;

    fn document(id: u64) -> Document {
        Document { id: SpanId(id), json: "x".repeat(36), spans: 1 }
    }

    fn documents(count: u64) -> impl Iterator<Item = Document> {
        (1..=count).map(document)
    }

    fn ids(call: &[Document]) -> Vec<u64> {
        call.iter().map(|document| document.id.0).collect()
    }

    fn unprocessed(id: u64, code: &str) -> Unprocessed {
        Unprocessed { id: Some(SpanId(id).to_string()), code: code.to_owned(), message: "because".to_owned() }
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "what", "remedy")
    }

    #[test]
    fn calls_are_in_order_and_over_the_ceiling_the_oldest_go() {
        let mut outbox = Outbox::new(10_000);
        assert_eq!(outbox.push(documents(120)), 20);
        assert_eq!(ids(&outbox.next_call()), (21..=70).collect::<Vec<_>>());
        assert_eq!(ids(&outbox.next_call()), (71..=120).collect::<Vec<_>>());
        assert_eq!((outbox.bytes, outbox.due(Instant::now())), (0, None));
    }

    #[test]
    fn of_the_unprocessed_the_throttled_wait_again_and_the_invalid_are_counted() {
        let (mut outbox, now) = (Outbox::new(10_000), Instant::now());
        outbox.push(documents(5));
        let call = outbox.next_call();
        let settled =
            outbox.answered(call, &[unprocessed(2, "ThrottlingException"), unprocessed(4, "InvalidSegment")], now);
        assert_eq!(settled, Settled { taken: 3, refused: vec![("InvalidSegment: because".to_owned(), 1)] });
        assert!(outbox.due(now).is_some_and(|due| due > now), "it is asked for patience");
        outbox.push([document(9)]);
        assert_eq!(ids(&outbox.next_call()), [2, 9]);
    }

    #[test]
    fn a_call_that_fails_is_made_again_in_its_place_and_later() {
        let (mut outbox, now) = (Outbox::new(10_000), Instant::now());
        outbox.push(documents(60));
        for kind in [FailureKind::Throttled, FailureKind::Unanswered, FailureKind::Unreached, FailureKind::Denied] {
            let call = outbox.next_call();
            assert_eq!(ids(&call), (1..=50).collect::<Vec<_>>());
            assert_eq!(outbox.failed(call, &failure(kind), now), Settled::default());
            assert!(outbox.due(now).is_some_and(|due| due > now));
        }
        assert_eq!(outbox.bytes, 6_000);
    }

    #[test]
    fn of_a_call_that_is_refused_the_one_at_fault_is_found_and_the_rest_is_taken() {
        let (mut outbox, now) = (Outbox::new(100_000), Instant::now());
        outbox.push(documents(50));
        let (mut taken, mut refused, mut calls) = (0, 0, 0);
        while !outbox.is_empty() {
            let call = outbox.next_call();
            calls += 1;
            let settled = if ids(&call).contains(&33) {
                outbox.failed(call, &failure(FailureKind::Refused), now)
            } else {
                outbox.answered(call, &[], now)
            };
            taken += settled.taken;
            refused += settled.refused.iter().map(|(_, count)| count).sum::<u64>();
        }
        assert_eq!((taken, refused), (49, 1));
        assert!(calls < 20, "{calls}");
    }
}

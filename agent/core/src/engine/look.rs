//! Looking at what a request did: passed it on or worked, and what its cache reads found.
//!
//! A sample of the requests of each member is looked at, a while after they came, because the spans of
//! what they did may come in later batches; or at once when the ring is about to lose them.

use super::Engine;
use super::members::MemberId;
use super::ring::{Place, RecentSpan};
use super::routes::Plan;
use crate::classify::{Act, PeerClass};
use crate::time::UnixSecond;

/// How many SERVER spans a second of one member are looked at for what they did.
const LOOKS_PER_SECOND: u32 = 25;
/// How long after it came a SERVER span is looked at: its children may come in later batches.
const LOOK_AFTER_NANOS: u64 = 1_500_000_000;
/// How many spans of one request are looked at.
const SPANS_PER_LOOK: usize = 64;

/// One call that a request made, for telling what the request did.
#[derive(Clone, Copy)]
struct CallSeen {
    start: u64,
    end: UnixSecond,
    member: MemberId,
    class: PeerClass,
    act: Act,
    path_hash: u64,
}

impl Engine {
    /// Takes note that a request of a member is to be looked at, unless there are enough.
    pub(super) fn look_later(&mut self, place: Place, member: MemberId) {
        let evidence = &mut self.members.get_mut(member).evidence;
        if evidence.looks < LOOKS_PER_SECOND {
            evidence.looks += 1;
            self.looks.push_back((self.now.plus_nanos(LOOK_AFTER_NANOS), place));
        }
    }

    /// Looks at the requests that are due, or about to be overwritten in the ring: by now the spans of
    /// what they did have come, if they come at all.
    pub(super) fn look_around(&mut self) {
        while let Some(&(due, place)) = self.looks.front()
            && (due <= self.now || self.ring.is_aging(place))
        {
            self.looks.pop_front();
            let Some(span) = self.ring.get(place).copied() else { continue };
            if let Plan::Entry { target, .. } = self.routes.get(span.route).plan {
                self.look(&span, target.member);
            }
        }
    }

    /// Looks at what a request did: passed it on, or worked; and what its cache reads found.
    fn look(&mut self, span: &RecentSpan, member: MemberId) {
        let calls = self.calls_of(span);
        if calls.is_empty() {
            return;
        }
        let passed_on = |call: &CallSeen| {
            call.class == PeerClass::Service && call.path_hash == span.path_hash && span.path_hash != 0
        };
        let evidence = &mut self.members.get_mut(member).evidence;
        if calls.iter().all(passed_on) {
            evidence.proxied += 1.0;
        } else {
            evidence.worked += 1.0;
        }
        for (index, call) in calls.iter().enumerate() {
            if call.class == PeerClass::Cache && call.act == Act::Read {
                let missed = calls[index + 1..]
                    .iter()
                    .take_while(|next| !(next.class == PeerClass::Cache && next.act == Act::Read))
                    .any(|next| next.act == Act::Read);
                let second = call.end.min(self.newest_second());
                self.members.get_mut(call.member).lookups.record(second, !missed);
            }
        }
    }

    /// The calls of a request, in the order in which they started.
    fn calls_of(&self, span: &RecentSpan) -> Vec<CallSeen> {
        let mut calls = Vec::new();
        let mut open = vec![*span];
        let mut looked = 0;
        while let Some(at) = open.pop() {
            for (_, child) in self.ring.children(&at) {
                looked += 1;
                if looked > SPANS_PER_LOOK {
                    break;
                }
                match self.routes.get(child.route).plan {
                    Plan::Inside => open.push(*child),
                    Plan::Call { target, class, act, .. } if act.counts() => calls.push(CallSeen {
                        start: child.start.0,
                        end: child.end.second(),
                        member: target.member,
                        class,
                        act,
                        path_hash: child.path_hash,
                    }),
                    _ => {}
                }
            }
        }
        calls.sort_unstable_by_key(|call| call.start);
        calls
    }
}

//! Requests that are known to wait: parts of them came long ago, and they have not ended.
//!
//! A part is a span inside the process that took the request, whose parent has not come. What the request is
//! is known from others like it: whose spans of that route were usually part of. A process that never sends
//! the parents teaches nothing of the kind, and so tells no request as waiting.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::super::Engine;
use super::super::ring::{Place, RecentSpan};
use super::gather::{Names, is_local};
use super::{Choosing, hash};
use crate::choice::{Reason, WaitingRequest};
use crate::id::TraceId;
use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// While a stall lasts, requests are told as waiting after this long.
const IN_STALL_S: f64 = 1.0;
/// A request whose parts are older was lost, more likely.
const LOST_AFTER_S: f64 = 120.0;

/// A request that waits.
struct Waits {
    start: UnixNanos,
    part: (Place, RecentSpan),
    request: u32,
    /// It was not told as waiting a second ago.
    is_new: bool,
}

impl Engine {
    pub(super) fn find_waiting(
        &mut self,
        choosing: &mut Choosing,
        names: &mut Names,
        new: &mut HashSet<TraceId, FixedState>,
    ) {
        let lasting = self.lasting_stall();
        let mut found: Vec<Waits> =
            self.ring.awaited().filter_map(|child| self.waits(choosing, child, lasting.is_some())).collect();
        found.sort_by_key(|waits| (waits.start, hash(waits.part.1.trace)));
        let stall: Option<Arc<str>> =
            lasting.map(|view| view.tier.unwrap_or_else(|| "front".to_owned())).map(Arc::from);
        for Waits { start, part: (place, part), request, is_new } in found {
            if choosing.decided.contains_key(&part.trace) {
                continue;
            }
            if !choosing.budget.take(Reason::Waiting) {
                choosing.chosen.over_budget[Reason::Waiting as usize] += u64::from(is_new);
                continue;
            }
            choosing.decide(part.trace, Reason::Waiting, self.now);
            new.insert(part.trace);
            let tier = self.member_of(part.process).and_then(|member| self.tier_id(member, &self.known()));
            let Some(chosen) = self.chosen_span(place, names) else { continue };
            choosing.chosen.waiting.push(WaitingRequest {
                trace: part.trace,
                id: part.parent,
                start,
                operation: self.routes.operation(request).to_owned(),
                tier: tier.map(Arc::from),
                stall: stall.clone(),
                part: chosen,
            });
        }
    }

    /// The request that a span without a parent is part of, if it waits.
    fn waits(&self, choosing: &Choosing, child: &RecentSpan, in_stall: bool) -> Option<Waits> {
        if !is_local(child) || choosing.decided.contains_key(&child.trace) {
            return None;
        }
        let request = choosing.by_route.get(child.route as usize)?.part_of?;
        let (place, first) = self.ring.siblings(child).min_by_key(|(_, sibling)| sibling.start)?;
        let slow_nanos = choosing.by_route.get(request as usize)?.slow_nanos;
        let usual_s = if slow_nanos == u64::MAX { 0.0 } else { slow_nanos as f64 / NANOS_PER_SECOND as f64 };
        let after_s = if in_stall { IN_STALL_S } else { choosing.rules.waiting_after_s }.max(usual_s);
        let delay_s = self.longest_delay_s();
        let since_s = self.now.seconds_since(first.start) - delay_s;
        (since_s > after_s && since_s < LOST_AFTER_S).then_some(Waits {
            start: first.start,
            part: (place, *first),
            request,
            is_new: since_s <= after_s + 1.0,
        })
    }
}

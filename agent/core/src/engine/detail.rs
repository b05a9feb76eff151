//! Several spans of one call, of which one counts: the outermost.
//!
//! A message sent shows as a PRODUCER span and, below it, as the HTTP call that carries it; a query
//! shows as the mapper's span and, beside or below it, as the driver's.

use super::Engine;
use super::count::CHILDREN_MET;
use super::ring::{Place, RecentSpan, SpanState};
use super::routes::Plan;
use crate::classify::Act;

/// How far up a span's ancestors are asked whether it is detail of their call.
const ANCESTORS: usize = 4;

impl Engine {
    /// Whether a call is transport detail of another call that its process was making.
    pub(super) fn is_detail(&self, span: &RecentSpan) -> bool {
        let Plan::Call { target: inner, class: inner_class, act: inner_act, .. } = self.routes.get(span.route).plan
        else {
            return false;
        };
        let mut at = *span;
        for _ in 0..ANCESTORS {
            let Some((_, parent)) = self.ring.parent(&at) else { return false };
            if parent.process != span.process {
                return false;
            }
            match self.routes.get(parent.route).plan {
                Plan::Inside => at = *parent,
                Plan::Entry { .. } => return false,
                // A request to a store within the opening of its connection, which some clients leave as
                // the parent of what follows, is a request all the same.
                Plan::Call { class: outer_class, act: Act::Housekeeping, .. }
                    if inner_act.counts() && inner_class == outer_class =>
                {
                    at = *parent;
                }
                Plan::Call { target: outer, class: outer_class, .. } => {
                    return outer.member == inner.member || outer_class.absorbs(inner_class);
                }
            }
        }
        false
    }

    /// Whether a call is shown once more, from above, by another instrumentation of its process: a
    /// mapper and the driver beneath it, side by side under one parent, one within the other in time.
    pub(super) fn is_inner_layer(&self, span: &RecentSpan) -> bool {
        self.layers(span).any(|(_, other)| other.holds_in_time(span))
    }

    /// Takes back what was counted of the layers beneath a call before it came itself.
    pub(super) fn meet_inner_layers(&mut self, span: &RecentSpan) {
        let counted =
            |(_, other): &(Place, &RecentSpan)| other.state == SpanState::Counted && span.holds_in_time(other);
        let inner: Vec<(Place, RecentSpan)> =
            self.layers(span).filter(counted).map(|(place, other)| (place, *other)).collect();
        for (place, other) in inner {
            self.spans_detail += u64::from(self.retract(&other));
            self.ring.set_state(place, SpanState::Skipped);
        }
    }

    /// The spans beside a call that another instrumentation made for the same act on the same peer.
    fn layers<'e>(&'e self, span: &RecentSpan) -> impl Iterator<Item = (Place, &'e RecentSpan)> + use<'e> {
        let (span, own) = (*span, *self.routes.get(span.route));
        let siblings = span.parent.is_some().then(|| self.ring.siblings(&span));
        siblings.into_iter().flatten().take(CHILDREN_MET).filter(move |(_, other)| {
            let route = self.routes.get(other.route);
            let same = match (route.plan, own.plan) {
                (Plan::Call { target: one, act, .. }, Plan::Call { target: other, act: own_act, .. }) => {
                    one.member == other.member && act == own_act
                }
                _ => false,
            };
            same && route.scope != own.scope && other.process == span.process && other.parent == span.parent
        })
    }
}

//! One trace, gathered from the ring of recent spans and drawn: its spans as a tree, where each stands, and
//! what the critical path is charged to.

use std::collections::BTreeMap;

use super::super::Engine;
use super::super::naming::Known;
use super::super::processes::ProcessId;
use super::super::ring::RecentSpan;
use super::super::routes::Plan;
use crate::classify::PeerClass;
use crate::observation::SpanKind;
use crate::snapshot::{ChargeView, KeptFor, TraceSpanView, TraceView};
use crate::traces::walk::{Family, Piece, Walk, fit};

/// Spans that are drawn of one trace; those over it are counted.
const MOST_SPANS: usize = 100;
/// Spans over the limit that are counted one by one.
const MOST_COUNTED: u64 = 10_000;
/// How deep a trace may be.
pub(super) const DEEPEST: usize = 64;

/// A span of a trace.
struct Node {
    span: RecentSpan,
    parent: Option<u32>,
    depth: u16,
    children: Vec<u32>,
    is_entry: bool,
    is_message: bool,
}

/// The spans of a trace, parents before children.
struct Gathered {
    nodes: Vec<Node>,
    left_out: u64,
}

impl Family for Gathered {
    fn interval(&self, span: u32) -> (u64, u64) {
        let span = &self.nodes[span as usize].span;
        (span.start.0, span.end.0)
    }

    /// Nobody waits for a message that was handed over.
    fn children(&self, span: u32) -> impl Iterator<Item = u32> {
        let parent = &self.nodes[span as usize];
        let is_handed_over = move |child: &u32| {
            let child_node = &self.nodes[*child as usize];
            self.is_remote(*child, span) && (child_node.is_message || parent.span.kind == SpanKind::Producer)
        };
        parent.children.iter().copied().filter(move |child| !is_handed_over(child))
    }

    fn is_remote(&self, child: u32, parent: u32) -> bool {
        let (child, parent) = (&self.nodes[child as usize], &self.nodes[parent as usize]);
        let is_across = matches!(parent.span.kind, SpanKind::Client | SpanKind::Producer);
        child.span.process != parent.span.process || (child.is_entry && is_across)
    }
}

impl Engine {
    /// Draws the trace below a root span.
    pub(super) fn draw_trace(&self, root: &RecentSpan, tier: &str, why: KeptFor, known: &Known) -> TraceView {
        let family = self.gather(root);
        let tiers = self.tiers_of(&family, known);
        let begin = root.start.0;
        let ms = |nanos: u64| nanos.wrapping_sub(begin) as i64 as f64 / 1e6;
        let mut spans: Vec<TraceSpanView> = Vec::with_capacity(family.nodes.len());
        let mut moved: Vec<u64> = Vec::with_capacity(family.nodes.len());
        for (place, node) in family.nodes.iter().enumerate() {
            let own = node.parent.map_or(0, |parent| fit(&family, place as u32, parent).moved);
            let all = node.parent.map_or(0, |parent| moved[parent as usize]).wrapping_add(own);
            moved.push(all);
            spans.push(TraceSpanView {
                parent: node.parent,
                depth: node.depth,
                name: self.routes.operation(node.span.route).to_owned(),
                tier: tiers[place].0.clone(),
                instance: self.process_name(ProcessId(node.span.process)),
                start_ms: ms(node.span.start.0.wrapping_add(all)),
                duration_ms: node.span.nanos() as f64 / 1e6,
                failed: self.routes.get(node.span.route).failed,
                call: matches!(self.routes.get(node.span.route).plan, Plan::Call { .. }),
                moved_ms: (own != 0).then_some(own as i64 as f64 / 1e6),
                critical: Vec::new(),
            });
        }
        let mut charges: BTreeMap<(&str, bool), u64> = BTreeMap::new();
        Walk::default().pieces(&family, 0, |Piece { span, from, to }| {
            spans[span as usize].critical.push((ms(from), ms(to)));
            let (tier, gap) = &tiers[span as usize];
            *charges.entry((tier, *gap)).or_default() += to - from;
        });
        for span in &mut spans {
            span.critical.reverse();
        }
        let mut charges: Vec<ChargeView> = charges
            .into_iter()
            .map(|((tier, gap), nanos)| ChargeView { tier: tier.to_owned(), gap, charged_ms: nanos as f64 / 1e6 })
            .collect();
        charges.sort_by(|one, other| other.charged_ms.total_cmp(&one.charged_ms));
        TraceView {
            id: root.trace.to_string(),
            tier: tier.to_owned(),
            operation: self.routes.operation(root.route).to_owned(),
            start_unix_ms: root.start.as_millis(),
            duration_ms: root.nanos() as f64 / 1e6,
            failed: self.routes.get(root.route).failed,
            kept_for: why,
            incomplete: root.parent.is_some() || self.lacks_answers(&family),
            spans,
            spans_left_out: family.left_out,
            charges,
        }
    }

    /// The spans below a root, each with its children in the order of their starts.
    fn gather(&self, root: &RecentSpan) -> Gathered {
        let mut family = Gathered { nodes: Vec::new(), left_out: 0 };
        let mut open = vec![(*root, None, 0_u16)];
        while let Some((span, parent, depth)) = open.pop() {
            if family.nodes.len() >= MOST_SPANS {
                family.left_out += 1;
                if family.left_out >= MOST_COUNTED {
                    break;
                }
            }
            let plan = self.routes.get(span.route).plan;
            let place = if family.nodes.len() < MOST_SPANS {
                let place = family.nodes.len() as u32;
                if let Some(parent) = parent {
                    let parent: u32 = parent;
                    family.nodes[parent as usize].children.push(place);
                }
                family.nodes.push(Node {
                    span,
                    parent,
                    depth,
                    children: Vec::new(),
                    is_entry: matches!(plan, Plan::Entry { .. }),
                    is_message: matches!(plan, Plan::Entry { queue: Some(_), .. }),
                });
                Some(place)
            } else {
                parent
            };
            if usize::from(depth) < DEEPEST {
                let mut children: Vec<RecentSpan> = self.ring.children(&span).map(|(_, child)| *child).collect();
                // The first to start is popped first.
                children.sort_by_key(|child| std::cmp::Reverse((child.start, child.id)));
                children.dedup_by_key(|child| child.id);
                open.extend(children.into_iter().map(|child| (child, place, depth + 1)));
            }
        }
        family
    }

    /// The tier of each span, and whether its own time is on the way there rather than in it.
    fn tiers_of(&self, family: &Gathered, known: &Known) -> Vec<(String, bool)> {
        let mut tiers: Vec<(String, bool)> = Vec::with_capacity(family.nodes.len());
        for (place, node) in family.nodes.iter().enumerate() {
            let is_remote = node.parent.is_none_or(|parent| family.is_remote(place as u32, parent));
            let own = match self.routes.get(node.span.route).plan {
                Plan::Call { target, class: PeerClass::Service, .. } => {
                    let callee = self.callee(&node.span, target.member);
                    (Some(callee), callee != target.member)
                }
                Plan::Entry { target, .. } | Plan::Call { target, .. } => (Some(target.member), false),
                Plan::Inside if is_remote => (self.member_of(node.span.process), false),
                Plan::Inside => {
                    // Work inside belongs to what it is part of.
                    let parent = node.parent.map_or_else(Default::default, |parent| tiers[parent as usize].clone());
                    tiers.push(parent);
                    continue;
                }
            };
            let id = own.0.and_then(|member| self.tier_id(member, known)).unwrap_or_default();
            tiers.push((id, own.1));
        }
        tiers
    }

    /// Whether a call has no answer that is otherwise answered by spans.
    fn lacks_answers(&self, family: &Gathered) -> bool {
        family.left_out == 0
            && family.nodes.iter().any(|node| match self.routes.get(node.span.route).plan {
                Plan::Call { target, class: PeerClass::Service, .. } => {
                    node.children.is_empty() && self.members.get(target.member).evidence.is_answered()
                }
                _ => false,
            })
    }
}

/// Bytes that a trace takes on the heap.
pub(super) fn heap_bytes(view: &TraceView) -> usize {
    let text = |text: &String| text.capacity();
    let span = |span: &TraceSpanView| {
        let texts = text(&span.name) + text(&span.tier) + text(&span.instance);
        texts + size_of::<TraceSpanView>() + span.critical.capacity() * size_of::<(f64, f64)>()
    };
    let charges = view.charges.iter().map(|charge| text(&charge.tier) + size_of::<ChargeView>()).sum::<usize>();
    let own = text(&view.id) + text(&view.tier) + text(&view.operation) + size_of::<TraceView>();
    own + charges + view.spans.iter().map(span).sum::<usize>()
}

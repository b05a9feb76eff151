//! The course of a play: what of its snapshots is scored, second by second.

use std::collections::{BTreeMap, BTreeSet};

use tiertop_core::snapshot::{IncidentView, Snapshot, TierView};
use tiertop_core::tier::TierKind;
use tiertop_core::verdict::Verdict;

/// What a play showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Each snapshot, in the order of time.
    pub moments: Vec<Moment>,
    /// Each incident by its number.
    pub incidents: BTreeMap<u64, Incident>,
}

/// What one snapshot showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The open incidents that name a tier, the gravest first.
    pub named: Vec<Named>,
    /// All tiers.
    pub tiers: Vec<Figures>,
}

/// What an open incident says is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The incident's number.
    pub incident: u64,
    /// The kind of the tier at fault.
    pub tier: TierKind,
    /// The tier itself.
    pub tier_id: String,
    /// The class of fault.
    pub class: Option<String>,
    /// The phase whose wall it is.
    pub phase: Option<u8>,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Kinds of the tiers that it may be instead, best first.
    pub others: Vec<TierKind>,
    /// Too little is explained: the diagnosis itself calls it no verdict.
    pub doubted: bool,
}

/// An incident from its opening to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// When it was first shown, milliseconds since the Unix epoch.
    pub opened_ms: u64,
    /// When it was first shown as ended.
    pub closed_ms: Option<u64>,
    /// How often its verdict changed.
    pub changes: u64,
    /// What it said and from when on: tier and class.
    pub said: Vec<(u64, String)>,
}

impl Incident {
    /// What it said last.
    pub fn says(&self) -> &str {
        self.said.last().map_or("", |(_, says)| says)
    }
}

/// The figures of a tier that simple ways of naming a bottleneck look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The tier.
    pub id: String,
    /// Its kind.
    pub kind: TierKind,
    /// 95th percentile of its latency.
    pub p95_ms: Option<f64>,
    /// Time a second that its requests spend in itself: its own time less its callees', in milliseconds.
    pub self_ms: Option<f64>,
    /// Calls between the front and it, by the shortest way.
    pub depth: usize,
}

impl Course {
    /// Takes in a further snapshot.
    pub fn note(&mut self, snapshot: &Snapshot) {
        let at_ms = snapshot.at_unix_ms;
        for view in &snapshot.diagnosis.incidents {
            let incident = self.incidents.entry(view.id).or_insert_with(|| Incident {
                opened_ms: at_ms,
                closed_ms: None,
                changes: 0,
                said: Vec::new(),
            });
            incident.changes = view.changes;
            if view.ended_unix_ms.is_none() {
                // What had ended may be opened again.
                incident.closed_ms = None;
            }
            if view.ended_unix_ms.is_none() {
                let says = says(view);
                if incident.says() != says {
                    incident.said.push((at_ms, says));
                }
            } else if incident.closed_ms.is_none() {
                incident.closed_ms = Some(at_ms);
            }
        }
        let named = snapshot.diagnosis.open().filter_map(Named::of).collect();
        self.moments.push(Moment { at_ms, named, tiers: figures(snapshot) });
    }

    /// The incidents in words, by seconds from a time on.
    pub fn told(&self, from_ms: u64) -> Vec<String> {
        let second = |at_ms: u64| at_ms.saturating_sub(from_ms) / 1000;
        let tell = |incident: &Incident| {
            let said: Vec<String> =
                incident.said.iter().map(|(at_ms, says)| format!("{} s {says}", second(*at_ms))).collect();
            let end = incident.closed_ms.map_or("open".to_owned(), |at_ms| format!("{} s over", second(at_ms)));
            format!("{}, {end}", said.join(", "))
        };
        self.incidents.values().map(tell).collect()
    }

    /// Incidents that were first shown from one time up to another.
    pub fn opened(&self, from_ms: u64, to_ms: u64) -> impl Iterator<Item = &Incident> {
        self.incidents.values().filter(move |incident| (from_ms..to_ms).contains(&incident.opened_ms))
    }
}

impl Named {
    fn of(view: &IncidentView) -> Option<Self> {
        let Verdict { tier, class, phase, confidence, alternatives, .. } = view.verdict.as_ref()?;
        Some(Self {
            incident: view.id,
            tier: tier.kind,
            tier_id: tier.id.clone(),
            class: class.clone(),
            phase: phase.map(tiertop_core::phase::Phase::number),
            confidence: *confidence,
            others: alternatives.iter().map(|other| other.tier.kind).collect(),
            doubted: !view.unexplained.is_empty(),
        })
    }
}

fn says(view: &IncidentView) -> String {
    let Some(verdict) = &view.verdict else { return view.unexplained.clone() };
    format!("{} {}", verdict.tier.id, verdict.class.as_deref().unwrap_or("of no class"))
}

fn figures(snapshot: &Snapshot) -> Vec<Figures> {
    let depths = depths(snapshot);
    let each = snapshot.tiers.iter().map(|tier| Figures {
        id: tier.id.clone(),
        kind: tier.kind,
        p95_ms: tier.p95_ms,
        self_ms: self_ms(tier, snapshot),
        depth: depths.get(tier.id.as_str()).copied().unwrap_or_default(),
    });
    each.collect()
}

/// Time a second that a tier's requests take, less what its calls take at its callees' means.
fn self_ms(tier: &TierView, snapshot: &Snapshot) -> Option<f64> {
    let whole = tier.requests_per_second? * mean_ms(tier)?;
    let calls = snapshot.edges.iter().filter(|edge| edge.from == tier.id).filter_map(|edge| {
        let callee = snapshot.tiers.iter().find(|callee| callee.id == edge.to)?;
        Some(edge.requests_per_second * mean_ms(callee)?)
    });
    Some(whole - calls.sum::<f64>())
}

/// The mean latency, by the middles of the buckets.
fn mean_ms(tier: &TierView) -> Option<f64> {
    let count: u64 = tier.distribution.iter().map(|bucket| bucket.count).sum();
    let middle = |lower: f64, upper: f64| f64::midpoint(lower, upper);
    let sum = tier.distribution.iter().map(|bucket| middle(bucket.lower_ms, bucket.upper_ms) * bucket.count as f64);
    (count > 0).then(|| sum.sum::<f64>() / count as f64)
}

/// How many calls each tier is behind those that nobody calls.
fn depths(snapshot: &Snapshot) -> BTreeMap<&str, usize> {
    let called: BTreeSet<&str> = snapshot.edges.iter().map(|edge| edge.to.as_str()).collect();
    let ids = snapshot.tiers.iter().map(|tier| tier.id.as_str());
    let mut level: Vec<&str> = ids.filter(|id| !called.contains(id)).collect();
    let mut depths = BTreeMap::new();
    let mut depth = 0;
    while !level.is_empty() {
        level.retain(|id| !depths.contains_key(id));
        depths.extend(level.iter().map(|id| (*id, depth)));
        let next = snapshot.edges.iter().filter(|edge| level.contains(&edge.from.as_str()));
        level = next.map(|edge| edge.to.as_str()).collect();
        depth += 1;
    }
    depths
}

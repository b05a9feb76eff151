//! The next wall: what ends growth first, and in which phase it is met.

use super::facts::Facts;
use super::headroom::{Gauge, LEAST_UTILISATION, Row};
use crate::phase::Phase;
use crate::snapshot::{CheckView, TierView, WallView};
use crate::tier::TierKind;

/// When a wall is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whenever no row before it is.
    Else,
    /// The system is a single box.
    SingleBox,
    /// The tier has one instance.
    OneInstance,
    /// Writes take most of the tier's time.
    MostlyWrites,
}

/// The phase that a full tier is the wall of.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// Tiers that it is about.
    pub kinds: &'static [TierKind],
    /// What of them is full.
    pub gauges: &'static [Gauge],
    /// When.
    pub when: When,
    /// The phase.
    pub phase: Phase,
    /// What is to be done then, in a few words.
    pub way_out: &'static str,
}

use TierKind::{App, Cache, DbPrimary, DbReplica, Edge, Lb, Nosql, ObjectStore, Queue, Warehouse, Web, Worker};

const fn wall(
    kinds: &'static [TierKind],
    gauges: &'static [Gauge],
    when: When,
    phase: Phase,
    way_out: &'static str,
) -> Wall {
    Wall { kinds, gauges, when, phase, way_out }
}

/// What a tier works with itself.
const WORK: &[Gauge] = &[Gauge::Cpu, Gauge::Workers];
/// What it holds of another.
const POOL: &[Gauge] = &[Gauge::Connections];

/// The walls; of several that fit the first holds.
#[rustfmt::skip]
pub const WALLS: &[Wall] = &[
    wall(&TierKind::ALL, WORK, When::SingleBox, Phase::SingleBox,
        "split application and database; a bigger instance as first aid"),
    wall(&[Edge, Lb, Web, App], WORK, When::OneInstance, Phase::WebTier,
        "several instances behind a balancer"),
    wall(&[Edge, Lb, Web, App], WORK, When::Else, Phase::Spikes,
        "more instances, by auto scaling"),
    wall(&[DbPrimary], WORK, When::MostlyWrites, Phase::Writes,
        "a queue before the writes; federation or shards"),
    wall(&[DbPrimary, DbReplica, Cache], WORK, When::Else, Phase::DatabaseReads,
        "cache more; read replicas; index the slow query"),
    wall(&[Nosql, ObjectStore, Queue, Worker, Warehouse], WORK, When::Else, Phase::Writes,
        "more workers or shards"),
    wall(&[Worker], POOL, When::Else, Phase::Writes,
        "fewer and shorter writes; a pooler (RDS Proxy) in front of the database"),
    wall(&TierKind::ALL, POOL, When::Else, Phase::DatabaseReads,
        "a pooler (RDS Proxy) in front of the database; cache and replicas for reads"),
];

/// The wall that comes next, best known first:
/// 1. one that was met: an open incident's or warning's;
/// 2. the tier that is full first, which by the utilisation law is the busiest;
/// 3. the first thing that the checklist misses.
pub(super) fn next(phase: Phase, rows: &[Row], checklist: &[CheckView], facts: &Facts<'_>) -> Option<WallView> {
    met(facts).or_else(|| full_first(phase, rows, facts)).or_else(|| missing(checklist))
}

/// A fleet that is too large is in trouble of another sort.
const NO_WALL: &str = "over-provisioned";

fn met(facts: &Facts<'_>) -> Option<WallView> {
    let verdicts = facts.snapshot.diagnosis.open().filter_map(|incident| incident.verdict.as_ref());
    let of_verdicts = verdicts
        .filter(|verdict| verdict.class.as_deref() != Some(NO_WALL))
        .filter_map(|verdict| Some((verdict.phase?, &verdict.tier.id, &verdict.title)));
    let open = facts.snapshot.warnings.iter().filter(|warning| warning.ended_unix_ms.is_none());
    let of_warnings = open
        .filter(|warning| warning.rule != NO_WALL)
        .filter_map(|warning| Some((warning.phase?, &warning.tier, &warning.title)));
    let (phase, tier, title) = of_verdicts.chain(of_warnings).next()?;
    Some(WallView {
        phase,
        tier: tier.clone(),
        because: format!("it is met: {title} at {tier}"),
        at_requests_per_second: None,
    })
}

fn full_first(phase: Phase, rows: &[Row], facts: &Facts<'_>) -> Option<WallView> {
    let first = rows.first()?;
    let busy = first.view.utilisation.filter(|busy| *busy >= LEAST_UTILISATION)?;
    let tier = facts.snapshot.tiers.iter().find(|tier| tier.id == first.view.tier)?;
    let wall = wall_of(phase, tier, first.gauge?)?;
    let known = rows.iter().filter(|row| row.view.utilisation.is_some()).count();
    let unknown = match rows.len() - known {
        0 => String::new(),
        count => format!(", of {count} it is unknown"),
    };
    let because = format!(
        "{} is the busiest of {known} tiers{unknown}: {:.0} %, {}; then {}",
        tier.id,
        busy * 100.0,
        first.view.source,
        wall.way_out
    );
    Some(WallView {
        phase: wall.phase,
        tier: tier.id.clone(),
        because,
        at_requests_per_second: first.view.full_at_requests_per_second,
    })
}

/// The row of the table for a tier that is full, in a system of this phase.
fn wall_of(phase: Phase, tier: &TierView, gauge: Gauge) -> Option<&'static Wall> {
    let holds = |when: When| match when {
        When::Else => true,
        When::SingleBox => phase == Phase::SingleBox,
        When::OneInstance => tier.live_instances().count() <= 1,
        When::MostlyWrites => write_share(tier).is_some_and(|share| share > 0.5),
    };
    WALLS.iter().find(|wall| wall.gauges.contains(&gauge) && wall.kinds.contains(&tier.kind) && holds(wall.when))
}

/// Statements that write, by the first word of their summary.
const WRITES: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT"];
/// Statements that are no work of their own.
const NEITHER: [&str; 5] = ["BEGIN", "COMMIT", "ROLLBACK", "SET", "other"];

/// Share of a database's time that goes into writes, or `None` where its statements are not known.
fn write_share(tier: &TierView) -> Option<f64> {
    let (mut writes, mut all) = (0.0, 0.0);
    for operation in &tier.operations {
        let verb = operation.name.split(' ').next().unwrap_or_default();
        let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(verb));
        if !is_one_of(&NEITHER) {
            all += operation.time_share;
            writes += if is_one_of(&WRITES) { operation.time_share } else { 0.0 };
        }
    }
    (all > 0.0).then(|| writes / all)
}

fn missing(checklist: &[CheckView]) -> Option<WallView> {
    let check = checklist.iter().find(|check| check.answer == Some(false))?;
    Some(WallView {
        phase: check.phase,
        tier: String::new(),
        because: format!("{} No: {}", check.question, check.evidence),
        at_requests_per_second: None,
    })
}

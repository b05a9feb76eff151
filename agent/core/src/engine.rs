//! The engine: observations in, a snapshot a second out. Synchronous, single-threaded, without a clock.
//!
//! `handle` sorts what arrived into members, edges and signals, by event time. `tick`, once a second,
//! closes seconds, learns roles, judges warnings and draws the [`Snapshot`].
//!
//! A batch is taken in two passes: first all its spans go into the ring of recent spans, then each is
//! counted with its family around it. What arrives later is put right by whichever half comes second.

mod choosing;
mod count;
mod detail;
mod edges;
mod history;
mod inferred;
mod kept;
mod learn;
mod look;
mod members;
mod metrics;
pub mod naming;
mod processes;
mod ring;
mod roles;
mod routes;
mod signals;
mod stalls;
mod sweep;
mod view;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::capacity::Capacity;
use crate::choice::{ChoiceRules, Chosen};
use crate::config::Config;
use crate::diagnosis::live::{Live, Told};
use crate::observation::{Batch, DetailRef};
use crate::snapshot::{IngestCounts, ReasonCount, Snapshot};
use crate::time::{NANOS_PER_SECOND, UnixNanos, UnixSecond};
use crate::warning::Warnings;
use choosing::Choosing;
use edges::Edges;
use history::Shed;
use kept::KeptTraces;
use members::Members;
use metrics::Metrics;
use processes::{ProcessId, Processes};
use ring::{Place, Ring};
use routes::{Route, Routes};
use signals::Signals;
use stalls::Stalls;

/// Added to the delay of spans, so that a tick does not just miss what it waits for.
const TICK_MARGIN_NANOS: u64 = 20_000_000;

/// See the module's text.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    started: UnixNanos,
    now: UnixNanos,
    /// The last second that takes nothing more.
    closed: UnixSecond,
    processes: Processes,
    members: Members,
    edges: Edges,
    routes: Routes,
    ring: Ring,
    /// Requests to be looked at, and when.
    looks: VecDeque<(UnixNanos, Place)>,
    metrics: Metrics,
    signals: Signals,
    warnings: Warnings,
    stalls: Stalls,
    kept: KeptTraces,
    choosing: Option<Choosing>,
    diagnosis: Live,
    capacity: Capacity,
    spans_accepted: u64,
    spans_late: u64,
    spans_future: u64,
    spans_detail: u64,
    points_accepted: u64,
    points_unused: u64,
    logs_accepted: u64,
    routes_forgotten: u64,
    slots_shed: u64,
    next_sweep: UnixSecond,
    rate: view::SpanRate,
    closing: view::Closing,
}

impl Engine {
    /// An engine that starts at `now`.
    pub fn new(config: Config, now: UnixNanos) -> Self {
        let ring = Ring::new(config.limits.recent_spans);
        let diagnosis = Live::new(config.limits.trace_bytes, config.limits.routes).told(Told::of(&config));
        let capacity = Capacity::new(config.capacity);
        let warnings = Warnings::new(Arc::clone(&config.thresholds), config.time);
        let choosing = config.choice.clone().map(|rules| Choosing::new(rules, now));
        let closed = closed_at(now, config.time.lateness_s);
        Self {
            started: now,
            now,
            closed,
            config,
            processes: Processes::default(),
            members: Members::default(),
            edges: Edges::default(),
            routes: Routes::default(),
            ring,
            looks: VecDeque::new(),
            metrics: Metrics::default(),
            signals: Signals::default(),
            warnings,
            stalls: Stalls::default(),
            kept: KeptTraces::default(),
            choosing,
            diagnosis,
            capacity,
            spans_accepted: 0,
            spans_late: 0,
            spans_future: 0,
            spans_detail: 0,
            points_accepted: 0,
            points_unused: 0,
            logs_accepted: 0,
            routes_forgotten: 0,
            slots_shed: 0,
            next_sweep: now.second(),
            rate: view::SpanRate::default(),
            closing: view::Closing::after(closed),
        }
    }

    /// Takes in one batch that arrived at `now`. Time never runs backwards: an earlier `now` counts as the last.
    pub fn handle(&mut self, batch: &Batch, now: UnixNanos) {
        self.advance(now);
        let limit = self.config.limits.processes;
        let processes: Vec<ProcessId> =
            batch.resources.iter().map(|resource| self.processes.resolve(resource, limit, self.now)).collect();
        for &process in &processes {
            self.processes.heard_from(process, self.now);
        }
        self.points_accepted += batch.point_count();
        self.points_unused += batch.points_unused;
        self.logs_accepted += batch.log_records;
        self.take_spans(batch, &processes);
        self.diagnosis.take(batch);
        for metric in &batch.metrics {
            self.take_metric(metric, processes[metric.resource as usize]);
        }
    }

    fn take_spans(&mut self, batch: &Batch, processes: &[ProcessId]) {
        if self.routes.is_full(&self.config.limits) {
            // Too many distinct shapes: begin anew rather than grow. The ring points into the table, so it goes too.
            self.routes_forgotten += 1;
            self.routes = Routes::default();
            self.ring = Ring::new(self.config.limits.recent_spans);
            self.looks.clear();
            self.stalls.forget_indices();
            self.kept.forget_indices();
            if let Some(choosing) = &mut self.choosing {
                choosing.forget_indices();
            }
        }
        let routes: Vec<(u32, ProcessId)> = batch
            .shapes
            .iter()
            .map(|shape| {
                let process = processes[shape.resource as usize];
                let mut tables = routes::Tables {
                    processes: &mut self.processes,
                    members: &mut self.members,
                    edges: &mut self.edges,
                    limits: &self.config.limits,
                    now: self.now,
                };
                (self.routes.resolve(shape, process, &mut tables), process)
            })
            .collect();
        self.meet_routes(&routes);
        let newest = self.newest_second();
        let places: Vec<(Place, bool)> = batch
            .spans
            .iter()
            .map(|span| {
                let (route, process) = routes[span.shape as usize];
                let late = span.end.second() <= self.closed;
                self.spans_late += u64::from(late);
                self.spans_future += u64::from(span.end.second() > newest);
                let source = self.processes.get_mut(process);
                source.spans += 1;
                source.late += u64::from(late);
                source.delay.observe(self.now.nanos_since(span.end));
                let Route { kind, plan, failed, .. } = *self.routes.get(route);
                let (place, had_children) = self.ring.insert(span, kind, process.0, route, count::whole_weight(span));
                if !late && span.end.second() <= newest {
                    self.stalls.note(span, (route, &plan), process, &self.members);
                    self.kept.note(span, place, (route, failed));
                }
                if let Some(choosing) = &mut self.choosing {
                    self.ring.set_detail(place, DetailRef::new(batch.body, span.offset));
                    choosing.note(span, place, (route, failed));
                }
                (place, had_children)
            })
            .collect();
        self.spans_accepted += batch.spans.len() as u64 + batch.spans_ignored;
        for (span, (place, had_children)) in batch.spans.iter().zip(places) {
            let first = span.links_start as usize;
            let links = batch.links.get(first..first + usize::from(span.links_len)).unwrap_or_default();
            self.count(place, had_children, links);
        }
        self.look_around();
    }

    /// Closes what is due, learns, judges, and draws the snapshot of `now`. To be called once a second.
    pub fn tick(&mut self, now: UnixNanos, ingest: &IngestCounts) -> Snapshot {
        self.advance(now);
        let now_second = self.now.second();
        for (_, member) in self.members.all_mut() {
            member.tick(self.closed, now_second);
            member.lookups.expire(now_second);
            if let Some(flow) = &mut member.flow {
                flow.close(self.closed, now_second);
            }
        }
        let edges: Vec<UnixSecond> = self.members.all().map(|(_, member)| self.window(member).1).collect();
        for ((_, member), edge) in self.members.all_mut().zip(edges) {
            member.infer(edge);
        }
        self.edges.tick(self.closed, now_second);
        self.processes.tick();
        self.signals.tick(self.now, self.config.limits.signals);
        self.look_around();
        self.learn_roles();
        self.sweep();
        self.find_stalls();
        self.keep_traces();
        self.keep_under_ceiling();
        self.rate.tick(self.spans_accepted, self.now);
        let mut snapshot = self.view(ingest);
        self.warnings.judge(&mut snapshot);
        let mut diagnosis = std::mem::replace(&mut self.diagnosis, Live::new(0, 0));
        diagnosis.judge(&mut snapshot, self.traces_settled(), || self.tier_names());
        self.diagnosis = diagnosis;
        self.choose_traces(&snapshot.diagnosis);
        self.capacity.judge(&mut snapshot);
        self.complete_closed_seconds(&mut snapshot);
        snapshot
    }

    /// The traces that were chosen since this was last asked; to be asked after each tick.
    pub fn take_chosen(&mut self) -> Chosen {
        self.choosing.as_mut().map(Choosing::take).unwrap_or_default()
    }

    /// Changes which traces are chosen, if any are.
    pub fn set_choice(&mut self, rules: ChoiceRules) {
        if let Some(mut choosing) = self.choosing.take() {
            choosing.set_rules(rules, |process, route| self.request_of(process, route));
            self.choosing = Some(choosing);
        }
    }

    /// The last snapshot: closes every second, since nothing more will come.
    pub fn finish(&mut self, now: UnixNanos, ingest: &IngestCounts) -> Snapshot {
        self.advance(now);
        self.closed = self.closed.max(self.newest_second());
        if let Some(choosing) = &mut self.choosing {
            choosing.expect_no_more();
        }
        self.tick(now, ingest)
    }

    /// Until when all spans have had time to arrive, and those that they are part of to end.
    fn traces_settled(&self) -> UnixNanos {
        let delay_nanos = (self.longest_delay_s() * 1e9) as u64;
        self.now.minus_nanos((delay_nanos + TICK_MARGIN_NANOS).min(self.config.time.lateness_s * NANOS_PER_SECOND))
    }

    fn longest_delay_s(&self) -> f64 {
        self.members.all().filter_map(|(_, member)| member.delay.seconds()).fold(0.0, f64::max)
    }

    /// When to tick after `now`: half a second from now at least, and then as soon as a whole second
    /// has settled, judged by how late after their end spans lately came.
    pub fn next_tick(&self, now: UnixNanos) -> UnixNanos {
        let delay = self.longest_delay_s();
        let settling = ((delay.fract() * 1e9) as u64).saturating_add(TICK_MARGIN_NANOS) % NANOS_PER_SECOND;
        let earliest = now.plus_nanos(NANOS_PER_SECOND / 2);
        let candidate = earliest.second().start().plus_nanos(settling);
        if candidate < earliest { candidate.plus_nanos(NANOS_PER_SECOND) } else { candidate }
    }

    fn advance(&mut self, now: UnixNanos) {
        self.now = self.now.max(now);
        self.closed = self.closed.max(closed_at(self.now, self.config.time.lateness_s));
    }

    /// The latest second that a span may be counted in; a clock further ahead is wrong.
    fn newest_second(&self) -> UnixSecond {
        self.now.second().plus(self.config.time.future_s)
    }

    /// Estimated bytes of all tables.
    fn heap_bytes(&self) -> usize {
        self.processes.heap_bytes()
            + self.members.heap_bytes()
            + self.edges.heap_bytes()
            + self.routes.heap_bytes()
            + self.ring.heap_bytes()
            + self.metrics.heap_bytes()
            + self.signals.heap_bytes()
            + self.diagnosis.heap_bytes()
            + self.stalls.heap_bytes()
            + self.kept.heap_bytes()
            + self.choosing.as_ref().map_or(0, Choosing::heap_bytes)
            + self.closing.heap_bytes()
    }

    /// Over the ceiling detail is given up, the least missed first, edges before members.
    fn keep_under_ceiling(&mut self) {
        let now = self.now.second();
        for what in Shed::ORDER {
            if self.heap_bytes() <= self.config.limits.bytes {
                return;
            }
            self.slots_shed += self.edges.shed(what, now);
            self.slots_shed += self.members.all_mut().map(|(_, member)| member.history.shed(what, now)).sum::<u64>();
            if what == Shed::OldScalars {
                self.slots_shed += self.signals.shed();
            }
        }
        while self.heap_bytes() > self.config.limits.bytes {
            let shed = self.diagnosis.shed();
            if shed == 0 {
                return;
            }
            self.slots_shed += shed;
        }
    }

    /// What was given up to stay under a ceiling.
    fn evictions(&self) -> Vec<ReasonCount> {
        let all = [
            ("operations folded into \"other\"", self.members.operations_folded),
            ("services and peers folded into \"other\"", self.members.folded),
            ("processes folded into \"other\"", self.processes.folded),
            ("calls on edges over the limit", self.edges.folded),
            ("metric series over the limit", self.metrics.refused),
            ("signals over the limit", self.signals.refused),
            ("classifications forgotten, with the recent spans", self.routes_forgotten),
            ("slots of history given up for memory", self.slots_shed),
        ];
        let given_up = all.into_iter().filter(|(_, count)| *count > 0);
        given_up.map(|(reason, count)| ReasonCount { reason: reason.to_owned(), count }).collect()
    }
}

/// The last second that is closed at `now`: it ended `lateness_s` ago.
fn closed_at(now: UnixNanos, lateness_s: u64) -> UnixSecond {
    now.second().minus(lateness_s + 1)
}

#[cfg(test)]
mod tests;

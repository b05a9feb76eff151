//! A shop at work: requests as spans, by true time.
//!
//! Work takes a logarithmic normal time with a heavy tail, and so does each way between two. Every service has
//! one to three pods, of which each request takes any.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal};

use super::fault::{Fault, FaultKind};
use super::plan::{Operation, Shop};

/// Spread of the logarithms of what work takes.
const SPREAD: f64 = 0.25;
/// One piece of work in so many meets something, such as a collection of garbage.
const HICCUP_ONE_IN: u32 = 80;
/// Milliseconds between requests, on average.
const BETWEEN_MS: f64 = 500.0;

/// A span by true time, milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Spanned {
    pub(crate) trace: u64,
    pub(crate) id: u64,
    /// 0 for a root.
    pub(crate) parent: u64,
    pub(crate) part: Part,
    pub(crate) service: &'static str,
    pub(crate) pod: usize,
    pub(crate) name: String,
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    pub(crate) failed: bool,
}

/// What a span shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Served,
    Called,
    Inside,
}

/// One play of a shop.
pub(crate) struct Play<'a> {
    shop: &'a Shop,
    fault: Option<Fault>,
    pods: BTreeMap<&'static str, usize>,
    dice: StdRng,
    next: u64,
    trace: u64,
    spans: Vec<Spanned>,
}

/// Who is at work: a pod of a service, and the span that holds what it asks for.
#[derive(Clone, Copy)]
struct At {
    service: &'static str,
    pod: usize,
    above: u64,
}

/// Plays so many requests from a point in time on. `pods` says how many each service has; the mix of routes is
/// of the seed.
pub(crate) fn play(
    shop: &Shop,
    fault: Option<Fault>,
    pods: &BTreeMap<&'static str, usize>,
    requests: usize,
    from_ms: f64,
    seed: u64,
) -> Vec<Spanned> {
    let mut dice = StdRng::seed_from_u64(seed);
    let routes: Vec<(&str, f64)> =
        shop.routes.iter().map(|(route, weight)| (*route, weight * dice.random_range(0.6..1.7))).collect();
    let mut play = Play { shop, fault, pods: pods.clone(), dice, next: seed << 24, trace: 0, spans: Vec::new() };
    let mut at = from_ms;
    for _ in 0..requests {
        at += BETWEEN_MS * -(1.0 - play.dice.random::<f64>()).ln();
        let route = *routes.choose_weighted(&mut play.dice, |route| route.1).expect("routes that are asked for");
        play.trace = play.id();
        let front = shop.operation(route.0);
        let pod = play.pod(front.service());
        play.serve(front, Some(shop.front_name), at, 0, pod);
    }
    play.spans
}

impl Play<'_> {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn pod(&mut self, service: &str) -> usize {
        let count = self.pods.get(service).copied().unwrap_or(1);
        self.dice.random_range(0..count)
    }

    /// Whether the fault is at this pod.
    fn hit(&self, service: &str, pod: usize) -> Option<FaultKind> {
        self.fault.filter(|fault| fault.service == service && (pod == 0 || !fault.one_pod)).map(|fault| fault.kind)
    }

    fn around(&mut self, ms: f64) -> f64 {
        let spread = LogNormal::new(ms.ln(), SPREAD).expect("a finite spread");
        let tail = if self.dice.random_ratio(1, HICCUP_ONE_IN) { self.dice.random_range(3.0..12.0) } else { 1.0 };
        spread.sample(&mut self.dice) * tail
    }

    /// How long a piece of an operation's work takes.
    fn work(&mut self, operation: &Operation, pod: usize, share: f64) -> f64 {
        let usual = self.around(operation.work_ms * share);
        match self.hit(operation.service(), pod) {
            Some(FaultKind::Cpu { times }) => usual * (1.0 + (times - 1.0) * self.dice.random_range(0.5..1.5)),
            Some(FaultKind::OneOperation { operation: name, times }) if name == operation.name() => usual * times,
            _ => usual,
        }
    }

    /// Serves an operation. Returns when it ended and whether it failed.
    fn serve(
        &mut self,
        operation: &'static Operation,
        name: Option<&'static str>,
        at: f64,
        parent: u64,
        pod: usize,
    ) -> (f64, bool) {
        let id = self.id();
        let service = operation.service();
        let fails =
            matches!(self.hit(service, pod), Some(FaultKind::Exception { share }) if self.dice.random_bool(share));
        let own = At { service, pod, above: id };
        let begin = self.spans.len();
        let (mut end, mut failed) = (at + self.work(operation, pod, 0.08), fails);
        if fails {
            end += 0.3;
        } else if operation.inside.is_empty() {
            (end, failed) = self.do_work(operation, own, end, &[]);
        } else {
            let controller = self.id();
            let inner = At { above: controller, ..own };
            let from = end;
            (end, failed) = self.do_work(operation, inner, end, &operation.inside[1..]);
            self.put(controller, id, Part::Inside, own, operation.inside[0].to_owned(), (from, end), failed);
        }
        end += self.work(operation, pod, 0.05);
        if let Some(beside) = self.shop.waits_beside.filter(|_| parent == 0) {
            // It ends before its call does, or after it.
            let [from, to] = [at + 0.4, end - self.dice.random_range(0.02..0.3)];
            let waiting = self.id();
            self.put(waiting, id, Part::Inside, own, beside.to_owned(), (from, to), false);
        }
        let name = name.unwrap_or(operation.name());
        self.put(id, parent, Part::Served, own, name.to_owned(), (at, end), failed);
        self.spans[begin..].iter_mut().for_each(|span| span.trace = self.trace);
        (end, failed)
    }

    /// The work of an operation, before, between and after what it asks for.
    fn do_work(&mut self, operation: &'static Operation, own: At, at: f64, spans: &[&str]) -> (f64, bool) {
        let (mut now, mut failed) = (at, false);
        let before = if operation.asks.is_empty() { 0.8 } else { 0.4 };
        let took = self.work(operation, own.pod, before);
        self.nest(own, spans, (now, now + took));
        now += took;
        let between = 0.4 / operation.asks.len().max(1) as f64;
        for group in operation.asks {
            let mut ends = now;
            for asked in *group {
                let (id, times) =
                    asked.split_once('*').map_or((*asked, 1), |(id, times)| (id, times.parse().unwrap_or(1)));
                let mut at = now + self.dice.random_range(0.0..0.03);
                for _ in 0..times {
                    let (end, one_failed) = self.call(own, self.shop.operation(id), at);
                    failed |= one_failed;
                    at = end + 0.02;
                }
                ends = ends.max(at);
            }
            now = ends + self.work(operation, own.pod, between);
        }
        (now + self.work(operation, own.pod, 0.07), failed)
    }

    /// Spans of own work, one in the other.
    fn nest(&mut self, own: At, names: &[&str], (from, to): (f64, f64)) {
        let (mut above, mut from, mut to) = (own.above, from, to);
        for name in names {
            let id = self.id();
            let margin = (to - from) * 0.1;
            (from, to) = (from + margin, to - margin);
            self.put(id, above, Part::Inside, own, (*name).to_owned(), (from, to), false);
            above = id;
        }
    }

    /// Asks another service, over the network. Returns when the answer was there and whether it failed.
    fn call(&mut self, from: At, operation: &'static Operation, at: f64) -> (f64, bool) {
        let id = self.id();
        let pod = self.pod(operation.service());
        let mut later = 0.0;
        for (service, pod) in [(from.service, from.pod), (operation.service(), pod)] {
            if let Some(FaultKind::Network { ms }) = self.hit(service, pod) {
                later += ms * self.dice.random_range(0.9..1.1);
            }
        }
        let [there, back] = [self.around(self.shop.way_ms), self.around(self.shop.way_ms)];
        let (end, failed) = self.serve(operation, None, at + there + later / 2.0, id, pod);
        let end = end + back + later / 2.0;
        // Calls over HTTP carry no more than the method; those over gRPC say what they call.
        let name = if operation.name().starts_with('/') {
            "HTTP GET".to_owned()
        } else {
            format!("shop.{}", operation.name())
        };
        self.put(id, from.above, Part::Called, from, name, (at, end), failed);
        (end, failed)
    }

    #[expect(clippy::too_many_arguments, reason = "a span has as many parts")]
    fn put(
        &mut self,
        id: u64,
        parent: u64,
        part: Part,
        at: At,
        name: String,
        (from_ms, to_ms): (f64, f64),
        failed: bool,
    ) {
        let At { service, pod, .. } = at;
        let rounded = self.shop.rounds_starts && part == Part::Served;
        let from_ms = if rounded { from_ms.floor() } else { from_ms };
        self.spans.push(Spanned { trace: self.trace, id, parent, part, service, pod, name, from_ms, to_ms, failed });
    }
}

//! Simulated proxies: edge, balancer and web, which pass a request on to the least busy healthy instance.

use std::rc::Rc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use rand::RngExt;

use crate::sim::app;
use crate::sim::expiring::Found;
use crate::sim::http::{Answer, Ask, Request, Serving};
use crate::sim::instance::{Instance, Life};
use crate::sim::measures::Labels;
use crate::sim::names::{self, number, text, texts, with};
use crate::sim::part::{Upstream, Upstreams};
use crate::sim::spans::OpenSpan;
use crate::sim::wire::CallError;
use crate::sim::world::World;
use crate::topology::Role;

/// Longest wait for the next tier's answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long an instance that could not be reached is passed over.
const REST: Duration = Duration::from_secs(2);

/// How often instances are checked, and how long a check waits for its answer.
const CHECK: Duration = Duration::from_millis(500);

/// Checks in a row that take an instance out or bring it back.
const CHECKS: u32 = 2;

/// How long an asset may be kept.
const MAX_AGE: Duration = Duration::from_mins(1);

/// From which share of the limit on lists are shed.
const LISTS_FROM: f64 = 0.8;

/// Answers a request at the process that takes it.
pub(super) async fn answer(world: Rc<World>, of: Rc<Instance>, request: Request) -> Answer {
    let mut serving = Serving::new(&of, request);
    let inside = Request { context: Some(serving.span.context()), ..request };
    let answer = match of.role.get() {
        Role::Edge => at_edge(&world, &of, inside, &mut serving.span).await,
        Role::LoadBalancer if shed(&world, &of, inside) => Answer::of(429),
        Role::LoadBalancer | Role::Web => forward(&world, &of, inside).await,
        _ => app::answer(&world, &of, inside).await,
    };
    serving.answered(answer)
}

async fn at_edge(world: &Rc<World>, of: &Rc<Instance>, request: Request, span: &mut OpenSpan) -> Answer {
    let Some(edge) = &of.part.edge else { return Answer::of(500) };
    let says = |span: &mut OpenSpan, status: &str| {
        span.set(|| texts("http.response.header.cache-status", status));
    };
    let key = match request.ask {
        Ask::Asset { rank } if request.cacheable() => rank as i64,
        Ask::Item { .. } | Ask::List { .. } | Ask::Asset { .. } => {
            says(span, "edge; fwd=miss");
            return forward(world, of, request).await;
        }
        Ask::Write | Ask::Upload | Ask::LogIn { .. } => {
            says(span, "edge; fwd=method");
            return forward(world, of, request).await;
        }
    };
    let found = edge.answers.borrow_mut().get(key, of.clock().now());
    if let Found::Fresh(_) = found {
        edge.hits.set(edge.hits.get() + 1);
        says(span, "edge; hit");
        return Answer::of(200);
    }
    edge.misses.set(edge.misses.get() + 1);
    let answer = forward(world, of, request).await;
    if answer.status >= 500 && found == Found::Expired && world.settings.stale_while_down {
        says(span, &format!("edge; fwd=stale; fwd-status={}", answer.status));
        return Answer::of(200);
    }
    says(span, if found == Found::Expired { "edge; fwd=stale; stored" } else { "edge; fwd=miss; stored" });
    if answer.success() {
        edge.answers.borrow_mut().set(key, 1_000, of.clock().now() + MAX_AGE);
    }
    answer
}

/// Whether the balancer has no room for a request: a bucket that holds one second of the limit.
fn shed(world: &World, of: &Instance, request: Request) -> bool {
    let (Some(limit), Some(upstreams)) = (world.settings.most_requests_per_second, &of.part.upstreams) else {
        return false;
    };
    let now = of.clock().now();
    let (left, then) = upstreams.bucket.get().unwrap_or((limit, now));
    let left = (left + limit * now.saturating_sub(then).as_secs_f64()).min(limit);
    let keeps = if matches!(request.ask, Ask::List { .. }) { limit * (1.0 - LISTS_FROM) } else { 0.0 };
    let full = left - 1.0 < keeps;
    upstreams.bucket.set(Some((if full { left } else { left - 1.0 }, now)));
    full
}

fn next_tier(role: Role) -> Role {
    match role {
        Role::Edge => Role::LoadBalancer,
        Role::LoadBalancer => Role::Web,
        _ => Role::App,
    }
}

/// Passes a request on; one that nobody has begun to answer is passed on again.
async fn forward(world: &Rc<World>, of: &Rc<Instance>, request: Request) -> Answer {
    let Some(upstreams) = &of.part.upstreams else { return Answer::of(500) };
    let mut all = world.all(next_tier(of.role.get()));
    all.retain(|instance| !instance.leaving.get());
    let mut failure = CallError::NoAddress;
    let mut broke = false;
    for _ in 0..all.len() {
        let uneven = if of.role.get() == Role::LoadBalancer { world.uneven.get() } else { 0.0 };
        let Some(next) = pick(of, upstreams, &all, uneven) else { return Answer::of(503) };
        let asked = {
            let _outstanding = Outstanding::new(upstreams, &next);
            ask(world, of, &next, request).await
        };
        match asked {
            Ok(answer) => return answer,
            Err(CallError::Unreachable) => {
                let until = of.clock().now() + REST;
                upstreams.change(&next, |upstream| upstream.rests_until = until);
                failure = CallError::Unreachable;
            }
            Err(CallError::Broken) if request.method() == "GET" && !broke => {
                (failure, broke) = (CallError::Broken, true);
            }
            Err(other) => {
                failure = other;
                break;
            }
        }
    }
    Answer::of(if failure == CallError::Timeout { 504 } else { 502 })
}

/// Returns the healthy instance with the least outstanding requests, in turn, of equals one that is near; any
/// one when none is healthy.
fn pick(of: &Instance, upstreams: &Upstreams, all: &[Rc<Instance>], uneven: f64) -> Option<Rc<Instance>> {
    let draw: f64 = of.ground.random.borrow_mut().random();
    if draw < uneven {
        return all.first().cloned();
    }
    let turn = upstreams.turn.get();
    upstreams.turn.set(turn.wrapping_add(1));
    let known = upstreams.known.borrow();
    let now = of.clock().now();
    let state = |instance: &Instance| known.get(&instance.seat.name).copied().unwrap_or_default();
    let rotated = (0..all.len()).map(|number| &all[(turn + number) % all.len()]);
    let healthy = |instance: &&Rc<Instance>| {
        let state = state(instance);
        !state.out && state.rests_until <= now
    };
    let far = |instance: &Instance| of.role.get() == Role::Web && instance.seat.zone != of.seat.zone;
    let least = rotated.clone().filter(healthy).min_by_key(|instance| (state(instance).outstanding, far(instance)));
    least.or_else(|| rotated.clone().next()).cloned()
}

/// Counts a request to an instance for as long as this lives, also when who waits for it gives it up.
struct Outstanding<'a>(&'a Upstreams, &'a Instance);

impl<'a> Outstanding<'a> {
    fn new(upstreams: &'a Upstreams, to: &'a Instance) -> Self {
        upstreams.change(to, |upstream| upstream.outstanding += 1);
        Self(upstreams, to)
    }
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        self.0.change(self.1, |upstream| upstream.outstanding = upstream.outstanding.saturating_sub(1));
    }
}

impl Upstreams {
    fn change(&self, instance: &Instance, change: impl FnOnce(&mut Upstream)) {
        change(self.known.borrow_mut().entry(instance.seat.name.clone()).or_default());
    }
}

/// Sends the request to one upstream, inside its CLIENT span.
async fn ask(world: &Rc<World>, of: &Rc<Instance>, next: &Rc<Instance>, request: Request) -> Result<Answer, CallError> {
    let method = request.method();
    let mut span = OpenSpan::new(of, request.context, SpanKind::Client, method, || {
        with(
            &next.peer,
            [
                text("http.request.method", method),
                text("url.full", format!("http://{}{}", next.address, request.path())),
                text("network.protocol.version", "1.1"),
            ],
        )
    });
    let since = of.clock().now();
    let onward = Request { context: Some(span.context().sent()), ..request };
    // A proxy asks a proxy: without a box the future would hold itself.
    let work: std::pin::Pin<Box<dyn Future<Output = Answer>>> =
        Box::pin(answer(Rc::clone(world), Rc::clone(next), onward));
    let result = of.clock().timeout(TIMEOUT, world.call(of, next, work)).await.unwrap_or(Err(CallError::Timeout));

    let mut labels = Labels { name: method, port: next.address.port(), ..Labels::default() };
    match &result {
        Ok(answer) => {
            labels.status = answer.status;
            span.set(|| number("http.response.status_code", i64::from(answer.status)));
            if answer.status >= 400 {
                span.fail(&answer.status.to_string(), "");
            }
        }
        Err(failure) => {
            labels.error = failure.kind();
            span.fail(failure.kind(), "");
        }
    }
    let took = of.clock().since(since).as_secs_f64();
    of.series.borrow_mut().record(&names::CLIENT_DURATION, labels, (took, 1), || {
        let mut all = with(&next.peer, [text("http.request.method", method)]);
        if labels.status > 0 {
            all.push(number("http.response.status_code", i64::from(labels.status)));
        }
        if labels.status >= 400 {
            all.push(text("error.type", labels.status.to_string()));
        } else if !labels.error.is_empty() {
            all.push(text("error.type", labels.error));
        }
        all
    });
    result
}

/// Checks the next tier's instances, for as long as it is polled.
pub(super) async fn check(world: Rc<World>, of: Rc<Instance>) {
    loop {
        of.clock().sleep(CHECK).await;
        for next in world.all(next_tier(of.role.get())) {
            let (of, within) = (Rc::clone(&of), Rc::clone(&of));
            of.clock().clone().spawn(async move {
                let _ = within.within(check_one(of, next)).await;
            });
        }
    }
}

async fn check_one(of: Rc<Instance>, next: Rc<Instance>) {
    let mut well = next.life() == Life::Running;
    if next.life() == Life::Frozen {
        of.clock().sleep(CHECK).await;
        well = next.life() == Life::Running;
    }
    let Some(upstreams) = &of.part.upstreams else { return };
    upstreams.change(&next, |upstream| {
        (upstream.passed, upstream.failed) = if well { (upstream.passed + 1, 0) } else { (0, upstream.failed + 1) };
        if upstream.failed >= CHECKS {
            upstream.out = true;
        } else if upstream.passed >= CHECKS {
            upstream.out = false;
        }
    });
}

/// Tells the metrics how many instances of the next tier are healthy, by zone.
pub(super) fn observe(world: &World, of: &Instance) {
    let Some(upstreams) = &of.part.upstreams else { return };
    let known = upstreams.known.borrow();
    let mut series = of.series.borrow_mut();
    let all = world.all(next_tier(of.role.get()));
    for zone in [crate::topology::Zone::A, crate::topology::Zone::B] {
        let here: Vec<_> = all.iter().filter(|instance| instance.seat.zone == zone).collect();
        if here.is_empty() {
            continue;
        }
        let out = here.iter().filter(|there| known.get(&there.seat.name).is_some_and(|state| state.out)).count();
        for (measure, count) in [(&names::HEALTHY, here.len() - out), (&names::UNHEALTHY, out)] {
            series.set(measure, Labels::of(zone.name()), count as f64, || {
                vec![text("cloud.availability_zone", zone.name())]
            });
        }
    }
}

//! One simulated process: its life, its processor, its telemetry.
//!
//! What a process does runs *within* it: while it is frozen or computes, nothing in it moves; when it
//! dies, all of it is dropped, and whoever waits for it learns that the connection broke.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use rand::rngs::StdRng;

use crate::sim::Export;
use crate::sim::clock::{Clock, Time};
use crate::sim::measures::Series;
use crate::sim::names::{self, text};
use crate::sim::part::Part;
use crate::sim::servers::Servers;
use crate::telemetry::attributes;
use crate::topology::{REGION, Role, Seat};

/// How often spans leave a process.
const SPAN_PACE: Duration = Duration::from_millis(500);

/// How often a process watches how late its timers are.
const WATCH: Duration = Duration::from_millis(10);

/// How long a process goes on that gets nothing new, as in the real fleet.
const DRAIN: Duration = Duration::from_millis(500);

/// What all processes stand on.
pub(super) struct Ground {
    pub(super) clock: Clock,
    pub(super) random: RefCell<StdRng>,
    /// The time zero of the clock, in nanoseconds since the Unix epoch.
    pub(super) epoch: u64,
    pub(super) exports: RefCell<VecDeque<Export>>,
    /// Share of new traces that is kept.
    pub(super) kept: Cell<f64>,
}

impl Ground {
    /// Returns now in nanoseconds since the Unix epoch.
    pub(super) fn unix_nanos(&self) -> u64 {
        self.epoch + self.clock.now().as_nanos() as u64
    }
}

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It does.
    Running,
    /// It is stopped, and can go on.
    Frozen,
    /// It is gone, and its port is closed.
    Dead,
}

/// The process was gone before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Died;

/// A process.
pub(super) struct Instance {
    pub(super) seat: Seat,
    /// What it does; a standby becomes a primary.
    pub(super) role: Cell<Role>,
    pub(super) address: SocketAddr,
    /// The attributes by which its clients address it.
    pub(super) peer: Vec<KeyValue>,
    pub(super) ground: Rc<Ground>,
    pub(super) servers: Servers,
    pub(super) part: Part,
    pub(super) started: Time,
    pub(super) series: RefCell<Series>,
    /// Bytes of memory that it leaked.
    pub(super) leaked: Cell<f64>,
    /// Whether it finishes what it has begun, and gets nothing new.
    pub(super) leaving: Cell<bool>,
    life: Cell<Life>,
    /// Whether its one thread computes and does nothing else.
    computing: Cell<bool>,
    /// Since when nothing moves in it.
    halted: Cell<Time>,
    waiting: RefCell<Vec<Waker>>,
    processor: Processor,
    resource: Resource,
    spans: RefCell<Vec<Span>>,
}

/// Processor time that was used, and how late timers were.
#[derive(Default)]
struct Processor {
    used: Cell<Duration>,
    told: Cell<(Time, Duration)>,
    /// By how much timers were late since this was told last, in order.
    late: RefCell<Vec<Duration>>,
}

/// What a new process is made of.
pub(super) struct Birth {
    pub(super) seat: Seat,
    pub(super) address: SocketAddr,
    pub(super) version: &'static str,
    pub(super) servers: Servers,
    pub(super) part: Part,
}

impl Instance {
    pub(super) fn new(birth: Birth, ground: Rc<Ground>) -> Self {
        let Birth { seat, address, version, servers, part } = birth;
        Self {
            role: Cell::new(seat.role),
            address,
            peer: names::node(seat.role, address),
            resource: resource(&seat, address, version),
            started: ground.clock.now(),
            seat,
            servers,
            part,
            series: RefCell::default(),
            leaked: Cell::new(0.0),
            leaving: Cell::new(false),
            life: Cell::new(Life::Running),
            computing: Cell::new(false),
            halted: Cell::new(Duration::ZERO),
            waiting: RefCell::default(),
            processor: Processor { told: Cell::new((ground.clock.now(), Duration::ZERO)), ..Default::default() },
            spans: RefCell::default(),
            ground,
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.ground.clock
    }

    /// Where its database listens; on one box that is a port of its own.
    pub(super) fn database_address(&self) -> SocketAddr {
        let own = self.address.port() + u16::from(self.role.get() == Role::Box);
        SocketAddr::new(self.address.ip(), own)
    }

    pub(super) fn life(&self) -> Life {
        self.life.get()
    }

    pub(super) fn alive(&self) -> bool {
        self.life.get() != Life::Dead
    }

    fn halted(&self) -> bool {
        self.life.get() == Life::Frozen || self.computing.get()
    }

    /// Stops the process where it is.
    pub(super) fn freeze(&self) {
        if self.life.get() == Life::Running {
            self.note_halt();
            self.life.set(Life::Frozen);
        }
    }

    /// Lets a frozen process go on.
    pub(super) fn thaw(&self) {
        if self.life.get() == Life::Frozen {
            self.life.set(Life::Running);
            self.go_on();
        }
    }

    /// Ends the process in good order: it gets nothing new, and a while to finish what it has begun.
    pub(super) async fn leave(&self) {
        self.leaving.set(true);
        self.clock().sleep(DRAIN).await;
        self.flush_spans();
        self.die();
    }

    /// Ends the process; what it had not sent is lost.
    pub(super) fn die(&self) {
        if self.life.replace(Life::Dead) != Life::Dead {
            self.spans.borrow_mut().clear();
            self.clock().wake_all();
        }
    }

    /// Keeps the process's thread busy for a while with nothing of use.
    pub(super) async fn burn(&self, time: Duration) {
        self.note_halt();
        self.computing.set(true);
        self.clock().sleep(time).await;
        self.computing.set(false);
        self.spend(time);
        self.go_on();
    }

    /// Counts processor time that was used.
    pub(super) fn spend(&self, time: Duration) {
        self.processor.used.set(self.processor.used.get() + time);
    }

    fn note_halt(&self) {
        if !self.halted() {
            self.halted.set(self.clock().now());
        }
    }

    fn go_on(&self) {
        if self.halted() {
            return;
        }
        // One timer was due meanwhile, at some time of its period.
        let halt = self.clock().now().saturating_sub(self.halted.get());
        let late = halt.saturating_sub(WATCH.mul_f64(names::spread(halt.as_nanos() as u64)));
        self.processor.late.borrow_mut().push(late);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Runs a future within the process.
    pub(super) fn within<F: Future>(self: &Rc<Self>, future: F) -> Within<F> {
        Within { instance: Rc::clone(self), future: Box::pin(future) }
    }

    /// Takes a span that has ended.
    pub(super) fn ended(&self, span: Span) {
        if self.alive() {
            self.spans.borrow_mut().push(span);
        }
    }

    /// Sends spans and metrics at their pace, for as long as the process lives.
    pub(super) async fn report(self: Rc<Self>, observe: impl Fn(&Rc<Self>)) {
        for turn in 1_u64.. {
            let Ok(()) = self.while_running(SPAN_PACE).await else { return };
            self.flush_spans();
            if turn.is_multiple_of(2) {
                observe(&self);
                self.send_metrics();
            }
        }
    }

    /// Sends what is left of spans.
    pub(super) fn flush_spans(&self) {
        let spans = std::mem::take(&mut *self.spans.borrow_mut());
        if spans.is_empty() || self.role.get() == Role::External {
            return;
        }
        let scope = InstrumentationScope { name: "content".to_owned(), ..Default::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
        let resource_spans =
            vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans, ..Default::default() }];
        let sent_unix_nanos = self.ground.unix_nanos();
        let request = ExportTraceServiceRequest { resource_spans };
        self.ground.exports.borrow_mut().push_back(Export::Traces { sent_unix_nanos, request });
    }

    fn send_metrics(&self) {
        if self.role.get() == Role::External {
            return;
        }
        let sent_unix_nanos = self.ground.unix_nanos();
        let started = self.ground.epoch + self.started.as_nanos() as u64;
        let resource_metrics = vec![ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: self.series.borrow().encode(started, sent_unix_nanos),
            ..Default::default()
        }];
        let request = ExportMetricsServiceRequest { resource_metrics };
        self.ground.exports.borrow_mut().push_back(Export::Metrics { sent_unix_nanos, request });
    }

    /// Sleeps, and then until the process is not frozen. What sends telemetry is a thread of its own, so
    /// computing does not hold it up.
    async fn while_running(&self, time: Duration) -> Result<(), Died> {
        self.clock().sleep(time).await;
        while self.life.get() == Life::Frozen {
            self.clock().sleep(WATCH).await;
        }
        if self.alive() { Ok(()) } else { Err(Died) }
    }

    /// Returns the processor time used from the start, the share of one core since this was asked last, and
    /// how late timers were meanwhile, with how often.
    pub(super) fn processor(&self) -> (Duration, f64, Vec<(f64, u64)>) {
        let (now, used) = (self.clock().now(), self.processor.used.get());
        let (then, before) = self.processor.told.replace((now, used));
        let passed = now.saturating_sub(then).as_secs_f64();
        let share = if passed > 0.0 { (used.saturating_sub(before)).as_secs_f64() / passed } else { 0.0 };
        let mut late: Vec<(f64, u64)> =
            self.processor.late.borrow_mut().drain(..).map(|late| (late.as_secs_f64(), 1)).collect();
        // A timer of a runtime is on average a millisecond late, since that is its grain.
        let lost: f64 = late.iter().map(|(late, _)| late).sum();
        let usual = ((passed - lost).max(0.0) / 0.011) as u64;
        late.push((0.001, usual.saturating_sub(late.len() as u64)));
        (used, share, late)
    }
}

/// A future that runs in a process.
pub(super) struct Within<F> {
    instance: Rc<Instance>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = Result<F::Output, Died>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.instance.alive() {
            return Poll::Ready(Err(Died));
        }
        if self.instance.halted() {
            self.instance.waiting.borrow_mut().push(context.waker().clone());
            return Poll::Pending;
        }
        self.future.as_mut().poll(context).map(Ok)
    }
}

fn resource(seat: &Seat, address: SocketAddr, version: &str) -> Resource {
    let mut said = vec![
        text("service.name", seat.role.service_name()),
        text("service.namespace", "content"),
        text("service.instance.id", seat.name.as_str()),
        text("service.version", version),
        text("cloud.region", REGION),
        text("cloud.availability_zone", seat.zone.name()),
        text("deployment.environment.name", "demo"),
        // Who reads this sees that no process sent it.
        text("telemetry.sdk.name", "tiertop-simulation"),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    if seat.role.is_store() {
        said.extend(names::encoded(attributes::server(address)));
    }
    Resource { attributes: said, ..Default::default() }
}

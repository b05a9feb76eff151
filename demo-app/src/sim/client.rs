//! The simulated load: the same schedule as in real time, open or closed, and what came of it.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::load::{Action, ClosedLoop, LoadReport, LoopKind, Outcome, Planned, Schedule};
use crate::sim::clock::Time;
use crate::sim::http::{Answer, Ask, Request};
use crate::sim::proxy;
use crate::sim::wire;
use crate::sim::world::World;

/// Longest wait for an answer, from the scheduled time on.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client that is not active waits before it looks again.
const REST: Duration = Duration::from_millis(100);

/// How many of the contents written last are read again.
const RECENT: usize = 32;

/// How long the load's own network and client take for a request.
const CLIENT: Duration = Duration::from_micros(150);

/// The client of a load.
pub(super) struct Load {
    world: Rc<World>,
    schedule: RefCell<Schedule>,
    recent: RefCell<VecDeque<i64>>,
    /// The users who have a session.
    sessions: RefCell<BTreeSet<i64>>,
    pub(super) report: RefCell<LoadReport>,
}

impl Load {
    pub(super) fn new(world: Rc<World>, seed: u64) -> Rc<Self> {
        let schedule = RefCell::new(Schedule::new(world.load.clone(), seed));
        Rc::new(Self {
            world,
            schedule,
            recent: RefCell::default(),
            sessions: RefCell::default(),
            report: RefCell::default(),
        })
    }

    /// Puts the load on the system until `end`.
    pub(super) async fn run(self: Rc<Self>, end: Time) {
        if let Some(closed) = self.world.load.closed {
            self.report.borrow_mut().loop_kind = LoopKind::Closed;
            let mut started = 0;
            while self.world.ground.clock.now() < end {
                while (started as f64) < self.clients(closed) {
                    self.world.ground.clock.spawn(Rc::clone(&self).ask_again(closed, started, end));
                    started += 1;
                }
                self.world.ground.clock.sleep(REST).await;
            }
            return;
        }
        loop {
            let planned = self.schedule.borrow_mut().next(self.world.dial.get());
            let Some(planned) = planned.filter(|planned| planned.at < end) else { return };
            self.world.ground.clock.sleep_until(planned.at).await;
            self.world.ground.clock.spawn(Rc::clone(&self).send(planned));
        }
    }

    /// How many clients of a closed loop are active now: the curve and the dial change their number.
    fn clients(&self, closed: ClosedLoop) -> f64 {
        let curve = self.world.load.curve.factor(self.world.ground.clock.now());
        closed.clients as f64 * curve * self.world.dial.get().factor
    }

    /// Asks, waits for the answer, thinks, and asks again.
    async fn ask_again(self: Rc<Self>, closed: ClosedLoop, number: usize, end: Time) {
        while self.world.ground.clock.now() < end {
            if number as f64 >= self.clients(closed) {
                self.world.ground.clock.sleep(REST).await;
                continue;
            }
            let (action, session) = self.schedule.borrow_mut().ask(self.world.dial.get());
            let at = self.world.ground.clock.now();
            Rc::clone(&self).send(Planned { at, action, session }).await;
            self.world.ground.clock.sleep(closed.think).await;
        }
    }

    async fn send(self: Rc<Self>, Planned { at, action, session }: Planned) {
        let clock = &self.world.ground.clock;
        let in_flight = self.report.borrow().counts.in_flight + 1;
        self.report.borrow_mut().sent(in_flight);
        let answered = clock.timeout(TIMEOUT, self.exchange(action, session)).await;
        let outcome = match answered {
            Some(true) => Outcome::Ok,
            Some(false) => Outcome::Failed,
            None => Outcome::TimedOut,
        };
        self.report.borrow_mut().record(action, outcome, clock.since(at));
    }

    /// Sends a request and returns whether it succeeded. Who has no session yet, or no more, logs in first.
    async fn exchange(&self, action: Action, session: Option<i64>) -> bool {
        if let Some(user_id) = session
            && !self.sessions.borrow().contains(&user_id)
            && !self.log_in(user_id).await
        {
            return false;
        }
        let mut answer = self.ask(self.wanted(action), session).await;
        if let (401, Some(user_id)) = (answer.status, session)
            && self.log_in(user_id).await
        {
            answer = self.ask(self.wanted(action), session).await;
        }
        if let Some(content_id) = answer.content_id {
            let mut recent = self.recent.borrow_mut();
            recent.push_front(content_id);
            recent.truncate(RECENT);
        }
        answer.success()
    }

    async fn log_in(&self, user_id: i64) -> bool {
        let known = self.ask(Ask::LogIn { user_id }, None).await.success();
        if known {
            self.sessions.borrow_mut().insert(user_id);
        }
        known
    }

    /// What an action asks. Until something was written, old contents stand in.
    fn wanted(&self, action: Action) -> Ask {
        match action {
            Action::Read { rank } => Ask::Item { content_id: rank as i64 + 1 },
            Action::ReadRecent { rank } => {
                let recent = self.recent.borrow().get(rank % RECENT).copied();
                Ask::Item { content_id: recent.unwrap_or(rank as i64 + 1) }
            }
            Action::List { user_id } => Ask::List { user_id },
            Action::Asset { rank } => Ask::Asset { rank },
            Action::Write { .. } => Ask::Write,
            Action::Upload { .. } => Ask::Upload,
        }
    }

    async fn ask(&self, ask: Ask, session: Option<i64>) -> Answer {
        let world = &self.world;
        let clock = &world.ground.clock;
        let unreachable = Answer::of(0);
        let Some(front) = world.one(world.phase.front()) else { return unreachable };
        clock.sleep(CLIENT).await;
        if !front.alive() {
            return unreachable;
        }
        let (done, answer) = tokio::sync::oneshot::channel();
        let request = Request { ask, session, context: None };
        let work: Pin<Box<dyn Future<Output = Answer>>> =
            Box::pin(proxy::answer(Rc::clone(world), Rc::clone(&front), request));
        clock.spawn(async move { wire::serve(&front, work, done).await });
        answer.await.unwrap_or(unreachable)
    }
}

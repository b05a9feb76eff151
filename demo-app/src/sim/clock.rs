//! Virtual time: tasks run on one thread, and the clock jumps to the next timer when none can.
//!
//! A task is a future; it is polled when something woke it, in the order of the wakes. A *timer* wakes a
//! task at a time; timers of one time go off in the order in which they were set. Nothing else moves the
//! clock, so the same tasks do the same things at the same times in every run.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::store::lock;

/// Time since the simulation began.
pub(super) type Time = Duration;

/// The clock and the tasks that live by it; clones are the same clock.
#[derive(Clone, Default)]
pub(super) struct Clock(Rc<Inner>);

#[derive(Default)]
struct Inner {
    now: Cell<Time>,
    /// How many timers were set so far.
    set: Cell<u64>,
    timers: RefCell<BTreeMap<(Time, u64), Waker>>,
    tasks: RefCell<Tasks>,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

#[derive(Default)]
struct Tasks {
    /// `None` where a task is being polled or has ended.
    futures: Vec<Option<Task>>,
    free: Vec<usize>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

/// Puts a task in the line of those to be polled.
struct Line {
    task: usize,
    ready: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Line {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.ready).push_back(self.task);
    }
}

impl Clock {
    /// Returns the time.
    pub(super) fn now(&self) -> Time {
        self.0.now.get()
    }

    /// Returns how long ago a time was.
    pub(super) fn since(&self, then: Time) -> Duration {
        self.now().saturating_sub(then)
    }

    /// Starts a task.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.tasks.borrow_mut();
        let number = tasks.free.pop().unwrap_or(tasks.futures.len());
        if number == tasks.futures.len() {
            tasks.futures.push(None);
        }
        let waker = Waker::from(Arc::new(Line { task: number, ready: Arc::clone(&self.0.ready) }));
        // Inside a runtime, its locks would ask for a yield that only the runtime can grant.
        let future = Box::pin(tokio::task::unconstrained(future));
        tasks.futures[number] = Some(Task { future, waker });
        lock(&self.0.ready).push_back(number);
    }

    /// Polls the task that is next in line or, when there is none, jumps to the next timer. Returns false
    /// when there is nothing to do until `end`.
    pub(super) fn step(&self, end: Time) -> bool {
        let next = lock(&self.0.ready).pop_front();
        if let Some(number) = next {
            self.poll(number);
            return true;
        }
        let mut timers = self.0.timers.borrow_mut();
        match timers.first_key_value() {
            Some((&(at, _), _)) if at <= end => {
                self.0.now.set(at);
                if let Some((_, waker)) = timers.pop_first() {
                    waker.wake();
                }
                true
            }
            _ => false,
        }
    }

    fn poll(&self, number: usize) {
        let task = self.0.tasks.borrow_mut().futures.get_mut(number).and_then(Option::take);
        // A task can be woken again after it ended.
        let Some(mut task) = task else { return };
        let waker = task.waker.clone();
        let ended = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut tasks = self.0.tasks.borrow_mut();
        if ended {
            tasks.free.push(number);
        } else {
            tasks.futures[number] = Some(task);
            return;
        }
        drop(tasks);
        // What the task held may look at the clock while it goes.
        drop(task);
    }

    /// Wakes every task, so that each looks again at what it waits for.
    pub(super) fn wake_all(&self) {
        let tasks = self.0.tasks.borrow();
        tasks.futures.iter().flatten().for_each(|task| task.waker.wake_by_ref());
    }

    /// Drops all tasks; they hold what holds the clock.
    pub(super) fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
    }

    /// Waits for a while.
    pub(super) fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.now() + time)
    }

    /// Waits until a time.
    pub(super) fn sleep_until(&self, until: Time) -> Sleep {
        Sleep { clock: self.clone(), until, timer: None }
    }

    /// Waits for a future, but not longer than a while.
    pub(super) async fn timeout<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let (mut future, mut sleep) = (pin!(future), pin!(self.sleep(time)));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
        })
        .await
    }
}

/// Completes at its time.
pub(super) struct Sleep {
    clock: Clock,
    until: Time,
    timer: Option<(Time, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.until {
            return Poll::Ready(());
        }
        let inner = Rc::clone(&self.clock.0);
        let until = self.until;
        let timer = *self.timer.get_or_insert_with(|| {
            inner.set.set(inner.set.get() + 1);
            (until, inner.set.get())
        });
        inner.timers.borrow_mut().insert(timer, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.clock.0.timers.borrow_mut().remove(&timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(clock: &Clock, end: Time) {
        while clock.step(end) {}
    }

    #[test]
    fn time_jumps_from_timer_to_timer_and_ties_keep_their_order() {
        let clock = Clock::default();
        let seen = Rc::new(RefCell::new(Vec::new()));
        for (name, seconds) in [("late", 3), ("first", 1), ("second", 1)] {
            let (timer, seen) = (clock.clone(), Rc::clone(&seen));
            clock.spawn(async move {
                timer.sleep(seconds * SECOND).await;
                seen.borrow_mut().push((name, timer.now().as_secs()));
            });
        }
        run(&clock, 2 * SECOND);
        assert_eq!(*seen.borrow(), [("first", 1), ("second", 1)]);
        run(&clock, 1_000 * SECOND);
        assert_eq!(seen.borrow().last(), Some(&("late", 3)));
    }

    #[test]
    fn what_takes_too_long_is_given_up_at_the_time() {
        let clock = Clock::default();
        let given_up = Rc::new(Cell::new(None));
        let (timer, told) = (clock.clone(), Rc::clone(&given_up));
        clock.spawn(async move {
            let quick = timer.timeout(2 * SECOND, timer.sleep(SECOND)).await;
            let slow = timer.timeout(SECOND, std::future::pending::<()>()).await;
            told.set(Some((quick.is_some(), slow.is_none(), timer.now())));
        });
        run(&clock, 10 * SECOND);
        assert_eq!(given_up.get(), Some((true, true, 2 * SECOND)));
        assert!(clock.0.timers.borrow().is_empty(), "a timer nobody waits for is gone");
    }

    #[test]
    fn a_task_can_start_others() {
        let clock = Clock::default();
        let count = Rc::new(Cell::new(0));
        let (inner, counted) = (clock.clone(), Rc::clone(&count));
        clock.spawn(async move {
            for _ in 0..3 {
                let (inner, counted) = (inner.clone(), Rc::clone(&counted));
                inner.clone().spawn(async move {
                    inner.sleep(SECOND).await;
                    counted.set(counted.get() + 1);
                });
            }
        });
        run(&clock, SECOND);
        assert_eq!(count.get(), 3);
    }
}

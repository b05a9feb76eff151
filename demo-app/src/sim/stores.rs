//! The simulated cache, queue, object store and third party, as each serves one request.

use std::rc::Rc;
use std::time::Duration;

use crate::sim::expiring::Found;
use crate::sim::instance::Instance;
use crate::sim::queue::{Job, Message};
use crate::sim::spans::Context;
use crate::sim::world::World;

/// Values that leave faster than this do not wait in line.
const SMALL: Duration = Duration::from_micros(500);

/// How long a receiver waits for a message before it is told that there is none.
const LONG_POLL: Duration = Duration::from_secs(1);

/// How long the queue takes to write to its file.
const QUEUE_WRITE: Duration = Duration::from_micros(300);

/// Looks a key up in a cache node, and sends the value at the node's pace.
pub(super) async fn cache_get(of: Rc<Instance>, bytes_per_second: u64, key: i64) -> Option<u64> {
    let node = of.part.cache.as_ref()?;
    let found = node.entries.borrow_mut().get(key, of.clock().now());
    let Found::Fresh(bytes) = found else {
        node.misses.set(node.misses.get() + 1);
        return None;
    };
    node.hits.set(node.hits.get() + 1);
    node.sent.set(node.sent.get() + bytes);
    let time = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
    if time > SMALL {
        let _line = node.line.acquire().await.expect("the semaphore is never closed");
        of.clock().sleep(time).await;
    } else if node.line.available_permits() == 0 {
        drop(node.line.acquire().await);
    }
    Some(bytes)
}

/// Keeps a value in a cache node.
pub(super) fn cache_set(of: &Instance, key: i64, bytes: u64, ttl: Duration) {
    if let Some(node) = &of.part.cache {
        let evicted = node.entries.borrow_mut().set(key, bytes, of.clock().now() + ttl);
        node.evictions.set(node.evictions.get() + evicted);
    }
}

/// Gets or puts an object.
pub(super) async fn object(of: Rc<Instance>, put: bool) -> Result<(), &'static str> {
    of.servers.hold(Duration::ZERO).await.map_err(|_| "slow down")?;
    if put {
        of.part.objects_written.set(of.part.objects_written.get() + 1);
    }
    Ok(())
}

/// Answers for the rating of a content, with a status.
pub(super) async fn rate(of: Rc<Instance>) -> u16 {
    if of.servers.hold(Duration::ZERO).await.is_ok() { 200 } else { 503 }
}

/// Stores a message.
pub(super) async fn send(world: Rc<World>, job: Job, producer: Option<Context>) {
    world.ground.clock.sleep(QUEUE_WRITE).await;
    world.queue.borrow_mut().send(job, producer, world.ground.clock.now());
    world.arrived.notify_one();
}

/// Hands out a message, after waiting for one for a while.
pub(super) async fn receive(world: Rc<World>) -> Option<Message> {
    let clock = &world.ground.clock;
    let deadline = clock.now() + LONG_POLL;
    loop {
        let message = world.queue.borrow_mut().receive(clock.now());
        if message.is_some() {
            clock.sleep(QUEUE_WRITE).await;
            return message;
        }
        clock.timeout(deadline.saturating_sub(clock.now()), world.arrived.notified()).await?;
    }
}

/// Forgets a message, or makes it visible again.
pub(super) async fn settle(world: Rc<World>, done: bool, id: i64) {
    world.ground.clock.sleep(QUEUE_WRITE).await;
    let now = world.ground.clock.now();
    if done {
        world.queue.borrow_mut().acknowledge(id);
    } else {
        world.queue.borrow_mut().release(id, now);
        world.arrived.notify_one();
    }
}

/// Keeps a received message from others for another visibility timeout.
pub(super) async fn extend(world: Rc<World>, id: i64) {
    world.ground.clock.sleep(QUEUE_WRITE).await;
    world.queue.borrow_mut().extend(id, world.ground.clock.now());
}

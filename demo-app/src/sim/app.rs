//! The simulated application: the real one's routes, over the simulated stores.

use std::rc::Rc;
use std::time::Duration;

use crate::sim::clients::Caller;
use crate::sim::contents::Known;
use crate::sim::expiring::Found;
use crate::sim::http::{Answer, Ask, Request};
use crate::sim::instance::{Instance, Life};
use crate::sim::measures::{Labels, Measure};
use crate::sim::names;
use crate::sim::processing;
use crate::sim::queue::Job;
use crate::sim::statements::{Reply, Work};
use crate::sim::wire::CallError;
use crate::sim::world::World;
use crate::telemetry::statements::{self, Statement};
use crate::topology::Role;

/// Values over this are not kept in the application's own memory: 8 KiB, as in the real one.
const MEMORY_VALUE: u64 = 8 << 10;

/// How long a session lives in the cache.
const SESSION_TTL: Duration = Duration::from_hours(24);

/// What JSON adds to a payload in an answer.
pub(super) const ENVELOPE: u64 = 120;

/// How often a replica is asked how far it is behind.
const LAG_PACE: Duration = Duration::from_millis(500);

/// The cache key of a user's session; contents have the numbers above zero.
fn session_key(user_id: i64) -> i64 {
    -user_id
}

/// Answers a request that has reached the application.
pub(super) async fn answer(world: &Rc<World>, of: &Rc<Instance>, request: Request) -> Answer {
    if let Ask::Asset { .. } = request.ask {
        return Answer::of(200);
    }
    let writes = matches!(request.ask, Ask::Write | Ask::Upload);
    // Where no worker does it, the heavy part of a write is computed in the request.
    let heavy = world.settings.service_time(Role::Worker).filter(|_| writes && !world.has(Role::Queue));
    if of.servers.hold(heavy.map(|time| time.mean).unwrap_or_default()).await.is_err() {
        return Answer::of(503);
    }
    let caller = Caller { world: Rc::clone(world), of: Rc::clone(of), context: request.context };
    if let Some(user_id) = request.session {
        match known_session(&caller, user_id).await {
            Ok(true) => {}
            Ok(false) => return Answer::of(401),
            Err(_) => return Answer::of(503),
        }
    }
    let answered = match request.ask {
        Ask::Item { content_id } => read(&caller, content_id).await,
        Ask::List { .. } => list(&caller).await.map(|()| Answer::of(200)),
        Ask::Write => write(&caller, false).await,
        Ask::Upload => write(&caller, true).await,
        Ask::LogIn { user_id } => log_in(&caller, user_id).await,
        Ask::Asset { .. } => Ok(Answer::of(200)),
    };
    answered.unwrap_or(Answer::of(503))
}

/// Whether somebody has a session: the cache knows or, where there is none, the database.
async fn known_session(caller: &Caller, user_id: i64) -> Result<bool, CallError> {
    if caller.world.has(Role::Cache) {
        return Ok(caller.cached(session_key(user_id)).await?.is_some());
    }
    let reply = caller.at_primary(&statements::GET_SESSION, Work::GetSession { user_id }).await?;
    Ok(reply == Reply::Session(true))
}

async fn log_in(caller: &Caller, user_id: i64) -> Result<Answer, CallError> {
    if caller.world.has(Role::Cache) {
        caller.keep(session_key(user_id), 16, SESSION_TTL).await;
    } else {
        caller.at_primary(&statements::PUT_SESSION, Work::PutSession { user_id }).await?;
    }
    Ok(Answer::of(201))
}

async fn read(caller: &Caller, id: i64) -> Result<Answer, CallError> {
    let found = Ok(Answer::of(200));
    let (clients, now) = (caller.clients(), || caller.of.clock().now());
    let remembered = matches!(clients.memory.borrow_mut().get(id, now()), Found::Fresh(_));
    if caller.world.settings.memory_cache_entries > 0 {
        count(caller, if remembered { &names::APP_HITS } else { &names::APP_MISSES });
    }
    if remembered {
        return found;
    }
    if let Ok(Some(bytes)) = caller.cached(id).await {
        remember(caller, id, bytes);
        return found;
    }
    match fetch(caller, id).await {
        Ok(Known::Nothing) => Ok(Answer::of(404)),
        Ok(Known::Unprocessed) => found,
        Ok(Known::Processed) => {
            let bytes = caller.world.contents.payload(id) + ENVELOPE;
            caller.keep(id, bytes, caller.world.settings.cache_ttl).await;
            remember(caller, id, bytes);
            found
        }
        Err(error) => {
            // An answer from before is better than none.
            let before = clients.stale.borrow_mut().get(id, now());
            if !matches!(before, Found::Fresh(_)) {
                return Err(error);
            }
            count(caller, &names::APP_STALE);
            found
        }
    }
}

/// Counts how a read was answered.
fn count(caller: &Caller, measure: &'static Measure) {
    caller.of.series.borrow_mut().add(measure, Labels::default(), 1.0, Vec::new);
}

/// Keeps an answer in the application's own memory.
fn remember(caller: &Caller, id: i64, bytes: u64) {
    let (clients, now) = (caller.clients(), caller.of.clock().now());
    if bytes <= MEMORY_VALUE {
        clients.memory.borrow_mut().set(id, bytes, now + caller.world.settings.memory_cache_ttl);
        clients.stale.borrow_mut().set(id, bytes, Duration::MAX);
    }
}

/// Reads a content from where it lies: its row, its payload, and what somebody else thinks of it.
async fn fetch(caller: &Caller, id: i64) -> Result<Known, CallError> {
    let known = row(caller, id).await?;
    if known == Known::Processed {
        caller.object("GetObject", processing::object_key(id)).await?;
        caller.rating(id).await;
    }
    Ok(known)
}

/// Reads the row from a replica that is near enough and knows it processed, else from the primary.
async fn row(caller: &Caller, id: i64) -> Result<Known, CallError> {
    let work = Work::Select { id };
    if let Some(Ok(Reply::Row(Known::Processed))) = at_replica(caller, &statements::SELECT, work).await {
        return Ok(Known::Processed);
    }
    match caller.at_primary(&statements::SELECT, work).await? {
        Reply::Row(known) => Ok(known),
        _ => Ok(Known::Nothing),
    }
}

async fn list(caller: &Caller) -> Result<(), CallError> {
    if let Some(Ok(_)) = at_replica(caller, &statements::LIST, Work::List).await {
        return Ok(());
    }
    caller.at_primary(&statements::LIST, Work::List).await.map(|_| ())
}

/// Asks the replica whose turn it is, of those near enough to their primary; `None` without one.
async fn at_replica(caller: &Caller, statement: &'static Statement, work: Work) -> Option<Result<Reply, CallError>> {
    let clients = caller.clients();
    let most = caller.world.settings.most_lag;
    let mut near = caller.world.all(Role::Replica);
    near.retain(|replica| {
        let lags = clients.lags.borrow();
        lags.get(&replica.seat.name).copied().flatten().is_some_and(|behind| behind <= most)
    });
    let turn = clients.turn.get();
    clients.turn.set(turn.wrapping_add(1));
    let replica = near.get(turn % near.len().max(1))?;
    let reply = caller.statement(Role::Replica, replica, statement, work).await;
    if reply.is_err() {
        clients.lags.borrow_mut().insert(replica.seat.name.clone(), None);
    }
    Some(reply)
}

/// Asks each replica how far it is behind, twice a second and without a span.
pub(super) async fn watch_lag(world: Rc<World>, of: Rc<Instance>) {
    loop {
        let Some(clients) = &of.part.clients else { return };
        for replica in world.all(Role::Replica) {
            let now = of.clock().now();
            let database = replica.part.database.as_ref().filter(|_| replica.life() == Life::Running);
            let behind = database.map(|database| now.saturating_sub(world.contents.beat(database.applied(now))));
            clients.lags.borrow_mut().insert(replica.seat.name.clone(), behind);
        }
        of.clock().sleep(LAG_PACE).await;
    }
}

/// Stores a content: the row now, the heavy rest by a worker, or now where there is none.
async fn write(caller: &Caller, uploaded: bool) -> Result<Answer, CallError> {
    let Reply::Inserted(content_id) = caller.at_primary(&statements::INSERT, Work::Insert).await? else {
        return Err(CallError::Refused("nothing was inserted"));
    };
    if uploaded {
        caller.object("PutObject", processing::upload_key(content_id)).await?;
    }
    let job = Job::Finish { content_id, uploaded };
    let done =
        if caller.world.has(Role::Queue) { caller.send(job).await } else { processing::finish(caller, job).await };
    if let Err(error) = done {
        // Nobody would ever process the row. It was not acknowledged, so it may go.
        let _ = caller.at_primary(&statements::DELETE, Work::Delete { id: content_id }).await;
        return Err(error);
    }
    Ok(Answer { status: if uploaded { 202 } else { 200 }, content_id: Some(content_id) })
}

//! The simulated database: statements with their locks, scans and refusals.

use std::rc::Rc;
use std::time::Duration;

use crate::sim::contents::Known;
use crate::sim::instance::Instance;
use crate::sim::measures::Labels;
use crate::sim::names;
use crate::sim::servers::Counted;
use crate::sim::world::World;
use crate::topology::Role;

/// What a database is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Select { id: i64 },
    List,
    Insert,
    Update { id: i64 },
    Delete { id: i64 },
    PutSession { user_id: i64 },
    GetSession { user_id: i64 },
}

impl Work {
    fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update { .. } | Self::Delete { .. } | Self::PutSession { .. })
    }
}

/// What a database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Row(Known),
    Session(bool),
    Inserted(i64),
    Done,
}

/// How long a write waits for the lock at most.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a write keeps the lock: a transaction on a file, and the standby's word that it has it.
const WRITE: Duration = Duration::from_micros(700);

/// Does what a database is asked to, or says why not.
pub(super) async fn serve(world: Rc<World>, of: Rc<Instance>, work: Work) -> Result<Reply, &'static str> {
    let Some(database) = &of.part.database else { return Err("this is no database") };
    let scan = match work {
        Work::List => database.scanned_row.get().map(|row| row * world.contents.count() as u32),
        _ => None,
    };
    // A box's whole service time is held where the request comes in.
    if of.role.get() != Role::Box {
        of.servers.hold(scan.unwrap_or_default()).await.map_err(|_| "too busy")?;
    } else if let Some(scan) = scan {
        of.clock().sleep(scan).await;
    }
    let now = || of.clock().now();
    let primary = matches!(of.role.get(), Role::Primary | Role::Box);
    if work.writes() {
        if !primary {
            return Err("a replica is read-only");
        }
        let since = now();
        let _lock = {
            let _waiting = Counted::new(&database.lock_waiting);
            let lock = of.clock().timeout(LOCK_TIMEOUT, database.lock.acquire()).await;
            lock.ok_or("database is locked")?.expect("the semaphore is never closed")
        };
        let waited = of.clock().since(since).as_secs_f64();
        of.series.borrow_mut().record(&names::LOCK_WAIT, Labels::default(), (waited, 1), || {
            names::node(Role::Primary, of.database_address())
        });
        of.clock().sleep(WRITE).await;
        let quota = world.settings.disk_quota_bytes;
        if world.contents.bytes() + database.ballast(&world.contents, quota, now()) >= quota {
            return Err("database or disk is full");
        }
        return Ok(write(&world, work, now()));
    }
    let applied = if primary { now() } else { database.applied(now()) };
    Ok(match work {
        Work::Select { id } => Reply::Row(world.contents.known(id, applied)),
        Work::GetSession { user_id } => Reply::Session(world.sessions.borrow().contains(&user_id)),
        _ => Reply::Done,
    })
}

fn write(world: &World, work: Work, now: Duration) -> Reply {
    match work {
        Work::Insert => return Reply::Inserted(world.contents.insert(now)),
        Work::Update { id } => world.contents.update(id, now),
        Work::Delete { id } => world.contents.delete(id),
        Work::PutSession { user_id } => {
            world.sessions.borrow_mut().insert(user_id);
        }
        Work::Select { .. } | Work::List | Work::GetSession { .. } => {}
    }
    Reply::Done
}

//! The standby: follows the primary, keeps its log, and becomes the primary when it is told to.
//!
//! It takes no requests before. Its promotion is a step in its own file, so everything that it has
//! confirmed to the old primary is there, and the other followers go on at their positions. It takes over
//! with what it has: who tells it to sees to it that this is enough.

use std::sync::Arc;

use opentelemetry::KeyValue;
use tokio::sync::watch;

use crate::node::{Control, NodeContext, Replay, Started, unknown};
use crate::settings::Settings;
use crate::store::database::connections::{Connections, DatabaseError};
use crate::store::database::{Database, Follower, Reply, Request};
use crate::store::follower::{follow, measure_lag};
use crate::store::primary::{Primary, measure_size};
use crate::store::reads::Reads;
use crate::store::replica;
use crate::store::service_time::Servers;
use crate::telemetry::attributes;
use crate::topology::Peers;
use crate::wire::{self, Wires};

/// What a standby is at the moment.
#[derive(Clone)]
enum Duty {
    /// It follows; `failed` says why, if it was told to take over and could not.
    Following {
        failed: Option<String>,
    },
    /// It was told to take over.
    TakingOver,
    Leading(Arc<Primary>),
}

struct Standby {
    connections: Arc<Connections>,
    reads: Arc<Reads>,
    servers: Arc<Servers>,
    settings: Settings,
    labels: Vec<KeyValue>,
    duty: watch::Sender<Duty>,
}

/// Opens the standby's file, and follows the primary until it takes over.
pub(crate) fn start(context: NodeContext) -> Result<Started, rusqlite::Error> {
    let path = context.folder.join("content.db");
    let labels = attributes::database_node(context.address);
    let connections = Arc::new(Connections::new(&path, Database::standby(&path)?, labels.clone())?);
    let reads = Arc::new(Reads::new(&connections, &context));
    let standby = Arc::new(Standby {
        connections,
        reads,
        servers: Arc::clone(&context.servers),
        settings: context.settings,
        labels,
        duty: watch::Sender::new(Duty::Following { failed: None }),
    });
    standby.measure();
    let (turned, replay) = watch::channel(Replay::Running);
    let (answering, living) = (Arc::clone(&standby), Arc::clone(&standby));
    let serving = async move {
        let server = wire::serve(context.listener, move |request| {
            let standby = Arc::clone(&answering);
            async move { standby.answer(request).await }
        });
        tokio::join!(server, living.live(context.peers, &context.wires, replay));
    };
    Ok(Started::turned_in_time(serving, move |control| {
        if control == Control::Promote {
            let standby = Arc::clone(&standby);
            return Box::pin(async move { standby.promote().await });
        }
        Box::pin(std::future::ready(standby.turn(control, &turned)))
    }))
}

impl Standby {
    /// Follows until it is told to take over, and leads from then on.
    async fn live(&self, peers: watch::Receiver<Peers>, wires: &Wires, replay: watch::Receiver<Replay>) {
        let mut duty = self.duty.subscribe();
        loop {
            tokio::select! {
                () = follow(&self.connections, Follower::Standby, peers.clone(), wires, replay.clone()) => {}
                _ = duty.wait_for(|duty| matches!(duty, Duty::TakingOver)) => {}
            }
            match self.take_over().await {
                Ok(primary) => {
                    self.duty.send_replace(Duty::Leading(Arc::clone(&primary)));
                    primary.beat().await;
                }
                Err(error) => {
                    self.duty.send_replace(Duty::Following { failed: Some(error.to_string()) });
                }
            }
        }
    }

    async fn take_over(&self) -> Result<Arc<Primary>, DatabaseError> {
        let quota = self.settings.disk_quota_bytes;
        // Stands in the writers' line behind changes that are just being applied.
        self.connections.write(move |database| database.limit(quota).and_then(|()| database.promote())).await?;
        let (connections, reads) = (Arc::clone(&self.connections), Arc::clone(&self.reads));
        let primary = Arc::new(Primary::new(connections, reads, Arc::clone(&self.servers), &self.settings));
        primary.measure(&self.labels);
        Ok(primary)
    }

    async fn answer(&self, request: Request) -> Result<Reply, String> {
        match self.settled().await {
            Duty::Leading(primary) => primary.answer(request).await,
            _ => replica::answer(&self.connections, &request),
        }
    }

    /// Takes over, and returns when it leads; told twice is told once.
    async fn promote(&self) -> Result<(), String> {
        self.duty.send_if_modified(|duty| {
            let follows = matches!(duty, Duty::Following { .. });
            if follows {
                *duty = Duty::TakingOver;
            }
            follows
        });
        match self.settled().await {
            Duty::Following { failed } => Err(failed.unwrap_or_else(|| "it still follows".to_owned())),
            _ => Ok(()),
        }
    }

    /// Waits while it is taking over, and returns what it is then.
    async fn settled(&self) -> Duty {
        let mut duty = self.duty.subscribe();
        let settled = duty.wait_for(|duty| !matches!(duty, Duty::TakingOver)).await;
        settled.expect("the sender is this standby's own").clone()
    }

    fn turn(&self, control: Control, replay: &watch::Sender<Replay>) -> Result<(), String> {
        let duty = self.duty.borrow().clone();
        match (duty, control) {
            (Duty::Leading(primary), control) => return primary.turn(control),
            (_, Control::Replay(how)) => {
                replay.send_replace(how);
            }
            (_, Control::DropIndex { row }) => self.reads.turn_index(row),
            (_, other) => return Err(unknown(&other)),
        }
        Ok(())
    }

    fn measure(&self) {
        measure_size(&self.connections, &self.labels);
        let duty = self.duty.subscribe();
        let following = move || matches!(*duty.borrow(), Duty::Following { .. });
        measure_lag(&self.connections, self.labels.clone(), following);
    }
}

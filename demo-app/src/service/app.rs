//! The application: the content API over caches, databases, queue, object store and third party.
//!
//! Every request but that for a static asset first takes its share of the instance's compute, then says
//! who it is from, and then goes its route. What the system does not have, the application does without:
//! no cache, no replica, no queue, no third party.

mod answers;
mod assets;
mod compute;
mod inputs;
mod memory;
mod reading;
mod routes;
mod sessions;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use tokio::sync::watch;

use crate::clients::Network;
use crate::clients::cache::CacheClient;
use crate::clients::database::Database;
use crate::clients::objects::Objects;
use crate::clients::queue::Queue;
use crate::clients::ratings::Ratings;
use crate::clients::replicas::Replicas;
use crate::node::{Control, NodeContext, Started, unknown};
use crate::service::http::{Answer, serve};
use crate::topology::Role;
use answers::{Refusal, not_allowed};
use assets::Assets;
use compute::Compute;
use memory::Memory;
pub(crate) use reading::{cache_key, cached};
use routes::Route;

/// How many connections an instance opens to the queue at most.
const QUEUE_CONNECTIONS: usize = 16;

/// Serves the application of a system with stores of their own.
pub(crate) fn start(context: NodeContext) -> Started {
    let network = Network { peers: context.peers.clone(), wires: context.wires.clone() };
    let objects = Objects::remote(&network);
    start_over(context, Role::App, network, objects)
}

/// Serves the application of a role over the stores that a network leads to, with payloads in `objects`.
pub(crate) fn start_over(context: NodeContext, role: Role, network: Network, objects: Objects) -> Started {
    let settings = &context.settings;
    let (turned, squeeze) = watch::channel(None);
    let app = Arc::new(App {
        memory: Memory::new(settings),
        cache: CacheClient::new(&network),
        replicas: Replicas::new(settings.replica_pool, settings.most_lag, &network, squeeze.clone()),
        primary: Database::primary(settings.primary_pool, &network, squeeze),
        queue: Queue::new(QUEUE_CONNECTIONS, &network),
        ratings: Ratings::new(&network),
        objects,
        assets: Assets::make(),
        compute: Compute::new(&context, role),
        cache_ttl: settings.cache_ttl,
        network,
    });
    let template = |_: &Method, path: &str| Route::of(path).map(Route::template);
    let serving = serve(context.listener, context.address, template, move |request| {
        let app = Arc::clone(&app);
        async move { app.answer(request).await }
    });
    Started::turned(serving, move |control| match control {
        Control::ShrinkPool(squeeze) => {
            turned.send_replace(squeeze);
            Ok(())
        }
        other => Err(unknown(&other)),
    })
}

struct App {
    network: Network,
    memory: Memory,
    cache: CacheClient,
    replicas: Replicas,
    primary: Database,
    queue: Queue,
    ratings: Ratings,
    objects: Objects,
    assets: Assets,
    compute: Compute,
    cache_ttl: Duration,
}

impl App {
    async fn answer(self: &Arc<Self>, request: Request<Bytes>) -> Answer {
        self.respond(&request).await.unwrap_or_else(Refusal::into_answer)
    }

    async fn respond(self: &Arc<Self>, request: &Request<Bytes>) -> Result<Answer, Refusal> {
        let route = Route::of(request.uri().path());
        if let (Some(Route::Asset(name)), &Method::GET) = (route, request.method()) {
            return self.assets.answer(name, request.headers());
        }
        let writes = route.is_some_and(|route| route.writes(request.method()));
        self.compute.hold(writes && !self.is_queued()).await?;
        let Some(route) = route else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no such path; try /api/v1/content"));
        };
        if !route.takes(request.method()) {
            return Ok(not_allowed(route));
        }
        // Who begins a session may still carry one that has ended.
        if matches!((route, request.method()), (Route::Session, &Method::POST)) {
            return self.begin_session(request.body()).await;
        }
        let visitor = self.visitor(request.headers()).await?;
        match (route, request.method()) {
            (Route::Contents, &Method::POST) => self.post(request.body(), visitor).await,
            (Route::Contents, _) => self.list(request.uri().query()).await,
            (Route::Content(id), _) => self.get(id).await,
            (Route::Upload, _) => self.upload(request, visitor).await,
            (Route::Session | Route::Asset(_), _) => visitor.introduce(),
        }
    }

    /// Whether the heavy part of a write is left to workers.
    fn is_queued(&self) -> bool {
        self.network.has(Role::Queue)
    }
}

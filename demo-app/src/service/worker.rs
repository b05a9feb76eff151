//! The worker: takes messages, several at once, and does the heavy part of the writes.
//!
//! Delivery is at least once, and processing twice does the same as once. A message that cannot be
//! processed costs as much time as any other before that is known, and goes back to the queue, which
//! counts how often it was handed out. While a store fails, a message is kept and tried again instead, and
//! the queue is told so from time to time: given back, or handed out to others, it would be counted to
//! death for what is not its fault.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::clients::Network;
use crate::clients::database::Database;
use crate::clients::objects::Objects;
use crate::clients::queue::Queue;
use crate::node::NodeContext;
use crate::service::processing::{ProcessError, finish};
use crate::store::messages::Message;
use crate::store::service_time::Servers;
use crate::telemetry::{attributes, instruments, spans};
use crate::wire::WireError;

/// How long a receiver waits after a failure: not again at once, while a store is likely still away.
const RETRY: Duration = Duration::from_millis(200);

/// How often within its visibility timeout the queue is told of a message that is still worked on: two
/// that are lost do no harm.
const EXTENSIONS: u32 = 3;

struct Worker {
    queue: Queue,
    primary: Database,
    objects: Objects,
    servers: Arc<Servers>,
    duration: Histogram<f64>,
    /// How often the queue is told of a message that is still worked on.
    extending: Duration,
}

/// Works for as long as it is polled.
pub(crate) fn start(context: NodeContext) -> impl Future<Output = ()> {
    let settings = context.settings;
    let network = Network { peers: context.peers, wires: context.wires };
    // The pools of workers keep their size.
    let (_, squeeze) = watch::channel(None);
    let worker = Arc::new(Worker {
        queue: Queue::new(2 * settings.worker.concurrency, &network),
        primary: Database::primary(settings.primary_pool, &network, squeeze),
        objects: Objects::remote(&network),
        servers: context.servers,
        duration: instruments::duration("messaging.process.duration", "Duration of processing a message."),
        extending: settings.visibility_timeout / EXTENSIONS,
    });
    async move {
        let mut receivers = JoinSet::new();
        for _ in 0..settings.worker.concurrency {
            receivers.spawn(receive(Arc::clone(&worker)));
        }
        receivers.join_all().await;
    }
}

async fn receive(worker: Arc<Worker>) {
    loop {
        match worker.queue.receive().await {
            Ok((Some(message), address)) => see_through(&worker, &message, address).await,
            Ok((None, _)) => {}
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Processes a message, again and again while it is the stores that fail, however long that is.
async fn see_through(worker: &Worker, message: &Message, address: SocketAddr) {
    let processed = async {
        while let Err(error) = attempt(worker, message, address).await {
            tokio::time::sleep(RETRY).await;
            if !matches!(error, ProcessError::Wire(_)) {
                break;
            }
        }
    };
    tokio::select! {
        () = processed => {}
        () = keep(worker, message.id) => {}
    }
}

/// Keeps a message from others for as long as it is polled.
async fn keep(worker: &Worker, id: i64) {
    loop {
        tokio::time::sleep(worker.extending).await;
        // A queue that is away hands out nothing either.
        let _ = worker.queue.extend(id).await;
    }
}

/// Processes a message once, inside its CONSUMER span.
async fn attempt(worker: &Worker, message: &Message, address: SocketAddr) -> Result<(), ProcessError> {
    let span = spans::process(message.id, message.traceparent.as_deref(), address);
    let since = Instant::now();
    let result = process(worker, message).instrument(span.clone()).await;

    let mut labels =
        attributes::with(attributes::queue_node(address), [KeyValue::new("messaging.operation.name", "process")]);
    if let Err(error) = &result {
        spans::fail(&span, error.kind(), format!("failed to {error}"));
        labels.push(KeyValue::new("error.type", error.kind()));
    }
    worker.duration.record(since.elapsed().as_secs_f64(), &labels);
    result
}

/// Processes a message and removes it from the queue, or gives it back if it is to blame itself.
async fn process(worker: &Worker, message: &Message) -> Result<(), ProcessError> {
    match work(worker, message).await {
        Ok(()) => Ok(worker.queue.acknowledge(message.id).await?),
        Err(error @ ProcessError::Wire(_)) => Err(error),
        Err(error) => {
            // Should this fail too, the visibility timeout brings the message back.
            let _ = worker.queue.release(message.id).await;
            Err(error)
        }
    }
}

async fn work(worker: &Worker, message: &Message) -> Result<(), ProcessError> {
    let refused = |_| WireError::Refused("too busy".to_owned());
    worker.servers.hold(Duration::ZERO).await.map_err(refused)?;
    let job = serde_json::from_str(&message.body).map_err(ProcessError::Unreadable)?;
    finish(job, &worker.objects, &worker.primary).await
}

//! The worker: takes a message, stores its payload, and marks the row as processed.
//!
//! Delivery is at least once, so processing twice does the same as processing once: the object and
//! the row are written under the content's own id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::clients::database::Database;
use crate::clients::objects::{self, Objects};
use crate::clients::queue::{Job, Queue};
use crate::node::NodeContext;
use crate::store::messages::Message;
use crate::telemetry::{attributes, instruments, spans};
use crate::wire::WireError;

/// How long a receiver waits after the queue could not be reached.
const RETRY: Duration = Duration::from_millis(200);

struct Worker {
    queue: Queue,
    primary: Database,
    objects: Objects,
    duration: Histogram<f64>,
}

/// Works for as long as it is polled.
pub(crate) fn start(context: NodeContext) -> impl Future<Output = ()> {
    let (peers, wires, settings) = (context.peers, context.wires, context.settings);
    let worker = Arc::new(Worker {
        queue: Queue::new(2 * settings.worker.concurrency, peers.clone(), wires.clone()),
        primary: Database::primary(settings.primary_pool, peers.clone(), wires.clone()),
        objects: Objects::new(peers, wires),
        duration: instruments::duration("messaging.process.duration", "Duration of processing a message."),
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
            Ok((Some(message), address)) => {
                let traceparent = message.traceparent.as_deref();
                let span = spans::process(message.id, traceparent, address);
                let since = Instant::now();
                let result = process(&worker, &message).instrument(span.clone()).await;

                let mut labels = attributes::with(
                    attributes::queue_node(address),
                    [KeyValue::new("messaging.operation.name", "process")],
                );
                if let Err(error) = &result {
                    spans::fail(&span, error.kind(), format!("failed to {error}"));
                    labels.push(KeyValue::new("error.type", error.kind()));
                }
                worker.duration.record(since.elapsed().as_secs_f64(), &labels);
                if result.is_err() {
                    // Not again at once, while a store is likely still away.
                    tokio::time::sleep(RETRY).await;
                }
            }
            Ok((None, _)) => {}
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn process(worker: &Worker, message: &Message) -> Result<(), WireError> {
    let result = finish(worker, message).await;
    match result {
        Ok(()) => worker.queue.acknowledge(message.id).await,
        Err(error) => {
            // Should this fail too, the visibility timeout brings the message back.
            let _ = worker.queue.release(message.id).await;
            Err(error)
        }
    }
}

async fn finish(worker: &Worker, message: &Message) -> Result<(), WireError> {
    let job: Job = serde_json::from_str(&message.body)?;
    let metadata = metadata(&job.payload);
    let key = objects::key(job.content_id);
    worker.objects.put(key.clone(), job.payload).await?;
    worker.primary.update(job.content_id, metadata, objects::url(&key)).await
}

/// Returns what is known of a payload, as the JSON object that `content_metadata` holds.
pub(crate) fn metadata(payload: &str) -> String {
    let words = payload.split_whitespace().count();
    serde_json::json!({ "bytes": payload.len(), "words": words }).to_string()
}

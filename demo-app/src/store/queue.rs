//! The queue's server: takes messages, hands them out by long poll, forgets the acknowledged.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::global;
use opentelemetry::metrics::AsyncInstrument;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::node::NodeContext;
use crate::store::messages::{Depth, Message, Messages};
use crate::store::{lock, unix_millis};
use crate::telemetry::attributes;
use crate::wire;

/// How long a receiver waits for a message before it is told that there is none.
const LONG_POLL: Duration = Duration::from_secs(1);

/// What a queue is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Send { body: String, traceparent: Option<String> },
    Receive,
    Acknowledge { id: i64 },
    Release { id: i64 },
}

/// What a queue answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Sent { id: i64 },
    Received(Option<Message>),
    Done,
}

struct Queue {
    messages: Mutex<Messages>,
    arrived: Notify,
}

/// Opens the queue's file and serves it.
pub(crate) fn start(context: NodeContext) -> Result<impl Future<Output = ()>, rusqlite::Error> {
    let path = context.folder.join("queue.db");
    let messages = Messages::open(&path, context.settings.visibility_timeout)?;
    let queue = Arc::new(Queue { messages: Mutex::new(messages), arrived: Notify::new() });
    measure(&queue, &context);
    Ok(wire::serve(context.listener, move |request| {
        let queue = Arc::clone(&queue);
        async move { answer(&queue, request).await.map_err(|error| error.to_string()) }
    }))
}

async fn answer(queue: &Queue, request: Request) -> Result<Reply, rusqlite::Error> {
    let messages = || lock(&queue.messages);
    match request {
        Request::Send { body, traceparent } => {
            let id = messages().send(&body, traceparent.as_deref(), unix_millis())?;
            queue.arrived.notify_one();
            Ok(Reply::Sent { id })
        }
        Request::Receive => receive(queue).await.map(Reply::Received),
        Request::Acknowledge { id } => messages().acknowledge(id).map(|()| Reply::Done),
        Request::Release { id } => messages().release(id, unix_millis()).map(|()| Reply::Done),
    }
}

async fn receive(queue: &Queue) -> Result<Option<Message>, rusqlite::Error> {
    let deadline = tokio::time::Instant::now() + LONG_POLL;
    loop {
        let message = lock(&queue.messages).receive(unix_millis())?;
        if message.is_some() {
            return Ok(message);
        }
        // `notify_one` leaves a permit when nobody waits, so an arrival in between is not missed.
        if tokio::time::timeout_at(deadline, queue.arrived.notified()).await.is_err() {
            return Ok(None);
        }
    }
}

fn measure(queue: &Arc<Queue>, context: &NodeContext) {
    let meter = global::meter("content-queue");
    let labels = attributes::queue_node(context.address);
    let observe = |read: fn(Depth) -> u64| {
        let (queue, labels) = (Arc::clone(queue), labels.clone());
        move |observer: &dyn AsyncInstrument<u64>| {
            if let Ok(depth) = lock(&queue.messages).depth(unix_millis()) {
                observer.observe(read(depth), &labels);
            }
        }
    };
    meter
        .u64_observable_gauge("queue.depth")
        .with_description("Messages that wait to be received.")
        .with_unit("{message}")
        .with_callback(observe(|depth| depth.visible))
        .build();
    meter
        .u64_observable_gauge("queue.in_flight")
        .with_description("Messages received and not yet acknowledged.")
        .with_unit("{message}")
        .with_callback(observe(|depth| depth.in_flight))
        .build();
    let queue = Arc::clone(queue);
    meter
        .f64_observable_gauge("queue.oldest_message.age")
        .with_description("Age of the oldest message that is not acknowledged.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Ok(depth) = lock(&queue.messages).depth(unix_millis()) {
                observer.observe(depth.oldest.as_secs_f64(), &labels);
            }
        })
        .build();
}

//! The queue's server: takes messages, hands them out by long poll, forgets the acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, global};
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
    Send {
        body: String,
        traceparent: Option<String>,
    },
    Receive,
    Acknowledge {
        id: i64,
    },
    Release {
        id: i64,
    },
    /// Hides a received message for another visibility timeout.
    Extend {
        id: i64,
    },
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
    receives: AtomicU64,
    redeliveries: AtomicU64,
}

/// Opens the queue's file and serves it.
pub(crate) fn start(context: NodeContext) -> Result<impl Future<Output = ()>, rusqlite::Error> {
    let path = context.folder.join("queue.db");
    let messages = Messages::open(&path, context.settings.visibility_timeout, context.settings.most_receives)?;
    let queue = Arc::new(Queue {
        messages: Mutex::new(messages),
        arrived: Notify::new(),
        receives: AtomicU64::new(0),
        redeliveries: AtomicU64::new(0),
    });
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
        Request::Extend { id } => messages().extend(id, unix_millis()).map(|()| Reply::Done),
    }
}

async fn receive(queue: &Queue) -> Result<Option<Message>, rusqlite::Error> {
    let deadline = tokio::time::Instant::now() + LONG_POLL;
    loop {
        let message = lock(&queue.messages).receive(unix_millis())?;
        if let Some(message) = message {
            queue.receives.fetch_add(1, Ordering::Relaxed);
            queue.redeliveries.fetch_add(u64::from(message.receives > 1), Ordering::Relaxed);
            return Ok(Some(message));
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
    measure_depth(&meter, queue, &labels, attributes::dead_letters_node(context.address));
    let count = |read: fn(&Queue) -> &AtomicU64| {
        let (queue, labels) = (Arc::clone(queue), labels.clone());
        move |observer: &dyn AsyncInstrument<u64>| observer.observe(read(&queue).load(Ordering::Relaxed), &labels)
    };
    meter
        .u64_observable_counter("queue.receives")
        .with_description("Messages handed out.")
        .with_unit("{message}")
        .with_callback(count(|queue| &queue.receives))
        .build();
    meter
        .u64_observable_counter("queue.redeliveries")
        .with_description("Messages handed out that had been handed out before.")
        .with_unit("{message}")
        .with_callback(count(|queue| &queue.redeliveries))
        .build();
}

fn measure_depth(meter: &Meter, queue: &Arc<Queue>, labels: &[KeyValue], dead_letters: Vec<KeyValue>) {
    let observe = |read: fn(Depth) -> u64| {
        let (queue, labels) = (Arc::clone(queue), labels.to_vec());
        move |observer: &dyn AsyncInstrument<u64>| {
            if let Ok(depth) = lock(&queue.messages).depth(unix_millis()) {
                observer.observe(read(depth), &labels);
            }
        }
    };
    let (watched, of) = (Arc::clone(queue), labels.to_vec());
    meter
        .u64_observable_gauge("queue.depth")
        .with_description("Messages that wait to be received, or in the dead letters for somebody to look.")
        .with_unit("{message}")
        .with_callback(move |observer| {
            if let Ok(depth) = lock(&watched.messages).depth(unix_millis()) {
                observer.observe(depth.visible, &of);
                observer.observe(depth.dead, &dead_letters);
            }
        })
        .build();
    meter
        .u64_observable_gauge("queue.in_flight")
        .with_description("Messages received and not yet acknowledged.")
        .with_unit("{message}")
        .with_callback(observe(|depth| depth.in_flight))
        .build();
    let (watched, of) = (Arc::clone(queue), labels.to_vec());
    meter
        .f64_observable_gauge("queue.oldest_message.age")
        .with_description("Age of the oldest message that is not acknowledged.")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Ok(depth) = lock(&watched.messages).depth(unix_millis()) {
                observer.observe(depth.oldest.as_secs_f64(), &of);
            }
        })
        .build();
}

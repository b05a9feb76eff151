//! The simulated worker: takes a message, finishes its content, and acknowledges it.

use std::rc::Rc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::sim::clients::{Caller, operation};
use crate::sim::instance::Instance;
use crate::sim::measures::Labels;
use crate::sim::names::{self, text, with};
use crate::sim::processing;
use crate::sim::queue::Message;
use crate::sim::spans::OpenSpan;
use crate::sim::stores;
use crate::sim::wire::{CALL_TIMEOUT, CallError};
use crate::sim::world::World;
use crate::topology::Role;

/// How long a receiver waits after a message that failed, or a queue that could not be reached.
const RETRY: Duration = Duration::from_millis(200);

/// How often within its visibility timeout the queue is told of a message that is still worked on.
const EXTENSIONS: u32 = 3;

/// Receives and processes, for as long as it is polled.
pub(super) async fn receive(world: Rc<World>, of: Rc<Instance>) {
    loop {
        let Some(queue) = world.one(Role::Queue) else { return };
        let asked = world.call(&of, &queue, stores::receive(Rc::clone(&world)));
        let received = of.clock().timeout(CALL_TIMEOUT, asked).await.unwrap_or(Err(CallError::Timeout));
        match received {
            Ok(Some(message)) => see_through(&world, &of, &queue, message).await,
            Ok(None) => {}
            Err(_) => of.clock().sleep(RETRY).await,
        }
    }
}

/// Processes a message, again and again while it is the stores that fail, however long that is.
async fn see_through(world: &Rc<World>, of: &Rc<Instance>, queue: &Instance, message: Message) {
    let processed = async {
        while let Err(error) = observed(world, of, queue, message).await {
            of.clock().sleep(RETRY).await;
            if error == CallError::Nonsense {
                break;
            }
        }
    };
    tokio::select! {
        // The same seed gives the same run, so nothing is left to chance.
        biased;
        () = processed => {}
        () = keep(world, of, message.id) => {}
    }
}

/// Keeps a message from others for as long as it is polled.
async fn keep(world: &Rc<World>, of: &Rc<Instance>, id: i64) {
    loop {
        of.clock().sleep(world.settings.visibility_timeout / EXTENSIONS).await;
        if let Some(queue) = world.one(Role::Queue) {
            let told = world.call(of, &queue, stores::extend(Rc::clone(world), id));
            // A queue that is away hands out nothing either.
            let _ = of.clock().timeout(CALL_TIMEOUT, told).await;
        }
    }
}

/// Processes a message inside its CONSUMER span, which is a trace of its own.
async fn observed(world: &Rc<World>, of: &Rc<Instance>, queue: &Instance, message: Message) -> Result<(), CallError> {
    let since = of.clock().now();
    let mut span = OpenSpan::new(of, None, SpanKind::Consumer, "process content", || {
        let mut all = vec![text("messaging.message.id", message.id.to_string())];
        all.extend(with(&queue.peer, operation("process", "process")));
        all
    });
    if let Some(producer) = message.producer {
        span.link(producer);
    }
    let caller = Caller { world: Rc::clone(world), of: Rc::clone(of), context: Some(span.context()) };
    let result = process(&caller, &message).await;
    let error = result.err().map(CallError::kind);
    if let Err(failure) = result {
        span.fail(failure.kind(), failure.message());
    }
    let labels = Labels { name: "process", error: error.unwrap_or_default(), ..Labels::default() };
    let took = of.clock().since(since).as_secs_f64();
    of.series.borrow_mut().record(&names::PROCESS_DURATION, labels, (took, 1), || {
        let mut all = with(&queue.peer, [text("messaging.operation.name", "process")]);
        all.extend(error.map(|kind| text("error.type", kind)));
        all
    });
    result
}

async fn process(caller: &Caller, message: &Message) -> Result<(), CallError> {
    let held = caller.of.servers.hold(Duration::ZERO).await.map_err(|_| CallError::Refused("too busy"));
    let done = match held {
        Ok(()) => processing::finish(caller, message.job).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => caller.settle("ack", message).await,
        Err(CallError::Nonsense) => {
            // Should this fail too, the visibility timeout brings the message back.
            let _ = caller.settle("nack", message).await;
            done
        }
        Err(_) => done,
    }
}

//! The client of the queue, for both ends of it.

use std::net::SocketAddr;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::clients::pool::Pool;
use crate::clients::{Network, traced};
use crate::store::messages::Message;
use crate::store::queue::{Reply, Request};
use crate::telemetry::instruments::Sender;
use crate::telemetry::{context, spans};
use crate::topology::Role;
use crate::wire::WireError;

/// What the application asks the worker to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    /// Store a payload.
    Payload { content_id: i64, payload: String },
    /// Process what was uploaded: the raw object has this key and encoding.
    Upload { content_id: i64, key: String, encoding: Encoding },
}

/// How the bytes of an upload are kept as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    /// As they are, which is UTF-8.
    Text,
    /// As base64, with padding.
    Base64,
}

pub(crate) struct Queue {
    pool: Pool,
    metrics: Sender,
}

impl Queue {
    /// Makes a client; each receiver that waits holds one of its connections.
    pub(crate) fn new(connections: usize, network: &Network) -> Self {
        let pool = Pool::new(Role::Queue, connections, network.clone());
        Self { pool, metrics: Sender::new() }
    }

    /// Stores a job; the message carries the context of its PRODUCER span.
    pub(crate) async fn send(&self, job: &Job) -> Result<(), WireError> {
        let body = serde_json::to_string(job)?;
        let lease = self.pool.acquire().await?;
        let (address, since) = (lease.address(), Instant::now());
        let span = spans::send(address);
        let traceparent = context::traceparent(&span);
        let request = Request::Send { body, traceparent };
        let result = traced(span, lease.call(&request)).await;
        self.metrics.sent(address, since, result.as_ref().err().map(WireError::kind));
        result.map(|_| ())
    }

    /// Waits for a message, for as long as the queue's long poll lasts. Makes no span: an empty
    /// poll is no work, and a full one is told by the span of processing.
    pub(crate) async fn receive(&self) -> Result<(Option<Message>, SocketAddr), WireError> {
        let lease = self.pool.acquire().await?;
        let address = lease.address();
        match lease.call(&Request::Receive).await? {
            Reply::Received(message) => Ok((message, address)),
            other => Err(WireError::Refused(format!("the queue answered {other:?}"))),
        }
    }

    /// Removes a message that was processed.
    pub(crate) async fn acknowledge(&self, id: i64) -> Result<(), WireError> {
        self.settle("ack", id, Request::Acknowledge { id }).await
    }

    /// Gives a message back that could not be processed.
    pub(crate) async fn release(&self, id: i64) -> Result<(), WireError> {
        self.settle("nack", id, Request::Release { id }).await
    }

    /// Keeps a received message from others for another visibility timeout. Makes no span, as receiving
    /// makes none.
    pub(crate) async fn extend(&self, id: i64) -> Result<(), WireError> {
        self.pool.acquire().await?.call(&Request::Extend { id }).await.map(|_| ())
    }

    async fn settle(&self, operation: &'static str, id: i64, request: Request) -> Result<(), WireError> {
        let lease = self.pool.acquire().await?;
        let span = spans::settle(operation, id, lease.address());
        traced(span, lease.call(&request)).await.map(|_| ())
    }
}

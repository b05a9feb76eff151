//! One connection to an agent, from the first packet to its loss.

use tiertop_core::snapshot::Snapshot;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::codec::CompressionEncoding;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::error::ClientError;
use super::{CONNECT_TIMEOUT, ClientOptions, SILENCE};
use crate::feed::wire::feed_client::FeedClient;
use crate::feed::{Detail, FeedAddress, MAX_MESSAGE_BYTES, Token, convert, wire};

/// How often a link is pinged while nothing comes.
const PING_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// A stream of snapshots.
pub(super) struct Link {
    options: ClientOptions,
    agent_version: String,
    stream: Streaming<wire::Snapshot>,
    /// When the last snapshot came, or the stream began.
    heard: Instant,
}

impl Link {
    /// The version of the agent's program.
    pub(super) fn agent_version(&self) -> &str {
        &self.agent_version
    }

    /// The next snapshot. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Result<Snapshot, ClientError> {
        let options = &self.options;
        let message = timeout_at(self.heard + SILENCE, self.stream.message())
            .await
            .map_err(|_| ClientError::silent(&options.address, SILENCE))?
            .map_err(|status| ClientError::from_status(&status, options))?
            .ok_or_else(|| ClientError::Stopped { address: options.address.clone() })?;
        self.heard = Instant::now();
        Ok(convert::from_wire(message)?)
    }
}

/// Connects, asks who is there, and starts the stream.
pub(super) async fn open(options: &ClientOptions) -> Result<Link, ClientError> {
    timeout(CONNECT_TIMEOUT, start(options))
        .await
        .unwrap_or_else(|_| Err(ClientError::NoAnswer { address: options.address.clone() }))
}

async fn start(options: &ClientOptions) -> Result<Link, ClientError> {
    let mut client = connect(options).await?;
    let info = client
        .info(wire::InfoRequest {})
        .await
        .map_err(|status| ClientError::from_first_call(&status, options))?
        .into_inner();
    convert::check_version(info.snapshot_version)?;
    let detail = match options.detail {
        Detail::Overview => wire::Detail::Overview,
        Detail::Full => wire::Detail::Full,
    };
    let stream = client
        .watch(wire::WatchRequest { detail: detail.into() })
        .await
        .map_err(|status| ClientError::from_status(&status, options))?
        .into_inner();
    Ok(Link { options: options.clone(), agent_version: info.agent_version, stream, heard: Instant::now() })
}

pub(super) type Client = FeedClient<InterceptedService<Channel, Bearer>>;

/// One past second.
pub(super) async fn past(client: &mut Client, options: &ClientOptions, unix_ms: u64) -> Result<Snapshot, ClientError> {
    let asked = client.past(wire::PastRequest { at_unix_ms: unix_ms });
    let no_answer = |_| ClientError::NoAnswer { address: options.address.clone() };
    let message = timeout(CONNECT_TIMEOUT, asked)
        .await
        .map_err(no_answer)?
        .map_err(|status| ClientError::from_status(&status, options))?;
    Ok(convert::from_wire(message.into_inner())?)
}

pub(super) async fn connect(options: &ClientOptions) -> Result<Client, ClientError> {
    let ClientOptions { address, token, .. } = options;
    let failed = |error: tonic::transport::Error| ClientError::from_connect(&error, address);
    let channel = Endpoint::from_shared(address.uri())
        .map_err(failed)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(SILENCE.saturating_sub(PING_INTERVAL))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(failed)?;
    let client =
        FeedClient::with_interceptor(channel, Bearer(token.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Ok(compressed(client, address))
}

/// Asks for compression where bytes are dear: not on this machine.
fn compressed(client: Client, address: &FeedAddress) -> Client {
    if address.is_loopback() { client } else { client.accept_compressed(CompressionEncoding::Zstd) }
}

/// Adds the token to each call.
#[derive(Clone, Debug)]
pub(super) struct Bearer(Option<Token>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.header());
        }
        Ok(request)
    }
}

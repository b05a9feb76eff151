//! The agent's part of the command line, shared by the headless agent and the screen that holds one.
//!
//! A flag wins over its environment variable, and that over the default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tiertop_core::config::{CapacityRules, Config, Limits as EngineLimits, TierRule};

use crate::agent::AgentOptions;
use crate::feed::Token;
use crate::feed::server::FeedOptions;
use crate::receive::Limits;

/// Where to listen, and what to know beforehand.
#[derive(Clone, Debug, Args)]
pub struct AgentArgs {
    /// Where to take OTLP over gRPC.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4317", env = "TIERTOP_OTLP_GRPC")]
    pub otlp_grpc: SocketAddr,
    /// Where to take OTLP over HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4318", env = "TIERTOP_OTLP_HTTP")]
    pub otlp_http: SocketAddr,
    /// Where to serve the feed that `tiertop attach` reads [default: 127.0.0.1:4319 for `agent`, else none].
    #[arg(long, value_name = "ADDR", env = "TIERTOP_FEED")]
    pub feed: Option<SocketAddr>,
    /// File with the token that the feed's clients must bring; needed where others reach the feed.
    /// Else the variable `TIERTOP_FEED_TOKEN` is read.
    #[arg(long, value_name = "FILE")]
    pub feed_token_file: Option<PathBuf>,
    /// Where to serve /healthz, /readyz and /metrics [default: 127.0.0.1:4320 for `agent`, else none].
    #[arg(long, value_name = "ADDR", env = "TIERTOP_ADMIN")]
    pub admin: Option<SocketAddr>,
    /// Says which tier a service or peer is, such as `lb=frontdoor` or `db-replica=10.0.3.*:5432`; may be repeated.
    #[arg(long = "tier", value_name = "KIND=PATTERN", value_parser = TierRule::parse)]
    pub tiers: Vec<TierRule>,
    /// How many users a request a second at the front stands for; measure it as users of a month over mean requests
    /// a second.
    #[arg(long, value_name = "USERS", default_value_t = CapacityRules::default().users_per_request_per_second, value_parser = users)]
    pub users_per_rps: f64,
    /// Largest OTLP message, inflated, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_message_size: u16,
    /// Most memory for telemetry that waits to be looked at, in MiB; over it clients are told to come back.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_queue_size: u16,
    /// Most memory for figures and history, in MiB; over it the oldest detail goes.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=16384))]
    pub max_memory: u16,
}

/// Where the feed is served by the headless agent.
pub const DEFAULT_FEED: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), crate::feed::DEFAULT_PORT);
/// Where the headless agent tells of itself.
pub const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4320);

/// Reads a number of users, above none.
fn users(text: &str) -> Result<f64, String> {
    let users = text.parse().ok().filter(|users: &f64| users.is_finite() && *users > 0.0);
    users.ok_or_else(|| format!("`{text}` is no number of users, such as 250"))
}

/// Reads the token from its file, or else from `TIERTOP_FEED_TOKEN`.
pub fn token(file: Option<&PathBuf>) -> Result<Option<Token>> {
    if let Some(file) = file {
        return Token::from_file(file).map(Some).wrap_err("no token");
    }
    match std::env::var("TIERTOP_FEED_TOKEN") {
        Ok(text) => Token::new(&text).map(Some).wrap_err("TIERTOP_FEED_TOKEN is no token"),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(eyre!("TIERTOP_FEED_TOKEN is not text")),
    }
}

impl AgentArgs {
    /// The options of an agent that a screen holds: it serves nobody else unless asked to.
    pub fn embedded(self) -> Result<AgentOptions> {
        let token = token(self.feed_token_file.as_ref())?;
        let mebibytes = |count: u16| usize::from(count) << 20;
        Ok(AgentOptions {
            otlp_grpc: self.otlp_grpc,
            otlp_http: self.otlp_http,
            feed: self.feed.map(|address| FeedOptions { address, token }),
            admin: self.admin,
            limits: Limits { message_bytes: mebibytes(self.max_message_size), ..Limits::default() },
            queue_bytes: mebibytes(self.max_queue_size) as u64,
            config: Config {
                tiers: self.tiers,
                capacity: CapacityRules { users_per_request_per_second: self.users_per_rps },
                limits: EngineLimits { bytes: mebibytes(self.max_memory), ..EngineLimits::default() },
                ..Config::default()
            },
            traces: None,
        })
    }

    /// The options of a headless agent, which serves the feed and tells of itself.
    pub fn headless(mut self) -> Result<AgentOptions> {
        self.feed.get_or_insert(DEFAULT_FEED);
        self.admin.get_or_insert(DEFAULT_ADMIN);
        self.embedded()
    }
}

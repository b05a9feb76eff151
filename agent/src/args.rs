//! The agent's part of the command line, shared by the headless agent and the screen that holds one.
//!
//! A flag wins over its environment variable, that over the configuration file, and this over the default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, eyre};
use tiertop_core::config::TierRule;

use crate::agent::{Agent, AgentOptions};
use crate::configuration::{Configuration, ConfigurationArgs, ConfigurationError, Listen, TierSection};
use crate::feed::Token;
use crate::feed::server::FeedOptions;
use crate::history::args::RecordArgs;
#[cfg(feature = "aws")]
use crate::ship::{Shipping, args::ShipArgs};

/// Where to listen, and what to know beforehand. What is not given here is as the configuration file has it.
#[derive(Clone, Debug, Default, Args)]
pub struct AgentArgs {
    /// The configuration file.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// Where to take OTLP over gRPC [default: 127.0.0.1:4317].
    #[arg(long, value_name = "ADDR", env = "TIERTOP_OTLP_GRPC")]
    pub otlp_grpc: Option<SocketAddr>,
    /// Where to take OTLP over HTTP [default: 127.0.0.1:4318].
    #[arg(long, value_name = "ADDR", env = "TIERTOP_OTLP_HTTP")]
    pub otlp_http: Option<SocketAddr>,
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
    /// a second [default: 250].
    #[arg(long, value_name = "USERS", value_parser = users)]
    pub users_per_rps: Option<f64>,
    /// Largest OTLP message, inflated, in MiB [default: 16].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_message_size: Option<u16>,
    /// Most memory for telemetry that waits to be looked at, in MiB; over it clients are told to come back
    /// [default: 64].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_queue_size: Option<u16>,
    /// Most memory for figures and history, in MiB; over it the oldest detail goes [default: 64].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(8..=16384))]
    pub max_memory: Option<u16>,
    /// What to record.
    #[command(flatten)]
    pub record: RecordArgs,
    /// What to ship to AWS.
    #[cfg(feature = "aws")]
    #[command(flatten)]
    pub ship: ShipArgs,
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
    /// What the file says, with the flags and variables that win over it.
    pub fn over_the_file(self) -> Result<Configuration, ConfigurationError> {
        let mut all = self.configuration.read()?;
        let of_file = std::mem::take(&mut all.tiers);
        all.tiers = self.tiers.into_iter().map(TierSection::from).chain(of_file).collect();
        all.listen = Listen {
            otlp_grpc: self.otlp_grpc.unwrap_or(all.listen.otlp_grpc),
            otlp_http: self.otlp_http.unwrap_or(all.listen.otlp_http),
            feed: self.feed.or(all.listen.feed),
            feed_token_file: self.feed_token_file.or(all.listen.feed_token_file),
            admin: self.admin.or(all.listen.admin),
        };
        all.capacity.users_per_rps = self.users_per_rps.unwrap_or(all.capacity.users_per_rps);
        all.limits.message_mib = self.max_message_size.unwrap_or(all.limits.message_mib);
        all.limits.queue_mib = self.max_queue_size.unwrap_or(all.limits.queue_mib);
        all.limits.memory_mib = self.max_memory.unwrap_or(all.limits.memory_mib);
        Ok(all)
    }

    /// Starts an agent that a screen holds: it serves nobody else unless asked to.
    pub async fn start_embedded(self) -> Result<Agent> {
        self.start(None, None).await
    }

    /// Starts a headless agent, which serves the feed and tells of itself.
    pub async fn start_headless(self) -> Result<Agent> {
        self.start(Some(DEFAULT_FEED), Some(DEFAULT_ADMIN)).await
    }

    #[cfg(feature = "aws")]
    async fn start(self, usual_feed: Option<SocketAddr>, usual_admin: Option<SocketAddr>) -> Result<Agent> {
        let ship = self.ship.clone();
        let (options, configuration) = self.options(usual_feed, usual_admin)?;
        Ok(Agent::start_shipping(options, Shipping::start(ship.over(&configuration)).await?)?)
    }

    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "what ships has to wait")]
    async fn start(self, usual_feed: Option<SocketAddr>, usual_admin: Option<SocketAddr>) -> Result<Agent> {
        Ok(Agent::start(self.options(usual_feed, usual_admin)?.0)?)
    }

    fn options(
        self,
        usual_feed: Option<SocketAddr>,
        usual_admin: Option<SocketAddr>,
    ) -> Result<(AgentOptions, Configuration)> {
        let (of_caller, record) = (self.feed_token_file.clone(), self.record.clone());
        let configuration = self.over_the_file()?;
        let Listen { otlp_grpc, otlp_http, feed, feed_token_file, admin } = &configuration.listen;
        // A token in the variable wins over the file that the configuration names.
        let token = match (token(of_caller.as_ref())?, feed_token_file) {
            (None, Some(file)) => Some(Token::from_file(file).wrap_err("no token")?),
            (token, _) => token,
        };
        let options = AgentOptions {
            otlp_grpc: *otlp_grpc,
            otlp_http: *otlp_http,
            feed: feed.or(usual_feed).map(|address| FeedOptions { address, token }),
            admin: admin.or(usual_admin),
            history: record.options(&configuration.history),
            ..AgentOptions::private().configured(&configuration)
        };
        Ok((options, configuration))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use tiertop_core::config::CapacityRules;

    use super::*;
    use crate::configuration::Ceilings;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        agent: AgentArgs,
    }

    fn with_file(text: &str, flags: &[&str]) -> Configuration {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiertop.toml");
        std::fs::write(&path, text).unwrap();
        let command = ["tiertop", "--config", path.to_str().unwrap()];
        Command::try_parse_from(command.iter().chain(flags)).unwrap().agent.over_the_file().unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let text = "
            [listen]
            otlp_grpc = \"127.0.0.1:14317\"
            admin = \"127.0.0.1:14320\"
            [limits]
            memory_mib = 128
            queue_mib = 32
        ";
        let all = with_file(text, &["--otlp-grpc", "127.0.0.1:24317", "--max-queue-size", "16"]);
        assert_eq!(all.listen.otlp_grpc.port(), 24317);
        assert_eq!(all.listen.otlp_http, Listen::default().otlp_http);
        assert_eq!(all.listen.admin.map(|address| address.port()), Some(14320));
        assert_eq!((all.limits.memory_mib, all.limits.queue_mib, all.limits.message_mib), (128, 16, 16));
    }

    #[test]
    fn rules_of_flags_come_before_those_of_the_file() {
        let rules = with_file("[[tier]]\nkind = \"lb\"\nmatch = \"front\"\n", &["--tier", "web=front"]).engine().tiers;
        assert_eq!(rules.iter().map(|rule| rule.kind.name()).collect::<Vec<_>>(), ["web", "lb"]);
    }

    #[test]
    fn the_help_tells_the_defaults_that_hold() {
        let help = Command::command().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (listen, limits) = (Listen::default(), Ceilings::default());
        for (flag, default) in [
            ("--otlp-grpc", listen.otlp_grpc.to_string()),
            ("--otlp-http", listen.otlp_http.to_string()),
            ("--feed", DEFAULT_FEED.to_string()),
            ("--admin", DEFAULT_ADMIN.to_string()),
            ("--users-per-rps", CapacityRules::default().users_per_request_per_second.to_string()),
            ("--max-message-size", limits.message_mib.to_string()),
            ("--max-queue-size", limits.queue_mib.to_string()),
            ("--max-memory", limits.memory_mib.to_string()),
        ] {
            let (_, told) = help.split_once(&format!(" {flag} <")).unwrap();
            let (_, told) = told.split_once("[default: ").unwrap();
            assert!(told.starts_with(&default), "{flag}: {told}");
        }
    }
}

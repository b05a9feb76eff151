//! Where a feed is: `HOST`, `HOST:PORT`, `:PORT` or `http://HOST:PORT`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::DEFAULT_PORT;

/// The host and port of an agent's feed. By default 127.0.0.1:4319.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeedAddress {
    /// As it stands in a URI: an IPv6 address in brackets.
    host: String,
    port: u16,
}

/// Why something is not the address of a feed. The text is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It asks for TLS.
    #[error(
        "the feed does not speak https; reach a distant agent through a tunnel, such as `ssh -L 4319:127.0.0.1:4319 HOST`"
    )]
    Tls,
    /// It is none of the known forms.
    #[error("an address is HOST, HOST:PORT or http://HOST:PORT, such as 127.0.0.1:4319")]
    Form,
    /// What follows the colon is no port.
    #[error("a port is a number from 1 to 65535")]
    Port,
}

impl FeedAddress {
    /// Whether it is this machine for certain.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The URI to connect to.
    pub(super) fn uri(&self) -> String {
        format!("http://{self}")
    }
}

impl Default for FeedAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT }
    }
}

impl fmt::Display for FeedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for FeedAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("https://") {
            return Err(AddressError::Tls);
        }
        let text = text.strip_prefix("http://").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { host: format!("[{text}]"), port: DEFAULT_PORT });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, parse_port(port)?),
            _ => (text, DEFAULT_PORT),
        };
        let host = if host.is_empty() && text.starts_with(':') { "127.0.0.1" } else { host };
        if !is_host(host) {
            return Err(AddressError::Form);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    text.parse().ok().filter(|&port| port > 0).ok_or(AddressError::Port)
}

fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return inside.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, AddressError> {
        text.parse::<FeedAddress>().map(|address| address.to_string())
    }

    #[test]
    fn reads_the_usual_forms() {
        for (text, address) in [
            ("127.0.0.1:4320", "127.0.0.1:4320"),
            ("http://localhost:4319/", "localhost:4319"),
            ("staging-1.example", "staging-1.example:4319"),
            (":5000", "127.0.0.1:5000"),
            ("::1", "[::1]:4319"),
            ("[::1]", "[::1]:4319"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(address), "{text}");
        }
        assert_eq!(FeedAddress::default().to_string(), "127.0.0.1:4319");
    }

    #[test]
    fn refuses_what_it_cannot_reach() {
        assert_eq!(read("https://agent:4319"), Err(AddressError::Tls));
        assert_eq!(read("agent:port"), Err(AddressError::Port));
        assert_eq!(read("agent:0"), Err(AddressError::Port));
        for text in ["", "http://", "user:secret@agent:4319", "agent/path", "[agent]:1", "a b"] {
            assert_eq!(read(text), Err(AddressError::Form), "{text}");
        }
    }

    #[test]
    fn knows_this_machine() {
        for (text, loopback) in
            [("localhost", true), ("127.0.0.9:1", true), ("::1", true), ("10.0.0.1", false), ("agent", false)]
        {
            assert_eq!(text.parse::<FeedAddress>().unwrap().is_loopback(), loopback, "{text}");
        }
    }
}

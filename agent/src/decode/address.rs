//! Hosts, ports, paths and queue names out of what clients put into addresses and URLs.

/// A URL's parts that matter here, borrowed from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// Host, without user, password and brackets; empty when there is none.
    pub(super) host: &'a str,
    /// The port written, or the scheme's; 0 when unknown.
    pub(super) port: u16,
    /// The path, without query and fragment.
    pub(super) path: &'a str,
}

/// Splits a full URL, or a path alone.
pub(super) fn split_url(url: &str) -> Url<'_> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => (scheme, rest),
        _ => {
            return Url { path: path_only(url), ..Url::default() };
        }
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = split_host_port(authority);
    let usual_port = match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => 0,
    };
    Url { host, port: port.unwrap_or(usual_port), path: path_only(path) }
}

/// The path before its query and fragment.
pub(super) fn path_only(path: &str) -> &str {
    let end = path.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    &path[..end.unwrap_or(path.len())]
}

/// Host and port of `host:port`, `[v6]:port`, `host` or a bare IPv6 address.
pub(super) fn split_host_port(address: &str) -> (&str, Option<u16>) {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, after.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) if port.is_empty() => (host, None),
            Err(_) => (address, None),
        },
        _ => (address, None),
    }
}

/// A queue's name out of its URL or ARN: the last part that is not empty.
pub(super) fn queue_name(url: &str) -> &str {
    let trimmed = path_only(url).trim_end_matches('/');
    let last = trimmed.rsplit('/').next().unwrap_or(trimmed);
    if last.starts_with("arn:") { last.rsplit(':').next().unwrap_or(last) } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        let table = [
            ("http://127.0.0.1:20101/api/v1/content?x=1", ("127.0.0.1", 20101, "/api/v1/content")),
            ("https://user:secret@example.org/a#b", ("example.org", 443, "/a")),
            ("http://example.org", ("example.org", 80, "")),
            ("http://example.org?x=http://y", ("example.org", 80, "")),
            ("http://[::1]:8080/a", ("::1", 8080, "/a")),
            ("redis://cache:6379/0", ("cache", 6379, "/0")),
            ("tcp://broker/x", ("broker", 0, "/x")),
            ("/a/b?to=http://x/y", ("", 0, "/a/b")),
            ("", ("", 0, "")),
        ];
        for (url, (host, port, path)) in table {
            assert_eq!(split_url(url), Url { host, port, path }, "{url}");
        }
    }

    #[test]
    fn ports_come_off_hosts() {
        let table = [
            ("127.0.0.1:20101", ("127.0.0.1", Some(20101))),
            ("db", ("db", None)),
            ("db:", ("db", None)),
            ("db:orders", ("db:orders", None)),
            ("db:99999", ("db:99999", None)),
            ("::1", ("::1", None)),
            ("2001:db8::1", ("2001:db8::1", None)),
            ("[2001:db8::1]:443", ("2001:db8::1", Some(443))),
            ("[::1]", ("::1", None)),
            ("", ("", None)),
        ];
        for (address, parts) in table {
            assert_eq!(split_host_port(address), parts, "{address}");
        }
    }

    #[test]
    fn queues_are_named_by_the_last_part() {
        assert_eq!(queue_name("http://127.0.0.1:55000/123456789012/tt-events"), "tt-events");
        assert_eq!(queue_name("https://sqs.eu-central-1.amazonaws.com/1/jobs/?a=b"), "jobs");
        assert_eq!(queue_name("arn:aws:sns:eu-central-1:123456789012:topic"), "topic");
        assert_eq!(queue_name("jobs"), "jobs");
        assert_eq!(queue_name(""), "");
    }
}

//! Taking a port, and saying who has it when it is taken.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What a port is for; each has a flag that moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// OTLP/gRPC.
    OtlpGrpc,
    /// OTLP/HTTP.
    OtlpHttp,
    /// The feed that screens attach to.
    Feed,
    /// Health and `/metrics`.
    Admin,
}

impl Port {
    /// The flag that says where to listen.
    pub fn flag(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "--otlp-grpc",
            Self::OtlpHttp => "--otlp-http",
            Self::Feed => "--feed",
            Self::Admin => "--admin",
        }
    }
}

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error(
        "port {} on {} is taken by {holder}: stop it, or choose another with {flag} ADDR",
        .address.port(), .address.ip()
    )]
    Taken {
        /// The address wanted.
        address: SocketAddr,
        /// Who has it, such as "`otelcol` (pid 123)", or "another process".
        holder: String,
        /// The flag that moves this port.
        flag: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}; choose another with {flag} ADDR")]
    Other {
        /// The address wanted.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
        /// The flag that moves this port.
        flag: &'static str,
    },
}

/// Listens on `address`; must be called within a tokio runtime.
pub fn bind(port: Port, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let flag = port.flag();
    bind_plain(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder::of(address).unwrap_or_else(|| "another process".to_owned());
            ListenError::Taken { address, holder, flag }
        }
        _ => ListenError::Other { address, source, flag },
    })
}

fn bind_plain(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port just left by ourselves can be taken again at once. On Windows it would mean more.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Finding out who listens on a port, on Linux, as far as this user may see.
#[cfg(target_os = "linux")]
mod holder {
    use std::fs;
    use std::net::SocketAddr;

    /// The process that listens where `address` would, such as "`otelcol` (pid 123)".
    pub(super) fn of(address: SocketAddr) -> Option<String> {
        let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listening_inodes(&table, address.port()))
            .collect();
        let sockets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
        let processes = fs::read_dir("/proc").ok()?;
        processes.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let descriptors = fs::read_dir(entry.path().join("fd")).ok()?;
            let holds = descriptors.flatten().any(|descriptor| {
                fs::read_link(descriptor.path())
                    .is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket))
            });
            if !holds {
                return None;
            }
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            Some(format!("`{}` (pid {pid})", name.trim()))
        })
    }

    /// Inodes of the sockets that listen on `port`, out of a table as `/proc/net/tcp` has it.
    pub(super) fn listening_inodes(table: &str, port: u16) -> Vec<String> {
        const LISTEN: &str = "0A";
        const INODE: usize = 9;
        let suffix = format!(":{port:04X}");
        let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row.len() > INODE && row[1].ends_with(&suffix) && row[3] == LISTEN)
            .map(|row| row[INODE].to_owned())
            .collect()
    }
}

/// Elsewhere the system does not tell.
#[cfg(not(target_os = "linux"))]
mod holder {
    pub(super) fn of(_: std::net::SocketAddr) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_with_its_holder_and_the_flag() {
        let first = bind(Port::OtlpGrpc, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(Port::OtlpGrpc, address).unwrap_err().to_string();
        let start = format!("port {} on 127.0.0.1 is taken by ", address.port());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with(": stop it, or choose another with --otlp-grpc ADDR"), "{error}");
        #[cfg(target_os = "linux")]
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told_with_the_flag() {
        let error = bind(Port::Admin, "192.0.2.1:1".parse().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("cannot listen on 192.0.2.1:1: "), "{error}");
        assert!(error.ends_with("; choose another with --admin ADDR"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sockets_that_listen_are_found_in_the_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:10DD 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n\
            1: 0100007F:10DD 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4343 1\n\
            2: 0100007F:10DE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4444 1\n";
        assert_eq!(holder::listening_inodes(table, 4317), ["4242"]);
    }
}

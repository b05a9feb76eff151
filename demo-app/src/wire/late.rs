//! Wires that a fault can make longer: what comes over one arrives later, whatever protocol it is.
//!
//! Nothing is held back on the way out, so the peer gets a request at once and serves it as ever; what
//! it answers is handed on only after the delay. So one exchange takes the delay longer for who asks,
//! and not for who is asked, as over a long wire. Bytes that arrive meanwhile wait beside each other
//! and not one after the other: a long wire is late, it is not narrow.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::store::lock;
use crate::topology::Role;

/// Most bytes that are on a long wire at once: 1 MiB. More wait at the peer, as in a full window.
const WINDOW: usize = 1 << 20;

/// How many bytes are taken from the socket at a time.
const CHUNK: usize = 16 << 10;

/// The wires from this process to its peers: by role, how much later what is exchanged arrives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires(Arc<Mutex<HashMap<Role, Duration>>>);

impl Wires {
    /// Makes the wires to a role longer or, by zero, as they were.
    pub(crate) fn delay(&self, to: Role, by: Duration) {
        let mut delays = lock(&self.0);
        if by.is_zero() {
            delays.remove(&to);
        } else {
            delays.insert(to, by);
        }
    }

    /// How much later something arrives from a role.
    fn delay_to(&self, role: Role) -> Duration {
        lock(&self.0).get(&role).copied().unwrap_or_default()
    }

    /// Waits for as long as one exchange with a role takes longer: what opening a connection does.
    pub(super) async fn travel(&self, role: Role) {
        let delay = self.delay_to(role);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

/// A stream over one of the wires.
#[derive(Debug)]
pub(crate) struct Late<S> {
    stream: S,
    wires: Wires,
    role: Role,
    /// What has come and when it may be handed on, in order; no bytes are the end of the stream.
    on_the_way: VecDeque<(Instant, Bytes)>,
    bytes_on_the_way: usize,
    ended: bool,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + Unpin> Late<S> {
    /// Puts a stream onto the wire to a role.
    pub(super) fn new(stream: S, wires: Wires, role: Role) -> Self {
        Self { stream, wires, role, on_the_way: VecDeque::new(), bytes_on_the_way: 0, ended: false, alarm: None }
    }

    /// Takes what has come from the socket, and notes when it may be handed on.
    fn take(&mut self, context: &mut Context<'_>, delay: Duration) -> io::Result<()> {
        while !self.ended && self.bytes_on_the_way < WINDOW {
            let mut chunk = [0; CHUNK];
            let mut buffer = ReadBuf::new(&mut chunk);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, &mut buffer) else { break };
            read?;
            let bytes = Bytes::copy_from_slice(buffer.filled());
            self.ended = bytes.is_empty();
            self.bytes_on_the_way += bytes.len();
            // What comes later does not overtake, also when the wire has become shorter.
            let after = self.on_the_way.back().map(|(due, _)| *due);
            let due = Instant::now() + delay;
            self.on_the_way.push_back((after.map_or(due, |after| due.max(after)), bytes));
        }
        Ok(())
    }

    /// Waits until the first of what is on the way may be handed on.
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((due, _)) = self.on_the_way.front() else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*due)));
        if alarm.deadline() != *due {
            alarm.as_mut().reset(*due);
        }
        alarm.as_mut().poll(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Late<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let delay = this.wires.delay_to(this.role);
        if delay.is_zero() && this.on_the_way.is_empty() && !this.ended {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        this.take(context, delay)?;
        if this.on_the_way.is_empty() && this.ended {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_due(context));
        if let Some((_, bytes)) = this.on_the_way.front_mut() {
            let some = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..some]);
            bytes.advance(some);
            this.bytes_on_the_way -= some;
            if bytes.is_empty() {
                this.on_the_way.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Late<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Connection> Connection for Late<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const DELAY: Duration = Duration::from_millis(400);

    /// A peer that sends back each byte, and tells when it got one.
    async fn echo() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Instant>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (got, when) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Ok(byte) = stream.read_u8().await {
                let _ = got.send(Instant::now());
                stream.write_u8(byte).await.unwrap();
            }
        });
        (address, when)
    }

    #[tokio::test]
    async fn an_answer_arrives_later_and_the_peer_gets_the_request_at_once() {
        let (address, mut when) = echo().await;
        let wires = Wires::default();
        let mut stream = Late::new(TcpStream::connect(address).await.unwrap(), wires.clone(), Role::App);
        wires.delay(Role::App, DELAY);
        let since = Instant::now();
        stream.write_u8(7).await.unwrap();
        let got = when.recv().await.unwrap() - since;
        assert_eq!(stream.read_u8().await.unwrap(), 7);
        let took = since.elapsed();
        assert!(took >= DELAY, "{took:?}");
        assert!(got < DELAY, "the peer waited {got:?}");

        wires.delay(Role::App, Duration::ZERO);
        wires.delay(Role::Cache, DELAY);
        let since = Instant::now();
        stream.write_u8(8).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 8);
        assert!(since.elapsed() < DELAY, "another role's wire is long");
    }

    #[tokio::test]
    async fn a_long_wire_is_late_and_not_narrow_and_keeps_the_order() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let wires = Wires::default();
        wires.delay(Role::App, DELAY);
        let mut stream = Late::new(near, wires, Role::App);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let since = Instant::now();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        let took = since.elapsed();
        assert!(got == sent);
        assert!(took >= DELAY && took < 4 * DELAY, "{took:?}");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end stays the end");
    }
}

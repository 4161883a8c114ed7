//! TCP and TLS connections of a round, with the time of each phase and every byte counted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rusta_wire::{Metric, Outcome};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::round::{Round, Values};
use super::text::Host;

/// Payload of a usual TCP segment on a line with some tunnel in it.
const SEGMENT_BYTES: usize = 1_380;
/// An IPv4 and a TCP header with timestamps.
const HEADER_BYTES: usize = 52;
/// Three packets open a connection and about four close it.
const HANDSHAKE_PACKETS: usize = 7;

/// A TCP stream that counts. What it reports on dropping is the payload it saw plus the headers such a payload takes; the
/// kernel tells the exact figure to nobody.
pub(super) struct Counted<'a> {
    inner: TcpStream,
    round: &'a Round<'a>,
    read: usize,
    written: usize,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // Each data segment is answered by about half an acknowledgement.
        let packets = |payload: usize| payload.div_ceil(SEGMENT_BYTES) * 3 / 2;
        let headers = (HANDSHAKE_PACKETS + packets(self.read) + packets(self.written)) * HEADER_BYTES;
        self.round.moved(self.read + self.written + headers);
    }
}

impl Counted<'_> {
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl AsyncRead for Counted<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.read += buf.filled().len() - before;
        polled
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            self.written += count;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Where the time of an exchange went. Redirects add up, so the sum is the whole exchange.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phases {
    pub resolve: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub transfer: Option<Duration>,
}

impl Phases {
    pub fn into_values(self, values: &mut Values) {
        let phases = [
            (Metric::ResolveUs, self.resolve),
            (Metric::ConnectUs, self.connect),
            (Metric::TlsUs, self.tls),
            (Metric::FirstByteUs, self.first_byte),
            (Metric::TransferUs, self.transfer),
        ];
        for (metric, time) in phases {
            values.set_some(metric, time.map(|t| t.as_micros()));
        }
    }
}

/// Adds the time since `started` to a phase.
pub(super) fn add(phase: &mut Option<Duration>, started: Instant) {
    *phase = Some(phase.unwrap_or_default() + started.elapsed());
}

impl Round<'_> {
    /// Connects to an address.
    pub async fn connect(&self, peer: SocketAddr) -> Result<Counted<'_>, Outcome> {
        match self.by_deadline(self.way.connect_tcp(peer)).await {
            Ok(Ok(inner)) => Ok(Counted { inner, round: self, read: 0, written: 0 }),
            Ok(Err(fault)) => Err(self.outcome_of(fault)),
            Err(outcome) => {
                self.moved(3 * HEADER_BYTES);
                Err(outcome)
            }
        }
    }

    /// Resolves and connects, and notes how long each took.
    pub async fn dial(&self, host: &Host, port: u16, phases: &mut Phases) -> Result<Counted<'_>, Outcome> {
        let started = Instant::now();
        let resolved = self.resolve(host).await;
        if !matches!(&resolved, Ok(r) if r.took.is_none()) {
            add(&mut phases.resolve, started);
        }
        let peer = SocketAddr::new(resolved?.address, port);
        let started = Instant::now();
        let stream = self.connect(peer).await?;
        add(&mut phases.connect, started);
        Ok(stream)
    }
}

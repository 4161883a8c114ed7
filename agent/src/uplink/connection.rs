//! One kept HTTP/2 connection to a collector, tied to a link.
//!
//! A fresh mTLS connection costs 4.8 KB on the wire, a report on a kept one 0.5 KB, so it is kept as long as it works. A
//! report is one packet, its answer one that also acknowledges it, and one bare acknowledgement ends it. Every request has a
//! deadline, and TCP gives up on a peer that acknowledges nothing, so a dead one is found within seconds.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rusta_wire::Outcome;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::config::Url;
use crate::packet::http2::{Client, Fault, Request, Response};
use crate::probe::{Host, Prober};
use crate::socket::Way;

/// How long a connection may take to come about, name resolution and handshake included: a slow 2G link needs 15 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// How long an answer may take: the collector commits in milliseconds, a 2G link needs seconds for 64 KiB.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Bounds of how long TCP waits for an acknowledgement before it calls the line dead. A site of class A has 45 s from the
/// cut to the alert, so a line that answers quickly is left quickly; 2G may need the longer one.
const SILENT_AFTER: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(20));

/// TCP repeats after one, three and seven of its waiting times, each a little more than the round trip once that is known:
/// after ten round trips three packets were lost, and not one that was late.
const SILENT_ROUND_TRIPS: u32 = 10;

/// Bytes of IP and TCP headers with time stamps.
const PACKET_HEADERS: u64 = 52;

/// Payload of a usual packet.
const PACKET_PAYLOAD: u64 = 1_400;

/// What the agent calls itself, once a connection: the list of agents shows which still need an upgrade.
const PROGRAM: &str = concat!("rusta-agent/", env!("CARGO_PKG_VERSION"));

/// Read at once: more than an answer to a report, and an assignment in a few pieces.
const PIECE_BYTES: usize = 4 * 1024;

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The collector's name did not resolve over this link.
    #[error("name {0} does not resolve")]
    Name(String),
    /// No connection in time.
    #[error("no connection: {0}")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("tls: {0}")]
    Tls(io::Error),
    /// The collector gave the request up, or does not speak HTTP/2.
    #[error("no answer: {0}")]
    Answer(#[from] Fault),
    /// The connection broke.
    #[error("no answer: {0}")]
    Broken(io::Error),
    /// Nothing came back in time: the line may be cut, and another way of the same line would be too.
    #[error("the line is silent")]
    Silent,
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut { LinkError::Silent } else { LinkError::Broken(error) }
    }
}

/// A live connection.
pub struct Connection {
    stream: TlsStream<Counted>,
    http: Client,
    moved: Rc<Cell<u64>>,
    /// Fields the next request takes along.
    to_say: Vec<(&'static str, String)>,
}

impl Connection {
    /// Connects to `url` over `way`.
    ///
    /// # Errors
    /// Which step failed.
    pub async fn open(url: &Url, way: &Way, tls: Arc<ClientConfig>, prober: &Prober) -> Result<Connection, LinkError> {
        let attempt = Self::open_without_deadline(url, way, tls, prober);
        timeout(CONNECT_WITHIN, attempt).await.map_err(|_| LinkError::Silent)?
    }

    async fn open_without_deadline(url: &Url, way: &Way, tls: Arc<ClientConfig>, prober: &Prober) -> Result<Connection, LinkError> {
        let stream = connect(url, way, prober).await?;
        let moved = Rc::new(Cell::new(3 * PACKET_HEADERS));
        let stream = Counted { stream, moved: moved.clone() };
        let stream = tokio_rustls::TlsConnector::from(tls).connect(server_name(&url.place.host)?, stream).await.map_err(LinkError::Tls)?;
        Ok(Connection { stream, http: Client::new(url.place.to_string()), moved, to_say: vec![("user-agent", PROGRAM.to_owned())] })
    }

    /// Tells whether the connection can take a request, after a look at what came since the last one.
    pub async fn is_open(&mut self) -> bool {
        let has_ended = {
            let mut ended = pin!(self.ended());
            std::future::poll_fn(|context| Poll::Ready(ended.as_mut().poll(context).is_ready())).await
        };
        !has_ended && self.http.is_open()
    }

    /// Answers what the collector asks between requests, until it ends the connection. May be given up at any time.
    pub async fn ended(&mut self) {
        let mut piece = [0; PIECE_BYTES];
        while self.http.is_open() && self.advance(&mut piece).await.is_ok() && self.send().await.is_ok() {}
    }

    /// Takes the bytes moved since the last call, headers of IP and TCP included.
    pub fn take_moved(&self) -> u64 {
        self.moved.take()
    }

    /// Adds a field to the next request only: what holds for the whole connection costs its bytes once.
    pub fn say_once(&mut self, name: &'static str, value: String) {
        self.to_say.push((name, value));
    }

    /// Sends a request and reads its answer. `body` is what to bring, and its type; `None` to get something.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub async fn request(&mut self, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Response, LinkError> {
        let once = std::mem::take(&mut self.to_say);
        self.http.request(Request { path, body, once: &once })?;
        timeout(ANSWER_WITHIN, self.exchange()).await.map_err(|_| LinkError::Silent)?
    }

    async fn exchange(&mut self) -> Result<Response, LinkError> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            self.send().await?;
            self.advance(&mut piece).await?;
            if let Some(response) = self.http.take_response() {
                return Ok(response);
            }
        }
    }

    async fn send(&mut self) -> Result<(), LinkError> {
        while !self.http.to_send().is_empty() {
            let count = self.stream.write(self.http.to_send()).await?;
            self.http.sent(count);
        }
        Ok(self.stream.flush().await?)
    }

    async fn advance(&mut self, piece: &mut [u8]) -> Result<(), LinkError> {
        match self.stream.read(piece).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            count => Ok(self.http.receive(&piece[..count])?),
        }
    }
}

async fn connect(url: &Url, way: &Way, prober: &Prober) -> Result<TcpStream, LinkError> {
    let mut last = LinkError::Name(url.place.host.to_string());
    for address in addresses(&url.place.host, way, prober).await {
        let began = Instant::now();
        match way.connect_tcp(SocketAddr::new(address, url.port())).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let silent_after = (began.elapsed() * SILENT_ROUND_TRIPS).clamp(SILENT_AFTER.0, SILENT_AFTER.1);
                let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(silent_after));
                return Ok(stream);
            }
            Err(fault) if fault.outcome() == Outcome::Timeout => last = LinkError::Silent,
            Err(fault) => last = LinkError::Connect(fault.outcome().to_string()),
        }
    }
    Err(last)
}

async fn addresses(host: &Host, way: &Way, prober: &Prober) -> Vec<IpAddr> {
    match host {
        Host::Address(address) => vec![*address],
        Host::Name(_) => prober.resolve(host, way, CONNECT_WITHIN / 2).await.into_iter().collect(),
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, LinkError> {
    match host {
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| LinkError::Name(name.clone())),
    }
}

/// Counts what passes, as packets on the wire: the data plan pays for headers and acknowledgements too.
struct Counted {
    stream: TcpStream,
    moved: Rc<Cell<u64>>,
}

impl Counted {
    fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let packets = bytes.div_ceil(PACKET_PAYLOAD);
        // Each packet is acknowledged by one without payload, at worst.
        self.moved.set(self.moved.get().saturating_add(bytes + packets * 2 * PACKET_HEADERS));
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(buf.filled().len() - before);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &result {
            self.count(*written);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

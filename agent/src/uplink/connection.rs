//! One kept HTTP/2 connection to a collector, tied to a link.
//!
//! A fresh mTLS connection costs 4.8 KB on the wire, a push on a kept one 0.4 KB, so it is kept as long as it works. Every
//! request has a deadline, and TCP gives up on a peer that acknowledges nothing, so a dead one is found within seconds.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Url;
use crate::probe::{Host, Prober};
use crate::socket::Way;

/// How long a connection may take to come about, name resolution and handshake included: a slow 2G link needs 15 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// How long an answer may take: the collector commits in milliseconds, a 2G link needs seconds for 64 KiB.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long TCP waits for its acknowledgements before it calls the peer dead.
const DEAD_AFTER: Duration = Duration::from_secs(20);

/// How long the packet of a request's headers waits for the body that follows at once: together they are one packet, and on
/// a metered link the headers of a second one and its acknowledgement are a sixth of a report.
const GATHER: Duration = Duration::from_millis(5);

/// Bytes of IP and TCP headers with time stamps.
const PACKET_HEADERS: u64 = 52;

/// Payload of a usual packet.
const PACKET_PAYLOAD: u64 = 1_400;

/// What the agent calls itself, once a connection: the list of agents shows which still need an upgrade.
const PROGRAM: &str = concat!("rusta-agent/", env!("CARGO_PKG_VERSION"));

/// Largest answer body read: an assignment of a county node.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

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
    /// The connection broke or the answer did not come in time.
    #[error("no answer: {0}")]
    Answer(String),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The body, bounded.
    pub body: Bytes,
    /// `retry-after`, in seconds.
    pub retry_after: Option<Duration>,
}

/// A live connection.
pub struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    authority: String,
    driver: JoinHandle<()>,
    moved: Rc<Cell<u64>>,
    /// Headers the next request takes along.
    to_say: Vec<(&'static str, String)>,
    /// The same socket, to say when a packet is complete.
    socket: OwnedFd,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects to `url` over `way`.
    ///
    /// # Errors
    /// Which step failed.
    pub async fn open(url: &Url, way: &Way, tls: Arc<ClientConfig>, prober: &Prober) -> Result<Connection, LinkError> {
        let attempt = Self::open_without_deadline(url, way, tls, prober);
        timeout(CONNECT_WITHIN, attempt).await.map_err(|_| LinkError::Connect("not in time".to_string()))?
    }

    async fn open_without_deadline(url: &Url, way: &Way, tls: Arc<ClientConfig>, prober: &Prober) -> Result<Connection, LinkError> {
        let stream = connect(url, way, prober).await?;
        let socket = stream.as_fd().try_clone_to_owned().map_err(|error| LinkError::Connect(error.to_string()))?;
        let moved = Rc::new(Cell::new(3 * PACKET_HEADERS));
        let stream = Counted { stream, moved: moved.clone() };
        let stream = tokio_rustls::TlsConnector::from(tls).connect(server_name(&url.place.host)?, stream).await.map_err(LinkError::Tls)?;
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| LinkError::Connect(error.to_string()))?;
        let driver = tokio::task::spawn_local(async move {
            // How it ended is told by the request that found out.
            let _ = connection.await;
        });
        Ok(Connection { sender, authority: url.place.to_string(), driver, moved, to_say: vec![("user-agent", PROGRAM.to_owned())], socket })
    }

    /// Tells whether the connection can take a request.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.driver.is_finished()
    }

    /// Takes the bytes moved since the last call, headers of IP and TCP included.
    pub fn take_moved(&self) -> u64 {
        self.moved.take()
    }

    /// Adds a header to the next request only: what holds for the whole connection costs its bytes once.
    pub fn say_once(&mut self, name: &'static str, value: String) {
        self.to_say.push((name, value));
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub async fn request(&mut self, method: Method, path: &str, content_type: &str, body: Bytes) -> Result<Response, LinkError> {
        let uri = format!("https://{}{path}", self.authority);
        let request = Request::builder().method(method).uri(uri).header("content-type", content_type);
        let request = self
            .to_say
            .drain(..)
            .fold(request, |request, (name, value)| request.header(name, value))
            .body(Full::new(body))
            .map_err(|error| LinkError::Answer(error.to_string()))?;
        let exchange = async {
            self.sender.ready().await.map_err(|error| LinkError::Answer(error.to_string()))?;
            let gathered = async {
                tokio::time::sleep(GATHER).await;
                hold_packets(&self.socket, false);
            };
            hold_packets(&self.socket, true);
            let (response, ()) = tokio::join!(self.sender.send_request(request), gathered);
            let response = response.map_err(|error| LinkError::Answer(error.to_string()))?;
            let status = response.status();
            let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| LinkError::Answer(error.to_string()))?.to_bytes();
            Ok(Response { status, body, retry_after: retry_after.map(Duration::from_secs) })
        };
        timeout(ANSWER_WITHIN, exchange).await.map_err(|_| LinkError::Answer("not in time".to_string()))?
    }
}

/// Lets the kernel gather what is written into full packets, or send what it has. It sends by itself after 200 ms.
fn hold_packets(socket: &OwnedFd, hold: bool) {
    // A socket that cannot only costs bytes.
    let _ = socket2::SockRef::from(socket).set_tcp_cork(hold);
}

async fn connect(url: &Url, way: &Way, prober: &Prober) -> Result<TcpStream, LinkError> {
    let mut last = LinkError::Name(url.place.host.to_string());
    for address in addresses(&url.place.host, way, prober).await {
        match way.connect_tcp(SocketAddr::new(address, url.port())).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(DEAD_AFTER));
                return Ok(stream);
            }
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

/// Runs the connection's own futures on this thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
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

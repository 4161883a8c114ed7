//! One kept HTTP/2 connection to a collector, tied to a link.
//!
//! A fresh mTLS connection costs 4.8 KB on the wire, a report on a kept one 0.5 KB, so it is kept as long as it works. A
//! report is one packet, its answer one that also acknowledges it, and one bare acknowledgement ends it. Every request has a
//! deadline, and TCP gives up on a peer that acknowledges nothing, so a dead one is found within seconds.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rusta_wire::Outcome;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::config::Url;
use crate::metered::Stream;
use crate::packet::http2::{Client, Fault, Request, Response};
use crate::probe::{DialFault, Host, Payer, Prober};
use crate::socket::Way;

/// How long a connection may take to come about, name resolution and handshake included: a slow 2G link needs 15 s.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// How long an answer may take: the collector commits in milliseconds, a 2G link needs seconds for 64 KiB.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Bounds of how long TCP waits for an acknowledgement before it calls the line dead. A site of class A has 45 s from the
/// cut to the alert, so a line that answers quickly is left quickly; 2G may need the longer one.
const SILENT_AFTER: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(20));

/// TCP repeats after one, three and seven of its waiting times, each a little more than the round trip once that is known:
/// after ten round trips three packets were lost, and not one that was late.
const SILENT_ROUND_TRIPS: u32 = 10;

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
    /// No plan of a link that its address is reached by has room.
    #[error("the data plan has no room")]
    NoRoom,
    /// No connection in time.
    #[error("no connection: {0}")]
    Connect(String),
    /// The TLS handshake failed.
    #[error("tls: {}", why(.0))]
    Tls(io::Error),
    /// The collector gave the request up, or does not speak HTTP/2.
    #[error("no answer: {0}")]
    Answer(#[from] Fault),
    /// The connection broke.
    #[error("no answer: {0}")]
    Broken(io::Error),
    /// Something answered that is no collector: a captive portal, a proxy, another program.
    #[error("no collector answered: {0}")]
    NoCollector(String),
    /// Nothing came back in time: the line may be cut, and another way of the same line would be too.
    #[error("the line is silent")]
    Silent,
}

/// Says why a handshake failed. What rustls has no name of its own for, it shows by `Debug`, of which the router's build keeps
/// no fields.
fn why(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(reason))) => format!("invalid peer certificate: {reason}"),
        _ => error.to_string(),
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut { LinkError::Silent } else { LinkError::Broken(error) }
    }
}

/// A live connection.
pub struct Connection {
    stream: TlsStream<Stream>,
    http: Client,
    peer: Option<IpAddr>,
    /// Fields the next request takes along.
    to_say: Vec<(&'static str, String)>,
}

impl Connection {
    /// Connects to `url` over `way`; `payer` says what counts the bytes to each address.
    ///
    /// # Errors
    /// Which step failed.
    pub async fn open(url: &Url, way: &Way, tls: Arc<ClientConfig>, prober: &Prober, payer: &Payer<'_>) -> Result<Connection, LinkError> {
        let attempt = async {
            let began = Instant::now();
            let stream = prober.connect(&url.place.host, url.port(), way, CONNECT_WITHIN, payer).await;
            let stream = stream.map_err(|fault| link_error(fault, &url.place.host))?;
            let silent_after = (began.elapsed() * SILENT_ROUND_TRIPS).clamp(SILENT_AFTER.0, SILENT_AFTER.1);
            let _ = stream.options().set_tcp_user_timeout(Some(silent_after));
            let peer = stream.options().peer_addr().ok().and_then(|peer| peer.as_socket()).map(|peer| peer.ip());
            let connector = tokio_rustls::TlsConnector::from(tls);
            let stream = connector.connect(server_name(&url.place.host)?, stream).await.map_err(LinkError::Tls)?;
            Ok(Connection { stream, http: Client::new(url.place.to_string()), peer, to_say: vec![("user-agent", PROGRAM.to_owned())] })
        };
        timeout(CONNECT_WITHIN, attempt).await.map_err(|_| LinkError::Silent)?
    }

    /// Returns the collector's address.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Tells the payer's meter what has moved.
    pub fn tell(&mut self) {
        self.stream.get_mut().0.tell();
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

fn link_error(fault: DialFault, host: &Host) -> LinkError {
    match fault {
        DialFault::Name(Outcome::Timeout) | DialFault::Peer(Outcome::Timeout) => LinkError::Silent,
        DialFault::Name(Outcome::NotRun) | DialFault::Peer(Outcome::NotRun) => LinkError::NoRoom,
        DialFault::Name(_) => LinkError::Name(host.to_string()),
        DialFault::Peer(outcome) => LinkError::Connect(outcome.to_string()),
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, LinkError> {
    match host {
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| LinkError::Name(name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_is_told_with_its_reason() {
        let reason = rustls::OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity));
        let refused = rustls::Error::InvalidCertificate(rustls::CertificateError::Other(reason));
        let told = LinkError::Tls(io::Error::new(io::ErrorKind::InvalidData, refused)).to_string();
        assert_eq!(told, "tls: invalid peer certificate: CaUsedAsEndEntity");
    }
}

//! A listening port: accepts, speaks TLS and HTTP/1.1 or HTTP/2, bounds what a stranger can hold, and drains.
//!
//! ```text
//! accept --room?--> half open (TLS handshake, or also the first request; bounded, the oldest gives way) --> open --> drained
//! ```
//! A crowd of connections that never finish their handshake, or on the people's port never ask anything, costs a slot each,
//! and the oldest of them are closed first: an honest handshake takes a second or two, so it is never the oldest for long.

mod watched;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use self::watched::Watched;
use crate::config::{Network, TlsFiles};
use crate::errors::root_of;

/// Streams of one HTTP/2 connection at once. An agent sends one upload after another.
const STREAMS: u32 = 16;

/// Bytes of request headers, and of what HTTP/1.1 buffers. A certificate is not in them, a cookie may be.
const HEADER_BYTES: usize = 16 * 1024;

/// Bytes one HTTP/2 stream may have in flight: the largest upload.
const STREAM_WINDOW: u32 = 256 * 1024;

/// After an accept failed for want of descriptors, how long others get to give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What those may hold who show no certificate, on a port where most do.
#[derive(Debug, Clone, Copy)]
pub struct StrangerLimits {
    /// Connections of all of them at once.
    pub connections: usize,
    /// Connections of one address. A whole office may share one.
    pub of_an_address: usize,
    /// How long a connection lasts, whatever is said on it.
    pub lifetime: Duration,
}

/// What a port allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// How long a handshake or a request's head may take.
    pub patience: Duration,
    /// How long a connection may be quiet.
    pub idle: Duration,
    /// How long open requests get when the port drains.
    pub drain: Duration,
    /// Half-open connections at once; of more, the oldest gives way.
    pub half_open: usize,
    /// How long a connection may be open before its first request, and it is half open until then. `None` where a
    /// connection counts as open from its handshake on.
    pub silence: Option<Duration>,
    /// Connections of one address, or of one IPv6 network of 64 bits, at once.
    pub of_an_address: Option<usize>,
    /// What those may hold who show no certificate; `None` on a port where nobody does.
    pub strangers: Option<StrangerLimits>,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
pub struct Peer {
    /// Where from.
    pub address: SocketAddr,
    /// Which of our addresses they reached.
    pub local: SocketAddr,
    /// The certificate it proved, if it showed one; its chain was verified.
    pub certificate: Option<CertificateDer<'static>>,
    /// Closes the connection once the answers under way are out.
    pub close: Arc<Notify>,
}

/// What happened on a port.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    accepted: Counter,
    open: Gauge,
    no_room: Counter,
    handshake_failed: Counter,
    handshake_slow: Counter,
    gave_way: Counter,
    idle_closed: Counter,
    broken: Counter,
    strangers_refused: Counter,
    crowded: Counter,
}

impl Counters {
    /// Makes the counters known under a name such as `agents`.
    pub fn register(&self, port: &'static str, registry: &mut Registry) {
        let registry = registry.sub_registry_with_label(("port".into(), port.into()));
        registry.register("rusta_connections_accepted", "Connections accepted", self.accepted.clone());
        registry.register("rusta_connections_open", "Connections open", self.open.clone());
        registry.register("rusta_connections_no_room", "Connections closed for want of room", self.no_room.clone());
        registry.register("rusta_handshakes_failed", "TLS handshakes that failed", self.handshake_failed.clone());
        registry.register("rusta_handshakes_slow", "TLS handshakes that took too long", self.handshake_slow.clone());
        registry.register("rusta_handshakes_gave_way", "Half-open connections closed to make room", self.gave_way.clone());
        registry.register("rusta_connections_idle_closed", "Connections closed because they were quiet", self.idle_closed.clone());
        let strangers = "Connections without a certificate closed because there were too many of them or of their address";
        registry.register("rusta_connections_strangers_refused", strangers, self.strangers_refused.clone());
        let crowded = "Connections closed because their address had too many";
        registry.register("rusta_connections_crowded", crowded, self.crowded.clone());
        registry.register("rusta_connections_broken", "Connections that ended by a fault of the other end", self.broken.clone());
    }
}

/// A port that is bound and not yet served.
pub struct Port {
    /// The socket.
    pub listener: TcpListener,
    /// TLS, read anew for each connection so that a renewed certificate is used at once; `None` for plain HTTP.
    pub tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
    /// What it allows.
    pub limits: Limits,
    /// Addresses that may hold any number of connections: proxies, behind which everybody is.
    pub uncounted: Vec<Network>,
    /// Whether answers carry the `date` of RFC 9110. An agent pays for 24 bytes, and learns the time from the body.
    pub dates: bool,
    /// What happened on it.
    pub counters: Counters,
}

impl Port {
    /// Serves until `drain` says so, then lets open requests finish.
    pub async fn serve<M, S, B>(self, mut drain: watch::Receiver<bool>, make_service: M)
    where
        M: Fn(Peer) -> S + Clone + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let room = Arc::new(Semaphore::new(self.limits.connections));
        let half_open = HalfOpen::default();
        let (strangers, everybody) = (Strangers::default(), Strangers::default());
        // Every connection holds a clone; when all are gone the port is drained.
        let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
        loop {
            let (stream, address) = tokio::select! {
                () = told_to(&mut drain) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Ok(permit) = room.clone().try_acquire_owned() else {
                self.counters.no_room.inc();
                continue;
            };
            let limit = self.limits.of_an_address.filter(|_| !self.uncounted.iter().any(|network| network.holds(address.ip())));
            let limits = |of_an_address| StrangerLimits { connections: usize::MAX, of_an_address, lifetime: Duration::MAX };
            let place = limit.map(|limit| everybody.enter(address.ip(), limits(limit)));
            if matches!(place, Some(None)) {
                self.counters.crowded.inc();
                continue;
            }
            self.counters.accepted.inc();
            let connection = Connection {
                tls: self.tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone())),
                limits: self.limits,
                dates: self.dates,
                counters: self.counters.clone(),
                drain: drain.clone(),
                address,
                _held: (permit, place.flatten()),
            };
            let (make_service, half_open, strangers, alive) = (make_service.clone(), half_open.clone(), strangers.clone(), alive.clone());
            tokio::spawn(async move {
                connection.run(stream, &half_open, &strangers, make_service).await;
                drop(alive);
            });
        }
        drop((alive, self.listener));
        if tokio::time::timeout(self.limits.drain, all_gone.recv()).await.is_err() {
            tracing::warn!("some connections did not finish in time and are cut");
        }
    }
}

struct Connection {
    tls: Option<TlsAcceptor>,
    limits: Limits,
    dates: bool,
    counters: Counters,
    drain: watch::Receiver<bool>,
    address: SocketAddr,
    _held: (OwnedSemaphorePermit, Option<StrangerPlace>),
}

impl Connection {
    async fn run<M, S, B>(mut self, stream: TcpStream, half_open: &HalfOpen, strangers: &Strangers, make_service: M)
    where
        M: Fn(Peer) -> S,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // Answers are small and come one at a time; waiting to fill a packet would only delay them.
        let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else { return };
        let peer = |certificate| Peer { address: self.address, local, certificate, close: Arc::default() };
        let slot = half_open.enter(self.limits.half_open, &self.counters);
        let Some(acceptor) = self.tls.take() else {
            let peer = peer(None);
            let service = make_service(peer.clone());
            return self.requests(stream, &peer, service, slot, None).await;
        };
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(self.limits.patience, acceptor.accept(stream)) => handshake,
            () = slot.give_way.notified() => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|c| c.clone().into_owned());
                let limits = self.limits.strangers.filter(|_| certificate.is_none());
                let place = limits.map(|limits| strangers.enter(self.address.ip(), limits));
                if matches!(place, Some(None)) {
                    self.counters.strangers_refused.inc();
                    return;
                }
                let peer = peer(certificate);
                let service = make_service(peer.clone());
                self.requests(stream, &peer, service, slot, limits.map(|limits| limits.lifetime)).await;
            }
            Ok(Err(error)) => {
                self.counters.handshake_failed.inc();
                tracing::debug!(address = %self.address, %error, "handshake failed");
            }
            Err(_) => {
                self.counters.handshake_slow.inc();
            }
        }
    }

    async fn requests<T, S, B>(mut self, stream: T, peer: &Peer, service: S, slot: Slot, lifetime: Option<Duration>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.counters.open.inc();
        let asks = Arc::new(Notify::new());
        let heard = Heard { service, asks: asks.clone() };
        let http = http(self.limits.patience, self.dates);
        let (stream, moved) = Watched::new(stream);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), heard));
        let mut slot = Some(slot).filter(|_| self.limits.silence.is_some());
        let mut seen = u64::MAX;
        let mut draining = false;
        let mut end = pin!(tokio::time::sleep(lifetime.unwrap_or_default()));
        loop {
            let quiet = self.quiet_for(draining, slot.is_some());
            tokio::select! {
                ended = connection.as_mut() => {
                    if ended.is_err() {
                        self.counters.broken.inc();
                    }
                    break;
                }
                () = told_to(&mut self.drain), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = peer.close.notified(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = end.as_mut(), if lifetime.is_some() => {
                    self.counters.idle_closed.inc();
                    break;
                }
                () = gives_way(slot.as_ref()) => break,
                () = asks.notified(), if slot.is_some() => slot = None,
                () = tokio::time::sleep(quiet) => {
                    // A long answer over a slow line is not quiet: it is bytes that count, not requests.
                    let now = moved.load(Ordering::Relaxed);
                    if draining || slot.is_some() || now == seen {
                        self.counters.idle_closed.inc();
                        break;
                    }
                    seen = now;
                }
            }
        }
        self.counters.open.dec();
    }

    fn quiet_for(&self, draining: bool, asked_nothing: bool) -> Duration {
        match self.limits.silence {
            _ if draining => self.limits.drain,
            Some(silence) if asked_nothing => silence,
            _ => self.limits.idle,
        }
    }
}

/// Waits until a half-open connection has to make room; one that is open never has to.
async fn gives_way(slot: Option<&Slot>) {
    match slot {
        Some(slot) => slot.give_way.notified().await,
        None => std::future::pending().await,
    }
}

/// Waits until a port is told to drain; one whose teller is gone is told so too.
pub(crate) async fn told_to(drain: &mut watch::Receiver<bool>) {
    let _told_or_gone = drain.wait_for(|drain| *drain).await;
}

fn http(patience: Duration, dates: bool) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().auto_date_header(dates).timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(HEADER_BYTES).max_headers(64);
    http.http2()
        .auto_date_header(dates)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(16 * 1024)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW)
        .max_send_buf_size(64 * 1024);
    http
}

/// Tells of the first request, so that a visitor can be told from a silent connection.
struct Heard<S> {
    service: S,
    asks: Arc<Notify>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Heard<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.asks.notify_one();
        self.service.call(request)
    }
}

/// The half-open connections, oldest first.
#[derive(Clone, Default)]
struct HalfOpen(Arc<Mutex<HalfOpenSlots>>);

#[derive(Default)]
struct HalfOpenSlots {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

struct Slot {
    slots: HalfOpen,
    number: u64,
    give_way: Arc<Notify>,
}

impl HalfOpen {
    fn enter(&self, most: usize, counters: &Counters) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.waiting.len() >= most
            && let Some((_, oldest)) = slots.waiting.pop_first()
        {
            counters.gave_way.inc();
            oldest.notify_one();
        }
        let number = slots.next;
        slots.next += 1;
        let give_way = Arc::new(Notify::new());
        slots.waiting.insert(number, give_way.clone());
        Slot { slots: self.clone(), number, give_way }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.0.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&self.number);
    }
}

/// Connections of those who showed no certificate, or of everybody, by address.
#[derive(Clone, Default)]
struct Strangers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A stranger's place, until it is dropped.
struct StrangerPlace {
    strangers: Strangers,
    address: IpAddr,
}

impl Strangers {
    fn enter(&self, address: IpAddr, limits: StrangerLimits) -> Option<StrangerPlace> {
        let address = network_of(address);
        let mut held = self.lock();
        if held.values().sum::<usize>() >= limits.connections || held.get(&address).is_some_and(|count| *count >= limits.of_an_address) {
            return None;
        }
        *held.entry(address).or_default() += 1;
        Some(StrangerPlace { strangers: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One customer's IPv6 line is a network of 64 bits (RFC 6177): its addresses count as one.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

impl Drop for StrangerPlace {
    fn drop(&mut self) {
        let mut held = self.strangers.lock();
        if let Some(count) = held.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.address);
            }
        }
    }
}

/// Makes the TLS of a port from PEM files.
///
/// # Errors
/// A file that cannot be read or holds something else, or a key that does not belong to the certificate; each by its name.
pub fn tls_from_files(files: &TlsFiles) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let (certificate, key_file) = (files.certificate.display(), files.key.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow::anyhow!("the certificate {certificate} cannot be read: {}", root_of(&error)))?;
    anyhow::ensure!(!chain.is_empty(), "{certificate} holds no certificate");
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => anyhow::anyhow!("{key_file} holds no private key"),
        error => anyhow::anyhow!("the key {key_file} cannot be read: {}", root_of(&error)),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => anyhow::anyhow!("the key {key_file} does not belong to the certificate {certificate}"),
        error => anyhow::anyhow!("the certificate {certificate} with the key {key_file}: {error}"),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

//! [`Manager`] over the network: `async-snmp` on a socket of the link's own way.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rusta_wire::Outcome;
use snmp::{
    Auth, Candidate, ClientBuilder, EngineCache, Error, ErrorKind, MasterKeys, Oid, PrivProtocol, RequestRegistration, ResponseIdentity,
    Retry, Transport, UsmConfig, Value, WalkMethod, WalkOptions,
};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::super::round::Round;
use super::manager::{Binding, Datum, Manager, ObjectId, Stride};
use super::{AuthProtocol, Config, PrivacyProtocol, User};
use crate::socket::Way;

/// Rows a device is asked for at once. More would not fit into one packet of an APN tunnel.
const REPETITIONS: u32 = 10;
/// Most values of one walk. A core switch has fewer interfaces; a lying device has no end.
const WALKED: usize = 2_000;
/// One request's share of a round; a busy device's processor takes half a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between a lost request and its one repetition: past a burst of interference, within a round.
const PAUSE: Duration = Duration::from_millis(200);
/// A UDP datagram on an Ethernet; devices send no longer ones unless asked.
const DATAGRAM_BYTES: usize = 65_535;

/// The credentials for one device, and what was learnt of its engine.
pub(super) struct Client {
    auth: Auth,
    engines: Arc<EngineCache>,
}

impl Client {
    pub fn new(config: &Config) -> Result<Self, String> {
        let auth = match (&config.community_file, &config.user) {
            (Some(file), None) => Auth::v2c(Bytes::from(secret(file)?)),
            (None, Some(user)) => usm(user)?.into(),
            _ => return Err("one of `community_file` (v2c) and `user` (v3) is needed".into()),
        };
        Ok(Client { auth, engines: Arc::new(EngineCache::new()) })
    }

    pub async fn open(&self, round: &Round<'_>, peer: SocketAddr) -> Result<Session, Outcome> {
        let socket = round.by_deadline(round.way.connect_udp(peer)).await?.map_err(|fault| round.outcome_of(fault))?;
        let bytes = Arc::new(AtomicUsize::new(0));
        let local = socket.local_addr().map_err(|e| round.way.outcome_of(&e))?;
        let transport = OwnWay { socket, peer, local, bytes: bytes.clone() };
        let builder = ClientBuilder::new(self.auth.clone()).engine_cache(self.engines.clone()).request_timeout(PATIENCE);
        let retry = Retry::fixed(1, PAUSE).map_err(|_| Outcome::SystemError)?;
        let client = builder.retry(retry).build_with_transport(transport).map_err(|_| Outcome::SystemError)?;
        Ok(Session { client, way: round.way.clone(), bytes })
    }
}

fn secret(file: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    match text.trim() {
        "" => Err(format!("{} is empty", file.display())),
        secret => Ok(secret.as_bytes().to_vec()),
    }
}

/// Stretches the passwords once: that takes a megabyte of hashing, which a router must not do every round.
fn usm(user: &User) -> Result<UsmConfig, String> {
    let auth = match user.auth {
        AuthProtocol::Sha1 => snmp::AuthProtocol::Sha1,
        AuthProtocol::Sha256 => snmp::AuthProtocol::Sha256,
        AuthProtocol::Sha512 => snmp::AuthProtocol::Sha512,
    };
    let privacy = match user.privacy {
        PrivacyProtocol::Aes128 => PrivProtocol::Aes128,
        PrivacyProtocol::Aes256 => PrivProtocol::Aes256Blumenthal,
        PrivacyProtocol::Aes256Cisco => PrivProtocol::Aes256Reeder,
    };
    let auth_password = secret(&user.auth_password_file)?;
    let privacy_password = user.privacy_password_file.as_deref().map_or_else(|| Ok(auth_password.clone()), secret)?;
    let unusable = |e: snmp::CryptoError| format!("`user` {}: {e}", user.name);
    let keys = MasterKeys::new(auth, &auth_password).map_err(unusable)?;
    let keys = keys.with_privacy(privacy, &privacy_password).map_err(unusable)?;
    UsmConfig::new(Bytes::copy_from_slice(user.name.as_bytes())).with_master_keys(keys).map_err(unusable)
}

/// One round's exchange with a device.
pub(super) struct Session {
    client: snmp::Client<OwnWay>,
    way: Way,
    bytes: Arc<AtomicUsize>,
}

impl Session {
    /// Returns the bytes moved so far on the IP layer.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn outcome_of(&self, error: &Error) -> Outcome {
        if let Some(error) = io_error(error) {
            return self.way.outcome_of(error);
        }
        match error.kind() {
            // v3 devices do not answer wrong credentials in a way that may be believed, so this is that, too.
            ErrorKind::Timeout => Outcome::Timeout,
            ErrorKind::Auth | ErrorKind::Report | ErrorKind::Snmp => Outcome::Unexpected,
            ErrorKind::Config | ErrorKind::RandomSource | ErrorKind::Closed => Outcome::SystemError,
            _ => Outcome::Malformed,
        }
    }
}

fn io_error(error: &Error) -> Option<&io::Error> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        at = error.source();
    }
    None
}

impl Manager for Session {
    async fn get(&self, objects: &[ObjectId]) -> Result<Vec<Binding>, Outcome> {
        let oids: Vec<Oid> = objects.iter().map(|object| Oid::from_slice(&object.0)).collect();
        let mut found = Vec::new();
        for oids in oids.chunks(snmp::DEFAULT_MAX_OIDS_PER_REQUEST) {
            let answer = self.client.get_many(oids).await.map_err(|e| self.outcome_of(&e))?;
            found.extend(answer.varbinds.into_iter().filter_map(|bound| Some((object(&bound.oid), datum(bound.value)?))));
        }
        Ok(found)
    }

    async fn walk(&self, root: &ObjectId, stride: Stride) -> Result<Vec<Binding>, Outcome> {
        let method = if stride == Stride::Bulk { WalkMethod::Auto } else { WalkMethod::GetNext };
        let options = WalkOptions { method, max_repetitions: REPETITIONS, result_limit: Some(WALKED), ..WalkOptions::default() };
        let walk = self.client.walk_with(Oid::from_slice(&root.0), options).map_err(|e| self.outcome_of(&e))?;
        let bound = walk.collect().await.map_err(|e| self.outcome_of(&e))?;
        Ok(bound.into_iter().filter_map(|bound| Some((object(&bound.oid), datum(bound.value)?))).collect())
    }
}

fn object(oid: &Oid) -> ObjectId {
    ObjectId(oid.arcs().to_vec().into())
}

fn datum(value: Value) -> Option<Datum> {
    match value {
        Value::Integer(value) => Some(Datum::Integer(value.into())),
        Value::Counter32(value) | Value::Gauge32(value) | Value::UInteger32(value) | Value::TimeTicks(value) => {
            Some(Datum::Integer(value.into()))
        }
        Value::Counter64(value) => Some(Datum::Counter64(value)),
        Value::OctetString(bytes) => Some(Datum::Text(bytes.to_vec())),
        Value::ObjectIdentifier(oid) => Some(Datum::Object(object(&oid))),
        _ => None,
    }
}

/// A UDP socket bound to the link. The library's own transport could only be bound to an address.
struct OwnWay {
    socket: UdpSocket,
    peer: SocketAddr,
    local: SocketAddr,
    bytes: Arc<AtomicUsize>,
}

impl OwnWay {
    fn count(&self, payload: usize) {
        let header = if self.peer.is_ipv4() { 28 } else { 48 };
        self.bytes.fetch_add(header + payload, Ordering::Relaxed);
    }

    fn network(&self, source: io::Error) -> Box<Error> {
        Error::Network { target: self.peer, source }.boxed()
    }

    fn timeout(&self) -> Box<Error> {
        Error::Timeout { target: self.peer, elapsed: PATIENCE, retries: 0 }.boxed()
    }
}

impl Transport for OwnWay {
    async fn send(&self, data: &[u8]) -> snmp::Result<()> {
        self.socket.send(data).await.map_err(|e| self.network(e))?;
        self.count(data.len());
        Ok(())
    }

    async fn request_with<T, F>(&self, data: &[u8], registration: RequestRegistration, mut validate: F) -> snmp::Result<T>
    where
        T: Send,
        F: FnMut(Bytes, SocketAddr) -> snmp::Result<Candidate<T>> + Send,
    {
        let deadline = registration.deadline();
        timeout_at(deadline, self.send(data)).await.map_err(|_| self.timeout())??;
        let mut datagram = vec![0; DATAGRAM_BYTES];
        loop {
            let received = timeout_at(deadline, self.socket.recv(&mut datagram)).await.map_err(|_| self.timeout())?;
            let length = received.map_err(|e| self.network(e))?;
            self.count(length);
            // The socket is connected, so only the device's own packets come this far.
            if registration.evaluate_response_identity(&datagram[..length], true) == ResponseIdentity::Reject {
                continue;
            }
            if let Candidate::Accept(answer) = validate(Bytes::copy_from_slice(&datagram[..length]), self.peer)? {
                return Ok(answer);
            }
        }
    }

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn is_reliable(&self) -> bool {
        false
    }
}

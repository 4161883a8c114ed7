//! The port for agents: who speaks, what they bring, what they are answered.
//!
//! ```text
//! TLS (client certificate optional) --> POST /v1/enroll      token or certificate --> identity
//!                                   --> POST /v1/batches     certificate          --> log --> Answer after fsync
//!                                   --> GET  /v1/assignment  certificate          --> what to measure
//! ```
//! Nothing a stranger sends costs more than a bounded amount of memory and time; each refusal has a reason and a counter.
//! Enrolment has a small pool of its own, so those who only announce one keep no report waiting. What one identity may cost is in
//! `quota.rs`.

mod admission;
mod assignments;
mod counters;
mod enroll;
mod hits;
mod pool;
mod quota;
mod tls;
mod upload;

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rusta_wire::{AgentId, BatchFault, BatchId, FaultReason, UnixMs};
use tokio::sync::{Notify, Semaphore};
use tokio::time::error::Elapsed;

use crate::clock;
use crate::identity::{Identity, Standing};
use crate::log::Log;
use crate::port::Peer;
use crate::store::Store;
pub use admission::{Admission, Pace, UnderWay, come_back};
pub use assignments::InventoryAssignments;
pub use counters::Counters;
pub use hits::{Hits, Limit};
pub use tls::server_config;

use pool::Pool;
use quota::Quotas;

/// Bodies held in memory at once, in KiB: a thousand of the largest uploads.
const BODIES_KIB: usize = 256 * 1024;

/// Says what an agent should measure.
pub trait Assignments: Send + Sync + 'static {
    /// Returns the version of a site's assignment; 0 if it has none.
    fn version(&self, site_code: &str) -> u64;
    /// Returns the assignment, as YAML of `links` and `targets`.
    fn text(&self, site_code: &str) -> Option<String>;
    /// Tells whether the registry lets a site's agents speak about any other site.
    fn is_vantage(&self, site_code: &str) -> bool;
    /// Tells whether the registry lets a site's agents speak about another one.
    fn may_speak_about(&self, site_code: &str, other_code: &str) -> bool;
}

/// No assignments: agents measure what their own file says.
pub struct NoAssignments;

impl Assignments for NoAssignments {
    fn version(&self, _site_code: &str) -> u64 {
        0
    }
    fn text(&self, _site_code: &str) -> Option<String> {
        None
    }
    fn is_vantage(&self, _site_code: &str) -> bool {
        false
    }
    fn may_speak_about(&self, _site_code: &str, _other_code: &str) -> bool {
        false
    }
}

/// Everything a request needs; clones share it.
#[derive(Clone)]
pub struct Ingest {
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    parts: Parts,
    bodies: Semaphore,
    enrolling: Pool,
    quotas: Quotas,
}

impl std::ops::Deref for Shared {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What an ingest is made of.
pub struct Parts {
    /// Where batches go.
    pub log: Log,
    /// Where what is made of them is kept.
    pub state: Store,
    /// Who may speak.
    pub identity: Identity,
    /// What agents should measure.
    pub assignments: Arc<dyn Assignments>,
    /// At what pace.
    pub admission: Admission,
    /// What happened.
    pub counters: Counters,
    /// How long a body may take.
    pub patience: Duration,
    /// Who wanted more than an identity may have.
    pub hits: Hits,
}

type Reply = Response<Full<Bytes>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A refusal: status, the counter's label, a reason for the other end, and the batches at fault, if it is for them.
struct Refusal {
    status: StatusCode,
    label: &'static str,
    reason: String,
    faults: Vec<BatchFault>,
}

impl Refusal {
    fn new(status: StatusCode, label: &'static str, reason: impl Into<String>) -> Self {
        Refusal { status, label, reason: reason.into(), faults: Vec::new() }
    }

    /// Says which batch it is for: nothing else makes an agent give one up.
    fn about(mut self, batch: BatchId, reason: FaultReason) -> Self {
        self.faults.push(BatchFault { boot: batch.boot, sequence: batch.sequence, reason });
        self
    }

    /// Refuses until later: nothing is lost by it.
    fn of(limit: Limit) -> Self {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, limit.as_str(), limit.reason())
    }
}

impl Ingest {
    /// Puts an ingest together.
    pub fn new(parts: Parts) -> Ingest {
        let quotas = Quotas::new(parts.hits.clone());
        Ingest { shared: Arc::new(Shared { parts, bodies: Semaphore::new(BODIES_KIB), enrolling: Pool::default(), quotas }) }
    }

    /// Makes the service of one connection.
    pub fn session(&self, peer: Peer) -> Session {
        let certificate = peer.certificate.as_ref().and_then(tls::read_certificate);
        Session { shared: self.shared.clone(), certificate, address: peer.address.ip(), close: peer.close }
    }
}

/// One connection of an agent, or of somebody who would like to be one.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    certificate: Option<tls::AgentCertificate>,
    address: IpAddr,
    close: Arc<Notify>,
}

impl hyper::service::Service<Request<Incoming>> for Session {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let session = self.clone();
        Box::pin(async move { Ok(session.answer(request).await) })
    }
}

/// The agent a request speaks for, as its certificate and the registry say.
struct Speaker {
    agent: AgentId,
    site_code: Arc<str>,
}

impl Session {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let now = clock::now();
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/v1/batches") => upload::answer(self, request, now).await,
            (&Method::POST, "/v1/enroll") => enroll::answer(self, request, now).await,
            (&Method::GET, "/v1/assignment") => self.assignment(&request, now),
            // For whoever knows its fingerprint: a device that enrols by an invitation.
            (&Method::GET, "/v1/authority") => {
                reply(StatusCode::OK, "application/x-pem-file", self.shared.identity.authority().bundle_pem().into_bytes())
            }
            (_, "/v1/batches" | "/v1/enroll" | "/v1/assignment" | "/v1/authority") => {
                self.refuse_text(&Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "another method is needed here"))
            }
            _ => self.refuse_text(&Refusal::new(StatusCode::NOT_FOUND, "path", "there is nothing here")),
        }
    }

    /// Says who speaks.
    fn speaker(&self, now: UnixMs) -> Result<Speaker, Refusal> {
        let forbidden = |label, reason: &str| Refusal::new(StatusCode::FORBIDDEN, label, reason);
        let certificate =
            self.certificate.as_ref().ok_or_else(|| forbidden("no_certificate", "an agent's certificate is needed; enrol first"))?;
        // A resumed or long-kept connection skips the handshake's check.
        if now >= certificate.not_after {
            return Err(forbidden("expired", "the certificate has expired; enrol again with a new token"));
        }
        match self.shared.identity.standing(certificate.agent, &certificate.key_hash) {
            Standing::Speaks(site_code) => Ok(Speaker { agent: certificate.agent, site_code }),
            Standing::Revoked => Err(forbidden("revoked", "this agent was revoked")),
            Standing::Superseded => Err(forbidden("superseded", "this certificate was replaced by a later one")),
            Standing::Waits => {
                let reason = "the site has another agent; this one waits for an administrator's approval";
                Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "waits", reason))
            }
            Standing::Unknown => Err(forbidden("unknown_agent", "this agent is not enrolled here")),
        }
    }

    fn assignment(&self, request: &Request<Incoming>, now: UnixMs) -> Reply {
        let speaker = match self.speaker(now) {
            Ok(speaker) => speaker,
            Err(refusal) => return self.refuse_text(&refusal),
        };
        let _under_way = match self.shared.quotas.enter(speaker.agent, now) {
            Ok(request) => request,
            Err(limit) => return self.refuse_text(&Refusal::of(limit)),
        };
        let version = self.shared.assignments.version(&speaker.site_code);
        let tag = format!("\"{version}\"");
        let held = request.headers().get(header::IF_NONE_MATCH).is_some_and(|held| held.as_bytes() == tag.as_bytes());
        let mut reply = match self.shared.assignments.text(&speaker.site_code) {
            _ if held => reply(StatusCode::NOT_MODIFIED, "application/json", Vec::new()),
            text => {
                // Also without an assignment: the answer is the first time an agent without a clock learns.
                let body = serde_json::json!({ "version": version, "server_unix_ms": clock::now().0, "yaml": text });
                reply(StatusCode::OK, "application/json", body.to_string().into_bytes())
            }
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            reply.headers_mut().insert(header::ETAG, tag);
        }
        reply
    }

    /// Reads an upload's body in bounded time and memory, when there is room among all bodies.
    async fn body(&self, request: Request<Incoming>, limit: usize) -> Result<Bytes, Refusal> {
        let announced = request.body().size_hint().upper();
        let expected = announced.map_or(limit, |upper| usize::try_from(upper).map_or(limit, |n| n.min(limit)));
        let kib = u32::try_from(expected.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let _held = self.shared.bodies.acquire_many(kib).await;
        self.small_body(request, limit, self.shared.patience).await
    }

    /// Reads a body of bounded size in bounded time.
    async fn small_body(&self, request: Request<Incoming>, limit: usize, patience: Duration) -> Result<Bytes, Refusal> {
        let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a body may have {limit} bytes"));
        if request.body().size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        match read_body(request.into_body(), limit, patience.min(self.shared.patience)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "cut", "the body ended early")),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body took too long")),
        }
    }

    /// Counts a refusal and, when coming back would not help, closes the connection.
    fn count(&self, refusal: &Refusal) {
        self.shared.counters.refused(refusal.label);
        if refusal.status.is_client_error() && refusal.status != StatusCode::TOO_MANY_REQUESTS {
            self.close.notify_one();
        }
    }

    fn refuse_text(&self, refusal: &Refusal) -> Reply {
        self.count(refusal);
        let body = serde_json::json!({ "title": refusal.label, "status": refusal.status.as_u16(), "detail": refusal.reason });
        reply(refusal.status, "application/problem+json", body.to_string().into_bytes())
    }
}

/// How long a body may be silent: a byte now and then keeps nothing open.
const GAP: Duration = Duration::from_secs(10);

/// Reads a body of bounded size in bounded time, from one piece to the next and altogether.
async fn read_body(body: Incoming, limit: usize, patience: Duration) -> Result<Result<Bytes, BoxError>, Elapsed> {
    let mut body = Limited::new(body, limit);
    let pieces = async {
        let mut read = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(GAP, body.frame()).await? {
            match frame {
                Ok(frame) => read.extend(frame.into_data().ok()),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(read.freeze()))
    };
    tokio::time::timeout(patience, pieces).await?
}

fn reply(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

#[cfg(test)]
mod tests;

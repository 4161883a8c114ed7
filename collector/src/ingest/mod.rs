//! The port for agents: who speaks, what they bring, what they are answered.
//!
//! ```text
//! TLS (client certificate optional) --> POST /v1/enroll      token or certificate --> identity
//!                                   --> POST /v1/batches     certificate          --> log --> Answer after fsync
//!                                   --> GET  /v1/assignment  certificate          --> what to measure
//! ```
//! Nothing a stranger sends costs more than a bounded amount of memory and time; each refusal has a reason and a counter.

mod admission;
mod assignments;
mod counters;
mod enroll;
mod tls;
mod upload;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rusta_wire::{AgentId, BatchFault, BatchId, FaultReason, UnixMs};
use tokio::sync::{Notify, Semaphore};

use crate::clock;
use crate::identity::{Identity, Standing};
use crate::log::Log;
use crate::port::Peer;
use crate::store::Store;
pub use admission::{Admission, Pace, UnderWay, come_back};
pub use assignments::InventoryAssignments;
pub use counters::Counters;
pub use tls::server_config;

/// Bodies held in memory at once, in KiB: a thousand of the largest uploads.
const BODIES_KIB: usize = 256 * 1024;

/// Says what an agent should measure.
pub trait Assignments: Send + Sync + 'static {
    /// Returns the version of a site's assignment; 0 if it has none.
    fn version(&self, site_code: &str) -> u64;
    /// Returns the assignment, as YAML of `links` and `targets`.
    fn text(&self, site_code: &str) -> Option<String>;
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
}

/// Everything a request needs; clones share it.
#[derive(Clone)]
pub struct Ingest {
    shared: Arc<Parts>,
    bodies: Arc<Semaphore>,
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
}

type Reply = Response<Full<Bytes>>;

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
}

impl Ingest {
    /// Puts an ingest together.
    pub fn new(parts: Parts) -> Ingest {
        Ingest { shared: Arc::new(parts), bodies: Arc::new(Semaphore::new(BODIES_KIB)) }
    }

    /// Makes the service of one connection.
    pub fn session(&self, peer: Peer) -> Session {
        let certificate = peer.certificate.as_ref().and_then(tls::read_certificate);
        Session { shared: self.shared.clone(), bodies: self.bodies.clone(), certificate, close: peer.close }
    }
}

/// One connection of an agent, or of somebody who would like to be one.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Parts>,
    bodies: Arc<Semaphore>,
    certificate: Option<tls::AgentCertificate>,
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
            (_, "/v1/batches" | "/v1/enroll" | "/v1/assignment") => {
                self.refuse_text(&Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "another method is needed here"))
            }
            _ => self.refuse_text(&Refusal::new(StatusCode::NOT_FOUND, "path", "there is nothing here")),
        }
    }

    /// Says who speaks.
    fn speaker(&self, now: UnixMs) -> Result<Speaker, Refusal> {
        let forbidden = |label, reason: &str| Refusal::new(StatusCode::FORBIDDEN, label, reason);
        let certificate = self.certificate.ok_or_else(|| forbidden("no_certificate", "an agent's certificate is needed; enrol first"))?;
        // A resumed or long-kept connection skips the handshake's check.
        if now >= certificate.not_after {
            return Err(forbidden("expired", "the certificate has expired; enrol again with a new token"));
        }
        match self.shared.identity.registry().standing(certificate.agent) {
            Standing::Speaks(site_code) => Ok(Speaker { agent: certificate.agent, site_code }),
            Standing::Revoked => Err(forbidden("revoked", "this agent was revoked")),
            Standing::Unknown => Err(forbidden("unknown_agent", "this agent is not enrolled here")),
        }
    }

    fn assignment(&self, request: &Request<Incoming>, now: UnixMs) -> Reply {
        let speaker = match self.speaker(now) {
            Ok(speaker) => speaker,
            Err(refusal) => return self.refuse_text(&refusal),
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

    /// Reads a body of bounded size in bounded time and memory.
    async fn body(&self, request: Request<Incoming>, limit: usize) -> Result<Bytes, Refusal> {
        let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a body may have {limit} bytes"));
        let announced = request.body().size_hint();
        if announced.lower() > limit as u64 {
            return Err(too_large());
        }
        let expected = announced.upper().map_or(limit, |upper| usize::try_from(upper).map_or(limit, |n| n.min(limit)));
        let kib = u32::try_from(expected.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let held = self.bodies.acquire_many(kib).await;
        let read = tokio::time::timeout(self.shared.patience, Limited::new(request.into_body(), limit).collect()).await;
        drop(held);
        match read {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "cut", "the body ended early")),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body took too long")),
        }
    }

    /// Counts a refusal and, when coming back would not help, closes the connection.
    fn count(&self, refusal: &Refusal) {
        self.shared.counters.refused(refusal.label);
        if refusal.status.is_client_error() {
            self.close.notify_one();
        }
    }

    fn refuse_text(&self, refusal: &Refusal) -> Reply {
        self.count(refusal);
        let body = serde_json::json!({ "title": refusal.label, "status": refusal.status.as_u16(), "detail": refusal.reason });
        reply(refusal.status, "application/problem+json", body.to_string().into_bytes())
    }
}

fn reply(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

#[cfg(test)]
mod tests;

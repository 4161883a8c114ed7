//! The agents' port against real TLS clients on loopback, honest and otherwise.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use rcgen::{CertificateParams, KeyPair};
use rusta_wire::limits::UPLOAD_BYTES;
use rusta_wire::{AgentId, Answer, FaultReason, Frame, FrameKind, TableId, upload_mark};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::identity::{Authority, Revocation, make_token, revoke};
use crate::log::tests::{batch, table};
use crate::log::{Keeping, Position};
use crate::port::{self, Limits, Port};
use crate::store::StoreError;

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_millis(700);

fn now_by_cli() -> Revocation<'static> {
    Revocation { actor: "cli", at: clock::now(), since: None, reason: "" }
}

const STRANGERS: port::StrangerLimits = port::StrangerLimits { connections: 10_000, of_an_address: 10_000, lifetime: DAY };

/// A collector's agents' port with everything behind it.
struct Stand {
    dir: tempfile::TempDir,
    store: Store,
    identity: Identity,
    log: Log,
    address: SocketAddr,
    registry: Registry,
    configs: watch::Sender<Arc<rustls::ServerConfig>>,
    hits: Hits,
    _drain: watch::Sender<bool>,
}

/// What an enrolled device holds.
#[derive(Clone)]
struct Device {
    agent: AgentId,
    key_pem: String,
    certificate_pem: String,
    ca_pem: String,
}

impl Stand {
    async fn start() -> Stand {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let identity = Identity::open(dir.path(), store.clone(), 30 * DAY, clock::now()).unwrap();
        let keeping = Keeping { dir: dir.path().join("log"), retention_days: 9, group_commit: Duration::from_millis(2) };
        let log = Log::open(keeping).unwrap();
        let (configs, tls) = watch::channel(server_config(&identity.authority(), &["127.0.0.1".into()], clock::now()).unwrap());
        let (counters, connections) = (Counters::default(), port::Counters::default());
        let mut registry = Registry::default();
        counters.register(&mut registry);
        connections.register("agents", &mut registry);
        let port = Port {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            tls: Some(tls),
            limits: Limits {
                connections: 20_000,
                patience: PATIENCE,
                idle: 10 * PATIENCE,
                drain: PATIENCE,
                half_open: 4_096,
                silence: None,
                of_an_address: None,
                strangers: Some(STRANGERS),
            },
            uncounted: Vec::new(),
            dates: false,
            counters: connections,
        };
        let address = port.listener.local_addr().unwrap();
        let hits = Hits::default();
        let ingest = Ingest::new(Parts {
            log: log.clone(),
            state: store.clone(),
            identity: identity.clone(),
            assignments: Arc::new(NoAssignments),
            admission: Admission::new(1 << 20),
            counters,
            patience: PATIENCE,
            hits: hits.clone(),
        });
        let (drain, drained) = watch::channel(false);
        tokio::spawn(port.serve(drained, move |peer| ingest.session(peer)));
        Stand { dir, store, identity, log, address, registry, configs, hits, _drain: drain }
    }

    fn token(&self, site: &str, ttl: Duration) -> String {
        make_token(&self.store, site, true, "cli", clock::now(), ttl).unwrap()
    }

    async fn enroll(&self, token: &str, key: &KeyPair) -> (StatusCode, String) {
        let body = serde_json::json!({ "token": token, "csr_pem": csr(key) }).to_string();
        let ca_pem = self.identity.authority().bundle_pem();
        self.connect(&ca_pem, None).await.unwrap().post("/v1/enroll", body).await.unwrap()
    }

    async fn device(&self, site: &str) -> Device {
        let key = KeyPair::generate().unwrap();
        let (status, body) = self.enroll(&self.token(site, DAY), &key).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        device(&key, &body)
    }

    /// Opens a connection; fails when the handshake does, also where TLS 1.3 tells the client only with the first read.
    async fn connect(&self, ca_pem: &str, device: Option<&Device>) -> Result<Line, String> {
        let stream = tls(self.address, ca_pem, device, b"h2").await?;
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Line(sender))
    }

    async fn line(&self, device: &Device) -> Line {
        self.connect(&device.ca_pem, Some(device)).await.unwrap()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    fn counted(&self, name: &str) -> u64 {
        let text = self.metrics();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not counted in\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    fn audited(&self, action: &str) -> i64 {
        let count = "SELECT count(*) FROM audit WHERE action = ?1";
        self.store.read(|tx| Ok::<_, StoreError>(tx.query_row(count, [action], |row| row.get(0))?)).unwrap()
    }

    fn stored(&self) -> usize {
        self.log.read_from(Position(0), 1_000_000).unwrap().len()
    }
}

/// One HTTP/2 connection.
struct Line(SendRequest<Full<Bytes>>);

impl Line {
    async fn send(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Result<(StatusCode, Bytes), String> {
        let request = Request::builder().method(method).uri(format!("https://127.0.0.1{path}")).body(Full::new(body.into())).unwrap();
        let response = self.0.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        Ok((status, response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes()))
    }

    async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<(StatusCode, String), String> {
        let (status, body) = self.send(Method::POST, path, body).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    async fn upload(&mut self, body: impl Into<Bytes>) -> Result<(StatusCode, Answer), String> {
        let (status, body) = self.send(Method::POST, "/v1/batches", body).await?;
        Ok((status, Answer::decode(&body).unwrap()))
    }

    /// Tells whether the server closes the connection within a second.
    async fn is_closed(&mut self) -> bool {
        for _ in 0..100 {
            if self.0.is_closed() || self.0.ready().await.is_err() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

async fn tls(address: SocketAddr, ca_pem: &str, device: Option<&Device>, alpn: &[u8]) -> Result<TlsStream<TcpStream>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match device {
        None => builder.with_no_client_auth(),
        Some(device) => {
            let certificate = CertificateDer::from_pem_slice(device.certificate_pem.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(device.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| e.to_string())
}

fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

fn device(key: &KeyPair, body: &str) -> Device {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    let agent = text("agent").parse().unwrap();
    Device { agent, key_pem: key.serialize_pem(), certificate_pem: text("certificate_pem"), ca_pem: text("ca_pem") }
}

fn frames(agent: AgentId, sequences: impl IntoIterator<Item = u64>, with_table: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if with_table {
        Frame::new(FrameKind::Table, table().encode()).unwrap().write(&mut out);
    }
    for n in sequences {
        Frame::new(FrameKind::Batch, batch(agent.0, 5, n, 1).encode(&table()).unwrap()).unwrap().write(&mut out);
    }
    out
}

#[tokio::test]
async fn an_enrolled_agent_is_stored_once_and_answered_with_time_and_pace() {
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let mut line = stand.line(&device).await;
    let before = clock::now();
    let (status, answer) = line.upload(frames(device.agent, [0, 1], false)).await.unwrap();
    assert_eq!((status, answer.missing_tables), (StatusCode::CONFLICT, vec![table().id()]), "the table was never sent");
    let (status, answer) = line.upload(frames(device.agent, [0, 1], true)).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{}", answer.reason);
    assert!(answer.server_time >= before && answer.server_time <= clock::now() && answer.backlog_bytes > 0);
    let (status, _) = line.upload(frames(device.agent, [0, 1, 2], false)).await.unwrap();
    assert_eq!((status, stand.stored()), (StatusCode::OK, 3));
    assert_eq!(stand.counted("rusta_batches_duplicate_total"), 2);
    assert_eq!(stand.log.read_from(Position(0), 1).unwrap()[0].site_code.as_ref(), "S1");
}

/// What a report costs on the way is the agent's business; what is at rest can be read with the schema alone.
#[tokio::test]
async fn the_dense_coding_is_offered_taken_and_kept_as_the_plain_one() {
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let mut line = stand.line(&device).await;
    let (_, answer) = line.upload(frames(device.agent, [0], true)).await.unwrap();
    assert!(answer.reads_dense);
    let dense = batch(device.agent.0, 5, 1, 1).encode_dense(&table()).unwrap();
    let (status, answer) = line.upload(Frame::new(FrameKind::Batch, dense).unwrap().to_bytes()).await.unwrap();
    assert_eq!((status, answer.reads_dense), (StatusCode::OK, false), "who uses it need not be told");
    let kept = stand.log.read_from(Position(0), 9).unwrap().into_iter().nth(1).unwrap();
    assert_eq!(&kept.frame[..], frames(device.agent, [1], false));
}

#[tokio::test]
async fn a_token_is_good_once_for_one_key_until_it_expires() {
    let stand = Stand::start().await;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let token = stand.token("S1", DAY);
    let (_, first) = stand.enroll(&token, &key).await;
    let (status, again) = stand.enroll(&token, &key).await;
    assert_eq!(status, StatusCode::OK, "the first answer may have been lost on the way");
    assert_eq!(device(&key, &again).agent, device(&key, &first).agent);
    assert_eq!(stand.enroll(&token, &other).await.0, StatusCode::FORBIDDEN);
    assert_eq!(stand.enroll("no such token", &key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(stand.enroll(&stand.token("S1", Duration::ZERO), &key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(stand.audited("agent.enroll.refused"), 3);
    revoke(&stand.store, device(&key, &first).agent, now_by_cli()).unwrap();
    assert_eq!(stand.enroll(&token, &key).await.0, StatusCode::FORBIDDEN, "a revoked agent came back by its old token");
    let kept: String =
        stand.store.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT group_concat(hash) FROM tokens", [], |r| r.get(0))?)).unwrap();
    assert!(!kept.contains(&token), "the token itself was kept");
}

#[tokio::test]
async fn a_request_for_a_certificate_is_believed_for_its_key_only() {
    let stand = Stand::start().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["collector.example".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let greedy = params.serialize_request(&key).unwrap().pem().unwrap();
    let body = serde_json::json!({ "token": stand.token("S1", DAY), "csr_pem": greedy }).to_string();
    let ca_pem = stand.identity.authority().bundle_pem();
    let (status, body) = stand.connect(&ca_pem, None).await.unwrap().post("/v1/enroll", body).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    let der = CertificateDer::from_pem_slice(device(&key, &body).certificate_pem.as_bytes()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!certificate.is_ca() && certificate.subject_alternative_name().unwrap().is_none());
}

#[tokio::test]
async fn strangers_and_the_expired_do_not_get_in() {
    let stand = Stand::start().await;
    let honest = stand.device("S1").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Authority::open(elsewhere.path(), clock::now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let sign = |authority: &Authority, now| authority.sign(&csr(&key), honest.agent, now, DAY).unwrap().certificate_pem;
    let forged = Device { key_pem: key.serialize_pem(), certificate_pem: sign(&foreign, clock::now()), ..honest.clone() };
    let expired_at = UnixMs(clock::now().0 - 3 * 86_400_000);
    let expired = Device { key_pem: key.serialize_pem(), certificate_pem: sign(&stand.identity.authority(), expired_at), ..honest.clone() };
    for (what, device) in [("wrong authority", &forged), ("expired", &expired)] {
        let refused = match stand.connect(&device.ca_pem, Some(device)).await {
            Err(_) => true,
            Ok(mut line) => line.upload(frames(honest.agent, [0], true)).await.is_err(),
        };
        assert!(refused, "{what} got in");
    }
    let mut nobody = stand.connect(&honest.ca_pem, None).await.unwrap();
    assert_eq!(nobody.upload(frames(honest.agent, [0], true)).await.unwrap().0, StatusCode::FORBIDDEN, "no certificate");
    assert_eq!(stand.stored(), 0);
    assert_eq!(stand.counted("rusta_handshakes_failed_total"), 2);
    assert!(tls(stand.address, &foreign.bundle_pem(), None, b"h2").await.is_err(), "an agent must not believe another authority");
    assert_eq!(stand.line(&honest).await.upload(frames(honest.agent, [0], true)).await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn a_revocation_holds_from_the_next_request_on() {
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let mut line = stand.line(&device).await;
    assert_eq!(line.upload(frames(device.agent, [0], true)).await.unwrap().0, StatusCode::OK);
    revoke(&stand.store, device.agent, now_by_cli()).unwrap();
    stand.identity.reload(stand.dir.path(), clock::now()).unwrap();
    let (status, answer) = line.upload(frames(device.agent, [1], true)).await.unwrap();
    assert_eq!((status, answer.reason.as_str()), (StatusCode::FORBIDDEN, "this agent was revoked"));
    assert!(line.is_closed().await);
    let body = serde_json::json!({ "csr_pem": csr(&KeyPair::from_pem(&device.key_pem).unwrap()) }).to_string();
    assert_eq!(stand.line(&device).await.post("/v1/enroll", body).await.unwrap().0, StatusCode::FORBIDDEN, "it renewed itself");
    assert_eq!(stand.stored(), 1);
}

#[tokio::test]
async fn nobody_speaks_for_another_agent() {
    let stand = Stand::start().await;
    let (thief, victim) = (stand.device("S1").await, stand.device("S2").await);
    let mut line = stand.line(&thief).await;
    assert_eq!(line.upload(frames(victim.agent, [0], true)).await.unwrap().0, StatusCode::FORBIDDEN);
    assert!(line.is_closed().await);
    let mut mixed = frames(thief.agent, [0], true);
    mixed.extend(frames(victim.agent, [1], false));
    assert_eq!(stand.line(&thief).await.upload(mixed).await.unwrap().0, StatusCode::FORBIDDEN);
    assert_eq!(stand.stored(), 0, "its own batch beside the stolen one must not be stored either");
    assert_eq!(stand.hits.of_agent(thief.agent, clock::now()), [(Limit::OtherAgent, 2)]);
    stand.hits.keep(&stand.store).unwrap();
    assert_eq!(stand.audited("agent.limited"), 1);
}

#[tokio::test]
async fn malformed_and_oversized_bodies_are_refused_and_the_connection_closed() {
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let good = frames(device.agent, [0], true);
    let mut mark = Vec::new();
    Frame::new(FrameKind::Mark, &b"x"[..]).unwrap().write(&mut mark);
    let bodies: [(&str, Vec<u8>, StatusCode); 6] = [
        ("random", (0..5_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect(), StatusCode::BAD_REQUEST),
        ("truncated", good[..good.len() - 1].to_vec(), StatusCode::BAD_REQUEST),
        (
            "flipped",
            {
                let mut bad = good.clone();
                *bad.last_mut().unwrap() ^= 1;
                bad
            },
            StatusCode::BAD_REQUEST,
        ),
        ("a mark", mark, StatusCode::BAD_REQUEST),
        ("too large", vec![0; UPLOAD_BYTES + 1], StatusCode::PAYLOAD_TOO_LARGE),
        ("too many frames", frames(device.agent, 0..1_100, true), StatusCode::BAD_REQUEST),
    ];
    for (what, body, expected) in bodies {
        let mut line = stand.line(&device).await;
        let (status, answer) = line.upload(body).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(status, expected, "{what}");
        assert!(!answer.reason.is_empty(), "{what}: no reason");
        assert!(line.is_closed().await, "{what}: the connection stays open");
    }
    assert_eq!(stand.stored(), 0);
    assert_eq!(stand.counted("rusta_requests_refused_total{reason=\"malformed\"}"), 5);
    assert_eq!(stand.counted("rusta_requests_refused_total{reason=\"too_large\"}"), 1);
}

/// Only an answer that names the upload and the batch makes an agent let a batch go.
#[tokio::test]
async fn a_refusal_names_the_upload_and_the_batches_it_is_for() {
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let mut line = stand.line(&device).await;
    let first = frames(device.agent, [0], true);
    let (_, stored) = line.upload(first.clone()).await.unwrap();
    assert_eq!(stored.upload, Some(upload_mark(&first)));
    // A batch that covers two numbers, one of which is stored with other content.
    let wide = rusta_wire::Batch { covers: 2, ..batch(device.agent.0, 5, 0, 1) };
    let overlap = Frame::new(FrameKind::Batch, wide.encode(&table()).unwrap()).unwrap().to_bytes();
    let (status, answer) = line.upload(overlap.clone()).await.unwrap();
    assert_eq!((status, answer.upload), (StatusCode::UNPROCESSABLE_ENTITY, Some(upload_mark(&overlap))), "{}", answer.reason);
    let named: Vec<_> = answer.faults.iter().map(|f| (f.boot.0, f.sequence.0, f.reason)).collect();
    assert_eq!(named, [(5, 0, FaultReason::Overlap)]);
    // Two whose columns this version cannot read, beside one that it can: those two are named, and nothing is stored.
    let unread = |n| {
        let mut payload = batch(device.agent.0, 5, n, 1).encode(&table()).unwrap();
        payload.extend([0xb2, 0x01, 0x01, 0x05]);
        Frame::new(FrameKind::Batch, payload).unwrap().to_bytes()
    };
    let mixed = [unread(7), frames(device.agent, [8], false), unread(9)].concat();
    let (status, answer) = stand.line(&device).await.upload(mixed).await.unwrap();
    let named: Vec<_> = answer.faults.iter().map(|f| (f.sequence.0, f.reason)).collect();
    assert_eq!((status, named), (StatusCode::UNPROCESSABLE_ENTITY, vec![(7, FaultReason::Unreadable), (9, FaultReason::Unreadable)]));
    assert_eq!(stand.stored(), 1);
    // A body that lost its end on the way is refused by what arrived, which is not what was sent.
    let (_, answer) = stand.line(&device).await.upload(first[..first.len() / 2].to_vec()).await.unwrap();
    assert!(answer.upload.is_some() && answer.upload != Some(upload_mark(&first)) && answer.faults.is_empty());
}

/// A newer agent's networks, rungs, probes, outcomes, metrics, clock, reason and fields: stored as sent, derived from as far as known.
#[tokio::test]
async fn codes_and_fields_of_a_later_version_are_stored_as_sent_in_either_coding() {
    use rusta_wire::{ClockSource, Metric, Network, Outcome, ProbeKind, Reason, Rung};
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let mut later = table();
    let mut new = later.series[0].clone();
    (new.network, new.rung, new.probe) = (Network::Unknown(900), Rung::Unknown(77), ProbeKind::Unknown(61));
    new.metrics.push(Metric::Unknown(5_000));
    new.target = "later".into();
    later.series.push(new);
    // A field of the table, and one of the batch, that this version does not know.
    let encoded_table = [later.encode(), vec![0xf8, 0x3e, 0x01]].concat();
    let mut sent = batch(device.agent.0, 5, 0, 1);
    sent.table = TableId::of(&encoded_table);
    (sent.reason, sent.clock.source) = (Reason::Unknown(9), ClockSource::Unknown(8));
    let series = rusta_wire::SeriesIndex(u16::try_from(later.series.len() - 1).unwrap());
    let mut values = vec![None; later.series[usize::from(series.0)].metrics.len()];
    *values.last_mut().unwrap() = Some(-7);
    sent.samples.push(rusta_wire::Sample { series, at: sent.until, outcome: Outcome::Ok, values });
    sent.samples[0].outcome = Outcome::Unknown(50);
    let extra = [0xf8, 0x3e, 0x2a];
    let plain = [sent.encode(&later).unwrap(), extra.to_vec()].concat();
    let mut line = stand.line(&device).await;
    let mut body = Frame::new(FrameKind::Table, encoded_table).unwrap().to_bytes();
    body.extend(Frame::new(FrameKind::Batch, plain.clone()).unwrap().to_bytes());
    let (status, answer) = line.upload(body).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{}", answer.reason);
    sent.id.sequence = rusta_wire::Sequence(1);
    let dense = [sent.encode_dense(&later).unwrap(), extra.to_vec()].concat();
    let (status, answer) = line.upload(Frame::new(FrameKind::Batch, dense).unwrap().to_bytes()).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{}", answer.reason);
    let kept = stand.log.read_from(Position(0), 9).unwrap();
    assert_eq!(Frame::read(&kept[0].frame).unwrap().0.payload, plain);
    assert_eq!(Frame::read(&kept[1].frame).unwrap().0.payload, [sent.encode(&later).unwrap(), extra.to_vec()].concat());
    for stored in kept {
        let known = stored.batch().unwrap();
        assert_eq!(known.samples.len(), sent.samples.len() - 2, "what is derived knows nothing of the codes of tomorrow");
        assert!(known.samples.iter().all(|s| s.outcome.is_known() && s.series != series));
    }
}

#[tokio::test]
async fn the_slow_are_not_waited_for() {
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let started = Instant::now();
    // Plain bytes where a handshake should be, and nothing at all.
    let mut garbage = TcpStream::connect(stand.address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut silent = TcpStream::connect(stand.address).await.unwrap();
    // A head that never ends, and a body that never comes.
    let mut head = tls(stand.address, &device.ca_pem, Some(&device), b"http/1.1").await.unwrap();
    head.write_all(b"POST /v1/batches HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let mut body = tls(stand.address, &device.ca_pem, Some(&device), b"http/1.1").await.unwrap();
    body.write_all(b"POST /v1/batches HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nRU").await.unwrap();
    let mut answer = Vec::new();
    let _reset_is_fine_too = body.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    for stream in [&mut garbage, &mut silent] {
        let mut rest = Vec::new();
        let _reset_is_fine_too = stream.read_to_end(&mut rest).await;
    }
    let mut rest = Vec::new();
    let _reset_is_fine_too = head.read_to_end(&mut rest).await;
    assert!(started.elapsed() < 5 * PATIENCE, "waited {:?}", started.elapsed());
    assert_eq!(stand.counted("rusta_requests_refused_total{reason=\"slow\"}"), 1);
    assert_eq!(stand.counted("rusta_handshakes_slow_total"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_half_open_connections_do_not_keep_an_agent_out() {
    crate::process::raise_descriptor_limit();
    let stand = Stand::start().await;
    let device = stand.device("S1").await;
    let mut crowd = Vec::new();
    for _ in 0..6_000 {
        crowd.extend(TcpStream::connect(stand.address).await);
        if crowd.len() % 1_000 == 0 {
            let started = Instant::now();
            let mut line = stand.line(&device).await;
            let (status, _) = line.upload(frames(device.agent, [crowd.len() as u64], true)).await.unwrap();
            assert_eq!(status, StatusCode::OK);
            assert!(started.elapsed() < Duration::from_secs(2), "an agent waited {:?} behind {}", started.elapsed(), crowd.len());
        }
    }
    assert!(crowd.len() >= 4_500, "only {} connections could be opened: raise the descriptor limit of the test", crowd.len());
    tokio::time::sleep(2 * PATIENCE).await;
    let closed = stand.counted("rusta_handshakes_slow_total") + stand.counted("rusta_handshakes_gave_way_total");
    assert!(closed as usize >= crowd.len(), "{closed} of {} were let go", crowd.len());
}

#[tokio::test]
async fn an_authority_is_rotated_without_touching_an_agent_and_retired_after_all_renewed() {
    let stand = Stand::start().await;
    let enrolled = stand.device("S1").await;
    Authority::rotate(stand.dir.path(), clock::now()).unwrap();
    assert!(stand.identity.reload(stand.dir.path(), clock::now()).unwrap(), "the rotation went unnoticed");
    let renewed_config = || server_config(&stand.identity.authority(), &["127.0.0.1".into()], clock::now()).unwrap();
    stand.configs.send_replace(renewed_config());
    let mut line = stand.line(&enrolled).await;
    assert_eq!(line.upload(frames(enrolled.agent, [0], true)).await.unwrap().0, StatusCode::OK, "an agent of the old authority");
    let key = KeyPair::from_pem(&enrolled.key_pem).unwrap();
    let body = serde_json::json!({ "csr_pem": csr(&key) }).to_string();
    let (status, body) = line.post("/v1/enroll", body).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    let renewed = device(&key, &body);
    assert_eq!(renewed.agent, enrolled.agent);
    assert_eq!(Authority::retire_old(stand.dir.path()).unwrap(), 1);
    stand.identity.reload(stand.dir.path(), clock::now()).unwrap();
    stand.configs.send_replace(renewed_config());
    assert_eq!(stand.line(&renewed).await.upload(frames(enrolled.agent, [1], true)).await.unwrap().0, StatusCode::OK);
    assert!(stand.connect(&enrolled.ca_pem, Some(&enrolled)).await.is_err(), "the retired authority is still in the chain");
}

fn renewal(key: &KeyPair) -> String {
    serde_json::json!({ "csr_pem": csr(key) }).to_string()
}

/// The first use of the later key ends the earlier one; an answer that was lost on its way locks nobody out.
#[tokio::test]
async fn an_earlier_key_holds_until_the_later_one_is_used_and_no_longer() {
    let stand = Stand::start().await;
    let old = stand.device("S1").await;
    let keys = [KeyPair::generate().unwrap(), KeyPair::generate().unwrap()];
    let (status, lost) = stand.line(&old).await.post("/v1/enroll", renewal(&keys[0])).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{lost}");
    assert_eq!(
        stand.line(&old).await.upload(frames(old.agent, [0], true)).await.unwrap().0,
        StatusCode::OK,
        "the answer may have been lost"
    );
    let (_, given) = stand.line(&old).await.post("/v1/enroll", renewal(&keys[1])).await.unwrap();
    let new = device(&keys[1], &given);
    assert_eq!(stand.line(&new).await.upload(frames(old.agent, [1], true)).await.unwrap().0, StatusCode::OK);
    let (status, answer) = stand.line(&old).await.upload(frames(old.agent, [2], true)).await.unwrap();
    assert_eq!((status, answer.reason.contains("replaced")), (StatusCode::FORBIDDEN, true), "{}", answer.reason);
    let (status, _) = stand.line(&device(&keys[0], &lost)).await.upload(frames(old.agent, [2], true)).await.unwrap();
    assert_eq!(status, StatusCode::FORBIDDEN, "the one that was never used");
    for _ in 0..200 {
        let kept: Option<String> =
            stand.store.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT next_key_hash FROM agents", [], |row| row.get(0))?)).unwrap();
        if kept.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stand.identity.reload(stand.dir.path(), clock::now()).unwrap();
    assert_eq!(stand.line(&old).await.upload(frames(old.agent, [2], true)).await.unwrap().0, StatusCode::FORBIDDEN, "a restart forgets it");
}

#[tokio::test]
async fn renewals_boots_and_tables_of_one_identity_are_limited_and_others_are_not() {
    let stand = Stand::start().await;
    let (greedy, honest) = (stand.device("S1").await, stand.device("S2").await);
    let key = KeyPair::from_pem(&greedy.key_pem).unwrap();
    let mut line = stand.line(&greedy).await;
    let mut given = 0;
    for _ in 0..40 {
        given += u32::from(line.post("/v1/enroll", renewal(&key)).await.unwrap().0 == StatusCode::OK);
    }
    assert_eq!(given, 10, "renewals");
    let mut stored = 0;
    line.upload(frames(greedy.agent, [0], true)).await.unwrap();
    for boot in 0..200 {
        let frame = Frame::new(FrameKind::Batch, batch(greedy.agent.0, 1_000 + boot, 0, 1).encode(&table()).unwrap()).unwrap();
        let (status, answer) = line.upload(frame.to_bytes()).await.unwrap();
        assert!(
            status == StatusCode::OK || status == StatusCode::TOO_MANY_REQUESTS && answer.retry_after_ms > 0,
            "{status} {}",
            answer.reason
        );
        stored += u32::from(status == StatusCode::OK);
    }
    assert_eq!(stored, 95, "boots");
    let mut tables = 0;
    for n in 0..200 {
        let mut other = table();
        other.series[0].target = format!("target-{n}");
        let frame = Frame::new(FrameKind::Table, other.encode()).unwrap();
        tables += u32::from(line.upload(frame.to_bytes()).await.unwrap().0 == StatusCode::OK);
    }
    assert!(tables <= 64, "{tables} tables");
    assert_eq!(stand.line(&honest).await.upload(frames(honest.agent, [0], true)).await.unwrap().0, StatusCode::OK);
    let limited = format!("{:?}", stand.hits.of_agent(greedy.agent, clock::now()));
    assert!(["Renewals", "Boots", "Tables"].iter().all(|limit| limited.contains(limit)), "{limited}");
    assert!(stand.hits.of_agent(honest.agent, clock::now()).is_empty());
    stand.hits.keep(&stand.store).unwrap();
    stand.hits.keep(&stand.store).unwrap();
    assert_eq!(stand.audited("agent.limited"), 3, "a row a day and reason, not one a request");
}

#[tokio::test]
async fn a_second_agent_of_a_site_waits_until_it_is_approved() {
    let stand = Stand::start().await;
    let first = stand.device("S1").await;
    let key = KeyPair::generate().unwrap();
    let token = make_token(&stand.store, "S1", false, "cli", clock::now(), DAY).unwrap();
    let (status, body) = stand.enroll(&token, &key).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let second = device(&key, &body);
    let (status, answer) = stand.line(&second).await.upload(frames(second.agent, [0], true)).await.unwrap();
    assert_eq!((status, answer.hold), (StatusCode::TOO_MANY_REQUESTS, rusta_wire::Hold::All), "{}", answer.reason);
    assert!(answer.reason.contains("approval") && answer.retry_after_ms > 0, "an agent keeps what it has until then");
    assert_eq!(stand.line(&first).await.upload(frames(first.agent, [0], true)).await.unwrap().0, StatusCode::OK);
    crate::identity::approve(&stand.store, second.agent, "cli", clock::now()).unwrap();
    stand.identity.reload(stand.dir.path(), clock::now()).unwrap();
    assert_eq!(stand.line(&second).await.upload(frames(second.agent, [0], true)).await.unwrap().0, StatusCode::OK);
    assert!(crate::identity::approve(&stand.store, second.agent, "cli", clock::now()).is_err(), "nothing waits");
}

/// Whoever announces an enrolment and sends nothing holds a place of a small pool for seconds, and no report waits.
#[tokio::test]
async fn those_who_announce_an_enrolment_and_never_send_it_keep_no_report_waiting() {
    let stand = Stand::start().await;
    let honest = stand.device("S1").await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        let mut stream = tls(stand.address, &honest.ca_pem, None, b"http/1.1").await.unwrap();
        stream.write_all(b"POST /v1/enroll HTTP/1.1\r\nhost: x\r\ncontent-length: 16000\r\n\r\n{").await.unwrap();
        crowd.push(stream);
    }
    let started = Instant::now();
    let mut line = stand.line(&honest).await;
    for n in 0..20 {
        assert_eq!(line.upload(frames(honest.agent, [n], n == 0)).await.unwrap().0, StatusCode::OK);
    }
    assert!(started.elapsed() < Duration::from_secs(2), "reports waited {:?}", started.elapsed());
    assert!(stand.metrics().contains("reason=\"enrolling\""), "those over the pool's size are refused at once");
}

//! The uplink against a small collector of its own: real TLS, real HTTP/2, answers as the test wants them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::config::{Config, Watch};
use crate::spool::Spool;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response as Reply};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rusta_wire::{AgentId, Answer, BatchFault, BatchId, FaultReason, FrameKind, Hold, Reason, SeriesTable, UnixMs};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

const AGENT: &str = "00000000000000a7";

/// An authority that can sign servers and agents.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn sign(&self, name: &str, from_year: i32, to_year: i32) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(from_year, 1, 1);
        params.not_after = rcgen::date_time_ymd(to_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn identity(&self, dir: &Path) -> Identity {
        let (certificate, key) = self.sign(AGENT, 2020, 2090);
        crate::identity::store(dir, Some(&key.serialize_pem()), &certificate.pem(), &self.issuer.pem()).unwrap();
        Identity::load(dir).unwrap()
    }

    fn server_config(&self, from_year: i32, to_year: i32) -> ServerConfig {
        let (certificate, key) = self.sign("collector", from_year, to_year);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

/// What the small collector says and what it saw.
#[derive(Default)]
struct Script {
    /// Answers before it settles on 200.
    replies: RefCell<VecDeque<(u16, Answer)>>,
    settled: RefCell<Answer>,
    assignment: RefCell<Option<String>>,
    /// For each upload, the boot it names and that boot's age in milliseconds.
    boots: RefCell<Vec<Option<(String, u64)>>>,
    /// For each accepted upload, the sequence numbers in it.
    uploads: RefCell<Vec<Vec<u64>>>,
    connections: std::cell::Cell<u32>,
    /// Ends every open connection; how many ended so.
    hang_up: tokio::sync::Notify,
    hung_up: std::cell::Cell<u32>,
    tables: RefCell<BTreeSet<TableId>>,
    /// For each batch, whether it came in the dense coding.
    dense: RefCell<Vec<bool>>,
    /// Sequence numbers it does not take, and why.
    poison: RefCell<Vec<(u64, FaultReason)>>,
    /// Sequence numbers an older collector cannot read: it says 400 and does not say of which batch it speaks.
    unread: RefCell<Vec<u64>>,
    /// What stands in front of it says, and with which type, as long as there is any.
    pages: RefCell<VecDeque<(u16, &'static str, Vec<u8>)>>,
    /// Most bytes that pass what stands in front of it; 0: all do.
    passes: std::cell::Cell<usize>,
    /// It is of before the answers named their upload.
    is_old: std::cell::Cell<bool>,
    requests: std::cell::Cell<u32>,
}

async fn collector(authority: &Authority, script: Rc<Script>, from_year: i32, to_year: i32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(authority.server_config(from_year, to_year)));
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (tls, script) = (tls.clone(), script.clone());
            tokio::task::spawn_local(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                script.connections.set(script.connections.get() + 1);
                let told = script.clone();
                let service = service_fn(move |request| reply(request, script.clone()));
                let connection = hyper::server::conn::http2::Builder::new(LocalExecutor).serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = told.hang_up.notified() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
                told.hung_up.set(told.hung_up.get() + 1);
            });
        }
    });
    address
}

#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

async fn reply(request: Request<Incoming>, script: Rc<Script>) -> Result<Reply<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_string();
    let header = |name| Some(request.headers().get(name)?.to_str().unwrap().to_string());
    let boot = header("rusta-boot").zip(header("rusta-uptime-ms").map(|ms| ms.parse().unwrap()));
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    if path == "/v1/batches" {
        script.requests.set(script.requests.get() + 1);
        let page = script.pages.borrow_mut().pop_front();
        let too_large = (1..body.len()).contains(&script.passes.get()).then(|| (413, "text/html", b"<h1>413</h1>".to_vec()));
        if let Some((status, kind, page)) = page.or(too_large) {
            return Ok(Reply::builder().status(status).header("content-type", kind).body(Full::new(page.into())).unwrap());
        }
    }
    let (status, bytes) = match path.as_str() {
        "/v1/batches" => {
            script.boots.borrow_mut().push(boot);
            let (status, answer) = take_upload(&body, &script);
            let upload = (!script.is_old.get()).then(|| upload_mark(&body));
            (status, Answer { server_time: UnixMs(1_900_000_000_000), upload, ..answer }.encode())
        }
        "/v1/assignment" => (200, script.assignment.borrow().clone().unwrap_or_default().into_bytes()),
        _ => (404, Vec::new()),
    };
    Ok(Reply::builder().status(status).body(Full::new(Bytes::from(bytes))).unwrap())
}

fn take_upload(body: &[u8], script: &Script) -> (u16, Answer) {
    if let Some((status, answer)) = script.replies.borrow_mut().pop_front() {
        return (status, answer);
    }
    let (mut sequences, mut boot) = (Vec::new(), None);
    let mut missing = Vec::new();
    for frame in Frame::read_all(body).map(Result::unwrap) {
        match frame.kind {
            FrameKind::Table => {
                script.tables.borrow_mut().insert(SeriesTable::decode(&frame.payload).unwrap().id());
            }
            FrameKind::Batch => {
                let head = Batch::head(&frame.payload).unwrap();
                if let Ok((_, is_dense)) = Batch::decode_any(&frame.payload, &SeriesTable::default()) {
                    script.dense.borrow_mut().push(is_dense);
                }
                sequences.push(head.id.sequence.0);
                boot = Some(head.id.boot);
                if !script.tables.borrow().contains(&head.table) {
                    missing.push(head.table);
                }
            }
            FrameKind::Mark => panic!("a mark was sent"),
        }
    }
    if !missing.is_empty() {
        return (409, Answer { missing_tables: missing, ..Answer::default() });
    }
    if sequences.iter().any(|s| script.unread.borrow().contains(s)) {
        return (400, Answer { reason: "frame 0: field outcomes: unknown outcome".into(), ..Answer::default() });
    }
    let poison = script.poison.borrow();
    let faults: Vec<_> = poison.iter().filter(|(s, _)| sequences.contains(s)).collect();
    if !faults.is_empty() {
        let boot = boot.expect("a batch has a boot");
        let named = |(s, reason): &&(u64, FaultReason)| BatchFault { boot, sequence: rusta_wire::Sequence(*s), reason: *reason };
        return (422, Answer { reason: "poison".into(), faults: faults.iter().map(named).collect(), ..Answer::default() });
    }
    script.uploads.borrow_mut().push(sequences);
    (200, script.settled.borrow().clone())
}

struct Agent {
    shared: Rc<Shared>,
    events: mpsc::UnboundedReceiver<Event>,
    _dir: tempfile::TempDir,
}

const SETTINGS: &str = "links: [{ name: gov, network: gov }]\ntargets: []\n";

fn start(urls: &[SocketAddr], authority: &Authority, owed: u64) -> Agent {
    let (agent, uplink) = prepare(urls, authority, owed, SETTINGS);
    tokio::task::spawn_local(uplink.run());
    agent
}

/// An agent whose uplink does not run yet.
fn prepare(urls: &[SocketAddr], authority: &Authority, owed: u64, settings: &str) -> (Agent, Uplink) {
    let dir = tempfile::tempdir().unwrap();
    let urls: Vec<String> = urls.iter().map(|a| format!("\"https://{a}\"")).collect();
    let text = format!(
        "collector: {{ urls: [{}], identity_dir: {2}/id }}\nspool: {{ dir: {2}/spool, sync: never }}\n{1}",
        urls.join(","),
        settings,
        dir.path().display()
    );
    let config = Config::parse(&text).unwrap();
    let shared = Rc::new(Shared::open(&config).unwrap());
    // Its numbers begin at 0, as if the boot had only begun.
    let from_zero = crate::config::Spool { dir: dir.path().join("spool-from-0"), ..config.spool.clone() };
    shared.spool.replace(Spool::open(from_zero, shared.clock.boot(), MonoMs(0)).unwrap());
    shared.adopt(Rc::new(config.watch()));
    for _ in 0..owed {
        spool_as(&shared, AgentId(0xa7), MonoMs(0));
    }
    let identity = authority.identity(&dir.path().join("id"));
    let prober = Rc::new(Prober::new(shared.clock.settings(vec![])));
    let (teller, events) = mpsc::unbounded_channel();
    let uplink = Uplink::new(shared.clone(), config.collector.unwrap(), identity, prober, teller).unwrap();
    (Agent { shared, events, _dir: dir }, uplink)
}

fn spool_one(shared: &Shared) {
    spool_as(shared, AgentId(0xa7), shared.clock.now());
}

fn spool_as(shared: &Shared, agent: AgentId, ended: MonoMs) {
    let mut spool = shared.spool.borrow_mut();
    let table = SeriesTable::default();
    let batch = Batch {
        id: BatchId { agent, boot: shared.clock.boot(), sequence: spool.next_sequence() },
        covers: 1,
        from: ended,
        until: ended,
        clock: shared.clock.believed(),
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table.id(),
        samples: Vec::new(),
    };
    spool.append(batch, &table, false).unwrap();
    shared.wake.notify_one();
}

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(60), story).await.expect("not done within a minute") };
    LocalSet::new().block_on(&runtime, limited);
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn paced(bytes: u32) -> Answer {
    Answer { server_time: UnixMs(1_900_000_000_000), backlog_bytes: bytes, ..Answer::default() }
}

#[test]
fn fresh_goes_first_then_the_backlog_on_one_connection() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 40);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        let uploads = script.uploads.borrow().clone();
        assert_eq!(uploads[0], [37, 38, 39]);
        assert_eq!(uploads[1][0], 0);
        let mut all: Vec<u64> = uploads.concat();
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<_>>(), "each once");
        spool_one(&agent.shared);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!(script.connections.get(), 1);
        assert_eq!(agent.shared.clock.believed().source, rusta_wire::ClockSource::Collector);
    });
}

/// Live state leaves out a round that follows a later one. With the newest in front, the failures of a report that was under
/// way on a line as it was cut never counted, and the outage was confirmed 84 s late, after the next report.
#[test]
fn what_waited_for_another_way_is_told_in_its_order_before_the_backlog() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let (agent, uplink) = prepare(&[address], &authority, 10, SETTINGS);
        for _ in 0..5 {
            spool_one(&agent.shared);
        }
        tokio::task::spawn_local(uplink.run());
        until(|| agent.shared.spool.borrow().is_empty()).await;
        let expected: [Vec<u64>; 2] = [(10..15).collect(), (0..10).collect()];
        assert_eq!(*script.uploads.borrow(), expected);
    });
}

/// The first upload is refused for its table, so what it said about the boot is not kept: the second one says it again.
#[test]
fn a_connection_tells_the_boot_and_its_age_until_something_is_stored() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 1);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        spool_one(&agent.shared);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        let boots = script.boots.borrow().clone();
        assert_eq!((boots.len(), script.connections.get()), (3, 1), "refused, stored, stored");
        for said in &boots[..2] {
            let (boot, age_ms) = said.clone().expect("who is speaking");
            assert_eq!(boot, agent.shared.clock.boot().to_string());
            assert!((1..=agent.shared.clock.now().0).contains(&age_ms), "{age_ms}");
        }
        assert_eq!(boots[2], None, "nothing new to tell");
    });
}

/// An earlier collector would refuse the dense coding for good, so every connection begins with the plain one.
#[test]
fn the_dense_coding_is_used_with_who_said_so_on_this_connection() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = Answer { reads_dense: true, ..paced(1 << 20) };
        script.tables.borrow_mut().insert(SeriesTable::default().id());
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 1);
        for _ in 0..2 {
            until(|| agent.shared.spool.borrow().is_empty()).await;
            spool_one(&agent.shared);
        }
        until(|| agent.shared.spool.borrow().is_empty()).await;
        agent.shared.reconnect.set(true);
        spool_one(&agent.shared);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!((script.connections.get(), script.dense.borrow().clone()), (2, vec![false, true, true, false]));
    });
}

/// A collector that is restarted says goodbye between two reports; the next report must not fail for it.
#[test]
fn a_connection_that_ended_between_reports_is_no_failure() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let mut agent = start(&[address], &authority, 1);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        script.hang_up.notify_waiters();
        until(|| script.hung_up.get() == 1).await;
        spool_one(&agent.shared);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!((script.connections.get(), agent.shared.contact.borrow().last_error.clone()), (2, None));
        while let Ok(event) = agent.events.try_recv() {
            assert!(matches!(event, Event::Acknowledged { .. }), "{event:?}");
        }
    });
}

#[test]
fn a_held_backlog_waits_and_fresh_data_does_not() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = Answer { hold: Hold::Backlog, ..paced(1 << 20) };
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 20);
        until(|| script.uploads.borrow().len() == 1).await;
        spool_one(&agent.shared);
        until(|| script.uploads.borrow().len() == 2).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(*script.uploads.borrow(), [vec![17, 18, 19], vec![20]]);
        assert_eq!(agent.shared.spool.borrow().depth().frames, 17);
    });
}

/// What a spent plan keeps for its signs of life must last to the end of the cycle.
#[test]
fn a_sign_of_life_carries_what_is_fresh_and_no_backlog() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let plan = "links: [{ name: gov, network: gov, plan: { bytes: 3GiB, own_bytes: 1MB } }]\ntargets: []\n";
        let (agent, uplink) = prepare(&[address], &authority, 20, plan);
        agent.shared.spent(Some(0), 905_000);
        assert_eq!(agent.shared.plans.borrow()[0].as_ref().unwrap().stage(), 4);
        tokio::task::spawn_local(uplink.run());
        until(|| !script.uploads.borrow().is_empty()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((script.uploads.borrow().clone(), agent.shared.spool.borrow().depth().frames), (vec![vec![17, 18, 19]], 17));
    });
}

/// A plan that was spent while it was in use is left for a way that has room, and nothing goes by it any more.
#[test]
fn a_plan_spent_in_use_is_left_at_once_for_one_with_room() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let links = "links:\n  - { name: a, network: gov, interface: lo, plan: { bytes: 3GiB, own_bytes: 1MB } }\n  \
                     - { name: b, network: gov, source: 127.0.0.1, metered: true }\ntargets: []\n";
        let (agent, uplink) = prepare(&[address], &authority, 0, links);
        tokio::task::spawn_local(uplink.run());
        spool_one(&agent.shared);
        until(|| script.uploads.borrow().len() == 1).await;
        assert_eq!(agent.shared.contact.borrow().link.as_deref(), Some("a"), "a plan is cheaper than a metered link");
        agent.shared.spent(Some(0), 2_000_000);
        spool_one(&agent.shared);
        until(|| script.uploads.borrow().len() == 2).await;
        assert_eq!((agent.shared.contact.borrow().link.as_deref(), script.connections.get()), (Some("b"), 2));
    });
}

#[test]
fn nothing_is_freed_by_anything_but_a_200() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        let busy = Answer { retry_after_ms: 50, ..Answer::default() };
        script.replies.borrow_mut().extend([(429, busy.clone()), (503, busy.clone()), (429, busy)]);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 2);
        until(|| script.replies.borrow().len() == 1).await;
        assert_eq!(agent.shared.spool.borrow().depth().frames, 2);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!(script.uploads.borrow().concat(), [0, 1]);
    });
}

#[test]
fn a_batch_that_will_never_be_taken_does_not_stop_the_others() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        script.poison.borrow_mut().push((1, FaultReason::Overlap));
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 6);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        let mut all = script.uploads.borrow().concat();
        all.sort_unstable();
        assert_eq!(all, [0, 2, 3, 4, 5]);
        assert_eq!(agent.shared.spool.borrow().depth().refused, 1);
    });
}

/// Pages of a captive portal and of proxies freed 26 of 48 samples, and 400, 404, 408, 413, 421, 426 and 451 dropped them.
#[test]
fn whatever_stands_in_front_of_the_collector_frees_and_costs_nothing() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let page = b"<html><body>Please log in</body></html>".to_vec();
        let statuses = [200, 204, 302, 400, 401, 403, 404, 408, 409, 413, 421, 422, 426, 429, 451, 500, 502, 503, 504];
        script.pages.borrow_mut().extend(statuses.map(|status| (status, "text/html", page.clone())));
        script.pages.borrow_mut().push_back((200, "application/x-protobuf", Vec::new()));
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let mut agent = start(&[address], &authority, 9);
        while !script.pages.borrow().is_empty() {
            if let Ok(Event::Unreachable) = agent.events.try_recv() {
                agent.shared.last_call.notify_one();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!((agent.shared.spool.borrow().depth().frames, agent.shared.spool.borrow().depth().refused), (9, 0));
        agent.shared.last_call.notify_one();
        until(|| agent.shared.spool.borrow().is_empty()).await;
        let mut all = script.uploads.borrow().concat();
        all.sort_unstable();
        assert_eq!(all, (0..9).collect::<Vec<_>>());
    });
}

#[test]
fn what_passes_no_proxy_in_one_piece_passes_in_smaller_ones() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        script.passes.set(300);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 40);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        let mut all = script.uploads.borrow().concat();
        all.sort_unstable();
        assert_eq!((all, agent.shared.spool.borrow().depth().refused), ((0..40).collect::<Vec<_>>(), 0));
    });
}

/// A collector was downgraded and cannot read two batches, or a newer one says it cannot yet: they wait, and stop nobody.
#[test]
fn batches_a_collector_cannot_read_wait_and_do_not_stop_the_others() {
    for is_old in [true, false] {
        run(async move {
            let (authority, script) = (Authority::new(), Rc::new(Script::default()));
            *script.settled.borrow_mut() = paced(1 << 20);
            script.is_old.set(is_old);
            if is_old {
                script.unread.borrow_mut().extend([2, 7]);
            } else {
                script.poison.borrow_mut().extend([(2, FaultReason::Unreadable), (7, FaultReason::Unknown(999))]);
            }
            let address = collector(&authority, script.clone(), 2020, 2090).await;
            let agent = start(&[address], &authority, 20);
            until(|| agent.shared.spool.borrow().depth().frames == 2).await;
            let mut all = script.uploads.borrow().concat();
            all.sort_unstable();
            assert_eq!(all, (0..20).filter(|n| ![2, 7].contains(n)).collect::<Vec<_>>());
            spool_one(&agent.shared);
            until(|| script.uploads.borrow().concat().contains(&20)).await;
            assert_eq!((agent.shared.spool.borrow().depth().frames, agent.shared.spool.borrow().depth().refused), (2, 0));
        });
    }
}

#[test]
fn batches_of_another_identity_are_let_go_and_stop_nothing() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 0);
        spool_as(&agent.shared, AgentId(77), agent.shared.clock.now());
        spool_one(&agent.shared);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!(*script.uploads.borrow(), [[1]]);
        assert_eq!(agent.shared.spool.borrow().depth().refused, 1);
    });
}

/// The fault this keeps out: what a router measured before its enrolment was nobody's.
#[test]
fn what_was_measured_before_the_enrolment_is_reported_after_it() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = paced(1 << 20);
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[address], &authority, 0);
        spool_as(&agent.shared, AgentId(0), agent.shared.clock.now());
        spool_one(&agent.shared);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!(script.uploads.borrow().concat(), [0, 1]);
        assert_eq!(agent.shared.spool.borrow().depth().refused, 0);
    });
}

#[test]
fn the_next_url_is_tried_when_one_is_dead() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let agent = start(&[dead, address], &authority, 1);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!(agent.shared.contact.borrow().url.as_deref(), Some(format!("https://{address}").as_str()));
    });
}

#[test]
fn a_wrong_authority_and_an_expired_certificate_are_refused() {
    run(async {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let script = Rc::new(Script::default());
        let wrong = collector(&theirs, script.clone(), 2020, 2090).await;
        let expired = collector(&ours, script.clone(), 2020, 2024).await;
        for address in [wrong, expired] {
            let mut agent = start(&[address], &ours, 1);
            assert!(matches!(agent.events.recv().await, Some(Event::Unreachable)));
            let error = agent.shared.contact.borrow().last_error.clone().unwrap();
            assert!(error.starts_with("tls: "), "{error}");
            assert_eq!(agent.shared.spool.borrow().depth().frames, 1);
        }
        assert_eq!(script.uploads.borrow().len(), 0);
    });
}

#[test]
fn a_link_that_came_back_ends_the_backoff_but_not_the_collectors_wait() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut agent = start(&[dead], &authority, 1);
        // After these, waits of up to a minute would follow.
        for _ in 0..5 {
            assert!(matches!(agent.events.recv().await, Some(Event::Unreachable)));
            agent.shared.link_back.notify_one();
        }
        script.replies.borrow_mut().push_back((429, Answer { retry_after_ms: 3_000, ..Answer::default() }));
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let busy = start(&[address], &authority, 1);
        until(|| script.replies.borrow().is_empty()).await;
        let told = busy.shared.clock.now();
        busy.shared.link_back.notify_one();
        until(|| busy.shared.spool.borrow().is_empty()).await;
        assert!(busy.shared.clock.now().since(told) >= Duration::from_millis(2_900));
    });
}

#[test]
fn a_certificate_from_the_future_is_taken_by_a_clock_that_knows_no_better() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        // To a program built before 2080, this is what a certificate of today is to a router in 1970.
        let address = collector(&authority, script.clone(), 2080, 2090).await;
        let agent = start(&[address], &authority, 1);
        until(|| agent.shared.spool.borrow().is_empty()).await;
        assert_eq!(script.uploads.borrow().len(), 1);
    });
}

#[test]
fn assignments_are_fetched_when_their_version_changes() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        *script.settled.borrow_mut() = Answer { assignment_version: 7, ..paced(0) };
        *script.assignment.borrow_mut() = Some(r#"{"version":7,"yaml":"targets: []"}"#.to_string());
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let mut agent = start(&[address], &authority, 1);
        assert!(matches!(agent.events.recv().await, Some(Event::Acknowledged { .. })));
        let Some(Event::Assigned { version, yaml }) = agent.events.recv().await else { panic!("no assignment") };
        assert_eq!((version, yaml.as_str()), (7, "targets: []"));
        let watch: Watch = Config::parse(SETTINGS).unwrap().assigned(&yaml, None).unwrap();
        assert_eq!(watch.links.len(), 1);
    });
}

#[test]
fn a_report_never_leaves_by_a_link_that_is_gone() {
    run(async {
        let (authority, script) = (Authority::new(), Rc::new(Script::default()));
        let address = collector(&authority, script.clone(), 2020, 2090).await;
        let mut agent = start(&[address], &authority, 0);
        let text = "report: { links: [gone] }\nlinks: [{ name: gone, network: apn, interface: nosuch0, hotplug: true }]";
        let config = Config::parse(text).unwrap();
        agent.shared.adopt(Rc::new(config.watch()));
        *agent.shared.report_links.borrow_mut() = config.report.links;
        spool_one(&agent.shared);
        assert!(matches!(agent.events.recv().await, Some(Event::Unreachable)));
        assert_eq!(script.connections.get(), 0);
    });
}

#[path = "answers_tests.rs"]
mod answers;

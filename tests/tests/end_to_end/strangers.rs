//! What strangers and broken agents send to the agents' port: refused with a reason, counted, closed, at no cost to others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rusta_tests::fleet::{Refused, VirtualAgent, round, village_table};
use rusta_tests::http;
use rusta_tests::programs::{Running, eventually, free_port, run_ok};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{AgentId, BootId, Frame, FrameKind, MonoMs, Network, UnixMs, limits};
use tokio::runtime::Runtime;

const VILLAGES: [Village; 2] = [
    Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] },
    Village { site: "two", links: &[("gov0", "gov", "primary", "fibre")] },
];

/// A collector with two villages on free ports.
struct Target {
    stage: Stage,
    agents: SocketAddr,
    http: SocketAddr,
    collector: Running,
    runtime: Runtime,
}

impl Target {
    fn start() -> Target {
        let stage = Stage::new(rusta_tests::programs!());
        let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        stage.configure_collector(agents, &["127.0.0.1"], http, "");
        stage.import(&VILLAGES);
        let collector = stage.serve(None, http);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Target { stage, agents, http, collector, runtime }
    }

    fn token(&self, site: &str) -> String {
        run_ok(self.stage.collector().args(["agents", "token", "--bare", "--site", site])).trim().to_string()
    }

    fn enroll(&self, token: &str) -> Result<VirtualAgent, (u16, String)> {
        let ca = std::fs::read_to_string(self.stage.ca()).unwrap();
        let (url, table) = (format!("https://{}", self.agents), village_table("gov0", Network::Gov));
        self.runtime.block_on(VirtualAgent::enroll(&url, token, &ca, table, BootId(5)))
    }

    /// Reads the counter of refusals for one reason.
    fn refused(&self, reason: &str) -> u64 {
        let metrics = http::get(self.http, "/metrics").unwrap().text();
        let wanted = format!("rusta_requests_refused_total{{reason=\"{reason}\"}}");
        let line = metrics.lines().find(|line| line.starts_with(&wanted));
        line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0)
    }

    /// Asserts that `body` is refused with `status`, for a reason that is told and counted.
    fn assert_refuses(&self, agent: &VirtualAgent, body: Vec<u8>, status: u16, reason: &str) {
        let before = self.refused(reason);
        match self.runtime.block_on(agent.post(body)) {
            Err(Refused::Status(got, answer)) => {
                assert_eq!(got, status, "{reason}: {}", answer.reason);
                assert!(!answer.reason.is_empty(), "{reason} is not explained");
            }
            other => panic!("{reason}: {other:?}"),
        }
        assert!(self.refused(reason) > before, "{reason} is not counted");
    }
}

/// Bytes without meaning, the same at each run.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// One live upload.
fn report(target: &Target, agent: &mut VirtualAgent) -> Result<(), Refused> {
    let batch = agent.batch(MonoMs(60_000), MonoMs(120_000), UnixMs(1_795_000_000_000), round(MonoMs(60_000), true).to_vec());
    target.runtime.block_on(agent.send(&[batch])).map(drop)
}

/// Sends bytes to a port and returns what comes back until the other side closes; `None` if it never does.
fn send_raw(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    // The collector may close before everything is written: that is a refusal too.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Some(answer),
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => Some(answer),
        Err(_) => None,
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn strangers_on_the_agent_port_are_closed_and_cost_no_memory() {
    let target = Target::start();
    let before = resident_kib(target.collector.pid());
    for length in [1, 5, 600, 20_000, 1_000_000] {
        assert!(send_raw(target.agents, &noise(length)).is_some(), "{length} bytes of noise kept the connection open");
    }
    assert!(send_raw(target.agents, b"GET / HTTP/1.1\r\n\r\n").is_some());
    let after = resident_kib(target.collector.pid());
    assert!(after < before + 20_000, "memory grew from {before} to {after} KiB");
    assert_eq!(http::get(target.http, "/healthz").unwrap().status, 200);
}

#[test]
fn a_broken_agent_is_told_what_is_wrong_and_may_go_on() {
    let target = Target::start();
    let mut agent = target.enroll(&target.token("one")).unwrap();
    report(&target, &mut agent).unwrap();
    let before = resident_kib(target.collector.pid());

    target.assert_refuses(&agent, noise(500), 400, "malformed");
    let whole = Frame::new(FrameKind::Batch, noise(400)).unwrap().to_bytes();
    target.assert_refuses(&agent, whole[..200].to_vec(), 400, "malformed");
    target.assert_refuses(&agent, whole, 400, "malformed");
    target.assert_refuses(&agent, noise(limits::UPLOAD_BYTES + 1), 413, "too_large");
    target.assert_refuses(&agent, noise(8 * limits::UPLOAD_BYTES), 413, "too_large");

    let table = village_table("gov0", Network::Gov);
    let mut foreign = agent.batch(MonoMs(0), MonoMs(60_000), UnixMs(0), vec![]);
    foreign.id.agent = AgentId(agent.id.0 ^ 1);
    let body = Frame::new(FrameKind::Batch, foreign.encode(&table).unwrap()).unwrap().to_bytes();
    target.assert_refuses(&agent, body, 403, "other_agent");

    report(&target, &mut agent).unwrap();
    let after = resident_kib(target.collector.pid());
    assert!(after < before + 20_000, "memory grew from {before} to {after} KiB");
}

#[test]
fn a_token_serves_one_device_once_and_a_revoked_one_never_again() {
    let target = Target::start();
    let token = target.token("one");
    let mut agent = target.enroll(&token).unwrap();
    assert_eq!(target.enroll(&token).unwrap_err().0, 403);
    assert_eq!(target.enroll("not-a-token").unwrap_err().0, 403);
    report(&target, &mut agent).unwrap();
    run_ok(target.stage.collector().args(["agents", "revoke", &agent.id.to_string()]));
    eventually(Duration::from_secs(5), "the revoked agent is refused", || {
        matches!(report(&target, &mut agent), Err(Refused::Status(403, _)) | Err(Refused::Unreachable(_))).then_some(())
    });
    let mut other = target.enroll(&target.token("two")).unwrap();
    report(&target, &mut other).unwrap();
}

#[test]
fn two_thousand_half_open_connections_do_not_keep_an_agent_out() {
    let target = Target::start();
    let mut agent = target.enroll(&target.token("one")).unwrap();
    let crowd: Vec<_> = (0..2_000).filter_map(|_| TcpStream::connect(target.agents).ok()).collect();
    assert!(crowd.len() > 1_500, "only {} connections", crowd.len());
    let started = std::time::Instant::now();
    for _ in 0..20 {
        report(&target, &mut agent).unwrap();
    }
    let mut newcomer = target.enroll(&target.token("two")).unwrap();
    report(&target, &mut newcomer).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "live agents waited {:?}", started.elapsed());
}

//! A collector under attack: two honest villages, one stolen identity, a memory cap, and what the others notice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rusta_tests::fleet::{Refused, VirtualAgent, round, village_table};
use rusta_tests::http;
use rusta_tests::programs::{Running, eventually, free_port, run_ok};
use rusta_tests::stage::{QUICK_THRESHOLDS, Stage, Village};
use rusta_wire::{Batch, BootId, Frame, FrameKind, MonoMs, Network, SeriesTable, UnixMs};
use tokio::runtime::Runtime;

const VILLAGES: [Village; 3] = [
    Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] },
    Village { site: "two", links: &[("gov0", "gov", "primary", "fibre")] },
    Village { site: "stolen", links: &[("gov0", "gov", "primary", "fibre")] },
];

/// Address space of the program: nothing it is made to do may come near it. The allocator reserves some of it at once.
const ADDRESS_SPACE: u64 = 12 << 30;

/// What one identity may cost beyond what the collector holds anyway.
const MEMORY_KIB: u64 = 64 * 1024;

pub struct Stand {
    pub stage: Stage,
    pub agents: SocketAddr,
    pub http: SocketAddr,
    pub collector: Option<Running>,
    pub runtime: Runtime,
    started: Instant,
}

impl Stand {
    pub fn start() -> Stand {
        let stage = Stage::new(rusta_tests::programs!());
        let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        stage.configure_collector(agents, &["127.0.0.1"], http, &format!("thresholds: {QUICK_THRESHOLDS}"));
        stage.import(&VILLAGES);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut stand = Stand { stage, agents, http, collector: None, runtime, started: Instant::now() };
        stand.serve();
        stand
    }

    /// Starts the collector under its cap.
    pub fn serve(&mut self) {
        let running = self.stage.serve(None, self.http);
        let cap = format!("--as={ADDRESS_SPACE}");
        run_ok(std::process::Command::new("prlimit").args([&cap, "--pid", &running.pid().to_string()]));
        self.collector = Some(running);
    }

    /// Stops it and starts it again on the same folder.
    pub fn restart(&mut self) {
        self.collector.take().unwrap().kill();
        self.serve();
    }

    pub fn token(&self, site: &str) -> String {
        run_ok(self.stage.collector().args(["agents", "token", "--bare", "--second", "--site", site])).trim().to_string()
    }

    pub fn ca(&self) -> String {
        std::fs::read_to_string(self.stage.ca()).unwrap()
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.agents)
    }

    pub fn enroll(&self, site: &str) -> VirtualAgent {
        let table = village_table("gov0", Network::Gov);
        self.runtime.block_on(VirtualAgent::enroll(&self.url(), &self.token(site), &self.ca(), table, BootId(5))).unwrap()
    }

    /// Milliseconds since the start: the monotonic time of every agent here.
    pub fn mono(&self) -> MonoMs {
        MonoMs(600_000 + self.started.elapsed().as_millis() as u64)
    }

    pub fn now(&self) -> UnixMs {
        rusta_collector::clock::now()
    }

    /// One honest report; returns how long it took.
    pub fn report(&self, agent: &mut VirtualAgent, answered: bool) -> Duration {
        let until = self.mono();
        let at = MonoMs((until.0 - 500) / 100 * 100);
        let batch = agent.batch(MonoMs(until.0 - 1_000), until, self.now(), round(at, answered).to_vec());
        let started = Instant::now();
        self.runtime.block_on(agent.send(&[batch])).map(drop).unwrap_or_else(|refused| panic!("an honest report: {refused:?}"));
        started.elapsed()
    }

    pub fn post(&self, agent: &VirtualAgent, body: Vec<u8>) -> Result<(), Refused> {
        self.runtime.block_on(agent.post(body)).map(drop)
    }

    pub fn state(&self, site: &str) -> String {
        let answer = http::get(self.http, &format!("/api/v1/sites/{site}")).unwrap().json();
        answer["state"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Waits until a site is in a state, reporting for an agent meanwhile.
    pub fn until_state(&self, site: &str, state: &str, mut meanwhile: impl FnMut()) {
        eventually(Duration::from_secs(180), &format!("{site} is {state}"), || {
            meanwhile();
            (self.state(site) == state).then_some(())
        });
    }

    /// Reads a counter or gauge by the beginning of its line.
    pub fn metric(&self, beginning: &str) -> u64 {
        let metrics = http::get(self.http, "/metrics").unwrap().text();
        let lines = metrics.lines().filter(|line| line.starts_with(beginning));
        lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
    }

    pub fn audited(&self, action: &str) -> i64 {
        let db = rusqlite::Connection::open(self.stage.path("collector/state.sqlite")).unwrap();
        db.query_row("SELECT count(*) FROM audit WHERE action = ?1", [action], |row| row.get(0)).unwrap()
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.collector.as_ref().unwrap().pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Begins to watch memory, and returns what is held.
    pub fn memory_from_now(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.collector.as_ref().unwrap().pid()), "5").unwrap();
        self.status_kib("VmRSS:")
    }

    /// Asserts that since then never more was held than one identity may cost.
    pub fn assert_memory(&self, base_kib: u64) {
        self.assert_memory_within(base_kib, MEMORY_KIB);
    }

    /// Asserts that since then never more was held than so much beyond it.
    pub fn assert_memory_within(&self, base_kib: u64, more_kib: u64) {
        let peak = self.status_kib("VmHWM:");
        println!("memory: {base_kib} KiB before, {peak} KiB at most");
        assert!(peak <= base_kib + more_kib, "{peak} KiB at most, {base_kib} KiB before");
    }
}

/// Frames of one upload: the table, then batches.
pub fn body(table: &SeriesTable, batches: &[Batch]) -> Vec<u8> {
    let mut body = Vec::new();
    Frame::new(FrameKind::Table, table.encode()).unwrap().write(&mut body);
    for batch in batches {
        Frame::new(FrameKind::Batch, batch.encode(table).unwrap()).unwrap().write(&mut body);
    }
    body
}

/// The slowest but one in a hundred.
pub fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[(took.len() * 99).div_ceil(100) - 1]
}

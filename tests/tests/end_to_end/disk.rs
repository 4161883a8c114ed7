//! A collector whose disk is full, hangs or turns read-only: it says so, tells agents to hold, loses nothing it acknowledged,
//! and goes on by itself when the disk does.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusta_tests::disk::{SmallDisk, WornDisk};
use rusta_tests::fleet::{Refused, VirtualAgent, round, village_table};
use rusta_tests::http;
use rusta_tests::log::stored;
use rusta_tests::programs::{Running, eventually, free_port, run_ok};
use rusta_tests::stage::{Stage, Village};
use rusta_wire::{Answer, BatchId, BootId, Hold, MonoMs, Network, UnixMs};
use tokio::runtime::Runtime;

const VILLAGES: [Village; 1] = [Village { site: "one", links: &[("gov0", "gov", "primary", "fibre")] }];

/// As long as a test waits for the collector to notice, or to go on.
const SOON: Duration = Duration::from_secs(30);

/// A collector and one agent that reports to it.
struct Bench {
    stage: Stage,
    http: SocketAddr,
    collector: Running,
    runtime: Runtime,
    agent: VirtualAgent,
    minute: u64,
    acknowledged: BTreeSet<BatchId>,
}

impl Bench {
    fn start(stage: Stage) -> Bench {
        let [agents, http] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        stage.configure_collector(agents, &["127.0.0.1"], http, "");
        stage.import(&VILLAGES);
        let collector = stage.serve(None, http);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let token = run_ok(stage.collector().args(["agents", "token", "--bare", "--site", "one"]));
        let ca = std::fs::read_to_string(stage.ca()).unwrap();
        let (url, table) = (format!("https://{agents}"), village_table("gov0", Network::Gov));
        let agent = runtime.block_on(VirtualAgent::enroll(&url, token.trim(), &ca, table, BootId(5))).unwrap();
        Bench { stage, http, collector, runtime, agent, minute: 0, acknowledged: BTreeSet::new() }
    }

    /// One report; remembered if it was acknowledged.
    fn report(&mut self) -> Result<Answer, Refused> {
        self.minute += 1;
        let (from, until) = (MonoMs(self.minute * 60_000), MonoMs((self.minute + 1) * 60_000));
        let batch = self.agent.batch(from, until, UnixMs(1_795_000_000_000), round(from, true).to_vec());
        let answer = self.runtime.block_on(self.agent.send(std::slice::from_ref(&batch)))?;
        self.acknowledged.insert(batch.id);
        Ok(answer)
    }

    fn reasons(&self) -> Option<String> {
        let answer = http::get(self.http, "/readyz").ok()?;
        (answer.status == 503).then(|| answer.text())
    }

    /// Reports until it is refused, and asserts how.
    fn is_told_to_hold(&mut self) {
        let refused = eventually(SOON, "a report is refused", || self.report().err());
        let Refused::Status(status, answer) = refused else { panic!("{refused:?}") };
        assert_eq!((status, answer.hold), (503, Hold::All));
        assert!(answer.retry_after_ms >= 1_000 && !answer.reason.is_empty(), "{answer:?}");
    }

    fn is_not_ready(&self, reason: &str) {
        eventually(SOON, &format!("not ready, because of the {reason}"), || {
            self.reasons().filter(|said| said.contains(&format!("{reason}: ")))
        });
    }

    /// Waits until it is ready again by itself, and reports.
    fn goes_on(&mut self) {
        eventually(SOON, "ready again without a hand", || self.reasons().is_none().then_some(()));
        assert!(self.collector.ended().is_none(), "the collector was restarted");
        self.report().unwrap();
    }

    /// Stops the collector and asserts that what it acknowledged is there, once.
    fn lost_nothing(mut self) {
        self.collector.signal(Signal::SIGTERM);
        self.collector.wait(SOON);
        let ids: Vec<BatchId> = stored(&self.stage.path("collector/log")).iter().map(|record| record.id).collect();
        let once: BTreeSet<BatchId> = ids.iter().copied().collect();
        assert_eq!(once.len(), ids.len(), "something is stored twice");
        assert!(once.is_superset(&self.acknowledged), "lost: {:?}", self.acknowledged.difference(&once));
        println!("{} acknowledged, {} stored", self.acknowledged.len(), once.len());
    }
}

#[test]
fn a_disk_that_is_full_or_hangs_costs_nothing_that_was_acknowledged() {
    let stage = Stage::new(rusta_tests::programs!());
    let Some(disk) = SmallDisk::mount(&stage.path("collector"), 24) else { return };
    let mut bench = Bench::start(stage);
    (0..20).for_each(|_| drop(bench.report().unwrap()));

    disk.fill();
    bench.is_told_to_hold();
    bench.is_not_ready("log");
    bench.is_not_ready("state");
    disk.relieve();
    bench.goes_on();

    // A disk that hangs longer than a commit is waited for: somebody else holds the day's file.
    let day = std::fs::read_dir(bench.stage.path("collector/log")).unwrap().map(|entry| entry.unwrap().path());
    let day = day.filter(|path| path.extension().is_some_and(|e| e == "sqlite") && !path.ends_with("seen.sqlite")).max().unwrap();
    let holder = rusqlite::Connection::open(day).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.is_told_to_hold();
    bench.is_not_ready("log");
    holder.execute_batch("ROLLBACK").unwrap();
    bench.goes_on();
    bench.lost_nothing();
}

/// The log has a disk of its own and goes on taking what is fresh; what is made of it cannot be kept, so backlog waits.
#[test]
fn a_full_state_database_is_told_holds_the_backlog_and_mends_itself() {
    let stage = Stage::new(rusta_tests::programs!());
    let Some(state) = SmallDisk::mount(&stage.path("collector"), 24) else { return };
    let Some(_log) = SmallDisk::mount(&stage.path("collector/log"), 24) else { return };
    let mut bench = Bench::start(stage);
    bench.report().unwrap();
    state.fill();
    bench.is_not_ready("state");
    let answer = bench.report().unwrap();
    assert_eq!((answer.hold, answer.backlog_bytes), (Hold::Backlog, 0));
    state.relieve();
    bench.goes_on();
    assert_eq!(bench.report().unwrap().hold, Hold::None);
    bench.lost_nothing();
}

/// Nothing reports an error then: a write that lasts is the only sign.
#[test]
fn a_disk_that_hangs_is_told_although_no_write_fails() {
    let stage = Stage::new(rusta_tests::programs!());
    let Some(disk) = WornDisk::mount(&stage.path("collector"), 64) else { return };
    let mut bench = Bench::start(stage);
    (0..20).for_each(|_| drop(bench.report().unwrap()));

    let frozen = disk.freeze();
    bench.is_told_to_hold();
    bench.is_not_ready("log");
    eventually(4 * SOON, "the state database's write is missed too", || bench.reasons().filter(|said| said.contains("state: ")));
    drop(frozen);
    bench.goes_on();
    bench.lost_nothing();
}

/// No program can open such a disk again before somebody repaired it; until then the collector serves what it can read.
#[test]
fn a_disk_that_turns_read_only_is_told_and_has_what_was_acknowledged_after_its_repair() {
    let stage = Stage::new(rusta_tests::programs!());
    let Some(disk) = WornDisk::mount(&stage.path("collector"), 64) else { return };
    let mut bench = Bench::start(stage);
    (0..20).for_each(|_| drop(bench.report().unwrap()));

    disk.wear_out();
    bench.is_told_to_hold();
    bench.is_not_ready("log");
    assert!(bench.collector.ended().is_none(), "the collector gave up");
    bench.collector.signal(Signal::SIGTERM);
    bench.collector.wait(SOON);
    disk.mend();
    bench.collector = bench.stage.serve(None, bench.http);
    bench.goes_on();
    bench.lost_nothing();
}

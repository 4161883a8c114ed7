//! A month of faults over five hundred agents: partitions of hours and weeks, lost requests and lost answers, reboots, full
//! spools, collector restarts, a lost summary of what is stored. Nothing is lost but what the spools counted as dropped,
//! nothing is doubled, and memory and disk stay within their bounds.
//!
//! Time is virtual; spools and log are the real ones, on a disk in memory. A report every three hours by default,
//! `RUSTA_LONG=1` makes it every twenty minutes. The seed is printed, `RUSTA_SEED` brings it back.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusta_agent::config::{self, Sync};
use rusta_agent::spool::{Spool, Ticket};
use rusta_collector::log::{Appended, Incoming, Keeping, Log, LogError, Position, Upload};
use rusta_tests::fleet::{round, village_table};
use rusta_tests::random::Random;
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, Metric, MonoMs, Network, Reason, SeriesTable, UnixMs, limits,
};

const AGENTS: usize = 500;
const DAYS: i64 = 30;
const HOUR_MS: i64 = 3_600_000;

/// 2026-11-21T09:00:00Z.
const START: i64 = 1_795_251_600_000;

/// A spool that a month without a collector fills, although it merges what it holds.
const SPOOL_BYTES: u64 = 4 * 1024;

/// Agents that reach no collector before the month is over: their spools fill under every seed.
const CUT_ALL_MONTH: usize = 10;

/// What a record may cost on the collector's disk: its frame, its row and two indexes.
const RECORD_BYTES: u64 = 700;

/// What five hundred spools and a log may take of this process' memory.
const MEMORY_KIB: u64 = 400 * 1024;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn bytes_in(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// One agent with its spool, and the truth about it.
struct Agent {
    id: AgentId,
    folder: PathBuf,
    spool: Option<Spool>,
    boot: BootId,
    booted_at: i64,
    /// Off, or without a way to the collector, until then.
    off_until: i64,
    cut_until: i64,
    /// Numbers used, by boot.
    used: BTreeMap<BootId, Vec<u64>>,
    /// Samples counted as dropped by earlier boots.
    dropped_before: u64,
    thinned_before: u64,
    /// Batches in uploads whose answer was lost.
    unanswered: u64,
}

impl Agent {
    fn new(n: usize, folder: &Path) -> Agent {
        let folder = folder.join(format!("spool-{n}"));
        let id = AgentId(n as u64 + 1);
        let empty = BTreeMap::new();
        Agent {
            id,
            folder,
            spool: None,
            boot: BootId(0),
            booted_at: 0,
            off_until: 0,
            cut_until: 0,
            used: empty,
            dropped_before: 0,
            thinned_before: 0,
            unanswered: 0,
        }
    }

    fn mono(&self, now: i64) -> MonoMs {
        MonoMs(u64::try_from(now - self.booted_at).unwrap())
    }

    fn power_off(&mut self) {
        if let Some(spool) = self.spool.take() {
            self.dropped_before += spool.depth().dropped;
            self.thinned_before += spool.depth().thinned;
        }
    }

    fn power_on(&mut self, now: i64, boot: u64) {
        (self.boot, self.booted_at) = (BootId(boot), now - 30_000);
        let settings = config::Spool { dir: self.folder.clone(), max_bytes: SPOOL_BYTES, sync: Sync::Batch, writes_per_day: u64::MAX };
        self.spool = Some(Spool::open(settings, self.boot, self.mono(now)).unwrap());
    }

    fn measure(&mut self, now: i64, table: &SeriesTable, random: &mut Random) {
        let (boot, at) = (self.boot, self.mono(now));
        let Some(spool) = &mut self.spool else { return };
        let sequence = spool.next_sequence();
        let batch = Batch {
            id: BatchId { agent: self.id, boot, sequence },
            covers: 1,
            from: MonoMs(at.0.saturating_sub(20_000)),
            until: at,
            clock: Clock { unix: UnixMs(now), source: ClockSource::Collector, uncertainty_ms: 50 },
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: table.id(),
            samples: round(MonoMs(at.0.saturating_sub(10_000)), random.below(10) > 0).to_vec(),
        };
        spool.append(batch, table, false).unwrap();
        spool.sync(at, false);
        self.used.entry(boot).or_default().push(sequence.0);
        assert!(spool.depth().disk_bytes <= SPOOL_BYTES, "{}: {} bytes of {SPOOL_BYTES}", self.id, spool.depth().disk_bytes);
    }

    /// Picks what to send as the uplink does: what is fresh alone, then the backlog.
    fn choose(&mut self, now: i64) -> Option<(Vec<Ticket>, Vec<Vec<u8>>)> {
        let at = self.mono(now);
        let spool = self.spool.as_mut()?;
        let fresh = spool.freshest(MonoMs(at.0.saturating_sub(60_000)), 4_096, limits::FRAMES_PER_UPLOAD / 2);
        let tickets = if fresh.is_empty() { spool.oldest(4_096, limits::FRAMES_PER_UPLOAD / 2) } else { fresh };
        spool.offer(&tickets, at);
        let mut frames = Vec::new();
        for ticket in &tickets {
            let (bytes, table) = spool.read(*ticket)?;
            frames.extend([spool.read_table(table)?, bytes]);
        }
        (!tickets.is_empty()).then_some((tickets, frames))
    }
}

/// The collector's side of an upload, after TLS: frames are read, names learnt, and the log has it.
fn upload(log: &Log, agent: AgentId, frames: &[Vec<u8>], now: i64) -> Upload {
    let payload = |bytes: &Vec<u8>| Frame::read(bytes).unwrap().0.payload.into_owned();
    let pairs = frames.chunks_exact(2).map(|pair| {
        let names = log.learn_names(agent, &payload(&pair[0])).unwrap();
        let head = Batch::head(&payload(&pair[1])).unwrap();
        Batch::decode(&payload(&pair[1]), &names.table).unwrap();
        Incoming { head, live_offset_ms: None, frame: pair[1].clone().into(), names }
    });
    Upload { site_code: format!("S{agent}").into(), received_at: UnixMs(now), batches: pairs.collect() }
}

struct World {
    random: Random,
    table: SeriesTable,
    agents: Vec<Agent>,
    log_folder: PathBuf,
    log: Option<Log>,
    collector_off_until: i64,
    restarts: u32,
    uploads: u64,
    duplicates: u64,
}

impl World {
    fn keeping(&self) -> Keeping {
        Keeping { dir: self.log_folder.clone(), retention_days: 60, group_commit: Duration::from_millis(2) }
    }

    /// Lets fate strike, then the living measure.
    fn measure(&mut self, now: i64) {
        let span = |random: &mut Random, hours: usize| now + HOUR_MS * (1 + random.below(hours) as i64);
        for (place, agent) in self.agents.iter_mut().enumerate() {
            let random = &mut self.random;
            if agent.spool.is_none() && now >= agent.off_until {
                agent.power_on(now, random.next());
            } else if random.below(60) == 0 {
                agent.power_off();
                agent.off_until = span(random, 20);
            }
            if place < CUT_ALL_MONTH {
                agent.cut_until = i64::MAX;
            } else if now >= agent.cut_until && random.below(40) == 0 {
                // One in ten is cut off for weeks.
                agent.cut_until = if random.below(10) == 0 { span(random, 24 * 20) } else { span(random, 30) };
            }
            agent.measure(now, &self.table, random);
        }
        if self.log.is_some() && self.random.below(25) == 0 {
            self.log = None;
            self.restarts += 1;
            self.collector_off_until = span(&mut self.random, 12);
            if self.random.below(3) == 0 {
                std::fs::remove_file(self.log_folder.join("seen.sqlite")).unwrap();
            }
        } else if self.log.is_none() && now >= self.collector_off_until {
            self.log = Some(Log::open(self.keeping()).unwrap());
        }
    }

    /// One upload of everybody who can; requests and answers get lost. Returns how many had something to send.
    async fn report(&mut self, now: i64, is_calm: bool) -> usize {
        let Some(log) = self.log.clone() else { return 0 };
        let mut under_way = tokio::task::JoinSet::new();
        for (place, agent) in self.agents.iter_mut().enumerate() {
            if now < agent.cut_until {
                continue;
            }
            let Some((tickets, frames)) = agent.choose(now) else { continue };
            let fate = if is_calm { 9 } else { self.random.below(10) };
            if fate == 0 {
                continue;
            }
            let (log, upload) = (log.clone(), upload(&log, agent.id, &frames, now));
            let is_answer_lost = fate == 1;
            agent.unanswered += if is_answer_lost { frames.len() as u64 } else { 0 };
            under_way.spawn(async move {
                let stored: Result<Appended, LogError> = log.append(upload).await;
                (place, tickets, stored, is_answer_lost)
            });
        }
        let count = under_way.len();
        while let Some(done) = under_way.join_next().await {
            let (place, tickets, stored, is_answer_lost) = done.unwrap();
            let stored = stored.unwrap_or_else(|error| panic!("agent {place}: {error}"));
            self.uploads += 1;
            self.duplicates += stored.duplicates as u64;
            if let Some(spool) = self.agents[place].spool.as_mut().filter(|_| !is_answer_lost) {
                spool.acknowledge(&tickets);
            }
        }
        count
    }
}

/// How many records stand for each number of each boot.
type Seen = HashMap<(AgentId, BootId, u64), u32>;

/// What the log holds: the records of each number, the rounds they tell of by agent, and how many records there are.
fn audit(log: &Log) -> (Seen, HashMap<AgentId, i64>, u64) {
    let (mut seen, mut rounds, mut records) = (HashMap::new(), HashMap::new(), 0);
    let mut after = Position(0);
    loop {
        let read = log.read_from(after, 4_096).unwrap();
        let Some(last) = read.last() else { return (seen, rounds, records) };
        after = last.position;
        for stored in &read {
            let (id, batch) = (stored.head.id, stored.batch().unwrap());
            records += 1;
            for n in id.sequence.0..id.sequence.0 + u64::from(stored.head.covers) {
                *seen.entry((id.agent, id.boot, n)).or_insert(0) += 1;
            }
            let told =
                |sample: &rusta_wire::Sample| stored.table.series[usize::from(sample.series.0)].value(sample, Metric::Rounds).unwrap_or(1);
            *rounds.entry(id.agent).or_insert(0) += batch.samples.iter().map(told).sum::<i64>();
        }
    }
}

#[test]
fn a_month_of_faults_loses_nothing_uncounted_and_doubles_nothing() {
    let step_ms = if std::env::var_os("RUSTA_LONG").is_some() { HOUR_MS / 3 } else { 3 * HOUR_MS };
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let random = Random::from_clock();
    println!("seed {}", random.seed());
    let resident_before = resident_kib();
    let mut world = World {
        random,
        table: village_table("gov0", Network::Gov),
        agents: (0..AGENTS).map(|n| Agent::new(n, folder.path())).collect(),
        log_folder: folder.path().join("log"),
        log: None,
        collector_off_until: 0,
        restarts: 0,
        uploads: 0,
        duplicates: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut now = START;
    while now < START + DAYS * 24 * HOUR_MS {
        now += step_ms;
        world.measure(now);
        for _ in 0..3 {
            runtime.block_on(world.report(now, false));
        }
    }
    // The faults end, and everybody reports what is owed.
    let boots: Vec<u64> = (0..AGENTS).map(|_| world.random.next()).collect();
    for (agent, boot) in world.agents.iter_mut().zip(boots) {
        agent.cut_until = 0;
        if agent.spool.is_none() {
            agent.power_on(now, boot);
        }
    }
    let keeping = world.keeping();
    world.log.get_or_insert_with(|| Log::open(keeping).unwrap());
    while runtime.block_on(world.report(now, true)) > 0 {}

    let log = world.log.take().unwrap();
    let (seen, rounds, records) = audit(&log);
    drop(log);
    let (mut appended, mut lost, mut dropped, mut thinned) = (0, 0, 0, 0);
    let mut known = 0;
    for agent in &mut world.agents {
        let depth = agent.spool.as_ref().map(Spool::depth).unwrap_or_default();
        assert_eq!((depth.frames, depth.lost), (0, 0), "{}: batches that cannot be told, or are lost", agent.id);
        agent.power_off();
        let of_agent = || agent.used.iter().flat_map(|(boot, numbers)| numbers.iter().map(|n| (agent.id, *boot, *n)));
        let missing = of_agent().filter(|key| !seen.contains_key(key)).count();
        // What was dropped after its answer was lost is counted and stored all the same.
        let counted = 2 * missing as u64..=2 * (missing as u64 + agent.unanswered);
        assert!(
            counted.contains(&agent.dropped_before),
            "{}: {missing} batches lost, {} unanswered, {} samples counted",
            agent.id,
            agent.unanswered,
            agent.dropped_before
        );
        let present = of_agent().count() - missing;
        assert_eq!(rounds.get(&agent.id).copied().unwrap_or(0), 2 * present as i64, "{}: thinning changed what was counted", agent.id);
        (appended, lost, known) = (appended + present + missing, lost + missing, known + present);
        (dropped, thinned) = (dropped + agent.dropped_before, thinned + agent.thinned_before);
    }
    assert_eq!(seen.len(), known, "the log holds what nobody measured");
    assert!(seen.values().all(|count| *count == 1), "a number is told twice");
    let (disk, resident) = (bytes_in(&folder.path().join("log")), resident_kib());
    println!(
        "{appended} batches in {} uploads, {} duplicates, {} collector restarts; {thinned} samples thinned, {dropped} dropped in {lost} batches; \
         {records} records in {} KiB; {} MiB of memory",
        world.uploads,
        world.duplicates,
        world.restarts,
        disk >> 10,
        resident >> 10
    );
    // Rounds this far apart stay whole when they are merged; thinning has years of its own (`spool::year_tests`).
    assert!(dropped > 0 && world.duplicates > 0 && world.restarts > 1, "the month was too quiet");
    assert!(lost * 20 < appended, "more than a twentieth was dropped");
    assert!(disk <= records * RECORD_BYTES + (1 << 20), "{disk} bytes for {records} records");
    assert!(resident < resident_before + MEMORY_KIB, "memory grew from {resident_before} to {resident} KiB");
}

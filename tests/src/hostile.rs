//! A small province with one identity in other hands: the same honest reports with and without what it sends, through the real
//! log, engine and history, in virtual time.
//!
//! ```text
//! honest villages --reports--+
//!                            +--> log --> advance --> history --> what is kept of every other village
//! bytes --batches of "H"-----+
//! ```
//! Whatever the bytes make the hostile agent say, what is kept of the others must be bit for bit the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusta_collector::advance::{self, Advance};
use rusta_collector::config::Thresholds;
use rusta_collector::history;
use rusta_collector::inventory::{Draft, Inventory, RegionKind, SiteKind, Versions};
use rusta_collector::log::{Incoming, Keeping, Log, Upload};
use rusta_collector::store::{Store, StoreError};
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, FrameKind, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung,
    Sample, Sequence, Series, SeriesIndex, SeriesTable, UnixMs,
};
use tokio::sync::watch;

use crate::random::Random;

/// 2026-11-21T09:00:00Z.
const START_MS: i64 = 1_795_251_600_000;
const MINUTE_MS: i64 = 60_000;

/// The agent in other hands.
pub const HOSTILE: AgentId = AgentId(0xbad);

/// Its site, which is a village's like the others.
const HOSTILE_SITE: &str = "H";

/// The honest villages' sites.
const SITES: [&str; 3] = ["V0", "V1", "V2"];

/// What the hostile agent sends at one moment.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Minutes after the start.
    pub minute: i64,
    /// When it says its boot began; `None` if its request does not say.
    pub live_offset_ms: Option<i64>,
    /// The names of its series.
    pub table: SeriesTable,
    /// What it saw, as it says.
    pub batch: Batch,
}

fn inventory() -> Arc<Inventory> {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    for (n, site) in SITES.iter().chain(&[HOSTILE_SITE]).enumerate() {
        let village = format!("0901010001{n:06}");
        draft.region(&village, RegionKind::Village, "0901010001");
        draft.site(site, SiteKind::Village, &village);
        draft.link(site, "apn0", Network::Apn, "");
    }
    draft.site("CORE", SiteKind::Core, "09");
    draft.link("CORE", "core0", Network::Gov, "");
    Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory)
}

fn series(target: &str, rung: Rung, towards: &str) -> Series {
    Series {
        link: "apn0".into(),
        network: Network::Apn,
        target: target.into(),
        towards: towards.into(),
        rung,
        probe: ProbeKind::Icmp,
        interval_s: 60,
        metrics: vec![Metric::Sent, Metric::Received, Metric::RttUsP50],
    }
}

/// What every honest village measures.
pub fn village_table() -> SeriesTable {
    SeriesTable { series: vec![series("gateway", Rung::Gateway, ""), series("core", Rung::Core, "")] }
}

fn honest(agent: AgentId, minute: i64, answered: bool) -> Batch {
    let until = MonoMs((minute * MINUTE_MS) as u64);
    let sample = |index| Sample {
        series: SeriesIndex(index),
        at: MonoMs(until.0 - 30_000),
        outcome: if answered { Outcome::Ok } else { Outcome::Timeout },
        values: vec![Some(3), Some(if answered { 3 } else { 0 }), answered.then_some(40_000)],
    };
    Batch {
        id: BatchId { agent, boot: BootId(1), sequence: Sequence(minute as u64) },
        covers: 1,
        from: MonoMs(until.0 - 60_000),
        until,
        clock: Clock { unix: UnixMs(START_MS + minute * MINUTE_MS), source: ClockSource::Collector, uncertainty_ms: 20 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: village_table().id(),
        samples: vec![sample(0), sample(1)],
    }
}

/// A province in a folder of its own.
struct World {
    _folder: tempfile::TempDir,
    log: Log,
    store: Store,
    advance: Advance,
    builder: history::Builder,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> World {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let log =
            Log::open(Keeping { dir: folder.path().join("log"), retention_days: 30, group_commit: Duration::from_millis(0) }).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let agents = SITES.iter().enumerate().map(|(n, site)| (AgentId(n as u64 + 1), *site)).chain([(HOSTILE, HOSTILE_SITE)]);
        for (agent, site) in agents {
            let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, ?1, 0, 0)";
            store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, (agent.to_string(), site))?)).unwrap();
        }
        let inventories = watch::channel(Arc::new(Versions::new(vec![inventory()]))).1;
        let thresholds = Thresholds::default();
        let parts =
            advance::Parts { log: log.clone(), store: store.clone(), inventories: inventories.clone(), thresholds: thresholds.clone() };
        let advance = Advance::open(parts, UnixMs(START_MS)).unwrap();
        let builder =
            history::Builder::new(history::Parts { log: log.clone(), store: store.clone(), inventories, thresholds, retention_days: 30 });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        World { _folder: folder, log, store, advance, builder, runtime }
    }

    /// Stores a batch as the port does; one that the wire's form or the log refuses is not stored.
    fn append(&self, site: &str, minute: i64, table: &SeriesTable, batch: &Batch, live_offset_ms: Option<i64>) {
        let Ok(payload) = batch.encode(table) else { return };
        let (Ok(head), Ok(names)) = (Batch::head(&payload), self.log.learn_names(batch.id.agent, &table.encode())) else { return };
        if Batch::decode(&payload, table).is_err() {
            return;
        }
        let Ok(frame) = Frame::new(FrameKind::Batch, payload) else { return };
        let incoming = Incoming { head, live_offset_ms, frame: frame.to_bytes().into(), names };
        let received_at = UnixMs(START_MS + minute * MINUTE_MS + 500);
        let _refused = self.runtime.block_on(self.log.append(Upload { site_code: site.into(), received_at, batches: vec![incoming] }));
    }

    fn run(&mut self, minutes: i64, sent: &[Sent]) {
        for minute in 1..=minutes {
            for (n, site) in SITES.iter().enumerate() {
                let cut = n == 0 && (20..35).contains(&minute);
                let batch = honest(AgentId(n as u64 + 1), minute, !cut);
                self.append(site, minute, &village_table(), &batch, Some(START_MS));
            }
            for sent in sent.iter().filter(|sent| sent.minute == minute) {
                self.append(HOSTILE_SITE, minute, &sent.table, &sent.batch, sent.live_offset_ms);
            }
            while self.advance.step(UnixMs(START_MS + minute * MINUTE_MS + 3_000)).unwrap() > 0 {}
        }
        let end = UnixMs(START_MS + (minutes + 90) * MINUTE_MS);
        while self.advance.step(end).unwrap() > 0 {}
        while self.builder.step(end).unwrap() > 0 {}
    }

    /// Dumps everything that figures of the honest villages are made of, and what people were told of them.
    fn kept(&self) -> Vec<String> {
        let of_objects = |table: &str, columns: &str| {
            format!(
                "SELECT '{table}', o.kind, o.code, o.link, {columns} FROM {table} t JOIN objects o ON o.id = t.object
                 WHERE o.code NOT IN ('H', '0901010001000003') ORDER BY 2, 3, 4, 5, 6"
            )
        };
        let queries = [
            of_objects("daily_seconds", "t.day, t.up, t.degraded, t.down, t.unknown, t.maintenance"),
            of_objects("daily_packets", "t.day, t.sent, t.received, t.slots, t.good_slots"),
            of_objects("daily_values", "t.day, t.metric, hex(t.buckets)"),
            of_objects("daily_rounds", "t.day, t.target, t.attempts, t.successes, hex(t.latency)"),
            of_objects("daily_reports", "t.day, t.interval_s, t.covered_s, t.on_time_s, hex(t.lag_s), hex(t.skew_ms)"),
            of_objects("outages", "t.started_at, t.ended_at, t.restored, t.rung, t.evidence"),
            of_objects("timelines", "t.day, t.head, t.tail, hex(t.spans)"),
            "SELECT 'event', kind, code, link, known_at, since, was, state, rung FROM events
             WHERE code NOT IN ('H', '0901010001000003', '0000000000000bad') AND kind <> 'fleet' ORDER BY id"
                .to_owned(),
        ];
        let dump = |sql: &String| -> Vec<String> {
            let rows = self.store.read(|tx| {
                let mut statement = tx.prepare(sql)?;
                let columns = statement.column_count();
                let rows = statement.query_map([], |row| {
                    (0..columns)
                        .map(|n| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(n)?)))
                        .collect::<Result<Vec<_>, _>>()
                        .map(|all| all.join(" "))
                })?;
                Ok::<_, StoreError>(rows.collect::<Result<Vec<_>, _>>()?)
            });
            rows.unwrap()
        };
        queries.iter().flat_map(dump).collect()
    }
}

/// Runs so many minutes and returns what is kept of the honest villages.
pub fn others(minutes: i64, sent: &[Sent]) -> Vec<String> {
    let mut world = World::new();
    world.run(minutes, sent);
    let kept = world.kept();
    assert!(kept.iter().any(|row| row.contains("daily_seconds")), "nothing was built, so nothing is compared");
    kept
}

/// Makes what the hostile agent sends out of random numbers: valid batches, with whatever an attacker would put in them.
pub fn made_up(random: &mut Random, minutes: i64, count: usize) -> Vec<Sent> {
    (0..count).map(|n| one(random, minutes, n as u64)).collect()
}

/// Makes it out of any bytes.
pub fn from_bytes(bytes: &[u8], minutes: i64) -> Vec<Sent> {
    let seeds = bytes.chunks(8).take(64).map(|chunk| chunk.iter().fold(chunk.len() as u64, |n, byte| n << 8 | u64::from(*byte)));
    seeds.enumerate().map(|(n, seed)| one(&mut Random::of(seed, "hostile"), minutes, n as u64)).collect()
}

fn one(random: &mut Random, minutes: i64, n: u64) -> Sent {
    let minute = 1 + random.below(minutes as usize) as i64;
    let table = table(random);
    let now = START_MS + minute * MINUTE_MS;
    let until = pick(random, &[60_000, minute as u64 * 60_000, 1 << 40, 1 << 52, u64::MAX / 2, u64::MAX - 1, 0, 31 * 86_400_000]);
    let span = pick(random, &[60_000, 0, 86_400_000, 40 * 86_400_000, until]);
    let from = until.saturating_sub(span);
    let far = 9_000 * 366 * 86_400_000i64;
    let unix =
        pick(random, &[now, now, now - 86_400_000, now + 30 * 60_000, now - far, now + far, 0, i64::MAX, i64::MIN, now - 29 * 86_400_000]);
    let offset = now.saturating_sub(i64::try_from(until).unwrap_or(i64::MAX));
    let live_offset_ms = pick(random, &[Some(offset), Some(now), Some(i64::MIN), Some(i64::MAX), None, Some(now - far), Some(START_MS)]);
    let samples = (0..random.below(6)).map(|_| sample(random, &table, from, until)).collect();
    let id = BatchId {
        agent: HOSTILE,
        boot: BootId(pick(random, &[1, 2, n, u64::MAX])),
        sequence: Sequence(pick(random, &[n, n * 2, u64::MAX - n, 0])),
    };
    let batch = Batch {
        id,
        covers: pick(random, &[1, 2, u32::MAX, 1_000]),
        from: MonoMs(from),
        until: MonoMs(until),
        clock: Clock {
            unix: UnixMs(unix),
            source: pick(
                random,
                &[ClockSource::Collector, ClockSource::Synchronised, ClockSource::System, ClockSource::Persisted, ClockSource::None],
            ),
            uncertainty_ms: pick(random, &[20, 0, 60_000, u32::MAX]),
        },
        reason: pick(random, &[Reason::Interval, Reason::StateChange, Reason::Shutdown, Reason::PowerLoss]),
        summary_s: pick(random, &[0, 300, u32::MAX]),
        thinned: pick(random, &[0, u64::MAX]),
        dropped: pick(random, &[0, u64::MAX]),
        lost: pick(random, &[0, u64::MAX]),
        table: table.id(),
        samples,
    };
    Sent { minute, live_offset_ms, table, batch }
}

fn table(random: &mut Random) -> SeriesTable {
    let any = |random: &mut Random| Series {
        link: pick(random, &["apn0", "core0", "nowhere"]).into(),
        network: pick(random, Network::ALL),
        target: pick(random, &["gateway", "core", "service-a", "anchors-nin", "V0/apn0", "x"]).into(),
        towards: pick(random, &["", "", "V0", "V1", "V2", "CORE", "H", "nobody"]).into(),
        rung: pick(random, &[Rung::Gateway, Rung::Core, Rung::Service, Rung::Nin, Rung::Pop, Rung::Modem]),
        probe: pick(random, &[ProbeKind::Icmp, ProbeKind::Tcp, ProbeKind::Http, ProbeKind::Modem, ProbeKind::Agent]),
        interval_s: pick(random, &[60, 0, 1, u32::MAX]),
        metrics: vec![
            Metric::Sent,
            Metric::Received,
            Metric::RttUsP50,
            Metric::Rounds,
            Metric::RoundsFailed,
            Metric::CellId,
            Metric::BootReason,
        ],
    };
    SeriesTable { series: (0..1 + random.below(6)).map(|_| any(random)).collect() }
}

fn sample(random: &mut Random, table: &SeriesTable, from: u64, until: u64) -> Sample {
    let series = random.below(table.series.len());
    let at = pick(random, &[from, until, from / 2 + until / 2, 0, until.saturating_add(5 * 366 * 86_400_000), u64::MAX / 200]);
    let value = |random: &mut Random| pick(random, &[None, Some(0), Some(3), Some(i64::from(u32::MAX)), Some(-1), Some(1 << 40)]);
    let values = (0..table.series[series].metrics.len()).map(|_| value(random)).collect();
    let outcome = pick(random, &[Outcome::Ok, Outcome::Timeout, Outcome::LinkGone]);
    Sample { series: SeriesIndex(series as u16), at: MonoMs(at / 100 * 100), outcome, values }
}

fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len())]
}

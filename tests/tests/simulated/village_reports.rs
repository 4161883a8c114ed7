//! A year of a village's reports: what it measured is on its way to a collector through daily power cuts, a flash that is full for
//! hours, captive portals, proxies that cut bodies, collectors of two versions in any order, and SIMs that change. The spool, the
//! verdicts and the data plan are the real ones; what the uplink does with them is said again here.
//!
//! ```text
//! a batch a quarter of an hour --> spool (a small disk) --upload--> whoever answers today --verdict--> acknowledge, refuse, wait
//! ```
//! Promises: every batch is stored once at least, or counted; what stood in memory alone when the power went, while the flash took
//! nothing, is the only exception. No SIM's plan is passed. With a line, a collector and room on the SIM, the village is heard.
//! `RUSTA_SEEDS=1000 cargo nextest run -p rusta-tests --test simulated -E 'test(village)'` lives through a thousand such years.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use rusta_agent::calendar::Calendar;
use rusta_agent::config::{self, Plan, Sync};
use rusta_agent::data_plan::{DataPlan, Kept, Reading, Spending};
use rusta_agent::packet::hpack::Kind;
use rusta_agent::packet::http2::{Response, Status};
use rusta_agent::spool::{Spool, Ticket};
use rusta_agent::uplink::verdict::{Verdict, judge};
use rusta_tests::disk::SmallDisk;
use rusta_tests::random::Random;
use rusta_wire::{
    AgentId, Answer, Batch, BatchFault, BatchId, BootId, Clock, ClockSource, FaultReason, Frame, FrameKind, Metric, MonoMs, Network,
    Outcome, ProbeKind, Reason, Rung, Sample, Series, SeriesIndex, SeriesTable, UnixMs, upload_mark,
};

/// 2026-03-21T00:00 in Tehran, the first day of 1405.
const START_MS: i64 = 1_774_038_600_000;

const STEP_MS: u64 = 15 * 60_000;
const STEPS: u64 = 365 * 96;

/// Samples of a batch.
const SAMPLES: u64 = 4;

const PLAN: Plan = Plan { bytes: 300_000_000, own_bytes: 60_000_000, cycle_day: 1, calendar: Calendar::Jalali, told: None };

/// What a report costs beside its body.
const OVERHEAD: u64 = 600;

/// With power, a line, a collector that takes reports and room on the SIM, a report arrives within this many steps: an
/// upload in a coding the collector does not read, one without its table, and the one that goes.
const MUTE_STEPS: u64 = 3;

/// Who answers at present.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answers {
    /// This version's collector.
    Ours,
    /// One from before answers named their upload, which reads only the plain coding.
    Older,
    /// A captive portal: a page, with 200.
    Portal,
    /// Something on the way with this status.
    Fault(u16),
    /// The collector, through a proxy that cuts its answer.
    Cut,
    /// Nobody.
    Silence,
}

/// The collectors' one log, and what they refused.
#[derive(Default)]
struct Log {
    stored: HashSet<(u64, u64)>,
    refused: HashSet<(u64, u64)>,
    tables: HashSet<u64>,
}

struct Village<'a> {
    random: Random,
    disk: &'a SmallDisk,
    settings: config::Spool,
    spool: Spool,
    boot: u64,
    boot_step: u64,
    table: SeriesTable,
    plan: DataPlan,
    book: BTreeMap<String, Kept>,
    counter: u64,
    disk_is_full: bool,
    /// Batches that may stand in memory alone.
    in_memory: BTreeSet<(u64, u64)>,
    /// Of those, what a power cut took.
    gone_with_the_memory: HashSet<(u64, u64)>,
    measured: HashSet<(u64, u64)>,
    dense: bool,
    owes_table: bool,
    /// Counted as lost, refused and dropped in the boots that are over.
    lost: (u64, u64, u64),
    log: Log,
    heard: u64,
}

fn table() -> SeriesTable {
    let series = |n: u64| Series {
        link: "apn0".into(),
        network: Network::Apn,
        target: format!("target-{n}"),
        towards: String::new(),
        rung: Rung::Core,
        probe: ProbeKind::Tcp,
        interval_s: 900,
        metrics: vec![Metric::ConnectUs],
    };
    SeriesTable { series: (0..SAMPLES).map(series).collect() }
}

fn boot_id(number: u64) -> BootId {
    BootId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

impl<'a> Village<'a> {
    fn new(seed: u64, disk: &'a SmallDisk, folder: &Path) -> Village<'a> {
        let settings =
            config::Spool { dir: folder.join(seed.to_string()), max_bytes: 2 << 20, sync: Sync::Never, writes_per_day: 32 << 20 };
        let spool = Spool::open(settings.clone(), boot_id(1), MonoMs(0)).unwrap();
        Village {
            random: Random::of(seed, "village"),
            disk,
            settings,
            spool,
            boot: 1,
            boot_step: 0,
            table: table(),
            plan: DataPlan::start(PLAN, Kept::default(), boot_id(1)),
            book: BTreeMap::new(),
            counter: 0,
            disk_is_full: false,
            in_memory: BTreeSet::new(),
            gone_with_the_memory: HashSet::new(),
            measured: HashSet::new(),
            dense: false,
            owes_table: false,
            lost: (0, 0, 0),
            log: Log::default(),
            heard: 0,
        }
    }

    fn now(&self, step: u64) -> MonoMs {
        MonoMs((step - self.boot_step) * STEP_MS)
    }

    fn clock(step: u64) -> Clock {
        let unix = UnixMs(START_MS + i64::try_from(step * STEP_MS).unwrap());
        Clock { unix, source: ClockSource::Collector, uncertainty_ms: 50 }
    }

    /// The power goes and comes back: memory is gone, the next boot finds what the disk has.
    fn cut(&mut self, step: u64) {
        let depth = self.spool.depth();
        self.lost = (self.lost.0 + depth.lost, self.lost.1 + depth.refused, self.lost.2 + depth.dropped);
        self.gone_with_the_memory.extend(std::mem::take(&mut self.in_memory));
        (self.boot, self.boot_step) = (self.boot + 1, step);
        let elsewhere = config::Spool { dir: self.settings.dir.with_extension("elsewhere"), ..self.settings.clone() };
        self.spool = Spool::open(elsewhere, boot_id(self.boot), MonoMs(0)).unwrap();
        self.spool = Spool::open(self.settings.clone(), boot_id(self.boot), MonoMs(0)).unwrap();
        self.plan = DataPlan::start(PLAN, self.plan.kept(), boot_id(self.boot));
        (self.counter, self.dense, self.owes_table) = (0, false, false);
    }

    fn measure(&mut self, step: u64) {
        let (now, sequence) = (self.now(step), self.spool.next_sequence());
        let sample = |n: u64, random: &mut Random| Sample {
            series: SeriesIndex(u16::try_from(n).unwrap()),
            at: now,
            outcome: Outcome::Ok,
            values: vec![Some(20_000 + i64::try_from(random.next() % 40_000).unwrap())],
        };
        let batch = Batch {
            id: BatchId { agent: AgentId(7), boot: boot_id(self.boot), sequence },
            covers: 1,
            from: now,
            until: now,
            clock: Village::clock(step),
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: self.table.id(),
            samples: (0..SAMPLES).map(|n| sample(n, &mut self.random)).collect(),
        };
        self.spool.append(batch, &self.table, false).unwrap();
        let name = (boot_id(self.boot).0, sequence.0);
        self.measured.insert(name);
        if self.disk_is_full {
            self.in_memory.insert(name);
        } else {
            // With room, what waited in memory goes to the disk before anything new.
            self.in_memory.clear();
        }
    }

    fn change_disk(&mut self) {
        self.disk_is_full = !self.disk_is_full;
        if self.disk_is_full { self.disk.fill() } else { self.disk.relieve() }
    }

    fn change_sim(&mut self, card: u32, step: u64) {
        let kept = self.plan.kept_at_rest().with_card(card, "apn0", &mut self.book);
        self.plan.change(kept, &Village::clock(step));
    }

    /// Uploads as long as the answers allow it. Returns whether anything was stored.
    fn report(&mut self, answers: Answers, step: u64) -> bool {
        let now = self.now(step);
        let mut heard = false;
        for _ in 0..40 {
            let mut tickets = self.spool.freshest(MonoMs(now.0.saturating_sub(180_000)), 64 << 10, 512);
            if tickets.is_empty() {
                tickets = self.spool.oldest(16 << 10, 512);
            }
            if tickets.is_empty() {
                break;
            }
            let body = self.body(&tickets);
            let cost = body.len() as u64 + OVERHEAD;
            if body.is_empty() || !self.plan.allows(Spending::Report, cost) {
                break;
            }
            assert!(self.plan.usage().used_bytes + cost <= PLAN.bytes, "pushed past the plan");
            self.plan.spent(cost);
            self.counter += cost;
            self.spool.offer(&tickets, now);
            match self.upload(answers, &tickets, &body) {
                Some(true) => heard = true,
                Some(false) => {}
                None => break,
            }
        }
        heard
    }

    fn body(&mut self, tickets: &[Ticket]) -> Vec<u8> {
        let mut body = Vec::new();
        for ticket in tickets {
            let Some((frame, table)) = self.spool.read(*ticket) else { continue };
            let encoded = self.spool.read_table(table).unwrap();
            if self.owes_table {
                body = [encoded.clone(), body].concat();
            }
            let payload = Frame::read(&frame).unwrap().0.payload.into_owned();
            let names = SeriesTable::decode(&Frame::read(&encoded).unwrap().0.payload).unwrap();
            let dense = || {
                let (batch, _) = Batch::decode_named(&payload, &names, table).unwrap();
                Frame::new(FrameKind::Batch, batch.dense_again(&payload, &names).unwrap()).unwrap().to_bytes()
            };
            body.extend(if self.dense { dense() } else { frame });
        }
        body
    }

    /// One upload and its answer. `None`: no more at present.
    fn upload(&mut self, answers: Answers, tickets: &[Ticket], body: &[u8]) -> Option<bool> {
        let mark = upload_mark(body);
        let response = self.answer(answers, body)?;
        match judge(mark, &response) {
            Verdict::Stored(answer) => {
                self.dense |= answer.reads_dense;
                self.owes_table = false;
                self.spool.acknowledge(tickets);
                Some(true)
            }
            Verdict::Tables(_) if !self.owes_table => {
                self.owes_table = true;
                Some(false)
            }
            Verdict::Faults(answer) => {
                for fault in &answer.faults {
                    let ticket = Ticket { boot: fault.boot, sequence: fault.sequence };
                    assert!(tickets.contains(&ticket) && fault.reason.is_permanent());
                    self.spool.refuse(&[ticket]);
                }
                Some(false)
            }
            // Another collector may not read what this one did.
            _ => {
                (self.dense, self.owes_table) = (false, false);
                None
            }
        }
    }

    fn answer(&mut self, answers: Answers, body: &[u8]) -> Option<Response> {
        let said =
            |status: u16, kind: Option<Kind>, body: Vec<u8>| Some(Response { status: Status(status), body, retry_after: None, kind });
        let server_time = UnixMs(START_MS);
        let (status, answer) = match answers {
            Answers::Silence => return None,
            Answers::Portal => return said(200, Some(Kind::Other), b"<html>log in</html>".to_vec()),
            Answers::Fault(status) => return said(status, Some(Kind::Other), b"<h1>no</h1>".to_vec()),
            // It cannot read the dense coding, and cannot say which batch it speaks of.
            Answers::Older if self.dense => (400, Answer { reason: "frame 0".into(), ..Answer::default() }),
            Answers::Ours => self.take(body, true, true),
            Answers::Cut => self.take(body, true, false),
            Answers::Older => self.take(body, false, false),
        };
        let upload = (answers != Answers::Older).then(|| upload_mark(body));
        let mut bytes = Answer { server_time, upload, ..answer }.encode();
        if answers == Answers::Cut {
            bytes.truncate(self.random.below(bytes.len()));
        }
        said(status, None, bytes)
    }

    /// What a collector does with an upload.
    fn take(&mut self, body: &[u8], reads_dense: bool, may_refuse: bool) -> (u16, Answer) {
        let frames: Vec<_> = Frame::read_all(body).map(Result::unwrap).collect();
        let mut heads = Vec::new();
        for frame in &frames {
            if frame.kind == FrameKind::Table {
                self.log.tables.insert(SeriesTable::decode(&frame.payload).unwrap().id().0);
                continue;
            }
            let head = Batch::head(&frame.payload).unwrap();
            if !self.log.tables.contains(&head.table.0) {
                return (409, Answer { missing_tables: vec![head.table], ..Answer::default() });
            }
            heads.push(head);
        }
        // Once in some thousand batches one is refused for good.
        if may_refuse && self.random.one_in(3_000) {
            let BatchId { boot, sequence, .. } = heads[0].id;
            let covered = (0..u64::from(heads[0].covers)).map(|n| (boot.0, sequence.0 + n));
            self.log.refused.extend(covered);
            let faults = vec![BatchFault { boot, sequence, reason: FaultReason::Overlap }];
            return (422, Answer { faults, reason: "overlap".into(), ..Answer::default() });
        }
        let covered = heads.iter().flat_map(|head| (0..u64::from(head.covers)).map(|n| (head.id.boot.0, head.id.sequence.0 + n)));
        self.log.stored.extend(covered);
        (200, Answer { backlog_bytes: 1 << 20, reads_dense, ..Answer::default() })
    }
}

fn whoever(world: &mut Random) -> Answers {
    match world.below(12) {
        0..=3 => Answers::Ours,
        4 | 5 => Answers::Older,
        6 => Answers::Portal,
        7 => Answers::Fault([400, 403, 404, 408, 413, 421, 426, 451, 500, 502, 503][world.below(11)]),
        8 => Answers::Cut,
        _ => Answers::Silence,
    }
}

fn live_a_year(seed: u64, disk: &SmallDisk, folder: &Path) {
    let mut village = Village::new(seed, disk, folder);
    let mut world = Random::of(seed, "world");
    let (mut answers, mut answers_until, mut mute) = (Answers::Ours, 0, 0);
    let mut card = 1;
    village.change_sim(card, 0);
    for step in 0..STEPS {
        if step > 0 && world.one_in(96) {
            village.cut(step);
        }
        if world.one_in(if village.disk_is_full { 24 } else { 2_000 }) {
            village.change_disk();
        }
        if world.one_in(4_000) {
            card = 1 + u32::try_from(world.below(3)).unwrap();
            village.change_sim(card, step);
        }
        if step >= answers_until {
            answers = if world.one_in(2) { Answers::Ours } else { whoever(&mut world) };
            answers_until = step + 1 + world.next() % 200;
        }
        village.counter += 60_000 + world.next() % 60_000;
        village.plan.counted(Reading { bytes: village.counter, index: 3 });
        village.plan.advance(&Village::clock(step), village.now(step));
        village.measure(step);
        let heard = village.report(answers, step);
        village.heard += u64::from(heard);
        let should = matches!(answers, Answers::Ours | Answers::Older) && village.plan.stage() < 4;
        mute = if heard || !should { 0 } else { mute + 1 };
        assert!(mute <= MUTE_STEPS, "seed {seed}: mute at step {step}, {answers:?}, {:?}", village.plan.usage());
        assert!(village.plan.usage().own_bytes <= PLAN.own_bytes, "seed {seed}: {:?}", village.plan.usage());
    }
    if village.disk_is_full {
        village.change_disk();
    }
    // A quiet week in the end, with a fresh SIM a day.
    for day in 0..7 {
        village.measure(STEPS + day);
        village.change_sim(1_000 + u32::try_from(day).unwrap(), STEPS + day);
        while village.report(Answers::Ours, STEPS + day) {}
    }
    let depth = village.spool.depth();
    let (lost, refused, dropped) = (village.lost.0 + depth.lost, village.lost.1 + depth.refused, village.lost.2 + depth.dropped);
    let missing: Vec<_> = village.measured.difference(&village.log.stored).collect();
    let unexplained = missing.iter().filter(|name| !village.log.refused.contains(**name) && !village.gone_with_the_memory.contains(**name));
    let unexplained = unexplained.count() as u64;
    println!(
        "seed {seed}: {} boots, {} batches, {} heard, {} left, {lost} lost, {refused} refused, {dropped} samples dropped, {} gone with the memory",
        village.boot,
        village.measured.len(),
        village.heard,
        depth.frames,
        village.gone_with_the_memory.len()
    );
    assert_eq!(depth.frames, 0, "seed {seed}: something never left");
    assert!(unexplained <= lost + dropped / SAMPLES, "seed {seed}: {unexplained} batches are lost without a word");
    assert_eq!(refused, village.log.refused.len() as u64, "seed {seed}: refused batches are counted once each");
    assert!(village.boot > 200 && village.heard > 5_000, "the year was not lived");
}

#[test]
fn no_year_of_cuts_portals_full_flash_and_other_sims_loses_a_report_uncounted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("flash"), 4) else { return };
    let place = folder.path().join("flash");
    let seeds: u64 = std::env::var("RUSTA_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let first = Random::from_clock().seed();
    for seed in 0..seeds {
        live_a_year(first.wrapping_add(seed), &disk, &place);
        for entry in std::fs::read_dir(&place).unwrap() {
            std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }
}

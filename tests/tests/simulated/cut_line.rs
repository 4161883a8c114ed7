//! From a cut line to its incident, in every phase: the reports take the line that is cut, as far as it is their nearest way.
//!
//! ```text
//! schedule -> spool -> a line that falls silent, then another way -> engine -> incidents
//! ```
//! The schedule, the spool, the engine and the incidents are the real ones; when the core loop closes a batch and what the
//! uplink sends are said again here. The lab says how soon it is with programs and sockets: `scripts/lab detection --ignored`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rusta_agent::config::{self, Sync};
use rusta_agent::schedule::{CLOSEST, Pace, Schedule};
use rusta_agent::spool::{Spool, Ticket};
use rusta_agent::uplink::{FRESH_MS, REQUEST_BYTES};
use rusta_collector::config::Thresholds;
use rusta_collector::engine::incident::{IncidentEvent, Incidents, Settings};
use rusta_collector::engine::{BootTime, Engine, Record};
use rusta_collector::inventory::{Criticality, Draft, Inventory, RegionKind, SiteId, SiteKind};
use rusta_collector::log::Position;
use rusta_tests::random::Random;
use rusta_wire::{
    AgentId, Batch, BatchId, BootId, Clock, ClockSource, Frame, MonoMs, Network, Outcome, ProbeKind, Reason, Rung, Sample, Series,
    SeriesIndex, SeriesTable, UnixMs, limits,
};

/// 2026-11-21T09:00:00Z, when the site's router started.
const START: UnixMs = UnixMs(1_795_251_600_000);

/// The line is cut somewhere in the minute after this.
const CUT_MS: u64 = 600_000;

/// A round that fails ends after this, one that is answered at once.
const TIMEOUT_MS: u64 = 2_000;

/// As the core loop has it.
const REPORT_EVERY_MS: u64 = 60_000;
const CHANGE_SPACING_MS: u64 = 2_000;

/// A request holds a table beside each of its batches.
const MOST_BATCHES: usize = limits::FRAMES_PER_UPLOAD / 2;

/// Nobody who has not found it by then ever will.
const GIVEN_UP_MS: u64 = 600_000;

fn inventory(class: Criticality) -> Arc<Inventory> {
    let mut draft = Draft::default();
    let regions = [
        ("09", RegionKind::Province, ""),
        ("0901", RegionKind::County, "09"),
        ("090101", RegionKind::District, "0901"),
        ("0901010001", RegionKind::RuralDistrict, "090101"),
        ("0901010001000001", RegionKind::Village, "0901010001"),
    ];
    for (code, kind, parent) in regions {
        draft.region(code, kind, parent);
    }
    draft.site("S", SiteKind::Dehyari, "0901010001000001").criticality = class;
    draft.link("S", "gov0", Network::Gov, "");
    Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory)
}

/// The targets of `configs/inventory/profiles.yaml` for a fixed link, and how often each is looked at.
fn targets(watch_s: u64) -> [(&'static str, Rung, u64); 3] {
    [("watch", Rung::Pop, watch_s), ("pop", Rung::Pop, 60), ("core", Rung::Core, 60)]
}

fn table(watch_s: u64) -> SeriesTable {
    let series = |(target, rung, every): (&str, Rung, u64)| Series {
        link: "gov0".into(),
        network: Network::Gov,
        target: target.into(),
        towards: String::new(),
        rung,
        probe: ProbeKind::Icmp,
        interval_s: every as u32,
        metrics: Vec::new(),
    };
    SeriesTable { series: targets(watch_s).map(series).into() }
}

/// What an upload under way comes to, and when.
struct UnderWay {
    ends: u64,
    tickets: Vec<Ticket>,
    arrives: bool,
}

struct Agent {
    schedule: Schedule,
    spool: Spool,
    table: SeriesTable,
    /// Rounds in flight: end, target, start, outcome.
    rounds: BTreeSet<(u64, usize, u64, bool)>,
    samples: Vec<Sample>,
    closed_at: u64,
    report_due: u64,
    /// How long until the line is left after a report got no answer, and another way is found.
    leaves_after: u64,
    has_left: bool,
    under_way: Option<UnderWay>,
}

impl Agent {
    fn new(watch_s: u64, leaves_after: u64, folder: &std::path::Path, random: &mut Random) -> Agent {
        let pace = |(_, _, every): (&str, Rung, u64)| {
            let every = Duration::from_secs(every);
            Pace { link: 0, every, quiet: every, closest: every.min(CLOSEST), splay: random.next() >> 1 }
        };
        let paces = targets(watch_s).map(pace).into();
        let settings = config::Spool { dir: folder.to_owned(), max_bytes: 1 << 20, sync: Sync::Never, writes_per_day: u64::MAX };
        Agent {
            schedule: Schedule::start(paces, 1, MonoMs(0)),
            spool: Spool::open(settings, BootId(1), MonoMs(0)).unwrap(),
            table: table(watch_s),
            rounds: BTreeSet::new(),
            samples: Vec::new(),
            closed_at: 0,
            report_due: random.next() % REPORT_EVERY_MS,
            leaves_after,
            has_left: false,
            under_way: None,
        }
    }

    fn next(&self) -> u64 {
        let round = self.rounds.first().map(|(end, ..)| *end);
        let sent = self.under_way.as_ref().map(|under_way| under_way.ends);
        [self.schedule.next_due().map(|at| at.0), round, sent, Some(self.report_due)].into_iter().flatten().min().unwrap()
    }

    /// Does what is due and returns the batches that arrive.
    fn step(&mut self, now: u64, cut: u64) -> Vec<Batch> {
        for (target, at) in self.schedule.take_due(MonoMs(now), usize::MAX) {
            let ok = now < cut;
            self.rounds.insert((now + if ok { 0 } else { TIMEOUT_MS }, target, at.0, ok));
        }
        while let Some(round) = self.rounds.first().copied().filter(|(end, ..)| *end <= now) {
            self.rounds.pop_first();
            let (_, target, at, ok) = round;
            let outcome = if ok { Outcome::Ok } else { Outcome::Timeout };
            self.samples.push(Sample { series: SeriesIndex(target as u16), at: MonoMs(at), outcome, values: Vec::new() });
            if self.schedule.finished(target, MonoMs(at), MonoMs(now), outcome) {
                self.report_due = self.report_due.min((self.closed_at + CHANGE_SPACING_MS).max(now));
            }
        }
        if now >= self.report_due {
            self.close(now);
        }
        let arrived = self.take_answer(now);
        if self.under_way.is_none() {
            self.send(now, cut);
        }
        arrived
    }

    fn close(&mut self, now: u64) {
        let samples = std::mem::take(&mut self.samples);
        let from = samples.iter().map(|sample| sample.at.0).min().unwrap_or(now).min(self.closed_at);
        let batch = Batch {
            id: BatchId { agent: AgentId(1), boot: BootId(1), sequence: self.spool.next_sequence() },
            covers: 1,
            from: MonoMs(from),
            until: MonoMs(now),
            clock: Clock { unix: START + Duration::from_millis(now), source: ClockSource::Collector, uncertainty_ms: 10 },
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: self.table.id(),
            samples,
        };
        self.spool.append(batch, &self.table, false).unwrap();
        (self.closed_at, self.report_due) = (now, now + REPORT_EVERY_MS);
    }

    fn send(&mut self, now: u64, cut: u64) {
        let since = MonoMs(now.saturating_sub(FRESH_MS));
        let fresh = self.spool.freshest(since, REQUEST_BYTES, MOST_BATCHES);
        let tickets = if fresh.is_empty() { self.spool.oldest(REQUEST_BYTES, MOST_BATCHES) } else { fresh };
        let arrives = self.has_left || now < cut;
        let took = if arrives { 50 } else { self.leaves_after };
        self.under_way = (!tickets.is_empty()).then_some(UnderWay { ends: now + took, tickets, arrives });
    }

    fn take_answer(&mut self, now: u64) -> Vec<Batch> {
        let Some(UnderWay { tickets, arrives, .. }) = self.under_way.take_if(|under_way| under_way.ends <= now) else {
            return Vec::new();
        };
        if !arrives {
            self.has_left = true;
            return Vec::new();
        }
        let read = |ticket: &Ticket| {
            let (bytes, _) = self.spool.read(*ticket).unwrap();
            Batch::decode(&Frame::read(&bytes).unwrap().0.payload, &self.table).unwrap()
        };
        let batches = tickets.iter().map(read).collect();
        self.spool.acknowledge(&tickets);
        batches
    }
}

/// Cuts the line and returns how long it takes until an incident is opened, in milliseconds.
fn detect(class: Criticality, watch_s: u64, leaves_after: u64, random: &mut Random) -> u64 {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut agent = Agent::new(watch_s, leaves_after, folder.path(), random);
    let table = Arc::new(agent.table.clone());
    let cut = CUT_MS + random.next() % 60_000;
    let mut engine = Engine::new(inventory(class), Thresholds::default(), START);
    let mut incidents = Incidents::new(Settings::default());
    let (mut position, mut looks_at) = (0, 0);
    loop {
        let now = agent.next().min(looks_at);
        assert!(now < cut + GIVEN_UP_MS, "nobody noticed");
        let received_at = START + Duration::from_millis(now);
        for batch in agent.step(now, cut) {
            position += 1;
            let boot = Some(BootTime { at: START, error_ms: 10 });
            engine.apply(&Record { position: Position(position), received_at, site: SiteId(0), boot, batch, table: table.clone() });
        }
        if now >= looks_at {
            // The engine's time stays a second behind the clock; a look is taken every second.
            engine.advance_to(received_at - Duration::from_secs(1));
            looks_at = now + 1_000;
        }
        let events = incidents.advance(&engine.snapshot());
        if events.iter().any(|event| matches!(event, IncidentEvent::Opened(_))) {
            assert!(now >= cut, "an incident before its fault");
            return now - cut;
        }
    }
}

/// A report was under way as the line was cut, and others waited behind it. They came with the newest in front, so the
/// failures of the others were left out: three rounds and 90 s of what remained were waited for, and the next report.
#[test]
fn an_outage_is_found_in_time_also_by_an_agent_that_must_first_leave_the_line() {
    let mut random = Random::from_clock();
    for (class, watch_s, leaves_after, at_most) in [
        (Criticality::A, 5, 6_000, 41_000),
        (Criticality::B, 10, 6_000, 118_000),
        (Criticality::B, 10, 20_000, 118_000),
        // The next way came to nothing either.
        (Criticality::B, 10, 40_000, 118_000),
    ] {
        let took: Vec<u64> = (0..60).map(|_| detect(class, watch_s, leaves_after, &mut random)).collect();
        let longest = *took.iter().max().unwrap();
        println!("{class:?}, left after {leaves_after} ms: at most {longest} ms, mean {} ms", took.iter().sum::<u64>() / 60);
        assert!(longest <= at_most, "{class:?}: {longest} ms, seed {}", random.seed());
    }
}

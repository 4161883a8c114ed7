//! A country's 65,000 agents find their collector again after six hours: fresh data is never behind backlog.
//!
//! Virtual time, the agent's own pace and backoff, the collector's own admission; between them a model of the line into the
//! collector and of its log, slower than measured, that serves uploads in the order they came. Each agent has failed for
//! hours, so its next try is somewhere in its longest wait. `RUSTA_SEED` brings a run back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use rusta_agent::uplink::pace::{Backoff, Pace};
use rusta_collector::ingest::{Admission, UnderWay, come_back};
use rusta_tests::random::Random;
use rusta_wire::{AgentId, Answer, MonoMs, UnixMs};

const AGENTS: usize = 65_000;

/// The reporting interval.
const INTERVAL_MS: u64 = 60_000;

/// How long is watched: until the backlog is gone.
const WATCHED_MS: u64 = 35 * 60_000;

/// A minute of a village on the wire (`scripts/bench`).
const BATCH_BYTES: u64 = 450;

/// What six hours left in each spool.
const OWED_BYTES: u64 = 360 * BATCH_BYTES;

/// Batches that count as fresh, and most backlog in one request, as the uplink sends them.
const FRESH: usize = 3;
const REQUEST_BYTES: u64 = 64 * 1024;

/// The line into the collector: 200 Mbit/s.
const LINE_BYTES_PER_US: u64 = 25;

/// What an upload costs the collector beside its bytes. Measured are over 12,000 a second; modelled are 5,000.
const UPLOAD_US: u64 = 200;

/// What a collector grants if its configuration says nothing: half a gigabyte of backlog a minute.
const BACKLOG_BYTES_PER_MINUTE: u64 = 512 << 20;

/// An agent that hears nothing for this long gives up and backs off.
const ANSWER_WITHIN_MS: u64 = 30_000;

/// 2026-11-21T09:00:00Z.
const START: i64 = 1_795_251_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// An interval is over.
    Closed,
    /// The agent sends, if it may and has something.
    Try,
    /// The collector has stored what was under way.
    Stored,
    /// The agent gave up waiting for that.
    GaveUp,
}

struct Agent {
    pace: Pace,
    backoff: Backoff,
    /// When each fresh batch was closed.
    fresh: VecDeque<u64>,
    owed: u64,
    is_back: bool,
    upload: Option<Upload>,
}

struct Upload {
    fresh: Vec<u64>,
    backlog: u64,
    /// Whether the agent still waits for its answer.
    is_awaited: bool,
    _place: UnderWay<'static>,
}

struct World {
    random: Random,
    admission: &'static Admission,
    agents: Vec<Agent>,
    events: BinaryHeap<Reverse<(u64, What, usize)>>,
    line_free_us: u64,
    /// Ages of live data when it was stored: of agents that are back, and of all.
    ages: Vec<u64>,
    ages_of_all: Vec<u64>,
    turned_away: u64,
    gave_up: u64,
    drained_at: Vec<u64>,
}

impl World {
    fn at(&mut self, at: u64, what: What, agent: usize) {
        self.events.push(Reverse((at, what, agent)));
    }

    fn run(&mut self) {
        while let Some(Reverse((now, what, agent))) = self.events.pop().filter(|Reverse((at, ..))| *at < WATCHED_MS) {
            match what {
                What::Closed => self.closed(now, agent),
                What::Try => self.send(now, agent),
                What::Stored => self.stored(now, agent),
                What::GaveUp => self.gave_up(now, agent),
            }
        }
    }

    fn closed(&mut self, now: u64, place: usize) {
        let agent = &mut self.agents[place];
        agent.fresh.push_back(now);
        if agent.fresh.len() > FRESH {
            agent.fresh.pop_front();
            agent.owed += BATCH_BYTES;
        }
        self.at(now + INTERVAL_MS, What::Closed, place);
        if self.agents[place].is_back {
            self.at(now, What::Try, place);
        }
    }

    fn send(&mut self, now: u64, place: usize) {
        let (mono, unix) = (MonoMs(now), UnixMs(START + now as i64));
        let agent = &mut self.agents[place];
        agent.is_back = true;
        if agent.upload.is_some() {
            return;
        }
        if mono < agent.pace.not_before {
            let at = agent.pace.not_before.0;
            return self.at(at, What::Try, place);
        }
        let fresh: Vec<u64> = agent.fresh.iter().copied().collect();
        let backlog = if fresh.is_empty() { agent.pace.backlog_allowed(mono).min(REQUEST_BYTES).min(agent.owed) } else { 0 };
        let bytes = fresh.len() as u64 * BATCH_BYTES + backlog;
        if bytes == 0 {
            let at = agent.pace.next_window().0.max(now + 1_000);
            if agent.owed > 0 {
                self.at(at, What::Try, place);
            }
            return;
        }
        let Some(under_way) = self.admission.enter() else {
            self.turned_away += 1;
            agent.pace.wait(mono, Duration::from_millis(u64::from(come_back(AgentId(place as u64), false, unix))));
            let at = agent.pace.not_before.0;
            return self.at(at, What::Try, place);
        };
        self.line_free_us = self.line_free_us.max(now * 1_000) + bytes / LINE_BYTES_PER_US + UPLOAD_US;
        let stored_at = self.line_free_us.div_ceil(1_000);
        agent.upload = Some(Upload { fresh, backlog, is_awaited: true, _place: under_way });
        self.at(stored_at, What::Stored, place);
        if stored_at > now + ANSWER_WITHIN_MS {
            self.at(now + ANSWER_WITHIN_MS, What::GaveUp, place);
        }
    }

    fn stored(&mut self, now: u64, place: usize) {
        let agent = &mut self.agents[place];
        let Some(upload) = agent.upload.take() else { return };
        let is_backlog = upload.backlog > 0 || upload.fresh.len() > 1;
        for closed in &upload.fresh {
            self.ages_of_all.push(now - closed);
        }
        if !upload.is_awaited {
            // It is stored; the agent will send it again and learn so.
            return;
        }
        let pace = self.admission.pace(is_backlog, true, UnixMs(START + now as i64));
        agent.pace.answered(&Answer { backlog_bytes: pace.backlog_bytes, hold: pace.hold, ..Answer::default() }, MonoMs(now));
        agent.pace.sent_backlog(upload.backlog);
        agent.backoff.succeeded();
        agent.fresh.retain(|closed| !upload.fresh.contains(closed));
        self.ages.extend(upload.fresh.iter().map(|closed| now - closed));
        let had = agent.owed;
        agent.owed -= upload.backlog;
        if had > 0 && agent.owed == 0 {
            self.drained_at.push(now);
        }
        self.at(now + 1, What::Try, place);
    }

    fn gave_up(&mut self, now: u64, place: usize) {
        let agent = &mut self.agents[place];
        let Some(upload) = agent.upload.as_mut().filter(|upload| upload.is_awaited) else { return };
        upload.is_awaited = false;
        self.gave_up += 1;
        agent.pace.wait(MonoMs(now), agent.backoff.failed(self.random.next()));
        let at = agent.pace.not_before.0;
        self.at(at, What::Try, place);
    }
}

fn percentile(ages: &mut [u64], percent: usize) -> u64 {
    ages.sort_unstable();
    ages[ages.len() * percent / 100]
}

#[test]
fn a_country_that_comes_back_at_once_keeps_its_live_data_fresh() {
    let random = Random::from_clock();
    println!("seed {}", random.seed());
    let agent = || Agent {
        pace: Pace::start(MonoMs(0)),
        backoff: Backoff::default(),
        fresh: VecDeque::new(),
        owed: OWED_BYTES,
        is_back: false,
        upload: None,
    };
    let mut world = World {
        random,
        admission: Box::leak(Box::new(Admission::new(BACKLOG_BYTES_PER_MINUTE))),
        agents: (0..AGENTS).map(|_| agent()).collect(),
        events: BinaryHeap::new(),
        line_free_us: 0,
        ages: Vec::new(),
        ages_of_all: Vec::new(),
        turned_away: 0,
        gave_up: 0,
        drained_at: Vec::new(),
    };
    for place in 0..AGENTS {
        let phase = world.random.below(INTERVAL_MS as usize) as u64;
        let mut tired = Backoff::default();
        (0..20).for_each(|_| assert!(tired.failed(0).is_zero()));
        let back_at = tired.failed(world.random.next()).as_millis() as u64;
        world.at(phase, What::Closed, place);
        world.at(back_at, What::Try, place);
    }
    world.run();
    let owed: u64 = world.agents.iter().map(|agent| agent.owed).sum();
    let (p95, worst) = (percentile(&mut world.ages, 95), *world.ages.last().unwrap());
    let p95_of_all = percentile(&mut world.ages_of_all, 95);
    println!(
        "live data stored at an age of p95 {p95} ms, worst {worst} ms ({p95_of_all} ms with what was stored twice); {} agents drained, the \
         last after {} s; {} turned away, {} gave up",
        world.drained_at.len(),
        world.drained_at.last().unwrap_or(&0) / 1_000,
        world.turned_away,
        world.gave_up
    );
    assert!(world.ages.len() > AGENTS * 30, "hardly anybody reported");
    assert!(p95 < 2 * INTERVAL_MS && p95_of_all < 2 * INTERVAL_MS, "live data is behind the backlog");
    assert!(owed * 10 < AGENTS as u64 * OWED_BYTES, "the backlog does not end: {owed} bytes are still owed");
}

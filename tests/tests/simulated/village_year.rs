//! A year of a village by its agent's policies: daily power cuts, no clock or a wrong one, a metered line that fails for hours,
//! neighbours who use up the SIM. The schedule and the data plan are the real ones; what the core loop and the uplink do with
//! them is said again here.
//!
//! ```text
//! power, clock, line, neighbours --seed--> schedule -> plan -> bytes, contacts
//! ```
//! Promises: no target is looked at too often, the plan is never passed and neither is the agent's share, every cycle begins
//! anew, and while the line works the agent is heard within a bound, unless it knows that the plan is spent.
//! `RUSTA_SEEDS=1000` lives through more years than the two that every run does.

use std::time::Duration;

use rusta_agent::calendar::{self, Calendar};
use rusta_agent::config::Plan;
use rusta_agent::data_plan::{DataPlan, Kept, Reading, Spending};
use rusta_agent::schedule::{CLOSEST, Pace, Schedule};
use rusta_tests::random::Random;
use rusta_wire::{BootId, Clock, ClockSource, MonoMs, Outcome, UnixMs};

/// 2026-03-21T00:00 in Tehran, the first day of 1405.
const START_MS: i64 = 1_774_038_600_000;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 1_440 * MINUTE_MS;

/// A round and a report as the bytes they move, and what is reserved for them.
const ROUND: (u64, u64) = (56, 84);
const REPORT: (u64, u64) = (1_500, 6_000);

/// With power and a line that works, somebody is told of the village within this: three asks a day, and a minute.
const MUTE_AT_MOST: Duration = Duration::from_secs(8 * 3_600 + 120);

const PLAN: Plan = Plan { bytes: 300_000_000, own_bytes: 12_000_000, cycle_day: 1, calendar: Calendar::Jalali, told: None };

/// What the router thinks of the time before anybody told it.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    In1970,
    In2036,
    HasClock,
}

struct Village {
    random: Random,
    plan: DataPlan,
    schedule: Schedule,
    wrong: Wrong,
    is_told: bool,
    boot: u64,
    booted_ms: u64,
    counter: u64,
    saved: Kept,
    begun: Vec<Option<MonoMs>>,
    report_due: MonoMs,
    /// Powered time with a working line since the collector heard of the village.
    mute: Duration,
    longest_mute: Duration,
    own: u64,
    contacts: u64,
    rounds: u64,
}

fn schedule(random: &mut Random) -> Schedule {
    let mut pace = |(every, quiet): (u64, u64)| {
        let every = Duration::from_secs(every);
        Pace { link: 0, every, quiet: Duration::from_secs(quiet), closest: every.min(CLOSEST), splay: random.next() >> 1 }
    };
    Schedule::start([(60, 60), (60, 900), (3_600, 3_600)].map(&mut pace).into(), 1, MonoMs(0))
}

impl Village {
    fn new(seed: u64) -> Village {
        let mut random = Random::of(seed, "village");
        let wrong = [Wrong::In1970, Wrong::In2036, Wrong::HasClock][random.below(3)];
        let plan = DataPlan::start(PLAN, Kept::default(), BootId(1));
        Village {
            schedule: schedule(&mut random),
            random,
            plan,
            wrong,
            is_told: false,
            boot: 1,
            booted_ms: 0,
            counter: 0,
            saved: Kept::default(),
            begun: vec![None; 3],
            report_due: MonoMs(10_000),
            mute: Duration::ZERO,
            longest_mute: Duration::ZERO,
            own: 0,
            contacts: 0,
            rounds: 0,
        }
    }

    fn boot(&mut self, now_ms: u64) {
        (self.boot, self.booted_ms, self.counter, self.is_told) = (self.boot + 1, now_ms, self.random.next() % 5_000_000, false);
        self.plan = DataPlan::start(PLAN, self.saved, BootId(self.boot));
        (self.schedule, self.begun, self.report_due) = (schedule(&mut self.random), vec![None; 3], MonoMs(10_000));
    }

    fn clock(&self, now_ms: u64) -> Clock {
        let truth = UnixMs(START_MS + i64::try_from(now_ms).unwrap());
        let (unix, source) = match self.wrong {
            _ if self.is_told => (truth, ClockSource::Collector),
            Wrong::In1970 => (UnixMs(10_000), ClockSource::None),
            Wrong::In2036 => (UnixMs(2_100_000_000_000), ClockSource::System),
            Wrong::HasClock => (truth, ClockSource::Synchronised),
        };
        Clock { unix, source, uncertainty_ms: 0 }
    }

    fn may(&mut self, spending: Spending, (moved, reserved): (u64, u64)) -> bool {
        let used = self.plan.usage().used_bytes;
        let allowed = self.plan.allows(spending, reserved);
        if self.plan.take_unsaved() {
            self.saved = self.plan.kept();
        }
        if allowed {
            let is_ask = spending == Spending::Heartbeat && !self.is_told;
            assert!(used + reserved <= PLAN.bytes || is_ask, "pushed past the plan");
            self.plan.spent(moved);
            (self.own, self.counter) = (self.own + moved, self.counter + moved);
        }
        allowed
    }

    /// Lives one minute with power; `line_works` and the bytes that neighbours use are the world's.
    fn minute(&mut self, now_ms: u64, line_works: bool, others: u64) {
        let mono = MonoMs(now_ms - self.booted_ms);
        self.counter += others;
        self.plan.counted(Reading { bytes: self.counter, index: 3 });
        self.plan.advance(&self.clock(now_ms), mono);
        self.schedule.slow_down(0, self.plan.round_factor());
        let end = mono + Duration::from_millis(MINUTE_MS);
        while let Some(due) = self.schedule.next_due().filter(|due| *due < end) {
            let now = due.max(mono);
            for (target, at) in self.schedule.take_due(now, 256) {
                if let Some(before) = self.begun[target].replace(at) {
                    assert!(at.since(before) >= CLOSEST, "target {target} at {at:?}, after {before:?}");
                }
                self.rounds += 1;
                let outcome = match self.may(Spending::Round { nearest: target == 0 }, ROUND) {
                    false => Outcome::NotRun,
                    true if line_works && !self.random.one_in(50) => Outcome::Ok,
                    true => [Outcome::Timeout, Outcome::SystemError, Outcome::NotRun][self.random.below(3)],
                };
                self.schedule.finished(target, at, now, outcome);
            }
        }
        self.report(mono, line_works);
    }

    fn report(&mut self, mono: MonoMs, line_works: bool) {
        if mono < self.report_due {
            return;
        }
        let spending = if self.plan.stage() >= 4 { Spending::Heartbeat } else { Spending::Report };
        let goes = line_works && self.may(spending, REPORT);
        self.report_due = mono + Duration::from_secs(300) * self.plan.report_factor().min(12);
        if goes {
            (self.is_told, self.mute, self.contacts) = (true, Duration::ZERO, self.contacts + 1);
        }
    }

    fn cycle(&self) -> i64 {
        serde_json::to_value(self.plan.kept()).unwrap()["cycle"].as_i64().unwrap()
    }
}

fn live_a_year(seed: u64) {
    let mut village = Village::new(seed);
    let mut world = Random::of(seed, "world");
    let (mut dark_from, mut dark_until, mut cut_until) = (0, 0, 0);
    let (mut cycle, mut others_a_minute, mut since_cycle) = (0, 0, Duration::ZERO);
    let (mut begun, mut resets) = (0, 0);
    for minute in 0..365 * 1_440u64 {
        let now_ms = minute * MINUTE_MS;
        let day = calendar::local_day(UnixMs(START_MS + i64::try_from(now_ms).unwrap()));
        let start = calendar::start_of(day, PLAN.cycle_day, PLAN.calendar);
        if start != cycle {
            // A thrifty month, a usual one, one that empties the SIM, and one that empties it within days.
            others_a_minute = PLAN.bytes / 43_200 * [1, 3, 5, 40][world.below(4)] / 4;
            (cycle, since_cycle, village.own) = (start, Duration::ZERO, 0);
        }
        if now_ms.is_multiple_of(DAY_MS) {
            dark_from = now_ms + world.next() % (DAY_MS / 2);
            dark_until = dark_from + MINUTE_MS * (5 + world.next() % 360);
        }
        if world.one_in(4_000) {
            cut_until = now_ms + MINUTE_MS * (world.next() % 600);
        }
        if (dark_from..dark_until).contains(&now_ms) {
            village.booted_ms = u64::MAX;
            continue;
        }
        if village.booted_ms == u64::MAX {
            village.boot(now_ms);
        }
        let line_works = now_ms >= cut_until;
        village.minute(now_ms, line_works, others_a_minute + world.next() % 100);
        let knows_it_is_spent = village.is_told && village.plan.stage() >= 4 || village.cycle() == start && village.plan.stage() >= 4;
        if line_works && !knows_it_is_spent {
            village.mute += Duration::from_millis(MINUTE_MS);
            since_cycle += Duration::from_millis(MINUTE_MS);
            village.longest_mute = village.longest_mute.max(village.mute);
        }
        assert!(village.mute <= MUTE_AT_MOST, "seed {seed}: mute for {:?} at minute {minute}, {:?}", village.mute, village.plan.usage());
        assert!(village.own <= PLAN.own_bytes, "seed {seed}: {} own bytes of {}", village.own, PLAN.own_bytes);
        if village.cycle() == start && begun != start {
            (begun, resets) = (start, resets + 1);
        }
        if since_cycle > MUTE_AT_MOST + Duration::from_secs(3_600) {
            assert_eq!(village.cycle(), start, "seed {seed}: the cycle of minute {minute} was not begun");
        }
    }
    println!(
        "seed {seed}, {:?}: {} boots, {} rounds, {} contacts, mute at most {:?}, {resets} cycles",
        village.wrong, village.boot, village.rounds, village.contacts, village.longest_mute
    );
    assert!(village.contacts > 5_000 && village.boot > 300 && resets >= 12, "the year was not lived");
}

#[test]
fn no_year_of_cuts_wrong_clocks_and_spent_sims_breaks_a_promise() {
    let seeds: u64 = std::env::var("RUSTA_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let first = Random::from_clock().seed();
    for seed in 0..seeds {
        live_a_year(first.wrapping_add(seed));
    }
}

//! When each target is due. Pure: time comes in, nothing is read.
//!
//! ```text
//! steady     |----every----|----every----|        on a grid whose phase is this agent's own (splay)
//! doubtful   |-12-|-12-|--13--|--13--|            after a failure, until three rounds and 90 s agree; the same on the way up;
//!                                                 a round falls on 25 s and on 90 s, when the collector can judge
//! quiet      |----------quiet-----------|         a metered link's farther targets, while its nearest anchor answers
//! ```
//! A failure on a quiet link wakes the whole ladder of that link at once. A target never has two rounds in flight, and a
//! round that could not start in time is skipped, not caught up with.
//!
//! Invariant: whatever rounds come to, and whatever wakes a link, two rounds of a target never begin closer than its
//! [`Pace::closest`], times the link's slowdown. Doubt that meets no evidence ends after [`CONFIRM_ROUNDS`].

use std::collections::BTreeSet;
use std::time::Duration;

use rusta_wire::{MonoMs, Outcome, Verdict};

/// Spacing of rounds while a change is being confirmed, at least: three rounds fit into the 25 s of a class-A site.
const CONFIRM_EVERY: Duration = Duration::from_millis(12_500);

/// Rounds of a target never begin closer. A target that happened to run just before its link was woken is looked at again this
/// much later: a class-A site's failure is found by a look every 5 s, and told after 2 s.
pub const CLOSEST: Duration = Duration::from_secs(8);

/// Rounds in a row that confirm a change, as the collector's rule has it.
pub const CONFIRM_ROUNDS: u32 = 3;

/// How long a run of failures must last to be an outage, as the collector's rule has it.
pub const CONFIRM_TIME: Duration = Duration::from_secs(90);

/// When the collector can judge a run of failures, and so wants to hear of it at once: a site of class A, any site.
const JUDGED_AFTER: [Duration; 2] = [Duration::from_secs(25), CONFIRM_TIME];

/// The first rounds after a start happen within this time, spread: a technician waits for them.
const FIRST_ROUNDS_WITHIN: Duration = Duration::from_secs(5);

/// A round that begins within this after it was due counts as begun then: the grid keeps a batch small. One that begins later
/// (a suspend, a busy router) is stamped when it begins.
const LATE: Duration = Duration::from_millis(100);

/// How a target is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The target's link, by place.
    pub link: usize,
    /// Time between rounds.
    pub every: Duration,
    /// Time between rounds while its link is quiet; at least `every`. Equal to it for targets that always run.
    pub quiet: Duration,
    /// Rounds never begin closer: [`CLOSEST`], or `every` where that is less or each round has its price.
    pub closest: Duration,
    /// A number of this agent and target that decides the phase.
    pub splay: u64,
}

/// What a target's rounds say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No round has ended with evidence.
    Unknown,
    /// The last confirmed run was of successes.
    Holds,
    /// The last confirmed run was of failures.
    Broken,
}

#[derive(Debug, Clone)]
struct Slot {
    pace: Pace,
    /// The grid's first point.
    phase: MonoMs,
    due: MonoMs,
    /// When the last round began, as it is stamped.
    begun: Option<MonoMs>,
    running: bool,
    standing: Standing,
    /// Rounds in a row that contradict `standing`, and when the first of them was due.
    contrary: u32,
    contrary_since: MonoMs,
    /// Rounds in a row that proved nothing.
    mute: u32,
    /// Since when every round fails, and how many of [`JUDGED_AFTER`] have passed since.
    failing_since: Option<MonoMs>,
    judged: usize,
}

/// The due times of all targets.
#[derive(Debug, Clone)]
pub struct Schedule {
    slots: Vec<Slot>,
    /// Every target that is not running, by when it is due: a county node has thousands, and looks after each round.
    waiting: BTreeSet<(MonoMs, usize)>,
    /// By link: how many of its targets keep it awake.
    wakeful: Vec<usize>,
    /// By link: whether its farther targets run at their full rate.
    awake: Vec<bool>,
    /// By link: how much slower than configured everything runs, to stay within the data plan.
    slowdown: Vec<u32>,
}

impl Schedule {
    /// Spreads the first rounds over the first seconds and lays each target's grid at its own phase.
    pub fn start(paces: Vec<Pace>, links: usize, now: MonoMs) -> Schedule {
        let slots: Vec<Slot> = paces
            .into_iter()
            .map(|pace| Slot {
                pace,
                phase: now + spread(pace.splay, pace.every),
                due: now + spread(pace.splay, pace.every.min(FIRST_ROUNDS_WITHIN)),
                begun: None,
                running: false,
                standing: Standing::Unknown,
                contrary: 0,
                contrary_since: now,
                mute: 0,
                failing_since: None,
                judged: 0,
            })
            .collect();
        let waiting = slots.iter().enumerate().map(|(target, slot)| (slot.due, target)).collect();
        let wakeful = (0..links).map(|link| slots.iter().filter(|s| s.pace.link == link && s.is_wakeful()).count()).collect();
        Schedule { slots, waiting, wakeful, awake: vec![true; links], slowdown: vec![1; links] }
    }

    /// Returns when the next round is due, if anything is waiting.
    pub fn next_due(&self) -> Option<MonoMs> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Remembers when a target's last round began in an earlier schedule, so that a new one keeps its distance.
    pub fn remember(&mut self, target: usize, begun: MonoMs) {
        let Some(slot) = self.slots.get_mut(target) else { return };
        slot.begun = Some(begun);
        let due = slot.due.max(begun + slot.pace.closest);
        self.wait_until(target, due);
    }

    /// Returns when the target's last round began.
    pub fn begun(&self, target: usize) -> Option<MonoMs> {
        self.slots.get(target)?.begun
    }

    /// Takes the targets that are due, at most `most`, with the time each round counts as begun at.
    pub fn take_due(&mut self, now: MonoMs, most: usize) -> Vec<(usize, MonoMs)> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((due, target)) = self.waiting.first().copied().filter(|(due, _)| *due <= now)
        {
            self.waiting.pop_first();
            let at = if now.since(due) > LATE { now } else { due };
            (self.slots[target].running, self.slots[target].begun) = (true, Some(at));
            taken.push((target, at));
        }
        taken
    }

    /// Takes in the end of a round that was due at `at`, and sets when the next one is. Returns whether the collector can
    /// judge by it what it could not before.
    pub fn finished(&mut self, target: usize, at: MonoMs, now: MonoMs, outcome: Outcome) -> bool {
        let Some(slot) = self.slots.get_mut(target) else { return false };
        let was_wakeful = slot.is_wakeful();
        let can_be_judged = slot.count_failures(at, outcome.verdict());
        let changed = slot.judge(at, outcome.verdict()) || can_be_judged;
        let (link, is_wakeful) = (slot.pace.link, slot.is_wakeful());
        if let Some(wakeful) = self.wakeful.get_mut(link) {
            *wakeful = *wakeful + usize::from(is_wakeful) - usize::from(was_wakeful);
        }
        self.settle(link, now);
        let (awake, slowdown) = (self.awake.get(link).copied().unwrap_or(true), self.slowdown.get(link).copied().unwrap_or(1));
        let slot = &mut self.slots[target];
        slot.running = false;
        let due = slot.next(at, now, awake, slowdown);
        self.wait_until(target, due);
        changed
    }

    fn wait_until(&mut self, target: usize, due: MonoMs) {
        self.waiting.remove(&(self.slots[target].due, target));
        self.slots[target].due = due;
        self.waiting.insert((due, target));
    }

    /// Returns what the target's rounds say about it.
    pub fn standing(&self, target: usize) -> Standing {
        self.slots.get(target).map_or(Standing::Unknown, |s| s.standing)
    }

    /// Makes a link's rounds `factor` times rarer, to stay within its data plan.
    pub fn slow_down(&mut self, link: usize, factor: u32) {
        if let Some(slot) = self.slowdown.get_mut(link) {
            *slot = factor.max(1);
        }
    }

    /// A link is awake while any of its targets is not steadily holding; waking makes all its targets due as soon as their
    /// distance allows.
    fn settle(&mut self, link: usize, now: MonoMs) {
        let awake = self.wakeful.get(link).is_some_and(|wakeful| *wakeful > 0);
        if awake && !self.awake[link] {
            let slowdown = self.slowdown[link];
            for target in 0..self.slots.len() {
                let slot = &self.slots[target];
                let soon = slot.soonest(slowdown).max(now);
                if slot.pace.link == link && !slot.running && slot.due > soon {
                    self.wait_until(target, soon);
                }
            }
        }
        if let Some(slot) = self.awake.get_mut(link) {
            *slot = awake;
        }
    }
}

impl Slot {
    /// Tells whether it keeps its link awake: one that always runs and does not hold steadily.
    fn is_wakeful(&self) -> bool {
        self.pace.quiet == self.pace.every && !(self.standing == Standing::Holds && self.contrary == 0)
    }

    /// Counts the round for or against the standing; a first round decides at once, later changes are confirmed.
    fn judge(&mut self, at: MonoMs, verdict: Verdict) -> bool {
        let said = match verdict {
            Verdict::Success => Standing::Holds,
            Verdict::Failure => Standing::Broken,
            Verdict::NoEvidence => {
                self.mute = self.mute.saturating_add(1);
                return false;
            }
        };
        self.mute = 0;
        if said == self.standing {
            self.contrary = 0;
            return false;
        }
        if self.contrary == 0 {
            self.contrary_since = at;
        }
        self.contrary += 1;
        let lasted = match said {
            Standing::Broken => at.since(self.contrary_since) >= CONFIRM_TIME.min(self.pace.every * (CONFIRM_ROUNDS + 1)),
            _ => true,
        };
        let known_at_once = self.standing == Standing::Unknown && said == Standing::Holds;
        if known_at_once || self.contrary >= CONFIRM_ROUNDS && lasted {
            self.standing = said;
            self.contrary = 0;
            return true;
        }
        false
    }

    /// Counts how long every round has failed; returns whether one of [`JUDGED_AFTER`] has just passed.
    fn count_failures(&mut self, at: MonoMs, verdict: Verdict) -> bool {
        match verdict {
            Verdict::NoEvidence => return false,
            Verdict::Success => (self.failing_since, self.judged) = (None, 0),
            Verdict::Failure => {
                let lasted = at.since(*self.failing_since.get_or_insert(at));
                let judged = JUDGED_AFTER.iter().filter(|after| lasted >= **after).count();
                return std::mem::replace(&mut self.judged, judged) < judged;
            }
        }
        false
    }

    /// When a round may begin at the soonest.
    fn soonest(&self, slowdown: u32) -> MonoMs {
        self.begun.map_or(MonoMs(0), |begun| begun + self.pace.closest * slowdown)
    }

    fn next(&self, at: MonoMs, now: MonoMs, awake: bool, slowdown: u32) -> MonoMs {
        let is_awaited = self.failing_since.is_some() && self.judged < JUDGED_AFTER.len();
        let next = if (self.contrary > 0 || is_awaited) && self.mute < CONFIRM_ROUNDS {
            self.confirming(at, slowdown)
        } else {
            self.on_grid(now, awake, slowdown)
        };
        next.max(self.soonest(slowdown)).max(now)
    }

    /// Divides the time until the collector can judge evenly; otherwise the next round is as soon as may be.
    fn confirming(&self, at: MonoMs, slowdown: u32) -> MonoMs {
        let least = CONFIRM_EVERY.min(self.pace.every).max(self.pace.closest) * slowdown;
        let judged = self.failing_since.zip(JUDGED_AFTER.get(self.judged)).map(|(since, after)| (since + *after).since(at));
        let rounds = |left: Duration| u32::try_from(left.as_millis() / least.as_millis().max(1)).unwrap_or(u32::MAX).max(1);
        at + judged.map_or(least, |left| (left / rounds(left)).max(least))
    }

    /// The first grid point after now; rounds that were missed are not made up for.
    fn on_grid(&self, now: MonoMs, awake: bool, slowdown: u32) -> MonoMs {
        if now < self.phase {
            return self.phase;
        }
        let every = if awake { self.pace.every } else { self.pace.quiet } * slowdown;
        let step = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        let since = u64::try_from(now.since(self.phase).as_millis()).unwrap_or(0);
        self.phase + Duration::from_millis((since / step + 1).saturating_mul(step))
    }
}

fn spread(splay: u64, over: Duration) -> Duration {
    let over = u64::try_from(over.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(splay % over)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn pace(link: usize, quiet: u64) -> Pace {
        Pace { link, every: MINUTE, quiet: Duration::from_secs(quiet), closest: CLOSEST, splay: 1_234 }
    }

    /// Runs one target's rounds with the given outcomes and returns when each was due, in seconds.
    fn run(schedule: &mut Schedule, target: usize, outcomes: &[Outcome]) -> Vec<u64> {
        outcomes
            .iter()
            .map(|outcome| {
                let now = schedule.slots[target].due;
                let taken = schedule.take_due(now, usize::MAX);
                let (_, at) = *taken.iter().find(|(t, _)| *t == target).unwrap();
                for (other, at) in taken.iter().filter(|(t, _)| *t != target) {
                    schedule.finished(*other, *at, now, Outcome::Ok);
                }
                schedule.finished(target, at, now, *outcome);
                at.0 / 1000
            })
            .collect()
    }

    fn gaps(times: &[u64]) -> Vec<u64> {
        times.windows(2).map(|w| w[1] - w[0]).collect()
    }

    #[test]
    fn steady_rounds_keep_to_their_grid() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        let times = run(&mut schedule, 0, &[Outcome::Ok; 6]);
        assert_eq!(gaps(&times)[1..], [60; 4]);
        let late = schedule.slots[0].due + Duration::from_secs(200);
        let (_, at) = schedule.take_due(late, usize::MAX)[0];
        assert_eq!(at, late);
        schedule.finished(0, at, late, Outcome::Ok);
        assert_eq!((schedule.slots[0].due.0 - 1_234) % 60_000, 0);
    }

    #[test]
    fn a_failure_is_confirmed_evenly_until_ninety_seconds_have_passed() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        run(&mut schedule, 0, &[Outcome::Ok; 2]);
        let times = run(&mut schedule, 0, &[Outcome::Timeout; 8]);
        let since: Vec<u64> = times.iter().map(|time| time - times[0]).collect();
        assert_eq!(since, [0, 12, 25, 38, 51, 64, 77, 90], "also after 25 and 90 s, when the collector can judge");
        assert_eq!(schedule.standing(0), Standing::Broken);
        let down = run(&mut schedule, 0, &[Outcome::Timeout; 3]);
        assert_eq!(gaps(&down), [60, 60]);
        let back = run(&mut schedule, 0, &[Outcome::Ok; 4]);
        assert!(gaps(&back)[..2].iter().all(|gap| [12, 13].contains(gap)), "{back:?}");
        assert_eq!(schedule.standing(0), Standing::Holds);
    }

    #[test]
    fn the_collector_hears_when_it_can_judge_a_class_a_site_and_any_site() {
        for (every, heard) in [(5, [20, 25, 90].as_slice()), (10, &[25, 46, 90]), (60, &[25, 90])] {
            let mut schedule = Schedule::start(
                vec![{
                    let every = Duration::from_secs(every);
                    Pace { every, closest: every.min(CLOSEST), ..pace(0, every.as_secs()) }
                }],
                1,
                MonoMs(0),
            );
            run(&mut schedule, 0, &[Outcome::Ok; 2]);
            let begin = schedule.slots[0].due;
            let mut hurried = Vec::new();
            while schedule.slots[0].due.since(begin) <= Duration::from_secs(300) {
                let now = schedule.slots[0].due;
                let (_, at) = schedule.take_due(now, usize::MAX)[0];
                if schedule.finished(0, at, now, Outcome::Timeout) {
                    hurried.push(at.since(begin).as_secs());
                }
            }
            assert_eq!(hurried, heard, "every {every} s");
        }
    }

    #[test]
    fn one_lost_round_changes_no_standing() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        run(&mut schedule, 0, &[Outcome::Ok, Outcome::Timeout, Outcome::Ok, Outcome::NotRun]);
        assert_eq!(schedule.standing(0), Standing::Holds);
    }

    #[test]
    fn a_quiet_link_runs_only_its_nearest_anchor_until_it_fails() {
        let mut schedule = Schedule::start(vec![pace(0, 60), Pace { splay: 31_234, ..pace(0, 900) }], 1, MonoMs(0));
        let (mut near, mut far) = (0, 0);
        while schedule.next_due().unwrap() < MonoMs(3_600_000) {
            let now = schedule.next_due().unwrap();
            for (target, at) in schedule.take_due(now, usize::MAX) {
                if target == 0 {
                    near += 1
                } else {
                    far += 1
                }
                schedule.finished(target, at, now, Outcome::Ok);
            }
        }
        assert_eq!((near, far), (60, 5));
        let now = schedule.slots[0].due;
        let (target, at) = schedule.take_due(now, usize::MAX)[0];
        schedule.finished(target, at, now, Outcome::Timeout);
        assert_eq!(schedule.take_due(now, usize::MAX), [(1, now)]);
    }

    #[test]
    fn the_data_plan_slows_a_link_down() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        schedule.slow_down(0, 5);
        let times = run(&mut schedule, 0, &[Outcome::Ok; 4]);
        assert_eq!(gaps(&times)[1..], [300, 300]);
    }

    use proptest::prelude::*;

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        // Successes and failures are common enough to confirm each other; everything else proves nothing.
        prop_oneof![
            3 => Just(Outcome::Ok),
            3 => Just(Outcome::Timeout),
            1 => Just(Outcome::Unexpected),
            4 => prop::sample::select(Outcome::ALL.to_vec()),
        ]
    }

    fn any_pace() -> impl Strategy<Value = Pace> {
        (prop::sample::select(vec![1u64, 5, 10, 15, 30, 60, 3_600]), any::<bool>(), any::<bool>(), any::<u64>(), 0..2usize).prop_map(
            |(every, rests, is_priced, splay, link)| {
                let every = Duration::from_secs(every);
                let quiet = if rests { every.max(Duration::from_secs(900)) } else { every };
                Pace { link, every, quiet, closest: if is_priced { every } else { every.min(CLOSEST) }, splay }
            },
        )
    }

    /// What happens to the next round that is due: how it ends, after how long, and how late it began.
    fn any_fate() -> impl Strategy<Value = (Outcome, u64, u64)> {
        let took_ms = prop_oneof![6 => 0..900u64, 1 => 900..60_000u64];
        let late_ms = prop_oneof![6 => 0..20u64, 1 => 0..5_000u64, 1 => 0..400_000u64];
        (any_outcome(), took_ms, late_ms)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Nothing that rounds come to brings a target's rounds closer than stated, or more of them into any window.
        #[test]
        fn rounds_keep_their_distance_under_every_sequence_of_outcomes(
            paces in prop::collection::vec(any_pace(), 1..5),
            fates in prop::collection::vec(any_fate(), 1..400),
            slowdowns in prop::collection::vec((0..400usize, 0..2usize, prop::sample::select(vec![1u32, 4, 8, 60])), 0..6),
            most in 1..4usize,
        ) {
            let mut schedule = Schedule::start(paces.clone(), 2, MonoMs(0));
            let mut begun: Vec<Vec<(MonoMs, MonoMs, u32)>> = vec![Vec::new(); paces.len()];
            let mut in_flight: Vec<(MonoMs, usize, MonoMs, Outcome)> = Vec::new();
            let mut now = MonoMs(0);
            for (turn, (outcome, took_ms, late_ms)) in fates.into_iter().enumerate() {
                for (_, link, factor) in slowdowns.iter().filter(|(at, ..)| *at == turn) {
                    schedule.slow_down(*link, *factor);
                }
                let due = schedule.next_due().map(|due| due.max(now) + Duration::from_millis(late_ms));
                let ends = in_flight.iter().map(|(ends, ..)| *ends).min();
                now = due.into_iter().chain(ends).min().unwrap();
                let (ended, still): (Vec<_>, Vec<_>) = in_flight.into_iter().partition(|(ends, ..)| *ends <= now);
                in_flight = still;
                for (_, target, at, outcome) in ended {
                    schedule.finished(target, at, now, outcome);
                }
                let taken = schedule.take_due(now, most);
                prop_assert!(taken.len() <= most);
                for (target, at) in taken {
                    let slowdown = schedule.slowdown[paces[target].link];
                    prop_assert!(at <= now && now.since(at) <= LATE);
                    begun[target].push((at, now, slowdown));
                    in_flight.push((now + Duration::from_millis(took_ms), target, at, outcome));
                }
            }
            for (pace, begun) in paces.iter().zip(&begun) {
                for pair in begun.windows(2) {
                    let least = pace.closest;
                    prop_assert!(pair[1].0.since(pair[0].0) >= least, "{pace:?}: {pair:?}");
                    prop_assert!(pair[1].1.since(pair[0].1) + LATE >= least, "{pace:?}: {pair:?}");
                }
                for (first, from) in begun.iter().enumerate() {
                    let within = |window: Duration| begun[first..].iter().take_while(|b| b.0.since(from.0) < window).count() as u128;
                    for window in [MINUTE, 60 * MINUTE] {
                        let most = window.as_millis().div_ceil(pace.closest.as_millis());
                        prop_assert!(within(window) <= most, "{pace:?}: {} rounds in {window:?}", within(window));
                    }
                }
            }
        }

        /// Doubt that meets no evidence ends: a device nobody may read is not asked at the pace of an outage for ever.
        #[test]
        fn doubt_without_evidence_returns_to_the_steady_pace(before in prop::collection::vec(any_outcome(), 0..30), nothing in any_outcome()) {
            let nothing = if nothing.verdict() == Verdict::NoEvidence { nothing } else { Outcome::NotRun };
            let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
            run(&mut schedule, 0, &before);
            let times = run(&mut schedule, 0, &[nothing; 10]);
            prop_assert_eq!(&gaps(&times)[4..], [60; 5]);
        }
    }

    #[test]
    fn a_slowed_link_confirms_as_much_rarer() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        run(&mut schedule, 0, &[Outcome::Ok; 2]);
        schedule.slow_down(0, 4);
        let times = run(&mut schedule, 0, &[Outcome::Timeout, Outcome::Timeout, Outcome::NotRun, Outcome::Timeout]);
        assert!(gaps(&times).iter().all(|gap| *gap >= 50), "{times:?}");
    }

    #[test]
    fn a_test_that_costs_is_neither_repeated_nor_woken_before_its_time() {
        let hour = Duration::from_secs(3_600);
        let priced = Pace { every: hour, quiet: hour, closest: hour, splay: 100, ..pace(0, 60) };
        let mut schedule = Schedule::start(vec![pace(0, 60), priced], 1, MonoMs(0));
        let mut begun = Vec::new();
        while schedule.next_due().unwrap() < MonoMs(4 * 3_600_000) {
            let now = schedule.next_due().unwrap();
            for (target, at) in schedule.take_due(now, usize::MAX) {
                begun.extend((target == 1).then_some(at.0 / 1_000));
                let flaps = at.0 / 1_000 % 700 < 60;
                schedule.finished(target, at, now, if flaps || target == 1 { Outcome::Timeout } else { Outcome::Ok });
            }
        }
        assert_eq!(gaps(&begun), vec![3_600; begun.len() - 1]);
    }

    #[test]
    fn a_new_schedule_keeps_the_distance_of_the_one_before() {
        let mut schedule = Schedule::start(vec![Pace { splay: 0, ..pace(0, 60) }], 1, MonoMs(100_000));
        schedule.remember(0, MonoMs(99_000));
        assert_eq!(schedule.next_due(), Some(MonoMs(107_000)));
        assert_eq!(schedule.take_due(MonoMs(107_000), 9), [(0, MonoMs(107_000))]);
    }

    #[test]
    fn agents_that_start_together_do_not_probe_together() {
        let phases: std::collections::HashSet<u64> =
            (0..100u64).map(|n| spread(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), MINUTE).as_millis() as u64 / 1000).collect();
        assert!(phases.len() > 40, "{} of 60 seconds used", phases.len());
    }
}

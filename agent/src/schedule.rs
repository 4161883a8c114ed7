//! When each target is due. Pure: time comes in, nothing is read.
//!
//! ```text
//! steady     |----every----|----every----|        on a grid whose phase is this agent's own (splay)
//! doubtful   |-15 s-|-15 s-|-15 s-|               after a failure, until three rounds and 90 s agree; the same on the way up;
//!                                                 one round is when the collector can judge, after 25 s and 90 s
//! quiet      |----------quiet-----------|         a metered link's farther targets, while its nearest anchor answers
//! ```
//! A failure on a quiet link wakes the whole ladder of that link at once. A target never has two rounds in flight, and a
//! round that could not start in time is skipped, not caught up with.

use std::collections::BTreeSet;
use std::time::Duration;

use rusta_wire::{MonoMs, Outcome, Verdict};

/// Spacing of rounds while a change is being confirmed.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(15);

/// Rounds in a row that confirm a change, as the collector's rule has it.
pub const CONFIRM_ROUNDS: u32 = 3;

/// How long a run of failures must last to be an outage, as the collector's rule has it.
pub const CONFIRM_TIME: Duration = Duration::from_secs(90);

/// When the collector can judge a run of failures, and so wants to hear of it at once: a site of class A, any site.
const JUDGED_AFTER: [Duration; 2] = [Duration::from_secs(25), CONFIRM_TIME];

/// The first rounds after a start happen within this time, spread: a technician waits for them.
const FIRST_ROUNDS_WITHIN: Duration = Duration::from_secs(5);

/// How a target is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The target's link, by place.
    pub link: usize,
    /// Time between rounds.
    pub every: Duration,
    /// Time between rounds while its link is quiet; at least `every`. Equal to it for targets that always run.
    pub quiet: Duration,
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
    running: bool,
    standing: Standing,
    /// Rounds in a row that contradict `standing`, and when the first of them was due.
    contrary: u32,
    contrary_since: MonoMs,
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
                running: false,
                standing: Standing::Unknown,
                contrary: 0,
                contrary_since: now,
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

    /// Takes every target that is due, with the time it was due.
    pub fn take_due(&mut self, now: MonoMs) -> Vec<(usize, MonoMs)> {
        let mut taken = Vec::new();
        while let Some((due, target)) = self.waiting.first().copied().filter(|(due, _)| *due <= now) {
            self.waiting.pop_first();
            self.slots[target].running = true;
            // A round that starts late (a suspend, a busy router) is stamped when it starts.
            taken.push((target, if now.since(due) > Duration::from_secs(1) { now } else { due }));
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
        slot.due = slot.next(at, now, awake, slowdown);
        self.waiting.insert((slot.due, target));
        changed
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

    /// A link is awake while any of its targets is not steadily holding; waking makes all its targets due at once.
    fn settle(&mut self, link: usize, now: MonoMs) {
        let awake = self.wakeful.get(link).is_some_and(|wakeful| *wakeful > 0);
        if awake && !self.awake[link] {
            let waiting = |(_, slot): &(usize, &mut Slot)| slot.pace.link == link && !slot.running && slot.due > now;
            for (target, slot) in self.slots.iter_mut().enumerate().filter(waiting) {
                self.waiting.remove(&(slot.due, target));
                slot.due = now;
                self.waiting.insert((now, target));
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
            Verdict::NoEvidence => return false,
        };
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

    fn next(&self, at: MonoMs, now: MonoMs, awake: bool, slowdown: u32) -> MonoMs {
        if self.contrary > 0 {
            let confirm = at + CONFIRM_EVERY.min(self.pace.every);
            let judged = self.failing_since.zip(JUDGED_AFTER.get(self.judged)).map(|(since, after)| since + *after);
            return judged.map_or(confirm, |judged| confirm.min(judged)).max(now);
        }
        let every = if awake { self.pace.every } else { self.pace.quiet } * slowdown;
        // The first grid point after now; rounds that were missed are not made up for.
        let step = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        let since = u64::try_from(now.since(self.phase).as_millis()).unwrap_or(0);
        if now < self.phase {
            return self.phase;
        }
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
        Pace { link, every: MINUTE, quiet: Duration::from_secs(quiet), splay: 1_234 }
    }

    /// Runs one target's rounds with the given outcomes and returns when each was due, in seconds.
    fn run(schedule: &mut Schedule, target: usize, outcomes: &[Outcome]) -> Vec<u64> {
        outcomes
            .iter()
            .map(|outcome| {
                let now = schedule.slots[target].due;
                let taken = schedule.take_due(now);
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
        let (_, at) = schedule.take_due(late)[0];
        assert_eq!(at, late);
        schedule.finished(0, at, late, Outcome::Ok);
        assert_eq!((schedule.slots[0].due.0 - 1_234) % 60_000, 0);
    }

    #[test]
    fn a_failure_is_confirmed_at_fifteen_seconds_until_ninety_have_passed() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        run(&mut schedule, 0, &[Outcome::Ok; 2]);
        let times = run(&mut schedule, 0, &[Outcome::Timeout; 8]);
        assert_eq!(gaps(&times), [15, 10, 15, 15, 15, 15, 5], "also after 25 and 90 s, when the collector can judge");
        assert_eq!(schedule.standing(0), Standing::Broken);
        let down = run(&mut schedule, 0, &[Outcome::Timeout; 3]);
        assert_eq!(gaps(&down), [60, 60]);
        let back = run(&mut schedule, 0, &[Outcome::Ok; 4]);
        assert_eq!(gaps(&back)[..2], [15, 15]);
        assert_eq!(schedule.standing(0), Standing::Holds);
    }

    #[test]
    fn the_collector_hears_when_it_can_judge_a_class_a_site_and_any_site() {
        for (every, heard) in [(5, [20, 25, 90].as_slice()), (10, &[25, 45, 90]), (60, &[25, 90])] {
            let mut schedule = Schedule::start(vec![Pace { every: Duration::from_secs(every), ..pace(0, every) }], 1, MonoMs(0));
            run(&mut schedule, 0, &[Outcome::Ok; 2]);
            let begin = schedule.slots[0].due;
            let mut hurried = Vec::new();
            while schedule.slots[0].due.since(begin) <= Duration::from_secs(300) {
                let now = schedule.slots[0].due;
                let (_, at) = schedule.take_due(now)[0];
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
            for (target, at) in schedule.take_due(now) {
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
        let (target, at) = schedule.take_due(now)[0];
        schedule.finished(target, at, now, Outcome::Timeout);
        assert_eq!(schedule.take_due(now), [(1, now)]);
    }

    #[test]
    fn the_data_plan_slows_a_link_down() {
        let mut schedule = Schedule::start(vec![pace(0, 60)], 1, MonoMs(0));
        schedule.slow_down(0, 5);
        let times = run(&mut schedule, 0, &[Outcome::Ok; 4]);
        assert_eq!(gaps(&times)[1..], [300, 300]);
    }

    #[test]
    fn agents_that_start_together_do_not_probe_together() {
        let phases: std::collections::HashSet<u64> =
            (0..100u64).map(|n| spread(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), MINUTE).as_millis() as u64 / 1000).collect();
        assert!(phases.len() > 40, "{} of 60 seconds used", phases.len());
    }
}

//! Whether a link carries traffic, from which anchors and vantages answered when.

use rusta_wire::{AgentId, BootId, Outcome, Rung, UnixMs};

use super::{Anchors, Round, Slot, Target, Word};
use crate::config::Thresholds;
use crate::engine::state::LinkState;

/// A life of an agent's router, as its first record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Which life.
    pub id: BootId,
    /// When it began.
    pub began_at: UnixMs,
    /// Why, in the words of `boot_reason`; `None` if the router does not say.
    pub reason: Option<i64>,
    /// Whether a life nobody can date may lie before it: then the router was not off all the time.
    pub after_undated: bool,
}

/// A change of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) at: UnixMs,
    pub(super) state: LinkState,
}

/// A target with its present run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) target: Target,
    pub(super) anchor: bool,
    lifetime_ms: i64,
    /// The newest round that said anything.
    last_at: UnixMs,
    last_ok: Option<UnixMs>,
    /// Failures in a row since anything proved the path.
    failures: u32,
    first_failure: UnixMs,
    pub(super) answers: u32,
    first_answer: UnixMs,
    pub(super) link_gone: bool,
    retired: bool,
}

/// How far one agent is known to have looked.
#[derive(Debug, Clone, Copy)]
struct Horizon {
    source: AgentId,
    at: UnixMs,
    /// After `at`, this long without a word it is believed to look on and to report later.
    patience_ms: i64,
    /// When it began to look after the last gap in which its evidence ran out.
    looks_since: UnixMs,
}

#[derive(Debug, Clone)]
pub(super) struct Reach {
    runs: Vec<Run>,
    horizons: Vec<Horizon>,
    state: LinkState,
    since: UnixMs,
    /// The newest answer of any anchor or vantage: down is never dated back past it.
    proved_at: UnixMs,
    /// Whose router was off, while down because of that. One answer ends it.
    off: Option<AgentId>,
    /// Until when a state from before a restart is believed without evidence.
    resumed_until: Option<UnixMs>,
    /// The time, as far as it was told.
    now: UnixMs,
    /// Whether what holds at present is asked, and not what was seen in its time.
    is_present: bool,
    class_a: bool,
}

/// A boot's offset is learnt better while it runs, so rounds exactly `confirm_time` apart may be dated a little closer. The
/// agent reports at that moment and not again for a minute.
const REDATED_MS: i64 = 500;

/// A state from before a restart is believed this long after the stretch of the log begins that is read again: until then a
/// target probed every half an hour is heard.
const RESUMED_MS: i64 = 60 * 60_000;

const NEVER: UnixMs = UnixMs(i64::MIN);

impl Reach {
    pub(super) fn new(at: UnixMs, class_a: bool) -> Self {
        Reach {
            runs: Vec::new(),
            horizons: Vec::new(),
            state: LinkState::Unknown,
            since: at,
            proved_at: NEVER,
            off: None,
            resumed_until: None,
            now: at,
            is_present: false,
            class_a,
        }
    }

    /// Forgets what was seen, and begins anew at `at`.
    pub(super) fn restart(&mut self, at: UnixMs) {
        self.horizons.clear();
        self.runs.iter_mut().for_each(Run::forget);
        (self.state, self.since, self.proved_at, self.now) = (LinkState::Unknown, at, NEVER, at);
        (self.off, self.resumed_until) = (None, None);
    }

    pub(super) fn resume(&mut self, state: LinkState, since: UnixMs) {
        (self.state, self.since) = (state, since);
        self.resumed_until = Some(UnixMs(self.now.0.saturating_add(RESUMED_MS)));
    }

    pub(super) fn slot(&mut self, target: Target, anchors: Anchors, thresholds: &Thresholds) -> Slot {
        let interval_ms = if target.interval_s == 0 { millis(thresholds.cycle) } else { i64::from(target.interval_s) * 1000 };
        let life_ms = interval_ms * i64::from(thresholds.evidence_intervals) + grace_ms(interval_ms);
        let run = Run {
            target: Target { interval_s: u32::try_from(interval_ms / 1000).unwrap_or(u32::MAX), ..target },
            anchor: !target.vantage && anchors.include(target.rung),
            lifetime_ms: life_ms.max(millis(thresholds.evidence_least)),
            last_at: NEVER,
            last_ok: None,
            failures: 0,
            first_failure: NEVER,
            answers: 0,
            first_answer: NEVER,
            link_gone: false,
            retired: false,
        };
        let place = self.runs.iter().position(|run| run.retired).unwrap_or(self.runs.len());
        match self.runs.get_mut(place) {
            Some(free) => *free = run,
            None => self.runs.push(run),
        }
        Slot(u16::try_from(place).unwrap_or(u16::MAX))
    }

    pub(super) fn retire(&mut self, slot: Slot) {
        if let Some(run) = self.runs.get_mut(usize::from(slot.0)) {
            (run.retired, run.anchor, run.target.vantage) = (true, false, false);
            run.forget();
        }
    }

    /// Tells who measured a round; `None` if it says nothing or is not newer than its target's last.
    pub(super) fn source_of(&self, round: &Round) -> Option<AgentId> {
        let run = self.runs.get(usize::from(round.slot.0))?;
        let is_news = !run.retired && round.at > run.last_at && round.word() != Word::Nothing;
        is_news.then_some(run.target.source)
    }

    /// Counts a round [`Reach::source_of`] accepts; tells whether it is an anchor's.
    pub(super) fn observe(&mut self, round: &Round) -> bool {
        let Some(run) = self.runs.get_mut(usize::from(round.slot.0)) else { return false };
        let proves = round.word() == Word::Answered && (run.anchor || run.target.vantage);
        run.count(round, self.proved_at);
        let anchor = run.anchor;
        if proves {
            self.proved_at = self.proved_at.max(round.at);
            let proved_at = self.proved_at;
            self.runs.iter_mut().filter(|run| run.first_failure <= proved_at).for_each(|run| run.failures = 0);
        }
        anchor
    }

    /// Moves one agent's horizon; tells whether it moved. `patience_ms` is how long it is then believed; `None` leaves that
    /// as it was.
    pub(super) fn progress(&mut self, source: AgentId, at: UnixMs, patience_ms: Option<i64>) -> bool {
        if !self.runs.iter().any(|run| run.target.source == source && !run.retired) {
            return false;
        }
        self.now = self.now.max(at);
        let heard = |run: &&Run| run.target.source == source && (run.anchor || run.target.vantage);
        let gap_ms = self.runs.iter().filter(heard).map(|run| run.lifetime_ms).min().unwrap_or(0);
        match self.horizons.iter_mut().find(|h| h.source == source) {
            Some(horizon) => {
                horizon.patience_ms = patience_ms.unwrap_or(horizon.patience_ms);
                if horizon.at >= at {
                    return false;
                }
                if at.0.saturating_sub(horizon.at.0) > gap_ms {
                    horizon.looks_since = at;
                }
                horizon.at = at;
            }
            None => self.horizons.push(Horizon { source, at, patience_ms: patience_ms.unwrap_or(0), looks_since: at }),
        }
        true
    }

    /// Tells whether time alone may have changed something by `now`.
    pub(super) fn is_anyone_silent(&self, now: UnixMs) -> bool {
        self.resumed_until.is_some() || self.horizons.iter().any(|horizon| now > horizon.believed_until())
    }

    /// Tells whether an agent stands at the link's own site.
    pub(super) fn is_own(&self, source: AgentId) -> bool {
        self.runs.iter().any(|run| run.target.source == source && !run.target.vantage)
    }

    /// Takes another word on which targets are anchors.
    pub(super) fn rekind(&mut self, anchors: Anchors, class_a: bool) {
        self.class_a = class_a;
        for run in self.runs.iter_mut().filter(|run| !run.retired) {
            run.anchor = !run.target.vantage && anchors.include(run.target.rung);
        }
    }

    /// Takes what the time is: agents that said nothing for longer than they are believed are silent.
    pub(super) fn pass(&mut self, now: UnixMs) {
        (self.now, self.is_present) = (self.now.max(now), true);
    }

    /// Takes that nothing more will ever be heard of what was seen until now.
    pub(super) fn end(&mut self, now: UnixMs) {
        self.now = self.now.max(now);
        self.horizons.iter_mut().for_each(|horizon| horizon.patience_ms = 0);
    }

    /// Returns the next moment at which time alone may change what holds; `None` if nothing is believed any more.
    pub(super) fn due(&self) -> Option<UnixMs> {
        let of_run = |run: &Run| {
            let ends = self.speaks_until(run).filter(|_| run.anchor || run.target.vantage)?;
            let believed = self.horizons.iter().find(|h| h.source == run.target.source).map_or(NEVER, Horizon::believed_until);
            [believed, ends].into_iter().find(|at| *at >= self.now)
        };
        let of_off = self.off.and_then(|source| self.horizons.iter().find(|h| h.source == source)).map(Horizon::believed_until);
        let rest = of_off.into_iter().chain(self.resumed_until).filter(|at| *at >= self.now);
        self.runs.iter().filter_map(of_run).chain(rest).min().map(|at| UnixMs(at.0.saturating_add(1)))
    }

    /// Decides once; `None` when what holds goes on holding. Call it again until then.
    pub(super) fn judge(&mut self, thresholds: &Thresholds) -> Option<Turn> {
        let turn = self.decide(thresholds).filter(|turn| turn.state != self.state)?;
        let turn = Turn { at: turn.at.max(self.since), state: turn.state };
        (self.state, self.since, self.off) = (turn.state, turn.at, None);
        Some(turn)
    }

    fn decide(&self, thresholds: &Thresholds) -> Option<Turn> {
        let own_fresh = || self.runs.iter().filter(|run| run.anchor && self.is_fresh(run));
        let vantage_answer = self.vantage_answer();
        if own_fresh().next().is_none() {
            return match vantage_answer {
                Some(answered) if self.state == LinkState::Down => {
                    Some(Turn { at: answered.max(self.knowledge_end().unwrap_or(answered)), state: LinkState::Up })
                }
                Some(answered) => Some(Turn { at: answered, state: LinkState::Up }),
                // A router that was off and looks on without having measured yet is not back.
                None if self.off.is_some_and(|source| !self.is_overdue(source)) => None,
                None => self.knowledge_end().map(|end| Turn { at: end, state: LinkState::Unknown }),
            };
        }
        match self.state {
            LinkState::Down => {
                let enough = if self.off.is_some() { 1 } else { thresholds.recover_rounds };
                let steady = |run: &&Run| (run.anchor || run.target.vantage) && self.is_fresh(run) && run.answers >= enough;
                let restored = self.runs.iter().filter(steady).map(|run| run.first_answer).min()?;
                Some(Turn { at: restored, state: LinkState::Up })
            }
            _ => {
                if self.state == LinkState::Unknown {
                    let answered = own_fresh().filter(|run| run.answers > 0).map(|run| run.first_answer).chain(vantage_answer).min();
                    if let Some(at) = answered {
                        return Some(Turn { at, state: LinkState::Up });
                    }
                }
                let is_open = vantage_answer.is_some() || self.runs.iter().any(|run| self.is_awaited(run));
                if is_open || !own_fresh().all(|run| run.failures >= thresholds.confirm_rounds) {
                    return None;
                }
                let since = own_fresh().map(|run| run.first_failure).max()?;
                let newest = own_fresh().map(|run| run.last_at).max()?;
                let lasted =
                    newest.0.saturating_sub(since.0).saturating_add(REDATED_MS) >= millis(thresholds.confirm_time_of(self.class_a));
                lasted.then_some(Turn { at: since, state: LinkState::Down })
            }
        }
    }

    /// Turns down in hindsight when another boot of `source` proves that the site was off; returns since when.
    ///
    /// It was off from the last sign of the old boot, or from what else was heard of the link since, until the new one began.
    pub(super) fn off(&mut self, source: AgentId, boot: &Boot, first: UnixMs, thresholds: &Thresholds) -> Option<UnixMs> {
        let heard = self.runs.iter().any(|run| run.anchor && run.target.source == source && run.last_at != NEVER);
        let last_sign = self.horizons.iter().find(|horizon| horizon.source == source).filter(|_| heard)?.at;
        let since = self.heard_otherwise(source, first).max(last_sign);
        let lasted = boot.began_at.0.saturating_sub(since.0) >= millis(thresholds.confirm_time);
        if !lasted || boot.began_at > first || boot.after_undated {
            return None;
        }
        // What the old life saw says nothing of the new one.
        self.runs.iter_mut().filter(|run| run.anchor && run.target.source == source).for_each(Run::forget);
        let known_since = if self.state == LinkState::Down { self.since.min(since) } else { since };
        (self.state, self.since, self.off) = (LinkState::Down, known_since, Some(source));
        // Its first sample says that it is on again: the outage is known until then at least.
        self.progress(source, first, None);
        Some(since)
    }

    /// Returns when anybody else heard the link last before `first`. Others may have been heard beyond it already: then one
    /// that went on without a gap was heard at that moment too.
    fn heard_otherwise(&self, source: AgentId, first: UnixMs) -> UnixMs {
        let others = self.runs.iter().filter(|run| run.target.source != source && run.last_at != NEVER);
        let heard = others.filter_map(|run| {
            let (newest, without_gap_since) = match run.target.vantage {
                true => (run.last_ok?, if run.answers > 0 { run.first_answer } else { run.last_at }),
                false => {
                    let horizon = self.horizons.iter().find(|horizon| horizon.source == run.target.source)?;
                    (Some(run.last_at).filter(|_| run.anchor)?, horizon.looks_since)
                }
            };
            if newest < first { Some(newest) } else { (without_gap_since <= first).then_some(first) }
        });
        heard.max().unwrap_or(NEVER)
    }

    pub(super) fn evidence_at(&self) -> Option<UnixMs> {
        let own = self.runs.iter().filter(|run| run.anchor && run.last_at != NEVER).map(|run| run.last_at);
        own.chain(self.runs.iter().filter(|run| run.target.vantage).filter_map(|run| run.last_ok)).max()
    }

    /// Tells whether a run's newest round still counts.
    pub(super) fn is_fresh(&self, run: &Run) -> bool {
        run.last_at != NEVER && run.last_at.0.saturating_add(self.life_ms(run)) >= self.looked_until(run.target.source).0
    }

    /// Tells whether an anchor has not had its turn since its agent looks again: its rounds belong to the same cycle as those
    /// that were already heard.
    fn is_awaited(&self, run: &Run) -> bool {
        if !run.anchor || run.last_at == NEVER || self.is_fresh(run) || self.is_overdue(run.target.source) {
            return false;
        }
        let interval_ms = i64::from(run.target.interval_s) * 1000;
        self.horizons
            .iter()
            .filter(|horizon| horizon.source == run.target.source && run.last_at < horizon.looks_since)
            .any(|horizon| horizon.at.0.saturating_sub(horizon.looks_since.0) < interval_ms + grace_ms(interval_ms))
    }

    /// Returns until when an agent's silence is known: as far as it looked, or the present once it is silent for too long.
    fn looked_until(&self, source: AgentId) -> UnixMs {
        let horizon = self.horizons.iter().find(|horizon| horizon.source == source);
        horizon.map_or(NEVER, |horizon| if self.now > horizon.believed_until() { self.now } else { horizon.at })
    }

    /// Returns how long a run's newest round counts. Of an agent that is silent at present, no longer than that of its most
    /// frequent target: that one would have told.
    fn life_ms(&self, run: &Run) -> i64 {
        if !self.is_present || !self.is_overdue(run.target.source) {
            return run.lifetime_ms;
        }
        let heard =
            |other: &&Run| other.target.source == run.target.source && (other.anchor || other.target.vantage) && other.last_at != NEVER;
        self.runs.iter().filter(heard).map(|other| other.lifetime_ms).min().unwrap_or(run.lifetime_ms)
    }

    /// Returns when a run's newest word ends: any round of an anchor, only an answer of a vantage.
    fn speaks_until(&self, run: &Run) -> Option<UnixMs> {
        let last = if run.target.vantage { run.last_ok } else { (run.last_at != NEVER).then_some(run.last_at) };
        last.map(|at| UnixMs(at.0.saturating_add(self.life_ms(run))))
    }

    fn is_overdue(&self, source: AgentId) -> bool {
        self.horizons.iter().find(|horizon| horizon.source == source).is_none_or(|horizon| self.now > horizon.believed_until())
    }

    /// Lists the fresh targets of the site's own agents.
    pub(super) fn own_fresh_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.target.vantage && self.is_fresh(run))
    }

    /// Tells whether some vantage has just been answered, and since when in this run.
    fn vantage_answer(&self) -> Option<UnixMs> {
        self.runs
            .iter()
            .filter(|run| run.target.vantage)
            .filter(|run| run.last_ok.is_some_and(|ok| ok.0.saturating_add(self.life_ms(run)) >= self.looked_until(run.target.source).0))
            .filter_map(|run| if run.answers > 0 { Some(run.first_answer) } else { run.last_ok })
            .min()
    }

    /// Returns when the last evidence ends, or what stood in for it.
    fn knowledge_end(&self) -> Option<UnixMs> {
        let of_off = self.off.and_then(|source| self.horizons.iter().find(|h| h.source == source)).map(|horizon| horizon.at);
        let resumed = self.resumed_until.filter(|until| *until < self.now);
        let evidence = self.runs.iter().filter(|run| run.anchor || run.target.vantage).filter_map(|run| self.speaks_until(run));
        evidence.chain(of_off).max().or(resumed)
    }
}

impl Horizon {
    fn believed_until(&self) -> UnixMs {
        UnixMs(self.at.0.saturating_add(self.patience_ms))
    }
}

impl Run {
    fn count(&mut self, round: &Round, proved_at: UnixMs) {
        if self.last_at == NEVER || round.at.0.saturating_sub(self.last_at.0) > self.lifetime_ms {
            (self.failures, self.answers) = (0, 0);
        }
        (self.last_at, self.link_gone) = (round.at, round.outcome == Outcome::LinkGone);
        let weight = round.rounds.0.max(1);
        if round.word() == Word::Answered {
            if self.answers == 0 {
                self.first_answer = round.at;
            }
            (self.answers, self.failures, self.last_ok) = (self.answers.saturating_add(weight), 0, Some(round.at));
            return;
        }
        self.answers = 0;
        // Of a round at the moment of a proof nobody can say which came first.
        if round.at > proved_at {
            if self.failures == 0 {
                self.first_failure = round.at;
            }
            self.failures = self.failures.saturating_add(weight);
        }
    }

    fn forget(&mut self) {
        (self.last_at, self.last_ok, self.failures, self.answers) = (NEVER, None, 0, 0);
    }

    /// Tells whether its newest round failed.
    pub(super) fn fails(&self) -> bool {
        self.last_at != NEVER && self.answers == 0
    }

    /// Tells the rung the run speaks of.
    pub(super) fn rung(&self) -> Rung {
        self.target.rung
    }
}

/// A quarter of an interval, so that the next-but-one round may be a little late: a schedule's splay, a busy router, a clock.
fn grace_ms(interval_ms: i64) -> i64 {
    interval_ms / 4
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

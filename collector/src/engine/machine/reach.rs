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
    pub(super) failures: u32,
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
}

#[derive(Debug, Clone)]
pub(super) struct Reach {
    runs: Vec<Run>,
    horizons: Vec<Horizon>,
    state: LinkState,
    since: UnixMs,
    /// Set while down because the site was off, which one answer ends: until when that is known.
    off_until: Option<UnixMs>,
    class_a: bool,
}

/// A boot's offset is learnt better while it runs, so rounds exactly `confirm_time` apart may be dated a little closer. The
/// agent reports at that moment and not again for a minute.
const REDATED_MS: i64 = 500;

const NEVER: UnixMs = UnixMs(i64::MIN);

impl Reach {
    pub(super) fn new(at: UnixMs, class_a: bool) -> Self {
        Reach { runs: Vec::new(), horizons: Vec::new(), state: LinkState::Unknown, since: at, off_until: None, class_a }
    }

    pub(super) fn resume(&mut self, state: LinkState, since: UnixMs) {
        (self.state, self.since) = (state, since);
    }

    pub(super) fn slot(&mut self, target: Target, anchors: Anchors, thresholds: &Thresholds) -> Slot {
        let interval_ms = if target.interval_s == 0 { millis(thresholds.cycle) } else { i64::from(target.interval_s) * 1000 };
        let lifetime_ms = (interval_ms * i64::from(thresholds.evidence_intervals)).max(millis(thresholds.evidence_least));
        let run = Run {
            target: Target { interval_s: u32::try_from(interval_ms / 1000).unwrap_or(u32::MAX), ..target },
            anchor: !target.vantage && anchors.include(target.rung),
            lifetime_ms,
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
            (run.retired, run.anchor, run.target.vantage, run.last_at, run.last_ok) = (true, false, false, NEVER, None);
            (run.failures, run.answers) = (0, 0);
        }
    }

    /// Counts a round; `None` if it says nothing or is not newer than its target's last.
    pub(super) fn observe(&mut self, round: &Round) -> Option<&Run> {
        let place = usize::from(round.slot.0);
        let run = self.runs.get_mut(place)?;
        let word = round.word();
        if run.retired || round.at <= run.last_at || word == Word::Nothing {
            return None;
        }
        run.count(round, word);
        let source = run.target.source;
        self.progress(source, round.at);
        self.runs.get(place)
    }

    /// Moves one agent's horizon; tells whether it moved.
    pub(super) fn progress(&mut self, source: AgentId, at: UnixMs) -> bool {
        match self.horizons.iter_mut().find(|h| h.source == source) {
            Some(horizon) if horizon.at >= at => false,
            Some(horizon) => {
                horizon.at = at;
                true
            }
            None => {
                self.horizons.push(Horizon { source, at });
                true
            }
        }
    }

    /// Moves every agent's horizon; tells whether one moved, or there is none to tell.
    pub(super) fn progress_all(&mut self, at: UnixMs) -> bool {
        let moved = self.horizons.is_empty() || self.horizons.iter().any(|horizon| horizon.at < at);
        self.horizons.iter_mut().for_each(|horizon| horizon.at = horizon.at.max(at));
        moved
    }

    /// Decides once; `None` when what holds goes on holding. Call again until then.
    pub(super) fn judge(&mut self, thresholds: &Thresholds) -> Option<Turn> {
        let turn = self.decide(thresholds).filter(|turn| turn.state != self.state)?;
        let turn = Turn { at: turn.at.max(self.since), state: turn.state };
        (self.state, self.since, self.off_until) = (turn.state, turn.at, None);
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
                None => self.knowledge_end().map(|end| Turn { at: end, state: LinkState::Unknown }),
            };
        }
        match self.state {
            LinkState::Down => {
                let enough = if self.off_until.is_some() { 1 } else { thresholds.recover_rounds };
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
                if vantage_answer.is_some() || !own_fresh().all(|run| run.failures >= thresholds.confirm_rounds) {
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
    pub(super) fn off(&mut self, source: AgentId, boot: &Boot, first: UnixMs, thresholds: &Thresholds) -> Option<UnixMs> {
        let own = || self.runs.iter().filter(|run| run.anchor && run.last_at != NEVER);
        let last = own().filter(|run| run.target.source == source).map(|run| run.last_at).max()?;
        let interval_s = own().filter(|run| run.target.source == source).map(|run| run.target.interval_s).min()?;
        let missed = UnixMs(last.0 + i64::from(interval_s) * 1000);
        let lasted = boot.began_at.0.saturating_sub(missed.0) >= millis(thresholds.confirm_time);
        let heard_otherwise = own().any(|run| run.last_at > missed)
            || self.runs.iter().any(|run| run.target.vantage && run.last_ok.is_some_and(|ok| ok > missed && ok < first));
        if !lasted || boot.began_at > first || heard_otherwise {
            return None;
        }
        let since = if self.state == LinkState::Down { self.since.min(missed) } else { missed };
        (self.state, self.since, self.off_until) = (LinkState::Down, since, Some(first));
        Some(missed)
    }

    pub(super) fn evidence_at(&self) -> Option<UnixMs> {
        let own = self.runs.iter().filter(|run| run.anchor && run.last_at != NEVER).map(|run| run.last_at);
        own.chain(self.runs.iter().filter(|run| run.target.vantage).filter_map(|run| run.last_ok)).max()
    }

    pub(super) fn evidence_until(&self, source: AgentId) -> Option<UnixMs> {
        self.runs.iter().filter(|run| run.target.source == source).filter_map(Run::speaks_until).max()
    }

    /// Tells whether a run's newest round still counts.
    pub(super) fn is_fresh(&self, run: &Run) -> bool {
        let horizon = self.horizons.iter().find(|h| h.source == run.target.source).map_or(NEVER, |h| h.at);
        run.last_at != NEVER && run.last_at.0 + run.lifetime_ms >= horizon.0
    }

    /// Lists the fresh targets of the site's own agents.
    pub(super) fn own_fresh_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.target.vantage && self.is_fresh(run))
    }

    /// Tells whether some vantage has just been answered, and since when in this run.
    fn vantage_answer(&self) -> Option<UnixMs> {
        let horizon = |source| self.horizons.iter().find(|h| h.source == source).map_or(NEVER, |h| h.at);
        self.runs
            .iter()
            .filter(|run| run.target.vantage)
            .filter(|run| run.last_ok.is_some_and(|ok| ok.0 + run.lifetime_ms >= horizon(run.target.source).0))
            .filter_map(|run| if run.answers > 0 { Some(run.first_answer) } else { run.last_ok })
            .min()
    }

    fn knowledge_end(&self) -> Option<UnixMs> {
        self.runs.iter().filter(|run| run.anchor || run.target.vantage).filter_map(Run::speaks_until).chain(self.off_until).max()
    }
}

impl Run {
    fn count(&mut self, round: &Round, word: Word) {
        let stale = self.last_at == NEVER || round.at.0 - self.last_at.0 > self.lifetime_ms;
        if stale {
            (self.failures, self.answers) = (0, 0);
        }
        (self.last_at, self.link_gone) = (round.at, round.outcome == Outcome::LinkGone);
        let weight = round.rounds.0.max(1);
        if word == Word::Answered {
            if self.answers == 0 {
                self.first_answer = round.at;
            }
            (self.answers, self.failures, self.last_ok) = (self.answers.saturating_add(weight), 0, Some(round.at));
        } else {
            if self.failures == 0 {
                self.first_failure = round.at;
            }
            (self.failures, self.answers) = (self.failures.saturating_add(weight), 0);
        }
    }

    /// Returns when the run's newest word ends: any round of an anchor, only an answer of a vantage.
    fn speaks_until(&self) -> Option<UnixMs> {
        let last = if self.target.vantage { self.last_ok } else { (self.last_at != NEVER).then_some(self.last_at) };
        last.map(|at| UnixMs(at.0 + self.lifetime_ms))
    }

    /// Tells whether its newest round failed.
    pub(super) fn fails(&self) -> bool {
        self.failures > 0
    }

    /// Tells the rung the run speaks of.
    pub(super) fn rung(&self) -> Rung {
        self.target.rung
    }
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

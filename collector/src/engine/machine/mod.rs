//! The link machine: rounds in observed order become link states. Live state and history run the same one.
//!
//! ```text
//!           +-> reach    answers of anchors        -> up, down, unknown, back-dated
//! Round ----+-> quality  loss, RTT, radio by slot  -> degraded
//!           +-> facts    modem, plan, power        -> cause
//! ```
//!
//! The rules, exactly (limits are [`Thresholds`]):
//! - An *anchor* is a target of the site's own agent on a rung that `Rung::is_anchor_of` the link's network. A round
//!   *answers* when its outcome proves the path; an outcome that proves nothing is skipped.
//! - A round is evidence from its time until `evidence_intervals` of its series and a quarter of one as grace have passed, at
//!   least `evidence_least`. An anchor is *fresh* until then, judged by how far its agent is known to have looked: to the end
//!   of its last report, or to the present once it said nothing for longer than it is believed (its *patience*). At present
//!   the evidence of a silent agent lasts no longer than that of its most frequent target, which would have told.
//! - Rounds of one instant are judged together. An anchor that was heard before its agent fell silent is waited for, one
//!   interval and the grace, before the others may call the link down.
//! - **Down**: since anything proved the path, every fresh anchor has `confirm_rounds` failures in a row, the run in which all
//!   fail has lasted `confirm_time` (`confirm_time_class_a` at a site of class A), and no vantage is answered. It starts at
//!   the latest of the anchors' first failures since the last proof.
//! - **Up** again: some anchor or vantage has `recover_rounds` answers in a row; from the first of them.
//! - **Unknown**: nothing is fresh; from the end of the last evidence. One answer ends it, so does a confirmed failure.
//! - A *vantage* is another site's agent that probes this link from outside. An answer proves the link up while it is
//!   fresh. No answer proves nothing: the fault may lie on the vantage's own way.
//! - **Off**: the agent's first round of another boot tells when the boot began. If that is `confirm_time` or more after the
//!   last sign of the old boot and of everybody else who hears the link, the site was without power or its router was off:
//!   down from that sign until the first answer, whatever lies between. A life nobody can date between the two makes it
//!   unknown instead.
//! - **Degraded**: see [`quality`].
//!
//! A machine says what holds from a time on. A later word for an earlier time replaces everything said from there on.

mod cause;
mod facts;
mod flap;
mod quality;
mod reach;

use std::time::Duration;

use rusta_wire::{AgentId, BootId, Metric, Network, Outcome, Rung, UnixMs, Verdict};

pub use facts::{Fact, Facts};
pub use flap::Flap;
pub use reach::Boot;

use super::state::{Cause, LinkState};
use crate::config::Thresholds;
use crate::inventory::{Access, Criticality, Inventory, LinkId};
use quality::Quality;
use reach::Reach;

/// Which targets of the site's own agents are anchors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchors {
    /// Those on a rung that proves a link of this network.
    Of(Network),
    /// Those on this rung alone: the machine then tells whether that rung is reached.
    On(Rung),
}

impl Anchors {
    /// Tells whether a target on this rung is one.
    pub fn include(self, rung: Rung) -> bool {
        match self {
            Anchors::Of(network) => rung.is_anchor_of(network),
            Anchors::On(one) => rung == one,
        }
    }
}

/// What a machine must know of its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkKind {
    /// What proves the link.
    pub anchors: Anchors,
    /// Technology; sets RTT limits and the contracted generation.
    pub access: Option<Access>,
    /// Whether its site is of class A, which is confirmed sooner.
    pub class_a: bool,
}

impl LinkKind {
    /// Reads what a link's machine must know out of the registry.
    pub fn of(inventory: &Inventory, link: LinkId) -> Self {
        let link = inventory.link(link);
        let class_a = inventory.site(link.site).criticality == Criticality::A;
        LinkKind { anchors: Anchors::Of(link.network), access: link.access, class_a }
    }
}

/// A target as a machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Who probes it.
    pub source: AgentId,
    /// Whether `source` stands at another site.
    pub vantage: bool,
    /// The rung it proves.
    pub rung: Rung,
    /// Seconds between rounds.
    pub interval_s: u32,
}

/// A target's place in its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// One round, dated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// When it was due.
    pub at: UnixMs,
    /// Which target.
    pub slot: Slot,
    /// What came of it.
    pub outcome: Outcome,
    /// Packets sent and received, if the probe counts them.
    pub packets: Option<(u32, u32)>,
    /// The round's round-trip time: its 90th percentile, or what stands nearest to it.
    pub rtt_us: Option<u32>,
    /// Rounds this one stands for and how many of them failed: more than one after thinning on the agent.
    pub rounds: (u32, u32),
}

/// What a round says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Answered,
    Failed,
    Nothing,
}

impl Round {
    fn word(&self) -> Word {
        let (rounds, failed) = self.rounds;
        if rounds > 1 {
            return if failed >= rounds { Word::Failed } else { Word::Answered };
        }
        match self.outcome.verdict() {
            Verdict::NoEvidence => Word::Nothing,
            _ if self.outcome.proves_path() => Word::Answered,
            _ => Word::Failed,
        }
    }
}

/// What holds from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Since when.
    pub at: UnixMs,
    /// The state: up, degraded, down or unknown.
    pub state: LinkState,
    /// Why it is not up.
    pub cause: Option<Cause>,
}

/// A stretch in which a new boot proves that the router was off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The last sign of the old boot, or of whoever else heard the link.
    pub since: UnixMs,
    /// The new boot, and when it began.
    pub boot: (BootId, UnixMs),
}

/// One link's machine.
#[derive(Debug, Clone)]
pub struct Machine {
    kind: LinkKind,
    reach: Reach,
    quality: Quality,
    facts: Facts,
    said: Vec<Change>,
    /// What holds instead of what was said last, because agents are silent.
    present: Option<Change>,
    /// The instant at which reach changed last, as of what was seen until then.
    turned_at: UnixMs,
    /// The instant whose rounds have not been judged yet.
    pending: Option<UnixMs>,
    /// Cuts since what was said begins, oldest first.
    cuts: Vec<Cut>,
}

impl Machine {
    /// Makes a machine that knows nothing from `at` on.
    pub fn new(kind: LinkKind, at: UnixMs) -> Self {
        Machine {
            kind,
            reach: Reach::new(at, kind.class_a),
            quality: Quality::default(),
            facts: Facts::default(),
            said: vec![Change { at, state: LinkState::Unknown, cause: None }],
            present: None,
            turned_at: UnixMs(i64::MIN),
            pending: None,
            cuts: Vec::new(),
        }
    }

    /// Goes on from what was said before a restart: up, degraded or down since `since`. It holds until new rounds say
    /// otherwise, or until somebody has looked and seen nothing.
    pub fn resume(&mut self, state: LinkState, since: UnixMs, cause: Option<Cause>) {
        self.reach.resume(if state == LinkState::Down { state } else { LinkState::Up }, since);
        self.quality.resume(state == LinkState::Degraded);
        self.said = vec![Change { at: since, state, cause }];
    }

    /// Forgets what was seen, and begins at `at` with the same targets.
    pub fn restart(&mut self, at: UnixMs) {
        self.reach.restart(at);
        self.quality = Quality::default();
        self.said = vec![Change { at, state: LinkState::Unknown, cause: None }];
        (self.present, self.turned_at, self.pending) = (None, UnixMs(i64::MIN), None);
        self.cuts.clear();
    }

    /// Takes whether the link was degraded when the day before `at` ended: a slot that is neither bad nor clean leaves it so,
    /// however long ago it began. A link that is not up has nothing to take over.
    pub fn carry(&mut self, degraded: bool, at: UnixMs, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        let state = match self.held().state {
            LinkState::Up if degraded => LinkState::Degraded,
            LinkState::Degraded if !degraded => LinkState::Up,
            _ => return,
        };
        self.quality.resume(degraded);
        self.say(Change { at, state, cause: None });
    }

    /// Takes that the link is of another kind; what was heard of it counts as what it is then.
    pub fn rekind(&mut self, kind: LinkKind, now: UnixMs, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        self.kind = kind;
        self.reach.rekind(kind.anchors, kind.class_a);
        self.judge(now, thresholds);
    }

    /// Adds a target and returns its place.
    pub fn slot(&mut self, target: Target, thresholds: &Thresholds) -> Slot {
        self.reach.slot(target, self.kind.anchors, thresholds)
    }

    /// Gives a place up: its target is no longer measured, and what it said last no longer counts.
    pub fn retire(&mut self, slot: Slot) {
        self.reach.retire(slot);
    }

    /// Takes one round. Rounds of one target must come in order of time; one that does not is left out. It is judged with
    /// the others of its instant, when a later one or [`Machine::progress`] shows that they are complete.
    /// Returns whether it was taken.
    pub fn observe(&mut self, round: &Round, thresholds: &Thresholds) -> bool {
        let Some(source) = self.reach.source_of(round) else { return false };
        if self.pending.is_some_and(|at| at < round.at) {
            self.judge_pending(thresholds);
        }
        // Its agent looked until here, so evidence that ran out before has run out, whatever this round says.
        self.close_own_slots(source, round.at, thresholds);
        if self.reach.progress(source, round.at, None) {
            self.judge(round.at, thresholds);
        }
        if self.reach.observe(round) {
            self.quality.observe(round, thresholds);
        }
        self.pending = self.pending.max(Some(round.at));
        true
    }

    /// Takes what a device said at `at`.
    pub fn learn(&mut self, at: UnixMs, fact: Fact, thresholds: &Thresholds) {
        self.facts.learn(at, fact);
        if let Fact::Gauge(Metric::Rat, generation) = fact {
            self.quality.generation(at, generation, self.kind.access, thresholds);
        }
        self.blame(at);
    }

    /// Takes that `source` began another boot, before its first round in it at `first`.
    pub fn booted(&mut self, source: AgentId, boot: &Boot, first: UnixMs, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        if let Some(since) = self.reach.off(source, boot, first, thresholds) {
            self.quality.restart(first, thresholds);
            self.cuts.push(Cut { since, boot: (boot.id, boot.began_at) });
            self.say(Change { at: since, state: LinkState::Down, cause: Some(self.facts.blame_boot(boot, since)) });
        }
    }

    /// Takes that everything `source` saw until `at` has been observed, so older evidence of it is stale; and that it is
    /// believed to look on for `patience` after that, though nothing is heard of it.
    pub fn progress(&mut self, source: AgentId, at: UnixMs, patience: Duration, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        if self.reach.progress(source, at, Some(reach::millis(patience))) {
            self.close_own_slots(source, at, thresholds);
            self.judge(at, thresholds);
        }
    }

    /// Lets what holds be known as of `now`, when agents that said nothing for longer than they are believed are silent. What
    /// is seen later is judged as if nobody had asked.
    pub fn stand_at(&mut self, now: UnixMs, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        self.present = None;
        if !self.reach.is_anyone_silent(now) {
            return;
        }
        let mut open = self.reach.clone();
        open.pass(now);
        while let Some(turn) = open.judge(thresholds) {
            let cause = (turn.state == LinkState::Down).then(|| cause::lowest_broken(&open, &self.facts, self.kind.access, now)).flatten();
            self.present = Some(Change { at: turn.at, state: turn.state, cause });
        }
    }

    /// Ends with what holds as of `now`, as [`Machine::stand_at`] does, and says it.
    pub fn pass(&mut self, now: UnixMs, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        self.reach.pass(now);
        self.judge(now, thresholds);
    }

    /// Takes that the time is `now` and that nothing else will ever be heard of the time before it.
    pub fn end(&mut self, now: UnixMs, thresholds: &Thresholds) {
        self.judge_pending(thresholds);
        self.reach.end(now);
        self.close_slots(now, thresholds);
        self.judge(now, thresholds);
    }

    /// Returns the next moment after `now` at which [`Machine::stand_at`] may change what holds; `None` if time alone changes
    /// nothing.
    pub fn due(&self, now: UnixMs) -> Option<UnixMs> {
        let mut open = self.reach.clone();
        open.pass(now);
        open.due()
    }

    /// Returns what holds: what was said, unless its agents have fallen silent since.
    pub fn change(&self) -> Change {
        self.present.unwrap_or_else(|| self.held())
    }

    fn held(&self) -> Change {
        self.said.last().copied().unwrap_or(Change { at: UnixMs(i64::MIN), state: LinkState::Unknown, cause: None })
    }

    /// Tells whether reach changed after `at` already: what is seen of that time comes out of order.
    pub fn has_turned_since(&self, at: UnixMs) -> bool {
        at < self.turned_at
    }

    /// Returns what was said, oldest first.
    pub fn said(&self) -> &[Change] {
        &self.said
    }

    /// Forgets what was said but for what holds.
    pub fn settle(&mut self) {
        let last = self.said.len().saturating_sub(1);
        self.said.drain(..last);
        self.cuts.clear();
    }

    /// Returns the power cuts in what was said, oldest first.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Returns when the newest evidence was observed.
    pub fn evidence_at(&self) -> Option<UnixMs> {
        self.reach.evidence_at()
    }

    /// Returns the device facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A vantage's time says nothing of how far the slots of the site's own agents are filled.
    fn close_own_slots(&mut self, source: AgentId, at: UnixMs, thresholds: &Thresholds) {
        if self.reach.is_own(source) {
            self.close_slots(at, thresholds);
        }
    }

    fn close_slots(&mut self, at: UnixMs, thresholds: &Thresholds) {
        while let Some(end) = self.quality.close(at, self.kind.access, thresholds) {
            let degraded = self.quality.degraded();
            let state = self.held().state;
            match (state, degraded) {
                (LinkState::Up, true) => self.say(Change { at: end, state: LinkState::Degraded, cause: None }),
                (LinkState::Degraded, false) => self.say(Change { at: end, state: LinkState::Up, cause: None }),
                _ => {}
            }
        }
    }

    fn judge_pending(&mut self, thresholds: &Thresholds) {
        if let Some(at) = self.pending.take() {
            self.judge(at, thresholds);
        }
    }

    /// Lets `reach` decide, and says it.
    fn judge(&mut self, at: UnixMs, thresholds: &Thresholds) {
        while let Some(turn) = self.reach.judge(thresholds) {
            self.turned_at = at;
            self.quality.restart(at, thresholds);
            let cause = (turn.state == LinkState::Down).then(|| self.ladder(at)).flatten();
            self.say(Change { at: turn.at, state: turn.state, cause });
        }
        self.blame(at);
    }

    /// Looks again for the cause of what is not up: evidence may come after the verdict.
    fn blame(&mut self, at: UnixMs) {
        let held = self.held();
        if !matches!(held.state, LinkState::Down | LinkState::Degraded) {
            return;
        }
        let found = self.ladder(at);
        let better = found.filter(|new| held.cause.is_none_or(|old| new.confidence > old.confidence));
        if let (Some(cause), Some(last)) = (better, self.said.last_mut()) {
            last.cause = Some(cause);
        }
    }

    fn ladder(&self, at: UnixMs) -> Option<Cause> {
        cause::lowest_broken(&self.reach, &self.facts, self.kind.access, at)
    }

    fn say(&mut self, change: Change) {
        while self.said.last().is_some_and(|last| last.at >= change.at) {
            self.said.pop();
        }
        if self.said.last().is_none_or(|last| last.state != change.state) {
            self.said.push(change);
        }
    }
}

#[cfg(test)]
mod tests;

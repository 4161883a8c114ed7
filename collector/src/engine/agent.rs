//! What the engine keeps of one agent: when it was heard, how it is behind, and which links its series speak of.

use std::time::Duration;

use rusta_wire::{Batch, BootId, Metric, Reason, TableId, UnixMs};

use super::machine::Slot;
use super::record::{BootTime, Record};
use super::state::{AgentState, AgentView};
use crate::config::Thresholds;
use crate::inventory::LinkId;

/// Where the samples of one series go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) link: LinkId,
    /// Its place in the link's list of shown targets.
    pub(super) shown: u16,
    /// Its place in the link's machine, if its rounds prove reach.
    pub(super) slot: Option<Slot>,
    /// Its place in the site's machine for the national network, if it proves that.
    pub(super) nin: Option<Slot>,
}

/// One agent.
#[derive(Debug, Clone)]
pub(super) struct AgentTrack {
    pub(super) view: AgentView,
    pub(super) since: UnixMs,
    /// Its reporting interval, as its batches show.
    pub(super) interval_ms: i64,
    /// The newest life of its router.
    pub(super) boot: Option<(BootId, UnixMs)>,
    /// How long the collector did not listen since the agent was heard: that much of its silence proves nothing.
    pub(super) unheard_ms: i64,
    pub(super) backlog_until: UnixMs,
    /// The table its routes belong to; `None` until it is routed.
    pub(super) table: Option<TableId>,
    pub(super) routes: Vec<Option<Route>>,
    /// The links its routes lead to, each once.
    pub(super) links: Vec<LinkId>,
    /// The timer that is set for it.
    pub(super) timer: Option<UnixMs>,
}

/// An interval outside of this is a fault of the agent's clock or configuration, not a promise.
const INTERVAL_MS: std::ops::RangeInclusive<i64> = 1_000..=3_600_000;

/// So many frames waiting are a backlog; fewer are the batch being made and the one on its way.
const BACKLOG_FRAMES: i64 = 3;

impl AgentTrack {
    pub(super) fn new(view: AgentView, thresholds: &Thresholds) -> Self {
        AgentTrack {
            view,
            since: UnixMs(i64::MIN),
            interval_ms: millis(thresholds.cycle),
            boot: None,
            unheard_ms: 0,
            backlog_until: UnixMs(i64::MIN),
            table: None,
            routes: Vec::new(),
            links: Vec::new(),
            timer: None,
        }
    }

    /// Takes that a batch arrived at `at`; returns what that makes the agent.
    pub(super) fn heard(&mut self, record: &Record, at: UnixMs, thresholds: &Thresholds) -> AgentState {
        let batch = &record.batch;
        let until = record.boot.map(|boot| boot.date(batch.until));
        let is_newest = until.is_some_and(|until| self.view.observed_at.is_none_or(|known| until >= known));
        (self.view.received_at, self.unheard_ms) = (Some(at), 0);
        if is_newest {
            self.view.observed_at = until;
            self.view.clock = Some(batch.clock.source);
            self.view.clock_skew_ms = record.boot.and_then(|boot| skew_ms(batch, boot));
            self.view.lost = batch.thinned.saturating_add(batch.dropped).saturating_add(batch.lost);
            self.view.spool_frames = spool_frames(record).or(self.view.spool_frames);
            self.interval_ms = interval_ms(batch).unwrap_or(self.interval_ms);
        } else if until.is_some() {
            self.backlog_until = UnixMs(at.0 + self.interval_ms * i64::from(thresholds.late_intervals));
        }
        let behind = at < self.backlog_until || self.view.spool_frames.is_some_and(|frames| frames >= BACKLOG_FRAMES);
        if behind { AgentState::Buffered } else { AgentState::Reporting }
    }

    /// Returns how long after its last report it is believed to look on: until it is late and `silent_after` is over.
    pub(super) fn patience(&self, thresholds: &Thresholds) -> Duration {
        patience(self.interval_ms, thresholds)
    }

    /// Returns the next moment at which silence changes its state.
    pub(super) fn due(&self, thresholds: &Thresholds) -> Option<UnixMs> {
        let heard = UnixMs(self.view.received_at?.0 + self.unheard_ms);
        let after = |intervals: u32| self.interval_ms * i64::from(intervals);
        match self.view.state {
            AgentState::Reporting | AgentState::Buffered => Some(UnixMs(heard.0 + after(thresholds.late_intervals))),
            AgentState::Late => Some(UnixMs(heard.0 + after(thresholds.silent_intervals).max(millis(thresholds.silent_after)))),
            AgentState::Silent | AgentState::NeverSeen => None,
        }
    }
}

/// Returns the reporting interval a batch shows. Only a whole one tells how long it is; a change of state or a shutdown
/// closes one early.
pub(crate) fn interval_ms<S>(batch: &Batch<S>) -> Option<i64> {
    let span = i64::try_from(batch.until.0.saturating_sub(batch.from.0)).unwrap_or(i64::MAX);
    let is_whole = batch.reason == Reason::Interval && batch.covers == 1 && batch.summary_s == 0 && INTERVAL_MS.contains(&span);
    is_whole.then_some(span)
}

/// Returns how long an agent that reports every `interval_ms` is believed to look on after its last report.
pub(crate) fn patience(interval_ms: i64, thresholds: &Thresholds) -> Duration {
    let late_ms = u64::try_from(interval_ms.saturating_mul(i64::from(thresholds.late_intervals))).unwrap_or(0);
    Duration::from_millis(late_ms).max(thresholds.silent_after)
}

fn skew_ms(batch: &Batch, boot: BootTime) -> Option<i64> {
    let has_clock = batch.clock.source > rusta_wire::ClockSource::Persisted;
    has_clock.then(|| batch.clock.unix.0.saturating_sub(boot.date(batch.until).0))
}

fn spool_frames(record: &Record) -> Option<i64> {
    let samples = record.batch.samples.iter().rev();
    samples.filter_map(|sample| record.table.series.get(usize::from(sample.series.0))?.value(sample, Metric::SpoolFrames)).next()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

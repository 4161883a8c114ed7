//! Lives of routers that nobody can date: they bound what is known, and order alone proves some of what they saw.

use rusta_wire::{AgentId, UnixMs};

use super::sighting::{Sighting, Watches};
use super::span::Span;
use super::timeline::{Driver, Meaning, Run, SiteInput, looks, whole, within};
use crate::engine::LinkState;

/// A life of one of the site's agents that nobody can date.
#[derive(Debug, Clone)]
pub struct Undated {
    /// Whose.
    pub agent: AgentId,
    /// The latest it can have lasted, from its first report to its last.
    pub latest: (UnixMs, UnixMs),
    /// The earliest its first report can have begun, by a clock kept from an earlier life; `None` if it had none.
    pub not_before: Option<UnixMs>,
    /// What it saw, dated as late as it can have been.
    pub sightings: Vec<Sighting>,
}

impl Undated {
    /// Tells whether it can lie between two moments.
    pub(super) fn fits_between(&self, from: UnixMs, until: UnixMs) -> bool {
        let lasted = self.latest.1.0.saturating_sub(self.latest.0.0);
        let start = self.latest.1.0.min(until.0).saturating_sub(lasted);
        start >= from.0 && self.not_before.is_none_or(|earliest| earliest.0 <= start)
    }
}

/// What order alone proves of a life nobody can date: what it saw holds wherever that life is placed between its bounds.
pub(super) struct Certain {
    /// By link, in the inventory's order: stretches in which the link carried traffic.
    pub(super) links: Vec<Vec<Span<LinkState>>>,
    pub(super) nin: Vec<Span<LinkState>>,
}

impl Certain {
    pub(super) fn of(life: &Undated, input: &SiteInput<'_>) -> Option<Certain> {
        let (not_before, (from, until)) = (life.not_before?, life.latest);
        // Its clock was kept from a life that had begun by then: it came after that one's last report.
        let of_earlier = |look: &super::timeline::Look| look.source == life.agent && look.boot.1 <= not_before;
        let ended = looks(input.sightings, input.thresholds).into_iter().filter(of_earlier).map(|look| look.until).max();
        let slack_ms = from.0.saturating_sub(ended.map_or(not_before, |ended| ended.max(not_before)).0).max(0);
        let placed = SiteInput {
            from,
            until,
            seen_from: from,
            seen_until: UnixMs(until.0.saturating_add(1)),
            now: None,
            undated: &[],
            degraded_before: &[],
            ..*input
        };
        let placed = SiteInput { sightings: &life.sightings, ..placed };
        let watches = Watches::of(&life.sightings);
        let all = watches.in_order(|at| from <= at && at <= until);
        let meanings: Vec<Meaning> = watches.list().iter().map(|watch| Meaning::of(watch, &placed)).collect();
        let mut run = Run::new(&placed, &meanings, from);
        run.play(&all);
        // Placed late it holds from its start on, placed early until its end: between the two in any case.
        let carried = |driver: &Driver| {
            let spans = within(driver.machine.said(), &placed);
            let spans = spans.filter(|span| matches!(span.state, LinkState::Up | LinkState::Degraded));
            let sure = |span: Span<LinkState>| Span { until: UnixMs(span.until.0.saturating_sub(slack_ms)), ..span };
            spans.map(sure).map(whole).filter(|span| span.from < span.until).collect()
        };
        Some(Certain { links: run.links.iter().map(carried).collect(), nin: run.nin.as_ref().map(carried).unwrap_or_default() })
    }
}

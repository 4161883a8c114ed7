//! Which way the next report takes. Pure: ways, plans and time come in, a choice comes out.
//!
//! ```text
//! nothing is open:  the cheapest way that has not failed since the last answer; a line just found silent comes last
//!                       |answer            |all failed
//!                       v                  v
//!                    in use           wait, then from the cheapest again
//! one is in use:    a better one that has rested is tried beside it; a handshake with the collector proves it, and it takes over
//! ```
//! Better is cheaper, or as free and to a collector that stands before the present one in the file: who was moved to the second
//! collector by a minute's fault goes back. Where bytes are counted the second is as good as the first.
//!
//! Bounds, while every attempt takes at most [`super::connection::CONNECT_WITHIN`]: a way that works is heard after one attempt
//! at each other, and what costs more is left [`REST_MOST`] and one attempt after something cheaper works again, or
//! [`BROKEN_REST_MOST`] and one attempt where that keeps breaking.

use std::time::Duration;

use rusta_wire::MonoMs;

/// Rest of a cheaper way after it failed, doubled with each failure in a row: a reset of a few seconds costs a few seconds.
const REST_FIRST: Duration = Duration::from_secs(5);

/// Longest rest of a cheaper way that does not answer: an attempt costs nothing on the line in use.
pub const REST_MOST: Duration = Duration::from_secs(60);

/// Longest rest of a cheaper way that answers and breaks again: each change costs 5 KB of the SIM, here a megabyte a day at most.
pub const BROKEN_REST_MOST: Duration = Duration::from_secs(480);

/// A way that carried this long has not broken before.
const STEADY: Duration = Duration::from_secs(600);

/// What a byte costs, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Nobody counts.
    Unmetered,
    /// A data plan, on a link that is not metered.
    Cheap,
    /// A metered SIM.
    LastResort,
}

/// What the plan of a way has room for, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Reports.
    Reports,
    /// The hourly sign of life, which is due.
    Heartbeat,
    /// Nothing at present.
    Nothing,
}

/// Names a way: a collector's URL, over a link or by the routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// The link's place in the watch; `None`: the routing table.
    pub link: Option<usize>,
    /// The URL's place in the configuration.
    pub url: usize,
}

/// A way that may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub id: Id,
    /// The link whose interface it leaves by, and whose plan pays; `None`: no link's.
    pub line: Option<usize>,
    /// What it costs.
    pub cost: Cost,
    /// What may go.
    pub room: Room,
}

impl Candidate {
    /// Tells whether this way is better than another one that works.
    pub fn beats(&self, other: &Candidate) -> bool {
        self.cost < other.cost || (self.cost, other.cost) == (Cost::Unmetered, Cost::Unmetered) && self.id.url < other.id.url
    }
}

/// What is remembered of a way.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// Attempts that failed in a row.
    failures: u32,
    /// Times it broke after it had been opened.
    breaks: u32,
    opened: Option<MonoMs>,
    rests_until: MonoMs,
}

/// Chooses ways. What it remembers is of one set of links.
#[derive(Debug, Default)]
pub struct Chooser {
    /// By line and URL: the routing table's way rests with the link's whose interface it leaves by.
    standings: Vec<((Option<usize>, usize), Standing)>,
    /// Ways that failed since the last answer.
    failed: Vec<Id>,
    /// Lines that were silent since something last came of them.
    silent: Vec<Option<usize>>,
}

impl Chooser {
    /// Returns the way to try while none is open; `None`: all that may be taken have failed, or none may.
    pub fn first(&self, ways: &[Candidate]) -> Option<Candidate> {
        let open = ways.iter().filter(|way| way.room != Room::Nothing && !self.failed.contains(&way.id));
        open.min_by_key(|way| (way.room, self.silent.contains(&way.line), way.cost)).copied()
    }

    /// Returns a way better than the one in use that may be tried beside it.
    pub fn better(&self, ways: &[Candidate], in_use: Id, now: MonoMs) -> Option<Candidate> {
        self.better_ways(ways, in_use).filter(|way| self.rests_until(way) <= now).min_by_key(|way| (way.cost, way.id.url)).copied()
    }

    /// Returns when such a way will have rested.
    pub fn better_at(&self, ways: &[Candidate], in_use: Id) -> Option<MonoMs> {
        self.better_ways(ways, in_use).map(|way| self.rests_until(way)).min()
    }

    fn better_ways<'a>(&self, ways: &'a [Candidate], in_use: Id) -> impl Iterator<Item = &'a Candidate> {
        // One whose plan is spent is left at the next report, not tried beside.
        let present = ways.iter().find(|way| way.id == in_use && way.room == Room::Reports);
        ways.iter().filter(move |way| way.room == Room::Reports && present.is_some_and(|present| way.beats(present)))
    }

    fn rests_until(&self, way: &Candidate) -> MonoMs {
        let known = self.standings.iter().find(|(name, _)| *name == (way.line, way.id.url));
        known.map_or(MonoMs(0), |(_, standing)| standing.rests_until)
    }

    fn standing(&mut self, way: &Candidate) -> &mut Standing {
        let name = (way.line, way.id.url);
        let place = self.standings.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.standings.push((name, Standing::default()));
            self.standings.len() - 1
        });
        &mut self.standings[place].1
    }

    /// Notes that the collector's side of a handshake came by this way.
    pub fn opened(&mut self, way: Candidate, now: MonoMs) {
        self.silent.retain(|line| *line != way.line);
        let standing = self.standing(&way);
        (standing.failures, standing.opened) = (0, Some(now));
    }

    /// Notes that a request was answered: a later failure is news about every way.
    pub fn answered(&mut self) {
        self.failed.clear();
    }

    /// Notes that a way is left although it works.
    pub fn left(&mut self, way: Candidate) {
        self.standing(&way).opened = None;
    }

    /// Notes that a way failed; `random` spreads its rest. `in_use`: reports waited for it, so that another one is next.
    pub fn failed(&mut self, way: Candidate, is_silent: bool, in_use: bool, now: MonoMs, random: u64) {
        if is_silent {
            self.silent.push(way.line);
        }
        if in_use {
            self.failed.push(way.id);
        }
        let standing = self.standing(&way);
        standing.failures = standing.failures.saturating_add(1);
        if let Some(opened) = standing.opened.take() {
            standing.breaks = if now.since(opened) >= STEADY { 1 } else { standing.breaks.saturating_add(1) };
        }
        let rest_ms = u64::try_from(rest(*standing).as_millis()).unwrap_or(u64::MAX);
        standing.rests_until = now + Duration::from_millis(rest_ms - random % (rest_ms / 2 + 1));
    }

    /// Begins anew after every way failed.
    pub fn all_failed(&mut self) {
        self.failed.clear();
        self.silent.clear();
    }

    /// Ends the rests of ways that did not break before: something answers that did not.
    pub fn may_be_back(&mut self, from: MonoMs) {
        for (_, standing) in self.standings.iter_mut().filter(|(_, standing)| standing.breaks < 2) {
            standing.rests_until = standing.rests_until.min(from);
        }
    }
}

fn rest(standing: Standing) -> Duration {
    let doubled = |first: Duration, times: u32, most: Duration| first.saturating_mul(1 << times.min(16)).min(most);
    let unanswered = doubled(REST_FIRST, standing.failures.saturating_sub(1), REST_MOST);
    let broken = if standing.breaks < 2 { Duration::ZERO } else { doubled(REST_MOST, standing.breaks - 2, BROKEN_REST_MOST) };
    unanswered.max(broken)
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

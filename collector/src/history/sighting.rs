//! Sightings: the samples that bear on one site, in the one order that does not depend on how they arrived.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use rusta_wire::{AgentId, Batch, BootId, Metric, Reason, SampleRef, Samples, Series, SeriesTable, UnixMs};

use crate::engine::BootTime;

/// One dated batch of an agent.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When its boot began.
    pub boot: BootTime,
    /// What the agent saw.
    pub batch: Arc<Batch<Samples>>,
    /// What its series are called.
    pub table: Arc<SeriesTable>,
    /// Whether its agent stands at another site.
    pub vantage: bool,
}

/// A series as an agent watches it. Thousands of samples share one, so what follows from it is found out once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch<'a> {
    /// Its place in the list of them.
    pub number: usize,
    /// Who watches.
    pub source: AgentId,
    /// Whether the agent stands at another site.
    pub vantage: bool,
    /// What is watched.
    pub series: &'a Series,
    /// Its place in the order by agent, target and link; equal where those are.
    rank: usize,
}

/// One sample, dated and named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighted<'a> {
    /// When it was observed.
    pub at: UnixMs,
    /// In which life of the agent, and when that began.
    pub boot: (BootId, UnixMs),
    /// Who saw it, and what it is about.
    pub watch: &'a Watch<'a>,
    /// What was seen.
    pub sample: SampleRef<'a>,
}

/// A word of an agent about itself, dated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    pub(super) at: UnixMs,
    pub(super) power_loss: bool,
}

/// An agent's table, seen from its own site or from outside.
type TableKey = (AgentId, bool, *const SeriesTable);

/// Everything that is watched in some sightings.
pub(super) struct Watches<'a> {
    sightings: &'a [Sighting],
    list: Vec<Watch<'a>>,
    /// The watches of a table's series, in its order.
    of_table: HashMap<TableKey, Vec<usize>>,
}

impl<'a> Watches<'a> {
    pub(super) fn of(sightings: &'a [Sighting]) -> Self {
        let mut numbers: HashMap<(AgentId, bool, &Series), usize> = HashMap::new();
        let mut watches = Watches { sightings, list: Vec::new(), of_table: HashMap::new() };
        for sighting in sightings {
            watches.of_table.entry(table_key(sighting)).or_insert_with(|| {
                let (source, vantage, list) = (sighting.batch.id.agent, sighting.vantage, &mut watches.list);
                let number = |series: &'a Series| {
                    *numbers.entry((source, vantage, series)).or_insert_with(|| {
                        list.push(Watch { number: list.len(), source, vantage, series, rank: 0 });
                        list.len() - 1
                    })
                };
                sighting.table.series.iter().map(number).collect()
            });
        }
        watches.rank();
        watches
    }

    fn rank(&mut self) {
        let name = |watch: &Watch<'a>| (watch.source, watch.series.target.as_str(), watch.series.link.as_str());
        let mut names: Vec<_> = self.list.iter().map(name).collect();
        names.sort_unstable();
        names.dedup();
        self.list.iter_mut().for_each(|watch| watch.rank = names.partition_point(|other| *other < name(watch)));
    }

    /// Lists them by number.
    pub(super) fn list(&self) -> &[Watch<'a>] {
        &self.list
    }

    /// Lists every sample of the wanted times once, by time, then agent, then target.
    ///
    /// Two samples of one target, boot and time are the same one, however often it came and in whichever batches.
    pub(super) fn in_order(&self, is_wanted: impl Fn(UnixMs) -> bool) -> Vec<Sighted<'_>> {
        let mut all: Vec<Sighted<'_>> = Vec::with_capacity(self.sightings.iter().map(|sighting| sighting.batch.samples.count()).sum());
        for sighting in self.sightings {
            let (numbers, first) = (&self.of_table[&table_key(sighting)], all.len());
            all.extend(sighting.batch.samples.iter().filter_map(|sample| {
                let at = sighting.boot.date(sample.at);
                let watch = &self.list[*numbers.get(usize::from(sample.series.0)).filter(|_| is_wanted(at))?];
                Some(Sighted { at, boot: (sighting.batch.id.boot, sighting.boot.at), watch, sample })
            }));
            // A batch comes by target. By time, it mostly goes on where the one before ended: then all is one run already.
            all[first..].sort_by(order);
        }
        all.sort_by(order);
        all.dedup_by(|later, first| key(later) == key(first));
        all
    }
}

fn table_key(sighting: &Sighting) -> TableKey {
    (sighting.batch.id.agent, sighting.vantage, Arc::as_ptr(&sighting.table))
}

fn key(sighted: &Sighted<'_>) -> (UnixMs, usize, BootId) {
    (sighted.at, sighted.watch.rank, sighted.boot.0)
}

fn order(a: &Sighted<'_>, b: &Sighted<'_>) -> Ordering {
    key(a).cmp(&key(b)).then_with(|| content(a).cmp(&content(b)))
}

fn content<'a>(sighted: &Sighted<'a>) -> (rusta_wire::Outcome, &'a [Option<i64>]) {
    (sighted.sample.outcome, sighted.sample.values)
}

/// Lists what the site's own agents said of their end: last gasps and orderly stops.
pub(super) fn last_words(sightings: &[Sighting]) -> Vec<Said> {
    let said = |sighting: &Sighting| {
        let at = sighting.boot.date(sighting.batch.until);
        match sighting.batch.reason {
            Reason::PowerLoss => Some(Said { at, power_loss: true }),
            Reason::Shutdown => Some(Said { at, power_loss: false }),
            Reason::Interval | Reason::StateChange | Reason::Unknown(_) => None,
        }
    };
    let mut words: Vec<Said> = sightings.iter().filter(|sighting| !sighting.vantage).filter_map(said).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Finds why a boot of an agent began, if any of its samples says.
pub(super) fn boot_reason(all: &[Sighted<'_>], source: AgentId, boot: BootId) -> Option<i64> {
    all.iter()
        .filter(|sighted| sighted.watch.source == source && sighted.boot.0 == boot)
        .find_map(|sighted| sighted.watch.series.value(sighted.sample, Metric::BootReason).filter(|reason| *reason > 0))
}

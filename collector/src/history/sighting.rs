//! Sightings: the samples that bear on one site, in the one order that does not depend on how they arrived.

use std::sync::Arc;

use rusta_wire::{AgentId, Batch, BootId, Metric, Reason, Sample, Series, SeriesTable, UnixMs};

use crate::engine::BootTime;

/// One dated batch of an agent.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When its boot began.
    pub boot: BootTime,
    /// What the agent saw.
    pub batch: Arc<Batch>,
    /// What its series are called.
    pub table: Arc<SeriesTable>,
    /// Whether its agent stands at another site.
    pub vantage: bool,
}

/// One sample, dated and named.
#[derive(Debug, Clone, Copy)]
pub struct Sighted<'a> {
    /// When it was observed.
    pub at: UnixMs,
    /// Who saw it.
    pub source: AgentId,
    /// In which life, and when that began.
    pub boot: (BootId, UnixMs),
    /// Whether the agent stands at another site.
    pub vantage: bool,
    /// What it is about.
    pub series: &'a Series,
    /// What was seen.
    pub sample: &'a Sample,
}

/// A word of an agent about itself, dated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    pub(super) at: UnixMs,
    pub(super) power_loss: bool,
}

/// Lists every sample of the wanted times once, by time, then agent, then target.
///
/// Two samples of one target, boot and time are the same one, however often it came and in whichever batches.
pub(super) fn in_order(sightings: &[Sighting], is_wanted: impl Fn(UnixMs) -> bool) -> Vec<Sighted<'_>> {
    let mut all: Vec<Sighted<'_>> = sightings.iter().flat_map(samples).filter(|sighted| is_wanted(sighted.at)).collect();
    all.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| content(a).cmp(&content(b))));
    all.dedup_by(|later, first| key(later) == key(first));
    all
}

fn samples(sighting: &Sighting) -> impl Iterator<Item = Sighted<'_>> {
    let (batch, boot) = (&sighting.batch, sighting.boot);
    batch.samples.iter().filter_map(move |sample| {
        Some(Sighted {
            at: boot.date(sample.at),
            source: batch.id.agent,
            boot: (batch.id.boot, boot.at),
            vantage: sighting.vantage,
            series: sighting.table.series.get(usize::from(sample.series.0))?,
            sample,
        })
    })
}

fn key<'a>(sighted: &Sighted<'a>) -> (UnixMs, AgentId, &'a str, &'a str, BootId) {
    (sighted.at, sighted.source, &sighted.series.target, &sighted.series.link, sighted.boot.0)
}

fn content<'a>(sighted: &Sighted<'a>) -> (rusta_wire::Outcome, &'a [Option<i64>]) {
    (sighted.sample.outcome, &sighted.sample.values)
}

/// Lists what the site's own agents said of their end: last gasps and orderly stops.
pub(super) fn last_words(sightings: &[Sighting]) -> Vec<Said> {
    let said = |sighting: &Sighting| {
        let at = sighting.boot.date(sighting.batch.until);
        match sighting.batch.reason {
            Reason::PowerLoss => Some(Said { at, power_loss: true }),
            Reason::Shutdown => Some(Said { at, power_loss: false }),
            Reason::Interval | Reason::StateChange => None,
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
        .filter(|sighted| sighted.source == source && sighted.boot.0 == boot)
        .find_map(|sighted| sighted.series.value(sighted.sample, Metric::BootReason).filter(|reason| *reason > 0))
}

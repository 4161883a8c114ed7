//! Thinning: many fine samples into few summaries, when the spool is full and before anything is dropped.
//!
//! A summary stands for all rounds of one series in one stretch of time. Its series carries two more metrics, how many rounds
//! there were and how many failed, and the stretch as its interval, so that it is evidence for as long.

use std::collections::BTreeMap;

use rusta_wire::{Batch, Frame, FrameKind, Metric, MetricKind, MonoMs, Outcome, Sample, SeriesIndex, SeriesTable, TableId, Verdict};

#[cfg(test)]
use super::Ticket;
use super::{Entry, IN_MEMORY, Spool};

/// One step of thinning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    /// Seconds a sample stands for before.
    from_s: u32,
    /// Seconds a sample stands for after.
    to_s: u32,
    /// Most batches merged at once: what can be decoded in little memory and gives a batch worth its overhead.
    batches: usize,
}

/// Single rounds into 5-minute summaries.
pub(super) const FINE: Level = Level { from_s: 0, to_s: 300, batches: 64 };

/// 5-minute summaries into hourly ones.
pub(super) const COARSE: Level = Level { from_s: 300, to_s: 3_600, batches: 16 };

impl Spool {
    /// Merges the oldest run of batches of a level. Returns whether that gained anything.
    pub(super) fn thin(&mut self, level: Level) -> bool {
        let Some((start, run)) = self.oldest_run(level) else { return false };
        let bytes_before: u32 = run.iter().map(|e| e.place.length).sum();
        let Some((batches, table)) = self.decode_run(&run) else {
            // One of them cannot be read: give up the oldest, the rest gets its turn.
            self.drop_entry(&run[0]);
            return true;
        };
        let samples: usize = batches.iter().map(|b| b.samples.len()).sum();
        let (merged, table) = summarise(&batches, &table, level.to_s);
        let Some(frame) = merged.encode(&table).ok().and_then(|payload| Frame::new(FrameKind::Batch, payload).ok()) else {
            return false;
        };
        if frame.encoded_len() * 4 > usize::try_from(bytes_before).unwrap_or(0) * 3 {
            return false;
        }
        let Ok(table) = self.keep_table(&table) else { return false };
        let Some(place) = self.write_to_disk(&[frame]) else { return false };
        self.depth.thinned += u64::try_from(samples).unwrap_or(0);
        let entry = Entry { table, covers: merged.covers, summary_s: level.to_s, until: merged.until, place, ..run[0] };
        self.entries.splice(start..start + run.len(), [entry]);
        true
    }

    /// Finds the oldest neighbours that may become one: same boot, table and level, no gap, never offered.
    fn oldest_run(&self, level: Level) -> Option<(usize, Vec<Entry>)> {
        let fits = |e: &Entry| !e.offered && e.summary_s == level.from_s && e.place.segment != IN_MEMORY;
        let joins = |a: &Entry, b: &Entry| fits(a) && fits(b) && a.boot == b.boot && a.table == b.table && a.end() == b.sequence;
        let mut start = 0;
        for group in self.entries.chunk_by(joins) {
            if group.len() >= 2 && fits(&group[0]) {
                return Some((start, group[..group.len().min(level.batches)].to_vec()));
            }
            start += group.len();
        }
        None
    }

    fn decode_run(&self, run: &[Entry]) -> Option<(Vec<Batch>, SeriesTable)> {
        let decoded: Option<Vec<_>> = run.iter().map(|entry| self.batch_of(entry)).collect();
        let mut table = SeriesTable::default();
        let batches = decoded?
            .into_iter()
            .map(|(batch, own)| {
                table = own;
                batch
            })
            .collect();
        Some((batches, table))
    }

    /// Lists what waits with the seconds each sample stands for; for tests.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<(Ticket, u32, u32)> {
        self.entries.iter().map(|e| (self.ticket(e), e.covers, e.summary_s)).collect()
    }
}

/// Merges batches of one boot and table, oldest first, into one of summaries of `to_s` seconds.
fn summarise(batches: &[Batch], table: &SeriesTable, to_s: u32) -> (Batch, SeriesTable) {
    let table = summary_table(table, to_s);
    let (first, last) = (&batches[0], &batches[batches.len() - 1]);
    let mut stretches: BTreeMap<(SeriesIndex, u64), Vec<&Sample>> = BTreeMap::new();
    for sample in batches.iter().flat_map(|b| &b.samples) {
        stretches.entry((sample.series, sample.at.0 / (u64::from(to_s) * 1000))).or_default().push(sample);
    }
    let samples = stretches.values().map(|rounds| summary(rounds, &table)).collect();
    let covers = u32::try_from(last.id.sequence.0 + u64::from(last.covers) - first.id.sequence.0).unwrap_or(u32::MAX);
    let merged = Batch {
        id: first.id,
        covers,
        from: first.from,
        until: last.until,
        clock: last.clock,
        reason: last.reason,
        summary_s: to_s,
        thinned: last.thinned,
        dropped: last.dropped,
        table: TableId::of(&table.encode()),
        samples,
    };
    (merged, table)
}

/// Counts the rounds a batch tells of.
pub(super) fn rounds_told(batch: &Batch, table: &SeriesTable) -> u64 {
    let told = |sample: &Sample| table.series.get(usize::from(sample.series.0))?.value(sample, Metric::Rounds);
    batch.samples.iter().map(|sample| told(sample).and_then(|rounds| u64::try_from(rounds).ok()).unwrap_or(1)).sum()
}

fn summary_table(table: &SeriesTable, to_s: u32) -> SeriesTable {
    let mut table = table.clone();
    for series in &mut table.series {
        series.interval_s = series.interval_s.max(to_s);
        for metric in [Metric::Rounds, Metric::RoundsFailed] {
            if !series.metrics.contains(&metric) && series.metrics.len() < rusta_wire::limits::METRICS_PER_SERIES {
                series.metrics.push(metric);
            }
        }
    }
    table
}

fn summary(rounds: &[&Sample], table: &SeriesTable) -> Sample {
    let series = rounds[0].series;
    let metrics = &table.series[usize::from(series.0)].metrics;
    let place = |metric| metrics.iter().position(|m| *m == metric);
    let known = |sample: &Sample, metric| place(metric).and_then(|p| sample.values.get(p).copied().flatten());
    let count = |sample: &Sample| known(sample, Metric::Rounds).unwrap_or(1);
    let failed =
        |sample: &Sample| known(sample, Metric::RoundsFailed).unwrap_or_else(|| i64::from(sample.outcome.verdict() == Verdict::Failure));
    let total: i64 = rounds.iter().map(|s| count(s)).sum();
    let failures: i64 = rounds.iter().map(|s| failed(s)).sum();
    let values = metrics
        .iter()
        .enumerate()
        .map(|(place, metric)| match metric {
            Metric::Rounds => Some(total),
            Metric::RoundsFailed => Some(failures),
            metric => merge(*metric, &rounds.iter().filter_map(|s| s.values.get(place).copied().flatten()).collect::<Vec<_>>()),
        })
        .collect();
    Sample { series, at: MonoMs(rounds[0].at.0), outcome: main_outcome(rounds, total, failures), values }
}

/// The outcome of most rounds: success if at least half did not fail, else the failure seen most.
fn main_outcome(rounds: &[&Sample], total: i64, failures: i64) -> Outcome {
    let wanted = if failures * 2 > total { Verdict::Failure } else { Verdict::Success };
    let mut seen: BTreeMap<Outcome, usize> = BTreeMap::new();
    for sample in rounds.iter().filter(|s| s.outcome.verdict() == wanted) {
        *seen.entry(sample.outcome).or_default() += 1;
    }
    seen.into_iter().max_by_key(|(_, count)| *count).map_or(rounds[0].outcome, |(outcome, _)| outcome)
}

/// Merges one metric's values in time order: sums for what was counted in a round, extremes for extremes, the median for
/// times, the last for totals, states and levels.
fn merge(metric: Metric, values: &[i64]) -> Option<i64> {
    match metric {
        Metric::Sent | Metric::Received | Metric::Duplicates | Metric::TestBytes => {
            (!values.is_empty()).then(|| values.iter().fold(0i64, |sum, v| sum.saturating_add(*v)))
        }
        Metric::RttUsMin => values.iter().min().copied(),
        Metric::RttUsP90 | Metric::RttUsMax | Metric::PdvUsP95 => values.iter().max().copied(),
        metric if metric.info().kind == MetricKind::Gauge && metric.info().unit == "us" => {
            let mut sorted = values.to_vec();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied()
        }
        _ => values.last().copied(),
    }
}

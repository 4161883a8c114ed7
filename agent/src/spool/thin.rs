//! Thinning: many fine samples into few summaries, when the spool is full and before anything is dropped.
//!
//! A summary stands for all rounds of one series in one stretch of time. Its series carries two more metrics, how many rounds
//! there were and how many failed, and the stretch as its interval, so that it is evidence for as long.

use std::collections::BTreeMap;

use rusta_wire::{Batch, Frame, FrameKind, Metric, MetricKind, MonoMs, Outcome, Sample, SeriesIndex, SeriesTable, TableId, Verdict};

#[cfg(test)]
use super::Ticket;
use super::room::Gain;
use super::{Entry, FRESH, IN_MEMORY, Spool};

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
    /// Merges the oldest run of batches of a level that gains something, after at most so many `tries`. One that still grows is
    /// left alone, unless there is a `hurry`.
    pub(super) fn thin(&mut self, level: Level, hurry: bool, tries: &mut u32) -> Gain {
        let mut from = 0;
        while let Some((start, length)) = self.oldest_run(level, hurry, from) {
            if *tries == 0 {
                return Gain::None;
            }
            *tries -= 1;
            match self.merge(start, length, level) {
                Gain::None => {
                    self.entries[start..start + length].iter_mut().for_each(|e| e.settled |= !hurry);
                    from = start + length;
                }
                gain => return gain,
            }
        }
        Gain::None
    }

    /// Puts one batch in the place of `length` of them.
    fn merge(&mut self, start: usize, length: usize, level: Level) -> Gain {
        let run = self.entries[start..start + length].to_vec();
        let bytes_before: u32 = run.iter().map(|e| e.place.length).sum();
        let Some((batches, table)) = self.decode_run(&run) else {
            let unreadable = run.iter().find(|e| self.batch_of(e).is_none()).copied();
            return match unreadable {
                // Without names it cannot be merged, but perhaps told: the collector may have them.
                Some(entry) if self.frame_bytes(entry.place).is_ok() => Gain::None,
                Some(entry) => {
                    let ticket = self.ticket(&entry);
                    self.lose(&[ticket]);
                    Gain::Some
                }
                None => Gain::None,
            };
        };
        let (merged, table, thinned) = summarise(&batches, &table, level.to_s);
        let Some(frame) = merged.encode(&table).ok().and_then(|payload| Frame::new(FrameKind::Batch, payload).ok()) else {
            // Together they are too large for a frame.
            return if length > 1 { self.merge(start, length / 2, level) } else { Gain::None };
        };
        if frame.encoded_len() * 4 > usize::try_from(bytes_before).unwrap_or(0) * 3 {
            return Gain::None;
        }
        let place = self.table_place(merged.table);
        if self.tables[place].places.is_empty() {
            let Ok(names) = Frame::new(FrameKind::Table, table.encode()) else { return Gain::None };
            self.tables[place].memory = Some(names.to_bytes());
        }
        self.depth.thinned += thinned;
        let counters = self.counters();
        let Some(written) = self.write_batch(place, run[0].boot as usize, &frame, counters) else {
            self.depth.thinned -= thinned;
            return Gain::Refused;
        };
        run.iter().for_each(|e| self.count_live(e.place, false));
        self.count_live(written, true);
        let table = super::to_u16(place);
        let entry = Entry { table, covers: merged.covers, summary_s: level.to_s, until: merged.until, place: written, ..run[0] };
        self.entries.splice(start..start + length, [entry]);
        Gain::Some
    }

    /// Finds the oldest neighbours from `from` on that may become one: same boot, table and level, no gap, never offered. One
    /// alone may hold many rounds. A run grows while batches of its boot follow it; the newest are fresh, and stay as they are.
    fn oldest_run(&self, level: Level, hurry: bool, from: usize) -> Option<(usize, usize)> {
        let fits = |e: &Entry| !e.offered && !e.settled && e.summary_s == level.from_s && e.place.segment != IN_MEMORY;
        let joins = |a: &Entry, b: &Entry| fits(a) && fits(b) && a.boot == b.boot && a.table == b.table && a.end() == b.sequence;
        let this = u32::try_from(self.boots.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let fresh = usize::try_from(FRESH).unwrap_or(0);
        let kept = self.entries.iter().rev().take(fresh).filter(|e| e.boot == this).count();
        let old = &self.entries[..self.entries.len() - kept];
        let mut start = from;
        for group in old.get(from..).unwrap_or_default().chunk_by(joins) {
            let next = self.entries.get(start + group.len());
            let grows = group.len() < level.batches && next.is_some_and(|next| next.boot == group[0].boot);
            if fits(&group[0]) && (!grows || hurry && group.len() > 1) {
                return Some((start, group.len().min(level.batches)));
            }
            start += group.len();
        }
        None
    }

    fn decode_run(&mut self, run: &[Entry]) -> Option<(Vec<Batch>, SeriesTable)> {
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

/// Lists the tables that thinning makes from one.
pub(super) fn made_from(table: &SeriesTable) -> [SeriesTable; 2] {
    let fine = summary_table(table, FINE.to_s);
    let coarse = summary_table(&fine, COARSE.to_s);
    [fine, coarse]
}

/// Merges batches of one boot and table, oldest first, into one of summaries of `to_s` seconds. Says too how many rounds had a
/// sample of their own before and have none after.
fn summarise(batches: &[Batch], table: &SeriesTable, to_s: u32) -> (Batch, SeriesTable, u64) {
    let table = summary_table(table, to_s);
    let (first, last) = (&batches[0], &batches[batches.len() - 1]);
    let mut stretches: BTreeMap<(SeriesIndex, u64), Vec<&Sample>> = BTreeMap::new();
    for sample in batches.iter().flat_map(|b| &b.samples) {
        stretches.entry((sample.series, sample.at.0 / (u64::from(to_s) * 1000))).or_default().push(sample);
    }
    let single =
        |sample: &&&Sample| table.series[usize::from(sample.series.0)].value(**sample, Metric::Rounds).is_none_or(|rounds| rounds == 1);
    let thinned = stretches.values().filter(|rounds| rounds.len() > 1).flat_map(|rounds| rounds.iter().filter(single)).count();
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
        lost: last.lost,
        table: TableId::of(&table.encode()),
        samples,
    };
    (merged, table, u64::try_from(thinned).unwrap_or(u64::MAX))
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

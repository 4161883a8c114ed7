//! A batch: what one agent saw in one reporting interval, as columns of delta-coded integers.
//!
//! Samples are grouped by series in table order. Each series with samples contributes one *time* column and one column
//! per metric; all columns share one packed stream of zigzag varints, `values`:
//!
//! ```text
//! counts | series 0: time t0 t1 t2 | sent | rtt_us_min | rtt_us_p50 | ...   series 1: time | ...
//!
//! counts         samples of each series of the table, as the difference to the series before
//! time column    first: offset from `from_ms`; later: difference to the one before, less the series' interval (100 ms units)
//! metric column  difference of codes (precision.rs) to the base metric of the same sample (catalogue), else to the value
//!                of that metric before it, be it in this series or an earlier one; absent values are not in the stream
//! zeros          a run of n zeros is written as 0, n-1; it may reach over the ends of columns and series
//! outcomes       sparse: pairs (samples skipped, outcome) for samples that are not `ok`
//! absent         sparse: pairs (samples skipped, mask of absent metrics) for samples that miss some
//! ```
//!
//! What does not change costs nothing; what is left is the noise of the RTTs, about a byte each. No general compressor
//! follows: on such columns it adds bytes.

use std::collections::BTreeMap;

use prost::Message;

use crate::coded::coded_enum;
use crate::sample::{Outcome, Sample, SeriesIndex};
use crate::table::{Series, SeriesTable};
use crate::time::{MonoMs, UnixMs};
use crate::{AgentId, BatchId, BootId, DecodeError, Metric, Sequence, TableId, fault, limits};

/// Step of a sample's time on the wire. A second boundary is decided ten times finer than any KPI needs.
pub const TIME_STEP_MS: u64 = 100;

coded_enum! {
    /// Where an agent's idea of Unix time comes from, worst first.
    ClockSource {
        /// Nowhere: the router booted into 1970 and met nobody yet.
        None = 0, "none";
        /// A time persisted before the last power cut: a lower bound only.
        Persisted = 1, "persisted";
        /// The system clock, not known to be synchronised.
        System = 2, "system";
        /// The system clock, synchronised by the kernel's word.
        Synchronised = 3, "synchronised";
        /// The collector's answers.
        Collector = 4, "collector";
    }
}

coded_enum! {
    /// Why a batch was closed.
    Reason {
        /// The reporting interval ended.
        Interval = 0, "interval";
        /// A link's state changed.
        StateChange = 1, "state_change";
        /// The program was asked to stop.
        Shutdown = 2, "shutdown";
        /// The UPS or the supply says power is going.
        PowerLoss = 3, "power_loss";
    }
}

/// What the agent believed about Unix time when it closed a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Unix time at the batch's `until`; meaningless when the source is `None`.
    pub unix: UnixMs,
    /// Where it comes from.
    pub source: ClockSource,
    /// Bound of its error.
    pub uncertainty_ms: u32,
}

/// What one agent saw in one reporting interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its identity.
    pub id: BatchId,
    /// How many sequence numbers it stands for, from `id.sequence` on: more than 1 after the spool merged batches that
    /// had never been offered to a collector.
    pub covers: u32,
    /// Start of the interval.
    pub from: MonoMs,
    /// End of the interval, when the batch was closed.
    pub until: MonoMs,
    /// The agent's clock at `until`.
    pub clock: Clock,
    /// Why it was closed.
    pub reason: Reason,
    /// Seconds one sample summarises; 0 for single rounds.
    pub summary_s: u32,
    /// Samples merged into summaries since this boot began.
    pub thinned: u64,
    /// Samples dropped since this boot began.
    pub dropped: u64,
    /// The series table its samples refer to.
    pub table: TableId,
    /// In any order; decoding returns them by series, then time.
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct ClockMessage {
    #[prost(int64, tag = "1")]
    unix_ms: i64,
    #[prost(uint32, tag = "2")]
    source: u32,
    #[prost(uint32, tag = "3")]
    uncertainty_ms: u32,
}

#[derive(Clone, PartialEq, Message)]
struct BatchMessage {
    #[prost(fixed64, tag = "1")]
    agent: u64,
    #[prost(fixed64, tag = "2")]
    boot: u64,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(uint32, tag = "4")]
    covers: u32,
    #[prost(uint64, tag = "5")]
    from_ms: u64,
    #[prost(uint64, tag = "6")]
    span_ms: u64,
    #[prost(message, optional, tag = "7")]
    clock: Option<ClockMessage>,
    #[prost(uint32, tag = "8")]
    reason: u32,
    #[prost(uint32, tag = "9")]
    summary_s: u32,
    #[prost(uint64, tag = "10")]
    thinned: u64,
    #[prost(uint64, tag = "11")]
    dropped: u64,
    #[prost(fixed64, tag = "12")]
    table: u64,
    #[prost(uint32, repeated, tag = "20")]
    outcomes: Vec<u32>,
    #[prost(uint64, repeated, tag = "21")]
    absent: Vec<u64>,
    #[prost(sint64, repeated, tag = "22")]
    values: Vec<i64>,
}

/// The parts of a batch that can be read without its series table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The batch's identity.
    pub id: BatchId,
    /// How many sequence numbers it stands for.
    pub covers: u32,
    /// Start of the interval.
    pub from: MonoMs,
    /// End of the interval.
    pub until: MonoMs,
    /// The agent's clock at `until`.
    pub clock: Clock,
    /// Seconds one sample summarises; 0 for single rounds.
    pub summary_s: u32,
    /// The table the rest needs.
    pub table: TableId,
}

impl Batch {
    /// Returns the batch's bytes: a function of the batch alone, samples sorted by series and time.
    ///
    /// # Errors
    /// A sample of a series the table lacks, with another number of values than its series has metrics, or counts over
    /// [`limits`].
    pub fn encode(&self, table: &SeriesTable) -> Result<Vec<u8>, DecodeError> {
        let mut samples: Vec<&Sample> = self.samples.iter().collect();
        samples.sort_by_key(|s| (s.series, s.at));
        self.check_bounds(&samples, table)?;
        let mut columns = ColumnWriter::default();
        columns.counts(&samples, table.series.len());
        let (mut outcomes, mut absent) = (SparseWriter::default(), SparseWriter::default());
        for group in samples.chunk_by(|a, b| a.series == b.series) {
            let index = usize::from(group[0].series.0);
            for sample in group {
                outcomes.next(u64::from(sample.outcome.code()));
                absent.next(absence_mask(&sample.values));
            }
            columns.times(self.from, interval_steps(&table.series[index]), group);
            for (place, metric) in table.series[index].metrics.iter().enumerate() {
                columns.metric(*metric, place, base_place(&table.series[index].metrics, *metric), group);
            }
        }
        Ok(self.message(columns, outcomes, absent).encode_to_vec())
    }

    fn check_bounds(&self, samples: &[&Sample], table: &SeriesTable) -> Result<(), DecodeError> {
        let mut values = 0usize;
        for sample in samples {
            let series = table.series.get(usize::from(sample.series.0)).ok_or_else(|| fault("samples", "series is not in the table"))?;
            if series.metrics.len() != sample.values.len() {
                return Err(fault("values", "sample has not one place for each metric"));
            }
            values += sample.values.len();
        }
        if samples.len() > limits::SAMPLES_PER_BATCH {
            return Err(fault("samples", "too many"));
        }
        if values > limits::VALUES_PER_BATCH {
            return Err(fault("values", "too many"));
        }
        Ok(())
    }

    fn message(&self, columns: ColumnWriter, outcomes: SparseWriter, absent: SparseWriter) -> BatchMessage {
        BatchMessage {
            agent: self.id.agent.0,
            boot: self.id.boot.0,
            sequence: self.id.sequence.0,
            // One is the usual case and costs nothing when written as the default.
            covers: if self.covers == 1 { 0 } else { self.covers },
            from_ms: self.from.0,
            span_ms: self.until.0.saturating_sub(self.from.0),
            clock: Some(ClockMessage {
                unix_ms: self.clock.unix.0,
                source: u32::from(self.clock.source.code()),
                uncertainty_ms: self.clock.uncertainty_ms,
            }),
            reason: u32::from(self.reason.code()),
            summary_s: self.summary_s,
            thinned: self.thinned,
            dropped: self.dropped,
            table: self.table.0,
            outcomes: outcomes.pairs.iter().map(|v| u32::try_from(*v).unwrap_or(u32::MAX)).collect(),
            absent: absent.pairs,
            values: columns.finish(),
        }
    }

    /// Reads what needs no series table.
    ///
    /// # Errors
    /// Bytes that are not a batch.
    pub fn head(bytes: &[u8]) -> Result<Head, DecodeError> {
        read_head(&BatchMessage::decode(bounded(bytes)?)?)
    }

    /// Reads a batch whose names are in `table`.
    ///
    /// # Errors
    /// Bytes that are not a batch, or one that names another table. Memory stays under about 2 MiB whatever the bytes
    /// say: a packed integer of one byte becomes eight, a value of [`limits::VALUES_PER_BATCH`] sixteen.
    pub fn decode(bytes: &[u8], table: &SeriesTable) -> Result<Self, DecodeError> {
        let message = BatchMessage::decode(bounded(bytes)?)?;
        let head = read_head(&message)?;
        if head.table != table.id() {
            return Err(DecodeError::Table(head.table));
        }
        Ok(Batch {
            id: head.id,
            covers: head.covers,
            from: head.from,
            until: head.until,
            clock: head.clock,
            reason: Reason::from_code(message.reason).ok_or_else(|| fault("reason", "unknown"))?,
            summary_s: message.summary_s,
            thinned: message.thinned,
            dropped: message.dropped,
            table: head.table,
            samples: read_samples(&message, head.from, table)?,
        })
    }
}

fn bounded(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() > limits::FRAME_PAYLOAD_BYTES {
        return Err(fault("values", "more bytes than a frame may hold"));
    }
    Ok(bytes)
}

fn read_head(message: &BatchMessage) -> Result<Head, DecodeError> {
    let clock = message.clock.as_ref().ok_or_else(|| fault("clock", "missing"))?;
    Ok(Head {
        id: BatchId { agent: AgentId(message.agent), boot: BootId(message.boot), sequence: Sequence(message.sequence) },
        covers: message.covers.max(1),
        from: MonoMs(message.from_ms),
        until: MonoMs(message.from_ms.checked_add(message.span_ms).ok_or_else(|| fault("span_ms", "past the end of time"))?),
        clock: Clock {
            unix: UnixMs(clock.unix_ms),
            source: ClockSource::from_code(clock.source).ok_or_else(|| fault("clock.source", "unknown"))?,
            uncertainty_ms: clock.uncertainty_ms,
        },
        summary_s: message.summary_s,
        table: TableId(message.table),
    })
}

fn read_samples(message: &BatchMessage, from: MonoMs, table: &SeriesTable) -> Result<Vec<Sample>, DecodeError> {
    let mut columns = ColumnReader::new(&message.values);
    let counts = columns.counts(table)?;
    let total = counts.iter().sum();
    let outcomes: Vec<u64> = message.outcomes.iter().map(|v| u64::from(*v)).collect();
    let outcomes = read_sparse(&outcomes, total, "outcomes")?;
    let absent = read_sparse(&message.absent, total, "absent")?;
    let mut samples = Vec::with_capacity(total);
    for (index, (count, series)) in counts.iter().zip(&table.series).enumerate() {
        let start = samples.len();
        for at in columns.times(from, interval_steps(series), *count)? {
            let outcome = u32::try_from(outcomes[samples.len()]).ok().and_then(Outcome::from_code);
            samples.push(Sample {
                series: SeriesIndex(u16::try_from(index).map_err(|_| fault("values", "too many series"))?),
                at,
                outcome: outcome.ok_or_else(|| fault("outcomes", "unknown outcome"))?,
                values: vec![None; series.metrics.len()],
            });
        }
        for (place, metric) in series.metrics.iter().enumerate() {
            let masks = &absent[start..];
            columns.metric(*metric, place, base_place(&series.metrics, *metric), masks, &mut samples[start..])?;
        }
    }
    columns.finish()?;
    Ok(samples)
}

/// Finds the place of a metric's base, if the series has it before the metric itself.
fn base_place(metrics: &[Metric], metric: Metric) -> Option<usize> {
    let base = metric.info().base?;
    let own = metrics.iter().position(|m| *m == metric)?;
    metrics[..own].iter().position(|m| *m == base)
}

fn absence_mask(values: &[Option<i64>]) -> u64 {
    values.iter().enumerate().filter(|(_, v)| v.is_none()).fold(0, |mask, (place, _)| mask | 1 << place)
}

/// Collects (skipped, value) pairs for the entries that are not zero.
#[derive(Default)]
struct SparseWriter {
    pairs: Vec<u64>,
    skipped: u64,
}

impl SparseWriter {
    fn next(&mut self, value: u64) {
        if value == 0 {
            self.skipped += 1;
        } else {
            self.pairs.extend([self.skipped, value]);
            self.skipped = 0;
        }
    }
}

fn read_sparse(pairs: &[u64], total: usize, field: &'static str) -> Result<Vec<u64>, DecodeError> {
    let mut out = vec![0u64; total];
    let mut at = 0usize;
    for pair in pairs.chunks(2) {
        let [skipped, value] = pair else { return Err(fault(field, "odd number of entries")) };
        at = usize::try_from(*skipped).ok().and_then(|s| at.checked_add(s)).ok_or_else(|| fault(field, "past the end"))?;
        *out.get_mut(at).ok_or_else(|| fault(field, "past the end"))? = *value;
        at += 1;
    }
    Ok(out)
}

/// The last code of each metric, whichever series it was in: what the next one is coded against.
#[derive(Default)]
struct LastCodes(BTreeMap<Metric, i64>);

impl LastCodes {
    fn expected(&self, metric: Metric, base: Option<i64>) -> i64 {
        base.or_else(|| self.0.get(&metric).copied()).unwrap_or(0)
    }
}

#[derive(Default)]
struct ColumnWriter {
    values: Vec<i64>,
    zeros: i64,
    last: LastCodes,
}

impl ColumnWriter {
    fn counts(&mut self, samples: &[&Sample], series: usize) {
        let mut counts = vec![0i64; series];
        for sample in samples {
            counts[usize::from(sample.series.0)] += 1;
        }
        let mut before = 0;
        for count in counts {
            self.push(count - before);
            before = count;
        }
    }

    fn times(&mut self, from: MonoMs, interval: i64, group: &[&Sample]) {
        let mut expected = steps_of(from);
        for sample in group {
            let at = steps_of(sample.at);
            self.push(at.wrapping_sub(expected));
            expected = at.wrapping_add(interval);
        }
    }

    fn metric(&mut self, metric: Metric, place: usize, base: Option<usize>, group: &[&Sample]) {
        for sample in group {
            let Some(value) = sample.values[place] else { continue };
            let code = metric.info().precision.code(value);
            self.push(code.wrapping_sub(self.last.expected(metric, base_code(metric, base, sample))));
            self.last.0.insert(metric, code);
        }
    }

    fn push(&mut self, residual: i64) {
        if residual == 0 {
            self.zeros += 1;
        } else {
            self.end_zeros();
            self.values.push(residual);
        }
    }

    fn end_zeros(&mut self) {
        if self.zeros > 0 {
            self.values.extend([0, self.zeros - 1]);
            self.zeros = 0;
        }
    }

    fn finish(mut self) -> Vec<i64> {
        self.end_zeros();
        self.values
    }
}

/// The code of a sample's base metric in the precision of the metric that is coded against it.
fn base_code(metric: Metric, base: Option<usize>, sample: &Sample) -> Option<i64> {
    sample.values[base?].map(|value| metric.info().precision.code(value))
}

/// Monotonic time in wire steps; the number wraps only after the sun is gone.
fn steps_of(at: MonoMs) -> i64 {
    i64::try_from((at.0.saturating_add(TIME_STEP_MS / 2)) / TIME_STEP_MS).unwrap_or(i64::MAX)
}

/// A series' interval in wire steps.
fn interval_steps(series: &Series) -> i64 {
    i64::from(series.interval_s).saturating_mul(1000 / TIME_STEP_MS as i64)
}

struct ColumnReader<'a> {
    values: std::slice::Iter<'a, i64>,
    zeros: i64,
    last: LastCodes,
}

impl<'a> ColumnReader<'a> {
    fn new(values: &'a [i64]) -> Self {
        ColumnReader { values: values.iter(), zeros: 0, last: LastCodes::default() }
    }

    fn next(&mut self) -> Result<i64, DecodeError> {
        if self.zeros > 0 {
            self.zeros -= 1;
            return Ok(0);
        }
        let value = *self.values.next().ok_or_else(|| fault("values", "fewer than the samples need"))?;
        if value == 0 {
            self.zeros =
                *self.values.next().filter(|more| **more >= 0).ok_or_else(|| fault("values", "a run of zeros without its length"))?;
        }
        Ok(value)
    }

    fn finish(mut self) -> Result<(), DecodeError> {
        if self.zeros > 0 || self.values.next().is_some() {
            return Err(fault("values", "more than the samples need"));
        }
        Ok(())
    }

    /// Reads how many samples each series has; together they stay within [`limits`].
    fn counts(&mut self, table: &SeriesTable) -> Result<Vec<usize>, DecodeError> {
        let (mut before, mut total, mut places) = (0i64, 0usize, 0usize);
        let mut counts = Vec::with_capacity(table.series.len());
        for series in &table.series {
            before = before.wrapping_add(self.next()?);
            let count = usize::try_from(before).map_err(|_| fault("values", "a negative count of samples"))?;
            total = total.saturating_add(count);
            places = places.saturating_add(count.saturating_mul(series.metrics.len()));
            if total > limits::SAMPLES_PER_BATCH || places > limits::VALUES_PER_BATCH {
                return Err(fault("values", "more samples or values than a batch may hold"));
            }
            counts.push(count);
        }
        Ok(counts)
    }

    fn times(&mut self, from: MonoMs, interval: i64, count: usize) -> Result<Vec<MonoMs>, DecodeError> {
        let mut expected = steps_of(from);
        let mut last = i64::MIN;
        (0..count)
            .map(|_| {
                let at = expected.wrapping_add(self.next()?);
                expected = at.wrapping_add(interval);
                if at < last {
                    return Err(fault("values", "times of a series run backwards"));
                }
                last = at;
                let steps = u64::try_from(at).map_err(|_| fault("values", "a time before the boot"))?;
                steps.checked_mul(TIME_STEP_MS).map(MonoMs).ok_or_else(|| fault("values", "a time past the end of time"))
            })
            .collect()
    }

    fn metric(
        &mut self,
        metric: Metric,
        place: usize,
        base: Option<usize>,
        masks: &[u64],
        samples: &mut [Sample],
    ) -> Result<(), DecodeError> {
        for (sample, _) in samples.iter_mut().zip(masks).filter(|(_, mask)| *mask >> place & 1 == 0) {
            let code = self.last.expected(metric, base_code(metric, base, sample)).wrapping_add(self.next()?);
            let value = metric.info().precision.value(code);
            sample.values[place] = Some(value.ok_or_else(|| fault("values", "out of range"))?);
            self.last.0.insert(metric, code);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;

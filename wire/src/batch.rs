//! A batch: what one agent saw in one reporting interval, as columns of delta-coded integers.
//!
//! Samples are grouped by series in table order. Each series with samples contributes one *time* column and one column
//! per metric; all columns share one packed stream of zigzag varints, `values`:
//!
//! ```text
//! series 0: time t0 t1 t2 | sent | rtt_us_min | rtt_us_p50 | ...   series 1: time | ...
//!
//! time column    first: offset from `from_ms`; second: difference; later: difference of differences (100 ms units)
//! metric column  difference to the value before it, or to the base metric of the same sample (catalogue), in
//!                units of the metric's resolution; values that are absent are not in the stream
//! constant[c]    one bit a column: set when everything after the column's first entry (time: first two) is zero,
//!                so only those entries are in the stream
//! outcomes       sparse: pairs (samples skipped, outcome) for samples that are not `ok`
//! absent         sparse: pairs (samples skipped, mask of absent metrics) for samples that miss some
//! ```
//!
//! A round with every target answering on schedule costs a byte or two a value before the RTT noise, and nothing for
//! what does not change. No general compressor follows: on such columns it adds bytes.

use prost::Message;

use crate::coded::coded_enum;
use crate::sample::{Outcome, Sample, SeriesIndex};
use crate::table::SeriesTable;
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
    counts: Vec<u32>,
    #[prost(bytes = "vec", tag = "21")]
    constant: Vec<u8>,
    #[prost(uint32, repeated, tag = "22")]
    outcomes: Vec<u32>,
    #[prost(uint64, repeated, tag = "23")]
    absent: Vec<u64>,
    #[prost(sint64, repeated, tag = "24")]
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
        let mut counts = Vec::new();
        let (mut outcomes, mut absent) = (SparseWriter::default(), SparseWriter::default());
        for group in samples.chunk_by(|a, b| a.series == b.series) {
            let index = usize::from(group[0].series.0);
            counts.resize(index, 0);
            counts.push(to_u32(group.len()));
            for sample in group {
                outcomes.next(u64::from(sample.outcome.code()));
                absent.next(absence_mask(&sample.values));
            }
            columns.times(self.from, group);
            for (place, metric) in table.series[index].metrics.iter().enumerate() {
                columns.metric(*metric, place, base_place(&table.series[index].metrics, *metric), group);
            }
        }
        Ok(self.message(counts, columns, outcomes, absent).encode_to_vec())
    }

    fn check_bounds(&self, samples: &[&Sample], table: &SeriesTable) -> Result<(), DecodeError> {
        let mut values = 0usize;
        for sample in samples {
            let series = table.series.get(usize::from(sample.series.0)).ok_or_else(|| fault("counts", "series is not in the table"))?;
            if series.metrics.len() != sample.values.len() {
                return Err(fault("values", "sample has not one place for each metric"));
            }
            values += sample.values.len();
        }
        if samples.len() > limits::SAMPLES_PER_BATCH {
            return Err(fault("counts", "too many samples"));
        }
        if values > limits::VALUES_PER_BATCH {
            return Err(fault("values", "too many"));
        }
        Ok(())
    }

    fn message(&self, counts: Vec<u32>, columns: ColumnWriter, outcomes: SparseWriter, absent: SparseWriter) -> BatchMessage {
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
            counts,
            constant: columns.constant.bytes(),
            outcomes: outcomes.pairs.iter().map(|v| u32::try_from(*v).unwrap_or(u32::MAX)).collect(),
            absent: absent.pairs,
            values: columns.values,
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
        table: TableId(message.table),
    })
}

fn read_samples(message: &BatchMessage, from: MonoMs, table: &SeriesTable) -> Result<Vec<Sample>, DecodeError> {
    if message.counts.len() > table.series.len() {
        return Err(fault("counts", "more series than the table has"));
    }
    let (mut total, mut places) = (0usize, 0usize);
    for (count, series) in message.counts.iter().zip(&table.series) {
        let count = usize::try_from(*count).unwrap_or(usize::MAX);
        total = total.saturating_add(count);
        places = places.saturating_add(count.saturating_mul(series.metrics.len()));
    }
    if total > limits::SAMPLES_PER_BATCH || places > limits::VALUES_PER_BATCH {
        return Err(fault("counts", "more samples or values than a batch may hold"));
    }
    let outcomes: Vec<u64> = message.outcomes.iter().map(|v| u64::from(*v)).collect();
    let outcomes = read_sparse(&outcomes, total, "outcomes")?;
    let absent = read_sparse(&message.absent, total, "absent")?;
    let mut columns = ColumnReader { values: message.values.iter(), constant: &message.constant, column: 0 };
    let mut samples = Vec::with_capacity(total);
    for (index, (count, series)) in message.counts.iter().zip(&table.series).enumerate() {
        if *count == 0 {
            continue;
        }
        let start = samples.len();
        for at in columns.times(from, *count)? {
            let outcome = u32::try_from(outcomes[samples.len()]).ok().and_then(Outcome::from_code);
            samples.push(Sample {
                series: SeriesIndex(u16::try_from(index).map_err(|_| fault("counts", "too many series"))?),
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
    if columns.values.next().is_some() {
        return Err(fault("values", "more than the samples need"));
    }
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

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Rounds to the nearest step, halves away from zero; the product of the result and `step` fits because the input did.
fn to_steps(value: i64, step: i64) -> i64 {
    let (whole, rest) = (value / step, value % step);
    if rest.abs() * 2 >= step { whole + rest.signum() } else { whole }
}

#[derive(Default)]
struct Bits {
    bits: Vec<bool>,
}

impl Bits {
    fn bytes(&self) -> Vec<u8> {
        let mut out: Vec<u8> =
            self.bits.chunks(8).map(|eight| eight.iter().enumerate().fold(0, |byte, (i, set)| byte | u8::from(*set) << i)).collect();
        while out.last() == Some(&0) {
            out.pop();
        }
        out
    }
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

#[derive(Default)]
struct ColumnWriter {
    values: Vec<i64>,
    constant: Bits,
}

impl ColumnWriter {
    fn times(&mut self, from: MonoMs, group: &[&Sample]) {
        let (mut last, mut step) = (steps_of(from), 0i64);
        let mut residuals = Vec::with_capacity(group.len());
        for (place, sample) in group.iter().enumerate() {
            let at = steps_of(sample.at);
            let difference = at.wrapping_sub(last);
            residuals.push(if place < 2 { difference } else { difference.wrapping_sub(step) });
            (last, step) = (at, difference);
        }
        self.push(residuals, 2);
    }

    fn metric(&mut self, metric: Metric, place: usize, base: Option<usize>, group: &[&Sample]) {
        let step = metric.info().resolution;
        let mut last = 0i64;
        let mut residuals = Vec::with_capacity(group.len());
        for sample in group {
            let Some(value) = sample.values[place].map(|v| to_steps(v, step)) else { continue };
            let from_base = base.and_then(|b| sample.values[b]).map(|v| to_steps(v, step));
            residuals.push(value.wrapping_sub(from_base.unwrap_or(last)));
            last = value;
        }
        self.push(residuals, 1);
    }

    fn push(&mut self, residuals: Vec<i64>, first: usize) {
        let constant = residuals.len() > first && residuals[first..].iter().all(|r| *r == 0);
        let kept = if constant { first } else { residuals.len() };
        self.values.extend_from_slice(&residuals[..kept]);
        self.constant.bits.push(constant);
    }
}

/// Monotonic time in wire steps; the number wraps only after the sun is gone.
fn steps_of(at: MonoMs) -> i64 {
    i64::try_from((at.0 + TIME_STEP_MS / 2) / TIME_STEP_MS).unwrap_or(i64::MAX)
}

struct ColumnReader<'a> {
    values: std::slice::Iter<'a, i64>,
    constant: &'a [u8],
    column: usize,
}

impl ColumnReader<'_> {
    fn begin_column(&mut self) -> bool {
        let set = self.constant.get(self.column / 8).is_some_and(|byte| byte >> (self.column % 8) & 1 == 1);
        self.column += 1;
        set
    }

    fn residual(&mut self, constant: bool, first: usize, place: usize) -> Result<i64, DecodeError> {
        if constant && place >= first {
            return Ok(0);
        }
        self.values.next().copied().ok_or_else(|| fault("values", "fewer than the samples need"))
    }

    fn times(&mut self, from: MonoMs, count: u32) -> Result<Vec<MonoMs>, DecodeError> {
        let constant = self.begin_column();
        let (mut last, mut step) = (steps_of(from), 0i64);
        (0..usize::try_from(count).unwrap_or(0))
            .map(|place| {
                let residual = self.residual(constant, 2, place)?;
                step = if place < 2 { residual } else { step.wrapping_add(residual) };
                last = last.wrapping_add(step);
                let steps = u64::try_from(last).map_err(|_| fault("values", "a time before the boot"))?;
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
        let step = metric.info().resolution;
        let constant = self.begin_column();
        let mut last = 0i64;
        let mut present = 0;
        for (sample, mask) in samples.iter_mut().zip(masks) {
            if mask >> place & 1 == 1 {
                continue;
            }
            let residual = self.residual(constant, 1, present)?;
            present += 1;
            let from_base = base.and_then(|b| sample.values[b]).map(|v| to_steps(v, step));
            let value = from_base.unwrap_or(last).wrapping_add(residual);
            sample.values[place] = Some(value.checked_mul(step).ok_or_else(|| fault("values", "out of range"))?);
            last = value;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;

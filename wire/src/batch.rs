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
//! follows: on such columns it adds bytes. On its way to a collector that reads it, a batch's columns may take the dense
//! coding instead (`dense.rs`): the same differences in the same order, each series' outcomes and absences in front of its
//! times, through a coder that learns, in about half the bytes.

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::coded::coded_enum;
pub use crate::columns::TIME_STEP_MS;
use crate::columns::{ColumnReader, ColumnWriter, PlainSink, PlainSource, Sink, Source};
use crate::dense::{DenseSink, DenseSource};
use crate::sample::{Outcome, Sample, Samples, SeriesIndex};
use crate::table::SeriesTable;
use crate::time::{MonoMs, UnixMs};
use crate::{AgentId, BatchId, BootId, DecodeError, Sequence, TableId, fault, limits};

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
pub struct Batch<S = Vec<Sample>> {
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
    /// Batches lost since this boot began: kept once, and not to be read or named any more.
    pub lost: u64,
    /// The series table its samples refer to.
    pub table: TableId,
    /// In any order; decoding returns them by series, then time.
    pub samples: S,
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

/// Everything but the columns. The two messages share one encoding: each skips the other's fields.
#[derive(Clone, PartialEq, Message)]
struct HeadMessage {
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
    #[prost(uint64, tag = "40")]
    lost: u64,
}

/// Fields that hold columns, in either coding.
const FIRST_COLUMN: u32 = 20;
const LAST_COLUMN: u32 = 23;

#[derive(Clone, PartialEq, Message)]
struct ColumnsMessage {
    #[prost(uint32, repeated, tag = "20")]
    outcomes: Vec<u32>,
    #[prost(uint64, repeated, tag = "21")]
    absent: Vec<u64>,
    #[prost(sint64, repeated, tag = "22")]
    values: Vec<i64>,
    #[prost(bytes = "vec", optional, tag = "23")]
    columns: Option<Vec<u8>>,
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
        Ok(self.with_columns(&self.plain_columns(table)?))
    }

    /// Returns the batch's bytes in the dense coding, about half as many: for the way to a collector that said it reads
    /// it ([`crate::Answer::reads_dense`]). At rest the plain coding is kept, which the schema alone can read.
    ///
    /// # Errors
    /// As [`Batch::encode`].
    pub fn encode_dense(&self, table: &SeriesTable) -> Result<Vec<u8>, DecodeError> {
        Ok(self.with_columns(&self.dense_columns(table)?))
    }

    /// Returns `payload`, which this batch was read from, with its columns in the plain coding. What this version does not
    /// know of the batch stays in it.
    ///
    /// # Errors
    /// As [`Batch::encode`], or a payload that is no message.
    pub fn plain_again(&self, payload: &[u8], table: &SeriesTable) -> Result<Vec<u8>, DecodeError> {
        with_other_columns(payload, &self.plain_columns(table)?)
    }

    /// Returns `payload`, which this batch was read from, with its columns in the dense coding; see [`Batch::plain_again`].
    ///
    /// # Errors
    /// As [`Batch::plain_again`].
    pub fn dense_again(&self, payload: &[u8], table: &SeriesTable) -> Result<Vec<u8>, DecodeError> {
        with_other_columns(payload, &self.dense_columns(table)?)
    }

    fn plain_columns(&self, table: &SeriesTable) -> Result<ColumnsMessage, DecodeError> {
        let mut sink = PlainSink::default();
        self.write_columns(table, &mut sink)?;
        let values = sink.values();
        let outcomes = sink.outcomes.pairs.iter().map(|v| u32::try_from(*v).unwrap_or(u32::MAX)).collect();
        Ok(ColumnsMessage { outcomes, absent: sink.absent.pairs, values, columns: None })
    }

    fn dense_columns(&self, table: &SeriesTable) -> Result<ColumnsMessage, DecodeError> {
        let mut sink = DenseSink::default();
        self.write_columns(table, &mut sink)?;
        Ok(ColumnsMessage { columns: Some(sink.finish()), ..ColumnsMessage::default() })
    }

    fn write_columns(&self, table: &SeriesTable, sink: &mut dyn Sink) -> Result<(), DecodeError> {
        let mut samples: Vec<&Sample> = self.samples.iter().collect();
        samples.sort_by_key(|s| (s.series, s.at));
        self.check_bounds(&samples, table)?;
        let mut columns = ColumnWriter::new(sink);
        columns.counts(&samples, table.series.len());
        for group in samples.chunk_by(|a, b| a.series == b.series) {
            columns.series(self.from, &table.series[usize::from(group[0].series.0)], group);
        }
        Ok(())
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

    /// The head's fields, then the columns': a reader takes them as one message.
    fn with_columns(&self, columns: &ColumnsMessage) -> Vec<u8> {
        let mut bytes = self.head_message().encode_to_vec();
        bytes.extend(columns.encode_to_vec());
        bytes
    }

    fn head_message(&self) -> HeadMessage {
        HeadMessage {
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
            lost: self.lost,
            table: self.table.0,
        }
    }

    /// Reads what needs no series table.
    ///
    /// # Errors
    /// Bytes that are not a batch.
    pub fn head(bytes: &[u8]) -> Result<Head, DecodeError> {
        read_head(&HeadMessage::decode(bounded(bytes)?)?)
    }

    /// Reads a batch whose names are in `table`.
    ///
    /// # Errors
    /// Bytes that are not a batch, or one that names another table. Memory stays under about 2 MiB whatever the bytes
    /// say: a packed integer of one byte becomes eight, a value of [`limits::VALUES_PER_BATCH`] sixteen.
    pub fn decode(bytes: &[u8], table: &SeriesTable) -> Result<Self, DecodeError> {
        Ok(Self::decode_any(bytes, table)?.0)
    }

    /// Reads a batch as [`Batch::decode`] does, and tells whether its columns came in the dense coding.
    ///
    /// # Errors
    /// As [`Batch::decode`].
    pub fn decode_any(bytes: &[u8], table: &SeriesTable) -> Result<(Self, bool), DecodeError> {
        Self::decode_named(bytes, table, table.id())
    }

    /// Reads a batch as [`Batch::decode_any`] does, for who knows the table's id: to find it takes longer than to read a
    /// small batch.
    ///
    /// # Errors
    /// As [`Batch::decode`].
    pub fn decode_named(bytes: &[u8], table: &SeriesTable, id: TableId) -> Result<(Self, bool), DecodeError> {
        let (batch, is_dense) = Batch::decode_flat(bytes, table, id)?;
        Ok((batch.into(), is_dense))
    }
}

impl Batch<Samples> {
    /// Reads a batch as [`Batch::decode_named`] does, its values in one piece.
    ///
    /// # Errors
    /// As [`Batch::decode`].
    pub fn decode_flat(bytes: &[u8], table: &SeriesTable, id: TableId) -> Result<(Self, bool), DecodeError> {
        let message = HeadMessage::decode(bounded(bytes)?)?;
        let head = read_head(&message)?;
        if head.table != id {
            return Err(DecodeError::Table(head.table));
        }
        let columns = ColumnsMessage::decode(bytes)?;
        let batch = Batch {
            id: head.id,
            covers: head.covers,
            from: head.from,
            until: head.until,
            clock: head.clock,
            reason: Reason::from_wire(message.reason).ok_or_else(|| fault("reason", "not a code"))?,
            summary_s: message.summary_s,
            thinned: message.thinned,
            dropped: message.dropped,
            lost: message.lost,
            table: head.table,
            samples: read_samples(&columns, head.from, table)?,
        };
        Ok((batch, columns.columns.is_some()))
    }
}

impl<S> Batch<S> {
    /// Returns the batch with other samples.
    pub fn with_samples<T>(&self, samples: T) -> Batch<T> {
        Batch {
            id: self.id,
            covers: self.covers,
            from: self.from,
            until: self.until,
            clock: self.clock,
            reason: self.reason,
            summary_s: self.summary_s,
            thinned: self.thinned,
            dropped: self.dropped,
            lost: self.lost,
            table: self.table,
            samples,
        }
    }
}

impl From<Batch<Samples>> for Batch {
    fn from(batch: Batch<Samples>) -> Self {
        batch.with_samples(batch.samples.iter().map(Sample::from).collect())
    }
}

/// Puts columns in place of those in `payload`: the fields before them, the columns, and whatever later versions put behind.
fn with_other_columns(payload: &[u8], columns: &ColumnsMessage) -> Result<Vec<u8>, DecodeError> {
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    let mut rest = payload;
    while !rest.is_empty() {
        let field = rest;
        let (tag, kind) = decode_key(&mut rest)?;
        skip_field(kind, tag, &mut rest, DecodeContext::default())?;
        let field = &field[..field.len() - rest.len()];
        match tag {
            ..FIRST_COLUMN => before.extend_from_slice(field),
            FIRST_COLUMN..=LAST_COLUMN => {}
            _ => behind.extend_from_slice(field),
        }
    }
    before.extend(columns.encode_to_vec());
    before.extend(behind);
    Ok(before)
}

fn bounded(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() > limits::FRAME_PAYLOAD_BYTES {
        return Err(fault("values", "more bytes than a frame may hold"));
    }
    Ok(bytes)
}

fn read_head(message: &HeadMessage) -> Result<Head, DecodeError> {
    let clock = message.clock.as_ref().ok_or_else(|| fault("clock", "missing"))?;
    Ok(Head {
        id: BatchId { agent: AgentId(message.agent), boot: BootId(message.boot), sequence: Sequence(message.sequence) },
        covers: message.covers.max(1),
        from: MonoMs(message.from_ms),
        until: MonoMs(message.from_ms.checked_add(message.span_ms).ok_or_else(|| fault("span_ms", "past the end of time"))?),
        clock: Clock {
            unix: UnixMs(clock.unix_ms),
            source: ClockSource::from_wire(clock.source).ok_or_else(|| fault("clock.source", "not a code"))?,
            uncertainty_ms: clock.uncertainty_ms,
        },
        summary_s: message.summary_s,
        table: TableId(message.table),
    })
}

fn read_samples(message: &ColumnsMessage, from: MonoMs, table: &SeriesTable) -> Result<Samples, DecodeError> {
    let mut plain = PlainSource::new(&message.outcomes, &message.absent, &message.values);
    let mut dense = DenseSource::new(message.columns.as_deref().unwrap_or_default());
    let source: &mut dyn Source = if message.columns.is_some() { &mut dense } else { &mut plain };
    let mut columns = ColumnReader::new(source);
    let counts = columns.counts(table)?;
    let places = counts.iter().zip(&table.series).map(|(count, series)| count * series.metrics.len());
    let mut samples = Samples::with_capacity(counts.iter().sum(), places.sum());
    let mut masks = Vec::new();
    for (index, (count, series)) in counts.iter().zip(&table.series).enumerate() {
        let index = SeriesIndex(u16::try_from(index).map_err(|_| fault("values", "too many series"))?);
        let (first, place) = (samples.rounds.len(), samples.values.len());
        masks.clear();
        for n in 1..=*count {
            let (outcome, absent) = columns.state(series, masks.last().copied().unwrap_or(0))?;
            let outcome = u32::try_from(outcome).ok().and_then(Outcome::from_wire).ok_or_else(|| fault("outcomes", "not a code"))?;
            masks.push(absent);
            samples.rounds.push((index, from, outcome));
            samples.ends.push(place + n * series.metrics.len());
        }
        columns.times(from, series, samples.rounds[first..].iter_mut().map(|(_, at, _)| at))?;
        samples.values.resize(place + count * series.metrics.len(), None);
        for metric in 0..series.metrics.len() {
            columns.metric(metric, series, &masks, &mut samples.values[place..])?;
        }
    }
    columns.finish()?;
    Ok(samples)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;

//! A batch's columns: what the differences are taken to. How a difference becomes bytes is the business of a [`Sink`] and
//! its [`Source`]: plain integers here, the dense coding in `dense.rs`. Module `batch` draws the order.

use std::collections::BTreeMap;

use crate::precision::Precision;
use crate::sample::Sample;
use crate::table::{Series, SeriesTable};
use crate::time::MonoMs;
use crate::{DecodeError, Metric, fault, limits};

/// Step of a sample's time on the wire. A second boundary is decided ten times finer than any KPI needs.
pub const TIME_STEP_MS: u64 = 100;

/// The columns that a coding may tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    /// Samples of a series.
    Count,
    /// Time of a series' first sample.
    Start,
    /// Times of the later ones.
    Time,
    /// A metric's first value in the batch: there is nothing yet to take a difference to.
    First,
    /// A metric's values.
    Value(Metric),
}

/// Where columns go.
pub(crate) trait Sink {
    /// Takes a sample's outcome and the mask of its absent metrics; `before` is the mask of the sample before it in its
    /// series, 0 for the first.
    fn state(&mut self, metrics: &[Metric], before: u64, outcome: u32, absent: u64);
    fn residual(&mut self, column: Column, residual: i64);
}

/// Where columns come from: what [`Sink`] took, in the same order.
pub(crate) trait Source {
    /// Returns outcome and mask.
    fn state(&mut self, metrics: &[Metric], before: u64) -> Result<(u64, u64), DecodeError>;
    fn residual(&mut self, column: Column) -> Result<i64, DecodeError>;
    /// Tells that all samples are read: nothing may be left.
    fn finish(&mut self) -> Result<(), DecodeError>;
}

/// Finds the place of a metric's base, if the series has it before the metric itself.
pub(crate) fn base_place(metrics: &[Metric], metric: Metric) -> Option<usize> {
    let base = metric.info().base?;
    let own = metrics.iter().position(|m| *m == metric)?;
    metrics[..own].iter().position(|m| *m == base)
}

pub(crate) fn absence_mask(values: &[Option<i64>]) -> u64 {
    values.iter().enumerate().filter(|(_, v)| v.is_none()).fold(0, |mask, (place, _)| mask | 1 << place)
}

/// The last code of each metric, whichever series it was in: what the next one is coded against.
type LastCodes = BTreeMap<Metric, i64>;

/// Returns the code to take a difference to, and the column it belongs to.
fn expected(metric: Metric, base: Option<i64>, last: Option<i64>) -> (i64, Column) {
    let known = base.or(last);
    (known.unwrap_or(0), if known.is_some() { Column::Value(metric) } else { Column::First })
}

/// Takes samples apart into columns.
pub(crate) struct ColumnWriter<'a> {
    sink: &'a mut dyn Sink,
    last: LastCodes,
}

impl<'a> ColumnWriter<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink) -> Self {
        ColumnWriter { sink, last: LastCodes::default() }
    }

    pub(crate) fn counts(&mut self, samples: &[&Sample], series: usize) {
        let mut counts = vec![0i64; series];
        for sample in samples {
            counts[usize::from(sample.series.0)] += 1;
        }
        let mut before = 0;
        for count in counts {
            self.sink.residual(Column::Count, count - before);
            before = count;
        }
    }

    /// Writes the samples of one series.
    pub(crate) fn series(&mut self, from: MonoMs, series: &Series, group: &[&Sample]) {
        let mut before = 0;
        for sample in group {
            let absent = absence_mask(&sample.values);
            self.sink.state(&series.metrics, before, u32::from(sample.outcome.code()), absent);
            before = absent;
        }
        self.times(from, interval_steps(series), group);
        for (place, metric) in series.metrics.iter().enumerate() {
            self.metric(*metric, place, base_place(&series.metrics, *metric), group);
        }
    }

    fn times(&mut self, from: MonoMs, interval: i64, group: &[&Sample]) {
        let mut expected = steps_of(from);
        let mut column = Column::Start;
        for sample in group {
            let at = steps_of(sample.at);
            self.sink.residual(column, at.wrapping_sub(expected));
            (expected, column) = (at.wrapping_add(interval), Column::Time);
        }
    }

    fn metric(&mut self, metric: Metric, place: usize, base: Option<usize>, group: &[&Sample]) {
        let precision = metric.info().precision;
        let mut last = self.last.get(&metric).copied();
        for sample in group {
            let Some(value) = sample.values[place] else { continue };
            let code = precision.code(value);
            let (expected, column) = expected(metric, base_code(precision, base, &sample.values), last);
            self.sink.residual(column, code.wrapping_sub(expected));
            last = Some(code);
        }
        self.last.extend(last.map(|code| (metric, code)));
    }
}

/// The code of a sample's base metric in the precision of the metric that is coded against it.
fn base_code(precision: Precision, base: Option<usize>, values: &[Option<i64>]) -> Option<i64> {
    values[base?].map(|value| precision.code(value))
}

/// Monotonic time in wire steps; the number wraps only after the sun is gone.
fn steps_of(at: MonoMs) -> i64 {
    i64::try_from((at.0.saturating_add(TIME_STEP_MS / 2)) / TIME_STEP_MS).unwrap_or(i64::MAX)
}

/// A series' interval in wire steps.
fn interval_steps(series: &Series) -> i64 {
    i64::from(series.interval_s).saturating_mul(1000 / TIME_STEP_MS as i64)
}

/// Puts columns together.
pub(crate) struct ColumnReader<'a> {
    source: &'a mut dyn Source,
    last: LastCodes,
}

impl<'a> ColumnReader<'a> {
    pub(crate) fn new(source: &'a mut dyn Source) -> Self {
        ColumnReader { source, last: LastCodes::default() }
    }

    /// Reads how many samples each series has; together they stay within [`limits`].
    pub(crate) fn counts(&mut self, table: &SeriesTable) -> Result<Vec<usize>, DecodeError> {
        let (mut before, mut total, mut places) = (0i64, 0usize, 0usize);
        let mut counts = Vec::with_capacity(table.series.len());
        for series in &table.series {
            before = before.wrapping_add(self.source.residual(Column::Count)?);
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

    /// Reads one sample's outcome and the mask of its absent metrics.
    pub(crate) fn state(&mut self, series: &Series, before: u64) -> Result<(u64, u64), DecodeError> {
        self.source.state(&series.metrics, before)
    }

    /// Reads the times of a series' samples.
    pub(crate) fn times<'t>(
        &mut self,
        from: MonoMs,
        series: &Series,
        times: impl Iterator<Item = &'t mut MonoMs>,
    ) -> Result<(), DecodeError> {
        let mut expected = steps_of(from);
        let mut last = i64::MIN;
        let mut column = Column::Start;
        for time in times {
            let at = expected.wrapping_add(self.source.residual(column)?);
            (expected, column) = (at.wrapping_add(interval_steps(series)), Column::Time);
            if at < last {
                return Err(fault("values", "times of a series run backwards"));
            }
            last = at;
            let steps = u64::try_from(at).map_err(|_| fault("values", "a time before the boot"))?;
            *time = steps.checked_mul(TIME_STEP_MS).map(MonoMs).ok_or_else(|| fault("values", "a time past the end of time"))?;
        }
        Ok(())
    }

    /// Reads the metric at `place` of a series' samples, whose values lie one sample after the other in `values`.
    pub(crate) fn metric(&mut self, place: usize, series: &Series, masks: &[u64], values: &mut [Option<i64>]) -> Result<(), DecodeError> {
        let metric = series.metrics[place];
        let (base, precision) = (base_place(&series.metrics, metric), metric.info().precision);
        let mut last = self.last.get(&metric).copied();
        let samples = values.chunks_exact_mut(series.metrics.len()).zip(masks);
        for (values, _) in samples.filter(|(_, mask)| *mask >> place & 1 == 0) {
            let (expected, column) = expected(metric, base_code(precision, base, values), last);
            let code = expected.wrapping_add(self.source.residual(column)?);
            values[place] = Some(precision.value(code).ok_or_else(|| fault("values", "out of range"))?);
            last = Some(code);
        }
        self.last.extend(last.map(|code| (metric, code)));
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        self.source.finish()
    }
}

/// The plain coding: integers that the schema alone can read.
#[derive(Debug, Default)]
pub(crate) struct PlainSink {
    pub(crate) outcomes: SparseWriter,
    pub(crate) absent: SparseWriter,
    values: Vec<i64>,
    zeros: i64,
}

impl Sink for PlainSink {
    fn state(&mut self, _: &[Metric], _: u64, outcome: u32, absent: u64) {
        self.outcomes.next(u64::from(outcome));
        self.absent.next(absent);
    }

    fn residual(&mut self, _: Column, residual: i64) {
        if residual == 0 {
            self.zeros += 1;
        } else {
            self.end_zeros();
            self.values.push(residual);
        }
    }
}

impl PlainSink {
    fn end_zeros(&mut self) {
        if self.zeros > 0 {
            self.values.extend([0, self.zeros - 1]);
            self.zeros = 0;
        }
    }

    pub(crate) fn values(&mut self) -> Vec<i64> {
        self.end_zeros();
        std::mem::take(&mut self.values)
    }
}

/// Collects (skipped, value) pairs for the entries that are not zero.
#[derive(Debug, Default)]
pub(crate) struct SparseWriter {
    pub(crate) pairs: Vec<u64>,
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

/// Reads the plain coding.
pub(crate) struct PlainSource<'a> {
    outcomes: SparseReader,
    absent: SparseReader,
    values: std::slice::Iter<'a, i64>,
    zeros: i64,
}

impl<'a> PlainSource<'a> {
    pub(crate) fn new(outcomes: &[u32], absent: &[u64], values: &'a [i64]) -> Self {
        let outcomes = outcomes.iter().map(|v| u64::from(*v)).collect();
        PlainSource {
            outcomes: SparseReader::new(outcomes, "outcomes"),
            absent: SparseReader::new(absent.to_vec(), "absent"),
            values: values.iter(),
            zeros: 0,
        }
    }
}

impl Source for PlainSource<'_> {
    fn state(&mut self, _: &[Metric], _: u64) -> Result<(u64, u64), DecodeError> {
        Ok((self.outcomes.next()?, self.absent.next()?))
    }

    fn residual(&mut self, _: Column) -> Result<i64, DecodeError> {
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

    fn finish(&mut self) -> Result<(), DecodeError> {
        if self.zeros > 0 || self.values.next().is_some() {
            return Err(fault("values", "more than the samples need"));
        }
        self.outcomes.finish()?;
        self.absent.finish()
    }
}

/// Gives back what [`SparseWriter`] took.
struct SparseReader {
    pairs: std::vec::IntoIter<u64>,
    field: &'static str,
    /// Zeros before the next value, and that value.
    next: Option<(u64, u64)>,
}

impl SparseReader {
    fn new(pairs: Vec<u64>, field: &'static str) -> Self {
        SparseReader { pairs: pairs.into_iter(), field, next: None }
    }

    fn next(&mut self) -> Result<u64, DecodeError> {
        if self.next.is_none()
            && let Some(skipped) = self.pairs.next()
        {
            let value = self.pairs.next().ok_or_else(|| fault(self.field, "odd number of entries"))?;
            self.next = Some((skipped, value));
        }
        match &mut self.next {
            Some((0, value)) => {
                let value = *value;
                self.next = None;
                Ok(value)
            }
            Some((skipped, _)) => {
                *skipped -= 1;
                Ok(0)
            }
            None => Ok(0),
        }
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        if self.next.is_some() || self.pairs.next().is_some() { Err(fault(self.field, "past the end")) } else { Ok(()) }
    }
}

//! The dense coding of columns: the differences of `columns.rs` through a binary arithmetic coder that learns as it goes.
//!
//! ```text
//! state of a sample   per metric: absent?      learnt by (metric, absent in the series' sample before?)
//!                     outcome                  a number
//! a number            zero?                    learnt by what the number before it in its column was: 0, small, large
//!                     negative?
//!                     length in bits, unary    learnt by place
//!                     second highest bit       learnt by length
//!                     the other bits, plain
//! ```
//! Every column (the counts, the first times, the later times, the first value of any metric, each metric) learns for
//! itself, and forgets with the batch, so a batch is read without any other.
//!
//! The coder is LZMA's: 32 bits of range, a byte out whenever the upper eight are known, a carry that runs back through the
//! bytes out. Its first byte, always zero, is left out, and so are zeros at the end: past it, zeros are read.

use std::collections::BTreeMap;

use crate::columns::{Column, Sink, Source};
use crate::{DecodeError, Metric, fault};

/// Below this range, a byte is moved out.
const RANGE_LOW: u32 = 1 << 24;

/// A chance of one is this many parts.
const CHANCE_BITS: u32 = 16;

/// A chance stays this far from never and always, so that a surprise costs twelve bits and not an infinity.
const CHANCE_EDGE: i32 = 1 << 4;

/// How many bits a chance remembers: a batch is short, and a line that changes must be followed.
const MEMORY: u8 = 24;

/// Lengths above this share what they learn.
const LENGTHS: usize = 24;

/// The chance that the next bit is one, as learnt.
#[derive(Debug, Clone, Copy)]
struct Chance {
    one: u16,
    seen: u8,
}

impl Default for Chance {
    fn default() -> Self {
        Chance { one: 1 << (CHANCE_BITS - 1), seen: 0 }
    }
}

impl Chance {
    /// Splits a range: the part for a one.
    fn part(self, range: u32) -> u32 {
        (range >> CHANCE_BITS) * u32::from(self.one)
    }

    /// Moves towards the bit seen: fast at first, then by a step that [`MEMORY`] bounds.
    fn learn(&mut self, bit: bool) {
        self.seen = (self.seen + 1).min(MEMORY);
        let whole = 1 << CHANCE_BITS;
        let one = i32::from(self.one);
        let aim = if bit { whole } else { 0 };
        let moved = one + (aim - one) * 2 / (2 * i32::from(self.seen) + 3);
        self.one = u16::try_from(moved.clamp(CHANCE_EDGE, whole - CHANCE_EDGE)).unwrap_or(u16::MAX);
    }
}

/// Codes bits one way or the other: writing takes the bit and returns it, reading returns the one it finds. With one
/// description of a number for both ways, the two cannot differ.
trait Coder {
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool;
    /// A bit that nothing is known about.
    fn plain(&mut self, bit: bool) -> bool;
}

/// Writes bits.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
    low: u64,
    range: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Writer { out: Vec::new(), low: 0, range: u32::MAX }
    }
}

impl Writer {
    fn narrowed(&mut self) {
        while self.range < RANGE_LOW {
            self.range <<= 8;
            self.shift();
        }
    }

    /// Moves the upper byte of the 32 bits out; a carry above it goes into the bytes out already.
    fn shift(&mut self) {
        if self.low > u64::from(u32::MAX) {
            for byte in self.out.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        self.out.push((self.low >> 24) as u8);
        self.low = (self.low << 8) & u64::from(u32::MAX);
    }

    fn finish(mut self) -> Vec<u8> {
        // Of all numbers in the range, the one with the most zeros at its end.
        let last = self.low + u64::from(self.range) - 1;
        let zeros = (0..=32).rev().find(|zeros| (last >> zeros) << zeros >= self.low).unwrap_or(0);
        self.low = (last >> zeros) << zeros;
        for _ in 0..4 {
            self.shift();
        }
        let length = self.out.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.out.truncate(length);
        self.out
    }
}

impl Coder for Writer {
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool {
        let part = chance.part(self.range);
        if bit {
            self.range = part;
        } else {
            self.low += u64::from(part);
            self.range -= part;
        }
        chance.learn(bit);
        self.narrowed();
        bit
    }

    fn plain(&mut self, bit: bool) -> bool {
        self.range >>= 1;
        if !bit {
            self.low += u64::from(self.range);
        }
        self.narrowed();
        bit
    }
}

/// Reads bits.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    code: u32,
    range: u32,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Reader { bytes, place: 0, code: 0, range: u32::MAX };
        (0..4).for_each(|_| reader.shift());
        reader
    }

    fn shift(&mut self) {
        let byte = self.bytes.get(self.place).copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
        self.place += 1;
    }

    fn take(&mut self, part: u32) -> bool {
        let bit = self.code < part;
        if bit {
            self.range = part;
        } else {
            self.code -= part;
            self.range -= part;
        }
        bit
    }

    fn narrowed(&mut self) {
        while self.range < RANGE_LOW {
            self.range <<= 8;
            self.shift();
        }
    }
}

impl Coder for Reader<'_> {
    fn bit(&mut self, chance: &mut Chance, _: bool) -> bool {
        let bit = self.take(chance.part(self.range));
        chance.learn(bit);
        self.narrowed();
        bit
    }

    fn plain(&mut self, _: bool) -> bool {
        let half = self.range >> 1;
        let bit = self.code < half;
        if !bit {
            self.code -= half;
        }
        self.range = half;
        self.narrowed();
        bit
    }
}

/// What a column has taught.
#[derive(Debug, Default)]
struct Numbers {
    zero: [Chance; 3],
    negative: Chance,
    longer: [Chance; LENGTHS],
    second: [Chance; LENGTHS],
    /// What the number before was: 0 zero, 1 small, 2 large.
    before: usize,
}

impl Numbers {
    fn code(&mut self, coder: &mut dyn Coder, number: i64) -> i64 {
        let is_zero = coder.bit(&mut self.zero[self.before], number == 0);
        let magnitude = if is_zero { 0 } else { number.unsigned_abs() };
        let number = if is_zero { 0 } else { self.code_other(coder, number < 0, magnitude) };
        self.before = match number.unsigned_abs() {
            0 => 0,
            1..=3 => 1,
            _ => 2,
        };
        number
    }

    fn code_other(&mut self, coder: &mut dyn Coder, negative: bool, magnitude: u64) -> i64 {
        let negative = coder.bit(&mut self.negative, negative);
        let mut length = 1u32;
        while length < u64::BITS && coder.bit(&mut self.longer[place(length)], length < magnitude.checked_ilog2().unwrap_or(0) + 1) {
            length += 1;
        }
        let mut found = 1u64;
        for left in (0..length - 1).rev() {
            let bit = magnitude >> left & 1 == 1;
            let is_second = left + 2 == length;
            let bit = if is_second { coder.bit(&mut self.second[place(length)], bit) } else { coder.plain(bit) };
            found = found << 1 | u64::from(bit);
        }
        let found = found as i64;
        if negative { found.wrapping_neg() } else { found }
    }
}

fn place(length: u32) -> usize {
    (length as usize).min(LENGTHS) - 1
}

/// Everything learnt in a batch.
#[derive(Debug, Default)]
struct Learnt {
    columns: BTreeMap<Column, Numbers>,
    outcomes: Numbers,
    absent: BTreeMap<(Metric, bool), Chance>,
}

impl Learnt {
    fn residual(&mut self, coder: &mut dyn Coder, column: Column, residual: i64) -> i64 {
        self.columns.entry(column).or_default().code(coder, residual)
    }

    fn state(&mut self, coder: &mut dyn Coder, metrics: &[Metric], before: u64, (outcome, absent): (u32, u64)) -> (i64, u64) {
        let outcome = self.outcomes.code(coder, i64::from(outcome));
        let mut found = 0;
        for (place, metric) in metrics.iter().enumerate() {
            let chance = self.absent.entry((*metric, before >> place & 1 == 1)).or_default();
            found |= u64::from(coder.bit(chance, absent >> place & 1 == 1)) << place;
        }
        (outcome, found)
    }
}

/// Takes a batch's columns in.
#[derive(Debug, Default)]
pub(crate) struct DenseSink {
    learnt: Learnt,
    writer: Writer,
}

impl DenseSink {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.writer.finish()
    }
}

impl Sink for DenseSink {
    fn state(&mut self, metrics: &[Metric], before: u64, outcome: u32, absent: u64) {
        self.learnt.state(&mut self.writer, metrics, before, (outcome, absent));
    }

    fn residual(&mut self, column: Column, residual: i64) {
        self.learnt.residual(&mut self.writer, column, residual);
    }
}

/// Gives a batch's columns back.
#[derive(Debug)]
pub(crate) struct DenseSource<'a> {
    learnt: Learnt,
    reader: Reader<'a>,
}

impl<'a> DenseSource<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        DenseSource { learnt: Learnt::default(), reader: Reader::new(bytes) }
    }
}

impl Source for DenseSource<'_> {
    fn state(&mut self, metrics: &[Metric], before: u64) -> Result<(u64, u64), DecodeError> {
        let (outcome, absent) = self.learnt.state(&mut self.reader, metrics, before, (0, 0));
        Ok((u64::try_from(outcome).map_err(|_| fault("columns", "a negative outcome"))?, absent))
    }

    fn residual(&mut self, column: Column) -> Result<i64, DecodeError> {
        Ok(self.learnt.residual(&mut self.reader, column, 0))
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        // A writer never leaves more bytes than a reader takes.
        if self.reader.place < self.reader.bytes.len() { Err(fault("columns", "more than the samples need")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(numbers: &[(Column, i64)]) -> Vec<u8> {
        let mut sink = DenseSink::default();
        numbers.iter().for_each(|(column, number)| sink.residual(*column, *number));
        sink.finish()
    }

    fn read_back(bytes: &[u8], numbers: &[(Column, i64)]) -> Vec<i64> {
        let mut source = DenseSource::new(bytes);
        let found = numbers.iter().map(|(column, _)| source.residual(*column).unwrap()).collect();
        source.finish().unwrap();
        found
    }

    fn any_number() -> impl Strategy<Value = (Column, i64)> {
        let columns = prop_oneof![Just(Column::Start), Just(Column::Time), Just(Column::Value(Metric::Sent))];
        let edges = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MIN + 1), Just(-1)];
        (columns, prop_oneof![8 => Just(0), 4 => -9i64..9, 2 => any::<i32>().prop_map(i64::from), 1 => any::<i64>(), 1 => edges])
    }

    #[test]
    fn what_is_always_the_same_costs_next_to_nothing() {
        assert!(written(&[(Column::Time, 0); 1_000]).len() <= 12);
        assert_eq!(written(&[]), [0u8; 0]);
    }

    #[test]
    fn noise_costs_its_own_bits_and_little_more() {
        // 0 to 7, each as likely: three bits and a sign that never changes.
        let numbers: Vec<_> = (0..800i64).map(|n| (Column::Time, n * 5 % 8)).collect();
        let bytes = written(&numbers);
        assert!(bytes.len() <= 800 * 3 / 8 * 11 / 10, "{} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in proptest::collection::vec(any_number(), 0..400)) {
            let bytes = written(&numbers);
            let plain: Vec<i64> = numbers.iter().map(|(_, number)| *number).collect();
            prop_assert_eq!(read_back(&bytes, &numbers), plain);
        }

        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut source = DenseSource::new(&bytes);
            for _ in 0..500 { source.residual(Column::Time).unwrap(); }
            let _ = source.state(&[Metric::Sent, Metric::Received], 1);
            let _ = source.finish();
        }
    }
}

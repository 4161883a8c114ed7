//! Rounding on the wire: a value becomes a code, and codes that are near stay near when values are.

/// What the wire keeps of a metric's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Multiples of the step.
    Step(i64),
    /// Multiples of the step below 256 steps, and eight significant bits above: an error of at most 0.4 %. Round-trip
    /// times in steps of 10 µs are exact to the step below 2.56 ms; a 40 ms one keeps 160 µs, far below what two rounds
    /// differ by, and its difference to the next takes one byte instead of two.
    Significant(i64),
}

/// Codes per doubling once a value has more than eight significant bits.
const CODES_PER_OCTAVE: u64 = 128;
/// Up to here a code is the number of steps.
const EXACT_STEPS: u64 = 2 * CODES_PER_OCTAVE;

impl Precision {
    /// Returns the code of a value: monotonic, and odd (`code(-v) == -code(v)`).
    pub const fn code(self, value: i64) -> i64 {
        match self {
            Precision::Step(step) => round(value, step),
            Precision::Significant(step) => {
                let steps = round(value, step);
                let code = significant_code(steps.unsigned_abs());
                if steps < 0 { -code } else { code }
            }
        }
    }

    /// Returns the value of a code; `None` if it does not fit 64 bits. `code(value(c)) == c` for every code made by
    /// [`Precision::code`].
    pub fn value(self, code: i64) -> Option<i64> {
        match self {
            Precision::Step(step) => code.checked_mul(step),
            Precision::Significant(step) => {
                let steps = i64::try_from(significant_steps(code.unsigned_abs())?).ok()?;
                steps.checked_mul(code.signum())?.checked_mul(step)
            }
        }
    }
}

/// Rounds to the nearest step, halves away from zero.
const fn round(value: i64, step: i64) -> i64 {
    let (whole, rest) = (value / step, value % step);
    if rest.unsigned_abs() * 2 >= step.unsigned_abs() { whole + rest.signum() } else { whole }
}

const fn significant_code(steps: u64) -> i64 {
    if steps < EXACT_STEPS {
        return steps as i64;
    }
    // `steps` has at least nine bits, so the shift is at least one. Rounding up may carry into the next octave, whose
    // first code is the one after this octave's last: the sum below needs no special case.
    let shift = steps.ilog2() - EXACT_STEPS.ilog2() + 1;
    let mantissa = (steps >> shift) + (steps >> (shift - 1) & 1);
    (EXACT_STEPS + (shift as u64 - 1) * CODES_PER_OCTAVE + (mantissa - CODES_PER_OCTAVE)) as i64
}

fn significant_steps(code: u64) -> Option<u64> {
    if code < EXACT_STEPS {
        return Some(code);
    }
    let (octave, place) = ((code - EXACT_STEPS) / CODES_PER_OCTAVE, (code - EXACT_STEPS) % CODES_PER_OCTAVE);
    let shift = u32::try_from(octave + 1).ok().filter(|shift| *shift < u64::BITS - EXACT_STEPS.ilog2())?;
    Some((CODES_PER_OCTAVE + place) << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_are_exact_and_neighbours_stay_neighbours() {
        let rtt = Precision::Significant(10);
        assert_eq!(rtt.value(rtt.code(2_550)), Some(2_550));
        assert_eq!(rtt.code(2_560), rtt.code(2_550) + 1);
        assert_eq!(rtt.value(rtt.code(40_120)), Some(40_160));
        for steps in 0..5_000 {
            assert!((0..=1).contains(&(rtt.code(steps * 10 + 10) - rtt.code(steps * 10))), "a gap at {steps}");
        }
    }

    proptest! {
        #[test]
        fn rounding_is_close_and_done_once(value in -1_000_000_000_000i64..1_000_000_000_000) {
            let rtt = Precision::Significant(10);
            let code = rtt.code(value);
            let back = rtt.value(code).unwrap();
            prop_assert!((back - value).abs() <= 5.max(value.abs() / 255), "{value} came back as {back}");
            prop_assert_eq!(rtt.code(back), code);
            prop_assert_eq!(rtt.code(-value), -code);
        }

        #[test]
        fn any_number_has_a_code_and_any_code_a_value_or_none(number in any::<i64>()) {
            for precision in [Precision::Step(1), Precision::Step(3600), Precision::Significant(10), Precision::Significant(1)] {
                let _ = precision.code(number);
                let _ = precision.value(number);
            }
        }
    }
}

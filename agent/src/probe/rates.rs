//! Rates out of counters that wrap, restart and jump (RFC 2863 section 3.1.6).
//!
//! A rate is told only when nothing stands between two readings that would make it a guess: a device that restarted, a
//! discontinuity it reported, a counter that ran backwards although it is too wide to wrap.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How wide a counter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// Only SNMP devices still count so.
    #[cfg_attr(not(feature = "snmp"), allow(dead_code))]
    Bits32,
    Bits64,
}

/// One interface's octets at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub at: Instant,
    pub width: Width,
    pub octets_in: u64,
    pub octets_out: u64,
    /// `ifCounterDiscontinuityTime`, or anything else that changes when counting started afresh.
    pub discontinuity: u64,
    /// The device's own uptime.
    pub uptime: Option<Duration>,
    /// The interface's nominal speed, where it is known.
    pub speed_bps: Option<u64>,
}

/// Bits per second in and out, each only where it can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub receive_bps: Option<u64>,
    pub transmit_bps: Option<u64>,
}

/// What was read last, by interface.
#[derive(Debug, Default)]
pub(super) struct Memory {
    last: HashMap<String, Reading>,
}

/// Most interfaces remembered of one device: a chassis switch with its VLANs.
const REMEMBERED: usize = 1_024;

impl Memory {
    /// Takes a reading in and returns the rates since the last one.
    pub fn rates(&mut self, interface: &str, reading: Reading) -> Rates {
        if self.last.len() >= REMEMBERED && !self.last.contains_key(interface) {
            self.last.clear();
        }
        let before = self.last.insert(interface.to_owned(), reading);
        before.map_or_else(Rates::default, |before| rates(&before, &reading))
    }
}

fn rates(before: &Reading, after: &Reading) -> Rates {
    let elapsed = after.at.saturating_duration_since(before.at);
    let restarted = matches!((before.uptime, after.uptime), (Some(b), Some(a)) if a < b);
    if elapsed < SHORTEST || restarted || before.discontinuity != after.discontinuity || before.width != after.width {
        return Rates::default();
    }
    let rate = |before: u64, now: u64| {
        let bps = (u128::from(moved(before, now, after.width)?) * 8_000_000 / elapsed.as_micros()) as u64;
        // A reset that nobody reported looks like a wrap and gives a rate the line cannot have.
        after.speed_bps.is_none_or(|speed| speed == 0 || bps <= speed + speed / 10).then_some(bps)
    };
    Rates { receive_bps: rate(before.octets_in, after.octets_in), transmit_bps: rate(before.octets_out, after.octets_out) }
}

/// Below this a device's own counter refresh (some do it once a second) shows as bursts.
const SHORTEST: Duration = Duration::from_secs(1);

fn moved(before: u64, after: u64, width: Width) -> Option<u64> {
    match (after.checked_sub(before), width) {
        (Some(octets), _) => Some(octets),
        // Wrapped once: at 100 Mbit/s that takes 5.7 minutes, so a faster line needs the wide counters anyway.
        (None, Width::Bits32) => Some((1 << 32) - before.min(1 << 32) + after),
        // 64 bits take 4,600 years at 1 Gbit/s: this is a reset.
        (None, Width::Bits64) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(start: Instant, after_s: u64, octets: u64, width: Width) -> Reading {
        let at = start + Duration::from_secs(after_s);
        Reading {
            at,
            width,
            octets_in: octets,
            octets_out: 0,
            discontinuity: 0,
            uptime: Some(Duration::from_secs(1_000 + after_s)),
            speed_bps: None,
        }
    }

    fn receive(before: Reading, after: Reading) -> Option<u64> {
        let mut memory = Memory::default();
        assert_eq!(memory.rates("eth0", before), Rates::default(), "one reading is no rate");
        memory.rates("eth0", after).receive_bps
    }

    #[test]
    fn octets_become_bits_per_second() {
        let start = Instant::now();
        assert_eq!(receive(reading(start, 0, 1_000, Width::Bits64), reading(start, 10, 2_250, Width::Bits64)), Some(1_000));
    }

    #[test]
    fn a_narrow_counter_wraps_and_a_wide_one_resets() {
        let start = Instant::now();
        let near_end = (1 << 32) - 500;
        assert_eq!(receive(reading(start, 0, near_end, Width::Bits32), reading(start, 8, 500, Width::Bits32)), Some(1_000));
        assert_eq!(receive(reading(start, 0, near_end, Width::Bits64), reading(start, 8, 500, Width::Bits64)), None);
    }

    #[test]
    fn nothing_is_told_across_a_restart_or_a_discontinuity() {
        let start = Instant::now();
        let before = reading(start, 0, 5_000, Width::Bits32);
        let after = reading(start, 10, 6_000, Width::Bits32);
        assert_eq!(receive(before, Reading { uptime: Some(Duration::from_secs(5)), ..after }), None);
        assert_eq!(receive(before, Reading { discontinuity: 77, ..after }), None);
        assert_eq!(receive(before, Reading { width: Width::Bits64, ..after }), None, "narrow and wide counters are different counters");
        assert_eq!(receive(before, Reading { at: start, ..after }), None);
    }

    #[test]
    fn an_unreported_reset_of_a_narrow_counter_is_not_a_burst() {
        // 3,000,000,000 to 10 is either a reset or 10 Gbit/s on a 100 Mbit/s line.
        let start = Instant::now();
        let before = Reading { speed_bps: Some(100_000_000), ..reading(start, 0, 3_000_000_000, Width::Bits32) };
        let after = Reading { speed_bps: Some(100_000_000), ..reading(start, 1, 10, Width::Bits32) };
        assert_eq!(receive(before, after), None);
    }
}

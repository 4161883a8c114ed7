//! How well a link that is up carries traffic, by slots of the clock.
//!
//! A slot pools the packets and RTTs of the link's own anchors. It is *bad* at `degraded_loss` or more, at an RTT p95
//! of the access technology's limit or more, or when the modem was below the contracted generation; *clean* below
//! `clean_loss` and `clean_rtt_ratio` of the limit. A slot in which reach changed counts neither way. `degraded_slots`
//! bad ones among the last `slot_window` make the link degraded from the end of the last of them; `clean_slots` clean
//! ones in a row end it, from the end of the last.

use std::collections::VecDeque;

use rusta_wire::UnixMs;

use super::reach::millis;
use super::{Round, Word};
use crate::config::Thresholds;
use crate::inventory::Access;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Bad,
    Fair,
    Clean,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    sent: u64,
    received: u64,
    rtts_us: Vec<u32>,
    below_contract: bool,
}

/// A slot that is still counted.
#[derive(Debug, Clone)]
struct Open {
    index: i64,
    from: UnixMs,
    until: UnixMs,
    tally: Tally,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Quality {
    /// The open slot, if it holds anything.
    open: Option<Open>,
    /// Closed slots within the window, oldest first.
    closed: VecDeque<(i64, Verdict)>,
    /// Slots up to this one do not count: reach changed in it.
    void_until: Option<i64>,
    degraded: bool,
}

impl Quality {
    pub(super) fn degraded(&self) -> bool {
        self.degraded
    }

    pub(super) fn resume(&mut self, degraded: bool) {
        self.degraded = degraded;
    }

    pub(super) fn observe(&mut self, round: &Round, thresholds: &Thresholds) {
        let Some(tally) = self.tally(round.at, thresholds) else { return };
        let (sent, received) = round.packets.unwrap_or((1, u32::from(round.word() == Word::Answered)));
        tally.sent += u64::from(sent);
        tally.received += u64::from(received.min(sent));
        tally.rtts_us.extend(round.rtt_us);
    }

    /// Takes the radio generation the modem was on.
    pub(super) fn generation(&mut self, at: UnixMs, generation: i64, access: Option<Access>, thresholds: &Thresholds) {
        let contract = contracted_generation(access);
        if let Some(tally) = self.tally(at, thresholds) {
            tally.below_contract |= generation > 0 && generation < contract;
        }
    }

    /// Forgets everything up to the end of the slot `at` lies in: reach changed.
    pub(super) fn restart(&mut self, at: UnixMs, thresholds: &Thresholds) {
        *self = Quality { void_until: Some(slot_of(at, thresholds)), ..Quality::default() };
    }

    /// Closes the open slot if it ends at or before `at`, and returns its end.
    pub(super) fn close(&mut self, at: UnixMs, access: Option<Access>, thresholds: &Thresholds) -> Option<UnixMs> {
        let Open { index, until, tally, .. } = self.open.take_if(|open| open.until <= at)?;
        if tally.sent > 0 {
            self.closed.push_back((index, tally.verdict(access, thresholds)));
        }
        while self.closed.len() > 1 && self.closed.front().is_some_and(|(i, _)| *i <= index - i64::from(thresholds.slot_window)) {
            self.closed.pop_front();
        }
        let count = |verdict| self.closed.iter().filter(|(_, v)| *v == verdict).count();
        let clean_run = self.closed.iter().rev().take_while(|(_, v)| *v == Verdict::Clean).count();
        if count(Verdict::Bad) >= thresholds.degraded_slots as usize {
            self.degraded = true;
        }
        if clean_run >= thresholds.clean_slots as usize {
            self.degraded = false;
        }
        Some(until)
    }

    /// Returns the tally `at` belongs to; `None` in a void slot or one already left behind.
    fn tally(&mut self, at: UnixMs, thresholds: &Thresholds) -> Option<&mut Tally> {
        if self.open.is_none() {
            let index = slot_of(at, thresholds);
            if self.void_until.is_some_and(|until| index <= until) {
                return None;
            }
            let bound = |index: i64| UnixMs(index * slot_ms(thresholds));
            self.open = Some(Open { index, from: bound(index), until: bound(index + 1), tally: Tally::default() });
        }
        self.open.as_mut().filter(|open| open.from <= at && at < open.until).map(|open| &mut open.tally)
    }
}

impl Tally {
    fn verdict(mut self, access: Option<Access>, thresholds: &Thresholds) -> Verdict {
        let loss = 1.0 - self.received as f64 / self.sent as f64;
        let limit_us = thresholds.degraded_rtt.of(access).as_micros() as f64;
        let rtt_us = f64::from(p95(&mut self.rtts_us).unwrap_or(0));
        if loss >= thresholds.degraded_loss || rtt_us >= limit_us || self.below_contract {
            Verdict::Bad
        } else if loss < thresholds.clean_loss && rtt_us < limit_us * thresholds.clean_rtt_ratio {
            Verdict::Clean
        } else {
            Verdict::Fair
        }
    }
}

/// Returns the nearest-rank 95th percentile.
fn p95(values: &mut [u32]) -> Option<u32> {
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

fn slot_of(at: UnixMs, thresholds: &Thresholds) -> i64 {
    at.0.div_euclid(slot_ms(thresholds))
}

fn slot_ms(thresholds: &Thresholds) -> i64 {
    millis(thresholds.slot).max(1)
}

/// Returns the generation an access is sold as; 0 where there is no radio.
fn contracted_generation(access: Option<Access>) -> i64 {
    match access {
        Some(Access::Nr) => 5,
        Some(Access::Lte | Access::TdLte) => 4,
        Some(Access::Umts) => 3,
        Some(Access::Gsm) => 2,
        _ => 0,
    }
}

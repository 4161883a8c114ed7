//! Batches that wait aside, because an upload with nothing else in it was turned away. Pure.
//!
//! A batch that one collector or one proxy on the way does not let through must not stand in front of the others, and must not be
//! lost either. It is tried again, each time later. When nothing at all passed, no batch is to blame: the first success afterwards
//! lets all of those go at once, and until then they only let others go first: there is always something to try.

use std::time::Duration;

use rusta_wire::MonoMs;

use crate::spool::Ticket;

/// First time aside; each further time is twice as long.
const FIRST: Duration = Duration::from_secs(60);

/// Longest time aside: an upgraded collector gets what waited for it within the hour.
const LONGEST: Duration = Duration::from_secs(3600);

/// Most batches that wait aside. Past it the oldest entry is forgotten, so its batch is only tried sooner.
const MOST: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Wait {
    until: MonoMs,
    failures: u32,
    /// How many uploads had been stored when it failed last.
    stored: u64,
    /// Whether it failed both before and after an upload of others was stored.
    is_to_blame: bool,
}

/// Who waits aside, and until when.
#[derive(Debug, Default)]
pub struct Aside {
    /// In the order of the tickets.
    waits: Vec<(Ticket, Wait)>,
    stored: u64,
}

impl Aside {
    /// Lays a batch aside.
    pub fn lay(&mut self, ticket: Ticket, now: MonoMs) {
        let stored = self.stored;
        let place = self.find(ticket).unwrap_or_else(|place| {
            let is_full = self.waits.len() >= MOST;
            if is_full {
                self.waits.remove(0);
            }
            let place = place.saturating_sub(usize::from(is_full));
            self.waits.insert(place, (ticket, Wait { until: now, failures: 0, stored, is_to_blame: false }));
            place
        });
        let wait = &mut self.waits[place].1;
        wait.is_to_blame |= wait.failures > 0 && wait.stored < stored;
        wait.until = now + FIRST.saturating_mul(1 << wait.failures.min(16)).min(LONGEST);
        wait.failures += 1;
        wait.stored = stored;
    }

    /// Notes that an upload was stored: these are done, and who waits without proof against it may go again.
    pub fn stored(&mut self, tickets: &[Ticket], now: MonoMs) {
        self.stored += 1;
        self.forget(tickets);
        self.waits.iter_mut().filter(|(_, wait)| !wait.is_to_blame).for_each(|(_, wait)| wait.until = now);
    }

    /// Forgets batches that are done.
    pub fn forget(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            if let Ok(place) = self.find(*ticket) {
                self.waits.remove(place);
            }
        }
    }

    fn find(&self, ticket: Ticket) -> Result<usize, usize> {
        self.waits.binary_search_by_key(&ticket, |(ticket, _)| *ticket)
    }

    /// Lists who lets others go first, in order.
    pub fn waiting(&self, now: MonoMs) -> Vec<Ticket> {
        self.list(|wait| wait.until > now)
    }

    /// Lists who waits also when nobody else is there: others passed before and after it failed. In order.
    pub fn to_blame(&self, now: MonoMs) -> Vec<Ticket> {
        self.list(|wait| wait.until > now && wait.is_to_blame)
    }

    fn list(&self, who: impl Fn(&Wait) -> bool) -> Vec<Ticket> {
        self.waits.iter().filter(|(_, wait)| who(wait)).map(|(ticket, _)| *ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusta_wire::{BootId, Sequence};

    fn ticket(sequence: u64) -> Ticket {
        Ticket { boot: BootId(1), sequence: Sequence(sequence) }
    }

    #[test]
    fn who_is_to_blame_waits_longer_each_time_and_nobody_for_ever() {
        let mut aside = Aside::default();
        let mut now = MonoMs(0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            aside.lay(ticket(1), now);
            aside.stored(&[ticket(2)], now);
            let until = aside.waits[0].1.until;
            waits.push(until.since(now).as_secs());
            now = until;
            assert!(aside.waiting(now).is_empty());
        }
        assert_eq!(waits, [0, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600]);
    }

    #[test]
    fn when_nothing_passed_nobody_is_to_blame() {
        let mut aside = Aside::default();
        for n in 0..5 {
            (0..3).for_each(|failure| aside.lay(ticket(n), MonoMs(failure * 1_000_000)));
        }
        assert_eq!((aside.waiting(MonoMs(2_000_001)).len(), aside.to_blame(MonoMs(2_000_001)).len()), (5, 0));
        aside.stored(&[ticket(9)], MonoMs(2_000_001));
        assert_eq!(aside.waiting(MonoMs(2_000_001)).len(), 0);
    }

    #[test]
    fn the_list_has_an_end() {
        let mut aside = Aside::default();
        (0..10_000).for_each(|n| aside.lay(ticket(n), MonoMs(0)));
        assert_eq!(aside.waiting(MonoMs(1)).len(), MOST);
    }
}

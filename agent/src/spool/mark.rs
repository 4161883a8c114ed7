//! Marks: the spool's notes to itself in the journal, saying which batches were offered and which are done.
//!
//! A mark speaks of one or more boots. Marks add up: what one says, a later one never takes back. A mark is written after the
//! batch it speaks of and segments go oldest first, so no mark is needed longer than its segment. What orders and counts a
//! boot is named again in every segment that holds a batch of it.

use std::collections::HashMap;

use prost::Message;
use rusta_wire::{BatchId, BootId, Frame, FrameKind};

use super::Ticket;
use super::ranges::Ranges;

#[derive(Clone, PartialEq, Message)]
struct MarkMessage {
    #[prost(message, repeated, tag = "1")]
    boots: Vec<BootMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct BootMessage {
    #[prost(fixed64, tag = "1")]
    boot: u64,
    /// The next sequence number of the boot, if the mark knows.
    #[prost(uint64, tag = "2")]
    next: u64,
    /// Pairs of first sequence and length.
    #[prost(uint64, repeated, tag = "3")]
    offered: Vec<u64>,
    /// Pairs of first sequence and length.
    #[prost(uint64, repeated, tag = "4")]
    done: Vec<u64>,
    #[prost(uint64, tag = "5")]
    thinned: u64,
    #[prost(uint64, tag = "6")]
    dropped: u64,
    /// Boots with higher numbers came later; 0 is what spools of version 0.1 wrote.
    #[prost(uint64, tag = "7")]
    order: u64,
    #[prost(uint64, tag = "8")]
    lost: u64,
    #[prost(uint64, tag = "9")]
    refused: u64,
}

/// What is known of one boot.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub(super) next: u64,
    pub(super) offered: Ranges,
    pub(super) done: Ranges,
    pub(super) thinned: u64,
    pub(super) dropped: u64,
    pub(super) order: u64,
    pub(super) lost: u64,
    pub(super) refused: u64,
}

impl Life {
    fn message(&self, boot: BootId) -> BootMessage {
        BootMessage {
            boot: boot.0,
            next: self.next,
            offered: self.offered.flat(),
            done: self.done.flat(),
            thinned: self.thinned,
            dropped: self.dropped,
            order: self.order,
            lost: self.lost,
            refused: self.refused,
        }
    }
}

/// Says that batches are about to leave.
pub(super) fn offered(tickets: &[Ticket]) -> Option<Frame<'static>> {
    frame(tickets, |life, ticket| life.offered.insert(ticket.sequence.0, 1))
}

/// Says that batches need not be kept, each with the sequence numbers it covers.
pub(super) fn done(tickets: &[(Ticket, u32)]) -> Option<Frame<'static>> {
    frame(tickets, |life, (ticket, covers)| life.done.insert(ticket.sequence.0, u64::from(*covers)))
}

/// Names a boot: where it stands among the others, and its counters.
pub(super) fn note(boot: BootId, life: &Life) -> Option<Frame<'static>> {
    let told = Life { offered: Ranges::default(), done: Ranges::default(), ..life.clone() };
    encode(MarkMessage { boots: vec![told.message(boot)] })
}

fn frame<T: SpeaksOf>(said: &[T], note: impl Fn(&mut Life, &T)) -> Option<Frame<'static>> {
    let mut lives: Vec<(BootId, Life)> = Vec::new();
    for item in said {
        let boot = item.boot();
        let place = lives.iter().position(|(b, _)| *b == boot).unwrap_or_else(|| {
            lives.push((boot, Life::default()));
            lives.len() - 1
        });
        note(&mut lives[place].1, item);
    }
    encode(MarkMessage { boots: lives.iter().map(|(boot, life)| life.message(*boot)).collect() })
}

trait SpeaksOf {
    fn boot(&self) -> BootId;
}

impl SpeaksOf for Ticket {
    fn boot(&self) -> BootId {
        self.boot
    }
}

impl SpeaksOf for (Ticket, u32) {
    fn boot(&self) -> BootId {
        self.0.boot
    }
}

/// `None` if the mark is too large for a frame: no upload has so many batches.
fn encode(message: MarkMessage) -> Option<Frame<'static>> {
    Frame::new(FrameKind::Mark, message.encode_to_vec()).ok()
}

/// All marks of a journal, added up.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// As they appeared.
    pub(super) boots: Vec<BootId>,
    pub(super) lives: HashMap<BootId, Life>,
}

impl Summary {
    /// Adds one mark; bytes that are no mark say nothing.
    pub(super) fn take(&mut self, payload: &[u8]) {
        let Ok(message) = MarkMessage::decode(payload) else { return };
        for said in message.boots {
            let id = BootId(said.boot);
            if !self.boots.contains(&id) {
                self.boots.push(id);
            }
            let life = self.lives.entry(id).or_default();
            life.next = life.next.max(said.next);
            life.thinned = life.thinned.max(said.thinned);
            life.dropped = life.dropped.max(said.dropped);
            life.lost = life.lost.max(said.lost);
            life.refused = life.refused.max(said.refused);
            life.order = life.order.max(said.order);
            life.offered.extend_flat(&said.offered);
            life.done.extend_flat(&said.done);
        }
    }

    pub(super) fn is_done(&self, id: BatchId) -> bool {
        self.lives.get(&id.boot).is_some_and(|life| life.done.contains(id.sequence.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusta_wire::Sequence;

    #[test]
    fn marks_add_up_and_rubbish_says_nothing() {
        let boot = BootId(5);
        let ticket = |n| Ticket { boot, sequence: Sequence(n) };
        let mut summary = Summary::default();
        summary.take(&offered(&[ticket(4), ticket(2), ticket(3)]).unwrap().payload);
        summary.take(&done(&[(ticket(3), 2)]).unwrap().payload);
        summary.take(&[0xff; 9]);
        let life = &summary.lives[&boot];
        assert_eq!([1, 2, 3, 4, 5].map(|n| life.offered.contains(n)), [false, true, true, true, false]);
        assert_eq!([2, 3, 4, 5].map(|n| life.done.contains(n)), [false, true, true, false]);
        let mut again = Summary::default();
        again.take(&note(boot, &Life { order: 7, lost: 3, refused: 2, ..life.clone() }).unwrap().payload);
        let life = &again.lives[&boot];
        assert_eq!((life.order, life.lost, life.refused), (7, 3, 2));
    }
}

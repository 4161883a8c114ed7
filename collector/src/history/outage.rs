//! Outages: stretches of down, put together over midnight.

use rusta_wire::UnixMs;

use super::Object;
use super::span::{Counted, Span};
use crate::engine::Cause;
use crate::inventory::word_enum;

word_enum! {
    /// How an outage ended.
    Ended {
        /// It was measured to carry traffic again.
        Restored = "restored",
        /// Nobody could tell any more: evidence ran out while it was down.
        Silence = "silence",
        /// Announced work or closing hours began, and what came after them is no part of it.
        Work = "work",
    }
}

/// Between what the ends of a power cut lie: nobody saw them, only a new boot proves that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the last sign of the old boot to the beginning of the new one.
    pub started: (UnixMs, UnixMs),
    /// From the beginning of the new boot to the first answer, or as far as it is known not to have come.
    pub ended: (UnixMs, UnixMs),
}

/// What proves a stretch of down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs {
    /// `agent/target@time` of each anchor's first failure, `agent/boot@time`, or `agent/last sign@time`.
    pub named: Vec<String>,
    /// Of a power cut.
    pub bounds: Option<Bounds>,
}

/// `[started_at, ended_at)` of down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What was down.
    pub object: Object,
    /// The first failure.
    pub started_at: UnixMs,
    /// The first answer, or the end of the evidence; `None` while it lasts.
    pub ended_at: Option<UnixMs>,
    /// As far as it was seen to last; `None` once it ended, and in rows of before this was kept.
    pub seen_until: Option<UnixMs>,
    /// How it ended; `None` while it lasts.
    pub ended: Option<Ended>,
    /// The leading cause; `None` is `unattributed`.
    pub cause: Option<Cause>,
    /// What proves it; of a link.
    pub evidence: Proofs,
    /// Announced work inside it, which does not split it.
    pub work: Vec<(UnixMs, UnixMs)>,
    /// Counts up from 1 when late data changes any of the above.
    pub revision: u32,
}

/// A stretch of down within one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: UnixMs,
    pub(super) until: UnixMs,
    pub(super) cause: Option<Cause>,
    /// Announced work inside it.
    pub(super) work: Vec<(UnixMs, UnixMs)>,
    /// What followed within the day; `None` if the piece reaches the day's end, or as far as it is built.
    pub(super) ended: Option<Ended>,
}

impl Piece {
    /// Takes announced work off the end of an outage nobody saw the end of: it was seen down up to the work, which ended it.
    fn end_unseen(&mut self) {
        while self.ended != Some(Ended::Restored)
            && let Some((from, _)) = self.work.pop_if(|(_, until)| *until == self.until)
        {
            (self.until, self.ended) = (from, Some(Ended::Work));
        }
    }
}

/// Lists the stretches of down in a day's spans.
pub(super) fn pieces<S: Counted>(spans: &[Span<S>]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for span in spans {
        match out.last_mut().filter(|piece| piece.until == span.from && piece.ended.is_none()) {
            Some(piece) if span.state.is_down() => (piece.until, piece.cause) = (span.until, surer(piece.cause, span.cause)),
            // What lies under announced work was not up: whether the outage goes on shows after it.
            Some(piece) if span.state.is_work() => {
                piece.work.push((span.from, span.until));
                piece.until = span.until;
            }
            Some(piece) => {
                piece.ended = Some(how_ended(span.state));
                piece.end_unseen();
            }
            None if span.state.is_down() => {
                out.push(Piece { from: span.from, until: span.until, cause: span.cause, work: Vec::new(), ended: None });
            }
            None => {}
        }
    }
    out
}

/// Tells how an outage ended from what follows it.
pub(super) fn how_ended<S: Counted>(next: S) -> Ended {
    match next {
        _ if next.is_carried() => Ended::Restored,
        // Outside of work only closing hours are neither measured nor unknown.
        _ if !next.is_measured() => Ended::Work,
        _ => Ended::Silence,
    }
}

/// Returns the cause that is known better; the first of two equals.
pub(super) fn surer(first: Option<Cause>, second: Option<Cause>) -> Option<Cause> {
    let confidence = |cause: Option<Cause>| cause.map_or(-1, |cause| i32::from(cause.confidence));
    if confidence(second) > confidence(first) { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LinkState;

    fn found(states: &[(LinkState, i64)]) -> Vec<(i64, i64, usize, Option<Ended>)> {
        let mut from = 0;
        let one = |(state, seconds): &(LinkState, i64)| {
            let span = Span { from: UnixMs::from_seconds(from), until: UnixMs::from_seconds(from + seconds), state: *state, cause: None };
            from += seconds;
            span
        };
        let spans: Vec<_> = states.iter().map(one).collect();
        pieces(&spans).iter().map(|piece| (piece.from.seconds(), piece.until.seconds(), piece.work.len(), piece.ended)).collect()
    }

    #[test]
    fn announced_work_inside_an_outage_does_not_split_it() {
        use LinkState::{Down, Maintenance, NotInService, Unknown, Up};
        let one = found(&[(Up, 100), (Down, 200), (Maintenance, 300), (Down, 50), (Up, 10)]);
        assert_eq!(one, [(100, 650, 1, Some(Ended::Restored))]);
        assert_eq!(found(&[(Down, 200), (Maintenance, 300), (Up, 10)]), [(0, 500, 1, Some(Ended::Restored))], "not up until then");
        assert_eq!(found(&[(Down, 200), (Maintenance, 300), (Unknown, 10)]), [(0, 200, 0, Some(Ended::Work))], "seen down until the work");
        assert_eq!(found(&[(Down, 200), (Unknown, 10), (Maintenance, 300)]), [(0, 200, 0, Some(Ended::Silence))]);
        assert_eq!(found(&[(Down, 200), (NotInService, 10)]), [(0, 200, 0, Some(Ended::Work))], "it closed");
        assert_eq!(found(&[(Down, 200), (Maintenance, 300)]), [(0, 500, 1, None)], "nobody knows yet");
        assert_eq!(found(&[(Up, 10), (Maintenance, 300), (Down, 90), (Up, 1)]), [(310, 400, 0, Some(Ended::Restored))]);
    }
}

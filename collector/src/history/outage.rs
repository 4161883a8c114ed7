//! Outages: stretches of down, put together over midnight.

use rusta_wire::UnixMs;

use super::Object;
use super::span::{Counted, Span};
use crate::engine::Cause;

/// How an outage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// It was measured to carry traffic again.
    Restored,
    /// Nobody could tell any more: evidence ran out while it was down, or maintenance began.
    Lost,
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
    /// How it ended; `None` while it lasts.
    pub ended: Option<Ended>,
    /// The leading cause; `None` is `unattributed`.
    pub cause: Option<Cause>,
    /// What proves it, as `agent/target@time` of each anchor's first failure, or `agent/boot@time`.
    pub evidence: Vec<String>,
    /// Counts up from 1 when late data changes any of the above.
    pub revision: u32,
}

/// A stretch of down within one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: UnixMs,
    pub(super) until: UnixMs,
    pub(super) cause: Option<Cause>,
    /// What followed within the day; `None` if the piece reaches the day's end, or as far as it is built.
    pub(super) ended: Option<Ended>,
}

/// Lists the stretches of down in a day's spans.
pub(super) fn pieces<S: Counted>(spans: &[Span<S>]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for span in spans {
        match out.last_mut().filter(|piece| piece.until == span.from && piece.ended.is_none()) {
            Some(piece) if span.state.is_down() => (piece.until, piece.cause) = (span.until, surer(piece.cause, span.cause)),
            Some(piece) => piece.ended = Some(how_ended(span.state)),
            None if span.state.is_down() => {
                out.push(Piece { from: span.from, until: span.until, cause: span.cause, ended: None });
            }
            None => {}
        }
    }
    out
}

/// Tells how an outage ended from what follows it.
pub(super) fn how_ended<S: Counted>(next: S) -> Ended {
    if next.is_carried() { Ended::Restored } else { Ended::Lost }
}

/// Returns the cause that is known better; the first of two equals.
pub(super) fn surer(first: Option<Cause>, second: Option<Cause>) -> Option<Cause> {
    let confidence = |cause: Option<Cause>| cause.map_or(-1, |cause| i32::from(cause.confidence));
    if confidence(second) > confidence(first) { second } else { first }
}

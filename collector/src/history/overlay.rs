//! What is laid over measured states: announced work, and the hours in which a site is closed.
//!
//! Work announced a day ahead takes the place of what was measured (`Tm`); so do closing hours on a site's own states
//! (`Tn`), not on its links' or its village's. Work announced later stays as it was measured, and its seconds are kept
//! beside, because only the contract counts them.

use rusta_wire::UnixMs;

use super::span::{Counted, Span, append, at, clipped, edges};
use super::timeline::SiteInput;
use crate::day::Day;
use crate::inventory::LinkId;

/// A stretch of time, in whole seconds.
pub(super) type Stretch = (UnixMs, UnixMs);

/// Lists when announced work covers a link: announced a day ahead, or later.
pub(super) fn announced(link: LinkId, input: &SiteInput<'_>, a_day_ahead: bool) -> Vec<Stretch> {
    let covering = input.inventory.maintenance.iter().filter(|window| input.inventory.is_covered(window, link));
    let stretches = covering.flat_map(|window| {
        let occurrences = window.spans(window.span.0, input.until).into_iter();
        occurrences.filter(move |(from, _)| window.is_announced_for(*from) == a_day_ahead)
    });
    inside(stretches, input)
}

/// Lists when a site is closed by its calendar; a site without one works around the clock.
pub(super) fn closed(input: &SiteInput<'_>) -> Vec<Stretch> {
    let Some(calendar) = input.inventory.calendars.service(&input.inventory.site(input.site).calendar) else { return Vec::new() };
    let (mut day, mut closed_from, mut closed) = (Day::of(input.from), input.from, Vec::new());
    while day.start() < input.until {
        if let Some((opens, closes)) = calendar.span(day.date()) {
            closed.push((closed_from, opens));
            closed_from = closes;
        }
        day = day.next();
    }
    closed.push((closed_from, input.until));
    inside(closed.into_iter(), input)
}

/// Cuts stretches to the input's window and to whole seconds, and joins those that overlap.
fn inside(stretches: impl Iterator<Item = Stretch>, input: &SiteInput<'_>) -> Vec<Stretch> {
    let whole = |at: UnixMs| UnixMs::from_seconds(at.seconds());
    let mut cut: Vec<Stretch> = stretches
        .map(|(from, until)| (whole(from.max(input.from)), whole(until.min(input.until))))
        .filter(|(from, until)| from < until)
        .collect();
    cut.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::new();
    for (from, until) in cut {
        match joined.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = last.1.max(until),
            None => joined.push((from, until)),
        }
    }
    joined
}

/// Lays a state over the parts of spans that stretches cover.
pub(super) fn lay<S: Counted>(spans: Vec<Span<S>>, stretches: &[Stretch], state: S) -> Vec<Span<S>> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return spans };
    if stretches.is_empty() {
        return spans;
    }
    let mut bounds = edges([spans.as_slice()].into_iter(), first.from, last.until);
    bounds.extend(stretches.iter().flat_map(|(from, until)| [*from, *until]).filter(|cut| first.from < *cut && *cut < last.until));
    bounds.sort_unstable();
    bounds.dedup();
    let mut laid = Vec::new();
    for pair in bounds.windows(2) {
        let Some(held) = at(&spans, pair[0]) else { continue };
        let is_covered = stretches.iter().any(|(from, until)| *from <= pair[0] && pair[0] < *until);
        let (state, cause) = if is_covered { (state, None) } else { (held.state, held.cause) };
        append(&mut laid, Span { from: pair[0], until: pair[1], state, cause });
    }
    laid
}

/// Returns the parts of spans that stretches cover and that were measured.
pub(super) fn measured_under<S: Counted>(spans: &[Span<S>], stretches: &[Stretch]) -> Vec<Span<S>> {
    stretches.iter().flat_map(|(from, until)| clipped(spans, *from, *until)).filter(|span| span.state.is_measured()).collect()
}

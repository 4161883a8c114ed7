//! What is laid over measured states: announced work, and the hours in which a site is closed.
//!
//! ```text
//! measured       up up up down down unknown up     closed hours
//! a day ahead       [------- work -------]            [----]
//! laid           up up up  Tm   Tm    Tm    up         Tn
//! ```
//!
//! Work announced a day ahead (`Tm`) takes the place of down and unknown; what was measured up inside it is up. The reach of
//! the national network follows the same rule where work covers every link of the site. Closing hours (`Tn`) take the place
//! of all a site's own states, not of its links' or its village's. Work announced later stays as it was measured, and its
//! seconds are kept beside, because only the contract counts them.

use rusta_wire::UnixMs;

use super::Late;
use super::span::{Counted, Span, StateSeconds, append, at, clipped, edges, seconds_of};
use super::timeline::SiteInput;
use crate::day::Day;
use crate::engine::LinkState;
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

/// Lists when work announced a day ahead covers every link of the site: nothing is left then to reach anything by.
pub(super) fn announced_for_all(input: &SiteInput<'_>) -> Vec<Stretch> {
    let mut links = input.inventory.links_of(input.site).map(|link| announced(link, input, true));
    let Some(first) = links.next() else { return Vec::new() };
    links.fold(first, |both, other| {
        let inside = |a: &Stretch| other.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))).collect::<Vec<_>>();
        both.iter().flat_map(inside).filter(|(from, until)| from < until).collect()
    })
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
    let cut =
        stretches.map(|(from, until)| (whole(from.max(input.from)), whole(until.min(input.until)))).filter(|(from, until)| from < until);
    joined(cut.collect())
}

/// Joins stretches that overlap or touch, in order of time.
fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::new();
    for (from, until) in stretches {
        match joined.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = last.1.max(until),
            None => joined.push((from, until)),
        }
    }
    joined
}

/// Lays announced work over the parts of spans that it covers and that were not measured up.
pub(super) fn lay_work<S: Counted>(spans: Vec<Span<S>>, stretches: &[Stretch], work: S) -> Vec<Span<S>> {
    lay_where(spans, stretches, work, |held| !held.is_carried())
}

/// Lays a state over the parts of spans that stretches cover.
pub(super) fn lay<S: Counted>(spans: Vec<Span<S>>, stretches: &[Stretch], state: S) -> Vec<Span<S>> {
    lay_where(spans, stretches, state, |_| true)
}

fn lay_where<S: Counted>(spans: Vec<Span<S>>, stretches: &[Stretch], state: S, gives_way: impl Fn(S) -> bool) -> Vec<Span<S>> {
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
        let (state, cause) = if is_covered && gives_way(held.state) { (state, None) } else { (held.state, held.cause) };
        append(&mut laid, Span { from: pair[0], until: pair[1], state, cause });
    }
    laid
}

/// Counts what was learnt of a site in stretches that may overlap: seconds known, and of those down.
pub(super) fn learnt_in<S: Counted>(spans: &[Span<S>], stretches: &[Stretch]) -> Late {
    let mut learnt = StateSeconds::default();
    for (from, until) in joined(stretches.to_vec()) {
        learnt += seconds_of(&clipped(spans, from, until));
    }
    Late::of_day(learnt.known(), learnt.down)
}

/// Fills what is unknown with what is certain.
pub(super) fn fill(spans: Vec<Span<LinkState>>, certain: &[Span<LinkState>]) -> Vec<Span<LinkState>> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return spans };
    let mut bounds = edges([spans.as_slice(), certain].into_iter(), first.from, last.until);
    bounds.extend(certain.iter().map(|span| span.until).filter(|cut| first.from < *cut && *cut < last.until));
    bounds.sort_unstable();
    bounds.dedup();
    let mut filled = Vec::new();
    for pair in bounds.windows(2) {
        let Some(held) = at(&spans, pair[0]) else { continue };
        let known = at(certain, pair[0]).filter(|_| held.state == LinkState::Unknown);
        let (state, cause) = known.map_or((held.state, held.cause), |known| (known.state, known.cause));
        append(&mut filled, Span { from: pair[0], until: pair[1], state, cause });
    }
    filled
}

/// Returns the parts of spans that stretches cover and that were measured.
pub(super) fn measured_under<S: Counted>(spans: &[Span<S>], stretches: &[Stretch]) -> Vec<Span<S>> {
    stretches.iter().flat_map(|(from, until)| clipped(spans, *from, *until)).filter(|span| span.state.is_measured()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LinkState;

    fn spans(states: &[(LinkState, i64)]) -> Vec<Span<LinkState>> {
        let mut from = 0;
        let one = |(state, seconds): &(LinkState, i64)| {
            let span = Span { from: UnixMs::from_seconds(from), until: UnixMs::from_seconds(from + seconds), state: *state, cause: None };
            from += seconds;
            span
        };
        states.iter().map(one).collect()
    }

    #[test]
    fn only_what_was_down_or_unknown_inside_announced_work_is_maintenance() {
        use LinkState::{Degraded, Down, Maintenance, Unknown, Up};
        let measured = spans(&[(Up, 1_000), (Down, 200), (Unknown, 300), (Degraded, 100), (Up, 400)]);
        let stretch = (UnixMs::from_seconds(900), UnixMs::from_seconds(1_700));
        let laid = lay_work(measured, &[stretch], Maintenance);
        assert_eq!(laid, spans(&[(Up, 1_000), (Maintenance, 500), (Degraded, 100), (Up, 400)]));
    }

    #[test]
    fn what_came_late_is_counted_once_however_many_agents_tell_it() {
        let day = spans(&[(LinkState::Up, 1_000), (LinkState::Down, 500), (LinkState::Unknown, 500)]);
        let stretch = |from: i64, until: i64| (UnixMs::from_seconds(from), UnixMs::from_seconds(until));
        let late = learnt_in(&day, &[stretch(900, 1_200), stretch(1_100, 1_600), stretch(1_150, 1_200)]);
        assert_eq!(late, Late { known_s: 100 + 500, down_s: 500, days: 1 });
        assert_eq!(learnt_in(&day, &[]), Late::default());
    }
}

//! Reads a site's past: states and outages from history and, where that is not built yet, from the engine's events; round
//! trips and gauges of a few days from the log, of longer times from the days history has built.

mod days;
mod rounds;

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;
use rusta_wire::UnixMs;

use super::state::WebState;
use crate::day::Day;
use crate::engine::LinkState;
use crate::history::{Object, tables};
use crate::log::LogError;
use crate::persian::Window;
use crate::store::StoreError;
use crate::view::{CauseView, GaugePast, LinkDetail, LinkPast, OutageView, RoundView, SiteDetail, SitePast, StateSpan, Time};

/// Why the past could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log cannot be read.
    #[error("log")]
    Log(#[from] LogError),
    /// The state database cannot be read.
    #[error("state")]
    Store(#[from] StoreError),
}

/// Windows up to this long are read round by round; longer ones would read more of the log than a page may wait for.
const LONGEST_BY_ROUND: Duration = Duration::from_secs(8 * 86_400);

/// What was measured on one link.
#[derive(Debug, Default)]
struct Measured {
    target: Option<String>,
    slot_seconds: u32,
    rounds: Vec<RoundView>,
    gauges: Vec<GaugePast>,
}

/// Returns what is known of a site over a window.
///
/// # Errors
/// A failing log or database.
pub fn site_past(web: &WebState, site: &SiteDetail, window: Window) -> Result<SitePast, ArchiveError> {
    let mut measured = if window.length() <= LONGEST_BY_ROUND {
        rounds::of_site(web, site, window)?
    } else {
        web.store.read(|db| days::of_site(db, site, window))?
    };
    let code = site.site.code.as_str();
    let links = web.store.read(|db| {
        let built = built_states(db, code, window)?;
        site.links.iter().map(|link| link_past(db, code, link, window, &built)).collect::<Result<Vec<_>, StoreError>>()
    })?;
    let complete = |past: LinkPast| {
        let Measured { target, slot_seconds, rounds, gauges } = measured.remove(&past.link).unwrap_or_default();
        LinkPast { target, slot_seconds, rounds, gauges, ..past }
    };
    Ok(SitePast { links: links.into_iter().map(complete).collect() })
}

/// States by link as history has them, and as far as it has them.
type Built = BTreeMap<String, Vec<StateSpan>>;

fn built_states(db: &Connection, code: &str, window: Window) -> Result<Built, StoreError> {
    let mut built = Built::new();
    let mut day = Day::of(window.from);
    while day.start() < window.until {
        for link in tables::site_day(db, code, day)?.map_or_else(Vec::new, |built| built.day.links) {
            let spans = link.spans.iter().map(|span| StateSpan { state: span.state, from: Time(span.from), until: Time(span.until) });
            built.entry(link.name).or_default().extend(spans.filter_map(|span| clipped(span, window)));
        }
        day = day.next();
    }
    Ok(built)
}

fn link_past(db: &Connection, code: &str, link: &LinkDetail, window: Window, built: &Built) -> Result<LinkPast, StoreError> {
    let mut states = built.get(&link.name).cloned().unwrap_or_default();
    let built_until = states.last().map_or(window.from, |span| span.until.0);
    states.extend(recent_states(db, code, link, Window { from: built_until, until: window.until })?);
    let outages = tables::outages_of(db, &Object::link(code, &link.name), window.from, window.until)?;
    let mut outages: Vec<_> = outages
        .into_iter()
        .map(|outage| OutageView {
            link: link.name.clone(),
            started_at: Time(outage.started_at),
            restored_at: outage.ended_at.map(Time),
            ended: outage.ended,
            started_between: outage.evidence.bounds.map(|bounds| [bounds.started.0, bounds.started.1].map(Time)),
            restored_between: outage.evidence.bounds.map(|bounds| [bounds.ended.0, bounds.ended.1].map(Time)),
            evidence: outage.evidence.named,
            cause: outage.cause.map(CauseView::from),
        })
        .collect();
    outages.extend(recent_outages(&states, link, built_until));
    Ok(LinkPast {
        link: link.name.clone(),
        states: joined(states),
        outages,
        target: None,
        slot_seconds: 0,
        rounds: Vec::new(),
        gauges: Vec::new(),
    })
}

/// States since history was built last, from what the engine said.
fn recent_states(db: &Connection, code: &str, link: &LinkDetail, window: Window) -> Result<Vec<StateSpan>, StoreError> {
    let sql = "SELECT since, was, state FROM events WHERE kind = 'link' AND code = ?1 AND link = ?2 AND since < ?3 ORDER BY since, id";
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map((code, &link.name, window.until.0), |row| {
        Ok((UnixMs(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let mut changes: Vec<(UnixMs, LinkState)> = Vec::new();
    let mut before = None;
    for row in rows {
        let (since, was, state) = row?;
        let (Ok(was), Ok(state)) = (was.parse(), state.parse()) else { continue };
        before.get_or_insert(was);
        changes.push((since, state));
    }
    let at_start = changes.iter().rev().find(|(since, _)| *since <= window.from).map(|(_, state)| *state);
    let first = at_start.or(before).unwrap_or_else(|| never_changed(link, window));
    let inside = changes.into_iter().filter(|(since, _)| *since > window.from);
    let mut edges: Vec<_> = std::iter::once((window.from, first)).chain(inside).collect();
    edges.push((window.until, LinkState::Unknown));
    let span = |pair: &[(UnixMs, LinkState)]| StateSpan { state: pair[0].1, from: Time(pair[0].0), until: Time(pair[1].0) };
    Ok(edges.windows(2).filter(|pair| pair[0].0 < pair[1].0).map(span).collect())
}

/// Without a single event, a link has been as it is since its beginning.
fn never_changed(link: &LinkDetail, window: Window) -> LinkState {
    let held_then = link.since.is_some_and(|since| since.0 <= window.from);
    if held_then { link.state } else { LinkState::Unknown }
}

/// Outages that began after history was built last.
fn recent_outages(states: &[StateSpan], link: &LinkDetail, built_until: UnixMs) -> Vec<OutageView> {
    let last = states.last().map(|span| span.until);
    let down = states.iter().filter(|span| span.state == LinkState::Down && span.from.0 > built_until);
    down.map(|span| {
        let lasts = Some(span.until) == last;
        OutageView {
            link: link.name.clone(),
            started_at: span.from,
            restored_at: (!lasts).then_some(span.until),
            ended: None,
            started_between: None,
            restored_between: None,
            evidence: Vec::new(),
            cause: link.cause.clone().filter(|_| lasts),
        }
    })
    .collect()
}

fn clipped(span: StateSpan, window: Window) -> Option<StateSpan> {
    let (from, until) = (span.from.max(Time(window.from)), span.until.min(Time(window.until)));
    (from < until).then_some(StateSpan { from, until, ..span })
}

/// Joins neighbours of one state.
fn joined(states: Vec<StateSpan>) -> Vec<StateSpan> {
    let mut out: Vec<StateSpan> = Vec::new();
    for span in states {
        match out.last_mut() {
            Some(last) if last.state == span.state && last.until == span.from => last.until = span.until,
            _ => out.push(span),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_state_are_one_stretch() {
        let span = |state, from, until| StateSpan { state, from: Time(UnixMs(from)), until: Time(UnixMs(until)) };
        let states = joined(vec![span(LinkState::Up, 0, 5), span(LinkState::Up, 5, 9), span(LinkState::Down, 9, 12)]);
        assert_eq!(states.iter().map(|s| (s.from.0.0, s.until.0.0)).collect::<Vec<_>>(), [(0, 9), (9, 12)]);
        let window = Window { from: UnixMs(3), until: UnixMs(10) };
        assert!(clipped(span(LinkState::Up, 0, 3), window).is_none());
        assert_eq!(clipped(span(LinkState::Up, 0, 20), window).unwrap().until, Time(UnixMs(10)));
    }
}

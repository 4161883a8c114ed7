//! Reads a site's past: states and outages from history and, where that is not built yet, from the engine's events; round
//! trips from the log.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusta_wire::{Metric, Network, Rung, Sample, SeriesTable, UnixMs};

use super::state::WebState;
use crate::advance::boots;
use crate::dating::{Dated, Dating};
use crate::day::Day;
use crate::engine::LinkState;
use crate::history::{Object, tables};
use crate::log::LogError;
use crate::persian::Window;
use crate::store::StoreError;
use crate::view::{CauseView, LinkDetail, LinkPast, OutageView, RoundView, SiteDetail, SitePast, StateSpan, Time};

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

/// A chart has about this many slots: more cannot be told apart on a screen.
const SLOTS: i64 = 288;

/// Shorter slots would often hold no round at all.
const SHORTEST_SLOT_S: i64 = 60;

/// Returns what is known of a site over a window.
///
/// # Errors
/// A failing log or database.
pub fn site_past(web: &WebState, site: &SiteDetail, window: Window) -> Result<SitePast, ArchiveError> {
    let code = site.site.code.as_str();
    let slot_s = ((window.until.0 - window.from.0) / 1000 / SLOTS).max(SHORTEST_SLOT_S);
    let mut rounds = rounds(web, code, window, slot_s * 1000)?;
    let links = web.store.read(|db| {
        let built = built_states(db, code, window)?;
        site.links.iter().map(|link| link_past(db, code, link, window, &built)).collect::<Result<Vec<_>, StoreError>>()
    })?;
    let with_rounds = |past: LinkPast| {
        let anchor = site.links.iter().find(|link| link.name == past.link).map(|link| link.network.0);
        let (target, rounds) = rounds.remove(&past.link).and_then(|targets| best_target(targets, anchor)).unzip();
        LinkPast { target, slot_seconds: u32::try_from(slot_s).unwrap_or(u32::MAX), rounds: rounds.unwrap_or_default(), ..past }
    };
    Ok(SitePast { links: links.into_iter().map(with_rounds).collect() })
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
            cause: outage.cause.map(CauseView::from),
        })
        .collect();
    outages.extend(recent_outages(&states, link, built_until));
    Ok(LinkPast { link: link.name.clone(), states: joined(states), outages, target: None, slot_seconds: 0, rounds: Vec::new() })
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

/// Round trips of one slot.
#[derive(Default)]
struct Slot {
    least: Option<i64>,
    medians: Vec<i64>,
    most: Option<i64>,
    sent: u64,
    received: u64,
}

/// Slots by target, with what the target's path proves: (is an anchor of the link's network, its rung's height).
struct TargetSlots {
    network: Network,
    rung: Rung,
    slots: BTreeMap<i64, Slot>,
}

type ByTarget = BTreeMap<String, TargetSlots>;

fn rounds(web: &WebState, code: &str, window: Window, slot_ms: i64) -> Result<BTreeMap<String, ByTarget>, ArchiveError> {
    let mut links: BTreeMap<String, ByTarget> = BTreeMap::new();
    let Some(log) = &web.log else { return Ok(links) };
    let dating = Dating::load(web.store.read(|tx| boots::of_site(tx, code))?);
    let ranges = dating.ranges(code, window.from, window.until);
    for stored in log.site_range(code, &ranges)? {
        let dated = dating.date(&stored.head, stored.received_at);
        let (Dated::At { .. }, Ok(batch)) = (dated, stored.batch()) else { continue };
        for sample in &batch.samples {
            let Some(at) = dated.observed_at(sample.at).filter(|at| window.contains(*at)) else { continue };
            let slot = window.from.0 + (at.0 - window.from.0) / slot_ms * slot_ms;
            add(&mut links, &stored.table, sample, slot);
        }
    }
    Ok(links)
}

fn add(links: &mut BTreeMap<String, ByTarget>, table: &SeriesTable, sample: &Sample, slot: i64) {
    let Some(series) = table.series.get(usize::from(sample.series.0)).filter(|series| series.towards.is_empty()) else { return };
    let times = if series.metrics.contains(&Metric::RttUsP50) {
        [Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsMax]
    } else if series.metrics.contains(&Metric::ConnectUs) {
        // A TCP handshake takes one round trip.
        [Metric::ConnectUs; 3]
    } else {
        return;
    };
    let targets = links.entry(series.link.clone()).or_default();
    let target = targets.entry(series.target.clone()).or_insert_with(|| TargetSlots {
        network: series.network,
        rung: series.rung,
        slots: BTreeMap::new(),
    });
    let slot = target.slots.entry(slot).or_default();
    let [least, median, most] = times.map(|metric| series.value(sample, metric));
    slot.least = slot.least.min(least).or(slot.least).or(least);
    slot.medians.extend(median);
    slot.most = slot.most.max(most);
    let count = |metric| series.value(sample, metric).and_then(|count| u64::try_from(count).ok());
    slot.sent += count(Metric::Sent).unwrap_or(1);
    slot.received += count(Metric::Received).unwrap_or_else(|| u64::from(median.is_some()));
}

/// Picks the target a link's chart shows: its nearest anchor, else the lowest rung.
fn best_target(targets: ByTarget, network: Option<Network>) -> Option<(String, Vec<RoundView>)> {
    let is_anchor = |slots: &TargetSlots| slots.rung.is_anchor_of(network.unwrap_or(slots.network));
    let (name, best) = targets.into_iter().min_by_key(|(_, slots)| (!is_anchor(slots), slots.rung))?;
    let round = |(at, mut slot): (i64, Slot)| {
        slot.medians.sort_unstable();
        RoundView {
            at: Time(UnixMs(at)),
            rtt_us_min: slot.least,
            rtt_us_p50: slot.medians.get(slot.medians.len() / 2).copied(),
            rtt_us_max: slot.most,
            sent: slot.sent,
            received: slot.received,
        }
    };
    Some((name, best.slots.into_iter().map(round).collect()))
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

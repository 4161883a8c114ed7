//! Puts outages together over midnight, from the built days around the one that was just written.
//!
//! An outage is a function of the days it touches, so the order in which they were built does not show; only the revision
//! counts how often late data changed it.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Transaction, params};
use rusta_wire::UnixMs;

use super::outage::{Ended, Piece, pieces};
use super::packed;
use super::span::{Counted, Span};
use super::tables::spans_of_id;
use crate::day::Day;
use crate::engine::{Cause, LinkState, SiteState, VillageState};
use crate::store::StoreError;

/// One object's day: its spans and what proves each stretch of down.
pub(super) type Found<S> = (Vec<Span<S>>, BTreeMap<UnixMs, Vec<String>>);

/// An outage's row but for its key: end, restored, cause, evidence, announced work inside it.
type Content = (Option<UnixMs>, Option<Ended>, Option<Cause>, String, String);

/// Reads a link's spans of a day.
pub(super) fn link_spans(tx: &Transaction<'_>, site: i64, day: Day, name: &str) -> Result<Option<Found<LinkState>>, StoreError> {
    let found = spans_of_id(tx, site, day)?.and_then(|(bytes, _)| packed::unpack_site(&bytes));
    let link = found.and_then(|day| day.links.into_iter().find(|link| link.name == name));
    Ok(link.map(|link| (link.spans, link.evidence)))
}

/// Reads a site's spans of a day.
pub(super) fn site_spans(tx: &Transaction<'_>, site: i64, day: Day) -> Result<Option<Found<SiteState>>, StoreError> {
    let found = spans_of_id(tx, site, day)?.and_then(|(bytes, _)| packed::unpack_site(&bytes));
    Ok(found.map(|day| (day.spans, BTreeMap::new())))
}

/// Reads a village's spans of a day.
pub(super) fn village_spans(tx: &Transaction<'_>, village: i64, day: Day) -> Result<Option<Found<VillageState>>, StoreError> {
    let found = spans_of_id(tx, village, day)?.and_then(|(bytes, _)| packed::unpack_village(&bytes));
    Ok(found.map(|day| (day.spans, BTreeMap::new())))
}

/// Writes an object's outages of a day and of the days they reach into.
pub(super) fn outages<S: Counted>(
    tx: &Transaction<'_>,
    id: i64,
    day: Day,
    read: impl Fn(Day) -> Result<Option<Found<S>>, StoreError>,
) -> Result<(), StoreError> {
    let Some(middle) = read(day)? else { return Ok(()) };
    // Work may lie inside an outage, so what stands before and behind it is looked at too.
    let may_go_on = |span: Option<&Span<S>>| span.is_some_and(|span| span.state.is_down() || span.state.is_work());
    let (mut first, mut last) = (day, day);
    let mut days = vec![middle];
    // The neighbours always belong to it: an outage that ended at midnight may have reached over it before.
    while first == day || may_go_on(days.first().and_then(|(spans, _)| spans.first())) {
        let Some(found) = read(first.previous())? else { break };
        days.insert(0, found);
        first = first.previous();
    }
    while last == day || may_go_on(days.last().and_then(|(spans, _)| spans.last())) {
        let Some(found) = read(last.next())? else { break };
        days.push(found);
        last = last.next();
    }
    let spans: Vec<Span<S>> = days.iter().flat_map(|(spans, _)| spans.iter().copied()).collect();
    let evidence: BTreeMap<UnixMs, &Vec<String>> = days.iter().flat_map(|(_, evidence)| evidence).map(|(at, of)| (*at, of)).collect();
    write(tx, id, first.start(), last.end(), &pieces(&spans), &evidence)
}

fn write(
    tx: &Transaction<'_>,
    id: i64,
    from: UnixMs,
    until: UnixMs,
    pieces: &[Piece],
    evidence: &BTreeMap<UnixMs, &Vec<String>>,
) -> Result<(), StoreError> {
    let before = stored(tx, id, from, until)?;
    let mut kept = 0;
    for piece in pieces {
        let proofs = evidence.get(&piece.from).map(|proofs| serde_json::to_string(proofs).unwrap_or_default());
        let ended_at = piece.ended.map(|_| piece.until);
        let work: Vec<(i64, i64)> = piece.work.iter().map(|(from, until)| (from.0, until.0)).collect();
        let work = serde_json::to_string(&work).unwrap_or_else(|_| "[]".to_owned());
        let content: Content = (ended_at, piece.ended, piece.cause, proofs.unwrap_or_else(|| "[]".to_owned()), work);
        let revision = match before.get(&piece.from) {
            Some((known, revision)) if *known == content => {
                kept += usize::from(*revision > 0);
                continue;
            }
            Some((_, revision)) => revision + 1,
            None => 1,
        };
        insert(tx, id, piece.from, &content, revision)?;
        kept += usize::from(before.contains_key(&piece.from));
    }
    if kept < before.len() {
        let mut delete = tx.prepare_cached("DELETE FROM outages WHERE object = ?1 AND started_at = ?2")?;
        for started_at in before.keys().filter(|at| !pieces.iter().any(|piece| piece.from == **at)) {
            delete.execute(params![id, started_at.0])?;
        }
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, id: i64, started_at: UnixMs, content: &Content, revision: u32) -> Result<(), StoreError> {
    let (ended_at, ended, cause, evidence, work) = content;
    let mut statement = tx.prepare_cached(
        "INSERT OR REPLACE INTO outages (object, started_at, ended_at, restored, rung, confidence, evidence, revision, work)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    statement.execute(params![
        id,
        started_at.0,
        ended_at.map(|at| at.0),
        ended.map(|ended| ended == Ended::Restored),
        cause.map(|cause| cause.rung.code()),
        cause.map(|cause| cause.confidence),
        evidence,
        revision,
        work,
    ])?;
    Ok(())
}

fn stored(tx: &Transaction<'_>, id: i64, from: UnixMs, until: UnixMs) -> Result<HashMap<UnixMs, (Content, u32)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT started_at, ended_at, restored, rung, confidence, evidence, revision, work FROM outages
         WHERE object = ?1 AND started_at >= ?2 AND started_at < ?3",
    )?;
    let rows = statement.query_map(params![id, from.0, until.0], |row| {
        let ended = row.get::<_, Option<bool>>(2)?.map(|restored| if restored { Ended::Restored } else { Ended::Lost });
        let cause = crate::engine::told::cause_of(row.get(3)?, row.get(4)?);
        let content = (row.get::<_, Option<i64>>(1)?.map(UnixMs), ended, cause, row.get(5)?, row.get(7)?);
        Ok((UnixMs(row.get(0)?), (content, row.get(6)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

//! Puts outages together over midnight, from the built days around the one that was just written.
//!
//! An outage is a function of the days it touches, so the order in which they were built does not show; only the revision
//! counts how often late data changed it.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Transaction, params};
use rusta_wire::UnixMs;

use super::outage::{Bounds, Ended, Piece, Proofs, pieces};
use super::packed;
use super::span::{Counted, Span};
use super::tables::{self, spans_of_id};
use crate::day::Day;
use crate::engine::{Cause, LinkState, SiteState, VillageState};
use crate::store::StoreError;

/// One object's day: its spans and what proves each stretch of down.
pub(super) type Found<S> = (Vec<Span<S>>, BTreeMap<UnixMs, Proofs>);

/// An outage's row but for its key and how far it was seen.
#[derive(PartialEq)]
struct Content {
    ended_at: Option<UnixMs>,
    ended: Option<Ended>,
    cause: Option<Cause>,
    /// JSON, as the announced work inside it and the bounds of its ends.
    evidence: String,
    work: String,
    bounds: Option<String>,
}

/// A row as it stands.
struct Row {
    content: Content,
    seen_until: Option<UnixMs>,
    revision: u32,
}

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
    let evidence: BTreeMap<UnixMs, &Proofs> = days.iter().flat_map(|(_, evidence)| evidence).map(|(at, of)| (*at, of)).collect();
    write(tx, id, first.start(), last.end(), &pieces(&spans), &evidence)
}

fn write(
    tx: &Transaction<'_>,
    id: i64,
    from: UnixMs,
    until: UnixMs,
    pieces: &[Piece],
    evidence: &BTreeMap<UnixMs, &Proofs>,
) -> Result<(), StoreError> {
    let before = stored(tx, id, from, until)?;
    let mut kept = 0;
    for piece in pieces {
        let proofs = evidence.get(&piece.from).copied();
        let work: Vec<(i64, i64)> = piece.work.iter().map(|(from, until)| (from.0, until.0)).collect();
        let content = Content {
            ended_at: piece.ended.map(|_| piece.until),
            ended: piece.ended,
            cause: piece.cause,
            evidence: json(&proofs.map(|proofs| proofs.named.as_slice()).unwrap_or_default()),
            work: json(&work),
            bounds: proofs
                .and_then(|proofs| proofs.bounds)
                .map(|Bounds { started, ended }| json(&[started, ended].map(|(a, b)| [a.0, b.0]))),
        };
        let seen_until = piece.ended.is_none().then_some(piece.until);
        let revision = match before.get(&piece.from) {
            Some(known) if known.content == content && known.seen_until == seen_until => {
                kept += 1;
                continue;
            }
            // That it lasts is nothing that late data changed.
            Some(known) if known.content == content => known.revision,
            Some(known) => known.revision + 1,
            None => 1,
        };
        insert(tx, (id, piece.from), &Row { content, seen_until, revision })?;
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

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}

fn insert(tx: &Transaction<'_>, (id, started_at): (i64, UnixMs), row: &Row) -> Result<(), StoreError> {
    let Content { ended_at, ended, cause, evidence, work, bounds } = &row.content;
    let mut statement = tx.prepare_cached(
        "INSERT OR REPLACE INTO outages
         (object, started_at, ended_at, restored, by_work, rung, confidence, evidence, revision, work, seen_until, bounds)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    statement.execute(params![
        id,
        started_at.0,
        ended_at.map(|at| at.0),
        ended.map(|ended| ended == Ended::Restored),
        ended.map(|ended| ended == Ended::Work),
        cause.map(|cause| cause.rung.code()),
        cause.map(|cause| cause.confidence),
        evidence,
        row.revision,
        work,
        row.seen_until.map(|at| at.0),
        bounds,
    ])?;
    Ok(())
}

fn stored(tx: &Transaction<'_>, id: i64, from: UnixMs, until: UnixMs) -> Result<HashMap<UnixMs, Row>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT started_at, ended_at, restored, by_work, rung, confidence, evidence, work, bounds, seen_until, revision FROM outages
         WHERE object = ?1 AND started_at >= ?2 AND started_at < ?3",
    )?;
    let rows = statement.query_map(params![id, from.0, until.0], |row| {
        let content = Content {
            ended_at: row.get::<_, Option<i64>>(1)?.map(UnixMs),
            ended: tables::ended(row.get(2)?, row.get(3)?),
            cause: crate::engine::told::cause_of(row.get(4)?, row.get(5)?),
            evidence: row.get(6)?,
            work: row.get(7)?,
            bounds: row.get(8)?,
        };
        Ok((UnixMs(row.get(0)?), Row { content, seen_until: row.get::<_, Option<i64>>(9)?.map(UnixMs), revision: row.get(10)? }))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

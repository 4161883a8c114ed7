//! What the loop keeps in the state database.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use rusta_wire::{AgentId, UnixMs};

use super::AdvanceError;
use crate::day::Day;
use crate::engine::told::cause_of;
use crate::engine::{Subject, Told};
use crate::log::{Disowned, Position};

/// How far the engine had read, and its time then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) position: Position,
    pub(super) advanced_to: UnixMs,
}

/// What a restart begins with.
pub(super) struct Kept {
    pub(super) cursor: Option<Cursor>,
    /// Where to read again from, and the engine's time then.
    pub(super) replay_from: Option<(UnixMs, Position)>,
    pub(super) told: Vec<Told>,
}

/// Changes whenever the list of agents, or what counts of them, does.
pub(super) type AgentsMark = (i64, i64, i64, i64, i64);

/// Reads it. What was kept under a clock that was ahead of `now` is as old as now: nothing that is known was seen later.
pub(super) fn load(tx: &Transaction<'_>, replay_ms: i64, now: UnixMs) -> Result<Kept, AdvanceError> {
    let cursor = tx
        .query_row("SELECT position, advanced_to FROM engine_cursor", [], |row| {
            Ok(Cursor { position: position(row, 0)?, advanced_to: UnixMs(row.get(1)?).min(now) })
        })
        .optional()?;
    let mark = |cursor: Cursor| {
        let newest = "SELECT at, position FROM engine_marks WHERE at <= ?1 ORDER BY at DESC LIMIT 1";
        let oldest = "SELECT at, position FROM engine_marks ORDER BY at LIMIT 1";
        let read = |row: &Row<'_>| Ok((UnixMs(row.get(0)?), position(row, 1)?));
        let found = tx.query_row(newest, [cursor.advanced_to.0 - replay_ms], read).optional()?;
        match found {
            Some(found) => Ok(Some(found)),
            None => tx.query_row(oldest, [], read).optional(),
        }
    };
    // A clock that was ahead for longer than marks are kept has left none of its own time.
    let in_the_past = |(at, position): (UnixMs, Position)| (if at > now { UnixMs(now.0 - replay_ms) } else { at }, position);
    let replay_from = cursor.map(mark).transpose()?.flatten().map(in_the_past);
    let mut statement = tx.prepare(
        "SELECT kind, code, link, state, since, rung, confidence, heard_at, observed_at FROM live_states ORDER BY kind, code, link",
    )?;
    let rows = statement.query_map([], |row| {
        let kind: String = row.get(0)?;
        Ok(kind
            .parse::<Subject>()
            .ok()
            .map(|subject| (subject, row.get(1), row.get(2), row.get(3), row.get(4), row.get(5), row.get(6), row.get(7), row.get(8))))
    })?;
    let mut told = Vec::new();
    for row in rows {
        let Some((subject, code, link, state, since, rung, confidence, heard_at, observed_at)) = row? else { continue };
        let state: String = state?;
        told.push(Told {
            subject,
            code: code?,
            link: link?,
            known_at: UnixMs(0),
            since: UnixMs(since?).min(now),
            was: state.clone(),
            state,
            cause: cause_of(rung?, confidence?),
            heard_at: heard_at.map(|at: Option<i64>| at.map(|at| UnixMs(at).min(now)))?,
            observed_at: observed_at.map(|at: Option<i64>| at.map(|at| UnixMs(at).min(now)))?,
        });
    }
    Ok(Kept { cursor, replay_from, told })
}

fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    row.get::<_, i64>(column).map(|position| Position(u64::try_from(position).unwrap_or(0)))
}

pub(super) fn agents(tx: &Transaction<'_>) -> Result<Vec<(AgentId, String)>, AdvanceError> {
    let mut statement = tx.prepare("SELECT id, site_code FROM agents WHERE revoked_at IS NULL AND approved = 1 ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let parsed = rows.map(|row| row.map(|(id, site)| id.parse().ok().map(|id: AgentId| (id, site))));
    Ok(parsed.filter_map(Result::transpose).collect::<Result<_, _>>()?)
}

/// Reads of whom nothing counts, and from when on.
pub(super) fn disowned(tx: &Transaction<'_>) -> Result<Disowned, AdvanceError> {
    read_disowned(tx, "SELECT id, disowned_since FROM agents WHERE disowned_since IS NOT NULL")
}

/// Reads what of it was taken out before.
pub(super) fn taken_out(tx: &Transaction<'_>) -> Result<Disowned, AdvanceError> {
    read_disowned(tx, "SELECT agent, since FROM engine_disowned")
}

fn read_disowned(tx: &Transaction<'_>, sql: &str) -> Result<Disowned, AdvanceError> {
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, UnixMs(row.get(1)?))))?;
    let parsed = rows.map(|row| row.map(|(id, since)| id.parse().ok().map(|id: AgentId| (id, since))));
    Ok(parsed.filter_map(Result::transpose).collect::<Result<_, _>>()?)
}

/// Keeps what was taken out.
pub(super) fn keep_taken_out(tx: &Transaction<'_>, disowned: &Disowned) -> Result<(), AdvanceError> {
    let mut statement = tx.prepare_cached("INSERT OR REPLACE INTO engine_disowned (agent, since) VALUES (?1, ?2)")?;
    for (agent, since) in disowned {
        statement.execute(params![agent.to_string(), since.0])?;
    }
    Ok(())
}

/// Lists the site an agent speaks for, then those it was seen to look at from there.
pub(super) fn sites_of(tx: &Transaction<'_>, agent: AgentId) -> Result<Vec<String>, AdvanceError> {
    let sql = "SELECT site_code, 0 FROM agents WHERE id = ?1
               UNION SELECT v.site_code, 1 FROM vantages v JOIN agents a ON a.site_code = v.vantage_code WHERE a.id = ?1 ORDER BY 2, 1";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([agent.to_string()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn agents_mark(tx: &Transaction<'_>) -> Result<AgentsMark, AdvanceError> {
    let sql = "SELECT count(*), coalesce(max(enrolled_at), 0), coalesce(max(revoked_at), 0), coalesce(sum(approved), 0),
               coalesce(sum(disowned_since % 1000000007), 0) + count(disowned_since) FROM agents";
    Ok(tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?)
}

pub(super) fn keep_told(tx: &Transaction<'_>, told: &[Told]) -> Result<(), AdvanceError> {
    let mut event = tx.prepare_cached(
        "INSERT INTO events (known_at, kind, code, link, since, was, state, rung, confidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut state = tx.prepare_cached(
        "INSERT OR REPLACE INTO live_states (kind, code, link, state, since, rung, confidence, heard_at, observed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for one in told {
        let (kind, rung) = (one.subject.as_str(), one.cause.map(|cause| cause.rung.code()));
        let confidence = one.cause.map(|cause| cause.confidence);
        event.execute(params![one.known_at.0, kind, one.code, one.link, one.since.0, one.was, one.state, rung, confidence])?;
        if one.subject != Subject::Fleet {
            let (heard, observed) = (one.heard_at.map(|at| at.0), one.observed_at.map(|at| at.0));
            state.execute(params![kind, one.code, one.link, one.state, one.since.0, rung, confidence, heard, observed])?;
        }
    }
    Ok(())
}

pub(super) fn keep_days<'a>(tx: &Transaction<'_>, days: impl Iterator<Item = (Day, &'a str)>) -> Result<(), AdvanceError> {
    let mut dirty =
        tx.prepare_cached("INSERT INTO dirty_days (day, site_code) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET touches = touches + 1")?;
    for (day, site) in days {
        dirty.execute(params![day.0, site])?;
    }
    Ok(())
}

/// Has those days built again that are built or to be built.
pub(super) fn keep_undated(tx: &Transaction<'_>, undated: &BTreeSet<(String, Day, Day)>) -> Result<(), AdvanceError> {
    let mut waiting = tx.prepare_cached("UPDATE dirty_days SET touches = touches + 1 WHERE site_code = ?1 AND day BETWEEN ?2 AND ?3")?;
    let mut built = tx.prepare_cached(
        "INSERT OR IGNORE INTO dirty_days (day, site_code)
         SELECT d.day, o.code FROM objects o JOIN daily_seconds d ON d.kind = o.kind AND d.object = o.id
         WHERE o.kind = 2 AND o.code = ?1 AND o.link = '' AND d.day BETWEEN ?2 AND ?3",
    )?;
    for (site, first, last) in undated {
        waiting.execute(params![site, first.0, last.0])?;
        built.execute(params![site, first.0, last.0])?;
    }
    Ok(())
}

pub(super) fn keep_vantages<'a>(tx: &Transaction<'_>, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), AdvanceError> {
    let mut vantage = tx.prepare_cached("INSERT OR IGNORE INTO vantages (site_code, vantage_code) VALUES (?1, ?2)")?;
    for pair in pairs {
        vantage.execute(pair)?;
    }
    Ok(())
}

pub(super) fn keep_cursor(tx: &Transaction<'_>, cursor: Cursor, mark: Option<UnixMs>, replay_ms: i64) -> Result<(), AdvanceError> {
    let position = i64::try_from(cursor.position.0).unwrap_or(i64::MAX);
    tx.prepare_cached("INSERT OR REPLACE INTO engine_cursor (one, position, advanced_to) VALUES (1, ?1, ?2)")?
        .execute(params![position, cursor.advanced_to.0])?;
    if let Some(at) = mark {
        tx.execute("INSERT OR REPLACE INTO engine_marks (at, position) VALUES (?1, ?2)", params![at.0, position])?;
        // Those ahead of it were made by a clock that was set back since.
        tx.execute("DELETE FROM engine_marks WHERE at < ?1 OR at > ?2", [at.0 - 2 * replay_ms, at.0])?;
    }
    Ok(())
}

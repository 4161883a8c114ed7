//! Incidents as pages and the API read them: causes, affected links, what people did, and every call with its reason.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use rusta_wire::UnixMs;

use super::desk::Verdict;
use super::keep::{incident_of, number};
use super::message::{Message, root_names};
use super::outbox::{Outbox, Queued, Settled, json};
use crate::engine::incident::{Hold, Incident, IncidentEvent, IncidentId, Leaving};
use crate::inventory::{Criticality, LinkId};
use crate::persian::{Lang, Window, integer};
use crate::rules::{Facts, StoredIncident, Subject};
use crate::store::StoreError;

/// One incident for a page.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct IncidentView {
    /// Its permanent number.
    pub id: u64,
    /// The kind of root as rules name it, such as `pop`.
    pub kind: String,
    /// The root's code.
    pub code: String,
    /// The root's name in Persian.
    pub root_fa: String,
    /// The root's name in English.
    pub root_en: String,
    /// `down`, `silent`, `flapping` or `ours`.
    pub trouble: String,
    /// Whether the root itself was measured to fail.
    pub measured: bool,
    /// When it began, Unix milliseconds.
    pub started_at: i64,
    /// When it was judged.
    pub opened_at: i64,
    /// Since when its root works again although something still fails.
    pub root_restored_at: Option<i64>,
    /// When it ended.
    pub resolved_at: Option<i64>,
    /// The incident it became part of.
    pub merged_into: Option<u64>,
    /// Likeliest first: cause code, root, confidence, how many for and against.
    pub causes: serde_json::Value,
    /// The most sites it had.
    pub sites: u32,
    /// The most villages it had.
    pub villages: u32,
    /// The largest share of villages it had.
    pub villages_share: f64,
    /// Classes of the sites it cut off, such as `A B`.
    pub classes: String,
    /// Who takes care of it, and since when.
    pub acknowledged_by: Option<String>,
    /// When it was acknowledged.
    pub acknowledged_at: Option<i64>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// What a person says the cause was.
    pub cause_override: Option<String>,
    /// When somebody was on site.
    pub visited_at: Option<i64>,
    /// How many recipients a call about it has reached.
    pub told: u32,
}

/// One affected link.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Affected {
    /// Its site.
    pub site: String,
    /// Its name.
    pub link: String,
    /// What it suffers.
    pub trouble: String,
    /// Since when.
    pub since: i64,
    /// When it left the incident.
    pub left_at: Option<i64>,
    /// Why.
    pub left_why: Option<String>,
}

/// One line of an incident's story.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Timeline {
    /// When.
    pub at: i64,
    /// `engine`, `notify` or `user:NAME`.
    pub actor: String,
    /// What kind of line.
    pub kind: String,
    /// What happened.
    pub text: String,
}

const COLUMNS: &str = "id, rule_kind, root_code, root_fa, root_en, trouble, measured, started_at, opened_at, root_restored_at, resolved_at, \
                       merged_into, causes, sites, villages, villages_share, classes, acknowledged_by, acknowledged_at, assignee, \
                       cause_override, visited_at, \
                       (SELECT COUNT(DISTINCT recipient) FROM outbox WHERE case_key = 'incident/' || incidents.id AND state = 'delivered')";

/// Lists incidents, newest first, at most `most`, older than `before` if given; only those that are open, or are over, if
/// `open` says so.
///
/// # Errors
/// What SQLite says.
pub fn incidents(db: &Connection, open: Option<bool>, before: Option<u64>, most: u32) -> Result<Vec<IncidentView>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM incidents WHERE (?1 IS NULL OR (resolved_at IS NULL) = ?1) AND id < ?2 AND merged_into IS NULL
         ORDER BY id DESC LIMIT ?3"
    );
    let before = before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
    let mut query = db.prepare_cached(&sql)?;
    Ok(query.query_map(params![open, before, most], read)?.collect::<Result<_, _>>()?)
}

/// Reads one incident with its affected links, its story, and what was sent about it.
///
/// # Errors
/// What SQLite says.
#[allow(clippy::type_complexity)]
pub fn incident(db: &Connection, id: IncidentId) -> Result<Option<(IncidentView, Vec<Affected>, Vec<Timeline>, Vec<Queued>)>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM incidents WHERE id = ?1");
    let Some(view) = db.query_row(&sql, [number(id)], read).optional()? else { return Ok(None) };
    let sql = "SELECT site_code, link_name, trouble, since, left_at, left_why FROM incident_members WHERE incident = ?1
               ORDER BY left_at IS NOT NULL, site_code, link_name";
    let mut query = db.prepare_cached(sql)?;
    let affected = query.query_map([number(id)], |row| {
        Ok(Affected {
            site: row.get(0)?,
            link: row.get(1)?,
            trouble: row.get(2)?,
            since: row.get(3)?,
            left_at: row.get(4)?,
            left_why: row.get(5)?,
        })
    })?;
    let affected = affected.collect::<Result<_, _>>()?;
    let timeline = timeline(db, id)?;
    let calls = Outbox::about(db, &format!("incident/{id}"))?;
    Ok(Some((view, affected, timeline, calls)))
}

/// Reads an incident's story: what happened to it, what people did (also what is not in force yet), why calls were or were
/// not made, and which rules still wait for their time.
fn timeline(db: &Connection, id: IncidentId) -> Result<Vec<Timeline>, StoreError> {
    let sql = "SELECT at, actor, kind, text FROM incident_timeline WHERE incident = ?1
               UNION ALL SELECT at, 'notify', stage || ' ' || verdict, reason FROM decisions WHERE case_key = ?2
               UNION ALL SELECT since, 'rules', 'pending', rule FROM alerts WHERE subject = ?3 AND state = 'pending'
               UNION ALL SELECT at, actor, kind, body FROM journal WHERE subject = ?2 AND position >
                   COALESCE((SELECT CAST(value AS INTEGER) FROM notify_memory WHERE name = 'journal'), 0) ORDER BY at";
    let mut lines = lines(db, sql, params![number(id), format!("incident/{id}"), json(&Subject::Incident(id.0))])?;
    let is_unasked = "SELECT opened_at FROM incidents WHERE id = ?1 AND merged_into IS NULL
                      AND NOT EXISTS (SELECT 1 FROM decisions WHERE case_key = ?2) AND NOT EXISTS (SELECT 1 FROM alerts WHERE subject = ?3)";
    let subject = json(&Subject::Incident(id.0));
    let opened: Option<i64> =
        db.query_row(is_unasked, params![number(id), format!("incident/{id}"), subject], |row| row.get(0)).optional()?;
    lines.extend(opened.map(|at| Timeline { at, actor: "rules".to_owned(), kind: "no_rule".to_owned(), text: String::new() }));
    Ok(lines)
}

/// Says why somebody was called and why not: about an incident by its number, or about everything decided of a site by its
/// code. Oldest first.
///
/// # Errors
/// What SQLite says.
pub fn explain(db: &Connection, about: &str) -> Result<Vec<Timeline>, StoreError> {
    if let Ok(id) = about.trim_start_matches("incident/").parse() {
        return timeline(db, IncidentId(id));
    }
    let sql = "SELECT DISTINCT incident FROM incident_members WHERE site_code = ?1 ORDER BY incident";
    let ids = db.prepare_cached(sql)?.query_map([about], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut found = decided_of_site(db, about)?;
    for id in ids {
        let id = IncidentId(id.unsigned_abs());
        found.extend(timeline(db, id)?.into_iter().map(|line| Timeline { kind: format!("incident/{id} {}", line.kind), ..line }));
    }
    found.sort_by_key(|line| line.at);
    Ok(found)
}

/// Lists what was decided about a site outside of incidents: links held back from judgement, alerts of its own, of its
/// links and of its agent, and the rules that still wait for their time. Oldest first.
///
/// # Errors
/// What SQLite says.
pub fn decided_of_site(db: &Connection, site: &str) -> Result<Vec<Timeline>, StoreError> {
    let sql = "SELECT at, 'notify', CASE WHEN case_key = 'site/' || ?1 THEN '' ELSE case_key || ' ' END || stage || ' ' || verdict, reason
               FROM decisions WHERE site = ?1 ORDER BY id";
    let mut decided = lines(db, sql, params![site])?;
    decided.extend(pending(db)?.into_iter().filter(|(subject, _)| subject.site() == Some(site)).map(|(_, line)| line));
    Ok(decided)
}

/// Lists the rules whose condition holds, but not yet for long enough, with what each is about.
fn pending(db: &Connection) -> Result<Vec<(Subject, Timeline)>, StoreError> {
    let mut query = db.prepare_cached("SELECT subject, since, rule FROM alerts WHERE state = 'pending' ORDER BY since")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let line = |(subject, at, text): (String, i64, String)| {
        let line = Timeline { at, actor: "rules".to_owned(), kind: "pending".to_owned(), text };
        Some((serde_json::from_str(&subject).ok()?, line))
    };
    Ok(rows.into_iter().filter_map(line).collect())
}

fn lines(db: &Connection, sql: &str, about: impl rusqlite::Params) -> Result<Vec<Timeline>, StoreError> {
    let mut query = db.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok(Timeline { at: row.get(0)?, actor: row.get(1)?, kind: row.get(2)?, text: row.get(3)? });
    let lines = query.query_map(about, read)?;
    Ok(lines.collect::<Result<_, _>>()?)
}

/// Lists the roots that failed most often in the seven days before `until`: those that failed at least twice.
///
/// # Errors
/// What SQLite says.
pub(super) fn worst_of_week(db: &Connection, until: UnixMs) -> Result<Vec<Message>, StoreError> {
    const WEEK_MS: i64 = 7 * 86_400_000;
    // As many as people can work on in a week.
    const MOST: u32 = 20;
    let sql = "SELECT root_fa, root_en, COUNT(*) AS times, MIN(started_at), MAX(id) FROM incidents
               WHERE opened_at >= ?1 AND opened_at < ?2 AND merged_into IS NULL AND trouble <> 'ours'
               GROUP BY root_kind, root_code HAVING times > 1 ORDER BY times DESC, root_code LIMIT ?3";
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map(params![until.0 - WEEK_MS, until.0, MOST], |row| {
        let times: i64 = row.get(2)?;
        let title = |lang: Lang, word: &str| format!("{} {word}", integer(times, lang));
        Ok(Message {
            titles: vec![(title(Lang::Fa, "بار در هفته"), title(Lang::En, "times this week"))],
            root: (row.get(0)?, row.get(1)?),
            since: row.get(3)?,
            path: format!("/incidents/{}", row.get::<_, i64>(4)?),
            ..Message::default()
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lists incidents that touch a window, for replaying rules.
///
/// # Errors
/// What SQLite says.
pub fn stored(db: &Connection, window: Window) -> Result<Vec<StoredIncident>, StoreError> {
    let sql = "SELECT id, rule_kind, trouble, started_at, opened_at, resolved_at, sites, villages_share, classes, root_fa FROM incidents
               WHERE merged_into IS NULL AND started_at < ?2 AND (resolved_at IS NULL OR resolved_at >= ?1) ORDER BY id";
    let mut query = db.prepare(sql)?;
    let rows = query.query_map([window.from.0, window.until.0], |row| {
        let classes: String = row.get(8)?;
        Ok(StoredIncident {
            id: IncidentId(row.get::<_, i64>(0)?.unsigned_abs()),
            root_kind: row.get(1)?,
            trouble: row.get::<_, String>(2)?.parse().unwrap_or(crate::engine::incident::Trouble::Down),
            started_at: UnixMs(row.get(3)?),
            opened_at: UnixMs(row.get(4)?),
            resolved_at: row.get::<_, Option<i64>>(5)?.map(UnixMs),
            sites: usize::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            villages_share: row.get(7)?,
            classes: classes.split(' ').filter_map(|class| class.parse::<Criticality>().ok()).collect(),
            title: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<IncidentView> {
    Ok(IncidentView {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        kind: row.get(1)?,
        code: row.get(2)?,
        root_fa: row.get(3)?,
        root_en: row.get(4)?,
        trouble: row.get(5)?,
        measured: row.get(6)?,
        started_at: row.get(7)?,
        opened_at: row.get(8)?,
        root_restored_at: row.get(9)?,
        resolved_at: row.get(10)?,
        merged_into: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
        causes: serde_json::from_str(&row.get::<_, String>(12)?).unwrap_or_default(),
        sites: row.get(13)?,
        villages: row.get(14)?,
        villages_share: row.get(15)?,
        classes: row.get(16)?,
        acknowledged_by: row.get(17)?,
        acknowledged_at: row.get(18)?,
        assignee: row.get(19)?,
        cause_override: row.get(20)?,
        visited_at: row.get(21)?,
        told: row.get(22)?,
    })
}

/// Writes an incident's causes for its page.
pub(super) fn causes_json(incident: &Incident, facts: &Facts<'_>) -> String {
    let cause = |cause: &crate::engine::incident::RankedCause| {
        let names = root_names(cause.scope, facts.snapshot, facts.incidents.operator_names(cause.scope));
        serde_json::json!({
            "code": cause.rung.cause_code(), "rung": cause.rung.as_str(), "fa": names.0, "en": names.1,
            "confidence": cause.confidence, "for": cause.for_it, "against": cause.against, "measured": cause.measured,
        })
    };
    serde_json::Value::from(incident.causes.iter().map(cause).collect::<Vec<_>>()).to_string()
}

/// Writes an event into the story of its incident.
pub(super) fn note_event(tx: &Transaction<'_>, event: &IncidentEvent, facts: &Facts<'_>) -> Result<(), StoreError> {
    let names = |links: &[LinkId]| names(links, facts);
    let (id, kind, text) = match event {
        IncidentEvent::Opened(id) => {
            let links = facts.incidents.get(*id).map(|incident| incident.members.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
            (*id, "opened", names(&links))
        }
        IncidentEvent::Attached { incident, links } => (*incident, "attached", names(links)),
        IncidentEvent::Left { incident, links } => (*incident, "left", left(links, facts)),
        IncidentEvent::RootChanged { incident, from } => {
            let before = root_names(*from, facts.snapshot, facts.incidents.operator_names(*from));
            (*incident, "root_changed", before.1)
        }
        IncidentEvent::RootRestored(id) => (*id, "root_restored", String::new()),
        IncidentEvent::Merged { incident, into } => (*incident, "merged", into.to_string()),
        IncidentEvent::Resolved(id) => (*id, "resolved", String::new()),
        IncidentEvent::Held { link, why } => return note_hold(tx, *link, *why, facts),
        IncidentEvent::Released { .. } => return Ok(()),
    };
    note(tx, id, facts.now(), "engine", kind, &text)
}

/// Writes why a link in trouble is no incident yet. Gathering passes within a minute and would fill the table.
fn note_hold(tx: &Transaction<'_>, link: LinkId, why: Hold, facts: &Facts<'_>) -> Result<(), StoreError> {
    if why == Hold::Gathering {
        return Ok(());
    }
    let inventory = &facts.snapshot.inventory;
    let link = inventory.link(link);
    let sql = "INSERT INTO decisions (case_key, site, at, stage, verdict, reason) VALUES ('site/' || ?1, ?1, ?2, 'judge', ?3, ?4)";
    let reason = format!("{}: {}", link.name, why.as_str());
    tx.prepare_cached(sql)?.execute(params![inventory.site(link.site).code, facts.now().0, Verdict::Hold.as_str(), reason])?;
    Ok(())
}

fn left(links: &[(LinkId, Leaving)], facts: &Facts<'_>) -> String {
    let mut reasons = links.iter().map(|(_, why)| *why).collect::<Vec<_>>();
    reasons.sort_unstable();
    reasons.dedup();
    let of = |why: Leaving| {
        let those = links.iter().filter(|(_, reason)| *reason == why).map(|(link, _)| *link).collect::<Vec<_>>();
        format!("{why}: {}", names(&those, facts))
    };
    reasons.into_iter().map(of).collect::<Vec<_>>().join("; ")
}

/// Names a few links and counts the rest.
fn names(links: &[LinkId], facts: &Facts<'_>) -> String {
    const MOST: usize = 12;
    let inventory = &facts.snapshot.inventory;
    let named = links.iter().take(MOST).map(|link| inventory.site(inventory.link(*link).site).code.as_str()).collect::<Vec<_>>().join(", ");
    match links.len().saturating_sub(MOST) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Writes what became of a call into the story of its incident.
pub(super) fn note_call(tx: &Transaction<'_>, call: &Queued, settled: &Settled, now: UnixMs) -> Result<(), StoreError> {
    let Some(id) = incident_of(&call.case_key) else { return Ok(()) };
    let text = format!("{}: {}", call.recipient, settled.note);
    note(tx, id, now, "notify", settled.state, &text)
}

/// Adds a line to an incident's story.
pub(super) fn note(tx: &Transaction<'_>, id: IncidentId, at: UnixMs, actor: &str, kind: &str, text: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO incident_timeline (incident, at, actor, kind, text)
               SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM incidents WHERE id = ?1)";
    tx.prepare_cached(sql)?.execute(params![number(id), at.0, actor, kind, text])?;
    Ok(())
}

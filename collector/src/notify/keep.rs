//! What the incidents, rules and desk know, kept in the state database and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rusta_wire::UnixMs;

use super::acknowledgement::{self, Acknowledgement, Care};
use super::acts;
use super::case::{Case, CaseKey};
use super::desk::{Desk, Memory, Work};
use super::message::root_names;
use super::outbox::{Outbox, json};
use crate::engine::incident::{
    Incident, IncidentEvent, IncidentId, Incidents, Leaving, Member, Scope, ScopeCode, Settings, Topology, Trouble,
};
use crate::inventory::{Inventory, LinkId};
use crate::journal::Entry;
use crate::rules::{Alert, Facts, Subject, Watch};
use crate::store::StoreError;

/// Everything that was read back.
#[derive(Debug)]
pub struct Kept {
    /// The incidents, continued.
    pub incidents: Incidents,
    /// The alerts, continued.
    pub watch: Watch,
    /// The cases.
    pub cases: Vec<Case>,
    /// What the desk remembers beside them.
    pub memory: Memory,
}

/// What one look found and changed.
pub struct Look<'a> {
    /// What it was told.
    pub facts: &'a Facts<'a>,
    /// What people did since the last one, in order.
    pub acts: &'a [Entry],
    /// What became of the incidents.
    pub events: &'a [IncidentEvent],
    /// The alerts after it.
    pub watch: &'a Watch,
    /// The desk after it.
    pub desk: &'a Desk,
    /// The calls it asks for.
    pub work: &'a Work,
}

/// Keeps what one look changed, with the calls it asks for: all of it or none.
///
/// # Errors
/// What SQLite says.
pub fn keep(tx: &Transaction<'_>, look: &Look<'_>) -> Result<(), StoreError> {
    let Look { facts, acts, events, watch, desk, work } = look;
    let incidents = facts.incidents;
    for entry in *acts {
        acts::keep(tx, entry)?;
    }
    keep_incidents(tx, facts, events)?;
    for (id, severity, given) in desk.acknowledged() {
        if let Some(care) = Care::of(id, severity, facts) {
            acknowledgement::keep(tx, id, given, &care)?;
        }
    }
    keep_alerts(tx, watch)?;
    for key in &work.changed {
        if let Some(case) = desk.cases.get(key) {
            tx.prepare_cached("INSERT OR REPLACE INTO cases (key, body) VALUES (?1, ?2)")?.execute(params![key.to_string(), json(case)])?;
        }
    }
    for key in &work.ended {
        tx.prepare_cached("DELETE FROM cases WHERE key = ?1")?.execute([key.to_string()])?;
    }
    for decision in &work.decisions {
        let (stage, verdict) = (decision.stage, decision.verdict.as_str());
        let row = params![decision.case.to_string(), decision.at.0, stage, verdict, decision.reason, decision.case.site()];
        let sql = "INSERT INTO decisions (case_key, at, stage, verdict, reason, site) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        tx.prepare_cached(sql)?.execute(row)?;
    }
    for call in &work.calls {
        Outbox::write(tx, call, facts.now())?;
    }
    remember(tx, "desk", &json(desk.memory()))?;
    remember(tx, "next_incident", &incidents.next_id().to_string())?;
    if let Some(last) = acts.last() {
        remember(tx, "journal", &last.position.to_string())?;
    }
    remember(tx, "looked_at", &facts.now().0.to_string())
}

/// Returns the position of the last act that was applied.
///
/// # Errors
/// What SQLite says.
pub fn applied(db: &Connection) -> Result<i64, StoreError> {
    Ok(recall(db, "journal")?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Keeps only the time of the last look, so that a later start knows how long it slept.
///
/// # Errors
/// What SQLite says.
pub fn keep_time(tx: &Transaction<'_>, now: UnixMs) -> Result<(), StoreError> {
    remember(tx, "looked_at", &now.0.to_string())
}

/// Forgets why links were held and alerts of sites were told or not, once that is a season ago; the reasons of incidents
/// stay with them.
///
/// # Errors
/// What SQLite says.
pub fn forget_old_decisions(tx: &Transaction<'_>, now: UnixMs) -> Result<(), StoreError> {
    const SEASON_MS: i64 = 92 * 86_400_000;
    tx.execute("DELETE FROM decisions WHERE at < ?1 AND case_key NOT LIKE 'incident/%'", [now.0 - SEASON_MS])?;
    Ok(())
}

fn keep_incidents(tx: &Transaction<'_>, facts: &Facts<'_>, events: &[IncidentEvent]) -> Result<(), StoreError> {
    let mut touched: BTreeMap<IncidentId, BTreeSet<LinkId>> = BTreeMap::new();
    for event in events {
        match event {
            IncidentEvent::Opened(id) => {
                let members = facts.incidents.get(*id).map(|incident| incident.members.keys().copied().collect()).unwrap_or_default();
                touched.entry(*id).or_default().extend::<BTreeSet<_>>(members);
            }
            IncidentEvent::Attached { incident, links } => touched.entry(*incident).or_default().extend(links),
            IncidentEvent::Left { incident, links } => touched.entry(*incident).or_default().extend(links.iter().map(|(link, _)| *link)),
            IncidentEvent::RootChanged { incident: id, .. }
            | IncidentEvent::RootRestored(id)
            | IncidentEvent::Merged { incident: id, .. }
            | IncidentEvent::Resolved(id) => drop(touched.entry(*id).or_default()),
            IncidentEvent::Held { .. } | IncidentEvent::Released { .. } => {}
        }
    }
    for (id, links) in touched {
        let Some(incident) = facts.incidents.get(id) else { continue };
        keep_incident(tx, incident, facts)?;
        for link in links {
            if let Some(member) = incident.members.get(&link) {
                keep_member(tx, id, link, member, &facts.snapshot.inventory)?;
            }
        }
    }
    for event in events {
        super::incidents::note_event(tx, event, facts)?;
    }
    Ok(())
}

fn keep_incident(tx: &Transaction<'_>, incident: &Incident, facts: &Facts<'_>) -> Result<(), StoreError> {
    let code = ScopeCode::of(incident.root, facts.incidents.inventory(), facts.incidents.topology());
    let names = root_names(incident.root, facts.snapshot, facts.incidents.operator_names(incident.root));
    let impact = facts.impacts.get(&incident.id).cloned().unwrap_or_default();
    let classes = impact.classes.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(" ");
    let sql = "INSERT INTO incidents (id, root_kind, root_code, rule_kind, root_fa, root_en, trouble, measured, started_at, opened_at,
                   root_restored_at, resolved_at, merged_into, causes, sites, villages, villages_share, classes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
               ON CONFLICT (id) DO UPDATE SET root_kind = ?2, root_code = ?3, rule_kind = ?4, root_fa = ?5, root_en = ?6, trouble = ?7,
                   measured = ?8, started_at = ?9, root_restored_at = ?11, resolved_at = ?12, merged_into = ?13, causes = ?14,
                   sites = MAX(sites, ?15), villages = MAX(villages, ?16), villages_share = MAX(villages_share, ?17),
                   classes = CASE WHEN LENGTH(classes) > LENGTH(?18) THEN classes ELSE ?18 END";
    tx.prepare_cached(sql)?.execute(params![
        number(incident.id),
        code.kind,
        code.code,
        facts.root_kind(incident),
        names.0,
        names.1,
        incident.trouble.as_str(),
        incident.measured,
        incident.started_at.0,
        incident.opened_at.0,
        incident.root_restored_at.map(|at| at.0),
        incident.resolved_at.map(|at| at.0),
        incident.merged_into.map(number),
        super::incidents::causes_json(incident, facts),
        impact.sites.len() as i64,
        impact.villages.len() as i64,
        impact.villages_share,
        classes,
    ])?;
    if let Some(at) = incident.resolved_at {
        // What is still open then has left the registry: no look names it any more.
        let sql = "UPDATE incident_members SET left_at = ?2, left_why = ?3 WHERE incident = ?1 AND left_at IS NULL";
        tx.prepare_cached(sql)?.execute(params![number(incident.id), at.0, Leaving::Removed.as_str()])?;
    }
    Ok(())
}

fn keep_member(tx: &Transaction<'_>, id: IncidentId, link: LinkId, member: &Member, inventory: &Inventory) -> Result<(), StoreError> {
    let site = &inventory.site(inventory.link(link).site).code;
    let sql = "INSERT OR REPLACE INTO incident_members (incident, site_code, link_name, trouble, since, attached_at, left_at, left_why)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let left = member.left.map(|(at, why)| (at.0, why.as_str()));
    tx.prepare_cached(sql)?.execute(params![
        number(id),
        site,
        inventory.link(link).name,
        member.trouble.as_str(),
        member.since.0,
        member.attached_at.0,
        left.map(|left| left.0),
        left.map(|left| left.1),
    ])?;
    Ok(())
}

fn keep_alerts(tx: &Transaction<'_>, watch: &Watch) -> Result<(), StoreError> {
    for (rule, subject) in watch.changed() {
        let code = json(subject);
        match watch.alert(rule, subject) {
            Some(alert) => {
                let sql = "INSERT OR REPLACE INTO alerts (rule, subject, state, since, value) VALUES (?1, ?2, ?3, ?4, ?5)";
                tx.prepare_cached(sql)?.execute(params![rule, code, alert.state.as_str(), alert.since.0, alert.value])?;
            }
            None => drop(tx.prepare_cached("DELETE FROM alerts WHERE rule = ?1 AND subject = ?2")?.execute(params![rule, code])?),
        }
    }
    Ok(())
}

fn remember(tx: &Transaction<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO notify_memory (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2 WHERE value <> ?2";
    tx.prepare_cached(sql)?.execute(params![name, value])?;
    Ok(())
}

fn recall(db: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    Ok(db.query_row("SELECT value FROM notify_memory WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// Reads everything back, for the inventory of this moment. What is not in that inventory any more is left out.
///
/// # Errors
/// What SQLite says.
pub fn load(db: &Connection, settings: Settings, inventory: &Arc<Inventory>) -> Result<Kept, StoreError> {
    let topology = Topology::new(inventory);
    let mut open = Vec::new();
    let sql = "SELECT id, root_kind, root_code, trouble, measured, started_at, opened_at, root_restored_at FROM incidents
               WHERE resolved_at IS NULL ORDER BY id";
    let mut query = db.prepare(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let id = IncidentId(row.get::<_, i64>(0)?.unsigned_abs());
        let (kind, code): (String, String) = (row.get(1)?, row.get(2)?);
        let members = members(db, id, inventory)?;
        let first_site = members.keys().next().map(|link| Scope::Site(inventory.link(*link).site));
        // What left the registry altogether has no members either: the first look ends it.
        let root = ScopeCode::find(&kind, &code, inventory, &topology).or(first_site).unwrap_or(Scope::Collector);
        open.push(Incident {
            id,
            root,
            measured: row.get(4)?,
            trouble: row.get::<_, String>(3)?.parse().unwrap_or(Trouble::Down),
            started_at: UnixMs(row.get(5)?),
            opened_at: UnixMs(row.get(6)?),
            resolved_at: None,
            merged_into: None,
            root_restored_at: row.get::<_, Option<i64>>(7)?.map(UnixMs),
            members,
            causes: Vec::new(),
        });
    }
    let newest: i64 = db.query_row("SELECT COALESCE(MAX(id), 0) FROM incidents", [], |row| row.get(0))?;
    let next = recall(db, "next_incident")?.and_then(|text| text.parse().ok()).unwrap_or(1).max(newest.unsigned_abs() + 1);
    let looked_at = recall(db, "looked_at")?.and_then(|text| text.parse().ok()).map(UnixMs);
    let mut memory: Memory = recall(db, "desk")?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let cases = cases(db)?;
    if recall(db, "journal")?.is_none() {
        memory.acknowledgements = acknowledgements_before_the_journal(db, &cases)?;
    }
    let mut incidents = Incidents::restore(settings, inventory.clone(), open, IncidentId(next), looked_at);
    for (link, at) in left_by_hand(db, inventory)? {
        incidents.rest(link, at);
    }
    Ok(Kept { incidents, watch: Watch::restore(alerts(db)?), cases, memory })
}

/// Lists the links whose newest incident a person ended, with the time.
fn left_by_hand(db: &Connection, inventory: &Inventory) -> Result<Vec<(LinkId, UnixMs)>, StoreError> {
    let sql = "SELECT site_code, link_name, MAX(left_at) FROM incident_members WHERE left_why = ?1 GROUP BY site_code, link_name";
    let mut query = db.prepare(sql)?;
    let mut rows = query.query([Leaving::ByHand.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (site, link): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(link) = inventory.site_by_code(&site).and_then(|site| inventory.link_by_name(site, &link)) {
            found.push((link, UnixMs(row.get(2)?)));
        }
    }
    Ok(found)
}

/// Reads who took care of what from the rows in which programs before the journal kept it.
fn acknowledgements_before_the_journal(db: &Connection, cases: &[Case]) -> Result<BTreeMap<u64, Vec<Acknowledgement>>, StoreError> {
    let sql = "SELECT a.incident, a.region, a.by_user, a.at FROM incident_acknowledgements a JOIN incidents i ON i.id = a.incident
               WHERE i.resolved_at IS NULL ORDER BY a.at";
    let mut query = db.prepare(sql)?;
    let mut rows = query.query([])?;
    let mut found: BTreeMap<u64, Vec<Acknowledgement>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (id, region): (i64, String) = (row.get(0)?, row.get(1)?);
        let id = id.unsigned_abs();
        let severity = cases.iter().find(|case| case.key == CaseKey::Incident(id)).map(|case| case.severity);
        let region = Some(region).filter(|region| !region.is_empty());
        found.entry(id).or_default().push(Acknowledgement { at: row.get(3)?, by: row.get(2)?, region, severity, root: None, links: 0 });
    }
    Ok(found)
}

fn members(db: &Connection, id: IncidentId, inventory: &Inventory) -> Result<BTreeMap<LinkId, Member>, StoreError> {
    let sql = "SELECT site_code, link_name, trouble, since, attached_at, left_at, left_why FROM incident_members WHERE incident = ?1";
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query([number(id)])?;
    let mut members = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (site, link): (String, String) = (row.get(0)?, row.get(1)?);
        let link = inventory.site_by_code(&site).and_then(|site| inventory.link_by_name(site, &link));
        let Some(link) = link else { continue };
        let left_why = row.get::<_, Option<String>>(6)?.and_then(|why| why.parse().ok()).unwrap_or(Leaving::Recovered);
        members.insert(
            link,
            Member {
                trouble: row.get::<_, String>(2)?.parse().unwrap_or(Trouble::Down),
                since: UnixMs(row.get(3)?),
                attached_at: UnixMs(row.get(4)?),
                left: row.get::<_, Option<i64>>(5)?.map(|at| (UnixMs(at), left_why)),
            },
        );
    }
    Ok(members)
}

fn alerts(db: &Connection) -> Result<Vec<Alert>, StoreError> {
    let mut query = db.prepare("SELECT rule, subject, state, since, value FROM alerts")?;
    let mut rows = query.query([])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        let subject: String = row.get(1)?;
        let Ok(subject) = serde_json::from_str::<Subject>(&subject) else { continue };
        let Ok(state) = row.get::<_, String>(2)?.parse() else { continue };
        alerts.push(Alert { rule: row.get(0)?, subject, state, since: UnixMs(row.get(3)?), value: row.get(4)? });
    }
    Ok(alerts)
}

fn cases(db: &Connection) -> Result<Vec<Case>, StoreError> {
    let mut query = db.prepare("SELECT body FROM cases")?;
    let bodies = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
}

pub(super) fn number(id: IncidentId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

/// Reads a case's key back from its text; only incidents' keys are ever looked up so.
pub(super) fn incident_of(case_key: &str) -> Option<IncidentId> {
    case_key.strip_prefix("incident/")?.parse().ok().map(IncidentId)
}

impl From<IncidentId> for CaseKey {
    fn from(id: IncidentId) -> CaseKey {
        CaseKey::Incident(id.0)
    }
}

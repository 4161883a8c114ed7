//! Who takes care of an incident: each acknowledgement holds for the region of who gave it, for the severity it was given
//! at, and for what the incident was then: one village that turned out to be a mast is news.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction, params};
use rusta_wire::UnixMs;
use serde::{Deserialize, Serialize};

use super::keep::number;
use crate::engine::incident::{Incident, IncidentId, Incidents, ScopeCode};
use crate::rules::{Facts, Severity};
use crate::store::StoreError;

/// One person's word that they take care of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When.
    pub at: i64,
    /// By whom.
    pub by: String,
    /// Code of the region they are bound to; `None` for everything.
    pub region: Option<String>,
    /// How severe it was then; `None` as long as no rule has spoken of it. Who took care of a ticket has not seen that it
    /// became a page.
    pub severity: Option<Severity>,
    /// What was at fault then, by kind and code; `None` where an older program kept it.
    #[serde(default)]
    pub root: Option<String>,
    /// Links it had then.
    #[serde(default)]
    pub links: usize,
}

/// Names what is at fault, in every version of the registry alike.
pub(super) fn root_code(incident: &Incident, incidents: &Incidents) -> String {
    let ScopeCode { kind, code } = ScopeCode::of(incident.root, incidents.inventory(), incidents.topology());
    format!("{kind}/{code}")
}

/// An acknowledgement that stands, as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Code of the region it counts for; empty for everything.
    pub region: String,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: UnixMs,
}

/// Lists the acknowledgements of an incident that stand, the first first.
///
/// # Errors
/// What SQLite says.
pub fn standing(db: &Connection, incident: IncidentId) -> Result<Vec<Standing>, StoreError> {
    let sql = "SELECT region, by_user, at FROM incident_acknowledgements WHERE incident = ?1 ORDER BY at, region";
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map([number(incident)], |row| Ok(Standing { region: row.get(0)?, by: row.get(1)?, at: UnixMs(row.get(2)?) }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes which acknowledgements of an incident stand, and who takes care of all of it.
///
/// # Errors
/// What SQLite says.
pub(super) fn keep(tx: &Transaction<'_>, incident: IncidentId, given: &[Acknowledgement], of: &Care<'_, '_>) -> Result<(), StoreError> {
    let id = number(incident);
    let stand: BTreeMap<&str, &Acknowledgement> =
        given.iter().rev().filter(|ack| of.counts(ack)).map(|ack| (ack.region.as_deref().unwrap_or_default(), ack)).collect();
    tx.prepare_cached("DELETE FROM incident_acknowledgements WHERE incident = ?1")?.execute([id])?;
    for (region, ack) in stand {
        let sql = "INSERT INTO incident_acknowledgements (incident, region, by_user, at) VALUES (?1, ?2, ?3, ?4)";
        tx.prepare_cached(sql)?.execute(params![id, region, ack.by, ack.at])?;
    }
    let (at, by) = of.covering(given).unzip();
    let sql = "UPDATE incidents SET acknowledged_at = ?2, acknowledged_by = ?3
               WHERE id = ?1 AND (acknowledged_at IS NOT ?2 OR acknowledged_by IS NOT ?3)";
    tx.prepare_cached(sql)?.execute(params![id, at.map(|at: UnixMs| at.0), by])?;
    Ok(())
}

/// An incident as those see it who may take care of it.
pub(super) struct Care<'a, 'f> {
    facts: &'a Facts<'f>,
    incident: &'a Incident,
    root: String,
    links: usize,
    severity: Option<Severity>,
}

impl<'a, 'f> Care<'a, 'f> {
    /// Looks at an incident that a case of this severity speaks of; `None` if there is no such incident.
    pub(super) fn of(incident: IncidentId, severity: Option<Severity>, facts: &'a Facts<'f>) -> Option<Self> {
        let incident = facts.incidents.get(incident)?;
        let (root, links) = (root_code(incident, facts.incidents), incident.open_members().count());
        Some(Care { facts, incident, root, links, severity })
    }

    /// Tells whether an acknowledgement still speaks of what this is.
    fn counts(&self, ack: &Acknowledgement) -> bool {
        let grew = self.links > ack.links && ack.root.as_ref().is_some_and(|then| *then != self.root);
        (ack.severity.is_none() || ack.severity >= self.severity) && !grew
    }

    /// Returns when and by whom all of it is taken care of; `None` while a site of it is nobody's.
    pub(super) fn covering(&self, given: &[Acknowledgement]) -> Option<(UnixMs, String)> {
        let inventory = &self.facts.snapshot.inventory;
        let given: Vec<_> = given.iter().filter(|ack| self.counts(ack)).collect();
        let holds = |ack: &Acknowledgement, region| match &ack.region {
            None => true,
            Some(code) => inventory.region_by_code(code).is_some_and(|bound| inventory.is_within(region, bound)),
        };
        let regions: BTreeSet<_> = self.incident.open_members().map(|(link, _)| inventory.site(inventory.link(link).site).region).collect();
        let needed: Option<BTreeSet<usize>> = regions.iter().map(|region| given.iter().position(|ack| holds(ack, *region))).collect();
        let needed = if regions.is_empty() { BTreeSet::from([0]) } else { needed? };
        let needed = || needed.iter().filter_map(|place| given.get(*place));
        let at = needed().map(|ack| ack.at).max()?;
        let names: BTreeSet<&str> = needed().map(|ack| ack.by.as_str()).collect();
        Some((UnixMs(at), names.into_iter().collect::<Vec<_>>().join(", ")))
    }
}

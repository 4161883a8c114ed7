//! What a rule would have said over stored history: `alerts test RULE --period`.
//!
//! Incident rules are replayed from the stored incidents, exactly: a rule fires when its incident had lasted `for` inside
//! the rule's calendar. For other rules the log is played again, and this module notes when they fire and stop.

use std::time::Duration;

use rusta_wire::UnixMs;

use super::{Alert, Change, IncidentMatch, Rule, Rules, Subject};
use crate::engine::incident::{IncidentId, Trouble};
use crate::inventory::Criticality;
use crate::persian::Window;

/// An incident as history keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredIncident {
    /// Its number.
    pub id: IncidentId,
    /// The kind of its root, as rules name it.
    pub root_kind: String,
    /// The kind of trouble.
    pub trouble: Trouble,
    /// When it began.
    pub started_at: UnixMs,
    /// When it was judged.
    pub opened_at: UnixMs,
    /// When it ended; `None` if it has not.
    pub resolved_at: Option<UnixMs>,
    /// The most sites it had.
    pub sites: usize,
    /// The largest share of villages it had.
    pub villages_share: f64,
    /// Classes of the sites it cut off.
    pub classes: Vec<Criticality>,
    /// What people read.
    pub title: String,
}

/// One time a rule would have fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// About what.
    pub subject: Subject,
    /// When it would have begun to fire.
    pub at: UnixMs,
    /// When it would have stopped; `None` if it still would.
    pub until: Option<UnixMs>,
    /// What people would have read.
    pub title: String,
}

/// Replays a rule that watches incidents over those that are stored, for the given window.
pub fn replay(wanted: &IncidentMatch, rule: &Rule, rules: &Rules, incidents: &[StoredIncident], window: Window, now: UnixMs) -> Vec<Fired> {
    let fired = incidents.iter().filter(|incident| matches(wanted, incident)).filter_map(|incident| {
        let at = fires_at(rule, rules, incident, now)?;
        window.contains(at).then(|| Fired {
            subject: Subject::Incident(incident.id.0),
            at,
            until: incident.resolved_at,
            title: incident.title.clone(),
        })
    });
    fired.collect()
}

/// Notes what changed at `at`: what fires is begun, what stops is ended.
pub fn note_changes(fired: &mut Vec<Fired>, changes: Vec<Change>, at: UnixMs, title: impl Fn(&Alert) -> String) {
    for change in changes {
        match change {
            Change::Fired(alert) => fired.push(Fired { at, until: None, title: title(&alert), subject: alert.subject }),
            Change::Resolved(alert) => {
                let open = fired.iter_mut().rev().find(|one| one.subject == alert.subject && one.until.is_none());
                open.into_iter().for_each(|one| one.until = Some(at));
            }
        }
    }
}

fn matches(wanted: &IncidentMatch, incident: &StoredIncident) -> bool {
    (wanted.roots.is_empty() || wanted.roots.contains(&incident.root_kind))
        && (wanted.troubles.is_empty() || wanted.troubles.contains(&incident.trouble))
        && (wanted.classes.is_empty() || wanted.classes.iter().any(|class| incident.classes.contains(class)))
        && wanted.villages_share.is_none_or(|share| incident.villages_share >= share)
        && wanted.sites.is_none_or(|sites| incident.sites >= sites)
}

fn fires_at(rule: &Rule, rules: &Rules, incident: &StoredIncident, now: UnixMs) -> Option<UnixMs> {
    let ripe = (incident.started_at + rule.hold).max(incident.opened_at);
    let at = rule.calendar.as_ref().map_or(Some(ripe), |name| rules.calendars.opens_at(name, ripe))?;
    let end = incident.resolved_at.unwrap_or(now + Duration::from_millis(1));
    (at < end).then_some(at)
}

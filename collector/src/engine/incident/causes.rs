//! The causes of an incident, likeliest first, each with what speaks for and against it.

use std::collections::BTreeMap;

use rusta_wire::Rung;

use super::look::Look;
use super::record::{Incident, RankedCause};
use super::topology::{Scope, rung_of};

/// Causes kept per incident: a person reads three, the page shows the rest.
const MOST_CAUSES: usize = 6;

/// Measured by its own monitor, and only contradicted by what hangs on it.
const MEASURED: f64 = 95.0;
/// A thing nobody measures can be blamed with at most this, however many links agree.
const INFERRED: f64 = 85.0;
/// A shared thing that one failing link alone points to.
const SUSPECTED: f64 = 30.0;

/// Ranks what may be behind an incident.
pub(super) fn rank(look: &Look<'_>, incident: &Incident) -> Vec<RankedCause> {
    let mut causes = told_by_agents(look, incident);
    // An agent that names a rung is alive: that its site is cut off does not blame its device.
    let device_works = !causes.is_empty();
    causes.extend(shared(look, incident).into_iter().filter(|cause| !(device_works && cause.rung == Rung::Device)));
    causes.sort_by_key(|cause| (std::cmp::Reverse(cause.confidence), cause.rung, cause.scope));
    causes.dedup_by_key(|cause| (cause.rung, cause.scope));
    causes.truncate(MOST_CAUSES);
    causes
}

/// The only cause of an outage of ours.
pub(super) fn ours() -> Vec<RankedCause> {
    vec![RankedCause { rung: Rung::Collector, scope: Scope::Collector, confidence: 90, for_it: 0, against: 0, measured: true }]
}

/// The rungs the agents themselves named, weighed by how many named them.
fn told_by_agents(look: &Look<'_>, incident: &Incident) -> Vec<RankedCause> {
    let mut told: BTreeMap<Rung, (u32, u32)> = BTreeMap::new();
    let mut members = 0;
    for (link, _) in incident.open_members() {
        members += 1;
        if let Some(cause) = look.snapshot.link(link).cause {
            let (count, sum) = told.entry(cause.rung).or_default();
            *count += 1;
            *sum += u32::from(cause.confidence);
        }
    }
    let cause = |(rung, (count, sum)): (Rung, (u32, u32))| RankedCause {
        rung,
        scope: incident.root,
        confidence: percent(f64::from(sum) / f64::from(members)),
        for_it: count,
        against: members - count,
        measured: true,
    };
    told.into_iter().map(cause).collect()
}

/// Every scope all members need, blamed by the share of its links that fail.
fn shared(look: &Look<'_>, incident: &Incident) -> Vec<RankedCause> {
    let members = incident.open_members().map(|(link, _)| link).collect::<Vec<_>>();
    let Some(first) = members.first() else { return Vec::new() };
    let common = look.scopes_of(*first).filter(|scope| *scope == incident.root || members.iter().all(|link| look.needs(*link, *scope)));
    let mut scopes = common.collect::<Vec<_>>();
    if !scopes.contains(&incident.root) {
        scopes.push(incident.root);
    }
    scopes.into_iter().map(|scope| blame(look, incident, scope, members.len())).collect()
}

fn blame(look: &Look<'_>, incident: &Incident, scope: Scope, members: usize) -> RankedCause {
    let working = look.working(scope, incident.started_at);
    let share = members as f64 / (members + working) as f64;
    let measured = look.is_measured_down(scope, incident.started_at);
    let is_root = scope == incident.root;
    let confidence = match (measured, is_root, members) {
        (true, _, _) => MEASURED * (0.6 + 0.4 * share),
        (false, _, 1) => SUSPECTED * share,
        // Many agreeing links are worth more than two, up to a point.
        (false, true, n) => INFERRED * share * (1.0 - 0.5 / n as f64),
        (false, false, n) => 0.7 * INFERRED * share * (1.0 - 0.5 / n as f64),
    };
    RankedCause {
        rung: rung_of(scope, &look.snapshot.inventory),
        scope,
        confidence: percent(confidence),
        for_it: u32::try_from(members).unwrap_or(u32::MAX),
        against: u32::try_from(working).unwrap_or(u32::MAX),
        measured,
    }
}

fn percent(value: f64) -> u8 {
    value.round().clamp(0.0, 100.0) as u8
}

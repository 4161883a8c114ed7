//! The stages a call passes, in order. Each says pass, hold or drop, and why: that is the answer to "why was I called" and
//! "why was I not".

use std::collections::BTreeMap;

use rusta_wire::UnixMs;

use super::acknowledgement::{Acknowledgement, Care};
use super::case::{Case, CaseKey};
use super::desk::{Call, FLAP_WINDOW_MS, Kind, Verdict, rules_of};
use super::inbox::Inbox;
use super::message::Message;
use super::setup::Setup;
use crate::engine::incident::{IncidentId, Scope};
use crate::engine::{LinkState, SiteState};
use crate::inventory::SiteId;
use crate::persian::{Lang, Moment};
use crate::rules::{Facts, Rules, Severity, Subject};

/// One stage.
pub type Stage = fn(&mut Ask<'_, '_>) -> Ruling;

/// Every stage, in order.
pub const STAGES: &[(&str, Stage)] = &[
    ("maintenance", maintenance),
    ("root_cause", root_cause),
    ("flap", flap),
    ("group", group),
    ("dedup", dedup),
    ("escalate", escalate),
    ("deliver", deliver),
    ("record", record),
];

/// A case asking for a call, and everything a stage may look at.
pub struct Ask<'a, 'f> {
    pub(super) setup: &'a Setup,
    pub(super) rules: &'a Rules,
    pub(super) facts: &'a Facts<'f>,
    pub(super) case: &'a mut Case,
    pub(super) openings: &'a BTreeMap<String, Vec<i64>>,
    pub(super) inboxes: &'a mut BTreeMap<String, Inbox>,
    /// By incident: who takes care of it.
    pub(super) acknowledgements: &'a BTreeMap<u64, Vec<Acknowledgement>>,
    /// Whom the escalation step names, each with the channels to try.
    pub(super) recipients: Vec<(String, Vec<String>)>,
    pub(super) calls: Vec<Call>,
}

/// What a stage says.
pub struct Ruling {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
}

fn pass(reason: impl Into<String>) -> Ruling {
    Ruling { verdict: Verdict::Pass, reason: reason.into() }
}

fn hold(reason: impl Into<String>) -> Ruling {
    Ruling { verdict: Verdict::Hold, reason: reason.into() }
}

fn dropped(reason: impl Into<String>) -> Ruling {
    Ruling { verdict: Verdict::Drop, reason: reason.into() }
}

impl Ask<'_, '_> {
    fn now(&self) -> UnixMs {
        self.facts.now()
    }

    fn site(&self) -> Option<SiteId> {
        self.case.key.site().and_then(|code| self.facts.snapshot.inventory.site_by_code(code))
    }
}

/// Planned work is nobody's emergency.
fn maintenance(ask: &mut Ask<'_, '_>) -> Ruling {
    let snapshot = ask.facts.snapshot;
    let planned = match (&ask.case.key, ask.site()) {
        (CaseKey::Incident(id), _) => ask.facts.incidents.get(IncidentId(*id)).is_some_and(|incident| {
            let mut members = incident.open_members().peekable();
            members.peek().is_some() && members.all(|(link, _)| snapshot.link(link).state == LinkState::Maintenance)
        }),
        (_, Some(site)) => snapshot.site(site).state == SiteState::Maintenance,
        _ => false,
    };
    if planned { dropped("announced maintenance covers all of it") } else { pass("no maintenance covers it") }
}

/// What a larger incident explains needs no call of its own.
fn root_cause(ask: &mut Ask<'_, '_>) -> Ruling {
    let Some(site) = ask.site() else { return pass("it is the cause itself") };
    if ask.facts.incidents.frozen_since().is_some() {
        return hold("the monitoring itself is blind");
    }
    let CaseKey::Alert(_, subject) = &ask.case.key else { return pass("it is the cause itself") };
    let about_site = ask.facts.incident_of.get(&site).and_then(|id| ask.facts.incidents.get(*id));
    let tells_the_same = matches!(subject, Subject::Site(_) | Subject::Agent(..));
    match about_site {
        Some(incident) if tells_the_same || !is_own(incident.root, site, ask.facts) => {
            dropped(format!("explained by incident {}", incident.id))
        }
        _ if tells_the_same && ask.facts.undecided.contains(&site) => hold("its cause is not judged yet"),
        _ => pass("no incident explains it"),
    }
}

fn is_own(root: Scope, site: SiteId, facts: &Facts<'_>) -> bool {
    match root {
        Scope::Site(root) => root == site,
        Scope::Link(link) => facts.snapshot.inventory.link(link).site == site,
        _ => false,
    }
}

/// Returns above which an often returning cause is told no more: the fourth time within half an hour.
const FLAP_LIMIT: f64 = 2.5;

/// What comes and goes is told a few times, then again when it stays.
fn flap(ask: &mut Ask<'_, '_>) -> Ruling {
    let now = ask.now().0;
    let openings = ask.openings.get(&ask.case.cause).map_or(&[] as &[i64], Vec::as_slice);
    // An opening loses half its weight over the window, so that old ones matter less.
    let weight = |at: &i64| 1.0 - 0.5 * (now - at) as f64 / FLAP_WINDOW_MS as f64;
    let earlier = openings.iter().filter(|at| **at < ask.case.opened_at).map(weight).sum::<f64>();
    if earlier >= FLAP_LIMIT && ask.case.told.is_empty() && now - ask.case.opened_at < FLAP_WINDOW_MS {
        let back = Moment::at(UnixMs(ask.case.opened_at + FLAP_WINDOW_MS)).clock(Lang::En);
        return hold(format!("came back {} times in half an hour: called if it stays until {back}", openings.len() - 1));
    }
    pass("does not flap")
}

/// All rules about one cause make one case.
fn group(ask: &mut Ask<'_, '_>) -> Ruling {
    if ask.case.severity == Severity::Digest {
        return hold("stands in the shift's digest");
    }
    let names = ask.case.rules.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    pass(format!("one case of: {names}"))
}

/// Nobody hears the same thing twice.
fn dedup(ask: &mut Ask<'_, '_>) -> Ruling {
    let steps = ask.setup.steps(&ask.case.route, ask.case.severity);
    if let CaseKey::Incident(id) = ask.case.key
        && let Some(given) = ask.acknowledgements.get(&id)
        && let Some((_, by)) = Care::of(IncidentId(id), Some(ask.case.severity), ask.facts).and_then(|care| care.covering(given))
    {
        return hold(format!("acknowledged by {by}"));
    }
    let Some(step) = steps.get(ask.case.step) else {
        return if steps.is_empty() {
            dropped("its route names nobody for this severity")
        } else {
            hold("everybody on its route was told")
        };
    };
    let due = ask.case.opened_at() + step.after;
    if ask.now() < due {
        return hold(format!("the next step is due at {}", Moment::at(due).clock(Lang::En)));
    }
    pass(format!("step {} is due", ask.case.step + 1))
}

/// Finds who is to be called in this step.
fn escalate(ask: &mut Ask<'_, '_>) -> Ruling {
    let now = ask.now();
    let steps = ask.setup.steps(&ask.case.route, ask.case.severity);
    let Some(step) = steps.get(ask.case.step) else { return hold("everybody on its route was told") };
    let mut quiet = Vec::new();
    for recipient in ask.setup.recipients(step, now, &ask.rules.calendars) {
        let heard = ask.case.told.get(&recipient).is_some_and(|told| told.severity >= ask.case.severity);
        if heard && ask.case.step == 0 {
            continue;
        }
        if ask.case.severity < Severity::Page && ask.setup.is_quiet(&recipient, now) {
            quiet.push(recipient);
            continue;
        }
        let channels = ask.setup.channels_for(&recipient, &step.channels);
        ask.recipients.push((recipient, channels));
    }
    if !quiet.is_empty() && ask.recipients.is_empty() {
        return hold(format!("quiet hours of {}", quiet.join(", ")));
    }
    if ask.recipients.is_empty() {
        ask.case.step += 1;
        return hold("nobody new to tell in this step");
    }
    let names = ask.recipients.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let step = ask.case.step + 1;
    pass(if quiet.is_empty() {
        format!("step {step}: {names}")
    } else {
        format!("step {step}: {names}; quiet hours of {}", quiet.join(", "))
    })
}

/// Writes the calls, or holds them for a summary where a recipient's cap is reached.
fn deliver(ask: &mut Ask<'_, '_>) -> Ruling {
    let now = ask.now();
    refresh(ask);
    let kind = if ask.case.step == 0 { Kind::Fire } else { Kind::Escalate };
    let (mut called, mut waiting) = (Vec::new(), Vec::new());
    for (recipient, channels) in std::mem::take(&mut ask.recipients) {
        let cap = ask.setup.cap(&recipient);
        let inbox = ask.inboxes.entry(recipient.clone()).or_default();
        // The last call of a cap is the summary's; tickets leave half of it to pages.
        let reserve = if ask.case.severity == Severity::Page { 1 } else { (cap / 2).max(1) };
        if inbox.is_waiting(&ask.case.key) {
            continue;
        }
        // The first page of an incident is not held back: a cap bounds what repeats, not what nobody has heard yet.
        let is_first_page = ask.case.severity == Severity::Page && kind == Kind::Fire;
        if is_first_page {
            inbox.note_sent(now);
        }
        if is_first_page || !ask.setup.is_capped(&recipient) || inbox.take_slot(now, cap, reserve) {
            let id = format!("{}@{}:{}:{}:{recipient}", ask.case.key, ask.case.opened_at, ask.case.severity, ask.case.step);
            let mut call = ask.setup.call(id, &recipient, kind, ask.case, vec![ask.case.message.clone()], now);
            call.channels = channels;
            ask.calls.push(call);
            ask.case.tell(&recipient, now, false);
            called.push(recipient);
        } else {
            inbox.wait(ask.case.key.clone(), now);
            waiting.push(recipient);
        }
    }
    ask.case.step += 1;
    match (called.is_empty(), waiting.is_empty()) {
        (true, true) => pass("they wait for their summary already"),
        (false, true) => pass(format!("called {}", called.join(", "))),
        (true, false) => pass(format!("over the cap of {}: goes into the summary", waiting.join(", "))),
        (false, false) => pass(format!("called {}; summary for {}", called.join(", "), waiting.join(", "))),
    }
}

/// Brings the message up to the incident of this moment.
fn refresh(ask: &mut Ask<'_, '_>) {
    if let CaseKey::Incident(id) = ask.case.key
        && let Some(incident) = ask.facts.incidents.get(IncidentId(id))
    {
        ask.case.message = Message::of_incident(incident, ask.facts);
    }
    let rules = rules_of(ask.case, ask.rules);
    ask.case.message = std::mem::take(&mut ask.case.message).with_titles(&rules);
}

/// Closes the round: what was decided stands in the case's timeline.
fn record(ask: &mut Ask<'_, '_>) -> Ruling {
    pass(format!("step {} done", ask.case.step))
}

//! The desk: alerts in, calls and decisions out. Pure and restartable: everything it knows is in its cases and inboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusta_wire::UnixMs;
use serde::{Deserialize, Serialize};

use super::acknowledgement::{Acknowledgement, root_code};
use super::case::{Case, CaseKey};
use super::inbox::Inbox;
use super::message::{Letter, Message};
use super::setup::Setup;
use super::stages::{Ask, Ruling, STAGES};
use crate::engine::incident::{IncidentId, Incidents, ScopeCode};
use crate::inventory::word_enum;
use crate::journal::Actor;
use crate::rules::{Alert, Change, Facts, Rule, Rules, Severity};

/// Why a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something is wrong.
    Fire,
    /// Nobody acknowledged.
    Escalate,
    /// It is over.
    Resolve,
    /// Several at once, because one by one would be too many.
    Summary,
    /// Several are over.
    SummaryResolve,
    /// The shift's summary.
    Digest,
}

word_enum! {
    /// What a stage says.
    Verdict {
        /// Go on.
        Pass = "pass",
        /// Not yet.
        Hold = "hold",
        /// Not at all.
        Drop = "drop",
    }
}

/// One call to one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The same call always has the same id: the outbox keeps one of each.
    pub id: String,
    /// A person, or the name of a channel for machines.
    pub to: String,
    /// Channels in the order to try.
    pub channels: Vec<String>,
    /// What it says.
    pub letter: Letter,
}

/// Why a call was made, or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The case.
    pub case: CaseKey,
    /// When.
    pub at: UnixMs,
    /// Which stage.
    pub stage: &'static str,
    /// What it said.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// What one round asks the world to do and to remember.
#[derive(Debug, Default)]
pub struct Work {
    /// Calls to make.
    pub calls: Vec<Call>,
    /// Decisions to keep.
    pub decisions: Vec<Decision>,
    /// Cases that changed.
    pub changed: BTreeSet<CaseKey>,
    /// Cases that ended.
    pub ended: Vec<CaseKey>,
}

impl Work {
    /// Tells whether there is nothing to do and nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.decisions.is_empty() && self.changed.is_empty() && self.ended.is_empty()
    }
}

/// Turns alerts into calls.
#[derive(Debug)]
pub struct Desk {
    pub(super) setup: Arc<Setup>,
    pub(super) cases: BTreeMap<CaseKey, Case>,
    pub(super) memory: Memory,
    /// What failed most often in the last seven days: the first digest of a week tells it.
    pub(super) worst_of_week: Vec<Message>,
}

/// What the desk remembers beside its cases.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// By recipient.
    pub(super) inboxes: BTreeMap<String, Inbox>,
    /// By cause: when cases of it opened lately.
    pub(super) openings: BTreeMap<String, Vec<i64>>,
    /// By route: when the last digest was due.
    pub(super) digests: BTreeMap<String, i64>,
    /// By route: what only a digest tells and was over before it came.
    #[serde(default)]
    pub(super) over: BTreeMap<String, Vec<Message>>,
    /// By open incident: who takes care of it.
    #[serde(default)]
    pub(super) acknowledgements: BTreeMap<u64, Vec<Acknowledgement>>,
}

/// A digest longer than this is not read; the pages have everything.
const MOST_OVER: usize = 200;

/// How long an opening counts towards flapping.
pub(super) const FLAP_WINDOW_MS: i64 = 30 * 60_000;

impl Desk {
    /// Starts from what was stored.
    pub fn new(setup: Arc<Setup>, cases: Vec<Case>, memory: Memory) -> Self {
        Desk { setup, cases: cases.into_iter().map(|case| (case.key.clone(), case)).collect(), memory, worst_of_week: Vec::new() }
    }

    /// Lists the cases that are not over.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// Returns what it remembers beside its cases.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Notes that somebody takes care of an incident; escalation ends for what lies in their region.
    pub fn acknowledge(&mut self, incident: IncidentId, actor: &Actor, at: UnixMs, incidents: &Incidents) {
        let Some(now) = incidents.get(incident) else { return };
        let severity = self.cases.get(&CaseKey::from(incident)).map(|case| case.severity);
        let given = self.memory.acknowledgements.entry(incident.0).or_default();
        // Once more at a higher severity replaces the earlier one.
        given.retain(|ack| ack.by != actor.user || ack.region != actor.region);
        let (root, links) = (Some(root_code(now, incidents)), now.open_members().count());
        given.push(Acknowledgement { at: at.0, by: actor.user.clone(), region: actor.region.clone(), severity, root, links });
    }

    /// Lists the incidents somebody acknowledged, each with how severe it is and who did.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (IncidentId, Option<Severity>, &[Acknowledgement])> {
        self.memory.acknowledgements.iter().map(|(id, given)| {
            let severity = self.cases.get(&CaseKey::Incident(*id)).map(|case| case.severity);
            (IncidentId(*id), severity, given.as_slice())
        })
    }

    /// Takes in what the rules found and works through every case.
    pub fn advance(&mut self, rules: &Rules, facts: &Facts<'_>, changes: Vec<Change>) -> Work {
        let mut work = Work::default();
        self.forget_old_openings(facts.now());
        self.memory.acknowledgements.retain(|id, _| facts.incidents.get(IncidentId(*id)).is_some());
        for change in changes {
            match change {
                Change::Fired(alert) => self.fired(rules, facts, alert, &mut work),
                Change::Resolved(alert) => self.satisfied(rules, facts, &alert, &mut work),
            }
        }
        self.merge(facts, &mut work);
        let keys = self.cases.keys().cloned().collect::<Vec<_>>();
        for key in keys {
            self.run(rules, facts, key, &mut work);
        }
        self.flush(facts, &mut work);
        self.digest(rules, facts, &mut work);
        work
    }

    fn fired(&mut self, rules: &Rules, facts: &Facts<'_>, alert: Alert, work: &mut Work) {
        let Some(rule) = rules.rule(&alert.rule) else { return };
        let key = key_of(&alert);
        let now = facts.now().0;
        let cause = cause_of(&key, facts);
        work.changed.insert(key.clone());
        if let Some(case) = self.cases.get_mut(&key) {
            case.closed_at = None;
            case.rules.insert(alert.rule);
            if rule.severity > case.severity {
                (case.severity, case.route, case.opened_at, case.step) = (rule.severity, rule.route.clone(), now, 0);
            }
            return;
        }
        self.memory.openings.entry(cause.clone()).or_default().push(now);
        if let CaseKey::Incident(id) = key {
            let given = self.memory.acknowledgements.get_mut(&id).into_iter().flatten();
            given.for_each(|ack| ack.severity = ack.severity.or(Some(rule.severity)));
        }
        let message = message_of(&key, &alert, facts);
        let case = Case {
            key: key.clone(),
            severity: rule.severity,
            route: rule.route.clone(),
            rules: BTreeSet::from([alert.rule]),
            opened_at: now,
            step: 0,
            told: BTreeMap::new(),
            closed_at: None,
            cause,
            message,
            last: BTreeMap::new(),
        };
        let titles = rules_of(&case, rules);
        let case = Case { message: case.message.clone().with_titles(&titles), ..case };
        self.cases.insert(key, case);
    }

    fn satisfied(&mut self, rules: &Rules, facts: &Facts<'_>, alert: &Alert, work: &mut Work) {
        let key = key_of(alert);
        let Some(case) = self.cases.get_mut(&key) else { return };
        case.rules.remove(&alert.rule);
        work.changed.insert(key);
        if case.rules.is_empty() {
            case.closed_at = Some(facts.now().0);
        } else {
            let worst = case.rules.iter().filter_map(|name| rules.rule(name)).map(|rule| rule.severity).max();
            case.severity = worst.unwrap_or(case.severity).min(case.severity);
        }
    }

    /// An incident that became part of another takes its listeners along: they were told, and hear of the end there.
    fn merge(&mut self, facts: &Facts<'_>, work: &mut Work) {
        let ended = self.cases.values().filter(|case| !case.is_open()).filter_map(|case| {
            let CaseKey::Incident(id) = case.key else { return None };
            let into = facts.incidents.get(IncidentId(id))?.merged_into?;
            Some((case.key.clone(), CaseKey::Incident(into.0)))
        });
        for (from, into) in ended.collect::<Vec<_>>() {
            if !self.cases.contains_key(&into) {
                continue;
            }
            let Some(old) = self.cases.remove(&from) else { continue };
            if let Some(case) = self.cases.get_mut(&into) {
                for (recipient, told) in &old.told {
                    if self.setup.is_capped(recipient) {
                        case.told.entry(recipient.clone()).or_insert_with(|| told.clone());
                    } else {
                        // A machine knows the two apart: the end of one is not the end of the other.
                        work.calls.push(self.setup.end_of(&old, recipient, told, facts.now()));
                    }
                }
            }
            for (recipient, inbox) in &mut self.memory.inboxes {
                // Who heard of the larger one already would read of it twice.
                if self.cases.get(&into).is_some_and(|case| case.told.contains_key(recipient)) {
                    inbox.drop_waiting(&from);
                } else {
                    inbox.rename(&from, &into);
                }
            }
            work.decisions.push(Decision {
                case: from.clone(),
                at: facts.now(),
                stage: "group",
                verdict: Verdict::Drop,
                reason: format!("became part of {into}"),
            });
            work.changed.insert(into);
            work.ended.push(from);
        }
    }

    fn run(&mut self, rules: &Rules, facts: &Facts<'_>, key: CaseKey, work: &mut Work) {
        let Some(mut case) = self.cases.remove(&key) else { return };
        if !case.is_open() {
            self.resolve(&case, facts.now(), work);
            return;
        }
        let mut ask = Ask {
            setup: &self.setup,
            rules,
            facts,
            case: &mut case,
            openings: &self.memory.openings,
            inboxes: &mut self.memory.inboxes,
            acknowledgements: &self.memory.acknowledgements,
            recipients: Vec::new(),
            calls: Vec::new(),
        };
        let mut said = Vec::new();
        for (name, stage) in STAGES {
            let Ruling { verdict, reason } = stage(&mut ask);
            let stop = verdict != Verdict::Pass;
            said.push((*name, verdict, reason));
            if stop {
                break;
            }
        }
        if !ask.calls.is_empty() {
            work.changed.insert(key.clone());
        }
        work.calls.append(&mut ask.calls);
        note(&mut case, said, facts.now(), work);
        self.cases.insert(key, case);
    }

    /// Tells everybody who was called that it is over.
    fn resolve(&mut self, case: &Case, now: UnixMs, work: &mut Work) {
        let reason = match case.told.len() {
            0 => "over before anybody was called".to_owned(),
            count => format!("over: {count} told"),
        };
        for (recipient, told) in &case.told {
            if told.in_summary {
                self.memory.inboxes.entry(recipient.clone()).or_default().over(case.message.clone(), now);
            } else {
                work.calls.push(self.setup.end_of(case, recipient, told, now));
            }
        }
        let inboxes = self.memory.inboxes.iter_mut();
        let spared = inboxes.filter_map(|(name, inbox)| inbox.drop_waiting(&case.key).then_some(name.as_str())).collect::<Vec<_>>();
        if !spared.is_empty() {
            let reason = format!("over before the summary of {}", spared.join(", "));
            work.decisions.push(Decision { case: case.key.clone(), at: now, stage: "deliver", verdict: Verdict::Drop, reason });
        }
        if case.severity == Severity::Digest && !self.setup.digests.is_empty() {
            let over = self.memory.over.entry(case.route.clone()).or_default();
            over.push(case.message.clone());
            over.drain(..over.len().saturating_sub(MOST_OVER));
        }
        work.decisions.push(Decision { case: case.key.clone(), at: now, stage: "record", verdict: Verdict::Pass, reason });
        work.ended.push(case.key.clone());
    }

    fn flush(&mut self, facts: &Facts<'_>, work: &mut Work) {
        let now = facts.now();
        for (recipient, inbox) in &mut self.memory.inboxes {
            let cap = self.setup.cap(recipient);
            if let Some(keys) = inbox.take_summary(now, cap) {
                let about = keys.iter().filter_map(|key| self.cases.get(key)).map(|case| case.message.clone()).collect::<Vec<_>>();
                let worst = keys.iter().filter_map(|key| self.cases.get(key)).max_by_key(|case| case.severity);
                if let Some(worst) = worst {
                    let id = format!("summary@{}:{recipient}", now.0);
                    let mut call = self.setup.call(id, recipient, Kind::Summary, worst, about, now);
                    (call.letter.key, call.letter.told_as) = (summary_key(recipient), None);
                    work.calls.push(call);
                }
                for key in keys {
                    let Some(case) = self.cases.get_mut(&key) else { continue };
                    case.tell(recipient, now, true);
                    work.changed.insert(key);
                }
            }
            let told_in_summary = |case: &Case| case.told.get(recipient).is_some_and(|told| told.in_summary);
            let all_over = !self.cases.values().any(told_in_summary);
            if let Some(about) = inbox.take_over(now, all_over) {
                let id = format!("summary_resolve@{}:{recipient}", now.0);
                let mut call = self.setup.plain_call(id, recipient, Kind::SummaryResolve, Severity::Ticket, about, now);
                call.letter.key = summary_key(recipient);
                work.calls.push(call);
            }
        }
    }

    /// Writes the shift's summary when one is due.
    fn digest(&mut self, rules: &Rules, facts: &Facts<'_>, work: &mut Work) {
        let now = facts.now();
        let Some(due) = self.setup.digest_due(now) else { return };
        for route in &self.setup.routes {
            let last = self.memory.digests.entry(route.name.clone()).or_insert(due.0);
            if *last >= due.0 {
                continue;
            }
            *last = due.0;
            let open = self.cases.values().filter(|case| case.route == route.name && case.is_open());
            let mut about = open.map(|case| case.message.clone()).collect::<Vec<_>>();
            about.extend(self.memory.over.remove(&route.name).unwrap_or_default());
            if self.setup.begins_week(due) {
                about.extend_from_slice(&self.worst_of_week);
            }
            for step in &route.digest {
                for recipient in self.setup.recipients(step, now, &rules.calendars) {
                    let id = format!("digest@{}:{}:{recipient}", due.0, route.name);
                    let mut call = self.setup.plain_call(id, &recipient, Kind::Digest, Severity::Digest, about.clone(), now);
                    call.channels = self.setup.channels_for(&recipient, &step.channels);
                    work.calls.push(call);
                }
            }
        }
    }

    fn forget_old_openings(&mut self, now: UnixMs) {
        for times in self.memory.openings.values_mut() {
            times.retain(|at| now.0 - at < FLAP_WINDOW_MS);
        }
        self.memory.openings.retain(|_, times| !times.is_empty());
    }
}

/// Names a recipient's summaries: one for all, so that the outbox lets no end overtake its beginning.
fn summary_key(recipient: &str) -> String {
    format!("summary/{recipient}")
}

/// Records what the stages said, each standing decision once.
fn note(case: &mut Case, said: Vec<(&'static str, Verdict, String)>, now: UnixMs, work: &mut Work) {
    let reached = said.iter().map(|(stage, ..)| *stage).collect::<BTreeSet<_>>();
    case.last.retain(|stage, _| reached.contains(stage.as_str()));
    for (stage, verdict, reason) in said {
        let line = format!("{verdict}: {reason}");
        if case.last.get(stage) == Some(&line) {
            continue;
        }
        case.last.insert(stage.to_owned(), line);
        work.changed.insert(case.key.clone());
        work.decisions.push(Decision { case: case.key.clone(), at: now, stage, verdict, reason });
    }
}

fn key_of(alert: &Alert) -> CaseKey {
    match alert.subject.incident() {
        Some(IncidentId(id)) => CaseKey::Incident(id),
        None => CaseKey::Alert(alert.rule.clone(), alert.subject.clone()),
    }
}

fn cause_of(key: &CaseKey, facts: &Facts<'_>) -> String {
    let CaseKey::Incident(id) = key else { return key.to_string() };
    let root = facts.incidents.get(IncidentId(*id)).map(|incident| incident.root);
    let code = root.map(|root| ScopeCode::of(root, facts.incidents.inventory(), facts.incidents.topology()));
    code.map_or_else(|| key.to_string(), |code| format!("{}/{}", code.kind, code.code))
}

pub(super) fn message_of(key: &CaseKey, alert: &Alert, facts: &Facts<'_>) -> Message {
    match key {
        CaseKey::Incident(id) => {
            facts.incidents.get(IncidentId(*id)).map(|incident| Message::of_incident(incident, facts)).unwrap_or_default()
        }
        CaseKey::Alert(..) => Message::of_alert(alert, &facts.snapshot.inventory),
    }
}

/// Lists the rules of a case, most severe first.
pub(super) fn rules_of<'a>(case: &Case, rules: &'a Rules) -> Vec<&'a Rule> {
    let mut found = case.rules.iter().filter_map(|name| rules.rule(name)).collect::<Vec<_>>();
    found.sort_by_key(|rule| (std::cmp::Reverse(rule.severity), rule.name.clone()));
    found
}

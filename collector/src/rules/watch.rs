//! Rules over time: pending, firing, resolved, each with its hysteresis.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rusta_wire::{AgentId, Outcome, UnixMs};

use super::{Bound, Condition, Facts, IncidentMatch, KpiBound, Rule, Rules, SiteMatch};
use crate::engine::TargetView;
use crate::engine::incident::{Incident, IncidentId, Trouble};
use crate::inventory::{Inventory, LinkId, SiteId, word_enum};

/// What an alert is about, by codes that outlive an inventory version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Subject {
    /// An incident.
    Incident(u64),
    /// A site, by code.
    Site(String),
    /// An agent, by id, and its site.
    Agent(String, String),
    /// A region's KPI: code and KPI.
    Kpi(String, String),
    /// A target: site, link, target.
    Target(String, String, String),
    /// A link: site and link.
    Link(String, String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Incident(id) => write!(f, "incident/{id}"),
            Subject::Site(code) => write!(f, "site/{code}"),
            Subject::Agent(id, _) => write!(f, "agent/{id}"),
            Subject::Kpi(region, kpi) => write!(f, "kpi/{region}/{kpi}"),
            Subject::Target(site, link, target) => write!(f, "target/{site}/{link}/{target}"),
            Subject::Link(site, link) => write!(f, "link/{site}/{link}"),
        }
    }
}

impl Subject {
    /// Returns the code of the site it is about, if it is about one.
    pub fn site(&self) -> Option<&str> {
        match self {
            Subject::Site(site) | Subject::Agent(_, site) | Subject::Target(site, ..) | Subject::Link(site, _) => Some(site),
            Subject::Incident(_) | Subject::Kpi(..) => None,
        }
    }

    /// Returns the incident it is about, if it is about one.
    pub fn incident(&self) -> Option<IncidentId> {
        if let Subject::Incident(id) = self { Some(IncidentId(*id)) } else { None }
    }
}

word_enum! {
    /// Where an alert stands.
    AlertState {
        /// Holds, but not yet for long enough.
        Pending = "pending",
        /// Holds.
        Firing = "firing",
    }
}

/// One rule's instance about one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub subject: Subject,
    /// Where it stands.
    pub state: AlertState,
    /// Since when the condition holds.
    pub since: UnixMs,
    /// What was seen, for people.
    pub value: Option<f64>,
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It fires.
    Fired(Alert),
    /// It no longer holds.
    Resolved(Alert),
}

/// Watches all rules.
#[derive(Debug, Default)]
pub struct Watch {
    alerts: BTreeMap<(String, Subject), Alert>,
    /// Alerts that appeared, went, or changed their state in the last look.
    changed: BTreeSet<(String, Subject)>,
}

/// What one look says of one subject.
struct Seen {
    subject: Subject,
    since: Option<UnixMs>,
    value: Option<f64>,
}

impl Watch {
    /// Continues with the alerts a stopped collector had.
    pub fn restore(alerts: Vec<Alert>) -> Self {
        let alerts = alerts.into_iter().map(|alert| ((alert.rule.clone(), alert.subject.clone()), alert));
        Watch { alerts: alerts.collect(), changed: BTreeSet::new() }
    }

    /// Lists the alerts that hold.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// Finds one alert.
    pub fn alert(&self, rule: &str, subject: &Subject) -> Option<&Alert> {
        self.alerts.get(&(rule.to_owned(), subject.clone()))
    }

    /// Lists the alerts that appeared, went, or changed their state in the last look.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &Subject)> {
        self.changed.iter().map(|(rule, subject)| (rule.as_str(), subject))
    }

    /// Looks at the facts; returns what changed, in the order of the rules.
    pub fn look(&mut self, rules: &Rules, facts: &Facts<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut kept = BTreeMap::new();
        self.changed.clear();
        for rule in &rules.rules {
            if !facts.everything && !matches!(rule.condition, Condition::Incident(_)) {
                let standing = self.alerts.keys().filter(|(name, _)| *name == rule.name).cloned().collect::<Vec<_>>();
                kept.extend(standing.into_iter().filter_map(|key| self.alerts.remove_entry(&key)));
                continue;
            }
            for seen in self.seen(rule, facts) {
                let key = (rule.name.clone(), seen.subject.clone());
                let before = self.alerts.remove(&key);
                let alert = step(rule, rules, seen, before.as_ref(), facts.now());
                if before.as_ref().is_none_or(|before| before.state != alert.state) {
                    self.changed.insert(key.clone());
                }
                if alert.state == AlertState::Firing && before.is_none_or(|before| before.state == AlertState::Pending) {
                    changes.push(Change::Fired(alert.clone()));
                }
                kept.insert(key, alert);
            }
        }
        let gone = std::mem::replace(&mut self.alerts, kept);
        self.changed.extend(gone.keys().cloned());
        changes.extend(gone.into_values().filter(|alert| alert.state == AlertState::Firing).map(Change::Resolved));
        changes
    }

    /// Lists the subjects for which a rule's condition holds, hysteresis included.
    fn seen(&self, rule: &Rule, facts: &Facts<'_>) -> Vec<Seen> {
        let held = |subject: &Subject| self.alerts.contains_key(&(rule.name.clone(), subject.clone()));
        match &rule.condition {
            Condition::Incident(wanted) => incidents(wanted, facts),
            Condition::Site(wanted) => sites(wanted, facts),
            Condition::Agent { states, skew_above } => agents(states, *skew_above, facts),
            Condition::Kpi { id, over, of, bound, clear_margin } => {
                let inventory = &facts.snapshot.inventory;
                let of_kind =
                    facts.kpis.iter().filter(|kpi| kpi.id == *id && kpi.over == *over && inventory.region(kpi.region).kind == *of);
                let out = of_kind.filter_map(|kpi| {
                    let subject = Subject::Kpi(inventory.region(kpi.region).code.clone(), id.clone());
                    let margin = if held(&subject) { *clear_margin } else { 0.0 };
                    is_kpi_out(bound, margin, kpi.value?, kpi.goal).then_some(Seen { subject, since: None, value: kpi.value })
                });
                out.collect()
            }
            Condition::Metric { metric, bound, sites, .. } => metrics(*metric, bound, sites, facts, held),
            Condition::Plan { used_above, forecast_above } => plans(*used_above, *forecast_above, facts),
        }
    }
}

fn step(rule: &Rule, rules: &Rules, seen: Seen, before: Option<&Alert>, now: UnixMs) -> Alert {
    let since = seen.since.or(before.map(|alert| alert.since)).unwrap_or(now);
    let was_firing = before.is_some_and(|alert| alert.state == AlertState::Firing);
    let open = rule.calendar.as_ref().is_none_or(|name| rules.calendars.is_open(name, now));
    // A calendar keeps a rule from beginning to speak, never from going on: the end of the day resolves nothing.
    let fires = was_firing || (open && now.since(since) >= rule.hold);
    let state = if fires { AlertState::Firing } else { AlertState::Pending };
    Alert { rule: rule.name.clone(), subject: seen.subject, state, since, value: seen.value }
}

fn incidents(wanted: &IncidentMatch, facts: &Facts<'_>) -> Vec<Seen> {
    let matching = facts.incidents.open().filter(|incident| {
        let Some(impact) = facts.impacts.get(&incident.id) else { return false };
        (wanted.roots.is_empty() || wanted.roots.iter().any(|root| root == facts.root_kind(incident)))
            && (wanted.troubles.is_empty() || wanted.troubles.contains(&incident.trouble))
            && (wanted.classes.is_empty() || wanted.classes.iter().any(|class| impact.classes.contains(class)))
            && wanted.villages_share.is_none_or(|share| impact.villages_share >= share)
            && wanted.sites.is_none_or(|count| impact.sites.len() >= count)
    });
    // How long we slept is not how long we have been blind since we woke up.
    let since = |incident: &Incident| if incident.trouble == Trouble::Ours { incident.opened_at } else { incident.started_at };
    let seen = |incident: &Incident| Seen { subject: Subject::Incident(incident.id.0), since: Some(since(incident)), value: None };
    matching.map(seen).collect()
}

impl SiteMatch {
    fn matches(&self, inventory: &Inventory, id: SiteId) -> bool {
        let site = inventory.site(id);
        (self.kinds.is_empty() || self.kinds.contains(&site.kind))
            && (self.classes.is_empty() || self.classes.contains(&site.criticality))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| site.tags.contains(tag)))
    }
}

fn sites(wanted: &SiteMatch, facts: &Facts<'_>) -> Vec<Seen> {
    let inventory = &facts.snapshot.inventory;
    let states = facts.snapshot.sites.iter().enumerate().filter(|(_, view)| wanted.states.contains(&view.state));
    let matching = states.filter(|(index, _)| wanted.matches(inventory, SiteId(*index as u32)));
    matching
        .map(|(index, view)| Seen { subject: Subject::Site(inventory.sites[index].code.clone()), since: Some(view.since), value: None })
        .collect()
}

fn agents(states: &[crate::engine::AgentState], skew_above: Option<Duration>, facts: &Facts<'_>) -> Vec<Seen> {
    let wrong_clock = |skew_ms: Option<i64>| {
        let limit = skew_above.map_or(u128::MAX, |limit| limit.as_millis());
        skew_ms.is_some_and(|skew| u128::from(skew.unsigned_abs()) > limit)
    };
    let matching = facts.snapshot.agents.iter().filter(|agent| states.contains(&agent.state) || wrong_clock(agent.clock_skew_ms));
    let subject = |id: AgentId, site: SiteId| Subject::Agent(id.to_string(), facts.snapshot.inventory.site(site).code.clone());
    matching.map(|agent| Seen { subject: subject(agent.id, agent.site), since: None, value: None }).collect()
}

fn is_kpi_out(bound: &KpiBound, margin: f64, value: f64, goal: Option<f64>) -> bool {
    match bound {
        KpiBound::Below(limit) => value < limit + margin,
        KpiBound::Above(limit) => value > limit - margin,
        KpiBound::BelowGoal => goal.is_some_and(|goal| value < goal + margin),
    }
}

fn metrics(metric: rusta_wire::Metric, bound: &Bound, wanted: &SiteMatch, facts: &Facts<'_>, held: impl Fn(&Subject) -> bool) -> Vec<Seen> {
    let inventory = &facts.snapshot.inventory;
    let mut seen = Vec::new();
    for (index, view) in facts.snapshot.links.iter().enumerate() {
        let link = LinkId(index as u32);
        for (target, value) in view.targets.iter().filter_map(|target| Some((target, value_of(target, metric)?))) {
            let site = inventory.link(link).site;
            if !wanted.matches(inventory, site) {
                continue;
            }
            let code = inventory.site(site).code.clone();
            let subject = Subject::Target(code, inventory.link(link).name.clone(), target.name.clone());
            let median = || (facts.median)(link, metric);
            if is_out(bound, value, held(&subject), median) {
                seen.push(Seen { subject, since: None, value: Some(value as f64) });
            }
        }
    }
    seen
}

/// Returns the newest value; a failed round measured nothing.
fn value_of(target: &TargetView, metric: rusta_wire::Metric) -> Option<i64> {
    let values = (target.outcome == Outcome::Ok).then_some(&target.values)?;
    values.iter().find(|(m, _)| *m == metric).map(|(_, value)| *value)
}

fn is_out(bound: &Bound, value: i64, held: bool, median: impl Fn() -> Option<f64>) -> bool {
    let number = value as f64;
    match bound {
        Bound::Above(limit, clear) => number > if held { *clear } else { *limit },
        Bound::Below(limit, clear) => number < if held { *clear } else { *limit },
        Bound::Is(values) => values.contains(&value),
        Bound::BelowMedian(drop, clear) => median().is_some_and(|median| median - number >= if held { *clear } else { *drop }),
    }
}

fn plans(used_above: Option<f64>, forecast_above: Option<f64>, facts: &Facts<'_>) -> Vec<Seen> {
    let inventory = &facts.snapshot.inventory;
    let mut seen = Vec::new();
    for (index, view) in facts.snapshot.links.iter().enumerate() {
        let link = inventory.link(LinkId(index as u32));
        let newest = |metric| view.targets.iter().find_map(|target| value_of(target, metric));
        let limit = newest(rusta_wire::Metric::PlanLimitKib).map(|kib| kib as f64).or(link.plan_bytes.map(|bytes| bytes as f64 / 1024.0));
        let (Some(used), Some(limit)) = (newest(rusta_wire::Metric::PlanUsedKib), limit.filter(|limit| *limit > 0.0)) else { continue };
        let share = used as f64 / limit;
        let forecast = share / elapsed_share(link.cycle_day, facts.now());
        let over = |value: f64, bound: Option<f64>| bound.is_some_and(|bound| value > bound);
        if over(share, used_above) || over(forecast, forecast_above) {
            let subject = Subject::Link(inventory.site(link.site).code.clone(), link.name.clone());
            seen.push(Seen { subject, since: None, value: Some(share) });
        }
    }
    seen
}

/// Returns how much of the billing cycle has passed. Of the first tenth nothing can be forecast, so it counts as a tenth.
fn elapsed_share(cycle_day: Option<u8>, now: UnixMs) -> f64 {
    const EARLIEST: f64 = 0.1;
    let today = crate::persian::JalaliDate::at(now);
    let start = i64::from(cycle_day.unwrap_or(1));
    let days = i64::from(today.days_in_month());
    let passed = (i64::from(today.day()) - start).rem_euclid(days) + 1;
    (passed as f64 / days as f64).max(EARLIEST)
}
